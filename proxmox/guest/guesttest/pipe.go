package guesttest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pipe returns the two ends of a connection in memory, the first for the server
// at addr. As on a socket, and not as with net.Pipe, a write does not wait for
// the reader: in SSH both sides speak first. All that blocks are condition
// variables, so it works in a testing/synctest bubble. There are no deadlines.
func pipe(server net.Addr) (net.Conn, net.Conn) {
	client := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:40000"))
	up, down := newQueue(), newQueue()
	return &end{in: up, out: down, local: server, remote: client}, &end{in: down, out: up, local: client, remote: server}
}

type end struct {
	in, out       *queue
	local, remote net.Addr
}

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }
func (e *end) LocalAddr() net.Addr         { return e.local }
func (e *end) RemoteAddr() net.Addr        { return e.remote }

func (e *end) Close() error {
	e.in.close()
	e.out.close()
	return nil
}

func (*end) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (*end) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (*end) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

type queue struct {
	mu     sync.Mutex
	filled *sync.Cond
	data   []byte
	closed bool
}

func newQueue() *queue {
	q := new(queue)
	q.filled = sync.NewCond(&q.mu)
	return q
}

func (q *queue) read(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.data) == 0 && !q.closed {
		q.filled.Wait()
	}
	if len(q.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, q.data)
	q.data = q.data[n:]
	return n, nil
}

func (q *queue) write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0, net.ErrClosed
	}
	q.data = append(q.data, p...)
	q.filled.Broadcast()
	return len(p), nil
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
