package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/pvechat/pvechat/proxmox"
)

// noAddresses is [Record].Addresses of a container whose config has none.
const noAddresses = "none"

// Addresses are the fixed addresses of network cards, as [Record].Addresses:
// "192.0.2.5@vmbr0/30", with the bridge and the VLAN on it (0: none).
func Addresses(cards ...proxmox.Network) string {
	var all []string
	for _, n := range cards {
		for _, ip := range []string{n.IP, n.IP6} {
			if net, err := netip.ParsePrefix(ip); err == nil { // else dhcp, auto, manual
				all = append(all, addressOn(net.Addr(), n.Bridge, n.VLAN))
			}
		}
	}
	if len(all) == 0 {
		return noAddresses
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func addressOn(a netip.Addr, bridge string, vlan int) string {
	return fmt.Sprintf("%s@%s/%d", a, bridge, vlan)
}

// HasAddress reports whether the container's config had an address when it was
// last read.
func (r *Record) HasAddress(a netip.Addr) bool {
	return strings.HasPrefix(r.Addresses, a.String()+"@") || strings.Contains(r.Addresses, " "+a.String()+"@")
}

// HasAddressOn is HasAddress on one bridge and VLAN of the container's node. The
// bridge of that name on another node may be of the same network, or of one of
// its own.
func (r *Record) HasAddressOn(a netip.Addr, bridge string, vlan int) bool {
	return slices.Contains(strings.Fields(r.Addresses), addressOn(a, bridge, vlan))
}
