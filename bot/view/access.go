package view

import (
	"fmt"
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
)

// Rules is who may do what, by which rule.
type Rules struct {
	Version   string
	Rules     []Rule
	Of        string               // whom or what they were chosen by; "" for all
	Container *inventory.Container // that Of stands for; nil: a person, a group, or nobody
	Page      int                  // from 1
	Space     chat.Space
}

// Rule is one of them, with its place in the configuration.
type Rule struct {
	access.Rule
	Number int // from 1
	Holds  []access.Permission
}

// Names reports whether a rule names somebody, by an id with or without its
// platform.
func Names(r access.Rule, id string) bool {
	for _, list := range [...][]string{r.Users, r.Groups} {
		for _, key := range list {
			_, bare, _ := strings.Cut(key, ":")
			if strings.EqualFold(key, id) || strings.EqualFold(bare, id) {
				return true
			}
		}
	}
	return false
}

// Message is a private answer.
func (l Rules) Message() chat.Message {
	size := max(1, l.Space.Events)
	pages := max(1, (len(l.Rules)+size-1)/size)
	page := min(max(1, l.Page), pages)
	from := (page - 1) * size
	to := min(len(l.Rules), from+size)

	head := "Who may do what"
	switch {
	case l.Container != nil:
		head += " to " + short(l.Container.DisplayName())
	case l.Of != "":
		head = "What " + cut(l.Of, 40) + " may do"
	}
	m := chat.Message{Tone: chat.Neutral, Summary: fmt.Sprintf("%s: %s.", head, count(len(l.Rules), "rule"))}
	m.Blocks = append(m.Blocks, chat.Heading{Text: head})
	if len(l.Rules) == 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts("No rule says anything: all of it is denied.")})
	}
	for _, r := range l.Rules[from:to] {
		of := "every container"
		if len(r.Scope) > 0 {
			of = scope(r.Scope)
		}
		m.Blocks = append(m.Blocks, chat.Item{
			Text: chat.Texts(fmt.Sprintf("%d · ", r.Number), chat.B(string(r.Role)), " for "+of),
			Note: chat.Texts(people(r.Rule) + " · " + permissions(r.Holds)),
		})
	}
	var b []chat.Button
	turn := func(label string, page int) {
		b = append(b, chat.Button{ID: cut(fmt.Sprintf("access:%d:%s", page, l.Of), 80), Label: label})
	}
	if page > 1 {
		turn("Back", page-1)
	}
	if page < pages {
		turn("Next", page+1)
	}
	if len(b) > 0 {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "pages", Buttons: b})
	}
	m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(fmt.Sprintf("%d–%d of %d · rules add up; what none gives is denied · version ", min(from+1, to), to, len(l.Rules)), chat.C(l.Version))})
	return m
}

// scope is what a rule's selectors pick: "tag web and pool prod".
func scope(list []access.Selector) string {
	var s []string
	for _, sel := range list {
		s = append(s, sel.Kind+" "+sel.Value)
	}
	return cut(names(s), 200)
}

func people(r access.Rule) string {
	var all []string
	all = append(all, r.Users...)
	for _, g := range r.Groups {
		all = append(all, "everybody in "+g)
	}
	if len(all) > 10 {
		return strings.Join(all[:10], ", ") + fmt.Sprintf(" … and %d more", len(all)-10)
	}
	return strings.Join(all, ", ")
}

func permissions(list []access.Permission) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = string(p)
	}
	return strings.Join(words, ", ")
}
