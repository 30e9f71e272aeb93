package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
)

// Post shows m in a channel, or to a person in a direct message. With both, a
// message that is not public is shown in the channel to that person alone, and
// cannot be reached again.
func (a *Adapter) Post(ctx context.Context, to chat.Target, m chat.Message) (chat.Ref, error) {
	ref := chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: to.Channel}
	if to.Channel == "" {
		err := a.call(ctx, "conversations.open", "", func() error {
			ch, _, _, err := a.api.OpenConversationContext(ctx, &slackgo.OpenConversationParameters{Users: []string{to.Person}})
			if err == nil {
				ref.Channel = ch.ID
			}
			return err
		})
		if err != nil {
			return chat.Ref{}, err
		}
	}
	options := content(m)
	if !to.Thread.Zero() {
		options = append(options, slackgo.MsgOptionTS(to.Thread.ID))
	}
	if to.Channel != "" && to.Person != "" && !m.Public {
		ref.Kind = chat.PrivateRef
		err := a.call(ctx, "chat.postEphemeral", "", func() (err error) {
			ref.ID, err = a.api.PostEphemeralContext(ctx, to.Channel, to.Person, options...)
			return err
		})
		return ref, err
	}
	err := a.call(ctx, "chat.postMessage", ref.Channel, func() (err error) {
		ref.Channel, ref.ID, err = a.api.PostMessageContext(ctx, ref.Channel, options...)
		return err
	})
	if err != nil {
		return chat.Ref{}, err
	}
	return ref, nil
}

// content is m as the SDK's calls for messages take it.
func content(m chat.Message) []slackgo.MsgOption {
	r := renderMessage(m)
	return []slackgo.MsgOption{
		slackgo.MsgOptionText(r.Text, false),
		slackgo.MsgOptionBlocks(r.Blocks...),
		slackgo.MsgOptionDisableLinkUnfurl(),
		slackgo.MsgOptionDisableMediaUnfurl(),
	}
}

// Update replaces what is shown at a Ref.
func (a *Adapter) Update(ctx context.Context, at chat.Ref, s chat.Surface) error {
	switch at.Kind {
	case chat.MessageRef:
		return a.call(ctx, "chat.update", "", func() error {
			_, _, _, err := a.api.UpdateMessageContext(ctx, at.Channel, at.ID, content(asMessage(s))...)
			return err
		})
	case chat.PanelRef:
		hash, done := a.hashes.expect(ctx, at.ID) // before it waits for its turn
		return a.call(ctx, "views.update", "", func() error {
			view := renderModal(s, at.Channel, viewSize)
			ctx := apart(ctx, &view.Blocks)
			v, err := a.api.UpdateViewContext(ctx, view, "", hash, at.ID)
			if err == nil {
				done(v)
			}
			return err
		})
	case chat.HomeRef:
		return a.call(ctx, "views.publish", "", func() error {
			view := renderHome(s)
			ctx := apart(ctx, &view.Blocks)
			_, err := a.api.PublishViewContext(ctx, slackgo.PublishViewContextRequest{UserID: at.ID, View: view})
			return err
		})
	case chat.PrivateRef:
		m, address := parseKey(at)
		return a.respond(ctx, address, response(asMessage(s), m != more))
	}
	return fmt.Errorf("slack: update %v: %w", at, chat.ErrGone)
}

// taken stands where something was that cannot be removed.
var taken = chat.Panel{ID: "ended", Title: "Ended", Blocks: []chat.Block{chat.Note{Text: chat.Texts("This has ended.")}}}

// Delete removes what is shown at a Ref. A modal cannot be removed, nor what a
// typed command showed; a line takes its place.
func (a *Adapter) Delete(ctx context.Context, at chat.Ref) error {
	switch at.Kind {
	case chat.MessageRef:
		return a.call(ctx, "chat.delete", "", func() error {
			_, _, err := a.api.DeleteMessageContext(ctx, at.Channel, at.ID)
			return err
		})
	case chat.PanelRef:
		return a.Update(ctx, at, taken)
	case chat.PrivateRef:
		switch m, address := parseKey(at); m {
		case slash:
			return a.respond(ctx, address, response(chat.Message{Summary: "This has ended.", Blocks: taken.Blocks}, true))
		case own:
			return a.respond(ctx, address, deleteOriginal)
		}
	}
	return fmt.Errorf("slack: delete %v: %w", at, chat.ErrGone)
}

// call makes a call of the Web API at its pace. channel is where it posts.
func (a *Adapter) call(ctx context.Context, method, channel string, do func() error) error {
	return a.paced(ctx, method, channel, func() error { return apiError(method, do()) })
}

// web is the SDK's way to the network. It puts in the blocks that [apart] has
// taken out, and reads answers to their end, or the next call would have to
// connect anew. It keeps of a view in an answer its id and its hash, which is all
// that matters here: the state of one without input comes in a shape that the SDK
// takes for a failure, and the window is open all the same.
type web struct{ *http.Client }

