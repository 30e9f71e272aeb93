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
}

func (r incidentRow) incident() (alerts.Incident, error) {
	i := alerts.Incident{
		ID:       string(r.ID),
		Key:      string(r.Key),
		Cluster:  string(r.Cluster),
		Text:     string(r.Text),
		OpenedAt: r.OpenedAt.Time,
		ClosedAt: r.ClosedAt.Time,
	}
	if err := json.Unmarshal([]byte(r.Posts), &i.Posts); err != nil {
		return alerts.Incident{}, fmt.Errorf("posts of incident %s: %w", r.ID, err)
	}
	if len(i.Posts) == 0 {
		i.Posts = nil
	}
	return i, nil
}

func encodePosts(posts []alerts.Post) (text, error) {
	if len(posts) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(posts)
	return text(b), err
}

var _ alerts.Store = (*DB)(nil)

// OpenIncident inserts an incident unless one with its key is open, and
// reports whether it did.
func (db *DB) OpenIncident(ctx context.Context, i alerts.Incident) (bool, error) {
	posts, err := encodePosts(i.Posts)
	if err != nil {
		return false, fmt.Errorf("storage: opening an incident: %w", err)
	}
	row := incidentRow{
		ID:       text(i.ID),
		Key:      text(i.Key),
		Cluster:  text(i.Cluster),
		Text:     text(i.Text),
		OpenedAt: moment{i.OpenedAt},
		Posts:    posts,
	}
	n, err := changed(db.bun.NewInsert().Model(&row).
		On("CONFLICT (key) WHERE closed_at IS NULL DO NOTHING").
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: opening an incident: %w", err)
	}
	return n == 1, nil
}

// SetIncidentPosts notes where an incident was told.
func (db *DB) SetIncidentPosts(ctx context.Context, id string, posts []alerts.Post) error {
	encoded, err := encodePosts(posts)
	if err == nil {
		_, err = db.bun.NewUpdate().Model((*incidentRow)(nil)).
			Set("posts = ?", encoded).
			Where("id = ?", text(id)).
			Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("storage: noting the posts of incident %s: %w", id, err)
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
	var rows []incidentRow
	err := db.bun.NewSelect().Model(&rows).Where("closed_at IS NULL").Order("opened_at", "id").Scan(ctx)
	incidents := make([]alerts.Incident, len(rows))
	for n := 0; n < len(rows) && err == nil; n++ {
		incidents[n], err = rows[n].incident()
	}
	if err != nil {
		return nil, fmt.Errorf("storage: reading incidents: %w", err)
	}
	return incidents, nil
}
