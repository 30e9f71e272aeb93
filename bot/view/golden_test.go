package view_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	now  = time.Date(2026, 11, 23, 14, 32, 5, 0, time.UTC)
	ana  = chat.Person{Platform: chat.Slack, ID: "U0ANA0001", Name: "Ana"}
	onS  = chat.Space{Board: 12, Panel: 30, Home: 30, Events: 10, ControlsFirst: true}
	onD  = chat.Space{Board: 8, Panel: 8, Jump: 25, Events: 6, Pictures: true}
	evil = "*x*@everyone<!channel>`"
)

// source is a cluster that says what it is told to say.
type source struct {
	res proxmox.Resources
	err error
}

func (*source) Name() string { return "home" }
func (s *source) Resources(context.Context) (proxmox.Resources, error) {
	return s.res, s.err
}

// store gives every process the same own ids, so that golden files stand.
type store struct{ records []inventory.Record }

func (s store) Containers(context.Context, string) ([]inventory.Record, error) { return s.records, nil }
func (store) Save(context.Context, []inventory.Record) error                   { return nil }
func (store) ClaimTick(context.Context, string, time.Duration) (bool, error)   { return true, nil }

// homelab is the fleet of the screens.
func homelab(tb testing.TB, containers []proxmox.Container, down bool) *inventory.Inventory {
	tb.Helper()
	src := &source{res: proxmox.Resources{At: now, Containers: containers, Nodes: []proxmox.Node{
		{Name: "pve1", Status: "online"}, {Name: "pve2", Status: "online"}, {Name: "pve3", Status: "online"},
	}}}
	var known store
	for i, c := range containers {
		r := inventory.Record{ID: inventory.ID(fmt.Sprintf("id%06d", i+101)), Cluster: "home", VMID: c.VMID, Hostname: c.Name, Node: c.Node, FirstSeen: now, SeenAt: now}
		if c.Name == "mail" {
			r.Trouble, r.TroubleAt = "start failed · CT is locked (backup)", now.Add(-6*time.Minute)
		}
		known.records = append(known.records, r)
	}
	clock := now
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{src}, Store: known, Every: 30 * time.Second, Now: func() time.Time { return clock }})
	if _, err := inv.Refresh(tb.Context(), "home"); err != nil {
		tb.Fatal(err)
	}
	if down {
		clock = now.Add(6 * time.Minute)
		src.err = fmt.Errorf("dial tcp: connection refused")
		if _, err := inv.Refresh(tb.Context(), "home"); err != nil {
			tb.Fatal(err)
		}
	}
	return inv
}

func running(vmid int, name, node string, cpu, mem, disk float64) proxmox.Container {
	return proxmox.Container{
		VMID: vmid, Name: name, Node: node, Status: "running", CPU: cpu / 100, MaxCPU: 2, Mem: int64(mem / 100 * (2 << 30)), MaxMem: 2 << 30,
		Disk: int64(disk / 100 * (32 << 30)), MaxDisk: 32 << 30, Uptime: 300000,
	}
}

func stopped(vmid int, name, node string) proxmox.Container {
	return proxmox.Container{VMID: vmid, Name: name, Node: node, Status: "stopped", MaxCPU: 2, MaxMem: 1 << 30, MaxDisk: 8 << 30}
}

func fleet() []proxmox.Container {
	list := []proxmox.Container{
		running(101, "adguard", "pve1", 4, 38, 21), running(102, "authelia", "pve1", 1, 22, 34), running(105, "home-assistant", "pve1", 23, 71, 58),
		running(106, "immich", "pve3", 78, 83, 69), running(107, "influxdb", "pve2", 12, 91, 52), running(111, "photoprism", "pve3", 3, 40, 93),
		stopped(117, "mail", "pve2"),
		{VMID: 118, Node: "pve2", Status: "unknown"},
		{VMID: 125, Node: "pve1", Status: "unknown", Lock: "create"},
		stopped(120, "minecraft", "pve3"), stopped(122, evil, "pve1"), stopped(123, "staging-eu-west-customer-portal-with-a-very-long-host-name-0001", "pve2"),
		running(109, "nextcloud", "pve1", 18, 69, 77), running(112, "postgres", "pve1", 70, 90, 91),
	}
	fresh := running(108, "jellyfin", "pve3", 64, 55, 88)
	fresh.Uptime = 12 * 60
	return append(list, fresh)
}

