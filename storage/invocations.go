package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/handlers"
)

type invocationRow struct {
	bun.BaseModel `bun:"table:invocations,alias:v"`

	Key       text   `bun:"key,pk"`
	ExpiresAt moment `bun:"expires_at,notnull"`
}

// remembered is how long a delivery is told from a second one.
const remembered = time.Hour

var _ handlers.Repeats = (*DB)(nil)

// First reports whether key is new within the last hour, and no job was made of
// it.
func (db *DB) First(ctx context.Context, key string) (bool, error) {
	made, err := db.bun.NewSelect().Model((*jobRow)(nil)).Where("id = ?", text(jobs.IDOf(key))).Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("storage: looking for a delivery's job: %w", err)
	}
	if made {
		return false, nil
	}
	row := invocationRow{Key: text(key)}
	n, err := changed(db.bun.NewInsert().Model(&row).
		Value("expires_at", "?", db.engine.in(remembered)).
		On("CONFLICT (key) DO UPDATE").
		Set("expires_at = EXCLUDED.expires_at").
		Where("v.expires_at <= ?", db.engine.in(0)).
		Returning("NULL").
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: noting a delivery: %w", err)
	}
	return n == 1, nil
}

// PurgeInvocations removes deliveries that would be new if they came again.
func (db *DB) PurgeInvocations(ctx context.Context) error {
	if _, err := db.bun.NewDelete().Model((*invocationRow)(nil)).Where("expires_at <= ?", db.engine.in(0)).Exec(ctx); err != nil {
		return fmt.Errorf("storage: forgetting old deliveries: %w", err)
	}
	return nil
}
