package handlers_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const (
	fedora    = "fedora-42-default_20250428_amd64.tar.xz"
	debianTar = "debian-13-standard_13.1-2_amd64.tar.zst"
)

// choice finds the select and the value of an entry.
func choice(t *testing.T, s chat.Surface, label string) (id, value string) {
	t.Helper()
	for line := range strings.Lines(text(s)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "{"+label+" "); ok {
			id, value, _ = strings.Cut(strings.TrimSuffix(rest, "}"), "=")
			return id, value
		}
	}
	t.Fatalf("%q cannot be chosen in:\n%s", label, text(s))
	return "", ""
}

// stock puts an OS template on the node's storage, and has it read.
func (ws *workshop) stock() *workshop {
	ws.t.Helper()
	ws.pve.AddStorage(proxmoxtest.Storage{
		Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Total: 94 << 30,
		Volumes: []proxmoxtest.Volume{{ID: "local:vztmpl/" + debianTar, Content: "vztmpl", Format: "tzst", Size: 124 << 20}},
	})
	ws.refresh()
	ws.h.Catalog.Refresh(ws.t.Context(), "home")
	return ws
}

// pick opens the page of an OS template that Proxmox offers.
func (ws *workshop) pick(person, label string) chat.Surface {
	ws.t.Helper()
	id, value := choice(ws.t, ws.press(person, "os:open").Now, label)
	return ws.in(person, id, value, nil).Now
}

// view opens the page of one that is there.
func (ws *workshop) view(person, name string) chat.Surface {
	ws.t.Helper()
	p, ok := ws.press(person, "os:open").Now.(chat.Panel)
	if !ok {
		ws.t.Fatal("it is no panel")
	}
	for _, b := range p.Blocks {
		if item, ok := b.(chat.Item); ok && strings.Contains(item.Text.String(), name) {
			return ws.in(person, item.Button.ID, "", nil).Now
		}
	}
	ws.t.Fatalf("no %s in:\n%s", name, text(p))
	return nil
}

// there reports whether a storage has a file.
func (ws *workshop) there(file string) bool {
	ws.t.Helper()
	list, err := ws.client.OSTemplates(ws.t.Context(), "pve1", "local")
	if err != nil {
		ws.t.Fatal(err)
	}
	for _, v := range list {
		if strings.HasSuffix(v.ID, "/"+file) {
			return true
		}
	}
	return false
}

// transfers counts the tasks of a type.
func (ws *workshop) transfers(kind string) int {
	n := 0
	for _, task := range ws.pve.Tasks() {
		if task.Type == kind {
			n++
		}
	}
	return n
}

func TestAnOSTemplateIsDownloadedAndRemoved(t *testing.T) {
	ws := newWorkshop(t)
	list := ws.typed("ana", "templates").Now
	before := ws.requests()
	list = ws.in("ana", control(t, list, fmt.Sprintf("OS templates %d", len(ws.h.Catalog.Of("home").Templates))), "", nil).Now
	says(t, list, "ready to use")
	page := ws.pick("ana", "Fedora 42")
	says(t, page, "Fedora 42 — not here yet")
	says(t, page, "Goes to local of pve1")
	if n := ws.requests() - before; n != 0 {
		t.Errorf("%d requests to Proxmox for looking", n)
	}
	says(t, ws.in("ana", control(t, page, "Download"), "", nil).Now, "Fedora 42 — downloading…")
	ws.settled()
	ws.sees("✅ Downloaded to local of pve1")
	if !ws.there(fedora) {
		t.Error("it is not there")
	}
	page = ws.view("ana", "Fedora 42")
	says(t, page, "Fedora 42 — ready to use")
	says(t, page, "no template of pvechat")

	question := ws.in("ana", control(t, page, "Remove…"), "", nil).Now
	says(t, question, "Remove Fedora 42?")
	says(t, question, "No container by pvechat was made from it.")
	if n := ws.transfers("imgdel"); n != 0 {
		t.Fatalf("%d removals before the answer", n)
	}
	yes := control(t, question, "Remove template")
	says(t, ws.in("ana", yes, "", nil).Now, "Fedora 42 — removing…")
	ws.settled()
	ws.sees("✅ Removed from local of pve1")
	if ws.there(fedora) || ws.transfers("imgdel") != 1 || ws.transfers("download") != 1 {
		t.Errorf("still there %v, %d removals, %d downloads", ws.there(fedora), ws.transfers("imgdel"), ws.transfers("download"))
	}
	// An old button of either kind does nothing more.
	says(t, ws.in("ana", yes, "", nil).Now, "not there any more")
	if ws.settled(); ws.transfers("imgdel") != 1 {
		t.Error("it was removed twice")
	}
	ws.auditSays("os:get", "accepted", fedora)
	ws.auditSays("os:remove", "accepted", fedora)
	ws.auditSays("download", "succeeded", "")
	ws.auditSays("remove", "succeeded", "")
}

