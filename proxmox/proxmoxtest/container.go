package proxmoxtest

import (
	"cmp"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Container is a container of the cluster, as its owner would describe it. Sizes are bytes.
type Container struct {
	VMID    int
	Node    string // default: the first node; one that is new is added
	Name    string // hostname; empty: none, and Proxmox calls it "CT101"
	Running bool

	Cores                int     // 0: no limit, all of the node's
	CPU                  float64 // share of its own cores, 1 = all of them; the real server now and then says a little less than 0
	Memory, MemUsed      int64   // default: 512 MiB
	Swap, SwapUsed       int64
	Disk, DiskUsed       int64  // of the root file system; default: 8 GiB
	RootFS               string // volume id; default: "local-lvm:vm-101-disk-0"
	Mounts               []Mount
	Net                  []string // raw net0, net1, …; a missing hwaddr is made up. Default: one interface on vmbr0 with DHCP
	Addr                 string   // leased or fixed address with prefix length, told by /interfaces while it runs
	OSType               string   // default: "debian"
	Features             string   // "nesting=1,keyctl=1"
	Tags                 string   // as on the wire: "prod;web"
	Pool                 string
	Description          string
	Config               map[string]any // more keys of the configuration, as they come
	Protection, Template bool
	OnBoot, Unprivileged bool
	Lock                 string // backup, create, destroyed, disk, fstrim, migrate, mounted, rollback, snapshot, snapshot-delete
	HA                   bool
	HAState              string // what the HA manager says of it; default: started or stopped
	Uptime               time.Duration
	Snapshots            []Snapshot
	Silent               bool // the node never reports figures of it: its row stays without a name, and "unknown"

	// How it behaves.
	IgnoresShutdown       bool          // a shutdown does not end it
	StartFails            string        // what a start dies of, in its task
	StartWarns            bool          // a start ends with "WARNINGS: 1"
	StartTakes, StopTakes time.Duration // before scaling; default: 2 s and 3 s. StopTakes is for a clean shutdown
}

// Mount is a further mount point: mp0, mp1, ….
type Mount struct {
	Volume string // "tank:subvol-101-disk-1"
	Path   string
	Size   int64
}

// Snapshot of a container.
type Snapshot struct {
	Name, Description, Parent string
	Time                      time.Time
}

// guest is a container, or a virtual machine that only appears in lists.
type guest struct {
	Container
	kind    string // lxc or qemu
	started time.Time
	request int    // grows with every HA request, so that only the last is followed
	agent   string // UPID of what the HA manager does to it, or did last
}

func (g *guest) id() string { return g.kind + "/" + itoa(g.VMID) }

// AddContainer adds a container that has been there for a while; its figures are known at once. One with the lock "create" is brand
// new: its row has no name before the next round of figures.
func (s *Server) AddContainer(c Container) {
	s.lock()
	defer s.mu.Unlock()
	s.addGuest(&guest{Container: c, kind: "lxc"})
}

// AddVM adds a virtual machine, which only shows up in lists and takes its VMID.
func (s *Server) AddVM(vmid int, node, name string, running bool) {
	s.lock()
	defer s.mu.Unlock()
	s.addGuest(&guest{kind: "qemu", Container: Container{
		VMID: vmid, Node: node, Name: name, Running: running,
		Cores: 2, Memory: 1 << 30, MemUsed: 512 << 20, Disk: 32 << 30, CPU: 0.02, Uptime: time.Hour,
	}})
}

func (s *Server) addGuest(g *guest) {
	if g.Node == "" {
		s.assumeNode()
		g.Node = s.nodes[0].Name
	} else {
		s.addNode(g.Node)
	}
	c := &g.Container
	c.Memory = cmp.Or(c.Memory, 512<<20)
	c.Disk = cmp.Or(c.Disk, 8<<30)
	if g.kind == "lxc" {
		c.OSType = cmp.Or(c.OSType, "debian")
		c.RootFS = cmp.Or(c.RootFS, fmt.Sprintf("local-lvm:vm-%d-disk-0", c.VMID))
		if len(c.Net) == 0 {
			c.Net = []string{"name=eth0,bridge=vmbr0,ip=dhcp,type=veth"}
		}
	}
	*c = cloned(*c)
	for i, net := range c.Net {
		if !strings.Contains(net, "hwaddr=") {
			s.nextHW++
			c.Net[i] = fmt.Sprintf("%s,hwaddr=BC:24:11:%02X:%02X:%02X", net, s.nextHW>>16&0xFF, s.nextHW>>8&0xFF, s.nextHW&0xFF)
		}
	}
	if c.Running {
		g.started = s.now().Add(-c.Uptime)
	}
	s.guests[c.VMID] = g
	delete(s.stats, c.VMID)
	if c.Lock != "create" {
		s.report(g, s.now())
	}
	s.touch()
}

// Container returns the container as it is now.
func (s *Server) Container(vmid int) (Container, bool) {
	s.lock()
	defer s.mu.Unlock()
	g := s.guests[vmid]
	if g == nil || g.kind != "lxc" {
		return Container{}, false
	}
	return s.described(g), true
}

// Containers returns all containers as they are now, by VMID.
func (s *Server) Containers() []Container {
	s.lock()
	defer s.mu.Unlock()
	var out []Container
	for _, vmid := range s.vmids() {
		if g := s.guests[vmid]; g.kind == "lxc" {
			out = append(out, s.described(g))
		}
	}
	return out
}

func (s *Server) described(g *guest) Container {
	c := cloned(g.Container)
	c.Uptime = s.uptime(g, s.now())
	return c
}

// Update changes a container from the outside, without a task: its figures, or that it runs (so does a guest that halts by itself).
// Nothing happens if there is no such container.
func (s *Server) Update(vmid int, change func(*Container)) {
	s.lock()
	defer s.mu.Unlock()
	g := s.guests[vmid]
	if g == nil || g.kind != "lxc" {
		return
	}
	before := s.described(g)
	after := cloned(before)
	change(&after)
	after.VMID = vmid
	if after.Running && (!before.Running || after.Uptime != before.Uptime) {
		if !before.Running && after.Uptime == before.Uptime {
			after.Uptime = 0
		}
		g.started = s.now().Add(-after.Uptime)
	}
	s.addNode(after.Node)
	g.Container = after
	s.touch()
}

// RemoveContainer destroys a container as somebody on the command line would: it is gone at once and leaves a finished vzdestroy task
// of root@pam.
func (s *Server) RemoveContainer(vmid int) {
	s.lock()
	defer s.mu.Unlock()
	g := s.guests[vmid]
	if g == nil {
		return
	}
	s.removeGuest(vmid)
	now := s.now()
	s.addPast(Task{Node: g.Node, Type: "vzdestroy", VMID: vmid, User: "root@pam", Start: now, End: now, Exit: "OK"})
}

func (s *Server) removeGuest(vmid int) {
	delete(s.guests, vmid)
	delete(s.stats, vmid)
	for _, t := range s.tokens {
		if t != nil {
			delete(t.privs, "/vms/"+itoa(vmid))
		}
	}
	s.touch()
}

func cloned(c Container) Container {
	c.Mounts, c.Net, c.Snapshots = slices.Clone(c.Mounts), slices.Clone(c.Net), slices.Clone(c.Snapshots)
	c.Config = maps.Clone(c.Config)
	return c
}

// on finds a container if it is on this node. The lock is held.
func (s *Server) on(node string, vmid int) *guest {
	if g := s.guests[vmid]; g != nil && g.kind == "lxc" && g.Node == node {
		return g
	}
	return nil
}

// config finds a container's configuration, or dies as PVE::AbstractConfig::load_config does. The lock is held.
func (s *Server) config(node string, vmid int) (*guest, error) {
	if g := s.on(node, vmid); g != nil {
		return g, nil
	}
	return nil, die("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", node, vmid)
}

func (s *Server) uptime(g *guest, at time.Time) time.Duration {
	if !g.Running {
		return 0
	}
	return max(0, at.Sub(g.started))
}

// getContainers answers GET /nodes/{node}/lxc: live, in no order.
func (s *Server) getContainers(r *request) (any, error) {
	rows := []any{}
	for _, g := range s.guests {
		if g.kind == "lxc" && g.Node == r.node && s.may(r.who, "/vms/"+itoa(g.VMID), "VM.Audit") {
			rows = append(rows, s.statusRow(g))
		}
	}
	shuffle(rows)
	return rows, nil
}

// getCurrent answers GET …/status/current: live.
func (s *Server) getCurrent(r *request) (any, error) {
	g, err := s.config(r.node, r.vmid())
	if err != nil {
		return nil, err
	}
	row := s.statusRow(g)
	ha := map[string]any{"managed": 0}
	if g.HA {
		ha = map[string]any{"managed": 1, "state": g.haState()}
	}
	row["ha"] = ha
	return row, nil
}

func (g *guest) haState() string {
	switch {
	case g.HAState != "":
		return g.HAState
	case g.Running:
		return "started"
	}
	return "stopped"
}

// statusRow is what PVE::LXC::vmstatus says of a container.
func (s *Server) statusRow(g *guest) map[string]any {
	f := s.figures(g, s.now())
	row := map[string]any{
		"vmid": g.VMID, "type": "lxc", "status": f.status, "name": f.name, "cpus": f.cpus, "cpu": f.cpu,
		"mem": f.mem, "maxmem": f.maxmem, "swap": int64(0), "maxswap": g.Swap, "disk": f.disk, "maxdisk": f.maxdisk,
		"netin": f.netin, "netout": f.netout, "diskread": f.diskread, "diskwrite": f.diskwrite, "uptime": f.uptime,
	}
	if g.Tags != "" {
		row["tags"] = g.Tags
	}
	if g.Template {
		row["template"] = 1
	}
	if g.Lock != "" {
		row["lock"] = g.Lock
	}
	if g.Running {
		row["pid"] = 4000 + g.VMID
		row["swap"] = g.SwapUsed
		if s.atLeast(9, 0) {
			some := fmt.Sprintf("%.2f", math.Max(0, g.CPU-0.7)*10)
			row["pressurecpusome"], row["pressurecpufull"] = some, "0.00"
			row["pressureiosome"], row["pressureiofull"] = "0.00", "0.00"
			row["pressurememorysome"], row["pressurememoryfull"] = "0.00", "0.00"
		}
	}
	if !s.atLeast(8, 0) {
		for _, k := range []string{"vmid", "disk", "maxdisk", "pid"} {
			if v, ok := row[k]; ok {
				row[k] = fmt.Sprint(v)
			}
		}
		for _, k := range []string{"template", "lock"} {
			if _, ok := row[k]; !ok && !s.atLeast(7, 0) {
				row[k] = ""
			}
		}
	}
	return row
}

// getConfig answers GET …/config.
func (s *Server) getConfig(r *request) (any, error) {
	if r.flag("current") && r.text("snapshot") != "" {
		const both = "cannot use 'snapshot' parameter with 'current'"
		return nil, &apiError{
			status: 400, message: "Parameter verification failed.\n",
			errors: map[string]string{"snapshot": both, "current": both},
		}
	}
	g, err := s.config(r.node, r.vmid())
	if err != nil {
		return nil, err
	}
	conf := g.configuration()
	if name := r.text("snapshot"); name != "" {
		i := slices.IndexFunc(g.Snapshots, func(sn Snapshot) bool { return sn.Name == name })
		if i < 0 {
			return nil, die("snapshot '%s' does not exist", name)
		}
		delete(conf, "lock")
		conf["snaptime"] = g.Snapshots[i].Time.Unix()
	}
	return conf, nil
}

func (g *guest) configuration() map[string]any {
	conf := map[string]any{
		"arch": "amd64", "ostype": g.OSType, "memory": g.Memory >> 20, "swap": g.Swap >> 20,
		"rootfs": g.RootFS + ",size=" + size(g.Disk),
	}
	set := func(key string, ok bool, v any) {
		if ok {
			conf[key] = v
		}
	}
	set("hostname", g.Name != "", g.Name)
	set("cores", g.Cores > 0, g.Cores)
	set("features", g.Features != "", g.Features)
	set("tags", g.Tags != "", g.Tags)
	set("description", g.Description != "", g.Description+"\n")
	set("onboot", g.OnBoot, 1)
	set("protection", g.Protection, 1)
	set("unprivileged", g.Unprivileged, 1)
	set("template", g.Template, 1)
	set("lock", g.Lock != "", g.Lock)
	for i, net := range g.Net {
		conf["net"+itoa(i)] = net
	}
	for i, m := range g.Mounts {
		conf["mp"+itoa(i)] = fmt.Sprintf("%s,mp=%s,size=%s", m.Volume, m.Path, size(m.Size))
	}
	if n := len(g.Snapshots); n > 0 {
		conf["parent"] = g.Snapshots[n-1].Name
	}
	maps.Copy(conf, g.Config)
	conf["digest"] = g.digest(conf)
	return conf
}

func (g *guest) digest(conf map[string]any) string {
	sum := sha1.New()
	for _, k := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(sum, "%s: %v\n", k, conf[k])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// size writes bytes as a configuration does: 8G, 512M.
func size(n int64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{40, "T"}, {30, "G"}, {20, "M"}, {10, "K"}} {
		if n >= 1<<unit.shift && n%(1<<unit.shift) == 0 {
			return strconv.FormatInt(n>>unit.shift, 10) + unit.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// getInterfaces answers GET …/interfaces: null unless it runs.
func (s *Server) getInterfaces(r *request) (any, error) {
	g := s.on(r.node, r.vmid())
	if g == nil || !g.Running {
		return nil, nil
	}
	list := []any{s.iface("lo", "00:00:00:00:00:00", "127.0.0.1/8", "::1/128")}
	for i, net := range g.Net {
		opts := make(map[string]string)
		for _, kv := range strings.Split(net, ",") {
			k, v, _ := strings.Cut(kv, "=")
			opts[k] = v
		}
		var addrs []string
		if i == 0 && g.Addr != "" {
			addrs = append(addrs, g.Addr)
		} else if _, err := netip.ParsePrefix(opts["ip"]); err == nil {
			addrs = append(addrs, opts["ip"])
		}
		if hw := strings.Split(strings.ToLower(opts["hwaddr"]), ":"); len(hw) == 6 {
			addrs = append(addrs, fmt.Sprintf("fe80::be24:%sff:fe%s:%s%s/64", hw[2], hw[3], hw[4], hw[5]))
		}
		list = append(list, s.iface(cmp.Or(opts["name"], "eth"+itoa(i)), strings.ToLower(opts["hwaddr"]), addrs...))
	}
	return list, nil
}

func (s *Server) iface(name, hardware string, addrs ...string) map[string]any {
	out := map[string]any{"name": name, "hwaddr": hardware}
	each := []any{}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			continue
		}
		family := "inet"
		if p.Addr().Is6() {
			family = "inet6"
		}
		out[family] = p.String() // the last of a family wins, as in Proxmox
		each = append(each, map[string]any{"ip-address": p.Addr().String(), "ip-address-type": family, "prefix": itoa(p.Bits())})
	}
	if s.atLeast(8, 4) {
		out["hardware-address"], out["ip-addresses"] = hardware, each
	}
	return out
}

// getSnapshots answers GET …/snapshot: in no order, but "current" at the end.
func (s *Server) getSnapshots(r *request) (any, error) {
	g, err := s.config(r.node, r.vmid())
	if err != nil {
		return nil, err
	}
	rows := []any{}
	current := map[string]any{
		"name": "current", "description": "You are here!", "digest": g.configuration()["digest"],
		"running": oneIf(g.Running),
	}
	for _, sn := range g.Snapshots {
		row := map[string]any{"name": sn.Name, "description": sn.Description, "snaptime": sn.Time.Unix()}
		if sn.Parent != "" {
			row["parent"] = sn.Parent
		}
		rows = append(rows, row)
		current["parent"] = sn.Name
	}
	shuffle(rows)
	return append(rows, current), nil
}

// getRRDData answers GET …/rrddata with a plausible past of the present figures; while it did not run, the keys are missing.
func (s *Server) getRRDData(r *request) (any, error) {
	g := s.guests[r.vmid()]
	if g == nil {
		return nil, die("mmaping file '/var/lib/rrdcached/db/pve-vm-9.0/%d': No such file or directory", r.vmid())
	}
	// PVE::RRD: seconds a point stands for, and how many points.
	frames := map[string][2]int64{"hour": {60, 60}, "day": {60, 1440}, "week": {1800, 336}, "month": {1800, 1440}, "year": {21600, 1440}}
	if !s.atLeast(9, 0) {
		frames = map[string][2]int64{"hour": {60, 60}, "day": {1800, 70}, "week": {10800, 70}, "month": {43200, 70}, "year": {604800, 70}}
	}
	step, points := frames[r.text("timeframe")][0], frames[r.text("timeframe")][1]
	now := s.now()
	f := s.figures(g, now)
	end := now.Unix() / step * step
	rows := make([]any, 0, points)
	for i := points; i > 0; i-- {
		at := end - i*step
		row := map[string]any{"time": at, "maxcpu": f.cpus, "maxmem": f.maxmem, "maxdisk": f.maxdisk, "disk": f.disk}
		if g.Running && at >= g.started.Unix() {
			wave := 1 + 0.25*math.Sin(float64(at)/float64(step)/7+float64(g.VMID))
			row["cpu"], row["mem"] = math.Max(0, f.cpu*wave), float64(f.mem)*(0.8+0.2*wave/1.25)
			row["netin"], row["netout"] = 1200*wave, 900*wave
			row["diskread"], row["diskwrite"] = 300*wave, 800*wave
			if s.atLeast(9, 0) {
				row["memhost"] = float64(f.mem) * 1.08
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func shuffle(rows []any) {
	rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

// withoutBlanks is how Proxmox prints a hostname.
func withoutBlanks(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
