package view

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Services is the tab of what runs inside a container.
type Services struct {
	Report   *services.Report // nil: nothing is known
	Scanning bool             // somebody looks right now
	Reach    bool             // pvechat can enter containers of this cluster at all
	Show     string           // ShowServices, ShowAll or ShowSystem
}

// What the tab shows.
const (
	ShowServices = "all"
	ShowAll      = "every" // one line each
	ShowSystem   = "sys"
)

var serviceMarks = map[guest.ServiceState]string{
	guest.ServiceRunning: "🟢", guest.ServiceStarting: markBusy, guest.ServiceFailed: markBad, guest.ServiceStopped: "⏹️",
}

// serviceDots are the services of a row: "SVC ●●○". Before a look there is a dash.
func serviceDots(r *services.Report) string {
	const none = "SVC" + nbsp
	label := none
	up, total := r.Count()
	switch {
	case !r.Known() || total == 0:
		return none + dash
	case r.Problem != "":
		label += "was" + nbsp
	}
	if total > 5 {
		return label + fmt.Sprintf("%d/%d", up, total)
	}
	return label + strings.Repeat("●", up) + strings.Repeat("○", total-up)
}

// tabServices is the tab's label: "Services 2/3".
func tabServices(r *services.Report) string {
	if up, total := r.Count(); r.Known() && total > 0 {
		return fmt.Sprintf("Services %d/%d", up, total)
	}
	return "Services"
}

// split is what a list shows one by one, what only the container itself
// reaches and nobody manages, and what is the operating system's.
func split(r *services.Report) (own, inside, system []services.Service) {
	for _, s := range r.Services {
		switch {
		case s.System:
			system = append(system, s)
		case s.Inside():
			inside = append(inside, s)
		default:
			own = append(own, s)
		}
	}
	return own, inside, system
}

func (d Detail) services() []chat.Block {
	s, r, id := d.Services, d.Services.Report, d.Container.ID
	var blocks []chat.Block
	if problem := d.noScan(); !problem.Empty() {
		blocks = append(blocks, chat.Para{Text: problem})
	}
	if b := d.hostKeyButton(); b != nil {
		blocks = append(blocks, chat.Controls{ID: "hostkey", Buttons: []chat.Button{*b}})
	}
	if r.Known() {
		blocks = append(blocks, d.found()...)
	}
	if d.Space.ControlsFirst {
		blocks = append(blocks, chat.Divider{})
	}
	if logs := d.logsSelect(); logs != nil {
		blocks = append(blocks, chat.Controls{ID: "logs", Select: logs})
	}
	scan := chat.Button{ID: ID(id, "scan"), Label: "Refresh services"}
	switch {
	case !s.Reach:
		scan.Off, scan.Why = true, "pvechat has no SSH access to cluster "+d.Container.Cluster
	case s.Scanning:
		scan.Off, scan.Why = true, "it is being checked"
	case d.Container.State != inventory.Running:
		scan.Off, scan.Why = true, "it is not running"
	}
	cred := chat.Button{ID: ID(id, "cred"), Label: "Show credentials"}
	if reason := d.noCredentials(); reason != "" {
		cred.Off, cred.Why = true, reason
	}
	blocks = append(blocks, chat.Controls{ID: "actions", Buttons: []chat.Button{scan, cred}})
	return append(blocks, chat.Note{Text: d.checked()})
}

// checked says how old the list is.
func (d Detail) checked() chat.Text {
	r := d.Services.Report
	switch {
	case d.Services.Scanning:
		return chat.Texts(markBusy + " Checking over SSH…")
	case !r.Known():
		return chat.Texts("Not checked yet")
	}
	t := append(chat.Texts("Checked "), d.ago(r.CheckedAt)...)
	if d.Space.ControlsFirst {
		t = chat.Texts("Checked ", chat.At(r.CheckedAt, chat.ClockSec), " (", d.ago(r.CheckedAt), ")")
	}
	return append(t, chat.Texts(", over SSH · takes about "+Duration(max(r.Took, time.Second).Round(time.Second)))...)
}

// ago says how long something is past: by itself where the platform counts,
// else in words, which a panel that is edited while it is open can afford.
func (d Detail) ago(at time.Time) chat.Text {
	past := d.Now.Sub(at).Truncate(time.Minute)
	switch {
	case !d.Space.ControlsFirst:
		return chat.Texts(chat.At(at, chat.Age))
	case past < time.Minute:
		return chat.Texts("just now")
	case past > time.Hour:
		past = past.Truncate(time.Hour)
	}
	return chat.Texts(Duration(past) + " ago")
}

