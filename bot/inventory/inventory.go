// Package inventory holds the last snapshot of every cluster, says what changed
// between two of them, and knows which container is which across restarts,
// moves and reused VMIDs.
package inventory

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// Source is a cluster to look at; *proxmox.Client is one.
type Source interface {
	Name() string
	Resources(ctx context.Context) (proxmox.Resources, error)
}

// Witness is asked about containers that are missing, or may have been made
// anew; *proxmox.Client is one.
type Witness interface {
	Resources(ctx context.Context) (proxmox.Resources, error)
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
	Permissions(ctx context.Context) (proxmox.Permissions, error)
	Quorate(ctx context.Context) (bool, error)
}

// Config is what New needs.
type Config struct {
	Sources []Source
	// Witnesses, by cluster, tell a container that is gone from one that cannot
	// be seen. Of a cluster without one, two answers that lack a container are
	// taken at their word.
	Witnesses map[string]Witness
	Store     Store
	Every     time.Duration // between two refreshes
	Now       func() time.Time
	Log       *slog.Logger
}

// Inventory refreshes the snapshot. Its methods are safe for concurrent use.
type Inventory struct {
	cfg  Config
	snap atomic.Pointer[Snapshot]

	mu       sync.Mutex // serialises changes of the snapshot
	clusters map[string]*clusterState
}

// clusterState is the mutable side of one cluster.
type clusterState struct {
	Cluster
	refreshing sync.Mutex
	source     Source
	loaded     bool
	byVMID     map[int]*Container
	unsaved    map[ID]Record // what the store did not take, to be tried again
	nodes      map[string]*Node
}

// New makes an Inventory. It does no I/O.
func New(cfg Config) *Inventory {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	inv := &Inventory{cfg: cfg, clusters: map[string]*clusterState{}}
	for _, s := range cfg.Sources {
		inv.clusters[s.Name()] = &clusterState{
			Cluster: Cluster{Name: s.Name()},
			source:  s,
			byVMID:  map[int]*Container{},
			unsaved: map[ID]Record{},
			nodes:   map[string]*Node{},
		}
	}
	inv.publish(renamed)
	return inv
}

// Snapshot returns what is known now. It never waits.
func (inv *Inventory) Snapshot() *Snapshot { return inv.snap.Load() }

// Change is a difference that a refresh saw.
type Change struct {
	Cluster string
	Before  *Container // nil: new
	After   *Container // nil: gone
}

// NodeChange is a node that came or went.
type NodeChange struct {
	Cluster string
	Node    string
	Online  bool
}

// Report is what one refresh of one cluster found.
type Report struct {
	Cluster string
	Claimed bool // this process writes and tells in this period
	Err     error
	First   bool // the first good answer since the start: nothing is known of what happened before
	Failing bool // Err is new: the last refresh was good, or this is the first
	Healed  bool // this one is good, the last was not
	Changes []Change
	Nodes   []NodeChange
	Looks   bool // a list would look different
}

