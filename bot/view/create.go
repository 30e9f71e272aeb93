package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/templates"
)

// Steps of the way to a new container, in their order.
const (
	StepTemplate = "template"
	StepSettings = "settings"
	StepServices = "services"
	StepReview   = "review"
)

var stepWords = []struct{ step, word string }{
	{StepTemplate, "1 Template"}, {StepSettings, "2 Settings"}, {StepServices, "3 Services"}, {StepReview, "4 Review"},
}

// StepOf is the step at which a field is asked.
func StepOf(f create.Field) string {
	switch f {
	case create.FieldTemplate, create.FieldNode:
		return StepTemplate
	case create.FieldScripts:
		return StepServices
	}
	return StepSettings
}

// Inputs of the forms that are no fields of their own.
const (
	InputInstall = "install"
	InputOrder   = "order"
)

// Values of choices.
const (
	OptOnBoot       = "onboot"
	OptNesting      = "nesting"
	OptUnprivileged = "unprivileged"
	InstallPackages = "packages" // besides the scripts, which are "1", "2", …
)

// boxes is how many things can be ticked in one input everywhere.
const boxes = 10

// Install are the things that a template does, by the input that asks about
// them: the packages first, then the scripts by their numbers.
func Install(t templates.Template) map[string][]string {
	inputs := map[string][]string{}
	for n, things := range installs(t) {
		inputs[installInput(n)] = things
	}
	return inputs
}

func installs(t templates.Template) [][]string {
	var all []string
	if !t.Packages.Empty() {
		all = append(all, InstallPackages)
	}
	for i := range t.Scripts {
		all = append(all, strconv.Itoa(i+1))
	}
	return slices.Collect(slices.Chunk(all, boxes))
}

// installInput is the n-th of these inputs.
func installInput(n int) string {
	if n == 0 {
		return InputInstall
	}
	return InputInstall + strconv.Itoa(n+1)
}

// Place is a node on which a container can be made.
type Place struct {
	Cluster string
	inventory.Node
}

// Value is the place as a choice.
func (p Place) Value() string { return p.Cluster + "/" + p.Name }

// Wizard is what a person has chosen so far for a new container, and what there
// is to choose from.
type Wizard struct {
	Draft     string // id
	Spec      create.Spec
	At        create.Place         // what is known of the place that is chosen
	Templates []templates.Template // to choose from
	Places    []Place              // to choose from
	Next      int                  // the free VMID, as far as is known
	Here      bool                 // the progress is shown where it was asked
	Wrong     map[create.Field]string
}

// id makes a control's id for the draft.
func (w Wizard) id(step string) string {
	if step == StepReview {
		return "deploy:" + w.Draft
	}
	return "w:" + w.Draft + ":" + step
}

// Form is one step.
func (w Wizard) Form(step string) chat.Form {
	f := chat.Form{
		ID: w.id(step), Title: "Create container", Tone: chat.Neutral, Submit: "Next", CancelID: "w:" + w.Draft + ":cancel",
		Intro: []chat.Block{w.steps(step)},
	}
	if step != StepTemplate {
		f.Buttons = []chat.Button{{ID: "w:" + w.Draft + ":" + step + ":back", Label: "Back"}}
	}
	switch step {
	case StepSettings:
		f.Inputs = w.settings()
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts(chat.B(w.At.Template.Name), " on "+w.Spec.Node)})
	case StepServices:
		f.Inputs = w.services()
		f.Intro = append(f.Intro, chat.Para{Text: chat.Texts("What ", chat.B(w.At.Template.Name), " does inside. What is switched off is not done.")})
	case StepReview:
		f.Submit = "Deploy"
		f.Intro = append(f.Intro, w.review()...)
	default:
		f.Inputs = w.template()
		f.Intro = append(f.Intro, chat.Note{Text: chat.Texts(count(len(w.Templates), "template") + ". Each has its page: Templates, or /pve templates.")})
	}
	return f
}

// Part is the form of one group of typed inputs, for platforms whose forms hold
// few.
func (w Wizard) Part(step string, n int) (chat.Form, bool) {
	f := w.Form(step)
	parts := f.Parts()
	if n < 0 || n >= len(parts) {
		return chat.Form{}, false
	}
	f.ID = w.id(step) + ":edit:" + strconv.Itoa(n)
	f.Inputs = slices.DeleteFunc(f.Inputs, func(in chat.Input) bool { return len(in.Options) > 0 || in.Group != parts[n] })
	f.Intro, f.Buttons, f.CancelID, f.Submit = nil, nil, "", "Save"
	return f, true
}

