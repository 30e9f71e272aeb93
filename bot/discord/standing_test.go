package discord

import (
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
