// Package handlers says what happens when a person does something: one file
// for each thing that a person can do, and the router that finds the right one,
// checks the right to do it, and writes the audit.
package handlers

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

// Policy decides who may do what; *access.Current is one.
type Policy interface {
	May(p chat.Person, what access.Permission, to access.Target) bool
	MaySome(p chat.Person, what access.Permission) (some, all bool)
	RoleOf(p chat.Person) (access.Role, []access.Selector)
	Rules() *access.Rules
}

// Fleet is where containers are found.
type Fleet interface{ Snapshot() *inventory.Snapshot }

// Func answers a request whose target was found and whose right was checked.
type Func func(ctx context.Context, r *Request) chat.Answer

// Route is one thing that a person can do: by a typed command, by a control,
// or both.
type Route struct {
	Name    string        // of the command and of the controls' ids: "ct:<id>:<name>", or "<name>" itself
	Command *chat.Command // nil: by controls only
	Aliases []string      // further names of controls
	Needs   access.Permission
	Timeout time.Duration // zero: 2 s

	// Container routes act on one container: the command names it in the option
	// "name", the control's id holds it. The right is checked for it.
	Container bool

	// Everywhere routes are about all containers: the right is needed for every
	// one of them.
	Everywhere bool

	// Audited routes change or reveal something: they are written to the
	// audit, whatever comes of them (denials always are), and an invocation
	// that another replica was given too does nothing the second time.
	Audited bool

	// Job routes change nothing but by one job, which is made with the
	// request's Delivery and tells a second one by that. Nobody waits for
	// anything else to be written before it.
	Job bool

	Handle Func

	// Several, where a container route has it, answers instead when its command
	// names several: "web,db", "tag:web". The right is checked for each.
	Several Func
}

// Request is an invocation on its way through a route.
type Request struct {
	chat.Invocation
	ID        string               // ties log lines, audit and what the person sees together
	Route     *Route               //
	Container *inventory.Container // of a container route
	Arg       string               // what followed the route in the control's id

	// Containers are those of a command that named several for which the person
	// has the right, by name; LeftOut is how many more there are.
	Containers []*inventory.Container
	LeftOut    int

	outcome, detail, job string
	handed               bool // the audit's line is the job's
}

// newRequest names a request by its delivery, where that has an id: the second
// one is found beside the first.
func newRequest(inv chat.Invocation) *Request {
	const length = 6
	r := &Request{Invocation: inv}
	if d := r.Delivery(); d != "" {
		r.ID = inventory.TokenOf(d)[:length]
	} else {
		r.ID = inventory.Token(length)
	}
	return r
}

// Delivery is the same however often the platform delivers the request; "": that
// cannot be told.
func (r *Request) Delivery() string {
	if r.Invocation.ID == "" {
		return ""
	}
	return r.Person.Key() + ":" + r.Invocation.ID
}

// Note says how it ended, for the audit; without it, it was "ok".
func (r *Request) Note(outcome, detail string) { r.outcome, r.detail = outcome, detail }

// NoteJob ties a job to the audit.
func (r *Request) NoteJob(id string) { r.job = id }

// Accept says that a job was made, which writes the audit's line itself: who
// asked need not wait for that, and it comes also where this process ends before.
func (r *Request) Accept(job string) { r.outcome, r.job, r.handed = "accepted", job, true }

// Router finds the route of an invocation. It is a chat.Handler.
type Router struct {
	log    *slog.Logger
	policy Policy
	audit  Recorder
	fleet  Fleet
	again  Repeats
	now    func() time.Time

	commands []chat.Command
	byName   map[string]*Route // by command
	byID     map[string]*Route // by control
}

// NewRouter checks the routes: each needs a permission, and no two have a name.
func NewRouter(log *slog.Logger, policy Policy, audit Recorder, fleet Fleet, again Repeats, now func() time.Time, routes ...Route) (*Router, error) {
	r := &Router{log: log, policy: policy, audit: audit, fleet: fleet, again: again, now: now, byName: map[string]*Route{}, byID: map[string]*Route{}}
	for i := range routes {
		rt := &routes[i]
		if rt.Needs == "" {
			return nil, fmt.Errorf("route %s has no permission", rt.Name)
		}
		if rt.Handle == nil {
			return nil, fmt.Errorf("route %s does nothing", rt.Name)
		}
		rt.Timeout = cmp.Or(rt.Timeout, 2*time.Second)
		if rt.Command != nil {
			if r.byName[rt.Command.Name] != nil {
				return nil, fmt.Errorf("two routes answer /pve %s", rt.Command.Name)
			}
			r.byName[rt.Command.Name] = rt
			r.commands = append(r.commands, *rt.Command)
		}
		for _, name := range append([]string{rt.Name}, rt.Aliases...) {
			key := routeKey(rt.Container, name)
			if r.byID[key] != nil {
				return nil, fmt.Errorf("two routes answer the control %s", key)
			}
			r.byID[key] = rt
		}
	}
	return r, nil
}

