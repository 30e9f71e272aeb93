package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage/storagetest"
)

type source struct {
	res proxmox.Resources
	err error
}

func (*source) Name() string { return "home" }
func (s *source) Resources(context.Context) (proxmox.Resources, error) {
	return s.res, s.err
}

var nodes = []proxmox.Node{{Name: "pve1", Status: "online"}, {Name: "pve2", Status: "online"}}

func row(vmid int, name, status string) proxmox.Container {
	c := proxmox.Container{VMID: vmid, Name: name, Node: "pve1", Status: status, MaxCPU: 1, MaxMem: 100, MaxDisk: 100}
	if status == "running" {
		c.CPU, c.Mem, c.Disk, c.Uptime = 0.5, 50, 50, 1000
	}
	return c
}

func newInventory(t *testing.T, rows ...proxmox.Container) (*inventory.Inventory, *source) {
	t.Helper()
	src := &source{res: proxmox.Resources{At: time.Now(), Containers: rows, Nodes: nodes}}
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{src}, Store: storagetest.Open(t), Every: 30 * time.Second})
	refresh(t, inv)
	return inv, src
}

func refresh(t *testing.T, inv *inventory.Inventory) inventory.Report {
	t.Helper()
	rep, err := inv.Refresh(t.Context(), "home")
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func one(t *testing.T, inv *inventory.Inventory, name string) *inventory.Container {
	t.Helper()
	found := inv.Snapshot().Find(name)
	if len(found) != 1 {
		t.Fatalf("%d containers %s", len(found), name)
	}
	return found[0]
}

func TestAContainerKeepsItsIDWhenItMovesOrIsRenamed(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"))
	id := one(t, inv, "101").ID
	src.res.Containers[0].Name, src.res.Containers[0].Node = "www", "pve2"
	refresh(t, inv)
	if c := one(t, inv, "pve2/www"); c.ID != id {
		t.Errorf("it is %s now, was %s", c.ID, id)
	}
}

func TestItIsGoneAfterTwoAnswersWithoutIt(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"), row(102, "db", "running"))
	src.res.Containers = src.res.Containers[1:]
	if rep := refresh(t, inv); len(rep.Changes) != 0 {
		t.Error("one answer was enough")
	}
	if rep := refresh(t, inv); len(rep.Changes) != 1 || rep.Changes[0].After != nil {
		t.Errorf("changes: %+v", rep.Changes)
	}
}

func TestAnEmptyAnswerIsNoVanishedFleet(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"), row(102, "db", "running"))
	src.res.Containers = nil
	for range 3 {
		refresh(t, inv)
	}
	if n := inv.Snapshot().Len(); n != 2 {
		t.Errorf("%d containers are left, want 2", n)
	}
}

func TestADeadNodeMakesItsContainersUnknownAndNamesStay(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"))
	src.res.Nodes = []proxmox.Node{{Name: "pve1", Status: "offline"}, {Name: "pve2", Status: "online"}}
	rep := refresh(t, inv)
	if c := one(t, inv, "web"); c.State != inventory.Unknown || c.CPUPct != inventory.None {
		t.Errorf("it is %s with %d %% CPU", c.State, c.CPUPct)
	}
	if len(rep.Nodes) != 1 || rep.Nodes[0].Online {
		t.Errorf("nodes: %+v", rep.Nodes)
	}
	src.res.Containers[0] = proxmox.Container{VMID: 101, Node: "pve1", Status: "unknown"} // five minutes later
	refresh(t, inv)
	one(t, inv, "web")
}

func TestProxmoxDownKeepsTheListAndSaysSoOnce(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"))
	src.err = errors.New("no route to host")
	if rep := refresh(t, inv); !rep.Failing {
		t.Error("it does not say that it began")
	}
	if rep := refresh(t, inv); rep.Failing {
		t.Error("it says so twice")
	}
	one(t, inv, "web")
	src.err = nil
	if rep := refresh(t, inv); !rep.Healed {
		t.Error("it does not say that it is over")
	}
}

func TestJitterChangesNoListAndStepsDo(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"))
	for _, cpu := range []float64{0.51, 0.52, 0.49} {
		src.res.Containers[0].CPU = cpu
		if rep := refresh(t, inv); rep.Looks {
			t.Errorf("at %v a list looks different", cpu)
		}
	}
	src.res.Containers[0].CPU = 0.71
	if rep := refresh(t, inv); !rep.Looks {
		t.Error("a step of colour is no change")
	}
	if c := one(t, inv, "web"); c.CPUPct != 71 || c.Shown.CPU != 71 {
		t.Errorf("it shows %d of %d", c.Shown.CPU, c.CPUPct)
	}
}

func TestAFailedActionIsAnErrorUntilItRuns(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "stopped"))
	id := one(t, inv, "web").ID
	if _, err := inv.Amend(t.Context(), id, func(r *inventory.Record) { r.Trouble, r.TroubleAt = "start failed · no space", time.Now() }); err != nil {
		t.Fatal(err)
	}
	refresh(t, inv)
	if c := one(t, inv, "web"); c.State != inventory.Error {
		t.Errorf("it is %s", c.State)
	}
	src.res.Containers[0] = row(101, "web", "running")
	refresh(t, inv)
	if c := one(t, inv, "web"); c.State != inventory.Running || c.Trouble != "" {
		t.Errorf("it is %s, %q", c.State, c.Trouble)
	}
}

