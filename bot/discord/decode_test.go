package discord

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/chat"
)

const interactionToken = "aW50ZXJhY3Rpb246dG9rZW4"

var (
	ana       = chat.Person{Platform: chat.Discord, ID: "1000000000000000001", Name: "Ana", Groups: []string{"2000000000000000002"}}
	anaDirect = chat.Person{Platform: chat.Discord, ID: "1000000000000000001", Name: "Ana"}
	onMessage = chat.Ref{Platform: chat.Discord, Kind: chat.MessageRef, Channel: "5000000000000000005", ID: "8000000000000000001"}
)

// guildInteraction is the shape of an interaction in a guild, with what differs.
func guildInteraction(kind int, message, data string) string {
	return fmt.Sprintf(`{"id":"6000000000000000001","application_id":"3000000000000000003","type":%d,"token":%q,"version":1,
		"guild_id":"4000000000000000004","channel_id":"5000000000000000005","channel":{"id":"5000000000000000005","type":0},
		"member":{"user":{"id":"1000000000000000001","username":"ana","global_name":"Ana"},"nick":null,"roles":["2000000000000000002"]},
		"app_permissions":"2248473465835073","context":0,"message":%s,"data":%s}`, kind, interactionToken, message, data)
}

const (
	publicMessage  = `{"id":"8000000000000000001","flags":32768,"components":[{"type":99}]}`
	privateMessage = `{"id":"8000000000000000001","flags":32832,"components":[]}`
)

