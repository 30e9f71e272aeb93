package daemon_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// canary is a value that one person may see, and that nothing may keep.
const canary = "canary-5e1f-$&|"

// canaryCore is what of it no escape changes.
const canaryCore = "canary-5e1f"

func TestCredentialsAreSeenByOnePersonAndKeptNowhere(t *testing.T) {
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		log, guests := &chattest.Log{}, &guesttest.Server{Errorf: t.Errorf}
		t.Cleanup(func() { _ = guests.Close() })
		w := daemontest.New(t, proxmoxtest.Options{})
		w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true, Addr: "10.0.0.101/24"})
		guests.Put(netip.MustParseAddr("10.0.0.101"), guesttest.Guest{Files: map[string]string{
			"/etc/pvechat/credentials/app": "USER=admin\nPASSWORD=" + canary + "\n",
			"/etc/pvechat/credentials/db":  "PASSWORD=" + canary + "-db\n",
		}})
		w.Log, w.Guests = log, guests
		ana, ben := w.Person(on, "Ana", "operator"), w.Person(on, "Ben", "viewer")
		stop := w.Run()

		hide := func(s daemontest.Surface) {
			t.Helper()
			s.Press("Hide")
			ana.Until("the values to go", func() bool { return ana.Count(canaryCore) == 0 })
		}
		ana.Command("credentials web")
		typed := ana.Sees(canary, canary+"-db", "admin")
		if !typed.Private {
			t.Error("everybody sees it")
		}
		hide(typed)

		ana.Command("credentials web db")
		one := ana.Sees(canary + "-db")
		if strings.Contains(one.Text, "admin") {
			t.Errorf("it shows more than the service:\n%s", one.Text)
		}
		hide(one)

		ana.Command("show web")
		ana.Sees("10.0.0.101").Press("Show credentials")
		hide(ana.Sees(canary, "admin"))

		ben.Command("credentials web")
		ben.Sees("Not allowed")
		if n := ben.Count(canaryCore); n != 0 {
			t.Errorf("Ben sees it %d times", n)
		}

		_, metrics := w.Get("/metrics")
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
			ana.ID + " credentials revealed all services", ana.ID + " credentials revealed db", ben.ID + " credentials denied",
		} {
			if !strings.Contains(audit.String(), want) {
				t.Errorf("the audit lacks %q:\n%s", want, audit.String())
			}
		}
		stop()
		w.Correct()

		kept := map[string]string{"the log": log.String(), "the metrics": metrics, "the audit": audit.String()}
		files, err := filepath.Glob(strings.TrimPrefix(w.Database, "sqlite:") + "*")
		if err != nil || len(files) == 0 {
			t.Fatalf("no database: %v", err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			kept[filepath.Base(file)] = string(raw)
		}
		for _, r := range w.PVE.Requests() {
			kept["a request to Proxmox"] += r.Path + "?" + r.Form.Encode() + "\n"
		}
		secrets := []string{canaryCore, "pve-secret", "xoxb-test", "xapp-test", "test-token"}
		shown := 0
		for _, r := range w.Slack.Requests() {
			switch {
			case r.Method == "response_url":
				secrets = append(secrets, r.Path)
			case strings.HasPrefix(r.Method, "views."):
			default:
				kept["a message on Slack by "+r.Method] += string(r.Body)
				continue
			}
			shown += strings.Count(string(r.Body), canaryCore)
		}
		for _, r := range w.Discord.Requests() {
			token := tokenOf(r.Path)
			if token == "" {
				kept["a message on Discord by "+r.Route] += string(r.Body)
				continue
			}
			secrets = append(secrets, token)
			shown += strings.Count(string(r.Body), canaryCore)
		}
		if shown != 5 { // both, one, and both again
			t.Errorf("it was sent %d times", shown)
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
	})
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
