package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what has to come; machines are slow.
const patience = time.Minute

// demo is the whole program, seen through its API.
type demo struct {
	t   *testing.T
	w   *world
	url string
}

// newDemo starts the bot and the simulators of the platforms that are named.
func newDemo(t *testing.T, platforms ...string) *demo {
	t.Helper()
	return newDemoOf(t, proxmoxtest.HomelabSize, platforms...)
}

// newDemoOf is newDemo with that many containers.
func newDemoOf(t *testing.T, containers int, platforms ...string) *demo {
	t.Helper()
	on := strings.Join(platforms, " ")
	every := time.Second
	if *screenshots != "" {
		every = usualEvery // it is to be read on the boards
	}
	w, err := newWorld(options{
		Slack: strings.Contains(on, "slack"), Discord: strings.Contains(on, "discord"), Containers: containers, Scale: 0.1, Every: every, Deadline: patience,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	page := httptest.NewServer(newServer(w))
	t.Cleanup(func() {
		page.CloseClientConnections()
		page.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the bot ended with %v", err)
		}
		w.Close()
	})
	d := &demo{t: t, w: w, url: page.URL}
	d.await("ana", "the bot to be there", func(s state) bool {
		return (s.Slack == nil || s.Slack.Connected) && (s.Discord == nil || s.Discord.Connected && len(s.Discord.Commands) > 0)
	})
	return d
}

// await watches a person's stream until what is seen there is good.
func (d *demo) await(who, what string, good func(state) bool) state {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/api/stream?person="+who, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatalf("waiting for %s: %v", what, err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	var last state
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			d.t.Fatalf("waiting for %s: %v\n%s", what, err, last.digest())
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		last = state{}
		if err := json.Unmarshal([]byte(data), &last); err != nil {
			d.t.Fatalf("the stream holds no state: %v", err)
		}
		if good(last) {
			return last
		}
	}
}

// digest is what there is to read, for a test that fails.
func (s state) digest() string {
	var b strings.Builder
	shorten := func(what string, raw json.RawMessage) {
		var words []string
		for _, m := range said.FindAllStringSubmatch(plain(raw), -1) {
			words = append(words, m[1])
		}
		fmt.Fprintf(&b, "%s: %.1500s\n", what, strings.Join(words, " | "))
	}
	if s.Slack != nil {
		for _, ch := range s.Slack.Channels {
			for _, m := range ch.Messages {
				shorten(ch.Name+" "+m.TS+" "+m.User, m.Blocks)
			}
		}
		for _, v := range s.Slack.Views {
			shorten("modal", v)
		}
	}
	if s.Discord != nil {
		for _, ch := range s.Discord.Channels {
			for _, m := range ch.Messages {
				shorten(fmt.Sprint(ch.Name, " ", m.ID, " private: ", m.Ephemeral), m.Components)
			}
		}
		if s.Discord.Modal != nil {
			shorten("form "+s.Discord.Modal.Title, s.Discord.Modal.Components)
		}
	}
	for _, t := range s.Proxmox.Tasks {
		if t.User == pveToken {
			fmt.Fprintf(&b, "task: %s %d %s\n", t.Type, t.VMID, t.Exit)
		}
	}
	return b.String()
}

var said = regexp.MustCompile(`"(?:text|content|label|placeholder)":"([^"]*)"`)

// now is what a person sees at this moment.
func (d *demo) now(who string) state {
	d.t.Helper()
	return d.await(who, "anything", func(state) bool { return true })
}

// post does something at the API, which must be possible.
func (d *demo) post(path string, body any) answer {
	d.t.Helper()
	status, raw := d.send(http.MethodPost, path, body, nil)
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || status != http.StatusOK {
		d.t.Fatalf("POST %s %s: %d %s", path, encode(body), status, raw)
	}
	return a
}

