package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Services knows what runs inside containers; *services.Services does.
type Services interface {
	Report(id inventory.ID) *services.Report
	Scanning(id inventory.ID) bool
	CanScan(c *inventory.Container) bool
	Scan(ctx context.Context, c *inventory.Container) (*services.Report, error)
}

// HostKeyStore keeps the host keys that people accept.
type HostKeyStore interface {
	AcceptHostKey(ctx context.Context, id inventory.ID, key, by string, at time.Time) error
}

func (h *Handlers) servicesRoutes() []Route {
	return []Route{
		{
			Name: "services", Needs: access.View, Container: true, Handle: h.services,
			Command: &chat.Command{Name: "services", Summary: "what runs inside a container", Options: []chat.Option{nameOption}},
		},
		{Name: "scan", Needs: access.View, Container: true, Handle: h.scan},
		{Name: "web", Needs: access.View, Container: true, Handle: h.web},
		{Name: "logs", Needs: access.Operate, Container: true, Audited: true, Handle: h.logs},
		{Name: "hostkey", Needs: access.Admin, Container: true, Handle: h.hostKey},
		{Name: "trust", Needs: access.Admin, Container: true, Audited: true, Handle: h.trust},
	}
}

// servicesOf is the tab of a container's services, from memory.
func (h *Handlers) servicesOf(c *inventory.Container, show string) view.Services {
	if h.Services == nil {
		return view.Services{Show: show}
	}
	return view.Services{Report: h.Services.Report(c.ID), Scanning: h.Services.Scanning(c.ID), Reach: h.Services.CanScan(c), Show: show}
}

func (h *Handlers) services(ctx context.Context, r *Request) chat.Answer {
	return h.openDetail(ctx, r, tab{name: view.TabServices, filter: view.ShowServices})
}

// scan looks into a container now. What is known is shown meanwhile.
func (h *Handlers) scan(ctx context.Context, r *Request) chat.Answer {
	t := tab{name: view.TabServices, filter: view.ShowServices}
	if id, name, show, _, ok := view.ParseDetailState(r.State); ok && id == r.Container.ID && name == t.name {
		t.filter = show
	}
	if h.Services == nil || !h.Services.CanScan(r.Container) || r.Container.State != inventory.Running {
		return h.openDetail(ctx, r, t)
	}
	return h.openDetail(ctx, r, tab{name: t.name, filter: t.filter, scan: true})
}

// web is what Slack tells of a link that somebody opened.
func (h *Handlers) web(context.Context, *Request) chat.Answer { return chat.Answer{} }

// logs shows the last lines of one service, to the person who asked.
func (h *Handlers) logs(ctx context.Context, r *Request) chat.Answer {
	c, id := r.Container, strings.TrimPrefix(r.Value, "log:")
	if r.Arg != "" {
		id = r.Arg
	}
	g, ok := h.Guests[c.Cluster]
	if !ok || h.Services == nil || c.State != inventory.Running {
		r.Note("refused", "not reachable")
		return chat.Answer{Now: view.Refused(c.DisplayName()+" cannot be looked into.", "It has to run, and its cluster needs clusters[].ssh.")}
	}
	var service *services.Service
	if rep := h.Services.Report(c.ID); rep != nil {
		if i := slices.IndexFunc(rep.Services, func(s services.Service) bool { return view.ServiceID(s) == id }); i >= 0 {
			service = &rep.Services[i]
		}
	}
	if service == nil {
		r.Note("refused", "no such service")
		return chat.Answer{Now: view.Refused("This service is not there any more.", "Refresh the services.")}
	}
	r.Note("read", service.Name)
	h.Live.Close(r.Source)
	return h.fromGuest(r, view.Reading(c, "logs"), func(ctx context.Context) chat.Surface {
		lines, err := g.Logs(ctx, h.Target(ctx, c), service.Service)
		if err != nil {
			h.Log.WarnContext(ctx, "read logs", "request", r.ID, "container", c.ID, "node", c.Node, "vmid", c.VMID, "unit", service.Unit, "err", err)
			return h.panel(r, view.NoLogs(c, *service, guestKind(err), r.ID))
		}
		return h.panel(r, view.Logs(c, *service, lines, h.Now()))
	})
}

