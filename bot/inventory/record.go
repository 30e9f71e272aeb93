package inventory

import (
	"context"
	"time"
)

// ID is our own name for one container: short, opaque, never used twice. A
// VMID can be used again after a container is destroyed; an ID cannot.
type ID string

// State is what a person is told about a container.
type State string

// The five states, in the order in which boards count them.
const (
	Running  State = "running"
	Stopped  State = "stopped"
	Error    State = "error" // the last action on it failed, or Proxmox reports an error
	Unknown  State = "unknown"
	Creating State = "creating"
)

// States lists all states in the order of the summary line.
var States = [...]State{Running, Stopped, Error, Unknown, Creating}

// Record is what is remembered of a container across restarts. Measures are
// not: they are read again within a tick.
type Record struct {
	ID          ID
	Cluster     string
	VMID        int
	Hostname    string // "" where Proxmox gives none (NULL in the database)
	Node        string
	State       State  // running, stopped or unknown, as Proxmox last said; error where the last action failed
	Trouble     string // why it is in error, in the system's own words
	TroubleAt   time.Time
	Tags        string // "a;b" as Proxmox sends them
	Pool        string
	Fingerprint string // of its config, see Fingerprint; "" until it was read
	Addresses   string // fixed ones of its config, see Addresses; "" until it was read
	MadeFrom    string // the template of pvechat; "" where pvechat did not make it
	OSTemplate  string // the file that it was unpacked from: "debian-13-standard_13.1-2_amd64.tar.zst"; "" as above
	FirstSeen   time.Time
	SeenAt      time.Time // when the row last changed
	GoneAt      time.Time // zero while it exists
}

// Store keeps records.
type Store interface {
	// Containers returns all records of a cluster that are not gone.
	Containers(ctx context.Context, cluster string) ([]Record, error)

	// Save writes new and changed records in one statement.
	Save(ctx context.Context, records []Record) error

	// ClaimTick reports whether this process is the first to claim the period
	// that the database's clock is in. With an engine that one process owns,
	// it always is.
	ClaimTick(ctx context.Context, cluster string, period time.Duration) (bool, error)
}

// EventType sorts events for the filters.
type EventType string

// Event types.
const (
	EventLog      EventType = "log"      // a line of a task's log or a script's output
	EventStep     EventType = "step"     // something began or went on
	EventComplete EventType = "complete" // something ended well
	EventError    EventType = "error"    // something failed
)

// EventTypes lists all types in the order of the filters.
var EventTypes = [...]EventType{EventLog, EventStep, EventComplete, EventError}

// Event is something that happened to a container.
type Event struct {
	Seq       int64 // rises with every event; breaks ties within a second
	Container ID
	At        time.Time
	Type      EventType
	Text      string
	Actor     string            // who, in plain words: "Ana", "pvechat", "root@pam, in Proxmox"
	Meta      map[string]string // node, upid, request, … ; never a secret
	UPID      string            // the task it came from; "" for none
}

// EventPage asks for one page of a container's events, newest first.
type EventPage struct {
	Container ID
	Type      EventType // "" for all
	Before    int64     // only events that are older than the one with this Seq; 0: from the newest
	Limit     int
}

// EventStore keeps events.
type EventStore interface {
	AppendEvents(ctx context.Context, events ...Event) error
	Events(ctx context.Context, p EventPage) ([]Event, error)
	Event(ctx context.Context, container ID, seq int64) (Event, bool, error)
	EventCounts(ctx context.Context, container ID) (map[EventType]int, error)

	// HasTaskEvents reports which of the tasks have an event already.
	HasTaskEvents(ctx context.Context, container ID, upids []string) (map[string]bool, error)
}
