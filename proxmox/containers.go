package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ref says where a container is. It may have moved: then [ErrNotFound].
type Ref struct {
	Node string
	VMID int
}

// ContainerConfig is how a container is set up. Changes that wait for its next
// start are in it already.
type ContainerConfig struct {
	Digest       string
	Hostname     string
	OSType       string // debian, alpine, …
	Arch         string
	Cores        float64 // 0: all of the node's
	CPULimit     float64 // cores; 0: no limit
	Memory       int64   // MiB
	Swap         int64   // MiB
	RootFS       Mount
	Mounts       []Mount   // mpN, in the order of N
	Unused       []Mount   // unusedN: volumes that were detached; they go with the container
	Networks     []Network // netN, in the order of N
	Features     []string  // those that are on: "nesting", "keyctl", "mount=nfs;cifs", …
	OnBoot       bool
	Protection   bool
	Unprivileged bool
	Template     bool
	Tags         string // "a;b" as sent
	Description  string
	Lock         string
	Nameserver   string
}

// Mount is what is mounted into a container.
type Mount struct {
	Key     string // rootfs, mp0, …
	Volume  string // local-lvm:vm-101-disk-0, or a path on the node
	Storage string // local-lvm; "" for Bind
	Path    string // inside; / for rootfs
	Size    int64  // bytes; 0: unknown
	Bind    bool   // a directory or device of the node, not a volume: it outlives the container
}

// Network is one network card of a container, as configured.
type Network struct {
	Key     string // net0, …
	Name    string // inside: eth0
	Bridge  string
	HWAddr  string // BC:24:11:…
	IP      string // 192.0.2.5/24, dhcp, manual
	IP6     string // 2001:db8::5/64, dhcp, auto, manual
	Gateway string // of IPv4, else of IPv6
	VLAN    int    // 0: none
}

// Where the configuration does not name them, Proxmox takes 512 MiB of each
// (its schema).
const defaultMemory, defaultSwap = 512, 512

// ContainerConfig asks for the configuration of a container. It needs VM.Audit.
func (c *Client) ContainerConfig(ctx context.Context, ref Ref) (ContainerConfig, error) {
	cfg := ContainerConfig{Memory: defaultMemory, Swap: defaultSwap}
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/lxc/{vmid}/config", node: ref.Node, vmid: ref.VMID,
		data: cfg.read,
	})
	if err != nil {
		return ContainerConfig{}, err
	}
	return cfg, nil
}

func (cfg *ContainerConfig) read(r *reader) {
	for name := range r.object() {
		switch string(name) {
		case "digest":
			cfg.Digest = r.text()
		case "hostname":
			cfg.Hostname = r.text()
		case "ostype":
			cfg.OSType = r.text()
		case "arch":
			cfg.Arch = r.text()
		case "cores":
			cfg.Cores = r.number()
		case "cpulimit":
			cfg.CPULimit = r.number()
		case "memory":
			cfg.Memory = r.size()
		case "swap":
			cfg.Swap = r.size()
		case "rootfs":
			cfg.RootFS = parseMount("rootfs", r.text())
			cfg.RootFS.Path = "/"
		case "features":
			cfg.Features = parseFeatures(r.text())
		case "onboot":
			cfg.OnBoot = r.boolean()
		case "protection":
			cfg.Protection = r.boolean()
		case "unprivileged":
			cfg.Unprivileged = r.boolean()
		case "template":
			cfg.Template = r.boolean()
		case "tags":
			cfg.Tags = r.text()
		case "description":
			cfg.Description = r.text()
		case "lock":
			cfg.Lock = r.text()
		case "nameserver":
			cfg.Nameserver = r.text()
		default:
			switch key := string(name); {
			case numbered(key, "mp") >= 0:
				cfg.Mounts = append(cfg.Mounts, parseMount(key, r.text()))
			case numbered(key, "unused") >= 0:
				cfg.Unused = append(cfg.Unused, parseMount(key, r.text()))
			case numbered(key, "net") >= 0:
				cfg.Networks = append(cfg.Networks, parseNetwork(key, r.text()))
			default:
				r.skip()
			}
		}
	}
	slices.SortFunc(cfg.Mounts, func(a, b Mount) int { return numbered(a.Key, "mp") - numbered(b.Key, "mp") })
	slices.SortFunc(cfg.Unused, func(a, b Mount) int { return numbered(a.Key, "unused") - numbered(b.Key, "unused") })
	slices.SortFunc(cfg.Networks, func(a, b Network) int { return numbered(a.Key, "net") - numbered(b.Key, "net") })
}

