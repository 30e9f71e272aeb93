package daemon_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
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

func TestAContainerIsCreatedRepairedAndCleanedUp(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		var mirror atomic.Int32
		w := newYard(t, &mirror)
		ana, ben, vic := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "operator"), w.Person(on, "Vic", "viewer")
		stop := w.Run()
		ana.Creates().Dismiss()

		ana.Command("dashboard")
		board := ana.Sees("web stopped")
		board.As(vic).Press("Create container")
		vic.Sees("Not allowed")
		board.Press("Create container")
		review := ana.Review("debian", "Debian 13", "shop")
		if !review.Private {
			t.Error("everybody sees what is chosen")
		}
		if n := len(w.Sent(100)); n != 0 {
			t.Errorf("%d requests before Deploy", n)
		}
		review.Deploy()
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
		ana.Creates()
		ana.Review("debian", "Debian 13", "box").Deploy()
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

// shop is a template whose container is set up by what is in the test's machine.
const shop = `name: Shop
os: debian-13-standard
resources: {cores: 1, memory: 512, disk: 4}
packages: {apt: [shop]}
files:
  - {target: /etc/pvechat/shop.conf, mode: "0600", content: "port = 8080\n"}
scripts:
  - {name: Install shop, run: "shop-setup /etc/pvechat"}
services:
  - {name: Shop, unit: shop.service, port: 8080}
`

// newShop is a machine in which the package brings a program, which makes the
// service run that it finds configured, and writes its credentials.
func newShop(t *testing.T) sshdtest.Machine {
	t.Helper()
	m := sshdtest.NewMachine(t)
	m.Run(guesttest.Service{Unit: "shop.service", Listen: []string{"0.0.0.0:8080"}, Web: "http"})
	m.Tool("shop-setup", fmt.Sprintf(`set -eu
grep -q 'port = 8080' "$1/shop.conf"
mv %[1]s/bin/systemctl.shop %[1]s/bin/systemctl
umask 077
mkdir -p "$1/credentials"
printf 'USER=admin\nPASSWORD=%%s\n' '%[2]s' >"$1/credentials/shop"
echo shop is set up
`, m.Root, canary))
	m.Tool("apt-get", fmt.Sprintf(`case " $* " in *' install shop ') mv %[1]s/bin/shop-setup.deb %[1]s/bin/shop-setup ;; esac
`, m.Root))
	for from, to := range map[string]string{"systemctl": "systemctl.shop", "shop-setup": "shop-setup.deb"} {
		if err := os.Rename(m.Root+"/bin/"+from, m.Root+"/bin/"+to); err != nil {
			t.Fatal(err)
		}
	}
	m.Tool("systemctl", "exit 0\n")
	return m
}

// firstVersion makes a database as the first release left it, with a container.
func firstVersion(t *testing.T, engine storagetest.Engine, url string, vmid int) {
	t.Helper()
	schema, err := os.ReadFile("../../../storage/migrations/" + engine.Name + "/20261123000001_initial.tx.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	w := daemontest.World{Database: url}
	old := w.For(t).DB()
	for _, statement := range []string{
		string(schema), fmt.Sprintf(`INSERT INTO containers (id, cluster, vmid, node, state, trouble, tags, pool, fingerprint, first_seen, seen_at)
		VALUES ('old', 'home', %d, 'pve1', 'stopped', '', '', '', '', '2026-11-23T00:00:00.000000Z', '2026-11-23T00:00:00.000000Z')`, vmid),
	} {
		if _, err := old.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	db, err := storage.Open(t.Context(), storage.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if v, err := db.Baseline(t.Context()); err != nil || !strings.HasPrefix(v, "20261123000001") {
		t.Fatalf("its version is %q, %v", v, err)
	}
}

// Row 8: a container is created, opened, entered and deleted, and OpenSSH's own
// server is what is behind its address.
func TestTheWholeWayOfAContainer(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs without -short")
	}
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		for i, age := range []string{"new", "first"} {
			t.Run("on a database of the "+age+" version", func(t *testing.T) {
				t.Parallel()
				engines := storagetest.Engines(t) // each platform has either age on either engine
				if on == daemontest.Slack {
					i++
				}
				wholeWay(t, on, engines[i%len(engines)], age == "first")
			})
		}
	})
}