// auditSays looks for a line.
func (ws *workshop) auditSays(action, outcome, detail string) {
	ws.t.Helper()
	entries, err := ws.db.Audit(ws.t.Context(), 1000)
	if err != nil {
		ws.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Action == action && e.Outcome == outcome && strings.Contains(e.Detail, detail) {
			return
		}
	}
	ws.t.Errorf("the audit has no %s %s %s", action, outcome, detail)
}

func TestTwoPeopleDownloadOnce(t *testing.T) {
	ws := newWorkshop(t)
	ws.pve.Hold(true)
	get := control(t, ws.pick("ana", "Fedora 42"), "Download")
	answers := make([]chat.Answer, 6)
	var wg sync.WaitGroup
	for i := range answers {
		inv := chat.Invocation{ID: fmt.Sprint("get-", i), Kind: chat.Pressed, Action: get, Person: chat.Person{Platform: chat.Slack, ID: []string{"ana", "ben"}[i%2], Name: "Pat"}, Space: space}
		wg.Go(func() {
			answers[i] = ws.router.Handle(t.Context(), inv)
			if shown := answers[i].Shown; shown != nil {
				shown(chat.Ref{})
			}
		})
	}
	wg.Wait()
	began, busy := 0, 0
	for _, a := range answers {
		switch s := text(a.Now); {
		case strings.Contains(s, "Fedora 42 — downloading…"):
			began++
		case strings.Contains(s, "Fedora 42 is being downloaded already."):
			busy++
		default:
			t.Errorf("somebody hears:\n%s", s)
		}
	}
	if began != 1 || busy != len(answers)-1 {
		t.Errorf("%d began, %d heard that somebody is at it", began, busy)
	}
	says(t, ws.view("vic", "Fedora 42"), "Fedora 42 — downloading…")
	ws.pve.Hold(false)
	ws.settled()
	if n := ws.transfers("download"); n != 1 {
		t.Errorf("%d downloads", n)
	}
	// A button of before finds it there.
	says(t, ws.press("ana", get).Now, "Fedora 42 — ready to use")
	if ws.settled(); ws.transfers("download") != 1 {
		t.Error("it was downloaded twice")
	}
}

func TestADownloadThatFailsSaysWhy(t *testing.T) {
	for is, test := range map[string]struct {
		spoil     func(*workshop)
		why, what string
	}{
		"no privilege": {func(ws *workshop) {
			ws.pve.Token(token, "secret", map[string][]string{"/": {"Datastore.Audit", "Datastore.AllocateSpace", "VM.Audit", "Sys.Audit"}})
		}, "Datastore.AllocateTemplate", "An admin has to grant Datastore.AllocateTemplate on /storage/local"},
		"no room": {func(ws *workshop) {
			ws.pve.AddStorage(proxmoxtest.Storage{Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Total: 1 << 30, Used: 1<<30 - 1<<20})
		}, "No space left on device", "Free some space there"},
		"Proxmox is down": {func(ws *workshop) { ws.pve.Down(true) }, "", "then try again"},
		"the storage is away": {func(ws *workshop) {
			ws.pve.AddStorage(proxmoxtest.Storage{Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Inactive: true})
		}, "is not online", "try again"},
	} {
		t.Run(is, func(t *testing.T) {
			t.Parallel()
			ws := newWorkshop(t)
			page := ws.pick("ana", "Fedora 42")
			test.spoil(ws)
			ws.in("ana", control(t, page, "Download"), "", nil)
			ws.settled()
			ws.sees("It was not downloaded.")
			ws.sees(test.why)
			ws.sees(test.what)
			// The way on is there.
			control(t, ws.pick("ana", "Fedora 42"), "Download")
		})
	}
}

