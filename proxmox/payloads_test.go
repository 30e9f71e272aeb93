package proxmox

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// payload returns a client that gets the recorded answer of that name.
func payload(t *testing.T, name string) *Client {
	t.Helper()
	body := string(reference(t, "payloads/proxmox/"+name+".json"))
	var status struct {
		Line string `json:"_status_line"`
	}
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatal(err)
	}
	if status.Line != "" {
		return one(t, raw(strings.TrimPrefix(status.Line, "HTTP/1.1 "), body))
	}
	return one(t, ok(body))
}

func TestRecordedResources(t *testing.T) {
	res, err := payload(t, "resources.pve9").Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Resources{
		At: res.At,
		Containers: []Container{
			{
				VMID: 101, Node: "pve1", Name: "gitea", Status: "running", Tags: "prod;web", Pool: "apps", HAState: "started", CPU: 0.0123456789,
				MaxCPU: 2, Mem: 734003200, MaxMem: 2147483648, Disk: 3221225472, MaxDisk: 8350298112, Uptime: 273600,
			},
			{VMID: 102, Node: "pve1", Name: "wiki", Status: "stopped", MaxCPU: 1, MaxMem: 536870912, MaxDisk: 8589934592},
			{VMID: 103, Node: "pve2", Status: "unknown"},
			{VMID: 104, Node: "pve1", Name: "build", Status: "running", Lock: "backup", MaxCPU: 4, Mem: 1, MaxMem: 4294967296, Disk: 17000000000, MaxDisk: 17179869184, Uptime: 12},
		},
		Nodes: []Node{
			{Name: "pve1", Status: "online", CPU: 0.11, MaxCPU: 8, Mem: 12554432000, MaxMem: 33554432000, Uptime: 864000},
			{Name: "pve2", Status: "offline"},
		},
		Storages: []Storage{{Name: "local-lvm", Node: "pve1", Status: "available", Plugin: "lvmthin", Content: "images,rootdir", Used: 77957122048, Size: 377957122048}},
	}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Error(diff)
	}
}

func TestRecordedStatus(t *testing.T) {
	s, err := payload(t, "status_current.pve9").ContainerStatus(t.Context(), ct101)
	if err != nil {
		t.Fatal(err)
	}
	want := ContainerStatus{
		Container: Container{
			VMID: 101, Node: "pve1", Name: "gitea", Status: "running", Tags: "prod;web", HAState: "started", CPU: 0.0123456789, MaxCPU: 2,
			Mem: 734003200, MaxMem: 2147483648, Disk: 3221225472, MaxDisk: 8350298112, Uptime: 273600,
		},
		MaxSwap: 536870912, HAManaged: true, HAState: "started", PID: 4711,
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestRecordedInterfaces(t *testing.T) {
	interfaces, err := payload(t, "interfaces").Interfaces(t.Context(), ct101)
	if err != nil {
		t.Fatal(err)
	}
	want := []Interface{
		{Name: "lo", HWAddr: "00:00:00:00:00:00", Addrs: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
		{Name: "eth0", HWAddr: "bc:24:11:aa:bb:cc", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.15/24")}},
	}
	if diff := cmp.Diff(want, interfaces, comparePrefix); diff != "" {
		t.Error(diff)
	}
}

func TestRecordedTasks(t *testing.T) {
	s, err := payload(t, "task_status.running").TaskStatus(t.Context(), testUPID)
	if err != nil || !s.Running || s.OK() {
		t.Errorf("%+v %v", s, err)
	}
	s, err = payload(t, "task_status.warnings").TaskStatus(t.Context(), testUPID)
	if err != nil || s.Running || !s.OK() || s.Warnings() != 1 {
		t.Errorf("%+v %v", s, err)
	}
}

func TestRecordedErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		kind   error
		text   string
	}{
		{"error.400", http.StatusBadRequest, nil, "Parameter verification failed. hostname: invalid format - value does not look like a valid DNS name"},
		{"error.403", http.StatusForbidden, ErrForbidden, "Permission check failed (/vms/101, VM.PowerMgmt)"},
		{"error.500.old", http.StatusInternalServerError, ErrAlreadyRunning, "CT 101 already running"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := payload(t, test.name).Power(t.Context(), ct101, PowerAction{Verb: Start})
			e, ok := errors.AsType[*APIError](err)
			if !ok || e.Status != test.status || e.Text() != test.text || test.kind != nil && !errors.Is(err, test.kind) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
