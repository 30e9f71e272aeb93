// Package doctor examines what pvechat stands on: the clusters, the chat
// platforms, the database, the key set, SSH, the clocks and the templates.
//
// The checks are the same in the chat, on the command line and in /readyz. Each
// line says what is the case, and where that is not as it should be, what to do
// about it. Nothing is changed, and no line holds a secret.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// State says how good something is.
type State string

// States, worst first.
const (
	Bad     State = "bad"     // something that people can ask for does not work
	Warning State = "warning" // it works, with less, or not for long
	Good    State = "good"
)

// Check is one line.
type Check struct {
	Name    string // stable, for programs: "cluster/home", "node/home/pve3", "slack"
	Title   string // of a good line what it is about, else what is wrong: "Node pve3 does not answer"
	State   State
	Detail  string    // the facts
	Since   time.Time // since when it is so; zero where nobody knows
	Fix     string    // what to do; "" where it is good
	Command string    // to be run as it stands; "" for none
}

// Report is what one examination found, worst first.
type Report struct {
	Checks []Check
	At     time.Time
	Took   time.Duration
}

// Count is how many lines are in a state.
func (r Report) Count(s State) int {
	n := 0
	for _, c := range r.Checks {
		if c.State == s {
			n++
		}
	}
	return n
}

// OK reports whether no line is bad.
func (r Report) OK() bool { return r.Count(Bad) == 0 }

// Config says what is to be examined. What is nil or empty is left out.
type Config struct {
	Clusters  []Cluster
	Platforms []Platform

	// Tables looks at the database, Secrets opens the canary with the key set.
	Tables  func(ctx context.Context) Tables
	Secrets func(ctx context.Context) Secrets

	// Templates are how many there are; the error names the files that are
	// broken.
	Templates func() (n int, err error)

	// Access says which rules are in force, and why a newer file of them is
	// not.
	Access func() (version string, refused error)

	Now func() time.Time // nil: time.Now
}

// Doctor examines. It is safe for concurrent use.
type Doctor struct{ cfg Config }

// New makes a Doctor. It does no I/O.
func New(cfg Config) *Doctor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Doctor{cfg}
}

// patience is how long one thing may take to answer. A token that is refused
// takes Proxmox 3 s to say.
const patience = 12 * time.Second

// Run examines everything at once, over the network too. It takes as long as
// the slowest answer, and not longer than 15 s.
func (d *Doctor) Run(ctx context.Context) Report {
	began := d.cfg.Now()
	var parts []func(context.Context) []Check
	for _, c := range d.cfg.Clusters {
		parts = append(parts, func(ctx context.Context) []Check { return c.ask(ctx, began) }, func(context.Context) []Check { return c.ssh() })
	}
	for _, p := range d.cfg.Platforms {
		parts = append(parts, p.ask)
	}
	parts = append(parts, d.tables, d.secrets, func(context.Context) []Check { return append(d.templates(), d.access()...) })
	found := make([][]Check, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			found[i] = part(ctx)
		})
	}
	wg.Wait()
	return Report{Checks: worstFirst(slices.Concat(found...)), At: began, Took: d.cfg.Now().Sub(began)}
}

// Known is what can be said at once: from memory and from files of this
// machine, without a call to anybody.
func (d *Doctor) Known() Report {
	now := d.cfg.Now()
	var found []Check
	for _, c := range d.cfg.Clusters {
		found = append(found, c.known(now)...)
		found = append(found, c.ssh()...)
	}
	for _, p := range d.cfg.Platforms {
		found = append(found, p.known()...)
	}
	found = append(append(found, d.templates()...), d.access()...)
	return Report{Checks: worstFirst(found), At: now}
}

func worstFirst(list []Check) []Check {
	rank := map[State]int{Bad: 0, Warning: 1, Good: 2}
	slices.SortStableFunc(list, func(a, b Check) int { return cmp.Compare(rank[a.State], rank[b.State]) })
	return list
}

