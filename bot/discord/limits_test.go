package discord

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pvechat/pvechat/bot/chat"
)

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// violations lists what Discord would refuse in a body that Render made. The
// numbers are those of the API's description, and deliberately not the
// renderer's constants.
func violations(raw json.RawMessage) []string {
	var (
		out        []string
		components int
		characters int
		ids        = map[string]bool{}
	)
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	length := func(what string, v any, low, high int) {
		s, ok := v.(string)
		if !ok && low > 0 {
			bad("%s is missing", what)
		}
		if n := units(s); ok && (n < low || n > high) {
			bad("%s has %d characters, not %d to %d", what, n, low, high)
		}
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			bad("%s is no text", what)
		}
	}
	ident := func(c map[string]any) {
		length("custom_id", c["custom_id"], 1, 100)
		id, _ := c["custom_id"].(string)
		if ids[id] {
			bad("custom_id %q is there twice", id)
		}
		ids[id] = true
	}
	button := func(c map[string]any) {
		if c["type"] != 2.0 {
			bad("a component of type %v where a button belongs", c["type"])
		}
		length("label", c["label"], 1, 80)
		if c["style"] == 5.0 {
			length("url", c["url"], 1, 512)
			if u, _ := c["url"].(string); !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") {
				bad("url %q", u)
			}
			return
		}
		ident(c)
	}
	text := func(c map[string]any) {
		if c["type"] != 10.0 {
			bad("a component of type %v where text belongs", c["type"])
		}
		length("text", c["content"], 1, 4000)
		s, _ := c["content"].(string)
		characters += units(s)
		if strings.TrimSpace(s) == "" {
			bad("text %q is blank", s)
		}
	}
	selection := func(c map[string]any) {
		ident(c)
		length("placeholder", c["placeholder"], 0, 150)
		options, _ := c["options"].([]any)
		if len(options) < 1 || len(options) > 25 {
			bad("a select has %d options", len(options))
		}
		values, defaults := map[string]bool{}, 0
		for _, o := range options {
			o := o.(map[string]any)
			length("option label", o["label"], 1, 100)
			length("option value", o["value"], 1, 100)
			length("option description", o["description"], 0, 100)
			v, _ := o["value"].(string)
			if values[v] {
				bad("option value %q is there twice", v)
			}
			values[v] = true
			if o["default"] == true {
				defaults++
			}
		}
		if defaults > 1 {
			bad("%d options are chosen", defaults)
		}
	}
	children := func(c map[string]any) []map[string]any {
		var out []map[string]any
		list, _ := c["components"].([]any)
		for _, x := range list {
			out = append(out, x.(map[string]any))
		}
		return out
	}

	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		return []string{err.Error()}
	}
	if title, ok := body["title"]; ok { // a modal
		length("title", title, 1, 45)
		length("custom_id", body["custom_id"], 1, 100)
		rows := children(body)
		if len(rows) < 1 || len(rows) > 5 {
			bad("a modal with %d rows", len(rows))
		}
		for _, r := range rows {
			cs := children(r)
			if r["type"] != 1.0 || len(cs) != 1 || cs[0]["type"] != 4.0 {
				bad("a modal's row holds %v", r)
				continue
			}
			in := cs[0]
			ident(in)
			length("input label", in["label"], 1, 45)
			length("input placeholder", in["placeholder"], 0, 100)
			limit := 4000
			if m, ok := in["max_length"].(float64); ok {
				if limit = int(m); limit < 1 || limit > 4000 {
					bad("max_length is %v", m)
				}
			}
			length("input value", in["value"], 0, limit)
		}
		return out
	}

	if flags := body["flags"]; flags != 32768.0 && flags != 32832.0 {
		bad("flags are %v", flags)
	}
	tops := children(body)
	if len(tops) != 1 || tops[0]["type"] != 17.0 {
		return append(out, "not one container")
	}
	components++
	if a, _ := tops[0]["accent_color"].(float64); a < 0 || a > 0xffffff {
		bad("accent_color is %v", a)
	}
	if len(children(tops[0])) == 0 {
		bad("an empty container")
	}
	for _, c := range children(tops[0]) {
		components++
		switch c["type"] {
		case 10.0:
			text(c)
		case 14.0:
		case 9.0:
			ts := children(c)
			if len(ts) < 1 || len(ts) > 3 {
				bad("a section with %d texts", len(ts))
			}
			for _, x := range ts {
				components++
				text(x)
			}
			a, ok := c["accessory"].(map[string]any)
			if !ok {
				bad("a section without an accessory")
				continue
			}
			components++
			button(a)
		case 1.0:
			cs := children(c)
			components += len(cs)
			if len(cs) == 1 && cs[0]["type"] == 3.0 {
				selection(cs[0])
				continue
			}
			if len(cs) < 1 || len(cs) > 5 {
				bad("a row of %d", len(cs))
			}
			for _, x := range cs {
				button(x)
			}
		default:
			bad("a component of type %v", c["type"])
		}
	}
	if components > 40 {
		bad("%d components", components)
	}
	if characters > 4000 {
		bad("%d characters", characters)
	}
	return out
}

