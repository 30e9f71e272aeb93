package handlers

import (
	"context"
	"slices"
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) alertRoutes() []Route {
	return []Route{
		{
			Name: "alerts", Needs: access.View, Everywhere: true, Handle: h.alerts,
			Command: &chat.Command{Name: "alerts", Summary: "what is wrong now, and what is muted"},
		},
		// Its controls are "alert:INCIDENT:WHAT". What it may be used for depends on
		// what the incident is about, which is looked up first.
		{Name: "alert", Needs: access.View, Audited: true, Handle: h.alert},
	}
}

func (h *Handlers) alerts(ctx context.Context, r *Request) chat.Answer {
	open, muted, err := h.Alerts.Now(ctx)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	return chat.Answer{Now: view.Alerts(open, muted), InPlace: r.Kind != chat.Typed}
}

// alert mutes an alert, or lists the containers that it is about.
func (h *Handlers) alert(ctx context.Context, r *Request) chat.Answer {
	id, what, _ := strings.Cut(r.Arg, ":")
	container, members, found, err := h.Alerts.About(ctx, id)
	if err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if what == "list" {
		r.Note("looked", id)
		return h.alertList(ctx, r, members)
	}
	if !h.mayMute(r.Person, container) {
		r.Note("denied", id)
		role, _ := h.Policy.RoleOf(r.Person)
		return chat.Answer{Now: view.Denied(r.Person, role, access.NeededRole(access.Operate), r.ID)}
	}
	how, mute := map[string]string{
		"mute": alerts.ForAnHour, "mute-hour": alerts.ForAnHour, "mute-back": alerts.UntilBack, "mute-ever": alerts.ForEver,
	}[what]
	var alert view.Alert
	words := ""
	switch {
	case !found:
	case mute:
		alert, words, found, err = h.Alerts.Mute(ctx, id, how, r.Person.Name)
	case what == "unmute":
		alert, found, err = h.Alerts.Unmute(ctx, id)
	}
	r.Note(what, id)
	switch own := what != "mute" && r.Source.Kind != chat.MessageRef; {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !found:
		return chat.Answer{Now: view.AlertGone()}
	case words != "":
		return chat.Answer{Now: view.Muting(alert, words), InPlace: own}
	default:
		return chat.Answer{Now: view.Unmuted(alert), InPlace: own}
	}
}

// mayMute reports whether a person may do without an alert: who may act on the
// container, or on every one where it is about none.
func (h *Handlers) mayMute(p chat.Person, id inventory.ID) bool {
	if c, ok := h.Inventory.Snapshot().ByID(id); ok {
		return h.Policy.May(p, access.Operate, TargetOf(c))
	}
	_, all := h.Policy.MaySome(p, access.Operate)
	return all
}

// alertList shows those of the containers that the person may see.
func (h *Handlers) alertList(_ context.Context, r *Request, members []inventory.ID) chat.Answer {
	who, space := r.Person, r.Space
	q := view.Query{Filter: view.FilterAll}
	if len(members) == 0 { // of a node: what is on it is unknown
		q.Filter = string(inventory.Unknown)
	}
	b := h.board(q, space, &who)
	may := b.May
	b.May = func(c *inventory.Container) bool {
		return (may == nil || may(c)) && (len(members) == 0 || slices.Contains(members, c.ID))
	}
	return chat.Answer{Now: b.Panel()}
}
