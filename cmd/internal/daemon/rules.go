package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
)

// ruleError says which rules are wrong.
type ruleError struct{ problems []ruleProblem }

type ruleProblem struct {
	path []any
	text string
}

func (e *ruleError) Error() string {
	var all []string
	for _, p := range e.problems {
		all = append(all, p.text)
	}
	return strings.Join(all, "; ")
}

func (e *ruleError) add(text string, path ...any) {
	e.problems = append(e.problems, ruleProblem{path, text})
}

// The forms of ids. What nobody can have names nobody.
var (
	slackUser  = regexp.MustCompile(`^[UW][A-Z0-9]+$`)
	slackGroup = regexp.MustCompile(`^S[A-Z0-9]+$`)
	snowflake  = regexp.MustCompile(`^[0-9]{1,20}$`)
)

// Rules makes access rules of the configuration.
func (c Config) Rules() (*access.Rules, error) {
	var wrong ruleError
	roles := c.customRoles(&wrong)
	clusters := map[string]bool{}
	for _, cl := range c.Clusters {
		clusters[cl.Name] = true
	}
	var rules []access.Rule
	for i, a := range c.Access {
		at := fmt.Sprintf("access[%d]", i)
		r := access.Rule{Role: access.Role(a.Role)}
		if _, err := access.NewRules([]access.Rule{{Role: r.Role, Users: []string{"any"}}}, roles...); err != nil {
			_, why, _ := strings.Cut(err.Error(), ": ")
			wrong.add(at+".role: "+why, "access", i, "role")
		}
		add := func(into *[]string, platform chat.PlatformName, key string, form *regexp.Regexp, like string, ids []string) {
			for j, id := range ids {
				if !form.MatchString(id) {
					wrong.add(fmt.Sprintf("%s.%s.%s[%d]: %q is no id such as %s", at, platform, key, j, id, like), "access", i, string(platform), key, j)
				}
				*into = append(*into, string(platform)+":"+id)
			}
		}
		add(&r.Users, chat.Slack, "users", slackUser, "U0123456789", a.Slack.Users)
		add(&r.Groups, chat.Slack, "groups", slackGroup, "S0123456789", a.Slack.Groups)
		add(&r.Users, chat.Discord, "users", snowflake, "456789012345678901", a.Discord.Users)
		add(&r.Groups, chat.Discord, "roles", snowflake, "567890123456789012", a.Discord.Roles)
		if len(a.Slack.Roles) > 0 {
			wrong.add(at+".slack.roles: Slack has users and groups", "access", i, "slack", "roles")
		}
		if len(a.Discord.Groups) > 0 {
			wrong.add(at+".discord.groups: Discord has users and roles", "access", i, "discord", "groups")
		}
		if len(r.Users)+len(r.Groups) == 0 {
			wrong.add(at+": it names nobody; add users, groups or roles", "access", i)
		}
		if a.Containers != nil && len(a.Containers) == 0 {
			wrong.add(at+".containers: it is empty, and picks nothing; leave it out for every container", "access", i, "containers")
		}
		for j, s := range a.Containers {
			sel, err := access.ParseSelector(s)
			if err == nil && sel.Cluster() != "" && !clusters[sel.Cluster()] {
				err = fmt.Errorf("%q: there is no cluster %s", s, sel.Cluster())
			}
			if err != nil {
				wrong.add(fmt.Sprintf("%s.containers[%d]: %v", at, j, err), "access", i, "containers", j)
			}
			r.Scope = append(r.Scope, sel)
		}
		rules = append(rules, r)
	}
	if len(wrong.problems) > 0 {
		return nil, &wrong
	}
	return access.NewRules(rules, roles...)
}

// customRoles returns those that are right.
func (c Config) customRoles(wrong *ruleError) []access.CustomRole {
	var roles []access.CustomRole
	for _, name := range slices.Sorted(maps.Keys(c.Roles)) {
		role := access.CustomRole{Name: access.Role(name), Holds: c.Roles[name]}
		if err := role.Check(); err != nil {
			wrong.add("roles: "+err.Error(), "roles", name)
			continue
		}
		roles = append(roles, role)
	}
	return roles
}

// rulebook is the access rules in force, and how they came to be.
type rulebook struct {
	*access.Current
	platforms []chat.Platform
	log       *slog.Logger
	reloads   chan func() (Config, error)

	mu     sync.Mutex
	since  time.Time // when the rules in force were taken
	broken error     // why the last file was not
}

func newRulebook(r *access.Rules, platforms []chat.Platform, log *slog.Logger) *rulebook {
	return &rulebook{
		Current: access.NewCurrent(r), platforms: platforms, log: log, reloads: make(chan func() (Config, error), 1), since: time.Now(),
	}
}

// Reload reads the templates again, and has the access rules read again by
// load, soon. What is wrong with them is logged, for rules told to the ops
// channels too, and what was in force stays.
func (d *Daemon) Reload(load func() (Config, error)) {
	d.loadTemplates()
	select {
	case d.rules.reloads <- load:
	default: // one is due already, and reads the newest
	}
}

