package discord

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"
	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/chat/wire"
)

// Waiting between connections. Discord resets the token of a bot that
// identifies more than a thousand times in a day; with these, a server that
// takes every connection and ends it again, in whatever rhythm, sees fewer, and
// no more than six in the first minute.
const (
	firstWait = time.Second
	lastWait  = 5 * time.Minute
	steady    = 10 * time.Minute // a connection that held this long starts the waits over
)

// fatal are the close codes after which Discord will not take this bot again,
// with what has to be changed.
var fatal = map[int]string{
	4004: "Discord refuses discord.bot_token",
	4010: "Discord refuses the shard",
	4011: "Discord asks for sharding: the bot is in too many guilds",
	4012: "Discord refuses the version of its gateway",
	4013: "Discord refuses the intents",
	4014: "Discord does not allow the intents",
}

// Run implements [chat.Platform]. Its errors name what is wrong in the
// configuration.
func (a *Adapter) Run(ctx context.Context, h chat.Handler) error {
	r := &running{Adapter: a, ctx: ctx, h: h, commands: h.Commands()}
	if a.cfg.Lease != nil {
		r.tenure = &tenure{Lease: a.cfg.Lease}
	}
	wanted, err := commandsOf(r.commands)
	if err != nil {
		return err
	}
	defer a.client.CloseIdleConnections()
	defer r.work.Wait()
	defer r.drop() // what is under way needs no gateway

	var wait backoff
	for {
		began := time.Now()
		err := r.serve(wanted)
		if ctx.Err() != nil {
			a.report(false, "stopped")
			return nil
		}
		if errors.Is(err, errTaken) {
			a.log.Warn("discord is left to another process", "error", err)
			continue
		}
		a.report(false, err.Error())
		var f *fatalError
		if errors.As(err, &f) {
			return err
		}
		pause := wait.next(time.Since(began))
		var limited *chat.RateLimitedError
		if errors.As(err, &limited) {
			pause = max(pause, limited.RetryAfter)
		}
		level := slog.LevelWarn
		if errors.Is(err, errReconnect) { // it does so now and then
			level = slog.LevelInfo
		}
		a.log.Log(ctx, level, "discord is not connected", "error", err, "again_in", pause)
		if pace.Sleep(ctx, pause) != nil {
			a.report(false, "stopped")
			return nil
		}
	}
}

// fatalError is one that is not worth another try.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// backoff is how long to wait before the next connection.
type backoff struct{ wait time.Duration }

// next takes how long the last connection held.
func (b *backoff) next(held time.Duration) time.Duration {
	if held >= steady {
		b.wait = 0
	}
	b.wait = min(max(2*b.wait, firstWait), lastWait)
	return b.wait
}

// running is one Run.
type running struct {
	*Adapter
	ctx      context.Context
	h        chat.Handler
	commands []chat.Command
	work     sync.WaitGroup
	tenure   *tenure // nil: no other process is there

	checked bool // the token is good and the commands are registered
	problem string
}

// serve is one connection, or the time in which interactions are taken over
// HTTP, from its preparation to its end; it says why that was.
func (r *running) serve(wanted []command) error {
	if !r.checked {
		if err := r.check(wanted); err != nil {
			return err
		}
		r.checked = true
	}
	if r.endpoint != nil {
		return r.attend()
	}
	if err := r.stand(); err != nil {
		return err
	}
	if err := r.budget(); err != nil {
		return err
	}
	err := r.connect()
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		if what, ok := fatal[closed.Code]; ok {
			return &fatalError{fmt.Errorf("discord: %s (close code %d)", what, closed.Code)}
		}
	}
	return err
}

// check makes sure of the token and of the registered commands.
func (r *running) check(wanted []command) error {
	err := r.identity(r.ctx)
	if err != nil {
		return err
	}
	r.problem, err = r.register(r.ctx, wanted)
	return err
}

