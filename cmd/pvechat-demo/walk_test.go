package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// hands are how a person acts: through the API, or on the page.
type hands interface {
	be(who string)
	say(command string)           // what follows "/pve", in the channel servers
	press(c control, yes ...bool) // a button or an option; yes answers the control's own question
	fill(view string, values map[string]string)
	shut(view string)
	sees(text string) // fails unless the screen shows it
	// picture is one of the screen, where there is one; from the top of a
	// message, where its id is given.
	picture(name string, message ...string)
}

// control is something to press.
type control struct {
	message string // it is in this one, in the channel servers
	view    string // or in this modal
	block   string
	action  string
	value   string // of an option
	words   string // on it
	near    string // the text that it stands beside
}

// walk is one person after another doing what the bot is for.
type walk struct {
	*demo
	hands
	t   *testing.T
	who string
}

func (w *walk) be(who string) {
	w.who = who
	w.hands.be(who)
}

// until waits until the person has before them what good finds.
func until[T any](w *walk, what string, good func(state) (T, bool)) T {
	w.t.Helper()
	var found T
	w.await(w.who, w.who+" to see "+what, func(s state) bool {
		var ok bool
		found, ok = good(s)
		return ok
	})
	return found
}

// task waits for the end of a task that the bot started in Proxmox.
func (w *walk) task(kind string, vmid int) {
	w.t.Helper()
	w.await(w.who, fmt.Sprint(kind, " of ", vmid), func(s state) bool {
		return slices.ContainsFunc(s.Proxmox.Tasks, func(t pveTask) bool {
			return t.Type == kind && t.VMID == vmid && t.User == pveToken && t.End != nil && t.Exit == "OK"
		})
	})
}

// did fails unless the bot started exactly these tasks so far.
func (w *walk) did(want ...string) {
	w.t.Helper()
	if got := w.sent(); !slices.Equal(got, want) {
		w.t.Fatalf("the bot started the tasks %q, want %q", got, want)
	}
}

// counts is what a summary must say of Proxmox.
func (w *walk) counts() (total, running, stopped int) {
	for _, c := range w.now(w.who).Proxmox.Containers {
		total++
		switch {
		case c.Lock == "create":
		case c.Status == "running":
			running++
		case c.Status == "stopped":
			stopped++
		}
	}
	return total, running, stopped
}

// plainName is a name that no platform has to escape or cut.
var plainName = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// What the walk is about.
const (
	stopMe   = "grafana" // which is deleted later
	stopVMID = 104
	startMe  = "minecraft"
	startID  = 120
	secretIn = "nextcloud"
)

func TestWalkThroughTheAPI(t *testing.T) {
	t.Run("slack", func(t *testing.T) {
		d := newDemo(t, "slack")
		walkSlack(&walk{demo: d, t: t, hands: &slackAPI{demo: d}})
	})
	t.Run("discord", func(t *testing.T) {
		d := newDemo(t, "discord")
		walkDiscord(&walk{demo: d, t: t, hands: &discordAPI{demo: d}})
	})
}

