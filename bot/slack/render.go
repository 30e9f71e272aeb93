package slack

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
)

// Slack's limits, from the documentation of its block and view objects; those
// with a note are ours.
const (
	maxText        = 3000 // of a section or context
	maxField       = 2000
	maxFields      = 10
	maxHeader      = 150
	maxTitle       = 24 // of a modal, and of its two buttons
	maxButton      = 75
	maxOption      = 75 // an option's text and its description
	maxOptionValue = 150
	maxOptions     = 100
	maxMenu        = 5
	maxActions     = 25
	maxBoxes       = 10
	maxPlaceholder = 150
	maxInput       = 3000 // what a person may type
	maxLabel       = 2000 // of an input, and its hint
	maxID          = 255
	maxURL         = 3000
	maxMetadata    = 3000
	maxPre         = 3000 // ours
	maxName        = 40   // ours: on a row
	maxFallback    = 4000 // bytes, of chat.update
	rowSize        = 800  // bytes that most rows take; more is fine
)

// The marks that a control carries back in its value.
const (
	valueConfirmed = "confirmed" // the person agreed to the button's confirm
	valueLink      = "url"       // the button only opened a page
)

// Render returns what goes over the wire for s: {text, blocks} of a message,
// or the view of a panel, a form or a home. It never fails on what s holds:
// what is too long, too much or not showable is shortened visibly or left out.
func Render(s chat.Surface) (json.RawMessage, error) {
	switch s := s.(type) {
	case chat.Message:
		return json.Marshal(renderMessage(s))
	case chat.Panel, chat.Form:
		return json.Marshal(renderModal(s, "", viewSize))
	case chat.Home:
		return json.Marshal(renderHome(s))
	}
	return nil, fmt.Errorf("slack: no surface: %T", s)
}

// message is the part of a message that Render owns. Every way to send one
// has these two fields.
type message struct {
	Text   string          `json:"text"`
	Blocks []slackgo.Block `json:"blocks"`
}

func renderMessage(m chat.Message) message {
	r := &renderer{suffix: suffix(m.State), headers: true}
	r.blocks(m.Blocks)
	text := fallback(m.Summary, m.Blocks)
	said, _ := json.Marshal(text) // as it counts: with its escapes
	return message{Text: text, Blocks: fit(r.pieces, messageBlocks, messageSize-charCount(said), charCount)}
}

// asMessage is s where only a message can be shown.
func asMessage(s chat.Surface) chat.Message {
	switch s := s.(type) {
	case chat.Message:
		return s
	case chat.Panel:
		blocks := []chat.Block{chat.Heading{Text: s.Title}}
		if s.Lead != nil {
			blocks = append(blocks, chat.Para{Text: lead(*s.Lead, s.Title)})
		}
		blocks = append(blocks, unheaded(s.Blocks)...)
		if s.Cancel != "" {
			blocks = append(blocks, chat.Controls{ID: "cancel", Buttons: []chat.Button{{ID: s.Cancel, Label: or(s.Close, "Cancel")}}})
		}
		return chat.Message{Summary: s.Title, Tone: s.Tone, State: s.State, Blocks: blocks}
	case chat.Form:
		blocks := append([]chat.Block{chat.Heading{Text: s.Title}}, unheaded(intro(s))...)
		ask := s.Ask
		if ask == "" {
			ask = s.Submit
		}
		buttons := []chat.Button{{ID: s.ID, Label: ask}}
		if s.CancelID != "" {
			buttons = append(buttons, chat.Button{ID: s.CancelID, Label: "Cancel"})
		}
		blocks = append(blocks, chat.Controls{ID: "ask", Buttons: buttons})
		return chat.Message{Summary: s.Title, Tone: s.Tone, State: s.State, Blocks: blocks}
	case chat.Home:
		return chat.Message{State: s.State, Blocks: s.Blocks}
	}
	return chat.Message{}
}

// unheaded turns headings into paragraphs, for a message that has its header.
func unheaded(blocks []chat.Block) []chat.Block {
	out := make([]chat.Block, len(blocks))
	for i, b := range blocks {
		if h, ok := b.(chat.Heading); ok {
			b = chat.Para{Text: headed(h)}
		}
		out[i] = b
	}
	return out
}

