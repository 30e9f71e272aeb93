package discordtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/wire/wiretest"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestAnAnswerThatComesTooLateIsNone(t *testing.T) {
	s := newGuild(t, discordtest.Options{Deadline: 20 * time.Millisecond})
	b := connect(t, s)
	var in object
	out := b.typed(func(got object) { in = got })
	if out.Error != "The application did not respond" || out.Type != 0 || out.Message != nil {
		t.Errorf("got %+v", out)
	}
	if a := b.respond(in, 4, object{"content": "x"}); a.status != 404 || a.code() != 10062 {
		t.Errorf("late: %d %v", a.status, a.body)
	}
	if a := rest(t, s, "POST", webhook(in, ""), object{"content": "x"}); a.status < 400 {
		t.Errorf("its token works: %d", a.status)
	}
	if m := s.Messages(ops, ana); len(m) != 0 {
		t.Errorf("there is %+v", m)
	}
}

func TestATokenLivesFifteenMinutes(t *testing.T) {
	now := wiretest.NewClock()
	s := newGuild(t, discordtest.Options{Now: now.Now})
	b := connect(t, s)
	var in object
	b.typed(func(got object) {
		in = got
		b.responds(4, object{"content": "x", "flags": 64})(in)
	})
	now.Add(15*time.Minute - time.Second)
	for _, do := range []func() answer{
		func() answer { return rest(t, s, "GET", webhook(in, "/messages/@original"), nil) },
		func() answer {
			return rest(t, s, "PATCH", webhook(in, "/messages/@original"), object{"content": "y"})
		},
		func() answer { return rest(t, s, "POST", webhook(in, ""), object{"content": "z"}) },
	} {
		if a := do(); a.status != 200 {
			t.Errorf("before: %d %v", a.status, a.body)
		}
	}
	now.Add(time.Second)
	for _, do := range []func() answer{
		func() answer {
			return rest(t, s, "PATCH", webhook(in, "/messages/@original"), object{"content": "y"})
		},
		func() answer { return rest(t, s, "DELETE", webhook(in, "/messages/@original"), nil) },
		func() answer { return rest(t, s, "POST", webhook(in, ""), object{"content": "z"}) },
	} {
		if a := do(); a.status != 401 || a.code() != 50027 {
			t.Errorf("after: %d %v", a.status, a.body)
		}
	}
}

func TestAPrivateMessageIsSeenByOnePersonAndReachedByTheTokenAlone(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	var in object
	out := b.typed(func(got object) {
		in = got
		b.responds(4, object{"content": "for Ana", "flags": 64})(in)
	})
	if out.Type != 4 || out.Message == nil || out.Message.EphemeralFor != ana {
		t.Fatalf("got %+v", out)
	}
	if m := s.Messages(ops, ben); len(m) != 0 {
		t.Errorf("Ben sees %+v", m)
	}
	path := "/channels/" + ops + "/messages/" + out.Message.ID
	for _, method := range []string{"GET", "DELETE"} {
		if a := rest(t, s, method, path, nil); a.code() != 10008 {
			t.Errorf("%s by the channel: %d %v", method, a.status, a.body)
		}
	}
	if a := rest(t, s, "PATCH", webhook(in, "/messages/@original"), object{"content": "changed", "flags": 0}); a.status != 200 || a.object()["flags"] != 64.0 {
		t.Errorf("the edit: %v", a.body)
	}
	if a := rest(t, s, "DELETE", webhook(in, "/messages/@original"), nil); a.status != 204 {
		t.Errorf("the end: %d %v", a.status, a.body)
	}
	if m := s.Messages(ops, ana); len(m) != 0 {
		t.Errorf("Ana sees %+v", m)
	}
	if err := s.Dismiss(ana, out.Message.At()); err == nil {
		t.Error("what is gone is dismissed")
	}
}

func TestADeferredAnswerIsFilledInAsItWasBegun(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	if out := b.typed(func(in object) {
		if a := b.respond(in, 5, object{"flags": 64 | v2}); a.code() != 50035 || a.wrong("data.flags") == "" {
			t.Errorf("another flag than EPHEMERAL: %v", a.body)
		}
		b.responds(5, object{"flags": 64})(in)
		first := rest(t, s, "POST", webhook(in, ""), object{"content": "there"}) // fills it in, and stays private
		if first.object()["flags"] != 64.0 {
			t.Errorf("the first followup: %v", first.body)
		}
		second := rest(t, s, "POST", webhook(in, ""), object{"content": "more"})
		if second.str("id") == first.str("id") || second.object()["flags"] != 0.0 {
			t.Errorf("the second: %v", second.body)
		}
	}); out.Type != 5 || !out.Message.Loading() {
		t.Errorf("got %+v", out)
	}
	if m := s.Messages(ops, ana); len(m) != 2 || m[0].Content != "there" || m[0].Loading() || m[0].Edited != 0 {
		t.Errorf("Ana sees %+v", m)
	}
	if m := s.Messages(ops, ben); len(m) != 1 || m[0].Content != "more" {
		t.Errorf("Ben sees %+v", m)
	}
}

