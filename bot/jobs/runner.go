// Package jobs carries out long Proxmox actions so that they survive a restart
// and are never sent twice. The row is written first, then the request is sent;
// after a crash the task list of Proxmox is asked what became of it.
package jobs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
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

// Maker makes containers. Its methods save how far they are by save, and return
// at once, with anything, when ctx ends.
type Maker interface {
	// Carry goes on from where the job's progress says that it is.
	Carry(ctx context.Context, j *Job, save func(context.Context) error) (State, string)
	// Abandon ends a job that somebody cancelled: it waits for what Proxmox is
	// at, and saves what there is then.
	Abandon(ctx context.Context, j *Job, save func(context.Context) error)
	// Transfer goes on with a Download or Remove.
	Transfer(ctx context.Context, j *Job, save func(context.Context) error) (State, string)
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

	// Accepted is given every job before anything is asked of Proxmox for it,
	// and once more by each process that takes it over.
	Accepted func(ctx context.Context, j Job) error

	// Told is given every finished job once; an error makes it come again.
	Told func(ctx context.Context, j Job) error

	// Maker carries out every Create, Download and Remove; nil: there are none.
	Maker Maker

	// Waiting is told once of a shutdown whose guest has had its time and
	// still runs. Nothing is forced by it.
	Waiting func(ctx context.Context, j Job)
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
	searchLimit = 5 * time.Minute  // without any answer about a lost one
	forceLimit  = 2 * time.Minute  // in which a forced stop waits for a lock
	keepFor     = 30 * 24 * time.Hour

	// ShutdownTimeout is how long a guest has to close its work; nothing is
	// forced after it.
	ShutdownTimeout = 30 * time.Second
	// RestartTimeout is how long; Proxmox cuts the guest off after it.
	RestartTimeout = 60 * time.Second

	// perCluster is how many requests are prepared at a time: the others wait
	// here, where they do not stand in the way of those who only read.
	perCluster = 4
)

// Runner carries out jobs. Its methods are safe for concurrent use.
type Runner struct {
	cfg   Config
	slots map[string]chan struct{}
	work  chan Job

	mu      sync.Mutex
	busy    map[inventory.ID]Job
	changes int             // of busy
	telling map[string]bool // outcomes, by job
}

// New makes a Runner. It does no I/O.
func New(cfg Config) *Runner {
	r := &Runner{cfg: cfg, slots: map[string]chan struct{}{}, work: make(chan Job, 256), busy: map[inventory.ID]Job{}, telling: map[string]bool{}}
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
	tell := func(j Job) {
		wg.Go(func() { r.conclude(ctx, j) })
	}
	r.takeOver(ctx, start, tell)
	for {
		select {
		case <-ctx.Done():
			r.handOver(ctx)
			return nil
		case j := <-r.work:
			start(j)
		case <-ticker.C:
			r.takeOver(ctx, start, tell)
		}
	}
}

// handOver lets the next process have what was not begun.
func (r *Runner) handOver(ctx context.Context) {
	for {
		select {
		case j := <-r.work:
			r.letGo(ctx, j)
		default:
			return
		}
	}
}

// takeOver adopts jobs whose holder is gone, and tells outcomes that were not
// told.
func (r *Runner) takeOver(ctx context.Context, start, tell func(Job)) {
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
		r.logFailure(ctx, "read the known containers", r.recall(ctx, j))
		r.setBusy(j, true)
		start(j)
	}
	finished, err := r.cfg.Store.UnnotifiedJobs(ctx)
	if err != nil {
		r.logFailure(ctx, "read finished jobs", err)
		return
	}
	for _, j := range finished {
		if r.cfg.Now().Sub(j.FinishedAt) > lease { // whoever finished it has had the time, or holds it
			tell(j)
		}
	}
}

// Purge removes jobs of which nobody will ask any more.
func (r *Runner) Purge(ctx context.Context) error {
	n, err := r.cfg.Store.PurgeJobs(ctx, keepFor)
	if n > 0 {
		r.cfg.Log.InfoContext(ctx, "old jobs removed", "count", n)
	}
	return err
}

// Sync takes over from the database what other processes have under way.
func (r *Runner) Sync(ctx context.Context) error {
	for {
		r.mu.Lock()
		before := r.changes
		r.mu.Unlock()
		open, err := r.cfg.Store.OpenJobs(ctx)
		if err == nil {
			err = r.recall(ctx, open...)
		}
		if err != nil {
			return err
		}
		if r.takeBusy(open, before) {
			return nil
		}
	}
}

