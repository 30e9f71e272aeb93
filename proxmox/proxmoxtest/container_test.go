package proxmoxtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func jellyfin() container {
	return container{
		VMID: 101, Name: "jellyfin", Running: true, Cores: 2, Memory: 2 << 30, MemUsed: 1 << 30, Swap: 512 << 20, SwapUsed: 15 << 20,
		Disk: 32 << 30, DiskUsed: 20 << 30, Tags: "media;prod", Features: "nesting=1", OnBoot: true, Unprivileged: true, Protection: true,
		Description: "films", Addr: "192.168.10.48/24", Uptime: 12 * time.Minute,
		Net:    []string{"name=eth0,bridge=vmbr0,hwaddr=BC:24:11:AA:BB:CC,ip=dhcp,type=veth", "name=eth1,bridge=vmbr1,hwaddr=BC:24:11:00:00:01,ip=10.0.0.5/24"},
		Mounts: []proxmoxtest.Mount{{Volume: "tank:subvol-101-disk-1", Path: "/srv/media", Size: 500 << 30}},
		Snapshots: []proxmoxtest.Snapshot{
			{Name: "before", Description: "upgrade", Time: noon},
			{Name: "after", Parent: "before", Time: noon.Add(time.Hour)},
		},
		Config: map[string]any{"nameserver": "192.168.10.1"},
	}
}

func TestTheConfiguration(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(jellyfin())
	got := l.get(ct101 + "/config").(map[string]any)
	digest := got["digest"].(string)
	delete(got, "digest")
	want := map[string]any{
		"arch": "amd64", "ostype": "debian", "hostname": "jellyfin", "cores": 2.0, "memory": 2048.0, "swap": 512.0,
		"rootfs": "local-lvm:vm-101-disk-0,size=32G", "mp0": "tank:subvol-101-disk-1,mp=/srv/media,size=500G",
		"net0": jellyfin().Net[0], "net1": jellyfin().Net[1], "features": "nesting=1", "tags": "media;prod",
		"description": "films\n", "onboot": 1.0, "protection": 1.0, "unprivileged": 1.0, "nameserver": "192.168.10.1", "parent": "after",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := l.get(ct101 + "/config").(map[string]any)["digest"]; again != digest || len(digest) != 40 {
		t.Errorf("digest %v, then %v", digest, again)
	}
	l.Update(101, func(c *container) { c.Cores = 4 })
	if again := l.get(ct101 + "/config").(map[string]any)["digest"]; again == digest {
		t.Error("the digest does not change with the configuration")
	}
	if old := l.get(ct101+"/config", "snapshot=before").(map[string]any); old["snaptime"] != float64(noon.Unix()) {
		t.Errorf("snapshot %v", old)
	}
	l.refuse(500, "snapshot 'never' does not exist", "GET", ct101+"/config", "snapshot=never")
	if a := l.refuse(400, "Parameter verification failed.", "GET", ct101+"/config", "snapshot=before", "current=1"); len(a.Errors) != 2 {
		t.Errorf("errors %v", a.Errors)
	}
}

func TestAContainerThatIsMadeAgainIsAnother(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101, Name: "gitea"})
	before := l.get(ct101 + "/config").(map[string]any)
	l.RemoveContainer(101)
	l.AddContainer(container{VMID: 101, Name: "gitea"})
	after := l.get(ct101 + "/config").(map[string]any)
	if before["net0"] == after["net0"] || !strings.Contains(after["net0"].(string), "hwaddr=BC:24:11:") {
		t.Errorf("%v, then %v", before["net0"], after["net0"])
	}
}

func TestTheLiveStatus(t *testing.T) {
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return noon }})
	l.AddContainer(jellyfin())
	l.AddContainer(container{VMID: 102, Template: true, Lock: "disk"})
	const common = "cpu cpus disk diskread diskwrite ha maxdisk maxmem maxswap mem name netin netout status swap type uptime vmid"
	row := l.get(ct101 + "/status/current").(map[string]any)
	for _, k := range strings.Fields(common + " pid tags pressurecpusome pressurecpufull pressureiosome pressureiofull pressurememorysome pressurememoryfull") {
		if _, ok := row[k]; !ok {
			t.Errorf("no %s in %v", k, row)
		}
	}
	if row["swap"] != float64(15<<20) || row["uptime"] != 720.0 || row["pressurecpusome"] != "0.00" || row["vmid"] != 101.0 {
		t.Errorf("row %v", row)
	}
	if got := keys(l.get("/nodes/pve/lxc/102/status/current").(map[string]any)); got != strings.Replace(strings.Replace(common, "ha ", "ha lock ", 1), "swap type", "swap template type", 1) {
		t.Errorf("stopped: %s", got)
	}
	listed := l.get("/nodes/pve/lxc").([]any)
	if len(listed) != 2 || listed[0].(map[string]any)["ha"] != nil {
		t.Errorf("list %v", listed)
	}
	l.refuse(500, "Configuration file 'nodes/pve/lxc/999.conf' does not exist", "GET", "/nodes/pve/lxc/999/status/current")
}

