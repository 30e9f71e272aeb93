package slacktest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// TestEveryLimitHolds posts or opens something of exactly the size that Slack
// takes, and then one more.
func TestEveryLimitHolds(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	message := func(b ...any) object { return object{"channel": ops, "text": "t", "blocks": b} }
	chars := func(f func(string) any) func(int) any { return func(n int) any { return f(chars(n)) } }
	onMessage := func(f func(n int) any) func(n int) object { return func(n int) object { return message(f(n)) } }
	confirm := object{"title": plain("a"), "text": plain("b"), "confirm": plain("c"), "deny": plain("d")}
	accessory := func(o object) object { return with(section("s"), "accessory", o) }
	overflow := func(n int) object { return object{"type": "overflow", "options": choices(n)} }
	menu := func(o object) object { return object{"type": "static_select", "options": []any{o}} }
	raw := func(n int) object { return object{"type": "raw_text", "text": strings.Repeat("x", n)} }
	dataTable := func(rows []any) object { return object{"type": "data_table", "caption": "c", "rows": rows} }

	const tooLong, tooMany = "must be less than %d characters", "no more than %d items allowed"
	for _, tt := range []struct {
		name    string
		max     int
		message func(n int) object // chat.postMessage, or
		view    func(n int) object // views.publish or views.open
		refusal string             // with max, or max+1 for characters
		at      string
	}{
		{name: "50 blocks in a message", max: 50, message: func(n int) object { return message(many(n, object{"type": "divider"})...) }, refusal: tooMany, at: "/blocks"},
		{name: "100 blocks in a modal", max: 100, view: func(n int) object { return modal(many(n, object{"type": "divider"})...) }, refusal: tooMany, at: "/view/blocks"},
		{name: "100 blocks on a Home tab", max: 100, view: func(n int) object { return home(many(n, object{"type": "divider"})...) }, refusal: tooMany, at: "/view/blocks"},
		{name: "3000 characters in a section", max: 3000, message: onMessage(chars(func(s string) any { return section(s) })), refusal: tooLong, at: "/blocks/0/text/text"},
		{name: "10 fields in a section", max: 10, message: onMessage(func(n int) any { return object{"type": "section", "fields": many(n, mrkdwn("f"))} }), refusal: tooMany, at: "/blocks/0/fields"},
		{name: "2000 characters in a field", max: 2000, message: onMessage(chars(func(s string) any { return object{"type": "section", "fields": []any{mrkdwn(s)}} })), refusal: tooLong, at: "/blocks/0/fields/0/text"},
		{name: "150 characters in a header", max: 150, message: onMessage(chars(func(s string) any { return object{"type": "header", "text": plain(s)} })), refusal: tooLong, at: "/blocks/0/text/text"},
		{name: "10 elements in a context", max: 10, message: onMessage(func(n int) any { return object{"type": "context", "elements": many(n, mrkdwn("e"))} }), refusal: tooMany, at: "/blocks/0/elements"},
		{name: "25 elements in actions", max: 25, message: onMessage(func(n int) any { return actions(many(n, object{"type": "button", "text": plain("b")})...) }), refusal: tooMany, at: "/blocks/0/elements"},
		{name: "255 characters in a block_id", max: 255, message: onMessage(chars(func(s string) any { return with(section("s"), "block_id", s) })), refusal: tooLong, at: "/blocks/0/block_id"},
		{name: "255 characters in an action_id", max: 255, message: onMessage(chars(func(s string) any { return actions(button(s, "b")) })), refusal: tooLong, at: "/blocks/0/elements/0/action_id"},
		{name: "75 characters on a button", max: 75, message: onMessage(chars(func(s string) any { return actions(button("a", s)) })), refusal: tooLong, at: "/blocks/0/elements/0/text/text"},
		{name: "2000 characters in a button's value", max: 2000, message: onMessage(chars(func(s string) any { return actions(with(button("a", "b"), "value", s)) })), refusal: tooLong, at: "/blocks/0/elements/0/value"},
		{name: "3000 characters in a button's address", max: 3000, message: onMessage(func(n int) any {
			return actions(with(button("a", "b"), "url", "https://example.com/"+strings.Repeat("x", n-20)))
		}), refusal: tooLong, at: "/blocks/0/elements/0/url"},
		{name: "75 characters in an accessibility label", max: 75, message: onMessage(chars(func(s string) any { return actions(with(button("a", "b"), "accessibility_label", s)) })), refusal: tooLong, at: "/blocks/0/elements/0/accessibility_label"},
		{name: "100 characters in a confirmation's title", max: 100, message: onMessage(chars(func(s string) any {
			return actions(with(button("a", "b"), "confirm", with(confirm, "title", plain(s))))
		})), refusal: tooLong, at: "/blocks/0/elements/0/confirm/title/text"},
		{name: "300 characters in a confirmation", max: 300, message: onMessage(chars(func(s string) any {
			return actions(with(button("a", "b"), "confirm", with(confirm, "text", mrkdwn(s))))
		})), refusal: tooLong, at: "/blocks/0/elements/0/confirm/text/text"},
		{name: "30 characters to confirm", max: 30, message: onMessage(chars(func(s string) any {
			return actions(with(button("a", "b"), "confirm", with(confirm, "confirm", plain(s))))
		})), refusal: tooLong, at: "/blocks/0/elements/0/confirm/confirm/text"},
		{name: "30 characters to deny", max: 30, message: onMessage(chars(func(s string) any { return actions(with(button("a", "b"), "confirm", with(confirm, "deny", plain(s)))) })), refusal: tooLong, at: "/blocks/0/elements/0/confirm/deny/text"},
		{name: "75 characters in an option", max: 75, message: onMessage(chars(func(s string) any { return accessory(menu(with(option("v"), "text", plain(s)))) })), refusal: tooLong, at: "/blocks/0/accessory/options/0/text/text"},
		{name: "150 characters in an option's value", max: 150, message: onMessage(chars(func(s string) any { return accessory(menu(with(option("v"), "value", s))) })), refusal: tooLong, at: "/blocks/0/accessory/options/0/value"},
		{name: "75 characters in an option's description", max: 75, message: onMessage(chars(func(s string) any { return accessory(menu(with(option("v"), "description", plain(s)))) })), refusal: tooLong, at: "/blocks/0/accessory/options/0/description/text"},
		{name: "3000 characters in a menu's address", max: 3000, message: onMessage(func(n int) any {
			return accessory(object{"type": "overflow", "options": []any{with(option("v"), "url", "https://example.com/"+strings.Repeat("x", n-20))}})
		}), refusal: tooLong, at: "/blocks/0/accessory/options/0/url"},
		{name: "100 options", max: 100, message: onMessage(func(n int) any { return accessory(object{"type": "static_select", "options": choices(n)}) }), refusal: tooMany, at: "/blocks/0/accessory/options"},
		{name: "100 groups of options", max: 100, message: onMessage(func(n int) any {
			return accessory(object{"type": "static_select", "option_groups": many(n, object{"label": plain("l"), "options": choices(1)})})
		}), refusal: tooMany, at: "/blocks/0/accessory/option_groups"},
		{name: "100 options in a group", max: 100, message: onMessage(func(n int) any {
			return accessory(object{"type": "static_select", "option_groups": []any{object{"label": plain("l"), "options": choices(n)}}})
		}), refusal: tooMany, at: "/blocks/0/accessory/option_groups/0/options"},
		{name: "75 characters in a group's label", max: 75, message: onMessage(chars(func(s string) any {
			return accessory(object{"type": "static_select", "option_groups": []any{object{"label": plain(s), "options": choices(1)}}})
		})), refusal: tooLong, at: "/blocks/0/accessory/option_groups/0/label/text"},
		{name: "150 characters in a placeholder", max: 150, message: onMessage(chars(func(s string) any { return accessory(with(menu(option("v")), "placeholder", plain(s))) })), refusal: tooLong, at: "/blocks/0/accessory/placeholder/text"},
		{name: "5 options in an overflow menu", max: 5, message: onMessage(func(n int) any { return accessory(overflow(n)) }), refusal: tooMany, at: "/blocks/0/accessory/options"},
		{name: "10 checkboxes", max: 10, message: onMessage(func(n int) any { return accessory(object{"type": "checkboxes", "options": choices(n)}) }), refusal: tooMany, at: "/blocks/0/accessory/options"},
		{name: "10 radio buttons", max: 10, message: onMessage(func(n int) any { return accessory(object{"type": "radio_buttons", "options": choices(n)}) }), refusal: tooMany, at: "/blocks/0/accessory/options"},
		{name: "2000 characters in an input's label", max: 2000, view: func(n int) object {
			return modal(with(input("b", object{"type": "plain_text_input"}), "label", plain(strings.Repeat("x", n))))
		}, refusal: tooLong, at: "/view/blocks/0/label/text"},
		{name: "2000 characters in a hint", max: 2000, view: func(n int) object {
			return modal(with(input("b", object{"type": "plain_text_input"}), "hint", plain(strings.Repeat("x", n))))
		}, refusal: tooLong, at: "/view/blocks/0/hint/text"},
		{name: "3000 characters in an image's address", max: 3000, message: onMessage(func(n int) any {
			return object{"type": "image", "alt_text": "a", "image_url": "https://example.com/" + strings.Repeat("x", n-20)}
		}), refusal: tooLong, at: "/blocks/0/image_url"},
		{name: "2000 characters of alternative text", max: 2000, message: onMessage(chars(func(s string) any {
			return object{"type": "image", "alt_text": s, "image_url": "https://example.com/x"}
		})), refusal: tooLong, at: "/blocks/0/alt_text"},
		{name: "2000 characters in an image's title", max: 2000, message: onMessage(chars(func(s string) any {
			return object{"type": "image", "alt_text": "a", "title": plain(s), "image_url": "https://example.com/x"}
		})), refusal: tooLong, at: "/blocks/0/title/text"},
		{name: "12000 characters of markdown", max: 12000, message: onMessage(chars(func(s string) any { return object{"type": "markdown", "text": s} })), refusal: tooLong, at: "/blocks/0/text"},
		{name: "100 rows in a table", max: 100, message: onMessage(func(n int) any { return object{"type": "table", "rows": many(n, []any{raw(1)})} }), refusal: tooMany, at: "/blocks/0/rows"},
		{name: "20 cells in a row", max: 20, message: onMessage(func(n int) any { return object{"type": "table", "rows": []any{many(n, raw(1))}} }), refusal: tooMany, at: "/blocks/0/rows/0"},
		{name: "20 columns with settings", max: 20, message: onMessage(func(n int) any {
			return object{"type": "table", "rows": []any{[]any{raw(1)}}, "column_settings": many(n, object{"align": "left"})}
		}), refusal: tooMany, at: "/blocks/0/column_settings"},
		{name: "201 rows in a data table", max: 201, message: onMessage(func(n int) any { return dataTable(many(n, []any{raw(1)})) }), refusal: tooMany, at: "/blocks/0/rows"},
		{name: "20 columns in a data table", max: 20, message: onMessage(func(n int) any { return dataTable(many(2, many(n, raw(1)))) }), refusal: tooMany, at: "/blocks/0/rows/0"},
		{name: "150 characters in a card's title", max: 150, message: onMessage(chars(func(s string) any { return object{"type": "card", "title": mrkdwn(s)} })), refusal: tooLong, at: "/blocks/0/title/text"},
		{name: "200 characters in a card's body", max: 200, message: onMessage(chars(func(s string) any { return object{"type": "card", "body": mrkdwn(s)} })), refusal: tooLong, at: "/blocks/0/body/text"},
		{name: "150 characters in a card's subtitle", max: 150, message: onMessage(chars(func(s string) any {
			return object{"type": "card", "title": mrkdwn("t"), "subtitle": mrkdwn(s)}
		})), refusal: tooLong, at: "/blocks/0/subtitle/text"},
		{name: "200 characters in a card's subtext", max: 200, message: onMessage(chars(func(s string) any {
			return object{"type": "card", "title": mrkdwn("t"), "subtext": mrkdwn(s)}
		})), refusal: tooLong, at: "/blocks/0/subtext/text"},
		{name: "150 characters in a container's title", max: 150, message: onMessage(chars(func(s string) any {
			return object{"type": "container", "title": plain(s), "child_blocks": []any{object{"type": "divider"}}}
		})), refusal: tooLong, at: "/blocks/0/title/text"},
		{name: "150 characters in a container's subtitle", max: 150, message: onMessage(chars(func(s string) any {
			return object{"type": "container", "title": plain("t"), "subtitle": plain(s), "child_blocks": []any{object{"type": "divider"}}}
		})), refusal: tooLong, at: "/blocks/0/subtitle/text"},
		{name: "3 buttons on a card", max: 3, message: onMessage(func(n int) any {
			return object{"type": "card", "actions": many(n, object{"type": "button", "text": plain("b")})}
		}), refusal: tooMany, at: "/blocks/0/actions"},
		{name: "10 cards in a carousel", max: 10, message: onMessage(func(n int) any {
			return object{"type": "carousel", "elements": many(n, object{"type": "card", "title": plain("t")})}
		}), refusal: tooMany, at: "/blocks/0/elements"},
		{name: "200 characters in an alert", max: 200, message: onMessage(chars(func(s string) any { return object{"type": "alert", "text": mrkdwn(s)} })), refusal: tooLong, at: "/blocks/0/text/text"},
		{name: "10 blocks in a container", max: 10, message: onMessage(func(n int) any {
			return object{"type": "container", "child_blocks": many(n, object{"type": "divider"})}
		}), refusal: tooMany, at: "/blocks/0/child_blocks"},
		{name: "5 context actions", max: 5, message: onMessage(func(n int) any {
			return object{"type": "context_actions", "elements": many(n, object{"type": "button", "text": plain("b")})}
		}), refusal: tooMany, at: "/blocks/0/elements"},
		{name: "24 characters in a modal's title", max: 24, view: func(n int) object { return with(modal(section("s")), "title", plain(strings.Repeat("x", n))) }, refusal: tooLong, at: "/view/title/text"},
		{name: "24 characters to submit", max: 24, view: func(n int) object { return with(modal(section("s")), "submit", plain(strings.Repeat("x", n))) }, refusal: tooLong, at: "/view/submit/text"},
		{name: "24 characters to close", max: 24, view: func(n int) object { return with(modal(section("s")), "close", plain(strings.Repeat("x", n))) }, refusal: tooLong, at: "/view/close/text"},
		{name: "3000 characters of private metadata", max: 3000, view: func(n int) object { return with(modal(section("s")), "private_metadata", strings.Repeat("x", n)) }, refusal: tooLong, at: "/view/private_metadata"},
		{name: "255 characters in a callback_id", max: 255, view: func(n int) object { return with(modal(section("s")), "callback_id", strings.Repeat("x", n)) }, refusal: tooLong, at: "/view/callback_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			send := func(n int) reply {
				if tt.message != nil {
					return call(t, s, "chat.postMessage", tt.message(n))
				}
				v := tt.view(n)
				if v["type"] == "home" {
					return call(t, s, "views.publish", object{"user_id": ana, "view": v})
				}
				return call(t, s, "views.open", object{"trigger_id": "none", "view": v})
			}
			// A modal that is all right is refused only for its trigger.
			if r := send(tt.max); !r.ok() && r.code() != "invalid_trigger_id" {
				t.Errorf("%d: %v", tt.max, r.object)
			}
			want := tt.max
			if tt.refusal == tooLong {
				want++
			}
			r := send(tt.max + 1)
			code := "invalid_blocks"
			if tt.view != nil {
				code = "invalid_arguments"
			}
			if r.code() != code {
				t.Errorf("%d: error %q, want %q", tt.max+1, r.code(), code)
			}
			problem := "[ERROR] " + fmt.Sprintf(tt.refusal, want) + " [json-pointer:" + tt.at + "]"
			if got := r.problems(); len(got) == 0 || got[0] != problem {
				t.Errorf("%d: %q, want %q first", tt.max+1, got, problem)
			}
		})
	}
}

