package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/live"
)

// store keeps boards by channel.
type store struct {
	mu     sync.Mutex
	boards map[string]live.Board
	fail   map[string]error // by method
}

func key(p chat.PlatformName, channel string) string { return string(p) + "/" + channel }

func (s *store) Boards(context.Context) ([]live.Board, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []live.Board
	for _, k := range slices.Sorted(maps.Keys(s.boards)) {
		list = append(list, s.boards[k])
	}
	return list, s.fail["Boards"]
}

func (s *store) PutBoard(_ context.Context, b live.Board) (live.Board, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, existed := s.boards[key(b.Platform, b.Channel)]
	s.boards[key(b.Platform, b.Channel)] = b
	return before, existed, nil
}

func (s *store) TouchBoard(ctx context.Context, b live.Board) (bool, error) {
	return s.MoveBoard(ctx, b.Message, b)
}

func (s *store) MoveBoard(_ context.Context, message string, b live.Board) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(b.Platform, b.Channel)
	if s.fail["MoveBoard"] != nil || s.boards[k].Message != message {
		return false, s.fail["MoveBoard"]
	}
	s.boards[k] = b
	return true, nil
}

func (s *store) DropBoard(_ context.Context, p chat.PlatformName, channel, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.boards[key(p, channel)].Message == message {
		delete(s.boards, key(p, channel))
	}
	return nil
}

// act is something that a platform was asked for.
type act struct {
	At   time.Duration // since the beginning
	What string        // "post", "update", "delete"
	Ref  string        // channel/message, or the panel's id
	Says string
}

// platform is a chat that holds one message a channel, and panels.
type platform struct {
	chat.Platform // what is not needed here

	name  chat.PlatformName
	began time.Time

	mu       sync.Mutex
	acts     []act
	messages map[string]string // what stands in the channels, by channel/message
	serial   int
	lost     bool // the connection
	refuse   func(ctx context.Context, a act) error
}

func (p *platform) Name() chat.PlatformName { return p.name }
func (p *platform) Space() chat.Space       { return chat.Space{Board: 8} }

func (p *platform) Health() chat.Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return chat.Health{OK: !p.lost}
}

func (p *platform) do(ctx context.Context, what, ref, says string) error {
	p.mu.Lock()
	a := act{time.Since(p.began), what, ref, says}
	refuse := p.refuse
	p.mu.Unlock()
	if refuse != nil {
		if err := refuse(ctx, a); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acts = append(p.acts, a)
	if what == "delete" {
		delete(p.messages, ref)
	} else {
		p.messages[ref] = says
	}
	return nil
}

func (p *platform) Post(ctx context.Context, to chat.Target, m chat.Message) (chat.Ref, error) {
	p.mu.Lock()
	p.serial++
	ref := chat.Ref{Platform: p.name, Kind: chat.MessageRef, Channel: to.Channel, ID: fmt.Sprint("m", p.serial)}
	p.mu.Unlock()
	return ref, p.do(ctx, "post", to.Channel+"/"+ref.ID, m.Summary)
}

func (p *platform) Update(ctx context.Context, at chat.Ref, s chat.Surface) error {
	if m, ok := s.(chat.Message); ok {
		return p.do(ctx, "update", at.Channel+"/"+at.ID, m.Summary)
	}
	return p.do(ctx, "update", at.ID, s.(chat.Panel).Title)
}

func (p *platform) Delete(ctx context.Context, at chat.Ref) error {
	return p.do(ctx, "delete", at.Channel+"/"+at.ID, "")
}

// take returns what was done since the last take, and forgets it.
func (p *platform) take() []act {
	p.mu.Lock()
	defer p.mu.Unlock()
	acts := p.acts
	p.acts = nil
	return acts
}

func (p *platform) holds() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.messages)
}

// refuses sets what is refused.
func (p *platform) refuses(f func(context.Context, act) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = f
}

// limits refuses what is more than Slack's budget for a method takes.
func (p *platform) limits() {
	var pacer pace.Pacer
	p.refuses(func(ctx context.Context, a act) error {
		return pacer.Wait(ctx, a.What, pace.Limit{Calls: 50, In: time.Minute, Kept: 10}, 3*time.Second)
	})
}

// house is a Live on the fake clock of the bubble that it is made in.
type house struct {
	t     *testing.T
	store *store
	slack *platform
	other *platform
	live  *live.Live

	mu     sync.Mutex
	state  map[string]string // by filter
	figure map[string]int
	claims map[string]*claims // which process shows a surface
}

// claims are one process's.
type claims struct{ h *house }

