package view

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
)

// Board is what a list of containers is made of.
type Board struct {
	Fleet    *inventory.Snapshot
	Busy     map[inventory.ID]jobs.Job
	Services func(inventory.ID) *services.Report // nil: nothing is known of any
	May      func(*inventory.Container) bool     // nil: every container may be seen
	Creates  bool                                // containers can be created from here
	Query
	Space chat.Space
	Every time.Duration // between two checks
	Now   time.Time
	Rows  *Rows // that were drawn; nil: all are drawn anew

	Changed   time.Time // shared: when it last looked different
	Confirmed time.Time // shared: when it was last confirmed without a change; zero: not since
}

// page is the part of the fleet that is shown.
type page struct {
	rows        []*inventory.Container
	counts      map[inventory.State]int // of what the search finds
	total       int                     // all that may be seen
	found       int                     // of these, with the search
	match       int                     // of these, with the filter
	first, last int                     // of the rows, from 1
	number      int                     // of the page
	more        bool
	hot         []*inventory.Container // over 90 %
	hotMore     int
}

func (b Board) busy(id inventory.ID) bool {
	_, ok := b.Busy[id]
	return ok
}

// page walks the fleet worst first, and looks at no more containers than the
// page needs where everything may be seen.
func (b Board) page(size int) page {
	size = max(size, 1)
	p := page{counts: map[inventory.State]int{}, number: max(b.Page, 1)}
	finds := b.matcher()
	if b.May == nil && finds == nil {
		for _, st := range inventory.States {
			p.counts[st] = b.Fleet.Count(st)
			p.total += p.counts[st]
		}
		p.found = p.total
	} else {
		for c := range b.Fleet.WorstFirst() {
			if b.May != nil && !b.May(c) {
				continue
			}
			p.total++
			if finds == nil || finds(c) {
				p.counts[c.State]++
				p.found++
			}
		}
	}
	p.match = p.found
	if b.Filter != FilterAll {
		p.match = p.counts[inventory.State(b.Filter)]
	}
	pages := max((p.match+size-1)/size, 1)
	p.number = min(p.number, pages)
	skip := (p.number - 1) * size
	at := 0
	for c := range b.ordered() {
		if at++; at <= skip {
			continue
		}
		if len(p.rows) == size {
			break
		}
		p.rows = append(p.rows, c)
	}
	if len(p.rows) > 0 {
		p.first, p.last = skip+1, skip+len(p.rows)
	}
	p.more = p.last < p.match
	return p
}

