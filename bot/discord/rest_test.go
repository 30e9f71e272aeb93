package discord

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func silentHandler(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} }

func TestA429WithoutATimeIsAskedAgainOnceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, silentHandler)
		at, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		s.sim.RateLimit("PATCH /channels/", -1, 0, true)
		before := len(s.sim.Requests())
		var wg sync.WaitGroup
		for range 20 { // twenty impatient callers
			wg.Go(func() {
				for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
					_ = s.Update(s.ctx, at, aloud("x"))
				}
			})
		}
		wg.Wait()
		var times []time.Time
		for _, r := range s.sim.Requests()[before:] {
			times = append(times, r.Time)
		}
		if len(times) < 10 {
			t.Errorf("%d requests in a minute: it has given up", len(times))
		}
		bursts := 0
		for i := 1; i < len(times); i++ {
			if times[i].Sub(times[i-1]) < time.Second {
				bursts++
			}
		}
		if len(times) > 61 || bursts > 0 {
			t.Errorf("%d requests in a minute, %d of them within a second of another: %v", len(times), bursts, times[:12])
		}
	})
}

func TestARateLimitOverEverythingHoldsBackAllButAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("hello")} })
		s.sim.RateLimitGlobal("POST /channels/", 1, 20*time.Second)
		var limited *chat.RateLimitedError
		if _, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("one")); !errors.As(err, &limited) {
			t.Errorf("got %v", err)
		}
		before := len(s.sim.Requests())
		if _, err := s.Post(s.ctx, chat.Target{Person: anaID}, say("two")); !errors.As(err, &limited) || limited.RetryAfter < 19*time.Second {
			t.Errorf("got %v", err)
		}
		if n := len(s.requests(before)); n > 0 {
			t.Errorf("%d requests while all are to wait", n)
		}
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "hello")
		time.Sleep(20 * time.Second)
		if _, err := s.Post(s.ctx, chat.Target{Person: anaID}, say("two")); err != nil {
			t.Error(err)
		}
	})
}

// verdict answers every request alike, and counts them.
type verdict struct {
	status int
	scope  string
	n      int
}

func (v *verdict) RoundTrip(r *http.Request) (*http.Response, error) {
	v.n++
	h := http.Header{}
	h.Set("X-RateLimit-Scope", v.scope)
	return &http.Response{StatusCode: v.status, Header: h, Body: http.NoBody, Request: r}, nil
}

func TestDiscordNeverHasToRefuseTenThousandTimes(t *testing.T) {
	for name, tt := range map[string]struct {
		verdict verdict
		counts  bool
	}{
		"401":           {verdict{status: http.StatusUnauthorized}, true},
		"403":           {verdict{status: http.StatusForbidden}, true},
		"429":           {verdict{status: http.StatusTooManyRequests, scope: "user"}, true},
		"429 of others": {verdict{status: http.StatusTooManyRequests, scope: "shared"}, false},
		"404":           {verdict{status: http.StatusNotFound}, false},
		"200":           {verdict{status: http.StatusOK}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err := New(Config{BotToken: canary, ApplicationID: "3", Transport: &tt.verdict})
				if err != nil {
					t.Fatal(err)
				}
				a.report(true, "")
				ask := func() error {
					resp, err := a.client.Get("https://discord.com/api/v9/users/@me")
					if err == nil {
						resp.Body.Close()
					}
					return err
				}
				var last error
				for range 11_000 { // in about nine minutes
					last = ask()
					time.Sleep(50 * time.Millisecond)
				}
				var limited *chat.RateLimitedError
				h := a.Health()
				if !tt.counts {
					if tt.verdict.n != 11_000 || !h.OK {
						t.Errorf("%d requests, health %+v", tt.verdict.n, h)
					}
					return
				}
				if tt.verdict.n != 5000 || !errors.As(last, &limited) || h.OK || !strings.Contains(h.Detail, "refused 5000 requests") {
					t.Errorf("%d requests, then %v, health %+v", tt.verdict.n, last, h)
				}
				time.Sleep(limited.RetryAfter)
				if err := ask(); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
		})
	}
}

func TestATokenThatRESTRefusesEndsRunWhileTheGatewayIsFine(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse string
		ends   bool
	}{
		"for good":          {"/", true},
		"on one route only": {"PATCH /channels/", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &stage{play: func(_ int, l *line) { l.greet(); l.live() }, refuse: map[string]int{}}
			err := s.perform(t, still{}, func(a *Adapter) {
				time.Sleep(time.Minute)
				s.mu.Lock()
				s.refuse["channels/1/messages/2"] = http.StatusUnauthorized
				if tt.ends {
					s.refuse["users/@me"] = http.StatusUnauthorized
				}
				s.mu.Unlock()
				_ = a.Update(context.Background(), messageRef("1", "2"), aloud("x"))
				time.Sleep(5 * time.Second)
				if h := a.Health(); h.OK == tt.ends || s.connections() != 1 {
					t.Errorf("health is %+v, %d connections", h, s.connections())
				}
			})
			if tt.ends != (err != nil && strings.Contains(err.Error(), "discord.bot_token")) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

// proxy changes answers on their way, as proxies do.
type proxy struct {
	next   http.RoundTripper
	change func(*http.Response)
}

func (p proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.next.RoundTrip(r)
	if err == nil {
		p.change(resp)
	}
	return resp, err
}

func TestWhatCannotBeReadOfARateLimitIsNoFailure(t *testing.T) {
	for name, change := range map[string]func(http.Header){
		"a reset, and no date": func(h http.Header) { h.Del("Date"); h.Del("X-RateLimit-Reset-After") },
		"no numbers": func(h http.Header) {
			for _, name := range []string{"X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Reset-After"} {
				h.Set(name, "many")
			}
		},
		"nothing": func(h http.Header) { clear(h) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t, silentHandler, func(_ *discordtest.Options, c *Config) {
					c.Transport = proxy{c.Transport, func(r *http.Response) { change(r.Header) }}
				})
				if _, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("board")); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestTheGatewayIsFoundWithoutTheBotsOwnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, silentHandler, func(_ *discordtest.Options, c *Config) {
			c.Transport = proxy{c.Transport, func(r *http.Response) {
				if strings.HasSuffix(r.Request.URL.Path, "/gateway/bot") {
					r.StatusCode, r.Status = http.StatusNotFound, "404 Not Found"
				}
			}}
		})
		if h := s.Health(); !h.OK {
			t.Errorf("health is %+v", h)
		}
	})
}
