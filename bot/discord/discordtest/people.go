package discordtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// NoResponse is what people read when the application did not answer in time.
const NoResponse = "The application did not respond"

// At is where a message is. The empty channel is the acting person's direct
// messages with the bot.
type At struct{ Channel, Message string }

// Choice is something to choose: of autocomplete, or of a select.
type Choice struct{ Name, Value string }

// Outcome is what a person perceives of the first response.
type Outcome struct {
	Interaction string // its id
	Type        int    // of the response: 4 message, 5 thinking, 6 nothing yet, 7 changed message, 9 form; 0 none
	Error       string // NoResponse where there was none in time
	Message     *Message
	Modal       *Modal
}

// Command types "/pve sub" with options given by their values; a choice is given
// by its value too. The empty channel is the person's direct messages.
//
// It returns at the first response, or when the time for that is over. The error
// is for what Discord's client does not let people do: a command, option or
// choice that is not registered there, a required option left out, a value out
// of its limits, a channel that they cannot see; and for the end of ctx.
func (s *Server) Command(ctx context.Context, userID, channelID, sub string, opts map[string]string) (Outcome, error) {
	return s.act(ctx, userID, channelID, func(u *user, ch *channel) (*interaction, object, error) {
		cmd, path, params, err := s.find(ch, sub)
		if err != nil {
			return nil, nil, err
		}
		left := maps.Clone(opts)
		given, resolved := []any{}, object{}
		for _, param := range params {
			name, _ := param["name"].(string)
			text, ok := left[name]
			delete(left, name)
			if !ok {
				if param["required"] == true {
					return nil, nil, fmt.Errorf("/pve %s: option %q is required", sub, name)
				}
				continue
			}
			value, err := s.optionValue(param, text, resolved)
			if err != nil {
				return nil, nil, fmt.Errorf("/pve %s: option %q: %w", sub, name, err)
			}
			given = append(given, object{"name": name, "type": number(param["type"]), "value": value})
		}
		for name := range left {
			return nil, nil, fmt.Errorf("/pve %s has no option %q", sub, name)
		}
		return s.newInteraction(interactionCommand, u, ch), cmd.data(path, given, resolved), nil
	})
}

// Autocomplete types into an option of "/pve sub" and returns what is suggested.
func (s *Server) Autocomplete(ctx context.Context, userID, channelID, sub, option, typed string) ([]Choice, error) {
	var it *interaction
	out, err := s.act(ctx, userID, channelID, func(u *user, ch *channel) (*interaction, object, error) {
		cmd, path, params, err := s.find(ch, sub)
		if err != nil {
			return nil, nil, err
		}
		i := slices.IndexFunc(params, func(p object) bool { return p["name"] == option })
		if i < 0 {
			return nil, nil, fmt.Errorf("/pve %s has no option %q", sub, option)
		}
		if params[i]["autocomplete"] != true {
			return nil, nil, fmt.Errorf("/pve %s: option %q does not autocomplete", sub, option)
		}
		it = s.newInteraction(interactionAutocomplete, u, ch)
		it.optionTyp = number(params[i]["type"])
		given := []any{object{"name": option, "type": it.optionTyp, "value": typed, "focused": true}}
		return it, cmd.data(path, given, nil), nil
	})
	if err != nil {
		return nil, err
	}
	if out.Error != "" {
		return nil, errors.New("discordtest: loading options failed")
	}
	return it.choices, nil
}

// Click presses a button. The error is for a message that the person does not
// see, and a button that is not there or disabled; otherwise as for Command.
func (s *Server) Click(ctx context.Context, userID string, at At, customID string) (Outcome, error) {
	return s.use(ctx, userID, at, customID, func(c object) (object, error) {
		if number(c["type"]) != typeButton {
			return nil, fmt.Errorf("%q is not a button", customID)
		}
		return object{}, nil
	})
}