func wholeWay(t *testing.T, on daemontest.Platform, engine storagetest.Engine, old bool) {
	machine := newShop(t)
	sshd := sshdtest.Start(t, machine.Options())
	sshd.Deny(t)
	w := daemontest.New(t, proxmoxtest.Options{Lease: func(int) string { return "127.0.0.1/8" }})
	w.SSH = fmt.Sprintf("{user: %s, port: %d, key_file: %q}", sshd.User, sshd.Addr.Port(), sshd.Dir+"/id")
	w.Templates, w.Database = t.TempDir(), engine.URL(t)
	sshdtest.Put(t, w.Templates+"/shop.yaml", shop)
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web"})
	if old {
		firstVersion(t, engine, w.Database, 101)
	}
	ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "viewer")
	w.Run()
	if old {
		w.AwaitNone(`SELECT count(*) FROM containers WHERE vmid = 101 AND (id <> 'old' OR hostname IS NULL)`)
	}

	ana.Creates()
	ana.Review("shop", "Shop", "market").Deploy()
	task, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == "vzcreate" })
	if err != nil {
		t.Fatal(err)
	}
	// It lets in whom Proxmox was told to let in.
	sshdtest.Put(t, sshd.Dir+"/authorized_keys", task.Params.Get("ssh-public-keys"))
	done := ben.Sees("Created market", "running at 127.0.0.1")
	if ct, ok := w.PVE.Container(100); !ok || !ct.Running || ct.Name != "market" || ct.Tags != "one;two" || !ct.Unprivileged || ct.Features != "nesting=1" {
		t.Errorf("%v %+v", ok, ct)
	}
	w.Told()
	if n := ben.Count("Created market"); n != 1 || ben.Count("Creating market") != 0 {
		t.Errorf("it is told %d times", n)
	}

	done.As(ana).Press("Manage")
	ana.Sees("market", "CT 100", "Hostname market", "Tags one, two")
	ana.Command("services market")
	ana.Sees("Services 1/1", "shop running", "port 8080")
	ana.Command("credentials market")
	if shown := ana.Sees("USER", "admin", canary); !shown.Private {
		t.Error("the credentials are shown to everybody")
	}
	ben.Command("credentials market")
	ben.Sees("Not allowed")
	if n := ben.Count(canaryCore); n != 0 {
		t.Error("somebody else sees them")
	}

	ana.Command("delete market")
	ana.Sees("Delete market for good?", "running, so it is stopped first").Submit(map[string]string{"name": "market"})
	ana.Sees("Deleted market")
	if got := strings.Join(w.Tasks(100), " "); got != "vzcreate vzstart vzdestroy" {
		t.Errorf("it was %s", got)
	}
	if ct, there := w.PVE.Container(100); there {
		t.Errorf("it is still there: %+v", ct)
	}
	for _, v := range w.PVE.Volumes("local-lvm") {
		t.Errorf("a volume is left: %+v", v)
	}
	w.Told()
	w.AwaitNone(`SELECT count(*) FROM containers WHERE gone_at IS NULL AND vmid <> 101`)
	w.Correct()
}

// An address that another container has on the same bridge is refused at its
// field, also while that one is being made; another one goes on.
func TestAnAddressInUseIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		var mirror atomic.Int32
		w := newYard(t, &mirror)
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "dns", Net: []string{"name=eth0,bridge=vmbr0,ip=192.0.2.53/24"}})
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		w.Refreshed() // whose configurations are read by now
		step := ana.Creates()
		values := func(ip string) map[string]string { return map[string]string{"hostname": "shop", "ip": ip} }
		if on == daemontest.Slack {
			step.Submit(map[string]string{"template": "debian"})
			settings := ana.Sees("Debian 13 on pve1")
			settings.Submit(values("192.0.2.53/24"))
			ana.Sees("192.0.2.53 is in use, by dns").Submit(values("192.0.2.54/24"))
		} else {
			step.Press("Debian 13")
			ana.Sees("1 Template", "Each has its page").Press("Next")
			ana.Sees("Debian 13 on pve1").Press("Name and access…")
			ana.Sees("Create container").Submit(map[string]string{"hostname": "shop"})
			ana.Sees("Debian 13 on pve1", "Hostname shop").Press("Network…")
			ana.Sees("Create container").Submit(map[string]string{"ip": "192.0.2.53/24"})
			ana.Sees("192.0.2.53 is in use, by dns").Press("Try again")
			ana.Sees("Create container").Submit(map[string]string{"ip": "192.0.2.54/24"})
			ana.Sees("Debian 13 on pve1", "Hostname shop", "192.0.2.54").Press("Next")
		}
		ana.Sees("What Debian 13 does inside")
		if n := len(w.Sent(100)); n != 0 {
			t.Errorf("%d requests", n)
		}
		w.Correct()
	})
}

// What the token lacks is said on the way to a container, with nothing sent;
// once it is granted, the next try goes on.
func TestAMissingPrivilegeIsToldBeforeDeploy(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		var mirror atomic.Int32
		w := newYard(t, &mirror)
		grant := func(more map[string][]string) {
			rights := map[string][]string{"/": proxmoxtest.Administrator()}
			maps.Copy(rights, more)
			w.PVE.Token(daemontest.Token, "pve-secret", rights)
		}
		grant(map[string][]string{"/storage/local-lvm": {"Datastore.Audit"}})
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		step := ana.Creates()
		next := func() { ana.Sees("Debian 13 on pve1").Press("Next") }
		if on == daemontest.Slack {
			step.Submit(map[string]string{"template": "debian"})
			next = func() { ana.Sees("Debian 13 on pve1").Submit(map[string]string{"hostname": "shop"}) }
		} else {
			step.Press("Debian 13")
			ana.Sees("1 Template", "Each has its page").Press("Next")
		}
		next()
		ana.Sees("lacks Datastore.AllocateSpace on /storage/local-lvm", "/pve doctor")
		if n := len(w.Sent(100)); n != 0 {
			t.Errorf("%d requests", n)
		}
		grant(nil)
		ana.Until("the next step", func() bool {
			switch {
			case ana.Count("What Debian 13 does inside") > 0:
				return true
			case ana.Count("lacks Datastore.AllocateSpace") == 0:
				return false
			case on == daemontest.Discord:
				ana.Sees("lacks Datastore.AllocateSpace").Press("Try again")
			}
			next()
			return false
		})
		w.Correct()
	})
}
