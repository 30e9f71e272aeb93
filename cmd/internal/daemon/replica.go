package daemon

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/storage"
)

// replica is this process among those that share a database.
type replica struct {
	name string
	db   *storage.DB // of Run; nothing asks before
}

// Discord has one connection for all of them.
var _ discord.Lease = (*replica)(nil)

const gateway = "discord/gateway"

// Take implements [discord.Lease].
func (r *replica) Take(ctx context.Context, d time.Duration) (other string, err error) {
	if other, err = r.db.TakeLease(ctx, gateway, r.name, d); other == r.name {
		other = ""
	}
	return other, err
}

// Drop implements [discord.Lease].
func (r *replica) Drop(ctx context.Context) error { return r.db.DropLease(ctx, gateway, r.name) }