// numbered returns the N of prefixN, or -1.
func numbered(key, prefix string) int {
	digits, ok := strings.CutPrefix(key, prefix)
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil {
		return -1
	}
	return int(n)
}

// properties yields the pairs of Proxmox's "a,b=c,d=e". A first part without a
// name gets the given one.
func properties(s, first string) func(yield func(key, value string) bool) {
	return func(yield func(key, value string) bool) {
		for part := range strings.SplitSeq(s, ",") {
			key, value, named := strings.Cut(part, "=")
			if !named {
				key, value = first, part
			}
			if !yield(key, value) {
				return
			}
			first = ""
		}
	}
}

func parseMount(key, s string) Mount {
	m := Mount{Key: key}
	for name, value := range properties(s, "volume") {
		switch name {
		case "volume":
			m.Volume = value
		case "mp":
			m.Path = value
		case "size":
			m.Size = parseSize(value)
		}
	}
	if m.Bind = strings.HasPrefix(m.Volume, "/"); !m.Bind {
		m.Storage, _, _ = strings.Cut(m.Volume, ":")
	}
	return m
}

// parseSize reads "8G", or returns 0 for what it does not know. The units are
// those of 1024.
func parseSize(s string) int64 {
	digits := strings.TrimRight(s, "KMGT")
	unit := int64(1)
	switch s[len(digits):] {
	case "":
	case "K":
		unit = 1 << 10
	case "M":
		unit = 1 << 20
	case "G":
		unit = 1 << 30
	case "T":
		unit = 1 << 40
	default:
		return 0
	}
	n, err := strconv.ParseFloat(digits, 64)
	if bytes := n * float64(unit); err == nil && bytes >= 0 && bytes < 1<<62 {
		return int64(bytes)
	}
	return 0
}

func parseNetwork(key, s string) Network {
	n := Network{Key: key}
	gateway6 := ""
	for name, value := range properties(s, "") {
		switch name {
		case "name":
			n.Name = value
		case "bridge":
			n.Bridge = value
		case "hwaddr":
			n.HWAddr = value
		case "ip":
			n.IP = value
		case "ip6":
			n.IP6 = value
		case "gw":
			n.Gateway = value
		case "gw6":
			gateway6 = value
		case "tag":
			n.VLAN, _ = strconv.Atoi(value)
		}
	}
	if n.Gateway == "" {
		n.Gateway = gateway6
	}
	return n
}

func parseFeatures(s string) []string {
	var on []string
	for name, value := range properties(s, "") {
		switch value {
		case "", "0":
		case "1":
			on = append(on, name)
		default:
			on = append(on, name+"="+value)
		}
	}
	slices.Sort(on)
	return on
}

// ContainerStatus is how a container is right now. Pool is not in it.
type ContainerStatus struct {
	Container
	Swap      int64 // bytes, never negative
	MaxSwap   int64
	HAManaged bool   // its start and stop tasks end before it has started or stopped
	HAState   string // also in Container
	PID       int    // of its init on the node; 0 when stopped
}

// ContainerStatus asks the node for the present state of a container, past the
// cache that [Client.Resources] reads. It needs VM.Audit.
func (c *Client) ContainerStatus(ctx context.Context, ref Ref) (ContainerStatus, error) {
	s := ContainerStatus{Container: Container{VMID: ref.VMID, Node: ref.Node}}
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/lxc/{vmid}/status/current", node: ref.Node, vmid: ref.VMID,
		data: s.read,
	})
	if err != nil {
		return ContainerStatus{}, err
	}
	return s, nil
}

