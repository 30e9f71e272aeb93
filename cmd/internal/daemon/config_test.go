package daemon_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"github.com/pvechat/pvechat/bot/yamlfile"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

func none(string) (string, bool) { return "", false }

func parse(t *testing.T, text string, env map[string]string) (daemon.Config, *yamlfile.Error) {
	t.Helper()
	cfg, err := daemon.Parse(filepath.Join(t.TempDir(), "c.yaml"), []byte(text), func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	var wrong *yamlfile.Error
	if err != nil && !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	return cfg, wrong
}

const good = `slack: {bot_token: xoxb-canary, app_token: xapp-canary}
clusters:
  - {name: home, urls: ["https://pve:8006"], token_id: a@pve!b, token_secret: canary}
database: {url: "sqlite:x.db"}
access:
  - {role: admin, slack: {users: [U1]}}
`

func TestAGoodConfigHasDefaults(t *testing.T) {
	cfg, wrong := parse(t, good, nil)
	if wrong != nil {
		t.Fatal(wrong)
	}
	if cfg.Every().String() != "30s" || cfg.Slack.APIURL != "https://slack.com/api/" || !cfg.AutoMigrate() {
		t.Errorf("defaults: %v %v %v", cfg.Every(), cfg.Slack.APIURL, cfg.AutoMigrate())
	}
}

func TestEveryProblemIsNamedAtOnceWithLineAndKeyAndNoSecret(t *testing.T) {
	_, wrong := parse(t, `slack:
  bot_tokn: xoxb-canary
  bot_token: [canary]
clusters:
  - name: "ho me"
    urls: ["http://pve:8006"]
    token_id: nobody
refresh: {every: canary}
database: {url: "mysql://u:canary@h/d"}
access:
  - {role: king, slack: {users: [U1]}, containers: ["colour:red"]}
`, nil)
	if wrong == nil {
		t.Fatal("it was taken")
	}
	text := wrong.Error()
	for _, want := range []string{
		":2: there is no key bot_tokn", ":3:", ":5: clusters[0].name", ":6: clusters[0].urls[0]", ":7: clusters[0].token_id", ":8: refresh.every",
		":9: database.url", `role "king"`, `"colour:red" picks nothing`, "token_secret is missing", "app_token is missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(strings.ReplaceAll(text, `"canary" is no duration`, ""), "canary") {
		t.Errorf("it prints a secret:\n%s", text)
	}
}

// Each line has one thing wrong with it; all are told at once, by line and key.
func TestTheSettingsOfBothPlatformsAndOfClustersAreHeldAgainstTheirForm(t *testing.T) {
	lines := []struct{ text, want string }{
		{"log: {level: loud, format: xml}", `log.level: "loud" is none of`},
		{"slack:", "slack.bot_token is missing"},
		{"  mode: http", "slack.mode: http needs http.listen"},
		{"  app_token_file: no-such-file", "app_token_file: no-such-file cannot be read"},
		{"  api_url: slack.com", "slack.api_url: it is no address"},
		{"discord:", "discord.bot_token is missing"},
		{"  mode: pigeon", `discord.mode: "pigeon" is none of gateway, http`},
		{"  application_id: pvechat", "discord.application_id: it is no number"},
		{"  guild_ids: [ops]", `discord.guild_ids[0]: "ops" is no number`},
		{"  api_url: discord.com", "discord.api_url: it is no address"},
		{"clusters:", ""},
		{"  - name: home", "clusters[0].token_secret is missing"},
		{"    urls: []", "clusters[0].urls: an address"},
		{"    token_id: bot@pve!x", ""},
		{"    ca_file: no-such-file", "clusters[0].ca_file:"},
		{"    fingerprints: [AA:BB]", "clusters[0].fingerprints[0]: it is no SHA-256 fingerprint"},
		{"    ssh: {port: 99999, key_file: no-such-file}", "clusters[0].ssh.port: it is no port"},
		{"  - {name: home, urls: [\"https://x\"], token_id: bot@pve!x, token_secret: x}", "clusters[1].name: there are two clusters home"},
		{"database: {url: \"\"}", "database.url is missing"},
		{"refresh: {every: 1ms, services: soon}", "refresh.every: it must be 1s or more"},
		{"http: {listen: \"\"}", ""},
		{"access: [{role: admin, slack: {users: [U1]}}]", ""},
		{"colour: red", "there is no key colour"},
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text + "\n")
	}
	_, wrong := parse(t, text.String(), nil)
	if wrong == nil {
		t.Fatal("it was taken")
	}
	for i, l := range lines {
		if l.want != "" && !slices.ContainsFunc(wrong.Problems, func(p yamlfile.Problem) bool { return p.Line == i+1 && strings.Contains(p.Text, l.want) }) {
			t.Errorf("line %d, %s: it does not say %q", i+1, l.text, l.want)
		}
	}
	for _, more := range []string{"log.format", "refresh.services", "exclude each other", "clusters[0].ssh.key_file"} {
		if !strings.Contains(wrong.Error(), more) {
			t.Errorf("it does not name %s", more)
		}
	}
	if t.Failed() {
		t.Log(wrong)
	}
}

