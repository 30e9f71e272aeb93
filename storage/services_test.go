package storage_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/storage"
)

func TestAScanComesBackAsItWasSaved(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		nginx := services.Service{Service: guest.Service{
			Kind: guest.Systemd, Unit: "nginx.service", Name: "nginx", State: guest.ServiceRunning,
			Ports: []guest.Port{{Addr: netip.IPv4Unspecified(), Port: 80, Web: "http"}, {Addr: netip.IPv6Unspecified(), Port: 443, Web: "https", Web6: true}},
		}}
		evil := services.Service{
			Service: guest.Service{Kind: guest.Process, Unit: hostile, Name: hostile, State: guest.ServiceStopped, System: true},
			Since:   noon, GoneAt: noon.Add(-time.Hour),
		}
		r := services.Report{
			Container: "c", Services: []services.Service{nginx, evil}, More: 3, Missing: []string{guest.LacksWeb},
			CheckedAt: noon, Took: 1500 * time.Millisecond, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")},
			TriedAt: noon, Problem: guest.Timeout, Detail: hostile, HostKey: "ssh-ed25519 AAAA",
		}
		must(t, db.SaveScan(t.Context(), r, r.Services, nil))
		must(t, db.SaveScan(t.Context(), services.Report{Container: "other", TriedAt: noon.Add(time.Hour)}, nil, nil))

		got, err := db.Reports(t.Context(), time.Time{})
		must(t, err)
		tamedEvil := evil
		tamedEvil.Unit, tamedEvil.Name = tamed, tamed
		want := r
		want.Services, want.Detail = []services.Service{tamedEvil, nginx}, tamed
		opts := cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b services.Report) bool { return a.Container < b.Container })}
		if diff := cmp.Diff([]services.Report{want, {Container: "other", TriedAt: noon.Add(time.Hour).UTC()}}, got, opts); diff != "" {
			t.Error(diff)
		}

		got, err = db.Reports(t.Context(), noon)
		must(t, err)
		if len(got) != 1 || got[0].Container != "other" {
			t.Errorf("after noon: %v", got)
		}

		nginx.State = guest.ServiceStopped
		r.Services = []services.Service{nginx}
		must(t, db.SaveScan(t.Context(), r, r.Services, []string{tamedEvil.Key()}))
		got, err = db.Reports(t.Context(), time.Time{})
		must(t, err)
		for _, rep := range got {
			if rep.Container == "c" && (len(rep.Services) != 1 || rep.Services[0].State != guest.ServiceStopped) {
				t.Errorf("got %+v", rep.Services)
			}
		}
	})
}

func TestOneProcessScansAContainerAtOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		claim := func(lease time.Duration, since time.Time) bool {
			t.Helper()
			ok, err := db.ClaimScan(t.Context(), "c", lease, since)
			must(t, err)
			return ok
		}
		if !claim(time.Hour, noon) {
			t.Error("nobody has claimed it, and it was refused")
		}
		if claim(time.Hour, noon) {
			t.Error("two have claimed it")
		}
		if got, err := db.Reports(t.Context(), time.Time{}); err != nil || len(got) > 0 {
			t.Errorf("a claim is no report: %v, %v", got, err)
		}
		must(t, db.SaveScan(t.Context(), services.Report{Container: "c", TriedAt: noon}, nil, nil))
		if claim(time.Hour, noon) {
			t.Error("it was scanned at noon, and claimed as if it were not")
		}
		if !claim(-time.Second, noon.Add(time.Second)) {
			t.Error("the scan has ended, and its claim has not")
		}
		if !claim(time.Hour, noon.Add(time.Second)) {
			t.Error("the lease has ended, and its claim has not")
		}
	})
}

func TestAContainerHasTheHostKeyThatWasAcceptedLast(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.AcceptHostKey(t.Context(), "c", "ssh-ed25519 AAAA", "Ana", noon))
		must(t, db.AcceptHostKey(t.Context(), "other", "ssh-ed25519 CCCC", "Ana", noon))
		must(t, db.AcceptHostKey(t.Context(), "c", "ssh-ed25519 BBBB", "Ana", noon.Add(time.Hour)))
		got, err := db.HostKeys(t.Context(), "c")
		must(t, err)
		if diff := cmp.Diff([]string{"ssh-ed25519 BBBB"}, got); diff != "" {
			t.Error(diff)
		}
	})
}
