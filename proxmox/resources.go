package proxmox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Resources is what one look at a whole cluster shows. Rows that the token may
// not see are left out without a word; so an empty list usually means that
// VM.Audit is missing.
//
// Proxmox keeps it in a cache: each node renews its part every 10 s, and a
// node that is gone stays as it last was for up to 5 minutes. After that, and
// while they are very new, its containers have the status unknown and neither
// name nor measures.
type Resources struct {
	At         time.Time // by the server's clock; ours where it does not say
	Containers []Container
	Nodes      []Node
	Storages   []Storage // one row for each node, also of shared ones
}

// Container is one LXC container.
type Container struct {
	VMID     int
	Node     string
	Name     string // its hostname; "" while Proxmox does not know it
	Status   string // as sent: running, stopped, unknown
	Lock     string // backup, create, migrate, snapshot, …; "" for none
	Tags     string // "a;b" as sent
	Pool     string
	HAState  string // started, stopped, error, …; "" where not managed by HA
	Template bool
	CPU      float64 // in use, as a fraction of MaxCPU; never negative
	MaxCPU   float64 // cores
	Mem      int64   // bytes, as all below; never negative
	MaxMem   int64
	Disk     int64 // of the root file system; 0 when stopped
	MaxDisk  int64 // its size as the guest sees it while running, as configured when stopped
	Uptime   int64 // seconds
}

// Node is one node of a cluster. The measures are 0 without Sys.Audit.
type Node struct {
	Name   string
	Status string  // online, offline, unknown
	CPU    float64 // in use, as a fraction of MaxCPU
	MaxCPU float64 // cores
	Mem    int64   // bytes
	MaxMem int64   // bytes
	Uptime int64   // seconds
}

// Storage is one storage as one node sees it.
type Storage struct {
	Name    string
	Node    string
	Status  string // available, unknown, …
	Plugin  string // lvmthin, zfspool, nfs, …
	Content string // "images,rootdir" as sent
	Shared  bool
	Used    int64 // bytes
	Size    int64 // bytes
}

// row has the fields of every type of row: which type it is may come last.
type row struct {
	Container
	id                             int // the number in "lxc/101"
	kind, storage, plugin, content string
	shared                         bool
}

// Resources asks for everything in the cluster, with one GET
// /cluster/resources. The order of the rows means nothing.
func (c *Client) Resources(ctx context.Context) (Resources, error) {
	var res Resources
	r := &request{
		method: http.MethodGet, endpoint: "/cluster/resources",
		data: res.read,
	}
	if err := c.read(ctx, r); err != nil {
		return Resources{}, err
	}
	if res.At = r.date; res.At.IsZero() {
		res.At = c.now()
	}
	return res, nil
}

// rowSize is a little less than a container's row has bytes: to make room for
// all at once is worth a third of the time.
const rowSize = 320

func (res *Resources) read(r *reader) {
	res.Containers = make([]Container, 0, r.length/rowSize)
	for i := range r.array() {
		var row row
		row.read(r)
		switch row.kind {
		case "lxc":
			if row.VMID == 0 {
				row.VMID = row.id
			}
			if !validVMID(row.VMID) {
				r.failAt(jsontext.Pointer(fmt.Sprintf("/data/%d/vmid", i)), errNoVMID)
			}
			res.Containers = append(res.Containers, row.Container)
		case "node":
			res.Nodes = append(res.Nodes, Node{
				Name: row.Node, Status: row.Status, CPU: row.CPU, MaxCPU: row.MaxCPU,
				Mem: row.Mem, MaxMem: row.MaxMem, Uptime: row.Uptime,
			})
		case "storage":
			res.Storages = append(res.Storages, Storage{
				Name: row.storage, Node: row.Node, Status: row.Status, Plugin: row.plugin,
				Content: row.content, Shared: row.shared, Used: row.Disk, Size: row.MaxDisk,
			})
		}
	}
}

var errNoVMID = errors.New("not a VMID")

func (row *row) read(r *reader) {
	for name := range r.object() {
		switch string(name) {
		case "id":
			_, id := r.scalar(errNotText)
			if n, ok := parseDigits(bytes.TrimPrefix(id, []byte("lxc/"))); ok {
				row.id = int(n)
			}
		case "type":
			row.kind = r.repeated()
		case "vmid":
			row.VMID = r.int()
		case "node":
			row.Node = r.repeated()
		case "name":
			row.Name = r.text()
		case "status":
			row.Status = r.repeated()
		case "lock":
			row.Lock = r.repeated()
		case "tags":
			row.Tags = r.repeated()
		case "pool":
			row.Pool = r.repeated()
		case "hastate":
			row.HAState = r.repeated()
		case "template":
			row.Template = r.boolean()
		case "cpu":
			row.CPU = r.number()
		case "maxcpu":
			row.MaxCPU = r.number()
		case "mem":
			row.Mem = r.size()
		case "maxmem":
			row.MaxMem = r.size()
		case "disk":
			row.Disk = r.size()
		case "maxdisk":
			row.MaxDisk = r.size()
		case "uptime":
			row.Uptime = r.size()
		case "storage":
			row.storage = r.repeated()
		case "plugintype":
			row.plugin = r.repeated()
		case "content":
			row.content = r.repeated()
		case "shared":
			row.shared = r.boolean()
		default:
			r.skip()
		}
	}
}
