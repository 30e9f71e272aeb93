package chat

import (
	"context"
	"log/slog"
	"slices"
)

type requestKey struct{}

// WithRequest ties whatever is done under ctx to something that a person did:
// [LogRequests] adds these attributes to every line that is logged with it.
func WithRequest(ctx context.Context, attrs ...slog.Attr) context.Context {
	return context.WithValue(ctx, requestKey{}, append(slices.Clip(requestOf(ctx)), attrs...))
}

// SameRequest ties ctx to what of is tied to.
func SameRequest(ctx, of context.Context) context.Context { return WithRequest(ctx, requestOf(of)...) }

func requestOf(ctx context.Context) []slog.Attr {
	attrs, _ := ctx.Value(requestKey{}).([]slog.Attr)
	return attrs
}

// LogRequests makes a log say which request a line belongs to, from the click
// to the task: one id finds all of it.
func LogRequests(h slog.Handler) slog.Handler { return requests{h, nil} }

type requests struct {
	slog.Handler
	said []string // keys that the logger has of its own
}

// Handle adds what ctx holds and the line does not say itself.
func (h requests) Handle(ctx context.Context, r slog.Record) error {
	attrs := requestOf(ctx)
	if len(attrs) == 0 {
		return h.Handler.Handle(ctx, r)
	}
	said := slices.Clone(h.said)
	r.Attrs(func(a slog.Attr) bool {
		said = append(said, a.Key)
		return true
	})
	r = r.Clone()
	for _, a := range attrs {
		if !slices.Contains(said, a.Key) {
			r.AddAttrs(a)
			said = append(said, a.Key)
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h requests) WithAttrs(attrs []slog.Attr) slog.Handler {
	said := slices.Clip(h.said)
	for _, a := range attrs {
		said = append(said, a.Key)
	}
	return requests{h.Handler.WithAttrs(attrs), said}
}

// WithGroup implements slog.Handler.
func (h requests) WithGroup(name string) slog.Handler {
	return requests{h.Handler.WithGroup(name), h.said}
}
