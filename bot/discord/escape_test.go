package discord

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

func TestTextIsShownLiterally(t *testing.T) {
	at := time.Unix(1795444325, 0)
	for name, tt := range map[string]struct {
		text chat.Text
		want string
	}{
		"the hostile name of the screens":      {chat.Text{chat.B("*x*@everyone<!channel>`")}, "**\\*x\\*@\u200beveryone\\<!channel\\>\\`**"},
		"every mark of markdown":               {chat.Texts(`\ * _ ~ | > [ ]`), `\\ \* \_ \~ \| \> \[ \]`},
		"a link is not followed":               {chat.Texts("[free](https://evil.example)"), `\[free\](https\://evil.example)`},
		"a bare link is not either":            {chat.Texts("see http://x/"), `see http\://x/`},
		"mentions of all are parted":           {chat.Texts("@everyone @Here @Everyone"), "@\u200beveryone @\u200bHere @\u200bEveryone"},
		"an account's name stays to be copied": {chat.Texts("root@pam!bot"), "root@pam!bot"},
		"brackets and clocks stay":             {chat.Texts("CT is locked (backup), 14:32:05"), "CT is locked (backup), 14:32:05"},
		"the name of an emoji":                 {chat.Texts(":smile: a:b"), `\:smile: a:b`},
		"no heading and no list from a line":   {chat.Texts("# a\n- b\n-# c\n  - d\n1 - 2 #3"), "\\# a\n\\- b\n\\-# c\n\\- d\n1 - 2 #3"},
		"our own list":                         {chat.Texts("a\n• b • c"), "a\n- b • c"},
		"a code span keeps no backtick":        {chat.Text{chat.C("a`b``c")}, "`aˋbˋˋc`"},
		"a code span is not escaped":           {chat.Text{chat.C("a_b*c@everyone")}, "`a_b*c@everyone`"},
		"neighbours of one style are one":      {chat.Texts(chat.B("a"), chat.B("b"), "c"), "**ab**c"},
		"bold over lines":                      {chat.Text{chat.B("a\nb")}, "**a**\n**b**"},
		"nothing in bold":                      {chat.Texts("a", chat.B(""), chat.B(" "), "b"), "a b"},
		"no control characters":                {chat.Texts("a\x00b\x1b[1mc\td\r"), `ab\[1mc d`},
		"no turned text":                       {chat.Texts("a\u202eb\u2066c"), "abc"},
		"broken text":                          {chat.Texts("a\xffb"), "a\ufffdb"},
		"moments": {
			chat.Texts(chat.At(at, chat.Clock), " ", chat.At(at, chat.ClockSec), " ", chat.At(at, chat.Age), " ", chat.At(at, chat.Day)),
			"<t:1795444325:t> <t:1795444325:T> <t:1795444325:R> <t:1795444325:f>",
		},
		"a moment that is not known": {chat.Texts("since ", chat.At(time.Time{}, chat.Age)), "since –"},
		"nothing":                    {chat.Texts(" ", chat.B("\n")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := markdown(tt.text, "", 2000); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestDimTextIsDimOnEveryLine(t *testing.T) {
	got := markdown(chat.Texts("\n  a\n\n- b", chat.B("c\nd"), "\n"), "-# ", 2000)
	if want := "-# a\n-# \\- b**c**\n-# **d**"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// unescape shows markdown as Discord would, if it is nothing but escapes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return strings.ReplaceAll(b.String(), wall, "")
}

func TestTextIsCutBetweenCharactersAndNothingIsLost(t *testing.T) {
	for seed := range uint64(2000) {
		m := maker{rand.New(rand.NewPCG(seed, 2))}
		// What is changed on purpose is left out: what is left comes back whole.
		clean := strings.ReplaceAll(literal(m.text()), "•", "")
		clean = strings.Join(strings.Fields(clean), " ")
		for _, limit := range []int{3, 10, 100, 1 << 20} {
			out := markdown(chat.Texts(clean), "", limit)
			if n := units(out); n > limit {
				t.Fatalf("seed %d: %d characters of %d: %q", seed, n, limit, out)
			}
			shown := unescape(out)
			if shown == clean {
				continue
			}
			if head, ok := strings.CutSuffix(shown, ellipsis); !ok || !strings.HasPrefix(clean, head) || strings.HasSuffix(out, `\`+ellipsis) && !strings.HasSuffix(out, `\\`+ellipsis) {
				t.Fatalf("seed %d, limit %d: %q became %q", seed, limit, clean, out)
			}
			if limit == 1<<20 {
				t.Fatalf("seed %d: %q was cut to %q", seed, clean, out)
			}
		}
	}
}

func TestCutTextClosesItsMarks(t *testing.T) {
	for limit := 1; limit < 40; limit++ {
		out := markdown(chat.Texts("a ", chat.B("bold*bold*bold"), " ", chat.C("code code"), " rest"), "-# ", limit)
		if n := units(out); n > limit {
			t.Errorf("limit %d: %d characters: %q", limit, n, out)
		}
		if strings.Count(out, "**")%2 != 0 || strings.Count(out, "`")%2 != 0 {
			t.Errorf("limit %d: a mark is open: %q", limit, out)
		}
	}
}

func TestBarsFillToTheNearestCell(t *testing.T) {
	for percent, want := range map[int]string{
		-1:  "⬛⬛⬛⬛⬛",
		0:   "⬛⬛⬛⬛⬛",
		1:   "🟩⬛⬛⬛⬛",
		29:  "🟩⬛⬛⬛⬛",
		30:  "🟩🟩⬛⬛⬛",
		69:  "🟩🟩🟩⬛⬛",
		70:  "🟨🟨🟨🟨⬛",
		90:  "🟨🟨🟨🟨⬛",
		91:  "🟥🟥🟥🟥⬛",
		94:  "🟥🟥🟥🟥⬛",
		95:  "🟥🟥🟥🟥🟥",
		300: "🟥🟥🟥🟥🟥",
	} {
		if got := bar(percent); got != want {
			t.Errorf("%d %%: got %s, want %s", percent, got, want)
		}
	}
}
