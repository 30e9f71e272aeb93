package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/pvechat/pvechat/bot/chat"
)

// ackTimeout is how long an acknowledgement may wait for its connection. Slack
// has given up by then.
const ackTimeout = 3 * time.Second

// socket is the stream of envelopes that all connections share: Slack gives
// each envelope to one of them.
type socket struct {
	a    *Adapter
	h    chat.Handler
	wg   *sync.WaitGroup // of Run: what is under way
	seen envelopes
}

// run keeps one connection open until ctx ends. It returns an error where the
// app token is refused.
func (s *socket) run(ctx context.Context, connection int) error {
	// Slack renews a connection after a time from its start; starting them
	// apart keeps one open meanwhile.
	if sleep(ctx, time.Duration(connection)*s.a.stagger) != nil {
		return nil
	}
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		began := time.Now()
		err := s.session(ctx, connection)
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		if ctx.Err() != nil {
			return nil
		}
		if why := tokenRefused(err); why != "" {
			return fmt.Errorf("slack: slack.app_token %s: %w", why, err)
		}
		s.a.config.Log.WarnContext(ctx, "slack connection ended", "connection", connection, "err", err, "again_in", wait)
		s.a.report(connection, false, err.Error())
		if sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// session runs the SDK's client, which opens its connection again by itself
// where it thinks that this may help.
func (s *socket) session(running context.Context, connection int) error {
	ctx, stop := context.WithCancelCause(running)
	defer stop(nil)
	options := []socketmode.Option{socketmode.OptionLog(silent)}
	if d := s.a.config.Dialer; d != nil {
		single := *d
		if single.WriteBufferSize == 0 {
			single.WriteBufferSize = 32 << 10 // Slack does not put the frames of an acknowledgement together
		}
		options = append(options, socketmode.OptionDialer(&single))
	}
	client := socketmode.New(s.a.api, options...)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case e := <-client.Events:
				if err := s.event(running, client, connection, e); err != nil {
					stop(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	err := client.RunContext(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	stop(nil)
	reading.Wait()
	return apiError("apps.connections.open", err)
}

// event takes what the SDK reports. It never blocks: the reader waits for it.
// An error ends the session; what is under way goes on, its answers need no
// socket.
func (s *socket) event(ctx context.Context, client *socketmode.Client, connection int, e socketmode.Event) error {
	switch e.Type {
	case socketmode.EventTypeHello:
		s.a.report(connection, true, "")
	case socketmode.EventTypeConnecting:
		s.a.report(connection, false, "connecting")
	case socketmode.EventTypeConnectionError:
		failed, ok := e.Data.(*slackgo.ConnectionErrorEvent)
		if !ok {
			return nil
		}
		err := apiError("apps.connections.open", failed.ErrorObj)
		if tokenRefused(err) != "" {
			return failed.ErrorObj // the SDK would try again for ever
		}
		s.a.report(connection, false, err.Error())
		s.a.config.Log.WarnContext(ctx, "slack connection failed", "connection", connection, "err", err, "again_in", failed.Backoff)
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
	repeated := !s.seen.first(req.EnvelopeID)
	ack := func(payload any) error {
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		return client.AckCtx(ctx, req.EnvelopeID, payload)
	}
	s.wg.Go(func() {
		if repeated {
			_ = ack(nil) // the first one is answered, or is going to be
			return
		}
		s.a.serve(ctx, s.h, req.Type, req.Payload, ack)
	})
}

// envelopes remembers the last envelopes: one that was acknowledged late comes
// twice.
type envelopes struct {
	mu   sync.Mutex
	ids  map[string]bool
	last []string
}

const remembered = 512

// first notes an envelope and reports whether it is new.
func (e *envelopes) first(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids[id] {
		return false
	}
	if e.ids == nil {
		e.ids = map[string]bool{}
	}
	e.ids[id] = true
	e.last = append(e.last, id)
	if len(e.last) > remembered {
		delete(e.ids, e.last[0])
		e.last = e.last[1:]
	}
	return true
}
