package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// binary is the program, built once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "pvechat-kill-")
	if err != nil {
		return "", err
	}
	built = folder
	return daemontest.Build(context.Background(), folder)
})

var built string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they mostly wait
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(built) // "" where nothing was built
	os.Exit(code)
}

// job is a start whose life is cut at one arrow.
type job struct {
	arrow  string
	freeze func(w *daemontest.World, vmid int) *proxmoxtest.Frozen
	task   bool   // there is to be one
	told   string // how it is told
	state  string // of the container at last, on the board
	twice  bool   // the outcome may be told a second time

	on     daemontest.Platform
	vmid   int
	name   string
	person *daemontest.Person
	frozen *proxmoxtest.Frozen
}

func read(w *daemontest.World, vmid int) *proxmoxtest.Frozen {
	return w.PVE.Freeze("GET", fmt.Sprintf("/nodes/*/lxc/%d/status/current", vmid))
}

func post(w *daemontest.World, vmid int) *proxmoxtest.Frozen {
	return w.PVE.Freeze("POST", fmt.Sprintf("/nodes/*/lxc/%d/status/start", vmid))
}

func answer(w *daemontest.World, vmid int) *proxmoxtest.Frozen {
	return w.PVE.FreezeAnswer("POST", fmt.Sprintf("/nodes/*/lxc/%d/status/start", vmid))
}

func poll(w *daemontest.World, vmid int) *proxmoxtest.Frozen {
	return w.PVE.Freeze("GET", fmt.Sprintf("/nodes/*/tasks/*:vzstart:%d:*/status", vmid))
}

// A job's life is cut at every arrow by SIGKILL, on both engines and both
// platforms, with a process that starts after it or one that was there already.
// Before the request there is no task and it is said so; after it there is
// exactly one. The arrows are made by holding single requests.
func TestKilledAtEveryArrowOfAJobsLife(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for leases of 15 s to end")
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			killed(t, program, engine.URL(t), false)
		})
		if engine.Name != "sqlite" { // that is for one process at a time
			t.Run(engine.Name+" and two processes", func(t *testing.T) {
				t.Parallel()
				killed(t, program, engine.URL(t), true)
			})
		}
	}
}

// stand waits until a job stands at its arrow.
func (j *job) stand(t *testing.T, w *daemontest.World) {
	t.Helper()
	j.person.Sees(j.name, "starting…")
	if j.frozen != nil {
		if err := j.frozen.Await(w.Patience()); err != nil {
			t.Fatalf("%s on %s: %v", j.arrow, j.on, err)
		}
	}
	if j.arrow != "task known" {
		if j.task {
			w.Ended("vzstart", j.vmid)
		}
		return
	}
	if _, err := w.PVE.AwaitRequest(w.Patience(), func(r proxmoxtest.Request) bool { // it is asked about once it is written down
		return strings.Contains(r.Path, fmt.Sprintf(":vzstart:%d:", j.vmid))
	}); err != nil {
		t.Fatal(err)
	}
}

// finish lets the jobs at an arrow end, up to where their outcomes are to be told.
func finish(jobs []*job, arrow string) (release []func()) {
	for _, j := range jobs {
		if j.arrow == arrow {
			held, let := j.person.Stall()
			j.frozen.Release()
			held()
			release = append(release, let)
		}
	}
	return release
}

func killed(t *testing.T, program, database string, replica bool) {
	w := daemontest.New(t, proxmoxtest.Options{})
	w.Database = database
	var jobs []*job
	for i, on := range daemontest.Platforms {
		for n, j := range []*job{
			{arrow: "row written", state: "stopped", freeze: read, told: "Could not start"},
			{arrow: "request under way", state: "error", freeze: post, told: "Could not start"},
			{arrow: "answer lost", state: "running", freeze: answer, task: true, told: "Started"},
			{arrow: "task known", state: "running", task: true, told: "Started"},
			{arrow: "task ended", state: "running", freeze: poll, task: true, told: "Started"},
			{arrow: "finished, not told", state: "running", freeze: poll, task: true, told: "Started"},
			{arrow: "told, not marked", state: "running", freeze: poll, task: true, told: "Started", twice: true},
		} {
			j.on, j.vmid = on, 100+10*i+n
			j.name = fmt.Sprintf("ct%d", j.vmid)
			j.person = w.Person(on, "Ana", "admin")
			ct := proxmoxtest.Container{VMID: j.vmid, Node: "pve1", Name: j.name}
			if j.arrow == "task known" {
				ct.StartTakes = 4000 * time.Second // 40 s at this scale
			}
			w.PVE.AddContainer(ct)
			jobs = append(jobs, j)
		}
	}
	first := w.Start(program)

	// standBy starts the process that is there already when another is killed.
	standBy := func() *daemontest.Process {
		if replica {
			return w.Start(program)
		}
		return nil
	}
	// start brings jobs to their arrows. Those that stand in a request to Proxmox
	// come last, for only four do at a time.
	start := func(arrows ...string) {
		stands := func(arrow string) bool { return slices.Contains(arrows, arrow) }
		for _, j := range jobs {
			if stands(j.arrow) {
				if j.freeze != nil {
					j.frozen = j.freeze(w, j.vmid)
				}
				j.person.Command(fmt.Sprintf("start %d", j.vmid))
			}
		}
		for _, j := range jobs {
			if stands(j.arrow) {
				j.stand(t, w)
			}
		}
	}

	start("task known", "task ended", "finished, not told")
	start("row written", "request under way")
	release := finish(jobs, "finished, not told")
	second := standBy()
	first.Kill()
	w.PVE.Recover()
	if second == nil {
		second = w.Start(program)
	}
	w.Told()
	for _, let := range release { // nobody is there any more who made these calls
		let()
	}

	// Once more: the table is locked between telling and marking.
	start("told, not marked")
	start("answer lost")
	release = finish(jobs, "told, not marked")
	third := standBy()
	unlock := w.LockJobs()
	for _, let := range release {
		let()
	}
	for _, j := range jobs {
		if j.arrow == "told, not marked" {
			j.person.Sees(j.told + " " + j.name)
		}
	}
	second.Kill()
	unlock()
	w.PVE.Recover()
	if third == nil {
		w.Start(program)
	}
	w.Told()

	// Whoever has a job writes down who asked, before anything is sent.
	w.AwaitNone(`SELECT count(*) FROM jobs WHERE (SELECT count(*) FROM audit WHERE audit.job = jobs.id AND audit.outcome = 'accepted') <> 1`)
	for _, j := range jobs {
		t.Run(fmt.Sprintf("%s/%s", j.on, j.arrow), func(t *testing.T) {
			var want []string
			if j.task {
				want = []string{"vzstart"}
			}
			if got := w.Tasks(j.vmid); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("tasks %q, want %q", got, want)
			}
			if ct, _ := w.PVE.Container(j.vmid); ct.Running != j.task {
				t.Errorf("running: %v", ct.Running)
			}
			switch n := j.person.Count(j.told + " " + j.name); {
			case n != 1 && !(j.twice && n == 2):
				t.Errorf("%q was told %d times", j.told, n)
			}
			p := j.person.For(t)
			p.Command(fmt.Sprintf("show %d", j.vmid))
			p.Sees(j.name, j.state, "Overview")
		})
	}
	w.Correct()
}
