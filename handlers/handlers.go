package handlers

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Proxmox is what a detail reads of one container; *proxmox.Client has it.
type Proxmox interface {
	ContainerConfig(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerConfig, error)
	ContainerStatus(ctx context.Context, ref proxmox.Ref) (proxmox.ContainerStatus, error)
	Interfaces(ctx context.Context, ref proxmox.Ref) ([]proxmox.Interface, error)
	Snapshots(ctx context.Context, ref proxmox.Ref) ([]proxmox.Snapshot, error)
	DiskStorages(ctx context.Context, node string) ([]string, error)
	Volumes(ctx context.Context, ref proxmox.Ref, storage string) ([]proxmox.Volume, error)
	Samples(ctx context.Context, ref proxmox.Ref, t proxmox.Timeframe) ([]proxmox.Sample, error)
}

// Guest reads what is inside a container; *guest.Client does.
type Guest interface {
	Credentials(ctx context.Context, t guest.Target, service string, further ...guest.CredentialFile) ([]guest.CredentialSet, error)
	Logs(ctx context.Context, t guest.Target, s guest.Service) ([]string, error)
}

// Deps are what the routes work with.
type Deps struct {
	Log       *slog.Logger
	Policy    Policy
	Inventory *inventory.Inventory
	Clusters  map[string]Proxmox
	Guests    map[string]Guest // by cluster; one without SSH has none
	Services  Services         // nil: nothing is known of any
	HostKeys  HostKeyStore     // nil: nobody can accept one
	Vault     Vault            // nil: nobody can enter credentials

	// CredentialFiles are files with credentials elsewhere in a container; nil:
	// there are none.
	CredentialFiles func(*inventory.Container) []guest.CredentialFile

	// Templates are what containers are made of; nil: none are made.
	Templates func() *templates.Library
	Catalog   *catalog.Catalog
	Drafts    Drafts
	NextID    func(ctx context.Context, cluster string) (int, error) // a VMID that Proxmox has free; nil: it is guessed

	Jobs          *jobs.Runner
	Live          *live.Live
	Events        inventory.EventStore
	History       *inventory.History
	Confirmations Confirmations
	Repeats       Repeats
	Every         time.Duration // between two refreshes
	Now           func() time.Time

	// Platforms are where outcomes are told.
	Platforms []chat.Platform

	// Drift says how the database's tables differ from what they should be; ""
	// where they do not. nil: they never do.
	Drift func() string

	// Audit is read by admins, and gets the outcomes of jobs; nil: nowhere.
	Audit AuditLog

	// Alerts are listed and muted.
	Alerts *alerts.Alerts

	// Doctor examines what all stands on.
	Doctor Doctor

	Version string // of pvechat; "": unknown

	// Ops is told of jobs that ended; nil: nobody is.
	Ops func(ctx context.Context, j jobs.Job)
}

// Handlers are the routes and what they share.
type Handlers struct {
	Deps
	details *details
	sights  sights
	pending *pending
	batches batches
	rows    view.Rows
	deploys sync.Mutex // held from the last look at a draft until its job is there
}

// New makes the handlers. It does no I/O.
func New(d Deps) *Handlers {
	return &Handlers{Deps: d, details: newDetails(d), pending: newPending()}
}

// Routes lists everything that a person can do, in the order of the help.
func (h *Handlers) Routes() []Route {
	var routes []Route
	routes = append(routes, h.dashboardRoutes()...)
	routes = append(routes, h.createRoutes()...)
	routes = append(routes, h.templatesRoutes()...)
	routes = append(routes, h.osTemplateRoutes()...)
	routes = append(routes, h.detailRoutes()...)
	routes = append(routes, h.lifecycleRoutes()...)
	routes = append(routes, h.servicesRoutes()...)
	routes = append(routes, h.credentialsRoutes()...)
	routes = append(routes, h.accessRoutes()...)
	routes = append(routes, h.auditRoutes()...)
	routes = append(routes, h.alertRoutes()...)
	routes = append(routes, h.doctorRoutes()...)
	routes = append(routes, h.helpRoutes()...)
	for i, handle := range routes {
		routes[i].Handle = func(ctx context.Context, r *Request) chat.Answer {
			a := handle.Handle(ctx, r)
			if a.InPlace || a.Close || r.Kind == chat.Closed {
				h.pending.leave(r.Source)
			}
			return a
		}
	}
	return routes
}

// nameOption is the container of a command.
var nameOption = chat.Option{Name: "name", Summary: "hostname, VMID, node/name or cluster/name", Required: true, Suggest: true}

// drifted refuses what makes or removes containers while the tables are not as
// they should be: what becomes of it could not be written down.
func (h *Handlers) drifted(ctx context.Context, r *Request) *chat.Answer {
	if h.Drift == nil {
		return nil
	}
	how := h.Drift()
	if how == "" {
		return nil
	}
	h.Log.WarnContext(ctx, "refused: the tables differ", "request", r.ID, "route", r.Route.Name, "drift", how)
	r.Note("refused", "the tables differ")
	return &chat.Answer{Now: view.Trouble{
		What: "pvechat's database is not as it should be", Why: "the tables differ: " + how, Now: "Nothing was done.", Request: r.ID,
	}.Message()}
}

// severalOption is one container, or several.
var severalOption = chat.Option{Name: "name", Summary: "hostname, VMID, node/name; or several: web,db or tag:web", Required: true, Suggest: true}

// busy returns the open job of a container.
func (h *Handlers) busy(id inventory.ID) *jobs.Job {
	if j, ok := h.Jobs.Busy(id); ok {
		return &j
	}
	return nil
}

// nodeDown reports whether a container's node is known to be down.
func nodeDown(snap *inventory.Snapshot, c *inventory.Container) bool {
	cl, _ := snap.Cluster(c.Cluster)
	for _, n := range cl.Nodes {
		if n.Name == c.Node {
			return !n.Online
		}
	}
	return false
}

// may narrows a policy to one person and one container.
func (h *Handlers) may(p chat.Person, c *inventory.Container) func(access.Permission) bool {
	return func(what access.Permission) bool { return h.Policy.May(p, what, TargetOf(c)) }
}

// Commands lists what can be typed, in the order of the help.
func Commands() []chat.Command {
	var cmds []chat.Command
	for _, rt := range new(Handlers).Routes() {
		if rt.Command != nil {
			cmds = append(cmds, *rt.Command)
		}
	}
	return cmds
}
