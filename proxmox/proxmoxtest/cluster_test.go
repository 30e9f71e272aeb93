package proxmoxtest_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestTheStatusOfTheCluster(t *testing.T) {
	l := start(t, proxmoxtest.Options{Cluster: "lab"})
	alone := l.get("/cluster/status").([]any)
	if len(alone) != 1 || alone[0].(map[string]any)["type"] != "node" || alone[0].(map[string]any)["local"] != 1.0 {
		t.Errorf("alone: %v", alone)
	}
	l.AddNode("pve1")
	l.AddNode("pve2")
	rows := l.get("/cluster/status").([]any)
	want := map[string]any{"type": "cluster", "id": "cluster", "name": "lab", "nodes": 2.0, "quorate": 1.0, "version": 2.0}
	if diff := cmp.Diff(want, rows[0]); diff != "" {
		t.Error(diff)
	}
	if row := l.rows("name", "/cluster/status")["pve2"]; row["ip"] != "192.0.2.12" || row["nodeid"] != 2.0 || row["online"] != 1.0 || row["local"] != 0.0 {
		t.Errorf("node %v", row)
	}
	l.SetNode("pve2", false) // one of two
	if row := l.rows("name", "/cluster/status")["lab"]; row["quorate"] != 0.0 {
		t.Errorf("cluster %v", row)
	}
	l.Quorum(true)
	if row := l.rows("name", "/cluster/status")["lab"]; row["quorate"] != 1.0 {
		t.Errorf("cluster %v", row)
	}
}

func TestTheNextIDIsAString(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 100})
	l.AddVM(101, "pve", "router", false)
	if got := l.get("/cluster/nextid"); got != "102" {
		t.Errorf("next id %#v", got)
	}
	if got := l.get("/cluster/nextid", "vmid=5000"); got != "5000" {
		t.Errorf("free id %#v", got)
	}
	if got := l.get("/cluster/nextid"); got != "102" {
		t.Errorf("nothing is reserved: %#v", got)
	}
}

func TestNodes(t *testing.T) {
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return noon }})
	l.AddNode("pve2")
	l.AddNode("pve1")
	l.UpdateNode("pve1", func(n *proxmoxtest.Node) { n.Cores, n.CPU, n.Uptime = 4, 0.5, time.Hour })
	l.UpdateNode("pve9", func(*proxmoxtest.Node) { t.Error("called for nothing") })
	list := l.get("/nodes").([]any)
	first := list[0].(map[string]any)
	if len(list) != 2 || first["node"] != "pve1" || first["maxcpu"] != 4.0 || first["cpu"] != 0.5 || first["uptime"] != 3600.0 {
		t.Errorf("nodes %v", list)
	}
}

func TestAVirtualMachineIsOnlyInLists(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddVM(200, "pve", "router", true)
	if row := l.row("qemu/200"); row["name"] != "router" || row["status"] != "running" {
		t.Errorf("row %v", row)
	}
	l.refuse(500, "Configuration file 'nodes/pve/lxc/200.conf' does not exist", "GET", "/nodes/pve/lxc/200/status/current")
	if got := l.get("/nodes/pve/lxc").([]any); len(got) != 0 {
		t.Errorf("list %v", got)
	}
	if _, ok := l.Container(200); ok {
		t.Error("it is a container")
	}
}

