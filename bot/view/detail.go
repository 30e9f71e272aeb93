package view

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
)

// Tabs of a detail.
const (
	TabOverview = "overview"
	TabServices = "services"
	TabEvents   = "events"
)

// Detail is what the panel of one container is made of.
type Detail struct {
	Container *inventory.Container
	Busy      *jobs.Job // nil: free
	Stale     time.Time // zero; else the cluster does not answer and this is what it said then
	NodeDown  bool
	Tab       string
	May       func(access.Permission) bool
	Viewer    string // chat.Person.Key of who looks
	Space     chat.Space
	Every     time.Duration
	Now       time.Time
	Until     time.Time // how long it can be kept fresh; zero: while it is open

	// Live half and config half are read separately; one may be missing.
	Status    *proxmox.ContainerStatus
	Config    *proxmox.ContainerConfig
	ConfigErr string // why Config is missing; "" while it is still being read
	Addrs     []netip.Prefix
	Hour      []proxmox.Sample // what was recorded of late

	Unfinished *jobs.Job // the creation that did not come to its end; nil: there is none
	Services   Services
	Events     Events // for its tab
	Banner     chat.Text

	SharedBy string // whoever shows it to a channel
}

// DetailState is what a detail carries: tab, event filter (or what the tab of
// services shows), and the page's cursor.
func DetailState(id inventory.ID, tab, filter string, before int64) string {
	return fmt.Sprintf("d.%s.%s.%s.%d", id, tab, filter, before)
}

// ParseDetailState reads it; ok is false where a surface is no detail.
func ParseDetailState(s string) (id inventory.ID, tab, filter string, before int64, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 5 || parts[0] != "d" {
		return "", TabOverview, FilterAll, 0, false
	}
	before, _ = strconv.ParseInt(parts[4], 10, 64)
	return inventory.ID(parts[1]), parts[2], parts[3], before, true
}

// Panel is the detail.
func (d Detail) Panel() chat.Panel {
	c := d.Container
	p := chat.Panel{
		ID: "detail", Title: c.DisplayName(), Close: "Close", Live: true,
		State: DetailState(c.ID, d.Tab, orAllEvents(d.Events.Filter), d.Events.Before),
		Tone:  toneOf(c), Lead: d.lead(),
	}
	if d.Busy != nil || !d.Stale.IsZero() {
		p.Tone = chat.Warning
	}
	p.Blocks = append(p.Blocks, d.tabs())
	if !d.Banner.Empty() {
		p.Blocks = append(p.Blocks, chat.Para{Text: d.Banner})
	}
	if !d.Stale.IsZero() {
		p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("Proxmox does not answer."), " This is the last known state, from ", chat.At(d.Stale, chat.Clock), ".")})
	}
	switch d.Tab {
	case TabEvents:
		p.Blocks = append(p.Blocks, d.Events.blocks(c.ID, d.Space, d.Now)...)
	case TabServices:
		p.State = DetailState(c.ID, d.Tab, d.Services.Show, 0)
		p.Blocks = append(p.Blocks, d.services()...)
	default:
		p.Blocks = append(p.Blocks, append(d.creation(), d.overview()...)...)
	}
	return p
}

// creation leads to the creation that is under way, or on from where it ended.
func (d Detail) creation() []chat.Block {
	id := d.Container.ID
	progress := chat.Button{ID: ID(id, "progress"), Label: "Show progress"}
	switch j := d.Unfinished; {
	case d.Busy != nil && d.Busy.Action == jobs.Create:
		return []chat.Block{
			chat.Para{Text: chat.Texts(marks[inventory.Creating]+" ", chat.B("It is being created."), " "+howFar(create.ParseProgress(d.Busy.Progress)))},
			chat.Controls{ID: "creation", Buttons: []chat.Button{progress}},
		}
	case j != nil && d.Busy == nil:
		retry := chat.Button{ID: ID(id, "retry:"+j.ID), Label: "Retry"}
		if d.May != nil && !d.May(access.Create) {
			retry.Off, retry.Why = true, "it needs the "+string(access.NeededRole(access.Create))+" role"
		}
		progress.Label = "Show how it ended"
		return []chat.Block{
			chat.Para{Text: chat.Texts(markWarn+" ", chat.B("Creating it did not come to its end."), " "+cut(sentence(title(j.Error)), 300))},
			chat.Controls{ID: "creation", Buttons: []chat.Button{retry, progress}},
		}
	}
	return nil
}

