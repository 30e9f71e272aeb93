package handlers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
)

// forceFor is how long Force stop is offered.
const forceFor = 15 * time.Minute

// force and stop are the questions that a token can answer besides the action
// that it was made for.
const force = "force"

func (h *Handlers) lifecycleRoutes() []Route {
	route := func(a jobs.Action, needs access.Permission, summary string) Route {
		return Route{
			Name: string(a), Needs: needs, Container: true, Audited: true,
			Handle:  func(ctx context.Context, r *Request) chat.Answer { return h.act(ctx, r, a) },
			Command: &chat.Command{Name: string(a), Summary: summary, Options: []chat.Option{nameOption}},
		}
	}
	remove := route(jobs.Delete, access.Delete, "delete a container for good; its name is asked")
	remove.Handle = h.delete
	return []Route{
		route(jobs.Start, access.Operate, "start a container"),
		route(jobs.Shutdown, access.Operate, "ask a container to close its work and end"),
		route(jobs.Stop, access.Operate, "pull the plug of a container"),
		route(jobs.Restart, access.Operate, "shut a container down and start it again"),
		remove,
		{Name: "force", Needs: access.Operate, Container: true, Audited: true, Handle: h.force},
		{Name: "instead", Needs: access.Operate, Container: true, Audited: true, Handle: h.instead},
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
		if refusal := h.redeem(ctx, r, string(a)); refusal != nil {
			return *refusal
		}
	}
	return h.submit(ctx, r, a, false)
}

// instead shuts down where stop was asked about.
func (h *Handlers) instead(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.refuse(r, jobs.Shutdown); refusal != nil {
		return *refusal
	}
	if refusal := h.redeem(ctx, r, string(jobs.Stop)); refusal != nil {
		return *refusal
	}
	return h.submit(ctx, r, jobs.Shutdown, false)
}

