package daemon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// inside is a world whose container web is entered through OpenSSH's own server.
type inside struct {
	*daemontest.World
	sshd *sshdtest.Server
	web  sshdtest.Machine
}

func newInside(t *testing.T, web sshdtest.Machine, sshd *sshdtest.Server, via string) inside {
	t.Helper()
	w := daemontest.New(t, proxmoxtest.Options{})
	w.SSH = fmt.Sprintf("{via: %s, user: %s, port: %d, key_file: %q, known_hosts_file: %q, nodes: {pve1: 127.0.0.1}}",
		via, sshd.User, sshd.Addr.Port(), sshd.Dir+"/id", sshd.Dir+"/known_hosts")
	web.Run(jellyfin, redis, hostile)
	sshdtest.Put(t, web.Root+"/etc/pvechat/credentials/app", "USER=admin\nPASSWORD="+canary+"\n")
	return inside{w, sshd, web}
}

// looks is what people do with the container web, whichever way the bot takes
// into it; place is what the sentences are about where that is as far as it
// gets.
func (in inside) looks(t *testing.T, ana, ben *daemontest.Person, place, keyHelp string) {
	t.Helper()
	ana.Command("services web")
	ana.Sees("Services 3/3", "jellyfin running", "jellyfin.service · port 8096", "port 6379 (loopback only)", "x@$(reboot)", "Checked")

	ana.Command("credentials web")
	ana.Sees("USER", "admin", canary).Press("Hide")
	ana.Until("the values to go", func() bool { return ana.Count(canaryCore) == 0 })
	ben.Command("credentials web")
	ben.Sees("Not allowed")

	// One has stopped, one listens at one port more.
	twice, gone := jellyfin, redis
	twice.Listen = append([]string{"[::]:8920"}, jellyfin.Listen...)
	gone.State = "stopped"
	in.web.Run(twice, gone)
	again(ana, "Services 3/3", "jellyfin running")
	tab := ana.Sees("ports 8096, 8920", "redis-server stopped", "x@$(reboot)")

	tab.Press("jellyfin")
	logs := ana.Sees("Logs · jellyfin", "ready", "api_key=[redacted]")
	if !logs.Private {
		t.Error("the log is not for her alone")
	}
	logs.Press("Back to services")

	// The key is not let in any more: the list stays, and says why.
	file := in.sshd.Dir + "/authorized_keys"
	keys, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in.sshd.Deny(t)
	again(ana, "ports 8096, 8920")
	ana.Sees(place+" does not accept pvechat's SSH key", keyHelp, "This is the last known list", "ports 8096, 8920")
	ana.Command("credentials web")
	ana.Sees("Could not read the credentials of web", place+" does not accept pvechat's SSH key", "Nothing was shown", "id ")
	sshdtest.Put(t, file, string(keys))
}

// rekeyed gives the server another host key: nothing is sent to it, and
// everybody in the ops channel hears of it.
func (in inside) rekeyed(t *testing.T, ana, ben *daemontest.Person, sentence, alert string) daemontest.Surface {
	t.Helper()
	in.sshd.ChangeHostKey(t)
	ana.Command("credentials web")
	ana.Sees("Could not read the credentials of web", sentence)
	ben.Sees(alert)
	if n := ana.Count(canaryCore); n != 0 {
		t.Error("the values are shown all the same")
	}
	return ana.Sees(sentence, "This is the last known list", "jellyfin running") // it is kept fresh
}

// again refreshes the list that says this, when nobody looks already.
func again(p *daemontest.Person, texts ...string) {
	var list daemontest.Surface
	p.Until("a list that can be refreshed", func() bool {
		var ok bool
		list, ok = p.Seen(texts...)
		return ok && list.Offers("Refresh services")
	})
	list.Press("Refresh services")
}

// The container's address is leased: its configuration says DHCP, and Proxmox
// knows which it is.
func leased() proxmoxtest.Container {
	return proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, Uptime: time.Hour, Addr: "127.0.0.1/8", Tags: "pvechat;web"}
}

