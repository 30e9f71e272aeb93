package discord

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Ids in the simulated guild.
const (
	anaID = "1000000000000000001"
	benID = "1000000000000000002"
	ops   = "5000000000000000005"
	apart = "5000000000000000006" // a channel that the bot is not in
)

// A scene is the adapter, connected by the real SDK to a simulated Discord.
type scene struct {
	t   *testing.T
	ctx context.Context
	sim *discordtest.Server
	*Adapter
	chattest.Script
	logs  *chattest.Log
	stop  context.CancelFunc // ends Run
	http  bool               // Discord calls the adapter, instead of being called
	web   *http.Server
	fails bool              // Run is to return an error
	way   *wiretest.Network // to web
}

func (s *scene) Commands() []chat.Command {
	return []chat.Command{
		{Name: "dashboard", Public: true, Default: true},
		{Name: "show", Options: []chat.Option{{Name: "name", Required: true, Suggest: true}}},
		{Name: "help"},
	}
}

func (s *scene) Complete(_ context.Context, inv chat.Invocation) []chat.Choice {
	var out []chat.Choice
	for i := range 40 {
		out = append(out, chat.Choice{Label: fmt.Sprintf("%s%d %s", inv.Value, i, strings.Repeat("x", 200)), Value: fmt.Sprint(inv.Action, i)})
	}
	return append([]chat.Choice{{Label: "too long", Value: strings.Repeat("v", 101)}}, out...)
}

// newScene connects, on the clock of the bubble that it is called in; how changes
// the options. Everything ends with the test.
func newScene(t *testing.T, play func(ctx context.Context, inv chat.Invocation) chat.Answer, how ...func(*discordtest.Options, *Config)) *scene {
	t.Helper()
	s := &scene{t: t, logs: &chattest.Log{}}
	s.Plays(play)
	s.open(s, how...)
	return s
}

// open is newScene with another handler.
func (s *scene) open(h chat.Handler, how ...func(*discordtest.Options, *Config)) {
	t := s.t
	t.Helper()
	network := wiretest.New()
	// A bubble's clock begins before the time of Discord's ids.
	now := func() time.Time { return time.Now().AddDate(26, 10, 22) }
	opts := discordtest.Options{BotToken: canary, Listener: network, Now: now}
	cfg := Config{
		BotToken: canary, ApplicationID: "3000000000000000003", GuildIDs: []string{"4000000000000000004"},
		Transport: &http.Transport{DialContext: network.Dial}, Dialer: &websocket.Dialer{NetDialContext: network.Dial},
		Now: now,
	}
	cfg.Log = slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s.http {
		// Its network changes when the connection is cut.
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			return s.way.Dial(ctx, network, addr)
		}
		opts.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	}
	for _, change := range how {
		change(&opts, &cfg)
	}
	s.sim = discordtest.New(opts)
	if err := s.sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.sim.Close)
	s.sim.AddUser(anaID, "Ana", "2000000000000000002")
	s.sim.AddUser(benID, "Ben")
	s.sim.AddChannel(ops, "ops", true)
	s.sim.AddChannel(apart, "apart", true)
	s.sim.KickBot(apart)

	cfg.APIURL = s.sim.URL()
	if s.http {
		cfg.PublicKey = s.sim.PublicKey()
	}
	var err error
	if s.Adapter, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithTimeout(context.Background(), 100*time.Hour)
	running, stop := context.WithCancel(s.ctx)
	s.stop = stop
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running, h) }()
	t.Cleanup(func() {
		defer cancel()
		stop()
		if err := <-ended; (err != nil) != s.fails {
			t.Errorf("Run returned %v", err)
		}
		for _, r := range s.sim.Unexpected() {
			t.Errorf("unexpected request %s %s", r.Method, r.Route)
		}
		if logs := s.logs.String(); strings.Contains(logs, canary) || strings.Contains(logs, "aW50ZXJhY3Rpb2") {
			t.Errorf("a token is in the log:\n%s", logs)
		}
	})
	time.Sleep(time.Second)
	s.await("the connection", func() bool { return (s.http || s.sim.Connected() == 1) && s.Health().OK })
	if s.http {
		t.Cleanup(func() { _ = s.web.Close() })
		s.listen()
	}
}

