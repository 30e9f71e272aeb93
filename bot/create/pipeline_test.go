package create_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

const token = "pvechat@pve!bot"

const wiki = `name: Wiki
os: debian-13-standard
resources: {cores: 1, memory: 512, disk: 4}
packages: {apt: [git]}
files:
  - {target: /etc/wiki.conf, content: "a = 1\n"}
scripts:
  - {name: Install wiki, run: "install-wiki"}
  - {name: Start wiki, run: "start-wiki"}
`

const arch = `name: Arch
os: archlinux-base
`

// lab is a cluster, a database, the containers' SSH servers, and the processes
// that work on creations.
type lab struct {
	t      *testing.T
	pve    *proxmoxtest.Server
	client *proxmox.Client
	db     *storage.DB
	lib    *templates.Library
	guests *guesttest.Server

	mu    sync.Mutex
	ran   []string                   // first words of what ran inside
	fails string                     // what of it fails
	shown []create.Progress          // oldest first
	watch func(create.Progress) bool // true: the process is to end now
	told  []jobs.Job
	late  time.Duration // how long after its start a process has read the cluster
	exit  string        // how the next tasks end, whatever they did; "": as they did

	beats    []string // what was about to be written, or had been, since something was ordered
	killAt   int      // at which of them the process dies; 0: it does not
	killThen int      // killAt from the next order on
	victim   *process // who got the order
}

func newTemplates(tb testing.TB) *templates.Library {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range map[string]string{"wiki": wiki, "arch": arch} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	lib, err := templates.Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return lib
}

func newLab(t *testing.T, db *storage.DB, scale float64) *lab {
	t.Helper()
	net := wiretest.New()
	l := &lab{t: t, db: db, lib: newTemplates(t), guests: &guesttest.Server{Errorf: t.Errorf}}
	l.pve = proxmoxtest.New(proxmoxtest.Options{Scale: scale, Plain: true, Listener: net, Lease: l.lease})
	l.pve.Token(token, "secret-secret", map[string][]string{"/": proxmoxtest.Administrator()})
	proxmoxtest.Populate(l.pve, proxmoxtest.HomelabSize)
	if err := l.pve.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: net.Dial}
	var err error
	l.client, err = proxmox.New(proxmox.Config{Name: "home", URLs: []string{l.pve.URL()}, TokenID: token, TokenSecret: "secret-secret", Insecure: true, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		l.guests.Close()
		l.pve.Close()
	})
	return l
}

// lease gives a new container an address, and an SSH server there.
func (l *lab) lease(vmid int) string {
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(vmid)})
	l.guests.Put(addr, guesttest.Guest{Exec: l.inside})
	return addr.String() + "/24"
}

