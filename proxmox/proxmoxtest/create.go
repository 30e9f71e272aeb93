package proxmoxtest

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// unpackTakes is how long a template needs to become a root file system, before
// scaling; downloadTakes, to be fetched.
const (
	unpackTakes   = 8 * time.Second
	downloadTakes = 6 * time.Second
)

// createParams are those of POST /nodes/{node}/lxc.
func createParams(node, vmid param) map[string]param {
	var (
		n      = func(v int64) *int64 { return &v }
		text   = param{kind: "string"}
		flag   = param{kind: "boolean"}
		one    = func(values ...string) param { return param{kind: "string", enum: values} }
		format = func(name string) param { return param{kind: "string", format: name} }
	)
	template := param{kind: "string", longest: 255, required: true}
	return map[string]param{
		"node": node, "vmid": vmid, "ostemplate": template,
		"arch": one("amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"), "bwlimit": {kind: "number", min: n(0)},
		"cmode": one("shell", "console", "tty"), "console": flag, "cores": {kind: "integer", min: n(1), max: n(8192)},
		"cpulimit": {kind: "number", min: n(0), max: n(8192)}, "cpuunits": {kind: "integer", min: n(0), max: n(500000)},
		"debug": flag, "description": {kind: "string", longest: 8192}, "dev[n]": text,
		"entrypoint": {kind: "string", pattern: regexp.MustCompile(`^[^\x00-\x08\x10-\x1F\x7F]+$`)},
		"env":        {kind: "string", pattern: regexp.MustCompile(`^\w+=[^\x00-\x08\x10-\x1F\x7F]*(\x00\w+=[^\x00-\x08\x10-\x1F\x7F]*)*$`)},
		"features":   text, "force": flag, "ha-managed": flag, "hookscript": format("pve-volume-id"),
		"hostname":             {kind: "string", format: "dns-name", longest: 255},
		"ignore-unpack-errors": flag,
		"lock":                 one("backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted", "rollback", "snapshot", "snapshot-delete"),
		"memory":               {kind: "integer", min: n(16)}, "mp[n]": text, "nameserver": format("lxc-ip-with-ll-iface-list"), "net[n]": text, "onboot": flag,
		"ostype":   one("debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos", "unmanaged"),
		"password": {kind: "string", shortest: 5}, "pool": format("pve-poolid"), "protection": flag, "restore": flag, "rootfs": text,
		"searchdomain": format("dns-name-list"), "ssh-public-keys": text, "start": flag, "startup": format("pve-startup-order"),
		"storage": format("pve-storage-id"), "swap": {kind: "integer", min: n(0)}, "tags": format("pve-tag-list"), "template": flag,
		"timezone": format("pve-ct-timezone"), "tty": {kind: "integer", min: n(0), max: n(6)}, "unique": flag, "unprivileged": flag, "unused[n]": text,
	}
}

// invalidParam is how a call refuses a parameter whose meaning it does not like.
func invalidParam(name, format string, args ...any) error {
	return &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{name: fmt.Sprintf(format, args...)}}
}

// postContainer answers POST /nodes/{node}/lxc (pve-container, PVE/API2/LXC.pm, create_vm).
func (s *Server) postContainer(r *request) (any, error) {
	vmid := r.vmid()
	if r.flag("restore") {
		return nil, die("restoring is not simulated")
	}
	if err := s.checkQuorum(); err != nil {
		return nil, err
	}
	c, storage, err := s.describe(r)
	if err != nil {
		return nil, err
	}
	if err := s.mayCreate(r, c, storage); err != nil {
		return nil, err
	}
	if g := s.guests[vmid]; g != nil {
		kind := "CT"
		if g.kind != "lxc" {
			kind = "VM"
		}
		return nil, die("%s %d already exists on node '%s'", kind, vmid, g.Node)
	}
	params := r.form()
	params.Del("password")
	c.Lock = "create"
	s.addGuest(&guest{Container: c, kind: "lxc"})
	template, start := r.text("ostemplate"), r.flag("start")
	return s.fork(r.node, "vzcreate", vmid, r.who.user, params, func(w *worker) error {
		return w.locked(vmid, func() error { return w.create(vmid, storage, template, start) })
	}), nil
}

