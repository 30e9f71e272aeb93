package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/view"
)

// Drafts keep what people have chosen so far for new containers; *storage.DB
// does.
type Drafts interface {
	SaveDraft(ctx context.Context, id, person, spec string) error
	Draft(ctx context.Context, id, person string) (spec string, found bool, err error)
	DropDraft(ctx context.Context, id, person string) error
}

// DraftFor is how long a draft is kept.
const DraftFor = 24 * time.Hour

func (h *Handlers) createRoutes() []Route {
	return []Route{
		{
			Name: "create", Aliases: []string{"create:open", "create:use", "create:again"}, Needs: access.Create, Handle: h.create,
			Command: &chat.Command{Name: "create", Summary: "create a container from a template, step by step"},
		},
		{Name: "w", Needs: access.Create, Handle: h.wizard},
		{Name: "deploy", Needs: access.Create, Audited: true, Handle: h.deploy},
		{Name: "progress", Needs: access.View, Container: true, Handle: h.showCreation},
		{Name: "cancel-create", Needs: access.Create, Container: true, Audited: true, Handle: h.cancelCreate},
		{Name: "retry", Needs: access.Create, Container: true, Audited: true, Handle: h.retryCreate},
	}
}

// library is the templates that there are; nil where containers are not
// created.
func (h *Handlers) library() *templates.Library {
	if h.Templates == nil || h.Drafts == nil {
		return nil
	}
	return h.Templates()
}

// offers reports whether a person is shown the way to a new container; nil is
// everybody of a channel.
func (h *Handlers) offers(who *chat.Person) bool {
	if h.library() == nil {
		return false
	}
	if who == nil {
		return true
	}
	some, _ := h.Policy.MaySome(*who, access.Create)
	return some
}

// draft is what one person has chosen so far.
type draft struct {
	id     string
	person chat.Person
	create.Spec
}

// create opens the way to a new container, at its first step: with a template
// that was chosen already, or what an earlier try had, further on.
func (h *Handlers) create(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.drifted(ctx, r); refusal != nil {
		return *refusal
	}
	lib := h.library()
	if lib == nil || len(lib.All()) == 0 {
		return chat.Answer{Now: view.Refused("No container can be created here.", "There are no templates.")}
	}
	places := h.places(r.Person)
	if len(places) == 0 {
		for _, cl := range h.Inventory.Snapshot().Clusters {
			if h.Catalog.Of(cl.Name).At.IsZero() && !cl.Stale() {
				return chat.Answer{Now: view.StillReading(cl.Name)}
			}
		}
		return chat.Answer{Now: view.Refused("There is no node to create a container on.", "Either none is up with a storage for disks of containers, or your rule in pvechat leaves none.")}
	}
	d, step := draft{id: inventory.Token(8), person: r.Person}, view.StepTemplate
	tpl := lib.All()[0]
	switch arg := r.Arg; {
	case strings.HasPrefix(r.Action, "create:use:"):
		found, ok := lib.Find(arg)
		if !ok {
			return chat.Answer{Now: view.NoTemplate(arg), InPlace: r.InPanel}
		}
		tpl, step = found, view.StepSettings
	case strings.HasPrefix(r.Action, "create:again:"):
		j, ok, err := h.Jobs.Job(ctx, arg)
		if err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
		spec, err := create.ParseSpec(j.Spec)
		may := h.Policy.May(r.Person, access.Create, access.Target{Cluster: spec.Cluster, Node: spec.Node, VMID: j.VMID, Tags: spec.Tags})
		if !ok || err != nil || j.Action != jobs.Create || !may {
			return chat.Answer{Now: view.DraftEnded()}
		}
		d.Spec, step = spec, view.StepReview
	}
	if step != view.StepReview {
		d.Spec = h.propose(tpl, places[0])
	}
	if err := h.save(ctx, d); err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	// From a board a window of one's own opens; what a person is in already
	// changes.
	return chat.Answer{Now: h.step(r, d, step), InPlace: r.InPanel && step != view.StepTemplate}
}

// propose is what a template proposes, on its best place or else on the first
// that there is.
func (h *Handlers) propose(t templates.Template, first view.Place) create.Spec {
	snap := h.Inventory.Snapshot()
	cl, _ := snap.Cluster(first.Cluster)
	offer := h.Catalog.Of(first.Cluster)
	s := create.FromTemplate(t, cl, offer).Place(first.Name, cl, offer)
	s.Hostname = freeName(snap, first.Cluster, t.ID)
	return s
}

