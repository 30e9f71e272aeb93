package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Appliance is an OS template that Proxmox offers for download.
type Appliance struct {
	Template string // the file's name
	OS       string // "debian-13"
	Section  string // "system" for plain operating systems
	Headline string
}

// Appliances asks what a node can download; nothing before `pveam update` ran
// there for the first time.
func (c *Client) Appliances(ctx context.Context, node string) ([]Appliance, error) {
	var list []Appliance
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/aplinfo", node: node,
		data: func(r *reader) {
			for range r.array() {
				var a Appliance
				for name := range r.object() {
					switch string(name) {
					case "template":
						a.Template = r.text()
					case "os":
						a.OS = r.repeated()
					case "section":
						a.Section = r.repeated()
					case "headline":
						a.Headline = r.text()
					default:
						r.skip()
					}
				}
				list = append(list, a)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b Appliance) int { return strings.Compare(a.Template, b.Template) })
	return list, nil
}

// Download starts to fetch an OS template to a storage, and returns the task.
// It is never repeated, as with [Client.Power]. It needs
// Datastore.AllocateTemplate on the storage.
func (c *Client) Download(ctx context.Context, node, storage, template string) (UPID, error) {
	return c.start(ctx, &request{
		method: http.MethodPost, endpoint: "/nodes/{node}/aplinfo", node: node, params: url.Values{"storage": {storage}, "template": {template}},
	})
}

// Bridges asks for the names of a node's bridges that the token may use.
func (c *Client) Bridges(ctx context.Context, node string) ([]string, error) {
	var list []string
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/network", node: node, params: url.Values{"type": {"any_bridge"}},
		data: func(r *reader) {
			for range r.array() {
				for name := range r.object() {
					if string(name) == "iface" {
						list = append(list, r.text())
					} else {
						r.skip()
					}
				}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(list)
	return list, nil
}

// NextID asks for the lowest free VMID. Nothing reserves it.
func (c *Client) NextID(ctx context.Context) (int, error) {
	id := 0
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/cluster/nextid",
		data: func(r *reader) { id = r.int() }, // a string, whatever the schema says
	})
	return id, err
}

// NewContainer describes a container that is to be made.
type NewContainer struct {
	Node        string
	VMID        int
	OSTemplate  string // volume id
	Hostname    string
	Cores       int
	Memory      int64 // MiB
	Swap        int64 // MiB
	Storage     string
	Disk        int64 // GiB
	Bridge      string
	VLAN        int    // 0: none
	IP          string // "dhcp", or an address with its prefix length
	Gateway     string // "" with dhcp
	Nameserver  string // "" for the node's own
	Nesting     bool
	Privileged  bool // root inside is root on the node; needs Sys.Modify on /
	OnBoot      bool
	Tags        []string
	Pool        string
	Description string
	Password    Secret   // of root; "" for none
	SSHKeys     []string // of root, as in authorized_keys
}

// Create starts to make a container and returns the task. It is never repeated,
// as with [Client.Power]. It does not start the container.
//
// It needs VM.Allocate and VM.Config.* on the VMID or the pool, SDN.Use on the
// bridge, Datastore.AllocateSpace on the storage. Besides [ErrForbidden], it
// fails at once with [ErrExists] where the VMID is taken.
func (c *Client) Create(ctx context.Context, n NewContainer) (UPID, error) {
	params, err := n.params()
	if err != nil {
		return "", err
	}
	return c.start(ctx, &request{method: http.MethodPost, endpoint: "/nodes/{node}/lxc", node: n.Node, params: params})
}

func (n NewContainer) params() (url.Values, error) {
	if !validVMID(n.VMID) {
		return nil, fmt.Errorf("%w: %d is not a VMID", errInvalid, n.VMID)
	}
	if n.OSTemplate == "" || n.Storage == "" || n.Disk <= 0 || n.Bridge == "" || n.IP == "" {
		return nil, fmt.Errorf("%w: a container needs a template, storage, disk, bridge and address", errInvalid)
	}
	for _, s := range []string{n.Storage, n.Bridge, n.IP, n.Gateway} {
		if strings.ContainsAny(s, ",=") {
			return nil, fmt.Errorf("%w: %.40q", errInvalid, s)
		}
	}
	net := "name=eth0,bridge=" + n.Bridge + ",ip=" + n.IP
	if n.Gateway != "" {
		net += ",gw=" + n.Gateway
	}
	if n.VLAN > 0 {
		net += ",tag=" + strconv.Itoa(n.VLAN)
	}
	p := url.Values{
		"vmid": {strconv.Itoa(n.VMID)}, "ostemplate": {n.OSTemplate}, "rootfs": {n.Storage + ":" + strconv.FormatInt(n.Disk, 10)},
		"net0": {net}, "memory": {strconv.FormatInt(n.Memory, 10)}, "swap": {strconv.FormatInt(n.Swap, 10)}, "unprivileged": {flag(!n.Privileged)},
	}
	set := func(key, value string) {
		if value != "" {
			p.Set(key, value)
		}
	}
	set("hostname", n.Hostname)
	set("nameserver", n.Nameserver)
	set("pool", n.Pool)
	set("description", n.Description)
	set("tags", strings.Join(n.Tags, ";"))
	set("password", string(n.Password))
	set("ssh-public-keys", strings.Join(n.SSHKeys, "\n"))
	if n.Cores > 0 {
		set("cores", strconv.Itoa(n.Cores))
	}
	if n.Nesting {
		set("features", "nesting=1")
	}
	setFlag(p, "onboot", n.OnBoot)
	return p, nil
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
