package discord

import (
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
)

// Discord's limits, in characters where nothing else is said. They come from
// its API description; that all text of one message shares one limit is
// reported, not documented, and taken as true.
const (
	maxComponents  = 40 // of a message, nested ones counted
	maxText        = 4000
	maxID          = 100
	maxButtons     = 5 // side by side
	maxButtonLabel = 80
	maxURL         = 512
	maxOptions     = 25
	maxOption      = 100 // label, value and description of an option
	maxPlaceholder = 150
	maxInputs      = 5
	maxTitle       = 45 // of a form; also the label of an input
	maxHint        = 100
	maxAlt         = 1024
	maxValue       = 4000
)

// Ours: what may be long is cut to these before the sum is looked at.
const (
	maxName     = 40 // of a container on a row
	maxHeadline = 256
	maxRow      = 300
	maxBox      = 1000 // a longer value to copy opens as a form
)

// Render is what goes over the wire for s: the body of a message (flags,
// components, allowed_mentions), or the data of a modal for a form that has
// nothing to say before it asks. It is the same for the same s, and within
// Discord's limits whatever s holds: what is too long is visibly shortened.
func Render(s chat.Surface) (json.RawMessage, error) {
	r, err := render(s, "0")
	if err != nil {
		return nil, err
	}
	if r.modal != nil {
		return encode(r.modal)
	}
	return encode(r.message)
}

// rendered is a message or a modal.
type rendered struct {
	message *message
	modal   *modal
	private bool

	// copies are values that open as forms by the buttons copyID(nonce, i).
	copies []chat.Exact
}

// render renders s. The nonce goes into the ids of buttons that the adapter
// answers itself.
func render(s chat.Surface, nonce string) (rendered, error) {
	switch s := s.(type) {
	case chat.Message:
		if len(s.Blocks) == 0 {
			s.Blocks = []chat.Block{chat.Para{Text: chat.Texts(s.Summary)}}
		}
		return show(s.Tone, s.State, nonce, !s.Public, s.Blocks), nil
	case chat.Panel:
		return show(s.Tone, s.State, nonce, true, panelBlocks(s)), nil
	case chat.Home:
		return show(chat.Neutral, s.State, nonce, true, s.Blocks), nil
	case chat.Form:
		switch {
		case s.Choices(), len(s.Inputs) == 0 && len(s.Buttons) > 0:
			return show(s.Tone, s.State, nonce, true, choiceBlocks(s)), nil
		case asksAtOnce(s):
			return rendered{modal: modalOf(s), private: true}, nil
		}
		return show(s.Tone, s.State, nonce, true, introBlocks(s)), nil
	}
	return rendered{}, fmt.Errorf("discord: cannot show a %T", s)
}

func show(tone chat.Tone, state, nonce string, private bool, blocks []chat.Block) rendered {
	components, d := compose(blocks, state, nonce)
	m := &message{Flags: flagComponents, Components: []any{container{
		Type: typeContainer, Accent: colour(tone), Components: components,
	}}}
	for i, p := range d.pictures {
		m.Attachments = append(m.Attachments, attachment{ID: i, Name: pictureName(i), Alt: cut(p.Alt, maxAlt)})
		m.pictures = append(m.pictures, p.PNG)
	}
	if private {
		m.Flags |= flagEphemeral
	}
	return rendered{message: m, private: private, copies: d.copies}
}

func pictureName(i int) string { return "picture-" + strconv.Itoa(i) + ".png" }

func colour(t chat.Tone) int {
	switch t {
	case chat.Bad:
		return colourBad
	case chat.Warning:
		return colourWarning
	case chat.Neutral:
		return colourNeutral
	case chat.Good:
		return colourGood
	}
	return colourQuiet
}

// panelBlocks puts the words that Slack has on a window at the head of p.
func panelBlocks(p chat.Panel) []chat.Block {
	blocks := p.Body()
	if p.Lead != nil {
		head := chat.Heading{Text: strings.TrimSpace(p.Lead.Mark + " " + oneLine(p.Lead.Name)), Below: p.Lead.Facts}
		if p.Lead.Word != "" {
			head.Text += " — " + p.Lead.Word
		}
		return append([]chat.Block{head}, blocks...)
	}
	if len(blocks) > 0 {
		if _, ok := blocks[0].(chat.Heading); ok {
			return blocks
		}
	}
	return append([]chat.Block{chat.Heading{Text: p.Title}}, blocks...)
}

