package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/alerts"
)

type incidentRow struct {
	bun.BaseModel `bun:"table:incidents,alias:i"`

	ID       text   `bun:"id,pk"`
	Key      text   `bun:"key,notnull"`
	Cluster  text   `bun:"cluster,notnull"`
	Text     text   `bun:"text,notnull"`
	OpenedAt moment `bun:"opened_at,notnull"`
	ClosedAt moment `bun:"closed_at"`
	Posts    text   `bun:"posts,notnull"`
	Data     text   `bun:"data,notnull"`
	ToldAt   moment `bun:"told_at"`
}

func rowOfIncident(i alerts.Incident) (incidentRow, error) {
	posts := []byte("[]")
	var err error
	if len(i.Posts) > 0 {
		posts, err = json.Marshal(i.Posts)
	}
	data, dataErr := json.Marshal(i.Details)
	return incidentRow{
		ID:       text(i.ID),
		Key:      text(i.Key),
		Cluster:  text(i.Cluster),
		Text:     text(i.Text),
		OpenedAt: moment{i.OpenedAt},
		ClosedAt: moment{i.ClosedAt},
		ToldAt:   moment{i.ToldAt},
		Posts:    text(posts),
		Data:     text(data),
	}, errors.Join(err, dataErr)
}

func (r incidentRow) incident() (alerts.Incident, error) {
	i := alerts.Incident{
		ID:       string(r.ID),
		Key:      string(r.Key),
		Cluster:  string(r.Cluster),
		Text:     string(r.Text),
		OpenedAt: r.OpenedAt.Time,
		ClosedAt: r.ClosedAt.Time,
		ToldAt:   r.ToldAt.Time,
	}
	if err := json.Unmarshal([]byte(r.Posts), &i.Posts); err != nil {
		return alerts.Incident{}, fmt.Errorf("posts of incident %s: %w", r.ID, err)
	}
	if err := json.Unmarshal([]byte(r.Data), &i.Details); err != nil {
		return alerts.Incident{}, fmt.Errorf("details of incident %s: %w", r.ID, err)
	}
	if len(i.Posts) == 0 {
		i.Posts = nil
	}
	return i, nil
}

type muteRow struct {
	bun.BaseModel `bun:"table:mutes,alias:m"`

	Key      text   `bun:"key,pk"`
	Incident text   `bun:"incident,notnull"`
	Title    text   `bun:"title,notnull"`
	Until    moment `bun:"until_at"`
	Back     bool   `bun:"back,notnull"`
	By       text   `bun:"by_person,notnull"`
	At       moment `bun:"at,notnull"`
}

var _ alerts.Store = (*DB)(nil)

// OpenIncident inserts an incident unless one with its key is open, and
// reports whether it did.
func (db *DB) OpenIncident(ctx context.Context, i alerts.Incident) (bool, error) {
	row, err := rowOfIncident(i)
	if err != nil {
		return false, fmt.Errorf("storage: opening an incident: %w", err)
	}
	n, err := changed(db.bun.NewInsert().Model(&row).
		On("CONFLICT (key) WHERE closed_at IS NULL DO NOTHING").
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: opening an incident: %w", err)
	}
	return n == 1, nil
}

// ReopenIncident opens the newest incident of a key again that was closed after
// a time, unless one is open.
func (db *DB) ReopenIncident(ctx context.Context, key string, closedAfter time.Time) (alerts.Incident, bool, error) {
	last := db.bun.NewSelect().Model((*incidentRow)(nil)).Column("id").
		Where("? = ?", bun.Ident("key"), text(key)).Where("closed_at > ?", moment{closedAfter}).Order("closed_at DESC").Limit(1)
	open := db.bun.NewSelect().Model((*incidentRow)(nil)).ColumnExpr("1").Where("? = ?", bun.Ident("key"), text(key)).Where("closed_at IS NULL")
	var row incidentRow
	n, err := changed(db.bun.NewUpdate().Model(&row).
		Set("closed_at = NULL").
		Set("told_at = NULL").
		Where("id = (?)", last).
		Where("NOT EXISTS (?)", open).
		Returning("*").
		Exec(ctx))
	if errors.Is(err, sql.ErrNoRows) || err == nil && n == 0 || err != nil && db.engine.duplicate(err) {
		return alerts.Incident{}, false, nil
	}
	var again alerts.Incident
	if err == nil {
		again, err = row.incident()
	}
	if err != nil {
		return alerts.Incident{}, false, fmt.Errorf("storage: opening an incident again: %w", err)
	}
	return again, true, nil
}

// SaveIncident keeps the text, the details and the posts of an incident.
func (db *DB) SaveIncident(ctx context.Context, i alerts.Incident) error {
	row, err := rowOfIncident(i)
	if err == nil {
		_, err = db.bun.NewUpdate().Model(&row).Column("text", "posts", "data").WherePK().Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("storage: saving incident %s: %w", i.ID, err)
	}
	return nil
}

