package slack

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/chat"
)

var compareRefs = cmp.Options{
	cmp.Comparer(func(a, b chat.Ref) bool {
		return a == b // keys included
	}),
	cmpopts.IgnoreFields(chat.Invocation{}, "ID"),
}

func TestTheAgreedPayloadsAreUnderstood(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 32, 5, 0, time.UTC)
	anaOf := chat.Person{Platform: chat.Slack, ID: "U0ANA0001", Name: "ana"}
	for name, c := range map[string]struct {
		want     *chat.Invocation
		trigger  Secret
		response Secret
	}{
		"slash_commands": {&chat.Invocation{
			Kind: chat.Typed, Person: anaOf, Channel: "C0OPS0001", Command: "credentials", Options: map[string]string{"name": "gitea"}, CanExpire: true,
		}, "13345224609.738474920.8088930838d88f008e0", "https://hooks.slack.com/commands/T0TEAM001/111/aaa"},
		"block_actions.message": {&chat.Invocation{
			Kind: chat.Pressed, Person: anaOf, Channel: "C0OPS0001", Action: "ct:7f3k2:stop",
			Source: chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: "C0OPS0001", ID: "1763900000.000100"},
		}, "12466734323.1395872398.aa", "https://hooks.slack.com/actions/T0TEAM001/222/bbb"},
		"block_actions.ephemeral": {&chat.Invocation{
			Kind: chat.Pressed, Person: anaOf, Channel: "C0OPS0001", Action: "hide", CanExpire: true,
			Source: own.ref("C0OPS0001", "1763900020.000200", "https://hooks.slack.com/actions/T0TEAM001/333/ccc", now),
		}, "12466734324.1395872398.ab", "https://hooks.slack.com/actions/T0TEAM001/333/ccc"},
		"block_actions.view": {&chat.Invocation{
			Kind: chat.Pressed, Person: anaOf, Action: "events:filter", Value: "error", InPanel: true, CanExpire: true,
			Source: panelRef("V0VIEW001", ""),
		}, "12466734325.1395872398.ac", ""},
		"block_actions.home": {&chat.Invocation{
			Kind: chat.Pressed, Person: anaOf, Action: "create", CanExpire: true,
			Source: chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: "U0ANA0001"},
		}, "12466734326.1395872398.ad", ""},
		"view_submission": {&chat.Invocation{
			Kind: chat.Submitted, Person: anaOf, Action: "ct:7f3k2", Values: map[string]string{"name": "gitea"}, InPanel: true, CanExpire: true,
			Source: panelRef("V0VIEW001", ""),
		}, "12466734327.1395872398.ae", ""},
		"view_closed": {&chat.Invocation{
			Kind: chat.Closed, Person: anaOf, Action: "ct:7f3k2", InPanel: true, CanExpire: true, Source: panelRef("V0VIEW001", ""),
		}, "", ""},
		"events_api.app_home_opened": {&chat.Invocation{
			Kind: chat.Opened, Person: chat.Person{Platform: chat.Slack, ID: "U0ANA0001"}, CanExpire: true,
			Source: chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: "U0ANA0001"},
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var envelope struct {
				Type    string          `json:"type"`
				Payload json.RawMessage `json:"payload"`
			}
			if err := json.Unmarshal(shared(t, "reference/payloads/slack/"+name+".json"), &envelope); err != nil {
				t.Fatal(err)
			}
			show := []chat.Command{{Name: "show", Options: []chat.Option{{Name: "name"}}}}
			if c.want.Kind == chat.Typed {
				c.want.Command = "show"
			}
			got, err := decode(envelope.Type, envelope.Payload, show, now)
			if err != nil || got == nil {
				t.Fatalf("got %v, %v", got, err)
			}
			c.want.At, c.want.Space = now, space
			if d := cmp.Diff(*c.want, got.inv, compareRefs); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if string(got.trigger) != string(c.trigger) || string(got.response) != string(c.response) {
				t.Error("the trigger or the response address is lost")
			}
			again, _ := decode(envelope.Type, envelope.Payload, show, now.Add(time.Minute))
			if got.inv.ID == "" || got.inv.ID != again.inv.ID {
				t.Errorf("delivered again, %q is %q", got.inv.ID, again.inv.ID)
			}
		})
	}
}

