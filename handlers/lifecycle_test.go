package handlers_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestStartRunsOneTaskAndTellsWhoAsked(t *testing.T) {
	w := newWorld(t)
	a := w.press("ana", w.id(102)+":start")
	says(t, a.Now, "starting…")
	w.settled()
	if n := w.tasks(102, "vzstart"); n != 1 {
		t.Errorf("%d start tasks, want 1", n)
	}
	if all := w.chat.all(); !strings.Contains(all, "Started wiki") {
		t.Errorf("the outcome was not told:\n%s", all)
	}
	found := w.inv.Snapshot().Find("wiki")
	if found[0].State != "running" {
		t.Errorf("the board says %s, want running", found[0].State)
	}
}

func TestTwoPeopleStartOneTask(t *testing.T) {
	w := newWorld(t)
	w.press("ana", w.id(102)+":start")
	second := w.press("ana", w.id(102)+":start")
	if s := text(second.Now); !strings.Contains(s, "starting") {
		t.Errorf("the second press does not hear who is at it:\n%s", s)
	}
	w.settled()
	if n := w.tasks(102, "vzstart"); n != 1 {
		t.Errorf("%d start tasks, want 1", n)
	}
}

func TestStartOfARunningContainerSendsNothing(t *testing.T) {
	w := newWorld(t)
	a := w.press("ana", w.id(101)+":start")
	says(t, a.Now, "it is running")
	if n := w.pve.Count("POST", "/nodes/*/lxc/*/status/*"); n != 0 {
		t.Errorf("%d power requests, want none", n)
	}
}

func TestAFailedStartTellsTheTasksOwnWords(t *testing.T) {
	w := newWorld(t)
	w.press("ana", w.id(103)+":start")
	w.settled()
	if all := w.chat.all(); !strings.Contains(all, "no space left on device") {
		t.Errorf("the task's words are missing:\n%s", all)
	}
	if c := w.inv.Snapshot().Find("broken")[0]; c.State != "error" {
		t.Errorf("the board says %s, want error", c.State)
	}
}

func TestStopAsksFirstAndItsQuestionWorksOnce(t *testing.T) {
	w := newWorld(t)
	ask := w.typed("ana", "stop", "name", "web")
	says(t, ask.Now, "Stop web?")
	if n := w.tasks(101, "vzstop"); n != 0 {
		t.Fatalf("stopped without an answer")
	}
	yes := control(t, ask.Now, "Stop container")
	if a := w.press("ben", yes); !strings.Contains(text(a.Now), "This question has ended") {
		t.Errorf("somebody else's answer was taken:\n%s", text(a.Now))
	}
	w.press("ana", yes)
	w.settled()
	late := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: yes, Source: chat.Ref{Platform: chat.Slack, Kind: chat.PrivateRef, ID: "q"}})
	if !late.InPlace {
		t.Error("the question stays")
	}
	w.settled()
	if n := w.tasks(101, "vzstop"); n != 1 {
		t.Errorf("%d stop tasks, want 1", n)
	}
}

func TestCancelSendsNothing(t *testing.T) {
	w := newWorld(t)
	ask := w.typed("ana", "stop", "name", "web")
	a := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: control(t, ask.Now, "Cancel"), Source: chat.Ref{Platform: chat.Slack, Kind: chat.PrivateRef, ID: "q"}})
	if !a.Close {
		t.Error("the question stays")
	}
	if n := w.pve.Count("POST", "/nodes/*/lxc/*/status/*"); n != 0 {
		t.Errorf("%d power requests, want none", n)
	}
}

func TestAStubbornGuestIsForcedOnlyWhenSomebodySaysSo(t *testing.T) {
	w := newWorld(t)
	w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: w.id(104) + ":shutdown", Confirmed: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"}})
	w.settled()
	if c, _ := w.pve.Container(104); !c.Running {
		t.Fatal("it was forced")
	}
	all := w.chat.all()
	if !strings.Contains(all, "did not end") {
		t.Fatalf("the outcome does not say so:\n%s", all)
	}
	last := w.chat.shown[len(w.chat.shown)-1]
	w.press("ana", control(t, last, "Force stop"))
	w.settled()
	if c, _ := w.pve.Container(104); c.Running {
		t.Error("it still runs after Force stop")
	}
}