func routeKey(container bool, name string) string {
	if container {
		return "ct:" + name
	}
	return name
}

// Commands lists what can be typed, in the order of the routes.
func (r *Router) Commands() []chat.Command { return slices.Clone(r.commands) }

// Handle answers one invocation.
func (r *Router) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	req := newRequest(inv)
	log := r.log.With("request", req.ID, "platform", inv.Platform(), "person", inv.Person.ID, "kind", inv.Kind.String())
	var answer *chat.Answer
	var known bool
	if inv.Kind == chat.Typed {
		answer, known = r.typed(req)
	} else {
		answer, known = r.pressed(req)
	}
	if !known {
		log.InfoContext(ctx, "nothing answers this", "command", inv.Command, "control", inv.Action)
		return *answer
	}
	log = log.With("route", req.Route.Name)
	if req.Container != nil {
		log = log.With("container", req.Container.ID, "cluster", req.Container.Cluster, "vmid", req.Container.VMID)
	}
	if !r.allowed(req) {
		role, _ := r.policy.RoleOf(inv.Person)
		log.InfoContext(ctx, "denied", "role", role, "needs", req.Route.Needs)
		r.record(ctx, log, req, "denied")
		m := view.Denied(inv.Person, role, access.NeededRole(req.Route.Needs), req.ID)
		return chat.Answer{Now: m}
	}
	if answer != nil {
		return *answer
	}
	ctx = chat.WithRequest(ctx, slog.String("request", req.ID), slog.String("person", inv.Person.Key()), slog.String("route", req.Route.Name))
	if c := req.Container; c != nil {
		ctx = chat.WithRequest(ctx, slog.String("container", string(c.ID)), slog.String("cluster", c.Cluster), slog.Int("vmid", c.VMID))
	}
	ctx, cancel := context.WithTimeout(ctx, req.Route.Timeout)
	defer cancel()
	if req.Route.Audited && !req.Route.Job && r.second(ctx, log, req) {
		return repeated(inv)
	}
	handle := req.Route.Handle
	if len(req.Containers) > 0 {
		handle = req.Route.Several
	}
	a := handle(ctx, req)
	if req.Route.Job && !req.handed && r.second(ctx, log, req) {
		return repeated(inv)
	}
	if then, of := a.Then, ctx; then != nil {
		a.Then = func(ctx context.Context) (chat.Surface, error) { return then(chat.SameRequest(ctx, of)) }
	}
	log.InfoContext(ctx, "answered", "outcome", cmp.Or(req.outcome, "ok"), "detail", req.detail, "job", req.job)
	if req.Route.Audited && !req.handed {
		r.record(ctx, log, req, cmp.Or(req.outcome, "ok"))
	}
	return a
}

// second reports whether a request was delivered before, and says so.
func (r *Router) second(ctx context.Context, log *slog.Logger, req *Request) bool {
	if req.Delivery() == "" {
		return false
	}
	first, err := r.again.First(ctx, req.Delivery())
	if err != nil {
		log.WarnContext(ctx, "tell a repeat", "err", err) // what changes something needs the database itself, and says so
		return false
	}
	if !first {
		log.InfoContext(ctx, "delivered a second time")
	}
	return !first
}

// repeated answers what another replica was given before. What became of it is
// told there; but the answer to a form is lost, and without one it would close.
func repeated(inv chat.Invocation) chat.Answer {
	if inv.Kind != chat.Submitted {
		return chat.Answer{}
	}
	m := view.Twice()
	return chat.Answer{Errors: map[string]string{"": m.Summary}, Now: m}
}

