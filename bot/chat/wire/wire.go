// Package wire stands between a platform's SDK and the WebSocket that it reads.
//
// SDKs read without deadlines, hold locks while they do, reconnect in loops and
// keep to themselves why a connection ended. So an SDK talks over a [Wire] to a
// pipe in memory, and the adapter sees each message, has the deadlines, and ends
// the connection where it wants. When the wire ends, so does everything that the
// SDK does on it.
package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	dialWithin   = 30 * time.Second
	writeWithin  = 10 * time.Second
	closeGoodbye = time.Second
	maxFrame     = 8 << 20
)

// Wire carries WebSocket connections.
type Wire struct {
	// Dialer reaches the platform.
	Dialer *websocket.Dialer

	// Relay passes the platform's messages, which it reads from up, to the SDK
	// at down, until one means the end; it says why that was. It alone reads up
	// and writes down. What the SDK sends goes up by itself. It ends with ctx.
	Relay func(ctx context.Context, up, down *websocket.Conn) error

	// End is told why a connection ended. It ends the context of Plug.
	End context.CancelCauseFunc

	work sync.WaitGroup
}

// Plug returns the dialer for the SDK: whatever it dials goes over the wire. The
// connection ends with ctx.
func (w *Wire) Plug(ctx context.Context) *websocket.Dialer {
	dial := func(scheme string) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			w.work.Go(func() {
				defer far.Close()
				w.End(w.carry(ctx, scheme, far))
			})
			return near, nil
		}
	}
	return &websocket.Dialer{
		NetDialContext: dial("ws"), NetDialTLSContext: dial("wss"), HandshakeTimeout: dialWithin,
		WriteBufferSize: 32 << 10,
	}
}

// Wait returns when all connections have ended. Call it after the end of Plug's
// context, and after the SDK's last dial.
func (w *Wire) Wait() { w.work.Wait() }

// carry serves the SDK's end of the pipe until either side ends, and says why.
func (w *Wire) carry(ctx context.Context, scheme string, far net.Conn) error {
	defer context.AfterFunc(ctx, func() { far.Close() })()
	brw := bufio.NewReadWriter(bufio.NewReader(far), bufio.NewWriter(far))
	req, err := http.ReadRequest(brw.Reader)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	up, err := w.dial(ctx, scheme+"://"+req.Host+req.URL.RequestURI(), req.Header.Get("Origin"))
	if err != nil {
		return err
	}
	defer func() { _ = up.Close() }()
	defer context.AfterFunc(ctx, func() { _ = up.SetReadDeadline(time.Unix(1, 0)) })()
	anyOrigin := func(*http.Request) bool { return true }
	down, err := (&websocket.Upgrader{CheckOrigin: anyOrigin}).Upgrade(taken{far, brw}, req, nil)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}

	w.work.Go(func() {
		for {
			kind, m, err := down.ReadMessage()
			if err == nil {
				_ = up.SetWriteDeadline(time.Now().Add(writeWithin))
				err = up.WriteMessage(kind, m)
			}
			if err != nil {
				w.End(err)
				return
			}
		}
	})
	err = w.Relay(ctx, up, down)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = up.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeGoodbye))
	return err
}

// dial reaches the platform. It ends with ctx even while the handshake hangs.
func (w *Wire) dial(ctx context.Context, address, origin string) (*websocket.Conn, error) {
	var (
		d    = *w.Dialer
		done = func() bool { return true }
	)
	watched := func(dial dialFunc) dialFunc {
		return func(dialing context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(dialing, network, addr)
			if err == nil {
				done = context.AfterFunc(ctx, func() { c.Close() })
			}
			return c, err
		}
	}
	switch {
	case d.NetDialContext != nil:
		d.NetDialContext = watched(d.NetDialContext)
	case d.NetDial == nil:
		d.NetDialContext = watched((&net.Dialer{}).DialContext)
	}
	if d.NetDialTLSContext != nil {
		d.NetDialTLSContext = watched(d.NetDialTLSContext)
	}
	if d.WriteBufferSize == 0 {
		d.WriteBufferSize = 32 << 10 // a message is one frame: Slack does not put several together
	}
	header := http.Header{}
	if origin != "" {
		header.Set("Origin", origin)
	}
	dialing, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	up, resp, err := d.DialContext(dialing, address, header) //nolint:bodyclose // its documentation: no need to
	done()
	switch {
	case err == nil:
		up.SetReadLimit(maxFrame)
		return up, nil
	case resp != nil:
		return nil, fmt.Errorf("HTTP %s", resp.Status)
	}
	return nil, err
}

// Silent reports whether err is that of a read deadline; gorilla/websocket hides
// [os.ErrDeadlineExceeded].
func Silent(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// taken is a connection as a response that has been taken over already: the
// form in which an Upgrader wants it.
type taken struct {
	conn net.Conn
	brw  *bufio.ReadWriter
}

func (t taken) Hijack() (net.Conn, *bufio.ReadWriter, error) { return t.conn, t.brw, nil }
func (t taken) Header() http.Header                          { return http.Header{} }
func (t taken) Write(p []byte) (int, error)                  { return t.conn.Write(p) }
func (t taken) WriteHeader(int)                              {}
