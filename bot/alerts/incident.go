package alerts

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Incident is something wrong that the ops channel was told of once.
type Incident struct {
	ID       string
	Key      string // what is wrong, one open incident each: "cluster:home", "node:home/pve3", "down:7f3k2"
	Cluster  string
	Text     string // what was said
	OpenedAt time.Time
	ClosedAt time.Time // zero while it lasts
	Posts    []Post    // where it was said
}

// Post is one message about an incident.
type Post struct {
	Platform chat.PlatformName `json:"platform"`
	Channel  string            `json:"channel"`
	Message  string            `json:"message"`
}

// Store keeps incidents.
type Store interface {
	// OpenIncident inserts it unless one with its key is open; it reports
	// whether it did.
	OpenIncident(ctx context.Context, i Incident) (bool, error)
	SetIncidentPosts(ctx context.Context, id string, posts []Post) error
	// CloseIncident closes the open incident of a key, if there is one, and
	// returns it.
	CloseIncident(ctx context.Context, key string, at time.Time) (Incident, bool, error)
	OpenIncidents(ctx context.Context) ([]Incident, error)
}
