package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

func TestARecordComesBackAsItWasSaved(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		full := inventory.Record{
			ID: "b", Cluster: "home", VMID: 101, Hostname: "web", Node: "pve1", State: inventory.Error,
			Trouble: "startup for container '101' failed", TroubleAt: noon, Tags: "a;b", Pool: "prod", Fingerprint: "f",
			FirstSeen: noon.Add(-time.Hour), SeenAt: noon,
		}
		bare := inventory.Record{ID: "a", Cluster: "home", VMID: 102, FirstSeen: noon, SeenAt: noon}
		wild := inventory.Record{
			ID: hostile, Cluster: "home", VMID: 999999999, Hostname: hostile, Node: hostile, State: hostile,
			Trouble: hostile, Tags: hostile, Pool: hostile, Fingerprint: hostile, Addresses: hostile,
			FirstSeen: noon.Add(999 * time.Nanosecond), SeenAt: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		gone := inventory.Record{ID: "c", Cluster: "home", VMID: 101, FirstSeen: noon, SeenAt: noon, GoneAt: noon}
		away := inventory.Record{ID: "d", Cluster: "office", VMID: 101, FirstSeen: noon, SeenAt: noon}
		must(t, db.Save(t.Context(), []inventory.Record{wild, bare, away, full, gone}))

		full.TroubleAt, full.FirstSeen, full.SeenAt = noon.UTC(), noon.Add(-time.Hour).UTC(), noon.UTC()
		bare.FirstSeen, bare.SeenAt = noon.UTC(), noon.UTC()
		wild.ID, wild.Hostname, wild.Node, wild.State = tamed, tamed, tamed, tamed
		wild.Trouble, wild.Tags, wild.Pool, wild.Fingerprint, wild.Addresses = tamed, tamed, tamed, tamed, tamed
		wild.FirstSeen = noon.UTC() // in whole microseconds

		got, err := db.Containers(t.Context(), "home")
		must(t, err)
		if diff := cmp.Diff([]inventory.Record{full, bare, wild}, got); diff != "" {
			t.Error(diff)
		}
		none, err := db.Containers(t.Context(), "nowhere\x00")
		if err != nil || len(none) != 0 {
			t.Errorf("of an unknown cluster: %v, %v", none, err)
		}
		must(t, db.Save(t.Context(), nil))
	})
}

func TestD8AHostnameThatIsMissingIsNullUntilItIsKnown(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
		sql(t, db, "UPDATE containers SET hostname = NULL")
		wantJellyfin(t, db, "")

		must(t, db.Save(t.Context(), []inventory.Record{jellyfin}))
		wantJellyfin(t, db, "jellyfin")

		nameless := jellyfin
		nameless.Hostname = ""
		must(t, db.Save(t.Context(), []inventory.Record{nameless}))
		if n := query[int](t, db, "SELECT count(*) FROM containers WHERE hostname IS NULL"); n != 1 {
			t.Error("no hostname is not NULL")
		}
	})
}

// writes is a bun hook that counts the rows that inserts wrote.
type writes struct{ rows, statements atomic.Int64 }

func (*writes) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (w *writes) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	if e.Operation() != "INSERT" {
		return
	}
	w.statements.Add(1)
	if e.Result != nil {
		if n, err := e.Result.RowsAffected(); err == nil {
			w.rows.Add(n)
		}
	}
}

func TestOnlyChangedRecordsAreWrittenInOneStatement(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var records []inventory.Record
		for i := range 300 {
			r := jellyfin
			r.ID, r.VMID = inventory.ID(fmt.Sprintf("id%d", i)), 100+i
			records = append(records, r)
		}
		var w writes
		db.Hook(&w)
		save := func(what string, want int64) {
			t.Helper()
			w.rows.Store(0)
			w.statements.Store(0)
			must(t, db.Save(t.Context(), records))
			if rows, n := w.rows.Load(), w.statements.Load(); rows != want || n != 1 {
				t.Errorf("%s: wrote %d rows in %d statements, want %d in 1", what, rows, n, want)
			}
		}
		save("all new", 300)
		save("none changed", 0)
		for i := range records {
			records[i].SeenAt = noon.Add(time.Minute)
		}
		save("only seen again", 0)
		changes := []func(*inventory.Record){
			func(r *inventory.Record) { r.Hostname = "" },
			func(r *inventory.Record) { r.Hostname = "web" }, // from NULL
			func(r *inventory.Record) { r.Node = "pve9" },
			func(r *inventory.Record) { r.State = inventory.Stopped },
			func(r *inventory.Record) { r.Trouble = "no" },
			func(r *inventory.Record) { r.TroubleAt = noon },
			func(r *inventory.Record) { r.TroubleAt = time.Time{} },
			func(r *inventory.Record) { r.Tags = "x" },
			func(r *inventory.Record) { r.Pool = "x" },
			func(r *inventory.Record) { r.Fingerprint = "x" },
			func(r *inventory.Record) { r.GoneAt = noon },
		}
		for i, change := range changes {
			change(&records[7])
			save(fmt.Sprintf("change %d", i), 1)
		}
	})
}

