package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

const next = "20991231000000_next" // what [withNext] adds

// shipped are the migrations of this program, oldest first; newest is the last.
var (
	shipped = func() (ids []string) {
		files, err := fs.Glob(storage.Files, "migrations/sqlite/*.tx.up.sql")
		if err != nil {
			panic(err)
		}
		for _, f := range files {
			ids = append(ids, strings.TrimSuffix(path.Base(f), ".tx.up.sql"))
		}
		return ids
	}()
	newest = shipped[len(shipped)-1]
)

// copyFiles are the embedded files, to be changed.
func copyFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	must(t, fs.WalkDir(storage.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(storage.Files, path)
		all[path] = &fstest.MapFile{Data: b}
		return err
	}))
	return all
}

// withNext are the files of a program that has one migration more.
func withNext(t *testing.T, e storagetest.Engine, sql string) fstest.MapFS {
	t.Helper()
	all := copyFiles(t)
	all["migrations/"+e.Name+"/"+next+".tx.up.sql"] = &fstest.MapFile{Data: []byte(sql)}
	return all
}

// describeNext adds the description of the tables after the next migration.
func describeNext(t *testing.T, e storagetest.Engine, all fstest.MapFS) fstest.MapFS {
	t.Helper()
	withDB(t, e.URL(t), all, func(db *storage.DB) {
		_, err := db.Migrate(t.Context())
		must(t, err)
		d, err := db.Description(t.Context())
		must(t, err)
		all["schema/"+e.Name+"/"+version(next)+".json"] = &fstest.MapFile{Data: d}
	})
	return all
}

// withDB opens a database as one process would, and closes it.
func withDB(t *testing.T, url string, files fs.FS, f func(db *storage.DB)) {
	t.Helper()
	db, err := storage.OpenFiles(t.Context(), storage.Config{URL: url}, files)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	f(db)
}

// start is what a process does before it serves.
func start(t *testing.T, url string, files fs.FS, autoMigrate bool) (err error) {
	t.Helper()
	withDB(t, url, files, func(db *storage.DB) { err = db.Check(t.Context(), autoMigrate) })
	return err
}

func sql(t *testing.T, db *storage.DB, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := db.Bun().ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func query[T any](t *testing.T, db *storage.DB, q string) (v T) {
	t.Helper()
	if err := db.Bun().NewRaw(q).Scan(t.Context(), &v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

func status(t *testing.T, db *storage.DB) storage.Status {
	t.Helper()
	s, err := db.Status(t.Context())
	must(t, err)
	return s
}

func drift(s storage.Status) []string {
	var lines []string
	for _, d := range s.Drift {
		lines = append(lines, d.String())
	}
	return lines
}

func as[E error](t *testing.T, err error) E {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Fatalf("error %v, want a %T", err, want)
	}
	return want
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

var jellyfin = inventory.Record{
	ID: "7f3k2", Cluster: "home", VMID: 108, Hostname: "jellyfin", Node: "pve3", State: inventory.Running,
	Tags: "media;web", Pool: "prod", Fingerprint: "f1", FirstSeen: noon, SeenAt: noon,
}

func wantJellyfin(t *testing.T, db *storage.DB, hostname string) {
	t.Helper()
	got, err := db.Containers(t.Context(), "home")
	must(t, err)
	want := jellyfin
	want.Hostname = hostname
	want.FirstSeen, want.SeenAt = noon.UTC(), noon.UTC()
	if diff := cmp.Diff([]inventory.Record{want}, got); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

func TestD1AnEmptyDatabaseIsMigratedAndUsed(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		withDB(t, url, storage.Files, func(db *storage.DB) {
			before := status(t, db)
			if len(before.Applied) != 0 || !slices.Equal(before.Pending, shipped) || before.NeedsBaseline || before.Drift != nil {
				t.Errorf("before: %+v", before)
			}
			must(t, db.Check(t.Context(), true))
			after := status(t, db)
			if !slices.Equal(after.Applied, shipped) || len(after.Pending) != 0 || after.Failed != "" || after.Drift != nil {
				t.Errorf("after: %+v", after)
			}
			if after.Engine == "" || after.Version == "" {
				t.Errorf("engine %q %q", after.Engine, after.Version)
			}
			must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
		})
		must(t, start(t, url, storage.Files, false))
		withDB(t, url, storage.Files, func(db *storage.DB) { wantJellyfin(t, db, "jellyfin") })
	})
}

func TestD2ADroppedColumnRefusesTheStartAndIsRepaired(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		withDB(t, url, storage.Files, func(db *storage.DB) {
			must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
			sql(t, db, "ALTER TABLE containers DROP COLUMN hostname")
		})

		for _, autoMigrate := range []bool{true, false} {
			err := start(t, url, storage.Files, autoMigrate)
			as[*storage.DriftError](t, err)
			const want = "table containers lacks column hostname (text, nullable); run: pvechat migrate --repair"
			if err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		}

		withDB(t, url, storage.Files, func(db *storage.DB) {
			added, err := db.Repair(t.Context())
			must(t, err)
			if diff := cmp.Diff([]string{"column hostname of table containers (text, nullable)"}, added); diff != "" {
				t.Error(diff)
			}
			again, err := db.Repair(t.Context())
			if err != nil || len(again) != 0 {
				t.Errorf("a second repair: %q, %v", again, err)
			}
		})
		must(t, start(t, url, storage.Files, false))
		withDB(t, url, storage.Files, func(db *storage.DB) {
			wantJellyfin(t, db, "")
			must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
			wantJellyfin(t, db, "jellyfin")
		})
	})
}

