package discordtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestTheHandshake(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b, hello := dial(t, s)
	if hello["heartbeat_interval"] != 41250.0 {
		t.Errorf("the hello is %v", hello)
	}
	b.send(1, nil)
	if f := b.read(); f.Op != 11 {
		t.Errorf("a heartbeat gets op %d", f.Op)
	}
	if s.Connected() != 0 {
		t.Error("it counts before it has identified")
	}
	b.identify()
	ready := b.event("READY")
	if ready["v"] != 9.0 || ready["session_id"] == "" || ready["resume_gateway_url"] == "" || b.seq != 1 {
		t.Errorf("READY is %v, number %d", ready, b.seq)
	}
	if s.Connected() != 1 || s.Identifies() != 1 {
		t.Errorf("%d connected, %d identified", s.Connected(), s.Identifies())
	}
	_ = b.ws.Close()
	if err := s.Await(soon(t), "the end", func() bool { return s.Connected() == 0 }); err != nil {
		t.Error(err)
	}
}

func TestVersion10IsServedAlike(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	connect(t, s)
	at := "/api/v10/applications/" + app + "/guilds/" + guild + "/commands"
	a := rest(t, s, "GET", at, nil)
	list, _ := a.body.([]any)
	if len(list) != 1 {
		t.Fatalf("the commands: %d %v", a.status, a.body)
	}
	if a := rest(t, s, "GET", at+"/"+list[0].(object)["id"].(string), nil); a.status != http.StatusOK || a.str("name") != "pve" {
		t.Errorf("one of them: %d %v", a.status, a.body)
	}
	if a := rest(t, s, "GET", at+"/1", nil); a.status != http.StatusNotFound || a.code() != 10063 {
		t.Errorf("an unknown one: %d %v", a.status, a.body)
	}
	s.Fail("GET /users/@me", http.StatusServiceUnavailable, 0, 1)
	if a := rest(t, s, "GET", "/api/v10/users/@me", nil); a.status != http.StatusServiceUnavailable {
		t.Errorf("a fault: %d", a.status)
	}
	if len(s.Unexpected()) > 0 {
		t.Errorf("unexpected: %+v", s.Unexpected())
	}
}

func TestWhatIsOutOfOrderClosesTheConnection(t *testing.T) {
	properties := object{"os": "linux"}
	for name, tt := range map[string]struct {
		before func(s *discordtest.Server)
		do     func(b *bot)
		code   int
	}{
		"a wrong token":    {nil, func(b *bot) { b.send(2, object{"token": "Bot x", "intents": 0, "properties": properties}) }, 4004},
		"no intents":       {nil, func(b *bot) { b.send(2, object{"token": "Bot test-token", "properties": properties}) }, 4002},
		"identified twice": {nil, func(b *bot) { b.identify(); b.event("READY"); b.identify() }, 4005},
		"an unknown op":    {nil, func(b *bot) { b.send(77, nil) }, 4001},
		"refused":          {func(s *discordtest.Server) { s.RefuseIdentify(4014) }, func(b *bot) { b.identify() }, 4014},
		"closed":           {nil, func(b *bot) { b.identify(); b.event("READY"); b.s.CloseGateway(4009) }, 4009},
		"no JSON":          {nil, func(b *bot) { _ = b.ws.WriteMessage(websocket.TextMessage, []byte("{")) }, 4002},
		"4096 bytes":       {nil, func(b *bot) { b.send(3, chars(4096)) }, 4002},
		"resume before":    {nil, func(b *bot) { b.send(6, object{"token": "Bot x", "session_id": "y", "seq": 1}) }, 4004},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuild(t, discordtest.Options{})
			if tt.before != nil {
				tt.before(s)
			}
			b, _ := dial(t, s)
			tt.do(b)
			if code := b.closed(); code != tt.code {
				t.Errorf("closed with %d", code)
			}
		})
	}
}

