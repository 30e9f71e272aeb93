package bot

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/view"
)

// Limits of the queue.
const (
	workers = 32   // invocations answered at a time
	waiting = 1000 // that wait for a worker; more hear "busy"
)

// Dispatcher stands between the platforms and the router: it bounds how many
// invocations are under way and drops those that were delivered before. It is a
// chat.Handler.
type Dispatcher struct {
	next    chat.Handler
	metrics *Metrics

	slots chan struct{}
	queue chan struct{}

	mu     sync.Mutex
	recent map[string]time.Time // what this process was given in the last minute
	pruned time.Time
	turns  map[string]uint64 // how often a surface was acted on
	heard  map[chat.PlatformName]time.Time
}

// NewDispatcher makes a Dispatcher. It does no I/O.
func NewDispatcher(next chat.Handler, m *Metrics) *Dispatcher {
	return &Dispatcher{
		next: next, metrics: m,
		slots: make(chan struct{}, workers), queue: make(chan struct{}, workers+waiting),
		recent: map[string]time.Time{}, turns: map[string]uint64{}, heard: map[chat.PlatformName]time.Time{},
	}
}

// Heard says when somebody on a platform last did something that came here; the
// zero time where nobody has.
func (d *Dispatcher) Heard(on chat.PlatformName) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard[on]
}

// Commands lists what can be typed.
func (d *Dispatcher) Commands() []chat.Command { return d.next.Commands() }

// Complete suggests values; it answers from memory and skips the queue.
func (d *Dispatcher) Complete(ctx context.Context, inv chat.Invocation) []chat.Choice {
	return d.next.Complete(ctx, inv)
}

// Handle answers one invocation; a second delivery of it is answered with
// nothing.
func (d *Dispatcher) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	began := time.Now()
	d.mu.Lock()
	d.heard[inv.Platform()] = began
	d.mu.Unlock()
	select {
	case d.queue <- struct{}{}:
		defer func() { <-d.queue }()
	default:
		return d.busy(inv)
	}
	if inv.Kind != chat.Submitted { // its acknowledgement is the answer; it does not wait in line
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		case <-ctx.Done():
			return d.busy(inv)
		}
	}
	if !d.first(inv) {
		d.metrics.clicks.WithLabelValues(string(inv.Platform()), "repeat").Inc()
		return chat.Answer{}
	}
	_ = roomy(0)
	a := d.next.Handle(ctx, inv)
	d.metrics.clicks.WithLabelValues(string(inv.Platform()), "answered").Inc()
	d.metrics.latency.WithLabelValues(string(inv.Platform())).Observe(time.Since(began).Seconds())
	return d.inTurn(inv, a)
}

// busy says that nothing was done. A form stays as it was typed, and to what
// nobody pressed there is nothing to say.
func (d *Dispatcher) busy(inv chat.Invocation) chat.Answer {
	d.metrics.clicks.WithLabelValues(string(inv.Platform()), "busy").Inc()
	switch inv.Kind {
	case chat.Opened, chat.Closed:
		return chat.Answer{}
	case chat.Submitted:
		return chat.Answer{Errors: map[string]string{"": view.Busy().Summary}, Now: view.Busy()}
	}
	return chat.Answer{Now: view.Busy()}
}

// first reports whether this process has not been given the invocation yet.
// Another replica may have; routes that change something ask the database too.
func (d *Dispatcher) first(inv chat.Invocation) bool {
	if inv.ID == "" {
		return true
	}
	key := inv.Person.Key() + ":" + inv.ID
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, seen := d.recent[key]
	if len(d.recent) > 10_000 && now.Sub(d.pruned) > 10*time.Second { // not at each of the next ten thousand
		d.pruned = now
		for k, at := range d.recent {
			if now.Sub(at) > time.Minute {
				delete(d.recent, k)
			}
		}
	}
	d.recent[key] = now
	return !seen
}

// inTurn keeps a late answer from replacing what the person has opened on the
// same surface since: on the one that was acted on, or on a new one, whose id is
// known when it is shown.
func (d *Dispatcher) inTurn(inv chat.Invocation, a chat.Answer) chat.Answer {
	var at atomic.Pointer[surfaceTurn]
	if a.InPlace && inv.Source.ID != "" {
		at.Store(&surfaceTurn{inv.Source.ID, d.turn(inv.Source.ID)})
	}
	if a.Then == nil {
		return a
	}
	shown, then := a.Shown, a.Then
	if at.Load() == nil {
		a.Shown = func(ref chat.Ref) {
			at.Store(&surfaceTurn{id: ref.ID}) // nobody has acted on it
			if shown != nil {
				shown(ref)
			}
		}
	}
	a.Then = func(ctx context.Context) (chat.Surface, error) {
		s, err := then(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		if mine := at.Load(); mine != nil && d.turns[mine.id] != mine.turn {
			return nil, err
		}
		return s, err
	}
	return a
}

// surfaceTurn is an act on a surface.
type surfaceTurn struct {
	id   string
	turn uint64
}

func (d *Dispatcher) turn(id string) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.turns) > 10_000 {
		clear(d.turns) // answers under way lose their turn, and nothing else
	}
	d.turns[id]++
	return d.turns[id]
}
