package slacktest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func texts(list []slacktest.Message) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Text)
	}
	return out
}

func TestPostsChangesAndDeletes(t *testing.T) {
	c := wiretest.NewClock()
	s := workspace(t, slacktest.Options{Now: c.Now})
	first := call(t, s, "chat.postMessage", object{"channel": ops, "text": "one", "blocks": []any{section("*one*")}})
	second := callForm(t, s, "chat.postMessage", map[string]string{"channel": ops, "text": "two", "thread_ts": first.str("ts")})
	if first.str("ts") != "1795444325.000000" || second.str("ts") != "1795444325.000001" {
		t.Errorf("timestamps %s, %s: want them unique and rising though time stands still", first.str("ts"), second.str("ts"))
	}
	if first.str("message", "bot_id") != slacktest.BotID || first.str("channel") != ops {
		t.Error(first.object)
	}

	got := s.Messages(ops, ana)
	if len(got) != 2 || got[1].ThreadTS != first.str("ts") || got[0].From != slacktest.BotUserID || got[0].Ephemeral {
		t.Errorf("%+v", got)
	}
	var blocks []object
	if err := json.Unmarshal(got[0].Blocks, &blocks); err != nil || len(blocks) != 1 || blocks[0]["block_id"] == "" {
		t.Errorf("blocks %s: want Slack's block_id added", got[0].Blocks)
	}

	update := object{"channel": ops, "ts": first.str("ts"), "text": "uno"}
	if r := call(t, s, "chat.update", update); !r.ok() || r.str("text") != "uno" {
		t.Error(r.object)
	}
	got = s.Messages(ops, ana)
	if got[0].Edited != 1 || got[0].Text != "uno" || string(got[0].Blocks) != "[]" {
		t.Errorf("%+v: text without blocks removes the blocks", got[0])
	}
	if r := call(t, s, "chat.delete", object{"channel": ops, "ts": first.str("ts")}); !r.ok() {
		t.Error(r.object)
	}
	if got := call(t, s, "chat.update", update).code(); got != "message_not_found" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"two"}, texts(s.Messages(ops, ana))); diff != "" {
		t.Error(diff)
	}
}

func TestWhereTheBotMayNotWrite(t *testing.T) {
	const (
		private  = "C0PRIV0001"
		inside   = "C0PRIV0002"
		outside  = "C0PUBLIC01"
		archived = "C0OLD00001"
	)
	s := workspace(t, slacktest.Options{})
	s.AddChannel(private, "private", false, ana)
	s.MakePrivate(private)
	s.AddChannel(inside, "inside", true, ana)
	s.MakePrivate(inside)
	s.AddChannel(outside, "outside", false, ana)
	s.AddChannel(archived, "archived", true, ana)
	old := call(t, s, "chat.postMessage", object{"channel": archived, "text": "x"}).str("ts")
	s.Archive(archived)
	human, err := s.Say(ana, ops, "hello")
	if err != nil {
		t.Fatal(err)
	}
	mine := call(t, s, "chat.postMessage", object{"channel": inside, "text": "x"}).str("ts")
	hidden := call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "x"}).str("message_ts")
	public := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}).str("ts")

	for _, tt := range []struct {
		name, method string
		args         object
		want         string
	}{
		{"no channel", "chat.postMessage", object{"text": "x"}, "invalid_arguments"},
		{"an unknown channel", "chat.postMessage", object{"channel": "C0NONE0001", "text": "x"}, "channel_not_found"},
		{"a private channel without the bot", "chat.postMessage", object{"channel": private, "text": "x"}, "channel_not_found"},
		{"a private channel with the bot", "chat.postMessage", object{"channel": inside, "text": "x"}, ""},
		{"a public channel without the bot", "chat.postMessage", object{"channel": outside, "text": "x"}, "not_in_channel"},
		{"an archived channel", "chat.postMessage", object{"channel": archived, "text": "x"}, "is_archived"},
		{"nothing to say", "chat.postMessage", object{"channel": ops}, "no_text"},
		{"no blocks and nothing to say", "chat.postMessage", object{"channel": ops, "blocks": []any{}}, "no_text"},
		{"blocks alone", "chat.postMessage", object{"channel": ops, "blocks": []any{section("s")}}, ""},
		{"101 attachments", "chat.postMessage", object{"channel": ops, "attachments": many(101, object{"text": "a"})}, "too_many_attachments"},
		{"markdown and text", "chat.postMessage", object{"channel": ops, "text": "x", "markdown_text": "y"}, "markdown_text_conflict"},
		{"a person outside the channel", "chat.postEphemeral", object{"channel": inside, "user": bob, "text": "x"}, "user_not_in_channel"},
		{"nobody", "chat.postEphemeral", object{"channel": inside, "text": "x"}, "invalid_arguments"},
		{"4000 bytes", "chat.update", object{"channel": inside, "ts": mine, "text": strings.Repeat("ä", 2000)}, ""},
		{"4001 bytes in 2001 characters", "chat.update", object{"channel": inside, "ts": mine, "text": strings.Repeat("ä", 2000) + "x"}, "msg_too_long"},
		{"a private message", "chat.update", object{"channel": ops, "ts": hidden, "text": "x"}, "message_not_found"},
		{"a private message to delete", "chat.delete", object{"channel": ops, "ts": hidden}, "message_not_found"},
		{"a person's message", "chat.update", object{"channel": ops, "ts": human, "text": "x"}, "cant_update_message"},
		{"a person's message to delete", "chat.delete", object{"channel": ops, "ts": human}, "cant_delete_message"},
		{"a message in an archived channel", "chat.update", object{"channel": archived, "ts": old, "text": "x"}, "is_inactive"},
		{"no message", "chat.update", object{"channel": ops, "ts": "1.0", "text": "x"}, "message_not_found"},
		{"the bot's message", "chat.update", object{"channel": ops, "ts": public, "text": "x"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := call(t, s, tt.method, tt.args).code(); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}

	s.RemoveBot(ops)
	if got := call(t, s, "chat.update", object{"channel": ops, "ts": public, "text": "x"}).code(); got != "not_in_channel" {
		t.Errorf("kicked out of a public channel: %q", got)
	}
	s.RemoveBot(inside)
	if got := call(t, s, "chat.update", object{"channel": inside, "ts": mine, "text": "x"}).code(); got != "channel_not_found" {
		t.Errorf("kicked out of a private channel: %q", got)
	}
	s.InviteBot(inside)
	if err := s.DeleteMessage(inside, mine); err != nil {
		t.Fatal(err)
	}
	if got := call(t, s, "chat.update", object{"channel": inside, "ts": mine, "text": "x"}).code(); got != "message_not_found" {
		t.Errorf("deleted by an admin: %q", got)
	}
	s.FailMethod("chat.update", "edit_window_closed", 1)
	if got := call(t, s, "chat.update", object{"channel": inside, "ts": mine, "text": "x"}).code(); got != "edit_window_closed" {
		t.Error(got)
	}
}

func TestPostsToPublicChannelsWithTheScopeForIt(t *testing.T) {
	s := workspace(t, slacktest.Options{Scopes: []string{"chat:write", "chat:write.public"}})
	s.RemoveBot(ops)
	if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}); !r.ok() {
		t.Error(r.object)
	}
}

