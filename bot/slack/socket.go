package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/chat/wire"
)

const (
	silence       = 30 * time.Second // without a sign of life a connection is dead; Slack's own clients wait as long
	asking        = 10 * time.Second // between our pings; Slack sends its own, and a server need not
	controlWithin = time.Second      // for the writing of a ping or its answer

	drain    = time.Second // what is under way may still be acknowledged on a connection that ends
	firstTry = time.Second // between two tries, doubled each time
	lastTry  = time.Minute // and at most; a connection that held this long starts the waits over
	never    = 365 * 24 * time.Hour
)

// errSilent means that a connection is open, and nobody is at its other end.
var errSilent = fmt.Errorf("nothing heard from Slack for %s", silence)

// errRenewal means that Slack replaces a connection, as it does every few hours.
var errRenewal = errors.New("it is renewed: refresh_requested")

// socket is the stream of envelopes that all connections share: Slack gives
// each envelope to one of them.
type socket struct {
	*inbox
	wg *sync.WaitGroup // of Run: what is under way

	mu    sync.Mutex
	began map[int]time.Time // connections that are open, or about to be
}

// run keeps one connection open until ctx ends. It returns an error where the
// app token is refused.
func (s *socket) run(ctx context.Context, connection int) error {
	var wait time.Duration
	deaf := false
	for {
		if s.turn(ctx, connection) != nil {
			return nil
		}
		began := time.Now()
		err := s.session(ctx, connection, deaf)
		s.over(connection)
		deaf = errors.Is(err, errSilent)
		if ctx.Err() != nil {
			return nil
		}
		if why := tokenRefused(err); why != "" {
			return fmt.Errorf("slack: slack.app_token %s: %w", why, err)
		}
		s.a.report(connection, false, err.Error())
		wait = min(max(2*wait, firstTry), lastTry)
		if time.Since(began) >= lastTry {
			wait = 0
		}
		pause := wait
		if r, ok := errors.AsType[*chat.RateLimitedError](err); ok {
			pause = max(pause, r.RetryAfter)
		}
		level := slog.LevelWarn
		if errors.Is(err, errRenewal) {
			level = slog.LevelInfo
		}
		s.a.config.Log.Log(ctx, level, "slack connection ended", "connection", connection, "err", err, "again_in", pause)
		if pace.Sleep(ctx, pause) != nil {
			return nil
		}
	}
}

// turn waits until a connection may be opened. Slack renews each a few hours
// after its start: as long as they start apart, also after a breakdown that hit
// all of them, one is open while another is renewed.
func (s *socket) turn(ctx context.Context, connection int) error {
	for {
		s.mu.Lock()
		now, free := time.Now(), time.Time{}
		for other, at := range s.began {
			if at = at.Add(s.a.stagger); other != connection && at.After(free) {
				free = at
			}
		}
		if !free.After(now) {
			s.began[connection] = now
			s.mu.Unlock()
			return ctx.Err()
		}
		s.mu.Unlock()
		if err := pace.Sleep(ctx, free.Sub(now)); err != nil {
			return err
		}
	}
}

func (s *socket) over(connection int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.began, connection)
}

