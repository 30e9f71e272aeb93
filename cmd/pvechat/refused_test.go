package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// edited is a world's configuration with something else in it.
func edited(t *testing.T, w *daemontest.World, old, with string) string {
	t.Helper()
	raw, err := os.ReadFile(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), old) {
		t.Fatalf("no %q in:\n%s", old, raw)
	}
	return write(t, strings.ReplaceAll(string(raw), old, with))
}

// What a platform refuses for good ends the process, where it is the only one,
// and says what has to be changed.
func TestARefusedTokenExitsOneAndIsNamed(t *testing.T) {
	narrow := slacktest.New(slacktest.Options{Scopes: []string{"chat:write", "im:write"}})
	if err := narrow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(narrow.Close)
	for name, c := range map[string]struct {
		off   daemontest.Platform
		old   func(w *daemontest.World) string
		with  string
		wants []string
	}{
		"Slack's bot token":   {daemontest.Discord, func(*daemontest.World) string { return "xoxb-test" }, "xoxb-canary", []string{"slack.bot_token is refused", "invalid_auth"}},
		"Slack's app token":   {daemontest.Discord, func(*daemontest.World) string { return "xapp-test" }, "xapp-canary", []string{"slack.app_token is refused", "invalid_auth"}},
		"a missing scope":     {daemontest.Discord, func(w *daemontest.World) string { return w.Slack.APIURL() }, narrow.APIURL(), []string{"slack.bot_token lacks the scope commands", "install the app again"}},
		"Discord's bot token": {daemontest.Slack, func(*daemontest.World) string { return "test-token" }, "canary-token", []string{"Discord refuses discord.bot_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := daemontest.New(t, proxmoxtest.Options{})
			w.Off = c.off
			code, _, stderr := pvechat(t, "run", "-c", edited(t, w, c.old(w), c.with))
			if code != exitFailed {
				t.Errorf("exit %d", code)
			}
			for _, want := range c.wants {
				if !strings.Contains(stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, stderr)
				}
			}
			if strings.Contains(stderr, "canary") {
				t.Errorf("it prints the token:\n%s", stderr)
			}
		})
	}
}

// lines is what a process says, while it says it.
type lines struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What may heal is told, and tried again: a certificate is renewed, a token is
// given its rights.
func TestAClusterThatRefusesIsToldAndTriedAgain(t *testing.T) {
	const wrongPin = "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99"
	for name, c := range map[string]struct {
		old   func(w *daemontest.World) string
		with  string
		wants []string
	}{
		"a certificate that is not pinned": {func(w *daemontest.World) string { return w.PVE.Fingerprint() }, wrongPin, []string{"which is not a pinned one"}},
		"a wrong secret":                   {func(*daemontest.World) string { return "pve-secret" }, "canary-secret", []string{"401"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := daemontest.New(t, proxmoxtest.Options{})
			w.Off = daemontest.Discord
			file := edited(t, w, c.old(w), c.with)
			said := &lines{more: make(chan struct{}, 1)}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			ended := make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"run", "-c", file}, func(string) (string, bool) { return "", false }, strings.NewReader(""), said, said)
			}()
			refused := func() int { return strings.Count(said.String(), "a refresh did not work") }
			for refused() < 1 {
				select {
				case <-said.more:
				case code := <-ended:
					t.Fatalf("it ended with %d:\n%s", code, said)
				}
			}
			stop()
			if code := <-ended; code != 0 {
				t.Errorf("stopped, it exits %d", code)
			}
			for _, want := range c.wants {
				if !strings.Contains(said.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			if strings.Contains(said.String(), "canary") {
				t.Errorf("it prints the secret:\n%s", said)
			}
		})
	}
}

// A service manager starts it again; nobody is told that it runs without.
func TestADatabaseThatIsNotThereAtTheStartExitsOneAndIsNamed(t *testing.T) {
	file := write(t, strings.Replace(config, "sqlite:pvechat.db", "postgres://pvechat:canary@127.0.0.1:9/pvechat", 1))
	code, _, stderr := pvechat(t, "run", "-c", file)
	if code != exitFailed || !strings.Contains(stderr, "PostgreSQL does not answer") || strings.Contains(stderr, "canary") {
		t.Errorf("exit %d, said %q", code, stderr)
	}
}

// It is told which port, before anybody is connected to.
func TestAPortThatIsTakenExitsOneAndIsNamed(t *testing.T) {
	w := daemontest.New(t, proxmoxtest.Options{})
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, _, stderr := pvechat(t, "run", "-c", edited(t, w, "127.0.0.1:0", taken.Addr().String()))
	if code != exitFailed || !strings.Contains(stderr, "http.listen: another program has "+taken.Addr().String()) || !strings.Contains(stderr, "set another port") {
		t.Errorf("exit %d, said %q", code, stderr)
	}
	if n := len(w.Slack.Requests()); n > 0 {
		t.Errorf("Slack was called %d times", n)
	}
}
