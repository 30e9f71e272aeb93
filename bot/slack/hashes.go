package slack

import (
	"context"
	"errors"
	"sync"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
)

// hashes are what Slack calls the states of views, as this process left them.
// A late update carries one, so that it replaces nothing that was shown since, by
// another click or by another process: a tab, or an input that somebody types into.
type hashes struct {
	mu    sync.Mutex
	calls uint64
	of    map[string]state // by view
}

// state is what a call has made of a view.
type state struct {
	hash string
	call uint64 // answers may overtake each other
}

// mostHashes is how many views are remembered. Of others an update is done
// unconditionally.
const mostHashes = 10_000

// expect begins a call that changes a view. It returns the hash that the view must
// still have, empty for any, and what takes the answer.
func (h *hashes) expect(ctx context.Context, view string) (hash string, done func(*slackgo.ViewResponse)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	call := h.calls
	a, _ := ctx.Value(actKey{}).(*shown)
	switch {
	case !chat.OnlyUntouched(ctx): // whatever it shows
	case a != nil:
		hash = a.hash
	default:
		hash = h.of[view].hash
	}
	return hash, func(v *slackgo.ViewResponse) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if a != nil {
			a.hash = v.Hash
		}
		if h.of[v.ID].call > call {
			return
		}
		if h.of == nil || len(h.of) >= mostHashes {
			h.of = map[string]state{}
		}
		h.of[v.ID] = state{v.Hash, call}
	}
}

// shown is what an act has shown last, for what follows from it: that may come when
// the view shows something else. Where the act itself has shown nothing yet, its
// answer is shown in any case.
type shown struct{ hash string }

type actKey struct{}

func withShown(ctx context.Context) context.Context {
	return context.WithValue(ctx, actKey{}, &shown{})
}

// overtaken reports whether a view was left as it is because the person, or another
// process, has gone on.
func overtaken(err error) bool {
	e, ok := errors.AsType[*codeError](err)
	return ok && e.code == "hash_conflict"
}
