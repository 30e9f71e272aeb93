package create

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Proxmox is what a creation needs of a cluster; *proxmox.Client has it.
type Proxmox interface {
	NextID(ctx context.Context) (int, error)
	OSTemplates(ctx context.Context, node, storage string) ([]proxmox.Volume, error)
	Download(ctx context.Context, node, storage, template string) (proxmox.UPID, error)
	Remove(ctx context.Context, node string, v proxmox.Volume) (proxmox.UPID, error)
	Create(ctx context.Context, n proxmox.NewContainer) (proxmox.UPID, error)
	Power(ctx context.Context, ref proxmox.Ref, a proxmox.PowerAction) (proxmox.UPID, error)
	ContainerStatus(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerStatus, error)
	ContainerConfig(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerConfig, error)
	Interfaces(ctx context.Context, ref proxmox.Ref) ([]proxmox.Interface, error)
	TaskStatus(ctx context.Context, u proxmox.UPID) (proxmox.TaskStatus, error)
	TaskLog(ctx context.Context, u proxmox.UPID, start, limit int) (proxmox.TaskLog, error)
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
}

// Guest sets up what is inside; *guest.Client does.
type Guest interface {
	Run(ctx context.Context, t guest.Target, s guest.Script) error
	Put(ctx context.Context, t guest.Target, f guest.File) error
	Ping(ctx context.Context, t guest.Target) error
	AuthorizedKey() (string, error)
}

// HostKeys keeps the host keys of containers.
type HostKeys interface {
	AcceptHostKey(ctx context.Context, id inventory.ID, key, by string, at time.Time) error
}

// Config is what New needs.
type Config struct {
	Clusters  map[string]Proxmox
	TokenUser map[string]string // cluster -> user@realm!token of our own tasks
	Guests    map[string]Guest  // by cluster; one without SSH has none
	Templates func() *templates.Library
	Catalog   *catalog.Catalog
	Inventory *inventory.Inventory
	Events    inventory.EventStore
	HostKeys  HostKeys
	Now       func() time.Time
	Log       *slog.Logger

	// Scan looks for the services of a container that was set up.
	Scan func(ctx context.Context, id inventory.ID) error

	// Show shows the progress, and says in which message. Its error costs
	// nothing but the sight.
	Show func(ctx context.Context, j jobs.Job, p Progress) (Message, error)
}

// Creator carries out creations; it is a jobs.Maker.
type Creator struct{ cfg Config }

// New makes a Creator. It does no I/O.
func New(cfg Config) *Creator { return &Creator{cfg} }

// Times of a creation.
const (
	showEvery    = time.Second // between two edits of the progress
	pollEvery    = 2 * time.Second
	lookAgain    = 10 * time.Second // between the two looks for a task whose UPID was lost
	silence      = 30 * time.Minute // without any answer about a running task
	offerWait    = 2 * time.Minute
	startWithin  = 2 * time.Minute
	addressWait  = 2 * time.Minute
	loginWithin  = 2 * time.Minute
	packagesTime = 30 * time.Minute
	linesShown   = 3
	linesKept    = 200 // of one step, in the timeline
)

// run is a creation in the hands of this process.
type run struct {
	*Creator
	job  *jobs.Job
	save func(context.Context) error
	pve  Proxmox
	in   Guest // nil: no SSH
	spec Spec
	tpl  templates.Template
	p    Progress

	ending bool // somebody cancelled it: nothing more is asked for
	shown  time.Time
	lines  []string // of the step under way
}

