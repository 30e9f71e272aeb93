// Package chattest holds what every chat.Platform owes to the handlers above
// it, as a suite that each adapter passes over its simulator. It knows nothing
// of any platform: what a person does and sees comes from a [Room].
package chattest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Room is a connected platform as two people see it: Ana, who does things, and
// Ben, who looks on. Both are in two channels; the bot is a member of Ops and
// not of Away.
type Room interface {
	chat.Platform

	Ana() string
	Ben() string
	Ops() string
	Away() string

	// Type types "/pve command" and its options, and returns when the platform
	// took it; that the bot does not answer in time fails the test.
	Type(person, channel, command string, options map[string]string)

	// Press presses the newest control with that label which the person sees
	// in the channel or in a window.
	Press(person, channel, label string)

	// Fill fills the form that is open and sends it; where it stands behind a
	// button, that is pressed first. It returns what the inputs held before.
	Fill(person, channel string, values map[string]string) map[string]string

	// Seen is what the person sees in the channel and in windows, oldest
	// first: the words of each surface, those of its controls too. What is
	// wrong with a form is part of it.
	Seen(person, channel string) []string

	// Direct is what the person sees in the direct messages with the bot.
	Direct(person string) []string

	// Pings lists whom the texts in a channel call.
	Pings(channel string) []string

	// Await waits until cond holds; it fails the test where that takes long.
	Await(what string, cond func() bool)

	Redeliver()                          // the platform sends the last act again
	Cut()                                // the platform drops the connection; returns when there is another
	Limit(n int, after time.Duration)    // refuses the next n changes of messages for so long
	Remove(at chat.Ref)                  // somebody deletes a message
	Stop()                               // ends Run and waits for it
	Log() string                         // all that was logged, debug lines too
	Secrets() (words []string, full int) // what no log may hold, and how many of them were in use
}

// Harness opens rooms.
type Harness struct {
	// Bubble runs a test where the room's clock is; nil: on the real one.
	Bubble func(t *testing.T, test func(t *testing.T))

	// Open connects the platform to h. Everything ends with the test.
	Open func(t *testing.T, h chat.Handler) Room
}

// Run holds a platform against the suite.
func Run(t *testing.T, h Harness) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			test := func(t *testing.T) {
				s := &stage{t: t}
				s.Room = h.Open(t, s)
				c.run(s)
				s.quiet()
			}
			if h.Bubble != nil {
				h.Bubble(t, test)
			} else {
				test(t)
			}
		})
	}
}

// stage is a room with the handler of one test.
type stage struct {
	Room
	Script
	t *testing.T
}

func (s *stage) Commands() []chat.Command {
	return []chat.Command{
		{Name: "dashboard", Summary: "the board", Public: true, Default: true},
		{Name: "show", Summary: "one", Options: []chat.Option{{Name: "name", Summary: "which", Required: true}}},
		{Name: "help", Summary: "this"},
	}
}

func (s *stage) Complete(context.Context, chat.Invocation) []chat.Choice { return nil }

// asked waits for the n-th thing that the handler is asked, and returns it.
func (s *stage) asked(n int) chat.Invocation {
	s.t.Helper()
	s.Await(fmt.Sprintf("the handler to be asked %d times", n), func() bool { return len(s.Asked()) >= n })
	return s.Asked()[n-1]
}

// shows waits until a person sees exactly these surfaces, each of which holds
// its word.
func (s *stage) shows(person, channel string, words ...string) {
	s.t.Helper()
	s.Await(fmt.Sprintf("%s to see %q; there is %q", person, words, s.Seen(person, channel)), func() bool {
		return slices.EqualFunc(s.Seen(person, channel), words, strings.Contains)
	})
}

// quiet fails the test where a secret was logged.
func (s *stage) quiet() {
	s.t.Helper()
	words, full := s.Secrets()
	if full == 0 {
		s.t.Error("no secret was in use: this tests nothing")
	}
	log := s.Log()
	for _, w := range words {
		if i := strings.Index(log, w); i >= 0 {
			s.t.Errorf("a secret is in the log: …%s", log[max(0, i-120):min(len(log), i+40)])
		}
	}
}

func (s *stage) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

// refs is told where an answer was shown.
type refs chan chat.Ref

func newRefs() refs { return make(refs, 9) }

func (r refs) shown(at chat.Ref) { r <- at }

// next waits for the next one.
func (r refs) next(s *stage) chat.Ref {
	s.t.Helper()
	s.Await("an answer to be shown", func() bool { return len(r) > 0 })
	return <-r
}

func say(words string, buttons ...chat.Button) chat.Message {
	m := chat.Message{Summary: words, Blocks: []chat.Block{chat.Para{Text: chat.Texts(words)}}}
	if buttons != nil {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "c", Buttons: buttons})
	}
	return m
}

func aloud(words string, buttons ...chat.Button) chat.Message {
	m := say(words, buttons...)
	m.Public = true
	return m
}

func panel(words string, buttons ...chat.Button) chat.Panel {
	return chat.Panel{ID: "detail", Title: "wiki", State: "page.2", Blocks: say(words, buttons...).Blocks}
}

var press = chat.Button{ID: "ct:1:go", Label: "Go"}

func form(intro string) chat.Form {
	f := chat.Form{
		ID: "ct:1:delete:c_1", Title: "Delete wiki", State: "s.1", Submit: "Delete for good", Ask: "Type its name…", CancelID: "cancel:c_1",
		Inputs: []chat.Input{{ID: "name", Label: "Type wiki"}, {ID: "why", Label: "Why", Optional: true}},
	}
	if intro != "" {
		f.Heading, f.Intro = "Delete wiki?", []chat.Block{chat.Para{Text: chat.Texts(intro)}}
	}
	return f
}
