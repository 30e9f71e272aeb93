package handlers

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

func (h *Handlers) dashboardRoutes() []Route {
	var states []chat.Choice
	for _, f := range view.Filters() {
		states = append(states, chat.Choice{Label: f, Value: f})
	}
	return []Route{
		{
			Name: "dashboard", Needs: access.View, Handle: h.dashboard,
			Command: &chat.Command{Name: "dashboard", Summary: "the live board, in this channel", Public: true, Default: true},
		},
		{
			Name: "list", Needs: access.View, Handle: h.list,
			Command: &chat.Command{Name: "list", Summary: "your own view of the containers, filtered", Options: []chat.Option{
				{Name: "status", Summary: "show only these", Choices: states},
			}},
		},
		{Name: "board:open", Needs: access.View, Handle: h.ownView},
		{Name: "board:more", Needs: access.View, Handle: h.ownView},
		{Name: "board:all", Needs: access.View, Handle: h.ownView},
		{Name: "board:filter", Needs: access.View, Handle: h.ownView},
		{Name: "board:page", Needs: access.View, Handle: h.ownView},
		{Name: "board:refresh", Needs: access.View, Handle: h.refresh},
		{Name: "home:opened", Needs: access.Anyone, Handle: h.home},
		{Name: "closed", Needs: access.Anyone, Handle: h.closed},
	}
}

// board is what everybody may see, or what one person may.
func (h *Handlers) board(filter string, page int, space chat.Space, who *chat.Person) view.Board {
	b := view.Board{
		Fleet: h.Inventory.Snapshot(), Busy: h.Jobs.All(), Filter: filter, Page: page, Space: space, Every: h.Every, Now: h.Now(),
	}
	if who != nil {
		if _, all := h.Policy.MaySome(*who, access.View); !all {
			b.May = func(c *inventory.Container) bool { return h.Policy.May(*who, access.View, TargetOf(c)) }
		}
	}
	return b
}

// SharedBoard renders the board of a channel; Live calls it.
func (h *Handlers) SharedBoard(filter string, space chat.Space, changed, confirmed time.Time) chat.Message {
	b := h.board(filter, 1, space, nil)
	b.Changed, b.Confirmed = changed, confirmed
	return b.Message()
}

// dashboard posts the board of a channel. It shows every container; whoever may
// see only some gets an own view instead.
func (h *Handlers) dashboard(ctx context.Context, r *Request) chat.Answer {
	if _, all := h.Policy.MaySome(r.Person, access.View); !all {
		return h.showOwn(r, view.FilterAll, 1, false)
	}
	look := h.Live.Look(r.Platform(), view.FilterAll)
	return chat.Answer{
		Now: h.SharedBoard(view.FilterAll, r.Space, h.Now(), time.Time{}),
		Shown: func(ref chat.Ref) {
			if err := h.Live.Post(context.WithoutCancel(ctx), ref, view.FilterAll, look, r.Person.Key()); err != nil {
				h.Log.ErrorContext(ctx, "keep a board", "request", r.ID, "err", err)
			}
		},
		Missed: func(error) chat.Surface { return view.CannotPost() },
	}
}

func (h *Handlers) list(_ context.Context, r *Request) chat.Answer {
	filter := r.Options["status"]
	if filter == "" {
		filter = view.FilterAll
	}
	return h.showOwn(r, filter, 1, false)
}

// ownView filters and pages: in place where the person has an own view, else
// by opening one. The shared board never changes by it.
func (h *Handlers) ownView(_ context.Context, r *Request) chat.Answer {
	shared := r.Source.Kind == chat.MessageRef
	filter, page := view.ParseBoardState(r.State)
	switch r.Route.Name {
	case "board:filter":
		filter, page = strings.TrimPrefix(r.Value, "filter:"), 1
	case "board:all":
		filter, page = view.FilterAll, 1
	case "board:page":
		page, _ = strconv.Atoi(r.Arg)
	case "board:more":
		page = 1
		if r.Space.Panel == r.Space.Board {
			page = 2 // the board shows the first page already
		}
	}
	return h.showOwn(r, filter, page, !shared)
}

// showOwn shows a person's own view and keeps it fresh.
func (h *Handlers) showOwn(r *Request, filter string, page int, inPlace bool) chat.Answer {
	who, space := r.Person, r.Space
	if r.Source.Kind == chat.HomeRef {
		return chat.Answer{Now: h.board(filter, page, space, &who).Home(), InPlace: true, Shown: h.keepHome(who, filter, page, space)}
	}
	render := func(context.Context, time.Time) chat.Surface { return h.board(filter, page, space, &who).Panel() }
	return chat.Answer{
		Now: render(nil, time.Time{}), InPlace: inPlace,
		Shown: func(ref chat.Ref) { h.Live.Open(ref, render) },
	}
}

func (h *Handlers) keepHome(who chat.Person, filter string, page int, space chat.Space) func(chat.Ref) {
	return func(ref chat.Ref) {
		ref.Until = h.Now().Add(10 * time.Minute) // nobody says when a home is left
		h.Live.Open(ref, func(context.Context, time.Time) chat.Surface { return h.board(filter, page, space, &who).Home() })
	}
}

// refresh asks the clusters at once and shows what they say.
func (h *Handlers) refresh(ctx context.Context, r *Request) chat.Answer {
	all := func(ctx context.Context) {
		for _, c := range h.Inventory.Snapshot().Clusters {
			if _, err := h.Inventory.Refresh(ctx, c.Name); err != nil {
				h.Log.WarnContext(ctx, "refresh on demand", "request", r.ID, "cluster", c.Name, "err", err)
			}
		}
		h.Live.Tick()
	}
	if r.Source.Kind == chat.MessageRef { // the board is edited where it changed
		return chat.Answer{Then: func(ctx context.Context) (chat.Surface, error) {
			all(ctx)
			return nil, nil
		}}
	}
	filter, page := view.ParseBoardState(r.State)
	a := h.showOwn(r, filter, page, true)
	who := r.Person
	a.Then = func(ctx context.Context) (chat.Surface, error) {
		all(ctx)
		if r.Source.Kind == chat.HomeRef {
			return h.board(filter, page, r.Space, &who).Home(), nil
		}
		return h.board(filter, page, r.Space, &who).Panel(), nil
	}
	return a
}

// home shows the private dashboard, or says whom to ask.
func (h *Handlers) home(_ context.Context, r *Request) chat.Answer {
	if some, _ := h.Policy.MaySome(r.Person, access.View); !some {
		role, _ := h.Policy.RoleOf(r.Person)
		m := view.Denied(r.Person, role, access.Viewer, r.ID)
		return chat.Answer{Now: chat.Home{Blocks: m.Blocks}, InPlace: true}
	}
	filter, page := view.ParseBoardState(r.State)
	return chat.Answer{
		Now: h.board(filter, page, r.Space, &r.Person).Home(), InPlace: true,
		Shown: h.keepHome(r.Person, filter, page, r.Space),
	}
}

// closed ends what was kept fresh.
func (h *Handlers) closed(_ context.Context, r *Request) chat.Answer {
	h.Live.Close(r.Source)
	return chat.Answer{}
}
