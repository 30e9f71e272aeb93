package daemon_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

var (
	soakTicks = flag.Int("soak-ticks", 40, "how long the bot is soaked, in refreshes of 30 s; 2880 are a day")
	soakSeed  = flag.Uint64("soak-seed", 1, "of the faults; 0: a new one, which is printed")
)

// fault is something that goes wrong, until it is over.
type fault struct {
	name     string
	on, over func(w *daemontest.World)
}

// at once is a fault that is over by itself.
func atOnce(*daemontest.World) {}

var faults = []fault{
	{"Proxmox refuses connections", func(w *daemontest.World) { w.PVE.Down(true) }, func(w *daemontest.World) { w.PVE.Down(false) }},
	{"Proxmox does not answer", func(w *daemontest.World) { w.PVE.Stall(true) }, func(w *daemontest.World) { w.PVE.Stall(false) }},
	{"Proxmox is slow", func(w *daemontest.World) { w.PVE.Latency(4 * time.Second) }, func(w *daemontest.World) { w.PVE.Latency(0) }},
	{"Proxmox answers with errors", func(w *daemontest.World) { w.PVE.Fail("GET", "/cluster/resources", 500, "got timeout", 3) }, atOnce},
	{"a node is down", func(w *daemontest.World) { w.PVE.SetNode("pve2", false) }, func(w *daemontest.World) { w.PVE.SetNode("pve2", true) }},
	{"Slack is deaf", func(w *daemontest.World) { w.Slack.Deafen(true) }, func(w *daemontest.World) { w.Slack.Deafen(false) }},
	{"Slack cuts the connections", func(w *daemontest.World) { w.Slack.Disconnect("") }, atOnce},
	{"Slack renews the connections", func(w *daemontest.World) { w.Slack.Disconnect("refresh_requested") }, atOnce},
	{"Slack limits edits", func(w *daemontest.World) { w.Slack.RateLimit("chat.update", 5, 40*time.Second) }, func(w *daemontest.World) { w.Slack.RateLimit("chat.update", 0, 0) }},
	{"Slack is broken", func(w *daemontest.World) { w.Slack.FailHTTP("chat.update", http.StatusBadGateway, 5) }, func(w *daemontest.World) { w.Slack.FailHTTP("chat.update", 0, 0) }},
	{"Slack loses acknowledgements", func(w *daemontest.World) { w.Slack.DropAcks(3) }, func(w *daemontest.World) { w.Slack.DropAcks(0) }},
	{"Discord is deaf", func(w *daemontest.World) { w.Discord.Deafen(true) }, func(w *daemontest.World) { w.Discord.Deafen(false) }},
	{"Discord cuts the connection", func(w *daemontest.World) { w.Discord.CloseGateway(4000) }, atOnce},
	{"Discord wants a new connection", func(w *daemontest.World) { w.Discord.Reconnect() }, atOnce},
	{"Discord limits edits", func(w *daemontest.World) { w.Discord.RateLimit("PATCH /channels/", 5, 40*time.Second, true) }, func(w *daemontest.World) { w.Discord.RateLimit("PATCH /channels/", 0, 0, false) }},
	{"Discord lets nobody edit", func(w *daemontest.World) { w.Discord.Fail("PATCH /channels/", http.StatusTooManyRequests, 30046, 1) }, atOnce},
	{"Discord is broken", func(w *daemontest.World) { w.Discord.Fail("PATCH /channels/", http.StatusBadGateway, 0, 3) }, atOnce},
}

// A bot runs for a day in a world where something always goes wrong, and people
// go on using it. Afterwards nothing has grown, and the boards are right. The
// clock is the bubble's: a day takes as long as its work.
func TestASoakLeavesNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("it is the same work many times over")
	}
	// It runs beside no other test: what those use could not be told from a leak.
	rate := runtime.MemProfileRate
	runtime.MemProfileRate = 4 << 10
	defer func() { runtime.MemProfileRate = rate }()
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("go test ./cmd/internal/daemon -run %s -args -soak-ticks %d -soak-seed %d", t.Name(), *soakTicks, seed)
	daemontest.Bubble(t, func(t *testing.T, w *daemontest.World) { soak(t, w, rand.New(rand.NewPCG(seed, 0))) })
}