// Carry goes on with a creation at its step, to its end.
func (c *Creator) Carry(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
	r, err := c.take(j, save)
	if err != nil {
		return jobs.Failed, err.Error()
	}
	tpl, ok := c.cfg.Templates().Find(r.spec.Template)
	if !ok {
		return r.end(ctx, "template "+r.spec.Template+" is not there any more")
	}
	r.tpl = tpl
	if err := r.acquainted(ctx); err != nil {
		return r.end(ctx, jobs.Reason(err))
	}
	if len(r.p.Steps) == 0 {
		r.p.Steps = r.plan()
	}
	for i := r.p.At(); i < len(r.p.Steps); i++ {
		err := r.step(ctx, &r.p.Steps[i])
		if errors.Is(err, jobs.ErrFenced) {
			return jobs.Failed, "" // another process goes on
		}
		if err != nil {
			return r.end(ctx, r.p.Steps[i].Name+": "+r.p.Steps[i].Error)
		}
	}
	return jobs.Succeeded, ""
}

// Abandon ends a creation that somebody cancelled. A task that makes or starts the container is waited for: to stop
// it would leave half of one, and until it ends nothing can be cleaned up.
func (c *Creator) Abandon(ctx context.Context, j *jobs.Job, save func(context.Context) error) {
	r, err := c.take(j, save)
	if err != nil {
		return
	}
	r.ending = true
	if at := r.p.At(); at < len(r.p.Steps) && !r.p.SubmittedAt.IsZero() {
		if s := &r.p.Steps[at]; s.Kind == Make || s.Kind == Start {
			_ = r.step(ctx, s) // it says itself how it ended
		}
	}
	r.forget(ctx)
}

// take is a job in the hands of this process.
func (c *Creator) take(j *jobs.Job, save func(context.Context) error) (*run, error) {
	spec, err := ParseSpec(j.Spec)
	if err != nil {
		return nil, err
	}
	r := &run{Creator: c, job: j, save: save, pve: c.cfg.Clusters[j.Cluster], in: c.cfg.Guests[j.Cluster], spec: spec, p: ParseProgress(j.Progress)}
	if r.pve == nil {
		return nil, fmt.Errorf("cluster %s is not configured any more", j.Cluster)
	}
	return r, nil
}

// acquainted waits until this process has read the cluster: it may have begun
// a moment ago.
func (r *run) acquainted(ctx context.Context) error {
	return r.until(ctx, silence, "cluster "+r.job.Cluster+" has not answered", func() (bool, error) {
		cl, _ := r.cfg.Inventory.Snapshot().Cluster(r.job.Cluster)
		return !cl.At.IsZero(), cl.Err
	})
}

// end is how a creation fails. Where ctx has ended, it has not: the next
// process goes on.
func (r *run) end(ctx context.Context, why string) (jobs.State, string) {
	if ctx.Err() != nil {
		return jobs.Failed, ""
	}
	r.forget(ctx)
	if r.p.Unsure() {
		return jobs.Lost, why
	}
	return jobs.Failed, why
}

// forget gives back the number of a container that Proxmox surely never had.
func (r *run) forget(ctx context.Context) {
	if r.p.Made || r.p.Unsure() || ctx.Err() != nil {
		return
	}
	if _, err := r.cfg.Inventory.Release(ctx, r.job.Container); err != nil {
		r.cfg.Log.ErrorContext(ctx, "forget a container that was not made", "err", err) // a sweep does it
	}
}

// plan lists the steps.
func (r *run) plan() []Step {
	steps := []Step{
		{Kind: Validate, Name: "Check"},
		{Kind: Template, Name: "OS template"},
		{Kind: Make, Name: "Make the container"},
		{Kind: Start, Name: "Start"},
		{Kind: Network, Name: "Network"},
	}
	if len(r.tpl.Files) > 0 {
		steps = append(steps, Step{Kind: Files, Name: "Files"})
	}
	if r.spec.Packages && !r.tpl.Packages.Empty() {
		steps = append(steps, Step{Kind: Packages, Name: "Install packages"})
	}
	for _, i := range r.spec.Scripts {
		if i >= 0 && i < len(r.tpl.Scripts) {
			steps = append(steps, Step{Kind: RunScript, Name: r.tpl.Scripts[i].Name, Index: i})
		}
	}
	if r.in != nil {
		steps = append(steps, Step{Kind: Scan, Name: "Look for services"})
	}
	return steps
}

