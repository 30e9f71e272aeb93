// Package access decides whether a person may do something to a container. It
// is pure: rules in, verdict out. Nothing matches means denied, and rules only
// ever add: no order of them lets somebody through whom none of them names.
package access

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/pvechat/pvechat/bot/chat"
)

// Permission is something that a route needs.
type Permission string

// Permissions. Anyone needs no role at all; it is for help, which tells a
// person without rights whom to ask.
const (
	Anyone      Permission = "anyone"
	View        Permission = "view"        // boards, details, events
	Operate     Permission = "operate"     // start, shut down, stop, restart
	Credentials Permission = "credentials" // reveal
	Create      Permission = "create"
	Delete      Permission = "delete"
	Admin       Permission = "admin" // rules, audit, templates, doctor
)

// permissions are those that a role can hold.
var permissions = []Permission{View, Operate, Credentials, Create, Delete, Admin}

// Role is a named set of permissions.
type Role string

// Roles that there always are; each holds what the ones before it hold.
const (
	NoRole    Role = ""
	Viewer    Role = "viewer"
	Operator  Role = "operator"
	AdminRole Role = "admin"
)

var builtin = map[Role][]Permission{
	Viewer:    {View},
	Operator:  {View, Operate, Credentials, Create, Delete},
	AdminRole: {View, Operate, Credentials, Create, Delete, Admin},
}

// NeededRole is the smallest role that always exists and holds p.
func NeededRole(p Permission) Role {
	for _, r := range [...]Role{Viewer, Operator, AdminRole} {
		if slices.Contains(builtin[r], p) {
			return r
		}
	}
	return NoRole
}

// CustomRole is a role of the configuration's own.
type CustomRole struct {
	Name  Role
	Holds []Permission
}

// Check says what is wrong with a custom role.
func (c CustomRole) Check() error {
	switch _, taken := builtin[c.Name]; {
	case c.Name == NoRole:
		return fmt.Errorf("a role needs a name")
	case taken:
		return fmt.Errorf("role %q exists already and cannot be changed", c.Name)
	case len(c.Holds) == 0:
		return fmt.Errorf("role %q is empty", c.Name)
	case !slices.Contains(c.Holds, View):
		return fmt.Errorf("role %q lacks view: who has it could not see what to act on", c.Name)
	}
	for _, p := range c.Holds {
		if !slices.Contains(permissions, p) {
			return fmt.Errorf("role %q: %q is no permission; there are %s", c.Name, p, listed(permissions))
		}
	}
	return nil
}

func listed[S ~string](list []S) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

// Rule gives a role to people, for some containers. All rules that match a
// person add up.
type Rule struct {
	Role   Role
	Users  []string   // chat.Person.Key: "slack:U1"
	Groups []string   // "slack:S1", "discord:2"
	Scope  []Selector // any of these; empty: every container
}

// Selector picks containers: "tag:web", "pool:prod", "node:pve1",
// "cluster:home", "vmid:101". Nodes and VMIDs are those of every cluster,
// unless the cluster is named too: "node:home/pve1", "vmid:home/101".
type Selector struct{ Kind, Value string }

// String is the selector as it is written.
func (s Selector) String() string { return s.Kind + ":" + s.Value }

// ParseSelector reads a selector.
func ParseSelector(s string) (Selector, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok || value == "" || !slices.Contains([]string{"tag", "pool", "node", "cluster", "vmid"}, kind) {
		return Selector{}, fmt.Errorf("%q picks nothing: write tag:, pool:, node:, cluster: or vmid: and a value", s)
	}
	sel := Selector{kind, value}
	if k := sel.key(); kind == "vmid" {
		if _, err := strconv.Atoi(k.value); err != nil {
			return Selector{}, fmt.Errorf("%q: a VMID is a number", s)
		}
	}
	return sel, nil
}

// Cluster is the cluster that the selector names; "" where it names none.
func (s Selector) Cluster() string {
	if s.Kind == "cluster" {
		return s.Value
	}
	return s.key().cluster
}

// Matches reports whether the selector picks a container.
func (s Selector) Matches(t Target) bool {
	one := reach{some: map[key]struct{}{s.key(): {}}}
	return one.covers(t)
}

