package handlers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) osTemplateRoutes() []Route {
	return []Route{
		{Name: "os:open", Needs: access.View, Handle: h.osTemplates},
		{Name: "os:show", Needs: access.View, Handle: h.osTemplate},
		{Name: "os:pick", Needs: access.Create, Handle: h.pickOSTemplate},
		{Name: "os:get", Needs: access.Create, Audited: true, Handle: h.downloadOSTemplate},
		{Name: "os:remove", Needs: access.Admin, Everywhere: true, Audited: true, Handle: h.removeOSTemplate},
	}
}

// osFile is an OS template as it is shown.
func (h *Handlers) osFile(cluster string, t catalog.OSTemplate) view.OSFile {
	_, a, _ := h.Catalog.Of(cluster).File(t.File)
	return view.OSFile{
		Key: catalog.Key(cluster, t.File), Cluster: cluster, OSTemplate: t, Offered: a, Job: h.busy(create.OSTemplate{Cluster: cluster, File: t.File}.ID()),
	}
}

// osTemplates lists the OS templates.
func (h *Handlers) osTemplates(_ context.Context, r *Request) chat.Answer {
	page, _ := strconv.Atoi(r.Arg)
	return h.listOSTemplates(r, page, 1)
}

func (h *Handlers) listOSTemplates(r *Request, page, more int) chat.Answer {
	if h.library() == nil {
		return noTemplates()
	}
	l := view.OSTemplates{Own: len(h.library().All()), Page: page, More: more, Space: r.Space, May: h.offers(&r.Person)}
	for _, cl := range h.Inventory.Snapshot().Clusters {
		o := h.Catalog.Of(cl.Name)
		l.Offers = append(l.Offers, view.Offered{Cluster: cl.Name, Offer: o})
		for _, t := range o.Templates {
			l.Here = append(l.Here, h.osFile(cl.Name, t))
		}
		for _, a := range o.Missing() {
			if f := h.osFile(cl.Name, catalog.OSTemplate{File: a.Template}); f.Job != nil {
				l.Here = append(l.Here, f)
			} else {
				l.Missing = append(l.Missing, f)
			}
		}
	}
	return chat.Answer{Now: l.Panel(), InPlace: r.InPanel && r.State == ""} // not over one's own view
}

// findOSTemplate finds what a key stands for.
func (h *Handlers) findOSTemplate(key string) (cluster string, t catalog.OSTemplate, ok bool) {
	for _, cl := range h.Inventory.Snapshot().Clusters {
		o := h.Catalog.Of(cl.Name)
		for _, t := range o.Templates {
			if catalog.Key(cl.Name, t.File) == key {
				return cl.Name, t, true
			}
		}
		for _, a := range o.Downloads {
			if catalog.Key(cl.Name, a.Template) == key {
				return cl.Name, catalog.OSTemplate{File: a.Template}, true
			}
		}
	}
	return "", t, false
}

// osPage is all about an OS template, as a person sees it.
func (h *Handlers) osPage(p chat.Person, cluster string, t catalog.OSTemplate) view.OSPage {
	page := view.OSPage{OSFile: h.osFile(cluster, t), May: h.offers(&p)}
	_, page.Admin = h.Policy.MaySome(p, access.Admin)
	if j := page.Job; j != nil {
		if seen, ok := h.sights.last(j.ID); ok {
			page.Job = &seen // with the last lines
		}
	}
	o := h.Catalog.Of(cluster)
	for _, own := range h.library().All() {
		if f, ok := catalog.Newest([]catalog.OSTemplate{t}, own.OS, func(t catalog.OSTemplate) string { return t.File }); ok && f.File == t.File {
			page.Fits = append(page.Fits, own)
		}
	}
	slices.SortStableFunc(page.Fits, func(a, b templates.Template) int { return cmp.Compare(work(a), work(b)) })
	if len(page.Fits) > 0 {
		rest := slices.DeleteFunc(slices.Clone(o.Templates), func(other catalog.OSTemplate) bool { return other.File == t.File })
		if next, ok := (catalog.Offer{Templates: rest}).Find(page.Fits[0].OS); ok {
			page.Older = next.File
		}
	}
	page.Made = h.madeFrom(p, func(c *inventory.Container) bool { return c.Cluster == cluster && c.OSTemplate == t.File })
	page.Places = h.osPlaces(p, cluster, t)
	return page
}

// work is how much a template does.
func work(t templates.Template) int {
	n := len(t.Scripts) + len(t.Files)
	for _, m := range t.Packages.ByManager() {
		n += len(m.Names)
	}
	return n
}

// madeFrom names containers of which something is true, as far as a person may
// see them.
func (h *Handlers) madeFrom(p chat.Person, is func(*inventory.Container) bool) []string {
	var list []string
	for c := range h.Inventory.Snapshot().WorstFirst() {
		if is(c) && h.Policy.May(p, access.View, TargetOf(c)) {
			list = append(list, c.DisplayName())
		}
	}
	slices.Sort(list)
	return list
}

