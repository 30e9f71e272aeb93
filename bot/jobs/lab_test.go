package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

const token = "pvechat@pve!bot"

var ana = chat.Person{Platform: chat.Slack, ID: "U1", Name: "Ana"}

// lab is a runner between a simulated cluster and a database. In a bubble the
// cluster takes as long as a real one, and nobody waits for it.
type lab struct {
	t    *testing.T
	pve  *proxmoxtest.Server
	wire *wire
	cl   *proxmox.Client
	db   *storage.DB

	mu      sync.Mutex
	told    []jobs.Job
	waiting []jobs.Job
	slow    time.Duration // how long telling takes
}

// wire counts requests in flight.
type wire struct {
	http.Transport
	now, most atomic.Int64
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	n := w.now.Add(1)
	defer w.now.Add(-1)
	for most := w.most.Load(); n > most && !w.most.CompareAndSwap(most, n); most = w.most.Load() {
	}
	return w.Transport.RoundTrip(r)
}

// pipes is a listener in memory.
type pipes struct{ accepted chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.accepted; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p.accepted); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8006} }

func newLab(t *testing.T, opts proxmoxtest.Options, db *storage.DB, containers ...proxmoxtest.Container) *lab {
	t.Helper()
	opts.Plain = true
	l := &lab{t: t, db: db, pve: proxmoxtest.New(opts), wire: &wire{}}
	if ln, ok := opts.Listener.(pipes); ok {
		l.wire.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			select {
			case ln.accepted <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	l.pve.Token(token, "secret", map[string][]string{"/": proxmoxtest.Administrator()})
	l.pve.AddNode("pve1")
	l.pve.AddNode("pve2")
	for _, c := range containers {
		l.pve.AddContainer(c)
	}
	if err := l.pve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.wire.CloseIdleConnections()
		l.pve.Close()
	})
	var err error
	l.cl, err = proxmox.New(proxmox.Config{
		Name: "home", URLs: []string{l.pve.URL()}, TokenID: token, TokenSecret: "secret", Insecure: true, Transport: l.wire,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// bubble runs a test in one, with containers 101 (running, ignores nothing),
// 102 (stopped) and 104 (running, ignores a shutdown).
func bubble(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, proxmoxtest.Options{Scale: 1, Listener: pipes{make(chan net.Conn)}}, storagetest.Open(t),
			proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true},
			proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "wiki"},
			proxmoxtest.Container{VMID: 104, Node: "pve1", Name: "stubborn", Running: true, IgnoresShutdown: true},
		)
		test(t, l)
	})
}

// process is one running pvechat, as far as jobs go.
type process struct {
	*lab
	*jobs.Runner
	inv  *inventory.Inventory
	dead *atomic.Bool
	stop func()
}

// mortal is a database that a killed process does not reach any more.
type mortal struct {
	jobs.Store
	dead *atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m mortal) RenewJob(ctx context.Context, id string, fence int64, lease time.Duration) (string, error) {
	if m.dead.Load() {
		return "", errDead
	}
	return m.Store.RenewJob(ctx, id, fence, lease)
}

func (l *lab) process(holder string) *process {
	l.t.Helper()
	p := &process{lab: l, dead: &atomic.Bool{}}
	log := slog.New(slog.NewTextHandler(l.t.Output(), nil))
	p.inv = inventory.New(inventory.Config{
		Sources: []inventory.Source{l.cl}, Witnesses: map[string]inventory.Witness{"home": l.cl}, Store: l.db, Every: 30 * time.Second, Log: log,
	})
	if _, err := p.inv.Refresh(l.t.Context(), "home"); err != nil {
		l.t.Fatal(err)
	}
	p.Runner = jobs.New(jobs.Config{
		Clusters: map[string]jobs.Proxmox{"home": l.cl}, TokenUser: map[string]string{"home": token},
		Store: mortal{l.db, p.dead}, Events: l.db, Inventory: p.inv, Holder: holder, Now: time.Now, Log: log.With("holder", holder),
		Told: func(_ context.Context, j jobs.Job) error {
			time.Sleep(l.slow)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told = append(l.told, j)
			return nil
		},
		Waiting: func(_ context.Context, j jobs.Job) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.waiting = append(l.waiting, j)
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); err != nil {
			l.t.Error(err)
		}
	}()
	p.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	l.t.Cleanup(p.stop)
	return p
}

// kill ends a process without a hand-over.
func (p *process) kill() {
	p.dead.Store(true)
	p.stop()
}

func (p *process) container(vmid string) *inventory.Container {
	p.t.Helper()
	found := p.inv.Snapshot().Find(vmid)
	if len(found) != 1 {
		p.t.Fatalf("%d containers %s", len(found), vmid)
	}
	return found[0]
}

func (p *process) ask(vmid string, a jobs.Action, more ...func(*jobs.Ask)) jobs.Job {
	p.t.Helper()
	ask := jobs.Ask{Container: p.container(vmid), Action: a, Person: ana, Request: "r1"}
	for _, f := range more {
		f(&ask)
	}
	j, err := p.Submit(p.t.Context(), ask)
	if err != nil {
		p.t.Fatal(err)
	}
	return j
}

func forced(a *jobs.Ask) { a.Forced = true }

// outcome waits for a job's end to be told, once.
func (l *lab) outcome(id string) jobs.Job {
	l.t.Helper()
	for deadline := time.Now().Add(2 * time.Hour); time.Now().Before(deadline); time.Sleep(time.Second) {
		l.mu.Lock()
		var found []jobs.Job
		for _, j := range l.told {
			if j.ID == id {
				found = append(found, j)
			}
		}
		l.mu.Unlock()
		if len(found) > 0 {
			time.Sleep(time.Minute) // long enough for it to be told twice
			l.mu.Lock()
			defer l.mu.Unlock()
			n := 0
			for _, j := range l.told {
				if j.ID == id {
					n++
				}
			}
			if n != 1 {
				l.t.Errorf("job %s was told %d times", id, n)
			}
			return found[0]
		}
	}
	l.t.Fatalf("job %s was never told", id)
	return jobs.Job{}
}

func (l *lab) tasks(types ...string) []proxmoxtest.Task {
	var found []proxmoxtest.Task
	for _, t := range l.pve.Tasks() {
		for _, typ := range types {
			if t.Type == typ {
				found = append(found, t)
			}
		}
	}
	return found
}

// texts are the events of a container, newest first.
func (l *lab) texts(id inventory.ID) string {
	l.t.Helper()
	events, err := l.db.Events(l.t.Context(), inventory.EventPage{Container: id, Limit: 50})
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range events {
		b.WriteString(string(e.Type) + ": " + e.Text + "\n")
	}
	return b.String()
}
