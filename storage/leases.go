package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// A lease is what one of several processes holds for a time, by the database's
// clock. A SQLite file has one process at a time, which therefore holds all
// leases; nothing is written there.
type leaseRow struct {
	bun.BaseModel `bun:"table:leases,alias:l"`

	Name      text   `bun:"name,pk"`
	Holder    text   `bun:"holder,notnull"`
	ExpiresAt moment `bun:"expires_at,notnull"`
}

// TakeLease gives a lease to holder for d from now, or prolongs it, unless
// somebody else has it. It returns who has it then.
func (db *DB) TakeLease(ctx context.Context, name, holder string, d time.Duration) (string, error) {
	if !db.engine.shared() {
		return holder, nil
	}
	row := leaseRow{Name: text(name), Holder: text(holder)}
	for {
		n, err := changed(db.keepLeases([]leaseRow{row}, d).
			Where("l.holder = EXCLUDED.holder OR l.expires_at <= ?", db.engine.in(0)).
			Exec(ctx))
		if err == nil && n == 1 {
			return holder, nil
		}
		var has leaseRow
		found := false
		if err == nil {
			has, found, err = one[leaseRow](ctx, db.bun.NewSelect().Where("name = ?", row.Name))
		}
		if err != nil {
			return "", fmt.Errorf("storage: taking the lease %s: %w", name, err)
		}
		if found { // else it was dropped in between
			return string(has.Holder), nil
		}
	}
}

// SeizeLeases gives leases to holder for d from now, whoever has them.
func (db *DB) SeizeLeases(ctx context.Context, holder string, d time.Duration, names ...string) error {
	if !db.engine.shared() || len(names) == 0 {
		return nil
	}
	rows := make([]leaseRow, len(names))
	for i, name := range names {
		rows[i] = leaseRow{Name: text(name), Holder: text(holder)}
	}
	if _, err := db.keepLeases(rows, d).Exec(ctx); err != nil {
		return fmt.Errorf("storage: taking leases: %w", err)
	}
	return nil
}

func (db *DB) keepLeases(rows []leaseRow, d time.Duration) *bun.InsertQuery {
	return db.bun.NewInsert().Model(&rows).
		Value("expires_at", "?", db.engine.in(d)).
		On("CONFLICT (name) DO UPDATE").
		Set("holder = EXCLUDED.holder").
		Set("expires_at = EXCLUDED.expires_at").
		Returning("NULL")
}

// LeaseHeldElsewhere reports whether somebody but holder has a lease whose name
// begins so.
func (db *DB) LeaseHeldElsewhere(ctx context.Context, prefix, holder string) (bool, error) {
	if !db.engine.shared() {
		return false, nil
	}
	there, err := db.bun.NewSelect().Model((*leaseRow)(nil)).
		Where("starts_with(name, ?)", text(prefix)). // PostgreSQL's own: only its databases are shared
		Where("holder <> ?", text(holder)).
		Where("expires_at > ?", db.engine.in(0)).
		Exists(ctx)
	if err != nil {
		return false, fmt.Errorf("storage: looking for the lease %s: %w", prefix, err)
	}
	return there, nil
}

// DropLease lets others have a lease at once, if holder has it.
func (db *DB) DropLease(ctx context.Context, name, holder string) error {
	if !db.engine.shared() {
		return nil
	}
	_, err := db.bun.NewDelete().Model((*leaseRow)(nil)).Where("name = ?", text(name)).Where("holder = ?", text(holder)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: dropping the lease %s: %w", name, err)
	}
	return nil
}

// PurgeLeases removes those that have ended.
func (db *DB) PurgeLeases(ctx context.Context) error {
	if _, err := db.bun.NewDelete().Model((*leaseRow)(nil)).Where("expires_at <= ?", db.engine.in(0)).Exec(ctx); err != nil {
		return fmt.Errorf("storage: removing old leases: %w", err)
	}
	return nil
}
