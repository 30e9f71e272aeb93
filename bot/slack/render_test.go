package slack

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
)

func TestTextIsInertAndCutWhole(t *testing.T) {
	when := time.Date(2026, 11, 22, 13, 30, 15, 0, time.UTC)
	for name, c := range map[string]struct {
		text  chat.Text
		limit int
		want  string
	}{
		"entities":                           {chat.Texts("a & b <!channel> &amp;"), 99, "a &amp; b &lt;!channel&gt; &amp;amp;"},
		"markers become look-alikes":         {chat.Texts("*b* ~s~ `c` |"), 99, "∗b∗ ∼s∼ ˋcˋ ǀ"},
		"underscores and mentions are split": {chat.Texts("_i_ @here"), 99, "_\u2060i_\u2060 @\u2060here"},
		"bold keeps blanks outside":          {chat.Texts("a", chat.B(" x "), "b"), 99, "a *x* b"},
		"bold ends on every line":            {chat.Texts(chat.B("x\ny")), 99, "*x*\n*y*"},
		"bold of nothing is nothing":         {chat.Texts("a", chat.B(""), chat.B("  ")), 99, "a  "},
		"bold text cannot leave its markers": {chat.Texts(chat.B("a*b")), 99, "*a∗b*"},
		"code keeps what may be copied":      {chat.Texts(chat.C("pve_chat@pve!bot|*")), 99, "`pve_chat@pve!bot|*`"},
		"code has no backticks or entities":  {chat.Texts(chat.C("a`b<c\nd")), 99, "`aˋb&lt;c d`"},
		"control characters are dropped":     {chat.Texts("a\x00b\x1bc\u202ed\te"), 99, "abcd e"},
		"broken UTF-8 is marked":             {chat.Texts("a\xffb"), 99, "a\ufffdb"},
		"clock":                              {chat.Texts(chat.At(when, chat.Clock)), 99, "<!date^1795354215^{time}|13:30 UTC>"},
		"clock with seconds":                 {chat.Texts(chat.At(when, chat.ClockSec)), 99, "<!date^1795354215^{time_secs}|13:30:15 UTC>"},
		"an age is a clock":                  {chat.Texts(chat.At(when, chat.Age)), 99, "<!date^1795354215^{time_secs}|13:30:15 UTC>"},
		"day":                                {chat.Texts(chat.At(when, chat.Day)), 99, "<!date^1795354215^{date_short_pretty} {time_secs}|22 Nov 13:30:15 UTC>"},
		"no time":                            {chat.Texts(chat.At(time.Time{}, chat.Clock)), 99, "–"},
		"cut":                                {chat.Texts("abcdef"), 4, "abc…"},
		"an entity is not cut":               {chat.Texts("ab<<<"), 8, "ab&lt;…"},
		"bold is closed when cut":            {chat.Texts(chat.B("abcdef")), 6, "*abc*…"},
		"bold is not opened for nothing":     {chat.Texts("abcd", chat.B("xyz")), 6, "abcd…"},
		"a date is not cut":                  {chat.Texts("ab", chat.At(when, chat.Clock)), 20, "ab…"},
		"a wide character counts twice":      {chat.Texts("🟢🟢🟢"), 5, "🟢🟢…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mrkdwn(c.text, c.limit); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestABarIsHonest(t *testing.T) {
	for percent, want := range map[int]string{
		-1:  "⬜⬜⬜⬜⬜⬜⬜⬜",
		0:   "⬜⬜⬜⬜⬜⬜⬜⬜",
		1:   "🟩⬜⬜⬜⬜⬜⬜⬜",
		50:  "🟩🟩🟩🟩⬜⬜⬜⬜",
		69:  "🟩🟩🟩🟩🟩🟩⬜⬜",
		70:  "🟨🟨🟨🟨🟨🟨⬜⬜",
		90:  "🟨🟨🟨🟨🟨🟨🟨⬜",
		91:  "🟥🟥🟥🟥🟥🟥🟥⬜",
		94:  "🟥🟥🟥🟥🟥🟥🟥⬜",
		95:  "🟥🟥🟥🟥🟥🟥🟥🟥",
		999: "🟥🟥🟥🟥🟥🟥🟥🟥",
	} {
		if got := bar(percent); got != want {
			t.Errorf("%d %%: got %s, want %s", percent, got, want)
		}
	}
}

// texts renders s and collects every "text" that is a string, in order.
func texts(t *testing.T, s chat.Surface) []string {
	t.Helper()
	b, err := Render(s)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var out []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, k := range []string{"title", "text", "accessory", "fields", "elements", "options", "confirm", "deny", "blocks", "label", "element", "hint"} {
				if s, ok := v[k].(string); ok {
					out = append(out, s)
				} else {
					walk(v[k])
				}
			}
		}
	}
	walk(v["blocks"])
	return out
}

