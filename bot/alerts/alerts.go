// Package alerts tells the ops channels what is wrong: one message for each
// incident, kept up to date where it stands, and resolved there when it is over.
//
// What is told is written down first. A process that ends in between leaves an
// open incident; the next one goes on with it, and does not tell it twice. Of
// several replicas one opens an incident; whichever claims a refresh also takes
// care of those that others left behind.
package alerts

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
)

// Tasks is where a container's going down may be explained; *proxmox.Client
// has it.
type Tasks interface {
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
}

// Config is what New needs.
type Config struct {
	Platforms []chat.Platform
	Channels  map[chat.PlatformName]string // the ops channels; none: only the log is told
	Routes    []Route                      // the first that fits has the channels in place of those
	Limits    Limits
	Store     Store
	Clusters  map[string]Tasks
	Busy      func(inventory.ID) (jobs.Job, bool)
	Fleet     func() *inventory.Snapshot
	Replicas  Replicas // nil: no other process tells
	Now       func() time.Time
	Log       *slog.Logger
}

// Replicas is how processes that tell the same channels agree.
type Replicas interface {
	// Tells reports whether this process is the one to tell of an incident, for a
	// minute from now.
	Tells(ctx context.Context, incident string) (bool, error)
	// Reach notes that this process reaches a platform ("slack") or a cluster
	// ("cluster/home"), and Reached reports whether another one does: what any
	// reaches is not lost.
	Reach(ctx context.Context, what ...string) error
	Reached(ctx context.Context, what string) (bool, error)
}

// Route sends some incidents elsewhere.
type Route struct {
	Tags     []string // any of these on the container; empty: whatever it has
	Severity Severity // "": any
	Channels map[chat.PlatformName]string
}

// Limits are thresholds in percent for containers; 0 is none.
type Limits struct {
	CPU, Memory, Disk int
	For               time.Duration // how long a measure has to be above
}

// Times and numbers of alerts.
const (
	grouped   = 3                // containers from which on one message tells of them all
	damped    = 10 * time.Minute // what is wrong again so soon is the same incident
	flapping  = 3                // times from which on it has to stay well
	settled   = 5 * time.Minute  // for so long
	jobFor    = 24 * time.Hour   // a failed job is not news any more
	retry     = 30 * time.Second // after a channel that took nothing
	awayFor   = 2 * time.Minute  // a platform is missed
	lately    = 5 * time.Minute  // how far back a person's action explains that a container is down
	longAgo   = 24 * time.Hour   // the same, for what happened while pvechat was away
	ignoreTag = "pvechat-ignore"
	ease      = 5 // points below a threshold at which a measure is well again
)

// Alerts raises and clears incidents. Its methods are safe for concurrent use.
type Alerts struct {
	cfg  Config
	wake chan struct{}

	mu       sync.Mutex // of queue and troubles; held for moments
	queue    []func(context.Context)
	troubles map[string]Trouble

	work     sync.Mutex // of what follows; held while channels are told
	claimed  bool       // this pass takes care of what others left behind
	mine     map[string]bool
	above    map[string]time.Time
	well     map[string]time.Time // since when a flapping thing is well
	failing  map[string]int
	starters map[inventory.ID]starter
	lost     map[chat.PlatformName]string
	again    map[string]time.Time // when a channel is tried again
}

type starter struct {
	name string
	at   time.Time
}

// Trouble is a channel that does not take alerts.
type Trouble struct {
	Platform chat.PlatformName
	Channel  string
	Why      string
	Since    time.Time
}

// New makes an Alerts. It does no I/O.
func New(cfg Config) *Alerts {
	return &Alerts{
		cfg: cfg, wake: make(chan struct{}, 1), mine: map[string]bool{}, above: map[string]time.Time{}, well: map[string]time.Time{},
		failing: map[string]int{}, starters: map[inventory.ID]starter{}, lost: map[chat.PlatformName]string{},
		again: map[string]time.Time{}, troubles: map[string]Trouble{},
	}
}

// Run tells what comes up until ctx ends. Nothing that is handed to a under
// way waits for a channel.
func (a *Alerts) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
			a.pass(ctx)
		}
	}
}

// later does f in the next pass.
func (a *Alerts) later(f func(context.Context)) {
	a.mu.Lock()
	a.queue = append(a.queue, f)
	a.mu.Unlock()
	a.poke()
}

func (a *Alerts) poke() {
	select {
	case a.wake <- struct{}{}:
	default: // a pass is due already
	}
}

// now does f at once; what it raised is told in the next pass. While one is
// under way, which may wait for a channel, f is left to the next.
func (a *Alerts) now(ctx context.Context, f func(context.Context)) {
	if !a.work.TryLock() {
		a.later(f)
		return
	}
	f(ctx)
	a.work.Unlock()
	a.poke()
}

