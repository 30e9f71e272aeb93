package view

import (
	"fmt"
	"strings"
	"time"

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
		return it + " goes down and comes back. A guest that does not end in " + Duration(jobs.RestartTimeout) + " is cut off."
	case jobs.Stop:
		return "Stop pulls the plug: " + it + " ends at once and unsaved data may be lost. To let it close its work first, use Shut down."
	}
	return ""
}

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
}

// ConfirmFor is how long our own questions wait.
const ConfirmFor = 60 * time.Second

// Confirm is our own question, where the platform asks none.
func Confirm(c *inventory.Container, a jobs.Action, token string, now time.Time) chat.Panel {
	now = now.Truncate(time.Second)
	text := map[jobs.Action]string{
		jobs.Stop:     "Stop pulls the plug. It ends at once and unsaved data may be lost.",
		jobs.Shutdown: "It is asked to close its work and end: up to " + Duration(jobs.ShutdownTimeout) + ". If it does not end, you are asked before anything is forced.",
		jobs.Restart:  "It goes down and comes back. A guest that does not end in " + Duration(jobs.RestartTimeout) + " is cut off.",
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
		return fmt.Sprintf("%s: %s. %s", p.Lead.Name, p.Lead.Word, p.Lead.Facts)
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
	case jobs.Succeeded, jobs.Warned:
		word := outcome[j.Action]
		if j.Forced {
			word = "Stopped (forced)"
		}
		m.Tone = chat.Good
		m.Blocks = []chat.Block{chat.Para{Text: chat.Texts(markDone+" ", chat.B(word+" "+j.Name), "\n"+place+took)}}
		if j.State == jobs.Warned {
			m.Tone = chat.Warning
			m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(markWarn + " Proxmox reports " + count(j.Warnings, "warning") + "; Events has the task.")})
		}
		if c == nil || j.Action == jobs.Delete {
			return m
		}
		next := chat.Controls{ID: "actions", Buttons: []chat.Button{manage}}
		if j.Action == jobs.Shutdown || j.Action == jobs.Stop {
			next.Buttons = append([]chat.Button{{ID: ID(j.Container, "start"), Label: "Start"}}, manage)
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
		head = "Nobody can tell whether " + j.Name + " was to " + strings.ToLower(verbs[j.Action])
		now = "Look at its present state before you try again."
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
		chat.Controls{ID: "actions", Buttons: buttons},
		chat.Note{Text: chat.Texts(place+" · id ", chat.C(j.Request), ", for your admin")},
	}
	return m
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
	if strings.ContainsAny(s[len(s)-1:], ".?…") {
		return s
	}
	return s + "."
}

// DeleteForm asks for the name. Without a config it is still being read.
func DeleteForm(c *inventory.Container, token string, cfg *proxmox.ContainerConfig, snaps int, problem string) chat.Form {
	f := chat.Form{
		ID: ID(c.ID, "delete:"+token), Title: "Delete container", Heading: "Delete " + c.DisplayName() + " for good?", Tone: chat.Bad,
		Ask: "Type its name…", CancelID: "cancel:" + token, Submit: "Delete for good",
		Inputs: []chat.Input{{
			ID: "name", Label: "Type " + cut(ConfirmName(c), 28) + " to delete it", Placeholder: ConfirmName(c), MaxLength: 63,
			Hint: "Exactly as written.",
		}},
	}
	f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(Spot(c) + ". This cannot be undone.")})
	switch {
	case problem != "":
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(markWarn + " What goes with it could not be read: " + problem)})
	case cfg == nil:
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(chat.B("These go with it"), "\n• its disks: reading…")})
	default:
		t := chat.Texts(chat.B("These go with it"))
		disks := append([]proxmox.Mount{cfg.RootFS}, cfg.Mounts...)
		for _, m := range disks {
			if m.Bind || m.Volume == "" {
				continue
			}
			at := m.Path
			if m.Key == "rootfs" || at == "" {
				at = "system"
			}
			size := ""
			if m.Size > 0 {
				size = " · " + Bytes(m.Size)
			}
			t = append(t, chat.Texts("\n• ", chat.C(m.Volume), size+" · "+at)...)
		}
		if snaps > 0 {
			t = append(t, chat.Texts("\n• "+count(snaps, "snapshot"))...)
		}
		t = append(t, chat.Texts("\n• its backup, replication and HA entries")...)
		f.Intro = append(f.Intro, chat.Para{Text: t})
		if cfg.Protection {
			f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("It is protected."), " Proxmox refuses to delete it until the protection is switched off there.")})
		}
	}
	note := "Backups already made stay."
	if c.State == inventory.Running {
		note = "It is running: it is stopped first. · " + note
	}
	f.Intro = append(f.Intro, chat.Note{Text: chat.Texts(note)})
	return f
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
