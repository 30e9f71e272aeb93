package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	slackgo "github.com/slack-go/slack"
	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ana  = "U0ANA0001"
	bob  = "U0BOB0001"
	ops  = "C0OPS0001" // the bot is a member
	away = "C0AWAY001" // it is not

	botToken = "xoxb-canary-bot"
	appToken = "xapp-canary-app"

	signingSecret = "canary-signing"
)

// desk is an adapter at work in a workspace.
type desk struct {
	t   *testing.T
	ctx context.Context
	s   *slacktest.Server
	a   *Adapter
	chattest.Script
	log  *chattest.Log
	web  *httptest.Server // in HTTP mode
	stop func() error     // ends Run and returns what it returned

	under sync.WaitGroup // for tests that act as the socket
}

func (d *desk) Commands() []chat.Command { return commands }

func (d *desk) Complete(context.Context, chat.Invocation) []chat.Choice { return nil }

type setup struct {
	h      chat.Handler // nil: the desk itself
	slack  slacktest.Options
	config func(*Config)
	http   bool // Slack calls the adapter, instead of being called
	before func(*slacktest.Server)
}

// workspace builds a workspace and an adapter that does not run yet.
func workspace(t *testing.T, o setup) *desk {
	t.Helper()
	o.slack.BotToken, o.slack.AppToken, o.slack.SigningSecret = botToken, appToken, signingSecret
	s := slacktest.New(o.slack)
	s.AddUser(ana, "ana", "S0ADMINS1", "S0OTHERS1")
	s.AddUser(bob, "bob")
	s.AddChannel(ops, "ops", true, ana, bob)
	s.AddChannel(away, "away", false, ana, bob)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	d := &desk{t: t, ctx: ctx, s: s, log: &chattest.Log{}}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := Config{
		BotToken: botToken, AppToken: appToken, APIURL: strings.TrimSuffix(s.APIURL(), "/"), Connections: 1,
		HTTPClient: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		Log:        slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if o.http {
		c.AppToken, c.SigningSecret = "", signingSecret
	}
	if o.config != nil {
		o.config(&c)
	}
	if o.before != nil {
		o.before(s)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	a.stagger = 10 * time.Millisecond
	d.a = a
	t.Cleanup(func() { d.keepsSecrets(d.log.String(), fmt.Sprintf("%v %+v %#v", a, a, c)) })
	return d
}

// keepsSecrets fails the test where a token, response address, trigger or
// socket ticket is in any text.
func (d *desk) keepsSecrets(texts ...string) {
	d.t.Helper()
	for _, s := range texts {
		for _, secret := range []string{"canary", "/commands/T0", "/actions/T0", "ticket=", ".1395872398."} {
			if i := strings.Index(s, secret); i >= 0 {
				d.t.Errorf("a secret is out: %q", s[max(0, i-80):min(len(s), i+60)])
			}
		}
	}
}

// office is a workspace with the adapter connected.
func office(t *testing.T, o setup) *desk {
	t.Helper()
	d := workspace(t, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	if o.h == nil {
		o.h = d
	}
	go func() { done <- d.a.Run(ctx, o.h) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		for _, u := range d.s.Unexpected() {
			t.Errorf("no correct bot does this: %s", u)
		}
	})
	d.await("a connection", func() bool { return d.a.Health().OK })
	if o.http {
		d.listen()
	}
	return d
}

// listen serves the adapter's routes at an address of their own, and makes
// Slack call there.
func (d *desk) listen() {
	d.t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range d.a.Routes() {
		mux.Handle(pattern, h)
	}
	if d.web != nil {
		d.web.Close()
	}
	d.web = httptest.NewServer(mux)
	d.t.Cleanup(d.web.Close)
	if err := d.s.SetRequestURL(d.ctx, d.web.URL); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) await(what string, cond func() bool) {
	d.t.Helper()
	// Not all that is waited for changes the server, so it is nudged.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-d.s.Changes():
		case <-tick.C:
		case <-d.ctx.Done():
			d.t.Fatalf("waited for %s; log:\n%s", what, d.log)
		}
	}
}

func (d *desk) types(user, channel, text string) {
	d.t.Helper()
	if _, err := d.s.Command(d.ctx, user, channel, text); err != nil {
		d.t.Fatalf("/pve %s: %v", text, err)
	}
}

func (d *desk) clicks(user string, at slacktest.At, id string) {
	d.t.Helper()
	if _, err := d.s.Click(d.ctx, user, at, id); err != nil {
		d.t.Fatalf("click %s: %v", id, err)
	}
}

// sees waits for the n-th message that a person sees in a channel.
func (d *desk) sees(user, channel string, n int) slacktest.Message {
	d.t.Helper()
	d.await(fmt.Sprintf("message %d", n), func() bool { return len(d.s.Messages(channel, user)) >= n })
	return d.s.Messages(channel, user)[n-1]
}

// window waits until a person has n modals open and returns the one on top.
func (d *desk) window(user string, n int) slacktest.View {
	d.t.Helper()
	d.await(fmt.Sprintf("%d modals", n), func() bool { return len(d.s.Views(user)) == n })
	if n == 0 {
		return slacktest.View{}
	}
	return d.s.Views(user)[n-1]
}

// says waits until the modal on top says something.
func (d *desk) says(user, text string) slacktest.View {
	d.t.Helper()
	var top slacktest.View
	d.await(fmt.Sprintf("a modal with %q", text), func() bool {
		v := d.s.Views(user)
		if len(v) == 0 {
			return false
		}
		top = v[len(v)-1]
		return strings.Contains(string(top.Raw), text)
	})
	return top
}

func say(text string) chat.Message {
	return chat.Message{Summary: text, Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(text)},
		chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "ct:a:show", Label: "Manage"}, {ID: "ct:a:hide", Label: "Hide"}}},
	}}
}

func aloud(text string) chat.Message {
	m := say(text)
	m.Public = true
	return m
}

func panel(text string) chat.Panel {
	m := say(text)
	return chat.Panel{ID: "detail", Title: "wiki", State: "overview.1", Live: true, Blocks: m.Blocks}
}