// noScan says why the list is not of now; empty where it is.
func (d Detail) noScan() chat.Text {
	c, r := d.Container, d.Services.Report
	tail := " Its services are not known."
	if r.Known() {
		tail = " This is the last known list."
	}
	switch {
	case !d.Services.Reach:
		return chat.Texts(markWarn+" ", chat.B("It cannot be looked into."), " pvechat has no SSH access to cluster "+c.Cluster+"."+tail+"\n→ An admin can set clusters[].ssh.")
	case c.State != inventory.Running:
		return chat.Texts("It is not running." + tail)
	case r == nil && d.Services.Scanning:
		return chat.Texts("Its services are being looked at for the first time.")
	case r == nil:
		return chat.Texts("Nobody has looked into it yet. Its services are not known.")
	case r.Problem == "":
		return nil
	}
	why, do := GuestTrouble(r.Problem)
	t := chat.Texts(markWarn+" ", chat.B("It could not be looked into"), " at ", chat.At(r.TriedAt, chat.Clock), ". "+why+"."+tail)
	if r.HostKey != "" {
		t = append(t, chat.Texts("\nIt shows ", chat.C(guest.Fingerprint(r.HostKey)), ".")...)
	}
	return append(t, chat.Texts("\n→ "+do)...)
}

// hostKeyButton asks an admin whether the key that was shown is the right one.
func (d Detail) hostKeyButton() *chat.Button {
	r := d.Services.Report
	if r == nil || r.HostKey == "" || d.Container.State != inventory.Running {
		return nil
	}
	b := &chat.Button{ID: ID(d.Container.ID, "hostkey"), Label: "Trust its host key…"}
	if d.May != nil && !d.May(access.Admin) {
		b.Off, b.Why = true, "it needs the "+string(access.NeededRole(access.Admin))+" role"
	}
	return b
}

// found lists what was seen.
func (d Detail) found() []chat.Block {
	s, r := d.Services, d.Services.Report
	own, inside, system := split(r)
	back := chat.Button{ID: ID(d.Container.ID, "tab:"+TabServices), Label: "Show less"}
	switch s.Show {
	case ShowAll:
		return []chat.Block{lines(own), chat.Controls{ID: "less", Buttons: []chat.Button{back}}}
	case ShowSystem:
		return []chat.Block{lines(system), chat.Controls{ID: "less", Buttons: []chat.Button{back}}}
	}
	var blocks []chat.Block
	most := 6
	if d.Space.ControlsFirst {
		most = 20
	}
	if len(own) == 0 {
		blocks = append(blocks, chat.Para{Text: chat.Texts("No services of its own were found.")})
	}
	for i, v := range own[:min(most, len(own))] {
		it := chat.Item{Text: d.serviceText(v), Note: serviceNote(v)}
		if url := WebURL(v, r.Addrs); url != "" {
			it.Button = &chat.Button{ID: ID(d.Container.ID, "web:"+strconv.Itoa(i)), Label: "Open Web UI", URL: url}
		}
		blocks = append(blocks, it)
	}
	if n := len(own) - most; n > 0 {
		blocks = append(blocks, chat.Item{Text: chat.Texts(fmt.Sprintf("… and %d more", n)), Button: &chat.Button{ID: ID(d.Container.ID, "tab:"+TabServices+":"+ShowAll), Label: "Show all"}})
	}
	if len(inside) > 0 {
		var list []string
		for _, v := range inside {
			list = append(list, v.Name+" on "+v.Ports[0].AddrPort().String())
		}
		blocks = append(blocks, chat.Note{Text: chat.Texts("Loopback only, so no link: " + some(list, 5))})
	}
	if len(system) > 0 {
		blocks = append(blocks, chat.Item{
			Text:   chat.Texts(chat.B("System services"), " · "+systemSummary(system)),
			Button: &chat.Button{ID: ID(d.Container.ID, "tab:"+TabServices+":"+ShowSystem), Label: "Show " + strconv.Itoa(len(system))},
		})
	}
	if lacks := lacking(r); lacks != "" {
		blocks = append(blocks, chat.Note{Text: chat.Texts(lacks)})
	}
	return blocks
}

func systemSummary(list []services.Service) string {
	var down []string
	for _, v := range list {
		if !v.Up() {
			down = append(down, v.Name+" "+string(v.State))
		}
	}
	if len(down) == 0 {
		return fmt.Sprintf("%d, all running", len(list))
	}
	return fmt.Sprintf("%d: %s", len(list), some(down, 3))
}

