package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const tokenID = "pvechat@pve!bot"

// The people of the workspace: ana is admin, ben has no role.
const (
	ana = "U0ANA0001"
	ben = "U0BEN0001"
	ops = "C0OPS0001"
)

type world struct {
	t     *testing.T
	pve   *proxmoxtest.Server
	slack *slacktest.Server
	file  string

	// Of another platform, whose connection run waits for.
	ready  func() bool
	server interface {
		Await(ctx context.Context, what string, cond func() bool) error
	}
}

// newWorld starts the simulators and writes a configuration of the documented
// shape.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, pve: proxmoxtest.New(proxmoxtest.Options{Scale: 0.01}), slack: slacktest.New(slacktest.Options{})}
	w.pve.Token(tokenID, "pve-secret", map[string][]string{"/": proxmoxtest.Administrator()})
	for _, n := range []string{"pve1", "pve2"} {
		w.pve.AddNode(n)
	}
	w.pve.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, CPU: 0.2})
	w.pve.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve2", Name: "wiki"})
	w.pve.AddContainer(proxmoxtest.Container{VMID: 103, Node: "pve1", Name: "broken", StartFails: "no space left on device"})
	if err := w.pve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.pve.Close)
	w.slack.AddUser(ana, "Ana")
	w.slack.AddUser(ben, "Ben")
	w.slack.AddChannel(ops, "ops", true, ana, ben)
	if err := w.slack.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.slack.Close)
	w.file = filepath.Join(t.TempDir(), "config.yaml")
	cfg := fmt.Sprintf(`
slack: {mode: socket, bot_token: xoxb-test, app_token: xapp-test, api_url: %q}
clusters:
  - name: home
    urls: [%q]
    token_id: %s
    token_secret: pve-secret
    fingerprints: [%q]
database: {url: "sqlite:pvechat.db"}
refresh: {every: 1s}
channels: {ops: {slack: %s}}
access:
  - role: admin
    slack: {users: [%s]}
`, w.slack.APIURL(), w.pve.URL(), tokenID, w.pve.Fingerprint(), ops, ana)
	if err := os.WriteFile(w.file, []byte(cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// run starts the daemon; stop ends it and waits.
func (w *world) run() (stop func()) {
	w.t.Helper()
	cfg, err := daemon.Load(w.file, func(string) (string, bool) { return "", false })
	if err != nil {
		w.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	d, err := daemon.New(cfg, log)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("it ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			w.t.Error("it does not end within 10 s")
		}
	}
	w.t.Cleanup(stop)
	connected := func() error { return w.slack.AwaitConnections(w.patience(), 1) }
	if w.ready != nil {
		connected = func() error { return w.server.Await(w.patience(), "the bot", w.ready) }
	}
	if err := connected(); err != nil {
		select {
		case err := <-done:
			w.t.Fatalf("it ended with %v", err)
		default:
			w.t.Fatal(err)
		}
	}
	return stop
}

func (w *world) patience() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	w.t.Cleanup(cancel)
	return ctx
}

// sees waits until a person sees a message in the channel that holds a text,
// and returns it.
func (w *world) sees(who, text string) slacktest.Message {
	w.t.Helper()
	var found slacktest.Message
	err := w.slack.Await(w.patience(), text, func() bool {
		for _, m := range slices.Backward(w.slack.Messages(ops, who)) {
			if strings.Contains(plain(m.Blocks), text) {
				found = m
				return true
			}
		}
		return false
	})
	if err != nil {
		var all strings.Builder
		for _, m := range w.slack.Messages(ops, who) {
			fmt.Fprintf(&all, "%s\n", m.Blocks)
		}
		w.t.Fatalf("%s does not see %q: %v\n%s", who, text, err, all.String())
	}
	return found
}

// plain is the payload with its no-break spaces and escapes undone.
func plain(b json.RawMessage) string {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return string(b)
	}
	out, _ := json.Marshal(v)
	return strings.NewReplacer("\u00a0", " ", `\u003c`, "<", `\u003e`, ">").Replace(string(out))
}

// control finds an id in blocks by a pattern.
func control(t *testing.T, raw json.RawMessage, pattern string) string {
	t.Helper()
	id := regexp.MustCompile(pattern).FindString(string(raw))
	if id == "" {
		t.Fatalf("no control %s in %s", pattern, raw)
	}
	return id
}

// must fails the test when an act of a person was not acknowledged.
func (w *world) must(_ slacktest.Outcome, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) task(typ string, vmid int) proxmoxtest.Task {
	w.t.Helper()
	task, err := w.pve.AwaitTask(w.patience(), func(t proxmoxtest.Task) bool { return t.Type == typ && t.VMID == vmid && !t.End.IsZero() })
	if err != nil {
		w.t.Fatalf("no task %s of %d: %v", typ, vmid, err)
	}
	return task
}

func (w *world) count(typ string, vmid int) int {
	n := 0
	for _, t := range w.pve.Tasks() {
		if t.Type == typ && t.VMID == vmid {
			n++
		}
	}
	return n
}

