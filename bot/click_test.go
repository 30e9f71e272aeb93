package bot_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// Who clicks, and where.
const (
	slackUser, slackChannel     = "U0ANA0001", "C0OPS0001"
	discordUser, discordChannel = "1000000000000000001", "5000000000000000005"
)

// empty is the handler that a click is compared with: it answers at once with
// one line, the least that a person can see.
type empty struct {
	chat.Handler
	shows chat.Surface
}

func (e empty) Handle(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: e.shows} }

var (
	nothing      = []chat.Block{chat.Para{Text: chat.Texts("nothing")}}
	emptyPanel   = chat.Panel{ID: "board", Title: "Containers", Blocks: nothing}
	emptyMessage = chat.Message{Summary: "nothing", Blocks: nothing}
)

// settled tells when an answer has been shown, and leaves out what would follow
// it, so that the next click does not meet what is left of this one.
type settled struct {
	chat.Handler
	shown chan struct{}
}

func (s settled) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	a := s.Handler.Handle(ctx, inv)
	next := a.Shown
	a.Then = nil
	a.Shown = func(at chat.Ref) {
		if next != nil {
			next(at)
		}
		s.shown <- struct{}{}
	}
	return a
}

// burst is how many clicks one connection takes before another one is made:
// an adapter keeps Slack's pace, which is not what is measured here.
const burst = 30

// BenchmarkClick is a read from the envelope on the socket to its answer on the
// wire: "/pve list" of 10,000 containers, through the SDK, the adapter, the
// router and the views, beside the same adapter with an empty handler. The
// times are medians of clicks that take turns, each as often after one of its
// own kind as after the other: what a click leaves in the caches counts.
func BenchmarkClick(b *testing.B) {
	benchmarkClicks(b, reads(b, 10000), emptyPanel, []click{
		{"slack/show", onSlack, "show ct-00042"},
		{"slack/list", onSlack, "list"},
		{"discord/show", onDiscord, "show ct-00042"},
		{"discord/list", onDiscord, "list"},
	})
}

// BenchmarkBusyMark is a start from the envelope to the message that says so:
// the row of the job and the audit are written first. Each click is for another
// container.
func BenchmarkBusyMark(b *testing.B) {
	benchmarkClicks(b, starts(b, 10000), emptyMessage, []click{{"slack", onSlack, "start ct-00042"}, {"discord", onDiscord, "start ct-00042"}})
}

type click struct {
	name    string
	connect func(*testing.B, chat.Handler, string) line
	command string
}

func benchmarkClicks(b *testing.B, full chat.Handler, least chat.Surface, clicks []click) {
	for _, c := range clicks {
		b.Run(c.name, func(b *testing.B) {
			var mine, floor []time.Duration
			var ours, bare line
			for i := 0; b.Loop(); i++ {
				if i%burst == 0 {
					b.StopTimer()
					if i > 0 {
						ours.end()
						bare.end()
						if e, ok := full.(*eachOther); ok {
							e.settle() // nobody has thousands of jobs under way
						}
					}
					// A dispatcher of its own: what a new workspace sends
					// looks to an old one like a second delivery.
					ours, bare = c.connect(b, bot.NewDispatcher(full, bot.NewMetrics()), c.command), c.connect(b, empty{full, least}, c.command)
					b.StartTimer()
				}
				if i%2 == 0 {
					floor = append(floor, bare.click(b))
				}
				mine = append(mine, ours.click(b))
				if i%2 != 0 {
					floor = append(floor, bare.click(b))
				}
			}
			ours.end()
			bare.end()
			slices.Sort(mine)
			slices.Sort(floor)
			at := func(d []time.Duration, percent int) float64 { return float64(d[(len(d)-1)*percent/100].Microseconds()) }
			b.ReportMetric(0, "ns/op") // both, and what follows them
			b.ReportMetric(at(mine, 50), "µs/click")
			b.ReportMetric(at(floor, 50), "µs/empty")
			b.ReportMetric(at(mine, 50)/at(floor, 50), "x-empty")
			b.ReportMetric(at(mine, 99)/at(floor, 99), "x-empty-p99")
		})
	}
}

