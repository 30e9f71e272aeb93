package daemon

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/storage"
)

// creation is what the clusters offer for new containers, and who makes them.
type creation struct {
	catalog *catalog.Catalog
	creator *create.Creator
}

// creation puts together what makes containers. guests are the clusters whose
// containers can be entered; scan looks for services in a new one, and show
// shows how far it is.
func (d *Daemon) creation(db *storage.DB, inv *inventory.Inventory, guests map[string]create.Guest, users map[string]string,
	scan func(context.Context, inventory.ID) error, show func(context.Context, jobs.Job, create.Progress) (create.Message, error),
) creation {
	d.loadTemplates()
	offers, makers := map[string]catalog.Source{}, map[string]create.Proxmox{}
	for _, pve := range d.clusters {
		offers[pve.Name()], makers[pve.Name()] = pve, pve
	}
	c := creation{catalog: catalog.New(catalog.Config{Clusters: offers, Fleet: inv.Snapshot, Now: time.Now, Log: d.log})}
	c.creator = create.New(create.Config{
		Clusters: makers, TokenUser: users, Guests: guests, Templates: d.library.Load, Catalog: c.catalog, Inventory: inv, Events: db, HostKeys: db,
		Now: time.Now, Log: d.log, Scan: scan, Show: show,
	})
	return c
}

// sweep forgets containers that nobody makes any more.
func (d *Daemon) sweep(ctx context.Context, inv *inventory.Inventory, runner *jobs.Runner) {
	err := inv.Sweep(ctx, func(id inventory.ID) bool {
		_, busy := runner.Busy(id)
		return busy
	})
	if err != nil && ctx.Err() == nil {
		d.log.ErrorContext(ctx, "forget containers that were not made", "err", err)
	}
}

// loadTemplates reads the templates. At the start a file that is wrong is left
// out; later it keeps those of before.
func (d *Daemon) loadTemplates() {
	library, err := templates.Load(d.cfg.Templates)
	d.refused.Store(&err)
	switch {
	case err == nil:
	case d.library.Load() == nil:
		d.log.Error("some templates cannot be used", "err", err)
	default:
		d.log.Error("the templates were not taken; the ones before stay", "err", err)
		return
	}
	d.library.Store(library)
}