func TestASessionIsResumedWithWhatItMissed(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	var id any
	b.typed(func(in object) {
		id = in["id"]
		b.responds(4, object{"content": "x"})(in)
	})
	seq := b.seq
	_ = b.ws.Close()
	if err := s.Await(soon(t), "the end", func() bool { return s.Connected() == 0 }); err != nil {
		t.Fatal(err)
	}
	s.Redeliver()
	again, _ := dial(t, s)
	again.send(6, object{"token": "Bot test-token", "session_id": b.session, "seq": seq})
	if in := again.event("INTERACTION_CREATE"); in["id"] != id || again.seq != seq+1 {
		t.Errorf("it missed %v, number %d", in["id"], again.seq)
	}
	again.event("RESUMED")
	if s.Connected() != 1 {
		t.Errorf("%d connected", s.Connected())
	}
	if s.Identifies() != 1 {
		t.Errorf("%d identified", s.Identifies())
	}
	for name, resume := range map[string]object{
		"an unknown session": {"token": "Bot test-token", "session_id": "x", "seq": 1},
		"a number to come":   {"token": "Bot test-token", "session_id": b.session, "seq": 99},
	} {
		other, _ := dial(t, s)
		other.send(6, resume)
		if f := other.read(); f.Op != 9 || string(f.D) != "false" {
			t.Errorf("%s: op %d %s", name, f.Op, f.D)
		}
	}
}

func TestASessionThatWasClosedInOrderIsOver(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	_ = b.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
	if err := s.Await(soon(t), "the end", func() bool { return s.Connected() == 0 }); err != nil {
		t.Fatal(err)
	}
	again, _ := dial(t, s)
	again.send(6, object{"token": "Bot test-token", "session_id": b.session, "seq": b.seq})
	if f := again.read(); f.Op != 9 || string(f.D) != "false" {
		t.Errorf("op %d %s", f.Op, f.D)
	}
}

func TestTheGatewayAsksForANewConnection(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	s.Reconnect()
	if f := b.read(); f.Op != 7 {
		t.Errorf("got op %d", f.Op)
	}
	s.InvalidSession(1, false)
	other, _ := dial(t, s)
	other.identify()
	if f := other.read(); f.Op != 9 || string(f.D) != "false" {
		t.Errorf("got op %d %s", f.Op, f.D)
	}
	s.ReconnectInHandshake(1)
	other.identify()
	if f := other.read(); f.Op != 7 {
		t.Errorf("got op %d", f.Op)
	}
	s.SilenceHeartbeats(true)
	other.send(1, nil)
	other.identify()
	if f := other.read(); f.Op != 0 || f.T != "READY" {
		t.Errorf("got op %d %s", f.Op, f.T)
	}
	s.RefuseGateway(true)
	where := rest(t, s, "GET", "/gateway", nil).str("url")
	if _, res, err := websocket.DefaultDialer.DialContext(soon(t), where, nil); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	} else {
		_ = res.Body.Close()
	}
}

func TestABotThatIdentifiesTooOftenLosesItsToken(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	s.InvalidSession(1000, false)
	b, _ := dial(t, s)
	for range 1000 {
		now.Add(time.Second) // a connection may send 120 times in a minute
		b.identify()
		if f := b.read(); f.Op != 9 {
			t.Fatalf("op %d after %d", f.Op, s.Identifies())
		}
	}
	if a := rest(t, s, "GET", "/users/@me", nil); a.status != 200 {
		t.Fatalf("too early: %v", a.body)
	}
	now.Add(time.Second)
	b.identify()
	if code := b.closed(); code != 4004 {
		t.Errorf("closed with %d", code)
	}
	if a := rest(t, s, "GET", "/users/@me", nil); a.status != 401 {
		t.Errorf("the token still works: %d", a.status)
	}
}

func TestASilentClientIsCutOff(t *testing.T) {
	s := newGuild(t, discordtest.Options{HeartbeatEvery: 20 * time.Millisecond})
	b, _ := dial(t, s)
	b.identify()
	b.event("READY")
	if _, err := b.try(); err == nil {
		t.Error("it goes on")
	}
}

func TestASecondDeliveryIsTheSame(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	var first object
	b.typed(func(in object) {
		first = in
		b.responds(4, object{"content": "x"})(in)
	})
	s.Redeliver()
	second := b.event("INTERACTION_CREATE")
	one, _ := json.Marshal(first)
	two, _ := json.Marshal(second)
	if string(one) != string(two) {
		t.Errorf("%s\n%s", one, two)
	}
	if a := b.respond(second, 4, object{"content": "y"}); a.code() != 40060 {
		t.Errorf("it is answered again: %v", a.body)
	}
}

func TestAClosedServerLetsEverybodyGo(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	gone := make(chan error, 1)
	go func() {
		_, err := s.Command(context.Background(), ana, ops, "dashboard", nil)
		gone <- err
	}()
	b.event("INTERACTION_CREATE")
	s.Close()
	if err := <-gone; err == nil {
		t.Error("no error")
	}
}