func TestAPressChangesItsMessageOrNot(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	m := b.typed(b.responds(4, object{"flags": v2, "components": []any{text("board"), row(button("go", "Go"), with(button("off", "Off"), "disabled", true))}})).Message
	if out := b.clicked(*m, "go", b.responds(6, nil)); out.Type != 6 || s.Messages(ops, ben)[0].Edited != 0 {
		t.Errorf("nothing: %+v", out)
	}
	out := b.clicked(*m, "go", b.responds(7, object{"flags": v2, "components": []any{text("changed"), row(button("go", "Go"))}}))
	if out.Type != 7 || out.Message.ID != m.ID || !strings.Contains(s.Messages(ops, ben)[0].Text(), "changed") {
		t.Errorf("in place: %+v", out)
	}
	for _, id := range []string{"off", "nothing"} {
		if _, err := s.Click(soon(t), ana, m.At(), id); err == nil {
			t.Errorf("%q was pressed", id)
		}
	}
	if _, err := s.Click(soon(t), ana, discordtest.At{Channel: ops, Message: "1"}, "go"); err == nil {
		t.Error("what is not there was pressed")
	}
	b.typed(func(in object) {
		for _, kind := range []int{6, 7, 8} {
			if a := b.respond(in, kind, object{"content": "x"}); a.code() != 50035 || a.wrong("type") != "BASE_TYPE_CHOICES" {
				t.Errorf("a command is answered with %d: %v", kind, a.body)
			}
		}
		b.responds(4, object{"content": "x"})(in)
	})
	s.DeleteMessage(m.At())
	if a := rest(t, s, "GET", "/channels/"+ops+"/messages/"+m.ID, nil); a.code() != 10008 {
		t.Errorf("deleted: %v", a.body)
	}
}

func TestFormsAreTheFirstAnswerAndHaveRules(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	in5 := func(n int) []any { return times(n, func(i int) any { return row(input(fmt.Sprint(i))) }) }
	field := func(key string, value any) object { return modal(row(with(input("name"), key, value))) }
	b.typed(func(in object) {
		for name, tt := range map[string]struct {
			form object
			path string
		}{
			"title":         {with(modal(row(input("a"))), "title", chars(46)), "data.title"},
			"no title":      {with(modal(row(input("a"))), "title", nil), "data.title"},
			"custom_id":     {with(modal(row(input("a"))), "custom_id", chars(101)), "data.custom_id"},
			"six inputs":    {modal(in5(6)...), "data.components"},
			"none":          {modal(), "data.components"},
			"a button":      {modal(row(button("a", "a"))), "data.components.0.components.0"},
			"a text":        {modal(text("x")), "data.components.0"},
			"two in a row":  {modal(row(input("a"), input("b"))), "data.components.0.components.1"},
			"label":         {field("label", chars(46)), "data.components.0.components.0.label"},
			"placeholder":   {field("placeholder", chars(101)), "data.components.0.components.0.placeholder"},
			"value":         {field("value", chars(4001)), "data.components.0.components.0.value"},
			"max_length":    {field("max_length", 4001), "data.components.0.components.0.max_length"},
			"style":         {field("style", 3), "data.components.0.components.0.style"},
			"an id twice":   {modal(row(input("a")), row(input("a"))), "data.components.1.components.0.custom_id"},
			"min above max": {modal(row(with(with(input("a"), "min_length", 9), "max_length", 8))), "data.components.0.components.0.min_length"},
		} {
			if a := b.respond(in, 9, tt.form); a.code() != 50035 || a.wrong(tt.path) == "" {
				t.Errorf("%s: %d %v", name, a.status, a.body)
			}
		}
		b.responds(5, nil)(in)
		if a := b.respond(in, 9, modal(row(input("a")))); a.code() != 40060 {
			t.Errorf("after a deferral: %v", a.body)
		}
	})

	form := modal(row(with(with(input("name"), "max_length", 8), "value", "wi")), row(with(input("why"), "required", false)))
	if out := b.typed(b.responds(9, form)); out.Modal == nil || out.Modal.Title != "Delete" || len(out.Modal.Fields) != 2 || out.Modal.Fields[0].Value != "wi" || !out.Modal.Fields[0].Required || out.Modal.Fields[1].Required {
		t.Fatalf("got %+v", out.Modal)
	}
	for name, values := range map[string]map[string]string{
		"empty": {"name": ""}, "too long": {"name": "123456789"}, "two lines": {"name": "a\nb"}, "unknown": {"name": "x", "other": "y"},
	} {
		if _, err := s.Submit(soon(t), ana, "form", values); err == nil {
			t.Errorf("%s: the client lets it go", name)
		}
	}
	if _, err := s.Submit(soon(t), ben, "form", nil); err == nil {
		t.Error("Ben sends Ana's form")
	}
	submit := func(ctx context.Context) (discordtest.Outcome, error) {
		return s.Submit(ctx, ana, "form", map[string]string{"why": "old"})
	}
	b.acts(submit, func(in object) {
		if a := b.respond(in, 9, form); a.code() != 50035 || a.wrong("type") == "" {
			t.Errorf("a form answers a form: %v", a.body)
		}
		data, _ := json.Marshal(in["data"])
		if !strings.Contains(string(data), `"value":"wi"`) || !strings.Contains(string(data), `"value":"old"`) {
			t.Errorf("it sends %s", data)
		}
		b.responds(4, object{"content": "taken", "flags": 64})(in)
	})
	if s.Modal(ana) != nil {
		t.Error("the form is still open")
	}
}

