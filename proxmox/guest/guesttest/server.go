// Package guesttest plays the SSH servers of containers.
//
// A [Server] knows no more of pvechat than what goes over the wire: it logs in
// with public keys, and runs the commands that pvechat sends. It serves in
// memory or on a listener, for tests and for the demo. A client that asks for
// something else than a plain command is refused, and told on with Errorf.
package guesttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Guest is a container as seen over SSH. The zero value runs, has no files, and
// lets in everybody who has a key.
type Guest struct {
	// Files are its files by absolute path. Their mode is 0600, but for those
	// in Modes, and their time is Modified.
	Files    map[string]string
	Modes    map[string]fs.FileMode
	Modified time.Time

	// Services are what runs in it; NoInit: no service manager that could be
	// asked for them.
	Services []Service
	NoInit   bool

	// Install is given what sets the guest up, scripts and files, instead of
	// anything being run; its result is the exit status. Nil: it is refused.
	Install func(ctx context.Context, script string, out io.Writer) (status uint32)

	// Root makes commands run through the real /bin/sh of this machine, which
	// see the directory Root as / where they look for credentials, services
	// and logs, and Root/bin before other programs. Files and Services are not
	// looked at then. It must be an absolute path of letters, digits and ./_,-
	Root string

	HostKeys []ssh.Signer    // nil: one key that the server makes up
	Strange  bool            // they are not in [Server.KnownHosts]
	Keys     []ssh.PublicKey // who may log in; nil: any key

	// Faults.
	Down     bool   // connections are refused
	Silent   bool   // connections are taken, but nobody speaks
	Prohibit string // logins are taken, but no session, and this is said
	// Exec runs a command instead of the guest. Its ctx ends with the
	// connection; what it returns is the exit status.
	Exec func(ctx context.Context, command string, stdio Stdio) (status uint32)
}

// Stdio is what a command reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Server is a network of guests, each at its address. The zero value has none.
type Server struct {
	// Errorf is told of requests that pvechat must not make, such as
	// t.Errorf. Nil: they are just refused.
	Errorf func(format string, args ...any)

	mu      sync.Mutex
	guests  map[netip.Addr]Guest
	conns   map[net.Conn]bool
	changed chan struct{} // closed when conns changes
	closed  bool
	wg      sync.WaitGroup
}

// Put places g at addr, where it replaces the guest that was there; its
// connections go on. A guest without HostKeys keeps the key of the one before.
func (s *Server) Put(addr netip.Addr, g Guest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.HostKeys == nil {
		g.HostKeys = s.guests[addr].HostKeys
	}
	if g.HostKeys == nil {
		g.HostKeys = []ssh.Signer{NewKey()}
	}
	if s.guests == nil {
		s.guests = make(map[netip.Addr]Guest)
	}
	s.guests[addr] = g
}

// Remove takes the guest at addr away.
func (s *Server) Remove(addr netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.guests, addr)
}

// NewKey returns a fresh key, for a host or for a person.
func NewKey() ssh.Signer {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	return signer
}

// KnownHosts returns the keys of all guests but the strange ones as an OpenSSH
// known_hosts file, for clients that connect to port.
func (s *Server) KnownHosts(port uint16) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for addr, g := range s.guests {
		if g.Strange {
			continue
		}
		for _, key := range g.HostKeys {
			lines = append(lines, knownhosts.Line([]string{netip.AddrPortFrom(addr, port).String()}, key.PublicKey())+"\n")
		}
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, ""))
}

// Dial connects to the guest at addr, host:port with any port, in memory. Where
// there is none it fails as a network does: no route to host.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fail(&net.DNSError{Err: "no such host", Name: addr, IsNotFound: true})
	}
	s.mu.Lock()
	g, ok := s.guests[to.Addr()]
	s.mu.Unlock()
	switch {
	case !ok:
		return fail(os.NewSyscallError("connect", syscall.EHOSTUNREACH))
	case g.Down:
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	ours, theirs := pipe(net.TCPAddrFromAddrPort(to))
	if !s.start(ours, g) {
		return fail(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	return theirs, nil
}

// Serve serves connections that come in on l, each as the guest at the address
// that it was made to; on Linux every 127.x.y.z is one. It ends with l.
func (s *Server) Serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		var addr netip.Addr
		if tcp, ok := conn.LocalAddr().(*net.TCPAddr); ok {
			addr = tcp.AddrPort().Addr().Unmap()
		}
		s.mu.Lock()
		g, ok := s.guests[addr]
		s.mu.Unlock()
		if !ok || g.Down || !s.start(conn, g) {
			conn.Close()
		}
	}
}

// Close ends all connections and waits until they have ended. Listeners are
// their owners'.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// AwaitIdle waits until no connection is open.
func (s *Server) AwaitIdle(ctx context.Context) error {
	for {
		s.mu.Lock()
		open := len(s.conns)
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		if open == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d connections are open: %w", open, ctx.Err())
		}
	}
}

// start serves conn as g. It reports false when the server is closed.
func (s *Server) start(conn net.Conn, g Guest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[net.Conn]bool)
	}
	s.conns[conn] = true
	s.wg.Go(func() {
		s.serve(conn, g)
		conn.Close()

		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
		if s.changed != nil {
			close(s.changed)
			s.changed = nil
		}
	})
	return true
}

func (s *Server) serve(conn net.Conn, g Guest) {
	if g.Silent {
		_, _ = io.Copy(io.Discard, conn) // until the client gives up
		return
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			same := func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }
			if g.Keys != nil && !slices.ContainsFunc(g.Keys, same) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	for _, key := range g.HostKeys {
		config.AddHostKey(key)
	}
	client, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // the client was not let in, or did not like us
	}
	defer client.Close()

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		for request := range requests {
			s.refuse(request)
		}
	})
	for channel := range channels {
		if channel.ChannelType() != "session" {
			s.errorf("guesttest: client opens a channel %q", channel.ChannelType())
			_ = channel.Reject(ssh.Prohibited, "sessions only")
			continue
		}
		if g.Prohibit != "" {
			_ = channel.Reject(ssh.Prohibited, g.Prohibit)
			continue
		}
		session, requests, err := channel.Accept()
		if err != nil {
			continue
		}
		running.Go(func() { s.session(ctx, g, session, requests) })
	}
}

// session serves one session, which may run one command.
func (s *Server) session(ctx context.Context, g Guest, session ssh.Channel, requests <-chan *ssh.Request) {
	defer session.Close()
	var running sync.WaitGroup
	defer running.Wait()
	started := false
	for request := range requests {
		var exec struct{ Command string }
		if request.Type != "exec" || started || ssh.Unmarshal(request.Payload, &exec) != nil {
			s.refuse(request)
			continue
		}
		started = true
		_ = request.Reply(true, nil)
		running.Go(func() {
			status := s.exec(ctx, g, exec.Command, Stdio{In: session, Out: session, Err: session.Stderr()})
			_, _ = session.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			session.Close()
		})
	}
}

func (s *Server) refuse(request *ssh.Request) {
	s.errorf("guesttest: client requests %q", request.Type)
	if request.WantReply {
		_ = request.Reply(false, nil)
	}
}

func (s *Server) errorf(format string, args ...any) {
	if s.Errorf != nil {
		s.Errorf(format, args...)
	}
}
