package view

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
)

// question is the text of a confirmation.
func question(c *inventory.Container, a jobs.Action) string {
	it := fmt.Sprintf("%s (%s)", short(c.DisplayName()), Spot(c))
	if c.Hostname == "" {
		it = Spot(c)
	}
	switch a {
	case jobs.Shutdown:
		return "Asks " + it + " to close its work and end. Takes up to " + Duration(jobs.ShutdownTimeout) + ". If it does not end, you are asked before anything is forced."
	case jobs.Restart:
		return it + " goes down and comes back. " + restartHard
	case jobs.Stop:
		return "Stop pulls the plug: " + it + " ends at once and unsaved data may be lost. To let it close its work first, use Shut down."
	}
	return ""
}

// restartHard is what Proxmox does without asking anybody.
var restartHard = fmt.Sprintf("Proxmox stops it hard if it has not ended after %d%ss.", int(jobs.RestartTimeout.Seconds()), nbsp)

var confirmYes = map[jobs.Action]string{jobs.Shutdown: "Shut down", jobs.Restart: "Restart", jobs.Stop: "Stop container"}

// Asks reports whether an action is asked about in a yes-or-no question.
func Asks(a jobs.Action) bool { return confirmYes[a] != "" }

// confirmOf is the platform's own question; nil where none is asked, or where a
// name is typed instead.
func confirmOf(c *inventory.Container, a jobs.Action) *chat.Confirm {
	if !Asks(a) {
		return nil
	}
	return &chat.Confirm{
		Title: verbs[a] + " " + short(c.DisplayName()) + "?", Text: question(c, a), Yes: confirmYes[a], No: "Cancel", Danger: a == jobs.Stop,
	}
}

var verbs = map[jobs.Action]string{
	jobs.Start: "Start", jobs.Shutdown: "Shut down", jobs.Restart: "Restart", jobs.Stop: "Stop", jobs.Delete: "Delete",
	jobs.Create: "Creation",
}

// ConfirmFor is how long our own questions wait.
const ConfirmFor = 60 * time.Second

// Confirm is our own question, where the platform asks none.
func Confirm(c *inventory.Container, a jobs.Action, token string, now time.Time) chat.Panel {
	now = now.Truncate(time.Second)
	text := map[jobs.Action]string{
		jobs.Stop:     "Stop pulls the plug. It ends at once and unsaved data may be lost.",
		jobs.Shutdown: "It is asked to close its work and end: up to " + Duration(jobs.ShutdownTimeout) + ". If it does not end, you are asked before anything is forced.",
		jobs.Restart:  "It goes down and comes back. " + restartHard,
	}[a]
	state := string(c.State)
	if !c.BootedAt.IsZero() {
		state += ", up " + Duration(now.Sub(c.BootedAt))
	}
	p := chat.Panel{ID: "confirm", Title: verbs[a] + " container", Close: "Cancel", Tone: chat.Warning}
	yes := chat.Button{ID: ID(c.ID, string(a)+":"+token), Label: confirmYes[a], Style: chat.Primary}
	buttons := []chat.Button{yes}
	note := ""
	if a == jobs.Stop {
		p.Tone = chat.Bad
		buttons[0].Style = chat.Danger
		buttons = append(buttons, chat.Button{ID: ID(c.ID, "instead:"+token), Label: "Shut down instead"})
		note = "To let it close its work first, use Shut down. · "
	}
	p.Cancel = "cancel:" + token
	p.Blocks = []chat.Block{
		chat.Heading{Text: verbs[a] + " " + c.DisplayName() + "?", Below: chat.Texts(Spot(c) + " · " + state)},
		chat.Para{Text: chat.Texts(text)},
		chat.Controls{ID: "actions", Buttons: buttons},
		chat.Note{Text: chat.Texts(note+"This question ends ", chat.At(now.Add(ConfirmFor), chat.Age))},
	}
	return p
}

