package view

import (
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
)

// HideAfter is how long revealed values stay where they can be taken back.
const HideAfter = 60 * time.Second

// Credentials are values read from a container at this moment.
type Credentials struct {
	Service string
	Values  []Credential
}

// Credential is one labelled value.
type Credential struct {
	Key   string
	Value chat.Secret
}

// Revealed shows values to the one person who asked. hides says that they go
// by themselves.
func Revealed(c *inventory.Container, sets []Credentials, hides bool, now time.Time) chat.Panel {
	only := markLock + " Only you see this. That you looked is on record, the values are not."
	p := chat.Panel{ID: "cred", Title: "Credentials", Close: "Close", Tone: chat.Neutral}
	p.Blocks = append(p.Blocks, chat.Heading{Text: "Credentials · " + c.DisplayName()}, chat.Note{Text: chat.Texts(only)})
	for _, s := range sets {
		if len(sets) > 1 {
			p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(chat.B(s.Service))})
		}
		for _, v := range s.Values {
			p.Blocks = append(p.Blocks, chat.Exact{Label: v.Key, Value: v.Value})
		}
	}
	p.Blocks = append(p.Blocks, chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "hide"), Label: "Hide"}}})
	copying := "Press and hold a grey box to copy. Blanks count. · "
	if hides {
		p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(copying+"This goes ", chat.At(now.Add(HideAfter), chat.Age))})
	} else {
		p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(copying + "Press Hide when you are done.")})
	}
	return p
}

// RevealedSummary is the notification's text: it must not hold a value.
func RevealedSummary(c *inventory.Container) string {
	return "Credentials of " + c.DisplayName() + ". Only you see them."
}

// Hidden stands where values were.
func Hidden(c *inventory.Container) chat.Panel {
	return chat.Panel{
		ID: "cred", Title: "Credentials", Close: "Close", Tone: chat.Quiet,
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markLock+" ", chat.B("Hidden again"), "\nThe credentials of "+c.DisplayName()+" were shown here.")},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "cred"), Label: "Show credentials"}}},
		},
	}
}

// Reading stands in until a container has answered.
func Reading(c *inventory.Container, what string) chat.Panel {
	return chat.Panel{
		ID: "cred", Title: title(what), Close: "Close", Tone: chat.Quiet,
		Blocks: []chat.Block{chat.Para{Text: chat.Texts(markBusy + " Reading the " + what + " of " + c.DisplayName() + "…")}},
	}
}
