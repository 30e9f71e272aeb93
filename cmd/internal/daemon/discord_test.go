package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// The people and the channel of the guild.
const (
	anaD = "1000000000000000001"
	benD = "1000000000000000002"
	opsD = "5000000000000000005"
)

// newGuild is newWorld with Discord in place of Slack.
func newGuild(t *testing.T) (*world, *discordtest.Server) {
	t.Helper()
	w := newWorld(t)
	d := discordtest.New(discordtest.Options{})
	d.AddUser(anaD, "Ana")
	d.AddUser(benD, "Ben")
	d.AddChannel(opsD, "ops", true, anaD, benD)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	w.file = filepath.Join(t.TempDir(), "config.yaml")
	cfg := fmt.Sprintf(`
discord: {bot_token: test-token, application_id: "3000000000000000003", guild_ids: ["4000000000000000004"], api_url: %q}
clusters:
  - {name: home, urls: [%q], token_id: %s, token_secret: pve-secret, fingerprints: [%q]}
database: {url: "sqlite:pvechat.db"}
refresh: {every: 1s}
channels: {ops: {discord: %q}}
access:
  - {role: admin, discord: {users: [%q]}}
`, d.URL(), w.pve.URL(), tokenID, w.pve.Fingerprint(), opsD, anaD)
	if err := os.WriteFile(w.file, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, d
}

func TestOneRealPathOnDiscord(t *testing.T) {
	w, d := newGuild(t)
	w.ready = func() bool { return d.Connected() > 0 && len(d.Commands()) > 0 }
	w.server = d
	w.run()
	ctx := w.patience()
	find := func(who, text string) discordtest.Message {
		t.Helper()
		var found discordtest.Message
		if err := d.Await(w.patience(), text, func() bool {
			for _, m := range d.Messages(opsD, who) {
				if strings.Contains(strings.ReplaceAll(m.Text(), "\u00a0", " "), text) {
					found = m
					return true
				}
			}
			return false
		}); err != nil {
			for _, m := range d.Messages(opsD, who) {
				t.Logf("%s: %s", m.ID, m.Text())
			}
			t.Fatalf("%s does not see %q: %v", who, text, err)
		}
		return found
	}
	press := func(who string, m discordtest.Message, label string) discordtest.Outcome {
		t.Helper()
		c, ok := m.Control(label)
		if !ok {
			t.Fatalf("no control %q on:\n%s", label, m.Text())
		}
		out, err := d.Click(ctx, who, m.At(), c.CustomID)
		if err != nil || out.Error != "" {
			t.Fatalf("press %q: %v %s", label, err, out.Error)
		}
		return out
	}
	command := func(who, sub string, opts map[string]string) discordtest.Outcome {
		t.Helper()
		out, err := d.Command(ctx, who, opsD, sub, opts)
		if err != nil || out.Error != "" {
			t.Fatalf("/pve %s: %v %s", sub, err, out.Error)
		}
		return out
	}

	// The board is one message that everybody sees.
	command(anaD, "dashboard", nil)
	board := find(benD, "**wiki** stopped")
	if board.EphemeralFor != "" {
		t.Error("the board is private")
	}

	// Start: one task, the outcome to Ana alone, the board follows.
	var start string // of wiki, the last in the list
	for _, c := range board.Controls() {
		if c.Label == "Start" {
			start = c.CustomID
		}
	}
	if out, err := d.Click(ctx, anaD, board.At(), start); err != nil || out.Error != "" {
		t.Fatalf("start: %v %s", err, out.Error)
	}
	find(anaD, "Started wiki")
	if n := w.count("vzstart", 102); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
	for _, m := range d.Messages(opsD, benD) {
		if strings.Contains(m.Text(), "Started wiki") {
			t.Error("the outcome is public")
		}
	}
	find(benD, "**wiki** running")

	// Stop asks; Cancel sends nothing, the answer sends one task.
	ask := command(anaD, "stop", map[string]string{"name": "web"})
	press(anaD, *ask.Message, "Cancel")
	if n := w.count("vzstop", 101); n != 0 {
		t.Fatalf("%d stops after Cancel", n)
	}
	ask = command(anaD, "stop", map[string]string{"name": "web"})
	press(anaD, *ask.Message, "Stop container")
	find(anaD, "Stopped web")
	if n := w.count("vzstop", 101); n != 1 {
		t.Errorf("%d stops, want 1", n)
	}

	// Without a role: a private refusal that names the id to add.
	command(benD, "start", map[string]string{"name": "wiki"})
	find(benD, benD)

	// Detail, with what Proxmox says.
	command(anaD, "show", map[string]string{"name": "web"})
	find(anaD, "**Hostname** web")

	// Delete by typed name.
	command(anaD, "delete", map[string]string{"name": "web"})
	press(anaD, find(anaD, "vm-101-disk-0"), "Type its name…")
	modal := d.Modal(anaD)
	if modal == nil {
		t.Fatal("no form opened")
	}
	if out, err := d.Submit(ctx, anaD, modal.CustomID, map[string]string{"name": "wrong"}); err != nil || out.Error != "" {
		t.Fatalf("submit: %v %s", err, out.Error)
	}
	if n := w.count("vzdestroy", 101); n != 0 {
		t.Fatal("a wrong name deleted it")
	}
	press(anaD, find(anaD, "Nothing was deleted"), "Try again")
	if modal = d.Modal(anaD); modal == nil {
		t.Fatal("the form did not open again")
	}
	if out, err := d.Submit(ctx, anaD, modal.CustomID, map[string]string{"name": "web"}); err != nil || out.Error != "" {
		t.Fatalf("submit: %v %s", err, out.Error)
	}
	w.task("vzdestroy", 101)
	find(anaD, "Deleted web")
	if bad := d.Unexpected(); len(bad) > 0 {
		t.Errorf("unexpected requests to Discord: %+v", bad)
	}
}
