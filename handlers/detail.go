package handlers

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
)

func (h *Handlers) detailRoutes() []Route {
	var types []chat.Choice
	for _, f := range view.EventFilters() {
		types = append(types, chat.Choice{Label: f, Value: f})
	}
	return []Route{
		{
			Name: "show", Aliases: []string{"tab", "refresh", "busy"}, Needs: access.View, Container: true, Handle: h.show,
			Command: &chat.Command{Name: "show", Summary: "one container: overview, services and events", Options: []chat.Option{nameOption}},
		},
		{Name: "share", Needs: access.View, Container: true, Audited: true, Handle: h.share},
		{Name: "graph", Needs: access.View, Container: true, Handle: h.graph},
		{
			Name: "events", Aliases: []string{"ev"}, Needs: access.View, Container: true, Handle: h.events,
			Command: &chat.Command{Name: "events", Summary: "what happened to a container", Options: []chat.Option{
				nameOption, {Name: "type", Summary: "show only these", Choices: types},
			}},
		},
	}
}

// tab is what of a detail a person looks at.
type tab struct {
	name   string
	filter string
	before int64
	scan   bool // look into the container first
}

// show opens a detail, or changes its tab in place.
func (h *Handlers) show(ctx context.Context, r *Request) chat.Answer {
	t := tab{name: view.TabOverview, filter: view.FilterAll}
	if id, name, filter, before, ok := view.ParseDetailState(r.State); ok && id == r.Container.ID {
		t = tab{name: name, filter: filter, before: before}
	}
	if strings.HasPrefix(r.Action, view.ID(r.Container.ID, "tab:")) {
		name, what, _ := strings.Cut(r.Arg, ":")
		t = tab{name: name, filter: cmp.Or(what, view.FilterAll)}
	}
	if r.Action == view.ID(r.Container.ID, "refresh") {
		h.details.forget(r.Container.ID)
	}
	return h.openDetail(ctx, r, t)
}

// events opens the Events tab, filters and pages it, and shows one event.
func (h *Handlers) events(ctx context.Context, r *Request) chat.Answer {
	t := tab{name: view.TabEvents, filter: view.FilterAll}
	_, _, filter, before, in := view.ParseDetailState(r.State)
	if in {
		t.filter, t.before = filter, before
	}
	if f := r.Options["type"]; f != "" {
		t.filter = f
	}
	what, arg, _ := strings.Cut(r.Arg, ":")
	switch what {
	case "filter":
		t.filter, t.before = strings.TrimPrefix(r.Value, "ev:"), 0
	case "all":
		t.filter, t.before = view.FilterAll, 0
	case "older":
		t.before, _ = strconv.ParseInt(arg, 10, 64)
	case "newest":
		t.before = 0
	default:
		if seq, err := strconv.ParseInt(what, 10, 64); err == nil {
			return h.oneEvent(ctx, r, seq)
		}
	}
	return h.openDetail(ctx, r, t)
}

func (h *Handlers) oneEvent(ctx context.Context, r *Request, seq int64) chat.Answer {
	ev, ok, err := h.Events.Event(ctx, r.Container.ID, seq)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if !ok {
		return chat.Answer{Now: view.Refused("This event is not there any more.", "Refresh the list.")}
	}
	h.Live.Close(r.Source)
	return chat.Answer{Now: view.EventDetails(r.Container, ev, r.State), InPlace: r.InPanel}
}

// openDetail shows what is known at once, then what Proxmox still has to say.
// In a panel that shows this container already, it changes in place.
func (h *Handlers) openDetail(ctx context.Context, r *Request, t tab) chat.Answer {
	id, who, space := r.Container.ID, r.Person, r.Space
	shown, _, _, _, isDetail := view.ParseDetailState(r.State)
	inPlace := r.InPanel && isDetail && shown == id || r.InPanel && !isDetail && r.State == ""
	render := func(ctx context.Context, _ time.Time) chat.Surface {
		s, _ := h.detail(ctx, id, who, space, t)
		return s
	}
	opening := h.Live.Opening()
	look := h.looks(r.Container, t)
	t.scan = look
	now, complete := h.detail(ctx, id, who, space, t)
	t.scan = false
	a := chat.Answer{
		Now: now, InPlace: inPlace,
		Shown: func(ref chat.Ref) { opening.Show(ref, render) },
	}
	past := t.name == view.TabEvents && h.History.Due(id)
	if !complete || past || look {
		a.Then = func(ctx context.Context) (chat.Surface, error) {
			c, ok := h.Inventory.Snapshot().ByID(id)
			switch {
			case ok && look:
				h.details.forget(id)           // its address may be another by now
				_, _ = h.Services.Scan(ctx, c) // what is known then is shown, whatever came of it
			case ok && past:
				if err := h.History.Read(ctx, c); err != nil && ctx.Err() == nil {
					h.Log.WarnContext(ctx, "read what was done to a container in Proxmox", "request", r.ID, "container", id, "err", err)
				}
			case ok:
				h.details.read(ctx, c)
			}
			s, _ := h.detail(ctx, id, who, space, t)
			return s, nil
		}
	}
	return a
}

