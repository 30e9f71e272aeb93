package alerts_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// world is alerts over a real inventory and database, a made-up cluster, and
// platforms that keep what they are told.
type world struct {
	t       *testing.T
	now     time.Time
	res     proxmox.Resources
	err     error
	tasks   []proxmox.Task
	asked   int
	busy    map[inventory.ID]jobs.Job
	db      *storage.DB
	inv     *inventory.Inventory
	alerts  *alerts.Alerts
	slack   *platform
	discord *platform
	tune    func(*alerts.Config)
}

// Name and Resources make world the cluster.
func (*world) Name() string                                           { return "home" }
func (w *world) Resources(context.Context) (proxmox.Resources, error) { return w.res, w.err }

// Tasks makes it the node's task list.
func (w *world) Tasks(context.Context, string, proxmox.TaskFilter) ([]proxmox.Task, error) {
	w.asked++
	return w.tasks, nil
}

func newWorld(t *testing.T, tune func(*alerts.Config), rows ...proxmox.Container) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC), busy: map[inventory.ID]jobs.Job{}, db: storagetest.Open(t), tune: tune,
		slack: &platform{name: chat.Slack, messages: map[string]chat.Message{}}, discord: &platform{name: chat.Discord, messages: map[string]chat.Message{}},
	}
	w.res = proxmox.Resources{Containers: rows, Nodes: []proxmox.Node{{Name: "pve1", Status: "online"}, {Name: "pve2", Status: "online"}}}
	w.start()
	w.tick()
	w.quiet("at the start")
	return w
}

// start is a process that begins with what the database holds.
func (w *world) start() {
	now := func() time.Time { return w.now }
	w.inv = inventory.New(inventory.Config{Sources: []inventory.Source{w}, Store: w.db, Every: 30 * time.Second, Now: now})
	cfg := alerts.Config{
		Platforms: []chat.Platform{w.slack, w.discord}, Channels: map[chat.PlatformName]string{chat.Slack: "ops", chat.Discord: "ops"},
		Store: w.db, Clusters: map[string]alerts.Tasks{"home": w}, Fleet: w.inv.Snapshot, Now: now, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
		Busy: func(id inventory.ID) (jobs.Job, bool) { j, ok := w.busy[id]; return j, ok },
	}
	if w.tune != nil {
		w.tune(&cfg)
	}
	w.alerts = alerts.New(cfg)
}

// tick is one refresh, half a minute after the last, and what is told of it.
func (w *world) tick() {
	w.t.Helper()
	w.now = w.now.Add(30 * time.Second)
	rep, err := w.inv.Refresh(w.t.Context(), "home")
	if err != nil {
		w.t.Fatal(err)
	}
	w.alerts.Look(w.t.Context(), rep)
	w.alerts.Pass(w.t.Context())
}

func (w *world) ticks(n int) {
	w.t.Helper()
	for range n {
		w.tick()
	}
}

// set changes a row of the cluster's list.
func (w *world) set(vmid int, change func(*proxmox.Container)) {
	for i := range w.res.Containers {
		if c := &w.res.Containers[i]; vmid == 0 || c.VMID == vmid {
			change(c)
		}
	}
}

func stopped(c *proxmox.Container) { c.Status, c.Uptime, c.CPU, c.Mem, c.Disk = "stopped", 0, 0, 0, 0 }

func running(c *proxmox.Container) {
	c.Status, c.Uptime, c.CPU, c.Mem, c.Disk, c.MaxCPU, c.MaxMem, c.MaxDisk = "running", 1000, 0.1, 10, 10, 1, 100, 100
}

func (w *world) id(name string) inventory.ID {
	w.t.Helper()
	found := w.inv.Snapshot().Find(name)
	if len(found) != 1 {
		w.t.Fatalf("%d containers %s", len(found), name)
	}
	return found[0].ID
}

// both runs a check for each platform.
func (w *world) both(check func(p *platform)) {
	w.t.Helper()
	for _, p := range []*platform{w.slack, w.discord} {
		check(p)
	}
}