func (w Wizard) steps(at string) chat.Note {
	var t chat.Text
	for _, s := range stepWords {
		if len(t) > 0 {
			t = append(t, chat.Texts(" › ")...)
		}
		if s.step == at {
			t = append(t, chat.B(s.word))
		} else {
			t = append(t, chat.Texts(s.word)...)
		}
	}
	return chat.Note{Text: t}
}

func (w Wizard) template() []chat.Input {
	tpl := chat.Input{ID: string(create.FieldTemplate), Label: "Template", Placeholder: "Choose a template", Value: w.Spec.Template}
	for _, t := range w.Templates {
		note := cmp.Or(t.Description, t.OS)
		tpl.Options = append(tpl.Options, chat.Choosable{Mark: "📦", Label: t.Name, Note: note, Value: t.ID})
	}
	node := chat.Input{ID: string(create.FieldNode), Label: "Node", Placeholder: "Choose a node", Value: Place{w.Spec.Cluster, inventory.Node{Name: w.Spec.Node}}.Value()}
	several := slices.ContainsFunc(w.Places, func(p Place) bool { return p.Cluster != w.Spec.Cluster })
	for _, p := range w.Places {
		c := chat.Choosable{Label: p.Name, Value: p.Value()}
		if several {
			c.Label += " · " + p.Cluster
		}
		if p.MaxMem > 0 {
			c.Note = Bytes(p.MaxMem-p.Mem) + " of " + Bytes(p.MaxMem) + " memory free"
		}
		node.Options = append(node.Options, c)
	}
	return []chat.Input{tpl, node}
}

// Groups of typed inputs.
const (
	groupName    = "Name and access…"
	groupSize    = "Size…"
	groupNetwork = "Network…"
)

func (w Wizard) settings() []chat.Input {
	s := w.Spec
	in := func(f create.Field, group, label, value string, most int, optional bool) chat.Input {
		return chat.Input{ID: string(f), Group: group, Label: label, Value: value, MaxLength: most, Optional: optional}
	}
	name := in(create.FieldHostname, groupName, "Hostname", s.Hostname, 63, false)
	name.Hint = "Small letters, digits and -"
	vmid := in(create.FieldVMID, groupName, "VMID", number(s.VMID), 9, true)
	vmid.Hint = "Empty: the next free number"
	if w.Next > 0 {
		vmid.Placeholder = strconv.Itoa(w.Next)
		vmid.Hint += ", " + vmid.Placeholder + " for now"
	}
	tags := in(create.FieldTags, groupName, "Tags", strings.Join(s.Tags, " "), 200, true)
	tags.Hint = "With blanks between them"
	keys := in(create.FieldSSHKeys, groupName, "SSH public keys", strings.Join(s.SSHKeys, "\n"), 3000, true)
	keys.Placeholder, keys.Multiline, keys.Hint = "ssh-ed25519 …", true, "One a line. Root gets no password."

	ip := in(create.FieldIP, groupNetwork, "Address", s.IP, 18, false)
	ip.Hint = "dhcp, or an address such as 192.168.10.50/24"
	gw := in(create.FieldGateway, groupNetwork, "Gateway", s.Gateway, 15, true)
	gw.Hint = "Of a fixed address"
	dns := in(create.FieldNameserver, groupNetwork, "Name servers", s.Nameserver, 120, true)
	dns.Hint = "Empty: the node's"

	storage := in(create.FieldStorage, groupSize, "Disk is on", s.Storage, 100, false)
	for _, st := range create.Storages(w.At.Cluster, s.Node) {
		storage.Options = append(storage.Options, chat.Choosable{Label: st.Name, Note: Bytes(st.Size-st.Used) + " free", Value: st.Name})
	}
	bridge := in(create.FieldBridge, groupNetwork, "Bridge", s.Bridge, 40, false)
	for _, b := range w.At.Offer.Bridges[s.Node] {
		bridge.Options = append(bridge.Options, chat.Choosable{Label: b, Value: b})
	}
	options := chat.Input{ID: string(create.FieldOptions), Label: "Options", Many: true, Optional: true, Options: []chat.Choosable{
		{Label: "Start at boot", Value: OptOnBoot},
		{Label: "Nesting", Note: "systemd and Docker inside need it", Value: OptNesting},
		{Label: "Unprivileged", Note: "root inside is nobody outside", Value: OptUnprivileged},
	}}
	var on []string
	for _, o := range options.Options {
		if map[string]bool{OptOnBoot: s.OnBoot, OptNesting: s.Nesting, OptUnprivileged: !s.Privileged}[o.Value] {
			on = append(on, o.Value)
		}
	}
	options.Value = strings.Join(on, " ")
	return []chat.Input{
		name, vmid,
		in(create.FieldCores, groupSize, "Cores", strconv.Itoa(s.Cores), 4, false),
		in(create.FieldMemory, groupSize, "Memory, MiB", strconv.FormatInt(s.Memory, 10), 8, false),
		in(create.FieldSwap, groupSize, "Swap, MiB", strconv.FormatInt(s.Swap, 10), 8, false),
		in(create.FieldDisk, groupSize, "Disk, GiB", strconv.FormatInt(s.Disk, 10), 6, false),
		storage, bridge,
		ip, gw, in(create.FieldVLAN, groupNetwork, "VLAN", number(s.VLAN), 4, true), dns,
		tags, keys, options,
	}
}

