// Package pace keeps calls within what a chat platform allows, and out of the
// pauses that it asks for.
package pace

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Limit is how many calls there may be in any span of time. The zero Limit is
// none.
type Limit struct {
	Calls int
	In    time.Duration

	// Late is how much longer one call may be on its way than another: the
	// platform counts them when they arrive.
	Late time.Duration

	// Kept is how many of Calls are never made by [chat.InBackground], which gets
	// half of the others in half of the time, so that a burst does not leave it
	// without any for long.
	Kept int
}

// A Pacer counts calls under keys. Its zero value is ready.
type Pacer struct {
	mu   sync.Mutex
	keys map[string]*record
}

type record struct {
	turns turns
	spare turns // those of them that nobody waits for

	paused bool      // until a call was answered again
	pause  time.Time // before that no call begins
	pauses int       // so far
}

// probe is the time between calls after a pause, until one has shown that it is
// over: all at once could begin the next.
const probe = time.Second

// Wait returns when it is a call's turn under key. Where that is further away
// than patience, or than ctx lasts, it returns a *[chat.RateLimitedError] at
// once, and the call does not count. Other errors are those of ctx.
func (p *Pacer) Wait(ctx context.Context, key string, l Limit, patience time.Duration) error {
	background := chat.Background(ctx)
	for {
		now := time.Now()
		if end, ok := ctx.Deadline(); ok {
			patience = min(patience, max(0, end.Sub(now)))
		}
		turn, pauses, err := p.turn(now, key, l, background, patience)
		if err != nil {
			return err
		}
		if err := Sleep(ctx, turn.Sub(now)); err != nil {
			return err
		}
		if p.Pauses(key) == pauses {
			return nil
		}
		l = Limit{} // it is counted already
	}
}

// Pause lets no call begin under key for a time, and then only one a second
// until Resume.
func (p *Pacer) Pause(key string, d time.Duration) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.record(key, now)
	r.paused = true
	r.pauses++
	if until := now.Add(d); until.After(r.pause) {
		r.pause = until
	}
}

// Resume ends what Pause began: a call was answered.
func (p *Pacer) Resume(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.keys[key]; r != nil {
		r.paused, r.pause = false, time.Time{}
	}
}

// Pauses is how often Pause was called for key. One more after Wait than before
// means that the turn is not to be taken.
func (p *Pacer) Pauses(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.keys[key]; r != nil {
		return r.pauses
	}
	return 0
}

// turn reserves the first turn within l.
func (p *Pacer) turn(now time.Time, key string, l Limit, background bool, patience time.Duration) (turn time.Time, pauses int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.In == 0 && p.keys[key] == nil {
		return now, 0, nil
	}
	r, turn := p.record(key, now), now
	if r.paused && r.pause.After(turn) {
		turn = r.pause
	}
	if l.In > 0 {
		turn = r.turns.next(now, turn, l.Calls, l.In+l.Late)
		if background {
			turn = r.spare.next(now, turn, (l.Calls-l.Kept+1)/2, l.In/2)
		}
	}
	if wait := turn.Sub(now); wait > patience {
		return turn, 0, &chat.RateLimitedError{RetryAfter: wait}
	}
	if l.In > 0 {
		r.turns.add(turn)
		if background {
			r.spare.add(turn)
		}
	}
	if r.paused {
		r.pause = turn.Add(probe)
	}
	return turn, r.pauses, nil
}

// turns are of late and to come, in order.
type turns []time.Time

// next is the first turn, not before earliest, with fewer than most others in
// the span before it and after it. It forgets those that do not matter any more.
func (t *turns) next(now, earliest time.Time, most int, span time.Duration) time.Time {
	*t = slices.DeleteFunc(*t, func(old time.Time) bool { return now.Sub(old) >= span })
	if n := len(*t); n >= most {
		if free := (*t)[n-most].Add(span); free.After(earliest) {
			return free
		}
	}
	return earliest
}

func (t *turns) add(turn time.Time) {
	at, _ := slices.BinarySearchFunc(*t, turn, time.Time.Compare)
	*t = slices.Insert(*t, at, turn)
}

const (
	many = 1000            // records, before old ones are forgotten
	idle = 2 * time.Minute // no limit spans more
)

// record is what is known under key; p.mu is held.
func (p *Pacer) record(key string, now time.Time) *record {
	if r := p.keys[key]; r != nil {
		return r
	}
	if p.keys == nil {
		p.keys = map[string]*record{}
	}
	if len(p.keys) >= many {
		for k, r := range p.keys {
			if (!r.paused || now.Sub(r.pause) > idle) && (len(r.turns) == 0 || now.Sub(r.turns[len(r.turns)-1]) > idle) {
				delete(p.keys, k)
			}
		}
	}
	r := &record{}
	p.keys[key] = r
	return r
}

// Sleep waits for d, or returns the error of ctx where that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
