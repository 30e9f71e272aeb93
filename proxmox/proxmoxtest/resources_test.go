package proxmoxtest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func (l *lab) row(id string) map[string]any {
	l.t.Helper()
	return l.rows("id", "/cluster/resources")[id]
}

func keys(row map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(row)), " ") }

func TestRowsOfResources(t *testing.T) {
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return noon }})
	l.AddNode("pve1")
	l.AddNode("pve2")
	l.AddVM(200, "pve1", "router", true)
	for _, c := range []container{
		{
			VMID: 101, Node: "pve1", Name: "gitea", Running: true, Cores: 2, CPU: 0.25, Memory: 2 << 30, MemUsed: 734003200,
			Disk: 8 << 30, DiskUsed: 3 << 30, Tags: "prod;web", Pool: "apps", HA: true, Uptime: 76 * time.Hour,
		},
		{VMID: 102, Node: "pve1", Name: "wi ki"},
		{VMID: 103, Node: "pve2", Silent: true},
		{VMID: 1001, Node: "pve1", Running: true, CPU: -5.75e-05, Lock: "backup"},
		{VMID: 104, Node: "pve1", Name: `*x*@everyone<!channel>"\` + "\x00`", Template: true},
	} {
		l.AddContainer(c)
	}
	var order []string
	for _, row := range l.get("/cluster/resources").([]any) {
		order = append(order, row.(map[string]any)["id"].(string))
	}
	want := strings.Fields(`/pool/apps lxc/1001 lxc/101 lxc/102 lxc/103 lxc/104 qemu/200 node/pve1 node/pve2
		storage/pve1/local storage/pve2/local storage/pve1/local-lvm storage/pve2/local-lvm
		network/pve1/zone/localnetwork network/pve2/zone/localnetwork`)
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("sorted by VMID as a string: %s", diff)
	}
	const known = "cpu disk diskread diskwrite id maxcpu maxdisk maxmem mem memhost name netin netout node status template type uptime vmid"
	tests := []struct {
		name, id, keys string
		has            map[string]any
	}{
		{"a running one", "lxc/101", "cpu disk diskread diskwrite hastate id maxcpu maxdisk maxmem mem memhost name netin netout node pool status tags template type uptime vmid", map[string]any{
			"vmid": 101.0, "status": "running", "name": "gitea", "cpu": 0.25, "maxcpu": 2.0, "mem": 734003200.0, "maxmem": float64(2 << 30),
			"disk": float64(3 << 30), "uptime": 273600.0, "tags": "prod;web", "pool": "apps", "hastate": "started", "template": 0.0,
		}},
		{"a stopped one", "lxc/102", known, map[string]any{
			"status": "stopped", "name": "wiki", "cpu": 0.0, "mem": 0.0, "disk": 0.0, "uptime": 0.0, "maxdisk": float64(8 << 30), "maxcpu": 8.0,
		}},
		{"one that is not reported", "lxc/103", "id node status type vmid", map[string]any{"status": "unknown", "vmid": 103.0}},
		{"one without a name, with a little less than no load, locked", "lxc/1001", known[:strings.Index(known, "maxcpu")] + "lock " + known[strings.Index(known, "maxcpu"):], map[string]any{
			"name": "CT1001", "cpu": -5.75e-05, "lock": "backup",
		}},
		{"a template with a hostile name", "lxc/104", known, map[string]any{"name": `*x*@everyone<!channel>"\` + "\x00`", "template": 1.0}},
		{"a virtual machine", "qemu/200", known, map[string]any{"type": "qemu", "name": "router"}},
		{"a node", "node/pve1", "cgroup-mode cpu disk id level maxcpu maxdisk maxmem mem node status type uptime", map[string]any{"status": "online", "maxcpu": 8.0}},
		{"a storage", "storage/pve1/local-lvm", "content disk id maxdisk node plugintype shared status storage type", map[string]any{
			"status": "available", "plugintype": "lvmthin", "content": "rootdir,images", "shared": 0.0,
		}},
		{"a pool", "/pool/apps", "cpu id maxcpu maxmem mem pool type uptime", map[string]any{"pool": "apps", "mem": 734003200.0, "maxcpu": 2.0}},
	}
	rows := l.rows("id", "/cluster/resources")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			row := rows[test.id]
			if got := keys(row); got != test.keys {
				t.Errorf("keys %s\n want %s", got, test.keys)
			}
			for k, want := range test.has {
				if row[k] != want {
					t.Errorf("%s: %v, want %v", k, row[k], want)
				}
			}
		})
	}
	for kind, n := range map[string]int{"vm": 6, "node": 2, "storage": 4, "sdn": 0} {
		if rows := l.rows("id", "/cluster/resources", "type="+kind); len(rows) != n {
			t.Errorf("%d rows of type %s", len(rows), kind)
		}
	}
}

