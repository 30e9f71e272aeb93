package proxmox

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Volume is something that lies on a storage.
type Volume struct {
	ID      string // local-lvm:vm-101-disk-0
	Storage string
	Size    int64 // bytes
}

// DiskStorages asks which storages of a node can hold the disks of containers
// and can be reached, by name. It needs Datastore.Audit on them; others are
// left out.
func (c *Client) DiskStorages(ctx context.Context, node string) ([]string, error) {
	var storages []string
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/storage", node: node,
		params: url.Values{"content": {"rootdir"}, "enabled": {"1"}},
		data: func(r *reader) {
			for range r.array() {
				name, active := "", false
				for key := range r.object() {
					switch string(key) {
					case "storage":
						name = r.text()
					case "active":
						active = r.boolean()
					default:
						r.skip()
					}
				}
				if active {
					storages = append(storages, name)
				}
			}
		},
	})
	slices.Sort(storages)
	return storages, err
}

// OSTemplates asks for the OS templates on a storage, by ID. It needs
// Datastore.Audit or Datastore.AllocateSpace on the storage.
func (c *Client) OSTemplates(ctx context.Context, node, storage string) ([]Volume, error) {
	return c.content(ctx, node, storage, url.Values{"content": {"vztmpl"}})
}

// Remove starts to remove an OS template from a storage, and returns the task.
// It is never repeated, as with [Client.Power]. It needs Datastore.Allocate on
// the storage.
func (c *Client) Remove(ctx context.Context, node string, v Volume) (UPID, error) {
	return c.start(ctx, &request{
		method: http.MethodDelete, endpoint: "/nodes/{node}/storage/{storage}/content/{volume}", node: node, storage: v.Storage, volume: v.ID,
	})
}

// Volumes asks for the disks on a storage that bear a container's VMID, by ID,
// whether or not its configuration names them: on all [Client.DiskStorages]
// together, these are what DestroyUnreferencedDisks of [DestroyOptions]
// reaches. It needs Datastore.Audit on the storage, and VM.Config.Disk on the
// container to see any.
func (c *Client) Volumes(ctx context.Context, ref Ref, storage string) ([]Volume, error) {
	return c.content(ctx, ref.Node, storage, url.Values{"content": {"rootdir"}, "vmid": {strconv.Itoa(ref.VMID)}})
}

func (c *Client) content(ctx context.Context, node, storage string, params url.Values) ([]Volume, error) {
	var volumes []Volume
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/storage/{storage}/content", node: node, storage: storage, params: params,
		data: func(r *reader) {
			for range r.array() {
				volumes = append(volumes, readVolume(r, storage))
			}
		},
	})
	slices.SortFunc(volumes, func(a, b Volume) int { return strings.Compare(a.ID, b.ID) })
	return volumes, err
}

func readVolume(r *reader, storage string) Volume {
	v := Volume{Storage: storage}
	for key := range r.object() {
		switch string(key) {
		case "volid":
			v.ID = r.text()
		case "size":
			v.Size = r.size()
		default:
			r.skip()
		}
	}
	return v
}