// metadata travels with a view, unseen.
type metadata struct {
	State   string `json:"s"`
	Channel string `json:"c,omitempty"` // where the view was opened from
}

func (m metadata) String() string {
	if m == (metadata{}) {
		return ""
	}
	b, _ := json.Marshal(m) // two strings always marshal
	if len(b) > maxMetadata {
		return ""
	}
	return string(b)
}

// renderModal renders s as a modal of at most limit bytes. A modal says when
// it is closed.
func renderModal(s chat.Surface, channel string, limit int) slackgo.ModalViewRequest {
	v := slackgo.ModalViewRequest{Type: slackgo.VTModal, NotifyOnClose: true}
	r := &renderer{view: true}
	var state string
	switch s := s.(type) {
	case chat.Panel:
		v.CallbackID, state = callbackID(s.ID), s.State
		v.Title = plainText(s.Title, maxTitle)
		v.Close = plainText(or(s.Close, "Close"), maxTitle)
		if s.Lead != nil {
			r.section(lead(*s.Lead, v.Title.Text))
		}
		r.blocks(s.Blocks)
	case chat.Form:
		v.CallbackID, state = callbackID(s.ID), s.State
		v.Title = plainText(s.Title, maxTitle)
		v.Close = plainText("Cancel", maxTitle)
		v.Submit = plainText(or(s.Submit, "Send"), maxTitle)
		r.blocks(intro(s))
		for _, in := range s.Inputs {
			r.input(in)
		}
		if len(s.Buttons) > 0 {
			r.blocks([]chat.Block{chat.Controls{ID: "ways", Buttons: s.Buttons}})
		}
	default:
		m := asMessage(s)
		v.CallbackID, state = "message", m.State
		v.Title = plainText("pvechat", maxTitle)
		v.Close = plainText("Close", maxTitle)
		r.blocks(m.Blocks)
	}
	v.PrivateMetadata = metadata{state, channel}.String()
	v.Blocks.BlockSet = fit(r.pieces, viewBlocks, limit, byteCount)
	return v
}

func renderHome(s chat.Surface) slackgo.HomeTabViewRequest {
	m := asMessage(s)
	r := &renderer{headers: true, view: true}
	r.blocks(m.Blocks)
	return slackgo.HomeTabViewRequest{
		Type:            slackgo.VTHomeTab,
		CallbackID:      "home",
		PrivateMetadata: metadata{State: m.State}.String(),
		Blocks:          slackgo.Blocks{BlockSet: fit(r.pieces, viewBlocks, viewSize, byteCount)},
	}
}

// lead says in one line what a panel is about. The name is in the window's
// title; where it is not, or not whole, the line says it.
func lead(l chat.Lead, title string) chat.Text {
	var facts []chat.Text
	add := func(t chat.Text) {
		if !bare(t) {
			facts = append(facts, t)
		}
	}
	if name := line(l.Name); name != title {
		add(chat.Texts(chat.B(name)))
	}
	add(chat.Texts(chat.B(l.Word)))
	add(l.Facts)
	return prefixed(l.Mark, joined(facts))
}

// intro is what a form says above its inputs: the question and the first
// paragraph are one block.
func intro(f chat.Form) []chat.Block {
	if blank(f.Heading) {
		return f.Intro
	}
	h, rest := chat.Heading{Text: f.Heading}, f.Intro
	if len(rest) > 0 {
		if p, ok := rest[0].(chat.Para); ok {
			h.Below, rest = p.Text, rest[1:]
		}
	}
	return append([]chat.Block{h}, rest...)
}

func sectionOf(t chat.Text) section { return section{text: mrkdwnText(t, maxText)} }

// renderer collects the pieces of one surface.
type renderer struct {
	suffix  string // carries the state in every control's id
	headers bool   // a heading is a header block
	view    bool   // Slack keeps what a person chose when it is updated
	pieces  []piece
	encoded []encoded       // their blocks
	json    []byte          // what those are made of
	ids     map[string]bool // block ids so far
}

// suffix carries state where a surface has no hidden place for it.
func suffix(state string) string {
	if state == "" {
		return ""
	}
	return "|" + state
}

