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

// Alert is what an ops channel is told of one thing that is wrong. It is kept
// while that lasts, so that its message can be brought up to date and resolved
// by whoever runs then.
type Alert struct {
	ID        string       // of the incident
	Container inventory.ID // "" where it is about none, or several
	Page      string       // what its second button opens: "events", "services"
	Start     bool         // starting it is the way out
	Warning   bool         // not as bad as an error

	Title string   // "jellyfin is down"
	Body  string   // "It stopped by itself; nobody asked for it."
	Names []string // containers that it is about, one line for each kind of them
	Lines []string // words of another system
	Do    string   // what to do, where no button does it
	Facts string   // "CT 108 · pve3"
	Self  bool     // it is one alert for many, and clears by itself

	End    string // its title once it is over: "jellyfin runs again"
	Lasted string // before how long it lasted: "It was down for"

	Since time.Time
	Times int       // how often it began; 0 and 1 are once
	Muted string    // "Muted until 15:30 by Ana"; "" where it is not
	Over  time.Time // zero while it lasts
	How   string    // how it ended: "Started by Ben."
}

// Key buttons of an alert.
func (a Alert) id(what string) string { return "alert:" + a.ID + ":" + what }

// Summary is the alert in a sentence.
func (a Alert) Summary() string {
	if !a.Over.IsZero() {
		return strings.TrimSpace("Resolved: " + sentence(a.End) + " " + a.lasted())
	}
	s := sentence(a.Title)
	for _, more := range []string{a.Body, strings.Join(a.Lines, " "), strings.Join(a.Names, ", "), a.Facts} {
		if more != "" {
			s += " " + sentence(more)
		}
	}
	return cut(s, 500)
}

func (a Alert) lasted() string {
	if a.Lasted == "" {
		return ""
	}
	return sentence(a.Lasted + " " + Duration(a.Over.Sub(a.Since)))
}

// Message is the alert as it stands.
func (a Alert) Message() chat.Message {
	m := chat.Message{Public: true, Tone: chat.Bad, Summary: a.Summary()}
	if !a.Over.IsZero() {
		return a.resolved(m)
	}
	mark := markBad
	if a.Warning {
		m.Tone, mark = chat.Warning, markWarn
	}
	head := chat.Texts(mark+" ", chat.B(a.Title))
	if a.Body != "" {
		head = append(head, chat.Texts("\n"+a.Body)...)
	}
	m.Blocks = append(m.Blocks, chat.Para{Text: head})
	if len(a.Names) > 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts(strings.Join(a.Names, "\n"))})
	}
	if len(a.Lines) > 0 {
		m.Blocks = append(m.Blocks, chat.Pre{Lines: a.Lines})
	}
	if a.Do != "" {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts("→ " + a.Do)})
	}
	if a.Facts != "" {
		m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(a.Facts)})
	}
	var b []chat.Button
	if a.Container != "" {
		if a.Start {
			b = append(b, chat.Button{ID: ID(a.Container, "start"), Label: "Start", Style: chat.Primary})
		}
		b = append(b, chat.Button{ID: ID(a.Container, "show"), Label: "Manage"})
		if a.Page != "" {
			b = append(b, chat.Button{ID: ID(a.Container, a.Page), Label: title(a.Page)})
		}
	} else if len(a.Names) > 0 {
		b = append(b, chat.Button{ID: a.id("list"), Label: "See them"})
	}
	if a.Muted == "" {
		b = append(b, chat.Button{ID: a.id("mute"), Label: "Mute 1 h"})
	} else {
		b = append(b, chat.Button{ID: a.id("unmute"), Label: "Unmute"})
	}
	m.Blocks = append(m.Blocks, chat.Controls{ID: "actions", Buttons: b})
	foot := chat.Texts("since ", chat.At(a.Since, chat.ClockSec))
	if a.Times > 1 {
		foot = append(foot, chat.Texts(fmt.Sprintf(" · %d times", a.Times))...)
	}
	if a.Self {
		foot = append(foot, chat.Texts(" · one alert for all of it; it clears by itself")...)
	}
	if a.Muted != "" {
		foot = append(foot, chat.Texts(" · "+a.Muted)...)
	}
	m.Blocks = append(m.Blocks, chat.Note{Text: foot})
	return m
}

