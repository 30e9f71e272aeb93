package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// noGuest lets pvechat in, and has nothing to say.
type noGuest struct{}

func (noGuest) Credentials(context.Context, guest.Target, string, ...guest.CredentialFile) ([]guest.CredentialSet, error) {
	return nil, nil
}

func (noGuest) Logs(context.Context, guest.Target, guest.Service) ([]string, error) { return nil, nil }

// workshop is a world in which containers are made by a stand-in for the
// pipeline, step by step.
type workshop struct {
	*world
	fail  string               // the step that does not work
	hold  chan struct{}        // nil: nothing waits for it
	early bool                 // it is waited for before anything was made
	made  chan create.Progress // how each try began

	mu   sync.Mutex
	seen []jobs.Job
}

var stepsOfATry = []create.Step{
	{Kind: create.Validate, Name: "Check"},
	{Kind: create.Make, Name: "Make the container"},
	{Kind: create.Start, Name: "Start"},
	{Kind: create.Packages, Name: "Install packages"},
}

func newWorkshop(t *testing.T, change ...func(*handlers.Deps)) *workshop {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "site.yaml"), []byte("name: Site\nos: debian-13-standard\ntags: [web]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lib, err := templates.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	ws := &workshop{world: &world{}, made: make(chan create.Progress, 16)}
	var creator *create.Creator // of OS templates, the real one
	ws.create = maker{ws.carry, func(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
		return creator.Transfer(ctx, j, save)
	}}
	ws.tune = func(d *handlers.Deps) {
		cat := catalog.New(catalog.Config{
			Clusters: map[string]catalog.Source{"home": ws.client}, Fleet: d.Inventory.Snapshot, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		})
		if _, err := d.Inventory.Refresh(t.Context(), "home"); err != nil {
			t.Fatal(err)
		}
		cat.Refresh(t.Context(), "home")
		d.Templates, d.Catalog, d.Drafts = func() *templates.Library { return lib }, cat, ws.db
		d.NextID = func(ctx context.Context, _ string) (int, error) { return ws.client.NextID(ctx) }
		d.Guests = map[string]handlers.Guest{"home": noGuest{}}
		creator = create.New(create.Config{
			Clusters: map[string]create.Proxmox{"home": ws.client}, TokenUser: map[string]string{"home": token}, Templates: d.Templates,
			Catalog: cat, Inventory: d.Inventory, Events: d.Events, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			Show: func(ctx context.Context, j jobs.Job, p create.Progress) (create.Message, error) {
				return ws.h.Creating(ctx, j, p)
			},
		})
		for _, f := range change {
			f(d)
		}
	}
	newWorldOf(t, ws.world, nil)
	return ws
}

// carry finishes the steps, as far as it is to get.
func (ws *workshop) carry(ctx context.Context, j *jobs.Job, save func(context.Context) error) (jobs.State, string) {
	p := create.ParseProgress(j.Progress)
	ws.made <- create.ParseProgress(j.Progress)
	ws.mu.Lock()
	ws.seen = append(ws.seen, *j)
	fail, hold, at := ws.fail, ws.hold, create.Packages
	if ws.early {
		at = create.Validate
	}
	ws.mu.Unlock()
	if len(p.Steps) == 0 {
		p.Steps = append(p.Steps, stepsOfATry...)
	}
	show := func() error {
		if m, err := ws.h.Creating(ctx, *j, p); err == nil {
			p.Message = m
		}
		j.Progress = p.String()
		return save(ctx)
	}
	for i := p.At(); i < len(p.Steps); i++ {
		s := &p.Steps[i]
		s.Began = time.Now()
		if err := show(); err != nil {
			return jobs.Failed, err.Error()
		}
		if hold != nil && s.Kind == at {
			select {
			case <-hold:
			case <-ctx.Done():
				return jobs.Failed, ""
			}
		}
		s.Ended = time.Now()
		if s.Name == fail {
			s.Error = "exit code 100"
		} else if s.Kind == create.Make {
			p.Made = true
		}
		if err := show(); err != nil {
			return jobs.Failed, err.Error()
		}
		if s.Error != "" {
			if !p.Made {
				_, _ = ws.inv.Release(ctx, j.Container)
			}
			return jobs.Failed, s.Name + ": " + s.Error
		}
	}
	return jobs.Succeeded, ""
}