// A maker makes surfaces of whatever could be thrown at the renderer.
type maker struct{ *rand.Rand }

var nasty = []string{
	"", " ", "\n", "`", "```", "**", "_", "~~", "||", "@everyone", "@here", "<@1>", "<#2>", "<!channel>", "<t:0:R>", "[x](https://evil.example)",
	"https://evil.example", ":smile:", "# ", "-# ", "- ", "> ", ">>> ", "\\", "\x00", "\x1b[31m", "\u202e", "\xff\xfe", "🟢", "👩‍👩‍👧‍👦", "…", "|", "~2", "• ",
	"jellyfin", "CT 108", "local-lvm:vm-108-disk-0", "&amp;", "\u2028", "a\r\nb", "\t",
}

func (m maker) text() string {
	var b strings.Builder
	for range m.IntN(6) {
		b.WriteString(nasty[m.IntN(len(nasty))])
	}
	switch m.IntN(60) {
	case 0:
		return strings.Repeat(b.String()+"*", 1+m.IntN(900))
	case 1:
		return strings.Repeat("🟢@everyone", m.IntN(400))
	}
	return b.String()
}

func (m maker) spans() chat.Text {
	var t chat.Text
	for range m.IntN(5) {
		s := chat.Span{Text: m.text(), Style: chat.SpanStyle(m.IntN(8))}
		if m.IntN(2) == 0 {
			s.Time = time.Unix(m.Int64N(1<<33), 0)
		}
		t = append(t, s)
	}
	return t
}

func (m maker) id() string {
	switch m.IntN(8) {
	case 0:
		return ""
	case 1:
		return m.text()
	case 2:
		return strings.Repeat("x", 60+m.IntN(60))
	}
	return fmt.Sprintf("ct:%d:show", m.IntN(20))
}

func (m maker) button() chat.Button {
	b := chat.Button{ID: m.id(), Label: m.text(), Style: chat.Style(m.IntN(5)), Active: m.IntN(5) == 0, Off: m.IntN(5) == 0, Why: m.text()}
	switch m.IntN(6) {
	case 0:
		b.URL = "https://" + m.text()
	case 1:
		b.URL = m.text()
	}
	return b
}

func (m maker) selection() chat.Select {
	s := chat.Select{ID: m.id(), Placeholder: m.text(), Selected: m.id()}
	for range m.IntN(60) {
		s.Options = append(s.Options, chat.Choosable{Mark: m.text(), Label: m.text(), Note: m.text(), Value: m.id()})
	}
	return s
}

func (m maker) block() chat.Block {
	switch m.IntN(13) {
	case 0:
		return chat.Heading{Text: m.text(), Below: m.spans()}
	case 1:
		return chat.Para{Text: m.spans()}
	case 2:
		return chat.Note{Text: m.spans()}
	case 3:
		return chat.Divider{}
	case 4:
		i := chat.Item{Text: m.spans(), Note: m.spans()}
		if m.IntN(2) == 0 {
			b := m.button()
			i.Button = &b
		}
		return i
	case 5:
		var fs chat.Fields
		for range m.IntN(30) {
			fs = append(fs, chat.Field{Label: m.text(), Value: m.spans()})
		}
		return fs
	case 6:
		var ms chat.Meters
		for range m.IntN(30) {
			ms = append(ms, chat.Meter{Label: m.text(), Percent: m.IntN(300) - 50, Of: m.text()})
		}
		return ms
	case 7:
		c := chat.Controls{ID: m.id()}
		if m.IntN(2) == 0 {
			s := m.selection()
			c.Select = &s
		}
		for range m.IntN(40) {
			c.Buttons = append(c.Buttons, m.button())
		}
		return c
	case 8:
		return chat.Jump{Select: m.selection()}
	case 9:
		var p chat.Pre
		for range m.IntN(200) {
			p.Lines = append(p.Lines, m.text())
		}
		return p
	case 10:
		return chat.Exact{Label: m.text(), Value: chat.NewSecret(m.text())}
	}
	r := chat.Row{ID: m.id(), Mark: m.text(), Name: m.text(), Word: m.text(), Where: m.text(), Facts: m.spans(), Dots: m.text()}
	if m.IntN(4) > 0 {
		b := m.button()
		r.Button = &b
	}
	return r
}

