package proxmoxtest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Homelab is the kind of cluster that the demo shows: in real time, of the newest version.
func Homelab() Options { return Options{Scale: 1, Version: "9.2.2", Cluster: "home"} }

// HomelabSize is how many containers of [Populate] have a story.
const HomelabSize = 24

// Populate fills a cluster with three nodes and that many containers. The first [HomelabSize] are those of the design's screens:
// mail cannot be started because of a backup that left its lock, CT 118 is never reported, forgejo is being created, postgres is under
// HA, vaultwarden is protected, dev-sandbox is a template, and minecraft (once started) does not listen to a shutdown. Beyond these come
// ordinary ones, of which one in eight is stopped.
func Populate(s *Server, containers int) {
	const gib = int64(1) << 30
	for _, n := range []Node{
		{Name: "pve1", Cores: 8, CPU: 0.21, Memory: 32 * gib, MemUsed: 208 * gib / 10, Disk: 94 * gib, DiskUsed: 21 * gib, Uptime: 41 * 24 * time.Hour},
		{Name: "pve2", Cores: 4, CPU: 0.17, Memory: 16 * gib, MemUsed: 10 * gib, Disk: 94 * gib, DiskUsed: 33 * gib, Uptime: 41 * 24 * time.Hour},
		{Name: "pve3", Cores: 16, CPU: 0.34, Memory: 64 * gib, MemUsed: 436 * gib / 10, Disk: 94 * gib, DiskUsed: 18 * gib, Uptime: 12 * 24 * time.Hour},
	} {
		s.AddNode(n.Name)
		s.UpdateNode(n.Name, func(old *Node) { *old = n })
	}
	now := s.now() // AddNode has set the server up
	for _, st := range homelabStorages(now) {
		s.AddStorage(st)
	}
	list := homelabContainers()
	for i := len(list); i < containers; i++ {
		list = append(list, Ordinary(i))
	}
	list = list[:containers]
	for _, c := range list {
		s.AddContainer(c)
	}
	if containers < HomelabSize {
		return // what follows happened to those
	}

	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, t := range []Task{
		{Node: "pve3", Type: "vzsnapshot", VMID: 108, Start: ago(75 * time.Hour), Exit: "<!channel> *no space left* on device"},
		{Node: "pve3", Type: "vzdump", VMID: 108, Start: ago(25 * time.Hour), End: ago(25*time.Hour - time.Minute), Exit: "storage `nas` is not online"},
		{Node: "pve1", Type: "vzdump", VMID: 105, Start: ago(11 * time.Hour), End: ago(11*time.Hour - 4*time.Minute)},
		{Node: "pve2", Type: "vzdump", VMID: 117, Start: ago(10 * time.Hour), Exit: "unexpected status"},
		{Node: "pve3", Type: "vzreboot", VMID: 108, Start: ago(12*time.Minute + 20*time.Second), End: ago(12 * time.Minute)},
		{Node: "pve2", Type: "vzstart", VMID: 117, Start: ago(6 * time.Minute), Exit: "CT is locked (backup)"},
	} {
		s.AddTask(t)
	}
	_, _ = s.Act("root@pam", "create", 125) // it was added above
}

func homelabStorages(now time.Time) []Storage {
	const gib, mib = int64(1) << 30, int64(1) << 20
	templates := []Volume{
		{ID: "debian-13-standard_13.1-2_amd64.tar.zst", Format: "tzst", Size: 124 * mib},
		{ID: "debian-12-standard_12.12-1_amd64.tar.zst", Format: "tzst", Size: 121 * mib},
		{ID: "ubuntu-24.04-standard_24.04-2_amd64.tar.zst", Format: "tzst", Size: 135 * mib},
		{ID: "alpine-3.22-default_20250617_amd64.tar.xz", Format: "txz", Size: 3 * mib},
		{ID: "fedora-42-default_20250428_amd64.tar.xz", Format: "txz", Size: 71 * mib},
	}
	for i := range templates {
		t := &templates[i]
		t.ID, t.Content, t.Created = "local:vztmpl/"+t.ID, "vztmpl", now.Add(-time.Duration(20+i)*24*time.Hour)
	}
	return []Storage{
		{Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Total: 94 * gib, Used: 24 * gib, Volumes: templates},
		{Name: "local-lvm", Type: "lvmthin", Content: "rootdir,images", Total: 352 * gib, Used: 140 * gib},
		{Name: "tank", Type: "zfspool", Content: "images,rootdir", Total: 7 * 1024 * gib, Used: 3994 * gib},
	}
}

