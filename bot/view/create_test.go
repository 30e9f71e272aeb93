package view_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// offer is what the cluster of the screens offers.
func offer() catalog.Offer {
	return catalog.Offer{
		At: now.Add(-2 * time.Minute),
		Templates: []catalog.OSTemplate{{
			File: "debian-13-standard_13.1-2_amd64.tar.zst", Size: 124 << 20,
			Copies: []catalog.Copy{{Node: "pve2", Volume: "local:vztmpl/d"}, {Node: "pve1", Volume: "local:vztmpl/d"}},
		}},
		Downloads: []proxmox.Appliance{{Template: "alpine-3.22-default_20250617_amd64.tar.xz", OS: "alpine", Section: "system"}},
		Bridges:   map[string][]string{"pve1": {"vmbr0", "vmbr1"}},
	}
}

// wizard is a person on the way to a wiki.
func wizard(tb testing.TB, snap *inventory.Snapshot) view.Wizard {
	tb.Helper()
	lib, err := templates.Load("")
	if err != nil {
		tb.Fatal(err)
	}
	pg, _ := lib.Find("postgresql")
	cl, _ := snap.Cluster("home")
	cl.Storages = []proxmox.Storage{
		{Name: "local-lvm", Node: "pve1", Status: "available", Content: "images,rootdir", Used: 100 << 30, Size: 312 << 30},
		{Name: "tank", Node: "pve1", Status: "available", Content: "rootdir", Used: 1 << 40, Size: 4 << 40},
	}
	places := []view.Place{
		{Cluster: "home", Node: inventory.Node{Name: "pve1", Online: true, Mem: 20 << 30, MaxMem: 32 << 30}},
		{Cluster: "home", Node: inventory.Node{Name: "pve2", Online: true, Mem: 10 << 30, MaxMem: 16 << 30}},
	}
	w := view.Wizard{
		Draft: "5t2nqq8w", Templates: lib.All(), Places: places, Next: 126, Here: true,
		At: create.Place{Template: pg, Cluster: cl, Offer: offer(), Fleet: snap, SSH: true},
	}
	w.Spec = create.FromTemplate(pg, cl, w.At.Offer).Place("pve1", cl, w.At.Offer)
	w.Spec.Hostname = "wiki"
	return w
}

// creating is a creation of that, in the middle.
func creating(w view.Wizard, id inventory.ID) view.Creation {
	step := func(kind create.Kind, name string, from, to int, failed string) create.Step {
		s := create.Step{Kind: kind, Name: name, Error: failed}
		if from >= 0 {
			s.Began = now.Add(time.Duration(from) * time.Second)
		}
		if to >= 0 {
			s.Ended = now.Add(time.Duration(to) * time.Second)
		}
		return s
	}
	return view.Creation{
		Job: jobs.Job{
			ID: "j8k2", Container: id, Cluster: "home", Node: "pve1", VMID: 126, Name: "wiki", Action: jobs.Create, State: jobs.Running, Person: ana,
			Request: "e7k2m9", CreatedAt: now,
		},
		Progress: create.Progress{
			Steps: []create.Step{
				step(create.Validate, "Check", 0, 0, ""), step(create.Template, "OS template", 0, 0, ""), step(create.Make, "Make the container", 0, 21, ""),
				step(create.Start, "Start", 21, 25, ""), step(create.Network, "Network", 25, 31, ""),
				step(create.Packages, "Install packages", 31, -1, ""), step(create.RunScript, "Create database and user", -1, -1, ""),
				step(create.Scan, "Look for services", -1, -1, ""),
			},
			Lines: []string{"Reading package lists...", "The following NEW packages will be installed:", "  postgresql " + evil}, Made: true, Addr: "192.168.10.61",
		},
		Spec: w.Spec, Template: w.At.Template, Reach: true, State: inventory.Running,
	}
}