// Progress is what the person who asked sees while it goes on.
func Progress(c *inventory.Container, j jobs.Job, token string, now time.Time) chat.Panel {
	p := chat.Panel{
		ID: "progress", Title: c.DisplayName(), Close: "Close", Tone: chat.Warning,
		Lead: &chat.Lead{
			Mark: markBusy, Name: c.DisplayName(), Word: underWay[j.Action],
			Facts: chat.Texts(facts(c)+" · asked by you · ", chat.At(j.CreatedAt, chat.Age)),
		},
	}
	if j.Action == jobs.Shutdown {
		waited := "It has " + Duration(jobs.ShutdownTimeout) + " to close its work."
		if now.Sub(j.CreatedAt) >= jobs.ShutdownTimeout {
			waited = Duration(jobs.ShutdownTimeout) + " have passed; it was asked to end and is still running."
		}
		p.Blocks = append(p.Blocks,
			chat.Para{Text: chat.Texts(waited + "\nNothing is forced unless you say so.")},
			chat.Controls{ID: "actions", Buttons: []chat.Button{
				{ID: ID(c.ID, "force:"+token), Label: "Force stop", Style: chat.Danger},
			}},
			chat.Note{Text: chat.Texts("Force stop pulls the plug: unsaved data may be lost.")})
	} else {
		p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts("You are told here how it ends. It goes on if pvechat restarts.")})
	}
	return p
}

// Summary says a panel in one sentence.
func Summary(p chat.Panel) string {
	if p.Lead != nil {
		return fmt.Sprintf("%s: %s %s", p.Lead.Name, sentence(p.Lead.Word), p.Lead.Facts)
	}
	var parts []string
	for _, b := range p.Blocks {
		switch b := b.(type) {
		case chat.Heading:
			parts = append(parts, b.Text)
			if !b.Below.Empty() {
				parts = append(parts, b.Below.String())
			}
		case chat.Para:
			parts = append(parts, b.Text.String())
		}
	}
	return strings.Join(parts, " ")
}

// AsMessage makes a private message of a panel: for places where a window
// would be in the way.
func AsMessage(p chat.Panel) chat.Message {
	m := chat.Message{Tone: p.Tone, State: p.State, Summary: Summary(p)}
	if l := p.Lead; l != nil {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts(l.Mark+" ", chat.B(l.Name), " "+l.Word+"\n", l.Facts)})
	}
	m.Blocks = append(m.Blocks, p.Body()...)
	return m
}

var outcome = map[jobs.Action]string{
	jobs.Start: "Started", jobs.Shutdown: "Shut down", jobs.Restart: "Restarted", jobs.Stop: "Stopped", jobs.Delete: "Deleted",
}

// Outcome tells how a job ended; c is nil where the container is gone. Token
// is for Force stop after a shutdown that did not end.
func Outcome(c *inventory.Container, j jobs.Job, token string) chat.Panel {
	place := fmt.Sprintf("CT %d · %s", j.VMID, j.Node)
	took := ""
	if d := j.FinishedAt.Sub(j.CreatedAt); d >= time.Second {
		took = " · took " + Duration(d.Truncate(time.Second))
	}
	manage := chat.Button{ID: ID(j.Container, "show"), Label: "Manage"}
	m := chat.Panel{ID: "outcome", Title: j.Name, Close: "Close"}
	switch j.State {
	case jobs.Moot:
		m.Blocks = []chat.Block{
			chat.Para{Text: chat.Texts(chat.B(j.Name+": "+sentence(j.Error)), "\nNothing was sent to Proxmox.")},
			chat.Controls{ID: "actions", Buttons: []chat.Button{manage}},
			chat.Note{Text: chat.Texts(place)},
		}
		return m
	case jobs.Succeeded, jobs.Warned:
		word := outcome[j.Action]
		if j.Forced {
			word = "Stopped (forced)"
		}
		m.Tone = chat.Good
		m.Blocks = []chat.Block{chat.Para{Text: chat.Texts(markDone+" ", chat.B(word+" "+j.Name), "\n"+place+took)}}
		if j.State == jobs.Warned {
			m.Tone = chat.Warning
			m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(markWarn + " Proxmox reports " + count(j.Warnings, "warning") + "; its log says which.")})
		}
		if c == nil || j.Action == jobs.Delete {
			return m
		}
		next := chat.Controls{ID: "actions", Buttons: []chat.Button{manage}}
		if j.Action == jobs.Shutdown || j.Action == jobs.Stop {
			next.Buttons = append([]chat.Button{{ID: ID(j.Container, "start"), Label: "Start"}}, manage)
		}
		if j.State == jobs.Warned {
			next.Buttons = append(next.Buttons, taskLogButton(j))
		}
		m.Blocks = append(m.Blocks, next)
		return m
	}
	m.Tone = chat.Bad
	head, now := "Could not "+strings.ToLower(verbs[j.Action])+" "+j.Name, ""
	buttons := []chat.Button{{ID: ID(j.Container, string(j.Action)), Label: retryLabel(j.Action)}, manage, {ID: ID(j.Container, "events"), Label: "Events"}}
	switch {
	case j.State == jobs.Lost:
		m.Tone = chat.Warning
		head = verbs[j.Action] + " of " + j.Name + ": outcome unknown"
		now = "Look at it before you try again."
		if c != nil {
			now = "It is " + string(c.State) + " now. " + now
		}
		buttons = []chat.Button{manage}
	case j.Action == jobs.Shutdown && c != nil && c.State == inventory.Running && j.UPID != "":
		head = j.Name + " did not end"
		now = "It is still running. Nothing was forced."
		buttons = []chat.Button{{ID: ID(j.Container, "force:"+token), Label: "Force stop", Style: chat.Danger}, manage}
	case c != nil && c.State == inventory.Error:
		now = "It is not running."
	case c != nil:
		now = "It is " + string(c.State) + "."
	}
	m.Blocks = []chat.Block{
		chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\n"+sentence(j.Error), " "+now)},
		chat.Para{Text: chat.Texts("→ " + advice(j.Error))},
	}
	if len(j.Tail) > 0 {
		m.Blocks = append(m.Blocks, chat.Pre{Lines: j.Tail})
	}
	if j.UPID != "" && c != nil {
		buttons = append(buttons, taskLogButton(j))
	}
	if doctorHelps(j.Error) {
		buttons = append(buttons, runDoctor)
	}
	m.Blocks = append(m.Blocks,
		chat.Controls{ID: "actions", Buttons: buttons},
		chat.Note{Text: chat.Texts(place+" · id ", chat.C(j.Request), ", for your admin")})
	return m
}

