package slacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// At is where a person acts: a message (Channel and TS), the modal on top of
// their screen (View), or their Home tab (Home). Block is needed only where
// two blocks of it have a control with the same action_id.
type At struct {
	Channel, TS string
	View        string
	Home        bool
	Block       string
}

// Outcome is what comes back to a person at once. What the bot does after that
// is to be seen in the messages and views.
type Outcome struct {
	EnvelopeID string // of what the bot was told; empty if it was told nothing
	Trigger    string // of a command: what opens a window for it
	Response   string // of a command: the path that takes its answers
	Took       time.Duration
	Ack        json.RawMessage   // what the bot acknowledged with, if anything
	Asked      *Dialog           // the confirmation that was shown
	Cancelled  bool              // and was declined: the bot was told nothing
	URL        string            // what the person's browser opened
	Errors     map[string]string // by block_id: why the form stays open
}

// Dialog is a control's native confirmation.
type Dialog struct{ Title, Text, Confirm, Deny, Style string }

// ClickOption changes how a control is used.
type ClickOption uint8

// WithCancel declines the confirmation that a control asks for.
const WithCancel ClickOption = 1

// Command types the app's slash command, and text after it, into a channel. It
// returns when the bot has acknowledged. Errors: [ErrTimeout],
// [ErrNotConnected]; others say what a person could not do here.
func (s *Server) Command(ctx context.Context, user, channel, text string) (Outcome, error) {
	var trigger, path string
	out, err := s.tell(ctx, func() (*envelope, error) {
		ch, err := s.where(user, channel)
		if err != nil {
			return nil, err
		}
		address := s.newResponseURL(user, ch.id, nil)
		path, trigger = strings.TrimPrefix(address, s.base), s.newTrigger(user, nil)
		u := s.responseURLs[path]
		return s.dispatch("slash_commands", true, object{
			"token": verificationToken, "team_id": s.people[user].team, "team_domain": teamDomain, "channel_id": ch.id, "channel_name": ch.label(),
			"user_id": user, "user_name": s.people[user].name, "command": s.opts.Command, "text": text, "api_app_id": AppID,
			"is_enterprise_install": "false", "response_url": address, "trigger_id": trigger,
		}, func(payload json.RawMessage) {
			c := &call{req: &Request{}}
			if json.Unmarshal(payload, &c.json) != nil || len(c.json) == 0 {
				return
			}
			if no := s.respond(u, c); no != nil {
				s.surprise("acknowledgement of a slash command: %s", encode(no))
			}
		})
	})
	out.Trigger, out.Response = trigger, path
	return out, err
}

const verificationToken = "legacy-verification-token"

