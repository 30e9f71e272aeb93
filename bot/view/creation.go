package view

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/templates"
)

// Creation is a container that is being made, or how that ended.
type Creation struct {
	Job      jobs.Job
	Progress create.Progress
	Spec     create.Spec
	Template templates.Template // zero: it is not there any more
	Report   *services.Report   // what runs in it; nil: not known
	Reach    bool               // pvechat can enter it
	State    inventory.State    // of the container; "" where there is none
}

// Message is the creation as its channel sees it.
func (c Creation) Message(public bool) chat.Message {
	m := chat.Message{Public: public}
	m.Summary, m.Tone, m.Blocks = c.say()
	return m
}

// Panel is the creation for one person.
func (c Creation) Panel() chat.Panel {
	p := chat.Panel{ID: "creation", Title: c.Job.Name, Close: "Close", Live: c.Job.State.Open()}
	_, p.Tone, p.Blocks = c.say()
	return p
}

func (c Creation) say() (summary string, tone chat.Tone, blocks []chat.Block) {
	switch c.Job.State {
	case jobs.Succeeded, jobs.Warned:
		return c.done()
	case jobs.Superseded:
		return c.cancelled()
	case jobs.Failed, jobs.Lost, jobs.Moot:
		return c.failed()
	}
	return c.going()
}

func (c Creation) place() string { return fmt.Sprintf("CT %d · %s", c.Job.VMID, c.Job.Node) }

// going is a creation under way.
func (c Creation) going() (summary string, tone chat.Tone, blocks []chat.Block) {
	p, j := c.Progress, c.Job
	summary = fmt.Sprintf("Creating %s (%s): %s. Asked by %s.", j.Name, c.place(), percent(p.Percent()), j.Person.Name)
	blocks = []chat.Block{
		chat.Heading{Text: marks[inventory.Creating] + " Creating " + j.Name, Below: chat.Texts(c.place() + "\n" + progressBar(p.Percent()))},
	}
	if steps := c.steps(); len(steps) > 0 {
		blocks = append(blocks, chat.Para{Text: steps})
	}
	if len(p.Lines) > 0 {
		blocks = append(blocks, chat.Pre{Lines: lastLines(p.Lines)})
	}
	if j.Cancelled != "" {
		return summary, chat.Neutral, append(blocks,
			chat.Para{Text: chat.Texts(chat.B("Cancelling…"), " "+sentence(title(j.Cancelled))+" What Proxmox is at comes to its end first.")}, c.asked(false))
	}
	return summary, chat.Neutral, append(blocks,
		chat.Controls{ID: "actions", Buttons: []chat.Button{{
			ID: ID(j.Container, "cancel-create"), Label: "Cancel…", Confirm: &chat.Confirm{
				Title: "Stop creating " + short(j.Name) + "?", Text: stopCreating, Yes: "Stop creating", No: "Go on", Danger: true,
			},
		}}},
		chat.Note{Text: chat.Texts("asked by "+j.Person.Name+" · since ", chat.At(j.CreatedAt, chat.ClockSec), " · goes on if pvechat restarts")})
}

const lineShown = 200 // characters of a line of a log

func lastLines(lines []string) []string {
	var list []string
	for _, l := range lines[max(0, len(lines)-3):] {
		list = append(list, cut(l, lineShown))
	}
	return list
}

// mostSteps is how many steps are named one by one.
const mostSteps = 20

// steps are the steps with their marks.
func (c Creation) steps() chat.Text {
	var t chat.Text
	list, at := c.Progress.Steps, c.Progress.At()
	first, last := 0, len(list)
	if last > mostSteps { // those around the one under way
		first = min(max(0, at-mostSteps/2), last-mostSteps)
		last = first + mostSteps
	}
	line := func(parts ...any) {
		if len(t) > 0 {
			t = append(t, chat.Texts("\n")...)
		}
		t = append(t, chat.Texts(parts...)...)
	}
	if first > 0 {
		line(fmt.Sprintf("%s … %d done before", markDone, first))
	}
	for i, s := range list[first:last] {
		name := cut(s.Name, 60)
		switch i += first; {
		case s.Done():
			took := ""
			if d := s.Ended.Sub(s.Began); d >= time.Second && !s.Began.IsZero() {
				took = " · " + Duration(d.Truncate(time.Second))
			}
			line(markDone + " " + name + took)
		case s.Error != "":
			line(markBad+" ", chat.B(name), ": "+cut(sentence(s.Error), 300))
		case i == at && c.Job.State.Open():
			line(markBusy+" ", chat.B(name+"…"))
		default:
			line("▫️ " + name)
		}
	}
	if n := len(list) - last; n > 0 {
		line(fmt.Sprintf("▫️ … and %d more", n))
	}
	return t
}