func form(intro string) chat.Form {
	return chat.Form{
		ID: "ct:a:delete:c_1", Title: "Delete container", Heading: "Delete wiki?", Submit: "Delete for good", State: "s.1",
		Intro: []chat.Block{chat.Para{Text: chat.Texts(intro)}}, Ask: "Type its name…", CancelID: "cancel:c_1",
		Inputs: []chat.Input{{ID: "name", Label: "Type wiki"}, {ID: "why", Label: "Why", Optional: true}},
	}
}

// The limits hold only if the SDK sends the blocks as they were measured.
func TestWhatIsSentIsWhatWasMeasured(t *testing.T) {
	d := office(t, setup{})
	hostile := []chat.Block{
		chat.Para{Text: chat.Texts("<!channel> & \"quoted\" \u2028 </script> \xff 🟢")},
		chat.Row{ID: "row:a", Name: "<b>", Word: "running", Facts: chat.Texts("5 %"), Menu: []chat.Button{{ID: "ct:a:show", Label: "M&M"}}},
		chat.Controls{ID: "c", Buttons: []chat.Button{{ID: "b", Label: "<Go>", Confirm: &chat.Confirm{Title: "Go?", Text: "a & b"}}}},
		chat.Pre{Lines: []string{"<a> & b", "\x00"}},
	}
	m, p, home := chat.Message{Summary: "<s>", Blocks: hostile}, chat.Panel{ID: "p", Title: "<p>", Blocks: hostile}, chat.Home{Blocks: hostile}
	top, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.a.Post(d.ctx, chat.Target{Channel: ops, Person: ana}, m); err != nil {
		t.Error(err)
	}
	d.Answers(chat.Answer{Now: panel("first")})
	d.types(ana, ops, "list")
	v := d.window(ana, 1)
	for _, at := range []struct {
		ref chat.Ref
		s   chat.Surface
	}{{top, m}, {panelRef(v.ID, ""), p}, {chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: ana}, home}} {
		if err := d.a.Update(d.ctx, at.ref, at.s); err != nil {
			t.Error(err)
		}
	}
	sent := map[string]string{}
	for _, r := range d.s.Requests() {
		sent[r.Method] = r.Arg("blocks") + r.Arg("view")
	}
	message := renderMessage(m).Blocks
	for method, blocks := range map[string][]slackgo.Block{
		"chat.postMessage": message, "chat.postEphemeral": message, "chat.update": message,
		"views.update": renderModal(p, "", viewSize).Blocks.BlockSet, "views.publish": renderHome(home).Blocks.BlockSet,
	} {
		var measured []string
		for _, b := range blocks {
			measured = append(measured, string(*b.(*encoded)))
		}
		if want := "[" + strings.Join(measured, ",") + "]"; !strings.Contains(sent[method], want) {
			t.Errorf("%s sent\n%s, not\n%s", method, sent[method], want)
		}
	}
}

// The SDK leaves the end of a long answer unread, and such a connection cannot
// be used again.
func TestALongAnswerDoesNotCostTheConnection(t *testing.T) {
	var dials atomic.Int64
	d := office(t, setup{config: func(c *Config) {
		c.HTTPClient.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}})
	var long []chat.Block
	for range 6 {
		long = append(long, chat.Para{Text: chat.Texts(strings.Repeat("n", 2000))})
	}
	message, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, chat.Message{Blocks: long})
	if err != nil {
		t.Fatal(err)
	}
	home := chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: ana}
	before := dials.Load()
	for range 3 {
		for at, s := range map[chat.Ref]chat.Surface{message: chat.Message{Blocks: long}, home: chat.Home{Blocks: long}} {
			if err := d.a.Update(d.ctx, at, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := dials.Load() - before; n > 0 {
		t.Errorf("%d more connections for six more calls", n)
	}
}

func TestLinksAreNotUnfurled(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: aloud("https://wiki.example/")})
	d.types(ana, ops, "")
	d.sees(bob, ops, 1)
	for _, r := range d.s.Requests() {
		if r.Method == "chat.postMessage" && (r.Arg("unfurl_links") != "false" || r.Arg("unfurl_media") != "false") {
			t.Error("links are unfurled")
		}
	}
}

func TestAPublicAnswerThatCannotBePostedIsReplacedPrivately(t *testing.T) {
	d := office(t, setup{})
	shown, missed := make(chan chat.Ref, 1), make(chan error, 1)
	d.Answers(chat.Answer{
		Now:    aloud("board"),
		Shown:  func(r chat.Ref) { shown <- r },
		Missed: func(err error) chat.Surface { missed <- err; return say("pvechat is not in this channel.") },
		Then:   func(context.Context) (chat.Surface, error) { return say("later"), nil },
	})
	d.types(ana, away, "")
	d.await("the later word", func() bool {
		m := d.s.Messages(away, ana)
		return len(m) == 1 && m[0].Ephemeral && m[0].Text == "later"
	})
	if err := <-missed; !errors.Is(err, chat.ErrForbidden) {
		t.Errorf("got %v", err)
	}
	if len(shown) > 0 {
		t.Error("it was said to be shown")
	}
}

func TestAPanelOpensIsReplacedInPlaceAndTellsWhenItCloses(t *testing.T) {
	d := office(t, setup{})
	refs := make(chan chat.Ref, 9)
	show := func(r chat.Ref) { refs <- r }
	d.Answers(chat.Answer{Now: panel("one"), Shown: show})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	ref := <-refs
	if ref.ID != v.ID || ref.Kind != chat.PanelRef || v.Title != "wiki" || v.CallbackID != "detail" {
		t.Errorf("got %+v at %v", v, ref)
	}
	d.Answers(chat.Answer{Now: panel("two"), InPlace: true, Shown: show})
	d.clicks(ana, slacktest.At{View: v.ID}, "ct:a:show")
	d.says(ana, "two")
	if again := <-refs; again != ref {
		t.Errorf("replaced in place, %v is %v", ref, again)
	}
	inv := d.Last()
	if inv.Kind != chat.Pressed || inv.Action != "ct:a:show" || inv.State != "overview.1" || !inv.InPanel || inv.Channel != ops || inv.Source != ref {
		t.Errorf("got %+v", inv)
	}
	if err := d.a.Update(d.ctx, ref, panel("three")); err != nil {
		t.Fatal(err)
	}
	d.says(ana, "three")
	d.Answers(chat.Answer{})
	if _, err := d.s.CloseView(d.ctx, ana, v.ID); err != nil {
		t.Fatal(err)
	}
	d.await("the close", func() bool { inv := d.Last(); return inv.Kind == chat.Closed })
	if inv := d.Last(); inv.Source != ref || inv.Action != "detail" || inv.State != "overview.1" {
		t.Errorf("got %+v", inv)
	}
	if err := d.a.Update(d.ctx, ref, panel("four")); !errors.Is(err, chat.ErrGone) {
		t.Errorf("got %v", err)
	}
}

