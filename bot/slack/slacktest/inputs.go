package slacktest

import (
	"fmt"
	"maps"
)

// inputs is what is typed and chosen on a surface, as Slack reports it:
// block_id → action_id → value.
type inputs map[string]object

// control is an element that a person can act on.
type control struct {
	block   object
	element object
}

func (c control) blockID() string  { return c.block["block_id"].(string) }
func (c control) actionID() string { return c.element["action_id"].(string) }
func (c control) kind() string     { return c.element["type"].(string) }
func (c control) isInput() bool    { return c.block["type"] == "input" }

// interactive names the elements that carry an action_id; those with a value
// also appear in a surface's state.
var interactive = map[string]struct{ valued bool }{
	"button": {}, "overflow": {},
	"static_select": {true}, "multi_static_select": {true}, "radio_buttons": {true}, "checkboxes": {true},
	"plain_text_input": {true}, "number_input": {true}, "email_text_input": {true}, "url_text_input": {true},
}

// controls lists what can be acted on, from top to bottom.
func controls(blocks []any) []control {
	var out []control
	for _, b := range blocks {
		b := b.(object)
		walk(b, "", func(_ string, o object) {
			if t, _ := o["type"].(string); t != "" {
				if _, ok := interactive[t]; ok {
					out = append(out, control{b, o})
				}
			}
		})
	}
	return out
}

// identify adds the ids that Slack adds where the app gave none.
func (s *Server) identify(blocks []any) {
	for _, b := range blocks {
		if b := b.(object); b["block_id"] == nil {
			b["block_id"] = fmt.Sprintf("auto-%05d", s.nextID())
		}
	}
	for _, c := range controls(blocks) {
		if c.element["action_id"] == nil {
			c.element["action_id"] = fmt.Sprintf("auto-%05d", s.nextID())
		}
	}
}

// initial is what is typed and chosen before a person touches anything.
func initial(blocks []any) inputs {
	in := inputs{}
	for _, c := range controls(blocks) {
		if !interactive[c.kind()].valued {
			continue
		}
		v := object{"type": c.kind()}
		switch c.kind() {
		case "static_select", "radio_buttons":
			v["selected_option"] = c.element["initial_option"]
		case "checkboxes", "multi_static_select":
			chosen, _ := c.element["initial_options"].([]any)
			v["selected_options"] = append([]any{}, chosen...)
		default:
			v["value"] = c.element["initial_value"]
		}
		in.set(c, v)
	}
	return in
}

func (in inputs) set(c control, v object) {
	if in[c.blockID()] == nil {
		in[c.blockID()] = object{}
	}
	in[c.blockID()][c.actionID()] = v
}

func (in inputs) get(c control) object {
	v, _ := in[c.blockID()][c.actionID()].(object)
	return v
}

// carried is what stays typed and chosen when a view's blocks are replaced.
func (in inputs) carried(blocks []any) inputs {
	out := initial(blocks)
	for _, c := range controls(blocks) {
		old := in.get(c)
		if old == nil || old["type"] != c.kind() || !stillOffered(c.element, old) {
			continue
		}
		out.set(c, old)
	}
	return out
}

// stillOffered reports whether what was chosen is among an element's options.
func stillOffered(element, value object) bool {
	chosen, _ := value["selected_options"].([]any)
	if one := value["selected_option"]; one != nil {
		chosen = append(chosen, one)
	}
	for _, opt := range chosen {
		if choice(element, opt.(object)["value"].(string)) == nil {
			return false
		}
	}
	return true
}

// choice finds an option by its value.
func choice(element object, value string) object {
	for _, opt := range options(element) {
		if opt := opt.(object); opt["value"] == value {
			return opt
		}
	}
	return nil
}

// object is the state as Slack sends it.
func (in inputs) object() object {
	values := object{}
	for block, v := range in {
		values[block] = maps.Clone(v)
	}
	return object{"values": values}
}