// done is a container that was made.
func (c Creation) done() (summary string, tone chat.Tone, blocks []chat.Block) {
	j := c.Job
	state := "running"
	if c.Progress.Addr != "" {
		state += " at " + c.Progress.Addr
	}
	took := ""
	if d := j.FinishedAt.Sub(j.CreatedAt); d >= time.Second {
		took = "took " + Duration(d.Truncate(time.Second))
	}
	summary = strings.TrimSuffix(fmt.Sprintf("Created %s (%s), %s; %s", j.Name, c.place(), state, took), "; ") + "."
	below := c.place() + "\n" + state
	if took != "" {
		below += " · " + took
	}
	what := size(c.Spec)
	if c.Template.Name != "" {
		what = c.Template.Name + " · " + what
	}
	buttons := append(c.links(), chat.Button{ID: ID(j.Container, "show"), Label: "Manage"})
	if c.Reach {
		buttons = append(buttons, chat.Button{ID: ID(j.Container, "cred"), Label: "Show credentials"})
	}
	return summary, chat.Good, []chat.Block{
		chat.Heading{Text: markDone + " Created " + j.Name, Below: chat.Texts(below)},
		chat.Note{Text: chat.Texts(what)},
		chat.Controls{ID: "actions", Buttons: buttons},
		c.asked(false),
	}
}

// mostLinks is how many web pages are linked.
const mostLinks = 3

// links lead to the web pages of what runs in it, by the names that the
// template has for them.
func (c Creation) links() []chat.Button {
	if !c.Report.Known() {
		return nil
	}
	var list []chat.Button
	for _, v := range c.Report.Services {
		url := WebURL(v, c.Report.Addrs)
		if url == "" || v.System || len(list) == mostLinks {
			continue
		}
		name := v.Name
		for _, s := range c.Template.Services {
			for _, p := range v.Ports {
				if s.Port == int(p.Port) && s.Name != "" {
					name = s.Name
				}
			}
		}
		list = append(list, chat.Button{ID: fmt.Sprint(ID(c.Job.Container, "web"), ":", len(list)), Label: "Open " + short(name), URL: url})
	}
	return list
}

func (c Creation) asked(id bool) chat.Note {
	t := chat.Texts("asked by "+c.Job.Person.Name+" · ", chat.At(c.Job.CreatedAt, chat.Clock))
	if id {
		t = append(t, chat.Texts(" · id ", chat.C(c.Job.Request))...)
	}
	return chat.Note{Text: t}
}

// there says what there is after a creation that has ended before its end.
func (c Creation) there() string {
	ct := fmt.Sprintf("CT %d", c.Job.VMID)
	switch {
	case c.Progress.Unsure():
		return "perhaps " + ct + ": Proxmox was asked for it. If it is there, the board shows it."
	case !c.Progress.Made:
		return "nothing. No container was made."
	case c.State == inventory.Running:
		for _, s := range c.Progress.Steps {
			if s.Done() && s.Kind == create.Network {
				return ct + " runs, without what was not done."
			}
		}
		return ct + " runs. Nothing was set up in it."
	}
	return ct + " exists, and does not run."
}

// ways are the buttons after a creation that has ended before its end.
func (c Creation) ways() []chat.Button {
	if c.Progress.Unsure() {
		return []chat.Button{
			{ID: ID(c.Job.Container, "retry:"+c.Job.ID), Label: "Retry", Style: chat.Primary},
			{ID: ID(c.Job.Container, "show"), Label: "Manage"},
		}
	}
	if !c.Progress.Made {
		return []chat.Button{{ID: "create:again:" + c.Job.ID, Label: "Try again…", Style: chat.Primary}}
	}
	return []chat.Button{
		{ID: ID(c.Job.Container, "retry:"+c.Job.ID), Label: "Retry", Style: chat.Primary},
		{ID: ID(c.Job.Container, "delete"), Label: "Clean up…"},
		{ID: ID(c.Job.Container, "show"), Label: "Manage"},
	}
}

