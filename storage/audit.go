package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage/seal"
)

type auditRow struct {
	bun.BaseModel `bun:"table:audit,alias:a"`

	Seq         int64  `bun:"seq,pk,autoincrement"`
	At          moment `bun:"at,notnull"`
	Platform    text   `bun:"platform,notnull"`
	PersonID    text   `bun:"person_id,notnull"`
	Person      text   `bun:"person,notnull"`
	Action      text   `bun:"action,notnull"`
	ContainerID text   `bun:"container_id,notnull"`
	Target      text   `bun:"target,notnull"`
	Outcome     text   `bun:"outcome,notnull"`
	Detail      text   `bun:"detail,notnull"`
	Request     text   `bun:"request,notnull"`
	Job         text   `bun:"job,notnull"`
	MAC         string `bun:"mac,notnull"`
}

// auditHeadRow is the end of the chain of lines.
type auditHeadRow struct {
	bun.BaseModel `bun:"table:audit_head,alias:h"`

	ID        int64  `bun:"id,pk"`
	Seq       int64  `bun:"seq,notnull"`
	MAC       string `bun:"mac,notnull"`
	Pruned    int64  `bun:"pruned,notnull"`
	PrunedMAC string `bun:"pruned_mac,notnull"`
}

func rowOfEntry(e handlers.Entry) auditRow {
	return auditRow{
		At:          moment{e.At},
		Platform:    tame(string(e.Platform)),
		PersonID:    tame(e.PersonID),
		Person:      tame(e.Person),
		Action:      tame(e.Action),
		ContainerID: tame(string(e.Container)),
		Target:      tame(e.Target),
		Outcome:     tame(e.Outcome),
		Detail:      tame(e.Detail),
		Request:     tame(e.Request),
		Job:         tame(e.Job),
	}
}

// tame is text as it will come back from the database: the code is over that.
func tame(s string) text {
	return text(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"))
}

func (r auditRow) entry() handlers.Entry {
	return handlers.Entry{
		Seq:       r.Seq,
		At:        r.At.Time,
		Platform:  chat.PlatformName(r.Platform),
		PersonID:  string(r.PersonID),
		Person:    string(r.Person),
		Action:    string(r.Action),
		Container: inventory.ID(r.ContainerID),
		Target:    string(r.Target),
		Outcome:   string(r.Outcome),
		Detail:    string(r.Detail),
		Request:   string(r.Request),
		Job:       string(r.Job),
	}
}

// content is what the code of a line is over: the line, and the code of the one
// before it.
func (r auditRow) content(before string) []byte {
	b, err := json.Marshal([]any{
		"pvechat audit", before, r.Seq, r.At.UTC().Format(momentLayout), r.Platform, r.PersonID, r.Person, r.Action, r.ContainerID, r.Target,
		r.Outcome, r.Detail, r.Request, r.Job,
	})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return b
}

// The two kinds of codes. Whoever can write the database can make the second
// kind anew, for every line from the one that he changed; the first only with
// the key set.
const (
	keyed  = "k:"
	hashed = "h:"
)

func (db *DB) auditCode(content []byte) (string, error) {
	if db.keys == nil {
		sum := sha256.Sum256(content)
		return hashed + hex.EncodeToString(sum[:]), nil
	}
	code, err := db.keys.MAC(content)
	return keyed + base64.StdEncoding.EncodeToString(code), err
}

// UseKeys makes the codes of the audit's lines depend on a key set, from the
// next line on. Call it before the database is used by others.
func (db *DB) UseKeys(k *seal.Keyset) { db.keys = k }

var (
	_ handlers.Recorder = (*DB)(nil)
	_ handlers.AuditLog = (*DB)(nil)
)

// Record appends to the audit. The entry's Seq is ignored: lines are numbered
// without a gap.
func (db *DB) Record(ctx context.Context, e handlers.Entry) error {
	return db.appendAudit(ctx, func(ctx context.Context, tx bun.Tx, head *auditHeadRow) error {
		return db.addLine(ctx, tx, head, rowOfEntry(e))
	})
}

// RecordOnce appends an entry about a job, unless the job's outcome is there.
func (db *DB) RecordOnce(ctx context.Context, e handlers.Entry) error {
	return db.appendAudit(ctx, func(ctx context.Context, tx bun.Tx, head *auditHeadRow) error {
		there, err := tx.NewSelect().Model((*auditRow)(nil)).Where("job = ?", text(e.Job)).Where("outcome = ?", text(e.Outcome)).Exists(ctx)
		if err != nil || there {
			return err
		}
		return db.addLine(ctx, tx, head, rowOfEntry(e))
	})
}

// appendAudit lets add write while nobody else appends.
func (db *DB) appendAudit(ctx context.Context, add func(context.Context, bun.Tx, *auditHeadRow) error) error {
	err := db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		head, err := db.auditHead(ctx, tx)
		if err != nil {
			return err
		}
		if err := add(ctx, tx, &head); err != nil {
			return err
		}
		_, err = tx.NewUpdate().Model(&head).WherePK().Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("storage: writing the audit: %w", err)
	}
	return nil
}

