// Package jobs carries out long Proxmox actions so that they survive a restart
// and are never sent twice. The row is written first, then the request is sent;
// after a crash the task list of Proxmox is asked what became of it.
package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// Proxmox is what a runner needs of a cluster; *proxmox.Client has it.
type Proxmox interface {
	Power(ctx context.Context, ref proxmox.Ref, a proxmox.PowerAction) (proxmox.UPID, error)
	Destroy(ctx context.Context, ref proxmox.Ref, o proxmox.DestroyOptions) (proxmox.UPID, error)
	ContainerStatus(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerStatus, error)
	ContainerConfig(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerConfig, error)
	TaskStatus(ctx context.Context, u proxmox.UPID) (proxmox.TaskStatus, error)
	TaskLog(ctx context.Context, u proxmox.UPID, start, limit int) (proxmox.TaskLog, error)
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
}

// Config is what New needs.
type Config struct {
	Clusters  map[string]Proxmox
	TokenUser map[string]string // cluster -> user@realm!token of our own tasks
	Store     Store
	Events    inventory.EventStore
	Inventory *inventory.Inventory
	Holder    string // this process
	Now       func() time.Time
	Log       *slog.Logger

	// Changed is told whenever a container becomes busy or free.
	Changed func(inventory.ID)

	// Told is given every finished job once; an error makes it come again.
	Told func(ctx context.Context, j Job) error
}

// Times of a job's life.
const (
	lease       = 15 * time.Second
	renewEvery  = 5 * time.Second
	claimEvery  = 5 * time.Second
	pollFirst   = time.Second
	pollMost    = 5 * time.Second
	lookAgain   = 10 * time.Second // between the two looks for a task whose UPID was lost
	settleLimit = 2 * time.Minute  // HA accepts first and acts later
	giveUp      = 30 * time.Minute // without any answer about a running task

	// ShutdownTimeout is how long a guest has to close its work; nothing is
	// forced after it.
	ShutdownTimeout = 30 * time.Second
	// RestartTimeout is how long; Proxmox cuts the guest off after it.
	RestartTimeout = 60 * time.Second

	perCluster = 4 // requests in flight
)

// Runner carries out jobs. Its methods are safe for concurrent use.
type Runner struct {
	cfg   Config
	slots map[string]chan struct{}
	work  chan Job

	mu   sync.Mutex
	busy map[inventory.ID]Job
}

// New makes a Runner. It does no I/O.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, slots: map[string]chan struct{}{}, work: make(chan Job, 256), busy: map[inventory.ID]Job{}}
	for name := range cfg.Clusters {
		r.slots[name] = make(chan struct{}, perCluster)
	}
	return r
}

// Run works on jobs until ctx ends: those submitted here, and those that
// another process left behind. Open jobs stay open; the next process goes on.
func (r *Runner) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	start := func(j Job) {
		wg.Go(func() { r.carry(ctx, j) })
	}
	ticker := time.NewTicker(claimEvery)
	defer ticker.Stop()
	r.takeOver(ctx, start)
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-r.work:
			start(j)
		case <-ticker.C:
			r.takeOver(ctx, start)
		}
	}
}

// takeOver adopts jobs whose holder is gone, and tells outcomes that were not
// told.
func (r *Runner) takeOver(ctx context.Context, start func(Job)) {
	for {
		j, ok, err := r.cfg.Store.ClaimJob(ctx, r.cfg.Holder, lease)
		if err != nil {
			r.logFailure(ctx, "claim a job", err)
			return
		}
		if !ok {
			break
		}
		r.cfg.Log.InfoContext(ctx, "job taken over", jobAttrs(j)...)
		r.setBusy(j, true)
		start(j)
	}
	finished, err := r.cfg.Store.UnnotifiedJobs(ctx)
	if err != nil {
		r.logFailure(ctx, "read finished jobs", err)
		return
	}
	for _, j := range finished {
		if r.cfg.Now().Sub(j.FinishedAt) > lease { // whoever finished it has had the time
			r.tell(ctx, j)
		}
	}
}

