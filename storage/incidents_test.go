package storage_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/storage"
)

func TestAnIncidentsLife(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		want := alerts.Incident{
			ID: "1", Key: "node:home/pve3", Cluster: "home", Text: "node pve3 is down", OpenedAt: noon.UTC(),
			Details: alerts.Details{Kind: alerts.Node, Alert: view.Alert{ID: "1", Title: "Node pve3", Since: noon.UTC()}, Members: []alerts.Member{{ID: "7f3k2", Name: hostile}}},
		}
		want.Members[0].Name = "a\x00b"
		if ok, err := db.OpenIncident(ctx, want); err != nil || !ok {
			t.Errorf("opened: %v, %v", ok, err)
		}
		again := want
		again.ID = "2"
		if ok, err := db.OpenIncident(ctx, again); err != nil || ok {
			t.Errorf("opened again: %v, %v", ok, err)
		}
		other := alerts.Incident{
			ID: "3", Key: hostile, Cluster: hostile, Text: hostile, OpenedAt: noon.Add(-time.Second),
			Posts: []alerts.Post{{Platform: chat.Discord, Channel: "789", Message: "1"}},
		}
		if ok, err := db.OpenIncident(ctx, other); err != nil || !ok {
			t.Errorf("another: %v, %v", ok, err)
		}
		other.Key, other.Cluster, other.Text, other.OpenedAt = tamed, tamed, tamed, other.OpenedAt.UTC()

		want.Posts = []alerts.Post{{Platform: chat.Slack, Channel: "C1", Message: "1.1"}, {Platform: chat.Discord, Channel: "789", Message: "42"}}
		want.Text, want.Shown = "it is still down", "abc"
		must(t, db.SaveIncident(ctx, want))
		must(t, db.SaveIncident(ctx, alerts.Incident{ID: "none"}))
		got, err := db.OpenIncidents(ctx)
		must(t, err)
		if diff := cmp.Diff([]alerts.Incident{other, want}, got); diff != "" {
			t.Error(diff)
		}
		if one, found, err := db.Incident(ctx, "1"); err != nil || !found || !cmp.Equal(one, want) {
			t.Errorf("by its id: %+v %v %v", one, found, err)
		}
		if _, found, err := db.Incident(ctx, "none"); err != nil || found {
			t.Errorf("one that there is not: %v %v", found, err)
		}

		closed, found, err := db.CloseIncident(ctx, "node:home/pve3", noon.Add(time.Minute))
		must(t, err)
		want.ClosedAt = noon.Add(time.Minute).UTC()
		if diff := cmp.Diff(want, closed); diff != "" || !found {
			t.Errorf("found %v: %s", found, diff)
		}
		if _, found, err := db.CloseIncident(ctx, "node:home/pve3", noon); err != nil || found {
			t.Errorf("closed twice: %v, %v", found, err)
		}
		untold, err := db.UntoldEnds(ctx)
		must(t, err)
		if diff := cmp.Diff([]alerts.Incident{want}, untold); diff != "" {
			t.Error(diff)
		}
		must(t, db.EndTold(ctx, "1", noon.Add(2*time.Minute)))
		must(t, db.EndTold(ctx, "3", noon)) // it is open
		if untold, err = db.UntoldEnds(ctx); err != nil || len(untold) != 0 {
			t.Errorf("untold: %+v, %v", untold, err)
		}
		if _, found, err := db.CloseIncident(ctx, hostile, noon); err != nil || !found {
			t.Errorf("a hostile key: %v, %v", found, err)
		}

		if _, found, err := db.ReopenIncident(ctx, "node:home/pve3", noon.Add(time.Minute)); err != nil || found {
			t.Errorf("closed too long ago: %v, %v", found, err)
		}
		reopened, found, err := db.ReopenIncident(ctx, "node:home/pve3", noon)
		must(t, err)
		want.ClosedAt = time.Time{}
		if diff := cmp.Diff(want, reopened); diff != "" || !found {
			t.Errorf("found %v: %s", found, diff)
		}
		if _, found, err := db.ReopenIncident(ctx, "node:home/pve3", noon); err != nil || found {
			t.Errorf("opened twice: %v, %v", found, err)
		}
	})
}

func TestMutesAreKeptUntilTheyAreDropped(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		ever := alerts.Mute{Key: "down:7f3k2", Incident: "1", Title: "web is down", By: "Ana", At: noon.UTC()}
		until := alerts.Mute{Key: "disk:x", Incident: "2", Title: tamed, Until: noon.Add(time.Hour).UTC(), Back: true, By: tamed, At: noon.Add(time.Second).UTC()}
		must(t, db.SetMute(ctx, alerts.Mute{Key: ever.Key, Until: noon, At: noon}))
		must(t, db.SetMute(ctx, ever))
		must(t, db.SetMute(ctx, until))
		got, err := db.Mutes(ctx)
		must(t, err)
		if diff := cmp.Diff([]alerts.Mute{ever, until}, got); diff != "" {
			t.Error(diff)
		}
		must(t, db.DropMute(ctx, ever.Key))
		must(t, db.DropMute(ctx, "none"))
		if got, err = db.Mutes(ctx); err != nil || len(got) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestOneOfManyOpensAndOneClosesAnIncident(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var opened, closed atomic.Int64
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				ok, err := db.OpenIncident(t.Context(), alerts.Incident{ID: string(rune('a' + i)), Key: "cluster:home", OpenedAt: noon})
				if err != nil {
					t.Error(err)
				}
				if ok {
					opened.Add(1)
				}
			})
		}
		wg.Wait()
		for range 16 {
			wg.Go(func() {
				_, ok, err := db.CloseIncident(t.Context(), "cluster:home", noon)
				if err != nil {
					t.Error(err)
				}
				if ok {
					closed.Add(1)
				}
			})
		}
		wg.Wait()
		if opened.Load() != 1 || closed.Load() != 1 {
			t.Errorf("%d opened it, %d closed it", opened.Load(), closed.Load())
		}
	})
}

func TestOldIncidentsGoOnceTheirEndWasTold(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		for i, told := range []time.Time{noon, noon.Add(hour), {}} {
			key := fmt.Sprint("down:", i)
			opened, err := db.OpenIncident(ctx, alerts.Incident{ID: fmt.Sprint("a_", i), Key: key, OpenedAt: noon.Add(-hour)})
			if err != nil || !opened {
				t.Fatal(opened, err)
			}
			_, _, err = db.CloseIncident(ctx, key, noon.Add(-hour))
			must(t, err)
			if !told.IsZero() {
				must(t, db.EndTold(ctx, fmt.Sprint("a_", i), told))
			}
		}
		_, err := db.OpenIncident(ctx, alerts.Incident{ID: "a_open", Key: "down:open", OpenedAt: noon.Add(-hour)})
		must(t, err)
		n, err := db.PurgeIncidents(ctx, noon.Add(time.Minute))
		if n != 1 || err != nil {
			t.Errorf("%d were removed, %v", n, err)
		}
		if left := query[int](t, db, "SELECT count(*) FROM incidents"); left != 3 {
			t.Errorf("%d are left, want the one told later, the one to be told, and the open one", left)
		}
	})
}