// key parts the cluster from the value, where a selector can have one: pools
// may have a slash in their names.
func (s Selector) key() key {
	if s.Kind == "node" || s.Kind == "vmid" {
		if cluster, value, ok := strings.Cut(s.Value, "/"); ok {
			return key{s.Kind, cluster, value}
		}
	}
	return key{s.Kind, "", s.Value}
}

// Target is what rules know of a container.
type Target struct {
	Cluster, Node, Pool string
	VMID                int
	Tags                []string
}

// principal is somebody whom a rule names.
type principal struct {
	platform chat.PlatformName
	group    bool
	id       string
}

// key is a selector, parted for lookups.
type key struct{ kind, cluster, value string }

// reach is the containers for which a permission is given.
type reach struct {
	all  bool
	some map[key]struct{}
}

func (r *reach) covers(t Target) bool {
	if r.all {
		return true
	}
	has := func(kind, cluster, value string) bool {
		_, ok := r.some[key{kind, cluster, value}]
		return ok
	}
	for _, tag := range t.Tags {
		if has("tag", "", tag) {
			return true
		}
	}
	if has("cluster", "", t.Cluster) || t.Pool != "" && has("pool", "", t.Pool) ||
		has("node", "", t.Node) || has("node", t.Cluster, t.Node) {
		return true
	}
	vmid := strconv.Itoa(t.VMID)
	return has("vmid", "", vmid) || has("vmid", t.Cluster, vmid)
}

// Rules is a set of rules, compiled so that a check takes the same time however
// many there are. It is immutable.
type Rules struct {
	rules   []Rule
	roles   map[Role][]Permission
	given   map[principal]map[Permission]*reach
	of      map[principal][]int // the rules that name a principal, in order
	version string
}

// NewRules checks and takes over rules.
func NewRules(rules []Rule, custom ...CustomRole) (*Rules, error) {
	r := &Rules{
		rules: slices.Clone(rules), roles: maps.Clone(builtin),
		given: map[principal]map[Permission]*reach{}, of: map[principal][]int{},
	}
	for _, c := range custom {
		if err := c.Check(); err != nil {
			return nil, err
		}
		if _, twice := r.roles[c.Name]; twice {
			return nil, fmt.Errorf("there are two roles %q", c.Name)
		}
		r.roles[c.Name] = slices.Clone(c.Holds)
	}
	for i, rule := range r.rules {
		if _, ok := r.roles[rule.Role]; !ok {
			return nil, fmt.Errorf("access rule %d: there is no role %q, only %s", i+1, rule.Role, listed(slices.Sorted(maps.Keys(r.roles))))
		}
		if len(rule.Users)+len(rule.Groups) == 0 {
			return nil, fmt.Errorf("access rule %d: it names nobody; add users, groups or roles", i+1)
		}
		for _, u := range rule.Users {
			r.give(i, named(u, false))
		}
		for _, g := range rule.Groups {
			r.give(i, named(g, true))
		}
	}
	r.version = r.digest()
	return r, nil
}

// named reads "slack:U1".
func named(key string, group bool) principal {
	platform, id, _ := strings.Cut(key, ":")
	return principal{chat.PlatformName(platform), group, id}
}

// give adds what a rule gives to one whom it names.
func (r *Rules) give(i int, who principal) {
	rule := r.rules[i]
	if !slices.Contains(r.of[who], i) {
		r.of[who] = append(r.of[who], i)
	}
	if r.given[who] == nil {
		r.given[who] = map[Permission]*reach{}
	}
	for _, p := range r.roles[rule.Role] {
		to := r.given[who][p]
		if to == nil {
			to = &reach{some: map[key]struct{}{}}
			r.given[who][p] = to
		}
		to.all = to.all || len(rule.Scope) == 0
		for _, s := range rule.Scope {
			to.some[s.key()] = struct{}{}
		}
	}
}

