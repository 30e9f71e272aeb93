package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// diagnosis is what pvechat doctor --json prints.
type diagnosis struct {
	OK     bool
	Checks []doctorLine
}

func diagnose(t *testing.T, file string) (code int, d diagnosis) {
	t.Helper()
	code, out, stderr := pvechat(t, "doctor", "--json", "-c", file)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, stderr)
	}
	for _, secret := range []string{"pve-secret", "xoxb-test", "xapp-test", "test-token"} {
		if strings.Contains(out+stderr, secret) {
			t.Errorf("it prints a secret:\n%s%s", out, stderr)
		}
	}
	return code, d
}

// wrong are the names of the lines that are not good, with their states.
func (d diagnosis) wrong() []string {
	var list []string
	for _, c := range d.Checks {
		if c.State != "good" {
			list = append(list, string(c.State)+" "+c.Name)
		}
	}
	slices.Sort(list)
	return list
}

func (d diagnosis) line(name string) doctorLine {
	for _, c := range d.Checks {
		if c.Name == name {
			return c
		}
	}
	return doctorLine{}
}

// well is a world in which everything is as it should be, with its tables made.
func well(t *testing.T, o proxmoxtest.Options) *daemontest.World {
	t.Helper()
	w := daemontest.New(t, o)
	w.PVE.AddNode("pve2")
	w.PVE.AddNode("pve3")
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	w.Guests, w.Keys = &guesttest.Server{Errorf: t.Errorf}, true
	w.Person(daemontest.Slack, "Ana", "admin")
	if code, _, stderr := pvechat(t, "migrate", "-c", w.Config()); code != 0 {
		t.Fatal(stderr)
	}
	return w
}

func TestTheDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	w := well(t, proxmoxtest.Options{})
	before := len(w.PVE.Requests())
	code, d := diagnose(t, w.Config())
	if code != 0 || !d.OK || len(d.wrong()) > 0 {
		t.Errorf("exit %d, %+v", code, d)
	}
	for name, fact := range map[string]string{
		"cluster/home": "quorate, 3 of 3 nodes", "privileges/home": "all", "database": "no drift", "secrets": "nothing sealed yet",
		"slack": "scopes complete", "discord": "token accepted", "ssh/home": "readable by nobody else", "templates": "read",
	} {
		if c := d.line(name); c.State != "good" || !strings.Contains(c.Detail, fact) || c.Fix != "" {
			t.Errorf("%s: %+v, want %q", name, c, fact)
		}
	}
	for _, r := range w.PVE.Requests()[before:] {
		if r.Method != "GET" {
			t.Errorf("it asked for %s %s", r.Method, r.Path)
		}
	}

	// For a person at a terminal; beside a running bot.
	w.Run()
	code, out, _ := pvechat(t, "doctor", "-c", w.Config())
	if code != 0 || !strings.Contains(out, "good     Proxmox: 9.2.2") || !strings.Contains(out, "key opens the test row") || !strings.Contains(out, "0 wrong") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	w.Correct()
}

