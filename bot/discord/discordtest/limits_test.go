package discordtest_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// TestEveryLimitHolds sends the most that Discord takes, and one more.
func TestEveryLimitHolds(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	v2s := func(components ...any) object { return object{"flags": v2, "components": components} }
	options := func(n int) []any {
		return times(n, func(i int) any { return object{"label": "l", "value": fmt.Sprint(i)} })
	}
	menu := func(key string, value any) object {
		return with(object{"type": 3, "custom_id": "m", "options": options(1)}, key, value)
	}
	embed := func(key string, value any) object { return object{"embeds": []any{object{key: value}}} }
	field := func(name, value string) object {
		return object{"embeds": []any{object{"fields": []any{object{"name": name, "value": value}}}}}
	}
	for name, tt := range map[string]struct {
		most int
		body func(n int) object
		path string // where it is told
		code string
	}{
		"content":           {2000, func(n int) object { return object{"content": chars(n)} }, "content", "BASE_TYPE_MAX_LENGTH"},
		"embeds":            {10, func(n int) object { return object{"embeds": times(n, func(int) any { return object{"title": "t"} })} }, "embeds", "BASE_TYPE_MAX_LENGTH"},
		"embed title":       {256, func(n int) object { return embed("title", chars(n)) }, "embeds.0.title", "BASE_TYPE_MAX_LENGTH"},
		"embed description": {4096, func(n int) object { return embed("description", chars(n)) }, "embeds.0.description", "BASE_TYPE_MAX_LENGTH"},
		"embed footer":      {2048, func(n int) object { return embed("footer", object{"text": chars(n)}) }, "embeds.0.footer.text", "BASE_TYPE_MAX_LENGTH"},
		"embed author":      {256, func(n int) object { return embed("author", object{"name": chars(n)}) }, "embeds.0.author.name", "BASE_TYPE_MAX_LENGTH"},
		"embed fields": {25, func(n int) object {
			return embed("fields", times(n, func(int) any { return object{"name": "n", "value": "v"} }))
		}, "embeds.0.fields", "BASE_TYPE_MAX_LENGTH"},
		"embed field name":  {256, func(n int) object { return field(chars(n), "v") }, "embeds.0.fields.0.name", "BASE_TYPE_MAX_LENGTH"},
		"embed field value": {1024, func(n int) object { return field("n", chars(n)) }, "embeds.0.fields.0.value", "BASE_TYPE_MAX_LENGTH"},
		"embeds together": {6000, func(n int) object {
			return object{"embeds": []any{object{"description": chars(3000)}, object{"description": chars(n - 3000)}}}
		}, "embeds", "MAX_EMBED_SIZE_EXCEEDED"},
		"legacy rows": {5, func(n int) object {
			return object{"content": "x", "components": times(n, func(i int) any { return row(button(fmt.Sprint(i), "b")) })}
		}, "components", "BASE_TYPE_MAX_LENGTH"},
		"buttons in a row": {5, func(n int) object {
			return v2s(row(times(n, func(i int) any { return button(fmt.Sprint(i), "b") })...))
		}, "components.0.components", "BASE_TYPE_BAD_LENGTH"},
		"button label": {80, func(n int) object { return v2s(row(button("b", chars(n)))) }, "components.0.components.0.label", "BASE_TYPE_MAX_LENGTH"},
		"custom_id":    {100, func(n int) object { return v2s(row(button(chars(n), "b"))) }, "components.0.components.0.custom_id", "BASE_TYPE_BAD_LENGTH"},
		"link": {512, func(n int) object {
			return v2s(row(object{"type": 2, "style": 5, "label": "b", "url": "https://x/" + chars(n-10)}))
		}, "components.0.components.0.url", "BASE_TYPE_MAX_LENGTH"},
		"select options": {25, func(n int) object { return v2s(row(menu("options", options(n)))) }, "components.0.components.0.options", "BASE_TYPE_BAD_LENGTH"},
		"option label":   {100, func(n int) object { return v2s(row(menu("options", []any{object{"label": chars(n), "value": "v"}}))) }, "components.0.components.0.options.0.label", "BASE_TYPE_BAD_LENGTH"},
		"option value":   {100, func(n int) object { return v2s(row(menu("options", []any{object{"label": "l", "value": chars(n)}}))) }, "components.0.components.0.options.0.value", "BASE_TYPE_BAD_LENGTH"},
		"option description": {100, func(n int) object {
			return v2s(row(menu("options", []any{object{"label": "l", "value": "v", "description": chars(n)}})))
		}, "components.0.components.0.options.0.description", "BASE_TYPE_MAX_LENGTH"},
		"select placeholder": {150, func(n int) object { return v2s(row(menu("placeholder", chars(n)))) }, "components.0.components.0.placeholder", "BASE_TYPE_MAX_LENGTH"},
		"components":         {40, func(n int) object { return v2s(times(n, func(int) any { return object{"type": 14} })...) }, "components", "BASE_TYPE_MAX_LENGTH COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED"},
		"nested components": {40, func(n int) object { // a container, nineteen rows of one button, and the rest
			return v2s(object{"type": 17, "components": append(times(19, func(i int) any { return row(button(fmt.Sprint(i), "b")) }), times(n-39, func(int) any { return object{"type": 14} })...)})
		}, "components", "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED"},
		"a text":         {4000, func(n int) object { return v2s(text(chars(n))) }, "components.0.content", "BASE_TYPE_BAD_LENGTH"},
		"texts together": {4000, func(n int) object { return v2s(text(chars(2000)), text(chars(n-2000))) }, "components", "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED"},
		"texts of section": {3, func(n int) object {
			return v2s(object{"type": 9, "components": times(n, func(int) any { return text("x") }), "accessory": button("b", "b")})
		}, "components.0.components", "BASE_TYPE_BAD_LENGTH"},
		"accent colour": {0xFFFFFF, func(n int) object { return v2s(object{"type": 17, "accent_color": n, "components": []any{text("x")}}) }, "components.0.accent_color", "NUMBER_TYPE_MAX"},
		"spacing":       {2, func(n int) object { return v2s(object{"type": 14, "spacing": n}) }, "components.0.spacing", "BASE_TYPE_CHOICES"},
	} {
		if a := rest(t, s, "POST", "/channels/"+ops+"/messages", tt.body(tt.most)); a.status != http.StatusOK {
			t.Errorf("%s: %d are refused: %v", name, tt.most, a.body)
		}
		a := rest(t, s, "POST", "/channels/"+ops+"/messages", tt.body(tt.most+1))
		if a.status != http.StatusBadRequest || a.code() != 50035 || a.str("message") != "Invalid Form Body" || a.wrong(tt.path) != tt.code {
			t.Errorf("%s: %d get %d %v", name, tt.most+1, a.status, a.body)
		}
	}
}

