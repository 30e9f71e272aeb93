package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
)

// forSeveral are the actions that can be asked of several containers at once.
var forSeveral = []jobs.Action{jobs.Start, jobs.Shutdown, jobs.Restart, jobs.Stop}

// ForSeveral reports whether an action can be asked of several containers at
// once.
func ForSeveral(a jobs.Action) bool { return slices.Contains(forSeveral, a) }

// mostNamed is how many containers a question or an outcome names.
const mostNamed = 12

// Skipped is a container to which nothing is done.
type Skipped struct{ Name, Why string }

// Several is a question about several containers.
type Several struct {
	Action     jobs.Action
	Containers []*inventory.Container // by name
	Skipped    []Skipped
	LeftOut    int // for which the person lacks the right
	Token      string
	Now        time.Time
}

// Ask asks.
func (s Several) Ask() chat.Panel {
	n := len(s.Containers)
	p := chat.Panel{ID: "confirm", Title: verbs[s.Action] + " containers", Close: "Cancel", Tone: chat.Warning}
	if n == 0 {
		p.Close, p.Tone = "Close", chat.Quiet
		p.Blocks = append(p.Blocks, chat.Heading{Text: "There is nothing to " + strings.ToLower(verbs[s.Action]) + ".", Below: chat.Texts("Nothing was sent to Proxmox.")})
		return s.rest(p)
	}
	what := map[jobs.Action]string{
		jobs.Start:    "Each is started; several at once may take a while.",
		jobs.Shutdown: "Each is asked to close its work and end: up to " + Duration(jobs.ShutdownTimeout) + ". Nothing is forced.",
		jobs.Restart:  "Each goes down and comes back. " + strings.Replace(restartHard, "it", "a guest", 1),
		jobs.Stop:     "Stop pulls the plug. They end at once and unsaved data may be lost.",
	}[s.Action]
	yes := chat.Button{ID: "several:run:" + s.Token, Label: fmt.Sprintf("%s %s", verbs[s.Action], count(n, "container")), Style: chat.Primary}
	if s.Action == jobs.Stop {
		p.Tone, yes.Style = chat.Bad, chat.Danger
	}
	p.Cancel = "cancel:" + s.Token
	var list []string
	for _, c := range s.Containers {
		list = append(list, short(c.DisplayName()))
	}
	p.Blocks = append(p.Blocks,
		chat.Heading{Text: fmt.Sprintf("%s %s?", verbs[s.Action], count(n, "container")), Below: chat.Texts(bounded(list))},
		chat.Para{Text: chat.Texts(what)},
	)
	p = s.rest(p)
	p.Blocks = append(p.Blocks,
		chat.Controls{ID: "actions", Buttons: []chat.Button{yes}},
		chat.Note{Text: chat.Texts("Each is looked at again before anything is sent. · This question ends ", chat.At(s.Now.Add(ConfirmFor), chat.Age))})
	return p
}

// rest says what is not done, and why.
func (s Several) rest(p chat.Panel) chat.Panel {
	t := reasons(s.Skipped)
	if s.LeftOut > 0 {
		if len(t) > 0 {
			t = append(t, chat.Texts("\n")...)
		}
		t = append(t, chat.Texts(fmt.Sprintf("%s left out: your role does not reach.", count(s.LeftOut, "container")))...)
	}
	if len(t) > 0 {
		p.Blocks = append(p.Blocks, chat.Note{Text: t})
	}
	return p
}

// reasons groups what was skipped by why.
func reasons(list []Skipped) chat.Text {
	by := map[string][]string{}
	for _, s := range list {
		by[s.Why] = append(by[s.Why], short(s.Name))
	}
	var t chat.Text
	for i, why := range slices.Sorted(maps.Keys(by)) {
		if i == mostNamed {
			return append(t, chat.Texts(fmt.Sprintf("\n… and %d more", len(by)-mostNamed))...)
		}
		if i > 0 {
			t = append(t, chat.Texts("\n")...)
		}
		t = append(t, chat.Texts("Not: "+bounded(by[why])+" ("+why+")")...)
	}
	return t
}

// bounded names at most twelve.
func bounded(list []string) string {
	if n := len(list) - mostNamed; n > 0 {
		return strings.Join(list[:mostNamed], ", ") + fmt.Sprintf(" … and %d more", n)
	}
	return strings.Join(list, ", ")
}

// Batch is how far several jobs are that were asked for at once.
type Batch struct {
	Action  jobs.Action
	Size    int // that were asked for
	Jobs    []jobs.Job
	Skipped []Skipped // no job was made for them
	Final   bool
	Took    time.Duration
}

// Open is how many jobs have not ended.
func (b Batch) Open() int {
	n := 0
	for _, j := range b.Jobs {
		if j.FinishedAt.IsZero() {
			n++
		}
	}
	return n
}