// Sync takes over from the database what other processes have under way.
func (r *Runner) Sync(ctx context.Context) error {
	open, err := r.cfg.Store.OpenJobs(ctx)
	if err != nil {
		return err
	}
	now := make(map[inventory.ID]Job, len(open))
	for _, j := range open {
		now[j.Container] = j
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, j := range r.busy {
		if _, still := now[id]; !still && j.Holder == r.cfg.Holder {
			now[id] = j // finished between the query and now; its own worker says when
		}
	}
	r.busy = now
	return nil
}

// Busy returns the open job of a container. It never waits.
func (r *Runner) Busy(id inventory.ID) (Job, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	j, ok := r.busy[id]
	return j, ok
}

// All returns every open job by container.
func (r *Runner) All() map[inventory.ID]Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[inventory.ID]Job, len(r.busy))
	for id, j := range r.busy {
		all[id] = j
	}
	return all
}

func (r *Runner) setBusy(j Job, busy bool) {
	r.mu.Lock()
	if busy {
		r.busy[j.Container] = j
	} else if r.busy[j.Container].ID == j.ID {
		delete(r.busy, j.Container)
	}
	r.mu.Unlock()
	if r.cfg.Changed != nil {
		r.cfg.Changed(j.Container)
	}
}

// Ask is what somebody wants to be done.
type Ask struct {
	Container *inventory.Container
	Action    Action
	Forced    bool // a Force stop, which takes the place of an open shutdown
	Person    chat.Person
	Channel   string
	Request   string
}

// Submit writes the job down and begins it. It returns *BusyError where the
// container has an open job, after which nothing has been sent.
func (r *Runner) Submit(ctx context.Context, a Ask) (Job, error) {
	c := a.Container
	j := Job{
		ID: inventory.Token(10), Container: c.ID, Cluster: c.Cluster, Node: c.Node, VMID: c.VMID, Name: c.DisplayName(),
		Action: a.Action, Forced: a.Forced, State: Submitting, Person: a.Person, Channel: a.Channel, Request: a.Request,
		CreatedAt: r.cfg.Now(), Holder: r.cfg.Holder,
	}
	supersede := ""
	if open, ok := r.Busy(c.ID); ok && a.Forced && open.Action == Shutdown {
		supersede = open.ID
	}
	j, err := r.cfg.Store.CreateJob(ctx, j, lease, supersede)
	if err != nil {
		return j, err
	}
	r.setBusy(j, true)
	r.cfg.Log.InfoContext(ctx, "job created", jobAttrs(j)...)
	select {
	case r.work <- j:
		return j, nil
	case <-ctx.Done():
		return j, nil // the row is there; it is taken over when its lease ends
	}
}

func jobAttrs(j Job) []any {
	return []any{
		"job", j.ID, "action", j.Action, "container", j.Container, "cluster", j.Cluster, "node", j.Node, "vmid", j.VMID,
		"request", j.Request, "person", j.Person.Key(), "upid", string(j.UPID),
	}
}

func (r *Runner) logFailure(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
}

// carry works on one job to its end, or until ctx ends or another process has
// it.
func (r *Runner) carry(ctx context.Context, j Job) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go r.keepLease(ctx, j, cancel)

	state, reason, warnings := r.act(ctx, &j)
	if ctx.Err() != nil {
		r.letGo(ctx, j)
		return
	}
	j.State, j.Error, j.Warnings, j.FinishedAt = state, reason, warnings, r.cfg.Now()
	r.record(ctx, j)
	if err := r.cfg.Store.FinishJob(ctx, j.ID, j.Fence, state, reason, warnings); err != nil {
		r.logFailure(ctx, "finish a job", err)
		if errors.Is(err, ErrFenced) {
			r.setBusy(j, false)
		}
		return // still open in the database: it is taken over and finished again
	}
	r.setBusy(j, false)
	r.cfg.Log.InfoContext(ctx, "job finished", append(jobAttrs(j), "state", state, "reason", reason)...)
	r.tell(ctx, j)
}

// letGo gives a job up that is still open: another process has it already, or
// the next one is to have it at once.
func (r *Runner) letGo(ctx context.Context, j Job) {
	fenced := errors.Is(context.Cause(ctx), ErrFenced)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if fenced {
		r.setBusy(j, false)
		r.logFailure(ctx, "read the open jobs", r.Sync(ctx))
		return
	}
	r.logFailure(ctx, "hand a job over", r.cfg.Store.RenewJob(ctx, j.ID, j.Fence, 0))
}

func (r *Runner) tell(ctx context.Context, j Job) {
	if r.cfg.Told != nil {
		if err := r.cfg.Told(ctx, j); err != nil {
			r.logFailure(ctx, "tell an outcome", err)
			return
		}
	}
	if err := r.cfg.Store.MarkNotified(ctx, j.ID); err != nil {
		r.logFailure(ctx, "mark an outcome as told", err)
	}
}

