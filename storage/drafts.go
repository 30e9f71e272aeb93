package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

type draftRow struct {
	bun.BaseModel `bun:"table:drafts,alias:d"`

	ID        text   `bun:"id,pk"`
	Person    text   `bun:"person,notnull"`
	Spec      text   `bun:"spec,notnull"`
	UpdatedAt moment `bun:"updated_at,notnull"`
}

// SaveDraft keeps what a person has chosen so far for a new container.
func (db *DB) SaveDraft(ctx context.Context, id, person, spec string) error {
	row := draftRow{ID: text(id), Person: text(person), Spec: text(spec)}
	_, err := db.bun.NewInsert().Model(&row).
		Value("updated_at", "?", db.engine.in(0)).
		On("CONFLICT (id) DO UPDATE").
		Set("spec = EXCLUDED.spec").
		Set("updated_at = EXCLUDED.updated_at").
		Where("d.person = EXCLUDED.person").
		Returning("NULL").
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: saving a draft: %w", err)
	}
	return nil
}

// Draft returns what a person has chosen; not found where it is somebody
// else's.
func (db *DB) Draft(ctx context.Context, id, person string) (spec string, found bool, err error) {
	row, found, err := one[draftRow](ctx, db.bun.NewSelect().Where("id = ?", text(id)).Where("person = ?", text(person)))
	if err != nil {
		return "", false, fmt.Errorf("storage: reading a draft: %w", err)
	}
	if !found {
		return "", false, nil
	}
	return string(row.Spec), true, nil
}

// DropDraft forgets a person's draft, and reports whether there was one: of
// several who drop it at once, one hears so.
func (db *DB) DropDraft(ctx context.Context, id, person string) (bool, error) {
	n, err := changed(db.bun.NewDelete().Model((*draftRow)(nil)).Where("id = ?", text(id)).Where("person = ?", text(person)).Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: dropping a draft: %w", err)
	}
	return n == 1, nil
}

// PurgeDrafts removes drafts that nobody has touched for so long.
func (db *DB) PurgeDrafts(ctx context.Context, age time.Duration) (int, error) {
	n, err := changed(db.bun.NewDelete().Model((*draftRow)(nil)).Where("updated_at <= ?", db.engine.in(-age)).Exec(ctx))
	if err != nil {
		return 0, fmt.Errorf("storage: removing old drafts: %w", err)
	}
	return int(n), nil
}
