package handlers_test

import (
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestTheBoardIsPublicAndCounts(t *testing.T) {
	w := newWorld(t)
	a := w.typed("ana", "dashboard")
	m, ok := a.Now.(chat.Message)
	if !ok || !m.Public {
		t.Fatalf("it is no public message: %T", a.Now)
	}
	says(t, m, "4")
	if !strings.Contains(m.Summary, "4 containers: 2 running, 2 stopped") {
		t.Errorf("the summary is %q", m.Summary)
	}
}

func TestWhoMaySeeSomeSeesOnlyThose(t *testing.T) {
	w := newWorld(t)
	a := w.typed("ben", "list")
	says(t, a.Now, "web")
	if strings.Contains(text(a.Now), "wiki") {
		t.Errorf("it shows what is out of scope:\n%s", text(a.Now))
	}
	if b := w.typed("ben", "dashboard"); b.Now.(chat.Panel).ID != "board" {
		t.Error("a shared board would show the channel what he may not see")
	}
	if c := w.typed("ben", "show", "name", "wiki"); !strings.Contains(text(c.Now), "There is no container wiki") {
		t.Errorf("it exists for him:\n%s", text(c.Now))
	}
}

func TestFilteringOpensAnOwnView(t *testing.T) {
	w := newWorld(t)
	a := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "board:filter", Value: "filter:stopped", Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"}})
	p := a.Now.(chat.Panel)
	if a.InPlace {
		t.Error("it changes the shared board")
	}
	says(t, p, "Showing: Stopped · 2 of 4")
	if p.State != "b.stopped.worst.1" {
		t.Errorf("the state is %q", p.State)
	}
}

func TestSearchingAndSortingChangeTheOwnView(t *testing.T) {
	w := newWorld(t)
	list := w.typed("ana", "list")
	form := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "board:search", State: list.Now.(chat.Panel).State, InPanel: true}).Now.(chat.Form)
	search := func(text string) chat.Panel {
		a := w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, State: form.State, Values: map[string]string{"text": text}, InPanel: true})
		if !a.InPlace {
			t.Errorf("the view of %q is another one", text)
		}
		return a.Now.(chat.Panel)
	}
	says(t, search("W"), "Showing: All · w · 2 of 4")
	says(t, search("tag:web"), "Showing: All · tag:web · 1 of 4")
	says(t, search("node:pve1"), "4 of 4")
	says(t, search("10"), "4 of 4")
	says(t, search("<!channel>"), "No container matches channel")
	says(t, search(""), "Showing: All · 4 of 4")

	p := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "board:filter", Value: "sort:vmid", State: search("w").State, InPanel: true}).Now.(chat.Panel)
	says(t, p, "Showing: All · w · by VMID · 2 of 4")
	if s := text(p); strings.Index(s, "web") > strings.Index(s, "wiki") {
		t.Errorf("101 is not before 102:\n%s", s)
	}
	p = w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "board:all", State: p.State, InPanel: true}).Now.(chat.Panel)
	says(t, p, "Showing: All · by VMID · 4 of 4")
}

func TestAChannelsBoardIsPutAndTakenAway(t *testing.T) {
	w := newWorld(t)
	m := w.typed("ana", "board", "what", "here", "show", "tag:web").Now.(chat.Message)
	says(t, m, "Showing: All · tag:web · 1 of 4")
	if !m.Public || strings.Contains(text(m), "wiki") {
		t.Errorf("it is no board of the tag:\n%s", text(m))
	}
	says(t, w.typed("ana", "board", "what", "here", "show", "sleepy").Now, "It can show: all")
	says(t, w.typed("ana", "board", "what", "remove").Now, "The board was taken away")
	says(t, w.typed("ana", "board", "what", "remove").Now, "This channel has no board")
	if b := w.typed("ben", "board", "what", "here"); b.Now.(chat.Panel).ID != "board" {
		t.Error("a shared board would show the channel what he may not see")
	}
}

