package discordtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Permission bits that the simulator looks at.
const (
	permViewChannel   = 1 << 10
	permSendMessages  = 1 << 11
	permSendInThreads = 1 << 38
)

// allPermissions is what an ordinary member has who is no administrator: the
// bitset of the recorded payloads.
const allPermissions = 2248473465835073

// Channel types.
const (
	channelText   = 0
	channelDM     = 1
	channelThread = 11
)

type user struct {
	id, name string
	roles    []string
	noDMs    bool
	bot      bool
	left     bool // the guild
}

type channel struct {
	id, name string
	kind     int
	parent   *channel
	members  []string // empty: everybody in the guild
	bot      bool     // the bot can see it
	maySend  bool
	messages []*message
}

// AddUser adds a person to the guild. It panics where an id is not a number.
func (s *Server) AddUser(id, name string, roles ...string) {
	for _, id := range append([]string{id}, roles...) {
		mustBeSnowflake(id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id] = &user{id: id, name: name, roles: roles}
	s.changed()
}

// MakeBot turns a person into another application's bot user.
func (s *Server) MakeBot(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[userID].bot = true
}

// RemoveUser lets a person leave the guild.
func (s *Server) RemoveUser(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[userID].left = true
	s.changed()
}

// AddChannel adds a text channel that the bot can see. botMaySend false takes
// the permission to send there (50013). With members the channel is private:
// only they see it.
func (s *Server) AddChannel(id, name string, botMaySend bool, members ...string) {
	mustBeSnowflake(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[id] = &channel{id: id, name: name, kind: channelText, members: members, bot: true, maySend: botMaySend}
	s.changed()
}

// AddThread adds a public thread to a channel, whose members and permissions it has.
func (s *Server) AddThread(id, name, channelID string) {
	mustBeSnowflake(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	parent := s.channels[channelID]
	if parent == nil {
		panic(fmt.Sprintf("discordtest: thread in channel %s, which does not exist", channelID))
	}
	s.channels[id] = &channel{id: id, name: name, kind: channelThread, parent: parent, members: parent.members, bot: parent.bot, maySend: parent.maySend}
	s.changed()
}

// KickBot takes a channel and its threads from the bot: its requests there get
// 50001 from now on. Commands and buttons still reach it, as on Discord, where
// they belong to the application and not to the bot's membership.
func (s *Server) KickBot(channelID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ch := range s.channels {
		if ch.id == channelID || ch.parent != nil && ch.parent.id == channelID {
			ch.bot, ch.maySend = false, false
		}
	}
	s.changed()
}

// DeleteChannel removes a channel (10003) with everything in it.
func (s *Server) DeleteChannel(channelID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.channels, channelID)
	s.changed()
}

// DeleteMessage removes a message, as a person with the right to do so would (10008).
func (s *Server) DeleteMessage(at At) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[at.Channel]; ch != nil {
		ch.remove(at.Message)
	}
	s.changed()
}

// BlockDMs makes a person refuse direct messages from the bot (50007).
func (s *Server) BlockDMs(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[userID].noDMs = true
}

// DM is the id of the direct message channel between a person and the bot.
func (s *Server) DM(userID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[userID] == nil {
		panic(fmt.Sprintf("discordtest: no user %s", userID))
	}
	return s.dm(userID).id
}

// dm finds or makes the channel; s.mu is held.
func (s *Server) dm(userID string) *channel {
	for _, ch := range s.channels {
		if ch.kind == channelDM && ch.members[0] == userID {
			return ch
		}
	}
	ch := &channel{id: s.newID(), kind: channelDM, members: []string{userID}, bot: true, maySend: true}
	s.channels[ch.id] = ch
	return ch
}

// sees reports whether a person may look into the channel.
func (ch *channel) sees(userID string) bool {
	return len(ch.members) == 0 || slices.Contains(ch.members, userID)
}

func (ch *channel) find(messageID string) *message {
	for _, m := range ch.messages {
		if m.id == messageID {
			return m
		}
	}
	return nil
}

func (ch *channel) remove(messageID string) {
	ch.messages = slices.DeleteFunc(ch.messages, func(m *message) bool { return m.id == messageID })
}

// botPermissions is the bot's bitset in the channel.
func (ch *channel) botPermissions() string {
	bits := allPermissions
	if !ch.bot {
		bits &^= permViewChannel
	}
	if !ch.maySend {
		bits &^= permSendMessages | permSendInThreads
	}
	return strconv.Itoa(bits)
}

// What REST says of people, channels and the guild.

func (s *Server) userObject(u *user) object {
	o := object{
		"id": u.id, "username": strings.ToLower(strings.ReplaceAll(u.name, " ", "_")),
		"discriminator": "0", "global_name": u.name, "avatar": nil,
	}
	if u.bot {
		o["bot"] = true
	}
	return o
}

func (s *Server) memberObject(u *user) object {
	roles := u.roles
	if roles == nil {
		roles = []string{}
	}
	return object{
		"user": s.userObject(u), "nick": nil, "roles": roles,
		"joined_at": "2026-01-01T00:00:00.000000+00:00", "premium_since": nil,
		"deaf": false, "mute": false, "pending": false, "flags": 0, "avatar": nil,
		"communication_disabled_until": nil,
	}
}

func (s *Server) botObject() object {
	return object{"id": s.opts.BotUserID, "username": "pvechat", "discriminator": "0001", "bot": true, "avatar": nil}
}

func (s *Server) selfObject() object {
	self := s.botObject()
	for k, v := range (object{"verified": true, "mfa_enabled": false, "flags": 0, "email": nil, "global_name": nil}) {
		self[k] = v
	}
	return self
}

func (s *Server) channelObject(ch *channel) object {
	o := object{"id": ch.id, "type": ch.kind}
	if ch.kind == channelDM {
		o["recipients"] = []any{s.userObject(s.users[ch.members[0]])}
		return o
	}
	o["name"], o["guild_id"] = ch.name, s.opts.GuildID
	if ch.parent != nil {
		o["parent_id"] = ch.parent.id
		return o // it has no permissions of its own
	}
	overwrites := []any{}
	if !ch.maySend {
		overwrites = append(overwrites, object{"id": s.opts.BotUserID, "type": 1, "allow": "0", "deny": strconv.Itoa(permSendMessages | permSendInThreads)})
	}
	o["permission_overwrites"] = overwrites
	return o
}

func (s *Server) getSelf(*call) (reply, error) { return okReply(s.selfObject()), nil }

func (s *Server) getUser(c *call) (reply, error) {
	id := c.PathValue("user")
	if id == s.opts.BotUserID {
		return okReply(s.selfObject()), nil
	}
	if u := s.users[id]; u != nil {
		return okReply(s.userObject(u)), nil
	}
	return reply{}, errUnknownUser
}

func (s *Server) getMember(c *call) (reply, error) {
	if c.PathValue("guild") != s.opts.GuildID {
		return reply{}, errUnknownGuild
	}
	if c.PathValue("user") == s.opts.BotUserID {
		member := s.memberObject(&user{id: s.opts.BotUserID})
		member["user"] = s.botObject()
		return okReply(member), nil
	}
	if u := s.users[c.PathValue("user")]; u != nil && !u.left {
		return okReply(s.memberObject(u)), nil
	}
	return reply{}, errUnknownMember
}

func (s *Server) getGuild(c *call) (reply, error) {
	if c.PathValue("guild") != s.opts.GuildID {
		return reply{}, errUnknownGuild
	}
	return okReply(s.guildObject()), nil
}

func (s *Server) guildObject() object {
	roles := []any{object{"id": s.opts.GuildID, "name": "@everyone", "permissions": strconv.Itoa(allPermissions), "position": 0}}
	seen := map[string]bool{}
	for _, u := range s.sortedUsers() {
		for _, id := range u.roles {
			if !seen[id] {
				seen[id] = true
				roles = append(roles, object{"id": id, "name": "role " + id, "permissions": "0", "position": len(roles)})
			}
		}
	}
	return object{"id": s.opts.GuildID, "name": "pvechat test", "owner_id": "1", "roles": roles, "emojis": []any{}, "preferred_locale": "en-US"}
}

func (s *Server) sortedUsers() []*user {
	list := make([]*user, 0, len(s.users))
	for _, u := range s.users {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *user) int { return strings.Compare(a.id, b.id) })
	return list
}

