package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// BackupCmd writes the database to a file. It works beside a running bot.
type BackupCmd struct {
	File string `arg:"" help:"File to write; there must be none yet." type:"path"`
}

// Run implements the command.
func (c BackupCmd) Run(ctx context.Context, app *App) (err error) {
	cfg, err := app.config()
	if err != nil {
		return err
	}
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr), true)
	if err != nil {
		return err
	}
	defer db.Close()
	f, err := os.OpenFile(c.File, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := db.Backup(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(c.File)) // half of one would look like one
	}
	fmt.Fprintf(app.stdout, "rows: %d\nkeep the file of keys apart from it: without keyset_file, what is sealed opens nowhere\n", n)
	return nil
}

// RestoreCmd fills an empty database, of either engine.
type RestoreCmd struct {
	File string `arg:"" help:"File that pvechat backup wrote." type:"existingfile"`
}

// Run implements the command.
func (c RestoreCmd) Run(ctx context.Context, app *App) error {
	cfg, err := app.config()
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr), false)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	n, err := db.Restore(ctx, bufio.NewReader(f))
	if err != nil {
		return err
	}
	fmt.Fprintf(app.stdout, "rows: %d\n", n)
	return nil
}