func toneOf(c *inventory.Container) chat.Tone {
	switch c.State {
	case inventory.Running:
		return chat.Good
	case inventory.Error:
		return chat.Bad
	case inventory.Unknown:
		return chat.Warning
	case inventory.Creating:
		return chat.Neutral
	}
	return chat.Quiet
}

func (d Detail) lead() *chat.Lead {
	c := d.Container
	l := &chat.Lead{Mark: marks[c.State], Name: c.DisplayName(), Word: string(c.State), Facts: chat.Texts(facts(c))}
	if !d.Stale.IsZero() {
		l.Word = was(c.State)
	}
	switch {
	case d.Busy != nil:
		who := d.Busy.Person.Name
		if d.Busy.Person.Key() == d.Viewer {
			who = "you"
		}
		l.Mark, l.Word = markBusy, underWay[d.Busy.Action]
		l.Facts = chat.Texts(facts(c)+" · asked by "+who+" · ", chat.At(d.Busy.CreatedAt, chat.Age))
	case c.State == inventory.Running && !c.BootedAt.IsZero():
		l.Facts = chat.Texts(facts(c) + " · up " + Duration(d.Now.Sub(c.BootedAt).Truncate(time.Second)))
	case c.State == inventory.Error && c.Trouble != "":
		l.Facts = chat.Texts(facts(c)+" · "+c.Trouble+" · ", chat.At(c.TroubleAt, chat.Age))
	}
	return l
}

func (d Detail) tabs() chat.Controls {
	id := d.Container.ID
	return chat.Controls{ID: "tabs", Buttons: []chat.Button{
		{ID: ID(id, "tab:"+TabOverview), Label: "Overview", Active: d.Tab != TabEvents && d.Tab != TabServices},
		{ID: ID(id, "tab:"+TabServices), Label: tabServices(d.Services.Report), Active: d.Tab == TabServices},
		{ID: ID(id, "tab:"+TabEvents), Label: "Events", Active: d.Tab == TabEvents},
	}}
}

func (d Detail) overview() []chat.Block {
	blocks := append([]chat.Block{d.meters()}, lastHour(d.Hour, d.Now)...)
	if !d.Space.ControlsFirst {
		blocks = append(blocks, chat.Divider{})
	}
	switch {
	case d.Config != nil:
		blocks = append(blocks, d.grid())
	case d.ConfigErr != "":
		blocks = append(blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("Its configuration could not be read."), " "+d.ConfigErr)})
	default:
		blocks = append(blocks, chat.Fields{{Label: "Address", Value: chat.Texts("…")}, {Label: "Network", Value: chat.Texts("…")}})
	}
	if !d.Space.ControlsFirst {
		blocks = append(blocks, chat.Divider{})
	}
	blocks = append(blocks, d.actions()...)
	foot := updated(d.Now, d.Every)
	if d.Until.IsZero() {
		foot = append(foot, chat.Texts(" while this is open")...)
	} else {
		foot = chat.Texts("Updated ", chat.At(d.Now, chat.ClockSec), " · live until ", chat.At(d.Until, chat.Clock), ", then reopen")
	}
	return append(blocks, chat.Note{Text: foot})
}

func (d Detail) meters() chat.Meters {
	c := d.Container
	m := chat.Meters{
		{Label: "CPU", Percent: c.CPUPct, Of: cores(c.Cores)},
		{Label: "Memory", Percent: c.MemPct, Of: Bytes(c.MaxMem)},
	}
	if d.Status != nil && d.Status.MaxSwap > 0 {
		swap := inventory.None
		if c.State == inventory.Running {
			swap = int((min(d.Status.Swap, d.Status.MaxSwap)*200 + d.Status.MaxSwap) / (2 * d.Status.MaxSwap))
		}
		m = append(m, chat.Meter{Label: "Swap", Percent: swap, Of: Bytes(d.Status.MaxSwap)})
	}
	return append(m, chat.Meter{Label: "Disk", Percent: c.DiskPct, Of: Bytes(c.MaxDisk)})
}