func TestTheDoctorNamesEachFault(t *testing.T) {
	without := func(privileges ...string) map[string][]string {
		return map[string][]string{"/": slices.DeleteFunc(proxmoxtest.Administrator(), func(p string) bool { return slices.Contains(privileges, p) })}
	}
	for name, c := range map[string]struct {
		options proxmoxtest.Options
		fault   func(t *testing.T, w *daemontest.World)
		old     string // in the configuration
		with    string
		wants   []string // all that is not good
		line    string
		says    string
		fix     string
	}{
		"a privilege to act is missing": {
			fault: func(_ *testing.T, w *daemontest.World) {
				w.PVE.Token(daemontest.Token, "pve-secret", without("VM.PowerMgmt"))
			},
			wants: []string{"bad privileges/home/VM.PowerMgmt"},
			line:  "privileges/home/VM.PowerMgmt", says: "start, shut down, restart and stop are refused", fix: "pveum role modify pvechat --append 1 --privs VM.PowerMgmt",
		},
		"no role at all": {
			fault: func(_ *testing.T, w *daemontest.World) {
				w.PVE.Token(daemontest.Token, "pve-secret", map[string][]string{"/": {"Sys.Audit"}, "/vms": {}})
			},
			wants: []string{
				"bad privileges/home/Datastore.AllocateSpace", "bad privileges/home/SDN.Use", "bad privileges/home/VM.Allocate", "bad privileges/home/VM.Audit",
				"bad privileges/home/VM.Config.CPU", "bad privileges/home/VM.PowerMgmt", "warning privileges/home/Datastore.AllocateTemplate", "warning privileges/home/Datastore.Audit",
			},
			line: "privileges/home/VM.Audit", says: "no container is seen", fix: "pveum acl modify /vms --tokens 'pvechat@pve!bot' --roles pvechat",
		},
		"nodes are not seen well": {
			fault: func(_ *testing.T, w *daemontest.World) {
				w.PVE.Token(daemontest.Token, "pve-secret", without("Sys.Audit"))
			},
			wants: []string{"warning privileges/home/Sys.Audit"}, line: "privileges/home/Sys.Audit", says: "quorum", fix: "--privs Sys.Audit",
		},
		"a node is down": {
			fault: func(_ *testing.T, w *daemontest.World) { w.PVE.SetNode("pve3", false) },
			wants: []string{"bad node/home/pve3"}, line: "node/home/pve3", says: "Node pve3 does not answer", fix: "power and network",
		},
		"no quorum": {
			fault: func(_ *testing.T, w *daemontest.World) { w.PVE.Quorum(false) },
			wants: []string{"bad quorum/home"}, line: "quorum/home", says: "has no quorum", fix: "more than half",
		},
		"the token is refused": {
			old: "token_secret: pve-secret", with: "token_secret: pve-wrong",
			wants: []string{"bad cluster/home"}, line: "cluster/home", says: "refuses the token", fix: "pveum user token list pvechat@pve",
		},
		"nothing listens": { // at that address nobody does, whoever gets the port
			old: "urls: [\"https://127.0.0.1:", with: "urls: [\"https://127.0.0.2:",
			wants: []string{"bad cluster/home"}, line: "cluster/home", says: "refused the connection", fix: "systemctl status pveproxy",
		},
		"another certificate": {
			old: "fingerprints: [\"", with: "fingerprints: [\"" + strings.Repeat("AB:", 31) + "AB\"]} #",
			wants: []string{"bad cluster/home"}, line: "cluster/home", says: "another certificate", fix: "add it to fingerprints of home",
		},
		"a certificate that ends": {
			fault: func(t *testing.T, w *daemontest.World) {
				if err := w.PVE.EndCertificate(time.Now().Add(9 * 24 * time.Hour)); err != nil {
					t.Fatal(err)
				}
			},
			wants: []string{"warning certificate/home"}, line: "certificate/home", says: "expires soon", fix: "pvecm updatecerts",
		},
		"a certificate that has ended": {
			fault: func(t *testing.T, w *daemontest.World) {
				if err := w.PVE.EndCertificate(time.Now().Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
			},
			wants: []string{"bad certificate/home"}, line: "certificate/home", says: "has expired", fix: "pvecm updatecerts",
		},
		"clocks that differ": {
			options: proxmoxtest.Options{Now: func() time.Time { return time.Now().Add(2 * time.Minute) }},
			wants:   []string{"warning clock/home"}, line: "clock/home", says: "ahead of ours", fix: "timedatectl",
		},
		"clocks that differ much": {
			options: proxmoxtest.Options{Now: func() time.Time { return time.Now().Add(-20 * time.Minute) }},
			wants:   []string{"bad clock/home"}, line: "clock/home", says: "behind ours", fix: "timedatectl",
		},
		"a token that expires": {
			old: "token_id: pvechat@pve!bot,", with: "token_id: pvechat@pve!bot, token_expires: \"" + time.Now().Format(time.DateOnly) + "\",",
			wants: []string{"bad token/home"}, line: "token/home", says: "has expired", fix: "pveum user token modify pvechat@pve bot --expire",
		},
		"Slack refuses the token": {
			old: "bot_token: xoxb-test", with: "bot_token: xoxb-wrong",
			wants: []string{"bad slack"}, line: "slack", says: "refuses the token", fix: "slack.bot_token",
		},
		"Discord refuses the token": {
			old: "bot_token: test-token", with: "bot_token: wrong-token",
			wants: []string{"bad discord"}, line: "discord", says: "refuses the token", fix: "discord.bot_token",
		},
		"an ops channel without the bot": {
			fault: func(_ *testing.T, w *daemontest.World) { w.AddPrivateChannel(daemontest.Ops) },
			wants: []string{"bad ops/discord", "bad ops/slack"}, line: "ops/slack", says: "pvechat is not in it", fix: "type /invite @pvechat in it, or name another one as channels.ops.slack",
		},
		"an ops channel that is archived": {
			fault: func(_ *testing.T, w *daemontest.World) { w.Slack.Archive("C00000001") },
			wants: []string{"bad ops/slack"}, line: "ops/slack", says: "it is archived", fix: "Unarchive that channel, or name another one as channels.ops.slack",
		},
		"an ops channel where the bot may not write": {
			fault: func(_ *testing.T, w *daemontest.World) { w.AddChannel(daemontest.Ops, false) },
			wants: []string{"bad ops/discord", "bad ops/slack"}, line: "ops/discord", says: "pvechat lacks Send Messages there (50013)",
			fix: "Allow pvechat Send Messages in that channel's permissions, or name another one as channels.ops.discord",
		},
		"nobody is told": {
			old: "channels: {ops: {", with: "channels: {} #",
			wants: []string{"warning ops/discord", "warning ops/slack"}, line: "ops/discord", says: "channels.ops.discord is not set", fix: "Set channels.ops.discord",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := well(t, c.options)
			if c.fault != nil {
				c.fault(t, w)
			}
			file := w.Config()
			if c.old != "" {
				file = edited(t, w, c.old, c.with)
			}
			code, d := diagnose(t, file)
			got := d.wrong()
			for i := range got { // hosts have ports of their own
				got[i] = regexp.MustCompile(`/127\.0\.0\.1:\d+$`).ReplaceAllString(got[i], "")
			}
			if !slices.Equal(got, c.wants) {
				t.Errorf("not good: %q, want %q\n%+v", got, c.wants, d.Checks)
			}
			bad := slices.ContainsFunc(c.wants, func(s string) bool { return strings.HasPrefix(s, "bad") })
			if bad == d.OK || bad != (code == exitFailed) {
				t.Errorf("exit %d, ok %v", code, d.OK)
			}
			for _, l := range d.Checks {
				if strings.HasPrefix(l.Name, c.line) && (l.State != "good") && (!strings.Contains(l.Detail, c.says) || !strings.Contains(l.Fix, c.fix)) {
					t.Errorf("%+v\nwant %q, fix %q", l, c.says, c.fix)
				}
			}
			w.Correct()
		})
	}
}