func TestStorages(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	l.AddNode("pve2")
	l.AddStorage(proxmoxtest.Storage{Name: "nas", Type: "nfs", Content: "backup,vztmpl", Shared: true, Inactive: true, Total: 100, Used: 10})
	l.AddStorage(proxmoxtest.Storage{Name: "tank", Type: "zfspool", Content: "images,rootdir", Nodes: []string{"pve2"}, Total: 100, Used: 25})
	l.AddStorage(proxmoxtest.Storage{Name: "off", Type: "dir", Content: "iso", Disabled: true})
	rows := l.rows("storage", "/nodes/pve2/storage")
	if row := rows["tank"]; row["active"] != 1.0 || row["enabled"] != 1.0 || row["avail"] != 75.0 || row["used_fraction"] != 0.25 || row["shared"] != 0.0 {
		t.Errorf("tank %v", row)
	}
	if row := rows["nas"]; row["active"] != 0.0 || row["enabled"] != 1.0 || row["total"] != 0.0 || row["used_fraction"] != nil || row["shared"] != 1.0 {
		t.Errorf("nas %v", row)
	}
	if row := rows["off"]; row["enabled"] != 0.0 {
		t.Errorf("off %v", row)
	}
	for _, test := range []struct {
		form []string
		n    int
	}{
		{nil, 5},
		{[]string{"enabled=1"}, 4},
		{[]string{"content=rootdir"}, 2},
		{[]string{"content=vztmpl,iso"}, 2},
		{[]string{"storage=tank"}, 1},
		{[]string{"target=pve1"}, 1},
		{[]string{"content=rootdir", "format=1"}, 2},
	} {
		if got := l.get("/nodes/pve2/storage", test.form...).([]any); len(got) != test.n {
			t.Errorf("%v: %v", test.form, got)
		}
	}
	if got := l.rows("storage", "/nodes/pve1/storage", "content=rootdir"); len(got) != 1 {
		t.Errorf("on pve1: %v", got)
	}
	if row := l.row("storage/pve1/nas"); row["status"] != "unknown" || row["shared"] != 1.0 {
		t.Errorf("row %v", row)
	}
	if l.row("storage/pve1/tank") != nil || l.row("storage/pve2/tank") == nil {
		t.Error("tank is on pve2 only")
	}
	for reason, path := range map[string]string{
		"storage 'nix' does not exist":                   "nix",
		"storage 'nas' is not online":                    "nas",
		"storage 'off' is disabled":                      "off",
		"storage 'tank' is not available on node 'pve1'": "tank",
	} {
		l.refuse(500, reason, "GET", "/nodes/pve1/storage/"+path+"/content")
	}
}

func TestWhatLiesOnAStorage(t *testing.T) {
	const template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	l.AddNode("pve2")
	l.AddStorage(proxmoxtest.Storage{Name: "local", Type: "dir", Content: "vztmpl,backup", Volumes: []proxmoxtest.Volume{
		{ID: template, Content: "vztmpl", Format: "tzst", Size: 124 << 20, Created: noon},
		{ID: "local:backup/vzdump-lxc-101.tar.zst", Content: "backup", Format: "tar.zst", Size: 1, VMID: 101, Notes: "gitea"},
		{ID: "local:iso/x.iso", Content: "iso", Format: "iso"},
	}})
	l.AddContainer(container{VMID: 101, Node: "pve1", Mounts: []proxmoxtest.Mount{{Volume: "local-lvm:subvol-101-disk-1", Path: "/srv", Size: 5}}})
	l.AddContainer(container{VMID: 102, Node: "pve2"})
	local, lvm := "/nodes/pve1/storage/local/content", "/nodes/pve1/storage/local-lvm/content"
	rows := l.rows("volid", local)
	want := map[string]any{"volid": template, "content": "vztmpl", "format": "tzst", "size": float64(124 << 20), "ctime": float64(noon.Unix())}
	if diff := cmp.Diff(want, rows[template]); diff != "" || len(rows) != 2 {
		t.Errorf("%s in %v", diff, rows)
	}
	if got := l.get(local, "content=vztmpl").([]any); len(got) != 1 {
		t.Errorf("templates %v", got)
	}
	disks := l.rows("volid", lvm)
	if len(disks) != 2 || disks["local-lvm:subvol-101-disk-1"]["format"] != "subvol" || disks["local-lvm:vm-101-disk-0"]["vmid"] != 101.0 {
		t.Errorf("disks %v", disks)
	}
	if got := l.get(lvm, "vmid=102").([]any); len(got) != 0 {
		t.Errorf("disks of another node: %v", got)
	}
	l.Token(bot, "secret", map[string][]string{"/storage": {"Datastore.Audit"}})
	if got := l.rows("volid", local); len(got) != 1 || got[template] == nil {
		t.Errorf("an auditor sees %v", got)
	}
	if got := l.get(lvm).([]any); len(got) != 0 {
		t.Errorf("an auditor sees %v", got)
	}
	l.Token(bot, "secret", map[string][]string{"/storage": {"Datastore.Audit", "Datastore.AllocateSpace"}, "/vms/101": {"VM.Config.Disk", "VM.Backup"}})
	if n := len(l.rows("volid", local)) + len(l.rows("volid", lvm)); n != 4 {
		t.Errorf("the owner sees %d volumes", n)
	}
}
