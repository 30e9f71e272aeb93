package storage

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/handlers"
)

type auditRow struct {
	bun.BaseModel `bun:"table:audit,alias:a"`

	Seq         int64  `bun:"seq,pk,autoincrement"`
	At          moment `bun:"at,notnull"`
	Platform    text   `bun:"platform,notnull"`
	PersonID    text   `bun:"person_id,notnull"`
	Person      text   `bun:"person,notnull"`
	Action      text   `bun:"action,notnull"`
	ContainerID text   `bun:"container_id,notnull"`
	Target      text   `bun:"target,notnull"`
	Outcome     text   `bun:"outcome,notnull"`
	Detail      text   `bun:"detail,notnull"`
	Request     text   `bun:"request,notnull"`
	Job         text   `bun:"job,notnull"`
}

func rowOfEntry(e handlers.Entry) auditRow {
	return auditRow{
		At:          moment{e.At},
		Platform:    text(e.Platform),
		PersonID:    text(e.PersonID),
		Person:      text(e.Person),
		Action:      text(e.Action),
		ContainerID: text(e.Container),
		Target:      text(e.Target),
		Outcome:     text(e.Outcome),
		Detail:      text(e.Detail),
		Request:     text(e.Request),
		Job:         text(e.Job),
	}
}

func (r auditRow) entry() handlers.Entry {
	return handlers.Entry{
		Seq:       r.Seq,
		At:        r.At.Time,
		Platform:  chat.PlatformName(r.Platform),
		PersonID:  string(r.PersonID),
		Person:    string(r.Person),
		Action:    string(r.Action),
		Container: inventory.ID(r.ContainerID),
		Target:    string(r.Target),
		Outcome:   string(r.Outcome),
		Detail:    string(r.Detail),
		Request:   string(r.Request),
		Job:       string(r.Job),
	}
}

var _ handlers.Recorder = (*DB)(nil)

// Record appends to the audit. The entry's Seq is ignored.
func (db *DB) Record(ctx context.Context, e handlers.Entry) error {
	row := rowOfEntry(e)
	if _, err := db.bun.NewInsert().Model(&row).Returning("NULL").Exec(ctx); err != nil {
		return fmt.Errorf("storage: writing the audit: %w", err)
	}
	return nil
}

// Audit returns the last entries, newest first.
func (db *DB) Audit(ctx context.Context, limit int) ([]handlers.Entry, error) {
	var rows []auditRow
	if err := db.bun.NewSelect().Model(&rows).Order("seq DESC").Limit(int64(limit)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading the audit: %w", err)
	}
	entries := make([]handlers.Entry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}
