package proxmoxtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func guarded(t *testing.T, privs map[string][]string) *lab {
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	l.AddContainer(container{VMID: 101, Node: "pve1", Running: true, Pool: "apps"})
	l.AddContainer(container{VMID: 102, Node: "pve1", Running: true})
	l.Token(bot, "secret", privs)
	return l
}

func TestEveryCallChecksItsPrivilege(t *testing.T) {
	const ct = "/nodes/pve1/lxc/101"
	tests := []struct{ method, path, reason string }{
		{"GET", "/cluster/status", "(/, Sys.Audit)"},
		{"GET", ct + "/config", "(/vms/101, VM.Audit)"},
		{"GET", ct + "/status/current", "(/vms/101, VM.Audit)"},
		{"GET", ct + "/interfaces", "(/vms/101, VM.Audit)"},
		{"GET", ct + "/snapshot", "(/vms/101, VM.Audit)"},
		{"GET", ct + "/rrddata", "(/vms/101, VM.Audit)"},
		{"POST", ct + "/status/start", "(/vms/101, VM.PowerMgmt)"},
		{"POST", ct + "/status/stop", "(/vms/101, VM.PowerMgmt)"},
		{"POST", ct + "/status/shutdown", "(/vms/101, VM.PowerMgmt)"},
		{"POST", ct + "/status/reboot", "(/vms/101, VM.PowerMgmt)"},
		{"DELETE", ct, "(/vms/101, VM.Allocate)"},
		{"GET", "/nodes/pve1/storage/local/content", "(/storage/local, Datastore.Audit|Datastore.AllocateSpace)"},
		{"GET", "/access/permissions?userid=root@pam", "(/access, Sys.Audit)"},
	}
	l := guarded(t, nil)
	for _, test := range tests {
		a := l.refuse(403, "Permission check failed "+test.reason, test.method, test.path)
		if a.Message != a.Reason+"\n" {
			t.Errorf("message %q", a.Message)
		}
	}
	if tasks := l.Tasks(); len(tasks) != 0 {
		t.Errorf("tasks %v", tasks)
	}
}

func TestWhatIsMissingIsLeftOutOfLists(t *testing.T) {
	tests := []struct {
		name  string
		privs map[string][]string
		rows  string
		nodes string // keys of a node's row
	}{
		{"nothing", nil, "node/pve1", "cgroup-mode id level node status type"},
		{"one container", map[string][]string{"/vms/102": {"VM.Audit"}}, "lxc/102 node/pve1", "cgroup-mode id level node status type"},
		{"all containers but one", map[string][]string{"/vms": {"VM.Audit"}, "/vms/102": {}}, "lxc/101 node/pve1", "cgroup-mode id level node status type"},
		{"those of a pool", map[string][]string{"/pool/apps": {"VM.Audit"}}, "lxc/101 node/pve1", "cgroup-mode id level node status type"},
		{
			"an auditor",
			map[string][]string{"/": {"VM.Audit", "Sys.Audit", "Datastore.Audit", "Pool.Audit", "SDN.Audit"}},
			"/pool/apps lxc/101 lxc/102 network/pve1/zone/localnetwork node/pve1 storage/pve1/local storage/pve1/local-lvm",
			"cgroup-mode cpu disk id level maxcpu maxdisk maxmem mem node status type uptime",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := guarded(t, test.privs)
			rows := l.rows("id", "/cluster/resources")
			var ids []string
			for id := range rows {
				ids = append(ids, id)
			}
			slices.Sort(ids)
			if got := strings.Join(ids, " "); got != test.rows {
				t.Errorf("rows %s, want %s", got, test.rows)
			}
			if got := keys(rows["node/pve1"]); got != test.nodes {
				t.Errorf("node %s", got)
			}
			if pool, seen := rows["lxc/101"]["pool"]; seen != (test.name == "an auditor") {
				t.Errorf("pool %v", pool)
			}
			if n := len(l.get("/nodes/pve1/lxc").([]any)); n != strings.Count(test.rows, "lxc/") {
				t.Errorf("%d containers of the node", n)
			}
			if n := len(l.get("/nodes/pve1/storage").([]any)); n != strings.Count(test.rows, "storage/") {
				t.Errorf("%d storages of the node", n)
			}
			if node := l.rows("node", "/nodes")["pve1"]; (node["cpu"] != nil) != (test.name == "an auditor") || node["status"] != "online" {
				t.Errorf("node %v", node)
			}
		})
	}
}

