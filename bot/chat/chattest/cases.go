package chattest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

var cases = []struct {
	name string
	run  func(s *stage)
}{
	{"a private answer is seen by one person, also where the bot is no member", func(s *stage) {
		for i, channel := range []string{s.Ops(), s.Away()} {
			at := newRefs()
			s.Answers(chat.Answer{Now: say("for you"), Shown: at.shown})
			s.Type(s.Ana(), channel, "show", map[string]string{"name": "wiki"})
			s.shows(s.Ana(), channel, "for you")
			s.shows(s.Ben(), channel)
			ref := at.next(s)
			if ref.Storable() || ref.Kind != chat.PrivateRef || ref.Until.IsZero() {
				s.t.Errorf("it is reached by %+v", ref)
			}
			s.ok(s.Update(s.t.Context(), ref, say("for you, changed")))
			s.shows(s.Ana(), channel, "for you, changed")
			inv := s.asked(i + 1)
			if inv.Kind != chat.Typed || inv.Command != "show" || inv.Options["name"] != "wiki" || inv.Channel != channel ||
				inv.Person.ID != s.Ana() || inv.Person.Platform != s.Name() || inv.ID == "" || inv.Direct || !inv.Source.Zero() || inv.Space != s.Space() {
				s.t.Errorf("the handler was asked %+v", inv)
			}
		}
	}},
	{"a public answer can be changed for as long as it is there", func(s *stage) {
		at := newRefs()
		s.Answers(chat.Answer{Now: aloud("board"), Shown: at.shown})
		s.Type(s.Ana(), s.Ops(), "dashboard", nil)
		s.shows(s.Ben(), s.Ops(), "board")
		ref := at.next(s)
		if ref.Kind != chat.MessageRef || !ref.Storable() || ref.Channel != s.Ops() || ref.ID == "" {
			s.t.Errorf("it is reached by %#v", ref)
		}
		stored := chat.Ref{Platform: ref.Platform, Kind: ref.Kind, Channel: ref.Channel, ID: ref.ID} // as after a restart
		s.ok(s.Update(s.t.Context(), stored, aloud("fresh")))
		s.shows(s.Ben(), s.Ops(), "fresh")
		s.ok(s.Delete(s.t.Context(), stored))
		s.shows(s.Ben(), s.Ops())
		for _, err := range []error{
			s.Update(s.t.Context(), ref, aloud("x")), s.Delete(s.t.Context(), ref),
			s.Update(s.t.Context(), chat.Ref{}, aloud("x")), s.Delete(s.t.Context(), chat.Ref{}),
		} {
			if !errors.Is(err, chat.ErrGone) {
				s.t.Errorf("what is not there: %v", err)
			}
		}
	}},
	{"a public answer that cannot be shown is replaced privately", func(s *stage) {
		missed := make(chan error, 1)
		s.Answers(chat.Answer{
			Now:    aloud("board"),
			Shown:  func(chat.Ref) { s.t.Error("it counts as shown") },
			Missed: func(err error) chat.Surface { missed <- err; return aloud("invite me") },
		})
		s.Type(s.Ana(), s.Away(), "dashboard", nil)
		s.shows(s.Ana(), s.Away(), "invite me")
		s.shows(s.Ben(), s.Away())
		if err := <-missed; !errors.Is(err, chat.ErrForbidden) {
			s.t.Errorf("the reason is %v", err)
		}
	}},
	{"a panel changes in place, by a press and by its ref", func(s *stage) {
		at := newRefs()
		s.Answers(chat.Answer{Now: panel("first", press), Shown: at.shown})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "first")
		s.shows(s.Ben(), s.Ops())
		first := at.next(s)
		s.Answers(chat.Answer{Now: panel("second", press), InPlace: true, Shown: at.shown})
		s.Press(s.Ana(), s.Ops(), "Go")
		s.shows(s.Ana(), s.Ops(), "second")
		inv := s.asked(2)
		if inv.Kind != chat.Pressed || inv.Action != press.ID || inv.State != "page.2" || !inv.InPanel || inv.Channel != s.Ops() || inv.Source.ID != first.ID {
			s.t.Errorf("the handler was asked %+v", inv)
		}
		for i, ref := range []chat.Ref{first, at.next(s), inv.Source} {
			word := fmt.Sprint("changed ", i)
			s.ok(s.Update(s.t.Context(), ref, panel(word, press)))
			s.shows(s.Ana(), s.Ops(), word)
		}
	}},
	{"a private answer never replaces what everybody sees", func(s *stage) {
		s.Answers(chat.Answer{Now: aloud("board", press)})
		s.Type(s.Ana(), s.Ops(), "dashboard", nil)
		s.shows(s.Ben(), s.Ops(), "board")
		s.Answers(chat.Answer{Now: say("for Ben"), InPlace: true})
		s.Press(s.Ben(), s.Ops(), "Go")
		s.shows(s.Ben(), s.Ops(), "board", "for Ben")
		s.shows(s.Ana(), s.Ops(), "board")
		if inv := s.asked(2); inv.InPanel || !inv.Source.Storable() || inv.Person.ID != s.Ben() {
			s.t.Errorf("the handler was asked %+v", inv)
		}
		s.Answers(chat.Answer{Now: aloud("page two", press), InPlace: true})
		s.Press(s.Ana(), s.Ops(), "Go")
		s.shows(s.Ana(), s.Ops(), "page two")
	}},
	{"a private surface goes when it is closed, a public one stays", func(s *stage) {
		s.Plays(func(_ context.Context, inv chat.Invocation) chat.Answer {
			switch {
			case inv.Kind == chat.Pressed:
				return chat.Answer{Close: true}
			case inv.Command == "dashboard":
				return chat.Answer{Now: aloud("board", press)}
			}
			return chat.Answer{Now: say("values", chat.Button{ID: "hide", Label: "Hide"})}
		})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "values")
		s.Press(s.Ana(), s.Ops(), "Hide")
		s.shows(s.Ana(), s.Ops())
		s.Type(s.Ana(), s.Ops(), "dashboard", nil)
		s.shows(s.Ana(), s.Ops(), "board")
		s.Press(s.Ana(), s.Ops(), "Go")
		s.asked(4)
		s.Answers(chat.Answer{Now: say("later")})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "board", "later")
	}},
	{"a form is opened, then filled with what is found out", func(s *stage) {
		release := make(chan struct{})
		s.Plays(func(_ context.Context, inv chat.Invocation) chat.Answer {
			switch {
			case inv.Kind == chat.Submitted:
				return chat.Answer{Now: say("deleting " + inv.Values["name"]), InPlace: true, Then: func(context.Context) (chat.Surface, error) {
					return say("deleted " + inv.Values["name"]), nil
				}}
			case inv.Kind == chat.Pressed:
				return chat.Answer{Now: form("")}
			}
			return chat.Answer{Now: form("reading…"), Then: func(context.Context) (chat.Surface, error) {
				<-release
				return form("two disks"), nil
			}}
		})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "reading…")
		close(release)
		s.shows(s.Ana(), s.Ops(), "two disks")
		s.Fill(s.Ana(), s.Ops(), map[string]string{"name": "wiki"})
		s.shows(s.Ana(), s.Ops(), "deleted wiki")
		inv := s.Last()
		if inv.Kind != chat.Submitted || inv.Action != "ct:1:delete:c_1" || inv.State != "s.1" || inv.Values["why"] != "" {
			s.t.Errorf("the handler was asked %+v", inv)
		}
	}},
	{"what is wrong with a form is said, and what was typed stays", func(s *stage) {
		s.Plays(func(_ context.Context, inv chat.Invocation) chat.Answer {
			switch {
			case inv.Kind != chat.Submitted:
				return chat.Answer{Now: form("")}
			case inv.Values["name"] == "wiki":
				return chat.Answer{Now: say("deleted"), InPlace: true}
			}
			return chat.Answer{Errors: map[string]string{"name": "That is not its name."}, Now: form("")}
		})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.Fill(s.Ana(), s.Ops(), map[string]string{"name": "wok", "why": "old"})
		s.shows(s.Ana(), s.Ops(), "That is not its name.")
		s.shows(s.Ben(), s.Ops())
		if typed := s.Fill(s.Ana(), s.Ops(), map[string]string{"name": "wiki"}); typed["name"] != "wok" || typed["why"] != "old" {
			s.t.Errorf("the form came back with %q", typed)
		}
		s.shows(s.Ana(), s.Ops(), "deleted")
	}},
	{"what comes then replaces what was shown at once", func(s *stage) {
		release, at := make(chan struct{}), newRefs()
		s.Answers(chat.Answer{Now: say("wait"), Shown: at.shown, Then: func(context.Context) (chat.Surface, error) {
			<-release
			return say("done"), nil
		}})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "wait")
		at.next(s)
		close(release)
		s.shows(s.Ana(), s.Ops(), "done")
		for _, then := range []func(context.Context) (chat.Surface, error){
			func(context.Context) (chat.Surface, error) { return nil, nil },
			func(context.Context) (chat.Surface, error) { return say("never"), errors.New("it was told already") },
		} {
			s.Answers(chat.Answer{Now: panel("as it was"), InPlace: true, Then: then, Shown: at.shown})
			s.Type(s.Ben(), s.Ops(), "help", nil)
			at.next(s)
		}
		for _, seen := range s.Seen(s.Ben(), s.Ops()) {
			if !strings.Contains(seen, "as it was") {
				s.t.Errorf("Ben sees %q", seen)
			}
		}
	}},
	{"what comes only then is shown when it is there", func(s *stage) {
		release := make(chan struct{})
		s.Answers(chat.Answer{Then: func(context.Context) (chat.Surface, error) { <-release; return say("at last"), nil }})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.asked(1)
		close(release)
		s.shows(s.Ana(), s.Ops(), "at last")
	}},
	{"a slow answer is put off, and holds nobody up", func(s *stage) {
		s.Plays(func(ctx context.Context, inv chat.Invocation) chat.Answer {
			if inv.Person.ID == s.Ana() {
				<-ctx.Done() // it has a limit
				return chat.Answer{Now: say("at last")}
			}
			return chat.Answer{Now: say("at once")}
		})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.Type(s.Ben(), s.Ops(), "help", nil)
		s.shows(s.Ben(), s.Ops(), "at once")
		s.shows(s.Ana(), s.Ops(), "at last")
	}},
	{"what expires is taken back", func(s *stage) {
		at := newRefs()
		s.Answers(chat.Answer{Now: say("values"), Expire: 50 * time.Millisecond, Shown: at.shown})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		at.next(s)
		s.Await("the values to go", func() bool { return !strings.Contains(strings.Join(s.Seen(s.Ana(), s.Ops()), ""), "values") })
		s.Answers(chat.Answer{Now: say("values"), Expire: 50 * time.Millisecond, After: say("hidden again")})
		s.Type(s.Ben(), s.Ops(), "help", nil)
		s.shows(s.Ben(), s.Ops(), "hidden again")
	}},
	{"what expires is taken back when the bot ends", func(s *stage) {
		at := newRefs()
		s.Answers(chat.Answer{Now: say("values"), Expire: time.Hour, Shown: at.shown})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "values")
		at.next(s)
		s.Stop()
		if seen := s.Seen(s.Ana(), s.Ops()); strings.Contains(strings.Join(seen, ""), "values") {
			s.t.Errorf("left behind: %q", seen)
		}
	}},
	{"errors say whether to try again", func(s *stage) {
		at, err := s.Post(s.t.Context(), chat.Target{Channel: s.Ops()}, aloud("board"))
		if err != nil {
			s.t.Fatal(err)
		}
		over, cancel := context.WithCancel(s.t.Context())
		cancel()
		if err := s.Update(over, at, aloud("x")); !errors.Is(err, context.Canceled) {
			s.t.Errorf("given up: %v", err)
		}
		s.shows(s.Ben(), s.Ops(), "board")
		s.Remove(at)
		if err := s.Update(s.t.Context(), at, aloud("x")); !errors.Is(err, chat.ErrGone) {
			s.t.Errorf("removed: %v", err)
		}
		if _, err := s.Post(s.t.Context(), chat.Target{Channel: s.Away()}, aloud("x")); !errors.Is(err, chat.ErrForbidden) {
			s.t.Errorf("not a member: %v", err)
		}
		if at, err = s.Post(s.t.Context(), chat.Target{Channel: s.Ops()}, aloud("another")); err != nil {
			s.t.Fatal(err)
		}
		s.Limit(1, 7*time.Second)
		var limited *chat.RateLimitedError
		if err := s.Update(s.t.Context(), at, aloud("x")); !errors.As(err, &limited) || limited.RetryAfter <= 0 || limited.RetryAfter > 7*time.Second {
			s.t.Errorf("limited: %v", err)
		}
		s.shows(s.Ben(), s.Ops(), "another")
		s.Type(s.Ana(), s.Ops(), "help", nil)
	}},
	{"posts reach a channel, the message above, and a person", func(s *stage) {
		top, err := s.Post(s.t.Context(), chat.Target{Channel: s.Ops()}, aloud("raised"))
		if err != nil || !top.Storable() {
			s.t.Fatalf("%#v, %v", top, err)
		}
		below, err := s.Post(s.t.Context(), chat.Target{Channel: s.Ops(), Thread: top}, aloud("cleared"))
		if err != nil || !below.Storable() || below.ID == top.ID {
			s.t.Fatalf("%#v, %v", below, err)
		}
		s.shows(s.Ben(), s.Ops(), "raised", "cleared")
		direct, err := s.Post(s.t.Context(), chat.Target{Person: s.Ana()}, say("psst"))
		if err != nil || !direct.Storable() {
			s.t.Fatalf("%#v, %v", direct, err)
		}
		s.ok(s.Update(s.t.Context(), direct, say("psst, changed")))
		if got := s.Direct(s.Ana()); len(got) != 1 || !strings.Contains(got[0], "psst, changed") {
			s.t.Errorf("Ana got %q", got)
		}
		s.shows(s.Ben(), s.Ops(), "raised", "cleared")
		s.Type(s.Ana(), s.Ops(), "help", nil)
	}},
	{"a second delivery is known again and answered once", func(s *stage) {
		s.Answers(chat.Answer{Now: say("once")})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "once")
		s.Redeliver()
		s.Answers(chat.Answer{Now: say("another")})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "once", "another")
		ids := map[string]bool{}
		for _, inv := range s.Asked() {
			ids[inv.ID] = true
		}
		if len(ids) != 2 {
			s.t.Errorf("two acts have %d ids", len(ids))
		}
	}},
	{"a cut connection is made again, and loses no answer that is under way", func(s *stage) {
		if h := s.Health(); !h.OK || h.Since.IsZero() {
			s.t.Errorf("connected, it says %+v", h)
		}
		release := make(chan struct{})
		s.Answers(chat.Answer{Now: say("wait"), Then: func(context.Context) (chat.Surface, error) { <-release; return say("done"), nil }})
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.shows(s.Ana(), s.Ops(), "wait")
		s.Cut()
		close(release)
		s.shows(s.Ana(), s.Ops(), "done")
		s.Await("health", func() bool { return s.Health().OK })
		s.Answers(chat.Answer{Now: say("here again")})
		s.Type(s.Ben(), s.Ops(), "help", nil)
		s.shows(s.Ben(), s.Ops(), "here again")
		s.Stop()
		if h := s.Health(); h.OK || h.Detail == "" {
			s.t.Errorf("ended, it says %+v", h)
		}
	}},
	{"hostile text is shown and calls nobody", func(s *stage) {
		hostile := "<!channel> @everyone @here <@" + s.Ben() + "> *bold* `code` |"
		s.Answers(chat.Answer{Now: chat.Message{Public: true, Summary: hostile, Blocks: []chat.Block{
			chat.Heading{Text: hostile},
			chat.Para{Text: chat.Texts(hostile, chat.B(hostile), chat.C(hostile))},
			chat.Row{ID: "a", Mark: "⏹️", Name: hostile, Word: hostile, Where: hostile, Facts: chat.Texts(hostile)},
			chat.Fields{{Label: hostile, Value: chat.Texts(hostile)}},
			chat.Pre{Lines: []string{"```", hostile}},
			chat.Controls{ID: "c", Buttons: []chat.Button{{ID: "x", Label: hostile}}},
			chat.Note{Text: chat.Texts(hostile)},
		}}})
		s.Type(s.Ana(), s.Ops(), "dashboard", nil)
		s.shows(s.Ben(), s.Ops(), "everyone")
		if p := s.Pings(s.Ops()); len(p) > 0 {
			s.t.Errorf("it calls %q", p)
		}
	}},
	{"a handler that panics ends nothing, and shows nothing twice", func(s *stage) {
		s.Plays(func(context.Context, chat.Invocation) chat.Answer { panic("a secret that somebody typed") })
		s.Type(s.Ana(), s.Ops(), "help", nil)
		s.asked(1)
		s.Answers(chat.Answer{Now: say("fine")})
		s.Type(s.Ben(), s.Ops(), "help", nil)
		s.shows(s.Ben(), s.Ops(), "fine")
		s.Await("the log to tell of it", func() bool {
			return strings.Contains(s.Log(), "handler panicked") && strings.Contains(s.Log(), "cases.go")
		})
		if strings.Contains(s.Log(), "a secret that somebody typed") {
			s.t.Error("the log quotes what a handler panicked with, which may be what a person typed")
		}
	}},
}
