package slacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Request is one HTTP request of the bot, word for word.
type Request struct {
	Method      string // of the Web API, or "response_url"
	Path        string
	ContentType string
	Body        []byte // a form holds the token, too
	At          time.Time

	// What it concerns, as far as that is known.
	Channel, User, TS, View string

	Status    int // 0 until it is answered, and where the answer was lost
	Response  []byte
	Abandoned bool // the caller went away while the call was stalled

	call *call
}

// Arg returns an argument of the request: a string, or JSON.
func (r Request) Arg(name string) string {
	if r.call == nil {
		return ""
	}
	return r.call.str(name)
}

const maxCall = 8 << 20 // bytes of a request

// keptRequests bounds the memory of a demo that runs for weeks.
const keptRequests = 10_000

// Requests returns the requests of the bot, oldest first. Only the last 10,000
// are kept.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Request, len(s.requests))
	for i, r := range s.requests {
		out[i] = *r
	}
	return out
}

// call is what a request asks for: the arguments from a form or a JSON object.
type call struct {
	form   url.Values
	json   map[string]json.RawMessage
	token  string
	header bool // the token came in the Authorization header
	req    *Request
}

// raw returns an argument that holds JSON, which may also be JSON in a string.
func (c *call) raw(name string) json.RawMessage {
	if c.json == nil {
		return json.RawMessage(c.form.Get(name))
	}
	raw := c.json[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return json.RawMessage(s) // null, too: ""
	}
	return raw
}

func (c *call) str(name string) string { return string(c.raw(name)) }

func (c *call) flag(name string) bool {
	v := c.str(name)
	return v == "true" || v == "1"
}

// method is a method of the Web API.
type method struct {
	tier   tier
	scopes []string // any one of these; none: no scope needed
	app    bool     // takes the app-level token
	do     func(*Server, *call) object
}

var methods = map[string]method{
	"auth.test":             {tier: tier4, do: (*Server).authTest},
	"apps.connections.open": {tier: tier3, app: true, do: (*Server).connectionsOpen},

	"chat.postMessage":   {tier: posting, scopes: []string{"chat:write"}, do: (*Server).chatPostMessage},
	"chat.postEphemeral": {tier: tier4, scopes: []string{"chat:write"}, do: (*Server).chatPostEphemeral},
	"chat.update":        {tier: tier3, scopes: []string{"chat:write"}, do: (*Server).chatUpdate},
	"chat.delete":        {tier: tier3, scopes: []string{"chat:write"}, do: (*Server).chatDelete},

	"views.open":    {tier: tier4, do: (*Server).viewsOpen},
	"views.push":    {tier: tier4, do: (*Server).viewsPush},
	"views.update":  {tier: tier4, do: (*Server).viewsUpdate},
	"views.publish": {tier: tier4, do: (*Server).viewsPublish},

	"users.info":            {tier: tier4, scopes: []string{"users:read"}, do: (*Server).usersInfo},
	"usergroups.list":       {tier: tier2, scopes: []string{"usergroups:read"}, do: (*Server).usergroupsList},
	"usergroups.users.list": {tier: tier2, scopes: []string{"usergroups:read"}, do: (*Server).usergroupsUsersList},
	"conversations.info": {
		tier: tier3, scopes: []string{"channels:read", "groups:read", "mpim:read", "im:read"}, do: (*Server).conversationsInfo,
	},
	"conversations.open": {tier: tier3, scopes: []string{"im:write"}, do: (*Server).conversationsOpen},
	"conversations.join": {tier: tier3, scopes: []string{"channels:join"}, do: (*Server).conversationsJoin},
}

// fail is an answer that says no.
func fail(code string) object { return object{"ok": false, "error": code} }

// badArguments is an answer that says what is wrong with the arguments.
func badArguments(problems ...string) object {
	o := fail("invalid_arguments")
	o["response_metadata"] = object{"messages": marked(problems)}
	return o
}

func badBlocks(problems []string) object {
	o := fail("invalid_blocks")
	o["errors"] = problems
	o["response_metadata"] = object{"messages": marked(problems)}
	return o
}

func marked(problems []string) []string {
	var out []string
	for _, p := range problems {
		out = append(out, "[ERROR] "+p)
	}
	return out
}

func missing(name string) object { return badArguments("missing required field: " + name) }

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("method")
	c := s.receive(w, r, name)
	if !s.stalled(r.Context(), c) {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	f := s.fault(name)
	answer, wait := s.answer(r, name, c, f)
	s.reply(w, c, f, answer, wait)
}

