package discordtest

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// Interaction types.
const (
	interactionPing         = 1
	interactionCommand      = 2
	interactionComponent    = 3
	interactionAutocomplete = 4
	interactionModal        = 5
)

// Types of an application's response.
const (
	callbackPong           = 1
	callbackMessage        = 4
	callbackDeferred       = 5
	callbackDeferredUpdate = 6
	callbackUpdate         = 7
	callbackAutocomplete   = 8
	callbackModal          = 9
	callbackPremium        = 10
	callbackActivity       = 12
)

// interaction is something that a person did and its token's life.
type interaction struct {
	id, token string
	kind      int
	user      *user
	channel   *channel
	message   *message // which the component or the form came from
	created   time.Time
	optionTyp int // of an option that is completed

	timer    *time.Timer
	settled  chan struct{} // closed at the response, or when there was none
	failed   bool          // no response in time
	response int           // the callback's type
	original *message      // what @original is
	own      bool          // original was made by this response
	deferred bool          // type 5, and nothing followed yet
	replies  map[string]bool
	modal    *Modal
	choices  []Choice
}

// newInteraction registers what u does in ch; s.mu is held.
func (s *Server) newInteraction(kind int, u *user, ch *channel) *interaction {
	var random [24]byte
	_, _ = rand.Read(random[:]) // does not fail
	it := &interaction{
		id: s.newID(), kind: kind, user: u, channel: ch, created: s.now(),
		settled: make(chan struct{}), replies: make(map[string]bool),
	}
	it.token = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "interaction:%s:%x", it.id, random))
	s.interactions[it.id], s.tokens[it.token] = it, it
	return it
}

// send delivers it, and starts the time that the application has.
func (s *Server) send(it *interaction, data object) {
	it.timer = time.AfterFunc(s.opts.Deadline, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fail(it)
	})
	s.last = s.interactionObject(it, data)
	if to := s.endpoint; to != "" {
		payload := mustMarshal(s.last)
		s.busy.Go(func() { s.deliverTo(to, it, payload) })
	} else {
		s.dispatch("INTERACTION_CREATE", s.last)
	}
	s.changed()
}

// fail ends an interaction without a response; s.mu is held.
func (s *Server) fail(it *interaction) {
	if it.response == 0 && !it.failed {
		it.failed = true
		it.timer.Stop()
		close(it.settled)
		s.changed()
	}
}

func (s *Server) owners(ch *channel) object {
	if ch.kind == channelDM {
		return object{"0": "0"}
	}
	return object{"0": s.opts.GuildID}
}

func (s *Server) interactionObject(it *interaction, data object) object {
	ch := it.channel
	o := object{
		"id": it.id, "application_id": s.opts.ApplicationID, "type": it.kind, "token": it.token, "version": 1,
		"channel_id": ch.id, "locale": "en-GB", "app_permissions": ch.botPermissions(), "entitlements": []any{},
		"authorizing_integration_owners": s.owners(ch), "attachment_size_limit": 10 << 20, "data": data,
	}
	channel := s.channelObject(ch)
	if ch.kind == channelDM {
		delete(channel, "recipients")
		o["context"], o["user"] = contextDM, s.userObject(it.user)
	} else {
		channel["permissions"] = fmt.Sprint(allPermissions)
		member := s.memberObject(it.user)
		member["permissions"] = fmt.Sprint(allPermissions)
		o["context"], o["member"], o["guild_id"], o["guild_locale"] = contextGuild, member, s.opts.GuildID, "en-US"
	}
	o["channel"] = channel
	if it.message != nil {
		o["message"] = s.messageObject(it.message)
	}
	return o
}