func TestModeHTTPNeedsItsKeysAndAnAddress(t *testing.T) {
	const called = `slack: {mode: http, bot_token: x, signing_secret: canary}
discord: {mode: http, bot_token: x, application_id: "1", public_key: "` + "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" + `"}
clusters:
  - {name: home, urls: ["https://pve:8006"], token_id: a@pve!b, token_secret: canary}
database: {url: "sqlite:x.db"}
http: {listen: "127.0.0.1:0"}
`
	if _, wrong := parse(t, called, nil); wrong != nil {
		t.Error(wrong)
	}
	for old, c := range map[string]struct{ now, line, want string }{
		"signing_secret: canary": {"app_token: canary", ":1:", "slack.signing_secret is missing"},
		"3d4017":                 {"canary", ":2:", "discord.public_key"},
		"slack: {mode: http":     {"slack: {mode: pigeon", ":1:", `slack.mode: "pigeon" is none of socket, http`},
		"127.0.0.1:0":            {"", ":2:", "discord.mode: http needs http.listen"},
		"127.0.0.1":              {"1:2:3", ":6:", "http.listen"},
	} {
		_, wrong := parse(t, strings.Replace(called, old, c.now, 1), nil)
		if wrong == nil || !strings.Contains(wrong.Error(), c.line+" "+c.want) || strings.Contains(wrong.Error(), "canary") {
			t.Errorf("%s for %s: %v", c.now, old, wrong)
		}
	}
}

func TestWhatStandsInTheWrongPlaceIsNamed(t *testing.T) {
	const text = `slack: {bot_token: xapp-canary, app_token: x}
discord: {application_id: "1", bot_token: "Bot canary", api_url: "https://discord.com/api"}
clusters:
  - {name: home, urls: ["https://pve:8006", "https://pve:8006/api2"], token_id: a@pve!b, token_secret: canary}
database: {url: "sqlite:x.db"}
access: [{role: admin, slack: {users: [U1]}}]
`
	_, wrong := parse(t, text, nil)
	if wrong == nil || len(wrong.Problems) != 4 || strings.Contains(wrong.Error(), "canary") {
		t.Fatal(wrong)
	}
	for _, want := range []string{
		":1: slack.bot_token is an app token", ":2: discord.bot_token: write it without", ":2: discord.api_url: write https://", ":4: clusters[0].urls[1]: write https://",
	} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("it does not say %q:\n%v", want, wrong)
		}
	}
	_, wrong = parse(t, strings.Replace(text, "xapp-canary, app_token: x", "x, app_token: xoxb-canary", 1), nil)
	if wrong == nil || !strings.Contains(wrong.Error(), ":1: slack.app_token is a bot token") {
		t.Error(wrong)
	}
}

func TestOfWhatIsNoYAMLThatAloneIsTold(t *testing.T) {
	_, wrong := parse(t, "slack: {bot_token: xoxb-canary\n  mode socket", nil)
	if wrong == nil || len(wrong.Problems) != 1 || wrong.Problems[0].Line == 0 || strings.Contains(wrong.Error(), "canary") {
		t.Error(wrong)
	}
}

func TestAConfigurationWithSecretsThatEverybodyCanUseIsNoted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"with":    good,
		"without": strings.NewReplacer("bot_token: xoxb-canary", "bot_token_file: bot", "app_token: xapp-canary", "app_token_file: app", "token_secret: canary", "token_secret_file: bot").Replace(good),
	} {
		for mode, open := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
			for file, text := range map[string]string{"config.yaml": text, "bot": "xoxb-canary", "app": "xapp-canary"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "config.yaml")
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			cfg, err := daemon.Load(file, none)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if open && name == "with" {
				want = file
			}
			if cfg.Exposed != want {
				t.Errorf("%s a secret, mode %o: %q", name, mode, cfg.Exposed)
			}
		}
	}
}