func TestRepairAddsWhateverIsMissing(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		withDB(t, url, storage.Files, func(db *storage.DB) {
			want, err := db.Description(t.Context())
			must(t, err)
			must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
			job := create(t, db, "7f3k2", hour)
			must(t, db.AppendEvents(t.Context(), inventory.Event{Container: "7f3k2", At: noon, Type: inventory.EventLog, Text: "kept"}))

			sql(t, db,
				"DROP TABLE audit", // counts by itself
				"DROP TABLE boards",
				"DROP TABLE incidents", // has an index
				"DROP INDEX containers_present",
				"DROP INDEX jobs_open",
				"DROP INDEX jobs_untold",
				"ALTER TABLE jobs DROP COLUMN lease_until", // a time, not null
				"ALTER TABLE jobs DROP COLUMN forced",
				"ALTER TABLE jobs DROP COLUMN warnings",
				"ALTER TABLE jobs DROP COLUMN request",
				"ALTER TABLE sealed DROP COLUMN value",
			)
			got := drift(status(t, db))
			for _, part := range []string{
				"table audit is missing", "table boards is missing", "table incidents is missing",
				"table containers lacks index containers_present (unique: cluster, vmid where gone_at is null)",
				"table jobs lacks index jobs_open (unique: container_id where finished_at is null)",
				"table jobs lacks column lease_until (",
			} {
				if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, part) }) {
					t.Errorf("no drift begins with %q: %q", part, got)
				}
			}
			added, err := db.Repair(t.Context())
			must(t, err)
			if len(added) != 11 {
				t.Errorf("added %d things: %q", len(added), added)
			}
			after, err := db.Description(t.Context())
			must(t, err)
			if diff := cmp.Diff(sortedLines(want), sortedLines(after)); diff != "" {
				t.Errorf("the repaired tables differ (-migrated +repaired):\n%s", diff)
			}

			// Nothing is lost, and what was added works.
			wantJellyfin(t, db, "jellyfin")
			kept, found, err := db.Job(t.Context(), job.ID)
			must(t, err)
			if !found || kept.Name != job.Name || !kept.LeaseUntil.IsZero() || kept.Forced || kept.Request != "" {
				t.Errorf("the job is %+v", kept)
			}
			if claimed, ok, err := db.ClaimJob(t.Context(), "b", hour); err != nil || !ok || claimed.ID != job.ID {
				t.Errorf("a job with a filled lease cannot be claimed: %v, %v", ok, err)
			}
			if events, err := db.Events(t.Context(), inventory.EventPage{Container: "7f3k2", Limit: 9}); err != nil || len(events) != 1 {
				t.Errorf("events %v, %v", events, err)
			}
			must(t, db.Record(t.Context(), entry))
			must(t, db.Record(t.Context(), entry))
		})
		must(t, start(t, url, storage.Files, false))
	})
}

// sortedLines takes a description apart: repaired columns come last.
func sortedLines(description []byte) []string {
	var lines []string
	for line := range strings.Lines(string(description)) {
		lines = append(lines, strings.Trim(line, ",\n"))
	}
	slices.Sort(lines)
	return lines
}

