package daemon_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// How the mirror of packages is.
const (
	away int32 = iota
	there
	slow
)

// newYard is a world whose new containers have an address and an SSH server,
// in which packages are installed once the mirror is there.
func newYard(t *testing.T, mirror *atomic.Int32) *daemontest.World {
	t.Helper()
	guests := &guesttest.Server{Errorf: t.Errorf}
	t.Cleanup(func() { _ = guests.Close() })
	inside := func(ctx context.Context, _ string, stdio guesttest.Stdio) uint32 {
		script, _ := io.ReadAll(stdio.In)
		if !strings.Contains(string(script), "apt-get") {
			return 0
		}
		switch mirror.Load() {
		case away:
			fmt.Fprintln(stdio.Err, "E: mirror.example cannot be reached")
			return 100
		case slow:
			<-ctx.Done()
		}
		return 0
	}
	w := daemontest.New(t, proxmoxtest.Options{Lease: func(vmid int) string {
		at := netip.AddrFrom4([4]byte{192, 0, 2, byte(vmid)})
		guests.Put(at, guesttest.Guest{Exec: inside})
		return at.String() + "/24"
	}})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web"})
	w.Guests = guests
	return w
}

// walk leads a person from the first step to the review.
func walk(p *daemontest.Person, hostname string) daemontest.Surface {
	step := p.Sees("1 Template › 2 Settings", "Each has its page")
	if p.On == daemontest.Slack {
		step.Submit(map[string]string{"template": "debian"})
		p.Sees("Debian 13 on pve1").Submit(map[string]string{"hostname": hostname, "tags": "one two"})
		p.Sees("What Debian 13 does inside").Submit(nil)
		return p.Sees("4 Review", "Next free number", hostname)
	}
	step.Press("Debian 13")
	p.Sees("1 Template › 2 Settings", "Each has its page").Press("Next")
	p.Sees("Debian 13 on pve1").Press("Name and access…")
	p.Sees("Create container").Submit(map[string]string{"hostname": hostname, "tags": "one two"})
	p.Sees("Debian 13 on pve1", "Hostname "+hostname, "Tags one two").Press("Next")
	p.Sees("What Debian 13 does inside").Press("Next")
	return p.Sees("4 Review", "Next free number", hostname)
}

// deploy sends the last step.
func deploy(p *daemontest.Person, review daemontest.Surface) {
	if p.On == daemontest.Slack {
		review.Submit(nil)
	} else {
		review.Press("Deploy")
	}
}

func TestAContainerIsCreatedRepairedAndCleanedUp(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		var mirror atomic.Int32
		w := newYard(t, &mirror)
		ana, ben, vic := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "operator"), w.Person(on, "Vic", "viewer")
		stop := w.Run()
		if _, err := w.PVE.AwaitRequest(w.Patience(), func(r proxmoxtest.Request) bool { return r.Path == "/nodes/pve1/storage/local/content" }); err != nil {
			t.Fatal(err)
		}

		ana.Command("dashboard")
		board := ana.Sees("web stopped")
		board.As(vic).Press("Create container")
		vic.Sees("Not allowed")
		board.Press("Create container")
		review := walk(ana, "shop")
		if !review.Private {
			t.Error("everybody sees what is chosen")
		}
		if n := len(w.Sent(100)); n != 0 {
			t.Errorf("%d requests before Deploy", n)
		}
		deploy(ana, review)
		ana.Sees("Deploying shop…")

		// It does not work, and everybody sees why, and what there is.
		failed := ben.Sees("Creating shop failed", "stopped at step", "exit code 100", "What is there now: CT 100 runs", "asked by Ana")
		if failed.Private {
			t.Error("nobody else sees how it goes")
		}
		w.Told()
		mirror.Store(there)
		failed.Press("Retry")
		done := ana.Sees("Created shop", "running at 192.0.2.100", "asked by Ben")
		if got := strings.Count(strings.Join(w.Tasks(100), " "), "vzcreate"); got != 1 {
			t.Errorf("%d times made, want once: %v", got, w.Tasks(100))
		}
		w.Told()
		if n := ana.Count("Created shop"); n != 1 {
			t.Errorf("it is told %d times", n)
		}
		done.Press("Manage")
		ana.Sees("shop", "CT 100", "one", "two")
		ana.Sees("shop running", "web stopped")

		// Another one is cancelled, and nothing of it is left.
		mirror.Store(slow)
		ana.Command("create")
		deploy(ana, walk(ana, "box"))
		going := ben.Sees("Creating box", "Install packages…", "goes on if pvechat restarts")
		going.Press("Cancel…")
		if on == daemontest.Discord { // the client of Slack asks by itself
			ben.Sees("Stop creating box?").Press("Stop creating")
		}
		ended := ben.Sees("Creating box was cancelled", "Cancelled by Ben.", "What is there now: CT 102 runs")
		w.Told()
		ended.Press("Clean up…")
		ben.Sees("Delete box for good?", "running, so it is stopped first").Submit(map[string]string{"name": "box"})
		ben.Sees("Deleted box")
		if got := strings.Join(w.Tasks(102), " "); got != "vzcreate vzstart vzdestroy" {
			t.Errorf("it was %s", got)
		}
		w.Told()
		stop()
		w.Correct()
	})
}
