package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
)

// Events is a page of a container's timeline.
type Events struct {
	Filter string // "all" or an event type
	Before int64  // the page's cursor; 0: newest
	Page   []inventory.Event
	More   bool // older ones exist
	Counts map[inventory.EventType]int
	Loaded bool
}

var eventMarks = map[inventory.EventType]string{
	inventory.EventLog: "📄", inventory.EventStep: "▫️", inventory.EventComplete: markDone, inventory.EventError: markBad,
}

// EventFilters are the values of the select.
func EventFilters() []string {
	all := []string{FilterAll}
	for _, t := range inventory.EventTypes {
		all = append(all, string(t))
	}
	return all
}

func orAllEvents(filter string) string {
	if !slices.Contains(EventFilters(), filter) {
		return FilterAll
	}
	return filter
}

func (e Events) blocks(id inventory.ID, space chat.Space, now time.Time) []chat.Block {
	if !e.Loaded {
		return []chat.Block{chat.Para{Text: chat.Texts(markBusy + " Reading events…")}}
	}
	filter := orAllEvents(e.Filter)
	total := 0
	for _, n := range e.Counts {
		total += n
	}
	match := total
	if filter != FilterAll {
		match = e.Counts[inventory.EventType(filter)]
	}
	sel := chat.Select{ID: ID(id, "ev:filter"), Placeholder: "Filter", Selected: "ev:" + filter}
	sel.Options = append(sel.Options, chat.Choosable{Mark: "📋", Label: fmt.Sprintf("All — %d", total), Value: "ev:" + FilterAll})
	for _, t := range inventory.EventTypes {
		sel.Options = append(sel.Options, chat.Choosable{Mark: eventMarks[t], Label: fmt.Sprintf("%s — %d", title(string(t)), e.Counts[t]), Value: "ev:" + string(t)})
	}
	top := chat.Controls{ID: "evfilter", Select: &sel}
	bottom := chat.Controls{ID: "evpage"}
	if filter != FilterAll {
		b := chat.Button{ID: ID(id, "ev:all"), Label: "Show all"}
		if space.ControlsFirst {
			top.Buttons = append(top.Buttons, b)
		} else {
			bottom.Buttons = append(bottom.Buttons, b)
		}
	}
	blocks := []chat.Block{top, chat.Para{Text: chat.Texts(chat.B("Showing: "+title(filter)), fmt.Sprintf(" · %d of %d", match, total))}}
	if len(e.Page) == 0 {
		blocks = append(blocks, chat.Para{Text: chat.Texts(noEvents(filter, total))})
	}
	for _, ev := range e.Page {
		blocks = append(blocks, chat.Item{
			Text:   eventText(ev),
			Note:   chat.Texts(ev.Actor+" · ", chat.At(ev.At, eventAge(ev.At, now))),
			Button: &chat.Button{ID: ID(id, "ev:"+strconv.FormatInt(ev.Seq, 10)), Label: "Details"},
		})
	}
	blocks = append(blocks, chat.Divider{})
	if e.More && len(e.Page) > 0 {
		bottom.Buttons = append(bottom.Buttons, chat.Button{ID: ID(id, "ev:older:"+strconv.FormatInt(e.Page[len(e.Page)-1].Seq, 10)), Label: "Older"})
	}
	if e.Before > 0 {
		bottom.Buttons = append(bottom.Buttons, chat.Button{ID: ID(id, "ev:newest"), Label: "Newer"})
	}
	if !space.ControlsFirst {
		bottom.Buttons = append(bottom.Buttons, chat.Button{ID: ID(id, "refresh"), Label: "Refresh now"})
	}
	if len(bottom.Buttons) > 0 {
		blocks = append(blocks, bottom)
	}
	return append(blocks, chat.Note{Text: chat.Texts("Updated ", chat.At(now, chat.ClockSec))})
}

func noEvents(filter string, total int) string {
	if total == 0 {
		return "Nothing has happened to it since pvechat knows it."
	}
	return "No event of this kind."
}

// eventAge is relative for what happened within a day.
func eventAge(at, now time.Time) chat.SpanStyle {
	if now.Sub(at) < 24*time.Hour {
		return chat.Age
	}
	return chat.Day
}

// eventText makes the part before the first colon bold: "Start failed: …".
func eventText(ev inventory.Event) chat.Text {
	if ev.Type == inventory.EventLog {
		return chat.Texts(eventMarks[ev.Type] + " " + ev.Text)
	}
	what, why, found := strings.Cut(ev.Text, ": ")
	if !found {
		return chat.Texts(eventMarks[ev.Type]+" ", chat.B(ev.Text))
	}
	return chat.Texts(eventMarks[ev.Type]+" ", chat.B(what), ": "+why)
}

// EventDetails shows one event with its metadata.
func EventDetails(c *inventory.Container, ev inventory.Event, back string) chat.Panel {
	f := chat.Fields{
		{Label: "When", Value: chat.Texts(chat.At(ev.At, chat.Day))},
		{Label: "Who", Value: chat.Texts(orDash(ev.Actor))},
		{Label: "Kind", Value: chat.Texts(string(ev.Type))},
	}
	keys := make([]string, 0, len(ev.Meta))
	for k := range ev.Meta {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		f = append(f, chat.Field{Label: title(k), Value: chat.Texts(ev.Meta[k])})
	}
	return chat.Panel{
		ID: "event", Title: "Event", Close: "Close", State: back, Tone: chat.Quiet,
		Blocks: []chat.Block{
			chat.Para{Text: eventText(ev)},
			f,
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "tab:"+TabEvents), Label: "Back to events"}}},
		},
	}
}