// inside runs what pvechat sends into a container.
func (l *lab) inside(_ context.Context, command string, stdio guesttest.Stdio) uint32 {
	script, _ := io.ReadAll(stdio.In)
	word := command
	for _, known := range []string{"install-wiki", "start-wiki", "apt-get -q -y --no-install-recommends install git", "base64 -d"} {
		if strings.Contains(string(script), known) {
			word = known
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ran = append(l.ran, word)
	if word == "true" {
		return 0
	}
	fmt.Fprintf(stdio.Out, "doing %s\nPASSWORD=hunter2\n", word)
	if word == l.fails {
		return 3
	}
	return 0
}

// process is one pvechat, from its start until it ends.
type process struct {
	*jobs.Runner
	inv  *inventory.Inventory
	stop context.CancelFunc
	done chan struct{}

	l    *lab
	end  context.CancelFunc
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

// act does what changes something outside of the process, which may die just
// before or just after it, and does nothing more then.
func (p *process) act(what string, do func() error) error {
	beat := func(when string) error {
		p.l.mu.Lock()
		defer p.l.mu.Unlock()
		if p == p.l.victim {
			p.l.beats = append(p.l.beats, when+" "+what)
			if len(p.l.beats) == p.l.killAt {
				p.dead.Store(true)
				p.end()
			}
		}
		if p.dead.Load() {
			return errDead
		}
		return nil
	}
	if err := beat("before"); err != nil {
		return err
	}
	err := do()
	if died := beat("after"); died != nil {
		return died
	}
	return err
}

// table is the database of a process.
type table struct {
	*storage.DB
	p *process
}

func (t table) SaveProgress(ctx context.Context, id string, fence int64, vmid int, progress string) (why string, err error) {
	died := t.p.act("the progress", func() error { why, err = t.DB.SaveProgress(ctx, id, fence, vmid, progress); return err })
	return why, died
}

func (t table) FinishJob(ctx context.Context, id string, fence int64, state jobs.State, reason string, warnings int) error {
	return t.p.act("the end", func() error { return t.DB.FinishJob(ctx, id, fence, state, reason, warnings) })
}

func (t table) MarkNotified(ctx context.Context, id string) error {
	return t.p.act("that it was told", func() error { return t.DB.MarkNotified(ctx, id) })
}

func (t table) Save(ctx context.Context, records []inventory.Record) error {
	return t.p.act("the container", func() error { return t.DB.Save(ctx, records) })
}

func (t table) RenewJob(ctx context.Context, id string, fence int64, lease time.Duration) (string, error) {
	if t.p.dead.Load() {
		return "", errDead
	}
	return t.DB.RenewJob(ctx, id, fence, lease)
}

// hands are what a process asks of Proxmox.
type hands struct {
	*proxmox.Client
	p *process
}

func (h hands) Create(ctx context.Context, n proxmox.NewContainer) (u proxmox.UPID, err error) {
	died := h.p.act("the request to make it", func() error { u, err = h.Client.Create(ctx, n); return err })
	return u, died
}

func (h hands) Power(ctx context.Context, ref proxmox.Ref, a proxmox.PowerAction) (u proxmox.UPID, err error) {
	died := h.p.act("the request to start it", func() error { u, err = h.Client.Power(ctx, ref, a); return err })
	return u, died
}

// inside is what a process does in containers.
type inside struct {
	*guest.Client
	p *process
}

func (i inside) Run(ctx context.Context, t guest.Target, s guest.Script) error {
	return i.p.act("a script", func() error { return i.Client.Run(ctx, t, s) })
}

func (i inside) Put(ctx context.Context, t guest.Target, f guest.File) error {
	return i.p.act("a file", func() error { return i.Client.Put(ctx, t, f) })
}

func (h hands) TaskStatus(ctx context.Context, u proxmox.UPID) (proxmox.TaskStatus, error) {
	st, err := h.Client.TaskStatus(ctx, u)
	h.p.l.mu.Lock()
	defer h.p.l.mu.Unlock()
	if h.p.l.exit != "" && err == nil && !st.Running {
		st.Exit = h.p.l.exit
	}
	return st, err
}

func (l *lab) process() *process {
	l.t.Helper()
	log := slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	p := &process{l: l, done: make(chan struct{})}
	db, pve := table{l.db, p}, hands{l.client, p}
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	p.stop = func() { cancel(); <-p.done }
	p.inv = inventory.New(inventory.Config{Sources: []inventory.Source{l.client}, Witnesses: map[string]inventory.Witness{"home": l.client}, Store: db, Every: 30 * time.Second, Log: log})
	if err := p.inv.Load(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	offers := catalog.New(catalog.Config{Clusters: map[string]catalog.Source{"home": l.client}, Fleet: p.inv.Snapshot, Now: time.Now, Log: log})
	read := func() {
		if _, err := p.inv.Refresh(l.t.Context(), "home"); err != nil {
			l.t.Error(err)
		}
		offers.Refresh(l.t.Context(), "home")
	}
	if l.late == 0 {
		read()
	} else {
		late := time.AfterFunc(l.late, read)
		l.t.Cleanup(func() { late.Stop() })
	}
	creator := create.New(create.Config{
		Clusters: map[string]create.Proxmox{"home": pve}, TokenUser: map[string]string{"home": token},
		Guests:    map[string]create.Guest{"home": inside{guest.New(guest.Config{Signer: key, HostKeys: l.db, Dial: l.guests.Dial, Log: log}), p}},
		Templates: func() *templates.Library { return l.lib }, Catalog: offers, Inventory: p.inv, Events: l.db, HostKeys: l.db, Now: time.Now, Log: log,
		Show: func(_ context.Context, _ jobs.Job, pr create.Progress) (create.Message, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			pr.Steps = slices.Clone(pr.Steps)
			l.shown = append(l.shown, pr)
			if l.watch != nil && l.watch(pr) {
				cancel()
			}
			return create.Message{Platform: "slack", Channel: "C1", ID: "1"}, nil
		},
	})
	p.Runner = jobs.New(jobs.Config{
		Clusters: map[string]jobs.Proxmox{"home": l.client}, TokenUser: map[string]string{"home": token}, Store: db, Events: l.db, Inventory: p.inv,
		Holder: fmt.Sprintf("p%p", p), Now: time.Now, Log: log, Maker: creator,
		Told: func(_ context.Context, j jobs.Job) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told = append(l.told, j)
			return nil
		},
	})
	go func() {
		defer close(p.done)
		_ = p.Run(ctx)
	}()
	l.t.Cleanup(p.stop)
	return p
}

var key = guesttest.NewKey()

// order asks for a container.
func (l *lab) order(p *process, spec create.Spec) jobs.Job {
	l.t.Helper()
	c, err := p.inv.Reserve(l.t.Context(), spec.Record())
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	l.beats, l.killAt, l.victim = nil, l.killThen, p
	l.mu.Unlock()
	j, err := p.Submit(l.t.Context(), jobs.Ask{
		Container: c, Action: jobs.Create, Spec: spec.String(), Person: chat.Person{Platform: chat.Slack, ID: "U1", Name: "Ana"}, Channel: "C1", Request: "r1",
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return j
}

// outcome waits until a job has ended.
func (l *lab) outcome(id string) jobs.Job {
	l.t.Helper()
	for range 3600 {
		j, ok, err := l.db.Job(l.t.Context(), id)
		if err != nil || !ok {
			l.t.Fatalf("%v %v", ok, err)
		}
		if !j.State.Open() {
			return j
		}
		time.Sleep(time.Second)
	}
	l.t.Fatal("the job does not end")
	return jobs.Job{}
}

func (l *lab) tasks(typ string, vmid int) int {
	n := 0
	for _, t := range l.pve.Tasks() {
		if t.Type == typ && t.VMID == vmid {
			n++
		}
	}
	return n
}

func wanted() create.Spec {
	return create.Spec{
		Template: "wiki", Cluster: "home", Node: "pve1", VMID: 150, Hostname: "wiki", Cores: 1, Memory: 512, Swap: 256, Disk: 4, Storage: "local-lvm",
		Bridge: "vmbr0", IP: "dhcp", Nesting: true, Tags: []string{"web"}, Packages: true, Scripts: []int{0, 1},
	}
}

func bubble(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newLab(t, storagetest.Open(t), 1)) })
}

func TestACreationLeadsToARunningContainer(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		j := l.outcome(l.order(p, wanted()).ID)
		if j.State != jobs.Succeeded {
			t.Fatalf("%s: %s", j.State, j.Error)
		}
		c, ok := l.pve.Container(150)
		if !ok || !c.Running || c.Name != "wiki" || c.Tags != "web" || !c.Unprivileged || c.Features != "nesting=1" {
			t.Errorf("%v %+v", ok, c)
		}
		want := []string{"true", "base64 -d", "apt-get -q -y --no-install-recommends install git", "install-wiki", "start-wiki"}
		if !slices.Equal(l.ran, want) {
			t.Errorf("inside ran %q, want %q", l.ran, want)
		}
		pr := create.ParseProgress(j.Progress)
		if pr.At() != len(pr.Steps) || pr.Percent() != 100 || pr.Addr != "192.0.2.150" || pr.Message.ID != "1" || strings.Contains(j.Progress, "hunter2") {
			t.Errorf("progress %s", j.Progress)
		}
		known, _ := p.inv.Snapshot().ByID(j.Container)
		if known == nil || known.VMID != 150 || known.Hostname != "wiki" {
			t.Errorf("known as %+v", known)
		}
		events, err := l.db.Events(t.Context(), inventory.EventPage{Container: j.Container, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		types := map[inventory.EventType]int{}
		for _, e := range events {
			types[e.Type]++
			if strings.Contains(e.Text, "hunter2") {
				t.Errorf("a secret is in the timeline: %s", e.Text)
			}
		}
		if types[inventory.EventStep] != len(pr.Steps) || types[inventory.EventComplete] != 1 || types[inventory.EventLog] == 0 || types[inventory.EventError] != 0 {
			t.Errorf("events %v", types)
		}
		keys, err := l.db.HostKeys(t.Context(), string(j.Container))
		if err != nil || len(keys) != 1 {
			t.Errorf("host keys %v, %v", keys, err)
		}
	})
}

// Ended before any step, and in the middle of those that ask Proxmox, the next
// process goes on, once it knows the cluster; never is anything asked for twice.
func TestACreationGoesOnAfterARestart(t *testing.T) {
	steps := 9
	for k := range steps {
		t.Run(fmt.Sprintf("at step %d", k), func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				var once sync.Once
				l.watch = func(p create.Progress) (now bool) {
					if p.At() == k {
						once.Do(func() { now = true })
					}
					return now
				}
				first := l.process()
				j := l.order(first, wanted())
				<-first.done
				l.late = 10 * time.Second
				l.process()
				j = l.outcome(j.ID)
				if j.State != jobs.Succeeded {
					t.Fatalf("%s: %s", j.State, j.Error)
				}
				for _, typ := range []string{"vzcreate", "vzstart"} {
					if n := l.tasks(typ, 150); n != 1 {
						t.Errorf("%d tasks %s", n, typ)
					}
				}
			})
		})
	}
}

