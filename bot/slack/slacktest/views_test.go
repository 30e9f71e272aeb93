package slacktest_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// typed lets ana type the command while the bot does something with the
// payload before it acknowledges.
func typed(t *testing.T, s *slacktest.Server, b *bot, do func(payload object)) {
	t.Helper()
	done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
	b.next(func(p object) any { do(p); return nil })
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
}

// opened opens a modal for ana and returns it.
func opened(t *testing.T, s *slacktest.Server, b *bot, view object) slacktest.View {
	t.Helper()
	typed(t, s, b, func(p object) {
		if r := call(t, s, "views.open", object{"trigger_id": p["trigger_id"], "view": view}); !r.ok() {
			t.Fatalf("views.open: %v", r.object)
		}
	})
	stack := s.Views(ana)
	return stack[len(stack)-1]
}

// pressed clicks a button of ana's modal while the bot does something.
func pressed(t *testing.T, s *slacktest.Server, b *bot, view, action string, do func(payload object)) {
	t.Helper()
	done := act(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), ana, slacktest.At{View: view}, action)
	})
	b.next(func(p object) any { do(p); return nil })
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
}

func titles(list []slacktest.View) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Title)
	}
	return out
}

func titled(title string, blocks ...any) object { return with(modal(blocks...), "title", plain(title)) }

func TestATriggerOpensOneViewWithinThreeSeconds(t *testing.T) {
	c := wiretest.NewClock()
	s := workspace(t, slacktest.Options{Now: c.Now})
	b := connect(t, s)
	view := modal(section("s"))
	open := func(trigger any) string {
		return call(t, s, "views.open", object{"trigger_id": trigger, "view": view}).code()
	}
	typed(t, s, b, func(p object) {
		c.Add(3 * time.Second)
		for _, want := range []string{"", "exchanged_trigger_id"} {
			if got := open(p["trigger_id"]); got != want {
				t.Errorf("error %q, want %q", got, want)
			}
		}
	})
	typed(t, s, b, func(p object) {
		c.Add(3*time.Second + time.Millisecond)
		if got := open(p["trigger_id"]); got != "expired_trigger_id" {
			t.Errorf("error %q", got)
		}
	})
	if got := open("12345.678.abc"); got != "invalid_trigger_id" {
		t.Errorf("error %q", got)
	}
	if got := call(t, s, "views.open", object{"view": view}).code(); got != "invalid_arguments" {
		t.Errorf("error %q", got)
	}
	if got := call(t, s, "views.open", object{"trigger_id": "x", "view": "nothing"}).code(); got != "invalid_arguments" {
		t.Errorf("error %q", got)
	}
}

func TestAStackHasThreeViews(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	more := actions(button("more", "More"))
	top := opened(t, s, b, titled("1", more))
	for _, title := range []string{"2", "3"} {
		pressed(t, s, b, top.ID, "more", func(p object) {
			r := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": titled(title, more)})
			if !r.ok() || r.str("view", "root_view_id") != s.Views(ana)[0].ID || r.str("view", "previous_view_id") != top.ID {
				t.Errorf("%v", r.object)
			}
		})
		stack := s.Views(ana)
		top = stack[len(stack)-1]
	}
	pressed(t, s, b, top.ID, "more", func(p object) {
		if got := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": titled("4", more)}).code(); got != "push_limit_reached" {
			t.Errorf("error %q", got)
		}
		if r := call(t, s, "views.update", object{"view_id": s.Views(ana)[0].ID, "view": titled("1b", more)}); !r.ok() {
			t.Errorf("a view below the top: %v", r.object)
		}
	})
	if diff := cmp.Diff([]string{"1b", "2", "3"}, titles(s.Views(ana))); diff != "" {
		t.Error(diff)
	}
	// Only the view on top can be acted on.
	if _, err := s.Click(soon(t), ana, slacktest.At{View: s.Views(ana)[0].ID}, "more"); err == nil {
		t.Error("clicked below the top")
	}
	typed(t, s, b, func(p object) {
		if got := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": titled("x")}).code(); got != "invalid_arguments" {
			t.Errorf("a view without blocks: %q", got)
		}
		if got := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": titled("x", more)}).code(); got != "invalid_trigger_id" {
			t.Errorf("a push that follows no modal: %q", got)
		}
	})
}

