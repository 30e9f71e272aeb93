package daemon_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// lan is a world whose containers can be entered.
type lan struct {
	*daemontest.World
	at netip.Addr // of the container web
}

func newLAN(t *testing.T) lan {
	t.Helper()
	w := daemontest.New(t, proxmoxtest.Options{})
	w.Guests = &guesttest.Server{Errorf: t.Errorf}
	t.Cleanup(func() { _ = w.Guests.Close() })
	// Its address is leased: the configuration says DHCP, and Proxmox finds it.
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, Uptime: time.Hour, Addr: "10.0.0.101/24"})
	return lan{w, netip.MustParseAddr("10.0.0.101")}
}

// put changes what runs in the container.
func (l lan) put(list ...guesttest.Service) {
	l.Guests.Put(l.at, guesttest.Guest{Services: append(guesttest.System(), list...)})
}

var (
	jellyfin = guesttest.Service{Unit: "jellyfin.service", Listen: []string{"[::]:8096"}, Web: "http", Log: []string{"ready", "api_key=" + canaryCore + "-log"}}
	redis    = guesttest.Service{Unit: "redis-server.service", Listen: []string{"127.0.0.1:6379"}}
	hostile  = guesttest.Service{Unit: "x@$(reboot)<!channel>*@everyone`.service"}
)

func TestServicesAreSeenAsTheyComeAndGo(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		l := newLAN(t)
		l.put(jellyfin, redis, hostile)
		log := &chattest.Log{}
		l.Log = log
		ana, vic := l.Person(on, "Ana", "operator"), l.Person(on, "Vic", "viewer")
		stop := l.Run()

		// The board knows by itself what runs.
		ana.Command("dashboard")
		ana.Sees("web running", "SVC ●●●")

		ana.Command("services web")
		tab := ana.Sees("Services 3/3", "jellyfin running", "jellyfin.service · port 8096", "port 6379 (loopback only)", "System services · 6, all running", "Checked")
		if !tab.Private {
			t.Error("everybody sees it")
		}
		if !strings.Contains(tab.Text, "x@$(reboot)") {
			t.Errorf("the hostile name is not there:\n%s", tab.Text)
		}

		// One is gone, one has a new port.
		twice := jellyfin
		twice.Listen = append([]string{"[::]:8920"}, jellyfin.Listen...)
		l.put(twice)
		tab.Press("Refresh services")
		tab = ana.Sees("Services 1/3", "ports 8096, 8920", "redis-server stopped · last seen", "was on port 6379 (loopback only)", "Checked")
		ana.Sees("web running", "SVC ●○○")
		ana.Sees("2 services down in web")

		// It cannot be reached: the list stays, and says why.
		l.Guests.Put(l.at, guesttest.Guest{Down: true})
		tab.Press("Refresh services")
		tab = ana.Sees("It refuses SSH connections", "This is the last known list", "Services 1/3", "ports 8096, 8920")
		l.Guests.Put(l.at, guesttest.Guest{Keys: []ssh.PublicKey{guesttest.NewKey().PublicKey()}})
		tab.Press("Refresh services")
		tab = ana.Sees("It does not accept pvechat's SSH key", "This is the last known list")

		// Logs are for operators, private, and without what looks like a secret.
		l.put(jellyfin, redis, hostile)
		tab.Press("Refresh services")
		tab = ana.Sees("Services 3/3")
		ana.Sees("the services of web run again")
		tab.Press("jellyfin")
		logs := ana.Sees("Logs · jellyfin", "ready", "api_key=[redacted]")
		if !logs.Private {
			t.Error("everybody sees the log")
		}
		logs.Press("Back to services")
		ana.Sees("Services 3/3", "Refresh services")

		vic.Command("services web")
		if tab := vic.Sees("Services 3/3"); tab.Offers("jellyfin") {
			t.Error("a viewer is offered logs")
		}
		stop()
		l.Correct()
		for _, line := range strings.Split(log.String(), "\n") {
			if strings.Contains(line, canaryCore) {
				t.Errorf("a line of the service's log is in ours: %s", line)
			}
		}
	})
}

func TestAHostKeyIsTrustedByAnAdminAndWatched(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		l := newLAN(t)
		ana, ben := l.Person(on, "Ana", "admin"), l.Person(on, "Ben", "operator")
		l.Guests.Put(l.at, guesttest.Guest{Strange: true, Services: append(guesttest.System(), jellyfin)})
		l.Run()

		ben.Command("services web")
		unknown := ben.Sees("Its SSH host key is not known", "SHA256:", "Its services are not known")
		if unknown.Offers("Trust its host key…") {
			t.Error("an operator may trust a host key")
		}
		ana.Command("services web")
		ana.Sees("Its SSH host key is not known").Press("Trust its host key…")
		ana.Sees("Trust the host key of web?", "SHA256:").Press("Trust this key")
		ana.Sees("Services 1/1", "jellyfin running")

		// Another key: nothing is sent, and ops hears of it.
		l.Guests.Put(l.at, guesttest.Guest{HostKeys: []ssh.Signer{guesttest.NewKey()}, Files: map[string]string{"/etc/pvechat/credentials/app": "A=" + canary}})
		ben.Command("credentials web")
		ben.Sees("Its SSH host key has changed")
		ben.Sees("The SSH host key of web has changed", "sends nothing to it")
		tab := ana.Sees("Its SSH host key has changed", "This is the last known list", "jellyfin running") // it is kept fresh
		tab.Press("Trust its host key…")
		ana.Sees("It is another key than the one that was trusted").Press("Trust this key")
		ben.Sees("the SSH host key of web is trusted again")

		var by string
		if err := l.DB().QueryRowContext(l.Patience(), `SELECT accepted_by FROM host_keys`).Scan(&by); err != nil || by != string(on)+":"+ana.ID {
			t.Errorf("accepted by %q, %v", by, err)
		}
		l.Correct()
	})
}

func TestAnEnteredValueIsSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		l := newLAN(t)
		l.Keys = true
		log := &chattest.Log{}
		l.Log = log
		l.Guests.Put(l.at, guesttest.Guest{Files: map[string]string{"/etc/pvechat/credentials/app": "USER=admin\n"}})
		ana, ben := l.Person(on, "Ana", "operator"), l.Person(on, "Ben", "viewer")
		stop := l.Run()

		ana.Command("credentials web")
		ana.Sees("USER", "admin").Press("Enter a value…")
		var form daemontest.Surface
		ana.Until("the form", func() bool {
			s, ok := ana.Seen("Enter a value")
			form = s
			return ok && s.Window
		})
		form.Submit(map[string]string{"service": "No Service", "key": "PIN", "value": canary + "-pin"})
		again := ana.Sees("A service is of small letters")
		if on == daemontest.Discord {
			again.Press("Try again")
			again = ana.Sees("Enter a value")
		}
		again.Submit(map[string]string{"service": "router", "key": "PIN", "value": canary + "-pin"})
		ana.Sees("Kept PIN of router")
		ana.Command("credentials web")
		ana.Sees("router", "entered by hand", canary+"-pin", "admin")
		ben.Command("credentials web")
		ben.Sees("Not allowed")

		// It can be seen while the container is down.
		ana.Command("stop web")
		ana.Sees("Stop web?", "This question ends").Press("Stop container")
		ana.Sees("Stopped web")
		ana.Command("credentials web router")
		ana.Sees("PIN", canary+"-pin")
		everywhere := kept(l.World, log)
		stop()
		l.Correct()
		nowhere(t, l.World, log, everywhere)
	})
}
