package handlers_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

const token = "pvechat@pve!bot"

// world is the bot without its adapters: a person's acts go straight to the
// router, and a platform that keeps what it is shown stands in for a chat.
type world struct {
	t      *testing.T
	pve    *proxmoxtest.Server
	client *proxmox.Client
	db     *storage.DB
	inv    *inventory.Inventory
	jobs   *jobs.Runner
	router *handlers.Router
	chat   *platform
	serial int
	stop   func() // ends the jobs
	h      *handlers.Handlers

	// Of tests that let things go wrong.
	log  *slog.Logger         // nil: nowhere
	tune func(*handlers.Deps) // nil: as it is

	// create makes containers; nil: none are made.
	create maker
}

func newWorld(t *testing.T) *world { return newWorldOf(t, &world{}, nil) }

// newWorldOf is newWorld with what w holds already, and requests to Proxmox by
// way of a transport.
func newWorldOf(t *testing.T, w *world, through http.RoundTripper) *world {
	t.Helper()
	pve := proxmoxtest.New(proxmoxtest.Options{Scale: 0.01, Plain: true})
	pve.Token(token, "secret", map[string][]string{"/": proxmoxtest.Administrator()})
	pve.AddNode("pve1")
	pve.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, Tags: "web", Uptime: 2 * time.Hour})
	pve.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "wiki"})
	pve.AddContainer(proxmoxtest.Container{VMID: 103, Node: "pve1", Name: "broken", StartFails: "no space left on device"})
	pve.AddContainer(proxmoxtest.Container{VMID: 104, Node: "pve1", Name: "stubborn", Running: true, IgnoresShutdown: true})
	if err := pve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pve.Close)
	client, err := proxmox.New(proxmox.Config{Name: "home", URLs: []string{pve.URL()}, TokenID: token, TokenSecret: "secret", Insecure: true, Transport: through, Log: w.log})
	if err != nil {
		t.Fatal(err)
	}
	w.t, w.pve, w.client, w.db, w.chat = t, pve, client, storagetest.Open(t), &platform{}
	w.build()
	if _, err := w.inv.Refresh(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	return w
}

