package alerts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Look takes what one refresh of one cluster found; it returns at once. Every
// process hands over every refresh: a cluster that fails is seen by all, and
// the store lets one of them tell.
func (a *Alerts) Look(_ context.Context, rep inventory.Report) {
	a.later(func(ctx context.Context) { a.look(ctx, rep) })
}

func (a *Alerts) look(ctx context.Context, rep inventory.Report) {
	if rep.Err != nil {
		if a.failing[rep.Cluster]++; a.failing[rep.Cluster] >= 2 && !a.reached(ctx, "cluster/"+rep.Cluster) { // one lost answer is not news
			a.raise(ctx, Cluster, rep.Cluster, rep.Cluster, Details{Alert: view.ClusterDown(rep.Cluster, jobs.Reason(rep.Err))}, nil)
		}
		return
	}
	a.failing[rep.Cluster] = 0
	a.claimed = a.claimed || rep.Claimed
	a.measure(ctx, rep.Cluster, rep.Claimed)
	if !rep.Claimed {
		return
	}
	for _, n := range rep.Nodes {
		if !n.Online {
			a.nodeDown(ctx, rep, n.Node)
		}
	}
	a.containersDown(ctx, rep)
}

func (a *Alerts) nodeDown(ctx context.Context, rep inventory.Report, node string) {
	var running, stopped []string
	for _, ch := range rep.Changes {
		if ch.Before == nil || ch.After == nil || ch.After.Node != node || ch.After.State != inventory.Unknown {
			continue
		}
		switch ch.Before.State {
		case inventory.Running:
			running = append(running, ch.Before.DisplayName())
		case inventory.Stopped, inventory.Error:
			stopped = append(stopped, ch.Before.DisplayName())
		}
	}
	slices.Sort(running)
	slices.Sort(stopped)
	fine := 0
	for c := range a.cfg.Fleet().WorstFirst() {
		if c.Cluster == rep.Cluster && c.Node != node {
			fine++
		}
	}
	a.raise(ctx, Node, rep.Cluster+"/"+node, rep.Cluster, Details{
		Alert: view.NodeDown(node, "Proxmox says that it is not online", running, stopped, fine),
	}, nil)
}

// containersDown tells of those that went down without anybody's action.
func (a *Alerts) containersDown(ctx context.Context, rep inventory.Report) {
	var down []inventory.Change
	for _, ch := range rep.Changes {
		if ch.Before != nil && ch.After != nil && ch.Before.State == inventory.Running && ch.After.State == inventory.Stopped && !a.quiet(ch.After) {
			down = append(down, ch)
		}
	}
	if len(down) == 0 {
		return
	}
	back := lately
	if rep.First {
		back = longAgo
	}
	asked := a.stoppedByPeople(ctx, down, back)
	down = slices.DeleteFunc(down, func(ch inventory.Change) bool { return asked[ch.After.VMID] })
	if a.join(ctx, rep.Cluster, down) {
		return
	}
	if len(down) >= grouped {
		d := Details{Kind: Many, Total: len(down)}
		for _, ch := range down {
			d.Members = append(d.Members, Member{ID: ch.After.ID, Name: ch.After.DisplayName()})
		}
		slices.SortFunc(d.Members, func(x, y Member) int { return strings.Compare(x.Name, y.Name) })
		i := Incident{Details: d}
		a.regroup(&i)
		a.raise(ctx, Many, fmt.Sprintf("%s:%d", rep.Cluster, a.cfg.Now().UnixNano()), rep.Cluster, i.Details, nil)
		return
	}
	for _, ch := range down {
		a.raise(ctx, Down, string(ch.After.ID), rep.Cluster, Details{Alert: view.Down(ch.After, ch.Before), Tags: ch.After.TagList()}, nil)
	}
}

// join adds containers to an incident about several that is still fresh, as
// when one refresh saw half of what fell.
func (a *Alerts) join(ctx context.Context, cluster string, down []inventory.Change) bool {
	for _, i := range a.open(ctx) {
		if i.Kind != Many || i.Cluster != cluster || a.cfg.Now().Sub(i.Alert.Since) > damped {
			continue
		}
		in := make(map[inventory.ID]bool, len(i.Members))
		for _, m := range i.Members {
			in[m.ID] = true
		}
		for _, ch := range down {
			if !in[ch.After.ID] {
				i.Members = append(i.Members, Member{ID: ch.After.ID, Name: ch.After.DisplayName()})
				i.Total++
			}
		}
		slices.SortFunc(i.Members, func(x, y Member) int { return strings.Compare(x.Name, y.Name) })
		a.regroup(&i)
		a.save(ctx, &i)
		return true
	}
	return false
}

// quiet reports whether nobody wants to hear of a container now: it is worked
// on, by us or by a backup, or is marked to be left alone.
func (a *Alerts) quiet(c *inventory.Container) bool {
	if _, busy := a.cfg.Busy(c.ID); busy {
		return true
	}
	return c.Lock != "" || slices.Contains(c.TagList(), ignoreTag)
}

