package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const (
	keyFile        = "ssh-key"
	knownHostsFile = "known_hosts"
)

// installed is what somebody has put into a container: services, and which of
// them have credentials, whose passwords are made up at every start.
type installed struct {
	services []guesttest.Service
	secrets  []string
}

// web is a service with a page, and what else it listens to.
func web(unit, port string, more ...string) guesttest.Service {
	s := guesttest.Service{Unit: unit + ".service", Web: "http", Listen: []string{"0.0.0.0:" + port}}
	s.Listen = append(s.Listen, more...)
	s.Log = []string{unit + ": listening on port " + port}
	return s
}

// local is a service that only its own container reaches.
func local(unit, port string) guesttest.Service {
	return guesttest.Service{Unit: unit + ".service", Listen: []string{"127.0.0.1:" + port}}
}

var inside = map[string]installed{
	"adguard":        {[]guesttest.Service{web("AdGuardHome", "3000")}, []string{"adguard"}},
	"authelia":       {[]guesttest.Service{web("authelia", "9091"), local("redis-server", "6379")}, nil},
	"caddy":          {[]guesttest.Service{web("caddy", "80")}, nil},
	"grafana":        {[]guesttest.Service{web("grafana-server", "3000")}, []string{"grafana"}},
	"home-assistant": {[]guesttest.Service{web("home-assistant", "8123"), local("esphome", "6052")}, []string{"home-assistant"}},
	"immich": {
		[]guesttest.Service{web("immich-server", "2283"), local("immich-ml", "3003"), local("redis-server", "6379")},
		[]string{"immich"},
	},
	"influxdb":  {[]guesttest.Service{web("influxdb", "8086")}, nil},
	"jellyfin":  {[]guesttest.Service{web("jellyfin", "8096")}, []string{"jellyfin"}},
	"minecraft": {[]guesttest.Service{{Unit: "minecraft.service", Listen: []string{"0.0.0.0:25565"}}}, nil},
	"nextcloud": {
		[]guesttest.Service{web("apache2", "80"), local("mariadb", "3306"), local("redis-server", "6379")},
		[]string{"nextcloud", "mariadb"},
	},
	"paperless": {
		[]guesttest.Service{
			web("paperless-webserver", "8000"), local("redis-server", "6379"),
			{Unit: "paperless-consumer.service", State: "failed", Log: []string{"paperless-consumer: /data/consume: no such directory"}},
		},
		[]string{"paperless"},
	},
	"photoprism":  {[]guesttest.Service{web("photoprism", "2342"), local("mariadb", "3306")}, nil},
	"postgres":    {[]guesttest.Service{{Unit: "postgresql@17-main.service", Listen: []string{"0.0.0.0:5432"}}}, []string{"postgresql"}},
	"prometheus":  {[]guesttest.Service{web("prometheus", "9090"), web("alertmanager", "9093")}, nil},
	"traefik":     {[]guesttest.Service{web("traefik", "80")}, nil},
	"unifi":       {[]guesttest.Service{web("unifi", "8080"), local("mongod", "27117")}, nil},
	"vaultwarden": {[]guesttest.Service{web("vaultwarden", "8000")}, []string{"vaultwarden"}},
	"zigbee2mqtt": {[]guesttest.Service{web("zigbee2mqtt", "8080")}, nil},
}

// furnish puts an SSH server behind the address of every container, and writes
// the files with which the bot logs in.
func (w *world) furnish() error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	known, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	w.login = known
	for _, c := range w.pve.Containers() {
		w.enter(c)
	}
	if err := os.WriteFile(filepath.Join(w.dir, keyFile), pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, knownHostsFile), w.guests.KnownHosts(22), 0o600)
}

// enter puts an SSH server behind the address of a container.
func (w *world) enter(c proxmoxtest.Container) {
	if at, err := netip.ParsePrefix(c.Addr); err == nil {
		w.secrets[c.Name] = files(c)
		w.guests.Put(at.Addr(), guesttest.Guest{Keys: []ssh.PublicKey{w.login}, Files: w.secrets[c.Name], Services: append(guesttest.System(), inside[c.Name].services...)})
	}
}

// lease gives a container that is made in the demo an address, and an SSH server
// there, in which nothing is run: what would be installed appears after a while.
func (w *world) lease(vmid int) string {
	addr := netip.AddrFrom4([4]byte{192, 168, 11, byte(vmid)})
	g := guesttest.Guest{Keys: []ssh.PublicKey{w.login}, Files: map[string]string{}, Services: guesttest.System()}
	var mu sync.Mutex
	g.Install = func(ctx context.Context, script string, out io.Writer) uint32 {
		for _, line := range []string{"Reading package lists…", "Unpacking…", "Setting up…", "Done."} {
			select {
			case <-ctx.Done():
				return 1
			case <-time.After(700 * time.Millisecond):
			}
			fmt.Fprintln(out, line)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, m := range enabled.FindAllStringSubmatch(script, -1) {
			if port := ports[m[1]]; port != "" && !slices.ContainsFunc(g.Services, func(s guesttest.Service) bool { return s.Unit == m[1]+".service" }) {
				g.Services = append(slices.Clip(g.Services), web(m[1], port))
			}
		}
		for _, m := range kept.FindAllStringSubmatch(script, -1) {
			if g.Files = maps.Clone(g.Files); g.Files[m[0]] == "" {
				g.Files[m[0]] = "USER=admin\nPASSWORD=" + rand.Text() + "\n"
			}
		}
		w.guests.Put(addr, g)
		return 0
	}
	w.guests.Put(addr, g)
	return addr.String() + "/24"
}

// What the shipped templates start, and where they leave credentials.
var (
	enabled = regexp.MustCompile(`systemctl enable (?:--now )?([a-z-]+)`)
	kept    = regexp.MustCompile(`/etc/pvechat/credentials/[a-z]+`)
	ports   = map[string]string{"nginx": "80", "gitea": "3000", "grafana-server": "3000", "postgresql": "5432", "docker": "2375"}
)

// files are the credentials that a container's installer would have left there.
func files(c proxmoxtest.Container) map[string]string {
	all := map[string]string{}
	for _, service := range inside[c.Name].secrets {
		all["/etc/pvechat/credentials/"+service] = fmt.Sprintf(
			"# made by the installer\nURL=http://%s.home.example\nUSER=admin\nPASSWORD=%s\n", service, rand.Text())
	}
	return all
}

// dial reaches a container that runs.
func (w *world) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	for _, c := range w.pve.Containers() {
		if at, err := netip.ParsePrefix(c.Addr); err == nil && at.Addr() == to.Addr() && c.Running {
			return w.guests.Dial(ctx, network, addr)
		}
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
}
