package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTaken says that a cluster has a container with that VMID.
var ErrTaken = errors.New("inventory: the VMID is taken")

// Reserve makes the record of a container that is about to be made, so that it
// has its own id, and everybody sees it, from the beginning. Proxmox knows
// nothing of it: the VMID can still be taken by others. Of r, Cluster, Node,
// VMID, Hostname, Tags and Addresses are given.
func (inv *Inventory) Reserve(ctx context.Context, r Record) (*Container, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	cs, ok := inv.clusters[r.Cluster]
	if !ok {
		return nil, fmt.Errorf("inventory: there is no cluster %s", r.Cluster)
	}
	if _, taken := cs.byVMID[r.VMID]; taken {
		return nil, ErrTaken
	}
	now := inv.cfg.Now()
	r.ID, r.State, r.FirstSeen, r.SeenAt = NewID(), Creating, now, now
	c := &Container{Record: r, CPUPct: None, MemPct: None, DiskPct: None, Shown: Percentages{None, None, None}}
	if err := inv.store(ctx, c.Record); err != nil { // [ErrTaken] where another process was quicker
		return nil, err
	}
	cs.byVMID[r.VMID] = c
	cs.Changed = now
	inv.publish(renamed)
	return c, nil
}

// Renumber gives a reserved container another VMID. It returns [ErrTaken] where
// the cluster has one with it.
func (inv *Inventory) Renumber(ctx context.Context, id ID, vmid int) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	c, ok := inv.snap.Load().ByID(id)
	if !ok {
		return fmt.Errorf("inventory: there is no container %s", id)
	}
	cs := inv.clusters[c.Cluster]
	if other, taken := cs.byVMID[vmid]; taken && other.ID != id {
		return ErrTaken
	}
	// What was seen under the old number belongs to somebody else's container,
	// which the next refresh finds.
	next := &Container{Record: c.Record, CPUPct: None, MemPct: None, DiskPct: None, Shown: Percentages{None, None, None}}
	next.VMID, next.State, next.SeenAt = vmid, Creating, inv.cfg.Now()
	if err := inv.store(ctx, next.Record); err != nil {
		return err
	}
	delete(cs.unsaved, id)
	delete(cs.byVMID, c.VMID)
	cs.byVMID[vmid] = next
	inv.publish(renamed)
	return nil
}

// Made says that Proxmox has made a reserved container, and what of: what its
// tasks say from now on is about this one.
func (inv *Inventory) Made(ctx context.Context, id ID, template, osTemplate string) error {
	_, err := inv.Amend(ctx, id, func(r *Record) { r.FirstSeen, r.MadeFrom, r.OSTemplate = inv.cfg.Now(), template, osTemplate })
	return err
}

// Release forgets a reserved container that was never made. It reports whether
// it was one.
func (inv *Inventory) Release(ctx context.Context, id ID) (bool, error) {
	c, ok := inv.Snapshot().ByID(id)
	if !ok || !c.reserved() {
		return false, nil
	}
	_, err := inv.Amend(ctx, id, func(r *Record) { r.GoneAt = inv.cfg.Now() })
	return true, err
}

// reservedFor is how long a container may be reserved with nobody at work on it.
const reservedFor = time.Minute

// Sweep forgets containers that were reserved, that nobody is making any more,
// and that their cluster does not have: who reserved them has died between the
// two, or could not reach the database. making reports whether somebody is at
// it.
func (inv *Inventory) Sweep(ctx context.Context, making func(ID) bool) error {
	snap := inv.Snapshot()
	for _, c := range snap.byState[Creating] {
		cl, _ := snap.Cluster(c.Cluster)
		if !c.reserved() || making(c.ID) || cl.Err != nil || cl.At.Sub(c.SeenAt) < reservedFor {
			continue
		}
		if _, err := inv.Release(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// reserved reports whether Proxmox has not shown the container yet.
func (c *Container) reserved() bool { return c.State == Creating && c.raw.VMID == 0 }
