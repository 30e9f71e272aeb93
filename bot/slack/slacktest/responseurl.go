package slacktest

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"time"
)

const (
	responseURLUses = 5
	responseURLLife = 30 * time.Minute
)

// responseURL is the address at which the bot answers one interaction.
type responseURL struct {
	user, channel string
	at            time.Time
	uses          int
	slash         bool
	message       *message // the one acted on; of a slash command: the last that the address made
}

// newResponseURL returns the address for an interaction in a channel; m is the
// message acted on, nil for a slash command.
func (s *Server) newResponseURL(user, channel string, m *message) string {
	kind := "actions"
	if m == nil {
		kind = "commands"
	}
	path := fmt.Sprintf("/%s/%s/%d/%08x", kind, TeamID, s.nextID(), s.opts.Now().Unix())
	s.responseURLs[path] = &responseURL{user: user, channel: channel, at: s.opts.Now(), slash: m == nil, message: m}
	return s.base + path
}

func (s *Server) serveResponseURL(w http.ResponseWriter, r *http.Request) {
	const name = "response_url"
	c := s.receive(w, r, name)
	if !s.stalled(r.Context(), c) {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	f := s.fault(name)
	answer := func() object {
		u := s.responseURLs[r.URL.Path]
		switch {
		case u == nil:
			s.surprise("unknown response URL %s", r.URL.Path)
			return fail("expired_url")
		case r.Method != http.MethodPost:
			return fail("invalid_post_type")
		case s.opts.Now().Sub(u.at) > responseURLLife:
			return fail("expired_url")
		case u.uses >= responseURLUses:
			return fail("used_url")
		}
		c.req.Channel, c.req.User = u.channel, u.user
		if code := c.parseAnswer(); code != "" {
			return fail(code)
		}
		c.req.call = c
		if f.code != "" || f.status != 0 {
			return fail(f.code)
		}
		answer := s.respond(u, c)
		if answer == nil {
			u.uses++
			answer = object{"ok": true}
		}
		return answer
	}()
	s.reply(w, c, f, answer, f.retry)
}

// parseAnswer reads JSON, or a form with JSON in its field payload.
func (c *call) parseAnswer() string {
	body := c.req.Body
	if kind, _, _ := mime.ParseMediaType(c.req.ContentType); kind == "application/x-www-form-urlencoded" {
		form, _ := url.ParseQuery(string(body))
		body = []byte(form.Get("payload"))
	}
	if json.Unmarshal(body, &c.json) != nil || c.json == nil {
		return "invalid_payload"
	}
	return ""
}

// respond does what the bot asks for at a response URL, or returns Slack's
// error.
func (s *Server) respond(u *responseURL, c *call) object {
	ch := s.channels[u.channel]
	there := u.message != nil && ch.find(u.message.ts) == u.message
	if c.flag("delete_original") {
		switch {
		case u.slash:
			return fail("cant_delete_message")
		case !there:
			return fail("message_not_found")
		}
		c.req.TS = u.message.ts
		ch.remove(u.message)
		s.touch()
		return nil
	}
	said, no := s.content(c)
	if no != nil {
		return no
	}
	// What everybody sees never becomes private, nor the other way round, so
	// response_type means nothing here.
	if replace := c.flag("replace_original"); replace && !u.slash {
		if !there {
			return fail("message_not_found")
		}
		c.req.TS = u.message.ts
		s.rewrite(u.message, said)
		return nil
	} else if replace && there && !s.opts.NoSlashReplace {
		c.req.TS = u.message.ts
		s.rewrite(u.message, said)
		return nil
	}
	m := &message{author: BotUserID, content: said, thread: c.str("thread_ts")}
	switch c.str("response_type") {
	case "", "ephemeral":
		m.only = u.user
	case "in_channel":
	default:
		return fail("invalid_response_type")
	}
	s.post(ch, m)
	c.req.TS = m.ts
	if u.slash {
		u.message = m
	}
	return nil
}