// posted wants exactly so many messages in all, the last of which says a text.
func (w *world) posted(n int, text string) {
	w.t.Helper()
	w.both(func(p *platform) {
		w.t.Helper()
		if len(p.posts) != n {
			w.t.Fatalf("%s: %d messages, want %d: %q", p.name, len(p.posts), n, p.posts)
		}
		if n > 0 && !strings.Contains(p.posts[n-1], text) {
			w.t.Errorf("%s: the last message does not say %q: %q", p.name, text, p.posts[n-1])
		}
	})
}

// first wants the first message to say a text by now.
func (w *world) first(text string) {
	w.t.Helper()
	w.both(func(p *platform) {
		w.t.Helper()
		if m := said(p.messages["1"]); !strings.Contains(m, text) {
			w.t.Errorf("%s: the first message does not say %q:\n%s", p.name, text, m)
		}
	})
}

func (w *world) quiet(when string) {
	w.t.Helper()
	w.both(func(p *platform) {
		w.t.Helper()
		if len(p.posts)+p.edits != 0 {
			w.t.Fatalf("%s hears of something %s: %q", p.name, when, p.posts)
		}
	})
}

type platform struct {
	name     chat.PlatformName
	posts    []string // what was posted, lines below others included
	threads  int      // of these, below others
	edits    int
	messages map[string]chat.Message
	fails    error
	health   chat.Health
	during   func() // a post, once, after it has arrived
}

func (p *platform) Name() chat.PlatformName               { return p.name }
func (*platform) Run(context.Context, chat.Handler) error { return nil }
func (*platform) Delete(context.Context, chat.Ref) error  { return nil }
func (*platform) Space() chat.Space                       { return chat.Space{} }
func (p *platform) Health() chat.Health {
	if p.health.Since.IsZero() {
		return chat.Health{OK: true}
	}
	return p.health
}

func (p *platform) Post(_ context.Context, to chat.Target, m chat.Message) (chat.Ref, error) {
	if p.fails != nil {
		return chat.Ref{}, p.fails
	}
	if !to.Thread.Zero() {
		p.threads++
	}
	p.posts = append(p.posts, to.Channel+": "+strings.ReplaceAll(m.Summary, "\u00a0", " "))
	id := fmt.Sprint(len(p.posts))
	p.messages[id] = m
	if f := p.during; f != nil {
		p.during = nil
		f()
	}
	return chat.Ref{Platform: p.name, Kind: chat.MessageRef, Channel: to.Channel, ID: id}, nil
}

func (p *platform) Update(_ context.Context, at chat.Ref, s chat.Surface) error {
	if p.fails != nil {
		return p.fails
	}
	p.edits++
	p.messages[at.ID] = s.(chat.Message)
	return nil
}

// said is what a message says, and its buttons.
func said(m chat.Message) string {
	var b strings.Builder
	for _, bl := range m.Blocks {
		switch bl := bl.(type) {
		case chat.Para:
			b.WriteString(bl.Text.String() + "\n")
		case chat.Note:
			b.WriteString(bl.Text.String() + "\n")
		case chat.Pre:
			b.WriteString(strings.Join(bl.Lines, "\n") + "\n")
		case chat.Controls:
			for _, btn := range bl.Buttons {
				b.WriteString("[" + btn.Label + "]")
			}
		}
	}
	return strings.ReplaceAll(b.String(), "\u00a0", " ")
}

func row(vmid int, name string) proxmox.Container {
	c := proxmox.Container{VMID: vmid, Name: name, Node: "pve1"}
	running(&c)
	return c
}

