package inventory_test

import (
	"context"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// home is a simulated cluster of two nodes, and what is known of it.
type home struct {
	t   *testing.T
	pve *proxmoxtest.Server
	cl  *proxmox.Client
	db  *storage.DB
	inv *inventory.Inventory
	now time.Time
}

func newHome(t *testing.T, privs map[string][]string) *home {
	t.Helper()
	h := &home{t: t, now: time.Now().Truncate(time.Second), db: storagetest.Open(t)}
	h.pve = proxmoxtest.New(proxmoxtest.Options{Plain: true, Now: func() time.Time { return h.now }})
	h.pve.Token("bot@pve!bot", "s", privs)
	h.pve.AddNode("pve1")
	h.pve.AddNode("pve2")
	h.pve.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	h.pve.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "db", Running: true, Pool: "prod"})
	if err := h.pve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.pve.Close)
	var err error
	h.cl, err = proxmox.New(proxmox.Config{Name: "home", URLs: []string{h.pve.URL()}, TokenID: "bot@pve!bot", TokenSecret: "s", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	return h
}

// restart forgets all but the database, and refreshes.
func (h *home) restart() {
	h.t.Helper()
	h.inv = inventory.New(inventory.Config{
		Sources: []inventory.Source{h.cl}, Witnesses: map[string]inventory.Witness{"home": h.cl},
		Store: h.db, Every: 30 * time.Second, Now: func() time.Time { return h.now },
	})
	refresh(h.t, h.inv)
}

// remake destroys a container by hand and makes one that looks the same, down
// to its addresses, as a restored backup does.
func (h *home) remake(vmid int) {
	h.t.Helper()
	c, _ := h.pve.Container(vmid)
	h.now = h.now.Add(time.Minute)
	h.pve.RemoveContainer(vmid)
	h.now = h.now.Add(time.Minute)
	h.pve.AddTask(proxmoxtest.Task{Node: c.Node, Type: "vzrestore", VMID: vmid})
	h.pve.AddContainer(c)
	h.now = h.now.Add(time.Minute)
}

var everything = map[string][]string{"/": proxmoxtest.Administrator()}

func TestOneMadeAnewWhileTheBotWasAwayIsAnother(t *testing.T) {
	h := newHome(t, everything)
	web, db := one(t, h.inv, "web").ID, one(t, h.inv, "db").ID
	h.remake(101)
	h.restart()
	if one(t, h.inv, "web").ID == web {
		t.Error("it has the old one's id")
	}
	if one(t, h.inv, "db").ID != db {
		t.Error("the other one has another id")
	}
}

func TestOneMadeAnewBetweenTwoTicksIsAnotherWhenItIsLookedAt(t *testing.T) {
	h := newHome(t, everything)
	c := one(t, h.inv, "web")
	verify := func() bool {
		t.Helper()
		cfg, err := h.cl.ContainerConfig(t.Context(), c.Ref())
		if err != nil {
			t.Fatal(err)
		}
		replaced, err := h.inv.Verify(t.Context(), c.ID, cfg, c.Node)
		if err != nil {
			t.Fatal(err)
		}
		return replaced
	}
	if verify() {
		t.Fatal("it is taken for another one at once")
	}
	h.pve.AddTask(proxmoxtest.Task{Node: "pve1", Type: "vzclone", VMID: 101, Start: h.now.Add(time.Minute)})
	h.pve.AddTask(proxmoxtest.Task{Node: "pve1", Type: "vzdestroy", VMID: 101, Start: h.now.Add(time.Minute), Exit: "protection mode enabled"})
	if verify() {
		t.Fatal("having been cloned, or nearly destroyed, made it another one")
	}
	h.remake(101)
	refresh(t, h.inv)
	if one(t, h.inv, "web").ID != c.ID {
		t.Fatal("a tick noticed: then this test shows nothing")
	}
	if !verify() {
		t.Error("it was not noticed")
	}
	refresh(t, h.inv)
	if one(t, h.inv, "web").ID == c.ID {
		t.Error("it has the old one's id")
	}
}

func TestADestroyedContainerIsGoneAtOnce(t *testing.T) {
	h := newHome(t, everything)
	h.now = h.now.Add(time.Minute)
	h.pve.RemoveContainer(101)
	if rep := refresh(t, h.inv); len(rep.Changes) != 1 || rep.Changes[0].After != nil || len(h.inv.Snapshot().Find("web")) != 0 {
		t.Errorf("changes: %+v", rep.Changes)
	}
}

func TestOneThatCannotBeSeenIsNotGone(t *testing.T) {
	h := newHome(t, map[string][]string{"/vms/101": proxmoxtest.Administrator(), "/pool/prod": {"VM.Audit"}})
	h.pve.Token("bot@pve!bot", "s", map[string][]string{"/vms/101": proxmoxtest.Administrator()})
	for range 4 {
		refresh(t, h.inv)
	}
	if len(h.inv.Snapshot().Find("db")) != 1 {
		t.Error("it was given up when a privilege was taken away")
	}
}

// hiding is a cluster whose answers lack a container, though no task says why.
type hiding struct {
	*proxmox.Client
	vmid    int
	quorate bool
}

func (c *hiding) Resources(ctx context.Context) (proxmox.Resources, error) {
	res, err := c.Client.Resources(ctx)
	kept := res.Containers[:0]
	for _, row := range res.Containers {
		if row.VMID != c.vmid {
			kept = append(kept, row)
		}
	}
	res.Containers = kept
	return res, err
}

func (c *hiding) Quorate(context.Context) (bool, error) { return c.quorate, nil }

func TestWithoutAQuorumNothingIsGone(t *testing.T) {
	h := newHome(t, everything)
	c := &hiding{Client: h.cl}
	h.inv = inventory.New(inventory.Config{
		Sources: []inventory.Source{c}, Witnesses: map[string]inventory.Witness{"home": c}, Store: h.db, Every: 30 * time.Second,
	})
	refresh(t, h.inv)
	c.vmid = 101
	for range 4 {
		refresh(t, h.inv)
	}
	if len(h.inv.Snapshot().Find("web")) != 1 {
		t.Fatal("it was given up without a quorum")
	}
	c.quorate = true
	refresh(t, h.inv)
	if len(h.inv.Snapshot().Find("web")) != 1 {
		t.Error("one answer was enough")
	}
	refresh(t, h.inv)
	if len(h.inv.Snapshot().Find("web")) != 0 {
		t.Error("two complete answers were not enough")
	}
}

func TestOneThatMovedIsFound(t *testing.T) {
	h := newHome(t, everything)
	id := one(t, h.inv, "web").ID
	h.pve.Update(101, func(c *proxmoxtest.Container) { c.Node = "pve2" })
	node, ok, err := h.inv.Locate(t.Context(), id)
	if node != "pve2" || !ok || err != nil {
		t.Errorf("it is on %q, %v, %v", node, ok, err)
	}
	if c := one(t, h.inv, "web"); c.ID != id || c.Node != "pve2" {
		t.Errorf("it is known as %s on %s", c.ID, c.Node)
	}
}
