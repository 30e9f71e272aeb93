package inventory_test

import (
	"errors"
	"testing"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

func TestAReservedContainerKeepsItsIDWhenProxmoxShowsIt(t *testing.T) {
	inv, src := newInventory(t, row(101, "web", "running"))
	c, err := inv.Reserve(t.Context(), inventory.Record{Cluster: "home", Node: "pve1", VMID: 126, Hostname: "wiki", Tags: "web"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // it is not missed
		refresh(t, inv)
	}
	if got, ok := inv.Snapshot().ByID(c.ID); !ok || got.State != inventory.Creating || got.Hostname != "wiki" {
		t.Fatalf("%v %+v", ok, got)
	}
	if _, err := inv.Reserve(t.Context(), inventory.Record{Cluster: "home", Node: "pve1", VMID: 101, Hostname: "x"}); !errors.Is(err, inventory.ErrTaken) {
		t.Errorf("a taken number: %v", err)
	}
	if err := inv.Renumber(t.Context(), c.ID, 127); err != nil {
		t.Fatal(err)
	}
	src.res.Containers = append(src.res.Containers, proxmox.Container{VMID: 127, Name: "wiki", Node: "pve1", Status: "stopped", Lock: "create"})
	refresh(t, inv)
	if got, ok := inv.Snapshot().ByID(c.ID); !ok || got.VMID != 127 || got.State != inventory.Creating {
		t.Errorf("%v %+v", ok, got)
	}
	if released, err := inv.Release(t.Context(), c.ID); err != nil || released {
		t.Errorf("one that Proxmox has is released: %v", err)
	}
	if inv.Snapshot().Len() != 2 {
		t.Errorf("%d containers", inv.Snapshot().Len())
	}
}

func TestAReservationIsReleased(t *testing.T) {
	inv, _ := newInventory(t)
	c, err := inv.Reserve(t.Context(), inventory.Record{Cluster: "home", Node: "pve1", VMID: 126, Hostname: "wiki"})
	if err != nil {
		t.Fatal(err)
	}
	if released, err := inv.Release(t.Context(), c.ID); err != nil || !released {
		t.Errorf("%v %v", released, err)
	}
	if _, ok := inv.Snapshot().ByID(c.ID); ok {
		t.Error("it is still there")
	}
}