func (s *ContainerStatus) read(r *reader) {
	for name := range r.object() {
		switch string(name) {
		case "name":
			s.Name = r.text()
		case "status":
			s.Status = r.text()
		case "lock":
			s.Lock = r.text()
		case "tags":
			s.Tags = r.text()
		case "template":
			s.Template = r.boolean()
		case "cpu":
			s.CPU = r.number()
		case "cpus":
			s.MaxCPU = r.number()
		case "mem":
			s.Mem = r.size()
		case "maxmem":
			s.MaxMem = r.size()
		case "disk":
			s.Disk = r.size()
		case "maxdisk":
			s.MaxDisk = r.size()
		case "uptime":
			s.Uptime = r.size()
		case "swap":
			s.Swap = r.size()
		case "maxswap":
			s.MaxSwap = r.size()
		case "pid":
			s.PID = r.int()
		case "ha":
			for name := range r.object() {
				switch string(name) {
				case "managed":
					s.HAManaged = r.boolean()
				case "state":
					s.HAState = r.text()
				default:
					r.skip()
				}
			}
		default:
			r.skip()
		}
	}
	s.Container.HAState = s.HAState
}

// Interface is one network interface as it is inside a running container.
type Interface struct {
	Name   string
	HWAddr string
	Addrs  []netip.Prefix
}

