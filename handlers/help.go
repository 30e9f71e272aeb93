package handlers

import (
	"context"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) helpRoutes() []Route {
	return []Route{{
		Name: "help", Aliases: []string{"help:open"}, Needs: access.Anyone, Handle: h.help,
		Command: &chat.Command{Name: "help", Summary: "this"},
	}}
}

// help lists the commands that the routes have, and what the person may do.
func (h *Handlers) help(_ context.Context, r *Request) chat.Answer {
	role, scope := h.Policy.RoleOf(r.Person)
	return chat.Answer{Now: view.Help(Commands(), role, scope, r.Person, r.Space.Home > 0)}
}