// What the doctor says to run puts it right.
func TestTheDoctorsFixIsRight(t *testing.T) {
	w := well(t, proxmoxtest.Options{})
	have := []string{"Sys.Audit"}
	w.PVE.Token(daemontest.Token, "pve-secret", map[string][]string{"/": have})
	_, d := diagnose(t, w.Config())
	grant := regexp.MustCompile(`role modify pvechat --append 1 --privs (\S+)`)
	granted := 0
	for _, c := range d.Checks {
		if m := grant.FindStringSubmatch(c.Fix); m != nil {
			have, granted = append(have, strings.Split(m[1], ",")...), granted+1
		}
	}
	if granted != 8 {
		t.Fatalf("%d are to be granted: %+v", granted, d.Checks)
	}
	w.PVE.Token(daemontest.Token, "pve-secret", map[string][]string{"/": have})
	if code, d := diagnose(t, w.Config()); code != 0 {
		t.Errorf("exit %d, %q", code, d.wrong())
	}
}

func TestASlackAppWithoutAScopeIsToldWhichAndWhatFor(t *testing.T) {
	narrow := slacktest.New(slacktest.Options{Scopes: []string{"commands", "chat:write", "users:read", "channels:read"}})
	if err := narrow.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(narrow.Close)
	w := well(t, proxmoxtest.Options{})
	code, d := diagnose(t, edited(t, w, w.Slack.APIURL(), narrow.APIURL()))
	c := d.line("slack")
	if code != exitFailed || c.State != "bad" || !strings.Contains(c.Detail, "lacks im:write") || !strings.Contains(c.Detail, "direct messages") || !strings.Contains(c.Fix, "install the app") {
		t.Errorf("exit %d: %+v", code, c)
	}
}