func TestTenThousandRecordsAreSavedAllOrNone(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and ten times slower under the race detector")
	}
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		records := make([]inventory.Record, 10_001)
		for i := range records {
			records[i] = jellyfin
			records[i].ID, records[i].VMID = inventory.ID(fmt.Sprintf("id%05d", i)), 100+i
		}
		spoilt := append([]inventory.Record{}, records...)
		spoilt[10_000].VMID = 100 // taken
		if err := db.Save(t.Context(), spoilt); err == nil {
			t.Error("two containers share a VMID")
		}
		if n := query[int](t, db, "SELECT count(*) FROM containers"); n != 0 {
			t.Errorf("%d rows of a failed call were kept", n)
		}
		must(t, db.Save(t.Context(), records))
		got, err := db.Containers(t.Context(), "home")
		if err != nil || len(got) != len(records) {
			t.Errorf("%d records, %v", len(got), err)
		}
	})
}

func TestAVMIDIsFreeOnceItsContainerIsGone(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		old, other := jellyfin, jellyfin
		old.ID, other.ID = "z", "a" // by ID the new one would come first
		must(t, db.Save(t.Context(), []inventory.Record{old}))
		if err := db.Save(t.Context(), []inventory.Record{other}); err == nil {
			t.Error("two containers share a VMID")
		}
		old.GoneAt = noon
		must(t, db.Save(t.Context(), []inventory.Record{other, old}))
		got, err := db.Containers(t.Context(), "home")
		must(t, err)
		if len(got) != 1 || got[0].ID != "a" {
			t.Errorf("containers %+v", got)
		}
		if n := query[int](t, db, "SELECT count(*) FROM containers"); n != 2 {
			t.Errorf("%d rows, the old one is to be remembered", n)
		}
	})
}

func TestTwoWhoSaveTheSameRecordsDoNotLockEachOther(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for round := range 10 {
					records := make([]inventory.Record, 50)
					for i := range records {
						n := i
						if w%2 == 0 {
							n = len(records) - 1 - i
						}
						records[i] = jellyfin
						records[i].ID, records[i].VMID = inventory.ID(fmt.Sprint(n)), n
						records[i].Node = fmt.Sprint(w, round)
					}
					if err := db.Save(t.Context(), records); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestATickIsClaimedOnce(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		if e.Name != "postgres" {
			continue
		}
		t.Run("by one of many", func(t *testing.T) {
			db := e.Open(t)
			const year = 365 * 24 * time.Hour // no period ends during the test
			var first atomic.Int64
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					ok, err := db.ClaimTick(t.Context(), "home", year)
					if err != nil {
						t.Error(err)
					}
					if ok {
						first.Add(1)
					}
				})
			}
			wg.Wait()
			if first.Load() != 1 {
				t.Errorf("%d claimed the same period", first.Load())
			}
			if ok, err := db.ClaimTick(t.Context(), "office", year); err != nil || !ok {
				t.Errorf("another cluster: %v, %v", ok, err)
			}
			// The period before has been claimed, this one has not.
			sql(t, db, fmt.Sprintf("UPDATE clusters SET claimed = claimed - %d", year.Microseconds()))
			for _, want := range []bool{true, false} {
				if ok, err := db.ClaimTick(t.Context(), "home", year); err != nil || ok != want {
					t.Errorf("the next period: %v, want %v, %v", ok, want, err)
				}
			}
		})
		t.Run("also after the period was shorter", func(t *testing.T) {
			db := e.Open(t)
			if ok, err := db.ClaimTick(t.Context(), "home", time.Microsecond); err != nil || !ok {
				t.Fatalf("%v, %v", ok, err)
			}
			// An hour later, to a period of a minute.
			sql(t, db, "UPDATE clusters SET claimed = claimed - 3600000000")
			if ok, err := db.ClaimTick(t.Context(), "home", time.Minute); err != nil || !ok {
				t.Errorf("a longer period is never claimed: %v, %v", ok, err)
			}
		})
	}
}

func TestTheOwnerOfAFileAlwaysHasTheTick(t *testing.T) {
	db := storagetest.Open(t)
	for range 3 {
		if ok, err := db.ClaimTick(t.Context(), "home", time.Hour); err != nil || !ok {
			t.Errorf("%v, %v", ok, err)
		}
	}
	if n := query[int](t, db, "SELECT count(*) FROM clusters"); n != 0 {
		t.Error("and nothing is written for it")
	}
	if _, err := db.ClaimTick(t.Context(), "home", 0); err == nil {
		t.Error("no period passes for one")
	}
}

func TestErrorsKeepTheirCause(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(db) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// A container that is made long after its number was reserved was first seen
// then; who has only read the reservation does not undo that.
func TestWhenAContainerWasFirstSeenOnlyRises(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		reserved := inventory.Record{ID: "a", Cluster: "home", VMID: 101, State: inventory.Creating, FirstSeen: noon, SeenAt: noon}
		made, read := reserved, reserved
		made.FirstSeen = noon.Add(time.Minute)
		read.State = inventory.Running
		for _, r := range []inventory.Record{reserved, made, read} {
			must(t, db.Save(t.Context(), []inventory.Record{r}))
		}
		got, err := db.Containers(t.Context(), "home")
		must(t, err)
		if len(got) != 1 || !got[0].FirstSeen.Equal(made.FirstSeen) || got[0].State != inventory.Running {
			t.Errorf("%+v", got)
		}
	})
}