// describe reads the parameters. The error is a 400 that names one.
func (s *Server) describe(r *request) (c Container, storage string, err error) {
	size, place, found := int64(4), r.text("rootfs"), r.has("rootfs")
	storage = cmp.Or(r.text("storage"), "local")
	if found {
		name, gib, ok := strings.Cut(strings.Split(strings.TrimPrefix(place, "volume="), ",")[0], ":")
		if size = int64(atoi(gib)); !ok || size <= 0 {
			return c, "", invalidParam("rootfs", "unable to parse volume ID '%s'\n", place)
		}
		storage = name
	}
	switch st := s.storage(storage); {
	case st == nil:
		return c, "", die("storage '%s' does not exist", storage)
	case !st.on(r.node):
		return c, "", die("storage '%s' is not available on node '%s'", storage, r.node)
	case !st.holds("rootdir"):
		return c, "", invalidParam("storage", "storage '%s' does not support container directories", storage)
	}
	c = Container{
		VMID: r.vmid(), Node: r.node, Name: r.text("hostname"), Cores: int(r.number("cores", 0)), Memory: r.number("memory", 512) << 20,
		Swap: r.number("swap", 512) << 20, Disk: size << 30, Features: r.text("features"), Tags: strings.Join(splitList(r.text("tags")), ";"),
		Pool: r.text("pool"), Description: r.text("description"), Protection: r.flag("protection"), OnBoot: r.flag("onboot"),
		Unprivileged: !r.has("unprivileged") || r.flag("unprivileged"), Config: map[string]any{"arch": "amd64"},
	}
	c.RootFS = fmt.Sprintf("%s:vm-%d-disk-0", storage, c.VMID)
	if s.storage(storage).Type == "zfspool" {
		c.RootFS = fmt.Sprintf("%s:subvol-%d-disk-0", storage, c.VMID)
	}
	c.OSType = cmp.Or(r.text("ostype"), strings.SplitN(templateName(r.text("ostemplate")), "-", 2)[0])
	for _, key := range []string{"nameserver", "searchdomain", "startup", "timezone"} {
		if r.has(key) {
			c.Config[key] = r.text(key)
		}
	}
	for i := range 10 {
		net := r.text("net" + itoa(i))
		if net == "" {
			continue
		}
		opts := properties(net)
		if opts["name"] == "" {
			return c, "", invalidParam("net"+itoa(i), "invalid format - format error\nnet%d.name: property is missing and it is not optional\n", i)
		}
		if ip := opts["ip"]; ip != "" && ip != "dhcp" && ip != "manual" {
			if _, err := netip.ParsePrefix(ip); err != nil {
				return c, "", invalidParam("net"+itoa(i), "invalid format - format error\nnet%d.ip: invalid format - value does not look like a valid IPv4 network configuration\n", i)
			}
			c.Addr = ip
		}
		if opts["ip"] == "dhcp" && c.Addr == "" {
			c.Addr = s.lease(c.VMID)
		}
		c.Net = append(c.Net, net)
	}
	return c, storage, nil
}

func templateName(volume string) string { return volume[strings.LastIndexByte(volume, '/')+1:] }