// Choose picks values of a select: those of its options, or ids of users, roles
// or channels. The error is as for Click, and for what the select does not offer.
func (s *Server) Choose(ctx context.Context, userID string, at At, customID string, values ...string) (Outcome, error) {
	return s.use(ctx, userID, at, customID, func(c object) (object, error) {
		typ := number(c["type"])
		if typ == typeButton {
			return nil, fmt.Errorf("%q is not a select", customID)
		}
		least, most := 1, 1
		if v, ok := c["min_values"]; ok {
			least = number(v)
		}
		if v, ok := c["max_values"]; ok {
			most = number(v)
		}
		if len(values) < least || len(values) > most {
			return nil, fmt.Errorf("%q takes %d to %d values, not %d", customID, least, most, len(values))
		}
		resolved := object{}
		for i, v := range values {
			if slices.Contains(values[:i], v) {
				return nil, fmt.Errorf("%q: %q chosen twice", customID, v)
			}
			if typ == typeStringSelect {
				offered := slices.ContainsFunc(control(c).Options, func(o Choice) bool { return o.Value == v })
				if !offered {
					return nil, fmt.Errorf("%q does not offer %q", customID, v)
				}
			} else if err := s.resolve(resolved, optionUser+typ-typeUserSelect, v); err != nil {
				return nil, fmt.Errorf("%q: %w", customID, err)
			}
		}
		data := object{"values": slices.Clone(values)}
		if len(resolved) > 0 {
			data["resolved"] = resolved
		}
		return data, nil
	})
}

// Dismiss takes a private message away from the person who sees it, as "Dismiss
// message" does. The application does not hear of it; what it does to the
// message later finds none (10008).
func (s *Server) Dismiss(userID string, at At) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.channelFor(at.Channel, userID)
	if ch == nil {
		return fmt.Errorf("discordtest: %s does not see channel %s", userID, at.Channel)
	}
	if m := ch.find(at.Message); m == nil || m.ephemeralFor != userID {
		return fmt.Errorf("discordtest: %s has no private message %s", userID, at.Message)
	}
	ch.remove(at.Message)
	s.changed()
	return nil
}

// use does something with an enabled control of a visible message.
func (s *Server) use(ctx context.Context, userID string, at At, customID string, how func(object) (object, error)) (Outcome, error) {
	return s.act(ctx, userID, at.Channel, func(u *user, ch *channel) (*interaction, object, error) {
		m := ch.find(at.Message)
		if m == nil || !m.visibleTo(u.id) {
			return nil, nil, fmt.Errorf("%s does not see message %s", u.name, at.Message)
		}
		var found object
		eachComponent(m.components, func(c object) {
			if customID != "" && c["custom_id"] == customID {
				found = c
			}
		})
		switch {
		case found == nil:
			return nil, nil, fmt.Errorf("message %s has no control %q", m.id, customID)
		case found["disabled"] == true:
			return nil, nil, fmt.Errorf("%q is disabled", customID)
		}
		more, err := how(found)
		if err != nil {
			return nil, nil, err
		}
		it := s.newInteraction(interactionComponent, u, ch)
		it.message = m
		return it, merged(object{"id": number(found["id"]), "custom_id": customID, "component_type": number(found["type"])}, more), nil
	})
}