// build makes everything that a restart makes anew, and runs it.
func (w *world) build() {
	rules, err := access.NewRules([]access.Rule{
		{Role: access.AdminRole, Users: []string{"slack:ana"}},
		{Role: access.Operator, Users: []string{"slack:ben"}, Scope: []access.Selector{{Kind: "tag", Value: "web"}}},
		{Role: access.Viewer, Users: []string{"slack:vic"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	log := w.log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	w.inv = inventory.New(inventory.Config{Sources: []inventory.Source{w.client}, Witnesses: map[string]inventory.Witness{"home": w.client}, Store: w.db, Every: 30 * time.Second, Log: log})
	var h *handlers.Handlers
	w.jobs = jobs.New(jobs.Config{
		Clusters: map[string]jobs.Proxmox{"home": w.client}, TokenUser: map[string]string{"home": token},
		Store: w.db, Events: w.db, Inventory: w.inv, Holder: "test", Now: time.Now, Log: log,
		Accepted: func(ctx context.Context, j jobs.Job) error { return h.Accepted(ctx, j) },
		Told:     func(ctx context.Context, j jobs.Job) error { return h.Told(ctx, j) },
		Waiting:  func(ctx context.Context, j jobs.Job) { h.Waiting(ctx, j) },
		Maker:    w.create,
	})
	history := inventory.NewHistory(inventory.HistoryConfig{
		Clusters: map[string]inventory.Tasks{"home": w.client}, TokenUser: map[string]string{"home": token}, Store: w.db, Now: time.Now, Log: log,
	})
	keep := live.New(live.Config{
		Platforms: []chat.Platform{w.chat}, Store: w.db, Now: time.Now, Log: log,
		View: func(filter string, space chat.Space, changed, confirmed time.Time) chat.Message {
			return h.SharedBoard(filter, space, changed, confirmed)
		},
	})
	deps := handlers.Deps{
		Log: log, Policy: rules, Inventory: w.inv, Clusters: map[string]handlers.Proxmox{"home": w.client}, Jobs: w.jobs, Live: keep,
		Events: w.db, History: history, Confirmations: w.db, Repeats: w.db, Every: 30 * time.Second, Now: time.Now, Platforms: []chat.Platform{w.chat}, Audit: w.db,
	}
	if w.tune != nil {
		w.tune(&deps)
	}
	h = handlers.New(deps)
	w.h = h
	w.router, err = handlers.NewRouter(log, rules, w.db, w.inv, w.db, time.Now, h.Routes()...)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.jobs.Run(ctx)
	}()
	w.stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(w.stop)
}

func (w *world) refresh() {
	w.t.Helper()
	if _, err := w.inv.Refresh(w.t.Context(), "home"); err != nil {
		w.t.Fatal(err)
	}
}

// platform keeps what it is shown.
type platform struct {
	mu    sync.Mutex
	shown []chat.Surface
	next  int

	posted  []chat.Target
	edited  []chat.Ref
	refuses func(chat.Target) error // nil: it takes everything
	gone    error                   // what an edit meets
}

func (*platform) Name() chat.PlatformName                 { return chat.Slack }
func (*platform) Run(context.Context, chat.Handler) error { return nil }
func (*platform) Delete(context.Context, chat.Ref) error  { return nil }
func (*platform) Space() chat.Space                       { return space }
func (*platform) Health() chat.Health                     { return chat.Health{OK: true} }
func (p *platform) Post(_ context.Context, to chat.Target, m chat.Message) (chat.Ref, error) {
	p.mu.Lock()
	if p.refuses != nil && p.refuses(to) != nil {
		defer p.mu.Unlock()
		return chat.Ref{}, p.refuses(to)
	}
	p.posted = append(p.posted, to)
	p.mu.Unlock()
	return p.keep(m), nil
}

func (p *platform) Update(_ context.Context, at chat.Ref, s chat.Surface) error {
	p.mu.Lock()
	gone := p.gone
	if p.edited = append(p.edited, at); gone != nil {
		p.mu.Unlock()
		return gone
	}
	p.mu.Unlock()
	p.keep(s)
	return nil
}

func (p *platform) sent() (posted []chat.Target, edited []chat.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.posted), slices.Clone(p.edited)
}

func (p *platform) keep(s chat.Surface) chat.Ref {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	p.shown = append(p.shown, s)
	return chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: "C1", ID: fmt.Sprint(p.next)}
}

func (p *platform) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, s := range p.shown {
		b.WriteString(text(s) + "\n")
	}
	return b.String()
}

var space = chat.Space{Board: 12, Panel: 30, Home: 30, Events: 10, ControlsFirst: true}

// do hands an act to the router and shows its answer.
func (w *world) do(person string, inv chat.Invocation) chat.Answer {
	w.t.Helper()
	w.serial++
	inv.Person = chat.Person{Platform: chat.Slack, ID: person, Name: strings.ToUpper(person[:1]) + person[1:]}
	inv.Space = space
	if inv.ID == "" {
		inv.ID = fmt.Sprintf("act-%d", w.serial)
	}
	a := w.router.Handle(w.t.Context(), inv)
	if a.Now != nil {
		ref := w.chat.keep(a.Now)
		if a.Shown != nil {
			a.Shown(ref)
		}
	}
	if a.Then != nil {
		if s, err := a.Then(w.t.Context()); err == nil && s != nil {
			w.chat.keep(s)
		}
	}
	return a
}

func (w *world) typed(person, command string, options ...string) chat.Answer {
	opts := map[string]string{}
	for i := 0; i+1 < len(options); i += 2 {
		opts[options[i]] = options[i+1]
	}
	return w.do(person, chat.Invocation{Kind: chat.Typed, Command: command, Options: opts, Channel: "C1"})
}

func (w *world) press(person, id string) chat.Answer {
	return w.do(person, chat.Invocation{Kind: chat.Pressed, Action: id, Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: "C1", ID: "board"}})
}

func (w *world) id(vmid int) string {
	w.t.Helper()
	found := w.inv.Snapshot().Find(fmt.Sprint(vmid))
	if len(found) != 1 {
		w.t.Fatalf("found %d containers %d", len(found), vmid)
	}
	return "ct:" + string(found[0].ID)
}

