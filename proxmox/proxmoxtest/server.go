package proxmoxtest

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrClosed is what a wait returns when the server was closed meanwhile.
var ErrClosed = errors.New("proxmoxtest: server closed")

// Options say what kind of cluster a [Server] is. The zero value is good for most tests.
type Options struct {
	// Now is the clock of everything that is told: dates, task times, uptimes, ages of figures. Default: time.Now.
	Now func() time.Time
	// Scale multiplies every duration of the real system: 1 for the demo, 0.01 for tests that watch things happen in order, 0 to
	// have them happen at once. The 5 s after which an idle connection is closed are not scaled.
	Scale float64
	// Version of pve-manager. Default: "9.2.2". Before 8.4 an error has no "message", before 9 a container has no pressure figures,
	// before 8 some numbers are strings.
	Version string
	// Cluster is the cluster's name. Default: "home".
	Cluster string
	// Plain serves HTTP without TLS.
	Plain bool
	// Lease gives a new container its address, with prefix length. Default: one of 192.0.2.0/24.
	Lease func(vmid int) string
	// Listener to serve on. Default: a free port of 127.0.0.1.
	Listener net.Listener
}

// Server is one Proxmox VE cluster, reachable at one address. Its methods may be called from several goroutines, before and after
// [Server.Start].
type Server struct {
	opts  Options
	setup sync.Once
	wg    sync.WaitGroup
	done  chan struct{} // closed by Close
	slots chan struct{} // the worker processes that answer
	calls []call
	certs certificates

	mu       sync.Mutex
	listener net.Listener
	address  string
	conns    map[net.Conn]struct{}
	closed   bool
	changed  chan struct{} // closed, and replaced, when anything that can be waited for has happened
	version  uint64        // grows with every change of the cluster, so that rendered answers can be kept until then

	nodes    []*node
	guests   map[int]*guest
	storages []*Storage
	tokens   map[string]*token
	quorum   *bool // nil: counted from the nodes
	nextHW   int

	tasks   []*task
	flocks  map[int]chan struct{}
	nextPID int
	pending int // HA requests that were accepted and not yet carried out
	held    bool

	stats                                  map[int]guestStats
	nodeStats                              map[string]nodeStats
	lastPass                               time.Time
	passes                                 uint64
	listings                               map[listingKey]*listing
	passVersion, listedVersion, listedPass uint64 // what the figures and the listings are true of

	requests   []*Request
	counts     map[[2]string]int
	unexpected []Request
	faults     faults
}

// New returns a server that has not been started.
func New(opts Options) *Server { return &Server{opts: opts} }

func (s *Server) init() {
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	if s.opts.Version == "" {
		s.opts.Version = "9.2.2"
	}
	if s.opts.Cluster == "" {
		s.opts.Cluster = "home"
	}
	s.done = make(chan struct{})
	s.changed = make(chan struct{})
	s.slots = make(chan struct{}, workerProcesses)
	s.calls = calls()
	s.conns = make(map[net.Conn]struct{})
	s.guests = make(map[int]*guest)
	s.tokens = make(map[string]*token)
	s.flocks = make(map[int]chan struct{})
	s.stats = make(map[int]guestStats)
	s.nodeStats = make(map[string]nodeStats)
	s.listings = make(map[listingKey]*listing)
	s.counts = make(map[[2]string]int)
	s.nextPID = 0x0A1B2C
	s.storages = []*Storage{
		{Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Total: 94 << 30, Used: 20 << 30},
		{Name: "local-lvm", Type: "lvmthin", Content: "rootdir,images", Total: 352 << 30, Used: 72 << 30},
	}
}

// Start begins to serve. Its error is that of listening or of making the certificate.
func (s *Server) Start() error {
	s.lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.address != "" {
		return errors.New("proxmoxtest: already started")
	}
	if !s.opts.Plain {
		if err := s.certs.prepare(); err != nil {
			return err
		}
	}
	ln := s.opts.Listener
	if ln == nil {
		var err error
		if ln, err = listen("127.0.0.1:0"); err != nil {
			return err
		}
	}
	s.assumeNode()
	s.listener, s.address = ln, ln.Addr().String()
	s.wg.Go(func() { s.accept(ln) })
	return nil
}

// Close stops serving, cuts all connections, and returns when everything that the server started has ended. Tasks that run then stay
// "running" for ever.
func (s *Server) Close() {
	s.lock()
	if !s.closed {
		s.closed = true
		close(s.done)
		if s.listener != nil {
			_ = s.listener.Close()
		}
		s.cutConnections()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// URL is the server's origin, for example "https://127.0.0.1:40123". It is empty before Start.
func (s *Server) URL() string {
	s.lock()
	defer s.mu.Unlock()
	if s.address == "" {
		return ""
	}
	if s.opts.Plain {
		return "http://" + s.address
	}
	return "https://" + s.address
}

// Changes returns a channel that is closed at the next request, or change of the cluster. Take it before looking, then wait for it.
func (s *Server) Changes() <-chan struct{} {
	s.lock()
	defer s.mu.Unlock()
	return s.changed
}

// lock takes the server's lock for reading or changing the cluster. The figures that were due before now are taken first, from the
// state of then.
func (s *Server) lock() {
	s.setup.Do(s.init)
	s.mu.Lock()
	if s.opts.Scale > 0 {
		s.takeFigures()
	}
}

// touch tells that the cluster has changed. The lock is held.
func (s *Server) touch() {
	s.version++
	s.notify()
}

// notify wakes everybody who waits. The lock is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) now() time.Time { return s.opts.Now() }

func (s *Server) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.opts.Scale)
}

// pause waits for d, which is already scaled. False: the server was closed, or abort came first.
func (s *Server) pause(d time.Duration, abort <-chan struct{}) bool {
	select {
	case <-abort:
		return false
	case <-s.done:
		return false
	default:
	}
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-abort:
	case <-s.done:
	}
	return false
}

// await returns when cond, which is called with the lock held, is true.
func (s *Server) await(ctx context.Context, cond func() bool) error {
	for {
		s.lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-s.done:
			return ErrClosed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// atLeast tells whether the simulated pve-manager is of this version or newer.
func (s *Server) atLeast(major, minor int) bool {
	parts := strings.SplitN(s.opts.Version, ".", 3)
	have, _ := strconv.Atoi(parts[0])
	if have != major || len(parts) < 2 {
		return have >= major
	}
	point, _ := strconv.Atoi(parts[1])
	return point >= minor
}
