// Package services knows what runs inside the containers. It looks into them
// over SSH, one look at a time for each, remembers what it saw, and tells from
// memory what is up, what is down, and what was there once.
package services

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Guest looks into containers; *guest.Client does.
type Guest interface {
	Scan(ctx context.Context, t guest.Target, known []uint16) (guest.Scan, error)
}

// Store keeps reports.
type Store interface {
	// Reports returns the reports of all scans that were tried after a time,
	// zero: of all.
	Reports(ctx context.Context, after time.Time) ([]Report, error)

	// ClaimScan reports whether this process may scan the container now: no
	// other does, for as long as lease says, and none has tried since.
	ClaimScan(ctx context.Context, id inventory.ID, lease time.Duration, since time.Time) (bool, error)

	// SaveScan writes a report but for its services, of which it writes and
	// removes some, and ends the claim.
	SaveScan(ctx context.Context, r Report, write []Service, remove []string) error
}

// Config is what New needs.
type Config struct {
	Guests map[string]Guest // by cluster; one without SSH has none
	Fleet  func() *inventory.Snapshot
	Store  Store
	Every  time.Duration // between two scans of a container
	Now    func() time.Time
	Log    *slog.Logger

	// Target finds where a container can be entered now.
	Target func(ctx context.Context, c *inventory.Container) guest.Target

	// Changed is told of a container of which a person would see a difference.
	Changed func(inventory.ID)

	// Scanned is told of every scan of this process; nil: nobody is.
	Scanned func(ctx context.Context, c *inventory.Container, before, after *Report)
}

// Services scans containers. Its methods are safe for concurrent use.
type Services struct {
	cfg  Config
	base context.Context // of scans; it ends with Run
	stop context.CancelFunc

	mu      sync.Mutex
	reports map[inventory.ID]*Report
	under   map[inventory.ID]*scan
	soon    map[inventory.ID]time.Time // scans that are due apart from the period
	queued  map[inventory.ID]bool      // scans by the clock that wait for their turn
	turns   map[string]chan struct{}   // by cluster and node
	synced  time.Time
	running sync.WaitGroup
}

// scan is one that is under way.
type scan struct {
	done   chan struct{}
	report *Report
}

// New makes a Services. It does no I/O.
func New(cfg Config) *Services {
	if cfg.Changed == nil {
		cfg.Changed = func(inventory.ID) {}
	}
	if cfg.Scanned == nil {
		cfg.Scanned = func(context.Context, *inventory.Container, *Report, *Report) {}
	}
	base, stop := context.WithCancel(context.Background())
	return &Services{
		cfg: cfg, base: base, stop: stop,
		reports: map[inventory.ID]*Report{}, under: map[inventory.ID]*scan{}, soon: map[inventory.ID]time.Time{},
		queued: map[inventory.ID]bool{}, turns: map[string]chan struct{}{},
	}
}

// Report is what is known of a container; nil: nothing. It never waits.
func (s *Services) Report(id inventory.ID) *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reports[id]
}

// Scanning reports whether a scan of the container is under way here.
func (s *Services) Scanning(id inventory.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.under[id] != nil
}

// CanScan reports whether a container can be looked into at all.
func (s *Services) CanScan(c *inventory.Container) bool {
	return s.cfg.Guests[c.Cluster] != nil && !c.Template
}

// limits of one scan.
const (
	scanTimeout = 60 * time.Second // waiting for a connection to the node included
	lease       = 90 * time.Second
)

// perNode is how many scans by the clock are under way on one node at once:
// twice the guest client's connections, so that the next containers' addresses
// are known when one is free. What people ask for does not wait behind them.
const perNode = 8

// Scan looks into a container now, or waits for the look that is under way,
// here or in another process, and returns what is known then. The error is the
// database's or the ctx's; the container's is in the report.
func (s *Services) Scan(ctx context.Context, c *inventory.Container) (*Report, error) {
	return s.scan(ctx, c, s.cfg.Now(), nil)
}

// scan is Scan; since says when somebody has to have looked last for it to be
// needed, known which ports are not asked what they speak.
func (s *Services) scan(ctx context.Context, c *inventory.Container, since time.Time, known []uint16) (*Report, error) {
	s.mu.Lock()
	under, ok := s.under[c.ID]
	if !ok && s.base.Err() != nil {
		s.mu.Unlock()
		return s.Report(c.ID), context.Canceled
	}
	if !ok {
		under = &scan{done: make(chan struct{})}
		s.under[c.ID] = under
		delete(s.soon, c.ID)
		s.running.Go(func() {
			ctx, cancel := context.WithTimeout(s.base, scanTimeout)
			defer cancel()
			under.report = s.look(ctx, c, since, known)
			s.mu.Lock()
			delete(s.under, c.ID)
			s.mu.Unlock()
			close(under.done)
		})
	}
	s.mu.Unlock()
	select {
	case <-under.done:
		return under.report, nil
	case <-ctx.Done():
		return s.Report(c.ID), ctx.Err()
	}
}