// step does one step, and notes how it ended.
func (r *run) step(ctx context.Context, s *Step) error {
	if s.Began.IsZero() || s.Error != "" {
		s.Began, s.Ended, s.Error = r.cfg.Now(), time.Time{}, ""
	}
	r.lines = nil
	if err := r.keep(ctx); errors.Is(err, jobs.ErrFenced) {
		return err
	}
	do := map[Kind]func(context.Context, *Step) error{
		Validate: r.validate, Template: r.template, Make: r.make, Start: r.start, Network: r.network,
		Files: r.files, Packages: r.packages, RunScript: r.script, Scan: r.scan,
	}[s.Kind]
	if do == nil {
		return fmt.Errorf("there is no step %s", s.Kind)
	}
	err := do(ctx, s)
	if ctx.Err() != nil || errors.Is(err, jobs.ErrFenced) {
		return cmp.Or(ctx.Err(), err)
	}
	s.Ended = r.cfg.Now()
	if err != nil {
		s.Error = cmp.Or(jobs.Reason(err), "it did not work")
	}
	upid := r.p.UPID
	if _, unsure := errors.AsType[*unsureError](err); !unsure {
		r.p.UPID, r.p.SubmittedAt = "", time.Time{}
	}
	r.note(ctx, s, upid)
	if kept := r.keep(ctx); errors.Is(kept, jobs.ErrFenced) {
		return kept
	}
	return err
}

// keep saves the progress and shows it. But for [jobs.ErrFenced] the work can
// go on without: after a crash a step is found done, or done again.
func (r *run) keep(ctx context.Context) error {
	r.show(ctx, true)
	r.job.Progress = r.p.String()
	err := r.save(ctx)
	if err != nil && !errors.Is(err, jobs.ErrFenced) && ctx.Err() == nil {
		r.cfg.Log.ErrorContext(ctx, "note the progress of a creation", "err", err)
	}
	return err
}

func (r *run) show(ctx context.Context, now bool) {
	if r.cfg.Show == nil || !now && r.cfg.Now().Sub(r.shown) < showEvery {
		return
	}
	r.shown = r.cfg.Now()
	at, err := r.cfg.Show(ctx, *r.job, r.p)
	if err != nil {
		if ctx.Err() == nil {
			r.cfg.Log.WarnContext(ctx, "show the progress of a creation", "err", err)
		}
		return
	}
	r.p.Message = at
}

// say takes a line of output in.
func (r *run) say(ctx context.Context, line string) {
	line = guest.Redact(line)
	if r.lines = append(r.lines, line); len(r.lines) > linesKept {
		r.lines = r.lines[1:]
	}
	if r.p.Lines = append(r.p.Lines, line); len(r.p.Lines) > linesShown {
		r.p.Lines = r.p.Lines[1:]
	}
	r.show(ctx, false)
}

// note writes a step and its output into the timeline.
func (r *run) note(ctx context.Context, s *Step, task proxmox.UPID) {
	e := inventory.Event{
		Container: r.job.Container, At: s.Ended, Actor: r.job.Person.Name, UPID: string(task),
		Meta: map[string]string{"job": r.job.ID, "request": r.job.Request, "node": r.job.Node},
	}
	var events []inventory.Event
	for _, line := range r.lines {
		l := e
		l.Type, l.Text = inventory.EventLog, line
		events = append(events, l)
	}
	e.Type, e.Text = inventory.EventStep, s.Name+" done"
	if s.Error != "" {
		e.Text = s.Name + " failed: " + s.Error
	}
	if err := r.cfg.Events.AppendEvents(ctx, append(events, e)...); err != nil && ctx.Err() == nil {
		r.cfg.Log.ErrorContext(ctx, "append events", "err", err)
	}
}

func (r *run) ref() proxmox.Ref { return proxmox.Ref{Node: r.job.Node, VMID: r.job.VMID} }