// stoppedByPeople asks Proxmox, once for each node, which of the containers
// somebody stopped, also outside of pvechat.
func (a *Alerts) stoppedByPeople(ctx context.Context, down []inventory.Change, back time.Duration) map[int]bool {
	asked := map[int]bool{}
	nodes := map[string]bool{}
	for _, ch := range down {
		c := ch.After
		if nodes[c.Node] {
			continue
		}
		nodes[c.Node] = true
		pve, ok := a.cfg.Clusters[c.Cluster]
		if !ok {
			continue
		}
		tasks, err := pve.Tasks(ctx, c.Node, proxmox.TaskFilter{Source: "all", Since: a.cfg.Now().Add(-back), Limit: 500})
		if err != nil {
			a.failed(ctx, "read the tasks of "+c.Node, err)
			continue
		}
		for _, t := range tasks {
			switch t.Type {
			case "vzstop", "vzshutdown", "vzreboot", "hastop", "vzmigrate", "vzrollback", "vzdestroy", "vzdump":
				asked[t.UPID.VMID()] = true
			}
		}
	}
	return asked
}

// measures are what containers can have too much of.
var measures = [...]struct {
	name  string
	limit func(Limits) int
	of    func(*inventory.Container) int
}{
	{"CPU", func(l Limits) int { return l.CPU }, func(c *inventory.Container) int { return c.CPUPct }},
	{"Memory", func(l Limits) int { return l.Memory }, func(c *inventory.Container) int { return c.MemPct }},
	{"Disk", func(l Limits) int { return l.Disk }, func(c *inventory.Container) int { return c.DiskPct }},
}

func aboutMeasure(c *inventory.Container, measure string) string { return string(c.ID) + "/" + measure }

// measure notes since when containers have too much, and tells of those that
// have had it for long. Every process counts, so that any can tell.
func (a *Alerts) measure(ctx context.Context, cluster string, tell bool) {
	now := a.cfg.Now()
	for _, m := range measures {
		limit := m.limit(a.cfg.Limits)
		if limit == 0 {
			continue
		}
		for c := range a.cfg.Fleet().WorstFirst() {
			if c.Cluster != cluster {
				continue
			}
			about := aboutMeasure(c, m.name)
			if percent := m.of(c); percent <= limit {
				if percent <= limit-ease {
					delete(a.above, about)
				}
				continue
			}
			since, seen := a.above[about]
			if !seen {
				since, a.above[about] = now, now
			}
			if tell && now.Sub(since) >= a.cfg.Limits.For && !a.quiet(c) {
				a.raise(ctx, Resource, about, cluster, Details{Alert: view.Above(c, m.name, m.of(c), limit, now.Sub(since)), Tags: c.TagList()}, nil)
			}
		}
	}
}

// settle ends what is over, as the last refresh shows it. It looks at states,
// not at changes, so that it finds what changed while nobody looked.
func (a *Alerts) settle(ctx context.Context) {
	a.platforms(ctx)
	snap, now := a.cfg.Fleet(), a.cfg.Now()
	for _, i := range a.open(ctx) {
		cl, ok := snap.Cluster(i.Cluster)
		if i.Cluster != "" && (!ok || cl.Stale() || cl.At.IsZero()) {
			continue // nothing is known of it now
		}
		_, about, _ := strings.Cut(i.Key, ":")
		switch i.Kind {
		case Cluster:
			a.clear(ctx, i.Key, "")
		case Node:
			if node := strings.TrimPrefix(about, i.Cluster+"/"); slices.ContainsFunc(cl.Nodes, func(n inventory.Node) bool { return n.Name == node && n.Online }) {
				a.clear(ctx, i.Key, "")
			}
		case Down:
			switch c, ok := snap.ByID(inventory.ID(about)); {
			case !ok:
				a.end(ctx, i, view.Removed)
			case c.State == inventory.Running:
				a.clear(ctx, i.Key, a.startedBy(c.ID, i.Alert.Since))
			}
		case Many:
			a.settleMany(ctx, i, snap)
		case Resource:
			a.settleMeasure(ctx, i, about, snap)
		case NodeKey:
			if node := strings.TrimPrefix(about, i.Cluster+"/"); !slices.ContainsFunc(cl.Nodes, func(n inventory.Node) bool { return n.Name == node }) {
				a.end(ctx, i, view.Removed)
			}
		case Services, HostKey:
			if _, ok := snap.ByID(inventory.ID(about)); !ok {
				a.end(ctx, i, view.Removed)
			}
		case Job:
			if now.Sub(i.Alert.Since) > jobFor {
				a.end(ctx, i, "")
				continue
			}
			a.jobDone(ctx, func(m Member) bool {
				c, ok := snap.ByID(m.ID)
				return !ok || m.Action == string(jobs.Start) && c.State == inventory.Running ||
					(m.Action == string(jobs.Stop) || m.Action == string(jobs.Shutdown)) && c.State == inventory.Stopped
			})
		}
	}
}

func (a *Alerts) startedBy(id inventory.ID, since time.Time) string {
	if s, ok := a.starters[id]; ok && s.at.After(since) {
		return "Started by " + s.name + "."
	}
	return ""
}

