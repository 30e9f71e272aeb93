package handlers_test

import (
	"context"
	"crypto/ed25519"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// inside is a guest that is asked, and answers when it may.
type inside struct {
	may chan struct{} // closed: at once

	mu    sync.Mutex
	calls []string
	scan  guest.Scan
	err   error
}

func (i *inside) asked(what string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls = append(i.calls, what)
}

func (i *inside) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.calls)
}

func (i *inside) Scan(ctx context.Context, _ guest.Target, _ []uint16) (guest.Scan, error) {
	i.asked("scan")
	select {
	case <-i.may:
	case <-ctx.Done():
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.scan, i.err
}

func (i *inside) Credentials(context.Context, guest.Target, string, ...guest.CredentialFile) ([]guest.CredentialSet, error) {
	i.asked("credentials")
	return nil, &guest.Error{Kind: guest.NoCredentials}
}

func (i *inside) Logs(_ context.Context, _ guest.Target, s guest.Service) ([]string, error) {
	i.asked("logs " + s.Unit)
	return []string{"hello"}, nil
}

// entered is a world whose containers can be looked into.
func entered(t *testing.T) (*world, *inside) {
	t.Helper()
	w := newWorld(t)
	g := &inside{may: make(chan struct{}), scan: guest.Scan{Init: "systemd", Services: []guest.Service{
		{Kind: guest.Systemd, Unit: "nginx.service", Name: "nginx", State: guest.ServiceRunning, Ports: []guest.Port{{Addr: netip.IPv4Unspecified(), Port: 80, Web: "http"}}},
		{Kind: guest.Systemd, Unit: "x$(reboot).service", Name: "x$(reboot)", State: guest.ServiceFailed},
	}}}
	w.tune = func(d *handlers.Deps) {
		d.Guests, d.HostKeys = map[string]handlers.Guest{"home": g}, w.db
		d.Services = services.New(services.Config{
			Guests: map[string]services.Guest{"home": g}, Fleet: d.Inventory.Snapshot, Store: w.db, Every: 5 * time.Minute, Now: d.Now, Log: d.Log,
			Target: func(context.Context, *inventory.Container) guest.Target { return guest.Target{} },
		})
	}
	w.build()
	if _, err := w.inv.Refresh(t.Context(), "home"); err != nil {
		t.Fatal(err)
	}
	return w, g
}

func TestNobodyWaitsForAGuestToSeeAList(t *testing.T) {
	w, g := entered(t)
	ana := chat.Person{Platform: chat.Slack, ID: "ana", Name: "Ana"}
	a := w.router.Handle(t.Context(), chat.Invocation{Kind: chat.Typed, ID: "1", Command: "services", Options: map[string]string{"name": "web"}, Person: ana, Space: space})
	says(t, a.Now, "for the first time")
	if g.count() != 0 || a.Then == nil {
		t.Fatalf("before the answer the guest was asked %q", g.calls)
	}
	close(g.may)
	s, err := a.Then(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	says(t, s, "Services 1/2")
	says(t, s, "nginx")

	// From now on it is answered from memory.
	a = w.router.Handle(t.Context(), chat.Invocation{Kind: chat.Typed, ID: "2", Command: "services", Options: map[string]string{"name": "web"}, Person: ana, Space: space})
	says(t, a.Now, "Services 1/2")
	if g.count() != 1 {
		t.Errorf("the guest was asked %q", g.calls)
	}
	list := w.typed("ana", "list")
	if row := text(list.Now); !strings.Contains(row, "web running") {
		t.Errorf("no row:\n%s", row)
	}
}

func TestWhoMaySeeWhatOfServices(t *testing.T) {
	w, g := entered(t)
	close(g.may)
	id := w.id(101)
	w.typed("ana", "services", "name", "web")
	asked := g.count()

	says(t, w.press("vic", id+":logs:x").Now, "Not allowed")
	says(t, w.press("vic", id+":trust:x").Now, "Not allowed")
	says(t, w.press("ben", id+":hostkey").Now, "Not allowed")
	says(t, w.press("ana", id+":logs:there-is-none").Now, "not there any more")
	says(t, w.press("ana", id+":trust:x").Now, "Nothing was trusted")
	says(t, w.typed("ana", "services", "name", "wiki").Now, "It is not running")
	says(t, w.press("ana", w.id(102)+":scan").Now, "It is not running")
	if g.count() != asked {
		t.Errorf("refused, and the guest was asked %q", g.calls[asked:])
	}

	// The id of a service is found among what was seen; the guest gets its unit.
	sel := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: id + ":logs", Value: "log:" + serviceID(t, w, "nginx")})
	says(t, sel.Now, "Logs · nginx")
	if last := g.calls[len(g.calls)-1]; last != "logs nginx.service" {
		t.Errorf("asked %q", last)
	}
}

// serviceID is the value of a service in the select of logs.
func serviceID(t *testing.T, w *world, name string) string {
	t.Helper()
	a := w.typed("ana", "services", "name", "web")
	for _, b := range a.Now.(chat.Panel).Blocks {
		if c, ok := b.(chat.Controls); ok && c.Select != nil {
			for _, o := range c.Select.Options {
				if o.Label == name {
					return strings.TrimPrefix(o.Value, "log:")
				}
			}
		}
	}
	t.Fatalf("no logs of %s are offered", name)
	return ""
}

func TestOnlyTheKeyThatWasSeenIsTrusted(t *testing.T) {
	w, g := entered(t)
	close(g.may)
	first, second := newHostKey(t), newHostKey(t)
	shows := func(key string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.err = &guest.Error{Kind: guest.HostKeyUnknown, HostKey: key}
	}
	shows(first)
	w.typed("ana", "services", "name", "web")
	question := w.press("ana", w.id(101)+":hostkey")
	says(t, question.Now, guest.Fingerprint(first))
	trust := control(t, question.Now, "Trust this key")

	shows(second) // meanwhile
	w.press("ana", w.id(101)+":scan")
	says(t, w.press("ana", trust).Now, "Nothing was trusted")
	if keys, err := w.db.HostKeys(t.Context(), strings.TrimPrefix(w.id(101), "ct:")); err != nil || len(keys) > 0 {
		t.Errorf("trusted %q, %v", keys, err)
	}

	trust = control(t, w.press("ana", w.id(101)+":hostkey").Now, "Trust this key")
	w.press("ana", trust)
	if keys, err := w.db.HostKeys(t.Context(), strings.TrimPrefix(w.id(101), "ct:")); err != nil || len(keys) != 1 || keys[0] != second {
		t.Errorf("trusted %q, %v, want %q", keys, err, second)
	}
}

func newHostKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