// validate looks once more at what may have changed since the review.
func (r *run) validate(context.Context, *Step) error {
	cl, ok := r.cfg.Inventory.Snapshot().Cluster(r.job.Cluster)
	if !ok || !slices.ContainsFunc(cl.Nodes, func(n inventory.Node) bool { return n.Name == r.job.Node && n.Online }) {
		return fmt.Errorf("node %s is down", r.job.Node)
	}
	return nil
}

// template finds the OS template on the node, or downloads it there.
func (r *run) template(ctx context.Context, _ *Step) error {
	find := func() error {
		var last error
		for _, st := range r.templateStorages() {
			list, err := r.pve.OSTemplates(ctx, r.job.Node, st)
			if err != nil {
				last = err
				continue
			}
			if v, ok := catalog.Newest(list, r.tpl.OS, func(v proxmox.Volume) string { return catalog.File(v.ID) }); ok {
				r.p.OSTemplate = v.ID
				return nil
			}
		}
		return last
	}
	if err := find(); err != nil || r.p.OSTemplate != "" {
		return err
	}
	err := r.until(ctx, offerWait, "it is not known what Proxmox offers for download", func() (bool, error) {
		return !r.cfg.Catalog.Of(r.job.Cluster).At.IsZero(), nil
	})
	if err != nil {
		return err
	}
	file, ok := r.cfg.Catalog.Of(r.job.Cluster).Download(r.tpl.OS)
	if !ok {
		return fmt.Errorf("there is no OS template %s, and Proxmox offers none; run pveam update on node %s", r.tpl.OS, r.job.Node)
	}
	storages := r.templateStorages()
	if len(storages) == 0 {
		return fmt.Errorf("no storage of node %s holds OS templates", r.job.Node)
	}
	err = r.task(ctx, proxmox.TaskFilter{Type: "download"}, func(t proxmox.Task) bool { return t.ID == file }, func(ctx context.Context) (proxmox.UPID, error) {
		return r.pve.Download(ctx, r.job.Node, storages[0], file)
	})
	if err != nil {
		return err
	}
	r.p.OSTemplate = storages[0] + ":vztmpl/" + file
	return nil
}

// templateStorages are those of the node that hold OS templates, the one with
// most room first.
func (r *run) templateStorages() []string {
	cl, _ := r.cfg.Inventory.Snapshot().Cluster(r.job.Cluster)
	var names []string
	for _, st := range cl.StoragesFor(r.job.Node, "vztmpl") {
		names = append(names, st.Name)
	}
	return names
}

