package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/handlers"
)

// Load is what is asked of the bot.
type Load struct {
	Load   bool          `help:"Measure: press so often, and print how long the answers took, beside those of a bot that does nothing."`
	Boards int           `help:"With --load: how many channels have a board." placeholder:"M" default:"100"`
	Clicks int           `help:"With --load: how many clicks there are in a second." placeholder:"K" default:"50"`
	For    time.Duration `help:"With --load: for how long." placeholder:"TIME" default:"1m"`

	Bot   string `hidden:"" help:"Be the bot of a configuration, in a process of its own."`
	Empty bool   `hidden:"" help:"With --bot: answer each click with a line."`
}

// The windows that Slack lets an app open in a minute are a hundred. Other
// clicks there are for answers that it does not count.
const windowEvery = time.Second

// settled is how long answers may be late at the end, and the bot at its start.
const settled = 3 * time.Minute

// measured is what one bot did.
type measured struct {
	took         map[chat.PlatformName][]time.Duration // sorted
	lost         int                                   // clicks without an answer
	limited      int                                   // calls that a platform refused for its limits
	ticks, edits int
	half, end    int // memory, in KiB
}

// runLoad measures the bot, and then one with an empty handler, on fresh
// simulators that keep the platforms' limits.
func runLoad(ctx context.Context, cli CLI, opts options, stdout, stderr io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d containers, %d boards, %d clicks a second for %s, a look at Proxmox every %s\n\n",
		cli.Containers, cli.Boards, cli.Clicks, cli.For, opts.Every)
	opts.Slack, opts.Discord = cli.Platform != "discord", cli.Platform != "slack"
	opts.Containers, opts.Scale, opts.Strict, opts.Closed = cli.Containers, 1, true, true
	var both [2]measured
	for i := range both {
		w, err := newWorld(opts)
		if err != nil {
			return err
		}
		l := &loaded{world: w, cli: cli, empty: i > 0}
		both[i], err = l.run(ctx, program, stderr)
		w.Close()
		if err != nil {
			return err
		}
	}
	return both[0].print(stdout, both[1])
}

// loaded is a world whose bot is another process.
type loaded struct {
	*world
	cli   CLI
	empty bool

	mu     sync.Mutex
	clicks []pressed
}

// pressed is one click.
type pressed struct {
	on                chat.PlatformName
	at                time.Time
	took              time.Duration // until the answer arrived there; zero: not known yet
	trigger, response string        // by which Slack's answer is found
	interaction       string        // by which Discord's is
	failed            error
}

func (l *loaded) run(ctx context.Context, program string, stderr io.Writer) (m measured, err error) {
	file := filepath.Join(l.dir, "config.yaml")
	if err := os.WriteFile(file, l.configuration(), 0o600); err != nil {
		return m, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	child := exec.CommandContext(ctx, program, "--bot", file, "--empty="+strconv.FormatBool(l.empty))
	child.Dir, child.Stderr = l.dir, stderr
	child.Env = append(os.Environ(), asProgram+"=1")
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	child.WaitDelay = settled
	if err := child.Start(); err != nil {
		return m, err
	}
	defer func() {
		cancel()
		_ = child.Wait() // it was told to end
	}()
	var things sync.WaitGroup
	defer things.Wait()
	wandering, calm := context.WithCancel(ctx)
	defer calm()
	things.Go(func() { l.pve.Wander(wandering) })

	if err := l.awaitBot(ctx); err != nil {
		return m, err
	}
	if !l.empty {
		if err := l.putBoards(ctx); err != nil {
			return m, err
		}
	}
	ticks, edits := l.ticks(), l.edits()
	began := time.Now()
	halfway := time.AfterFunc(l.cli.For/2, func() { m.half = memory(child.Process.Pid) })
	defer halfway.Stop()
	if err := l.press(ctx); err != nil {
		return m, err
	}
	m.ticks, m.edits, m.end = l.ticks()-ticks, l.edits()-edits, memory(child.Process.Pid)
	l.find(ctx)
	m.took = map[chat.PlatformName][]time.Duration{}
	for _, c := range l.clicks {
		if c.took <= 0 {
			m.lost++
			fmt.Fprintf(stderr, "%s: no answer to a click after %s: %v\n", c.on, c.at.Sub(began).Round(time.Millisecond), c.failed)
			continue
		}
		m.took[c.on] = append(m.took[c.on], c.took)
	}
	for _, d := range m.took {
		slices.Sort(d)
	}
	for _, call := range l.limited() {
		m.limited++
		fmt.Fprintf(stderr, "refused for a limit: %s\n", call)
	}
	return m, nil
}

// awaitBot waits until the bot is there and has read the cluster.
func (l *loaded) awaitBot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	if l.slack != nil {
		if err := l.slack.AwaitConnections(ctx, 1); err != nil {
			return err
		}
	}
	if l.discord != nil {
		there := func() bool { return l.discord.Connected() > 0 && len(l.discord.Commands()) > 0 }
		if err := l.discord.Await(ctx, "the bot", there); err != nil {
			return err
		}
	}
	for !l.empty && l.ticks() == 0 {
		select {
		case <-l.pve.Changes():
		case <-ctx.Done():
			return errors.New("the bot does not read the cluster")
		}
	}
	return nil
}