func (c web) Do(req *http.Request) (*http.Response, error) {
	if blocks, ok := req.Context().Value(blocksKey{}).([]slackgo.Block); ok {
		if err := put(req, blocks); err != nil {
			return nil, err
		}
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(path.Base(req.URL.Path), "views.") {
		resp.Body = wholeBody{resp.Body}
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	var answer map[string]json.RawMessage
	var view struct {
		ID   string `json:"id"`
		Hash string `json:"hash"`
	}
	if json.Unmarshal(body, &answer) == nil && json.Unmarshal(answer["view"], &view) == nil {
		answer["view"], _ = json.Marshal(view)
		body, _ = json.Marshal(answer) // what was JSON is so again
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// wholeBody is read to its end when it is closed. The SDK stops where the JSON
// does.
type wholeBody struct{ io.ReadCloser }

func (b wholeBody) Close() error {
	const most = 64 << 10 // to read more takes longer than to connect
	_, _ = io.CopyN(io.Discard, b.ReadCloser, most)
	return b.ReadCloser.Close()
}

// errTrigger means that a view cannot be opened by this act any more.
var errTrigger = errors.New("too late to open a window")

// kinds says what Slack's error codes mean for the caller; other codes mean
// nothing but themselves.
var kinds = map[string]error{
	"message_not_found":   chat.ErrGone,
	"cant_update_message": chat.ErrFrozen,
	"edit_window_closed":  chat.ErrFrozen,
	"not_found":           chat.ErrGone,
	"hash_conflict":       chat.ErrGone, // a view that shows something else by now
	"used_url":            chat.ErrGone,
	"expired_url":         chat.ErrGone,

	"channel_not_found":      chat.ErrForbidden,
	"not_in_channel":         chat.ErrForbidden,
	"is_archived":            chat.ErrForbidden,
	"is_inactive":            chat.ErrForbidden, // of an archived channel's message
	"user_not_in_channel":    chat.ErrForbidden,
	"user_not_found":         chat.ErrForbidden,
	"user_disabled":          chat.ErrForbidden,
	"user_not_visible":       chat.ErrForbidden,
	"cannot_dm_bot":          chat.ErrForbidden,
	"messages_tab_disabled":  chat.ErrForbidden,
	"cant_delete_message":    chat.ErrForbidden,
	"no_permission":          chat.ErrForbidden,
	"access_denied":          chat.ErrForbidden,
	"not_allowed_token_type": chat.ErrForbidden,
	"missing_scope":          chat.ErrForbidden,

	"expired_trigger_id":   errTrigger,
	"trigger_expired":      errTrigger,
	"exchanged_trigger_id": errTrigger,
	"trigger_exchanged":    errTrigger,
	"invalid_trigger_id":   errTrigger,
	"push_limit_reached":   errTrigger,
}

// pause is how long to hold back where Slack does not say: its window is a
// minute.
const pause = 30 * time.Second

// codeError is an answer of Slack that says no.
type codeError struct {
	method, code string
	hint         string // what Slack adds
	kind         error  // one of kinds, or nil
}

func (e *codeError) Error() string {
	s := "slack: " + e.method + ": " + e.code
	if e.hint != "" {
		s += " (" + e.hint + ")"
	}
	return s
}

func (e *codeError) Unwrap() error { return e.kind }

// apiError is an error of the SDK in the terms of package chat, without any
// address that was called: some work like passwords.
func apiError(method string, err error) error {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		hint := strings.Join(r.ResponseMetadata.Messages, "; ")
		if r.Needed != "" {
			hint = "needs " + r.Needed
		}
		return refusal(method, r.Err, hint)
	}
	if r, ok := errors.AsType[*slackgo.RateLimitedError](err); ok {
		return rateLimited(method, r.RetryAfter)
	}
	if r, ok := errors.AsType[slackgo.StatusCodeError](err); ok {
		if r.Code == http.StatusTooManyRequests {
			return rateLimited(method, pause)
		}
		return fmt.Errorf("slack: %s: HTTP %d", method, r.Code)
	}
	if _, ok := errors.AsType[*strconv.NumError](err); ok { // of a 429 whose Retry-After is no number of seconds
		return rateLimited(method, pause)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fmt.Errorf("slack: %s: %w", method, err)
}

// refusal is the error for one of Slack's codes.
func refusal(method, code, hint string) error {
	switch code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return rateLimited(method, pause)
	}
	e := &codeError{method: method, code: code, hint: cut(line(hint), 300), kind: kinds[code]}
	if scope, ok := strings.CutPrefix(hint, "needs "); ok && code == "missing_scope" {
		e.kind = &chat.MissingScopeError{Scope: scope}
	}
	if strings.HasPrefix(code, "restricted_action") {
		e.kind = chat.ErrForbidden
	}
	return e
}

func rateLimited(method string, after time.Duration) error {
	return fmt.Errorf("slack: %s: %w", method, &chat.RateLimitedError{RetryAfter: after})
}

// lost are the codes with which Slack refuses a token for good.
var lost = []string{
	"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required", "team_access_not_granted",
}

// tokenLost reports whether Slack refuses the token that a call was made with.
func tokenLost(err error) bool {
	e, ok := errors.AsType[*codeError](err)
	return ok && slices.Contains(lost, e.code)
}

// tokenRefused says what is wrong with the token that a call was made with;
// empty where it is not the token.
func tokenRefused(err error) string {
	if tokenLost(err) {
		return "is refused"
	}
	if e, ok := errors.AsType[*codeError](err); ok {
		switch e.code {
		case "not_allowed_token_type":
			return "is a token of another kind"
		case "missing_scope":
			return "lacks a scope"
		}
	}
	return ""
}
