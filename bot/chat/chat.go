// Package chat is the vocabulary that pvechat's handlers share with the chat
// platforms: what a person did ([Invocation]), what the bot answers
// ([Answer]), and how something that was shown can still be reached ([Ref]).
//
// Nothing here belongs to one platform. A block exists only if both renderers
// show it well; limits, escaping and the platforms' extras are the adapters'
// business. The package depends on the standard library alone.
package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// PlatformName names a chat platform in ids, logs, metrics and the database.
type PlatformName string

// The platforms.
const (
	Slack   PlatformName = "slack"
	Discord PlatformName = "discord"
)

// Platform is a connected chat platform. Implementations are safe for
// concurrent use once Run has been called.
type Platform interface {
	Name() PlatformName

	// Run connects, registers h's commands, and serves until ctx ends. It
	// returns nil only when ctx has ended; any other return is fatal for this
	// platform (a refused token, say) and is not worth repeating.
	Run(ctx context.Context, h Handler) error

	// Post shows m to a channel or a person and says how to reach it.
	Post(ctx context.Context, to Target, m Message) (Ref, error)

	// Update replaces what is shown at a Ref. Errors: [ErrGone] where there is
	// nothing left to replace, [ErrFrozen] where it is there and may not be
	// changed any more, [ErrForbidden], *[RateLimitedError]; anything else is
	// transient. With [InBackground] it is done only where there is room.
	Update(ctx context.Context, at Ref, s Surface) error

	// Delete removes what is shown at a Ref; errors as for Update.
	Delete(ctx context.Context, at Ref) error

	// Space says how much of a list fits on the platform's surfaces.
	Space() Space

	// Health says whether the platform is connected, since when, and what is
	// wrong where it is not.
	Health() Health
}

// Health is the state of a connection.
type Health struct {
	OK     bool
	Detail string    // one line, no secret
	Since  time.Time // when OK last changed

	// Standby says that another process is connected, and this one would be if
	// that ended.
	Standby bool
}

// Rights are what a platform lets the bot do, as it says when it is asked.
type Rights struct {
	Refused  string   // the setting whose token is not accepted, such as "bot_token"; "" for none
	Complete bool     // nothing is missing of what pvechat can use
	Missing  []string // scopes that the app lacks
	Without  string   // what does not work without them
	Channel  string   // why the bot cannot write to the channel asked about; "": it can, or nobody says
	Allow    string   // what somebody can do about that, there: a sentence without its end
}

// Space is how many rows a platform's surfaces hold; the arithmetic is the
// renderer's.
type Space struct {
	Board  int // rows on a board in a channel
	Panel  int // rows in a person's own view
	Home   int // rows on an App Home; 0 where there is none
	Jump   int // options in a [Jump]; 0 where rows carry their own menus
	Events int // rows on a page of events

	// ControlsFirst says that private surfaces open at their top, so that
	// controls belong above the rows there. In channels they are below.
	ControlsFirst bool

	// Pictures says that a picture can be shown to one person alone.
	Pictures bool
}

// Handler answers invocations.
type Handler interface {
	// Commands lists what can be typed. Registration, manifest and help all
	// come from it.
	Commands() []Command

	// Handle answers one invocation. It is called on a goroutine of its own
	// and returns in time for the platform's three seconds.
	Handle(ctx context.Context, inv Invocation) Answer

	// Complete suggests values for a command's option while a person types.
	// It answers from memory.
	Complete(ctx context.Context, inv Invocation) []Choice
}

// Command is something a person can type: "/pve Name option…".
type Command struct {
	Name    string
	Summary string // one line for help and registration, at most 100 characters
	Options []Option
	Public  bool // the answer is a message to the channel
	Default bool // what bare "/pve" means, where a platform has that
}

// Option is a word after a command's name.
type Option struct {
	Name     string
	Summary  string
	Required bool
	Rest     bool     // takes the rest of the line, blanks included
	Choices  []Choice // empty: any text
	Suggest  bool     // Handler.Complete has suggestions
}

// Choice is one value of an [Option].
type Choice struct{ Label, Value string }

// Person is who did something. Name is whatever the platform sent: hostile
// text, for display only.
type Person struct {
	Platform PlatformName
	ID       string
	Name     string
	Groups   []string // ids of Slack user groups or Discord roles

	// Outsider is a bot, a webhook, or a guest of another organisation. Nothing
	// is allowed to an outsider, whatever the rules say.
	Outsider bool
}

// Standing is what a platform says of the person or group behind an id.
type Standing string

// Standings.
const (
	Unknown Standing = "nobody has this id"
	Left    Standing = "has left"
	Robot   Standing = "is a bot"
	Guest   Standing = "is a guest of another organisation"
	Empty   Standing = "nobody is in it"
)

// Key identifies the person across the platforms: "slack:U1".
func (p Person) Key() string { return string(p.Platform) + ":" + p.ID }

// Kind says what a person did.
type Kind uint8

// What a person can do.
const (
	Typed     Kind = iota + 1 // typed a command
	Pressed                   // pressed a button, or chose from a menu or a select
	Submitted                 // sent a form
	Closed                    // closed a panel or form
	Opened                    // opened the bot's home
)