func (a Alert) resolved(m chat.Message) chat.Message {
	m.Tone = chat.Good
	head := chat.Texts(markDone+" ", chat.B("Resolved: "+a.End))
	if rest := strings.TrimSpace(a.lasted() + " " + a.How); rest != "" {
		head = append(head, chat.Texts("\n"+rest)...)
	}
	facts := a.Facts
	if facts != "" {
		facts += " · "
	}
	m.Blocks = []chat.Block{
		chat.Para{Text: head},
		chat.Note{Text: chat.Texts(facts, chat.At(a.Since, chat.Clock), " to ", chat.At(a.Over, chat.Clock))},
	}
	if a.Container != "" {
		m.Blocks = append(m.Blocks, chat.Controls{ID: "actions", Buttons: []chat.Button{
			{ID: ID(a.Container, "show"), Label: "Manage"}, {ID: ID(a.Container, "events"), Label: "Events"},
		}})
	}
	return m
}

// Line is the one line that is said below the message when it is over.
func (a Alert) Line() chat.Message {
	return chat.Message{Public: true, Tone: chat.Good, Summary: a.Summary(), Blocks: []chat.Block{chat.Para{Text: chat.Texts(markDone + " " + a.Summary())}}}
}

// Down is for a container that stopped without anybody's action.
func Down(c, before *inventory.Container) Alert {
	f := facts(c)
	if before != nil && before.MemPct > 90 {
		f += " · " + measure("MEM", before.MemPct) + " just before"
	}
	return Alert{
		Container: c.ID, Start: true, Title: c.DisplayName() + " is down", Body: "It stopped by itself; nobody asked for it.", Facts: f,
		End: c.DisplayName() + " runs again", Lasted: "It was down for",
	}
}

// DownMany groups containers that stopped together. Those that are back are in
// total, but not in the list.
func DownMany(list []string, total int) Alert {
	a := Alert{
		Title: fmt.Sprintf("%d containers are down", len(list)), Body: "They stopped by themselves; nobody asked for it.",
		Names: []string{"⏹️ " + some(list, 20)}, Self: true, End: fmt.Sprintf("the %d containers that were down run again", total), Lasted: "The last was down for",
	}
	if back := total - len(list); back > 0 {
		a.Body += fmt.Sprintf(" %d of %d are back.", back, total)
	}
	return a
}

// Removed ends an alert of a container that is not there any more.
const Removed = "It was removed."

// NodeDown is for a node that does not answer, with what was on it.
func NodeDown(node, why string, running, stopped []string, fine int) Alert {
	a := Alert{
		Title: "Node " + node + " does not answer", Facts: why, Self: true,
		End: "Node " + node + " answers again", Lasted: "It was away for",
	}
	if n := len(running) + len(stopped); n > 0 {
		a.Body = fmt.Sprintf("%s on it unknown. The other %d are fine.", countIs(n), fine)
	}
	if len(running) > 0 {
		a.Names = append(a.Names, "❔ "+some(running, 12)+" were running")
	}
	if len(stopped) > 0 {
		a.Names = append(a.Names, "❔ "+some(stopped, 12)+" were stopped")
	}
	return a
}

// ClusterDown is for a cluster that does not answer.
func ClusterDown(cluster, why string) Alert {
	return Alert{
		Title: "Cluster " + cluster + " does not answer", Body: "What is shown of it is the last that was known.", Facts: why, Do: advice(why), Self: true,
		End: "Cluster " + cluster + " answers again", Lasted: "It was away for",
	}
}

func countIs(n int) string {
	if n == 1 {
		return "1 container is"
	}
	return fmt.Sprintf("%d containers are", n)
}

