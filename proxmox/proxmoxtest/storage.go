package proxmoxtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Storage is a storage of the cluster. Sizes are bytes. The disks of containers appear on it by themselves.
type Storage struct {
	Name     string
	Type     string // dir, lvmthin, zfspool, nfs, …
	Content  string // "rootdir,images"
	Shared   bool
	Disabled bool
	Inactive bool     // enabled, but cannot be reached
	Nodes    []string // empty: on all
	Total    int64
	Used     int64
	Volumes  []Volume
}

// Volume is what lies on a storage besides the disks of containers.
type Volume struct {
	ID      string // "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
	Content string // vztmpl, iso, backup
	Format  string // tzst, tgz, txz, tar, iso, …
	Size    int64
	Created time.Time
	VMID    int
	Notes   string
	Nodes   []string // that have it, where its storage is not shared; empty: all
}

// on tells whether a node has the volume.
func (v Volume) on(node string) bool { return len(v.Nodes) == 0 || slices.Contains(v.Nodes, node) }

func (st *Storage) on(node string) bool {
	return !st.Disabled && (len(st.Nodes) == 0 || slices.Contains(st.Nodes, node))
}

func (st *Storage) holds(content string) bool {
	return slices.Contains(strings.Split(st.Content, ","), content)
}

// AddStorage adds a storage, or replaces the one of that name. Every cluster begins with "local" (a directory for templates) and
// "local-lvm" (for disks).
func (s *Server) AddStorage(st Storage) {
	s.lock()
	defer s.mu.Unlock()
	st.Nodes, st.Volumes = slices.Clone(st.Nodes), slices.Clone(st.Volumes)
	s.storages = slices.DeleteFunc(s.storages, func(old *Storage) bool { return old.Name == st.Name })
	s.storages = append(s.storages, &st)
	slices.SortFunc(s.storages, func(a, b *Storage) int { return cmp.Compare(a.Name, b.Name) })
	s.touch()
}

func (s *Server) storage(name string) *Storage {
	if i := slices.IndexFunc(s.storages, func(st *Storage) bool { return st.Name == name }); i >= 0 {
		return s.storages[i]
	}
	return nil
}

// getStorages answers GET /nodes/{node}/storage (pve-storage, PVE/API2/Storage/Status.pm): live, in no order.
func (s *Server) getStorages(r *request) (any, error) {
	wanted := splitList(r.text("content"))
	shown := func(st *Storage) bool {
		if !r.has("content") {
			return true
		}
		return st.on(r.node) && slices.ContainsFunc(wanted, st.holds)
	}
	if r.has("storage") {
		if st := s.storage(r.text("storage")); st == nil || !shown(st) {
			return nil, &apiError{
				status: 400, message: "Parameter verification failed.\n",
				errors: map[string]string{"storage": "No such storage."},
			}
		}
	}
	rows := []any{}
	for _, st := range s.storages {
		path := "/storage/" + st.Name
		target := r.text("target")
		switch {
		case !shown(st), r.has("storage") && r.text("storage") != st.Name, r.flag("enabled") && st.Disabled:
			continue
		case !s.may(r.who, path, "Datastore.Audit") && !s.may(r.who, path, "Datastore.AllocateSpace"):
			continue
		case target != "" && target != r.node && target != "localhost" && (!st.Shared || !st.on(r.node) || !st.on(target)):
			continue
		}
		row := map[string]any{
			"storage": st.Name, "type": st.Type, "content": st.Content, "shared": oneIf(st.Shared),
			"enabled": oneIf(st.on(r.node)), "active": 0, "total": 0, "used": 0, "avail": 0,
		}
		if st.on(r.node) && !st.Inactive {
			row["active"], row["total"], row["used"], row["avail"] = 1, st.Total, st.Used, st.Total-st.Used
			if st.Total > 0 {
				row["used_fraction"] = float64(st.Used) / float64(st.Total)
			}
		}
		if r.flag("format") {
			row["formats"] = map[string]any{"default": "raw", "supported": []string{"raw", "subvol"}}
		}
		rows = append(rows, row)
	}
	shuffle(rows)
	return rows, nil
}