// some joins at most n of a list, and counts the rest.
func some(list []string, n int) string {
	if len(list) <= n {
		return strings.Join(list, ", ")
	}
	return strings.Join(list[:n], ", ") + fmt.Sprintf(" … and %d more", len(list)-n)
}

// lines are services in one line each.
func lines(list []services.Service) chat.Block {
	const most = 40
	var t chat.Text
	for i, v := range list[:min(most, len(list))] {
		if i > 0 {
			t = append(t, chat.Texts("\n")...)
		}
		t = append(t, chat.Texts(serviceMarks[v.State]+" "+v.Name+"  "+string(v.State))...)
		if ports := portsText(v); ports != "" {
			t = append(t, chat.Texts(" · "+ports)...)
		}
	}
	if n := len(list) - most; n > 0 {
		t = append(t, chat.Texts(fmt.Sprintf("\n… and %d more", n))...)
	}
	return chat.Para{Text: t}
}

func (d Detail) serviceText(v services.Service) chat.Text {
	t := chat.Texts(serviceMarks[v.State]+" ", chat.B(short(v.Name)), "  "+string(v.State))
	switch {
	case !v.GoneAt.IsZero():
		t = append(t, chat.Texts(" · last seen ", d.ago(v.GoneAt))...)
	case !v.Since.IsZero() && v.State != guest.ServiceRunning:
		t = append(t, chat.Texts(" ", d.ago(v.Since))...)
	}
	return t
}

// serviceNote is what manages a service, and where it listens.
func serviceNote(v services.Service) chat.Text {
	var t chat.Text
	switch v.Kind {
	case guest.Docker, guest.Podman:
		t = chat.Texts(string(v.Kind) + " container")
	case guest.Process:
		t = chat.Texts("process")
	case guest.OpenRC:
		t = chat.Texts("OpenRC service")
	default:
		t = chat.Texts(chat.C(v.Unit))
	}
	if ports := portsText(v); ports != "" {
		t = append(t, chat.Texts(" · "+ports)...)
	}
	return t
}

