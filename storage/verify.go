package storage

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// AuditReport is what a check of the audit found.
type AuditReport struct {
	Lines       int
	First, Last int64
	Keyed       int // whose codes need the key set
	Hashed      int // whose codes anybody can make
	Bare        int // older than the codes
	Problems    []string
	More        int // problems beyond those
}

// mostProblems are told one by one.
const mostProblems = 50

func (r *AuditReport) problem(format string, a ...any) {
	if len(r.Problems) == mostProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, a...))
}

// VerifyAudit reads the whole audit and checks every line's number and code,
// that the newest line is there, that what retention removed was written down,
// and that the database still refuses changes. exported are lines of an
// earlier export, by number: they must be there as they were, or have been
// removed by retention. Without an export, a database that was put back to an
// older copy of itself looks right.
func (db *DB) VerifyAudit(ctx context.Context, exported map[int64]AuditLine) (AuditReport, error) {
	var rep AuditReport
	err := db.bun.RunInTx(ctx, snapshot, func(ctx context.Context, tx bun.Tx) error {
		head, found, err := one[auditHeadRow](ctx, tx.NewSelect().Where("id = 1"))
		if err != nil {
			return err
		}
		if !found {
			rep.problem("the end of the audit is not written down")
		}
		c := chain{db: db, rep: &rep, head: head, before: head.PrunedMAC, last: head.Pruned}
		if err := eachAuditRow(ctx, tx, func(r auditRow) error { c.check(r); return nil }); err != nil {
			return err
		}
		c.end(exported)
		guards, err := db.engine.auditGuards(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range auditGuards[db.engine.folder()] {
			if !slices.Contains(guards, name) {
				rep.problem("the database does not refuse changes any more: its trigger %s is missing", name)
			}
		}
		return nil
	})
	if err != nil {
		return rep, fmt.Errorf("storage: verifying the audit: %w", err)
	}
	return rep, nil
}

// auditGuards are the triggers that each engine needs.
var auditGuards = map[string][]string{
	sqlite{}.folder():   {"audit_keeps", "audit_once", "audit_stays"},
	postgres{}.folder(): {"audit_keeps", "audit_stays"},
}

// chain follows the lines, oldest first.
type chain struct {
	db     *DB
	rep    *AuditReport
	head   auditHeadRow
	before string // the code of the line before
	last   int64  // its number
	lines  map[int64]string
	prunes []string // what lines of retention say
}

func (c *chain) check(r auditRow) {
	rep := c.rep
	if c.lines == nil {
		c.lines = map[int64]string{}
		rep.First = r.Seq
	}
	gap := r.Seq != c.last+1 && (r.MAC != "" || rep.Keyed+rep.Hashed > 0)
	switch {
	case gap && r.Seq == c.last+2:
		rep.problem("line %d is missing", c.last+1)
	case gap && r.Seq > c.last:
		rep.problem("lines %d to %d are missing", c.last+1, r.Seq-1)
	case gap:
		rep.problem("line %d was removed by retention, and is there", r.Seq)
	}
	content := r.content(c.before)
	kind, code, _ := strings.Cut(r.MAC, ":")
	switch kind + ":" {
	case keyed:
		rep.Keyed++
		raw, err := base64.StdEncoding.DecodeString(code)
		switch {
		case c.db.keys == nil:
			if rep.Keyed == 1 {
				rep.problem("line %d and later ones need the key set: name it as keyset_file", r.Seq)
			}
		case !gap && (err != nil || c.db.keys.CheckMAC(content, raw) != nil):
			rep.problem("line %d was changed, or put in", r.Seq)
		}
	case hashed:
		rep.Hashed++
		want, _ := (&DB{}).auditCode(content)
		switch {
		case rep.Keyed > 0:
			rep.problem("line %d was written without the key set, after lines that were written with it", r.Seq)
		case !gap && r.MAC != want:
			rep.problem("line %d was changed, or put in", r.Seq)
		}
	default:
		rep.Bare++
		if r.MAC != "" || rep.Keyed+rep.Hashed > 0 {
			rep.problem("line %d has no code", r.Seq)
		}
	}
	if string(r.Action) == pruned {
		c.prunes = append(c.prunes, string(r.Detail))
	}
	rep.Lines++
	rep.Last = r.Seq
	c.lines[r.Seq] = r.MAC
	c.before, c.last = r.MAC, r.Seq
}

// end judges what only all lines together say.
func (c *chain) end(exported map[int64]AuditLine) {
	rep, head := c.rep, c.head
	switch {
	case head.Seq > c.last:
		rep.problem("the newest lines are missing: there were %d, the last is %d", head.Seq, c.last)
	case head.Seq < c.last:
		rep.problem("lines after %d were put in", head.Seq)
	case head.MAC != c.before:
		rep.problem("the newest line is not the one that was written last")
	}
	if head.Pruned > 0 && !slices.Contains(c.prunes, prunedDetail(head.Pruned, head.PrunedMAC)) {
		rep.problem("lines up to %d are missing, and no line says that retention removed them", head.Pruned)
	}
	if c.db.keys != nil && rep.Keyed == 0 && rep.Lines > 0 {
		rep.problem("no line was written with the key set: start pvechat with it once")
	}
	for seq, was := range exported {
		mac, there := c.lines[seq]
		switch {
		case !there && seq > head.Pruned:
			rep.problem("line %d was exported, and is missing", seq)
		case there && mac != was.MAC:
			rep.problem("line %d is not the one that was exported", seq)
		}
	}
}
