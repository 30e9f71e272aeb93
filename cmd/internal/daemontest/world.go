// Package daemontest is the world around a running bot, for end-to-end tests:
// a Proxmox cluster, a Slack workspace, a Discord guild, and people who type
// and press there. The bot is the real one, with the real SDKs, in this
// process or in one of its own; a test is written once for both platforms, in
// the words that people read, and judges by what Proxmox was asked to do.
package daemontest

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/seal"
)

// Token is the bot's API token at the cluster.
const Token = "pvechat@pve!bot"

// Ops is the channel that is told of trouble. Everybody is in it, and acts
// there unless [Person.In] says otherwise.
const Ops = "ops"

// patient is how long the platforms wait for the bot. It is more than the three
// seconds of the real ones: the machine may be slow.
const patient = 20 * time.Second

// Platform is where a person is.
type Platform string

// The platforms.
const (
	Slack   Platform = "slack"
	Discord Platform = "discord"
)

// Platforms lists both.
var Platforms = []Platform{Slack, Discord}

// World is one cluster, one workspace, one guild, and the configuration of a
// bot that serves them. Change its fields before the first bot starts.
type World struct {
	PVE     *proxmoxtest.Server
	Slack   *slacktest.Server
	Discord *discordtest.Server

	Database string        // URL; default: a SQLite file of its own
	Refresh  time.Duration // default: 1 s
	Off      Platform      // the platform that is left out of the configuration

	Limit time.Duration // for whatever a test waits for; default: 3 min, in a bubble an hour

	// Guests are behind the containers' addresses; nil: the bot has no SSH.
	Guests *guesttest.Server

	// SSH is how the bot enters containers, as it stands in a configuration;
	// "": as Guests want it.
	SSH string

	// Templates is a folder with templates of the world's own.
	Templates string

	// HTTP makes both platforms call the bot, instead of being called.
	HTTP bool

	// Keys gives the bot a key set.
	Keys bool

	// Log gets all that a bot in this process logs, debug lines too.
	Log io.Writer

	t        testing.TB
	dir      string
	memory   map[string]*wiretest.Network // the network by host; nil: the machine's
	client   *http.Client                 // of who looks at the bot from outside
	balancer *balancer                    // of HTTP mode
	health   string                       // address of the last bot
	proxy    string                       // address by which bots reach the cluster; "": its own
	port     uint16                       // of the guests
	lag      time.Duration                // of what the cluster says of its containers
	ago      *atomic.Int64
	people   []*Person
	channels map[string]*channel
	serial   int
}

type channel struct {
	ids       map[Platform]string
	botMember bool
	private   bool
	parent    string // of a thread
}

// New starts the simulators. A cluster without a Scale of its own is a hundred
// times as fast as a real one.
func New(t testing.TB, cluster proxmoxtest.Options) *World {
	t.Helper()
	if cluster.Scale == 0 {
		cluster.Scale = 0.01
	}
	// In a container's row is what its node last reported, every 10 seconds.
	lag := time.Duration(cluster.Scale * float64(10*time.Second))
	w := &World{Refresh: time.Second, lag: lag, port: 22, t: t, dir: t.TempDir(), ago: new(atomic.Int64), channels: map[string]*channel{}, client: http.DefaultClient, Limit: 3 * time.Minute}
	return w.start(cluster, slacktest.Options{Deadline: patient}, discordtest.Options{Deadline: patient})
}

// Bubble runs a test on a world whose network is in memory and whose clock moves
// as soon as everybody waits for it, of simulators as quick as real ones: hours
// pass at once. The database has to stay the SQLite file.
func Bubble(t *testing.T, test func(t *testing.T, w *World)) {
	t.Helper()
	bubble(t, false, test)
}

// StrictBubble is Bubble with the platforms' rate limits as strict as they are.
func StrictBubble(t *testing.T, test func(t *testing.T, w *World)) {
	t.Helper()
	bubble(t, true, test)
}

func bubble(t *testing.T, strict bool, test func(t *testing.T, w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &World{Refresh: 30 * time.Second, port: 22, t: t, dir: t.TempDir(), ago: new(atomic.Int64), channels: map[string]*channel{}, Limit: time.Hour}
		w.memory = map[string]*wiretest.Network{}
		for _, host := range []string{"pve.test", "slack.test", "discord.test"} {
			w.memory[host] = wiretest.New()
			w.memory[host].Host = host
		}
		w.client = &http.Client{Transport: &http.Transport{DialContext: w.dial, DisableKeepAlives: true}}
		w.start(proxmoxtest.Options{Scale: 1, Plain: true, Listener: w.memory["pve.test"]},
			slacktest.Options{Listener: w.memory["slack.test"], StrictLimits: strict}, discordtest.Options{Listener: w.memory["discord.test"]})
		w.Discord.StrictLimits(strict)
		test(t, w)
	})
}