// Each kind: how it comes about, what it says, how it is over, and what it
// says then.
func TestEachKindIsRaisedOnceAndClearedOnce(t *testing.T) {
	web := services.Service{Service: guest.Service{Kind: guest.Systemd, Unit: "nginx.service", Name: "nginx", State: guest.ServiceFailed}}
	up := web
	up.State = guest.ServiceRunning
	job := func(w *world, state jobs.State) jobs.Job {
		return jobs.Job{
			ID: "j1", Container: w.id("web"), Cluster: "home", Node: "pve1", VMID: 101, Name: "web", Action: jobs.Restart, State: state,
			Error: "no space left on device", Request: "r1", Person: chat.Person{Name: "Ana"},
		}
	}
	scan := func(w *world, s services.Service) {
		c, _ := w.inv.Snapshot().ByID(w.id("web"))
		s.Since = w.now
		w.alerts.Scanned(w.t.Context(), c, &services.Report{Services: []services.Service{up}}, &services.Report{Services: []services.Service{s}})
	}
	shows := func(w *world, problem guest.Kind) {
		c, _ := w.inv.Snapshot().ByID(w.id("web"))
		w.alerts.Scanned(w.t.Context(), c, nil, &services.Report{Problem: problem})
	}
	for name, c := range map[string]struct {
		begins, ends func(*world)
		says, over   string
		line         string
	}{
		"container down": {
			begins: func(w *world) { w.set(101, stopped) }, ends: func(w *world) { w.set(101, running) },
			says: "web is down", over: "Resolved: web runs again", line: "It was down for 2 min",
		},
		"service down": {
			begins: func(w *world) { scan(w, web) }, ends: func(w *world) { scan(w, up) },
			says: "1 service down in web", over: "Resolved: the services of web run again", line: "Something was down for 2 min",
		},
		"host key changed": {
			begins: func(w *world) { shows(w, guest.HostKeyChanged) }, ends: func(w *world) { shows(w, "") },
			says: "The SSH host key of web has changed", over: "Resolved: the SSH host key of web is trusted again", line: "is trusted again",
		},
		"host key of a node changed": {
			begins: func(w *world) { shows(w, guest.HostKeyChanged.AtNode()) }, ends: func(w *world) { shows(w, "") },
			says: "The SSH host key of node pve1 has changed", over: "Resolved: the SSH host key of node pve1 is known again", line: "It was another for 2 min",
		},
		"resource above its threshold": {
			begins: func(w *world) { w.set(101, func(c *proxmox.Container) { c.Disk = 97 }) }, ends: func(w *world) { w.set(101, func(c *proxmox.Container) { c.Disk = 50 }) },
			says: "Disk of web is at 97 %", over: "Resolved: Disk of web is below 95 %", line: "It was above for 2 min",
		},
		"node unreachable": {
			begins: func(w *world) { w.res.Nodes[0].Status = "offline" }, ends: func(w *world) { w.res.Nodes[0].Status = "online" },
			says: "web, wiki were running", over: "Resolved: Node pve1 answers again", line: "It was away for 2 min",
		},
		"cluster unreachable": {
			begins: func(w *world) { w.err = errors.New("no route to host"); w.tick() }, ends: func(w *world) { w.err = nil },
			says: "Cluster home does not answer", over: "Resolved: Cluster home answers again", line: "It was away for 2 min",
		},
		"job failed": {
			begins: func(w *world) { w.alerts.JobEnded(w.t.Context(), job(w, jobs.Failed)) }, ends: func(w *world) { w.alerts.JobEnded(w.t.Context(), job(w, jobs.Succeeded)) },
			says: "Restart of web failed\nno space left on device.", over: "Resolved: web runs", line: "It took 2 min",
		},
		"certificate about to expire": {
			begins: func(w *world) {
				w.alerts.Expires(w.t.Context(), "home", "The certificate of pve1:8006", w.now.Add(5*24*time.Hour))
			},
			ends: func(w *world) {
				w.alerts.Expires(w.t.Context(), "home", "The certificate of pve1:8006", w.now.Add(365*24*time.Hour))
			},
			says: "expires in 5 d", over: "Resolved: The certificate of pve1:8006 is renewed", line: "is renewed",
		},
		"drift": {
			begins: func(w *world) { w.alerts.Drifted(w.t.Context(), "table containers lacks column hostname") }, ends: func(w *world) { w.alerts.Drifted(w.t.Context(), "") },
			says: "pvechat migrate --repair", over: "Resolved: The tables are as they should be", line: "They differed for 2 min",
		},
		"rules refused": {
			begins: func(w *world) { w.alerts.RulesRefused(w.t.Context(), "there is no role king", "v1") }, ends: func(w *world) { w.alerts.RulesTaken(w.t.Context()) },
			says: "The new access rules were not taken", over: "Resolved: the access rules are right again", line: "They were not taken for 2 min",
		},
		"platform lost": {
			begins: func(w *world) {
				w.slack.health = chat.Health{Detail: "token revoked", Since: w.now}
				w.alerts.PlatformLost(w.t.Context(), chat.Slack, errors.New("token revoked"))
			},
			ends: func(w *world) { w.slack.health = chat.Health{} },
			says: "pvechat is cut off from Slack", over: "Resolved: Slack works again", line: "It was away for 3 min",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *alerts.Config) { c.Limits = alerts.Limits{Disk: 95, For: time.Minute} }, row(101, "web"), row(102, "wiki"))
			c.begins(w)
			if name == "resource above its threshold" {
				w.ticks(2)
				w.quiet("before it lasted")
			}
			w.tick()
			w.posted(1, "ops: ")
			w.first(c.says)
			w.first("[Mute 1 h]")
			if strings.HasPrefix(c.says, "web is down") {
				w.first("[Start][Manage]")
			}
			edits := w.slack.edits
			w.ticks(3)
			w.posted(1, "ops: ")
			if w.slack.edits != edits {
				t.Errorf("%d edits of what did not change", w.slack.edits-edits)
			}

			// A restart does not tell it again.
			w.start()
			if name == "platform lost" {
				w.alerts.PlatformLost(t.Context(), chat.Slack, errors.New("token revoked"))
			}
			w.tick()
			w.posted(1, "ops: ")

			c.ends(w)
			w.tick()
			w.posted(2, c.line)
			w.first(c.over)
			w.both(func(p *platform) {
				if p.threads != 1 {
					t.Errorf("%s: %d lines below, want 1", p.name, p.threads)
				}
			})
			w.ticks(3)
			w.start()
			w.tick()
			w.posted(2, c.line)
		})
		t.Run(name+", muted for ever", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *alerts.Config) { c.Limits = alerts.Limits{Disk: 95, For: time.Minute} }, row(101, "web"), row(102, "wiki"))
			begins := func() {
				c.begins(w)
				w.ticks(3)
			}
			begins()
			w.posted(1, "ops: ")
			open, err := w.db.OpenIncidents(t.Context())
			if err != nil || len(open) != 1 {
				t.Fatalf("%+v %v", open, err)
			}
			if _, _, found, err := w.alerts.Mute(t.Context(), open[0].ID, alerts.ForEver, "Ana"); err != nil || !found {
				t.Fatal(found, err)
			}
			w.tick()
			w.first("Muted by Ana")
			c.ends(w)
			w.tick()
			w.first("Resolved: ")
			begins()
			w.posted(1, "ops: ")
		})
	}
}

