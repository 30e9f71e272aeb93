package access_test

import (
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