// platforms are those that take part.
func (l *loaded) platforms() (on []chat.PlatformName) {
	if l.slack != nil {
		on = append(on, chat.Slack)
	}
	if l.discord != nil {
		on = append(on, chat.Discord)
	}
	return on
}

// putBoards types for a board in each of the channels.
func (l *loaded) putBoards(ctx context.Context) error {
	on := l.platforms()
	for i := range l.cli.Boards {
		var err error
		switch on[i%len(on)] {
		case chat.Slack:
			id := fmt.Sprintf("C0LD%05d", i)
			l.slack.AddChannel(id, fmt.Sprintf("load-%d", i), true, people[0].slack)
			_, err = l.slack.Command(ctx, people[0].slack, id, "dashboard")
		case chat.Discord:
			id := strconv.Itoa(6_000_000_000_000_000_000 + i)
			l.discord.AddChannel(id, fmt.Sprintf("load-%d", i), true)
			_, err = l.discord.Command(ctx, people[0].discord, id, "dashboard", nil)
		}
		if err != nil {
			return fmt.Errorf("put a board: %w", err)
		}
	}
	if l.slack == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	return l.slack.Await(ctx, "the boards", func() bool {
		n := 0
		for _, r := range l.slack.Requests() {
			if r.Method == "chat.postMessage" && r.Status != 0 {
				n++
			}
		}
		return n >= l.cli.Boards/len(on)
	})
}

// press clicks as often as was asked for, whether or not answers come.
func (l *loaded) press(ctx context.Context) error {
	on := l.platforms()
	ticker := time.NewTicker(time.Second / time.Duration(l.cli.Clicks))
	defer ticker.Stop()
	var pressing sync.WaitGroup
	var window time.Time
	containers := l.pve.Containers()
	for i := range int(l.cli.For.Seconds() * float64(l.cli.Clicks)) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			pressing.Wait()
			return ctx.Err()
		}
		command, name := [...]string{"list", "show", "help"}[i/len(on)%3], ""
		platform := on[i%len(on)]
		if platform == chat.Slack && command != "help" {
			if time.Since(window) < windowEvery {
				command = "help"
			} else {
				window = time.Now()
			}
		}
		if command == "show" {
			name = strconv.Itoa(containers[i%len(containers)].VMID)
		}
		pressing.Go(func() { l.click(ctx, platform, command, name) })
	}
	pressing.Wait()
	return nil
}

func (l *loaded) click(ctx context.Context, on chat.PlatformName, command, name string) {
	c := pressed{on: on, at: time.Now()}
	switch on {
	case chat.Slack:
		out, err := l.slack.Command(ctx, people[0].slack, places[0].slack, strings.TrimSpace(command+" "+name))
		c.trigger, c.response, c.failed = out.Trigger, out.Response, err
	case chat.Discord:
		var options map[string]string
		if name != "" {
			options = map[string]string{"name": name}
		}
		out, err := l.discord.Command(ctx, people[0].discord, places[0].discord, command, options)
		if err == nil && out.Error != "" {
			err = errors.New(out.Error)
		}
		c.interaction, c.failed = out.Interaction, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clicks = append(l.clicks, c)
}

// find looks for the answers among what the bot sent. A click ends on both
// platforms when its answer has arrived, before the simulator looks at it: what
// that takes grows with the answer, and no bot is quicker for it.
func (l *loaded) find(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settled)
	defer cancel()
	answered := map[string]time.Time{}
	arrived := func(key string, at time.Time) {
		if answered[key].IsZero() {
			answered[key] = at
		}
	}
	look := func() bool {
		all := true
		for i, c := range l.clicks {
			if c.failed != nil {
				continue
			}
			at, ok := answered[cmp.Or(c.interaction, c.response)]
			if !ok {
				at, ok = answered[c.trigger]
			}
			if ok {
				l.clicks[i].took = at.Sub(c.at)
			}
			all = all && (ok || c.on == chat.Discord)
		}
		return all
	}
	if l.discord != nil { // its people have waited for the answers
		for _, r := range l.discord.Requests() {
			if _, path, ok := strings.Cut(r.Path, "/interactions/"); ok {
				id, _, _ := strings.Cut(path, "/")
				arrived(id, r.Time)
			}
		}
	}
	if l.slack == nil {
		look()
		return
	}
	_ = l.slack.Await(ctx, "the answers", func() bool { // what is missing then is lost
		for _, r := range l.slack.Requests() {
			if r.Status/100 == 2 {
				arrived(cmp.Or(r.Arg("trigger_id"), r.Path), r.At)
			}
		}
		return look()
	})
}