func TestTwoTokensSeeTheirOwn(t *testing.T) {
	l := guarded(t, map[string][]string{"/": proxmoxtest.Administrator()})
	l.Token("a@pve!bb", "x", nil)
	admin := l.call("GET", "/cluster/resources").Raw
	l.auth = "PVEAPIToken=a@pve!bb=x"
	if a := l.call("GET", "/cluster/resources"); a.Status != 200 || a.Raw == admin {
		t.Error("one token got the other's answer")
	}
}

func TestPermissions(t *testing.T) {
	l := guarded(t, map[string][]string{"/": {"Sys.Audit"}, "/vms": {"VM.Audit"}, "/pool/apps": {"VM.PowerMgmt"}})
	l.Token("other@pve!spare", "x", map[string][]string{"/storage/local/": {"Datastore.Audit"}})
	one := func(privs ...string) any {
		out := map[string]any{}
		for _, p := range privs {
			out[p] = 1.0
		}
		return out
	}
	want := map[string]any{
		"/": one("Sys.Audit"), "/access": one("Sys.Audit"), "/access/groups": one("Sys.Audit"), "/nodes": one("Sys.Audit"),
		"/pool": one("Sys.Audit"), "/sdn": one("Sys.Audit"), "/storage": one("Sys.Audit"), "/storage/local": one("Sys.Audit"),
		"/vms": one("VM.Audit"), "/pool/apps": one("VM.PowerMgmt"),
		"/vms/101": map[string]any{"VM.Audit": 1.0, "VM.PowerMgmt": 0.0},
	}
	if diff := cmp.Diff(want, l.get("/access/permissions")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"/vms/102": one("VM.Audit")}, l.get("/access/permissions", "path=/vms/102")); diff != "" {
		t.Error(diff)
	}
	other := l.get("/access/permissions", "userid=other@pve!spare").(map[string]any)
	if diff := cmp.Diff(map[string]any{"/storage/local": one("Datastore.Audit")}, other); diff != "" {
		t.Error(diff)
	}
	l.refuse(400, "Parameter verification failed.", "GET", "/access/permissions", "userid=nobody")
}

func TestWithoutATokenEverybodyIsAnAdministrator(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	root := l.get("/access/permissions").(map[string]any)["/"].(map[string]any)
	if len(root) != len(proxmoxtest.Administrator()) || root["VM.PowerMgmt"] != 1.0 {
		t.Errorf("permissions %v", root)
	}
}

func TestDestroyingAContainerTakesItsAccessEntriesAlong(t *testing.T) {
	l := guarded(t, map[string][]string{"/vms/102": {"VM.Audit", "VM.Allocate"}})
	l.finish("DELETE", "/nodes/pve1/lxc/102", "force=1")
	l.AddContainer(container{VMID: 102, Node: "pve1"})
	l.refuse(403, "Permission check failed (/vms/102, VM.Audit)", "GET", "/nodes/pve1/lxc/102/config")
}

