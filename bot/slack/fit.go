package slack

import (
	"fmt"
	"strings"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
)

// How much fits on a surface. Slack refuses a message of about 13,200
// characters of JSON without documenting it; the other figures are documented.
const (
	messageBlocks = 50
	messageSize   = 13_000 // characters, the fallback text included
	viewBlocks    = 100
	viewSize      = 240_000 // bytes, of 250 KB, which the view's frame shares
	ackSize       = 18_000  // bytes, of the 20 KB of an answer over the socket
)

// kind says what is given up first where not everything fits.
type kind uint8

const (
	listed kind = iota // a row
	entry              // an item
	other
	asked // an input
)

// piece is what one chat.Block became; its blocks stay together.
type piece struct {
	kind   kind
	blocks []encoded
}

// fit returns the blocks of pieces within both limits. What is left out goes
// from the end, rows first, and a line says how many.
func fit(pieces []piece, blocks, limit int, measure func([]byte) int) []slackgo.Block {
	limit -= 64 // the frame around the blocks
	sizes := make([]int, len(pieces))
	n, total := 0, 0
	for i, p := range pieces {
		for _, b := range p.blocks {
			sizes[i] += measure(b) + 2
		}
		n += len(p.blocks)
		total += sizes[i]
	}
	out := make([]bool, len(pieces))
	left, first := 0, len(pieces)
	over := func() bool {
		if left == 0 {
			return n > blocks || total > limit
		}
		return n+1 > blocks || total+200 > limit // with the line
	}
	for k := listed; k <= asked; k++ {
		for i := len(pieces) - 1; i >= 0 && over(); i-- {
			if pieces[i].kind != k {
				continue
			}
			out[i], first = true, min(first, i)
			left++
			n -= len(pieces[i].blocks)
			total -= sizes[i]
		}
	}
	fitted := make([]slackgo.Block, 0, n+1)
	say := func(s string) {
		for _, b := range note(chat.Texts(s)) {
			line := encoded(write(nil, b))
			fitted = append(fitted, &line)
		}
	}
	for i, p := range pieces {
		if left > 0 && i == first {
			say(fmt.Sprintf("… and %d more", left))
		}
		if !out[i] {
			for j := range p.blocks {
				fitted = append(fitted, &p.blocks[j])
			}
		}
	}
	if len(fitted) == 0 {
		say("Nothing to show.")
	}
	return fitted
}

func charCount(b []byte) int { return utf8.RuneCount(b) }
func byteCount(b []byte) int { return len(b) }

// fallback is the text of a message where its blocks cannot be seen:
// notifications and screen readers. Slack reads mrkdwn there too.
func fallback(summary string, blocks []chat.Block) string {
	if blank(summary) {
		summary = words(blocks)
	}
	return mrkdwn(chat.Texts(summary), maxFallback/3) // one unit of width is three bytes at most
}

// words says what blocks show. A value to be copied is left out: it must be
// nowhere but in its box.
func words(blocks []chat.Block) string {
	var out []string
	add := func(texts ...string) {
		var said []string
		for _, t := range texts {
			if !blank(t) {
				said = append(said, line(t))
			}
		}
		if len(said) > 0 {
			out = append(out, strings.Join(said, " "))
		}
	}
	for _, b := range blocks {
		switch b := b.(type) {
		case chat.Heading:
			add(b.Text)
			add(b.Below.String())
		case chat.Para:
			add(b.Text.String())
		case chat.Note:
			add(b.Text.String())
		case chat.Row:
			add(b.Name, b.Word, b.Where)
		case chat.Item:
			add(b.Text.String())
		case chat.Fields:
			for _, f := range b {
				add(f.Label, f.Value.String())
			}
		case chat.Meters:
			for _, m := range b {
				if m.Percent >= 0 {
					add(m.Label, fmt.Sprintf("%d %%", m.Percent))
				}
			}
		case chat.Exact:
			add(b.Label)
		}
	}
	if len(out) == 0 {
		return "pvechat"
	}
	return strings.Join(out, " · ")
}