func TestOneRealPathOnSlack(t *testing.T) {
	w := newWorld(t)
	w.run()
	ctx := w.patience()

	// The board is a message of the channel.
	w.must(w.slack.Command(ctx, ana, ops, ""))
	board := w.sees(ben, "*wiki*")
	if board.Ephemeral {
		t.Error("the board is private")
	}

	// Start from the row's menu: one task, the outcome to Ana alone, the board follows.
	start := control(t, board.Blocks, `ct:[a-z0-9]+:start`)
	row := regexp.MustCompile(`ct:[a-z0-9]+:`).FindString(start)
	wiki := rowOf(t, board.Blocks, "*wiki*")
	w.must(w.slack.Choose(ctx, ana, slacktest.At{Channel: ops, TS: board.TS}, wiki+":menu", wiki+":start"))
	_ = row
	w.task("vzstart", 102)
	done := w.sees(ana, "Started wiki")
	if !done.Ephemeral {
		t.Error("the outcome is public")
	}
	if n := w.count("vzstart", 102); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
	w.sees(ben, "*wiki*  running")

	// The detail opens as a modal and fills in.
	w.must(w.slack.Command(ctx, ana, ops, "show web"))
	if err := w.slack.Await(ctx, "the detail", func() bool {
		v := w.slack.Views(ana)
		return len(v) == 1 && strings.Contains(plain(v[0].Raw), "*Address*")
	}); err != nil {
		t.Fatal(err)
	}

	// Stop from the detail: the client's own question; Cancel sends nothing.
	view := w.slack.Views(ana)[0]
	stop := control(t, view.Raw, `ct:[a-z0-9]+:stop`)
	w.must(w.slack.Click(ctx, ana, slacktest.At{View: view.ID}, stop, slacktest.WithCancel))
	if n := w.count("vzstop", 101); n != 0 {
		t.Fatalf("%d stops after Cancel", n)
	}
	w.must(w.slack.Click(ctx, ana, slacktest.At{View: view.ID}, stop))
	w.task("vzstop", 101)
	if n := w.count("vzstop", 101); n != 1 {
		t.Errorf("%d stops, want 1", n)
	}

	// Without a role: a private refusal that names the id to add.
	w.must(w.slack.Command(ctx, ben, ops, "start wiki"))
	w.sees(ben, ben)

	// A failed start is told in its own words, privately and to the ops channel.
	w.must(w.slack.Command(ctx, ana, ops, "start broken"))
	w.sees(ana, "Could not start broken")
	w.sees(ben, "Start of broken failed")

	// Delete by typed name.
	w.must(w.slack.Command(ctx, ana, ops, "delete web"))
	if err := w.slack.Await(ctx, "the form", func() bool {
		v := w.slack.Views(ana)
		return len(v) > 0 && strings.Contains(plain(v[len(v)-1].Raw), "vm-101-disk-0")
	}); err != nil {
		t.Fatal(err)
	}
	views := w.slack.Views(ana)
	form := views[len(views)-1]
	out, err := w.slack.Submit(ctx, ana, form.ID, map[string]string{"name": "wrong"})
	if err != nil && out.Errors == nil || out.Errors["name"] == "" {
		t.Fatalf("a wrong name was taken: %+v %v", out, err)
	}
	w.must(w.slack.Submit(ctx, ana, form.ID, map[string]string{"name": "web"}))
	w.task("vzdestroy", 101)
	if err := w.slack.Await(w.patience(), "the board without web", func() bool {
		for _, m := range w.slack.Messages(ops, ben) {
			if m.TS == board.TS {
				return !strings.Contains(plain(m.Blocks), "*web*")
			}
		}
		return false
	}); err != nil {
		t.Fatal(err)
	}
	if bad := w.slack.Unexpected(); len(bad) > 0 {
		t.Errorf("unexpected requests to Slack: %+v", bad)
	}
	if bad := w.pve.Unexpected(); len(bad) > 0 {
		t.Errorf("unexpected requests to Proxmox: %+v", bad)
	}
}

// rowOf finds the own id of the row that holds a name.
func rowOf(t *testing.T, raw json.RawMessage, name string) string {
	t.Helper()
	var blocks []struct {
		Text      struct{ Text string }
		Accessory struct {
			ActionID string `json:"action_id"`
		}
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		if strings.Contains(b.Text.Text, name) && b.Accessory.ActionID != "" {
			return strings.TrimSuffix(b.Accessory.ActionID, ":menu")
		}
	}
	t.Fatalf("no row %s in %s", name, raw)
	return ""
}

func TestARestartAdoptsWhatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	w.pve.Update(102, func(c *proxmoxtest.Container) { c.StartTakes = 300 * time.Second }) // 3 s at this scale
	stop := w.run()
	ctx := w.patience()
	w.must(w.slack.Command(ctx, ana, ops, ""))
	w.sees(ben, "*wiki*")
	w.must(w.slack.Command(ctx, ana, ops, "start wiki"))
	if _, err := w.pve.AwaitTask(ctx, func(t proxmoxtest.Task) bool { return t.Type == "vzstart" }); err != nil {
		t.Fatal(err)
	}
	stop()
	w.run()
	w.task("vzstart", 102)
	w.sees(ben, "*wiki*  running") // on the board that was there before
	if n := len(w.slack.Messages(ops, ben)); n != 1 {
		t.Errorf("Ben sees %d messages, want the one board", n)
	}
	if n := w.count("vzstart", 102); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
}