// getContent answers GET /nodes/{node}/storage/{storage}/content.
func (s *Server) getContent(r *request) (any, error) {
	st := s.storage(r.text("storage"))
	switch {
	case st == nil:
		return nil, die("storage '%s' does not exist", r.text("storage"))
	case st.Disabled:
		return nil, die("storage '%s' is disabled", st.Name)
	case !st.on(r.node):
		return nil, die("storage '%s' is not available on node '%s'", st.Name, r.node)
	case st.Inactive:
		return nil, die("storage '%s' is not online", st.Name)
	}
	volumes := slices.Clone(st.Volumes)
	for _, g := range s.guests {
		if g.kind == "lxc" && (st.Shared || g.Node == r.node) {
			volumes = append(volumes, g.disks(st.Name)...)
		}
	}
	rows := []any{}
	slices.SortFunc(volumes, func(a, b Volume) int { return cmp.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) })
	for _, v := range volumes {
		if !v.on(r.node) || !st.holds(v.Content) || r.has("content") && r.text("content") != v.Content || r.has("vmid") && r.vmid() != v.VMID {
			continue
		}
		if !s.seesVolume(r.who, st, v) {
			continue
		}
		row := map[string]any{"volid": v.ID, "content": v.Content, "format": v.Format, "size": v.Size}
		if !v.Created.IsZero() {
			row["ctime"] = v.Created.Unix()
		}
		if v.VMID != 0 {
			row["vmid"] = v.VMID
		}
		if v.Notes != "" {
			row["notes"] = v.Notes
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// deleteContent answers DELETE /nodes/{node}/storage/{storage}/content/{volume} (pve-storage, PVE/API2/Storage/Content.pm).
func (s *Server) deleteContent(r *request) (any, error) {
	id := r.text("volume")
	if storage, _, named := strings.Cut(id, ":"); named && r.has("storage") && storage != r.text("storage") {
		return nil, &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{
			"storage": fmt.Sprintf("storage ID '%s' does not match volume ID '%s'", r.text("storage"), id),
		}}
	}
	name, _, _ := strings.Cut(id, ":")
	st := s.storage(name)
	if st == nil {
		return nil, die("storage '%s' does not exist", name)
	}
	if err := s.check(r.who, "/storage/"+name, false, "Datastore.Allocate"); err != nil {
		return nil, err
	}
	if !st.on(r.node) {
		return nil, die("storage '%s' is not available on node '%s'", name, r.node)
	}
	return s.forkOther(r.node, "imgdel", name, r.who.user, r.form(), func(w *worker) error {
		return w.change(func() error { return w.removeVolume(st, id) })
	}), nil
}

// removeVolume takes a volume away from the task's node, or from all where the storage is shared. The lock is held.
func (w *worker) removeVolume(st *Storage, id string) error {
	i := slices.IndexFunc(st.Volumes, func(v Volume) bool { return v.ID == id && v.on(w.t.Node) })
	switch {
	case st.Inactive:
		return fmt.Errorf("storage '%s' is not online", st.Name)
	case i < 0:
		w.t.Log = append(w.t.Log, "disk image '"+id+"' does not exist")
		return nil
	}
	v := &st.Volumes[i]
	if v.Nodes = slices.Clone(v.Nodes); len(v.Nodes) == 0 {
		for _, n := range w.s.nodes {
			v.Nodes = append(v.Nodes, n.Name)
		}
	}
	v.Nodes = slices.DeleteFunc(v.Nodes, func(node string) bool { return st.Shared || node == w.t.Node })
	if len(v.Nodes) == 0 {
		st.Volumes = slices.Delete(st.Volumes, i, i+1)
	}
	w.t.Log = append(w.t.Log, "Removed volume '"+id+"'")
	return nil
}

// seesVolume is PVE::Storage::check_volume_access.
func (s *Server) seesVolume(who caller, st *Storage, v Volume) bool {
	path := "/storage/" + st.Name
	if s.may(who, path, "Datastore.Allocate") {
		return true
	}
	vm := "/vms/" + itoa(v.VMID)
	switch v.Content {
	case "iso", "vztmpl", "import":
		return s.may(who, path, "Datastore.AllocateSpace") || s.may(who, path, "Datastore.Audit")
	case "backup":
		return v.VMID != 0 && s.may(who, path, "Datastore.AllocateSpace") && s.may(who, vm, "VM.Backup")
	case "images", "rootdir":
		return v.VMID != 0 && s.may(who, path, "Datastore.Audit") && s.may(who, vm, "VM.Config.Disk")
	}
	return false
}

// disks are the container's volumes on this storage.
func (g *guest) disks(storage string) []Volume {
	var out []Volume
	add := func(volume string, size int64) {
		if !strings.HasPrefix(volume, storage+":") {
			return
		}
		v := Volume{ID: volume, Content: "rootdir", Format: "raw", Size: size, VMID: g.VMID}
		if strings.Contains(volume, ":subvol-") {
			v.Format = "subvol"
		}
		out = append(out, v)
	}
	add(g.RootFS, g.Disk)
	for _, m := range g.Mounts {
		add(m.Volume, m.Size)
	}
	return out
}

// removeLeftovers destroys what has the VMID on the storages for disks of
// containers that the node sees, as PVE::LXC::destroy_lxc_container does. The
// lock is held.
func (s *Server) removeLeftovers(t *task, vmid int) {
	for _, st := range s.storages {
		if !st.on(t.Node) || st.Inactive || !st.holds("rootdir") {
			continue
		}
		st.Volumes = slices.DeleteFunc(st.Volumes, func(v Volume) bool {
			gone := v.VMID == vmid && v.Content == "rootdir"
			if gone {
				t.Log = append(t.Log, fmt.Sprintf("  Logical volume %q successfully removed.", v.ID))
			}
			return gone
		})
	}
}

// Volumes lists what lies on a storage besides the disks of containers that there are.
func (s *Server) Volumes(storage string) []Volume {
	s.lock()
	defer s.mu.Unlock()
	if st := s.storage(storage); st != nil {
		return slices.Clone(st.Volumes)
	}
	return nil
}
