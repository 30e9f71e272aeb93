package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// Two processes over one PostgreSQL: each asks the cluster once a period; a
// click is answered once, whichever of them gets it; what happens is written,
// told and edited once.
func TestTwoProcessesShareOneDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	t.Parallel()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range storagetest.Engines(t) {
		if engine.Name != "postgres" {
			continue
		}
		for _, on := range daemontest.Platforms {
			t.Run(string(on), func(t *testing.T) {
				t.Parallel()
				shared(t, program, engine.URL(t), on)
			})
		}
	}
}

func shared(t *testing.T, program, database string, on daemontest.Platform) {
	w := daemontest.New(t, proxmoxtest.Options{})
	w.Database = database
	const containers = 6
	for i := range containers {
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 200 + i, Name: fmt.Sprintf("ct%d", 200+i)})
	}
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Name: "web", Running: true, Uptime: 48 * time.Hour})
	ana, ben := w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "admin")
	w.Start(program)
	w.Start(program)

	// Clicks, by two people at once.
	for i := range containers {
		ana.Command(fmt.Sprintf("start %d", 200+i))
		ben.Command(fmt.Sprintf("start %d", 200+i))
	}
	for i := range containers {
		w.Ended("vzstart", 200+i)
	}
	w.Told()
	for i := range containers {
		if got := w.Tasks(200 + i); len(got) != 1 {
			t.Errorf("tasks of %d: %q, want one", 200+i, got)
		}
		if n := ana.Count(fmt.Sprintf("Started ct%d", 200+i)) + ben.Count(fmt.Sprintf("Started ct%d", 200+i)); n != 1 {
			t.Errorf("the start of %d was told %d times", 200+i, n)
		}
	}

	// A change that nobody asked for: one edit, one alert, one event.
	ana.Command("dashboard")
	board := ana.Sees("web running", "total")
	periods := func() { // both processes' questions count
		for range 4 {
			w.Refreshed()
		}
	}
	periods()
	before, _ := board.Again()
	w.PVE.Update(101, func(ct *proxmoxtest.Container) { ct.Running = false })
	ana.Sees("web stopped", "total")
	ana.Sees("web is down")
	periods()
	after, _ := board.Again()
	if n := after.Edited - before.Edited; n != 1 {
		t.Errorf("the board was edited %d times, want once", n)
	}
	if n := ben.Count("web is down"); n != 1 {
		t.Errorf("%d alerts, want one", n)
	}
	var events int
	if err := w.DB().QueryRowContext(w.Patience(), `SELECT count(*) FROM events JOIN containers c ON c.id = container_id WHERE c.vmid = 101`).Scan(&events); err != nil || events > 1 {
		t.Errorf("%d events, %v", events, err)
	}

	// Periods: two questions in each, one by each process.
	asked := map[int64]int{}
	for _, r := range w.PVE.Requests() {
		if r.Path == "/cluster/resources" {
			asked[r.Time.Add(100*time.Millisecond).Truncate(w.Refresh).Unix()]++ // of a timer's early moment
		}
	}
	n, full := 0, 0
	for _, calls := range asked {
		n += calls
		if calls == 2 {
			full++
		}
		if calls > 3 { // the two processes' first looks are between two periods
			t.Errorf("%d questions in one period", calls)
		}
	}
	if full < len(asked)/2 || n > 2*len(asked)+2 {
		t.Errorf("%d questions in %d periods, %d of them with two", n, len(asked), full)
	}
	w.Correct()
}
