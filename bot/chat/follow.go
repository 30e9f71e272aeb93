package chat

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// goodbye is how long taking a surface back may last after ctx has ended.
const goodbye = 5 * time.Second

// Follow does what an answer still wants after Now was shown at a Ref: it calls
// Shown, runs Then and replaces what is shown by its result, and takes it all
// back after Expire, or when ctx ends before. Adapters call it on the
// invocation's own goroutine; it returns the first error of the platform.
func Follow(ctx context.Context, p Platform, at Ref, a Answer) error {
	if a.Shown != nil && !at.Zero() {
		a.Shown(at)
	}
	var first error
	if a.Then != nil {
		s, err := a.Then(ctx)
		if err == nil && s != nil {
			first = p.Update(IfUntouched(ctx), at, s)
		}
	}
	if a.Expire <= 0 || at.Zero() {
		return first
	}
	timer := time.NewTimer(a.Expire)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	var err error
	if a.After != nil {
		err = p.Update(ctx, at, a.After)
	} else {
		err = p.Delete(ctx, at)
	}
	if first == nil {
		first = err
	}
	return first
}

// Panicked says for the log what a handler panicked with. Words that are not the
// runtime's own may quote what a person typed, so that only their type is said;
// the stack says where it was.
func Panicked(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a %T", p)
}
