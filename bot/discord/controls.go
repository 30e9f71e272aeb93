package discord

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
)

// buttonOf is b, its id still plain; false where Discord would not have it.
func buttonOf(b chat.Button) (button, bool) {
	w := button{Type: typeButton, Style: styleSecondary, CustomID: b.ID, Disabled: b.Off}
	switch {
	case b.Active, b.Style == chat.Primary:
		w.Style = stylePrimary
	case b.Style == chat.Positive:
		w.Style = styleSuccess
	case b.Style == chat.Danger:
		w.Style = styleDanger
	}
	w.Label = oneLine(b.Label)
	if w.Label == "" {
		w.Label = "–"
	}
	if b.Active {
		w.Label = "▸ " + w.Label
	}
	w.Label = cut(w.Label, maxButtonLabel)
	if b.URL != "" {
		if size(b.URL) > maxURL || !linkable(b.URL) {
			return button{}, false
		}
		w.Style, w.URL, w.CustomID = styleLink, b.URL, ""
	}
	return w, true
}

// menuOf is s, its id still plain; false where it has nothing to choose.
func menuOf(s chat.Select) (menu, bool) {
	m := menu{Type: typeSelect, CustomID: s.ID, Placeholder: label(s.Placeholder, maxPlaceholder), Min: 1, Max: 1}
	seen := map[string]bool{}
	wanted := []string{s.Selected}
	if s.Many {
		wanted = strings.Fields(s.Selected)
	}
	for _, c := range s.Options {
		if !usable(c.Value) || seen[c.Value] {
			continue
		}
		seen[c.Value] = true
		o := option{
			Label:       label(c.Label, maxOption),
			Value:       c.Value,
			Description: label(c.Note, maxOption),
			Emoji:       emojiOf(c.Mark),
			Default:     slices.Contains(wanted, c.Value),
		}
		if o.Label == "" {
			o.Label = "–"
		}
		m.Options = append(m.Options, o)
	}
	if n := len(m.Options); n > maxOptions {
		// What is chosen stays to be seen.
		if i := chosen(m.Options); i >= maxOptions {
			m.Options[maxOptions-1] = m.Options[i]
		}
		m.Options = m.Options[:maxOptions]
		m.Placeholder = label(fmt.Sprintf("%s (%d of %d)", m.Placeholder, maxOptions, n), maxPlaceholder)
	}
	if s.Many {
		m.Min, m.Max = 0, len(m.Options)
	}
	return m, len(m.Options) > 0
}

func chosen(os []option) int {
	for i, o := range os {
		if o.Default {
			return i
		}
	}
	return -1
}

// emojiOf is mark where it can be an emoji; Discord refuses the whole message
// for one that is none.
func emojiOf(mark string) *emoji {
	if mark == "" || utf8.RuneCountInString(mark) > 8 || !utf8.ValidString(mark) {
		return nil
	}
	for _, r := range mark {
		if !symbol(r) {
			return nil
		}
	}
	return &emoji{Name: mark}
}

// symbol reports whether r is an emoji or what joins and varies them: the plane
// that is full of emoji, and of the older blocks, which are not, the ones that
// pvechat uses.
func symbol(r rune) bool {
	return r >= 0x1f300 && r <= 0x1faff || strings.ContainsRune("\u200d\ufe0f⏹⏳↕✅❌❓❔❗⚠▫⬛⬜", r)
}

// linkable reports whether Discord takes u on a button.
func linkable(u string) bool {
	rest, ok := strings.CutPrefix(u, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(u, "http://")
	}
	return ok && rest != "" && rest[0] != '/' && !strings.ContainsFunc(u, func(r rune) bool {
		return r <= ' ' || r == utf8.RuneError || visible(r) < 0
	})
}

// idents gives the controls of one message their ids: unique, with the state
// behind them.
type idents struct {
	state string
	used  map[string]bool
}

func (s *idents) all(cs []any) []any {
	out := make([]any, len(cs))
	for i, c := range cs {
		switch c := c.(type) {
		case button:
			out[i] = s.button(c)
		case menu:
			id, ok := s.ident(c.CustomID)
			if !ok {
				out[i] = s.button(button{Type: typeButton, Style: styleSecondary, Label: "–", Disabled: true})
				continue
			}
			c.CustomID = id
			out[i] = c
		}
	}
	return out
}

func (s *idents) button(b button) button {
	if b.URL != "" {
		return b
	}
	id, ok := s.ident(b.CustomID)
	if !ok { // nothing could come back of it
		id, _ = s.ident("off")
		b.Disabled = true
	}
	b.CustomID = id
	return b
}

// usable reports whether Discord takes and returns s as the id of a control or
// the value of an option.
func usable(s string) bool {
	return s != "" && size(s) <= maxID && utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// ident makes id unique and adds the state; splitIdent undoes both.
func (s *idents) ident(id string) (string, bool) {
	if !usable(id) {
		return "", false
	}
	for n := 1; ; n++ {
		full := id
		if n > 1 {
			full += again + strconv.Itoa(n)
		}
		if s.state != "" && !strings.HasPrefix(id, copyPrefix) {
			full += behind + s.state
		}
		if size(full) > maxID {
			return "", false
		}
		if !s.used[full] {
			s.used[full] = true
			return full, true
		}
	}
}

const (
	again      = "~" // before the count of an id that is there twice
	behind     = "|" // before the state
	copyPrefix = "copy:"
)

// splitIdent parts what ident joined.
func splitIdent(full string) (id, state string) {
	id = full
	if i := strings.LastIndex(full, behind); i >= 0 {
		id, state = full[:i], full[i+1:]
	}
	if i := strings.LastIndex(id, again); i >= 0 {
		if _, err := strconv.Atoi(id[i+1:]); err == nil {
			id = id[:i]
		}
	}
	return id, state
}
