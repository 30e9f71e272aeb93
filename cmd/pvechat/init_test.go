package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// newcomer is a world, and what somebody who sets pvechat up in it has at hand.
type newcomer struct {
	*daemontest.World
	dir   string
	admin map[daemontest.Platform]*daemontest.Person
}

func newNewcomer(t *testing.T) *newcomer {
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	n := &newcomer{w, t.TempDir(), map[daemontest.Platform]*daemontest.Person{}}
	for _, p := range daemontest.Platforms {
		n.admin[p] = w.Person(p, "Ana", "admin")
	}
	return n
}

func (n *newcomer) config() string { return filepath.Join(n.dir, "etc", "config.yaml") }

// flags are all of them, by name.
func (n *newcomer) flags(t *testing.T) map[string]string {
	t.Helper()
	if err := os.Mkdir(filepath.Join(n.dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := map[string]string{
		"config": n.config(), "url": n.PVE.URL(), "fingerprint": n.PVE.Fingerprint(), "token-id": daemontest.Token,
		"slack-admin": n.admin[daemontest.Slack].ID, "slack-channel": n.Channel(daemontest.Slack, daemontest.Ops), "slack-api-url": n.Slack.APIURL(),
		"discord-admin": n.admin[daemontest.Discord].ID, "discord-channel": n.Channel(daemontest.Discord, daemontest.Ops), "discord-guild": "4000000000000000004", "discord-api-url": n.Discord.URL(),
	}
	for flag, secret := range map[string]string{
		"token-secret-file": "pve-secret", "slack-bot-token-file": "xoxb-test", "slack-app-token-file": "xapp-test", "discord-bot-token-file": "test-token",
	} {
		f[flag] = filepath.Join(n.dir, flag)
		n.keep(t, f[flag], secret)
	}
	return f
}

func (n *newcomer) keep(t *testing.T, file, secret string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func initWith(t *testing.T, flags map[string]string) (code int, stdout, stderr string) {
	t.Helper()
	args := []string{"init"}
	for name, v := range flags {
		if v != "" {
			args = append(args, "--"+name+"="+v)
		}
	}
	return pvechat(t, args...)
}

// What init wrote is what a bot runs with, and no secret of it is open to others.
func TestInitWithFlagsMakesAConfigurationThatWorks(t *testing.T) {
	n := newNewcomer(t)
	code, out, stderr := initWith(t, n.flags(t))
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}
	for _, want := range []string{
		"pveum role add pvechat --privs \"VM.Audit VM.PowerMgmt", "pveum user token add pvechat@pve bot --privsep 1",
		"command: /pve", "https://discord.com/oauth2/authorize?client_id=3000000000000000003&permissions=274878008320&scope=bot+applications.commands",
		"good     Proxmox: 9.2.2", "all that the access rules need", "pvechat run --config " + n.config(),
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q:\n%s", want, out)
		}
	}
	for _, secret := range []string{"pve-secret", "xoxb-test", "xapp-test", "test-token"} {
		if raw, _ := os.ReadFile(n.config()); strings.Contains(out+stderr+string(raw), secret) {
			t.Errorf("it shows the secret %s", secret)
		}
	}
	for _, file := range []string{n.config(), filepath.Join(n.dir, "etc", "secrets", "keyset.json")} {
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, st, err)
		}
	}
	for _, p := range daemontest.Platforms {
		if n.admin[p].Sees("pvechat will tell this channel of trouble"); n.admin[p].Count("pvechat will tell this channel of trouble") != 1 {
			t.Errorf("on %s the channel was told several times", p)
		}
	}
	if code, out, stderr := pvechat(t, "migrate", "--config", n.config()); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}
	if code, out, stderr := pvechat(t, "doctor", "--config", n.config()); code != 0 || !strings.Contains(out, "0 wrong, 0 to mind") {
		t.Errorf("exit %d\n%s%s", code, out, stderr)
	}

	before, _ := os.ReadFile(n.config())
	code, _, stderr = initWith(t, map[string]string{"config": n.config()})
	if after, _ := os.ReadFile(n.config()); code != exitUsage || !strings.Contains(stderr, "never written over") || string(after) != string(before) {
		t.Errorf("a second time: exit %d, %s", code, stderr)
	}
	n.Correct()
}