// send sends any request.
func (d *demo) send(method, path string, body any, header http.Header) (status int, raw []byte) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, bytes.NewReader(encode(body)))
	if err != nil {
		d.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, v := range header {
		req.Header[name] = v
	}
	if h := header.Get("Host"); h != "" {
		req.Host = h
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err = io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, raw
}

// sent lists what the bot made Proxmox do so far: "vzstart 120", oldest first.
func (d *demo) sent() []string {
	d.t.Helper()
	var list []string
	for _, t := range d.now("ana").Proxmox.Tasks {
		if t.User == pveToken {
			list = append([]string{t.Type + " " + strconv.Itoa(t.VMID)}, list...)
		}
	}
	return list
}

// plain is a payload with ordinary blanks.
func plain(raw json.RawMessage) string { return strings.ReplaceAll(string(raw), "\u00a0", " ") }

func TestOtherSitesAreRefused(t *testing.T) {
	d := newDemo(t, "slack")
	own := strings.TrimPrefix(d.url, "http://")
	for _, c := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"the page itself", http.Header{"Origin": {d.url}}, http.StatusOK},
		{"no page", nil, http.StatusOK},
		{"a page of another site", http.Header{"Origin": {"https://example.com"}}, http.StatusForbidden},
		{"a page of another program here", http.Header{"Origin": {"http://127.0.0.1:1"}}, http.StatusForbidden},
		{"a page without an address", http.Header{"Origin": {"null"}}, http.StatusForbidden},
		{"a foreign name that leads here", http.Header{"Host": {"example.com"}, "Origin": {"http://example.com"}}, http.StatusForbidden},
		{"this machine's name", http.Header{"Host": {"localhost:1"}}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/", "/api/hello", "/api/faults"} {
				if status, raw := d.send(http.MethodGet, path, nil, c.header); status != c.want {
					t.Errorf("%s at %s: %d, want %d: %.200s", path, own, status, c.want, raw)
				}
			}
		})
	}
	if status, _ := d.send(http.MethodPost, "/api/restart", struct{}{}, http.Header{"Content-Type": {"text/plain"}}); status != http.StatusUnsupportedMediaType {
		t.Errorf("a form of another site: %d", status)
	}
}

func TestAMistakeIsToldInASentence(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	for _, c := range []struct {
		path string
		body any
		want string
	}{
		{"/api/slack/command", map[string]any{"person": "eve"}, `there is no person`},
		{"/api/slack/command", map[string]any{"person": "ana", "channel": "C1"}, `not in channel`},
		{"/api/slack/click", map[string]any{"person": "ana", "at": map[string]any{"channel": places[0].slack, "ts": "1"}}, `sees no message`},
		{"/api/discord/command", map[string]any{"person": "ana", "channel": places[0].discord, "command": "fly"}, `no command /pve fly`},
		{"/api/discord/dismiss", map[string]any{"person": "ana", "channel": places[0].discord, "message": "1"}, `no private message`},
		{"/api/discord/submit", map[string]any{"person": "ana"}, `no form open`},
		{"/api/fault", map[string]any{"name": "flood"}, `no fault`},
		{"/api/fault", map[string]any{"name": "node", "on": true}, `needs one of the targets`},
		{"/api/fault", "x", `the body`},
	} {
		status, raw := d.send(http.MethodPost, c.path, c.body, nil)
		var wrong struct{ Error string }
		if err := json.Unmarshal(raw, &wrong); err != nil || status != http.StatusBadRequest || !strings.Contains(wrong.Error, c.want) {
			t.Errorf("%s %s: %d %s, want %q", c.path, encode(c.body), status, raw, c.want)
		}
	}
}