// Above is for a measure that has been above its threshold for a while.
func Above(c *inventory.Container, measure string, percent, limit int, since time.Duration) Alert {
	return Alert{
		Container: c.ID, Warning: true,
		Title: fmt.Sprintf("%s of %s is at %d%s%%", measure, c.DisplayName(), percent, nbsp),
		Body:  fmt.Sprintf("It has been above %d%s%% for %s.", limit, nbsp, Duration(since)), Facts: facts(c),
		End: measure + " of " + c.DisplayName() + " is below " + fmt.Sprintf("%d%s%%", limit, nbsp), Lasted: "It was above for",
	}
}

// JobFailed tells of an action that did not work.
func JobFailed(j jobs.Job) Alert {
	a := Alert{
		Container: j.Container, Page: "events", Title: verbs[j.Action] + " of " + j.Name + " failed", Body: sentence(j.Error),
		Facts: fmt.Sprintf("CT %d · %s · %s · asked by %s · id %s", j.VMID, j.Node, j.Cluster, j.Person.Name, j.Request),
		Lines: j.Tail, End: verbs[j.Action] + " of " + j.Name + " worked, or is not needed any more", Lasted: "It took",
	}
	if j.State == jobs.Lost {
		a.Title = verbs[j.Action] + " of " + j.Name + ": outcome unknown"
	}
	if j.Action == jobs.Start || j.Action == jobs.Restart {
		a.End = j.Name + " runs"
	}
	return a
}

// Failed names a job that failed, in a list: "start web".
func Failed(j jobs.Job) string { return strings.ToLower(verbs[j.Action]) + " " + short(j.Name) }

// JobsFailed groups actions that failed for one reason.
func JobsFailed(list []string, reason, cluster string) Alert {
	return Alert{
		Title: fmt.Sprintf("%d actions failed for one reason", len(list)), Body: sentence(reason), Names: []string{"❌ " + some(list, 12)}, Facts: cluster, Self: true,
		Do: advice(reason), End: "what had failed worked, or is not needed any more", Lasted: "It took",
	}
}

// Expires is for a certificate or token that ends soon, or has ended.
func Expires(what string, at, now time.Time) Alert {
	a := Alert{
		Warning: true, Title: what + " expires in " + Duration(at.Sub(now)), Body: "After that, Proxmox is out of reach.", Facts: "on " + at.UTC().Format("2 January 2006, 15:04 UTC"),
		Do: "Renew it, and put what is new into pvechat's configuration.", End: what + " is renewed",
	}
	if !at.After(now) {
		a.Warning, a.Title, a.Body = false, what+" has expired", ""
	}
	return a
}

// Drifted is for tables that are not as they should be.
func Drifted(how string) Alert {
	return Alert{
		Title: "The tables of pvechat's database differ", Body: "Creating and deleting are refused; everything else goes on.", Lines: strings.Split(how, "; "),
		Do: "Run pvechat migrate --repair.", End: "The tables are as they should be", Lasted: "They differed for",
	}
}

// platforms are the platforms' own names.
var platforms = map[chat.PlatformName]string{chat.Slack: "Slack", chat.Discord: "Discord"}

// PlatformLost tells one platform of the other. One that is lost for good does
// not come back by itself.
func PlatformLost(name chat.PlatformName, why string, forGood bool) Alert {
	a := Alert{
		Title: "pvechat is cut off from " + platforms[name], Body: "Boards and buttons there stand still. Everything here goes on.", Lines: []string{why},
		End: platforms[name] + " works again", Lasted: "It was away for",
	}
	if forGood {
		a.Do = "Correct the setting, then restart pvechat."
	}
	return a
}

// RulesRefused is for a file with new access rules that was not taken.
func RulesRefused(why, version string) Alert {
	return Alert{
		Title: "The new access rules were not taken", Body: "The ones before stay in force.", Lines: strings.Split(why, "\n"),
		Do: "Correct the file, then send SIGHUP again.", Facts: "rules " + version, End: "the access rules are right again", Lasted: "They were not taken for",
	}
}

