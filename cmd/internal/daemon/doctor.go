package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/seal"
)

// Examine lets the doctor look at everything that a configuration names, once,
// and beside a running bot: the database is opened for reading only.
func Examine(ctx context.Context, cfg Config, log *slog.Logger) (doctor.Report, error) {
	d, err := New(cfg, log)
	if err != nil {
		return doctor.Report{}, err
	}
	db, dbErr := OpenStorage(ctx, cfg, log, true)
	if dbErr == nil {
		defer db.Close()
	}
	keys, keysErr := Keys(cfg)
	return doctor.New(d.examined(db, dbErr, keys, keysErr)).Run(ctx), nil
}

// examined is what the doctor looks at. Without a database, or a key set,
// there are the reasons for that.
func (d *Daemon) examined(db *storage.DB, dbErr error, keys *seal.Keyset, keysErr error) doctor.Config {
	cfg := doctor.Config{
		Tables: func(ctx context.Context) doctor.Tables { return tablesOf(ctx, db, dbErr) },
		Secrets: func(ctx context.Context) doctor.Secrets {
			return d.secretsOf(ctx, db, keys, errors.Join(keysErr, dbErr))
		},
		Templates: d.templates,
	}
	for i, c := range d.cfg.Clusters {
		cluster := doctor.Cluster{
			Name: c.Name, Alone: len(d.cfg.Clusters) == 1, API: d.clusters[i], TokenID: c.TokenID, Insecure: c.Insecure, Allowed: d.allowed,
		}
		for _, origin := range c.URLs {
			if u, err := url.Parse(origin); err == nil && u.Scheme == "https" {
				cluster.Hosts = append(cluster.Hosts, u.Host)
			}
		}
		cluster.Expires, _ = time.Parse(time.DateOnly, c.TokenExpires) // was checked when it was read
		if s := c.SSH; s != nil {
			client := d.guest(c, db)
			cluster.KeyFile = s.KeyFile
			cluster.SSH = func() error { return client.Check(context.Background()) }
		}
		cfg.Clusters = append(cfg.Clusters, cluster)
	}
	for _, p := range d.platforms {
		name := p.Name()
		cfg.Platforms = append(cfg.Platforms, doctor.Platform{
			Chat: p.(doctor.Chat), Ops: d.ops()[name], Setting: "channels.ops." + string(name), Token: string(name) + ".bot_token",
		})
	}
	return cfg
}

// What New makes can be asked.
var _, _ doctor.Chat = (*slack.Adapter)(nil), (*discord.Adapter)(nil)

var _, _ directory = (*slack.Adapter)(nil), (*discord.Adapter)(nil)

// doctor is that of a running bot, which remembers more and has to ask less.
func (d *Daemon) doctor(db *storage.DB, keys *seal.Keyset, inv *inventory.Inventory, alarm *alerts.Alerts, heard func(chat.PlatformName) time.Time) *doctor.Doctor {
	cfg := d.examined(db, nil, keys, nil)
	for i := range cfg.Clusters {
		c := &cfg.Clusters[i]
		c.Last = func() inventory.Cluster {
			last, _ := inv.Snapshot().Cluster(c.Name)
			return last
		}
		c.On = func(node string) (n int) {
			for x := range inv.Snapshot().WorstFirst() {
				if x.Cluster == c.Name && x.Node == node {
					n++
				}
			}
			return n
		}
	}
	for i := range cfg.Platforms {
		p := &cfg.Platforms[i]
		p.Health = d.platforms[i].Health
		p.Heard = func() time.Time { return heard(p.Chat.Name()) }
		p.Silent = func() (string, time.Time) {
			for _, t := range alarm.Troubles() {
				if t.Platform == p.Chat.Name() && t.Channel == p.Ops {
					return t.Why, t.Since
				}
			}
			return "", time.Time{}
		}
	}
	cfg.Access = d.rules.verdict
	cfg.Templates = func() (int, error) { return len(d.library.Load().All()), *d.refused.Load() }
	return doctor.New(cfg)
}

// ops are the channels that are told of trouble.
func (d *Daemon) ops() map[chat.PlatformName]string {
	return map[chat.PlatformName]string{chat.Slack: d.cfg.Channels.Ops.Slack, chat.Discord: d.cfg.Channels.Ops.Discord}
}