// identity makes sure of the token.
func (r *running) identity(ctx context.Context) error {
	var me struct {
		ID   string `json:"id"`
		Name string `json:"username"`
	}
	err := r.call(ctx, request{method: http.MethodGet, path: "users/@me", route: "users/@me"}, nil, &me)
	if status(err) == http.StatusUnauthorized {
		return &fatalError{fmt.Errorf("discord: %s: %w", fatal[4004], err)}
	}
	if err == nil {
		r.log.Info("discord knows the bot", "bot", me.ID, "name", me.Name)
	}
	return err
}

// guard tries the token again whenever Discord has refused it somewhere, and
// calls end where it is refused once more. wait returns after ctx has ended.
func (r *running) guard(ctx context.Context, end context.CancelCauseFunc) (wait func()) {
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-r.suspect:
				var f *fatalError
				if err := r.identity(ctx); errors.As(err, &f) {
					end(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return work.Wait
}

// spare is how many sessions of a day are left alone: Discord resets the token
// of a bot that begins more than it may, and somebody may restart this one.
const spare = 20

// budget asks how many sessions may still be begun. It returns a
// *[chat.RateLimitedError] where that is enough for today.
func (r *running) budget() error {
	var says struct {
		Limit *struct {
			Total      int   `json:"total"`
			Remaining  int   `json:"remaining"`
			ResetAfter int64 `json:"reset_after"` // milliseconds
		} `json:"session_start_limit"`
	}
	err := r.call(r.ctx, request{method: http.MethodGet, path: "gateway/bot", route: "gateway/bot"}, nil, &says)
	if err != nil && status(err) != http.StatusNotFound { // without it, our own waits have to do
		return err
	}
	if l := says.Limit; l != nil && l.Remaining < spare {
		after := time.Duration(l.ResetAfter) * time.Millisecond
		return fmt.Errorf("discord: %d of %d sessions of a day are used: %w", l.Total-l.Remaining, l.Total, &chat.RateLimitedError{RetryAfter: after})
	}
	return nil
}

// connect holds one connection of the gateway. When it returns, nothing of it
// is left running.
func (r *running) connect() error {
	ctx, end := context.WithCancelCause(r.ctx)
	defer end(nil)
	w := &wire.Wire{Dialer: r.cfg.Dialer, Relay: relay, End: func(err error) { end(scrubbed("gateway", err)) }}
	defer w.Wait()

	s, err := r.session(&http.Client{Transport: bound{ctx, r.client.Transport}})
	if err != nil {
		return err
	}
	s.Dialer = w.Plug(ctx)

	// discordgo calls these while it reads, and under its own lock.
	late := time.AfterFunc(openWithin, func() { end(errSilent) })
	defer late.Stop()
	s.AddHandler(func(*discordgo.Session, *discordgo.Ready) {
		late.Stop()
		r.report(true, r.connected())
		r.log.Info("discord is connected")
	})
	s.AddHandler(func(_ *discordgo.Session, e *discordgo.Event) {
		if e.Type == "INTERACTION_CREATE" {
			r.dispatch(e.RawData)
		}
	})
	defer r.guard(ctx, end)()
	defer r.keep(ctx, end)()
	closed := make(chan struct{})
	var once sync.Once
	s.AddHandler(func(*discordgo.Session, *discordgo.Disconnect) { once.Do(func() { close(closed) }) })

	opened := make(chan error, 1)
	go func() {
		err := s.Open()
		if err != nil {
			end(scrubbed("gateway", err))
		}
		opened <- err
	}()
	<-ctx.Done()
	// The wire ends with ctx, and so Open and what it started.
	if <-opened == nil {
		<-closed
	}
	return context.Cause(ctx)
}

// dispatch hands an interaction to a goroutine of its own.
func (r *running) dispatch(raw json.RawMessage) {
	r.work.Go(func() {
		if r.tenure.ours(r.ctx) {
			r.interact(raw)
		}
	})
}

// bound ends requests with ctx: discordgo asks for the gateway's address
// without one.
type bound struct {
	ctx  context.Context
	next http.RoundTripper
}

func (b bound) RoundTrip(req *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(req.WithContext(b.ctx))
}
