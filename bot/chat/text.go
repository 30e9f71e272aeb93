package chat

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Texts joins strings (normal), Spans and Texts.
func Texts(parts ...any) Text {
	var t Text
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			if p != "" {
				t = append(t, Span{Text: p})
			}
		case Span:
			t = append(t, p)
		case Text:
			t = append(t, p...)
		default:
			panic(fmt.Sprintf("chat: %T is no text", p))
		}
	}
	return t
}

// B is bold text.
func B(s string) Span { return Span{Text: s, Style: Bold} }

// C is code.
func C(s string) Span { return Span{Text: s, Style: Code} }

// At is a moment, shown as style says.
func At(t time.Time, style SpanStyle) Span { return Span{Time: t, Style: style} }

// Empty reports whether t shows nothing.
func (t Text) Empty() bool { return len(t) == 0 }

// String is t without styles; times in UTC. It serves summaries and tests.
func (t Text) String() string {
	var b strings.Builder
	for _, s := range t {
		switch s.Style {
		case Clock:
			b.WriteString(s.Time.UTC().Format("15:04 UTC"))
		case ClockSec, Age:
			b.WriteString(s.Time.UTC().Format("15:04:05 UTC"))
		case Day:
			b.WriteString(s.Time.UTC().Format("2 Jan 15:04:05 UTC"))
		default:
			b.WriteString(s.Text)
		}
	}
	return b.String()
}

func (v Values) String() string               { return fmt.Sprintf("[%d values]", len(v)) }
func (v Values) GoString() string             { return v.String() }
func (v Values) Format(f fmt.State, _ rune)   { fmt.Fprint(f, v.String()) }
func (v Values) LogValue() slog.Value         { return slog.StringValue(v.String()) }
func (v Values) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redacted) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
