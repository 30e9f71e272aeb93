package daemon

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// NewLog makes the log that the configuration wants.
func NewLog(c LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // was checked when it was read
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: leaveOutEmpty}
	var h slog.Handler = slog.NewJSONHandler(w, o)
	if c.Format == "text" {
		h = slog.NewTextHandler(w, o)
	}
	if level > slog.LevelDebug {
		h = calm{Handler: h, said: &said{last: map[string]*repeat{}}}
	}
	return slog.New(chat.LogRequests(h))
}

// leaveOutEmpty drops attributes that say nothing, such as the job of a line that
// is about none.
func leaveOutEmpty(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString, slog.KindAny: // any: strings of a type of their own
		if a.Value.String() == "" {
			return slog.Attr{}
		}
	}
	return a
}

// sayAgain is when a warning that lasts is logged again, with how often it came
// meanwhile.
const sayAgain = 10 * time.Minute

// calm logs once what goes wrong again and again by itself, such as every look
// at a cluster that is away. What a person asked for is never left out.
type calm struct {
	slog.Handler
	with string // of the logger
	said *said
}

type said struct {
	mu   sync.Mutex
	last map[string]*repeat
}

type repeat struct {
	at    time.Time
	times int // left out since
}

// Handle leaves a record out that says what another has said.
func (h calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	asked := false
	var key strings.Builder
	key.WriteString(h.with + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		asked = asked || a.Key == "request" && a.Value.String() != ""
		key.WriteString(identity(a))
		return true
	})
	if asked {
		return h.Handler.Handle(ctx, r)
	}
	times, again := h.said.note(key.String(), r.Time)
	if again {
		return nil
	}
	if times > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", times))
	}
	return h.Handler.Handle(ctx, r)
}

// identity is what an attribute has to do with whether two records say the
// same: numbers and times, such as that of an attempt, have nothing.
func identity(a slog.Attr) string {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString, slog.KindAny:
		return "\x00" + a.Key + "=" + v.String()
	default:
		return ""
	}
}

// note reports whether key was said lately, and if not how often it was left out
// before.
func (s *said) note(key string, now time.Time) (times int, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.last[key]
	if known != nil && now.Sub(known.at) < sayAgain {
		known.times++
		return 0, true
	}
	if known != nil {
		times = known.times
	}
	for k, r := range s.last {
		if now.Sub(r.at) >= 2*sayAgain {
			delete(s.last, k)
		}
	}
	s.last[key] = &repeat{at: now}
	return times, false
}

// WithAttrs implements [slog.Handler].
func (h calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.with += identity(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements [slog.Handler].
func (h calm) WithGroup(name string) slog.Handler {
	h.with += "\x00" + name
	h.Handler = h.Handler.WithGroup(name)
	return h
}
