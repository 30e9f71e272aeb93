package slacktest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestACommand(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "show gitea") })
	e := b.next(nil)
	if r := <-done; r.err != nil || r.EnvelopeID != e["envelope_id"] || r.Ack != nil {
		t.Errorf("%+v", r)
	}
	p := e["payload"].(object)
	want := object{
		"token": "legacy-verification-token", "team_id": "T0TEAM001", "team_domain": "example", "channel_id": ops, "channel_name": "ops",
		"user_id": ana, "user_name": "ana", "command": "/pve", "text": "show gitea", "api_app_id": "A0APP0001",
		"is_enterprise_install": "false", "response_url": p["response_url"], "trigger_id": p["trigger_id"],
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	if e["type"] != "slash_commands" || e["accepts_response_payload"] != true {
		t.Error(e)
	}
}

func TestWhereACommandCanBeTyped(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	s.AddChannel("C0PRIV0001", "secret", false, ana)
	s.MakePrivate("C0PRIV0001")
	for channel, name := range map[string]string{"C0PRIV0001": "privategroup", s.DM(ana): "directmessage"} {
		done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, channel, "") })
		e := b.next(func(p object) any {
			if r := respond(t, p["response_url"].(string), object{"text": "hi"}); !r.ok() {
				t.Error(r.object)
			}
			return nil
		})
		if r := <-done; r.err != nil {
			t.Error(r.err)
		}
		if got := e["payload"].(object)["channel_name"]; got != name {
			t.Errorf("channel_name = %v, want %s", got, name)
		}
		if diff := cmp.Diff([]string{"hi"}, texts(s.Messages(channel, ana))); diff != "" {
			t.Error(diff)
		}
	}
	for who, channel := range map[string]string{bob: "C0PRIV0001", "U0NOBODY1": ops, ana: "C0NONE0001"} {
		if _, err := s.Command(soon(t), who, channel, ""); err == nil {
			t.Errorf("%s typed into %s", who, channel)
		}
	}
}

func TestAnAcknowledgementCanAnswerACommand(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	for _, ack := range []object{{"text": "private"}, {"text": "public", "response_type": "in_channel"}, {"blocks": []any{object{"type": "x"}}}} {
		done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
		b.next(func(object) any { return ack })
		if r := <-done; r.err != nil {
			t.Error(r.err)
		}
	}
	if diff := cmp.Diff([]string{"private", "public"}, texts(s.Messages(ops, ana))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"public"}, texts(s.Messages(ops, bob))); diff != "" {
		t.Error(diff)
	}
	if got := s.Unexpected(); len(got) != 1 {
		t.Errorf("unexpected: %q", got)
	}
}

// board is a message with every kind of control.
func board(t *testing.T, s *slacktest.Server) slacktest.At {
	t.Helper()
	stop := with(with(button("ct:1:stop", "Stop"), "style", "danger"), "value", "1")
	stop["confirm"] = object{"title": plain("Stop?"), "text": mrkdwn("*now*"), "confirm": plain("Stop it"), "deny": plain("Cancel"), "style": "danger"}
	r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "board", "blocks": []any{
		with(with(section("one"), "block_id", "row:1"), "accessory", object{"type": "overflow", "action_id": "ct:1:menu", "options": []any{
			option("ct:1:show"), with(option("ct:1:web"), "url", "https://example.com/"),
		}}),
		with(actions(
			stop,
			with(button("web", "Web"), "url", "https://example.com/web"),
			object{"type": "static_select", "action_id": "filter", "placeholder": plain("Filter"), "options": []any{option("all"), option("stopped")}, "initial_option": option("all")},
			object{"type": "checkboxes", "action_id": "boxes", "options": []any{option("a"), option("b")}, "initial_options": []any{option("a")}},
		), "block_id", "controls"),
		with(actions(button("twice", "A")), "block_id", "first"),
		with(actions(button("twice", "B")), "block_id", "second"),
	}})
	if !r.ok() {
		t.Fatal(r.object)
	}
	return slacktest.At{Channel: ops, TS: r.str("ts")}
}

