package discordtest_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestRefusalsHaveDiscordsCodesAndWords(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	s.BlockDMs(ben)
	b := connect(t, s)
	var in object
	b.typed(func(got object) {
		in = got
		b.responds(4, object{"content": "x"})(in)
	})
	post := func(path string, body any) func() answer {
		return func() answer { return rest(t, s, "POST", path, body) }
	}
	direct := rest(t, s, "POST", "/users/@me/channels", object{"recipient_id": ben}).str("id")
	hello := object{"content": "x"}
	for name, tt := range map[string]struct {
		do     func() answer
		status int
		code   int
		words  string
	}{
		"no token":                {func() answer { return as(t, s, "", "GET", "/users/@me", nil) }, 401, 0, "401: Unauthorized"},
		"a wrong token":           {func() answer { return as(t, s, "Bot other", "GET", "/users/@me", nil) }, 401, 0, "401: Unauthorized"},
		"unknown channel":         {post("/channels/5000000000000000099/messages", hello), 404, 10003, "Unknown Channel"},
		"unknown message":         {func() answer { return rest(t, s, "PATCH", "/channels/"+ops+"/messages/1", hello) }, 404, 10008, "Unknown Message"},
		"unknown interaction":     {post("/interactions/1/x/callback", object{"type": 5}), 404, 10062, "Unknown interaction"},
		"answered already":        {func() answer { return b.respond(in, 4, hello) }, 400, 40060, "Interaction has already been acknowledged."},
		"a wrong webhook token":   {post("/webhooks/"+app+"/nonsense", hello), 401, 50027, "Invalid Webhook Token"},
		"not a member":            {post("/channels/"+away+"/messages", hello), 403, 50001, "Missing Access"},
		"not allowed to send":     {post("/channels/"+mute+"/messages", hello), 403, 50013, "Missing Permissions"},
		"a person who blocks it":  {post("/channels/"+direct+"/messages", hello), 403, 50007, "Cannot send messages to this user"},
		"a followup that is gone": {func() answer { return rest(t, s, "PATCH", webhook(in, "/messages/1"), hello) }, 404, 10008, "Unknown Message"},
		"an invalid body":         {post("/channels/"+ops+"/messages", object{"content": chars(2001)}), 400, 50035, "Invalid Form Body"},
		"another guild":           {func() answer { return rest(t, s, "GET", "/guilds/4000000000000000999", nil) }, 404, 10004, "Unknown Guild"},
	} {
		a := tt.do()
		if a.status != tt.status || a.code() != tt.code || a.str("message") != tt.words {
			t.Errorf("%s: %d %v", name, a.status, a.body)
		}
	}
	if len(s.Unexpected()) > 0 {
		t.Errorf("unexpected: %+v", s.Unexpected())
	}
	if a := rest(t, s, "GET", "/nothing/here", nil); a.status != 404 || a.str("message") != "404: Not Found" {
		t.Errorf("an unknown route: %d %v", a.status, a.body)
	}
	if u := s.Unexpected(); len(u) != 1 || u[0].Path != "/api/v9/nothing/here" {
		t.Errorf("unexpected: %+v", u)
	}
	for _, r := range s.Requests() {
		if h := r.Header.Get("Authorization"); h != "" && h != "[redacted]" {
			t.Errorf("%s keeps the token", r.Path)
		}
	}
}

func TestMessagesOlderThanAnHourAreEditedThreeTimesInSixSeconds(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	m := rest(t, s, "POST", "/channels/"+ops+"/messages", object{"content": "0"})
	edit := func() answer {
		return rest(t, s, "PATCH", "/channels/"+ops+"/messages/"+m.str("id"), object{"content": "x"})
	}
	for range 10 {
		if a := edit(); a.status != 200 {
			t.Fatalf("a young one: %d %v", a.status, a.body)
		}
	}
	now.Add(time.Hour + time.Second)
	var got []int
	for range 4 {
		got = append(got, edit().status)
	}
	if !slices.Equal(got, []int{200, 200, 200, 429}) {
		t.Errorf("got %v", got)
	}
	if a := edit(); a.code() != 30046 || a.str("message") != "Maximum number of edits to messages older than 1 hour reached. Try again later" || a.object()["retry_after"] != nil {
		t.Errorf("got %v", a.body)
	}
	now.Add(6 * time.Second)
	if a := edit(); a.status != 200 {
		t.Errorf("after six seconds: %d %v", a.status, a.body)
	}
}

func TestRateLimits(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	send := func() answer {
		return rest(t, s, "POST", "/channels/"+ops+"/messages", object{"content": "x"})
	}
	a := send()
	for _, h := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Reset-After", "X-RateLimit-Bucket"} {
		if a.header.Get(h) == "" {
			t.Errorf("no %s", h)
		}
	}
	s.RateLimit("POST /channels/", 1, 650*time.Millisecond, false)
	if a := send(); a.status != 429 || a.object()["retry_after"] != 0.65 || a.object()["global"] != false || a.str("message") != "You are being rate limited." || a.header.Get("Retry-After") != "1" || a.header.Get("X-RateLimit-Scope") != "user" {
		t.Errorf("%d %v %v", a.status, a.body, a.header)
	}
	s.RateLimit("POST /channels/", 1, time.Second, true)
	if a := send(); a.status != 429 || a.object()["retry_after"] != nil || a.header.Get("Retry-After") != "" {
		t.Errorf("it tells a time: %v %v", a.body, a.header)
	}
	if a := send(); a.status != 200 {
		t.Errorf("it does not end: %d", a.status)
	}
	s.RateLimit("POST /channels/", -1, time.Second, false)
	s.RateLimit("POST /channels/", 0, 0, false)
	if a := send(); a.status != 200 {
		t.Errorf("it is not taken back: %d", a.status)
	}

	s.StrictLimits(true)
	now.Add(time.Minute)
	var got []int
	for range 6 {
		got = append(got, send().status)
	}
	if !slices.Equal(got, []int{200, 200, 200, 200, 200, 429}) {
		t.Errorf("five in five seconds: %v", got)
	}
	now.Add(5 * time.Second)
	if a := send(); a.status != 200 {
		t.Errorf("after five seconds: %d", a.status)
	}
	s.Fail("POST /channels/", http.StatusBadGateway, 0, 1)
	if a := send(); a.status != 502 {
		t.Errorf("a fault: %d", a.status)
	}
}

func TestAStalledRequestWaitsUntilItIsReleased(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	release := s.Stall("GET /users/@me")
	got := make(chan answer, 1)
	go func() { got <- rest(t, s, "GET", "/users/@me", nil) }()
	if err := s.Await(soon(t), "the request", func() bool { return len(s.Requests()) == 1 }); err != nil {
		t.Fatal(err)
	}
	if s.Requests()[0].Status != 0 {
		t.Error("it has an answer")
	}
	release()
	if a := <-got; a.status != 200 || a.str("username") == "" {
		t.Errorf("got %d %v", a.status, a.body)
	}
}