// looks reports whether a container is to be looked into before its services
// are shown for good: somebody wants it, or nobody has yet.
func (h *Handlers) looks(c *inventory.Container, t tab) bool {
	return t.name == view.TabServices && h.Services != nil && h.Services.CanScan(c) && c.State == inventory.Running &&
		(t.scan || h.Services.Report(c.ID) == nil)
}

// detail renders a container's panel from memory and the database. It is nil
// for a container that is gone; complete is false while Proxmox has not been
// asked about it.
func (h *Handlers) detail(ctx context.Context, id inventory.ID, who chat.Person, space chat.Space, t tab) (s chat.Surface, complete bool) {
	d, complete, ok := h.detailOf(id, who, space, t)
	if !ok {
		return nil, true
	}
	switch t.name {
	case view.TabEvents:
		d.Events = h.eventsPage(ctx, id, space, t)
		complete = true
	case view.TabServices:
		complete = true
	}
	return d.Panel(), complete
}

// detailOf is what is known of a container; not ok where it is gone, or may
// not be seen.
func (h *Handlers) detailOf(id inventory.ID, who chat.Person, space chat.Space, t tab) (d view.Detail, complete, ok bool) {
	snap := h.Inventory.Snapshot()
	c, ok := snap.ByID(id)
	if !ok || !h.Policy.May(who, access.View, TargetOf(c)) {
		return d, true, false
	}
	d = view.Detail{
		Container: c, Busy: h.busy(id), NodeDown: nodeDown(snap, c), Tab: t.name, May: h.may(who, c), Viewer: who.Key(),
		Space: space, Every: h.Every, Now: h.Now(),
	}
	if cl, _ := snap.Cluster(c.Cluster); cl.Stale() {
		d.Stale = cl.At
	}
	d.Services = h.servicesOf(c, t.filter)
	d.Services.Scanning = d.Services.Scanning || t.scan
	facts, complete := h.details.get(id)
	d.Config, d.Status, d.Addrs, d.ConfigErr, d.Hour = facts.config, facts.status, facts.addrs, facts.problem, facts.hour
	d.Unfinished = facts.unfinished
	return d, complete, true
}

// share shows a container to the channel in which its panel was opened.
func (h *Handlers) share(_ context.Context, r *Request) chat.Answer {
	if r.Channel == "" {
		return chat.Answer{Now: view.Refused("This was opened outside of a channel.", "Open it in the channel that is to see it: /pve show NAME.")}
	}
	d, _, ok := h.detailOf(r.Container.ID, r.Person, r.Space, tab{name: view.TabOverview})
	if !ok {
		return chat.Answer{Now: view.Replaced()}
	}
	d.SharedBy = r.Person.Name
	return chat.Answer{Now: d.Shared(), Missed: func(err error) chat.Surface { return view.CannotPost(err) }}
}

func (h *Handlers) eventsPage(ctx context.Context, id inventory.ID, space chat.Space, t tab) view.Events {
	e := view.Events{Filter: t.filter, Before: t.before}
	page := inventory.EventPage{Container: id, Before: t.before, Limit: space.Events + 1}
	if t.filter != view.FilterAll {
		page.Type = inventory.EventType(t.filter)
	}
	list, err := h.Deps.Events.Events(ctx, page)
	if err == nil {
		e.Counts, err = h.Deps.Events.EventCounts(ctx, id)
	}
	if err != nil {
		if ctx.Err() == nil {
			h.Log.ErrorContext(ctx, "read events", "container", id, "err", err)
		}
		return e
	}
	e.More = len(list) > space.Events
	e.Page, e.Loaded = list[:min(len(list), space.Events)], true
	return e
}

func (h *Handlers) databaseTrouble(ctx context.Context, r *Request, err error) chat.Answer {
	h.Log.ErrorContext(ctx, "the database did not answer", "request", r.ID, "route", r.Route.Name, "err", err)
	r.Note("failed", "database")
	return chat.Answer{Now: view.Trouble{
		What: "pvechat's database did not answer", Now: "Nothing was done.", Do: "Try again in a minute. Lists can still be read.", Request: r.ID,
	}.Message()}
}

// details remembers what was read of containers that people look at.
type details struct {
	jobs      *jobs.Runner
	clusters  map[string]Proxmox
	inventory *inventory.Inventory
	now       func() time.Time

	mu    sync.Mutex
	known map[inventory.ID]facts
}

