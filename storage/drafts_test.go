package storage_test

import (
	"errors"
	"testing"

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
		if ok, err := db.DropDraft(t.Context(), "w1", "slack:U2"); err != nil || ok {
			t.Errorf("somebody else drops it: %v", err)
		}
		for i, want := range []bool{true, false} {
			if ok, err := db.DropDraft(t.Context(), "w1", "slack:U1"); err != nil || ok != want {
				t.Errorf("drop %d: %v, %v", i, ok, err)
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
		must(t, db.SaveProgress(t.Context(), made.ID, made.Fence, 126, `{"at":2}`))
		got, _, err := db.Job(t.Context(), made.ID)
		must(t, err)
		if got.VMID != 126 || got.Progress != `{"at":2}` || got.Spec != `{"hostname":"wiki"}` {
			t.Errorf("%+v", got)
		}
		for i, want := range []bool{true, false} {
			if ok, err := db.CancelJob(t.Context(), made.ID, "cancelled by Ana"); err != nil || ok != want {
				t.Errorf("cancel %d: %v, %v", i, ok, err)
			}
		}
		if err := db.SaveProgress(t.Context(), made.ID, made.Fence, 126, ""); !errors.Is(err, jobs.ErrFenced) {
			t.Errorf("a cancelled one goes on: %v", err)
		}
		if got, _, _ := db.Job(t.Context(), made.ID); got.State != jobs.Superseded || got.Error != "cancelled by Ana" {
			t.Errorf("%+v", got)
		}
	})
}