func TestControlsOfAMessage(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	at := board(t, s)
	in := func(block string) slacktest.At { at := at; at.Block = block; return at }
	confirm := object{"title": plain("Stop?"), "text": mrkdwn("*now*"), "confirm": plain("Stop it"), "deny": plain("Cancel"), "style": "danger"}
	for _, tt := range []struct {
		name   string
		act    func() (slacktest.Outcome, error)
		action object
		out    slacktest.Outcome
	}{
		{
			"a button that asks first", func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "ct:1:stop") },
			object{"type": "button", "action_id": "ct:1:stop", "block_id": "controls", "text": plain("Stop"), "value": "1", "style": "danger", "confirm": confirm},
			slacktest.Outcome{Asked: &slacktest.Dialog{Title: "Stop?", Text: "*now*", Confirm: "Stop it", Deny: "Cancel", Style: "danger"}},
		},
		{
			"a button that opens a page", func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "web") },
			object{"type": "button", "action_id": "web", "block_id": "controls", "text": plain("Web"), "url": "https://example.com/web"},
			slacktest.Outcome{URL: "https://example.com/web"},
		},
		{
			"a menu's option, by its value", func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "ct:1:show") },
			object{"type": "overflow", "action_id": "ct:1:menu", "block_id": "row:1", "selected_option": option("ct:1:show")},
			slacktest.Outcome{},
		},
		{
			"a menu's option that opens a page", func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "ct:1:menu", "ct:1:web") },
			object{"type": "overflow", "action_id": "ct:1:menu", "block_id": "row:1", "selected_option": with(option("ct:1:web"), "url", "https://example.com/")},
			slacktest.Outcome{URL: "https://example.com/"},
		},
		{
			"a select", func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "filter", "stopped") },
			object{"type": "static_select", "action_id": "filter", "block_id": "controls", "placeholder": plain("Filter"), "selected_option": option("stopped")},
			slacktest.Outcome{},
		},
		{
			"a box to tick", func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "boxes", "b") },
			object{"type": "checkboxes", "action_id": "boxes", "block_id": "controls", "selected_options": []any{option("a"), option("b")}},
			slacktest.Outcome{},
		},
		{
			"a box to untick", func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "boxes", "a") },
			object{"type": "checkboxes", "action_id": "boxes", "block_id": "controls", "selected_options": []any{option("b")}},
			slacktest.Outcome{},
		},
		{
			"one of two with the same id", func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, in("second"), "twice") },
			object{"type": "button", "action_id": "twice", "block_id": "second", "text": plain("B")},
			slacktest.Outcome{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			done := act(tt.act)
			e := b.next(nil)
			r := <-done
			if r.err != nil {
				t.Fatal(r.err)
			}
			if diff := cmp.Diff(tt.out, r.Outcome, cmpopts.IgnoreFields(slacktest.Outcome{}, "EnvelopeID", "Took")); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			p := e["payload"].(object)
			got := p["actions"].([]any)[0].(object)
			if diff := cmp.Diff(tt.action, without(got, "action_ts")); diff != "" || got["action_ts"] == "" {
				t.Errorf("action (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(object{"type": "message", "message_ts": at.TS, "channel_id": ops, "is_ephemeral": false}, p["container"]); diff != "" {
				t.Errorf("container (-want +got):\n%s", diff)
			}
			if p["message"].(object)["ts"] != at.TS || p["channel"].(object)["name"] != "ops" || p["user"].(object)["id"] != ana {
				t.Error(p)
			}
		})
	}
	// What one person has chosen, another does not see.
	done := act(func() (slacktest.Outcome, error) { return s.Click(soon(t), bob, at, "web") })
	p := b.next(nil)["payload"].(object)
	<-done
	if got := p["state"].(object)["values"].(object)["controls"].(object)["filter"]; !cmp.Equal(got, object{"type": "static_select", "selected_option": option("all")}) {
		t.Errorf("bob's filter: %v", got)
	}
}

