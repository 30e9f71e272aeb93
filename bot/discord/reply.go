package discord

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

// Types of a first response.
const (
	respondNone     = 0
	respondMessage  = 4
	respondThinking = 5 // a message comes later
	respondNothing  = 6 // the control's message changes later, or stays
	respondInPlace  = 7 // the control's message changes
	respondChoices  = 8
	respondModal    = 9
)

// A reply is what an interaction has been answered with so far. Discord takes
// one first response; what follows goes by the interaction's token.
type reply struct {
	*Adapter
	in    interaction
	loud  bool      // what comes later is for the whole channel
	until time.Time // the token's end
	first int       // the type of the first response
}

// respond makes the first response. It tries twice: nobody else can answer.
func (p *reply) respond(ctx context.Context, kind int, data, out any) error {
	r := request{
		method: http.MethodPost,
		path:   "interactions/" + p.in.ID + "/" + url.PathEscape(string(p.in.Token)) + "/callback",
		route:  "interactions/{interaction}/{token}/callback",
	}
	if out != nil {
		r.path += "?with_response=true"
	}
	body := struct {
		Type int `json:"type"`
		Data any `json:"data,omitempty"`
	}{kind, data}
	err := p.call(ctx, r, body, out)
	again, limited := pause(err)
	switch {
	case err == nil:
	case limited && again <= shortPause:
		if pace.Sleep(ctx, again) != nil {
			return err
		}
		err = p.call(ctx, r, body, out)
	case !limited && (status(err) == 0 || status(err) >= http.StatusInternalServerError):
		// It may have arrived: then Discord says that it has been answered.
		if err = p.call(ctx, r, body, out); code(err) == codeAcknowledged {
			err = nil
		}
	}
	if err == nil {
		p.first = kind
	}
	return err
}

// think says that the answer takes longer.
func (p *reply) think(ctx context.Context) error {
	if p.in.Message != nil {
		return p.respond(ctx, respondNothing, nil, nil)
	}
	flags := flagEphemeral
	if p.loud {
		flags = 0
	}
	return p.respond(ctx, respondThinking, map[string]int{"flags": flags}, nil)
}

// nothing answers without showing anything, or not yet.
func (p *reply) nothing(ctx context.Context, yet bool) error {
	if p.first == respondNone {
		if !yet {
			p.loud = false // nobody else should see it come and go
		}
		if err := p.think(ctx); err != nil {
			return err
		}
	}
	if yet || p.first != respondThinking {
		return nil
	}
	return p.discard(ctx)
}

// discard deletes the message that was acted on, or that was to come.
func (p *reply) discard(ctx context.Context) error {
	if p.first == respondNone {
		if err := p.think(ctx); err != nil {
			return err
		}
	}
	return p.call(ctx, p.byToken(http.MethodDelete, p.in.Token, original), nil, nil)
}

// mayOpen reports whether a modal can still be shown.
func (p *reply) mayOpen() bool { return p.first == respondNone && p.in.Type != submitted }

// open shows a form as a modal.
func (p *reply) open(ctx context.Context, f chat.Form) error {
	return p.respond(ctx, respondModal, modalOf(f), nil)
}

// copy opens a value as a form.
func (p *reply) copy(ctx context.Context) error {
	if p.in.Type == submitted { // closed again
		return p.nothing(ctx, false)
	}
	if f, ok := p.copies.form(p.now(), p.in.Data.CustomID); ok {
		return p.open(ctx, f)
	}
	_, err := p.place(ctx, chat.Message{Blocks: []chat.Block{
		chat.Para{Text: chat.Texts("It is hidden again. Ask for it once more.")},
	}}, false)
	return err
}

// place shows s: in place of the message that was acted on where that is wanted
// and possible, else as a message of its own.
func (p *reply) place(ctx context.Context, s chat.Surface, inPlace bool) (chat.Ref, error) {
	w, err := p.render(s)
	if err != nil {
		return chat.Ref{}, err
	}
	inPlace = inPlace && p.in.Message != nil && (p.in.private() || !w.private) && p.first != respondMessage && p.first != respondModal
	private := w.private
	if inPlace {
		private = p.in.private()
	}
	body := *w.message
	if private {
		body.Flags |= flagEphemeral
	}
	edit := body
	edit.Flags = flagComponents

	shown, where := source{}, original
	switch {
	case p.first == respondNone && inPlace:
		err = p.respond(ctx, respondInPlace, body, nil)
	case p.first == respondNone:
		shown.ID, err = p.message(ctx, body)
	case inPlace, p.first == respondThinking && private != p.loud:
		err = p.call(ctx, p.byToken(http.MethodPatch, p.in.Token, original), edit, &shown)
	default:
		if p.first == respondThinking { // it would decide who sees the next one
			if err := p.discard(ctx); err != nil {
				return chat.Ref{}, err
			}
		}
		err = p.call(ctx, p.byToken(http.MethodPost, p.in.Token, ""), body, &shown)
		where = shown.ID
	}
	if err != nil {
		return chat.Ref{}, err
	}
	if inPlace {
		shown.ID = p.in.Message.ID
	} else {
		p.first = respondMessage
	}
	return p.ref(s, shown.ID, where, private), nil
}

// message responds with a message and returns its id.
func (p *reply) message(ctx context.Context, body message) (string, error) {
	var out struct {
		Resource struct {
			Message source `json:"message"`
		} `json:"resource"`
	}
	if err := p.respond(ctx, respondMessage, body, &out); err != nil {
		return "", err
	}
	if id := out.Resource.Message.ID; id != "" {
		return id, nil
	}
	var there source
	err := p.call(ctx, p.byToken(http.MethodGet, p.in.Token, original), nil, &there)
	return there.ID, err
}

// ref says how what was shown can be reached: a message to everybody by its
// channel, for as long as it is there; anything else by the token.
func (p *reply) ref(s chat.Surface, id, where string, private bool) chat.Ref {
	r := messageRef(p.in.Channel, id)
	if !private && !p.in.blind() {
		return r
	}
	if private {
		r.Kind = chat.PrivateRef
		if _, ok := s.(chat.Message); !ok {
			r.Kind = chat.PanelRef
		}
	}
	r.Until = p.until
	return chat.NewRef(r, grip(p.in.Token, where))
}
