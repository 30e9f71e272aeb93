package daemontest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// Run starts a bot in this process and returns when it is ready. Stop ends it
// as a signal does, and waits; it may be called twice.
func (w *World) Run() (stop func()) {
	w.t.Helper()
	cfg, err := daemon.Load(w.Config(), func(string) (string, bool) { return "", false })
	if err != nil {
		w.t.Fatal(err)
	}
	if w.memory != nil {
		host := fmt.Sprintf("bot%d.test", len(w.memory))
		w.memory[host] = wiretest.New()
		w.memory[host].Host = host
		cfg.Dial, cfg.HTTP.Listener = w.dial, w.memory[host]
	}
	if w.Guests != nil {
		cfg.Clusters[0].SSH.Dial = w.Guests.Dial
	}
	out := &output{to: w.t.Output(), found: make(chan string, 1)}
	log, level := io.Writer(out), slog.LevelInfo
	if w.Log != nil {
		log, level = io.MultiWriter(out, w.Log), slog.LevelDebug
	}
	d, err := daemon.New(cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.Run(ctx); err != nil {
			w.t.Errorf("the bot ended with %v", err)
		}
	}()
	stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			w.t.Error("the bot does not end within 20 s")
		}
	}
	w.t.Cleanup(stop)
	w.ready(out, ended)
	return stop
}

// Process is a bot in a process of its own.
type Process struct {
	*exec.Cmd
	Address string // of its health

	t     testing.TB
	w     *World
	ended chan struct{}
}

// Start runs a pvechat binary and returns when it is ready.
func (w *World) Start(binary string) *Process {
	w.t.Helper()
	return w.StartCommand(binary, "run", "--config", w.Config())
}

// StartCommand is Start for a command line of one's own.
func (w *World) StartCommand(name string, args ...string) *Process {
	w.t.Helper()
	out := &output{to: w.t.Output(), found: make(chan string, 1)}
	p := &Process{Cmd: exec.CommandContext(w.t.Context(), name, args...), t: w.t, w: w, ended: make(chan struct{})}
	p.Stderr = out
	if err := p.Cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // a killed process has no better end
	}()
	w.t.Cleanup(p.Kill)
	p.Address = w.ready(out, p.ended)
	return p
}

// Exit waits for the end and returns the exit code.
func (p *Process) Exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.t.Fatal("the process does not end by itself")
	}
	return p.ProcessState.ExitCode()
}

// Kill ends it at once, with SIGKILL, and waits until it is gone.
func (p *Process) Kill() {
	if b := p.w.balancer; b != nil {
		b.remove(p.Address)
	}
	_ = p.Process.Signal(os.Kill) // it may have ended
	<-p.ended
}

// Build makes the binary of the command in a folder.
func Build(ctx context.Context, folder string) (binary string, err error) {
	binary = filepath.Join(folder, "pvechat")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/pvechat/pvechat/cmd/pvechat").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, nil
}

// output passes a log on and finds in it where health is served.
type output struct {
	to    io.Writer
	found chan string

	mu   sync.Mutex
	seen bool
	rest []byte
}

var listening = regexp.MustCompile(`msg=listening addr=(\S+)\n`)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.seen {
		o.rest = append(o.rest, b...)
		if m := listening.FindSubmatch(o.rest); m != nil {
			o.seen = true
			o.found <- string(m[1])
		}
		o.rest = o.rest[bytes.LastIndexByte(o.rest, '\n')+1:]
	}
	return o.to.Write(b)
}

// call makes the platforms call the bots, in turns, where they do.
func (w *World) call(address string) {
	w.t.Helper()
	if !w.HTTP {
		return
	}
	if w.balancer != nil {
		w.balancer.add(address)
		return
	}
	w.balancer = newBalancer(w.t)
	w.balancer.add(address)
	if w.Off != Slack {
		if err := w.Slack.SetRequestURL(w.Patience(), w.balancer.url); err != nil {
			w.t.Fatal(err)
		}
	}
	if w.Off != Discord {
		if err := w.Discord.SetInteractionsEndpoint(w.Patience(), w.balancer.url+"/discord/interactions"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Served tells how many requests of the platforms a process was given.
func (p *Process) Served() int {
	b := p.w.balancer
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.served[p.Address]
}

// ready waits until /readyz says so and the commands can be typed, and heard:
// where another process held Discord's gateway and was killed, its lease has to
// end. It returns where health is served.
func (w *World) ready(out *output, ended <-chan struct{}) (address string) {
	w.t.Helper()
	ctx := w.Patience()
	select {
	case address = <-out.found:
		w.health = address
	case <-ended:
		w.t.Fatal("the bot ended before it was ready")
	case <-ctx.Done():
		w.t.Fatal("the bot does not serve its health")
	}
	for {
		if req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil); err != nil {
			w.t.Fatal(err)
		} else if res, err := w.client.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK && (w.Off == Discord || len(w.Discord.Commands()) > 0 && (w.HTTP || w.Discord.Connected() > 0)) {
				w.call(address)
				return address
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ended:
			w.t.Fatal("the bot ended before it was ready")
		case <-ctx.Done():
			w.t.Fatal("the bot is not ready")
		}
	}
}