// make makes the container. Where its number was taken meanwhile, and nobody
// insisted on it, the next free one will do.
func (r *run) make(ctx context.Context, _ *Step) error {
	if r.p.Made && r.p.SubmittedAt.IsZero() {
		return r.whole(ctx)
	}
	keys := slices.Clone(r.spec.SSHKeys)
	if r.in != nil {
		key, err := r.in.AuthorizedKey()
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	s := r.spec
	for range 10 {
		err := r.task(ctx, proxmox.TaskFilter{Type: "vzcreate", VMID: r.job.VMID}, nil, func(ctx context.Context) (proxmox.UPID, error) {
			return r.pve.Create(ctx, proxmox.NewContainer{
				Node: r.job.Node, VMID: r.job.VMID, OSTemplate: r.p.OSTemplate, Hostname: s.Hostname, Cores: s.Cores, Memory: s.Memory, Swap: s.Swap,
				Storage: s.Storage, Disk: s.Disk, Bridge: s.Bridge, VLAN: s.VLAN, IP: s.IP, Gateway: s.Gateway, Nameserver: s.Nameserver,
				Nesting: s.Nesting, Privileged: s.Privileged, OnBoot: s.OnBoot, Tags: s.Tags, SSHKeys: keys,
				Description: "Made by pvechat for " + r.job.Person.Name + " from the template " + r.tpl.Name + ".",
			})
		})
		switch {
		case err == nil:
			r.p.Made = true
			return r.cfg.Inventory.Made(ctx, r.job.Container, r.tpl.ID, catalog.File(r.p.OSTemplate))
		case !errors.Is(err, proxmox.ErrExists):
			r.half(ctx)
			return err
		case s.Fixed || r.ending:
			return err
		}
		r.p.UPID, r.p.SubmittedAt = "", time.Time{}
		if err := r.renumber(ctx); err != nil {
			return err
		}
	}
	return errors.New("every free VMID was taken by somebody else in the same moment")
}

// whole looks at what an earlier try has left.
func (r *run) whole(ctx context.Context) error {
	switch status, err := r.pve.ContainerStatus(ctx, r.ref()); {
	case err != nil:
		return err
	case status.Lock != "":
		return fmt.Errorf("what an earlier try has left is locked (%s); clean it up, then create it anew", status.Lock)
	}
	return r.cfg.Inventory.Made(ctx, r.job.Container, r.tpl.ID, catalog.File(r.p.OSTemplate))
}

// half notes what a task has left that died with its node, or that somebody
// stopped: it can be cleaned up.
func (r *run) half(ctx context.Context) {
	if r.p.UPID == "" {
		return
	}
	if _, err := r.pve.ContainerStatus(ctx, r.ref()); err == nil {
		r.p.Made = true
	}
}

func (r *run) renumber(ctx context.Context) error {
	next, err := r.pve.NextID(ctx)
	if err != nil {
		return err
	}
	for next = max(next, 100); ; next++ {
		err := r.cfg.Inventory.Renumber(ctx, r.job.Container, next)
		if err == nil {
			r.job.VMID = next
			return nil // kept before the request
		}
		if !errors.Is(err, inventory.ErrTaken) {
			return err
		}
	}
}

// start starts the container and waits until it runs.
func (r *run) start(ctx context.Context, _ *Step) error {
	status, err := r.pve.ContainerStatus(ctx, r.ref())
	if err != nil {
		return err
	}
	if status.Status != "running" {
		err := r.task(ctx, proxmox.TaskFilter{VMID: r.job.VMID}, func(t proxmox.Task) bool { return t.Type == "vzstart" || t.Type == "hastart" }, func(ctx context.Context) (proxmox.UPID, error) {
			return r.pve.Power(ctx, r.ref(), proxmox.PowerAction{Verb: proxmox.Start})
		})
		if err != nil && !errors.Is(err, proxmox.ErrAlreadyRunning) {
			return err
		}
	}
	return r.until(ctx, startWithin, "it does not run", func() (bool, error) {
		status, err := r.pve.ContainerStatus(ctx, r.ref())
		if err != nil {
			return false, err
		}
		return status.Status == "running", r.cfg.Inventory.Observe(ctx, r.job.Container, status.Container)
	})
}

// network waits for an address, and for the container to let pvechat in.
func (r *run) network(ctx context.Context, _ *Step) error {
	err := r.until(ctx, addressWait, "it has no address; look at its network ("+r.spec.IP+" on "+r.spec.Bridge+")", func() (bool, error) {
		nics, err := r.pve.Interfaces(ctx, r.ref())
		if err != nil {
			return false, err
		}
		for _, nic := range nics {
			if nic.Name != "eth0" { // what it has made itself leads nowhere
				continue
			}
			for _, a := range nic.Addrs {
				if ip := a.Addr(); ip.Is4() && !ip.IsLinkLocalUnicast() {
					r.p.Addr = ip.String()
					return true, nil
				}
			}
		}
		return false, nil
	})
	if err != nil || r.in == nil {
		return err
	}
	var last error
	err = r.until(ctx, loginWithin, "pvechat cannot log in", func() (bool, error) {
		last = r.in.Ping(ctx, r.target())
		var e *guest.Error
		if errors.As(last, &e) && e.Kind == guest.HostKeyUnknown && e.HostKey != "" {
			// Nobody else has had this container: the first key is its own.
			return false, r.cfg.HostKeys.AcceptHostKey(ctx, r.job.Container, e.HostKey, "pvechat, which made it", r.cfg.Now())
		}
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}

func (r *run) target() guest.Target {
	t := guest.Target{ID: string(r.job.Container), Node: r.job.Node, VMID: r.job.VMID}
	if ip, err := netip.ParseAddr(r.p.Addr); err == nil {
		t.Addrs = []netip.Addr{ip}
	}
	return t
}

// entered is the guest, or why there is none.
func (r *run) entered() (Guest, error) {
	if r.in == nil {
		return nil, fmt.Errorf("pvechat has no SSH access to cluster %s", r.job.Cluster)
	}
	return r.in, nil
}

func (r *run) files(ctx context.Context, _ *Step) error {
	in, err := r.entered()
	if err != nil {
		return err
	}
	for _, f := range r.tpl.Files {
		r.say(ctx, f.Target)
		err := in.Put(ctx, r.target(), guest.File{
			Path: f.Target, Mode: f.Perm(), Content: []byte(f.Content), Keep: f.Policy == templates.Default, Backup: f.Policy == templates.Backup,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Target, err)
		}
	}
	return nil
}

// installers run package managers; the names were checked when the template was
// read, and hold nothing that a shell would look at.
var installers = map[string]string{
	"apt": "export DEBIAN_FRONTEND=noninteractive\napt-get -q update\napt-get -q -y --no-install-recommends install ",
	"apk": "apk update\napk add ",
	"dnf": "dnf -y install ",
	"pip": "export PIP_BREAK_SYSTEM_PACKAGES=1\npython3 -m pip install --no-input ",
	"npm": "npm install --global --no-fund --no-audit ",
}

func (r *run) packages(ctx context.Context, _ *Step) error {
	for _, m := range r.tpl.Packages.ByManager() {
		if len(m.Names) == 0 {
			continue
		}
		if err := r.shell(ctx, installers[m.Manager]+strings.Join(m.Names, " "), packagesTime); err != nil {
			return fmt.Errorf("%s: %w", m.Manager, err)
		}
	}
	return nil
}

func (r *run) script(ctx context.Context, s *Step) error {
	if s.Index >= len(r.tpl.Scripts) {
		return errors.New("the template has changed since; this script is not in it any more")
	}
	return r.shell(ctx, r.tpl.Scripts[s.Index].Run, r.tpl.Scripts[s.Index].Within())
}

func (r *run) shell(ctx context.Context, text string, within time.Duration) error {
	in, err := r.entered()
	if err != nil {
		return err
	}
	err = in.Run(ctx, r.target(), guest.Script{Text: text, Within: within, Line: func(line string) { r.say(ctx, line) }})
	if status, ok := guest.StatusOf(err); ok {
		last := "it printed nothing"
		if len(r.lines) > 0 {
			last = r.lines[len(r.lines)-1]
		}
		return fmt.Errorf("exit code %d: %s", status, last)
	}
	return err
}

// scan looks for services; that it does not work is no reason to fail.
func (r *run) scan(ctx context.Context, _ *Step) error {
	if r.cfg.Scan == nil {
		return nil
	}
	if err := r.cfg.Scan(ctx, r.job.Container); err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "look for the services of a new container", "err", err)
	}
	return nil
}

// task sends a request once and follows its task. After a crash, or where the
// answer was lost, the task is looked for instead; a request that may have been
// received is never sent again.
func (r *run) task(ctx context.Context, f proxmox.TaskFilter, is func(proxmox.Task) bool, send func(context.Context) (proxmox.UPID, error)) error {
	if r.p.UPID == "" && r.p.SubmittedAt.IsZero() {
		r.p.SubmittedAt = r.cfg.Now().Add(r.cfg.Inventory.Skew(r.job.Cluster))
		switch err := r.keep(ctx); {
		case errors.Is(err, jobs.ErrFenced):
			return err
		case ctx.Err() != nil: // nothing was sent
			r.p.SubmittedAt = time.Time{}
			r.job.Progress = r.p.String()
			_ = r.save(context.WithoutCancel(ctx)) // or the next process looks for it in vain
			return ctx.Err()
		case err != nil:
			return errors.New("the database did not answer; nothing was sent")
		}
		upid, err := send(ctx)
		var refused *proxmox.APIError
		switch {
		case err == nil:
			r.p.UPID = upid
		case proxmox.NotSent(err), errors.As(err, &refused):
			return err
		default:
			r.cfg.Log.WarnContext(ctx, "no answer to a request; looking for its task", "err", err)
		}
	}
	if r.p.UPID == "" {
		if err := r.adopt(ctx, f, is); err != nil {
			return err
		}
	}
	if err := r.keep(ctx); errors.Is(err, jobs.ErrFenced) {
		return err
	}
	return r.follow(ctx)
}

// unsureError says that nobody can tell what has become of a request.
type unsureError struct{ error }

func (e *unsureError) Unwrap() error { return e.error }

// adopt looks for the task of a request whose answer was lost, twice.
func (r *run) adopt(ctx context.Context, f proxmox.TaskFilter, is func(proxmox.Task) bool) error {
	f.Since, f.Source, f.Limit = r.p.SubmittedAt.Add(-time.Second), "all", 50
	began := r.cfg.Now()
	for look := 0; look < 2; {
		tasks, err := r.pve.Tasks(ctx, r.job.Node, f)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && r.cfg.Now().Sub(began) > silence:
			return &unsureError{err}
		case err != nil:
			if err := pace.Sleep(ctx, pollEvery); err != nil {
				return err
			}
			continue
		}
		tasks = slices.DeleteFunc(tasks, func(t proxmox.Task) bool {
			user := t.User
			if t.TokenID != "" {
				user += "!" + t.TokenID
			}
			return user != r.cfg.TokenUser[r.job.Cluster] || t.Start.Before(f.Since) || is != nil && !is(t)
		})
		switch len(tasks) {
		case 0:
			if look++; look < 2 {
				if err := pace.Sleep(ctx, lookAgain); err != nil {
					return err
				}
			}
		case 1:
			r.p.UPID = tasks[0].UPID
			return nil
		default:
			return &unsureError{errors.New("several tasks could be the one that was asked for; look at Proxmox")}
		}
	}
	return errors.New("it was not sent, as far as Proxmox shows")
}