// facts are what Proxmox says of one container alone, and how its creation
// ended.
type facts struct {
	at      time.Time
	config  *proxmox.ContainerConfig
	status  *proxmox.ContainerStatus
	addrs   []netip.Prefix
	hour    []proxmox.Sample
	problem string // why config is missing

	unfinished *jobs.Job // its creation, which can be gone on with; nil: it ended well, or it was not ours
}

// factsFor is how long what was read stands for what is.
const factsFor = 5 * time.Minute

// mostFacts is of how many containers it is kept: more than are kept fresh in
// panels, of which each platform has a hundred.
const mostFacts = 400

func newDetails(d Deps) *details {
	return &details{jobs: d.Jobs, clusters: d.Clusters, inventory: d.Inventory, now: d.Now, known: map[inventory.ID]facts{}}
}

func (d *details) get(id inventory.ID) (facts, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.known[id]
	return f, ok && d.now().Sub(f.at) < factsFor
}

func (d *details) forget(id inventory.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.known[id]; ok {
		f.at = time.Time{} // still shown until it was read again
		d.known[id] = f
	}
}

// created takes in how a creation ended.
func (d *details) created(j jobs.Job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.known[j.Container]; ok {
		if f.unfinished = nil; again(j) {
			f.unfinished = &j
		}
		d.known[j.Container] = f
	}
}

// read asks Proxmox about one container. One half that fails leaves the other.
func (d *details) read(ctx context.Context, c *inventory.Container) facts {
	pve, ok := d.clusters[c.Cluster]
	if !ok {
		return facts{}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var f facts
	var nics []proxmox.Interface
	var wg sync.WaitGroup
	wg.Go(func() {
		cfg, err := pve.ContainerConfig(ctx, c.Ref())
		if err != nil {
			f.problem = jobs.Reason(err)
			return
		}
		f.config = &cfg
	})
	wg.Go(func() {
		if st, err := pve.ContainerStatus(ctx, c.Ref()); err == nil {
			f.status = &st
		}
	})
	wg.Go(func() {
		f.hour, _ = pve.Samples(ctx, c.Ref(), proxmox.Hour) // without it, the line is not there
	})
	wg.Go(func() {
		if j, ok, err := d.jobs.Last(ctx, c.ID, jobs.Create); err == nil && ok && again(j) {
			f.unfinished = &j
		}
	})
	if c.State == inventory.Running {
		wg.Go(func() { nics, _ = pve.Interfaces(ctx, c.Ref()) })
	}
	wg.Wait()
	f.addrs = outside(nics, f.config)
	f.at = d.now()
	if f.problem != "" {
		f.at = f.at.Add(-factsFor + 20*time.Second) // soon again
	}
	if f.config != nil {
		_, _ = d.inventory.Identify(ctx, c.ID, *f.config) // the next tick shows another container as another
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, again := d.known[c.ID]; !again && len(d.known) >= mostFacts {
		delete(d.known, d.oldest())
	}
	d.known[c.ID] = f
	return f
}

// oldest is what was read longest ago; d.mu is held.
func (d *details) oldest() (id inventory.ID) {
	for other, f := range d.known {
		if id == "" || f.at.Before(d.known[id].at) {
			id = other
		}
	}
	return id
}

// outside are the addresses of the interfaces that Proxmox gave a container,
// without its loopback and those that it made inside, such as a bridge of
// Docker's: behind the same address elsewhere is somebody else.
func outside(nics []proxmox.Interface, cfg *proxmox.ContainerConfig) []netip.Prefix {
	var addrs []netip.Prefix
	for _, nic := range nics {
		given := func(n proxmox.Network) bool { return n.Name == nic.Name }
		if nic.Name == "lo" {
			continue
		}
		if cfg == nil || len(cfg.Networks) == 0 || slices.ContainsFunc(cfg.Networks, given) {
			addrs = append(addrs, nic.Addrs...)
		}
	}
	return addrs
}

// reach asks for no more than a container's addresses and networks, and only
// where they are not known.
func (d *details) reach(ctx context.Context, c *inventory.Container) ([]netip.Prefix, []proxmox.Network) {
	f, fresh := d.get(c.ID)
	if fresh && f.config != nil && len(f.addrs) > 0 {
		return f.addrs, f.config.Networks
	}
	pve, ok := d.clusters[c.Cluster]
	if !ok {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var nics []proxmox.Interface
	var wg sync.WaitGroup
	wg.Go(func() { nics, _ = pve.Interfaces(ctx, c.Ref()) })
	cfg, err := pve.ContainerConfig(ctx, c.Ref())
	wg.Wait()
	if err != nil {
		return outside(nics, f.config), nil
	}
	return outside(nics, &cfg), cfg.Networks
}
