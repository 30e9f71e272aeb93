package main

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
	onEachPlatform(t, shared)
}

// onEachPlatform runs a test of processes that share a database.
func onEachPlatform(t *testing.T, test func(t *testing.T, program, database string, on daemontest.Platform)) {
	t.Helper()
	program := replica(t)
	for _, on := range daemontest.Platforms {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			test(t, program, storagetest.Postgres.URL(t), on)
		})
	}
}

// replica builds the program that several processes run.
func replica(t *testing.T) (program string) {
	t.Helper()
	if testing.Short() {
		t.Skip("it builds the program")
	}
	t.Parallel()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return program
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

var clicks = flag.Int("clicks", 36, "how many clicks three replicas are given while they are killed; with 500 or more in HTTP mode too")

// Three processes share a database, and each is killed and started again (twice,
// with sixty clicks or more) while people go on. A click that fails in their
// hands, for its process or the gateway was gone, they repeat. However the
// processes fall, every container is started once, and its outcome told.
func TestThreeReplicasAreKilledAndStartedAgain(t *testing.T) {
	program := replica(t)
	t.Run("connected", func(t *testing.T) { fallen(t, program, storagetest.Postgres.URL(t), false) })
	if *clicks >= 500 {
		t.Run("over HTTP", func(t *testing.T) { fallen(t, program, storagetest.Postgres.URL(t), true) })
	}
}

func fallen(t *testing.T, program, database string, overHTTP bool) {
	const replicas, people = 3, 3
	rounds := min(2, *clicks/30)
	w := daemontest.New(t, proxmoxtest.Options{})
	w.Database, w.HTTP = database, overHTTP
	if *clicks > 100 {
		w.Limit = 20 * time.Minute // Slack takes a hundred private messages a minute, and the adapter no more
	}
	var waiting [2]chan int // VMIDs, by platform
	for i := range waiting {
		waiting[i] = make(chan int, *clicks)
	}
	for i := range *clicks {
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 1000 + i, Name: fmt.Sprintf("ct%d", 1000+i)})
		waiting[i%2] <- 1000 + i
	}
	crowd := map[*daemontest.Person]chan int{}
	for i, on := range daemontest.Platforms {
		close(waiting[i])
		for n := range people {
			crowd[w.Person(on, fmt.Sprint("Person ", n), "admin")] = waiting[i]
		}
	}
	var bots [replicas]*daemontest.Process
	for i := range bots {
		bots[i] = w.Start(program)
	}

	// Each waits for an answer before the next click; one whose process falls
	// meanwhile never comes.
	var failed, lost, fell atomic.Int64
	step := make(chan struct{}, *clicks)
	pressers := make([]*daemontest.Person, 1000+*clicks) // by VMID
	var wg sync.WaitGroup
	for p, mine := range crowd {
		wg.Go(func() {
			for vmid := range mine {
				pressers[vmid] = p
				name := fmt.Sprintf("ct%d", vmid)
				answered := func() bool { _, ok := p.Seen(name); return ok }
				for before := fell.Load(); !answered() && t.Context().Err() == nil; before = fell.Load() {
					if p.TryCommand(fmt.Sprintf("start %d", vmid)) != nil {
						failed.Add(1)
						<-time.After(100 * time.Millisecond) // so fast is nobody
						continue
					}
					for !answered() && fell.Load() == before && t.Context().Err() == nil {
						<-time.After(20 * time.Millisecond)
					}
					if !answered() {
						lost.Add(1)
					}
				}
				step <- struct{}{}
			}
		})
	}
	falls := replicas * rounds
	for n := range falls {
		for range *clicks / (falls + 1) {
			<-step
		}
		bots[n%replicas].Kill()
		bots[n%replicas] = w.Start(program)
		fell.Add(1)
	}
	wg.Wait()
	w.Told()

	// What fell before it was sent, they were told of, and press again. Who is at
	// it, each process hears with its next refresh.
	for range 2 * replicas {
		w.Refreshed()
	}
	unsent := 0
	for i := range *clicks {
		if vmid := 1000 + i; len(w.Tasks(vmid)) == 0 {
			unsent++
			pressers[vmid].Sees(fmt.Sprintf("Could not start ct%d", vmid), "not sent")
			pressers[vmid].Command(fmt.Sprintf("start %d", vmid))
			w.Ended("vzstart", vmid)
		}
	}
	w.Told()
	again := 0
	for i := range *clicks {
		vmid := 1000 + i
		if got := w.Tasks(vmid); len(got) != 1 {
			t.Errorf("tasks of %d: %q, want one", vmid, got)
		}
		switch n := pressers[vmid].Count(fmt.Sprintf("Started ct%d", vmid)); n {
		case 1:
		case 2: // it was told, and fell before that was written down
			again++
		default:
			t.Errorf("the start of %d was told %d times", vmid, n)
		}
	}
	t.Logf("%d clicks, %d falls: %d clicks failed and %d were lost, and were repeated; %d were not sent, and said so; %d outcomes were told twice",
		*clicks, falls, failed.Load(), lost.Load(), unsent, again)
	if most := falls * len(crowd); int(lost.Load()) > most || again > most {
		t.Errorf("more than the %d that can be under way when a process falls", most)
	}
	w.Correct()
}

// Any of two processes serves any request: a form that was opened through one is
// sent to the other, and what each says is right.
func TestAnyReplicaServesAnyRequestOverHTTP(t *testing.T) {
	onEachPlatform(t, inTurns)
}

func inTurns(t *testing.T, program, database string, on daemontest.Platform) {
	w := daemontest.New(t, proxmoxtest.Options{})
	w.Database, w.HTTP = database, true
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Name: "web"})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Name: "wiki"})
	ana := w.Person(on, "Ana", "admin")
	bots := []*daemontest.Process{w.Start(program), w.Start(program)}

	// What one process has opened and another has changed, stays as it is.
	ana.Command("show web")
	ana.Sees("web", "Overview", "Hostname").Press("Events")
	tab := ana.Sees("web", "Overview", "Showing: All")
	for range 6 { // refreshes, of both
		w.Refreshed()
	}
	if now, ok := tab.Again(); !ok || !strings.Contains(now.Text, "Showing: All") {
		t.Errorf("the other tab is back:\n%s", now.Text)
	}
	if on == daemontest.Slack {
		tab.Dismiss()
	}

	// Refused with its field named, opened again, and taken; whichever process
	// has opened it, and with one request more the other has.
	for _, name := range []string{"web", "wiki"} {
		ana.Command("delete " + name)
		ana.Sees("Delete "+name, "vm-10").Submit(map[string]string{"name": "wrong"})
		refused := ana.Sees("That is not the container's name", "Nothing was deleted")
		if on == daemontest.Discord && !strings.Contains(refused.Text, "Type "+name) {
			t.Errorf("the field is not called as on the form:\n%s", refused.Text)
		}
		refused.Submit(map[string]string{"name": name})
		ana.Sees("Deleted " + name)
		ana.Command("help")
	}
	w.Told()
	for vmid := 101; vmid <= 102; vmid++ {
		if got := w.Tasks(vmid); len(got) != 1 || got[0] != "vzdestroy" {
			t.Errorf("tasks of %d: %q", vmid, got)
		}
	}
	for _, b := range bots {
		if b.Served() < 3 {
			t.Errorf("one process served %d requests", b.Served())
		}
	}
	w.Correct()
}
