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

// forms remembers the forms that are open: a form that is sent comes back
// without the words at its inputs, and one that is refused has closed, with all
// that was typed into it.
type forms struct {
	mu   sync.Mutex
	open map[string]openForm // by person and form
}

type openForm struct {
	inputs []chat.Input
	typed  map[string]string // refused
	until  time.Time
}

// opening remembers f, and fills in what the person had typed into it.
func (s *forms) opening(now time.Time, person string, f chat.Form) chat.Form {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, o := range s.open {
		if now.After(o.until) {
			delete(s.open, k)
		}
	}
	key := person + "/" + f.ID
	typed := s.open[key].typed // it stays: people close a form and open it again
	f.Inputs = slices.Clone(f.Inputs)
	for i, in := range f.Inputs {
		if v, ok := typed[in.ID]; ok {
			f.Inputs[i].Value = v
		}
	}
	s.remember(key, openForm{inputs: f.Inputs, typed: typed, until: now.Add(kept)})
	return f
}

// shown remembers a form that stands in a message, for the words at its inputs.
func (s *forms) shown(now time.Time, person string, f chat.Form) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(person+"/"+f.ID, openForm{inputs: f.Inputs, until: now.Add(kept)})
}

// remember adds o to what is known of a form; parts of one are opened one by one.
func (s *forms) remember(key string, o openForm) {
	if s.open == nil {
		s.open = map[string]openForm{}
	}
	for _, in := range s.open[key].inputs {
		if !slices.ContainsFunc(o.inputs, func(n chat.Input) bool { return n.ID == in.ID }) {
			o.inputs = append(slices.Clip(o.inputs), in)
		}
	}
	s.open[key] = o
}

// refused remembers what was typed, and returns the form's inputs.
func (s *forms) refused(now time.Time, person, form string, typed map[string]string) []chat.Input {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := person + "/" + form
	o, ok := s.open[key]
	if ok {
		o.typed, o.until = typed, now.Add(kept)
		s.open[key] = o
	}
	return o.inputs
}

// done forgets a form that was taken.
func (s *forms) done(person, form string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, person+"/"+form)
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