func (r *renderer) blocks(blocks []chat.Block) {
	r.pieces, r.encoded = slices.Grow(r.pieces, len(blocks)), slices.Grow(r.encoded, 2*len(blocks))
	for _, b := range blocks {
		switch b := b.(type) {
		case chat.Heading:
			r.heading(b)
		case chat.Para:
			r.section(b.Text)
		case chat.Note:
			r.add(other, note(b.Text)...)
		case chat.Divider:
			r.add(other, slackgo.NewDividerBlock())
		case chat.Row:
			r.row(b)
		case chat.Item:
			r.item(b)
		case chat.Fields:
			r.fields(b)
		case chat.Meters:
			r.meters(b)
		case chat.Controls:
			r.controls(b)
		case chat.Pre:
			r.pre(b)
		case chat.Exact:
			r.exact(b)
		case chat.Picture:
			// Slack shows files to a whole channel, or to nobody.
			r.blocks([]chat.Block{chat.Note{Text: chat.Texts(b.Alt)}})
		case chat.Jump:
			// Slack's rows carry their own menus.
		}
	}
}

func (r *renderer) add(k kind, blocks ...any) {
	if len(blocks) == 0 {
		return
	}
	first := len(r.encoded)
	for _, b := range blocks {
		start := len(r.json)
		r.json = write(r.json, b)
		r.encoded = append(r.encoded, r.json[start:len(r.json):len(r.json)])
	}
	r.pieces = append(r.pieces, piece{k, r.encoded[first:len(r.encoded):len(r.encoded)]})
}

func (r *renderer) section(t chat.Text) {
	if !bare(t) {
		r.add(other, sectionOf(t))
	}
}

func (r *renderer) heading(h chat.Heading) {
	if !r.headers || blank(h.Text) {
		r.section(headed(h))
		return
	}
	r.add(other, slackgo.NewHeaderBlock(plainText(h.Text, maxHeader)))
	r.section(h.Below)
}

// headed is a heading as a paragraph.
func headed(h chat.Heading) chat.Text {
	t := chat.Texts(chat.B(h.Text))
	if blank(h.Text) {
		return h.Below
	}
	if bare(h.Below) {
		return t
	}
	return chat.Texts(t, "\n", h.Below)
}

// rowKey is what a row depends on beside itself.
type rowKey struct{ blockID, suffix string }

// row adds a row as it was kept, or else draws it apart from the others, which
// it may outlive.
func (r *renderer) row(row chat.Row) {
	key := rowKey{r.blockID(row.ID), r.suffix}
	made, ok := row.Kept.Load(key)
	if !ok {
		alone := &renderer{suffix: r.suffix, json: make([]byte, 0, rowSize)}
		alone.draw(row, key.blockID)
		made = alone.pieces[0]
		row.Kept.Keep(key, made)
	}
	r.pieces = append(r.pieces, made.(piece))
}

func (r *renderer) draw(row chat.Row, blockID string) {
	name := cut(line(row.Name), maxName)
	if blank(name) {
		name = "–"
	}
	t := make(chat.Text, 0, 8)
	if !blank(row.Mark) {
		t = append(t, chat.Span{Text: line(row.Mark)}, chat.Span{Text: " "})
	}
	t = append(t, chat.B(name))
	gap := "  "
	for _, s := range [...]string{row.Word, row.Where} {
		if !blank(s) {
			t = append(t, chat.Span{Text: gap}, chat.Span{Text: line(s)})
			gap = " · "
		}
	}
	s := sectionOf(t)
	s.id = blockID
	if menu := r.menu(row); len(menu.options) > 0 {
		s.accessory = menu
	}
	dim := joined([]chat.Text{row.Facts, {{Text: row.Dots}}})
	if bare(dim) {
		r.add(listed, s)
	} else {
		r.add(listed, s, noteOf(dim))
	}
}

// menu is the overflow menu of a row; without options where nothing can be done.
// They are told apart by their values, so its own id only carries state.
func (r *renderer) menu(row chat.Row) overflow {
	menu := overflow{id: "ct:" + strings.TrimPrefix(row.ID, "row:") + ":menu" + r.suffix, options: make([]menuOption, 0, maxMenu)}
	if !usable(menu.id) {
		return menu
	}
	for _, b := range row.Menu {
		seen := func(o menuOption) bool { return o.value == b.ID }
		if b.Off || b.ID == "" || width(b.ID) > maxOptionValue || b.URL != "" && !webAddress(b.URL) || slices.ContainsFunc(menu.options, seen) {
			continue
		}
		if len(menu.options) == maxMenu {
			break
		}
		menu.options = append(menu.options, menuOption{plain(b.Label, maxOption), b.ID, b.URL})
	}
	return menu
}