func TestThePlatformAsksAndLinksReportNothing(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: chat.Message{Public: true, Summary: "board", Blocks: []chat.Block{
		chat.Row{ID: "row:a", Name: "wiki", Word: "running", Menu: []chat.Button{
			{ID: "ct:a:web", Label: "Open Wiki", URL: "https://wiki.example/"}, {ID: "ct:a:stop", Label: "Stop…"},
		}},
		chat.Controls{ID: "actions", Buttons: []chat.Button{
			{ID: "ct:a:open", Label: "Open Wiki", URL: "https://wiki.example/"},
			{ID: "ct:a:restart", Label: "Restart…", Confirm: &chat.Confirm{Title: "Restart wiki?", Text: "About 20 s.", Yes: "Restart", No: "Cancel"}},
		}},
	}}})
	d.types(ana, ops, "")
	at := slacktest.At{Channel: ops, TS: d.sees(ana, ops, 1).TS}
	d.Answers(chat.Answer{})
	for _, link := range []string{"ct:a:web", "ct:a:open"} {
		if out, err := d.s.Click(d.ctx, ana, at, link); err != nil || out.URL != "https://wiki.example/" {
			t.Errorf("%s: %+v, %v", link, out, err)
		}
	}
	if out, err := d.s.Click(d.ctx, ana, at, "ct:a:restart", slacktest.WithCancel); err != nil || out.Asked.Title != "Restart wiki?" {
		t.Errorf("got %+v, %v", out, err)
	}
	d.clicks(ana, at, "ct:a:stop")
	d.await("the menu's choice", func() bool { return len(d.Asked()) == 2 })
	if inv := d.Last(); inv.Action != "ct:a:stop" || inv.Confirmed {
		t.Errorf("got %+v", inv)
	}
	d.clicks(ana, at, "ct:a:restart")
	d.await("the press", func() bool { return len(d.Asked()) == 3 })
	if inv := d.Last(); inv.Action != "ct:a:restart" || !inv.Confirmed {
		t.Errorf("got %+v", inv)
	}
}

func TestASelectShowsWhatIsChosenAlsoAfterAnotherControlChangedIt(t *testing.T) {
	d := office(t, setup{})
	view := func(selected string) chat.Panel {
		return chat.Panel{ID: "board", Title: "Containers", State: selected, Blocks: []chat.Block{
			chat.Para{Text: chat.Texts("Showing: " + selected)},
			chat.Controls{ID: "board:controls", Select: &chat.Select{ID: "board:filter", Selected: "filter:" + selected, Options: []chat.Choosable{
				{Label: "All", Value: "filter:all"}, {Label: "Stopped", Value: "filter:stopped"},
			}}, Buttons: []chat.Button{{ID: "filter:all", Label: "Show all"}}},
		}}
	}
	d.Answers(chat.Answer{Now: view("all")})
	d.types(ana, ops, "list")
	at := slacktest.At{View: d.window(ana, 1).ID}
	d.Answers(chat.Answer{Now: view("stopped"), InPlace: true})
	if _, err := d.s.Choose(d.ctx, ana, at, "board:filter", "filter:stopped"); err != nil {
		t.Fatal(err)
	}
	d.says(ana, "Showing: stopped")
	if inv := d.Last(); inv.Action != "board:filter" || inv.Value != "filter:stopped" || inv.State != "all" {
		t.Errorf("got %+v", inv)
	}
	d.Answers(chat.Answer{Now: view("all"), InPlace: true})
	d.clicks(ana, at, "filter:all")
	v := d.says(ana, "Showing: all")
	var seen struct {
		State struct {
			Values map[string]map[string]struct {
				Selected struct{ Value string } `json:"selected_option"`
			}
		}
	}
	if err := json.Unmarshal(v.Raw, &seen); err != nil {
		t.Fatal(err)
	}
	for _, controls := range seen.State.Values {
		if got := controls["board:filter"].Selected.Value; got != "filter:all" {
			t.Errorf("it shows %q", got)
		}
	}
}

func TestWindowsAreStackedThreeHighAndThenReplaced(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: panel("one")})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	for i, s := range []chat.Surface{panel("two"), say("three")} {
		d.Answers(chat.Answer{Now: s})
		d.clicks(ana, slacktest.At{View: v.ID}, "ct:a:show")
		v = d.window(ana, i+2)
	}
	d.Answers(chat.Answer{Now: panel("four")})
	d.clicks(ana, slacktest.At{View: v.ID}, "ct:a:show")
	if top := d.says(ana, "four"); top.ID != v.ID || len(d.s.Views(ana)) != 3 {
		t.Errorf("got %+v", top)
	}
	d.Answers(chat.Answer{Close: true})
	d.clicks(ana, slacktest.At{View: v.ID}, "ct:a:hide")
	d.says(ana, "This has ended.")
}

