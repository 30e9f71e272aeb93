package slacktest

import (
	"slices"
	"unicode/utf8"
)

const (
	maxUpdateText  = 4000   // bytes
	maxPostedText  = 40_000 // characters; more is cut off
	maxAttachments = 100
)

// content reads what a message shall say, or returns Slack's error.
func (s *Server) content(c *call) (content, object) {
	var out content
	out.text = c.str("text")
	if utf8.RuneCountInString(out.text) > maxPostedText {
		out.text = string([]rune(out.text)[:maxPostedText])
	}
	if raw := c.raw("blocks"); len(raw) > 0 {
		v, err := decode(raw)
		blocks, ok := v.([]any)
		if err != nil || !ok {
			return out, fail("invalid_blocks_format")
		}
		if len(blocks) > 0 {
			var check checker
			check.checkBlocks("/blocks", inMessage, v)
			if check.problems != nil {
				return out, badBlocks(check.problems)
			}
		}
		size := textIn(v)
		if s.opts.StrictSize {
			size = utf8.RuneCount(encode(v))
		}
		if size > maxBlocksText {
			return out, fail("msg_blocks_too_long")
		}
		out.blocks = blocks
	}
	if raw := c.raw("attachments"); len(raw) > 0 {
		v, err := decode(raw)
		attachments, ok := v.([]any)
		switch {
		case err != nil || !ok:
			return out, fail("invalid_attachments")
		case len(attachments) > maxAttachments:
			return out, fail("too_many_attachments")
		}
		out.attachments = attachments
	}
	if md := c.str("markdown_text"); md != "" {
		switch {
		case out.text != "" || out.blocks != nil:
			return out, fail("markdown_text_conflict")
		case utf8.RuneCountInString(md) > maxMarkdown:
			return out, fail("msg_too_long")
		}
		out.text = md
	}
	if out.text == "" && len(out.blocks) == 0 && len(out.attachments) == 0 {
		return out, fail("no_text")
	}
	return out, nil
}

// writable returns a channel in which the bot may post, or Slack's error.
func (s *Server) writable(c *call) (*channel, object) {
	ch, no := s.seen(c.req.Channel)
	switch {
	case no != nil:
		return nil, no
	case ch.archived:
		return nil, fail("is_archived")
	case !ch.bot:
		return nil, fail("not_in_channel")
	}
	return ch, nil
}

func (s *Server) chatPostMessage(c *call) object {
	if s.people[c.req.Channel] != nil { // a person's id stands for the direct message
		c.req.Channel = s.dm(c.req.Channel).id
	}
	ch, no := s.writable(c)
	if no != nil && no["error"] == "not_in_channel" && slices.Contains(s.opts.Scopes, "chat:write.public") {
		ch, no = s.channels[c.req.Channel], nil
	}
	if no != nil {
		return no
	}
	said, no := s.content(c)
	if no != nil {
		return no
	}
	m := s.post(ch, &message{author: BotUserID, content: said, thread: c.str("thread_ts")})
	c.req.TS = m.ts
	return object{"channel": ch.id, "ts": m.ts, "message": m.object()}
}

func (s *Server) chatPostEphemeral(c *call) object {
	ch, no := s.writable(c)
	if no != nil {
		return no
	}
	if c.req.User == "" {
		return missing("user")
	}
	if !ch.members[c.req.User] {
		return fail("user_not_in_channel")
	}
	said, no := s.content(c)
	if no != nil {
		return no
	}
	m := s.post(ch, &message{author: BotUserID, only: c.req.User, content: said, thread: c.str("thread_ts")})
	c.req.TS = m.ts
	return object{"message_ts": m.ts}
}

// own returns a message that the bot may change, or Slack's error; the code is
// the error for somebody else's message.
func (s *Server) own(c *call, code string) (*channel, *message, object) {
	ch, no := s.seen(c.req.Channel)
	if no != nil {
		return nil, nil, no
	}
	if c.req.TS == "" {
		return nil, nil, missing("ts")
	}
	m := ch.find(c.req.TS)
	switch {
	case m == nil || m.only != "":
		return nil, nil, fail("message_not_found")
	case !ch.bot:
		return nil, nil, fail("not_in_channel")
	case m.author != BotUserID:
		return nil, nil, fail(code)
	}
	return ch, m, nil
}

func (s *Server) chatUpdate(c *call) object {
	ch, m, no := s.own(c, "cant_update_message")
	if no != nil {
		return no
	}
	if ch.archived {
		return fail("is_inactive")
	}
	if len(c.str("text")) > maxUpdateText {
		return fail("msg_too_long")
	}
	said, no := s.content(c)
	if no != nil {
		return no
	}
	s.rewrite(m, said)
	return object{"channel": ch.id, "ts": m.ts, "text": m.text, "message": m.object()}
}

func (s *Server) chatDelete(c *call) object {
	ch, m, no := s.own(c, "cant_delete_message")
	if no != nil {
		return no
	}
	if ch.archived {
		return fail("cant_delete_message")
	}
	ch.remove(m)
	s.touch()
	return object{"channel": ch.id, "ts": m.ts}
}
