package proxmoxtest

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// How old figures can be: pve-manager PVE/Service/pvestatd.pm writes them, pve-cluster src/pmxcfs/status.c drops them.
const (
	figuresEvery = 10 * time.Second
	figuresLast  = 300 * time.Second
)

// guestStats is what a node last said of a guest.
type guestStats struct {
	at                                 time.Time
	name, status                       string
	template                           int
	cpus                               int
	cpu                                float64
	uptime, mem, maxmem, disk, maxdisk int64
	netin, netout, diskread, diskwrite int64
}

type nodeStats struct {
	at                                 time.Time
	maxcpu                             int
	cpu                                float64
	uptime, mem, maxmem, disk, maxdisk int64
}

// figures are a guest's live figures.
func (s *Server) figures(g *guest, at time.Time) guestStats {
	f := guestStats{
		at: at, name: withoutBlanks(g.Name), status: "stopped", template: oneIf(g.Template),
		cpus: g.Cores, maxmem: g.Memory, maxdisk: g.Disk,
	}
	if f.name == "" {
		f.name = "CT" + itoa(g.VMID)
	}
	if n := s.node(g.Node); f.cpus == 0 && n != nil {
		f.cpus = n.Cores
	}
	if g.Running {
		f.status = "running"
		f.uptime = int64(s.uptime(g, at) / time.Second)
		f.cpu, f.mem, f.disk = g.CPU, g.MemUsed, g.DiskUsed
		f.maxdisk = g.Disk - g.Disk/36 // the file system is a little smaller than its volume
		f.disk = min(f.disk, f.maxdisk)
		f.netin, f.netout = f.uptime*1371+4096, f.uptime*842+4096
		f.diskread, f.diskwrite = 1<<20+f.uptime*97, 2<<20+f.uptime*613
	}
	return f
}

func (s *Server) report(g *guest, at time.Time) {
	if !g.Silent {
		s.stats[g.VMID] = s.figures(g, at)
	}
}

func (s *Server) reportNode(n *node, at time.Time) {
	s.nodeStats[n.Name] = nodeStats{
		at: at, maxcpu: n.Cores, cpu: n.CPU, uptime: int64(at.Sub(n.started) / time.Second),
		mem: n.MemUsed, maxmem: n.Memory, disk: n.DiskUsed, maxdisk: n.Disk,
	}
}

// takeFigures lets the nodes report if their time has come. It is called before every change, so that figures are those of the moment
// at which they were due. The lock is held.
func (s *Server) takeFigures() {
	now, every := s.now(), s.scaled(figuresEvery)
	if s.lastPass.IsZero() {
		s.lastPass = now
		return
	}
	late := now.Sub(s.lastPass)
	if late < every {
		return
	}
	s.lastPass = now.Add(-(late % max(every, 1)))
	s.pass(s.lastPass)
	for vmid, f := range s.stats {
		if now.Sub(f.at) > s.scaled(figuresLast) {
			delete(s.stats, vmid)
		}
	}
	for name, f := range s.nodeStats {
		if now.Sub(f.at) > s.scaled(figuresLast) {
			delete(s.nodeStats, name)
		}
	}
}

// pass is one round of pvestatd on all nodes that are online.
func (s *Server) pass(at time.Time) {
	s.passes++
	online := make(map[string]bool, len(s.nodes))
	for _, n := range s.nodes {
		if online[n.Name] = n.Online; n.Online {
			s.reportNode(n, at)
		}
	}
	for _, g := range s.guests {
		if online[g.Node] {
			s.report(g, at)
		}
	}
}

// freshen makes the figures as fresh as they have to be for a read. With Scale 0 they are those of now, and a node that is away has
// none. The lock is held.
func (s *Server) freshen() {
	if s.opts.Scale > 0 {
		return // lock has done it
	}
	now := s.now()
	if s.lastPass.Unix() == now.Unix() && s.passVersion == s.version {
		return
	}
	s.lastPass, s.passVersion = now, s.version
	s.pass(now)
	for _, n := range s.nodes {
		if !n.Online {
			delete(s.nodeStats, n.Name)
		}
	}
	for vmid, g := range s.guests {
		if n := s.node(g.Node); n == nil || !n.Online {
			delete(s.stats, vmid)
		}
	}
}

