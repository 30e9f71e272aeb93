package inventory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// Identify compares a container with the config that its VMID has now, and
// learns its fingerprint where there was none, and its addresses. It reports
// whether it is another container by now; the known one is then gone, and a
// refresh finds the other.
func (inv *Inventory) Identify(ctx context.Context, id ID, cfg proxmox.ContainerConfig) (replaced bool, err error) {
	print := Fingerprint(cfg)
	_, err = inv.Amend(ctx, id, func(r *Record) {
		if SameContainer(r.Fingerprint, print) {
			r.Fingerprint, r.Addresses = print, Addresses(cfg.Networks...)
			return
		}
		replaced = true
		r.GoneAt = inv.cfg.Now()
	})
	return replaced, err
}

// clockMargin is what two clocks that are compared to the second may differ by.
const clockMargin = 2 * time.Second

// replacing are the tasks after which a VMID belongs to another container. A
// clone has the VMID of what was cloned, and says nothing of the new one: that
// its VMID was free before takes a vzdestroy.
var replacing = []string{"vzdestroy", "vzcreate", "vzrestore"}

// replacedBy reports whether a task made the container with id another one: it
// ended well, and began after the container was first seen.
func (c *Container) replacedBy(t proxmox.Task, skew time.Duration) bool {
	return c.State != Creating && slices.Contains(replacing, t.Type) && t.UPID.VMID() == c.VMID &&
		proxmox.TaskStatus{Exit: t.Status}.OK() && t.Start.After(c.FirstSeen.Add(skew+clockMargin))
}

// Verify asks Proxmox whether a container is still the one that is known, on
// the nodes where it was and is: the config that its VMID has now is compared
// with what was learnt of it, and the tasks since it was first seen are looked
// through. Where it is another one by now, the known one is gone, and a refresh
// finds the other.
func (inv *Inventory) Verify(ctx context.Context, id ID, cfg proxmox.ContainerConfig, nodes ...string) (replaced bool, err error) {
	if replaced, err = inv.Identify(ctx, id, cfg); replaced || err != nil {
		return replaced, err
	}
	c, ok := inv.Snapshot().ByID(id)
	if !ok {
		return true, nil
	}
	w := inv.cfg.Witnesses[c.Cluster]
	if w == nil {
		return false, nil
	}
	slices.Sort(nodes)
	for _, node := range slices.Compact(nodes) {
		tasks, err := w.Tasks(ctx, node, proxmox.TaskFilter{VMID: c.VMID, Source: "all", Since: c.FirstSeen.Add(inv.Skew(c.Cluster)), Limit: 500})
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(tasks, func(t proxmox.Task) bool { return c.replacedBy(t, inv.Skew(c.Cluster)) }) {
			_, err := inv.Amend(ctx, id, func(r *Record) { r.GoneAt = inv.cfg.Now() })
			return true, err
		}
	}
	return false, nil
}

// Locate asks the cluster on which node a container is by now, and notes it. It
// is false where the cluster does not have it.
func (inv *Inventory) Locate(ctx context.Context, id ID) (node string, ok bool, err error) {
	c, known := inv.Snapshot().ByID(id)
	if !known {
		return "", false, nil
	}
	w := inv.cfg.Witnesses[c.Cluster]
	if w == nil {
		return c.Node, true, nil
	}
	res, err := w.Resources(ctx)
	if err != nil {
		return "", false, err
	}
	for i := range res.Containers {
		if row := &res.Containers[i]; row.VMID == c.VMID {
			_, err := inv.Amend(ctx, id, func(r *Record) { r.Node = row.Node })
			return row.Node, true, err
		}
	}
	return "", false, nil
}

// doubts are what the witness says of containers that an answer lacks, or that
// were known before this process.
type doubts struct {
	destroyed map[ID]bool // by a task that ended well
	unseen    map[ID]bool // missing, and it proves nothing
}

