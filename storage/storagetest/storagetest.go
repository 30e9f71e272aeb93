// Package storagetest gives tests real databases: a SQLite file, and a database
// on a private PostgreSQL server that lives as long as the test binary.
//
// A domain package's tests can use it from an external test package only, for
// storage imports the domain packages.
package storagetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/storage"
)

// Engine is a kind of database.
type Engine struct {
	Name string // "sqlite" or "postgres"

	fresh func(testing.TB) string
}

// Postgres is the engine that several processes can share.
var Postgres = Engine{Name: "postgres", fresh: freshPostgres}

// Engines returns all engines. Run a subtest for each: one that needs an
// engine which is not there is skipped, with a message, unless the
// environment variable PVECHAT_REQUIRE contains the engine's name. Then it
// fails.
func Engines(t testing.TB) []Engine {
	t.Helper()
	return []Engine{
		{Name: "sqlite", fresh: freshSQLite},
		Postgres,
	}
}

// URL returns the URL of a new, empty database, which goes when the test ends.
func (e Engine) URL(t testing.TB) string {
	t.Helper()
	return e.fresh(t)
}

// Open opens a new, migrated database, which is closed when the test ends.
func (e Engine) Open(t testing.TB) *storage.DB {
	t.Helper()
	db, err := storage.Open(t.Context(), storage.Config{URL: e.URL(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Check(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return db
}

// Open opens a new, migrated SQLite database, which is closed when the test
// ends. It is the quickest, for tests that care about no engine.
func Open(t testing.TB) *storage.DB {
	t.Helper()
	return Engine{Name: "sqlite", fresh: freshSQLite}.Open(t)
}

func freshSQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "pvechat.db")
}

func missing(t testing.TB, engine string, why error) {
	t.Helper()
	if strings.Contains(os.Getenv("PVECHAT_REQUIRE"), engine) {
		t.Fatalf("PVECHAT_REQUIRE asks for %s: %v", engine, why)
	}
	t.Skipf("no %s here (PVECHAT_REQUIRE=%s would make this a failure): %v", engine, engine, why)
}

// Dump is all that a database holds: the bytes of SQLite's files, or what
// pg_dump writes.
func Dump(t testing.TB, url string) string {
	t.Helper()
	path, sqlite := strings.CutPrefix(url, "sqlite:")
	if !sqlite {
		return dumpPostgres(t, url)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no database %s: %v", path, err)
	}
	var all strings.Builder
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	return all.String()
}