// EndTold notes that the end of an incident was told.
func (db *DB) EndTold(ctx context.Context, id string, at time.Time) error {
	_, err := db.bun.NewUpdate().Model((*incidentRow)(nil)).Set("told_at = ?", moment{at}).Where("id = ?", text(id)).Where("closed_at IS NOT NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: noting the end of incident %s: %w", id, err)
	}
	return nil
}

// CloseIncident closes the open incident of a key and returns it, and whether
// there was one.
func (db *DB) CloseIncident(ctx context.Context, key string, at time.Time) (alerts.Incident, bool, error) {
	var row incidentRow
	n, err := changed(db.bun.NewUpdate().Model(&row).
		Set("closed_at = ?", moment{at}).
		Where("? = ?", bun.Ident("key"), text(key)).
		Where("closed_at IS NULL").
		Returning("*").
		Exec(ctx))
	if errors.Is(err, sql.ErrNoRows) || err == nil && n == 0 {
		return alerts.Incident{}, false, nil
	}
	var closed alerts.Incident
	if err == nil {
		closed, err = row.incident()
	}
	if err != nil {
		return alerts.Incident{}, false, fmt.Errorf("storage: closing an incident: %w", err)
	}
	return closed, true, nil
}

// OpenIncidents returns all incidents that last, oldest first.
func (db *DB) OpenIncidents(ctx context.Context) ([]alerts.Incident, error) {
	return db.incidents(ctx, "closed_at IS NULL")
}

// UntoldEnds returns closed incidents whose end is still to be told, oldest
// first.
func (db *DB) UntoldEnds(ctx context.Context) ([]alerts.Incident, error) {
	return db.incidents(ctx, "closed_at IS NOT NULL AND told_at IS NULL")
}

func (db *DB) incidents(ctx context.Context, where string) ([]alerts.Incident, error) {
	var rows []incidentRow
	err := db.bun.NewSelect().Model(&rows).Where(where).Order("opened_at", "id").Scan(ctx)
	incidents := make([]alerts.Incident, len(rows))
	for n := 0; n < len(rows) && err == nil; n++ {
		incidents[n], err = rows[n].incident()
	}
	if err != nil {
		return nil, fmt.Errorf("storage: reading incidents: %w", err)
	}
	return incidents, nil
}

// Incident returns one incident, open or closed.
func (db *DB) Incident(ctx context.Context, id string) (alerts.Incident, bool, error) {
	row, found, err := one[incidentRow](ctx, db.bun.NewSelect().Where("id = ?", text(id)))
	var i alerts.Incident
	if err == nil && found {
		i, err = row.incident()
	}
	if err != nil {
		return alerts.Incident{}, false, fmt.Errorf("storage: reading incident %s: %w", id, err)
	}
	return i, found, nil
}

// PurgeIncidents removes incidents whose end was told before a time.
func (db *DB) PurgeIncidents(ctx context.Context, before time.Time) (int64, error) {
	n, err := changed(db.bun.NewDelete().Model((*incidentRow)(nil)).
		Where("closed_at IS NOT NULL").
		Where("told_at < ?", moment{before}).
		Exec(ctx))
	if err != nil {
		return 0, fmt.Errorf("storage: removing old incidents: %w", err)
	}
	return n, nil
}

// SetMute keeps a key from being told, in place of how it was before.
func (db *DB) SetMute(ctx context.Context, m alerts.Mute) error {
	row := muteRow{
		Key: text(m.Key), Incident: text(m.Incident), Title: text(m.Title), Until: moment{m.Until}, Back: m.Back, By: text(m.By), At: moment{m.At},
	}
	q := db.bun.NewInsert().Model(&row).On("CONFLICT (key) DO UPDATE")
	for _, c := range []string{"incident", "title", "until_at", "back", "by_person", "at"} {
		q.Set("? = EXCLUDED.?", bun.Ident(c), bun.Ident(c))
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("storage: muting: %w", err)
	}
	return nil
}

// DropMute lets a key be told again.
func (db *DB) DropMute(ctx context.Context, key string) error {
	if _, err := db.bun.NewDelete().Model((*muteRow)(nil)).Where("? = ?", bun.Ident("key"), text(key)).Exec(ctx); err != nil {
		return fmt.Errorf("storage: unmuting: %w", err)
	}
	return nil
}

// Mutes returns all mutes, oldest first; also those whose time is up.
func (db *DB) Mutes(ctx context.Context) ([]alerts.Mute, error) {
	var rows []muteRow
	if err := db.bun.NewSelect().Model(&rows).Order("at", "key").Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading mutes: %w", err)
	}
	mutes := make([]alerts.Mute, len(rows))
	for i, r := range rows {
		mutes[i] = alerts.Mute{
			Key: string(r.Key), Incident: string(r.Incident), Title: string(r.Title), Until: r.Until.Time, Back: r.Back, By: string(r.By), At: r.At.Time,
		}
	}
	return mutes, nil
}
