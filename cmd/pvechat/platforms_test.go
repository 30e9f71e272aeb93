package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// check is a line of /readyz.
type check struct {
	Name   string
	OK     bool
	Detail string
}

func readyz(t *testing.T, p *daemontest.Process) (status int, checks map[string]check) {
	t.Helper()
	res, err := http.Get("http://" + p.Address + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var body struct{ Checks []check }
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	checks = map[string]check{}
	for _, c := range body.Checks {
		checks[c.Name] = c
	}
	return res.StatusCode, checks
}

// revoke makes the bot's token on a platform worthless, or good again.
func revoke(w *daemontest.World, on daemontest.Platform, revoked bool) {
	switch {
	case on == daemontest.Discord:
		w.Discord.ResetToken(revoked)
	case revoked:
		w.Slack.AuthError("token_revoked")
		w.Slack.Disconnect("")
	default:
		w.Slack.AuthError("")
	}
}

func TestOnePlatformsTokenIsRevoked(t *testing.T) {
	binary, err := daemontest.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for broken, other := range map[daemontest.Platform]daemontest.Platform{
		daemontest.Slack: daemontest.Discord, daemontest.Discord: daemontest.Slack,
	} {
		name := map[daemontest.Platform]string{daemontest.Slack: "Slack", daemontest.Discord: "Discord"}[broken]
		t.Run(name+", and the other goes on", func(t *testing.T) {
			w := daemontest.New(t, proxmoxtest.Options{})
			w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
			ana := w.Person(other, "Ana", "admin")
			p := w.Start(binary)
			revoke(w, broken, true)
			ana.Sees("pvechat is cut off from "+name, string(broken)+".", "restart pvechat")
			ana.Command("dashboard")
			ana.Sees("web running")
			status, checks := readyz(t, p)
			lost := checks[string(broken)]
			if status != http.StatusServiceUnavailable || lost.OK || !strings.Contains(lost.Detail, string(broken)+".") || !checks[string(other)].OK {
				t.Errorf("/readyz is %d: %+v", status, checks)
			}
			if n := ana.Count("pvechat is cut off"); n != 1 {
				t.Errorf("told %d times", n)
			}

			revoke(w, broken, false)
			p.Kill()
			w.Start(binary)
			ana.Sees("Resolved: " + name + " works again")
		})
		t.Run(name+" is the only one", func(t *testing.T) {
			w := daemontest.New(t, proxmoxtest.Options{})
			w.Off = other
			p := w.Start(binary)
			revoke(w, broken, true)
			if code := p.Exit(); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
		})
	}
}