func (r *renderer) item(it chat.Item) {
	t := it.Text
	if bare(t) {
		t = chat.Texts("–")
	}
	s := sectionOf(t)
	dim := []chat.Text{it.Note}
	if it.Button != nil {
		if b, why := r.button(*it.Button); b != nil {
			s.accessory = b
		} else {
			dim = append(dim, notNow([]missing{why}))
		}
	}
	r.add(entry, append([]any{s}, note(joined(dim))...)...)
}

func (r *renderer) fields(fields chat.Fields) {
	for len(fields) > 0 {
		n := min(len(fields), maxFields)
		var s section
		for _, f := range fields[:n] {
			v := f.Value
			if bare(v) {
				v = chat.Texts("–")
			}
			s.fields = append(s.fields, mrkdwnText(headed(chat.Heading{Text: line(f.Label), Below: v}), maxField))
		}
		r.add(other, s)
		fields = fields[n:]
	}
}

func (r *renderer) meters(meters chat.Meters) {
	var t chat.Text
	for i, m := range meters {
		if i > 0 {
			t = chat.Texts(t, "\n")
		}
		value := "–"
		if m.Percent >= 0 {
			value = fmt.Sprintf("%d\u00a0%%", min(m.Percent, 100))
		}
		if !blank(m.Of) {
			value += " of " + line(m.Of)
		}
		t = chat.Texts(t, bar(m.Percent)+" ", chat.B(line(m.Label)), " "+value)
	}
	r.section(t)
}

// bar is a share in eight cells: some as soon as there is something, all only
// when it is nearly full.
func bar(percent int) string {
	const cells = 8
	n := (min(max(percent, 0), 100)*cells + 50) / 100
	if percent > 0 {
		n = max(n, 1)
	}
	if percent < 95 {
		n = min(n, cells-1)
	}
	cell := "🟩"
	switch {
	case percent > 90:
		cell = "🟥"
	case percent >= 70:
		cell = "🟨"
	}
	return strings.Repeat(cell, n) + strings.Repeat("⬜", cells-n)
}

func (r *renderer) controls(c chat.Controls) {
	var elements []slackgo.BlockElement
	var off []missing
	seen := map[string]bool{}
	if c.Select != nil {
		if s, id := r.selection(*c.Select); s != nil {
			seen[id] = true
			elements = append(elements, s)
		}
	}
	for _, b := range c.Buttons {
		switch e, why := r.button(b); {
		case e == nil:
			off = append(off, why)
		case e.ActionID == "" || !seen[e.ActionID]:
			seen[e.ActionID] = true
			elements = append(elements, e)
		}
	}
	id := c.ID
	if r.view && id != "" && c.Select != nil && c.Select.Selected != "" {
		id += "=" + c.Select.Selected // a block of another id shows our choice, not the person's last one
	}
	for len(elements) > 0 {
		n := min(len(elements), maxActions)
		r.add(other, actions{"actions", r.blockID(id), elements[:n]})
		elements, id = elements[n:], ""
	}
	r.add(other, note(notNow(off))...)
}

// button is b, or why it cannot be pressed.
func (r *renderer) button(b chat.Button) (element *slackgo.ButtonBlockElement, why missing) {
	reason, dead := b.Why, b.Off
	id := b.ID + r.suffix
	switch {
	case dead:
	case b.URL != "" && !webAddress(b.URL):
		reason, dead = "its address is not one of the web", true
	case !usable(id), b.ID == "" && b.URL == "":
		dead = true
	}
	if dead {
		return nil, missing{strings.TrimSuffix(plain(b.Label, maxButton), ellipsis), line(reason)}
	}
	label, style := b.Label, slackgo.StyleDefault
	switch b.Style {
	case chat.Primary, chat.Positive:
		style = slackgo.StylePrimary
	case chat.Danger:
		style = slackgo.StyleDanger
	}
	if b.Active {
		label, style = "▸ "+label, slackgo.StylePrimary
	}
	e := slackgo.NewButtonBlockElement(id, "", plainText(label, maxButton)).WithStyle(style)
	if b.URL != "" {
		e.URL, e.Value = b.URL, valueLink
	}
	if c := b.Confirm; c != nil {
		e.Value = valueConfirmed
		e.Confirm = slackgo.NewConfirmationBlockObject(
			plainText(c.Title, 100),
			&slackgo.TextBlockObject{Type: slackgo.PlainTextType, Text: fill(or(clean(c.Text), "–"), 300), Emoji: new(true)},
			plainText(or(c.Yes, "Yes"), 30),
			plainText(or(c.No, "Cancel"), 30))
		if c.Danger {
			e.Confirm.Style = slackgo.StyleDanger
		}
	}
	return e, missing{}
}

