package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// evaluate runs an expression inside the page; what it promises is waited for.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%v\n%s", err, expression)
	}
	return v
}

// shown opens the page on a state that never changes.
func shown(t *testing.T, s state) *browser {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(os.DirFS("page")))
	mux.HandleFunc("GET /api/hello", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"platforms": []string{"slack", "discord"}, "people": people, "tries": []string{"/pve"}})
	})
	mux.HandleFunc("GET /api/faults", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, []faultState{}) })
	mux.HandleFunc("GET /api/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", encode(s))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return newBrowser(t, &demo{t: t, url: server.URL}, "slack", desktop)
}

// empty is a state in which nothing was said.
func empty() state {
	return state{
		Slack: &slackState{Names: map[string]string{}, Bot: bot{"pvechat"}, Views: []json.RawMessage{}, Channels: []slackChannel{
			{ID: "C1", Name: "servers", Messages: []slackMessage{}},
		}},
		Discord: &discordState{Names: map[string]string{}, Bot: bot{"pvechat"}, Commands: []json.RawMessage{}, Channels: []discordChannel{
			{ID: "1", Name: "servers", Messages: []discordMessage{}},
		}},
		Proxmox: proxmoxState{Nodes: []pveNode{}, Containers: []pveContainer{}, Tasks: []pveTask{}},
	}
}

func (s state) say(id string, blocks, components json.RawMessage) {
	if blocks != nil {
		ch := &s.Slack.Channels[0]
		ch.Messages = append(ch.Messages, slackMessage{TS: id, From: "UBOT", Blocks: blocks})
	}
	if components != nil {
		ch := &s.Discord.Channels[0]
		ch.Messages = append(ch.Messages, discordMessage{ID: id, Author: "1", Components: components, Embeds: json.RawMessage("[]"), Created: time.Now()})
	}
}

// Each view that the bot has is drawn, and none of its labels is left out.
func TestPageDrawsEveryView(t *testing.T) {
	s := empty()
	labels := map[string][]string{} // by the selector of a message
	names := map[string]string{}
	for _, platform := range []string{"slack", "discord"} {
		files, err := filepath.Glob("../../bot/view/testdata/" + platform + "/*.json")
		if err != nil || len(files) < 20 {
			t.Fatalf("views of %s: %d, %v", platform, len(files), err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var view struct {
				Blocks, Components json.RawMessage
				CustomID           string `json:"custom_id"` // of a form of Discord
			}
			if err := json.Unmarshal(raw, &view); err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("1795444325.%06d", len(labels))
			at := fmt.Sprintf("[data-platform=%s] [data-message=%q]", platform, id)
			if view.CustomID != "" {
				s.Discord.Modal = &discordModal{view.CustomID, file, view.Components}
				at = "[data-platform=discord] [data-modal]" // the last form stands for all
			} else {
				s.say(id, view.Blocks, view.Components)
			}
			labels[at], names[at] = labelsIn(append(view.Blocks, view.Components...)), file
		}
	}
	b := shown(t, s)
	if unknown := evaluate[[]string](b, `[...document.querySelectorAll('[data-unknown]')].map(e => e.textContent)`); len(unknown) > 0 {
		t.Errorf("not known: %q", unknown)
	}
	if mute := evaluate[[]string](b, `[...document.querySelectorAll('button, input, textarea, select, a[href], [role=button], [role=option]')]
		.filter(e => !(e.innerText?.trim() || e.ariaLabel || e.getAttribute('aria-labelledby') || e.labels?.length)).map(e => e.outerHTML)`); len(mute) > 0 {
		t.Errorf("without a name for those who hear the page: %q", mute)
	}
	texts := evaluate[map[string]string](b, fmt.Sprintf(`Object.fromEntries(%s.map(at => [at, document.querySelector(at)?.textContent ?? '']))`, encode(keys(labels))))
	for at, want := range labels {
		for _, label := range want {
			if !strings.Contains(texts[at], label) {
				t.Errorf("%s: %q is not shown: %s", names[at], label, texts[at])
			}
		}
	}
}

func keys[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

// labelsIn are the texts without markup that can be read without a press:
// Slack's plain_text and Discord's label, but not what menus and questions hold.
func labelsIn(raw json.RawMessage) []string {
	var list []string
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				visit(item)
			}
		case map[string]any:
			if text, ok := v["text"].(string); ok && (v["type"] == "plain_text" || v["type"] == "text") {
				list = append(list, text)
			}
			if label, ok := v["label"].(string); ok {
				list = append(list, label)
			}
			for name, inner := range v {
				switch name {
				case "options", "initial_option", "confirm", "placeholder", "description": // what opens only on a press
				default:
					visit(inner)
				}
			}
		}
	}
	var v any
	if json.Unmarshal(raw, &v) == nil {
		visit(v)
	}
	return list
}

