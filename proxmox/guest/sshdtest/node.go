package sshdtest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Node is a Proxmox node: its one key is held by the real deploy/pvechat-guest,
// over a stand-in for pct that knows the containers that were put there.
type Node struct{ *Server }

// Container is one that pct knows. Its scripts see Root as /, and Root/bin
// before other programs.
type Container struct {
	Config  string // lines as pct config prints them
	Stopped bool
	Root    string
}

// StartNode starts a node whose key may enter what scope says, as in
// pvechat-guest's arguments.
func StartNode(t testing.TB, scope string) Node {
	t.Helper()
	n := Node{Start(t)}
	_, here, _, _ := runtime.Caller(0)
	script, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../../deploy/pvechat-guest"))
	if err != nil {
		t.Fatal(err)
	}
	putProgram(t, n.Dir+"/pvechat-guest", strings.NewReplacer(
		"\nPATH=", "\nPATH="+n.Dir+"/bin:",
		"\npools=/etc/pve/user.cfg", "\npools="+n.Dir+"/user.cfg",
	).Replace(string(script)))
	putProgram(t, n.Dir+"/bin/logger", "#!/bin/sh\necho \"$*\" >>"+n.Dir+"/syslog\n")
	putProgram(t, n.Dir+"/bin/pct", `#!/bin/sh
echo "$*" >>`+n.Dir+`/calls
verb=$1
vmid=$2
ct=`+n.Dir+`/ct/$vmid
if [ ! -d "$ct" ]; then
	echo "Configuration file 'nodes/pve1/lxc/$vmid.conf' does not exist" >&2
	exit 2
fi
root=$(cat "$ct/root")
case $verb in
config) cat "$ct/config" ;;
status) echo "status: $(cat "$ct/status")" ;;
exec)
	[ "$3" = -- ] || exit 1
	shift 3
	if [ -z "$root" ]; then
		exec "$@"
	fi
	sed "s|/etc/pvechat|$root/etc/pvechat|g; s|/run/pvechat|$root/run/pvechat|g; s|^\troot=\$|\troot=$root|" | PATH=$root/bin:/usr/bin:/bin "$@"
	;;
push)
	[ "$5" = --perms ] || exit 1
	mkdir -p "$root${4%/*}" && cp "$3" "$root$4" && chmod "$6" "$root$4"
	;;
esac
`)
	Put(t, n.Dir+"/user.cfg", "user:root@pam:1:0:::::\n")
	n.Allow(t, `restrict,command="`+n.Dir+"/pvechat-guest "+scope+`"`)
	return n
}

// Put makes pct know a container.
func (n Node) Put(t testing.TB, vmid int, c Container) {
	t.Helper()
	dir := fmt.Sprintf("%s/ct/%d", n.Dir, vmid)
	Put(t, dir+"/config", c.Config+"\n")
	Put(t, dir+"/root", c.Root)
	status := "running"
	if c.Stopped {
		status = "stopped"
	}
	Put(t, dir+"/status", status+"\n")
}

// Pool adds a pool to the node's user.cfg.
func (n Node) Pool(t testing.TB, name string, vmids string) {
	t.Helper()
	Put(t, n.Dir+"/user.cfg", n.read(t, "user.cfg")+"pool:"+name+":a comment:"+vmids+":local:\n")
}

// Calls are the command lines that pct was given, one a line.
func (n Node) Calls(t testing.TB) string {
	t.Helper()
	return n.read(t, "calls")
}

// Refused is what pvechat-guest told the node's log.
func (n Node) Refused(t testing.TB) string {
	t.Helper()
	return n.read(t, "syslog")
}

func (n Node) read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(n.Dir + "/" + name)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}
