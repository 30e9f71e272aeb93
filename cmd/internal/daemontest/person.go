package daemontest

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Person is somebody at the client of one platform.
type Person struct {
	ID, Name string
	On       Platform

	w      *World
	role   string
	place  string // the channel's name; "": a direct message to the bot
	client client
}

// client is what people do at one platform.
type client interface {
	// surfaces are what a person can see in a channel and anywhere private,
	// the newest last.
	surfaces(p *Person) []Surface
	command(ctx context.Context, p *Person, line string) error
	use(ctx context.Context, s Surface, c Control, decline bool) error
	submit(ctx context.Context, s Surface, values map[string]string) error
	dismiss(ctx context.Context, s Surface) error
	await(ctx context.Context, what string, cond func() bool) error
	// stall holds the edits of private messages; held reports whether one is.
	stall() (held func() bool, release func())
}

// In is the same person in another channel; "" is the direct messages.
func (p *Person) In(channel string) *Person {
	q := *p
	q.place = channel
	return &q
}

// For is the same person in the hands of a subtest.
func (p *Person) For(t testing.TB) *Person {
	q := *p
	q.w = p.w.For(t)
	return &q
}

// World is where the person is.
func (p *Person) World() *World { return p.w }

// Channel is the platform's id of where the person is; "" in direct messages.
func (p *Person) Channel() string {
	if ch := p.w.channels[p.place]; ch != nil {
		return ch.ids[p.On]
	}
	return ""
}

// Command types "/pve line".
func (p *Person) Command(line string) {
	p.w.t.Helper()
	if err := p.client.command(p.w.Patience(), p, line); err != nil {
		p.w.t.Fatalf("%s on %s: /pve %s: %v", p.Name, p.On, line, err)
	}
}

// TryCommand is Command where it may fail.
func (p *Person) TryCommand(line string) error { return p.client.command(p.w.Patience(), p, line) }

// Sees waits until something that the person sees holds all texts, and returns
// the newest such.
func (p *Person) Sees(texts ...string) Surface {
	p.w.t.Helper()
	var found Surface
	err := p.client.await(p.w.Patience(), strings.Join(texts, " + "), func() bool {
		var ok bool
		found, ok = p.Seen(texts...)
		return ok
	})
	if err != nil {
		var all strings.Builder
		for _, s := range p.client.surfaces(p) {
			all.WriteString("---\n" + s.Text + "\n")
		}
		p.w.t.Fatalf("%s on %s does not see %q: %v\n%s", p.Name, p.On, texts, err, all.String())
	}
	return found
}

// Seen is Sees without waiting.
func (p *Person) Seen(texts ...string) (Surface, bool) {
	for _, s := range slices.Backward(p.client.surfaces(p)) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s.Text, text) }) {
			return s, true
		}
	}
	return Surface{}, false
}

// Stall holds all edits of private messages on the person's platform. Held waits
// until one is held; released ones take effect.
func (p *Person) Stall() (held, release func()) {
	p.w.t.Helper()
	is, release := p.client.stall()
	return func() {
		p.w.t.Helper()
		p.Until("an edit that is held", is)
	}, release
}

// Count tells how many of the things that the person sees hold a text now.
func (p *Person) Count(text string) int {
	n := 0
	for _, s := range p.client.surfaces(p) {
		n += strings.Count(s.Text, text)
	}
	return n
}

// Until waits for something that the person can see, in any form.
func (p *Person) Until(what string, cond func() bool) {
	p.w.t.Helper()
	if err := p.client.await(p.w.Patience(), what, cond); err != nil {
		p.w.t.Fatalf("%s on %s: %v", p.Name, p.On, err)
	}
}

// Surface is a message, a window or a form as one person saw it.
type Surface struct {
	Text     string // without its markup, a block a line
	Controls []Control
	Private  bool // nobody else sees it
	Window   bool // it is a form or a modal, else a message
	Edited   int  // how often

	p  *Person
	id string // of the message, the view or the form
	in string // the channel of a message
}

// Control is a button, or one entry of a menu or select.
type Control struct {
	Label  string
	ID     string
	Value  string // of an entry
	Beside string // the text of the row that it belongs to
	Off    bool
}

