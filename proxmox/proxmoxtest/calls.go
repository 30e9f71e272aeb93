package proxmoxtest

import (
	"slices"
	"strconv"
	"strings"
	"sync"
)

// call is one method of one path.
type call struct {
	method, path string
	params       map[string]param
	needs        *privilege // nil: everybody who is logged in
	node         bool       // carried out by the node that the path names
	do           func(*Server, *request) (any, error)
}

// privilege is a permission check of the API schema.
type privilege struct {
	path  string // with the call's {parameters}
	privs []string
	any   bool
}

// request is a call with its parameters, verified.
type request struct {
	who    caller
	node   string
	params map[string]value
	total  int // beside "data" in the answer, if not 0
}

func (r *request) has(name string) bool    { _, ok := r.params[name]; return ok }
func (r *request) text(name string) string { return r.params[name].text }
func (r *request) flag(name string) bool   { return r.params[name].text == "1" }
func (r *request) vmid() int               { return int(r.number("vmid", 0)) }
func (r *request) number(name string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(r.params[name].text, 10, 64); err == nil {
		return n
	}
	return otherwise
}

// calls is the part of the API that is simulated. The schema in pve-docs is the authority; a test compares.
func calls() []call {
	var (
		lowest, highest, zero, one, thirty int64 = 100, 999_999_999, 0, 1, 30

		node     = param{kind: "string", required: true, format: "pve-node"}
		vmid     = param{kind: "integer", required: true, format: "pve-vmid", min: &lowest, max: &highest}
		upid     = param{kind: "string", required: true}
		storage  = param{kind: "string", required: true, format: "pve-storage-id"}
		optional = func(p param) param { p.required = false; return p }
		text     = param{kind: "string"}
		boolean  = param{kind: "boolean"}
		integer  = param{kind: "integer"}
		natural  = param{kind: "integer", min: &zero}
		oneOf    = func(values ...string) param { return param{kind: "string", enum: values} }

		none      = map[string]param{}
		onNode    = map[string]param{"node": node}
		onCT      = map[string]param{"node": node, "vmid": vmid}
		audit     = &privilege{path: "/vms/{vmid}", privs: []string{"VM.Audit"}}
		power     = &privilege{path: "/vms/{vmid}", privs: []string{"VM.PowerMgmt"}}
		container = "/nodes/{node}/lxc/{vmid}"
	)
	with := func(base map[string]param, more map[string]param) map[string]param {
		all := make(map[string]param, len(base)+len(more))
		for k, v := range base {
			all[k] = v
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	timeframe := oneOf("hour", "day", "week", "month", "year")
	timeframe.required = true
	return []call{
		{"GET", "/version", none, nil, false, (*Server).getVersion},
		{"GET", "/access/permissions", map[string]param{"path": text, "userid": {kind: "string", pattern: useridPattern}}, nil, false, (*Server).getPermissions},
		{"GET", "/cluster/resources", map[string]param{"type": oneOf("vm", "storage", "node", "sdn")}, nil, false, (*Server).getResources},
		{"GET", "/cluster/status", none, &privilege{path: "/", privs: []string{"Sys.Audit"}}, false, (*Server).getClusterStatus},
		{"GET", "/cluster/tasks", none, nil, false, (*Server).getClusterTasks},
		{"GET", "/cluster/nextid", map[string]param{"vmid": optional(vmid)}, nil, false, (*Server).getNextID},
		{"GET", "/nodes", none, nil, false, (*Server).getNodes},
		{"GET", "/nodes/{node}/lxc", onNode, nil, true, (*Server).getContainers},
		{"POST", "/nodes/{node}/lxc", createParams(node, vmid), nil, true, (*Server).postContainer},
		{"GET", "/nodes/{node}/aplinfo", onNode, nil, true, (*Server).getAppliances},
		{"POST", "/nodes/{node}/aplinfo", with(onNode, map[string]param{
			"storage": storage, "template": {kind: "string", longest: 255, required: true},
		}), &privilege{path: "/storage/{storage}", privs: []string{"Datastore.AllocateTemplate"}}, true, (*Server).postAppliance},
		{"GET", "/nodes/{node}/network", with(onNode, map[string]param{"type": oneOf(
			"bridge", "bond", "eth", "alias", "vlan", "fabric", "OVSBridge", "OVSBond", "OVSPort", "OVSIntPort", "vnet", "any_bridge", "any_local_bridge", "include_sdn",
		)}), nil, true, (*Server).getNetworks},
		{"DELETE", container, with(onCT, map[string]param{"force": boolean, "purge": boolean, "destroy-unreferenced-disks": boolean}), &privilege{path: "/vms/{vmid}", privs: []string{"VM.Allocate"}}, true, (*Server).deleteContainer},
		{"GET", container + "/config", with(onCT, map[string]param{"current": boolean, "snapshot": {kind: "string", format: "pve-configid", longest: 40}}), audit, true, (*Server).getConfig},
		{"GET", container + "/status/current", onCT, audit, true, (*Server).getCurrent},
		{"POST", container + "/status/start", with(onCT, map[string]param{"skiplock": boolean, "debug": boolean}), power, true, (*Server).postStart},
		{"POST", container + "/status/stop", with(onCT, map[string]param{"skiplock": boolean, "overrule-shutdown": boolean}), power, true, (*Server).postStop},
		{"POST", container + "/status/shutdown", with(onCT, map[string]param{"timeout": natural, "forceStop": boolean}), power, true, (*Server).postShutdown},
		{"POST", container + "/status/reboot", with(onCT, map[string]param{"timeout": natural}), power, true, (*Server).postReboot},
		{"GET", container + "/interfaces", onCT, audit, true, (*Server).getInterfaces},
		{"GET", container + "/snapshot", onCT, audit, true, (*Server).getSnapshots},
		{"GET", container + "/rrddata", with(onCT, map[string]param{"timeframe": timeframe, "cf": oneOf("AVERAGE", "MAX")}), audit, false, (*Server).getRRDData},
		{"GET", "/nodes/{node}/tasks", with(onNode, map[string]param{
			"errors": boolean, "limit": natural, "since": integer, "source": oneOf("archive", "active", "all"), "start": natural,
			"statusfilter": {kind: "string", format: "pve-task-status-type-list"}, "typefilter": text, "until": integer,
			"userfilter": text, "vmid": optional(vmid),
		}), nil, true, (*Server).getTasks},
		{"GET", "/nodes/{node}/tasks/{upid}/status", with(onNode, map[string]param{"upid": upid}), nil, true, (*Server).getTaskStatus},
		{"GET", "/nodes/{node}/tasks/{upid}/log", with(onNode, map[string]param{"upid": upid, "start": natural, "limit": natural, "download": boolean}), nil, true, (*Server).getTaskLog},
		{"GET", "/nodes/{node}/storage", with(onNode, map[string]param{
			"content": {kind: "string", format: "pve-storage-content-list"}, "enabled": boolean, "format": boolean,
			"storage": optional(storage), "target": optional(node),
		}), nil, true, (*Server).getStorages},
		{"GET", "/nodes/{node}/storage/{storage}/content", with(onNode, map[string]param{
			"storage": storage, "content": {kind: "string", format: "pve-storage-content"}, "vmid": optional(vmid),
		}), &privilege{path: "/storage/{storage}", privs: []string{"Datastore.Audit", "Datastore.AllocateSpace"}, any: true}, true, (*Server).getContent},
		{"DELETE", "/nodes/{node}/storage/{storage}/content/{volume}", with(onNode, map[string]param{
			"storage": optional(storage), "volume": {kind: "string", required: true}, "delay": {kind: "integer", min: &one, max: &thirty},
		}), nil, true, (*Server).deleteContent},
	}
}

// match tells whether the path is one of this call's, and fills in what its {parameters} are.
func (c *call) match(method string, path []string) (map[string]string, bool) {
	pattern := segments(c.path)
	if last := len(pattern) - 1; strings.HasSuffix(c.path, "/{volume}") && len(path) > last { // the only one that may hold a slash
		path = append(slices.Clone(path[:last]), strings.Join(path[last:], "/"))
	}
	if c.method != method || len(pattern) != len(path) {
		return nil, false
	}
	filled := make(map[string]string)
	for i, p := range pattern {
		if name, ok := strings.CutPrefix(p, "{"); ok {
			filled[strings.TrimSuffix(name, "}")] = path[i]
		} else if p != path[i] {
			return nil, false
		}
	}
	return filled, true
}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// perform does what PVE::HTTPServer::rest_handler does, in its order: find, check the privilege, go to the node, verify, do.
func (s *Server) perform(method, path string, who caller, params map[string]value) (data any, total int, err error) {
	var found *call
	var inPath map[string]string
	for i := range s.calls {
		if filled, ok := s.calls[i].match(method, segments(path)); ok {
			found, inPath = &s.calls[i], filled
			break
		}
	}
	if found == nil {
		return nil, 0, &apiError{status: 501, message: "Method '" + method + " " + path + "' not implemented", misuse: true}
	}
	for name, v := range inPath {
		if given, twice := params[name]; twice && given.text != v {
			return nil, 0, &apiError{status: 400, message: "Parameter verification failed.\n", misuse: true, errors: map[string]string{
				name: "duplicate parameter (already defined in URI) with conflicting values!",
			}}
		}
		params[name] = value{text: v}
	}

	s.lock()
	defer s.mu.Unlock()
	if p := found.needs; p != nil {
		object := p.path
		for name, v := range params {
			object = strings.ReplaceAll(object, "{"+name+"}", v.text)
		}
		if err := s.check(who, object, p.any, p.privs...); err != nil {
			return nil, 0, err
		}
	}
	r := &request{who: who, node: inPath["node"], params: params}
	if r.node == "localhost" {
		r.node = s.local()
	}
	if found.node {
		if err := s.reach(r.node); err != nil {
			return nil, 0, err
		}
	}
	if err := verify(found.params, params); err != nil {
		return nil, 0, err
	}
	data, err = found.do(s, r)
	return data, r.total, err
}

// reach is the way from the node that was asked to the one that is meant. The lock is held.
func (s *Server) reach(name string) error {
	n := s.node(name)
	if n == nil {
		return die("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", name, name)
	}
	if !n.Online {
		return &apiError{status: 595, message: "No route to host", bare: true, delay: s.scaled(deadNodeDelay)}
	}
	return nil
}

// listing is a rendered answer that is kept while it is true.
type listing struct {
	body []byte
	zip  sync.Once
	gz   []byte
}

func (l *listing) packed() []byte {
	l.zip.Do(func() { l.gz = zip(l.body) })
	return l.gz
}
