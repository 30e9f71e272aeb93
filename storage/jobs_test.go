package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

const (
	hour  = time.Hour
	ended = -time.Second // a lease that is over by the database's clock, at once
)

func start108(container inventory.ID) jobs.Job {
	return jobs.Job{
		Container: container, Cluster: "home", Node: "pve3", VMID: 108, Name: "jellyfin", Action: jobs.Start,
		Person:  chat.Person{Platform: chat.Slack, ID: "U1", Name: "Ana", Groups: []string{"S1"}},
		Channel: "C1", Request: "r1", Holder: "a",
	}
}

func create(t *testing.T, db *storage.DB, container inventory.ID, lease time.Duration) jobs.Job {
	t.Helper()
	j, err := db.CreateJob(t.Context(), start108(container), lease, "")
	must(t, err)
	return j
}

func readJob(t *testing.T, db *storage.DB, id string) jobs.Job {
	t.Helper()
	j, found, err := db.Job(t.Context(), id)
	must(t, err)
	if !found {
		t.Fatalf("no job %s", id)
	}
	return j
}

// now is the database's clock.
func now(t *testing.T, db *storage.DB) time.Time {
	t.Helper()
	var at time.Time
	must(t, db.Bun().NewRaw("SELECT ?", db.In(0)).Scan(t.Context(), &at))
	return at.UTC()
}

func wantNear(t *testing.T, what string, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want).Abs(); d > time.Minute {
		t.Errorf("%s is %s, want about %s", what, got, want)
	}
}

func TestAJobsLife(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		created := create(t, db, "c", hour)
		want := start108("c")
		want.Person.Groups = nil
		want.ID, want.State, want.Fence = created.ID, jobs.Submitting, 1
		want.CreatedAt, want.LeaseUntil = created.CreatedAt, created.LeaseUntil
		if diff := cmp.Diff(want, created); diff != "" || created.ID == "" {
			t.Error(diff)
		}
		wantNear(t, "created", created.CreatedAt, now(t, db))
		wantNear(t, "the lease", created.LeaseUntil, now(t, db).Add(hour))
		if diff := cmp.Diff(created, readJob(t, db, created.ID)); diff != "" {
			t.Error(diff)
		}

		must(t, db.MarkSubmitting(ctx, created.ID, 1, noon, "pve1"))
		want.SubmittedAt, want.Node = noon.UTC(), "pve1"
		must(t, db.MarkRunning(ctx, created.ID, 1, "UPID:pve1:1"))
		want.State, want.UPID = jobs.Running, "UPID:pve1:1"
		renew(t, db, created.ID, 2*hour)
		got := readJob(t, db, created.ID)
		wantNear(t, "the renewed lease", got.LeaseUntil, now(t, db).Add(2*hour))
		want.LeaseUntil = got.LeaseUntil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		open, err := db.OpenJobs(ctx)
		must(t, err)
		if diff := cmp.Diff([]jobs.Job{want}, open); diff != "" {
			t.Error(diff)
		}
		must(t, db.MarkNotified(ctx, created.ID)) // not before it has ended
		if untold, err := db.UnnotifiedJobs(ctx); err != nil || len(untold) != 0 {
			t.Errorf("untold %v, %v", untold, err)
		}

		must(t, db.FinishJob(ctx, created.ID, 1, jobs.Warned, hostile, 3))
		got = readJob(t, db, created.ID)
		wantNear(t, "the end", got.FinishedAt, now(t, db))
		want.State, want.Error, want.Warnings, want.FinishedAt = jobs.Warned, tamed, 3, got.FinishedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if open, err := db.OpenJobs(ctx); err != nil || len(open) != 0 {
			t.Errorf("open %v, %v", open, err)
		}
		untold, err := db.UnnotifiedJobs(ctx)
		must(t, err)
		if diff := cmp.Diff([]jobs.Job{want}, untold); diff != "" {
			t.Error(diff)
		}

		must(t, db.MarkNotified(ctx, created.ID))
		told := readJob(t, db, created.ID).NotifiedAt
		wantNear(t, "the telling", told, now(t, db))
		must(t, db.MarkNotified(ctx, created.ID))
		if again := readJob(t, db, created.ID).NotifiedAt; !again.Equal(told) {
			t.Errorf("told at %s, and again at %s", told, again)
		}
		if untold, err := db.UnnotifiedJobs(ctx); err != nil || len(untold) != 0 {
			t.Errorf("untold %v, %v", untold, err)
		}
		if _, found, err := db.Job(ctx, "none\x00"); err != nil || found {
			t.Errorf("an unknown job: %v, %v", found, err)
		}
		create(t, db, "c", hour) // the container is free again
	})
}

