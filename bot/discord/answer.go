package discord

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Discord gives three seconds for the first response.
const (
	thinkWithin  = 1500 * time.Millisecond // then the person is told that it takes longer
	handleWithin = 2500 * time.Millisecond
	answerWithin = 10 * time.Second // for the requests that show an answer
	shortPause   = 2 * time.Second  // a rate limit that an answer can wait out
)

// interact serves one interaction from its arrival to the last thing that its
// answer does.
func (r *running) interact(raw json.RawMessage) {
	in, err := decode(raw)
	if err != nil {
		r.log.Error("discord sent what cannot be read", "error", err)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.panicked(in, p)
		}
	}()
	switch in.Type {
	case completing:
		r.complete(in)
	case typedCommand, pressed, submitted:
		r.answer(in)
	}
}

func (r *running) panicked(in interaction, p any) {
	r.log.Error("a handler panicked", "interaction", in.ID, "panic", chat.Panicked(p), "stack", string(debug.Stack()))
}

// ending is a context for telling an answer. It outlives the end of Run by a
// little: what has been done should be said.
func (r *running) ending() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.ctx), answerWithin)
}

func (r *running) complete(in interaction) {
	ctx, cancel := context.WithTimeout(r.ctx, handleWithin)
	defer cancel()
	choices := []commandChoice{}
	for _, c := range r.h.Complete(ctx, in.invocation(r.now(), r.Space())) {
		name := label(c.Label, maxOption)
		if name == "" || c.Value == "" || size(c.Value) > maxOption {
			continue
		}
		if choices = append(choices, commandChoice{Name: name, Value: c.Value}); len(choices) == maxChoices {
			break
		}
	}
	p := reply{Adapter: r.Adapter, in: in}
	if err := p.respond(ctx, respondChoices, map[string]any{"choices": choices}, nil); err != nil {
		r.log.Debug("discord: suggestions came too late", "interaction", in.ID, "error", err)
	}
}

func (r *running) answer(in interaction) {
	now := r.now()
	p := &reply{Adapter: r.Adapter, in: in, until: now.Add(tokenLife), loud: r.public(in)}
	if strings.HasPrefix(in.Data.CustomID, copyPrefix) {
		ctx, cancel := r.ending()
		defer cancel()
		r.told(in, p.copy(ctx))
		return
	}
	inv := in.invocation(now, r.Space())
	ans := r.handle(p, inv)
	if isPublic(ans.Now) && in.blind() && ans.Missed != nil {
		// It would be shown, and could never be changed.
		ans = chat.Answer{Now: quiet(ans.Missed(chat.ErrForbidden))}
	}
	at, err := r.show(p, inv, ans)
	switch {
	case err != nil:
		r.told(in, err)
		if ans.Missed != nil && code(err) != codeAcknowledged {
			r.missed(p, ans.Missed(err), err)
		}
	case len(ans.Errors) > 0:
	case ans.Now == nil && ans.Then != nil:
		r.told(in, r.later(p, ans))
	default:
		r.told(in, chat.Follow(r.ctx, r, at, ans))
	}
}

// later shows what Then returns where there was nothing to show before.
func (r *running) later(p *reply, ans chat.Answer) error {
	s, err := ans.Then(r.ctx)
	if err != nil {
		s = nil
	}
	at, err := func() (chat.Ref, error) {
		ctx, cancel := r.ending()
		defer cancel()
		if s == nil {
			return chat.Ref{}, p.nothing(ctx, false)
		}
		return p.place(ctx, s, ans.InPlace)
	}()
	if err != nil || s == nil {
		return err
	}
	ans.Then = nil
	return chat.Follow(r.ctx, r, at, ans)
}

// missed shows, to the person alone, what there is to say about an answer that
// could not be shown.
func (r *running) missed(p *reply, s chat.Surface, err error) {
	if s == nil || errors.Is(err, chat.ErrGone) {
		return
	}
	ctx, cancel := r.ending()
	defer cancel()
	_, err = p.place(ctx, quiet(s), false)
	r.told(p.in, err)
}

// told logs what went wrong with an answer.
func (r *running) told(in interaction, err error) {
	switch {
	case err == nil:
	case code(err) == codeAcknowledged, errors.Is(err, chat.ErrGone):
		r.log.Debug("discord: nothing left to answer", "interaction", in.ID, "error", err)
	default:
		r.log.Warn("discord: an answer could not be shown", "interaction", in.ID, "error", err)
	}
}

// public reports whether in is a command whose answer is for the channel.
func (r *running) public(in interaction) bool {
	if in.Type != typedCommand {
		return false
	}
	name := in.invocation(time.Time{}, chat.Space{}).Command
	for _, c := range r.commands {
		if c.Name == name {
			return c.Public
		}
	}
	return false
}

// handle asks the handler, and lets Discord know when that takes long.
func (r *running) handle(p *reply, inv chat.Invocation) chat.Answer {
	ctx, cancel := context.WithTimeout(r.ctx, handleWithin)
	defer cancel()
	got := make(chan chat.Answer, 1)
	go func() {
		var ans chat.Answer
		defer func() {
			if v := recover(); v != nil {
				r.panicked(p.in, v)
				ans = chat.Answer{}
			}
			got <- ans
		}()
		ans = r.h.Handle(ctx, inv)
	}()
	slow := time.NewTimer(thinkWithin)
	defer slow.Stop()
	select {
	case ans := <-got:
		return ans
	case <-slow.C:
	}
	deferring, cancel := r.ending()
	defer cancel()
	r.told(p.in, p.think(deferring))
	return <-got
}

// show shows an answer's Now, or its errors, and says where.
func (r *running) show(p *reply, inv chat.Invocation, ans chat.Answer) (chat.Ref, error) {
	ctx, cancel := r.ending()
	defer cancel()
	if inv.Kind == chat.Submitted {
		if len(ans.Errors) > 0 {
			r.forms.refused(r.now(), inv.Person.ID, inv.Action, inv.Values)
			f, _ := ans.Now.(chat.Form)
			return p.place(ctx, refusal(inv.Action, inv.State, f.Inputs, ans.Errors), true)
		}
		r.forms.done(inv.Person.ID, inv.Action)
	}
	if ans.Close && p.in.private() {
		if ans.Now != nil && !isPublic(ans.Now) {
			return p.place(ctx, ans.Now, true) // one ends where the other begins
		}
		if err := p.discard(ctx); err != nil || ans.Now == nil {
			return chat.Ref{}, err
		}
		ans.InPlace = false
	}
	if ans.Now == nil {
		return chat.Ref{}, p.nothing(ctx, ans.Then != nil)
	}
	if f, ok := ans.Now.(chat.Form); ok && asksAtOnce(f) {
		f = r.forms.opening(inv.Person.ID, f)
		if p.mayOpen() {
			return chat.Ref{}, p.open(ctx, f)
		}
	}
	return p.place(ctx, ans.Now, ans.InPlace)
}

func isPublic(s chat.Surface) bool {
	m, ok := s.(chat.Message)
	return ok && m.Public
}

// quiet is s for one person.
func quiet(s chat.Surface) chat.Surface {
	if m, ok := s.(chat.Message); ok {
		m.Public = false
		return m
	}
	return s
}
