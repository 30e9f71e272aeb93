package handlers

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
)

// creation is a job as it is shown.
func (h *Handlers) creation(j jobs.Job) view.Creation {
	c := view.Creation{Job: j, Progress: create.ParseProgress(j.Progress)}
	c.Spec, _ = create.ParseSpec(j.Spec) // it was written by us
	if lib := h.library(); lib != nil {
		c.Template, _ = lib.Find(c.Spec.Template)
	}
	if h.Services != nil {
		c.Report = h.Services.Report(j.Container)
	}
	_, c.Reach = h.Guests[j.Cluster]
	if ct, ok := h.Inventory.Snapshot().ByID(j.Container); ok {
		c.State = ct.State
	}
	return c
}

// lastCreation is the creation of a container: the one under way, or the last.
func (h *Handlers) lastCreation(ctx context.Context, id inventory.ID) (jobs.Job, bool, error) {
	if j, ok := h.Jobs.Busy(id); ok && j.Action == jobs.Create {
		return j, true, nil
	}
	return h.Jobs.Last(ctx, id, jobs.Create)
}

// again reports whether a creation can be gone on with.
func again(j jobs.Job) bool {
	return j.State == jobs.Failed || j.State == jobs.Superseded || j.State == jobs.Lost
}

// showCreation shows one person how far a creation is, and keeps that fresh.
func (h *Handlers) showCreation(ctx context.Context, r *Request) chat.Answer {
	id := r.Container.ID
	j, ok, err := h.lastCreation(ctx, id)
	switch {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !ok:
		return chat.Answer{Now: view.Refused(r.Container.DisplayName()+" was not made by pvechat.", "Or that was too long ago.", chat.Button{ID: view.ID(id, "show"), Label: "Manage"})}
	}
	last, opening := j, h.Live.Opening()
	return chat.Answer{Now: h.creation(j).Panel(), InPlace: r.InPanel && r.State == "", Shown: func(ref chat.Ref) {
		opening.Show(ref, func(ctx context.Context, _ time.Time) chat.Surface {
			if j, ok, err := h.lastCreation(ctx, id); err == nil && ok {
				last = j
			}
			return h.creation(last).Panel()
		})
	}}
}

// cancelCreate ends a creation, after a question.
func (h *Handlers) cancelCreate(ctx context.Context, r *Request) chat.Answer {
	c := r.Container
	j := h.busy(c.ID)
	if j == nil || j.Action != jobs.Create {
		r.Note("refused", "it is not being created")
		return chat.Answer{Now: view.Refused(c.DisplayName()+" is not being created any more.", "Nothing was cancelled.", chat.Button{ID: view.ID(c.ID, "progress"), Label: "Show how it ended"}), InPlace: r.InPanel && r.Arg != ""}
	}
	if j.Cancelled != "" {
		r.Note("refused", "it was cancelled already")
		return here(r, view.Cancelling(c))
	}
	if !r.Confirmed {
		if r.Arg == "" {
			token, err := h.question(ctx, r.Person, c.ID, r.Route.Name, view.ConfirmFor)
			if err != nil {
				return h.databaseTrouble(ctx, r, err)
			}
			r.Note("asked", "")
			return chat.Answer{Now: view.CancelCreation(c, token, h.Now())}
		}
		if refusal := h.redeem(ctx, r, r.Arg, r.Route.Name); refusal != nil {
			return *refusal
		}
	}
	was, err := h.Jobs.Cancel(ctx, j.ID, "cancelled by "+r.Person.Name)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if !was {
		r.Note("refused", "it had ended")
	}
	r.NoteJob(j.ID)
	return here(r, view.Cancelling(c))
}

// retryCreate goes on with a creation at the step that did not work.
func (h *Handlers) retryCreate(ctx context.Context, r *Request) chat.Answer {
	if refusal := h.drifted(ctx, r); refusal != nil {
		return *refusal
	}
	c := r.Container
	if open := h.busy(c.ID); open != nil {
		r.Note("refused", "busy")
		return chat.Answer{Now: view.AlreadyBusy(c, *open)}
	}
	j, ok, err := h.Jobs.Last(ctx, c.ID, jobs.Create)
	switch {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !ok || j.ID != r.Arg || !again(j):
		r.Note("refused", "it is not the last try")
		return chat.Answer{Now: view.Refused("There is nothing to go on with.", "This was not the last try to create "+c.DisplayName()+". Nothing was done.", chat.Button{ID: view.ID(c.ID, "progress"), Label: "Show the last one"})}
	}
	p := create.ParseProgress(j.Progress)
	if at := p.At(); at < len(p.Steps) {
		s := &p.Steps[at]
		s.Began, s.Ended, s.Error = time.Time{}, time.Time{}, ""
	}
	p.Lines = nil
	next, err := h.Jobs.Submit(ctx, jobs.Ask{
		Container: c, Action: jobs.Create, Spec: j.Spec, Progress: p.String(), Person: r.Person, Channel: j.Channel, Request: r.ID,
	})
	var busy *jobs.BusyError
	switch {
	case errors.As(err, &busy):
		r.Note("refused", "busy")
		return chat.Answer{Now: view.AlreadyBusy(c, busy.Job)}
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	}
	r.Note("accepted", "")
	r.NoteJob(next.ID)
	return here(r, view.Deploying(c, next.Channel != ""))
}

