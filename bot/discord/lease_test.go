package discord

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// shelf is where the lease lies that several adapters share.
type shelf struct {
	mu     sync.Mutex
	holder string
	until  time.Time
	away   bool
}

// set changes it as somebody else would.
func (s *shelf) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// replica is one of several adapters, with its way to the lease.
type replica struct {
	*Adapter
	*shelf
	name string
	cut  bool         // from the shelf
	seen []string     // what came to it; the shelf's mutex guards it
	end  func() error // as a signal does
}

var errAway = errors.New("the database is away")

func (r *replica) Take(_ context.Context, d time.Duration) (string, error) {
	r.shelf.mu.Lock()
	defer r.shelf.mu.Unlock()
	now := time.Now()
	switch {
	case r.away || r.cut:
		return "", errAway
	case r.holder != r.name && now.Before(r.until):
		return r.holder, nil
	}
	r.holder, r.until = r.name, now.Add(d)
	return "", nil
}

func (r *replica) Drop(context.Context) error {
	r.shelf.mu.Lock()
	defer r.shelf.mu.Unlock()
	switch {
	case r.away || r.cut:
		return errAway
	case r.holder == r.name:
		r.until = time.Time{}
	}
	return nil
}

func (r *replica) Commands() []chat.Command                                { return someCommands }
func (r *replica) Complete(context.Context, chat.Invocation) []chat.Choice { return nil }

func (r *replica) Handle(_ context.Context, inv chat.Invocation) chat.Answer {
	r.set(func() { r.seen = append(r.seen, inv.ID) })
	return chat.Answer{Now: say("answered by " + r.name)}
}

// several are replicas of one bot at one Discord.
type several struct {
	*discordtest.Server
	*shelf
	t   *testing.T
	all []*replica
}

func newSeveral(t *testing.T, names ...string) *several {
	t.Helper()
	network := wiretest.New()
	now := func() time.Time { return time.Now().AddDate(26, 10, 22) } // see newScene
	s := &several{Server: discordtest.New(discordtest.Options{BotToken: canary, Listener: network, Now: now}), shelf: &shelf{}, t: t}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.AddUser(anaID, "Ana")
	s.AddChannel(ops, "ops", true)
	for _, name := range names {
		r := &replica{name: name, shelf: s.shelf}
		a, err := New(Config{
			BotToken: canary, ApplicationID: "3000000000000000003", GuildIDs: []string{"4000000000000000004"}, APIURL: s.URL(), Now: now,
			Transport: &http.Transport{DialContext: network.Dial}, Dialer: &websocket.Dialer{NetDialContext: network.Dial}, Lease: r,
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Adapter = a
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx, r) }()
		r.end = sync.OnceValue(func() error { cancel(); return <-ended })
		t.Cleanup(func() {
			if err := r.end(); err != nil {
				t.Errorf("%s: Run returned %v", name, err)
			}
		})
		s.all = append(s.all, r)
		time.Sleep(100 * time.Millisecond) // so that they start in their order
	}
	s.pass(5 * time.Second)
	return s
}

// pass lets time pass, in which no two are ever connected.
func (s *several) pass(d time.Duration) {
	s.t.Helper()
	for range d / (100 * time.Millisecond) {
		time.Sleep(100 * time.Millisecond)
		if synctest.Wait(); s.Connected() > 1 {
			s.t.Fatalf("%d are connected", s.Connected())
		}
	}
}

// health tells who says that they hold the gateway, and fails unless all others
// stand by for them.
func (s *several) health(among ...*replica) (holder string) {
	s.t.Helper()
	for _, r := range among {
		switch h := r.Health(); {
		case h.OK && !h.Standby && h.Detail == "holds the gateway":
			holder += r.name
		case !h.OK || !h.Standby:
			s.t.Errorf("%s: %+v", r.name, h)
		}
	}
	for _, r := range among {
		if h := r.Health(); h.Standby && h.Detail != "stands by, "+holder+" holds the gateway" {
			s.t.Errorf("%s: %s, but %s does", r.name, h.Detail, holder)
		}
	}
	return holder
}

