package handlers

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) auditRoutes() []Route {
	return []Route{{
		Name: "audit", Needs: access.Admin, Everywhere: true, Audited: true, Handle: h.audit,
		Command: &chat.Command{Name: "audit", Summary: "who did what, to which container, and how it ended", Options: []chat.Option{
			{Name: "of", Summary: "a container, or a person's id or name"},
			{Name: "since", Summary: "12h, 7d, or a day such as 2026-11-23"},
		}},
	}}
}

// audit reads the audit, newest first. Its controls are "audit:BEFORE:SINCE:OF":
// a line's number, seconds since 1970, and an id.
func (h *Handlers) audit(ctx context.Context, r *Request) chat.Answer {
	of, since := r.Options["of"], r.Options["since"]
	list := view.Audit{Now: h.Now()}
	page := AuditPage{Limit: max(1, r.Space.Events) + 1}
	if r.Kind == chat.Typed {
		if since == "" && moment(of, h.Now()).After(time.Time{}) {
			of, since = "", of
		}
		if since != "" {
			if page.Since = moment(since, h.Now()); page.Since.IsZero() {
				return chat.Answer{Now: view.Misspelt(fmt.Sprintf("%q is no time.", clip(since)), "Write 12h, 7d, or a day such as 2026-11-23:", []string{"/pve audit [OF] 7d"})}
			}
		}
	} else {
		parts := append(strings.SplitN(r.Arg, ":", 3), "", "", "")
		page.Before, _ = strconv.ParseInt(parts[0], 10, 64)
		if s, err := strconv.ParseInt(parts[1], 10, 64); err == nil && s > 0 {
			page.Since = time.Unix(s, 0)
		}
		of = parts[2]
	}
	if of != "" {
		snap := h.Inventory.Snapshot()
		c, known := snap.ByID(inventory.ID(of))
		if found := snap.Find(of); !known && len(found) > 0 {
			if len(found) > 1 {
				return chat.Answer{Now: view.Unnamed(of, "show", found, nil)}
			}
			c, known = found[0], true
		}
		if known {
			page.Container, list.Of, list.ID = c.ID, c.DisplayName(), string(c.ID)
		} else {
			page.Person, list.Of, list.ID = strings.TrimPrefix(of, "@"), of, of
		}
	}
	entries, err := h.Audit.AuditPage(ctx, page)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if page.Person != "" && len(entries) > 0 {
		list.ID = entries[0].PersonID // a name may hold anything, a control's id may not
	}
	list.Since, list.Before, list.More = page.Since, page.Before, len(entries) == page.Limit
	for _, e := range entries[:min(len(entries), page.Limit-1)] {
		list.Lines = append(list.Lines, view.AuditLine{
			Seq: e.Seq, At: e.At, Who: e.Person, Key: chat.Person{Platform: e.Platform, ID: e.PersonID}.Key(),
			Action: e.Action, Target: e.Target, Outcome: e.Outcome, Detail: e.Detail, Request: e.Request,
		})
	}
	return chat.Answer{Now: list.Message(), InPlace: r.Kind != chat.Typed}
}

// moment reads how far back, or a day; the zero time where it is neither.
func moment(s string, now time.Time) time.Time {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n)
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d)
	}
	t, err := time.ParseInLocation(time.DateOnly, s, now.Location())
	if err != nil {
		return time.Time{}
	}
	return t
}

// Accepted writes to the audit, once, who asked for a job. What is made of a
// form or of several containers was written by the router.
func (h *Handlers) Accepted(ctx context.Context, j jobs.Job) error {
	if h.Audit == nil || j.Action == jobs.Create || j.Action.OfTemplate() || j.Batch != "" {
		return nil
	}
	e := entryOf(j)
	e.At, e.Outcome = j.CreatedAt, "accepted"
	if j.Forced {
		e.Action = force
	}
	return h.Audit.RecordOnce(ctx, e)
}

// auditOutcome adds how a job ended to the audit, once.
func (h *Handlers) auditOutcome(ctx context.Context, j jobs.Job) error {
	if h.Audit == nil {
		return nil
	}
	e := entryOf(j)
	e.At, e.Outcome, e.Detail = j.FinishedAt, string(j.State), j.Error
	if j.UPID != "" {
		e.Detail = strings.TrimSpace(e.Detail + " " + string(j.UPID))
	}
	return h.Audit.RecordOnce(ctx, e)
}

// entryOf is what every line about a job says.
func entryOf(j jobs.Job) Entry {
	target := onContainer(j.Name, j.VMID, j.Cluster, j.Node)
	if j.Action.OfTemplate() {
		target = j.Name + " on " + j.Cluster
	}
	return Entry{
		Platform: j.Person.Platform, PersonID: j.Person.ID, Person: j.Person.Name, Action: string(j.Action),
		Container: j.Container, Target: target, Request: j.Request, Job: j.ID,
	}
}
