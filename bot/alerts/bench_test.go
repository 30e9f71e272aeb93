package alerts_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// BenchmarkLook is what alerts add to a refresh of 1,000 containers: of which
// nothing changed, and of which all are down at once.
func BenchmarkLook(b *testing.B) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	w := &world{}
	for i := range 1000 {
		w.res.Containers = append(w.res.Containers, row(1000+i, fmt.Sprintf("ct-%04d", i)))
	}
	w.res.Nodes = []proxmox.Node{{Name: "pve1", Status: "online"}}
	db := storagetest.Open(b)
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{w}, Store: db, Every: 30 * time.Second, Now: func() time.Time { return now }})
	refresh := func() inventory.Report {
		now = now.Add(30 * time.Second)
		rep, err := inv.Refresh(context.Background(), "home")
		if err != nil {
			b.Fatal(err)
		}
		return rep
	}
	refresh()
	quiet := refresh()
	w.set(0, stopped)
	fallen := refresh()
	if len(quiet.Changes) != 0 || len(fallen.Changes) != 1000 {
		b.Fatalf("%d and %d changes", len(quiet.Changes), len(fallen.Changes))
	}
	for name, rep := range map[string]inventory.Report{"quiet": quiet, "fallen": fallen} {
		a := alerts.New(alerts.Config{
			Store: db, Clusters: map[string]alerts.Tasks{"home": w}, Fleet: inv.Snapshot, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
			Busy: func(inventory.ID) (jobs.Job, bool) { return jobs.Job{}, false },
		})
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				a.Look(context.Background(), rep)
			}
		})
		b.Run(name+"-told", func(b *testing.B) { // beside the refresh
			for b.Loop() {
				a.Look(context.Background(), rep)
				a.Pass(context.Background())
			}
		})
	}
}