func walkSlack(w *walk) {
	w.be("ana")
	servers := func(s state) []slackMessage { return s.Slack.Channels[0].Messages }
	message := func(text string, private bool) slackMessage {
		w.t.Helper()
		return until(w, text, func(s state) (slackMessage, bool) {
			for _, m := range slices.Backward(servers(s)) {
				if m.Ephemeral == private && strings.Contains(plain(m.Blocks), text) {
					return m, true
				}
			}
			return slackMessage{}, false
		})
	}
	inMessage := func(m slackMessage, near, words string) control {
		w.t.Helper()
		c := find(w.t, slackControls(m.Blocks), near, words)
		c.message = m.TS
		return c
	}
	modal := func(text string) json.RawMessage {
		w.t.Helper()
		return until(w, "a modal with "+text, func(s state) (json.RawMessage, bool) {
			if n := len(s.Slack.Views); n > 0 && strings.Contains(plain(s.Slack.Views[n-1]), text) {
				return s.Slack.Views[n-1], true
			}
			return nil, false
		})
	}
	inModal := func(raw json.RawMessage, near, words string) control {
		w.t.Helper()
		c := find(w.t, slackControls(raw), near, words)
		c.view = idOf(raw)
		return c
	}
	shut := func() {
		w.t.Helper()
		for {
			views := w.now(w.who).Slack.Views
			if len(views) == 0 {
				return
			}
			w.shut(idOf(views[len(views)-1]))
			until(w, "the modal to close", func(s state) (any, bool) { return nil, len(s.Slack.Views) < len(views) })
		}
	}

	// The dashboard is one message for everybody, and says what Proxmox says.
	w.say("dashboard")
	total, running, stopped := w.counts()
	board := message(fmt.Sprintf("*%d* total · 🟢 *%d* running · ⏹️ *%d* stopped", total, running, stopped), false)
	w.sees(fmt.Sprintf("%d running", running))
	w.picture("dashboard", board.TS)

	// The filter opens Ana's own view; the board stays.
	w.press(inMessage(board, "", "Stopped"))
	own := modal("*Showing: Stopped*")
	for _, c := range w.now("ana").Proxmox.Containers {
		shown := strings.Contains(string(own), "*"+c.Name+"*")
		if c.Lock == "" && c.Status != "unknown" && plainName.MatchString(c.Name) && shown != (c.Status == "stopped") {
			w.t.Errorf("stopped: %s is %s, shown: %v", c.Name, c.Status, shown)
		}
	}
	if b := message("", false); string(b.Blocks) != string(board.Blocks) && !strings.Contains(plain(b.Blocks), "All — ") {
		w.t.Errorf("the filter changed the board: %s", b.Blocks)
	}
	w.sees("Showing: Stopped")
	w.picture("filter")

	// Start, from its row there.
	w.press(inModal(own, startMe, "Start"))
	w.task("vzstart", startID)
	modal("Started " + startMe)
	w.did("vzstart 120")
	w.sees("Started " + startMe)
	w.picture("started")
	shut()

	// Manage opens the container's panel.
	board = message("*"+stopMe+"*  running", false)
	w.press(inMessage(board, stopMe, "Manage"))
	panel := modal("*Address*")
	w.sees("192.168.10.44")
	w.picture("detail")
	w.press(inModal(panel, "", "Services"))
	panel = modal("*grafana-server*")
	w.sees("Open Web UI")
	w.picture("services")
	w.press(inModal(panel, "", "Overview"))
	panel = modal("*Address*")

	// Stop asks; Cancel sends nothing, and the answer sends one task.
	w.press(inModal(panel, "", "Stop…"), false)
	w.did("vzstart 120")
	w.press(inModal(modal("Stop…"), "", "Stop…"), true)
	w.task("vzstop", stopVMID)
	w.did("vzstart 120", "vzstop 104")
	done := modal("Stopped " + stopMe)
	w.sees("Stopped " + stopMe)

	// Delete, by the typed name.
	w.press(inModal(done, "", "Manage"))
	w.press(inModal(modal("▸ Overview"), "", "Events"))
	modal("Stopped (forced)")
	w.sees("Stopped (forced)")
	w.picture("events")
	w.press(inModal(modal("▸ Events"), "", "Overview"))
	w.press(inModal(modal("Delete…"), "", "Delete…"))
	form := modal("vm-104-disk-0")
	w.fill(idOf(form), map[string]string{"name": "wrong"})
	form = modal(`"errors"`)
	w.picture("delete")
	w.did("vzstart 120", "vzstop 104")
	w.fill(idOf(form), map[string]string{"name": stopMe})
	w.task("vzdestroy", stopVMID)
	until(w, "a board without "+stopMe, func(s state) (any, bool) {
		m := servers(s)
		return nil, !strings.Contains(string(m[0].Blocks), "*"+stopMe+"*")
	})
	shut()

	// Credentials: Ana sees them, Ben does not.
	w.say("credentials " + secretIn)
	shown := message("*PASSWORD*", true)
	secret := w.password(string(shown.Blocks))
	w.sees(secret)
	w.picture("credentials", shown.TS)
	w.be("ben")
	w.say("credentials " + secretIn)
	message("operator", true) // the role that it takes
	w.sees("Not allowed")
	w.picture("refused")
	w.hides(secret)

	// Hidden again, nobody sees them.
	w.be("ana")
	w.press(inMessage(shown, "", "Hide"))
	until(w, "no credentials", func(s state) (any, bool) { return nil, !strings.Contains(string(encode(s)), secret) })

	// Proxmox does not answer: everything is still there, and says so.
	w.post("/api/fault", switching{"unreachable", true, ""})
	board = message("was running", false)
	w.sees("was running")
	w.picture("down", board.TS)
	w.post("/api/fault", switching{"unreachable", false, ""})
	w.did("vzstart 120", "vzstop 104", "vzdestroy 104")
	if bad := w.w.slack.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Slack: %+v", bad)
	}
	if bad := w.w.pve.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Proxmox: %+v", bad)
	}
}