func TestAScriptThatFailsCanBeRetriedFromThere(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		l.fails = "install-wiki"
		j := l.outcome(l.order(p, wanted()).ID)
		if j.State != jobs.Failed || j.Error != "Install wiki: exit code 3: PASSWORD=[redacted]" {
			t.Fatalf("%s: %s", j.State, j.Error)
		}
		l.fails, l.ran = "", nil
		if j = l.retry(p, j); j.State != jobs.Succeeded {
			t.Fatalf("%s: %s", j.State, j.Error)
		}
		if want := []string{"install-wiki", "start-wiki"}; !slices.Equal(l.ran, want) {
			t.Errorf("inside ran %q, want %q", l.ran, want)
		}
		if n := l.tasks("vzcreate", 150); n != 1 {
			t.Errorf("%d containers were made", n)
		}
	})
}

func TestWhatProxmoxRefusesLeavesNothing(t *testing.T) {
	for is, test := range map[string]struct {
		spoil func(*create.Spec)
		says  string
	}{
		"a full storage":        {func(s *create.Spec) { s.Disk = 4000 }, "insufficient free space"},
		"a node that is down":   {func(s *create.Spec) { s.Node = "pve9" }, "node pve9 is down"},
		"a template that went":  {func(s *create.Spec) { s.Template = "gone" }, "template gone is not there any more"},
		"a number that is told": {func(s *create.Spec) { s.Fixed = true }, "already exists"},
	} {
		t.Run(is, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				p := l.process()
				spec := wanted()
				test.spoil(&spec)
				if spec.Fixed { // somebody makes it by hand in the same moment
					l.watch = func(create.Progress) bool {
						l.pve.AddContainer(proxmoxtest.Container{VMID: 150, Node: "pve2", Name: "other"})
						l.watch = nil
						return false
					}
				}
				j := l.outcome(l.order(p, spec).ID)
				if j.State != jobs.Failed || !strings.Contains(j.Error, test.says) {
					t.Errorf("%s: %s", j.State, j.Error)
				}
				if c, ok := p.inv.Snapshot().ByID(j.Container); ok && !spec.Fixed {
					t.Errorf("it is still known: %+v", c)
				}
			})
		})
	}
}

func TestATakenNumberGivesWayToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		l.watch = func(create.Progress) bool {
			l.pve.AddContainer(proxmoxtest.Container{VMID: 150, Node: "pve2", Name: "other"})
			l.watch = nil
			return false
		}
		j := l.outcome(l.order(p, wanted()).ID)
		if j.State != jobs.Succeeded || j.VMID == 150 {
			t.Fatalf("%s: %s, CT %d", j.State, j.Error, j.VMID)
		}
		if c, ok := l.pve.Container(j.VMID); !ok || c.Name != "wiki" {
			t.Errorf("%+v", c)
		}
		if c, _ := l.pve.Container(150); c.Name != "other" {
			t.Errorf("the other one is %+v", c)
		}
	})
}

func TestAMissingOSTemplateIsDownloaded(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		spec := wanted()
		spec.Template, spec.Scripts, spec.Packages = "arch", nil, false
		if j := l.outcome(l.order(p, spec).ID); j.State != jobs.Succeeded {
			t.Fatalf("%s: %s", j.State, j.Error)
		}
		if !slices.ContainsFunc(l.pve.Tasks(), func(t proxmoxtest.Task) bool { return t.Type == "download" && t.Exit == "OK" }) {
			t.Error("nothing was downloaded")
		}
	})
}

// It was made long after its number was reserved, which the task list shows: it
// is the one that was reserved all the same, to every process.
func TestWhatWasMadeStaysTheContainerThatWasReserved(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		first := l.process()
		spec := wanted()
		spec.Template, spec.Scripts, spec.Packages = "arch", nil, false
		j := l.order(first, spec)
		other := l.process() // has read the number as it was reserved
		if j = l.outcome(j.ID); j.State != jobs.Succeeded {
			t.Fatalf("%s: %s", j.State, j.Error)
		}
		cfg, err := l.client.ContainerConfig(t.Context(), proxmox.Ref{Node: "pve1", VMID: 150})
		if err != nil {
			t.Fatal(err)
		}
		same := func(is string, p *process) {
			t.Helper()
			if _, err := p.inv.Refresh(t.Context(), "home"); err != nil {
				t.Fatal(err)
			}
			if replaced, err := p.inv.Verify(t.Context(), j.Container, cfg, "pve1"); replaced || err != nil {
				t.Errorf("%s takes it for another one, %v", is, err)
			}
		}
		same("who made it", first)
		same("another process", other)
		first.stop()
		same("the next process", l.process())
	})
}

func TestALostAnswerIsFoundInTheTaskList(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		l.pve.CutAfterBytes("POST", "/nodes/*/lxc", 0, 1)
		j := l.outcome(l.order(p, wanted()).ID)
		if n := l.tasks("vzcreate", 150); j.State != jobs.Succeeded || n != 1 {
			t.Errorf("%s: %s; %d were made", j.State, j.Error, n)
		}
	})
}

// A process dies before and after everything that it writes, asks of Proxmox, and
// does in the container. The next one ends what was begun: it is made once, or
// it is not and that is said, and then it can be gone on with.
func TestKilledAtEveryWrite(t *testing.T) {
	if testing.Short() {
		t.Skip("some seventy creations")
	}
	at := 0
	for last := false; !last; {
		at++
		bubble(t, func(t *testing.T, l *lab) {
			l.killThen = at
			first := l.process()
			j := l.order(first, wanted())
			p := l.process()
			j = l.outcome(j.ID)
			time.Sleep(2 * time.Minute)
			l.mu.Lock()
			last = len(l.beats) < at
			died, told := "nowhere", len(l.told)
			if !last {
				died = l.beats[at-1]
			}
			l.mu.Unlock()
			if told == 0 || told > 1 && died != "before that it was told" {
				t.Errorf("killed %s: told %d times", died, told)
			}
			if pr := create.ParseProgress(j.Progress); j.State == jobs.Failed {
				if !strings.Contains(j.Error, "it was not sent, as far as Proxmox shows") || !strings.HasPrefix(died, "after the progress") && !strings.HasPrefix(died, "before the request") {
					t.Errorf("killed %s, it failed: %s", died, j.Error)
				}
				if !pr.Made {
					if c, known := p.inv.Snapshot().ByID(j.Container); known || l.tasks("vzcreate", 150) != 0 {
						t.Errorf("killed %s: nothing was made, and it is known as %+v", died, c)
					}
					return
				}
				j = l.retry(p, j)
			}
			if j.State != jobs.Succeeded {
				t.Errorf("killed %s: %s: %s", died, j.State, j.Error)
			}
			l.one("wiki", 150)
		})
	}
	t.Logf("it died at %d places", at-1)
}

