package daemon_test

import (
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestSeveralAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 111, Node: "pve1", Name: "api", Running: true, Tags: "web"})
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 112, Node: "pve2", Name: "shop", Running: true, Tags: "web", IgnoresShutdown: true})
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 113, Node: "pve2", Name: "queue", Tags: "web"})
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		ana.Command("dashboard")
		ana.Sees("queue stopped")

		// By tag: one question, one job each, one end that names what did not work.
		ana.Command("shutdown tag:web")
		ask := ana.Sees("Shut down 2 containers?", "api, shop", "queue (it is not running)")
		if !ask.Private && !ask.Window {
			t.Error("the question is public")
		}
		wantTasks(t, w, 111)
		ask.Press("Shut down 2 containers")
		ana.Sees("Shut down 1 of 2 containers", "shop: container did not stop")
		wantTasks(t, w, 111, "vzshutdown")
		wantTasks(t, w, 112, "vzshutdown")
		wantTasks(t, w, 113)

		// By choosing in one's own view.
		ana.Command("list")
		ana.Sees("Showing").Press("Act on several…")
		ana.Sees("Choose containers, then what to do").Press("queue")
		ana.Sees("1 container chosen").Press("Start…")
		ana.Sees("Start 1 container?", "queue").Press("Start 1 container")
		ana.Sees("Started 1 of 1 container")
		wantTasks(t, w, 113, "vzstart")
		w.Correct()
	})
}

func TestLeftoversGoOnlyWhenTheyAreTicked(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.PVE.AddStorage(proxmoxtest.Storage{Name: "tank", Type: "zfspool", Content: "rootdir,images", Shared: true, Total: 1 << 40, Volumes: []proxmoxtest.Volume{
			{ID: "tank:subvol-101-disk-7", Content: "rootdir", Format: "subvol", Size: 8 << 30, VMID: 101},
			{ID: "tank:subvol-102-disk-7", Content: "rootdir", Format: "subvol", Size: 8 << 30, VMID: 102},
		}})
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		ana.Command("delete wiki")
		ana.Sees("tank:subvol-102-disk-7", "They stay").Submit(map[string]string{"name": "wiki"})
		ana.Sees("Deleted wiki")
		ana.Command("delete web")
		ana.Sees("tank:subvol-101-disk-7", "They stay").Press("Destroy these too")
		ana.Sees("They are destroyed too").Submit(map[string]string{"name": "web"})
		ana.Sees("Deleted web")
		if got := w.Ended("vzdestroy", 102).Params.Encode(); got != "purge=1" {
			t.Errorf("wiki was deleted with %s", got)
		}
		if got := w.Ended("vzdestroy", 101).Params.Encode(); got != "destroy-unreferenced-disks=1&force=1&purge=1" {
			t.Errorf("web was deleted with %s", got)
		}
		if left := w.PVE.Volumes("tank"); len(left) != 1 || left[0].VMID != 102 {
			t.Errorf("left over: %+v", left)
		}
		w.Correct()
	})
}

func TestAFailedTaskShowsItsLog(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		w.PVE.Update(103, func(c *proxmoxtest.Container) { c.StartFails = "mount failed, password=hunter2" })
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		ana.Command("start broken")
		ana.Sees("Could not start broken").Press("Task log")
		log := ana.Sees("Start of broken", "the end of its log", "UPID:")
		if !log.Private && !log.Window {
			t.Error("the log is public")
		}
		if ana.Count("hunter2") > 0 {
			t.Error("a secret of the log is shown")
		}
		w.Correct()
	})
}
