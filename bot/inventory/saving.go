package inventory

import (
	"context"
	"errors"
	"time"
)

// saveWithin is how long a change of the snapshot may wait for the store.
const saveWithin = 5 * time.Second

// save stores records, and those that could not be stored before, as they are
// now. It comes before publish: what people see, and press, is then known to
// the next process too. So it goes on when ctx ends, and what does not work is
// kept for the next call. inv.mu is held.
func (inv *Inventory) save(ctx context.Context, cs *clusterState, records ...Record) error {
	for id, r := range cs.unsaved {
		if c := cs.byVMID[r.VMID]; c != nil && c.ID == id {
			cs.unsaved[id] = c.Record
		}
	}
	for _, r := range records {
		cs.unsaved[r.ID] = r
	}
	if len(cs.unsaved) == 0 {
		return nil
	}
	batch := make([]Record, 0, len(cs.unsaved))
	for _, r := range cs.unsaved {
		batch = append(batch, r)
	}
	err := inv.store(ctx, batch...)
	if !errors.Is(err, ErrTaken) {
		if err == nil {
			clear(cs.unsaved)
		}
		return err
	}
	// Another process was quicker to name a container: its name counts, and the
	// next refresh reads it.
	for _, r := range batch {
		switch err := inv.store(ctx, r); {
		case errors.Is(err, ErrTaken):
			if c := cs.byVMID[r.VMID]; c != nil && c.ID == r.ID {
				delete(cs.byVMID, r.VMID)
			}
		case err != nil:
			return err
		}
		delete(cs.unsaved, r.ID)
	}
	return nil
}

// store writes records whether or not ctx has ended, within [saveWithin].
func (inv *Inventory) store(ctx context.Context, records ...Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	return inv.cfg.Store.Save(ctx, records)
}
