package inventory

import (
	"slices"
	"strings"

	"github.com/pvechat/pvechat/proxmox"
)

// Fingerprint is what tells a container from another one that has its VMID:
// its OS type, its root volume, and the hardware addresses that Proxmox gave
// it.
func Fingerprint(c proxmox.ContainerConfig) string {
	var macs []string
	for _, n := range c.Networks {
		if n.HWAddr != "" {
			macs = append(macs, strings.ToUpper(n.HWAddr))
		}
	}
	slices.Sort(macs)
	return c.OSType + "|" + c.RootFS.Volume + "|" + strings.Join(macs, ",")
}

// SameContainer reports whether two fingerprints can be of one container. A
// person may add or remove an interface; a container that was made anew shares
// no address with the old one. Without addresses the volume decides.
func SameContainer(a, b string) bool {
	if a == "" || b == "" || a == b {
		return true
	}
	pa, pb := strings.SplitN(a, "|", 3), strings.SplitN(b, "|", 3)
	if len(pa) != 3 || len(pb) != 3 || pa[2] == "" || pb[2] == "" {
		return len(pa) == 3 && len(pb) == 3 && pa[0] == pb[0] && pa[1] == pb[1]
	}
	macs := strings.Split(pb[2], ",")
	return slices.ContainsFunc(strings.Split(pa[2], ","), func(m string) bool { return slices.Contains(macs, m) })
}