// one checks that a container was made once, runs, and that nothing else lies
// around.
func (l *lab) one(name string, vmid int) {
	l.t.Helper()
	if c, ok := l.pve.Container(vmid); !ok || c.Name != name || !c.Running {
		l.t.Errorf("%v %+v", ok, c)
	}
	for _, typ := range []string{"vzcreate", "vzstart"} {
		if n := l.tasks(typ, vmid); n != 1 {
			l.t.Errorf("%d tasks %s", n, typ)
		}
	}
	for _, v := range l.pve.Volumes("local-lvm") {
		if v.VMID == vmid {
			l.t.Errorf("an orphan: %+v", v)
		}
	}
}

// retry goes on with a creation as a press of Retry does.
func (l *lab) retry(p *process, j jobs.Job) jobs.Job {
	l.t.Helper()
	c, ok := p.inv.Snapshot().ByID(j.Container)
	if !ok {
		l.t.Fatal("it is forgotten")
	}
	again, err := p.Submit(l.t.Context(), jobs.Ask{Container: c, Action: jobs.Create, Spec: j.Spec, Progress: j.Progress, Person: j.Person})
	if err != nil {
		l.t.Fatal(err)
	}
	return l.outcome(again.ID)
}

// at orders a container and waits for a step of it.
func (l *lab) at(p *process, k create.Kind) jobs.Job {
	l.t.Helper()
	reached := make(chan struct{})
	var once sync.Once
	l.watch = func(pr create.Progress) bool {
		if at := pr.At(); at < len(pr.Steps) && pr.Steps[at].Kind == k && (k != create.Make || pr.UPID != "") {
			once.Do(func() { close(reached) })
		}
		return false
	}
	j := l.order(p, wanted())
	<-reached
	return j
}

func (l *lab) cancel(p *process, j jobs.Job) {
	l.t.Helper()
	if ok, err := p.Cancel(l.t.Context(), j.ID, "cancelled by Ben"); !ok || err != nil {
		l.t.Fatal(ok, err)
	}
}

func wantCancelled(t *testing.T, j jobs.Job, made bool) {
	t.Helper()
	if j.State != jobs.Superseded || j.Error != "cancelled by Ben" || create.ParseProgress(j.Progress).Made != made {
		t.Errorf("%s: %s, %s", j.State, j.Error, j.Progress)
	}
}

func TestACancelledCreationEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		j := l.at(p, create.Start)
		l.cancel(p, j)
		j = l.outcome(j.ID)
		wantCancelled(t, j, true)
		time.Sleep(time.Minute)
		if _, busy := p.Busy(j.Container); busy {
			t.Error("it is still under way")
		}
		l.mu.Lock()
		if len(l.told) != 1 || slices.Contains(l.ran, "start-wiki") {
			t.Errorf("told %d times, inside ran %q", len(l.told), l.ran)
		}
		l.mu.Unlock()
		if j = l.retry(p, j); j.State != jobs.Succeeded {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		l.one("wiki", 150)
	})
}

// Cancelled while Proxmox makes it, it is told when that has ended: then it is
// there, and can be gone on with. So it is where the process is killed meanwhile,
// and where the answer with the task was lost.
func TestWhatProxmoxIsMakingIsWaitedFor(t *testing.T) {
	for is, test := range map[string]struct{ lost, killed bool }{
		"a task that is known": {}, "a task whose answer was lost": {lost: true}, "a process that dies": {killed: true},
	} {
		t.Run(is, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				l.pve.Hold(true)
				p := l.process()
				var j jobs.Job
				if test.lost {
					answer := l.pve.FreezeAnswer("POST", "/nodes/*/lxc")
					j = l.order(p, wanted())
					if err := answer.Await(t.Context()); err != nil {
						t.Fatal(err)
					}
					defer answer.Release()
				} else {
					j = l.at(p, create.Make)
				}
				l.cancel(p, j)
				time.Sleep(time.Minute)
				if now, _, _ := l.db.Job(t.Context(), j.ID); !now.State.Open() {
					t.Fatalf("it is %s while Proxmox is at it", now.State)
				}
				if test.killed {
					p.dead.Store(true)
					p.stop()
					p = l.process()
				}
				l.pve.Hold(false)
				j = l.outcome(j.ID)
				wantCancelled(t, j, true)
				if c, ok := l.pve.Container(150); !ok || c.Running {
					t.Errorf("%v %+v", ok, c)
				}
				if known, _ := p.inv.Snapshot().ByID(j.Container); known == nil || known.VMID != 150 {
					t.Errorf("it is known as %+v", known)
				}
				if j = l.retry(p, j); j.State != jobs.Succeeded {
					t.Errorf("%s: %s", j.State, j.Error)
				}
				l.one("wiki", 150)
			})
		})
	}
}

func TestCancelledBeforeProxmoxHasItNothingIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		list := l.pve.Freeze("GET", "/nodes/*/storage/*/content")
		j := l.order(p, wanted())
		if err := list.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.cancel(p, j)
		j = l.outcome(j.ID)
		wantCancelled(t, j, false)
		list.Release()
		if c, known := p.inv.Snapshot().ByID(j.Container); known || l.tasks("vzcreate", 150) != 0 {
			t.Errorf("it is known as %+v", c)
		}
	})
}

// A task that dies with its node says nothing of what it has done.
func TestWhatATaskLeftWhenItDiedIsGoneOnWith(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		l.exit = "unexpected status"
		j := l.outcome(l.order(p, wanted()).ID)
		if !create.ParseProgress(j.Progress).Made || j.State != jobs.Failed {
			t.Fatalf("%s: %s", j.State, j.Progress)
		}
		l.mu.Lock()
		l.exit = ""
		l.mu.Unlock()
		l.pve.Update(150, func(c *proxmoxtest.Container) { c.Lock = "create" })
		if j = l.retry(p, j); j.State != jobs.Failed || !strings.Contains(j.Error, "locked (create)") {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		l.pve.Update(150, func(c *proxmoxtest.Container) { c.Lock = "" })
		if j = l.retry(p, j); j.State != jobs.Succeeded {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		l.one("wiki", 150)
	})
}

// Nobody can tell what became of a request while Proxmox is away; nothing is
// forgotten then, and Retry looks again.
func TestWhatNobodyCanTellIsLookedForAgain(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		answer := l.pve.FreezeAnswer("POST", "/nodes/*/lxc")
		j := l.order(p, wanted())
		if err := answer.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.pve.Down(true)
		answer.Release()
		j = l.outcome(j.ID)
		if pr := create.ParseProgress(j.Progress); j.State != jobs.Lost || pr.Made || !pr.Unsure() {
			t.Fatalf("%s: %s", j.State, j.Progress)
		}
		l.pve.Down(false)
		if j = l.retry(p, j); j.State != jobs.Succeeded {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		l.one("wiki", 150)
	})
}

// What was reserved by a process that died before it had asked for anything, is
// forgotten; what somebody is making is not.
func TestAReservationThatNobodyUsesIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		first := l.process()
		left, err := first.inv.Reserve(t.Context(), inventory.Record{Cluster: "home", Node: "pve1", VMID: 160, Hostname: "left"})
		if err != nil {
			t.Fatal(err)
		}
		first.stop()
		l.pve.Hold(true)
		p := l.process()
		j := l.at(p, create.Make)
		sweep := func() {
			t.Helper()
			if _, err := p.inv.Refresh(t.Context(), "home"); err != nil {
				t.Fatal(err)
			}
			if err := p.inv.Sweep(t.Context(), func(id inventory.ID) bool { _, busy := p.Busy(id); return busy }); err != nil {
				t.Fatal(err)
			}
		}
		sweep()
		if _, known := p.inv.Snapshot().ByID(left.ID); !known {
			t.Fatal("it was just reserved")
		}
		time.Sleep(2 * time.Minute)
		sweep()
		if c, known := p.inv.Snapshot().ByID(left.ID); known {
			t.Errorf("it is still there: %+v", c)
		}
		if _, known := p.inv.Snapshot().ByID(j.Container); !known {
			t.Error("what is being made is forgotten")
		}
		l.pve.Hold(false)
		if j = l.outcome(j.ID); j.State != jobs.Succeeded {
			t.Errorf("%s: %s", j.State, j.Error)
		}
	})
}

// A process that takes a creation over learns of its container from the
// database, for Proxmox may not have it yet.
func TestAnotherProcessKnowsWhatIsToBeMade(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		second := l.process()
		first := l.process()
		list := l.pve.Freeze("GET", "/nodes/*/storage/*/content")
		j := l.order(first, wanted())
		if err := list.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := second.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c, known := second.inv.Snapshot().ByID(j.Container); !known || c.State != inventory.Creating {
			t.Errorf("%v %+v", known, c)
		}
		first.dead.Store(true)
		first.stop()
		list.Release()
		if j = l.outcome(j.ID); j.State != jobs.Succeeded {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		l.one("wiki", 150)
	})
}

