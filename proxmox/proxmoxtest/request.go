package proxmoxtest

import (
	"context"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// keptRequests bounds the memory of a demo that runs for weeks.
const keptRequests = 20_000

// Request is one that the server has received.
type Request struct {
	Method string
	// Path is relative to /api2/json, unescaped: "/nodes/pve1/lxc/101/status/start".
	Path string
	// Form holds the parameters of the query and the body.
	Form url.Values
	// Status and Reason of the answer; 0 while there is none, also for a connection that was cut or stalled before it.
	Status int
	Reason string
	// Token is the token's id, without its secret; empty if the request was not authenticated.
	Token     string
	Time      time.Time
	UserAgent string
}

// Requests returns what was received, the oldest first. Only the last 20,000 are kept.
func (s *Server) Requests() []Request {
	s.lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.requests))
	for i, r := range s.requests {
		out[i] = *r
	}
	return out
}

// Count tells how many requests with this method and path were received since the start, however they were answered. In the path,
// * stands for anything but a slash; an empty method stands for all.
func (s *Server) Count(method, pathPattern string) int {
	s.lock()
	defer s.mu.Unlock()
	n := 0
	for key, times := range s.counts {
		if matches(method, pathPattern, key[0], key[1]) {
			n += times
		}
	}
	return n
}

// AwaitRequest returns the first answered request, past or future, for which match is true.
func (s *Server) AwaitRequest(ctx context.Context, match func(Request) bool) (Request, error) {
	var found Request
	err := s.await(ctx, func() bool {
		for _, r := range s.requests {
			if r.Status != 0 && match(*r) {
				found = *r
				return true
			}
		}
		return false
	})
	return found, err
}

// Unexpected returns the requests that no correct client makes: for a path that is not simulated, with an undefined parameter, or in
// a form that Proxmox does not take (HEAD, chunked, a body on GET or DELETE).
func (s *Server) Unexpected() []Request {
	s.lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

// arrived records a request. The lock is held.
func (s *Server) arrived(r *Request) {
	if len(s.requests) >= keptRequests {
		s.requests = slices.Delete(s.requests, 0, keptRequests/10)
	}
	s.requests = append(s.requests, r)
	s.counts[[2]string{r.Method, r.Path}]++
	s.notify()
}

// matches tells whether a request is meant by a pattern of [Server.Count], [Server.Fail] or [Server.CutAfterBytes].
func matches(wantMethod, pattern, method, reqPath string) bool {
	if wantMethod != "" && wantMethod != "*" && !strings.EqualFold(wantMethod, method) {
		return false
	}
	if pattern == "" || pattern == "*" {
		return true
	}
	ok, err := path.Match(pattern, reqPath)
	return ok && err == nil
}
