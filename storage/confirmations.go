package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/handlers"
)

type confirmationRow struct {
	bun.BaseModel `bun:"table:confirmations,alias:q"`

	Token       text   `bun:"token,pk"`
	Person      text   `bun:"person,notnull"`
	ContainerID text   `bun:"container_id,notnull"`
	Action      text   `bun:"action,notnull"`
	ExpiresAt   moment `bun:"expires_at,notnull"`
	Subject     text   `bun:"subject,notnull"`
}

var _ handlers.Confirmations = (*DB)(nil)

// Ask stores a question for its lifetime, and removes those that have expired.
func (db *DB) Ask(ctx context.Context, c handlers.Confirmation, lifetime time.Duration) error {
	_, err := db.bun.NewDelete().Model((*confirmationRow)(nil)).
		Where("expires_at <= ?", db.engine.in(0)).
		Exec(ctx)
	if err == nil {
		row := confirmationRow{
			Token:       text(c.Token),
			Person:      text(c.Person),
			ContainerID: text(c.Container),
			Action:      text(c.Action),
			Subject:     text(c.Subject),
		}
		_, err = db.bun.NewInsert().Model(&row).Value("expires_at", "?", db.engine.in(lifetime)).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("storage: storing a question: %w", err)
	}
	return nil
}

// Question returns what a person was asked with a token, while that waits.
func (db *DB) Question(ctx context.Context, token, person string) (handlers.Confirmation, bool, error) {
	row, found, err := one[confirmationRow](ctx, db.bun.NewSelect().
		Where("token = ?", text(token)).
		Where("person = ?", text(person)).
		Where("expires_at > ?", db.engine.in(0)))
	if err != nil {
		return handlers.Confirmation{}, false, fmt.Errorf("storage: reading a question: %w", err)
	}
	return handlers.Confirmation{
		Token: string(row.Token), Person: string(row.Person), Container: inventory.ID(row.ContainerID),
		Action: string(row.Action), Subject: string(row.Subject),
	}, found, nil
}

// Redeem takes a question away if person, container and action are the same and
// it has not expired. Of several calls at once one succeeds.
func (db *DB) Redeem(ctx context.Context, c handlers.Confirmation) (bool, error) {
	n, err := changed(db.bun.NewDelete().Model((*confirmationRow)(nil)).
		Where("token = ?", text(c.Token)).
		Where("person = ?", text(c.Person)).
		Where("container_id = ?", text(c.Container)).
		Where("action = ?", text(c.Action)).
		Where("expires_at > ?", db.engine.in(0)).
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: redeeming a question: %w", err)
	}
	return n == 1, nil
}