func TestOnlyOnePersonSeesAPrivateMessage(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	call(t, s, "chat.postMessage", object{"channel": ops, "text": "all"})
	call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "ana"})
	for user, want := range map[string][]string{ana: {"all", "ana"}, bob: {"all"}, "": {"all"}} {
		if diff := cmp.Diff(want, texts(s.Messages(ops, user))); diff != "" {
			t.Errorf("%q sees (-want +got):\n%s", user, diff)
		}
	}
	if m := s.Messages(ops, ana)[1]; !m.Ephemeral || m.User != ana {
		t.Errorf("%+v", m)
	}
}

func TestAPersonsIDStandsForTheDirectMessage(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	r := call(t, s, "chat.postMessage", object{"channel": ana, "text": "x"})
	if r.str("channel") != s.DM(ana) {
		t.Errorf("channel = %q, want %q", r.str("channel"), s.DM(ana))
	}
}

func TestLongTextIsCutNotRefused(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	call(t, s, "chat.postMessage", object{"channel": ops, "text": strings.Repeat("ä", 40_001)})
	if got := len([]rune(s.Messages(ops, "")[0].Text)); got != 40_000 {
		t.Errorf("%d characters", got)
	}
}

// asked lets ana type the command and returns its response URL.
func asked(t *testing.T, s *slacktest.Server, b *bot) string {
	t.Helper()
	done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "help") })
	e := b.next(nil)
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
	return e["payload"].(object)["response_url"].(string)
}

// clicked lets a person click and returns the response URL.
func clicked(t *testing.T, s *slacktest.Server, b *bot, user, ts, action string) string {
	t.Helper()
	done := act(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), user, slacktest.At{Channel: ops, TS: ts}, action)
	})
	e := b.next(nil)
	if r := <-done; r.err != nil {
		t.Fatal(r.err)
	}
	return e["payload"].(object)["response_url"].(string)
}

func TestAResponseURLWorksFiveTimesAndThirtyMinutes(t *testing.T) {
	c := wiretest.NewClock()
	s := workspace(t, slacktest.Options{Now: c.Now})
	s.RemoveBot(ops) // it does not matter here
	b := connect(t, s)

	u := asked(t, s, b)
	for i := range 5 {
		if r := respond(t, u, object{"text": "x"}); !r.ok() {
			t.Fatalf("use %d: %v", i+1, r.object)
		}
	}
	if r := respond(t, u, object{"text": "x"}); r.status != 404 || r.code() != "used_url" {
		t.Errorf("use 6: %d %v", r.status, r.object)
	}

	u = asked(t, s, b)
	c.Add(30 * time.Minute)
	if r := respond(t, u, object{"text": "x"}); !r.ok() {
		t.Errorf("after 30 minutes: %v", r.object)
	}
	c.Add(time.Second)
	if r := respond(t, u, object{"text": "x"}); r.status != 404 || r.code() != "expired_url" {
		t.Errorf("after that: %d %v", r.status, r.object)
	}
	if got := s.Requests()[len(s.Requests())-1]; got.Method != "response_url" || got.User != "" {
		t.Errorf("%+v", got)
	}
	if got := len(s.Messages(ops, bob)); got != 0 {
		t.Errorf("bob sees %d answers: they are private by default", got)
	}
}