// tell lets a person do something and waits for the acknowledgement.
func (s *Server) tell(ctx context.Context, do func() (*envelope, error)) (Outcome, error) {
	s.mu.Lock()
	start := s.opts.Now()
	e, err := do()
	s.mu.Unlock()
	if err != nil || e == nil {
		return Outcome{}, err
	}
	err = s.settle(ctx, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Outcome{EnvelopeID: e.id, Took: s.opts.Now().Sub(start), Ack: e.ack}, err
}

// place is a surface that a person has before them.
type place struct {
	blocks  []any
	inputs  inputs
	message *message
	channel *channel
	view    *view
}

func (s *Server) place(user string, at At) (*place, error) {
	switch {
	case s.people[user] == nil:
		return nil, fmt.Errorf("slacktest: no user %s", user)
	case at.Home:
		v := s.homes[user]
		if v == nil {
			return nil, fmt.Errorf("slacktest: %s has an empty Home tab", user)
		}
		return &place{blocks: v.blocks(), inputs: v.inputs, view: v}, nil
	case at.View != "":
		v, err := s.onTop(user, at.View)
		if err != nil {
			return nil, err
		}
		return &place{blocks: v.blocks(), inputs: v.inputs, view: v}, nil
	}
	ch := s.channels[at.Channel]
	if ch == nil || !ch.members[user] {
		return nil, fmt.Errorf("slacktest: %s is not in channel %q", user, at.Channel)
	}
	m := ch.find(at.TS)
	if m == nil || m.only != "" && m.only != user {
		return nil, fmt.Errorf("slacktest: %s sees no message %q in %s", user, at.TS, at.Channel)
	}
	if m.inputs[user] == nil {
		m.inputs[user] = initial(m.blocks)
	}
	return &place{blocks: m.blocks, inputs: m.inputs[user], message: m, channel: ch}, nil
}

// onTop returns the modal that a person can act on.
func (s *Server) onTop(user, id string) (*view, error) {
	v := s.top(user)
	if v == nil || v.id != id {
		return nil, fmt.Errorf("slacktest: %s has no modal %q on top", user, id)
	}
	return v, nil
}

// Click presses a button, or chooses the option of a menu whose value is
// actionID. It returns when the bot has acknowledged. Errors: [ErrTimeout],
// [ErrNotConnected]; others say that there is no such control for this person.
func (s *Server) Click(ctx context.Context, user string, at At, actionID string, opts ...ClickOption) (Outcome, error) {
	return s.use(ctx, user, at, opts, fmt.Sprintf("no button %q", actionID), func(c control) (object, bool) {
		switch c.kind() {
		case "button":
			return nil, c.actionID() == actionID
		case "overflow":
			opt := choice(c.element, actionID)
			return opt, opt != nil
		}
		return nil, false
	})
}

// Choose picks the option with a value in a menu, select, group of radio
// buttons or, turning it on or off, of checkboxes and of a select of several. Inside a form the bot is
// told only if the block dispatches actions. Errors as for [Server.Click].
func (s *Server) Choose(ctx context.Context, user string, at At, actionID, value string, opts ...ClickOption) (Outcome, error) {
	what := fmt.Sprintf("no choice %q with an option %q", actionID, value)
	return s.use(ctx, user, at, opts, what, func(c control) (object, bool) {
		opt := choice(c.element, value)
		return opt, opt != nil && c.actionID() == actionID
	})
}

// use acts on the one control that match finds, and on the option it names.
func (s *Server) use(
	ctx context.Context, user string, at At, opts []ClickOption, what string, match func(control) (option object, ok bool),
) (Outcome, error) {
	var shown Outcome
	out, err := s.tell(ctx, func() (*envelope, error) {
		p, err := s.place(user, at)
		if err != nil {
			return nil, err
		}
		var found []control
		var option object
		for _, c := range controls(p.blocks) {
			if at.Block != "" && c.blockID() != at.Block {
				continue
			}
			if opt, ok := match(c); ok {
				found, option = append(found, c), opt
			}
		}
		switch len(found) {
		case 0:
			return nil, fmt.Errorf("slacktest: %s there for %s", what, user)
		case 1:
		default:
			return nil, fmt.Errorf("slacktest: not only one: say which block (%s for %s)", what, user)
		}
		c := found[0]
		if q, ok := c.element["confirm"].(object); ok {
			shown.Asked = dialog(q)
		}
		if slices.Contains(opts, WithCancel) {
			if shown.Asked == nil {
				return nil, fmt.Errorf("slacktest: %s asks nothing", c.actionID())
			}
			shown.Cancelled = true
			return nil, nil
		}
		if u, ok := option["url"].(string); ok {
			shown.URL = u
		}
		if u, ok := c.element["url"].(string); ok {
			shown.URL = u
		}
		p.inputs.choose(c, option)
		s.touch()
		if dispatches, _ := c.block["dispatch_action"].(bool); c.isInput() && !dispatches {
			return nil, nil
		}
		return s.dispatch("interactive", true, s.blockActions(user, p, c, option), nil)
	})
	out.Asked, out.Cancelled, out.URL = shown.Asked, shown.Cancelled, shown.URL
	return out, err
}

func dialog(q object) *Dialog {
	words := func(name string) string {
		o, _ := q[name].(object)
		s, _ := o["text"].(string)
		return s
	}
	style, _ := q["style"].(string)
	return &Dialog{Title: words("title"), Text: words("text"), Confirm: words("confirm"), Deny: words("deny"), Style: style}
}

// choose notes a choice.
func (in inputs) choose(c control, option object) {
	switch c.kind() {
	case "static_select", "radio_buttons":
		in.set(c, object{"type": c.kind(), "selected_option": option})
	case "checkboxes", "multi_static_select":
		old, _ := in.get(c)["selected_options"].([]any)
		chosen := slices.DeleteFunc(slices.Clone(old), func(o any) bool { return o.(object)["value"] == option["value"] })
		if len(chosen) == len(old) {
			chosen = append(chosen, option)
		}
		in.set(c, object{"type": c.kind(), "selected_options": append([]any{}, chosen...)})
	}
}

// blockActions is what the bot is told about a control.
func (s *Server) blockActions(user string, p *place, c control, option object) object {
	action := object{"type": c.kind(), "action_id": c.actionID(), "block_id": c.blockID(), "action_ts": s.stamp()}
	for _, name := range []string{"text", "value", "style", "url", "placeholder", "confirm"} {
		if v, ok := c.element[name]; ok {
			action[name] = v
		}
	}
	switch c.kind() {
	case "overflow":
		action["selected_option"] = option
	case "static_select", "multi_static_select", "radio_buttons", "checkboxes":
		for name, v := range p.inputs.get(c) {
			action[name] = v
		}
	}
	o := s.interaction("block_actions", user)
	o["actions"] = []any{action}
	if p.view != nil {
		o["trigger_id"] = s.newTrigger(user, p.view)
		o["container"] = object{"type": "view", "view_id": p.view.id}
		o["view"] = p.view.object()
		return o
	}
	m := p.message
	container := object{"type": "message", "message_ts": m.ts, "channel_id": m.channel, "is_ephemeral": m.only != ""}
	if m.thread != "" {
		container["thread_ts"] = m.thread
	}
	o["container"] = container
	o["channel"] = object{"id": m.channel, "name": p.channel.label()}
	if m.only == "" {
		o["message"] = m.object()
	}
	o["state"] = p.inputs.object()
	o["trigger_id"] = s.newTrigger(user, nil)
	o["response_url"] = s.newResponseURL(user, m.channel, m)
	return o
}

// interaction is what all interactions have in common.
func (s *Server) interaction(kind, user string) object {
	name := s.people[user].name
	return object{
		"type": kind, "api_app_id": AppID, "token": verificationToken,
		"user": object{"id": user, "username": name, "name": name, "team_id": s.people[user].team},
		"team": object{"id": TeamID, "domain": teamDomain}, "enterprise": nil, "is_enterprise_install": false,
	}
}

// FormError says why Slack's client does not let a form go: by block_id. The
// bot was told nothing.
type FormError struct{ Fields map[string]string }

func (e *FormError) Error() string {
	return fmt.Sprintf("slacktest: the form is not complete: %v", e.Fields)
}

// Type fills inputs of the modal on top without sending it: block_id → what is
// typed, or the value of an option (of several: values between commas). The
// empty string clears an input.
func (s *Server) Type(user, viewID string, values map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.onTop(user, viewID)
	if err != nil {
		return err
	}
	return s.fill(v, values)
}

func (s *Server) fill(v *view, values map[string]string) error {
	for _, block := range sortedKeys(values) {
		all := controls(v.blocks())
		i := slices.IndexFunc(all, func(c control) bool { return c.isInput() && c.blockID() == block })
		if i < 0 {
			return fmt.Errorf("slacktest: modal %s has no input %q", v.id, block)
		}
		c, value := all[i], values[block]
		o := object{"type": c.kind()}
		switch c.kind() {
		case "static_select", "radio_buttons":
			o["selected_option"] = nil
			if value != "" {
				opt := choice(c.element, value)
				if opt == nil {
					return fmt.Errorf("slacktest: input %q of modal %s has no option %q", block, v.id, value)
				}
				o["selected_option"] = opt
			}
		case "checkboxes", "multi_static_select":
			chosen := []any{}
			for _, one := range strings.Split(value, ",") {
				if value == "" {
					break
				}
				opt := choice(c.element, one)
				if opt == nil {
					return fmt.Errorf("slacktest: input %q of modal %s has no option %q", block, v.id, one)
				}
				chosen = append(chosen, opt)
			}
			o["selected_options"] = chosen
		default:
			o["value"] = nil
			if value != "" {
				o["value"] = value
			}
		}
		v.inputs.set(c, o)
	}
	s.touch()
	return nil
}

// complete returns what Slack's client has against a form, by block_id.
func complete(v *view) map[string]string {
	wrong := map[string]string{}
	for _, c := range controls(v.blocks()) {
		if !c.isInput() {
			continue
		}
		value := v.inputs.get(c)
		typed, _ := value["value"].(string)
		chosen, _ := value["selected_options"].([]any)
		if typed == "" && len(chosen) == 0 && value["selected_option"] == nil {
			if optional, _ := c.block["optional"].(bool); !optional {
				wrong[c.blockID()] = "is required"
			}
			continue
		}
		if problem := mistyped(c, typed); problem != "" {
			wrong[c.blockID()] = problem
		}
	}
	return wrong
}

func mistyped(c control, value string) string {
	bound := func(name string) (float64, bool) {
		n, err := strconv.ParseFloat(fmt.Sprint(c.element[name]), 64)
		return n, err == nil
	}
	var n float64
	low, high := "min_length", "max_length"
	switch c.kind() {
	case "plain_text_input":
		n = float64(utf8.RuneCountInString(value))
	case "number_input":
		var err error
		if n, err = strconv.ParseFloat(value, 64); err != nil {
			return "is no number"
		}
		if c.element["is_decimal_allowed"] != true && strings.Contains(value, ".") {
			return "is no whole number"
		}
		low, high = "min_value", "max_value"
	case "email_text_input":
		if name, host, ok := strings.Cut(value, "@"); !ok || name == "" || host == "" {
			return "is no address"
		}
		return ""
	case "url_text_input":
		if u, err := url.Parse(value); err != nil || u.Scheme == "" || u.Host == "" {
			return "is no link"
		}
		return ""
	default:
		return ""
	}
	if minimum, ok := bound(low); ok && n < minimum {
		return "is below its " + low
	}
	if maximum, ok := bound(high); ok && n > maximum {
		return "is above its " + high
	}
	return ""
}

// Submit fills the modal on top as [Server.Type] does and sends it. It returns
// when the bot has acknowledged, with the bot's field errors in the Outcome if
// the form stays open for them. Errors: [*FormError] (nothing was sent),
// [ErrTimeout], [ErrNotConnected], [ErrTrouble].
func (s *Server) Submit(ctx context.Context, user, viewID string, values map[string]string) (Outcome, error) {
	var v *view
	var trouble error
	out, err := s.tell(ctx, func() (*envelope, error) {
		var err error
		if v, err = s.onTop(user, viewID); err != nil {
			return nil, err
		}
		if v.doc["submit"] == nil {
			return nil, fmt.Errorf("slacktest: modal %s cannot be submitted", viewID)
		}
		if err := s.fill(v, values); err != nil {
			return nil, err
		}
		v.errors = nil
		if wrong := complete(v); len(wrong) > 0 {
			return nil, &FormError{wrong}
		}
		o := s.interaction("view_submission", user)
		o["trigger_id"], o["view"], o["response_urls"] = s.newTrigger(user, v), v.object(), []any{}
		return s.dispatch("interactive", true, o, func(payload json.RawMessage) {
			trouble = s.submitted(user, v, payload)
		})
	})
	if err == nil {
		err = trouble
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v != nil {
		out.Errors = v.errors
	}
	return out, err
}

// submitted does what the acknowledgement of a form asks for.
func (s *Server) submitted(user string, v *view, payload json.RawMessage) error {
	c := &call{req: &Request{}}
	_ = json.Unmarshal(payload, &c.json)
	trouble := func(format string, args ...any) error {
		s.surprise("acknowledgement of a submission: "+format, args...)
		return ErrTrouble
	}
	stack := s.stacks[user]
	switch action := c.str("response_action"); action {
	case "":
		if len(c.json) > 0 {
			return trouble("no response_action in %s", payload)
		}
		if len(stack) > 0 {
			s.stacks[user] = stack[:len(stack)-1]
		}
	case "clear":
		s.stacks[user] = nil
	case "errors":
		errs := map[string]string{}
		if json.Unmarshal(c.json["errors"], &errs) != nil || len(errs) == 0 {
			return trouble("no errors in %s", payload)
		}
		for block := range errs {
			if !slices.ContainsFunc(controls(v.blocks()), func(c control) bool { return c.isInput() && c.blockID() == block }) {
				return trouble("an error for %q, which is no input", block)
			}
		}
		v.errors = errs
	case "update", "push":
		at := v
		if action == "push" {
			at = nil
		}
		doc, no := s.viewArgument(c, inModal, at)
		switch {
		case no != nil:
			return trouble("%s", encode(no))
		case !slices.Contains(stack, v):
			return trouble("the modal is gone")
		case action == "push" && len(stack) >= maxStack:
			return trouble("push_limit_reached")
		case action == "push":
			s.push(user, doc)
		default:
			s.show(v, doc)
			v.updates++
		}
	default:
		return trouble("unknown response_action %q", action)
	}
	s.touch()
	return nil
}

// CloseView closes the modal on top, and all below it if it says so. The bot is
// told where the view asks for that.
func (s *Server) CloseView(ctx context.Context, user, viewID string) (Outcome, error) {
	var told []*envelope
	s.mu.Lock()
	start := s.opts.Now()
	v, err := s.onTop(user, viewID)
	if err == nil {
		stack := s.stacks[user]
		cleared := v.flag("clear_on_close")
		closing := stack[len(stack)-1:]
		if cleared {
			closing = stack
		}
		s.stacks[user] = slices.Clone(stack[:len(stack)-len(closing)])
		for _, v := range slices.Backward(closing) {
			if !v.flag("notify_on_close") {
				continue
			}
			o := s.interaction("view_closed", user)
			o["view"], o["is_cleared"] = v.object(), cleared
			var e *envelope
			if e, err = s.dispatch("interactive", false, o, nil); err != nil {
				break
			}
			told = append(told, e)
		}
		s.touch()
	}
	s.mu.Unlock()
	var out Outcome
	for _, e := range told {
		if out.EnvelopeID == "" {
			out.EnvelopeID = e.id
		}
		if wait := s.settle(ctx, e); err == nil {
			err = wait
		}
	}
	out.Took = s.opts.Now().Sub(start)
	return out, err
}

// OpenHome opens the Home tab of the app. Nobody sees it if the bot does not
// acknowledge; ErrTimeout says so all the same.
func (s *Server) OpenHome(ctx context.Context, user string) (Outcome, error) {
	return s.tell(ctx, func() (*envelope, error) {
		if s.people[user] == nil {
			return nil, fmt.Errorf("slacktest: no user %s", user)
		}
		event := object{"type": "app_home_opened", "user": user, "channel": s.dm(user).id, "tab": "home", "event_ts": s.stamp()}
		if v := s.homes[user]; v != nil {
			event["view"] = v.object()
		}
		return s.dispatch("events_api", false, object{
			"token": verificationToken, "team_id": TeamID, "api_app_id": AppID, "event": event, "type": "event_callback",
			"event_id": fmt.Sprintf("Ev%08d", s.nextID()), "event_time": s.opts.Now().Unix(), "is_ext_shared_channel": false,
			"authorizations": []any{object{
				"enterprise_id": nil, "team_id": TeamID, "user_id": BotUserID, "is_bot": true, "is_enterprise_install": false,
			}},
		}, nil)
	})
}
