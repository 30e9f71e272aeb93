package view

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/create"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox"
)

// OSFile is an OS template: a file that is on storages of a cluster, or that
// Proxmox offers for it.
type OSFile struct {
	Key     string // stands for it in ids
	Cluster string
	catalog.OSTemplate
	Offered proxmox.Appliance // zero: Proxmox does not offer it
	Job     *jobs.Job         // that is at it; nil: none
}

// here reports whether some storage has it.
func (f OSFile) here() bool { return len(f.Copies) > 0 }

// name is what a person calls it: "Debian 13".
func (f OSFile) name() string { return OSName(f.File) }

// OSName is what a person calls the system in a template's file.
func OSName(file string) string {
	base, _, _ := strings.Cut(file, "_")
	parts := strings.Split(base, "-")
	system, known := osNames[parts[0]]
	if !known {
		return cut(file, 60)
	}
	words := []string{system}
	for _, p := range parts[1:] {
		if !slices.Contains([]string{"standard", "default", "base"}, p) {
			words = append(words, p)
		}
	}
	return cut(strings.Join(words, " "), 60)
}

// facts is the file and what is known of it.
func (f OSFile) facts(several bool) string {
	text := fileWords(f.File)
	if f.Size > 0 {
		text += " · " + Bytes(f.Size)
	}
	if slices.Contains([]string{"alpine", "devuan", "gentoo"}, strings.SplitN(f.File, "-", 2)[0]) {
		text += " · no systemd"
	}
	if several {
		text += " · " + f.Cluster
	}
	return text
}

// OSTemplates lists the OS templates of all clusters.
type OSTemplates struct {
	Here    []OSFile // on storages, or on their way there
	Missing []OSFile // that Proxmox offers besides
	Offers  []Offered
	Own     int // templates of pvechat
	Page    int // from 1
	More    int // page of Missing, from 1
	Space   chat.Space
	May     bool // the person may download
}

// tabs lead from the one kind of template to the other.
func tabs(active string, own, files int) chat.Controls {
	return chat.Controls{ID: "tabs", Buttons: []chat.Button{
		{ID: "templates:open", Label: "Templates " + strconv.Itoa(own), Active: active == "templates"},
		{ID: "os:open", Label: "OS templates " + strconv.Itoa(files), Active: active == "os"},
	}}
}

// Panel is the list.
func (l OSTemplates) Panel() chat.Panel {
	here := 0
	for _, f := range l.Here {
		if f.here() {
			here++
		}
	}
	p := chat.Panel{ID: "os", Title: "Templates", Close: "Close", Tone: chat.Neutral, Blocks: []chat.Block{
		tabs("os", l.Own, here), chat.Para{Text: chat.Texts(chat.B(strconv.Itoa(here)+" here"), " · ready to use")},
	}}
	for _, o := range l.Offers {
		if o.Offer.Err != nil {
			p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(markWarn + " Not all of " + o.Cluster + " could be read: " + cut(jobs.Reason(o.Offer.Err), 200))})
		}
	}
	p.Blocks = append(p.Blocks, chat.Divider{})
	on, pages := pageOf(l.Here, l.Page, max(1, min(l.Space.Panel-1, 20))) // tabs and select are as much as one row
	for _, f := range on {
		item := chat.Item{Text: chat.Texts("📦 ", chat.B(f.name())), Note: chat.Texts(f.facts(len(l.Offers) > 1)), Button: &chat.Button{ID: "os:show:" + f.Key, Label: "View"}}
		if f.Job != nil {
			item.Text = chat.Texts(markBusy+" ", chat.B(f.name()), " "+underWay[f.Job.Action])
			item.Note = chat.Texts("asked by " + f.Job.Person.Name)
		}
		p.Blocks = append(p.Blocks, item)
	}
	p.Blocks = append(p.Blocks, pages.controls("os:open")...)
	if l.May && len(l.Missing) > 0 {
		p.Blocks = append(p.Blocks, chat.Divider{}, l.choice())
	}
	return withNote(p, l.note()...)
}