// listingKey says for whom and for what a listing was rendered.
type listingKey struct {
	user, kind string
}

// getResources answers GET /cluster/resources. The rendering is kept while nothing has changed, because tests ask it of clusters with
// 10,000 containers.
func (s *Server) getResources(r *request) (any, error) {
	s.freshen()
	if s.listedVersion != s.version || s.listedPass != s.passes {
		clear(s.listings)
		s.listedVersion, s.listedPass = s.version, s.passes
	}
	key := listingKey{r.who.user, r.text("type")}
	kept := s.listings[key]
	if kept == nil {
		kept = &listing{body: s.renderResources(r.who, key.kind)}
		s.listings[key] = kept
	}
	return kept, nil
}

func (s *Server) renderResources(who caller, kind string) []byte {
	wants := func(k string) bool { return kind == "" || kind == k }
	o := &object{b: make([]byte, 0, 512+400*len(s.guests))}
	o.b = append(o.b, `{"data":[`...)
	if kind == "" {
		s.renderPools(o, who)
	}
	if wants("vm") {
		ids := make([]string, 0, len(s.guests))
		for vmid := range s.guests {
			ids = append(ids, itoa(vmid))
		}
		slices.Sort(ids) // as strings, as Proxmox does
		for _, id := range ids {
			if s.may(who, "/vms/"+id, "VM.Audit") {
				s.renderGuest(o, who, s.guests[atoi(id)])
			}
		}
	}
	if wants("node") {
		for _, n := range s.nodes {
			s.renderNode(o, who, n)
		}
	}
	if wants("storage") {
		for _, st := range s.storages {
			if !s.may(who, "/storage/"+st.Name, "Datastore.Audit") {
				continue
			}
			for _, n := range s.nodes {
				if st.on(n.Name) {
					s.renderStorage(o, st, n)
				}
			}
		}
	}
	if kind == "" && s.may(who, "/sdn/zones/localnetwork", "SDN.Audit") {
		for _, n := range s.nodes {
			s.renderNetwork(o, n)
		}
	}
	o.b = append(o.b, "]}"...)
	return o.b
}

func (s *Server) renderPools(o *object, who caller) {
	members := make(map[string][]*guest)
	for _, g := range s.guests {
		if g.Pool != "" {
			members[g.Pool] = append(members[g.Pool], g)
		}
	}
	pools := make([]string, 0, len(members))
	for pool := range members {
		pools = append(pools, pool)
	}
	slices.Sort(pools)
	for _, pool := range pools {
		if !s.may(who, "/pool/"+pool, "Pool.Audit") {
			continue
		}
		o.open()
		o.str("id", "/pool/"+pool)
		o.str("pool", pool)
		o.str("type", "pool")
		var uptime, mem, maxmem int64
		var cpu, maxcpu float64
		for _, g := range members[pool] {
			if f := s.stats[g.VMID]; f.uptime > 0 {
				uptime, mem, maxmem = max(uptime, f.uptime), mem+f.mem, maxmem+f.maxmem
				cpu = (cpu*maxcpu + f.cpu*float64(f.cpus)) / (maxcpu + float64(f.cpus))
				maxcpu += float64(f.cpus)
			}
		}
		if uptime > 0 {
			o.int("uptime", uptime)
			o.int("mem", mem)
			o.int("maxmem", maxmem)
			o.num("cpu", cpu)
			o.num("maxcpu", maxcpu)
		}
		o.close()
	}
}