// settled waits until no job is open and every outcome was told.
func (w *world) settled() {
	w.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		open, err := w.db.OpenJobs(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		untold, err := w.db.UnnotifiedJobs(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if len(open)+len(untold) == 0 {
			return
		}
		select {
		case <-deadline:
			w.t.Fatalf("jobs are still open after 20 s: %+v %+v", open, untold)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tasks counts the tasks that our token started on a container.
// sent waits until Proxmox has a task of a container: who kills the bot before
// that cuts off the request.
func (w *world) sent(vmid int) {
	w.t.Helper()
	if _, err := w.pve.AwaitTask(w.t.Context(), func(task proxmoxtest.Task) bool { return task.VMID == vmid }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tasks(vmid int, types ...string) int {
	n := 0
	for _, task := range w.pve.Tasks() {
		for _, typ := range types {
			if task.VMID == vmid && task.Type == typ {
				n++
			}
		}
	}
	return n
}

// text is everything that a surface says, and the ids of its controls.
func text(s chat.Surface) string {
	var b strings.Builder
	blocks := func(list []chat.Block) {
		for _, bl := range list {
			switch bl := bl.(type) {
			case chat.Heading:
				b.WriteString(bl.Text + " " + bl.Below.String() + "\n")
			case chat.Para:
				b.WriteString(bl.Text.String() + "\n")
			case chat.Note:
				b.WriteString(bl.Text.String() + "\n")
			case chat.Row:
				b.WriteString(bl.Name + " " + bl.Word + " " + bl.Facts.String() + "\n")
			case chat.Item:
				b.WriteString(bl.Text.String() + " " + bl.Note.String() + "\n")
			case chat.Fields:
				for _, f := range bl {
					b.WriteString(f.Label + " " + f.Value.String() + "\n")
				}
			case chat.Meters:
				for _, m := range bl {
					fmt.Fprintf(&b, "%s %d\n", m.Label, m.Percent)
				}
			case chat.Picture:
				fmt.Fprintf(&b, "picture of %d bytes: %s\n", len(bl.PNG), bl.Alt)
			case chat.Controls:
				if bl.Select != nil {
					for _, o := range bl.Select.Options {
						b.WriteString("{" + o.Label + " " + bl.Select.ID + "=" + o.Value + "}\n")
					}
				}
				for _, btn := range bl.Buttons {
					b.WriteString("[" + btn.Label + " " + btn.ID + "]\n")
				}
			}
		}
	}
	switch s := s.(type) {
	case chat.Message:
		blocks(s.Blocks)
	case chat.Panel:
		if s.Lead != nil {
			b.WriteString(s.Lead.Name + " " + s.Lead.Word + " " + s.Lead.Facts.String() + "\n")
		}
		blocks(s.Blocks)
	case chat.Form:
		b.WriteString(s.ID + " " + s.Heading + "\n")
		blocks(s.Intro)
		for _, in := range s.Inputs {
			fmt.Fprintf(&b, "%s = %s\n", in.ID, in.Value)
		}
		blocks([]chat.Block{chat.Controls{Buttons: s.Buttons}})
	case chat.Home:
		blocks(s.Blocks)
	}
	return b.String()
}

// control finds a control's id by its label.
func control(t *testing.T, s chat.Surface, label string) string {
	t.Helper()
	for line := range strings.Lines(text(s)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "["+label+" "); ok {
			return strings.TrimSuffix(rest, "]")
		}
	}
	t.Fatalf("no control %q in:\n%s", label, text(s))
	return ""
}

func says(t *testing.T, s chat.Surface, want string) {
	t.Helper()
	if !strings.Contains(text(s), want) {
		t.Fatalf("it does not say %q:\n%s", want, text(s))
	}
}

// maker makes containers, and brings OS templates, by functions. What is
// cancelled is as it is.
type maker struct{ carry, transfer carrier }

type carrier func(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string)

func (m maker) Carry(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
	return m.carry(ctx, j, save)
}

func (m maker) Transfer(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
	return m.transfer(ctx, j, save)
}

func (maker) Abandon(context.Context, *jobs.Job, func(context.Context) error) {}