// choice is what can be downloaded. Where there is more than the platform's
// list holds, its last entry leads on.
func (l OSTemplates) choice() chat.Controls {
	s := chat.Select{ID: "os:pick", Placeholder: fmt.Sprintf("Download another: %d more from Proxmox", len(l.Missing))}
	most := cmp.Or(l.Space.Jump, 100)
	if len(l.Missing) > most {
		most -= 2
	}
	on, pages := pageOf(l.Missing, l.More, most)
	for _, f := range on {
		c := chat.Choosable{Mark: "📦", Label: f.name(), Note: f.facts(len(l.Offers) > 1), Value: f.Key}
		s.Options = append(s.Options, c)
	}
	turn := func(to int, word string) {
		s.Options = append(s.Options, chat.Choosable{Label: word, Note: fmt.Sprintf("page %d of %d", to, pages.all), Value: "page:" + strconv.Itoa(to)})
	}
	if pages.at > 1 {
		turn(pages.at-1, "Before these…")
	}
	if pages.at < pages.all {
		turn(pages.at+1, "After these…")
	}
	if pages.all > 1 {
		s.Placeholder += fmt.Sprintf(" · %d–%d", pages.first+1, pages.first+len(on))
	}
	return chat.Controls{ID: "download", Select: &s}
}

// note says where they are, and since when that is known.
func (l OSTemplates) note() []any {
	var said []any
	for _, o := range l.Offers {
		if len(said) > 0 {
			said = append(said, "\n")
		}
		if len(l.Offers) > 1 {
			said = append(said, o.Cluster+": ")
		}
		if o.Offer.At.IsZero() {
			said = append(said, "the OS templates are being read.")
			continue
		}
		var copies []catalog.Copy
		for _, t := range o.Offer.Templates {
			copies = append(copies, t.Copies...)
		}
		where := "None on any storage"
		if len(copies) > 0 {
			where = "On " + placesOf(copies)
		}
		said = append(said, where+" · list from Proxmox, ", chat.At(o.Offer.At, chat.Age))
		if len(o.Offer.Downloads) == 0 {
			said = append(said, " · it offers none: run pveam update on a node")
		}
	}
	return said
}

// placesOf says where copies are: "local of pve1, pve2; nas of pve1".
func placesOf(copies []catalog.Copy) string {
	nodes := map[string][]string{}
	var storages []string
	for _, c := range copies {
		st := c.Storage()
		if nodes[st] == nil {
			storages = append(storages, st)
		}
		if !slices.Contains(nodes[st], c.Node) {
			nodes[st] = append(nodes[st], c.Node)
		}
	}
	slices.Sort(storages)
	var list []string
	for _, st := range storages {
		slices.Sort(nodes[st])
		list = append(list, st+" of "+strings.Join(nodes[st], ", "))
	}
	return cut(strings.Join(list, "; "), 200)
}

// OSPlace is where an OS template can be downloaded to.
type OSPlace struct {
	Key           string // stands for it in ids
	Node, Storage string
	Shared        bool
	Free          int64 // bytes
}

func (p OSPlace) String() string {
	if p.Shared {
		return p.Storage + ", which all nodes share"
	}
	return p.Storage + " of " + p.Node
}

// OSPage is all about one OS template.
type OSPage struct {
	OSFile
	Ended  *jobs.Job            // that has just ended; nil: none
	Places []OSPlace            // where it is not, and can be downloaded to, the best first
	Fits   []templates.Template // that are made from it, the plainest first
	Made   []string             // containers that were, as far as the person sees them
	Older  string               // the file that would be taken in its place; "": none
	May    bool                 // the person may create
	Admin  bool                 // the person may remove it
}