func TestAFormWithoutAnAnswerStaysOpen(t *testing.T) {
	s := newGuild(t, discordtest.Options{Deadline: 200 * time.Millisecond})
	b := connect(t, s)
	b.typed(b.responds(9, modal(row(input("name")))))
	out := b.acts(func(ctx context.Context) (discordtest.Outcome, error) {
		return s.Submit(ctx, ana, "form", map[string]string{"name": "x"})
	}, func(object) {})
	if out.Error == "" || s.Modal(ana) == nil {
		t.Errorf("got %+v, open: %v", out, s.Modal(ana) != nil)
	}
	s.DismissModal(ana)
	if s.Modal(ana) != nil {
		t.Error("it is not dismissed")
	}
}

func TestSuggestionsAreAnsweredWithNothingElse(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	choices := func(n int) object {
		return object{"choices": times(n, func(i int) any { return object{"name": fmt.Sprint("n", i), "value": fmt.Sprint("v", i)} })}
	}
	got := make(chan []discordtest.Choice, 1)
	ctx := soon(t)
	go func() {
		c, err := s.Autocomplete(ctx, ana, ops, "show", "name", "wi")
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	in := b.event("INTERACTION_CREATE")
	if a := b.respond(in, 4, object{"content": "x"}); a.wrong("type") != "BASE_TYPE_CHOICES" {
		t.Errorf("with a message: %v", a.body)
	}
	if a := b.respond(in, 8, choices(26)); a.wrong("data.choices") == "" {
		t.Errorf("26 choices: %v", a.body)
	}
	if a := b.respond(in, 8, object{"choices": []any{object{"name": chars(101), "value": "v"}}}); a.code() != 50035 {
		t.Errorf("a long name: %v", a.body)
	}
	b.responds(8, choices(25))(in)
	if c := <-got; len(c) != 25 || c[0] != (discordtest.Choice{Name: "n0", Value: "v0"}) {
		t.Errorf("got %v", c)
	}
	if _, err := s.Command(soon(t), ana, ops, "show", nil); err == nil {
		t.Error("a required option was left out")
	}
	if _, err := s.Command(soon(t), ana, ops, "nothing", nil); err == nil {
		t.Error("an unknown command was typed")
	}
}

func TestMentionsPingAsAllowed(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	words := "@everyone <@" + ben + "> <@&2000000000000000002>"
	for name, tt := range map[string]struct {
		allowed any
		pings   int
	}{
		"by default": {nil, 3}, "nobody": {object{"parse": []any{}}, 0}, "people": {object{"parse": []any{"users"}}, 1}, "one person": {object{"users": []any{ben}}, 1},
	} {
		body := object{"content": words}
		if tt.allowed != nil {
			body["allowed_mentions"] = tt.allowed
		}
		m := rest(t, s, "POST", "/channels/"+ops+"/messages", body)
		for _, seen := range s.Messages(ops, ben) {
			if seen.ID == m.str("id") && len(seen.Mentions) != tt.pings {
				t.Errorf("%s: pings %v", name, seen.Mentions)
			}
		}
	}
	if a := rest(t, s, "POST", "/channels/"+ops+"/messages", object{"content": "x", "allowed_mentions": object{"parse": []any{"users"}, "users": []any{ben}}}); a.code() != 50035 {
		t.Errorf("both ways at once: %v", a.body)
	}
}

func TestAResponseIsReturnedWhereItIsAskedFor(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	b := connect(t, s)
	b.typed(func(in object) {
		a := rest(t, s, "POST", fmt.Sprintf("/interactions/%s/%s/callback?with_response=true", in["id"], in["token"]), object{"type": 4, "data": object{"content": "x"}})
		resource, _ := a.object()["resource"].(object)
		message, _ := resource["message"].(object)
		if a.status != http.StatusOK || resource["type"] != 4.0 || message["content"] != "x" {
			t.Errorf("got %d %v", a.status, a.body)
		}
	})
}
