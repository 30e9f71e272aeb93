package daemon_test

import (
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// A container that dies by itself is told once to everybody in the ops
// channel; whoever may starts it from there, and the same message says so.
func TestAnAlertLeadsToItsEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "")
		stop := w.Run()
		w.PVE.Update(101, func(c *proxmoxtest.Container) { c.Running = false })
		alert := ben.Sees("web is down", "nobody asked for it")
		if alert.Private {
			t.Error("the alert is private")
		}

		// Who may not, may not mute either.
		alert.Press("Mute 1 h")
		ben.Sees("Not allowed", ben.ID)
		alert.As(ana).Press("Mute 1 h")
		ana.Sees("Muted by Ana until", "Nothing new is said")
		ben.Sees("web is down", "Muted by Ana until")
		now, _ := alert.Again()
		now.As(ana).Press("Unmute")
		ben.Until("the alert without its mute", func() bool {
			now, ok := alert.Again()
			return ok && now.Offers("Mute 1 h")
		})

		// A restart does not tell it again.
		stop()
		w.Run()
		ana.Command("alerts")
		ana.Sees("Alerts", "web is down")

		now, _ = alert.Again()
		now.As(ana).Press("Start")
		w.Ended("vzstart", 101)
		ben.Until("the end in the same message", func() bool {
			now, ok := alert.Again()
			return ok && now.Text != "" && !now.Offers("Start")
		})
		ben.Sees("Resolved: web runs again", "Started by Ana.")
		if n := ben.Count("web is down"); n != 0 {
			t.Errorf("%d messages still say that it is down", n)
		}

		ana.Sees("Started web")

		// What is asked for is no alert.
		ana.Command("stop web")
		ana.Sees("Stop web?").Press("Stop container")
		ana.Sees("Stopped web")
		w.PVE.Update(102, func(c *proxmoxtest.Container) { c.Running = true })
		ana.Command("dashboard")
		ben.Sees("wiki running", "web stopped")
		if n := ben.Count("web is down"); n != 0 {
			t.Error("a stop that was asked for is told as an alert")
		}
		w.Correct()
	})
}