// Load reads what is remembered, so that a start without Proxmox shows the
// last known list, and later what other processes are about to make. Refresh
// does it too, when it has not been done.
func (inv *Inventory) Load(ctx context.Context) error {
	for _, src := range inv.cfg.Sources {
		cs := inv.clusters[src.Name()]
		cs.refreshing.Lock()
		err := inv.load(ctx, cs)
		cs.refreshing.Unlock()
		if err != nil {
			return err
		}
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.publish(renamed)
	return nil
}

func (inv *Inventory) load(ctx context.Context, cs *clusterState) error {
	records, err := inv.cfg.Store.Containers(ctx, cs.Name)
	if err != nil {
		return err
	}
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for _, r := range records {
		if _, known := cs.byVMID[r.VMID]; !known {
			cs.byVMID[r.VMID] = &Container{Record: r, CPUPct: None, MemPct: None, DiskPct: None, Shown: Percentages{None, None, None}}
		}
	}
	cs.loaded = true
	return nil
}

// Refresh asks one cluster once and takes over what it says. The error in the
// report is the cluster's; a returned error is the database's.
func (inv *Inventory) Refresh(ctx context.Context, cluster string) (Report, error) {
	cs, ok := inv.clusters[cluster]
	if !ok {
		return Report{Cluster: cluster}, nil
	}
	cs.refreshing.Lock()
	defer cs.refreshing.Unlock()
	if !cs.loaded {
		if err := inv.load(ctx, cs); err != nil {
			return Report{Cluster: cluster}, err
		}
	}
	rep := Report{Cluster: cluster}
	res, err := cs.source.Resources(ctx)
	if err != nil {
		if ctx.Err() != nil { // the bot ends, or somebody's patience did: that says nothing of the cluster
			return rep, ctx.Err()
		}
		inv.fail(cs, err, &rep)
		return rep, nil
	}
	rep.Claimed, err = inv.cfg.Store.ClaimTick(ctx, cluster, inv.cfg.Every)
	if err != nil {
		return rep, err
	}
	return rep, inv.take(ctx, cs, &res, &rep)
}

func (inv *Inventory) fail(cs *clusterState, err error, rep *Report) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	rep.Err = err
	rep.Failing = cs.Err == nil
	if rep.Failing {
		cs.Since = inv.cfg.Now()
		rep.Looks = true
	}
	cs.Err = err
	inv.publish(same)
}

// take compares an answer with what is known, and replaces it.
func (inv *Inventory) take(ctx context.Context, cs *clusterState, res *proxmox.Resources, rep *Report) error {
	now := inv.cfg.Now()
	if err := inv.adopt(ctx, cs, res); err != nil {
		return err
	}
	doubts := inv.inquire(ctx, cs, res)
	inv.mu.Lock()
	defer inv.mu.Unlock()

	rep.First = cs.At.IsZero()
	rep.Healed = cs.Err != nil
	what := same
	if rep.First || rep.Healed {
		what = renamed
	}
	online := cs.takeNodes(res.Nodes, now, rep)
	cs.Storages = res.Storages

	save := cs.dropDestroyed(doubts.destroyed, now, rep)
	answered := make(map[int]struct{}, len(res.Containers))
	var measuring slab
	for i := range res.Containers {
		row := &res.Containers[i]
		answered[row.VMID] = struct{}{}
		before, known := cs.byVMID[row.VMID]
		if known && before.raw == *row && before.miss == 0 && before.State == before.stateIn(row, online[row.Node]) {
			continue
		}
		if known && row.Status != before.raw.Status && now.Sub(before.observed) < listLag {
			continue // the list is older than what was read from the container itself
		}
		if !known {
			if !rep.Claimed {
				continue // the process that claimed this period gives it its id
			}
			before = nil
		}
		next := build(cs.Name, before, row, online[row.Node], now)
		what = max(what, measured)
		looks, changed := before == nil || visible(before, &next), before == nil || before.Record != next.Record
		if !looks && !changed {
			cs.byVMID[row.VMID] = measuring.keep(next)
			continue
		}
		after := new(next)
		cs.byVMID[row.VMID] = after
		rep.Looks = rep.Looks || looks
		if changed {
			save = append(save, after.Record)
			rep.Changes = append(rep.Changes, Change{cs.Name, before, after})
		}
	}
	if len(answered) < len(cs.byVMID) {
		what = max(what, measured) // that they were missed is noted
	}
	save = append(save, cs.dropMissing(answered, res, online, doubts, now, rep)...)
	for _, ch := range rep.Changes {
		what = max(what, become(ch.Before, ch.After))
	}

	cs.At, cs.Err = now, nil
	cs.Skew = res.At.Sub(now)
	if rep.First || rep.Healed {
		rep.Looks = true
	}
	if rep.Looks {
		cs.Changed = now
	}
	if !rep.Claimed { // another process saves what this period changed
		save = nil
	}
	err := inv.save(ctx, cs, save...)
	rep.Changes = slices.DeleteFunc(rep.Changes, func(ch Change) bool { // another process has named it
		return ch.Before == nil && cs.byVMID[ch.After.VMID] != ch.After
	})
	inv.publish(what)
	return err
}

