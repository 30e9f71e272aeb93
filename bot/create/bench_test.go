package create_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// instant is a cluster and its guests that take no time: what is left of a
// creation is pvechat's own.
type instant struct{ lines int } // that each script prints

const upid = "UPID:pve1:000A1B2C:01234567:6745A1B2:vzcreate:150:" + token + ":"

func (instant) Name() string { return "home" }

func (instant) Resources(context.Context) (proxmox.Resources, error) {
	r := proxmox.Resources{At: time.Now(), Nodes: []proxmox.Node{{Name: "pve1", Status: "online"}}}
	r.Storages = []proxmox.Storage{{Name: "local", Node: "pve1", Status: "available", Content: "vztmpl,rootdir", Size: 1 << 40}}
	for i := range 300 {
		r.Containers = append(r.Containers, proxmox.Container{VMID: 1000 + i, Node: "pve1", Name: fmt.Sprint("ct-", i), Status: "running"})
	}
	return r, nil
}

func (instant) OSTemplates(context.Context, string, string) ([]proxmox.Volume, error) {
	return []proxmox.Volume{{ID: "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"}}, nil
}

func (instant) NextID(context.Context) (int, error) { return 150, nil }
func (instant) Download(context.Context, string, string, string) (proxmox.UPID, error) {
	return upid, nil
}

func (instant) Remove(context.Context, string, proxmox.Volume) (proxmox.UPID, error) {
	return upid, nil
}

func (instant) Create(context.Context, proxmox.NewContainer) (proxmox.UPID, error) { return upid, nil }

func (instant) Power(context.Context, proxmox.Ref, proxmox.PowerAction) (proxmox.UPID, error) {
	return upid, nil
}

func (instant) ContainerStatus(context.Context, proxmox.Ref) (s proxmox.ContainerStatus, err error) {
	s.Status = "running"
	return s, nil
}

func (instant) ContainerConfig(context.Context, proxmox.Ref) (proxmox.ContainerConfig, error) {
	return proxmox.ContainerConfig{}, nil
}

func (instant) Interfaces(context.Context, proxmox.Ref) ([]proxmox.Interface, error) {
	return []proxmox.Interface{{Name: "eth0", Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.150/24")}}}, nil
}

func (instant) TaskStatus(context.Context, proxmox.UPID) (proxmox.TaskStatus, error) {
	return proxmox.TaskStatus{Exit: "OK"}, nil
}

func (instant) TaskLog(context.Context, proxmox.UPID, int, int) (proxmox.TaskLog, error) {
	return proxmox.TaskLog{Lines: []string{"extracting archive", "TASK OK"}, Total: 2}, nil
}

func (instant) Tasks(context.Context, string, proxmox.TaskFilter) ([]proxmox.Task, error) {
	return nil, nil
}

func (g instant) Run(_ context.Context, _ guest.Target, s guest.Script) error {
	for i := range g.lines {
		s.Line(fmt.Sprintf("Setting up package %d (1.2.3-4) ...", i))
	}
	return nil
}

func (instant) Put(context.Context, guest.Target, guest.File) error { return nil }
func (instant) Ping(context.Context, guest.Target) error            { return nil }
func (instant) AuthorizedKey() (string, error)                      { return "ssh-ed25519 AAAA pvechat", nil }

// BenchmarkCreation is all of a creation that is neither Proxmox' nor the
// guest's, from its reservation to its end: ten steps, 1,500 lines of output, on
// SQLite, beside 300 other containers.
func BenchmarkCreation(b *testing.B) {
	l := newTemplates(b)
	db, log := storagetest.Open(b), slog.New(slog.DiscardHandler)
	pve := instant{lines: 500}
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{pve}, Store: db, Every: 30 * time.Second, Log: log})
	if _, err := inv.Refresh(b.Context(), "home"); err != nil {
		b.Fatal(err)
	}
	ended := make(chan jobs.Job)
	runner := jobs.New(jobs.Config{
		Store: db, Events: db, Inventory: inv, Holder: "bench", Now: time.Now, Log: log, Clusters: map[string]jobs.Proxmox{"home": nobody{}},
		Told: func(_ context.Context, j jobs.Job) error { ended <- j; return nil },
		Maker: create.New(create.Config{
			Clusters: map[string]create.Proxmox{"home": pve}, TokenUser: map[string]string{"home": token}, Guests: map[string]create.Guest{"home": pve},
			Templates: func() *templates.Library { return l }, Catalog: catalog.New(catalog.Config{}), Inventory: inv, Events: db, HostKeys: db,
			Now: time.Now, Log: log,
			Show: func(context.Context, jobs.Job, create.Progress) (create.Message, error) {
				return create.Message{Platform: "slack", Channel: "C1", ID: "1"}, nil
			},
		}),
	})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = runner.Run(ctx) }()
	defer func() { cancel(); <-done }()
	vmid := 2000
	for b.Loop() {
		vmid++
		spec := wanted()
		r := spec.Record()
		r.VMID, r.Hostname = vmid, fmt.Sprint("wiki-", vmid)
		c, err := inv.Reserve(ctx, r)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := runner.Submit(ctx, jobs.Ask{Container: c, Action: jobs.Create, Spec: spec.String(), Person: chat.Person{Platform: chat.Slack, ID: "U1", Name: "Ana"}}); err != nil {
			b.Fatal(err)
		}
		if j := <-ended; j.State != jobs.Succeeded {
			b.Fatalf("%s: %s", j.State, j.Error)
		}
	}
}

// nobody is asked nothing.
type nobody struct{ jobs.Proxmox }