func taskLogButton(j jobs.Job) chat.Button {
	return chat.Button{ID: ID(j.Container, "log:"+j.ID), Label: "Task log"}
}

// logPage is how many characters of a log are shown at a time: what both
// platforms show whole.
const logPage = 2400

// TaskLog shows the end of a task's log, the last page first.
func TaskLog(j jobs.Job, lines []string, page int) chat.Panel {
	var pages [][]string // from the last to the first
	size := logPage
	for _, line := range slices.Backward(lines) {
		line = cut(line, logPage/2)
		n := len([]rune(line)) + 1
		if size+n > logPage {
			pages, size = append(pages, nil), 0
		}
		last := len(pages) - 1
		pages[last], size = append(pages[last], line), size+n
	}
	p := chat.Panel{ID: "log", Title: "Task log", Close: "Close", Tone: chat.Quiet, Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(chat.B(verbs[j.Action]+" of "+j.Name), " · the end of its log")},
	}}
	if len(pages) == 0 {
		p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts("It is empty.")})
	} else {
		page = min(max(page, 0), len(pages)-1)
		slices.Reverse(pages[page])
		p.Blocks = append(p.Blocks, chat.Pre{Lines: pages[page]})
		c := chat.Controls{ID: "pages"}
		if page+1 < len(pages) {
			c.Buttons = append(c.Buttons, chat.Button{ID: ID(j.Container, "log:"+j.ID+":"+strconv.Itoa(page+1)), Label: "Older"})
		}
		if page > 0 {
			c.Buttons = append(c.Buttons, chat.Button{ID: ID(j.Container, "log:"+j.ID+":"+strconv.Itoa(page-1)), Label: "Newer"})
		}
		if len(c.Buttons) > 0 {
			p.Blocks = append(p.Blocks, c)
		}
	}
	p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(chat.C(string(j.UPID)))})
	return p
}

func retryLabel(a jobs.Action) string {
	if a == jobs.Start {
		return "Try again"
	}
	return actionLabel[a]
}

// sentence ends with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	if last, _ := utf8.DecodeLastRuneInString(s); strings.ContainsRune(".?…", last) {
		return s
	}
	return s + "."
}

// Deletion is what a person should know before a container is deleted.
type Deletion struct {
	Container *inventory.Container
	Token     string
	Config    *proxmox.ContainerConfig // nil: it is still being read
	Snapshots int
	Leftovers []proxmox.Volume // with its number, and not in its configuration
	Too       bool             // they are destroyed too
	Problem   string           // why something could not be read
}

