package daemon_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestAHundredDoubleClicksByTwoPeopleMakeAHundredTasks(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		const containers = 100
		w := daemontest.New(t, proxmoxtest.Options{})
		for i := range containers {
			w.PVE.AddContainer(proxmoxtest.Container{VMID: 200 + i, Name: fmt.Sprintf("ct%d", 200+i)})
		}
		ana, ben := w.Person(on, "Ana", "operator"), w.Person(on, "Ben", "operator")
		w.Run()
		ana.Command("dashboard")
		board := ana.Sees("100 total")

		// On the board's first page they click, each twice; for the others they type.
		for i := range containers {
			var both sync.WaitGroup
			name := fmt.Sprintf("ct%d", 200+i)
			for _, p := range []*daemontest.Person{ana, ben} {
				both.Go(func() {
					if board.Has(name) && board.As(p).Row(name).TryPress("Start") == nil {
						_ = board.As(p).Row(name).TryPress("Start") // it may be busy by now, and off the board
						return
					}
					p.Command(fmt.Sprintf("start %d", 200+i))
				})
			}
			both.Wait()
			if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.VMID == 200+i }); err != nil {
				t.Fatalf("%s is not started: %v", name, err)
			}
		}
		for i := range containers {
			w.Ended("vzstart", 200+i)
		}
		w.Told()
		for i := range containers {
			wantTasks(t, w, 200+i, "vzstart")
		}
		if a, b := ana.Count("is starting"), ben.Count("is starting"); a+b == 0 {
			t.Error("nobody heard that somebody else was at it")
		}
		w.Correct()
	})
}

func TestAnAnswerToOurQuestionIsTakenOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		ana.Command("restart web")
		q := ana.Sees("Restart web?")
		var twice sync.WaitGroup
		for range 2 {
			twice.Go(func() { _ = q.TryPress("Restart") }) // the second may find it answered
		}
		twice.Wait()
		ana.Sees("Restarted web")
		w.Told()
		wantTasks(t, w, 101, "vzreboot")
	})
}

func TestAGuestThatIgnoresShutdownIsForcedOnlyWhenSomebodySaysSo(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := daemontest.New(t, proxmoxtest.Options{})
		for i, name := range []string{"after", "during", "cut", "denied"} {
			w.PVE.AddContainer(proxmoxtest.Container{VMID: 101 + i, Name: name, Running: true, IgnoresShutdown: true})
		}
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 105, Name: "polite", Running: true})
		ana := w.Person(on, "Ana", "operator")
		w.Run()
		shutdown := func(name string) daemontest.Surface {
			ana.Command("shutdown " + name)
			ana.Sees("Shut down "+name+"?", "This question ends").Press("Shut down")
			return ana.Sees(name, "shutting down…")
		}

		// Its time passes: it is told, and nothing is forced.
		shutdown("after")
		hung := ana.Sees("after did not end", "Nothing was forced")
		wantTasks(t, w, 101, "vzshutdown")
		if ct, _ := w.PVE.Container(101); !ct.Running {
			t.Error("it was forced")
		}
		hung.Press("Force stop")
		ana.Sees("Stopped (forced) after")
		wantTasks(t, w, 101, "vzshutdown", "vzstop")

		// Force stop during the wait takes the place of the shutdown.
		w.PVE.Hold(true)
		waiting := shutdown("during")
		if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == "vzshutdown" && t.VMID == 102 }); err != nil {
			t.Fatal(err)
		}
		waiting.Press("Force stop")
		if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == "vzstop" && t.VMID == 102 }); err != nil {
			t.Fatal(err)
		}
		w.PVE.Hold(false)
		ana.Sees("Stopped (forced) during")
		wantTasks(t, w, 102, "vzshutdown", "vzstop")

		// The network is cut during the wait.
		w.PVE.Hold(true)
		shutdown("cut")
		shutdown("denied")
		for _, vmid := range []int{103, 104} {
			if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.VMID == vmid }); err != nil {
				t.Fatal(err)
			}
		}
		w.PVE.Down(true)
		w.PVE.Hold(false)
		w.Ended("vzshutdown", 103)
		w.PVE.Fail("GET", "/nodes/*/tasks/*:104:*/status", http.StatusUnauthorized, "invalid token value!", 3)
		w.PVE.Down(false)
		ana.Sees("cut did not end", "Nothing was forced")
		ana.Sees("denied did not end", "Nothing was forced")
		wantTasks(t, w, 103, "vzshutdown")
		wantTasks(t, w, 104, "vzshutdown")

		// The events say which it was.
		shutdown("polite")
		ana.Sees("Shut down polite")
		ana.Command("events polite")
		ana.Sees("Shut down (graceful)")
		ana.Command("events during")
		ana.Sees("Stopped (forced)")
	})
}

// A container is destroyed and made anew by hand with its old number and name.
func TestAnOldButtonNeverHitsAnotherContainer(t *testing.T) {
	anew := func(w *daemontest.World) {
		w.PVE.RemoveContainer(102)
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve2", Name: "wiki"})
	}
	known := func(w *daemontest.World) {
		w.AwaitNone(`SELECT 3 - count(*) FROM containers WHERE fingerprint <> ''`) // those of newWorld
	}
	t.Run("between two refreshes", func(t *testing.T) {
		onBoth(t, func(t *testing.T, on daemontest.Platform) {
			w := newWorld(t)
			w.Refresh = time.Hour
			ana := w.Person(on, "Ana", "admin")
			w.Run()
			known(w)
			ana.Command("dashboard")
			old := ana.Sees("wiki stopped").Row("wiki")
			anew(w)
			old.Press("Start")
			ana.Sees("was replaced")
			w.Told()
			wantTasks(t, w, 102)
		})
	})
	t.Run("while the bot is down", func(t *testing.T) {
		onBoth(t, func(t *testing.T, on daemontest.Platform) {
			w := newWorld(t)
			ana := w.Person(on, "Ana", "admin")
			stop := w.Run()
			known(w)
			ana.Command("start wiki")
			ana.Sees("Started wiki")
			ana.Command("stop wiki")
			ana.Sees("Stop wiki?", "This question ends").Press("Stop container")
			old := ana.Sees("Stopped wiki")
			w.Told()
			stop()
			anew(w)
			w.Run()
			old.Press("Start")
			ana.Sees("This container was replaced or removed")
			w.Told()
			wantTasks(t, w, 102, "vzstart", "vzstop")
			ana.Command("start wiki") // the new one has commands of its own
			w.Ended("vzstart", 102)
		})
	})
}

