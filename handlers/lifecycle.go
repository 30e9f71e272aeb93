package handlers

import (
	"context"
	"errors"
	"maps"
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

// forceFor is how long Force stop is offered.
const forceFor = 15 * time.Minute

// force and stop are the questions that a token can answer besides the action
// that it was made for.
const force = "force"

func (h *Handlers) lifecycleRoutes() []Route {
	route := func(a jobs.Action, needs access.Permission, summary string) Route {
		return Route{
			Name: string(a), Needs: needs, Container: true, Audited: true, Job: true,
			Handle: func(ctx context.Context, r *Request) chat.Answer { return h.act(ctx, r, a) },
			Several: func(ctx context.Context, r *Request) chat.Answer {
				return h.askSeveral(ctx, r, a, r.Containers, r.LeftOut)
			},
			Command: &chat.Command{Name: string(a), Summary: summary, Options: []chat.Option{severalOption}},
		}
	}
	remove := route(jobs.Delete, access.Delete, "delete a container for good; its name is asked")
	remove.Handle, remove.Several, remove.Command.Options = h.delete, nil, []chat.Option{nameOption}
	return []Route{
		route(jobs.Start, access.Operate, "start a container"),
		route(jobs.Shutdown, access.Operate, "ask a container to close its work and end"),
		route(jobs.Stop, access.Operate, "pull the plug of a container"),
		route(jobs.Restart, access.Operate, "shut a container down and start it again"),
		remove,
		{Name: "leftovers", Needs: access.Delete, Container: true, Handle: h.leftovers},
		{Name: "log", Needs: access.View, Container: true, Handle: h.taskLog},
		{Name: "force", Needs: access.Operate, Container: true, Audited: true, Job: true, Handle: h.force},
		{Name: "instead", Needs: access.Operate, Container: true, Audited: true, Job: true, Handle: h.instead},
		{Name: "several:pick", Needs: access.Operate, Handle: h.several},
		{Name: "several:ask", Needs: access.Operate, Handle: h.askPicked},
		{Name: "several:run", Needs: access.Operate, Audited: true, Handle: h.runSeveral},
		{Name: "cancel", Needs: access.Anyone, Handle: h.cancel},
	}
}

// act starts a job, after a question where the action asks one.
func (h *Handlers) act(ctx context.Context, r *Request, a jobs.Action) chat.Answer {
	if refusal := h.refuse(r, a); refusal != nil {
		return *refusal
	}
	if view.Asks(a) && !r.Confirmed {
		if r.Arg == "" {
			return h.ask(ctx, r, a)
		}
		if refusal := h.redeem(ctx, r, r.Arg, string(a)); refusal != nil {
			return *refusal
		}
	}
	return h.submit(ctx, r, jobs.Ask{Action: a})
}

// instead shuts down where stop was asked about.
func (h *Handlers) instead(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.refuse(r, jobs.Shutdown); refusal != nil {
		return *refusal
	}
	if refusal := h.redeem(ctx, r, r.Arg, string(jobs.Stop)); refusal != nil {
		return *refusal
	}
	return h.submit(ctx, r, jobs.Ask{Action: jobs.Shutdown})
}

// force pulls the plug of a container that was asked to end.
func (h *Handlers) force(ctx context.Context, r *Request) chat.Answer {
	open := h.busy(r.Container.ID)
	if open == nil || open.Action != jobs.Shutdown {
		if refusal := h.refuse(r, jobs.Stop); refusal != nil {
			return *refusal
		}
	}
	if refusal := h.redeem(ctx, r, r.Arg, force); refusal != nil {
		return *refusal
	}
	a := h.submit(ctx, r, jobs.Ask{Action: jobs.Stop, Forced: true})
	if open != nil {
		h.pending.forget(open.ID) // its message shows the forced stop by now
	}
	return a
}

// cancel takes a question back.
func (h *Handlers) cancel(_ context.Context, r *Request) chat.Answer {
	if !r.InPanel && r.Source.Kind != chat.PrivateRef {
		return chat.Answer{}
	}
	return chat.Answer{Close: true}
}

// refuse says why an action makes no sense now.
func (h *Handlers) refuse(r *Request, a jobs.Action) *chat.Answer {
	c := r.Container
	busy := h.busy(c.ID)
	reason := view.Impossible(c, a, busy, nodeDown(h.Inventory.Snapshot(), c))
	if reason == "" {
		return nil
	}
	r.Note("refused", reason)
	if busy != nil && h.tappedAgain(r, *busy) {
		return &chat.Answer{}
	}
	return &chat.Answer{
		Now:     view.NotNow(c, a, reason),
		InPlace: ours(r), // it has served its purpose
	}
}

// tappedAgain reports whether r answers a question for the second time: what
// came of it stands in the question's place, and must stay.
func (h *Handlers) tappedAgain(r *Request, j jobs.Job) bool {
	return j.Person.Key() == r.Person.Key() && h.pending.answered(j.ID, r.Arg)
}

// ask puts a yes-or-no question to the person.
func (h *Handlers) ask(ctx context.Context, r *Request, a jobs.Action) chat.Answer {
	token, err := h.question(ctx, r.Person, r.Container.ID, string(a), view.ConfirmFor)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("asked", "")
	p := view.Confirm(r.Container, a, token, h.Now())
	if r.Kind == chat.Typed {
		return chat.Answer{Now: view.AsMessage(p)}
	}
	return chat.Answer{Now: p}
}

func (h *Handlers) question(ctx context.Context, p chat.Person, id inventory.ID, action string, lifetime time.Duration) (string, error) {
	token := "c_" + inventory.Token(8)
	return token, h.Confirmations.Ask(ctx, Confirmation{Token: token, Person: p.Key(), Container: id, Action: action}, lifetime)
}

// redeem takes the answer to our own question; once, in time, and from the
// person who was asked.
func (h *Handlers) redeem(ctx context.Context, r *Request, token, action string) *chat.Answer {
	return h.redeemFor(ctx, r, r.Container.ID, token, action)
}

// redeemFor is redeem for what is no container of the request.
func (h *Handlers) redeemFor(ctx context.Context, r *Request, id inventory.ID, token, action string) *chat.Answer {
	ok, err := h.Confirmations.Redeem(ctx, Confirmation{Token: token, Person: r.Person.Key(), Container: id, Action: action})
	if err != nil {
		a := h.databaseTrouble(ctx, r, err)
		return &a
	}
	if ok {
		return nil
	}
	r.Note("refused", "the question had ended, was answered, or was put to somebody else")
	return &chat.Answer{Now: view.QuestionEnded(r.Container), InPlace: ours(r)}
}

// ours reports whether r answers a question of ours, in its own message or
// window: whatever comes of it takes its place.
func ours(r *Request) bool {
	return r.Arg != "" && (r.InPanel || r.Source.Kind == chat.PrivateRef)
}

// submit makes the job that is asked and shows that it is under way.
func (h *Handlers) submit(ctx context.Context, r *Request, ask jobs.Ask) chat.Answer {
	token, err := "", error(nil)
	if ask.Action == jobs.Shutdown {
		if token, err = h.question(ctx, r.Person, r.Container.ID, force, forceFor); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
	}
	ask.Container, ask.Person, ask.Channel, ask.Request, ask.Delivery = r.Container, r.Person, r.Channel, r.ID, r.Delivery()
	j, err := h.Jobs.Submit(ctx, ask)
	var busy *jobs.BusyError
	switch {
	case errors.Is(err, jobs.ErrRepeated):
		return chat.Answer{} // the router says the rest
	case errors.As(err, &busy):
		r.Note("refused", "busy")
		if h.tappedAgain(r, busy.Job) {
			return chat.Answer{}
		}
		return chat.Answer{Now: view.AlreadyBusy(r.Container, busy.Job), InPlace: ours(r)}
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	r.Accept(j.ID)
	return h.underWay(ctx, r, j, token)
}

// underWay shows a job where it was asked for: in the container's detail where
// that is open, in place of our question, or as a new private message.
func (h *Handlers) underWay(ctx context.Context, r *Request, j jobs.Job, token string) chat.Answer {
	h.pending.expect(j.ID, r.Arg)
	a := chat.Answer{Missed: func(error) chat.Surface { h.pending.shown(j.ID, place{}); return nil }}
	id, name, filter, before, isDetail := view.ParseDetailState(r.State)
	switch {
	case isDetail && id == r.Container.ID && r.InPanel && j.Action != jobs.Delete && token == "":
		t := tab{name: name, filter: filter, before: before}
		who, space, opening := r.Person, r.Space, h.Live.Opening()
		now, _ := h.detail(ctx, id, who, space, t)
		a.Now, a.InPlace = now, true
		a.Shown = func(ref chat.Ref) {
			h.pending.shown(j.ID, place{ref: ref, panel: true})
			opening.Show(ref, func(ctx context.Context, _ time.Time) chat.Surface {
				s, _ := h.detail(ctx, id, who, space, t)
				return s
			})
		}
	case r.InPanel || ours(r):
		own := r.Arg != "" || isDetail && id == r.Container.ID // our question, or this container's detail
		p := view.Progress(r.Container, j, token, h.Now())
		if a.Now, a.InPlace = p, own; !r.InPanel { // a question that was a message is answered in it
			a.Now = view.AsMessage(p)
		}
		a.Shown = func(ref chat.Ref) { h.pending.shown(j.ID, place{ref: ref, panel: r.InPanel}) }
		if own {
			h.Live.Close(r.Source)
		}
	default:
		a.Now = view.AsMessage(view.Progress(r.Container, j, token, h.Now()))
		a.Shown = func(ref chat.Ref) { h.pending.shown(j.ID, place{ref: ref}) }
	}
	return a
}

// delete lists what goes, asks for the name, and makes the job.
func (h *Handlers) delete(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.drifted(ctx, r); refusal != nil {
		return *refusal
	}
	if refusal := h.refuse(r, jobs.Delete); refusal != nil {
		return *refusal
	}
	c := r.Container
	token, too, _ := strings.Cut(r.Arg, ":")
	d := view.Deletion{Container: c, Token: token, Too: too == view.Too}
	switch {
	case r.Kind == chat.Submitted:
		if r.Values["name"] != view.ConfirmName(c) {
			r.Note("refused", "wrong name")
			return chat.Answer{Errors: map[string]string{"name": "That is not the container's name. Nothing was deleted."}, Now: d.Form()}
		}
		if refusal := h.redeem(ctx, r, token, string(jobs.Delete)); refusal != nil {
			return *refusal
		}
		return h.submit(ctx, r, jobs.Ask{Action: jobs.Delete, Leftovers: d.Too})
	case r.Arg != "": // the intro was read; now the form itself
		f := d.Form()
		f.Intro = nil
		r.Note("asked", "")
		return chat.Answer{Now: f}
	}
	token, err := h.question(ctx, r.Person, c.ID, string(jobs.Delete), 5*view.ConfirmFor)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("asked", "")
	d.Token = token
	return chat.Answer{
		Now:  d.Form(),
		Then: func(ctx context.Context) (chat.Surface, error) { return h.readDeletion(ctx, d).Form(), nil },
	}
}

// leftovers changes what becomes of volumes that the configuration does not
// name; nothing is destroyed by it.
func (h *Handlers) leftovers(_ context.Context, r *Request) chat.Answer {
	token, too, _ := strings.Cut(r.Arg, ":")
	d := view.Deletion{Container: r.Container, Token: token, Too: too == view.Too}
	return chat.Answer{InPlace: true, Then: func(ctx context.Context) (chat.Surface, error) { return h.readDeletion(ctx, d).Form(), nil }}
}

// readDeletion reads what goes with a container, and what is left over.
func (h *Handlers) readDeletion(ctx context.Context, d view.Deletion) view.Deletion {
	c := d.Container
	pve, ok := h.Clusters[c.Cluster]
	if !ok {
		return d
	}
	f := h.details.read(ctx, c)
	d.Config, d.Problem = f.config, f.problem
	if d.Config == nil {
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	snaps, err := pve.Snapshots(ctx, c.Ref())
	if err == nil {
		d.Snapshots = len(snaps)
		d.Leftovers, err = leftoversOf(ctx, pve, c.Ref(), *d.Config)
	}
	if err != nil { // what is known is shown; only what was named can be ticked
		h.Log.WarnContext(ctx, "read what goes with a container", "container", c.ID, "cluster", c.Cluster, "node", c.Node, "vmid", c.VMID, "err", err)
	}
	return d
}

// leftoversOf are the volumes with a container's number that its configuration
// does not name.
func leftoversOf(ctx context.Context, pve Proxmox, ref proxmox.Ref, cfg proxmox.ContainerConfig) ([]proxmox.Volume, error) {
	storages, err := pve.DiskStorages(ctx, ref.Node)
	if err != nil {
		return nil, err
	}
	named := map[string]bool{cfg.RootFS.Volume: true}
	for _, m := range slices.Concat(cfg.Mounts, cfg.Unused) {
		named[m.Volume] = true
	}
	var left []proxmox.Volume
	for _, storage := range storages {
		volumes, err := pve.Volumes(ctx, ref, storage)
		if err != nil {
			return left, err
		}
		for _, v := range volumes {
			if !named[v.ID] {
				left = append(left, v)
			}
		}
	}
	return left, nil
}

// taskLog shows the end of the log of a job's task, to the person alone.
func (h *Handlers) taskLog(_ context.Context, r *Request) chat.Answer {
	id, at, paged := strings.Cut(r.Arg, ":")
	page, _ := strconv.Atoi(at)
	reading := view.Reading(r.Container, "task log")
	reading.ID = "log"
	return chat.Answer{Now: reading, InPlace: paged, Then: func(ctx context.Context) (chat.Surface, error) {
		ctx, cancel := context.WithTimeout(ctx, readPatience)
		defer cancel()
		j, lines, err := h.Jobs.Log(ctx, r.Container.ID, id)
		switch {
		case errors.Is(err, jobs.ErrNoLog):
			return view.AsPanel(view.Refused("There is no task log.", "The task is not known any more, or there never was one."), "Task log"), nil
		case err != nil:
			h.Log.WarnContext(ctx, "read a task log", "request", r.ID, "job", id, "container", r.Container.ID, "err", err)
			return view.AsPanel(view.Trouble{
				What: "Could not read the task log", Why: jobs.Reason(err), Request: r.ID, Again: &chat.Button{ID: r.Action, Label: "Try again"},
			}.Message(), "Task log"), nil
		}
		return view.TaskLog(j, lines, page), nil
	}}
}

// readPatience is how long a person waits for what Proxmox has to say.
const readPatience = 10 * time.Second

// Waiting says, where a shutdown was asked for, that the guest has had its
// time, and offers once more to force it.
func (h *Handlers) Waiting(ctx context.Context, j jobs.Job) {
	at := h.pending.at(ctx, j.ID)
	c, ok := h.Inventory.Snapshot().ByID(j.Container)
	platform := h.platform(at.ref.Platform)
	if platform == nil || !ok {
		return
	}
	token, err := h.question(ctx, j.Person, j.Container, force, forceFor)
	if err == nil {
		p := view.Progress(c, j, token, h.Now())
		var s chat.Surface = p
		if !at.panel {
			s = view.AsMessage(p)
		}
		err = platform.Update(ctx, at.ref, s)
	}
	if err != nil && ctx.Err() == nil {
		h.Log.InfoContext(ctx, "a waiting message could not be changed", "job", j.ID, "request", j.Request, "err", err)
	}
}

// Told tells how a job ended: where it was asked for while that can be
// reached, else in a direct message. It is never told to anybody else. Failed
// jobs are told to the ops channel too.
func (h *Handlers) Told(ctx context.Context, j jobs.Job) error {
	if err := h.auditOutcome(ctx, j); err != nil {
		return err // once more later
	}
	tell := h.tell
	switch {
	case j.Action == jobs.Create:
		tell = h.tellCreation
	case j.Action.OfTemplate():
		tell = h.tellOSTemplate
	case j.Batch != "":
		tell = h.tellSeveral
	case j.State == jobs.Superseded:
		return nil
	}
	if err := tell(ctx, j); err != nil {
		return err
	}
	if h.Ops != nil {
		h.Ops(ctx, j)
	}
	return nil
}

// tell tells the person who asked.
func (h *Handlers) tell(ctx context.Context, j jobs.Job) error {
	c, _ := h.Inventory.Snapshot().ByID(j.Container)
	token := ""
	if j.Action == jobs.Shutdown && j.State == jobs.Failed {
		var err error
		if token, err = h.question(ctx, j.Person, j.Container, force, forceFor); err != nil {
			return err
		}
	}
	panel := view.Outcome(c, j, token)
	at := h.pending.take(ctx, j.ID)
	if !at.ref.Zero() {
		platform := h.platform(at.ref.Platform)
		var s chat.Surface = view.AsMessage(panel)
		if at.panel {
			s = panel
		}
		h.Live.Close(at.ref)
		err := platform.Update(ctx, at.ref, s)
		if err == nil || ctx.Err() != nil {
			return err
		}
		h.Log.InfoContext(ctx, "an outcome could not be told where it was asked", "job", j.ID, "request", j.Request, "err", err)
	}
	return h.tellDirectly(ctx, j, view.AsMessage(panel))
}

// tellDirectly tells an outcome in a direct message.
func (h *Handlers) tellDirectly(ctx context.Context, j jobs.Job, m chat.Message) error {
	platform := h.platform(j.Person.Platform)
	if platform == nil {
		return nil // that platform is switched off by now; board and audit have it
	}
	_, err := platform.Post(ctx, chat.Target{Person: j.Person.ID}, m)
	var limited *chat.RateLimitedError
	if errors.As(err, &limited) {
		return err // once more later
	}
	if err != nil && ctx.Err() == nil {
		h.Log.WarnContext(ctx, "an outcome could not be told in a direct message; board and audit have it", "job", j.ID, "request", j.Request, "err", err)
	}
	return ctx.Err()
}

func (h *Handlers) platform(name chat.PlatformName) chat.Platform {
	for _, p := range h.Platforms {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// place is where a job was asked for.
type place struct {
	ref   chat.Ref
	panel bool // a panel, else a message
	own   bool // the job has it only while it shows the job
}

// pending knows where jobs of this process were asked for. A job can end
// before its first answer is on the wire; then its outcome waits for that.
type pending struct {
	mu     sync.Mutex
	jobs   map[string]expected
	left   map[string]bool     // jobs whose panel shows something else by now
	panels map[chat.Ref]string // by panel: the job that has it only while it shows the job
}

type expected struct {
	question string // the token of ours that was answered, if any
	place    chan place
}

func newPending() *pending {
	return &pending{jobs: map[string]expected{}, left: map[string]bool{}, panels: map[chat.Ref]string{}}
}

func (p *pending) expect(job, question string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs[job] = expected{question, make(chan place, 1)}
	delete(p.left, job)
}

// answered reports whether a job came of that question.
func (p *pending) answered(job, question string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return question != "" && p.jobs[job].question == question
}

func (p *pending) shown(job string, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e, ok := p.jobs[job]; ok {
		if at.own {
			p.panels[panelOf(at.ref)] = job
		}
		select {
		case e.place <- at:
		default:
		}
	}
}

// panelOf is a Ref without what changes while it is open.
func panelOf(ref chat.Ref) chat.Ref { return chat.Ref{Platform: ref.Platform, ID: ref.ID} }

// leave says that a panel shows something else by now. What is to replace its
// own page only is told elsewhere.
func (p *pending) leave(ref chat.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if job, ok := p.panels[panelOf(ref)]; ok {
		delete(p.panels, panelOf(ref))
		p.left[job] = true
	}
}

// at is where a job was asked for, if that is known within a moment.
func (p *pending) at(ctx context.Context, job string) place {
	p.mu.Lock()
	e, ok := p.jobs[job]
	p.mu.Unlock()
	if !ok {
		return place{}
	}
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case at := <-e.place:
		e.place <- at // for who asks next
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.left[job] {
			return place{}
		}
		return at
	case <-timer.C:
	case <-ctx.Done():
	}
	return place{}
}

func (p *pending) forget(job string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.jobs, job)
	delete(p.left, job)
	maps.DeleteFunc(p.panels, func(_ chat.Ref, of string) bool { return of == job })
}

// take is at, for the last time.
func (p *pending) take(ctx context.Context, job string) place {
	defer p.forget(job)
	return p.at(ctx, job)
}
