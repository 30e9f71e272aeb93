package main

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// maxTasks is how many tasks of Proxmox the page lists.
const maxTasks = 50

// state is all that a person sees, and the truth in Proxmox beside it.
type state struct {
	Slack   *slackState   `json:"slack"`
	Discord *discordState `json:"discord"`
	Proxmox proxmoxState  `json:"proxmox"`
}

type bot struct {
	Name string `json:"name"`
}

type slackState struct {
	Connected bool              `json:"connected"`
	Names     map[string]string `json:"names"`
	Bot       bot               `json:"bot"`
	Channels  []slackChannel    `json:"channels"`
	Views     []json.RawMessage `json:"views"`
	Home      json.RawMessage   `json:"home"`
}

type slackChannel struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Direct   bool           `json:"direct"`
	Messages []slackMessage `json:"messages"`
}

type slackMessage struct {
	TS        string          `json:"ts"`
	From      string          `json:"from"`
	User      string          `json:"user,omitempty"` // who alone sees it
	Ephemeral bool            `json:"ephemeral"`
	Text      string          `json:"text"`
	Blocks    json.RawMessage `json:"blocks"`
	Edited    int             `json:"edited"`
	ThreadTS  string          `json:"thread_ts,omitempty"`
}

type discordState struct {
	Connected bool              `json:"connected"`
	Names     map[string]string `json:"names"`
	Bot       bot               `json:"bot"`
	Channels  []discordChannel  `json:"channels"`
	Modal     *discordModal     `json:"modal"`
	Commands  []json.RawMessage `json:"commands"`
}

type discordChannel struct {
	ID       string           `json:"id"`
	Name     string           `json:"name"`
	Direct   bool             `json:"direct"`
	Messages []discordMessage `json:"messages"`
}

type discordMessage struct {
	ID         string          `json:"id"`
	Author     string          `json:"author"`
	Ephemeral  bool            `json:"ephemeral"`
	Flags      int             `json:"flags"`
	Content    string          `json:"content"`
	Components json.RawMessage `json:"components"`
	Embeds     json.RawMessage `json:"embeds"`
	Created    time.Time       `json:"created"`
	Edited     int             `json:"edited"`
	Reference  string          `json:"reference,omitempty"`
	Loading    bool            `json:"loading"`
}

type discordModal struct {
	CustomID   string          `json:"custom_id"`
	Title      string          `json:"title"`
	Components json.RawMessage `json:"components"`
}

type proxmoxState struct {
	Nodes      []pveNode      `json:"nodes"`
	Containers []pveContainer `json:"containers"`
	Tasks      []pveTask      `json:"tasks"` // newest first
}

type pveNode struct {
	Name   string `json:"name"`
	Online bool   `json:"online"`
}

type pveContainer struct {
	VMID   int    `json:"vmid"`
	Name   string `json:"name"`
	Node   string `json:"node"`
	Status string `json:"status"`
	Lock   string `json:"lock"`
}

type pveTask struct {
	UPID  string     `json:"upid"`
	Node  string     `json:"node"`
	Type  string     `json:"type"`
	VMID  int        `json:"vmid"`
	User  string     `json:"user"`
	Start time.Time  `json:"start"`
	End   *time.Time `json:"end"` // nil while it runs
	Exit  string     `json:"exit"`
}

func (w *world) state(p person) state {
	return state{Slack: w.slackState(p), Discord: w.discordState(p), Proxmox: w.proxmoxState()}
}

