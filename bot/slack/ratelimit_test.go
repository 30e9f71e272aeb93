package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// made are the calls of a method that reached Slack since a moment, and how many
// of them it answered with 429.
func (d *desk) made(method string, since time.Time) (calls, limited int) {
	for _, r := range d.s.Requests() {
		if r.Method == method && !r.At.Before(since) {
			calls++
			if r.Status == http.StatusTooManyRequests {
				limited++
			}
		}
	}
	return calls, limited
}

func TestNoCallIsOneTooManyHoweverManyAreWanted(t *testing.T) {
	home := chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: ana}
	for method, do := range map[string]func(context.Context, *desk, chat.Ref) error{
		"chat.update": func(ctx context.Context, d *desk, at chat.Ref) error { return d.a.Update(ctx, at, aloud("x")) },
		"chat.delete": func(ctx context.Context, d *desk, at chat.Ref) error {
			if err := d.a.Delete(ctx, at); !errors.Is(err, chat.ErrGone) {
				return err
			}
			return nil
		},
		"views.publish": func(ctx context.Context, d *desk, _ chat.Ref) error { return d.a.Update(ctx, home, chat.Home{}) },
		"chat.postEphemeral": func(ctx context.Context, d *desk, _ chat.Ref) error {
			_, err := d.a.Post(ctx, chat.Target{Channel: ops, Person: ana}, say("x"))
			return err
		},
		"conversations.open": func(ctx context.Context, d *desk, _ chat.Ref) error {
			_, err := d.a.Post(ctx, chat.Target{Person: ana}, say("x"))
			return err
		},
		"chat.postMessage": func(ctx context.Context, d *desk, _ chat.Ref) error {
			_, err := d.a.Post(ctx, chat.Target{Channel: ops}, aloud("x"))
			return err
		},
	} {
		t.Run(method, func(t *testing.T) {
			err := shift(t, 1, slacktest.Options{StrictLimits: true}, func(t *testing.T, d *desk) {
				ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				began := time.Now()
				var wg sync.WaitGroup
				for range 5 { // waves, of which some have to wait
					for range 60 {
						wg.Go(func() {
							var limited *chat.RateLimitedError
							if err := do(d.ctx, d, ref); err != nil && !errors.As(err, &limited) {
								t.Error(err)
							}
						})
					}
					time.Sleep(25 * time.Second)
				}
				wg.Wait()
				if calls, limited := d.made(method, began); limited > 0 || calls < 90 {
					t.Errorf("%d calls in two minutes, %d of them too many", calls, limited)
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBoardsLeaveAFifthOfEachMethodToPeople(t *testing.T) {
	err := shift(t, 1, slacktest.Options{StrictLimits: true}, func(t *testing.T, d *desk) {
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		edited := 0
		for i := range 60 {
			if i == 30 {
				time.Sleep(30 * time.Second)
			}
			var limited *chat.RateLimitedError
			switch err := d.a.Update(chat.InBackground(d.ctx), ref, aloud("edit")); {
			case err == nil:
				edited++
			case !errors.As(err, &limited):
				t.Fatal(err)
			}
		}
		if calls, _ := d.made("chat.update", began); edited != 40 || calls != 40 {
			t.Errorf("%d edits of boards, %d calls, in a minute", edited, calls)
		}
		for i := range 10 {
			if err := d.a.Update(d.ctx, ref, aloud(fmt.Sprint("click ", i))); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 31*time.Second {
			t.Errorf("the clicks had to wait %s", took-30*time.Second)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAPauseThatSlackWantsHoldsForItsMethodAlone(t *testing.T) {
	err := shift(t, 1, slacktest.Options{}, func(t *testing.T, d *desk) {
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		edits := chat.InBackground(d.ctx)
		d.s.RateLimit("chat.update", 1, 30*time.Second)
		began := time.Now()
		for range 29 { // somebody is impatient
			var limited *chat.RateLimitedError
			if err := d.a.Update(edits, ref, aloud("x")); !errors.As(err, &limited) && time.Since(began) < 27*time.Second {
				t.Errorf("%s after the beginning: %v", time.Since(began), err)
			}
			if _, err := d.a.Post(d.ctx, chat.Target{Person: ana}, say("posting goes on")); err != nil {
				t.Error(err)
			}
			if calls, _ := d.made("chat.update", began.Add(time.Millisecond)); calls > 0 && time.Since(began) < 30*time.Second {
				t.Fatalf("asked again after %s", time.Since(began))
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if err := d.a.Update(edits, ref, aloud("x")); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTwentyBoardsAreEditedAtEveryTickWithinSlacksTier(t *testing.T) {
	err := shift(t, 1, slacktest.Options{StrictLimits: true}, func(t *testing.T, d *desk) {
		var boards []chat.Ref
		for i := range 20 {
			channel := fmt.Sprintf("C0BOARD%02d", i)
			d.s.AddChannel(channel, "board", true, ana)
			ref, err := d.a.Post(d.ctx, chat.Target{Channel: channel}, aloud("board"))
			if err != nil {
				t.Fatal(err)
			}
			boards = append(boards, ref)
		}
		began := time.Now()
		for tick := range 20 {
			for _, at := range boards {
				if err := d.a.Update(chat.InBackground(d.ctx), at, aloud(fmt.Sprint("tick ", tick))); err != nil {
					t.Fatalf("at tick %d: %v", tick, err)
				}
			}
			if err := d.a.Update(d.ctx, boards[0], aloud("a click between")); err != nil && tick < 5 {
				t.Fatal(err)
			}
			time.Sleep(time.Until(began.Add(time.Duration(tick+1) * 30 * time.Second)))
		}
		if calls, limited := d.made("chat.update", began); limited > 0 {
			t.Errorf("%d of %d calls were too many", limited, calls)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestA429WithoutATimeIsAPauseToo(t *testing.T) {
	err := shift(t, 1, slacktest.Options{}, func(t *testing.T, d *desk) {
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		d.s.FailHTTP("chat.update", http.StatusTooManyRequests, 1)
		began := time.Now()
		var limited *chat.RateLimitedError
		if err := d.a.Update(d.ctx, ref, aloud("x")); !errors.As(err, &limited) || limited.RetryAfter != pause {
			t.Errorf("got %v", err)
		}
		for time.Since(began) < pause {
			_ = d.a.Update(chat.InBackground(d.ctx), ref, aloud("x"))
			time.Sleep(time.Second)
		}
		if calls, _ := d.made("chat.update", began.Add(time.Millisecond)); calls > 1 {
			t.Errorf("%d calls within the pause", calls)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestA429WhateverItsHeaderSaysIsAPause(t *testing.T) {
	for _, header := range []string{"", "7", "1.5", "soon", "Wed, 25 Nov 2026 14:32:05 GMT"} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		defer web.Close()
		a, err := New(Config{BotToken: botToken, AppToken: appToken, APIURL: web.URL, HTTPClient: web.Client()})
		if err != nil {
			t.Fatal(err)
		}
		err = a.Update(t.Context(), chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: ops, ID: "1.1"}, aloud("x"))
		limited, ok := errors.AsType[*chat.RateLimitedError](err)
		if want := map[string]time.Duration{"7": 7 * time.Second}; !ok || limited.RetryAfter != cmp.Or(want[header], pause) {
			t.Errorf("Retry-After %q: %v", header, err)
		}
	}
}
