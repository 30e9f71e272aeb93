package proxmoxtest

import (
	"context"
	"slices"
	"time"
)

type faults struct {
	down    bool
	stalled bool
	latency time.Duration
	fail    []*failure
	cut     []*failure
	frozen  []*Frozen
}

// failure is one rule of Fail or CutAfterBytes.
type failure struct {
	method, path string
	status       int
	reason       string
	bytes        int
	left         int // < 0: for ever
}

func (f *failure) take(method, path string) bool {
	if f.left == 0 || !matches(f.method, f.path, method, path) {
		return false
	}
	if f.left > 0 {
		f.left--
	}
	return true
}

// Down takes the whole API away: open connections are cut and new ones refused. With a listener of [Options] connections are
// accepted and cut at once instead, because such a listener cannot be opened again.
func (s *Server) Down(down bool) {
	s.lock()
	defer s.mu.Unlock()
	if s.faults.down == down || s.closed {
		s.faults.down = down
		return
	}
	s.faults.down = down
	if down {
		s.cutConnections()
	}
	if s.opts.Listener != nil || s.address == "" {
		return
	}
	if down {
		_ = s.listener.Close()
		return
	}
	s.wg.Go(s.reopen)
}

// reopen listens at the old address again. Somebody else's outgoing connection may have taken the port for a moment.
func (s *Server) reopen() {
	for {
		s.mu.Lock()
		if s.faults.down || s.closed {
			s.mu.Unlock()
			return
		}
		ln, err := listen(s.address)
		if err == nil {
			s.listener = ln
			s.wg.Go(func() { s.accept(ln) })
			s.notify()
		}
		s.mu.Unlock()
		if err == nil || !s.pause(10*time.Millisecond, nil) {
			return
		}
	}
}

// Stall makes the server accept requests and never answer them. Requests that wait when the stall ends are dropped with their
// connection and not carried out.
func (s *Server) Stall(stalled bool) {
	s.lock()
	defer s.mu.Unlock()
	s.faults.stalled = stalled
	s.notify()
}

// Fail answers the next requests of this method and path (a pattern as in [Server.Count]) with this status line instead of carrying
// them out; times < 0 is for ever. Statuses of 595 and above, which one node gives about another, have no body; those of a reverse
// proxy (429, 502, 503, 504) have a page.
func (s *Server) Fail(method, path string, status int, reason string, times int) {
	s.lock()
	defer s.mu.Unlock()
	s.faults.fail = append(s.faults.fail, &failure{method: method, path: path, status: status, reason: reason, left: times})
}

// CutAfterBytes carries the next requests of this method and path out, but sends no more than bytes of the answer before the connection dies:
// with 0 a write is accepted and its UPID lost. times < 0 is for ever.
func (s *Server) CutAfterBytes(method, path string, bytes, times int) {
	s.lock()
	defer s.mu.Unlock()
	s.faults.cut = append(s.faults.cut, &failure{method: method, path: path, bytes: bytes, left: times})
}

// Frozen is what [Server.Freeze] and [Server.FreezeAnswer] hold.
type Frozen struct {
	s            *Server
	method, path string
	carriedOut   bool
	held         int
	end          chan struct{}
}

// Freeze holds the requests of this method and path (a pattern as in [Server.Count]) before they are carried out. What is held when
// it is released is dropped with its connection, and never carried out.
func (s *Server) Freeze(method, path string) *Frozen { return s.freeze(method, path, false) }

// FreezeAnswer carries the requests of this method and path out and holds their answers. What is held when it is released is lost.
func (s *Server) FreezeAnswer(method, path string) *Frozen { return s.freeze(method, path, true) }

func (s *Server) freeze(method, path string, carriedOut bool) *Frozen {
	s.lock()
	defer s.mu.Unlock()
	f := &Frozen{s: s, method: method, path: path, carriedOut: carriedOut, end: make(chan struct{})}
	s.faults.frozen = append(s.faults.frozen, f)
	return f
}

// Await returns when a request is held.
func (f *Frozen) Await(ctx context.Context) error {
	return f.s.await(ctx, func() bool { return f.held > 0 })
}

// Release ends it.
func (f *Frozen) Release() {
	f.s.lock()
	defer f.s.mu.Unlock()
	if i := slices.Index(f.s.faults.frozen, f); i >= 0 {
		f.s.faults.frozen = slices.Delete(f.s.faults.frozen, i, i+1)
		close(f.end)
	}
}

// hold reports whether a request may go on, which is at once where nothing holds it.
func (s *Server) hold(method, path string, carriedOut bool) bool {
	s.mu.Lock()
	i := slices.IndexFunc(s.faults.frozen, func(f *Frozen) bool {
		return f.carriedOut == carriedOut && matches(f.method, f.path, method, path)
	})
	if i < 0 {
		s.mu.Unlock()
		return true
	}
	f := s.faults.frozen[i]
	f.held++
	s.notify()
	s.mu.Unlock()
	select {
	case <-f.end:
	case <-s.done:
	}
	return false
}

// Recover ends all faults: those of Fail, CutAfterBytes, Freeze and FreezeAnswer, and Latency, Stall and Down. Nodes stay as they are.
func (s *Server) Recover() {
	s.lock()
	s.faults.fail, s.faults.cut, s.faults.latency = nil, nil, 0
	frozen := slices.Clone(s.faults.frozen)
	s.mu.Unlock()
	for _, f := range frozen {
		f.Release()
	}
	s.Stall(false)
	s.Down(false)
}

// Latency makes every request take this long, unscaled. At most three are worked on at once, as by Proxmox' three worker processes.
func (s *Server) Latency(d time.Duration) {
	s.lock()
	defer s.mu.Unlock()
	s.faults.latency = d
}

// Hold keeps tasks that are started from now on at their very beginning: running, with nothing done and an empty log. Release them
// with Hold(false).
func (s *Server) Hold(hold bool) {
	s.lock()
	defer s.mu.Unlock()
	s.held = hold
	s.notify()
}

func firstMatch(rules []*failure, method, path string) *failure {
	for _, f := range rules {
		if f.take(method, path) {
			return f
		}
	}
	return nil
}