func find(tb testing.TB, inv *inventory.Inventory, name string) *inventory.Container {
	tb.Helper()
	list := inv.Snapshot().Find(name)
	if len(list) != 1 {
		tb.Fatalf("%d containers %s", len(list), name)
	}
	return list[0]
}

// hour is an hour in which the load rose; in its first third it did not run.
func hour() []proxmox.Sample {
	var list []proxmox.Sample
	for i := range 60 {
		list = append(list, proxmox.Sample{
			Time: now.Add(time.Duration(i-59) * time.Minute), Measured: i >= 20, CPU: float64(i) / 60, Mem: int64(1+i/30) << 29, MaxMem: 2 << 30,
		})
	}
	return list
}

// hostKey is a key that nobody has.
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

// inside is what runs in the container of the screens.
func inside(id inventory.ID) *services.Report {
	at := func(s, web string) guest.Port {
		place := netip.MustParseAddrPort(s)
		return guest.Port{Addr: place.Addr(), Port: place.Port(), Web: web}
	}
	unit := func(name string, state guest.ServiceState, system bool, ports ...guest.Port) services.Service {
		return services.Service{Service: guest.Service{Kind: guest.Systemd, Unit: name + ".service", Name: name, State: state, System: system, Ports: ports}}
	}
	r := &services.Report{
		Container: id, CheckedAt: now.Add(-95 * time.Second), TriedAt: now.Add(-95 * time.Second), Took: 2600 * time.Millisecond,
		Addrs: []netip.Addr{netip.MustParseAddr("192.168.10.48"), netip.MustParseAddr("fd00::48")},
		Services: []services.Service{
			unit("jellyfin", guest.ServiceRunning, false, at("0.0.0.0:8096", "http")),
			unit("nginx", guest.ServiceRunning, false, at("0.0.0.0:80", "http"), at("[::]:443", "https")),
			unit("smbd", guest.ServiceStopped, false, at("0.0.0.0:445", "")),
			{Service: guest.Service{Kind: guest.Process, Unit: "redis-server", Name: "redis-server", State: guest.ServiceRunning, Ports: []guest.Port{at("127.0.0.1:6379", "")}}},
			unit("cron", guest.ServiceRunning, true), unit("ssh", guest.ServiceRunning, true, at("0.0.0.0:22", "")), unit("systemd-logind", guest.ServiceFailed, true),
		},
	}
	r.Services[2].GoneAt = now.Add(-3 * time.Hour)
	return r
}

