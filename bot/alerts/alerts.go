// Package alerts tells the ops channels what is wrong: once when it begins,
// and once when it is over.
package alerts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Tasks is where a container's going down may be explained; *proxmox.Client
// has it.
type Tasks interface {
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
}

// Config is what New needs.
type Config struct {
	Platforms []chat.Platform
	Channels  map[chat.PlatformName]string // the ops channels; none: only the log is told
	Store     Store
	Clusters  map[string]Tasks
	Busy      func(inventory.ID) (jobs.Job, bool)
	Fleet     func() *inventory.Snapshot
	Now       func() time.Time
	Log       *slog.Logger
}

// Alerts raises and clears incidents.
type Alerts struct {
	cfg Config

	mu    sync.Mutex
	works map[chat.PlatformName]bool // platforms that were connected since the start
}

// New makes an Alerts. It does no I/O.
func New(cfg Config) *Alerts { return &Alerts{cfg: cfg, works: map[chat.PlatformName]bool{}} }

// grouped is from how many containers on one message tells of them all.
const grouped = 3

// Look raises and clears what one refresh of one cluster found. Only the
// process that claimed the period calls it; a cluster that fails is looked at
// by all, and the store lets one of them tell.
func (a *Alerts) Look(ctx context.Context, rep inventory.Report) {
	now := a.cfg.Now()
	cluster := "cluster:" + rep.Cluster
	switch {
	case rep.Err != nil:
		if rep.Failing {
			a.raise(ctx, cluster, rep.Cluster, view.Unreachable("Cluster "+rep.Cluster, jobs.Reason(rep.Err), 0, now))
		}
		return
	case rep.Healed || rep.First:
		a.clear(ctx, cluster, func(i Incident) chat.Message { return view.Reachable("Cluster "+rep.Cluster, i.OpenedAt, now) })
	}
	if !rep.Claimed {
		return
	}
	for _, n := range rep.Nodes {
		key := "node:" + rep.Cluster + "/" + n.Node
		if n.Online {
			a.clear(ctx, key, func(i Incident) chat.Message { return view.Reachable("Node "+n.Node, i.OpenedAt, now) })
		} else {
			a.raise(ctx, key, rep.Cluster, view.Unreachable("Node "+n.Node, "Proxmox says that it is not online", a.on(rep.Cluster, n.Node), now))
		}
	}
	if rep.First {
		a.clearReturned(ctx, rep.Cluster)
	}
	a.containers(ctx, rep, now)
}

func (a *Alerts) on(cluster, node string) int {
	n := 0
	for c := range a.cfg.Fleet().WorstFirst() {
		if c.Cluster == cluster && c.Node == node {
			n++
		}
	}
	return n
}

// clearReturned ends incidents whose cause went away while the bot was away.
func (a *Alerts) clearReturned(ctx context.Context, cluster string) {
	open, err := a.cfg.Store.OpenIncidents(ctx)
	if err != nil {
		a.failed(ctx, "read open incidents", err)
		return
	}
	snap := a.cfg.Fleet()
	for _, i := range open {
		if i.Cluster != cluster {
			continue
		}
		if id, ok := strings.CutPrefix(i.Key, "down:"); ok {
			if c, ok := snap.ByID(inventory.ID(id)); ok && c.State == inventory.Running {
				a.clear(ctx, i.Key, func(i Incident) chat.Message { return view.Up(c, i.OpenedAt, a.cfg.Now()) })
			}
		}
		if node, ok := strings.CutPrefix(i.Key, "node:"+cluster+"/"); ok {
			cl, _ := snap.Cluster(cluster)
			if slices.ContainsFunc(cl.Nodes, func(n inventory.Node) bool { return n.Name == node && n.Online }) {
				a.clear(ctx, i.Key, func(i Incident) chat.Message { return view.Reachable("Node "+node, i.OpenedAt, a.cfg.Now()) })
			}
		}
	}
}