func TestBlocksAsTheyAreSeen(t *testing.T) {
	msg := func(b ...chat.Block) chat.Surface { return chat.Message{Summary: "s", Blocks: b} }
	for name, c := range map[string]struct {
		surface chat.Surface
		want    []string
	}{
		"a message has a header": {
			msg(chat.Heading{Text: "Doctor", Below: chat.Texts(chat.B("1 wrong"))}),
			[]string{"Doctor", "*1 wrong*"},
		},
		"a panel's heading is a paragraph": {
			chat.Panel{Title: "t", Blocks: []chat.Block{chat.Heading{Text: "Stop?", Below: chat.Texts("Below")}}},
			[]string{"*Stop?*\nBelow"},
		},
		"the lead does not repeat the title": {
			chat.Panel{Title: "jellyfin", Lead: &chat.Lead{Mark: "🟢", Name: "jellyfin", Word: "running", Facts: chat.Texts("pve3")}},
			[]string{"🟢 *running* · pve3"},
		},
		"the lead repeats a name that the title cut": {
			chat.Panel{Title: "staging-eu-west-customer-portal", Lead: &chat.Lead{Mark: "🟢", Name: "staging-eu-west-customer-portal", Word: "running"}},
			[]string{"🟢 *staging-eu-west-customer-portal* · *running*"},
		},
		"a name of 41 characters is cut on a row": {
			msg(chat.Row{ID: "a", Name: strings.Repeat("n", 41), Word: "running"}),
			[]string{"*" + strings.Repeat("n", 39) + "…*  running"},
		},
		"a name of 40 characters is whole": {
			msg(chat.Row{ID: "a", Name: strings.Repeat("n", 40), Word: "running"}),
			[]string{"*" + strings.Repeat("n", 40) + "*  running"},
		},
		"a name cannot break the row": {
			msg(chat.Row{ID: "a", Mark: "❔", Name: "a\n> b", Word: "unknown", Where: "pve1", Facts: chat.Texts("down")}),
			[]string{"❔ *a &gt; b*  unknown · pve1", "down"},
		},
		"a row without facts is one line": {
			msg(chat.Row{ID: "a", Name: "n", Word: "w", Where: "pve1"}),
			[]string{"*n*  w · pve1"},
		},
		"what cannot be pressed is said after the controls": {
			msg(chat.Controls{Buttons: []chat.Button{
				{ID: "a", Label: "Start", Off: true, Why: "it is running"},
				{ID: "b", Label: "Manage"},
				{ID: "c", Label: "Delete…", Off: true, Why: "it is *locked*"},
				{ID: "d", Label: "Open", URL: "javascript:alert(1)"},
			}}),
			[]string{"Manage", "Not now: Start (it is running) · Delete (it is ∗locked∗) · Open (its address is not one of the web)"},
		},
		"a reason that stops several is said once": {
			msg(chat.Controls{Buttons: []chat.Button{
				{ID: "a", Label: "Start", Off: true, Why: "it needs the operator role"},
				{ID: "b", Label: "Stop…", Off: true, Why: "it needs the operator role"},
				{ID: "c", Label: "Show graph", Off: true, Why: "no file is private here"},
			}}),
			[]string{"Not now: Start, Stop (it needs the operator role) · Show graph (no file is private here)"},
		},
		"an item says it beside its note": {
			msg(chat.Item{Text: chat.Texts("nginx"), Note: chat.Texts("port 80"), Button: &chat.Button{ID: "a", Label: "Open Web UI", Off: true, Why: "loopback only"}}),
			[]string{"nginx", "port 80 · Not now: Open Web UI (loopback only)"},
		},
		"the open tab is marked": {
			msg(chat.Controls{Buttons: []chat.Button{{ID: "a", Label: "Overview", Active: true}}}),
			[]string{"▸ Overview"},
		},
		"no measure is a dash": {
			msg(chat.Meters{{Label: "CPU", Percent: -1, Of: "2 cores"}}),
			[]string{"⬜⬜⬜⬜⬜⬜⬜⬜ *CPU* – of 2 cores"},
		},
		"a long log loses its beginning": {
			msg(chat.Pre{Lines: []string{strings.Repeat("a", 3000), "the end"}}),
			[]string{"…" + strings.Repeat("a", 2991) + "\nthe end"},
		},
		"an empty value says so": {
			msg(chat.Exact{Label: "Password"}),
			[]string{"*Password*", "It is empty."},
		},
		"a value that cannot be shown whole is not shown": {
			msg(chat.Exact{Label: "Key", Value: chat.NewSecret(strings.Repeat("k", 3001))}),
			[]string{"*Key*", "It has 3001 characters, too many to be shown here."},
		},
		"an empty surface says so": {chat.Home{}, []string{"Nothing to show."}},
		"a form asks below its question": {
			chat.Form{Title: "t", Heading: "Delete?", Intro: []chat.Block{chat.Note{Text: chat.Texts("n")}}, Inputs: []chat.Input{{ID: "name", Label: "Type it", Hint: "exactly"}}},
			[]string{"*Delete?*", "n", "Type it", "exactly"},
		},
		"a panel shown as a message has its title": {
			asMessage(detailShort()),
			[]string{"jellyfin", "🟢 *running*", "*Stop?*", "Manage"},
		},
		"a form shown as a message asks to be opened": {
			asMessage(chat.Form{ID: "f", Title: "Delete", Heading: "Sure?", Ask: "Type its name…", CancelID: "cancel:1"}),
			[]string{"Delete", "*Sure?*", "Type its name…", "Cancel"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, texts(t, c.surface)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func detailShort() chat.Panel {
	return chat.Panel{
		ID: "detail", Title: "jellyfin", Lead: &chat.Lead{Mark: "🟢", Name: "jellyfin", Word: "running"},
		Blocks: []chat.Block{chat.Heading{Text: "Stop?"}, chat.Controls{ID: "c", Buttons: []chat.Button{{ID: "ct:a:show", Label: "Manage"}}}},
	}
}

func TestStateTravelsWithEveryControlOfAMessageAndInAViewsMetadata(t *testing.T) {
	blocks := []chat.Block{
		chat.Row{ID: "a", Name: "n", Menu: []chat.Button{{ID: "ct:a:show", Label: "Manage"}}},
		chat.Item{Text: chat.Texts("t"), Button: &chat.Button{ID: "i", Label: "View"}},
		chat.Controls{ID: "c", Select: &chat.Select{ID: "sel", Options: []chat.Choosable{{Label: "l", Value: "v"}}}, Buttons: []chat.Button{{ID: "b", Label: "B"}}},
	}
	ids := regexp.MustCompile(`"(?:action_id|value|private_metadata)":"(?:[^"\\]|\\.)*"`)
	for name, c := range map[string]struct {
		surface chat.Surface
		want    []string
	}{
		"message": {chat.Message{State: "stopped.2", Blocks: blocks}, []string{
			`"action_id":"ct:a:menu|stopped.2"`, `"value":"ct:a:show"`, `"action_id":"i|stopped.2"`,
			`"action_id":"sel|stopped.2"`, `"value":"v"`, `"action_id":"b|stopped.2"`,
		}},
		"message without state": {chat.Message{Blocks: blocks}, []string{
			`"action_id":"ct:a:menu"`, `"value":"ct:a:show"`, `"action_id":"i"`, `"action_id":"sel"`, `"value":"v"`, `"action_id":"b"`,
		}},
		"panel": {chat.Panel{State: "stopped.2", Blocks: blocks}, []string{
			`"action_id":"ct:a:menu"`, `"value":"ct:a:show"`, `"action_id":"i"`, `"action_id":"sel"`, `"value":"v"`, `"action_id":"b"`,
			`"private_metadata":"{\"s\":\"stopped.2\"}"`,
		}},
		"home": {chat.Home{State: "all.1"}, []string{`"private_metadata":"{\"s\":\"all.1\"}"`}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Render(c.surface)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, ids.FindAllString(string(b), -1)); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

func TestABoardTooLargeDropsItsLastRows(t *testing.T) {
	m := board()
	for i, b := range m.Blocks {
		if r, ok := b.(chat.Row); ok {
			r.Name = strings.Repeat("<", 63)
			m.Blocks[i] = r
		}
	}
	got := texts(t, m)
	var rows int
	var more []string
	for _, s := range got {
		if strings.Contains(s, "&lt;") {
			rows++
		}
		if strings.Contains(s, " more") {
			more = append(more, s)
		}
	}
	if want := []string{fmt.Sprintf("… and %d more", 12-rows)}; rows == 0 || rows == 12 || !cmp.Equal(more, want) {
		t.Errorf("%d rows shown and it says %q", rows, more)
	}
	if last := got[len(got)-1]; !strings.HasPrefix(last, "1–12 of 24") {
		t.Errorf("the footer is gone: %q", last)
	}
}

func TestTheFullestHonestBoardIsShownWhole(t *testing.T) {
	m := board()
	for i, b := range m.Blocks {
		if r, ok := b.(chat.Row); ok {
			r.Name, r.Word = strings.Repeat("n", 40), "running"
			r.Menu = menu(r.ID, "Manage", "Open Web", "Restart…", "Shut down…", "Stop…")
			m.Blocks[i] = r
		}
	}
	for _, s := range texts(t, m) {
		if strings.Contains(s, " more") {
			t.Errorf("it says %q", s)
		}
	}
}

func TestTheFallbackSaysTheSameWithoutTheSecrets(t *testing.T) {
	const canary = "s3cr3t-canary"
	m := chat.Message{Blocks: []chat.Block{
		chat.Heading{Text: "Credentials", Below: chat.Texts("of ", chat.B("wiki"))},
		chat.Row{Name: "<!channel>", Word: "running", Where: "101 · pve1"},
		chat.Fields{{Label: "Cores", Value: chat.Texts("2")}},
		chat.Meters{{Label: "CPU", Percent: 5}},
		chat.Exact{Label: "Password", Value: chat.NewSecret(canary)},
	}}
	got := renderMessage(m).Text
	if want := "Credentials · of wiki · &lt;!channel&gt; running 101 · pve1 · Cores 2 · CPU 5 % · Password"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := renderMessage(chat.Message{Summary: "*said*", Blocks: m.Blocks}).Text; got != "∗said∗" {
		t.Errorf("got %q", got)
	}
	if got := renderMessage(chat.Message{}).Text; got != "pvechat" {
		t.Errorf("an empty message says %q", got)
	}
}

func TestRenderRefusesWhatIsNoSurface(t *testing.T) {
	if _, err := Render(nil); err == nil {
		t.Error("no error")
	}
}

func FuzzRenderStaysInsideSlacksLimits(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed, "<!channel> *x* `y` @everyone |\n")
	}
	f.Add(uint64(7), "")
	f.Add(uint64(8), "\x00\xff\u202e")
	f.Fuzz(func(t *testing.T, seed uint64, hostile string) {
		g := &generator{rand.New(rand.NewPCG(seed, 1)), hostile[:min(len(hostile), 200)]}
		for _, s := range []chat.Surface{g.message(), g.panel(), g.form(), chat.Home{State: g.text(), Blocks: g.blocks()}, asMessage(g.panel()), asMessage(g.form())} {
			b, err := Render(s)
			if err != nil {
				t.Fatal(err)
			}
			checkLimits(t, b)
			again, _ := Render(s)
			if string(b) != string(again) {
				t.Error("rendered twice, it differs")
			}
		}
		view, err := json.Marshal(renderModal(g.panel(), "C0123456789", ackSize))
		if err != nil {
			t.Fatal(err)
		}
		checkLimits(t, view)
		if len(view) > 20_000 {
			t.Errorf("an answer over the socket has %d bytes", len(view))
		}
	})
}

// checkLimits holds what is sent against Slack's limits, as literals.
func checkLimits(t *testing.T, b json.RawMessage) {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	blocks, _ := v["blocks"].([]any)
	if v["type"] == nil {
		if n := utf8.RuneCount(b); n > 13_000 {
			t.Errorf("a message of %d characters", n)
		}
		if len(blocks) > 50 {
			t.Errorf("a message of %d blocks", len(blocks))
		}
		if s := v["text"].(string); len(s) > 4000 || s == "" {
			t.Errorf("a fallback of %d bytes", len(s))
		}
	} else {
		if len(b) > 250_000 {
			t.Errorf("a view of %d bytes", len(b))
		}
		if len(blocks) > 100 {
			t.Errorf("a view of %d blocks", len(blocks))
		}
		for _, k := range []string{"title", "submit", "close"} {
			if v[k] != nil {
				within(t, v[k], 24)
			}
		}
		if s, _ := v["private_metadata"].(string); len(s) > 3000 {
			t.Errorf("metadata of %d bytes", len(s))
		}
		if s, _ := v["callback_id"].(string); len(s) > 255 {
			t.Errorf("a callback id of %d bytes", len(s))
		}
		if v["type"] == "modal" && v["title"] == nil {
			t.Error("a modal without a title")
		}
	}
	if len(blocks) == 0 {
		t.Error("no blocks")
	}
	ids := map[string]bool{}
	for _, b := range blocks {
		b := b.(map[string]any)
		if id, ok := b["block_id"].(string); ok {
			if ids[id] || len(id) > 255 || id == "" {
				t.Errorf("block id %q", id)
			}
			ids[id] = true
		}
		elements, _ := b["elements"].([]any)
		switch b["type"] {
		case "divider":
		case "header":
			within(t, b["text"], 150)
		case "section":
			fields, _ := b["fields"].([]any)
			if b["text"] == nil && len(fields) == 0 {
				t.Error("an empty section")
			}
			if b["text"] != nil {
				within(t, b["text"], 3000)
			}
			if len(fields) > 10 {
				t.Errorf("%d fields", len(fields))
			}
			for _, f := range fields {
				within(t, f, 2000)
			}
			if a, ok := b["accessory"].(map[string]any); ok {
				control(t, a)
			}
		case "context":
			if len(elements) == 0 || len(elements) > 10 {
				t.Errorf("a context of %d", len(elements))
			}
			for _, e := range elements {
				within(t, e, 3000)
			}
		case "actions":
			if len(elements) == 0 || len(elements) > 25 {
				t.Errorf("%d controls", len(elements))
			}
			seen := map[string]bool{}
			for _, e := range elements {
				e := e.(map[string]any)
				control(t, e)
				if id, _ := e["action_id"].(string); id != "" {
					if seen[id] {
						t.Errorf("action id %q twice", id)
					}
					seen[id] = true
				}
			}
		case "input":
			within(t, b["label"], 2000)
			if b["hint"] != nil {
				within(t, b["hint"], 2000)
			}
			e := b["element"].(map[string]any)
			limit, _ := e["max_length"].(float64)
			if limit > 3000 || limit < 0 {
				t.Errorf("max_length %v", limit)
			}
			if limit == 0 {
				limit = 3000
			}
			if s, _ := e["initial_value"].(string); length(s) > int(limit) {
				t.Errorf("an initial value of %d of %v", length(s), limit)
			}
			if e["placeholder"] != nil {
				within(t, e["placeholder"], 150)
			}
		case "rich_text":
			for _, e := range elements {
				for _, e := range e.(map[string]any)["elements"].([]any) {
					if s := e.(map[string]any)["text"].(string); s == "" || length(s) > 3000 {
						t.Errorf("literal text of %d", length(s))
					}
				}
			}
		default:
			t.Errorf("block %v", b["type"])
		}
	}
}

func control(t *testing.T, e map[string]any) {
	t.Helper()
	if id, _ := e["action_id"].(string); len(id) > 255 {
		t.Errorf("an action id of %d bytes", len(id))
	}
	options, _ := e["options"].([]any)
	most := 100
	switch e["type"] {
	case "button":
		within(t, e["text"], 75)
		if s, _ := e["value"].(string); len(s) > 2000 {
			t.Errorf("a value of %d bytes", len(s))
		}
		if s, _ := e["url"].(string); length(s) > 3000 {
			t.Errorf("an address of %d", length(s))
		}
		if s, ok := e["style"]; ok && s != "primary" && s != "danger" {
			t.Errorf("style %v", s)
		}
		if c, ok := e["confirm"].(map[string]any); ok {
			within(t, c["title"], 100)
			within(t, c["text"], 300)
			within(t, c["confirm"], 30)
			within(t, c["deny"], 30)
		}
		return
	case "static_select":
		within(t, e["placeholder"], 150)
	case "overflow":
		most = 5
	default:
		t.Errorf("control %v", e["type"])
	}
	if len(options) == 0 || len(options) > most {
		t.Errorf("%d options in %v", len(options), e["type"])
	}
	found := e["initial_option"] == nil
	for _, o := range options {
		o := o.(map[string]any)
		found = found || cmp.Equal(o, e["initial_option"])
		within(t, o["text"], 75)
		if s := o["value"].(string); s == "" || length(s) > 150 {
			t.Errorf("an option's value of %d", length(s))
		}
		if o["description"] != nil {
			within(t, o["description"], 75)
		}
	}
	if !found {
		t.Error("the chosen option is not offered")
	}
}

var token = regexp.MustCompile(`<!date\^-?\d+\^[^|<>]*\|[^|<>]*>|&(amp|lt|gt);`)

func within(t *testing.T, v any, limit int) {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Errorf("no text: %v", v)
		return
	}
	s := o["text"].(string)
	if strings.TrimSpace(s) == "" || length(s) > limit {
		t.Errorf("a text of %d of %d: %.60q", length(s), limit, s)
	}
	if o["type"] == "mrkdwn" {
		if rest := token.ReplaceAllString(s, ""); strings.ContainsAny(rest, "<>&") {
			t.Errorf("a live or broken escape in %.200q", rest)
		}
		if o["verbatim"] != true {
			t.Error("Slack may link words")
		}
	}
}

// length is the greater of the two ways to count.
func length(s string) int { return max(utf8.RuneCountInString(s), len(utf16.Encode([]rune(s)))) }

// generator makes surfaces out of nothing but trouble.
type generator struct {
	*rand.Rand
	hostile string
}

func (g *generator) text() string {
	pool := []string{"", " ", "a", g.hostile, "<", "&amp;", "*_~`|@", "🟢", "\u202e\x00\x1b", "\n\n> x", "<!channel>", "ct:7f3k2:show", "https://x.example/", "\xff\xfe"}
	s := pool[g.IntN(len(pool))]
	switch g.IntN(80) {
	case 0:
		return strings.Repeat(s, g.IntN(4000))
	case 1, 2, 3, 4, 5:
		return strings.Repeat(s, g.IntN(100))
	}
	return s
}

func (g *generator) spans() chat.Text {
	var t chat.Text
	for range g.IntN(4) {
		t = append(t, chat.Span{Text: g.text(), Style: chat.SpanStyle(g.IntN(9)), Time: time.Unix(g.Int64N(1<<33), 0)})
	}
	return t
}

func (g *generator) button() chat.Button {
	b := chat.Button{ID: g.text(), Label: g.text(), Style: chat.Style(g.IntN(5)), Active: g.IntN(4) == 0, Off: g.IntN(4) == 0, Why: g.text()}
	if g.IntN(4) == 0 {
		b.URL = g.text()
	}
	if g.IntN(4) == 0 {
		b.Confirm = &chat.Confirm{Title: g.text(), Text: g.text(), Yes: g.text(), No: g.text(), Danger: true}
	}
	return b
}

func (g *generator) buttons(n int) []chat.Button {
	b := make([]chat.Button, g.IntN(n))
	for i := range b {
		b[i] = g.button()
	}
	return b
}

func (g *generator) selection() *chat.Select {
	s := &chat.Select{ID: g.text(), Placeholder: g.text(), Selected: g.text()}
	for range g.IntN(130) {
		s.Options = append(s.Options, chat.Choosable{Mark: g.text(), Label: g.text(), Note: g.text(), Value: g.text()})
	}
	return s
}

func (g *generator) blocks() []chat.Block {
	var out []chat.Block
	for range g.IntN(9) {
		switch g.IntN(12) {
		case 0:
			out = append(out, chat.Heading{Text: g.text(), Below: g.spans()})
		case 1:
			out = append(out, chat.Para{Text: g.spans()})
		case 2:
			out = append(out, chat.Note{Text: g.spans()})
		case 3:
			out = append(out, chat.Divider{})
		case 4:
			for range []int{0, 1, 60, 300}[g.IntN(4)] {
				r := chat.Row{ID: g.text(), Mark: g.text(), Name: g.text(), Word: g.text(), Where: g.text(), Facts: g.spans(), Dots: g.text(), Menu: g.buttons(8)}
				out = append(out, r)
			}
		case 5:
			for range g.IntN(70) {
				b := g.button()
				out = append(out, chat.Item{Text: g.spans(), Note: g.spans(), Button: &b})
			}
		case 6:
			f := make(chat.Fields, g.IntN(25))
			for i := range f {
				f[i] = chat.Field{Label: g.text(), Value: g.spans()}
			}
			out = append(out, f)
		case 7:
			m := make(chat.Meters, g.IntN(9))
			for i := range m {
				m[i] = chat.Meter{Label: g.text(), Percent: g.IntN(300) - 100, Of: g.text()}
			}
			out = append(out, m)
		case 8:
			out = append(out, chat.Controls{ID: g.text(), Select: g.selection(), Buttons: g.buttons(40)})
		case 9:
			out = append(out, chat.Pre{Lines: []string{g.text(), g.text()}})
		case 10:
			out = append(out, chat.Exact{Label: g.text(), Value: chat.NewSecret(g.text())})
		case 11:
			out = append(out, chat.Jump{Select: *g.selection()})
		}
	}
	return out
}

func (g *generator) message() chat.Message {
	return chat.Message{Summary: g.text(), State: g.text(), Blocks: g.blocks()}
}

func (g *generator) panel() chat.Panel {
	p := chat.Panel{ID: g.text(), Title: g.text(), State: g.text(), Close: g.text(), Blocks: g.blocks()}
	if g.IntN(2) == 0 {
		p.Lead = &chat.Lead{Mark: g.text(), Name: g.text(), Word: g.text(), Facts: g.spans()}
	}
	return p
}

func (g *generator) form() chat.Form {
	f := chat.Form{ID: g.text(), Title: g.text(), Heading: g.text(), State: g.text(), Intro: g.blocks(), Ask: g.text(), CancelID: g.text(), Submit: g.text()}
	for range g.IntN(120) {
		f.Inputs = append(f.Inputs, chat.Input{ID: g.text() + fmt.Sprint(g.IntN(200)), Label: g.text(), Hint: g.text(), Placeholder: g.text(), Value: g.text(), MaxLength: g.IntN(9000) - 1000, Multiline: g.IntN(2) == 0})
	}
	return f
}
