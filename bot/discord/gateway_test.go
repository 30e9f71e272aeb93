package discord

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
)

// A stage is a Discord that does to the gateway what a test says, in memory and
// on the fake clock of a synctest bubble.
type stage struct {
	t *testing.T

	refuse  map[string]int // statuses instead of answers, by path
	address string         // of the gateway; empty: in memory
	left    func() int     // sessions that may be begun; nil: what is left of a thousand

	// play is one connection of the gateway, the n-th, from 1.
	play func(n int, c *line)

	mu         sync.Mutex
	identifies []time.Time
	conns      int
	playing    sync.WaitGroup
	answered   []string       // interactions
	deleted    map[string]int // messages, by token
}

// line is a connection of the gateway from the server's side.
type line struct {
	*websocket.Conn
	s *stage
}

func (l *line) send(frames ...string) bool {
	for _, f := range frames {
		if l.WriteMessage(websocket.TextMessage, []byte(f)) != nil {
			return false
		}
	}
	return true
}

// await reads until a message with op arrives, and reports whether one did.
func (l *line) await(op int) bool {
	for {
		var m struct {
			Op int `json:"op"`
		}
		if l.ReadJSON(&m) != nil {
			return false
		}
		if m.Op == 2 {
			l.s.mu.Lock()
			l.s.identifies = append(l.s.identifies, time.Now())
			l.s.mu.Unlock()
		}
		if m.Op == op {
			return true
		}
	}
}

// greet goes through the handshake up to READY and the first heartbeat. It
// leaves a moment for discordgo to rest: closed while it writes, it waits for
// its lock, and a bubble's clock stands still meanwhile.
func (l *line) greet() {
	l.send(hello)
	l.await(2)
	l.send(ready)
	l.await(1)
	l.send(`{"op":11}`)
	time.Sleep(time.Second)
}

// live acknowledges heartbeats until the connection ends, and returns the code
// that it was closed with.
func (l *line) live() int {
	for {
		var m struct {
			Op int `json:"op"`
		}
		if err := l.ReadJSON(&m); err != nil {
			if c, ok := err.(*websocket.CloseError); ok {
				return c.Code
			}
			return 0
		}
		if m.Op == 1 {
			l.send(`{"op":11}`)
		}
	}
}

func (l *line) close(code int) {
	_ = l.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(time.Second))
}

const (
	hello = `{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":41250}}`
	ready = `{"t":"READY","s":1,"op":0,"d":{"v":9,"user":{"id":"9","username":"pvechat"},"guilds":[],"session_id":"s","resume_gateway_url":"wss://r","application":{"id":"3"}}}`
)

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v9/")
	s.mu.Lock()
	status := s.refuse[path]
	s.mu.Unlock()
	if status != 0 {
		http.Error(w, `{"message":"no","code":0}`, status)
		return
	}
	switch {
	case path == "users/@me":
		fmt.Fprint(w, `{"id":"9","username":"pvechat"}`)
	case strings.HasSuffix(path, "/commands"):
		fmt.Fprint(w, `[]`)
	case path == "gateway/bot":
		s.mu.Lock()
		defer s.mu.Unlock()
		left := 1000 - len(s.identifies)
		if s.left != nil {
			left = s.left()
		}
		fmt.Fprintf(w, `{"session_start_limit":{"total":1000,"remaining":%d,"reset_after":3600000,"max_concurrency":1}}`, left)
	case path == "gateway":
		fmt.Fprintf(w, `{"url":%q}`, cmp.Or(s.address, "ws://discord.invalid/ws/"))
	case strings.HasPrefix(path, "interactions/"):
		s.mu.Lock()
		defer s.mu.Unlock()
		id := strings.Split(path, "/")[1]
		if slices.Contains(s.answered, id) {
			http.Error(w, `{"message":"Interaction has already been acknowledged.","code":40060}`, http.StatusBadRequest)
			return
		}
		s.answered = append(s.answered, id)
		w.WriteHeader(http.StatusNoContent)
	case path == "/ws/":
		s.mu.Lock()
		s.conns++
		n := s.conns
		s.mu.Unlock()
		c, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			s.t.Error(err)
			return
		}
		defer c.Close()
		s.playing.Add(1)
		defer s.playing.Done()
		s.play(n, &line{c, s})
	case strings.HasPrefix(path, "webhooks/") && r.Method == http.MethodDelete:
		s.mu.Lock()
		s.deleted[path[strings.LastIndex(path, "/")+1:]]++
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		s.t.Errorf("unexpected %s %s", r.Method, r.URL.Path)
		http.NotFound(w, r)
	}
}

func (s *stage) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

