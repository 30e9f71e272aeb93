package discord

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/pvechat/pvechat/bot/chat"
)

// slash is the one command that pvechat has; what chat calls commands are its
// subcommands.
const slash = "pve"

// Limits of a command.
const (
	maxWord    = 32
	maxSummary = 100
	maxChoices = 25
)

type (
	command struct {
		Name        string          `json:"name"`
		Type        int             `json:"type"` // 1: typed
		Description string          `json:"description"`
		Options     []commandOption `json:"options,omitempty"`
	}

	commandOption struct {
		Type         int             `json:"type"` // 1: subcommand, 3: text
		Name         string          `json:"name"`
		Description  string          `json:"description"`
		Required     bool            `json:"required,omitempty"`
		Autocomplete bool            `json:"autocomplete,omitempty"`
		Choices      []commandChoice `json:"choices,omitempty"`
		Options      []commandOption `json:"options,omitempty"`
	}

	commandChoice struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// Manifest is what gets registered for cmds, as indented JSON: the body of
// Discord's "bulk overwrite application commands". The error is for a name that
// Discord would not take, and for too many of anything.
func Manifest(cmds []chat.Command) ([]byte, error) {
	list, err := commandsOf(cmds)
	if err != nil {
		return nil, err
	}
	raw, err := encode(list)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func commandsOf(cmds []chat.Command) ([]command, error) {
	if len(cmds) > maxOptions {
		return nil, fmt.Errorf("discord: %d commands, Discord takes %d", len(cmds), maxOptions)
	}
	c := command{Name: slash, Type: 1, Description: "Proxmox containers from chat"}
	for _, sub := range cmds {
		s := commandOption{Type: 1, Name: sub.Name, Description: summary(sub.Summary, sub.Name)}
		if !word(s.Name) {
			return nil, fmt.Errorf("discord: Discord takes no command named %q", s.Name)
		}
		if len(sub.Options) > maxOptions {
			return nil, fmt.Errorf("discord: %s has %d options, Discord takes %d", sub.Name, len(sub.Options), maxOptions)
		}
		for _, o := range sub.Options {
			w := commandOption{Type: 3, Name: o.Name, Description: summary(o.Summary, o.Name), Required: o.Required}
			if !word(w.Name) {
				return nil, fmt.Errorf("discord: Discord takes no option named %q", w.Name)
			}
			if len(o.Choices) > maxChoices {
				return nil, fmt.Errorf("discord: %s %s has %d choices, Discord takes %d", sub.Name, o.Name, len(o.Choices), maxChoices)
			}
			for _, ch := range o.Choices {
				w.Choices = append(w.Choices, commandChoice{Name: label(ch.Label, maxOption), Value: ch.Value})
			}
			w.Autocomplete = o.Suggest && w.Choices == nil
			s.Options = append(s.Options, w)
		}
		// Discord wants what must be given first.
		slices.SortStableFunc(s.Options, func(a, b commandOption) int { return cmp.Compare(order(a), order(b)) })
		c.Options = append(c.Options, s)
	}
	return []command{c}, nil
}

func order(o commandOption) int {
	if o.Required {
		return 0
	}
	return 1
}

func summary(s, name string) string {
	if s = label(s, maxSummary); s == "" {
		return name
	}
	return s
}

// word reports whether Discord takes s as the name of a command or an option.
func word(s string) bool {
	return s != "" && len(s) <= maxWord && s == strings.ToLower(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// register makes the registered commands those of wanted, and leaves them alone
// where they are already: a day has two hundred registrations. A guild that the
// bot cannot reach is a problem to tell, not an error.
func (a *Adapter) register(ctx context.Context, wanted []command) (problem string, err error) {
	scopes := []string{""}
	if len(a.cfg.GuildIDs) > 0 {
		scopes = a.cfg.GuildIDs
	}
	var out []string
	for _, guild := range scopes {
		err := a.registerIn(ctx, guild, wanted)
		switch c := code(err); {
		case err == nil:
		case guild != "" && (c == codeMissingAccess || c == codeUnknownGuild):
			a.log.Warn("discord: the commands cannot be registered: is the bot in the guild, invited with applications.commands?", "guild", guild, "error", err)
			out = append(out, "no commands in guild "+guild)
		case c == codeNotAuthorized || c == codeMissingAccess || status(err) == http.StatusNotFound:
			return "", &fatalError{fmt.Errorf("discord: discord.application_id %s is not the bot's: %w", a.cfg.ApplicationID, err)}
		default:
			return "", err
		}
	}
	return strings.Join(out, ", "), nil
}

func (a *Adapter) registerIn(ctx context.Context, guild string, wanted []command) error {
	r := request{
		path:   "applications/" + a.cfg.ApplicationID + "/commands",
		route:  "applications/{application}/commands",
		bucket: "commands",
	}
	if guild != "" {
		r.path = "applications/" + a.cfg.ApplicationID + "/guilds/" + guild + "/commands"
		r.route = "applications/{application}/guilds/{guild}/commands"
		r.bucket += "/" + guild
	}
	var there []command
	r.method = http.MethodGet
	if err := a.call(ctx, r, nil, &there); err != nil {
		return err
	}
	if same(there, wanted) {
		return nil
	}
	r.method = http.MethodPut
	if err := a.call(ctx, r, wanted, nil); err != nil {
		return err
	}
	a.log.Info("discord: commands registered", "guild", guild)
	return nil
}

// same compares by what would be sent: what Discord adds has been left behind
// in decoding.
func same(a, b []command) bool {
	x, errX := encode(a)
	y, errY := encode(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