func TestAJobMayBringItsIDAndTime(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		j := start108("c")
		j.ID, j.CreatedAt, j.Forced, j.Action = "mine", noon, true, jobs.Stop
		j.State, j.Fence, j.UPID, j.FinishedAt = jobs.Failed, 9, "UPID:x", noon // ignored
		got, err := db.CreateJob(t.Context(), j, hour, "")
		must(t, err)
		if got.ID != "mine" || !got.CreatedAt.Equal(noon) || !got.Forced || got.State != jobs.Submitting || got.Fence != 1 || got.UPID != "" || !got.FinishedAt.IsZero() {
			t.Errorf("created %+v", got)
		}
		k := start108("d")
		k.ID = "mine"
		var busy *jobs.BusyError
		if _, err := db.CreateJob(t.Context(), k, hour, ""); err == nil || errors.As(err, &busy) {
			t.Errorf("an ID twice: %v", err)
		}
	})
}

func TestAContainerHasOneOpenJob(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			created []jobs.Job
			busy    []*jobs.BusyError
		)
		for i := range 32 {
			wg.Go(func() {
				j := start108("c")
				j.Holder = fmt.Sprint(i)
				got, err := db.CreateJob(t.Context(), j, hour, "")
				mu.Lock()
				defer mu.Unlock()
				var b *jobs.BusyError
				switch {
				case err == nil:
					created = append(created, got)
				case errors.As(err, &b):
					busy = append(busy, b)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(created) != 1 || len(busy) != 31 {
			t.Fatalf("%d jobs were created, %d were refused", len(created), len(busy))
		}
		for _, b := range busy {
			if diff := cmp.Diff(created[0], b.Job); diff != "" {
				t.Errorf("busy with another job:\n%s", diff)
			}
		}
	})
}

func TestAForcedStopSupersedesOneJob(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		first := create(t, db, "c", hour)
		other := create(t, db, "d", hour)

		// Another one than was meant is not touched, nor is anything else.
		var busy *jobs.BusyError
		if _, err := db.CreateJob(ctx, start108("c"), hour, other.ID); !errors.As(err, &busy) || busy.Job.ID != first.ID {
			t.Errorf("superseding the job of another container: %v", err)
		}
		for _, j := range []jobs.Job{first, other} {
			if diff := cmp.Diff(j, readJob(t, db, j.ID)); diff != "" {
				t.Error(diff)
			}
		}

		free, err := db.CreateJob(ctx, start108("free"), hour, other.ID)
		must(t, err)
		if diff := cmp.Diff(other, readJob(t, db, other.ID)); diff != "" {
			t.Errorf("a job of another container was superseded by %s:\n%s", free.ID, diff)
		}

		// Of many at once, one does.
		var wg sync.WaitGroup
		var won atomic.Int64
		for range 16 {
			wg.Go(func() {
				var busy *jobs.BusyError
				_, err := db.CreateJob(ctx, start108("c"), hour, first.ID)
				if err == nil {
					won.Add(1)
				} else if !errors.As(err, &busy) || busy.Job.ID == first.ID {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d superseded it", won.Load())
		}
		old := readJob(t, db, first.ID)
		if old.State != jobs.Superseded || old.FinishedAt.IsZero() {
			t.Errorf("the old job is %+v", old)
		}
		if err := db.FinishJob(ctx, first.ID, first.Fence, jobs.Succeeded, "", 0); !errors.Is(err, jobs.ErrFenced) {
			t.Errorf("its holder finishes it: %v", err)
		}
		// One that has ended meanwhile is no obstacle.
		must(t, db.FinishJob(ctx, other.ID, 1, jobs.Succeeded, "", 0))
		if _, err := db.CreateJob(ctx, start108("d"), hour, other.ID); err != nil {
			t.Error(err)
		}
		if got := readJob(t, db, other.ID); got.State != jobs.Succeeded {
			t.Errorf("it became %s", got.State)
		}
	})
}

func TestAJobWhoseLeaseHasEndedIsTakenOver(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		create(t, db, "held", hour)
		left := create(t, db, "left", ended)
		must(t, db.MarkRunning(ctx, left.ID, 1, "UPID:1"))

		got, found, err := db.ClaimJob(ctx, "b", hour)
		must(t, err)
		if !found || got.ID != left.ID || got.Holder != "b" || got.Fence != 2 || got.UPID != "UPID:1" || got.State != jobs.Running {
			t.Fatalf("claimed %v %+v", found, got)
		}
		wantNear(t, "the lease", got.LeaseUntil, now(t, db).Add(hour))
		if diff := cmp.Diff(got, readJob(t, db, left.ID)); diff != "" {
			t.Error(diff)
		}
		if _, found, err := db.ClaimJob(ctx, "c", hour); err != nil || found {
			t.Errorf("claimed again: %v, %v", found, err)
		}

		// The first holder comes back.
		for name, write := range jobWrites(db, left.ID, 1) {
			if err := write(ctx); !errors.Is(err, jobs.ErrFenced) {
				t.Errorf("%s with an old fence: %v", name, err)
			}
		}
		if diff := cmp.Diff(got, readJob(t, db, left.ID)); diff != "" {
			t.Errorf("an old holder changed it:\n%s", diff)
		}
		// The new one finishes it; after that nobody does anything.
		must(t, db.FinishJob(ctx, left.ID, 2, jobs.Succeeded, "", 0))
		before := readJob(t, db, left.ID)
		for name, write := range jobWrites(db, left.ID, 2) {
			if err := write(ctx); !errors.Is(err, jobs.ErrFenced) {
				t.Errorf("%s after the end: %v", name, err)
			}
		}
		if diff := cmp.Diff(before, readJob(t, db, left.ID)); diff != "" {
			t.Errorf("a finished job changed:\n%s", diff)
		}
	})
}

