package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// A process that is killed while a start runs leaves one task; the next one
// adopts it, tells Ana how it ended, and brings the board up to date.
func TestKilledWhileAStartRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program and waits for a lease of 15 s to end")
	}
	binary := filepath.Join(t.TempDir(), "pvechat")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const ana, ops, token = "U0ANA0001", "C0OPS0001", "pvechat@pve!bot"
	pve := proxmoxtest.New(proxmoxtest.Options{Scale: 0.01})
	pve.Token(token, "secret", map[string][]string{"/": proxmoxtest.Administrator()})
	pve.AddNode("pve1")
	pve.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "wiki", StartTakes: 500 * time.Second}) // 5 s at this scale
	if err := pve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pve.Close)
	chat := slacktest.New(slacktest.Options{})
	chat.AddUser(ana, "Ana")
	chat.AddChannel(ops, "ops", true, ana)
	if err := chat.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chat.Close)
	file := write(t, fmt.Sprintf(`
log: {format: text}
slack: {bot_token: xoxb-test, app_token: xapp-test, api_url: %q}
clusters:
  - {name: home, urls: [%q], token_id: %s, token_secret: secret, fingerprints: [%q]}
database: {url: "sqlite:pvechat.db"}
refresh: {every: 1s}
access:
  - {role: admin, slack: {users: [%s]}}
`, chat.APIURL(), pve.URL(), token, pve.Fingerprint(), ana))
	start := func() *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), binary, "run", "--config", file)
		cmd.Stderr = t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sees := func(text string) {
		t.Helper()
		if err := chat.Await(ctx, text, func() bool {
			for _, m := range chat.Messages(ops, ana) {
				if strings.Contains(string(m.Blocks), text) {
					return true
				}
			}
			for _, m := range chat.Messages(chat.DM(ana), ana) {
				if strings.Contains(string(m.Blocks), text) {
					return true
				}
			}
			return false
		}); err != nil {
			t.Fatal(err)
		}
	}

	first := start()
	if err := chat.AwaitConnections(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := chat.Command(ctx, ana, ops, ""); err != nil {
		t.Fatal(err)
	}
	sees("*wiki*  stopped")
	if _, err := chat.Command(ctx, ana, ops, "start wiki"); err != nil {
		t.Fatal(err)
	}
	if _, err := pve.AwaitTask(ctx, func(t proxmoxtest.Task) bool { return t.Type == "vzstart" }); err != nil {
		t.Fatal(err)
	}
	if err := first.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()

	start()
	sees("*wiki*  running")
	sees("Started wiki")
	n := 0
	for _, task := range pve.Tasks() {
		if task.Type == "vzstart" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d start tasks, want 1", n)
	}
}
