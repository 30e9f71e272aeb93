package create

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pvechat/pvechat/proxmox"
)

// Lacks reports whether the token lacks what it takes to make the container, as
// far as that is known.
func (s Spec) Lacks(p Place) (lacks bool) {
	s.checkPrivileges(p, func(Field, string, ...any) { lacks = true })
	return lacks
}

// checkPrivileges says what the token lacks to make the container, as far as
// its privileges are known, with the path at which Proxmox asks for each.
func (s Spec) checkPrivileges(p Place, say func(Field, string, ...any)) {
	may := p.Offer.May
	if may == nil {
		return
	}
	need := func(f Field, has func(at, privilege string) bool, at string, privileges ...string) {
		lacks := slices.DeleteFunc(privileges, func(privilege string) bool { return has(at, privilege) })
		if len(lacks) > 0 {
			say(f, "pvechat's token lacks %s on %s, and Proxmox would refuse. An admin can grant it: /pve doctor says how.", strings.Join(lacks, ", "), at)
		}
	}
	vms := []string{"VM.Allocate", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Disk", "VM.Config.Network", "VM.Config.Options"}
	if s.VMID != 0 {
		need(FieldNode, may.Has, "/vms/"+strconv.Itoa(s.VMID), vms...)
	} else {
		need(FieldNode, func(at, privilege string) bool { return has(may, at, privilege) }, "/vms", vms...)
	}
	if s.Storage != "" {
		need(FieldStorage, may.Has, "/storage/"+s.Storage, "Datastore.AllocateSpace")
	}
	if s.Bridge != "" {
		at := "/sdn/zones/localnetwork/" + s.Bridge
		if s.VLAN != 0 {
			at += "/" + strconv.Itoa(s.VLAN)
		}
		need(FieldBridge, func(at, privilege string) bool { return may.Has(at, privilege) || elsewhere(may, s.Bridge, privilege) }, at, "SDN.Use")
	}
	if s.Privileged && major(p.Offer.Version) >= 9 {
		need(FieldOptions, may.Has, "/", "Sys.Modify")
	}
	if _, here := p.Offer.On(s.Node, p.Template.OS); here || p.Offer.At.IsZero() {
		return
	}
	if to := p.Cluster.StoragesFor(s.Node, "vztmpl"); len(to) > 0 {
		need(FieldTemplate, may.Has, "/storage/"+to[0].Name, "Datastore.AllocateTemplate")
	}
}

// has reports whether the token has a privilege at a path, or somewhere below
// it: it may be limited to some numbers.
func has(may proxmox.Permissions, at, privilege string) bool {
	if may.Has(at, privilege) {
		return true
	}
	for path, privileges := range may {
		if _, ok := privileges[privilege]; ok && strings.HasPrefix(path, at+"/") {
			return true
		}
	}
	return false
}

// elsewhere reports whether a bridge may be used as a network of another zone,
// which Proxmox does not name with it.
func elsewhere(may proxmox.Permissions, bridge, privilege string) bool {
	const zones, local = "/sdn/zones/", "localnetwork"
	for path := range may {
		if zone, _, _ := strings.Cut(strings.TrimPrefix(path, zones), "/"); strings.HasPrefix(path, zones) && zone != local && may.Has(zones+zone+"/"+bridge, privilege) {
			return true
		}
	}
	return false
}

// major is 9 of "9.1.4"; 0 where it is not known.
func major(v proxmox.Version) int {
	first, _, _ := strings.Cut(v.Version, ".")
	n, _ := strconv.Atoi(first)
	return n
}