// Interfaces asks for the network interfaces of a running container, loopback
// included; it returns none for a stopped one. Proxmox enters the container
// for it: it is slow. It needs VM.Audit.
func (c *Client) Interfaces(ctx context.Context, ref Ref) ([]Interface, error) {
	var interfaces []Interface
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/lxc/{vmid}/interfaces", node: ref.Node, vmid: ref.VMID,
		nullable: true,
		data: func(r *reader) {
			for range r.array() {
				interfaces = append(interfaces, readInterface(r))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return interfaces, nil
}

// readInterface takes the list of addresses where there is one (8.x and
// later), since the older fields have room for one address of each family.
func readInterface(r *reader) Interface {
	var i Interface
	var old []netip.Prefix
	for name := range r.object() {
		switch string(name) {
		case "name":
			i.Name = r.text()
		case "hwaddr", "hardware-address":
			i.HWAddr = r.text()
		case "inet", "inet6":
			if s := r.text(); s != "" {
				old = append(old, parsePrefix(r, s))
			}
		case "ip-addresses":
			for range r.array() {
				address, length := "", ""
				for name := range r.object() {
					switch string(name) {
					case "ip-address":
						address = r.text()
					case "prefix":
						length = r.text()
					default:
						r.skip()
					}
				}
				if length != "" {
					address += "/" + length
				}
				if address != "" {
					i.Addrs = append(i.Addrs, parsePrefix(r, address))
				}
			}
		default:
			r.skip()
		}
	}
	if len(i.Addrs) == 0 {
		slices.SortFunc(old, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		i.Addrs = old
	}
	return i
}

var errNotAddress = errors.New("not an address")

func parsePrefix(r *reader, s string) netip.Prefix {
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		r.fail(errNotAddress)
		return netip.Prefix{}
	}
	return netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
}

// Snapshot is a saved state of a container.
type Snapshot struct {
	Name        string
	Description string
	Parent      string // the snapshot before it; "" for none
	Time        time.Time
}

// Snapshots asks for the snapshots of a container, oldest first. It needs
// VM.Audit.
func (c *Client) Snapshots(ctx context.Context, ref Ref) ([]Snapshot, error) {
	var snapshots []Snapshot
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/lxc/{vmid}/snapshot", node: ref.Node, vmid: ref.VMID,
		data: func(r *reader) {
			for range r.array() {
				if s := readSnapshot(r); s.Name != "current" { // how Proxmox calls what is not saved
					snapshots = append(snapshots, s)
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(snapshots, func(a, b Snapshot) int {
		if byTime := a.Time.Compare(b.Time); byTime != 0 {
			return byTime
		}
		return strings.Compare(a.Name, b.Name)
	})
	return snapshots, nil
}

func readSnapshot(r *reader) Snapshot {
	var s Snapshot
	for name := range r.object() {
		switch string(name) {
		case "name":
			s.Name = r.text()
		case "description":
			s.Description = r.text()
		case "parent":
			s.Parent = r.text()
		case "snaptime":
			s.Time = r.time()
		default:
			r.skip()
		}
	}
	return s
}

// Verb is what can be done to a container's power.
type Verb string

// Verbs.
const (
	Start    Verb = "start"
	Stop     Verb = "stop"     // at once, as if by pulling the plug
	Shutdown Verb = "shutdown" // asks the guest
	Reboot   Verb = "reboot"   // a shutdown that stops the guest hard on timeout, then a start
)

// PowerAction is one thing to do to a container's power. An option that its
// verb does not have is refused.
type PowerAction struct {
	Verb             Verb
	Timeout          time.Duration // shutdown, reboot: how long the guest may take, in whole seconds; 0: Proxmox's default, 60 s for a shutdown
	ForceStop        bool          // shutdown: stop it hard after Timeout, instead of failing
	OverruleShutdown bool          // stop: end shutdowns that are under way first; else the stop waits for them and fails. Proxmox 8 and later; refused under HA
}

func (a PowerAction) params() (url.Values, error) {
	allowed := PowerAction{Verb: a.Verb}
	switch a.Verb {
	case Start:
	case Stop:
		allowed.OverruleShutdown = a.OverruleShutdown
	case Shutdown:
		allowed.Timeout, allowed.ForceStop = a.Timeout, a.ForceStop
	case Reboot:
		allowed.Timeout = a.Timeout
	default:
		return nil, fmt.Errorf("%w: no such action %.100q", errInvalid, string(a.Verb))
	}
	if a != allowed || a.Timeout < 0 {
		return nil, fmt.Errorf("%w: an option that %s does not have", errInvalid, a.Verb)
	}
	params := url.Values{}
	if a.Timeout > 0 {
		params.Set("timeout", strconv.FormatInt(int64((a.Timeout+time.Second-1)/time.Second), 10))
	}
	setFlag(params, "forceStop", a.ForceStop)
	setFlag(params, "overrule-shutdown", a.OverruleShutdown)
	return params, nil
}

// setFlag leaves out what is false, so that an older Proxmox is not asked
// about an option it does not know.
func setFlag(params url.Values, name string, on bool) {
	if on {
		params.Set(name, "1")
	}
}

// Power starts, stops, shuts down or reboots a container, and returns the task
// that does so. It is never repeated: see [NotSent] for what an error leaves
// open. It needs VM.PowerMgmt.
//
// Errors known at once are [ErrAlreadyRunning], [ErrNotRunning] and
// [ErrNotFound]; all others are the task's. Under HA the task ends as soon as
// the request is accepted.
func (c *Client) Power(ctx context.Context, ref Ref, a PowerAction) (UPID, error) {
	params, err := a.params()
	if err != nil {
		return "", err
	}
	return c.start(ctx, &request{
		method: http.MethodPost, endpoint: "/nodes/{node}/lxc/{vmid}/status/" + string(a.Verb),
		node: ref.Node, vmid: ref.VMID, params: params,
	})
}

// DestroyOptions says how far the destruction of a container goes.
type DestroyOptions struct {
	Force                    bool // stop it first if it runs
	Purge                    bool // remove it from backup jobs, replication and HA too
	DestroyUnreferencedDisks bool // also disks with its VMID that its configuration does not name
}

// Destroy removes a container with its disks for good, and returns the task
// that does so. It is never repeated, as with [Client.Power]. It needs
// VM.Allocate.
//
// Errors known at once are [ErrProtected], [ErrLocked] and [ErrNotFound].
func (c *Client) Destroy(ctx context.Context, ref Ref, o DestroyOptions) (UPID, error) {
	params := url.Values{}
	setFlag(params, "force", o.Force)
	setFlag(params, "purge", o.Purge)
	setFlag(params, "destroy-unreferenced-disks", o.DestroyUnreferencedDisks)
	return c.start(ctx, &request{
		method: http.MethodDelete, endpoint: "/nodes/{node}/lxc/{vmid}",
		node: ref.Node, vmid: ref.VMID, params: params,
	})
}

// start sends a write that is answered with a task.
func (c *Client) start(ctx context.Context, r *request) (UPID, error) {
	r.data = func(rd *reader) {
		upid, err := ParseUPID(rd.text())
		if err != nil {
			rd.fail(errNotUPID)
		}
		r.upid = upid
	}
	if err := c.write(ctx, r); err != nil {
		return "", err
	}
	return r.upid, nil
}

var errNotUPID = errors.New("not a task id")