// act lets a person do something and waits for the first response.
func (s *Server) act(ctx context.Context, userID, channelID string, do func(*user, *channel) (*interaction, object, error)) (Outcome, error) {
	s.mu.Lock()
	u := s.users[userID]
	ch := s.channelFor(channelID, userID)
	var it *interaction
	var data object
	var err error
	switch {
	case u == nil:
		err = fmt.Errorf("no user %s", userID)
	case ch == nil:
		err = fmt.Errorf("%s does not see channel %s", u.name, channelID)
	default:
		it, data, err = do(u, ch)
	}
	if err != nil {
		s.mu.Unlock()
		return Outcome{}, fmt.Errorf("discordtest: %w", err)
	}
	s.send(it, data)
	s.mu.Unlock()

	select {
	case <-it.settled:
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("discordtest: waiting for a response: %w", ctx.Err())
	case <-s.ctx.Done():
		return Outcome{}, errors.New("discordtest: waiting for a response: server closed")
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	out := Outcome{Interaction: it.id, Type: it.response, Modal: it.modal}
	if it.failed {
		out.Error = NoResponse
	}
	if it.original != nil {
		m := it.original.public()
		out.Message = &m
	}
	if it.kind == interactionModal && !it.failed {
		s.closeModal(it)
	}
	return out, nil
}

// find finds "/pve sub" where it can be typed, and its parameters. sub may be of
// two words, a group and a subcommand.
func (s *Server) find(ch *channel, sub string) (cmd *command, words []string, params []object, err error) {
	for _, guild := range []string{s.opts.GuildID, ""} { // the guild's own hides a global one
		for _, c := range s.commands {
			if cmd == nil && c.guild == guild && c.typ == 1 && c.name == "pve" && c.usable(ch) {
				cmd = c
			}
		}
	}
	if cmd == nil {
		return nil, nil, nil, errors.New("there is no command /pve here")
	}
	at := cmd.fields
	words = strings.Fields(sub)
	for _, word := range words {
		i := slices.IndexFunc(optionsOf(at), func(o object) bool { return o["name"] == word && number(o["type"]) <= optionGroup })
		if i < 0 {
			return nil, nil, nil, fmt.Errorf("there is no command /pve %s here", sub)
		}
		at = optionsOf(at)[i]
	}
	params = optionsOf(at)
	if len(params) > 0 && number(params[0]["type"]) <= optionGroup {
		return nil, nil, nil, fmt.Errorf("/pve %s needs a subcommand", sub)
	}
	return cmd, words, params, nil
}

func optionsOf(fields object) []object {
	list, _ := fields["options"].([]any)
	var options []object
	for _, v := range list {
		if o, ok := v.(object); ok {
			options = append(options, o)
		}
	}
	return options
}

// data is the payload of a typed command.
func (c *command) data(words []string, given []any, resolved object) object {
	options := given
	for i, word := range slices.Backward(words) {
		typ := optionSubCommand
		if i < len(words)-1 {
			typ = optionGroup
		}
		options = []any{object{"name": word, "type": typ, "options": options}}
	}
	d := object{"id": c.id, "name": c.name, "type": c.typ, "options": options}
	if c.guild != "" {
		d["guild_id"] = c.guild
	}
	if len(resolved) > 0 {
		d["resolved"] = resolved
	}
	return d
}

// optionValue turns what was typed into the option's type, within its limits.
func (s *Server) optionValue(param object, text string, resolved object) (any, error) {
	typ := number(param["type"])
	if choices, _ := param["choices"].([]any); len(choices) > 0 {
		for _, v := range choices {
			if c, _ := v.(object); fmt.Sprint(c["value"]) == text {
				return c["value"], nil
			}
		}
		return nil, fmt.Errorf("%q is not one of its choices", text)
	}
	within := func(n float64, lo, hi string) error {
		if v, ok := param[lo].(json.Number); ok {
			if limit, _ := v.Float64(); n < limit {
				return fmt.Errorf("%q is under the least, %s", text, v)
			}
		}
		if v, ok := param[hi].(json.Number); ok {
			if limit, _ := v.Float64(); n > limit {
				return fmt.Errorf("%q is over the most, %s", text, v)
			}
		}
		return nil
	}
	switch typ {
	case optionString:
		if text == "" {
			return nil, errors.New("it is empty")
		}
		return text, within(float64(utf8.RuneCountInString(text)), "min_length", "max_length")
	case optionInteger:
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number", text)
		}
		return n, within(float64(n), "min_value", "max_value")
	case optionNumber:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return n, within(n, "min_value", "max_value")
	case optionBoolean:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		return b, nil
	}
	return text, s.resolve(resolved, typ, text)
}

// resolve adds what an id stands for to the payload's resolved data.
func (s *Server) resolve(resolved object, typ int, id string) error {
	add := func(kind string, o object) {
		all, _ := resolved[kind].(object)
		if all == nil {
			all = object{}
			resolved[kind] = all
		}
		all[id] = o
	}
	if u := s.users[id]; u != nil && (typ == optionUser || typ == optionMentionable) {
		member := s.memberObject(u)
		for _, key := range []string{"user", "deaf", "mute"} {
			delete(member, key)
		}
		add("users", s.userObject(u))
		add("members", member)
		return nil
	}
	if ch := s.channels[id]; ch != nil && typ == optionChannel {
		add("channels", merged(s.channelObject(ch), object{"permissions": fmt.Sprint(allPermissions)}))
		return nil
	}
	if typ == optionRole || typ == optionMentionable {
		for _, u := range s.users {
			if slices.Contains(u.roles, id) {
				add("roles", object{"id": id, "name": "role " + id, "permissions": "0", "position": 1})
				return nil
			}
		}
	}
	return fmt.Errorf("there is no %q to choose", id)
}
