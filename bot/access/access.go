// Package access decides whether a person may do something to a container. It
// is pure: rules in, verdict out. Nothing matches means denied.
package access

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	Delete      Permission = "delete"
	Admin       Permission = "admin"
)

// Role is a named set of permissions.
type Role string

// Roles; each holds what the ones before it hold.
const (
	NoRole    Role = ""
	Viewer    Role = "viewer"
	Operator  Role = "operator"
	AdminRole Role = "admin"
)

var granted = map[Role][]Permission{
	Viewer:    {View},
	Operator:  {View, Operate, Credentials, Delete},
	AdminRole: {View, Operate, Credentials, Delete, Admin},
}

// ParseRole reads a role from a configuration.
func ParseRole(s string) (Role, error) {
	if _, ok := granted[Role(s)]; !ok {
		return NoRole, fmt.Errorf("role %q is none of viewer, operator, admin", s)
	}
	return Role(s), nil
}

// NeededRole is the smallest role that holds p.
func NeededRole(p Permission) Role {
	for _, r := range [...]Role{Viewer, Operator, AdminRole} {
		if slices.Contains(granted[r], p) {
			return r
		}
	}
	return NoRole
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
// "cluster:home", "vmid:101".
type Selector struct{ Kind, Value string }

// ParseSelector reads a selector.
func ParseSelector(s string) (Selector, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok || value == "" || !slices.Contains([]string{"tag", "pool", "node", "cluster", "vmid"}, kind) {
		return Selector{}, fmt.Errorf("%q picks nothing: write tag:, pool:, node:, cluster: or vmid: and a value", s)
	}
	if kind == "vmid" {
		if _, err := strconv.Atoi(value); err != nil {
			return Selector{}, fmt.Errorf("%q: a VMID is a number", s)
		}
	}
	return Selector{kind, value}, nil
}

// Target is what rules know of a container.
type Target struct {
	Cluster, Node, Pool string
	VMID                int
	Tags                []string
}

func (s Selector) matches(t Target) bool {
	switch s.Kind {
	case "tag":
		return slices.Contains(t.Tags, s.Value)
	case "pool":
		return t.Pool == s.Value
	case "node":
		return t.Node == s.Value
	case "cluster":
		return t.Cluster == s.Value
	case "vmid":
		return strconv.Itoa(t.VMID) == s.Value
	}
	return false
}

// Rules is a set of rules. It is immutable.
type Rules struct{ rules []Rule }

// NewRules checks and takes over rules.
func NewRules(rules []Rule) (*Rules, error) {
	for i, r := range rules {
		if _, ok := granted[r.Role]; !ok {
			return nil, fmt.Errorf("access rule %d: role %q is none of viewer, operator, admin", i+1, r.Role)
		}
		if len(r.Users)+len(r.Groups) == 0 {
			return nil, fmt.Errorf("access rule %d: it names nobody; add users, groups or roles", i+1)
		}
	}
	return &Rules{rules: slices.Clone(rules)}, nil
}

// May reports whether p may do something to a container.
func (r *Rules) May(p chat.Person, what Permission, to Target) bool {
	if what == Anyone {
		return true
	}
	for i := range r.rules {
		rule := &r.rules[i]
		if slices.Contains(granted[rule.Role], what) && rule.names(p) && rule.covers(to) {
			return true
		}
	}
	return false
}

// MaySome reports whether p may do something to containers at all, and whether
// to every one.
func (r *Rules) MaySome(p chat.Person, what Permission) (some, all bool) {
	if what == Anyone {
		return true, true
	}
	for i := range r.rules {
		rule := &r.rules[i]
		if slices.Contains(granted[rule.Role], what) && rule.names(p) {
			some = true
			all = all || len(rule.Scope) == 0
		}
	}
	return some, all
}

// RoleOf is the highest role that p has for anything, and the scope of the
// rule that gives it (empty: everything).
func (r *Rules) RoleOf(p chat.Person) (Role, []Selector) {
	best, scope := NoRole, []Selector(nil)
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.names(p) || rank(rule.Role) < rank(best) {
			continue
		}
		if rank(rule.Role) > rank(best) || len(rule.Scope) == 0 {
			best, scope = rule.Role, rule.Scope
		}
	}
	return best, scope
}

func rank(r Role) int { return len(granted[r]) }

func (r *Rule) names(p chat.Person) bool {
	if slices.Contains(r.Users, p.Key()) {
		return true
	}
	for _, g := range p.Groups {
		if slices.Contains(r.Groups, string(p.Platform)+":"+g) {
			return true
		}
	}
	return false
}

func (r *Rule) covers(t Target) bool {
	return len(r.Scope) == 0 || slices.ContainsFunc(r.Scope, func(s Selector) bool { return s.matches(t) })
}
