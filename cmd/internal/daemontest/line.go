package daemontest

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// Line is the way to a PostgreSQL server, for a bot whose connections to it are
// to end.
type Line struct {
	URL string // of the database, by this way

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

// NewLine makes a line to a database on a socket in the file system.
func NewLine(t testing.TB, database string) *Line {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	socket := q.Get("host") + "/.s.PGSQL.5432"
	q.Del("host")
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = ln.Addr().String(), q.Encode()
	l := &Line{URL: u.String(), conns: map[net.Conn]struct{}{}}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := new(net.Dialer).DialContext(context.Background(), "unix", socket)
			if err != nil || !l.add(near, far) {
				_ = near.Close()
				continue
			}
			work.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
			work.Go(func() { _, _ = io.Copy(far, near); _ = far.Close() })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		l.Cut()
		work.Wait()
	})
	return l
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
		l.conns[c] = struct{}{}
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
