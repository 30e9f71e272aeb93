package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// guestPatience is how long a click waits for a guest before it says that it
// is still reading.
const guestPatience = 1200 * time.Millisecond

// guestTimeout is how long reading credentials may take at all.
const guestTimeout = 20 * time.Second

func (h *Handlers) credentialsRoutes() []Route {
	return []Route{
		{
			Name: "credentials", Aliases: []string{"cred"}, Needs: access.Credentials, Container: true, Audited: true, Handle: h.credentials,
			Command: &chat.Command{Name: "credentials", Summary: "show a container's credentials, to you alone", Options: []chat.Option{
				nameOption, {Name: "service", Summary: "of this service only"},
			}},
		},
		{Name: "hide", Needs: access.Credentials, Container: true, Handle: h.hide},
	}
}

// credentials fetches values from the container and shows them to the person
// who asked. Nothing keeps them.
func (h *Handlers) credentials(ctx context.Context, r *Request) chat.Answer {
	c, service := r.Container, r.Options["service"]
	g, ok := h.Guests[c.Cluster]
	switch {
	case !ok:
		r.Note("refused", "no ssh")
		return chat.Answer{Now: view.Refused("Credentials cannot be read here.", "pvechat has no SSH access to cluster "+c.Cluster+": an admin can set clusters[].ssh.")}
	case c.State != inventory.Running:
		r.Note("refused", "not running")
		return chat.Answer{Now: view.Refused(c.DisplayName()+" is not running.", "Its credentials lie inside it; start it first.")}
	}
	r.Note("revealed", cmp.Or(service, "all services"))
	result := make(chan fetched, 1)
	fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guestTimeout)
	go func() {
		defer cancel()
		result <- h.fetch(fetchCtx, g, c, service)
	}()
	a := chat.Answer{InPlace: r.InPanel && isHidden(r), Expire: view.HideAfter}
	if r.InPanel {
		a.After = view.Hidden(c)
	}
	timer := time.NewTimer(guestPatience)
	defer timer.Stop()
	select {
	case f := <-result:
		var good bool
		if a.Now, good = h.reveal(ctx, r, f); !good {
			r.Note("failed", f.err.Error())
			a.Expire, a.After = 0, nil
		}
	case <-timer.C:
		a.Now = h.surface(r, view.Reading(c, "credentials"))
		a.Then = func(ctx context.Context) (chat.Surface, error) {
			select {
			case f := <-result:
				s, _ := h.reveal(ctx, r, f)
				return s, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return a
}

// isHidden reports whether the press came from the panel that stands where
// values were.
func isHidden(r *Request) bool { return r.State == "" }

// fetched is what a guest answered.
type fetched struct {
	sets []view.Credentials
	err  error
}

// fetch reads credentials at the container's present address.
func (h *Handlers) fetch(ctx context.Context, g Guest, c *inventory.Container, service string) fetched {
	f, fresh := h.details.get(c.ID)
	if !fresh || len(f.addrs) == 0 {
		f = h.details.read(ctx, c)
	}
	t := guest.Target{Node: c.Node, VMID: c.VMID}
	add := func(a netip.Addr) {
		if a.IsValid() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			t.Addrs = append(t.Addrs, a)
		}
	}
	for _, p := range f.addrs {
		add(p.Addr())
	}
	if f.config != nil && len(t.Addrs) == 0 {
		for _, n := range f.config.Networks {
			for _, s := range []string{n.IP, n.IP6} {
				if p, err := netip.ParsePrefix(s); err == nil {
					add(p.Addr())
				}
			}
		}
	}
	found, err := g.Credentials(ctx, t, service)
	got := fetched{err: err}
	for _, set := range found {
		vs := view.Credentials{Service: set.Service}
		for _, v := range set.Values {
			vs.Values = append(vs.Values, view.Credential{Key: v.Key, Value: chat.NewSecret(v.Value.Reveal())})
		}
		got.sets = append(got.sets, vs)
	}
	return got
}

// reveal makes a surface of what a guest answered; good is false where it is
// the reason why there is nothing to see.
func (h *Handlers) reveal(ctx context.Context, r *Request, f fetched) (s chat.Surface, good bool) {
	c := r.Container
	if f.err != nil {
		// Files that could be read are shown all the same.
		h.Log.WarnContext(ctx, "read credentials", "request", r.ID, "container", c.ID, "node", c.Node, "vmid", c.VMID, "err", f.err)
		if len(f.sets) > 0 {
			return h.surface(r, view.Revealed(c, f.sets, r.InPanel || r.CanExpire, h.Now())), true
		}
		why, do := guestTrouble(f.err)
		m := view.Trouble{
			What: "Could not read the credentials of " + c.DisplayName(), Why: why, Now: "Nothing was shown.", Do: do,
			Place: fmt.Sprintf("CT %d · %s", c.VMID, c.Node), Request: r.ID,
			Again: &chat.Button{ID: view.ID(c.ID, "cred"), Label: "Try again"},
		}.Message()
		if r.InPanel {
			return view.AsPanel(m, "Credentials"), false
		}
		return m, false
	}
	if len(f.sets) == 0 {
		return h.surface(r, view.AsPanel(view.Refused(c.DisplayName()+" keeps no credentials.", "There is nothing in /etc/pvechat/credentials."), "Credentials")), true
	}
	return h.surface(r, view.Revealed(c, f.sets, r.InPanel || r.CanExpire, h.Now())), true
}

// surface is a panel where the person is in one, else a private message.
func (h *Handlers) surface(r *Request, p chat.Panel) chat.Surface {
	if r.InPanel {
		return p
	}
	m := view.AsMessage(p)
	if p.ID == "cred" {
		m.Summary = view.RevealedSummary(r.Container)
	}
	return m
}

// guestTrouble says in words why a guest could not be read, and what to do.
func guestTrouble(err error) (why, do string) {
	var ge *guest.Error
	if !errors.As(err, &ge) {
		return "It did not answer in time.", "Try again in a minute."
	}
	switch ge.Kind {
	case guest.NoAddress:
		return "It has no address that can be reached", "Look at its network in Overview."
	case guest.NoRoute:
		return "There is no route to it", "Look at its network, and at pvechat's."
	case guest.Refused:
		return "It refuses SSH connections", "Start sshd in it, or look at ssh.port in the configuration."
	case guest.Timeout:
		return "It did not answer over SSH in time", "Try again in a minute."
	case guest.Auth:
		return "It does not accept pvechat's SSH key", "Add pvechat's public key to its authorized_keys."
	case guest.DNS:
		return "Its name could not be resolved", "Look at the name server."
	case guest.Broken:
		return "The SSH connection broke off", "Try again; if it stays, look at sshd in it."
	case guest.HostKeyUnknown:
		return "Its SSH host key is not known", "An admin has to add it to the known hosts file."
	case guest.HostKeyChanged:
		return "Its SSH host key has changed", "Nothing was sent to it. An admin has to look why, then correct the known hosts file."
	case guest.NoCredentials:
		return "There are none for this in /etc/pvechat/credentials", "Look at the service's name; without one, all are shown."
	case guest.BadCredentials:
		return "What lies in /etc/pvechat/credentials cannot be read", "See docs/credentials.md for the form."
	}
	return "It answered something that pvechat does not understand", "Give the id to your admin."
}

// hide takes values back at once.
func (h *Handlers) hide(_ context.Context, r *Request) chat.Answer {
	if r.InPanel && r.Space.ControlsFirst {
		return chat.Answer{Now: view.Hidden(r.Container), InPlace: true}
	}
	return chat.Answer{Close: true}
}
