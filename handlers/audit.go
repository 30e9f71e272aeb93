package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
)

// Entry is one line of the audit: who did what to which container, and how it
// ended. It never holds a value that was revealed.
type Entry struct {
	Seq       int64
	At        time.Time
	Platform  chat.PlatformName
	PersonID  string
	Person    string // display name at that time
	Action    string // the route: "start", "credentials"
	Container inventory.ID
	Target    string // the container as it was called then: "jellyfin (CT 108 on home/pve3)"
	Outcome   string // "ok", "denied", "refused", "failed", "cancelled"
	Detail    string
	Request   string // id that finds the log lines
	Job       string
}

// onContainer is an entry's target.
func onContainer(name string, vmid int, cluster, node string) string {
	return fmt.Sprintf("%s (CT %d on %s/%s)", name, vmid, cluster, node)
}

// Recorder appends to the audit.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}

// AuditPage asks for one page of the audit, newest first. What is zero does not
// narrow it.
type AuditPage struct {
	Container inventory.ID
	Person    string // an id, or a name in any case
	Since     time.Time
	Before    int64 // only entries with a smaller Seq
	Limit     int
}

// AuditLog is where the audit is read, and where outcomes are added to it.
type AuditLog interface {
	AuditPage(ctx context.Context, p AuditPage) ([]Entry, error)
	// RecordOnce appends an outcome of e.Job, unless it is there.
	RecordOnce(ctx context.Context, e Entry) error
}

// Confirmation is a question that one person was asked about one container, or
// about several. It is valid once, and for a short time.
type Confirmation struct {
	Token     string
	Person    string // chat.Person.Key
	Container inventory.ID
	Action    string
	Subject   string // the ids of several containers, between commas
}

// Confirmations keeps questions that wait for an answer.
type Confirmations interface {
	// Ask stores c for the lifetime by the database's clock.
	Ask(ctx context.Context, c Confirmation, lifetime time.Duration) error
	// Question returns what a person was asked with a token, while that waits.
	Question(ctx context.Context, token, person string) (Confirmation, bool, error)
	// Redeem takes c away and reports whether it was there, unspoilt, and
	// still valid. A second call with the same token finds nothing. One of
	// another person, container or action is left alone.
	Redeem(ctx context.Context, c Confirmation) (bool, error)
}

// Repeats tells a first delivery from a second one.
type Repeats interface {
	// First reports whether key is new: it is remembered for an hour, and so is
	// one of which a job was made, for as long as that is.
	First(ctx context.Context, key string) (bool, error)
}
