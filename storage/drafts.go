package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/jobs"
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

// DropDraft forgets a person's draft, where there is one.
func (db *DB) DropDraft(ctx context.Context, id, person string) error {
	err := dropDraft(ctx, db.bun, id, person)
	if err != nil && !errors.Is(err, jobs.ErrNoDraft) {
		return fmt.Errorf("storage: dropping a draft: %w", err)
	}
	return nil
}

// dropDraft returns [jobs.ErrNoDraft] where there is none: of several who drop
// it at once, one does.
func dropDraft(ctx context.Context, db bun.IDB, id, person string) error {
	n, err := changed(db.NewDelete().Model((*draftRow)(nil)).Where("id = ?", text(id)).Where("person = ?", text(person)).Exec(ctx))
	if err == nil && n == 0 {
		return jobs.ErrNoDraft
	}
	return err
}

// PurgeDrafts removes drafts that nobody has touched for so long.
func (db *DB) PurgeDrafts(ctx context.Context, age time.Duration) (int, error) {
	n, err := changed(db.bun.NewDelete().Model((*draftRow)(nil)).Where("updated_at <= ?", db.engine.in(-age)).Exec(ctx))
	if err != nil {
		return 0, fmt.Errorf("storage: removing old drafts: %w", err)
	}
	return int(n), nil
}
