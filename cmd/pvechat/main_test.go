package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func pvechat(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, func(string) (string, bool) { return "", false }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

const config = `
slack: {bot_token: xoxb-canary, app_token: xapp-canary, api_url: "http://127.0.0.1:9/api/"}
clusters:
  - {name: home, urls: ["https://127.0.0.1:9"], token_id: bot@pve!bot, token_secret: canary}
database: {url: "sqlite:pvechat.db"}
access:
  - {role: admin, slack: {users: [U1]}}
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWrongWordsAndWrongConfigExitTwo(t *testing.T) {
	for _, args := range [][]string{{"serve"}, {"migrate", "--status", "--repair"}, {"run", "--config", filepath.Join(t.TempDir(), "none.yaml")}, {"run", "-c", write(t, "slak: {}\n")}} {
		if code, _, stderr := pvechat(t, args...); code != exitUsage || stderr == "" {
			t.Errorf("pvechat %v: exit %d, said %q", args, code, stderr)
		}
	}
}

func TestVersionAndManifests(t *testing.T) {
	if code, out, _ := pvechat(t, "version"); code != 0 || !strings.HasPrefix(out, "pvechat ") {
		t.Errorf("version: %d %q", code, out)
	}
	if code, out, _ := pvechat(t, "manifest", "slack"); code != 0 || !strings.Contains(out, "command: /pve") {
		t.Errorf("slack: %d\n%s", code, out)
	}
	if code, out, _ := pvechat(t, "manifest", "slack", "--url", "https://chat.example"); code != 0 || !strings.Contains(out, "https://chat.example/slack/interactions") || !strings.Contains(out, "socket_mode_enabled: false") {
		t.Errorf("slack over HTTP: %d\n%s", code, out)
	}
	if code, _, stderr := pvechat(t, "manifest", "slack", "--url", "http://chat.example"); code == 0 || !strings.Contains(stderr, "https://") {
		t.Errorf("slack over HTTP in clear: %d %s", code, stderr)
	}
	code, out, _ := pvechat(t, "manifest", "discord")
	if code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, "credentials") {
		t.Errorf("discord: %d\n%s", code, out)
	}
}

// The daemon never links a simulator.
func TestTheDaemonLinksNoSimulator(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		for _, sim := range []string{"proxmoxtest", "slacktest", "discordtest", "guesttest", "sshdtest", "storagetest", "chromedp"} {
			if strings.Contains(line, sim) {
				t.Errorf("it links %s", line)
			}
		}
	}
}
