package slack

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

const (
	patience     = 2500 * time.Millisecond // of Slack's three seconds
	formPatience = 2 * time.Second         // where the acknowledgement is the answer
	longestRetry = 2 * time.Second         // how long an answer waits for Slack's pause to end

	// settle is how long an acknowledged view is left alone. What replaces it
	// takes another road, and would be lost if it came first.
	settle = 300 * time.Millisecond
)

// serve answers one envelope. Everything is acknowledged at once and empty,
// except a form: its acknowledgement is its answer.
func (a *Adapter) serve(ctx context.Context, h chat.Handler, envelope string, payload []byte, ack func(any) error) {
	act, err := decode(envelope, payload, h.Commands(), a.config.Now())
	if act == nil || act.inv.Kind != chat.Submitted {
		if ackErr := ack(nil); ackErr != nil {
			a.config.Log.WarnContext(ctx, "acknowledgement was not sent", "envelope", envelope, "err", ackErr)
		}
	}
	if err != nil {
		a.config.Log.WarnContext(ctx, "slack sent what cannot be read", "envelope", envelope, "err", err)
	}
	if act == nil {
		return
	}
	ctx = withShown(ctx)
	act.inv.Person.Groups = a.groups.person(act.inv.Person.ID)
	act.inv.Person.Outsider = a.foreign(act.team)
	if act.inv.Kind == chat.Submitted {
		a.submit(ctx, h, act, ack)
		return
	}
	if answer, ok := a.ask(ctx, h, act, patience); ok {
		a.show(ctx, act, answer)
	}
}

// ask calls the handler. A panic there is nobody's answer.
func (a *Adapter) ask(ctx context.Context, h chat.Handler, act *act, patience time.Duration) (answer chat.Answer, ok bool) {
	defer a.recovered(ctx, act)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return h.Handle(ctx, act.inv), true
}

// recovered, deferred, keeps a handler's panic from ending the process.
func (a *Adapter) recovered(ctx context.Context, act *act) {
	if p := recover(); p != nil {
		a.config.Log.ErrorContext(ctx, "handler panicked", "id", act.inv.ID, "panic", chat.Panicked(p), "stack", string(debug.Stack()))
	}
}

// submit answers a form. A view in the answer takes the form's place: where
// the platform pushes one instead, it does not tell its id. What is shown
// elsewhere closes all windows, or it would not be seen.
func (a *Adapter) submit(ctx context.Context, h chat.Handler, act *act, ack func(any) error) {
	answer, ok := a.ask(ctx, h, act, formPatience)
	if !ok {
		return // unacknowledged, so the form stays and says that it was not sent
	}
	var reply any
	at := act.inv.Source
	switch now := answer.Now.(type) {
	case nil:
		at = chat.Ref{}
	case chat.Home:
		reply, at = slackgo.NewClearViewSubmissionResponse(), chat.Ref{}
	case chat.Message:
		if now.Public {
			reply, at = slackgo.NewClearViewSubmissionResponse(), chat.Ref{}
			break
		}
		reply = updateResponse(now, act)
	default:
		reply = updateResponse(now, act)
	}
	if errs := act.fieldErrors(answer.Errors); len(errs) > 0 {
		reply = slackgo.NewErrorsViewSubmissionResponse(errs)
	}
	if err := ack(reply); err != nil {
		a.config.Log.WarnContext(ctx, "a form was not answered", "id", act.inv.ID, "err", err)
		return
	}
	switch {
	case len(answer.Errors) > 0:
	case at.Zero():
		act.view.ID, answer.InPlace = "", false // closed by now
		a.show(ctx, act, answer)
	default:
		_ = pace.Sleep(ctx, settle) // cut short, it still has to be taken back
		a.follow(ctx, act, at, answer)
	}
}

func updateResponse(s chat.Surface, act *act) any {
	view := renderModal(s, act.inv.Channel, ackSize)
	return slackgo.NewUpdateViewSubmissionResponse(&view)
}