// screens are all views, for one platform's space.
func screens(tb testing.TB, space chat.Space) map[string]chat.Surface {
	inv := homelab(tb, fleet(), false)
	jelly := find(tb, inv, "jellyfin")
	game := find(tb, inv, "minecraft")
	board := view.Board{Fleet: inv.Snapshot(), Space: space, Every: 30 * time.Second, Now: now, Changed: now, Creates: true}
	starting := jobs.Job{
		ID: "j1", Container: game.ID, Cluster: "home", Node: "pve3", VMID: 120, Name: "minecraft", Action: jobs.Start, State: jobs.Running,
		Person: ana, Request: "e7k2m9", CreatedAt: now.Add(-4 * time.Second),
	}
	busy := board
	busy.Busy = map[inventory.ID]jobs.Job{game.ID: starting}
	only := func(filter string) view.Board { b := board; b.Filter = filter; return b }
	empty := board
	empty.Fleet = homelab(tb, nil, false).Snapshot()
	stale := board
	stale.Fleet = homelab(tb, fleet(), true).Snapshot()

	cfg := proxmox.ContainerConfig{
		Hostname: "jellyfin", OSType: "debian", Cores: 2, Memory: 2048, Swap: 512, Features: []string{"nesting", "keyctl"}, OnBoot: true, Unprivileged: true,
		RootFS:   proxmox.Mount{Key: "rootfs", Volume: "local-lvm:vm-108-disk-0", Storage: "local-lvm", Size: 32 << 30},
		Mounts:   []proxmox.Mount{{Key: "mp0", Volume: "tank:subvol-108-disk-1", Storage: "tank", Path: "/srv/media", Size: 500 << 30}},
		Networks: []proxmox.Network{{Key: "net0", Name: "eth0", Bridge: "vmbr0", IP: "dhcp", HWAddr: "BC:24:11:AA:BB:CC"}},
	}
	detail := view.Detail{
		Container: jelly, Tab: view.TabOverview, Viewer: ana.Key(), Space: space, Every: 30 * time.Second, Now: now, Config: &cfg,
		Status: &proxmox.ContainerStatus{Swap: 16 << 20, MaxSwap: 512 << 20}, Addrs: []netip.Prefix{netip.MustParsePrefix("192.168.10.48/24")}, Hour: hour(),
	}
	opening := detail
	opening.Config, opening.Status, opening.Addrs, opening.Hour = nil, nil, nil, nil
	begun := opening
	begun.Busy = &jobs.Job{ID: "j8k2", Action: jobs.Create, Person: ana, CreatedAt: now, Progress: creating(wizard(tb, inv.Snapshot()), jelly.ID).Progress.String()}
	stopped := detail
	stopped.Unfinished = &jobs.Job{ID: "j8k2", Action: jobs.Create, State: jobs.Failed, Error: "Install packages: exit code 100: mirror.example cannot be reached"}
	stopped.May = func(p access.Permission) bool { return p != access.Create }
	shared := detail
	shared.SharedBy = "Ana"
	found := inside(jelly.ID)
	lists := board
	lists.Services = func(id inventory.ID) *services.Report {
		if id == jelly.ID {
			return found
		}
		return nil
	}
	inner := detail
	inner.Tab, inner.Services = view.TabServices, view.Services{Report: found, Reach: true, Show: view.ShowServices}
	shows := func(change func(*view.Detail, *services.Report)) chat.Surface {
		d, r := inner, *found
		d.Services.Report = &r
		change(&d, &r)
		return d.Panel()
	}
	events := detail
	events.Tab = view.TabEvents
	events.Events = view.Events{
		Filter: "error", Loaded: true, More: true, Counts: map[inventory.EventType]int{inventory.EventLog: 21, inventory.EventStep: 14, inventory.EventComplete: 9, inventory.EventError: 4},
		Page: []inventory.Event{
			{Seq: 9, At: now.Add(-6 * time.Minute), Type: inventory.EventError, Text: "Start failed: CT is locked (backup)", Actor: "Ana"},
			{Seq: 5, At: now.Add(-72 * time.Hour), Type: inventory.EventError, Text: "Snapshot failed: <!channel> *no space left* on device", Actor: "Ben"},
		},
	}
	failed := starting
	failed.State, failed.Error, failed.FinishedAt = jobs.Failed, "CT is locked (backup)", now
	died := failed
	died.UPID, died.Error, died.Tail = "UPID:pve3:000A1B2C:01234567:6745A1B2:vzstart:120:pvechat@pve!bot:", "startup for container '120' failed", []string{
		"run_buffer: 571 Script exited with status 1", "lxc_init: 845 Failed to run lxc.hook.pre-start for container \"120\"", "TASK ERROR: startup for container '120' failed",
	}
	moot := starting
	moot.State, moot.Error, moot.FinishedAt = jobs.Moot, "it is running already", now
	unknown := starting
	unknown.State, unknown.Error, unknown.FinishedAt = jobs.Lost, "several tasks could be the one that was asked for", now
	half := view.Batch{Action: jobs.Stop, Size: 15, Skipped: []view.Skipped{{Name: "mail", Why: "it is locked (backup)"}}}
	for i := range 14 {
		j := starting
		j.Name, j.FinishedAt = fmt.Sprintf("ct-%d", i+1), time.Time{}
		if i < 5 {
			j.State, j.FinishedAt = jobs.Succeeded, now
		}
		half.Jobs = append(half.Jobs, j)
	}
	whole := half
	whole.Jobs, whole.Final, whole.Took = slices.Clone(half.Jobs), true, 75*time.Second
	for i := range whole.Jobs {
		whole.Jobs[i].State, whole.Jobs[i].FinishedAt = jobs.Succeeded, now
		if i == 3 {
			whole.Jobs[i].State, whole.Jobs[i].Error = jobs.Failed, "Permission check failed (/vms/104, VM.PowerMgmt)"
		}
	}
	left := view.Deletion{Container: jelly, Token: "c_7p3z", Config: &cfg, Too: true, Leftovers: []proxmox.Volume{
		{ID: "tank:subvol-108-disk-7", Storage: "tank", Size: 64 << 30}, {ID: "nfs:108/vm-108-disk-2.raw", Storage: "nfs", Size: 4 << 30},
	}}
	done := starting
	done.State, done.FinishedAt = jobs.Succeeded, now.Add(8*time.Second)
	shutdown := starting
	shutdown.Container, shutdown.VMID, shutdown.Name, shutdown.Action = jelly.ID, 108, "jellyfin", jobs.Shutdown
	hung := shutdown
	hung.State, hung.Error, hung.UPID, hung.FinishedAt = jobs.Failed, "container did not stop", "UPID:x", now.Add(31*time.Second)
	rules := []access.Selector{{Kind: "tag", Value: "media"}}
	unfinished := find(tb, inv, "125")
	making := board
	made := creating(wizard(tb, inv.Snapshot()), unfinished.ID)
	made.Job.Progress = made.Progress.String()
	making.Busy = map[inventory.ID]jobs.Job{unfinished.ID: made.Job}
	all := map[string]chat.Surface{
		"board-creating": making.Message(),
		"board":          board.Message(),
		"board-starting": busy.Message(),
		"board-empty":    empty.Message(),
		"board-stale":    stale.Message(),
		"own-stopped":    only("stopped").Panel(),
		"own-no-match": func() chat.Surface {
			b := only("error")
			b.Fleet = homelab(tb, fleet()[:6], false).Snapshot()
			return b.Panel()
		}(),
		"home":              board.Home(),
		"board-services":    lists.Message(),
		"services":          inner.Panel(),
		"services-unknown":  shows(func(d *view.Detail, _ *services.Report) { d.Services.Report = nil }),
		"services-scanning": shows(func(d *view.Detail, _ *services.Report) { d.Services.Report, d.Services.Scanning = nil, true }),
		"services-refused": shows(func(_ *view.Detail, r *services.Report) {
			r.Problem, r.TriedAt, r.CheckedAt = guest.Refused, now, now.Add(-time.Hour)
		}),
		"services-host-key": shows(func(_ *view.Detail, r *services.Report) {
			r.Problem, r.TriedAt, r.HostKey = guest.HostKeyChanged, now, hostKey
		}),
		"services-no-ssh": shows(func(d *view.Detail, _ *services.Report) { d.Services.Report, d.Services.Reach = nil, false }),
		"services-system": shows(func(d *view.Detail, _ *services.Report) { d.Services.Show = view.ShowSystem }),
		"services-many": shows(func(_ *view.Detail, r *services.Report) {
			r.Missing, r.More = []string{guest.LacksInit, guest.LacksWeb}, 200
			for i := range 30 {
				r.Services = append(r.Services, services.Service{Service: guest.Service{Kind: guest.Docker, Unit: evil, Name: fmt.Sprintf("%s-%d", evil, i), State: guest.ServiceRunning}})
			}
		}),
		"logs":              view.Logs(jelly, found.Services[0], []string{"2026-11-23T14:31:00 started", "token=[redacted] " + evil}, now),
		"logs-none":         view.NoLogs(jelly, found.Services[0], guest.Refused, "e7k2m9"),
		"host-key":          view.TrustHostKey(jelly, hostKey, "0123456789abcdef", true),
		"alert-host-key":    told(view.HostKeyChanged(jelly, hostKey)).Message(),
		"alert-node-key":    told(view.NodeKeyChanged("home", "pve1")).Message(),
		"alert-services":    told(view.ServicesDown(jelly, found.Services[2:3])).Message(),
		"detail":            detail.Panel(),
		"detail-opening":    opening.Panel(),
		"detail-creating":   begun.Panel(),
		"detail-unfinished": stopped.Panel(),
		"shared":            shared.Shared(),
		"graph":             view.Graph(jelly, proxmox.Day, hour(), []byte("PNG")),
		"graph-drawing":     view.Graph(jelly, proxmox.Hour, nil, nil),
		"detail-events":     events.Panel(),
		"event":             view.EventDetails(jelly, events.Events.Page[0], ""),
		"confirm-stop":      view.Confirm(jelly, jobs.Stop, "c_9h2k", now),
		"confirm-shutdown":  view.Confirm(jelly, jobs.Shutdown, "c_9h2k", now),
		"progress":          view.Progress(game, starting, "", now),
		"progress-shutdown": view.Progress(jelly, shutdown, "c_4m1x", now),
		"outcome-done":      view.AsMessage(view.Outcome(game, done, "")),
		"outcome-failed":    view.AsMessage(view.Outcome(game, failed, "")),
		"outcome-node": view.AsMessage(view.Outcome(game, func() jobs.Job {
			j := failed
			j.Error = "node pve3 does not answer the rest of its cluster: no route to host (595)"
			return j
		}(), "")),
		"outcome-task":     view.AsMessage(view.Outcome(game, died, "")),
		"outcome-hung":     view.AsMessage(view.Outcome(jelly, hung, "c_4m1x")),
		"delete":           view.Deletion{Container: jelly, Token: "c_7p3z", Config: &cfg, Snapshots: 2}.Form(),
		"delete-leftovers": left.Form(),
		"outcome-moot":     view.AsMessage(view.Outcome(game, moot, "")),
		"outcome-unknown":  view.AsMessage(view.Outcome(game, unknown, "")),
		"several-ask": view.Several{
			Action: jobs.Stop, Containers: []*inventory.Container{jelly, find(tb, inv, "adguard")}, LeftOut: 2, Token: "c_8s2v", Now: now,
			Skipped: []view.Skipped{{Name: "minecraft", Why: "it is not running"}, {Name: evil, Why: "it is not running"}, {Name: "mail", Why: "it is locked (backup)"}},
		}.Ask(),
		"several-nothing":  view.Several{Action: jobs.Start, LeftOut: 1, Now: now}.Ask(),
		"several-progress": half.Panel(),
		"several-done":     whole.Panel(),
		"several-pick":     board.Pick([]string{string(jelly.ID)}, "c_8s2v", "b.all.worst.1"),
		"task-log":         view.TaskLog(died, logOf(60), 1),
		"credentials": view.AsMessage(view.Revealed(jelly, []view.Credentials{{Service: "jellyfin", Values: []view.Credential{
			{Key: "User", Value: chat.NewSecret("admin")}, {Key: "Password", Value: chat.NewSecret("q7`V|$d P2w*x*_9 <b>&8")},
		}}}, view.RevealNotes{Hides: true}, now)),
		"credentials-entered": view.Revealed(jelly, []view.Credentials{{Service: "router", Entered: true, Values: []view.Credential{{Key: "PIN", Value: chat.NewSecret("0042")}}}},
			view.RevealNotes{Hides: true, Keeps: true, Locked: true}, now),
		"credentials-kept":   view.Kept(jelly, "router", "PIN", false),
		"credentials-hidden": view.Hidden(jelly),
		"denied":             view.Denied(ana, access.Viewer, access.Operator, "p4w8c2"),
		"not-now":            view.NotNow(jelly, jobs.Start, "it is running"),
		"already-busy":       view.AlreadyBusy(game, starting),
		"question-ended":     view.QuestionEnded(jelly),
		"replaced":           view.Replaced(),
		"unnamed":            view.Unnamed("jelyfin", "show", nil, []*inventory.Container{jelly}),
		"denied-outsider":    view.Denied(chat.Person{Platform: chat.Slack, ID: "U0EVE00001", Outsider: true}, access.NoRole, access.Operator, "p4w8c2"),
		"audit": view.Audit{Of: "jellyfin", ID: "t8v4b", More: true, Now: now, Lines: []view.AuditLine{
			{Seq: 42, At: now, Who: "Ana", Key: "slack:U0ANA00001", Action: "start", Target: "jellyfin (CT 108 on home/pve3)", Outcome: "failed", Detail: "CT is locked (backup)", Request: "p4w8c2"},
			{Seq: 41, At: now.Add(-time.Hour), Who: "<!channel> @everyone", Key: "discord:1000000000000000002", Action: "stop", Outcome: "denied", Request: "p4w8c1"},
		}}.Message(),
		"rules-refused": told(view.RulesRefused("the configuration has 1 problem(s):\n  config.yaml:12: access[1].role: there is no role \"king\"", "3f9a2c10")).Message(),
		"rules-taken":   over(view.RulesRefused("", "3f9a2c10")).Message(),
		"access": view.Rules{Version: "3f9a2c10", Page: 1, Space: space, Rules: []view.Rule{
			{Number: 1, Rule: access.Rule{Role: access.AdminRole, Users: []string{"slack:U0ANA00001", "discord:1000000000000000001"}}, Holds: []access.Permission{access.View, access.Admin}},
			{Number: 2, Rule: access.Rule{Role: "night", Groups: []string{"slack:S0NIGHT01"}, Scope: rules}, Holds: []access.Permission{access.View, access.Operate}},
		}}.Message(),
		"doctor":          view.Doctor{Report: examined(), Version: "0.4.0", Now: now}.Message(),
		"doctor-checking": view.Doctor{Report: doctor.Report{Checks: examined().Checks[:1], At: now}, Checking: true, Now: now}.Message(),
		"doctor-good":     view.Doctor{Report: doctor.Report{Checks: examined().Checks[3:], At: now, Took: 400 * time.Millisecond}, Now: now}.Message(),
		"greeting":        view.Greeting(),
		"help":            view.Help([]chat.Command{{Name: "show", Summary: "one container", Options: []chat.Option{{Name: "name", Required: true}}}}, access.Operator, rules, ana, space.Home > 0),
		"alert-down":      told(view.Down(jelly, game)).Message(),
		"alert-up":        over(view.Down(jelly, nil)).Message(),
		"alert-muted": func() chat.Surface {
			a := told(view.Down(jelly, nil))
			a.Times, a.Muted = 3, "Muted by Ana <!channel> until 15:30 UTC"
			return a.Message()
		}(),
		"alert-many":          told(view.DownMany([]string{"immich", "jellyfin", "<!channel>"}, 5)).Message(),
		"alert-node":          told(view.NodeDown("pve3", "no route to host (595)", []string{"immich", "jellyfin", "photoprism"}, []string{"dev-sandbox", "minecraft"}, 19)).Message(),
		"alert-cluster":       told(view.ClusterDown("home", "pve1:8006 refused the connection: nothing listens there")).Message(),
		"alert-job":           told(view.JobFailed(failed)).Message(),
		"alert-jobs":          told(view.JobsFailed([]string{"start web", "start wiki"}, "CT is locked (backup)", "home")).Message(),
		"alert-disk":          told(view.Above(jelly, "Disk", 97, 95, 10*time.Minute)).Message(),
		"alert-expires":       told(view.Expires("The certificate of pve1:8006", now.Add(9*24*time.Hour), now)).Message(),
		"alert-drift":         told(view.Drifted("table containers lacks column hostname (text, nullable)")).Message(),
		"alert-line":          over(view.Down(jelly, nil)).Line(),
		"alert-muting":        view.Muting(told(view.Down(jelly, nil)), "Muted by Ana until 15:30 UTC"),
		"alerts":              view.Alerts([]view.Alert{told(view.Down(jelly, nil))}, []view.Alert{{ID: "a_9d4", Title: "Disk of wiki is at 97 %", Muted: "Muted by Ana for ever"}}),
		"alerts-none":         view.Alerts(nil, nil),
		"alert-platform":      told(view.PlatformLost(chat.Slack, "slack: slack.bot_token is refused: slack: auth.test: token_revoked", true)).Message(),
		"alert-platform-back": over(view.PlatformLost(chat.Discord, "gateway closed", false)).Message(),
	}
	maps.Copy(all, creations(tb, space, inv.Snapshot(), unfinished.ID))
	maps.Copy(all, osScreens(space))
	return all
}

