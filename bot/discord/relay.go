package discord

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat/wire"
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
	openWithin = 25 * time.Second // from the dial until READY
	ackGrace   = 5 * time.Second  // beyond two heartbeats without an acknowledgement
)

// Why a connection ended.
var (
	errReconnect = errors.New("the gateway asked for a new connection")
	errInvalid   = errors.New("the gateway does not know the session")
	errSilent    = errors.New("no heartbeat was acknowledged in time")
	errGarbled   = errors.New("the gateway sent something that is no gateway message")
)

// relay passes Discord's messages down until one means the end. discordgo v0.29
// reads without a deadline while it holds its lock, blocks for good on
// "reconnect" during the handshake, and answers every "invalid session" at once
// with another Identify: it hears of none of that.
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
		if ctx.Err() == nil && wire.Silent(err) {
			return errSilent
		}
		if err != nil {
			return err
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
			return err
		}
	}
}