func TestAReusedNumberIsAnotherContainer(t *testing.T) {
	inv, _ := newInventory(t, row(101, "web", "running"))
	id := one(t, inv, "web").ID
	cfg := proxmox.ContainerConfig{OSType: "debian", RootFS: proxmox.Mount{Volume: "a:vm-101-disk-0"}, Networks: []proxmox.Network{{HWAddr: "BC:24:11:00:00:01"}}}
	if replaced, err := inv.Identify(t.Context(), id, cfg); replaced || err != nil {
		t.Fatal(replaced, err)
	}
	more := cfg
	more.Networks = append(more.Networks, proxmox.Network{HWAddr: "BC:24:11:00:00:02"})
	if replaced, _ := inv.Identify(t.Context(), id, more); replaced {
		t.Error("one more interface makes another container")
	}
	other := cfg
	other.Networks = []proxmox.Network{{HWAddr: "BC:24:11:00:00:09"}}
	if replaced, _ := inv.Identify(t.Context(), id, other); !replaced {
		t.Error("it was not noticed")
	}
	refresh(t, inv)
	if c := one(t, inv, "web"); c.ID == id {
		t.Error("it has the old one's id")
	}
}

func TestWhatIsTypedFindsTheContainersThatItNames(t *testing.T) {
	two := row(102, "WEB", "running")
	two.Node = "pve2"
	inv, src := newInventory(t, row(101, "web", "running"), two, row(103, "", "stopped"), row(104, "101", "stopped"))
	for typed, want := range map[string][]int{
		"web": {102, 101}, "pve1/Web": {101}, "PVE2/web": {102}, "home/103": {103}, "CT 103": {103}, "101": {104, 101}, "home/104": {104},
		"": nil, "nothing": nil, "pve3/web": nil, "/": nil,
	} {
		var got []int
		for _, c := range inv.Snapshot().Find(typed) {
			got = append(got, c.VMID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q finds %v, want %v", typed, got, want)
		}
	}
	src.res.Containers[0].CPU = 0.9 // nobody moved: the names stand, the facts do not
	refresh(t, inv)
	if c := one(t, inv, "pve1/web"); c.CPUPct != 90 {
		t.Errorf("it finds an old one: %d %%", c.CPUPct)
	}
	src.res.Containers[0].Name = "www"
	refresh(t, inv)
	if one(t, inv, "www"); len(inv.Snapshot().Find("pve1/web")) != 0 {
		t.Error("it is found by its old name")
	}
}

// Whatever happens, and whoever noticed it: the lists, the index and what is
// found by id are of the same containers.
func TestASnapshotAgreesWithItself(t *testing.T) {
	dice := rand.New(rand.NewPCG(9, 1))
	var rows []proxmox.Container
	for i := range 40 {
		rows = append(rows, row(100+i, fmt.Sprintf("ct-%d", dice.IntN(30)), "stopped"))
	}
	inv, src := newInventory(t, rows...)
	for step := range 300 {
		src.res.Containers = slices.Clone(src.res.Containers)
		ct := &src.res.Containers[dice.IntN(len(src.res.Containers))]
		var anybody *inventory.Container
		for c := range inv.Snapshot().WorstFirst() {
			if anybody == nil || dice.IntN(20) == 0 {
				anybody = c
			}
		}
		amend := func(change func(*inventory.Record)) {
			if _, err := inv.Amend(t.Context(), anybody.ID, change); err != nil {
				t.Fatal(err)
			}
		}
		what := dice.IntN(8)
		switch what {
		case 0:
			ct.Status = "running"
		case 1:
			ct.Status = "stopped"
		case 2:
			ct.Name = fmt.Sprintf("ct-%d", dice.IntN(30))
		case 3:
			ct.Mem = dice.Int64N(100)
		case 4:
			src.res.Containers = append(src.res.Containers, row(1000+step, "new", "running"))
		case 5:
			amend(func(r *inventory.Record) { r.Trouble = []string{"", "start failed"}[dice.IntN(2)] })
		case 6:
			amend(func(r *inventory.Record) { r.Fingerprint = fmt.Sprint(step) })
		case 7:
			live := proxmox.Container{Status: []string{"running", "stopped"}[dice.IntN(2)]}
			if err := inv.Observe(t.Context(), anybody.ID, live); err != nil {
				t.Fatal(err)
			}
		}
		if what < 5 {
			refresh(t, inv)
		}
		snap, n := inv.Snapshot(), 0
		for _, st := range inventory.States {
			list := snap.In(st)
			n += len(list)
			for i, c := range list {
				byID, ok := snap.ByID(c.ID)
				if !ok || byID != c || c.State != st || i > 0 && list[i-1].DisplayName() > c.DisplayName() {
					t.Fatalf("step %d, a %d: %s is among the %s: %+v, by its id %+v", step, what, c.DisplayName(), st, c, byID)
				}
				if found := snap.Find(strconv.Itoa(c.VMID)); !slices.Contains(found, c) || !slices.Contains(snap.Find(c.Hostname), c) {
					t.Fatalf("step %d, a %d: %s (%d) is not found: %+v", step, what, c.Hostname, c.VMID, found)
				}
			}
		}
		if n != snap.Len() || n != len(src.res.Containers) {
			t.Fatalf("step %d, a %d: %d in the lists, %d by id, %d in Proxmox", step, what, n, snap.Len(), len(src.res.Containers))
		}
	}
}

// After the body is decoded, a container that reads as it did costs nothing, nor
// does one of which only the measures move.
func TestAnUnchangedContainerAllocatesNothing(t *testing.T) {
	for name, jitter := range map[string]int64{"the same": 0, "jitter": 1} {
		t.Run(name, func(t *testing.T) {
			perTick := func(n int) float64 {
				var rows []proxmox.Container
				for i := range n {
					rows = append(rows, row(100+i, "ct", "running"))
				}
				inv, src := newInventory(t, rows...)
				if refresh(t, inv); jitter == 0 { // the first ones settle what is known
					return testing.AllocsPerRun(20, func() { refresh(t, inv) })
				}
				return testing.AllocsPerRun(20, func() {
					for i := range src.res.Containers {
						src.res.Containers[i].Mem += jitter
					}
					jitter = -jitter
					if rep := refresh(t, inv); rep.Looks || len(rep.Changes) > 0 {
						t.Fatalf("it is more than jitter: %+v", rep)
					}
				})
			}
			few, many := perTick(100), perTick(5000)
			if each := (many - few) / 4900; each > 0.05 { // many share one
				t.Errorf("%.2f allocations for each: %.0f with 100, %.0f with 5000", each, few, many)
			}
		})
	}
}
