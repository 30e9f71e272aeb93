package view_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
)

// transfer is a job on an OS template that is at its last copy.
func transfer(a jobs.Action, t create.OSTemplate, lines ...string) jobs.Job {
	p := create.Progress{Lines: lines}
	for range t.Copies {
		p.Steps = append(p.Steps, create.Step{Kind: create.Template, Began: now, Ended: now.Add(time.Second)})
	}
	p.Steps[len(p.Steps)-1].Ended = time.Time{}
	return jobs.Job{
		ID: "j1", Container: t.ID(), Cluster: t.Cluster, Node: "pve1", Name: t.File, Action: a, State: jobs.Running, Spec: t.String(), Progress: p.String(),
		Person: ana, Request: "e7k2m9", CreatedAt: now,
	}
}

// ended is such a job after its end.
func ended(j jobs.Job, state jobs.State, why string) *jobs.Job {
	p := create.ParseProgress(j.Progress)
	last := &p.Steps[len(p.Steps)-1]
	last.Ended, last.Error = now.Add(time.Minute), why
	j.Progress, j.State, j.Error = p.String(), state, why
	return &j
}

// osScreens are the screens of OS templates.
func osScreens(space chat.Space) map[string]chat.Surface {
	o := offer()
	o.Downloads = append(o.Downloads,
		proxmox.Appliance{Template: "fedora-42-default_20250428_amd64.tar.xz", Section: "system", Headline: "LXC default image for fedora 42"},
		proxmox.Appliance{Template: "debian-12-turnkey-wordpress_18.1-1_amd64.tar.gz", Section: "turnkeylinux", Headline: "TurnKey WordPress"})
	debian := view.OSFile{Key: "a1b2c3d4e5f6", Cluster: "home", OSTemplate: o.Templates[0], Offered: proxmox.Appliance{Template: o.Templates[0].File}}
	list := view.OSTemplates{Offers: []view.Offered{{Cluster: "home", Offer: o}}, Here: []view.OSFile{debian}, Own: 7, Space: space, May: true}
	for i, a := range o.Downloads {
		list.Missing = append(list.Missing, view.OSFile{Key: fmt.Sprintf("00000000000%d", i), Cluster: "home", OSTemplate: catalog.OSTemplate{File: a.Template}, Offered: a})
	}
	file := list.Missing[1]
	get := create.OSTemplate{Cluster: "home", File: file.File, Copies: []catalog.Copy{{Node: "pve1", Volume: "local:vztmpl/" + file.File}}}
	going := transfer(jobs.Download, get, "downloading http://download.example/images/"+file.File, "   30000K ........ ........ ........ ........ 25% 11.5M", "   60000K ........ ........ ........ ........ 50% 11.5M")
	busy := list
	busy.Here = append([]view.OSFile{{Key: file.Key, Cluster: "home", OSTemplate: file.OSTemplate, Job: &going}}, list.Here...)
	busy.Missing = list.Missing[:1]
	unread := list
	unread.Offers, unread.Here, unread.Missing, unread.May = []view.Offered{{Cluster: "home"}}, nil, nil, false

	here := view.OSPage{
		OSFile: debian, May: true, Admin: true, Made: []string{"git", "shop", "wiki"},
		Fits: []templates.Template{{ID: "debian", Name: "Debian 13"}, {ID: "nginx", Name: "nginx"}, {ID: "postgresql", Name: "PostgreSQL"}},
	}
	missing := view.OSPage{OSFile: file, May: true, Places: []view.OSPlace{
		{Key: "p00000000001", Node: "pve1", Storage: "local", Free: 70 << 30}, {Key: "p00000000002", Node: "pve2", Storage: "local", Free: 12 << 30},
	}}
	downloading := missing
	downloading.Job = &going
	done := missing
	done.Copies, done.Size, done.Places = get.Copies, 71<<20, missing.Places[1:]
	done.Ended = ended(going, jobs.Succeeded, "")
	failed := missing
	failed.Ended = ended(going, jobs.Failed, "local of pve1: download failed: Cannot write to 'local' (No space left on device)")
	away := create.OSTemplate{Cluster: "home", File: debian.File, Copies: debian.Copies}
	partly := here
	partly.Copies = debian.Copies[1:]
	partly.Ended = ended(transfer(jobs.Remove, away), jobs.Failed, "local of pve1: Permission check failed (/storage/local, Datastore.Allocate)")
	last := here
	last.Offered = proxmox.Appliance{}
	return map[string]chat.Surface{
		"os-templates": list.Panel(), "os-templates-busy": busy.Panel(), "os-templates-unread": unread.Panel(), "os-template": here.Panel(),
		"os-template-missing": missing.Panel(), "os-template-downloading": downloading.Panel(), "os-template-downloaded": done.Panel(),
		"os-template-failed": failed.Panel(), "os-template-partly-removed": partly.Panel(), "os-template-remove": here.Removal("c_9h2k", now),
		"os-template-remove-last": last.Removal("c_9h2k", now), "os-template-busy": downloading.OSBusy(going), "os-template-in-use": here.OSInUse("wiki"),
		"os-template-full": here.OSFull(missing.Places[1]), "os-template-gone": view.NoOSTemplate(),
	}
}