// line is a connected adapter.
type line struct {
	send  func(ctx context.Context) error // hands one envelope to the socket
	wire  *wire
	shown <-chan struct{}
	end   func()
}

// click takes the time of one click.
func (l line) click(b *testing.B) time.Duration {
	ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second)
	defer cancel()
	began := time.Now()
	if err := l.send(ctx); err != nil {
		b.Fatal(err)
	}
	select {
	case <-l.shown:
	case <-ctx.Done():
		b.Fatal("no answer")
	}
	return (<-l.wire.wrote).Sub(began)
}

// wire is a transport that tells when an answer has been written.
type wire struct {
	answers []string // parts of an answer's path
	next    *http.Transport
	wrote   chan time.Time
}

func newWire(answers ...string) *wire {
	return &wire{answers: answers, next: &http.Transport{}, wrote: make(chan time.Time, 1)}
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if slices.ContainsFunc(w.answers, func(part string) bool { return strings.Contains(req.URL.Path, part) }) {
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { w.wrote <- time.Now() },
		}))
	}
	return w.next.RoundTrip(req)
}

// open connects an adapter and waits until it is connected.
func open(b *testing.B, w *wire, p chat.Platform, h chat.Handler, await func(ctx context.Context) error) line {
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	shown := make(chan struct{}, 1)
	go func() { done <- p.Run(ctx, settled{h, shown}) }()
	waiting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := await(waiting); err != nil {
		b.Fatal(err)
	}
	return line{wire: w, shown: shown, end: func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
		w.next.CloseIdleConnections()
	}}
}

func onSlack(b *testing.B, h chat.Handler, command string) line {
	sim := slacktest.New(slacktest.Options{})
	sim.AddUser(slackUser, "Ana")
	sim.AddChannel(slackChannel, "ops", true, slackUser)
	if err := sim.Start(); err != nil {
		b.Fatal(err)
	}
	w := newWire("/views.open", "/commands/")
	a, err := slack.New(slack.Config{BotToken: "xoxb-test", AppToken: "xapp-test", APIURL: sim.APIURL(), Connections: 1, HTTPClient: &http.Client{Transport: w}})
	if err != nil {
		b.Fatal(err)
	}
	l := open(b, w, a, h, func(ctx context.Context) error { return sim.AwaitConnections(ctx, 1) })
	l.send = func(ctx context.Context) error {
		_, err := sim.Command(ctx, slackUser, slackChannel, command)
		return err
	}
	end := l.end
	l.end = func() { end(); sim.Close() }
	return l
}

func onDiscord(b *testing.B, h chat.Handler, command string) line {
	sim := discordtest.New(discordtest.Options{})
	sim.AddUser(discordUser, "Ana")
	sim.AddChannel(discordChannel, "ops", true, discordUser)
	if err := sim.Start(); err != nil {
		b.Fatal(err)
	}
	w := newWire("/callback")
	a, err := discord.New(discord.Config{
		BotToken: "test-token", ApplicationID: "3000000000000000003", GuildIDs: []string{"4000000000000000004"}, APIURL: sim.URL(), Transport: w,
	})
	if err != nil {
		b.Fatal(err)
	}
	l := open(b, w, a, h, func(ctx context.Context) error {
		return sim.Await(ctx, "the bot", func() bool { return sim.Connected() == 1 && len(sim.Commands()) > 0 })
	})
	sub, name, _ := strings.Cut(command, " ")
	options := map[string]string{}
	if name != "" {
		options["name"] = name
	}
	l.send = func(ctx context.Context) error {
		out, err := sim.Command(ctx, discordUser, discordChannel, sub, options)
		if err == nil && out.Error != "" {
			err = errors.New(out.Error)
		}
		return err
	}
	end := l.end
	l.end = func() { end(); sim.Close() }
	return l
}
