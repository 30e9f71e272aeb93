package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// work is a job in the hands of this process.
type work struct {
	*Runner
	pve Proxmox
	Job
	end context.CancelCauseFunc // what a cancellation calls

	moved  bool // it was sent anew, to the node where the container is by now
	waited bool // Waiting was told
}

// act does what is still to be done and says how it ended. Where ctx has ended
// meanwhile, what it returns means nothing; wanted ends when the job is
// cancelled.
func (w *work) act(ctx, wanted context.Context) (State, string) {
	if w.pve == nil {
		return Failed, fmt.Sprintf("cluster %s is not configured any more", w.Cluster)
	}
	if w.Action == Create || w.Action.OfTemplate() {
		return w.make(ctx, wanted)
	}
	for !w.known() {
		if pace.Sleep(ctx, pollFirst) != nil {
			return Failed, ""
		}
	}
	for {
		if w.UPID == "" {
			state, reason := w.begin(ctx)
			if w.UPID == "" {
				return state, reason
			}
		}
		state, reason := w.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return state, reason
		case state == Succeeded || state == Warned:
			if late := w.settle(ctx); late != "" {
				return Failed, late
			}
			return state, reason
		case state == Failed && w.again(ctx, reason):
			w.UPID, w.State, w.SubmittedAt = "", Submitting, time.Time{}
			continue
		}
		_, _ = w.look(ctx)
		return state, reason
	}
}

// make hands the job to who can make containers.
func (w *work) make(ctx, wanted context.Context) (State, string) {
	if w.cfg.Maker == nil {
		return Failed, "this pvechat makes no containers"
	}
	save := func(ctx context.Context) error {
		w.setBusy(w.Job, true)
		why, err := w.cfg.Store.SaveProgress(ctx, w.ID, w.Fence, w.VMID, w.Progress)
		if why != "" {
			w.end(&cancellation{why})
		}
		return err
	}
	if w.Action.OfTemplate() {
		return w.cfg.Maker.Transfer(ctx, &w.Job, save)
	}
	if w.Cancelled == "" {
		state, reason := w.cfg.Maker.Carry(wanted, &w.Job, save)
		why, cancelled := errors.AsType[*cancellation](context.Cause(wanted))
		if !cancelled || state == Succeeded { // what is done is done
			return state, reason
		}
		w.Cancelled = why.why
	}
	w.cfg.Maker.Abandon(ctx, &w.Job, save)
	return Superseded, w.Cancelled
}

// known reports whether the inventory has got so far that a container which it
// lacks is gone: a process begins with jobs before it has read anything.
func (w *work) known() bool {
	snap := w.cfg.Inventory.Snapshot()
	cluster, _ := snap.Cluster(w.Cluster)
	_, ok := snap.ByID(w.Container)
	return ok || !cluster.At.IsZero()
}

// begin sends the request, or finds what became of one that was sent.
func (w *work) begin(ctx context.Context) (State, string) {
	switch {
	case !w.SubmittedAt.IsZero():
		return w.adopt(ctx)
	case w.Fence > 1 && w.cfg.Now().Sub(w.CreatedAt) > lease:
		// Who asked has waited in vain. What nobody expects any more is not done.
		return Failed, notSent
	}
	select {
	case w.slots[w.Cluster] <- struct{}{}:
		defer func() { <-w.slots[w.Cluster] }()
	case <-ctx.Done():
		return Failed, ""
	}
	return w.send(ctx)
}

func (w *work) ref() proxmox.Ref { return proxmox.Ref{Node: w.Node, VMID: w.VMID} }

// send checks the container as it is now, marks the job and makes the one
// request. Without a UPID it says how the job ended.
func (w *work) send(ctx context.Context) (State, string) {
	was := w.Node
	if c, ok := w.cfg.Inventory.Snapshot().ByID(w.Container); ok {
		w.Node = c.Node
	}
	status, cfg, err := w.find(ctx)
	if err != nil {
		return Failed, Reason(err)
	}
	switch replaced, err := w.cfg.Inventory.Verify(ctx, w.Container, cfg, was, w.Node); {
	case err != nil:
		return Failed, Reason(err)
	case replaced:
		return Failed, "this container was replaced by another one with its number; nothing was sent"
	}
	if moot := w.moot(status); moot != "" {
		if err := w.cfg.Inventory.Observe(ctx, w.Container, status.Container); err != nil {
			w.logFailure(ctx, "store a container's state", err)
		}
		return Moot, moot
	}
	at := w.cfg.Now().Add(w.cfg.Inventory.Skew(w.Cluster))
	if err := w.cfg.Store.MarkSubmitting(ctx, w.ID, w.Fence, at, w.Node); err != nil {
		if !errors.Is(err, ErrFenced) {
			w.logFailure(ctx, "note a request", err)
		}
		return Failed, "the database did not answer; nothing was sent" // who has the job now says better
	}
	w.SubmittedAt = at

	upid, err := w.request(ctx, status)
	var refused *proxmox.APIError
	switch {
	case err == nil:
		w.running(ctx, upid)
		return Running, ""
	case proxmox.NotSent(err), errors.As(err, &refused):
		return Failed, Reason(err)
	}
	w.cfg.Log.WarnContext(ctx, "no answer to a request; looking for its task", append(jobAttrs(w.Job), "err", err)...)
	return w.adopt(ctx)
}