// freeName is a hostname that nobody has in a cluster.
func freeName(snap *inventory.Snapshot, cluster, from string) string {
	from = strings.Trim(from, "-")
	for n := 1; ; n++ {
		name := from
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		if !slices.ContainsFunc(snap.Find(name), func(c *inventory.Container) bool { return c.Cluster == cluster }) {
			return name
		}
	}
}

// places are the nodes on which a person may create something, with the one
// that has most memory left first.
func (h *Handlers) places(p chat.Person) []view.Place {
	may := h.mayCreateOn(p)
	var list []view.Place
	for _, cl := range h.Inventory.Snapshot().Clusters {
		if h.Catalog.Of(cl.Name).At.IsZero() {
			continue // what it offers is not known yet
		}
		for _, n := range cl.Nodes {
			if n.Online && len(create.Storages(cl, n.Name)) > 0 && may(cl.Name, n.Name) {
				list = append(list, view.Place{Cluster: cl.Name, Node: n})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b view.Place) int { return int((b.MaxMem-b.Mem)>>20) - int((a.MaxMem-a.Mem)>>20) })
	return list
}

// mayCreateOn tells on which nodes a person may create some container.
func (h *Handlers) mayCreateOn(p chat.Person) func(cluster, node string) bool {
	var tags []string
	for _, t := range h.library().All() {
		tags = append(tags, t.Tags...)
	}
	ownNumbers := func(cluster string) bool { // the person may create some VMID, wherever
		rules := h.Policy.Rules()
		return slices.ContainsFunc(rules.Naming(p), func(i int) bool {
			rule := rules.All()[i]
			return slices.Contains(rules.Holds(rule.Role), access.Create) && slices.ContainsFunc(rule.Scope, func(s access.Selector) bool {
				return s.Kind == "vmid" && (s.Cluster() == "" || s.Cluster() == cluster)
			})
		})
	}
	return func(cluster, node string) bool {
		return h.Policy.May(p, access.Create, access.Target{Cluster: cluster, Node: node, Tags: tags}) || ownNumbers(cluster)
	}
}

func (h *Handlers) save(ctx context.Context, d draft) error {
	return h.Drafts.SaveDraft(ctx, d.id, d.person.Key(), d.String())
}

// open reads a draft. An answer means that there is none.
func (h *Handlers) open(ctx context.Context, r *Request, id string) (draft, *chat.Answer) {
	d := draft{id: id, person: r.Person}
	if h.library() == nil {
		return d, &chat.Answer{Now: view.DraftEnded(), InPlace: r.InPanel}
	}
	text, found, err := h.Drafts.Draft(ctx, id, r.Person.Key())
	if err == nil && found {
		d.Spec, err = create.ParseSpec(text)
	}
	if err != nil {
		a := h.databaseTrouble(ctx, r, err)
		return d, &a
	}
	if !found {
		r.Note("refused", "no draft")
		return d, &chat.Answer{Now: view.DraftEnded(), InPlace: r.InPanel}
	}
	return d, nil
}

// at is what is known of the place that a draft names.
func (h *Handlers) at(s create.Spec) create.Place {
	snap := h.Inventory.Snapshot()
	p := create.Place{Offer: h.Catalog.Of(s.Cluster), Fleet: snap}
	p.Template, _ = h.library().Find(s.Template)
	p.Cluster, _ = snap.Cluster(s.Cluster)
	_, p.SSH = h.Guests[s.Cluster]
	if h.Services != nil {
		p.Addrs = func(id inventory.ID) []netip.Addr {
			if r := h.Services.Report(id); r != nil {
				return r.Addrs
			}
			return nil
		}
	}
	return p
}

// wizardOf is a draft as it is shown.
func (h *Handlers) wizardOf(r *Request, d draft) view.Wizard {
	return view.Wizard{
		Draft: d.id, Spec: d.Spec, At: h.at(d.Spec), Templates: h.library().All(), Places: h.places(d.person),
		Next: lowestFree(h.Inventory.Snapshot(), d.Cluster, 100), Here: r.Channel != "",
	}
}

func (h *Handlers) step(r *Request, d draft, step string) chat.Form {
	w := h.wizardOf(r, d)
	if step == view.StepReview {
		w.Wrong = h.wrong(d.person, d.Spec)
	}
	return w.Form(step)
}

// lowestFree is the smallest VMID from a number on that no container has, as
// far as is known.
func lowestFree(snap *inventory.Snapshot, cluster string, from int) int {
	taken := map[int]bool{}
	for c := range snap.WorstFirst() {
		if c.Cluster == cluster {
			taken[c.VMID] = true
		}
	}
	for taken[from] {
		from++
	}
	return from
}

// wizard leads through the steps. A control's id is "w:<draft>:<step>:…".
func (h *Handlers) wizard(ctx context.Context, r *Request) chat.Answer {
	id, rest, _ := strings.Cut(r.Arg, ":")
	step, what, _ := strings.Cut(rest, ":")
	if step == "cancel" {
		if err := h.Drafts.DropDraft(ctx, id, r.Person.Key()); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
		return chat.Answer{Close: true}
	}
	d, ended := h.open(ctx, r, id)
	if ended != nil {
		return *ended
	}
	what, arg, _ := strings.Cut(what, ":")
	switch {
	case r.Kind == chat.Submitted:
		return h.given(ctx, r, d, step, what != "")
	case what == "set":
		d.Spec, _ = h.take(d.Spec, map[string]string{arg: r.Value})
	case what == "back":
		d.Spec, _ = h.take(d.Spec, r.Values) // what makes no sense is as it was
		step = h.before(d.Spec, step)
	case what == "edit":
		n, _ := strconv.Atoi(arg)
		if f, ok := h.wizardOf(r, d).Part(step, n); ok {
			return chat.Answer{Now: f}
		}
	}
	if what == "set" || what == "back" {
		if err := h.save(ctx, d); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
	}
	return chat.Answer{Now: h.step(r, d, step), InPlace: r.InPanel}
}

// given takes a form: a whole step, after which comes the next, or a part of
// one, after which it is shown again.
func (h *Handlers) given(ctx context.Context, r *Request, d draft, step string, part bool) chat.Answer {
	spec, wrong := h.take(d.Spec, r.Values)
	checked := h.wrong(r.Person, spec)
	for f, sentence := range checked {
		_, here := r.Values[string(f)]
		if wrong[string(f)] == "" && (here || !part && view.StepOf(f) == step) {
			wrong[inputOf(f)] = sentence
		}
	}
	if len(wrong) > 0 {
		r.Note("refused", "it cannot be made like this")
		return chat.Answer{Errors: wrong, Now: h.step(r, d, step)}
	}
	d.Spec = spec
	if err := h.save(ctx, d); err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if !part {
		step = h.after(spec, step)
	}
	return chat.Answer{Now: h.step(r, d, step), InPlace: r.InPanel}
}

// inputOf is the input at which a field is asked.
func inputOf(f create.Field) string {
	if f == create.FieldScripts {
		return view.InputInstall
	}
	return string(f)
}

// steps are those of a draft: what has nothing to be chosen is passed over.
func (h *Handlers) steps(s create.Spec) []string {
	t, _ := h.library().Find(s.Template)
	if view.HasServices(t) {
		return []string{view.StepTemplate, view.StepSettings, view.StepServices, view.StepReview}
	}
	return []string{view.StepTemplate, view.StepSettings, view.StepReview}
}

func (h *Handlers) after(s create.Spec, step string) string {
	all := h.steps(s)
	return all[min(slices.Index(all, step)+1, len(all)-1)]
}

func (h *Handlers) before(s create.Spec, step string) string {
	all := h.steps(s)
	return all[max(slices.Index(all, step)-1, 0)]
}

// wrong says what is wrong with a spec, also with regard to who asks.
func (h *Handlers) wrong(p chat.Person, s create.Spec) map[create.Field]string {
	at := h.at(s)
	wrong := s.Check(at)
	if s.Lacks(at) {
		h.Catalog.Soon(s.Cluster) // an admin may have granted it since
	}
	if at.Template.ID == "" {
		wrong[create.FieldTemplate] = "The template " + s.Template + " is not there any more. Choose another one."
	}
	if _, admin := h.Policy.MaySome(p, access.Admin); !admin {
		for _, tag := range s.Tags {
			if h.Policy.Rules().Guards(tag) && !slices.Contains(at.Template.Tags, tag) {
				wrong[create.FieldTags] = "The tag " + tag + " decides who may do what: only an admin sets it, or a template that has it."
			}
		}
	}
	vmid := s.VMID
	if vmid == 0 {
		vmid = lowestFree(at.Fleet, s.Cluster, 100)
	}
	if wrong[create.FieldTags] == "" && !h.Policy.May(p, access.Create, access.Target{Cluster: s.Cluster, Node: s.Node, VMID: vmid, Tags: s.Tags}) {
		_, scope := h.Policy.RoleOf(p)
		wrong[create.FieldTags] = view.OutOfScope(scope)
	}
	return wrong
}

// take changes a spec by what was given, and says what could not be read.
func (h *Handlers) take(s create.Spec, values map[string]string) (create.Spec, map[string]string) {
	wrong := map[string]string{}
	given := func(f create.Field, use func(string)) {
		if v, ok := values[string(f)]; ok {
			use(strings.TrimSpace(v))
		}
	}
	whole := func(f create.Field, use func(int64)) {
		given(f, func(v string) {
			n, err := strconv.ParseInt(v, 10, 64)
			if v != "" && err != nil {
				wrong[string(f)] = "Write a whole number."
				return
			}
			use(n)
		})
	}
	given(create.FieldTemplate, func(v string) { s = h.retemplate(s, v) })
	given(create.FieldNode, func(v string) {
		cluster, node, _ := strings.Cut(v, "/")
		if cl, ok := h.Inventory.Snapshot().Cluster(cluster); ok {
			s.Cluster = cluster
			s = s.Place(node, cl, h.Catalog.Of(cluster))
		}
	})
	given(create.FieldHostname, func(v string) { s.Hostname = strings.ToLower(v) })
	whole(create.FieldVMID, func(n int64) { s.VMID, s.Fixed = int(n), n != 0 })
	whole(create.FieldCores, func(n int64) { s.Cores = int(n) })
	whole(create.FieldMemory, func(n int64) { s.Memory = n })
	whole(create.FieldSwap, func(n int64) { s.Swap = n })
	whole(create.FieldDisk, func(n int64) { s.Disk = n })
	whole(create.FieldVLAN, func(n int64) { s.VLAN = int(n) })
	given(create.FieldStorage, func(v string) { s.Storage = v })
	given(create.FieldBridge, func(v string) { s.Bridge = v })
	given(create.FieldIP, func(v string) {
		if s.IP = strings.ToLower(v); s.IP == "" {
			s.IP = "dhcp"
		}
	})
	given(create.FieldGateway, func(v string) { s.Gateway = v })
	given(create.FieldNameserver, func(v string) { s.Nameserver = strings.Join(words(v), " ") })
	given(create.FieldTags, func(v string) {
		s.Tags = words(strings.ToLower(v))
		slices.Sort(s.Tags)
		s.Tags = slices.Compact(s.Tags)
	})
	given(create.FieldSSHKeys, func(v string) {
		s.SSHKeys = nil
		for line := range strings.Lines(v) {
			if line = strings.TrimSpace(line); line != "" {
				s.SSHKeys = append(s.SSHKeys, line)
			}
		}
	})
	given(create.FieldOptions, func(v string) {
		on := strings.Fields(v)
		s.OnBoot, s.Nesting = slices.Contains(on, view.OptOnBoot), slices.Contains(on, view.OptNesting)
		s.Privileged = !slices.Contains(on, view.OptUnprivileged)
	})
	return h.takeServices(s, values, wrong), wrong
}

// words parts what people write as a list.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == ';' || r == '\n' || r == '\t' || r == '\r' })
}

