package handlers_test

import (
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
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
	if p.State != "b.stopped.1" {
		t.Errorf("the state is %q", p.State)
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