// receive reads and records a request.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, name string) *call {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c := &call{req: &Request{
		Method: name, Path: r.URL.Path, ContentType: r.Header.Get("Content-Type"), Body: body, At: s.opts.Now(),
	}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) >= keptRequests {
		s.requests = slices.Delete(s.requests, 0, keptRequests/10)
	}
	s.requests = append(s.requests, c.req)
	s.touch()
	return c
}

// answer does what a call asks for. A positive wait means 429.
func (s *Server) answer(r *http.Request, name string, c *call, f fault) (_ object, wait time.Duration) {
	m, known := methods[name]
	switch {
	case !known:
		s.surprise("unknown method %s", name)
		no := fail("unknown_method")
		no["req_method"] = name
		return no, 0
	case r.Method != http.MethodPost && r.Method != http.MethodGet:
		return fail("invalid_post_type"), 0
	}
	if code := c.parse(r); code != "" {
		return fail(code), 0
	}
	c.req.call = c
	c.req.Channel, c.req.TS, c.req.View = c.str("channel"), c.str("ts"), c.str("view_id")
	if c.req.User = c.str("user"); c.req.User == "" {
		c.req.User = c.str("user_id")
	}
	if code := s.refused(m, c); code != "" {
		return fail(code), 0
	}
	if have := s.opts.Scopes; !m.app && len(m.scopes) > 0 && !slices.ContainsFunc(m.scopes, func(sc string) bool { return slices.Contains(have, sc) }) {
		return s.missingScope(m.scopes...), 0
	}
	switch {
	case f.retry > 0:
		return fail(f.code), f.retry
	case f.code != "":
		return fail(f.code), 0
	case f.status != 0:
		return nil, 0
	}
	if wait := s.limited(name, m.tier, c.str("channel")); wait > 0 {
		return fail("ratelimited"), wait
	}
	answer := m.do(s, c)
	if answer["ok"] == nil {
		answer["ok"] = true
	}
	return answer, 0
}

