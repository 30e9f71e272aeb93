package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"
)

// encoded is a block that is JSON already. It is sent as it was measured.
type encoded []byte

func (e encoded) MarshalJSON() ([]byte, error) { return e, nil }

// BlockType and ID make it a block to the SDK, which asks for neither.
func (encoded) BlockType() slackgo.MessageBlockType { return "" }
func (encoded) ID() string                          { return "" }

// written is a part of a surface that writes its own JSON. Lists are made of
// these, and the encoder of the standard library spends longer on them than
// everything else between a click and its answer takes.
type written interface{ write(to []byte) []byte }

func write(to []byte, part any) []byte {
	if w, ok := part.(written); ok {
		return w.write(to)
	}
	b, _ := json.Marshal(part) // nothing that is rendered here can fail to marshal
	return append(to, b...)
}

// quoted writes s as encoding/json does, which the SDK does again where it
// copies a block: what is measured must be what is sent.
func quoted(to []byte, s string) []byte {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return write(to, s)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if !ascii && (!utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029")) {
		return write(to, s)
	}
	return append(append(append(to, '"'), s...), '"')
}

// Blocks and their parts in Slack's shapes.
type (
	section struct {
		text      mrkdwnObject // or fields
		id        string
		fields    []mrkdwnObject
		accessory any // or nil
	}
	contextual   struct{ text mrkdwnObject }
	mrkdwnObject string // with Slack's own linking switched off
	overflow     struct {
		id      string
		options []menuOption
	}
	menuOption struct{ label, value, url string }
	actions    struct {
		Type     string                 `json:"type"`
		BlockID  string                 `json:"block_id,omitempty"`
		Elements []slackgo.BlockElement `json:"elements"`
	}
)

func (s section) write(to []byte) []byte {
	to = append(to, `{"type":"section"`...)
	if s.text != "" {
		to = s.text.write(append(to, `,"text":`...))
	}
	if s.id != "" {
		to = quoted(append(to, `,"block_id":`...), s.id)
	}
	if len(s.fields) > 0 {
		to = append(to, `,"fields":[`...)
		for i, f := range s.fields {
			to = f.write(separated(to, i))
		}
		to = append(to, ']')
	}
	if s.accessory != nil {
		to = write(append(to, `,"accessory":`...), s.accessory)
	}
	return append(to, '}')
}

func (c contextual) write(to []byte) []byte {
	return append(c.text.write(append(to, `{"type":"context","elements":[`...)), `]}`...)
}

func (t mrkdwnObject) write(to []byte) []byte {
	return append(quoted(append(to, `{"type":"mrkdwn","text":`...), string(t)), `,"verbatim":true}`...)
}

func (m overflow) write(to []byte) []byte {
	to = append(quoted(append(to, `{"type":"overflow","action_id":`...), m.id), `,"options":[`...)
	for i, o := range m.options {
		to = quoted(append(separated(to, i), `{"text":{"type":"plain_text","text":`...), o.label)
		to = quoted(append(to, `,"emoji":true},"value":`...), o.value)
		if o.url != "" {
			to = quoted(append(to, `,"url":`...), o.url)
		}
		to = append(to, '}')
	}
	return append(to, `]}`...)
}

// separated puts a comma before what is not the first of its kind.
func separated(to []byte, i int) []byte {
	if i > 0 {
		to = append(to, ',')
	}
	return to
}

// apart takes the blocks of a view out of what the SDK encodes; [web] puts
// them into the request. The SDK would check and copy every byte of them twice,
// which takes longer than the rest of a click.
func apart(ctx context.Context, blocks *slackgo.Blocks) context.Context {
	ctx = context.WithValue(ctx, blocksKey{}, blocks.BlockSet)
	blocks.BlockSet = nil
	return ctx
}

type blocksKey struct{}

// noBlocks is how the SDK encodes a view without blocks. No string can look
// like it: quotes inside of one are escaped.
var noBlocks = []byte(`"blocks":null`)

// put puts blocks into the view that a request is about.
func put(req *http.Request, blocks []slackgo.Block) error {
	frame, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	before, after, ok := bytes.Cut(frame, noBlocks)
	if !ok {
		return errors.New("the request has no place for blocks")
	}
	n := len(frame)
	for _, b := range blocks {
		n += len(*b.(*encoded)) + 1
	}
	body := append(append(make([]byte, 0, n), before...), `"blocks":[`...)
	for i, b := range blocks {
		body = append(separated(body, i), *b.(*encoded)...)
	}
	body = append(append(body, ']'), after...)
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, err = req.GetBody()
	return err
}
