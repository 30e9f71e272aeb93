package slacktest

import (
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Limits of a whole surface.
const (
	maxMessageBlocks = 50
	maxViewBlocks    = 100
	maxBlocksText    = 13_200 // characters in a message's blocks
	headerWeight     = 100    // what a header adds to them
	maxMarkdown      = 12_000 // characters in a payload's markdown blocks
	maxDataTable     = 20_000 // characters in a data table
	maxID            = 255
)

// surface is where blocks are shown.
type surface string

const (
	inMessage surface = "message"
	inModal   surface = "modal"
	inHome    surface = "home"
)

func plainKinds(maxLen int) kinds {
	return kinds{"plain_text": {fields: fields{"text": need(text(1, maxLen)), "emoji": may(flag)}}}
}

func plain(maxLen int) rule { return oneOf(plainKinds(maxLen)) }

// words is mrkdwn or plain text.
func words(maxLen int) rule {
	return oneOf(join(plainKinds(maxLen), kinds{
		"mrkdwn": {fields: fields{"text": need(text(1, maxLen)), "verbatim": may(flag)}},
	}))
}

var (
	id    = text(1, maxID)
	style = enum("primary", "danger")
)

func confirm() rule {
	return composed(fields{
		"title": need(plain(100)), "text": need(words(300)),
		"confirm": need(plain(30)), "deny": need(plain(30)), "style": may(style),
	})
}

// option is a choice; label is the rule for its texts, which alone differ
// between menus and boxes.
func option(label func(int) rule, more fields) rule {
	f := fields{"text": need(label(75)), "value": need(text(1, 150)), "description": may(label(75))}
	for name, m := range more {
		f[name] = m
	}
	return composed(f)
}

// offered wants the initial choices to be among the options, to the letter.
func offered(c *checker, at string, v any) {
	o := v.(object)
	all := options(o)
	among := func(at string, choice any) {
		if !slices.ContainsFunc(all, func(opt any) bool { return reflect.DeepEqual(opt, choice) }) {
			c.report(at, "must match one of the options exactly")
		}
	}
	if choice, ok := o["initial_option"]; ok {
		among(at+"/initial_option", choice)
	}
	choices, _ := o["initial_options"].([]any)
	for i, choice := range choices {
		among(at+"/initial_options/"+strconv.Itoa(i), choice)
	}
}

// options are the choices of an element, those in groups too.
func options(element object) []any {
	all, _ := element["options"].([]any)
	all = slices.Clone(all)
	groups, _ := element["option_groups"].([]any)
	for _, g := range groups {
		if g, ok := g.(object); ok {
			more, _ := g["options"].([]any)
			all = append(all, more...)
		}
	}
	return all
}

func buttons() kinds {
	return kinds{"button": {fields: fields{
		"text": need(plain(75)), "action_id": may(id), "value": may(text(1, 2000)), "url": may(link(3000)),
		"style": may(style), "confirm": may(confirm()), "accessibility_label": may(text(1, 75)),
	}}}
}

func images() kinds {
	return kinds{"image": {
		fields: fields{"alt_text": need(text(1, 2000)), "image_url": may(link(3000)), "slack_file": may(slackFile())},
		also:   []rule{exactlyOne("image_url", "slack_file")},
	}}
}

func slackFile() rule {
	return composed(fields{"id": may(text(1, unlimited)), "url": may(link(3000))}, exactlyOne("id", "url"))
}

// choosers let a person pick from options; they stand in sections, actions and
// inputs.
func choosers() kinds {
	menu, box := option(plain, nil), option(words, nil)
	return kinds{
		"static_select": {
			fields: fields{
				"action_id": may(id), "placeholder": may(plain(150)), "options": may(list(1, 100, menu)),
				"option_groups": may(list(1, 100, composed(fields{
					"label": need(plain(75)), "options": need(list(1, 100, menu)),
				}))),
				"initial_option": may(menu), "confirm": may(confirm()), "focus_on_load": may(flag),
			},
			also: []rule{exactlyOne("options", "option_groups"), offered},
		},
		"multi_static_select": {
			fields: fields{
				"action_id": may(id), "placeholder": may(plain(150)), "options": may(list(1, 100, menu)),
				"option_groups": may(list(1, 100, composed(fields{
					"label": need(plain(75)), "options": need(list(1, 100, menu)),
				}))),
				"initial_options": may(list(1, 100, menu)), "max_selected_items": may(integer(1, unlimited)),
				"confirm": may(confirm()), "focus_on_load": may(flag),
			},
			also: []rule{exactlyOne("options", "option_groups"), offered},
		},
		"radio_buttons": {
			fields: fields{
				"action_id": may(id), "options": need(list(1, 10, box)), "initial_option": may(box),
				"confirm": may(confirm()), "focus_on_load": may(flag),
			},
			also: []rule{offered},
		},
		"checkboxes": {
			fields: fields{
				"action_id": may(id), "options": need(list(1, 10, box)), "initial_options": may(list(1, 10, box)),
				"confirm": may(confirm()), "focus_on_load": may(flag),
			},
			also: []rule{offered},
		},
	}
}

func overflows() kinds {
	return kinds{"overflow": {fields: fields{
		"action_id": may(id), "options": need(list(1, 5, option(plain, fields{"url": may(link(3000))}))),
		"confirm": may(confirm()),
	}}}
}

// typed are the elements in which a person types.
func typed() kinds {
	dispatch := composed(fields{"trigger_actions_on": may(list(1, 2, enum("on_enter_pressed", "on_character_entered")))})
	basics := func(more fields) fields {
		f := fields{
			"action_id": may(id), "placeholder": may(plain(150)), "initial_value": may(text(0, 3000)),
			"dispatch_action_config": may(dispatch), "focus_on_load": may(flag),
		}
		for name, m := range more {
			f[name] = m
		}
		return f
	}
	return kinds{
		"plain_text_input": {fields: basics(fields{
			"multiline": may(flag), "min_length": may(integer(0, 3000)), "max_length": may(integer(1, 3000)),
		})},
		"number_input": {fields: basics(fields{
			"is_decimal_allowed": need(flag), "min_value": may(numeral), "max_value": may(numeral), "initial_value": may(numeral),
		})},
		"email_text_input": {fields: basics(nil)},
		"url_text_input":   {fields: basics(nil)},
	}
}

func numeral(c *checker, at string, v any) {
	s, ok := v.(string)
	if _, err := strconv.ParseFloat(s, 64); !ok || err != nil {
		c.report(at, "must provide a number in a string")
	}
}

func richTextBlock() shape {
	styles := composed(fields{
		"bold": may(flag), "italic": may(flag), "strike": may(flag), "code": may(flag), "underline": may(flag),
		"highlight": may(flag), "client_highlight": may(flag), "unlink": may(flag),
	})
	word := text(1, unlimited)
	leaf := kinds{
		"text": {fields: fields{"text": need(word), "style": may(styles)}},
		"link": {fields: fields{"url": need(word), "text": may(word), "unsafe": may(flag), "style": may(styles)}},
	}
	leaves := join(leaf, kinds{
		"emoji":     {fields: fields{"name": need(word), "unicode": may(word), "skin_tone": may(integer(1, 6)), "style": may(styles)}},
		"user":      {fields: fields{"user_id": need(word), "style": may(styles)}},
		"usergroup": {fields: fields{"usergroup_id": need(word), "style": may(styles)}},
		"channel":   {fields: fields{"channel_id": need(word), "style": may(styles)}},
		"broadcast": {fields: fields{"range": need(enum("here", "channel", "everyone")), "style": may(styles)}},
		"color":     {fields: fields{"value": need(word), "style": may(styles)}},
		"date": {fields: fields{
			"timestamp": need(anyNumber), "format": need(word), "url": may(link(3000)), "fallback": may(word), "style": may(styles),
		}},
	})
	border := may(integer(0, 1))
	section := shape{fields: fields{"elements": need(list(0, unlimited, oneOf(leaves)))}}
	quote := shape{fields: fields{"elements": need(list(0, unlimited, oneOf(leaves))), "border": border}}
	preformatted := shape{fields: fields{
		"elements": need(list(0, unlimited, oneOf(leaf))), "border": border, "language": may(word),
	}}
	items := shape{fields: fields{
		"style": need(enum("bullet", "ordered")), "indent": may(integer(0, 8)), "offset": may(integer(0, unlimited)),
		"border": border, "elements": need(list(0, unlimited, oneOf(kinds{"rich_text_section": section}))),
	}}
	return shape{fields: fields{
		"block_id": may(id),
		"elements": need(list(0, unlimited, oneOf(kinds{
			"rich_text_section": section, "rich_text_quote": quote, "rich_text_preformatted": preformatted, "rich_text_list": items,
		}))),
	}}
}

// blockKinds are the blocks that a surface shows.
func blockKinds(on surface) kinds {
	// A named block can be told from the others by its block_id.
	named := func(f fields, also ...rule) shape {
		f["block_id"] = may(id)
		return shape{f, also}
	}
	acting := join(buttons(), overflows(), choosers())
	card := named(fields{
		"hero_image": may(oneOf(images())), "icon": may(oneOf(images())),
		"slack_icon": may(oneOf(kinds{"icon": {fields: fields{"name": need(text(1, unlimited))}}})),
		"title":      may(words(150)), "subtitle": may(words(150)), "body": may(words(200)), "subtext": may(words(200)),
		"actions": may(list(1, 3, oneOf(buttons()))),
	})
	k := kinds{
		"section": named(fields{
			"text": may(words(3000)), "fields": may(list(1, 10, words(2000))), "expand": may(flag),
			"accessory": may(oneOf(join(acting, images()))),
		}, func(c *checker, at string, v any) {
			_, hasText := v.(object)["text"]
			if _, hasFields := v.(object)["fields"]; !hasText && !hasFields {
				c.report(at, "must define either `text` or `fields`")
			}
		}),
		"header":  named(fields{"text": need(plain(150)), "level": may(integer(1, 4))}),
		"divider": named(fields{}),
		"context": named(fields{"elements": need(list(1, 10, oneOf(join(images(), kinds{
			"plain_text": {fields: fields{"text": need(text(1, 3000)), "emoji": may(flag)}},
			"mrkdwn":     {fields: fields{"text": need(text(1, 3000)), "verbatim": may(flag)}},
		}))))}),
		"actions": named(fields{"elements": need(list(1, 25, oneOf(acting)))}),
		"image": named(fields{
			"alt_text": need(text(1, 2000)), "title": may(plain(2000)), "image_url": may(link(3000)), "slack_file": may(slackFile()),
		}, exactlyOne("image_url", "slack_file")),
		"input": named(fields{
			"label": need(plain(2000)), "hint": may(plain(2000)), "optional": may(flag), "dispatch_action": may(flag),
			"element": need(oneOf(join(typed(), choosers()))),
		}),
		"rich_text": richTextBlock(),
		"card":      card,
		"carousel":  named(fields{"elements": need(list(1, 10, oneOf(kinds{"card": card})))}),
		"alert": named(fields{
			"text": need(words(200)), "level": may(enum("default", "info", "warning", "error", "success")),
		}),
		"container": named(fields{
			"title": may(plain(150)), "subtitle": may(words(150)), "icon": may(oneOf(images())), "width": may(text(1, unlimited)),
			"is_collapsible": may(flag), "default_collapsed": may(flag), "has_header_divider": may(flag),
			"child_blocks": need(list(1, 10, func(c *checker, at string, v any) { oneOf(blockKinds(on))(c, at, v) })),
		}),
	}
	if on != inMessage {
		return k
	}
	cells := kinds{
		"raw_text":   {fields: fields{"text": need(text(1, unlimited))}},
		"raw_number": {fields: fields{"value": need(anyNumber), "text": may(text(1, unlimited))}},
		"rich_text":  richTextBlock(),
	}
	return join(k, kinds{
		"markdown":        named(fields{"text": need(text(1, maxMarkdown))}),
		"context_actions": named(fields{"elements": need(list(1, 5, oneOf(buttons())))}),
		"table": named(fields{
			"rows": need(list(1, 100, list(1, 20, oneOf(cells)))),
			"column_settings": may(list(1, 20, composed(fields{
				"align": may(enum("left", "center", "right")), "is_wrapped": may(flag),
			}))),
		}),
		"data_table": named(fields{
			"caption": need(text(1, unlimited)), "rows": need(list(2, 201, list(1, 20, oneOf(cells)))),
			"page_size": may(integer(1, 100)), "row_header_column_index": may(integer(0, 19)),
		}, func(c *checker, at string, v any) {
			if n := textIn(v.(object)["rows"]); n > maxDataTable {
				c.report(at+"/rows", "must be less than %d characters", maxDataTable+1)
			}
		}),
	})
}

// checkBlocks says what is wrong with blocks, at the JSON pointer at.
func (c *checker) checkBlocks(at string, on surface, v any) {
	limit := maxViewBlocks
	if on == inMessage {
		limit = maxMessageBlocks
	}
	known := blockKinds(on)
	list(1, limit, oneOf(known))(c, at, v)

	blocks, _ := v.([]any)
	seen, markdown := map[string]bool{}, 0
	for i, b := range blocks {
		b, _ := b.(object)
		here := at + "/" + strconv.Itoa(i)
		if id, _ := b["block_id"].(string); id != "" {
			if seen[id] {
				c.report(here+"/block_id", "`block_id` %q already exists", id)
			}
			seen[id] = true
		}
		if b["type"] == "markdown" {
			s, _ := b["text"].(string)
			markdown += utf8.RuneCountInString(s)
		}
		actions := map[string]bool{}
		walk(b, here, func(at string, o object) {
			if id, _ := o["action_id"].(string); id != "" {
				if actions[id] {
					c.report(at+"/action_id", "`action_id` %q already exists", id)
				}
				actions[id] = true
			}
		})
	}
	if markdown > maxMarkdown {
		c.report(at, "markdown blocks must be less than %d characters together", maxMarkdown+1)
	}
}

// walk visits an object and every object in it, in the order of arrays and of
// sorted names.
func walk(v any, at string, visit func(at string, o object)) {
	switch v := v.(type) {
	case object:
		visit(at, v)
		for _, name := range sortedKeys(v) {
			walk(v[name], at+"/"+name, visit)
		}
	case []any:
		for i, item := range v {
			walk(item, at+"/"+strconv.Itoa(i), visit)
		}
	}
}

// textIn counts the characters that a person can read.
func textIn(v any) int {
	n := 0
	walk(v, "", func(_ string, o object) {
		for _, name := range []string{"text", "alt_text", "fallback", "caption"} {
			if s, ok := o[name].(string); ok {
				n += utf8.RuneCountInString(s)
			}
		}
		if o["type"] == "header" {
			n += headerWeight
		}
	})
	return n
}

const (
	maxTitle    = 24
	maxMetadata = 3000
	maxViewSize = 250_000
)

// checkView says what is wrong with a view that has to be of the given kind.
func (c *checker) checkView(v any, want surface) {
	const at = "/view"
	shared := fields{
		"blocks":           need(func(c *checker, at string, v any) { c.checkBlocks(at, want, v) }),
		"private_metadata": may(text(0, maxMetadata)), "callback_id": may(text(0, maxID)), "external_id": may(text(0, maxID)),
	}
	if want == inHome {
		oneOf(kinds{"home": {fields: shared}})(c, at, v)
		return
	}
	title := plain(maxTitle)
	shared["title"], shared["submit"], shared["close"] = need(title), may(title), may(title)
	shared["clear_on_close"], shared["notify_on_close"] = may(flag), may(flag)
	oneOf(kinds{"modal": {fields: shared, also: []rule{func(c *checker, at string, v any) {
		if _, ok := v.(object)["submit"]; ok {
			return
		}
		blocks, _ := v.(object)["blocks"].([]any)
		for i, b := range blocks {
			if b, _ := b.(object); b["type"] == "input" {
				c.report(at+"/blocks/"+strconv.Itoa(i)+"/input", "must define `submit` to use an `input` block in modals")
			}
		}
	}}}})(c, at, v)
}