func TestWhatNoMessageMayBe(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	section := object{"type": 9, "components": []any{text("x")}}
	for name, tt := range map[string]struct {
		body any
		path string
		code string
	}{
		"content beside components":  {object{"flags": v2, "content": "x", "components": []any{text("x")}}, "content", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"},
		"embeds beside components":   {object{"flags": v2, "embeds": []any{object{"title": "x"}}, "components": []any{text("x")}}, "embeds", "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"},
		"a text without the flag":    {object{"components": []any{text("x")}}, "components.0", "UNION_TYPE_CHOICES"},
		"an empty text":              {object{"flags": v2, "components": []any{text("")}}, "components.0.content", "BASE_TYPE_BAD_LENGTH"},
		"a section without a button": {object{"flags": v2, "components": []any{section}}, "components.0.accessory", "BASE_TYPE_REQUIRED"},
		"a container in another":     {object{"flags": v2, "components": []any{object{"type": 17, "components": []any{object{"type": 17, "components": []any{text("x")}}}}}}, "components.0.components.0", "UNION_TYPE_CHOICES"},
		"an id twice":                {object{"flags": v2, "components": []any{row(button("a", "a")), row(button("a", "b"))}}, "components.1.components.0.custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED"},
		"a button without a label":   {object{"flags": v2, "components": []any{row(object{"type": 2, "style": 1, "custom_id": "a"})}}, "components.0.components.0.label", "BASE_TYPE_REQUIRED"},
		"a button without an id":     {object{"flags": v2, "components": []any{row(object{"type": 2, "style": 1, "label": "a"})}}, "components.0.components.0.custom_id", "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED"},
		"a link with an id":          {object{"flags": v2, "components": []any{row(object{"type": 2, "style": 5, "label": "a", "url": "https://x", "custom_id": "a"})}}, "components.0.components.0.custom_id", "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE"},
		"a link to elsewhere":        {object{"flags": v2, "components": []any{row(object{"type": 2, "style": 5, "label": "a", "url": "file://x/y"})}}, "components.0.components.0.url", "URL_TYPE_INVALID_SCHEME"},
		"a select beside a button":   {object{"flags": v2, "components": []any{row(button("a", "a"), object{"type": 3, "custom_id": "b", "options": []any{object{"label": "l", "value": "v"}}})}}, "components.0.components.1", "COMPONENT_LAYOUT_WIDTH_EXCEEDED"},
		"an option twice":            {object{"flags": v2, "components": []any{row(object{"type": 3, "custom_id": "b", "options": []any{object{"label": "l", "value": "v"}, object{"label": "m", "value": "v"}}})}}, "components.0.components.0.options.1", "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED"},
		"an emoji that is none":      {object{"flags": v2, "components": []any{row(with(button("a", "a"), "emoji", object{"name": "stop"}))}}, "components.0.components.0.emoji.name", "COMPONENT_INVALID_EMOJI"},
		"an input in a message":      {object{"flags": v2, "components": []any{row(input("a"))}}, "components.0.components.0", "UNION_TYPE_CHOICES"},
	} {
		a := rest(t, s, "POST", "/channels/"+ops+"/messages", tt.body)
		if a.status != http.StatusBadRequest || a.code() != 50035 || a.wrong(tt.path) != tt.code {
			t.Errorf("%s: %d %v", name, a.status, a.body)
		}
	}
	for name, tt := range map[string]struct {
		body any
		code int
	}{"nothing": {object{}, 50006}, "no JSON": {"{", 50109}} {
		if a := rest(t, s, "POST", "/channels/"+ops+"/messages", tt.body); a.status != http.StatusBadRequest || a.code() != tt.code {
			t.Errorf("%s: %d %v", name, a.status, a.body)
		}
	}

	m := rest(t, s, "POST", "/channels/"+ops+"/messages", object{"flags": v2, "components": []any{text("x")}})
	path := "/channels/" + ops + "/messages/" + m.str("id")
	if a := rest(t, s, "PATCH", path, object{"content": "y"}); a.code() != 50035 {
		t.Errorf("it went back to content: %v", a.body)
	}
	if a := rest(t, s, "PATCH", path, object{"flags": 0, "components": []any{text("y")}}); a.wrong("components.0") != "UNION_TYPE_CHOICES" {
		t.Errorf("components without the flag: %v", a.body)
	}
	if a := rest(t, s, "PATCH", path, object{"flags": v2, "components": []any{text("y")}}); a.status != http.StatusOK || a.object()["edited_timestamp"] == nil {
		t.Errorf("an edit: %v", a.body)
	}
}

func TestCommandsAreHeldAgainstTheirLimits(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	path := "/applications/" + app + "/guilds/" + guild + "/commands"
	cmd := func(key string, value any) object { return with(object{"name": "pve", "description": "d"}, key, value) }
	option := func(key string, value any) object {
		return cmd("options", []any{with(object{"type": 3, "name": "n", "description": "d"}, key, value)})
	}
	for name, tt := range map[string]struct {
		most int
		body func(n int) object
		path string
	}{
		"name":        {32, func(n int) object { return cmd("name", chars(n)) }, "name"},
		"description": {100, func(n int) object { return cmd("description", chars(n)) }, "description"},
		"options": {25, func(n int) object {
			return cmd("options", times(n, func(i int) any { return object{"type": 3, "name": fmt.Sprint("o", i), "description": "d"} }))
		}, "options"},
		"choices": {25, func(n int) object {
			return option("choices", times(n, func(i int) any { return object{"name": fmt.Sprint(i), "value": fmt.Sprint(i)} }))
		}, "options.0.choices"},
		"choice name": {100, func(n int) object { return option("choices", []any{object{"name": chars(n), "value": "v"}}) }, "options.0.choices.0.name"},
	} {
		if a := rest(t, s, "POST", path, tt.body(tt.most)); a.status != http.StatusCreated && a.status != http.StatusOK {
			t.Errorf("%s: %d are refused: %v", name, tt.most, a.body)
		}
		if a := rest(t, s, "POST", path, tt.body(tt.most+1)); a.code() != 50035 || a.wrong(tt.path) == "" {
			t.Errorf("%s: %d get %d %v", name, tt.most+1, a.status, a.body)
		}
	}
	for _, name := range []string{"Upper", "with blank", "", "a/b"} {
		if a := rest(t, s, "POST", path, cmd("name", name)); a.code() != 50035 {
			t.Errorf("the name %q is taken", name)
		}
	}
	big := cmd("options", times(25, func(i int) any {
		return object{"type": 3, "name": fmt.Sprint("o", i), "description": chars(100), "choices": times(25, func(j int) any { return object{"name": chars(20), "value": fmt.Sprint(j)} })}
	}))
	if a := rest(t, s, "POST", path, big); a.code() != 50035 {
		t.Errorf("more than 8000 characters together: %d", a.status)
	}

	if a := rest(t, s, "PUT", path, []any{cmd("name", "one"), cmd("name", "two")}); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	if got := s.Commands(); len(got) != 2 || got[0].Name != "one" || got[0].Guild != guild {
		t.Errorf("there are %+v", got)
	}
	if a := rest(t, s, "POST", path, cmd("name", "three")); a.status != http.StatusCreated {
		t.Errorf("a new one: %d", a.status)
	}
	if a := rest(t, s, "POST", path, cmd("name", "three")); a.status != http.StatusOK {
		t.Errorf("the same again: %d", a.status)
	}
	if a := rest(t, s, "GET", "/applications/"+ops+"/commands", nil); a.code() != 20012 {
		t.Errorf("of another application: %d %v", a.status, a.body)
	}
}