// containers tells of those that went down without anybody's action, and of
// those that are back.
func (a *Alerts) containers(ctx context.Context, rep inventory.Report, now time.Time) {
	var down []inventory.Change
	for _, ch := range rep.Changes {
		if ch.After == nil {
			if ch.Before != nil {
				a.forget(ctx, ch.Before.ID, now)
			}
			continue
		}
		c := ch.After
		switch {
		case c.State == inventory.Running:
			a.clear(ctx, "down:"+string(c.ID), func(i Incident) chat.Message { return view.Up(c, i.OpenedAt, now) })
		case ch.Before != nil && ch.Before.State == inventory.Running && c.State == inventory.Stopped && !a.quiet(c):
			down = append(down, ch)
		}
	}
	if len(down) == 0 {
		return
	}
	asked := a.stoppedByPeople(ctx, down, now)
	down = slices.DeleteFunc(down, func(ch inventory.Change) bool { return asked[ch.After.VMID] })
	if len(down) >= grouped {
		list := make([]*inventory.Container, len(down))
		for i, ch := range down {
			list[i] = ch.After
		}
		a.raise(ctx, fmt.Sprintf("many:%s:%d", rep.Cluster, now.Unix()), rep.Cluster, view.ManyDown(list, now))
		return
	}
	for _, ch := range down {
		a.raise(ctx, "down:"+string(ch.After.ID), rep.Cluster, view.Down(ch.After, ch.Before, now))
	}
}

// quiet reports whether nobody wants to hear of a container now.
func (a *Alerts) quiet(c *inventory.Container) bool {
	if _, busy := a.cfg.Busy(c.ID); busy {
		return true
	}
	return c.Lock != "" || slices.Contains(c.TagList(), "pvechat-ignore")
}

// lately is how far back a person's action explains that a container is down.
const lately = 5 * time.Minute

// stoppedByPeople asks Proxmox, once for each node, which of the containers
// somebody stopped, also outside of pvechat.
func (a *Alerts) stoppedByPeople(ctx context.Context, down []inventory.Change, now time.Time) map[int]bool {
	asked := map[int]bool{}
	nodes := map[string]bool{}
	for _, ch := range down {
		c := ch.After
		if nodes[c.Node] {
			continue
		}
		nodes[c.Node] = true
		pve, ok := a.cfg.Clusters[c.Cluster]
		if !ok {
			continue
		}
		tasks, err := pve.Tasks(ctx, c.Node, proxmox.TaskFilter{Source: "all", Since: now.Add(-lately), Limit: 200})
		if err != nil {
			a.failed(ctx, "read the tasks of "+c.Node, err)
			continue
		}
		for _, t := range tasks {
			switch t.Type {
			case "vzstop", "vzshutdown", "vzreboot", "hastop", "vzmigrate", "vzrollback", "vzdestroy", "vzdump":
				asked[t.UPID.VMID()] = true
			}
		}
	}
	return asked
}

// Scanned tells of a container that shows another host key than the one that is
// trusted, and of services that went down. services.Config.Scanned calls it, in
// the process that looked.
func (a *Alerts) Scanned(ctx context.Context, c *inventory.Container, before, after *services.Report) {
	now := a.cfg.Now()
	key := "hostkey:" + string(c.ID)
	switch after.Problem {
	case guest.HostKeyChanged:
		a.raise(ctx, key, c.Cluster, view.HostKeyChanged(c, after.HostKey, now))
		return
	case "":
		a.clear(ctx, key, func(i Incident) chat.Message { return view.HostKeyTrusted(c, i.OpenedAt, now) })
	default:
		return // nothing is known of it now
	}
	var down []services.Service
	fell := false
	for _, s := range after.Services {
		if s.System || s.Inside() || s.Up() || s.State == guest.ServiceStarting {
			continue
		}
		down = append(down, s)
		fell = fell || before.Up(s.Key())
	}
	key = "services:" + string(c.ID)
	switch {
	case len(down) == 0:
		a.clear(ctx, key, func(i Incident) chat.Message { return view.ServicesUp(c, i.OpenedAt, now) })
	case fell && !a.quiet(c):
		a.raise(ctx, key, c.Cluster, view.ServicesDown(c, down, now))
	}
}

// PlatformLost tells the other platforms of one that does not come back by
// itself.
func (a *Alerts) PlatformLost(ctx context.Context, name chat.PlatformName, why error) {
	a.raise(ctx, platformKey(name), "", view.PlatformLost(name, why.Error(), a.cfg.Now()))
}

// Connected ends what PlatformLost began, once a platform is connected after a
// restart. Call it now and then.
func (a *Alerts) Connected(ctx context.Context) {
	for _, p := range a.cfg.Platforms {
		a.mu.Lock()
		back := !a.works[p.Name()] && p.Health().OK
		a.works[p.Name()] = a.works[p.Name()] || back
		a.mu.Unlock()
		if back {
			a.clear(ctx, platformKey(p.Name()), func(i Incident) chat.Message {
				return view.PlatformBack(p.Name(), i.OpenedAt, a.cfg.Now())
			})
		}
	}
}

