package guest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// node is a real sshd whose only key is held by the real pvechat-guest, over a
// stand-in for pct.
type node struct {
	*sshd
	client *Client
}

func startNode(t *testing.T, scope string) node {
	t.Helper()
	n := node{sshd: startSSHD(t)}
	script, err := os.ReadFile("../../deploy/pvechat-guest")
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer(
		"\nPATH=", "\nPATH="+n.dir+"/bin:",
		"\npools=/etc/pve/user.cfg", "\npools="+n.dir+"/user.cfg",
	).Replace(string(script))
	put(t, n.dir+"/pvechat-guest", changed)
	put(t, n.dir+"/user.cfg", "user:root@pam:1:0:::::\npool:prod:a comment:103,104:local:\npool:lab::105::\n")
	put(t, n.dir+"/bin/logger", "#!/bin/sh\necho \"$*\" >>"+n.dir+"/syslog\n")
	put(t, n.dir+"/bin/pct", `#!/bin/sh
echo "$*" >>`+n.dir+`/calls
case $1 in
config)
	case $2 in
	101) echo 'hostname: web'; echo 'tags: pvechat;web' ;;
	102) echo 'hostname: notpvechat'; echo 'tags: notpvechat;pvechat-no' ;;
	103 | 106) echo 'hostname: db' ;;
	104) echo 'hostname: off'; echo 'tags: pvechat' ;;
	*) echo "Configuration file 'nodes/pve1/lxc/$2.conf' does not exist" >&2; exit 2 ;;
	esac ;;
status) if [ "$2" = 104 ]; then echo 'status: stopped'; else echo 'status: running'; fi ;;
exec) [ "$3" = -- ] || exit 1; shift 3; exec "$@" ;;
push) cp "$3" "`+n.dir+`/pushed"; echo "$2 $4 $5 $6" >"`+n.dir+`/pushed.to" ;;
esac
`)
	for _, file := range []string{"/pvechat-guest", "/bin/logger", "/bin/pct"} {
		if err := os.Chmod(n.dir+file, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	public, err := os.ReadFile(n.dir + "/id.pub")
	if err != nil {
		t.Fatal(err)
	}
	put(t, n.dir+"/authorized_keys", `restrict,command="`+n.dir+"/pvechat-guest "+scope+`" `+string(public))
	n.client = n.sshd.client(t)
	cfg := n.client.cfg
	cfg.ViaNode, cfg.NodeAddrs = true, map[string]string{"pve1": "127.0.0.1"}
	n.client = New(cfg)
	return n
}

func (n node) calls(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(n.dir + "/calls")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheNodeLetsOnlyIntoItsScope(t *testing.T) {
	n := startNode(t, "tag:pvechat pool:prod")
	for vmid, kind := range map[int]Kind{101: "", 102: Scope, 103: "", 104: NotHere, 105: NotHere, 106: Scope, 999: NotHere} {
		err := n.client.Ping(t.Context(), Target{Node: "pve1", VMID: vmid})
		if kind == "" && err != nil || kind != "" && !errors.Is(err, kind) {
			t.Errorf("container %d: got %v, want %q", vmid, err, kind)
		}
		if ran := strings.Contains(n.calls(t), "exec "+strconv.Itoa(vmid)+" "); ran != (kind == "") {
			t.Errorf("container %d: entered: %v", vmid, ran)
		}
	}
	if log, err := os.ReadFile(n.dir + "/syslog"); err != nil || !strings.Contains(string(log), "container 102 is not in scope") {
		t.Errorf("the refusal is not in the log: %q, %v", log, err)
	}
}

func TestAScanAndCredentialsThroughTheNode(t *testing.T) {
	n := startNode(t, "tag:pvechat")
	to := Target{Node: "pve1", VMID: 101}
	s, err := n.client.Scan(t.Context(), to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Services) == 0 && len(s.Missing) == 0 {
		t.Errorf("got nothing: %+v", s)
	}
	if _, err := n.client.Credentials(t.Context(), to, "there-is-none-of-this-name"); !errors.Is(err, NoCredentials) {
		t.Errorf("got %v, want that there are none", err)
	}
	if _, err := n.client.Scan(t.Context(), Target{Node: "pve1", VMID: 102}, nil); !errors.Is(err, Scope) {
		t.Errorf("got %v, want that it is out of scope", err)
	}
}

func TestTheForcedCommandRefuses(t *testing.T) {
	n := startNode(t, "tag:pvechat")
	signer, err := readKey(n.dir + "/id")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", n.addr.String(), &ssh.ClientConfig{
		User: n.client.cfg.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), //nolint:gosec // loopback
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	run := func(line, stdin string) (string, int) {
		t.Helper()
		session, err := conn.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		session.Stdin = strings.NewReader(stdin)
		out, err := session.Output(line)
		if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
			return string(out), exit.ExitStatus()
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(out), 0
	}
	for _, line := range []string{
		"", "sh", "reboot", "id; id", "exec", "exec 101", "exec 0101 id", "exec -1 id", "exec 101; id", "exec 101 $(id)", "exec 101 `id`",
		"exec 101 id\nid", "exec 101 id | id", "exec 101 id & id", "exec 101 id > /tmp/x", "exec 101 *", "exec 101 'id'", "exec 101 -- id",
		"exec 101 --lock id", "exec 10100000000 id", "config 101 x", "destroy 101 --purge", "push 101 relative 0600", "push 101 /etc/../etc/passwd 0600",
		"push 101 /etc/x 4755", "push 101 /etc/x 600", "push 101 /etc/x", "push 101 /etc/x 0600 --user",
	} {
		before := n.calls(t)
		if out, status := run(line, ""); status != 64 || strings.Contains(out, "uid=") {
			t.Errorf("%q: status %d, %q", line, status, out)
		}
		for call := range strings.Lines(strings.TrimPrefix(n.calls(t), before)) {
			if !strings.HasPrefix(call, "config ") && !strings.HasPrefix(call, "status ") {
				t.Errorf("%q: pct %s", line, call)
			}
		}
	}
	if out, status := run("exec 101 echo a b", ""); status != 0 || out != "a b\n" {
		t.Errorf("exec: status %d, %q", status, out)
	}
	if _, status := run("push 101 /etc/pvechat/credentials/web 0600", "A=b\n"); status != 0 {
		t.Errorf("push: status %d", status)
	}
	pushed, _ := os.ReadFile(n.dir + "/pushed")
	to, _ := os.ReadFile(n.dir + "/pushed.to")
	if string(pushed) != "A=b\n" || string(to) != "101 /etc/pvechat/credentials/web --perms 0600\n" {
		t.Errorf("pushed %q to %q", pushed, to)
	}
	if _, status := run("push 102 /etc/x 0600", "A=b\n"); status != 77 {
		t.Errorf("push out of scope: status %d", status)
	}
	if out, err := exec.CommandContext(t.Context(), need(t, "ssh"), "-i", n.dir+"/id", "-p", strconv.Itoa(int(n.addr.Port())), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes", "-N", "-R", "127.0.0.1:0:127.0.0.1:1",
		n.client.cfg.User+"@127.0.0.1").CombinedOutput(); err == nil {
		t.Errorf("a port could be forwarded: %s", out)
	}
}