// fieldErrors are errors at inputs that the form has; what was said of others
// is said at the first. Slack shows nothing of an error at an unknown input.
func (a *act) fieldErrors(errs map[string]string) map[string]string {
	if len(a.inputs) == 0 {
		return nil
	}
	out := map[string]string{}
	for id, sentence := range errs {
		known := slices.Contains(a.inputs, id)
		if !known {
			id = a.inputs[0]
		}
		if known || out[id] == "" {
			out[id] = plain(sentence, maxLabel)
		}
	}
	return out
}

// show does what an answer says, and what follows from it.
func (a *Adapter) show(ctx context.Context, act *act, answer chat.Answer) {
	if answer.Now == nil && answer.Then != nil && !answer.InPlace {
		// There is nothing yet that its result could replace.
		then := answer.Then
		answer.Then = nil
		answer.Now, _ = a.later(ctx, act, then)
	}
	var at chat.Ref
	var err error
	switch {
	case answer.Now != nil:
		if at, err = a.once(ctx, func() (chat.Ref, error) { return a.present(ctx, act, answer) }); err != nil {
			at, err = a.missed(ctx, act, &answer, err)
		}
		if err == nil && answer.Close && act.inv.Source.Kind == chat.PrivateRef && at != act.inv.Source {
			err = a.Delete(ctx, act.inv.Source)
		}
	case answer.Close:
		err = a.close(ctx, act)
	case answer.InPlace:
		at = act.inv.Source
	}
	if err != nil {
		a.config.Log.WarnContext(ctx, "an answer was not shown", "id", act.inv.ID, "kind", act.inv.Kind, "err", err)
		return
	}
	a.follow(ctx, act, at, answer)
}

// later runs then where nothing is shown yet.
func (a *Adapter) later(ctx context.Context, act *act, then func(context.Context) (chat.Surface, error)) (chat.Surface, error) {
	defer a.recovered(ctx, act)
	return then(ctx)
}

func (a *Adapter) follow(ctx context.Context, act *act, at chat.Ref, answer chat.Answer) {
	defer a.recovered(ctx, act)
	if err := chat.Follow(ctx, a, at, answer); err != nil && !overtaken(err) {
		a.config.Log.WarnContext(ctx, "an answer was not followed up", "id", act.inv.ID, "at", at, "err", err)
	}
}

// missed tells the handler that its answer could not be shown, and shows a
// public one's replacement privately.
func (a *Adapter) missed(ctx context.Context, act *act, answer *chat.Answer, why error) (chat.Ref, error) {
	answer.Shown = nil // it was not
	if answer.Missed == nil {
		return chat.Ref{}, why
	}
	instead := answer.Missed(why)
	m, isMessage := answer.Now.(chat.Message)
	if instead == nil || !isMessage || !m.Public {
		return chat.Ref{}, why
	}
	a.config.Log.InfoContext(ctx, "an answer is shown privately instead", "id", act.inv.ID, "err", why)
	said := asMessage(instead)
	said.Public = false
	return a.once(ctx, func() (chat.Ref, error) { return a.private(ctx, act, said, false) })
}

// once repeats a call once, where Slack wants a short pause before.
func (a *Adapter) once(ctx context.Context, do func() (chat.Ref, error)) (chat.Ref, error) {
	at, err := do()
	if r, ok := errors.AsType[*chat.RateLimitedError](err); ok && r.RetryAfter <= longestRetry && pace.Sleep(ctx, r.RetryAfter) == nil {
		return do()
	}
	return at, err
}

// close closes what was acted on, as far as Slack lets an app do that.
func (a *Adapter) close(ctx context.Context, act *act) error {
	switch act.inv.Source.Kind {
	case chat.PrivateRef:
		return a.Delete(ctx, act.inv.Source)
	case chat.PanelRef:
		if act.inv.Kind == chat.Pressed {
			return a.Delete(ctx, act.inv.Source)
		}
	}
	return nil
}

