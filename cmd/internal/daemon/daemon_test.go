package daemon_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// onBoth runs a scenario once for each platform.
func onBoth(t *testing.T, scenario func(t *testing.T, on daemontest.Platform)) {
	t.Helper()
	t.Parallel()
	for _, on := range daemontest.Platforms {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			scenario(t, on)
		})
	}
}

// newWorld has a running, a stopped and a broken container.
func newWorld(t *testing.T) *daemontest.World {
	t.Helper()
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, CPU: 0.2})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve2", Name: "wiki"})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 103, Node: "pve1", Name: "broken", StartFails: "no space left on device"})
	return w
}

func wantTasks(t *testing.T, w *daemontest.World, vmid int, want ...string) {
	t.Helper()
	if got := w.Tasks(vmid); !slices.Equal(got, want) {
		t.Errorf("tasks of %d: %q, want %q", vmid, got, want)
	}
}

func TestOneRealPath(t *testing.T)         { oneRealPath(t, false) }
func TestOneRealPathOverHTTP(t *testing.T) { oneRealPath(t, true) }

func oneRealPath(t *testing.T, overHTTP bool) {
	t.Helper()
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.HTTP = overHTTP
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "")
		w.Run()

		// The board is a message that everybody sees.
		ana.Command("dashboard")
		board := ben.Sees("wiki stopped")
		if board.Private {
			t.Error("the board is private")
		}

		// Start from the row: one task, the outcome to Ana alone, the board follows.
		board.As(ana).Row("wiki").Press("Start")
		if done := ana.Sees("Started wiki"); !done.Private {
			t.Error("the outcome is public")
		}
		wantTasks(t, w, 102, "vzstart")
		ben.Sees("wiki running")

		// Stop asks; Cancel sends nothing, the answer sends one task.
		ana.Command("stop web")
		ana.Sees("Stop web?").Dismiss()
		wantTasks(t, w, 101)
		ana.Command("stop web")
		ana.Sees("Stop web?", "This question ends").Press("Stop container")
		ana.Sees("Stopped web")
		wantTasks(t, w, 101, "vzstop")

		// Without a role: a private refusal that names the id to add.
		ben.Command("start wiki")
		ben.Sees(ben.ID)
		wantTasks(t, w, 102, "vzstart")

		// A failed start is told in its own words, privately and to the ops channel.
		ana.Command("start broken")
		ana.Sees("Could not start broken", "no space left on device")
		ben.Sees("Start of broken failed")

		// The detail says what Proxmox says.
		ana.Command("show web")
		ana.Sees("Hostname web")

		// Delete by typed name.
		ana.Command("delete web")
		ana.Sees("vm-101-disk-0").Submit(map[string]string{"name": "wrong"})
		wrong := ana.Sees("Nothing was deleted")
		wantTasks(t, w, 101, "vzstop")
		wrong.Submit(map[string]string{"name": "web"})
		ana.Sees("Deleted web")
		wantTasks(t, w, 101, "vzstop", "vzdestroy")
		ben.Until("the board without web", func() bool {
			now, ok := board.Again()
			return ok && !strings.Contains(now.Text, "web ")
		})
		w.Correct()
	})
}

func TestARestartAdoptsWhatIsUnderWay(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.PVE.Update(102, func(c *proxmoxtest.Container) { c.StartTakes = 300 * time.Second }) // 3 s at this scale
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "")
		stop := w.Run()
		ana.Command("dashboard")
		board := ben.Sees("wiki stopped")
		ana.Command("start wiki")
		if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == "vzstart" }); err != nil {
			t.Fatal(err)
		}
		stop()
		w.Run()
		ben.Until("the board that was there before", func() bool {
			now, ok := board.Again()
			return ok && strings.Contains(now.Text, "wiki running")
		})
		ana.Sees("Started wiki")
		if n := ben.Count("wiki running"); n != 1 {
			t.Errorf("%d boards, want one", n)
		}
		wantTasks(t, w, 102, "vzstart")
	})
}

// Bots, and guests of other organisations in shared channels, are kept out even
// where a rule names them.
func TestOutsidersAreKeptOut(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		eve := w.Person(on, "Eve", "admin")
		w.Run()
		eve.Command("start wiki")
		eve.Sees("Started wiki")
		if on == daemontest.Slack {
			w.Slack.MakeForeign(eve.ID, "T0OTHER01")
		} else {
			w.Discord.MakeBot(eve.ID)
		}
		eve.Command("stop web")
		denied := eve.Sees("Not allowed", "guests of other organisations")
		if strings.Contains(denied.Text, "web") {
			t.Errorf("it tells of the target:\n%s", denied.Text)
		}
		wantTasks(t, w, 101)
	})
}

// Discord lets nobody edit an old message more often than it likes (30046).
func TestADiscordBoardThatCannotBeEditedIsPostedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ana, ben := w.Person(daemontest.Discord, "Ana", "admin"), w.Person(daemontest.Discord, "Ben", "")
	w.Run()
	ana.Command("dashboard")
	board := ben.Sees("wiki stopped")
	w.Discord.Fail("PATCH /channels/", http.StatusTooManyRequests, 30046, 1)
	ana.Command("start wiki")
	ana.Sees("Started wiki")
	ben.Until("one board, and a new one", func() bool {
		_, old := board.Again()
		return !old && ben.Count("wiki running") == 1
	})
	w.Correct()
}
