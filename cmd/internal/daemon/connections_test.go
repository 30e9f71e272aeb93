package daemon_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// A connection can stay open with nobody at its other end. The whole bot runs
// here in memory and on a clock of its own, so that its minutes are exact.
func TestADeafPlatformIsRedWithinNinetySecondsAndHealsByItself(t *testing.T) {
	if testing.Short() {
		t.Skip("the adapters' own tests show it")
	}
	t.Parallel()
	for name, c := range map[string]struct {
		on     daemontest.Platform
		deafen func(w *daemontest.World, deaf bool)
		greets bool // a new connection is greeted all the same, and counts for as long as that may be
	}{
		"Slack sends nothing":               {daemontest.Slack, func(w *daemontest.World, deaf bool) { w.Slack.Deafen(deaf) }, false},
		"Slack sends no pings":              {daemontest.Slack, func(w *daemontest.World, deaf bool) { w.Slack.SilencePings(deaf) }, false},
		"Discord sends nothing":             {daemontest.Discord, func(w *daemontest.World, deaf bool) { w.Discord.Deafen(deaf) }, false},
		"Discord acknowledges no heartbeat": {daemontest.Discord, func(w *daemontest.World, deaf bool) { w.Discord.SilenceHeartbeats(deaf) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			daemontest.Bubble(t, func(t *testing.T, w *daemontest.World) {
				w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web"})
				ana := w.Person(c.on, "Ana", "admin")
				w.Run()
				time.Sleep(7*time.Minute + 13*time.Second)
				if ok, _ := ready(t, w, c.on); !ok {
					t.Fatal("it is red before")
				}

				c.deafen(w, true)
				since := time.Now()
				await(t, w, c.on, false)
				if took := time.Since(since); took > 90*time.Second {
					t.Errorf("it was red after %s", took)
				}
				for range 10 { // and stays so, for as long as it lasts
					time.Sleep(time.Minute)
					if ok, detail := ready(t, w, c.on); ok && !c.greets {
						t.Errorf("it is green again: %s", detail)
					}
				}

				c.deafen(w, false)
				since = time.Now()
				await(t, w, c.on, true)
				if took := time.Since(since); took > 6*time.Minute {
					t.Errorf("it was green after %s", took)
				}
				ana.Command("start web")
				ana.Sees("Started web")
				w.Correct()
			})
		})
	}
}

// ready is what /readyz says of a platform. The bot as a whole is as ready as
// that: all else is well in these tests.
func ready(t *testing.T, w *daemontest.World, on daemontest.Platform) (ok bool, detail string) {
	t.Helper()
	status, body := w.Get("/readyz")
	var r struct {
		Ready  bool
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.Name == string(on) {
			ok, detail = c.OK, c.Detail
		}
	}
	if r.Ready != ok || (status == http.StatusOK) != ok {
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	return ok, detail
}

// await asks each second until a platform is as wanted.
func await(t *testing.T, w *daemontest.World, on daemontest.Platform, want bool) {
	t.Helper()
	for range 3600 {
		if ok, _ := ready(t, w, on); ok == want {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%s is not as it should be: ready %v", on, !want)
}
