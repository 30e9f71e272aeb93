package main

import (
	"context"
	"fmt"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// MigrateCmd brings the tables up to date.
type MigrateCmd struct {
	Status   bool `help:"Only say what is applied, pending, or different." xor:"what"`
	Repair   bool `help:"Add missing tables, columns and indexes; nothing is dropped." xor:"what"`
	Baseline bool `help:"Write the ledger where tables match one known version but have none." xor:"what"`
}

// Run implements the command.
func (c MigrateCmd) Run(ctx context.Context, app *App) error {
	cfg, err := app.config()
	if err != nil {
		return err
	}
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr), c.Status)
	if err != nil {
		return err
	}
	defer db.Close()
	switch {
	case c.Status:
		st, err := db.Status(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(app.stdout, "engine: %s %s\napplied: %d\n", st.Engine, st.Version, len(st.Applied))
		for _, id := range st.Pending {
			fmt.Fprintln(app.stdout, "pending:", id)
		}
		for _, id := range st.Newer {
			fmt.Fprintln(app.stdout, "newer than this program:", id)
		}
		if st.Failed != "" {
			fmt.Fprintln(app.stdout, "failed:", st.Failed)
		}
		if st.NeedsBaseline {
			fmt.Fprintln(app.stdout, "the tables have no ledger; run: pvechat migrate --baseline")
		}
		for _, d := range st.Drift {
			fmt.Fprintln(app.stdout, "different:", d)
		}
		return nil
	case c.Repair:
		added, err := db.Repair(ctx)
		for _, what := range added {
			fmt.Fprintln(app.stdout, "added:", what)
		}
		if err == nil && len(added) == 0 {
			fmt.Fprintln(app.stdout, "nothing is missing")
		}
		return err
	case c.Baseline:
		v, err := db.Baseline(ctx)
		if err == nil {
			fmt.Fprintln(app.stdout, "the tables are those of version", v)
		}
		return err
	}
	applied, err := db.Migrate(ctx)
	for _, id := range applied {
		fmt.Fprintln(app.stdout, "applied:", id)
	}
	if err == nil && len(applied) == 0 {
		fmt.Fprintln(app.stdout, "up to date")
	}
	return err
}