func TestASpecIsCheckedWithoutAskingProxmox(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		cl, _ := p.inv.Snapshot().Cluster("home")
		tpl, _ := l.lib.Find("wiki")
		offers := catalog.New(catalog.Config{Clusters: map[string]catalog.Source{"home": l.client}, Fleet: p.inv.Snapshot, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		offers.Refresh(t.Context(), "home")
		place := create.Place{Template: tpl, Cluster: cl, Offer: offers.Of("home"), Fleet: p.inv.Snapshot(), SSH: true}
		before := l.pve.Count("GET", "/*")
		proposed := create.FromTemplate(tpl, cl, place.Offer)
		proposed.Hostname = "wiki"
		if wrong := proposed.Check(place); len(wrong) > 0 {
			t.Errorf("what is proposed is wrong: %v", wrong)
		}
		for is, test := range map[string]struct {
			spoil func(*create.Spec)
			field create.Field
		}{
			"no name":              {func(s *create.Spec) { s.Hostname = "" }, create.FieldHostname},
			"a name that is none":  {func(s *create.Spec) { s.Hostname = "$(reboot)" }, create.FieldHostname},
			"a name that is taken": {func(s *create.Spec) { s.Hostname = "jellyfin" }, create.FieldHostname},
			"a number that is":     {func(s *create.Spec) { s.VMID = 108 }, create.FieldVMID},
			"a number too low":     {func(s *create.Spec) { s.VMID = 99 }, create.FieldVMID},
			"no core":              {func(s *create.Spec) { s.Cores = 0 }, create.FieldCores},
			"little memory":        {func(s *create.Spec) { s.Memory = 1 }, create.FieldMemory},
			"a disk that is full":  {func(s *create.Spec) { s.Disk = 9000 }, create.FieldDisk},
			"an unknown storage":   {func(s *create.Spec) { s.Storage = "local" }, create.FieldStorage},
			"an unknown bridge":    {func(s *create.Spec) { s.Bridge = "vmbr9" }, create.FieldBridge},
			"an unknown node":      {func(s *create.Spec) { s.Node = "pve9" }, create.FieldNode},
			"no address":           {func(s *create.Spec) { s.IP = "192.168.1.5" }, create.FieldIP},
			"a gateway elsewhere":  {func(s *create.Spec) { s.IP, s.Gateway = "192.168.1.5/24", "192.168.2.1" }, create.FieldGateway},
			"a gateway of itself":  {func(s *create.Spec) { s.IP, s.Gateway = "192.168.1.5/24", "192.168.1.5" }, create.FieldGateway},
			"a gateway with DHCP":  {func(s *create.Spec) { s.Gateway = "192.168.1.1" }, create.FieldGateway},
			"a tag that is none":   {func(s *create.Spec) { s.Tags = []string{"A b"} }, create.FieldTags},
			"a key that is none":   {func(s *create.Spec) { s.SSHKeys = []string{"command=\"x\" ssh-rsa AAAA"} }, create.FieldSSHKeys},
			"a script that is not": {func(s *create.Spec) { s.Scripts = []int{7} }, create.FieldScripts},
			"a nameserver by name": {func(s *create.Spec) { s.Nameserver = "dns.example" }, create.FieldNameserver},
		} {
			s := proposed
			test.spoil(&s)
			if wrong := s.Check(place); wrong[test.field] == "" || len(wrong) > 2 {
				t.Errorf("%s: %v", is, wrong)
			}
		}
		place.SSH = false
		if wrong := proposed.Check(place); wrong[create.FieldTemplate] == "" {
			t.Error("without SSH a template with scripts passes")
		}
		place.SSH = true
		fixed := proposed
		fixed.IP = "192.0.2.77/24"
		running := place.Fleet.In(inventory.Running)[0]
		place.Addrs = func(id inventory.ID) []netip.Addr {
			if id == running.ID {
				return []netip.Addr{netip.MustParseAddr("192.0.2.77")}
			}
			return nil
		}
		if had := fixed.Had(place); had != running {
			t.Errorf("the address was %v's, want %v", had, running)
		}
		place.Addrs = nil
		if _, err := p.inv.Identify(t.Context(), running.ID, proxmox.ContainerConfig{
			Networks: []proxmox.Network{{Bridge: "vmbr0", IP: "dhcp"}, {Bridge: fixed.Bridge, VLAN: 30, IP: "192.0.2.77/25"}},
		}); err != nil {
			t.Fatal(err)
		}
		place.Fleet = p.inv.Snapshot()
		fixed.Node = running.Node
		if wrong := fixed.Check(place); wrong[create.FieldIP] != "" {
			t.Errorf("an address of another VLAN: %v", wrong)
		}
		if had := fixed.Had(place); had == nil || had.ID != running.ID {
			t.Errorf("the address of another VLAN was %v's", had)
		}
		fixed.VLAN = 30
		if wrong := fixed.Check(place); !strings.Contains(wrong[create.FieldIP], "192.0.2.77 is in use, by "+running.DisplayName()) {
			t.Errorf("an address that is in use: %v", wrong)
		}
		if had := proposed.Had(place); had != nil {
			t.Errorf("with DHCP the address was %v's", had)
		}
		for is, test := range map[string]struct {
			at, lacks string
			change    func(*create.Spec)
			field     create.Field
		}{
			"VM.Allocate on /vms,":                                    {"/", "VM.Allocate", nil, create.FieldNode},
			"VM.Config.Options on /vms/170,":                          {"/vms/170", "VM.Config.Options", func(s *create.Spec) { s.VMID = 170 }, create.FieldNode},
			"Datastore.AllocateSpace on /storage/" + proposed.Storage: {"/storage/" + proposed.Storage, "Datastore.AllocateSpace", nil, create.FieldStorage},
			"SDN.Use on /sdn/zones/localnetwork/vmbr0,":               {"/sdn", "SDN.Use", nil, create.FieldBridge},
			"SDN.Use on /sdn/zones/localnetwork/vmbr0/20,":            {"/sdn/zones/localnetwork", "SDN.Use", func(s *create.Spec) { s.VLAN = 20 }, create.FieldBridge},
			"Sys.Modify on /,":                                        {"/", "Sys.Modify", func(s *create.Spec) { s.Privileged = true }, create.FieldOptions},
			"Datastore.AllocateTemplate on /storage/":                 {"/storage", "Datastore.AllocateTemplate", nil, create.FieldTemplate},
		} {
			may := proxmox.Permissions{"/": {}, test.at: {}}
			for _, p := range proxmoxtest.Administrator() {
				may["/"][p], may[test.at][p] = true, true
			}
			delete(may[test.at], test.lacks)
			s, at := proposed, place
			if test.field == create.FieldTemplate { // it is not there yet
				at.Offer.Templates = nil
			}
			if at.Offer.May = may; test.change != nil {
				test.change(&s)
			}
			if wrong := s.Check(at); len(wrong) != 1 || !strings.Contains(wrong[test.field], "lacks "+is) {
				t.Errorf("%s: %v", is, wrong)
			}
			if !s.Lacks(at) || proposed.Lacks(place) {
				t.Errorf("%s: whether it lacks something is %v, and without that %v", is, s.Lacks(at), proposed.Lacks(place))
			}
		}
		if n := l.pve.Count("GET", "/*"); n != before {
			t.Errorf("%d requests", n-before)
		}
	})
}