// creations are the screens of row 17 and of the templates.
func creations(tb testing.TB, space chat.Space, snap *inventory.Snapshot, id inventory.ID) map[string]chat.Surface {
	w := wizard(tb, snap)
	wrong := w
	wrong.Wrong = map[create.Field]string{create.FieldVMID: "126 was taken meanwhile.", create.FieldHostname: "wiki is taken, by CT 104 on pve2."}
	wrong.Here = false
	had := w
	had.Spec.IP, had.Spec.Gateway = "192.168.10.20/24", "192.168.10.1"
	had.At.Addrs = func(inventory.ID) []netip.Addr { return []netip.Addr{netip.MustParseAddr("192.168.10.20")} }
	part, ok := w.Part(view.StepSettings, 0)
	if !ok {
		tb.Fatal("the settings have no part")
	}
	going := creating(w, id)
	fresh := going
	fresh.Progress = create.Progress{}
	done := creating(w, id)
	for i := range done.Progress.Steps {
		done.Progress.Steps[i].Ended = now.Add(time.Minute)
	}
	done.Job.State, done.Job.FinishedAt = jobs.Succeeded, now.Add(112*time.Second)
	done.Report = &services.Report{CheckedAt: now, Addrs: []netip.Addr{netip.MustParseAddr("192.168.10.61")}, Services: []services.Service{{Service: guest.Service{
		Kind: guest.Systemd, Unit: "postgresql.service", Name: "postgresql", State: guest.ServiceRunning,
		Ports: []guest.Port{{Addr: netip.MustParseAddr("0.0.0.0"), Port: 5432, Web: "http"}},
	}}}}
	failed := creating(w, id)
	failed.Progress.Steps[5].Ended, failed.Progress.Steps[5].Error = now.Add(50*time.Second), "exit code 100: mirror.example cannot be reached"
	failed.Job.State, failed.Job.Error, failed.Job.FinishedAt = jobs.Failed, "Install packages: exit code 100: mirror.example cannot be reached", now.Add(50*time.Second)
	never := failed
	never.Progress = create.Progress{Steps: append([]create.Step(nil), failed.Progress.Steps...)}
	never.Progress.Steps[2].Error, never.State = "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)", ""
	never.Job.Error = "Make the container: " + never.Progress.Steps[2].Error
	cancelled := creating(w, id)
	cancelled.Job.State, cancelled.Job.Error = jobs.Superseded, "cancelled by Ben"
	ending := going
	ending.Job.Cancelled = "cancelled by Ben"
	unsure := failed
	unsure.Progress = create.Progress{Steps: append([]create.Step(nil), never.Progress.Steps...), SubmittedAt: now}
	unsure.Progress.Steps[2].Error = "it does not answer"
	for i := range unsure.Progress.Steps[3:] {
		s := &unsure.Progress.Steps[3+i]
		s.Began, s.Ended, s.Error = time.Time{}, time.Time{}, ""
	}
	unsure.Job.State, unsure.Job.Error = jobs.Lost, "Make the container: it does not answer"
	list := view.Templates{All: w.Templates, Offers: []view.Offered{{Cluster: "home", Offer: offer()}}, Space: space, May: true}
	unread := list
	unread.Offers, unread.May = []view.Offered{{Cluster: "home"}}, false
	alpine := w.Templates[0]
	ct := &inventory.Container{Record: inventory.Record{ID: id, Cluster: "home", Node: "pve1", VMID: 126, Hostname: "wiki", State: inventory.Creating}}
	return map[string]chat.Surface{
		"create-template": w.Form(view.StepTemplate), "create-settings": w.Form(view.StepSettings), "create-services": w.Form(view.StepServices),
		"create-review": w.Form(view.StepReview), "create-review-wrong": wrong.Form(view.StepReview), "create-review-had": had.Form(view.StepReview), "create-settings-part": part,
		"create-deploying": view.Deploying(ct, true), "create-ended": view.DraftEnded(),
		"creation-begins": fresh.Message(true), "creation": going.Message(true), "creation-panel": going.Panel(), "creation-done": done.Message(true),
		"creation-failed": failed.Message(true), "creation-nothing": never.Message(true), "creation-cancelled": cancelled.Message(true),
		"creation-ending": ending.Message(true), "creation-unsure": unsure.Message(true),
		"creation-cancel": view.CancelCreation(ct, "c_9h2k", now), "creation-cancelling": view.Cancelling(ct),
		"templates": list.Panel(), "templates-unread": unread.Panel(), "template": list.TemplatePage(w.At.Template, []string{"shop", "wiki"}), "template-download": list.TemplatePage(alpine, nil),
		"template-gone": view.NoTemplate("wiki"),
	}
}