// What runs inside, and measures, are as quiet as the container itself.
func TestNothingIsSaidOfTheInsideOfWhatIsWorkedOn(t *testing.T) {
	down := services.Service{Service: guest.Service{Kind: guest.Systemd, Unit: "nginx.service", Name: "nginx", State: guest.ServiceFailed}}
	for name, during := range map[string]func(*world){
		"our own job": func(w *world) { w.busy[w.id("web")] = jobs.Job{Action: jobs.Restart} },
		"a backup":    func(w *world) { w.set(101, func(c *proxmox.Container) { c.Lock = "backup" }) },
		"the tag":     func(w *world) { w.set(101, func(c *proxmox.Container) { c.Tags = "a;pvechat-ignore" }) },
		"nothing":     func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *alerts.Config) { c.Limits = alerts.Limits{Disk: 95, For: time.Minute} }, row(101, "web"))
			during(w)
			w.set(101, func(c *proxmox.Container) { c.Disk = 97 })
			w.tick()
			c, _ := w.inv.Snapshot().ByID(w.id("web"))
			down := down
			down.Since = w.now
			w.alerts.Scanned(t.Context(), c, nil, &services.Report{Services: []services.Service{down}})
			w.ticks(4)
			if name == "nothing" {
				w.posted(2, "ops: ") // or this would test nothing
				return
			}
			w.quiet("though it is worked on")
		})
	}
}