func TestUpdatesAView(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	v := opened(t, s, b, with(titled("1", section("s")), "external_id", "panel"))
	update := func(args object) reply { return call(t, s, "views.update", args) }

	r := update(object{"view_id": v.ID, "hash": v.Hash, "view": titled("2", section("s"))})
	if !r.ok() || r.str("view", "hash") == v.Hash || r.str("view", "id") != v.ID {
		t.Error(r.object)
	}
	if got := update(object{"view_id": v.ID, "hash": v.Hash, "view": titled("3", section("s"))}).code(); got != "hash_conflict" {
		t.Error(got)
	}
	if got := update(object{"external_id": "panel", "view": titled("3", section("s"))}).code(); got != "not_found" {
		t.Errorf("the second version has no external_id: %q", got)
	}
	if r := update(object{"view_id": v.ID, "view": with(titled("4", section("s")), "external_id", "panel")}); !r.ok() {
		t.Error(r.object)
	}
	if r := update(object{"external_id": "panel", "view": with(titled("5", section("s")), "external_id", "panel")}); !r.ok() {
		t.Error(r.object)
	}
	typed(t, s, b, func(p object) {
		again := with(titled("x", section("s")), "external_id", "panel")
		if got := call(t, s, "views.open", object{"trigger_id": p["trigger_id"], "view": again}).code(); got != "duplicate_external_id" {
			t.Error(got)
		}
	})
	if got := update(object{"view_id": v.ID, "view": home(section("s"))}).code(); got != "invalid_arguments" {
		t.Errorf("a modal that becomes a Home tab: %q", got)
	}
	if got := s.Views(ana)[0]; got.Updates != 3 || got.Title != "5" {
		t.Errorf("%+v", got)
	}

	done := act(func() (slacktest.Outcome, error) { return s.CloseView(soon(t), ana, v.ID) })
	e := b.next(nil)
	if r := <-done; r.err != nil || r.EnvelopeID != e["envelope_id"] {
		t.Errorf("%+v", r)
	}
	p := e["payload"].(object)
	if p["type"] != "view_closed" || p["view"].(object)["id"] != v.ID || p["is_cleared"] != false {
		t.Error(p)
	}
	if got := update(object{"view_id": v.ID, "view": titled("6", section("s"))}).code(); got != "not_found" {
		t.Errorf("a closed view: %q", got)
	}
}

func TestClosingEverythingAtOnce(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	more := actions(button("more", "More"))
	first := opened(t, s, b, titled("1", more))
	pressed(t, s, b, first.ID, "more", func(p object) {
		view := with(titled("2", more), "clear_on_close", true)
		if r := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": view}); !r.ok() {
			t.Fatal(r.object)
		}
	})
	done := act(func() (slacktest.Outcome, error) { return s.CloseView(soon(t), ana, s.Views(ana)[1].ID) })
	for range 2 {
		if e := b.next(nil); e["payload"].(object)["is_cleared"] != true {
			t.Error(e)
		}
	}
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
	if got := s.Views(ana); len(got) != 0 {
		t.Errorf("%v", titles(got))
	}
}

func TestAViewThatDoesNotAskIsClosedInSilence(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	v := opened(t, s, b, without(titled("1", section("s")), "notify_on_close"))
	if out, err := s.CloseView(soon(t), ana, v.ID); err != nil || out.EnvelopeID != "" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestHome(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	if s.Home(ana) != nil {
		t.Error("a Home tab that nobody published")
	}
	done := act(func() (slacktest.Outcome, error) { return s.OpenHome(soon(t), ana) })
	e := b.next(nil)
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
	event := e["payload"].(object)["event"].(object)
	if e["type"] != "events_api" || e["accepts_response_payload"] != false || event["type"] != "app_home_opened" || event["channel"] != s.DM(ana) || event["view"] != nil {
		t.Error(e)
	}

	publish := func(args object) reply { return call(t, s, "views.publish", args) }
	r := publish(object{"user_id": ana, "view": home(actions(button("more", "More")))})
	if !r.ok() {
		t.Fatal(r.object)
	}
	hash := r.str("view", "hash")
	if r := publish(object{"user_id": ana, "hash": hash, "view": home(actions(button("more", "More!")))}); !r.ok() || r.str("view", "id") != s.Home(ana).ID {
		t.Error(r.object)
	}
	if got := publish(object{"user_id": ana, "hash": hash, "view": home(section("s"))}).code(); got != "hash_conflict" {
		t.Error(got)
	}
	if got := publish(object{"user_id": "U0NOBODY1", "view": home(section("s"))}).code(); got != "user_not_found" {
		t.Error(got)
	}
	if got := publish(object{"user_id": ana, "view": modal(section("s"))}).code(); got != "invalid_arguments" {
		t.Error(got)
	}

	click := act(func() (slacktest.Outcome, error) { return s.Click(soon(t), ana, slacktest.At{Home: true}, "more") })
	p := b.next(func(p object) any {
		if got := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": modal(section("s"))}); got.code() != "invalid_arguments" {
			t.Errorf("a push onto a Home tab: %v", got.object)
		}
		return nil
	})["payload"].(object)
	if r := <-click; r.err != nil {
		t.Error(r.err)
	}
	if p["container"].(object)["view_id"] != s.Home(ana).ID || p["view"].(object)["type"] != "home" || p["response_url"] != nil {
		t.Error(p)
	}
	if _, err := s.Click(soon(t), bob, slacktest.At{Home: true}, "more"); err == nil {
		t.Error("bob has no Home tab")
	}
}