// Tables is what the database says of itself.
type Tables struct {
	Engine, Version string
	Applied, All    int // migrations
	Problem         string
	Soft            bool // it is put right at the next start by itself
	Fix, Command    string
}

func (d *Doctor) tables(ctx context.Context) []Check {
	if d.cfg.Tables == nil {
		return nil
	}
	t := d.cfg.Tables(ctx)
	c := Check{Name: "database", Title: "Database", State: Good}
	if t.Engine != "" {
		c.Detail = strings.TrimSpace(t.Engine+" "+t.Version) + fmt.Sprintf(", schema %d of %d", t.Applied, t.All)
	}
	switch {
	case t.Problem == "":
		c.Detail += ", no drift"
		return []Check{c}
	case t.Engine == "":
		c.Title, c.Detail = "The database does not answer", t.Problem
	case t.Soft:
		c.Title, c.Detail = "The database is behind", c.Detail+"; "+t.Problem
	default:
		c.Title, c.Detail = "The database is not as it should be", c.Detail+"; "+t.Problem
	}
	c.State, c.Fix, c.Command = Bad, t.Fix, t.Command
	if t.Soft {
		c.State = Warning
	}
	return []Check{c}
}

// Secrets is what became of the key set.
type Secrets struct {
	None    bool // none is configured
	Unused  bool // the database has nothing sealed yet
	Problem string
	Fix     string
	Command string
}

func (d *Doctor) secrets(ctx context.Context) []Check {
	if d.cfg.Secrets == nil {
		return nil
	}
	s := d.cfg.Secrets(ctx)
	c := Check{Name: "secrets", Title: "Secrets", State: Good, Detail: "key opens the test row"}
	switch {
	case s.Problem != "":
		return []Check{{Name: c.Name, Title: "The key set opens nothing", State: Bad, Detail: s.Problem, Fix: s.Fix, Command: s.Command}}
	case s.None:
		c.Detail = "no keyset_file: no credentials can be kept"
	case s.Unused:
		c.Detail = "key set readable, nothing sealed yet"
	}
	return []Check{c}
}

func (d *Doctor) templates() []Check {
	if d.cfg.Templates == nil {
		return nil
	}
	n, err := d.cfg.Templates()
	if err == nil {
		return []Check{{Name: "templates", Title: "Templates", State: Good, Detail: fmt.Sprintf("%d read", n)}}
	}
	return []Check{{
		Name: "templates", Title: "Some templates are left out", State: Warning, Detail: fmt.Sprintf("%d read; %v", n, err),
		Fix: "Correct these files in templates_dir, then send pvechat a SIGHUP.",
	}}
}

func (d *Doctor) access() []Check {
	if d.cfg.Access == nil {
		return nil
	}
	version, refused := d.cfg.Access()
	if refused == nil {
		return []Check{{Name: "access", Title: "Access", State: Good, Detail: "rules " + version}}
	}
	return []Check{{
		Name: "access", Title: "Newer access rules were not taken", State: Warning, Detail: refused.Error() + "; those of before hold (" + version + ")",
		Fix: "Correct the configuration, then send pvechat a SIGHUP.",
	}}
}

// Chat is a platform that can be asked, whether or not the bot is connected.
type Chat interface {
	Name() chat.PlatformName
	// Rights asks what the bot may do there, and whether it may write to a
	// channel; "" is none.
	Rights(ctx context.Context, channel string) (chat.Rights, error)
}

// Platform is a chat platform.
type Platform struct {
	Chat Chat

	// Health is the state of a running bot's connection; nil: there is none.
	Health func() chat.Health

	// Heard says when somebody there last did something; nil: nobody knows.
	Heard func() time.Time

	Ops string // the channel that is told of trouble; "" for none

	// Silent says why that channel took no alert the last time; nil, "": it
	// did, or was not tried.
	Silent func() (why string, since time.Time)

	// Setting is where Ops is set, Token the setting of its token.
	Setting, Token string
}

func (p Platform) title() string {
	name := string(p.Chat.Name())
	return strings.ToUpper(name[:1]) + name[1:]
}