func walkDiscord(w *walk) {
	w.be("ana")
	servers := func(s state) []discordMessage { return s.Discord.Channels[0].Messages }
	message := func(text string, private bool) discordMessage {
		w.t.Helper()
		return until(w, text, func(s state) (discordMessage, bool) {
			for _, m := range slices.Backward(servers(s)) {
				if m.Ephemeral == private && strings.Contains(plain(m.Components), text) {
					return m, true
				}
			}
			return discordMessage{}, false
		})
	}
	in := func(m discordMessage, near, words string) control {
		w.t.Helper()
		c := find(w.t, discordControls(m.Components), near, words)
		c.message = m.ID
		return c
	}

	w.say("dashboard")
	total, running, stopped := w.counts()
	board := message(fmt.Sprintf("**%d** total · 🟢 **%d** running · ⏹️ **%d** stopped", total, running, stopped), false)
	w.sees(fmt.Sprintf("%d running", running))
	w.picture("dashboard", board.ID)

	w.press(in(board, "", "Stopped"))
	own := message("**Showing: Stopped**", true)
	for _, c := range w.now("ana").Proxmox.Containers {
		shown := strings.Contains(string(own.Components), "**"+c.Name+"**")
		if c.Lock == "" && c.Status != "unknown" && plainName.MatchString(c.Name) && shown != (c.Status == "stopped") {
			w.t.Errorf("stopped: %s is %s, shown: %v", c.Name, c.Status, shown)
		}
	}
	w.sees("Showing: Stopped")
	w.picture("filter", own.ID)

	w.press(in(own, startMe, "Start"))
	w.task("vzstart", startID)
	message("Started "+startMe, true)
	w.did("vzstart 120")
	w.sees("Started " + startMe)
	w.picture("started")

	board = message("**"+stopMe+"** running", false)
	w.press(in(board, stopMe, "Manage"))
	panel := message("**Hostname** "+stopMe, true)
	w.sees("192.168.10.44")
	w.picture("detail", panel.ID)
	w.press(in(panel, "", "Services"))
	panel = message("**grafana-server**", true)
	w.sees("Open Web UI")
	w.picture("services", panel.ID)
	w.press(in(panel, "", "Overview"))
	panel = message("**Hostname** "+stopMe, true)

	w.press(in(panel, "", "Stop…"))
	question := message("Stop container", true)
	w.sees("Stop container")
	w.picture("confirm")
	w.press(in(question, "", "Cancel"))
	until(w, "the question to go", func(s state) (any, bool) {
		return nil, !slices.ContainsFunc(servers(s), func(m discordMessage) bool {
			return m.ID == question.ID && strings.Contains(plain(m.Components), "Stop container")
		})
	})
	w.did("vzstart 120")
	w.press(in(message("**Hostname** "+stopMe, true), "", "Stop…"))
	w.press(in(message("Stop container", true), "", "Stop container"))
	w.task("vzstop", stopVMID)
	w.did("vzstart 120", "vzstop 104")
	message("Stopped "+stopMe, true)

	w.press(in(message("**Hostname** "+stopMe, true), "", "Events"))
	panel = message("Stopped (forced)", true)
	w.sees("Stopped (forced)")
	w.picture("events", panel.ID)

	w.say("delete " + stopMe)
	w.press(in(message("vm-104-disk-0", true), "", "Type its name…"))
	form := func() *discordModal {
		w.t.Helper()
		return until(w, "the form", func(s state) (*discordModal, bool) { return s.Discord.Modal, s.Discord.Modal != nil })
	}
	w.sees(form().Title)
	w.picture("delete")
	w.fill("", map[string]string{"name": "wrong"})
	again := message("Nothing was deleted", true)
	w.did("vzstart 120", "vzstop 104")
	w.press(in(again, "", "Try again"))
	form()
	w.fill("", map[string]string{"name": stopMe})
	w.task("vzdestroy", stopVMID)
	until(w, "a board without "+stopMe, func(s state) (any, bool) {
		m := servers(s)
		return nil, !strings.Contains(string(m[0].Components), "**"+stopMe+"**")
	})

	w.say("credentials " + secretIn)
	shown := message("PASSWORD", true)
	secret := w.password(string(shown.Components))
	w.sees(secret)
	w.picture("credentials", shown.ID)
	w.be("ben")
	w.say("credentials " + secretIn)
	message("operator", true)
	w.sees("Not allowed")
	w.picture("refused")
	w.hides(secret)

	w.be("ana")
	w.press(in(shown, "", "Hide"))
	until(w, "no credentials", func(s state) (any, bool) { return nil, !strings.Contains(string(encode(s)), secret) })

	w.post("/api/fault", switching{"unreachable", true, ""})
	board = message("was running", false)
	w.sees("was running")
	w.picture("down", board.ID)
	w.post("/api/fault", switching{"unreachable", false, ""})
	w.did("vzstart 120", "vzstop 104", "vzdestroy 104")
	if bad := w.w.discord.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Discord: %+v", bad)
	}
	if bad := w.w.pve.Unexpected(); len(bad) > 0 {
		w.t.Errorf("unexpected requests to Proxmox: %+v", bad)
	}
}

