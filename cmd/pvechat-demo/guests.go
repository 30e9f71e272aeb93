package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const (
	keyFile        = "ssh-key"
	knownHostsFile = "known_hosts"
)

// credentials says which services have some, by container; their passwords are
// made up at every start.
var credentials = map[string][]string{
	"adguard":        {"adguard"},
	"grafana":        {"grafana"},
	"home-assistant": {"home-assistant"},
	"immich":         {"immich"},
	"jellyfin":       {"jellyfin"},
	"nextcloud":      {"nextcloud", "mariadb"},
	"paperless":      {"paperless"},
	"postgres":       {"postgresql"},
	"vaultwarden":    {"vaultwarden"},
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
	for _, c := range w.pve.Containers() {
		if at, err := netip.ParsePrefix(c.Addr); err == nil {
			w.secrets[c.Name] = files(c)
			w.guests.Put(at.Addr(), guesttest.Guest{Keys: []ssh.PublicKey{known}, Files: w.secrets[c.Name]})
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, keyFile), pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, knownHostsFile), w.guests.KnownHosts(22), 0o600)
}

// files are the credentials that a container's installer would have left there.
func files(c proxmoxtest.Container) map[string]string {
	all := map[string]string{}
	for _, service := range credentials[c.Name] {
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