func (r *Runner) keepLease(ctx context.Context, j Job, lost context.CancelCauseFunc) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			err := r.cfg.Store.RenewJob(ctx, j.ID, j.Fence, lease)
			if errors.Is(err, ErrFenced) {
				lost(ErrFenced)
				return
			}
			if err != nil {
				r.logFailure(ctx, "renew a lease", err)
			}
		}
	}
}

// act does what is still to be done of a job and says how it ended. Where ctx
// has ended meanwhile, what it returns means nothing.
func (r *Runner) act(ctx context.Context, j *Job) (state State, reason string, warnings int) {
	pve, ok := r.cfg.Clusters[j.Cluster]
	if !ok {
		return Failed, fmt.Sprintf("cluster %s is not configured any more", j.Cluster), 0
	}
	if j.UPID == "" {
		var failed string
		switch {
		case j.SubmittedAt.IsZero():
			state, failed = r.send(ctx, pve, j)
		default:
			state, failed = r.adopt(ctx, pve, j)
		}
		if j.UPID == "" {
			return state, failed, 0
		}
	}
	state, reason, warnings = r.follow(ctx, pve, j)
	if state == Succeeded || state == Warned {
		if late := r.settle(ctx, pve, *j); late != "" {
			return Failed, late, warnings
		}
	} else {
		r.look(ctx, pve, *j)
	}
	return state, reason, warnings
}

// send marks the job and makes the one request. Without a UPID it says how the
// job ended.
func (r *Runner) send(ctx context.Context, pve Proxmox, j *Job) (State, string) {
	select {
	case r.slots[j.Cluster] <- struct{}{}:
		defer func() { <-r.slots[j.Cluster] }()
	case <-ctx.Done():
		return Failed, ""
	}
	if c, ok := r.cfg.Inventory.Snapshot().ByID(j.Container); ok {
		j.Node = c.Node
	}
	ref := proxmox.Ref{Node: j.Node, VMID: j.VMID}
	status, err := pve.ContainerStatus(ctx, ref)
	if err != nil {
		return Failed, Reason(err)
	}
	if replaced, err := r.replaced(ctx, pve, *j); err != nil {
		return Failed, Reason(err)
	} else if replaced {
		return Failed, "this container was replaced by another one with its number; nothing was sent"
	}
	at := r.cfg.Now().Add(r.cfg.Inventory.Skew(j.Cluster))
	if err := r.cfg.Store.MarkSubmitting(ctx, j.ID, j.Fence, at, j.Node); err != nil {
		if errors.Is(err, ErrFenced) {
			return Superseded, ""
		}
		return Failed, "the database did not answer; nothing was sent"
	}
	j.SubmittedAt = at

	var upid proxmox.UPID
	if j.Action == Delete {
		upid, err = pve.Destroy(ctx, ref, proxmox.DestroyOptions{Force: status.Status == "running", Purge: true})
	} else {
		upid, err = pve.Power(ctx, ref, power(*j, status.HAManaged))
	}
	var refused *proxmox.APIError
	switch {
	case err == nil:
		return r.running(ctx, j, upid)
	case proxmox.NotSent(err), errors.As(err, &refused):
		return Failed, Reason(err)
	}
	r.cfg.Log.WarnContext(ctx, "no answer to a request; looking for its task", append(jobAttrs(*j), "err", err)...)
	return r.adopt(ctx, pve, j)
}

// replaced compares the container with what was known of it, and learns it
// where nothing was.
func (r *Runner) replaced(ctx context.Context, pve Proxmox, j Job) (bool, error) {
	cfg, err := pve.ContainerConfig(ctx, proxmox.Ref{Node: j.Node, VMID: j.VMID})
	if err != nil {
		return false, err
	}
	return r.cfg.Inventory.Identify(ctx, j.Container, cfg)
}

func power(j Job, ha bool) proxmox.PowerAction {
	switch j.Action {
	case Start:
		return proxmox.PowerAction{Verb: proxmox.Start}
	case Shutdown:
		return proxmox.PowerAction{Verb: proxmox.Shutdown, Timeout: ShutdownTimeout}
	case Restart:
		return proxmox.PowerAction{Verb: proxmox.Reboot, Timeout: RestartTimeout}
	default:
		return proxmox.PowerAction{Verb: proxmox.Stop, OverruleShutdown: j.Forced && !ha} // Proxmox refuses it under HA
	}
}

