package slack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestASecretPrintsAsNothingElse(t *testing.T) {
	c := Config{BotToken: "xoxb-canary", AppToken: "xapp-canary"}
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "config", c, "token", c.BotToken)
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "config", c, "token", c.BotToken)
	j, err := json.Marshal(c.BotToken)
	if err != nil {
		t.Fatal(err)
	}
	a := &act{trigger: "canary", response: "canary"}
	for _, s := range []string{
		b.String(), string(j), c.BotToken.String(), c.BotToken.GoString(),
		fmt.Sprintf("%s %q %v %+v %#v %x %d", c.BotToken, c.BotToken, c, c, c, c.BotToken, c.BotToken), fmt.Sprintf("%v %+v %#v", a, a, a),
	} {
		if strings.Contains(s, "canary") || strings.Contains(s, "63616e617279") {
			t.Errorf("got %s", s)
		}
	}
}

func TestAnEnvelopeIsRememberedForAWhile(t *testing.T) {
	var e deliveries
	first := func(id string) bool { _, first := e.note(id); return first }
	if !first("a") || first("a") {
		t.Error("it is not remembered")
	}
	for i := range 512 {
		first(fmt.Sprint(i))
	}
	if !first("a") || len(e.ids) != 512 || len(e.last) != 512 {
		t.Errorf("it is remembered for ever: %d, %d", len(e.ids), len(e.last))
	}
}

func TestWhatTheSDKCannotReadIsReadAllTheSame(t *testing.T) {
	d := office(t, setup{})
	s := &socket{inbox: &inbox{a: d.a, h: d}, wg: &d.under}
	client := socketmode.New(slackgo.New("x"))
	for _, frame := range []string{
		`{"envelope_id":"e1","type":"interactive","payload":{"type":"block_actions","user":{"id":"U1"},"actions":[{"type":"button","action_id":"x","action_ts":"1"}],"message":{"blocks":[{"type":"input","element":{"type":"brand_new"}}]}}}`,
		`{"envelope_id":"e2","type":"brand_new","payload":{}}`,
		`{"type":"brand_new"}`,
		`nonsense`,
	} {
		e := socketmode.Event{Type: socketmode.EventTypeErrorBadMessage, Data: &socketmode.ErrorBadMessage{Message: json.RawMessage(frame)}}
		if err := s.event(d.ctx, client, e); err != nil {
			t.Error(err)
		}
	}
	d.under.Wait()
	if inv, n := d.Last(), len(d.Asked()); n != 1 || inv.Action != "x" {
		t.Errorf("got %d, %+v", n, inv)
	}
}

func TestAPressInAThreadIsAnsweredThere(t *testing.T) {
	d := office(t, setup{})
	top, err := d.a.Post(d.ctx, chat.Target{Channel: ops}, aloud("top"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.a.Post(d.ctx, chat.Target{Channel: ops, Thread: top}, aloud("reply")); err != nil {
		t.Fatal(err)
	}
	d.Answers(chat.Answer{Now: aloud("answer")})
	d.clicks(ana, slacktest.At{Channel: ops, TS: d.sees(ana, ops, 2).TS}, "ct:a:show")
	if m := d.sees(ana, ops, 3); m.ThreadTS != top.ID {
		t.Errorf("got %+v", m)
	}
}

func TestAMissingScopeThatIsOnlyUsefulIsLogged(t *testing.T) {
	d := office(t, setup{
		slack:  slacktest.Options{Scopes: []string{"commands", "chat:write"}},
		config: func(c *Config) { c.Groups = []string{"S1"} },
	})
	if l := d.log.String(); !strings.Contains(l, "im:write, usergroups:read") || !strings.Contains(l, "user groups are not known") {
		t.Errorf("the log says %s", l)
	}
}

func TestAWorkspaceThatReplacesNothingOfATypedCommandSeesItBelow(t *testing.T) {
	d := office(t, setup{slack: slacktest.Options{NoSlashReplace: true}})
	refs := make(chan chat.Ref, 1)
	d.Answers(chat.Answer{Now: say("one"), Shown: func(r chat.Ref) { refs <- r }})
	d.types(ana, ops, "help")
	if err := d.a.Update(d.ctx, <-refs, say("two")); err != nil {
		t.Fatal(err)
	}
	if m := d.sees(ana, ops, 2); m.Text != "two" || !m.Ephemeral {
		t.Errorf("got %+v", m)
	}
}
