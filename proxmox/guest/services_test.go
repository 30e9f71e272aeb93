package guest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

func port(s string, web string) guest.Port {
	at := netip.MustParseAddrPort(s)
	return guest.Port{Addr: at.Addr(), Port: at.Port(), Web: web}
}

// webs counts the ports that are said to speak HTTP.
func webs(s guest.Scan) (n int) {
	for _, v := range s.Services {
		for _, p := range v.Ports {
			if p.Web != "" {
				n++
			}
		}
	}
	return n
}

func TestServicesOfAGuest(t *testing.T) {
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Services: append(guesttest.System(),
		guesttest.Service{Unit: "jellyfin.service", Listen: []string{"[::]:8096"}, Web: "http", Log: []string{"ready", "token=abc"}},
		guesttest.Service{Unit: "redis-server.service", Listen: []string{"127.0.0.1:6379"}},
		guesttest.Service{Unit: "smbd.service", State: "stopped"},
		guesttest.Service{Unit: "sync.service", State: "failed"},
	)})
	client := guest.New(l.cfg)
	s, err := client.Scan(t.Context(), target(addr1), nil)
	if err != nil {
		t.Fatal(err)
	}
	system := 0
	s.Services = slices.DeleteFunc(s.Services, func(v guest.Service) bool {
		if v.System {
			system++
		}
		return v.System
	})
	want := guest.Scan{Init: "systemd", Services: []guest.Service{
		{Kind: guest.Systemd, Unit: "jellyfin.service", Name: "jellyfin", State: guest.ServiceRunning, Ports: []guest.Port{port("[::]:8096", "http")}},
		{Kind: guest.Systemd, Unit: "redis-server.service", Name: "redis-server", State: guest.ServiceRunning, Ports: []guest.Port{port("127.0.0.1:6379", "")}},
		{Kind: guest.Systemd, Unit: "smbd.service", Name: "smbd", State: guest.ServiceStopped},
		{Kind: guest.Systemd, Unit: "sync.service", Name: "sync", State: guest.ServiceFailed},
	}}
	if diff := cmp.Diff(want, s, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || system != len(guesttest.System()) {
		t.Errorf("%d system services; want -, got +\n%s", system, diff)
	}

	if s, err = client.Scan(t.Context(), target(addr1), []uint16{8096}); err != nil || webs(s) > 0 {
		t.Errorf("a known port was asked again: %v, %v", s, err)
	}

	lines, err := client.Logs(t.Context(), target(addr1), want.Services[0])
	if err != nil || !slices.Equal(lines, []string{"ready", "token=[redacted]"}) {
		t.Errorf("got %q, %v", lines, err)
	}

	l.Put(addr1, guesttest.Guest{NoInit: true})
	if s, err = client.Scan(t.Context(), target(addr1), nil); err != nil || !s.Lacks(guest.LacksInit) {
		t.Errorf("got %v, %v, want that no init system was found", s, err)
	}
}

func TestHostileNamesReachNoShell(t *testing.T) {
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Exec: func(_ context.Context, command string, _ guesttest.Stdio) uint32 {
		t.Errorf("ran %q", command)
		return 1
	}})
	client := guest.New(l.cfg)
	for _, unit := range []string{"$(reboot).service", "a b", "a;b", "-rf", "a\nb", "", "a\\x2db.service", "`x`", "a'b", strings.Repeat("x", 300)} {
		if _, err := client.Logs(t.Context(), target(addr1), guest.Service{Kind: guest.Systemd, Unit: unit}); !errors.Is(err, guest.NoLogs) {
			t.Errorf("%q: got %v", unit, err)
		}
	}
	if _, err := client.Logs(t.Context(), target(addr1), guest.Service{Kind: guest.Process, Unit: "node"}); !errors.Is(err, guest.NoLogs) {
		t.Errorf("got %v", err)
	}
}

func TestAScanIsBounded(t *testing.T) {
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Exec: func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
		for {
			if _, err := io.WriteString(stdio.Out, strings.Repeat("unit Description=x\n", 1000)); err != nil {
				return 0
			}
		}
	}})
	if _, err := guest.New(l.cfg).Scan(t.Context(), target(addr1), nil); !errors.Is(err, guest.Output) {
		t.Errorf("got %v, want too much output", err)
	}

	many := make([]guesttest.Service, 700)
	for i := range many {
		many[i].Unit = fmt.Sprintf("worker-%d.service", i)
	}
	l.Put(addr1, guesttest.Guest{Services: many})
	s, err := guest.New(l.cfg).Scan(t.Context(), target(addr1), nil)
	if err != nil || len(s.Services) != 500 || s.More != 200 {
		t.Errorf("%d services and %d more, %v", len(s.Services), s.More, err)
	}
}