// follow polls the task to its end, and takes in what it logs.
func (r *run) follow(ctx context.Context) error {
	heard, seen := r.cfg.Now(), 0
	for {
		st, err := r.pve.TaskStatus(ctx, r.p.UPID)
		if err == nil {
			heard = r.cfg.Now()
			if log, logErr := r.pve.TaskLog(ctx, r.p.UPID, seen, 100); logErr == nil {
				for _, line := range log.Lines {
					r.say(ctx, line)
				}
				seen += len(log.Lines)
			}
		}
		var refused *proxmox.APIError
		switch {
		case err == nil && !st.Running && st.OK():
			return nil
		case err == nil && !st.Running:
			return &proxmox.APIError{Status: 500, Message: st.Exit} // a task dies of the same texts
		case err == nil:
		case errors.As(err, &refused) && refused.Status == 400:
			return &unsureError{errors.New("Proxmox does not know the task any more")}
		case r.cfg.Now().Sub(heard) > silence:
			return &unsureError{err}
		}
		if err := pace.Sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// until waits for something to be so. Errors of asking are those of a moment,
// until the time is over.
func (r *run) until(ctx context.Context, within time.Duration, otherwise string, is func() (bool, error)) error {
	deadline := r.cfg.Now().Add(within)
	for {
		ok, err := is()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case ok:
			return err
		case r.cfg.Now().After(deadline):
			if err != nil {
				return err
			}
			return fmt.Errorf("after %s %s", within, otherwise)
		}
		if err := pace.Sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}