func TestInitWithoutATerminalNamesWhatIsWrongAndWritesNothing(t *testing.T) {
	n := newNewcomer(t)
	n.AddPrivateChannel("secret")
	flags := n.flags(t)
	wrong := filepath.Join(n.dir, "wrong")
	n.keep(t, wrong, "canary")
	for name, c := range map[string]struct {
		flags map[string]string // in place of the right ones
		code  int
		says  []string
	}{
		"nothing given":          {map[string]string{"url": "", "slack-bot-token-file": "", "discord-admin": ""}, exitUsage, []string{"no terminal", "--url", "--slack-bot-token-file", "--discord-admin"}},
		"no platform":            {map[string]string{"slack-bot-token-file": "", "slack-app-token-file": "", "slack-admin": "", "slack-channel": "", "discord-bot-token-file": "", "discord-admin": "", "discord-guild": "", "discord-channel": ""}, exitUsage, []string{"--slack-bot-token-file or --discord-bot-token-file"}},
		"a name with a blank":    {map[string]string{"name": "my home"}, exitUsage, []string{"--name"}},
		"no address":             {map[string]string{"url": "pve1"}, exitFailed, []string{"https://pve1:8006"}},
		"nobody at the address":  {map[string]string{"url": "https://127.0.0.1:9"}, exitFailed, []string{"does not answer", "connection refused", "pveproxy"}},
		"an unknown certificate": {map[string]string{"fingerprint": ""}, exitFailed, []string{n.PVE.Fingerprint(), "pvenode cert info", "--fingerprint"}},
		"another certificate":    {map[string]string{"fingerprint": strings.Repeat("AB:", 31) + "AB"}, exitFailed, []string{n.PVE.Fingerprint(), "none of --fingerprint"}},
		"no token id":            {map[string]string{"token-id": "root"}, exitFailed, []string{"user@realm!token"}},
		"a wrong secret":         {map[string]string{"token-secret-file": wrong}, exitFailed, []string{"refuses the token", "pveum user token list pvechat@pve"}},
		"a wrong Slack token":    {map[string]string{"slack-bot-token-file": wrong}, exitFailed, []string{"Slack refuses the token", "slack.bot_token"}},
		"a wrong app token":      {map[string]string{"slack-app-token-file": wrong}, exitFailed, []string{"Slack refuses the token", "slack.app_token"}},
		"nobody on Slack":        {map[string]string{"slack-admin": "U0NOBODY"}, exitFailed, []string{"U0NOBODY: nobody has this id"}},
		"a wrong Discord token":  {map[string]string{"discord-bot-token-file": wrong}, exitFailed, []string{"Discord refuses the token", "Reset it"}},
		"another server":         {map[string]string{"discord-guild": "4000000000000000005"}, exitFailed, []string{"the bot was added to that server"}},
		"nobody on Discord":      {map[string]string{"discord-admin": "1999999999999999999"}, exitFailed, []string{"1999999999999999999: nobody has this id"}},
		"a channel without it":   {map[string]string{"slack-channel": n.Channel(daemontest.Slack, "secret")}, exitFailed, []string{"cannot write to the channel", "/invite @pvechat"}},
		"a missing file":         {map[string]string{"ca-file": filepath.Join(n.dir, "none.pem")}, exitUsage, []string{"none.pem"}},
		"no folder":              {map[string]string{"config": filepath.Join(n.dir, "none", "config.yaml")}, exitFailed, []string{"no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			given := map[string]string{}
			for k, v := range flags {
				given[k] = v
			}
			for k, v := range c.flags {
				given[k] = v
			}
			code, out, stderr := initWith(t, given)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, stderr)
				}
			}
			if strings.Contains(out+stderr, "canary") {
				t.Errorf("it prints a secret:\n%s%s", out, stderr)
			}
			if left, err := os.ReadDir(filepath.Join(n.dir, "etc")); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// At a terminal what is wrong is asked again, and secrets are not shown.
func TestInitAsksAtATerminal(t *testing.T) {
	n := newNewcomer(t)
	n.flags(t) // for the folders
	me := newPerson(t)
	done := make(chan int, 1)
	go func() {
		defer me.tty.Close()
		done <- run(t.Context(), []string{"init", "--config", n.config(), "--slack-api-url", n.Slack.APIURL(), "--discord-api-url", n.Discord.URL()}, func(string) (string, bool) { return "", false }, me.tty, me.tty, me.tty)
	}()
	for _, step := range [][2]string{
		{"Address of a node", "pve1"},
		{"is no address", n.PVE.URL()},
		{n.PVE.Fingerprint(), "n"},
		{"was not accepted", n.PVE.URL()},
		{"Is it the same?", "y"},
		{"API token [pvechat@pve!bot]", ""},
		{"Its secret (not shown)", "canary-1"},
		{"refuses the token", ""},
		{"Its secret (not shown)", "pve-secret"},
		{"Slack: set it up? [Y/n]", ""},
		{"Bot token, xoxb-… (not shown)", "xoxb-test"},
		{"App token, xapp-… (not shown)", "canary-2"},
		{"Bot token, xoxb-… (not shown)", "xoxb-test"}, // once more
		{"App token, xapp-… (not shown)", "xapp-test"},
		{"Your member ID", "U0NOBODY"},
		{"nobody has this id", n.admin[daemontest.Slack].ID},
		{"Discord: set it up? [Y/n]", "y"},
		{"Bot token (not shown)", "test-token"},
		{"ID of the server", "4000000000000000004"},
		{"Your user ID", n.admin[daemontest.Discord].ID},
		{"channel on Slack", n.Channel(daemontest.Slack, daemontest.Ops)},
		{"channel on Discord", ""},
		{"Start it:", ""},
	} {
		me.answers(step[0], step[1])
	}
	if code := <-done; code != 0 {
		t.Fatalf("exit %d\n%s", code, me.all())
	}
	if !strings.Contains(me.all(), "Copy it anew into slack.app_token") {
		t.Errorf("it does not say which token is wrong:\n%s", me.all())
	}
	for _, secret := range []string{"canary", "pve-secret", "xoxb-test", "xapp-test", "test-token"} {
		if strings.Contains(me.all(), secret) {
			t.Errorf("the terminal shows %s:\n%s", secret, me.all())
		}
	}
	for name, want := range map[string]string{"home-token": "pve-secret", "slack-bot-token": "xoxb-test", "slack-app-token": "xapp-test", "discord-bot-token": "test-token"} {
		file := filepath.Join(n.dir, "etc", "secrets", name)
		raw, err := os.ReadFile(file)
		st, _ := os.Stat(file)
		if err != nil || strings.TrimSpace(string(raw)) != want || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %q %v %v", name, raw, st, err)
		}
	}
	if code, out, stderr := pvechat(t, "migrate", "--config", n.config()); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, stderr)
	}
	if code, out, _ := pvechat(t, "doctor", "--config", n.config()); code != 0 || !strings.Contains(out, "0 wrong") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// Whoever goes away in the middle leaves nothing, and a terminal that shows
