package slacktest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// TestTakesEveryScreen sends the payloads of the design, which Slack's own SDK
// models accept.
func TestTakesEveryScreen(t *testing.T) {
	files, _ := filepath.Glob("../../../../shared/screens/slack/*.json")
	if len(files) == 0 {
		t.Skip("no screens beside the repository")
	}
	for _, strict := range []bool{false, true} {
		s := workspace(t, slacktest.Options{StrictSize: strict})
		s.AddUser("U0ANA00001", "ana")
		s.AddChannel("C0PVEOPS001", "pve-ops", true, "U0ANA00001")
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var o object
				if err := json.Unmarshal(raw, &o); err != nil {
					t.Fatal(err)
				}
				method, args := "chat.postMessage", o
				switch {
				case o["type"] == "home":
					method, args = "views.publish", object{"user_id": "U0ANA00001", "view": o}
				case o["type"] == "modal":
					b := connect(t, s)
					done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), "U0ANA00001", "C0PVEOPS001", "") })
					e := b.next(nil)
					<-done
					_ = b.ws.Close()
					if err := s.Await(soon(t), "end of the connection", func() bool { return len(s.Connections()) == 0 }); err != nil {
						t.Fatal(err)
					}
					method, args = "views.open", object{"trigger_id": e["payload"].(object)["trigger_id"], "view": o}
				case o["user"] != nil:
					method = "chat.postEphemeral"
				}
				if r := call(t, s, method, args); !r.ok() {
					t.Errorf("%s: %v", method, r.object)
				}
			})
		}
	}
}
