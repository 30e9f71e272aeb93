package discord

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
)

var someCommands = []chat.Command{
	{Name: "dashboard", Summary: "The live board, in this channel", Public: true, Default: true},
	{Name: "show", Summary: "One container", Options: []chat.Option{
		{Name: "type", Choices: []chat.Choice{{Label: "Error", Value: "error"}}, Suggest: true},
		{Name: "name", Summary: "Its name", Required: true, Suggest: true},
	}},
}

func TestCommandsAreSubcommandsOfOne(t *testing.T) {
	raw, err := Manifest(someCommands)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"pve","type":1,"description":"Proxmox containers from chat","options":[
		{"type":1,"name":"dashboard","description":"The live board, in this channel"},
		{"type":1,"name":"show","description":"One container","options":[
			{"type":3,"name":"name","description":"Its name","required":true,"autocomplete":true},
			{"type":3,"name":"type","description":"type","choices":[{"name":"Error","value":"error"}]}]}]}]`
	var got, expected any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatDiscordWouldNotRegisterIsRefused(t *testing.T) {
	many := make([]chat.Command, 26)
	for name, cmds := range map[string][]chat.Command{
		"a capital letter":    {{Name: "Show"}},
		"a blank":             {{Name: "show all"}},
		"no name":             {{}},
		"a long name":         {{Name: strings.Repeat("x", 33)}},
		"a bad option":        {{Name: "show", Options: []chat.Option{{Name: "NAME"}}}},
		"too many commands":   many,
		"too many choices":    {{Name: "show", Options: []chat.Option{{Name: "a", Choices: make([]chat.Choice, 26)}}}},
		"too many parameters": {{Name: "show", Options: make([]chat.Option, 26)}},
	} {
		if _, err := Manifest(cmds); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestRegisteredCommandsAreKnownAgain(t *testing.T) {
	wanted, err := commandsOf(someCommands)
	if err != nil {
		t.Fatal(err)
	}
	// As Discord hands them out: with more fields, and what is false spelled out.
	const there = `[{"id":"7","application_id":"3","version":"9","default_member_permissions":null,"type":1,"name":"pve","name_localizations":null,
		"description":"Proxmox containers from chat","nsfw":false,"options":[
		{"type":1,"name":"dashboard","name_localizations":null,"description":"The live board, in this channel","options":[]},
		{"type":1,"name":"show","description":"One container","options":[
			{"type":3,"name":"name","description":"Its name","required":true,"autocomplete":true},
			{"type":3,"name":"type","description":"type","required":false,"choices":[{"name":"Error","name_localizations":null,"value":"error"}]}]}]}]`
	var got []command
	if err := json.Unmarshal([]byte(there), &got); err != nil {
		t.Fatal(err)
	}
	if !same(got, wanted) {
		t.Error("they count as changed")
	}
	got[0].Options[1].Options[0].Description = "The name"
	if same(got, wanted) {
		t.Error("a changed word does not count")
	}
}