func TestOnPostgreSQLToo(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		if e.Name != "postgres" {
			continue
		}
		l := newLab(t, e.Open(t), 0.01)
		p := l.process()
		j := l.order(p, wanted())
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		for {
			got, _, err := l.db.Job(ctx, j.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !got.State.Open() {
				if got.State != jobs.Succeeded {
					t.Errorf("%s: %s", got.State, got.Error)
				}
				return
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Fatal("it does not end")
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// transfer asks for an OS template, on both storages of a node, or for it to be
// gone.
func (l *lab) transfer(p *process, a jobs.Action, file string) jobs.Job {
	l.t.Helper()
	spec := create.OSTemplate{Cluster: "home", File: file, Copies: []catalog.Copy{{Node: "pve1", Volume: "local:vztmpl/" + file}, {Node: "pve1", Volume: "nas:vztmpl/" + file}}}
	j, err := p.Submit(l.t.Context(), jobs.Ask{Container: spec.Target(), Action: a, Spec: spec.String(), Person: chat.Person{Platform: chat.Slack, ID: "U1", Name: "Ana"}, Request: "r1"})
	if err != nil {
		l.t.Fatal(err)
	}
	return j
}

// has counts the storages that have a file.
func (l *lab) has(file string) (n int) {
	l.t.Helper()
	for _, st := range []string{"local", "nas"} {
		list, err := l.client.OSTemplates(l.t.Context(), "pve1", st)
		if err != nil {
			l.t.Fatal(err)
		}
		if slices.ContainsFunc(list, func(v proxmox.Volume) bool { return strings.HasSuffix(v.ID, "/"+file) }) {
			n++
		}
	}
	return n
}

// An OS template is downloaded, and removed again, whenever the process ends;
// nothing is asked for twice.
func TestAnOSTemplateGoesOnAfterARestart(t *testing.T) {
	const file = "fedora-41-default_20241118_amd64.tar.xz"
	for step := range 2 {
		for _, lines := range []int{0, 1} {
			t.Run(fmt.Sprintf("at step %d, after %d lines", step, lines), func(t *testing.T) {
				bubble(t, func(t *testing.T, l *lab) {
					l.pve.AddStorage(proxmoxtest.Storage{Name: "nas", Type: "nfs", Content: "vztmpl", Shared: true, Total: 1 << 40})
					var ended bool
					l.watch = func(p create.Progress) bool {
						now := !ended && p.At() == step && len(p.Lines) >= lines
						ended = ended || now
						return now
					}
					first := l.process()
					j := l.transfer(first, jobs.Download, file)
					<-first.done
					second := l.process()
					if j = l.outcome(j.ID); j.State != jobs.Succeeded || l.has(file) != 2 {
						t.Fatalf("%s: %s; it is on %d storages", j.State, j.Error, l.has(file))
					}
					if n := l.tasks("download", 0); n != 2 {
						t.Errorf("%d downloads to two storages", n)
					}
					if again := l.outcome(l.transfer(second, jobs.Download, file).ID); again.State != jobs.Succeeded || l.tasks("download", 0) != 2 {
						t.Errorf("what is there is downloaded once more: %s, %d downloads", again.State, l.tasks("download", 0))
					}
					ended, lines = false, 0 // a removal says too little
					j = l.transfer(second, jobs.Remove, file)
					<-second.done
					third := l.process()
					if j = l.outcome(j.ID); j.State != jobs.Succeeded || l.has(file) != 0 {
						t.Fatalf("%s: %s; it is on %d storages", j.State, j.Error, l.has(file))
					}
					if n := l.tasks("imgdel", 0); n != 2 {
						t.Errorf("%d removals from two storages", n)
					}
					if again := l.outcome(l.transfer(third, jobs.Remove, file).ID); again.State != jobs.Succeeded || l.tasks("imgdel", 0) != 2 {
						t.Errorf("what is gone is removed once more: %s, %d removals", again.State, l.tasks("imgdel", 0))
					}
				})
			})
		}
	}
}
