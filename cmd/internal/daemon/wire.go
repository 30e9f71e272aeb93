// Package daemon reads the configuration and puts the parts of pvechat
// together.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/seal"
)

// Daemon is the bot as the configuration wants it.
type Daemon struct {
	cfg       Config
	log       *slog.Logger
	metrics   *bot.Metrics
	clusters  []*proxmox.Client
	platforms []chat.Platform
	replica   *replica
	rules     *rulebook
	library   atomic.Pointer[templates.Library]
	refused   atomic.Pointer[error] // what was wrong with the templates when they were last read
}

// New puts the parts together. It does no I/O.
func New(cfg Config, log *slog.Logger) (*Daemon, error) {
	rules, err := cfg.Rules()
	if err != nil {
		return nil, err
	}
	d := &Daemon{cfg: cfg, log: log, metrics: bot.NewMetrics(), replica: &replica{name: holder(), every: cfg.Every()}}
	network := cfg.network()
	for _, c := range cfg.Clusters {
		client, err := proxmox.New(proxmox.Config{
			Name: c.Name, URLs: c.URLs, TokenID: c.TokenID, TokenSecret: proxmox.Secret(c.TokenSecret), CAFile: c.CAFile,
			Fingerprints: c.Fingerprints, Insecure: c.Insecure, Log: log,
			Transport: network.proxmox, Observe: func(call proxmox.Call) { d.metrics.Call(c.Name, call) },
		})
		if err != nil {
			return nil, fmt.Errorf("cluster %s: %w", c.Name, err)
		}
		d.clusters = append(d.clusters, client)
	}
	if s := cfg.Slack; s != nil {
		p, err := slack.New(slack.Config{
			BotToken: slack.Secret(s.BotToken), AppToken: slack.Secret(s.AppToken), SigningSecret: slack.Secret(s.SigningSecret),
			APIURL: s.APIURL, Groups: groupsOn(chat.Slack, rules), HTTPClient: network.slack, Dialer: network.sockets, Log: log,
		})
		if err != nil {
			return nil, err
		}
		d.platforms = append(d.platforms, p)
	}
	if c := cfg.Discord; c != nil {
		d.replica.app = c.ApplicationID
		p, err := discord.New(discord.Config{
			BotToken: string(c.BotToken), ApplicationID: c.ApplicationID, PublicKey: c.PublicKey, GuildIDs: c.GuildIDs, APIURL: c.APIURL,
			Transport: network.discord, Dialer: network.sockets, Lease: d.replica, Log: log,
		})
		if err != nil {
			return nil, err
		}
		d.platforms = append(d.platforms, p)
	}
	d.rules = newRulebook(rules, d.platforms, log)
	return d, nil
}

// network is how the parts reach others; the zero one lets each reach them by
// its own ways.
type network struct {
	proxmox, discord http.RoundTripper
	slack            *http.Client
	sockets          *websocket.Dialer
}

func (c Config) network() (n network) {
	if c.Dial == nil {
		return n
	}
	transport := func() *http.Transport { return &http.Transport{DialContext: c.Dial, IdleConnTimeout: time.Minute} }
	return network{
		proxmox: transport(), discord: transport(), slack: &http.Client{Transport: transport(), Timeout: 10 * time.Second},
		sockets: &websocket.Dialer{NetDialContext: c.Dial},
	}
}

// incidentsFor is how long one is kept whose end was told.
const incidentsFor = 30 * 24 * time.Hour

// OpenStorage opens the configured database. The caller closes it.
func OpenStorage(ctx context.Context, cfg Config, log *slog.Logger, readOnly bool) (*storage.DB, error) {
	return storage.Open(ctx, storage.Config{URL: string(cfg.Database.URL), Log: log, Holder: holder(), ReadOnly: readOnly})
}

// holder names this process.
func holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + inventory.Token(4)
}