// recall makes the inventory know the containers of creations that other
// processes began: until Proxmox has made them, only the database does.
func (r *Runner) recall(ctx context.Context, list ...Job) error {
	snap := r.cfg.Inventory.Snapshot()
	for _, j := range list {
		if _, known := snap.ByID(j.Container); j.Action == Create && !known {
			return r.cfg.Inventory.Load(ctx)
		}
	}
	return nil
}

// takeBusy replaces what is under way, unless that has changed since; then the
// answer may be older than what is known here.
func (r *Runner) takeBusy(open []Job, before int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes != before {
		return false
	}
	clear(r.busy)
	for _, j := range open {
		r.busy[j.Container] = j
	}
	return true
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

// Batch returns the jobs of a batch.
func (r *Runner) Batch(ctx context.Context, id string) ([]Job, error) {
	return r.cfg.Store.BatchJobs(ctx, id)
}

func (r *Runner) setBusy(j Job, busy bool) {
	r.mu.Lock()
	r.changes++
	if busy {
		if before := r.busy[j.Container]; before.ID == j.ID && j.Cancelled == "" {
			j.Cancelled = before.Cancelled // who works on it hears of it later
		}
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
	Leftovers bool
	Spec      string
	Progress  string
	Draft     string
	Batch     string
	BatchSize int
	Person    chat.Person
	Channel   string
	Request   string

	// Delivery is what the platform gave, as often as it gives it; "": it is
	// not told from another one.
	Delivery string
}

// IDOf is the id of the job that a delivery makes, or made.
func IDOf(delivery string) string { return inventory.TokenOf(delivery) }

// Submit writes the job down and begins it. It returns [ErrRepeated] where its
// delivery has made a job before, *BusyError where the container has an open
// job, and [ErrNoDraft] where its draft is gone, after which nothing has been sent.
func (r *Runner) Submit(ctx context.Context, a Ask) (Job, error) {
	c := a.Container
	j := Job{
		Container: c.ID, Cluster: c.Cluster, Node: c.Node, VMID: c.VMID, Name: c.DisplayName(),
		Action: a.Action, Forced: a.Forced, Leftovers: a.Leftovers, Spec: a.Spec, Progress: a.Progress, Draft: a.Draft, Batch: a.Batch, BatchSize: a.BatchSize,
		State: Submitting, Person: a.Person, Channel: a.Channel, Request: a.Request, CreatedAt: r.cfg.Now(), Holder: r.cfg.Holder,
	}
	if j.ID = IDOf(a.Delivery); a.Delivery == "" {
		j.ID = inventory.Token(10)
	}
	created, err := r.cfg.Store.CreateJob(ctx, j, lease, "")
	var open *BusyError
	if errors.As(err, &open) && a.Forced && open.Job.Action == Shutdown {
		created, err = r.cfg.Store.CreateJob(ctx, j, lease, open.Job.ID)
	}
	if err != nil {
		return j, err
	}
	r.setBusy(created, true)
	r.cfg.Log.InfoContext(ctx, "job created", jobAttrs(created)...)
	select {
	case r.work <- created:
	case <-ctx.Done(): // the row is there; it is taken over when its lease ends
	}
	return created, nil
}

// Job returns a job, also one that has ended.
func (r *Runner) Job(ctx context.Context, id string) (Job, bool, error) {
	return r.cfg.Store.Job(ctx, id)
}

// Last returns the last job of an action on a container, also one that has
// ended.
func (r *Runner) Last(ctx context.Context, id inventory.ID, a Action) (Job, bool, error) {
	return r.cfg.Store.LastJob(ctx, id, a)
}

// Cancel asks a Create that is under way to end early; who works on it notices
// at its next step, or when the lease is renewed. It reports whether the job was open.
func (r *Runner) Cancel(ctx context.Context, id, reason string) (bool, error) {
	ok, err := r.cfg.Store.CancelJob(ctx, id, reason)
	if err == nil && ok {
		r.logFailure(ctx, "read the open jobs", r.Sync(ctx))
	}
	return ok, err
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
	ctx = chat.WithRequest(ctx, slog.String("request", j.Request), slog.String("person", j.Person.Key()), slog.String("job", j.ID),
		slog.String("action", string(j.Action)), slog.String("container", string(j.Container)), slog.String("cluster", j.Cluster),
		slog.String("node", j.Node), slog.Int("vmid", j.VMID))
	held, cancel := context.WithCancelCause(ctx)
	wanted, end := context.WithCancelCause(held)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() { r.keepLease(held, j, cancel, end) })

	if r.cfg.Accepted != nil {
		r.logFailure(ctx, "write down who asked", r.cfg.Accepted(ctx, j))
	}
	w := &work{Runner: r, pve: r.cfg.Clusters[j.Cluster], Job: j, end: end}
	w.State, w.Error = w.act(held, wanted)
	if held.Err() != nil {
		r.letGo(held, w.Job)
		return
	}
	w.FinishedAt = r.cfg.Now()
	if err := r.cfg.Store.FinishJob(ctx, w.ID, w.Fence, w.State, w.Error, w.Warnings); err != nil {
		r.logFailure(ctx, "finish a job", err)
		if errors.Is(err, ErrFenced) {
			cancel(ErrFenced)
			r.letGo(held, w.Job)
		}
		return // still open in the database: it is taken over and finished again
	}
	r.setBusy(w.Job, false)
	r.cfg.Log.InfoContext(ctx, "job finished", append(jobAttrs(w.Job), "state", w.State, "reason", w.Error)...)
	r.record(ctx, &w.Job)
	r.holding(ctx, w.Job, func(ctx context.Context) { r.tell(ctx, w.Job) })
}

// letGo gives a job up that is still open: another process has it already, or
// the next one is to have it at once. One that gave way to a forced stop is
// told of.
func (r *Runner) letGo(ctx context.Context, j Job) {
	fenced := errors.Is(context.Cause(ctx), ErrFenced)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if !fenced {
		_, err := r.cfg.Store.RenewJob(ctx, j.ID, j.Fence, 0)
		r.logFailure(ctx, "hand a job over", err)
		return
	}
	r.setBusy(j, false)
	r.logFailure(ctx, "read the open jobs", r.Sync(ctx))
	now, ok, err := r.cfg.Store.Job(ctx, j.ID)
	r.logFailure(ctx, "read a job", err)
	if ok && now.State == Superseded {
		r.conclude(ctx, now)
	}
}

// conclude does what is left to be done of a job that was finished by somebody
// else: it may have been recorded already.
func (r *Runner) conclude(ctx context.Context, j Job) {
	r.holding(ctx, j, func(ctx context.Context) { r.makeUp(ctx, j) })
}

// holding does something about an outcome while this process alone has it: a
// platform that is given many makes each wait, for longer than any lease. What
// another process has is left to that.
func (r *Runner) holding(ctx context.Context, j Job, do func(ctx context.Context)) {
	r.mu.Lock()
	already := r.telling[j.ID]
	r.telling[j.ID] = true
	r.mu.Unlock()
	if already {
		return
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.telling, j.ID)
	}()
	hold := func() bool {
		ours, err := r.cfg.Store.HoldOutcome(ctx, j.ID, r.cfg.Holder, lease)
		r.logFailure(ctx, "hold an outcome", err)
		return err == nil && ours
	}
	if !hold() {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer stop()
	keeping.Go(func() {
		for pace.Sleep(ctx, renewEvery) == nil {
			hold() // lost, it was away for longer than the lease: the message is under way
		}
	})
	do(ctx)
}

func (r *Runner) makeUp(ctx context.Context, j Job) {
	known, err := r.cfg.Events.HasTaskEvents(ctx, j.Container, []string{string(j.UPID)})
	if err != nil {
		r.logFailure(ctx, "read events", err)
		return
	}
	if j.UPID == "" || !known[string(j.UPID)] {
		r.record(ctx, &j)
	} else {
		j.Tail = r.tail(ctx, j)
	}
	r.tell(ctx, j)
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

// cancellation is why a job that is held is to end early.
type cancellation struct{ why string }

func (c *cancellation) Error() string { return c.why }

func (r *Runner) keepLease(ctx context.Context, j Job, lost, end context.CancelCauseFunc) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			cancelled, err := r.cfg.Store.RenewJob(ctx, j.ID, j.Fence, lease)
			if errors.Is(err, ErrFenced) {
				lost(ErrFenced)
				return
			}
			if err != nil {
				r.logFailure(ctx, "renew a lease", err)
			} else if cancelled != "" {
				end(&cancellation{cancelled})
			}
		}
	}
}