// auditHead reads and locks the end of the chain. A repaired database has none.
func (db *DB) auditHead(ctx context.Context, tx bun.Tx) (auditHeadRow, error) {
	read := func() (auditHeadRow, bool, error) {
		return one[auditHeadRow](ctx, db.engine.lockRow(tx.NewSelect().Where("id = 1")))
	}
	head, found, err := read()
	if err != nil || found {
		return head, err
	}
	last, _, err := one[auditRow](ctx, tx.NewSelect().Order("seq DESC").Limit(1))
	if err != nil {
		return head, err
	}
	fresh := auditHeadRow{ID: 1, Seq: last.Seq, MAC: last.MAC}
	if _, err := tx.NewInsert().Model(&fresh).On("CONFLICT (id) DO NOTHING").Returning("NULL").Exec(ctx); err != nil {
		return head, err
	}
	head, found, err = read()
	if err == nil && !found {
		err = errors.New("the audit's head is missing")
	}
	return head, err
}

func (db *DB) addLine(ctx context.Context, tx bun.Tx, head *auditHeadRow, row auditRow) (err error) {
	row.Seq = head.Seq + 1
	if row.MAC, err = db.auditCode(row.content(head.MAC)); err != nil {
		return err
	}
	if _, err := tx.NewInsert().Model(&row).Returning("NULL").Exec(ctx); err != nil {
		return err
	}
	head.Seq, head.MAC = row.Seq, row.MAC
	return nil
}

// Audit returns the last entries, newest first.
func (db *DB) Audit(ctx context.Context, limit int) ([]handlers.Entry, error) {
	return db.AuditPage(ctx, handlers.AuditPage{Limit: limit})
}

// AuditPage returns a page of entries, newest first.
func (db *DB) AuditPage(ctx context.Context, p handlers.AuditPage) ([]handlers.Entry, error) {
	var rows []auditRow
	q := db.bun.NewSelect().Model(&rows).Order("seq DESC").Limit(int64(p.Limit))
	if p.Container != "" {
		q.Where("container_id = ?", text(p.Container))
	}
	if p.Person != "" {
		q.Where("(person_id = ? OR LOWER(person) = ?)", text(p.Person), text(strings.ToLower(p.Person)))
	}
	if !p.Since.IsZero() {
		q.Where("at >= ?", moment{p.Since})
	}
	if p.Before > 0 {
		q.Where("seq < ?", p.Before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading the audit: %w", err)
	}
	entries := make([]handlers.Entry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}

// pruned is the action of the line that retention leaves behind.
const pruned = "audit:prune"

// prunedDetail is how that line says what was removed. The code in it is that
// of the last line removed, from which the chain goes on.
func prunedDetail(upTo int64, mac string) string {
	return fmt.Sprintf("lines up to %d removed, the last with the code %s", upTo, mac)
}

// PruneAudit removes lines that are older than a time, and appends one that
// says so. It returns how many it removed; the newest line always stays.
func (db *DB) PruneAudit(ctx context.Context, before, now time.Time) (removed int64, err error) {
	err = db.appendAudit(ctx, func(ctx context.Context, tx bun.Tx, head *auditHeadRow) error {
		// The clocks of several replicas may differ: a line goes only with all before it.
		first, found, err := one[auditRow](ctx, tx.NewSelect().Where("at >= ?", moment{before}).Order("seq").Limit(1))
		if err != nil {
			return err
		}
		upTo := head.Seq
		if found {
			upTo = first.Seq - 1
		}
		last, found, err := one[auditRow](ctx, tx.NewSelect().Where("seq <= ?", upTo).Order("seq DESC").Limit(1))
		if err != nil || !found || last.Seq <= head.Pruned {
			return err
		}
		head.Pruned, head.PrunedMAC = last.Seq, last.MAC
		line := rowOfEntry(handlers.Entry{
			At: now, Person: "pvechat", Action: pruned, Outcome: "ok", Detail: prunedDetail(last.Seq, last.MAC),
		})
		if err := db.addLine(ctx, tx, head, line); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(head).WherePK().Exec(ctx); err != nil { // from here on they may go
			return err
		}
		removed, err = changed(tx.NewDelete().Model((*auditRow)(nil)).Where("seq <= ?", head.Pruned).Exec(ctx))
		return err
	})
	return removed, err
}

// AuditLine is a line with its code, as it is exported.
type AuditLine struct {
	handlers.Entry
	MAC string
}

// EachAuditLine calls f with the lines since a time, oldest first, until f
// returns an error.
func (db *DB) EachAuditLine(ctx context.Context, since time.Time, f func(AuditLine) error) error {
	return eachAuditRow(ctx, db.bun, func(r auditRow) error {
		if r.At.Before(since) {
			return nil
		}
		return f(AuditLine{r.entry(), r.MAC})
	})
}

func eachAuditRow(ctx context.Context, db bun.IDB, f func(auditRow) error) error {
	const page = 1000
	for after := int64(-1); ; {
		var rows []auditRow
		if err := db.NewSelect().Model(&rows).Where("seq > ?", after).Order("seq").Limit(page).Scan(ctx); err != nil {
			return fmt.Errorf("storage: reading the audit: %w", err)
		}
		for _, r := range rows {
			if err := f(r); err != nil {
				return err
			}
			after = r.Seq
		}
		if len(rows) < page {
			return nil
		}
	}
}
