package storage_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/storage"
)

func TestADraftIsItsPersons(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.SaveDraft(t.Context(), "w1", "slack:U1", `{"n":1}`))
		must(t, db.SaveDraft(t.Context(), "w1", "slack:U1", `{"n":2}`))
		must(t, db.SaveDraft(t.Context(), "w1", "slack:U2", `{"n":3}`)) // has no effect
		if spec, found, err := db.Draft(t.Context(), "w1", "slack:U1"); err != nil || !found || spec != `{"n":2}` {
			t.Errorf("%q, %v, %v", spec, found, err)
		}
		if _, found, err := db.Draft(t.Context(), "w1", "slack:U2"); err != nil || found {
			t.Errorf("somebody else sees it: %v", err)
		}
		if n, err := db.PurgeDrafts(t.Context(), hour); err != nil || n != 0 {
			t.Errorf("%d fresh ones were removed, %v", n, err)
		}
		must(t, db.DropDraft(t.Context(), "w1", "slack:U2"))
		if _, found, err := db.Draft(t.Context(), "w1", "slack:U1"); err != nil || !found {
			t.Errorf("somebody else dropped it: %v", err)
		}
		for range 2 {
			must(t, db.DropDraft(t.Context(), "w1", "slack:U1"))
			if _, found, err := db.Draft(t.Context(), "w1", "slack:U1"); err != nil || found {
				t.Errorf("it is still there: %v", err)
			}
		}
		must(t, db.SaveDraft(t.Context(), "w2", "slack:U1", "{}"))
		if n, err := db.PurgeDrafts(t.Context(), 0); err != nil || n != 1 {
			t.Errorf("%d old ones were removed, %v", n, err)
		}
	})
}

func TestProgressIsSavedByWhoHoldsTheJob(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		j := start108("c")
		j.Action, j.Spec = jobs.Create, `{"hostname":"wiki"}`
		made, err := db.CreateJob(t.Context(), j, hour, "")
		must(t, err)
		why, err := db.SaveProgress(t.Context(), made.ID, made.Fence, 126, `{"at":2}`)
		must(t, err)
		got, _, err := db.Job(t.Context(), made.ID)
		must(t, err)
		if why != "" || got.VMID != 126 || got.Progress != `{"at":2}` || got.Spec != `{"hostname":"wiki"}` {
			t.Errorf("%+v", got)
		}
	})
}

func TestACancelledJobEndsByItself(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		made := create(t, db, "c", hour)
		if why := renew(t, db, made.ID, hour); why != "" {
			t.Errorf("nobody cancelled it: %s", why)
		}
		for _, by := range []string{"cancelled by Ana", "cancelled by Ben"} {
			if ok, err := db.CancelJob(t.Context(), made.ID, by); err != nil || !ok {
				t.Errorf("%s: %v, %v", by, ok, err)
			}
		}
		if why := renew(t, db, made.ID, hour); why != "cancelled by Ana" {
			t.Errorf("who holds it hears %q", why)
		}
		if why, err := db.SaveProgress(t.Context(), made.ID, made.Fence, 126, `{"made":true}`); err != nil || why != "cancelled by Ana" {
			t.Errorf("it hears %q, %v", why, err)
		}
		must(t, db.FinishJob(t.Context(), made.ID, made.Fence, jobs.Superseded, "cancelled by Ana", 0))
		if ok, err := db.CancelJob(t.Context(), made.ID, "cancelled by Ana"); err != nil || ok {
			t.Errorf("it had ended: %v, %v", ok, err)
		}
	})
}

// A draft is dropped in the transaction that makes its job: after a crash there
// is one of the two, and of two presses one makes a job.
func TestAJobTakesTheDraftThatItIsMadeOf(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ask := start108("c1")
		ask.Action, ask.Draft = jobs.Create, "w1"
		must(t, db.SaveDraft(t.Context(), "w1", "slack:U9", "{}"))
		if _, err := db.CreateJob(t.Context(), ask, hour, ""); !errors.Is(err, jobs.ErrNoDraft) {
			t.Errorf("a job of somebody else's draft: %v", err)
		}
		must(t, db.DropDraft(t.Context(), "w1", "slack:U9"))
		must(t, db.SaveDraft(t.Context(), "w1", ask.Person.Key(), "{}"))
		create(t, db, "busy", hour)
		other := ask
		other.Container = "busy"
		var busy *jobs.BusyError
		if _, err := db.CreateJob(t.Context(), other, hour, ""); !errors.As(err, &busy) {
			t.Errorf("got %v, want that it is busy", err)
		}
		if _, found, _ := db.Draft(t.Context(), "w1", ask.Person.Key()); !found {
			t.Error("no job came of it, and the draft is lost")
		}
		var made atomic.Int64
		var both sync.WaitGroup
		for _, container := range []inventory.ID{"c1", "c2"} {
			both.Go(func() {
				j := ask
				j.ID, j.Container = "", container
				switch _, err := db.CreateJob(t.Context(), j, hour, ""); {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, jobs.ErrNoDraft):
					t.Error(err)
				}
			})
		}
		both.Wait()
		if open, err := db.OpenJobs(t.Context()); err != nil || made.Load() != 1 || len(open) != 2 {
			t.Errorf("%d were made, %d jobs are open, %v", made.Load(), len(open), err)
		}
	})
}