func (r *Rules) digest() string {
	text, err := json.Marshal(struct {
		Rules []Rule
		Roles map[Role][]Permission
	}{r.rules, r.roles})
	if err != nil {
		panic(err) // strings alone always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:4])
}

// Version names what the rules say: equal on every replica that has the same.
func (r *Rules) Version() string { return r.version }

// All returns the rules in their order. They are not to be changed.
func (r *Rules) All() []Rule { return r.rules }

// Holds returns the permissions of a role.
func (r *Rules) Holds(role Role) []Permission { return r.roles[role] }

// reaches calls f with everything that p is given of a permission, until f
// returns false. Whoever comes from outside is given nothing.
func (r *Rules) reaches(p chat.Person, what Permission, f func(*reach) bool) {
	if p.Outsider {
		return
	}
	if to := r.given[principal{p.Platform, false, p.ID}][what]; to != nil && !f(to) {
		return
	}
	for _, g := range p.Groups {
		if to := r.given[principal{p.Platform, true, g}][what]; to != nil && !f(to) {
			return
		}
	}
}

// May reports whether p may do something to a container.
func (r *Rules) May(p chat.Person, what Permission, to Target) bool {
	may := what == Anyone && !p.Outsider
	r.reaches(p, what, func(given *reach) bool {
		may = may || given.covers(to)
		return !may
	})
	return may
}

// MaySome reports whether p may do something to containers at all, and whether
// to every one.
func (r *Rules) MaySome(p chat.Person, what Permission) (some, all bool) {
	if what == Anyone {
		return !p.Outsider, !p.Outsider
	}
	r.reaches(p, what, func(given *reach) bool {
		some, all = true, all || given.all
		return !all
	})
	return some, all
}

// Naming returns the places of the rules that name p, in their order, from 0.
func (r *Rules) Naming(p chat.Person) []int {
	if p.Outsider {
		return nil
	}
	at := slices.Clone(r.of[principal{p.Platform, false, p.ID}])
	for _, g := range p.Groups {
		at = append(at, r.of[principal{p.Platform, true, g}]...)
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// RoleOf is the highest role that p has for anything, and the scope of the
// rule that gives it (empty: everything).
func (r *Rules) RoleOf(p chat.Person) (Role, []Selector) {
	best, scope := NoRole, []Selector(nil)
	for _, i := range r.Naming(p) {
		rule := r.rules[i]
		more := len(r.roles[rule.Role]) - len(r.roles[best])
		if more > 0 || more == 0 && len(rule.Scope) == 0 {
			best, scope = rule.Role, rule.Scope
		}
	}
	return best, scope
}

// Guards reports whether some rule's scope is made of a tag. Only who may
// administer every container sets such a tag: with it a person would choose
// who may do what.
func (r *Rules) Guards(tag string) bool {
	for _, rule := range r.rules {
		if slices.Contains(rule.Scope, Selector{"tag", tag}) {
			return true
		}
	}
	return false
}

// Covers reports whether rule i reaches a container.
func (r *Rules) Covers(i int, t Target) bool { return Pick(r.rules[i].Scope, t) }

// Pick reports whether any of the selectors picks a container; none pick all.
func Pick(scope []Selector, t Target) bool {
	to := reach{all: len(scope) == 0, some: map[key]struct{}{}}
	for _, s := range scope {
		to.some[s.key()] = struct{}{}
	}
	return to.covers(t)
}

// Admins returns those who may administer every container: keys of users and
// of groups, as rules name them.
func (r *Rules) Admins() (users, groups []string) {
	for _, rule := range r.rules {
		if len(rule.Scope) == 0 && slices.Contains(r.roles[rule.Role], Admin) {
			users, groups = append(users, rule.Users...), append(groups, rule.Groups...)
		}
	}
	return users, groups
}

// Rules returns r: rules that never change are a policy as well.
func (r *Rules) Rules() *Rules { return r }

// Current is the rules that are in force, which can be replaced while they are
// asked. It is safe for concurrent use.
type Current struct{ rules atomic.Pointer[Rules] }

// NewCurrent puts rules in force.
func NewCurrent(r *Rules) *Current {
	var c Current
	c.Set(r)
	return &c
}

// Set puts other rules in force.
func (c *Current) Set(r *Rules) { c.rules.Store(r) }

// Rules returns the rules in force.
func (c *Current) Rules() *Rules { return c.rules.Load() }

// May is [Rules.May].
func (c *Current) May(p chat.Person, what Permission, to Target) bool {
	return c.Rules().May(p, what, to)
}

// MaySome is [Rules.MaySome].
func (c *Current) MaySome(p chat.Person, what Permission) (some, all bool) {
	return c.Rules().MaySome(p, what)
}

// RoleOf is [Rules.RoleOf].
func (c *Current) RoleOf(p chat.Person) (Role, []Selector) { return c.Rules().RoleOf(p) }