// compose makes blocks into the components of one container. What does not fit
// goes in this order: the space between paragraphs, rows from the end, the ends
// of long texts, and at last whole blocks from the end.
func compose(blocks []chat.Block, state, nonce string) ([]any, draft) {
	var (
		d    draft
		out  []any
		kept = -1
	)
	for limit := 2000; limit > 60; limit /= 2 {
		d = draft{limit: limit, state: state, nonce: nonce}
		for _, b := range blocks {
			d.add(b)
		}
		if out, kept = d.fit(false); kept < d.rows {
			if tight, n := d.fit(true); n > kept {
				out, kept = tight, n
			}
		}
		if kept > 0 || kept == d.rows {
			return out, d
		}
	}
	if kept < 0 {
		d.rows = len(d.pieces)
		for i := range d.pieces {
			d.pieces[i].row = true
		}
		out, _ = d.fit(true)
	}
	return out, d
}

// A piece is a block in Discord's terms, before it is known what fits.
type piece struct {
	text      string
	note      bool    // a dim line: what follows it stands apart
	apart     bool    // stands apart itself
	divider   bool    // nothing but a line
	row       bool    // one of a list, which may lose its end
	accessory *button // beside text
	controls  [][]any // rows of a select or of buttons
	picture   *gallery
}

type draft struct {
	limit        int // of one text
	state, nonce string

	pieces []piece
	rows   int // how many pieces are rows
	copies []chat.Exact

	pictures []chat.Picture
}

// fit puts together as many rows as fit, and says how many; -1 where it does
// not fit without any.
func (d *draft) fit(tight bool) ([]any, int) {
	if all, ok := d.assemble(d.rows, tight); ok {
		return all, d.rows
	}
	n := sort.Search(d.rows, func(n int) bool {
		_, ok := d.assemble(n, tight)
		return !ok
	}) - 1
	out, _ := d.assemble(n, tight)
	return out, n
}

// assemble is the draft with its first n rows, and false where that is more
// than one message. Text next to text becomes one component; tight, even where
// it would stand apart.
func (d *draft) assemble(n int, tight bool) ([]any, bool) {
	var (
		s       = sheet{ids: idents{state: d.state, used: map[string]bool{}}, components: 1, tight: tight}
		divider bool // one is due before the next
		rows    int
	)
	for _, p := range d.pieces {
		if p.row {
			if rows++; rows > n+1 {
				continue
			} else if rows == n+1 {
				p = piece{text: more(d.rows - n), note: true}
			}
		}
		if p.divider {
			divider = len(s.out) > 0 || s.last.text != ""
			continue
		}
		if divider {
			s.add(piece{divider: true})
			divider = false
		}
		if s.add(p); s.components > maxComponents || s.characters > maxText {
			return nil, false
		}
	}
	if s.components == 1 {
		s.add(piece{text: "–"})
	}
	s.flush()
	return s.out, true
}

// A sheet is a container being filled.
type sheet struct {
	out   []any
	ids   idents
	tight bool

	last piece    // what was added last
	open []string // texts that are one component, not yet in out

	components, characters int
}

func (s *sheet) add(p piece) {
	joins := s.open != nil && p.accessory == nil && p.text != "" &&
		(s.tight || !p.apart && !s.last.apart && (p.note || !s.last.note))
	if !joins {
		s.flush()
		s.components++
	}
	s.last = p
	s.characters += size(p.text)
	switch {
	case p.picture != nil:
		s.out = append(s.out, *p.picture)
	case p.divider:
		s.out = append(s.out, separator{Type: typeSeparator, Divider: true, Spacing: 1})
	case p.controls != nil:
		s.components-- // counted by the row
		for _, r := range p.controls {
			s.components += 1 + len(r)
			s.out = append(s.out, row{Type: typeRow, Components: s.ids.all(r)})
		}
	case p.accessory != nil:
		s.components += 2
		s.out = append(s.out, section{
			Type:       typeSection,
			Components: []text{{Type: typeText, Content: p.text}},
			Accessory:  s.ids.button(*p.accessory),
		})
	default:
		if joins {
			s.characters++ // the line break
		}
		s.open = append(s.open, p.text)
	}
}