// adopt reads the store again when the answer holds containers that another
// process may have named already: in an earlier period, or to make them.
func (inv *Inventory) adopt(ctx context.Context, cs *clusterState, res *proxmox.Resources) error {
	if inv.knowsAll(cs, res) {
		return nil
	}
	return inv.load(ctx, cs)
}

func (inv *Inventory) knowsAll(cs *clusterState, res *proxmox.Resources) bool {
	inv.mu.Lock() // a job may be observing a container
	defer inv.mu.Unlock()
	for i := range res.Containers {
		if _, known := cs.byVMID[res.Containers[i].VMID]; !known {
			return false
		}
	}
	return true
}

func (cs *clusterState) takeNodes(nodes []proxmox.Node, now time.Time, rep *Report) map[string]bool {
	online := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		up := n.Status == "online"
		online[n.Name] = up
		known, ok := cs.nodes[n.Name]
		switch {
		case !ok:
			cs.nodes[n.Name] = &Node{Name: n.Name, Online: up, Since: now}
			if !up {
				rep.Nodes = append(rep.Nodes, NodeChange{cs.Name, n.Name, false})
			}
		case known.Online != up:
			known.Online, known.Since = up, now
			rep.Nodes = append(rep.Nodes, NodeChange{cs.Name, n.Name, up})
			rep.Looks = true
		}
	}
	for _, n := range nodes {
		cs.nodes[n.Name].Mem, cs.nodes[n.Name].MaxMem = n.Mem, n.MaxMem
	}
	cs.Nodes = cs.Nodes[:0:0]
	for _, n := range cs.nodes {
		cs.Nodes = append(cs.Nodes, *n)
	}
	slices.SortFunc(cs.Nodes, func(a, b Node) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return online
}

// stateIn is the state that row means for c: an action that failed stays
// visible until the container runs.
func (c *Container) stateIn(row *proxmox.Container, nodeOnline bool) State {
	st := stateOf(row, nodeOnline)
	if st == Stopped && c.Trouble != "" {
		return Error
	}
	return st
}

func build(cluster string, before *Container, row *proxmox.Container, nodeOnline bool, now time.Time) Container {
	var c Container
	if before != nil {
		c.Record = before.Record
		c.Shown = before.Shown
		c.BootedAt = before.BootedAt
		if before.reserved() {
			c.FirstSeen = now // the task that made it is no other one's
		}
	} else {
		c.Record = Record{ID: NewID(), Cluster: cluster, VMID: row.VMID, FirstSeen: now, SeenAt: now}
		c.Shown = Percentages{None, None, None}
	}
	c.raw = *row
	c.Node = row.Node
	c.State = c.stateIn(row, nodeOnline)
	if row.Name != "" || row.Status != "unknown" { // a row without data says nothing about these
		c.Hostname, c.Tags, c.Pool = row.Name, row.Tags, row.Pool
		c.Template = row.Template
	}
	if c.State == Running {
		c.Trouble, c.TroubleAt = "", time.Time{}
	}
	c.Lock, c.HAState = row.Lock, row.HAState
	c.Cores, c.MaxMem, c.MaxDisk = row.MaxCPU, row.MaxMem, row.MaxDisk
	c.CPUPct, c.MemPct, c.DiskPct = None, None, None
	if c.State == Running && row.Status == "running" {
		c.Mem, c.Disk = row.Mem, row.Disk
		c.CPUPct = percent(row.CPU, 1)
		c.MemPct = percent(float64(row.Mem), float64(row.MaxMem))
		c.DiskPct = percent(float64(row.Disk), float64(row.MaxDisk))
		booted := now.Add(-time.Duration(row.Uptime) * time.Second)
		if d := booted.Sub(c.BootedAt); d > time.Minute || d < -time.Minute {
			c.BootedAt = booted // else the same boot, seen with a little noise
		}
	} else {
		c.BootedAt = time.Time{}
	}
	c.Shown = Percentages{
		CPU:  settle(c.Shown.CPU, c.CPUPct, cpuJitter),
		Mem:  settle(c.Shown.Mem, c.MemPct, memJitter),
		Disk: settle(c.Shown.Disk, c.DiskPct, diskJitter),
	}
	if before != nil && c.Record != before.Record {
		c.SeenAt = now
	}
	return c
}

