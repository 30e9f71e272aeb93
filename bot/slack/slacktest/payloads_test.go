package slacktest_test

import (
	"slices"
	"testing"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// TestSendsTheShapesThatSlackSends compares, by names and kinds of fields, with
// payloads in the shapes of Slack's documentation.
func TestSendsTheShapesThatSlackSends(t *testing.T) {
	const payloads = "../../../../shared/reference/payloads/slack"
	s := workspace(t, slacktest.Options{})
	b, hello := dial(t, s)
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

	got := map[string]any{}
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

	got["hello"] = hello
	s.Disconnect("refresh_requested")
	got["disconnect"] = b.read()
	few := workspace(t, slacktest.Options{Scopes: []string{"commands"}})
	got["error.missing_scope"] = call(t, few, "chat.postMessage", object{"channel": ops, "text": "x"}).object

	wiretest.Shape{
		Exact: true,
		Free: func(name string, want any) bool {
			o, _ := want.(object)
			return o["type"] == "plain_text" || slices.Contains([]string{"blocks", "values", "selected_option"}, name)
		},
	}.Files(t, payloads, got, "view_submission.ack_errors")
}