func TestAKeyThatCountsByItselfIsRepaired(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		if e.Name != "postgres" { // SQLite drops no key
			continue
		}
		db := e.Open(t)
		must(t, db.Record(t.Context(), entry))
		sql(t, db, "ALTER TABLE audit DROP COLUMN seq")
		_, err := db.Repair(t.Context())
		must(t, err)
		must(t, db.Record(t.Context(), entry))
		entries, err := db.Audit(t.Context(), 9)
		must(t, err)
		if len(entries) != 2 || entries[0].Seq <= entries[1].Seq {
			t.Errorf("entries %+v", entries)
		}
		must(t, db.Check(t.Context(), false))
	}
}

func TestRepairLeavesWhatItCannotMend(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		db := e.Open(t)
		must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
		sql(t, db,
			"DROP INDEX jobs_untold",
			"CREATE INDEX jobs_untold ON jobs (node)",
			"ALTER TABLE containers ADD COLUMN mine text", // somebody's own
			"DROP TABLE clusters",
			"CREATE TABLE clusters (name text NOT NULL, claimed text, must text NOT NULL)",
			"ALTER TABLE sealed DROP COLUMN value",
		)
		added, err := db.Repair(t.Context())
		left := as[*storage.DriftError](t, err)
		if len(added) != 1 || !strings.HasPrefix(added[0], "column value of table sealed (") {
			t.Errorf("added %q", added)
		}
		for _, d := range left.Drift {
			if d.Repairable {
				t.Errorf("left behind: %s", d)
			}
		}
		wantText(t, err,
			"table jobs has index jobs_untold as (node), it should be (finished_at where finished_at is not null and notified_at is null)",
			"table clusters has column claimed as (text, nullable), it should be (",
			"table clusters has an unknown column must (text, not null)",
			"table clusters has the primary key (none), it should be (name)",
			"by hand",
		)
		if strings.Contains(err.Error(), "mine") {
			t.Errorf("somebody's own column is in the way: %v", err)
		}
		wantJellyfin(t, db, "jellyfin")
		if n := query[int](t, db, "SELECT count(*) FROM containers WHERE mine IS NULL"); n != 1 {
			t.Error("somebody's own column is gone")
		}
	})
}

func TestD3TablesWithoutALedgerAreBaselined(t *testing.T) {
	ledgers := map[string][]string{
		"the ledger was dropped": {"DROP TABLE bun_migrations", "DROP TABLE bun_migration_locks"},
		"the ledger was emptied": {"DELETE FROM bun_migrations"},
	}
	for name, lose := range ledgers {
		t.Run(name, func(t *testing.T) {
			forEachURL(t, func(t *testing.T, e storagetest.Engine) {
				url := e.URL(t)
				must(t, start(t, url, storage.Files, true))
				withDB(t, url, storage.Files, func(db *storage.DB) {
					must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
					sql(t, db, lose...)
				})

				err := start(t, url, storage.Files, true)
				as[*storage.BaselineError](t, err)
				wantText(t, err, "run: pvechat migrate --baseline")
				withDB(t, url, storage.Files, func(db *storage.DB) {
					if !status(t, db).NeedsBaseline {
						t.Error("the status does not say so")
					}
					_, err := db.Migrate(t.Context())
					as[*storage.BaselineError](t, err)
					_, err = db.Repair(t.Context())
					as[*storage.BaselineError](t, err)

					v, err := db.Baseline(t.Context())
					must(t, err)
					if v != newest {
						t.Errorf("baseline %q, want %q", v, newest)
					}
					if _, err := db.Baseline(t.Context()); err == nil {
						t.Error("a second baseline passes")
					}
				})
				must(t, start(t, url, storage.Files, false))
				withDB(t, url, storage.Files, func(db *storage.DB) { wantJellyfin(t, db, "jellyfin") })
			})
		})
	}
}

