package view

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
)

// Denied refuses without a word about the target, and names the id that an
// admin has to add.
func Denied(p chat.Person, have, need access.Role, request string) chat.Message {
	why := chat.Texts("This needs the ", chat.B(string(need)), " role")
	if need == access.NoRole {
		why = chat.Texts("This is not for you")
	}
	if p.Outsider {
		why := "This is not for bots, nor for guests of other organisations. Nothing was changed."
		return chat.Message{Summary: "Not allowed. " + why, Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markNo+" ", chat.B("Not allowed"), "\n"+why)},
			chat.Note{Text: chat.Texts("id ", chat.C(request))},
		}}
	}
	if have == access.NoRole {
		why = append(why, chat.Texts("; you have none. Nothing was changed.")...)
	} else if have == need {
		why = chat.Texts("Your ", chat.B(string(have)), " role does not reach this. Nothing was changed.")
	} else {
		why = append(why, chat.Texts("; you have ", chat.B(string(have)), ". Nothing was changed.")...)
	}
	return chat.Message{
		Summary: "Not allowed. " + why.String(),
		Blocks: []chat.Block{
			chat.Para{Text: append(chat.Texts(markNo+" ", chat.B("Not allowed"), "\n"), why...)},
			chat.Note{Text: chat.Texts("An admin can grant it to ", chat.C(p.ID), " in the access rules. · id ", chat.C(request))},
		},
	}
}

// Trouble is something that did not work.
type Trouble struct {
	What    string // what did not happen: "Could not start grafana"
	Why     string // in the system's own words
	Now     string // what is true now: "Nothing was started."
	Do      string // what to do
	Place   string // "CT 104 · pve2"
	Request string
	Again   *chat.Button
}

// Message is a private answer.
func (t Trouble) Message() chat.Message {
	m := chat.Message{Tone: chat.Bad, Summary: strings.TrimSpace(t.What+": "+sentence(t.Why)+" "+t.Now) + " id " + t.Request}
	text := chat.Texts(markBad+" ", chat.B(t.What))
	if rest := strings.TrimSpace(sentence(t.Why) + " " + t.Now); rest != "" {
		text = append(text, chat.Texts("\n"+rest)...)
	}
	m.Blocks = append(m.Blocks, chat.Para{Text: text})
	do := t.Do
	if do == "" {
		do = advice(t.Why)
	}
	m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts("→ " + do)})
	var next []chat.Button
	if t.Again != nil {
		next = append(next, *t.Again)
	}
	if doctorHelps(t.Why) {
		next = append(next, runDoctor)
	}
	if len(next) > 0 {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "actions", Buttons: next})
	}
	place := t.Place
	if place != "" {
		place += " · "
	}
	m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(place+"id ", chat.C(t.Request), ", for your admin")})
	return m
}

// advice is what to do about a reason that Proxmox, the way to it, or pvechat
// itself gave.
func advice(reason string) string {
	if do := known(reason); do != "" {
		return do
	}
	return "Try again in a minute. If it stays, give the id to your admin."
}

var missingPrivilege = regexp.MustCompile(`(?i)permission check failed \((/[^,\s]*), ([A-Za-z.|]+)\)`)

// Advice is what to do where a reason has some words in it.
type Advice struct{ Reason, Do string } // Reason is in lower case