// dial reaches a host in memory.
func (w *World) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, _ := strings.Cut(addr, ":")
	if n := w.memory[host]; n != nil {
		return n.Dial(ctx, network, addr)
	}
	return nil, fmt.Errorf("nobody is at %s", addr)
}

// start starts the simulators.
func (w *World) start(cluster proxmoxtest.Options, workspace slacktest.Options, guild discordtest.Options) *World {
	w.t.Helper()
	now := func() time.Time { return time.Now().Add(-time.Duration(w.ago.Load())) }
	workspace.Now, guild.Now = now, now
	w.PVE, w.Slack, w.Discord = proxmoxtest.New(cluster), slacktest.New(workspace), discordtest.New(guild)
	w.Database = "sqlite:" + filepath.Join(w.dir, "pvechat.db")
	w.PVE.Token(Token, "pve-secret", map[string][]string{"/": proxmoxtest.Administrator()})
	w.PVE.AddNode("pve1")
	for _, s := range []interface {
		Start() error
		Close()
	}{w.PVE, w.Slack, w.Discord} {
		if err := s.Start(); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(s.Close)
	}
	w.AddChannel(Ops, true)
	return w
}

// Ago sets the clocks of both chat platforms back, for messages that are to be
// old.
func (w *World) Ago(d time.Duration) { w.ago.Store(int64(d)) }

// AddChannel adds a channel of that name to both platforms, with everybody in
// it.
func (w *World) AddChannel(name string, botMayPost bool) {
	w.serial++
	w.channels[name] = &channel{botMember: botMayPost, ids: map[Platform]string{
		Slack: fmt.Sprintf("C0%07d", w.serial), Discord: fmt.Sprintf("5%018d", w.serial),
	}}
	w.Discord.AddChannel(w.channels[name].ids[Discord], name, botMayPost)
	w.members(name)
}

// AddPrivateChannel adds a channel that only people see; the bot is no member.
func (w *World) AddPrivateChannel(name string) {
	w.AddChannel(name, false)
	w.channels[name].private = true
	w.Discord.KickBot(w.channels[name].ids[Discord])
	w.members(name)
}

// AddThread adds a thread to a channel of Discord. Slack has no commands in
// threads.
func (w *World) AddThread(name, parent string) {
	w.serial++
	id := fmt.Sprintf("5%018d", w.serial)
	w.channels[name] = &channel{ids: map[Platform]string{Discord: id}, parent: parent}
	w.Discord.AddThread(id, name, w.channels[parent].ids[Discord])
}

// Channel is a channel's id on a platform.
func (w *World) Channel(on Platform, name string) string { return w.channels[name].ids[on] }

// members puts everybody on Slack into a channel; on Discord they see them all.
func (w *World) members(name string) {
	ch := w.channels[name]
	var ids []string
	for _, p := range w.people {
		if p.On == Slack {
			ids = append(ids, p.ID)
		}
	}
	w.Slack.AddChannel(ch.ids[Slack], name, ch.botMember, ids...)
	if ch.private {
		w.Slack.MakePrivate(ch.ids[Slack])
	}
}

// Person adds somebody to a platform, with a role of the access rules: viewer,
// operator, admin, or "" for none.
func (w *World) Person(on Platform, name, role string) *Person {
	p := &Person{Name: name, On: on, w: w, role: role, place: Ops}
	n := len(w.people) + 1
	switch on {
	case Slack:
		p.ID = fmt.Sprintf("U0%07d", n)
		w.Slack.AddUser(p.ID, name)
		p.client = &slackClient{w.Slack}
	case Discord:
		p.ID = fmt.Sprintf("1%018d", n)
		w.Discord.AddUser(p.ID, name)
		p.client = &discordClient{w.Discord}
	}
	w.people = append(w.people, p)
	for name, ch := range w.channels {
		if ch.parent == "" && on == Slack {
			w.members(name)
		}
	}
	return p
}

