package guest_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

// accepted are host keys by container, as people accept them in the chat.
type accepted map[string]ssh.Signer

func (a accepted) HostKeys(_ context.Context, container string) ([]string, error) {
	key, ok := a[container]
	if !ok {
		return nil, nil
	}
	return []string{string(ssh.MarshalAuthorizedKey(key.PublicKey()))}, nil
}

func TestAnAcceptedHostKeyBelongsToTheContainer(t *testing.T) {
	mine, other := guesttest.NewKey(), guesttest.NewKey()
	for name, tc := range map[string]struct {
		shows    ssh.Signer
		accepted accepted
		file     ssh.Signer // known for the address; nil: it is not
		kind     guest.Kind // empty: it is let through
	}{
		"nobody has accepted one":                      {mine, nil, nil, guest.HostKeyUnknown},
		"its own was accepted":                         {mine, accepted{"c1": mine}, nil, ""},
		"another container's was accepted":             {mine, accepted{"c2": mine}, nil, guest.HostKeyUnknown},
		"another was accepted":                         {other, accepted{"c1": mine}, nil, guest.HostKeyChanged},
		"its own was accepted, at another's address":   {mine, accepted{"c1": mine}, other, ""},
		"the file knows it, and another was accepted":  {mine, accepted{"c1": other}, mine, ""},
		"the file knows another, and none is accepted": {mine, nil, other, guest.HostKeyChanged},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			if tc.file != nil {
				l.Put(addr2, guesttest.Guest{HostKeys: []ssh.Signer{tc.file}})
				l.know(t)
			} else if err := os.Remove(l.cfg.KnownHostsFile); err == nil {
				l.cfg.KnownHostsFile = ""
			}
			// A new lease: the container has an address at which nobody saw it.
			l.Put(addr2, guesttest.Guest{HostKeys: []ssh.Signer{tc.shows}})
			l.cfg.HostKeys = tc.accepted
			err := guest.New(l.cfg).Ping(t.Context(), guest.Target{ID: "c1", Node: "pve1", VMID: 101, Addrs: []netip.Addr{addr2}})
			if tc.kind == "" && err != nil || tc.kind != "" && !errors.Is(err, tc.kind) {
				t.Fatalf("got %v, want %q", err, tc.kind)
			}
			if tc.kind == "" {
				return
			}
			e, _ := errors.AsType[*guest.Error](err)
			shown := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(tc.shows.PublicKey())))
			if e.HostKey != shown || guest.Fingerprint(e.HostKey) != ssh.FingerprintSHA256(tc.shows.PublicKey()) {
				t.Errorf("it shows %q, want %q", e.HostKey, shown)
			}
		})
	}
	if guest.Fingerprint("rubbish") != "" {
		t.Error("rubbish has a fingerprint")
	}
}
