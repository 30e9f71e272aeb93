package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

type clusterRow struct {
	bun.BaseModel `bun:"table:clusters,alias:cl"`

	Name    text  `bun:"name,pk"`
	Claimed int64 `bun:"claimed,notnull"` // start of the last claimed period, µs since 1970
}

// ClaimTick reports whether this process is the first to claim the period of
// the database's clock. Periods begin at multiples of their length.
func (db *DB) ClaimTick(ctx context.Context, cluster string, period time.Duration) (bool, error) {
	if period < time.Microsecond {
		return false, fmt.Errorf("storage: claiming a tick: no period: %s", period)
	}
	first, err := db.engine.claimTick(ctx, db.bun, cluster, period)
	if err != nil {
		return false, fmt.Errorf("storage: claiming a tick: %w", err)
	}
	return first, nil
}

// claimTick keeps the period's start rather than its number: numbers of a
// longer period are smaller, and would never be claimed after a shorter one.
func (postgres) claimTick(ctx context.Context, db *bun.DB, cluster string, period time.Duration) (bool, error) {
	us := period.Microseconds()
	n, err := changed(db.NewRaw(`
		INSERT INTO clusters AS cl (name, claimed)
		VALUES (?, floor(extract(epoch FROM now()) * 1000000 / ?)::bigint * ?)
		ON CONFLICT (name) DO UPDATE SET claimed = EXCLUDED.claimed WHERE cl.claimed < EXCLUDED.claimed`,
		text(cluster), us, us).Exec(ctx))
	return n == 1, err
}

func (sqlite) claimTick(context.Context, *bun.DB, string, time.Duration) (bool, error) {
	return true, nil
}
