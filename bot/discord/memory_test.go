package discord

import (
	"context"
	"net"
	"sync"
)

// memory is a network of one listener. Unlike the kernel's, it belongs to the
// synctest bubble that made it, whose clock moves while its connections wait.
type memory struct {
	pipes chan net.Conn
	done  chan struct{}
	over  sync.Once
}

func newMemory() *memory {
	return &memory{pipes: make(chan net.Conn), done: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.pipes:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.over.Do(func() { close(m.done) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.pipes <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.done:
		return nil, net.ErrClosed
	}
}
