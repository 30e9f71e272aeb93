package discordtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Modal is a form that a person has open.
type Modal struct {
	CustomID   string
	Title      string
	Fields     []Field
	Components json.RawMessage // as sent, each with its id
}

// Field is a text input of a [Modal].
type Field struct {
	CustomID             string
	Label                string
	Style                int // 1 one line, 2 several
	Placeholder          string
	Value                string // what is filled in already
	Required             bool
	MinLength, MaxLength int // in characters
	row, id              int // ids of the components
}

type openModal struct {
	Modal
	from *interaction
}

// readModal examines the form in a response.
func readModal(f form) *Modal {
	m := &Modal{CustomID: f.must("custom_id", 1, 100), Title: f.must("title", 1, 45)}
	components := checkForm(f)
	if !f.p.none() {
		return nil
	}
	row := 0
	eachComponent(components, func(c object) {
		if number(c["type"]) == typeActionRow {
			row = number(c["id"])
			return
		}
		text := func(key string) string { s, _ := c[key].(string); return s }
		field := Field{
			CustomID: text("custom_id"), Label: text("label"), Style: number(c["style"]), Placeholder: text("placeholder"),
			Value: text("value"), Required: c["required"] != false, MinLength: number(c["min_length"]), MaxLength: 4000,
			row: row, id: number(c["id"]),
		}
		if most := number(c["max_length"]); most > 0 {
			field.MaxLength = most
		}
		m.Fields = append(m.Fields, field)
	})
	m.Components = mustMarshal(components)
	return m
}

// Modal is the form that a person has open; nil for none.
func (s *Server) Modal(userID string) *Modal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open := s.modals[userID]; open != nil {
		m := open.Modal
		return &m
	}
	return nil
}

// DismissModal closes a person's form. The application does not hear of it.
func (s *Server) DismissModal(userID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.modals, userID)
	s.changed()
}

// Submit sends the form that a person has open, by field. A field that is not
// named keeps what was filled in. The form closes at the response; without one
// it stays open, as it does in the client.
//
// The error is for a form that is not open, for a field that it does not have,
// and for what the client refuses: a required field left empty, a text too short
// or too long, a line break where there is one line; otherwise as for Command.
func (s *Server) Submit(ctx context.Context, userID, modalCustomID string, values map[string]string) (Outcome, error) {
	s.mu.Lock()
	open := s.modals[userID]
	s.mu.Unlock()
	if open == nil || open.CustomID != modalCustomID {
		return Outcome{}, fmt.Errorf("discordtest: user %s has no form %q open", userID, modalCustomID)
	}
	return s.act(ctx, userID, open.from.channel.id, func(u *user, ch *channel) (*interaction, object, error) {
		rows, err := open.fill(values)
		if err != nil {
			return nil, nil, fmt.Errorf("form %q: %w", modalCustomID, err)
		}
		it := s.newInteraction(interactionModal, u, ch)
		it.message = open.from.message
		return it, object{"custom_id": modalCustomID, "components": rows}, nil
	})
}

func (m *Modal) fill(values map[string]string) ([]any, error) {
	rows := []any{}
	used := 0
	for _, f := range m.Fields {
		value, ok := values[f.CustomID]
		if ok {
			used++
		} else {
			value = f.Value
		}
		n := utf8.RuneCountInString(value)
		switch {
		case n == 0 && f.Required:
			return nil, fmt.Errorf("field %q is required", f.CustomID)
		case n > 0 && n < f.MinLength:
			return nil, fmt.Errorf("field %q needs %d characters", f.CustomID, f.MinLength)
		case n > f.MaxLength:
			return nil, fmt.Errorf("field %q takes %d characters, not %d", f.CustomID, f.MaxLength, n)
		case f.Style == 1 && strings.ContainsAny(value, "\r\n"):
			return nil, fmt.Errorf("field %q has one line", f.CustomID)
		}
		input := object{"type": typeTextInput, "id": f.id, "custom_id": f.CustomID, "value": value}
		rows = append(rows, object{"type": typeActionRow, "id": f.row, "components": []any{input}})
	}
	if used < len(values) {
		return nil, fmt.Errorf("it has no such fields: %v", values)
	}
	return rows, nil
}

// closeModal closes the form that it answers; s.mu is held.
func (s *Server) closeModal(it *interaction) { delete(s.modals, it.user.id) }
