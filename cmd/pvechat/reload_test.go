package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// SIGHUP takes new rules, and keeps the old ones where the file is broken,
// names nobody, or would lock every admin out; the ops channels hear of it.
func TestASignalReadsTheAccessRulesAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program")
	}
	binary, err := daemontest.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	ana, dora := w.Person(daemontest.Slack, "Ana", "admin"), w.Person(daemontest.Discord, "Dora", "admin")
	ben, dan := w.Person(daemontest.Slack, "Ben", ""), w.Person(daemontest.Discord, "Dan", "")
	p := w.Start(binary)
	file := p.Args[len(p.Args)-1]
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	for _, outside := range []*daemontest.Person{ben, dan} {
		outside.Command("show web")
		outside.Sees("Not allowed", outside.ID)
	}

	more := string(was) + "  - {role: viewer, slack: {users: [" + ben.ID + "]}, discord: {users: [\"" + dan.ID + "\"]}}\n"
	for name, broken := range map[string]string{
		"it is no YAML":     more + "]",
		"nobody is called ": more + "  - {role: viewer, slack: {users: [U0NOBODY1]}}\n",
		"no such role ":     more + "  - {role: viewer, discord: {roles: [\"999\"]}}\n",
		"no admin is left ": strings.ReplaceAll(more, "role: admin", "role: viewer"),
	} {
		reload(broken)
		for _, admin := range []*daemontest.Person{ana, dora} {
			admin.Sees("The new access rules were not taken", "The ones before stay in force")
		}
		ben.Command("show web")
		if n := ben.Count("Hostname web"); n != 0 {
			t.Errorf("%s: the rules were taken all the same", name)
		}
		reload(string(was))
		for _, admin := range []*daemontest.Person{ana, dora} {
			admin.Sees("Resolved: the access rules are right again")
			admin.Until("no refusal is left", func() bool { return admin.Count("The new access rules were not taken") == 0 })
		}
	}

	reload(more)
	for _, now := range []*daemontest.Person{ben, dan} {
		now.Until("the new rules", func() bool {
			now.Command("show web")
			return now.Count("Hostname web") > 0
		})
	}
	ana.Command("access")
	ana.Sees("Who may do what", "viewer for every container", "slack:"+ben.ID)
	dora.Command("access " + dan.ID)
	dora.Sees("What "+dan.ID+" may do", "viewer")
	ben.Command("access")
	ben.Sees("needs the admin role")
	w.Correct()
}