// perform runs the adapter against the stage within a bubble: act has the
// running adapter, and ends the run by returning; the result is Run's.
func (s *stage) perform(t *testing.T, h chat.Handler, act func(a *Adapter)) (result error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		net := wiretest.New()
		server := &http.Server{Handler: s}
		var work sync.WaitGroup
		work.Go(func() { _ = server.Serve(net) })
		defer work.Wait()
		defer server.Close()

		a, err := New(Config{
			BotToken: canary, ApplicationID: "3", APIURL: "http://discord.invalid",
			Transport: &http.Transport{DialContext: net.Dial}, Dialer: &websocket.Dialer{NetDialContext: net.Dial},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx, h) }()
		act(a)
		cancel()
		stopping := time.Now()
		result = <-ended
		s.playing.Wait()
		if took := time.Since(stopping); took > 5*time.Second {
			t.Errorf("Run took %s to end", took)
		}
	})
	return result
}

const canary = "canary-bot-token"

// still is a handler that answers nothing.
type still struct{}

func (still) Commands() []chat.Command                                { return someCommands }
func (still) Handle(context.Context, chat.Invocation) chat.Answer     { return chat.Answer{} }
func (still) Complete(context.Context, chat.Invocation) []chat.Choice { return nil }

func TestTheConnectionHolds(t *testing.T) {
	var code int
	s := &stage{play: func(_ int, l *line) {
		l.greet()
		code = l.live()
	}}
	err := s.perform(t, still{}, func(a *Adapter) {
		time.Sleep(time.Second)
		if h := a.Health(); !h.OK {
			t.Errorf("health is %+v", h)
		}
		time.Sleep(24 * time.Hour)
		if n := s.connections(); n != 1 {
			t.Errorf("%d connections in a day", n)
		}
	})
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
	if code != websocket.CloseNormalClosure {
		t.Errorf("the connection was closed with %d", code)
	}
}

func TestABrokenConnectionIsReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		play   func(l *line)
		within time.Duration
	}{
		"asked to reconnect during the handshake": {func(l *line) { l.send(hello); l.await(2); l.send(`{"op":7,"d":null}`); l.live() }, 5 * time.Second},
		"asked to reconnect later":                {func(l *line) { l.greet(); l.send(`{"op":7,"d":null}`); l.live() }, 5 * time.Second},
		"the session is not valid":                {func(l *line) { l.send(hello); l.await(2); l.send(`{"op":9,"d":false}`); l.live() }, 5 * time.Second},
		"the session is not valid later":          {func(l *line) { l.greet(); l.send(`{"op":9,"d":true}`); l.live() }, 5 * time.Second},
		"no hello":                                {func(l *line) { l.await(99) }, 30 * time.Second},
		"no ready":                                {func(l *line) { l.send(hello); l.await(99) }, 30 * time.Second},
		"no acknowledgement":                      {func(l *line) { l.greet(); l.await(99) }, (2*41250 + 10000) * time.Millisecond},
		"events, but no acknowledgement": {func(l *line) {
			l.greet()
			for l.send(`{"op":0,"t":"TYPING_START","s":2,"d":{}}`) {
				time.Sleep(10 * time.Second)
			}
		}, (2*41250 + 10000) * time.Millisecond},
		"a heartbeat asked for before ready": {func(l *line) { l.send(hello); l.await(2); l.send(`{"op":1}`); l.await(99) }, 30 * time.Second},
		"closed for a restart":               {func(l *line) { l.greet(); l.close(1012) }, 5 * time.Second},
		"session timed out":                  {func(l *line) { l.greet(); l.close(4009) }, 5 * time.Second},
		"cut off":                            {func(l *line) { l.greet(); _ = l.NetConn().Close() }, 5 * time.Second},
		"nothing at all":                     {func(*line) {}, 5 * time.Second},
		"null":                               {func(l *line) { l.send(`null`); l.live() }, 5 * time.Second},
		"no JSON":                            {func(l *line) { l.greet(); l.send(`{`); l.live() }, 5 * time.Second},
		"no heartbeat interval":              {func(l *line) { l.send(`{"op":10,"d":{"heartbeat_interval":0}}`); l.live() }, 5 * time.Second},
		"a message out of place":             {func(l *line) { l.send(ready); l.live() }, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{play: func(n int, l *line) {
				if n == 1 {
					tt.play(l)
					return
				}
				l.greet()
				l.live()
			}}
			err := s.perform(t, still{}, func(a *Adapter) {
				time.Sleep(tt.within)
				if h := a.Health(); !h.OK || s.connections() != 2 {
					t.Errorf("after %s: health %+v, %d connections", tt.within, h, s.connections())
				}
			})
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

func TestDiscordIsNeverFloodedWithIdentifies(t *testing.T) {
	for name, play := range map[string]func(n int, l *line){
		"every Identify is refused": func(_ int, l *line) {
			l.send(hello)
			for l.await(2) {
				l.send(`{"op":9,"d":false}`)
			}
		},
		"every connection ends at once": func(_ int, l *line) { l.greet(); l.close(4000) },
		"every tenth connection holds for a while": func(n int, l *line) {
			l.greet()
			if n%10 == 0 {
				stop := time.AfterFunc(steady, func() { l.close(4000) })
				defer stop.Stop()
				l.live()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{play: play}
			err := s.perform(t, still{}, func(*Adapter) { time.Sleep(24 * time.Hour) })
			if err != nil {
				t.Fatal(err)
			}
			if n := len(s.identifies); n < 100 || n >= 1000 {
				t.Errorf("%d Identifies in a day", n)
			}
			first := 0
			for _, at := range s.identifies {
				if at.Sub(s.identifies[0]) < time.Minute {
					first++
				}
			}
			if first > 6 {
				t.Errorf("%d Identifies in the first minute", first)
			}
		})
	}
}

func TestRunEndsWhereAnotherTryIsNoUse(t *testing.T) {
	closes := func(code int) func(int, *line) {
		return func(_ int, l *line) { l.send(hello); l.await(2); l.close(code) }
	}
	for name, tt := range map[string]struct {
		stage *stage
		names string
	}{
		"the token is refused by REST":        {&stage{refuse: map[string]int{"users/@me": 401}}, "discord.bot_token"},
		"the application is not the bot's":    {&stage{refuse: map[string]int{"applications/3/commands": 404}}, "discord.application_id"},
		"the token is refused by the gateway": {&stage{play: closes(4004)}, "discord.bot_token"},
		"the shard":                           {&stage{play: closes(4010)}, "4010"},
		"sharding":                            {&stage{play: closes(4011)}, "4011"},
		"the version":                         {&stage{play: closes(4012)}, "4012"},
		"intents":                             {&stage{play: closes(4013)}, "4013"},
		"intents that are not granted":        {&stage{play: closes(4014)}, "4014"},
		"the token is reset while connected": {&stage{play: func(n int, l *line) {
			if n == 1 {
				l.greet()
				l.close(4004)
				return
			}
			closes(4004)(n, l)
		}}, "discord.bot_token"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.stage.perform(t, still{}, func(a *Adapter) {
				time.Sleep(5 * time.Second)
				if h := a.Health(); h.OK || !strings.Contains(h.Detail, tt.names) {
					t.Errorf("health is %+v", h)
				}
				before := tt.stage.connections()
				time.Sleep(24 * time.Hour)
				if n := tt.stage.connections(); n != before {
					t.Errorf("%d connections afterwards", n-before)
				}
			})
			if err == nil || !strings.Contains(err.Error(), tt.names) {
				t.Errorf("Run returned %v", err)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the token is in %q", err)
			}
		})
	}
}

func TestSessionsAreNotBegunBeyondWhatDiscordAllowsInADay(t *testing.T) {
	left := 19 // others have used them, or this bot before it was restarted
	s := &stage{play: func(_ int, l *line) { l.greet(); l.live() }}
	s.left = func() int { return left }
	err := s.perform(t, still{}, func(a *Adapter) {
		time.Sleep(59 * time.Minute)
		if h := a.Health(); h.OK || !strings.Contains(h.Detail, "981 of 1000 sessions") || s.connections() != 0 {
			t.Errorf("health is %+v, %d connections", h, s.connections())
		}
		s.mu.Lock()
		left = 1000
		s.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if h := a.Health(); !h.OK {
			t.Errorf("health is %+v", h)
		}
	})
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestAStallIsNamed(t *testing.T) {
	s := &stage{play: func(n int, l *line) { l.greet(); l.await(99) }}
	err := s.perform(t, still{}, func(a *Adapter) {
		time.Sleep((2*41250+6000)*time.Millisecond + firstWait/2)
		if h := a.Health(); h.OK || !strings.Contains(h.Detail, "no heartbeat was acknowledged") {
			t.Errorf("health is %+v", h)
		}
	})
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestAnUnreachableDiscordIsTriedAgain(t *testing.T) {
	for _, path := range []string{"users/@me", "applications/3/commands", "gateway/bot", "gateway"} {
		t.Run(path, func(t *testing.T) {
			s := &stage{refuse: map[string]int{path: 502}, play: func(_ int, l *line) { l.greet(); l.live() }}
			err := s.perform(t, still{}, func(a *Adapter) {
				time.Sleep(time.Minute)
				if h := a.Health(); h.OK || !strings.Contains(h.Detail, "50") {
					t.Errorf("health is %+v", h)
				}
				s.mu.Lock()
				s.refuse = nil
				s.mu.Unlock()
				time.Sleep(2 * time.Minute)
				if h := a.Health(); !h.OK {
					t.Errorf("health is %+v", h)
				}
			})
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

func TestRunEndsInTheMiddleOfAnything(t *testing.T) {
	for name, play := range map[string]func(int, *line){
		"waiting for hello":  func(_ int, l *line) { l.await(99) },
		"waiting for ready":  func(_ int, l *line) { l.send(hello); l.await(99) },
		"waiting to be back": func(_ int, l *line) { l.greet(); l.close(4000) },
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{play: play}
			if err := s.perform(t, still{}, func(*Adapter) { time.Sleep(20 * time.Second) }); err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// event is an interaction as the gateway sends it.
func event(interaction string) string {
	return `{"op":0,"t":"INTERACTION_CREATE","s":2,"d":` + interaction + `}`
}

// busy is a handler that takes five seconds for one thing.
type busy struct{ still }

func (busy) Handle(_ context.Context, inv chat.Invocation) chat.Answer {
	switch inv.Action {
	case "slow":
		time.Sleep(5 * time.Second)
	case "panic":
		panic("on purpose")
	}
	return chat.Answer{}
}

func TestASlowOrBrokenHandlerHoldsNobodyUp(t *testing.T) {
	press := func(id, action string) string {
		in := guildInteraction(pressed, publicMessage, `{"custom_id":"`+action+`","component_type":2}`)
		return event(strings.Replace(in, "6000000000000000001", id, 1))
	}
	s := &stage{play: func(_ int, l *line) {
		l.greet()
		l.send(press("1", "slow"), press("2", "panic"), press("3", "quick"), `{"op":0,"t":"INTERACTION_CREATE","s":3,"d":{"id":"4"}}`)
		l.live()
	}}
	err := s.perform(t, busy{}, func(a *Adapter) {
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		got := fmt.Sprint(s.answered)
		s.mu.Unlock()
		if got != "[2 3]" && got != "[3 2]" {
			t.Errorf("at first %s are answered", got)
		}
		time.Sleep(time.Second)
		s.mu.Lock()
		n := len(s.answered)
		s.mu.Unlock()
		if n != 3 {
			t.Errorf("after two seconds %d are answered: the slow one should have been put off", n)
		}
		if !a.Health().OK {
			t.Error("the connection is gone")
		}
	})
	if err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// ears counts what it hears, and answers nothing.
type ears struct {
	still
	heard chan string
}

func (a ears) Handle(_ context.Context, inv chat.Invocation) chat.Answer {
	a.heard <- inv.ID
	return chat.Answer{}
}

func TestAnInteractionThatComesTwiceIsTheSameAndIsAnsweredOnce(t *testing.T) {
	in := guildInteraction(typedCommand, "null", `{"name":"pve","options":[{"name":"help","type":1}]}`)
	s := &stage{play: func(_ int, l *line) {
		l.greet()
		l.send(event(in))
		time.Sleep(time.Second)
		l.send(event(in))
		l.live()
	}}
	s.deleted = make(map[string]int)
	h := ears{heard: make(chan string, 2)}
	err := s.perform(t, h, func(*Adapter) { time.Sleep(5 * time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	if a, b := <-h.heard, <-h.heard; a != b {
		t.Errorf("heard of %s and %s", a, b)
	}
	// A command that shows nothing is "thinking…" for a moment. The second time
	// there is no such thing to delete.
	if n := s.deleted["@original"]; n != 1 {
		t.Errorf("%d messages were deleted", n)
	}
}

func TestTheGatewayIsReachedOverTLS(t *testing.T) {
	alive := make(chan struct{})
	s := &stage{t: t, play: func(_ int, l *line) {
		l.send(hello)
		l.await(2)
		l.send(ready)
		l.await(1)
		close(alive)
		l.live()
	}}
	server := httptest.NewTLSServer(s)
	defer server.Close()
	s.address = "wss" + strings.TrimPrefix(server.URL, "https") + "/ws/"
	transport := server.Client().Transport.(*http.Transport)
	a, err := New(Config{
		BotToken: canary, ApplicationID: "3", APIURL: server.URL, Transport: transport,
		Dialer: &websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: transport.TLSClientConfig.RootCAs, ServerName: "example.com"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, still{}) }()
	<-alive
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	s.playing.Wait()
}
