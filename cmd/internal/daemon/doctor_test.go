package daemon_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestTheDoctorInTheChat(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "operator")
		w.PVE.AddNode("pve3")
		w.Run()
		ana.Command("help")
		ana.Sees("/pve doctor")

		// All is well, and everything says so in one block.
		ana.Command("doctor")
		all := ana.Sees("Doctor", "no drift", "last heard at", "quorate, 3 of 3 nodes", "all that the access rules need")
		if !all.Private || strings.Contains(all.Text, "❌") || ben.Count("no drift") > 0 {
			t.Errorf("private %v:\n%s", all.Private, all.Text)
		}

		// A node goes and a privilege with it; its own message says so when it
		// runs again.
		less := slices.DeleteFunc(proxmoxtest.Administrator(), func(p string) bool { return p == "VM.PowerMgmt" })
		w.PVE.Token(daemontest.Token, "pve-secret", map[string][]string{"/": less})
		w.PVE.SetNode("pve2", false)
		w.Refreshed()
		all.Press("Run again")
		bad := ana.Sees("Node pve2 does not answer", "lacks VM.PowerMgmt", "pveum role modify pvechat --append 1 --privs VM.PowerMgmt")
		if !strings.Contains(bad.Text, "2 wrong") && !strings.Contains(bad.Text, "2\u00a0wrong") {
			t.Errorf("it does not count them:\n%s", bad.Text)
		}
		if now, ok := all.Again(); !ok || !strings.Contains(now.Text, "Node pve2 does not answer") {
			t.Error("it did not take the place of what it found before")
		}
		if _, body := w.Get("/readyz"); !strings.Contains(body, `"node/home/pve2"`) || !strings.Contains(body, `"ready":true`) {
			t.Errorf("/readyz: %s", body)
		}

		// Nobody else is told.
		ben.Command("doctor")
		ben.Sees("Not allowed", "admin")
		w.Correct()
	})
}

// A board that is stale leads to the doctor, and stays.
func TestAStaleBoardOffersTheDoctor(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		ana.Command("dashboard")
		board := ana.Sees("wiki stopped")
		if board.Offers("Run doctor") {
			t.Error("it is offered where nothing is wrong")
		}
		w.PVE.Down(true)
		ana.Until("a stale board", func() bool {
			now, ok := board.Again()
			return ok && strings.Contains(now.Text, "does not answer") && now.Offers("Run doctor")
		})
		stale, _ := board.Again()
		stale.Press("Run doctor")
		if found := ana.Sees("Proxmox does not answer", "refused the connection", "systemctl status pveproxy"); !found.Private {
			t.Error("it is public")
		}
		if now, ok := board.Again(); !ok || !strings.Contains(now.Text, "wiki") {
			t.Error("the board has gone")
		}
		if code, _ := w.Get("/readyz"); code != http.StatusServiceUnavailable {
			t.Errorf("/readyz: %d", code)
		}
	})
}