func (w *world) slackState(p person) *slackState {
	if w.slack == nil {
		return nil
	}
	s := &slackState{
		Connected: len(w.slack.Connections()) > 0, Bot: bot{"pvechat"}, Views: []json.RawMessage{},
		Names: map[string]string{slacktest.BotUserID: "pvechat"},
	}
	for _, p := range people {
		s.Names[p.slack] = p.Name
	}
	add := func(id, name string, direct bool) {
		ch := slackChannel{ID: id, Name: name, Direct: direct, Messages: []slackMessage{}}
		for _, m := range w.slack.Messages(id, p.slack) {
			ch.Messages = append(ch.Messages, slackMessage{
				TS: m.TS, From: m.From, User: m.User, Ephemeral: m.Ephemeral, Text: m.Text, Blocks: m.Blocks, Edited: m.Edited, ThreadTS: m.ThreadTS,
			})
		}
		s.Channels = append(s.Channels, ch)
	}
	for _, c := range places {
		add(c.slack, c.name, false)
	}
	add(w.slack.DM(p.slack), s.Bot.Name, true)
	for _, v := range w.slack.Views(p.slack) {
		s.Views = append(s.Views, withErrors(v))
	}
	if v := w.slack.Home(p.slack); v != nil {
		s.Home = v.Raw
	}
	return s
}

// withErrors is a view with what its last submission was refused for.
func withErrors(v slacktest.View) json.RawMessage {
	var fields map[string]any
	if len(v.Errors) == 0 || json.Unmarshal(v.Raw, &fields) != nil {
		return v.Raw
	}
	fields["errors"] = v.Errors
	return encode(fields)
}

func (w *world) discordState(p person) *discordState {
	if w.discord == nil {
		return nil
	}
	s := &discordState{
		Connected: w.discord.Connected() > 0, Bot: bot{"pvechat"}, Commands: []json.RawMessage{},
		Names: map[string]string{discordBot: "pvechat"},
	}
	for _, p := range people {
		s.Names[p.discord] = p.Name
	}
	add := func(id, name string, direct bool) {
		ch := discordChannel{ID: id, Name: name, Direct: direct, Messages: []discordMessage{}}
		for _, m := range w.discord.Messages(id, p.discord) {
			ch.Messages = append(ch.Messages, discordMessage{
				ID: m.ID, Author: discordBot, Ephemeral: m.EphemeralFor != "", Flags: m.Flags, Content: m.Content, Components: m.Components,
				Embeds: m.Embeds, Created: m.Created, Edited: m.Edited, Reference: m.Reference, Loading: m.Loading(),
			})
		}
		s.Channels = append(s.Channels, ch)
	}
	for _, c := range places {
		add(c.discord, c.name, false)
	}
	add(w.discord.DM(p.discord), s.Bot.Name, true)
	if m := w.discord.Modal(p.discord); m != nil {
		s.Modal = &discordModal{m.CustomID, m.Title, m.Components}
	}
	for _, c := range w.discord.Commands() {
		s.Commands = append(s.Commands, c.JSON)
	}
	return s
}

func (w *world) proxmoxState() proxmoxState {
	s := proxmoxState{Nodes: []pveNode{}, Containers: []pveContainer{}, Tasks: []pveTask{}}
	online := map[string]bool{}
	for _, n := range w.pve.Nodes() {
		online[n.Name] = n.Online
		s.Nodes = append(s.Nodes, pveNode{n.Name, n.Online})
	}
	for _, c := range w.pve.Containers() {
		status := "stopped"
		switch {
		case c.Silent || !online[c.Node]:
			status = "unknown"
		case c.Running:
			status = "running"
		}
		s.Containers = append(s.Containers, pveContainer{c.VMID, c.Name, c.Node, status, c.Lock})
	}
	tasks := w.pve.Tasks()
	slices.SortStableFunc(tasks, func(a, b proxmoxtest.Task) int { return b.Start.Compare(a.Start) })
	for _, t := range tasks[:min(len(tasks), maxTasks)] {
		row := pveTask{UPID: t.UPID, Node: t.Node, Type: t.Type, VMID: t.VMID, User: t.User, Start: t.Start, Exit: t.Exit}
		if !t.Running() {
			row.End = &t.End
		}
		s.Tasks = append(s.Tasks, row)
	}
	return s
}