// listen serves the adapter's routes, and makes Discord call there.
func (s *scene) listen() {
	s.t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range s.Routes() {
		mux.Handle(pattern, h)
	}
	if s.web != nil {
		_ = s.web.Close()
	}
	s.way, s.web = wiretest.New(), &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.web.Serve(s.way) }() // ends with Close
	if err := s.sim.SetInteractionsEndpoint(s.ctx, "http://pvechat.test/discord/interactions"); err != nil {
		s.t.Fatal(err)
	}
}

// await lets everything happen that happens by itself, and time pass where that
// is not enough.
func (s *scene) await(what string, cond func() bool) {
	s.t.Helper()
	for range 60 {
		if synctest.Wait(); cond() {
			return
		}
		time.Sleep(time.Second)
	}
	s.t.Fatalf("waited for %s\n%s", what, s.logs)
}

func (s *scene) must(out discordtest.Outcome, err error) discordtest.Outcome {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	if out.Error != "" {
		s.t.Fatalf("the person sees %q\n%s", out.Error, s.logs)
	}
	return out
}

func (s *scene) typed(user, channel, sub string, opts map[string]string) discordtest.Outcome {
	s.t.Helper()
	return s.must(s.sim.Command(s.ctx, user, channel, sub, opts))
}

// press presses the button that a message has with that label.
func (s *scene) press(user string, m discordtest.Message, label string) discordtest.Outcome {
	s.t.Helper()
	c, ok := m.Control(label)
	if !ok {
		s.t.Fatalf("there is no %q on\n%s", label, m.Text())
	}
	return s.must(s.sim.Click(s.ctx, user, m.At(), c.CustomID))
}

// texts is what a person sees in a channel, message by message.
func (s *scene) texts(channel, user string) []string {
	var out []string
	for _, m := range s.sim.Messages(channel, user) {
		out = append(out, m.Text())
	}
	return out
}

func (s *scene) sees(channel, user string, want ...string) {
	s.t.Helper()
	s.await(fmt.Sprintf("%q, there is %q", want, s.texts(channel, user)), func() bool {
		return strings.Join(s.texts(channel, user), "\n--\n") == strings.Join(want, "\n--\n")
	})
}

// requests lists what was asked of Discord, by method and route, from the n-th on.
func (s *scene) requests(n int) []string {
	var out []string
	for _, r := range s.sim.Requests()[n:] {
		out = append(out, r.Route)
	}
	return out
}

func inBubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

func say(words string, buttons ...chat.Button) chat.Message {
	m := chat.Message{Blocks: []chat.Block{chat.Para{Text: chat.Texts(words)}}}
	if buttons != nil {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "c", Buttons: buttons})
	}
	return m
}

func aloud(words string, buttons ...chat.Button) chat.Message {
	m := say(words, buttons...)
	m.Public = true
	return m
}

func TestAPrivateAnswerIsSeenByOnePerson(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at chat.Ref
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: say("hello"), Shown: func(r chat.Ref) { at = r }}
		})
		before := len(s.sim.Requests())
		out := s.typed(anaID, ops, "help", nil)
		if out.Type != respondMessage || out.Message.EphemeralFor != anaID || out.Message.Flags&discordtest.FlagComponentsV2 == 0 {
			t.Errorf("got %+v", out)
		}
		s.sees(ops, anaID, "hello")
		s.sees(ops, benID)
		s.await("Shown", func() bool { return at.ID == out.Message.ID })
		if at.Kind != chat.PrivateRef || at.Storable() || at.Until.IsZero() {
			t.Errorf("it is reached by %+v", at)
		}
		if n := len(s.requests(before)); n != 1 {
			t.Errorf("it took %v", s.requests(before))
		}
		if err := s.Update(s.ctx, at, say("changed")); err != nil {
			t.Error(err)
		}
		s.sees(ops, anaID, "changed")
		if err := s.Delete(s.ctx, at); err != nil {
			t.Error(err)
		}
		s.sees(ops, anaID)
		if err := s.Update(s.ctx, at, say("again")); !errors.Is(err, chat.ErrGone) {
			t.Errorf("what is deleted can be changed: %v", err)
		}
	})
}

func TestAPictureIsUploadedAndAnotherTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		picture := func(alt string) chat.Message {
			return chat.Message{Blocks: []chat.Block{
				chat.Picture{Alt: alt, PNG: []byte("\x89PNG")}, chat.Controls{ID: "c", Buttons: []chat.Button{{ID: "ct:1:graph:day", Label: "Day"}}},
			}}
		}
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			alt := "hour"
			if inv.Kind == chat.Pressed {
				alt = "day"
			}
			return chat.Answer{Now: say("Drawing…"), InPlace: true, Then: func(context.Context) (chat.Surface, error) { return picture(alt), nil }}
		})
		for _, alt := range []string{"hour", "day"} {
			if alt == "hour" {
				s.typed(anaID, ops, "help", nil)
			} else {
				s.press(anaID, s.sim.Messages(ops, anaID)[0], "Day")
			}
			s.await("the picture of a "+alt, func() bool {
				m := s.sim.Messages(ops, anaID)
				return len(m) == 1 && strings.Contains(string(m[0].Components), `"`+alt+`"`) && len(m[0].Files) == 1 && m[0].Files[0] == "picture-0.png"
			})
		}
		at := s.sim.Messages(ops, anaID)[0].At()
		if got := s.sim.File(anaID, at, "picture-0.png"); string(got) != "\x89PNG" {
			t.Errorf("the picture is %q", got)
		}
		if got := s.sim.File(benID, at, "picture-0.png"); got != nil || len(s.sim.Messages(ops, benID)) != 0 {
			t.Errorf("Ben sees what is Ana's: %q", got)
		}
	})
}

func TestWithNothingToSayAboutItABlindAnswerIsReachedByItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := make(chan chat.Ref, 1)
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: aloud("board"), Shown: func(r chat.Ref) { shown <- r }}
		})
		s.typed(anaID, apart, "dashboard", nil)
		at := <-shown
		if at.Storable() || at.Until.IsZero() {
			t.Errorf("it is reached by %+v", at)
		}
		if err := s.Update(s.ctx, at, aloud("new board")); err != nil {
			t.Error(err)
		}
		s.sees(apart, benID, "new board")
	})
}

func TestASourceIsNeverMistakenForTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			if inv.Kind == chat.Pressed {
				return chat.Answer{Now: say("really?")}
			}
			return chat.Answer{Now: say("panel", chat.Button{ID: "ask", Label: "Ask"})}
		})
		panel := s.typed(anaID, ops, "help", nil)
		s.press(anaID, *panel.Message, "Ask")
		s.sees(ops, anaID, "panel\nAsk", "really?")
		if err := s.Update(s.ctx, s.Last().Source, say("new panel")); err != nil && !errors.Is(err, chat.ErrGone) {
			t.Error(err)
		}
		if got := s.texts(ops, anaID); len(got) != 2 || got[1] != "really?" {
			t.Errorf("there is %q", got)
		}
	})
}

// form is the form of the tests below.
func someForm() chat.Form {
	return chat.Form{
		ID: "ct:1:delete:c_1", Title: "Delete jellyfin", State: "s.1", Submit: "Delete for good",
		Inputs: []chat.Input{{ID: "name", Label: "Type jellyfin"}, {ID: "why", Label: "Why", Optional: true}},
	}
}

func TestAFormWithChoicesIsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		form := chat.Form{
			ID: "w:1:settings", Title: "Create container", State: "s.2", Submit: "Next", CancelID: "w:1:cancel", Buttons: []chat.Button{{ID: "w:1:back", Label: "Back"}},
			Inputs: []chat.Input{
				{ID: "hostname", Label: "Hostname", Value: "wiki", Group: "Name and size…"},
				{ID: "address", Label: "Address", Group: "Network…"},
				{ID: "node", Label: "Node", Value: "pve2", Options: []chat.Choosable{{Label: "pve1", Value: "pve1"}, {Label: "pve2", Value: "pve2"}}},
				{ID: "options", Label: "Options", Many: true, Options: []chat.Choosable{{Label: "Start at boot", Value: "onboot"}, {Label: "Nesting", Value: "nesting"}}},
			},
		}
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			switch {
			case inv.Action == "w:1:settings:edit:1":
				part := form
				part.Inputs = form.Inputs[1:2]
				return chat.Answer{Now: part}
			case inv.Kind == chat.Submitted && inv.Values["address"] == "x":
				return chat.Answer{Errors: map[string]string{"address": "It is no address."}, Now: form}
			case inv.Kind == chat.Submitted && len(inv.Values) == 0:
				return chat.Answer{Errors: map[string]string{"hostname": "It is taken."}, Now: form}
			}
			return chat.Answer{Now: form, InPlace: true}
		})
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "### Create container\n**Hostname** wiki\nName and size…\n**Address** –\nNetwork…\n-# Node\nNode\n-# Options\nOptions\nBack\nNext\nCancel")

		at := s.sim.Messages(ops, anaID)[0].At()
		s.must(s.sim.Choose(s.ctx, anaID, at, "w:1:settings:set:node|s.2", "pve1"))
		if inv := s.Last(); inv.Kind != chat.Pressed || inv.Action != "w:1:settings:set:node" || inv.Value != "pve1" || inv.State != "s.2" {
			t.Errorf("got %+v", inv)
		}
		s.must(s.sim.Choose(s.ctx, anaID, at, "w:1:settings:set:options|s.2", "onboot", "nesting"))
		if inv := s.Last(); inv.Value != "onboot nesting" {
			t.Errorf("got %+v", inv)
		}
		s.must(s.sim.Choose(s.ctx, anaID, at, "w:1:settings:set:options|s.2"))
		if inv := s.Last(); inv.Value != "" {
			t.Errorf("got %+v", inv)
		}

		s.press(anaID, s.sim.Messages(ops, anaID)[0], "Network…")
		s.must(s.sim.Submit(s.ctx, anaID, "w:1:settings|s.2", map[string]string{"address": "x"}))
		s.sees(ops, anaID, "❌ **Not accepted**\n**Address** It is no address.\n-# Nothing was changed.\nTry again")
		s.press(anaID, s.sim.Messages(ops, anaID)[0], "Try again")
		s.press(anaID, s.sim.Messages(ops, anaID)[0], "Next")
		if inv := s.Last(); inv.Kind != chat.Submitted || inv.Action != "w:1:settings" || inv.State != "s.2" || len(inv.Values) != 0 {
			t.Errorf("got %+v", inv)
		}
		s.sees(ops, anaID, "❌ **Not accepted**\n**Hostname** It is taken.\n-# Nothing was changed.\nTry again")
	})
}

func TestAFormThatHasSomethingToSayAsksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			f := someForm()
			switch {
			case inv.Kind == chat.Submitted:
				return chat.Answer{Now: say("deleted"), InPlace: true}
			case inv.Action == f.ID:
				return chat.Answer{Now: f}
			case inv.Action == "cancel:c_1":
				return chat.Answer{Close: true}
			}
			f.Heading, f.Ask, f.CancelID = "Delete jellyfin?", "Type its name…", "cancel:c_1"
			f.Intro = []chat.Block{chat.Para{Text: chat.Texts("reading…")}}
			return chat.Answer{Now: f, Then: func(context.Context) (chat.Surface, error) {
				<-release
				f.Intro = []chat.Block{chat.Para{Text: chat.Texts("2 disks")}}
				return f, nil
			}}
		})
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "### Delete jellyfin?\nreading…\nType its name…\nCancel")
		close(release)
		s.sees(ops, anaID, "### Delete jellyfin?\n2 disks\nType its name…\nCancel")

		m := s.sim.Messages(ops, anaID)[0]
		out := s.press(anaID, m, "Type its name…")
		if out.Modal == nil {
			t.Fatalf("got %+v", out)
		}
		s.must(s.sim.Submit(s.ctx, anaID, out.Modal.CustomID, map[string]string{"name": "jellyfin"}))
		s.sees(ops, anaID, "deleted")

		s.typed(anaID, ops, "help", nil)
		m = s.sim.Messages(ops, anaID)[1]
		s.press(anaID, m, "Cancel")
		s.sees(ops, anaID, "deleted")
	})
}