func TestD3ABaselineNeedsOneVersionExactly(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		two := describeNext(t, e, withNext(t, e, "ALTER TABLE containers ADD COLUMN note text;\nCREATE TABLE notes (id text NOT NULL PRIMARY KEY);"))
		for _, test := range []struct {
			name  string
			files fs.FS
			spoil string
			want  string // the baseline
			says  string // why there is none
		}{
			{"the version of today", storage.Files, "SELECT 1", newest, ""},
			{"the one after it", two, "SELECT 1", next, ""},
			{"a column is missing", storage.Files, "ALTER TABLE containers DROP COLUMN hostname", "", "table containers lacks column hostname (text, nullable)"},
			{"a column too many", storage.Files, "ALTER TABLE jobs ADD COLUMN mine text", "", "table jobs has an unknown column mine (text, nullable)"},
			{"an index is missing", storage.Files, "DROP INDEX jobs_open", "", "table jobs lacks index jobs_open"},
			{"an index too many", storage.Files, "CREATE INDEX mine ON jobs (node)", "", "table jobs has an unknown index mine (node)"},
			{"between two versions", two, "DROP TABLE notes", "", "table notes is missing"},
			{"between two versions, the other way", two, "ALTER TABLE containers DROP COLUMN note", "", "table containers lacks column note (text, nullable)"},
			{"a table of somebody else", storage.Files, "CREATE TABLE mine (a text)", newest, ""},
		} {
			t.Run(test.name, func(t *testing.T) {
				url := e.URL(t)
				withDB(t, url, test.files, func(db *storage.DB) {
					_, err := db.Migrate(t.Context())
					must(t, err)
					sql(t, db, "DROP TABLE bun_migrations", test.spoil)
				})
				withDB(t, url, two, func(db *storage.DB) {
					before, err := db.Description(t.Context())
					must(t, err)
					got, err := db.Baseline(t.Context())
					if got != test.want {
						t.Errorf("baseline %q, want %q (%v)", got, test.want, err)
					}
					if test.want == "" {
						as[*storage.BaselineError](t, err)
						wantText(t, err, test.says)
						if !status(t, db).NeedsBaseline {
							t.Error("a ledger was written all the same")
						}
					} else if s := status(t, db); s.Applied[len(s.Applied)-1] != test.want {
						t.Errorf("applied %q", s.Applied)
					}
					after, err := db.Description(t.Context())
					must(t, err)
					if diff := cmp.Diff(string(before), string(after)); diff != "" {
						t.Errorf("the tables changed:\n%s", diff)
					}
				})
				if test.want != "" {
					must(t, start(t, url, two, true)) // what is left is applied
				}
			})
		}
	})
}

func TestAnEmptyDatabaseNeedsNoBaseline(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		withDB(t, e.URL(t), storage.Files, func(db *storage.DB) {
			_, err := db.Baseline(t.Context())
			wantText(t, err, "empty", "run: pvechat migrate")
			if n := len(status(t, db).Applied); n != 0 {
				t.Errorf("%d migrations count as applied", n)
			}
		})
	})
}

func TestD4APendingMigrationIsAppliedOrNamed(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		err := start(t, url, storage.Files, false)
		wantText(t, err, newest, "run: pvechat migrate")

		must(t, start(t, url, storage.Files, true))
		two := describeNext(t, e, withNext(t, e, "ALTER TABLE containers ADD COLUMN note text;"))
		err = start(t, url, two, false)
		pending := as[*storage.PendingError](t, err)
		if diff := cmp.Diff([]string{next}, pending.Pending); diff != "" {
			t.Error(diff)
		}
		wantText(t, err, next, "run: pvechat migrate")
		withDB(t, url, two, func(db *storage.DB) {
			if got := status(t, db).Pending; !slices.Equal(got, []string{next}) {
				t.Errorf("pending %q: the refusal changed something", got)
			}
			must(t, db.Check(t.Context(), true))
			query[int](t, db, "SELECT count(note) FROM containers")
			must(t, db.Check(t.Context(), false))
		})
	})
}

func TestD5ANewerDatabaseIsRefused(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		two := describeNext(t, e, withNext(t, e, "ALTER TABLE containers ADD COLUMN note text;"))
		must(t, start(t, url, two, true))

		for _, autoMigrate := range []bool{true, false} {
			err := start(t, url, storage.Files, autoMigrate)
			as[*storage.NewerError](t, err)
			wantText(t, err, version(next))
		}
		withDB(t, url, storage.Files, func(db *storage.DB) {
			_, err := db.Migrate(t.Context())
			as[*storage.NewerError](t, err)
			_, err = db.Repair(t.Context())
			as[*storage.NewerError](t, err)
			_, err = db.Baseline(t.Context())
			as[*storage.NewerError](t, err)
			if got := status(t, db).Newer; !slices.Equal(got, []string{version(next)}) {
				t.Errorf("newer %q", got)
			}
			query[int](t, db, "SELECT count(note) FROM containers")

			// A replica that is still running goes on.
			must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
			wantJellyfin(t, db, "jellyfin")
			create(t, db, "7f3k2", hour)
		})
		must(t, start(t, url, two, false))
	})
}