// selection is a drop-down list, and its id; nil where there is nothing to
// choose.
func (r *renderer) selection(s chat.Select) (slackgo.BlockElement, string) {
	id := s.ID + r.suffix
	if s.ID == "" || !usable(id) {
		return nil, ""
	}
	options, chosen, total := options(s.Options, s.Selected, maxOptions)
	if total == 0 {
		return nil, ""
	}
	words := or(s.Placeholder, "Choose")
	if total > maxOptions {
		words = fmt.Sprintf("%s · the first %d of %d", fill(line(words), maxPlaceholder/2), maxOptions, total)
	}
	placeholder := plainText(words, maxPlaceholder)
	if s.Many {
		e := slackgo.NewOptionsMultiSelectBlockElement(slackgo.MultiOptTypeStatic, placeholder, id, options...)
		e.InitialOptions = chosen
		return e, id
	}
	e := slackgo.NewOptionsSelectBlockElement(slackgo.OptTypeStatic, placeholder, id, options...)
	if len(chosen) > 0 {
		e.InitialOption = chosen[0]
	}
	return e, id
}

// options are at most so many of what can be chosen, those that are chosen, and
// how many there are.
func options(from []chat.Choosable, selected string, most int) (options, chosen []*slackgo.OptionBlockObject, total int) {
	wanted := strings.Fields(selected)
	for _, c := range from {
		if c.Value == "" || width(c.Value) > maxOptionValue {
			continue
		}
		if total++; total > most {
			continue
		}
		o := slackgo.NewOptionBlockObject(c.Value, plainText(strings.TrimSpace(c.Mark+" "+c.Label), maxOption), nil)
		if !blank(c.Note) {
			o.Description = plainText(c.Note, maxOption)
		}
		if slices.Contains(wanted, c.Value) {
			chosen = append(chosen, o)
		}
		options = append(options, o)
	}
	return options, chosen, total
}

func (r *renderer) pre(p chat.Pre) {
	text := strings.Trim(clean(strings.Join(p.Lines, "\n")), "\n")
	if blank(text) {
		return
	}
	if over := width(text) - maxPre; over > 0 {
		for i, c := range text { // lose the beginning, and one more for the ellipsis
			if over < 0 {
				text = ellipsis + text[i:]
				break
			}
			over -= width(string(c))
		}
	}
	r.add(other, preformatted(text))
}

func (r *renderer) exact(x chat.Exact) {
	r.section(chat.Texts(chat.B(line(x.Label))))
	switch v := x.Value.Reveal(); {
	case v == "":
		r.add(other, note(chat.Texts("It is empty."))...)
	case width(v) > maxPre:
		r.add(other, note(chat.Texts(fmt.Sprintf("It has %d characters, too many to be shown here.", len([]rune(v)))))...)
	default:
		r.add(other, preformatted(v))
	}
}

func (r *renderer) input(in chat.Input) {
	id := r.blockID(in.ID)
	if id == "" {
		return
	}
	if len(in.Options) > 0 {
		r.choice(id, in)
		return
	}
	e := &slackgo.PlainTextInputBlockElement{
		Type:         slackgo.METPlainTextInput,
		ActionID:     "v",
		Multiline:    in.Multiline,
		MaxLength:    min(max(in.MaxLength, 0), maxInput),
		InitialValue: clean(in.Value),
	}
	if !in.Multiline {
		e.InitialValue = line(in.Value)
	}
	// What is filled in must be what would be sent, so it is cut without a mark.
	limit := maxInput
	if e.MaxLength > 0 {
		limit = e.MaxLength
	}
	e.InitialValue = head(e.InitialValue, limit)
	if !blank(in.Placeholder) {
		e.Placeholder = plainText(in.Placeholder, maxPlaceholder)
	}
	r.ask(id, in, e)
}