// slab has room for containers of which no more than the measures moved: nearly
// all of them, at every refresh, and each would be an allocation. All that are
// in one piece stay in memory until the last is exchanged, so pieces are small.
type slab []Container

const slabSize = 64

func (s *slab) keep(c Container) *Container {
	if len(*s) == cap(*s) {
		*s = make([]Container, 0, slabSize)
	}
	*s = append(*s, c)
	return &(*s)[len(*s)-1]
}

// visible reports whether a list would show the two differently.
func visible(a, b *Container) bool {
	return a.State != b.State || a.Shown != b.Shown || a.Hostname != b.Hostname || a.Node != b.Node ||
		a.Lock != b.Lock || a.Trouble != b.Trouble || a.Template != b.Template || a.Tags != b.Tags || a.BootedAt != b.BootedAt
}

// difference is what has become of the containers since the last snapshot.
type difference uint8

const (
	same     difference = iota // not one was exchanged
	measured                   // some were, by ones of the same name, number and state
	moved                      // some changed their state
	renamed                    // some came, went, or changed name or number
)

// become is the difference between a container and what took its place; nil: it
// was not there, or is not any more.
func become(before, after *Container) difference {
	switch {
	case before == nil || after == nil || before.ID != after.ID || before.Hostname != after.Hostname || before.VMID != after.VMID:
		return renamed
	case before.State != after.State:
		return moved
	}
	return measured
}

// publish makes what is known the snapshot. It shares with the one before what
// the difference leaves alone: the order of the lists, or the containers too.
func (inv *Inventory) publish(what difference) {
	old := inv.snap.Load()
	s := &Snapshot{Clusters: make([]Cluster, 0, len(inv.cfg.Sources))}
	n := 0
	for _, src := range inv.cfg.Sources {
		cs := inv.clusters[src.Name()]
		s.Clusters = append(s.Clusters, cs.Cluster)
		n += len(cs.byVMID)
	}
	if old == nil || len(old.byID) != n { // what another process made was read meanwhile
		what = renamed
	}
	if what == same {
		s.byID, s.byState, s.typed, s.names = old.byID, old.byState, old.typed, old.names
		inv.snap.Store(s)
		return
	}
	s.byID = make(map[ID]*Container, n)
	s.byState = make(map[State][]*Container, len(States))
	for _, src := range inv.cfg.Sources {
		for _, c := range inv.clusters[src.Name()].byVMID {
			s.byID[c.ID] = c
		}
	}
	switch what {
	case measured:
		s.typed, s.names = old.typed, old.names
		for st, list := range old.byState {
			next := make([]*Container, len(list))
			for i, c := range list {
				next[i] = s.byID[c.ID]
			}
			s.byState[st] = next
		}
	case moved:
		s.typed, s.names = old.typed, old.names
		for _, id := range s.names {
			c := s.byID[id]
			s.byState[c.State] = append(s.byState[c.State], c)
		}
	default:
		s.typed = &index{}
		all := make([]*Container, 0, n)
		if old != nil {
			for _, id := range old.names { // mostly the right order still, and that sorts quickly
				if c, ok := s.byID[id]; ok {
					all = append(all, c)
				}
			}
		}
		if len(all) < n {
			for id, c := range s.byID {
				if old == nil || old.byID[id] == nil {
					all = append(all, c)
				}
			}
		}
		slices.SortFunc(all, order)
		s.names = make([]ID, len(all))
		for i, c := range all {
			s.names[i] = c.ID
			s.byState[c.State] = append(s.byState[c.State], c)
		}
	}
	inv.snap.Store(s)
}