// allowed checks the right. What is not one container needs the right for some.
func (r *Router) allowed(req *Request) bool {
	if req.Container != nil {
		return r.policy.May(req.Person, req.Route.Needs, TargetOf(req.Container))
	}
	if req.LeftOut > 0 && len(req.Containers) == 0 {
		return false
	}
	some, all := r.policy.MaySome(req.Person, req.Route.Needs)
	return all || some && !req.Route.Everywhere
}

// TargetOf is what the rules know of a container.
func TargetOf(c *inventory.Container) access.Target {
	return access.Target{Cluster: c.Cluster, Node: c.Node, Pool: c.Pool, VMID: c.VMID, Tags: c.TagList()}
}

// typed finds a command's route and target. An answer means that it ends here;
// where the route is known, only after the right was checked.
func (r *Router) typed(req *Request) (answer *chat.Answer, known bool) {
	rt := r.byName[req.Command]
	if rt == nil {
		a := chat.Answer{Now: r.unknownCommand(req.Command)}
		return &a, false
	}
	req.Route = rt
	cmd := rt.Command
	if req.Extra != "" {
		a := chat.Answer{Now: view.Misspelt(fmt.Sprintf("/pve %s does not take %q.", cmd.Name, clip(req.Extra)), "Nothing was done. It is typed like this:", []string{view.Usage(*cmd)})}
		return &a, true
	}
	for _, o := range cmd.Options {
		v, given := req.Options[o.Name]
		if o.Required && strings.TrimSpace(v) == "" {
			a := chat.Answer{Now: view.Misspelt(fmt.Sprintf("/pve %s needs a %s.", cmd.Name, o.Name), "It is typed like this:", []string{view.Usage(*cmd)})}
			return &a, true
		}
		if given && len(o.Choices) > 0 && !slices.ContainsFunc(o.Choices, func(c chat.Choice) bool { return c.Value == v }) {
			var values []string
			for _, c := range o.Choices {
				values = append(values, c.Value)
			}
			a := chat.Answer{Now: view.Misspelt(fmt.Sprintf("%q is no %s.", clip(v), o.Name), "These exist: "+strings.Join(values, ", ")+". It is typed like this:", []string{view.Usage(*cmd)})}
			return &a, true
		}
	}
	if rt.Several != nil && strings.ContainsAny(req.Options["name"], ",:") {
		return r.each(req), true
	}
	if rt.Container {
		return r.named(req), true
	}
	return nil, true
}

// named resolves the option "name" among the containers that the person may
// see; others do not exist for them.
func (r *Router) named(req *Request) *chat.Answer {
	name := req.Options["name"]
	snap := r.fleet.Snapshot()
	may := func(c *inventory.Container) bool { return r.policy.May(req.Person, access.View, TargetOf(c)) }
	found := slices.DeleteFunc(snap.Find(name), func(c *inventory.Container) bool { return !may(c) })
	if len(found) == 1 {
		req.Container = found[0]
		return nil
	}
	if len(found) == 0 {
		for _, cl := range snap.Clusters {
			if cl.At.IsZero() && !cl.Stale() {
				return &chat.Answer{Now: view.StillReading(cl.Name)}
			}
		}
	}
	a := chat.Answer{Now: view.Unnamed(name, req.Route.Name, found, nearest(snap, name, may))}
	return &a
}

// each resolves a list of names and selectors among the containers that the
// person may see, and parts those for which the right is there.
func (r *Router) each(req *Request) *chat.Answer {
	snap := r.fleet.Snapshot()
	may := func(c *inventory.Container) bool { return r.policy.May(req.Person, access.View, TargetOf(c)) }
	named := map[inventory.ID]*inventory.Container{}
	for part := range strings.SplitSeq(req.Options["name"], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		var found []*inventory.Container
		if sel, err := access.ParseSelector(part); err == nil {
			for c := range snap.WorstFirst() {
				if sel.Matches(TargetOf(c)) && may(c) {
					found = append(found, c)
				}
			}
			if len(found) == 0 {
				return &chat.Answer{Now: view.Refused("No container matches "+clip(part)+".", "Nothing was done.")}
			}
		} else if found = slices.DeleteFunc(snap.Find(part), func(c *inventory.Container) bool { return !may(c) }); len(found) != 1 {
			return &chat.Answer{Now: view.Unnamed(part, req.Route.Name, found, nearest(snap, part, may))}
		}
		for _, c := range found {
			named[c.ID] = c
		}
	}
	for _, c := range named {
		if r.policy.May(req.Person, req.Route.Needs, TargetOf(c)) {
			req.Containers = append(req.Containers, c)
		} else {
			req.LeftOut++
		}
	}
	slices.SortFunc(req.Containers, func(a, b *inventory.Container) int {
		return cmp.Or(cmp.Compare(a.DisplayName(), b.DisplayName()), cmp.Compare(a.ID, b.ID))
	})
	if len(named) == 0 {
		return &chat.Answer{Now: view.Misspelt("No container was named.", "Nothing was done. It is typed like this:", []string{view.Usage(*req.Route.Command)})}
	}
	return nil
}

