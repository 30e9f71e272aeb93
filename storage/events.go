package storage

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
)

type eventRow struct {
	bun.BaseModel `bun:"table:events,alias:e"`

	Seq         int64  `bun:"seq,pk,autoincrement"`
	ContainerID text   `bun:"container_id,notnull"`
	At          moment `bun:"at,notnull"`
	Type        text   `bun:"type,notnull"`
	Text        text   `bun:"text,notnull"`
	Actor       text   `bun:"actor,notnull"`
	Meta        text   `bun:"meta,notnull"`
	UPID        text   `bun:"upid,notnull"`
}

func rowOfEvent(e inventory.Event) (eventRow, error) {
	meta := []byte("{}")
	if len(e.Meta) > 0 {
		var err error
		if meta, err = json.Marshal(e.Meta); err != nil {
			return eventRow{}, err
		}
	}
	return eventRow{
		ContainerID: text(e.Container),
		At:          moment{e.At},
		Type:        text(e.Type),
		Text:        text(e.Text),
		Actor:       text(e.Actor),
		Meta:        text(meta),
		UPID:        text(e.UPID),
	}, nil
}

func (r eventRow) event() inventory.Event {
	e := inventory.Event{
		Seq:       r.Seq,
		Container: inventory.ID(r.ContainerID),
		At:        r.At.Time,
		Type:      inventory.EventType(r.Type),
		Text:      string(r.Text),
		Actor:     string(r.Actor),
		UPID:      string(r.UPID),
	}
	// What is no JSON any more must not take the event with it.
	if err := json.Unmarshal([]byte(r.Meta), &e.Meta); err != nil || len(e.Meta) == 0 {
		e.Meta = nil
	}
	return e
}

var _ inventory.EventStore = (*DB)(nil)

// AppendEvents adds events in the order given, all or none. Their Seq is
// ignored.
func (db *DB) AppendEvents(ctx context.Context, events ...inventory.Event) error {
	rows := make([]eventRow, len(events))
	for i, e := range events {
		var err error
		if rows[i], err = rowOfEvent(e); err != nil {
			return fmt.Errorf("storage: appending events: %w", err)
		}
	}
	err := inChunks(ctx, db.bun, rows, func(ctx context.Context, db bun.IDB, rows []eventRow) error {
		_, err := db.NewInsert().Model(&rows).Returning("NULL").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("storage: appending events: %w", err)
	}
	return nil
}

// Events returns one page of a container's events, newest first; of one moment,
// those that came last first. Without a positive Limit it is empty.
func (db *DB) Events(ctx context.Context, p inventory.EventPage) ([]inventory.Event, error) {
	if p.Limit <= 0 {
		return nil, nil
	}
	var rows []eventRow
	q := db.bun.NewSelect().Model(&rows).
		Where("container_id = ?", text(p.Container)).
		Order("at DESC", "seq DESC").
		Limit(int64(p.Limit))
	if p.Type != "" {
		q = q.Where("type = ?", text(p.Type))
	}
	if p.Before > 0 {
		q = q.Where("(at, seq) < (SELECT at, seq FROM events WHERE seq = ?)", p.Before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading events: %w", err)
	}
	events := make([]inventory.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events, nil
}

// Event returns one event of a container, and whether there is such a one.
func (db *DB) Event(ctx context.Context, container inventory.ID, seq int64) (inventory.Event, bool, error) {
	row, found, err := one[eventRow](ctx, db.bun.NewSelect().
		Where("seq = ?", seq).
		Where("container_id = ?", text(container)))
	if err != nil {
		return inventory.Event{}, false, fmt.Errorf("storage: reading an event: %w", err)
	}
	if !found {
		return inventory.Event{}, false, nil
	}
	return row.event(), true, nil
}

// EventCounts returns how many events of each type a container has; all types
// are there, also at 0.
func (db *DB) EventCounts(ctx context.Context, container inventory.ID) (map[inventory.EventType]int, error) {
	var rows []struct {
		Type  string
		Count int
	}
	err := db.bun.NewSelect().Model((*eventRow)(nil)).
		Column("type").
		ColumnExpr("count(*) AS count").
		Where("container_id = ?", text(container)).
		Group("type").
		Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("storage: counting events: %w", err)
	}
	counts := map[inventory.EventType]int{}
	for _, t := range inventory.EventTypes {
		counts[t] = 0
	}
	for _, r := range rows {
		counts[inventory.EventType(r.Type)] = r.Count
	}
	return counts, nil
}

// HasTaskEvents returns the set of those tasks that have an event already.
func (db *DB) HasTaskEvents(ctx context.Context, container inventory.ID, upids []string) (map[string]bool, error) {
	has := map[string]bool{}
	if len(upids) == 0 {
		return has, nil
	}
	wanted := make([]text, len(upids))
	for i, u := range upids {
		wanted[i] = text(u)
	}
	var found []string
	err := db.bun.NewSelect().Model((*eventRow)(nil)).
		Distinct().Column("upid").
		Where("container_id = ?", text(container)).
		Where("upid IN (?)", bun.List(wanted)).
		Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("storage: reading tasks of events: %w", err)
	}
	for _, u := range found {
		has[u] = true
	}
	return has, nil
}