func TestPayloadsAreReadLeniently(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 32, 5, 0, time.UTC)
	press := func(container, action string) string {
		return `{"type":"block_actions","user":{"id":"U1","username":"ana"},"trigger_id":"1.2.3","response_url":"https://h/x",` + container + `,"actions":[` + action + `]}`
	}
	const (
		message = `"container":{"type":"message","message_ts":"1.1","channel_id":"D1","thread_ts":"0.9"},"channel":null,"view":null`
		modal   = `"view":{"id":"V1","type":"modal","callback_id":"board","private_metadata":"{\"s\":\"stopped.2\",\"c\":\"C1\",\"new\":1}"}`
		home    = `"view":{"id":"V1","type":"home","private_metadata":"{\"s\":\"all.1\"}"}`
	)
	for name, c := range map[string]struct {
		envelope, payload string
		check             func(*testing.T, *act)
	}{
		"state comes back from a control of a message": {
			"interactive", press(message, `{"type":"button","action_id":"board:more|stopped.2","action_ts":"1"}`), func(t *testing.T, a *act) {
				if a.inv.Action != "board:more" || a.inv.State != "stopped.2" || !a.inv.Direct || a.inv.Channel != "D1" || a.thread != "0.9" || a.inv.Person.Name != "ana" {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"a menu's action is the chosen option": {
			"interactive", press(message, `{"type":"overflow","action_id":"ct:a:menu|s","selected_option":{"value":"ct:a:stop"},"action_ts":"1"}`), func(t *testing.T, a *act) {
				if a.inv.Action != "ct:a:stop" || a.inv.Value != "" || a.inv.State != "s" || a.inv.Confirmed {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"a select's action is its own": {
			"interactive", press(modal, `{"type":"static_select","action_id":"board:filter","selected_option":{"value":"filter:error"},"action_ts":"1"}`), func(t *testing.T, a *act) {
				if a.inv.Action != "board:filter" || a.inv.Value != "filter:error" || a.inv.State != "stopped.2" || a.inv.Channel != "C1" || !a.inv.InPanel {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"a home has its state": {
			"interactive", press(home, `{"type":"button","action_id":"x","action_ts":"1"}`), func(t *testing.T, a *act) {
				if a.inv.State != "all.1" || a.inv.InPanel || a.inv.Source.Kind != chat.HomeRef {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"a confirmed button says so": {
			"interactive", press(message, `{"type":"button","action_id":"x","value":"confirmed","action_ts":"1"}`), func(t *testing.T, a *act) {
				if !a.inv.Confirmed {
					t.Error("it does not")
				}
			},
		},
		"a menu's option of that name does not": {
			"interactive", press(message, `{"type":"overflow","action_id":"x","value":"confirmed","selected_option":{"value":"confirmed"},"action_ts":"1"}`), func(t *testing.T, a *act) {
				if a.inv.Confirmed {
					t.Error("it does")
				}
			},
		},
		"a link is nobody's business":            {"interactive", press(message, `{"type":"button","action_id":"x","value":"url","action_ts":"1"}`), nil},
		"nor is one in a menu":                   {"interactive", press(message, `{"type":"overflow","action_id":"x","selected_option":{"value":"ct:a:web","url":"https://x"},"action_ts":"1"}`), nil},
		"no action is nothing":                   {"interactive", press(message, ``), nil},
		"a shortcut is not ours":                 {"interactive", `{"type":"shortcut","user":{"id":"U1"}}`, nil},
		"nobody is nobody":                       {"slash_commands", `{"text":"help"}`, nil},
		"another tab is not the home":            {"events_api", `{"event_id":"E","event":{"type":"app_home_opened","user":"U1","tab":"messages"}}`, nil},
		"another event is not ours":              {"events_api", `{"event_id":"E","event":{"type":"message","user":"U1"}}`, nil},
		"an envelope of another kind is nothing": {"new_kind", `{}`, nil},
		"an opened home has its state": {
			"events_api", `{"event_id":"E","event":{"type":"app_home_opened","user":"U1","tab":"home",` + home + `}}`, func(t *testing.T, a *act) {
				if a.inv.State != "all.1" {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"a state without inputs is a list": {
			"interactive", press(`"view":{"id":"V1","type":"modal","callback_id":"board","state":{"values":[]}}`, `{"type":"button","action_id":"x","action_ts":"1"}`),
			func(t *testing.T, a *act) {
				if a.inv.Action != "x" || len(a.inv.Values) > 0 {
					t.Errorf("got %+v", a.inv)
				}
			},
		},
		"an input left empty is empty": {
			"interactive", `{"type":"view_submission","user":{"id":"U1"},"trigger_id":"1","view":{"id":"V1","type":"modal","callback_id":"f","private_metadata":"not ours",` +
				`"blocks":[{"type":"section","block_id":"s"},{"type":"input","block_id":"name"},{"type":"input","block_id":"key"}],` +
				`"state":{"values":{"name":{"v":{"type":"plain_text_input","value":"wiki"}},"key":{"v":{"type":"plain_text_input","value":null}}}}}}`,
			func(t *testing.T, a *act) {
				if d := cmp.Diff(map[string]string{"name": "wiki", "key": ""}, map[string]string(a.inv.Values)); d != "" {
					t.Error(d)
				}
				if d := cmp.Diff([]string{"name", "key"}, a.inputs); d != "" {
					t.Error(d)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := decode(c.envelope, []byte(c.payload), commands, now)
			if err != nil {
				t.Fatal(err)
			}
			if (a == nil) != (c.check == nil) {
				t.Fatalf("got %v", a)
			}
			if c.check != nil {
				c.check(t, a)
			}
		})
	}
}

func TestDifferentActsHaveDifferentIDs(t *testing.T) {
	ids := map[string]bool{}
	for _, p := range []string{
		`{"type":"block_actions","user":{"id":"U1"},"actions":[{"type":"button","action_id":"a","action_ts":"1"}]}`,
		`{"type":"block_actions","user":{"id":"U1"},"actions":[{"type":"button","action_id":"a","action_ts":"2"}]}`,
		`{"type":"block_actions","user":{"id":"U2"},"actions":[{"type":"button","action_id":"a","action_ts":"1"}]}`,
		`{"type":"block_actions","user":{"id":"U1"},"trigger_id":"1","actions":[{"type":"button","action_id":"a"}]}`,
		`{"type":"block_actions","user":{"id":"U1"},"trigger_id":"2","actions":[{"type":"button","action_id":"a"}]}`,
		`{"type":"view_submission","user":{"id":"U1"},"trigger_id":"1","view":{"id":"V1"}}`,
		`{"type":"view_submission","user":{"id":"U1"},"trigger_id":"2","view":{"id":"V1"}}`,
		`{"type":"view_closed","user":{"id":"U1"},"view":{"id":"V1"}}`,
		`{"type":"view_closed","user":{"id":"U1"},"view":{"id":"V2"}}`,
	} {
		a, err := decode("interactive", []byte(p), nil, time.Now())
		if err != nil || a == nil || ids[a.inv.ID] {
			t.Fatalf("%s: %v, %v", p, a, err)
		}
		ids[a.inv.ID] = true
	}
}

func TestDifferentCommandsHaveDifferentIDsWhateverTheTrigger(t *testing.T) {
	ids := map[string]bool{}
	for _, p := range []string{
		`{"user_id":"U1","channel_id":"C1","text":"start web","response_url":"https://h/1"}`,
		`{"user_id":"U1","channel_id":"C1","text":"start web","response_url":"https://h/2"}`,
		`{"user_id":"U1","channel_id":"C1","text":"start db","response_url":"https://h/2"}`,
		`{"user_id":"U2","channel_id":"C1","text":"start db","response_url":"https://h/2"}`,
	} {
		a, err := decode("slash_commands", []byte(p), nil, time.Now())
		if err != nil || a == nil || ids[a.inv.ID] {
			t.Fatalf("%s: %v, %v", p, a, err)
		}
		ids[a.inv.ID] = true
	}
}

func TestWhatIsNoJSONIsAnError(t *testing.T) {
	for _, envelope := range []string{"slash_commands", "interactive", "events_api"} {
		if _, err := decode(envelope, []byte(`{"`), nil, time.Now()); err == nil {
			t.Errorf("%s: no error", envelope)
		}
	}
}