// look scans a container, unless another process does.
func (s *Services) look(ctx context.Context, c *inventory.Container, since time.Time, known []uint16) *Report {
	claimed, err := s.cfg.Store.ClaimScan(ctx, c.ID, lease, since)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "claim a scan", "container", c.ID, "err", err)
		return s.Report(c.ID)
	}
	if !claimed {
		return s.await(ctx, c.ID, since)
	}
	before := s.Report(c.ID)
	target := s.cfg.Target(ctx, c)
	start := s.cfg.Now()
	found, err := s.cfg.Guests[c.Cluster].Scan(ctx, target, known)
	if s.base.Err() != nil {
		return before // that we end says nothing of the container
	}
	now := s.cfg.Now()
	var after *Report
	if err == nil {
		asked := map[uint16]bool{}
		for _, v := range found.Services {
			for _, p := range v.Ports {
				asked[p.Port] = !slices.Contains(known, p.Port)
			}
		}
		after = merge(before, c.ID, found, asked, target.Addrs, now, now.Sub(start))
	} else {
		kind, hostKey := guest.Timeout, ""
		if e, ok := errors.AsType[*guest.Error](err); ok {
			kind, hostKey = e.Kind, e.HostKey
		}
		after = failed(before, c.ID, kind, err.Error(), hostKey, now)
		s.cfg.Log.WarnContext(ctx, "a scan of services did not work", "container", c.ID, "cluster", c.Cluster, "node", c.Node, "vmid", c.VMID, "err", err)
	}
	write, remove := after.changes(before)
	if err := s.cfg.Store.SaveScan(ctx, *after, write, remove); err != nil {
		s.cfg.Log.ErrorContext(ctx, "save a scan", "container", c.ID, "err", err)
	}
	s.set(after)
	s.cfg.Scanned(ctx, c, before, after)
	return after
}

// await waits for the scan of another process.
func (s *Services) await(ctx context.Context, id inventory.ID, since time.Time) *Report {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := s.Sync(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "read the scans of others", "err", err)
		}
		r := s.Report(id)
		if r != nil && !r.TriedAt.Before(since) {
			return r
		}
		select {
		case <-ctx.Done():
			return r
		case <-tick.C:
		}
	}
}

// set takes over a report.
func (s *Services) set(r *Report) {
	s.mu.Lock()
	before := s.reports[r.Container]
	s.reports[r.Container] = r
	s.mu.Unlock()
	if !r.looksLike(before) {
		s.cfg.Changed(r.Container)
	}
}

// Sync takes over what other processes have scanned.
func (s *Services) Sync(ctx context.Context) error {
	s.mu.Lock()
	after := s.synced
	s.mu.Unlock()
	if !after.IsZero() {
		after = after.Add(-lease) // their clocks, and what was not written yet
	}
	now := s.cfg.Now()
	list, err := s.cfg.Store.Reports(ctx, after)
	if err != nil {
		return err
	}
	for i := range list {
		list[i].sort()
		if known := s.Report(list[i].Container); known == nil || list[i].TriedAt.After(known.TriedAt) {
			s.set(&list[i])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = now
	return nil
}

// grace is how long what was started has until somebody looks.
const grace = 15 * time.Second

// Look takes over what a refresh saw: a container that has begun to run is
// scanned soon.
func (s *Services) Look(rep inventory.Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range rep.Changes {
		switch {
		case ch.After == nil:
			delete(s.reports, ch.Before.ID)
			delete(s.soon, ch.Before.ID)
		case ch.After.State == inventory.Running && !rep.First && (ch.Before == nil || ch.Before.State != inventory.Running):
			s.soon[ch.After.ID] = s.cfg.Now().Add(grace)
		}
	}
}

// Run scans every running container once in a period, at a moment of its own,
// and those that have begun to run, until ctx ends.
func (s *Services) Run(ctx context.Context) error {
	defer s.end()
	if len(s.cfg.Guests) == 0 {
		<-ctx.Done()
		return nil
	}
	step := min(max(s.cfg.Every/30, time.Second), grace)
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		if err := s.Sync(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Log.ErrorContext(ctx, "read the known services", "err", err)
		}
		s.start(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// end ends the scans that are under way.
func (s *Services) end() {
	s.mu.Lock()
	s.stop()
	s.mu.Unlock()
	s.running.Wait()
}

// start begins the scans that are due. How many run at once on one node is the
// guest client's to say.
func (s *Services) start(ctx context.Context) {
	now := s.cfg.Now()
	for _, c := range s.cfg.Fleet().In(inventory.Running) {
		if !s.CanScan(c) {
			continue
		}
		since, due := s.due(c.ID, now)
		if !due {
			continue
		}
		turn := s.queue(c)
		s.running.Go(func() {
			select {
			case turn <- struct{}{}:
				defer func() { <-turn }()
			case <-ctx.Done():
			}
			s.mu.Lock()
			delete(s.queued, c.ID)
			s.mu.Unlock()
			if ctx.Err() == nil {
				_, _ = s.scan(ctx, c, since, s.Report(c.ID).known(now)) // a ctx that has ended needs no word
			}
		})
	}
}

// queue puts a scan into the queue of its node.
func (s *Services) queue(c *inventory.Container) (turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued[c.ID] = true
	node := c.Cluster + "/" + c.Node
	if s.turns[node] == nil {
		s.turns[node] = make(chan struct{}, perNode)
	}
	return s.turns[node]
}

// due reports whether a container is to be scanned, unless somebody did since
// then.
func (s *Services) due(id inventory.ID, now time.Time) (since time.Time, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.under[id] != nil || s.queued[id] {
		return time.Time{}, false
	}
	if at, ok := s.soon[id]; ok {
		return at.Add(-grace), !now.Before(at)
	}
	r := s.reports[id]
	return now.Add(-s.cfg.Every / 2), r == nil || now.Sub(r.TriedAt) >= s.cfg.Every+jitter(id, s.cfg.Every)
}

// jitter is up to a tenth of the period more or less, so that containers that
// were scanned together drift apart.
func jitter(id inventory.ID, period time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return time.Duration(int64(h.Sum32()%1000)-500) * period / 5000
}
