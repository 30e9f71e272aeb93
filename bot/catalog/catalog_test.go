package catalog_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// memory keeps no records.
type memory struct{}

func (memory) Containers(context.Context, string) ([]inventory.Record, error) { return nil, nil }
func (memory) Save(context.Context, []inventory.Record) error                 { return nil }
func (memory) ClaimTick(context.Context, string, time.Duration) (bool, error) { return true, nil }

func scene(t *testing.T) (*catalog.Catalog, *proxmoxtest.Server, *inventory.Inventory) {
	t.Helper()
	s := proxmoxtest.New(proxmoxtest.Options{Plain: true})
	proxmoxtest.Populate(s, proxmoxtest.HomelabSize)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := proxmox.New(proxmox.Config{Name: "home", URLs: []string{s.URL()}, TokenID: "bot@pve!chat", TokenSecret: "token-secret", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseIdleConnections(); s.Close() })
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{c}, Store: memory{}, Every: time.Second})
	if _, err := inv.Refresh(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	return catalog.New(catalog.Config{
		Clusters: map[string]catalog.Source{"home": c}, Fleet: inv.Snapshot, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}), s, inv
}

func TestAnOfferIsWhatThereIsAndWhatCanBeHad(t *testing.T) {
	c, _, _ := scene(t)
	if o := c.Of("home"); !o.At.IsZero() {
		t.Errorf("it is known before it was read: %+v", o)
	}
	c.Refresh(t.Context(), "home")
	o := c.Of("home")
	if o.Err != nil || o.At.IsZero() {
		t.Fatalf("%+v", o)
	}
	debian, ok := o.Find("debian-13-standard")
	if !ok || debian.File != "debian-13-standard_13.1-2_amd64.tar.zst" || len(debian.Copies) != 3 {
		t.Errorf("%v %+v", ok, debian)
	}
	if volume, ok := debian.On("pve2"); !ok || volume != "local:vztmpl/"+debian.File {
		t.Errorf("on pve2: %v %q", ok, volume)
	}
	if _, ok := o.Find("archlinux"); ok {
		t.Error("what has to be downloaded is there")
	}
	if file, ok := o.Download("archlinux-base"); !ok || file != "archlinux-base_20250901-1_amd64.tar.zst" {
		t.Errorf("download %v %q", ok, file)
	}
	if diff := cmp.Diff(map[string][]string{"pve1": {"vmbr0"}, "pve2": {"vmbr0"}, "pve3": {"vmbr0"}}, o.Bridges); diff != "" {
		t.Error(diff)
	}
}

func TestANodeThatIsDownLeavesTheRest(t *testing.T) {
	c, s, inv := scene(t)
	c.Refresh(t.Context(), "home")
	s.SetNode("pve2", false)
	if _, err := inv.Refresh(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	c.Refresh(t.Context(), "home")
	o := c.Of("home")
	debian, _ := o.Find("debian-13-standard")
	if _, there := debian.On("pve2"); there || len(debian.Copies) != 2 || o.Err != nil {
		t.Errorf("%+v, %v", debian, o.Err)
	}
}

func TestWhatCannotBeReadLeavesWhatWasKnown(t *testing.T) {
	c, s, _ := scene(t)
	c.Refresh(t.Context(), "home")
	before := c.Of("home")
	s.Down(true)
	c.Refresh(t.Context(), "home")
	after := c.Of("home")
	if after.Err == nil || len(after.Templates) != len(before.Templates) || len(after.Downloads) != len(before.Downloads) || len(after.Bridges) != 3 {
		t.Errorf("%+v", after)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	c, _, _ := scene(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for c.Of("home").At.IsZero() {
		select {
		case <-t.Context().Done():
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
