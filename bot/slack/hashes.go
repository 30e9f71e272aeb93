package slack

import (
	"context"
	"errors"
	"sync"
)

// hashes are what Slack calls the states of views, as this process left them.
// A late update carries one, so that it replaces nothing that was shown since, by
// another click or by another process: a tab, or an input that somebody types into.
type hashes struct {
	mu sync.Mutex
	of map[string]string // by view
}

// mostHashes is how many views are remembered. Of others an update is done
// unconditionally.
const mostHashes = 10_000

func (h *hashes) know(view, hash string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil || len(h.of) >= mostHashes {
		h.of = map[string]string{}
	}
	h.of[view] = hash
}

func (h *hashes) last(view string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[view]
}

type hashKey struct{}

// withHash keeps with ctx the hash of what an answer has shown: what follows from
// the answer may come when the view shows something else.
func withHash(ctx context.Context, hash string) context.Context {
	return context.WithValue(ctx, hashKey{}, hash)
}

// expected is the hash that a view must still have for a late update; empty: any.
func (h *hashes) expected(ctx context.Context, view string) string {
	if hash, ok := ctx.Value(hashKey{}).(string); ok {
		return hash
	}
	return h.last(view)
}

// overtaken reports whether a view was left as it is because the person, or another
// process, has gone on.
func overtaken(err error) bool {
	e, ok := errors.AsType[*codeError](err)
	return ok && e.code == "hash_conflict"
}
