package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// pve is a cluster that says what it is told to; one that hangs never answers.
type pve struct {
	hangs bool
	may   proxmox.Permissions
}

func (p pve) Version(ctx context.Context) (proxmox.Version, error) {
	if p.hangs {
		<-ctx.Done()
		return proxmox.Version{}, &proxmox.TransportError{Method: "GET", URL: "https://pve1:8006", Sent: true, Err: ctx.Err()}
	}
	return proxmox.Version{Version: "9.2.2"}, nil
}
func (pve) Quorate(context.Context) (bool, error) { return true, nil }
func (p pve) Permissions(context.Context) (proxmox.Permissions, error) {
	return p.may, nil
}

func (pve) Resources(context.Context) (proxmox.Resources, error) {
	return proxmox.Resources{At: time.Now(), Nodes: []proxmox.Node{{Name: "pve1", Status: "online"}}}, nil
}

func (pve) Certificates(context.Context) map[string]time.Time {
	return map[string]time.Time{"pve1:8006": time.Now().AddDate(1, 0, 0)}
}

// platform is a chat of which everything is known but its rights.
type platform struct {
	rights chat.Rights
	err    error
}

func (platform) Name() chat.PlatformName                               { return chat.Slack }
func (p platform) Rights(context.Context, string) (chat.Rights, error) { return p.rights, p.err }

func everything(privileges ...string) map[string]bool {
	have := map[string]bool{}
	for _, p := range privileges {
		have[p] = true
	}
	return have
}

func states(r doctor.Report) map[string]doctor.State {
	list := map[string]doctor.State{}
	for _, c := range r.Checks {
		list[c.Name] = c.State
	}
	return list
}

// One thing that never answers holds nothing else up, and itself not for long.
func TestWhatHangsIsToldInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := doctor.New(doctor.Config{
			Clusters:  []doctor.Cluster{{Name: "home", Alone: true, API: pve{hangs: true}}},
			Platforms: []doctor.Platform{{Chat: platform{}, Ops: "C1"}},
			Tables: func(ctx context.Context) doctor.Tables {
				<-ctx.Done()
				return doctor.Tables{Problem: ctx.Err().Error(), Fix: "Look at it."}
			},
		})
		began := time.Now()
		r := d.Run(t.Context())
		if took := time.Since(began); took > 15*time.Second || r.Took != took {
			t.Errorf("it took %s, and says %s", took, r.Took)
		}
		want := map[string]doctor.State{"cluster/home": doctor.Bad, "database": doctor.Bad, "slack": doctor.Good, "ops/slack": doctor.Good, "ssh/home": doctor.Good}
		if diff := cmp.Diff(want, states(r)); diff != "" {
			t.Error(diff)
		}
		if c := r.Checks[0]; c.State != doctor.Bad || !strings.Contains(c.Detail, "pve1:8006 did not answer in time") {
			t.Errorf("the first is %+v", c)
		}
	})
}

