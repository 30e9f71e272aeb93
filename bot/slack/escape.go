package slack

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
)

const ellipsis = "…"

// width counts as Slack may: a character outside the basic plane as two.
// Whichever way Slack counts, a text that fits this way fits.
func width(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// clean drops characters that show nothing, or that turn what follows around,
// and keeps line breaks.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return unclean(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case unclean(r):
			return -1
		}
		return r
	}, s)
}

// unclean reports whether a character is not shown as it is.
func unclean(r rune) bool {
	switch {
	case r < ' ':
		return r != '\n'
	case r < 0x7f:
		return false
	}
	return unicode.IsControl(r) || r >= '\u2028' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

// line is s on a single line.
func line(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }

// blank reports whether s shows nothing; Slack refuses such texts.
func blank(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) && !unclean(r) }) < 0
}

// bare reports whether t shows nothing.
func bare(t chat.Text) bool {
	return !slices.ContainsFunc(t, func(s chat.Span) bool { return s.Style >= chat.Clock && s.Style <= chat.Day || !blank(s.Text) })
}

// cut shortens s to a number of characters, the ellipsis included.
func cut(s string, characters int) string {
	if len(s) <= characters {
		return s
	}
	if r := []rune(s); len(r) > characters {
		return strings.TrimRight(string(r[:characters-1]), " ") + ellipsis
	}
	return s
}

// head is the longest beginning of s within a width.
func head(s string, limit int) string {
	n := 0
	for i, r := range s {
		if n += max(utf16.RuneLen(r), 1); n > limit {
			return s[:i]
		}
	}
	return s
}

// fill shortens s to a width, the ellipsis included.
func fill(s string, limit int) string {
	if width(s) <= limit {
		return s
	}
	return head(s, limit-1) + ellipsis
}

// plain is the text of a plain_text object: never empty, on one line.
func plain(s string, limit int) string {
	if blank(s) {
		return "–"
	}
	return fill(line(s), limit)
}

// special are the characters that escaped changes.
const special = "&<>*~|`_@"

var specials = func() (set [utf8.RuneSelf]bool) {
	for _, c := range special {
		set[c] = true
	}
	return set
}()

// escaped is how one character of somebody's text appears in mrkdwn, where it
// must mean nothing. Slack knows no escape for its markers, so they become
// look-alikes; a word joiner keeps _ from pairing and @ from reaching a name.
func escaped(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	case '*':
		return "∗"
	case '~':
		return "∼"
	case '|':
		return "ǀ"
	case '`':
		return "ˋ"
	case '_':
		return "_\u2060"
	case '@':
		return "@\u2060"
	}
	return string(r)
}

// escapedCode is escaped for code spans, where only the backtick has a
// meaning. The rest stays as it is, to be copied.
func escapedCode(r rune) string {
	switch r {
	case '&', '<', '>', '`':
		return escaped(r)
	}
	return string(r)
}

// mrkdwn renders t within a width. It is cut between characters, never inside
// an entity, a date or a marker.
func mrkdwn(t chat.Text, limit int) string {
	w := &cutter{limit: limit}
	w.b.Grow(min(bytesOf(t), 4*limit))
	if w.text(t) {
		return w.b.String()
	}
	w = &cutter{limit: limit - 1}
	w.text(t)
	return w.b.String() + ellipsis
}

// bytesOf is about how many bytes t will take.
func bytesOf(t chat.Text) int {
	n := 16
	for _, s := range t {
		n += len(s.Text) + 2
		if s.Style >= chat.Clock {
			n += 60
		}
	}
	return n
}

// cutter writes pieces that must stay whole until one does not fit.
type cutter struct {
	b     strings.Builder
	used  int
	limit int
}

// add writes s if it fits with reserve left.
func (w *cutter) add(s string, reserve int) bool {
	n := width(s)
	if w.used+n+reserve > w.limit {
		return false
	}
	w.used += n
	w.b.WriteString(s)
	return true
}

// asIs is the width of s where clean and escaped change nothing in it, which is
// seen in one look.
func asIs(s string) (width int, ok bool) {
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if unclean(r) || r == utf8.RuneError || r < utf8.RuneSelf && specials[r] {
			return 0, false
		}
		i += n
		width += utf16.RuneLen(r)
	}
	return width, true
}

func (w *cutter) text(t chat.Text) bool {
	for _, s := range t {
		if n, ok := asIs(s.Text); ok && s.Style == chat.Normal && w.used+n <= w.limit {
			w.used += n
			w.b.WriteString(s.Text)
			continue
		}
		ok := false
		switch s.Style {
		case chat.Clock, chat.ClockSec, chat.Age, chat.Day:
			ok = w.add(date(s), 0)
		case chat.Bold:
			ok = w.marked("*", clean(s.Text), escaped)
		case chat.Code:
			ok = w.marked("`", line(s.Text), escapedCode)
		default:
			ok = w.runes(clean(s.Text), escaped, 0)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (w *cutter) runes(s string, escape func(rune) string, reserve int) bool {
	if !strings.ContainsAny(s, special) && w.add(s, reserve) {
		return true
	}
	for _, r := range s {
		if !w.add(escape(r), reserve) {
			return false
		}
	}
	return true
}

// marked puts markers around each line of s. Slack takes them as markers only
// where a line begins and ends inside them and no blank is next to them.
func (w *cutter) marked(mark, s string, escape func(rune) string) bool {
	first := true
	for l := range strings.SplitSeq(s, "\n") {
		if !first && !w.add("\n", 0) {
			return false
		}
		first = false
		body := strings.TrimLeft(l, " ")
		if !w.add(l[:len(l)-len(body)], 0) {
			return false
		}
		l, body = body, strings.TrimRight(body, " ")
		if body != "" {
			letter, _ := utf8.DecodeRuneInString(body)
			if !w.add(mark, width(escape(letter))+len(mark)) {
				return false
			}
			whole := w.runes(body, escape, len(mark))
			w.add(mark, 0)
			if !whole {
				return false
			}
		}
		if !w.add(l[len(body):], 0) {
			return false
		}
	}
	return true
}

// date is a moment in the reader's own time zone, with a fallback in UTC. An
// age is shown as a clock: Slack's mrkdwn has no date that counts by itself.
func date(s chat.Span) string {
	if s.Time.IsZero() {
		return "–"
	}
	format, fallback := "{time_secs}", "15:04:05 UTC"
	switch s.Style {
	case chat.Clock:
		format, fallback = "{time}", "15:04 UTC"
	case chat.Day:
		format, fallback = "{date_short_pretty} {time_secs}", "2 Jan 15:04:05 UTC"
	}
	return fmt.Sprintf("<!date^%d^%s|%s>", s.Time.Unix(), format, s.Time.UTC().Format(fallback))
}