// takeServices takes what is done inside, and in which order.
func (h *Handlers) takeServices(s create.Spec, values, wrong map[string]string) create.Spec {
	t, ok := h.library().Find(s.Template)
	order, ordered := values[view.InputOrder]
	if !ok {
		return s
	}
	on := slices.Clone(s.Scripts)
	for input, things := range view.Install(t) {
		value, chosen := values[input]
		if !chosen {
			continue
		}
		picked := strings.Fields(value)
		for _, thing := range things {
			n, err := strconv.Atoi(thing)
			switch is := slices.Contains(picked, thing); {
			case err != nil:
				s.Packages = is
			case !is:
				on = slices.DeleteFunc(on, func(i int) bool { return i == n-1 })
			case !slices.Contains(on, n-1):
				on = append(on, n-1)
			}
		}
	}
	slices.Sort(on)
	want := s.Scripts
	if ordered {
		want = nil
		for _, w := range words(order) {
			n, err := strconv.Atoi(w)
			switch {
			case err != nil || n < 1 || n > len(t.Scripts):
				wrong[view.InputOrder] = fmt.Sprintf("Write numbers from 1 to %d, such as 2 1 3.", len(t.Scripts))
				return s
			case slices.Contains(want, n-1):
				wrong[view.InputOrder] = fmt.Sprintf("%d is there twice.", n)
				return s
			}
			want = append(want, n-1)
		}
	}
	// Those that are on: first those whose order was given, then the others.
	s.Scripts = slices.DeleteFunc(slices.Clone(want), func(i int) bool { return !slices.Contains(on, i) })
	for _, i := range on {
		if !slices.Contains(s.Scripts, i) {
			s.Scripts = append(s.Scripts, i)
		}
	}
	return s
}