// examined is what the doctor of the screens finds.
func examined() doctor.Report {
	return doctor.Report{At: now, Took: 2100 * time.Millisecond, Checks: []doctor.Check{
		{
			Name: "node/home/pve3", Title: "Node pve3 does not answer", State: doctor.Bad, Detail: "the rest of its cluster sees it offline", Since: now.Add(-7 * time.Minute),
			Fix: "Look at its power and network. Its 5 containers cannot be reached.",
		},
		{
			Name: "privileges/home/VM.Allocate", Title: "The token of Proxmox lacks VM.Allocate", State: doctor.Bad, Detail: "on /vms: delete is refused",
			Fix: "Grant it to pvechat@pve!bot, on a node as root:", Command: "pveum role modify pvechat --append 1 --privs VM.Allocate",
		},
		{
			Name: "certificate/home/" + evil, Title: "The certificate of " + evil + " expires soon", State: doctor.Warning, Detail: "it is valid until 2026-12-02",
			Fix: "Renew it on that node, and name the new one where fingerprints are pinned:", Command: "pvecm updatecerts --force",
		},
		{Name: "cluster/home", Title: "Proxmox", State: doctor.Good, Detail: "9.2.2 · quorate, 2 of 3 nodes · 41 ms"},
		{Name: "database", Title: "Database", State: doctor.Good, Detail: "PostgreSQL 17.2, schema 14 of 14, no drift"},
		{Name: "slack", Title: "Slack", State: doctor.Good, Detail: "2 of 2 connections · scopes complete", Since: now.Add(-51 * time.Hour)},
	}}
}