func TestD6AFailedMigrationLeavesNothingAndIsTold(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		const once = "INSERT INTO clusters (name, claimed) VALUES ('once', 1);\nCREATE TABLE half (a text);\n"
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		broken := withNext(t, e, once+"INSERT INTO nosuch VALUES (1);")

		for range 2 {
			err := start(t, url, broken, true)
			if failed := as[*storage.MigrationError](t, err); failed.Migration != next {
				t.Errorf("failed %q, want %q", failed.Migration, next)
			}
			wantText(t, err, next, "nosuch")
			withDB(t, url, broken, func(db *storage.DB) {
				s := status(t, db)
				if !slices.Equal(s.Pending, []string{next}) || !slices.Equal(s.Applied, shipped) {
					t.Errorf("pending %q, applied %q", s.Pending, s.Applied)
				}
				if !strings.HasPrefix(s.Failed, next+" failed at 20") || !strings.Contains(s.Failed, "nosuch") {
					t.Errorf("failed %q", s.Failed)
				}
				if n := query[int](t, db, "SELECT count(*) FROM clusters"); n != 0 {
					t.Errorf("%d rows of it were kept", n)
				}
				if d, err := db.Description(t.Context()); err != nil || strings.Contains(string(d), "half") {
					t.Errorf("a table of it was kept, %v", err)
				}
			})
		}
		wantText(t, start(t, url, broken, false), next+" failed at", "nosuch", "run: pvechat migrate")

		mended := describeNext(t, e, withNext(t, e, once))
		for range 2 {
			must(t, start(t, url, mended, true))
		}
		withDB(t, url, mended, func(db *storage.DB) {
			if s := status(t, db); s.Failed != "" || len(s.Pending) != 0 {
				t.Errorf("failed %q, pending %q", s.Failed, s.Pending)
			}
			if n := query[int](t, db, "SELECT count(*) FROM clusters"); n != 1 {
				t.Errorf("it was applied %d times", n)
			}
		})
	})
}

// after is a bun hook that does something after each query with some text.
type after struct {
	text string
	do   func()
}

func (after) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (h after) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if strings.Contains(e.Query, h.text) {
		h.do()
	}
}

func TestD6AProcessThatDiesAfterTheCommitHasApplied(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		two := withNext(t, e, "INSERT INTO clusters (name, claimed) SELECT 'applied ' || count(*), 1 FROM clusters;")
		two = describeNext(t, e, two)

		withDB(t, url, two, func(db *storage.DB) {
			// Migrate looks at the tables in a transaction of its own first.
			ctx, die := context.WithCancel(t.Context())
			defer die()
			commits := 0
			db.Hook(after{"COMMIT", func() {
				if commits++; commits == 2 {
					die()
				}
			}})
			if _, err := db.Migrate(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v, want that it was cut off", err)
			}
		})
		withDB(t, url, two, func(db *storage.DB) {
			if s := status(t, db); len(s.Pending) != 0 || s.Failed != "" {
				t.Errorf("pending %q, failed %q", s.Pending, s.Failed)
			}
		})
		must(t, start(t, url, two, true))
		withDB(t, url, two, func(db *storage.DB) {
			if n := query[int](t, db, "SELECT count(*) FROM clusters"); n != 1 {
				t.Errorf("it was applied %d times", n)
			}
		})
	})
}

func TestAMigrationOutsideOfATransactionIsRefused(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		all := copyFiles(t)
		all["migrations/"+e.Name+"/"+next+".up.sql"] = &fstest.MapFile{Data: []byte("SELECT 1;")}
		err := start(t, e.URL(t), all, true)
		as[*storage.MigrationError](t, err)
		wantText(t, err, ".tx.up.sql")
	})
}

