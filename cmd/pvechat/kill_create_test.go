package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// creation is one whose life is cut at one step: where a task runs, where a
// request to Proxmox is held, or what runs inside the container.
type creation struct {
	step         string
	task         string // its type
	hold         func(s *proxmoxtest.Server, method, path string) *proxmoxtest.Frozen
	method, path string // of the request
	inside       string // part of the script
	failed       string // how it is told that it was not made; "": it is

	name    string
	vmid    int
	person  *daemontest.Person
	frozen  *proxmoxtest.Frozen
	reached chan struct{} // the script
	once    sync.Once
}

const site = `name: Site
os: debian-13-standard
resources: {cores: 1, memory: 512, disk: 4}
packages: {apt: [site]}
files:
  - {target: /etc/site.conf, content: "port = 8080\n"}
scripts:
  - {name: Set up site, run: site-setup}
`

// creations are one for each step that can be held for long. The client of a
// cluster has four requests under way at most, so few hold one; those that hold
// what all go through come last.
func creations() (atTheirs, last []*creation) {
	request, answer := (*proxmoxtest.Server).Freeze, (*proxmoxtest.Server).FreezeAnswer
	atTheirs = []*creation{
		{step: "start, its task known", task: "vzstart"},
		{step: "packages", inside: "apt-get"},
		{step: "script", inside: "site-setup"},
	}
	last = []*creation{
		{step: "make, its task known", task: "vzcreate"},
		{step: "make, its answer lost", hold: answer, method: "POST", path: "/nodes/*/lxc"},
		{step: "make, before the request", hold: request, method: "POST", path: "/nodes/*/lxc", failed: "it was not sent"},
		{step: "OS template", hold: request, method: "GET", path: "/nodes/*/storage/*/content"},
	}
	return atTheirs, last
}

// setUp is what the containers do. The first time that a script comes to where it
// is held, it goes no further.
func setUp(list []*creation, vmid int) func(context.Context, string, guesttest.Stdio) uint32 {
	return func(ctx context.Context, _ string, stdio guesttest.Stdio) uint32 {
		script, _ := io.ReadAll(stdio.In)
		for _, c := range list {
			if c.vmid == vmid && c.inside != "" && strings.Contains(string(script), c.inside) {
				c.once.Do(func() {
					close(c.reached)
					<-ctx.Done()
				})
			}
		}
		return 0
	}
}

// Creations are killed at their steps, by SIGKILL, on both engines; a process that
// starts after it goes on. Each ends well, or it is said that it did not and
// there is a way out; there is one container, and nothing else.
func TestCreationsKilledAtTheirSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a lease of 15 s to end")
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			killedCreations(t, program, engine)
		})
	}
}

