package slacktest_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestWhoMayCallWhat(t *testing.T) {
	s := workspace(t, slacktest.Options{Scopes: []string{"commands"}})
	for _, tt := range []struct {
		name, token, method string
		want                string
	}{
		{"no token", "", "auth.test", "not_authed"},
		{"a wrong token", "xoxb-wrong", "auth.test", "invalid_auth"},
		{"the app's token for the bot's method", "xapp-test", "auth.test", "not_allowed_token_type"},
		{"the bot's token for the app's method", "xoxb-test", "apps.connections.open", "not_allowed_token_type"},
		{"no scope needed", "xoxb-test", "auth.test", ""},
		{"no scope", "xoxb-test", "chat.postMessage", "missing_scope"},
		{"a method that is none", "xoxb-test", "chat.shout", "unknown_method"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := callAs(t, s, tt.token, tt.method, object{}).code(); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
	r := call(t, s, "chat.postMessage", object{})
	if diff := cmp.Diff(object{"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "commands"}, r.object); diff != "" {
		t.Error(diff)
	}
	if got := r.header.Get("X-OAuth-Scopes"); got != "commands" {
		t.Errorf("X-OAuth-Scopes = %q", got)
	}
	if diff := cmp.Diff([]string{"unknown method chat.shout"}, s.Unexpected()); diff != "" {
		t.Error(diff)
	}
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if got := post(t, s.APIURL()+"apps.connections.open", form, []byte("token=xapp-test")).code(); got != "not_authed" {
		t.Errorf("app token in a form: %q, want it in the header only", got)
	}
}

func TestBodies(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	for _, tt := range []struct{ name, kind, body, want string }{
		{"broken JSON", "application/json", `{"a":`, "invalid_json"},
		{"JSON that is no object", "application/json", `[]`, "json_not_object"},
		{"JSON with its token inside", "application/json", `{"token":"xoxb-test"}`, "not_authed"},
		{"a form", "application/x-www-form-urlencoded", `token=xoxb-test`, ""},
		{"a broken form", "application/x-www-form-urlencoded", `token=%zz`, "invalid_form_data"},
		{"something else", "text/plain", `x`, "invalid_post_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := post(t, s.APIURL()+"auth.test", http.Header{"Content-Type": {tt.kind}}, []byte(tt.body)).code(); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}

func TestArgumentsInTheQueryAndInParts(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	get := func(query string, header http.Header) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(soon(t), http.MethodGet, s.APIURL()+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header
		return do(t, req)
	}
	bearer := http.Header{"Authorization": {"Bearer xoxb-test"}}
	if r := get("users.info?user="+ana, bearer); r.str("user", "name") != "ana" {
		t.Error(r.object)
	}
	if got := get("users.info?user="+ana+"&token=xoxb-test", http.Header{}).code(); got != "not_authed" {
		t.Errorf("a token in the query: %q", got)
	}
	if r := get("chat.shout", bearer); r.code() != "unknown_method" || r.str("req_method") != "chat.shout" {
		t.Error(r.object)
	}
	header := http.Header{"Authorization": {"Bearer xoxb-test"}, "Content-Type": {"multipart/form-data; boundary=x"}}
	body := "--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n--x--\r\n"
	if r := post(t, s.APIURL()+"chat.postMessage?channel="+ops, header, []byte(body)); r.str("message", "text") != "hello" {
		t.Error(r.object)
	}
	if got := post(t, s.APIURL()+"chat.postMessage", header, []byte("--y")).code(); got != "invalid_form_data" {
		t.Errorf("broken parts: %q", got)
	}
}

func TestLookups(t *testing.T) {
	s := workspace(t, slacktest.Options{Scopes: []string{"users:read", "usergroups:read", "channels:read", "groups:read", "im:write"}})
	s.AddChannel("C0PRIV0001", "secret", false, ana)
	s.MakePrivate("C0PRIV0001")

	if r := call(t, s, "users.info", object{"user": ana}); r.str("user", "name") != "ana" || r.str("user", "id") != ana {
		t.Error(r.object)
	}
	if got := call(t, s, "users.info", object{"user": "U0NOBODY1"}).code(); got != "user_not_found" {
		t.Error(got)
	}
	if r := callForm(t, s, "usergroups.users.list", map[string]string{"usergroup": "S0ADMINS1"}); !cmp.Equal(r.object["users"], []any{ana}) {
		t.Error(r.object)
	}
	if got := call(t, s, "usergroups.users.list", object{"usergroup": "S0NONE001"}).code(); got != "no_such_subteam" {
		t.Error(got)
	}
	if r := call(t, s, "usergroups.list", object{"include_users": true}); len(r.object["usergroups"].([]any)) != 1 {
		t.Error(r.object)
	}
	if r := call(t, s, "conversations.info", object{"channel": ops}); r.str("channel", "name") != "ops" || r.object["channel"].(object)["is_member"] != true {
		t.Error(r.object)
	}
	if got := call(t, s, "conversations.info", object{"channel": "C0PRIV0001"}).code(); got != "channel_not_found" {
		t.Errorf("a private channel without the bot: %q", got)
	}
	dm := call(t, s, "conversations.open", object{"users": ana}).str("channel", "id")
	if dm == "" || dm != s.DM(ana) {
		t.Errorf("direct message = %q", dm)
	}
	if r := call(t, s, "conversations.info", object{"channel": dm}); r.code() != "missing_scope" || r.str("needed") != "im:read" {
		t.Error(r.object)
	}
	if got := call(t, s, "conversations.join", object{"channel": ops}).code(); got != "missing_scope" {
		t.Error(got)
	}
}

func TestJoinsPublicChannelsOnly(t *testing.T) {
	s := workspace(t, slacktest.Options{Scopes: []string{"channels:join", "chat:write"}})
	s.RemoveBot(ops)
	if got := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}).code(); got != "not_in_channel" {
		t.Error(got)
	}
	if r := call(t, s, "conversations.join", object{"channel": ops}); !r.ok() {
		t.Error(r.object)
	}
	if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}); !r.ok() {
		t.Error(r.object)
	}
}

func TestRateLimits(t *testing.T) {
	t.Run("asked for", func(t *testing.T) {
		s := workspace(t, slacktest.Options{})
		s.RateLimit("chat.postMessage", 2, 1500*time.Millisecond)
		args := object{"channel": ops, "text": "x"}
		for range 2 {
			r := call(t, s, "chat.postMessage", args)
			if r.status != http.StatusTooManyRequests || r.code() != "ratelimited" || r.header.Get("Retry-After") != "2" {
				t.Errorf("status %d, Retry-After %q, %v", r.status, r.header.Get("Retry-After"), r.object)
			}
		}
		if r := call(t, s, "chat.postMessage", args); !r.ok() {
			t.Error(r.object)
		}
		if n := len(s.Messages(ops, "")); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
	t.Run("by tier", func(t *testing.T) {
		c := wiretest.NewClock()
		s := workspace(t, slacktest.Options{StrictLimits: true, Now: c.Now})
		ts := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}).str("ts")
		update := object{"channel": ops, "ts": ts, "text": "y"}
		for i := range 50 {
			if r := call(t, s, "chat.update", update); !r.ok() {
				t.Fatalf("update %d: %v", i+1, r.object)
			}
		}
		c.Add(20 * time.Second)
		if r := call(t, s, "chat.update", update); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "40" {
			t.Errorf("update 51: %d, Retry-After %q", r.status, r.header.Get("Retry-After"))
		}
		c.Add(40 * time.Second)
		if r := call(t, s, "chat.update", update); !r.ok() {
			t.Errorf("a minute later: %v", r.object)
		}
	})
	t.Run("a message a second in a channel", func(t *testing.T) {
		c := wiretest.NewClock()
		s := workspace(t, slacktest.Options{StrictLimits: true, Now: c.Now})
		s.AddChannel("C0TWO00001", "two", true)
		for _, tt := range []struct {
			wait    time.Duration
			channel string
			status  int
		}{{0, ops, 200}, {0, "C0TWO00001", 200}, {999 * time.Millisecond, ops, 429}, {time.Millisecond, ops, 200}} {
			c.Add(tt.wait)
			if r := call(t, s, "chat.postMessage", object{"channel": tt.channel, "text": "x"}); r.status != tt.status {
				t.Errorf("%+v: %d", tt, r.status)
			}
		}
	})
	t.Run("a loop that runs hot", func(t *testing.T) {
		c := wiretest.NewClock()
		s := workspace(t, slacktest.Options{Now: c.Now})
		for range 100 {
			if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}); !r.ok() {
				t.Fatal(r.object)
			}
		}
		if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "x"}); r.status != http.StatusTooManyRequests {
			t.Error(r.object)
		}
	})
}