func TestNothingIsSaidOfWhatIsMeant(t *testing.T) {
	upid := proxmox.UPID("UPID:pve1:00001234:0000ABCD:692316F0:vzstop:101:root@pam:")
	for name, c := range map[string]func(*world){
		"our own job":           func(w *world) { w.busy[w.id("web")] = jobs.Job{Action: jobs.Stop} },
		"a backup":              func(w *world) { w.set(101, func(c *proxmox.Container) { c.Lock = "backup" }) },
		"the tag":               func(w *world) { w.set(101, func(c *proxmox.Container) { c.Tags = "a;pvechat-ignore" }) },
		"a person, in Proxmox":  func(w *world) { w.tasks = []proxmox.Task{{UPID: upid, Type: "vzstop"}} },
		"a node that went away": func(*world) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, row(101, "web"), row(102, "wiki"))
			c(w)
			w.tick()
			w.set(101, stopped)
			if name == "a node that went away" {
				w.res.Nodes[0].Status = "offline"
				w.tick()
				w.posted(1, "Node pve1") // and not one for each container as well
				return
			}
			w.ticks(2)
			w.quiet("though it was meant")
		})
	}
}

func TestManyAtOnceAreOneIncident(t *testing.T) {
	var rows []proxmox.Container
	for i := range 1000 {
		rows = append(rows, row(1000+i, fmt.Sprintf("ct-%04d", i)))
	}
	w := newWorld(t, nil, rows...)
	w.set(0, stopped)
	for vmid := 1000; vmid < 1010; vmid++ { // the rest of them in the next refresh
		w.set(vmid, running)
	}
	w.tick()
	w.posted(1, "990 containers are down")
	w.set(0, stopped)
	w.tick()
	w.posted(1, "990 containers are down")
	w.first("1000 containers are down")
	w.first("and 980 more")
	if w.asked > 2 {
		t.Errorf("the task list was read %d times for one node", w.asked)
	}
	for vmid := 1000; vmid < 1997; vmid++ {
		w.set(vmid, running)
	}
	w.tick()
	w.first("997 of 1000 are back")
	w.first("ct-0997, ct-0998, ct-0999")
	w.start() // with the rest of them still down
	w.tick()
	w.set(0, running)
	w.tick()
	w.first("Resolved: the 1000 containers that were down run again")
	w.posted(2, "run again")
}

func TestJobsThatFailForOneReasonAreOneIncident(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"), row(102, "wiki"), row(103, "db"))
	w.set(0, stopped)
	w.tasks = []proxmox.Task{}
	for _, c := range []string{"web", "wiki", "db"} {
		w.busy[w.id(c)] = jobs.Job{Action: jobs.Start}
	}
	w.tick()
	w.quiet("of stopping")
	for n, c := range []string{"web", "wiki", "db"} {
		w.alerts.JobEnded(t.Context(), jobs.Job{
			ID: fmt.Sprint("j", n), Container: w.id(c), Cluster: "home", Name: c, Action: jobs.Start, State: jobs.Failed, Error: "CT is locked (backup)",
		})
	}
	w.tick()
	w.posted(1, "3 actions failed for one reason")
	w.first("start web, start wiki, start db")
	w.set(101, running)
	w.tick()
	w.first("2 actions failed")
	w.set(0, running)
	w.tick()
	w.posted(2, "Resolved")
}