func cores(n float64) string {
	switch {
	case n <= 0:
		return "all cores"
	case n == 1:
		return "1 core"
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + " cores"
}

var osNames = map[string]string{
	"debian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine", "fedora": "Fedora", "centos": "CentOS", "archlinux": "Arch Linux",
	"opensuse": "openSUSE", "gentoo": "Gentoo", "nixos": "NixOS", "devuan": "Devuan", "almalinux": "AlmaLinux", "rockylinux": "Rocky Linux", "unmanaged": "unmanaged",
}

func (d Detail) grid() chat.Fields {
	c, cfg := d.Container, d.Config
	f := chat.Fields{
		{Label: "Hostname", Value: chat.Texts(orDash(c.Hostname))},
		{Label: "Node", Value: chat.Texts(c.Node)},
		{Label: "Address", Value: chat.Texts(d.address())},
		{Label: "Network", Value: chat.Texts(network(cfg.Networks))},
	}
	system := osNames[cfg.OSType]
	if system == "" {
		system = orDash(cfg.OSType)
	}
	memory := Bytes(cfg.Memory << 20)
	if cfg.Swap > 0 {
		memory += " + " + Bytes(cfg.Swap<<20) + " swap"
	}
	disk := orDash(cfg.RootFS.Storage)
	if cfg.RootFS.Size > 0 {
		disk = Bytes(cfg.RootFS.Size) + " on " + cfg.RootFS.Storage
	}
	if n := len(cfg.Mounts); n > 0 {
		disk += fmt.Sprintf(", %s more", count(n, "mount"))
	}
	return append(f,
		chat.Field{Label: "OS", Value: chat.Texts(system)},
		chat.Field{Label: "Cores", Value: chat.Texts(cores(cfg.Cores))},
		chat.Field{Label: "Memory", Value: chat.Texts(memory)},
		chat.Field{Label: "Disk", Value: chat.Texts(disk)},
		chat.Field{Label: "Features", Value: chat.Texts(strings.Join(d.features(), ", "))},
		chat.Field{Label: "Start at boot", Value: chat.Texts(yesNo(cfg.OnBoot))},
		chat.Field{Label: "Tags", Value: chat.Texts(orDash(strings.Join(c.TagList(), ", ")))},
	)
}

func (d Detail) features() []string {
	f := slices.Clone(d.Config.Features)
	if d.Config.Unprivileged {
		f = append(f, "unprivileged")
	} else {
		f = append(f, "privileged")
	}
	if d.Config.Protection {
		f = append(f, "protected")
	}
	if d.Container.HAState != "" {
		f = append(f, "HA "+d.Container.HAState)
	}
	return f
}

// address is the leased or static address, IPv4 first.
func (d Detail) address() string {
	var list []string
	for _, a := range d.Addrs {
		if ip := a.Addr(); !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			list = append(list, ip.String())
		}
	}
	dhcp := slices.ContainsFunc(d.Config.Networks, func(n proxmox.Network) bool { return n.IP == "dhcp" })
	if len(list) > 0 {
		s := strings.Join(list, ", ")
		if dhcp {
			s += " (DHCP)"
		}
		return s
	}
	for _, n := range d.Config.Networks {
		if p, err := netip.ParsePrefix(n.IP); err == nil {
			list = append(list, p.Addr().String())
		}
		if p, err := netip.ParsePrefix(n.IP6); err == nil {
			list = append(list, p.Addr().String())
		}
	}
	switch {
	case len(list) > 0:
		return strings.Join(list, ", ")
	case dhcp && d.Container.State != inventory.Running:
		return "by DHCP when it runs"
	case dhcp:
		return "none leased yet (DHCP)"
	}
	return dash
}

func network(nets []proxmox.Network) string {
	var list []string
	for _, n := range nets {
		s := n.Name + " on " + n.Bridge
		if n.VLAN > 0 {
			s += fmt.Sprintf(", VLAN %d", n.VLAN)
		}
		list = append(list, s)
	}
	return orDash(strings.Join(list, "; "))
}