// again what is typed.
func TestInitThatIsBrokenOffWritesNothing(t *testing.T) {
	n := newNewcomer(t)
	n.flags(t)
	me := newPerson(t)
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan int, 1)
	before := me.mode()
	go func() {
		done <- run(ctx, []string{"init", "--config", n.config(), "--url", n.PVE.URL(), "--fingerprint", n.PVE.Fingerprint()}, func(string) (string, bool) { return "", false }, me.tty, me.tty, me.tty)
	}()
	me.answers("API token", "")
	me.sees("Its secret (not shown)")
	me.until("the echo is off", func() bool { return me.mode() != before })
	leave()
	if code := <-done; code != exitFailed || me.mode() != before {
		t.Errorf("exit %d, mode %x, was %x", code, me.mode(), before)
	}
	me.sees("Nothing was written")
	if left, err := os.ReadDir(filepath.Join(n.dir, "etc")); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// person sits at a pseudo terminal.
type person struct {
	t         *testing.T
	tty, hand *os.File

	mu   sync.Mutex
	seen strings.Builder
	from int // what comes after has not been looked at
	more chan struct{}
}

func newPerson(t *testing.T) *person {
	t.Helper()
	hand, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(hand.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(hand.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, tty: tty, hand: hand, more: make(chan struct{}, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(p, hand) // ends with the other side
	}()
	t.Cleanup(func() {
		_, _ = hand.WriteString("\n") // lets a read end that nobody waits for any more
		_ = tty.Close()
		<-read
		_ = hand.Close()
	})
	return p
}

func (p *person) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
	return p.seen.Write(b)
}

func (p *person) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen.String()
}

func (p *person) mode() uint32 {
	m, err := unix.IoctlGetTermios(int(p.hand.Fd()), unix.TCGETS)
	if err != nil {
		p.t.Fatal(err)
	}
	return m.Lflag
}

// until waits for something that is looked at again and again.
func (p *person) until(what string, is func() bool) {
	p.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !is(); {
		if time.Now().After(end) {
			p.t.Fatalf("it does not come that %s:\n%s", what, p.all())
		}
		select {
		case <-p.more:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sees waits until something stands on the terminal that did not before.
func (p *person) sees(what string) {
	p.t.Helper()
	p.until(fmt.Sprintf("it says %q", what), func() bool {
		rest := p.all()[p.from:]
		at := strings.Index(rest, what)
		if at >= 0 {
			p.from += at + len(what)
		}
		return at >= 0
	})
}

// answers types a line when something is asked. What is hidden is typed when the
// terminal shows nothing any more.
func (p *person) answers(question, line string) {
	p.t.Helper()
	p.sees(question)
	if strings.Contains(question, "not shown") {
		p.until("the echo is off", func() bool { return p.mode()&unix.ECHO == 0 })
	}
	if _, err := p.hand.WriteString(line + "\n"); err != nil {
		p.t.Fatal(err)
	}
}