func (m maker) blocks() []chat.Block {
	var out []chat.Block
	for range m.IntN([]int{4, 12, 40, 300}[m.IntN(4)]) {
		out = append(out, m.block())
	}
	return out
}

func (m maker) surface() chat.Surface {
	state := []string{"", "stopped.2", strings.Repeat("s", 40)}[m.IntN(3)]
	tone := chat.Tone(m.IntN(6))
	switch m.IntN(5) {
	case 0:
		return chat.Message{Public: m.IntN(2) == 0, Summary: m.text(), Tone: tone, State: state, Blocks: m.blocks()}
	case 1:
		return chat.Home{State: state, Blocks: m.blocks()}
	case 2:
		f := chat.Form{ID: m.id(), Title: m.text(), Heading: m.text(), Tone: tone, State: state, Ask: m.text(), CancelID: m.id(), Submit: m.text()}
		if m.IntN(2) == 0 {
			f.Intro = m.blocks()
		}
		for range m.IntN(8) {
			f.Inputs = append(f.Inputs, chat.Input{
				ID: m.id(), Label: m.text(), Hint: m.text(), Placeholder: m.text(), Value: m.text(),
				MaxLength: m.IntN(9000) - 1000, Multiline: m.IntN(2) == 0, Optional: m.IntN(2) == 0,
			})
		}
		return f
	}
	p := chat.Panel{ID: m.id(), Title: m.text(), Tone: tone, State: state, Blocks: m.blocks()}
	if m.IntN(2) == 0 {
		p.Lead = &chat.Lead{Mark: m.text(), Name: m.text(), Word: m.text(), Facts: m.spans()}
	}
	return p
}

func TestWhateverIsShownIsWithinDiscordsLimits(t *testing.T) {
	for seed := range uint64(400) {
		s := maker{rand.New(rand.NewPCG(seed, 1))}.surface()
		raw, err := Render(s)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if v := violations(raw); v != nil {
			t.Fatalf("seed %d: %s\n%.3000s", seed, strings.Join(v, "\n"), raw)
		}
	}
}

func TestListsOfAnyLengthFitAndSayWhatIsMissing(t *testing.T) {
	for _, n := range []int{0, 1, 8, 12, 13, 60, 300} {
		t.Run(fmt.Sprintf("%d rows", n), func(t *testing.T) {
			p := chat.Panel{ID: "board", Title: "Containers", State: "all.1", Blocks: []chat.Block{chat.Heading{Text: "Containers"}, chat.Divider{}}}
			for i := range n {
				p.Blocks = append(p.Blocks, chat.Row{
					ID: fmt.Sprint(i), Mark: "⏹️", Name: strings.Repeat("<*_@everyone", 6), Word: "stopped", Where: "100 · pve1",
					Facts: measures("–", "–", "–"), Button: &chat.Button{ID: fmt.Sprintf("ct:%d:start", i), Label: "Start"},
				})
			}
			p.Blocks = append(p.Blocks, chat.Controls{ID: "c", Buttons: boardButtons}, chat.Note{Text: chat.Texts("the end")})
			raw, err := Render(p)
			if err != nil {
				t.Fatal(err)
			}
			if v := violations(raw); v != nil {
				t.Fatal(strings.Join(v, "\n"))
			}
			rows := strings.Count(string(raw), `:start|all.1"`)
			want := fmt.Sprintf("… and %d more", n-rows)
			if said := strings.Contains(string(raw), want); said != (n > rows) {
				t.Errorf("%d of %d rows are shown, %q is said: %v", rows, n, want, said)
			}
			if n >= 8 && rows < 8 {
				t.Errorf("only %d rows are shown", rows)
			}
			if !strings.Contains(string(raw), "the end") || !strings.Contains(string(raw), "create:open") {
				t.Error("the controls or the footer are gone")
			}
		})
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range nasty {
		f.Add(s, s, 3)
	}
	f.Fuzz(func(t *testing.T, name, fact string, n int) {
		p := chat.Panel{Title: name, Blocks: []chat.Block{chat.Pre{Lines: strings.Split(fact, "\n")}, chat.Exact{Label: name, Value: chat.NewSecret(fact)}}}
		for range min(max(n, 0), 50) {
			p.Blocks = append(p.Blocks, chat.Row{Name: name, Facts: chat.Texts(fact, chat.B(name), chat.C(fact)), Button: &chat.Button{ID: "ct:1:show", Label: name}})
		}
		raw, err := Render(p)
		if err != nil {
			t.Fatal(err)
		}
		if v := violations(raw); v != nil {
			t.Fatal(strings.Join(v, "\n"))
		}
	})
}