func homelabContainers() []Container {
	const gib, mib = int64(1) << 30, int64(1) << 20
	day := 24 * time.Hour
	// running: cpu, mem and disk in per cent.
	running := func(vmid int, name, node string, cores int, memory, disk int64, cpu, mem, used int, tags string) Container {
		return Container{
			VMID: vmid, Name: name, Node: node, Running: true, Cores: cores, Memory: memory, Disk: disk, Tags: tags,
			CPU: float64(cpu) / 100, MemUsed: percent(memory, mem), DiskUsed: percent(disk-disk/36, used),
			Swap: 512 * mib, Addr: fmt.Sprintf("192.168.10.%d/24", vmid-60), OnBoot: true, Unprivileged: true,
			Features: "nesting=1", Uptime: 17*day + time.Duration(vmid)*time.Hour,
		}
	}
	stopped := func(vmid int, name, node string, tags string) Container {
		return Container{
			VMID: vmid, Name: name, Node: node, Cores: 2, Memory: 2 * gib, Swap: 512 * mib, Disk: 16 * gib, Tags: tags,
			CPU: 0.03, MemUsed: 600 * mib, DiskUsed: 4 * gib, Addr: fmt.Sprintf("192.168.10.%d/24", vmid-60), Unprivileged: true,
		}
	}
	list := []Container{
		running(101, "adguard", "pve1", 1, 512*mib, 4*gib, 4, 38, 21, "network;prod"),
		running(102, "authelia", "pve1", 1, 512*mib, 4*gib, 1, 22, 34, "prod;web"),
		running(103, "caddy", "pve2", 1, 512*mib, 4*gib, 2, 17, 18, "prod;web"),
		running(104, "grafana", "pve2", 2, 1*gib, 8*gib, 9, 44, 47, "monitoring"),
		running(105, "home-assistant", "pve1", 2, 2*gib, 16*gib, 23, 71, 58, "home;prod"),
		running(106, "immich", "pve3", 4, 8*gib, 32*gib, 78, 83, 69, "media;prod"),
		running(107, "influxdb", "pve2", 2, 2*gib, 16*gib, 12, 91, 52, "monitoring"),
		running(108, "jellyfin", "pve3", 2, 2*gib, 32*gib, 64, 55, 88, "media;prod"),
		running(109, "nextcloud", "pve1", 2, 4*gib, 64*gib, 18, 69, 77, "prod;web"),
		running(110, "paperless", "pve2", 2, 2*gib, 16*gib, 3, 41, 36, "prod;web"),
		running(111, "photoprism", "pve3", 4, 4*gib, 32*gib, 31, 62, 93, "media"),
		running(112, "postgres", "pve1", 2, 4*gib, 32*gib, 7, 68, 49, "database;prod"),
		running(113, "prometheus", "pve2", 2, 2*gib, 32*gib, 15, 57, 70, "monitoring"),
		running(114, "traefik", "pve1", 1, 512*mib, 4*gib, 2, 12, 15, "prod;web"),
		running(115, "unifi", "pve1", 2, 2*gib, 16*gib, 11, 66, 44, "network"),
		running(116, "vaultwarden", "pve2", 1, 512*mib, 4*gib, 0, 9, 12, "prod;web"),
		stopped(117, "mail", "pve2", "prod"),
		{VMID: 118, Node: "pve2", Silent: true},
		running(119, "zigbee2mqtt", "pve1", 1, 512*mib, 4*gib, 1, 14, 22, "home"),
		stopped(120, "minecraft", "pve3", "games"),
		stopped(121, "dev-sandbox", "pve3", "dev"),
		stopped(122, "*x*@everyone<!channel>`", "pve1", "dev"),
		stopped(123, "staging-eu-west-customer-portal-with-a-very-long-host-name-0001", "pve2", "staging;web"),
		stopped(125, "forgejo", "pve1", "dev"),
	}
	for i := range list {
		c := &list[i]
		switch c.VMID {
		case 108:
			c.Uptime, c.SwapUsed, c.Features = 12*time.Minute, percent(512*mib, 3), "nesting=1,keyctl=1"
			c.Mounts = []Mount{{Volume: "tank:subvol-108-disk-1", Path: "/srv/media", Size: 500 * gib}}
		case 109:
			c.Mounts = []Mount{{Volume: "tank:subvol-109-disk-1", Path: "/srv/data", Size: 1024 * gib}}
		case 112:
			c.HA = true
		case 114:
			c.OSType = "alpine"
		case 116:
			c.Protection = true
		case 117:
			c.Lock = "backup"
		case 120:
			c.IgnoresShutdown = true
		case 121:
			c.Template = true
		case 125:
			c.Lock = "create"
		}
	}
	return list
}

