package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// onPostgres runs a test on the engine that several processes share.
func onPostgres(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Helper()
	for _, e := range storagetest.Engines(t) {
		if e.Name == "postgres" {
			test(t, e.Open(t))
		}
	}
}

func TestALeaseIsHeldByOneUntilItEndsOrIsDropped(t *testing.T) {
	onPostgres(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		take := func(holder string, d time.Duration) string {
			has, err := db.TakeLease(ctx, "gateway", holder, d)
			must(t, err)
			return has
		}
		for _, step := range []struct {
			who  string
			d    time.Duration
			want string
		}{
			{"a", hour, "a"},
			{"b", hour, "a"},
			{"a", ended, "a"}, // it is prolonged, to an end that has passed
			{"b", hour, "b"},
			{"a", hour, "b"},
		} {
			if has := take(step.who, step.d); has != step.want {
				t.Errorf("%s takes it for %s: %s has it, want %s", step.who, step.d, has, step.want)
			}
		}
		must(t, db.DropLease(ctx, "gateway", "a")) // not a's to drop
		if has := take("a", hour); has != "b" {
			t.Errorf("%s has it", has)
		}
		must(t, db.DropLease(ctx, "gateway", "b"))
		if n := countTrue(t, 32, func() (bool, error) {
			has, err := db.TakeLease(ctx, "gateway", fmt.Sprint(time.Now().UnixNano()), hour)
			return has != "" && err == nil, err
		}); n != 32 {
			t.Errorf("%d of 32 heard who has it", n)
		}
		if n := query[int](t, db, "SELECT count(*) FROM leases"); n != 1 {
			t.Errorf("%d leases", n)
		}
	})
}

func TestOfManyWhoTakeALeaseOneGetsIt(t *testing.T) {
	onPostgres(t, func(t *testing.T, db *storage.DB) {
		holders := make(chan string, 32)
		for i := range cap(holders) {
			holders <- fmt.Sprint("process ", i)
		}
		if n := countTrue(t, cap(holders), func() (bool, error) {
			me := <-holders
			has, err := db.TakeLease(t.Context(), "gateway", me, hour)
			return has == me, err
		}); n != 1 {
			t.Errorf("%d have it", n)
		}
	})
}

func TestLeasesAreSeizedAndSeenByOthers(t *testing.T) {
	onPostgres(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		elsewhere := func(prefix, me string) bool {
			is, err := db.LeaseHeldElsewhere(ctx, prefix, me)
			must(t, err)
			return is
		}
		must(t, db.SeizeLeases(ctx, "a", hour, "panel/1", "panel/2", hostile))
		must(t, db.SeizeLeases(ctx, "b", hour, "panel/2"))
		must(t, db.SeizeLeases(ctx, "b", ended, "old/1"))
		for _, c := range []struct {
			prefix, me string
			want       bool
		}{
			{"panel/1", "a", false},
			{"panel/1", "b", true},
			{"panel/2", "a", true},
			{"panel/2", "b", false},
			{"panel/", "a", true},
			{"pan", "b", true},
			{"panel/%", "b", false},
			{"panel/3", "a", false},
			{"old/", "a", false},
		} {
			if got := elsewhere(c.prefix, c.me); got != c.want {
				t.Errorf("%q seen by %s: %v", c.prefix, c.me, got)
			}
		}
		must(t, db.PurgeLeases(ctx))
		if n := query[int](t, db, "SELECT count(*) FROM leases"); n != 3 {
			t.Errorf("%d leases are kept, want the three that last", n)
		}
	})
}

// A file has one process at a time; one that was killed leaves nothing to wait
// for.
func TestTheOwnerOfAFileHasEveryLease(t *testing.T) {
	db, ctx := storagetest.Open(t), t.Context()
	for _, me := range []string{"a", "b"} {
		if has, err := db.TakeLease(ctx, "gateway", me, hour); has != me || err != nil {
			t.Errorf("%s has it, %v", has, err)
		}
	}
	must(t, db.SeizeLeases(ctx, "a", hour, "x"))
	if is, err := db.LeaseHeldElsewhere(ctx, "x", "b"); is || err != nil {
		t.Errorf("held elsewhere: %v, %v", is, err)
	}
	if n := query[int](t, db, "SELECT count(*) FROM leases"); n != 0 {
		t.Error("and nothing is written for it")
	}
}