func TestInsideAContainerThroughARealSSHD(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs without -short")
	}
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		web := sshdtest.NewMachine(t)
		in := newInside(t, web, sshdtest.Start(t, web.Options()), "container")
		in.PVE.AddContainer(leased())
		ana, ben := in.Person(on, "Ana", "admin"), in.Person(on, "Ben", "viewer")
		in.Run()

		in.looks(t, ana, ben, "It", "Add pvechat's public key to its authorized_keys")
		in.rekeyed(t, ana, ben, "Its SSH host key has changed", "The SSH host key of web has changed").Press("Trust its host key…")
		ana.Sees("It is another key than the one that was trusted").Press("Trust this key")
		ana.Sees("the SSH host key of web is trusted again")
		in.Correct()
	})
}

// The node's key is held by pvechat-guest, which enters what has a tag, or is
// in a pool, and nothing else.
func TestInsideAContainerThroughItsNode(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs without -short")
	}
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		node := sshdtest.StartNode(t, "tag:pvechat pool:prod")
		in := newInside(t, sshdtest.NewMachine(t), node.Server, "node")
		db, wiki := sshdtest.NewMachine(t), sshdtest.NewMachine(t)
		for vmid, c := range map[int]sshdtest.Container{
			101: {Config: "hostname: web\ntags: pvechat;web", Root: in.web.Root},
			102: {Config: "hostname: wiki\ntags: notpvechat;pvechat-no", Root: wiki.Root},
			103: {Config: "hostname: db", Root: db.Root},
		} {
			node.Put(t, vmid, c)
		}
		node.Pool(t, "prod", "103")
		for _, m := range []sshdtest.Machine{db, wiki} {
			m.Run(redis)
			sshdtest.Put(t, m.Root+"/etc/pvechat/credentials/db", "PASSWORD="+canary+"\n")
		}
		web := leased()
		web.Addr = "" // it needs none
		in.PVE.AddContainer(web)
		in.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Node: "pve1", Name: "wiki", Running: true, Uptime: time.Hour, Tags: "notpvechat;pvechat-no"})
		in.PVE.AddContainer(proxmoxtest.Container{VMID: 103, Node: "pve1", Name: "db", Running: true, Uptime: time.Hour, Pool: "prod"})
		ana, ben := in.Person(on, "Ana", "admin"), in.Person(on, "Ben", "viewer")
		in.Run()

		// What is in the pool is entered. Neither has wiki the tag, whatever its
		// tags look like, nor is it in the pool.
		ana.Command("services db")
		ana.Sees("redis-server running", "Checked")
		ana.Command("services wiki")
		ana.Sees("Its node lets pvechat into other containers only", "tag or pool that pvechat-guest was set up with", "Its services are not known")
		ana.Command("credentials wiki")
		ana.Sees("Could not read the credentials of wiki", "Its node lets pvechat into other containers only", "Nothing was shown")
		if n := ana.Count(canaryCore); n != 0 {
			t.Error("the values are shown all the same")
		}

		in.looks(t, ana, ben, "Its node", "docs/security.md")
		if in.rekeyed(t, ana, ben, "The SSH host key of its node has changed", "The SSH host key of node pve1 has changed").Offers("Trust its host key…") {
			t.Error("a node's host key can be accepted in the chat, which counts for nothing")
		}
		node.Know(t)
		again(ana, "This is the last known list", "jellyfin running")
		ana.Sees("the SSH host key of node pve1 is known again")

		ran, log := node.Calls(t), node.Refused(t)
		if strings.Contains(ran, "exec 102 ") || !strings.Contains(ran, "exec 101 ") || !strings.Contains(ran, "exec 103 ") || !strings.Contains(log, "container 102 is not in scope") {
			t.Errorf("pct ran\n%sand the node's log says\n%s", ran, log)
		}
		in.Correct()
	})
}