func TestFiguresAreUpTo10sOld(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Name: "gitea"})
		time.Sleep(12 * time.Second)
		l.finish("POST", ct101+"/status/start") // 14 s
		if row := l.row("lxc/101"); row["status"] != "stopped" {
			t.Errorf("row %v", row)
		}
		if live := l.get(ct101 + "/status/current").(map[string]any); live["status"] != "running" {
			t.Errorf("live %v", live)
		}
		// What the cluster file system knows is of now.
		l.Update(101, func(c *container) { c.Tags, c.Lock, c.Name = "new", "disk", "forgejo" })
		if row := l.row("lxc/101"); row["tags"] != "new" || row["lock"] != "disk" || row["name"] != "gitea" {
			t.Errorf("row %v", row)
		}
		time.Sleep(7 * time.Second)
		if row := l.row("lxc/101"); row["status"] != "running" || row["uptime"] != 6.0 || row["name"] != "forgejo" {
			t.Errorf("row %v", row)
		}
		time.Sleep(8 * time.Second)
		if row := l.row("lxc/101"); row["uptime"] != 6.0 {
			t.Errorf("row %v", row)
		}
	})
}

func TestFiguresAreOfTheMomentTheyWereDueEvenIfNobodyLooked(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, CPU: 0.1, Running: true})
		time.Sleep(11 * time.Second)
		l.Update(101, func(c *container) { c.CPU = 0.9 })
		if row := l.row("lxc/101"); row["cpu"] != 0.1 || row["uptime"] != 10.0 {
			t.Errorf("row %v", row)
		}
	})
}

func TestABrandNewContainerHasNoNameYet(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 105, Lock: "create"})
		if got := keys(l.row("lxc/105")); got != "id lock node status type vmid" {
			t.Errorf("keys %s", got)
		}
		time.Sleep(10 * time.Second)
		if row := l.row("lxc/105"); row["name"] != "CT105" || row["status"] != "stopped" || row["lock"] != "create" {
			t.Errorf("row %v", row)
		}
		upid, err := l.Act("root@pam", "create", 105)
		if err != nil {
			t.Fatal(err)
		}
		if task := l.ended(upid); task.Type != "vzcreate" || task.Exit != "OK" {
			t.Errorf("task %+v", task)
		}
		if row := l.row("lxc/105"); row["lock"] != nil {
			t.Errorf("row %v", row)
		}
	})
}

func TestANodeThatGoesDown(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		for _, n := range []string{"pve1", "pve2", "pve3"} {
			l.AddNode(n)
		}
		l.AddContainer(container{VMID: 101, Node: "pve1", Name: "a", Running: true})
		l.AddContainer(container{VMID: 102, Node: "pve2", Name: "b", Running: true, Tags: "x"})
		l.SetNode("pve2", false)

		began := time.Now()
		for _, path := range []string{"/nodes/pve2/lxc/102/status/current", "/nodes/pve2/tasks", "/nodes/pve2/lxc"} {
			if a := l.refuse(595, "No route to host", "GET", path); a.Raw != "" || !a.Close {
				t.Errorf("%+v", a)
			}
		}
		l.refuse(595, "No route to host", "POST", "/nodes/pve2/lxc/102/status/stop", "nonsense=1")
		if took := time.Since(began); took != 12*time.Second {
			t.Errorf("four answers took %v", took)
		}
		if len(l.Tasks()) != 0 {
			t.Error("there is a task")
		}
		l.get("/nodes/pve1/lxc/101/status/current")

		time.Sleep(4 * time.Minute)
		if row := l.row("lxc/102"); row["status"] != "running" || row["name"] != "b" || row["uptime"] != 0.0 {
			t.Errorf("after 4 minutes: %v", row)
		}
		if row := l.row("node/pve2"); keys(row) != "id level maxcpu maxdisk maxmem node status type" || row["status"] != "offline" {
			t.Errorf("after 4 minutes: %v", row)
		}
		time.Sleep(2 * time.Minute)
		if row := l.row("lxc/102"); keys(row) != "id node status tags type vmid" || row["status"] != "unknown" {
			t.Errorf("after 6 minutes: %v", row)
		}
		if row := l.row("node/pve2"); keys(row) != "id node status type" || row["status"] != "offline" {
			t.Errorf("after 6 minutes: %v", row)
		}
		if row := l.row("storage/pve2/local"); row["status"] != "unknown" {
			t.Errorf("after 6 minutes: %v", row)
		}
		if row := l.row("lxc/101"); row["name"] != "a" || row["uptime"] == 0.0 {
			t.Errorf("its neighbour: %v", row)
		}
		if row := l.rows("name", "/cluster/status"); row["pve2"]["online"] != 0.0 || row["home"]["quorate"] != 1.0 || row["home"]["nodes"] != 3.0 {
			t.Errorf("status %v", row)
		}
		if row := l.rows("node", "/nodes")["pve2"]; row["status"] != "offline" || row["cpu"] != nil {
			t.Errorf("node %v", row)
		}

		l.SetNode("pve1", false)
		if row := l.rows("name", "/cluster/status"); row["home"]["quorate"] != 0.0 || row["pve3"]["local"] != 1.0 {
			t.Errorf("status %v", row)
		}
		l.SetNode("pve2", true)
		time.Sleep(10 * time.Second)
		if row := l.row("lxc/102"); row["status"] != "running" || row["uptime"].(float64) < 360 {
			t.Errorf("when it is back: %v", row)
		}
	})
}

