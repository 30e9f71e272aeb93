package discordtest

import (
	"fmt"
	"slices"
	"time"
)

// Messages in channels, sent and edited with the bot's token.

// How many edits of messages older than an hour a channel takes in six seconds.
// Discord does not publish the number; this one was measured by others (the
// userdoccers' description of Edit Message).
const (
	editsOfOldMessages = 3
	editsWindow        = 6 * time.Second
	editsAge           = time.Hour
)

// nonceLife is how long a nonce is remembered: "a few minutes", says Discord.
const nonceLife = 3 * time.Minute

func (s *Server) postMessage(c *call) (reply, error) {
	ch, err := s.botChannel(c)
	if err != nil {
		return reply{}, err
	}
	if ch.kind == channelDM && s.users[ch.members[0]].noDMs {
		return reply{}, errNoDMs
	}
	if !ch.maySend {
		return reply{}, errNoPermission
	}

	var p problems
	f := c.form(&p)
	m := &message{channel: ch, kind: messageDefault}
	if m.nonce = readNonce(f); m.nonce != "" && f.boolean("enforce_nonce") {
		for _, old := range ch.messages {
			if old.nonce == m.nonce && s.now().Sub(old.created) < nonceLife {
				return okReply(s.messageObject(old)), nil
			}
		}
	}
	if ref, ok := f.object("message_reference"); ok {
		m.kind, m.reference = messageReply, ref.must("message_id", 1, 20)
		if to := ch.find(m.reference); to == nil || to.ephemeralFor != "" {
			if ref.fields["fail_if_not_exists"] != false {
				f.bad("message_reference", "REPLIES_UNKNOWN_MESSAGE", "Unknown message")
			}
			m.kind, m.reference = messageDefault, ""
		}
	}
	m.draft, err = s.readDraft(f, c.files, nil, settableByBot, botPings)
	if problem := p.err(); problem != nil {
		return reply{}, problem
	}
	if err != nil {
		return reply{}, err
	}
	s.add(m)
	c.about = m.id
	return okReply(s.messageObject(m)), nil
}

// readNonce reads a nonce: a text of up to 25 characters, or a number.
func readNonce(f form) string {
	if n, ok := f.fields["nonce"].(fmt.Stringer); ok {
		return n.String()
	}
	return f.optional("nonce", 25)
}

// botMessage finds a message that the bot can reach by its channel: private ones
// are not among them.
func (s *Server) botMessage(c *call) (*message, error) {
	ch, err := s.botChannel(c)
	if err != nil {
		return nil, err
	}
	m := ch.find(c.PathValue("message"))
	if m == nil || m.ephemeralFor != "" {
		return nil, errUnknownMessage
	}
	c.about = m.id
	return m, nil
}

func (s *Server) getMessage(c *call) (reply, error) {
	m, err := s.botMessage(c)
	if err != nil {
		return reply{}, err
	}
	return okReply(s.messageObject(m)), nil
}

func (s *Server) patchMessage(c *call) (reply, error) {
	m, err := s.botMessage(c)
	if err != nil {
		return reply{}, err
	}
	var p problems
	d, err := s.readDraft(c.form(&p), c.files, m, settableByBot, botPings)
	if problem := p.err(); problem != nil {
		return reply{}, problem
	}
	if err != nil {
		return reply{}, err
	}
	if s.now().Sub(m.created) > editsAge && !s.mayEditOld(m.channel.id) {
		return reply{}, known(30046)
	}
	s.edit(m, d)
	return okReply(s.messageObject(m)), nil
}

// mayEditOld counts an edit of an old message and says whether it is one too many.
func (s *Server) mayEditOld(channelID string) bool {
	now := s.now()
	recent := slices.DeleteFunc(s.oldEdits[channelID], func(t time.Time) bool { return now.Sub(t) >= editsWindow })
	ok := len(recent) < s.oldEditsLimit
	if ok {
		recent = append(recent, now)
	}
	s.oldEdits[channelID] = recent
	return ok
}

func (s *Server) deleteMessage(c *call) (reply, error) {
	m, err := s.botMessage(c)
	if err != nil {
		return reply{}, err
	}
	m.channel.remove(m.id)
	return noContent, nil
}
