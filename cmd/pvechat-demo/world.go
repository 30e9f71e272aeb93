package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// person is somebody who uses the bot, on both platforms.
type person struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"` // in words

	slack, discord string // ids there
}

var people = []person{
	{ID: "ana", Name: "Ana", Role: "admin", slack: "U0ANA0001", discord: "1000000000000000001"},
	{ID: "ben", Name: "Ben", Role: "viewer, tag web", slack: "U0BEN0001", discord: "1000000000000000002"},
}

// place is a channel, on both platforms.
type place struct{ name, slack, discord string }

var places = []place{
	{"servers", "C0SRV0001", "5000000000000000001"},
	{"ops", "C0OPS0001", "5000000000000000002"},
}

const (
	discordBot = "3000000000000000009"
	discordApp = "3000000000000000003"
	pveToken   = "pvechat@pve!bot"
)

// tries is what a newcomer can begin with.
var tries = []struct{ Command, Why string }{
	{"/pve dashboard", "the live board of all containers"},
	{"/pve stop photoprism", "it asks first, and Cancel sends nothing"},
	{"/pve credentials nextcloud", "read over SSH, shown to Ana alone; Ben may not"},
}

// options say what world to make.
type options struct {
	Slack, Discord bool
	Containers     int           // in the cluster
	Scale          float64       // of all durations in Proxmox
	Every          time.Duration // between two looks at Proxmox
	Wander         bool          // things happen by themselves
	Deadline       time.Duration // for the bot's answer to a person; zero: the platforms' own
	Strict         bool          // the platforms' rate limits are the real ones
	Closed         bool          // nobody looks into the containers
	Log            *slog.Logger
}

// world is the simulators, and the real bot between them.
type world struct {
	opts   options
	dir    string // of the database and the SSH keys
	config daemon.Config

	pve     *proxmoxtest.Server
	slack   *slacktest.Server            // nil: off
	discord *discordtest.Server          // nil: off
	guests  guesttest.Server             // behind the containers' addresses
	login   ssh.PublicKey                // of the bot, there
	secrets map[string]map[string]string // what lies in containers, by name and file
	faults  faults

	restarts chan chan struct{}
	stopped  chan struct{} // closed when Run has ended
	once     sync.Once
}

// newWorld starts the simulators. The bot is started by Run; Close ends and
// removes everything.
func newWorld(opts options) (_ *world, err error) {
	w := &world{opts: opts, secrets: map[string]map[string]string{}, restarts: make(chan chan struct{}), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			w.Close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "pvechat-demo-"); err != nil {
		return nil, err
	}
	if err := w.startProxmox(); err != nil {
		return nil, err
	}
	if opts.Slack {
		if err := w.startSlack(); err != nil {
			return nil, err
		}
	}
	if opts.Discord {
		if err := w.startDiscord(); err != nil {
			return nil, err
		}
	}
	if err := w.furnish(); err != nil {
		return nil, err
	}
	return w, w.configure()
}

func (w *world) startProxmox() error {
	o := proxmoxtest.Homelab()
	o.Lease = w.lease
	o.Scale = w.opts.Scale
	w.pve = proxmoxtest.New(o)
	w.pve.Token(pveToken, "demo", map[string][]string{"/": {
		"VM.Audit", "VM.PowerMgmt", "VM.Allocate", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Disk", "VM.Config.Network", "VM.Config.Options",
		"SDN.Use", "Datastore.Audit", "Datastore.AllocateSpace", "Datastore.AllocateTemplate", "Sys.Audit",
	}})
	proxmoxtest.Populate(w.pve, w.opts.Containers)
	return w.pve.Start()
}

func (w *world) startSlack() error {
	w.slack = slacktest.New(slacktest.Options{Deadline: w.opts.Deadline, StrictLimits: w.opts.Strict})
	var everybody []string
	for _, p := range people {
		w.slack.AddUser(p.slack, p.Name)
		everybody = append(everybody, p.slack)
	}
	for _, p := range places {
		w.slack.AddChannel(p.slack, p.name, true, everybody...)
	}
	return w.slack.Start()
}

