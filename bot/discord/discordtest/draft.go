package discordtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const maxContent = 2000

// settable are the flags that a request may set; Discord ignores the others.
const (
	settableByBot         = FlagSuppressEmbeds | FlagSuppressNotifications | FlagComponentsV2
	settableByInteraction = settableByBot | FlagEphemeral
)

// Whom a message pings where it has no allowed_mentions.
var (
	botPings         = []string{"users", "roles", "everyone"}
	interactionPings = []string{"users"}
)

// readDraft examines the message in f. With old it is an edit: what f does not
// name stays. The caller looks at p afterwards; the error is that of an empty
// message.
func (s *Server) readDraft(f form, files []file, old *message, settable int, pings []string) (draft, error) {
	d := draft{}
	edit := old != nil
	if edit {
		d = old.draft
	}
	flags, hasFlags := f.integer("flags", 0, 1<<53)
	legacy := d.flags&FlagComponentsV2 == 0
	if hasFlags {
		// An edit whose flags lack IS_COMPONENTS_V2 has its components read as
		// legacy ones; the flag itself stays on the message.
		legacy = flags&FlagComponentsV2 == 0
		if edit {
			d.flags = d.flags&^FlagSuppressEmbeds | flags&(FlagSuppressEmbeds|FlagComponentsV2)
		} else {
			d.flags = flags & settable
		}
	}

	d.files = s.readFiles(f, files, d.files)
	names := make(map[string]bool)
	for _, file := range d.files {
		names[file.name] = true
	}
	set := func(key string) bool { _, ok := f.fields[key]; return ok }
	if set("content") {
		d.content = f.optional("content", maxContent)
	}
	if set("embeds") {
		d.embeds = readEmbeds(f)
	}
	if set("components") {
		d.components = checkMessage(f, legacy, names)
	}
	f.boolean("tts")
	d.mentions = readMentions(f, d, pings)

	if d.flags&FlagComponentsV2 != 0 {
		stickers := f.list("sticker_ids", 0, 3)
		for _, field := range []struct {
			key  string
			used bool
		}{
			{"content", d.content != ""},
			{"embeds", len(d.embeds) > 0},
			{"poll", f.has("poll")},
			{"sticker_ids", len(stickers) > 0},
		} {
			if field.used {
				f.bad(field.key, "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
					"The '%s' field cannot be used when using MessageFlags.IS_COMPONENTS_V2", field.key)
			}
		}
	}
	if f.p.none() && d.content == "" && len(d.embeds) == 0 && len(d.components) == 0 && len(d.files) == 0 {
		return d, errEmptyMessage
	}
	return d, nil
}

// readFiles returns the message's files after the request. On an edit, the files
// of before stay unless attachments names those to keep.
func (s *Server) readFiles(f form, uploaded, old []file) []file {
	keep := slices.Clone(old)
	attachments := f.objects("attachments", 0, 10)
	if f.has("attachments") {
		named := make(map[string]bool)
		for _, a := range attachments {
			a.optional("filename", 1024)
			a.optional("description", 1024)
			named[fmt.Sprint(a.fields["id"])] = true
		}
		keep = slices.DeleteFunc(keep, func(file file) bool { return !named[file.id] })
	}
	for _, up := range uploaded {
		up.id = s.newID()
		keep = append(keep, up)
	}
	if len(keep) > 10 {
		f.bad("attachments", "BASE_TYPE_MAX_LENGTH", "Must be %d or fewer in length.", 10)
	}
	return keep
}

// readEmbeds examines embeds: at most ten, 6000 characters together. Blanks at
// the ends of a text do not count.
func readEmbeds(f form) []any {
	const maxTogether = 6000
	total := 0
	text := func(f form, key string, hi int) {
		s, _ := f.text(key)
		n := utf8.RuneCountInString(strings.TrimSpace(s))
		total += n
		if n > hi {
			f.bad(key, "BASE_TYPE_MAX_LENGTH", "Must be %d or fewer in length.", hi)
		}
	}
	embeds := f.objects("embeds", 0, 10)
	for _, e := range embeds {
		text(e, "title", 256)
		text(e, "description", 4096)
		e.integer("color", 0, 0xFFFFFF)
		if link, _ := e.text("url"); link != "" {
			e.scheme("url", link, "http", "https", "discord")
		}
		for _, field := range e.objects("fields", 0, 25) {
			for _, key := range []string{"name", "value"} {
				if !field.has(key) {
					field.require(key)
				}
			}
			text(field, "name", 256)
			text(field, "value", 1024)
		}
		if footer, ok := e.object("footer"); ok {
			text(footer, "text", 2048)
		}
		if author, ok := e.object("author"); ok {
			text(author, "name", 256)
		}
	}
	if total > maxTogether {
		f.bad("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of %d", maxTogether)
	}
	list, _ := f.fields["embeds"].([]any)
	return list
}

var mentionPattern = regexp.MustCompile(`<@!?([0-9]+)>|<@(&[0-9]+)>|@(everyone|here)`)

// readMentions examines allowed_mentions and returns whom the message pings.
func readMentions(f form, d draft, pings []string) []string {
	kinds, ids := make(map[string]bool), make(map[string]bool)
	if allowed, ok := f.object("allowed_mentions"); ok {
		for i, v := range allowed.list("parse", 0, 3) {
			kind, _ := v.(string)
			if !slices.Contains(botPings, kind) {
				f.p.add(allowed.at.key("parse").index(i), "BASE_TYPE_CHOICES", "Value must be one of {'roles', 'users', 'everyone'}.")
			}
			kinds[kind] = true
		}
		for kind, mark := range map[string]string{"users": "", "roles": "&"} {
			list := allowed.list(kind, 0, 100)
			for i, v := range list {
				id, _ := v.(string)
				if !isSnowflake(id) {
					f.p.add(allowed.at.key(kind).index(i), "NUMBER_TYPE_COERCE", "Value %q is not snowflake.", fmt.Sprint(v))
				}
				ids[mark+id] = true
			}
			if kinds[kind] && len(list) > 0 {
				f.bad("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", `parse:["%s"] and %s: [ids...] are mutually exclusive.`, kind, kind)
			}
		}
		allowed.boolean("replied_user")
	} else {
		for _, kind := range pings {
			kinds[kind] = true
		}
	}

	texts := []string{d.content}
	eachComponent(d.components, func(c object) {
		if s, ok := c["content"].(string); ok {
			texts = append(texts, s)
		}
	})
	var pinged []string
	for _, m := range mentionPattern.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
		var who, kind string
		switch {
		case m[1] != "":
			who, kind = m[1], "users"
		case m[2] != "":
			who, kind = m[2], "roles"
		default:
			who, kind = "everyone", "everyone"
		}
		if (kinds[kind] || ids[who]) && !slices.Contains(pinged, who) {
			pinged = append(pinged, who)
		}
	}
	return pinged
}