func (a *Alerts) settleMany(ctx context.Context, i Incident, snap *inventory.Snapshot) {
	left := slices.DeleteFunc(slices.Clone(i.Members), func(m Member) bool {
		c, ok := snap.ByID(m.ID)
		return !ok || c.State == inventory.Running
	})
	switch {
	case len(left) == 0:
		a.clear(ctx, i.Key, "")
	case len(left) < len(i.Members):
		i.Members = left
		a.regroup(&i)
		a.save(ctx, &i)
	}
}

func (a *Alerts) settleMeasure(ctx context.Context, i Incident, about string, snap *inventory.Snapshot) {
	id, name, _ := strings.Cut(about, "/")
	c, ok := snap.ByID(inventory.ID(id))
	if !ok {
		a.end(ctx, i, view.Removed)
		return
	}
	for _, m := range measures {
		if limit := m.limit(a.cfg.Limits); m.name == name && (limit == 0 || m.of(c) <= limit-ease) {
			a.clear(ctx, i.Key, "")
		}
	}
}

// platforms tells of one that has not been connected for a while, or is lost for
// good, and of its coming back.
func (a *Alerts) platforms(ctx context.Context) {
	now := a.cfg.Now()
	for _, p := range a.cfg.Platforms {
		h := p.Health()
		why, forGood := a.lost[p.Name()]
		switch {
		case h.OK:
			delete(a.lost, p.Name())
			a.clear(ctx, string(Platform)+":"+string(p.Name()), "")
		case !forGood && (h.Since.IsZero() || now.Sub(h.Since) < awayFor), a.reached(ctx, string(p.Name())):
		case forGood:
			a.raise(ctx, Platform, string(p.Name()), "", Details{Alert: view.PlatformLost(p.Name(), why, true)}, nil)
		default:
			a.raise(ctx, Platform, string(p.Name()), "", Details{Alert: view.PlatformLost(p.Name(), h.Detail, false)}, nil)
		}
	}
}

// reach tells the other processes what this one reaches.
func (a *Alerts) reach(ctx context.Context) {
	if a.cfg.Replicas == nil {
		return
	}
	var what []string
	for _, p := range a.cfg.Platforms {
		if h := p.Health(); h.OK && !h.Standby {
			what = append(what, string(p.Name()))
		}
	}
	for _, c := range a.cfg.Fleet().Clusters {
		if !c.Stale() && !c.At.IsZero() {
			what = append(what, "cluster/"+c.Name)
		}
	}
	if err := a.cfg.Replicas.Reach(ctx, what...); err != nil {
		a.failed(ctx, "note what this process reaches", err)
	}
}

// reached reports whether another process reaches what this one does not.
func (a *Alerts) reached(ctx context.Context, what string) bool {
	if a.cfg.Replicas == nil {
		return false
	}
	is, err := a.cfg.Replicas.Reached(ctx, what)
	if err != nil {
		a.failed(ctx, "ask what others reach", err)
	}
	return is
}

// booting is how long a container that was started has until its services are
// missed; a later look still tells of those that went down within the hour.
const booting = 2 * time.Minute

// Scanned tells of a container, or the node that leads to it, that shows another
// host key than the one that is known, and of services that went down. services.Config.Scanned calls it, in
// the process that looked.
func (a *Alerts) Scanned(ctx context.Context, c *inventory.Container, _, after *services.Report) {
	now := a.cfg.Now()
	a.now(ctx, func(ctx context.Context) {
		node := c.Cluster + "/" + c.Node
		switch after.Problem {
		case guest.HostKeyChanged.AtNode():
			a.raise(ctx, NodeKey, node, c.Cluster, Details{Alert: view.NodeKeyChanged(c.Cluster, c.Node)}, nil)
			return
		case guest.HostKeyChanged:
			a.raise(ctx, HostKey, string(c.ID), c.Cluster, Details{Alert: view.HostKeyChanged(c, after.HostKey), Tags: c.TagList()}, nil)
			return
		case "":
			a.clear(ctx, string(HostKey)+":"+string(c.ID), "")
			a.clear(ctx, string(NodeKey)+":"+node, "")
		default:
			return // nothing is known of it now
		}
		var down []services.Service
		fell := false
		for _, s := range after.Services {
			if s.System || s.Inside() || s.Up() || s.State == guest.ServiceStarting {
				continue
			}
			down = append(down, s)
			fell = fell || !s.Since.IsZero() && now.Sub(s.Since) < time.Hour
		}
		switch {
		case len(down) == 0:
			a.clear(ctx, string(Services)+":"+string(c.ID), "")
		case fell && !a.quiet(c) && now.Sub(c.BootedAt) > booting:
			d := Details{Alert: view.ServicesDown(c, down), Tags: c.TagList()}
			a.raise(ctx, Services, string(c.ID), c.Cluster, d, func(i *Incident) { i.Alert.Title, i.Alert.Body = d.Alert.Title, d.Alert.Body })
		}
	})
}
