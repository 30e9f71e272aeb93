package discordtest

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Message flags.
const (
	FlagSuppressEmbeds        = 1 << 2
	FlagEphemeral             = 1 << 6
	FlagLoading               = 1 << 7
	FlagSuppressNotifications = 1 << 12
	FlagComponentsV2          = 1 << 15
)

// Message types.
const (
	messageDefault = 0
	messageReply   = 19
	messageCommand = 20
)

// Message is what people see. All messages are the bot's.
type Message struct {
	ID           string
	Channel      string
	EphemeralFor string // the one person who sees it; empty: everybody in the channel
	Flags        int
	Content      string
	Components   json.RawMessage // as Discord hands them out, each with its id
	Embeds       json.RawMessage
	Files        []string
	Created      time.Time
	Edited       int      // how often
	Reference    string   // the message that it replies to
	Mentions     []string // who is pinged: user ids, role ids after "&", "everyone"
}

// At is where the message is.
func (m Message) At() At { return At{Channel: m.Channel, Message: m.ID} }

// Loading reports whether people see "thinking…" instead of a message.
func (m Message) Loading() bool { return m.Flags&FlagLoading != 0 }

// Text is all text that can be read without opening a menu, a line each: the
// content, the text displays, the labels of buttons and the placeholders of
// selects.
func (m Message) Text() string {
	lines := []string{m.Content}
	eachComponent(m.components(), func(c object) {
		for _, key := range []string{"content", "label", "placeholder"} {
			s, _ := c[key].(string)
			lines = append(lines, s)
		}
	})
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "\n")
}

// Controls lists the buttons and selects, in the order of reading.
func (m Message) Controls() []Control {
	var list []Control
	eachComponent(m.components(), func(c object) {
		if t := number(c["type"]); t >= typeButton && t <= typeChannel && t != typeTextInput {
			list = append(list, control(c))
		}
	})
	return list
}

// Control finds a button by its label, or a select by its placeholder.
func (m Message) Control(label string) (Control, bool) {
	for _, c := range m.Controls() {
		if c.Label == label {
			return c, true
		}
	}
	return Control{}, false
}

func (m Message) components() []any {
	v, _ := decode(m.Components)
	list, _ := v.([]any)
	return list
}

// Control is a button or a select.
type Control struct {
	Type     int // 2 is a button, 3 a select with options, 5 to 8 those that Discord fills
	CustomID string
	Label    string // of a select: its placeholder
	Style    int    // of a button: 1 primary, 2 secondary, 3 success, 4 danger, 5 link
	URL      string
	Disabled bool
	Options  []Choice
}

func control(c object) Control {
	text := func(key string) string { s, _ := c[key].(string); return s }
	ctl := Control{
		Type: number(c["type"]), CustomID: text("custom_id"), Label: text("label") + text("placeholder"),
		Style: number(c["style"]), URL: text("url"), Disabled: c["disabled"] == true,
	}
	options, _ := c["options"].([]any)
	for _, o := range options {
		fields, _ := o.(object)
		label, _ := fields["label"].(string)
		value, _ := fields["value"].(string)
		ctl.Options = append(ctl.Options, Choice{Name: label, Value: value})
	}
	return ctl
}

// Messages lists what a person sees in a channel, oldest first: the messages to
// everybody and the person's own private ones. The empty channel is the person's
// direct messages. The empty user sees what everybody sees. Somebody who may not
// look into the channel sees nothing.
func (s *Server) Messages(channelID, userID string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channelFor(channelID, userID)
	if ch == nil {
		return nil
	}
	var list []Message
	for _, m := range ch.messages {
		if m.visibleTo(userID) {
			list = append(list, m.public())
		}
	}
	return list
}

// File is the content of a file of a message that a person sees; nil for none.
func (s *Server) File(userID string, at At, name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channelFor(at.Channel, userID)
	if ch == nil {
		return nil
	}
	m := ch.find(at.Message)
	if m == nil || !m.visibleTo(userID) {
		return nil
	}
	for _, f := range m.files {
		if f.name == name {
			return slices.Clone(f.content)
		}
	}
	return nil
}

