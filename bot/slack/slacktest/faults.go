package slacktest

import (
	"context"
	"net/http"
	"time"
)

// faults is what goes wrong on purpose. Its fields need Server.mu.
type faults struct {
	planned   map[string][]*fault // by method
	stalls    map[string]chan struct{}
	authError string
	dropAcks  int
	silent    bool
	deaf      bool
	refusals  int
}

func newFaults() faults {
	return faults{planned: map[string][]*fault{}, stalls: map[string]chan struct{}{}}
}

// fault spoils the next n calls of a method.
type fault struct {
	n      int
	status int           // HTTP status; 0 is 200 with code
	code   string        // Slack's error
	retry  time.Duration // with status 429
	lose   bool          // the call takes effect, its answer is lost
}

func (s *Server) plan(method string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.n <= 0 {
		delete(s.planned, method)
		return
	}
	s.planned[method] = append(s.planned[method], &f)
}

// fault takes the next planned fault of a method.
func (s *Server) fault(method string) fault {
	for _, f := range s.planned[method] {
		if f.n > 0 {
			f.n--
			return *f
		}
	}
	return fault{}
}

// RateLimit answers the next n calls of a method with 429 and Retry-After, in
// whole seconds. As with the other faults of methods: they come in the order
// in which they were asked for, n = 0 takes a method's faults back, and the
// method of a response URL is "response_url".
func (s *Server) RateLimit(method string, n int, retryAfter time.Duration) {
	s.plan(method, fault{n: n, status: http.StatusTooManyRequests, code: "ratelimited", retry: retryAfter})
}

// FailMethod answers the next n calls of a method with one of Slack's errors
// and does nothing else.
func (s *Server) FailMethod(method, code string, n int) { s.plan(method, fault{n: n, code: code}) }

// FailHTTP answers the next n calls of a method with an HTTP status and a page
// that is no JSON, as Slack does when it is broken.
func (s *Server) FailHTTP(method string, status, n int) { s.plan(method, fault{n: n, status: status}) }

// LoseAnswer does what the next n calls of a method ask for, and then cuts the
// connection instead of answering.
func (s *Server) LoseAnswer(method string, n int) { s.plan(method, fault{n: n, lose: true}) }

// StallAPI holds every call of a method until release is called or the caller
// goes away. A released call takes effect.
func (s *Server) StallAPI(method string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.stalls[method] = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stalls[method] == gate {
			delete(s.stalls, method)
			close(gate)
		}
	}
}

// stalled waits while a method is held; false means that there is no caller
// any more.
func (s *Server) stalled(ctx context.Context, c *call) bool {
	s.mu.Lock()
	gate := s.stalls[c.req.Method]
	s.mu.Unlock()
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.req.Abandoned = true
	s.touch()
	return false
}

// AuthError answers every call with a code such as token_revoked, until it is
// called with "".
func (s *Server) AuthError(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authError = code
}

// DropAcks loses the next n acknowledgements on their way.
func (s *Server) DropAcks(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropAcks = n
}

// SilencePings stops or resumes the WebSocket pings, and the answers to those of
// the bot.
func (s *Server) SilencePings(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// Deafen leaves connections open and sends nothing over them any more, neither
// frames nor pings; new ones are accepted, and not greeted. What was not sent is
// lost.
func (s *Server) Deafen(deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = deaf
}

// RefuseConnections refuses the next n WebSocket handshakes.
func (s *Server) RefuseConnections(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = n
}