// Run serves until ctx ends. What it returns before that is told to the
// operator as it is.
func (d *Daemon) Run(ctx context.Context) error {
	for _, c := range d.cfg.Clusters {
		if c.Insecure {
			d.log.WarnContext(ctx, "insecure: true: anybody on the way can read this cluster's token", "cluster", c.Name)
		}
	}
	if file := d.cfg.Exposed; file != "" {
		d.log.WarnContext(ctx, "everybody on this machine can use the configuration, which holds secrets: take that right away with chmod o=", "file", file)
	}
	db, err := OpenStorage(ctx, d.cfg, d.log, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Check(ctx, d.cfg.AutoMigrate()); err != nil {
		return err
	}
	keys, err := Keys(d.cfg)
	if err != nil {
		return err
	}
	if keys != nil {
		if err := keys.Verify(ctx, db); err != nil {
			return err
		}
		db.UseKeys(keys)
	}
	if err := db.Record(ctx, handlers.Entry{At: time.Now(), Person: "pvechat", Action: "pvechat:started", Outcome: "ok", Detail: "access rules " + d.rules.Rules().Version()}); err != nil {
		return err
	}
	listener, err := d.listen(ctx)
	if err != nil {
		return err
	}
	if listener != nil {
		defer func() { _ = listener.Close() }() // once more than [bot.Health] does, where it comes to that
	}
	d.replica.db = db
	b, err := d.assemble(ctx, db, keys, listener)
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

// listen takes the port before anybody is connected to; nil where there is none
// to take.
func (d *Daemon) listen(ctx context.Context) (net.Listener, error) {
	if d.cfg.HTTP.Listener != nil || d.cfg.HTTP.Listen == "" {
		return d.cfg.HTTP.Listener, nil
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", d.cfg.HTTP.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("http.listen: another program has %s already: end that, or set another port: %w", d.cfg.HTTP.Listen, err)
	}
	if err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	return ln, nil
}

// Keys reads the configured key set; nil where there is none.
func Keys(cfg Config) (*seal.Keyset, error) {
	if cfg.KeysetFile == "" {
		return nil, nil
	}
	return seal.OpenFile(cfg.KeysetFile)
}

func (d *Daemon) assemble(ctx context.Context, db *storage.DB, keys *seal.Keyset, listener net.Listener) (bot.Bot, error) {
	inv := inventory.New(inventory.Config{
		Sources: sources(d.clusters), Witnesses: witnesses(d.clusters), Store: db, Every: d.cfg.Every(), Log: d.log,
	})
	if err := inv.Load(ctx); err != nil { // jobs that go on know their containers
		return bot.Bot{}, fmt.Errorf("read the known containers: %w", err)
	}
	parts := struct {
		jobs    map[string]jobs.Proxmox
		reads   map[string]handlers.Proxmox
		tasks   map[string]alerts.Tasks
		past    map[string]inventory.Tasks
		configs map[string]*proxmox.Client
		users   map[string]string
	}{map[string]jobs.Proxmox{}, map[string]handlers.Proxmox{}, map[string]alerts.Tasks{}, map[string]inventory.Tasks{}, map[string]*proxmox.Client{}, map[string]string{}}
	for i, c := range d.clusters {
		parts.jobs[c.Name()], parts.reads[c.Name()], parts.tasks[c.Name()], parts.past[c.Name()], parts.configs[c.Name()] = c, c, c, c, c
		parts.users[c.Name()] = d.cfg.Clusters[i].TokenID
	}

	entered := map[string]handlers.Guest{}
	looked := map[string]services.Guest{}
	setUp := map[string]create.Guest{}
	for _, c := range d.cfg.Clusters {
		if c.SSH != nil {
			client := d.guest(c, db)
			entered[c.Name], looked[c.Name], setUp[c.Name] = client, client, client
		}
	}

	history := inventory.NewHistory(inventory.HistoryConfig{Clusters: parts.past, TokenUser: parts.users, Store: db, Now: time.Now, Log: d.log})

	tables := &drift{db: db, log: d.log}
	var h *handlers.Handlers
	var keep *live.Live
	var alarm *alerts.Alerts
	var inside *services.Services
	made := d.creation(db, inv, setUp, parts.users, func(ctx context.Context, id inventory.ID) error {
		c, ok := inv.Snapshot().ByID(id)
		if !ok {
			return nil
		}
		_, err := inside.Scan(ctx, c)
		return err
	}, func(ctx context.Context, j jobs.Job, p create.Progress) (create.Message, error) {
		return h.Creating(ctx, j, p)
	})
	runner := jobs.New(jobs.Config{
		Clusters: parts.jobs, TokenUser: parts.users, Store: db, Events: db, Inventory: inv, Holder: d.replica.name, Now: time.Now, Log: d.log,
		Changed:  func(id inventory.ID) { keep.Touch(); alarm.Acted(id) },
		Accepted: func(ctx context.Context, j jobs.Job) error { return h.Accepted(ctx, j) },
		Told:     func(ctx context.Context, j jobs.Job) error { return h.Told(ctx, j) },
		Waiting:  func(ctx context.Context, j jobs.Job) { h.Waiting(ctx, j) },
		Maker:    made.creator,
	})
	watched := make([]chat.Platform, len(d.platforms))
	for i, p := range d.platforms {
		watched[i] = d.metrics.Watch(p)
	}
	alarm = alerts.New(alerts.Config{
		Platforms: watched, Channels: d.ops(),
		Routes: d.cfg.Alerts.routes(), Limits: d.cfg.Alerts.limits(),
		Store: db, Clusters: parts.tasks, Busy: runner.Busy, Fleet: inv.Snapshot, Replicas: d.replica, Now: time.Now, Log: d.log,
	})
	inside = services.New(services.Config{
		Guests: looked, Fleet: inv.Snapshot, Store: db, Every: d.cfg.Services(), Now: time.Now, Log: d.log,
		Target:  func(ctx context.Context, c *inventory.Container) guest.Target { return h.Target(ctx, c) },
		Changed: func(id inventory.ID) { keep.Touch(); alarm.Acted(id) },
		Scanned: alarm.Scanned,
	})
	keep = live.New(live.Config{
		Platforms: watched, Store: db, Replicas: d.replica, Now: time.Now, Log: d.log, Skipped: d.metrics.Skipped,
		View: func(filter string, space chat.Space, changed, confirmed time.Time) chat.Message {
			return h.SharedBoard(filter, space, changed, confirmed)
		},
	})
	var front *bot.Dispatcher
	examiner := d.doctor(db, keys, inv, alarm, func(on chat.PlatformName) time.Time { return front.Heard(on) })
	h = handlers.New(handlers.Deps{
		Log: d.log, Policy: d.rules, Inventory: inv, Clusters: parts.reads, Guests: entered, Services: inside, HostKeys: db, Vault: seal.NewVault(keys, db), Jobs: runner, Live: keep, Events: db, History: history,
		Confirmations: db, Repeats: db, Every: d.cfg.Every(), Now: time.Now, Platforms: watched, Ops: func(ctx context.Context, j jobs.Job) {
			d.metrics.JobEnded(string(j.Action), string(j.State))
			alarm.JobEnded(ctx, j)
		},
		Alerts: alarm, Audit: db, Drift: tables.how, Doctor: examiner, Version: Version(),
		Templates: d.library.Load, Catalog: made.catalog, Drafts: db,
		NextID: func(ctx context.Context, cluster string) (int, error) { return parts.configs[cluster].NextID(ctx) },
	})
	h.CredentialFiles = func(c *inventory.Container) []guest.CredentialFile {
		return d.cfg.CredentialFiles(handlers.TargetOf(c))
	}
	router, err := handlers.NewRouter(d.log, d.rules, db, inv, db, time.Now, h.Routes()...)
	if err != nil {
		return bot.Bot{}, err
	}
	front = bot.NewDispatcher(router, d.metrics)

	counted := func() {
		states, open := map[string]int{}, map[string]int{string(jobs.Submitting): 0, string(jobs.Running): 0}
		for _, st := range inventory.States {
			states[string(st)] = inv.Snapshot().Count(st)
		}
		for _, j := range runner.All() {
			open[string(j.State)]++
		}
		d.metrics.States(open, states)
		for _, p := range d.platforms {
			d.metrics.Connected(p.Name(), p.Health())
		}
	}
	var ours atomic.Bool // the boards, in this period
	ours.Store(true)
	refresh := bot.Refresh{
		Every: d.cfg.Every(), Log: d.log,
		One: func(ctx context.Context, cluster string) {
			rep, err := inv.Refresh(ctx, cluster)
			if err == nil {
				err = rep.Err
			}
			d.metrics.Refreshed(cluster, time.Now(), err)
			if err != nil && ctx.Err() == nil {
				now, _ := inv.Snapshot().Cluster(cluster)
				d.log.WarnContext(ctx, "a refresh did not work", "cluster", cluster, "since", now.Since.UTC().Format(time.RFC3339), "err", err)
			} else if rep.Healed {
				d.log.InfoContext(ctx, "the cluster answers again", "cluster", cluster)
			}
			alarm.Look(ctx, rep)
			inside.Look(rep)
			if rep.Claimed {
				history.Follow(ctx, rep.Changes)
			}
			if cluster == d.clusters[0].Name() {
				ours.Store(rep.Claimed || err != nil)
			}
		},
		After: func(ctx context.Context) {
			if err := runner.Sync(ctx); err != nil && ctx.Err() == nil {
				d.log.ErrorContext(ctx, "read the open jobs", "err", err)
			} else if err == nil {
				d.sweep(ctx, inv, runner)
			}
			counted()
			if ours.Load() {
				keep.Tick()
			} else {
				// Of several processes one edits the boards. The others look
				// later whether it did: it may have lost its chat, or ended.
				keep.TickPanels()
				time.AfterFunc(d.cfg.Every()/2, keep.Touch)
			}
			inv.Learn(ctx, func(ctx context.Context, c *inventory.Container) (proxmox.ContainerConfig, error) {
				return parts.configs[c.Cluster].ContainerConfig(ctx, c.Ref())
			})
		},
	}
	for _, c := range d.clusters {
		refresh.Clusters = append(refresh.Clusters, c.Name())
	}
	return bot.Bot{
		Platforms: d.platforms,
		Lost:      alarm.PlatformLost,
		Handler:   front,
		Log:       d.log,
		Parts: map[string]bot.Runner{
			"refresh": refresh,
			"alerts":  alarm,
			"endings": bot.Every{Period: 12 * time.Hour, Do: func(ctx context.Context) { d.endings(ctx, alarm) }},
			"rules":   bot.RunFunc(func(ctx context.Context) error { return d.rules.run(ctx, alarm) }),
			"jobs":    runner,
			"old jobs": bot.Every{Period: 24 * time.Hour, Do: func(ctx context.Context) {
				err := runner.Purge(ctx)
				if _, old := db.PurgeIncidents(ctx, time.Now().Add(-incidentsFor)); old != nil {
					err = errors.Join(err, old)
				}
				if err != nil && ctx.Err() == nil {
					d.log.ErrorContext(ctx, "remove old jobs and incidents", "err", err)
				}
			}},
			"old drafts": bot.Every{Period: time.Hour, Do: func(ctx context.Context) {
				_, err := db.PurgeDrafts(ctx, handlers.DraftFor)
				if err = errors.Join(err, db.PurgeLeases(ctx)); err != nil && ctx.Err() == nil {
					d.log.ErrorContext(ctx, "remove old drafts and leases", "err", err)
				}
			}},
			"old deliveries": bot.Every{Period: time.Hour, Do: func(ctx context.Context) {
				if err := db.PurgeInvocations(ctx); err != nil && ctx.Err() == nil {
					d.log.ErrorContext(ctx, "remove old deliveries", "err", err)
				}
			}},
			"services": inside,
			"catalog":  made.catalog,
			"boards":   keep,
			"tables": bot.Every{Period: time.Minute, Do: func(ctx context.Context) {
				tables.look(ctx)
				alarm.Drifted(ctx, tables.how())
			}},
			"audit": bot.Every{Period: 24 * time.Hour, Do: func(ctx context.Context) { d.prune(ctx, db) }},
			"http":  bot.Health{Listener: listener, Checks: d.checks(db, tables, inv, alarm, examiner), Metrics: d.metrics, Platforms: d.platforms, Log: d.log},
		},
	}, nil
}

// limits and routes are what package alerts makes of the configuration.
func (c AlertsConfig) limits() alerts.Limits {
	d, err := time.ParseDuration(c.For)
	if err != nil {
		d = 10 * time.Minute
	}
	return alerts.Limits{CPU: c.CPU, Memory: c.Memory, Disk: c.Disk, For: d}
}

func (c AlertsConfig) routes() []alerts.Route {
	var routes []alerts.Route
	for _, r := range c.Routes {
		routes = append(routes, alerts.Route{
			Tags: r.Tags, Severity: r.Severity, Channels: map[chat.PlatformName]string{chat.Slack: r.Slack, chat.Discord: r.Discord},
		})
	}
	return routes
}

// endings tells of certificates and tokens that are about to expire.
func (d *Daemon) endings(ctx context.Context, alarm *alerts.Alerts) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i, c := range d.clusters {
		for host, at := range c.Certificates(ctx) {
			alarm.Expires(ctx, c.Name(), "The certificate of "+host, at)
		}
		if day, err := time.Parse(time.DateOnly, d.cfg.Clusters[i].TokenExpires); err == nil {
			alarm.Expires(ctx, c.Name(), "The API token of cluster "+c.Name(), day)
		}
	}
}

// prune removes lines of the audit that are older than they are to be kept.
func (d *Daemon) prune(ctx context.Context, db *storage.DB) {
	days := d.cfg.Audit.KeepDays
	if days == 0 {
		return
	}
	now := time.Now()
	n, err := db.PruneAudit(ctx, now.AddDate(0, 0, -days), now)
	switch {
	case err != nil && ctx.Err() == nil:
		d.log.ErrorContext(ctx, "remove old lines of the audit", "err", err)
	case n > 0:
		d.log.InfoContext(ctx, "old lines of the audit removed", "lines", n, "older_than_days", days)
	}
}

func sources(clients []*proxmox.Client) []inventory.Source {
	list := make([]inventory.Source, len(clients))
	for i, c := range clients {
		list[i] = c
	}
	return list
}

func witnesses(clients []*proxmox.Client) map[string]inventory.Witness {
	m := make(map[string]inventory.Witness, len(clients))
	for _, c := range clients {
		m[c.Name()] = c
	}
	return m
}

// checks are the lines of /readyz.
func (d *Daemon) checks(db *storage.DB, tables *drift, inv *inventory.Inventory, alarm *alerts.Alerts, examiner *doctor.Doctor) func(context.Context) []bot.Check {
	return func(ctx context.Context) []bot.Check {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		base := bot.Check{Name: "database", OK: true, Detail: "answers"}
		if err := db.Ping(ctx); err != nil {
			base.OK, base.Detail = false, err.Error()
		} else if how := tables.how(); how != "" {
			base.OK, base.Detail, base.Minor = false, "the tables differ: "+how, true
		}
		checks := []bot.Check{base, d.rules.check()}
		for _, p := range d.platforms {
			h := p.Health()
			checks = append(checks, bot.Check{Name: string(p.Name()), OK: h.OK, Detail: h.Detail, Since: h.Since})
		}
		for _, c := range inv.Snapshot().Clusters {
			check := bot.Check{Name: "cluster/" + c.Name, OK: !c.Stale() && !c.At.IsZero(), Detail: "answers", Since: c.At}
			switch {
			case c.Stale():
				check.Detail, check.Since = jobs.Reason(c.Err), c.Since
			case c.At.IsZero():
				check.Detail = "not read yet"
			}
			checks = append(checks, check)
		}
		for _, t := range alarm.Troubles() {
			checks = append(checks, bot.Check{
				Name: "alerts/" + string(t.Platform), Detail: "channel " + t.Channel + " takes no alerts: " + t.Why, Since: t.Since, Minor: true,
			})
		}
		return append(checks, minor(examiner.Known())...)
	}
}

// Explain adds to an error what an operator can do about it.
func Explain(err error) string {
	var api *proxmox.APIError
	text := err.Error()
	if errors.As(err, &api) && errors.Is(err, proxmox.ErrUnauthorized) && !strings.Contains(text, "token_secret") {
		text += " (look at token_id and token_secret)"
	}
	return text
}