// told is an alert as it is kept.
func told(a view.Alert) view.Alert {
	a.ID, a.Since = "a_6c1", now.Add(-6*time.Minute)
	return a
}

// over is one that has ended.
func over(a view.Alert) view.Alert {
	a = told(a)
	a.Over, a.How = now, "Started by Ben."
	return a
}

func logOf(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%2d extracting archive to rootfs, and then some more of what it does; a long line it is", i+1)
	}
	return lines
}

func TestGolden(t *testing.T) {
	for _, p := range []struct {
		name   string
		space  chat.Space
		render func(chat.Surface) (json.RawMessage, error)
	}{{"slack", onS, slack.Render}, {"discord", onD, discord.Render}} {
		for name, s := range screens(t, p.space) {
			t.Run(p.name+"/"+name, func(t *testing.T) {
				if _, ok := s.(chat.Home); ok && p.space.Home == 0 {
					t.SkipNow() // Discord has no home
				}
				raw, err := p.render(s)
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := json.Indent(&got, raw, "", " "); err != nil {
					t.Fatal(err)
				}
				got.WriteByte('\n')
				file := filepath.Join("testdata", p.name, name+".json")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.String()); diff != "" {
					t.Errorf("go test ./bot/view -update writes it anew (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// Steps of colour are decided on the rounded figure that is shown.
func TestMeasuresStepAtSeventyAndNinety(t *testing.T) {
	var list []proxmox.Container
	for i, p := range []float64{69, 70, 90, 91} {
		list = append(list, running(201+i, fmt.Sprintf("m%d", int(p)), "pve1", p, 10, 10))
	}
	b := view.Board{Fleet: homelab(t, list, false).Snapshot(), Space: onS, Every: 30 * time.Second, Now: now, Changed: now}
	raw, err := slack.Render(b.Message())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CPU.▇.69.%", "CPU.🟨.70.%", "CPU.🟨.90.%", "CPU.🟥.91.%"} {
		if !regexp.MustCompile(want).Match(raw) {
			t.Errorf("it does not show %s:\n%s", want, raw)
		}
	}
}

func TestSizesAndTimes(t *testing.T) {
	for n, want := range map[int64]string{0: "0\u00a0B", 512 << 20: "512\u00a0MiB", 2 << 30: "2\u00a0GiB", 3 << 29: "1.5\u00a0GiB", 32 << 30: "32\u00a0GiB", 1 << 40: "1\u00a0TiB", -5: "0\u00a0B"} {
		if got := view.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0\u00a0s", 38 * time.Second: "38\u00a0s", 112 * time.Second: "1\u00a0min 52\u00a0s", 6 * time.Minute: "6\u00a0min", 76 * time.Hour: "3\u00a0d 4\u00a0h", 30 * time.Second: "30\u00a0s",
	} {
		if got := view.Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestASummaryEndsEachSentenceOnce(t *testing.T) {
	for word, want := range map[string]string{"starting…": "web: starting… CT 101", "running": "web: running. CT 101"} {
		p := chat.Panel{Lead: &chat.Lead{Name: "web", Word: word, Facts: chat.Texts("CT 101")}}
		if got := view.Summary(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
