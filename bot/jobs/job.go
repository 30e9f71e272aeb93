package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// Action is what a job does to a container.
type Action string

// The actions.
const (
	Start    Action = "start"
	Shutdown Action = "shutdown"
	Restart  Action = "restart"
	Stop     Action = "stop"
	Delete   Action = "delete"
	Create   Action = "create"

	// Download and Remove are of an OS template, not of a container.
	Download Action = "download"
	Remove   Action = "remove"
)

// OfTemplate reports whether the action is about an OS template.
func (a Action) OfTemplate() bool { return a == Download || a == Remove }

// State is how far a job is.
type State string

// Job states. The first two are open, the others final.
const (
	Submitting State = "submitting" // the row is there, the request may or may not have been sent
	Running    State = "running"    // Proxmox gave a task
	Succeeded  State = "succeeded"
	Warned     State = "warned" // succeeded with warnings
	Failed     State = "failed"
	Superseded State = "superseded" // a forced stop took its place, or a person cancelled it
	Moot       State = "moot"       // it was so already: nothing was sent
	Lost       State = "unknown"    // nobody can tell whether Proxmox got it
)

// Open reports whether a job in this state is still under way.
func (s State) Open() bool { return s == Submitting || s == Running }

// Job is one action on one container, asked by one person.
type Job struct {
	ID        string
	Container inventory.ID // or what stands for an OS template
	Cluster   string
	Node      string
	VMID      int
	Name      string // of the container, when it was asked; the file of an OS template
	Action    Action
	Forced    bool // a Force stop
	Leftovers bool // a deletion takes the volumes of its VMID along that its config does not name
	State     State
	UPID      proxmox.UPID // "" until Proxmox gave one
	Error     string       // why it failed, in the system's own words
	Warnings  int
	Tail      []string // the last lines of a failed task's log; not stored

	Spec      string // of a Create, Download or Remove: what is to be made, as bot/create writes it
	Progress  string // of that: how far it is
	Draft     string // of a Create: the draft of Person that it is made of, which goes when the job comes; not stored
	Cancelled string // of a Create: why it is to end early, "cancelled by Ana"; "": it is not

	Batch     string // ties together what one person asked of several containers at once; "" for none
	BatchSize int    // how many of them there are

	Person  chat.Person // Groups are not kept
	Channel string      // where it was asked; "" in a panel that does not know
	Request string      // the id that ties log lines together

	CreatedAt   time.Time
	SubmittedAt time.Time // just before the request, by the cluster's clock; zero until then
	FinishedAt  time.Time
	NotifiedAt  time.Time // when the outcome had been told; zero: still to be told

	Holder     string // the process that works on it
	Fence      int64  // rises with every holder; a write with an old one is refused
	LeaseUntil time.Time
}

// BusyError says that a container has an open job.
type BusyError struct{ Job Job }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s of %s is under way since %s", e.Job.Action, e.Job.Container, e.Job.CreatedAt.Format(time.TimeOnly))
}

// Store keeps jobs. Leases run on the database's clock. Every write of a job
// names its fence and changes nothing, returning [ErrFenced], when another
// process has taken the job over.
type Store interface {
	// CreateJob inserts an open job, held by j.Holder for the lease, with its
	// fence 1. It returns [ErrRepeated] where there is a job of its ID, and
	// *BusyError where the container has an open one,
	// unless that is supersede: then that one becomes superseded in the same
	// transaction. So is its Draft dropped; it returns [ErrNoDraft] where there
	// is none (any more).
	CreateJob(ctx context.Context, j Job, lease time.Duration, supersede string) (Job, error)

	// ClaimJob takes over one open job whose lease has ended, if there is one.
	ClaimJob(ctx context.Context, holder string, lease time.Duration) (Job, bool, error)

	// RenewJob also tells whether somebody has cancelled the job, and why.
	RenewJob(ctx context.Context, id string, fence int64, lease time.Duration) (cancelled string, err error)
	// MarkSubmitting notes that a request is about to be sent; a task of an
	// earlier one is forgotten.
	MarkSubmitting(ctx context.Context, id string, fence int64, at time.Time, node string) error
	MarkRunning(ctx context.Context, id string, fence int64, upid proxmox.UPID) error
	FinishJob(ctx context.Context, id string, fence int64, state State, reason string, warnings int) error
	// HoldOutcome takes, or keeps, the telling of a finished job for the lease.
	// It reports false where another process has that, or it was told already.
	HoldOutcome(ctx context.Context, id, holder string, lease time.Duration) (bool, error)
	MarkNotified(ctx context.Context, id string) error

	// SaveProgress notes how far a Create is, and the VMID that it has by now.
	// It tells of a cancellation as RenewJob does.
	SaveProgress(ctx context.Context, id string, fence int64, vmid int, progress string) (cancelled string, err error)

	// CancelJob asks an open job to end early, whoever holds it, and reports
	// whether it was open. Of several reasons the first stays.
	CancelJob(ctx context.Context, id, reason string) (bool, error)

	Job(ctx context.Context, id string) (Job, bool, error)
	LastJob(ctx context.Context, container inventory.ID, a Action) (Job, bool, error) // open or not
	OpenJobs(ctx context.Context) ([]Job, error)
	UnnotifiedJobs(ctx context.Context) ([]Job, error) // finished, outcome still to be told
	BatchJobs(ctx context.Context, batch string) ([]Job, error)

	// PurgeJobs removes jobs whose outcome was told, and that finished longer
	// ago than that.
	PurgeJobs(ctx context.Context, age time.Duration) (int, error)
}
