package discord

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// original names the message that answered an interaction.
const original = "@original"

// Post implements [chat.Platform]. Whether m is public is up to the place:
// everybody in a channel sees it.
func (a *Adapter) Post(ctx context.Context, to chat.Target, m chat.Message) (chat.Ref, error) {
	channel := to.Channel
	switch {
	case channel == "" && to.Person != "":
		var err error
		if channel, err = a.direct(ctx, to.Person); err != nil {
			return chat.Ref{}, err
		}
	case channel == "":
		channel = to.Thread.Channel
	}
	if !snowflake(channel) {
		return chat.Ref{}, fmt.Errorf("discord: no channel to post to: %w", chat.ErrGone)
	}
	w, err := a.render(m)
	if err != nil {
		return chat.Ref{}, err
	}
	body := *w.message
	body.Flags = flagComponents
	if to.Thread.Kind == chat.MessageRef && to.Thread.Channel == channel {
		body.Reference = &messageLink{ID: to.Thread.ID}
	}
	var sent source
	r := request{
		method: http.MethodPost, path: "channels/" + channel + "/messages",
		route: "channels/{channel}/messages", bucket: "channels/" + channel,
	}
	if err := a.call(ctx, r, body, &sent); err != nil {
		return chat.Ref{}, err
	}
	return messageRef(channel, sent.ID), nil
}

func messageRef(channel, id string) chat.Ref {
	return chat.Ref{Platform: chat.Discord, Kind: chat.MessageRef, Channel: channel, ID: id}
}

// direct is the channel of direct messages with a person.
func (a *Adapter) direct(ctx context.Context, person string) (string, error) {
	a.mu.Lock()
	channel := a.dms[person]
	a.mu.Unlock()
	if channel != "" {
		return channel, nil
	}
	var made struct {
		ID string `json:"id"`
	}
	r := request{method: http.MethodPost, path: "users/@me/channels", route: "users/@me/channels", bucket: "users/@me/channels"}
	if err := a.call(ctx, r, map[string]string{"recipient_id": person}, &made); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dms[person] = made.ID
	return made.ID, nil
}

// Update implements [chat.Platform]. A private message is reached for fifteen
// minutes; one in a channel that has been edited too often since its first hour
// is gone, too: post it anew.
func (a *Adapter) Update(ctx context.Context, at chat.Ref, s chat.Surface) error {
	w, err := a.render(s)
	if err != nil {
		return err
	}
	body := *w.message
	body.Flags = flagComponents
	r, err := a.reach(http.MethodPatch, at)
	if err != nil {
		return err
	}
	if r.bucket != "" && a.now().Sub(sentAt(at.ID)) > oldEditsAfter {
		if err := a.pace.Wait(ctx, at.Channel, oldEdits, patience); err != nil {
			return fmt.Errorf("discord: old message in channel %s: %w", at.Channel, err)
		}
	}
	return a.call(ctx, r, body, nil)
}

// Delete implements [chat.Platform].
func (a *Adapter) Delete(ctx context.Context, at chat.Ref) error {
	r, err := a.reach(http.MethodDelete, at)
	if err != nil {
		return err
	}
	return a.call(ctx, r, nil, nil)
}

// reach is the request for the message at a Ref.
func (a *Adapter) reach(method string, at chat.Ref) (request, error) {
	switch {
	case at.Zero(), at.Platform != chat.Discord,
		!at.Until.IsZero() && !a.now().Before(at.Until):
		return request{}, fmt.Errorf("discord: %s: %w", at, chat.ErrGone)
	case at.Key() != "":
		t, message := splitGrip(at.Key())
		return a.byToken(method, t, message), nil
	case !snowflake(at.Channel) || !snowflake(at.ID):
		return request{}, fmt.Errorf("discord: %s: %w", at, chat.ErrGone)
	}
	return request{
		method: method, path: "channels/" + at.Channel + "/messages/" + at.ID,
		route: "channels/{channel}/messages/{message}", bucket: "channels/" + at.Channel,
	}, nil
}

// byToken is the request for a message that an interaction's token reaches;
// for a new one where no message is named.
func (a *Adapter) byToken(method string, t token, message string) request {
	r := request{
		method: method,
		path:   "webhooks/" + a.cfg.ApplicationID + "/" + url.PathEscape(string(t)),
		route:  "webhooks/{application}/{token}",
	}
	if message != "" {
		r.path += "/messages/" + message
		r.route += "/messages/{message}"
	}
	return r
}

// render renders s for a place that can only show messages, and takes care of
// the values that open as forms.
func (a *Adapter) render(s chat.Surface) (rendered, error) {
	if f, ok := s.(chat.Form); ok && asksAtOnce(f) {
		s = opener(f)
	}
	nonce := rand.Text()
	w, err := render(s, nonce)
	if err != nil {
		return w, err
	}
	a.copies.keep(a.now(), nonce, w.copies)
	return w, nil
}

// sentAt is when the message was sent: its id holds it, see "Snowflakes" in
// Discord's reference.
func sentAt(id string) time.Time {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(n>>22) + 1420070400000)
}

// pause is how long the platform wants to be left alone, where err says so.
func pause(err error) (time.Duration, bool) {
	var limited *chat.RateLimitedError
	if errors.As(err, &limited) {
		return limited.RetryAfter, true
	}
	return 0, false
}