// known is what a running bot remembers.
func (p Platform) known() []Check {
	name := string(p.Chat.Name())
	var list []Check
	if p.Health != nil {
		h := p.Health()
		c := Check{Name: name, Title: p.title(), State: Good, Detail: h.Detail, Since: h.Since}
		if p.Heard != nil {
			if at := p.Heard(); !at.IsZero() {
				c.Detail = joined(c.Detail, "last heard at "+at.UTC().Format("15:04:05 UTC"))
			}
		}
		if !h.OK {
			c.State, c.Title = Bad, p.title()+" is not connected"
			c.Fix = "Look at the network, and at " + p.Token + "; pvechat goes on trying."
		}
		list = append(list, c)
	}
	switch {
	case p.Ops == "":
		list = append(list, Check{
			Name: "ops/" + name, Title: "Nobody on " + p.title() + " is told of trouble", State: Warning, Detail: p.Setting + " is not set",
			Fix: "Set " + p.Setting + " to the id of a channel that pvechat is in.",
		})
	case p.Silent != nil:
		if why, since := p.Silent(); why != "" {
			list = append(list, p.silent(why, "", since))
		}
	}
	return list
}

// silent is an ops channel that takes nothing; allow is what can be done there.
func (p Platform) silent(why, allow string, since time.Time) Check {
	return Check{
		Name: "ops/" + string(p.Chat.Name()), Title: "The ops channel on " + p.title() + " takes no messages", State: Bad,
		Detail: "channel " + p.Ops + ": " + why, Since: since,
		Fix: cmp.Or(allow, "Invite pvechat to that channel and let it write there") + ", or name another one as " + p.Setting + ".",
	}
}

// ask also asks the platform.
func (p Platform) ask(ctx context.Context) []Check {
	list := p.known()
	name := string(p.Chat.Name())
	connected := slices.IndexFunc(list, func(c Check) bool { return c.Name == name })
	if connected >= 0 && list[connected].State != Good {
		return list // the token was refused, or nothing can be asked
	}
	rights, err := p.Chat.Rights(ctx, p.Ops)
	if err != nil {
		c := Check{Name: name, Title: p.title() + " does not answer", State: Bad, Detail: err.Error(), Fix: "Look at the network between pvechat and " + p.title() + "."}
		if rights.Refused != "" {
			c.Title, c.Fix = p.title()+" refuses the token", "Copy it anew into "+name+"."+rights.Refused+", then restart pvechat."
		}
		if connected >= 0 {
			list[connected] = c
			return list
		}
		return append(list, c)
	}
	facts := "token accepted"
	switch {
	case rights.Complete:
		facts = "scopes complete"
	case len(rights.Missing) > 0:
		facts = "lacks " + strings.Join(rights.Missing, ", ")
	}
	c := Check{Name: name, Title: p.title(), State: Good, Detail: facts}
	if connected >= 0 {
		list[connected].Detail = joined(list[connected].Detail, facts)
		c = list[connected]
	}
	if len(rights.Missing) > 0 {
		c.State, c.Title, c.Detail = Bad, p.title()+" app lacks "+strings.Join(rights.Missing, ", "), rights.Without
		c.Fix = "Add the scope to the app (pvechat manifest " + name + " shows all), then install the app in the workspace again."
	}
	if connected >= 0 {
		list[connected] = c
	} else {
		list = slices.Insert(list, 0, c)
	}
	said := slices.ContainsFunc(list, func(c Check) bool { return c.Name == "ops/"+name })
	switch {
	case p.Ops == "" || said:
	case rights.Channel != "":
		list = append(list, p.silent(rights.Channel, rights.Allow, time.Time{}))
	default:
		list = append(list, Check{Name: "ops/" + name, Title: "Ops channel on " + p.title(), State: Good, Detail: p.Ops})
	}
	return list
}

// joined puts facts behind each other.
func joined(facts ...string) string {
	return strings.Join(slices.DeleteFunc(facts, func(s string) bool { return s == "" }), " · ")
}