// postCallback is the first response to an interaction, over REST.
func (s *Server) postCallback(c *call) (reply, error) {
	it := s.interactions[c.PathValue("interaction")]
	if it == nil || it.token != c.PathValue("token") || it.failed {
		return reply{}, errUnknownInter
	}
	if err := s.respond(it, c.body, c.files); err != nil {
		return reply{}, err
	}
	if it.original != nil {
		c.about = it.original.id
	}
	if c.URL.Query().Get("with_response") != "true" {
		return noContent, nil
	}
	about := object{"id": it.id, "type": it.kind}
	result := object{"interaction": about}
	if it.original != nil {
		about["response_message_id"] = it.original.id
		about["response_message_loading"] = it.original.flags&FlagLoading != 0
		about["response_message_ephemeral"] = it.original.ephemeralFor != ""
		resource := object{"type": it.response}
		if it.response == callbackMessage || it.response == callbackUpdate {
			resource["message"] = s.messageObject(it.original)
		}
		result["resource"] = resource
	}
	return reply{http.StatusOK, result}, nil
}

// allowed lists the types with which it can be answered, in Discord's order.
func (it *interaction) allowed() []int {
	switch {
	case it.kind == interactionAutocomplete:
		return []int{callbackAutocomplete}
	case it.kind == interactionModal && it.message != nil: // a form that a component opened
		return []int{callbackMessage, callbackDeferred, callbackDeferredUpdate, callbackUpdate, callbackPremium, callbackActivity}
	case it.kind == interactionModal:
		return []int{callbackMessage, callbackDeferred, callbackPremium, callbackActivity}
	case it.kind == interactionComponent:
		return []int{callbackMessage, callbackDeferred, callbackDeferredUpdate, callbackUpdate, callbackModal, callbackPremium, callbackActivity}
	}
	return []int{callbackMessage, callbackDeferred, callbackModal, callbackPremium, callbackActivity}
}

// respond does what a first response says; s.mu is held.
func (s *Server) respond(it *interaction, body any, files []file) error {
	var p problems
	fields, _ := body.(object)
	f := form{p: &p, fields: fields}
	typ, ok := f.choice("type", it.allowed()...)
	if !ok {
		if it.response != 0 {
			return errAcknowledged
		}
		return p.err()
	}
	data, hasData := f.object("data")
	if !hasData {
		data = form{p: &p, at: path{"data"}, fields: object{}}
	}

	var d draft
	var empty error
	var modal *Modal
	var choices []Choice
	switch typ {
	case callbackMessage:
		d, empty = s.readDraft(data, files, nil, settableByInteraction, interactionPings)
	case callbackUpdate:
		d, empty = s.readDraft(data, files, it.message, settableByInteraction, interactionPings)
	case callbackDeferred:
		if flags, _ := data.integer("flags", 0, 1<<53); flags&^FlagEphemeral != 0 {
			data.bad("flags", "BITFIELD_TYPE_INVALID", "Only the EPHEMERAL flag can be set on a deferred response.")
		} else {
			d.flags = flags | FlagLoading
		}
	case callbackModal:
		modal = readModal(data)
	case callbackAutocomplete:
		choices = readChoices(data, it.optionTyp)
	case callbackPremium, callbackActivity:
		f.bad("type", "INTERACTION_CALLBACK_TYPE_NOT_ENABLED", "The application has neither purchases nor activities.")
	}
	if err := p.err(); err != nil {
		return err
	}
	if it.response != 0 {
		return errAcknowledged
	}
	if empty != nil {
		return empty
	}

	switch typ {
	case callbackMessage, callbackDeferred:
		it.own, it.deferred = true, typ == callbackDeferred
		it.original = s.addReply(it, d)
	case callbackUpdate:
		it.original = it.message
		s.edit(it.message, d)
	case callbackDeferredUpdate:
		it.original = it.message
	case callbackModal:
		it.modal = modal
		s.modals[it.user.id] = &openModal{*modal, it}
	case callbackAutocomplete:
		it.choices = choices
	}
	it.response = typ
	it.timer.Stop()
	close(it.settled)
	s.changed()
	return nil
}