// advices are all that are known; the first that fits counts.
var advices = []Advice{
	{"does not accept pvechat's token", "An admin has to check token_id and token_secret, and whether the token has expired."},
	{"does not answer the rest of its cluster", "Look at that node's power and network; the other nodes answer."},
	{"the proxy before proxmox", "An admin has to look at the proxy, and at pveproxy behind it."},
	{"(dns)", "An admin has to check the address in urls, and the name server."},
	{"refused the connection", "Look whether Proxmox is up there, then try again."},
	{"did not answer in time (timeout)", "Try again in a minute. If it stays, look at the network between pvechat and Proxmox."},
	{"(tls)", "Nothing was sent. An admin has to compare the certificate with fingerprints or ca_file."},
	{"broke off", "Try again; if it stays, look at the network between pvechat and Proxmox."},
	{"the answer of proxmox could not be read", "It is not repeated. Give the id to your admin: this is a defect of pvechat, or of a proxy."},
	{"knows no such thing", "It was removed, or moved away. Refresh, and look again."},
	{"the tables differ", "An admin has to run pvechat migrate --repair. Looking goes on meanwhile."},
	{"database", "Try again in a minute. If it stays, an admin has to look at the database."},
	{"is locked (backup)", "Wait until the backup has ended, then try again."},
	{"is locked (snapshot-delete)", "Wait until its snapshot has been removed, then try again."},
	{"is locked (snapshot)", "Wait until the snapshot has ended, then try again."},
	{"is locked (rollback)", "Wait until it has been rolled back, then try again."},
	{"is locked (migrate)", "Wait until it has moved to its new node, then try again."},
	{"is locked (create)", "Wait until it has been created, then try again."},
	{"is locked", "Something else works on it. Wait, then try again."},
	{"got timeout", "Another action holds it. Wait for that to end, then try again."},
	{"protection mode", "Switch its protection off in Proxmox, then try again."},
	{"permission check failed", "An admin has to grant the named privilege to pvechat's token in Proxmox."},
	{"no quorum", "The cluster has lost its quorum. Reads go on; bring its nodes back first."},
	{"still in use by linked clone", "Delete the containers that were cloned from it first."},
	{"snapshot", "A snapshot of it is in use. Look at its snapshots in Proxmox."},
	{"already running", "It runs already: nothing to do."},
	{"is running already", "It runs already: nothing to do."},
	{"not running", "It has stopped already: nothing to do."},
	{"no space left", "Free some space there, then try again."},
	{"insufficient free space", "Free some space there, or choose another storage."},
	{"a template", "Clone the template in Proxmox, and use the clone."},
	{"was replaced", "Open the board: the new one has buttons of its own."},
	{"does not exist", "It was removed, or moved away. Refresh, and look again."},
	{"used in ha", "Take it out of HA in Proxmox first."},
	{"managed by ha", "Take it out of HA in Proxmox first."},
	{"not sent, as far as proxmox shows", "Press again if you still want it."},
	{"several tasks could be", "Look at its events, and at its tasks in Proxmox."},
	{"no route to host", "Its node is down. Look at the node's power and network."},
	{"is down", "Look at the node's power and network."},
	{"timeout", "Try again in a minute."},
	{"refused", "Look whether Proxmox is up, then try again."},
	{"authentication", "An admin has to check pvechat's token."},
}

// known is the advice for a reason that is known; "" for others. The first that
// fits counts.
func known(reason string) string {
	if m := missingPrivilege.FindStringSubmatch(reason); m != nil {
		return "An admin has to grant " + strings.ReplaceAll(m[2], "|", " or ") + " on " + m[1] + " to pvechat's token in Proxmox."
	}
	r := strings.ToLower(reason)
	for _, a := range advices {
		if strings.Contains(r, a.Reason) {
			return a.Do
		}
	}
	return ""
}

// Refused says why something was not done; nothing went wrong.
func Refused(what, why string, buttons ...chat.Button) chat.Message {
	m := chat.Message{Summary: what + " " + why}
	m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts(chat.B(what), "\n"+why)})
	if len(buttons) > 0 {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "actions", Buttons: buttons})
	}
	return m
}

// Replaced is for a button of a container that is not there any more.
func Replaced() chat.Message {
	return Refused("This container was replaced or removed.", "Nothing was done: the button belongs to one that is gone. Open the board for those that exist.",
		chat.Button{ID: "board:open", Label: "Open the board"})
}

// Busy is for a queue that is full.
func Busy() chat.Message {
	return Refused("pvechat is busy.", "Nothing was done. Press again in a few seconds.")
}

// Twice answers a form that came a second time, after a first one whose answer
// was lost on its way.
func Twice() chat.Message {
	return Refused("It came twice, and was taken once.", "Nothing was done now. Send it again if you do not hear what became of it.")
}

// StillReading is for the seconds after a start.
func StillReading(cluster string) chat.Message {
	return Refused("pvechat has just started.", "It is still reading "+cluster+". Nothing was done; try again in a few seconds.")
}