func TestWhatPeopleDoIsUnderstood(t *testing.T) {
	now := time.Unix(1795444325, 0)
	base := chat.Invocation{
		ID: "6000000000000000001", Person: ana, Channel: "5000000000000000005", At: now, CanExpire: true,
		Space: chat.Space{Board: 8, Panel: 8, Jump: 25, Events: 6, Pictures: true},
	}
	with := func(change func(*chat.Invocation)) chat.Invocation {
		inv := base
		change(&inv)
		return inv
	}
	private := onMessage
	private.Kind, private.Until = chat.PrivateRef, now.Add(tokenLife)

	for name, tt := range map[string]struct {
		raw  string
		want chat.Invocation
	}{
		"a command with an option": {
			guildInteraction(2, "null", `{"name":"pve","type":1,"options":[{"name":"show","type":1,"options":[{"name":"name","type":3,"value":"gitea"}]}]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Command, i.Options = chat.Typed, "show", map[string]string{"name": "gitea"}
			}),
		},
		"a command with an option that is no text": {
			guildInteraction(2, "null", `{"name":"pve","type":1,"options":[{"name":"show","type":1,"options":[{"name":"page","type":4,"value":12},{"name":"all","type":5,"value":true}]}]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Command, i.Options = chat.Typed, "show", map[string]string{"page": "12", "all": "true"}
			}),
		},
		"a command in a direct message": {
			`{"id":"6000000000000000001","type":2,"token":"x","channel_id":"5000000000000000005","context":1,
			  "user":{"id":"1000000000000000001","username":"ana","global_name":"Ana"},"data":{"name":"pve","options":[{"name":"help","type":1,"options":[]}]}}`,
			with(func(i *chat.Invocation) {
				i.Kind, i.Command, i.Options, i.Person, i.Direct = chat.Typed, "help", map[string]string{}, anaDirect, true
			}),
		},
		"a command that is still being typed": {
			guildInteraction(4, "null", `{"name":"pve","type":1,"options":[{"name":"show","type":1,"options":[{"name":"name","type":3,"value":"git","focused":true}]}]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Command, i.Options, i.Action, i.Value = chat.Typed, "show", map[string]string{"name": "git"}, "name", "git"
			}),
		},
		"a button on a public message": {
			guildInteraction(3, publicMessage, `{"custom_id":"ct:7f3k2:stop","component_type":2}`),
			with(func(i *chat.Invocation) { i.Kind, i.Action, i.Source = chat.Pressed, "ct:7f3k2:stop", onMessage }),
		},
		"a button on a private message, with state": {
			guildInteraction(3, privateMessage, `{"custom_id":"board:more~2|stopped.3","component_type":2}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Action, i.State, i.Source, i.InPanel = chat.Pressed, "board:more", "stopped.3", private, true
			}),
		},
		"a choice": {
			guildInteraction(3, publicMessage, `{"custom_id":"board:filter","component_type":3,"values":["filter:stopped"]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Action, i.Value, i.Source = chat.Pressed, "board:filter", "filter:stopped", onMessage
			}),
		},
		"a form from a private message": {
			guildInteraction(5, privateMessage, `{"custom_id":"ct:7f3k2:delete:c_1","components":[
				{"type":1,"components":[{"type":4,"custom_id":"name","value":"gitea"}]},
				{"type":18,"component":{"type":4,"custom_id":"why","value":""}}]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Action, i.Source, i.InPanel = chat.Submitted, "ct:7f3k2:delete:c_1", private, true
				i.Values = map[string]string{"name": "gitea", "why": ""}
			}),
		},
		"a form from a command": {
			guildInteraction(5, "null", `{"custom_id":"w:1:edit","components":[]}`),
			with(func(i *chat.Invocation) {
				i.Kind, i.Action, i.Values = chat.Submitted, "w:1:edit", map[string]string{}
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := decode(json.RawMessage(tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			got := in.invocation(now, (&Adapter{}).Space())
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(chat.Ref{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if got.Source.Kind == chat.PrivateRef && got.Source.Key() == "" {
				t.Error("the private message cannot be reached")
			}
			if got.Source.Kind == chat.MessageRef && !got.Source.Storable() {
				t.Error("the public message's Ref cannot be stored")
			}
		})
	}
}

func TestTheNameIsTheOneThatPeopleSee(t *testing.T) {
	for want, who := range map[string]string{
		"Ana at work": `"member":{"nick":"Ana at work","user":{"id":"1","username":"ana","global_name":"Ana"}}`,
		"Ana":         `"member":{"nick":null,"user":{"id":"1","username":"ana","global_name":"Ana"}}`,
		"ana":         `"user":{"id":"1","username":"ana","global_name":null}`,
	} {
		in, err := decode(json.RawMessage(`{"id":"1","type":2,"token":"t",` + who + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := in.person().Name; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestWhatIsNoInteractionIsRefused(t *testing.T) {
	for _, raw := range []string{``, `null`, `[]`, `{"id":"1"}`, `{"id":"x","token":"t"}`, `{"id":1,"token":"t"}`} {
		if _, err := decode(json.RawMessage(raw)); err == nil {
			t.Errorf("%q was taken", raw)
		}
	}
}

func TestABotThatCannotSeeTheChannelKnowsIt(t *testing.T) {
	for permissions, want := range map[string]bool{"2248473465835073": false, "2248473465834049": true, "0": true, "": false, "x": false} {
		in := interaction{Guild: "4", Permissions: permissions}
		if got := in.blind(); got != want {
			t.Errorf("%q: blind is %v", permissions, got)
		}
		in.Guild = ""
		if in.blind() {
			t.Errorf("%q: blind in a direct message", permissions)
		}
	}
}

func TestRecordedInteractionsAreRead(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "reference", "payloads", "discord", "interaction.*.json"))
	if len(files) == 0 {
		t.Skip("the shared payloads are not here")
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			var frame struct {
				Data json.RawMessage `json:"d"`
			}
			if err := json.Unmarshal(raw, &frame); err != nil {
				t.Fatal(err)
			}
			in, err := decode(frame.Data)
			if err != nil {
				t.Fatal(err)
			}
			inv := in.invocation(time.Now(), chat.Space{})
			if inv.Kind == 0 || inv.Person.ID != ana.ID || inv.Person.Name != "Ana" || inv.Channel == "" {
				t.Errorf("got %+v", inv)
			}
			if inv.Direct == (in.Guild != "") {
				t.Errorf("Direct is %v in guild %q", inv.Direct, in.Guild)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(guildInteraction(3, privateMessage, `{"custom_id":"a~2|b","values":["x"]}`))
	f.Add(guildInteraction(5, "null", `{"custom_id":"a","components":[{"component":{"components":[]}}]}`))
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := decode(json.RawMessage(raw))
		if err != nil {
			return
		}
		in.invocation(time.Unix(0, 0), chat.Space{})
	})
}