func TestAFormOpensAndIsFilledAfterwardsKeepingWhatIsTyped(t *testing.T) {
	d := office(t, setup{})
	typed := make(chan struct{})
	d.Answers(chat.Answer{Now: form("reading…"), Then: func(ctx context.Context) (chat.Surface, error) {
		<-typed
		return form("32 GiB"), nil
	}})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	if err := d.s.Type(ana, v.ID, map[string]string{"name": "wi"}); err != nil {
		t.Fatal(err)
	}
	close(typed)
	v = d.says(ana, "32 GiB")
	if !strings.Contains(string(v.Raw), `"value":"wi"`) {
		t.Errorf("what was typed is lost: %s", v.Raw)
	}

	d.Answers(chat.Answer{Errors: map[string]string{"name": "That is not its name.", "unknown": "Something else."}})
	out, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wok"})
	if err != nil {
		t.Fatal(err)
	}
	if out.Errors["name"] != "That is not its name." || len(out.Errors) != 1 {
		t.Errorf("got %v", out.Errors)
	}
	inv := d.Last()
	if inv.Kind != chat.Submitted || inv.Action != "ct:a:delete:c_1" || inv.State != "s.1" || inv.Values["name"] != "wok" || inv.Values["why"] != "" || inv.Channel != ops {
		t.Errorf("got %+v", inv)
	}

	refs := make(chan chat.Ref, 1)
	d.Answers(chat.Answer{
		Now: say("deleting…"), InPlace: true, Shown: func(r chat.Ref) { refs <- r },
		Then: func(context.Context) (chat.Surface, error) { return say("deleted"), nil },
	})
	if _, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wiki"}); err != nil {
		t.Fatal(err)
	}
	d.says(ana, "deleted")
	if r := <-refs; r.ID != v.ID || r.Kind != chat.PanelRef {
		t.Errorf("got %v", r)
	}
}

func TestAFormWithChoicesIsOneModal(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: chat.Form{
		ID: "w:1:settings", Title: "Create container", State: "s.2", Submit: "Next", Buttons: []chat.Button{{ID: "w:1:back", Label: "Back"}},
		Inputs: []chat.Input{
			{ID: "hostname", Label: "Hostname", Value: "wiki", Group: "Name…"},
			{ID: "node", Label: "Node", Value: "pve2", Options: []chat.Choosable{{Label: "pve1", Note: "11 GiB free", Value: "pve1"}, {Label: "pve2", Value: "pve2"}}},
			{ID: "options", Label: "Options", Value: "onboot", Many: true, Optional: true, Options: []chat.Choosable{{Label: "Start at boot", Value: "onboot"}, {Label: "Nesting", Value: "nesting"}}},
		},
	}})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	d.Answers(chat.Answer{})
	if _, err := d.s.Click(d.ctx, ana, slacktest.At{View: v.ID}, "w:1:back"); err != nil {
		t.Fatal(err)
	}
	d.await("Back", func() bool { return d.Last().Kind == chat.Pressed })
	// Back takes along what stands in the form: it is not sent by it.
	if inv := d.Last(); inv.Kind != chat.Pressed || inv.Action != "w:1:back" || inv.State != "s.2" || inv.Values["hostname"] != "wiki" || inv.Values["node"] != "pve2" {
		t.Errorf("got %+v", inv)
	}
	if _, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"node": "pve1", "options": "onboot,nesting"}); err != nil {
		t.Fatal(err)
	}
	if inv := d.Last(); inv.Kind != chat.Submitted || inv.Values["hostname"] != "wiki" || inv.Values["node"] != "pve1" || inv.Values["options"] != "onboot nesting" {
		t.Errorf("got %+v", inv)
	}
}

func TestASelectOfManyTellsAllThatIsChosen(t *testing.T) {
	d := office(t, setup{})
	m := say("which?")
	m.Blocks = append(m.Blocks, chat.Controls{ID: "c", Select: &chat.Select{ID: "pick", Many: true, Selected: "a", Options: []chat.Choosable{{Label: "A", Value: "a"}, {Label: "B", Value: "b"}}}})
	d.Answers(chat.Answer{Now: m})
	d.types(ana, ops, "help")
	if err := d.s.Await(d.ctx, "the message", func() bool { return len(d.s.Messages(ops, ana)) == 1 }); err != nil {
		t.Fatal(err)
	}
	d.Answers(chat.Answer{})
	list := d.s.Messages(ops, ana)
	if _, err := d.s.Choose(d.ctx, ana, slacktest.At{Channel: ops, TS: list[len(list)-1].TS}, "pick", "b"); err != nil {
		t.Fatal(err)
	}
	d.await("the choice", func() bool { return d.Last().Action == "pick" })
	if inv := d.Last(); inv.Value != "a b" {
		t.Errorf("got %+v", inv)
	}
}

func TestAFormsAnswerIsItsAcknowledgement(t *testing.T) {
	huge := panel("huge")
	for i := range 90 {
		huge.Blocks = append(huge.Blocks, chat.Row{ID: fmt.Sprint("row:", i), Name: strings.Repeat("n", 40), Word: "running", Menu: []chat.Button{{ID: fmt.Sprint("ct:", i, ":show"), Label: "Manage"}}})
	}
	for name, c := range map[string]struct {
		answer   chat.Answer
		windows  int
		top      string
		messages int
	}{
		"nothing closes the form only":       {chat.Answer{}, 1, "below", 0},
		"closing closes the form only":       {chat.Answer{Close: true}, 1, "below", 0},
		"a public message closes everything": {chat.Answer{Close: true, Now: aloud("created")}, 0, "", 1},
		"the next step takes its place":      {chat.Answer{Now: form("next")}, 2, "next", 0},
		"a private message takes its place":  {chat.Answer{Now: say("done")}, 2, "done", 0},
		"what is too large is shortened":     {chat.Answer{Now: huge}, 2, "more", 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := office(t, setup{})
			d.Answers(chat.Answer{Now: panel("below")})
			d.types(ana, ops, "help")
			below := d.window(ana, 1)
			d.Answers(chat.Answer{Now: form("asking")})
			d.clicks(ana, slacktest.At{View: below.ID}, "ct:a:show")
			v := d.window(ana, 2)
			d.Answers(c.answer)
			if _, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wiki"}); err != nil {
				t.Fatal(err)
			}
			d.window(ana, c.windows)
			if c.top != "" {
				d.says(ana, c.top)
			}
			if c.messages > 0 {
				d.sees(bob, ops, c.messages)
			}
		})
	}
}

