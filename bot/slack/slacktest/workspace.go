package slacktest

import (
	"encoding/json"
	"fmt"
	"slices"
)

// workspace is who and what there is. Its fields need Server.mu.
type workspace struct {
	people   map[string]*person
	groups   map[string]*group
	channels map[string]*channel
}

func newWorkspace() workspace {
	return workspace{people: map[string]*person{}, groups: map[string]*group{}, channels: map[string]*channel{}}
}

type person struct {
	id, name string
	team     string // the workspace that the person belongs to
	left     bool   // the account was deactivated
	dm       string // the channel between the person and the bot, once there is one
}

type group struct {
	id      string
	members []string
}

type channel struct {
	id, name              string
	private, im, archived bool
	bot                   bool // is a member
	members               map[string]bool
	messages              []*message
}

// label is the name that interactions carry.
func (ch *channel) label() string {
	switch {
	case ch.im:
		return "directmessage"
	case ch.private:
		return "privategroup"
	}
	return ch.name
}

func (ch *channel) find(ts string) *message {
	for _, m := range ch.messages {
		if m.ts == ts {
			return m
		}
	}
	return nil
}

func (ch *channel) remove(m *message) {
	ch.messages = slices.DeleteFunc(ch.messages, func(x *message) bool { return x == m })
}

type message struct {
	ts, channel, thread string
	author              string // a person or BotUserID
	only                string // the person who alone sees it, if any
	content
	edits  int
	inputs map[string]inputs // by person: what is chosen in it
}

// content is what a message says.
type content struct {
	text        string
	blocks      []any
	attachments []any
}

// object is the message as Slack shows it to the app.
func (m *message) object() object {
	o := object{
		"type": "message", "user": m.author, "ts": m.ts, "text": m.text, "team": TeamID, "blocks": append([]any{}, m.blocks...),
	}
	if m.author == BotUserID {
		o["bot_id"], o["app_id"] = BotID, AppID
	}
	if m.attachments != nil {
		o["attachments"] = m.attachments
	}
	if m.thread != "" {
		o["thread_ts"] = m.thread
	}
	return o
}

// Message is a message as a person sees it.
type Message struct {
	TS       string
	Channel  string
	From     string // a person's id or BotUserID
	User     string // the person who alone sees it; empty if everybody does
	Text     string
	Blocks   json.RawMessage // an array, with the ids that Slack adds
	Edited   int             // how often it was changed
	ThreadTS string          // of the message that this one answers, if any

	Ephemeral bool // User is set
}

// AddUser adds a person, or gives a known one another name and other user
// groups.
func (s *Server) AddUser(id, name string, groups ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.people[id]
	if p == nil {
		p = &person{id: id, team: TeamID}
		s.people[id] = p
	}
	p.name = name
	for _, g := range s.groups {
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return m == id })
	}
	for _, g := range groups {
		if s.groups[g] == nil {
			s.groups[g] = &group{id: g}
		}
		s.groups[g].members = append(s.groups[g].members, id)
	}
	s.touch()
}

// MakeForeign makes a person a guest of another organisation, in channels that
// are shared with it (Slack Connect).
func (s *Server) MakeForeign(id, team string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[id].team = team
	s.touch()
}

// Deactivate ends a person's account, as an admin does when somebody leaves:
// the id stays known, and is in no user group any more.
func (s *Server) Deactivate(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[id].left = true
	for _, g := range s.groups {
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return m == id })
	}
	s.touch()
}

// AddChannel adds a public channel, or gives a known one another name and
// other members. Its messages stay.
func (s *Server) AddChannel(id, name string, botIsMember bool, members ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[id]
	if ch == nil {
		ch = &channel{id: id}
		s.channels[id] = ch
	}
	ch.name, ch.bot, ch.members = name, botIsMember, map[string]bool{}
	for _, m := range members {
		ch.members[m] = true
	}
	s.touch()
}

// MakePrivate hides a channel from everybody but its members.
func (s *Server) MakePrivate(id string) { s.change(id, func(ch *channel) { ch.private = true }) }

// Archive closes a channel for good.
func (s *Server) Archive(id string) { s.change(id, func(ch *channel) { ch.archived = true }) }

// InviteBot makes the bot a member of a channel.
func (s *Server) InviteBot(id string) { s.change(id, func(ch *channel) { ch.bot = true }) }

// RemoveBot kicks the bot out of a channel.
func (s *Server) RemoveBot(id string) { s.change(id, func(ch *channel) { ch.bot = false }) }

func (s *Server) change(id string, f func(*channel)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[id]
	if ch == nil {
		panic("slacktest: no channel " + id)
	}
	f(ch)
	s.touch()
}

// DM returns the id of the direct message channel between a person and the bot.
func (s *Server) DM(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.people[user] == nil {
		panic("slacktest: no user " + user)
	}
	return s.dm(user).id
}

func (s *Server) dm(user string) *channel {
	p := s.people[user]
	if p.dm == "" {
		p.dm = fmt.Sprintf("D0DM%05d", s.nextID())
		s.channels[p.dm] = &channel{id: p.dm, name: p.dm, im: true, private: true, bot: true, members: map[string]bool{user: true}}
	}
	return s.channels[p.dm]
}

// Say posts what a person writes and returns its timestamp. The bot cannot
// change it.
func (s *Server) Say(user, channel, text string) (ts string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch, err := s.where(user, channel)
	if err != nil {
		return "", err
	}
	return s.post(ch, &message{author: user, content: content{text: text}}).ts, nil
}

// DeleteMessage removes a message as an admin does, without telling the bot.
func (s *Server) DeleteMessage(channel, ts string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[channel]; ch != nil {
		if m := ch.find(ts); m != nil {
			ch.remove(m)
			s.touch()
			return nil
		}
	}
	return fmt.Errorf("slacktest: no message %s in %s", ts, channel)
}

// Messages returns the messages of a channel in order: those that everybody
// sees, and those that only this person does. An empty user is a bystander.
func (s *Server) Messages(channel, user string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channels[channel]
	if ch == nil {
		return nil
	}
	var out []Message
	for _, m := range ch.messages {
		if m.only != "" && m.only != user {
			continue
		}
		out = append(out, Message{
			TS: m.ts, Channel: m.channel, From: m.author, User: m.only, Text: m.text, Blocks: encode(append([]any{}, m.blocks...)),
			Edited: m.edits, ThreadTS: m.thread, Ephemeral: m.only != "",
		})
	}
	return out
}

// where returns the channel in which a person can write.
func (s *Server) where(user, id string) (*channel, error) {
	ch := s.channels[id]
	switch {
	case s.people[user] == nil:
		return nil, fmt.Errorf("slacktest: no user %s", user)
	case ch == nil || !ch.members[user]:
		return nil, fmt.Errorf("slacktest: %s is not in channel %s", user, id)
	case ch.archived:
		return nil, fmt.Errorf("slacktest: channel %s is archived", id)
	}
	return ch, nil
}

// post shows a message.
func (s *Server) post(ch *channel, m *message) *message {
	m.ts, m.channel, m.inputs = s.stamp(), ch.id, map[string]inputs{}
	s.identify(m.blocks)
	ch.messages = append(ch.messages, m)
	s.touch()
	return m
}

// rewrite changes a message in its place.
func (s *Server) rewrite(m *message, c content) {
	m.content, m.inputs = c, map[string]inputs{}
	m.edits++
	s.identify(m.blocks)
	s.touch()
}