func (w *world) startDiscord() error {
	w.discord = discordtest.New(discordtest.Options{Deadline: w.opts.Deadline, ApplicationID: discordApp, BotUserID: discordBot})
	w.discord.StrictLimits(w.opts.Strict)
	for _, p := range people {
		w.discord.AddUser(p.discord, p.Name)
	}
	for _, p := range places {
		w.discord.AddChannel(p.discord, p.name, true)
	}
	return w.discord.Start()
}

// configuration is such as anybody writes.
func (w *world) configuration() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if w.slack != nil {
		line("slack: {bot_token: xoxb-test, app_token: xapp-test, api_url: %q}", w.slack.APIURL())
	}
	if w.discord != nil {
		line("discord: {bot_token: test-token, application_id: %q, api_url: %q}", discordApp, w.discord.URL())
	}
	line("clusters:")
	line("  - {name: home, urls: [%q], token_id: %s, token_secret: demo, fingerprints: [%q],", w.pve.URL(), pveToken, w.pve.Fingerprint())
	if !w.opts.Closed {
		line("     ssh: {key_file: %s, known_hosts_file: %s},", keyFile, knownHostsFile)
	}
	line("    }")
	line("database: {url: 'sqlite:pvechat.db'}")
	line("refresh: {every: %s, services: 1m}", w.opts.Every)
	line("channels: {ops: {slack: %s, discord: %q}}", places[1].slack, places[1].discord)
	line("access:")
	line("  - {role: admin, slack: {users: [%s]}, discord: {users: [%q]}}", people[0].slack, people[0].discord)
	line("  - {role: viewer, slack: {users: [%s]}, discord: {users: [%q]}, containers: ['tag:web']}", people[1].slack, people[1].discord)
	return []byte(b.String())
}

func (w *world) configure() error {
	none := func(string) (string, bool) { return "", false }
	var err error
	if w.config, err = daemon.Parse(filepath.Join(w.dir, "config.yaml"), w.configuration(), none); err != nil {
		return err
	}
	if !w.opts.Closed {
		w.config.Clusters[0].SSH.Dial = w.dial
	}
	return nil
}

// Run runs the bot, and lets things happen in the cluster, until ctx ends. The
// error is the bot's, if it gave up before that.
func (w *world) Run(ctx context.Context) error {
	defer close(w.stopped)
	if w.opts.Wander {
		var wandering sync.WaitGroup
		defer wandering.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		wandering.Go(func() { w.pve.Wander(ctx) })
	}
	for {
		again, err := w.runOnce(ctx)
		if again == nil || err != nil {
			return err
		}
		close(again)
	}
}

// runOnce runs one bot; again is who asked for the next.
func (w *world) runOnce(ctx context.Context) (again chan struct{}, err error) {
	d, err := daemon.New(w.config, w.opts.Log)
	if err != nil {
		return nil, err
	}
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.Run(own) }()
	select {
	case err := <-done:
		if err == nil && ctx.Err() == nil {
			err = errors.New("the bot ended by itself")
		}
		return nil, err
	case again = <-w.restarts:
		cancel()
		return again, <-done
	}
}

// Restart ends the bot and starts another on the same database. It returns when
// the old one has ended.
func (w *world) Restart(ctx context.Context) error {
	asked := make(chan struct{})
	for send := w.restarts; ; {
		select {
		case send <- asked:
			send = nil
		case <-asked:
			return nil
		case <-w.stopped:
			return errors.New("the demo is ending")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends the simulators and removes what was written. Run must have ended.
func (w *world) Close() {
	w.once.Do(func() {
		if w.slack != nil {
			w.slack.Close()
		}
		if w.discord != nil {
			w.discord.Close()
		}
		if w.pve != nil {
			w.pve.Close()
		}
		_ = w.guests.Close()
		if w.dir != "" {
			_ = os.RemoveAll(w.dir)
		}
	})
}

// somebody finds a person by id.
func somebody(id string) (person, error) {
	for _, p := range people {
		if p.ID == id {
			return p, nil
		}
	}
	return person{}, fmt.Errorf("there is no person %q", id)
}
