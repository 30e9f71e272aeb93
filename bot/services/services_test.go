package services_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"golang.org/x/crypto/ssh"
)

// memory is a store as the database is one, shared by all replicas.
type memory struct {
	mu      sync.Mutex
	reports map[inventory.ID]services.Report
	claimed map[inventory.ID]time.Time
	writes  int
}

func (m *memory) Reports(_ context.Context, after time.Time) ([]services.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []services.Report
	for _, r := range m.reports {
		if r.TriedAt.After(after) {
			r.Services = slices.Clone(r.Services)
			list = append(list, r)
		}
	}
	return list, nil
}

func (m *memory) ClaimScan(_ context.Context, id inventory.ID, lease time.Duration, since time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.reports[id]; ok && !r.TriedAt.Before(since) || time.Now().Before(m.claimed[id]) {
		return false, nil
	}
	m.claimed[id] = time.Now().Add(lease)
	return true, nil
}

func (m *memory) SaveScan(_ context.Context, r services.Report, write []services.Service, remove []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := slices.Clone(m.reports[r.Container].Services)
	for _, key := range remove {
		kept = slices.DeleteFunc(kept, func(s services.Service) bool { return s.Key() == key })
	}
	for _, s := range write {
		m.writes++
		kept = slices.DeleteFunc(kept, func(o services.Service) bool { return o.Key() == s.Key() })
		kept = append(kept, s)
	}
	r.Services = kept
	m.reports[r.Container] = r
	delete(m.claimed, r.Container)
	return nil
}

// source is a cluster of running containers.
type source struct{ containers, nodes int }

func (source) Name() string { return "home" }
func (n source) Resources(context.Context) (proxmox.Resources, error) {
	res := proxmox.Resources{At: time.Now()}
	for i := range n.containers {
		node := fmt.Sprintf("pve%d", i%n.nodes+1)
		if i < n.nodes {
			res.Nodes = append(res.Nodes, proxmox.Node{Name: node, Status: "online"})
		}
		res.Containers = append(res.Containers, proxmox.Container{VMID: 101 + i, Name: fmt.Sprintf("ct%d", i), Node: node, Status: "running", Uptime: 1000})
	}
	return res, nil
}

type nothing struct{}

func (nothing) Containers(context.Context, string) ([]inventory.Record, error) { return nil, nil }
func (nothing) Save(context.Context, []inventory.Record) error                 { return nil }
func (nothing) ClaimTick(context.Context, string, time.Duration) (bool, error) { return true, nil }

func addr(vmid int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(vmid >> 8), byte(vmid)}) }

// lab is containers that can be entered, and replicas that look at them.
type lab struct {
	t      testing.TB
	server *guesttest.Server
	inv    *inventory.Inventory
	store  *memory
	hosts  hostKeys
	signer ssh.Signer
}

type hostKeys map[string][]string

func (h hostKeys) HostKeys(_ context.Context, id string) ([]string, error) { return h[id], nil }

func newLab(t testing.TB, containers int, g guesttest.Guest) *lab {
	t.Helper()
	return newCluster(t, source{containers, 5}, g)
}