// renderGuest is PVE::API2Tools::extract_vm_stats: what the cluster file system knows is of now, the rest as old as the figures.
func (s *Server) renderGuest(o *object, who caller, g *guest) {
	o.open()
	o.str("id", g.id())
	if s.atLeast(8, 0) {
		o.int("vmid", int64(g.VMID))
	} else {
		o.str("vmid", itoa(g.VMID))
	}
	o.str("node", g.Node)
	o.str("type", g.kind)
	if f, known := s.stats[g.VMID]; known {
		o.str("status", f.status)
		o.str("name", f.name)
		o.int("template", int64(f.template))
		o.int("maxcpu", int64(f.cpus))
		o.num("cpu", f.cpu)
		o.int("maxmem", f.maxmem)
		o.int("mem", f.mem)
		o.int("maxdisk", f.maxdisk)
		o.int("disk", f.disk)
		o.int("netin", f.netin)
		o.int("netout", f.netout)
		o.int("diskread", f.diskread)
		o.int("diskwrite", f.diskwrite)
		o.int("uptime", f.uptime)
		if s.atLeast(9, 0) {
			o.int("memhost", 0) // pvestatd has no such figure of a container
		}
	} else {
		o.str("status", "unknown")
	}
	if g.Lock != "" {
		o.str("lock", g.Lock)
	}
	if g.Tags != "" {
		o.str("tags", g.Tags)
	}
	if g.Pool != "" && s.may(who, "/pool/"+g.Pool, "Pool.Audit") {
		o.str("pool", g.Pool)
	}
	if g.HA {
		o.str("hastate", g.haState())
	}
	o.close()
}

func (s *Server) renderNode(o *object, who caller, n *node) {
	o.open()
	o.str("id", "node/"+n.Name)
	o.str("node", n.Name)
	o.str("type", "node")
	o.str("status", s.nodeStatus(n))
	if f, known := s.nodeStats[n.Name]; known {
		o.str("level", "")
		if s.may(who, "/nodes/"+n.Name, "Sys.Audit") {
			o.int("maxcpu", int64(f.maxcpu))
			o.int("maxmem", f.maxmem)
			o.int("maxdisk", f.maxdisk)
			if n.Online {
				o.int("uptime", f.uptime)
				o.num("cpu", f.cpu)
				o.int("mem", f.mem)
				o.int("disk", f.disk)
			}
		}
	}
	if n.Online {
		o.int("cgroup-mode", 2)
	}
	o.close()
}

func (s *Server) renderStorage(o *object, st *Storage, n *node) {
	o.open()
	o.str("id", "storage/"+n.Name+"/"+st.Name)
	o.str("storage", st.Name)
	o.str("node", n.Name)
	o.str("type", "storage")
	o.str("plugintype", st.Type)
	o.str("content", st.Content)
	o.int("shared", int64(oneIf(st.Shared)))
	if _, known := s.nodeStats[n.Name]; known && !st.Inactive {
		o.str("status", "available")
		o.int("maxdisk", st.Total)
		o.int("disk", st.Used)
	} else {
		o.str("status", "unknown")
	}
	o.close()
}

func (s *Server) renderNetwork(o *object, n *node) {
	o.open()
	if s.atLeast(9, 0) {
		o.str("id", "network/"+n.Name+"/zone/localnetwork")
		o.str("type", "network")
		o.str("network", "localnetwork")
		o.str("network-type", "zone")
	} else {
		o.str("id", "sdn/"+n.Name+"/localnetwork")
		o.str("type", "sdn")
		o.str("sdn", "localnetwork")
	}
	o.str("node", n.Name)
	o.str("status", "ok")
	o.close()
}

// object appends JSON objects to an array: much faster than a map for each of 10,000 rows.
type object struct{ b []byte }

func (o *object) open() {
	if o.b[len(o.b)-1] == '}' {
		o.b = append(o.b, ',')
	}
	o.b = append(o.b, '{')
}

func (o *object) close() { o.b = append(o.b, '}') }

func (o *object) key(k string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), k...), '"', ':')
}

func (o *object) int(k string, v int64) {
	o.key(k)
	o.b = strconv.AppendInt(o.b, v, 10)
}

func (o *object) num(k string, v float64) {
	o.key(k)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	o.b = strconv.AppendFloat(o.b, v, 'g', -1, 64)
}

func (o *object) str(k, v string) {
	o.key(k)
	if strings.IndexFunc(v, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r == utf8.RuneError }) < 0 {
		o.b = append(append(append(o.b, '"'), v...), '"')
		return
	}
	o.b = append(o.b, encode(v)...)
}
