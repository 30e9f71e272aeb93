package storage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// described is a checked-in description, read without the code under test.
type described []describedTable

type describedTable struct {
	Name    string
	Columns []struct {
		Name, Type     string
		Null, Identity bool
	}
	Key     []string
	Indexes []struct {
		Name    string
		Unique  bool
		Columns []string
		Where   string
	}
}

func readDescribed(t *testing.T, engine, version string) described {
	t.Helper()
	b, err := fs.ReadFile(storage.Files, "schema/"+engine+"/"+version+".json")
	must(t, err)
	var d described
	must(t, json.Unmarshal(b, &d))
	return d
}

func migrationFiles(t *testing.T, engine string) []string {
	t.Helper()
	entries, err := fs.ReadDir(storage.Files, "migrations/"+engine)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func version(file string) string {
	v, _, _ := strings.Cut(file, "_")
	return v
}

// upTo are the embedded files without the migrations after one.
func upTo(t *testing.T, engine, file string) fs.FS {
	t.Helper()
	some := copyFiles(t)
	for _, f := range migrationFiles(t, engine) {
		if f > file {
			delete(some, "migrations/"+engine+"/"+f)
		}
	}
	return some
}

// Run with -update after adding a migration.
func TestEachVersionIsDescribed(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		for _, file := range migrationFiles(t, e.Name) {
			db, err := storage.OpenFiles(t.Context(), storage.Config{URL: e.URL(t)}, upTo(t, e.Name, file))
			must(t, err)
			defer db.Close()
			_, err = db.Migrate(t.Context())
			must(t, err)
			got, err := db.Description(t.Context())
			must(t, err)

			golden := path.Join("schema", e.Name, version(file)+".json")
			if *update {
				must(t, os.WriteFile(golden, got, 0o644))
				continue
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s does not describe what the migrations make (-update writes it):\n%s", golden, diff)
			}
		}
	})
}

func TestBothEnginesHaveTheSameMigrations(t *testing.T) {
	if diff := cmp.Diff(migrationFiles(t, "postgres"), migrationFiles(t, "sqlite")); diff != "" {
		t.Error(diff)
	}
	name := regexp.MustCompile(`^\d{14}_[a-z0-9_]+\.tx\.up\.sql$`)
	for _, f := range migrationFiles(t, "postgres") {
		if !name.MatchString(f) {
			t.Errorf("%s: only migrations that run in a transaction, and none that go down", f)
		}
	}
}

func TestBothEnginesGetTheSameTables(t *testing.T) {
	sqliteTypes := map[string]string{
		"text":                     "text",
		"bigint":                   "integer",
		"boolean":                  "integer",
		"timestamp with time zone": "text",
		"bytea":                    "blob",
	}
	for _, file := range migrationFiles(t, "postgres") {
		postgres := readDescribed(t, "postgres", version(file))
		for _, table := range postgres {
			for i, c := range table.Columns {
				table.Columns[i].Type = sqliteTypes[c.Type]
			}
		}
		if diff := cmp.Diff(postgres, readDescribed(t, "sqlite", version(file))); diff != "" {
			t.Errorf("%s makes different tables (-postgres +sqlite):\n%s", file, diff)
		}
	}
}

// againstTables returns how models differ from the tables of a database that
// the migrations made.
func againstTables(t *testing.T, db *storage.DB, engine string, models []any) []string {
	t.Helper()
	files := migrationFiles(t, engine)
	tables := readDescribed(t, engine, version(files[len(files)-1]))
	types := map[string]map[reflect.Kind]string{
		"postgres": {reflect.String: "text", reflect.Int64: "bigint", reflect.Bool: "boolean", reflect.Struct: "timestamp with time zone", reflect.Slice: "bytea"},
		"sqlite":   {reflect.String: "text", reflect.Int64: "integer", reflect.Bool: "integer", reflect.Struct: "text", reflect.Slice: "blob"},
	}[engine]

	var wrong []string
	modelled := map[string]bool{}
	for _, m := range models {
		model := db.ModelTable(m)
		modelled[model.Name] = true
		i := slices.IndexFunc(tables, func(d describedTable) bool { return d.Name == model.Name })
		if i < 0 {
			wrong = append(wrong, "no table "+model.Name)
			continue
		}
		var want, got []string
		for _, f := range model.Fields {
			null := !f.NotNull && !f.IsPK
			want = append(want, describeColumn(f.Name, types[f.IndirectType.Kind()], null, f.AutoIncrement, f.IsPK))
		}
		for _, c := range tables[i].Columns {
			got = append(got, describeColumn(c.Name, c.Type, c.Null, c.Identity, slices.Contains(tables[i].Key, c.Name)))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			wrong = append(wrong, model.Name+" (-model +table):\n"+diff)
		}
	}
	for _, table := range tables {
		if !modelled[table.Name] {
			wrong = append(wrong, "no model for table "+table.Name)
		}
	}
	return wrong
}

