package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Down is for a container that stopped without anybody's action.
func Down(c *inventory.Container, before *inventory.Container, at time.Time) chat.Message {
	facts := chat.Texts(facts(c)+" · seen stopped ", chat.At(at, chat.ClockSec))
	if before != nil && before.MemPct > 90 {
		facts = append(facts, chat.Texts(" · "+measure("MEM", before.MemPct)+" just before")...)
	}
	return chat.Message{
		Public: true, Tone: chat.Bad,
		Summary: fmt.Sprintf("Down: %s (%s) stopped by itself. Nobody asked for it.", c.DisplayName(), Spot(c)),
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(c.DisplayName()+" is down"), "\nIt stopped by itself; nobody asked for it.")},
			chat.Note{Text: facts},
			chat.Controls{ID: "actions", Buttons: []chat.Button{
				{ID: ID(c.ID, "start"), Label: "Start", Style: chat.Primary}, {ID: ID(c.ID, "show"), Label: "Manage"},
			}},
		},
	}
}

// ManyDown groups containers that stopped together.
func ManyDown(list []*inventory.Container, at time.Time) chat.Message {
	var all []string
	for _, c := range list {
		all = append(all, short(c.DisplayName()))
	}
	shown := strings.Join(all[:min(20, len(all))], " · ")
	if len(all) > 20 {
		shown += fmt.Sprintf(" … and %d more", len(all)-20)
	}
	head := fmt.Sprintf("%d containers are down", len(list))
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ": " + shown + ".",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\nThey stopped by themselves; nobody asked for it.")},
			chat.Para{Text: chat.Texts(shown)},
			chat.Note{Text: chat.Texts("seen stopped ", chat.At(at, chat.ClockSec))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: "board:more", Label: "See them"}}},
		},
	}
}

// Up resolves Down.
func Up(c *inventory.Container, since, at time.Time) chat.Message {
	return chat.Message{
		Public: true, Tone: chat.Good,
		Summary: fmt.Sprintf("Resolved: %s (%s) runs again. It was down for %s.", c.DisplayName(), Spot(c), Duration(at.Sub(since))),
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B("Resolved: "+c.DisplayName()+" runs again"), "\nIt was down for "+Duration(at.Sub(since))+".")},
			chat.Note{Text: chat.Texts(facts(c)+" · down ", chat.At(since, chat.Clock), " to ", chat.At(at, chat.Clock))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "show"), Label: "Manage"}, {ID: ID(c.ID, "events"), Label: "Events"}}},
		},
	}
}

// Unreachable is for a cluster or a node that does not answer.
func Unreachable(what, why string, lost int, at time.Time) chat.Message {
	rest := ""
	if lost > 0 {
		rest = fmt.Sprintf("\n%s on it unknown.", countIs(lost))
	}
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: what + " does not answer: " + why,
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(what+" does not answer"), rest)},
			chat.Note{Text: chat.Texts(why)},
			chat.Note{Text: chat.Texts("since ", chat.At(at, chat.ClockSec), " · one alert for all of it; it clears by itself")},
		},
	}
}

func countIs(n int) string {
	if n == 1 {
		return "1 container is"
	}
	return fmt.Sprintf("%d containers are", n)
}

// Reachable resolves Unreachable.
func Reachable(what string, since, at time.Time) chat.Message {
	return chat.Message{
		Public: true, Tone: chat.Good, Summary: fmt.Sprintf("Resolved: %s answers again. It was away for %s.", what, Duration(at.Sub(since))),
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B("Resolved: "+what+" answers again"), "\nIt was away for "+Duration(at.Sub(since))+".")},
			chat.Note{Text: chat.Texts("from ", chat.At(since, chat.ClockSec), " to ", chat.At(at, chat.ClockSec))},
		},
	}
}

// platforms are the platforms' own names.
var platforms = map[chat.PlatformName]string{chat.Slack: "Slack", chat.Discord: "Discord"}

// PlatformLost tells one platform of the other, which does not come back by
// itself.
func PlatformLost(name chat.PlatformName, why string, at time.Time) chat.Message {
	head := "pvechat is cut off from " + platforms[name]
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ": " + why + ". Correct the setting, then restart pvechat.",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\nBoards and buttons there stand still. Everything here goes on.")},
			chat.Note{Text: chat.Texts(why)},
			chat.Para{Text: chat.Texts("→ Correct the setting, then restart pvechat.")},
			chat.Note{Text: chat.Texts("since ", chat.At(at, chat.ClockSec))},
		},
	}
}

// PlatformBack resolves PlatformLost.
func PlatformBack(name chat.PlatformName, since, at time.Time) chat.Message {
	return chat.Message{
		Public: true, Tone: chat.Good, Summary: fmt.Sprintf("Resolved: %s works again. It was away for %s.", platforms[name], Duration(at.Sub(since))),
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B("Resolved: "+platforms[name]+" works again"), "\nIt was away for "+Duration(at.Sub(since))+".")},
			chat.Note{Text: chat.Texts("from ", chat.At(since, chat.ClockSec), " to ", chat.At(at, chat.ClockSec))},
		},
	}
}

