package slacktest_test

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// TestEveryMethodHasItsTier counts what Slack lets through in a minute: tier 2
// is 20, tier 3 is 50, tier 4 is 100.
func TestEveryMethodHasItsTier(t *testing.T) {
	for method, most := range map[string]int{
		"chat.update": 50, "chat.delete": 50, "chat.postEphemeral": 100,
		"views.open": 100, "views.push": 100, "views.update": 100, "views.publish": 100,
		"apps.connections.open": 50,
		"conversations.open":    50, "conversations.info": 50, "conversations.join": 50,
		"usergroups.list": 20, "usergroups.users.list": 20, "users.info": 100,
	} {
		t.Run(method, func(t *testing.T) {
			c := wiretest.NewClock()
			s := workspace(t, slacktest.Options{StrictLimits: true, Now: c.Now, Scopes: []string{
				"commands", "chat:write", "im:write", "users:read", "usergroups:read", "channels:read", "groups:read", "channels:join",
			}})
			token := "xoxb-test"
			if method == "apps.connections.open" {
				token = "xapp-test"
			}
			for i := range most {
				if r := callAs(t, s, token, method, object{}); r.status == http.StatusTooManyRequests {
					t.Fatalf("call %d: %v", i+1, r.object)
				}
			}
			c.Add(20 * time.Second)
			if r := callAs(t, s, token, method, object{}); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "40" || r.code() != "ratelimited" {
				t.Errorf("call %d: %d, Retry-After %q, %v", most+1, r.status, r.header.Get("Retry-After"), r.object)
			}
			if r := call(t, s, "auth.test", object{}); !r.ok() {
				t.Errorf("another method: %v", r.object)
			}
		})
	}
}

func TestADeafSocketStaysOpenAndSaysNothing(t *testing.T) {
	s := workspace(t, slacktest.Options{PingEvery: 10 * time.Millisecond, Deadline: 20 * time.Millisecond})
	b := connect(t, s)
	s.Deafen(true)
	pinged := make(chan struct{}, 1000)
	b.ws.SetPingHandler(func(string) error { pinged <- struct{}{}; return nil })
	if _, err := s.Command(soon(t), ana, ops, ""); !errors.Is(err, slacktest.ErrTimeout) {
		t.Errorf("err = %v", err)
	}
	_ = b.ws.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, frame, err := b.ws.ReadMessage()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("it says %q, or ends: %v", frame, err)
	}
	if n := len(pinged); n > 1 { // one may have been on its way
		t.Errorf("%d pings", n)
	}
	if n := len(s.Connections()); n != 1 {
		t.Errorf("%d connections", n)
	}
	s.Deafen(false)
	connect(t, s)
}
