package sshdtest

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

// Machine is a directory that pvechat's scripts see as /.
type Machine struct {
	T    testing.TB
	Root string
}

// NewMachine is an empty one.
func NewMachine(t testing.TB) Machine {
	t.Helper()
	return Machine{t, t.TempDir()}
}

// Options are lines of sshd_config by which everybody who logs in is on the
// machine.
func (m Machine) Options() string {
	return fmt.Sprintf(`ForceCommand sed 's|/etc/pvechat|%[1]s/etc/pvechat|g; s|/run/pvechat|%[1]s/run/pvechat|g; s|^\troot=$|\troot=%[1]s|' | PATH=%[1]s/bin:/usr/bin:/bin $SSH_ORIGINAL_COMMAND`, m.Root)
}

// Tool is a program of the machine's own, a shell script.
func (m Machine) Tool(name, script string) {
	m.T.Helper()
	putProgram(m.T, m.Root+"/bin/"+name, "#!/bin/sh\n"+script)
}

// Process is one that holds the sockets with these inodes.
func (m Machine) Process(pid, parent int, command, cgroup string, inodes ...int) {
	m.T.Helper()
	dir := fmt.Sprintf("%s/proc/%d", m.Root, pid)
	Put(m.T, dir+"/comm", command+"\n")
	Put(m.T, dir+"/status", fmt.Sprintf("Name:\t%s\nPPid:\t%d\n", "x", parent))
	Put(m.T, dir+"/cgroup", "12:cpu:/\n0::"+cgroup+"\n")
	m.Folder(fmt.Sprintf("/proc/%d/fd", pid))
	for i, inode := range inodes {
		if err := os.Symlink(fmt.Sprintf("socket:[%d]", inode), fmt.Sprintf("%s/fd/%d", dir, i+3)); err != nil {
			m.T.Fatal(err)
		}
	}
	for i, target := range []string{"/dev/null", "/tmp/x\n" + m.Root + "/proc/1/fd:", "socket:[77]"} {
		_ = os.Symlink(target, fmt.Sprintf("%s/fd/%d", dir, 900+i))
	}
}

// Folder makes a directory.
func (m Machine) Folder(name string) {
	m.T.Helper()
	if err := os.MkdirAll(m.Root+name, 0o700); err != nil {
		m.T.Fatal(err)
	}
}

// Listening are lines of /proc/net/tcp or tcp6: "00000000:0050 1234".
func (m Machine) Listening(file string, sockets ...string) {
	m.T.Helper()
	text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	for i, s := range sockets {
		place, inode, _ := strings.Cut(s, " ")
		text += fmt.Sprintf("   %d: %s 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %s 1 0000 100 0 0 10 0\n", i, place, inode)
	}
	text += "   9: 0100007F:0050 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100 0 0 10 0\n"
	Put(m.T, m.Root+"/proc/net/"+file, text)
}

// Run makes systemd run these services, and no others.
func (m Machine) Run(list ...guesttest.Service) {
	m.T.Helper()
	if err := os.RemoveAll(m.Root + "/proc"); err != nil {
		m.T.Fatal(err)
	}
	m.Folder("/run/systemd/system")
	var units, logs, webs strings.Builder
	sockets := map[string][]string{"tcp": nil, "tcp6": nil}
	inode := 1000
	for i, s := range list {
		active, sub := "active", "running"
		switch s.State {
		case "failed":
			active, sub = "failed", "failed"
		case "stopped":
			active, sub = "inactive", "dead"
		}
		fmt.Fprintf(&units, "Type=simple\nId=%s\nLoadState=loaded\nActiveState=%s\nSubState=%s\nUnitFileState=enabled\nConditionResult=yes\nTriggeredBy=\n\n", s.Unit, active, sub)
		fmt.Fprintf(&logs, "--unit=%s) cat <<'END'\n%s\nEND\n;;\n", quoted(s.Unit), strings.Join(s.Log, "\n"))
		if active != "active" {
			continue
		}
		var inodes []int
		for _, place := range s.Listen {
			at := netip.MustParseAddrPort(place)
			inode++
			inodes = append(inodes, inode)
			file := "tcp"
			if at.Addr().Is6() {
				file = "tcp6"
			}
			sockets[file] = append(sockets[file], fmt.Sprintf("%s:%04X %d", guesttest.KernelHex(at.Addr()), at.Port(), inode))
			if s.Web != "" {
				fmt.Fprintf(&webs, "%s://*:%d/) printf 200; exit ;;\n", s.Web, at.Port())
			}
		}
		name := strings.TrimSuffix(s.Unit, ".service")
		m.Process(100+i, 1, name[:min(15, len(name))], "/system.slice/"+s.Unit, inodes...)
	}
	for file, lines := range sockets {
		m.Listening(file, lines...)
	}
	m.Tool("systemctl", "[ \"$1\" = show ] || exit 1\ncat <<'END'\n"+units.String()+"END\n")
	m.Tool("journalctl", "for last; do :; done\ncase $last in\n"+logs.String()+"esac\n")
	m.Tool("curl", "for last; do :; done\ncase $last in\n"+webs.String()+"esac\nprintf 000\nexit 7\n")
}

// quoted is a word of a shell that means itself.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