func TestPageSaysWhatItDoesNotKnow(t *testing.T) {
	s := empty()
	s.say("1", json.RawMessage(`[{"type":"hologram"},{"type":"actions","elements":[{"type":"lever","action_id":"a"}]},{"type":"section","text":{"type":"song","text":"la"}}]`),
		json.RawMessage(`[{"type":17,"components":[{"type":99},{"type":2,"style":9,"label":"x","custom_id":"x"}]}]`))
	b := shown(t, s)
	got := evaluate[[]string](b, `[...document.querySelectorAll('[data-unknown]')].map(e => e.dataset.unknown)`)
	if want := "hologram lever song 99 9"; strings.Join(got, " ") != want {
		t.Errorf("unknown: %q, want %s", got, want)
	}
}

func TestPageIsDeafToHostileText(t *testing.T) {
	const evil = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`
	s := empty()
	s.say("1", encode([]any{
		map[string]any{"type": "header", "text": map[string]any{"type": "plain_text", "text": evil}},
		map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": evil + " <javascript:document.title='broken'|press>"}},
		map[string]any{"type": "actions", "elements": []any{map[string]any{
			"type": "button", "action_id": `"]` + evil, "url": "javascript:document.title='broken'", "text": map[string]any{"type": "plain_text", "text": evil},
		}}},
	}), encode([]any{
		map[string]any{"type": 10, "content": evil + " [press](javascript:document.title='broken') ```html\n" + evil + "```"},
		map[string]any{"type": 1, "components": []any{map[string]any{"type": 2, "style": 5, "label": evil, "url": "javascript:document.title='broken'"}}},
	}))
	s.Proxmox.Containers = append(s.Proxmox.Containers, pveContainer{101, evil, "pve1", "running", evil})
	s.Proxmox.Nodes = append(s.Proxmox.Nodes, pveNode{"pve1", true})
	b := shown(t, s)
	b.sees(`<img src=x onerror="document.title='broken'">`)
	if found := evaluate[[]string](b, `[...document.querySelectorAll('#app :is(img, script, iframe, a[href^="javascript" i])')].map(e => e.outerHTML)`); len(found) > 0 {
		t.Errorf("made of text: %q", found)
	}
	if title := evaluate[string](b, `document.title`); title == "broken" {
		t.Error("a text ran as a script")
	}
}