// addReply stores a message that answers it.
func (s *Server) addReply(it *interaction, d draft) *message {
	m := &message{draft: d, channel: it.channel, by: it, kind: messageDefault}
	switch {
	case it.message != nil:
		m.kind, m.reference = messageReply, it.message.id
	case it.kind == interactionCommand:
		m.kind = messageCommand
	}
	if d.flags&FlagEphemeral != 0 {
		m.ephemeralFor = it.user.id
	}
	s.add(m)
	return m
}

func readChoices(f form, typ int) []Choice {
	var choices []Choice
	for _, c := range f.objects("choices", 0, 25) {
		choices = append(choices, Choice{Name: readChoice(c, typ), Value: fmt.Sprint(c.fields["value"])})
	}
	return choices
}

// byToken finds an answered interaction whose token still works.
func (s *Server) byToken(c *call) (*interaction, error) {
	it := s.tokens[c.PathValue("token")]
	switch {
	case it == nil || c.PathValue("app") != s.opts.ApplicationID:
		return nil, errWebhookToken
	case it.response == 0 || it.response == callbackAutocomplete:
		return nil, errUnknownWebhook // nothing to follow up yet, or ever
	case s.now().Sub(it.created) >= s.opts.TokenLife:
		return nil, errWebhookToken
	}
	return it, nil
}

// tokenMessage finds the message that the path names: @original, or one that
// this token made.
func (s *Server) tokenMessage(c *call) (*interaction, *message, error) {
	it, err := s.byToken(c)
	if err != nil {
		return nil, nil, err
	}
	id := c.PathValue("message")
	if id == "@original" {
		if it.original == nil {
			return nil, nil, errUnknownMessage
		}
		id = it.original.id
	} else if !it.replies[id] && (it.original == nil || it.original.id != id) {
		return nil, nil, errUnknownMessage
	}
	m := it.channel.find(id)
	if m == nil || s.channels[it.channel.id] == nil {
		return nil, nil, errUnknownMessage
	}
	c.about = m.id
	return it, m, nil
}

func (s *Server) getResponse(c *call) (reply, error) {
	_, m, err := s.tokenMessage(c)
	if err != nil {
		return reply{}, err
	}
	return okReply(s.messageObject(m)), nil
}

func (s *Server) patchResponse(c *call) (reply, error) {
	it, m, err := s.tokenMessage(c)
	if err != nil {
		return reply{}, err
	}
	return s.editReply(c, it, m)
}

func (s *Server) editReply(c *call, it *interaction, m *message) (reply, error) {
	var p problems
	d, err := s.readDraft(c.form(&p), c.files, m, settableByInteraction, interactionPings)
	if problem := p.err(); problem != nil {
		return reply{}, problem
	}
	if err != nil {
		return reply{}, err
	}
	if m == it.original {
		it.deferred = false
	}
	s.edit(m, d)
	return okReply(s.messageObject(m)), nil
}

func (s *Server) deleteResponse(c *call) (reply, error) {
	it, m, err := s.tokenMessage(c)
	if err != nil {
		return reply{}, err
	}
	if m == it.original {
		it.deferred = false
	}
	m.channel.remove(m.id)
	return noContent, nil
}

// postFollowup adds a message. Straight after a deferred response it fills that
// one in, which stays as private or public as it was.
func (s *Server) postFollowup(c *call) (reply, error) {
	it, err := s.byToken(c)
	if err != nil {
		return reply{}, err
	}
	if s.channels[it.channel.id] == nil {
		return reply{}, errUnknownChannel
	}
	if it.deferred {
		if m := it.channel.find(it.original.id); m != nil {
			c.about = m.id
			return s.editReply(c, it, m)
		}
	}
	var p problems
	d, err := s.readDraft(c.form(&p), c.files, nil, settableByInteraction, interactionPings)
	if problem := p.err(); problem != nil {
		return reply{}, problem
	}
	if err != nil {
		return reply{}, err
	}
	m := s.addReply(it, d)
	it.replies[m.id] = true
	c.about = m.id
	return okReply(s.messageObject(m)), nil
}

// merged is o with more fields.
func merged(o, more object) object {
	o = maps.Clone(o)
	maps.Copy(o, more)
	return o
}