// find reads the container. Where it is not on its node any more, the cluster
// is asked once where it has gone.
func (w *work) find(ctx context.Context) (status proxmox.ContainerStatus, cfg proxmox.ContainerConfig, err error) {
	for first := true; ; first = false {
		if status, err = w.pve.ContainerStatus(ctx, w.ref()); err == nil {
			cfg, err = w.pve.ContainerConfig(ctx, w.ref())
		}
		if !first || !errors.Is(err, proxmox.ErrNotFound) || !w.follows(ctx) {
			return status, cfg, err
		}
	}
}

// follows reports whether the container is on another node by now, which is
// then the job's.
func (w *work) follows(ctx context.Context) bool {
	node, ok, err := w.cfg.Inventory.Locate(ctx, w.Container)
	w.logFailure(ctx, "look for a container", err)
	if !ok || err != nil || node == w.Node {
		return false
	}
	w.Node = node
	return true
}

// moot says why there is nothing to do.
func (w *work) moot(now proxmox.ContainerStatus) string {
	switch running := now.Status == "running"; {
	case w.Action == Start && running:
		return "it is running already"
	case w.Forced && !running:
		return "it has ended by itself; nothing was forced"
	case w.Action != Start && w.Action != Delete && !running:
		return "it is not running"
	}
	return ""
}

// request makes the one request of the job.
func (w *work) request(ctx context.Context, now proxmox.ContainerStatus) (proxmox.UPID, error) {
	if w.Action == Delete {
		return w.pve.Destroy(ctx, w.ref(), proxmox.DestroyOptions{
			Force: now.Status == "running", Purge: true, DestroyUnreferencedDisks: w.Leftovers,
		})
	}
	a := map[Action]proxmox.PowerAction{
		Start:    {Verb: proxmox.Start},
		Shutdown: {Verb: proxmox.Shutdown, Timeout: ShutdownTimeout},
		Restart:  {Verb: proxmox.Reboot, Timeout: RestartTimeout},
		Stop:     {Verb: proxmox.Stop, OverruleShutdown: w.Forced && !now.HAManaged},
	}[w.Action]
	upid, err := w.pve.Power(ctx, w.ref(), a)
	var refused *proxmox.APIError
	if a.OverruleShutdown && errors.As(err, &refused) && refused.Status == http.StatusBadRequest && refused.Errors["overrule-shutdown"] != "" {
		// Under HA, and before Proxmox 8, there is no such option; nothing was done.
		a.OverruleShutdown = false
		return w.pve.Power(ctx, w.ref(), a)
	}
	return upid, err
}

func (w *work) running(ctx context.Context, upid proxmox.UPID) {
	w.UPID, w.State = upid, Running
	w.setBusy(w.Job, true)
	if err := w.cfg.Store.MarkRunning(ctx, w.ID, w.Fence, upid); err != nil && ctx.Err() == nil {
		// The task runs all the same; whoever takes over finds it in the task list.
		w.logFailure(ctx, "note a task", err)
	}
}

// again reports whether a task that failed has done nothing and is worth
// another request: the container had moved away, or a forced stop met the lock
// of the shutdown that it is to end.
func (w *work) again(ctx context.Context, reason string) bool {
	err := &proxmox.APIError{Status: http.StatusInternalServerError, Message: reason} // a task dies of the same texts
	switch {
	case errors.Is(err, proxmox.ErrNotFound) && !w.moved && w.Action != Delete:
		w.moved = true
		return w.follows(ctx)
	case errors.Is(err, proxmox.ErrLocked) && w.Forced && w.cfg.Now().Sub(w.CreatedAt) < forceLimit:
		return pace.Sleep(ctx, pollFirst) == nil
	}
	return false
}

// taskTypes are the types of task that an action makes.
var taskTypes = map[Action][]string{
	Start:    {"vzstart", "hastart"},
	Shutdown: {"vzshutdown", "hastop"},
	Restart:  {"vzreboot"},
	Stop:     {"vzstop", "hastop"},
	Delete:   {"vzdestroy"},
}