// portsText is where a service listens: "ports 80, 443", and who reaches that
// where not everybody does.
func portsText(v services.Service) string {
	var open, six, loop []string
	add := func(list *[]string, p guest.Port) {
		if number := strconv.Itoa(int(p.Port)); !slices.Contains(*list, number) {
			*list = append(*list, number)
		}
	}
	wide := map[uint16]bool{}
	for _, p := range v.Ports {
		wide[p.Port] = wide[p.Port] || !p.Loopback() && !onlySix(p)
	}
	for _, p := range v.Ports {
		switch {
		case wide[p.Port]:
			add(&open, p)
		case p.Loopback():
			add(&loop, p)
		default:
			add(&six, p)
		}
	}
	was := ""
	if !v.Up() && v.State != guest.ServiceStarting {
		was = "was on "
	}
	var parts []string
	for _, group := range []struct {
		list []string
		note string
	}{{open, ""}, {six, " (IPv6 only)"}, {loop, " (loopback only)"}} {
		switch len(group.list) {
		case 0:
		case 1:
			parts = append(parts, "port "+group.list[0]+group.note)
		default:
			parts = append(parts, "ports "+some(group.list, 8)+group.note)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return was + strings.Join(parts, ", ")
}

func onlySix(p guest.Port) bool { return p.Web6 || p.Addr.Is6() && !p.Addr.IsUnspecified() }

// WebURL is where a browser reaches a service, HTTPS first; empty where none
// does. It is made of an address and a port alone.
func WebURL(v services.Service, addrs []netip.Addr) string {
	if !v.Up() {
		return ""
	}
	best := ""
	for _, p := range v.Ports {
		host, ok := reachable(p, addrs)
		if p.Web == "" || !ok || best != "" && p.Web == "http" || strings.HasPrefix(best, "https") {
			continue
		}
		place := netip.AddrPortFrom(host, p.Port).String()
		if p.Web == "http" && p.Port == 80 || p.Web == "https" && p.Port == 443 {
			place = strings.TrimSuffix(place, ":"+strconv.Itoa(int(p.Port)))
		}
		best = p.Web + "://" + place + "/"
	}
	return best
}

// reachable is the address of the container at which others find a port.
func reachable(p guest.Port, addrs []netip.Addr) (netip.Addr, bool) {
	for _, a := range addrs {
		switch {
		case p.Addr == a:
			return a, true
		case p.Addr.IsUnspecified() && a.Is6() == p.Web6:
			return a, true
		}
	}
	return netip.Addr{}, false
}

// WebUI is the page that a row's menu opens: that of the first service that has
// one.
func WebUI(r *services.Report) (name, url string) {
	if !r.Known() || r.Problem != "" {
		return "", ""
	}
	for _, v := range r.Services {
		if url := WebURL(v, r.Addrs); url != "" && !v.System {
			return short(v.Name), url
		}
	}
	return "", ""
}

// lacking says what could not be found out.
func lacking(r *services.Report) string {
	var list []string
	for _, l := range []struct{ what, words string }{
		{guest.LacksInit, "Neither systemd nor OpenRC runs in it: only what listens is shown."},
		{guest.LacksSockets, "Its open ports could not be read."},
		{guest.LacksWeb, "There is no curl, wget or bash in it: which ports have a web page is not known."},
		{guest.LacksWebs, "It has many ports: not all were asked for a web page."},
		{guest.LacksDocker, "Docker is there, and does not answer."},
		{guest.LacksPodman, "Podman is there, and does not answer."},
	} {
		if slices.Contains(r.Missing, l.what) {
			list = append(list, l.words)
		}
	}
	if r.More > 0 {
		list = append(list, fmt.Sprintf("%s more are not kept.", count(r.More, "service")))
	}
	return strings.Join(list, " ")
}

// logsSelect offers the log of each service.
func (d Detail) logsSelect() *chat.Select {
	r := d.Services.Report
	if !r.Known() || d.Container.State != inventory.Running || !d.Services.Reach || d.May != nil && !d.May(access.Operate) {
		return nil
	}
	own, _, system := split(r)
	sel := &chat.Select{ID: ID(d.Container.ID, "logs"), Placeholder: "Logs of a service…"}
	for _, v := range append(own, system...) {
		if v.Kind == guest.Process || len(sel.Options) == 25 {
			continue
		}
		sel.Options = append(sel.Options, chat.Choosable{Mark: serviceMarks[v.State], Label: v.Name, Note: string(v.State), Value: "log:" + ServiceID(v)})
	}
	if len(sel.Options) == 0 {
		return nil
	}
	return sel
}

// ServiceID names a service in a control, which has no room for its name.
func ServiceID(v services.Service) string {
	h := fnv.New64a()
	h.Write([]byte(v.Key()))
	return strconv.FormatUint(h.Sum64(), 36)
}

// Logs shows the last lines of a service.
func Logs(c *inventory.Container, v services.Service, lines []string, now time.Time) chat.Panel {
	p := chat.Panel{ID: "logs", Title: "Logs", Close: "Close", Tone: chat.Quiet, Blocks: []chat.Block{
		chat.Heading{Text: "Logs · " + v.Name, Below: chat.Texts(c.DisplayName() + " · " + facts(c))},
	}}
	if len(lines) == 0 {
		p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts("It has written nothing.")})
	} else {
		p.Blocks = append(p.Blocks, chat.Pre{Lines: lines})
	}
	return withBack(p, c, chat.Button{ID: ID(c.ID, "logs:"+ServiceID(v)), Label: "Refresh now"}, chat.Texts(
		markLock+" Only you see this. The last "+count(len(lines), "line")+", read ", chat.At(now, chat.ClockSec), ". What looks like a secret is left out."))
}

// NoLogs says why there are no lines to show.
func NoLogs(c *inventory.Container, v services.Service, kind guest.Kind, request string) chat.Panel {
	why, do := GuestTrouble(kind)
	p := chat.Panel{ID: "logs", Title: "Logs", Close: "Close", Tone: chat.Bad, Blocks: []chat.Block{
		chat.Para{Text: chat.Texts(markBad+" ", chat.B("Could not read the log of "+short(v.Name)), "\n"+why+". Nothing was shown.")},
		chat.Para{Text: chat.Texts("→ " + do)},
	}}
	return withBack(p, c, chat.Button{ID: ID(c.ID, "logs:"+ServiceID(v)), Label: "Try again"}, chat.Texts("id ", chat.C(request), ", for your admin"))
}

