package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage"
)

// AuditCmd reads the audit. It works beside a running bot.
type AuditCmd struct {
	Export AuditExportCmd `cmd:"" help:"Print the audit as JSON Lines, oldest first."`
	Verify AuditVerifyCmd `cmd:"" help:"Check that no line was changed, removed or put in."`
}

// AuditExportCmd prints lines.
type AuditExportCmd struct {
	Since time.Duration `help:"Only lines younger than this, such as 24h." placeholder:"DURATION"`
}

// auditLine is a line as it is exported.
type auditLine struct {
	Seq       int64             `json:"seq"`
	At        time.Time         `json:"at"`
	Platform  chat.PlatformName `json:"platform"`
	PersonID  string            `json:"person_id"`
	Person    string            `json:"person"`
	Action    string            `json:"action"`
	Container inventory.ID      `json:"container"`
	Target    string            `json:"target"`
	Outcome   string            `json:"outcome"`
	Detail    string            `json:"detail"`
	Request   string            `json:"request"`
	Job       string            `json:"job"`
	MAC       string            `json:"mac"`
}

// Run implements the command.
func (c AuditExportCmd) Run(ctx context.Context, app *App) error {
	db, err := app.audit(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	var since time.Time
	if c.Since > 0 {
		since = time.Now().Add(-c.Since)
	}
	out := bufio.NewWriter(app.stdout)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	err = db.EachAuditLine(ctx, since, func(l storage.AuditLine) error {
		return enc.Encode(auditLine{
			l.Seq, l.At, l.Platform, l.PersonID, l.Person, l.Action, l.Container, l.Target, l.Outcome, l.Detail, l.Request, l.Job, l.MAC,
		})
	})
	return errors.Join(err, out.Flush())
}

// AuditVerifyCmd checks the audit.
type AuditVerifyCmd struct {
	Export string `arg:"" optional:"" help:"An earlier export: its lines must be there as they were. Without one, a database that was put back to an older state looks right." placeholder:"EXPORT" type:"path"`
}

// Run implements the command.
func (c AuditVerifyCmd) Run(ctx context.Context, app *App) error {
	var exported map[int64]storage.AuditLine
	if c.Export != "" {
		var err error
		if exported, err = readExport(c.Export); err != nil {
			return err
		}
	}
	db, err := app.audit(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	rep, err := db.VerifyAudit(ctx, exported)
	if err != nil {
		return err
	}
	fmt.Fprintf(app.stdout, "lines: %d (%d to %d)\nwith the key set: %d\nwith a plain hash: %d\n", rep.Lines, rep.First, rep.Last, rep.Keyed, rep.Hashed)
	if rep.Bare > 0 {
		fmt.Fprintf(app.stdout, "older than the codes, so nothing is known of them: %d\n", rep.Bare)
	}
	for _, p := range rep.Problems {
		fmt.Fprintln(app.stdout, "wrong:", p)
	}
	if n := len(rep.Problems) + rep.More; n > 0 {
		return fmt.Errorf("the audit is not as it was written: %d finding(s)", n)
	}
	if rep.Keyed == 0 && rep.Lines > 0 {
		fmt.Fprintln(app.stdout, "whole, as far as plain hashes show: without keyset_file, whoever can write the database can make them anew")
		return nil
	}
	fmt.Fprintln(app.stdout, "whole")
	return nil
}

func readExport(path string) (map[int64]storage.AuditLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := map[int64]storage.AuditLine{}
	dec := json.NewDecoder(bufio.NewReader(f))
	for dec.More() {
		var l auditLine
		if err := dec.Decode(&l); err != nil {
			return nil, fmt.Errorf("%s is no export of the audit: %w", path, err)
		}
		lines[l.Seq] = storage.AuditLine{Entry: handlers.Entry{Seq: l.Seq}, MAC: l.MAC}
	}
	return lines, nil
}

// audit opens the database for reading, with the key set.
func (a *App) audit(ctx context.Context) (*storage.DB, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	keys, err := daemon.Keys(cfg)
	if err != nil {
		return nil, err
	}
	db, err := daemon.OpenStorage(ctx, cfg, daemon.NewLog(cfg.Log, a.stderr), true)
	if err != nil {
		return nil, err
	}
	db.UseKeys(keys)
	return db, nil
}