func TestAnswersToACommand(t *testing.T) {
	for name, tt := range map[string]struct {
		opts slacktest.Options
		want []string
	}{
		"replace_original replaces the last answer": {slacktest.Options{}, []string{"public", "second"}},
		"or it makes a new one":                     {slacktest.Options{NoSlashReplace: true}, []string{"public", "first", "second"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := workspace(t, tt.opts)
			b := connect(t, s)
			u := asked(t, s, b)
			respond(t, u, object{"text": "public", "response_type": "in_channel"})
			respond(t, u, object{"text": "first"})
			// It stays private whatever the answer says.
			if r := respond(t, u, object{"text": "second", "replace_original": true, "response_type": "ephemeral"}); !r.ok() {
				t.Error(r.object)
			}
			if diff := cmp.Diff(tt.want, texts(s.Messages(ops, ana))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"public"}, texts(s.Messages(ops, bob))); diff != "" {
				t.Errorf("bob (-want +got):\n%s", diff)
			}
			if got := respond(t, u, object{"delete_original": true}).code(); got != "cant_delete_message" {
				t.Error(got)
			}
			if got := respond(t, u, object{}).code(); got != "no_text" {
				t.Error(got)
			}
			if r := respond(t, u, object{"blocks": []any{section("")}}); r.code() != "invalid_blocks" || len(r.problems()) != 1 {
				t.Error(r.object)
			}
		})
	}
}

func TestAnswersToAClickChangeWhatWasClicked(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	blocks := []any{actions(button("hide", "Hide"))}
	ts := call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "secret", "blocks": blocks}).str("message_ts")

	u := clicked(t, s, b, ana, ts, "hide")
	if r := respond(t, u, object{"text": "hidden", "replace_original": true, "response_type": "in_channel", "blocks": blocks}); !r.ok() {
		t.Error(r.object)
	}
	if got := s.Messages(ops, ana); len(got) != 1 || got[0].Text != "hidden" || got[0].Edited != 1 || !got[0].Ephemeral {
		t.Errorf("%+v", got)
	}
	if got := s.Messages(ops, bob); len(got) != 0 {
		t.Errorf("bob sees %v: a private message never becomes public", texts(got))
	}
	other := clicked(t, s, b, ana, ts, "hide")
	if r := respond(t, other, object{"delete_original": true}); !r.ok() {
		t.Error(r.object)
	}
	if got := s.Messages(ops, ana); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	if got := respond(t, u, object{"text": "again", "replace_original": true}).code(); got != "message_not_found" {
		t.Error(got)
	}

	// A public message, and an answer beside it.
	ts = call(t, s, "chat.postMessage", object{"channel": ops, "text": "board", "blocks": blocks}).str("ts")
	u = clicked(t, s, b, bob, ts, "hide")
	respond(t, u, object{"text": "only you"})
	respond(t, u, object{"text": "new board", "replace_original": true})
	respond(t, u, object{"text": "in its thread", "thread_ts": ts, "replace_original": false, "response_type": "in_channel"})
	if diff := cmp.Diff([]string{"new board", "only you", "in its thread"}, texts(s.Messages(ops, bob))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"new board", "in its thread"}, texts(s.Messages(ops, ana))); diff != "" {
		t.Error(diff)
	}
	if got := s.Messages(ops, ana)[1].ThreadTS; got != ts {
		t.Errorf("thread_ts = %q", got)
	}
}

func TestFaultsOfAResponseURL(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	u := asked(t, s, connect(t, s))
	s.FailMethod("response_url", "internal_error", 1)
	s.RateLimit("response_url", 1, time.Second)
	if got := respond(t, u, object{"text": "x"}).code(); got != "internal_error" {
		t.Error(got)
	}
	if r := respond(t, u, object{"text": "x"}); r.status != 429 || r.header.Get("Retry-After") != "1" {
		t.Errorf("%d %v", r.status, r.object)
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	payload := url.Values{"payload": {`{"text":"from a form"}`}}.Encode()
	if r := post(t, u, form, []byte(payload)); !r.ok() {
		t.Error(r.object)
	}
	if got := respond(t, u, object{"text": "x", "response_type": "loud"}).code(); got != "invalid_response_type" {
		t.Error(got)
	}
	if got := post(t, u, form, []byte("x=y")).code(); got != "invalid_payload" {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"from a form"}, texts(s.Messages(ops, ana))); diff != "" {
		t.Error(diff)
	}
	if got := respond(t, u+"x", object{"text": "x"}); got.status != 404 || len(s.Unexpected()) != 1 {
		t.Errorf("an address that is none: %d, unexpected %q", got.status, s.Unexpected())
	}
}
