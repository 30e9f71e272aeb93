package chat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
)

const canary = "canary-7Qx"

// hidden has what fmt prints without asking its methods.
type hidden struct{ secret chat.Secret }

func TestNothingPrintsASecretOrAKey(t *testing.T) {
	s := chat.NewSecret(canary)
	ref := chat.NewRef(chat.Ref{Platform: chat.Discord, Kind: chat.PrivateRef, ID: "1"}, canary)
	shown := []chat.Block{chat.Exact{Label: "Password", Value: s}}
	given := chat.Invocation{Kind: chat.Submitted, Source: ref, Values: chat.Values{"value": canary, canary: ""}}
	for _, v := range []any{
		s, &s,
		hidden{s},
		chat.Exact{Label: "Password", Value: s},
		shown, ref, &ref, given, &given, given.Values,
		chat.Message{Blocks: shown},
		chat.Panel{Blocks: shown},
		chat.Home{Blocks: shown},
		chat.Form{Intro: shown},
		chat.Answer{Now: chat.Panel{Blocks: shown}, After: chat.Message{Blocks: shown}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %T prints it: %s", verb, v, out)
			}
		}
		if out, err := json.Marshal(v); err == nil && strings.Contains(string(out), canary) {
			t.Errorf("the JSON of %T holds it: %s", v, out)
		}
	}
	if s.Reveal() != canary || ref.Key() != canary {
		t.Error("it cannot be revealed")
	}
}