// TrustHostKey asks an admin whether a host key is the container's own.
func TrustHostKey(c *inventory.Container, hostKey, token string, changed bool) chat.Panel {
	kind, _, _ := strings.Cut(hostKey, " ")
	p := chat.Panel{ID: "hostkey", Title: "Trust host key", Close: "Close", Tone: chat.Warning, Blocks: []chat.Block{
		chat.Heading{Text: "Trust the host key of " + c.DisplayName() + "?", Below: chat.Texts(facts(c))},
	}}
	trust := chat.Button{ID: ID(c.ID, "trust:"+token), Label: "Trust this key", Style: chat.Primary}
	if changed {
		p.Tone, trust.Style = chat.Bad, chat.Danger
		p.Blocks = append(p.Blocks, chat.Para{Text: chat.Texts(markWarn+" ", chat.B("It is another key than the one that was trusted."),
			" That is so after a new installation of its SSH server; it is also so where somebody stands in between. Find out which before you go on.")})
	}
	p.Blocks = append(p.Blocks,
		chat.Fields{{Label: "Kind", Value: chat.Texts(kind)}, {Label: "Fingerprint", Value: chat.Texts(chat.C(guest.Fingerprint(hostKey)))}},
		chat.Para{Text: chat.Texts("Compare it with what this prints inside the container:\n", chat.C("for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done"))},
	)
	return withBack(p, c, trust, chat.Texts("From then on only this key is accepted from it, at whatever address."))
}

// withBack ends a panel that was opened from the Services tab.
func withBack(p chat.Panel, c *inventory.Container, b chat.Button, note chat.Text) chat.Panel {
	p.Blocks = append(p.Blocks,
		chat.Controls{ID: "actions", Buttons: []chat.Button{b, {ID: ID(c.ID, "tab:"+TabServices), Label: "Back to services"}}},
		chat.Note{Text: note},
	)
	return p
}

// HostKeyGone says that there is no key to trust (any more).
func HostKeyGone() chat.Message {
	return Refused("This key is not the one that it shows now.", "Nothing was trusted. Refresh its services and look again.")
}

// GuestTrouble says in words why a guest could not be looked into, and what to
// do.
func GuestTrouble(kind guest.Kind) (why, do string) {
	if of, node := kind.CutNode(); node {
		return nodeTrouble(of)
	}
	switch kind {
	case guest.NoAddress:
		return "It has no address that can be reached", "Look at its network in Overview."
	case guest.NoRoute:
		return "There is no route to it", "Look at its network, and at pvechat's."
	case guest.Refused:
		return "It refuses SSH connections", "Start sshd in it, or look at ssh.port in the configuration."
	case guest.Timeout:
		return "It did not answer over SSH in time", "Try again in a minute."
	case guest.Auth:
		return "It does not accept pvechat's SSH key", "Add pvechat's public key to its authorized_keys."
	case guest.DNS:
		return "Its name could not be resolved", "Look at the name server."
	case guest.Broken:
		return "The SSH connection broke off", "Try again; if it stays, look at sshd in it."
	case guest.HostKeyUnknown:
		return "Its SSH host key is not known", "An admin can trust it here, or add it to the known hosts file."
	case guest.HostKeyChanged:
		return "Its SSH host key has changed, so nothing was sent to it", "An admin has to find out why before anything else."
	case guest.Scope:
		return "Its node lets pvechat into other containers only", "An admin can give it the tag or pool that pvechat-guest was set up with."
	case guest.NotHere:
		return "It does not run on the node where Proxmox says that it is", "Try again in a minute; it may be moving."
	case guest.NoCredentials:
		return "There are none for this in /etc/pvechat/credentials", "Look at the service's name; without one, all are shown."
	case guest.BadCredentials:
		return "What lies in /etc/pvechat/credentials cannot be read", "See docs/credentials.md for the form."
	case guest.NoLogs:
		return "Nothing in it keeps the lines of this service", "Look inside the container."
	}
	return "It answered something that pvechat does not understand", "Give the id to your admin."
}

// nodeTrouble is GuestTrouble where containers are entered through their nodes,
// and that is as far as it got.
func nodeTrouble(kind guest.Kind) (why, do string) {
	switch kind {
	case guest.DNS:
		return "The name of its node could not be resolved", "An admin can set the node's address in clusters[].ssh.nodes."
	case guest.NoRoute:
		return "There is no route to its node", "Look at the node's network, and at pvechat's."
	case guest.Refused:
		return "Its node refuses SSH connections", "Start sshd on the node, or look at ssh.port in the configuration."
	case guest.Timeout:
		return "Its node did not answer over SSH in time", "Try again in a minute."
	case guest.Auth:
		return "Its node does not accept pvechat's SSH key", "An admin can add the key there, as docs/security.md shows."
	case guest.HostKeyUnknown:
		return "The SSH host key of its node is not known", "An admin can add it to the known hosts file."
	case guest.HostKeyChanged:
		return "The SSH host key of its node has changed, so nothing was sent there", "An admin has to find out why before anything else."
	}
	return "The SSH connection to its node broke off", "Try again; if it stays, look at sshd on the node."
}
