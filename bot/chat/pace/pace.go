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
	Kept  int // of Calls, that [chat.InBackground] leaves free
}

// A Pacer counts calls under keys. Its zero value is ready.
type Pacer struct {
	mu   sync.Mutex
	keys map[string]*record
}

type record struct {
	turns []time.Time // of late and to come, in order

	paused bool      // until a call was answered again
	pause  time.Time // before that no call begins
	pauses int       // so far
}

// probe is the time between calls after a pause, until one has shown that it is
// over: all at once could begin the next.
const probe = time.Second

// Wait returns when it is a call's turn under key. Where that is further away
// than patience, it returns a *[chat.RateLimitedError] at once, and the call
// does not count. Other errors are those of ctx.
func (p *Pacer) Wait(ctx context.Context, key string, l Limit, patience time.Duration) error {
	if chat.Background(ctx) {
		l.Calls -= l.Kept
	}
	for {
		now := time.Now()
		turn, pauses, err := p.turn(now, key, l, patience)
		if err != nil {
			return err
		}
		if err := sleep(ctx, turn.Sub(now)); err != nil {
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
func (p *Pacer) turn(now time.Time, key string, l Limit, patience time.Duration) (turn time.Time, pauses int, err error) {
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
		r.turns = slices.DeleteFunc(r.turns, func(t time.Time) bool { return now.Sub(t) >= l.In })
		if n := len(r.turns); n >= l.Calls {
			if free := r.turns[n-l.Calls].Add(l.In); free.After(turn) {
				turn = free
			}
		}
	}
	if wait := turn.Sub(now); wait > patience {
		return turn, 0, &chat.RateLimitedError{RetryAfter: wait}
	}
	if l.In > 0 {
		at, _ := slices.BinarySearchFunc(r.turns, turn, time.Time.Compare)
		r.turns = slices.Insert(r.turns, at, turn)
	}
	if r.paused {
		r.pause = turn.Add(probe)
	}
	return turn, r.pauses, nil
}

const (
	many = 1000        // records, before old ones are forgotten
	idle = time.Minute // no limit spans more
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

// sleep waits for d, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
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