// password is the one of the container's files, which must be shown.
func (w *walk) password(shown string) string {
	w.t.Helper()
	for _, file := range w.w.secrets[secretIn] {
		for line := range strings.Lines(file) {
			if p, ok := strings.CutPrefix(strings.TrimSpace(line), "PASSWORD="); ok && strings.Contains(shown, p) {
				return p
			}
		}
	}
	w.t.Fatalf("no password of %s is shown: %s", secretIn, shown)
	return ""
}

// hides fails if the person can find a text anywhere.
func (w *walk) hides(text string) {
	w.t.Helper()
	if strings.Contains(string(encode(w.now(w.who))), text) {
		w.t.Errorf("%s sees %s", w.who, text)
	}
}

// find finds a control by what it says and what it stands beside.
func find(t *testing.T, list []control, near, words string) control {
	t.Helper()
	for _, c := range list {
		if strings.Contains(c.near, near) && strings.Contains(c.words, words) {
			return c
		}
	}
	t.Fatalf("nothing says %q beside %q: %+v", words, near, list)
	return control{}
}

func idOf(view json.RawMessage) string {
	var v struct{ ID string }
	_ = json.Unmarshal(view, &v)
	return v.ID
}

// slackControls lists what can be pressed in blocks, or in a view.
func slackControls(raw json.RawMessage) []control {
	type words struct{ Text string }
	type element struct {
		ActionID          string `json:"action_id"`
		Text, Placeholder words
		Options           []struct {
			Text  words
			Value string
		}
	}
	type block struct {
		BlockID   string `json:"block_id"`
		Text      words
		Accessory element
		Elements  []json.RawMessage
	}
	var blocks []block
	if json.Unmarshal(raw, &blocks) != nil {
		var view struct{ Blocks []block }
		_ = json.Unmarshal(raw, &view)
		blocks = view.Blocks
	}
	var list []control
	for _, b := range blocks {
		all := []element{b.Accessory}
		for _, raw := range b.Elements {
			var e element
			if json.Unmarshal(raw, &e) == nil {
				all = append(all, e)
			}
		}
		for _, e := range all {
			c := control{block: b.BlockID, action: e.ActionID, words: e.Text.Text, near: b.Text.Text}
			if e.ActionID != "" && len(e.Options) == 0 {
				list = append(list, c)
			}
			for _, o := range e.Options {
				c.value, c.words = o.Value, o.Text.Text
				list = append(list, c)
			}
		}
	}
	return list
}

