package slack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// act is an invocation with what Slack lends to answer it.
type act struct {
	inv      chat.Invocation
	trigger  Secret // opens one view, within three seconds
	response Secret // posts five times within half an hour
	view     view   // the view acted on
	inputs   []string
	thread   string // the thread that a pressed message is in
	team     string // the workspace that the person belongs to, where Slack says it
}

// Format keeps what is lent out of every verb.
func (a *act) Format(f fmt.State, _ rune) { fmt.Fprint(f, a.inv.ID) }

// The shapes that Slack sends, as far as they are read. See
// https://docs.slack.dev/reference/interaction-payloads.
type (
	slashCommand struct {
		TeamID      string `json:"team_id"`
		ChannelID   string `json:"channel_id"`
		UserID      string `json:"user_id"`
		UserName    string `json:"user_name"`
		Text        string `json:"text"`
		ResponseURL Secret `json:"response_url"`
		TriggerID   Secret `json:"trigger_id"`
	}

	interaction struct {
		Type string `json:"type"`
		User struct {
			ID       string `json:"id"`
			TeamID   string `json:"team_id"`
			Name     string `json:"name"`
			Username string `json:"username"`
		} `json:"user"`
		Container struct {
			MessageTS   string `json:"message_ts"`
			ThreadTS    string `json:"thread_ts"`
			ChannelID   string `json:"channel_id"`
			IsEphemeral bool   `json:"is_ephemeral"`
		} `json:"container"`
		Channel struct {
			ID string `json:"id"`
		} `json:"channel"`
		TriggerID   Secret   `json:"trigger_id"`
		ResponseURL Secret   `json:"response_url"`
		View        *view    `json:"view"`
		Actions     []action `json:"actions"`
	}

	action struct {
		Type           string `json:"type"`
		ActionID       string `json:"action_id"`
		Value          string `json:"value"`
		ActionTS       string `json:"action_ts"`
		SelectedOption struct {
			Value string `json:"value"`
			URL   string `json:"url"`
		} `json:"selected_option"`
		SelectedOptions []pick `json:"selected_options"`
	}

	pick struct {
		Value string `json:"value"`
	}

	view struct {
		ID              string `json:"id"`
		Type            string `json:"type"`
		CallbackID      string `json:"callback_id"`
		PrivateMetadata string `json:"private_metadata"`
		Title           struct {
			Text string `json:"text"`
		} `json:"title"`
		Blocks []struct {
			Type    string `json:"type"`
			BlockID string `json:"block_id"`
		} `json:"blocks"`
		State struct {
			Values values `json:"values"`
		} `json:"state"`
	}

	event struct {
		EventID string `json:"event_id"`
		Event   struct {
			Type string `json:"type"`
			User string `json:"user"`
			Tab  string `json:"tab"`
			TS   string `json:"event_ts"`
			View *view  `json:"view"`
		} `json:"event"`
	}
)

// decode reads what came in an envelope of a type ("slash_commands",
// "interactive", "events_api"). It returns nil without an error where there is
// nothing to do.
func decode(envelope string, payload []byte, commands []chat.Command, now time.Time) (*act, error) {
	var a *act
	var err error
	switch envelope {
	case "slash_commands":
		var p slashCommand
		if err = json.Unmarshal(payload, &p); err == nil {
			a = p.act(commands, now)
		}
	case "interactive":
		var p interaction
		if err = json.Unmarshal(payload, &p); err == nil {
			a = p.act(now)
		}
	case "events_api":
		var p event
		if err = json.Unmarshal(payload, &p); err == nil {
			a = p.act()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", envelope, err)
	}
	if a == nil || a.inv.Person.ID == "" {
		return nil, nil
	}
	a.inv.Person.Platform = chat.Slack
	a.inv.Direct = strings.HasPrefix(a.inv.Channel, "D")
	a.inv.At = now
	a.inv.Space = space
	return a, nil
}

func (p slashCommand) act(commands []chat.Command, now time.Time) *act {
	a := &act{trigger: p.TriggerID, response: p.ResponseURL, team: p.TeamID}
	a.inv.ID = digest("typed", string(p.TriggerID), string(p.ResponseURL), p.UserID, p.ChannelID, p.Text)
	a.inv.Kind = chat.Typed
	a.inv.Person = chat.Person{ID: p.UserID, Name: p.UserName}
	a.inv.Channel = p.ChannelID
	a.inv.Command, a.inv.Options, a.inv.Extra = typed(p.Text, commands)
	a.inv.CanExpire = true
	return a
}

// values are what stands in the inputs of a view, by block and by action. Where
// there is none, Slack may send an empty list in the place of the object.
type values map[string]map[string]given

func (v *values) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '[' {
		return nil
	}
	return json.Unmarshal(raw, (*map[string]map[string]given)(v))
}

