package main

import (
	"context"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// RunCmd serves until it is stopped.
type RunCmd struct{}

// Run implements the command.
func (RunCmd) Run(ctx context.Context, app *App) error {
	cfg, err := app.config()
	if err != nil {
		return err
	}
	log := daemon.NewLog(cfg.Log, app.stderr)
	d, err := daemon.New(cfg, log)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "pvechat starts", "version", version())
	if err := d.Run(ctx); err != nil {
		return err
	}
	log.InfoContext(context.WithoutCancel(ctx), "pvechat has stopped")
	return nil
}