// guest is the way into a cluster's containers.
func (d *Daemon) guest(c ClusterConfig, keys guest.HostKeys) *guest.Client {
	s := c.SSH
	return guest.New(guest.Config{
		User: s.User, Port: s.Port, ViaNode: s.Via == "node", NodeAddrs: s.Nodes, KeyFile: s.KeyFile,
		KnownHostsFile: s.KnownHostsFile, HostKeys: keys, Dial: s.Dial, Log: d.log.With("cluster", c.Name),
	})
}

// allowed reports whether the access rules allow something to anybody.
func (d *Daemon) allowed(what access.Permission) bool {
	rules := d.rules.Rules()
	return slices.ContainsFunc(rules.All(), func(r access.Rule) bool { return slices.Contains(rules.Holds(r.Role), what) })
}

// templates reads them anew.
func (d *Daemon) templates() (int, error) {
	lib, err := templates.Load(d.cfg.Templates)
	return len(lib.All()), err
}

func tablesOf(ctx context.Context, db *storage.DB, broken error) doctor.Tables {
	if broken != nil {
		return doctor.Tables{Problem: broken.Error(), Fix: "Look whether the database is up, and at database.url."}
	}
	st, err := db.Status(ctx)
	if err != nil {
		return doctor.Tables{Problem: err.Error(), Fix: "Look whether the database is up, and at database.url."}
	}
	t := doctor.Tables{Engine: st.Engine, Version: st.Version, Applied: len(st.Applied), All: len(st.Applied) + len(st.Pending)}
	var drift []string
	mendable := false
	for _, x := range st.Drift {
		drift = append(drift, x.String())
		mendable = mendable || x.Repairable
	}
	refused := db.Ping(ctx)
	switch {
	case refused != nil:
		t.Problem, t.Fix = refused.Error(), "Make room on its disk, or let it be written to. No action is taken meanwhile."
	case len(st.Newer) > 0:
		t.Problem, t.Fix = "a newer pvechat has migrated it: "+strings.Join(st.Newer, ", "), "Run that pvechat; nothing is ever migrated down."
	case st.NeedsBaseline:
		t.Problem, t.Fix, t.Command = "the tables have no ledger of migrations", "Write it, where they match a known version:", "pvechat migrate --baseline"
	case mendable:
		t.Problem, t.Fix, t.Command = strings.Join(drift, "; "), "Add what is missing; nothing is dropped. Create and delete are refused meanwhile:", "pvechat migrate --repair"
	case len(drift) > 0:
		t.Problem, t.Fix = strings.Join(drift, "; "), "Mend it by hand: pvechat only adds what is missing. Create and delete are refused meanwhile."
	case st.Failed != "":
		t.Problem, t.Fix, t.Command = "a migration failed, and nothing of it was kept: "+st.Failed, "Put right what it names, then:", "pvechat migrate"
	case len(st.Pending) > 0:
		t.Problem, t.Fix, t.Command, t.Soft = "pending: "+strings.Join(st.Pending, ", "), "They are applied at the next start, or now by:", "pvechat migrate", true
	}
	return t
}

func (d *Daemon) secretsOf(ctx context.Context, db *storage.DB, keys *seal.Keyset, broken error) doctor.Secrets {
	file := d.cfg.KeysetFile
	switch wrong, _ := errors.AsType[*seal.ModeError](broken); {
	case file == "":
		return doctor.Secrets{None: true}
	case wrong != nil:
		return doctor.Secrets{Problem: wrong.Error(), Fix: "Let nobody else read it:", Command: "chmod 600 " + file}
	case errors.Is(broken, fs.ErrNotExist) && keys == nil:
		return doctor.Secrets{Problem: broken.Error(), Fix: "Put the file back from its copy; only where there never was one:", Command: "pvechat keys add"}
	case broken != nil:
		return doctor.Secrets{Problem: broken.Error(), Fix: "Put the key set back that this database was used with."}
	}
	used, err := keys.Check(ctx, db)
	if err != nil {
		return doctor.Secrets{Problem: err.Error(), Fix: "Put the key set back that this database was used with: keyset_file is " + file + "."}
	}
	return doctor.Secrets{Unused: !used}
}

// minor are the lines of the doctor that /readyz has besides its own: what is
// not good, and costs nothing to know.
func minor(known doctor.Report) []bot.Check {
	var list []bot.Check
	for _, c := range known.Checks {
		kind, _, _ := strings.Cut(c.Name, "/")
		if c.State != doctor.Good && slices.Contains([]string{"node", "clock", "token", "ssh", "ops", "templates"}, kind) {
			list = append(list, bot.Check{Name: c.Name, Detail: c.Title + ": " + c.Detail, Since: c.Since, Minor: true})
		}
	}
	return list
}