func (c *claims) Claim(_ context.Context, surfaces ...string) error {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	for _, s := range surfaces {
		c.h.claims[s] = c
	}
	return nil
}

func (c *claims) Claimed(_ context.Context, surface string) (bool, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	by := c.h.claims[surface]
	return by != nil && by != c, nil
}

func newHouse(t *testing.T) *house {
	now := time.Now()
	h := &house{
		t: t, store: &store{boards: map[string]live.Board{}, fail: map[string]error{}},
		slack:  &platform{name: chat.Slack, began: now, messages: map[string]string{}},
		other:  &platform{name: chat.Discord, began: now, messages: map[string]string{}},
		state:  map[string]string{},
		figure: map[string]int{},
		claims: map[string]*claims{},
	}
	h.live = h.process()
	return h
}

// process starts one more process over the same database.
func (h *house) process() *live.Live {
	l := live.New(live.Config{
		Platforms: []chat.Platform{h.slack, h.other}, Store: h.store, View: h.view, Replicas: &claims{h}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Error(err)
		}
	})
	return l
}

func (h *house) view(filter string, _ chat.Space, _, confirmed time.Time) chat.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	says := fmt.Sprint(filter, " ", h.state[filter], " ", h.figure[filter])
	m := chat.Message{Public: true, Summary: says, Blocks: []chat.Block{
		chat.Row{ID: "1", Name: "web", Word: h.state[filter], Facts: chat.Texts(fmt.Sprint(h.figure[filter]))},
	}}
	if !confirmed.IsZero() {
		m.Summary += " confirmed"
	}
	return m
}

// change changes the figures that a filter shows, or the state of something.
func (h *house) change(filter, state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if state != "" {
		h.state[filter] = state
		return
	}
	h.figure[filter]++
}

// shows puts a board into a channel as handlers do.
func (h *house) shows(p *platform, channel, filter string) {
	h.t.Helper()
	look := h.live.Look(p.name, filter)
	ref, err := p.Post(h.t.Context(), chat.Target{Channel: channel}, h.view(filter, p.Space(), time.Now(), time.Time{}))
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.live.Post(h.t.Context(), ref, filter, look, "slack:ana"); err != nil {
		h.t.Fatal(err)
	}
	synctest.Wait()
	p.take()
}

// tick lets a period pass, and everything happen that a refresh brings.
func (h *house) tick() {
	time.Sleep(30 * time.Second)
	h.live.Tick()
	synctest.Wait()
}

// did are acts without their times.
func did(acts []act) []string {
	var list []string
	for _, a := range acts {
		list = append(list, a.What+" "+a.Ref+": "+a.Says)
	}
	return list
}

func (h *house) want(p *platform, want ...string) {
	h.t.Helper()
	if diff := cmp.Diff(want, did(p.take())); diff != "" {
		h.t.Errorf("on %s (-want +got):\n%s", p.name, diff)
	}
}

func bubble(test func(t *testing.T, h *house)) func(t *testing.T) {
	return func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newHouse(t)) })
	}
}

func TestABoardIsEditedWhenItLooksDifferentAndElseConfirmedEveryFiveMinutes(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		for range 9 {
			h.tick()
			h.want(h.slack)
		}
		h.tick()
		h.want(h.slack, "update ops/m1: all  0 confirmed")
		h.change("all", "")
		h.tick()
		h.want(h.slack, "update ops/m1: all  1")
		for range 9 {
			h.tick()
			h.want(h.slack)
		}
		h.tick()
		h.want(h.slack, "update ops/m1: all  1 confirmed")
		h.want(h.other)
	})(t)
}

func TestWhatHappensBetweenRefreshesIsShownAtOnce(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.shows(h.other, "9", "all")
		h.change("all", "starting…")
		h.live.Touch()
		synctest.Wait()
		h.want(h.slack, "update ops/m1: all starting… 0")
		h.want(h.other, "update 9/m1: all starting… 0")
		h.live.Touch()
		synctest.Wait()
		h.want(h.slack)
	})(t)
}

func TestTwentyBoardsThatChangeAtEveryTickAreEditedAtEveryTick(t *testing.T) {
	bubble(func(t *testing.T, h *house) {
		for i := range 20 {
			h.shows(h.slack, fmt.Sprintf("c%02d", i), "all")
		}
		h.slack.limits()
		for range 20 {
			h.change("all", "")
			h.tick()
			if n := len(h.slack.take()); n != 20 {
				t.Fatalf("%d of 20 boards were edited", n)
			}
		}
	})(t)
}