// here shows a panel in the one where a person acted, else as a message to that
// person.
func here(r *Request, p chat.Panel) chat.Answer {
	if r.InPanel {
		return chat.Answer{Now: p, InPlace: true}
	}
	return chat.Answer{Now: view.AsMessage(p)}
}

// Creating shows how far a creation is, in one message where it was asked for,
// and says which that is. The message is posted at once and edited soon after,
// at most once a second and as the platform has room, with what is true then.
func (h *Handlers) Creating(ctx context.Context, j jobs.Job, p create.Progress) (create.Message, error) {
	j.Progress = p.String()
	if p.Message.ID != "" || j.Action.OfTemplate() {
		h.sights.of(j.ID).show(h, j)
		return p.Message, nil
	}
	platform := h.platform(j.Person.Platform)
	if platform == nil {
		return p.Message, nil // that platform is switched off by now
	}
	m := h.creation(j).Message(true)
	at, err := chat.Ref{}, chat.ErrForbidden
	if j.Channel != "" {
		at, err = platform.Post(ctx, chat.Target{Channel: j.Channel}, m)
	}
	if errors.Is(err, chat.ErrForbidden) || errors.Is(err, chat.ErrGone) {
		at, err = platform.Post(ctx, chat.Target{Person: j.Person.ID}, m)
	}
	if err != nil || !at.Storable() {
		return p.Message, err
	}
	return create.Message{Platform: string(at.Platform), Channel: at.Channel, ID: at.ID}, nil
}

// sights are the messages of creations that this process carries out.
type sights struct {
	mu sync.Mutex
	by map[string]*sight // by job
}

func (s *sights) of(job string) *sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[string]*sight{}
	}
	if s.by[job] == nil {
		s.by[job] = &sight{}
	}
	return s.by[job]
}

// last is a job as it was shown last.
func (s *sights) last(job string) (jobs.Job, bool) {
	s.mu.Lock()
	one := s.by[job]
	s.mu.Unlock()
	if one == nil {
		return jobs.Job{}, false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.job, true
}

// end lets no more edits of a job's message begin, and waits for the one that
// has begun: what comes last is how it ended.
func (s *sights) end(job string) {
	s.mu.Lock()
	one := s.by[job]
	delete(s.by, job)
	s.mu.Unlock()
	if one == nil {
		return
	}
	one.mu.Lock()
	one.over = true
	one.mu.Unlock()
	one.editing.Lock()
	defer one.editing.Unlock()
}

// sight is one message.
type sight struct {
	editing sync.Mutex // held while it is edited

	mu   sync.Mutex
	job  jobs.Job  // as it is now
	at   time.Time // of the last edit
	due  bool      // an edit is to come
	over bool
}

const (
	editEvery  = time.Second
	editWithin = 10 * time.Second
)

// show has the message edited soon.
func (s *sight) show(h *Handlers, j jobs.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.job = j
	s.later(h, editEvery-h.Now().Sub(s.at))
}

// later is called with the lock.
func (s *sight) later(h *Handlers, wait time.Duration) {
	if !s.due && !s.over {
		s.due = true
		time.AfterFunc(max(wait, 0), func() { s.edit(h) })
	}
}

func (s *sight) edit(h *Handlers) {
	s.editing.Lock()
	defer s.editing.Unlock()
	s.mu.Lock()
	j, over := s.job, s.over
	s.due, s.at = false, h.Now()
	s.mu.Unlock()
	if over {
		return
	}
	ctx, cancel := context.WithTimeout(chat.InBackground(context.Background()), editWithin)
	defer cancel()
	var err error
	if j.Action.OfTemplate() {
		err = h.editOSTemplate(ctx, j)
	} else {
		err = h.editCreation(ctx, j, create.ParseProgress(j.Progress).Message)
	}
	if limited, ok := errors.AsType[*chat.RateLimitedError](err); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.later(h, max(limited.RetryAfter, editEvery))
	} else if err != nil {
		h.Log.InfoContext(ctx, "the progress of a creation could not be shown", "job", j.ID, "request", j.Request, "err", err)
	}
}

// editCreation brings the message of a creation up to date.
func (h *Handlers) editCreation(ctx context.Context, j jobs.Job, m create.Message) error {
	platform := h.platform(chat.PlatformName(m.Platform))
	if platform == nil || m.ID == "" {
		return chat.ErrGone
	}
	at := chat.Ref{Platform: platform.Name(), Kind: chat.MessageRef, Channel: m.Channel, ID: m.ID}
	return platform.Update(ctx, at, h.creation(j).Message(true))
}

// tellCreation tells how a creation ended, in its message; only where that is
// gone, to the person alone.
func (h *Handlers) tellCreation(ctx context.Context, j jobs.Job) error {
	h.sights.end(j.ID)
	h.details.created(j)
	err := h.editCreation(ctx, j, create.ParseProgress(j.Progress).Message)
	if !errors.Is(err, chat.ErrGone) && !errors.Is(err, chat.ErrForbidden) {
		return err
	}
	platform := h.platform(j.Person.Platform)
	if platform == nil {
		return nil // board and audit have it
	}
	_, err = platform.Post(ctx, chat.Target{Person: j.Person.ID}, h.creation(j).Message(false))
	var limited *chat.RateLimitedError
	if errors.As(err, &limited) {
		return err // once more later
	}
	if err != nil && ctx.Err() == nil {
		h.Log.WarnContext(ctx, "how a creation ended could not be told; board and audit have it", "job", j.ID, "request", j.Request, "err", err)
	}
	return ctx.Err()
}