func (a *Alerts) pass(ctx context.Context) {
	a.mu.Lock()
	queue := a.queue
	a.queue = nil
	a.mu.Unlock()
	a.work.Lock()
	defer a.work.Unlock()
	a.claimed = false
	a.reach(ctx)
	for _, f := range queue {
		f(ctx)
	}
	a.settle(ctx)
	a.deliver(ctx)
}

// Troubles returns the channels that take no alerts now.
func (a *Alerts) Troubles() []Trouble {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []Trouble
	for _, t := range a.troubles {
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y Trouble) int {
		return strings.Compare(string(x.Platform)+x.Channel, string(y.Platform)+y.Channel)
	})
	return list
}

// raise opens an incident, or takes part in one that is open: then update, if
// not nil, may change it. What was over only a moment ago goes on.
func (a *Alerts) raise(ctx context.Context, kind Kind, about, cluster string, d Details, update func(*Incident)) {
	now := a.cfg.Now()
	key := string(kind) + ":" + about
	delete(a.well, key)
	if i, ok, err := a.cfg.Store.ReopenIncident(ctx, key, now.Add(-damped)); err != nil {
		a.failed(ctx, "open an incident again", err)
		return
	} else if ok {
		times := max(1, i.Alert.Times) + 1
		since, id := i.Alert.Since, i.ID
		shown := i.Shown
		i.Details = d
		i.Kind, i.Shown = kind, shown
		i.Alert.ID, i.Alert.Since, i.Alert.Times = id, since, times
		a.save(ctx, &i)
		a.cfg.Log.WarnContext(ctx, "incident again", "incident", i.ID, "what", i.Text, "times", times)
		return
	}
	i := Incident{ID: "a_" + inventory.Token(6), Key: key, Cluster: cluster, OpenedAt: now, Details: d}
	i.Kind, i.Alert.ID, i.Alert.Since = kind, i.ID, now
	i.Text = i.Alert.Summary()
	first, err := a.cfg.Store.OpenIncident(ctx, i)
	if err != nil {
		a.failed(ctx, "open an incident", err)
		return
	}
	if first {
		a.mine[i.ID] = true
		a.cfg.Log.WarnContext(ctx, "incident", "incident", i.ID, "kind", kind, "what", i.Text)
		return
	}
	if update == nil {
		return
	}
	if i, ok := a.openOf(ctx, key); ok {
		update(&i)
		a.save(ctx, &i)
	}
}

func (a *Alerts) openOf(ctx context.Context, key string) (Incident, bool) {
	for _, i := range a.open(ctx) {
		if i.Key == key {
			return i, true
		}
	}
	return Incident{}, false
}

func (a *Alerts) open(ctx context.Context) []Incident {
	list, err := a.cfg.Store.OpenIncidents(ctx)
	if err != nil {
		a.failed(ctx, "read the open incidents", err)
	}
	return list
}

// save keeps a changed incident; its messages are edited in this pass.
func (a *Alerts) save(ctx context.Context, i *Incident) bool {
	i.Text = i.Alert.Summary()
	a.mine[i.ID] = true
	err := a.cfg.Store.SaveIncident(ctx, *i)
	if err != nil {
		a.failed(ctx, "keep an incident", err)
	}
	return err == nil
}

// clear ends the incident of a key. One that went up and down has to stay well
// for a while first.
func (a *Alerts) clear(ctx context.Context, key, how string) {
	i, ok := a.openOf(ctx, key)
	if !ok {
		return
	}
	now := a.cfg.Now()
	if i.Alert.Times >= flapping {
		since, seen := a.well[key]
		if !seen {
			a.well[key] = now
		}
		if !seen || now.Sub(since) < settled {
			return
		}
		delete(a.well, key)
	}
	a.end(ctx, i, how)
}

// end ends an incident at once.
func (a *Alerts) end(ctx context.Context, i Incident, how string) {
	now := a.cfg.Now()
	i.Alert.Over, i.Alert.How = now, how
	i.Text = i.Alert.Summary()
	if err := a.cfg.Store.SaveIncident(ctx, i); err != nil {
		a.failed(ctx, "keep an incident", err)
		return
	}
	if _, was, err := a.cfg.Store.CloseIncident(ctx, i.Key, now); err != nil {
		a.failed(ctx, "close an incident", err)
		return
	} else if !was {
		return
	}
	a.mine[i.ID] = true
	a.cfg.Log.InfoContext(ctx, "incident over", "incident", i.ID, "what", i.Text)
}

func (a *Alerts) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		a.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
}

// JobEnded tells of a job that did not work, and ends what is told of ones that
// did not work before.
func (a *Alerts) JobEnded(ctx context.Context, j jobs.Job) {
	if j.Action.OfTemplate() {
		return // whoever asked is told, and nobody else waits for it
	}
	a.now(ctx, func(ctx context.Context) {
		switch j.State {
		case jobs.Failed, jobs.Lost:
			a.jobFailed(ctx, j)
		case jobs.Succeeded, jobs.Warned:
			a.jobDone(ctx, func(m Member) bool { return m.ID == j.Container && m.Action == string(j.Action) })
		}
	})
}