func TestWhatIsInUseIsNotRemoved(t *testing.T) {
	ws := newWorkshop(t).stock()
	question := ws.in("ana", control(t, ws.view("ana", "Debian 13"), "Remove…"), "", nil).Now
	says(t, question, "is downloaded again when one of them is created")
	// It waits before it is made: the stand-in waits at a step named so.
	ws.mu.Lock()
	ws.early, ws.hold = true, make(chan struct{})
	ws.mu.Unlock()
	ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
	<-ws.made
	says(t, ws.in("ana", control(t, question, "Remove template"), "", nil).Now, "shop is being created from it. Nothing was removed.")
	close(ws.hold)
	ws.settled()
	if ws.transfers("imgdel") != 0 || !ws.there(debianTar) {
		t.Error("it was removed")
	}
	// Now that it has been made, nothing needs it.
	question = ws.in("ana", control(t, ws.view("ana", "Debian 13"), "Remove…"), "", nil).Now
	ws.in("ana", control(t, question, "Remove template"), "", nil)
	ws.settled()
	if ws.there(debianTar) {
		t.Error("it is still there")
	}
}

// Who may create downloads where he may; only an admin of everything removes.
func TestWhoMayChangeOSTemplates(t *testing.T) {
	ws := newWorkshop(t).stock()
	page := ws.view("ana", "Debian 13")
	remove := control(t, page, "Remove…")
	get := control(t, ws.pick("ana", "Fedora 42"), "Download")
	for _, id := range []string{remove, get} {
		says(t, ws.press("vic", id).Now, "Not allowed")
	}
	says(t, ws.press("ben", remove).Now, "Not allowed")
	for _, person := range []string{"vic", "ben"} {
		if s := text(ws.view(person, "Debian 13")); strings.Contains(s, "Remove…") {
			t.Errorf("%s is offered to remove:\n%s", person, s)
		}
	}
	if s := text(ws.press("vic", "os:open").Now); strings.Contains(s, "os:pick") {
		t.Errorf("who only looks is offered to download:\n%s", s)
	}
	// Ben may create what is tagged web, and a template has that tag.
	says(t, ws.press("ben", get).Now, "downloading…")
	ws.settled()
}

// A panel that shows something else by now is left alone; the outcome comes as a
// message.
func TestAnOutcomeDoesNotReplaceWhatOneHasTurnedTo(t *testing.T) {
	ws := newWorkshop(t)
	ws.pve.Hold(true)
	a := ws.router.Handle(t.Context(), chat.Invocation{
		ID: "get", Kind: chat.Pressed, Action: control(t, ws.pick("ana", "Fedora 42"), "Download"), Person: chat.Person{Platform: chat.Slack, ID: "ana", Name: "Ana"}, Space: space,
	})
	says(t, a.Now, "downloading…")
	at := ws.chat.keep(a.Now)
	a.Shown(at)
	for edited := 0; edited == 0; time.Sleep(time.Millisecond) {
		_, refs := ws.chat.sent()
		edited = len(refs)
	}
	// From there on to the list.
	ws.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "os:open", InPanel: true, Source: at})
	_, edited := ws.chat.sent()
	ws.pve.Hold(false)
	ws.settled()
	posted, after := ws.chat.sent()
	for _, ref := range after[len(edited):] {
		if ref.ID == at.ID {
			t.Error("it was edited away from under the person")
		}
	}
	if len(posted) != 1 || posted[0].Person != "ana" {
		t.Errorf("it was told to %v", posted)
	}
	ws.sees("✅ Downloaded to local of pve1")
}
