// Package webhook takes the requests with which a chat platform calls the bot.
//
// Whoever knows the address can call it too. So nothing of a request is looked
// at before its signature is, and what is refused costs little and is logged
// once a minute.
package webhook

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// window is how far a request's time may be from ours, in seconds. What
	// comes again within it is told by its content.
	window = 300

	// maxBody is twice of what a platform sends at most: the largest view of
	// Slack's, escaped as a form.
	maxBody = 1 << 20

	// maxReading bodies are read at once, each within bodyTimeout: who may call
	// cannot be known before a body is read, so that is what strangers can make
	// us hold. A platform sends a body in one piece.
	maxReading  = 64
	bodyTimeout = 2 * time.Second

	logEvery = time.Minute
)

// Endpoint takes requests that a platform has signed.
type Endpoint struct {
	// Timestamp and Signature name the headers with the time of a request, in
	// seconds since 1970, and with what proves who sent it.
	Timestamp, Signature string

	// Valid reports, in a time that says nothing of the key, whether the
	// signature is that of a timestamp and a body.
	Valid func(timestamp, signature string, body []byte) bool

	Key string // the setting to look at where nothing is signed rightly
	Now func() time.Time
	Log *slog.Logger

	work    sync.WaitGroup
	reading atomic.Int32

	mu      sync.Mutex
	ctx     context.Context // of Open; nil: nothing is taken
	last    time.Time       // of a request that was signed rightly
	refused int             // since then
	quiet   int             // refused since the last line of the log
	logged  time.Time
	taken   map[[sha256.Size]byte]struct{}
	order   []taken // of those, oldest first
}

// taken is a body that came, by its digest.
type taken struct {
	at  time.Time
	sum [sha256.Size]byte
}

// Handler gives serve the body of each request that is signed rightly; the
// others it answers itself: with 401, with 413 or 400 where there is nothing to
// check, or with 503 where too many come at once.
func (e *Endpoint) Handler(serve func(w http.ResponseWriter, r *http.Request, body []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := e.read(w, r)
		e.note(r, err)
		if err != nil {
			w.Header().Set("Connection", "close") // or the rest of the body would be waited for
			http.Error(w, http.StatusText(err.status), err.status)
			return
		}
		serve(w, r, body)
	})
}

// refusal is why a request is not taken.
type refusal struct {
	status int
	why    string
}

func (e *Endpoint) read(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	stamp, signature := r.Header.Get(e.Timestamp), r.Header.Get(e.Signature)
	at, err := strconv.ParseInt(stamp, 10, 64)
	age := e.Now().Unix() - at
	switch {
	case r.URL.RawQuery != "":
		return nil, &refusal{http.StatusBadRequest, "it has a query, which no signature covers"}
	case err != nil || signature == "":
		return nil, &refusal{http.StatusUnauthorized, "it is not signed"}
	case age > window || age < -window:
		return nil, &refusal{http.StatusUnauthorized, "it is too old, or a clock is wrong"}
	case r.ContentLength > maxBody:
		return nil, &refusal{http.StatusRequestEntityTooLarge, "it is too large"}
	}
	defer e.reading.Add(-1)
	if e.reading.Add(1) > maxReading {
		return nil, &refusal{http.StatusServiceUnavailable, "too many come at once"}
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // where there is no connection, nothing is slow
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = control.SetReadDeadline(time.Time{}) // the request goes on for longer
	switch tooLarge := (*http.MaxBytesError)(nil); {
	case errors.As(err, &tooLarge):
		return nil, &refusal{http.StatusRequestEntityTooLarge, "it is too large"}
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, "it did not arrive as a whole"}
	case !e.Valid(stamp, signature, body):
		return nil, &refusal{http.StatusUnauthorized, "its signature is wrong"}
	}
	return body, nil
}

// note counts a request, and logs refused ones now and then.
func (e *Endpoint) note(r *http.Request, err *refusal) {
	now := e.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil {
		e.last, e.refused = now, 0
		return
	}
	e.refused++
	e.quiet++
	if !e.logged.IsZero() && now.Sub(e.logged) < logEvery {
		return
	}
	e.Log.WarnContext(r.Context(), "a request was refused", "path", r.URL.Path, "why", err.why, "requests", e.quiet)
	e.logged, e.quiet = now, 0
}

// First reports whether a body comes for the first time. One that is signed
// rightly can come again, from whoever has seen it, for as long as its time is
// near enough.
func (e *Endpoint) First(body []byte) bool {
	now, sum := e.Now(), sha256.Sum256(body)
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.order) > 0 && now.Sub(e.order[0].at) > 2*window*time.Second {
		delete(e.taken, e.order[0].sum)
		e.order = e.order[1:]
	}
	if _, again := e.taken[sum]; again {
		return false
	}
	if e.taken == nil {
		e.taken = map[[sha256.Size]byte]struct{}{}
	}
	e.taken[sum] = struct{}{}
	e.order = append(e.order, taken{now, sum})
	return true
}

// Detail says, for [chat.Health], when a request came last.
func (e *Endpoint) Detail() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := "takes requests over HTTP, none has come yet"
	if !e.last.IsZero() {
		s = "takes requests over HTTP, the last one came " + e.last.UTC().Format(time.RFC3339)
	}
	if e.refused > 0 {
		s += fmt.Sprintf("; %d refused since, look at %s", e.refused, e.Key)
	}
	return s
}

// Open lets [Endpoint.Go] start work with ctx, until Close.
func (e *Endpoint) Open(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ctx = ctx
}

// Close returns when all work has ended; there is no more of it.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.ctx = nil
	e.mu.Unlock()
	e.work.Wait()
}

// Go runs f on a goroutine of its own, with the context of [Endpoint.Open]. It
// reports false, and does nothing, where the endpoint is not open.
func (e *Endpoint) Go(f func(ctx context.Context)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	ctx := e.ctx
	if ctx == nil || ctx.Err() != nil {
		return false
	}
	e.work.Go(func() { f(ctx) })
	return true
}