// reply sends the answer. It gives back s.mu before it writes.
func (s *Server) reply(w http.ResponseWriter, c *call, f fault, answer object, wait time.Duration) {
	status, body := http.StatusOK, []byte(encode(answer))
	switch {
	case wait > 0:
		status = http.StatusTooManyRequests
	case f.status != 0:
		status, body = f.status, []byte("<!doctype html><title>Server Error</title>")
	case answer["error"] == "used_url" || answer["error"] == "expired_url":
		status = http.StatusNotFound
	}
	if !f.lose {
		c.req.Status, c.req.Response = status, body
	}
	s.touch()
	s.mu.Unlock()
	if f.lose {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if f.status != 0 && wait == 0 {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	if c.token == s.opts.BotToken {
		w.Header().Set("X-Oauth-Scopes", strings.Join(s.opts.Scopes, ","))
	}
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// parse reads the arguments; it returns Slack's error where it cannot.
func (c *call) parse(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		c.token, c.header = token, true
	}
	kind, _, _ := mime.ParseMediaType(c.req.ContentType)
	switch kind {
	case "application/json":
		c.json = map[string]json.RawMessage{}
		if len(c.req.Body) == 0 {
			return ""
		}
		if !json.Valid(c.req.Body) {
			return "invalid_json"
		}
		if json.Unmarshal(c.req.Body, &c.json) != nil || c.json == nil {
			return "json_not_object"
		}
		return ""
	case "application/x-www-form-urlencoded", "multipart/form-data", "":
		r.Body = io.NopCloser(bytes.NewReader(c.req.Body))
		if kind == "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if r.ParseForm() != nil || kind == "multipart/form-data" && r.ParseMultipartForm(maxCall) != nil {
			return "invalid_form_data"
		}
		c.form = r.Form // of the query, too
		if c.token == "" {
			c.token = r.PostForm.Get("token") // in a query Slack does not take it
		}
		return ""
	}
	return "invalid_post_type"
}

// refused says why a token may not call a method.
func (s *Server) refused(m method, c *call) string {
	own, other := s.opts.BotToken, s.opts.AppToken
	if m.app {
		own, other = other, own
	}
	switch {
	case c.token == "" || m.app && !c.header:
		return "not_authed"
	case c.token != own && c.token != other:
		return "invalid_auth"
	case s.authError != "":
		return s.authError
	case c.token == other:
		return "not_allowed_token_type"
	}
	return ""
}

func (s *Server) missingScope(needed ...string) object {
	o := fail("missing_scope")
	o["needed"], o["provided"] = strings.Join(needed, ","), strings.Join(s.opts.Scopes, ",")
	return o
}

func (s *Server) authTest(c *call) object {
	return object{
		"url": "https://" + teamDomain + ".slack.com/", "team": teamDomain, "team_id": TeamID,
		"user": "pvechat", "user_id": BotUserID, "bot_id": BotID, "app_id": AppID, "is_enterprise_install": false,
	}
}

func (s *Server) usersInfo(c *call) object {
	name, bot, team, left := "pvechat", true, TeamID, false
	if c.req.User != BotUserID {
		p := s.people[c.req.User]
		if p == nil {
			return fail("user_not_found")
		}
		name, bot, team, left = p.name, false, p.team, p.left
	}
	return object{"user": object{
		"id": c.req.User, "team_id": team, "name": name, "real_name": name, "deleted": left, "is_bot": bot, "is_stranger": team != TeamID, "is_app_user": false,
		"tz": "Etc/UTC", "tz_label": "Coordinated Universal Time", "tz_offset": 0,
		"profile": object{"real_name": name, "display_name": name, "team": TeamID},
	}}
}

func (s *Server) usergroupsList(c *call) object {
	list := []any{}
	for _, id := range sortedKeys(s.groups) {
		g := object{
			"id": id, "team_id": TeamID, "is_usergroup": true, "name": id, "handle": strings.ToLower(id), "user_count": len(s.groups[id].members),
		}
		if c.flag("include_users") {
			g["users"] = s.groups[id].members
		}
		list = append(list, g)
	}
	return object{"usergroups": list}
}

func (s *Server) usergroupsUsersList(c *call) object {
	g := s.groups[c.str("usergroup")]
	if g == nil {
		return fail("no_such_subteam")
	}
	return object{"users": append([]string{}, g.members...)}
}

// seen returns a channel that the bot can know of, or Slack's error.
func (s *Server) seen(id string) (*channel, object) {
	ch := s.channels[id]
	switch {
	case id == "":
		return nil, missing("channel")
	case ch == nil || ch.private && !ch.bot:
		return nil, fail("channel_not_found")
	}
	return ch, nil
}

func (s *Server) conversationsInfo(c *call) object {
	ch, no := s.seen(c.req.Channel)
	if no != nil {
		return no
	}
	needed := "channels:read"
	switch {
	case ch.im:
		needed = "im:read"
	case ch.private:
		needed = "groups:read"
	}
	if !slices.Contains(s.opts.Scopes, needed) {
		return s.missingScope(needed)
	}
	return object{"channel": channelObject(ch)}
}

func channelObject(ch *channel) object {
	o := object{
		"id": ch.id, "name": ch.name, "is_channel": !ch.private && !ch.im, "is_group": ch.private && !ch.im, "is_im": ch.im, "is_mpim": false,
		"is_private": ch.private, "is_archived": ch.archived, "is_member": ch.bot, "context_team_id": TeamID,
	}
	if ch.im {
		for id := range ch.members {
			o["user"] = id
		}
	}
	return o
}

func (s *Server) conversationsOpen(c *call) object {
	c.req.User = c.str("users")
	if id := c.req.Channel; id != "" {
		if ch := s.channels[id]; ch == nil || !ch.im || !ch.bot {
			return fail("channel_not_found")
		}
		return object{"channel": object{"id": id}, "no_op": true, "already_open": true}
	}
	p := s.people[c.req.User]
	if p == nil {
		return fail("user_not_found")
	}
	open := p.dm != ""
	ch := s.dm(p.id)
	o := object{"channel": object{"id": ch.id}}
	if c.flag("return_im") {
		o["channel"] = channelObject(ch)
	}
	if open {
		o["no_op"], o["already_open"] = true, true
	}
	return o
}

func (s *Server) conversationsJoin(c *call) object {
	ch, no := s.seen(c.req.Channel)
	switch {
	case no != nil:
		return no
	case ch.private:
		return fail("method_not_supported_for_channel_type")
	case ch.archived:
		return fail("is_archived")
	}
	ch.bot = true
	s.touch()
	return object{"channel": channelObject(ch)}
}

func (s *Server) connectionsOpen(c *call) object {
	ticket := fmt.Sprintf("%08x-%04x", s.opts.Now().Unix(), s.nextID())
	s.tickets[ticket] = true
	return object{"url": "ws://" + strings.TrimPrefix(s.base, "http://") + "/link/?ticket=" + ticket + "&app_id=" + AppID}
}