// teller tells the ops channels that rules were not taken, and that they are
// right again.
type teller interface {
	RulesRefused(ctx context.Context, why, version string)
	RulesTaken(ctx context.Context)
}

// run takes new rules until ctx ends. Once the platforms answer, it looks up
// whom the first ones name.
func (b *rulebook) run(ctx context.Context, ops teller) error {
	if users, groups := b.Rules().Admins(); len(users)+len(groups) == 0 {
		b.log.WarnContext(ctx, "no access rule makes anybody an admin of every container: nobody can see who may do what")
	}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for _, p := range b.platforms {
			if b.connected(ctx, p) {
				b.lookUp(ctx, p, b.Rules())
			}
		}
	}()
	defer func() { <-looked }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case load := <-b.reloads:
			err := b.take(ctx, load)
			b.mu.Lock()
			b.broken = err
			b.mu.Unlock()
			if err != nil {
				b.log.ErrorContext(ctx, "the access rules were not taken; the ones before stay", "version", b.Rules().Version(), "err", err)
				ops.RulesRefused(ctx, err.Error(), b.Rules().Version())
				continue
			}
			b.log.InfoContext(ctx, "access rules taken", "version", b.Rules().Version(), "rules", len(b.Rules().All()))
			ops.RulesTaken(ctx)
		}
	}
}

func (b *rulebook) connected(ctx context.Context, p chat.Platform) bool {
	for !p.Health().OK {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// check is the line of /readyz. Rules that were not taken do not make the bot
// unready: the ones before stand.
func (b *rulebook) check() bot.Check {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := bot.Check{Name: "access", OK: true, Since: b.since, Detail: "rules " + b.Rules().Version()}
	if b.broken != nil {
		c.Detail += "; the file has others, which were not taken: " + b.broken.Error()
	}
	return c
}

// verdict says which rules are in force, and why those of the file are not.
func (b *rulebook) verdict() (version string, refused error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Rules().Version(), b.broken
}

// take puts the rules of a configuration in force, or says why not.
func (b *rulebook) take(ctx context.Context, load func() (Config, error)) error {
	cfg, err := load()
	if err != nil {
		return err
	}
	rules, err := cfg.Rules()
	if err != nil {
		return err
	}
	odd := map[string]chat.Standing{}
	for _, p := range b.platforms {
		maps.Copy(odd, b.lookUp(ctx, p, rules))
	}
	var unknown []string
	for _, key := range slices.Sorted(maps.Keys(odd)) {
		if odd[key] == chat.Unknown || odd[key] == chat.Robot {
			unknown = append(unknown, fmt.Sprintf("%s: %s", key, odd[key]))
		}
	}
	if len(unknown) > 0 {
		return errors.New("access: " + strings.Join(unknown, "; "))
	}
	if !b.administered(rules, odd) {
		return errors.New("access: no rule makes anybody an admin who could act: every admin would be locked out")
	}
	for _, p := range b.platforms {
		if f, ok := p.(interface {
			Follow(ctx context.Context, groups []string)
		}); ok {
			f.Follow(ctx, groupsOn(p.Name(), rules))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.Set(rules)
	b.since = time.Now()
	return nil
}

// administered reports whether somebody is left who may do everything.
func (b *rulebook) administered(rules *access.Rules, odd map[string]chat.Standing) bool {
	users, groups := rules.Admins()
	for _, key := range append(users, groups...) {
		platform, _, _ := strings.Cut(key, ":")
		on := slices.ContainsFunc(b.platforms, func(p chat.Platform) bool { return string(p.Name()) == platform })
		if _, bad := odd[key]; on && !bad {
			return true
		}
	}
	return false
}

// directory is a platform that can be asked whom ids stand for.
type directory interface {
	Standing(ctx context.Context, users, groups []string) (map[string]chat.Standing, error)
}

// lookUp asks a platform whom the rules name, and logs what is odd about them.
// A platform that does not answer is no reason to keep old rules.
func (b *rulebook) lookUp(ctx context.Context, p chat.Platform, rules *access.Rules) map[string]chat.Standing {
	look, ok := p.(directory)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	found, err := look.Standing(ctx, usersOn(p.Name(), rules), groupsOn(p.Name(), rules))
	if err != nil && ctx.Err() == nil {
		b.log.WarnContext(ctx, "whom the access rules name could not be looked up", "platform", p.Name(), "err", err)
	}
	odd := map[string]chat.Standing{}
	for id, why := range found {
		odd[string(p.Name())+":"+id] = why
		b.log.WarnContext(ctx, "an access rule names nobody who could act", "platform", p.Name(), "id", id, "because", why)
	}
	return odd
}

func usersOn(p chat.PlatformName, rules *access.Rules) []string {
	return named(p, rules, func(r access.Rule) []string { return r.Users })
}

func groupsOn(p chat.PlatformName, rules *access.Rules) []string {
	return named(p, rules, func(r access.Rule) []string { return r.Groups })
}

// named are the ids of a platform in the rules.
func named(p chat.PlatformName, rules *access.Rules, of func(access.Rule) []string) []string {
	var ids []string
	for _, r := range rules.All() {
		for _, key := range of(r) {
			if id, ok := strings.CutPrefix(key, string(p)+":"); ok {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
