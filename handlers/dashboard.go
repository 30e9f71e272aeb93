package handlers

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/live"
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
				{Name: "search", Summary: "a name, number, tag or node", Rest: true},
			}},
		},
		{
			Name: "board", Needs: access.View, Handle: h.channelBoard,
			Command: &chat.Command{Name: "board", Summary: "the live board of this channel: put it here, or take it away", Public: true, Options: []chat.Option{
				{Name: "what", Summary: "here or remove", Required: true, Choices: []chat.Choice{{Label: "here", Value: "here"}, {Label: "remove", Value: "remove"}}},
				{Name: "show", Summary: "a status, tag:NAME or node:NAME"},
			}},
		},
		{Name: "board:open", Needs: access.View, Handle: h.ownView},
		{Name: "board:more", Needs: access.View, Handle: h.ownView},
		{Name: "board:all", Needs: access.View, Handle: h.ownView},
		{Name: "board:filter", Needs: access.View, Handle: h.ownView},
		{Name: "board:search", Needs: access.View, Handle: h.search},
		{Name: "board:page", Needs: access.View, Handle: h.ownView},
		{Name: "board:refresh", Needs: access.View, Handle: h.refresh},
		{Name: "home:opened", Needs: access.Anyone, Handle: h.home},
		{Name: "closed", Needs: access.Anyone, Handle: h.closed},
	}
}

// board is what everybody may see, or what one person may.
func (h *Handlers) board(q view.Query, space chat.Space, who *chat.Person) view.Board {
	b := view.Board{Fleet: h.Inventory.Snapshot(), Busy: h.Jobs.All(), Query: q, Space: space, Every: h.Every, Now: h.Now(), Creates: h.offers(who), Rows: &h.rows}
	if h.Services != nil {
		b.Services = h.Services.Report
	}
	if who != nil {
		if _, all := h.Policy.MaySome(*who, access.View); !all {
			b.May = func(c *inventory.Container) bool { return h.Policy.May(*who, access.View, TargetOf(c)) }
		}
	}
	return b
}

// SharedBoard renders the board of a channel that shows what view.ParseQuery
// reads; Live calls it.
func (h *Handlers) SharedBoard(show string, space chat.Space, changed, confirmed time.Time) chat.Message {
	q, _ := view.ParseQuery(show) // it was read when the board was made
	b := h.board(q, space, nil)
	b.Changed, b.Confirmed = changed, confirmed
	return b.Message()
}

// dashboard posts the board of a channel. It shows every container; whoever may
// see only some gets an own view instead.
func (h *Handlers) dashboard(ctx context.Context, r *Request) chat.Answer {
	return h.postBoard(ctx, r, view.Query{Filter: view.FilterAll})
}

// channelBoard puts a board into the channel, in place of the one that it has,
// or takes that away.
func (h *Handlers) channelBoard(ctx context.Context, r *Request) chat.Answer {
	q, err := view.ParseQuery(r.Options["show"])
	if err != nil {
		return chat.Answer{Now: view.Refused("No board was put here.", "It can show: "+err.Error()+".")}
	}
	if r.Options["what"] == "here" {
		return h.postBoard(ctx, r, q)
	}
	if _, all := h.Policy.MaySome(r.Person, access.View); !all {
		return chat.Answer{Now: view.Refused("The board was not taken away.", "It takes a role that sees every container.")}
	}
	switch removed, err := h.Live.Remove(ctx, r.Platform(), r.Channel); {
	case err != nil:
		return h.databaseTrouble(ctx, r, err)
	case !removed:
		return chat.Answer{Now: view.Refused("This channel has no board.", "Put one here with /pve board here.")}
	}
	return chat.Answer{Now: view.BoardRemoved()}
}