// discordControls lists what can be pressed in components.
func discordControls(raw json.RawMessage) []control {
	type component struct {
		CustomID   string `json:"custom_id"`
		Content    string
		Label      string
		Options    []struct{ Label, Value string }
		Components []json.RawMessage
		Accessory  json.RawMessage
	}
	var list []control
	var visit func(raw json.RawMessage, near string)
	visit = func(raw json.RawMessage, near string) {
		var c component
		if json.Unmarshal(raw, &c) != nil {
			return
		}
		for _, inner := range c.Components {
			var text component
			_ = json.Unmarshal(inner, &text)
			if c.Accessory != nil {
				near += text.Content
			}
			visit(inner, near)
		}
		if c.Accessory != nil {
			visit(c.Accessory, near)
		}
		if c.CustomID != "" && len(c.Options) == 0 {
			list = append(list, control{action: c.CustomID, words: c.Label, near: near})
		}
		for _, o := range c.Options {
			list = append(list, control{action: c.CustomID, value: o.Value, words: o.Label, near: near})
		}
	}
	var top []json.RawMessage
	_ = json.Unmarshal(raw, &top)
	for _, c := range top {
		visit(c, "")
	}
	return list
}

// slackAPI acts through the API.
type slackAPI struct {
	*demo
	noScreen
	who string
}

func (a *slackAPI) be(who string) { a.who = who }

func (a *slackAPI) do(path string, body map[string]any) answer {
	a.t.Helper()
	body["person"] = a.who
	return a.post("/api/slack/"+path, body)
}

func (a *slackAPI) say(command string) {
	a.t.Helper()
	a.do("command", map[string]any{"channel": places[0].slack, "text": command})
}

func (a *slackAPI) press(c control, yes ...bool) {
	a.t.Helper()
	at := map[string]any{"channel": places[0].slack, "ts": c.message}
	if c.view != "" {
		at = map[string]any{"view": c.view}
	}
	body := map[string]any{"at": at, "block_id": c.block, "action_id": c.action, "value": c.value, "decline": len(yes) > 0 && !yes[0]}
	if c.value == "" {
		a.do("click", body)
		return
	}
	a.do("choose", body)
}

func (a *slackAPI) fill(view string, values map[string]string) {
	a.t.Helper()
	a.do("submit", map[string]any{"view": view, "values": values})
}

func (a *slackAPI) shut(view string) {
	a.t.Helper()
	a.do("close", map[string]any{"view": view})
}

// discordAPI acts through the API.
type discordAPI struct {
	*demo
	noScreen
	who string
}

func (a *discordAPI) be(who string) { a.who = who }

func (a *discordAPI) do(path string, body map[string]any) answer {
	a.t.Helper()
	body["person"], body["channel"] = a.who, places[0].discord
	return a.post("/api/discord/"+path, body)
}

func (a *discordAPI) say(command string) {
	a.t.Helper()
	sub, name, _ := strings.Cut(command, " ")
	options := map[string]string{}
	if name != "" {
		options["name"] = name
	}
	a.do("command", map[string]any{"command": sub, "options": options})
}

func (a *discordAPI) press(c control, _ ...bool) {
	a.t.Helper()
	body := map[string]any{"message": c.message, "custom_id": c.action, "values": []string{c.value}}
	if c.value == "" {
		a.do("click", body)
		return
	}
	a.do("choose", body)
}

func (a *discordAPI) fill(_ string, values map[string]string) {
	a.t.Helper()
	a.post("/api/discord/submit", discordForm{a.who, values})
}

func (a *discordAPI) shut(string) { a.do("cancel", map[string]any{}) }

// noScreen has nothing to look at.
type noScreen struct{}

func (noScreen) sees(string)               {}
func (noScreen) picture(string, ...string) {}