func TestAFormsPublicAnswerThatCannotBePostedReachesThePerson(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: form("asking")})
	d.types(ana, away, "help")
	v := d.window(ana, 1)
	d.Answers(chat.Answer{Now: aloud("created"), Missed: func(error) chat.Surface { return say("created, told to you alone") }})
	if _, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wiki"}); err != nil {
		t.Fatal(err)
	}
	if m := d.sees(ana, d.s.DM(ana), 1); m.Text != "created, told to you alone" {
		t.Errorf("got %+v", m)
	}
}

func TestTheHomeIsPublishedWhenItIsOpenedAndWhenPressed(t *testing.T) {
	d := office(t, setup{})
	home := func(text string) chat.Home { return chat.Home{State: "all.1", Blocks: say(text).Blocks} }
	refs := make(chan chat.Ref, 9)
	d.Answers(chat.Answer{Now: home("one"), InPlace: true, Shown: func(r chat.Ref) { refs <- r }})
	if _, err := d.s.OpenHome(d.ctx, ana); err != nil {
		t.Fatal(err)
	}
	ref := <-refs
	if ref != (chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: ana}) {
		t.Errorf("got %v", ref)
	}
	d.Answers(chat.Answer{Now: home("two"), InPlace: true, Shown: func(r chat.Ref) { refs <- r }})
	d.clicks(ana, slacktest.At{Home: true}, "ct:a:show")
	<-refs
	if v := d.s.Home(ana); !strings.Contains(string(v.Raw), "two") {
		t.Errorf("got %s", v.Raw)
	}
	if inv := d.Last(); inv.State != "all.1" || inv.Source != ref || inv.InPanel {
		t.Errorf("got %+v", inv)
	}
	d.Answers(chat.Answer{Now: say("private")})
	d.clicks(ana, slacktest.At{Home: true}, "ct:a:show")
	d.says(ana, "private")
	if err := d.a.Update(d.ctx, ref, home("three")); err != nil {
		t.Fatal(err)
	}
	if err := d.a.Delete(d.ctx, ref); !errors.Is(err, chat.ErrGone) {
		t.Errorf("got %v", err)
	}
}

func TestAPressOnASharedMessageIsAnsweredPrivatelyAndNeverReplacesIt(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: aloud("board")})
	d.types(ana, ops, "")
	board := d.sees(ana, ops, 1)
	refs := make(chan chat.Ref, 1)
	d.Answers(chat.Answer{Now: say("yours"), InPlace: true, Shown: func(r chat.Ref) { refs <- r }})
	d.clicks(bob, slacktest.At{Channel: ops, TS: board.TS}, "ct:a:show")
	if m := d.sees(bob, ops, 2); !m.Ephemeral || m.Text != "yours" {
		t.Errorf("got %+v", m)
	}
	ref := <-refs
	if inv := d.Last(); inv.CanExpire || inv.Source.ID != board.TS || ref.Storable() {
		t.Errorf("got %+v, shown at %v", inv, ref)
	}
	if err := d.a.Update(d.ctx, ref, say("more")); err != nil {
		t.Fatal(err)
	}
	if m := d.sees(bob, ops, 3); !m.Ephemeral || m.Text != "more" {
		t.Errorf("got %+v", m)
	}
	if err := d.a.Delete(d.ctx, ref); !errors.Is(err, chat.ErrGone) {
		t.Errorf("got %v", err)
	}
	if m := d.s.Messages(ops, ana); len(m) != 1 || m[0].Text != "board" || m[0].Edited != 0 {
		t.Errorf("the board is %+v", m)
	}
	d.Answers(chat.Answer{Now: aloud("board, page 2"), InPlace: true})
	d.clicks(bob, slacktest.At{Channel: ops, TS: board.TS}, "ct:a:show")
	d.await("the edit", func() bool { return d.s.Messages(ops, ana)[0].Text == "board, page 2" })
}

func TestAPrivateMessageIsReplacedAndRemovedByItsOwnButtons(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: say("values")})
	d.types(ana, ops, "credentials wiki")
	m := d.sees(ana, ops, 1)
	at := slacktest.At{Channel: ops, TS: m.TS}
	d.Answers(chat.Answer{Now: say("other values"), InPlace: true, Then: func(context.Context) (chat.Surface, error) { return say("third values"), nil }})
	d.clicks(ana, at, "ct:a:show")
	d.await("the third", func() bool { return d.s.Messages(ops, ana)[0].Text == "third values" })
	if inv := d.Last(); !inv.CanExpire || inv.Source.Kind != chat.PrivateRef {
		t.Errorf("got %+v", inv)
	}
	d.Answers(chat.Answer{Now: panel("detail"), Close: true})
	d.clicks(ana, at, "ct:a:show")
	d.window(ana, 1)
	d.await("it is gone", func() bool { return len(d.s.Messages(ops, ana)) == 0 })

	d.Answers(chat.Answer{Now: say("values")})
	d.types(ana, ops, "credentials wiki")
	m = d.sees(ana, ops, 1)
	d.Answers(chat.Answer{Close: true})
	d.clicks(ana, slacktest.At{Channel: ops, TS: m.TS}, "ct:a:hide")
	d.await("it is gone", func() bool { return len(d.s.Messages(ops, ana)) == 0 })
}

func TestAPrivateAnswerEndsByItself(t *testing.T) {
	for name, c := range map[string]struct {
		after chat.Surface
		want  string
	}{
		"a line takes its place":         {nil, "This has ended."},
		"what was meant takes its place": {say("Hidden again."), "Hidden again."},
	} {
		t.Run(name, func(t *testing.T) {
			d := office(t, setup{})
			d.Answers(chat.Answer{Now: say("secret values"), Expire: time.Millisecond, After: c.after})
			d.types(ana, ops, "credentials wiki")
			d.await("its end", func() bool {
				m := d.s.Messages(ops, ana)
				return len(m) == 1 && m[0].Text == c.want && !strings.Contains(string(m[0].Blocks), "secret")
			})
		})
	}
}