// JobFailed tells the ops channel of an action that did not work.
func JobFailed(j jobs.Job) chat.Message {
	head := fmt.Sprintf("%s of %s failed", verbs[j.Action], j.Name)
	if j.State == jobs.Lost {
		head = fmt.Sprintf("%s of %s: outcome unknown", verbs[j.Action], j.Name)
	}
	place := fmt.Sprintf("CT %d · %s · %s", j.VMID, j.Node, j.Cluster)
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ": " + sentence(j.Error) + " " + place + ". id " + j.Request,
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\n"+sentence(j.Error))},
			chat.Note{Text: chat.Texts(place+" · asked by "+j.Person.Name+" · id ", chat.C(j.Request))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(j.Container, "show"), Label: "Manage"}, {ID: ID(j.Container, "events"), Label: "Events"}}},
		},
	}
}

// RulesRefused tells the ops channel that a file with new access rules was not
// taken.
func RulesRefused(why, version string, at time.Time) chat.Message {
	head := "The new access rules were not taken"
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ": " + sentence(why) + " The ones before stay in force.",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\nThe ones before stay in force.")},
			chat.Pre{Lines: strings.Split(why, "\n")},
			chat.Para{Text: chat.Texts("→ Correct the file, then send SIGHUP again.")},
			chat.Note{Text: chat.Texts("at ", chat.At(at, chat.ClockSec), " · rules ", chat.C(version))},
		},
	}
}

// RulesTaken resolves RulesRefused.
func RulesTaken(since, at time.Time) chat.Message {
	head := "Resolved: the access rules are right again"
	return chat.Message{
		Public: true, Tone: chat.Good, Summary: head + ".",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B(head))},
			chat.Note{Text: chat.Texts("not taken since ", chat.At(since, chat.ClockSec), ", taken ", chat.At(at, chat.ClockSec))},
		},
	}
}

// HostKeyChanged tells the ops channel that a container shows another host key
// than the one that is trusted.
func HostKeyChanged(c *inventory.Container, hostKey string, at time.Time) chat.Message {
	head := "The SSH host key of " + c.DisplayName() + " has changed"
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ". pvechat sends nothing to it until an admin has looked.",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\npvechat sends nothing to it: no services, logs or credentials are read until an admin has looked.")},
			chat.Para{Text: chat.Texts("→ Was its SSH server installed anew? Then an admin can trust the new key under Services. Otherwise find out who answers at its address.")},
			chat.Note{Text: chat.Texts(facts(c)+" · it shows ", chat.C(guest.Fingerprint(hostKey)), " · since ", chat.At(at, chat.ClockSec))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "services"), Label: "Services"}, {ID: ID(c.ID, "events"), Label: "Events"}}},
		},
	}
}

// HostKeyTrusted resolves HostKeyChanged.
func HostKeyTrusted(c *inventory.Container, since, at time.Time) chat.Message {
	return chat.Message{
		Public: true, Tone: chat.Good, Summary: "Resolved: the SSH host key of " + c.DisplayName() + " is trusted again.",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B("Resolved: the SSH host key of "+c.DisplayName()+" is trusted again"))},
			chat.Note{Text: chat.Texts(facts(c)+" · from ", chat.At(since, chat.Clock), " to ", chat.At(at, chat.Clock))},
		},
	}
}

// ServicesDown is for services that went down in a container that runs.
func ServicesDown(c *inventory.Container, down []services.Service, at time.Time) chat.Message {
	var list []string
	for _, v := range down {
		list = append(list, short(v.Name)+" "+string(v.State))
	}
	head := count(len(down), "service") + " down in " + c.DisplayName()
	return chat.Message{
		Public: true, Tone: chat.Bad, Summary: head + ": " + some(list, 5) + ".",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markBad+" ", chat.B(head), "\n"+some(list, 10))},
			chat.Note{Text: chat.Texts(facts(c)+" · seen ", chat.At(at, chat.ClockSec))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "services"), Label: "Services", Style: chat.Primary}, {ID: ID(c.ID, "show"), Label: "Manage"}}},
		},
	}
}

// ServicesUp resolves ServicesDown.
func ServicesUp(c *inventory.Container, since, at time.Time) chat.Message {
	head := "Resolved: the services of " + c.DisplayName() + " run again"
	return chat.Message{
		Public: true, Tone: chat.Good, Summary: head + ". Something was down for " + Duration(at.Sub(since)) + ".",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(markDone+" ", chat.B(head), "\nSomething was down for "+Duration(at.Sub(since))+".")},
			chat.Note{Text: chat.Texts(facts(c)+" · from ", chat.At(since, chat.Clock), " to ", chat.At(at, chat.Clock))},
			chat.Controls{ID: "actions", Buttons: []chat.Button{{ID: ID(c.ID, "services"), Label: "Services"}}},
		},
	}
}
