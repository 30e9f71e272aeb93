package handlers_test

import (
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// Whatever is in the way of an action, the person hears what it was and what to
// do, and Proxmox has done nothing.
func TestEachThingInTheWayHasItsSentenceAndItsAdvice(t *testing.T) {
	const wiki, web = 102, 101 // stopped, running
	act := func(vmid int, route string) func(*world) {
		return func(w *world) {
			w.do("ana", chat.Invocation{
				Kind: chat.Pressed, Action: w.id(vmid) + ":" + route, Confirmed: true,
				Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, ID: "b"},
			})
		}
	}
	remove := func(vmid int, name string) func(*world) {
		return func(w *world) {
			form := w.press("ana", w.id(vmid)+":delete").Now.(chat.Form)
			w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, Values: map[string]string{"name": name}})
		}
	}
	locked := func(by string) func(*world) {
		return func(w *world) { w.pve.Update(wiki, func(c *proxmoxtest.Container) { c.Lock = by }) }
	}
	refreshed := func(then func(*world)) func(*world) {
		return func(w *world) { then(w); w.refresh() }
	}
	seen := map[string]string{}
	for _, test := range []struct {
		is     string
		before func(*world)
		act    func(*world)
		says   string
		do     string
	}{
		{"locked by a backup", locked("backup"), act(wiki, "start"), "is locked (backup)", "Wait until the backup has ended"},
		{"locked by a snapshot", locked("snapshot"), act(wiki, "start"), "is locked (snapshot)", "Wait until the snapshot has ended"},
		{"locked by a migration", locked("migrate"), act(wiki, "start"), "is locked (migrate)", "Wait until it has moved"},
		{"locked by a rollback", locked("rollback"), act(wiki, "start"), "is locked (rollback)", "Wait until it has been rolled back"},
		{"locked, and known to be", refreshed(locked("disk")), act(wiki, "start"), "it is locked (disk)", "Something else works on it"},
		{"protected", func(w *world) { w.pve.Update(wiki, func(c *proxmoxtest.Container) { c.Protection = true }) }, remove(wiki, "wiki"), "protection mode enabled", "Switch its protection off"},
		{"a template", func(w *world) { w.pve.Update(wiki, func(c *proxmoxtest.Container) { c.Template = true }) }, act(wiki, "start"), "template", "Clone the template"},
		{"its node is down", func(w *world) { w.pve.Fail("GET", "/nodes/*/lxc/*/status/current", 595, "No route to host", -1) }, act(wiki, "start"), "node pve1 does not answer the rest of its cluster", "Look at that node's power"},
		{"no quorum", func(w *world) { w.pve.Quorum(false) }, act(wiki, "start"), "no quorum", "lost its quorum"},
		{"a privilege is missing", func(w *world) {
			w.pve.Token(token, "secret", map[string][]string{"/": {"VM.Audit", "Sys.Audit"}})
		}, act(wiki, "start"), "Permission check failed (/vms/102, VM.PowerMgmt)", "grant VM.PowerMgmt on /vms/102"},
		{"gone", func(w *world) { w.pve.RemoveContainer(wiki) }, act(wiki, "start"), "does not exist", "It was removed, or moved away"},
		{"replaced", func(w *world) {
			w.learn()
			w.pve.RemoveContainer(wiki)
			w.pve.AddContainer(proxmoxtest.Container{VMID: wiki, Node: "pve1", Name: "wiki"})
		}, act(wiki, "start"), "was replaced by another one", "Open the board"},
		{"in use by a clone", func(w *world) {
			w.pve.Fail("DELETE", "/nodes/*/lxc/*", 500, "base volume 'local-lvm:base-102-disk-0' is still in use by linked clones", -1)
		}, remove(wiki, "wiki"), "still in use by linked clones", "Delete the containers that were cloned from it"},
		{"its snapshot is in use", func(w *world) {
			w.pve.Fail("DELETE", "/nodes/*/lxc/*", 500, "can't remove snapshot 'before' - dataset is busy", -1)
		}, remove(wiki, "wiki"), "dataset is busy", "A snapshot of it is in use"},
	} {
		t.Run(test.is, func(t *testing.T) {
			w := newWorld(t)
			test.before(w)
			test.act(w)
			w.settled()
			told := w.last()
			says(t, told, test.says)
			says(t, told, "→ ")
			says(t, told, test.do)
			_, do, _ := strings.Cut(text(told), "→ ")
			do, _, _ = strings.Cut(do, "\n")
			if other := seen[do]; other != "" {
				t.Errorf("it has the advice of %q: %s", other, do)
			}
			seen[do] = test.is
			if c, there := w.pve.Container(wiki); there && c.Running || test.is != "gone" && !there {
				t.Errorf("it was done all the same: %+v", c)
			}
			if len(w.inv.Snapshot().Find("wiki")) == 0 && test.is != "replaced" {
				t.Error("its row is gone")
			}
		})
	}

	t.Run("moved meanwhile, it is followed", func(t *testing.T) {
		w := newWorld(t)
		w.pve.AddNode("pve2")
		w.pve.Update(wiki, func(c *proxmoxtest.Container) { c.Node = "pve2" })
		act(wiki, "start")(w)
		w.settled()
		says(t, w.last(), "Started wiki")
		if c, _ := w.pve.Container(wiki); !c.Running || w.tasks(wiki, "vzstart") != 1 {
			t.Errorf("it was not started: %+v", c)
		}
	})
	t.Run("Proxmox is away, and nothing is removed here", func(t *testing.T) {
		w := newWorld(t)
		form := w.press("ana", w.id(web)+":delete").Now.(chat.Form)
		w.pve.Down(true)
		w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, Values: map[string]string{"name": "web"}})
		w.settled()
		says(t, w.last(), "Could not delete web")
		if len(w.inv.Snapshot().Find("web")) != 1 {
			t.Error("its row is gone")
		}
	})
}

// learn reads the fingerprints, as a refresh does a few at a time.
func (w *world) learn() {
	w.t.Helper()
	for c := range w.inv.Snapshot().WorstFirst() {
		cfg, err := w.client.ContainerConfig(w.t.Context(), c.Ref())
		if err == nil {
			_, err = w.inv.Identify(w.t.Context(), c.ID, cfg)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

func TestWhoDeletedStaysInTheAudit(t *testing.T) {
	w := newWorld(t)
	form := w.press("ana", w.id(102)+":delete").Now.(chat.Form)
	w.do("ana", chat.Invocation{Kind: chat.Submitted, Action: form.ID, Values: map[string]string{"name": "wiki"}})
	w.settled()
	if len(w.inv.Snapshot().Find("wiki")) != 0 {
		t.Fatal("it is still there")
	}
	entries, err := w.db.Audit(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Action == "delete" && e.PersonID == "ana" && e.Outcome == "accepted" && strings.Contains(e.Target, "wiki (CT 102") {
			return
		}
	}
	t.Errorf("the audit does not say who: %+v", entries)
}
