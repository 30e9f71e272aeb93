package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
)

// Repair adds missing tables, columns and indexes as the description of the
// applied migrations has them, and returns what it added, one sentence each.
// It never drops or changes what is there; a column that must not be NULL is
// filled with zero, "" or no time. What adding cannot mend is returned as a
// *[DriftError] after the rest was added.
func (db *DB) Repair(ctx context.Context) (added []string, err error) {
	err = db.exclusively(ctx, func() error {
		s, want, err := db.status(ctx)
		if err != nil {
			return err
		}
		switch {
		case len(s.Newer) > 0:
			return &NewerError{Newer: s.Newer}
		case s.NeedsBaseline:
			return &BaselineError{}
		}
		err = db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
			for _, d := range s.Drift {
				if !d.Repairable {
					continue
				}
				statements, what := db.mend(want, d)
				for _, q := range statements {
					if _, err := tx.ExecContext(ctx, q); err != nil {
						return fmt.Errorf("storage: repairing: %s: %w", d, err)
					}
				}
				added = append(added, what)
			}
			return nil
		})
		if err != nil {
			added = nil
			return err
		}
		if len(added) > 0 {
			db.log.InfoContext(ctx, "repaired the database", "added", added)
		}
		if s, err = db.Status(ctx); err != nil {
			return err
		}
		if len(s.Drift) > 0 {
			return &DriftError{Drift: s.Drift}
		}
		return nil
	})
	return added, err
}

// mend returns the statements that mend a drift, and what they add.
func (db *DB) mend(want description, d Drift) (statements []string, what string) {
	t, _ := want.table(d.Table)
	if c, ok := t.column(d.Column); ok {
		return db.engine.addColumn(t.Name, c), fmt.Sprintf("column %s of table %s (%s)", c.Name, t.Name, c)
	}
	if x, ok := t.index(d.Index); ok {
		return []string{createIndex(t.Name, x)}, fmt.Sprintf("index %s of table %s (%s)", x.Name, t.Name, x)
	}
	statements = []string{db.createTable(t)}
	for _, x := range t.Indexes {
		statements = append(statements, createIndex(t.Name, x))
	}
	return statements, "table " + t.Name
}

func (db *DB) createTable(t table) string {
	var parts []string
	keyed := false
	for _, c := range t.Columns {
		switch {
		case c.Identity:
			kind := db.engine.identity(c)
			keyed = strings.Contains(kind, "PRIMARY KEY")
			parts = append(parts, quote(c.Name)+" "+kind)
		case c.Null:
			parts = append(parts, quote(c.Name)+" "+c.Type)
		default:
			parts = append(parts, quote(c.Name)+" "+c.Type+" NOT NULL")
		}
	}
	if !keyed {
		parts = append(parts, "PRIMARY KEY ("+quoteAll(t.Key)+")")
	}
	return "CREATE TABLE " + quote(t.Name) + " (" + strings.Join(parts, ", ") + ")"
}

func createIndex(table string, x index) string {
	q := "CREATE "
	if x.Unique {
		q += "UNIQUE "
	}
	q += "INDEX " + quote(x.Name) + " ON " + quote(table) + " (" + quoteAll(x.Columns) + ")"
	if x.Where != "" {
		q += " WHERE " + x.Where
	}
	return q
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}
