package slacktest

import "testing"

// FuzzBlocks looks for blocks that pass and cannot be shown.
func FuzzBlocks(f *testing.F) {
	f.Add([]byte(`[{"type":"section","block_id":"b","text":{"type":"mrkdwn","text":"x","verbatim":true},"accessory":{"type":"overflow","action_id":"a","options":[{"text":{"type":"plain_text","text":"t"},"value":"v","url":"https://e.x/"}]}}]`))
	f.Add([]byte(`[{"type":"actions","elements":[{"type":"button","text":{"type":"plain_text","text":"t"}},{"type":"checkboxes","options":[{"text":{"type":"mrkdwn","text":"t"},"value":"v"}],"initial_options":[]}]}]`))
	f.Add([]byte(`[{"type":"input","label":{"type":"plain_text","text":"l"},"element":{"type":"static_select","option_groups":[{"label":{"type":"plain_text","text":"l"},"options":[null]}]}},{"type":"container","child_blocks":[{"type":"divider"}]}]`))
	f.Add([]byte(`[{"type":"rich_text","elements":[{"type":"rich_text_list","style":"bullet","elements":[]}]},{"type":"header"},null,7]`))
	s := New(Options{})
	f.Fuzz(func(_ *testing.T, raw []byte) {
		v, err := decode(raw)
		if err != nil {
			return
		}
		for _, on := range []surface{inMessage, inModal, inHome} {
			var c checker
			c.checkBlocks("/blocks", on, v)
			if c.problems != nil {
				continue
			}
			blocks := v.([]any)
			textIn(v)
			s.identify(blocks)
			in := initial(blocks).carried(blocks)
			for _, c := range controls(blocks) {
				for _, opt := range options(c.element) {
					in.choose(c, choice(c.element, opt.(object)["value"].(string)))
				}
			}
			encode(in.object())
		}
	})
}
