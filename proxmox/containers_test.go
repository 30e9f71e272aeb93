package proxmox

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var comparePrefix = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestContainerConfig(t *testing.T) {
	for _, test := range []struct {
		is   string
		data string
		want ContainerConfig
	}{
		{
			"all of it",
			`{"digest":"d1","hostname":"gitea","ostype":"debian","arch":"amd64","cores":2,"cpulimit":"1.5","memory":"2048","swap":0,
			  "rootfs":"local-lvm:vm-101-disk-0,size=8G","mp10":"/srv/data,mp=/data,ro=1","mp2":"tank:subvol-101-disk-1,mp=/var/lib,backup=1,size=1.5T",
			  "net1":"name=eth1,bridge=vmbr1,ip6=auto,gw6=fe80::1,type=veth","net0":"name=eth0,bridge=vmbr0,gw=192.0.2.1,hwaddr=BC:24:11:AA:BB:CC,ip=192.0.2.5/24,ip6=dhcp,tag=20,type=veth",
			  "features":"nesting=1,keyctl=0,mount=nfs;cifs","onboot":1,"protection":"1","unprivileged":1,"template":"","tags":"prod;web","description":"a\nb\n",
			  "lock":"backup","nameserver":"192.0.2.1 192.0.2.2","lxc":[["lxc.cap.drop",""]],"dev0":"/dev/fuse","networks":"x","net":"x","mpx":"y","parent":"s1"}`,
			ContainerConfig{
				Digest: "d1", Hostname: "gitea", OSType: "debian", Arch: "amd64", Cores: 2, CPULimit: 1.5, Memory: 2048, Swap: 0,
				RootFS: Mount{Key: "rootfs", Volume: "local-lvm:vm-101-disk-0", Storage: "local-lvm", Path: "/", Size: 8 << 30},
				Mounts: []Mount{
					{Key: "mp2", Volume: "tank:subvol-101-disk-1", Storage: "tank", Path: "/var/lib", Size: 3 << 39},
					{Key: "mp10", Volume: "/srv/data", Path: "/data", Bind: true},
				},
				Networks: []Network{
					{Key: "net0", Name: "eth0", Bridge: "vmbr0", HWAddr: "BC:24:11:AA:BB:CC", IP: "192.0.2.5/24", IP6: "dhcp", Gateway: "192.0.2.1", VLAN: 20},
					{Key: "net1", Name: "eth1", Bridge: "vmbr1", IP6: "auto", Gateway: "fe80::1"},
				},
				Features: []string{"mount=nfs;cifs", "nesting"}, OnBoot: true, Protection: true, Unprivileged: true,
				Tags: "prod;web", Description: "a\nb\n", Lock: "backup", Nameserver: "192.0.2.1 192.0.2.2",
			},
		},
		{
			"the least of it",
			`{"digest":"d2","rootfs":"volume=local:105/vm-105-disk-0.raw"}`,
			ContainerConfig{
				Digest: "d2", Memory: 512, Swap: 512,
				RootFS: Mount{Key: "rootfs", Volume: "local:105/vm-105-disk-0.raw", Storage: "local", Path: "/"},
			},
		},
	} {
		t.Run(test.is, func(t *testing.T) {
			n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":` + test.data + `}`))}}
			got, err := n.client(t, "pve1").ContainerConfig(t.Context(), ct101)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if n.log() != "pve1 GET /api2/json/nodes/pve1/lxc/101/config" {
				t.Errorf("asked: %s", n.log())
			}
		})
	}
}

func TestSizesOfDisks(t *testing.T) {
	for in, want := range map[string]int64{
		"8G": 8 << 30, "512M": 512 << 20, "4K": 4096, "2T": 2 << 40, "1.5G": 3 << 29, "1024": 1024, "0T": 0,
		"": 0, "G": 0, "8GG": 0, "8X": 0, "-8G": 0, "nan": 0, "99999999999T": 0,
	} {
		if got := parseSize(in); got != want {
			t.Errorf("%q is %d, not %d", in, got, want)
		}
	}
}