// Acted notes who starts a container, at the beginning of it: it may run before
// its job has ended.
func (a *Alerts) Acted(id inventory.ID) {
	j, busy := a.cfg.Busy(id)
	if !busy || j.Action != jobs.Start && j.Action != jobs.Restart {
		return
	}
	at := a.cfg.Now()
	a.later(func(context.Context) { a.starters[id] = starter{j.Person.Name, at} })
}

func (a *Alerts) jobFailed(ctx context.Context, j jobs.Job) {
	c, _ := a.cfg.Fleet().ByID(j.Container)
	d := Details{
		Alert: view.JobFailed(j), Reason: j.Error, Total: 1,
		Members: []Member{{ID: j.Container, Name: view.Failed(j), Action: string(j.Action)}},
	}
	if c != nil {
		d.Tags = c.TagList()
	}
	a.raise(ctx, Job, j.Cluster+":"+j.Error, j.Cluster, d, func(i *Incident) {
		i.Alert.Times = max(1, i.Alert.Times) + 1
		if !slices.ContainsFunc(i.Members, func(m Member) bool { return m.ID == j.Container && m.Action == string(j.Action) }) {
			i.Members = append(i.Members, d.Members[0])
			i.Total++
		}
		a.regroup(i)
	})
}

// jobDone takes members out of the incidents of failed jobs.
func (a *Alerts) jobDone(ctx context.Context, done func(Member) bool) {
	for _, i := range a.open(ctx) {
		if i.Kind != Job || !slices.ContainsFunc(i.Members, done) {
			continue
		}
		i.Members = slices.DeleteFunc(i.Members, done)
		if len(i.Members) == 0 {
			a.end(ctx, i, "")
			continue
		}
		a.regroup(&i)
		a.save(ctx, &i)
	}
}

// regroup writes the alert of an incident about several containers anew.
func (a *Alerts) regroup(i *Incident) {
	if i.Total < 2 && i.Kind == Job {
		return // it still tells of the one
	}
	names := make([]string, len(i.Members))
	for n, m := range i.Members {
		names[n] = m.Name
	}
	was := i.Alert
	if i.Kind == Job {
		i.Alert = view.JobsFailed(names, i.Reason, i.Cluster)
	} else {
		i.Alert = view.DownMany(names, i.Total)
	}
	i.Alert.ID, i.Alert.Since, i.Alert.Times, i.Alert.Muted = was.ID, was.Since, was.Times, was.Muted
}

// PlatformLost tells the other platforms of one that does not come back by
// itself.
func (a *Alerts) PlatformLost(ctx context.Context, name chat.PlatformName, why error) {
	a.now(ctx, func(ctx context.Context) {
		a.lost[name] = why.Error()
		a.platforms(ctx)
	})
}

// RulesRefused tells that new access rules were not taken.
func (a *Alerts) RulesRefused(ctx context.Context, why, version string) {
	a.now(ctx, func(ctx context.Context) {
		d := Details{Alert: view.RulesRefused(why, version)}
		a.raise(ctx, Rules, "access", "", d, func(i *Incident) { i.Alert.Lines = d.Alert.Lines })
	})
}

// RulesTaken tells that they are right again, if they were not.
func (a *Alerts) RulesTaken(ctx context.Context) {
	a.now(ctx, func(ctx context.Context) {
		// Somebody put it right; nothing asks again later whether it stayed well.
		if i, ok := a.openOf(ctx, string(Rules)+":access"); ok {
			a.end(ctx, i, "")
		}
	})
}

// Drifted tells how the database's tables differ; "" that they do not.
func (a *Alerts) Drifted(ctx context.Context, how string) {
	a.now(ctx, func(ctx context.Context) {
		if how == "" {
			a.clear(ctx, string(Drift)+":tables", "")
			return
		}
		a.raise(ctx, Drift, "tables", "", Details{Alert: view.Drifted(how)}, nil)
	})
}

// expiresSoon is from when on the end of a certificate or token is told.
const expiresSoon = 14 * 24 * time.Hour

// Expires tells that something of a cluster ends soon, such as "The certificate
// of pve1:8006"; the zero time is one that never ends.
func (a *Alerts) Expires(ctx context.Context, cluster, what string, at time.Time) {
	a.now(ctx, func(ctx context.Context) {
		about, now := cluster+"/"+what, a.cfg.Now()
		if at.IsZero() || at.Sub(now) > expiresSoon {
			a.clear(ctx, string(Expiry)+":"+about, "")
			return
		}
		d := Details{Alert: view.Expires(what, at, now)}
		a.raise(ctx, Expiry, about, cluster, d, func(i *Incident) {
			if !at.After(now) {
				i.Alert.Title, i.Alert.Body, i.Alert.Warning = d.Alert.Title, d.Alert.Body, false
			}
		})
	})
}