// Has reports whether there is a row of a container.
func (s Surface) Has(name string) bool {
	return slices.ContainsFunc(s.Controls, func(c Control) bool { return strings.Contains(c.Beside+" ", " "+name+" ") })
}

// Row keeps of a surface the controls beside a container of that name.
func (s Surface) Row(name string) Surface {
	s.p.w.t.Helper()
	if !s.Has(name) {
		s.p.w.t.Fatalf("no row of %s in:\n%s", name, s.Text)
	}
	s.Controls = slices.DeleteFunc(slices.Clone(s.Controls), func(c Control) bool { return !strings.Contains(c.Beside+" ", " "+name+" ") })
	return s
}

var leading = regexp.MustCompile(`^[^\pL]+`)

// control finds what a person calls by its words.
func (s Surface) control(label string) (Control, bool) {
	for _, c := range s.Controls {
		words := leading.ReplaceAllString(c.Label, "")
		if words == label || strings.HasPrefix(words, label+" — ") {
			return c, true
		}
	}
	return Control{}, false
}

// Offers reports whether something can be pressed.
func (s Surface) Offers(label string) bool {
	c, ok := s.control(label)
	return ok && !c.Off
}

// Press uses a button or an entry of a menu, and agrees to what the client
// asks.
func (s Surface) Press(label string) {
	s.p.w.t.Helper()
	if err := s.TryPress(label); err != nil {
		s.p.w.t.Fatalf("%s on %s presses %q: %v\n%s", s.p.Name, s.p.On, label, err, s.Text)
	}
}

// TryPress is Press where the client may refuse: the surface may have changed
// or gone.
func (s Surface) TryPress(label string) error {
	s.p.w.t.Helper()
	c, ok := s.control(label)
	if !ok {
		s.p.w.t.Fatalf("no control %q on:\n%s\n%+v", label, s.Text, s.Controls)
	}
	return s.p.client.use(s.p.w.Patience(), s, c, false)
}

// Decline presses and says no to what the client asks, which it has to.
func (s Surface) Decline(label string) {
	s.p.w.t.Helper()
	c, ok := s.control(label)
	if !ok {
		s.p.w.t.Fatalf("no control %q on:\n%s", label, s.Text)
	}
	if err := s.p.client.use(s.p.w.Patience(), s, c, true); err != nil {
		s.p.w.t.Fatalf("%s on %s declines %q: %v", s.p.Name, s.p.On, label, err)
	}
}

// Submit fills a form and sends it. Where the platform shows a message before
// the form, its button is pressed first.
func (s Surface) Submit(values map[string]string) {
	s.p.w.t.Helper()
	if err := s.p.client.submit(s.p.w.Patience(), s, values); err != nil {
		s.p.w.t.Fatalf("%s on %s submits: %v\n%s", s.p.Name, s.p.On, err, s.Text)
	}
}

// Dismiss closes a window, or presses Cancel on a message that has it.
func (s Surface) Dismiss() {
	s.p.w.t.Helper()
	if err := s.p.client.dismiss(s.p.w.Patience(), s); err != nil {
		s.p.w.t.Fatalf("%s on %s dismisses: %v\n%s", s.p.Name, s.p.On, err, s.Text)
	}
}

// As is the surface in the hands of somebody else who sees it.
func (s Surface) As(p *Person) Surface {
	s.p = p
	return s
}

// Again is the surface as it is now; ok is false where it has gone.
func (s Surface) Again() (now Surface, ok bool) {
	for _, o := range s.p.client.surfaces(s.p) {
		if o.id == s.id && o.in == s.in {
			return o, true
		}
	}
	return Surface{}, false
}

var (
	slackDate = regexp.MustCompile(`<!date\^[^|>]*\|([^>]*)>`)
	spaces    = regexp.MustCompile(`\s+`)
	undo      = strings.NewReplacer(
		"\u00a0", " ", "\u2060", "", "\u200b", "", "*", "", "`", "", "&lt;", "<", "&gt;", ">", "&amp;", "&",
		"-# ", "", "### ", "", `\`, "",
	)
)

// plain is text as it is read: without the platform's markup.
func plain(s string) string {
	return strings.TrimSpace(spaces.ReplaceAllString(undo.Replace(slackDate.ReplaceAllString(s, "$1")), " "))
}
