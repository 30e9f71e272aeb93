package chattest

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/pvechat/pvechat/bot/chat"
)

// Script is what a handler of a test says, and what it was asked. It answers
// nothing until it is told how.
type Script struct {
	mu   sync.Mutex
	play func(ctx context.Context, inv chat.Invocation) chat.Answer
	seen []chat.Invocation
}

// Handle is that of [chat.Handler].
func (s *Script) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	s.mu.Lock()
	s.seen = append(s.seen, inv)
	play := s.play
	s.mu.Unlock()
	if play == nil {
		return chat.Answer{}
	}
	return play(ctx, inv)
}

// Plays sets how everything is answered.
func (s *Script) Plays(play func(ctx context.Context, inv chat.Invocation) chat.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.play = play
}

// Answers sets what everything is answered with.
func (s *Script) Answers(a chat.Answer) {
	s.Plays(func(context.Context, chat.Invocation) chat.Answer { return a })
}

// Asked returns what the handler was asked, oldest first.
func (s *Script) Asked() []chat.Invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Last returns what the handler was asked last; the zero Invocation where it
// was asked nothing.
func (s *Script) Last() chat.Invocation {
	asked := s.Asked()
	if len(asked) == 0 {
		return chat.Invocation{}
	}
	return asked[len(asked)-1]
}

// Log is a log that may be read while it is written.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
