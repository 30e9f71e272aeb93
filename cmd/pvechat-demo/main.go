// Command pvechat-demo lets one try pvechat without a workspace, a guild or a
// cluster: it runs the real bot against simulators of Slack, Discord and
// Proxmox VE, and serves a page that shows what the two chat clients would.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

const (
	usualAddress = "127.0.0.1:9090"
	usualEvery   = 5 * time.Second // between two looks at Proxmox; nobody waits 30 s in a demo

	mostContainers = 10_000 // that pvechat is measured with
	mostClicks     = 1000   // a second
	loadEvery      = 30 * time.Second
)

// CLI is what can be typed.
type CLI struct {
	Listen     string `help:"Address of the page, on loopback. Default: ${usual}, or a free port if that is taken." placeholder:"HOST:PORT"`
	Platform   string `help:"slack, discord or both." enum:"slack,discord,both" default:"both"`
	Containers int    `help:"How many containers the cluster has." placeholder:"N" default:"${usualSize}"`
	Verbose    bool   `help:"Show more of the bot's log." short:"v"`

	Load
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli CLI
	exited := -1
	parser, err := kong.New(&cli, kong.Name("pvechat-demo"), kong.Vars{"usual": usualAddress, "usualSize": strconv.Itoa(proxmoxtest.HomelabSize)},
		kong.Description("pvechat on a Slack, a Discord and a Proxmox cluster that only pretend."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "pvechat-demo:", err)
		return exitUsage
	}
	_, err = parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "pvechat-demo: %v\nSee pvechat-demo --help.\n", err)
		return exitUsage
	}
	if cli.Containers < 0 || cli.Containers > mostContainers {
		fmt.Fprintf(stderr, "pvechat-demo: --containers %d: it is 0 to %d\n", cli.Containers, mostContainers)
		return exitUsage
	}
	if cli.Boards < 0 || cli.Clicks < 1 || cli.Clicks > mostClicks || cli.For <= 0 {
		fmt.Fprintf(stderr, "pvechat-demo: --boards, --clicks or --for makes no sense: it is 1 to %d clicks a second, for some time\n", mostClicks)
		return exitUsage
	}
	switch {
	case cli.Bot != "":
		err = runBot(ctx, cli, stderr)
	case cli.Load.Load:
		err = runLoad(ctx, cli, options{Every: loadEvery}, stdout, stderr)
	default:
		return show(ctx, cli, stdout, stderr)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "pvechat-demo:", daemon.Explain(err))
		return exitFailed
	}
	return 0
}

// show serves the page.
func show(ctx context.Context, cli CLI, stdout, stderr io.Writer) int {
	ln, err := listen(ctx, cli.Listen)
	if err != nil {
		fmt.Fprintln(stderr, "pvechat-demo:", err)
		return exitUsage
	}
	if err := serve(ctx, cli, ln, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "pvechat-demo:", daemon.Explain(err))
		return exitFailed
	}
	return 0
}

// listen takes the address that was asked for; where none was, the usual one or
// any.
func listen(ctx context.Context, address string) (net.Listener, error) {
	var conf net.ListenConfig
	if address == "" {
		if ln, err := conf.Listen(ctx, "tcp", usualAddress); err == nil {
			return ln, nil
		}
		return conf.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if !onLoopback(address) {
		return nil, fmt.Errorf("--listen %s: the page shows secrets and asks nobody who they are, so it is served on loopback only", address)
	}
	return conf.Listen(ctx, "tcp", address)
}

// serve runs everything until ctx ends, and cleans up.
func serve(ctx context.Context, cli CLI, ln net.Listener, stdout, stderr io.Writer) (err error) {
	defer func() { _ = ln.Close() }() // the server has closed it already, if it ran
	level := "warn"
	if cli.Verbose {
		level = "info"
	}
	w, err := newWorld(options{
		Slack: cli.Platform != "discord", Discord: cli.Platform != "slack", Containers: cli.Containers, Scale: 1, Every: usualEvery, Wander: true,
		Log: daemon.NewLog(daemon.LogConfig{Level: level, Format: "text"}, stderr),
	})
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	page := &http.Server{
		Handler: newServer(w), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }, // so that streams end with it
	}
	var running sync.WaitGroup
	ended := make(chan error, 2)
	running.Go(func() { ended <- page.Serve(ln) })
	running.Go(func() { ended <- w.Run(ctx) })
	greet(stdout, ln.Addr().String())

	select {
	case err = <-ended:
	case <-ctx.Done():
		fmt.Fprintln(stdout, "\nEnding.")
	}
	cancel()
	_ = page.Close()
	running.Wait()
	return err
}

func greet(out io.Writer, address string) {
	fmt.Fprintf(out, `
pvechat demo: http://%s

This is the real bot, on a Slack, a Discord and a Proxmox cluster that only pretend. Nothing leaves this machine.

Three things to try on that page:
`, address)
	for _, t := range tries {
		fmt.Fprintf(out, "  %-30s %s\n", t.Command, t.Why)
	}
	fmt.Fprint(out, "\nCtrl-C ends it.\n")
}