// renew makes the first holder's lease longer, and returns why the job is to end.
func renew(t *testing.T, db *storage.DB, id string, lease time.Duration) (cancelled string) {
	t.Helper()
	cancelled, err := db.RenewJob(t.Context(), id, 1, lease)
	must(t, err)
	return cancelled
}

func jobWrites(db *storage.DB, id string, fence int64) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"RenewJob":       func(ctx context.Context) error { _, err := db.RenewJob(ctx, id, fence, 9*hour); return err },
		"MarkSubmitting": func(ctx context.Context) error { return db.MarkSubmitting(ctx, id, fence, noon, "elsewhere") },
		"MarkRunning":    func(ctx context.Context) error { return db.MarkRunning(ctx, id, fence, "UPID:other") },
		"FinishJob":      func(ctx context.Context) error { return db.FinishJob(ctx, id, fence, jobs.Failed, "no", 1) },
	}
}

func TestALeaseThatIsRenewedIsNotTakenOver(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		j := create(t, db, "c", ended)
		renew(t, db, j.ID, hour)
		if _, found, err := db.ClaimJob(t.Context(), "b", hour); err != nil || found {
			t.Errorf("claimed: %v, %v", found, err)
		}
	})
}

func TestSQLiteReckonsWithTheClockOfItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storagetest.Open(t)
		j := create(t, db, "c", time.Minute)
		if want := time.Now().UTC(); !j.CreatedAt.Equal(want) || !j.LeaseUntil.Equal(want.Add(time.Minute)) {
			t.Errorf("created at %s with a lease until %s, at %s", j.CreatedAt, j.LeaseUntil, want)
		}
		time.Sleep(time.Minute - time.Microsecond)
		if _, found, err := db.ClaimJob(t.Context(), "b", hour); err != nil || found {
			t.Errorf("claimed before the lease ended: %v, %v", found, err)
		}
		time.Sleep(time.Microsecond)
		if _, found, err := db.ClaimJob(t.Context(), "b", hour); err != nil || !found {
			t.Errorf("not claimed when the lease ended: %v, %v", found, err)
		}
	})
}