func soak(t *testing.T, w *daemontest.World, dice *rand.Rand) {
	const containers, tick = 12, 30 * time.Second
	w.PVE.AddNode("pve2")
	for i := range containers {
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 100 + i, Node: fmt.Sprintf("pve%d", 1+i%2), Name: fmt.Sprintf("ct%d", 100+i), Running: i%3 > 0})
	}
	var people []*daemontest.Person
	for _, on := range daemontest.Platforms {
		people = append(people, w.Person(on, "Ana", "admin"), w.Person(on, "Ben", "operator"))
	}
	stop := w.Run()
	boards := map[daemontest.Platform]*daemontest.Person{}
	for _, p := range people {
		p.Command("dashboard")
		boards[p.On] = p
	}

	// In the first part all that grows up to a limit gets there.
	acts, failed, went := 0, 0, map[string]int{}
	during := map[int]int{} // when a fault is over, by its number
	part := func(ticks int, quiet time.Duration) usage {
		for range ticks {
			for n, left := range during {
				if during[n] = left - 1; left == 0 {
					faults[n].over(w)
					delete(during, n)
				}
			}
			if n := dice.IntN(len(faults)); dice.IntN(4) == 0 && during[n] == 0 {
				faults[n].on(w)
				during[n] = 1 + dice.IntN(8)
				went[faults[n].name]++
			}
			if dice.IntN(5) == 0 { // by somebody's hand
				w.PVE.Update(100+dice.IntN(containers), func(ct *proxmoxtest.Container) { ct.Running = !ct.Running })
			}
			for range dice.IntN(3) {
				line := fmt.Sprintf([]string{"show %d", "start %d", "stop %d", "events %d", "shutdown %d", "list", "help", "alerts", "doctor"}[dice.IntN(9)], 100+dice.IntN(containers))
				line, _, _ = strings.Cut(line, "%!")
				acts++
				if people[dice.IntN(len(people))].TryCommand(line) != nil {
					failed++
				}
			}
			time.Sleep(tick)
		}
		for n := range during {
			faults[n].over(w)
		}
		clear(during)
		time.Sleep(quiet)
		for _, p := range people {
			p.Command("start 101") // whoever writes what is kept for a time, removes what is older
		}
		time.Sleep(5 * time.Minute)
		return measure(t, w)
	}
	before := part(*soakTicks/4, 5*time.Minute)
	after := part(*soakTicks-*soakTicks/4, time.Hour)
	t.Logf("%d acts, %d of them failed in people's hands; faults: %v", acts, failed, went)
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
	if after.goroutines > before.goroutines+8 { // connections that are idle come and go
		t.Errorf("goroutines: %d, and then %d", before.goroutines, after.goroutines)
	}
	if after.heap > before.heap+2<<20 {
		t.Errorf("bytes in use by the bot: %d, and then %d", before.heap, after.heap)
	}
	for table, most := range map[string]int{"boards": 2, "invocations": 100, "confirmations": 100, // removed now and then
		"drafts": 0, "leases": 0, "mutes": 0, "containers": containers, "outages": 0, "untold ends": 0, "open jobs": 0, "untold jobs": 0} {
		if n := after.rows[table]; n > most {
			t.Errorf("%d rows of %s, want at most %d", n, table, most)
		}
	}

	// What is shown is what there is, and follows at the next tick.
	for range 2 {
		for _, p := range boards {
			text := p.Sees("total", "ct").Text
			for _, ct := range w.PVE.Containers() {
				right := []string{ct.Name + " stopped", ct.Name + " error"} // the last action on it did not work
				if ct.Running {
					right = []string{ct.Name + " running"}
				}
				says := func(row string) bool { return strings.Contains(text, row) }
				if says(ct.Name) && !slices.ContainsFunc(right, says) {
					t.Errorf("the board on %s does not say %q:\n%s", p.On, right, text)
				}
			}
		}
		w.PVE.Update(100, func(ct *proxmoxtest.Container) { ct.Running = !ct.Running })
		time.Sleep(2 * tick)
	}
	stop()
	w.Correct()
}

// usage is what could leak.
type usage struct {
	goroutines int
	heap       int64 // in bytes, of the bot without the simulators
	rows       map[string]int
}

func measure(t *testing.T, w *daemontest.World) usage {
	t.Helper()
	u := usage{rows: map[string]int{}, heap: heldByTheBot()}
	u.goroutines = runtime.NumGoroutine()
	db := w.DB()
	for what, from := range map[string]string{
		"boards": "boards", "invocations": "invocations", "confirmations": "confirmations", "drafts": "drafts", "leases": "leases", "mutes": "mutes",
		"containers": "containers", "events": "events", "audit": "audit", "jobs": "jobs", "incidents": "incidents",
		"outages":     "incidents WHERE closed_at IS NULL AND (key LIKE 'cluster:%' OR key LIKE 'node:%' OR key LIKE 'platform:%')",
		"untold ends": "incidents WHERE closed_at IS NOT NULL AND told_at IS NULL",
		"open jobs":   "jobs WHERE finished_at IS NULL", "untold jobs": "jobs WHERE notified_at IS NULL",
	} {
		var n int
		if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+from).Scan(&n); err != nil {
			t.Fatal(err)
		}
		u.rows[what] = n
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return u
}

// heldByTheBot sums up what was allocated and is still in use, but for what the
// simulators and this test have allocated: they remember everything.
func heldByTheBot() (bytes int64) {
	for range 3 { // a profile is of the last collection but one
		runtime.GC()
	}
	records := make([]runtime.MemProfileRecord, 1<<16)
	n, _ := runtime.MemProfile(records, false)
	for _, r := range records[:n] {
		if !others(runtime.CallersFrames(r.Stack())) {
			bytes += r.InUseBytes()
		}
	}
	return bytes
}

func others(stack *runtime.Frames) bool {
	for {
		f, more := stack.Next()
		for _, pkg := range []string{"/slacktest", "/discordtest", "/proxmoxtest", "/daemontest", "/daemon_test", "/wiretest", "testing."} {
			if strings.Contains(f.Function, pkg) {
				return true
			}
		}
		if !more {
			return false
		}
	}
}
