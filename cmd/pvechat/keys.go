package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/storage/seal"
)

// KeysCmd looks after the key set with which values are sealed.
type KeysCmd struct {
	Add     KeysAddCmd     `cmd:"" help:"Add a key, or make the file with its first one."`
	Promote KeysPromoteCmd `cmd:"" help:"Seal new values with this key from the next start on."`
	Retire  KeysRetireCmd  `cmd:"" help:"Seal anew what this key sealed, then remove it."`
	Check   KeysCheckCmd   `cmd:"" help:"Open every sealed value, and say which key sealed how many."`
}

// KeysAddCmd adds a key.
type KeysAddCmd struct{}

// Run implements the command.
func (KeysAddCmd) Run(app *App) error {
	_, file, err := app.keyset()
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		if err := seal.Generate(file); err != nil {
			return err
		}
		fmt.Fprintf(app.stdout, "made %s with its first key; keep a copy of it apart from the database\n", file)
		return nil
	}
	id, err := seal.AddKey(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.stdout, "added key %d\nrestart every pvechat that uses the file, then: pvechat keys promote %d\n", id, id)
	return nil
}

// KeysPromoteCmd makes a key the primary one.
type KeysPromoteCmd struct {
	ID string `arg:"" help:"Number of the key."`
}

// Run implements the command.
func (c KeysPromoteCmd) Run(app *App) error {
	_, file, err := app.keyset()
	if err != nil {
		return err
	}
	id, _, err := knownKey(file, c.ID)
	if err != nil {
		return err
	}
	if err := seal.Promote(file, id); err != nil {
		return err
	}
	fmt.Fprintf(app.stdout, "key %d seals new values from the next start on\n", id)
	return nil
}

// KeysRetireCmd removes a key.
type KeysRetireCmd struct {
	ID    string `arg:"" help:"Number of the key."`
	Force bool   `help:"Also where lines of the audit can then be checked no more."`
}

// Run implements the command.
func (c KeysRetireCmd) Run(ctx context.Context, app *App) error {
	cfg, file, err := app.keyset()
	if err != nil {
		return err
	}
	id, primary, err := knownKey(file, c.ID)
	if err != nil {
		return err
	}
	if primary {
		return fmt.Errorf("key %d seals new values: promote another one first", id)
	}
	keys, err := seal.OpenFile(file)
	if err != nil {
		return err
	}
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr), false)
	if err != nil {
		return err
	}
	defer db.Close()
	codes, err := db.AuditCodes(ctx, id)
	if err != nil {
		return err
	}
	if codes > 0 && !c.Force {
		return fmt.Errorf("key %d is needed to check %d lines of the audit: keep it until they are older than the audit is kept, or retire it with --force", id, codes)
	}
	n, err := keys.Reseal(ctx, db, id)
	if err != nil {
		return fmt.Errorf("%d values were sealed anew, and the key was kept: %w", n, err)
	}
	if err := seal.Retire(file, id); err != nil {
		return err
	}
	fmt.Fprintf(app.stdout, "sealed anew: %d\nremoved key %d\n", n, id)
	return nil
}

// KeysCheckCmd opens everything.
type KeysCheckCmd struct{}

// Run implements the command.
func (KeysCheckCmd) Run(ctx context.Context, app *App) error {
	cfg, file, err := app.keyset()
	if err != nil {
		return err
	}
	list, err := seal.Keys(file)
	if err != nil {
		return err
	}
	keys, err := seal.OpenFile(file)
	if err != nil {
		return err
	}
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, app.stderr), true)
	if err != nil {
		return err
	}
	defer db.Close()
	used, err := keys.Used(ctx, db)
	for _, k := range list {
		primary := ""
		if k.Primary {
			primary = ", seals new values"
		}
		fmt.Fprintf(app.stdout, "key %d: sealed %d%s\n", k.ID, used[k.ID], primary)
		delete(used, k.ID)
	}
	for id, n := range used {
		fmt.Fprintf(app.stdout, "key %d, which is not in the file: sealed %d\n", id, n)
	}
	if err != nil {
		return fmt.Errorf("not everything opens: %w", err)
	}
	fmt.Fprintln(app.stdout, "everything opens")
	return nil
}

// keyset is the configuration, and the file that it names.
func (a *App) keyset() (daemon.Config, string, error) {
	cfg, err := a.config()
	if err == nil && cfg.KeysetFile == "" {
		err = errors.New("the configuration has no keyset_file")
	}
	return cfg, cfg.KeysetFile, err
}

// knownKey finds a key of the file by its number.
func knownKey(file, number string) (id uint32, primary bool, err error) {
	list, err := seal.Keys(file)
	if err != nil {
		return 0, false, err
	}
	for _, k := range list {
		if strconv.FormatUint(uint64(k.ID), 10) == number {
			return k.ID, k.Primary, nil
		}
	}
	return 0, false, fmt.Errorf("%s has no key %q; pvechat keys check lists them", file, number)
}
