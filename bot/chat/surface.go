package chat

import (
	"slices"
	"sync"
	"time"
)

// Surface is something that can be shown: a [Message], a [Panel], a [Form] or
// a [Home].
type Surface interface{ surface() }

func (Message) surface() {}
func (Panel) surface()   {}
func (Form) surface()    {}
func (Home) surface()    {}

// Tone is the mood of a surface: the coloured edge where a platform has one.
// It never carries a meaning that the words do not.
type Tone uint8

// Tones, calmest first.
const (
	Quiet   Tone = iota // nothing to say
	Good                // done, running
	Neutral             // work under way, a plain question
	Warning             // stale, waiting
	Bad                 // an error, or a question that destroys
)

// Message is a message in a channel, or one that only one person sees.
//
// State travels with every control of the surface and comes back in
// [Invocation].State: a filter and a page, never a secret. It holds at most 40
// characters of a-z, 0-9, '.', '-', '_' and ':'.
type Message struct {
	Public  bool   // to the channel; otherwise only the person who asked sees it
	Summary string // the same facts in a sentence: notifications, screen readers
	Tone    Tone
	State   string
	Blocks  []Block
}

// Panel is a private surface for looking and pressing: a modal where the
// platform has one, else a message that only one person sees.
type Panel struct {
	ID     string // what kind of panel it is: "board", "detail", "confirm"
	Title  string // of its window; hostile text is fine
	Lead   *Lead  // the thing that it is about
	Tone   Tone
	State  string
	Close  string // the words of the way out: "Close", "Cancel"
	Cancel string // id of a button with these words, where a panel has no way out of its own; "" for none
	Live   bool   // it is kept fresh while open: tell when it closes
	Blocks []Block
}

// Body is p's blocks with its way out as one more button of its last controls,
// for surfaces that have no way out of their own.
func (p Panel) Body() []Block {
	if p.Cancel == "" {
		return p.Blocks
	}
	blocks := slices.Clone(p.Blocks)
	for i, b := range slices.Backward(blocks) {
		if c, ok := b.(Controls); ok {
			c.Buttons = append(slices.Clone(c.Buttons), Button{ID: p.Cancel, Label: p.Close})
			blocks[i] = c
			return blocks
		}
	}
	return append(blocks, Controls{ID: "cancel", Buttons: []Button{{ID: p.Cancel, Label: p.Close}}})
}

// Lead opens a panel about one thing: mark, name, state, facts.
type Lead struct {
	Mark  string // emoji
	Name  string
	Word  string // its state in words
	Facts Text
}

// Form asks for typed input.
//
// Intro is what a person should know first. Where a platform's forms hold
// inputs only, the adapter shows Intro as a private message with two buttons:
// one labelled Ask that comes back as Pressed with the form's ID, to be
// answered by the same Form without Intro, and one labelled Cancel whose id is
// CancelID.
//
// Choices among the inputs are the same there: a form that has some, or that has
// Buttons and no inputs, is such a message, with the choices as selects, which come back as Pressed with the id
// "<form>:set:<input>" and the choice as Value; a button for each Group of
// typed inputs, "<form>:edit:<n>", counted from 0, to be answered by a Form with
// those inputs alone; and a button that comes back as Submitted without Values.
// So whoever shows a form with choices keeps what was given so far, and shows it
// again with that.
//
// Where a platform's forms hold all, one of the Buttons comes back with what
// stood in the inputs as Values.
type Form struct {
	ID       string
	Title    string // at most 24 characters survive everywhere
	Heading  string // the question, above Intro
	Tone     Tone
	State    string
	Intro    []Block
	Ask      string
	CancelID string
	Inputs   []Input
	Submit   string
	Buttons  []Button // other ways on than Submit, such as Back
}

// Parts are the groups of typed inputs of a form with choices, in their order.
func (f Form) Parts() []string {
	var parts []string
	choices := false
	for _, in := range f.Inputs {
		if len(in.Options) > 0 {
			choices = true
		} else if !slices.Contains(parts, in.Group) {
			parts = append(parts, in.Group)
		}
	}
	if !choices {
		return nil
	}
	return parts
}

// Choices reports whether some of the inputs are choices.
func (f Form) Choices() bool {
	return slices.ContainsFunc(f.Inputs, func(in Input) bool { return len(in.Options) > 0 })
}

// Input is one field of a [Form].
type Input struct {
	ID          string
	Label       string // at most 45 characters survive everywhere
	Hint        string // shown where the platform has room
	Placeholder string
	Value       string
	MaxLength   int // characters; 0: the platform's own
	Multiline   bool
	Optional    bool

	// Options make it a choice: of one, or, with Many, of any number; Value is
	// then the values chosen, with blanks between them.
	Options []Choosable
	Many    bool

	// Group is the label of the button for typed inputs where a form with
	// choices cannot hold them: "Name and size…". At most five share one.
	Group string
}

// Home is a person's private front page, where the platform has one.
type Home struct {
	State  string
	Blocks []Block
}

// Block is a piece of a surface.
type Block interface{ block() }