func TestMoreBoardsTakeTurnsAndChangedStatesGoFirst(t *testing.T) {
	bubble(func(t *testing.T, h *house) {
		const boards = 60
		filter := func(i int) string { return fmt.Sprintf("f%02d", i) }
		for i := range boards {
			h.shows(h.slack, fmt.Sprintf("c%02d", i), filter(i))
		}
		time.Sleep(time.Minute)
		h.slack.limits()
		last := map[string]int{}
		for n := range 40 {
			for i := range boards {
				h.change(filter(i), "")
			}
			urgent := filter(n * 7 % boards)
			h.change(urgent, fmt.Sprint("state ", n))
			h.tick()
			acts := h.slack.take()
			if len(acts) == 0 || acts[0].Ref[:3] != "c"+urgent[1:] {
				t.Fatalf("at tick %d the first of %d edits is %+v, want that of %s", n, len(acts), acts[:min(1, len(acts))], urgent)
			}
			for _, a := range acts {
				last[a.Ref] = n
			}
			for ref := range h.slack.holds() {
				if wait := n - last[ref]; wait > boards/20+1 {
					t.Fatalf("at tick %d %s has waited for %d ticks", n, ref, wait)
				}
			}
		}
		// What is shown at last is the newest, once there is room.
		for range 4 {
			h.tick()
		}
		for ref, says := range h.slack.holds() {
			if want := h.view("f"+ref[1:3], chat.Space{}, time.Time{}, time.Time{}).Summary; says != want {
				t.Errorf("%s says %q, want %q", ref, says, want)
			}
		}
	})(t)
}

func TestARateLimitIsFollowedByTheNewestState(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.shows(h.other, "9", "all")
		h.slack.refuses(func(context.Context, act) error { return &chat.RateLimitedError{RetryAfter: 45 * time.Second} })
		for range 2 {
			h.change("all", "")
			h.tick()
		}
		h.want(h.slack)
		h.want(h.other, "update 9/m1: all  1", "update 9/m1: all  2") // it has nothing to do with it
		h.slack.refuses(nil)
		h.tick()
		h.want(h.slack, "update ops/m1: all  2")
		h.tick()
		h.want(h.slack)
	})(t)
}

func TestABoardThatIsGoneOrOutOfReachIsForgottenQuietly(t *testing.T) {
	for name, why := range map[string]error{"deleted": chat.ErrGone, "the bot was kicked": chat.ErrForbidden} {
		t.Run(name, bubble(func(t *testing.T, h *house) {
			h.shows(h.slack, "ops", "all")
			h.shows(h.slack, "web", "all")
			h.slack.refuses(func(_ context.Context, a act) error {
				if a.Ref == "ops/m1" {
					return fmt.Errorf("slack: %w", why)
				}
				return nil
			})
			h.change("all", "")
			h.tick()
			h.want(h.slack, "update web/m2: all  1")
			if got, _ := h.store.Boards(t.Context()); len(got) != 1 || got[0].Channel != "web" {
				t.Errorf("left are %+v", got)
			}
			h.slack.refuses(nil)
			h.change("all", "")
			h.tick()
			h.want(h.slack, "update web/m2: all  2")
		}))
	}
}

func TestTroubleForgetsNothing(t *testing.T) {
	bubble(func(t *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.slack.refuses(func(context.Context, act) error { return errors.New("slack: token_revoked") })
		h.change("all", "")
		h.tick()
		h.store.mu.Lock()
		h.store.fail["Boards"] = errors.New("no database")
		h.store.mu.Unlock()
		h.tick()
		h.store.mu.Lock()
		clear(h.store.fail)
		h.store.mu.Unlock()
		h.slack.refuses(nil)
		h.tick()
		h.want(h.slack, "update ops/m1: all  1")
	})(t)
}

// frozen refuses edits of the message that was posted first.
func frozen(_ context.Context, a act) error {
	if a.What == "update" && a.Ref == "ops/m1" {
		return fmt.Errorf("discord: 30046: %w", chat.ErrFrozen)
	}
	return nil
}

func (h *house) oneBoard(p *platform, ref, says string) {
	h.t.Helper()
	if diff := cmp.Diff(map[string]string{ref: says}, p.holds()); diff != "" {
		h.t.Errorf("in the channel (-want +got):\n%s", diff)
	}
	if got, _ := h.store.Boards(context.Background()); len(got) != 1 || got[0].Channel+"/"+got[0].Message != ref {
		h.t.Errorf("kept are %+v", got)
	}
}

