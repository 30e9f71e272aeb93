package view

import (
	"fmt"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Audit is a page of who did what.
type Audit struct {
	Lines  []AuditLine
	Of, ID string    // whom or what it is about, and the id that stands for that; "" for all
	Since  time.Time // zero: from the beginning
	Before int64     // the number that the page ends before; 0: it is the newest
	More   bool      // there are older ones
	Now    time.Time
}

// AuditLine is one line of the audit.
type AuditLine struct {
	Seq             int64
	At              time.Time
	Who, Key        string // the name at that time, and "slack:U1"
	Action, Target  string
	Outcome, Detail string
	Request         string
}

// Message is a private answer.
func (a Audit) Message() chat.Message {
	head := "Audit"
	if a.Of != "" {
		head += " of " + cut(a.Of, 40)
	}
	m := chat.Message{Tone: chat.Neutral, Summary: fmt.Sprintf("%s: %s, newest first.", head, count(len(a.Lines), "line"))}
	below := chat.Texts("newest first")
	if !a.Since.IsZero() {
		below = chat.Texts("since ", chat.At(a.Since, chat.Day), " · newest first")
	}
	m.Blocks = append(m.Blocks, chat.Heading{Text: head, Below: below})
	if len(a.Lines) == 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts("Nothing was written down.")})
	}
	for _, l := range a.Lines {
		what := chat.Texts(chat.B(l.Action))
		if l.Target != "" {
			what = append(what, chat.Texts(" "+cut(l.Target, 60))...)
		}
		what = append(what, chat.Texts(" · "+l.Outcome)...)
		if l.Detail != "" {
			what = append(what, chat.Texts(" · "+cut(l.Detail, 100))...)
		}
		m.Blocks = append(m.Blocks, chat.Item{Text: what, Note: chat.Texts(
			fmt.Sprintf("%d · ", l.Seq), chat.At(l.At, chat.Day), " · "+cut(l.Who, 40)+" ("+cut(l.Key, 40)+") · id ", chat.C(l.Request))})
	}
	since := int64(0)
	if !a.Since.IsZero() {
		since = a.Since.Unix()
	}
	var b []chat.Button
	if a.Before > 0 {
		b = append(b, chat.Button{ID: cut(fmt.Sprintf("audit:0:%d:%s", since, a.ID), 80), Label: "Newest"})
	}
	if a.More {
		b = append(b, chat.Button{ID: cut(fmt.Sprintf("audit:%d:%d:%s", a.Lines[len(a.Lines)-1].Seq, since, a.ID), 80), Label: "Older"})
	}
	if len(b) > 0 {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "pages", Buttons: b})
	}
	m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts("Nobody can change a line unseen: ", chat.C("pvechat audit verify"), " says whether one was.")})
	return m
}