// present shows Now where the act and its kind say.
func (a *Adapter) present(ctx context.Context, act *act, answer chat.Answer) (chat.Ref, error) {
	source := act.inv.Source
	replace := answer.InPlace || answer.Close
	switch now := answer.Now.(type) {
	case chat.Home:
		at := chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: act.inv.Person.ID}
		return at, a.Update(ctx, at, now)
	case chat.Message:
		if !now.Public {
			return a.private(ctx, act, now, replace)
		}
		if answer.InPlace && source.Kind == chat.MessageRef {
			return source, a.Update(ctx, source, now)
		}
		return a.public(ctx, act, now)
	}
	return a.window(ctx, act, answer.Now, replace)
}

// public posts m where the act was; where that is no channel, to the person.
func (a *Adapter) public(ctx context.Context, act *act, m chat.Message) (chat.Ref, error) {
	to := chat.Target{Channel: act.inv.Channel}
	if to.Channel == "" {
		to.Person = act.inv.Person.ID
	}
	if act.thread != "" {
		to.Thread = chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: to.Channel, ID: act.thread}
	}
	return a.Post(ctx, to, m)
}

// private shows m to the person alone: in the modal or private message that
// was acted on or over it, by the act's response address, or else in the
// channel, or in a direct message.
func (a *Adapter) private(ctx context.Context, act *act, m chat.Message, replace bool) (chat.Ref, error) {
	source := act.inv.Source
	switch {
	case act.view.ID != "" || source.Kind == chat.HomeRef && act.trigger != "":
		return a.window(ctx, act, m, replace)
	case act.response == "":
		return a.aside(ctx, act, m)
	case source.Kind == chat.PrivateRef && replace:
		return source, a.Update(ctx, source, m)
	}
	kind := more
	if act.inv.Kind == chat.Typed {
		kind = slash
	}
	at := kind.ref(act.inv.Channel, act.inv.ID, act.response, act.inv.At)
	return at, a.respond(ctx, act.response, response(m, false))
}

// aside shows m to the person alone where there is nothing of the act left to
// answer.
func (a *Adapter) aside(ctx context.Context, act *act, m chat.Message) (chat.Ref, error) {
	to := chat.Target{Person: act.inv.Person.ID}
	if !act.inv.Direct && act.inv.Channel != "" {
		to.Channel = act.inv.Channel
		if at, err := a.Post(ctx, to, m); err == nil || !errors.Is(err, chat.ErrForbidden) {
			return at, err
		}
		to.Channel = ""
	}
	return a.Post(ctx, to, m)
}

// window shows s as a modal: in place of the one that was acted on, over it,
// or as a new one. If it is too late for that, a message says the same.
func (a *Adapter) window(ctx context.Context, act *act, s chat.Surface, replace bool) (chat.Ref, error) {
	source := act.inv.Source
	inWindow := source.Kind == chat.PanelRef && act.view.ID != ""
	if inWindow && replace {
		return source, a.Update(ctx, source, s)
	}
	open, method := a.api.OpenViewContext, "views.open"
	if inWindow {
		open, method = a.api.PushViewContext, "views.push"
	}
	at := panelRef("", act.inv.Channel)
	_, done := a.hashes.expect(ctx, "")
	err := a.call(ctx, method, "", func() error {
		if act.trigger == "" {
			return slackgo.SlackErrorResponse{Err: "expired_trigger_id"}
		}
		view := renderModal(s, act.inv.Channel, viewSize)
		ctx := apart(ctx, &view.Blocks)
		v, err := open(ctx, string(act.trigger), view)
		if err == nil {
			at.ID = v.ID
			done(v)
		}
		return err
	})
	switch {
	case err == nil:
		return at, nil
	case !errors.Is(err, errTrigger):
		return chat.Ref{}, err
	case inWindow:
		return source, a.Update(ctx, source, s)
	case act.response != "":
		late := *act
		late.view = view{}
		return a.private(ctx, &late, asMessage(s), false)
	}
	return a.aside(ctx, act, asMessage(s))
}
