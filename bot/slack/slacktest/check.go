package slacktest

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Check says what Slack would refuse about the JSON of a message ({"blocks": …})
// or of a view, without a server: nil where it is fine.
func Check(raw json.RawMessage) []string {
	v, err := decode(raw)
	if err != nil {
		return []string{err.Error()}
	}
	doc, _ := v.(object)
	var c checker
	switch kind, _ := doc["type"].(string); kind {
	case "modal":
		c.checkView(v, inModal)
	case "home":
		c.checkView(v, inHome)
	default:
		c.checkBlocks("/blocks", inMessage, doc["blocks"])
		// Both readings of the undocumented limit.
		if n := max(textIn(doc["blocks"]), utf8.RuneCount(encode(doc["blocks"]))); n > maxBlocksText {
			c.problems = append(c.problems, fmt.Sprintf("msg_blocks_too_long: %d characters", n))
		}
		return c.problems
	}
	if len(raw) > maxViewSize {
		c.problems = append(c.problems, "view_too_large")
	}
	return c.problems
}
