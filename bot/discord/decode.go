package discord

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Interaction types.
const (
	typedCommand = 2
	pressed      = 3
	completing   = 4
	submitted    = 5
)

const permissionView = 1 << 10 // VIEW_CHANNEL

// tokenLife is how long an interaction can be followed up: fifteen minutes, and
// less by what a request may take.
const tokenLife = 15*time.Minute - 30*time.Second

// interaction is what Discord tells of something a person did: the parts of it
// that matter here. discordgo's own type refuses all of it for one component
// that is newer than discordgo.
type interaction struct {
	ID          string  `json:"id"`
	Type        int     `json:"type"`
	Token       token   `json:"token"`
	Channel     string  `json:"channel_id"`
	Guild       string  `json:"guild_id"`
	Permissions string  `json:"app_permissions"`
	User        *user   `json:"user"` // in direct messages
	Member      *member `json:"member"`
	Message     *source `json:"message"`
	Data        struct {
		Name     string   `json:"name"`
		Options  []given  `json:"options"`
		CustomID string   `json:"custom_id"`
		Values   []string `json:"values"`
		Inputs   []filled `json:"components"`
	} `json:"data"`
}

type (
	user struct {
		ID     string `json:"id"`
		Name   string `json:"username"`
		Global string `json:"global_name"`
		Bot    bool   `json:"bot"`
		System bool   `json:"system"`
	}

	member struct {
		User  user     `json:"user"`
		Nick  string   `json:"nick"`
		Roles []string `json:"roles"`
	}

	// source is the message that a control or form is on.
	source struct {
		ID    string `json:"id"`
		Flags int    `json:"flags"`
	}

	// given is an option of a typed command, or a subcommand.
	given struct {
		Name    string  `json:"name"`
		Type    int     `json:"type"`
		Value   value   `json:"value"`
		Focused bool    `json:"focused"`
		Options []given `json:"options"`
	}

	// filled is an input of a form, or what holds one.
	filled struct {
		ID         string   `json:"custom_id"`
		Value      string   `json:"value"`
		Components []filled `json:"components"`
		Component  *filled  `json:"component"`
	}
)

// value is an option's value, whatever its type, as text.
type value string

func (v *value) UnmarshalJSON(raw []byte) error {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	*v = value(s)
	return nil
}

// token answers an interaction in the bot's name. It prints as nothing.
type token string

// Format keeps the token out of every verb.
func (token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// LogValue keeps the token out of logs.
func (token) LogValue() slog.Value { return slog.StringValue("[redacted]") }

func decode(raw json.RawMessage) (interaction, error) {
	var in interaction
	if err := json.Unmarshal(raw, &in); err != nil {
		return in, fmt.Errorf("discord: interaction %s: %w", in.ID, err)
	}
	if !snowflake(in.ID) || in.Token == "" {
		return in, errors.New("discord: an interaction without id or token")
	}
	return in, nil
}

func (in interaction) person() chat.Person {
	p := chat.Person{Platform: chat.Discord}
	u, nick := in.User, ""
	if in.Member != nil {
		u, nick, p.Groups = &in.Member.User, in.Member.Nick, in.Member.Roles
	}
	if u == nil {
		return p
	}
	p.ID, p.Name, p.Outsider = u.ID, u.Name, u.Bot || u.System
	if u.Global != "" {
		p.Name = u.Global
	}
	if nick != "" {
		p.Name = nick
	}
	return p
}

// private reports whether in came from a message that one person sees.
func (in interaction) private() bool {
	return in.Message != nil && in.Message.Flags&flagEphemeral != 0
}

// blind reports whether the bot itself cannot see the channel, where its answers
// still appear: it could not edit them once the interaction's token has ended.
func (in interaction) blind() bool {
	p, err := strconv.ParseUint(in.Permissions, 10, 64)
	return in.Guild != "" && err == nil && p&permissionView == 0
}

// source is how the message that was acted on can be reached. A token reaches
// it by @original only if it is the interaction's answer, so it is named.
func (in interaction) source(until time.Time) chat.Ref {
	if in.Message == nil {
		return chat.Ref{}
	}
	r := chat.Ref{Platform: chat.Discord, Kind: chat.MessageRef, Channel: in.Channel, ID: in.Message.ID}
	if !in.private() {
		return r
	}
	r.Kind, r.Until = chat.PrivateRef, until
	return chat.NewRef(r, grip(in.Token, in.Message.ID))
}

// invocation is in as the handlers know it. Of a command that is still being
// typed, Action is the name of the option and Value what is there of it.
func (in interaction) invocation(now time.Time, space chat.Space) chat.Invocation {
	inv := chat.Invocation{
		ID:        in.ID,
		Person:    in.person(),
		Channel:   in.Channel,
		Direct:    in.Guild == "",
		At:        now,
		Source:    in.source(now.Add(tokenLife)),
		InPanel:   in.private(),
		CanExpire: true,
		Space:     space,
	}
	switch in.Type {
	case typedCommand, completing:
		inv.Kind = chat.Typed
		options := in.Data.Options
		if len(options) == 1 && options[0].Type == 1 {
			inv.Command, options = options[0].Name, options[0].Options
		}
		inv.Options = make(map[string]string, len(options))
		for _, o := range options {
			inv.Options[o.Name] = string(o.Value)
			if o.Focused {
				inv.Action, inv.Value = o.Name, string(o.Value)
			}
		}
	case pressed:
		inv.Kind = chat.Pressed
		inv.Action, inv.State = splitIdent(in.Data.CustomID)
		inv.Value = strings.Join(in.Data.Values, " ")
		if form, ok := strings.CutPrefix(inv.Action, sendPrefix); ok { // of a form that is a message
			inv.Kind, inv.Action, inv.Values = chat.Submitted, form, map[string]string{}
		}
	case submitted:
		inv.Kind = chat.Submitted
		inv.Action, inv.State = splitIdent(in.Data.CustomID)
		inv.Values = map[string]string{}
		collect(in.Data.Inputs, inv.Values)
	}
	return inv
}

func collect(fs []filled, into map[string]string) {
	for _, f := range fs {
		if f.ID != "" {
			id, _ := splitIdent(f.ID)
			into[id] = f.Value
		}
		collect(f.Components, into)
		if f.Component != nil {
			collect([]filled{*f.Component}, into)
		}
	}
}

// grip is the key of a Ref that an interaction's token reaches.
func grip(t token, message string) string { return string(t) + "/" + message }

// splitGrip parts what grip joined.
func splitGrip(key string) (t token, message string) {
	i := strings.LastIndexByte(key, '/')
	return token(key[:max(i, 0)]), key[i+1:]
}
