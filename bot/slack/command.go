package slack

import (
	"regexp"
	"strings"

	"github.com/pvechat/pvechat/bot/chat"
)

// typed is a slash command's text, read by the commands that there are. The
// first word is the command; the words after it are its options in their
// order, where "…" keeps blanks together; an option that takes the rest takes
// it as it was typed.
func typed(text string, commands []chat.Command) (command string, options map[string]string, extra string) {
	first, rest := word(undo(text))
	var c *chat.Command
	for i := range commands {
		if first == "" && commands[i].Default || first != "" && strings.EqualFold(commands[i].Name, first) {
			c = &commands[i]
			break
		}
	}
	if c == nil {
		return first, nil, rest
	}
	for _, o := range c.Options {
		if rest == "" {
			break
		}
		var value string
		if o.Rest {
			value, rest = unquoted(rest), ""
		} else {
			value, rest = word(rest)
		}
		if options == nil {
			options = map[string]string{}
		}
		options[o.Name] = chosen(value, o.Choices)
	}
	return c.Name, options, rest
}

// chosen is the choice that v names by its label or value, in any case; else v.
func chosen(v string, choices []chat.Choice) string {
	for _, c := range choices {
		if strings.EqualFold(v, c.Value) || strings.EqualFold(v, c.Label) {
			return c.Value
		}
	}
	return v
}

// word splits the first word off s. A quote that is never closed is a
// character like any other.
func word(s string) (first, rest string) {
	s = strings.TrimSpace(s)
	if strings.HasPrefix(s, `"`) {
		if quoted, after, closed := strings.Cut(s[1:], `"`); closed && (after == "" || after[0] == ' ') {
			return quoted, strings.TrimSpace(after)
		}
	}
	if i := strings.IndexAny(s, " \n\t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}

// unquoted is s without the quotes around all of it.
func unquoted(s string) string {
	if first, rest := word(s); rest == "" {
		return first
	}
	return s
}

var (
	escapes  = regexp.MustCompile(`<([^<>]*)>`)
	entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&", "“", `"`, "”", `"`, "„", `"`, "\u00a0", " ")
)

// undo turns Slack's escapes back into what the person typed: <@U1|ana> into
// @ana, <http://a.example|a.example> into a.example, &amp; into &. The quotes
// that phones type become plain ones.
func undo(s string) string {
	s = escapes.ReplaceAllStringFunc(s, func(m string) string {
		target, label, labelled := strings.Cut(m[1:len(m)-1], "|")
		sign := ""
		switch {
		case strings.HasPrefix(target, "@"), strings.HasPrefix(target, "#"):
			sign, target = target[:1], target[1:]
		case strings.HasPrefix(target, "!"):
			sign, target = "@", target[1:]
		}
		if labelled && label != "" {
			return sign + strings.TrimPrefix(label, sign)
		}
		return sign + target
	})
	return entities.Replace(s)
}