func (Heading) block()  {}
func (Para) block()     {}
func (Note) block()     {}
func (Divider) block()  {}
func (Row) block()      {}
func (Item) block()     {}
func (Fields) block()   {}
func (Meters) block()   {}
func (Controls) block() {}
func (Jump) block()     {}
func (Pre) block()      {}
func (Exact) block()    {}
func (Picture) block()  {}

// Heading is the one headline of a surface. Below is said right under it.
type Heading struct {
	Text  string
	Below Text
}

// Para is a paragraph.
type Para struct{ Text Text }

// Note is a dim line.
type Note struct{ Text Text }

// Divider is a thin line.
type Divider struct{}

// Row is one container in a list: mark, name, state, number and node, measures,
// and what can be done with it. Platforms with menus show Menu, the others
// Button.
type Row struct {
	ID     string // unique on the surface
	Mark   string // emoji
	Name   string
	Word   string // its state in words
	Where  string // number and node: "101 · pve1"
	Facts  Text   // measures, or why it is in trouble; dim
	Dots   string // services: "SVC ●●○"; dim, wherever it fits best
	Menu   []Button
	Button *Button
	Kept   *Kept // of a row that is shown again as it is; else nil
}

// Kept is where platforms keep what they made of a block that is shown again as
// it is, to whomever. Its methods are safe for concurrent use; nil keeps nothing.
type Kept struct{ made sync.Map }

// Load returns what was kept by a key, whose type is the platform's own.
func (k *Kept) Load(key any) (made any, ok bool) {
	if k == nil {
		return nil, false
	}
	return k.made.Load(key)
}

// Keep keeps what was made, which nobody changes any more.
func (k *Kept) Keep(key, made any) {
	if k != nil {
		k.made.Store(key, made)
	}
}

// Item is a paragraph with a dim line below and one button beside it.
type Item struct {
	Text   Text
	Note   Text
	Button *Button
}

// Fields are labelled facts, in columns where there is room.
type Fields []Field

// Field is a labelled fact.
type Field struct {
	Label string
	Value Text
}

// Meters are bars with their labels.
type Meters []Meter

// Meter is one bar. Percent is a whole number as shown, 0 to 100; negative
// where there is no value.
type Meter struct {
	Label   string
	Percent int
	Of      string // what 100 % is: "2 GiB"
}

// Controls are buttons and selects side by side.
type Controls struct {
	ID      string // unique on the surface
	Select  *Select
	Buttons []Button
}

// Style is what a button promises. Danger is for the button that does it, not
// for one that asks first.
type Style uint8

// Button styles.
const (
	Plain    Style = iota
	Primary        // the next sensible step; at most one
	Positive       // makes something new
	Danger         // destroys
)

// Button is a control. A button with a URL opens it and reports nothing.
type Button struct {
	ID      string
	Label   string
	Style   Style
	URL     string
	Active  bool   // the open tab
	Off     bool   // cannot be pressed now
	Why     string // why not: "it is running"
	Confirm *Confirm
}

// Confirm is asked by the platform itself where it can; the press then comes
// with [Invocation].Confirmed. Elsewhere the press comes without, and the
// handler asks.
type Confirm struct {
	Title, Text, Yes, No string
	Danger               bool
}

// Select is a drop-down list.
type Select struct {
	ID          string
	Placeholder string
	Options     []Choosable
	Selected    string // value; empty: none, the placeholder shows

	// Many lets any number be chosen; Selected, and the Value that comes back,
	// are then values with blanks between them.
	Many bool
}

// Choosable is one entry of a [Select] or a [Jump].
type Choosable struct {
	Mark  string // emoji
	Label string
	Note  string // dim, where there is room
	Value string
}

// Jump leads to rows beyond the page on platforms whose rows carry one button;
// the others leave it out.
type Jump struct{ Select }

// Pre is literal text such as log lines, in a fixed-width font. What is too
// long loses its beginning.
type Pre struct{ Lines []string }

// Picture is an image. Platforms that cannot show one to a single person
// ([Space].Pictures) show its words.
type Picture struct {
	Alt string // what it shows, in words
	PNG []byte
}

// Exact is a labelled value to be copied exactly. It prints as [redacted].
type Exact struct {
	Label string
	Value Secret
}

// Secret is text that must be shown to one person and appear nowhere else.
// It is held by a pointer: fmt prints the unexported fields of a struct without
// asking their methods, and would then find an address only.
type Secret struct{ s *string }

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the text. Only renderers call it.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s
}

// Text is a run of spans. Everything in it is taken literally and shown inert,
// whatever it contains.
type Text []Span

// Span is a piece of text in one style, or a moment in time.
type Span struct {
	Text  string
	Style SpanStyle
	Time  time.Time
}

// SpanStyle is the style of a [Span].
type SpanStyle uint8

// Span styles. The last four are for Time.
const (
	Normal   SpanStyle = iota
	Bold               // names, counts, outcomes
	Code               // ids and commands
	Clock              // hours and minutes
	ClockSec           // hours, minutes and seconds
	Age                // how long ago; counts by itself where the platform can, else a clock
	Day                // date and clock
)
