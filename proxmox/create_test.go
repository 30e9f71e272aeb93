package proxmox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// homelab is a client of the demo's cluster.
func homelab(t *testing.T) (*Client, *proxmoxtest.Server) {
	t.Helper()
	s := proxmoxtest.New(proxmoxtest.Options{Plain: true})
	proxmoxtest.Populate(s, proxmoxtest.HomelabSize)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{Name: "home", URLs: []string{s.URL()}, TokenID: "bot@pve!chat", TokenSecret: "token-secret", Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseIdleConnections(); s.Close() })
	return c, s
}

func TestWhatANewContainerCanBeMadeOf(t *testing.T) {
	c, _ := homelab(t)
	ctx := t.Context()
	templates, err := c.OSTemplates(ctx, "pve1", "local")
	if err != nil || len(templates) != 5 || templates[0].ID != "local:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz" || templates[0].Size != 3<<20 {
		t.Errorf("templates %+v, %v", templates, err)
	}
	offered, err := c.Appliances(ctx, "pve1")
	if err != nil || len(offered) < 26 || offered[3].OS != "archlinux" || offered[1].Section != "system" {
		t.Errorf("appliances %+v, %v", offered, err)
	}
	if bridges, err := c.Bridges(ctx, "pve1"); err != nil || !cmp.Equal(bridges, []string{"vmbr0"}) {
		t.Errorf("bridges %v, %v", bridges, err)
	}
	if id, err := c.NextID(ctx); err != nil || id != 100 {
		t.Errorf("next id %d, %v", id, err)
	}
}

func TestAContainerIsMadeOnce(t *testing.T) {
	c, s := homelab(t)
	n := gitea()
	n.Password, n.Tags = "very-secret", []string{"web", "dev"}
	upid, err := c.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	task, err := s.AwaitTask(t.Context(), func(t proxmoxtest.Task) bool { return t.UPID == string(upid) && !t.Running() })
	if err != nil || task.Exit != "OK" {
		t.Fatalf("%+v, %v", task, err)
	}
	if made, ok := s.Container(150); !ok || made.Name != "gitea" || made.Tags != "web;dev" || !made.Unprivileged || made.Running {
		t.Errorf("made %+v", made)
	}
	if _, err := c.Create(t.Context(), n); !errors.Is(err, ErrExists) {
		t.Errorf("a second one: %v", err)
	} else if strings.Contains(err.Error(), "very-secret") {
		t.Errorf("the password is in %v", err)
	}
	upid, err = c.Download(t.Context(), "pve1", "local", "archlinux-base_20250901-1_amd64.tar.zst")
	if err != nil || upid.Node() != "pve1" {
		t.Errorf("download %s, %v", upid, err)
	}
}

func TestACreationIsNeverSentTwice(t *testing.T) {
	for is, answer := range map[string]string{"an error": raw("500 something", ""), "no answer": ""} {
		sent := 0
		n := &network{hosts: map[string]host{
			"pve1": func(*http.Request) string { sent++; return answer },
			"pve2": func(*http.Request) string { sent++; return answer },
		}}
		if _, err := n.client(t, "pve1", "pve2").Create(t.Context(), gitea()); err == nil || sent != 1 {
			t.Errorf("%s: sent %d times, %v", is, sent, err)
		}
	}
}

func TestWhatNeedNotBeSent(t *testing.T) {
	for is, spoil := range map[string]func(*NewContainer){
		"no template":            func(n *NewContainer) { n.OSTemplate = "" },
		"a VMID below 100":       func(n *NewContainer) { n.VMID = 99 },
		"no storage":             func(n *NewContainer) { n.Storage = "" },
		"more than one property": func(n *NewContainer) { n.Bridge = "vmbr0,firewall=0" },
	} {
		n := gitea()
		spoil(&n)
		c, s := homelab(t)
		if _, err := c.Create(context.Background(), n); !NotSent(err) || s.Count("POST", "/nodes/*/lxc") != 0 {
			t.Errorf("%s: %v", is, err)
		}
	}
}