func TestAHandlerThatHangsHoldsUpNobody(t *testing.T) {
	d := office(t, setup{})
	d.Plays(func(ctx context.Context, inv chat.Invocation) chat.Answer {
		if inv.Person.ID == ana {
			<-ctx.Done() // it has a deadline
			return chat.Answer{Now: say("too slow")}
		}
		return chat.Answer{Now: say("quick")}
	})
	for range 70 { // more than the SDK would keep for us
		d.types(ana, ops, "help")
	}
	d.types(bob, ops, "help")
	d.sees(bob, ops, 1)
	d.sees(ana, ops, 70)
}

func TestAPanicIsLoggedAndEndsNothing(t *testing.T) {
	d := office(t, setup{})
	d.Plays(func(context.Context, chat.Invocation) chat.Answer { panic("boom") })
	d.types(ana, ops, "help")
	d.await("the command", func() bool { return len(d.Asked()) == 1 })
	inv := d.Last()
	panics := func(n int) {
		t.Helper()
		d.await("the log", func() bool { return strings.Count(d.log.String(), "handler panicked") == n })
	}
	panics(1)
	if !strings.Contains(d.log.String(), inv.ID) {
		t.Error("the log does not say what it was")
	}
	d.Answers(chat.Answer{Now: say("fine"), Then: func(context.Context) (chat.Surface, error) { panic("bang") }})
	d.types(ana, ops, "help")
	d.sees(ana, ops, 1)
	panics(2)
	d.Answers(chat.Answer{Now: form("x")})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	d.Plays(func(context.Context, chat.Invocation) chat.Answer { panic("crash") })
	short, cancel := context.WithTimeout(d.ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := d.s.Submit(short, ana, v.ID, map[string]string{"name": "wiki"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the form was answered: %v", err)
	}
}

func TestAnEnvelopeThatComesTwiceIsHandledOnce(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: say("once")})
	d.types(ana, ops, "help")
	d.sees(ana, ops, 1)
	if err := d.s.Redeliver(""); err != nil {
		t.Fatal(err)
	}
	d.await("two acknowledgements", func() bool { return len(d.s.Acks()) == 2 })
	d.types(ana, ops, "help")
	d.sees(ana, ops, 2)
	if n := len(d.Asked()); n != 2 {
		t.Errorf("handled %d times", n)
	}
}

func TestAPanelThatComesTooLateIsAMessage(t *testing.T) {
	for name, c := range map[string]struct {
		code    string
		surface chat.Surface
		want    string
	}{
		"a panel":          {"expired_trigger_id", panel("the detail"), "the detail"},
		"its older name":   {"trigger_expired", panel("the detail"), "the detail"},
		"used already":     {"exchanged_trigger_id", panel("the detail"), "the detail"},
		"a form asks once": {"expired_trigger_id", form("the disks"), "Type its name…"},
	} {
		t.Run(name, func(t *testing.T) {
			d := office(t, setup{})
			d.s.FailMethod("views.open", c.code, 1)
			d.Answers(chat.Answer{Now: c.surface})
			d.types(ana, away, "help")
			m := d.sees(ana, away, 1)
			if !m.Ephemeral || !strings.Contains(string(m.Blocks), c.want) {
				t.Errorf("got %s", m.Blocks)
			}
		})
	}
	t.Run("a form's button comes back with its id", func(t *testing.T) {
		d := office(t, setup{})
		d.s.FailMethod("views.open", "expired_trigger_id", 1)
		d.Answers(chat.Answer{Now: form("x")})
		d.types(ana, ops, "help")
		m := d.sees(ana, ops, 1)
		d.clicks(ana, slacktest.At{Channel: ops, TS: m.TS}, "ct:a:delete:c_1|s.1")
		d.window(ana, 1)
		if inv := d.Last(); inv.Action != "ct:a:delete:c_1" || inv.State != "s.1" {
			t.Errorf("got %+v", inv)
		}
	})
	t.Run("over a panel it takes its place", func(t *testing.T) {
		d := office(t, setup{})
		d.Answers(chat.Answer{Now: panel("one")})
		d.types(ana, ops, "help")
		v := d.window(ana, 1)
		d.s.FailMethod("views.push", "expired_trigger_id", 1)
		d.Answers(chat.Answer{Now: panel("two")})
		d.clicks(ana, slacktest.At{View: v.ID}, "ct:a:show")
		if top := d.says(ana, "two"); top.ID != v.ID {
			t.Errorf("got %+v", top)
		}
	})
	t.Run("from the home it is a direct message", func(t *testing.T) {
		d := office(t, setup{})
		d.Answers(chat.Answer{Now: chat.Home{Blocks: say("home").Blocks}})
		if _, err := d.s.OpenHome(d.ctx, ana); err != nil {
			t.Fatal(err)
		}
		d.await("the home", func() bool { return d.s.Home(ana) != nil })
		d.s.FailMethod("views.open", "expired_trigger_id", 1)
		d.Answers(chat.Answer{Now: panel("the detail")})
		d.clicks(ana, slacktest.At{Home: true}, "ct:a:show")
		d.sees(ana, d.s.DM(ana), 1)
	})
}