func (k Kind) String() string {
	switch k {
	case Typed:
		return "typed"
	case Pressed:
		return "pressed"
	case Submitted:
		return "submitted"
	case Closed:
		return "closed"
	case Opened:
		return "opened"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Invocation is one thing that one person did.
type Invocation struct {
	ID      string // the platform's id of it, the same when it is delivered again
	Kind    Kind
	Person  Person
	Channel string // where; empty on a home and in panels that do not know
	Direct  bool   // in a direct message
	At      time.Time

	Command string            // Typed: the command's name as typed, "" where nothing was
	Options map[string]string // Typed: by option name; only what was given
	Extra   string            // Typed: words that no option takes

	Action    string // Pressed: the control's id, or the chosen option's value where that is an id ("ct:…"); Submitted, Closed: the form's id
	Value     string // Pressed: the chosen option's value in a select
	Values    Values // Submitted, and Pressed in a form where the platform says so
	State     string // what the surface carried, see [Message]
	Confirmed bool   // the platform asked the button's [Confirm], and the person agreed

	Source    Ref  // the surface acted on; zero for a typed command
	InPanel   bool // Source is a panel or form
	CanExpire bool // a private answer to this can be taken back by the bot later
	Space     Space
}

// Values are what a person gave in a form, by input id. They may be secrets: it
// prints how many there are.
type Values map[string]string

// Platform is where it happened.
func (inv Invocation) Platform() PlatformName { return inv.Person.Platform }

// Answer is what a person gets. The zero Answer acknowledges and shows
// nothing.
type Answer struct {
	// Now is shown within the platform's three seconds.
	Now Surface

	// InPlace replaces the surface that was acted on by Now. Where nothing can
	// be replaced (a typed command), Now is shown as something new.
	InPlace bool

	// Close closes the panel or form that was acted on.
	Close bool

	// Errors are sentences by input id. They answer a submitted form, which
	// stays open with them. Now is then that form, for the words at its inputs
	// where the platform has closed it; a form without inputs is replaced by it.
	Errors map[string]string

	// Then runs after Now is shown, and what it returns replaces it; a nil
	// Surface leaves it. Its error has been told by the handler already.
	Then func(ctx context.Context) (Surface, error)

	// Shown is told where Now can be reached, once it is shown.
	Shown func(Ref)

	// Missed is told that Now could not be shown, and why. A public answer is
	// then replaced by what it returns (nil: nothing).
	Missed func(error) Surface

	// Expire, if positive, takes Now and what replaced it back after that
	// time, or when the bot ends: After is shown instead, or nothing.
	Expire time.Duration
	After  Surface
}

// RefKind says what kind of surface a Ref reaches.
type RefKind uint8

// Kinds of surfaces.
const (
	MessageRef RefKind = iota + 1 // a message in a channel or direct message
	PrivateRef                    // a message that one person sees in a channel
	PanelRef                      // a panel or an open form
	HomeRef                       // a person's home
)

// Ref says how something that was shown can still be reached. The zero Ref
// reaches nothing.
type Ref struct {
	Platform PlatformName
	Kind     RefKind
	Channel  string
	ID       string    // the platform's id of the message, view or person
	Until    time.Time // zero: no end

	key string // what reaches it; may hold a token
}

// NewRef makes a Ref whose key holds what the adapter needs to reach it, such
// as an interaction token. The key is never printed, logged or stored.
func NewRef(r Ref, key string) Ref {
	r.key = key
	return r
}

// Key returns the adapter's key.
func (r Ref) Key() string { return r.key }

// Zero reports whether r reaches nothing.
func (r Ref) Zero() bool { return r.Kind == 0 }

// Storable reports whether r outlives the process: it holds no token.
func (r Ref) Storable() bool { return r.Kind == MessageRef && r.key == "" }

// String names the surface without its key.
func (r Ref) String() string {
	return fmt.Sprintf("%s/%s/%s", r.Platform, r.Channel, r.ID)
}

// Format keeps the key out of every verb.
func (r Ref) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue keeps the key out of logs.
func (r Ref) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Target is where to post: a channel, or a person (by direct message).
type Target struct {
	Channel string
	Person  string
	Thread  Ref // a message to answer below, where the platform can; else zero
}

// Errors of Post, Update and Delete.
var (
	ErrGone      = errors.New("chat: the surface is gone")
	ErrFrozen    = fmt.Errorf("chat: it can only be shown anew, and deleted: %w", ErrGone)
	ErrForbidden = errors.New("chat: the platform does not allow it")
)

// MissingScopeError is an [ErrForbidden]: the app was installed without a right
// that the call needs.
type MissingScopeError struct{ Scope string }

func (e *MissingScopeError) Error() string { return "chat: the app lacks the scope " + e.Scope }

// Unwrap returns ErrForbidden.
func (e *MissingScopeError) Unwrap() error { return ErrForbidden }

// RateLimitedError says that the platform wants a pause.
type RateLimitedError struct{ RetryAfter time.Duration }

func (e *RateLimitedError) Error() string {
	return fmt.Sprintf("chat: rate limited for %s", e.RetryAfter)
}
