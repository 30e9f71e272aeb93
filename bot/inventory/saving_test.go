package inventory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// store calls before ahead of each Save, which fails with its error.
type store struct {
	inventory.Store
	before func(context.Context) error
}

func (s store) Save(ctx context.Context, records []inventory.Record) error {
	if err := s.before(ctx); err != nil {
		return err
	}
	return s.Store.Save(ctx, records)
}

// next is what the process after this one knows, without having asked Proxmox.
func next(t *testing.T, st inventory.Store) *inventory.Inventory {
	t.Helper()
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{&source{}}, Store: st, Every: 30 * time.Second})
	if err := inv.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestNobodySeesAContainerBeforeItIsSaved(t *testing.T) {
	db := storagetest.Open(t)
	src := &source{res: proxmox.Resources{At: time.Now(), Containers: []proxmox.Container{row(101, "web", "running")}, Nodes: nodes}}
	ctx, stop := context.WithCancel(t.Context())
	var inv *inventory.Inventory
	inv = inventory.New(inventory.Config{Sources: []inventory.Source{src}, Every: 30 * time.Second, Store: store{db, func(ctx context.Context) error {
		if n := inv.Snapshot().Len(); n != 0 {
			t.Errorf("%d containers are shown", n)
		}
		stop() // the process ends now
		return ctx.Err()
	}}})
	if _, err := inv.Refresh(ctx, "home"); err != nil {
		t.Fatal(err)
	}
	if was, is := one(t, inv, "web").ID, one(t, next(t, db), "web").ID; is != was {
		t.Errorf("the next process calls it %s, this one called it %s", is, was)
	}
}

func TestWhatTheStoreDidNotTakeIsSavedLater(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *inventory.Inventory, *source){
		"a refresh": func(t *testing.T, inv *inventory.Inventory, src *source) {
			src.res.Containers[0].Name = "www"
			if _, err := inv.Refresh(t.Context(), "home"); err == nil {
				t.Error("that it was not saved is not told")
			}
		},
		"an amendment": func(t *testing.T, inv *inventory.Inventory, src *source) {
			src.res.Containers[0].Name = "www"
			if _, err := inv.Amend(t.Context(), one(t, inv, "web").ID, func(r *inventory.Record) { r.Hostname = "www" }); err == nil {
				t.Error("that it was not saved is not told")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := storagetest.Open(t)
			src := &source{res: proxmox.Resources{At: time.Now(), Containers: []proxmox.Container{row(101, "web", "running")}, Nodes: nodes}}
			full := false
			inv := inventory.New(inventory.Config{Sources: []inventory.Source{src}, Every: 30 * time.Second, Store: store{db, func(context.Context) error {
				if full {
					return errors.New("disk full")
				}
				return nil
			}}})
			refresh(t, inv)
			full = true
			change(t, inv, src)
			if len(next(t, db).Snapshot().Find("www")) != 0 {
				t.Fatal("it was saved")
			}
			full = false
			refresh(t, inv)
			if was, is := one(t, inv, "www").ID, one(t, next(t, db), "www").ID; is != was {
				t.Errorf("it is %s, saved as %s", was, is)
			}
		})
	}
}

func TestTheNameOfAQuickerProcessCounts(t *testing.T) {
	db := storagetest.Postgres.Open(t)
	src := &source{res: proxmox.Resources{At: time.Now(), Containers: []proxmox.Container{row(101, "web", "running"), row(102, "db", "running")}, Nodes: nodes}}
	quicker := inventory.Record{ID: inventory.NewID(), Cluster: "home", VMID: 101, Hostname: "web", Node: "pve1", State: inventory.Running, FirstSeen: time.Now(), SeenAt: time.Now()}
	first := true
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{src}, Every: 30 * time.Second, Store: store{db, func(ctx context.Context) error {
		if first {
			first = false
			return db.Save(ctx, []inventory.Record{quicker})
		}
		return nil
	}}})
	rep := refresh(t, inv)
	if len(rep.Changes) != 1 || len(inv.Snapshot().Find("web")) != 0 {
		t.Errorf("it has a name of its own for it: %+v", rep.Changes)
	}
	refresh(t, inv)
	if c := one(t, inv, "web"); c.ID != quicker.ID {
		t.Errorf("it is %s, and the quicker process calls it %s", c.ID, quicker.ID)
	}
	if was, is := one(t, inv, "db").ID, one(t, next(t, db), "db").ID; is != was {
		t.Errorf("the other is %s, saved as %s", was, is)
	}
}