func platformKey(name chat.PlatformName) string { return "platform:" + string(name) }

// JobFailed tells of a job that did not work.
func (a *Alerts) JobFailed(ctx context.Context, j jobs.Job) {
	key := "job:" + j.ID
	a.raise(ctx, key, j.Cluster, view.JobFailed(j))
	// It is told once and there is nothing to wait for.
	if _, _, err := a.cfg.Store.CloseIncident(ctx, key, a.cfg.Now()); err != nil {
		a.failed(ctx, "close an incident", err)
	}
}

// rulesKey is the incident of access rules that were not taken.
const rulesKey = "rules"

// RulesRefused tells that new access rules were not taken.
func (a *Alerts) RulesRefused(ctx context.Context, why, version string) {
	a.raise(ctx, rulesKey, "", view.RulesRefused(why, version, a.cfg.Now()))
}

// RulesTaken tells that they are right again, if they were not.
func (a *Alerts) RulesTaken(ctx context.Context) {
	a.clear(ctx, rulesKey, func(i Incident) chat.Message { return view.RulesTaken(i.OpenedAt, a.cfg.Now()) })
}

// forget closes what was open of a container that is gone, without a word.
func (a *Alerts) forget(ctx context.Context, id inventory.ID, now time.Time) {
	for _, key := range []string{"down:", "hostkey:", "services:"} {
		if _, _, err := a.cfg.Store.CloseIncident(ctx, key+string(id), now); err != nil {
			a.failed(ctx, "close an incident", err)
		}
	}
}

// raise tells of something, unless it was told of already.
func (a *Alerts) raise(ctx context.Context, key, cluster string, m chat.Message) {
	i := Incident{ID: "a_" + inventory.Token(6), Key: key, Cluster: cluster, Text: m.Summary, OpenedAt: a.cfg.Now()}
	first, err := a.cfg.Store.OpenIncident(ctx, i)
	if err != nil {
		a.failed(ctx, "open an incident", err)
		return
	}
	if !first {
		return
	}
	a.cfg.Log.WarnContext(ctx, "incident", "incident", i.ID, "what", i.Text)
	var posts []Post
	for _, p := range a.cfg.Platforms {
		channel := a.cfg.Channels[p.Name()]
		if channel == "" || key == platformKey(p.Name()) {
			continue
		}
		ref, err := p.Post(ctx, chat.Target{Channel: channel}, m)
		if err != nil {
			a.failed(ctx, "tell the ops channel of "+string(p.Name()), err)
			continue
		}
		posts = append(posts, Post{Platform: p.Name(), Channel: ref.Channel, Message: ref.ID})
	}
	if err := a.cfg.Store.SetIncidentPosts(ctx, i.ID, posts); err != nil {
		a.failed(ctx, "note where an incident was told", err)
	}
}

// clear ends an incident: its messages say so, and each gets one line below.
func (a *Alerts) clear(ctx context.Context, key string, resolved func(Incident) chat.Message) {
	i, was, err := a.cfg.Store.CloseIncident(ctx, key, a.cfg.Now())
	if err != nil {
		a.failed(ctx, "close an incident", err)
		return
	}
	if !was {
		return
	}
	m := resolved(i)
	a.cfg.Log.InfoContext(ctx, "incident over", "incident", i.ID, "what", m.Summary)
	for _, post := range i.Posts {
		for _, p := range a.cfg.Platforms {
			if p.Name() != post.Platform {
				continue
			}
			at := chat.Ref{Platform: post.Platform, Kind: chat.MessageRef, Channel: post.Channel, ID: post.Message}
			err := p.Update(ctx, at, m)
			if err == nil || errors.Is(err, chat.ErrGone) {
				line := chat.Message{Public: true, Summary: m.Summary, Tone: chat.Good, Blocks: []chat.Block{chat.Para{Text: chat.Texts("✅ " + m.Summary)}}}
				_, err = p.Post(ctx, chat.Target{Channel: post.Channel, Thread: at}, line)
			}
			if err != nil {
				a.failed(ctx, "tell the ops channel of "+string(p.Name()), err)
			}
		}
	}
}

func (a *Alerts) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		a.cfg.Log.ErrorContext(ctx, what, "err", err)
	}
}