// ordered yields what the query and the rights leave. Worst first is: error,
// unknown, creating, busy, running, stopped.
func (b Board) ordered() iter.Seq[*inventory.Container] {
	finds := b.matcher()
	shown := func(c *inventory.Container) bool {
		return (b.Filter == FilterAll || c.State == inventory.State(b.Filter)) && (b.May == nil || b.May(c)) && (finds == nil || finds(c))
	}
	if by := sorts[b.Sort]; by != nil {
		var list []*inventory.Container
		for c := range b.Fleet.WorstFirst() {
			if shown(c) {
				list = append(list, c)
			}
		}
		slices.SortFunc(list, by)
		return slices.Values(list)
	}
	var busy []*inventory.Container
	for id := range b.Busy {
		if c, ok := b.Fleet.ByID(id); ok && shown(c) {
			busy = append(busy, c)
		}
	}
	slices.SortFunc(busy, byName)
	return func(yield func(*inventory.Container) bool) {
		for _, st := range []inventory.State{inventory.Error, inventory.Unknown, inventory.Creating, "", inventory.Running, inventory.Stopped} {
			list := b.Fleet.In(st)
			if st == "" {
				list = busy
			}
			for _, c := range list {
				if st != "" && b.busy(c.ID) || !shown(c) {
					continue
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

// hot are the running containers over 90 %.
func (b Board) findHot(p *page) {
	for _, c := range b.Fleet.In(inventory.Running) {
		if max(c.Shown.CPU, c.Shown.Mem, c.Shown.Disk) <= 90 || b.May != nil && !b.May(c) {
			continue
		}
		if len(p.hot) == 3 {
			p.hotMore++
			continue
		}
		p.hot = append(p.hot, c)
	}
}

// Message is the board that a channel shares.
func (b Board) Message() chat.Message {
	b.Filter = orAll(b.Filter)
	p := b.page(b.Space.Board)
	b.findHot(&p)
	blocks := b.head(p)
	if b.String() != FilterAll {
		blocks = append(blocks, chat.Para{Text: b.showing(p)})
	}
	if !b.Space.ControlsFirst {
		blocks = append(blocks, chat.Divider{})
	}
	blocks = append(blocks, b.rows(p, true)...)
	if len(p.rows) > 0 {
		blocks = append(blocks, chat.Divider{})
	}
	blocks = append(blocks, b.jump(p)...)
	c := chat.Controls{ID: "board:controls"}
	if p.total > 0 {
		sel := b.filterSelect(p)
		sel.Placeholder, sel.Selected = fmt.Sprintf("%s — %d, filter…", title(b.Filter), p.match), ""
		c.Select = &sel
	}
	if p.more {
		rest := fmt.Sprintf("See %d–%d", p.last+1, min(p.last+b.Space.Panel, p.match))
		if b.Space.Panel > b.Space.Board && p.match > b.Space.Panel {
			rest = fmt.Sprintf("See all %d", p.match) // the own view begins with the first, and pages
		}
		c.Buttons = append(c.Buttons, chat.Button{ID: "board:more", Label: rest})
	}
	c.Buttons = append(c.Buttons, chat.Button{ID: "board:refresh", Label: "Refresh now"})
	c.Buttons = append(c.Buttons, b.creates(true)...)
	if !b.Space.ControlsFirst && b.lost() {
		c.Buttons = append(c.Buttons, runDoctor)
	}
	blocks = append(blocks, c, chat.Note{Text: b.sharedFooter(p)})
	m := chat.Message{Public: true, Summary: b.summary(p), Tone: b.tone(p), Blocks: blocks}
	if b.String() != FilterAll {
		m.State = b.state(onPanel)
	}
	return m
}

// Panel is one person's own view, which filters and pages in place.
func (b Board) Panel() chat.Panel {
	b.Filter = orAll(b.Filter)
	p := b.page(b.Space.Panel)
	return chat.Panel{
		ID: "board", Title: "Containers", Close: "Close", Live: true, Tone: chat.Quiet,
		State:  b.at(p).state(onPanel),
		Blocks: b.own(p, b.Space.ControlsFirst, nil),
	}
}

// at is the query of the page that is shown, where another was asked for.
func (b Board) at(p page) Query {
	q := b.Query
	q.Page = p.number
	return q
}

// Home is the board for one person alone.
func (b Board) Home() chat.Home {
	b.Filter = orAll(b.Filter)
	p := b.page(b.Space.Home)
	b.findHot(&p)
	return chat.Home{State: b.at(p).state(onHome), Blocks: b.own(p, true, b.head(p))}
}

// SearchForm asks what to look for.
func SearchForm(state string) chat.Form {
	q, _ := QueryOf(state)
	return chat.Form{
		ID: "board:search", Title: "Search containers", State: state, Tone: chat.Neutral, Submit: "Search",
		Inputs: []chat.Input{{
			ID: "text", Label: "Name, number, tag or node", Hint: "tag:web and node:pve1 look there alone. Leave it empty to see all.",
			Placeholder: "web", Value: q.Search, MaxLength: longestSearch, Optional: true,
		}},
	}
}

func orAll(filter string) string {
	if !slices.Contains(Filters(), filter) {
		return FilterAll
	}
	return filter
}

// ActOnSeveral is an entry of the select of an own view: it leads to where
// several containers are chosen.
const ActOnSeveral = "several"

// own lays out a private list: controls where the surface opens.
func (b Board) own(p page, controlsFirst bool, head []chat.Block) []chat.Block {
	sel := b.filterSelect(p)
	for _, s := range sortWords {
		sel.Options = append(sel.Options, chat.Choosable{Mark: "↕️", Label: s.label, Value: "sort:" + s.key})
	}
	if p.total > 0 {
		sel.Options = append(sel.Options, chat.Choosable{Mark: "🗂️", Label: "Act on several…", Value: ActOnSeveral})
	}
	c := chat.Controls{ID: "board:controls", Select: &sel, Buttons: []chat.Button{
		{ID: "board:refresh", Label: "Refresh now"}, {ID: "board:search", Label: "Search…"},
	}}
	if p.number > 1 {
		c.Buttons = append(c.Buttons, chat.Button{ID: "board:page:" + strconv.Itoa(p.number-1), Label: "Previous"})
	}
	if p.more {
		c.Buttons = append(c.Buttons, chat.Button{ID: "board:page:" + strconv.Itoa(p.number+1), Label: "Next"})
	}
	all := chat.Button{ID: "board:all", Label: "Show all"}
	filtered := b.Filter != FilterAll || b.Search != ""
	if filtered && !controlsFirst {
		c.Buttons = append(c.Buttons, all)
	}
	roomy := b.Space.Jump == 0 // else a message holds 40 components, and a second row of buttons none
	c.Buttons = append(c.Buttons, b.creates(roomy)...)
	if len(c.Buttons) > buttonsInARow && !roomy {
		c.Buttons = c.Buttons[1:] // it is kept fresh all the same
	}

	blocks := head
	if controlsFirst {
		blocks = append(blocks, c)
	}
	if len(head) == 0 {
		blocks = append(blocks, b.stale()...)
	}
	showing := b.showing(p)
	switch {
	case len(head) > 0 && !filtered && b.Sort == "":
		blocks = append(blocks, chat.Divider{})
	case filtered && controlsFirst && p.match > 0:
		blocks = append(blocks, chat.Item{Text: showing, Button: &all})
	default:
		blocks = append(blocks, chat.Para{Text: showing})
	}
	if !controlsFirst {
		blocks = append(blocks, chat.Divider{})
	}
	if p.match == 0 && p.total > 0 {
		it := chat.Item{Text: b.noMatch(p.total)}
		if controlsFirst {
			it.Button = &all
		}
		blocks = append(blocks, it)
	} else {
		blocks = append(blocks, b.rows(p, false)...)
	}
	blocks = append(blocks, chat.Divider{})
	if !controlsFirst {
		blocks = append(blocks, b.jump(p)...)
		blocks = append(blocks, c)
	}
	return append(blocks, chat.Note{Text: chat.Texts(b.span(p), updated(b.Now, b.Every))})
}

// buttonsInARow is how many buttons Discord has beside each other.
const buttonsInARow = 5

// creates are the ways to a new container.
func (b Board) creates(all bool) []chat.Button {
	if !b.Creates {
		return nil
	}
	list := []chat.Button{{ID: "create:open", Label: "Create container", Style: chat.Positive}}
	if all {
		list = append(list, chat.Button{ID: "templates:open", Label: "Templates"})
	}
	return list
}

// showing says what of the fleet a list shows.
func (b Board) showing(p page) chat.Text {
	heading, rest := b.Query.showing()
	return chat.Texts(chat.B(heading), fmt.Sprintf("%s · %d of %d", rest, p.match, p.total))
}

func (b Board) noMatch(total int) chat.Text {
	if b.Search != "" {
		kind := "container"
		if b.Filter != FilterAll {
			kind = b.Filter + " " + kind
		}
		return chat.Texts(chat.B("No "+kind+" matches "+b.Search), "\nNames, numbers, tags and nodes were searched.")
	}
	is := "is " + b.Filter
	if b.Filter == string(inventory.Error) {
		is = "is in error"
	}
	rest := fmt.Sprintf("All %d containers have another status.", total)
	if total == 1 {
		rest = "The only container has another status."
	}
	return chat.Texts(chat.B("No container "+is), "\n"+rest)
}

// head is heading, what is wrong with the clusters, counts, and what is hot.
func (b Board) head(p page) []chat.Block {
	blocks := []chat.Block{chat.Heading{Text: b.title()}}
	blocks = append(blocks, b.stale()...)
	sum := chat.Texts(chat.B(strconv.Itoa(p.total)), nbsp+"total")
	for _, st := range inventory.States {
		sum = append(sum, chat.Texts(" · "+marks[st]+nbsp, chat.B(strconv.Itoa(p.counts[st])), nbsp+string(st))...)
	}
	blocks = append(blocks, chat.Para{Text: sum})
	if len(p.hot) > 0 {
		blocks = append(blocks, chat.Note{Text: chat.Texts("🟥 " + hotLine(p))})
	}
	return blocks
}

func (b Board) title() string {
	var list []string
	for _, c := range b.Fleet.Clusters {
		list = append(list, c.Name)
	}
	if len(list) == 0 || len(list) > 3 {
		return "Containers"
	}
	return "Containers · " + strings.Join(list, ", ")
}

func hotLine(p page) string {
	var parts []string
	for _, c := range p.hot {
		part := short(c.DisplayName())
		for _, m := range []struct {
			word string
			p    int
		}{{"CPU", c.Shown.CPU}, {"memory", c.Shown.Mem}, {"disk", c.Shown.Disk}} {
			if m.p > 90 {
				part += " " + m.word + nbsp + percent(m.p)
			}
		}
		parts = append(parts, part)
	}
	line := "Over 90" + nbsp + "%: " + strings.Join(parts, " · ")
	if p.hotMore > 0 {
		line += fmt.Sprintf(" … and %d more", p.hotMore)
	}
	return line
}

// short cuts a name as lists do.
func short(name string) string {
	r := []rune(name)
	if len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return name
}

// stale tells which clusters do not answer and which nodes are down.
func (b Board) stale() []chat.Block {
	var blocks []chat.Block
	for _, c := range b.Fleet.Clusters {
		var t chat.Text
		subject := "Proxmox does not answer."
		if len(b.Fleet.Clusters) > 1 {
			subject = "Cluster " + c.Name + " does not answer."
		}
		switch {
		case c.Stale() && c.At.IsZero():
			t = chat.Texts(markWarn+" ", chat.B(subject), " Nothing was read from it since pvechat started; what is shown is what was known before.")
		case c.Stale():
			t = chat.Texts(markWarn+" ", chat.B(subject), " This is the last known state, from ", chat.At(c.At, chat.Clock), ".")
		case c.At.IsZero():
			t = chat.Texts(markBusy + " Reading " + c.Name + "…")
		}
		for _, n := range c.Nodes {
			if n.Online {
				continue
			}
			line := chat.Texts(markWarn+" Node ", chat.B(n.Name), " is down: "+lost(b.Fleet, c.Name, n.Name))
			if len(t) > 0 {
				line = chat.Texts("\nNode ", chat.B(n.Name), " was already down: "+lost(b.Fleet, c.Name, n.Name))
			}
			t = append(t, line...)
		}
		switch {
		case len(t) > 0 && c.Stale() && b.Space.ControlsFirst && b.lostFirst(c.Name):
			blocks = append(blocks, chat.Item{Text: t, Button: &runDoctor})
		case len(t) > 0:
			blocks = append(blocks, chat.Para{Text: t})
		}
	}
	return blocks
}

// lost reports whether a cluster does not answer.
func (b Board) lost() bool { return slices.ContainsFunc(b.Fleet.Clusters, inventory.Cluster.Stale) }

// lostFirst reports whether a cluster is the first of those: ids are unique.
func (b Board) lostFirst(name string) bool {
	i := slices.IndexFunc(b.Fleet.Clusters, inventory.Cluster.Stale)
	return i >= 0 && b.Fleet.Clusters[i].Name == name
}

func lost(f *inventory.Snapshot, cluster, node string) string {
	n := 0
	for _, c := range f.In(inventory.Unknown) {
		if c.Cluster == cluster && c.Node == node {
			n++
		}
	}
	switch n {
	case 0:
		return "no container is on it."
	case 1:
		return "its container is unknown."
	}
	return fmt.Sprintf("its %d containers are unknown.", n)
}

func (b Board) rows(p page, shared bool) []chat.Block {
	if p.total == 0 {
		if b.reading() {
			return nil
		}
		next := "\nContainers that exist in Proxmox appear here by themselves."
		if b.Creates {
			next = "\nPick a template, and pvechat builds the first one."
		}
		return []chat.Block{
			chat.Para{Text: chat.Texts(chat.B("No containers yet"), next)},
			chat.Note{Text: chat.Texts("Expected to see some? The Proxmox token may lack ", chat.C("VM.Audit"), ", or your rule in pvechat leaves none.")},
		}
	}
	blocks := make([]chat.Block, 0, len(p.rows))
	for _, c := range p.rows {
		blocks = append(blocks, b.Rows.of(b, c))
	}
	return blocks
}

// Rows keeps what was drawn of a fleet, for whomever looks at it next; another
// fleet takes its place. Its methods are safe for concurrent use; nil keeps
// nothing.
type Rows struct {
	mu    sync.Mutex
	fleet *inventory.Snapshot
	drawn map[*inventory.Container]drawn
}

type drawn struct {
	row    chat.Block
	report *services.Report // that it shows
}

// of is the row of a container. What somebody does with it, and how long it has
// been up in its first hour, is not the fleet's, and drawn each time.
func (r *Rows) of(b Board, c *inventory.Container) chat.Block {
	fresh := c.State == inventory.Running && b.Now.Sub(c.BootedAt) < time.Hour
	if r == nil || fresh || b.busy(c.ID) {
		return b.row(c)
	}
	report := b.report(c.ID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fleet != b.Fleet {
		r.fleet, r.drawn = b.Fleet, map[*inventory.Container]drawn{}
	}
	d, ok := r.drawn[c]
	if !ok || d.report != report {
		row := b.row(c)
		row.Kept = new(chat.Kept)
		d = drawn{row, report}
		r.drawn[c] = d
	}
	return d.row
}

func (b Board) reading() bool {
	for _, c := range b.Fleet.Clusters {
		if c.At.IsZero() {
			return true
		}
	}
	return false
}

func (b Board) row(c *inventory.Container) chat.Row {
	r := chat.Row{ID: "row:" + string(c.ID), Mark: marks[c.State], Name: c.DisplayName(), Word: string(c.State), Where: where(c)}
	if len(b.Fleet.Clusters) > 1 {
		r.Where += " · " + c.Cluster
	}
	cl, _ := b.Fleet.Cluster(c.Cluster)
	if cl.Stale() {
		r.Word = was(c.State)
	}
	if j, busy := b.Busy[c.ID]; busy && j.Action == jobs.Create {
		r.Mark, r.Word, r.Facts = marks[inventory.Creating], underWay[j.Action], chat.Texts(howFar(create.ParseProgress(j.Progress)))
		r.Menu = []chat.Button{{ID: ID(c.ID, "progress"), Label: "Show progress"}, {ID: ID(c.ID, "show"), Label: "Manage"}}
		r.Button = &chat.Button{ID: ID(c.ID, "progress"), Label: "Progress"}
		return r
	} else if busy {
		r.Mark, r.Word = markBusy, underWay[j.Action]
		r.Facts = chat.Texts("asked by "+j.Person.Name+" · since ", chat.At(j.CreatedAt, chat.ClockSec))
		r.Button = &chat.Button{ID: ID(c.ID, "busy"), Label: title(underWay[j.Action]), Off: true}
		return r
	}
	r.Facts, r.Dots = b.rowFacts(c)
	r.Menu = rowMenu(c, b.report(c.ID))
	r.Button = &r.Menu[0]
	if c.State == inventory.Error && !halfMade(c) {
		r.Button = &chat.Button{ID: ID(c.ID, "show"), Label: "Manage"}
	}
	return r
}

func (b Board) rowFacts(c *inventory.Container) (facts chat.Text, dots string) {
	switch {
	case c.State == inventory.Error && c.Trouble != "":
		return chat.Texts(c.Trouble+" · ", chat.At(c.TroubleAt, chat.Age)), ""
	case c.State == inventory.Error:
		return chat.Texts("Proxmox HA reports an error"), ""
	case c.State == inventory.Creating:
		return chat.Texts("being created in Proxmox"), ""
	case c.State == inventory.Unknown:
		cl, _ := b.Fleet.Cluster(c.Cluster)
		for _, n := range cl.Nodes {
			if n.Name == c.Node && !n.Online {
				return chat.Texts(c.Node + " is down"), ""
			}
		}
		return chat.Texts(c.Node + " reports no data for it"), ""
	}
	line := measure("CPU", c.Shown.CPU) + " · " + measure("MEM", c.Shown.Mem) + " · " + measure("DISK", c.Shown.Disk)
	if c.Lock != "" {
		line = "locked (" + c.Lock + ") · " + line
	}
	if c.Template {
		line = "template · " + line
	}
	if c.State == inventory.Running {
		if up := b.Now.Sub(c.BootedAt); !c.BootedAt.IsZero() && up < time.Hour {
			line = "up " + freshUptime(up) + " · " + line
		}
		return chat.Texts(line), serviceDots(b.report(c.ID))
	}
	return chat.Texts(line), ""
}

// freshUptime moves in steps of five minutes, so that a board need not be
// edited every minute only to say so.
func freshUptime(up time.Duration) string {
	if up < 5*time.Minute {
		return "under 5" + nbsp + "min"
	}
	return strconv.Itoa(int(up/(5*time.Minute))*5) + nbsp + "min"
}

// report is what is known of a container's services.
func (b Board) report(id inventory.ID) *services.Report {
	if b.Services == nil {
		return nil
	}
	return b.Services(id)
}

// halfMade reports whether the last that is known of a container is that its
// creation failed.
func halfMade(c *inventory.Container) bool {
	return c.State == inventory.Error && strings.HasPrefix(c.Trouble, string(jobs.Create)+" failed")
}

// rowMenu is what a row offers, the next step first.
func rowMenu(c *inventory.Container, r *services.Report) []chat.Button {
	manage := chat.Button{ID: ID(c.ID, "show"), Label: "Manage"}
	events := chat.Button{ID: ID(c.ID, "events"), Label: "Events"}
	switch {
	case c.State == inventory.Running:
		menu := []chat.Button{manage}
		if name, url := WebUI(r); url != "" {
			menu = append(menu, chat.Button{ID: ID(c.ID, "web"), Label: "Open " + name, URL: url})
		}
		return append(menu,
			chat.Button{ID: ID(c.ID, "restart"), Label: "Restart…"},
			chat.Button{ID: ID(c.ID, "shutdown"), Label: "Shut down…"},
			chat.Button{ID: ID(c.ID, "stop"), Label: "Stop…"},
		)
	case c.State == inventory.Stopped && !c.Template:
		return []chat.Button{{ID: ID(c.ID, "start"), Label: "Start"}, manage, {ID: ID(c.ID, "delete"), Label: "Delete…"}}
	case halfMade(c):
		return []chat.Button{{ID: ID(c.ID, "progress"), Label: "Progress"}, manage, {ID: ID(c.ID, "delete"), Label: "Delete…"}}
	case c.State == inventory.Error:
		return []chat.Button{manage, {ID: ID(c.ID, "start"), Label: "Try to start again"}, events}
	}
	return []chat.Button{manage, events}
}

func (b Board) jump(p page) []chat.Block {
	if b.Space.Jump == 0 || p.match == 0 {
		return nil
	}
	j := chat.Jump{Select: chat.Select{ID: "board:jump", Placeholder: "Jump to a container…"}}
	rows := p.rows
	if p.match <= b.Space.Jump {
		rows = nil
		for c := range b.ordered() {
			rows = append(rows, c)
		}
	} else {
		j.Placeholder = "Jump, or type /pve show NAME"
	}
	rows = slices.Clone(rows)
	slices.SortFunc(rows, byName)
	for _, c := range rows {
		mark, word := marks[c.State], string(c.State)
		if job, busy := b.Busy[c.ID]; busy {
			mark, word = markBusy, underWay[job.Action]
		}
		j.Options = append(j.Options, chat.Choosable{
			Mark: mark, Label: c.DisplayName(), Note: fmt.Sprintf("%s · %d · %s", word, c.VMID, c.Node), Value: "ct:" + string(c.ID),
		})
	}
	return []chat.Block{j}
}

func (b Board) filterSelect(p page) chat.Select {
	s := chat.Select{ID: "board:filter", Placeholder: "Filter", Selected: "filter:" + b.Filter}
	s.Options = append(s.Options, chat.Choosable{Mark: "📋", Label: fmt.Sprintf("All — %d", p.found), Value: "filter:" + FilterAll})
	for _, st := range inventory.States {
		s.Options = append(s.Options, chat.Choosable{
			Mark: marks[st], Label: fmt.Sprintf("%s — %d", title(string(st)), p.counts[st]), Value: "filter:" + string(st),
		})
	}
	return s
}

func (b Board) span(p page) string {
	if len(p.rows) == 0 {
		return ""
	}
	if p.first == p.last {
		return fmt.Sprintf("%d of %d · ", p.first, p.match)
	}
	return fmt.Sprintf("%d–%d of %d · ", p.first, p.last, p.match)
}

// sharedFooter stays true without an edit.
func (b Board) sharedFooter(p page) chat.Text {
	t := chat.Texts(b.span(p), "Changed ", chat.At(b.Changed, chat.Age), " · checked every "+Duration(b.Every))
	if c := b.Fleet.Clusters; len(c) == 1 && c[0].Stale() && !c[0].At.IsZero() {
		t = chat.Texts(b.span(p), "Last seen ", chat.At(c[0].At, chat.Age), " · asked every "+Duration(b.Every)+" · actions are tried, and may be refused")
	}
	if !b.Confirmed.IsZero() {
		t = append(t, chat.Texts(" · confirmed ", chat.At(b.Confirmed, chat.Clock))...)
	}
	return t
}

// updated is the footer of what is edited at every tick.
func updated(now time.Time, every time.Duration) chat.Text {
	return chat.Texts("Updated ", chat.At(now, chat.ClockSec), " · next ", chat.At(now.Add(every), chat.ClockSec))
}

func (b Board) tone(p page) chat.Tone {
	for _, c := range b.Fleet.Clusters {
		if c.Stale() {
			return chat.Warning
		}
	}
	switch {
	case p.counts[inventory.Error] > 0:
		return chat.Bad
	case p.counts[inventory.Unknown] > 0:
		return chat.Warning
	case p.counts[inventory.Creating] > 0:
		return chat.Neutral
	case p.counts[inventory.Running] > 0:
		return chat.Good
	}
	return chat.Quiet
}

// summary is the board in one sentence.
func (b Board) summary(p page) string {
	var s strings.Builder
	for _, c := range b.Fleet.Clusters {
		if c.Stale() {
			fmt.Fprintf(&s, "%s does not answer, last known: ", c.Name)
		}
	}
	if s.Len() == 0 && len(b.Fleet.Clusters) == 1 {
		s.WriteString(b.Fleet.Clusters[0].Name + ": ")
	}
	if p.total == 0 {
		return s.String() + "no containers."
	}
	s.WriteString(count(p.total, "container") + ": ")
	var parts []string
	for _, st := range inventory.States {
		parts = append(parts, fmt.Sprintf("%d %s", p.counts[st], st))
	}
	s.WriteString(strings.Join(parts, ", ") + ".")
	if list := b.Fleet.In(inventory.Error); len(list) > 0 && b.May == nil {
		var bad []string
		for _, c := range list[:min(3, len(list))] {
			bad = append(bad, short(c.DisplayName()))
		}
		s.WriteString(" Error: " + strings.Join(bad, ", ") + ".")
	}
	if len(p.hot) > 0 {
		s.WriteString(" " + hotLine(p) + ".")
	}
	for _, c := range p.rows {
		if j, ok := b.Busy[c.ID]; ok {
			fmt.Fprintf(&s, " %s is %s", short(c.DisplayName()), goingOn(j.Action)+", asked by "+j.Person.Name+".")
		}
	}
	return s.String()
}