func (l *loaded) ticks() int { return l.pve.Count("GET", "/cluster/resources") }

// edits are those of boards.
func (l *loaded) edits() (n int) {
	if l.slack != nil {
		for _, r := range l.slack.Requests() {
			if r.Method == "chat.update" {
				n++
			}
		}
	}
	if l.discord != nil {
		for _, r := range l.discord.Requests() {
			if r.Route == "PATCH /channels/{channel}/messages/{message}" {
				n++
			}
		}
	}
	return n
}

// limited are the calls that a platform refused for its limits.
func (l *loaded) limited() (calls []string) {
	if l.slack != nil {
		for _, r := range l.slack.Requests() {
			if r.Status == http.StatusTooManyRequests {
				calls = append(calls, "slack: "+r.Method)
			}
		}
	}
	if l.discord != nil {
		for _, r := range l.discord.Requests() {
			if r.Status == http.StatusTooManyRequests {
				calls = append(calls, "discord: "+r.Route)
			}
		}
	}
	return calls
}

// memory is what a process has in memory, in KiB; 0 where that cannot be known.
func memory(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.Atoi(kib)
	return n
}

// print shows m beside the same of an empty handler. It returns an error where
// something was lost, or a limit was hit.
func (m measured) print(out io.Writer, empty measured) error {
	row := func(what, a, b, ratio string) { fmt.Fprintf(out, "%-28s %12s %14s %6s\n", what, a, b, ratio) }
	count := func(what string, a, b int) { row(what, strconv.Itoa(a), strconv.Itoa(b), "") }
	row("", "pvechat", "empty handler", "ratio")
	for _, on := range []chat.PlatformName{chat.Slack, chat.Discord} {
		for _, percent := range []int{50, 95, 99} {
			if a, b := at(m.took[on], percent), at(empty.took[on], percent); b > 0 {
				row(fmt.Sprintf("%s: click → answer, p%d", on, percent), ms(a), ms(b), fmt.Sprintf("%.1f", float64(a)/float64(b)))
			}
		}
	}
	count("clicks answered", len(m.took[chat.Slack])+len(m.took[chat.Discord]), len(empty.took[chat.Slack])+len(empty.took[chat.Discord]))
	count("clicks lost", m.lost, empty.lost)
	count("calls refused for a limit", m.limited, empty.limited)
	count("ticks", m.ticks, empty.ticks)
	count("boards edited", m.edits, empty.edits)
	count("memory at half-time, MiB", m.half/1024, empty.half/1024)
	count("memory at the end, MiB", m.end/1024, empty.end/1024)
	if n := m.lost + m.limited; n > 0 {
		return fmt.Errorf("%d clicks were lost, and %d calls refused for a limit", m.lost, m.limited)
	}
	return nil
}

// at is a percentile of sorted times.
func at(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

// asProgram, in the environment, makes a test binary behave as this program.
const asProgram = "PVECHAT_DEMO"

// runBot is the bot of a configuration, or one on the same platforms that does
// nothing.
func runBot(ctx context.Context, cli CLI, stderr io.Writer) error {
	cfg, err := daemon.Load(cli.Bot, os.LookupEnv)
	if err != nil {
		return err
	}
	log := daemon.NewLog(daemon.LogConfig{Level: "warn", Format: "text"}, stderr)
	if !cli.Empty {
		d, err := daemon.New(cfg, log)
		if err != nil {
			return err
		}
		return d.Run(ctx)
	}
	var platforms []chat.Platform
	if c := cfg.Slack; c != nil {
		p, err := slack.New(slack.Config{BotToken: slack.Secret(c.BotToken), AppToken: slack.Secret(c.AppToken), APIURL: c.APIURL, Log: log})
		if err != nil {
			return err
		}
		platforms = append(platforms, p)
	}
	if c := cfg.Discord; c != nil {
		p, err := discord.New(discord.Config{BotToken: string(c.BotToken), ApplicationID: c.ApplicationID, APIURL: c.APIURL, Log: log})
		if err != nil {
			return err
		}
		platforms = append(platforms, p)
	}
	ended := make(chan error, len(platforms))
	for _, p := range platforms {
		go func() { ended <- p.Run(ctx, emptyHandler{}) }()
	}
	for range platforms {
		err = errors.Join(err, <-ended)
	}
	return err
}

// emptyHandler answers at once with a line, in a window where the bot opens one.
type emptyHandler struct{}

func (emptyHandler) Commands() []chat.Command { return handlers.Commands() }

func (emptyHandler) Complete(context.Context, chat.Invocation) []chat.Choice { return nil }

func (emptyHandler) Handle(_ context.Context, inv chat.Invocation) chat.Answer {
	line := []chat.Block{chat.Para{Text: chat.Texts("nothing")}}
	if inv.Command == "help" {
		return chat.Answer{Now: chat.Message{Summary: "nothing", Blocks: line}}
	}
	return chat.Answer{Now: chat.Panel{ID: "empty", Title: "Nothing", Blocks: line}}
}