// Panel is the page.
func (p OSPage) Panel() chat.Panel {
	out := chat.Panel{ID: "os-template", Title: p.name(), Close: "Close", Tone: chat.Neutral}
	if j := p.Job; j != nil {
		out.Tone = chat.Warning
		out.Blocks = append(out.Blocks, p.going(*j)...)
		return out
	}
	state := "not here yet"
	switch {
	case p.here():
		state = "ready to use"
	case p.Offered.Template == "":
		state = "not here"
	}
	out.Blocks = append(out.Blocks, chat.Heading{Text: "📦 " + p.name() + " — " + state})
	if j := p.Ended; j != nil {
		out.Tone = chat.Good
		if j.State != jobs.Succeeded {
			out.Tone = chat.Bad
		}
		out.Blocks = append(out.Blocks, p.ended(*j)...)
	}
	out.Blocks = append(out.Blocks, p.fields())
	out.Blocks = append(out.Blocks, p.controls()...)
	if j := p.Ended; j != nil {
		return withNote(out, "asked by "+j.Person.Name+" · ", chat.At(j.CreatedAt, chat.Clock), " · id ", chat.C(j.Request))
	}
	return out
}

func (p OSPage) fields() chat.Fields {
	fields := chat.Fields{{Label: "File", Value: chat.Texts(cut(p.File, 120))}}
	if p.Size > 0 {
		fields = append(fields, chat.Field{Label: "Size", Value: chat.Texts(Bytes(p.Size))})
	}
	if p.Offered.Headline != "" && !p.here() {
		fields = append(fields, chat.Field{Label: "What it is", Value: chat.Texts(cut(p.Offered.Headline, 120))})
	}
	switch {
	case p.here():
		fields = append(fields, chat.Field{Label: "Is on", Value: chat.Texts(placesOf(p.Copies))})
	case len(p.Places) > 0:
		fields = append(fields, chat.Field{Label: "Goes to", Value: chat.Texts(p.Places[0].String() + "\n" + Bytes(p.Places[0].Free) + " free")})
	case p.Offered.Template != "":
		fields = append(fields, chat.Field{Label: "Goes to", Value: chat.Texts("no storage that you may use holds OS templates")})
	default:
		fields = append(fields, chat.Field{Label: "Is on", Value: chat.Texts("no storage, and Proxmox does not offer it any more")})
	}
	fields = append(fields, chat.Field{Label: "Can install", Value: chat.Texts(cut(cmp.Or(strings.Join(p.fits(), ", "), "no template of pvechat"), 300))})
	if p.here() || len(p.Made) > 0 {
		fields = append(fields, chat.Field{Label: "Made from it", Value: chat.Texts(madeOf(p.Made))})
	}
	return fields
}

func (p OSPage) fits() []string {
	var list []string
	for _, t := range p.Fits {
		list = append(list, t.Name)
	}
	return list
}

// mostMade is how many containers are named that were made of something.
const mostMade = 5

// madeOf says which containers were made of something.
func madeOf(made []string) string {
	if len(made) == 0 {
		return "no container by pvechat"
	}
	text := strings.Join(made[:min(len(made), mostMade)], ", ")
	if n := len(made) - mostMade; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return count(len(made), "container") + "\n" + cut(text, 250)
}

func (p OSPage) controls() []chat.Block {
	c := chat.Controls{ID: "actions"}
	if p.here() && p.May && len(p.Fits) > 0 {
		c.Buttons = append(c.Buttons, chat.Button{ID: "create:use:" + p.Fits[0].ID, Label: "Create container", Style: chat.Positive})
	}
	places := p.Places
	if !p.May || p.Offered.Template == "" {
		places = nil
	}
	if !p.here() && len(places) > 0 {
		c.Buttons = append(c.Buttons, chat.Button{ID: "os:get:" + p.Key + ":" + places[0].Key, Label: "Download", Style: chat.Primary})
		places = places[1:]
	}
	if p.here() && p.Admin {
		c.Buttons = append(c.Buttons, chat.Button{ID: "os:remove:" + p.Key, Label: "Remove…"})
	}
	c.Buttons = append(c.Buttons, chat.Button{ID: "os:open", Label: "All templates"})
	blocks := []chat.Block{c}
	if len(places) > 0 {
		s := chat.Select{ID: "os:get:" + p.Key, Placeholder: "Download to another storage"}
		for _, at := range places[:min(len(places), 25)] {
			s.Options = append(s.Options, chat.Choosable{Label: at.String(), Note: Bytes(at.Free) + " free", Value: at.Key})
		}
		blocks = []chat.Block{chat.Controls{ID: "places", Select: &s}, c}
	}
	return blocks
}

