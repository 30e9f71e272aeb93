package daemontest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

type slackClient struct{ *slacktest.Server }

func (c *slackClient) await(ctx context.Context, what string, cond func() bool) error {
	return c.Await(ctx, what, cond)
}

func (c *slackClient) command(ctx context.Context, p *Person, line string) error {
	channel := p.Channel()
	if channel == "" {
		channel = c.DM(p.ID)
	}
	_, err := c.Command(ctx, p.ID, channel, line)
	return err
}

func (c *slackClient) surfaces(p *Person) []Surface {
	var list []Surface
	channels := []string{p.Channel(), c.DM(p.ID)}
	for _, channel := range channels {
		if channel == "" {
			continue
		}
		for _, m := range c.Messages(channel, p.ID) {
			s := Surface{p: p, id: m.TS, in: channel, Edited: m.Edited, Private: m.Ephemeral || channel == c.DM(p.ID)}
			s.read(m.Blocks)
			list = append(list, s)
		}
	}
	for _, v := range c.Views(p.ID) {
		s := Surface{p: p, id: v.ID, Private: true, Window: true, Text: v.Title + "\n"}
		var view struct{ Blocks json.RawMessage }
		if err := json.Unmarshal(v.Raw, &view); err != nil {
			panic(err) // the simulator's own
		}
		s.read(view.Blocks)
		for _, text := range v.Errors {
			s.Text += plain(text) + "\n"
		}
		list = append(list, s)
	}
	return list
}

type slackBlock struct {
	Text      json.RawMessage
	Fields    []slackText
	Elements  []slackElement
	Accessory *slackElement
}

type slackText struct{ Text string }

type slackElement struct {
	Type     string
	Text     json.RawMessage // a string in a context block, else an object
	Elements []slackText     // of preformatted text
	ActionID string          `json:"action_id"`
	Value    string
	Options  []struct {
		Text  slackText
		Value string
	}
}

func slackWords(raw json.RawMessage) string {
	var text slackText
	if len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &text) == nil {
		return text.Text
	}
	var s string
	_ = json.Unmarshal(raw, &s)
	return s
}

func (s *Surface) read(raw json.RawMessage) {
	var blocks []slackBlock
	if len(raw) == 0 {
		return
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		panic(err) // the simulator's own
	}
	for _, b := range blocks {
		words := []string{slackWords(b.Text)}
		for _, f := range b.Fields {
			words = append(words, f.Text)
		}
		for _, e := range b.Elements {
			words = append(words, slackWords(e.Text))
			for _, pre := range e.Elements {
				words = append(words, pre.Text)
			}
		}
		line := plain(strings.Join(words, " "))
		s.Text += line + "\n"
		elements := b.Elements
		beside := ""
		if b.Accessory != nil {
			elements = []slackElement{*b.Accessory}
			beside = line
		}
		for _, e := range elements {
			if e.ActionID == "" {
				continue
			}
			if len(e.Options) == 0 {
				s.Controls = append(s.Controls, Control{Label: plain(slackWords(e.Text)), ID: e.ActionID, Beside: beside})
			}
			for _, o := range e.Options {
				s.Controls = append(s.Controls, Control{Label: plain(o.Text.Text), ID: e.ActionID, Value: o.Value, Beside: beside})
			}
		}
	}
}

func (s Surface) slackAt() slacktest.At {
	if s.Window {
		return slacktest.At{View: s.id}
	}
	return slacktest.At{Channel: s.in, TS: s.id}
}

func (c *slackClient) use(ctx context.Context, s Surface, ctl Control, decline bool) error {
	var opts []slacktest.ClickOption
	if decline {
		opts = append(opts, slacktest.WithCancel)
	}
	var out slacktest.Outcome
	var err error
	if ctl.Value == "" {
		out, err = c.Click(ctx, s.p.ID, s.slackAt(), ctl.ID, opts...)
	} else {
		out, err = c.Choose(ctx, s.p.ID, s.slackAt(), ctl.ID, ctl.Value, opts...)
	}
	if err == nil && decline && !out.Cancelled {
		return errors.New("the client asked nothing")
	}
	return err
}

func (c *slackClient) submit(ctx context.Context, s Surface, values map[string]string) error {
	_, err := c.Submit(ctx, s.p.ID, s.id, values)
	return err
}

func (c *slackClient) dismiss(ctx context.Context, s Surface) error {
	if s.Window {
		_, err := c.CloseView(ctx, s.p.ID, s.id)
		return err
	}
	i := slices.IndexFunc(s.Controls, func(ctl Control) bool { return ctl.Label == "Cancel" })
	if i < 0 {
		return nil // it stays
	}
	return c.use(ctx, s, s.Controls[i], false)
}

func (c *slackClient) stall() (held func() bool, release func()) {
	before := len(c.Requests())
	release = c.StallAPI("response_url")
	return func() bool {
		return slices.ContainsFunc(c.Requests()[before:], func(r slacktest.Request) bool { return r.Method == "response_url" && r.Status == 0 })
	}, release
}
