package handlers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
		{Name: "keep", Needs: access.Credentials, Container: true, Audited: true, Handle: h.keep},
		{Name: "hide", Needs: access.Credentials, Container: true, Handle: h.hide},
	}
}

// Vault keeps credentials that people enter; *seal.Vault does.
type Vault interface {
	CanKeep() bool
	Keep(ctx context.Context, container, service, key string, value chat.Secret) error // an empty value removes it
	Kept(ctx context.Context, container string) ([]guest.CredentialSet, error)
}

// credentials fetches values from the container, and those that somebody
// entered, and shows them to the person who asked. Nothing else keeps them.
func (h *Handlers) credentials(ctx context.Context, r *Request) chat.Answer {
	c, service := r.Container, r.Options["service"]
	g, ok := h.Guests[c.Cluster]
	if kept, err := h.kept(ctx, c, ""); err == nil && len(kept) > 0 && (!ok || c.State != inventory.Running) {
		g = nil // what was entered can be shown all the same
	} else if !ok {
		r.Note("refused", "no ssh")
		return chat.Answer{Now: view.Refused("Credentials cannot be read here.", "pvechat has no SSH access to cluster "+c.Cluster+": an admin can set clusters[].ssh.")}
	} else if c.State != inventory.Running {
		r.Note("refused", "not running")
		return chat.Answer{Now: view.Refused(c.DisplayName()+" is not running.", "Its credentials lie inside it; start it first.")}
	}
	r.Note("revealed", cmp.Or(service, "all services"))
	result := make(chan fetched, 1)
	fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guestTimeout)
	go func() {
		defer cancel()
		f := h.fetch(fetchCtx, g, c, service)
		result <- f
		if h.Services != nil && errors.Is(f.err, guest.HostKeyChanged) {
			_, _ = h.Services.Scan(fetchCtx, c) // it tells whom it concerns
		}
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
			why, _ := view.GuestTrouble(guestKind(f.err))
			r.Note("failed", why)
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
	sets   []view.Credentials
	err    error
	locked bool // what was entered cannot be opened
}

// fetch reads credentials at the container's present address, and those that
// somebody entered. Without a guest only these.
func (h *Handlers) fetch(ctx context.Context, g Guest, c *inventory.Container, service string) fetched {
	var got fetched
	if g != nil {
		var found []guest.CredentialSet
		var further []guest.CredentialFile
		if h.CredentialFiles != nil {
			further = h.CredentialFiles(c)
		}
		found, got.err = g.Credentials(ctx, h.Target(ctx, c), service, further...)
		got.sets = shown(found, false)
	}
	kept, err := h.kept(ctx, c, service)
	if err != nil {
		h.Log.ErrorContext(ctx, "open what was entered", "container", c.ID, "err", err)
		got.locked = true
	}
	got.sets = append(got.sets, shown(kept, true)...)
	return got
}

// kept are the credentials of a container that somebody entered, of one service
// or of all.
func (h *Handlers) kept(ctx context.Context, c *inventory.Container, service string) ([]guest.CredentialSet, error) {
	if h.Vault == nil {
		return nil, nil
	}
	sets, err := h.Vault.Kept(ctx, string(c.ID))
	return slices.DeleteFunc(sets, func(s guest.CredentialSet) bool { return service != "" && s.Service != service }), err
}

func shown(sets []guest.CredentialSet, entered bool) []view.Credentials {
	var list []view.Credentials
	for _, set := range sets {
		vs := view.Credentials{Service: set.Service, Entered: entered}
		for _, v := range set.Values {
			vs.Values = append(vs.Values, view.Credential{Key: v.Key, Value: chat.NewSecret(v.Value.Reveal())})
		}
		list = append(list, vs)
	}
	return list
}

// keep asks for a value, and seals it.
func (h *Handlers) keep(ctx context.Context, r *Request) chat.Answer {
	if h.Vault == nil || !h.Vault.CanKeep() {
		r.Note("refused", "no key set")
		return chat.Answer{Now: view.Refused("Nothing can be kept.", "It takes a key set: an admin can set keyset_file.")}
	}
	if r.Kind != chat.Submitted {
		r.Note("asked", "")
		return chat.Answer{Now: view.KeepForm(r.Container)}
	}
	service, key, value := strings.TrimSpace(r.Values["service"]), strings.TrimSpace(r.Values["key"]), r.Values["value"]
	if wrong := guest.CheckCredential(service, key, value); len(wrong) > 0 {
		r.Note("refused", "it breaks the contract")
		return chat.Answer{Errors: wrong, Now: view.KeepForm(r.Container)}
	}
	if err := h.Vault.Keep(ctx, string(r.Container.ID), service, key, chat.NewSecret(value)); err != nil {
		return h.databaseTrouble(ctx, r, err)
	}
	if value == "" {
		r.Note("removed", service+" "+key)
	} else {
		r.Note("entered", service+" "+key)
	}
	return chat.Answer{Now: view.Kept(r.Container, service, key, value == "")}
}

// reveal makes a surface of what a guest answered; good is false where it is
// the reason why there is nothing to see.
func (h *Handlers) reveal(ctx context.Context, r *Request, f fetched) (s chat.Surface, good bool) {
	c := r.Container
	if f.err != nil {
		// Files that could be read are shown all the same.
		h.Log.WarnContext(ctx, "read credentials", "request", r.ID, "container", c.ID, "node", c.Node, "vmid", c.VMID, "err", f.err)
		if len(f.sets) > 0 {
			return h.revealed(r, f), true
		}
		why, do := view.GuestTrouble(guestKind(f.err))
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
	if len(f.sets) == 0 && !f.locked {
		return h.surface(r, view.AsPanel(view.Refused(c.DisplayName()+" keeps no credentials.", "There is nothing in /etc/pvechat/credentials."), "Credentials")), true
	}
	return h.revealed(r, f), true
}

func (h *Handlers) revealed(r *Request, f fetched) chat.Surface {
	return h.surface(r, view.Revealed(r.Container, f.sets, view.RevealNotes{
		Hides: r.InPanel || r.CanExpire, Keeps: h.Vault != nil && h.Vault.CanKeep(), Locked: f.locked,
	}, h.Now()))
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

// hide takes values back at once.
func (h *Handlers) hide(_ context.Context, r *Request) chat.Answer {
	if r.InPanel && r.Space.ControlsFirst {
		return chat.Answer{Now: view.Hidden(r.Container), InPlace: true}
	}
	return chat.Answer{Close: true}
}