func TestInterfaces(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(jellyfin())
	l.AddContainer(container{VMID: 102})
	got := l.rows("name", ct101+"/interfaces")
	want := map[string]any{
		"name": "eth0", "hwaddr": "bc:24:11:aa:bb:cc", "hardware-address": "bc:24:11:aa:bb:cc",
		"inet": "192.168.10.48/24", "inet6": "fe80::be24:11ff:feaa:bbcc/64",
		"ip-addresses": []any{
			map[string]any{"ip-address": "192.168.10.48", "ip-address-type": "inet", "prefix": "24"},
			map[string]any{"ip-address": "fe80::be24:11ff:feaa:bbcc", "ip-address-type": "inet6", "prefix": "64"},
		},
	}
	if diff := cmp.Diff(want, got["eth0"]); diff != "" {
		t.Error(diff)
	}
	if got["eth1"]["inet"] != "10.0.0.5/24" || got["lo"]["inet6"] != "::1/128" || len(got) != 3 {
		t.Errorf("interfaces %v", got)
	}
	for _, path := range []string{"/nodes/pve/lxc/102/interfaces", "/nodes/pve/lxc/999/interfaces"} {
		if a := l.call("GET", path); a.Raw != `{"data":null}` {
			t.Errorf("%s: %s", path, a.Raw)
		}
	}
}

func TestSnapshots(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(jellyfin())
	list := l.get(ct101 + "/snapshot").([]any)
	last := list[len(list)-1].(map[string]any)
	if last["name"] != "current" || last["running"] != 1.0 || last["parent"] != "after" || last["description"] != "You are here!" || last["digest"] == nil {
		t.Errorf("last %v", last)
	}
	rows := l.rows("name", ct101+"/snapshot")
	want := map[string]any{"name": "after", "description": "", "parent": "before", "snaptime": float64(noon.Add(time.Hour).Unix())}
	if diff := cmp.Diff(want, rows["after"]); diff != "" || len(rows) != 3 {
		t.Error(diff)
	}
}

func TestFiguresOfThePast(t *testing.T) {
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return noon }})
	l.AddContainer(jellyfin())
	rows := l.get(ct101+"/rrddata", "timeframe=hour").([]any)
	first, last := rows[0].(map[string]any), rows[len(rows)-1].(map[string]any)
	if len(rows) != 60 || last["time"] != float64(noon.Unix()-60) || first["time"] != float64(noon.Unix()-3600) {
		t.Errorf("%d points from %v to %v", len(rows), first["time"], last["time"])
	}
	if _, ok := first["cpu"]; ok || first["maxmem"] == nil || last["cpu"] == nil || last["netin"] == nil {
		t.Errorf("it runs for 12 minutes: first %v, last %v", first, last)
	}
	l.refuse(400, "Parameter verification failed.", "GET", ct101+"/rrddata")
}

func TestUpdateKeepsWhatItIsNotAskedToChange(t *testing.T) {
	now := noon
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return now }})
	l.AddContainer(jellyfin())
	uptime := func() time.Duration { c, _ := l.Container(101); return c.Uptime }
	now = now.Add(time.Minute)
	l.Update(101, func(c *container) { c.CPU = 1 })
	if got := uptime(); got != 13*time.Minute {
		t.Errorf("uptime %v", got)
	}
	l.Update(101, func(c *container) { c.Running = false })
	if got := uptime(); got != 0 {
		t.Errorf("stopped: %v", got)
	}
	l.Update(101, func(c *container) { c.Running = true })
	now = now.Add(time.Minute)
	if got := uptime(); got != time.Minute {
		t.Errorf("started again: %v", got)
	}
	l.Update(101, func(c *container) { c.Node, c.VMID = "pve2", 7 })
	l.refuse(500, "Configuration file 'nodes/pve/lxc/101.conf' does not exist", "GET", ct101+"/config")
	l.get("/nodes/pve2/lxc/101/config")
	c, _ := l.Container(101)
	c.Net[0], c.Config["nameserver"] = "x", "x"
	if again, _ := l.Container(101); again.Net[0] == "x" || again.Config["nameserver"] == "x" {
		t.Error("a copy is not a copy")
	}
	l.Update(999, func(*container) { t.Error("called for nothing") })
	if _, ok := l.Container(999); ok {
		t.Error("there is a container 999")
	}
}
