package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// command is something to run in a guest.
type command struct {
	line  string // goes through the login shell: nothing in it may need quoting
	stdin string
	limit int // bytes that it may print; more is an error

	within time.Duration // how long it may take; 0: one step
	out    io.Writer     // is given what it prints as it comes; nil: it is returned
}

// exec runs cmd and returns what it printed. What it printed on its standard
// error is dropped: it might quote a secret.
func (c *Client) exec(ctx context.Context, conn *connection, cmd command) ([]byte, error) {
	out := &bounded{limit: cmd.limit, to: cmd.out, full: func() { conn.Close() }}
	err := c.within(ctx, cmp.Or(cmd.within, c.cfg.Timeout), conn, func() error {
		session, err := conn.NewSession()
		if err != nil {
			return err
		}
		defer session.Close()
		session.Stdin = strings.NewReader(cmd.stdin)
		session.Stdout = out
		return session.Run(cmd.line)
	})
	if out.over {
		return nil, &Error{Kind: Output, Addr: conn.addr, Err: fmt.Errorf("more than %d bytes", cmd.limit)}
	}
	if err == nil {
		return out.buf, nil
	}
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		kind := Exit
		if c.cfg.ViaNode {
			switch exit.ExitStatus() { // as deploy/pvechat-guest has them
			case 69:
				kind = NotHere
			case 77:
				kind = Scope
			}
		}
		// Its text may be the guest's.
		return nil, &Error{Kind: kind, Addr: conn.addr, Err: &ExitError{exit.ExitStatus()}}
	}
	if _, ok := errors.AsType[*ssh.ExitMissingError](err); ok || cut(err) {
		return nil, lost(conn.addr, "running a command", err)
	}
	return nil, &Error{Kind: Exit, Addr: conn.addr, Err: brief{err}} // the server refused to run it
}

// bounded keeps what is written to it, or passes it on. At more than limit
// bytes it calls full and takes nothing more.
type bounded struct {
	buf   []byte
	to    io.Writer
	n     int
	limit int
	full  func()
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.n += len(p); b.n > b.limit {
		b.over = true
		b.full() // or the guest would wait for ever for somebody to read the rest
		return 0, errors.New("too much output")
	}
	if b.to != nil {
		return b.to.Write(p)
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}
