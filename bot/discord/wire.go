package discord

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Gateway opcodes that concern the wire.
const (
	opDispatch       = 0
	opReconnect      = 7
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatAck   = 11
)

const (
	openWithin   = 30 * time.Second // from the dial until READY
	ackGrace     = 10 * time.Second // beyond two heartbeats without an acknowledgement
	writeWithin  = 10 * time.Second
	maxFrame     = 8 << 20
	closeGoodbye = time.Second
)

// Why a connection ended.
var (
	errReconnect = errors.New("discord: Discord asked for a new connection")
	errInvalid   = errors.New("discord: Discord does not know the session")
	errSilent    = errors.New("discord: no heartbeat was acknowledged in time")
	errGarbled   = errors.New("discord: the gateway sent something that is no gateway message")
)

// A wire carries one gateway connection between discordgo and Discord. discordgo
// v0.29 reads without a deadline while it holds its lock, blocks for good on
// "reconnect" during the handshake, and answers every "invalid session" at once
// with another Identify. So it talks over the wire to a pipe, and the wire talks
// to Discord: it looks at each message, has the deadlines, and ends where
// discordgo would get stuck. When it ends, so does everything that discordgo
// does on it.
type wire struct {
	dialer *websocket.Dialer
	end    context.CancelCauseFunc // ends ctx
	work   sync.WaitGroup
}

// plug is the dialer for discordgo: whatever it dials becomes this wire.
func (w *wire) plug(ctx context.Context) *websocket.Dialer {
	dial := func(scheme string) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			w.work.Go(func() {
				defer far.Close()
				w.end(w.carry(ctx, scheme, far))
			})
			return near, nil
		}
	}
	return &websocket.Dialer{NetDialContext: dial("ws"), NetDialTLSContext: dial("wss"), HandshakeTimeout: openWithin}
}

// carry serves discordgo's end of the pipe until either side ends, and says why.
func (w *wire) carry(ctx context.Context, scheme string, far net.Conn) error {
	defer context.AfterFunc(ctx, func() { far.Close() })()
	brw := bufio.NewReadWriter(bufio.NewReader(far), bufio.NewWriter(far))
	req, err := http.ReadRequest(brw.Reader)
	if err != nil {
		return fmt.Errorf("discord: gateway handshake: %w", err)
	}
	up, err := w.dial(ctx, scheme+"://"+req.Host+req.URL.RequestURI())
	if err != nil {
		return err
	}
	defer func() { _ = up.Close() }()
	defer context.AfterFunc(ctx, func() { _ = up.SetReadDeadline(time.Unix(1, 0)) })()
	down, err := (&websocket.Upgrader{}).Upgrade(taken{far, brw}, req, nil)
	if err != nil {
		return fmt.Errorf("discord: gateway handshake: %w", err)
	}

	w.work.Go(func() {
		for {
			kind, m, err := down.ReadMessage()
			if err == nil {
				_ = up.SetWriteDeadline(time.Now().Add(writeWithin))
				err = up.WriteMessage(kind, m)
			}
			if err != nil {
				w.end(fmt.Errorf("discord: gateway: %w", err))
				return
			}
		}
	})
	err = relay(ctx, up, down)
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = up.WriteControl(websocket.CloseMessage, bye, time.Now().Add(closeGoodbye))
	return err
}

// dial reaches Discord. It ends with ctx even while the handshake hangs.
func (w *wire) dial(ctx context.Context, address string) (*websocket.Conn, error) {
	var (
		d    = *w.dialer
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
	dialing, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	up, resp, err := d.DialContext(dialing, address, nil) //nolint:bodyclose // its documentation: no need to
	done()
	switch {
	case err == nil:
		up.SetReadLimit(maxFrame)
		return up, nil
	case resp != nil:
		return nil, fmt.Errorf("discord: gateway: HTTP %s", resp.Status)
	}
	return nil, fmt.Errorf("discord: gateway: %w", err)
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// relay passes Discord's messages down until one means the end.
func relay(ctx context.Context, up, down *websocket.Conn) error {
	var silence time.Duration // after which the connection is dead
	deadline := openWithin
	for {
		if deadline > 0 {
			_ = up.SetReadDeadline(time.Now().Add(deadline))
			deadline = 0
		}
		if err := ctx.Err(); err != nil { // the end of ctx is a deadline too, do not miss it
			return err
		}
		kind, m, err := up.ReadMessage()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errSilent
		}
		if err != nil {
			return fmt.Errorf("discord: gateway: %w", err)
		}
		var frame struct {
			Op   *int            `json:"op"`
			Type string          `json:"t"`
			Data json.RawMessage `json:"d"`
		}
		if err := json.Unmarshal(m, &frame); err != nil || frame.Op == nil {
			return errGarbled
		}
		switch {
		case *frame.Op == opReconnect:
			return errReconnect
		case *frame.Op == opInvalidSession:
			return errInvalid
		case *frame.Op == opHello:
			var hello struct {
				Interval int64 `json:"heartbeat_interval"` // milliseconds
			}
			if err := json.Unmarshal(frame.Data, &hello); err != nil || hello.Interval <= 0 || hello.Interval > time.Hour.Milliseconds() {
				return errGarbled
			}
			silence = 2*time.Duration(hello.Interval)*time.Millisecond + ackGrace
		case *frame.Op == opHeartbeatAck, *frame.Op == opDispatch && frame.Type == "READY":
			deadline = silence
		}
		if err := down.WriteMessage(kind, m); err != nil {
			return fmt.Errorf("discord: gateway: %w", err)
		}
	}
}

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