// nearest are containers whose name is like what was typed.
func nearest(snap *inventory.Snapshot, name string, may func(*inventory.Container) bool) []*inventory.Container {
	for n := len(name); n >= 2; n-- {
		if list := snap.Suggest(name[:n], 5, may); len(list) > 0 {
			return list
		}
	}
	return nil
}

func (r *Router) unknownCommand(word string) chat.Surface {
	best, far := "", 4
	var all []string
	for _, c := range r.commands {
		all = append(all, c.Name)
		if d := distance(strings.ToLower(word), c.Name); d < far {
			best, far = c.Name, d
		}
	}
	why := "There are: " + strings.Join(all, ", ") + "."
	if best != "" {
		return view.Misspelt(fmt.Sprintf("There is no /pve %s.", clip(word)), "Did you mean this? "+why, []string{view.Usage(*r.byName[best].Command)})
	}
	return view.Misspelt(fmt.Sprintf("There is no /pve %s.", clip(word)), why, nil)
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

// distance is Levenshtein's: how many letters differ.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// pressed finds a control's route and target by its id.
func (r *Router) pressed(req *Request) (answer *chat.Answer, known bool) {
	id := req.Action
	if strings.HasPrefix(req.Value, "ct:") { // a list whose entries are containers
		id = req.Value + ":show"
	}
	switch req.Kind {
	case chat.Closed:
		id = "closed"
	case chat.Opened:
		id = "home:opened"
	}
	if rest, ok := strings.CutPrefix(id, "ct:"); ok {
		own, rest, _ := strings.Cut(rest, ":")
		name, arg, _ := strings.Cut(rest, ":")
		req.Arg = arg
		if req.Route = r.byID["ct:"+name]; req.Route == nil {
			return &chat.Answer{}, false
		}
		c, ok := r.fleet.Snapshot().ByID(inventory.ID(own))
		if !ok {
			a := chat.Answer{Now: view.Replaced()}
			return &a, true
		}
		req.Container = c
		return nil, true
	}
	for name := id; name != ""; {
		if rt := r.byID[name]; rt != nil {
			req.Route, req.Arg = rt, strings.TrimPrefix(strings.TrimPrefix(id, name), ":")
			return nil, true
		}
		cut := strings.LastIndex(name, ":")
		if cut < 0 {
			break
		}
		name = name[:cut]
	}
	return &chat.Answer{}, false
}

func (r *Router) record(ctx context.Context, log *slog.Logger, req *Request, outcome string) {
	e := Entry{
		At: r.now(), Platform: req.Platform(), PersonID: req.Person.ID, Person: req.Person.Name,
		Action: req.Route.Name, Outcome: outcome, Detail: req.detail, Request: req.ID, Job: req.job,
	}
	if c := req.Container; c != nil {
		e.Container, e.Target = c.ID, onContainer(c.DisplayName(), c.VMID, c.Cluster, c.Node)
	}
	if err := r.audit.Record(context.WithoutCancel(ctx), e); err != nil {
		log.ErrorContext(ctx, "write the audit", "err", err)
	}
}

// Complete suggests containers while a person types a name.
func (r *Router) Complete(_ context.Context, inv chat.Invocation) []chat.Choice {
	rt := r.byName[inv.Command]
	if rt == nil {
		return nil
	}
	if !rt.Container {
		return nil
	}
	may := func(c *inventory.Container) bool { return r.policy.May(inv.Person, rt.Needs, TargetOf(c)) }
	var list []chat.Choice
	for _, c := range r.fleet.Snapshot().Suggest(inv.Options["name"], 25, may) {
		list = append(list, chat.Choice{
			Label: fmt.Sprintf("%s · %s · %d · %s", c.DisplayName(), c.State, c.VMID, c.Node),
			Value: fmt.Sprintf("%s/%d", c.Cluster, c.VMID),
		})
	}
	return list
}