// Row 20: a container under HA is one like any other, whatever form a version of
// Proxmox gives its booleans and numbers.
func TestHAContainersAreNothingSpecial(t *testing.T) {
	for _, version := range []string{"7.4-3", "8.1.4", "9.2.2"} {
		t.Run(version, func(t *testing.T) {
			onBoth(t, func(t *testing.T, on daemontest.Platform) {
				w := daemontest.New(t, proxmoxtest.Options{Version: version})
				w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Name: "db", HA: true, OnBoot: true, Running: true})
				ana := w.Person(on, "Ana", "admin")
				w.Run()
				ana.Command("dashboard")
				board := ana.Sees("db running")
				ana.Command("show db")
				ana.Sees("db", "Start at boot yes").Dismiss()
				ana.Command("stop db")
				ana.Sees("Stop db?", "This question ends").Press("Stop container")
				ana.Sees("Stopped db")
				ana.Until("the board", func() bool {
					now, _ := board.Again()
					return strings.Contains(now.Text, "db stopped")
				})
				now, _ := board.Again()
				now.Row("db").Press("Start")
				ana.Sees("Started db")
				wantTasks(t, w, 101, "hastop", "hastart")
				w.Correct()
			})
		})
	}
}

// Whatever the place, who typed hears the outcome; where the bot cannot post, it
// says so privately.
func TestCommandsWorkWhereverTheyAreTyped(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.AddChannel("general", true)
		w.AddPrivateChannel("secret")
		w.AddThread("thread", "general")
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "")
		w.Run()
		places := []string{"general", "secret"}
		if on == daemontest.Discord {
			places = append(places, "thread")
		}
		if on == daemontest.Slack { // on Discord, commands of one guild are not there
			places = append(places, "")
		}
		var want []string
		for _, place := range places {
			here := ana.In(place)
			here.Command("start wiki")
			if told := here.Sees("Started wiki"); !told.Private {
				t.Errorf("in %q: the outcome is public", place)
			}
			if n := ben.In(place).Count("Started wiki"); place != "" && n != 0 {
				t.Errorf("in %q: somebody else sees it", place)
			}
			here.Command("stop wiki")
			here.Sees("Stop wiki?", "This question ends").Press("Stop container")
			here.Sees("Stopped wiki").Dismiss()
			if n := here.Count("This question ends"); n != 0 {
				t.Errorf("in %q: the question stays below its answer", place)
			}
			w.Told()
			want = append(want, "vzstart", "vzstop")
			wantTasks(t, w, 102, want...)
		}
		here := ana.In("secret")
		here.Command("dashboard")
		if no := here.Sees("cannot post here"); !no.Private {
			t.Error("it says so publicly")
		}
		w.Correct()
	})
}

// A message that is a week old has lost every token that it had; its buttons
// work all the same, and are judged by what is true now.
func TestButtonsOfAnOldMessageWork(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.Ago(7 * 24 * time.Hour)
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "viewer")
		stop := w.Run()
		ana.Command("dashboard")
		ana.Sees("wiki stopped")
		stop()
		w.Ago(0)
		w.Run()
		board := ben.Sees("wiki stopped")
		// Until the new process has asked Proxmox, the board may say that it is stale.
		press := func(p *daemontest.Person) {
			p.Until("the board takes it", func() bool { return board.As(p).Row("wiki").TryPress("Start") == nil })
		}
		press(ben)
		ben.Sees("Not allowed")
		wantTasks(t, w, 102)
		press(ana)
		ana.Sees("Started wiki")
		wantTasks(t, w, 102, "vzstart")
		if slices.Contains(w.Tasks(102), "vzstop") {
			t.Error("it was stopped")
		}
	})
}

// The end of a task is told when the bot next asks about it, and not later.
func TestTheEndOfATaskIsToldAtTheNextPoll(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		ana := w.Person(on, "Ana", "operator")
		w.Run()
		ana.Command("dashboard")
		board := ana.Sees("wiki stopped")
		w.PVE.Hold(true)
		ana.Command("start wiki")
		ana.Until("the busy mark", func() bool {
			now, _ := board.Again()
			return strings.Contains(now.Text, "wiki starting…")
		})
		asked := func(r proxmoxtest.Request) bool {
			return strings.Contains(r.Path, ":vzstart:102:") && strings.HasSuffix(r.Path, "/status")
		}
		if _, err := w.PVE.AwaitRequest(w.Patience(), asked); err != nil {
			t.Fatal(err)
		}
		w.PVE.Hold(false)
		task := w.Ended("vzstart", 102)
		ana.Sees("Started wiki")
		ana.Until("the board", func() bool {
			now, _ := board.Again()
			return strings.Contains(now.Text, "wiki running")
		})
		polls := 0
		for _, r := range w.PVE.Requests() {
			if asked(r) && r.Time.After(task.End) {
				polls++
			}
		}
		if polls != 1 {
			t.Errorf("it asked %d times after the end, want once", polls)
		}
	})
}