var form = modal(
	input("name", object{"type": "plain_text_input", "action_id": "v", "max_length": 8, "min_length": 2}),
	input("disk", object{"type": "number_input", "action_id": "v", "is_decimal_allowed": false, "min_value": "1", "max_value": "2000", "initial_value": "8"}),
	input("node", object{"type": "static_select", "action_id": "v", "options": []any{option("pve1"), option("pve2")}, "initial_option": option("pve1")}),
	with(input("opts", object{"type": "checkboxes", "action_id": "v", "options": []any{option("onboot"), option("start")}}), "optional", true),
	with(input("mail", object{"type": "email_text_input", "action_id": "v"}), "optional", true),
)

func TestTheClientChecksAForm(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	v := opened(t, s, b, form)
	for name, tt := range map[string]struct {
		values map[string]string
		want   map[string]string
	}{
		"a required input":        {nil, map[string]string{"name": "is required"}},
		"too short":               {map[string]string{"name": "a"}, map[string]string{"name": "is below its min_length"}},
		"too long":                {map[string]string{"name": "123456789"}, map[string]string{"name": "is above its max_length"}},
		"no number":               {map[string]string{"name": "ok", "disk": "x"}, map[string]string{"disk": "is no number"}},
		"no whole number":         {map[string]string{"name": "ok", "disk": "1.5"}, map[string]string{"disk": "is no whole number"}},
		"a number too small":      {map[string]string{"name": "ok", "disk": "0"}, map[string]string{"disk": "is below its min_value"}},
		"a number too big":        {map[string]string{"name": "ok", "disk": "2001"}, map[string]string{"disk": "is above its max_value"}},
		"no address":              {map[string]string{"name": "ok", "disk": "1", "mail": "me"}, map[string]string{"mail": "is no address"}},
		"two things, one cleared": {map[string]string{"name": "", "disk": "", "mail": ""}, map[string]string{"name": "is required", "disk": "is required"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Type(ana, v.ID, map[string]string{"name": "", "disk": "8", "mail": ""}); err != nil {
				t.Fatal(err)
			}
			var wrong *slacktest.FormError
			if _, err := s.Submit(soon(t), ana, v.ID, tt.values); !errors.As(err, &wrong) {
				t.Fatalf("err = %v", err)
			}
			if diff := cmp.Diff(tt.want, wrong.Fields); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, values := range map[string]map[string]string{
		"no such input":  {"nothing": "x"},
		"no such option": {"node": "pve9"},
		"no such box":    {"opts": "start,stop"},
	} {
		if _, err := s.Submit(soon(t), ana, v.ID, values); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	if got := len(s.Acks()); got != 1 {
		t.Errorf("%d envelopes, want only that of the command", got)
	}
	typed(t, s, b, func(p object) {
		view := without(modal(section("s")), "submit")
		if r := call(t, s, "views.open", object{"trigger_id": p["trigger_id"], "view": view}); !r.ok() {
			t.Fatal(r.object)
		}
	})
	if _, err := s.Submit(soon(t), ana, s.Views(ana)[0].ID, nil); err == nil {
		t.Error("submitted a modal without a button for it")
	}
}

// submitted sends ana's form and answers it.
func submitted(t *testing.T, s *slacktest.Server, b *bot, view string, values map[string]string, ack func(payload object) any) (result, object) {
	t.Helper()
	done := act(func() (slacktest.Outcome, error) { return s.Submit(soon(t), ana, view, values) })
	e := b.next(ack)
	return <-done, e["payload"].(object)
}

func TestAnswersToAForm(t *testing.T) {
	good := map[string]string{"name": "wiki", "opts": "onboot,start", "node": "pve2"}
	push := object{"response_action": "push", "view": titled("2", section("s"))}
	for _, tt := range []struct {
		name       string
		ack        any
		want       []string // titles of what is open afterwards
		errors     map[string]string
		err        error
		unexpected int
	}{
		{name: "nothing closes it", ack: nil, want: []string{"0"}},
		{name: "an empty object closes it", ack: object{}, want: []string{"0"}},
		{name: "clear closes all", ack: object{"response_action": "clear"}},
		{name: "update replaces it", ack: object{"response_action": "update", "view": titled("2", section("s"))}, want: []string{"0", "2"}},
		{name: "push adds one", ack: push, want: []string{"0", "1", "2"}},
		{name: "errors keep it open", ack: object{"response_action": "errors", "errors": object{"name": "is taken"}}, want: []string{"0", "1"}, errors: map[string]string{"name": "is taken"}},
		{name: "an error for a block that is no input", ack: object{"response_action": "errors", "errors": object{"text": "x"}}, want: []string{"0", "1"}, err: slacktest.ErrTrouble, unexpected: 1},
		{name: "no errors at all", ack: object{"response_action": "errors"}, want: []string{"0", "1"}, err: slacktest.ErrTrouble, unexpected: 1},
		{name: "a view that Slack refuses", ack: object{"response_action": "update", "view": titled("2")}, want: []string{"0", "1"}, err: slacktest.ErrTrouble, unexpected: 1},
		{name: "an unknown action", ack: object{"response_action": "explode"}, want: []string{"0", "1"}, err: slacktest.ErrTrouble, unexpected: 1},
		{name: "no action", ack: object{"text": "x"}, want: []string{"0", "1"}, err: slacktest.ErrTrouble, unexpected: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := workspace(t, slacktest.Options{})
			b := connect(t, s)
			first := opened(t, s, b, titled("0", actions(button("more", "More"))))
			pressed(t, s, b, first.ID, "more", func(p object) {
				view := with(form, "title", plain("1"))
				view["blocks"] = append([]any{with(section("s"), "block_id", "text")}, form["blocks"].([]any)...)
				if r := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": view}); !r.ok() {
					t.Fatal(r.object)
				}
			})
			r, payload := submitted(t, s, b, s.Views(ana)[1].ID, good, func(object) any { return tt.ack })
			if !errors.Is(r.err, tt.err) {
				t.Errorf("err = %v, want %v", r.err, tt.err)
			}
			if diff := cmp.Diff(tt.want, titles(s.Views(ana))); diff != "" {
				t.Errorf("views (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.errors, r.Errors); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if got := s.Unexpected(); len(got) != tt.unexpected {
				t.Errorf("unexpected: %q", got)
			}
			values := payload["view"].(object)["state"].(object)["values"]
			if diff := cmp.Diff(object{
				"name": object{"v": object{"type": "plain_text_input", "value": "wiki"}},
				"disk": object{"v": object{"type": "number_input", "value": "8"}},
				"node": object{"v": object{"type": "static_select", "selected_option": option("pve2")}},
				"opts": object{"v": object{"type": "checkboxes", "selected_options": []any{option("onboot"), option("start")}}},
				"mail": object{"v": object{"type": "email_text_input", "value": nil}},
			}, values); diff != "" {
				t.Errorf("state (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEmptyAcknowledgementClosesWhatIsOnTop(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	v := opened(t, s, b, with(form, "title", plain("form")))
	r, _ := submitted(t, s, b, v.ID, map[string]string{"name": "wiki"}, func(p object) any {
		if r := call(t, s, "views.push", object{"trigger_id": p["trigger_id"], "view": titled("next", section("s"))}); !r.ok() {
			t.Error(r.object)
		}
		return nil
	})
	if diff := cmp.Diff([]string{"form"}, titles(s.Views(ana))); r.err != nil || diff != "" {
		t.Errorf("err = %v (-want +got):\n%s", r.err, diff)
	}
}

func TestWhatIsTypedOutlivesAnUpdate(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	text := func(block, value string) object {
		return input(block, object{"type": "plain_text_input", "action_id": "v", "initial_value": value})
	}
	node := input("node", object{"type": "static_select", "action_id": "v", "options": []any{option("pve1"), option("pve2")}})
	v := opened(t, s, b, modal(text("a", "one"), text("b", "one"), node))
	if err := s.Type(ana, v.ID, map[string]string{"a": "typed", "node": "pve2"}); err != nil {
		t.Fatal(err)
	}
	fewer := input("node", object{"type": "static_select", "action_id": "v", "options": []any{option("pve1")}})
	if r := call(t, s, "views.update", object{"view_id": v.ID, "view": modal(text("a", "two"), text("c", "two"), fewer)}); !r.ok() {
		t.Fatal(r.object)
	}
	var got struct {
		State struct{ Values object }
	}
	if err := json.Unmarshal(s.Views(ana)[0].Raw, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object{
		"a":    object{"v": object{"type": "plain_text_input", "value": "typed"}},
		"c":    object{"v": object{"type": "plain_text_input", "value": "two"}},
		"node": object{"v": object{"type": "static_select", "selected_option": nil}},
	}, got.State.Values); diff != "" {
		t.Error(diff)
	}
}
