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
	Entered bool // by somebody in the chat, and not read from the container
	Values  []Credential
}

// Credential is one labelled value.
type Credential struct {
	Key   string
	Value chat.Secret
}

// RevealNotes is what is said beside values.
type RevealNotes struct {
	Hides  bool // they go by themselves
	Keeps  bool // further ones can be entered
	Locked bool // some that were entered cannot be opened
}

// Revealed shows values to the one person who asked.
func Revealed(c *inventory.Container, sets []Credentials, n RevealNotes, now time.Time) chat.Panel {
	only := markLock + " Only you see this. That you looked is on record, the values are not."
	p := chat.Panel{ID: "cred", Title: "Credentials", Close: "Close", Tone: chat.Neutral}
	p.Blocks = append(p.Blocks, chat.Heading{Text: "Credentials · " + c.DisplayName()}, chat.Note{Text: chat.Texts(only)})
	for _, s := range sets {
		switch {
		case s.Entered:
			p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(chat.B(s.Service), " · entered by hand")})
		case len(sets) > 1:
			p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(chat.B(s.Service))})
		}
		for _, v := range s.Values {
			p.Blocks = append(p.Blocks, chat.Exact{Label: v.Key, Value: v.Value})
		}
	}
	if n.Locked {
		p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("pvechat cannot decrypt what was entered by hand."), " Its key set is missing, or another one.\n→ An admin can run pvechat keys check.")})
	}
	buttons := []chat.Button{{ID: ID(c.ID, "hide"), Label: "Hide"}}
	if n.Keeps {
		buttons = append(buttons, chat.Button{ID: ID(c.ID, "keep"), Label: "Enter a value…"})
	}
	p.Blocks = append(p.Blocks, chat.Controls{ID: "actions", Buttons: buttons})
	copying := "Press and hold a grey box to copy. Blanks count. · "
	if n.Hides {
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
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "cred"), Label: "Show again"}}},
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

// KeepForm asks for a credential that nothing in the container holds.
func KeepForm(c *inventory.Container) chat.Form {
	return chat.Form{
		ID: ID(c.ID, "keep"), Title: "Enter a value", Heading: "Enter a credential of " + c.DisplayName(), Tone: chat.Neutral, Submit: "Keep",
		Inputs: []chat.Input{
			{ID: "service", Label: "Service", Hint: "Small letters, digits and . _ -", Placeholder: "router", MaxLength: 63},
			{ID: "key", Label: "Name of the value", Placeholder: "PASSWORD", MaxLength: 64},
			{ID: "value", Label: "Value", Hint: "It is kept encrypted. Leave it empty to remove what was kept.", MaxLength: 2000, Optional: true},
		},
	}
}

// Kept confirms what KeepForm asked for.
func Kept(c *inventory.Container, service, key string, removed bool) chat.Message {
	head := "Kept " + key + " of " + service
	if removed {
		head = "Removed " + key + " of " + service
	}
	return chat.Message{Summary: head + " for " + c.DisplayName() + ".", Tone: chat.Good, Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(markDone+" ", chat.B(head), " for "+c.DisplayName()+"\nThat you did is on record, the value is not.")},
		chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "cred"), Label: "Show credentials"}}},
	}}
}