func TestParametersAreVerified(t *testing.T) {
	const (
		missing = "property is missing and it is not optional"
		unknown = "property is not defined in schema and the schema does not allow additional properties"
	)
	tests := []struct {
		name, method, path string
		form               []string
		errors             map[string]string
	}{
		{"unknown", "POST", ct101 + "/status/start", []string{"vmstate=1"}, map[string]string{"vmstate": unknown}},
		{"a boolean in words", "DELETE", ct101, []string{"purge=true"}, map[string]string{"purge": "type check ('boolean') failed - got 'true'"}},
		{"no integer", "POST", ct101 + "/status/shutdown", []string{"timeout=soon"}, map[string]string{"timeout": "type check ('integer') failed - got 'soon'"}},
		{"too little", "POST", ct101 + "/status/shutdown", []string{"timeout=-1"}, map[string]string{"timeout": "value must have a minimum value of 0"}},
		{"twice", "POST", ct101 + "/status/shutdown", []string{"timeout=1", "timeout=2"}, map[string]string{"timeout": "type check ('integer') failed - got ARRAY"}},
		{"a VMID that is none", "GET", "/nodes/pve/lxc/abc/config", nil, map[string]string{"vmid": "type check ('integer') failed - got 'abc'"}},
		{"a VMID that is too small", "GET", "/nodes/pve/lxc/99/config", nil, map[string]string{"vmid": "invalid format - value does not look like a valid VM ID\n"}},
		{"not one of the words", "GET", "/cluster/resources", []string{"type=lxc"}, map[string]string{"type": "value 'lxc' does not have a value in the enumeration 'vm, storage, node, sdn'"}},
		{"missing", "GET", ct101 + "/rrddata", nil, map[string]string{"timeframe": missing}},
		{"two at once", "GET", ct101 + "/rrddata", []string{"cf=LAST"}, map[string]string{
			"timeframe": missing, "cf": "value 'LAST' does not have a value in the enumeration 'AVERAGE, MAX'",
		}},
		{"a name with blanks", "GET", ct101 + "/config", []string{"snapshot=a b"}, map[string]string{"snapshot": "invalid format - invalid configuration ID 'a b'\n"}},
		{"a name that is too long", "GET", ct101 + "/config", []string{"snapshot=" + strings.Repeat("a", 41)}, map[string]string{"snapshot": "value may only be 40 characters long"}},
		{"a storage that is too short", "GET", "/nodes/pve/storage/x/content", nil, map[string]string{"storage": "invalid format - storage ID 'x' cannot be shorter than 2 characters\n"}},
		{"a storage with a slash", "GET", "/nodes/pve/storage", []string{"storage=a/b"}, map[string]string{"storage": "invalid format - storage ID 'a/b' contains illegal characters\n"}},
		{"a content that is none", "GET", "/nodes/pve/storage", []string{"content=vztmpl,films"}, map[string]string{"content": "invalid format - invalid content type 'films'\n"}},
		{"a status that is none", "GET", "/nodes/pve/tasks", []string{"statusfilter=good"}, map[string]string{"statusfilter": "invalid format - invalid status 'good'\n"}},
		{"another VMID than in the path", "POST", ct101 + "/status/start", []string{"vmid=102"}, map[string]string{"vmid": "duplicate parameter (already defined in URI) with conflicting values!"}},
		{"a VMID that is taken", "GET", "/cluster/nextid", []string{"vmid=101"}, map[string]string{"vmid": "VM 101 already exists"}},
		{"no such storage", "GET", "/nodes/pve/storage", []string{"storage=nas"}, map[string]string{"storage": "No such storage."}},
	}
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := l.refuse(400, "Parameter verification failed.", test.method, test.path, test.form...)
			if diff := cmp.Diff(test.errors, a.Errors); diff != "" || a.Message != "Parameter verification failed.\n" {
				t.Errorf("%s, message %q", diff, a.Message)
			}
		})
	}
	if len(l.Tasks()) != 0 {
		t.Error("there are tasks")
	}
}

func TestAKeyWithoutAValueIsNoParameter(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101, Running: true})
	l.refuse(500, "unable to destroy CT 101 - container is running", "DELETE", ct101+"?force&_dc=123")
	l.finish("DELETE", ct101+"?force=1;purge=1")
}