// osPlaces are the storages that do not have an OS template, of nodes on which a
// person may create containers, the one that serves most first.
func (h *Handlers) osPlaces(p chat.Person, cluster string, t catalog.OSTemplate) []view.OSPlace {
	cl, _ := h.Inventory.Snapshot().Cluster(cluster)
	may := h.mayCreateOn(p)
	var list []view.OSPlace
	for _, n := range cl.Nodes {
		if !n.Online || !may(cluster, n.Name) {
			continue
		}
		for _, st := range cl.StoragesFor(n.Name, "vztmpl") {
			has := slices.ContainsFunc(t.Copies, func(c catalog.Copy) bool { return c.Storage() == st.Name && (c.Node == n.Name || st.Shared) })
			listed := slices.ContainsFunc(list, func(at view.OSPlace) bool { return at.Storage == st.Name && at.Shared })
			if !has && !listed {
				list = append(list, view.OSPlace{Key: catalog.Key(n.Name, st.Name), Node: n.Name, Storage: st.Name, Shared: st.Shared, Free: st.Size - st.Used})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b view.OSPlace) int {
		if a.Shared != b.Shared {
			return map[bool]int{true: -1, false: 1}[a.Shared]
		}
		return cmp.Compare(b.Free, a.Free)
	})
	return list
}

// osTemplate shows one.
func (h *Handlers) osTemplate(_ context.Context, r *Request) chat.Answer {
	return h.showOSTemplate(r, r.Arg)
}

// pickOSTemplate shows one that was chosen to be downloaded, or more of them.
func (h *Handlers) pickOSTemplate(_ context.Context, r *Request) chat.Answer {
	if page, ok := strings.CutPrefix(r.Value, "page:"); ok {
		n, _ := strconv.Atoi(page)
		return h.listOSTemplates(r, 1, n)
	}
	return h.showOSTemplate(r, r.Value)
}

func (h *Handlers) showOSTemplate(r *Request, key string) chat.Answer {
	if h.library() == nil {
		return noTemplates()
	}
	cluster, t, ok := h.findOSTemplate(key)
	if !ok {
		return chat.Answer{Now: view.NoOSTemplate(), InPlace: r.InPanel}
	}
	page := h.osPage(r.Person, cluster, t)
	a := chat.Answer{Now: page.Panel(), InPlace: r.InPanel}
	if j := page.Job; j != nil && j.Person.Key() == r.Person.Key() {
		if _, ours := h.sights.last(j.ID); ours { // another process tells it otherwise
			h.follow(&a, *j)
		}
	}
	return a
}

// follow shows in an answer's panel how a job goes on, until it shows something
// else.
func (h *Handlers) follow(a *chat.Answer, j jobs.Job) {
	h.pending.expect(j.ID, "")
	a.Shown = func(ref chat.Ref) { h.pending.shown(j.ID, place{ref: ref, panel: true, own: true}) }
	a.Missed = func(error) chat.Surface { h.pending.shown(j.ID, place{}); return nil }
}

// downloadOSTemplate makes the job that fetches one to a storage.
func (h *Handlers) downloadOSTemplate(ctx context.Context, r *Request) chat.Answer {
	key, at, chosen := strings.Cut(r.Arg, ":")
	if !chosen {
		at = r.Value
	}
	page, refusal := h.openOSTemplate(ctx, r, key)
	if refusal != nil {
		return *refusal
	}
	i := slices.IndexFunc(page.Places, func(p view.OSPlace) bool { return p.Key == at })
	switch {
	case i < 0 || page.Offered.Template == "":
		r.Note("refused", "it is there, or it is not offered")
		if len(page.Copies) > 0 {
			return chat.Answer{Now: page.Panel(), InPlace: r.InPanel}
		}
		return chat.Answer{Now: view.NoOSTemplate(), InPlace: r.InPanel}
	case page.Places[i].Free < max(page.Size, 1):
		r.Note("refused", "the storage is full")
		return chat.Answer{Now: page.OSFull(page.Places[i]), InPlace: r.InPanel}
	}
	place := page.Places[i]
	return h.transfer(ctx, r, jobs.Download, page, []catalog.Copy{{Node: place.Node, Volume: place.Storage + ":vztmpl/" + page.File}})
}

// removeOSTemplate asks, and then makes the job that removes all copies.
func (h *Handlers) removeOSTemplate(ctx context.Context, r *Request) chat.Answer {
	key, token, answered := strings.Cut(r.Arg, ":")
	page, refusal := h.openOSTemplate(ctx, r, key)
	if refusal != nil {
		return *refusal
	}
	id := inventory.ID("os:" + key)
	switch user := h.unpacks(page); {
	case len(page.Copies) == 0:
		r.Note("refused", "it is gone")
		return chat.Answer{Now: view.NoOSTemplate(), InPlace: r.InPanel}
	case user != "":
		r.Note("refused", "it is in use by "+user)
		return chat.Answer{Now: page.OSInUse(user), InPlace: r.InPanel}
	case !answered:
		token, err := h.question(ctx, r.Person, id, r.Route.Name, view.ConfirmFor)
		if err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
		r.Note("asked", page.File)
		return chat.Answer{Now: page.Removal(token, h.Now())}
	}
	if refusal := h.redeemFor(ctx, r, id, token, r.Route.Name); refusal != nil {
		return *refusal
	}
	return h.transfer(ctx, r, jobs.Remove, page, page.Copies)
}

// openOSTemplate finds what a control is about, and that nothing is at it.
func (h *Handlers) openOSTemplate(ctx context.Context, r *Request, key string) (view.OSPage, *chat.Answer) {
	if refusal := h.drifted(ctx, r); refusal != nil {
		return view.OSPage{}, refusal
	}
	if h.library() == nil {
		a := noTemplates()
		return view.OSPage{}, &a
	}
	cluster, t, ok := h.findOSTemplate(key)
	if !ok {
		r.Note("refused", "it is not there any more")
		return view.OSPage{}, &chat.Answer{Now: view.NoOSTemplate(), InPlace: r.InPanel}
	}
	page := h.osPage(r.Person, cluster, t)
	if page.Job != nil {
		r.Note("refused", "busy")
		return page, &chat.Answer{Now: page.OSBusy(*page.Job), InPlace: r.InPanel}
	}
	return page, nil
}

// unpacks names a container that is being created and is about to unpack an OS
// template.
func (h *Handlers) unpacks(page view.OSPage) string {
	for _, j := range h.Jobs.All() {
		p := create.ParseProgress(j.Progress)
		if j.Action != jobs.Create || j.Cluster != page.Cluster || p.Made {
			continue
		}
		spec, err := create.ParseSpec(j.Spec)
		if err != nil {
			continue
		}
		fits := slices.ContainsFunc(page.Fits, func(t templates.Template) bool { return t.ID == spec.Template })
		if catalog.File(p.OSTemplate) == page.File || p.OSTemplate == "" && fits {
			return j.Name
		}
	}
	return ""
}

// transfer makes the job, and shows how it goes.
func (h *Handlers) transfer(ctx context.Context, r *Request, a jobs.Action, page view.OSPage, copies []catalog.Copy) chat.Answer {
	t := create.OSTemplate{Cluster: page.Cluster, File: page.File, Copies: copies}
	j, err := h.Jobs.Submit(ctx, jobs.Ask{Container: t.Target(), Action: a, Spec: t.String(), Person: r.Person, Request: r.ID})
	var busy *jobs.BusyError
	switch {
	case errors.As(err, &busy):
		r.Note("refused", "busy")
		return chat.Answer{Now: page.OSBusy(busy.Job), InPlace: r.InPanel}
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("accepted", page.Cluster+": "+page.File)
	r.NoteJob(j.ID)
	page.Job = &j
	answer := chat.Answer{Now: page.Panel(), InPlace: r.InPanel}
	h.follow(&answer, j)
	return answer
}

// editOSTemplate brings the panel of a job up to date, where it still shows it.
func (h *Handlers) editOSTemplate(ctx context.Context, j jobs.Job) error {
	at := h.pending.at(ctx, j.ID)
	platform := h.platform(at.ref.Platform)
	if at.ref.Zero() || platform == nil {
		return nil
	}
	return platform.Update(ctx, at.ref, h.osPageOf(j).Panel())
}

// osPageOf is the page of what a job is about.
func (h *Handlers) osPageOf(j jobs.Job) view.OSPage {
	spec, _ := create.ParseOSTemplate(j.Spec) // it was written by us
	t, _, _ := h.Catalog.Of(spec.Cluster).File(spec.File)
	page := h.osPage(j.Person, spec.Cluster, t)
	page.Job, page.Ended = nil, &j
	if j.State.Open() {
		page.Job, page.Ended = &j, nil
	}
	return page
}

// tellOSTemplate tells how a download or a removal ended: where it was asked,
// while that shows it, else in a direct message.
func (h *Handlers) tellOSTemplate(ctx context.Context, j jobs.Job) error {
	h.sights.end(j.ID)
	if h.library() == nil {
		return nil
	}
	panel := h.osPageOf(j).Panel()
	at := h.pending.take(ctx, j.ID)
	if platform := h.platform(at.ref.Platform); !at.ref.Zero() && platform != nil {
		err := platform.Update(ctx, at.ref, panel)
		if err == nil || ctx.Err() != nil {
			return err
		}
		h.Log.InfoContext(ctx, "an outcome could not be told where it was asked", "job", j.ID, "request", j.Request, "err", err)
	}
	return h.tellDirectly(ctx, j, view.AsMessage(panel))
}