func TestAResponseAddressIsUsedFiveTimes(t *testing.T) {
	d := office(t, setup{})
	refs := make(chan chat.Ref, 1)
	d.Answers(chat.Answer{Now: say("1"), Shown: func(r chat.Ref) { refs <- r }})
	d.types(ana, ops, "help")
	ref := <-refs
	for i := range 4 {
		if err := d.a.Update(d.ctx, ref, say(fmt.Sprint(i+2))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.a.Update(d.ctx, ref, say("6")); !errors.Is(err, chat.ErrGone) {
		t.Errorf("got %v", err)
	}
	if m := d.s.Messages(ops, ana); len(m) != 1 || m[0].Text != "5" {
		t.Errorf("got %+v", m)
	}
	n := 0
	for _, r := range d.s.Requests() {
		if r.Method == "response_url" {
			n++
		}
	}
	if n != 5 {
		t.Errorf("called %d times", n)
	}
	if err := d.a.Update(d.ctx, chat.Ref{Platform: chat.Slack, Kind: chat.PrivateRef, Channel: ops, ID: "1"}, say("x")); !errors.Is(err, chat.ErrGone) {
		t.Errorf("without an address: %v", err)
	}
}

func TestAnAnswerWaitsForAShortPauseAndAnUpdateDoesNot(t *testing.T) {
	d := office(t, setup{})
	d.s.RateLimit("views.open", 1, time.Second)
	d.Answers(chat.Answer{Now: panel("after the pause")})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	d.s.RateLimit("views.update", 1, 7*time.Second)
	var limited *chat.RateLimitedError
	if err := d.a.Update(d.ctx, panelRef(v.ID, ops), panel("x")); !errors.As(err, &limited) || limited.RetryAfter != 7*time.Second {
		t.Errorf("got %v", err)
	}
	d.s.FailMethod("views.publish", "ratelimited", 1)
	if err := d.a.Update(d.ctx, chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: ana}, chat.Home{}); !errors.As(err, &limited) {
		t.Errorf("got %v", err)
	}
}

func TestPostReachesChannelsPeopleAndThreads(t *testing.T) {
	d := office(t, setup{})
	top, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("top"))
	if err != nil {
		t.Fatal(err)
	}
	direct, err := d.a.Post(d.ctx, chat.Target{Person: ana}, say("direct"))
	if err != nil || direct.Channel != d.s.DM(ana) || !direct.Storable() {
		t.Errorf("got %v, %v", direct, err)
	}
	if err := d.a.Update(d.ctx, direct, say("direct, edited")); err != nil {
		t.Error(err)
	}
	if m := d.s.Messages(d.s.DM(ana), ana); len(m) != 1 || m[0].Text != "direct, edited" {
		t.Errorf("got %+v", m)
	}
	aside, err := d.a.Post(d.ctx, chat.Target{Channel: ops, Person: ana}, say("aside"))
	if err != nil || aside.Storable() {
		t.Errorf("got %v, %v", aside, err)
	}
	if m := d.s.Messages(ops, ana); len(m) != 2 || !m[1].Ephemeral {
		t.Errorf("got %+v", m)
	}
	if _, err := d.a.Post(d.ctx, chat.Target{Channel: ops, Thread: top}, aloud("below")); err != nil {
		t.Fatal(err)
	}
	if m := d.s.Messages(ops, bob); len(m) != 2 || m[1].ThreadTS != top.ID {
		t.Errorf("got %+v", m)
	}
}

func TestErrorsSayWhatTheyMeanAndNoSecret(t *testing.T) {
	d := office(t, setup{})
	top, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("top"))
	if err != nil {
		t.Fatal(err)
	}
	refs := make(chan chat.Ref, 1)
	d.Answers(chat.Answer{Now: say("1"), Shown: func(r chat.Ref) { refs <- r }})
	d.types(ana, ops, "help")
	private := <-refs
	var limited *chat.RateLimitedError
	for name, c := range map[string]struct {
		do   func() error
		want func(error) bool
	}{
		"edit window": {func() error {
			d.s.FailMethod("chat.update", "edit_window_closed", 1)
			return d.a.Update(d.ctx, top, say("x"))
		}, func(err error) bool { return errors.Is(err, chat.ErrGone) }},
		"no member":       {func() error { _, err := d.a.Post(d.ctx, chat.Target{Channel: away}, aloud("x")); return err }, func(err error) bool { return errors.Is(err, chat.ErrForbidden) }},
		"no such channel": {func() error { _, err := d.a.Post(d.ctx, chat.Target{Channel: "C0"}, aloud("x")); return err }, func(err error) bool { return errors.Is(err, chat.ErrForbidden) }},
		"no such person":  {func() error { _, err := d.a.Post(d.ctx, chat.Target{Person: "U0"}, aloud("x")); return err }, func(err error) bool { return errors.Is(err, chat.ErrForbidden) }},
		"announcements only": {func() error {
			d.s.FailMethod("chat.postMessage", "restricted_action_read_only_channel", 1)
			_, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("x"))
			return err
		}, func(err error) bool { return errors.Is(err, chat.ErrForbidden) }},
		"broken": {func() error { d.s.FailHTTP("chat.update", 500, 1); return d.a.Update(d.ctx, top, say("x")) }, func(err error) bool {
			return err != nil && !errors.Is(err, chat.ErrGone) && !errors.Is(err, chat.ErrForbidden) && strings.Contains(err.Error(), "500")
		}},
		"response refused": {func() error {
			d.s.FailMethod("response_url", "invalid_blocks", 1)
			return d.a.Update(d.ctx, private, say("x"))
		}, func(err error) bool { return strings.Contains(err.Error(), "invalid_blocks") }},
		"response limited": {func() error {
			d.s.RateLimit("response_url", 1, 3*time.Second)
			return d.a.Update(d.ctx, private, say("x"))
		}, func(err error) bool { return errors.As(err, &limited) && limited.RetryAfter == 3*time.Second }},
		"response lost": {func() error { d.s.LoseAnswer("response_url", 1); return d.a.Update(d.ctx, private, say("x")) }, func(err error) bool { return err != nil }},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if !c.want(err) {
				t.Errorf("got %v", err)
			}
			d.keepsSecrets(fmt.Sprint(err), fmt.Sprintf("%+v %#v", private, private))
		})
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.s.Close()
	for _, err := range []error{d.a.Update(d.ctx, private, say("x")), d.a.Update(d.ctx, top, say("x"))} {
		if err == nil {
			t.Error("no error without a server")
		}
		d.keepsSecrets(fmt.Sprint(err))
	}
}

func TestAWrongSettingEndsRunAndIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		setup setup
		want  []string
	}{
		"bot token":                 {setup{config: func(c *Config) { c.BotToken = "xoxb-canary-wrong" }}, []string{"slack.bot_token is refused", "invalid_auth"}},
		"app token":                 {setup{config: func(c *Config) { c.AppToken = "xapp-canary-wrong" }}, []string{"slack.app_token is refused", "invalid_auth"}},
		"swapped":                   {setup{config: func(c *Config) { c.BotToken = appToken }}, []string{"slack.bot_token", "not_allowed_token_type"}},
		"app token of another kind": {setup{config: func(c *Config) { c.AppToken = botToken }}, []string{"slack.app_token", "not_allowed_token_type"}},
		"revoked":                   {setup{before: func(s *slacktest.Server) { s.AuthError("token_revoked") }}, []string{"slack.bot_token is refused", "token_revoked"}},
		"scopes":                    {setup{slack: slacktest.Options{Scopes: []string{"commands"}}}, []string{"slack.bot_token lacks the scope chat:write"}},
		"scope, said by Slack":      {setup{before: func(s *slacktest.Server) { s.FailMethod("auth.test", "missing_scope", 1) }}, []string{"slack.bot_token lacks a scope"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := workspace(t, c.setup)
			err := d.a.Run(d.ctx, d)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v does not say %q", err, w)
				}
			}
			d.keepsSecrets(fmt.Sprintf("%v %+v", err, err))
			if h := d.a.Health(); h.OK || h.Detail != err.Error() {
				t.Errorf("got %+v", h)
			}
		})
	}
}

func TestATokenRevokedWhileRunningEndsRun(t *testing.T) {
	d := workspace(t, setup{})
	done := make(chan error, 1)
	go func() { done <- d.a.Run(d.ctx, d) }()
	d.await("a connection", func() bool { return d.a.Health().OK })
	d.s.AuthError("token_revoked")
	d.s.Disconnect("refresh_requested")
	if err := <-done; err == nil || !strings.Contains(err.Error(), "slack.app_token is refused") {
		t.Errorf("got %v", err)
	}
}

func TestMissingSettingsAreNamedWithoutAnyCall(t *testing.T) {
	for want, c := range map[string]Config{
		"slack.bot_token is missing":              {AppToken: "x"},
		"slack.app_token or slack.signing_secret": {BotToken: "x"},
		"either slack.app_token":                  {BotToken: "x", AppToken: "x", SigningSecret: "x"},
		"slack.api_url":                           {BotToken: "x", AppToken: "x", APIURL: "ftp://slack"},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	a, err := New(Config{BotToken: "x", AppToken: "x"})
	if err != nil || a.config.APIURL != "https://slack.com/api/" {
		t.Errorf("got %v, %v", a, err)
	}
	if h := a.Health(); h.OK || h.Detail != "not started" {
		t.Errorf("got %+v", h)
	}
}

func TestTroubleAtTheStartIsOutlasted(t *testing.T) {
	office(t, setup{before: func(s *slacktest.Server) {
		s.FailHTTP("auth.test", 503, 1)
	}})
}

func TestGroupsComeFromMemory(t *testing.T) {
	d := office(t, setup{config: func(c *Config) { c.Groups = []string{"S0ADMINS1", "S0NOBODY1"} }})
	d.types(ana, ops, "help")
	d.await("the command", func() bool { return len(d.Asked()) == 1 })
	if inv := d.Last(); len(inv.Person.Groups) != 1 || inv.Person.Groups[0] != "S0ADMINS1" {
		t.Errorf("got %v", inv.Person.Groups)
	}
	d.s.FailMethod("usergroups.list", "fatal_error", 1)
	if d.a.groups.refresh(d.ctx, d.a) {
		t.Error("a refusal is an answer")
	}
	if g := d.a.groups.person(ana); len(g) != 1 {
		t.Errorf("what was known is lost: %v", g)
	}
	d.s.AddUser(ana, "ana")
	if !d.a.groups.refresh(d.ctx, d.a) || len(d.a.groups.person(ana)) != 0 {
		t.Error("she is still in the group")
	}
	without := office(t, setup{})
	for _, r := range without.s.Requests() {
		if r.Method == "usergroups.list" {
			t.Error("asked for groups that no rule mentions")
		}
	}
}

func TestGroupsOfNewRulesAreFollowedAtOnce(t *testing.T) {
	d := office(t, setup{})
	d.a.Follow(d.ctx, []string{"S0ADMINS1"})
	if g := d.a.groups.person(ana); len(g) != 1 {
		t.Errorf("got %v", g)
	}
}

func TestStandingSaysWhomRulesNameInVain(t *testing.T) {
	d := office(t, setup{})
	d.s.AddUser("U0LEFT001", "leo", "S0GONE001")
	d.s.Deactivate("U0LEFT001")
	d.s.AddUser("U0GUEST01", "gus")
	d.s.MakeForeign("U0GUEST01", "T0OTHER01")
	got, err := d.a.Standing(d.ctx, []string{ana, "U0LEFT001", "U0GUEST01", "U0NOBODY1", slacktest.BotUserID}, []string{"S0ADMINS1", "S0GONE001", "S0NOBODY1"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]chat.Standing{
		"U0LEFT001": chat.Left, "U0GUEST01": chat.Guest, "U0NOBODY1": chat.Unknown, slacktest.BotUserID: chat.Robot,
		"S0GONE001": chat.Empty, "S0NOBODY1": chat.Unknown,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d.s.FailMethod("users.info", "missing_scope", 1)
	if _, err := d.a.Standing(d.ctx, []string{ana}, nil); err == nil {
		t.Error("no answer was taken for one")
	}
}

func TestTheLargestBoardIsTakenHoweverSlackCounts(t *testing.T) {
	for _, strict := range []bool{false, true} {
		d := office(t, setup{slack: slacktest.Options{StrictSize: strict, StrictLimits: true}})
		m := board()
		var big []chat.Block
		for i := range 60 {
			r := row(fmt.Sprint("x", i), "🟢", strings.Repeat("<", 63), "running", "101 · pve1", "CPU", "SVC")
			big = append(big, r)
		}
		m.Blocks = append(m.Blocks, big...)
		ref, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.a.Update(d.ctx, ref, m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnInstallationInAWholeOrganisationIsRefused(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"ok":true,"team_id":"E0ORG0001","enterprise_id":"E0ORG0001","is_enterprise_install":true}`))
	}))
	defer web.Close()
	a, err := New(Config{BotToken: botToken, AppToken: appToken, APIURL: web.URL, HTTPClient: web.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context(), &desk{}); err == nil || !strings.Contains(err.Error(), "install it in one workspace") {
		t.Errorf("Run returned %v", err)
	}
}