// fromGuest answers with what a guest has to say, after reading where that
// takes its time.
func (h *Handlers) fromGuest(r *Request, reading chat.Panel, ask func(context.Context) chat.Surface) chat.Answer {
	result := make(chan chat.Surface, 1)
	ctx, cancel := context.WithTimeout(context.Background(), guestTimeout)
	go func() {
		defer cancel()
		result <- ask(ctx)
	}()
	a := chat.Answer{InPlace: r.InPanel}
	timer := time.NewTimer(guestPatience)
	defer timer.Stop()
	select {
	case a.Now = <-result:
	case <-timer.C:
		a.Now = h.panel(r, reading)
		a.Then = func(ctx context.Context) (chat.Surface, error) {
			select {
			case s := <-result:
				return s, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return a
}

// panel is p where the person is in a panel, else a private message.
func (h *Handlers) panel(r *Request, p chat.Panel) chat.Surface {
	if r.InPanel {
		return p
	}
	return view.AsMessage(p)
}

// guestKind is what went wrong in a guest.
func guestKind(err error) guest.Kind {
	if e, ok := errors.AsType[*guest.Error](err); ok {
		return e.Kind
	}
	return guest.Timeout
}

// hostKey asks whether the key that a container shows is its own.
func (h *Handlers) hostKey(_ context.Context, r *Request) chat.Answer {
	rep := h.shownHostKey(r.Container.ID)
	if rep == nil {
		return chat.Answer{Now: view.HostKeyGone()}
	}
	h.Live.Close(r.Source)
	changed := rep.Problem == guest.HostKeyChanged
	return chat.Answer{Now: h.panel(r, view.TrustHostKey(r.Container, rep.HostKey, hostKeyToken(rep.HostKey), changed)), InPlace: r.InPanel}
}

// trust accepts the key that the person has seen, and no other.
func (h *Handlers) trust(ctx context.Context, r *Request) chat.Answer {
	rep := h.shownHostKey(r.Container.ID)
	if rep == nil || r.Arg != hostKeyToken(rep.HostKey) {
		r.Note("refused", "another key")
		return chat.Answer{Now: view.HostKeyGone()}
	}
	r.Note("trusted", guest.Fingerprint(rep.HostKey))
	if err := h.HostKeys.AcceptHostKey(ctx, r.Container.ID, rep.HostKey, r.Person.Key(), h.Now()); err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	return h.openDetail(ctx, r, tab{name: view.TabServices, filter: view.ShowServices, scan: true})
}

// shownHostKey is the report of a container that showed a key which is not
// trusted; nil where it did not.
func (h *Handlers) shownHostKey(id inventory.ID) *services.Report {
	if h.Services == nil || h.HostKeys == nil {
		return nil
	}
	rep := h.Services.Report(id)
	if rep == nil || rep.HostKey == "" {
		return nil
	}
	return rep
}

// hostKeyToken names a host key in a control.
func hostKeyToken(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// Target is where a container can be entered now: the leased address first,
// then what its configuration says.
func (h *Handlers) Target(ctx context.Context, c *inventory.Container) guest.Target {
	addrs, networks := h.details.reach(ctx, c)
	t := guest.Target{ID: string(c.ID), Node: c.Node, VMID: c.VMID}
	add := func(a netip.Addr) {
		if a = a.Unmap(); a.IsValid() && !a.IsLinkLocalUnicast() && !slices.Contains(t.Addrs, a) {
			t.Addrs = append(t.Addrs, a)
		}
	}
	for _, a := range addrs {
		add(a.Addr())
	}
	for _, n := range networks {
		for _, s := range []string{n.IP, n.IP6} {
			if p, err := netip.ParsePrefix(s); err == nil {
				add(p.Addr())
			}
		}
	}
	return t
}
