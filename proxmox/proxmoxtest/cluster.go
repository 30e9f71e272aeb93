package proxmoxtest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Node is a host of the cluster. Sizes are bytes.
type Node struct {
	Name            string
	Cores           int
	CPU             float64 // share of all its cores
	Memory, MemUsed int64
	Disk, DiskUsed  int64 // of its root file system
	Uptime          time.Duration
	Online          bool // see SetNode, which alone changes it
}

type node struct {
	Node
	id      int
	started time.Time
	assumed bool // it is there because nobody named a node yet
}

// AddNode adds a node that is online, with 8 cores and 32 GiB. A second one of that name is the same. Where nobody names a node there is
// one, "pve".
func (s *Server) AddNode(name string) {
	s.lock()
	defer s.mu.Unlock()
	s.addNode(name)
}

func (s *Server) addNode(name string) {
	if n := s.node(name); n != nil {
		n.assumed = false
		return
	}
	if len(s.nodes) == 1 && s.nodes[0].assumed && len(s.guests) == 0 {
		delete(s.nodeStats, s.nodes[0].Name)
		s.nodes = nil
	}
	n := &node{id: len(s.nodes) + 1, Node: Node{
		Name: name, Online: true, Cores: 8, CPU: 0.11, Memory: 32 << 30, MemUsed: 12 << 30, Disk: 94 << 30, DiskUsed: 20 << 30,
	}}
	n.started = s.now().Add(-10 * 24 * time.Hour)
	s.nodes = append(s.nodes, n)
	s.reportNode(n, s.now())
	s.touch()
}

// assumeNode makes sure that there is a node.
func (s *Server) assumeNode() {
	if len(s.nodes) == 0 {
		s.addNode("pve")
		s.nodes[0].assumed = true
	}
}

// UpdateNode changes what a node is and how busy it is. Nothing happens if there is no such node.
func (s *Server) UpdateNode(name string, change func(*Node)) {
	s.lock()
	defer s.mu.Unlock()
	n := s.node(name)
	if n == nil {
		return
	}
	now := s.now()
	after := n.Node
	after.Uptime = now.Sub(n.started)
	change(&after)
	after.Name, after.Online = name, n.Online
	n.Node, n.started = after, now.Add(-after.Uptime)
	s.touch()
}

// SetNode takes a node off the net or brings it back. While it is away, requests for it are answered 595 by the others, its row is
// "offline", and the rows of its containers keep their last figures for 300 s (scaled); then they are nameless and "unknown". What
// ran keeps running.
func (s *Server) SetNode(name string, online bool) {
	s.lock()
	defer s.mu.Unlock()
	s.addNode(name)
	s.node(name).Online = online
	s.touch()
}

// Nodes returns the nodes as they are now, in the order in which they were added.
func (s *Server) Nodes() []Node {
	s.lock()
	defer s.mu.Unlock()
	out := make([]Node, len(s.nodes))
	for i, n := range s.nodes {
		out[i] = n.Node
		out[i].Uptime = s.now().Sub(n.started)
	}
	return out
}

// Quorum overrides whether the cluster has a quorum. Until then more than half of the nodes must be online.
func (s *Server) Quorum(quorate bool) {
	s.lock()
	defer s.mu.Unlock()
	s.quorum = &quorate
	s.touch()
}

func (s *Server) quorate() bool {
	if s.quorum != nil {
		return *s.quorum
	}
	online := 0
	for _, n := range s.nodes {
		online += oneIf(n.Online)
	}
	return 2*online > len(s.nodes)
}

// checkQuorum is PVE::Cluster::check_cfs_quorum.
func (s *Server) checkQuorum() error {
	if !s.quorate() {
		return die("cluster not ready - no quorum?")
	}
	return nil
}

func (s *Server) node(name string) *node {
	if i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Name == name }); i >= 0 {
		return s.nodes[i]
	}
	return nil
}

// local is the node that answers: the first that is online.
func (s *Server) local() string {
	for _, n := range s.nodes {
		if n.Online {
			return n.Name
		}
	}
	return ""
}

func (s *Server) getVersion(*request) (any, error) {
	release := s.opts.Version
	if parts := strings.SplitN(release, ".", 3); len(parts) > 2 {
		release = parts[0] + "." + parts[1]
	}
	return map[string]any{"version": s.opts.Version, "release": release, "repoid": "3f1b2c4d5e6f7a8b"}, nil
}

// getClusterStatus answers GET /cluster/status: nodes in no order, and a cluster only where there is one.
func (s *Server) getClusterStatus(*request) (any, error) {
	rows := []any{}
	local := s.local()
	for i, n := range s.nodes {
		rows = append(rows, map[string]any{
			"type": "node", "id": "node/" + n.Name, "name": n.Name, "ip": "192.0.2." + itoa(11+i), "level": "",
			"nodeid": n.id, "local": oneIf(n.Name == local), "online": oneIf(n.Online),
		})
	}
	if len(rows) == 1 {
		rows[0].(map[string]any)["nodeid"] = 0
		return rows, nil
	}
	shuffle(rows)
	return append([]any{map[string]any{
		"type": "cluster", "id": "cluster", "name": s.opts.Cluster, "nodes": len(s.nodes),
		"quorate": oneIf(s.quorate()), "version": len(s.nodes),
	}}, rows...), nil
}

// getNextID answers GET /cluster/nextid: with a string, whatever the schema says.
func (s *Server) getNextID(r *request) (any, error) {
	if r.has("vmid") {
		if s.guests[r.vmid()] != nil {
			return nil, &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{
				"vmid": "VM " + r.text("vmid") + " already exists",
			}}
		}
		return r.text("vmid"), nil
	}
	for id := 100; id < 1_000_000; id++ {
		if s.guests[id] == nil {
			return itoa(id), nil
		}
	}
	return nil, die("unable to get any free VMID in range [100, 1000000]")
}

// getNodes answers GET /nodes.
func (s *Server) getNodes(r *request) (any, error) {
	s.freshen()
	rows := []any{}
	for _, n := range s.nodes {
		row := map[string]any{"id": "node/" + n.Name, "node": n.Name, "type": "node", "status": s.nodeStatus(n)}
		if !s.opts.Plain {
			row["ssl_fingerprint"] = s.Fingerprint()
		}
		if f, ok := s.nodeStats[n.Name]; ok {
			row["level"] = ""
			if s.may(r.who, "/nodes/"+n.Name, "Sys.Audit") {
				row["maxcpu"], row["maxmem"], row["maxdisk"] = f.maxcpu, f.maxmem, f.maxdisk
				if n.Online {
					row["uptime"], row["cpu"], row["mem"], row["disk"] = f.uptime, f.cpu, f.mem, f.disk
				}
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["node"].(string), b.(map[string]any)["node"].(string))
	})
	return rows, nil
}

func (s *Server) nodeStatus(n *node) string {
	if !n.Online {
		return "offline"
	}
	if _, known := s.nodeStats[n.Name]; !known {
		return "unknown"
	}
	return "online"
}