// retemplate is a spec with another template. Name, number and network are the
// person's and stay.
func (h *Handlers) retemplate(s create.Spec, id string) create.Spec {
	t, ok := h.library().Find(id)
	if !ok || id == s.Template {
		return s
	}
	snap := h.Inventory.Snapshot()
	cl, _ := snap.Cluster(s.Cluster)
	offer := h.Catalog.Of(s.Cluster)
	next := create.FromTemplate(t, cl, offer).Place(s.Node, cl, offer)
	next.Hostname, next.VMID, next.Fixed = s.Hostname, s.VMID, s.Fixed
	next.IP, next.Gateway, next.SSHKeys = s.IP, s.Gateway, s.SSHKeys
	if strings.HasPrefix(s.Hostname, s.Template) { // it was our proposal
		next.Hostname = freeName(snap, s.Cluster, t.ID)
	}
	return next
}

// nextIDWithin is how long a person waits for Proxmox to name a free VMID. What
// is known serves as well: a number that is taken all the same is changed when
// the container is made.
const nextIDWithin = 700 * time.Millisecond

func (h *Handlers) nextID(ctx context.Context, cluster string) int {
	if h.NextID != nil {
		ctx, cancel := context.WithTimeout(ctx, nextIDWithin)
		defer cancel()
		id, err := h.NextID(ctx, cluster)
		if err == nil {
			return lowestFree(h.Inventory.Snapshot(), cluster, max(id, 100))
		}
		h.Log.InfoContext(ctx, "the next free VMID is guessed", "cluster", cluster, "err", err)
	}
	return lowestFree(h.Inventory.Snapshot(), cluster, 100)
}

