package discord

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestDiscordIsAChatPlatform(t *testing.T) {
	for name, http := range map[string]bool{"gateway": false, "http": true} {
		t.Run(name, func(t *testing.T) {
			chattest.Run(t, chattest.Harness{
				Bubble: synctest.Test,
				Open: func(t *testing.T, h chat.Handler) chattest.Room {
					s := &scene{t: t, logs: &chattest.Log{}, http: http}
					s.open(h)
					return &room{Adapter: s.Adapter, scene: s}
				},
			})
		})
	}
}

// room is the guild as chattest sees it.
type room struct {
	*Adapter
	scene *scene
}

func (*room) Ana() string  { return anaID }
func (*room) Ben() string  { return benID }
func (*room) Ops() string  { return ops }
func (*room) Away() string { return apart }

func (r *room) Type(person, channel, command string, options map[string]string) {
	r.scene.t.Helper()
	r.scene.typed(person, channel, command, options)
}

// newest is the newest message with a control of that label.
func (r *room) newest(person, channel, label string) *discordtest.Message {
	var found *discordtest.Message
	for _, m := range r.scene.sim.Messages(channel, person) {
		if _, ok := m.Control(label); ok {
			found = &m
		}
	}
	return found
}

func (r *room) Press(person, channel, label string) {
	r.scene.t.Helper()
	m := r.newest(person, channel, label)
	if m == nil {
		r.scene.t.Fatalf("nothing has %q", label)
	}
	r.scene.press(person, *m, label)
}

func (r *room) Fill(person, channel string, values map[string]string) map[string]string {
	r.scene.t.Helper()
	for _, label := range []string{"Type its name…", "Try again"} {
		if m := r.newest(person, channel, label); m != nil && r.scene.sim.Modal(person) == nil {
			r.scene.press(person, *m, label)
		}
	}
	form := r.scene.sim.Modal(person)
	if form == nil {
		r.scene.t.Fatal("no form is open")
	}
	before := map[string]string{}
	for _, f := range form.Fields {
		before[f.CustomID] = f.Value
	}
	r.scene.must(r.scene.sim.Submit(r.scene.ctx, person, form.CustomID, values))
	return before
}

func (r *room) Seen(person, channel string) []string { return r.scene.texts(channel, person) }
func (r *room) Direct(person string) []string        { return r.scene.texts("", person) }

func (r *room) Pings(channel string) []string {
	var out []string
	for _, m := range r.scene.sim.Messages(channel, benID) {
		out = append(out, m.Mentions...)
	}
	return out
}

func (r *room) Await(what string, cond func() bool) { r.scene.t.Helper(); r.scene.await(what, cond) }

func (r *room) Redeliver() { r.scene.sim.Redeliver() }

func (r *room) Cut() {
	if r.scene.http {
		r.scene.listen()
		return
	}
	before := r.scene.sim.Identifies()
	r.scene.sim.CloseGateway(4000)
	r.scene.await("another connection", func() bool { return r.scene.sim.Identifies() > before && r.scene.sim.Connected() == 1 })
}

func (r *room) Limit(n int, after time.Duration) {
	r.scene.sim.RateLimit("PATCH /channels/", n, after, false)
}

func (r *room) Remove(at chat.Ref) {
	r.scene.sim.DeleteMessage(discordtest.At{Channel: at.Channel, Message: at.ID})
}

func (r *room) Stop() {
	r.scene.stop()
	r.scene.await("the end", func() bool { return strings.Contains(r.Health().Detail, "stopped") })
}

func (r *room) Log() string { return r.scene.logs.String() }

// Secrets are the bot's token, and how every interaction's token begins.
func (r *room) Secrets() ([]string, int) {
	n := 0
	for _, q := range r.scene.sim.Requests() {
		if strings.Contains(q.Path, "aW50ZXJhY3Rpb2") {
			n++
		}
	}
	return []string{canary, "aW50ZXJhY3Rpb2"}, n
}