func TestPageReadsMarkup(t *testing.T) {
	b := shown(t, empty())
	link := func(to, text string) string {
		return fmt.Sprintf(`<a href=%q target="_blank" rel="noopener noreferrer">%s</a>`, to, text)
	}
	mention := func(text string) string { return `<span class="mention">` + text + `</span>` }
	emoji := func(text string) string { return `<span class="emoji">` + text + `</span>` }
	plain := func(html string) string { return `<div class="plain">` + html + `</div>` }
	for _, tc := range []struct{ module, text, want string }{
		{"slack/mrkdwn", "*b* _i_ ~s~ `c *c*`", "<strong>b</strong> <em>i</em> <s>s</s> <code>c *c*</code>"},
		{"slack/mrkdwn", "*a _b_ c*", "<strong>a <em>b</em> c</strong>"},
		{"slack/mrkdwn", "2 * 3 * 4, a*b*, *open", "2 * 3 * 4, a*b*, *open"},
		{"slack/mrkdwn", "*a\nb*", "*a<br>b*"},
		{"slack/mrkdwn", "&lt;b&gt; &amp;lt;", "&lt;b&gt; &amp;lt;"},
		{"slack/mrkdwn", "```a *b* &lt;```", "<pre>a *b* &lt;</pre>"},
		{"slack/mrkdwn", "&gt; one\n&gt; two\nthree", "<blockquote>one<br>two</blockquote>three"},
		{"slack/mrkdwn", "<https://a.example/?x=1&amp;y=2|see>", link("https://a.example/?x=1&amp;y=2", "see")},
		{"slack/mrkdwn", "at https://a.example/x.", "at " + link("https://a.example/x", "https://a.example/x") + "."},
		{"slack/mrkdwn", "<javascript:alert(1)|see>", "see"},
		{"slack/mrkdwn", "<@1> <#2|ops> <!here>", mention("@Ana") + " " + mention("#ops") + " " + mention("@here")},
		{"slack/mrkdwn", "<!date^1^{nope}|00:00 UTC>", "00:00 UTC"},
		{"slack/mrkdwn", ":warning: :nope: 🛠️", emoji("⚠️") + " :nope: " + emoji("🛠️")},

		{"discord/markdown", "**b** *i* _i_ __u__ ~~s~~ `c *c*`", plain("<strong>b</strong> <em>i</em> <em>i</em> <u>u</u> <s>s</s> <code>c *c*</code>")},
		{"discord/markdown", "***b*** **a *b* c**", plain("<strong><em>b</em></strong> <strong>a <em>b</em> c</strong>")},
		{"discord/markdown", "a_b_c 2 * 3 * 4", plain("a_b_c 2 * 3 * 4")},
		{"discord/markdown", "**a\nb**", plain("<strong>a<br>b</strong>")},
		{"discord/markdown", `\*a\* \<t:1:R\> \` + "`" + `a\` + "`" + ` \\`, plain("*a* &lt;t:1:R&gt; `a` \\")},
		{"discord/markdown", "### H\n-# dim\np", `<h3 class="md-h3">H</h3><div class="subtext">dim</div>` + plain("p")},
		{"discord/markdown", "a\n```\nb **c**\n```\nd", plain("a") + "<pre><code>b **c**</code></pre>" + plain("d")},
		{"discord/markdown", "> q\np", "<blockquote>q</blockquote>" + plain("p")},
		{"discord/markdown", "[see](https://a.example/) [no](javascript:alert(1))", plain(link("https://a.example/", "see") + " [no](javascript:alert(1))")},
		{"discord/markdown", "<@1> <#3> </pve show:4>", plain(mention("@Ana") + " " + mention("#unknown") + " " + mention("/pve show"))},
		{"discord/markdown", "@everyone", plain("@everyone")},
	} {
		got := evaluate[string](b, fmt.Sprintf(`(async () => {
			const { draw } = await import('/lib/dom.js');
			const module = await import('/%s.js');
			const root = document.createElement('div');
			draw(root, module.%s(%s, { 1: 'Ana' }));
			return root.innerHTML;
		})()`, tc.module, tc.module[strings.Index(tc.module, "/")+1:], encode(tc.text)))
		if got != tc.want {
			t.Errorf("%s of %q:\n got %s\nwant %s", tc.module, tc.text, got, tc.want)
		}
	}
}

func TestPageReadsCommands(t *testing.T) {
	b := shown(t, empty())
	commands := `[{"name":"pve","type":1,"options":[
		{"type":1,"name":"show","options":[{"type":3,"name":"name","required":true}]},
		{"type":1,"name":"events","options":[{"type":3,"name":"name","required":true},{"type":3,"name":"type"}]},
		{"type":2,"name":"template","options":[{"type":1,"name":"show","options":[]}]}]}]`
	for _, tc := range []struct{ text, want string }{
		{"/pve", "null {} [] null"},
		{"/pve nope", "null {} [] null"},
		{"/pve show", `"pve show" {} ["name"] null`},
		{"/pve show web", `"pve show" {"name":"web"} [] null`},
		{"/pve show name:web", `"pve show" {"name":"web"} [] null`},
		{`/pve show name:"my web"`, `"pve show" {"name":"my web"} [] null`},
		{`/pve show "my web"`, `"pve show" {"name":"my web"} [] null`},
		{"/pve show name:", `"pve show" {} ["name"] null`},
		{"/pve show pve1/web:x", `"pve show" {"name":"pve1/web:x"} [] null`},
		{"/pve events type:error web", `"pve events" {"type":"error","name":"web"} [] null`},
		{"/pve show web more", `"pve show" {"name":"web"} [] "more"`},
		{"/pve template show", `"pve template show" {} [] null`},
	} {
		got := evaluate[string](b, fmt.Sprintf(`import('/discord/command.js').then(({ read }) => {
			const { leaf, values, missing, stray } = read(%s, %s);
			return [leaf && leaf.path.join(' '), values, missing.map(o => o.name), stray].map(v => JSON.stringify(v)).join(' ');
		})`, encode(tc.text), commands))
		if got != tc.want {
			t.Errorf("%q means %s, want %s", tc.text, got, tc.want)
		}
	}
}

// A picture is uploaded beside the message, and shown to whoever sees that.
func TestPageShowsAPicture(t *testing.T) {
	d := newDemo(t, "discord")
	b := newBrowser(t, d, "discord", desktop)
	w := &walk{demo: d, t: t, hands: b}
	w.be("ana")
	w.say("show jellyfin")
	panel := until(w, "the panel", func(s state) (discordMessage, bool) {
		for _, m := range s.Discord.Channels[0].Messages {
			if strings.Contains(plain(m.Components), "Show graph") {
				return m, true
			}
		}
		return discordMessage{}, false
	})
	show := find(t, discordControls(panel.Components), "", "Show graph")
	show.message = panel.ID
	w.press(show)
	b.poll("see the picture", chromedp.PollFunction[bool](`() => document.querySelector('[data-message] img')?.naturalWidth > 0`, every, forLong))
	src := evaluate[string](b, `document.querySelector('[data-message] img').src`)
	resp, err := http.Get(strings.Replace(src, "person=ana", "person=ben", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("Ben gets Ana's picture: %s", resp.Status)
	}
}