func TestMutedAlertsAreNotTold(t *testing.T) {
	for how, c := range map[string]struct{ afterHours, afterBack bool }{
		alerts.ForAnHour: {afterHours: true, afterBack: true}, alerts.UntilBack: {afterBack: true}, alerts.ForEver: {},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, row(101, "web"))
			w.set(101, stopped)
			w.tick()
			w.posted(1, "web is down")
			open, err := w.db.OpenIncidents(t.Context())
			if err != nil || len(open) != 1 {
				t.Fatalf("%+v %v", open, err)
			}
			if _, words, found, err := w.alerts.Mute(t.Context(), open[0].ID, how, "Ana"); err != nil || !found || !strings.Contains(words, "Muted by Ana") {
				t.Fatalf("%q %v %v", words, found, err)
			}
			w.tick()
			w.first("Muted by Ana")
			w.first("[Unmute]")
			w.set(101, running)
			w.tick()
			w.first("Resolved: web runs again")
			w.posted(1, "web is down") // without a line below

			w.now = w.now.Add(30 * time.Minute)
			w.tick()
			w.set(101, stopped)
			w.tick()
			if told := len(w.slack.posts) == 2; told != (how == alerts.UntilBack) {
				t.Errorf("half an hour later, told %v: %q", told, w.slack.posts)
			}
			w.set(101, running)
			w.tick()
			w.now = w.now.Add(2 * time.Hour)
			w.tick()
			before := len(w.slack.posts)
			w.set(101, stopped)
			w.tick()
			if told := len(w.slack.posts) > before; told != c.afterHours && how != alerts.UntilBack {
				t.Errorf("hours later, told %v", told)
			}
			if how != alerts.ForEver {
				return
			}
			if _, muted, err := w.alerts.Now(t.Context()); err != nil || len(muted) != 0 {
				t.Errorf("muted and not open: %+v %v", muted, err)
			}
			open, _ = w.db.OpenIncidents(t.Context())
			if _, found, err := w.alerts.Unmute(t.Context(), open[0].ID); err != nil || !found {
				t.Fatal(found, err)
			}
			w.tick()
			if len(w.slack.posts) != before+1 {
				t.Error("what lasts is not told once it is unmuted")
			}
		})
	}
}

func TestWhatGoesUpAndDownIsOneMessage(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"))
	for range 5 {
		w.set(101, stopped)
		w.tick()
		w.set(101, running)
		w.tick()
	}
	w.both(func(p *platform) {
		if own := len(p.posts) - p.threads; own != 1 || p.threads > 2 {
			t.Errorf("%s: %d messages, %d lines: %q", p.name, own, p.threads, p.posts)
		}
	})
	w.first("web is down")
	w.ticks(12)
	w.first("Resolved: web runs again")
}

func TestAChannelThatTakesNothingIsTriedAgain(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"))
	w.slack.fails = fmt.Errorf("slack: chat.postMessage: channel_not_found: %w", chat.ErrForbidden)
	w.set(101, stopped)
	w.ticks(3)
	if len(w.discord.posts) != 1 || len(w.slack.posts) != 0 {
		t.Fatalf("%q %q", w.discord.posts, w.slack.posts)
	}
	if tr := w.alerts.Troubles(); len(tr) != 1 || tr[0].Platform != chat.Slack || tr[0].Channel != "ops" || !strings.Contains(tr[0].Why, "channel_not_found") {
		t.Errorf("troubles: %+v", tr)
	}
	w.slack.fails = nil
	w.ticks(2)
	w.posted(1, "web is down")
	if tr := w.alerts.Troubles(); len(tr) != 0 {
		t.Errorf("troubles: %+v", tr)
	}
}

// stuck is a platform that takes a message and never answers.
type stuck struct {
	*platform
	reached chan struct{}
}

func (s stuck) Post(ctx context.Context, _ chat.Target, _ chat.Message) (chat.Ref, error) {
	close(s.reached)
	<-ctx.Done()
	return chat.Ref{}, ctx.Err()
}