func TestWhatIsWrongWithAFormIsSaidAndWhatWasTypedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			if inv.Kind == chat.Submitted {
				if inv.Values["name"] == "jellyfin" {
					return chat.Answer{Now: say("deleted"), InPlace: true}
				}
				return chat.Answer{Errors: map[string]string{"name": "That is not its name.", "disk": "Too large."}, Now: someForm()}
			}
			return chat.Answer{Now: someForm()}
		})
		form := s.typed(anaID, ops, "help", nil).Modal
		s.must(s.sim.Submit(s.ctx, anaID, form.CustomID, map[string]string{"name": "jelly", "why": "old"}))
		const wrong = "❌ **Not accepted**\n**Type jellyfin** That is not its name.\n**disk** Too large.\n-# Nothing was changed.\nTry again"
		s.sees(ops, anaID, wrong)

		m := s.sim.Messages(ops, anaID)[0]
		form = s.press(anaID, m, "Try again").Modal
		if form == nil || form.Fields[0].Value != "jelly" || form.Fields[1].Value != "old" {
			t.Fatalf("the form came back as %+v", form)
		}
		// Wrong once more: the list is replaced, not repeated.
		s.must(s.sim.Submit(s.ctx, anaID, form.CustomID, map[string]string{"name": "x"}))
		s.sees(ops, anaID, wrong)
		form = s.press(anaID, m, "Try again").Modal
		s.must(s.sim.Submit(s.ctx, anaID, form.CustomID, map[string]string{"name": "jellyfin"}))
		s.sees(ops, anaID, "deleted")

		form = s.typed(anaID, ops, "help", nil).Modal
		if form.Fields[0].Value != "" {
			t.Errorf("what was typed once is still there: %+v", form.Fields)
		}
	})
}

func TestAFormAfterAFormOpensByAButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
			f := someForm()
			if inv.Kind == chat.Submitted {
				f.ID, f.Title = "w:1:size", "Size"
			}
			return chat.Answer{Now: f}
		})
		form := s.typed(anaID, ops, "help", nil).Modal
		s.must(s.sim.Submit(s.ctx, anaID, form.CustomID, map[string]string{"name": "x"}))
		s.await("the button", func() bool { return len(s.sim.Messages(ops, anaID)) == 1 })
		m := s.sim.Messages(ops, anaID)[0]
		if next := s.press(anaID, m, "Continue…").Modal; next == nil {
			t.Errorf("it opens nothing: %s", m.Text())
		}
	})
}

func TestASlowAnswerIsPutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		command string
		answer  chat.Answer
		sees    []string // Ana
		others  []string
	}{
		"a private one":              {"help", chat.Answer{Now: say("at last")}, []string{"at last"}, nil},
		"a public one":               {"dashboard", chat.Answer{Now: aloud("at last")}, []string{"at last"}, []string{"at last"}},
		"a refusal of a public one":  {"dashboard", chat.Answer{Now: say("not allowed")}, []string{"not allowed"}, nil},
		"a public one where unusual": {"help", chat.Answer{Now: aloud("for all")}, []string{"for all"}, []string{"for all"}},
		"a form":                     {"help", chat.Answer{Now: someForm()}, []string{"### Delete jellyfin\nIt is ready to be filled in.\nContinue…"}, nil},
		"nothing":                    {"help", chat.Answer{}, nil, nil},
		"nothing in public":          {"dashboard", chat.Answer{}, nil, nil},
		"what comes later still":     {"help", chat.Answer{Then: func(context.Context) (chat.Surface, error) { return say("later"), nil }}, []string{"later"}, nil},
		"what never comes":           {"help", chat.Answer{Then: func(context.Context) (chat.Surface, error) { return nil, errors.New("told") }}, nil, nil},
		"what replaces it":           {"help", chat.Answer{Now: say("wait"), Then: func(context.Context) (chat.Surface, error) { return say("done"), nil }}, []string{"done"}, nil},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			release := make(chan struct{})
			s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
				<-release
				return tt.answer
			})
			out := s.typed(anaID, ops, tt.command, nil)
			if out.Type != respondThinking || !out.Message.Loading() {
				t.Errorf("got %+v", out)
			}
			close(release)
			s.sees(ops, anaID, tt.sees...)
			s.sees(ops, benID, tt.others...)
		}))
	}
}

func TestASlowPressIsPutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		answer chat.Answer
		sees   []string
		others []string
	}{
		"in place":        {chat.Answer{Now: aloud("changed"), InPlace: true}, []string{"changed"}, []string{"changed"}},
		"a private one":   {chat.Answer{Now: say("for you"), InPlace: true}, []string{"board\nGo", "for you"}, []string{"board\nGo"}},
		"a public one":    {chat.Answer{Now: aloud("for all")}, []string{"board\nGo", "for all"}, []string{"board\nGo", "for all"}},
		"nothing":         {chat.Answer{}, []string{"board\nGo"}, []string{"board\nGo"}},
		"later, in place": {chat.Answer{InPlace: true, Then: func(context.Context) (chat.Surface, error) { return aloud("later"), nil }}, []string{"later"}, []string{"later"}},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			release := make(chan struct{})
			s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
				if inv.Kind == chat.Typed {
					return chat.Answer{Now: aloud("board", chat.Button{ID: "go", Label: "Go"})}
				}
				<-release
				return tt.answer
			})
			board := s.typed(anaID, ops, "dashboard", nil)
			if out := s.press(anaID, *board.Message, "Go"); out.Type != respondNothing {
				t.Errorf("got %+v", out)
			}
			close(release)
			s.sees(ops, anaID, tt.sees...)
			s.sees(ops, benID, tt.others...)
		}))
	}
}

