// Package wiretest is what tests of the platforms' wires share: a network in
// memory, a clock, and the comparison with documented payloads.
package wiretest

import (
	"cmp"
	"context"
	"net"
	"sync"
)

// Network is a network of one listener: serve it, and dial it. Unlike the
// kernel's, it belongs to the bubble of testing/synctest that made it, whose
// clock moves while its connections wait.
type Network struct {
	Host string // of the listener's address; default "memory.test"

	pipes chan net.Conn
	done  chan struct{}
	over  sync.Once
}

// New returns a network whose listener is open.
func New() *Network { return &Network{pipes: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements [net.Listener].
func (n *Network) Accept() (net.Conn, error) {
	select {
	case c := <-n.pipes:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]. Connections stay.
func (n *Network) Close() error {
	n.over.Do(func() { close(n.done) })
	return nil
}

// Addr implements [net.Listener].
func (n *Network) Addr() net.Addr { return address(cmp.Or(n.Host, "memory.test") + ":80") }

// Dial connects to the listener, whatever the address.
func (n *Network) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case n.pipes <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-n.done:
		return nil, net.ErrClosed
	}
}

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) }
