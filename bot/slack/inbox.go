package slack

import (
	"context"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// ackTimeout is how long Slack waits for an acknowledgement.
const ackTimeout = 3 * time.Second

// inbox is what Slack delivers, by either road.
type inbox struct {
	a    *Adapter
	h    chat.Handler
	seen deliveries
}

// take does what a delivery asks for; ack acknowledges it. One that comes again
// is acknowledged as the first time: of a form, with its answer.
func (b *inbox) take(ctx context.Context, id, envelope string, payload []byte, ack func(payload any) error) {
	d, first := b.seen.note(id)
	if first {
		b.a.serve(ctx, b.h, envelope, payload, func(payload any) error {
			d.payload = payload
			close(d.answered)
			return ack(payload)
		})
		return
	}
	late := time.NewTimer(ackTimeout)
	defer late.Stop()
	select {
	case <-d.answered:
		_ = ack(d.payload)
	case <-late.C: // the first one was not acknowledged for a reason
	case <-ctx.Done():
	}
}

// delivery is what became of something delivered.
type delivery struct {
	answered chan struct{}
	payload  any // of its acknowledgement
}

// deliveries remembers the last ones: one that was acknowledged late comes
// twice.
type deliveries struct {
	mu   sync.Mutex
	ids  map[string]*delivery
	last []string
}

const remembered = 512

// note notes a delivery and reports whether it is new.
func (e *deliveries) note(id string) (d *delivery, first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if d := e.ids[id]; d != nil {
		return d, false
	}
	if e.ids == nil {
		e.ids = map[string]*delivery{}
	}
	d = &delivery{answered: make(chan struct{})}
	e.ids[id] = d
	e.last = append(e.last, id)
	if len(e.last) > remembered {
		delete(e.ids, e.last[0])
		e.last = e.last[1:]
	}
	return d, true
}
