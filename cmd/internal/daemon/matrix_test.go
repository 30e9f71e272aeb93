package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// actions are the five that a detail offers: the word that is typed, the
// buttons' words, and what the outcome says.
var actions = []struct{ word, button, yes, done string }{
	{"start", "Start", "", "Started"},
	{"shutdown", "Shut down…", "Shut down", "Shut down"},
	{"restart", "Restart…", "Restart", "Restarted"},
	{"stop", "Stop…", "Stop container", "Stopped"},
	{"delete", "Delete…", "", "Deleted"},
}

// states are the columns of the matrix: what must be in the task list of
// Proxmox after each of the five actions, in their order ("" for nothing), and
// what has become of the container.
var states = []struct {
	name   string
	word   string // on its detail
	reason string // said instead of acting
	tasks  [5]string
	after  [5]string
}{
	{"running", "running", "", [5]string{"", "vzshutdown", "vzreboot", "vzstop", "vzdestroy"}, [5]string{"running", "stopped", "running", "stopped", "gone"}},
	{"stopped", "stopped", "", [5]string{"vzstart", "", "", "", "vzdestroy"}, [5]string{"running", "stopped", "stopped", "stopped", "gone"}},
	{"creating", "creating", "it is being created", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
	{"error", "error", "it is not running", [5]string{"vzstart", "", "", "", "vzdestroy"}, [5]string{"running", "stopped", "stopped", "stopped", "gone"}},
	{"unknown", "unknown", "its state is unknown", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
	{"locked", "running", "it is locked (backup)", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
	{"node down", "unknown", "node pve3 is down", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
	{"HA", "running", "", [5]string{"", "hastop", "vzreboot", "hastop", ""}, [5]string{"running", "stopped", "running", "stopped", "running"}},
	{"no permission", "", "Not allowed", [5]string{}, [5]string{"stopped", "running", "running", "running", "running"}},
	{"asked a minute ago", "", "This question has ended", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
	{"another was asked", "", "This question has ended", [5]string{}, [5]string{"running", "running", "running", "running", "running"}},
}

// cell is one action on one container in one state.
type cell struct {
	on            daemontest.Platform
	action, state int
	vmid          int
	asker, actor  *daemontest.Person
	question      *daemontest.Surface // put while it was running
	before        int                 // tasks that made the state
}

func (c *cell) name() string { return fmt.Sprintf("ct%d", c.vmid) }

func (c *cell) asks() bool { return actions[c.action].yes != "" || actions[c.action].word == "delete" }

// judge compares Proxmox's task list and configuration with what the table
// allows; "" where they agree.
func (c *cell) judge(w *daemontest.World) string {
	var want []string
	if task := states[c.state].tasks[c.action]; task != "" {
		want = []string{task}
	}
	tasks, sent := w.Tasks(c.vmid)[c.before:], w.Sent(c.vmid)[c.before:]
	ct, there := w.PVE.Container(c.vmid)
	after := map[bool]string{true: "running", false: "stopped"}[ct.Running]
	if !there {
		after = "gone"
	}
	switch {
	case !slices.Equal(tasks, want):
		return fmt.Sprintf("tasks %q, want %q", tasks, want)
	case len(sent) != len(want):
		return fmt.Sprintf("sent %q, want %d", sent, len(want))
	case after != states[c.state].after[c.action]:
		return fmt.Sprintf("it is %s, want %s", after, states[c.state].after[c.action])
	case states[c.state].name == "locked" && ct.Lock != "backup":
		return "its lock is gone"
	}
	return ""
}

// newMatrix makes the containers and the people of all cells.
func newMatrix(w *daemontest.World) []*cell {
	var cells []*cell
	for _, on := range daemontest.Platforms {
		for s, state := range states {
			for a := range actions {
				c := &cell{on: on, action: a, state: s, vmid: 1000 + len(cells)}
				if strings.Contains(state.name, "asked") && !c.asks() {
					continue // nothing is asked before a start
				}
				c.add(w, map[bool]string{true: "", false: "admin"}[state.name == "no permission"])
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// add makes the container and the people of a cell.
func (c *cell) add(w *daemontest.World, role string) {
	ct := proxmoxtest.Container{VMID: c.vmid, Name: c.name(), Node: "pve1", Running: true}
	switch states[c.state].name {
	case "node down":
		ct.Node = "pve3"
	case "HA":
		ct.HA = true
	case "no permission":
		ct.Running = actions[c.action].word != "start"
	}
	w.PVE.AddContainer(ct)
	c.asker, c.actor = w.Person(c.on, "Ana", "admin"), w.Person(c.on, "Cleo", role)
}

// ask puts a question while the container is running and free. It stays
// unanswered until the state is another one.
func (c *cell) ask(t *testing.T, w *daemontest.World) {
	asker := c.asker.For(t)
	if state := states[c.state].name; !c.asks() || state == "running" || state == "HA" || state == "no permission" {
		return
	}
	asker.Command(fmt.Sprintf("%s %d", actions[c.action].word, c.vmid))
	q := asker.Sees(c.name() + map[bool]string{true: " for good?", false: "?"}[actions[c.action].yes == ""])
	c.question = &q
	w.KeepQuestions(c.vmid)
}

// enter brings the container into the cell's state.
func (c *cell) enter(t *testing.T, w *daemontest.World) {
	change := func(f func(*proxmoxtest.Container)) { w.PVE.Update(c.vmid, f) }
	switch states[c.state].name {
	case "stopped":
		change(func(ct *proxmoxtest.Container) { ct.Running = false })
	case "creating":
		change(func(ct *proxmoxtest.Container) { ct.Lock = "create" })
	case "error":
		change(func(ct *proxmoxtest.Container) { ct.Running, ct.StartFails = false, "no space left on device" })
		w.Refreshed()
		actor := c.actor.For(t)
		actor.Command(fmt.Sprintf("start %d", c.vmid))
		actor.Sees("Could not start " + c.name())
		change(func(ct *proxmoxtest.Container) { ct.StartFails = "" })
		c.before = 1
	case "unknown":
		change(func(ct *proxmoxtest.Container) { ct.Silent = true })
	case "locked":
		change(func(ct *proxmoxtest.Container) { ct.Lock = "backup" })
	case "asked a minute ago":
		w.LetQuestionsEnd(c.vmid)
	case "another was asked":
		w.GiveQuestionsAway(c.vmid)
	}
}

// detail opens the panel again and again until it shows a state.
func (c *cell) detail(t *testing.T, word string) daemontest.Surface {
	t.Helper()
	actor := c.actor.For(t)
	for range 10 {
		actor.Command(fmt.Sprintf("show %d", c.vmid))
		d := actor.Sees(c.name(), "Overview", "Updated")
		if strings.Contains(d.Text, word) {
			return d
		}
		d.Dismiss()
		actor.World().Refreshed()
	}
	t.Fatalf("the detail of %s does not say %s", c.name(), word)
	return daemontest.Surface{}
}

// looks checks that the detail offers what makes sense, and nothing else.
func (c *cell) looks(t *testing.T) {
	state := states[c.state]
	if state.word == "" {
		return // nothing to see, or nothing to tell it by
	}
	d := c.detail(t, state.word)
	for i, a := range actions {
		if offers := offered(d, a.button); offers != (state.tasks[i] != "") {
			t.Errorf("a detail of a container that is %s offers %s: %v", state.name, a.button, offers)
		}
	}
	d.Dismiss()
}

func offered(detail daemontest.Surface, button string) bool {
	return detail.Offers(button) || button == "Start" && detail.Offers("Try to start again")
}

// act does what the actor can: presses in the detail what it offers, and types
// the command where it does not. Then the old question is answered.
func (c *cell) act(t *testing.T) {
	actor, a, state := c.actor.For(t), actions[c.action], states[c.state]
	switch {
	case state.tasks[c.action] != "":
		button, detail := a.button, c.detail(t, state.word)
		if !detail.Offers(button) {
			button = "Try to start again"
		}
		detail.Press(button)
		switch {
		case a.word == "delete":
			actor.Sees(c.name()+" for good?", "These go with it", "vm-").Submit(map[string]string{"name": c.name()})
		case a.yes != "" && c.on == daemontest.Discord: // Slack's client has asked
			actor.Sees("This question ends").Press(a.yes)
		}
		actor.Sees(a.done + " " + c.name())
		return
	case c.question != nil:
		q := c.question.As(c.asker.For(t))
		if a.word == "delete" {
			q.Submit(map[string]string{"name": c.name()})
		} else {
			q.Press(a.yes)
		}
		c.asker.For(t).Sees(c.refusal())
	}
	if state.reason == "This question has ended" {
		return
	}
	actor.Command(fmt.Sprintf("%s %d", a.word, c.vmid))
	if state.reason == "Not allowed" { // who is asked all the same says yes
		asked := false
		actor.Until("an answer", func() bool {
			_, asked = actor.Seen(c.name() + "?")
			_, denied := actor.Seen(c.refusal())
			return asked || denied
		})
		if asked {
			actor.Sees(c.name() + "?").Press(a.yes)
		}
	}
	actor.Sees(c.refusal())
}

func (c *cell) refusal() string {
	state := states[c.state]
	switch {
	case state.name == "HA" && actions[c.action].word == "delete":
		return c.name() + ": it is managed by HA"
	case state.name == "running" || state.name == "HA":
		return c.name() + ": it is running"
	case state.name == "stopped":
		return c.name() + ": it is not running"
	case state.reason == "Not allowed" || state.reason == "This question has ended":
		return state.reason
	}
	return ": " + state.reason
}

// Row 14: every action in every state on both platforms, judged by what Proxmox
// was asked to do. The container is running first; where an action asks, the
// question is put then, and answered when the state is another one. It runs
// beside no other test, behind which the cells of each phase would queue.
func TestMatrixOfActionsAndStates(t *testing.T) {
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddNode("pve2")
	cells := newMatrix(w)
	w.Run()
	all := func(phase string, do func(t *testing.T, w *daemontest.World, c *cell)) {
		t.Run(phase, func(t *testing.T) {
			for _, c := range cells {
				t.Run(fmt.Sprintf("%s/%s/%s", c.on, actions[c.action].word, states[c.state].name), func(t *testing.T) {
					t.Parallel()
					do(t, w.For(t), c)
				})
			}
		})
	}
	all("asked", func(t *testing.T, w *daemontest.World, c *cell) { c.ask(t, w) })
	w.PVE.SetNode("pve3", false)
	all("entered", func(t *testing.T, w *daemontest.World, c *cell) { c.enter(t, w) })
	w.Refreshed()
	all("looked at", func(t *testing.T, _ *daemontest.World, c *cell) {
		if actions[c.action].word == "start" {
			c.looks(t) // once for all five
		}
	})
	all("acted", func(t *testing.T, _ *daemontest.World, c *cell) { c.act(t) })
	if err := w.PVE.AwaitIdle(w.Patience()); err != nil {
		t.Fatal(err)
	}

	var table strings.Builder
	for _, on := range daemontest.Platforms {
		fmt.Fprintf(&table, "\n%-20s", on)
		for _, a := range actions {
			fmt.Fprintf(&table, "%-12s", a.word)
		}
		row := -1
		for _, c := range cells {
			if c.on != on {
				continue
			}
			if c.state != row {
				row = c.state
				fmt.Fprintf(&table, "\n%-20s", states[row].name)
				if strings.Contains(states[row].name, "asked") {
					fmt.Fprintf(&table, "%-12s", "")
				}
			}
			shown := strings.Join(w.Tasks(c.vmid)[c.before:], " ")
			if shown == "" {
				shown = "–"
			}
			if wrong := c.judge(w); wrong != "" {
				t.Errorf("%s: %s a container that is %s: %s", on, actions[c.action].word, states[c.state].name, wrong)
				shown += " WRONG"
			}
			fmt.Fprintf(&table, "%-12s", shown)
		}
	}
	t.Log("what Proxmox was asked to do\n" + table.String())
	w.Correct()
}

// Without the check of permission, of state, or of the question, a container is
// stopped that the table says is left alone. The same comes of an actor who has
// the role after all, of a lock that is not there, and of a question that has
// not ended; the judge notices each.
func TestTheMatrixNoticesAMissingCheck(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := daemontest.New(t, proxmoxtest.Options{})
		var cells []*cell
		for s, state := range states {
			if slices.Contains([]string{"no permission", "locked", "asked a minute ago"}, state.name) {
				c := &cell{on: on, action: 3, state: s, vmid: 1000 + s}
				c.add(w, "admin")
				cells = append(cells, c)
			}
		}
		w.Run()
		for _, c := range cells {
			if wrong := c.judge(w); wrong != "" && states[c.state].name != "locked" {
				t.Errorf("%s: before anything was done: %s", states[c.state].name, wrong)
			}
			c.actor.Command(fmt.Sprintf("stop %d", c.vmid))
			c.actor.Sees("This question ends").Press("Stop container")
			c.actor.Sees("Stopped " + c.name())
			if c.judge(w) == "" {
				t.Errorf("%s: nobody noticed that it was stopped", states[c.state].name)
			}
		}
	})
}
