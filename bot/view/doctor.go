package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/doctor"
)

// DoctorState is the state of the doctor's own message, which is replaced when
// it runs again.
const DoctorState = "doctor"

// runDoctor leads to it from wherever something is wrong.
var runDoctor = chat.Button{ID: "doctor:run", Label: "Run doctor"}

// examinedReasons are words of reasons of which the doctor can say more.
var examinedReasons = []string{
	"pvechat's token", "does not answer the rest of its cluster", "the proxy before proxmox", "(dns)", "refused the connection", "(timeout)", "(tls)",
	"broke off", "the tables differ", "database", "no quorum", "no route to host", "is down",
}

// doctorHelps reports whether a reason lies in what pvechat stands on.
func doctorHelps(reason string) bool {
	r := strings.ToLower(reason)
	return missingPrivilege.MatchString(reason) || slices.ContainsFunc(examinedReasons, func(s string) bool { return strings.Contains(r, s) })
}

// Limits of a doctor's message, so that it fits every platform whole: what is
// to be done must not lose its end.
const (
	doctorText   = 2400 // weight of the lines that are not good
	doctorGood   = 900  // and of those that are
	doctorDetail = 240  // characters
)

// weight is how long a text may become once it is escaped.
func weight(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case strings.ContainsRune("&<>", r):
			n += 5
		case r > 0x7f || strings.ContainsRune("\\*_~`|#[]():@", r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// flat is a text on one line, cut.
func flat(s string, n int) string { return cut(strings.NewReplacer("\n", " ", "\r", "").Replace(s), n) }

// Doctor is what the doctor found.
type Doctor struct {
	Report   doctor.Report
	Checking bool   // it is under way: the report is what memory says
	Version  string // of pvechat
	Now      time.Time
}

// Message is a private answer.
func (d Doctor) Message() chat.Message {
	r := d.Report
	wrong, warned, good := r.Count(doctor.Bad), r.Count(doctor.Warning), r.Count(doctor.Good)
	m := chat.Message{State: DoctorState, Tone: chat.Good, Summary: d.summary(wrong, warned, good)}
	switch {
	case wrong > 0:
		m.Tone = chat.Bad
	case warned > 0:
		m.Tone = chat.Warning
	case d.Checking:
		m.Tone = chat.Neutral
	}
	var below []string
	var sum chat.Text
	part := func(mark string, n int, word string, bold bool) {
		if n == 0 {
			return
		}
		if len(below) > 0 {
			sum = append(sum, chat.Span{Text: " · "})
		}
		words := fmt.Sprintf("%d%s%s", n, nbsp, word)
		below = append(below, words)
		if bold {
			sum = append(sum, chat.Texts(mark+" ", chat.B(words))...)
		} else {
			sum = append(sum, chat.Texts(mark+" "+words)...)
		}
	}
	part(markBad, wrong, "wrong", true)
	part(markWarn, warned, plural(warned, "warning"), true)
	part(markDone, good, "good", false)
	m.Blocks = append(m.Blocks, chat.Heading{Text: "Doctor", Below: sum})

	var fine chat.Text
	room, left, fineRoom, fineLeft := doctorText, 0, doctorGood, 0
	for _, c := range r.Checks {
		if c.State == doctor.Good {
			t := chat.Texts(markDone+" ", chat.B(flat(c.Title, 60)), "  "+flat(d.fact(c), 120))
			if fineRoom -= weight(t.String()); fineRoom < 0 {
				fineLeft++
				continue
			}
			if len(fine) > 0 {
				fine = append(fine, chat.Span{Text: "\n"})
			}
			fine = append(fine, t...)
			continue
		}
		t := d.line(c)
		if room -= weight(t.String()); room < 0 {
			left++
			continue
		}
		m.Blocks = append(m.Blocks, chat.Para{Text: t})
	}
	if left > 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts(fmt.Sprintf("… and %d more: ", left), chat.C("pvechat doctor"), " lists all.")})
	}
	if fineLeft > 0 {
		fine = append(fine, chat.Span{Text: fmt.Sprintf("\n… and %d more that are good", fineLeft)})
	}
	if len(fine) > 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: fine})
	}
	if d.Checking {
		m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(markBusy + " checking…")})
		return m
	}
	m.Blocks = append(m.Blocks, chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "doctor:run", Label: "Run again"}}})
	who := "pvechat"
	if d.Version != "" {
		who += " " + d.Version
	}
	m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(who+" · ran ", chat.At(r.At, chat.ClockSec), fmt.Sprintf(" · took %.1f%ss", r.Took.Seconds(), nbsp))})
	return m
}

// line is one that is not good: what, the facts, what to do.
func (d Doctor) line(c doctor.Check) chat.Text {
	mark := markWarn
	if c.State == doctor.Bad {
		mark = markBad
	}
	t := chat.Texts(mark+" ", chat.B(flat(c.Title, 100)))
	if c.Detail != "" {
		t = append(t, chat.Texts("\n"+flat(c.Detail, doctorDetail))...)
	}
	if !c.Since.IsZero() {
		style := chat.Clock
		if d.Now.Sub(c.Since) > 12*time.Hour {
			style = chat.Day
		}
		t = append(t, chat.Texts(", since ", chat.At(c.Since, style))...)
	}
	t = append(t, chat.Texts("\n→ "+c.Fix)...)
	if c.Command != "" {
		t = append(t, chat.Texts(" ", chat.C(c.Command))...)
	}
	return t
}

// fact is what is said of something good.
func (d Doctor) fact(c doctor.Check) string {
	if c.Since.IsZero() || d.Now.Before(c.Since) {
		return c.Detail
	}
	return strings.TrimPrefix(c.Detail+" · for "+Duration(d.Now.Sub(c.Since)), " · ")
}

func (d Doctor) summary(wrong, warned, good int) string {
	if d.Checking {
		return "Doctor: checking…"
	}
	s := fmt.Sprintf("Doctor: %d good, %s, %d wrong.", good, count(warned, "warning"), wrong)
	for _, k := range []struct {
		state doctor.State
		word  string
	}{{doctor.Bad, "Wrong"}, {doctor.Warning, "Warning"}} {
		var list []string
		for _, c := range d.Report.Checks {
			if c.State == k.state {
				list = append(list, flat(c.Title, 100))
			}
		}
		if len(list) > 3 {
			list = append(list[:3], fmt.Sprintf("and %d more", len(list)-3))
		}
		if len(list) > 0 {
			s += " " + k.word + ": " + strings.Join(list, "; ") + "."
		}
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