// Ordinary is the i-th container of a cluster that has more than those of the stories. It is on one of the nodes of [Populate].
func Ordinary(i int) Container {
	const gib = int64(1) << 30
	roles := []string{"web", "api", "worker", "cache", "queue", "build", "mail", "proxy", "search"}
	return Container{
		VMID: 176 + i, Name: fmt.Sprintf("%s-%02d", roles[i%len(roles)], i/len(roles)), Node: fmt.Sprintf("pve%d", 1+i%3), Running: i%8 != 0,
		Cores: 2, Memory: 2 * gib, Swap: gib / 2, Disk: 16 * gib, Tags: []string{"prod", "prod;web", "staging"}[i%3], OnBoot: true, Unprivileged: true,
		CPU: float64(i*7%60) / 100, MemUsed: percent(2*gib, 20+i*13%50), DiskUsed: percent(15*gib, 10+i*29%55), Uptime: time.Duration(2+i%40) * 24 * time.Hour,
		Addr: fmt.Sprintf("10.20.%d.%d/16", i/250, 1+i%250),
	}
}

func percent(of int64, n int) int64 { return int64(math.Round(float64(of) * float64(n) / 100)) }

// Wander lets time pass in the cluster until ctx ends: loads drift, and now and then somebody starts or stops one of the containers
// that nothing depends on. It waits 5 s (scaled, 50 ms at least) between two steps.
func (s *Server) Wander(ctx context.Context) {
	s.setup.Do(s.init)
	dice := rand.New(rand.NewPCG(9, 2))
	ticks := time.NewTicker(max(s.scaled(5*time.Second), 50*time.Millisecond))
	defer ticks.Stop()
	for step := 1; ; step++ {
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-ticks.C:
		}
		s.drift(dice)
		if step%36 == 0 { // every three minutes
			s.visit(dice)
		}
	}
}

// vmids are sorted, so that the same dice give the same cluster. The lock is held.
func (s *Server) vmids() []int { return slices.Sorted(maps.Keys(s.guests)) }

// drift moves the loads of everything that runs a little.
func (s *Server) drift(dice *rand.Rand) {
	s.lock()
	defer s.mu.Unlock()
	for _, vmid := range s.vmids() {
		g := s.guests[vmid]
		if !g.Running || g.kind != "lxc" {
			continue
		}
		g.CPU = min(0.99, max(0.001, g.CPU*(0.9+0.2*dice.Float64())+0.004*(dice.Float64()-0.5)))
		moved := float64(g.MemUsed) + 0.01*float64(g.Memory)*(dice.Float64()-0.5)
		g.MemUsed = int64(min(0.98*float64(g.Memory), max(0.05*float64(g.Memory), moved)))
	}
	for _, n := range s.nodes {
		n.CPU = min(0.9, max(0.03, n.CPU+0.04*(dice.Float64()-0.5)))
	}
	s.touch()
}

// visit is somebody who starts or stops a container in the web interface.
func (s *Server) visit(dice *rand.Rand) {
	s.lock()
	var candidates []int
	for _, vmid := range s.vmids() {
		if g := s.guests[vmid]; g.kind == "lxc" && !g.HA && !g.Template && !g.Silent && g.Lock == "" && !g.Protection {
			candidates = append(candidates, vmid)
		}
	}
	var vmid int
	verb := "start"
	if len(candidates) > 0 {
		if vmid = candidates[dice.IntN(len(candidates))]; s.guests[vmid].Running {
			verb = "shutdown"
		}
	}
	s.mu.Unlock()
	if vmid != 0 {
		_, _ = s.Act("root@pam", verb, vmid) // a refusal is what a person would see, too
	}
}
