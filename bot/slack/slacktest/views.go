package slacktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	maxStack    = 3
	triggerLife = 3 * time.Second
)

// modals is what people have open. Its fields need Server.mu.
type modals struct {
	stacks map[string][]*view // by person, top last
	homes  map[string]*view
}

func newModals() modals {
	return modals{stacks: map[string][]*view{}, homes: map[string]*view{}}
}

type view struct {
	id, user, hash string
	root, previous string
	kind           surface
	doc            object // as the bot sent it, with the ids that Slack adds
	inputs         inputs
	errors         map[string]string
	updates        int
}

func (v *view) blocks() []any {
	blocks, _ := v.doc["blocks"].([]any)
	return blocks
}

func (v *view) string(name string) string {
	s, _ := v.doc[name].(string)
	return s
}

func (v *view) flag(name string) bool {
	b, _ := v.doc[name].(bool)
	return b
}

// object is the view as Slack shows it to the app.
func (v *view) object() object {
	o := object{
		"title": object{"type": "plain_text", "text": "View Title", "emoji": true}, "close": nil, "submit": nil,
		"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": false, "notify_on_close": false,
	}
	maps.Copy(o, v.doc)
	maps.Copy(o, object{
		"id": v.id, "team_id": TeamID, "app_id": AppID, "bot_id": BotID, "app_installed_team_id": TeamID, "hash": v.hash,
		"state": v.inputs.object(), "root_view_id": v.root, "previous_view_id": nil,
	})
	if v.previous != "" {
		o["previous_view_id"] = v.previous
	}
	return o
}

// View is a modal or a Home tab as a person sees it.
type View struct {
	ID, Hash        string
	Title           string // empty on a Home tab
	CallbackID      string
	PrivateMetadata string
	Errors          map[string]string // by block_id: what the last submission was refused for
	Updates         int               // how often it was changed
	Raw             json.RawMessage   // everything, with what is typed and chosen in its state
}

func (v *view) seen() View {
	title, _ := v.doc["title"].(object)
	name, _ := title["text"].(string)
	return View{
		ID: v.id, Hash: v.hash, Title: name, CallbackID: v.string("callback_id"), PrivateMetadata: v.string("private_metadata"),
		Errors: maps.Clone(v.errors), Updates: v.updates, Raw: encode(v.object()),
	}
}

// Views returns the modals that a person has open, the one on top last.
func (s *Server) Views(user string) []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []View
	for _, v := range s.stacks[user] {
		out = append(out, v.seen())
	}
	return out
}

// Home returns a person's Home tab, or nil before the bot has published one.
func (s *Server) Home(user string) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.homes[user]
	if v == nil {
		return nil
	}
	seen := v.seen()
	return &seen
}

// trigger lets the bot open one view for a person who has just acted.
type trigger struct {
	user string
	at   time.Time
	used bool
	view *view // acted on, if any
}

func (s *Server) newTrigger(user string, v *view) string {
	id := fmt.Sprintf("%d.1395872398.%08x", 12466734323+int64(s.nextID()), s.opts.Now().Unix())
	s.triggers[id] = &trigger{user: user, at: s.opts.Now(), view: v}
	return id
}

// trigger returns a trigger that still works, or Slack's error.
func (s *Server) trigger(c *call) (*trigger, object) {
	t := s.triggers[c.str("trigger_id")]
	switch {
	case c.str("trigger_id") == "":
		return nil, missing("trigger_id")
	case t == nil:
		return nil, fail("invalid_trigger_id")
	case t.used:
		return nil, fail("exchanged_trigger_id")
	case s.opts.Now().Sub(t.at) > triggerLife:
		return nil, fail("expired_trigger_id")
	}
	return t, nil
}

// viewArgument reads the argument view, or returns Slack's error. at is the
// view that it will replace, if any.
func (s *Server) viewArgument(c *call, want surface, at *view) (object, object) {
	raw := c.raw("view")
	if len(raw) == 0 {
		return nil, missing("view")
	}
	v, err := decode(raw)
	if err != nil {
		return nil, badArguments("must provide an object [json-pointer:/view]")
	}
	if len(raw) > maxViewSize {
		return nil, fail("view_too_large")
	}
	var check checker
	check.checkView(v, want)
	if check.problems != nil {
		return nil, badArguments(check.problems...)
	}
	doc := v.(object)
	if id, _ := doc["external_id"].(string); id != "" {
		if other := s.external(id); other != nil && other != at {
			return nil, fail("duplicate_external_id")
		}
	}
	return doc, nil
}