// Unnamed asks which container is meant: none or several have the name.
func Unnamed(name, route string, found []*inventory.Container, near []*inventory.Container) chat.Message {
	label := func(c *inventory.Container) chat.Button {
		return chat.Button{ID: ID(c.ID, route), Label: cut(full(c), 75)}
	}
	var b []chat.Button
	if len(found) > 1 {
		for _, c := range found[:min(5, len(found))] {
			b = append(b, label(c))
		}
		why := "Choose one; node/name, cluster/name or the VMID also tell them apart."
		if len(found) > 5 {
			why = fmt.Sprintf("The first 5 are below; write node/name, cluster/name or the VMID for the other %d.", len(found)-5)
		}
		return Refused(fmt.Sprintf("%d containers are called %s.", len(found), cut(name, 60)), why, b...)
	}
	for _, c := range near[:min(5, len(near))] {
		b = append(b, label(c))
	}
	why := "Give its hostname, its VMID, or node/name."
	if len(b) > 0 {
		why = "Did you mean one of these?"
	}
	return Refused("There is no container "+cut(name, 60)+".", why, b...)
}

// Misspelt is for a command that does not exist, or lacks something.
func Misspelt(what, why string, usage []string) chat.Message {
	t := chat.Texts(chat.B(what), "\n"+why)
	for _, u := range usage {
		t = append(t, chat.Texts("\n", chat.C(u))...)
	}
	return chat.Message{Summary: what + " " + why + " " + strings.Join(usage, ", "), Blocks: []chat.Block{
		chat.Para{Text: t},
		chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "help:open", Label: "Show help"}}},
	}}
}

// CannotPost answers privately where a public answer could not be shown.
func CannotPost(err error) chat.Message {
	if limited, ok := errors.AsType[*chat.RateLimitedError](err); ok {
		return Refused("This channel has had too many messages.", "It takes the next one in "+Duration(max(time.Second, limited.RetryAfter))+". Nothing was posted; try again then, or open your own view.",
			chat.Button{ID: "board:more", Label: "Open my view"})
	}
	if scope, ok := errors.AsType[*chat.MissingScopeError](err); ok {
		return Refused("pvechat's app may not post.", "It lacks the scope "+scope.Scope+": an admin has to add it, and to install the app again. Nothing was posted.",
			chat.Button{ID: "board:more", Label: "Open my view"})
	}
	return Refused("pvechat cannot post here.", "It is no member of this channel, or may not write in it. Invite it, then try again; or open your own view.",
		chat.Button{ID: "board:more", Label: "Open my view"})
}

// BoardRemoved says that a channel has no board any more.
func BoardRemoved() chat.Message {
	return Refused("The board was taken away.", "Your own view is at /pve list, and a board comes back with /pve board here.")
}

// NotNow says why an action makes no sense in the container's state.
func NotNow(c *inventory.Container, a jobs.Action, reason string) chat.Message {
	why := "Nothing was sent to Proxmox."
	if do := known(reason); do != "" {
		why += "\n→ " + do
	}
	return Refused(fmt.Sprintf("%s: %s.", c.DisplayName(), reason), why, chat.Button{ID: ID(c.ID, "show"), Label: "Manage"})
}

// AlreadyBusy names who is at it.
func AlreadyBusy(c *inventory.Container, j jobs.Job) chat.Message {
	head := fmt.Sprintf("%s is %s already.", c.DisplayName(), goingOn(j.Action))
	m := Refused(head, "", chat.Button{ID: ID(c.ID, "show"), Label: "Manage"})
	m.Blocks[0] = chat.Para{Text: chat.Texts(markBusy+" ", chat.B(head),
		"\nAsked by "+j.Person.Name+" at ", chat.At(j.CreatedAt, chat.ClockSec), ". Nothing more was sent to Proxmox.")}
	return m
}

// QuestionEnded refuses an answer to our own question that came late, twice, or
// from somebody else.
func QuestionEnded(c *inventory.Container) chat.Message {
	back := chat.Button{ID: "board:open", Label: "Open the board"}
	if c != nil {
		back = chat.Button{ID: ID(c.ID, "show"), Label: "Manage"}
	}
	return Refused("This question has ended.", "It was answered, its time is up, or it was put to somebody else. Nothing was done.", back)
}

// AsPanel makes a panel of a private message, for a person who is in one.
func AsPanel(m chat.Message, title string) chat.Panel {
	return chat.Panel{ID: "notice", Title: title, Close: "Close", Tone: m.Tone, State: m.State, Blocks: m.Blocks}
}

// Advices lists all that are known; the first that fits counts.
func Advices() []Advice { return slices.Clone(advices) }
