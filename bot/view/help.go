package view

import (
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
)

// Usage is how a command is typed.
func Usage(c chat.Command) string {
	parts := []string{"/pve", c.Name}
	for _, o := range c.Options {
		w := strings.ToUpper(o.Name)
		if !o.Required {
			w = "[" + o.Name + "]"
		}
		parts = append(parts, w)
	}
	return strings.Join(parts, " ")
}

// Greeting is what a channel is told when pvechat is set up to tell it of
// trouble.
func Greeting() chat.Message {
	return chat.Message{
		Summary: "pvechat will tell this channel of trouble.",
		Blocks: []chat.Block{chat.Para{Text: chat.Texts(chat.B("pvechat will tell this channel of trouble"),
			": containers and nodes that go down, actions that fail. ", chat.C("/pve help"), " says what it can do.")}},
	}
}

// Help lists what exists and what the person may do.
func Help(cmds []chat.Command, role access.Role, where []access.Selector, p chat.Person, home bool) chat.Message {
	var t chat.Text
	var words []string
	for i, c := range cmds {
		if i > 0 {
			t = append(t, chat.Span{Text: "\n"})
		}
		t = append(t, chat.Texts(chat.C(Usage(c)), "  "+c.Summary)...)
		words = append(words, c.Name)
	}
	you := chat.Texts("You have no role yet: an admin can add ", chat.C(p.ID), " to the access rules.")
	if role != access.NoRole {
		of := "every container"
		if len(where) > 0 {
			of = "containers of " + scope(where)
		}
		you = chat.Texts("You are ", chat.B(string(role)), " for "+of+".")
	}
	if home {
		you = append(you, chat.Texts(" · The Home tab of this app is the board for you alone.")...)
	}
	return chat.Message{
		Tone: chat.Neutral, Summary: "What /pve can do: " + strings.Join(words, ", ") + ".",
		Blocks: []chat.Block{
			chat.Heading{Text: "What /pve can do"},
			chat.Para{Text: t},
			chat.Note{Text: you},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "board:open", Label: "Open the board", Style: chat.Primary}}},
		},
	}
}