// session is one connection, from its opening to its end; it says why that was.
// After a deaf one, Slack has to be heard before this one counts as open.
func (s *socket) session(running context.Context, connection int, deaf bool) error {
	ctx, end := context.WithCancelCause(running)
	defer end(nil)
	w := &wire.Wire{
		Dialer: s.a.config.Dialer,
		Relay: func(ctx context.Context, up, down *websocket.Conn) error {
			return s.relay(ctx, up, down, connection, deaf)
		},
		End: func(err error) { end(apiError("socket", err)) },
	}
	client := socketmode.New(s.a.api, socketmode.OptionLog(silent), socketmode.OptionDialer(w.Plug(ctx)), socketmode.OptionPingInterval(never))
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case e := <-client.Events:
				if err := s.event(running, client, e); err != nil {
					end(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	end(apiError("apps.connections.open", client.RunContext(ctx)))
	w.Wait()
	reading.Wait()
	return context.Cause(ctx)
}

// relay passes Slack's messages to the SDK until the connection ends.
func (s *socket) relay(ctx context.Context, up, down *websocket.Conn, connection int, deaf bool) error {
	heard := func() {
		_ = up.SetReadDeadline(time.Now().Add(silence))
		if ctx.Err() != nil { // its end is a deadline too, do not undo it
			_ = up.SetReadDeadline(time.Unix(1, 0))
		}
	}
	heard()
	alive := func() {
		heard()
		if deaf {
			deaf = false
			s.a.report(connection, true, "")
		}
	}
	pongs := make(chan string, 1) // whoever reads must not wait until something is written
	up.SetPingHandler(func(text string) error {
		alive()
		select {
		case pongs <- text:
		default:
		}
		return nil
	})
	up.SetPongHandler(func(string) error {
		alive()
		return nil
	})
	answering, stop := context.WithCancel(ctx)
	var answers sync.WaitGroup
	defer answers.Wait()
	defer stop()
	answers.Go(func() { keepAlive(answering, up, pongs) })
	for {
		kind, m, err := up.ReadMessage()
		if ctx.Err() == nil && wire.Silent(err) {
			return errSilent
		}
		if err != nil {
			return err
		}
		heard()
		var frame struct {
			Type   string `json:"type"`
			Reason string `json:"reason"`
		}
		_ = json.Unmarshal(m, &frame) // what is no JSON, the SDK passes over
		switch {
		case frame.Type == "hello" && !deaf:
			s.a.report(connection, true, "")
		case frame.Type == "disconnect" && frame.Reason == "warning":
			continue // Slack still sends over this connection; the SDK would leave it at once
		case frame.Type == "disconnect":
			_ = pace.Sleep(ctx, drain)
			if frame.Reason == "refresh_requested" {
				return errRenewal
			}
			return fmt.Errorf("the connection was ended: %s", line(frame.Reason))
		}
		if err := down.WriteMessage(kind, m); err != nil {
			return err
		}
	}
}

// keepAlive asks the other end whether it is there, and says that we are. Where it
// cannot, the connection is broken, and its reader will know.
func keepAlive(ctx context.Context, up *websocket.Conn, pongs <-chan string) {
	write := func(kind int, text string) error {
		return up.WriteControl(kind, []byte(text), time.Now().Add(controlWithin))
	}
	ask := time.NewTicker(asking)
	defer ask.Stop()
	for err := write(websocket.PingMessage, ""); err == nil; {
		select {
		case text := <-pongs:
			err = write(websocket.PongMessage, text)
		case <-ask.C:
			err = write(websocket.PingMessage, "")
		case <-ctx.Done():
			return
		}
	}
}

// event takes what the SDK reports. It never blocks: the reader waits for it.
// An error ends the session; what is under way goes on, its answers need no
// socket.
func (s *socket) event(ctx context.Context, client *socketmode.Client, e socketmode.Event) error {
	switch e.Type {
	case socketmode.EventTypeConnectionError:
		if failed, ok := e.Data.(*slackgo.ConnectionErrorEvent); ok {
			return apiError("apps.connections.open", failed.ErrorObj) // the SDK would try again by itself, and for ever
		}
	case socketmode.EventTypeSlashCommand, socketmode.EventTypeInteractive, socketmode.EventTypeEventsAPI:
		s.take(ctx, client, *e.Request)
	case socketmode.EventTypeErrorBadMessage:
		// Slack has something new that the SDK cannot read; ours may, and it
		// must be acknowledged in any case.
		bad, ok := e.Data.(*socketmode.ErrorBadMessage)
		var req socketmode.Request
		if ok && json.Unmarshal(bad.Message, &req) == nil && req.EnvelopeID != "" {
			s.take(ctx, client, req)
		}
	}
	return nil
}

// take starts what an envelope asks for on a goroutine of its own.
func (s *socket) take(ctx context.Context, client *socketmode.Client, req socketmode.Request) {
	s.wg.Go(func() {
		s.inbox.take(ctx, req.EnvelopeID, req.Type, req.Payload, func(payload any) error {
			ctx, cancel := context.WithTimeout(ctx, ackTimeout)
			defer cancel()
			return client.AckCtx(ctx, req.EnvelopeID, payload)
		})
	})
}