// number is n, or nothing for 0.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// HasServices reports whether there is something to switch off or to reorder.
func HasServices(t templates.Template) bool { return !t.Packages.Empty() || len(t.Scripts) > 0 }

func (w Wizard) services() []chat.Input {
	t, s := w.At.Template, w.Spec
	var inputs []chat.Input
	all := installs(t)
	for n, things := range all {
		in := chat.Input{ID: installInput(n), Label: "Do in it", Placeholder: "Nothing", Many: true, Optional: true}
		if len(all) > 1 {
			in.Label = fmt.Sprintf("Do in it, %d of %d", n+1, len(all))
		}
		var on []string
		for _, thing := range things {
			c := chat.Choosable{Mark: "📦", Label: "Install packages", Note: packages(t.Packages), Value: thing}
			done := s.Packages
			if i, err := strconv.Atoi(thing); err == nil {
				sc := t.Scripts[i-1]
				c = chat.Choosable{Label: thing + " · " + sc.Name, Note: "at most " + Duration(sc.Within()), Value: thing}
				done = slices.Contains(s.Scripts, i-1)
			}
			if in.Options = append(in.Options, c); done {
				on = append(on, thing)
			}
		}
		in.Value = strings.Join(on, " ")
		inputs = append(inputs, in)
	}
	if len(t.Scripts) > 1 {
		inputs = append(inputs, chat.Input{
			ID: InputOrder, Group: "Order…", Label: "Scripts run in this order", Value: Order(s.Scripts), MaxLength: 400, Optional: true,
			Hint: "Their numbers, such as 2 1 3",
		})
	}
	return inputs
}

// Order writes the scripts as people count them.
func Order(scripts []int) string {
	var list []string
	for _, i := range scripts {
		list = append(list, strconv.Itoa(i+1))
	}
	return strings.Join(list, " ")
}

func packages(p templates.Packages) string {
	var list []string
	for _, m := range p.ByManager() {
		list = append(list, m.Names...)
	}
	return strings.Join(list, ", ")
}

// size is what a container gets, in a line.
func size(s create.Spec) string {
	return count(s.Cores, "core") + " · " + Bytes(s.Memory<<20) + " · " + Bytes(s.Disk<<30)
}

func (w Wizard) review() []chat.Block {
	s, t := w.Spec, w.At.Template
	var blocks []chat.Block
	if len(w.Wrong) > 0 {
		said := chat.Texts(markBad+" ", chat.B("It cannot be made like this."))
		for _, f := range slices.Sorted(maps.Keys(w.Wrong)) {
			said = append(said, chat.Texts("\n", chat.B(fieldWord(f)), ": "+w.Wrong[f])...)
		}
		blocks = append(blocks, chat.Para{Text: append(said, chat.Texts("\n→ Go back and change it. Nothing was made.")...)})
	}
	if had := s.Had(w.At); had != nil {
		addr, _, _ := strings.Cut(s.IP, "/")
		blocks = append(blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B(addr), " was the address of ", chat.B(had.DisplayName()), " when that was last looked at. On one network, only one of them can have it.")})
	}
	id := "It gets the next free number"
	switch {
	case s.Fixed:
		id = fmt.Sprintf("CT %d", s.VMID)
	case w.Next > 0:
		id = fmt.Sprintf("Next free number: CT %d", w.Next)
	}
	memory := Bytes(s.Memory << 20)
	if s.Swap > 0 {
		memory += " + " + Bytes(s.Swap<<20) + " swap"
	}
	blocks = append(blocks,
		chat.Para{Text: chat.Texts(chat.B(s.Hostname), " on "+s.Node+"\n"+id)},
		chat.Fields{
			{Label: "Template", Value: chat.Texts(t.Name)},
			{Label: "Cores", Value: chat.Texts(strconv.Itoa(s.Cores))},
			{Label: "Memory", Value: chat.Texts(memory)},
			{Label: "Disk", Value: chat.Texts(Bytes(s.Disk<<30) + " on " + s.Storage)},
			{Label: "Network", Value: chat.Texts(netOf(s))},
			{Label: "Access", Value: chat.Texts(w.access())},
			{Label: "Services", Value: chat.Texts(cut(doneInside(s, t), 200))},
			{Label: "Options", Value: chat.Texts(options(s))},
			{Label: "Tags", Value: chat.Texts(cut(cmp.Or(strings.Join(s.Tags, ", "), "none"), 200))},
		})
	where := "Progress is sent to you."
	if w.Here {
		where = "Progress is posted in this channel; where pvechat may not write, it is sent to you."
	}
	words, state := osWords(w.At.Offer, s.Node, t.OS)
	if state == osDownload {
		where = words + " is downloaded first. " + where
	}
	return append(blocks, chat.Note{Text: chat.Texts(where)})
}