func (h *Handlers) postBoard(ctx context.Context, r *Request, q view.Query) chat.Answer {
	if _, all := h.Policy.MaySome(r.Person, access.View); !all {
		return h.showOwn(r, q, false)
	}
	show := q.String()
	look := h.Live.Look(r.Platform(), show)
	return chat.Answer{
		Now: h.SharedBoard(show, r.Space, h.Now(), time.Time{}),
		Shown: func(ref chat.Ref) {
			if err := h.Live.Post(context.WithoutCancel(ctx), ref, show, look, r.Person.Key()); err != nil {
				h.Log.ErrorContext(ctx, "keep a board", "request", r.ID, "err", err)
			}
		},
		Missed: func(err error) chat.Surface { return view.CannotPost(err) },
	}
}

func (h *Handlers) list(_ context.Context, r *Request) chat.Answer {
	q := view.Query{Filter: cmp.Or(r.Options["status"], view.FilterAll), Search: view.Search(r.Options["search"])}
	return h.showOwn(r, q, false)
}

// ownView filters, sorts and pages: in place where the person has an own view,
// else by opening one. The shared board never changes by it.
func (h *Handlers) ownView(ctx context.Context, r *Request) chat.Answer {
	if r.Value == view.ActOnSeveral {
		return h.several(ctx, r)
	}
	q, _ := view.QueryOf(r.State)
	switch r.Route.Name {
	case "board:filter":
		q = q.Choose(r.Value)
	case "board:all":
		q = view.Query{Filter: view.FilterAll, Sort: q.Sort}
	case "board:page":
		q.Page, _ = strconv.Atoi(r.Arg)
	case "board:more":
		q.Page = 1
		if r.Space.Panel == r.Space.Board {
			q.Page = 2 // the board shows the first page already
		}
	}
	return h.showOwn(r, q, r.Source.Kind != chat.MessageRef)
}

// search asks what to look for, and shows it.
func (h *Handlers) search(_ context.Context, r *Request) chat.Answer {
	if r.Kind != chat.Submitted {
		return chat.Answer{Now: view.SearchForm(r.State)}
	}
	q, home := view.QueryOf(r.State)
	q.Search, q.Page = view.Search(r.Values["text"]), 1
	if home {
		r.Source = chat.Ref{Platform: r.Platform(), Kind: chat.HomeRef, ID: r.Person.ID}
	}
	return h.showOwn(r, q, true)
}

// showOwn shows a person's own view and keeps it fresh.
func (h *Handlers) showOwn(r *Request, q view.Query, inPlace bool) chat.Answer {
	render, opening := h.own(r, q), h.Live.Opening()
	return chat.Answer{Now: render(nil, h.Now()), InPlace: inPlace, Shown: func(ref chat.Ref) {
		if ref.Kind == chat.HomeRef {
			ref.Until = h.Now().Add(homeFor)
		}
		opening.Show(ref, render)
	}}
}

// homeFor is how long a home is kept fresh: nobody says when it is left.
const homeFor = 10 * time.Minute

// own renders a person's own view: on their home where they acted there, else
// as a panel.
func (h *Handlers) own(r *Request, q view.Query) live.Panel {
	who, space, home := r.Person, r.Space, r.Source.Kind == chat.HomeRef
	return func(context.Context, time.Time) chat.Surface {
		if home {
			return h.board(q, space, &who).Home()
		}
		return h.board(q, space, &who).Panel()
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
	q, _ := view.QueryOf(r.State)
	a := h.showOwn(r, q, true)
	a.Then = func(ctx context.Context) (chat.Surface, error) {
		all(ctx)
		return h.own(r, q)(ctx, h.Now()), nil
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
	q, _ := view.QueryOf(r.State)
	return h.showOwn(r, q, true)
}

// closed ends what was kept fresh.
func (h *Handlers) closed(ctx context.Context, r *Request) chat.Answer {
	h.Live.Close(r.Source)
	for _, form := range []string{"w:", "deploy:"} {
		if id, ok := strings.CutPrefix(r.Action, form); ok && h.Drafts != nil {
			id, _, _ = strings.Cut(id, ":")
			if err := h.Drafts.DropDraft(ctx, id, r.Person.Key()); err != nil {
				h.Log.WarnContext(ctx, "forget a draft", "request", r.ID, "err", err) // its day ends
			}
		}
	}
	return chat.Answer{}
}