func (r *Runner) running(ctx context.Context, j *Job, upid proxmox.UPID) (State, string) {
	j.UPID, j.State = upid, Running
	r.setBusy(*j, true)
	if err := r.cfg.Store.MarkRunning(ctx, j.ID, j.Fence, upid); err != nil && ctx.Err() == nil {
		// The task runs all the same; whoever takes over finds it in the task list.
		r.logFailure(ctx, "note a task", err)
	}
	return Running, ""
}

// taskTypes are the types of task that an action makes.
var taskTypes = map[Action][]string{
	Start:    {"vzstart", "hastart"},
	Shutdown: {"vzshutdown", "hastop"},
	Restart:  {"vzreboot"},
	Stop:     {"vzstop", "hastop"},
	Delete:   {"vzdestroy"},
}

// adopt looks for the task of a request whose answer was lost, twice.
func (r *Runner) adopt(ctx context.Context, pve Proxmox, j *Job) (State, string) {
	for attempt := range 2 {
		if attempt > 0 && !sleep(ctx, lookAgain) {
			return Failed, ""
		}
		found, err := r.ownTasks(ctx, pve, *j)
		switch {
		case err != nil:
			r.logFailure(ctx, "look for a task", err)
			if attempt > 0 {
				return Lost, "Proxmox does not say whether it got the request: " + Reason(err)
			}
		case len(found) == 1:
			return r.running(ctx, j, found[0].UPID)
		case len(found) > 1:
			return Lost, "several tasks could be the one that was asked for"
		}
	}
	return Failed, "the request did not reach Proxmox, as far as its task list shows"
}

func (r *Runner) ownTasks(ctx context.Context, pve Proxmox, j Job) ([]proxmox.Task, error) {
	tasks, err := pve.Tasks(ctx, j.Node, proxmox.TaskFilter{VMID: j.VMID, Since: j.SubmittedAt.Add(-time.Second), Source: "all", Limit: 50})
	if err != nil {
		return nil, err
	}
	var own []proxmox.Task
	for _, t := range tasks {
		user := t.User
		if t.TokenID != "" {
			user += "!" + t.TokenID
		}
		if user != r.cfg.TokenUser[j.Cluster] || t.Start.Before(j.SubmittedAt.Add(-time.Second)) {
			continue
		}
		for _, typ := range taskTypes[j.Action] {
			if t.Type == typ {
				own = append(own, t)
			}
		}
	}
	return own, nil
}

// follow polls the task to its end.
func (r *Runner) follow(ctx context.Context, pve Proxmox, j *Job) (State, string, int) {
	pause := pollFirst
	heard := r.cfg.Now()
	for {
		st, err := pve.TaskStatus(ctx, j.UPID)
		var refused *proxmox.APIError
		switch {
		case err == nil && !st.Running:
			switch {
			case !st.OK():
				return Failed, st.Exit, 0
			case st.Warnings() > 0:
				return Warned, "", st.Warnings()
			}
			return Succeeded, "", 0
		case err == nil:
			heard = r.cfg.Now()
		case ctx.Err() != nil:
			return Failed, "", 0
		case errors.As(err, &refused) && refused.Status == 400:
			return Lost, "Proxmox does not know the task any more", 0
		case r.cfg.Now().Sub(heard) > giveUp:
			return Lost, "Proxmox did not say how it ended: " + Reason(err), 0
		}
		if !sleep(ctx, pause) {
			return Failed, "", 0
		}
		pause = min(pause*3/2, pollMost)
	}
}

// wanted is the state that an action leads to.
var wanted = map[Action]string{Start: "running", Restart: "running", Shutdown: "stopped", Stop: "stopped"}

// settle waits until the container is in the state that the task promised; HA
// says OK when it has accepted, not when it has acted. It returns why not.
func (r *Runner) settle(ctx context.Context, pve Proxmox, j Job) string {
	if j.Action == Delete {
		_, err := r.cfg.Inventory.Amend(ctx, j.Container, func(rec *inventory.Record) { rec.GoneAt = r.cfg.Now() })
		if err != nil {
			r.logFailure(ctx, "note a deleted container", err)
		}
		return ""
	}
	deadline := r.cfg.Now().Add(settleLimit)
	pause := pollFirst
	for {
		st, err := r.look(ctx, pve, j)
		switch {
		case ctx.Err() != nil:
			return ""
		case err == nil && st.Status == wanted[j.Action]:
			return ""
		case err == nil && !st.HAManaged, errors.Is(err, proxmox.ErrNotFound):
			return "" // it changed again, by itself or by somebody else; the task did what it said
		case r.cfg.Now().After(deadline):
			return fmt.Sprintf("HA accepted it, but the container is not %s after %s", wanted[j.Action], settleLimit)
		}
		if !sleep(ctx, pause) {
			return ""
		}
		pause = min(pause*3/2, pollMost)
	}
}