func TestWhatCannotBeClicked(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	connect(t, s)
	at := board(t, s)
	private := call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "x", "blocks": []any{actions(button("hide", "Hide"))}}).str("message_ts")
	s.AddUser("U0CARL001", "carl")
	for name, f := range map[string]func() (slacktest.Outcome, error){
		"no such button":         func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "ct:2:stop") },
		"a menu, not its option": func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "ct:1:menu") },
		"a select":               func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "filter") },
		"no such option":         func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "filter", "running") },
		"an option of another":   func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "filter", "ct:1:show") },
		"two of them":            func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "twice") },
		"somebody else's message": func() (slacktest.Outcome, error) {
			return s.Click(soon(t), bob, slacktest.At{Channel: ops, TS: private}, "hide")
		},
		"a channel without them": func() (slacktest.Outcome, error) { return s.Click(soon(t), "U0CARL001", at, "web") },
		"no message": func() (slacktest.Outcome, error) {
			return s.Click(soon(t), ana, slacktest.At{Channel: ops, TS: "1.0"}, "web")
		},
		"no modal":               func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, slacktest.At{View: "V1"}, "web") },
		"nobody":                 func() (slacktest.Outcome, error) { return s.Click(soon(t), "U0NOBODY1", at, "web") },
		"no question to decline": func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, at, "web", slacktest.WithCancel) },
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := f(); err == nil || out.EnvelopeID != "" {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	out, err := s.Click(soon(t), ana, at, "ct:1:stop", slacktest.WithCancel)
	if err != nil || !out.Cancelled || out.Asked == nil || out.EnvelopeID != "" {
		t.Errorf("%+v, %v", out, err)
	}
	if got := s.Acks(); len(got) != 0 {
		t.Errorf("the bot heard of it: %+v", got)
	}
}

func TestAClickOnAPrivateMessage(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	parent := call(t, s, "chat.postMessage", object{"channel": ops, "text": "parent"}).str("ts")
	ts := call(t, s, "chat.postEphemeral", object{
		"channel": ops, "user": ana, "text": "x", "thread_ts": parent, "blocks": []any{actions(button("hide", "Hide"))},
	}).str("message_ts")
	done := act(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), ana, slacktest.At{Channel: ops, TS: ts}, "hide")
	})
	p := b.next(nil)["payload"].(object)
	<-done
	if diff := cmp.Diff(object{"type": "message", "message_ts": ts, "channel_id": ops, "is_ephemeral": true, "thread_ts": parent}, p["container"]); diff != "" {
		t.Error(diff)
	}
	if _, ok := p["message"]; ok {
		t.Error("a private message is not shown to the app")
	}
}

func TestChoosingInAForm(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	node := input("node", object{"type": "static_select", "action_id": "v", "options": []any{option("pve1"), option("pve2")}})
	net := with(input("net", object{"type": "radio_buttons", "action_id": "w", "options": []any{option("dhcp"), option("static")}}), "dispatch_action", true)
	v := opened(t, s, b, modal(node, net))
	at := slacktest.At{View: v.ID}
	if out, err := s.Choose(soon(t), ana, at, "v", "pve2"); err != nil || out.EnvelopeID != "" {
		t.Errorf("%+v, %v: the bot is not told of an input", out, err)
	}
	done := act(func() (slacktest.Outcome, error) { return s.Choose(soon(t), ana, at, "w", "static") })
	p := b.next(nil)["payload"].(object)
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
	values := p["view"].(object)["state"].(object)["values"].(object)
	if diff := cmp.Diff(object{
		"node": object{"v": object{"type": "static_select", "selected_option": option("pve2")}},
		"net":  object{"w": object{"type": "radio_buttons", "selected_option": option("static")}},
	}, values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(object{"type": "view", "view_id": v.ID}, p["container"]); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"response_url", "message", "channel"} {
		if p[name] != nil {
			t.Errorf("%s in an interaction with a modal", name)
		}
	}
}
