package handlers

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
)

// What a token about several containers is for, before the action: they were
// chosen, or the action was asked about.
const (
	picked = "picked"
	asked  = "asked:"
)

// pickFor is how long a choice is remembered.
const pickFor = 15 * time.Minute

// several lets a person choose containers of the list that they look at, and
// then what to do to them.
func (h *Handlers) several(ctx context.Context, r *Request) chat.Answer {
	q, _ := view.QueryOf(r.State)
	b := h.board(q, r.Space, nil)
	b.May = func(c *inventory.Container) bool { return h.Policy.May(r.Person, access.Operate, TargetOf(c)) }
	var chosen []string
	if r.Route.Name == "several:pick" {
		chosen = strings.Fields(r.Value)
	}
	token := ""
	if len(chosen) > 0 {
		var err error
		if token, err = h.about(ctx, r.Person, picked, strings.Join(chosen, ","), pickFor); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
	}
	h.Live.Close(r.Source)
	return chat.Answer{Now: b.Pick(chosen, token, r.State), InPlace: r.InPanel}
}

// about keeps a question about several containers.
func (h *Handlers) about(ctx context.Context, p chat.Person, action, subject string, lifetime time.Duration) (string, error) {
	token := "c_" + inventory.Token(8)
	return token, h.Confirmations.Ask(ctx, Confirmation{Token: token, Person: p.Key(), Action: action, Subject: subject}, lifetime)
}

// askPicked asks about what was chosen.
func (h *Handlers) askPicked(ctx context.Context, r *Request) chat.Answer {
	action, token, _ := strings.Cut(r.Arg, ":")
	q, found, err := h.Confirmations.Question(ctx, token, r.Person.Key())
	switch {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !found || q.Action != picked || !view.ForSeveral(jobs.Action(action)):
		return chat.Answer{Now: view.QuestionEnded(nil), InPlace: r.InPanel}
	}
	var may []*inventory.Container
	left := 0
	for _, c := range h.subject(q) {
		if h.Policy.May(r.Person, access.Operate, TargetOf(c)) {
			may = append(may, c)
		} else {
			left++
		}
	}
	return h.askSeveral(ctx, r, jobs.Action(action), may, left)
}

// subject are the containers of a question that there still are.
func (h *Handlers) subject(q Confirmation) []*inventory.Container {
	snap := h.Inventory.Snapshot()
	var list []*inventory.Container
	for id := range strings.SplitSeq(q.Subject, ",") {
		if c, ok := snap.ByID(inventory.ID(id)); ok {
			list = append(list, c)
		}
	}
	return list
}

// askSeveral puts one question about several containers; it names those that it
// is about, and why others are not among them.
func (h *Handlers) askSeveral(ctx context.Context, r *Request, a jobs.Action, list []*inventory.Container, left int) chat.Answer {
	s := view.Several{Action: a, LeftOut: left, Now: h.Now()}
	var ids []string
	for _, c := range list {
		if why := h.impossible(c, a); why != "" {
			s.Skipped = append(s.Skipped, view.Skipped{Name: c.DisplayName(), Why: why})
			continue
		}
		s.Containers, ids = append(s.Containers, c), append(ids, string(c.ID))
	}
	if len(ids) > 0 {
		var err error
		if s.Token, err = h.about(ctx, r.Person, asked+string(a), strings.Join(ids, ","), view.ConfirmFor); err != nil {
			return h.databaseTrouble(ctx, r, err)
		}
		r.Note("asked", "")
	} else {
		r.Note("refused", "nothing to do")
	}
	return chat.Answer{Now: s.Ask(), InPlace: r.InPanel}
}

func (h *Handlers) impossible(c *inventory.Container, a jobs.Action) string {
	return view.Impossible(c, a, h.busy(c.ID), nodeDown(h.Inventory.Snapshot(), c))
}

// runSeveral makes one job for each container that was asked about, and shows
// how far they are in the place of the question.
func (h *Handlers) runSeveral(ctx context.Context, r *Request) chat.Answer {
	q, found, err := h.Confirmations.Question(ctx, r.Arg, r.Person.Key())
	if err == nil && found {
		found, err = h.Confirmations.Redeem(ctx, q)
	}
	action, isAsked := strings.CutPrefix(q.Action, asked)
	switch {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !found || !isAsked:
		r.Note("refused", "the question had ended, was answered, or was put to somebody else")
		return chat.Answer{Now: view.QuestionEnded(nil), InPlace: r.InPanel}
	}
	list := h.subject(q)
	b := &batch{Batch: view.Batch{Action: jobs.Action(action), Size: len(strings.Split(q.Subject, ","))}, began: h.Now()}
	for gone := b.Size - len(list); gone > 0; gone-- {
		b.Skipped = append(b.Skipped, view.Skipped{Name: "one that is gone", Why: "it was replaced or removed"})
	}
	var names []string
	for _, c := range list {
		names = append(names, c.DisplayName())
	}
	r.Note("accepted", action+" of "+strings.Join(names, ", "))
	id := "b_" + inventory.Token(8)
	h.batches.put(id, b)
	return chat.Answer{
		Now: b.Panel(), InPlace: true,
		Shown: func(ref chat.Ref) { b.show(place{ref: ref, panel: true}) },
		Then: func(ctx context.Context) (chat.Surface, error) {
			for _, c := range list {
				h.submitOne(ctx, r, b, id, c)
			}
			return nil, h.progress(ctx, id, b, jobs.Job{Person: r.Person, Request: r.ID}, true)
		},
	}
}