func newCluster(t testing.TB, cluster source, g guesttest.Guest) *lab {
	t.Helper()
	l := &lab{
		t: t, server: &guesttest.Server{Errorf: t.Errorf}, hosts: hostKeys{}, signer: guesttest.NewKey(),
		store: &memory{reports: map[inventory.ID]services.Report{}, claimed: map[inventory.ID]time.Time{}},
		inv:   inventory.New(inventory.Config{Sources: []inventory.Source{cluster}, Store: nothing{}, Every: 30 * time.Second}),
	}
	t.Cleanup(func() { l.server.Close() })
	if _, err := l.inv.Refresh(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	for c := range l.inv.Snapshot().WorstFirst() {
		key := guesttest.NewKey()
		g.HostKeys = []ssh.Signer{key}
		l.server.Put(addr(c.VMID), g)
		l.hosts[string(c.ID)] = []string{string(ssh.MarshalAuthorizedKey(key.PublicKey()))}
	}
	return l
}

// replica is one process.
func (l *lab) replica(change func(*services.Config)) *services.Services {
	cfg := services.Config{
		Guests: map[string]services.Guest{"home": guest.New(guest.Config{Signer: l.signer, HostKeys: l.hosts, Dial: l.server.Dial})},
		Fleet:  l.inv.Snapshot, Store: l.store, Every: 5 * time.Minute, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Target: func(_ context.Context, c *inventory.Container) guest.Target {
			return guest.Target{ID: string(c.ID), Node: c.Node, VMID: c.VMID, Addrs: []netip.Addr{addr(c.VMID)}}
		},
	}
	if change != nil {
		change(&cfg)
	}
	return services.New(cfg)
}

func (l *lab) container(vmid int) *inventory.Container {
	found := l.inv.Snapshot().Find(fmt.Sprint(vmid))
	if len(found) != 1 {
		l.t.Fatalf("%d containers %d", len(found), vmid)
	}
	return found[0]
}

func (l *lab) put(vmid int, list ...guesttest.Service) {
	l.server.Put(addr(vmid), guesttest.Guest{Services: list})
}

func find(r *services.Report, name string) (services.Service, bool) {
	for _, s := range r.Services {
		if s.Name == name {
			return s, true
		}
	}
	return services.Service{}, false
}

func TestWhatWasThereOnceIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, guesttest.Guest{})
		c := l.container(101)
		jellyfin := guesttest.Service{Unit: "jellyfin.service", Listen: []string{"0.0.0.0:8096"}, Web: "http"}
		l.put(101, append(guesttest.System(), jellyfin, guesttest.Service{Unit: "nginx.service", Listen: []string{"0.0.0.0:80"}, Web: "http"})...)
		s := l.replica(nil)
		scan := func() *services.Report {
			t.Helper()
			time.Sleep(time.Second) // two in one moment are one
			r, err := s.Scan(t.Context(), c)
			if err != nil || r.Problem != "" {
				t.Fatalf("%v, %+v", err, r)
			}
			return r
		}
		first := scan()
		if up, total := first.Count(); up != 2 || total != 2 {
			t.Errorf("%d of %d, want 2 of 2", up, total)
		}
		written := l.store.writes
		time.Sleep(time.Minute)
		scan()
		if l.store.writes != written {
			t.Errorf("nothing has changed, and %d services were written", l.store.writes-written)
		}

		checked := time.Now()
		time.Sleep(time.Minute)
		jellyfin.Listen = append(jellyfin.Listen, "0.0.0.0:8920")
		l.put(101, append(guesttest.System(), jellyfin)...)
		r := scan()
		gone, ok := find(r, "nginx")
		if !ok || gone.State != guest.ServiceStopped || !gone.GoneAt.Equal(checked) || len(gone.Ports) != 1 || gone.Ports[0].Port != 80 {
			t.Errorf("got %+v", gone)
		}
		if v, _ := find(r, "jellyfin"); len(v.Ports) != 2 {
			t.Errorf("the new port is not there: %+v", v)
		}
		if up, total := r.Count(); up != 1 || total != 2 {
			t.Errorf("%d of %d, want 1 of 2", up, total)
		}

		// Another process, and this one after a restart, know the same.
		other := l.replica(nil)
		if err := other.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v, ok := find(other.Report(c.ID), "nginx"); !ok || !v.GoneAt.Equal(checked) {
			t.Errorf("after a restart: %+v", v)
		}

		l.put(101, append(guesttest.System(), jellyfin, guesttest.Service{Unit: "nginx.service", State: "failed"})...)
		if v, _ := find(scan(), "nginx"); v.State != guest.ServiceFailed || !v.GoneAt.IsZero() || len(v.Ports) != 1 {
			t.Errorf("it is back and failed: %+v", v)
		}
		l.put(101, jellyfin)
		scan()
		time.Sleep(8 * 24 * time.Hour)
		if v, ok := find(scan(), "nginx"); ok {
			t.Errorf("a week later it is still told of: %+v", v)
		}
	})
}

