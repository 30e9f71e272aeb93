package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/templates"
)

// Offered is what a cluster offers.
type Offered struct {
	Cluster string
	Offer   catalog.Offer
}

// Templates lists what containers can be made of.
type Templates struct {
	All    []templates.Template
	Offers []Offered // of the clusters, in their order
	Page   int       // from 1
	Space  chat.Space
	May    bool // the person may create containers
}

// Panel is the list.
func (l Templates) Panel() chat.Panel {
	p := chat.Panel{ID: "templates", Title: "Templates", Close: "Close", Tone: chat.Neutral, Blocks: []chat.Block{
		tabs("templates", len(l.All), l.files()),
		chat.Para{Text: chat.Texts(chat.B(count(len(l.All), "template")), " to make containers of")},
		chat.Divider{},
	}}
	on, pages := pageOf(l.All, l.Page, max(1, min(l.Space.Panel, 20)))
	for _, t := range on {
		p.Blocks = append(p.Blocks, chat.Item{
			Text: chat.Texts("📦 ", chat.B(t.Name)), Note: chat.Texts(l.note(t)), Button: &chat.Button{ID: "tpl:" + t.ID + ":show", Label: "View"},
		})
	}
	p.Blocks = append(p.Blocks, pages.controls("templates:open")...)
	for _, o := range l.Offers {
		if o.Offer.At.IsZero() {
			p = withNote(p, "The OS templates of "+o.Cluster+" are being read.")
		}
	}
	return p
}

// files is how many OS templates there are.
func (l Templates) files() int {
	n := 0
	for _, o := range l.Offers {
		n += len(o.Offer.Templates)
	}
	return n
}

func withNote(p chat.Panel, note ...any) chat.Panel {
	p.Blocks = append(p.Blocks, chat.Note{Text: chat.Texts(note...)})
	return p
}

// note says what a template is made of, and whether that is there.
func (l Templates) note(t templates.Template) string {
	text := t.OS
	for i, o := range l.Offers {
		words, state := osWords(o.Offer, "", t.OS)
		if i == 0 {
			text = words
		}
		if state == osReady {
			text = words
			break
		}
		if state == osDownload {
			text = words + " · downloaded when needed"
		}
	}
	if t.Description != "" {
		return cut(t.Description, 120) + " · " + text
	}
	return text
}

// TemplatePage is all about one template; made are the containers that were made
// from it.
func (l Templates) TemplatePage(t templates.Template, made []string) chat.Panel {
	p := chat.Panel{ID: "template", Title: t.Name, Close: "Close", Tone: chat.Neutral}
	ready := "not there yet"
	fields := chat.Fields{}
	for _, o := range l.Offers {
		words, state := osWords(o.Offer, "", t.OS)
		where := ""
		switch state {
		case osReady:
			ready = "ready to use"
			here, _ := o.Offer.Find(t.OS)
			where = "\non " + placesOf(here.Copies)
		case osDownload:
			if ready != "ready to use" {
				ready = "downloaded when needed"
			}
			where = "\nis downloaded when it is needed"
		case osNone:
			where = "\nis not there, and Proxmox offers none: run pveam update on a node"
		default:
			where = "\nis still being looked for"
		}
		label := "OS template"
		if len(l.Offers) > 1 {
			label += " · " + o.Cluster
		}
		fields = append(fields, chat.Field{Label: label, Value: chat.Texts(words + where)})
	}
	p.Blocks = append(p.Blocks, chat.Heading{Text: "📦 " + t.Name + " — " + ready, Below: chat.Texts(t.Description)})
	memory := Bytes(t.Resources.Memory << 20)
	if t.Resources.Swap > 0 {
		memory += " + " + Bytes(t.Resources.Swap<<20) + " swap"
	}
	fields = append(fields, chat.Field{Label: "Gets", Value: chat.Texts(fmt.Sprintf("%s, %s, %s disk", count(t.Resources.Cores, "core"), memory, Bytes(t.Resources.Disk<<30)))})
	fields = append(fields, chat.Field{Label: "Installs", Value: chat.Texts(cut(cmp.Or(packages(t.Packages), "nothing"), 400))})
	if len(t.Scripts) > 0 {
		var list []string
		for i, s := range t.Scripts {
			list = append(list, fmt.Sprintf("%d %s", i+1, s.Name))
		}
		fields = append(fields, chat.Field{Label: "Runs", Value: chat.Texts(cut(strings.Join(list, "\n"), 600))})
	}
	if len(t.Files) > 0 {
		var list []string
		for _, f := range t.Files {
			list = append(list, f.Target)
		}
		fields = append(fields, chat.Field{Label: "Puts there", Value: chat.Texts(cut(strings.Join(list, "\n"), 400))})
	}
	if len(t.Services) > 0 {
		var list []string
		for _, s := range t.Services {
			line := cmp.Or(s.Name, s.Unit)
			if s.Port != 0 {
				line += fmt.Sprintf(", port %d", s.Port)
			}
			list = append(list, line)
		}
		fields = append(fields, chat.Field{Label: "Runs in the end", Value: chat.Texts(cut(strings.Join(list, "\n"), 400))})
	}
	if len(t.Tags) > 0 {
		fields = append(fields, chat.Field{Label: "Tags", Value: chat.Texts(cut(strings.Join(t.Tags, ", "), 200))})
	}
	fields = append(fields, chat.Field{Label: "Made from it", Value: chat.Texts(madeOf(made))})
	c := chat.Controls{ID: "actions"}
	if l.May {
		c.Buttons = append(c.Buttons, chat.Button{ID: "create:use:" + t.ID, Label: "Create container", Style: chat.Positive})
	}
	c.Buttons = append(c.Buttons, chat.Button{ID: "templates:open", Label: "All templates"})
	from := "from templates_dir"
	if t.Shipped {
		from = "comes with pvechat"
	}
	p.Blocks = append(p.Blocks, fields, c)
	return withNote(p, t.ID+".yaml · "+from)
}

// NoTemplate is for a template that is not there any more.
func NoTemplate(id string) chat.Message {
	return Refused("There is no template "+cut(id, 40)+".", "It was removed, or its file is wrong.", chat.Button{ID: "templates:open", Label: "All templates"})
}