func properties(s string) map[string]string {
	out := map[string]string{}
	for _, kv := range strings.Split(s, ",") {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	return out
}

// lease is the address that DHCP gives a new container.
func (s *Server) lease(vmid int) string {
	if s.opts.Lease != nil {
		return s.opts.Lease(vmid)
	}
	return fmt.Sprintf("192.0.2.%d/24", 1+vmid%250)
}

// mayCreate holds the caller's privileges against what is asked for, in the
// order of create_vm.
func (s *Server) mayCreate(r *request, c Container, storage string) error {
	vm := "/vms/" + itoa(c.VMID)
	object := vm
	if c.Pool != "" && !s.may(r.who, vm, "VM.Allocate") {
		object = "/pool/" + c.Pool
	}
	if err := s.check(r.who, object, false, "VM.Allocate"); err != nil {
		return err
	}
	for _, option := range []struct{ name, priv string }{
		{"cores", "VM.Config.CPU"},
		{"cpulimit", "VM.Config.CPU"},
		{"memory", "VM.Config.Memory"},
		{"swap", "VM.Config.Memory"},
		{"rootfs", "VM.Config.Disk"},
		{"net0", "VM.Config.Network"},
		{"nameserver", "VM.Config.Network"},
		{"hostname", "VM.Config.Network"},
		{"searchdomain", "VM.Config.Network"},
		{"onboot", "VM.Config.Options"},
		{"tags", "VM.Config.Options"},
		{"features", "VM.Config.Options"},
		{"description", "VM.Config.Options"},
		{"protection", "VM.Config.Options"},
		{"startup", "VM.Config.Options"},
		{"timezone", "VM.Config.Options"},
	} {
		if r.has(option.name) {
			if err := s.check(r.who, object, false, option.priv); err != nil {
				return err
			}
		}
	}
	for name, value := range properties(r.text("features")) {
		if name != "" && name != "nesting" && value != "0" && r.who.user != "root@pam" {
			return &apiError{status: 403, message: "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)\n"}
		}
	}
	if !c.Unprivileged && s.atLeast(9, 0) {
		if err := s.check(r.who, "/", false, "Sys.Modify"); err != nil {
			return err
		}
	}
	for _, net := range c.Net {
		if err := s.check(r.who, "/sdn/zones/localnetwork/"+properties(net)["bridge"], false, "SDN.Use"); err != nil {
			return err
		}
	}
	if from, _, ok := strings.Cut(r.text("ostemplate"), ":"); ok {
		if err := s.check(r.who, "/storage/"+from, true, "Datastore.AllocateSpace", "Datastore.Audit"); err != nil {
			return err
		}
	}
	return s.check(r.who, "/storage/"+storage, false, "Datastore.AllocateSpace")
}

// create is the task. What fails takes the new configuration away again.
func (w *worker) create(vmid int, storage, template string, start bool) error {
	fail := func(format string, args ...any) error {
		err := w.change(func() error { w.s.removeGuest(vmid); return nil })
		return errors.Join(err, fmt.Errorf("unable to create CT %d - "+format, append([]any{vmid}, args...)...))
	}
	var c Container
	there, full := false, false
	err := w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err != nil {
			return err
		}
		c = cloned(g.Container)
		from, _, _ := strings.Cut(template, ":")
		if st := w.s.storage(from); st != nil && st.on(w.t.Node) {
			there = slices.ContainsFunc(st.Volumes, func(v Volume) bool { return v.ID == template && v.on(w.t.Node) })
		}
		st := w.s.storage(storage)
		full = st.Total-st.Used < c.Disk
		return nil
	})
	switch {
	case err != nil:
		return err
	case !there:
		return fail("volume '%s' does not exist", template)
	case full:
		return fail("Volume group \"pve\" has insufficient free space: %d bytes required.", c.Disk)
	}
	w.log("  Logical volume \"vm-%d-disk-0\" created.", vmid)
	w.log("extracting archive '/var/lib/vz/template/cache/%s'", templateName(template))
	if err := w.sleep(unpackTakes); err != nil {
		return errors.Join(err, fail("%s", "received interrupt"))
	}
	w.log("Detected container architecture: amd64")
	if c.Unprivileged && strings.HasPrefix(templateName(template), "debian-13") && properties(c.Features)["nesting"] != "1" {
		w.warn("Systemd 257 detected. You may need to enable nesting.")
	}
	err = w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err == nil {
			g.Lock = ""
			w.s.storage(storage).Used += g.Disk / 8
		}
		return err
	})
	if err != nil || !start {
		return err
	}
	w.s.lock()
	w.s.fork(w.t.Node, "vzstart", vmid, w.t.User, nil, func(nested *worker) error { return nested.start(vmid, false) })
	w.s.mu.Unlock()
	return nil
}

// Appliance is a template that Proxmox offers for download.
type Appliance struct{ Template, OS, Version, Section, Headline string }

// appliances are some of what pveam lists on a new node.
func appliances() []Appliance {
	list := []Appliance{
		{"almalinux-9-default_20240911_amd64.tar.xz", "almalinux", "20240911", "system", "LXC default image for almalinux 9"},
		{"alpine-3.21-default_20241217_amd64.tar.xz", "alpine", "20241217", "system", "LXC default image for alpine 3.21"},
		{"alpine-3.22-default_20250617_amd64.tar.xz", "alpine", "20250617", "system", "LXC default image for alpine 3.22"},
		{"archlinux-base_20250901-1_amd64.tar.zst", "archlinux", "20250901-1", "system", "ArchLinux base image."},
		{"centos-9-stream-default_20240828_amd64.tar.xz", "centos", "20240828", "system", "LXC default image for centos 9-stream"},
		{"debian-12-standard_12.12-1_amd64.tar.zst", "debian-12", "12.12-1", "system", "Debian 12 Bookworm (standard)"},
		{"debian-13-standard_13.1-2_amd64.tar.zst", "debian-13", "13.1-2", "system", "Debian 13 Trixie (standard)"},
		{"devuan-5.0-standard_5.0_amd64.tar.gz", "devuan-5.0", "5.0", "system", "Devuan 5 (standard)"},
		{"fedora-41-default_20241118_amd64.tar.xz", "fedora", "20241118", "system", "LXC default image for fedora 41"},
		{"fedora-42-default_20250428_amd64.tar.xz", "fedora", "20250428", "system", "LXC default image for fedora 42"},
		{"gentoo-current-openrc_20250508_amd64.tar.xz", "gentoo", "20250508", "system", "LXC openrc image for gentoo current"},
		{"opensuse-15.6-default_20240910_amd64.tar.xz", "opensuse", "20240910", "system", "LXC default image for opensuse 15.6"},
		{"rockylinux-9-default_20240912_amd64.tar.xz", "rockylinux", "20240912", "system", "LXC default image for rockylinux 9"},
		{"ubuntu-22.04-standard_22.04-1_amd64.tar.zst", "ubuntu-22.04", "22.04-1", "system", "Ubuntu 22.04 Jammy (standard)"},
		{"ubuntu-24.04-standard_24.04-2_amd64.tar.zst", "ubuntu-24.04", "24.04-2", "system", "Ubuntu 24.04 Noble (standard)"},
	}
	for _, name := range []string{
		"ansible", "bookstack", "core", "domain-controller", "drupal10", "etherpad", "fileserver", "gitlab", "joomla5", "lamp", "mattermost", "mediawiki",
		"mysql", "nextcloud", "nginx-php-fastcgi", "nodejs", "odoo", "openvpn", "phpbb", "postgresql", "redmine", "syncthing", "wireguard", "wordpress", "zoneminder",
	} {
		list = append(list, Appliance{"debian-12-turnkey-" + name + "_18.1-1_amd64.tar.gz", "debian-12", "18.1-1", "turnkeylinux", "TurnKey " + name})
	}
	return list
}