// Config writes the configuration of one bot and returns its file.
func (w *World) Config() string {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "log: {format: text}\n")
	slackMode, discordMode := "app_token: xapp-test", "mode: gateway"
	if w.HTTP {
		slackMode, discordMode = "mode: http, signing_secret: signing-secret", fmt.Sprintf("mode: http, public_key: %q", w.Discord.PublicKey())
	}
	if w.Off != Slack {
		fmt.Fprintf(&b, "slack: {%s, bot_token: xoxb-test, api_url: %q}\n", slackMode, w.Slack.APIURL())
	}
	if w.Off != Discord {
		fmt.Fprintf(&b, "discord: {%s, bot_token: test-token, application_id: \"3000000000000000003\", guild_ids: [\"4000000000000000004\"], api_url: %q}\n", discordMode, w.Discord.URL())
	}
	trust := "insecure: true"
	if w.memory == nil {
		trust = fmt.Sprintf("fingerprints: [%q]", w.PVE.Fingerprint())
	}
	pve := w.PVE.URL()
	if w.proxy != "" {
		pve = "https://" + w.proxy
	}
	fmt.Fprintf(&b, "clusters:\n  - {name: home, urls: [%q], token_id: %s, token_secret: pve-secret, %s", pve, Token, trust)
	if w.SSH != "" {
		fmt.Fprintf(&b, ", ssh: %s", w.SSH)
	} else if w.Guests != nil {
		key, hosts := w.keys()
		fmt.Fprintf(&b, ", ssh: {port: %d, key_file: %q, known_hosts_file: %q}", w.port, key, hosts)
	}
	b.WriteString("}\n")
	if w.Keys {
		file := filepath.Join(w.dir, "keyset.json")
		if _, err := os.Stat(file); err != nil {
			if err := seal.Generate(file); err != nil {
				w.t.Fatal(err)
			}
		}
		fmt.Fprintf(&b, "keyset_file: %q\n", file)
	}
	if w.Templates != "" {
		fmt.Fprintf(&b, "templates_dir: %q\n", w.Templates)
	}
	fmt.Fprintf(&b, "database: {url: %q}\nrefresh: {every: %s}\nhttp: {listen: \"127.0.0.1:0\"}\n", w.Database, w.Refresh)
	fmt.Fprintf(&b, "channels: {ops: {slack: %s, discord: %q}}\naccess:\n", w.channels[Ops].ids[Slack], w.channels[Ops].ids[Discord])
	for _, p := range w.people {
		if p.role != "" && p.On != w.Off {
			fmt.Fprintf(&b, "  - {role: %s, %s: {users: [%q]}}\n", p.role, p.On, p.ID)
		}
	}
	w.serial++
	file := filepath.Join(w.dir, "config-"+strconv.Itoa(w.serial)+".yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// keys writes a key that all guests take, and the guests' own.
func (w *World) keys() (key, knownHosts string) {
	w.t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.serial++ // a bot that runs reads its own
	key, knownHosts = filepath.Join(w.dir, fmt.Sprint("ssh-key-", w.serial)), filepath.Join(w.dir, fmt.Sprint("known-hosts-", w.serial))
	for file, content := range map[string][]byte{key: pem.EncodeToMemory(block), knownHosts: w.Guests.KnownHosts(w.port)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	return key, knownHosts
}

// Listen makes the guests listen at these addresses, all of loopback, for bots
// in processes of their own.
func (w *World) Listen(addrs ...netip.Addr) {
	w.t.Helper()
	w.port = 0
	for _, addr := range addrs {
		l, err := new(net.ListenConfig).Listen(w.t.Context(), "tcp", netip.AddrPortFrom(addr, w.port).String())
		if err != nil {
			w.t.Fatal(err)
		}
		w.port = l.Addr().(*net.TCPAddr).AddrPort().Port() // the same for all
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := w.Guests.Serve(l); err != nil {
				w.t.Error(err)
			}
		}()
		w.t.Cleanup(func() {
			_ = l.Close()
			<-ended
		})
	}
}

// Get asks the last bot's HTTP server and returns the status and the body.
func (w *World) Get(path string) (status int, body string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.Patience(), http.MethodGet, "http://"+w.health+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(all)
}

// DB opens the bot's database beside the bot, for what only time could do
// otherwise.
func (w *World) DB() *sql.DB {
	w.t.Helper()
	driver, name := "pgx", w.Database
	if path, ok := strings.CutPrefix(name, "sqlite:"); ok {
		driver, name = "sqlite", path+"?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

// LetQuestionsEnd makes all questions about a container as old as they would
// be after a minute.
func (w *World) LetQuestionsEnd(vmid int) {
	w.t.Helper()
	w.questionsEnd(vmid, "2000-01-01T00:00:00.000000Z")
}

// KeepQuestions makes all questions about a container wait for as long as a
// test takes, on however slow a machine.
func (w *World) KeepQuestions(vmid int) {
	w.t.Helper()
	w.questionsEnd(vmid, "2100-01-01T00:00:00.000000Z")
}

func (w *World) questionsEnd(vmid int, at string) {
	w.t.Helper()
	w.exec(`UPDATE confirmations SET expires_at = $1
		WHERE container_id IN (SELECT id FROM containers WHERE vmid = $2)`, at, vmid)
}

// GiveQuestionsAway makes all questions about a container ones that somebody
// else was asked.
func (w *World) GiveQuestionsAway(vmid int) {
	w.t.Helper()
	w.exec(`UPDATE confirmations SET person = 'slack:U0ELSE' WHERE container_id IN (SELECT id FROM containers WHERE vmid = $1)`, vmid)
}

func (w *World) exec(statement string, args ...any) {
	w.t.Helper()
	res, err := w.DB().ExecContext(w.Patience(), statement, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		w.t.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// Told waits until every job has ended and its outcome was told and marked so.
func (w *World) Told() {
	w.t.Helper()
	w.AwaitNone(`SELECT count(*) FROM jobs WHERE notified_at IS NULL`)
}

// AwaitNone waits until a query of the bot's database counts nothing.
func (w *World) AwaitNone(query string) {
	w.t.Helper()
	db, ctx := w.DB(), w.Patience()
	for {
		left := -1
		if err := db.QueryRowContext(ctx, query).Scan(&left); err != nil {
			w.t.Fatalf("%s: still %d: %v", query, left, err)
		}
		if left == 0 {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// LockJobs keeps the bot from writing what it knows of jobs, until the returned
// function is called.
func (w *World) LockJobs() (unlock func()) {
	w.t.Helper()
	ctx := w.Patience()
	conn, err := w.DB().Conn(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	begin, end := "BEGIN; LOCK TABLE jobs IN SHARE MODE", "ROLLBACK"
	if strings.HasPrefix(w.Database, "sqlite:") {
		begin = "BEGIN IMMEDIATE"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		if _, err := conn.ExecContext(ctx, end); err != nil {
			w.t.Fatal(err)
		}
	}
}

// For is the same world in the hands of a subtest.
func (w *World) For(t testing.TB) *World {
	v := *w
	v.t = t
	return &v
}

// Patience is a context for whatever a test waits for.
func (w *World) Patience() context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), w.Limit)
	w.t.Cleanup(cancel)
	return ctx
}

// Refreshed waits until the bot has taken over what the cluster is like now:
// until it has asked anew, and once more, which it does not before it is done.
func (w *World) Refreshed() {
	w.t.Helper()
	since := time.Now().Add(w.lag)
	for range 2 {
		r, err := w.PVE.AwaitRequest(w.Patience(), func(r proxmoxtest.Request) bool {
			return r.Path == "/cluster/resources" && r.Time.After(since)
		})
		if err != nil {
			w.t.Fatalf("the bot does not ask the cluster: %v", err)
		}
		since = r.Time
	}
}

// Sent lists what the bot asked Proxmox to change about a container: method
// and path below it, in order, whatever the answer was.
func (w *World) Sent(vmid int) []string {
	var sent []string
	for _, r := range w.PVE.Requests() {
		_, rest, ok := strings.Cut(r.Path, "/lxc/"+strconv.Itoa(vmid))
		if ok && r.Method != http.MethodGet && (rest == "" || rest[0] == '/') {
			sent = append(sent, r.Method+" "+rest)
		}
	}
	return sent
}

// Tasks lists the types of the tasks that the bot's token started on a
// container, oldest first.
func (w *World) Tasks(vmid int) []string {
	var types []string
	for _, t := range w.PVE.Tasks() {
		if t.VMID == vmid && t.User == Token {
			types = append(types, t.Type)
		}
	}
	return types
}

// Ended waits until a task of the bot on a container has ended, and returns it.
func (w *World) Ended(typ string, vmid int) proxmoxtest.Task {
	w.t.Helper()
	task, err := w.PVE.AwaitTask(w.Patience(), func(t proxmoxtest.Task) bool { return t.Type == typ && t.VMID == vmid && !t.End.IsZero() })
	if err != nil {
		w.t.Fatalf("no task %s of %d has ended: %v", typ, vmid, err)
	}
	return task
}

// Correct fails the test where the bot did something to a simulator that no
// correct bot does.
func (w *World) Correct() {
	w.t.Helper()
	if bad := w.PVE.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Proxmox: %+v", bad)
	}
	if bad := w.Slack.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Slack: %+v", bad)
	}
	if bad := w.Discord.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Discord: %+v", bad)
	}
}
