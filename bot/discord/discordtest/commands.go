package discordtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Types of command options.
const (
	optionSubCommand  = 1
	optionGroup       = 2
	optionString      = 3
	optionInteger     = 4
	optionBoolean     = 5
	optionUser        = 6
	optionChannel     = 7
	optionRole        = 8
	optionMentionable = 9
	optionNumber      = 10
	optionAttachment  = 11
)

// Contexts in which a command can be typed.
const (
	contextGuild = 0
	contextDM    = 1
)

const (
	commandSize      = 8000 // characters of a command with all its options
	commandsPerScope = 100
	createsPerDay    = 200
)

var commandName = regexp.MustCompile(`^[-_'\p{L}\p{N}\p{Devanagari}\p{Thai}]{1,32}$`)

// Command is a registered command.
type Command struct {
	ID    string
	Guild string // empty: everywhere
	Name  string
	JSON  json.RawMessage // as Discord hands it out
}

type command struct {
	id, guild, name string
	typ             int
	fields          object
}

// Commands lists what is registered, global commands first.
func (s *Server) Commands() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Command
	for _, guild := range []string{"", s.opts.GuildID} {
		for _, c := range s.commands {
			if c.guild == guild {
				list = append(list, Command{c.id, c.guild, c.name, mustMarshal(c.fields)})
			}
		}
	}
	return list
}

// scope is the guild of a request for commands; empty for global ones.
func (s *Server) scope(c *call) (string, error) {
	if c.PathValue("app") != s.opts.ApplicationID {
		return "", errNotYourApp
	}
	guild := c.PathValue("guild")
	if guild != "" && guild != s.opts.GuildID {
		return "", errMissingAccess
	}
	return guild, nil
}

func (s *Server) inScope(guild string) []*command {
	var list []*command
	for _, c := range s.commands {
		if c.guild == guild {
			list = append(list, c)
		}
	}
	return list
}

func commandReply(commands []*command) reply {
	all := []any{}
	for _, c := range commands {
		all = append(all, c.fields)
	}
	return okReply(all)
}

func (s *Server) getCommands(c *call) (reply, error) {
	guild, err := s.scope(c)
	if err != nil {
		return reply{}, err
	}
	return commandReply(s.inScope(guild)), nil
}

func (s *Server) getCommand(c *call) (reply, error) {
	guild, err := s.scope(c)
	if err != nil {
		return reply{}, err
	}
	for _, cmd := range s.inScope(guild) {
		if cmd.id == c.PathValue("command") {
			return okReply(cmd.fields), nil
		}
	}
	return reply{}, errUnknownCommand
}

// postCommand makes a command, or overwrites the one of that name.
func (s *Server) postCommand(c *call) (reply, error) {
	guild, err := s.scope(c)
	if err != nil {
		return reply{}, err
	}
	var p problems
	cmd := readCommand(c.form(&p))
	if err := p.err(); err != nil {
		return reply{}, err
	}
	status := http.StatusCreated
	others := slices.DeleteFunc(s.inScope(guild), func(old *command) bool {
		if !old.same(cmd) {
			return false
		}
		status = http.StatusOK
		return true
	})
	if err := s.register(guild, append(others, cmd)); err != nil {
		return reply{}, err
	}
	return reply{status, cmd.fields}, nil
}