func orDash(s string) string {
	if s == "" {
		return dash
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// actions are the five buttons; what cannot be done now says why.
func (d Detail) actions() []chat.Block {
	c := d.Container
	if c.Template {
		return []chat.Block{chat.Note{Text: chat.Texts("This is a template: it cannot be started. Clone it in Proxmox to use it.")}}
	}
	var buttons []chat.Button
	why := map[string]int{}
	for _, a := range []jobs.Action{jobs.Start, jobs.Shutdown, jobs.Restart, jobs.Stop, jobs.Delete} {
		b := chat.Button{ID: ID(c.ID, string(a)), Label: actionLabel[a], Confirm: confirmOf(c, a)}
		if c.State == inventory.Error && a == jobs.Start {
			b.Label = "Try to start again"
		}
		if reason := d.Impossible(a); reason != "" {
			b.Off, b.Why = true, reason
			why[reason]++
		}
		buttons = append(buttons, b)
	}
	more := d.more()
	if d.Space.ControlsFirst { // the renderer names what is missing, and why
		return []chat.Block{chat.Controls{ID: "actions", Buttons: append(buttons, more...)}}
	}
	blocks := []chat.Block{
		chat.Controls{ID: "actions", Buttons: buttons},
		chat.Controls{ID: "more", Buttons: append(more, chat.Button{ID: ID(c.ID, "refresh"), Label: "Refresh now"})},
	}
	for reason, n := range why {
		if n >= 3 && !plain[reason] {
			blocks = append(blocks, chat.Note{Text: chat.Texts("Not now: " + reason)})
		}
	}
	return blocks
}

// more is what changes nothing.
func (d Detail) more() []chat.Button {
	id := d.Container.ID
	cred := chat.Button{ID: ID(id, "cred"), Label: "Show credentials"}
	cred.Why = d.noCredentials()
	cred.Off = cred.Why != ""
	graph := chat.Button{ID: ID(id, "graph"), Label: "Show graph"}
	if !d.Space.Pictures {
		graph.Off, graph.Why = true, "no file is private here"
	}
	return []chat.Button{cred, graph, {ID: ID(id, "share"), Label: "Share to channel"}}
}

// Shared is what a person shows to a channel: how the container is, and the way
// to more. What needs a right is behind it.
func (d Detail) Shared() chat.Message {
	c, l := d.Container, d.lead()
	blocks := []chat.Block{chat.Para{Text: chat.Texts(l.Mark+" ", chat.B(l.Name), " "+l.Word)}, chat.Note{Text: l.Facts}, d.meters()}
	if d.Config != nil {
		blocks = append(blocks, d.grid())
	}
	return chat.Message{
		Public: true, Tone: toneOf(c), Summary: fmt.Sprintf("%s: %s, shared by %s", c.DisplayName(), l.Word, d.SharedBy),
		Blocks: append(
			blocks, chat.Controls{ID: "shared", Buttons: []chat.Button{{ID: ID(c.ID, "show"), Label: "Manage"}}},
			chat.Note{Text: chat.Texts("Shared by "+d.SharedBy+" · as it was at ", chat.At(d.Now, chat.ClockSec))},
		),
	}
}

// plain reasons need no words where the button shows disabled.
var plain = map[string]bool{"it is running": true, "it is stopped": true, "it is not running": true}

var actionLabel = map[jobs.Action]string{
	jobs.Start: "Start", jobs.Shutdown: "Shut down…", jobs.Restart: "Restart…", jobs.Stop: "Stop…", jobs.Delete: "Delete…",
}

// needs maps actions to permissions.
var needs = map[jobs.Action]access.Permission{
	jobs.Start: access.Operate, jobs.Shutdown: access.Operate, jobs.Restart: access.Operate, jobs.Stop: access.Operate, jobs.Delete: access.Delete,
}

// Impossible says why an action cannot be done now; "" where it can.
func (d Detail) Impossible(a jobs.Action) string {
	if d.May != nil && !d.May(needs[a]) {
		return "it needs the " + string(access.NeededRole(needs[a])) + " role"
	}
	return Impossible(d.Container, a, d.Busy, d.NodeDown)
}

// Impossible says why an action on a container makes no sense in its state; ""
// where it does. What only Proxmox knows, it says when it is asked.
func Impossible(c *inventory.Container, a jobs.Action, busy *jobs.Job, nodeDown bool) string {
	switch {
	case busy != nil:
		return busy.Person.Name + " is " + strings.TrimSuffix(underWay[busy.Action], "…") + " it"
	case c.Template && a != jobs.Delete:
		return "it is a template"
	case nodeDown:
		return "node " + c.Node + " is down"
	case c.State == inventory.Creating:
		return "it is being created"
	case c.Lock != "" && c.Lock != "mounted":
		return "it is locked (" + c.Lock + ")"
	case c.State == inventory.Unknown:
		return "its state is unknown"
	case a == jobs.Start && c.State == inventory.Running:
		return "it is running"
	case a != jobs.Start && a != jobs.Delete && c.State != inventory.Running:
		return "it is not running"
	case a == jobs.Delete && c.HAState != "":
		return "it is managed by HA"
	}
	return ""
}

func (d Detail) noCredentials() string {
	switch {
	case d.May != nil && !d.May(access.Credentials):
		return "it needs the " + string(access.NeededRole(access.Credentials)) + " role"
	case d.Container.State != inventory.Running:
		return "it is not running"
	}
	return ""
}
