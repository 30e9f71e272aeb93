package discordtest

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Component types, as Discord numbers them.
const (
	typeActionRow    = 1
	typeButton       = 2
	typeStringSelect = 3
	typeTextInput    = 4
	typeUserSelect   = 5
	typeRoleSelect   = 6
	typeMentionable  = 7
	typeChannel      = 8
	typeSection      = 9
	typeTextDisplay  = 10
	typeThumbnail    = 11
	typeMediaGallery = 12
	typeFile         = 13
	typeSeparator    = 14
	typeContainer    = 17
)

// Button styles with a meaning of their own; 1 to 4 differ in colour alone.
const (
	styleLink    = 5
	stylePremium = 6
)

const (
	maxComponents = 40   // in a message, nested ones counted
	maxText       = 4000 // characters of all text displays of a message together
	maxID         = 1<<31 - 1
)

// componentCheck walks the components of one message or form.
type componentCheck struct {
	p           *problems
	attachments map[string]bool // names that attachment:// may refer to

	all        []object // in the order of their ids
	characters int
	customIDs  map[string]bool
}

// checkMessage examines the components of a message and gives each an id. legacy
// is a message without the flag IS_COMPONENTS_V2.
func checkMessage(f form, legacy bool, attachments map[string]bool) []any {
	c := newCheck(f.p)
	c.attachments = attachments
	top, most := []int{typeActionRow, typeSection, typeTextDisplay, typeMediaGallery, typeFile, typeSeparator, typeContainer}, maxComponents
	if legacy {
		top, most = []int{typeActionRow}, 5
	}
	at := f.at.key("components")
	c.children(f, 0, most, top, c.message)
	if len(c.all) > maxComponents {
		f.p.add(at, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED", "Total number of components cannot exceed %d", maxComponents)
	}
	if c.characters > maxText {
		f.p.add(at, "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED", "Components displayable text size exceeds maximum size of %d", maxText)
	}
	return c.number(f)
}

// checkForm examines the components of a modal: one to five rows, each with one
// text input.
func checkForm(f form) []any {
	c := newCheck(f.p)
	c.children(f, 1, 5, []int{typeActionRow}, func(row form, _ int) {
		c.children(row, 1, 5, []int{typeTextInput}, func(input form, _ int) { c.textInput(input) })
		c.width(row)
	})
	return c.number(f)
}

func newCheck(p *problems) *componentCheck {
	return &componentCheck{p: p, customIDs: make(map[string]bool)}
}

// children examines the components listed in f.
func (c *componentCheck) children(f form, lo, hi int, types []int, check func(form, int)) {
	for _, child := range f.objects("components", lo, hi) {
		c.child(child, types, check)
	}
}

func (c *componentCheck) child(f form, types []int, check func(form, int)) {
	if !f.has("type") {
		f.require("type")
		return
	}
	typ, ok := f.integer("type", 0, maxID)
	if !ok {
		return
	}
	for _, t := range types {
		if t == typ {
			c.all = append(c.all, f.fields)
			check(f, typ)
			return
		}
	}
	one := join(types)
	if len(types) == 1 {
		one += ","
	}
	f.p.add(f.at, "UNION_TYPE_CHOICES", `Value of field "type" must be one of (%s).`, one)
}

// message examines one component of a message.
func (c *componentCheck) message(f form, typ int) {
	switch typ {
	case typeActionRow:
		c.children(f, 1, 5, []int{typeButton, typeStringSelect, typeUserSelect, typeRoleSelect, typeMentionable, typeChannel}, c.message)
		c.width(f)
	case typeButton:
		c.button(f)
	case typeStringSelect:
		c.stringSelect(f)
	case typeUserSelect, typeRoleSelect, typeMentionable, typeChannel:
		c.autoSelect(f)
	case typeSection:
		c.children(f, 1, 3, []int{typeTextDisplay}, c.message)
		accessory, ok := f.object("accessory")
		if !f.has("accessory") {
			f.require("accessory")
		} else if ok {
			c.child(accessory, []int{typeButton, typeThumbnail}, c.message)
		}
	case typeTextDisplay:
		c.characters += utf8.RuneCountInString(f.must("content", 1, maxText))
	case typeThumbnail:
		f.optional("description", 1024)
		f.boolean("spoiler")
		c.media(f, "media", false)
	case typeMediaGallery:
		for _, item := range f.objects("items", 1, 10) {
			item.optional("description", 1024)
			item.boolean("spoiler")
			c.media(item, "media", false)
		}
	case typeFile:
		f.boolean("spoiler")
		c.media(f, "file", true)
	case typeSeparator:
		f.boolean("divider")
		if f.has("spacing") {
			f.choice("spacing", 1, 2)
		}
	case typeContainer:
		f.integer("accent_color", 0, 0xFFFFFF)
		f.boolean("spoiler")
		c.children(f, 1, maxComponents, []int{typeActionRow, typeSection, typeTextDisplay, typeMediaGallery, typeFile, typeSeparator}, c.message)
	}
}

// width refuses what does not fit into a row: five buttons do, or one of
// anything else.
func (c *componentCheck) width(row form) {
	const full = 5
	used := 0
	children, _ := row.fields["components"].([]any)
	for i, child := range children {
		fields, _ := child.(object)
		if fmt.Sprint(fields["type"]) == strconv.Itoa(typeButton) {
			used++
		} else {
			used += full
		}
		if used > full {
			c.p.add(row.at.key("components").index(i), "COMPONENT_LAYOUT_WIDTH_EXCEEDED", "The specified component exceeds the maximum width")
		}
	}
}

func (c *componentCheck) button(f form) {
	style, ok := f.choice("style", 1, 2, 3, 4, styleLink, stylePremium)
	label := f.optional("label", 80)
	f.boolean("disabled")
	emoji := c.emoji(f)
	if !ok {
		return
	}
	if style != stylePremium && label == "" && !emoji {
		f.require("label")
	}
	customID, _ := f.text("custom_id")
	link, _ := f.text("url")
	switch style {
	case styleLink:
		if link == "" {
			f.require("url")
		} else {
			f.optional("url", 512)
			f.scheme("url", link, "http", "https", "discord")
		}
		if customID != "" {
			f.bad("custom_id", "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", "A custom id and url cannot both be specified")
		}
	case stylePremium:
		if sku, _ := f.text("sku_id"); !isSnowflake(sku) {
			f.require("sku_id")
		}
		if customID != "" || link != "" || label != "" || emoji {
			f.bad("sku_id", "BUTTON_COMPONENT_INVALID_PREMIUM", "A premium button has nothing but its sku")
		}
	default:
		if customID == "" {
			f.bad("custom_id", "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED", "A custom id is required")
		} else {
			c.customID(f)
		}
		if link != "" {
			f.bad("url", "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE", "A custom id and url cannot both be specified")
		}
	}
}

func (c *componentCheck) stringSelect(f form) {
	most := c.selection(f)
	options := f.objects("options", max(1, most), 25)
	seen := make(map[string]bool)
	defaults := 0
	for _, o := range options {
		o.must("label", 1, 100)
		value := o.must("value", 1, 100)
		o.optional("description", 100)
		c.emoji(o)
		if o.boolean("default") {
			defaults++
		}
		if seen[value] {
			f.p.add(o.at, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "The specified option value is already used")
		}
		seen[value] = true
	}
	if defaults > max(1, most) {
		f.bad("options", "SELECT_COMPONENT_TOO_MANY_DEFAULT_VALUES", "The number of default options exceeds max_values")
	}
}

func (c *componentCheck) autoSelect(f form) {
	most := c.selection(f)
	defaults := f.objects("default_values", 0, max(1, most))
	for _, d := range defaults {
		d.must("type", 1, 100)
		if id := d.must("id", 1, 20); !isSnowflake(id) {
			d.bad("id", "NUMBER_TYPE_COERCE", "Value %q is not snowflake.", id)
		}
	}
}

// selection examines what all selects share and returns max_values.
func (c *componentCheck) selection(f form) int {
	c.customID(f)
	f.optional("placeholder", 150)
	f.boolean("disabled")
	least, _ := f.integer("min_values", 0, 25)
	most, given := f.integer("max_values", 1, 25)
	if !given {
		most = 1
	}
	if least > most {
		f.bad("min_values", "NUMBER_TYPE_MAX", "int value should be less than or equal to %d.", most)
	}
	return most
}

func (c *componentCheck) textInput(f form) {
	c.customID(f)
	f.choice("style", 1, 2)
	f.must("label", 1, 45)
	f.optional("placeholder", 100)
	f.boolean("required")
	least, _ := f.integer("min_length", 0, 4000)
	most, given := f.integer("max_length", 1, 4000)
	if !given {
		most = 4000
	}
	if least > most {
		f.bad("min_length", "NUMBER_TYPE_MAX", "int value should be less than or equal to %d.", most)
	}
	f.optional("value", most)
}

func (c *componentCheck) customID(f form) {
	id := f.must("custom_id", 1, 100)
	if id != "" && c.customIDs[id] {
		f.bad("custom_id", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
	}
	c.customIDs[id] = true
}

// emoji reports whether f has one. An emoji is a character that is not ASCII, or
// one of the guild's own, by id.
func (c *componentCheck) emoji(f form) bool {
	e, ok := f.object("emoji")
	if !ok || len(e.fields) == 0 {
		return false
	}
	name := e.optional("name", 100)
	id, _ := e.text("id")
	if id == "" && name == "" {
		return false
	}
	plain := strings.IndexFunc(name, func(r rune) bool { return r > 0x7F }) < 0
	if id == "" && plain || id != "" && !isSnowflake(id) {
		e.bad("name", "COMPONENT_INVALID_EMOJI", "Invalid emoji")
	}
	return true
}

// media examines an unfurled media item: a web address, or attachment:// and the
// name of a file in the same message.
func (c *componentCheck) media(f form, key string, attachmentOnly bool) {
	item, ok := f.object(key)
	if !ok {
		if !f.has(key) {
			f.require(key)
		}
		return
	}
	link := item.must("url", 1, 2048)
	if name, ok := strings.CutPrefix(link, "attachment://"); ok {
		if !c.attachments[name] {
			item.bad("url", "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND", "The referenced attachment was not found")
		}
		return
	}
	schemes := []string{"http", "https"}
	if attachmentOnly {
		schemes = []string{"attachment"}
	}
	item.scheme("url", link, schemes...)
}

// scheme refuses an address that does not start with one of the schemes.
func (f form) scheme(key, link string, schemes ...string) {
	u, err := url.Parse(link)
	if err != nil || u.Scheme == "" || u.Host == "" {
		f.bad(key, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
		return
	}
	for _, s := range schemes {
		if u.Scheme == s {
			return
		}
	}
	f.bad(key, "URL_TYPE_INVALID_SCHEME", "Scheme %q is not supported. Scheme must be one of ('%s').", u.Scheme, strings.Join(schemes, "', '"))
}

// number gives every component without an id the next free one, in the order of
// reading, and returns f's components.
func (c *componentCheck) number(f form) []any {
	taken := make(map[int]bool)
	for _, fields := range c.all {
		id, _ := form{c.p, f.at, fields}.integer("id", 0, maxID)
		if id != 0 && taken[id] {
			f.bad("components", "COMPONENT_ID_DUPLICATED", "Component id %d cannot be duplicated", id)
		}
		taken[id] = true
	}
	next := 1
	for _, fields := range c.all {
		for key, v := range fields {
			if v == nil {
				delete(fields, key)
			}
		}
		if id := number(fields["id"]); id != 0 {
			continue
		}
		for taken[next] {
			next++
		}
		fields["id"] = next
		next++
	}
	list, _ := f.fields["components"].([]any)
	return list
}

// number reads a whole number of a stored object; 0 where there is none.
func number(v any) int {
	switch v := v.(type) {
	case int:
		return v
	case fmt.Stringer: // json.Number
		n, _ := strconv.Atoi(v.String())
		return n
	}
	return 0
}

// eachComponent calls f for every component under list, in the order of reading.
func eachComponent(list []any, f func(object)) {
	for _, v := range list {
		c, ok := v.(object)
		if !ok {
			continue
		}
		f(c)
		if children, ok := c["components"].([]any); ok {
			eachComponent(children, f)
		}
		if accessory, ok := c["accessory"]; ok {
			eachComponent([]any{accessory}, f)
		}
	}
}