// look reads the container's live state into the inventory.
func (r *Runner) look(ctx context.Context, pve Proxmox, j Job) (proxmox.ContainerStatus, error) {
	st, err := pve.ContainerStatus(ctx, proxmox.Ref{Node: j.Node, VMID: j.VMID})
	if err != nil {
		return st, err
	}
	if err := r.cfg.Inventory.Observe(ctx, j.Container, st.Container); err != nil {
		r.logFailure(ctx, "store a container's state", err)
	}
	return st, nil
}

// record writes the outcome where boards and the Events tab find it.
func (r *Runner) record(ctx context.Context, j Job) {
	failedStart := j.State == Failed && (j.Action == Start || j.Action == Restart)
	_, err := r.cfg.Inventory.Amend(ctx, j.Container, func(rec *inventory.Record) {
		switch {
		case failedStart:
			rec.Trouble, rec.TroubleAt = fmt.Sprintf("%s failed · %s", j.Action, j.Error), j.FinishedAt
		case j.State == Succeeded || j.State == Warned:
			rec.Trouble, rec.TroubleAt = "", time.Time{}
		}
	})
	if err != nil {
		r.logFailure(ctx, "store a container's record", err)
	}
	events := r.logLines(ctx, j)
	events = append(events, outcomeEvent(j))
	if err := r.cfg.Events.AppendEvents(ctx, events...); err != nil {
		r.logFailure(ctx, "append events", err)
	}
}

// logLines are the last lines of a failed task.
func (r *Runner) logLines(ctx context.Context, j Job) []inventory.Event {
	if j.UPID == "" || j.State != Failed {
		return nil
	}
	pve := r.cfg.Clusters[j.Cluster]
	log, err := pve.TaskLog(ctx, j.UPID, 0, 500)
	if err != nil {
		r.logFailure(ctx, "read a task log", err)
		return nil
	}
	var events []inventory.Event
	for _, line := range log.Lines[max(0, len(log.Lines)-5):] {
		events = append(events, inventory.Event{Container: j.Container, At: j.FinishedAt, Type: inventory.EventLog, Text: line, Actor: j.Person.Name, UPID: string(j.UPID)})
	}
	return events
}

func outcomeEvent(j Job) inventory.Event {
	e := inventory.Event{
		Container: j.Container, At: j.FinishedAt, Actor: j.Person.Name, UPID: string(j.UPID),
		Meta: map[string]string{"job": j.ID, "request": j.Request, "node": j.Node, "person": j.Person.Key(), "action": string(j.Action)},
	}
	if j.UPID != "" {
		e.Meta["upid"] = string(j.UPID)
	}
	e.Type, e.Text = inventory.EventComplete, done[j.Action]
	switch {
	case j.Action == Stop && j.Forced:
		e.Text = "Stopped (forced)"
	case j.State == Superseded:
		e.Type, e.Text = inventory.EventStep, "Shut down gave way to a forced stop"
	}
	switch j.State {
	case Failed:
		e.Type, e.Text = inventory.EventError, verb[j.Action]+" failed: "+j.Error
	case Lost:
		e.Type, e.Text = inventory.EventError, verb[j.Action]+": outcome unknown: "+j.Error
	case Warned:
		e.Text += fmt.Sprintf(" (%d warnings)", j.Warnings)
	}
	return e
}

var (
	verb = map[Action]string{Start: "Start", Shutdown: "Shut down", Restart: "Restart", Stop: "Stop", Delete: "Delete"}
	done = map[Action]string{Start: "Started", Shutdown: "Shut down (graceful)", Restart: "Restarted", Stop: "Stopped (forced)", Delete: "Deleted"}
)

// Reason is an error in Proxmox's own words where it has some.
func Reason(err error) string {
	var api *proxmox.APIError
	if errors.As(err, &api) {
		return api.Text()
	}
	return err.Error()
}

// sleep waits, and reports whether it came to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
