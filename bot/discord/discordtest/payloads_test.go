package discordtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// TestSendsTheShapesThatDiscordSends compares, by names and kinds of fields,
// with payloads in the shapes of Discord's documentation.
func TestSendsTheShapesThatDiscordSends(t *testing.T) {
	const payloads = "../../../../shared/reference/payloads/discord"
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	b := connect(t, s)
	got := map[string]any{}
	keep := func(name string, do func(object)) func(object) {
		return func(in object) {
			got[name] = in
			do(in)
		}
	}
	hello := object{"content": "x"}
	_, got["gateway.hello"] = dial(t, s)
	other, _ := dial(t, s)
	other.identify()
	got["gateway.ready"] = other.event("READY")
	_ = other.ws.Close()

	show := func(channel string) func(context.Context) (discordtest.Outcome, error) {
		return func(ctx context.Context) (discordtest.Outcome, error) {
			return s.Command(ctx, ana, channel, "show", map[string]string{"name": "gitea"})
		}
	}
	menu := object{"type": 3, "custom_id": "m", "options": []any{object{"label": "l", "value": "v"}}}
	var typed object
	board := b.acts(show(ops), keep("interaction.command", func(in object) {
		typed = in
		b.responds(4, object{"flags": v2, "components": []any{row(button("go", "Go")), row(menu)}})(in)
	})).Message
	if a := rest(t, s, "PUT", "/applications/"+app+"/commands", []any{object{
		"name": "pve", "description": "d", "contexts": []any{0, 1}, "integration_types": []any{0},
		"options": []any{object{"type": 1, "name": "show", "description": "d", "options": []any{object{"type": 3, "name": "name", "description": "d"}}}},
	}}); a.status != 200 {
		t.Fatal(a.body)
	}
	b.acts(show(""), keep("interaction.command.dm", b.responds(4, hello)))
	b.clicked(*board, "go", keep("interaction.button", b.responds(9, modal(row(input("name"))))))
	b.acts(func(ctx context.Context) (discordtest.Outcome, error) {
		return s.Submit(ctx, ana, "form", map[string]string{"name": "x"})
	}, keep("interaction.modal", b.responds(4, hello)))
	b.acts(func(ctx context.Context) (discordtest.Outcome, error) {
		return s.Choose(ctx, ana, board.At(), "m", "v")
	}, keep("interaction.select", b.responds(6, nil)))
	done := make(chan error, 1)
	ctx := soon(t)
	go func() {
		_, err := s.Autocomplete(ctx, ana, ops, "show", "name", "gi")
		done <- err
	}()
	keep("interaction.autocomplete", b.responds(8, object{"choices": []any{}}))(b.event("INTERACTION_CREATE"))
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	got["error.10008"] = rest(t, s, "GET", "/channels/"+ops+"/messages/1", nil).body
	got["error.10062"] = rest(t, s, "POST", "/interactions/1/x/callback", object{"type": 5}).body
	got["error.40060"] = b.respond(typed, 4, hello).body
	got["error.50001"] = rest(t, s, "POST", "/channels/"+away+"/messages", hello).body
	got["error.50013"] = rest(t, s, "POST", "/channels/"+mute+"/messages", hello).body
	got["error.50027"] = rest(t, s, "POST", "/webhooks/"+app+"/x", hello).body
	got["error.50035"] = rest(t, s, "POST", "/channels/"+ops+"/messages", object{"flags": v2, "components": []any{row(button(chars(101), "x"))}}).body
	s.RateLimit("POST /channels/", 1, 650*time.Millisecond, false)
	got["error.429"] = rest(t, s, "POST", "/channels/"+ops+"/messages", hello).body
	now.Add(2 * time.Hour)
	for range 4 {
		got["error.30046"] = rest(t, s, "PATCH", "/channels/"+ops+"/messages/"+board.ID, object{"flags": v2, "components": []any{text("x")}}).body
	}

	wiretest.Shape{Part: "d"}.Files(t, payloads, got)
}