func TestWithScale0FiguresAreOfNow(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101, Name: "a"})
	l.row("lxc/101")
	l.finish("POST", ct101+"/status/start")
	if row := l.row("lxc/101"); row["status"] != "running" {
		t.Errorf("row %v", row)
	}
	l.AddNode("pve2")
	l.SetNode("pve", false)
	if row := l.row("lxc/101"); row["status"] != "unknown" || row["name"] != nil {
		t.Errorf("row %v", row)
	}
}

func TestANodeThatDoesNotExist(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.refuse(500, "hostname lookup 'pve9' failed - failed to get address info for: pve9: Name or service not known", "GET", "/nodes/pve9/lxc")
	l.get("/nodes/localhost/lxc")
}

func TestTypesOfOlderVersions(t *testing.T) {
	tests := []struct {
		version string
		vmid    any
		has     string
		lacks   string
		lock    any
	}{
		{"9.2.2", 101.0, "pressurecpusome", "-", nil},
		{"8.2.4", 101.0, "pid", "pressurecpusome", nil},
		{"7.4", "101", "pid", "pressurecpusome", nil},
		{"6.2", "101", "template", "pressurecpusome", ""},
	}
	for _, test := range tests {
		t.Run(test.version, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{Version: test.version})
			l.AddContainer(container{VMID: 101, Running: true, CPU: 0.8, Addr: "192.0.2.15/24"})
			row := l.get("/nodes/pve/lxc").([]any)[0].(map[string]any)
			_, has := row[test.has]
			_, lacks := row[test.lacks]
			if row["vmid"] != test.vmid || !has || lacks || row["lock"] != test.lock {
				t.Errorf("row %v", row)
			}
			if p, ok := row["pressurecpusome"]; ok && p != "1.00" {
				t.Errorf("pressure %#v", p)
			}
			cluster := l.row("lxc/101")
			if _, ok := cluster["memhost"]; ok != (test.version == "9.2.2") || cluster["vmid"] != test.vmid || cluster["pressurecpusome"] != nil {
				t.Errorf("row %v", cluster)
			}
			lo := l.rows("name", ct101+"/interfaces")["lo"]
			if _, ok := lo["ip-addresses"]; ok != (test.version == "9.2.2") || lo["inet"] != "127.0.0.1/8" {
				t.Errorf("interface %v", lo)
			}
			points := map[string]int{"9.2.2": 1440}
			if n := len(l.get(ct101+"/rrddata", "timeframe=day").([]any)); n != max(points[test.version], 70) {
				t.Errorf("%d points", n)
			}
		})
	}
}

func TestTenThousandContainersAreServedFromWhatWasRendered(t *testing.T) {
	l := start(t, proxmoxtest.Options{Scale: 1})
	crowd(l.Server, 10_000)
	if n := len(l.rows("id", "/cluster/resources", "type=vm")); n != 10_000 {
		t.Fatalf("%d rows", n)
	}
	first := l.call("GET", "/cluster/resources").Raw
	if l.call("GET", "/cluster/resources").Raw != first {
		t.Error("it changed without a reason")
	}
	l.Update(100, func(c *container) { c.Lock = "disk" })
	if l.call("GET", "/cluster/resources").Raw == first {
		t.Error("a change is not seen")
	}
}

func crowd(s *proxmoxtest.Server, n int) {
	for i := range n {
		s.AddContainer(container{
			VMID: 100 + i, Node: fmt.Sprint("pve", i%8), Name: fmt.Sprint("ct-", i), Running: i%4 != 0, Cores: 2,
			CPU: 0.1, Memory: 1 << 30, MemUsed: 300 << 20, Disk: 8 << 30, DiskUsed: 2 << 30, Tags: "prod;web",
		})
	}
}