func describeColumn(name, kind string, null, identity, key bool) string {
	return fmt.Sprintf("%s %s null=%t identity=%t key=%t", name, kind, null, identity, key)
}

func TestD9ModelsAgreeWithMigrations(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		db := e.Open(t)
		for _, wrong := range againstTables(t, db, e.Name, storage.Models()) {
			t.Error(wrong)
		}
		// The same by the engine's own judgement.
		status, err := db.Status(t.Context())
		must(t, err)
		if len(status.Drift) > 0 {
			t.Errorf("drift after migrating: %v", status.Drift)
		}
	})
}

// editedRow is clusterRow with a field that no migration made.
type editedRow struct {
	bun.BaseModel `bun:"table:clusters"`

	Name    string `bun:"name,pk"`
	Claimed int64  `bun:"claimed,notnull"`
	Colour  string `bun:"colour"`
}

// retypedRow is clusterRow with another type.
type retypedRow struct {
	bun.BaseModel `bun:"table:clusters"`

	Name    string `bun:"name,pk"`
	Claimed string `bun:"claimed,notnull"`
}

// loosenedRow is clusterRow with another nullability.
type loosenedRow struct {
	bun.BaseModel `bun:"table:clusters"`

	Name    string `bun:"name,pk"`
	Claimed int64  `bun:"claimed"`
}

func TestD9AnEditedModelIsNoticed(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		db := e.Open(t)
		for _, edited := range []any{(*editedRow)(nil), (*retypedRow)(nil), (*loosenedRow)(nil)} {
			models := append([]any{edited}, storage.Models()[1:]...)
			if len(againstTables(t, db, e.Name, models)) == 0 {
				t.Errorf("%T passes for the table clusters", edited)
			}
		}
		if len(againstTables(t, db, e.Name, storage.Models()[1:])) == 0 {
			t.Error("a table without a model passes")
		}
	})
}

const intended = "-- intended data loss"

var (
	lossy = regexp.MustCompile(`(?i)\b(DROP|DELETE|TRUNCATE)\b`)
	// An index holds no data of its own, and a trigger speaks of what others do.
	harmless = regexp.MustCompile(`(?i)\bDROP INDEX\b|\bBEFORE (UPDATE OR )?(DELETE|TRUNCATE) ON\b|\bTG_OP = 'DELETE'|(?m)--.*$|(?s)/\*.*?\*/`)
)

// losesData reports whether a migration may lose data without saying that it
// is meant to.
func losesData(sql string) bool {
	if strings.Contains(sql, intended) {
		return false
	}
	return lossy.MatchString(harmless.ReplaceAllString(sql, ""))
}

func TestD10NoMigrationLosesDataUnlessIntended(t *testing.T) {
	for _, engine := range []string{"postgres", "sqlite"} {
		for _, file := range migrationFiles(t, engine) {
			sql, err := fs.ReadFile(storage.Files, "migrations/"+engine+"/"+file)
			must(t, err)
			if losesData(string(sql)) {
				t.Errorf("%s/%s may lose data; if it is meant to, say so in it: %s", engine, file, intended)
			}
		}
	}
	for sql, want := range map[string]bool{
		"ALTER TABLE containers DROP COLUMN hostname;":                  true,
		"DROP INDEX IF EXISTS events_timeline;":                         false,
		"drop table events;":                                            true,
		"DELETE FROM audit;":                                            true,
		"TRUNCATE jobs;":                                                true,
		"SELECT 1; /* harmless */ DELETE\nFROM audit;":                  true,
		"CREATE TRIGGER a BEFORE DELETE ON b BEGIN SELECT 1; END;":      false,
		"CREATE TRIGGER a BEFORE UPDATE ON b BEGIN DELETE FROM c; END;": true,
		intended + "\nDROP TABLE events;":                               false,
		"-- we never DROP anything\nCREATE TABLE a (b text);":           false,
		"/* nor\nDELETE */ ALTER TABLE a ADD COLUMN deleted_at text;":   false,
	} {
		if losesData(sql) != want {
			t.Errorf("%q: flagged %v, want %v", sql, !want, want)
		}
	}
}

func TestMigrationsHoldNothingThatBunWouldRead(t *testing.T) {
	for _, engine := range []string{"postgres", "sqlite"} {
		for _, file := range migrationFiles(t, engine) {
			sql, err := fs.ReadFile(storage.Files, "migrations/"+engine+"/"+file)
			must(t, err)
			if bytes.ContainsAny(sql, "?") {
				t.Errorf("%s/%s: bun takes ? for a placeholder", engine, file)
			}
		}
	}
}