func killedCreations(t *testing.T, program string, engine storagetest.Engine) {
	const firstVMID = 100
	first, last := creations()
	all := append(first, last...)
	guests := &guesttest.Server{Errorf: t.Errorf}
	t.Cleanup(func() { _ = guests.Close() })
	address := func(vmid int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 1, byte(vmid)}) }
	w := daemontest.New(t, proxmoxtest.Options{Lease: func(vmid int) string { return address(vmid).String() + "/8" }})
	w.Database, w.Guests, w.Templates = engine.URL(t), guests, t.TempDir()
	if err := os.WriteFile(filepath.Join(w.Templates, "site.yaml"), []byte(site), 0o600); err != nil {
		t.Fatal(err)
	}
	var people []*daemontest.Person
	for _, on := range daemontest.Platforms {
		people = append(people, w.Person(on, "Ana", "admin"))
	}
	var addrs []netip.Addr
	for i, c := range all {
		c.vmid, c.person, c.reached = firstVMID+i, people[i%len(people)], make(chan struct{})
		c.name = fmt.Sprintf("site%d", c.vmid)
		addrs = append(addrs, address(c.vmid))
		guests.Put(address(c.vmid), guesttest.Guest{Exec: setUp(all, c.vmid)})
	}
	w.Listen(addrs...)
	begin := func(list ...*creation) {
		for _, c := range list {
			if c.hold != nil {
				c.frozen = c.hold(w.PVE, c.method, c.path)
			}
			c.person.Creates()
			c.person.Review("site", "Site", c.name).Deploy()
			if c.task == "vzstart" {
				c.startsSlowly(t, w)
			}
		}
		for _, c := range list {
			c.stand(t, w)
		}
	}
	process := w.Start(program)
	begin(first...)
	w.PVE.Hold(true) // what is asked for from now on stays at its beginning
	for _, c := range last {
		begin(c)
	}
	process.Kill()
	w.PVE.Recover()
	w.PVE.Hold(false)
	w.Start(program)
	w.AwaitNone(`SELECT count(*) FROM jobs WHERE fence = 1 AND finished_at IS NULL`)
	w.AwaitNone(`SELECT count(*) FROM jobs WHERE finished_at IS NULL`)
	w.Told()

	made := 0
	for _, c := range all {
		t.Run(c.step, func(t *testing.T) { made += c.judge(t, w.For(t)) })
	}
	for _, task := range w.PVE.Tasks() {
		if task.Type == "vzcreate" {
			made--
		}
	}
	if made != 0 {
		t.Errorf("%d containers more were made than there should be", -made)
	}
	for _, v := range w.PVE.Volumes("local-lvm") {
		t.Errorf("a volume is left: %+v", v)
	}
	w.AwaitNone(`SELECT count(*) FROM containers WHERE state = 'creating' AND gone_at IS NULL`)
	w.Correct()
}

// startsSlowly makes the container of a creation need 20 s for its start, at
// this scale.
func (c *creation) startsSlowly(t *testing.T, w *daemontest.World) {
	t.Helper()
	if _, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == "vzcreate" && t.VMID == c.vmid }); err != nil {
		t.Fatal(err)
	}
	w.PVE.Update(c.vmid, func(ct *proxmoxtest.Container) { ct.StartTakes = 2000 * time.Second })
}

// stand waits until a creation stands at its step.
func (c *creation) stand(t *testing.T, w *daemontest.World) {
	t.Helper()
	var err error
	switch ctx := w.Patience(); {
	case c.frozen != nil:
		err = c.frozen.Await(ctx)
	case c.inside != "":
		select {
		case <-c.reached:
		case <-ctx.Done():
			err = ctx.Err()
		}
	default: // it is asked about once it is written down
		_, err = w.PVE.AwaitRequest(ctx, func(r proxmoxtest.Request) bool {
			return strings.Contains(r.Path, fmt.Sprintf(":%s:%d:", c.task, c.vmid))
		})
	}
	if err != nil {
		t.Fatalf("%s is not reached: %v", c.step, err)
	}
}

// judge looks at what became of it, and returns how many containers there are.
func (c *creation) judge(t *testing.T, w *daemontest.World) (made int) {
	p := c.person.For(t)
	ct, there := w.PVE.Container(c.vmid)
	tasks := strings.Join(w.Tasks(c.vmid), " ")
	if c.failed != "" {
		if !p.Sees("Creating "+c.name+" failed", c.failed, "No container was made").Offers("Try again…") {
			t.Error("there is no way out")
		}
		if there || tasks != "" {
			t.Errorf("it was not made, and there is %+v after %s", ct, tasks)
		}
		return 0
	}
	p.Sees("Created " + c.name)
	if !there || !ct.Running || ct.Name != c.name || tasks != "vzcreate vzstart" {
		t.Errorf("%v %+v after %s", there, ct, tasks)
	}
	if told, going := p.Count("Created "+c.name), p.Count("Creating "+c.name); told != 1 || going != 0 {
		t.Errorf("its end is told %d times, and %d messages say that it is being created", told, going)
	}
	return 1
}
