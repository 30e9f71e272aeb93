package storage

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// A backup is gzipped JSON Lines: what made it, one line for each row, and how
// many those were. Values that were sealed stay so. It fits either engine.
type (
	backupHead struct {
		Format  int    `json:"pvechat_backup"`
		Version string `json:"version"` // the newest migration that was applied
	}
	backupLine struct {
		Table string                     `json:"table,omitempty"`
		Row   map[string]json.RawMessage `json:"row,omitempty"` // by column
		Rows  *int64                     `json:"rows,omitempty"`
	}
)

const (
	backupFormat = 1
	backupChunk  = 500 // rows of one statement
)

// current returns the newest migration, where the tables are just as this
// program makes them.
func (db *DB) current(ctx context.Context) (string, error) {
	s, err := db.Status(ctx)
	if err != nil {
		return "", err
	}
	if err := s.obstacle(); err != nil {
		return "", err
	}
	if len(s.Pending) > 0 {
		return "", &PendingError{Pending: s.Pending, Failed: s.Failed}
	}
	return s.Applied[len(s.Applied)-1], nil
}

// table is what bun knows of a model.
func (db *DB) table(model any) *schema.Table { return db.bun.Table(reflect.TypeOf(model).Elem()) }

// Backup writes everything as it is at one moment, and returns the number of
// rows. It works beside a running bot. The tables have to be as this program
// makes them.
func (db *DB) Backup(ctx context.Context, w io.Writer) (n int64, err error) {
	version, err := db.current(ctx)
	if err != nil {
		return 0, err
	}
	zip := gzip.NewWriter(w)
	out := json.NewEncoder(zip)
	if err := out.Encode(backupHead{backupFormat, version}); err != nil {
		return 0, err
	}
	err = db.bun.RunInTx(ctx, snapshot, func(ctx context.Context, tx bun.Tx) error {
		for _, m := range models() {
			if err := db.backupTable(ctx, tx, m, out, &n); err != nil {
				return fmt.Errorf("table %s: %w", db.table(m).Name, err)
			}
		}
		return nil
	})
	if err == nil {
		err = errors.Join(out.Encode(backupLine{Rows: &n}), zip.Close())
	}
	if err != nil {
		return 0, fmt.Errorf("storage: backing up: %w", err)
	}
	return n, nil
}

func (db *DB) backupTable(ctx context.Context, tx bun.Tx, model any, out *json.Encoder, n *int64) error {
	t := db.table(model)
	rows, err := tx.NewSelect().Model(model).Rows(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err tells
	for rows.Next() {
		row := reflect.New(t.Type)
		if err := db.bun.ScanRow(ctx, rows, row.Interface()); err != nil {
			return err
		}
		line := backupLine{Table: t.Name, Row: make(map[string]json.RawMessage, len(t.Fields))}
		for _, f := range t.Fields {
			if line.Row[f.Name], err = json.Marshal(f.Value(row.Elem()).Interface()); err != nil {
				return err
			}
		}
		if err := out.Encode(line); err != nil {
			return err
		}
		*n++
	}
	return rows.Err()
}

// NotEmptyError says that a database holds something already.
type NotEmptyError struct{ Table string }

func (e *NotEmptyError) Error() string {
	return "the database is not empty (table " + e.Table + "): a backup is restored into a new one"
}

// Restore fills an empty database from a backup, wholly or not at all, and
// returns the number of rows. The tables have to be those of the version that
// made the backup.
func (db *DB) Restore(ctx context.Context, r io.Reader) (n int64, err error) {
	version, err := db.current(ctx)
	if err != nil {
		return 0, err
	}
	zip, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return 0, fmt.Errorf("storage: not a backup of pvechat: %w", err)
	}
	in := json.NewDecoder(zip)
	var head backupHead
	if err := in.Decode(&head); err != nil || head.Format != backupFormat {
		return 0, errors.New("storage: not a backup of pvechat, or one of a newer pvechat")
	}
	if head.Version != version {
		return 0, fmt.Errorf("storage: the backup has the tables of version %s, this pvechat has those of %s: restore it with the pvechat that made it, then upgrade", head.Version, version)
	}
	err = db.exclusively(ctx, func() error {
		return db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			if err := db.vacant(ctx, tx); err != nil {
				return err
			}
			if n, err = db.restoreRows(ctx, tx, in); err != nil {
				return err
			}
			for _, m := range models() {
				t := db.table(m)
				for _, f := range t.PKs {
					if f.AutoIncrement {
						if err := db.engine.count(ctx, tx, t.Name, f.Name); err != nil {
							return err
						}
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		return 0, fmt.Errorf("storage: restoring: %w", err)
	}
	return n, nil
}

// vacant refuses a database that holds rows, but for the one that migrating
// makes.
func (db *DB) vacant(ctx context.Context, tx bun.Tx) error {
	if _, err := tx.NewDelete().Model((*auditHeadRow)(nil)).Where("seq = 0").Exec(ctx); err != nil {
		return err
	}
	for _, m := range models() {
		there, err := tx.NewSelect().Model(m).Exists(ctx)
		if err != nil {
			return err
		}
		if there {
			return &NotEmptyError{Table: db.table(m).Name}
		}
	}
	return nil
}

func (db *DB) restoreRows(ctx context.Context, tx bun.Tx, in *json.Decoder) (n int64, err error) {
	tables := map[string]*schema.Table{}
	for _, m := range models() {
		tables[db.table(m).Name] = db.table(m)
	}
	var of *schema.Table
	var rows reflect.Value // a pointer to a slice
	flush := func() error {
		if of == nil || rows.Elem().Len() == 0 {
			return nil
		}
		if _, err := tx.NewInsert().Model(rows.Interface()).Exec(ctx); err != nil {
			return fmt.Errorf("table %s: %w", of.Name, err)
		}
		rows.Elem().SetLen(0)
		return nil
	}
	for {
		var line backupLine
		if err := in.Decode(&line); err != nil {
			return 0, fmt.Errorf("the backup is cut off after %d rows: %w", n, err)
		}
		if line.Rows != nil {
			if *line.Rows != n {
				return 0, fmt.Errorf("the backup lacks rows: it has %d of %d", n, *line.Rows)
			}
			return n, flush()
		}
		t := tables[line.Table]
		if t == nil {
			return 0, fmt.Errorf("the backup has a table %.60q that pvechat has not", line.Table)
		}
		if t != of || rows.Elem().Len() == backupChunk {
			if err := flush(); err != nil {
				return 0, err
			}
			of, rows = t, reflect.New(reflect.SliceOf(t.Type))
		}
		row := reflect.New(t.Type)
		for _, f := range t.Fields {
			value, ok := line.Row[f.Name]
			if !ok {
				return 0, fmt.Errorf("a row of %s lacks %s", t.Name, f.Name)
			}
			if err := json.Unmarshal(value, f.Value(row.Elem()).Addr().Interface()); err != nil {
				return 0, fmt.Errorf("%s of a row of %s: %w", f.Name, t.Name, err)
			}
		}
		rows.Elem().Set(reflect.Append(rows.Elem(), row.Elem()))
		n++
	}
}