// A refresh hands over what it found and goes on, whatever a channel does.
func TestARefreshDoesNotWaitForAChannel(t *testing.T) {
	s := stuck{&platform{name: chat.Slack}, make(chan struct{})}
	w := newWorld(t, func(c *alerts.Config) { c.Platforms = []chat.Platform{s} }, row(101, "web"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.alerts.Run(ctx) }()
	w.set(101, stopped)
	for range 3 {
		rep, err := w.inv.Refresh(ctx, "home")
		if err != nil {
			t.Fatal(err)
		}
		w.alerts.Look(ctx, rep)
		if rep.Changes != nil {
			<-s.reached
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRoutesGoByTagAndSeverity(t *testing.T) {
	w := newWorld(t, func(c *alerts.Config) {
		c.Routes = []alerts.Route{
			{Tags: []string{"web"}, Severity: alerts.Critical, Channels: map[chat.PlatformName]string{chat.Slack: "web-alarm"}},
			{Severity: alerts.Warning, Channels: map[chat.PlatformName]string{chat.Slack: "notes", chat.Discord: "notes"}},
		}
	}, row(101, "web"), row(102, "wiki"))
	w.set(101, func(c *proxmox.Container) { c.Tags = "web" })
	w.tick()
	w.set(101, stopped)
	w.tick()
	w.set(102, stopped)
	w.tick()
	w.alerts.RulesRefused(t.Context(), "x", "v")
	w.tick()
	if want := []string{"web-alarm: web is down", "ops: wiki is down", "notes: The new access rules"}; !slices.EqualFunc(w.slack.posts, want, strings.HasPrefix) {
		t.Errorf("slack: %q", w.slack.posts)
	}
	if want := []string{"ops: wiki is down", "notes: The new access rules"}; !slices.EqualFunc(w.discord.posts, want, strings.HasPrefix) {
		t.Errorf("discord: %q", w.discord.posts)
	}
}

func TestWhoStartedItIsSaid(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"))
	w.set(101, stopped)
	w.tick()
	w.now = w.now.Add(time.Second)
	w.busy[w.id("web")] = jobs.Job{Container: w.id("web"), Action: jobs.Start, Person: chat.Person{Name: "Ben"}}
	w.alerts.Acted(w.id("web"))
	clear(w.busy)
	w.set(101, running)
	w.tick()
	w.first("Started by Ben.")
}

func TestAContainerThatIsRemovedIsNotDownForEver(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"), row(102, "wiki"))
	w.set(101, stopped)
	w.tick()
	w.res.Containers = w.res.Containers[1:]
	w.ticks(4)
	if open, err := w.db.OpenIncidents(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("open: %+v %v", open, err)
	}
	w.first("It was removed.")
}

func TestServicesAreNotMissedWhileAContainerBoots(t *testing.T) {
	w := newWorld(t, nil, row(101, "web"))
	scan := func(since time.Time) {
		c, _ := w.inv.Snapshot().ByID(w.id("web"))
		down := services.Service{Service: guest.Service{Kind: guest.Systemd, Unit: "nginx.service", Name: "nginx", State: guest.ServiceStopped}, Since: since}
		w.alerts.Scanned(t.Context(), c, nil, &services.Report{Services: []services.Service{down}})
		w.alerts.Pass(t.Context())
	}
	w.set(101, func(c *proxmox.Container) { c.Uptime = 20 })
	w.tick()
	began := w.now
	scan(began)
	w.quiet("20 s after its start")

	// It is still down five minutes later.
	w.set(101, func(c *proxmox.Container) { c.Uptime = 20 + 10*30 })
	w.ticks(10)
	scan(began)
	w.posted(1, "1 service down in web")

	// What was down before anybody looked is no news, nor is what fell long ago.
	w = newWorld(t, nil, row(101, "web"))
	scan(time.Time{})
	scan(w.now.Add(-2 * time.Hour))
	w.quiet("of what is old")
}