// percentForm finds how far a download is in a line of its task's log.
var percentForm = regexp.MustCompile(`\b(\d{1,3})%`)

// going is a download or a removal under way.
func (p OSPage) going(j jobs.Job) []chat.Block {
	t, _ := create.ParseOSTemplate(j.Spec) // it was written by us
	pr := create.ParseProgress(j.Progress)
	where := "to " + placesOf(t.Copies)
	if j.Action == jobs.Remove {
		where = "from " + placesOf(t.Copies)
	}
	below := chat.Texts(where)
	if j.Action == jobs.Download {
		done := 0
		for _, line := range pr.Lines {
			if m := percentForm.FindStringSubmatch(line); m != nil {
				done, _ = strconv.Atoi(m[1])
			}
		}
		below = chat.Texts(where + "\n" + progressBar(min(done, 100)))
	}
	blocks := []chat.Block{chat.Heading{Text: markBusy + " " + p.name() + " — " + underWay[j.Action], Below: below}}
	if len(pr.Lines) > 0 {
		blocks = append(blocks, chat.Pre{Lines: lastLines(pr.Lines)})
	}
	return append(blocks,
		chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "os:open", Label: "All templates"}}},
		chat.Note{Text: chat.Texts("asked by "+j.Person.Name+" · since ", chat.At(j.CreatedAt, chat.ClockSec), " · goes on if pvechat restarts")})
}

// ended says how a download or a removal ended.
func (p OSPage) ended(j jobs.Job) []chat.Block {
	t, _ := create.ParseOSTemplate(j.Spec)
	steps := create.ParseProgress(j.Progress).Steps
	var done []catalog.Copy
	for i, s := range steps {
		if s.Done() && i < len(t.Copies) {
			done = append(done, t.Copies[i])
		}
	}
	if j.State == jobs.Succeeded {
		said := "Downloaded to " + placesOf(t.Copies)
		if j.Action == jobs.Remove {
			said = "Removed from " + placesOf(t.Copies)
		}
		return []chat.Block{chat.Para{Text: chat.Texts(markDone+" ", chat.B(said))}}
	}
	head, now := "It was not downloaded.", "Nothing of it was kept."
	if j.Action == jobs.Remove {
		head, now = "It was not removed.", "Every copy is still there."
		if len(done) > 0 {
			head, now = "It was not removed everywhere.", "It is gone from "+placesOf(done)+"."
		}
	}
	return []chat.Block{
		chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\n"+cut(sentence(j.Error), 500)+" "+now)},
		chat.Para{Text: chat.Texts("→ " + cmp.Or(known(j.Error), "Look at its task in Proxmox, then try again."))},
	}
}