// submitOne makes a job of a batch, if it is still allowed and makes sense.
func (h *Handlers) submitOne(ctx context.Context, r *Request, b *batch, id string, c *inventory.Container) {
	now, there := h.Inventory.Snapshot().ByID(c.ID)
	why := ""
	switch {
	case !there:
		why = "it was replaced or removed"
	case !h.Policy.May(r.Person, access.Operate, TargetOf(now)):
		why = "you may not"
	default:
		why = h.impossible(now, b.Action)
	}
	if why == "" {
		_, err := h.Jobs.Submit(ctx, jobs.Ask{
			Container: now, Action: b.Action, Batch: id, BatchSize: b.Size, Person: r.Person, Channel: r.Channel, Request: r.ID,
		})
		var busy *jobs.BusyError
		switch {
		case errors.As(err, &busy):
			why = view.Impossible(now, b.Action, &busy.Job, false)
		case err != nil:
			h.Log.ErrorContext(ctx, "the database did not answer", "request", r.ID, "container", c.ID, "err", err)
			why = "pvechat's database did not answer"
		}
	}
	if why != "" {
		b.skip(view.Skipped{Name: c.DisplayName(), Why: why})
	}
}

// batch is what one person asked of several containers at once.
type batch struct {
	mu sync.Mutex
	view.Batch
	began     time.Time
	at        place
	submitted bool // every job that there will be is there
	edited    time.Time
	claimed   bool // this process tells the end
	told      bool
}

func (b *batch) show(at place) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = at
}

func (b *batch) skip(s view.Skipped) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Skipped = append(b.Skipped, s)
}

// batches knows those that were asked for here and have not ended.
type batches struct {
	mu sync.Mutex
	m  map[string]*batch
}

func (bs *batches) put(id string, b *batch) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if bs.m == nil {
		bs.m = map[string]*batch{}
	}
	bs.m[id] = b
}

// of returns a job's batch. One of another process was asked for in a place
// that is not known here, and has all the jobs that it will have.
func (bs *batches) of(j jobs.Job) *batch {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b, ok := bs.m[j.Batch]; ok {
		return b
	}
	return &batch{Batch: view.Batch{Action: j.Action, Size: j.BatchSize}, began: j.CreatedAt, submitted: true}
}

func (bs *batches) drop(id string) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	delete(bs.m, id)
}

// tellSeveral tells how far a job's batch is.
func (h *Handlers) tellSeveral(ctx context.Context, j jobs.Job) error {
	return h.progress(ctx, j.Batch, h.batches.of(j), j, false)
}

// progressEvery is the pause between two edits of a batch's message.
const progressEvery = 3 * time.Second

// progress edits the one message of a batch. When all its jobs have ended, it
// says how, once, even where several processes had a part in it.
func (h *Handlers) progress(ctx context.Context, id string, b *batch, j jobs.Job, submitted bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told {
		return nil // by another of its jobs, which ended in the same moment
	}
	b.submitted = b.submitted || submitted
	var err error
	if b.Jobs, err = h.Jobs.Batch(ctx, id); err != nil {
		return err
	}
	b.Final = b.submitted && b.Open() == 0
	if !b.Final {
		if h.Now().Sub(b.edited) < progressEvery {
			return nil
		}
		b.edited = h.Now()
		if platform := h.platform(b.at.ref.Platform); platform != nil {
			if err := platform.Update(ctx, b.at.ref, b.Panel()); err != nil && ctx.Err() == nil {
				h.Log.InfoContext(ctx, "the progress of several could not be shown", "batch", id, "err", err)
			}
		}
		return nil
	}
	if !b.claimed {
		if b.claimed, err = h.Repeats.First(ctx, "batch:"+id); err != nil || !b.claimed {
			return err // another process tells it
		}
	}
	b.Took = h.Now().Sub(b.began)
	panel := b.Panel()
	if platform := h.platform(b.at.ref.Platform); platform != nil {
		err := platform.Update(ctx, b.at.ref, panel)
		if err == nil || ctx.Err() != nil {
			b.told = err == nil
			h.batches.drop(id)
			return cmp.Or(err, ctx.Err())
		}
	}
	j.ID = cmp.Or(j.ID, id)
	if err := h.tellDirectly(ctx, j, view.AsMessage(panel)); err != nil {
		return err
	}
	b.told = true
	h.batches.drop(id)
	return nil
}