// inquire asks about containers that are missing from an answer, and, after the
// first answer, whether any was made anew while nobody looked. What cannot be
// asked proves nothing.
func (inv *Inventory) inquire(ctx context.Context, cs *clusterState, res *proxmox.Resources) doubts {
	d := doubts{destroyed: map[ID]bool{}, unseen: map[ID]bool{}}
	w := inv.cfg.Witnesses[cs.Name]
	if w == nil {
		return d
	}
	answered := make(map[int]bool, len(res.Containers))
	for i := range res.Containers {
		answered[res.Containers[i].VMID] = true
	}
	inv.mu.Lock()
	known, first := slices.Collect(maps.Values(cs.byVMID)), cs.At.IsZero()
	inv.mu.Unlock()
	var missing []*Container
	nodes, byVMID := map[string]bool{}, map[int]*Container{}
	for _, c := range known {
		byVMID[c.VMID] = c
		if c.reserved() {
			continue
		}
		if !answered[c.VMID] {
			missing = append(missing, c)
		}
		if first || !answered[c.VMID] {
			nodes[c.Node] = true
		}
	}
	skew := res.At.Sub(inv.cfg.Now())
	for _, n := range res.Nodes {
		if !nodes[n.Name] || n.Status != "online" {
			continue
		}
		for _, typ := range replacing {
			tasks, err := w.Tasks(ctx, n.Name, proxmox.TaskFilter{Type: typ, Source: "all", Limit: 500})
			if err != nil {
				inv.cfg.Log.WarnContext(ctx, "read the tasks of a node", "cluster", cs.Name, "node", n.Name, "err", err)
				break
			}
			for _, t := range tasks {
				if c := byVMID[t.UPID.VMID()]; c != nil && c.replacedBy(t, skew) {
					d.destroyed[c.ID] = true
				}
			}
		}
	}
	if len(missing) == 0 {
		return d
	}
	quorate, err := w.Quorate(ctx)
	allowed, perr := w.Permissions(ctx)
	for _, c := range missing {
		sees := perr == nil && (allowed.Has("/vms/"+strconv.Itoa(c.VMID), "VM.Audit") || c.Pool != "" && allowed.Has("/pool/"+c.Pool, "VM.Audit"))
		d.unseen[c.ID] = !sees || err == nil && !quorate
	}
	return d
}

// dropDestroyed marks containers gone that a task has destroyed or replaced.
func (cs *clusterState) dropDestroyed(destroyed map[ID]bool, now time.Time, rep *Report) []Record {
	var gone []Record
	for _, c := range cs.byVMID {
		if destroyed[c.ID] {
			gone = append(gone, cs.drop(c, now, rep))
		}
	}
	return gone
}

// dropMissing marks containers gone that two complete answers did not hold
// while their node was online. An answer is not complete for a container that
// the token may not see, without a quorum, or where it is empty and there were
// several.
func (cs *clusterState) dropMissing(answered map[int]struct{}, res *proxmox.Resources, online map[string]bool, d doubts, now time.Time, rep *Report) []Record {
	if len(answered) >= len(cs.byVMID) || len(res.Containers) == 0 && len(cs.byVMID) > 1 {
		return nil
	}
	var gone []Record
	for vmid, c := range cs.byVMID {
		if _, ok := answered[vmid]; ok || !online[c.Node] || d.unseen[c.ID] || c.reserved() {
			continue
		}
		next := *c
		next.miss++
		if next.miss < 2 {
			cs.byVMID[vmid] = &next
			continue
		}
		gone = append(gone, cs.drop(c, now, rep))
	}
	return gone
}

// drop forgets a container and returns its last record.
func (cs *clusterState) drop(c *Container, now time.Time, rep *Report) Record {
	delete(cs.byVMID, c.VMID)
	r := c.Record
	r.GoneAt, r.SeenAt = now, now
	rep.Changes = append(rep.Changes, Change{cs.Name, c, nil})
	rep.Looks = true
	return r
}
