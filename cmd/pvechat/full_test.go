package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"runtime"
	"strconv"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// On a disk without room for the database, what is known can be read, nothing is
// done and nothing is queued, and /readyz says so; once there is room again, all
// goes on.
func TestAFullDiskStopsNothingButActions(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("prlimit is Linux's")
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "wiki"})
	var people []*daemontest.Person
	for _, on := range daemontest.Platforms {
		people = append(people, w.Person(on, "Ana", "admin"))
	}
	p := w.Start(program)
	// files are the bytes up to which the process may write a file: no room is left
	// for it alone.
	files := func(most string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "prlimit", "--pid", strconv.Itoa(p.Process.Pid), "--fsize="+most+":unlimited").CombinedOutput(); err != nil {
			t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	ready := func(want int) {
		t.Helper()
		people[0].Until(fmt.Sprint("/readyz with ", want), func() bool {
			got, _ := w.Get("/readyz")
			return got == want
		})
	}
	for _, p := range people {
		p.Command("dashboard")
		p.Sees("web running", "wiki stopped")
	}
	files("0")
	for _, p := range people {
		p.Command("list")
		p.Sees("web running", "wiki stopped")
		p.Command("show web")
		p.Sees("Hostname web").Dismiss()
		p.Command("start wiki")
		p.Sees("database", "Nothing was done")
	}
	if got := w.Tasks(102); len(got) > 0 {
		t.Errorf("tasks %q", got)
	}
	ready(http.StatusServiceUnavailable)
	for _, p := range people {
		p.Command("doctor")
		p.Sees("The database is not as it should be", "takes nothing", "Make room")
	}
	files("unlimited")
	ready(http.StatusOK)
	w.Refreshed()
	if got := w.Tasks(102); len(got) > 0 {
		t.Errorf("something was queued: %q", got)
	}
	people[0].Command("start wiki")
	people[0].Sees("Started wiki")
	people[1].Command("stop wiki")
	people[1].Sees("Stop wiki?").Press("Stop container")
	people[1].Sees("Stopped wiki")
	w.Correct()
}