// putCommands replaces all commands of the scope.
func (s *Server) putCommands(c *call) (reply, error) {
	guild, err := s.scope(c)
	if err != nil {
		return reply{}, err
	}
	var p problems
	var commands []*command
	list, ok := c.body.([]any)
	if !ok {
		p.add(nil, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
	}
	for i, v := range list {
		at := path{strconv.Itoa(i)}
		fields, ok := v.(object)
		if !ok {
			p.add(at, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
			continue
		}
		cmd := readCommand(form{&p, at, fields})
		if slices.ContainsFunc(commands, cmd.same) {
			p.add(at, "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique")
		}
		commands = append(commands, cmd)
	}
	if err := p.err(); err != nil {
		return reply{}, err
	}
	if err := s.register(guild, commands); err != nil {
		return reply{}, err
	}
	return commandReply(commands), nil
}

func (s *Server) deleteCommand(c *call) (reply, error) {
	guild, err := s.scope(c)
	if err != nil {
		return reply{}, err
	}
	n := len(s.commands)
	s.commands = slices.DeleteFunc(s.commands, func(cmd *command) bool { return cmd.guild == guild && cmd.id == c.PathValue("command") })
	if len(s.commands) == n {
		return reply{}, errUnknownCommand
	}
	return noContent, nil
}

func (c *command) same(other *command) bool { return c.name == other.name && c.typ == other.typ }

// register makes commands those of the scope. One that was there under its name
// keeps its id.
func (s *Server) register(guild string, commands []*command) error {
	if len(commands) > commandsPerScope {
		return known(30032)
	}
	old := s.inScope(guild)
	now := s.now()
	creates := slices.DeleteFunc(slices.Clone(s.creates), func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
	for _, c := range commands {
		if !slices.ContainsFunc(old, c.same) {
			creates = append(creates, now)
		}
	}
	if len(creates) > createsPerDay {
		return known(30034)
	}
	s.creates = creates

	for _, c := range commands {
		c.guild, c.id = guild, s.newID()
		if i := slices.IndexFunc(old, c.same); i >= 0 {
			c.id = old[i].id
		}
		c.fields["id"], c.fields["application_id"], c.fields["version"] = c.id, s.opts.ApplicationID, s.newID()
		if guild != "" {
			c.fields["guild_id"] = guild
		}
	}
	s.commands = slices.DeleteFunc(s.commands, func(c *command) bool { return c.guild == guild })
	s.commands = append(s.commands, commands...)
	return nil
}

// readCommand examines a command.
func readCommand(f form) *command {
	cmd := &command{typ: 1, fields: maps.Clone(f.fields)}
	if f.has("type") {
		cmd.typ, _ = f.choice("type", 1, 2, 3)
	}
	chat := cmd.typ == 1
	if chat {
		cmd.name = readCommandName(f)
		f.must("description", 1, 100)
		options := f.objects("options", 0, 25)
		readOptions(f, options, 0)
	} else {
		cmd.name = f.must("name", 1, 32)
		if text, _ := f.text("description"); text != "" {
			f.bad("description", "APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_NOT_ALLOWED", "Context menu commands cannot have description")
		}
		if len(f.list("options", 0, 25)) > 0 {
			f.bad("options", "APPLICATION_COMMAND_CONTEXT_MENU_OPTIONS_NOT_ALLOWED", "Context menu commands cannot have options")
		}
	}
	if bits, ok := f.text("default_member_permissions"); ok {
		if _, err := strconv.ParseUint(bits, 10, 64); err != nil {
			f.bad("default_member_permissions", "NUMBER_TYPE_COERCE", "Value %q is not int.", bits)
		}
	}
	f.boolean("dm_permission")
	f.boolean("nsfw")
	for key, most := range map[string]int{"contexts": 2, "integration_types": 1} {
		for i, v := range f.list(key, 0, most+1) {
			if n, err := strconv.Atoi(fmt.Sprint(v)); err != nil || n < 0 || n > most {
				f.p.add(f.at.key(key).index(i), "BASE_TYPE_CHOICES", "Value must be between 0 and %d.", most)
			}
		}
	}
	if commandLength(f.fields) > commandSize {
		f.p.add(f.at, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (%d)", commandSize)
	}
	cmd.fields["type"] = cmd.typ
	for key, def := range (object{"default_member_permissions": nil, "nsfw": false, "contexts": nil, "name_localizations": nil, "description_localizations": nil, "description": ""}) {
		if !f.has(key) {
			cmd.fields[key] = def
		}
	}
	return cmd
}

func readCommandName(f form) string {
	name := f.must("name", 1, 32)
	switch {
	case name == "" || utf8.RuneCountInString(name) > 32: // said already
	case !commandName.MatchString(name):
		f.bad("name", "STRING_TYPE_REGEX", "String value did not match validation regex.")
	case strings.ToLower(name) != name:
		f.bad("name", "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
	}
	return name
}

// readOptions examines the options in f: of a command (parent 0), a group or a
// subcommand.
func readOptions(f form, options []form, parent int) {
	seen := make(map[string]bool)
	branches, leaves, optional := 0, 0, false
	for _, o := range options {
		name := readCommandName(o)
		o.must("description", 1, 100)
		if seen[name] {
			o.bad("name", "APPLICATION_COMMAND_OPTIONS_DUPLICATE_NAME", "Option names must be unique")
		}
		seen[name] = true
		typ, ok := o.choice("type", optionSubCommand, optionGroup, optionString, optionInteger, optionBoolean, optionUser,
			optionChannel, optionRole, optionMentionable, optionNumber, optionAttachment)
		if !ok {
			continue
		}
		required := o.boolean("required")
		if typ > optionGroup {
			leaves++
			if required && optional {
				f.p.add(o.at, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "Required options must be placed before non-required options")
			}
			optional = optional || !required
			readOption(o, typ)
			continue
		}
		branches++
		if required {
			o.bad("required", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "A subcommand or group cannot be required")
		}
		if parent == optionSubCommand || typ == optionGroup && parent == optionGroup {
			o.bad("type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Subcommands and groups cannot be nested here")
			continue
		}
		readOptions(o, o.objects("options", 0, 25), typ)
	}
	if branches > 0 && leaves > 0 || parent == optionGroup && leaves > 0 {
		f.bad("options", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Sub-command and sub-command group option types are mutually exclusive to all other types")
	}
}

// readOption examines a parameter.
func readOption(o form, typ int) {
	if len(o.list("options", 0, 25)) > 0 {
		o.bad("options", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Only subcommands and groups have options")
	}
	isText, isNumber := typ == optionString, typ == optionInteger || typ == optionNumber
	choices := o.objects("choices", 0, 25)
	complete := o.boolean("autocomplete")
	if !isText && !isNumber && (complete || len(choices) > 0) {
		o.bad("type", "APPLICATION_COMMAND_OPTIONS_CHOICES_INVALID", "Only strings and numbers have choices or autocomplete")
	}
	if complete && len(choices) > 0 {
		o.bad("choices", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES", "Choices and autocomplete are mutually exclusive")
	}
	seen := make(map[string]bool)
	for _, ch := range choices {
		name := readChoice(ch, typ)
		if seen[name] {
			ch.bad("name", "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_EXISTS", "There is already an option choice with this name")
		}
		seen[name] = true
	}
	if isText {
		least, _ := o.integer("min_length", 0, 6000)
		if most, ok := o.integer("max_length", 1, 6000); ok && least > most {
			o.bad("min_length", "NUMBER_TYPE_MAX", "int value should be less than or equal to %d.", most)
		}
	}
	o.list("channel_types", 0, 25)
}

// readChoice examines a choice, of an option or of autocomplete, and returns its name.
func readChoice(ch form, typ int) string {
	name := ch.must("name", 1, 100)
	if typ == optionString {
		ch.must("value", 0, 100)
	} else if _, ok := ch.fields["value"].(json.Number); !ok {
		ch.bad("value", "NUMBER_TYPE_COERCE", "Value %q is not a number.", fmt.Sprint(ch.fields["value"]))
	}
	return name
}

// commandLength counts what Discord counts against 8000: names, descriptions and
// the values of choices, of the command and of all under it.
func commandLength(fields object) int {
	n := 0
	for _, key := range []string{"name", "description", "value"} {
		if s, ok := fields[key].(string); ok {
			n += utf8.RuneCountInString(s)
		}
	}
	for _, key := range []string{"options", "choices"} {
		list, _ := fields[key].([]any)
		for _, v := range list {
			sub, _ := v.(object)
			n += commandLength(sub)
		}
	}
	return n
}

// usable reports whether a member without special rights can type the command there.
func (c *command) usable(ch *channel) bool {
	if bits, ok := c.fields["default_member_permissions"].(string); ok {
		want, _ := strconv.ParseUint(bits, 10, 64)
		if want == 0 || allPermissions&want != want {
			return false
		}
	}
	where := contextGuild
	if ch.kind == channelDM {
		if c.guild != "" || c.fields["dm_permission"] == false {
			return false
		}
		where = contextDM
	}
	contexts, limited := c.fields["contexts"].([]any)
	return !limited || slices.ContainsFunc(contexts, func(v any) bool { return fmt.Sprint(v) == strconv.Itoa(where) })
}
