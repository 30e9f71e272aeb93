package discord

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestStandingSaysWhomRulesNameInVain(t *testing.T) {
	s := discordtest.New(discordtest.Options{})
	s.AddUser("101", "Ana", "201")
	s.AddUser("102", "Ben")
	s.AddUser("103", "Robot")
	s.RemoveUser("102")
	s.MakeBot("103")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, err := New(Config{BotToken: "test-token", ApplicationID: "3000000000000000003", GuildIDs: []string{"4000000000000000004"}, APIURL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.client.CloseIdleConnections()
	got, err := a.Standing(t.Context(), []string{"101", "102", "103", "104"}, []string{"201", "202"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]chat.Standing{"102": chat.Left, "103": chat.Robot, "104": chat.Unknown, "202": chat.Unknown}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.Fail("GET /guilds/", 500, 0, 1)
	if _, err := a.Standing(t.Context(), nil, []string{"201"}); err == nil {
		t.Error("no answer was taken for one")
	}
}

// Discord says what roles and channels allow, and who asks has to add it up.
func TestRightsAddUpWhatRolesAndTheChannelAllow(t *testing.T) {
	const (
		view, send, history, threads = 1 << 10, 1 << 11, 1 << 16, 1 << 38
		all                          = view | send | history | threads
	)
	type change struct {
		ID    string `json:"id"`
		Allow string `json:"allow"`
		Deny  string `json:"deny"`
	}
	of := func(id string, allow, deny int) change { return change{id, strconv.Itoa(allow), strconv.Itoa(deny)} }
	for name, c := range map[string]struct {
		everybody, role int // what they may in the guild; the bot has the role 20, and not 21
		owner           string
		channel         []change
		thread          bool
		want            string
	}{
		"everybody may":                            {everybody: all},
		"its role may":                             {everybody: view, role: all},
		"nobody may":                               {everybody: view | history, want: "pvechat lacks Send Messages there (50013)"},
		"an administrator may":                     {role: 1 << 3, channel: []change{of("10", 0, all)}},
		"the owner may":                            {owner: "30"},
		"not in this channel":                      {everybody: all, channel: []change{of("10", 0, send)}, want: "pvechat lacks Send Messages there (50013)"},
		"its role may in this channel":             {everybody: all, channel: []change{of("20", send, 0), of("10", 0, send)}},
		"it may itself":                            {everybody: all, channel: []change{of("30", send|view, 0), of("20", 0, send), of("10", 0, view)}},
		"it may not itself":                        {everybody: all, channel: []change{of("30", 0, send|history), of("20", send, 0)}, want: "pvechat lacks Send Messages, Read Message History there (50013)"},
		"another role may not":                     {everybody: all, channel: []change{of("21", 0, send)}},
		"in a thread":                              {everybody: view | history | threads, channel: []change{of("10", 0, send)}, thread: true},
		"not in threads":                           {everybody: all, channel: []change{of("10", 0, threads)}, thread: true, want: "pvechat lacks Send Messages in Threads there (50013)"},
		"it sees a channel that it cannot read in": {everybody: view | send, want: "pvechat lacks Read Message History there (50013)"},
	} {
		t.Run(name, func(t *testing.T) {
			answers := map[string]any{
				"users/@me":  map[string]any{"id": "30"},
				"channels/1": map[string]any{"type": 0, "guild_id": "10", "permission_overwrites": c.channel},
				"guilds/10": map[string]any{"id": "10", "owner_id": c.owner, "roles": []any{
					map[string]any{"id": "10", "permissions": strconv.Itoa(c.everybody)},
					map[string]any{"id": "20", "permissions": strconv.Itoa(c.role)},
					map[string]any{"id": "21", "permissions": "0"},
				}},
				"guilds/10/members/30": map[string]any{"roles": []string{"20"}},
			}
			if c.thread {
				answers["channels/2"], answers["channels/1"] = answers["channels/1"], map[string]any{"type": 11, "guild_id": "10", "parent_id": "2"}
			}
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, path, _ := strings.Cut(r.URL.Path, "/api/v9/")
				a, ok := answers[path]
				if !ok {
					t.Errorf("it asks for %s", path)
				}
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(a)
			}))
			defer s.Close()
			a, err := New(Config{BotToken: "test-token", ApplicationID: "30", GuildIDs: []string{"10"}, APIURL: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer a.client.CloseIdleConnections()
			got, err := a.Rights(t.Context(), "1")
			if err != nil || got.Channel != c.want || (got.Allow == "") != (c.want == "") {
				t.Errorf("got %+v, %v, want %q", got, err, c.want)
			}
		})
	}
}
