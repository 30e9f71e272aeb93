package storage_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/storage"
)

func TestAnIncidentsLife(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		want := alerts.Incident{ID: "1", Key: "node:home/pve3", Cluster: "home", Text: "node pve3 is down", OpenedAt: noon.UTC()}
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
		must(t, db.SetIncidentPosts(ctx, "1", want.Posts))
		must(t, db.SetIncidentPosts(ctx, "none", want.Posts))
		got, err := db.OpenIncidents(ctx)
		must(t, err)
		if diff := cmp.Diff([]alerts.Incident{other, want}, got); diff != "" {
			t.Error(diff)
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
		if _, found, err := db.CloseIncident(ctx, hostile, noon); err != nil || !found {
			t.Errorf("a hostile key: %v, %v", found, err)
		}
		if ok, err := db.OpenIncident(ctx, again); err != nil || !ok {
			t.Errorf("the same thing is wrong again: %v, %v", ok, err)
		}
		must(t, db.SetIncidentPosts(ctx, "2", nil))
		again.Posts = nil
		got, err = db.OpenIncidents(ctx)
		must(t, err)
		if diff := cmp.Diff([]alerts.Incident{again}, got); diff != "" {
			t.Error(diff)
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
