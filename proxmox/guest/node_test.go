package guest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
)

// node is one with a client that its key lets in.
type node struct {
	sshdtest.Node
	client *Client
}

func startNode(t *testing.T, scope string) node {
	t.Helper()
	n := node{Node: sshdtest.StartNode(t, scope)}
	n.Pool(t, "prod", "103,104")
	n.Pool(t, "lab", "105")
	n.Put(t, 101, sshdtest.Container{Config: "hostname: web\ntags: pvechat;web"})
	n.Put(t, 102, sshdtest.Container{Config: "hostname: notpvechat\ntags: notpvechat;pvechat-no"})
	n.Put(t, 103, sshdtest.Container{Config: "hostname: db"})
	n.Put(t, 104, sshdtest.Container{Config: "hostname: off\ntags: pvechat", Stopped: true})
	n.Put(t, 106, sshdtest.Container{Config: "hostname: db"})
	cfg := clientOf(t, n.Server).cfg
	cfg.ViaNode, cfg.NodeAddrs = true, map[string]string{"pve1": "127.0.0.1"}
	n.client = New(cfg)
	return n
}

func TestTheNodeLetsOnlyIntoItsScope(t *testing.T) {
	n := startNode(t, "tag:pvechat pool:prod")
	for vmid, kind := range map[int]Kind{101: "", 102: Scope, 103: "", 104: NotHere, 105: NotHere, 106: Scope, 999: NotHere} {
		err := n.client.Ping(t.Context(), Target{Node: "pve1", VMID: vmid})
		if kind == "" && err != nil || kind != "" && !errors.Is(err, kind) {
			t.Errorf("container %d: got %v, want %q", vmid, err, kind)
		}
		if ran := strings.Contains(n.Calls(t), "exec "+strconv.Itoa(vmid)+" "); ran != (kind == "") {
			t.Errorf("container %d: entered: %v", vmid, ran)
		}
	}
	if log := n.Refused(t); !strings.Contains(log, "container 102 is not in scope") {
		t.Errorf("the refusal is not in the log: %q", log)
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
	signer, err := readKey(n.Dir + "/id")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ssh.Dial("tcp", n.Addr.String(), &ssh.ClientConfig{
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
		before := n.Calls(t)
		if out, status := run(line, ""); status != 64 || strings.Contains(out, "uid=") {
			t.Errorf("%q: status %d, %q", line, status, out)
		}
		for call := range strings.Lines(strings.TrimPrefix(n.Calls(t), before)) {
			if !strings.HasPrefix(call, "config ") && !strings.HasPrefix(call, "status ") {
				t.Errorf("%q: pct %s", line, call)
			}
		}
	}
	if out, status := run("exec 101 echo a b", ""); status != 0 || out != "a b\n" {
		t.Errorf("exec: status %d, %q", status, out)
	}
	root := t.TempDir()
	n.Put(t, 101, sshdtest.Container{Config: "tags: pvechat", Root: root})
	if _, status := run("push 101 /etc/pvechat/credentials/web 0600", "A=b\n"); status != 0 {
		t.Errorf("push: status %d", status)
	}
	file := root + "/etc/pvechat/credentials/web"
	pushed, _ := os.ReadFile(file)
	if info, err := os.Stat(file); err != nil || string(pushed) != "A=b\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("pushed %q, %v, %v", pushed, info, err)
	}
	if _, status := run("push 102 /etc/x 0600", "A=b\n"); status != 77 {
		t.Errorf("push out of scope: status %d", status)
	}
	if out, err := exec.CommandContext(t.Context(), sshdtest.Need(t, "ssh"), "-i", n.Dir+"/id", "-p", strconv.Itoa(int(n.Addr.Port())), "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes", "-N", "-R", "127.0.0.1:0:127.0.0.1:1",
		n.client.cfg.User+"@127.0.0.1").CombinedOutput(); err == nil {
		t.Errorf("a port could be forwarded: %s", out)
	}
}