func TestASecretStandsInOnePlace(t *testing.T) {
	text := strings.Replace(good, "bot_token: xoxb-canary, ", "", 1)
	cfg, wrong := parse(t, text, map[string]string{"PVECHAT_SLACK_BOT_TOKEN": "xoxb-env"})
	if wrong != nil || string(cfg.Slack.BotToken) != "xoxb-env" {
		t.Errorf("from the environment: %v, %v", wrong, string(cfg.Slack.BotToken))
	}
	_, wrong = parse(t, good, map[string]string{"PVECHAT_CLUSTERS_HOME_TOKEN_SECRET": "other"})
	if wrong == nil || !strings.Contains(wrong.Error(), "several places") {
		t.Errorf("two places: %v", wrong)
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("xoxb-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, wrong = parse(t, strings.Replace(good, "bot_token: xoxb-canary", "bot_token_file: "+file, 1), nil)
	if wrong != nil || string(cfg.Slack.BotToken) != "xoxb-file" {
		t.Errorf("from a file: %v, %v", wrong, string(cfg.Slack.BotToken))
	}
	for mode, fine := range map[os.FileMode]bool{0o400: true, 0o640: true, 0o644: false, 0o604: false, 0o602: false} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, wrong = parse(t, strings.Replace(good, "bot_token: xoxb-canary", "bot_token_file: "+file, 1), nil)
		if (wrong == nil) != fine || !fine && (!strings.Contains(wrong.Error(), "chmod o= "+file) || strings.Contains(wrong.Error(), "xoxb-file")) {
			t.Errorf("mode %o: %v", mode, wrong)
		}
	}
}

// The example is parsed, and holds every key that there is, in use or in a
// comment.
func TestTheExampleNamesEveryKey(t *testing.T) {
	file := filepath.Join("..", "..", "..", "config.example.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cfg daemon.Config
	if err := yaml.Load(data, &cfg, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	_, err = daemon.Parse(file, data, none)
	var wrong *yamlfile.Error
	if errors.As(err, &wrong) {
		for _, p := range wrong.Problems {
			if !strings.Contains(p.Text, "cannot be read") && !strings.Contains(p.Text, "is missing") { // its secrets are not here
				t.Errorf("line %d: %s", p.Line, p.Text)
			}
		}
	}
	for _, key := range keys(reflect.TypeFor[daemon.Config]()) {
		if !strings.Contains(string(data), key+":") {
			t.Errorf("it does not show %s", key)
		}
	}
}

func keys(t reflect.Type) []string {
	var all []string
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("yaml") == "-" {
			continue // no file sets it
		}
		all = append(all, f.Tag.Get("yaml"))
		all = append(all, keys(f.Type)...)
	}
	return all
}

func TestRulesThatMakeNoSenseAreNamed(t *testing.T) {
	_, wrong := parse(t, strings.Replace(good, "access:\n", `roles:
  viewer: [view]
  empty: []
  blind: [operate]
  flying: [view, fly]
  night: [view, operate]
access:
  - {role: night, slack: {users: [U1]}}
  - {role: blind, slack: {users: [ana]}}
  - {role: viewer, slack: {groups: [""]}}
  - {role: viewer, discord: {roles: [ops]}}
  - {role: viewer, slack: {users: [U1]}, containers: []}
  - {role: viewer, slack: {users: [U1]}, containers: ["cluster:hom", "node:hom/pve1", "vmid:home/x"]}
  - {role: viewer}
`, 1), nil)
	if wrong == nil {
		t.Fatal("it was taken")
	}
	text := wrong.Error()
	for _, want := range []string{
		`role "viewer" exists already`, `role "empty" is empty`, `role "blind" lacks view`, `"fly" is no permission`,
		`access[1].role: there is no role "blind"`, `access[1].slack.users[0]: "ana" is no id`, `access[2].slack.groups[0]: "" is no id`,
		`access[3].discord.roles[0]: "ops" is no id`, `access[4].containers: it is empty`, `there is no cluster hom`,
		`"vmid:home/x": a VMID is a number`, `access[6]: it names nobody`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "access[0]") {
		t.Errorf("a good rule is named:\n%s", text)
	}
}

func TestAlertsThatMakeNoSenseAreNamed(t *testing.T) {
	_, wrong := parse(t, good+`audit: {keep_days: -1}
alerts:
  cpu: 120
  for: soon
  routes:
    - {slack: C1}
    - {severity: loud, slack: C1}
    - {tags: [web]}
`, nil)
	if wrong == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"audit.keep_days: it must be 0 or more", "alerts.cpu: a percentage", `alerts.for: "soon" is no duration`,
		"alerts.routes[0]: it fits everything", `alerts.routes[1].severity: "loud"`, "alerts.routes[2]: it leads nowhere",
	} {
		if !strings.Contains(wrong.Error(), want) {
			t.Errorf("it does not say %q:\n%s", want, wrong)
		}
	}
}
