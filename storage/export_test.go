package storage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Files are the embedded migrations and descriptions.
var Files fs.FS = files

// OpenFiles is Open with other migrations and descriptions.
func OpenFiles(ctx context.Context, c Config, files fs.FS) (*DB, error) { return open(ctx, c, files) }

// Bun is the way to say what no method says.
func (db *DB) Bun() *bun.DB { return db.bun }

// Hook makes the database tell of its queries.
func (db *DB) Hook(h bun.QueryHook) { db.bun = db.bun.WithQueryHook(h) }

// In is an SQL expression for d after the database's present.
func (db *DB) In(d time.Duration) bun.Safe { return db.engine.in(d) }

// Description is what the tables look like, without the ledger: a line for
// each column and index, so that a diff shows what changed.
func (db *DB) Description(ctx context.Context) ([]byte, error) {
	all, err := db.engine.inspect(ctx, db.bun)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("[")
	comma := "\n"
	for _, t := range all {
		if t.Name == ledger || t.Name == failures || t.Name == "bun_migration_locks" {
			continue
		}
		key, err := json.Marshal(t.Key)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s{\n\t\"name\": %q,\n\t\"columns\": [", comma, t.Name)
		comma = "\n\t\t"
		for _, c := range t.Columns {
			line, err := json.Marshal(c)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%s%s", comma, line)
			comma = ",\n\t\t"
		}
		fmt.Fprintf(&b, "\n\t],\n\t\"key\": %s,\n\t\"indexes\": [", key)
		comma = "\n\t\t"
		for _, x := range t.Indexes {
			line, err := json.Marshal(x)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "%s%s", comma, line)
			comma = ",\n\t\t"
		}
		b.WriteString("\n\t]\n}")
		comma = ",\n"
	}
	b.WriteString("\n]\n")
	return b.Bytes(), nil
}

// Models are the rows of all tables.
func Models() []any { return models() }

// ModelTable is how bun understands a row.
func (db *DB) ModelTable(model any) *schema.Table {
	return db.bun.Table(reflect.TypeOf(model).Elem())
}