func (r *renderer) ask(id string, in chat.Input, e slackgo.BlockElement) {
	b := slackgo.NewInputBlock(id, plainText(in.Label, maxLabel), nil, e).WithOptional(in.Optional)
	if !blank(in.Hint) {
		b.Hint = plainText(in.Hint, maxLabel)
	}
	r.add(asked, b)
}

// choice is an input of one option (a select), or of any number (boxes).
func (r *renderer) choice(id string, in chat.Input) {
	most := maxOptions
	if in.Many {
		most = maxBoxes
	}
	options, chosen, total := options(in.Options, in.Value, most)
	if total > most {
		in.Label = fmt.Sprintf("%s (%d of %d)", in.Label, most, total)
	}
	switch {
	case len(options) == 0:
		return
	case in.Many:
		e := slackgo.NewCheckboxGroupsBlockElement("v", options...)
		e.InitialOptions = chosen
		r.ask(id, in, e)
		return
	}
	e := slackgo.NewOptionsSelectBlockElement(slackgo.OptTypeStatic, plainText(or(in.Placeholder, "Choose"), maxPlaceholder), "v", options...)
	if len(chosen) > 0 {
		e.InitialOption = chosen[0]
	}
	r.ask(id, in, e)
}

// blockID returns id where it can be the id of a block, and else none: Slack
// then makes one up.
func (r *renderer) blockID(id string) string {
	if id == "" || !usable(id) || r.ids[id] {
		return ""
	}
	if r.ids == nil {
		r.ids = map[string]bool{}
	}
	r.ids[id] = true
	return id
}

func note(t chat.Text) []any {
	if bare(t) {
		return nil
	}
	return []any{noteOf(t)}
}

func noteOf(t chat.Text) contextual { return contextual{mrkdwnText(t, maxText)} }

// missing is a button that cannot be pressed.
type missing struct{ label, why string }

// notNow says what cannot be pressed, and why: each reason once for what it stops
// in a row.
func notNow(off []missing) chat.Text {
	if len(off) == 0 {
		return nil
	}
	var parts []string
	for i, m := range off {
		part := m.label
		if last := i == len(off)-1 || off[i+1].why != m.why; last && !blank(m.why) {
			part += " (" + m.why + ")"
		}
		if i > 0 && off[i-1].why == m.why {
			parts[len(parts)-1] += ", " + part
		} else {
			parts = append(parts, part)
		}
	}
	return chat.Texts("Not now: " + strings.Join(parts, " · "))
}

func preformatted(s string) slackgo.Block {
	return slackgo.NewRichTextBlock("", &slackgo.RichTextPreformatted{
		Type:     slackgo.RTEPreformatted,
		Elements: []slackgo.RichTextSectionElement{slackgo.NewRichTextSectionTextElement(s, nil)},
	})
}

func plainText(s string, limit int) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.PlainTextType, plain(s, limit), true, false)
}

func mrkdwnText(t chat.Text, limit int) mrkdwnObject { return mrkdwnObject(mrkdwn(t, limit)) }

// joined puts a dot between texts that show something.
func joined(texts []chat.Text) chat.Text {
	n := 0
	for _, t := range texts {
		n += len(t) + 1
	}
	out := make(chat.Text, 0, n)
	for _, t := range texts {
		if bare(t) {
			continue
		}
		if len(out) > 0 {
			out = append(out, chat.Span{Text: " · "})
		}
		out = append(out, t...)
	}
	return out
}

func prefixed(mark string, t chat.Text) chat.Text {
	if blank(mark) {
		return t
	}
	return chat.Texts(line(mark)+" ", t)
}

func or(s, instead string) string {
	if blank(s) {
		return instead
	}
	return s
}

// usable reports whether id comes back as it was sent.
func usable(id string) bool { return len(id) <= maxID && utf8.ValidString(id) }

func callbackID(id string) string {
	if !usable(id) {
		return ""
	}
	return id
}

// webAddress reports whether a button may open s: Slack refuses the whole
// message for one that it does not take.
func webAddress(s string) bool {
	if width(s) > maxURL || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}
