package alerts

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

// Kind says what an incident is about; an incident's key begins with it.
type Kind string

// Kinds of incidents.
const (
	Down     Kind = "down"     // a container that nobody stopped
	Many     Kind = "many"     // several at once
	Services Kind = "services" // inside a container
	HostKey  Kind = "hostkey"  // of a container
	NodeKey  Kind = "nodekey"  // of a node that containers are entered through
	Resource Kind = "resource" // above a threshold for a time
	Node     Kind = "node"
	Cluster  Kind = "cluster"
	Job      Kind = "job"
	Expiry   Kind = "expiry" // of a certificate or token
	Drift    Kind = "drift"
	Platform Kind = "platform"
	Rules    Kind = "rules"
)

// Severity is how bad it is, for the routes.
type Severity string

// Severities.
const (
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// Severity of incidents of a kind.
func (k Kind) Severity() Severity {
	switch k {
	case Services, Resource, Job, Expiry, Rules:
		return Warning
	}
	return Critical
}

// Incident is something wrong that the ops channels are told of once. There is
// one open incident for a key.
type Incident struct {
	ID       string
	Key      string // kind and what it is about: "cluster:home", "node:home/pve3", "down:7f3k2"
	Cluster  string
	Text     string // the alert in a sentence
	OpenedAt time.Time
	ClosedAt time.Time // zero while it lasts
	ToldAt   time.Time // when its end had been told; zero before
	Posts    []Post    // where it was told
	Details
}

// Details are what only the alerts themselves look at.
type Details struct {
	Alert   view.Alert `json:"alert"`
	Kind    Kind       `json:"kind"`
	Tags    []string   `json:"tags,omitempty"` // of the container, for the routes
	Members []Member   `json:"members,omitempty"`
	Total   int        `json:"total,omitempty"` // members that there ever were
	Shown   string     `json:"shown,omitempty"` // what its messages show
	Reason  string     `json:"reason,omitempty"`

	// Telling are the platforms on which a process is telling it, or was when it
	// ended.
	Telling []chat.PlatformName `json:"telling,omitempty"`
}

// Member is a container of an incident that is about several.
type Member struct {
	ID     inventory.ID `json:"id"`
	Name   string       `json:"name"`
	Action string       `json:"action,omitempty"` // of a failed job
}

// Post is one message about an incident.
type Post struct {
	Platform chat.PlatformName `json:"platform"`
	Channel  string            `json:"channel"`
	Message  string            `json:"message"`
}

// Mute keeps a key from being told.
type Mute struct {
	Key      string
	Incident string    // the one that it was muted at
	Title    string    // what it is about, in words
	Until    time.Time // zero: no end
	Back     bool      // until the incident is over
	By       string
	At       time.Time
}

// Store keeps incidents and mutes.
type Store interface {
	// OpenIncident inserts it unless one with its key is open; it reports
	// whether it did.
	OpenIncident(ctx context.Context, i Incident) (bool, error)
	// ReopenIncident opens the newest incident of a key again that was closed
	// after a time, unless one is open.
	ReopenIncident(ctx context.Context, key string, closedAfter time.Time) (Incident, bool, error)
	// SaveIncident keeps the text, the details and the posts of an incident.
	SaveIncident(ctx context.Context, i Incident) error
	// CloseIncident closes the open incident of a key, if there is one, and
	// returns it.
	CloseIncident(ctx context.Context, key string, at time.Time) (Incident, bool, error)
	// EndTold notes that the end of an incident was told.
	EndTold(ctx context.Context, id string, at time.Time) error
	OpenIncidents(ctx context.Context) ([]Incident, error)
	// UntoldEnds returns closed incidents whose end is still to be told.
	UntoldEnds(ctx context.Context) ([]Incident, error)
	Incident(ctx context.Context, id string) (Incident, bool, error)

	SetMute(ctx context.Context, m Mute) error
	DropMute(ctx context.Context, key string) error
	Mutes(ctx context.Context) ([]Mute, error)
}