// deploy makes the job. Everything is looked at again; of two presses one
// counts.
func (h *Handlers) deploy(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.drifted(ctx, r); refusal != nil {
		return *refusal
	}
	id, _, _ := strings.Cut(r.Arg, ":")
	d, ended := h.open(ctx, r, id)
	if ended != nil {
		return *ended
	}
	if r.Kind != chat.Submitted {
		r.Note("shown", "")
		return chat.Answer{Now: h.step(r, d, view.StepReview), InPlace: r.InPanel}
	}
	review := func(wrong map[create.Field]string) chat.Answer {
		w := h.wizardOf(r, d)
		w.Wrong = wrong
		return chat.Answer{Now: w.Form(view.StepReview), InPlace: r.InPanel}
	}
	spec := d.Spec
	if !spec.Fixed {
		spec.VMID = h.nextID(ctx, spec.Cluster)
	}
	h.deploys.Lock() // the second of two presses finds the draft gone, not its own name taken
	defer h.deploys.Unlock()
	if _, ended := h.open(ctx, r, id); ended != nil {
		return *ended
	}
	var c *inventory.Container
	wrong, err := h.wrong(r.Person, spec), error(nil)
	if len(wrong) == 0 {
		c, err = h.reserve(ctx, &spec)
	}
	if errors.Is(err, inventory.ErrTaken) {
		wrong[create.FieldVMID] = fmt.Sprintf("%d was taken meanwhile. Leave it empty for the next free number.", spec.VMID)
	}
	switch {
	case len(wrong) > 0:
		r.Note("refused", "it cannot be made like this")
		return review(wrong)
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	// The draft goes with the same stroke that makes the job: nothing that was
	// chosen is lost between the two, and nothing is made twice.
	j, err := h.Jobs.Submit(ctx, jobs.Ask{
		Container: c, Action: jobs.Create, Spec: spec.String(), Draft: id, Person: r.Person, Channel: r.Channel, Request: r.ID,
	})
	if err != nil {
		if _, gone := h.Inventory.Release(context.WithoutCancel(ctx), c.ID); gone != nil {
			h.Log.ErrorContext(ctx, "forget a container that is not made", "container", c.ID, "err", gone) // a sweep does it
		}
	}
	switch {
	case errors.Is(err, jobs.ErrNoDraft):
		r.Note("refused", "no draft")
		return chat.Answer{Now: view.DraftEnded(), InPlace: r.InPanel}
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	r.Container = c
	r.Note("accepted", "from the template "+spec.Template)
	r.NoteJob(j.ID)
	return chat.Answer{Now: view.Deploying(c, r.Channel != ""), InPlace: r.InPanel}
}

// reserve takes the VMID, or the next one where nobody insisted on it.
func (h *Handlers) reserve(ctx context.Context, s *create.Spec) (*inventory.Container, error) {
	for {
		c, err := h.Inventory.Reserve(ctx, s.Record())
		if !errors.Is(err, inventory.ErrTaken) || s.Fixed {
			return c, err
		}
		s.VMID = lowestFree(h.Inventory.Snapshot(), s.Cluster, s.VMID+1)
	}
}
