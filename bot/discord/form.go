package discord

import (
	"cmp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"github.com/pvechat/pvechat/bot/chat"
)

// asksAtOnce reports whether f opens as a modal; a form with something to say
// first is a message with a button that asks for the modal.
func asksAtOnce(f chat.Form) bool { return len(f.Intro) == 0 && len(f.Inputs) > 0 && !f.Choices() }

// modalOf is f as a modal, with the first five of its inputs.
func modalOf(f chat.Form) *modal {
	m := &modal{Title: label(f.Title, maxTitle)}
	if m.Title == "" {
		m.Title = "–"
	}
	ids := idents{state: f.State, used: map[string]bool{}}
	m.CustomID, _ = ids.ident(f.ID)
	if m.CustomID == "" {
		m.CustomID = "off"
	}
	inputs := idents{used: map[string]bool{}}
	for i, in := range f.Inputs {
		if i == maxInputs {
			break
		}
		w := input{
			Type:        typeInput,
			Style:       1,
			Label:       label(in.Label, maxTitle),
			Required:    !in.Optional,
			MaxLength:   min(max(in.MaxLength, 0), maxValue),
			Placeholder: label(in.Placeholder, maxHint),
		}
		if in.Multiline {
			w.Style = 2
		}
		if w.Label == "" {
			w.Label = "–"
		}
		limit := w.MaxLength
		if limit == 0 {
			limit = maxValue
		}
		w.Value = head(strings.Map(typed, strings.ToValidUTF8(in.Value, "\ufffd")), limit)
		var ok bool
		if w.CustomID, ok = inputs.ident(in.ID); !ok {
			w.CustomID, _ = inputs.ident("off")
		}
		m.Components = append(m.Components, row{Type: typeRow, Components: []any{w}})
	}
	return m
}

// typed maps r to what could have been typed for it.
func typed(r rune) rune {
	if unicode.IsControl(r) && r != '\n' && r != '\t' {
		return -1
	}
	return r
}

// head is the beginning of s in at most limit units, without a mark that it
// was cut: people would send the mark.
func head(s string, limit int) string {
	n := 0
	for i, r := range s {
		if n += size(string(r)); n > limit {
			return s[:i]
		}
	}
	return s
}

// introBlocks is what a form says before it asks. A last dim line is a footer,
// and stays below the buttons.
func introBlocks(f chat.Form) []chat.Block {
	title := f.Heading
	if title == "" {
		title = f.Title
	}
	intro, footer := f.Intro, []chat.Block(nil)
	if n := len(intro); n > 1 {
		if _, ok := intro[n-1].(chat.Note); ok {
			intro, footer = intro[:n-1], intro[n-1:]
		}
	}
	out := append([]chat.Block{chat.Heading{Text: title}}, intro...)
	out = append(out, chat.Controls{ID: "ask", Buttons: askButtons(f)})
	return append(out, footer...)
}

// sendPrefix stands before the id of a form on the button that sends it.
const sendPrefix = "send:"

// choiceBlocks is a form with choices as a message: what was typed, with a
// button for each part of it, the choices, and the ways on.
func choiceBlocks(f chat.Form) []chat.Block {
	title := f.Heading
	if title == "" {
		title = f.Title
	}
	out := append([]chat.Block{chat.Heading{Text: title}}, f.Intro...)
	for i, part := range f.Parts() {
		var said chat.Text
		for _, in := range f.Inputs {
			if len(in.Options) > 0 || in.Group != part {
				continue
			}
			if said != nil {
				said = append(said, chat.Texts(" · ")...)
			}
			value := strings.TrimSpace(oneLine(in.Value))
			if value == "" {
				value = "–"
			}
			said = append(said, chat.Texts(chat.B(in.Label), " "+cutRunes(value, 60))...)
		}
		if part == "" {
			part = "Edit…"
		}
		out = append(out, chat.Item{Text: said, Button: &chat.Button{ID: f.ID + ":edit:" + strconv.Itoa(i), Label: part}})
	}
	for _, in := range f.Inputs {
		if len(in.Options) > 0 {
			out = append(out, chat.Note{Text: chat.Texts(in.Label)}, chat.Controls{ID: in.ID, Select: &chat.Select{
				ID: f.ID + ":set:" + in.ID, Placeholder: in.Label, Options: in.Options, Selected: in.Value, Many: in.Many,
			}})
		}
	}
	send := f.Submit
	if send == "" {
		send = "Send"
	}
	buttons := append(slices.Clone(f.Buttons), chat.Button{ID: sendPrefix + f.ID, Label: send, Style: chat.Primary})
	if f.CancelID != "" {
		buttons = append(buttons, chat.Button{ID: f.CancelID, Label: "Cancel"})
	}
	return append(out, chat.Controls{ID: "ways", Buttons: buttons})
}

func askButtons(f chat.Form) []chat.Button {
	ask := f.Ask
	if ask == "" {
		ask = "Continue…"
	}
	buttons := []chat.Button{{ID: f.ID, Label: ask}}
	if f.CancelID != "" {
		buttons = append(buttons, chat.Button{ID: f.CancelID, Label: "Cancel"})
	}
	return buttons
}

// opener stands for a form that cannot open now: Discord takes a modal only as
// the first answer to a press or a command.
func opener(f chat.Form) chat.Form {
	if len(f.Intro) == 0 {
		f.Intro = []chat.Block{chat.Para{Text: chat.Texts("It is ready to be filled in.")}}
	}
	return f
}

// refusal lists what is wrong with a form that was sent, by the words that
// stand at its inputs, and offers to open it again.
func refusal(id, state string, inputs []chat.Input, errs map[string]string) chat.Message {
	left := make(map[string]string, len(errs))
	for k, v := range errs {
		left[k] = v
	}
	var fields chat.Fields
	for _, in := range inputs {
		if sentence, ok := left[in.ID]; ok {
			fields = append(fields, chat.Field{Label: in.Label, Value: chat.Texts(sentence)})
			delete(left, in.ID)
		}
	}
	var rest []string
	for k := range left {
		rest = append(rest, k)
	}
	sort.Strings(rest)
	for _, k := range rest {
		fields = append(fields, chat.Field{Label: cmp.Or(k, "Not now"), Value: chat.Texts(left[k])})
	}
	return chat.Message{
		Tone:  chat.Bad,
		State: state,
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts("❌ ", chat.B("Not accepted"))},
			fields,
			chat.Note{Text: chat.Texts("Nothing was changed.")},
			chat.Controls{ID: "again", Buttons: []chat.Button{{ID: id, Label: "Try again", Style: chat.Primary}}},
		},
	}
}
