package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
)

// A response address answers one act: five times in half an hour, also where
// the bot is not a member.
// https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
const (
	responseUses = 5
	responseLife = 30 * time.Minute
)

// mode is what a response address can do to the message it stands for.
type mode string

const (
	slash mode = "slash" // replace what it made; not remove it
	own   mode = "own"   // replace and remove the private message that was pressed
	more  mode = "more"  // only make another private message
)

// ref is a private message that is reached through a response address.
func (m mode) ref(channel, id string, address Secret, now time.Time) chat.Ref {
	return chat.NewRef(chat.Ref{
		Platform: chat.Slack, Kind: chat.PrivateRef, Channel: channel, ID: id, Until: now.Add(responseLife),
	}, string(m)+" "+string(address))
}

func parseKey(at chat.Ref) (mode, Secret) {
	m, address, _ := strings.Cut(at.Key(), " ")
	return mode(m), Secret(address)
}

// answers counts what response addresses were used for.
type answers struct {
	now func() time.Time

	mu   sync.Mutex
	uses map[Secret]*uses
}

type uses struct {
	n     int
	until time.Time
}

// take counts a use, or reports that there is none left.
func (u *answers) take(address Secret) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	known := u.uses[address]
	if known == nil {
		for k, v := range u.uses {
			if now.Sub(v.until) > responseLife {
				delete(u.uses, k)
			}
		}
		if u.uses == nil {
			u.uses = map[Secret]*uses{}
		}
		known = &uses{until: now.Add(responseLife)}
		u.uses[address] = known
	}
	if known.n >= responseUses || now.After(known.until) {
		return false
	}
	known.n++
	return true
}

// reply is what a response address takes.
type reply struct {
	message
	Type            string `json:"response_type,omitempty"`
	ReplaceOriginal bool   `json:"replace_original"`
	UnfurlLinks     bool   `json:"unfurl_links"`
	UnfurlMedia     bool   `json:"unfurl_media"`
}

func response(m chat.Message, replace bool) any {
	return reply{message: renderMessage(m), Type: "ephemeral", ReplaceOriginal: replace}
}

var deleteOriginal = struct {
	DeleteOriginal bool `json:"delete_original"`
}{true}

// respond posts to a response address. The SDK's own call loses the reason of
// a refusal, and its errors hold the address.
func (a *Adapter) respond(ctx context.Context, address Secret, body any) error {
	const method = "response_url"
	if address == "" || !a.answers.take(address) {
		return fmt.Errorf("slack: %s: %w", method, chat.ErrGone)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("slack: %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(address), bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("slack: %s is no address", method)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := a.config.HTTPClient.Do(req)
	if err != nil {
		return apiError(method, err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return apiError(method, err)
	}
	// The answer is JSON, or one word of plain text.
	var answer struct {
		OK    bool                     `json:"ok"`
		Error string                   `json:"error"`
		Meta  slackgo.ResponseMetadata `json:"response_metadata"`
	}
	if json.Unmarshal(said, &answer) != nil {
		answer.Error = cut(line(strings.TrimSpace(string(said))), 60)
		answer.OK = answer.Error == "ok" || answer.Error == ""
	}
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		after := pause
		if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
			after = time.Duration(s) * time.Second
		}
		return rateLimited(method, after)
	case res.StatusCode == http.StatusOK && answer.OK:
		return nil
	case res.StatusCode == http.StatusNotFound && kinds[answer.Error] == nil:
		return fmt.Errorf("slack: %s: HTTP 404: %w", method, chat.ErrGone)
	case res.StatusCode >= 500, answer.Error == "":
		return fmt.Errorf("slack: %s: HTTP %d", method, res.StatusCode)
	}
	return refusal(method, answer.Error, strings.Join(answer.Meta.Messages, "; "))
}
