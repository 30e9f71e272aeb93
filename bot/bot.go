package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/pvechat/pvechat/bot/chat"
)

// Runner is a part of the process: it blocks until ctx ends, and whatever it
// started has ended with it.
type Runner interface {
	Run(ctx context.Context) error
}

// RunFunc makes a Runner of a function.
type RunFunc func(ctx context.Context) error

// Run calls f.
func (f RunFunc) Run(ctx context.Context) error { return f(ctx) }

// Bot is everything that runs.
type Bot struct {
	Platforms []chat.Platform
	Handler   chat.Handler
	Parts     map[string]Runner
	Log       *slog.Logger

	// Lost, if set, is told of a platform that ended for good while others go on.
	Lost func(ctx context.Context, platform chat.PlatformName, why error)
}

// Run blocks until ctx ends, a part fails, or no platform is left. A platform
// that ends for good leaves the other running; on the only one it ends the
// process with its error.
func (b Bot) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for name, part := range b.Parts {
		wg.Go(func() {
			if err := part.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	var mu sync.Mutex
	left, lost := len(b.Platforms), []error(nil)
	for _, p := range b.Platforms {
		wg.Go(func() {
			err := p.Run(ctx, b.Handler)
			if ctx.Err() != nil {
				return
			}
			b.Log.ErrorContext(ctx, "a platform is lost until pvechat is restarted", "platform", p.Name(), "err", err)
			mu.Lock()
			lost = append(lost, err)
			left--
			last := left == 0
			mu.Unlock()
			switch {
			case last:
				cancel(errors.Join(lost...))
			case b.Lost != nil:
				b.Lost(ctx, p.Name(), err)
			}
		})
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}