func TestRefusesBlocksThatSlackRefuses(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := button("a", "b")
	menu := object{"type": "static_select", "options": []any{option("v")}}
	for name, tt := range map[string]struct {
		block any
		want  []string
	}{
		"an unknown block":                    {object{"type": "sparkle"}, []string{"unsupported type: sparkle [json-pointer:/blocks/0/type]"}},
		"an unknown field":                    {with(section("s"), "color", "red"), []string{"invalid additional property: color [json-pointer:/blocks/0]"}},
		"a block that is text":                {"section", []string{"must provide an object [json-pointer:/blocks/0]"}},
		"a block without a type":              {object{"text": plain("x")}, []string{"missing required field: type [json-pointer:/blocks/0]"}},
		"a section without text and fields":   {object{"type": "section"}, []string{"must define either `text` or `fields` [json-pointer:/blocks/0]"}},
		"an empty text":                       {section(""), []string{"must be more than 0 characters [json-pointer:/blocks/0/text/text]"}},
		"a text that is none":                 {object{"type": "section", "text": "x"}, []string{"must provide an object [json-pointer:/blocks/0/text]"}},
		"mrkdwn in a header":                  {object{"type": "header", "text": mrkdwn("x")}, []string{"unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]"}},
		"mrkdwn on a button":                  {actions(with(b, "text", mrkdwn("x"))), []string{"unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]"}},
		"emoji in mrkdwn":                     {object{"type": "section", "text": with(mrkdwn("x"), "emoji", true)}, []string{"invalid additional property: emoji [json-pointer:/blocks/0/text]"}},
		"verbatim in plain text":              {object{"type": "section", "text": with(plain("x"), "verbatim", true)}, []string{"invalid additional property: verbatim [json-pointer:/blocks/0/text]"}},
		"verbatim that is no boolean":         {object{"type": "section", "text": with(mrkdwn("x"), "verbatim", "yes")}, []string{"must provide a boolean [json-pointer:/blocks/0/text/verbatim]"}},
		"a button's unknown style":            {actions(with(b, "style", "blue")), []string{"must be one of [primary danger] [json-pointer:/blocks/0/elements/0/style]"}},
		"a relative address":                  {actions(with(b, "url", "/x")), []string{"invalid url [json-pointer:/blocks/0/elements/0/url]"}},
		"actions without elements":            {actions(), []string{"must provide at least 1 items [json-pointer:/blocks/0/elements]"}},
		"an action_id twice in a block":       {actions(b, b), []string{"`action_id` \"a\" already exists [json-pointer:/blocks/0/elements/1/action_id]"}},
		"an overflow menu without options":    {with(section("s"), "accessory", object{"type": "overflow", "options": []any{}}), []string{"must provide at least 1 items [json-pointer:/blocks/0/accessory/options]"}},
		"an address in a select's option":     {actions(object{"type": "static_select", "options": []any{with(option("v"), "url", "https://example.com/")}}), []string{"invalid additional property: url [json-pointer:/blocks/0/elements/0/options/0]"}},
		"a type in an option":                 {actions(object{"type": "static_select", "options": []any{with(option("v"), "type", "option")}}), []string{"invalid additional property: type [json-pointer:/blocks/0/elements/0/options/0]"}},
		"options and groups":                  {actions(with(menu, "option_groups", []any{object{"label": plain("l"), "options": choices(1)}})), []string{"must define either `options` or `option_groups` [json-pointer:/blocks/0/elements/0]"}},
		"an initial option that is not there": {actions(with(menu, "initial_option", option("w"))), []string{"must match one of the options exactly [json-pointer:/blocks/0/elements/0/initial_option]"}},
		"a confirmation without its no":       {actions(with(b, "confirm", object{"title": plain("a"), "text": plain("b"), "confirm": plain("c")})), []string{"missing required field: deny [json-pointer:/blocks/0/elements/0/confirm]"}},
		"a text input among actions":          {actions(object{"type": "plain_text_input"}), []string{"unsupported type: plain_text_input [json-pointer:/blocks/0/elements/0/type]"}},
		"a button as input":                   {input("i", b), []string{"unsupported type: button [json-pointer:/blocks/0/element/type]"}},
		"an empty text in rich text": {
			object{"type": "rich_text", "elements": []any{object{"type": "rich_text_preformatted", "elements": []any{object{"type": "text", "text": ""}}}}},
			[]string{"must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]"},
		},
		"two things at once": {
			object{"type": "header", "text": plain(""), "size": "big"},
			[]string{"must be more than 0 characters [json-pointer:/blocks/0/text/text]", "invalid additional property: size [json-pointer:/blocks/0]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": []any{tt.block}})
			var marked []string
			for _, w := range tt.want {
				marked = append(marked, "[ERROR] "+w)
			}
			if diff := cmp.Diff(marked, r.problems()); r.code() != "invalid_blocks" || diff != "" {
				t.Errorf("error %q (-want +got):\n%s", r.code(), diff)
			}
			var errs []string
			list, _ := r.object["errors"].([]any)
			for _, e := range list {
				errs = append(errs, e.(string))
			}
			if diff := cmp.Diff(tt.want, errs); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
	if got := s.Messages(ops, ana); len(got) != 0 {
		t.Errorf("something was posted all the same: %v", got)
	}
}

func TestABlockIDIsThereOnce(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := with(section("s"), "block_id", "x")
	r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": []any{b, b}})
	if diff := cmp.Diff([]string{"[ERROR] `block_id` \"x\" already exists [json-pointer:/blocks/1/block_id]"}, r.problems()); diff != "" {
		t.Error(diff)
	}
	// An action_id may come back in another block.
	r = call(t, s, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": []any{actions(button("a", "1")), actions(button("a", "2"))}})
	if !r.ok() {
		t.Error(r.object)
	}
}

func TestBlocksThatAreNoBlocks(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	for _, blocks := range []string{`{"type":"divider"}`, `[{"type":`, `"x"`} {
		if r := callForm(t, s, "chat.postMessage", map[string]string{"channel": ops, "text": "t", "blocks": blocks}); r.code() != "invalid_blocks_format" {
			t.Errorf("%s: %v", blocks, r.object)
		}
	}
}

func TestAMessageMayHave13200CharactersInItsBlocks(t *testing.T) {
	header := object{"type": "header", "text": plain(strings.Repeat("h", 100))} // weighs 200
	blocks := func(last int) []any {
		return []any{section(chars(3000)), section(chars(3000)), section(chars(3000)), section(chars(3000)), header, section(chars(last))}
	}
	s := workspace(t, slacktest.Options{})
	if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": blocks(1000)}); !r.ok() {
		t.Error(r.object)
	}
	if r := call(t, s, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": blocks(1001)}); r.code() != "msg_blocks_too_long" {
		t.Error(r.object)
	}

	strict := workspace(t, slacktest.Options{StrictSize: true})
	dividers := many(50, object{"type": "divider"}) // 50 × 18 + 49 commas + 2 brackets
	if r := call(t, strict, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": dividers}); !r.ok() {
		t.Error(r.object)
	}
	if r := call(t, strict, "chat.postMessage", object{"channel": ops, "text": "t", "blocks": blocks(900)}); r.code() != "msg_blocks_too_long" {
		t.Errorf("13,100 characters of text and the JSON around them: %v", r.object)
	}
}

func TestViewsThatSlackRefuses(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	text := input("i", object{"type": "plain_text_input"})
	for name, tt := range map[string]struct {
		view object
		want string
	}{
		"an input without submit":        {without(modal(section("s"), text), "submit"), "must define `submit` to use an `input` block in modals [json-pointer:/view/blocks/1/input]"},
		"no title":                       {without(modal(section("s")), "title"), "missing required field: title [json-pointer:/view]"},
		"no blocks":                      {modal(), "must provide at least 1 items [json-pointer:/view/blocks]"},
		"a field that Slack has not":     {with(modal(section("s")), "submit_disabled", true), "invalid additional property: submit_disabled [json-pointer:/view]"},
		"a Home tab":                     {home(section("s")), "unsupported type: home [json-pointer:/view/type]"},
		"markdown, which is a message's": {modal(object{"type": "markdown", "text": "x"}), "unsupported type: markdown [json-pointer:/view/blocks/0/type]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, s, "views.open", object{"trigger_id": "none", "view": tt.view})
			if diff := cmp.Diff([]string{"[ERROR] " + tt.want}, r.problems()); r.code() != "invalid_arguments" || diff != "" {
				t.Errorf("error %q (-want +got):\n%s", r.code(), diff)
			}
		})
	}
	big := modal(many(90, section(strings.Repeat("x", 2900)))...)
	if r := call(t, s, "views.open", object{"trigger_id": "none", "view": big}); r.code() != "view_too_large" {
		t.Errorf("261,000 characters: %v", r.object)
	}
}