func TestRawRequestsHoldNoSecret(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	d.post("/api/slack/command", map[string]any{"person": "ana", "channel": places[0].slack, "text": "dashboard"})
	d.post("/api/discord/command", map[string]any{"person": "ana", "channel": places[0].discord, "command": "help"})
	s := d.await("ana", "a message in both", func(s state) bool {
		return len(s.Slack.Channels[0].Messages) > 0 && len(s.Discord.Channels[0].Messages) > 0
	})
	for _, c := range []struct{ platform, channel, id, method, path string }{
		{"slack", places[0].slack, s.Slack.Channels[0].Messages[0].TS, "POST", "/api/chat.postMessage"},
		{"discord", places[0].discord, s.Discord.Channels[0].Messages[0].ID, "POST", "/api/v9/interactions/"},
	} {
		_, raw := d.send(http.MethodGet, "/api/raw?platform="+c.platform+"&channel="+c.channel+"&id="+c.id, nil, nil)
		var list []rawRequest
		if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
			t.Fatalf("%s: %s", c.platform, raw)
		}
		first := list[len(list)-1]
		if first.Method != c.method || !strings.HasPrefix(first.Path, c.path) || first.Body == nil || first.Status/100 != 2 {
			t.Errorf("%s: %+v", c.platform, first)
		}
		for _, secret := range []string{"xoxb-", "xapp-", "test-token", "aW50ZXJhY3Rpb246"} { // the last begins every interaction's token
			if bytes.Contains(raw, []byte(secret)) {
				t.Errorf("%s: %s is in %s", c.platform, secret, raw)
			}
		}
	}
	if status, _ := d.send(http.MethodGet, "/api/raw?platform=teams&id=1", nil, nil); status != http.StatusNotFound {
		t.Errorf("an unknown platform: %d", status)
	}
}

// Whoever looks at the requests behind a message sees how it is made, and none
// of the values that it shows one person.
func TestRawRequestsHoldNoCredential(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	d.await("ana", "the first look at Proxmox", func(state) bool {
		ask := map[string]any{"person": "ana", "channel": places[0].discord, "command": "show", "option": "name", "typed": secretIn}
		return len(d.post("/api/discord/autocomplete", ask).Choices) > 0
	})
	d.post("/api/slack/command", map[string]any{"person": "ana", "channel": places[0].slack, "text": "credentials " + secretIn})
	d.post("/api/discord/command", map[string]any{"person": "ana", "channel": places[0].discord, "command": "credentials", "options": map[string]string{"name": secretIn}})
	var values []string
	for _, file := range d.w.secrets[secretIn] {
		for line := range strings.Lines(file) {
			if _, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && len(v) > 5 {
				values = append(values, v)
			}
		}
	}
	holds := func(text []byte) bool {
		return slices.ContainsFunc(values, func(v string) bool { return bytes.Contains(text, []byte(v)) })
	}
	var slack, discord string
	d.await("ana", "the values in both", func(s state) bool {
		for _, m := range s.Slack.Channels[0].Messages {
			if holds(m.Blocks) {
				slack = m.TS
			}
		}
		for _, m := range s.Discord.Channels[0].Messages {
			if holds(m.Components) {
				discord = m.ID
			}
		}
		return slack != "" && discord != ""
	})
	for _, at := range []string{"platform=slack&channel=" + places[0].slack + "&id=" + slack, "platform=discord&channel=" + places[0].discord + "&id=" + discord} {
		_, raw := d.send(http.MethodGet, "/api/raw?"+at, nil, nil)
		if !bytes.Contains(raw, []byte("PASSWORD")) || !bytes.Contains(raw, []byte("[redacted]")) {
			t.Errorf("it does not show how the message is made: %s", raw)
		}
		if holds(raw) {
			t.Errorf("it holds a value: %s", raw)
		}
	}
}