// clicks types a command each second and returns how many went unanswered.
func (s *several) clicks(n int) (lost int) {
	s.t.Helper()
	for range n {
		out, err := s.Command(s.t.Context(), anaID, ops, "dashboard", nil)
		if err != nil || out.Error != "" {
			lost++
		}
		s.pass(time.Second)
	}
	return lost
}

// once fails where something came to two, or twice to one.
func (s *several) once() {
	s.t.Helper()
	s.set(func() {
		came := map[string]string{}
		for _, r := range s.all {
			for _, id := range r.seen {
				if came[id] != "" {
					s.t.Errorf("%s came to %s and %s", id, came[id], r.name)
				}
				came[id] = r.name
			}
		}
	})
	for _, r := range s.Unexpected() {
		s.t.Errorf("unexpected %s %s", r.Method, r.Route)
	}
}

func TestOneOfSeveralHoldsTheGateway(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(s *several, holder *replica)
		lost int // clicks, of one each second, while nobody is connected
	}{
		"it is stopped": {func(_ *several, r *replica) { _ = r.end() }, 3},
		"it is killed":  {func(s *several, r *replica) { s.set(func() { r.cut = true }); _ = r.end() }, 16},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			s := newSeveral(t, "a", "b", "c")
			if h := s.health(s.all...); h != "a" {
				t.Fatalf("%s holds the gateway", h)
			}
			if n := s.clicks(60); n > 0 {
				t.Errorf("%d clicks were lost", n)
			}
			c.lose(s, s.all[0])
			if n := s.clicks(60); n > c.lost {
				t.Errorf("%d clicks were lost, at most %d are to be", n, c.lost)
			}
			if h := s.health(s.all[1:]...); len(h) != 1 {
				t.Errorf("%q hold the gateway", h)
			}
			if n := s.clicks(60); n > 0 {
				t.Errorf("%d clicks were lost afterwards", n)
			}
			s.once()
		}))
	}
}

func TestAHolderThatHasLostItsLeaseLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, "a", "b")
		s.set(func() { s.holder, s.until = "somebody", time.Now().Add(30*time.Second) })
		s.pass(leaseRenew + time.Second)
		if n := s.Connected(); n != 0 {
			t.Errorf("%d are connected", n)
		}
		for _, r := range s.all {
			if h := r.Health(); !h.Standby || !strings.Contains(h.Detail, "somebody") {
				t.Errorf("%s: %+v", r.name, h)
			}
		}
		s.pass(time.Minute)
		if h := s.health(s.all...); len(h) != 1 || s.Connected() != 1 {
			t.Errorf("%q hold the gateway, %d are connected", h, s.Connected())
		}
		s.once()
	})
}

// Without the database nobody new begins, and who was connected stays so.
func TestTheHolderStaysWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeveral(t, "a", "b")
		s.set(func() { s.away = true })
		if n := s.clicks(60); n > 0 {
			t.Errorf("%d clicks were lost", n)
		}
		s.CloseGateway(4000) // it connects anew
		s.pass(5 * time.Second)
		if n := s.clicks(60); n > 0 {
			t.Errorf("%d clicks were lost after the connection was", n)
		}
		s.set(func() { s.away = false })
		s.pass(time.Minute)
		if h := s.health(s.all...); len(h) != 1 {
			t.Errorf("%q hold the gateway", h)
		}
		s.once()
	})
}

// A process that slept wakes up with what came to it before, and another has
// taken its place.
func TestWhatCameToAProcessThatSleptIsNotItsToAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &replica{name: "a", shelf: &shelf{}}
		mine := &tenure{Lease: r}
		if _, _, err := mine.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.set(func() { r.holder, r.until = "b", time.Now().Add(time.Hour) })
		for _, c := range []struct {
			after time.Duration
			away  bool
			want  bool
		}{{leaseFor - 1, false, true}, {time.Second, true, true}, {time.Second, false, false}, {time.Second, true, false}} {
			time.Sleep(c.after)
			r.set(func() { r.away = c.away })
			if got := mine.ours(t.Context()); got != c.want {
				t.Errorf("after %s, away %v: %v", c.after, c.away, got)
			}
		}
		var alone *tenure
		if !alone.ours(t.Context()) {
			t.Error("who is alone answers")
		}
	})
}
