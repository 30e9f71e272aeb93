package daemontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

type discordClient struct{ *discordtest.Server }

func (c *discordClient) await(ctx context.Context, what string, cond func() bool) error {
	return c.Await(ctx, what, cond)
}

// command gives the words of a line to the options of the command, in their
// order; the last takes the rest.
func (c *discordClient) command(ctx context.Context, p *Person, line string) error {
	sub, rest, _ := strings.Cut(line, " ")
	names, err := c.options(sub)
	if err != nil {
		return err
	}
	opts := map[string]string{}
	for i, name := range names {
		word := rest
		if i < len(names)-1 {
			word, rest, _ = strings.Cut(rest, " ")
		}
		if word != "" {
			opts[name] = word
		}
	}
	return answered(c.Command(ctx, p.ID, p.Channel(), sub, opts))
}

func (c *discordClient) options(sub string) ([]string, error) {
	type option struct {
		Name    string
		Options []option
	}
	for _, registered := range c.Commands() {
		var cmd option
		if err := json.Unmarshal(registered.JSON, &cmd); err != nil {
			return nil, err
		}
		for _, o := range cmd.Options {
			if o.Name == sub {
				var names []string
				for _, p := range o.Options {
					names = append(names, p.Name)
				}
				return names, nil
			}
		}
	}
	return nil, fmt.Errorf("/pve %s is not registered", sub)
}

func answered(out discordtest.Outcome, err error) error {
	if err == nil && out.Error != "" {
		return errors.New(out.Error)
	}
	return err
}

func (c *discordClient) surfaces(p *Person) []Surface {
	var list []Surface
	channels := []string{p.Channel(), c.DM(p.ID)}
	for _, channel := range channels {
		if channel == "" {
			continue
		}
		for _, m := range c.Messages(channel, p.ID) {
			s := Surface{p: p, id: m.ID, in: channel, Edited: m.Edited, Private: m.EphemeralFor != "" || channel == c.DM(p.ID), Text: m.Content}
			var components []discordComponent
			if len(m.Components) > 0 {
				if err := json.Unmarshal(m.Components, &components); err != nil {
					panic(err) // the simulator's own
				}
			}
			s.readComponents(components, "")
			list = append(list, s)
		}
	}
	if form := c.Modal(p.ID); form != nil {
		list = append(list, Surface{p: p, id: form.CustomID, Private: true, Window: true, Text: plain(form.Title)})
	}
	return list
}

type discordComponent struct {
	Type       int
	Content    string
	CustomID   string `json:"custom_id"`
	Label      string
	Disabled   bool
	Options    []struct{ Label, Value string }
	Components []discordComponent
	Accessory  *discordComponent
}

func (s *Surface) readComponents(list []discordComponent, beside string) {
	for _, c := range list {
		if c.Content != "" {
			s.Text += plain(c.Content) + "\n"
		}
		if c.CustomID != "" {
			if len(c.Options) == 0 {
				s.Text += plain(c.Label) + "\n"
				s.Controls = append(s.Controls, Control{Label: plain(c.Label), ID: c.CustomID, Beside: beside, Off: c.Disabled})
			}
			for _, o := range c.Options {
				s.Controls = append(s.Controls, Control{Label: plain(o.Label), ID: c.CustomID, Value: o.Value, Off: c.Disabled})
			}
		}
		s.readComponents(c.Components, beside)
		if c.Accessory != nil {
			row := ""
			for _, t := range c.Components {
				row += plain(t.Content) + " "
			}
			s.readComponents([]discordComponent{*c.Accessory}, row)
		}
	}
}

func (s Surface) discordAt() discordtest.At { return discordtest.At{Channel: s.in, Message: s.id} }

func (c *discordClient) use(ctx context.Context, s Surface, ctl Control, decline bool) error {
	if decline {
		return errors.New("the client of Discord asks nothing")
	}
	if ctl.Value != "" {
		return answered(c.Choose(ctx, s.p.ID, s.discordAt(), ctl.ID, ctl.Value))
	}
	return answered(c.Click(ctx, s.p.ID, s.discordAt(), ctl.ID))
}

func (c *discordClient) submit(ctx context.Context, s Surface, values map[string]string) error {
	if !s.Window {
		i := slices.IndexFunc(s.Controls, func(ctl Control) bool { return ctl.Label == "Type its name…" || ctl.Label == "Try again" })
		if i < 0 {
			return errors.New("no button opens a form")
		}
		if err := c.use(ctx, s, s.Controls[i], false); err != nil {
			return err
		}
		form := c.Modal(s.p.ID)
		if form == nil {
			return nil // the bot has answered with something else
		}
		s.id = form.CustomID
	}
	return answered(c.Submit(ctx, s.p.ID, s.id, values))
}

func (c *discordClient) dismiss(ctx context.Context, s Surface) error {
	if s.Window {
		c.DismissModal(s.p.ID)
		return nil
	}
	i := slices.IndexFunc(s.Controls, func(ctl Control) bool { return ctl.Label == "Cancel" })
	if i < 0 {
		return nil // it stays until the person reloads the client
	}
	return c.use(ctx, s, s.Controls[i], false)
}

func (c *discordClient) stall() (held func() bool, release func()) {
	const edit = "PATCH /webhooks/{app}/{token}/messages/{message}"
	before := time.Now()
	release = c.Stall("PATCH /webhooks/")
	return func() bool {
		return slices.ContainsFunc(c.Requests(), func(r discordtest.Request) bool {
			return r.Route == edit && r.Status == 0 && r.Time.After(before)
		})
	}, release
}