// findView returns an open view or Home tab.
func (s *Server) findView(is func(*view) bool) *view {
	for _, stack := range s.stacks {
		if i := slices.IndexFunc(stack, is); i >= 0 {
			return stack[i]
		}
	}
	for _, v := range s.homes {
		if is(v) {
			return v
		}
	}
	return nil
}

func (s *Server) external(id string) *view {
	return s.findView(func(v *view) bool { return v.string("external_id") == id })
}

// show fills a view. What is typed stays where its ids stay.
func (s *Server) show(v *view, doc object) {
	v.doc, v.errors = doc, nil
	s.identify(v.blocks())
	v.inputs = v.inputs.carried(v.blocks())
	v.hash = fmt.Sprintf("%d.%08x", s.opts.Now().Unix(), s.nextID())
	s.touch()
}

func (s *Server) newView(user string, kind surface, doc object) *view {
	v := &view{id: fmt.Sprintf("V%08d", s.nextID()), user: user, kind: kind}
	v.root = v.id
	s.show(v, doc)
	return v
}

// push puts a view on top of a person's stack.
func (s *Server) push(user string, doc object) *view {
	stack := s.stacks[user]
	v := s.newView(user, inModal, doc)
	v.root, v.previous = stack[0].id, stack[len(stack)-1].id
	s.stacks[user] = append(stack, v)
	s.touch()
	return v
}

func (s *Server) top(user string) *view {
	stack := s.stacks[user]
	if len(stack) == 0 {
		return nil
	}
	return stack[len(stack)-1]
}

func (s *Server) viewsOpen(c *call) object {
	doc, no := s.viewArgument(c, inModal, nil)
	if no != nil {
		return no
	}
	t, no := s.trigger(c)
	if no != nil {
		return no
	}
	t.used = true
	v := s.newView(t.user, inModal, doc)
	s.stacks[t.user] = []*view{v}
	return s.shown(c, v)
}

func (s *Server) shown(c *call, v *view) object {
	c.req.User, c.req.View = v.user, v.id
	s.touch()
	shown := v.object()
	if len(v.inputs) == 0 {
		shown["state"] = object{"values": []any{}} // as in Slack's examples of these methods
	}
	return object{"view": shown}
}

func (s *Server) viewsPush(c *call) object {
	doc, no := s.viewArgument(c, inModal, nil)
	if no != nil {
		return no
	}
	t, no := s.trigger(c)
	if no != nil {
		return no
	}
	stack := s.stacks[t.user]
	switch {
	case t.view != nil && t.view.kind == inHome:
		return badArguments("must match the `type` of the root view whose stack we're pushing onto [json-pointer:/view/type]")
	case t.view == nil || !slices.Contains(stack, t.view):
		return fail("invalid_trigger_id")
	case len(stack) >= maxStack:
		return fail("push_limit_reached")
	}
	t.used = true
	return s.shown(c, s.push(t.user, doc))
}

func (s *Server) viewsUpdate(c *call) object {
	var v *view
	switch id, external := c.req.View, c.str("external_id"); {
	case id != "":
		v = s.findView(func(v *view) bool { return v.id == id })
	case external != "":
		v = s.external(external)
	default:
		return missing("view_id")
	}
	kind := inModal
	if v != nil {
		kind = v.kind
	}
	doc, no := s.viewArgument(c, kind, v)
	switch hash := c.str("hash"); {
	case no != nil:
		return no
	case v == nil:
		return fail("not_found")
	case hash != "" && hash != v.hash:
		return fail("hash_conflict")
	}
	s.show(v, doc)
	v.updates++
	return s.shown(c, v)
}

func (s *Server) viewsPublish(c *call) object {
	if s.people[c.req.User] == nil {
		return fail("user_not_found")
	}
	v := s.homes[c.req.User]
	doc, no := s.viewArgument(c, inHome, v)
	if no != nil {
		return no
	}
	if v == nil {
		v = s.newView(c.req.User, inHome, doc)
		s.homes[c.req.User] = v
		return s.shown(c, v)
	}
	if hash := c.str("hash"); hash != "" && hash != v.hash {
		return fail("hash_conflict")
	}
	s.show(v, doc)
	v.updates++
	return s.shown(c, v)
}