// Removal asks whether an OS template is to be removed, and says what uses it.
func (p OSPage) Removal(token string, now time.Time) chat.Panel {
	facts := []string{fileWords(p.File)}
	if p.Size > 0 {
		facts = append(facts, Bytes(p.Size))
	}
	var says []string
	switch fits := cut(names(p.fits()), 300); {
	case len(p.Fits) == 0:
		says = append(says, "No template of pvechat uses it.")
	case p.Older != "":
		says = append(says, fits+": made from "+fileWords(p.Older)+" after this.")
	case p.Offered.Template != "":
		says = append(says, fits+": it is downloaded again when one of them is created.")
	default:
		says = append(says, markWarn+" "+fits+": cannot be created after this. Proxmox does not offer it any more.")
	}
	made := "No container by pvechat was made from it."
	if n := len(p.Made); n > 0 {
		list := strings.Join(p.Made[:min(n, mostMade)], ", ")
		if n > mostMade {
			list += fmt.Sprintf(" and %d more", n-mostMade)
		}
		made = cut(list, 250) + ": made from it, and not touched by this."
	}
	return chat.Panel{
		ID: "confirm", Title: "Remove template", Close: "Cancel", Cancel: "cancel:" + token, Tone: chat.Bad,
		Blocks: []chat.Block{
			chat.Heading{Text: "Remove " + p.name() + "?", Below: chat.Texts(strings.Join(facts, " · ") + "\nfrom " + placesOf(p.Copies))},
			chat.Para{Text: chat.Texts(strings.Join(append(says, made), "\n"))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "os:remove:" + p.Key + ":" + token, Label: "Remove template", Style: chat.Danger}}},
			chat.Note{Text: chat.Texts("This question ends ", chat.At(now.Add(ConfirmFor), chat.Age))},
		},
	}
}

// OSBusy refuses what would meet a job on the same OS template.
func (p OSPage) OSBusy(j jobs.Job) chat.Message {
	head := p.name() + " is being " + map[jobs.Action]string{jobs.Download: "downloaded", jobs.Remove: "removed"}[j.Action] + " already."
	m := Refused(head, "", chat.Button{ID: "os:show:" + p.Key, Label: "Show progress"})
	m.Blocks[0] = chat.Para{Text: chat.Texts(markBusy+" ", chat.B(head), "\nAsked by "+j.Person.Name+" at ", chat.At(j.CreatedAt, chat.ClockSec), ". Nothing more was sent to Proxmox.")}
	return m
}

// OSInUse refuses to remove what a creation is about to unpack.
func (p OSPage) OSInUse(name string) chat.Message {
	return Refused(p.name()+" is in use.", name+" is being created from it. Nothing was removed. Try again when that has ended.", chat.Button{ID: "os:show:" + p.Key, Label: "Back"})
}

// OSFull refuses a download that would not fit.
func (p OSPage) OSFull(at OSPlace) chat.Message {
	return Refused(p.name()+" does not fit.", at.String()+" has "+Bytes(at.Free)+" left, it needs "+Bytes(p.Size)+". Nothing was downloaded.", chat.Button{ID: "os:show:" + p.Key, Label: "Back"})
}

// NoOSTemplate is for an OS template, or a place for it, that is not there any
// more.
func NoOSTemplate() chat.Message {
	return Refused("That is not there any more.", "The OS template was removed, its storage is away, or Proxmox does not offer it any more. Nothing was done.", chat.Button{ID: "os:open", Label: "All templates"})
}

// paging is where in a list one is.
type paging struct{ at, all, first int }

// pageOf is a page of a list, counted from 1; what lies beyond is the nearest.
func pageOf[T any](list []T, page, size int) ([]T, paging) {
	p := paging{all: max(1, (len(list)+size-1)/size)}
	p.at = min(max(page, 1), p.all)
	p.first = (p.at - 1) * size
	return list[p.first:min(p.first+size, len(list))], p
}

// controls lead to the pages beside it.
func (p paging) controls(route string) []chat.Block {
	c := chat.Controls{ID: "pages"}
	if p.at > 1 {
		c.Buttons = append(c.Buttons, chat.Button{ID: route + ":" + strconv.Itoa(p.at-1), Label: "Previous"})
	}
	if p.at < p.all {
		c.Buttons = append(c.Buttons, chat.Button{ID: route + ":" + strconv.Itoa(p.at+1), Label: "Next"})
	}
	if len(c.Buttons) == 0 {
		return nil
	}
	return []chat.Block{c}
}
