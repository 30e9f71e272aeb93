package storage

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/uptrace/bun"
)

// refusals remembers that the database took nothing when it was last written
// to: reads go on then, so that no Ping would tell. It is a [bun.QueryHook].
type refusals struct {
	engine engine
	last   atomic.Pointer[error] // nil: none
}

func (r *refusals) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (r *refusals) AfterQuery(_ context.Context, e *bun.QueryEvent) { r.note(e.Err) }

func (r *refusals) note(err error) {
	if err != nil && r.engine.refuses(err) {
		r.last.Store(&err)
	}
}

// writable reports whether the database takes what is written. As long as it
// was not seen to refuse anything nothing is written to find out.
func (db *DB) writable(ctx context.Context) error {
	last := db.refusals.last.Load()
	if last == nil {
		return nil
	}
	err := db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		probe := leaseRow{Name: "pvechat/writable", Holder: "pvechat"}
		if _, err := tx.NewInsert().Model(&probe).Value("expires_at", "?", db.engine.in(0)).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewDelete().Model(&probe).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("storage: %s takes nothing: %w", db.engine.product(), err)
	}
	db.refusals.last.CompareAndSwap(last, nil)
	return nil
}
