package discord

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// kept is how long what people might come back to is remembered.
const kept = 15 * time.Minute

// forms remembers what was typed into forms that were refused: a form that is
// sent has closed. Another process shows it empty.
type forms struct {
	mu   sync.Mutex
	sent map[string]sentForm // by person and form
}

type sentForm struct {
	values map[string]string
	until  time.Time
}

// opening fills in what the person had typed into f. It stays: people close a
// form and open it again.
func (s *forms) opening(person string, f chat.Form) chat.Form {
	s.mu.Lock()
	defer s.mu.Unlock()
	typed := s.sent[person+"/"+f.ID].values
	f.Inputs = slices.Clone(f.Inputs)
	for i, in := range f.Inputs {
		if v, ok := typed[in.ID]; ok {
			f.Inputs[i].Value = v
		}
	}
	return f
}

// refused remembers what was typed.
func (s *forms) refused(now time.Time, person, form string, typed map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, f := range s.sent {
		if now.After(f.until) {
			delete(s.sent, k)
		}
	}
	if s.sent == nil {
		s.sent = map[string]sentForm{}
	}
	s.sent[person+"/"+form] = sentForm{typed, now.Add(kept)}
}

// done forgets a form that was taken.
func (s *forms) done(person, form string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sent, person+"/"+form)
}

// copies holds the values that no message can show exactly, until they are
// opened as forms. Their ids cannot be guessed, and stand on messages that one
// person sees.
type copies struct {
	mu     sync.Mutex
	values map[string]copied
}

type copied struct {
	chat.Exact
	until time.Time
}

func (s *copies) keep(now time.Time, nonce string, es []chat.Exact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, c := range s.values {
		if now.After(c.until) {
			delete(s.values, k)
		}
	}
	if s.values == nil {
		s.values = map[string]copied{}
	}
	for i, e := range es {
		s.values[copyID(nonce, i)] = copied{e, now.Add(kept)}
	}
}

// form is the value under an id as a form with nothing to send.
func (s *copies) form(now time.Time, id string) (chat.Form, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.values[id]
	if !ok || now.After(c.until) {
		return chat.Form{}, false
	}
	value := c.Value.Reveal()
	return chat.Form{ID: copyPrefix + "read", Title: c.Label, Inputs: []chat.Input{{
		ID: "value", Label: c.Label, Value: value, Optional: true,
		Multiline: strings.ContainsAny(value, "\n\r") || len(value) > 60,
	}}}, true
}

func copyID(nonce string, i int) string { return copyPrefix + nonce + ":" + strconv.Itoa(i) }
