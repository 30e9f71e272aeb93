package discord

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
)

const (
	ellipsis = "…"

	// wall is a zero-width space. It parts "@" from the words that would make
	// a mention of it.
	wall = "\u200b"
)

// size is the length of s as Discord's limits are taken here: in UTF-16 units,
// which is never less than any other way to count characters.
func size(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}

// cut shortens s to at most limit units, ending in an ellipsis.
func cut(s string, limit int) string {
	if size(s) <= limit {
		return s
	}
	n := size(ellipsis)
	for i, r := range s {
		if n += size(string(r)); n > limit {
			return s[:i] + ellipsis
		}
	}
	return s
}

// cutRunes is cut for a number of characters that people count.
func cutRunes(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	r := []rune(s)
	return string(r[:limit-1]) + ellipsis
}

// oneLine is s without line breaks and without what cannot be seen.
func oneLine(s string) string {
	return strings.TrimSpace(strings.ReplaceAll(literal(s), "\n", " "))
}

// literal is s as valid text without what cannot be seen.
func literal(s string) string {
	return strings.Map(visible, strings.ToValidUTF8(s, "\ufffd"))
}

// label is s for a place where Discord shows no markdown: a button, an option,
// a title.
func label(s string, limit int) string { return cut(oneLine(s), limit) }

// visible maps r to what is shown for it, negative for nothing. Characters
// that turn the direction of the text around them would reach beyond a name.
func visible(r rune) rune {
	switch {
	case r == '\n':
		return r
	case r == '\t', r == '\u2028', r == '\u2029':
		return ' '
	case unicode.IsControl(r),
		r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069',
		r == '\u200e', r == '\u200f', r == '\u061c', r == '\ufeff':
		return -1
	}
	return r
}

// unfenced is s with nothing in it that ends a code span or a code block.
func unfenced(s string) string {
	return strings.ReplaceAll(literal(s), "`", "ˋ")
}

// escaped is r, at the head of s, so that Discord shows it as it is; start says
// that only blanks precede it on its line. Most punctuation is escaped wherever
// it stands; some only where it would act, because what a person copies on a
// phone is the source, backslashes and all.
func escaped(s string, r rune, start bool) string {
	switch r {
	case '\\', '*', '_', '~', '`', '|', '<', '>', '[', ']':
		return `\` + string(r)
	case '#', '-':
		if start {
			return `\` + string(r)
		}
	case '•':
		if start && strings.HasPrefix(s, "• ") {
			return "-" // Discord's own list
		}
	case ':':
		if strings.HasPrefix(s, "://") || shortcode(s[1:]) {
			return `\:`
		}
	case '@':
		for _, word := range []string{"everyone", "here"} {
			if len(s) > len(word) && strings.EqualFold(s[1:1+len(word)], word) {
				return "@" + wall
			}
		}
	}
	return string(r)
}

// shortcode reports whether s, which follows a colon, makes that colon open the
// name of an emoji. The minutes of a clock are none.
func shortcode(s string) bool {
	for i, r := range s {
		switch {
		case r == ':':
			return i > 2 || i > 0 && !unicode.IsDigit(rune(s[0]))
		case r != '_' && r != '+' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r):
			return false
		}
	}
	return false
}

// A prose writes spans as Discord's markdown, and stops with an ellipsis where
// there is no room left: never inside an escape, and with every mark closed.
type prose struct {
	b      strings.Builder
	prefix string // begins every line
	room   int
	breaks int  // line breaks to come before the next word
	start  bool // nothing but blanks on the line yet
	full   bool
}

// markdown is t in at most limit units, each line beginning with prefix; "" for
// a text that shows nothing.
func markdown(t chat.Text, prefix string, limit int) string {
	p := prose{prefix: prefix, room: limit, start: true}
	for _, s := range joined(t) {
		switch s.Style {
		case chat.Clock, chat.ClockSec, chat.Age, chat.Day:
			p.put(moment(s), 0)
		case chat.Code:
			p.marked(oneLine(unfenced(s.Text)), "`", func(_ string, r rune) string { return string(r) })
		case chat.Bold:
			p.lines(s.Text, "**")
		default:
			p.lines(s.Text, "")
		}
	}
	return strings.TrimRight(p.b.String(), " ")
}

// joined is t with neighbours of one style made one: two bold spans side by
// side would show their stars.
func joined(t chat.Text) chat.Text {
	out := make(chat.Text, 0, len(t))
	for _, s := range t {
		if n := len(out) - 1; n >= 0 && s.Style < chat.Clock && out[n].Style == s.Style {
			out[n].Text += s.Text
			continue
		}
		out = append(out, s)
	}
	return out
}

// lines writes text, which may break, and marks each of its lines.
func (p *prose) lines(text, mark string) {
	for i, line := range strings.Split(literal(text), "\n") {
		if i > 0 {
			p.breaks++
			p.start = true
		}
		if strings.TrimSpace(line) == "" {
			p.marked(line, "", p.escaped) // marks around nothing would show
			continue
		}
		p.marked(line, mark, p.escaped)
	}
}

func (p *prose) escaped(rest string, r rune) string {
	return escaped(rest, r, p.start)
}

// marked writes a line between two marks, rune by rune as each makes of it.
func (p *prose) marked(line, mark string, each func(rest string, r rune) string) {
	if line == "" || p.full {
		return
	}
	// A mark is opened only where two more units fit, the longest token that
	// each makes: so that it can always be closed again.
	if !p.put(mark, 2+size(mark)) {
		return
	}
	for i, r := range line {
		if !p.put(each(line[i:], r), size(mark)) {
			break
		}
	}
	p.b.WriteString(mark)
	p.room -= size(mark)
}

// put writes token, or the ellipsis where it does not fit before what is kept
// free, and reports which.
func (p *prose) put(token string, keep int) bool {
	if p.full {
		return false
	}
	if blank := strings.TrimSpace(token) == ""; !blank {
		token = p.broken() + token
		p.start = false
	} else if p.start {
		return true
	}
	if size(token)+keep+size(ellipsis) > p.room {
		p.full = true
		p.b.WriteString(ellipsis)
		p.room -= size(ellipsis)
		return false
	}
	p.b.WriteString(token)
	p.room -= size(token)
	return true
}

// broken is what comes between the last word and the next.
func (p *prose) broken() string {
	defer func() { p.breaks = 0 }()
	switch {
	case p.b.Len() == 0:
		return p.prefix
	case p.breaks == 0:
		return ""
	case p.breaks > 1 && p.prefix == "":
		return "\n\n"
	}
	return "\n" + p.prefix
}

// moment is a time as Discord's clients show it: in the reader's own zone, an
// age counting by itself.
func moment(s chat.Span) string {
	if s.Time.IsZero() {
		return "–"
	}
	style := "f"
	switch s.Style {
	case chat.Clock:
		style = "t"
	case chat.ClockSec:
		style = "T"
	case chat.Age:
		style = "R"
	}
	return "<t:" + strconv.FormatInt(s.Time.Unix(), 10) + ":" + style + ">"
}
