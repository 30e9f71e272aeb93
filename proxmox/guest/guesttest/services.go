package guesttest

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Service is a systemd unit of a guest, and what it listens on.
type Service struct {
	Unit   string   // "nginx.service"
	State  string   // "running", "failed", "stopped"; empty: running
	Listen []string // addresses and ports: "0.0.0.0:80", "127.0.0.1:6379", "[::]:8096"
	Web    string   // "http" or "https": what the ports speak

	// Log are the lines that it wrote.
	Log []string
}

// System are the services that a fresh Debian container runs.
func System() []Service {
	return []Service{
		{Unit: "cron.service"},
		{Unit: "dbus.service"},
		{Unit: "ssh.service", Listen: []string{"0.0.0.0:22", "[::]:22"}},
		{Unit: "systemd-journald.service"},
		{Unit: "systemd-logind.service"},
		{Unit: "systemd-networkd.service"},
	}
}

// scan is what pvechat's script for services prints in a guest; a test holds
// it to the real one.
func scan(g Guest, known []string) string {
	var out strings.Builder
	out.WriteString("\npvechat-scan 1\n")
	if g.NoInit {
		out.WriteString("missing init\n")
	} else {
		out.WriteString("init systemd\n")
		for _, s := range g.Services {
			active, sub := "active", "running"
			switch s.State {
			case "failed":
				active, sub = "failed", "failed"
			case "stopped":
				active, sub = "inactive", "dead"
			}
			fmt.Fprintf(&out, "unit Type=simple\nunit Id=%s\nunit LoadState=loaded\nunit ActiveState=%s\nunit SubState=%s\nunit UnitFileState=enabled\nunit ConditionResult=yes\nunit TriggeredBy=\nunit \n",
				s.Unit, active, sub)
		}
	}
	var owners, webs strings.Builder
	inode := 1000
	for i, s := range g.Services {
		if s.State != "" && s.State != "running" {
			continue
		}
		pid := 100 + i
		for _, place := range s.Listen {
			at := netip.MustParseAddrPort(place)
			inode++
			fmt.Fprintf(&out, "listen %s:%04X %d\n", KernelHex(at.Addr()), at.Port(), inode)
			fmt.Fprintf(&owners, "owner %d %d\n", inode, pid)
			port := fmt.Sprint(at.Port())
			if s.Web != "" && !at.Addr().IsLoopback() && !slices.Contains(known, port) {
				fmt.Fprintf(&webs, "web %s %s 4\n", port, s.Web)
			}
		}
		name := strings.TrimSuffix(s.Unit, ".service")
		fmt.Fprintf(&owners, "process %d 1 %s\ncgroup %d 0::/system.slice/%s\n", pid, name[:min(15, len(name))], pid, s.Unit)
	}
	return out.String() + owners.String() + webs.String() + "end\n"
}

// KernelHex is an address as /proc/net/tcp prints it.
func KernelHex(addr netip.Addr) string {
	raw := addr.AsSlice()
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	return strings.ToUpper(hex.EncodeToString(raw))
}

// logs is what pvechat's script for logs prints in a guest.
func logs(g Guest, arguments []string) string {
	out := "\npvechat-logs 1\n"
	for _, s := range g.Services {
		if len(arguments) == 2 && s.Unit == arguments[1] {
			for _, line := range s.Log {
				out += "| " + line + "\n"
			}
		}
	}
	return out + "end\n"
}
