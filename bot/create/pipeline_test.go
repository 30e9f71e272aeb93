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
}

func newLab(t *testing.T, db *storage.DB, scale float64) *lab {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"wiki": wiki, "arch": arch} {
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lib, err := templates.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	net := wiretest.New()
	l := &lab{t: t, db: db, lib: lib, guests: &guesttest.Server{Errorf: t.Errorf}}
	l.pve = proxmoxtest.New(proxmoxtest.Options{Scale: scale, Plain: true, Listener: net, Lease: l.lease})
	l.pve.Token(token, "secret-secret", map[string][]string{"/": proxmoxtest.Administrator()})
	proxmoxtest.Populate(l.pve, proxmoxtest.HomelabSize)
	if err := l.pve.Start(); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: net.Dial}
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
}

func (l *lab) process() *process {
	l.t.Helper()
	log := slog.New(slog.NewTextHandler(l.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	p := &process{done: make(chan struct{})}
	p.inv = inventory.New(inventory.Config{Sources: []inventory.Source{l.client}, Store: l.db, Every: 30 * time.Second, Log: log})
	if _, err := p.inv.Refresh(l.t.Context(), "home"); err != nil {
		l.t.Fatal(err)
	}
	offers := catalog.New(catalog.Config{Clusters: map[string]catalog.Source{"home": l.client}, Fleet: p.inv.Snapshot, Now: time.Now, Log: log})
	offers.Refresh(l.t.Context(), "home")
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = func() { cancel(); <-p.done }
	creator := create.New(create.Config{
		Clusters: map[string]create.Proxmox{"home": l.client}, TokenUser: map[string]string{"home": token},
		Guests:    map[string]create.Guest{"home": guest.New(guest.Config{Signer: key, HostKeys: l.db, Dial: l.guests.Dial, Log: log})},
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
		Clusters: map[string]jobs.Proxmox{"home": l.client}, TokenUser: map[string]string{"home": token}, Store: l.db, Events: l.db, Inventory: p.inv,
		Holder: fmt.Sprintf("p%p", p), Now: time.Now, Log: log, Create: creator.Carry,
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
	c, err := p.inv.Reserve(l.t.Context(), "home", spec.Node, spec.VMID, spec.Hostname, strings.Join(spec.Tags, ";"))
	if err != nil {
		l.t.Fatal(err)
	}
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
// process goes on; never is anything asked for twice.
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
		c, _ := p.inv.Snapshot().ByID(j.Container)
		if c == nil {
			t.Fatal("it is forgotten")
		}
		l.fails, l.ran = "", nil
		again, err := p.Submit(t.Context(), jobs.Ask{Container: c, Action: jobs.Create, Spec: j.Spec, Progress: j.Progress, Person: j.Person})
		if err != nil {
			t.Fatal(err)
		}
		if j = l.outcome(again.ID); j.State != jobs.Succeeded {
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

func TestACancelledCreationEnds(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process()
		asked := make(chan struct{})
		var once sync.Once
		l.watch = func(pr create.Progress) bool {
			if pr.At() == 3 {
				once.Do(func() { close(asked) })
			}
			return false
		}
		j := l.order(p, wanted())
		<-asked
		if ok, err := p.Cancel(t.Context(), j.ID, "cancelled by Ben"); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if j = l.outcome(j.ID); j.State != jobs.Superseded || j.Error != "cancelled by Ben" {
			t.Errorf("%s: %s", j.State, j.Error)
		}
		time.Sleep(time.Minute)
		if _, busy := p.Busy(j.Container); busy {
			t.Error("it is still under way")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.told) != 1 || slices.Contains(l.ran, "start-wiki") {
			t.Errorf("told %d times, inside ran %q", len(l.told), l.ran)
		}
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