// failed is a creation that did not work.
func (c Creation) failed() (summary string, tone chat.Tone, blocks []chat.Block) {
	j, at, n := c.Job, c.Progress.At(), len(c.Progress.Steps)
	why := sentence(j.Error)
	do := known(j.Error)
	below := c.place()
	if n > 0 && at < n {
		bar, _, _ := strings.Cut(progressBar(c.Progress.Percent()), " ")
		below += fmt.Sprintf("\n%s stopped at step %d of %d", bar, at+1, n)
		do = cmp.Or(do, c.advice(c.Progress.Steps[at]))
	}
	if c.Progress.Unsure() {
		do = "Retry looks for it again."
	}
	do = cmp.Or(do, "Look at the reason, then try again.")
	if c.Progress.Made && at < n {
		do += fmt.Sprintf(" Retry goes on at step %d.", at+1)
	}
	summary = fmt.Sprintf("Creating %s (%s) failed: %s What is there now: %s", j.Name, c.place(), why, c.there())
	blocks = []chat.Block{chat.Heading{Text: markBad + " Creating " + j.Name + " failed", Below: chat.Texts(below)}}
	if steps := c.steps(); len(steps) > 0 {
		blocks = append(blocks, chat.Para{Text: steps})
	}
	if at >= n || c.Progress.Steps[at].Error == "" {
		blocks = append(blocks, chat.Para{Text: chat.Texts(cut(why, 600))})
	}
	if len(c.Progress.Lines) > 0 {
		blocks = append(blocks, chat.Pre{Lines: lastLines(c.Progress.Lines)})
	}
	return summary, chat.Bad, append(blocks,
		chat.Para{Text: chat.Texts(chat.B("What is there now:"), " "+c.there()+"\n", chat.B("What to do:"), " "+do)},
		chat.Controls{ID: "actions", Buttons: c.ways()},
		c.asked(true))
}

// advice is what to do about a step that failed for a reason that is not known.
func (c Creation) advice(s create.Step) string {
	switch s.Kind {
	case create.Template:
		return "Look at the storage for OS templates, and whether the node reaches the internet."
	case create.Make:
		return "Change what the reason names, then try again."
	case create.Start:
		return "Look at its task in Proxmox, then Retry."
	case create.Network:
		return "Check its network (" + netOf(c.Spec) + "), then Retry."
	case create.Packages:
		return "Check whether it reaches its package server (" + netOf(c.Spec) + "), then Retry."
	case create.RunScript:
		return "Look at the last lines, mend it in the container or in the template, then Retry."
	}
	return "Retry, or clean up."
}

// cancelled is a creation that somebody ended.
func (c Creation) cancelled() (summary string, tone chat.Tone, blocks []chat.Block) {
	j := c.Job
	head := "Creating " + j.Name + " was cancelled"
	summary = head + " (" + c.place() + "). What is there now: " + c.there()
	return summary, chat.Warning, []chat.Block{
		chat.Heading{Text: markNo + " " + head, Below: chat.Texts(c.place() + "\n" + sentence(title(j.Error)))},
		chat.Para{Text: chat.Texts(chat.B("What is there now:"), " "+c.there())},
		chat.Controls{ID: "actions", Buttons: c.ways()},
		c.asked(true),
	}
}

const stopCreating = "The step under way is the last one. What was made by then stays, and can be cleaned up or gone on with."

// CancelCreation asks whether a creation is to be ended.
func CancelCreation(c *inventory.Container, token string, now time.Time) chat.Panel {
	return chat.Panel{
		ID: "confirm", Title: "Cancel", Close: "Go on", Cancel: "cancel:" + token, Tone: chat.Warning,
		Blocks: []chat.Block{
			chat.Heading{Text: "Stop creating " + c.DisplayName() + "?", Below: chat.Texts(Spot(c))},
			chat.Para{Text: chat.Texts(stopCreating)},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "cancel-create:"+token), Label: "Stop creating", Style: chat.Danger}}},
			chat.Note{Text: chat.Texts("This question ends ", chat.At(now.Add(ConfirmFor), chat.Age))},
		},
	}
}

// Cancelling says that a creation ends.
func Cancelling(c *inventory.Container) chat.Panel {
	return chat.Panel{ID: "outcome", Title: "Cancel", Close: "Close", Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(markBusy+" ", chat.B("Cancelling "+c.DisplayName()+"…"), "\nIts message says what is there then.")},
	}}
}

// howFar is a creation in a line: its bar, and the step under way.
func howFar(p create.Progress) string {
	line := progressBar(p.Percent())
	if at := p.At(); at < len(p.Steps) {
		line += " · " + cut(p.Steps[at].Name, 60)
	}
	return line
}