func TestASecondTapLeavesWhatIsUnderWay(t *testing.T) {
	w := newWorld(t)
	ask := w.typed("ana", "shutdown", "name", "104")
	yes := control(t, ask.Now, "Shut down")
	under := w.press("ana", yes)
	control(t, under.Now, "Force stop")
	if a := w.press("ana", yes); a.Now != nil || a.Close {
		t.Errorf("the second tap shows\n%s", text(a.Now))
	}
	w.settled()
	if n := w.tasks(104, "vzshutdown"); n != 1 {
		t.Errorf("%d shutdowns", n)
	}
}

func TestDeleteNeedsTheName(t *testing.T) {
	w := newWorld(t)
	a := w.press("ana", w.id(101)+":delete")
	form := a.Now.(chat.Form)
	wrong := w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, Values: map[string]string{"name": "wiki"}})
	if wrong.Errors["name"] == "" {
		t.Errorf("a wrong name was taken: %+v", wrong)
	}
	w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, Values: map[string]string{"name": "web"}})
	w.settled()
	if _, there := w.pve.Container(101); there {
		t.Error("it is still there")
	}
	if n := len(w.inv.Snapshot().Find("web")); n != 0 {
		t.Error("the board still shows it")
	}
	if a := w.press("ana", form.ID); !strings.Contains(text(a.Now), "replaced or removed") {
		t.Errorf("an old button does not say that it is gone:\n%s", text(a.Now))
	}
}

func TestAContainerThatWasMadeAnewIsNotHit(t *testing.T) {
	w := newWorld(t)
	id := w.id(101)
	w.inv.Learn(t.Context(), func(ctx context.Context, c *inventory.Container) (proxmox.ContainerConfig, error) {
		return w.client.ContainerConfig(ctx, c.Ref())
	})
	w.pve.RemoveContainer(101)
	w.pve.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: id + ":stop", Confirmed: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"}})
	w.settled()
	if c, _ := w.pve.Container(101); !c.Running {
		t.Error("the new container was stopped by the old one's button")
	}
	if all := w.chat.all(); !strings.Contains(all, "replaced") {
		t.Errorf("nobody was told:\n%s", all)
	}
}

func TestWithoutTheRightNothingHappens(t *testing.T) {
	w := newWorld(t)
	for _, who := range []string{"vic", "nobody", "ben"} {
		a := w.press(who, w.id(102)+":start")
		says(t, a.Now, "Not allowed")
		if strings.Contains(text(a.Now), "wiki") {
			t.Errorf("the refusal names the target:\n%s", text(a.Now))
		}
	}
	if n := w.pve.Count("POST", "/nodes/*/lxc/*/status/*"); n != 0 {
		t.Errorf("%d power requests, want none", n)
	}
	entries, err := w.db.Audit(t.Context(), 10)
	if err != nil || len(entries) != 3 || entries[0].Outcome != "denied" {
		t.Errorf("the audit has %+v, %v", entries, err)
	}
}

