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

func (h *Handlers) templatesRoutes() []Route {
	return []Route{
		{
			Name: "templates", Aliases: []string{"templates:open"}, Needs: access.View, Handle: h.templates,
			Command: &chat.Command{Name: "templates", Summary: "what containers can be made of"},
		},
		{Name: "tpl", Needs: access.View, Handle: h.template},
	}
}

func (h *Handlers) templatesOf(r *Request) view.Templates {
	v := view.Templates{All: h.library().All(), Space: r.Space, May: h.offers(&r.Person)}
	for _, cl := range h.Inventory.Snapshot().Clusters {
		v.Offers = append(v.Offers, view.Offered{Cluster: cl.Name, Offer: h.Catalog.Of(cl.Name)})
	}
	return v
}

// templates lists the templates.
func (h *Handlers) templates(_ context.Context, r *Request) chat.Answer {
	if h.library() == nil {
		return noTemplates()
	}
	v := h.templatesOf(r)
	v.Page, _ = strconv.Atoi(r.Arg)
	return chat.Answer{Now: v.Panel(), InPlace: r.InPanel && r.State == ""} // not over one's own view
}

func noTemplates() chat.Answer {
	return chat.Answer{Now: view.Refused("There are no templates.", "No container can be created here.")}
}

// template shows one.
func (h *Handlers) template(_ context.Context, r *Request) chat.Answer {
	id, _, _ := strings.Cut(r.Arg, ":")
	if lib := h.library(); lib != nil {
		if t, ok := lib.Find(id); ok {
			return chat.Answer{Now: h.templatesOf(r).TemplatePage(t, h.madeFrom(r.Person, func(c *inventory.Container) bool { return c.MadeFrom == t.ID })), InPlace: r.InPanel}
		}
	}
	return chat.Answer{Now: view.NoTemplate(id), InPlace: r.InPanel}
}
