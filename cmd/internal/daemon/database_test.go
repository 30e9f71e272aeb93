package daemon_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// lined is a world with a PostgreSQL database on a line, and people on both
// platforms.
func lined(t *testing.T) (w *daemontest.World, line *daemontest.Line, people []*daemontest.Person) {
	t.Helper()
	if testing.Short() {
		t.Skip("it is a whole bot on PostgreSQL")
	}
	w = newWorld(t)
	line = daemontest.NewLine(t, storagetest.Postgres.URL(t))
	w.Database = line.URL
	for _, on := range daemontest.Platforms {
		people = append(people, w.Person(on, "Ana", "admin"))
	}
	return w, line, people
}

// Without its database the bot shows what it knows, and does nothing: nothing is
// queued for later. It is the same when it comes back.
func TestADatabaseThatIsAwayIsToldAndComesBack(t *testing.T) {
	t.Parallel()
	w, line, people := lined(t)
	w.Run()
	people[0].Command("help") // both are connected
	status := func(want int) {
		t.Helper()
		people[0].Until(fmt.Sprint("/readyz with ", want), func() bool {
			got, _ := w.Get("/readyz")
			return got == want
		})
	}

	line.Down(true)
	status(http.StatusServiceUnavailable)
	for _, p := range people {
		p.Command("list")
		p.Sees("web running", "wiki stopped")
		p.Command("show web")
		p.Sees("Hostname web").Dismiss()
		p.Command("start wiki")
		p.Sees("database", "Nothing was done")
	}
	wantTasks(t, w, 102)

	line.Down(false)
	status(http.StatusOK)
	w.Refreshed()
	wantTasks(t, w, 102)
	people[0].Command("start wiki")
	people[0].Sees("Started wiki")
	people[1].Command("stop wiki")
	people[1].Sees("Stop wiki?").Press("Stop container")
	people[1].Sees("Stopped wiki")
	wantTasks(t, w, 102, "vzstart", "vzstop")

	// Idle connections that somebody in between has cut are not noticed.
	for range 3 {
		line.Cut()
		people[0].Command("events wiki")
		people[0].Sees("wiki", "Stopped (forced)").Dismiss()
	}
	w.Correct()
}

// The server restarts again and again while people press.
func TestADatabaseThatRestartsUnderLoadDoublesNothing(t *testing.T) {
	t.Parallel()
	w, line, people := lined(t)
	const containers = 24
	for i := range containers {
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 200 + i, Name: fmt.Sprintf("ct%d", 200+i)})
	}
	w.Run()
	var all sync.WaitGroup
	for n, p := range people {
		all.Go(func() {
			for i := range containers {
				if err := p.TryCommand(fmt.Sprintf("start %d", 200+i)); err != nil {
					t.Errorf("on %s: %v", p.On, err)
				}
				if (i+n)%4 == 0 {
					line.Cut()
				}
			}
		})
	}
	all.Wait()
	w.Told()
	for i := range containers {
		vmid := 200 + i
		if len(w.Tasks(vmid)) == 0 { // which somebody was told, at once or as the outcome
			if people[0].Count("database did not answer")+people[1].Count("database did not answer") == 0 {
				t.Errorf("%d was not started, and nobody knows", vmid)
			}
			people[i%2].Command(fmt.Sprintf("start %d", vmid))
			w.Ended("vzstart", vmid)
		}
		wantTasks(t, w, vmid, "vzstart")
	}
	w.Told()
	w.Correct()
}
