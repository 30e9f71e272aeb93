package chat

import "context"

type backgroundKey struct{}

// InBackground marks what is done with ctx as something that nobody waits for,
// such as the edits that keep the figures of boards fresh. Platforms leave a fifth of what they
// may do in a time free of it, for people and the outcomes that they wait for:
// where the rest is used up, they return a *[RateLimitedError].
func InBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

// Background reports whether nobody waits for what is done with ctx.
func Background(ctx context.Context) bool {
	is, _ := ctx.Value(backgroundKey{}).(bool)
	return is
}

type untouchedKey struct{}

// IfUntouched marks a [Platform].Update that comes late, or that nobody asked
// for: what was shown by another since must not be replaced by it. Platforms that
// can tell return [ErrGone] then: what the update was for is shown no more.
func IfUntouched(ctx context.Context) context.Context {
	return context.WithValue(ctx, untouchedKey{}, true)
}

// OnlyUntouched reports whether ctx is marked by [IfUntouched].
func OnlyUntouched(ctx context.Context) bool {
	is, _ := ctx.Value(untouchedKey{}).(bool)
	return is
}