// force pulls the plug of a container that was asked to end.
func (h *Handlers) force(ctx context.Context, r *Request) chat.Answer {
	if j := h.busy(r.Container.ID); j == nil || j.Action != jobs.Shutdown {
		if refusal := h.refuse(r, jobs.Stop); refusal != nil {
			return *refusal
		}
	}
	if refusal := h.redeem(ctx, r, force); refusal != nil {
		return *refusal
	}
	return h.submit(ctx, r, jobs.Stop, true)
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
	return &chat.Answer{
		Now:     view.NotNow(c, a, reason),
		InPlace: r.InPanel && r.Arg != "", // our question has served its purpose
	}
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
func (h *Handlers) redeem(ctx context.Context, r *Request, action string) *chat.Answer {
	ok, err := h.Confirmations.Redeem(ctx, Confirmation{Token: r.Arg, Person: r.Person.Key(), Container: r.Container.ID, Action: action})
	if err != nil {
		a := h.databaseTrouble(ctx, r, err)
		return &a
	}
	if ok {
		return nil
	}
	r.Note("refused", "the question had ended, was answered, or was put to somebody else")
	return &chat.Answer{Now: view.QuestionEnded(r.Container), InPlace: r.InPanel}
}

// submit makes the job and shows that it is under way.
func (h *Handlers) submit(ctx context.Context, r *Request, a jobs.Action, forced bool) chat.Answer {
	token, err := "", error(nil)
	if a == jobs.Shutdown {
		if token, err = h.question(ctx, r.Person, r.Container.ID, force, forceFor); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
	}
	j, err := h.Jobs.Submit(ctx, jobs.Ask{Container: r.Container, Action: a, Forced: forced, Person: r.Person, Channel: r.Channel, Request: r.ID})
	var busy *jobs.BusyError
	switch {
	case errors.As(err, &busy):
		r.Note("refused", "busy")
		return chat.Answer{Now: view.AlreadyBusy(r.Container, busy.Job), InPlace: r.InPanel && r.Arg != ""}
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("accepted", "")
	r.NoteJob(j.ID)
	return h.underWay(ctx, r, j, token)
}

// underWay shows a job where it was asked for: in the container's detail where
// that is open, in place of our question, or as a new private message.
func (h *Handlers) underWay(ctx context.Context, r *Request, j jobs.Job, token string) chat.Answer {
	h.pending.expect(j.ID)
	a := chat.Answer{Missed: func(error) chat.Surface { h.pending.shown(j.ID, place{}); return nil }}
	id, name, filter, before, isDetail := view.ParseDetailState(r.State)
	switch {
	case isDetail && id == r.Container.ID && r.InPanel && j.Action != jobs.Delete && token == "":
		t := tab{name, filter, before}
		who, space := r.Person, r.Space
		now, _ := h.detail(ctx, id, who, space, t)
		a.Now, a.InPlace = now, true
		a.Shown = func(ref chat.Ref) {
			h.pending.shown(j.ID, place{ref: ref, panel: true})
			h.Live.Open(ref, func(ctx context.Context, _ time.Time) chat.Surface {
				s, _ := h.detail(ctx, id, who, space, t)
				return s
			})
		}
	case r.InPanel || r.Source.Kind == chat.PrivateRef && r.Arg != "":
		own := r.Arg != "" || isDetail && id == r.Container.ID // our question, or this container's detail
		a.Now, a.InPlace = view.Progress(r.Container, j, token, h.Now()), own
		a.Shown = func(ref chat.Ref) { h.pending.shown(j.ID, place{ref: ref, panel: true}) }
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
	if refusal := h.refuse(r, jobs.Delete); refusal != nil {
		return *refusal
	}
	c := r.Container
	switch {
	case r.Kind == chat.Submitted:
		if r.Values["name"] != view.ConfirmName(c) {
			r.Note("refused", "wrong name")
			return chat.Answer{Errors: map[string]string{"name": "That is not the container's name. Nothing was deleted."}}
		}
		if refusal := h.redeem(ctx, r, string(jobs.Delete)); refusal != nil {
			return *refusal
		}
		return h.submit(ctx, r, jobs.Delete, false)
	case r.Arg != "": // the intro was read; now the form itself
		f := view.DeleteForm(c, r.Arg, nil, 0, "")
		f.Intro = nil
		r.Note("asked", "")
		return chat.Answer{Now: f}
	}
	token, err := h.question(ctx, r.Person, c.ID, string(jobs.Delete), 5*view.ConfirmFor)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("asked", "")
	return chat.Answer{
		Now: view.DeleteForm(c, token, nil, 0, ""),
		Then: func(ctx context.Context) (chat.Surface, error) {
			f := h.details.read(ctx, c)
			snaps := 0
			if pve, ok := h.Clusters[c.Cluster]; ok {
				if list, err := pve.Snapshots(ctx, c.Ref()); err == nil {
					snaps = len(list)
				}
			}
			return view.DeleteForm(c, token, f.config, snaps, f.problem), nil
		},
	}
}

// Told tells how a job ended: where it was asked for while that can be
// reached, else in a direct message. It is never told to anybody else. Failed
// jobs are told to the ops channel too.
func (h *Handlers) Told(ctx context.Context, j jobs.Job) error {
	if j.State == jobs.Superseded {
		return nil
	}
	if err := h.tell(ctx, j); err != nil {
		return err
	}
	if h.Ops != nil && (j.State == jobs.Failed || j.State == jobs.Lost) {
		h.Ops(ctx, j) // last: a channel takes one message a second
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
	platform := h.platform(j.Person.Platform)
	if platform == nil {
		return nil // that platform is switched off by now; board and audit have it
	}
	_, err := platform.Post(ctx, chat.Target{Person: j.Person.ID}, view.AsMessage(panel))
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
}

// pending knows where jobs of this process were asked for. A job can end
// before its first answer is on the wire; then its outcome waits for that.
type pending struct {
	mu     sync.Mutex
	places map[string]chan place
}

func newPending() *pending { return &pending{places: map[string]chan place{}} }

func (p *pending) expect(job string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[job] = make(chan place, 1)
}

func (p *pending) shown(job string, at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ch, ok := p.places[job]; ok {
		select {
		case ch <- at:
		default:
		}
	}
}

func (p *pending) take(ctx context.Context, job string) place {
	p.mu.Lock()
	ch, ok := p.places[job]
	p.mu.Unlock()
	if !ok {
		return place{}
	}
	defer func() {
		p.mu.Lock()
		delete(p.places, job)
		p.mu.Unlock()
	}()
	timer := time.NewTimer(3 * time.Second)
	defer timer.Stop()
	select {
	case at := <-ch:
		return at
	case <-timer.C:
	case <-ctx.Done():
	}
	return place{}
}
