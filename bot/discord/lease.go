package discord

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat/pace"
)

// Lease is the right to the one connection to the gateway that processes which
// share a bot have between them: with two, every interaction would arrive twice.
type Lease interface {
	// Take takes the right for a time, or keeps it, unless another process has
	// it: then it returns that one's name.
	Take(ctx context.Context, d time.Duration) (other string, err error)
	// Drop lets another process have it at once.
	Drop(ctx context.Context) error
}

const (
	leaseFor   = 10 * time.Second
	leaseRenew = 3 * time.Second
	leaseLook  = time.Second // by those who stand by: so long nobody hears Discord after a holder that stopped in order
)

// errTaken means that another process holds the gateway now.
var errTaken = errors.New("another process holds the gateway")

// tenure is this process's time with the gateway.
type tenure struct {
	Lease

	mu    sync.Mutex
	held  bool      // as the last answer was
	until time.Time // held for sure; by this process's own clock, which no setting of the time moves
}

// renew prolongs it, or returns who has the gateway instead. Without an answer
// it is held as it was before.
func (t *tenure) renew(ctx context.Context) (held bool, other string, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseLook)
	defer cancel()
	asked := time.Now()
	other, err = t.Take(ctx, leaseFor)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.held, t.until = other == "", asked.Add(leaseFor)
	}
	return t.held, other, err
}

// ours reports whether what the gateway has brought is for this process to
// answer. A process that could not prolong its lease, for it slept, say, asks
// first. Where the database does not answer it answers all the same: reads go
// on, what changes something needs the database, and of two answers Discord
// shows the first.
func (t *tenure) ours(ctx context.Context) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	sure := t.held && time.Now().Before(t.until)
	t.mu.Unlock()
	if sure {
		return true
	}
	held, _, _ := t.renew(ctx)
	return held
}

// stand waits until the gateway is this process's. It still is where it was and
// the database does not say otherwise.
func (r *running) stand() error {
	t := r.tenure
	if t == nil {
		return nil
	}
	for {
		held, other, err := t.renew(r.ctx)
		again := leaseLook
		switch {
		case held:
			return r.ctx.Err()
		case err != nil:
			again = leaseFor // whoever holds it, is first when the database is back
		default:
			r.stands(other)
		}
		if err := pace.Sleep(r.ctx, again); err != nil {
			return err
		}
	}
}

// keep prolongs the tenure until ctx ends, and calls end where another process
// has it. wait returns after ctx has ended.
func (r *running) keep(ctx context.Context, end context.CancelCauseFunc) (wait func()) {
	t := r.tenure
	if t == nil {
		return func() {}
	}
	var work sync.WaitGroup
	work.Go(func() {
		told := false
		for pace.Sleep(ctx, leaseRenew) == nil {
			_, other, err := t.renew(ctx)
			switch {
			case err != nil:
				if !told && ctx.Err() == nil {
					r.log.WarnContext(ctx, "the gateway is held without a lease until the database answers", "error", err)
				}
				told = true
			case other != "":
				end(fmt.Errorf("%w: %s", errTaken, other))
			default:
				told = false
			}
		}
	})
	return work.Wait
}

// drop lets another process have the gateway.
func (r *running) drop() {
	if r.tenure == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), leaseLook)
	defer cancel()
	if err := r.tenure.Drop(ctx); err != nil {
		r.log.WarnContext(ctx, "another process gets the gateway only when the lease ends", "in", leaseFor, "error", err)
	}
}

// connected is what the health says of a connection.
func (r *running) connected() string {
	if r.tenure == nil || r.problem != "" {
		return r.problem
	}
	return "holds the gateway"
}