func TestFaultsGoAndCome(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	d.post("/api/slack/command", map[string]any{"person": "ana", "channel": places[0].slack, "text": "dashboard"})
	board := func(s state) string { return string(s.Slack.Channels[0].Messages[0].Blocks) }
	d.await("ana", "the board", func(s state) bool { return len(s.Slack.Channels[0].Messages) == 1 })
	faults := func() map[string]faultState {
		_, raw := d.send(http.MethodGet, "/api/faults", nil, nil)
		var list []faultState
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatal(err)
		}
		byName := map[string]faultState{}
		for _, f := range list {
			byName[f.Name] = f
		}
		return byName
	}
	for name, target := range map[string]string{"node": "pve2", "slow": "", "unreachable": "", "slack-limit": "", "discord-limit": ""} {
		if faults()[name].On {
			t.Errorf("%s is on before anybody asked", name)
		}
		d.post("/api/fault", switching{name, true, target})
		d.post("/api/fault", switching{name, true, target}) // twice is once
		if f := faults()[name]; !f.On || target != "" && f.Active[0] != target {
			t.Errorf("%s does not say that it is on: %+v", name, f)
		}
		d.post("/api/fault", switching{name, false, target})
		if faults()[name].On {
			t.Errorf("%s stays on", name)
		}
	}

	d.post("/api/fault", switching{"unreachable", true, ""})
	d.await("ana", "a board that says that it is old", func(s state) bool { return strings.Contains(board(s), "was running") })
	d.post("/api/fault", switching{"unreachable", false, ""})
	d.await("ana", "a fresh board", func(s state) bool { return !strings.Contains(board(s), "was running") })

	d.post("/api/fault", switching{"node", true, "pve2"})
	s := d.await("ana", "the node to be away", func(s state) bool { return !s.Proxmox.Nodes[1].Online })
	for _, c := range s.Proxmox.Containers {
		if c.Node == "pve2" && c.Status != "unknown" {
			t.Errorf("%s on a node that is down is %s", c.Name, c.Status)
		}
	}
}

func TestARestartKeepsTheBoards(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	d.post("/api/slack/command", map[string]any{"person": "ana", "channel": places[0].slack, "text": "dashboard"})
	d.post("/api/discord/command", map[string]any{"person": "ana", "channel": places[0].discord, "command": "dashboard"})
	runs := func(n int) {
		t.Helper()
		d.await("ben", fmt.Sprint("both boards to say ", n), func(s state) bool {
			a, b := s.Slack.Channels[0].Messages, s.Discord.Channels[0].Messages
			return len(a) > 0 && strings.Contains(plain(a[0].Blocks), fmt.Sprintf("*%d* running", n)) &&
				len(b) > 0 && strings.Contains(plain(b[0].Components), fmt.Sprintf("**%d** running", n))
		})
	}
	dies := func(vmid int) { d.w.pve.Update(vmid, func(c *proxmoxtest.Container) { c.Running = false }) }
	runs(17)
	dies(104)
	runs(16)
	d.post("/api/restart", struct{}{})
	dies(105)
	runs(15)
	s := d.now("ben")
	if n, m := len(s.Slack.Channels[0].Messages), len(s.Discord.Channels[0].Messages); n != 1 || m != 1 {
		t.Errorf("%d and %d messages, want the one board each", n, m)
	}
}

func TestDiscordSuggestsAndDismisses(t *testing.T) {
	d := newDemo(t, "discord")
	ask := map[string]any{"person": "ben", "channel": places[0].discord, "command": "show", "option": "name", "typed": "a"}
	d.await("ben", "the first look at Proxmox", func(state) bool {
		return len(d.post("/api/discord/autocomplete", ask).Choices) > 0
	})
	for _, c := range d.post("/api/discord/autocomplete", ask).Choices {
		if strings.Contains(c.Name, "grafana") {
			t.Error("Ben is shown a container that he has no right to see")
		}
	}
	d.post("/api/discord/command", map[string]any{"person": "ben", "channel": places[0].discord, "command": "help"})
	s := d.await("ben", "a private answer", func(s state) bool { return len(s.Discord.Channels[0].Messages) == 1 })
	m := s.Discord.Channels[0].Messages[0]
	if !m.Ephemeral || len(d.now("ana").Discord.Channels[0].Messages) != 0 {
		t.Error("the answer is public")
	}
	d.post("/api/discord/dismiss", map[string]any{"person": "ben", "channel": places[0].discord, "message": m.ID})
	d.await("ben", "it to go", func(s state) bool { return len(s.Discord.Channels[0].Messages) == 0 })
}
