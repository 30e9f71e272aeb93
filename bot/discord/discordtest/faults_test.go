package discordtest_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestAConnectionSends120FramesInAMinute(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	for name, tt := range map[string]struct {
		frames int
		pause  time.Duration // after the first 60
		closed bool
	}{"120": {120, 0, false}, "121": {121, 0, true}, "180 in two minutes": {180, time.Minute, false}} {
		b, _ := dial(t, s)
		acks := 0
		for i := range tt.frames {
			if i == 60 {
				now.Add(tt.pause)
			}
			b.send(1, nil)
			f, err := b.try()
			if err != nil {
				if !strings.Contains(err.Error(), "4008") {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if f.Op == 11 {
				acks++
			}
		}
		if closed := acks < tt.frames; closed != tt.closed {
			t.Errorf("%s: %d acknowledged", name, acks)
		}
	}
}

func TestOneSessionBeginsInFiveSecondsWhereLimitsAreStrict(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	s.StrictLimits(true)
	for _, tt := range []struct {
		wait time.Duration
		op   int
	}{{0, 0}, {4999 * time.Millisecond, 9}, {4999 * time.Millisecond, 9}, {5 * time.Second, 0}} {
		now.Add(tt.wait)
		b, _ := dial(t, s)
		b.identify()
		if f := b.read(); f.Op != tt.op {
			t.Errorf("after %s: op %d", tt.wait, f.Op)
		}
		_ = b.ws.Close()
	}
	limit, _ := rest(t, s, "GET", "/gateway/bot", nil).object()["session_start_limit"].(object)
	if limit["total"] != 1000.0 || limit["remaining"] != 996.0 || limit["max_concurrency"] != 1.0 {
		t.Errorf("the limit is %v", limit)
	}
	now.Add(24 * time.Hour)
	b, _ := dial(t, s)
	b.identify()
	b.event("READY")
	if n := s.Identifies(); n != 1 {
		t.Errorf("%d sessions were begun in a day", n)
	}
}

func TestADeafGatewayKeepsItsConnectionsAndSaysNothing(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	s.Deafen(true)
	b.send(1, nil)
	if err := s.Await(soon(t), "nothing", func() bool { return s.Connected() == 1 }); err != nil {
		t.Fatal(err)
	}
	_ = b.ws.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, _, err := b.ws.ReadMessage()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("it says something, or ends: %v", err)
	}
	s.Deafen(false)
	connect(t, s)
}

func TestALostAnswerHasTakenEffect(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	s.LoseAnswer("POST /channels/", 1)
	req, _ := http.NewRequestWithContext(soon(t), http.MethodPost, s.URL()+"/api/v9/channels/"+ops+"/messages", strings.NewReader(`{"content":"x"}`))
	req.Header.Set("Authorization", "Bot test-token")
	req.Header.Set("Content-Type", "application/json")
	if res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req); err == nil {
		res.Body.Close()
		t.Errorf("it is answered with %s", res.Status)
	}
	if n := len(s.Messages(ops, ana)); n != 1 {
		t.Errorf("%d messages", n)
	}
	if a := rest(t, s, "POST", "/channels/"+ops+"/messages", object{"content": "y"}); a.status != http.StatusOK {
		t.Errorf("the next is lost too: %d", a.status)
	}
}

func TestAResetTokenIsWorthless(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	s.ResetToken(true)
	if code := b.closed(); code != 4004 {
		t.Errorf("closed with %d", code)
	}
	if a := rest(t, s, "GET", "/users/@me", nil); a.status != http.StatusUnauthorized {
		t.Errorf("got %d", a.status)
	}
	s.ResetToken(false)
	connect(t, s)
}

func TestRateLimitsOfOtherScopes(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	s.RateLimitGlobal("GET /users/", 1, 20*time.Second)
	if a := rest(t, s, "GET", "/users/@me", nil); a.status != 429 || a.object()["global"] != true || a.header.Get("X-RateLimit-Global") != "true" || a.header.Get("X-RateLimit-Scope") != "global" {
		t.Errorf("%d %v %v", a.status, a.body, a.header)
	}
	s.RateLimitShared("GET /users/", 1, 20*time.Second)
	if a := rest(t, s, "GET", "/users/@me", nil); a.status != 429 || a.object()["global"] != false || a.header.Get("X-RateLimit-Scope") != "shared" {
		t.Errorf("%d %v %v", a.status, a.body, a.header)
	}
}

func TestTenThousandRefusalsShutTheAddressOut(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	ask := func(path string) (int, string) {
		res, err := client.Get(s.URL() + "/api/v9" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode, res.Header.Get("Content-Type")
	}
	for i := range 10_000 {
		if code, _ := ask("/users/@me"); code != http.StatusUnauthorized {
			t.Fatalf("request %d: %d", i+1, code)
		}
	}
	if code, kind := ask("/gateway"); code != http.StatusTooManyRequests || !strings.HasPrefix(kind, "text/html") {
		t.Errorf("what needs no token: %d %s", code, kind)
	}
	now.Add(10 * time.Minute)
	if code, _ := ask("/gateway"); code != http.StatusOK {
		t.Errorf("ten minutes later: %d", code)
	}
}
