package handlers_test

import (
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// several presses a control of a private message, where its answer takes its
// place.
func (w *world) answer(person, id string) chat.Answer {
	w.t.Helper()
	return w.do(person, chat.Invocation{
		Kind: chat.Pressed, Action: id, InPanel: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "q"},
	})
}

// last is what the person was shown last.
func (w *world) last() chat.Surface {
	w.chat.mu.Lock()
	defer w.chat.mu.Unlock()
	return w.chat.shown[len(w.chat.shown)-1]
}

func newFleet(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.pve.AddContainer(proxmoxtest.Container{VMID: 105, Node: "pve1", Name: "api", Running: true, Tags: "web;prod"})
	w.pve.AddContainer(proxmoxtest.Container{VMID: 106, Node: "pve1", Name: "old", Tags: "web"})
	w.pve.AddContainer(proxmoxtest.Container{VMID: 107, Node: "pve1", Name: "busy", Running: true, Tags: "web", Lock: "backup"})
	w.refresh()
	return w
}

func TestSeveralAreAskedAboutOnceAndStopped(t *testing.T) {
	w := newFleet(t)
	ask := w.typed("ana", "stop", "name", "tag:web")
	says(t, ask.Now, "Stop 2 containers? api, web")
	says(t, ask.Now, "Not: old (it is not running)")
	says(t, ask.Now, "Not: busy (it is locked (backup))")
	if n := len(w.pve.Tasks()); n != 0 {
		t.Fatalf("%d tasks before the answer", n)
	}
	yes := control(t, ask.Now, "Stop 2 containers")
	if a := w.answer("ben", yes); !strings.Contains(text(a.Now), "This question has ended") {
		t.Errorf("somebody else's answer was taken:\n%s", text(a.Now))
	}
	w.answer("ana", yes)
	w.settled()
	says(t, w.last(), "Stopped 2 of 2 containers")
	for vmid, want := range map[int]int{101: 1, 105: 1, 106: 0, 107: 0} {
		if n := w.tasks(vmid, "vzstop"); n != want {
			t.Errorf("%d stops of %d, want %d", n, vmid, want)
		}
	}
	if n := strings.Count(w.chat.all(), "Stopped 2 of 2"); n != 1 {
		t.Errorf("the end was told %d times", n)
	}
	if strings.Contains(w.chat.all(), "Stopped web") {
		t.Error("each was told on its own, too")
	}
	if a := w.answer("ana", yes); !strings.Contains(text(a.Now), "This question has ended") {
		t.Errorf("the answer was taken twice:\n%s", text(a.Now))
	}
}

func TestOfSeveralOnlyThoseThatThePersonMayActOn(t *testing.T) {
	w := newFleet(t)
	a := w.typed("ben", "stop", "name", "tag:web,stubborn") // ben may operate what is tagged web, and see no more
	says(t, a.Now, "There is no container stubborn")
	a = w.typed("vic", "stop", "name", "tag:web")
	says(t, a.Now, "Not allowed")
	ask := w.typed("ben", "stop", "name", "web, api")
	says(t, ask.Now, "Stop 2 containers? api, web")
	w.answer("ben", control(t, ask.Now, "Stop 2 containers"))
	w.settled()
	if n := w.tasks(104, "vzstop"); n != 0 {
		t.Error("the stubborn one was stopped")
	}
	says(t, w.last(), "Stopped 2 of 2")
}

func TestEachOfSeveralIsLookedAtAgain(t *testing.T) {
	w := newFleet(t)
	ask := w.typed("ana", "start", "name", "wiki,broken,old")
	yes := control(t, ask.Now, "Start 3 containers")
	w.pve.Update(106, func(c *proxmoxtest.Container) { c.Running = true })
	w.refresh()
	w.pve.RemoveContainer(102)
	w.refresh()
	w.answer("ana", yes)
	w.settled()
	end := w.last()
	says(t, end, "Started 0 of 3 containers")
	says(t, end, "broken: no space left on device")
	says(t, end, "old: it is running")
	says(t, end, "wiki: Configuration file 'nodes/pve1/lxc/102.conf' does not exist")
	if w.tasks(102, "vzstart")+w.tasks(106, "vzstart") != 0 || w.tasks(103, "vzstart") != 1 {
		t.Errorf("tasks: %+v", w.pve.Tasks())
	}
}

func TestSeveralThatAreChosenInAList(t *testing.T) {
	w := newFleet(t)
	choose := func(ids ...string) chat.Answer {
		for i, id := range ids {
			ids[i] = strings.TrimPrefix(id, "ct:")
		}
		return w.do("ben", chat.Invocation{
			Kind: chat.Pressed, Action: "several:pick", Value: strings.Join(ids, " "), State: "b.all.worst.1", InPanel: true,
			Source: chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "p"},
		})
	}
	list := w.do("ben", chat.Invocation{
		Kind: chat.Pressed, Action: "board:filter", Value: "several", State: "b.all.worst.1", InPanel: true,
		Source: chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "p"},
	})
	options := list.Now.(chat.Panel).Blocks[1].(chat.Controls).Select
	if !options.Many || len(options.Options) != 4 { // what is tagged web
		t.Fatalf("it offers %+v", options)
	}
	// One that ben may not act on, written into the payload, is left out.
	pick := choose(w.id(101), w.id(105), w.id(104))
	ask := w.answer("ben", control(t, pick.Now, "Restart…"))
	says(t, ask.Now, "Restart 2 containers? web, api")
	says(t, ask.Now, "1 container left out")
	w.answer("ben", control(t, ask.Now, "Restart 2 containers"))
	w.settled()
	says(t, w.last(), "Restarted 2 of 2 containers")
	if w.tasks(101, "vzreboot") != 1 || w.tasks(105, "vzreboot") != 1 || w.tasks(104, "vzreboot") != 0 {
		t.Errorf("tasks: %+v", w.pve.Tasks())
	}
	if a := choose(); strings.Contains(text(a.Now), "Restart…") {
		t.Error("with nothing chosen there is something to do")
	}
}

func TestAListWithoutSenseDoesNothing(t *testing.T) {
	w := newFleet(t)
	for typed, want := range map[string]string{
		"tag:nothing": "No container matches tag:nothing",
		"web,nowhere": "There is no container nowhere",
		",":           "No container was named",
		"wiki,broken": "There is nothing to stop.",
	} {
		says(t, w.typed("ana", "stop", "name", typed).Now, want)
	}
	if n := len(w.pve.Tasks()); n != 0 {
		t.Errorf("%d tasks", n)
	}
}

func TestTheEndOfSeveralIsToldAfterARestart(t *testing.T) {
	w := newFleet(t)
	ask := w.typed("ana", "stop", "name", "web,api")
	w.pve.Hold(true)
	w.answer("ana", control(t, ask.Now, "Stop 2 containers"))
	w.sent(101)
	w.sent(105)
	w.stop()
	w.build()
	w.refresh()
	w.pve.Hold(false)
	w.settled()
	if n := strings.Count(w.chat.all(), "Stopped 2 of 2 containers"); n != 1 {
		t.Errorf("the end was told %d times:\n%s", n, w.chat.all())
	}
	if w.tasks(101, "vzstop") != 1 || w.tasks(105, "vzstop") != 1 {
		t.Errorf("tasks: %+v", w.pve.Tasks())
	}
}
