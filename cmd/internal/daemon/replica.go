package daemon

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/storage"
)

// replica is this process among those that share a database.
type replica struct {
	name  string
	app   string        // at Discord
	every time.Duration // it refreshes
	db    *storage.DB   // of Run; nothing asks before
}

var (
	_ discord.Lease   = (*replica)(nil)
	_ live.Replicas   = (*replica)(nil)
	_ alerts.Replicas = (*replica)(nil)
)

// Names of leases.
const (
	gateway  = "gateway/"  // before the id of an application of Discord
	panel    = "panel/"    // before a surface
	incident = "incident/" // before an id
	reach    = "reach/"    // before what is reached, and by whom
)

// claimFor is longer than any process takes to see that it shows a panel no
// more, which it does at its next refresh.
const claimFor = time.Hour

// Take implements [discord.Lease].
func (r *replica) Take(ctx context.Context, d time.Duration) (other string, err error) {
	if other, err = r.db.TakeLease(ctx, gateway+r.app, r.name, d); other == r.name {
		other = ""
	}
	return other, err
}

// Drop implements [discord.Lease].
func (r *replica) Drop(ctx context.Context) error { return r.db.DropLease(ctx, gateway+r.app, r.name) }

// Claim implements [live.Replicas].
func (r *replica) Claim(ctx context.Context, surfaces ...string) error {
	names := make([]string, len(surfaces))
	for i, s := range surfaces {
		names[i] = panelName(s)
	}
	return r.db.SeizeLeases(ctx, r.name, claimFor, names...)
}

// Claimed implements [live.Replicas].
func (r *replica) Claimed(ctx context.Context, surface string) (bool, error) {
	return r.db.LeaseHeldElsewhere(ctx, panelName(surface), r.name)
}

// panelName begins no other panel's name.
func panelName(surface string) string { return panel + surface + "/" }

// Tells implements [alerts.Replicas].
func (r *replica) Tells(ctx context.Context, id string) (bool, error) {
	has, err := r.db.TakeLease(ctx, incident+id, r.name, time.Minute)
	return has == r.name, err
}

// Reach implements [alerts.Replicas].
func (r *replica) Reach(ctx context.Context, what ...string) error {
	names := make([]string, len(what))
	for i, w := range what {
		names[i] = reach + w + "/" + r.name
	}
	return r.db.SeizeLeases(ctx, r.name, 3*r.every, names...)
}

// Reached implements [alerts.Replicas].
func (r *replica) Reached(ctx context.Context, what string) (bool, error) {
	return r.db.LeaseHeldElsewhere(ctx, reach+what+"/", r.name)
}
