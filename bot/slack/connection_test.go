package slack

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// shift runs the adapter against a workspace, in memory and on the fake clock of
// a synctest bubble: hours pass at once. act ends the run by returning; the
// result is Run's.
func shift(t *testing.T, connections int, opts slacktest.Options, act func(t *testing.T, d *desk)) (result error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := wiretest.New()
		opts.BotToken, opts.AppToken, opts.Listener = botToken, appToken, net
		s := slacktest.New(opts)
		s.AddUser(ana, "ana")
		s.AddChannel(ops, "ops", true, ana)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		transport := &http.Transport{DialContext: net.Dial}
		defer transport.CloseIdleConnections()
		d := &desk{t: t, s: s, log: &chattest.Log{}}
		a, err := New(Config{
			BotToken: botToken, AppToken: appToken, APIURL: s.APIURL(), Connections: connections,
			HTTPClient: &http.Client{Transport: transport, Timeout: requestTimeout},
			Dialer:     &websocket.Dialer{NetDialContext: net.Dial},
			Log:        slog.New(slog.NewTextHandler(d.log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		d.a = a
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		d.ctx = ctx
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx, d) }()
		act(t, d)
		cancel()
		stopping := time.Now()
		result = <-ended
		if took := time.Since(stopping); took > 5*time.Second {
			t.Errorf("Run took %s to end", took)
		}
		d.keepsSecrets(d.log.String())
		if u := s.Unexpected(); len(u) > 0 {
			t.Errorf("no correct bot does this: %q", u)
		}
	})
	return result
}

// opened are the times at which connections were asked for.
func (d *desk) opened() []time.Time {
	var at []time.Time
	for _, r := range d.s.Requests() {
		if r.Method == "apps.connections.open" {
			at = append(at, r.At)
		}
	}
	return at
}