func (s *sheet) flush() {
	if s.open != nil {
		s.out = append(s.out, text{Type: typeText, Content: strings.Join(s.open, "\n")})
		s.open = nil
	}
}

func more(n int) string { return "-# … and " + strconv.Itoa(n) + " more" }

// add renders b and takes it in.
func (d *draft) add(b chat.Block) {
	switch b := b.(type) {
	case chat.Heading:
		head := markdown(chat.Texts(oneLine(b.Text)), "### ", maxHeadline)
		d.say(piece{text: lines(head, markdown(b.Below, "", d.limit))})
	case chat.Para:
		d.say(piece{text: markdown(b.Text, "", d.limit)})
	case chat.Note:
		d.say(piece{text: markdown(b.Text, "-# ", d.limit), note: true})
	case chat.Divider:
		d.pieces = append(d.pieces, piece{divider: true})
	case chat.Row:
		d.row(rowText(b), b.Button)
	case chat.Item:
		d.row(lines(markdown(b.Text, "", d.limit), markdown(b.Note, "-# ", d.limit)), b.Button)
	case chat.Fields:
		d.say(piece{text: markdown(fieldsText(b), "", d.limit)})
	case chat.Meters:
		d.say(piece{text: markdown(metersText(b), "", d.limit)})
	case chat.Controls:
		d.controls(b)
	case chat.Jump:
		d.menu(b.Select)
	case chat.Pre:
		d.say(piece{text: preText(b.Lines, d.limit), apart: true})
	case chat.Exact:
		d.exact(b)
	case chat.Picture:
		d.pieces = append(d.pieces, piece{picture: &gallery{Type: typeGallery, Items: []galleryItem{{
			Media: media{URL: "attachment://" + pictureName(len(d.pictures))}, Alt: cut(b.Alt, maxAlt),
		}}}})
		d.pictures = append(d.pictures, b)
	}
}

func (d *draft) say(p piece) {
	if p.text != "" {
		d.pieces = append(d.pieces, p)
	}
}

// row takes in one of a list, with its button where it has one.
func (d *draft) row(s string, b *chat.Button) {
	p := piece{text: s, apart: true, row: true}
	if p.text == "" {
		p.text = "–"
	}
	if b != nil {
		if w, ok := buttonOf(*b); ok {
			p.accessory = &w
		}
	}
	d.rows++
	d.pieces = append(d.pieces, p)
}

func (d *draft) controls(c chat.Controls) {
	if c.Select != nil {
		d.menu(*c.Select)
	}
	var (
		rows [][]any
		over int
	)
	for _, b := range c.Buttons {
		w, ok := buttonOf(b)
		switch n := len(rows); {
		case !ok:
		case n > 0 && len(rows[n-1]) < maxButtons:
			rows[n-1] = append(rows[n-1], w)
		case n < 5:
			rows = append(rows, []any{w})
		default:
			over++
		}
	}
	if rows != nil {
		d.pieces = append(d.pieces, piece{controls: rows})
	}
	if over > 0 {
		d.say(piece{text: more(over), note: true})
	}
}

func (d *draft) menu(s chat.Select) {
	if w, ok := menuOf(s); ok {
		d.pieces = append(d.pieces, piece{controls: [][]any{{w}}})
	}
}

// exact shows a value to be copied. A code block keeps everything but line
// breaks at its ends and three backticks in a row; what it cannot keep, or what
// is long, opens as a form with the value filled in, which keeps all.
func (d *draft) exact(e chat.Exact) {
	var (
		value = e.Value.Reveal()
		name  = markdown(chat.Text{chat.B(label(e.Label, maxTitle))}, "", maxRow)
	)
	switch {
	case value == "":
		d.say(piece{text: lines(name, "–"), apart: true})
	case size(value) > maxValue || !printable(value):
		d.say(piece{text: lines(name, "-# It cannot be shown here: it is too long, or no text."), apart: true})
	case strings.ContainsAny(value, "\n\r") || strings.Contains(value, "```") || size(value) > min(maxBox, d.limit/2):
		d.pieces = append(d.pieces, piece{
			text:  lines(name, "-# Opens as a form, to be copied from there."),
			apart: true,
			accessory: &button{
				Type: typeButton, Style: styleSecondary, Label: "Open",
				CustomID: copyID(d.nonce, len(d.copies)),
			},
		})
		d.copies = append(d.copies, e)
	default:
		d.say(piece{text: lines(name, "```\n"+value+"\n```"), apart: true})
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r)
	})
}

