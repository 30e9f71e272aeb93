package inventory_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

func TestAddressesAreLearntOnceAndKept(t *testing.T) {
	inv, _ := newInventory(t, row(101, "web", "running"), row(102, "db", "stopped"))
	configs := map[int]proxmox.ContainerConfig{
		101: {Networks: []proxmox.Network{
			{Bridge: "vmbr0", VLAN: 30, IP: "192.0.2.5/24", IP6: "2001:db8::5/64"}, {Bridge: "vmbr1", IP: "192.0.2.55/24"},
		}},
		102: {Networks: []proxmox.Network{{Bridge: "vmbr0", IP: "dhcp", IP6: "auto"}}},
	}
	reads := 0
	for range 2 {
		inv.Learn(t.Context(), func(_ context.Context, c *inventory.Container) (proxmox.ContainerConfig, error) {
			reads++
			return configs[c.VMID], nil
		})
	}
	if reads != 2 {
		t.Errorf("%d configs were read, want each once", reads)
	}
	web, db := one(t, inv, "web"), one(t, inv, "db")
	for _, test := range []struct {
		addr, bridge string
		vlan         int
		has, on      bool
	}{
		{"192.0.2.5", "vmbr0", 30, true, true},
		{"2001:db8::5", "vmbr0", 30, true, true},
		{"192.0.2.55", "vmbr1", 0, true, true},
		{"192.0.2.5", "vmbr0", 0, true, false},
		{"192.0.2.5", "vmbr1", 0, true, false},
		{"192.0.2.50", "vmbr0", 30, false, false},
		{"2.0.2.5", "vmbr0", 30, false, false},
		{"192.0.2.1", "vmbr0", 30, false, false},
	} {
		a := netip.MustParseAddr(test.addr)
		if has, on := web.HasAddress(a), web.HasAddressOn(a, test.bridge, test.vlan); has != test.has || on != test.on {
			t.Errorf("web has %s: %v, on %s/%d: %v", a, has, test.bridge, test.vlan, on)
		}
		if db.HasAddress(a) {
			t.Errorf("db has %s", a)
		}
	}
}
