package alerts_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox"
)

// agreement is what processes know of each other.
type agreement struct {
	w       *world // whose clock it is
	told    map[string]telling
	reaches map[string][]string // what, by process
}

type telling struct {
	by    string
	until time.Time
}

// process is one of them.
type process struct {
	*agreement
	me string
}

func (p process) Tells(_ context.Context, incident string) (bool, error) {
	if t := p.told[incident]; t.by != p.me && p.w.now.Before(t.until) {
		return false, nil
	}
	p.told[incident] = telling{p.me, p.w.now.Add(time.Minute)}
	return true, nil
}

func (p process) Reach(_ context.Context, what ...string) error {
	p.reaches[p.me] = what
	return nil
}

func (p process) Reached(_ context.Context, what string) (bool, error) {
	for me, all := range p.reaches {
		if me != p.me && strings.Contains(strings.Join(all, " ")+" ", what+" ") {
			return true, nil
		}
	}
	return false, nil
}

// pair is two processes with the same channels, database and clock, each with
// its own way to the cluster and to the platforms.
func pair(t *testing.T) (a, b *world) {
	t.Helper()
	row := proxmox.Container{VMID: 101, Name: "web", Node: "pve1"}
	running(&row)
	both := &agreement{told: map[string]telling{}, reaches: map[string][]string{}}
	as := func(me string) func(*alerts.Config) {
		return func(c *alerts.Config) { c.Replicas = process{both, me} }
	}
	a = newWorld(t, nil, row)
	both.w, a.tune = a, as("a")
	a.start()
	other := *a
	b = &other
	b.tune = as("b")
	b.start()
	return a, b
}

// ticks are refreshes of both.
func ticks(n int, a, b *world) {
	for range n {
		a.tick()
		b.now = a.now.Add(-30 * time.Second)
		b.tick()
	}
}

func TestOneProcessTellsAlsoWhileAnotherDoes(t *testing.T) {
	a, b := pair(t)
	ticks(2, a, b)
	a.slack.during = func() { b.tick() } // it finds an incident that nobody has told yet
	a.set(101, stopped)
	b.res = a.res
	ticks(3, a, b)
	a.posted(1, "web is down")

	a.slack.during = func() { b.tick() }
	a.set(101, running)
	ticks(3, a, b)
	a.posted(2, "Resolved")
}

func TestWhatAnotherProcessReachesIsNotLost(t *testing.T) {
	a, b := pair(t)
	gone := errors.New("no route to host")
	a.err = gone
	ticks(5, a, b)
	a.quiet("while b reaches the cluster")
	b.err = gone
	ticks(5, a, b)
	a.posted(1, "home")
	a.err = nil // and that is the end of it, though b still does not
	ticks(5, a, b)
	a.posted(2, "Resolved")
	b.err = nil
	ticks(2, a, b)

	mine := *a.slack
	b.slack = &mine // its own connection to Slack
	b.start()
	a.slack.health = chat.Health{Since: a.now}
	ticks(6, a, b)
	a.alerts.PlatformLost(t.Context(), chat.Slack, errors.New("token_revoked"))
	ticks(3, a, b)
	if n := len(a.discord.posts); n != 2 {
		t.Errorf("%d messages while b is connected: %q", n, a.discord.posts)
	}
	b.slack.health = chat.Health{Since: b.now}
	ticks(6, a, b)
	if n := len(a.discord.posts); n != 3 || !strings.Contains(a.discord.posts[2], "Slack") {
		t.Errorf("%d messages when none is: %q", n, a.discord.posts)
	}
}

// Whether a message of a process that died arrived, nobody can say. It is not
// sent again.
func TestACrashBetweenTellingAndSavingDoublesNothing(t *testing.T) {
	a, b := pair(t)
	ticks(2, a, b)
	a.set(101, stopped)
	a.slack.during = func() { panic("killed") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it was not killed")
			}
		}()
		a.tick()
	}()
	b.res = a.res
	for range 6 {
		b.tick()
		a.now = b.now
	}
	if len(a.slack.posts) != 1 || len(a.discord.posts) != 1 {
		t.Errorf("told on Slack %q, on Discord %q: once each", a.slack.posts, a.discord.posts)
	}
}

// A process that is told to end finishes the message that it has begun.
func TestAnEndIsWaitedForByAMessage(t *testing.T) {
	a, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	a.tick()
	a.set(101, stopped)
	a.slack.during = cancel
	a.now = a.now.Add(30 * time.Second)
	rep, err := a.inv.Refresh(ctx, "home")
	if err != nil {
		t.Fatal(err)
	}
	a.alerts.Look(ctx, rep)
	a.alerts.Pass(ctx)
	open, err := a.db.OpenIncidents(t.Context())
	if err != nil || len(open) != 1 || len(open[0].Posts) == 0 || len(open[0].Telling) != 0 {
		t.Errorf("%+v, %v", open, err)
	}
}