// given is what an input holds: text, an option, or several.
type given struct {
	Value   string `json:"value"`
	Option  pick   `json:"selected_option"`
	Options []pick `json:"selected_options"`
}

// text is the value as [chat.Input] has it.
func (g given) text() string {
	return or(or(g.Value, g.Option.Value), joinPicks(g.Options))
}

func joinPicks(list []pick) string {
	values := make([]string, len(list))
	for i, o := range list {
		values[i] = o.Value
	}
	return strings.Join(values, " ")
}

func (p interaction) act(now time.Time) *act {
	a := &act{trigger: p.TriggerID, response: p.ResponseURL, team: p.User.TeamID}
	if p.Container.ThreadTS != p.Container.MessageTS { // a message with a thread below names itself
		a.thread = p.Container.ThreadTS
	}
	a.inv.Person = chat.Person{ID: p.User.ID, Name: p.User.Name}
	if p.User.Name == "" {
		a.inv.Person.Name = p.User.Username
	}
	if p.View != nil {
		a.see(*p.View)
	} else {
		a.inv.Channel = p.Channel.ID
		if a.inv.Channel == "" {
			a.inv.Channel = p.Container.ChannelID
		}
		a.inv.Source = chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: a.inv.Channel, ID: p.Container.MessageTS}
		if p.Container.IsEphemeral {
			a.inv.CanExpire = true
			a.inv.Source = own.ref(a.inv.Channel, p.Container.MessageTS, p.ResponseURL, now)
		}
	}
	switch p.Type {
	case "block_actions":
		if len(p.Actions) == 0 || !a.press(p.Actions[0]) {
			return nil
		}
		a.inv.ID = digest("pressed", p.User.ID, p.Actions[0].ActionTS, p.Actions[0].ActionID, string(p.TriggerID))
		a.fill()
	case "view_submission":
		a.inv.Kind = chat.Submitted
		a.inv.ID = digest("submitted", string(p.TriggerID), a.view.ID)
		a.inv.Action = a.view.CallbackID
		a.fill()
	case "view_closed":
		a.inv.Kind = chat.Closed
		a.inv.ID = digest("closed", a.view.ID)
		a.inv.Action = a.view.CallbackID
	default:
		return nil
	}
	return a
}

// fill takes over what stands in the inputs of a form.
func (a *act) fill() {
	for _, b := range a.view.Blocks {
		if b.Type == "input" {
			a.inputs = append(a.inputs, b.BlockID)
		}
	}
	if a.inv.Kind == chat.Pressed && len(a.inputs) == 0 {
		return
	}
	a.inv.Values = map[string]string{}
	for id, elements := range a.view.State.Values {
		for _, e := range elements {
			a.inv.Values[id] = e.text()
		}
	}
}

// press reads what was done with a control. It reports false where that only
// opened a page.
func (a *act) press(c action) bool {
	a.inv.Kind = chat.Pressed
	id := c.ActionID
	if i := strings.LastIndexByte(id, '|'); i >= 0 {
		id, a.inv.State = id[:i], id[i+1:]
	}
	a.inv.Action = id
	switch c.Type {
	case "button":
		a.inv.Confirmed = c.Value == valueConfirmed
		return c.Value != valueLink
	case "overflow":
		a.inv.Action = c.SelectedOption.Value
		return c.SelectedOption.URL == ""
	default:
		a.inv.Value = or(c.SelectedOption.Value, joinPicks(c.SelectedOptions))
		return true
	}
}

// see takes over what a view says about itself.
func (a *act) see(v view) {
	var m metadata
	// Metadata that is not ours, of an older version say, holds no state.
	_ = json.Unmarshal([]byte(v.PrivateMetadata), &m)
	a.view = v
	a.inv.State, a.inv.CanExpire = m.State, true
	if v.Type == "home" {
		a.inv.Source = chat.Ref{Platform: chat.Slack, Kind: chat.HomeRef, ID: a.inv.Person.ID}
		return
	}
	a.inv.Channel = m.Channel
	a.inv.InPanel = true
	a.inv.Source = panelRef(v.ID, m.Channel)
}

func (p event) act() *act {
	if p.Event.Type != "app_home_opened" || p.Event.Tab != "home" {
		return nil
	}
	a := &act{}
	a.inv.ID = digest("opened", p.EventID, p.Event.User, p.Event.TS)
	a.inv.Kind = chat.Opened
	a.inv.Person = chat.Person{ID: p.Event.User}
	a.see(view{Type: "home"})
	if p.Event.View != nil {
		a.see(*p.Event.View)
	}
	return a
}

func panelRef(id, channel string) chat.Ref {
	return chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, Channel: channel, ID: id}
}

// digest names an act by what stays the same when Slack delivers it again. A
// trigger is worth something for three seconds, so none is kept as it is.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return parts[0] + ":" + hex.EncodeToString(sum[:10])
}