// Amend changes the record of one container outside of a refresh: a failed
// action, a fingerprint that was read, a container that is known to be gone.
// It returns the container as it is then; nil where there is none (any more).
func (inv *Inventory) Amend(ctx context.Context, id ID, change func(*Record)) (*Container, error) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	c, ok := inv.snap.Load().ByID(id)
	if !ok {
		return nil, nil
	}
	cs := inv.clusters[c.Cluster]
	now := inv.cfg.Now()
	next := *c
	change(&next.Record)
	if next.Record == c.Record {
		return c, nil
	}
	next.SeenAt = now
	cs.Changed = now
	if next.GoneAt.IsZero() {
		if next.State == Stopped && next.Trouble != "" {
			next.State = Error
		} else if next.State == Error && next.Trouble == "" {
			next.State = stateOf(&next.raw, true)
		}
		cs.byVMID[next.VMID] = &next
	} else {
		delete(cs.byVMID, next.VMID)
	}
	err := inv.save(ctx, cs, next.Record)
	inv.publish(become(c, cs.byVMID[next.VMID]))
	if err == nil && !next.GoneAt.IsZero() {
		return nil, nil
	}
	return &next, err
}

// listLag is how far Proxmox's list may be behind a container's own status: it
// is made of what each node reports every 10 seconds.
const listLag = 15 * time.Second

// Observe takes over the live state of one container, read outside of a
// refresh, so that nobody sees the old one for the seconds in which Proxmox's
// own list lags behind.
func (inv *Inventory) Observe(ctx context.Context, id ID, live proxmox.Container) error {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	c, ok := inv.snap.Load().ByID(id)
	if !ok {
		return nil
	}
	cs := inv.clusters[c.Cluster]
	row := c.raw
	if row.VMID == 0 { // no list has shown it yet
		row.Name, row.Tags, row.Pool = c.Hostname, c.Tags, c.Pool
	}
	row.VMID, row.Node = c.VMID, c.Node
	row.Status, row.Lock, row.Uptime = live.Status, live.Lock, live.Uptime
	row.CPU, row.Mem, row.Disk = live.CPU, live.Mem, live.Disk
	row.MaxCPU, row.MaxMem = live.MaxCPU, live.MaxMem
	if live.MaxDisk > 0 {
		row.MaxDisk = live.MaxDisk
	}
	now := inv.cfg.Now()
	next := build(cs.Name, c, &row, true, now)
	next.observed = now
	cs.byVMID[c.VMID] = &next
	cs.Changed = now
	var err error
	if next.Record != c.Record {
		err = inv.save(ctx, cs, next.Record)
	}
	inv.publish(become(c, cs.byVMID[c.VMID]))
	return err
}

// Skew is how far a cluster's clock is ahead of ours, as its last answer said.
func (inv *Inventory) Skew(cluster string) time.Duration {
	c, _ := inv.Snapshot().Cluster(cluster)
	return c.Skew
}

// learnMost is how many configs one call of Learn reads.
const learnMost = 8

// Learn reads the configs of a few containers whose fingerprint or addresses are
// not known yet, so that a reused VMID or address is noticed later.
func (inv *Inventory) Learn(ctx context.Context, read func(context.Context, *Container) (proxmox.ContainerConfig, error)) {
	left := learnMost
	for c := range inv.Snapshot().WorstFirst() {
		if left == 0 || ctx.Err() != nil {
			return
		}
		if c.Fingerprint != "" && c.Addresses != "" || c.State == Unknown || c.State == Creating {
			continue
		}
		if cluster, _ := inv.Snapshot().Cluster(c.Cluster); cluster.Stale() {
			continue
		}
		left--
		cfg, err := read(ctx, c)
		if err != nil {
			continue // the next tick tries again
		}
		if _, err := inv.Identify(ctx, c.ID, cfg); err != nil {
			inv.cfg.Log.WarnContext(ctx, "store a fingerprint", "container", c.ID, "err", err)
		}
	}
}