// clicker has ana click the button of a new message twenty times a second, and
// says what she saw.
func (d *desk) clicker(n int) (wait func() (errs []error)) {
	ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
	if err != nil {
		d.t.Fatal(err)
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	wg.Go(func() {
		for range n {
			wg.Go(func() {
				if _, err := d.s.Click(d.ctx, ana, slacktest.At{Channel: ops, TS: ref.ID}, "ct:a:show"); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
			time.Sleep(50 * time.Millisecond)
		}
	})
	return func() []error {
		wg.Wait()
		synctest.Wait()
		return errs
	}
}

// handled counts what was handled, by its id.
func (d *desk) handled() (all, different int) {
	asked, ids := d.Asked(), map[string]bool{}
	for _, inv := range asked {
		ids[inv.ID] = true
	}
	return len(asked), len(ids)
}

func TestARefreshUnderTwentyClicksASecondLosesAndDoublesNothing(t *testing.T) {
	const clicks = 1200 // a minute
	err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(20 * time.Second)
		first := d.s.Connections()
		if len(first) != 2 {
			t.Fatalf("connections %v", first)
		}
		wait := d.clicker(clicks)
		for _, c := range first {
			time.Sleep(5*time.Second + 7*time.Millisecond)
			d.s.Disconnect("warning", c)
			time.Sleep(10*time.Second + 3*time.Millisecond)
			d.s.Disconnect("refresh_requested", c)
			for range 5 { // what comes twice is handled once
				time.Sleep(time.Second)
				if err := d.s.Redeliver(""); err != nil {
					t.Error(err)
				}
			}
		}
		if errs := wait(); len(errs) > 0 {
			t.Errorf("%d of %d clicks were not acknowledged: %v", len(errs), clicks, errs[0])
		}
		if all, different := d.handled(); all != clicks || different != clicks {
			t.Errorf("%d clicks were handled, %d different ones, of %d", all, different, clicks)
		}
		if now := d.s.Connections(); len(now) != 2 || now[0] == first[0] || now[1] == first[1] {
			t.Errorf("connections %v, then %v", first, now)
		}
		for _, a := range d.s.Acks() {
			if len(a.Payload) > 0 {
				t.Errorf("an acknowledgement says %s", a.Payload)
			}
			if a.Took > time.Second {
				t.Errorf("acknowledged after %s", a.Took)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestHealthSaysHowManyConnectionsThereAreAndSinceWhen(t *testing.T) {
	err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(20 * time.Second)
		began := d.a.Health()
		if !began.OK || began.Detail != "2 of 2 connections" {
			t.Errorf("health is %+v", began)
		}
		d.s.Disconnect("refresh_requested", d.s.Connections()[0])
		time.Sleep(drain + firstTry/2) // one is away
		if h := d.a.Health(); !h.OK || h.Detail != "1 of 2 connections" || !h.Since.Equal(began.Since) {
			t.Errorf("health is %+v", h)
		}
		time.Sleep(time.Minute)
		if h := d.a.Health(); h != began {
			t.Errorf("health is %+v", h)
		}
		d.s.RefuseConnections(1000)
		d.s.Disconnect("")
		time.Sleep(time.Second)
		if h := d.a.Health(); h.OK || !h.Since.After(began.Since) {
			t.Errorf("health is %+v", h)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestADayOfRenewalsIsNotNoticed(t *testing.T) {
	err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(20 * time.Second)
		for range 24 * 60 {
			time.Sleep(time.Minute)
			if h := d.a.Health(); !h.OK || len(d.s.Connections()) == 0 {
				t.Fatalf("health is %+v, connections %v", h, d.s.Connections())
			}
			d.types(ana, ops, "help")
		}
		// Each lives five hours.
		if n := len(d.opened()); n < 8 || n > 12 {
			t.Errorf("%d connections in a day", n)
		}
		if l := d.log.String(); strings.Contains(l, "level=WARN") {
			t.Errorf("it is warned of:\n%s", l)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestConnectionsStartApartAlsoAfterABreakdown(t *testing.T) {
	err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(time.Minute)
		d.s.RefuseConnections(3)
		d.s.Disconnect("")
		time.Sleep(time.Minute)
		at := d.opened()
		if n := len(d.s.Connections()); n != 2 || len(at) < 4 {
			t.Fatalf("%d connections after %d tries", n, len(at))
		}
		if apart := at[1].Sub(at[0]); apart < d.a.stagger {
			t.Errorf("at first they start %s apart", apart)
		}
		if apart := at[len(at)-1].Sub(at[len(at)-2]); apart < d.a.stagger {
			t.Errorf("after a breakdown they start %s apart", apart)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestADeafSocketIsRedWithinNinetySecondsAndHealsByItself(t *testing.T) {
	for name, deafen := range map[string]func(*slacktest.Server, bool){
		"new connections are not greeted":     (*slacktest.Server).Deafen,
		"new connections are, and then still": (*slacktest.Server).SilencePings,
	} {
		t.Run(name, func(t *testing.T) {
			err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
				time.Sleep(20*time.Minute + 11*time.Second)
				deafen(d.s, true)
				time.Sleep(90 * time.Second)
				for range 60 {
					if h := d.a.Health(); h.OK || !strings.Contains(h.Detail, "nothing heard") {
						t.Fatalf("health is %+v", h)
					}
					time.Sleep(10 * time.Second)
				}
				deafen(d.s, false)
				time.Sleep(90 * time.Second)
				if h := d.a.Health(); !h.OK {
					t.Errorf("health is %+v", h)
				}
				d.types(ana, ops, "help")
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAServerThatOnlyAnswersPingsIsNotDeaf(t *testing.T) {
	err := shift(t, 2, slacktest.Options{PingEvery: 1000 * time.Hour}, func(t *testing.T, d *desk) {
		time.Sleep(time.Minute)
		before := d.s.Connections()
		time.Sleep(time.Hour)
		if now := d.s.Connections(); len(now) != 2 || now[0] != before[0] || now[1] != before[1] {
			t.Errorf("connections %v, then %v", before, now)
		}
		if h := d.a.Health(); !h.OK {
			t.Errorf("health is %+v", h)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhateverSlackSaysAtTheEndAConnectionIsReplaced(t *testing.T) {
	for _, reason := range []string{"refresh_requested", "link_disabled", "too_many_websockets", "brand_new", ""} {
		t.Run("reason "+reason, func(t *testing.T) {
			err := shift(t, 1, slacktest.Options{}, func(t *testing.T, d *desk) {
				time.Sleep(time.Hour)
				before := d.s.Connections()
				d.s.Disconnect(reason)
				time.Sleep(5 * time.Second)
				if now := d.s.Connections(); len(now) != 1 || now[0] == before[0] || !d.a.Health().OK {
					t.Errorf("connections %v, then %v; health %+v", before, now, d.a.Health())
				}
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConnectionsThatEndAtOnceAreNotOpenedInALoop(t *testing.T) {
	most := func(t *testing.T, d *desk, in time.Duration, n int) {
		t.Helper()
		at := d.opened()
		for i := n; i < len(at); i++ {
			if d := at[i].Sub(at[i-n]); d < in {
				t.Fatalf("%d connections asked for within %s", n+1, d)
			}
		}
	}
	t.Run("more than Slack takes", func(t *testing.T) {
		err := shift(t, 12, slacktest.Options{StrictLimits: true}, func(t *testing.T, d *desk) {
			time.Sleep(time.Hour)
			if h := d.a.Health(); !h.OK || len(d.s.Connections()) != 10 {
				t.Errorf("health %+v, %d connections", h, len(d.s.Connections()))
			}
			most(t, d, time.Minute, 15)
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("refused, and taken again later", func(t *testing.T) {
		err := shift(t, 2, slacktest.Options{StrictLimits: true}, func(t *testing.T, d *desk) {
			d.s.RefuseConnections(1_000_000)
			time.Sleep(time.Hour)
			if h := d.a.Health(); h.OK || !strings.Contains(h.Detail, "503") {
				t.Errorf("health is %+v", h)
			}
			most(t, d, time.Minute, 20)
			d.s.RefuseConnections(0)
			time.Sleep(90 * time.Second)
			if h := d.a.Health(); h.Detail != "2 of 2 connections" {
				t.Errorf("health is %+v", h)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("a pause that Slack wants", func(t *testing.T) {
		err := shift(t, 1, slacktest.Options{}, func(t *testing.T, d *desk) {
			time.Sleep(time.Hour)
			d.s.RateLimit("apps.connections.open", 1, 5*time.Minute)
			d.s.Disconnect("")
			time.Sleep(6 * time.Minute)
			at := d.opened()
			if n := len(at); n != 3 || at[2].Sub(at[1]) < 5*time.Minute {
				t.Errorf("connections were asked for at %v", at)
			}
			if !d.a.Health().OK {
				t.Error("it is not back")
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestATokenThatSlackRefusesLaterEndsRunAlsoWhileTheSocketIsFine(t *testing.T) {
	for _, tt := range []struct {
		method, code string
		ends         bool
	}{
		{"chat.update", "token_revoked", true},
		{"chat.update", "invalid_auth", true},
		{"chat.postMessage", "account_inactive", true},
		{"chat.update", "missing_scope", false},
		{"chat.update", "fatal_error", false},
	} {
		t.Run(fmt.Sprint(tt.method, " ", tt.code), func(t *testing.T) {
			err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
				time.Sleep(time.Minute)
				ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
				if err != nil {
					t.Fatal(err)
				}
				fail := func(again bool) {
					d.s.FailMethod(tt.method, tt.code, 1)
					if again {
						d.s.FailMethod("auth.test", tt.code, 1)
					}
					_ = d.a.Update(d.ctx, ref, aloud("new"))
					_, _ = d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("new"))
					time.Sleep(5 * time.Second)
				}
				fail(false)
				if h := d.a.Health(); !h.OK {
					t.Errorf("refused once, and the health is %+v", h)
				}
				fail(tt.ends)
				if h := d.a.Health(); h.OK == tt.ends || tt.ends && !strings.Contains(h.Detail, "slack.bot_token is refused") {
					t.Errorf("health is %+v", h)
				}
				calls := len(d.s.Requests())
				time.Sleep(time.Hour)
				if n := len(d.s.Requests()) - calls; tt.ends && n > 0 {
					t.Errorf("%d requests afterwards", n)
				}
			})
			if tt.ends != (err != nil) {
				t.Errorf("Run returned %v", err)
			}
		})
	}
}

func TestAFormThatComesTwiceGetsTheSameAnswer(t *testing.T) {
	err := shift(t, 2, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(20 * time.Second)
		d.Answers(chat.Answer{Now: form("It cannot be undone.")})
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		d.clicks(ana, slacktest.At{Channel: ops, TS: ref.ID}, "ct:a:show")
		synctest.Wait()
		open := d.s.Views(ana)
		if len(open) != 1 {
			t.Fatalf("%d windows", len(open))
		}
		d.Answers(chat.Answer{Errors: map[string]string{"name": "That is not its name."}})
		before := len(d.s.Acks())
		d.s.DropAcks(1)
		_, _ = d.s.Submit(d.ctx, ana, open[0].ID, map[string]string{"name": "x", "why": ""})
		time.Sleep(time.Second)
		acks := d.s.Acks()[before:]
		if len(acks) != 2 || string(acks[0].Payload) != string(acks[1].Payload) || !strings.Contains(string(acks[1].Payload), "That is not its name.") {
			t.Errorf("acknowledged with %+v", acks)
		}
		if all, _ := d.handled(); all != 2 { // the click and the form
			t.Errorf("%d things were handled", all)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFormUnderWayIsAnsweredOverAConnectionThatEnds(t *testing.T) {
	err := shift(t, 1, slacktest.Options{}, func(t *testing.T, d *desk) {
		time.Sleep(20 * time.Second)
		d.Answers(chat.Answer{Now: form("It cannot be undone.")})
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		d.clicks(ana, slacktest.At{Channel: ops, TS: ref.ID}, "ct:a:show")
		synctest.Wait()
		d.Plays(func(context.Context, chat.Invocation) chat.Answer {
			time.Sleep(drain / 2)
			return chat.Answer{Errors: map[string]string{"name": "That is not its name."}}
		})
		time.AfterFunc(drain/4, func() { d.s.Disconnect("refresh_requested") })
		out, err := d.s.Submit(d.ctx, ana, d.s.Views(ana)[0].ID, map[string]string{"name": "x", "why": ""})
		if err != nil || out.Errors["name"] == "" {
			t.Errorf("%+v, %v", out, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTheEndIsNotMissedForAPing(t *testing.T) {
	for range 20 {
		err := shift(t, 2, slacktest.Options{}, func(_ *testing.T, _ *desk) {
			time.Sleep(20 * time.Second) // a multiple of the time between pings
		})
		if err != nil {
			t.Error(err)
		}
	}
}
