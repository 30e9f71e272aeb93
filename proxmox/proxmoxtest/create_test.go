package proxmoxtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const (
	debian = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
	lxc    = "/nodes/pve1/lxc"
)

// wanted are the parameters of a container that can be made; more replaces some.
func wanted(more ...string) []string {
	form := map[string]string{
		"vmid": "150", "ostemplate": debian, "hostname": "gitea", "cores": "2", "memory": "1024", "swap": "256", "rootfs": "local-lvm:8",
		"net0": "name=eth0,bridge=vmbr0,ip=dhcp", "unprivileged": "1", "features": "nesting=1", "tags": "web;dev",
	}
	for _, kv := range more {
		k, v, _ := strings.Cut(kv, "=")
		form[k] = v
	}
	var out []string
	for k, v := range form {
		if v != "" {
			out = append(out, k+"="+v)
		}
	}
	return out
}

func homelab(t *testing.T) *lab {
	t.Helper()
	l := start(t, proxmoxtest.Options{})
	proxmoxtest.Populate(l.Server, proxmoxtest.HomelabSize)
	return l
}

func TestAContainerIsMade(t *testing.T) {
	l := homelab(t)
	task := l.finish("POST", lxc, wanted("start=1", "password=secret1")...)
	if task.Type != "vzcreate" || task.Exit != "OK" || task.Params.Has("password") {
		t.Errorf("task %+v", task)
	}
	l.idle()
	c, ok := l.Container(150)
	want := proxmoxtest.Container{
		VMID: 150, Node: "pve1", Name: "gitea", Running: true, Cores: 2, Memory: 1 << 30, Swap: 256 << 20, Disk: 8 << 30, RootFS: "local-lvm:vm-150-disk-0",
		Net: c.Net, Addr: "192.0.2.151/24", OSType: "debian", Features: "nesting=1", Tags: "web;dev", Unprivileged: true, Config: c.Config, Uptime: c.Uptime,
	}
	if diff := cmp.Diff(want, c); !ok || diff != "" {
		t.Errorf("there %v: %s", ok, diff)
	}
	if len(c.Net) != 1 || !strings.Contains(c.Net[0], "hwaddr=BC:24:11:") {
		t.Errorf("net0 %q", c.Net)
	}
	l.refuse(500, "CT 150 already exists on node 'pve1'", "POST", lxc, wanted()...)
}

func TestWhatCannotBeMade(t *testing.T) {
	l := homelab(t)
	l.AddVM(200, "pve2", "router", true)
	for _, test := range []struct {
		is     string
		status int
		reason string
		field  string
		form   []string
	}{
		{"the number of a virtual machine", 500, "VM 200 already exists on node 'pve2'", "", wanted("vmid=200")},
		{"a storage without containers", 400, "Parameter verification failed.", "storage", wanted("rootfs=local:8")},
		{"no storage named", 400, "Parameter verification failed.", "storage", wanted("rootfs=")},
		{"an unknown storage", 500, "storage 'nas' does not exist", "", wanted("rootfs=nas:8")},
		{"no such name", 400, "Parameter verification failed.", "hostname", wanted("hostname=a_b")},
		{"no such tag", 400, "Parameter verification failed.", "tags", wanted("tags=web;ä")},
		{"no such address", 400, "Parameter verification failed.", "net0", wanted("net0=name=eth0,bridge=vmbr0,ip=10.0.0")},
		{"an unknown parameter", 400, "Parameter verification failed.", "cpus", wanted("cpus=2")},
		{"a short password", 400, "Parameter verification failed.", "password", wanted("password=1234")},
		{"too little memory", 400, "Parameter verification failed.", "memory", wanted("memory=8")},
		{"a placeholder", 400, "Parameter verification failed.", "net[n]", wanted("net[n]=name=eth0")},
	} {
		t.Run(test.is, func(t *testing.T) {
			if a := l.refuse(test.status, test.reason, "POST", lxc, test.form...); test.field != "" && a.Errors[test.field] == "" {
				t.Errorf("errors %v", a.Errors)
			}
		})
	}
	for is, test := range map[string]struct{ form, want string }{
		"a missing template": {"ostemplate=local:vztmpl/x.tar.zst", "unable to create CT 150 - volume 'local:vztmpl/x.tar.zst' does not exist"},
		"a full storage":     {"rootfs=local-lvm:4000", "insufficient free space"},
	} {
		task := l.finish("POST", lxc, wanted(test.form)...)
		if !strings.Contains(task.Exit, test.want) {
			t.Errorf("%s: %q", is, task.Exit)
		}
		if _, there := l.Container(150); there {
			t.Errorf("%s leaves a container", is)
		}
	}
	if task := l.finish("POST", lxc, wanted("features=")...); task.Exit != "WARNINGS: 1" {
		t.Errorf("without nesting it ends %q", task.Exit)
	}
}

func TestMakingAContainerNeedsPrivileges(t *testing.T) {
	all := strings.Fields("VM.Allocate VM.Config.CPU VM.Config.Memory VM.Config.Disk VM.Config.Network VM.Config.Options SDN.Use Datastore.AllocateSpace Sys.Modify")
	where := map[string]string{
		"SDN.Use": "/sdn/zones/localnetwork/vmbr0", "Datastore.AllocateSpace": "/storage/local-lvm", "Sys.Modify": "/",
	}
	for _, missing := range all {
		l := homelab(t)
		privs := []string{"Datastore.Audit"}
		for _, p := range all {
			if p != missing {
				privs = append(privs, p)
			}
		}
		l.Token("bot@pve!chat", "secret", map[string][]string{"/": privs})
		l.auth = "PVEAPIToken=bot@pve!chat=secret"
		path := where[missing]
		if path == "" {
			path = "/vms/150"
		}
		form := wanted()
		if missing == "Sys.Modify" {
			form = wanted("unprivileged=0")
		}
		l.refuse(403, "Permission check failed ("+path+", "+missing+")", "POST", lxc, form...)
	}
	l := homelab(t)
	l.refuse(403, "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)", "POST", lxc, wanted("features=nesting=1,keyctl=1")...)
}

func TestATemplateIsDownloaded(t *testing.T) {
	l := homelab(t)
	const file = "archlinux-base_20250901-1_amd64.tar.zst"
	if rows := l.rows("template", "/nodes/pve1/aplinfo"); rows[file] == nil {
		t.Fatalf("it is not offered: %v", rows)
	}
	if a := l.refuse(400, "Parameter verification failed.", "POST", "/nodes/pve1/aplinfo", "storage=local", "template=nothing"); a.Errors["template"] != "no such template" {
		t.Errorf("errors %v", a.Errors)
	}
	l.refuse(500, "storage 'local-lvm' is not configured for content-type 'vztmpl'", "POST", "/nodes/pve1/aplinfo", "storage=local-lvm", "template="+file)
	task := l.finish("POST", "/nodes/pve1/aplinfo", "storage=local", "template="+file)
	if task.Type != "download" || task.ID != file || task.Exit != "OK" || !strings.Contains(task.UPID, ":download:"+file+":") {
		t.Errorf("task %+v", task)
	}
	if rows := l.rows("volid", "/nodes/pve1/storage/local/content", "content=vztmpl"); rows["local:vztmpl/"+file] == nil {
		t.Errorf("it is not there: %v", rows)
	}
}