// What the rules allow nobody is not missed.
func TestPrivilegesAreThoseThatTheRulesNeed(t *testing.T) {
	reader := func(p access.Permission) bool { return p == access.View }
	for name, c := range map[string]struct {
		may     proxmox.Permissions
		allowed func(access.Permission) bool
		want    map[string]doctor.State
	}{
		"a bot that only looks":    {proxmox.Permissions{"/": everything("VM.Audit", "Sys.Audit")}, reader, map[string]doctor.State{"privileges/home": doctor.Good}},
		"limited to a pool":        {proxmox.Permissions{"/": everything("Sys.Audit"), "/pool/prod": everything("VM.Audit")}, reader, map[string]doctor.State{"privileges/home": doctor.Good}},
		"limited to one container": {proxmox.Permissions{"/": everything("Sys.Audit"), "/vms/101": everything("VM.Audit")}, reader, map[string]doctor.State{"privileges/home": doctor.Good}},
		"a deeper entry that takes away": {
			proxmox.Permissions{"/": everything("VM.Audit", "Sys.Audit"), "/vms": everything("VM.Console")},
			reader,
			map[string]doctor.State{"privileges/home/VM.Audit": doctor.Bad},
		},
		"nothing for those who operate": {
			proxmox.Permissions{"/": everything("VM.Audit", "Sys.Audit")},
			func(p access.Permission) bool { return p == access.View || p == access.Operate },
			map[string]doctor.State{"privileges/home/VM.PowerMgmt": doctor.Bad},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := doctor.New(doctor.Config{Clusters: []doctor.Cluster{{Name: "home", API: pve{may: c.may}, TokenID: "a@pve!b", Allowed: c.allowed}}}).Run(t.Context())
			got := states(r)
			for name := range got {
				if !strings.HasPrefix(name, "privileges/") {
					delete(got, name)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The edges of the clocks; all from memory.
func TestClocksAreJudgedFromMemory(t *testing.T) {
	for skew, want := range map[time.Duration]doctor.State{
		0: "", 30 * time.Second: "", -30 * time.Second: "", 31 * time.Second: doctor.Warning, -5 * time.Minute: doctor.Warning, 301 * time.Second: doctor.Bad, -time.Hour: doctor.Bad,
	} {
		last := inventory.Cluster{Name: "home", At: time.Now(), Skew: skew, Nodes: []inventory.Node{{Name: "pve1", Online: true}}}
		d := doctor.New(doctor.Config{Clusters: []doctor.Cluster{{Name: "home", Last: func() inventory.Cluster { return last }}}})
		if got := states(d.Known())["clock/home"]; got != want {
			t.Errorf("%s apart: %q, want %q", skew, got, want)
		}
	}
}

// A connection that is down says so once, and is not asked over and over.
func TestAPlatformThatIsNotConnected(t *testing.T) {
	for name, c := range map[string]struct {
		health chat.Health
		rights platform
		state  doctor.State
		says   string
	}{
		"not connected":     {chat.Health{Detail: "nothing heard from Slack for 45s"}, platform{err: errors.New("must not be asked")}, doctor.Bad, "nothing heard"},
		"token refused":     {chat.Health{OK: true, Detail: "2 of 2 connections"}, platform{rights: chat.Rights{Refused: "app_token"}, err: errors.New("invalid_auth")}, doctor.Bad, "invalid_auth"},
		"a scope is gone":   {chat.Health{OK: true, Detail: "2 of 2 connections"}, platform{rights: chat.Rights{Missing: []string{"im:write"}, Without: "no direct messages"}}, doctor.Bad, "no direct messages"},
		"all of it is good": {chat.Health{OK: true, Detail: "2 of 2 connections"}, platform{rights: chat.Rights{Complete: true}}, doctor.Good, "2 of 2 connections · scopes complete"},
	} {
		p := doctor.Platform{Chat: c.rights, Health: func() chat.Health { return c.health }, Ops: "C1", Setting: "channels.ops.slack", Token: "slack.bot_token"}
		n := 0
		for _, l := range doctor.New(doctor.Config{Platforms: []doctor.Platform{p}}).Run(t.Context()).Checks {
			if l.Name == "slack" {
				n++
				if l.State != c.state || !strings.Contains(l.Detail, c.says) || (l.Fix == "") != (c.state == doctor.Good) {
					t.Errorf("%s: %+v", name, l)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d lines", name, n)
		}
	}
}

// A role reaches a path from above, unless the path has an entry of its own.
func TestTheGrantReachesThePath(t *testing.T) {
	all := everything("Sys.Audit", "VM.Console")
	for name, c := range map[string]struct {
		may proxmox.Permissions
		acl bool
	}{
		"inherited":           {proxmox.Permissions{"/": all, "/vms": all}, false},
		"an entry of its own": {proxmox.Permissions{"/": all, "/vms": everything("VM.Console")}, true},
		"nothing there":       {proxmox.Permissions{"/": everything("Sys.Audit")}, true},
	} {
		reader := func(p access.Permission) bool { return p == access.View }
		r := doctor.New(doctor.Config{Clusters: []doctor.Cluster{{Name: "home", API: pve{may: c.may}, TokenID: "a@pve!b", Allowed: reader}}}).Run(t.Context())
		want := "pveum role modify pvechat --append 1 --privs VM.Audit"
		if c.acl {
			want += " && pveum acl modify /vms --users a@pve --roles pvechat && pveum acl modify /vms --tokens 'a@pve!b' --roles pvechat"
		}
		if got := r.Checks[0]; got.Name != "privileges/home/VM.Audit" || got.Command != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}
