package daemontest

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line is the way to a server, for a bot whose connections to it are to end.
type Line struct {
	URL string // of the database by this way, or the host:port of another server

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool // whether it ends at the next word
}

// NewLine makes a line to a database on a socket in the file system.
func NewLine(t testing.TB, database string) *Line {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	l := line(t, "unix", q.Get("host")+"/.s.PGSQL.5432")
	q.Del("host")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = l.URL, q.Encode()
	l.URL = u.String()
	return l
}

// NewProxy makes a line between the bots of a world and its cluster.
func (w *World) NewProxy() *Line {
	w.t.Helper()
	u, err := url.Parse(w.PVE.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	l := line(w.t, "tcp", u.Host)
	w.proxy = l.URL
	return l
}

func line(t testing.TB, network, server string) *Line {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{URL: ln.Addr().String(), conns: map[net.Conn]bool{}}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(context.Background(), network, server)
			if err != nil || !l.add(near, far) {
				_ = near.Close()
				continue
			}
			work.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
			work.Go(func() { _, _ = io.Copy(words{far, near, l}, near); _ = far.Close() })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.Cut()
		work.Wait()
	})
	return l
}

// words are what a client says.
type words struct {
	far, near net.Conn
	line      *Line
}

func (w words) Write(b []byte) (int, error) {
	w.line.mu.Lock()
	ends := w.line.conns[w.near]
	w.line.mu.Unlock()
	if ends {
		_ = w.near.Close()
		return 0, net.ErrClosed
	}
	return w.far.Write(b)
}

// add keeps both ends of a connection, and reports whether it may be.
func (l *Line) add(ends ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range ends {
		if l.down {
			_ = c.Close()
			continue
		}
		l.conns[c] = false
	}
	return !l.down
}

// Cut ends every connection, as a restart of the server does, or whoever stands
// in between and has no patience with idle ones. New ones are let through.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
}

// Spring ends every connection as soon as something is said on it, which then
// nobody hears.
func (l *Line) Spring() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		l.conns[c] = true
	}
}

// Down cuts the line, and connections that are tried end at once, until it is
// up again.
func (l *Line) Down(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		l.Cut()
	}
}