// fieldWord is what a person calls a field.
func fieldWord(f create.Field) string {
	switch f {
	case create.FieldVMID, create.FieldVLAN:
		return strings.ToUpper(string(f))
	case create.FieldIP:
		return "Address"
	case create.FieldSSHKeys:
		return "SSH public keys"
	}
	return title(string(f))
}

func netOf(s create.Spec) string {
	text := "DHCP on " + s.Bridge
	if s.IP != "dhcp" {
		text = s.IP + " on " + s.Bridge
		if s.Gateway != "" {
			text += ", gateway " + s.Gateway
		}
	}
	if s.VLAN != 0 {
		text += fmt.Sprintf(", VLAN %d", s.VLAN)
	}
	return text
}

func (w Wizard) access() string {
	var list []string
	if w.At.SSH {
		list = append(list, "pvechat's SSH key")
	}
	if n := len(w.Spec.SSHKeys); n > 0 {
		list = append(list, count(n, "SSH key")+" of yours")
	}
	if len(list) == 0 {
		return "the console of Proxmox alone: no SSH key"
	}
	return names(list) + "; no password"
}

// doneInside names what is done inside.
func doneInside(s create.Spec, t templates.Template) string {
	var list []string
	if s.Packages && !t.Packages.Empty() {
		list = append(list, packages(t.Packages))
	}
	for _, i := range s.Scripts {
		if i >= 0 && i < len(t.Scripts) {
			list = append(list, t.Scripts[i].Name)
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}

func options(s create.Spec) string {
	list := []string{"unprivileged"}
	if s.Privileged {
		list[0] = "privileged"
	}
	if s.Nesting {
		list = append(list, "nesting")
	}
	if s.OnBoot {
		list = append(list, "start at boot")
	}
	return strings.Join(append(list, "started when created"), ", ")
}

// How an OS template can be had.
const (
	osReady = iota
	osDownload
	osNone
	osUnread
)

// osWords says which file a system comes from, and how it can be had on a node;
// "" is any.
func osWords(o catalog.Offer, node, system string) (words string, state int) {
	t, ok := o.Find(system)
	if node != "" {
		t, ok = o.On(node, system)
	}
	if ok {
		words = fileWords(t.File)
		if t.Size > 0 {
			words += " · " + Bytes(t.Size)
		}
		return words, osReady
	}
	if file, ok := o.Download(system); ok {
		return fileWords(file), osDownload
	}
	if o.At.IsZero() {
		return system, osUnread
	}
	return system, osNone
}

// fileWords is "debian-13-standard 13.1-2" of a template's file name.
func fileWords(file string) string {
	parts := strings.Split(file, "_")
	return strings.Join(parts[:min(len(parts), 2)], " ")
}

// DraftEnded is for a control of a draft that is not there any more.
func DraftEnded() chat.Message {
	return Refused("This was deployed, or its time is up.", "What is chosen for a new container is kept for a day, for you alone. Nothing was made by this.",
		chat.Button{ID: "create:open", Label: "Create container", Style: chat.Primary}, chat.Button{ID: "board:open", Label: "Open the board"})
}

// Deploying says that a container is being made.
func Deploying(c *inventory.Container, here bool) chat.Panel {
	where := "The progress is sent to you."
	if here {
		where = "The progress is posted in this channel; where pvechat may not write, it is sent to you."
	}
	return chat.Panel{ID: "deploying", Title: "Create container", Close: "Close", Tone: chat.Neutral, Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(marks[inventory.Creating]+" ", chat.B("Deploying "+c.DisplayName()+"…"), "\n"+where+" It goes on if pvechat restarts.")},
		chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "progress"), Label: "Show progress"}}},
		chat.Note{Text: chat.Texts(facts(c))},
	}}
}

// OutOfScope says that a container would lie outside of what a person may
// create.
func OutOfScope(scope []access.Selector) string {
	var list []string
	for _, s := range scope {
		list = append(list, s.String())
	}
	return "Your rule reaches " + cut(cmp.Or(strings.Join(list, ", "), "other containers"), 200) + "; this one would lie outside. Choose a node or template inside of it."
}