// Whatever a template is called, and whatever was typed, each step is one that
// the platform takes.
func TestEveryStepOfEveryTemplateIsWithinTheLimits(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 1))
	text := func() string { return strings.Repeat(hostile[dice.IntN(len(hostile))], 1+dice.IntN(8)) }
	snap := homelab(t, fleet(), false).Snapshot()
	for round := range 120 {
		w := wizard(t, snap)
		tpl := templates.Template{ID: "t1", Name: text(), Description: text(), OS: text(), Tags: []string{text()}}
		for i := range dice.IntN(60) {
			tpl.Scripts = append(tpl.Scripts, templates.Script{Name: text(), Run: "true"})
			tpl.Packages.APT = append(tpl.Packages.APT, text())
			tpl.Files = append(tpl.Files, templates.File{Target: text()})
			tpl.Services = append(tpl.Services, templates.Service{Name: text(), Unit: text(), Port: i})
		}
		w.Templates = nil
		for i := range dice.IntN(60) {
			other := tpl
			other.ID = fmt.Sprint("t", i)
			w.Templates = append(w.Templates, other)
		}
		for range dice.IntN(130) {
			w.Places = append(w.Places, view.Place{Cluster: text(), Node: inventory.Node{Name: text(), Mem: dice.Int64(), MaxMem: dice.Int64()}})
			w.At.Cluster.Storages = append(w.At.Cluster.Storages, proxmox.Storage{Name: text(), Node: text(), Status: "available", Content: "rootdir", Size: dice.Int64()})
		}
		node := text()
		w.At.Template, w.At.Offer.Bridges = tpl, map[string][]string{node: {text(), text()}}
		w.Spec = create.Spec{
			Template: text(), Cluster: text(), Node: node, VMID: dice.Int(), Fixed: dice.IntN(2) == 0, Hostname: text(), Cores: dice.Int(), Memory: dice.Int64(), Disk: dice.Int64(),
			Storage: text(), Bridge: text(), IP: text(), Gateway: text(), Nameserver: text(), Tags: []string{text(), text()}, SSHKeys: []string{text(), strings.Repeat("k", 5000)},
			Packages: true, Scripts: []int{dice.IntN(70), 0, -1},
		}
		w.Wrong = map[create.Field]string{create.FieldTags: view.OutOfScope([]access.Selector{{Kind: "tag", Value: text()}}), create.FieldIP: text(), create.FieldHostname: text()}
		c := creating(w, "id000101")
		c.Job.Name, c.Job.Node, c.Job.Person.Name, c.Job.Error, c.Job.Request = text(), text(), text(), text(), text()
		c.Progress.Lines, c.Progress.Addr, c.Progress.Made = []string{text(), strings.Repeat(text(), 60)}, text(), dice.IntN(2) == 0
		for range dice.IntN(60) {
			c.Progress.Steps = append(c.Progress.Steps, create.Step{Name: text(), Error: text()})
		}
		c.Report = inside("id000101")
		for range 40 {
			c.Report.Services = append(c.Report.Services, c.Report.Services[0])
		}
		for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
			fits := func(what string, s chat.Surface) {
				t.Helper()
				if err := judges[platform](s); err != nil {
					t.Errorf("round %d, %s, %s: %v", round, platform, what, err)
				}
			}
			for _, step := range []string{view.StepTemplate, view.StepSettings, view.StepServices, view.StepReview} {
				fits(step, w.Form(step))
				for n := 0; ; n++ {
					part, ok := w.Part(step, n)
					if !ok {
						break
					}
					fits(fmt.Sprint(step, " part ", n), part)
				}
			}
			for _, state := range []jobs.State{jobs.Running, jobs.Succeeded, jobs.Failed, jobs.Superseded, jobs.Lost} {
				c.Job.State = state
				fits("creation "+string(state), c.Message(true))
				fits("creation panel "+string(state), c.Panel())
			}
			l := view.Templates{All: w.Templates, Offers: []view.Offered{{Cluster: text(), Offer: w.At.Offer}, {Cluster: text()}}, Space: space, May: true}
			for l.Page = range 10 {
				fits("templates", l.Panel())
			}
			fits("template", l.TemplatePage(tpl, []string{text(), text(), text(), text(), text(), text()}))
		}
	}
}

// A part of a form asks for no more than Discord's forms hold.
func TestPartsHoldAtMostFiveInputs(t *testing.T) {
	w := wizard(t, homelab(t, fleet(), false).Snapshot())
	seen := map[string]bool{}
	for n := 0; ; n++ {
		part, ok := w.Part(view.StepSettings, n)
		if !ok {
			break
		}
		if len(part.Inputs) == 0 || len(part.Inputs) > 5 {
			t.Errorf("part %d has %d inputs", n, len(part.Inputs))
		}
		for _, in := range part.Inputs {
			seen[in.ID] = true
		}
	}
	for _, in := range w.Form(view.StepSettings).Inputs {
		if len(in.Options) == 0 && !seen[in.ID] {
			t.Errorf("%s is in no part", in.ID)
		}
	}
}
