package slack

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestSlackIsAChatPlatform(t *testing.T) {
	for name, http := range map[string]bool{"socket": false, "http": true} {
		t.Run(name, func(t *testing.T) {
			chattest.Run(t, chattest.Harness{Open: func(t *testing.T, h chat.Handler) chattest.Room {
				d := office(t, setup{h: h, http: http})
				return &room{Adapter: d.a, desk: d}
			}})
		})
	}
}

// room is the workspace as chattest sees it.
type room struct {
	*Adapter
	desk *desk
}

func (*room) Ana() string  { return ana }
func (*room) Ben() string  { return bob }
func (*room) Ops() string  { return ops }
func (*room) Away() string { return away }

func (r *room) Type(person, channel, command string, options map[string]string) {
	r.desk.t.Helper()
	for _, v := range options {
		command += " " + v
	}
	r.desk.types(person, channel, command)
}

func (r *room) Press(person, channel, label string) {
	r.desk.t.Helper()
	at, blocks := slacktest.At{}, json.RawMessage(nil)
	for _, m := range r.desk.s.Messages(channel, person) {
		if strings.Contains(string(m.Blocks), `"`+label+`"`) {
			at, blocks = slacktest.At{Channel: channel, TS: m.TS}, m.Blocks
		}
	}
	if views := r.desk.s.Views(person); len(views) > 0 {
		top := views[len(views)-1]
		at, blocks = slacktest.At{View: top.ID}, top.Raw
	}
	id := ""
	walk(blocks, func(o map[string]any) {
		if text, ok := o["text"].(map[string]any); ok && text["text"] == label && o["action_id"] != nil {
			id, _ = o["action_id"].(string)
		}
	})
	r.desk.clicks(person, at, id)
}

func (r *room) Fill(person, _ string, values map[string]string) map[string]string {
	r.desk.t.Helper()
	r.desk.await("a form", func() bool { return len(r.desk.s.Views(person)) > 0 })
	views := r.desk.s.Views(person)
	top := views[len(views)-1]
	var view struct {
		State struct {
			Values map[string]map[string]struct{ Value string }
		}
	}
	if err := json.Unmarshal(top.Raw, &view); err != nil {
		r.desk.t.Fatal(err)
	}
	before := map[string]string{}
	for id, elements := range view.State.Values {
		for _, e := range elements {
			before[id] = e.Value
		}
	}
	if _, err := r.desk.s.Submit(r.desk.ctx, person, top.ID, values); err != nil {
		r.desk.t.Fatal(err)
	}
	return before
}

// ended is what the bot leaves where Slack lets it remove nothing.
const ended = "This has ended."

func (r *room) Seen(person, channel string) []string {
	var out []string
	for _, m := range r.desk.s.Messages(channel, person) {
		out = append(out, wording(m.Blocks))
	}
	for _, v := range r.desk.s.Views(person) {
		errs := ""
		for _, e := range v.Errors {
			errs += e + "\n"
		}
		out = append(out, errs+v.Title+"\n"+wording(v.Raw))
	}
	return slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, ended) })
}

func (r *room) Direct(person string) []string {
	var out []string
	for _, m := range r.desk.s.Messages(r.desk.s.DM(person), person) {
		out = append(out, wording(m.Blocks))
	}
	return out
}

// calls are Slack's marks for people, groups and everybody.
var calls = regexp.MustCompile(`<[!@#][^>]*>`)

func (r *room) Pings(channel string) []string {
	var out []string
	for _, m := range r.desk.s.Messages(channel, bob) {
		out = append(out, calls.FindAllString(m.Text, -1)...)
		walk(m.Blocks, func(o map[string]any) {
			if s, ok := o["text"].(string); ok && o["type"] == "mrkdwn" {
				out = append(out, calls.FindAllString(s, -1)...)
			}
			if kind, _ := o["type"].(string); slices.Contains([]string{"user", "usergroup", "broadcast", "channel"}, kind) {
				out = append(out, kind)
			}
		})
	}
	return out
}

func (r *room) Await(what string, cond func() bool) { r.desk.t.Helper(); r.desk.await(what, cond) }

func (r *room) Redeliver() {
	if err := r.desk.s.Redeliver(""); err != nil {
		r.desk.t.Fatal(err)
	}
}

func (r *room) Cut() {
	if r.desk.web != nil {
		r.desk.listen()
		return
	}
	before := r.desk.s.Connections()
	r.desk.s.Disconnect("")
	r.desk.await("another connection", func() bool {
		now := r.desk.s.Connections()
		return len(now) > 0 && !slices.Contains(before, now[0])
	})
}

func (r *room) Limit(n int, after time.Duration) { r.desk.s.RateLimit("chat.update", n, after) }

func (r *room) Remove(at chat.Ref) {
	if err := r.desk.s.DeleteMessage(at.Channel, at.ID); err != nil {
		r.desk.t.Fatal(err)
	}
}

func (r *room) Stop() {
	if err := r.desk.stop(); err != nil {
		r.desk.t.Error(err)
	}
}

func (r *room) Log() string { return r.desk.log.String() }

// Secrets are the tokens, and what makes a response address or a trigger one.
func (r *room) Secrets() ([]string, int) {
	return []string{"canary", "/commands/T0", "/actions/T0", "ticket=", ".1395872398."}, len(r.desk.s.Acks())
}

// wording is every word that blocks show.
func wording(blocks json.RawMessage) string {
	var out []string
	walk(blocks, func(o map[string]any) {
		if s, ok := o["text"].(string); ok {
			out = append(out, s)
		}
	})
	return strings.Join(out, "\n")
}

// walk visits every object.
func walk(raw json.RawMessage, visit func(map[string]any)) {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return
	}
	var down func(any)
	down = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				down(e)
			}
		case map[string]any:
			visit(v)
			for _, e := range v {
				down(e)
			}
		}
	}
	down(v)
}
