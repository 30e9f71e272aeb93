package storage

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/live"
)

type boardRow struct {
	bun.BaseModel `bun:"table:boards,alias:b"`

	Platform  text   `bun:"platform,pk"`
	Channel   text   `bun:"channel,pk"`
	Message   text   `bun:"message,notnull"`
	Filter    text   `bun:"filter,notnull"`
	Digest    text   `bun:"digest,notnull"`
	ChangedAt moment `bun:"changed_at,notnull"`
	EditedAt  moment `bun:"edited_at,notnull"`
	CreatedBy text   `bun:"created_by,notnull"`
}

func rowOfBoard(b live.Board) boardRow {
	return boardRow{
		Platform:  text(b.Platform),
		Channel:   text(b.Channel),
		Message:   text(b.Message),
		Filter:    text(b.Filter),
		Digest:    text(b.Digest),
		ChangedAt: moment{b.ChangedAt},
		EditedAt:  moment{b.EditedAt},
		CreatedBy: text(b.CreatedBy),
	}
}

func (r boardRow) board() live.Board {
	return live.Board{
		Platform:  chat.PlatformName(r.Platform),
		Channel:   string(r.Channel),
		Message:   string(r.Message),
		Filter:    string(r.Filter),
		Digest:    string(r.Digest),
		ChangedAt: r.ChangedAt.Time,
		EditedAt:  r.EditedAt.Time,
		CreatedBy: string(r.CreatedBy),
	}
}

var _ live.Store = (*DB)(nil)

// Boards returns all boards, by platform and channel.
func (db *DB) Boards(ctx context.Context) ([]live.Board, error) {
	var rows []boardRow
	if err := db.bun.NewSelect().Model(&rows).Order("platform", "channel").Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading boards: %w", err)
	}
	boards := make([]live.Board, len(rows))
	for i, r := range rows {
		boards[i] = r.board()
	}
	return boards, nil
}

// PutBoard makes b the board of its channel and returns the one that was. Of
// several at once each gets the one before it, so that none is forgotten.
func (db *DB) PutBoard(ctx context.Context, b live.Board) (before live.Board, existed bool, err error) {
	err = db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for {
			row := rowOfBoard(b)
			n, err := changed(tx.NewInsert().Model(&row).On("CONFLICT (platform, channel) DO NOTHING").Exec(ctx))
			if err != nil || n == 1 {
				return err
			}
			old, found, err := one[boardRow](ctx, db.engine.lockRow(tx.NewSelect().
				Where("platform = ?", row.Platform).
				Where("channel = ?", row.Channel)))
			if err != nil {
				return err
			}
			if !found { // dropped in between
				continue
			}
			before, existed = old.board(), true
			_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
			return err
		}
	})
	if err != nil {
		return live.Board{}, false, fmt.Errorf("storage: putting a board: %w", err)
	}
	return before, existed, nil
}

// TouchBoard notes the digest and the times of b, unless its channel's board
// is another message by now.
func (db *DB) TouchBoard(ctx context.Context, b live.Board) (bool, error) {
	row := rowOfBoard(b)
	n, err := changed(db.bun.NewUpdate().Model(&row).
		Column("digest", "changed_at", "edited_at").
		WherePK().
		Where("message = ?", row.Message).
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: touching a board: %w", err)
	}
	return n == 1, nil
}

// MoveBoard makes b the board of its channel, unless the one there is not that
// message any more.
func (db *DB) MoveBoard(ctx context.Context, message string, b live.Board) (bool, error) {
	row := rowOfBoard(b)
	n, err := changed(db.bun.NewUpdate().Model(&row).
		Column("message", "digest", "changed_at", "edited_at").
		WherePK().
		Where("message = ?", text(message)).
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: moving a board: %w", err)
	}
	return n == 1, nil
}

// DropBoard forgets a channel's board if it is that message.
func (db *DB) DropBoard(ctx context.Context, platform chat.PlatformName, channel, message string) error {
	_, err := db.bun.NewDelete().Model((*boardRow)(nil)).
		Where("platform = ?", text(platform)).
		Where("channel = ?", text(channel)).
		Where("message = ?", text(message)).
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: dropping a board: %w", err)
	}
	return nil
}