func TestAScanThatFailsLeavesTheOldList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, guesttest.Guest{Services: []guesttest.Service{{Unit: "nginx.service"}}})
		c := l.container(101)
		var changed atomic.Int32
		s := l.replica(func(cfg *services.Config) { cfg.Changed = func(inventory.ID) { changed.Add(1) } })
		if _, err := s.Scan(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		checked := time.Now()
		for _, tc := range []struct {
			kind guest.Kind
			put  guesttest.Guest
		}{
			{guest.Refused, guesttest.Guest{Down: true}},
			{guest.Timeout, guesttest.Guest{Silent: true}},
			{guest.Auth, guesttest.Guest{Keys: []ssh.PublicKey{guesttest.NewKey().PublicKey()}}},
			{guest.HostKeyChanged, guesttest.Guest{HostKeys: []ssh.Signer{guesttest.NewKey()}}},
		} {
			time.Sleep(time.Minute)
			l.server.Put(addr(101), tc.put)
			before := changed.Load()
			r, err := s.Scan(t.Context(), c)
			if err != nil || r.Problem != tc.kind || !r.CheckedAt.Equal(checked) || len(r.Services) != 1 || r.Services[0].Name != "nginx" {
				t.Errorf("%s: got %+v, %v", tc.kind, r, err)
			}
			if changed.Load() == before {
				t.Errorf("%s: nobody was told", tc.kind)
			}
			if (r.HostKey != "") != (tc.kind == guest.HostKeyChanged) {
				t.Errorf("%s: host key %q", tc.kind, r.HostKey)
			}
		}
		before := changed.Load()
		time.Sleep(time.Minute)
		if _, err := s.Scan(t.Context(), c); err != nil || changed.Load() != before {
			t.Errorf("the same trouble again was told as a change (%v)", err)
		}
	})
}

// counted counts the scans of a guest.
type counted struct {
	services.Guest
	n atomic.Int32
}

func (g *counted) Scan(ctx context.Context, t guest.Target, known []uint16) (guest.Scan, error) {
	g.n.Add(1)
	return g.Guest.Scan(ctx, t, known)
}

func TestTwoRefreshesAreOneScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, guesttest.Guest{Exec: slow(3*time.Second, "nginx")})
		c := l.container(101)
		var guests []*counted
		count := func(cfg *services.Config) {
			g := &counted{Guest: cfg.Guests["home"]}
			cfg.Guests["home"] = g
			guests = append(guests, g)
		}
		here, there := l.replica(count), l.replica(count)
		var wg sync.WaitGroup
		start := time.Now()
		for _, s := range []*services.Services{here, here, there, here, there} {
			wg.Go(func() {
				r, err := s.Scan(t.Context(), c)
				if err != nil || r == nil || r.Problem != "" || len(r.Services) != 1 {
					t.Errorf("got %+v, %v", r, err)
				}
			})
		}
		wg.Wait()
		if n := guests[0].n.Load() + guests[1].n.Load(); n != 1 {
			t.Errorf("%d scans for five refreshes in two processes", n)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}

		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := here.Scan(impatient, c); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that waiting has ended", err)
		}
		if r, err := here.Scan(t.Context(), c); err != nil || r.Problem != "" {
			t.Errorf("the scan ended with the person's patience: %+v, %v", r, err)
		}
	})
}

// slow is a guest whose script takes a while.
func slow(d time.Duration, unit string) func(context.Context, string, guesttest.Stdio) uint32 {
	return func(ctx context.Context, _ string, stdio guesttest.Stdio) uint32 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return 1
		}
		fmt.Fprintf(stdio.Out, "pvechat-scan 1\ninit systemd\nunit Id=%s.service\nunit LoadState=loaded\nunit ActiveState=active\nunit SubState=running\nend\n", unit)
		return 0
	}
}

func run(t testing.TB, s *services.Services) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

func TestEveryContainerIsScannedOnceInAPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 20, guesttest.Guest{Exec: slow(time.Second, "nginx")})
		var scans [2]sync.Map
		var total atomic.Int32
		replica := func(i int) *services.Services {
			return l.replica(func(cfg *services.Config) {
				cfg.Scanned = func(_ context.Context, c *inventory.Container, _, _ *services.Report) {
					n, _ := scans[i].LoadOrStore(c.ID, new(atomic.Int32))
					n.(*atomic.Int32).Add(1)
					total.Add(1)
				}
			})
		}
		stopA, stopB := run(t, replica(0)), run(t, replica(1))
		time.Sleep(30 * time.Second)
		if n := total.Load(); n != 20 {
			t.Errorf("%d scans of 20 containers at the start of two processes", n)
		}
		time.Sleep(60 * time.Minute)
		stopA()
		stopB()
		if n := total.Load(); n < 20*11 || n > 20*14 {
			t.Errorf("%d scans in an hour, want 12 of each of 20 containers, and the first", n)
		}
	})
}

func TestAScanIsSoonAfterAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 1, guesttest.Guest{Services: []guesttest.Service{{Unit: "nginx.service"}}})
		c := l.container(101)
		var at []time.Time
		s := l.replica(func(cfg *services.Config) {
			cfg.Scanned = func(context.Context, *inventory.Container, *services.Report, *services.Report) {
				at = append(at, time.Now())
			}
		})
		stop := run(t, s)
		time.Sleep(time.Minute)
		stopped := *c
		stopped.State = inventory.Stopped
		started := time.Now()
		s.Look(inventory.Report{Cluster: "home", Changes: []inventory.Change{{Cluster: "home", Before: &stopped, After: c}}})
		time.Sleep(time.Minute)
		stop()
		if len(at) != 2 || at[1].Sub(started) < 15*time.Second || at[1].Sub(started) > 30*time.Second {
			t.Errorf("scans at %v, started at %v", at, started)
		}
	})
}

func TestAnEndIsNoTroubleOfAContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, 8, guesttest.Guest{Exec: slow(time.Hour, "nginx")})
		s := l.replica(nil)
		stop := run(t, s)
		time.Sleep(3 * time.Second)
		start := time.Now()
		stop()
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v to end", took)
		}
		for c := range l.inv.Snapshot().WorstFirst() {
			if r := s.Report(c.ID); r != nil {
				t.Errorf("got %+v", r)
			}
		}
		if _, err := s.Scan(t.Context(), l.container(101)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// The target: 200 containers, 4 connections for each node, in 1.5 times what
// the guests themselves need, shared by the connections. The clock is the
// bubble's, so what is compared is waiting, not work. On one node they take
// longer than any single scan may.
func TestScansKeepTheConnectionsBusy(t *testing.T) {
	for _, nodes := range []int{5, 1} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { keepBusy(t, nodes) })
		})
	}
}

func keepBusy(t *testing.T, nodes int) {
	const script, containers = 2 * time.Second, 200
	l := newCluster(t, source{containers, nodes}, guesttest.Guest{Exec: slow(script, "nginx")})
	var done sync.WaitGroup
	done.Add(containers)
	s := l.replica(func(cfg *services.Config) {
		target := cfg.Target
		cfg.Target = func(ctx context.Context, c *inventory.Container) guest.Target {
			time.Sleep(100 * time.Millisecond) // Proxmox is asked for the address
			return target(ctx, c)
		}
		cfg.Scanned = func(_ context.Context, _ *inventory.Container, _, r *services.Report) {
			if r.Problem != "" {
				t.Errorf("%+v", r)
			}
			done.Done()
		}
	})
	start := time.Now()
	stop := run(t, s)
	time.Sleep(5 * time.Second) // the queue is long
	if r, err := s.Scan(t.Context(), l.container(300)); err != nil || r.Problem != "" || time.Since(start) > 15*time.Second {
		t.Errorf("what a person asked for came after %v: %+v, %v", time.Since(start), r, err)
	}
	done.Wait()
	took := time.Since(start)
	stop()
	least := script * containers / time.Duration(4*nodes)
	t.Logf("%v for %d containers on %d nodes, at least %v: ratio %.2f", took, containers, nodes, least, float64(took)/float64(least))
	if took > least*3/2 {
		t.Errorf("it took %v, more than 1.5 times %v", took, least)
	}
}
