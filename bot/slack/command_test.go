package slack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/pvechat/pvechat/bot/chat"
)

var commands = []chat.Command{
	{Name: "dashboard", Default: true, Public: true},
	{Name: "list", Options: []chat.Option{{Name: "status", Choices: []chat.Choice{{Label: "Running", Value: "filter:running"}}}}},
	{Name: "credentials", Options: []chat.Option{{Name: "name", Required: true}, {Name: "service"}}},
	{Name: "note", Options: []chat.Option{{Name: "name", Required: true}, {Name: "text", Rest: true}}},
	{Name: "help"},
}

func TestTypedTextIsReadByTheCommands(t *testing.T) {
	type given = map[string]string
	for text, want := range map[string]struct {
		command string
		options given
		extra   string
	}{
		"":                                  {"dashboard", nil, ""},
		"   ":                               {"dashboard", nil, ""},
		"help":                              {"help", nil, ""},
		" HeLp ":                            {"help", nil, ""},
		"help me please":                    {"help", nil, "me please"},
		"list":                              {"list", nil, ""},
		"list RUNNING":                      {"list", given{"status": "filter:running"}, ""},
		"list broken":                       {"list", given{"status": "broken"}, ""},
		"credentials wiki":                  {"credentials", given{"name": "wiki"}, ""},
		"credentials  wiki   db now":        {"credentials", given{"name": "wiki", "service": "db"}, "now"},
		`credentials "my wiki" db`:          {"credentials", given{"name": "my wiki", "service": "db"}, ""},
		"credentials “my wiki” db":          {"credentials", given{"name": "my wiki", "service": "db"}, ""},
		`credentials "my wiki`:              {"credentials", given{"name": `"my`, "service": "wiki"}, ""},
		`credentials "" x`:                  {"credentials", given{"name": "", "service": "x"}, ""},
		"note wiki  some  more words ":      {"note", given{"name": "wiki", "text": "some  more words"}, ""},
		`note wiki "all of it"`:             {"note", given{"name": "wiki", "text": "all of it"}, ""},
		`note wiki "part" of it`:            {"note", given{"name": "wiki", "text": `"part" of it`}, ""},
		"reboot wiki":                       {"reboot", nil, "wiki"},
		"credentials a&amp;b &lt;x&gt;":     {"credentials", given{"name": "a&b", "service": "<x>"}, ""},
		"credentials &amp;lt;":              {"credentials", given{"name": "&lt;"}, ""},
		"credentials <@U1|ana> <#C1|ops>":   {"credentials", given{"name": "@ana", "service": "#ops"}, ""},
		"credentials <@U1> <!channel>":      {"credentials", given{"name": "@U1", "service": "@channel"}, ""},
		"credentials <!subteam^S1|@admins>": {"credentials", given{"name": "@admins"}, ""},
		"credentials <http://git.example.com|git.example.com> <https://x.example/a>": {
			"credentials", given{"name": "git.example.com", "service": "https://x.example/a"}, "",
		},
	} {
		t.Run(text, func(t *testing.T) {
			command, options, extra := typed(text, commands)
			if command != want.command || extra != want.extra {
				t.Errorf("got %q and extra %q", command, extra)
			}
			if d := cmp.Diff(want.options, options); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestWithoutADefaultNothingTypedIsNoCommand(t *testing.T) {
	if command, _, _ := typed("", commands[1:]); command != "" {
		t.Errorf("got %q", command)
	}
}

func FuzzTypedTextNeverFails(f *testing.F) {
	f.Add(`credentials "a b" <@U1|x> &amp;`)
	f.Add(`<<|>>"`)
	f.Fuzz(func(t *testing.T, text string) {
		typed(text, commands)
	})
}

func TestTheManifestIsWhatSlackTakes(t *testing.T) {
	read := func(httpURL string) map[string]any {
		b, err := Manifest(commands, httpURL)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := yaml.Unmarshal(b, &m); err != nil {
			t.Fatalf("%v in\n%s", err, b)
		}
		return m
	}
	at := func(m map[string]any, path string) any {
		var v any = m
		for _, k := range strings.Split(path, ".") {
			if l, ok := v.([]any); ok {
				v = l[0]
			}
			o, _ := v.(map[string]any)
			v = o[k]
		}
		return v
	}
	m := read("")
	for path, want := range map[string]any{
		"features.slash_commands.command":         "/pve",
		"features.slash_commands.usage_hint":      "dashboard | list [status] | credentials NAME [service] | note NAME [text] | help",
		"features.slash_commands.should_escape":   true,
		"features.slash_commands.url":             nil,
		"features.app_home.home_tab_enabled":      true,
		"oauth_config.scopes.bot":                 []any{"commands", "chat:write", "im:write", "usergroups:read", "users:read"},
		"settings.event_subscriptions.bot_events": []any{"app_home_opened"},
		"settings.interactivity.is_enabled":       true,
		"settings.socket_mode_enabled":            true,
		"settings.interactivity.request_url":      nil,
		"display_information.name":                "pvechat",
	} {
		if d := cmp.Diff(want, at(m, path)); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	m = read("https://chat.example/")
	for path, want := range map[string]any{
		"features.slash_commands.url":              "https://chat.example/slack/commands",
		"settings.interactivity.request_url":       "https://chat.example/slack/interactions",
		"settings.event_subscriptions.request_url": "https://chat.example/slack/events",
		"settings.socket_mode_enabled":             false,
	} {
		if d := cmp.Diff(want, at(m, path)); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	if _, err := Manifest(nil, "http://chat.example"); err == nil {
		t.Error("an address without TLS is taken")
	}
}
