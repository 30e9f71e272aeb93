package view_test

import (
	"net/netip"
	"testing"

	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// A link leads to where a browser finds the page, or there is none.
func TestNoLinkIsDead(t *testing.T) {
	both := []netip.Addr{netip.MustParseAddr("192.0.2.5"), netip.MustParseAddr("2001:db8::5")}
	port := func(s, web string, six bool) guest.Port {
		at := netip.MustParseAddrPort(s)
		return guest.Port{Addr: at.Addr(), Port: at.Port(), Web: web, Web6: six}
	}
	for name, tc := range map[string]struct {
		ports []guest.Port
		addrs []netip.Addr
		state guest.ServiceState
		want  string
	}{
		"everywhere":                        {[]guest.Port{port("0.0.0.0:8096", "http", false)}, both, "", "http://192.0.2.5:8096/"},
		"on both families":                  {[]guest.Port{port("[::]:8096", "http", false)}, both, "", "http://192.0.2.5:8096/"},
		"over IPv6 only":                    {[]guest.Port{port("[::]:8096", "https", true)}, both, "", "https://[2001:db8::5]:8096/"},
		"over IPv6 only, and it has none":   {[]guest.Port{port("[::]:8096", "http", true)}, both[:1], "", ""},
		"the ports that need no number":     {[]guest.Port{port("0.0.0.0:80", "http", false)}, both, "", "http://192.0.2.5/"},
		"HTTPS first":                       {[]guest.Port{port("0.0.0.0:80", "http", false), port("0.0.0.0:443", "https", false), port("0.0.0.0:81", "http", false)}, both, "", "https://192.0.2.5/"},
		"loopback only":                     {[]guest.Port{port("127.0.0.1:8096", "http", false)}, both, "", ""},
		"at one of its addresses":           {[]guest.Port{port("192.0.2.5:8096", "http", false)}, both, "", "http://192.0.2.5:8096/"},
		"at an address that is inside only": {[]guest.Port{port("172.17.0.1:8096", "http", false)}, both, "", ""},
		"no HTTP":                           {[]guest.Port{port("0.0.0.0:5432", "", false)}, both, "", ""},
		"it is down":                        {[]guest.Port{port("0.0.0.0:8096", "http", false)}, both, guest.ServiceStopped, ""},
		"no address":                        {[]guest.Port{port("0.0.0.0:8096", "http", false)}, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := services.Service{Service: guest.Service{Kind: guest.Systemd, Unit: "x.service", Name: "x", State: guest.ServiceRunning, Ports: tc.ports}}
			if tc.state != "" {
				s.State = tc.state
			}
			if got := view.WebURL(s, tc.addrs); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