// lines joins the parts that are there.
func lines(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, "\n")
}

func rowText(r chat.Row) string {
	var head chat.Text
	for _, s := range []chat.Span{
		{Text: oneLine(r.Mark)},
		{Text: cutRunes(oneLine(r.Name), maxName), Style: chat.Bold},
		{Text: oneLine(r.Word)},
	} {
		if s.Text == "" {
			continue
		}
		if len(head) > 0 {
			head = append(head, chat.Span{Text: " "})
		}
		head = append(head, s)
	}
	var dim chat.Text
	for _, t := range []chat.Text{chat.Texts(oneLine(r.Where)), chat.Texts(oneLine(r.Dots)), r.Facts} {
		if t.Empty() {
			continue
		}
		if len(dim) > 0 {
			dim = append(dim, chat.Span{Text: " · "})
		}
		dim = append(dim, t...)
	}
	return lines(markdown(head, "", maxRow), markdown(dim, "-# ", maxRow))
}

func fieldsText(fs chat.Fields) chat.Text {
	var t chat.Text
	for i, f := range fs {
		if i > 0 {
			t = append(t, chat.Span{Text: "\n"})
		}
		value := f.Value
		if value.Empty() {
			value = chat.Texts("–")
		}
		t = append(t, chat.B(oneLine(f.Label)), chat.Span{Text: " "})
		t = append(t, value...)
	}
	return t
}

const barCells = 5 // fits a phone's line beside a label

func metersText(ms chat.Meters) chat.Text {
	var t chat.Text
	for i, m := range ms {
		if i > 0 {
			t = append(t, chat.Span{Text: "\n"})
		}
		value := "–"
		if m.Percent >= 0 {
			value = strconv.Itoa(m.Percent) + "\u00a0%"
		}
		if m.Of != "" {
			value += " of " + oneLine(m.Of)
		}
		t = append(t, chat.Span{Text: bar(m.Percent) + " "}, chat.B(oneLine(m.Label)), chat.Span{Text: " " + value})
	}
	return t
}

// bar is percent in squares: the nearest number of them, but one for anything
// above nothing, and all of them only from 95 %.
func bar(percent int) string {
	percent = min(percent, 100)
	filled := 0
	if percent > 0 {
		filled = max((percent*barCells+50)/100, 1)
		if percent < 95 {
			filled = min(filled, barCells-1)
		}
	}
	square := "🟩"
	switch {
	case percent > 90:
		square = "🟥"
	case percent >= 70:
		square = "🟨"
	}
	return strings.Repeat(square, filled) + strings.Repeat("⬛", barCells-filled)
}

// preText is a code block of at most limit units that ends in the last line.
func preText(ls []string, limit int) string {
	room := limit - size("```\n…\n\n```")
	var kept []string
	for i := len(ls) - 1; i >= 0; i-- {
		l := strings.ReplaceAll(unfenced(ls[i]), "\n", " ")
		if size(l)+1 > room {
			if len(kept) == 0 {
				kept = append(kept, tail(l, room-1))
			}
			kept = append(kept, ellipsis)
			break
		}
		room -= size(l) + 1
		kept = append(kept, l)
	}
	for i, j := 0, len(kept)-1; i < j; i, j = i+1, j-1 {
		kept[i], kept[j] = kept[j], kept[i]
	}
	body := strings.Join(kept, "\n")
	if strings.TrimSpace(body) == "" {
		return ""
	}
	return "```\n" + body + "\n```"
}

// tail is the end of s in at most limit units.
func tail(s string, limit int) string {
	at := len(s)
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:at])
		if limit -= size(string(r)); limit < 0 {
			break
		}
		at -= n
	}
	return s[at:]
}
