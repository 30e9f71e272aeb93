package slacktest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// TestSendsTheShapesThatSlackSends compares, by names and kinds of fields, with
// payloads in the shapes of Slack's documentation.
func TestSendsTheShapesThatSlackSends(t *testing.T) {
	const dir = "../../../../shared/reference/payloads/slack"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no payloads beside the repository")
	}
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	sent := func(f func() (slacktest.Outcome, error), do func(payload object)) object {
		t.Helper()
		done := act(f)
		e := b.next(func(p object) any {
			if do != nil {
				do(p)
			}
			return nil
		})
		if r := <-done; r.err != nil {
			t.Fatal(r.err)
		}
		return e
	}
	menu := object{"type": "static_select", "action_id": "f", "placeholder": plain("p"), "options": []any{option("error")}}
	blocks := []any{actions(with(with(button("a", "A"), "value", "1"), "style", "danger"))}
	posted := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x", "blocks": blocks})
	hidden := call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "x", "blocks": []any{actions(with(button("a", "A"), "value", "1"))}})
	call(t, s, "views.publish", object{"user_id": bob, "view": home(with(blocks[0].(object), "block_id", "nav"))})
	open := func(view object) func(object) {
		return func(p object) {
			if r := call(t, s, "views.open", object{"trigger_id": p["trigger_id"], "view": view}); !r.ok() {
				t.Fatal(r.object)
			}
		}
	}
	command := func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "show gitea") }
	top := func() string { return s.Views(ana)[0].ID }

	got := map[string]object{}
	got["ok.chat_postMessage"] = posted.object
	got["error.invalid_blocks"] = call(t, s, "chat.postMessage", object{"channel": ops, "blocks": []any{section(chars(3001))}}).object
	got["events_api.app_home_opened"] = sent(func() (slacktest.Outcome, error) { return s.OpenHome(soon(t), ana) }, nil)
	got["slash_commands"] = sent(command, open(with(without(modal(actions(menu)), "submit"), "close", plain("Close"))))
	got["block_actions.view"] = sent(func() (slacktest.Outcome, error) {
		return s.Choose(soon(t), ana, slacktest.At{View: top()}, "f", "error")
	}, nil)
	got["view_closed"] = sent(func() (slacktest.Outcome, error) { return s.CloseView(soon(t), ana, top()) }, nil)
	got["block_actions.message"] = sent(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), ana, slacktest.At{Channel: ops, TS: posted.str("ts")}, "a")
	}, nil)
	got["block_actions.ephemeral"] = sent(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), ana, slacktest.At{Channel: ops, TS: hidden.str("message_ts")}, "a")
	}, nil)
	got["block_actions.home"] = sent(func() (slacktest.Outcome, error) { return s.Click(soon(t), bob, slacktest.At{Home: true}, "a") }, nil)
	form := with(modal(with(input("name", object{"type": "plain_text_input", "action_id": "value"}), "optional", false)), "close", plain("Close"))
	sent(command, open(form))
	got["view_submission"] = sent(func() (slacktest.Outcome, error) {
		return s.Submit(soon(t), ana, top(), map[string]string{"name": "gitea"})
	}, nil)

	for name, have := range got {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, name+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			sameShape(t, "", want, have)
		})
	}
}

// sameShape compares names and kinds. What the bot chose (blocks, texts, what
// is typed) and what nobody typed may differ.
func sameShape(t *testing.T, at string, want, have any) {
	t.Helper()
	switch w := want.(type) {
	case object:
		h, ok := have.(object)
		if !ok {
			t.Errorf("%s is %T, want an object", at, have)
			return
		}
		if w["type"] == "plain_text" || slices.Contains([]string{"values", "selected_option"}, filepath.Base(at)) {
			return
		}
		for name := range w {
			v, ok := h[name]
			if !ok {
				t.Errorf("%s/%s is missing", at, name)
				continue
			}
			sameShape(t, at+"/"+name, w[name], v)
		}
		for name := range h {
			if _, ok := w[name]; !ok {
				t.Errorf("%s/%s is too much", at, name)
			}
		}
	case []any:
		h, ok := have.([]any)
		switch {
		case !ok:
			t.Errorf("%s is %T, want an array", at, have)
		case filepath.Base(at) == "blocks":
		case len(w) > 0 && len(h) > 0:
			sameShape(t, at+"/0", w[0], h[0])
		case len(w) != len(h):
			t.Errorf("%s has %d items, want %d", at, len(h), len(w))
		}
	case string:
		if _, ok := have.(string); !ok {
			t.Errorf("%s is %T, want a string", at, have)
		}
	case bool:
		if _, ok := have.(bool); !ok {
			t.Errorf("%s is %T, want a boolean", at, have)
		}
	case float64:
		if _, ok := have.(float64); !ok {
			t.Errorf("%s is %T, want a number", at, have)
		}
	case nil:
		if have != nil {
			t.Errorf("%s is %v, want null", at, have)
		}
	}
}
