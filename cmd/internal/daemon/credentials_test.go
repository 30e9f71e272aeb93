package daemon_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// canary is a value that one person may see, and that nothing may keep.
const canary = "canary-5e1f-$&|"

// canaryCore is what of it no escape changes.
const canaryCore = "canary-5e1f"

// kept is what a bot leaves behind and tells everybody, by where it is. It reads
// the bot's HTTP server, so the bot still runs.
func kept(w *daemontest.World, log *chattest.Log) map[string]string {
	all := map[string]string{}
	_, all["the metrics"] = w.Get("/metrics")
	_, all["the health"] = w.Get("/readyz")
	for _, r := range w.PVE.Requests() {
		all["a request to Proxmox"] += r.Path + "?" + r.Form.Encode() + "\n"
	}
	all["the log"] = log.String()
	return all
}

// nowhere fails the test where the canary, or something by which others could
// answer in the bot's name, is anywhere but in what one person alone was shown.
// The bot has ended.
func nowhere(t *testing.T, w *daemontest.World, log *chattest.Log, kept map[string]string) {
	t.Helper()
	kept["the log"] = log.String()
	kept["the database"] = storagetest.Dump(t, w.Database)
	secrets := []string{canaryCore, "pve-secret", "xoxb-test", "xapp-test", "test-token"}
	shown := 0
	for _, r := range w.Slack.Requests() {
		switch {
		case r.Method == "response_url" && !strings.Contains(string(r.Body), "in_channel"):
			secrets = append(secrets, r.Path)
		case strings.HasPrefix(r.Method, "views."), r.Method == "chat.postEphemeral":
		default:
			kept["a message on Slack by "+r.Method] += string(r.Body)
			continue
		}
		shown += strings.Count(string(r.Body), canaryCore)
	}
	for _, r := range w.Discord.Requests() {
		token := tokenOf(r.Path)
		var answer struct {
			Type int // 4 makes a message, 9 opens a form
			Data struct{ Flags int }
		}
		if strings.Contains(r.Path, "/callback") {
			if err := json.Unmarshal(r.Body, &answer); err != nil {
				t.Fatal(err)
			}
		}
		if token == "" || answer.Type == 4 && answer.Data.Flags&64 == 0 {
			kept["a message on Discord by "+r.Route] += string(r.Body)
			continue
		}
		secrets = append(secrets, token)
		shown += strings.Count(string(r.Body), canaryCore)
	}
	if shown == 0 || len(secrets) < 6 {
		t.Fatalf("it was shown %d times, with %d secrets: this tests nothing", shown, len(secrets))
	}
	for _, secret := range secrets {
		for where, text := range kept {
			// Slack's own requests carry the bot's token, in the form or the header.
			if strings.HasPrefix(where, "a message") && strings.HasPrefix(secret, "x") {
				continue
			}
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %s", secret, where)
			}
		}
	}
}

func TestCredentialsAreSeenByOnePersonAndKeptNowhere(t *testing.T) {
	engines := storagetest.Engines(t)
	if testing.Short() {
		engines = engines[:1]
	}
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		for _, engine := range engines {
			t.Run(engine.Name, func(t *testing.T) { seenByOnePerson(t, on, engine) })
		}
	})
}

func seenByOnePerson(t *testing.T, on daemontest.Platform, engine storagetest.Engine) {
	log, guests := &chattest.Log{}, &guesttest.Server{Errorf: t.Errorf}
	t.Cleanup(func() { _ = guests.Close() })
	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, Addr: "10.0.0.101/24"})
	guests.Put(netip.MustParseAddr("10.0.0.101"), guesttest.Guest{Files: map[string]string{
		"/etc/pvechat/credentials/app":    "USER=admin\nPASSWORD=" + canary + "\n",
		"/etc/pvechat/credentials/db":     "PASSWORD=" + canary + "-db\n",
		"/etc/pvechat/credentials/tls":    `{"KEY": "` + canaryCore + `-1\n` + canaryCore + `-2"}`,
		"/etc/pvechat/credentials/broken": canary,
	}})
	w.Log, w.Guests, w.Keys, w.Database = log, guests, true, engine.URL(t)
	ana, ben := w.Person(on, "Ana", "operator"), w.Person(on, "Ben", "viewer")
	stop := w.Run()

	// revealed is what Ana alone sees, and hides again.
	revealed := func(s daemontest.Surface) {
		t.Helper()
		if !s.Private {
			t.Error("everybody sees it")
		}
		if n := ben.Count(canaryCore); n != 0 {
			t.Errorf("Ben sees it %d times", n)
		}
		s.Press("Hide")
		ana.Until("the values to go", func() bool { return ana.Count(canaryCore) == 0 })
	}
	ana.Command("credentials web")
	all := ana.Sees(canary, canary+"-db", "admin")
	if all.Offers("Open") { // what no message of Discord's shows exactly opens as a form
		all.Press("Open")
		ana.Until("the form", func() bool {
			s, ok := ana.Seen("KEY")
			return ok && s.Window
		})
	}
	revealed(all)

	ana.Command("credentials web db")
	one := ana.Sees(canary + "-db")
	if strings.Contains(one.Text, "admin") {
		t.Errorf("it shows more than the service:\n%s", one.Text)
	}
	revealed(one)

	ana.Command("credentials web broken")
	ana.Sees("Could not read the credentials of web", "Nothing was shown")

	ana.Command("show web")
	ana.Sees("10.0.0.101").Press("Show credentials")
	revealed(ana.Sees(canary, "admin"))

	ben.Command("credentials web")
	ben.Sees("Not allowed")

	var audit strings.Builder
	rows, err := w.DB().QueryContext(w.Patience(), `SELECT person_id, action, outcome, detail FROM audit ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var who, action, outcome, detail string
		if err := rows.Scan(&who, &action, &outcome, &detail); err != nil {
			t.Fatal(err)
		}
		audit.WriteString(strings.Join([]string{who, action, outcome, detail}, " ") + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		ana.ID + " credentials revealed all services", ana.ID + " credentials revealed db", ana.ID + " credentials failed", ben.ID + " credentials denied",
	} {
		if !strings.Contains(audit.String(), want) {
			t.Errorf("the audit lacks %q:\n%s", want, audit.String())
		}
	}
	everywhere := kept(w, log)
	stop()
	w.Correct()
	nowhere(t, w, log, everywhere)
}

// tokenOf is the interaction's token in a path of Discord's, if there is one.
func tokenOf(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if (p == "interactions" || p == "webhooks") && i+2 < len(parts) {
			token, _, _ := strings.Cut(parts[i+2], "?")
			return token
		}
	}
	return ""
}
