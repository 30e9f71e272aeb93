package access_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
)

func person(id string, groups ...string) chat.Person {
	return chat.Person{Platform: chat.Slack, ID: id, Groups: groups}
}

func TestWhoMayDoWhat(t *testing.T) {
	rules, err := access.NewRules([]access.Rule{
		{Role: access.Viewer, Users: []string{"slack:vic"}},
		{Role: access.Operator, Groups: []string{"slack:S1"}, Scope: []access.Selector{{Kind: "tag", Value: "web"}, {Kind: "vmid", Value: "7"}}},
		{Role: access.AdminRole, Users: []string{"slack:ada"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	web, db := access.Target{Tags: []string{"web"}}, access.Target{Tags: []string{"db"}, VMID: 8}
	for name, c := range map[string]struct {
		who  chat.Person
		what access.Permission
		to   access.Target
		want bool
	}{
		"nobody is denied":                         {person("x"), access.View, web, false},
		"nobody may read the help":                 {person("x"), access.Anyone, web, true},
		"a viewer looks":                           {person("vic"), access.View, db, true},
		"a viewer starts nothing":                  {person("vic"), access.Operate, db, false},
		"a group operates in its scope":            {person("x", "S1"), access.Operate, web, true},
		"a VMID is a scope":                        {person("x", "S1"), access.Delete, access.Target{VMID: 7}, true},
		"a group has nothing outside of its scope": {person("x", "S1"), access.View, db, false},
		"rules add up":                             {person("vic", "S1"), access.Operate, web, true},
		"adding up widens no scope":                {person("vic", "S1"), access.Operate, db, false},
		"an operator is no admin":                  {person("x", "S1"), access.Admin, web, false},
		"an admin may all":                         {person("ada"), access.Admin, db, true},
		"another platform's id is another person":  {chat.Person{Platform: chat.Discord, ID: "ada"}, access.View, db, false},
	} {
		if got := rules.May(c.who, c.what, c.to); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if some, all := rules.MaySome(person("x", "S1"), access.View); !some || all {
		t.Errorf("a scoped person may see some, not all: %v %v", some, all)
	}
	if role, scope := rules.RoleOf(person("vic", "S1")); role != access.Operator || len(scope) != 2 {
		t.Errorf("the highest role is %v for %v", role, scope)
	}
}

func TestRulesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, r := range []access.Rule{{Role: "king", Users: []string{"slack:U1"}}, {Role: access.Viewer}} {
		if _, err := access.NewRules([]access.Rule{r}); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
	for _, s := range []string{"", "web", "tag:", "colour:red", "vmid:x"} {
		if _, err := access.ParseSelector(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func TestCustomRolesHoldWhatTheyListAndNothingMore(t *testing.T) {
	night := access.CustomRole{Name: "night", Holds: []access.Permission{access.View, access.Operate}}
	rules, err := access.NewRules([]access.Rule{{Role: "night", Users: []string{"slack:U1"}}}, night)
	if err != nil {
		t.Fatal(err)
	}
	p := person("U1")
	if !rules.May(p, access.Operate, access.Target{}) || rules.May(p, access.Delete, access.Target{}) || rules.May(p, access.Admin, access.Target{}) {
		t.Error("night operates, and neither deletes nor administers")
	}
	if role, _ := rules.RoleOf(p); role != "night" {
		t.Errorf("the role is %q", role)
	}
	for name, c := range map[string]access.CustomRole{
		"without a name":         {Holds: []access.Permission{access.View}},
		"empty":                  {Name: "x"},
		"blind":                  {Name: "x", Holds: []access.Permission{access.Operate}},
		"of unknown permissions": {Name: "x", Holds: []access.Permission{access.View, "fly"}},
		"of one for anyone":      {Name: "x", Holds: []access.Permission{access.View, access.Anyone}},
		"called admin":           {Name: access.AdminRole, Holds: []access.Permission{access.View}},
	} {
		if _, err := access.NewRules(nil, c); err == nil {
			t.Errorf("a role %s was taken", name)
		}
	}
	if _, err := access.NewRules(nil, night, night); err == nil {
		t.Error("two roles of one name were taken")
	}
}

func TestAnOutsiderIsAllowedNothing(t *testing.T) {
	rules, err := access.NewRules([]access.Rule{{Role: access.AdminRole, Users: []string{"slack:U1"}, Groups: []string{"slack:S1"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := person("U1", "S1")
	p.Outsider = true
	for _, what := range []access.Permission{access.Anyone, access.View, access.Admin} {
		if some, all := rules.MaySome(p, what); some || all || rules.May(p, what, access.Target{}) {
			t.Errorf("an outsider may %s", what)
		}
	}
	if role, _ := rules.RoleOf(p); role != access.NoRole {
		t.Errorf("an outsider is %s", role)
	}
}

func TestANodeAndAVMIDCanBeOfOneClusterAlone(t *testing.T) {
	rules, err := access.NewRules([]access.Rule{{Role: access.Viewer, Users: []string{"slack:U1"}, Scope: []access.Selector{
		{Kind: "node", Value: "home/pve1"}, {Kind: "vmid", Value: "home/101"}, {Kind: "pool", Value: "a/b"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[*access.Target]bool{
		{Cluster: "home", Node: "pve1"}:   true,
		{Cluster: "office", Node: "pve1"}: false,
		{Cluster: "home", VMID: 101}:      true,
		{Cluster: "office", VMID: 101}:    false,
		{Cluster: "office", Pool: "a/b"}:  true,
		{Cluster: "office", Pool: "b"}:    false,
	} {
		if got := rules.May(person("U1"), access.View, *to); got != want {
			t.Errorf("%+v: %v", *to, got)
		}
		if got := rules.Covers(0, *to); got != want {
			t.Errorf("%+v: the rule covers it: %v", *to, got)
		}
	}
}

func TestTheVersionFollowsWhatRulesSay(t *testing.T) {
	one := []access.Rule{{Role: access.Viewer, Users: []string{"slack:U1"}}}
	a, _ := access.NewRules(one)
	b, _ := access.NewRules(one)
	c, _ := access.NewRules([]access.Rule{{Role: access.Operator, Users: []string{"slack:U1"}}})
	if a.Version() != b.Version() || a.Version() == c.Version() {
		t.Errorf("versions %s, %s, %s", a.Version(), b.Version(), c.Version())
	}
}

func TestTagsOfRulesAreGuarded(t *testing.T) {
	rules, _ := access.NewRules([]access.Rule{{Role: access.Operator, Users: []string{"slack:U1"}, Scope: []access.Selector{{Kind: "tag", Value: "web"}}}})
	if !rules.Guards("web") || rules.Guards("db") {
		t.Error("web is guarded, db is not")
	}
}

// roles that the fuzzer chooses from, and what each may do, written down once
// more so that the table in the code under test is not its own judge.
var mayDo = map[access.Role]string{
	access.Viewer:    "view",
	"night":          "view operate",
	access.Operator:  "view operate credentials create delete",
	access.AdminRole: "view operate credentials create delete admin",
}

func FuzzNoOrderOfRulesLetsADeniedPersonThrough(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, uint64(1))
	f.Add([]byte("rules of all kinds, in any order, for people and groups"), uint64(99))
	roles := []access.Role{access.Viewer, "night", access.Operator, access.AdminRole}
	who := []string{"slack:a", "slack:b", "discord:a", "discord:b"}
	selectors := []access.Selector{
		{Kind: "tag", Value: "web"},
		{Kind: "pool", Value: "prod"},
		{Kind: "node", Value: "n1"},
		{Kind: "node", Value: "home/n2"},
		{Kind: "cluster", Value: "home"},
		{Kind: "vmid", Value: "101"},
		{Kind: "vmid", Value: "home/102"},
	}
	targets := []access.Target{
		{Cluster: "home", Node: "n1", VMID: 101, Tags: []string{"web", "x"}},
		{Cluster: "home", Node: "n2", VMID: 102},
		{Cluster: "far", Node: "n2", VMID: 102, Pool: "prod"},
		{Cluster: "far", Node: "n3", VMID: 103},
	}
	custom := access.CustomRole{Name: "night", Holds: []access.Permission{access.View, access.Operate}}
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		var rules []access.Rule
		for ; len(raw) >= 3 && len(rules) < 12; raw = raw[3:] {
			r := access.Rule{Role: roles[int(raw[0])%len(roles)]}
			if to := who[int(raw[1])%len(who)]; raw[1]&16 == 0 {
				r.Users = []string{to}
			} else {
				r.Groups = []string{to}
			}
			for i, s := range selectors {
				if raw[2]&(1<<i) != 0 {
					r.Scope = append(r.Scope, s)
				}
			}
			rules = append(rules, r)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		rng.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		compiled, err := access.NewRules(rules, custom)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []chat.Person{
			{Platform: chat.Slack, ID: "a"},
			{Platform: chat.Slack, ID: "b", Groups: []string{"a"}},
			{Platform: chat.Discord, ID: "a", Groups: []string{"b"}},
			{Platform: chat.Discord, ID: "c"},
			{Platform: chat.Slack, ID: "a", Outsider: true},
		} {
			for _, what := range []access.Permission{access.View, access.Operate, access.Credentials, access.Create, access.Delete, access.Admin} {
				some, all := false, false
				for _, to := range targets {
					want := false
					for _, r := range rules {
						if !slices.Contains(strings.Fields(mayDo[r.Role]), string(what)) || !names(r, p) {
							continue
						}
						some, all = true, all || len(r.Scope) == 0
						want = want || len(r.Scope) == 0 || slices.ContainsFunc(r.Scope, func(s access.Selector) bool { return picks(s, to) })
					}
					if got := compiled.May(p, what, to); got != want {
						t.Fatalf("%+v may %s %+v: %v, want %v, by %+v", p, what, to, got, want, rules)
					}
				}
				if gotSome, gotAll := compiled.MaySome(p, what); gotSome != some || gotAll != all {
					t.Fatalf("%+v may %s some: %v, all: %v; want %v, %v, by %+v", p, what, gotSome, gotAll, some, all, rules)
				}
			}
		}
	})
}

func names(r access.Rule, p chat.Person) bool {
	if p.Outsider {
		return false
	}
	if slices.Contains(r.Users, p.Key()) {
		return true
	}
	return slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(r.Groups, string(p.Platform)+":"+g) })
}

func picks(s access.Selector, t access.Target) bool {
	switch vmid := strconv.Itoa(t.VMID); s.Kind {
	case "tag":
		return slices.Contains(t.Tags, s.Value)
	case "pool":
		return t.Pool == s.Value
	case "cluster":
		return t.Cluster == s.Value
	case "node":
		return s.Value == t.Node || s.Value == t.Cluster+"/"+t.Node
	default:
		return s.Value == vmid || s.Value == t.Cluster+"/"+vmid
	}
}

// BenchmarkMay is one check among 1,000 rules, half of which name the person,
// over 10,000 containers.
func BenchmarkMay(b *testing.B) {
	var list []access.Rule
	for i := range 1000 {
		r := access.Rule{Role: access.Operator, Scope: []access.Selector{{Kind: "vmid", Value: strconv.Itoa(20_000 + i)}, {Kind: "tag", Value: fmt.Sprint("t", i)}}}
		if i%2 == 0 {
			r.Groups = []string{"slack:S1"}
		} else {
			r.Users = []string{fmt.Sprint("slack:U", i)}
		}
		list = append(list, r)
	}
	rules, err := access.NewRules(list)
	if err != nil {
		b.Fatal(err)
	}
	targets := make([]access.Target, 10_000)
	for i := range targets {
		targets[i] = access.Target{Cluster: "home", Node: fmt.Sprint("pve", i%5), Pool: "prod", VMID: 100 + i, Tags: []string{"prod", "web", "x"}}
	}
	p := person("U7", "S1", "S2")
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if rules.May(p, access.Operate, targets[i%len(targets)]) {
			b.Fatal("nothing is in reach")
		}
		i++
	}
}
