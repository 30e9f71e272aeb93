package handlers_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/handlers"
)

// holds says once more what each role may do, so that the table in package
// access is not its own judge.
var holds = map[access.Role][]access.Permission{
	access.NoRole:    nil,
	access.Viewer:    {access.View},
	"night":          {access.View, access.Operate},
	access.Operator:  {access.View, access.Operate, access.Credentials, access.Create, access.Delete},
	access.AdminRole: {access.View, access.Operate, access.Credentials, access.Create, access.Delete, access.Admin},
}

// Every route that there is, typed and pressed, by every role, everywhere and
// in a scope, on a container in reach and on one out of it, on both platforms.
func TestEveryRouteIsKeptFromWhoeverMayNot(t *testing.T) {
	w := newWorld(t)
	var rules []access.Rule
	for role := range holds {
		if role == access.NoRole {
			continue
		}
		for _, platform := range []string{"slack", "discord"} {
			rules = append(rules,
				access.Rule{Role: role, Users: []string{platform + ":" + string(role) + "-all"}},
				access.Rule{Role: role, Groups: []string{platform + ":" + string(role) + "-web"}, Scope: []access.Selector{{Kind: "tag", Value: "web"}}})
		}
	}
	policy, err := access.NewRules(rules, access.CustomRole{Name: "night", Holds: holds["night"]})
	if err != nil {
		t.Fatal(err)
	}
	var reached string // the route that the last invocation came through to
	routes := handlers.New(handlers.Deps{}).Routes()
	for i := range routes {
		routes[i].Handle = func(_ context.Context, r *handlers.Request) chat.Answer {
			reached = r.Route.Name
			return chat.Answer{}
		}
	}
	router, err := handlers.NewRouter(slog.New(slog.DiscardHandler), policy, w.db, w.inv, w.db, time.Now, routes...)
	if err != nil {
		t.Fatal(err)
	}

	cases, denied := 0, 0
	for _, platform := range []chat.PlatformName{chat.Slack, chat.Discord} {
		for role, may := range holds {
			for _, scoped := range []bool{false, true} {
				for _, outsider := range []bool{false, true} {
					p := chat.Person{Platform: platform, ID: string(role) + "-all", Name: "Pat", Outsider: outsider}
					if scoped {
						p.ID, p.Groups = "someone", []string{string(role) + "-web"}
					}
					for _, rt := range routes {
						for _, target := range []struct {
							vmid    int
							name    string
							inScope bool
						}{{101, "web", true}, {102, "wiki", false}} {
							want := !outsider && (rt.Needs == access.Anyone || contains(may, rt.Needs) &&
								(!scoped || rt.Container && target.inScope || !rt.Container && !rt.Everywhere))
							for how, inv := range ways(rt, w.id(target.vmid), target.vmid) {
								cases++
								inv.Person, inv.ID, inv.Space = p, fmt.Sprint("c", cases), space
								reached = ""
								a := router.Handle(t.Context(), inv)
								name := fmt.Sprintf("%s, %s, scoped %v, outsider %v: %s %s on %s", platform, role, scoped, outsider, how, rt.Name, target.name)
								if got := reached == rt.Name; got != want {
									t.Errorf("%s: came through %v, want %v", name, got, want)
								}
								if want {
									continue
								}
								if a.Now == nil {
									t.Errorf("%s: no answer", name)
									continue
								}
								if strings.Contains(text(a.Now), "Not allowed") {
									denied++
								}
								said := text(a.Now)
								said = said[:max(strings.LastIndex(said, "id "), 0)] // it is random, and may spell a name
								if strings.Contains(said, target.name) && !contains(may, access.View) {
									t.Errorf("%s: it tells of the target:\n%s", name, said)
								} else if m, ok := a.Now.(chat.Message); !ok || m.Public {
									t.Errorf("%s: not private", name)
								}
							}
						}
					}
				}
			}
		}
	}
	if cases < 1000 {
		t.Errorf("only %d cases", cases)
	}
	written, err := w.db.Audit(t.Context(), 100_000)
	if err != nil {
		t.Fatal(err)
	}
	inAudit := 0
	for _, e := range written {
		if e.Outcome == "denied" {
			inAudit++
		}
	}
	if inAudit != denied {
		t.Errorf("%d denials, %d of them in the audit", denied, inAudit)
	}
}

// ways are all ways to a route.
func ways(rt handlers.Route, id string, vmid int) map[string]chat.Invocation {
	ways := map[string]chat.Invocation{}
	if rt.Command != nil {
		inv := chat.Invocation{Kind: chat.Typed, Command: rt.Command.Name, Options: map[string]string{}}
		for _, o := range rt.Command.Options {
			switch {
			case o.Name == "name" && rt.Container:
				inv.Options["name"] = fmt.Sprint(vmid)
			case len(o.Choices) > 0:
				inv.Options[o.Name] = o.Choices[0].Value
			case o.Required:
				inv.Options[o.Name] = "x"
			}
		}
		ways["typed"] = inv
	}
	for _, name := range append([]string{rt.Name}, rt.Aliases...) {
		control := name
		if rt.Container {
			control = id + ":" + name
		}
		switch name {
		case "closed":
			ways["closed"] = chat.Invocation{Kind: chat.Closed, Action: "detail"}
		case "home:opened":
			ways["opened"] = chat.Invocation{Kind: chat.Opened}
		default:
			ways["pressed "+name] = chat.Invocation{Kind: chat.Pressed, Action: control}
			ways["submitted "+name] = chat.Invocation{Kind: chat.Submitted, Action: control}
		}
	}
	return ways
}

func contains(list []access.Permission, p access.Permission) bool {
	for _, q := range list {
		if p == q {
			return true
		}
	}
	return false
}

func TestAccessListsWhoMayDoWhatByWhichRule(t *testing.T) {
	w := newWorld(t)
	a := w.typed("ana", "access")
	says(t, a.Now, "1 · admin for every container")
	says(t, a.Now, "slack:ben · view, operate")
	says(t, a.Now, "2 · operator for tag web")
	wiki := w.typed("ana", "access", "of", "wiki")
	says(t, wiki.Now, "Who may do what to wiki")
	if strings.Contains(text(wiki.Now), "ben") {
		t.Errorf("ben reaches wiki:\n%s", text(wiki.Now))
	}
	ben := w.typed("ana", "access", "of", "ben")
	says(t, ben.Now, "What ben may do")
	if strings.Contains(text(ben.Now), "slack:ana") {
		t.Errorf("it is not about ben:\n%s", text(ben.Now))
	}
	says(t, w.typed("ana", "access", "of", "nobody").Now, "all of it is denied")
	says(t, w.typed("ben", "access").Now, "needs the admin role")
}
