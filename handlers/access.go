package handlers

import (
	"context"
	"strconv"
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) accessRoutes() []Route {
	return []Route{{
		Name: "access", Needs: access.Admin, Everywhere: true, Audited: true, Handle: h.access,
		Command: &chat.Command{Name: "access", Summary: "who may do what, by which rule", Options: []chat.Option{
			{Name: "of", Summary: "a container, or the id of a user, group or role", Rest: true},
		}},
	}}
}

// access lists the rules: all of them, those that reach a container, or those
// that name somebody. Its controls are "access:PAGE:OF".
func (h *Handlers) access(_ context.Context, r *Request) chat.Answer {
	page, of := 1, r.Options["of"]
	if r.Kind != chat.Typed {
		n, rest, _ := strings.Cut(r.Arg, ":")
		page, _ = strconv.Atoi(n)
		of = rest
	}
	snap, rules := h.Inventory.Snapshot(), h.Policy.Rules()
	list := view.Rules{Version: rules.Version(), Page: page, Space: r.Space, Of: of}
	c, known := snap.ByID(inventory.ID(of))
	if found := snap.Find(of); !known && len(found) > 0 {
		if len(found) > 1 {
			return chat.Answer{Now: view.Unnamed(of, "show", found, nil)}
		}
		c = found[0]
	}
	if c != nil {
		list.Of, list.Container = string(c.ID), c
	}
	for i, rule := range rules.All() {
		if c != nil && !rules.Covers(i, TargetOf(c)) || c == nil && of != "" && !view.Names(rule, of) {
			continue
		}
		list.Rules = append(list.Rules, view.Rule{Number: i + 1, Rule: rule, Holds: rules.Holds(rule.Role)})
	}
	return chat.Answer{Now: list.Message(), InPlace: r.Kind != chat.Typed}
}