// channelFor finds a channel that a person sees; s.mu is held.
func (s *Server) channelFor(channelID, userID string) *channel {
	if channelID == "" && s.users[userID] != nil {
		return s.dm(userID)
	}
	ch := s.channels[channelID]
	if ch == nil || userID != "" && !ch.sees(userID) {
		return nil
	}
	return ch
}

// message is a stored message. Its parts are replaced, never changed.
type message struct {
	draft
	id           string
	channel      *channel
	kind         int
	ephemeralFor string
	reference    string
	nonce        string
	by           *interaction // which made it; nil: the bot itself
	created      time.Time
	edited       time.Time
	edits        int
}

// draft is the part of a message that a request sets.
type draft struct {
	flags      int
	content    string
	embeds     []any
	components []any
	files      []file
	mentions   []string
}

type file struct {
	id, name string
	content  []byte
}

func names(files []file) []string {
	var list []string
	for _, f := range files {
		list = append(list, f.name)
	}
	return list
}

func (m *message) visibleTo(userID string) bool {
	return m.ephemeralFor == "" || m.ephemeralFor == userID
}

func (m *message) public() Message {
	p := Message{
		ID: m.id, Channel: m.channel.id, EphemeralFor: m.ephemeralFor, Flags: m.flags, Content: m.content,
		Components: mustMarshal(list(m.components)), Embeds: mustMarshal(list(m.embeds)),
		Created: m.created, Edited: m.edits, Reference: m.reference, Mentions: slices.Clone(m.mentions),
		Files: names(m.files),
	}
	return p
}

// list makes an absent list an empty one, as Discord's answers have it.
func list(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}

func (s *Server) messageObject(m *message) object {
	attachments := []any{}
	for _, f := range m.files {
		attachments = append(attachments, object{"id": f.id, "filename": f.name, "size": 1, "url": s.URL() + "/attachments/" + f.id})
	}
	users, roles, everyone := []any{}, []any{}, false
	for _, id := range m.mentions {
		role, isRole := strings.CutPrefix(id, "&")
		switch {
		case id == "everyone":
			everyone = true
		case isRole:
			roles = append(roles, role)
		case s.users[id] != nil:
			users = append(users, s.userObject(s.users[id]))
		}
	}
	o := object{
		"id": m.id, "type": m.kind, "channel_id": m.channel.id, "content": m.content, "flags": m.flags,
		"components": list(m.components), "embeds": list(m.embeds), "attachments": attachments,
		"mentions": users, "mention_roles": roles, "mention_everyone": everyone, "pinned": false, "tts": false,
		"timestamp": timestamp(m.created), "edited_timestamp": nil, "author": s.botObject(),
	}
	if m.edits > 0 {
		o["edited_timestamp"] = timestamp(m.edited)
	}
	if m.nonce != "" {
		o["nonce"] = m.nonce
	}
	if m.reference != "" {
		o["message_reference"] = object{"type": 0, "channel_id": m.channel.id, "message_id": m.reference, "guild_id": s.opts.GuildID}
	}
	if m.by != nil {
		o["application_id"], o["webhook_id"] = s.opts.ApplicationID, s.opts.ApplicationID
		o["interaction_metadata"] = object{
			"id": m.by.id, "type": m.by.kind, "user": s.userObject(m.by.user),
			"authorizing_integration_owners": s.owners(m.by.channel),
		}
	}
	return o
}

// add stores a new message; s.mu is held.
func (s *Server) add(m *message) {
	m.id, m.created = s.newID(), s.now()
	m.channel.messages = append(m.channel.messages, m)
	s.changed()
}

// edit changes a message; s.mu is held.
func (s *Server) edit(m *message, d draft) {
	d.flags &^= FlagLoading
	if m.flags&FlagLoading == 0 {
		m.edits++
		m.edited = s.now()
	}
	m.draft = d
	s.changed()
}