func TestFaults(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	args := object{"channel": ops, "text": "x"}

	s.FailMethod("chat.postMessage", "internal_error", 1)
	s.FailMethod("chat.postMessage", "fatal_error", 1)
	for _, want := range []string{"internal_error", "fatal_error", ""} {
		if got := call(t, s, "chat.postMessage", args).code(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}

	s.FailMethod("chat.postMessage", "internal_error", 5)
	s.FailMethod("chat.postMessage", "", 0)
	if r := call(t, s, "chat.postMessage", args); !r.ok() {
		t.Errorf("the fault was taken back: %v", r.object)
	}

	s.AuthError("token_revoked")
	if got := call(t, s, "chat.postMessage", args).code(); got != "token_revoked" {
		t.Error(got)
	}
	if got := callAs(t, s, "xapp-test", "apps.connections.open", object{}).code(); got != "token_revoked" {
		t.Error(got)
	}
	s.AuthError("")

	before := len(s.Messages(ops, ""))
	s.LoseAnswer("chat.postMessage", 1)
	if _, err := raw(t, s, "chat.postMessage", `{"channel":"`+ops+`","text":"lost"}`); err == nil {
		t.Error("the answer arrived")
	}
	if got := len(s.Messages(ops, "")); got != before+1 {
		t.Errorf("%d messages, want %d: the call takes effect", got, before+1)
	}

	s.FailHTTP("chat.postMessage", http.StatusServiceUnavailable, 1)
	res, err := raw(t, s, "chat.postMessage", `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(kind, "text/html") {
		t.Errorf("%d %s", res.StatusCode, kind)
	}
}

// raw posts JSON and returns what came back, unread.
func raw(t *testing.T, s *slacktest.Server, method, body string) (*http.Response, error) {
	t.Helper()
	return rawContext(soon(t), s, method, body)
}

func rawContext(ctx context.Context, s *slacktest.Server, method, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.APIURL()+method, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer xoxb-test")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err == nil {
		_ = res.Body.Close()
	}
	return res, err
}

func TestAStalledCallWaits(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	release := s.StallAPI("chat.postMessage")
	body := `{"channel":"` + ops + `","text":"x"}`

	// A caller that gives up leaves nothing behind.
	ctx, cancel := context.WithCancel(soon(t))
	gone := make(chan error, 1)
	go func() { _, err := rawContext(ctx, s, "chat.postMessage", body); gone <- err }()
	received := func(n int) func() bool { return func() bool { return len(s.Requests()) == n } }
	if err := s.Await(soon(t), "the request", received(1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	if err := s.Await(soon(t), "the server to notice", func() bool { return s.Requests()[0].Abandoned }); err != nil {
		t.Fatal(err)
	}

	done := make(chan error, 1)
	go func() { _, err := rawContext(soon(t), s, "chat.postMessage", body); done <- err }()
	if err := s.Await(soon(t), "the next request", received(2)); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[1].Status; got != 0 || len(s.Messages(ops, "")) != 0 {
		t.Errorf("answered %d while stalled", got)
	}
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := len(s.Messages(ops, "")); got != 1 {
		t.Errorf("%d messages, want 1", got)
	}

	// Closing the server ends a stalled call.
	s.StallAPI("auth.test")
	go func() { _, err := rawContext(soon(t), s, "auth.test", `{}`); done <- err }()
	if err := s.Await(soon(t), "the last request", received(3)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-done; err == nil {
		t.Error("a stalled call was answered by Close")
	}
}

func TestRequestsAreKeptWordForWord(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	r := callForm(t, s, "chat.postMessage", map[string]string{"channel": ops, "text": "a & b"})
	call(t, s, "chat.postEphemeral", object{"channel": ops, "user": ana, "text": "psst"})
	got := s.Requests()
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	first, second := got[0], got[1]
	if string(first.Body) != "channel="+ops+"&text=a+%26+b&token=xoxb-test" {
		t.Errorf("body = %s", first.Body)
	}
	if first.Method != "chat.postMessage" || first.Channel != ops || first.TS != r.str("ts") || first.Status != 200 || first.Arg("text") != "a & b" {
		t.Errorf("%+v", first)
	}
	if !bytes.Contains(first.Response, []byte(`"ok":true`)) {
		t.Errorf("response = %s", first.Response)
	}
	if second.User != ana || second.Arg("text") != "psst" {
		t.Errorf("%+v", second)
	}
}

func TestAwaitLooksAgainAfterEveryChange(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	looked := make(chan int, 100)
	done := make(chan error, 1)
	go func() {
		done <- s.Await(soon(t), "two messages", func() bool {
			n := len(s.Messages(ops, ""))
			looked <- n
			return n == 2
		})
	}()
	<-looked
	for range 2 {
		if _, err := s.Say(ana, ops, "hi"); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Await(ctx, "pigs to fly", func() bool { return false }); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "pigs to fly") {
		t.Errorf("err = %v", err)
	}
}

func TestAnUnknownAddressIsUnexpected(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	if _, err := raw(t, s, "../nowhere", `{}`); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"POST /nowhere"}, s.Unexpected()); diff != "" {
		t.Error(diff)
	}
}

func TestConversations(t *testing.T) {
	s := workspace(t, slacktest.Options{Scopes: []string{"channels:join", "im:write", "im:read", "chat:write"}})
	s.AddChannel("C0PRIV0001", "secret", true, ana)
	s.MakePrivate("C0PRIV0001")
	s.AddChannel("C0OLD00001", "old", false)
	s.Archive("C0OLD00001")
	for _, tt := range []struct {
		name, method string
		args         object
		want         string
	}{
		{"join a private channel", "conversations.join", object{"channel": "C0PRIV0001"}, "method_not_supported_for_channel_type"},
		{"join an archived channel", "conversations.join", object{"channel": "C0OLD00001"}, "is_archived"},
		{"join no channel", "conversations.join", object{"channel": "C0NONE0001"}, "channel_not_found"},
		{"open nobody", "conversations.open", object{"users": "U0NOBODY1"}, "user_not_found"},
		{"open a channel that is no direct message", "conversations.open", object{"channel": ops}, "channel_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := call(t, s, tt.method, tt.args).code(); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
	first := call(t, s, "conversations.open", object{"users": ana, "return_im": true})
	if first.object["already_open"] != nil || first.object["channel"].(object)["user"] != ana {
		t.Error(first.object)
	}
	id := first.str("channel", "id")
	for _, args := range []object{{"users": ana}, {"channel": id}} {
		if r := call(t, s, "conversations.open", args); r.object["already_open"] != true || r.str("channel", "id") != id {
			t.Errorf("%v: %v", args, r.object)
		}
	}
	if r := call(t, s, "conversations.info", object{"channel": id}); r.object["channel"].(object)["is_im"] != true {
		t.Error(r.object)
	}
}
