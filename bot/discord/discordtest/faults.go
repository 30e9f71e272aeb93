package discordtest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// faults is what goes wrong on purpose; s.mu guards it.
type faults struct {
	rest   []*restFault
	stalls []*stallFault

	deaf                 bool
	refuseGateway        bool
	silentHeartbeats     bool
	stallResume          bool
	refuseIdentify       int
	reconnectInHandshake int
	invalidSessions      int
	invalidResumable     bool
}

type restFault struct {
	match string
	left  int
	err   *apiError // nil: the request takes effect, its answer is lost
}

type stallFault struct {
	match string
	open  chan struct{}
}

// matches says whether a pattern such as "PATCH /channels/" is in a request's
// method and path.
func matches(pattern, method, path string) bool {
	return strings.Contains(method+" "+strings.TrimPrefix(strings.TrimPrefix(path, apiV9), apiV10), pattern)
}

func (f *faults) answer(method, path string) error {
	for _, r := range f.rest {
		if r.err != nil && r.left != 0 && matches(r.match, method, path) {
			r.left--
			return r.err
		}
	}
	return nil
}

// lose reports whether the answer to a request is lost.
func (f *faults) lose(method, path string) bool {
	for _, r := range f.rest {
		if r.err == nil && r.left != 0 && matches(r.match, method, path) {
			r.left--
			return true
		}
	}
	return false
}

func (f *faults) stall(method, path string) chan struct{} {
	for _, st := range f.stalls {
		if matches(st.match, method, path) {
			return st.open
		}
	}
	return nil
}

// RateLimit answers the next n requests that match ("PATCH /channels/") with
// 429; n below 0 means all, and 0 takes back what was asked for this match.
// Without a time in its body, a client has to choose one itself.
func (s *Server) RateLimit(match string, n int, retryAfter time.Duration, withoutRetryAfter bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 {
		s.faults.rest = slices.DeleteFunc(s.faults.rest, func(f *restFault) bool {
			return f.match == match && f.err != nil && f.err.status == http.StatusTooManyRequests
		})
		return
	}
	s.faults.rest = append(s.faults.rest, &restFault{match, n, rateLimited(retryAfter, "user", false, !withoutRetryAfter)})
}

// RateLimitGlobal answers the next n requests that match with the 429 that
// concerns all routes.
func (s *Server) RateLimitGlobal(match string, n int, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rest = append(s.faults.rest, &restFault{match, n, rateLimited(retryAfter, "global", true, true)})
}

// RateLimitShared answers the next n requests that match with a 429 that others
// have caused.
func (s *Server) RateLimitShared(match string, n int, retryAfter time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rest = append(s.faults.rest, &restFault{match, n, rateLimited(retryAfter, "shared", false, true)})
}

// Fail answers the next n requests that match with a status and an error code;
// n below 0 means all.
func (s *Server) Fail(match string, status, code, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := known(code)
	failed := *err
	failed.status = status
	s.faults.rest = append(s.faults.rest, &restFault{match, n, &failed})
}

// LoseAnswer does what the next n requests that match ask for, and then cuts the
// connection instead of answering.
func (s *Server) LoseAnswer(match string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.rest = append(s.faults.rest, &restFault{match, n, nil})
}

// Stall leaves requests that match without an answer until the returned
// function is called.
func (s *Server) Stall(match string) (release func()) {
	st := &stallFault{match, make(chan struct{})}
	s.mu.Lock()
	s.faults.stalls = append(s.faults.stalls, st)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, other := range s.faults.stalls {
			if other == st {
				s.faults.stalls = append(s.faults.stalls[:i], s.faults.stalls[i+1:]...)
				close(st.open)
				return
			}
		}
	}
}

// ReconnectInHandshake answers the next n Identifies with op 7.
func (s *Server) ReconnectInHandshake(n int) { s.fault(func(f *faults) { f.reconnectInHandshake = n }) }

// InvalidSession answers the next n Identifies with op 9.
func (s *Server) InvalidSession(n int, resumable bool) {
	s.fault(func(f *faults) { f.invalidSessions, f.invalidResumable = n, resumable })
}

// StallResume leaves every Resume without an answer.
func (s *Server) StallResume(on bool) { s.fault(func(f *faults) { f.stallResume = on }) }

// Deafen leaves the gateway's connections open and sends nothing over them any
// more; new ones are accepted, and not greeted. What was not sent is lost.
func (s *Server) Deafen(on bool) { s.fault(func(f *faults) { f.deaf = on }) }

// SilenceHeartbeats acknowledges no heartbeat.
func (s *Server) SilenceHeartbeats(on bool) { s.fault(func(f *faults) { f.silentHeartbeats = on }) }

// RefuseGateway answers connections with 503.
func (s *Server) RefuseGateway(on bool) { s.fault(func(f *faults) { f.refuseGateway = on }) }

// RefuseIdentify closes at every Identify with a code such as 4004; 0 ends it.
func (s *Server) RefuseIdentify(code int) { s.fault(func(f *faults) { f.refuseIdentify = code }) }

// ResetToken makes the bot's token worthless, as the button "Reset Token" does,
// and takes that back.
func (s *Server) ResetToken(on bool) {
	s.mu.Lock()
	s.tokenReset = on
	s.mu.Unlock()
	if on {
		s.CloseGateway(closeBadToken)
	}
}

func (s *Server) fault(change func(*faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.faults)
}

// CloseGateway closes every gateway connection with a code. After 1000, 1001,
// 4007 and 4009 no session can be resumed.
func (s *Server) CloseGateway(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains([]int{1000, 1001, 4007, 4009}, code) {
		clear(s.gateway.sessions)
	}
	for c := range s.gateway.conns {
		c.push(closeFrame{code, "Closed."})
	}
}

// Reconnect asks every gateway connection to begin anew (op 7).
func (s *Server) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.gateway.conns {
		c.push(frame(opReconnect, nil))
	}
}

// Redeliver sends the last interaction once more, as Discord may where a session
// is resumed, and whoever stands before an endpoint at any time. It does nothing
// before the first one.
func (s *Server) Redeliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch to := s.endpoint; {
	case s.last == nil:
	case to == "":
		s.dispatch("INTERACTION_CREATE", s.last)
	default:
		payload := mustMarshal(s.last)
		s.busy.Go(func() { _, _, _ = s.post(s.ctx, to, payload, true) }) // nobody waits for its answer
	}
}