func TestAnUnknownCommandNamesTheNearest(t *testing.T) {
	w := newWorld(t)
	says(t, w.typed("ana", "stat").Now, "There is no /pve stat")
	says(t, w.typed("ana", "stat").Now, "/pve start NAME")
	says(t, w.typed("ana", "show").Now, "needs a name")
	says(t, w.typed("ana", "list", "status", "sleepy").Now, "no status")
}

func TestDetailFillsInAfterItOpened(t *testing.T) {
	w := newWorld(t)
	a := w.typed("ana", "show", "name", "web")
	says(t, a.Now, "Address …")
	if a.Then == nil {
		t.Fatal("nothing fills it in")
	}
	if !strings.Contains(w.chat.all(), "Hostname web") {
		t.Errorf("it was not filled in:\n%s", w.chat.all())
	}
	says(t, w.typed("ana", "show", "name", "web").Now, "Hostname web") // now from memory
}

func TestEventsTellWhatWasDoneAndByWhom(t *testing.T) {
	w := newWorld(t)
	w.press("ana", w.id(102)+":start")
	w.settled()
	a := w.typed("ana", "events", "name", "wiki")
	says(t, a.Now, "Started")
	says(t, a.Now, "Ana")
	says(t, w.typed("ana", "events", "name", "wiki", "type", "error").Now, "Showing: Error · 0 of")
}

func TestEventsTellWhatWasDoneInProxmox(t *testing.T) {
	w := newWorld(t)
	if _, err := w.pve.Act("root@pam", "start", 102); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pve.AwaitTask(t.Context(), func(t proxmoxtest.Task) bool { return t.VMID == 102 && !t.End.IsZero() }); err != nil {
		t.Fatal(err)
	}
	w.typed("ana", "events", "name", "wiki")
	if all := w.chat.all(); !strings.Contains(all, "Started root@pam, in Proxmox") {
		t.Errorf("it is not told:\n%s", all)
	}
	says(t, w.typed("ana", "events", "name", "wiki").Now, "Showing: All · 1 of 1") // and once only
}

func TestTheDetailShowsTheLastHourAndItsGraph(t *testing.T) {
	w := newWorld(t)
	w.typed("ana", "show", "name", "web")
	d := w.typed("ana", "show", "name", "web")
	says(t, d.Now, "Last hour: CPU")
	press := chat.Invocation{Kind: chat.Pressed, Action: w.id(101) + ":graph:day", State: d.Now.(chat.Panel).State, InPanel: true}
	says(t, w.do("ana", press).Now, "cannot be shown here") // Slack has no private files

	space.Pictures = true
	t.Cleanup(func() { space.Pictures = false })
	if a := w.do("ana", press); a.InPlace {
		t.Error("it takes the detail's place")
	}
	if all := w.chat.all(); !strings.Contains(all, "the last day: CPU") || !strings.Contains(all, "picture of ") {
		t.Errorf("no graph was drawn:\n%s", all)
	}
}

func TestSharingShowsAContainerToTheChannel(t *testing.T) {
	w := newWorld(t)
	m := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: w.id(101) + ":share", Channel: "C1", InPanel: true}).Now.(chat.Message)
	says(t, m, "Shared by Ana")
	if !m.Public || strings.Contains(text(m), ":stop") {
		t.Errorf("it is private, or offers more than a way to it:\n%s", text(m))
	}
	says(t, w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: w.id(101) + ":share", InPanel: true}).Now, "outside of a channel")
	says(t, w.do("eve", chat.Invocation{Kind: chat.Pressed, Action: w.id(101) + ":share", Channel: "C1"}).Now, "Not allowed")
}

func TestProxmoxDownShowsTheLastKnownList(t *testing.T) {
	w := newWorld(t)
	w.pve.Down(true)
	rep, err := w.inv.Refresh(t.Context(), "home")
	if err != nil || rep.Err == nil {
		t.Fatalf("no error: %v", err)
	}
	a := w.typed("ana", "dashboard")
	says(t, a.Now, "does not answer")
	says(t, a.Now, "web was running")
}