func TestAJobEndsInAFinalState(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		j := create(t, db, "c", hour)
		for _, s := range []jobs.State{jobs.Submitting, jobs.Running} {
			if err := db.FinishJob(t.Context(), j.ID, 1, s, "", 0); err == nil {
				t.Errorf("it ends as %s", s)
			}
		}
	})
}

func TestEachJobIsClaimedByOne(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		const n = 40
		for i := range n {
			create(t, db, inventory.ID(fmt.Sprint(i)), ended)
		}
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			claimed = map[string]int{}
		)
		for w := range 8 {
			wg.Go(func() {
				for {
					j, found, err := db.ClaimJob(t.Context(), fmt.Sprint(w), hour)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if found {
						claimed[j.ID]++
					}
					all := len(claimed) == n
					mu.Unlock()
					// Those that others hold locked are skipped, so none found
					// does not mean that none is left.
					if all {
						return
					}
				}
			})
		}
		wg.Wait()
		for id, times := range claimed {
			if times != 1 {
				t.Errorf("job %s was claimed %d times", id, times)
			}
		}
	})
}

func TestJobsOfABatchAndOldJobs(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		var made []jobs.Job
		for _, container := range []inventory.ID{"c1", "c2", "c3"} {
			j := start108(container)
			j.CreatedAt = noon.Add(time.Duration(len(made)) * time.Second)
			if container != "c2" {
				j.Batch, j.BatchSize, j.Leftovers = "b", 2, true
			}
			created, err := db.CreateJob(ctx, j, hour, "")
			must(t, err)
			made = append(made, created)
		}
		got, err := db.BatchJobs(ctx, "b")
		must(t, err)
		if diff := cmp.Diff([]jobs.Job{made[0], made[2]}, got); diff != "" || got[0].BatchSize != 2 || !got[0].Leftovers {
			t.Error(diff)
		}

		must(t, db.FinishJob(ctx, made[0].ID, 1, jobs.Succeeded, "", 0))
		must(t, db.FinishJob(ctx, made[1].ID, 1, jobs.Succeeded, "", 0))
		must(t, db.MarkNotified(ctx, made[1].ID))
		if n, err := db.PurgeJobs(ctx, hour); n != 0 || err != nil {
			t.Errorf("%d young jobs were removed, %v", n, err)
		}
		if n, err := db.PurgeJobs(ctx, -hour); n != 1 || err != nil {
			t.Errorf("%d jobs were removed, want the one that was told, %v", n, err)
		}
		if _, there, _ := db.Job(ctx, made[1].ID); there {
			t.Error("it is still there")
		}
	})
}

func TestTheLastJobOfAnAction(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		made := func(id string, container inventory.ID, a jobs.Action, at time.Time) {
			t.Helper()
			j := start108(container)
			j.ID, j.Action, j.CreatedAt = id, a, at
			created, err := db.CreateJob(ctx, j, hour, "")
			must(t, err)
			must(t, db.FinishJob(ctx, created.ID, 1, jobs.Failed, "no", 0))
		}
		made("first", "c1", jobs.Create, noon)
		made("again", "c1", jobs.Create, noon.Add(time.Minute))
		made("start", "c1", jobs.Start, noon.Add(2*time.Minute))
		made("other", "c2", jobs.Create, noon.Add(3*time.Minute))
		got, found, err := db.LastJob(ctx, "c1", jobs.Create)
		must(t, err)
		if !found || got.ID != "again" || got.State != jobs.Failed {
			t.Errorf("%v %+v", found, got)
		}
		if _, found, err := db.LastJob(ctx, "c1", jobs.Stop); found || err != nil {
			t.Errorf("there is one that there is not, %v", err)
		}
	})
}