// HostKeyChanged is for a container that shows another host key than the one
// that is trusted.
func HostKeyChanged(c *inventory.Container, hostKey string) Alert {
	return Alert{
		Container: c.ID, Page: "services", Title: "The SSH host key of " + c.DisplayName() + " has changed",
		Body:  "pvechat sends nothing to it: no services, logs or credentials are read until an admin has looked.",
		Do:    "Was its SSH server installed anew? Then an admin can trust the new key under Services. Otherwise find out who answers at its address.",
		Facts: facts(c) + " · it shows " + guest.Fingerprint(hostKey), End: "the SSH host key of " + c.DisplayName() + " is trusted again",
	}
}

// NodeKeyChanged is for a node that shows another host key than the one that is
// known, where containers are entered through it.
func NodeKeyChanged(cluster, node string) Alert {
	return Alert{
		Title: "The SSH host key of node " + node + " has changed",
		Body:  "pvechat enters no container through it: no services, logs or credentials are read there until an admin has looked.",
		Do:    "Was its SSH server installed anew? Then correct the known hosts file. Otherwise find out who answers at its address.",
		Facts: cluster, End: "the SSH host key of node " + node + " is known again", Lasted: "It was another for",
	}
}

// ServicesDown is for services that went down in a container that runs.
func ServicesDown(c *inventory.Container, down []services.Service) Alert {
	var list []string
	for _, v := range down {
		list = append(list, short(v.Name)+" "+string(v.State))
	}
	return Alert{
		Container: c.ID, Page: "services", Title: count(len(down), "service") + " down in " + c.DisplayName(), Body: some(list, 10), Facts: facts(c),
		End: "the services of " + c.DisplayName() + " run again", Lasted: "Something was down for",
	}
}

// Muting answers whoever muted an alert, and offers the other ways to.
func Muting(a Alert, words string) chat.Message {
	return chat.Message{
		Summary: a.Title + ": " + words + ".",
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts("🔕 ", chat.B(a.Title), "\n"+sentence(words)+" Nothing new is said of it until then; its message is kept up to date.")},
			chat.Controls{ID: "actions", Buttons: []chat.Button{
				{ID: a.id("mute-hour"), Label: "1 h"}, {ID: a.id("mute-back"), Label: "Until it is back"}, {ID: a.id("mute-ever"), Label: "For ever"}, {ID: a.id("unmute"), Label: "Unmute"},
			}},
		},
	}
}

// Unmuted answers whoever takes a mute back.
func Unmuted(a Alert) chat.Message {
	return Refused(a.Title, "It is told again, also the next time.")
}

// AlertGone is for a button of an alert that is over, or known no more.
func AlertGone() chat.Message {
	return Refused("This alert is over.", "Nothing was changed.", chat.Button{ID: "board:open", Label: "Open the board"})
}

// Alerts lists what is wrong now, and what is muted without being wrong.
func Alerts(open, muted []Alert) chat.Message {
	m := chat.Message{Tone: chat.Neutral, Summary: fmt.Sprintf("%s open, %d more muted.", count(len(open), "alert"), len(muted))}
	m.Blocks = append(m.Blocks, chat.Heading{Text: "Alerts"})
	if len(open) == 0 {
		m.Blocks = append(m.Blocks, chat.Para{Text: chat.Texts("Nothing is wrong that pvechat knows of.")})
	}
	const most = 8
	all := append(open[:len(open):len(open)], muted...)
	for _, a := range all[:min(most, len(all))] {
		b := chat.Button{ID: a.id("mute"), Label: "Mute 1 h"}
		var note chat.Text
		if !a.Since.IsZero() {
			note = chat.Texts("since ", chat.At(a.Since, chat.ClockSec))
		}
		if a.Muted != "" {
			b = chat.Button{ID: a.id("unmute"), Label: "Unmute"}
			if len(note) > 0 {
				note = append(note, chat.Texts(" · ")...)
			}
			note = append(note, chat.Texts(a.Muted)...)
		}
		m.Blocks = append(m.Blocks, chat.Item{Text: chat.Texts(chat.B(a.Title)), Note: note, Button: &b})
	}
	if n := len(all) - most; n > 0 {
		m.Blocks = append(m.Blocks, chat.Note{Text: chat.Texts(fmt.Sprintf("… and %d more", n))})
	}
	return m
}