// Form asks for the name.
func (d Deletion) Form() chat.Form {
	c, token := d.Container, d.Token
	if d.Too {
		token += ":" + Too
	}
	f := chat.Form{
		ID: ID(c.ID, "delete:"+token), Title: "Delete container", Heading: "Delete " + c.DisplayName() + " for good?", Tone: chat.Bad,
		Ask: "Type its name…", CancelID: "cancel:" + d.Token, Submit: "Delete for good",
		Inputs: []chat.Input{{
			ID: "name", Label: "Type " + cut(ConfirmName(c), 28) + " to delete it", Placeholder: ConfirmName(c), MaxLength: 63,
			Hint: "Exactly as written.",
		}},
	}
	where := Spot(c)
	if c.State == inventory.Running {
		where += " · running, so it is stopped first"
	}
	f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(where + ". This cannot be undone.")})
	switch {
	case d.Problem != "":
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(markWarn + " What goes with it could not be read: " + d.Problem)})
	case d.Config == nil:
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(chat.B("These go with it"), "\n• its disks: reading…")})
	default:
		f.Intro = append(f.Intro, d.goes()...)
	}
	f.Intro = append(f.Intro, d.leftovers()...)
	f.Intro = append(f.Intro, chat.Note{Text: chat.Texts("Backups already made stay.")})
	return f
}

// Too in a control's id says that leftovers are destroyed too.
const Too = "too"

// mostVolumes is how many of a kind are named.
const mostVolumes = 12

// goes lists what goes with the container, and what may be in the way.
func (d Deletion) goes() []chat.Block {
	t := chat.Texts(chat.B("These go with it"))
	disks := append([]proxmox.Mount{d.Config.RootFS}, d.Config.Mounts...)
	disks = slices.DeleteFunc(append(disks, d.Config.Unused...), func(m proxmox.Mount) bool { return m.Bind || m.Volume == "" })
	for _, m := range disks[:min(len(disks), mostVolumes)] {
		at := m.Path
		switch {
		case m.Key == "rootfs":
			at = "system"
		case at == "":
			at = "not in use"
		}
		t = append(t, volume(m.Volume, m.Size, at)...)
	}
	t = append(t, more(len(disks))...)
	if d.Snapshots > 0 {
		t = append(t, chat.Texts("\n• "+count(d.Snapshots, "snapshot"))...)
	}
	blocks := []chat.Block{chat.Para{Text: append(t, chat.Texts("\n• its backup and replication entries")...)}}
	if d.Config.Protection {
		blocks = append(blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("It is protected."), " Proxmox refuses to delete it until the protection is switched off there.")})
	}
	if d.Config.Lock != "" {
		blocks = append(blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("It is locked ("+d.Config.Lock+")."), " Proxmox refuses to delete it until that has ended.")})
	}
	return blocks
}

// leftovers names the volumes that the configuration does not, and lets the
// person choose.
func (d Deletion) leftovers() []chat.Block {
	n := len(d.Leftovers)
	if n == 0 {
		return nil
	}
	t := chat.Texts(chat.B("Left over with its number"), ", not in its configuration:")
	for _, v := range d.Leftovers[:min(n, mostVolumes)] {
		t = append(t, volume(v.ID, v.Size, "")...)
	}
	t = append(t, more(n)...)
	choice, toggle := chat.Texts("\nThey ", chat.B("stay"), "."), chat.Button{ID: ID(d.Container.ID, "leftovers:"+d.Token+":"+Too), Label: "Destroy these too"}
	if d.Too {
		choice, toggle = chat.Texts("\n"+markWarn+" They ", chat.B("are destroyed too"), "."), chat.Button{ID: ID(d.Container.ID, "leftovers:"+d.Token), Label: "Keep these"}
	}
	return []chat.Block{chat.Para{Text: append(t, choice...)}, chat.Controls{ID: "leftovers", Buttons: []chat.Button{toggle}}}
}

func volume(id string, size int64, what string) chat.Text {
	rest := ""
	if size > 0 {
		rest = " · " + Bytes(size)
	}
	if what != "" {
		rest += " · " + what
	}
	return chat.Texts("\n• ", chat.C(id), rest)
}

func more(n int) chat.Text {
	if n <= mostVolumes {
		return nil
	}
	return chat.Texts(fmt.Sprintf("\n… and %d more", n-mostVolumes))
}

// ConfirmName is what has to be typed: the hostname, or the VMID where there is
// none.
func ConfirmName(c *inventory.Container) string {
	if c.Hostname != "" {
		return c.Hostname
	}
	return fmt.Sprint(c.VMID)
}

func cut(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