// Whatever Proxmox offers, and whatever its storages hold, is within the limits.
func TestEveryOSTemplateIsWithinTheLimits(t *testing.T) {
	dice := rand.New(rand.NewPCG(7, 2))
	text := func() string { return strings.Repeat(hostile[dice.IntN(len(hostile))], 1+dice.IntN(8)) }
	for round := range 60 {
		file := func(i int) view.OSFile {
			f := view.OSFile{Key: fmt.Sprintf("%012d", i), Cluster: text(), Offered: proxmox.Appliance{Template: text(), Headline: text()}}
			f.File, f.Size = text(), dice.Int64()
			for range dice.IntN(30) {
				f.Copies = append(f.Copies, catalog.Copy{Node: text(), Volume: text() + ":" + text()})
			}
			return f
		}
		spec := create.OSTemplate{Cluster: text(), File: text(), Copies: []catalog.Copy{{Node: text(), Volume: text()}, {Node: text(), Volume: text()}}}
		j := transfer([]jobs.Action{jobs.Download, jobs.Remove}[dice.IntN(2)], spec, text(), strings.Repeat(text(), 40), "999%")
		j.Person.Name, j.Request = text(), text()
		page := view.OSPage{OSFile: file(1), May: true, Admin: true, Older: text()}
		for i := range dice.IntN(60) {
			page.Made = append(page.Made, text())
			page.Fits = append(page.Fits, templates.Template{ID: fmt.Sprint("t", i), Name: text()})
			page.Places = append(page.Places, view.OSPlace{Key: fmt.Sprintf("%012d", i), Node: text(), Storage: text(), Shared: dice.IntN(2) == 0, Free: dice.Int64()})
		}
		l := view.OSTemplates{May: true, Own: dice.IntN(100), Offers: []view.Offered{{Cluster: text(), Offer: catalog.Offer{At: now, Err: fmt.Errorf("%s", text()), Templates: []catalog.OSTemplate{page.OSTemplate}}}, {Cluster: text()}}}
		for i := range dice.IntN(60) {
			l.Here = append(l.Here, file(i))
		}
		for i := range dice.IntN(300) {
			l.Missing = append(l.Missing, file(100+i))
		}
		if len(l.Here) > 0 {
			l.Here[0].Job = &j
		}
		for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
			fits := func(what string, s chat.Surface) {
				t.Helper()
				if err := judges[platform](s); err != nil {
					t.Errorf("round %d, %s, %s: %v", round, platform, what, err)
				}
			}
			l.Space = space
			for l.Page = range 10 {
				l.More = l.Page * 2
				fits("list", l.Panel())
			}
			page.Job, page.Ended = nil, nil
			fits("page", page.Panel())
			fits("question", page.Removal("c_1", now))
			page.Ended = ended(j, []jobs.State{jobs.Succeeded, jobs.Failed}[dice.IntN(2)], text())
			fits("page after it ended", page.Panel())
			page.Job = &j
			fits("page while it goes on", page.Panel())
			fits("busy", page.OSBusy(j))
			fits("in use", page.OSInUse(text()))
		}
	}
}

// Everything that can be downloaded can be chosen, on some page of the list.
func TestEveryDownloadIsOnSomePage(t *testing.T) {
	for _, n := range []int{1, 24, 25, 26, 100, 101, 104, 300} {
		for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
			l := view.OSTemplates{May: true, Space: space}
			for i := range n {
				f := view.OSFile{Key: fmt.Sprintf("%012d", i)}
				f.File = fmt.Sprintf("debian-%d-standard_1_amd64.tar.zst", i)
				l.Missing = append(l.Missing, f)
			}
			seen := map[string]bool{}
			for l.More = 1; l.More > 0; {
				next := 0
				for _, b := range l.Panel().Blocks {
					c, ok := b.(chat.Controls)
					if !ok || c.Select == nil {
						continue
					}
					if most := map[string]int{"slack": 100, "discord": 25}[platform]; len(c.Select.Options) > most {
						t.Errorf("%s: %d options", platform, len(c.Select.Options))
					}
					for _, o := range c.Select.Options {
						if page, leads := strings.CutPrefix(o.Value, "page:"); !leads {
							seen[o.Value] = true
						} else if at := 0; strings.HasPrefix(o.Label, "After") {
							_, _ = fmt.Sscan(page, &at)
							next = at
						}
					}
				}
				l.More = next
			}
			if len(seen) != n {
				t.Errorf("%s: %d of %d can be chosen", platform, len(seen), n)
			}
		}
	}
}

func TestSystemsAreCalledByTheirNames(t *testing.T) {
	for file, want := range map[string]string{
		"debian-13-standard_13.1-2_amd64.tar.zst":         "Debian 13",
		"ubuntu-24.04-standard_24.04-2_amd64.tar.zst":     "Ubuntu 24.04",
		"alpine-3.22-default_20250617_amd64.tar.xz":       "Alpine 3.22",
		"archlinux-base_20250901-1_amd64.tar.zst":         "Arch Linux",
		"rockylinux-9-default_20240912_amd64.tar.xz":      "Rocky Linux 9",
		"debian-12-turnkey-wordpress_18.1-1_amd64.tar.gz": "Debian 12 turnkey wordpress",
		"our-own-image.tar.zst":                           "our-own-image.tar.zst",
		"":                                                "",
	} {
		if got := view.OSName(file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
}
