package bot_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/chat"
)

// platform runs until its context ends, or until it is broken.
type platform struct {
	chat.Platform // what is not needed here

	name   chat.PlatformName
	broken chan error
	ended  bool
}

func newPlatform(name chat.PlatformName) *platform {
	return &platform{name: name, broken: make(chan error, 1)}
}

func (p *platform) Name() chat.PlatformName { return p.name }

func (p *platform) Run(ctx context.Context, _ chat.Handler) error {
	defer func() { p.ended = true }()
	select {
	case err := <-p.broken:
		return err
	case <-ctx.Done():
		return nil
	}
}

func TestOnePlatformsEndLeavesTheOtherRunningAndIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slack, discord := newPlatform(chat.Slack), newPlatform(chat.Discord)
		var told []string
		b := bot.Bot{
			Platforms: []chat.Platform{slack, discord}, Log: slog.New(slog.DiscardHandler),
			Lost: func(_ context.Context, name chat.PlatformName, why error) {
				told = append(told, string(name)+": "+why.Error())
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		slack.broken <- errors.New("token_revoked")
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slack.ended || discord.ended || len(told) != 1 || told[0] != "slack: token_revoked" {
			t.Errorf("slack ended %v, discord ended %v, told %q", slack.ended, discord.ended, told)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestTheLastPlatformsEndIsTheEnd(t *testing.T) {
	for name, first := range map[string]*platform{"of two": newPlatform(chat.Slack), "the only one": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				part := false
				last := newPlatform(chat.Discord)
				last.broken = make(chan error, 1)
				b := bot.Bot{
					Platforms: []chat.Platform{last}, Log: slog.New(slog.DiscardHandler),
					Lost: func(context.Context, chat.PlatformName, error) {},
					Parts: map[string]bot.Runner{"part": bot.RunFunc(func(ctx context.Context) error {
						<-ctx.Done()
						part = true
						return nil
					})},
				}
				want := []string{"4004"}
				if first != nil {
					first = newPlatform(chat.Slack)
					b.Platforms = append(b.Platforms, first)
					first.broken <- errors.New("token_revoked")
					want = append(want, "token_revoked")
				}
				last.broken <- errors.New("4004")
				err := b.Run(t.Context())
				for _, w := range want {
					if err == nil || !strings.Contains(err.Error(), w) {
						t.Errorf("Run returned %v, want %q in it", err, w)
					}
				}
				if !part {
					t.Error("a part is still running")
				}
			})
		})
	}
}

func TestAPartThatFailsEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slack := newPlatform(chat.Slack)
		b := bot.Bot{
			Platforms: []chat.Platform{slack}, Log: slog.New(slog.DiscardHandler),
			Parts: map[string]bot.Runner{"http": bot.RunFunc(func(context.Context) error { return errors.New("address in use") })},
		}
		if err := b.Run(t.Context()); err == nil || err.Error() != "http: address in use" || !slack.ended {
			t.Errorf("Run returned %v; slack ended %v", err, slack.ended)
		}
	})
}

// handler answers when it is let, and counts.
type handler struct {
	gate chan struct{} // nil: at once

	mu      sync.Mutex
	handled map[string]int
	answer  chat.Answer
}

func (h *handler) Commands() []chat.Command { return nil }
func (h *handler) Complete(context.Context, chat.Invocation) []chat.Choice {
	return []chat.Choice{{Label: "web"}}
}

func (h *handler) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	if h.gate != nil {
		select {
		case <-h.gate:
		case <-ctx.Done():
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.handled == nil {
		h.handled = map[string]int{}
	}
	h.handled[inv.ID]++
	if h.answer.Now != nil || h.answer.Then != nil {
		return h.answer
	}
	return chat.Answer{Now: chat.Message{Summary: "answer to " + inv.ID}}
}