func TestARedeliveredActDoesNothing(t *testing.T) {
	w := newWorld(t)
	inv := chat.Invocation{ID: "same", Kind: chat.Pressed, Action: w.id(102) + ":start", Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"}}
	w.do("ana", inv)
	w.settled()
	if a := w.do("ana", inv); a.Now != nil {
		t.Errorf("the second delivery was answered:\n%s", text(a.Now))
	}
}

func TestForceStopIsOfferedFromTheStartAndAgainAfterItsTime(t *testing.T) {
	w := newWorld(t)
	w.pve.Hold(true)
	first := w.do("ana", chat.Invocation{
		Kind: chat.Pressed, Action: w.id(104) + ":shutdown", Confirmed: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"},
	})
	says(t, first.Now, "Nothing is forced unless you say so.")
	atOnce := control(t, first.Now, "Force stop")
	j, busy := w.jobs.Busy(w.inv.Snapshot().Find("104")[0].ID)
	if !busy {
		t.Fatal("it is not busy")
	}
	j.CreatedAt = j.CreatedAt.Add(-jobs.ShutdownTimeout)
	w.h.Waiting(t.Context(), j)
	waited := w.last()
	says(t, waited, "have passed; it was asked to end and is still running.")
	again := control(t, waited, "Force stop")
	if again == atOnce {
		t.Error("a token is used twice")
	}
	if n := w.tasks(104, "vzstop"); n != 0 {
		t.Fatalf("%d stops by themselves", n)
	}
	w.pve.Hold(false)
	if a := w.press("ben", again); strings.Contains(text(a.Now), "stopping…") {
		t.Error("somebody else forced it")
	}
	w.press("ana", again)
	w.settled()
	if n := w.tasks(104, "vzstop"); n != 1 {
		t.Errorf("%d stops, want 1", n)
	}
	says(t, w.last(), "Stopped (forced) stubborn")
	if strings.Contains(w.chat.all(), "Could not shut down") {
		t.Error("the shutdown that gave way was told as failed")
	}
}

func TestWhoIsAtItIsShownToEverybody(t *testing.T) {
	w := newWorld(t)
	w.pve.Hold(true)
	w.press("ana", w.id(102)+":start")
	w.sent(102)
	shown := func(what string, s chat.Surface) {
		t.Helper()
		if all := text(s); !strings.Contains(all, "starting…") || !strings.Contains(all, "asked by Ana") {
			t.Errorf("%s does not say who is at it:\n%s", what, all)
		}
	}
	for range 2 { // and after a restart and a refresh
		shown("the board", w.typed("vic", "dashboard").Now)
		shown("an own view", w.typed("vic", "list").Now)
		shown("the detail", w.typed("vic", "show", "name", "wiki").Now)
		shown("the home", w.do("vic", chat.Invocation{Kind: chat.Opened, Source: chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: "vic"}}).Now)
		w.stop()
		w.build()
		w.refresh()
		if err := w.jobs.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.pve.Hold(false)
	w.settled()
	if all := text(w.typed("vic", "dashboard").Now); strings.Contains(all, "starting…") || !strings.Contains(all, "wiki running") {
		t.Errorf("it does not end:\n%s", all)
	}
}

// A platform that heard nothing delivers a click again, maybe to another
// replica: it is answered once, and does nothing the second time.
func TestASecondDeliveryDoesNothing(t *testing.T) {
	w := newWorld(t)
	press := func(delivery, id string) chat.Answer {
		return w.do("ana", chat.Invocation{ID: delivery, Kind: chat.Pressed, Action: id, Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: "C1", ID: "board"}})
	}
	silent := func(what string, a chat.Answer) {
		t.Helper()
		if a.Now != nil || a.Then != nil {
			t.Errorf("%s is answered again:\n%s", what, text(a.Now))
		}
	}
	says(t, press("1", w.id(102)+":start").Now, "wiki starting…")
	silent("a start", press("1", w.id(102)+":start"))
	w.settled()
	silent("a start that has ended", press("1", w.id(102)+":start"))
	says(t, press("2", w.id(102)+":start").Now, "is running")
	silent("a refusal", press("2", w.id(102)+":start"))
	w.press("ana", control(t, w.press("ana", w.id(102)+":stop").Now, "Stop container"))
	w.settled()
	silent("a start from before the stop", press("1", w.id(102)+":start"))
	w.settled()
	if ct, _ := w.pve.Container(102); ct.Running {
		t.Error("it was started again")
	}
	entries, err := w.db.Audit(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range []string{"accepted", "succeeded"} {
		n := 0
		for _, e := range entries {
			if e.Action == "start" && e.Outcome == outcome {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the audit has %q %d times", outcome, n)
		}
	}
}