func TestABoardThatCannotBeEditedAnyMoreIsPostedAnewWithinOneTick(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.other, "ops", "all")
		h.other.refuses(frozen)
		h.change("all", "")
		h.tick()
		h.want(h.other, "post ops/m2: all  1", "delete ops/m1: ")
		h.oneBoard(h.other, "ops/m2", "all  1")
		h.change("all", "")
		h.tick()
		h.want(h.other, "update ops/m2: all  2")
	})(t)
}

func TestThereIsOneBoardWhateverFailsWhileItIsPostedAnew(t *testing.T) {
	broken := errors.New("broken")
	t.Run("posting", bubble(func(_ *testing.T, h *house) {
		h.shows(h.other, "ops", "all")
		h.other.refuses(func(ctx context.Context, a act) error {
			if a.What == "post" {
				return broken
			}
			return frozen(ctx, a)
		})
		h.change("all", "")
		h.tick()
		h.oneBoard(h.other, "ops/m1", "all  0")
		h.other.refuses(frozen)
		h.tick()
		h.oneBoard(h.other, "ops/m3", "all  1")
	}))
	t.Run("the database", bubble(func(_ *testing.T, h *house) {
		h.shows(h.other, "ops", "all")
		h.other.refuses(frozen)
		h.store.fail["MoveBoard"] = broken
		h.change("all", "")
		h.tick()
		h.oneBoard(h.other, "ops/m1", "all  0")
		h.store.mu.Lock()
		clear(h.store.fail)
		h.store.mu.Unlock()
		h.tick()
		h.oneBoard(h.other, "ops/m3", "all  1")
	}))
	t.Run("deleting", bubble(func(_ *testing.T, h *house) {
		h.shows(h.other, "ops", "all")
		h.other.refuses(func(ctx context.Context, a act) error {
			if a.What == "delete" {
				return broken
			}
			return frozen(ctx, a)
		})
		h.change("all", "")
		h.tick()
		h.other.refuses(frozen)
		h.tick()
		h.oneBoard(h.other, "ops/m2", "all  1")
	}))
	t.Run("another process is at it too", bubble(func(_ *testing.T, h *house) {
		second := h.process()
		h.shows(h.other, "ops", "all")
		h.other.refuses(func(ctx context.Context, a act) error {
			time.Sleep(time.Second) // both are in the middle of it
			return frozen(ctx, a)
		})
		h.change("all", "")
		second.Tick()
		h.live.Tick()
		time.Sleep(10 * time.Second)
		if posts := len(h.other.take()); posts != 4 {
			h.t.Errorf("%d acts: the two did not meet", posts)
		}
		if n := len(h.other.holds()); n != 1 {
			h.t.Errorf("%d boards in the channel", n)
		}
	}))
}

func TestARestartMakesNoDoubles(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.shows(h.other, "9", "all")
		h.live = h.process()
		h.tick()
		h.want(h.slack)
		h.want(h.other)
		h.change("all", "")
		h.live = h.process()
		h.tick()
		h.want(h.slack, "update ops/m1: all  1")
		h.want(h.other, "update 9/m1: all  1")
		h.oneBoardEach()
	})(t)
}

func (h *house) oneBoardEach() {
	h.t.Helper()
	for _, p := range []*platform{h.slack, h.other} {
		if n := len(p.holds()); n != 1 {
			h.t.Errorf("%d messages on %s", n, p.name)
		}
	}
}

func TestANewBoardTakesThePlaceOfTheOldOne(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.shows(h.slack, "ops", "error")
		h.oneBoard(h.slack, "ops/m2", "error  0")
	})(t)
}

func panel(id string) chat.Ref {
	return chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: id}
}

func TestAProcessThatLeavesTheBoardsToAnotherEditsItsPanels(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.live.Opening().Show(panel("v1"), func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: "open"} })
		h.change("all", "")
		h.live.TickPanels()
		synctest.Wait()
		h.want(h.slack, "update v1: open")
		h.live.Touch() // half a period later: did it?
		synctest.Wait()
		h.want(h.slack, "update ops/m1: all  1")
	})(t)
}