// sees waits until something shown holds a text.
func (ws *workshop) sees(text string) {
	ws.t.Helper()
	deadline := time.After(2 * time.Minute)
	for !strings.Contains(ws.chat.all(), text) {
		select {
		case <-deadline:
			ws.t.Fatalf("%q is not shown within 20 s:\n%s", text, ws.chat.all())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// requests are all that Proxmox got.
func (ws *workshop) requests() int {
	n := 0
	for depth := range 9 {
		n += ws.pve.Count("", strings.Repeat("/*", depth))
	}
	return n
}

func (ws *workshop) tries() []jobs.Job {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return append([]jobs.Job(nil), ws.seen...)
}

func form(t *testing.T, a chat.Answer) chat.Form {
	t.Helper()
	f, ok := a.Now.(chat.Form)
	if !ok {
		t.Fatalf("it is no form: %T, errors %v\n%s", a.Now, a.Errors, text(a.Now))
	}
	return f
}

// modal sends a form as Slack does: all that stands in it, changed.
func (ws *workshop) modal(person string, f chat.Form, changes map[string]string) chat.Answer {
	values := map[string]string{}
	for _, in := range f.Inputs {
		values[in.ID] = in.Value
	}
	for id, v := range changes {
		values[id] = v
	}
	return ws.do(person, chat.Invocation{
		Kind: chat.Submitted, Action: f.ID, Values: values, Channel: "C1", InPanel: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "V1"},
	})
}

// in presses a control of one's own message or window.
func (ws *workshop) in(person, id, value string, values map[string]string) chat.Answer {
	return ws.do(person, chat.Invocation{
		Kind: chat.Pressed, Action: id, Value: value, Values: values, Channel: "C1", InPanel: true, Source: chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "V1"},
	})
}

// review is the last step, with a hostname.
func (ws *workshop) review(person, template, hostname string) chat.Form {
	ws.t.Helper()
	f := form(ws.t, ws.press(person, "create:use:"+template))
	f = form(ws.t, ws.modal(person, f, map[string]string{"hostname": hostname}))
	if strings.HasSuffix(f.ID, ":services") {
		f = form(ws.t, ws.modal(person, f, nil))
	}
	if !strings.HasPrefix(f.ID, "deploy:") {
		ws.t.Fatalf("it is not the review: %s", text(f))
	}
	return f
}

func TestAContainerIsCreatedFromTheBoard(t *testing.T) {
	ws := newWorkshop(t)
	board := ws.typed("ana", "dashboard").Now
	before := ws.requests()
	first := form(t, ws.press("ana", control(t, board, "Create container")))
	second := form(t, ws.modal("ana", first, map[string]string{"template": "postgresql"}))
	says(t, second, "PostgreSQL on pve1")
	third := form(t, ws.modal("ana", second, map[string]string{"hostname": "Shop-DB", "cores": "4", "tags": "shop, db", "options": "onboot nesting unprivileged"}))
	says(t, third, "install = packages 1 2")
	last := form(t, ws.modal("ana", third, map[string]string{"install": "1 2", "order": "2 1"}))
	says(t, last, "shop-db")
	says(t, last, "Listen on the network, Create database and user")
	if n := ws.requests() - before; n != 0 {
		t.Errorf("%d requests to Proxmox before Deploy, want none", n)
	}
	ws.hold = make(chan struct{})
	says(t, ws.modal("ana", last, nil).Now, "Deploying shop-db…")
	ws.sees("⏳ Install packages…")
	close(ws.hold)
	ws.settled()

	tries := ws.tries()
	if len(tries) != 1 {
		t.Fatalf("%d jobs", len(tries))
	}
	spec, err := create.ParseSpec(tries[0].Spec)
	if err != nil || spec.Hostname != "shop-db" || spec.Cores != 4 || fmt.Sprint(spec.Tags, spec.Scripts, spec.Packages) != "[db shop] [1 0] false" || !spec.OnBoot || spec.Privileged {
		t.Errorf("%v %+v", err, spec)
	}
	if tries[0].VMID != 100 {
		t.Errorf("VMID %d, want the next free one", tries[0].VMID)
	}
	posted, edited := ws.chat.sent()
	if len(posted) != 1 || posted[0].Channel != "C1" {
		t.Errorf("it was posted to %v, want one message where it was asked", posted)
	}
	for _, at := range edited {
		if at.ID != edited[0].ID {
			t.Errorf("several messages were edited: %v", edited)
		}
	}
	if all := ws.chat.all(); !strings.Contains(all, "Created shop-db") {
		t.Errorf("the message does not say how it ended:\n%s", all)
	}
}

func TestBackKeepsWhatWasTyped(t *testing.T) {
	ws := newWorkshop(t)
	f := form(t, ws.press("ana", "create:use:postgresql"))
	back := form(t, ws.in("ana", control(t, f, "Back"), "", map[string]string{"hostname": "shop", "memory": "4096", "swap": "no number"}))
	says(t, back, "template = postgresql")
	again := form(t, ws.modal("ana", back, nil))
	says(t, again, "hostname = shop")
	says(t, again, "memory = 4096")
	says(t, again, "swap = 512")
	other := form(t, ws.modal("ana", back, map[string]string{"template": "nginx"}))
	says(t, other, "hostname = shop")
	says(t, other, "nginx on pve1")
}

func TestDiscordsMessageIsFilledInPiecemeal(t *testing.T) {
	ws := newWorkshop(t)
	f := form(t, ws.press("ana", "create:use:postgresql"))
	// A choice is kept at once, and the form shown again.
	f = form(t, ws.in("ana", f.ID+":set:options", "nesting", nil))
	says(t, f, "options = nesting")
	// A part opens as a form of its own.
	part := form(t, ws.in("ana", f.ID+":edit:0", "", nil))
	if len(part.Inputs) == 0 || len(part.Inputs) > 5 || part.Choices() {
		t.Fatalf("the part is %+v", part)
	}
	a := ws.modal("ana", part, map[string]string{"hostname": "-bad-"})
	if a.Errors["hostname"] == "" || len(a.Errors) != 1 {
		t.Errorf("a bad name is not told at its input: %v", a.Errors)
	}
	f = form(t, ws.modal("ana", part, map[string]string{"hostname": "shop"}))
	says(t, f, "hostname = shop")
	if !strings.HasSuffix(f.ID, ":settings") {
		t.Errorf("after a part comes %s", f.ID)
	}
	// The button sends nothing but itself.
	a = ws.do("ana", chat.Invocation{Kind: chat.Submitted, Action: f.ID, Values: map[string]string{}, InPanel: true})
	if next := form(t, a); !strings.HasSuffix(next.ID, ":services") {
		t.Errorf("after the settings comes %s", next.ID)
	}
}

func TestEachBadFieldIsNamedAtItsInput(t *testing.T) {
	ws := newWorkshop(t)
	f := form(t, ws.press("ana", "create:use:postgresql"))
	for field, bad := range map[string]string{
		"hostname": "wiki", "vmid": "101", "cores": "many", "memory": "1", "swap": "-1", "disk": "99999", "vlan": "5000", "ip": "10.0.0.300/24",
		"gateway": "10.0.0.1", "nameserver": "dns", "tags": "Ünfug!", "ssh_keys": "ssh-rsa", "storage": "nowhere", "bridge": "vmbr9",
	} {
		a := ws.modal("ana", f, map[string]string{field: bad})
		if a.Errors[field] == "" || len(a.Errors) != 1 {
			t.Errorf("%s = %q: %v", field, bad, a.Errors)
		}
	}
	f = form(t, ws.modal("ana", f, map[string]string{"hostname": "shop"}))
	for _, bad := range []string{"3", "1 1", "one"} {
		if a := ws.modal("ana", f, map[string]string{"order": bad}); a.Errors["order"] == "" {
			t.Errorf("order %q: %v", bad, a.Errors)
		}
	}
}

// However many scripts a template has, each can be switched off, and all put in
// another order.
func TestEveryScriptCanBeSwitchedOffAndReordered(t *testing.T) {
	const n = 27
	text := "name: Many\nos: debian-13-standard\npackages: {apt: [git]}\nscripts:\n"
	for i := range n {
		text += fmt.Sprintf("  - {name: Script %d, run: \"true\"}\n", i+1)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "many.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	lib, err := templates.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	ws := newWorkshop(t, func(d *handlers.Deps) { d.Templates = func() *templates.Library { return lib } })
	f := form(t, ws.modal("ana", form(t, ws.press("ana", "create:use:many")), nil))
	none, asked := map[string]string{}, 0
	for _, in := range f.Inputs {
		if len(in.Options) > 10 {
			t.Errorf("%s has %d boxes, Slack takes ten", in.ID, len(in.Options))
		}
		if in.Many {
			none[in.ID] = ""
			asked += len(in.Options)
		}
	}
	if asked != n+1 {
		t.Fatalf("%d of %d are asked about", asked, n+1)
	}
	review := form(t, ws.modal("ana", f, none))
	says(t, review, "Services none")
	f = form(t, ws.in("ana", control(t, review, "Back"), "", nil))
	// One at a time, as on Discord; what is not touched stays.
	f = form(t, ws.in("ana", f.ID+":set:install3", "26 21", nil))
	f = form(t, ws.in("ana", f.ID+":set:install", "3", nil))
	says(t, f, "order = 21 26 3") // what is switched on comes last
	review = form(t, ws.modal("ana", f, map[string]string{"order": "26 3 21"}))
	says(t, review, "Script 26, Script 3, Script 21")
}

func TestDeployTwiceMakesOne(t *testing.T) {
	ws := newWorkshop(t)
	f := ws.review("ana", "nginx", "shop")
	var wg sync.WaitGroup
	answers := make([]chat.Answer, 8)
	for i := range answers {
		inv := chat.Invocation{
			ID: fmt.Sprint("deploy-", i), Kind: chat.Submitted, Action: f.ID, Values: map[string]string{}, Channel: "C1", InPanel: true,
			Person: chat.Person{Platform: chat.Slack, ID: "ana", Name: "Ana"}, Space: space,
		}
		wg.Go(func() { answers[i] = ws.router.Handle(t.Context(), inv) })
	}
	wg.Wait()
	deploying := 0
	for _, a := range answers {
		if strings.Contains(text(a.Now), "Deploying shop") {
			deploying++
		} else if s := text(a.Now); !strings.Contains(s, "This was deployed") {
			t.Errorf("the other hears:\n%s", s)
		}
	}
	ws.settled()
	if n := len(ws.tries()); deploying != 1 || n != 1 {
		t.Errorf("%d answers and %d jobs, want one", deploying, n)
	}
}

func TestTwoPeopleAndOneNumber(t *testing.T) {
	ws := newWorkshop(t)
	ws.hold = make(chan struct{})
	f := form(t, ws.press("ana", "create:use:debian"))
	mine := form(t, ws.modal("ana", f, map[string]string{"hostname": "first", "vmid": "150"}))
	if strings.HasSuffix(mine.ID, ":services") {
		mine = form(t, ws.modal("ana", mine, nil))
	}
	f = form(t, ws.press("ana", "create:use:debian"))
	theirs := form(t, ws.modal("ana", f, map[string]string{"hostname": "second", "vmid": "150"}))
	if strings.HasSuffix(theirs.ID, ":services") {
		theirs = form(t, ws.modal("ana", theirs, nil))
	}
	says(t, ws.modal("ana", mine, nil).Now, "Deploying first…")
	a := ws.modal("ana", theirs, nil)
	says(t, a.Now, "150 is taken")
	// It can be gone back to and changed.
	again := form(t, ws.in("ana", control(t, a.Now, "Back"), "", nil))
	if strings.HasSuffix(again.ID, ":services") {
		again = form(t, ws.in("ana", control(t, again, "Back"), "", nil))
	}
	says(t, again, "hostname = second")
	close(ws.hold)
	ws.settled()
	if n := len(ws.tries()); n != 1 {
		t.Errorf("%d jobs, want one", n)
	}
}

func TestADraftIsItsPersons(t *testing.T) {
	ws := newWorkshop(t)
	f := ws.review("ana", "nginx", "shop")
	says(t, ws.modal("ben", f, nil).Now, "This was deployed")
	for _, id := range []string{f.ID, strings.Replace(f.ID, "deploy:", "w:", 1) + ":settings"} {
		says(t, ws.in("ben", id, "", nil).Now, "for you alone")
	}
	if n := len(ws.tries()); n != 0 {
		t.Errorf("%d jobs", n)
	}
}

func TestWhoOnlyLooksCreatesNothing(t *testing.T) {
	ws := newWorkshop(t)
	for _, id := range []string{"create:open", "create:use:nginx", "create:again:x", "w:x:settings", "deploy:x"} {
		says(t, ws.press("vic", id).Now, "Not allowed")
	}
	says(t, ws.typed("vic", "create").Now, "Not allowed")
	says(t, ws.typed("vic", "templates").Now, "nginx")
	if s := text(ws.typed("vic", "list").Now); strings.Contains(s, "Create container") {
		t.Errorf("somebody who may not is offered it:\n%s", s)
	}
}

// Ben may act on what is tagged web, and that tag decides what he may do: he
// does not set it himself.
func TestAContainerLiesInsideOfItsMakersScope(t *testing.T) {
	ws := newWorkshop(t)
	f := form(t, ws.press("ben", "create:use:debian"))
	for _, tags := range []string{"", "other", "web", "other web"} {
		if a := ws.modal("ben", f, map[string]string{"hostname": "shop", "tags": tags}); a.Errors["tags"] == "" {
			t.Errorf("tags %q: it was taken", tags)
		}
	}
	// An admin wrote a template that has it.
	f = form(t, ws.press("ben", "create:use:site"))
	if a := ws.modal("ben", f, map[string]string{"tags": ""}); a.Errors["tags"] == "" {
		t.Error("without its tag it lies outside")
	}
	f = form(t, ws.modal("ben", f, nil))
	says(t, ws.modal("ben", f, nil).Now, "Deploying site…")
	// Who may administer every container sets any tag.
	f = form(t, ws.press("ana", "create:use:debian"))
	if a := ws.modal("ana", f, map[string]string{"hostname": "shop", "tags": "web"}); len(a.Errors) > 0 {
		t.Errorf("an admin hears %v", a.Errors)
	}
	ws.settled()
}

func TestRetryGoesOnAtItsStep(t *testing.T) {
	ws := newWorkshop(t)
	ws.fail = "Install packages"
	ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
	ws.settled()
	<-ws.made
	id := ws.id(100)
	shown := ws.press("ana", id+":progress").Now
	says(t, shown, "stopped at step 4 of 4")
	says(t, shown, "Retry goes on at step 4")
	old := control(t, shown, "Retry")
	says(t, ws.press("ana", old).Now, "Deploying shop…")
	ws.settled()
	<-ws.made
	// Of tries that did not work, the last is gone on with.
	says(t, ws.press("ana", old).Now, "nothing to go on with")
	retry := control(t, ws.press("ana", id+":progress").Now, "Retry")
	ws.mu.Lock()
	ws.fail = ""
	ws.mu.Unlock()
	says(t, ws.press("ana", retry).Now, "Deploying shop…")
	ws.settled()
	p := <-ws.made
	if p.At() != 3 || p.Steps[3].Error != "" || !p.Made {
		t.Errorf("the last try began with %+v", p)
	}
	says(t, ws.press("ana", retry).Now, "nothing to go on with")
	if n := len(ws.tries()); n != 3 {
		t.Errorf("%d tries, want three", n)
	}
	posted, _ := ws.chat.sent()
	if len(posted) != 1 {
		t.Errorf("%d messages, want one for all tries", len(posted))
	}
}

func TestWhatWasNeverMadeIsTriedAgainFromTheReview(t *testing.T) {
	ws := newWorkshop(t)
	ws.fail = "Make the container"
	ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
	ws.settled()
	if found := ws.inv.Snapshot().Find("shop"); len(found) != 0 {
		t.Fatalf("it is still there: %+v", found[0])
	}
	ws.chat.mu.Lock()
	last := ws.chat.shown[len(ws.chat.shown)-1]
	ws.chat.mu.Unlock()
	says(t, last, "No container was made")
	f := form(t, ws.press("ana", control(t, last, "Try again…")))
	says(t, f, "shop")
	ws.mu.Lock()
	ws.fail = ""
	ws.mu.Unlock()
	says(t, ws.modal("ana", f, nil).Now, "Deploying shop…")
	ws.settled()
	if n := len(ws.tries()); n != 2 {
		t.Errorf("%d tries, want two", n)
	}
}

func TestACreationIsCancelledAfterAQuestion(t *testing.T) {
	ws := newWorkshop(t)
	ws.hold = make(chan struct{})
	ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
	ws.sees("⏳ Install packages…")
	id := ws.id(100)
	says(t, ws.press("ana", id+":delete").Now, "is creating it")
	ask := ws.press("ana", id+":cancel-create").Now
	says(t, ask, "Stop creating shop?")
	yes := control(t, ask, "Stop creating")
	says(t, ws.in("vic", yes, "", nil).Now, "Not allowed")
	says(t, ws.in("ben", yes, "", nil).Now, "This question has ended.")
	says(t, ws.in("ana", yes, "", nil).Now, "Cancelling shop…")
	says(t, ws.in("ana", yes, "", nil).Now, "Cancelling shop…")
	// Who works on it has not heard yet: nobody else begins.
	says(t, ws.press("ana", id+":progress").Now, "Cancelled by Ana.")
	j, found, err := ws.db.LastJob(t.Context(), inventory.ID(strings.TrimPrefix(id, "ct:")), jobs.Create)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	says(t, ws.press("ana", id+":retry:"+j.ID).Now, "is being created already")
	ws.settled()
	if all := ws.chat.all(); !strings.Contains(all, "Creating shop was cancelled") || !strings.Contains(all, "Cancelled by Ana.") {
		t.Errorf("nobody says that it was cancelled:\n%s", all)
	}
	close(ws.hold)
	says(t, ws.press("ana", id+":retry:"+j.ID).Now, "Deploying shop…")
	ws.settled()
	if n := len(ws.tries()); n != 2 {
		t.Errorf("%d tries, want two", n)
	}
}

// The progress is seen where it was asked; where the bot may not write there,
// by the person who asked; and where its message was removed, its end.
func TestWhereTheProgressIsSeen(t *testing.T) {
	t.Run("not a member", func(t *testing.T) {
		ws := newWorkshop(t)
		ws.chat.refuses = func(to chat.Target) error {
			if to.Channel != "" {
				return chat.ErrForbidden
			}
			return nil
		}
		ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
		ws.settled()
		posted, edited := ws.chat.sent()
		if len(posted) != 1 || posted[0].Person != "ana" || len(edited) == 0 {
			t.Errorf("posted %v, edited %v", posted, edited)
		}
	})
	t.Run("removed", func(t *testing.T) {
		ws := newWorkshop(t)
		ws.chat.gone = chat.ErrGone
		ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
		ws.settled()
		posted, _ := ws.chat.sent()
		if len(posted) != 2 || posted[1].Person != "ana" {
			t.Errorf("posted %v, want the progress and, to the person, its end", posted)
		}
	})
}

// A number that Proxmox does not name in time is guessed.
func TestDeployDoesNotWaitForProxmox(t *testing.T) {
	ws := newWorkshop(t, func(d *handlers.Deps) {
		d.NextID = func(context.Context, string) (int, error) { return 0, errors.New("no answer") }
	})
	says(t, ws.modal("ana", ws.review("ana", "nginx", "shop"), nil).Now, "Deploying shop…")
	ws.settled()
	if n := ws.tries(); len(n) != 1 || n[0].VMID != 100 {
		t.Errorf("%+v", n)
	}
}

func TestAnAbandonedWayLeavesNothing(t *testing.T) {
	ws := newWorkshop(t)
	for _, how := range []string{"cancel", "close"} {
		f := ws.review("ana", "nginx", "shop")
		if how == "cancel" {
			if a := ws.in("ana", f.CancelID, "", nil); !a.Close {
				t.Errorf("it does not close: %+v", a)
			}
		} else {
			ws.do("ana", chat.Invocation{Kind: chat.Closed, Action: f.ID, InPanel: true})
		}
		says(t, ws.modal("ana", f, nil).Now, "This was deployed, or its time is up.")
	}
	if len(ws.tries()) != 0 || ws.inv.Snapshot().Count(inventory.Creating) != 0 {
		t.Error("something was made")
	}
}

func TestTemplatesHaveAListAndAPageEach(t *testing.T) {
	ws := newWorkshop(t)
	list := ws.typed("ana", "templates").Now
	for _, word := range []string{"Alpine", "Debian 13", "Docker host", "Gitea", "Grafana", "nginx", "PostgreSQL"} {
		says(t, list, word)
	}
	page := ws.in("ana", "tpl:postgresql:show", "", nil).Now
	says(t, page, "PostgreSQL — downloaded when needed")
	says(t, form(t, ws.in("ana", control(t, page, "Create container"), "", nil)), "PostgreSQL on pve1")
	says(t, ws.in("ana", "tpl:nothing:show", "", nil).Now, "There is no template nothing")
}

// Every way to make containers is shut while the tables differ.
func TestDriftMakesNothing(t *testing.T) {
	drift := ""
	ws := newWorkshop(t, func(d *handlers.Deps) { d.Drift = func() string { return drift } })
	f := ws.review("ana", "nginx", "shop")
	drift = "column x"
	says(t, ws.press("ana", "create:open").Now, "not as it should be")
	says(t, ws.modal("ana", f, nil).Now, "not as it should be")
	if len(ws.tries()) != 0 {
		t.Error("something was made")
	}
}

// A platform that wants a pause gets it, and then what is true by then; nothing
// comes after the end.
func TestProgressIsShownWhenThereIsRoomAgain(t *testing.T) {
	ws := newWorkshop(t)
	ws.chat.gone = &chat.RateLimitedError{RetryAfter: time.Millisecond}
	ws.hold = make(chan struct{})
	ws.modal("ana", ws.review("ana", "nginx", "shop"), nil)
	<-ws.made
	deadline := time.After(2 * time.Minute)
	for _, edited := ws.chat.sent(); len(edited) < 2; _, edited = ws.chat.sent() {
		select {
		case <-deadline:
			t.Fatal("it is not tried again")
		case <-time.After(10 * time.Millisecond):
		}
	}
	ws.chat.mu.Lock()
	ws.chat.gone = nil
	ws.chat.mu.Unlock()
	ws.sees("⏳ Install packages…")
	close(ws.hold)
	ws.settled()
	ws.chat.mu.Lock()
	defer ws.chat.mu.Unlock()
	if last := text(ws.chat.shown[len(ws.chat.shown)-1]); !strings.Contains(last, "Created shop") {
		t.Errorf("the last that is shown is:\n%s", last)
	}
}
