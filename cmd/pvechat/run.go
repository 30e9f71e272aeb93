package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

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
	log.InfoContext(ctx, "pvechat starts", "version", daemon.Version())
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go func() {
		for {
			select {
			case <-hup:
				d.Reload(app.config)
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := d.Run(ctx); err != nil {
		return err
	}
	log.InfoContext(context.WithoutCancel(ctx), "pvechat has stopped")
	return nil
}