// getAppliances answers GET /nodes/{node}/aplinfo.
func (s *Server) getAppliances(*request) (any, error) {
	rows := []any{}
	for _, a := range appliances() {
		rows = append(rows, map[string]any{
			"template": a.Template, "package": strings.SplitN(a.Template, "_", 2)[0], "os": a.OS, "version": a.Version, "section": a.Section,
			"headline": a.Headline, "type": "lxc", "architecture": "amd64", "source": "http://download.example/images/system", "description": a.Headline,
		})
	}
	shuffle(rows)
	return rows, nil
}

// postAppliance answers POST /nodes/{node}/aplinfo.
func (s *Server) postAppliance(r *request) (any, error) {
	name := r.text("template")
	if !slices.ContainsFunc(appliances(), func(a Appliance) bool { return a.Template == name }) {
		return nil, invalidParam("template", "no such template")
	}
	st := s.storage(r.text("storage"))
	switch {
	case st == nil:
		return nil, die("storage '%s' does not exist", r.text("storage"))
	case !st.on(r.node):
		return nil, die("storage '%s' is not available on node '%s'", st.Name, r.node)
	case !st.holds("vztmpl"):
		return nil, die("storage '%s' is not configured for content-type 'vztmpl'", st.Name)
	}
	return s.forkOther(r.node, "download", name, r.who.user, r.form(), func(w *worker) error {
		w.log("downloading http://download.example/images/system/%s to /var/lib/vz/template/cache/%s", name, name)
		for _, percent := range []int{25, 50, 75, 100} {
			if err := w.sleep(downloadTakes / 4); err != nil {
				return err
			}
			w.log("%8dK ........ ........ ........ ........ %d%% 11.5M", percent*1200, percent)
			if err := w.change(func() error { return room(st, templateSize) }); err != nil {
				return err
			}
		}
		w.log("calculating checksum...OK, checksum verified")
		return w.change(func() error {
			st.keep(Volume{ID: st.Name + ":vztmpl/" + name, Content: "vztmpl", Format: "tzst", Size: templateSize, Created: w.s.now()}, w.t.Node)
			return nil
		})
	}), nil
}

// templateSize is that of every template that is downloaded.
const templateSize = 120 << 20

// room is an error where a storage has not that much left.
func room(st *Storage, size int64) error {
	if st.Total-st.Used < size {
		return errors.New("download failed: Cannot write to '" + st.Name + "' (No space left on device)")
	}
	return nil
}

// keep puts a volume on the storage, in place of one of its name, as the node sees it.
func (st *Storage) keep(v Volume, node string) {
	i := slices.IndexFunc(st.Volumes, func(old Volume) bool { return old.ID == v.ID })
	switch {
	case i < 0:
		if !st.Shared {
			v.Nodes = []string{node}
		}
		st.Volumes = append(st.Volumes, v)
	case !st.Volumes[i].on(node):
		st.Volumes[i].Nodes = append(slices.Clone(st.Volumes[i].Nodes), node)
	}
}

// getNetworks answers GET /nodes/{node}/network: one bridge, and the card behind
// it. Bridges are shown to those who may use or audit them.
func (s *Server) getNetworks(r *request) (any, error) {
	rows := []any{}
	for _, row := range []map[string]any{
		{"iface": "vmbr0", "type": "bridge", "active": 1, "autostart": 1, "bridge_ports": "enp1s0", "cidr": "192.168.10.2/24", "method": "static", "priority": 4},
		{"iface": "enp1s0", "type": "eth", "active": 1, "exists": 1, "method": "manual", "priority": 3},
	} {
		switch kind := r.text("type"); {
		case kind == "any_bridge" || kind == "any_local_bridge":
			if row["type"] != "bridge" {
				continue
			}
			path := "/sdn/zones/localnetwork/" + row["iface"].(string)
			if !s.may(r.who, path, "SDN.Audit") && !s.may(r.who, path, "SDN.Use") {
				continue
			}
		case kind != "" && kind != row["type"]:
			continue
		}
		rows = append(rows, row)
	}
	return rows, nil
}