// adopt looks for the task of a request whose answer was lost, and a while
// later once more.
func (w *work) adopt(ctx context.Context) (State, string) {
	began, looks := w.cfg.Now(), 0
	for {
		found, err := w.ownTasks(ctx)
		switch {
		case ctx.Err() != nil:
			return Failed, ""
		case err != nil:
			w.logFailure(ctx, "look for a task", err)
			if w.cfg.Now().Sub(began) > searchLimit {
				return Lost, "Proxmox does not say whether it got the request: " + Reason(err)
			}
		case len(found) == 1:
			w.running(ctx, found[0].UPID)
			return Running, ""
		case len(found) > 1:
			return Lost, "several tasks could be the one that was asked for"
		default:
			if looks++; looks == 2 {
				return Failed, notSent
			}
		}
		if pace.Sleep(ctx, lookAgain) != nil {
			return Failed, ""
		}
	}
}

const notSent = "it was not sent, as far as Proxmox shows"

// ownTasks are the tasks of our own token that the request may have made.
func (w *work) ownTasks(ctx context.Context) ([]proxmox.Task, error) {
	since := w.SubmittedAt.Add(-time.Second) // clocks are compared to the second
	tasks, err := w.pve.Tasks(ctx, w.Node, proxmox.TaskFilter{VMID: w.VMID, Since: since, Source: "all", Limit: 50})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(tasks, func(t proxmox.Task) bool {
		user := t.User
		if t.TokenID != "" {
			user += "!" + t.TokenID
		}
		return user != w.cfg.TokenUser[w.Cluster] || t.Start.Before(since) || !slices.Contains(taskTypes[w.Action], t.Type)
	}), nil
}

// interval is the pause between two looks: 1 s, then longer, 5 s at most.
type interval time.Duration

func (p *interval) sleep(ctx context.Context) bool {
	d := max(time.Duration(*p), pollFirst)
	*p = interval(min(d*3/2, pollMost))
	return pace.Sleep(ctx, d) == nil
}

// follow polls the task to its end.
func (w *work) follow(ctx context.Context) (State, string) {
	var pause interval
	heard := w.cfg.Now()
	for {
		st, err := w.pve.TaskStatus(ctx, w.UPID)
		var refused *proxmox.APIError
		switch {
		case err == nil && !st.Running:
			w.Warnings = st.Warnings()
			switch {
			case !st.OK():
				return Failed, guest.Redact(st.Exit)
			case w.Warnings > 0:
				return Warned, ""
			}
			return Succeeded, ""
		case err == nil:
			heard = w.cfg.Now()
		case ctx.Err() != nil:
			return Failed, ""
		case errors.As(err, &refused) && refused.Status == http.StatusBadRequest:
			return Lost, "Proxmox does not know the task any more"
		case w.cfg.Now().Sub(heard) > giveUp:
			return Lost, "Proxmox did not say how it ended: " + Reason(err)
		}
		w.wait(ctx)
		if !pause.sleep(ctx) {
			return Failed, ""
		}
	}
}

// wait tells, once, of a guest that has had its time.
func (w *work) wait(ctx context.Context) {
	if w.Action != Shutdown || w.waited || w.cfg.Now().Sub(w.CreatedAt) < ShutdownTimeout || w.cfg.Waiting == nil {
		return
	}
	w.waited = true
	w.cfg.Waiting(ctx, w.Job)
}

// wanted is the state that an action leads to.
var wanted = map[Action]string{Start: "running", Restart: "running", Shutdown: "stopped", Stop: "stopped"}

// settle waits until the container is in the state that the task promised; HA
// says OK when it has accepted, not when it has acted. It returns why not.
func (w *work) settle(ctx context.Context) string {
	if w.Action == Delete {
		_, err := w.cfg.Inventory.Amend(ctx, w.Container, func(rec *inventory.Record) { rec.GoneAt = w.cfg.Now() })
		w.logFailure(ctx, "note a deleted container", err)
		return ""
	}
	deadline := w.cfg.Now().Add(settleLimit)
	var pause interval
	for {
		st, err := w.look(ctx)
		switch {
		case ctx.Err() != nil:
			return ""
		case err == nil && st.Status == wanted[w.Action]:
			return ""
		case err == nil && !st.HAManaged, errors.Is(err, proxmox.ErrNotFound):
			return "" // it changed again, by itself or by somebody else; the task did what it said
		case w.cfg.Now().After(deadline):
			return fmt.Sprintf("HA accepted it, but the container is not %s after %s", wanted[w.Action], settleLimit)
		}
		w.wait(ctx)
		if !pause.sleep(ctx) {
			return ""
		}
	}
}

// look reads the container's live state into the inventory.
func (w *work) look(ctx context.Context) (proxmox.ContainerStatus, error) {
	st, err := w.pve.ContainerStatus(ctx, w.ref())
	if err != nil {
		return st, err
	}
	w.logFailure(ctx, "store a container's state", w.cfg.Inventory.Observe(ctx, w.Container, st.Container))
	return st, nil
}