func TestD7OfManyThatStartAtOnceOneMigrates(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		if e.Name != "postgres" { // see TestD7ASecondProcessWaitsForTheFile
			continue
		}
		t.Run("six at once", func(t *testing.T) {
			url := e.URL(t)
			var (
				wg      sync.WaitGroup
				mu      sync.Mutex
				applied []string
			)
			gate := make(chan struct{})
			for range 6 {
				wg.Go(func() {
					db, err := storage.Open(t.Context(), storage.Config{URL: url})
					if err != nil {
						t.Error(err)
						return
					}
					defer db.Close()
					<-gate
					mine, err := db.Migrate(t.Context())
					if err == nil {
						err = db.Check(t.Context(), false)
					}
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					applied = append(applied, mine...)
				})
			}
			close(gate)
			wg.Wait()
			if !slices.Equal(applied, shipped) {
				t.Errorf("applied %q, want each migration once", applied)
			}
		})
		t.Run("two processes", func(t *testing.T) {
			url := e.URL(t)
			for _, opened := range []func(){holder(t, url).opened, holder(t, url).opened} {
				opened()
			}
			withDB(t, url, storage.Files, func(db *storage.DB) {
				must(t, db.Check(t.Context(), false))
				if n := query[int](t, db, "SELECT count(*) FROM bun_migrations"); n != len(shipped) {
					t.Errorf("%d lines in the ledger", n)
				}
			})
		})
	}
}

func TestWhoeverLooksWhileAnotherMigratesSeesBeforeOrAfter(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		two := describeNext(t, e, withNext(t, e, "ALTER TABLE containers ADD COLUMN note text;"))
		must(t, start(t, url, storage.Files, true))
		reader, err := storage.OpenFiles(t.Context(), storage.Config{URL: url, ReadOnly: true}, two)
		must(t, err)
		defer func() { must(t, reader.Close()) }()
		var once sync.Once
		reader.Hook(after{" AS identity", func() { // it has looked at the columns
			once.Do(func() { must(t, start(t, url, two, true)) })
		}})
		if s := status(t, reader); !slices.Equal(s.Pending, []string{next}) || len(s.Drift) > 0 {
			t.Errorf("pending %q, drift %q", s.Pending, drift(s))
		}
		if s := status(t, reader); len(s.Pending) > 0 || len(s.Drift) > 0 {
			t.Errorf("afterwards: pending %q, drift %q", s.Pending, drift(s))
		}
	})
}

func TestD11DriftWhileRunningIsSeen(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Check(t.Context(), true))
		sql(t, db, "ALTER TABLE events DROP COLUMN actor")
		if diff := cmp.Diff([]string{"table events lacks column actor (text, not null)"}, drift(status(t, db))); diff != "" {
			t.Error(diff)
		}
		// The other tables still serve.
		must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
		wantJellyfin(t, db, "jellyfin")
	})
}

func TestAMissingPrivilegeIsSeen(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		if e.Name != "postgres" {
			continue
		}
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		withDB(t, url, storage.Files, func(db *storage.DB) {
			role := "reader_" + query[string](t, db, "SELECT current_database()")
			sql(t, db, fmt.Sprintf("CREATE ROLE %s LOGIN", role),
				fmt.Sprintf("GRANT SELECT ON ALL TABLES IN SCHEMA public TO %s", role),
				fmt.Sprintf("REVOKE SELECT ON audit FROM %s", role))
			defer sql(t, db, fmt.Sprintf("DROP OWNED BY %s", role), fmt.Sprintf("DROP ROLE %s", role))
			limited := strings.Replace(url, "user=postgres", "user="+role, 1)
			err := start(t, limited, storage.Files, false)
			as[*storage.DriftError](t, err)
			wantText(t, err, "table audit cannot be read", "permission denied", "by hand")
		})
	}
}

func TestReadOnlyChangesNoTable(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		url := e.URL(t)
		must(t, start(t, url, storage.Files, true))
		db, err := storage.Open(t.Context(), storage.Config{URL: url, ReadOnly: true})
		must(t, err)
		defer func() { must(t, db.Close()) }()
		must(t, db.Check(t.Context(), true)) // nothing is pending
		if _, err := db.Migrate(t.Context()); err == nil {
			t.Error("it migrates")
		}
		if _, err := db.Repair(t.Context()); err == nil {
			t.Error("it repairs")
		}
		if _, err := db.Baseline(t.Context()); err == nil {
			t.Error("it baselines")
		}
	})
}