// D11
func TestTheDoctorTellsOfDriftAndWhatIsPending(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, _ *daemontest.Person) {
		if _, d := diagnose(t, w.Config()); d.line("database").State == "good" {
			t.Errorf("without tables: %+v", d.line("database"))
		}
		w.Run()()
		execute(t, w, `ALTER TABLE containers DROP COLUMN hostname`)
		code, d := diagnose(t, w.Config())
		if c := d.line("database"); code != exitFailed || c.State != "bad" || !strings.Contains(c.Detail, "containers lacks column hostname") || !strings.Contains(c.Fix, "pvechat migrate --repair") {
			t.Errorf("exit %d: %+v", code, c)
		}
		if code, _, stderr := pvechat(t, "migrate", "--repair", "-c", w.Config()); code != 0 {
			t.Fatal(stderr)
		}
		if code, d := diagnose(t, w.Config()); code != 0 {
			t.Errorf("exit %d after the repair: %q", code, d.wrong())
		}
	})
}

func TestFilesThatAreNotAsTheyShouldBe(t *testing.T) {
	w := well(t, proxmoxtest.Options{})
	w.Run()() // seals the canary
	raw, err := os.ReadFile(w.Config())
	if err != nil {
		t.Fatal(err)
	}
	key := regexp.MustCompile(`key_file: "([^"]+)"`).FindStringSubmatch(string(raw))[1]
	keyset := regexp.MustCompile(`keyset_file: "([^"]+)"`).FindStringSubmatch(string(raw))[1]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.yaml"), []byte("wrong: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := write(t, string(raw)+"templates_dir: "+dir+"\n")
	for _, f := range []string{key, keyset} {
		if err := os.Chmod(f, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, d := diagnose(t, file)
	want := []string{"bad secrets", "bad ssh/home", "warning templates"}
	if got := d.wrong(); code != exitFailed || !slices.Equal(got, want) {
		t.Errorf("exit %d, not good: %q, want %q", code, got, want)
	}
	for name, fix := range map[string]string{"secrets": "chmod 600 " + keyset, "ssh/home": "chmod 600 " + key} {
		if c := d.line(name); !strings.Contains(c.Fix, fix) {
			t.Errorf("%+v, want %q", c, fix)
		}
	}
	if c := d.line("templates"); !strings.Contains(c.Detail, "mine.yaml") {
		t.Errorf("it does not name the file: %+v", c)
	}

	// A key set of another database.
	if err := os.Remove(keyset); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := pvechat(t, "keys", "add", "-c", file); code != 0 {
		t.Fatal(stderr)
	}
	if _, d := diagnose(t, file); d.line("secrets").State != "bad" || !strings.Contains(d.line("secrets").Detail, "not the one that the database was used with") {
		t.Errorf("%+v", d.line("secrets"))
	}
}

func TestTheDoctorTellsOfADatabaseThatIsNotThere(t *testing.T) {
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			w := daemontest.New(t, proxmoxtest.Options{})
			w.Person(daemontest.Slack, "Ana", "admin")
			w.Database = "sqlite:" + filepath.Join(t.TempDir(), "none.db")
			if engine.Name == "postgres" {
				w.Database = "postgres://nobody:pg-secret@127.0.0.1:9/none"
			}
			code, out, stderr := pvechat(t, "doctor", "-c", w.Config())
			if code != exitFailed || !strings.Contains(out, "The database does not answer") || !strings.Contains(out, "good     Slack") {
				t.Errorf("exit %d:\n%s%s", code, out, stderr)
			}
			if strings.Contains(out+stderr, "pg-secret") {
				t.Errorf("it prints the password:\n%s%s", out, stderr)
			}
		})
	}
}

func TestTheDoctorRefusesAWrongConfiguration(t *testing.T) {
	if code, out, stderr := pvechat(t, "doctor", "-c", write(t, "slak: {}\n")); code != exitUsage || out != "" || !strings.Contains(stderr, "slak") {
		t.Errorf("exit %d: %q %q", code, out, stderr)
	}
}