func TestWhatAPersonHasOpenIsEditedEveryTickUntilItEnds(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		n := 0
		counts := func(context.Context, time.Time) chat.Surface { n++; return chat.Panel{Title: fmt.Sprint(n)} }
		h.live.Opening().Show(panel("v1"), counts)
		h.live.Touch()
		synctest.Wait()
		h.want(h.slack)
		h.tick()
		h.tick()
		h.want(h.slack, "update v1: 1", "update v1: 2")

		h.live.Opening().Show(panel("v1"), func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: "another tab"} })
		h.tick()
		h.want(h.slack, "update v1: another tab")

		h.live.Close(panel("v1"))
		h.tick()
		h.want(h.slack)

		until := panel("v2")
		until.Until = time.Now().Add(time.Minute)
		h.live.Opening().Show(until, counts)
		for range 4 {
			h.tick()
		}
		h.want(h.slack, "update v2: 3")

		h.live.Opening().Show(panel("v3"), func(context.Context, time.Time) chat.Surface { return nil })
		h.live.Opening().Show(panel("v4"), counts)
		h.slack.refuses(func(_ context.Context, a act) error { return chat.ErrGone })
		h.tick()
		h.slack.refuses(nil)
		h.tick()
		h.want(h.slack)
	})(t)
}

func TestWhatIsShownLateDoesNotTakeThePlaceOfWhatWasOpenedSince(t *testing.T) {
	bubble(func(t *testing.T, h *house) {
		at := panel("v1")
		titled := func(title string) live.Panel {
			return func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: title} }
		}
		first, second := h.live.Opening(), h.live.Opening()
		second.Show(at, titled("events"))
		first.Show(at, titled("overview"))
		h.tick()
		h.want(h.slack, "update v1: events")
		third := h.live.Opening()
		h.live.Close(at)
		third.Show(at, titled("overview"))
		h.tick()
		h.want(h.slack)
		h.live.Opening().Show(at, titled("services"))
		h.tick()
		h.want(h.slack, "update v1: services")
	})(t)
}

func TestMorePanelsThanFitTakeTurnsAndTheOldestGiveWay(t *testing.T) {
	bubble(func(t *testing.T, h *house) {
		open := func(id string) {
			h.live.Opening().Show(panel(id), func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: id} })
		}
		for i := range 101 {
			open(fmt.Sprintf("v%03d", i))
		}
		h.tick()
		if acts := h.slack.take(); len(acts) != 100 || acts[0].Ref != "v001" {
			t.Errorf("%d edits, the first %+v", len(acts), acts[0])
		}
		h.slack.limits() // forty in a minute
		times := map[string]int{}
		for range 10 { // minutes: 400 edits
			h.tick()
			h.tick()
		}
		for _, a := range h.slack.take() {
			times[a.Ref]++
		}
		for i := 1; i < 101; i++ {
			if n := times[fmt.Sprintf("v%03d", i)]; n < 3 || n > 5 {
				t.Errorf("v%03d was edited %d times", i, n)
			}
		}
	})(t)
}

func TestAPlatformThatIsNotConnectedIsLeftAloneUntilItIs(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.live.Opening().Show(panel("v1"), func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: "open"} })
		connected := func(is bool) {
			h.slack.mu.Lock()
			defer h.slack.mu.Unlock()
			h.slack.lost = !is
		}
		connected(false)
		h.change("all", "")
		h.tick()
		h.want(h.slack)
		connected(true)
		h.tick()
		h.want(h.slack, "update ops/m1: all  1", "update v1: open")
	})(t)
}

func TestOnePlatformDoesNotHoldUpTheOther(t *testing.T) {
	bubble(func(_ *testing.T, h *house) {
		h.shows(h.slack, "ops", "all")
		h.shows(h.other, "9", "all")
		h.slack.refuses(func(context.Context, act) error { time.Sleep(20 * time.Second); return errors.New("timeout") })
		h.change("all", "")
		h.tick()
		h.want(h.other, "update 9/m1: all  1")
	})(t)
}

// A press on a panel may reach another process than the one that opened it.
func TestAPanelIsKeptFreshByTheProcessThatShowsItLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		first, second := h.live, h.process()
		shows := func(tab string) live.Panel {
			return func(context.Context, time.Time) chat.Surface { return chat.Panel{Title: tab} }
		}
		ref := chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "V1"}
		tick := func() (said []string) {
			h.slack.take()
			first.Tick()
			second.Tick()
			time.Sleep(time.Second)
			for _, a := range h.slack.take() {
				said = append(said, a.Says)
			}
			return said
		}
		for _, step := range []struct {
			who  *live.Live
			tab  string // "": it is closed
			want string
		}{{first, "overview", "[overview]"}, {second, "events", "[events]"}, {first, "services", "[services]"}, {second, "", "[]"}} {
			if step.tab == "" {
				step.who.Close(ref)
			} else {
				step.who.Opening().Show(ref, shows(step.tab))
			}
			time.Sleep(time.Second)
			for range 3 {
				if got := fmt.Sprint(tick()); got != step.want {
					t.Errorf("after %q: %s", step.tab, got)
				}
			}
		}
	})
}
