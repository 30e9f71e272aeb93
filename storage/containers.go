package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
)

type containerRow struct {
	bun.BaseModel `bun:"table:containers,alias:c"`

	ID          text     `bun:"id,pk"`
	Cluster     text     `bun:"cluster,notnull"`
	VMID        int64    `bun:"vmid,notnull"`
	Hostname    nullText `bun:"hostname"`
	Node        text     `bun:"node,notnull"`
	State       text     `bun:"state,notnull"`
	Trouble     text     `bun:"trouble,notnull"`
	TroubleAt   moment   `bun:"trouble_at"`
	Tags        text     `bun:"tags,notnull"`
	Pool        text     `bun:"pool,notnull"`
	Fingerprint text     `bun:"fingerprint,notnull"`
	FirstSeen   moment   `bun:"first_seen,notnull"`
	SeenAt      moment   `bun:"seen_at,notnull"`
	GoneAt      moment   `bun:"gone_at"`
	MadeFrom    text     `bun:"made_from,notnull"`
	OSTemplate  text     `bun:"os_template,notnull"`
	Addresses   text     `bun:"addresses,notnull"`
}

func rowOfRecord(r inventory.Record) containerRow {
	return containerRow{
		ID:          text(r.ID),
		Cluster:     text(r.Cluster),
		VMID:        int64(r.VMID),
		Hostname:    nullText(r.Hostname),
		Node:        text(r.Node),
		State:       text(r.State),
		Trouble:     text(r.Trouble),
		TroubleAt:   moment{r.TroubleAt},
		Tags:        text(r.Tags),
		Pool:        text(r.Pool),
		Fingerprint: text(r.Fingerprint),
		Addresses:   text(r.Addresses),
		MadeFrom:    text(r.MadeFrom),
		OSTemplate:  text(r.OSTemplate),
		FirstSeen:   moment{r.FirstSeen},
		SeenAt:      moment{r.SeenAt},
		GoneAt:      moment{r.GoneAt},
	}
}

func (r containerRow) record() inventory.Record {
	return inventory.Record{
		ID:          inventory.ID(r.ID),
		Cluster:     string(r.Cluster),
		VMID:        int(r.VMID),
		Hostname:    string(r.Hostname),
		Node:        string(r.Node),
		State:       inventory.State(r.State),
		Trouble:     string(r.Trouble),
		TroubleAt:   r.TroubleAt.Time,
		Tags:        string(r.Tags),
		Pool:        string(r.Pool),
		Fingerprint: string(r.Fingerprint),
		Addresses:   string(r.Addresses),
		MadeFrom:    string(r.MadeFrom),
		OSTemplate:  string(r.OSTemplate),
		FirstSeen:   r.FirstSeen.Time,
		SeenAt:      r.SeenAt.Time,
		GoneAt:      r.GoneAt.Time,
	}
}

var _ inventory.Store = (*DB)(nil)

// Containers returns all records of a cluster that are not gone, by VMID.
func (db *DB) Containers(ctx context.Context, cluster string) ([]inventory.Record, error) {
	var rows []containerRow
	err := db.bun.NewSelect().Model(&rows).
		Where("cluster = ?", text(cluster)).
		Where("gone_at IS NULL").
		Order("vmid").
		Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("storage: reading containers: %w", err)
	}
	records := make([]inventory.Record, len(rows))
	for i, r := range rows {
		records[i] = r.record()
	}
	return records, nil
}

// Save writes new and changed records, each ID once. A record that differs
// from its row in SeenAt alone is not written; FirstSeen only rises. It
// returns [inventory.ErrTaken] where another container has the VMID of one.
func (db *DB) Save(ctx context.Context, records []inventory.Record) error {
	rows := make([]containerRow, len(records))
	for i, r := range records {
		rows[i] = rowOfRecord(r)
	}
	// A container must be gone before another may have its VMID. Beyond that,
	// one order for all writers keeps them from locking each other's rows.
	slices.SortStableFunc(rows, func(a, b containerRow) int {
		return cmp.Or(
			cmp.Compare(rank(b.GoneAt), rank(a.GoneAt)),
			cmp.Compare(a.ID, b.ID),
		)
	})
	err := db.save(ctx, rows)
	for range 3 {
		// ON CONFLICT watches one index. Two who insert the same container at
		// once can meet in the other; by the second attempt it is there.
		if !db.engine.duplicate(err) {
			break
		}
		err = db.save(ctx, rows)
	}
	switch {
	case db.engine.duplicate(err):
		return fmt.Errorf("storage: saving containers: %w: %w", inventory.ErrTaken, err)
	case err != nil:
		return fmt.Errorf("storage: saving containers: %w", err)
	}
	return nil
}

func (db *DB) save(ctx context.Context, rows []containerRow) error {
	return inChunks(ctx, db.bun, rows, func(ctx context.Context, db bun.IDB, rows []containerRow) error {
		_, err := db.NewInsert().Model(&rows).
			On("CONFLICT (id) DO UPDATE").
			Set("cluster = EXCLUDED.cluster").
			Set("vmid = EXCLUDED.vmid").
			Set("hostname = EXCLUDED.hostname").
			Set("node = EXCLUDED.node").
			Set("state = EXCLUDED.state").
			Set("trouble = EXCLUDED.trouble").
			Set("trouble_at = EXCLUDED.trouble_at").
			Set("tags = EXCLUDED.tags").
			Set("pool = EXCLUDED.pool").
			Set("fingerprint = EXCLUDED.fingerprint").
			Set("addresses = EXCLUDED.addresses").
			Set("made_from = EXCLUDED.made_from").
			Set("os_template = EXCLUDED.os_template").
			Set("first_seen = CASE WHEN EXCLUDED.first_seen > c.first_seen THEN EXCLUDED.first_seen ELSE c.first_seen END").
			Set("seen_at = EXCLUDED.seen_at").
			Set("gone_at = EXCLUDED.gone_at").
			Where(`EXCLUDED.first_seen > c.first_seen OR (c.cluster, c.vmid, c.hostname, c.node, c.state, c.trouble, c.trouble_at,
				c.tags, c.pool, c.fingerprint, c.addresses, c.made_from, c.os_template, c.gone_at) IS DISTINCT FROM
				(EXCLUDED.cluster, EXCLUDED.vmid, EXCLUDED.hostname, EXCLUDED.node, EXCLUDED.state,
				EXCLUDED.trouble, EXCLUDED.trouble_at, EXCLUDED.tags, EXCLUDED.pool,
				EXCLUDED.fingerprint, EXCLUDED.addresses, EXCLUDED.made_from, EXCLUDED.os_template, EXCLUDED.gone_at)`).
			Exec(ctx)
		return err
	})
}

// rank is 1 for a time and 0 for none.
func rank(m moment) int {
	if m.IsZero() {
		return 0
	}
	return 1
}