func (s *Server) getApplication(*call) (reply, error) {
	app := object{
		"id": s.opts.ApplicationID, "name": "pvechat", "description": "", "icon": nil,
		"bot_public": false, "bot_require_code_grant": false, "verify_key": s.PublicKey(),
		"flags": 565248, "bot": s.botObject(), "interactions_endpoint_url": nil,
	}
	if s.endpoint != "" {
		app["interactions_endpoint_url"] = s.endpoint
	}
	return okReply(app), nil
}

// botChannel finds a channel that the bot may look into; s.mu is held.
func (s *Server) botChannel(c *call) (*channel, error) {
	ch := s.channels[c.PathValue("channel")]
	switch {
	case ch == nil:
		return nil, errUnknownChannel
	case !ch.bot:
		return nil, errMissingAccess
	}
	return ch, nil
}

func (s *Server) getChannel(c *call) (reply, error) {
	ch, err := s.botChannel(c)
	if err != nil {
		return reply{}, err
	}
	return okReply(s.channelObject(ch)), nil
}

func (s *Server) createDM(c *call) (reply, error) {
	var p problems
	id := c.form(&p).must("recipient_id", 1, 20)
	if err := p.err(); err != nil {
		return reply{}, err
	}
	if s.users[id] == nil {
		return reply{}, errNoRecipient
	}
	return okReply(s.channelObject(s.dm(id))), nil
}