// Panel is the one message of a batch: a bar while it goes on, then what came
// of it, with all that did not work named.
func (b Batch) Panel() chat.Panel {
	good, over := 0, len(b.Skipped)
	var bad []Skipped
	for _, j := range b.Jobs {
		if j.FinishedAt.IsZero() {
			continue
		}
		over++
		switch j.State {
		case jobs.Succeeded, jobs.Warned:
			good++
		case jobs.Superseded:
			bad = append(bad, Skipped{j.Name, "it gave way to a forced stop"})
		default:
			bad = append(bad, Skipped{j.Name, strings.TrimSpace(j.Error)})
		}
	}
	bad = append(bad, b.Skipped...)
	over = min(over, b.Size)
	p := chat.Panel{ID: "batch", Title: verbs[b.Action] + " containers", Close: "Close", Tone: chat.Warning}
	if !b.Final {
		percent := over * 100 / max(b.Size, 1)
		p.Blocks = append(p.Blocks,
			chat.Heading{Text: fmt.Sprintf("%s %s %s", markBusy, title(underWay[b.Action]), count(b.Size, "container")), Below: chat.Texts(progressBar(percent) + fmt.Sprintf(" · %d of %d done", over, b.Size))})
	} else {
		mark, word := markDone, outcome[b.Action]
		switch {
		case good == 0:
			mark, p.Tone = markBad, chat.Bad
		case good < b.Size:
			mark, p.Tone = markWarn, chat.Warning
		default:
			p.Tone = chat.Good
		}
		head := fmt.Sprintf("%s %s %d of %s", mark, word, good, count(b.Size, "container"))
		below := "took " + Duration(b.Took.Truncate(time.Second))
		if b.Took < time.Second {
			below = ""
		}
		if missing := b.Size - len(b.Jobs) - len(b.Skipped); missing > 0 {
			below += fmt.Sprintf("\n%s not begun; nothing was sent for that.", countWas(missing))
		}
		p.Blocks = append(p.Blocks, chat.Heading{Text: head, Below: chat.Texts(strings.TrimSpace(below))})
	}
	for i, s := range bad {
		if i == mostNamed {
			p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(fmt.Sprintf("… and %d more", len(bad)-mostNamed))})
			break
		}
		text := chat.Texts(markBad+" ", chat.B(short(s.Name)), ": "+sentence(s.Why))
		if do := known(s.Why); do != "" {
			text = append(text, chat.Texts(" → "+do)...)
		}
		p.Blocks = append(p.Blocks, chat.Para{Text: text})
	}
	if b.Final {
		p.Blocks = append(p.Blocks, chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "board:open", Label: "Open the board"}}})
	} else {
		p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts("You are told here how it ends. It goes on if pvechat restarts.")})
	}
	return p
}

func countWas(n int) string {
	if n == 1 {
		return "1 was"
	}
	return fmt.Sprintf("%d were", n)
}

// progressBar is a share in ten cells.
func progressBar(percent int) string {
	n := min(max(percent, 0), 100) / 10
	return strings.Repeat("▰", n) + strings.Repeat("▱", 10-n) + " " + strconv.Itoa(percent) + nbsp + "%"
}

// Pick lets a person choose some of the containers that a list shows, and then
// what to do to them; token is of the choice that was made. Platforms differ in
// how many entries they can list.
func (b Board) Pick(chosen []string, token, state string) chat.Panel {
	most := b.Space.Jump
	if most == 0 {
		most = 100
	}
	b.Filter = orAll(b.Filter)
	b.Page = 1
	p := b.page(most)
	var picked []string
	s := chat.Select{ID: "several:pick", Placeholder: "Choose containers…", Many: true}
	for _, c := range p.rows {
		word := string(c.State)
		if j, busy := b.Busy[c.ID]; busy {
			word = underWay[j.Action]
		}
		o := chat.Choosable{Mark: marks[c.State], Label: c.DisplayName(), Note: word + " · " + where(c), Value: string(c.ID)}
		if slices.Contains(chosen, o.Value) {
			picked = append(picked, o.Value)
		}
		s.Options = append(s.Options, o)
	}
	s.Selected = strings.Join(picked, " ")
	panel := chat.Panel{ID: "pick", Title: "Act on several", Close: "Close", State: state, Tone: chat.Neutral}
	if len(s.Options) == 0 {
		panel.Blocks = []chat.Block{chat.Para{Text: chat.Texts(chat.B("There is nothing here that you may act on."))}}
		return panel
	}
	c := chat.Controls{ID: "pick", Select: &s}
	note := "Choose containers, then what to do. You are asked once more."
	if n := len(picked); n > 0 && token != "" {
		note = fmt.Sprintf("%s chosen.", count(n, "container"))
		for _, a := range forSeveral {
			c.Buttons = append(c.Buttons, chat.Button{ID: "several:ask:" + string(a) + ":" + token, Label: strings.TrimSuffix(actionLabel[a], "…") + "…"})
		}
	}
	if p.match > len(p.rows) {
		note += fmt.Sprintf(" These are the first %d of %d; filter or search to see others, or type /pve stop tag:NAME.", len(p.rows), p.match)
	}
	panel.Blocks = []chat.Block{chat.Heading{Text: "Act on several"}, c, chat.Note{Text: chat.Texts(note)}}
	return panel
}