func TestClosingTakesAPrivateMessageAway(t *testing.T) {
	for name, tt := range map[string]struct {
		answer chat.Answer
		sees   []string
	}{
		"and leaves nothing":         {chat.Answer{Close: true}, nil},
		"and puts another there":     {chat.Answer{Close: true, Now: say("next")}, []string{"next"}},
		"and says something aloud":   {chat.Answer{Close: true, Now: aloud("done")}, []string{"done"}},
		"not where nothing is asked": {chat.Answer{}, []string{"panel\nGo"}},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			s := newScene(t, func(_ context.Context, inv chat.Invocation) chat.Answer {
				if inv.Kind == chat.Typed {
					return chat.Answer{Now: say("panel", chat.Button{ID: "go", Label: "Go"})}
				}
				return tt.answer
			})
			panel := s.typed(anaID, ops, "help", nil)
			s.press(anaID, *panel.Message, "Go")
			s.sees(ops, anaID, tt.sees...)
		}))
	}
}

func TestWhatExpiresIsTakenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		after chat.Surface
		sees  []string
	}{
		"without a trace":      {nil, nil},
		"with a word about it": {say("hidden again"), []string{"hidden again"}},
	} {
		t.Run(name, inBubble(func(t *testing.T) {
			s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
				return chat.Answer{Now: say("secret"), Expire: 50 * time.Millisecond, After: tt.after}
			})
			s.typed(anaID, ops, "help", nil)
			s.sees(ops, anaID, tt.sees...)
		}))
	}
}

func TestSuggestionsAreWithinDiscordsLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} })
		choices, err := s.sim.Autocomplete(s.ctx, anaID, ops, "show", "name", "git")
		if err != nil {
			t.Fatal(err)
		}
		if len(choices) != 25 || choices[0].Value != "name0" || !strings.HasPrefix(choices[0].Name, "git0 xx") || units(choices[0].Name) > 100 {
			t.Errorf("got %d: %+v", len(choices), choices[:1])
		}
	})
}

func TestHostileTextIsShownAndPingsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const name = "*x*@everyone<@1000000000000000002><!channel>`"
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: chat.Message{Public: true, Blocks: []chat.Block{
				chat.Heading{Text: name},
				chat.Row{Mark: "⏹️", Name: name, Word: name, Where: name, Button: &chat.Button{ID: "x", Label: name}},
				chat.Pre{Lines: []string{"```" + name}},
				chat.Fields{{Label: name, Value: chat.Texts(name, chat.C(name))}},
			}}}
		})
		m := s.typed(anaID, ops, "dashboard", nil).Message
		if len(m.Mentions) != 0 {
			t.Errorf("it pings %v", m.Mentions)
		}
		if n := strings.Count(m.Text(), "\\*x\\*@\u200beveryone\\<@1000000000000000002\\>\\<!channel\\>\\`"); n != 5 {
			t.Errorf("%d of 5 names are escaped:\n%s", n, m.Text())
		}
	})
}

func TestAValueThatNoMessageShowsExactlyOpensAsAForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const value = "-----BEGIN KEY-----\n```*_\n-----END KEY-----"
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: chat.Message{Blocks: []chat.Block{
				chat.Exact{Label: "User", Value: chat.NewSecret("admin")}, chat.Exact{Label: "Key", Value: chat.NewSecret(value)},
			}}}
		})
		m := s.typed(anaID, ops, "help", nil).Message
		if strings.Contains(m.Text(), "BEGIN KEY") || !strings.Contains(m.Text(), "```\nadmin\n```") {
			t.Errorf("the message says\n%s", m.Text())
		}
		form := s.press(anaID, *m, "Open").Modal
		if form == nil || form.Fields[0].Value != value {
			t.Fatalf("got %+v", form)
		}
		s.must(s.sim.Submit(s.ctx, anaID, form.CustomID, nil))
		if asked := s.Asked(); len(asked) != 1 {
			t.Errorf("the handler heard of it: %+v", asked)
		}
		c, _ := m.Control("Open")
		s.copies.mu.Lock()
		clear(s.copies.values)
		s.copies.mu.Unlock()
		s.must(s.sim.Click(s.ctx, anaID, m.At(), c.CustomID))
		s.await("a word about it", func() bool {
			got := s.texts(ops, anaID)
			return len(got) == 2 && got[1] == "It is hidden again. Ask for it once more."
		})
	})
}