func TestContainerStatus(t *testing.T) {
	for _, test := range []struct {
		is   string
		data string
		want ContainerStatus
	}{
		{
			"running on PVE 9 under HA",
			`{"vmid":101,"type":"lxc","status":"running","name":"gitea","cpus":2,"cpu":0.5,"mem":1,"maxmem":2,"swap":3,"maxswap":4,"disk":5,"maxdisk":6,
			  "uptime":7,"pid":4711,"tags":"prod;web","ha":{"managed":1,"state":"started","group":""},"pressurecpusome":"0.00","lock":"snapshot"}`,
			ContainerStatus{
				Container: Container{
					VMID: 101, Node: "pve1", Name: "gitea", Status: "running", Lock: "snapshot", Tags: "prod;web", HAState: "started",
					CPU: 0.5, MaxCPU: 2, Mem: 1, MaxMem: 2, Disk: 5, MaxDisk: 6, Uptime: 7,
				},
				Swap: 3, MaxSwap: 4, HAManaged: true, HAState: "started", PID: 4711,
			},
		},
		{
			"stopped on PVE 6",
			`{"vmid":"101","status":"stopped","name":"CT101","cpus":1,"cpu":0,"mem":0,"maxmem":"536870912","swap":-5,"disk":"0","maxdisk":"","template":"","lock":"","ha":{"managed":0}}`,
			ContainerStatus{Container: Container{VMID: 101, Node: "pve1", Name: "CT101", Status: "stopped", MaxCPU: 1, MaxMem: 536870912}},
		},
		{
			"a template without HA",
			`{"status":"stopped","template":1,"ha":null}`,
			ContainerStatus{Container: Container{VMID: 101, Node: "pve1", Status: "stopped", Template: true}},
		},
	} {
		t.Run(test.is, func(t *testing.T) {
			got, err := one(t, ok(`{"data":`+test.data+`}`)).ContainerStatus(t.Context(), ct101)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInterfaces(t *testing.T) {
	prefixes := func(list ...string) []netip.Prefix {
		var out []netip.Prefix
		for _, s := range list {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	for _, test := range []struct {
		is   string
		data string
		want []Interface
	}{
		{"stopped", `null`, nil},
		{"none", `[]`, nil},
		{
			"all addresses, where they are listed",
			`[{"name":"eth0","hwaddr":"bc:24:11:aa:bb:cc","hardware-address":"bc:24:11:aa:bb:cc","inet":"192.0.2.15/24","inet6":"fe80::1/64","ip-addresses":[
				{"ip-address":"192.0.2.15","ip-address-type":"inet","prefix":"24"},{"ip-address":"192.0.2.16","ip-address-type":"inet","prefix":24},
				{"ip-address":"fe80::1","ip-address-type":"inet6","prefix":"64"},{"ip-address":"2001:db8::5"},{}]}]`,
			[]Interface{{Name: "eth0", HWAddr: "bc:24:11:aa:bb:cc", Addrs: prefixes("192.0.2.15/24", "192.0.2.16/24", "fe80::1/64", "2001:db8::5/128")}},
		},
		{
			"one of each family, on PVE 7",
			`[{"inet6":"::1/128","inet":"127.0.0.1/8","name":"lo","hwaddr":"00:00:00:00:00:00"},{"name":"eth0","inet":"","ip-addresses":null}]`,
			[]Interface{{Name: "lo", HWAddr: "00:00:00:00:00:00", Addrs: prefixes("127.0.0.1/8", "::1/128")}, {Name: "eth0"}},
		},
	} {
		t.Run(test.is, func(t *testing.T) {
			got, err := one(t, ok(`{"data":`+test.data+`}`)).Interfaces(t.Context(), ct101)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, comparePrefix); diff != "" {
				t.Error(diff)
			}
		})
	}
	if i, err := one(t, ok(`{"data":[{"inet":"here"}]}`)).Interfaces(t.Context(), ct101); err == nil {
		t.Errorf("a word is taken for an address: %v", i)
	}
	if i, err := one(t, ok(`{}`)).Interfaces(t.Context(), ct101); err == nil {
		t.Errorf("no data are taken for a stopped container: %v", i)
	}
}

func TestSnapshotsAreOldestFirstWithoutThePresent(t *testing.T) {
	got, err := one(t, ok(`{"data":[
		{"name":"current","running":1,"digest":"x","description":"You are here!","parent":"two"},
		{"name":"two","description":"b\n","parent":"one","snaptime":"1732616626"},
		{"name":"one","snaptime":1732616000,"snapstate":"prepare"},
		{"name":"early"}
	]}`)).Snapshots(t.Context(), ct101)
	if err != nil {
		t.Fatal(err)
	}
	want := []Snapshot{
		{Name: "early"},
		{Name: "one", Time: time.Unix(1732616000, 0)},
		{Name: "two", Description: "b\n", Parent: "one", Time: time.Unix(1732616626, 0)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPowerAndDestroySendOnlyWhatWasAskedFor(t *testing.T) {
	for _, test := range []struct {
		is   string
		call func(*Client) (UPID, error)
		want string
	}{
		{"start", power(PowerAction{Verb: Start}), "POST /api2/json/nodes/pve1/lxc/101/status/start"},
		{"stop", power(PowerAction{Verb: Stop}), "POST /api2/json/nodes/pve1/lxc/101/status/stop"},
		{"stop at once", power(PowerAction{Verb: Stop, OverruleShutdown: true}), "POST /api2/json/nodes/pve1/lxc/101/status/stop overrule-shutdown=1"},
		{"shutdown", power(PowerAction{Verb: Shutdown}), "POST /api2/json/nodes/pve1/lxc/101/status/shutdown"},
		{"shutdown in 30 s", power(PowerAction{Verb: Shutdown, Timeout: 30 * time.Second}), "POST /api2/json/nodes/pve1/lxc/101/status/shutdown timeout=30"},
		{"reboot in 60 s", power(PowerAction{Verb: Reboot, Timeout: time.Minute}), "POST /api2/json/nodes/pve1/lxc/101/status/reboot timeout=60"},
		{"destroy", destroy(DestroyOptions{}), "DELETE /api2/json/nodes/pve1/lxc/101"},
		{"destroy and purge", destroy(DestroyOptions{Purge: true}), "DELETE /api2/json/nodes/pve1/lxc/101?purge=1"},
	} {
		t.Run(test.is, func(t *testing.T) {
			n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":"` + string(testUPID) + `"}`))}}
			u, err := test.call(n.client(t, "pve1"))
			if err != nil || u != testUPID {
				t.Errorf("%q %v", u, err)
			}
			if n.log() != "pve1 "+test.want {
				t.Errorf("asked: %s", n.log())
			}
		})
	}
}

func power(a PowerAction) func(*Client) (UPID, error) {
	return func(c *Client) (UPID, error) { return c.Power(context.Background(), ct101, a) }
}

func destroy(o DestroyOptions) func(*Client) (UPID, error) {
	return func(c *Client) (UPID, error) { return c.Destroy(context.Background(), ct101, o) }
}

func TestVersionAndPermissions(t *testing.T) {
	v, err := one(t, ok(`{"data":{"version":"9.2.2","release":"9.2","repoid":"x"}}`)).Version(t.Context())
	if diff := cmp.Diff(Version{"9.2.2", "9.2"}, v); diff != "" || err != nil {
		t.Error(diff, err)
	}
	p, err := one(t, ok(`{"data":{"/":{"Sys.Audit":0},"/vms":{"VM.Audit":1,"VM.PowerMgmt":"1"},"/vms/101":{"VM.Audit":1},"/vms/102":{}}}`)).Permissions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		is, path, priv string
		want           bool
	}{
		{"at the path", "/vms", "VM.Audit", true},
		{"at the path, though it is not handed down", "/", "Sys.Audit", true},
		{"not below a path that does not hand it down", "/nodes/pve1", "Sys.Audit", false},
		{"below a path that hands it down", "/vms/200", "VM.PowerMgmt", true},
		{"not where a nearer path says less", "/vms/101", "VM.PowerMgmt", false},
		{"not where a nearer path says nothing", "/vms/102", "VM.Audit", false},
		{"not what is nowhere", "/vms", "VM.Allocate", false},
		{"not in a sibling that begins alike", "/vmsx", "VM.Audit", false},
		{"not without a path", "", "Sys.Audit", false},
	} {
		t.Run(test.is, func(t *testing.T) {
			if p.Has(test.path, test.priv) != test.want {
				t.Errorf("%s at %s: %v", test.priv, test.path, !test.want)
			}
		})
	}
	if Permissions(nil).Has("/", "Sys.Audit") {
		t.Error("no permissions have one")
	}
	if len(p) != 4 {
		t.Errorf("%d paths", len(p))
	}
}