func TestPosting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} })
		at, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("alert"))
		if err != nil || !at.Storable() {
			t.Fatalf("%+v, %v", at, err)
		}
		if _, err := s.Post(s.ctx, chat.Target{Thread: at}, aloud("resolved")); err != nil {
			t.Fatal(err)
		}
		s.sees(ops, benID, "alert", "resolved")
		if got := s.sim.Messages(ops, benID)[1].Reference; got != at.ID {
			t.Errorf("it replies to %q", got)
		}
		if err := s.Delete(s.ctx, at); err != nil {
			t.Error(err)
		}
		if _, err := s.Post(s.ctx, chat.Target{Thread: at}, aloud("resolved again")); err != nil {
			t.Errorf("a reply to what is gone: %v", err)
		}
		for range 2 {
			if _, err := s.Post(s.ctx, chat.Target{Person: anaID}, say("psst")); err != nil {
				t.Error(err)
			}
		}
		s.sees("", anaID, "psst", "psst")

		s.sim.BlockDMs(benID)
		for name, tt := range map[string]struct {
			to   chat.Target
			want error
		}{
			"a channel without the bot":   {chat.Target{Channel: apart}, chat.ErrForbidden},
			"a channel that is not there": {chat.Target{Channel: "5000000000000000077"}, chat.ErrGone},
			"a person who blocks it":      {chat.Target{Person: benID}, chat.ErrForbidden},
			"nowhere":                     {chat.Target{}, chat.ErrGone},
		} {
			if _, err := s.Post(s.ctx, tt.to, aloud("x")); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
		}
	})
}

func TestWhatDiscordRefusesHasAMeaning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} })
		at, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			fault func()
			want  error
		}{
			"edited too often": {func() { s.sim.Fail("PATCH /channels/", http.StatusTooManyRequests, 30046, 1) }, chat.ErrFrozen},
			"no access":        {func() { s.sim.Fail("PATCH /channels/", http.StatusForbidden, 50001, 1) }, chat.ErrForbidden},
			"no permission":    {func() { s.sim.Fail("PATCH /channels/", http.StatusForbidden, 50013, 1) }, chat.ErrForbidden},
			"unknown message":  {func() { s.sim.Fail("PATCH /channels/", http.StatusNotFound, 10008, 1) }, chat.ErrGone},
			"unknown channel":  {func() { s.sim.Fail("PATCH /channels/", http.StatusNotFound, 10003, 1) }, chat.ErrGone},
		} {
			before := len(s.sim.Requests())
			tt.fault()
			if err := s.Update(s.ctx, at, aloud("x")); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", name, err, tt.want)
			}
			if n := len(s.requests(before)); n != 1 {
				t.Errorf("%s: %d requests", name, n)
			}
		}
		for _, without := range []bool{false, true} {
			before := len(s.sim.Requests())
			s.sim.RateLimit("PATCH /channels/", 1, 700*time.Millisecond, without)
			var limited *chat.RateLimitedError
			err := s.Update(s.ctx, at, aloud("x"))
			if !errors.As(err, &limited) || limited.RetryAfter <= 0 || limited.RetryAfter > time.Second {
				t.Errorf("without retry_after %v: got %v", without, err)
			}
			if n := len(s.requests(before)); n != 1 {
				t.Errorf("without retry_after %v: %d requests", without, n)
			}
		}
		s.sim.Fail("PATCH /channels/", http.StatusBadGateway, 0, 1)
		before := len(s.sim.Requests())
		if err := s.Update(s.ctx, at, aloud("x")); err == nil || errors.Is(err, chat.ErrGone) || errors.Is(err, chat.ErrForbidden) || len(s.requests(before)) != 1 {
			t.Errorf("a bad gateway: %v", err)
		}
		if err := s.Update(s.ctx, at, aloud("at last")); err != nil {
			t.Error(err)
		}
		s.sees(ops, benID, "at last")
	})
}

func TestRateLimitsAreKeptWithoutBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} })
		s.sim.StrictLimits(true)
		at, err := s.Post(s.ctx, chat.Target{Channel: ops}, aloud("board"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour) // old enough for the limit on edits of old messages
		refused := 0
		for i := range 40 {
			for {
				err := s.Update(s.ctx, at, aloud(fmt.Sprint("board ", i)))
				var limited *chat.RateLimitedError
				if !errors.As(err, &limited) {
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				refused++
				time.Sleep(limited.RetryAfter)
			}
		}
		for _, r := range s.sim.Requests() {
			if r.Status == http.StatusTooManyRequests {
				t.Errorf("%s: %s", r.Route, r.Response)
			}
		}
		if refused == 0 {
			t.Error("nothing was ever put off: what does this test?")
		}
	})
}

func TestAnAnswerWaitsOutAShortRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("hello")} })
		s.sim.RateLimit("POST /interactions/", 1, 50*time.Millisecond, false)
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "hello")
	})
}

func TestATokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shown := make(chan chat.Ref, 1)
		var late sync.Map
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: say("hello"), Shown: func(r chat.Ref) { shown <- r }}
		}, func(_ *discordtest.Options, cfg *Config) {
			cfg.Now = func() time.Time {
				if _, ok := late.Load("late"); ok {
					return time.Now().Add(tokenLife)
				}
				return time.Now()
			}
		})
		s.typed(anaID, ops, "help", nil)
		at := <-shown
		late.Store("late", true)
		before := len(s.sim.Requests())
		if err := s.Update(s.ctx, at, say("x")); !errors.Is(err, chat.ErrGone) {
			t.Errorf("got %v", err)
		}
		if n := len(s.requests(before)); n != 0 {
			t.Errorf("%d requests for nothing", n)
		}
	})
}

func TestNoErrorTellsAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			refs = make(chan chat.Ref, 1)
			errs []error
		)
		s := newScene(t, func(context.Context, chat.Invocation) chat.Answer {
			return chat.Answer{Now: say("hello"), Shown: func(r chat.Ref) { refs <- r }}
		})
		s.typed(anaID, ops, "help", nil)
		at := <-refs
		add := func(err error) {
			t.Helper()
			if err == nil {
				t.Error("it went well")
			}
			errs = append(errs, err)
		}
		s.sim.Fail("PATCH /webhooks/", 401, 50027, 1)
		add(s.Update(s.ctx, at, say("x")))
		s.sim.Fail("PATCH /webhooks/", 400, 50035, 1)
		add(s.Update(s.ctx, at, say("x")))
		s.sim.Fail("PATCH /webhooks/", 502, 0, 1)
		add(s.Update(s.ctx, at, say("x")))
		s.sim.RateLimit("PATCH /webhooks/", 1, time.Second, false)
		add(s.Update(s.ctx, at, say("x")))
		over, cancel := context.WithCancel(s.ctx)
		cancel()
		add(s.Update(over, at, say("x")))
		add(s.Delete(over, at))
		add(s.Update(over, chat.Ref{Platform: chat.Discord, Kind: chat.MessageRef, Channel: ops, ID: "1"}, say("x")))

		secret, _ := splitGrip(at.Key())
		if len(secret) < 20 {
			t.Fatalf("the token is not there")
		}
		var out strings.Builder
		for _, err := range errs {
			for e := err; e != nil; e = errors.Unwrap(e) {
				fmt.Fprintf(&out, "%v %+v %#v %s\n", e, e, e, e)
			}
		}
		fmt.Fprintf(&out, "%v %+v %#v %v %+v %#v %s %v", s.Adapter, s.Adapter, s.Adapter, s.cfg, s.cfg, s.cfg, at, secret)
		fmt.Fprintf(&out, "%+v %#v", s.Last(), s.Last().Source)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "adapter", s.cfg, "ref", at, "token", secret, "inv", s.Last())
		for _, canary := range []string{canary, string(secret)} {
			if strings.Contains(out.String(), canary) {
				t.Errorf("a token is in\n%s", strings.ReplaceAll(out.String(), canary, "<<<HERE>>>"))
			}
		}
	})
}
