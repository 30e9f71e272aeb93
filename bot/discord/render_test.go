package discord

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
)

// 14:32:05 UTC on 23 Nov 2026, at which all screens are drawn.
var drawn = time.Unix(1795444325, 0).UTC()

// screen reads a payload of the shared screens: its message or modal data.
func screen(t *testing.T, name string) any {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "screens", "discord", name+".json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the shared screens are not here: %v", err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	if data, ok := body["data"]; ok {
		return data
	}
	return body
}

func onWire(t *testing.T, s chat.Surface) any {
	t.Helper()
	raw, err := Render(s)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var (
	counts = chat.Texts(chat.B("24"), " total · 🟢\u00a0", chat.B("17"), "\u00a0running · ⏹️\u00a0", chat.B("4"),
		"\u00a0stopped · ❌\u00a0", chat.B("1"), "\u00a0error · ❔\u00a0", chat.B("1"), "\u00a0unknown · 🛠️\u00a0", chat.B("1"), "\u00a0creating")

	boardButtons = []chat.Button{
		{ID: "board:refresh", Label: "Refresh now"},
		{ID: "create:open", Label: "Create container", Style: chat.Positive},
	}
	long = "staging-eu-west-customer-portal-with-a-very-long-host-name-0001"
)

func manage(id string) *chat.Button { return &chat.Button{ID: "ct:" + id + ":show", Label: "Manage"} }

func measures(cpu, mem, disk string) chat.Text {
	return chat.Texts("CPU\u00a0" + cpu + " · MEM\u00a0" + mem + " · DISK\u00a0" + disk)
}

func runningRow(id, name, where, dots, cpu, mem, disk string) chat.Row {
	return chat.Row{
		ID: id, Mark: "🟢", Name: name, Word: "running", Where: where, Dots: "SVC\u00a0" + dots,
		Facts: measures(cpu, mem, disk), Button: manage(id),
	}
}

func stoppedRow(id, name, where string) chat.Row {
	return chat.Row{
		ID: id, Mark: "⏹️", Name: name, Word: "stopped", Where: where, Facts: measures("–", "–", "–"),
		Button: &chat.Button{ID: "ct:" + id + ":start", Label: "Start"},
	}
}

func filter(placeholder, selected string, n ...string) *chat.Select {
	s := &chat.Select{ID: "board:filter", Placeholder: placeholder, Selected: selected}
	for i, o := range []chat.Choosable{
		{Mark: "📋", Label: "All", Value: "filter:all"},
		{Mark: "🟢", Label: "Running", Value: "filter:running"},
		{Mark: "⏹️", Label: "Stopped", Value: "filter:stopped"},
		{Mark: "❌", Label: "Error", Value: "filter:error"},
		{Mark: "❔", Label: "Unknown", Value: "filter:unknown"},
		{Mark: "🛠️", Label: "Creating", Value: "filter:creating"},
	} {
		o.Label += " — " + n[i]
		s.Options = append(s.Options, o)
	}
	return s
}

func jump(rows ...[5]string) chat.Jump {
	j := chat.Jump{Select: chat.Select{ID: "board:jump", Placeholder: "Jump to a container…"}}
	for _, r := range rows {
		j.Options = append(j.Options, chat.Choosable{Mark: r[0], Label: r[1], Note: r[2] + " · " + r[3], Value: "ct:" + r[4]})
	}
	return j
}

func tabs(open int) chat.Controls {
	c := chat.Controls{ID: "tabs", Buttons: []chat.Button{
		{ID: "ct:t8v4b:tab:overview", Label: "Overview"},
		{ID: "ct:t8v4b:tab:services", Label: "Services 2/3"},
		{ID: "ct:t8v4b:tab:events", Label: "Events"},
	}}
	c.Buttons[open].Active = true
	return c
}

var (
	jellyfin = &chat.Lead{Mark: "🟢", Name: "jellyfin", Word: "running", Facts: chat.Texts("CT 108 · pve3 · up\u00a012\u00a0min")}
	live     = chat.Note{Text: chat.Texts("Updated ", chat.At(drawn, chat.ClockSec), " · live until ", chat.At(drawn.Add(14*time.Minute), chat.Clock), ", then reopen")}
	ends     = chat.Note{Text: chat.Texts("This question ends ", chat.At(drawn.Add(time.Minute), chat.Age))}
	refresh  = chat.Button{ID: "ct:t8v4b:refresh", Label: "Refresh now"}
)

func failure(what, why, who string, at int64, n string) chat.Item {
	return chat.Item{
		Text:   chat.Texts("❌ ", chat.B(what), ": "+why),
		Note:   chat.Texts(who+" · ", chat.At(time.Unix(at, 0), chat.Age)),
		Button: &chat.Button{ID: "ct:t8v4b:ev:k" + n, Label: "Details"},
	}
}

// The screens as the surfaces that must become them.
var screens = map[string]chat.Surface{
	"01-board": chat.Message{Public: true, Tone: chat.Bad, Blocks: []chat.Block{
		chat.Heading{Text: "Containers · home", Below: counts},
		chat.Note{Text: chat.Texts("🟥 Over 90\u00a0%: photoprism disk 93\u00a0% · influxdb memory 91\u00a0%")},
		chat.Divider{},
		chat.Row{ID: "q8m4d", Mark: "❌", Name: "mail", Word: "error", Where: "117 · pve2", Facts: chat.Texts("start failed 6\u00a0min ago · CT is locked (backup)"), Button: manage("q8m4d")},
		chat.Row{ID: "x2c7p", Mark: "❔", Name: "CT\u00a0118", Word: "unknown", Where: "pve2", Facts: chat.Texts("pve2 reports no data for it"), Button: manage("x2c7p")},
		chat.Row{ID: "h5n9k", Mark: "🛠️", Name: "forgejo", Word: "creating", Where: "125 · pve1", Facts: chat.Texts("▰▰▰▰▰▰▱▱▱▱ 62\u00a0% · installing Forgejo"), Button: &chat.Button{ID: "ct:h5n9k:progress", Label: "Progress"}},
		runningRow("7f3k2", "adguard", "101 · pve1", "●●", "▁\u00a04\u00a0%", "▄\u00a038\u00a0%", "▃\u00a021\u00a0%"),
		runningRow("b6t8r", "authelia", "102 · pve1", "●", "▁\u00a01\u00a0%", "▃\u00a022\u00a0%", "▄\u00a034\u00a0%"),
		runningRow("d9w3v", "caddy", "103 · pve2", "●", "▁\u00a02\u00a0%", "▂\u00a017\u00a0%", "▂\u00a018\u00a0%"),
		runningRow("k4j6s", "grafana", "104 · pve2", "●●", "▁\u00a09\u00a0%", "▅\u00a044\u00a0%", "▅\u00a047\u00a0%"),
		runningRow("m7x2q", "home-assistant", "105 · pve1", "●●●", "▃\u00a023\u00a0%", "🟨\u00a071\u00a0%", "▆\u00a058\u00a0%"),
		chat.Divider{},
		jump(
			[5]string{"⏹️", "*x*@everyone<!channel>`", "stopped", "122 · pve1", "a2s6f"},
			[5]string{"🟢", "adguard", "running", "101 · pve1", "7f3k2"},
			[5]string{"🟢", "authelia", "running", "102 · pve1", "b6t8r"},
			[5]string{"🟢", "caddy", "running", "103 · pve2", "d9w3v"},
			[5]string{"❔", "CT\u00a0118", "unknown", "118 · pve2", "x2c7p"},
			[5]string{"⏹️", "dev-sandbox", "stopped", "121 · pve3", "e7r9l"},
			[5]string{"🛠️", "forgejo", "creating", "125 · pve1", "h5n9k"},
			[5]string{"🟢", "grafana", "running", "104 · pve2", "k4j6s"},
			[5]string{"🟢", "home-assistant", "running", "105 · pve1", "m7x2q"},
			[5]string{"🟢", "immich", "running", "106 · pve3", "p3z8n"},
			[5]string{"🟢", "influxdb", "running", "107 · pve2", "r5c1h"},
			[5]string{"🟢", "jellyfin", "running", "108 · pve3", "t8v4b"},
			[5]string{"❌", "mail", "error", "117 · pve2", "q8m4d"},
			[5]string{"⏹️", "minecraft", "stopped", "120 · pve3", "g4p8y"},
			[5]string{"🟢", "nextcloud", "running", "109 · pve1", "w2y6g"},
			[5]string{"🟢", "paperless", "running", "110 · pve2", "z4b8m"},
			[5]string{"🟢", "photoprism", "running", "111 · pve3", "c7g2x"},
			[5]string{"🟢", "postgres", "running", "112 · pve1", "f9k5t"},
			[5]string{"🟢", "prometheus", "running", "113 · pve2", "j3n7w"},
			[5]string{"⏹️", long, "stopped", "123 · pve2", "u6f2d"},
			[5]string{"🟢", "traefik", "running", "114 · pve1", "n6q1z"},
			[5]string{"🟢", "unifi", "running", "115 · pve1", "s8d4c"},
			[5]string{"🟢", "vaultwarden", "running", "116 · pve2", "v1h9j"},
			[5]string{"🟢", "zigbee2mqtt", "running", "119 · pve1", "y5m3p"},
		),
		chat.Controls{ID: "board", Select: filter("All — 24, filter…", "", "24", "17", "4", "1", "1", "1"), Buttons: append(boardButtons[:2:2],
			chat.Button{ID: "templates:open", Label: "Templates"}, chat.Button{ID: "board:more", Label: "See 9–24"})},
		chat.Note{Text: chat.Texts("1–8 of 24 · Changed ", chat.At(drawn, chat.Age), " · checked every 30 s")},
	}},

	"02-board-stopped": chat.Panel{ID: "board", Title: "Containers", Blocks: []chat.Block{
		chat.Heading{Text: "Containers · home", Below: chat.Texts(chat.B("Showing: Stopped"), " · 4 of 24")},
		chat.Divider{},
		stoppedRow("a2s6f", "*x*@everyone<!channel>`", "122 · pve1"),
		stoppedRow("e7r9l", "dev-sandbox", "121 · pve3"),
		stoppedRow("g4p8y", "minecraft", "120 · pve3"),
		stoppedRow("u6f2d", long, "123 · pve2"),
		chat.Divider{},
		jump(
			[5]string{"⏹️", "*x*@everyone<!channel>`", "stopped", "122 · pve1", "a2s6f"},
			[5]string{"⏹️", "dev-sandbox", "stopped", "121 · pve3", "e7r9l"},
			[5]string{"⏹️", "minecraft", "stopped", "120 · pve3", "g4p8y"},
			[5]string{"⏹️", long, "stopped", "123 · pve2", "u6f2d"},
		),
		chat.Controls{ID: "board", Select: filter("Filter", "filter:stopped", "24", "17", "4", "1", "1", "1"), Buttons: append(boardButtons[:2:2],
			chat.Button{ID: "board:all", Label: "Show all"})},
		chat.Note{Text: chat.Texts("1–4 of 4 · Updated ", chat.At(drawn, chat.ClockSec), " · next ", chat.At(drawn.Add(30*time.Second), chat.Age))},
	}},

	"03a-board-empty": chat.Message{Public: true, Blocks: []chat.Block{
		chat.Heading{Text: "Containers · home", Below: chat.Texts(chat.B("0"), " total · 🟢\u00a0", chat.B("0"), "\u00a0running · ⏹️\u00a0", chat.B("0"),
			"\u00a0stopped · ❌\u00a0", chat.B("0"), "\u00a0error · ❔\u00a0", chat.B("0"), "\u00a0unknown · 🛠️\u00a0", chat.B("0"), "\u00a0creating")},
		chat.Divider{},
		chat.Para{Text: chat.Texts(chat.B("No containers yet"), "\nPick a template and pvechat builds the first one: about two minutes.")},
		chat.Note{Text: chat.Texts("Expected to see some? The Proxmox token may lack ", chat.C("VM.Audit"), ". ", chat.C("/pve doctor"), " tells.")},
		chat.Controls{ID: "board", Buttons: append(boardButtons[:2:2], chat.Button{ID: "templates:open", Label: "Templates"})},
		chat.Note{Text: chat.Texts("Changed ", chat.At(drawn, chat.Age), " · checked every 30 s")},
	}},

	"06-detail-overview": chat.Panel{ID: "detail", Title: "jellyfin", Lead: jellyfin, Tone: chat.Good, Blocks: []chat.Block{
		tabs(0),
		chat.Meters{
			{Label: "CPU", Percent: 64, Of: "2\u00a0cores"},
			{Label: "Memory", Percent: 55, Of: "2\u00a0GiB"},
			{Label: "Swap", Percent: 3, Of: "512\u00a0MiB"},
			{Label: "Disk", Percent: 88, Of: "32\u00a0GiB"},
		},
		chat.Divider{},
		chat.Fields{
			{Label: "Address", Value: chat.Texts("192.168.10.48 (DHCP)")},
			{Label: "Network", Value: chat.Texts("eth0 on vmbr0")},
			{Label: "OS", Value: chat.Texts("Debian 13 · debian-13-standard")},
			{Label: "Size", Value: chat.Texts("2\u00a0cores · 2\u00a0GiB + 512\u00a0MiB swap · 32\u00a0GiB on local-lvm")},
			{Label: "Features", Value: chat.Texts("nesting, keyctl · ", chat.B("Start at boot"), " yes")},
			{Label: "Tags", Value: chat.Texts("media, prod")},
		},
		chat.Divider{},
		chat.Controls{ID: "act", Buttons: []chat.Button{
			{ID: "ct:t8v4b:start", Label: "Start", Off: true, Why: "it is running"},
			{ID: "ct:t8v4b:shutdown", Label: "Shut down…", Confirm: &chat.Confirm{Title: "Shut down?"}},
			{ID: "ct:t8v4b:restart", Label: "Restart…"},
			{ID: "ct:t8v4b:stop", Label: "Stop…"},
			{ID: "ct:t8v4b:delete", Label: "Delete…"},
			{ID: "ct:t8v4b:cred", Label: "Show credentials"},
			refresh,
		}},
		live,
	}},

	"07-detail-services": chat.Panel{ID: "detail", Title: "jellyfin", Lead: jellyfin, Tone: chat.Good, Blocks: []chat.Block{
		tabs(1),
		chat.Item{Text: chat.Texts("🟢 ", chat.B("Jellyfin"), " running"), Note: chat.Texts(chat.C("jellyfin.service"), " · port 8096"), Button: &chat.Button{Label: "Open Web UI", URL: "http://192.168.10.48:8096/"}},
		chat.Item{Text: chat.Texts("🟢 ", chat.B("nginx"), " running"), Note: chat.Texts(chat.C("nginx.service"), " · ports 80, 443"), Button: &chat.Button{Label: "Open Web UI", URL: "https://192.168.10.48/"}},
		chat.Item{Text: chat.Texts("⏹️ ", chat.B("Samba"), " stopped 3\u00a0h ago"), Note: chat.Texts(chat.C("smbd.service"), " · was on port 445")},
		chat.Note{Text: chat.Texts("Loopback only, so no link: redis-server on 127.0.0.1:6379")},
		chat.Divider{},
		chat.Item{Text: chat.Texts(chat.B("System services"), " · 14, all running"), Button: &chat.Button{ID: "ct:t8v4b:sys", Label: "Show 14"}},
		chat.Controls{ID: "act", Buttons: []chat.Button{{ID: "ct:t8v4b:scan", Label: "Refresh services"}, {ID: "ct:t8v4b:cred", Label: "Show credentials"}}},
		chat.Note{Text: chat.Texts("Checked ", chat.At(time.Unix(1795444230, 0), chat.Age), ", over SSH · takes about 3\u00a0s")},
	}},

	"08-detail-events-error": chat.Panel{ID: "detail", Title: "jellyfin", Lead: jellyfin, Tone: chat.Good, Blocks: []chat.Block{
		tabs(2),
		chat.Controls{ID: "filter", Select: &chat.Select{ID: "ct:t8v4b:ev:filter", Placeholder: "Filter", Selected: "ev:error", Options: []chat.Choosable{
			{Mark: "📋", Label: "All — 48", Value: "ev:all"},
			{Mark: "📄", Label: "Log — 21", Value: "ev:log"},
			{Mark: "▫️", Label: "Step — 14", Value: "ev:step"},
			{Mark: "✅", Label: "Complete — 9", Value: "ev:complete"},
			{Mark: "❌", Label: "Error — 4", Value: "ev:error"},
		}}},
		chat.Para{Text: chat.Texts(chat.B("Showing: Error"), " · 4 of 48")},
		failure("Start failed", "CT is locked (backup)", "Ana", 1795443953, "1"),
		failure("Service scan failed", "SSH login refused for root", "pvechat", 1795433515, "2"),
		failure("Backup failed", "storage 'nas' is not online", "root@pam, in Proxmox", 1795354215, "3"),
		failure("Snapshot failed", "@everyone *no space left* on device", "Ben", 1795174215, "4"),
		chat.Divider{},
		chat.Controls{ID: "act", Buttons: []chat.Button{{ID: "ct:t8v4b:ev:all", Label: "Show all"}, refresh}},
		live,
	}},

	"09a-confirm-stop": chat.Panel{ID: "confirm", Title: "Stop", Tone: chat.Bad, Blocks: []chat.Block{
		chat.Heading{Text: "Stop jellyfin?", Below: chat.Texts("CT 108 on pve3 · running, up 12\u00a0min")},
		chat.Para{Text: chat.Texts("Stop pulls the plug. It ends at once and unsaved data may be lost.")},
		chat.Note{Text: chat.Texts("To let it close its work first, use Shut down.")},
		chat.Controls{ID: "ask", Buttons: []chat.Button{
			{ID: "ct:t8v4b:stop:c_9h2k", Label: "Stop container", Style: chat.Danger},
			{ID: "ct:t8v4b:shutdown:c_9h2k", Label: "Shut down instead"},
			{ID: "cancel:c_9h2k", Label: "Cancel"},
		}},
		ends,
	}},

	"09c-shutdown-waiting": chat.Panel{
		ID: "waiting", Title: "jellyfin", Tone: chat.Warning,
		Lead: &chat.Lead{Mark: "⏳", Name: "jellyfin", Word: "shutting down…", Facts: chat.Texts("CT 108 · pve3 · asked by you ", chat.At(time.Unix(1795444291, 0), chat.Age))},
		Blocks: []chat.Block{
			chat.Para{Text: chat.Texts(chat.B("It has not ended yet."), " 30\u00a0s have passed; jellyfin was asked to end and is still running.\nWaiting goes on. Nothing is forced unless you say so.")},
			chat.Controls{ID: "ask", Buttons: []chat.Button{
				{ID: "ct:t8v4b:force:c_4m1x", Label: "Force stop", Style: chat.Danger},
				{ID: "ct:t8v4b:wait:c_4m1x", Label: "Keep waiting"},
			}},
			chat.Note{Text: chat.Texts("Force stop pulls the plug: unsaved data may be lost. · ", ends.Text)},
		},
	},

	"10a-delete-ask": chat.Form{
		ID: "ct:t8v4b:delete:c_7p3z", Title: "Delete jellyfin", Heading: "Delete jellyfin for good?", Tone: chat.Bad,
		Ask: "Type its name…", CancelID: "cancel:c_7p3z", Inputs: []chat.Input{{ID: "name", Label: "Name"}},
		Intro: []chat.Block{
			chat.Para{Text: chat.Texts("CT 108 on pve3 · running, so it is stopped first. This cannot be undone.")},
			chat.Para{Text: chat.Texts(chat.B("These go with it"),
				"\n• ", chat.C("local-lvm:vm-108-disk-0"), " · 32\u00a0GiB · system",
				"\n• ", chat.C("tank:subvol-108-disk-1"), " · 500\u00a0GiB · /srv/media",
				"\n• its backup, replication and HA entries")},
			chat.Note{Text: chat.Texts("Backups already made stay.")},
			ends,
		},
	},

	"10b-delete-form": chat.Form{
		ID: "ct:t8v4b:delete:c_7p3z", Title: "Delete jellyfin (CT 108) for good?", Tone: chat.Bad, Submit: "Delete for good",
		Inputs: []chat.Input{{ID: "name", Label: "Type jellyfin to delete it and 2 disks", Placeholder: "jellyfin", MaxLength: 63}},
	},

	"11-credentials": chat.Message{Tone: chat.Neutral, Blocks: []chat.Block{
		chat.Heading{Text: "Credentials · jellyfin"},
		chat.Note{Text: chat.Texts("🔒 Only you see this. That you looked is on record, the values are not.")},
		chat.Exact{Label: "User", Value: chat.NewSecret("admin")},
		chat.Exact{Label: "Password", Value: chat.NewSecret("q7`V|$d P2w*x*_9 <b>&8")},
		chat.Exact{Label: "Address", Value: chat.NewSecret("http://192.168.10.48:8096/")},
		chat.Controls{ID: "hide", Buttons: []chat.Button{{ID: "ct:t8v4b:cred:gone:m_1", Label: "Delete this now"}}},
		chat.Note{Text: chat.Texts("Press and hold a grey box to copy. This message goes ", chat.At(drawn.Add(time.Minute), chat.Age), ".")},
	}},

	"12a-create-template": chat.Panel{ID: "create", Title: "Create container", Tone: chat.Neutral, Blocks: []chat.Block{
		chat.Heading{Text: "Create container"},
		chat.Note{Text: chat.Texts(chat.B("1 Template"), " › 2 Settings › 3 Services › 4 Review")},
		chat.Para{Text: chat.Texts(chat.B("Template"), " — Debian 13")},
		chat.Note{Text: chat.Texts("debian-13-standard 13.1-2 · 124\u00a0MiB · 5 on cluster home")},
		chat.Controls{ID: "tpl", Select: &chat.Select{ID: "w:5t2n:tpl", Placeholder: "Choose a template", Selected: "tpl:t1", Options: []chat.Choosable{
			{Mark: "📦", Label: "Debian 13", Value: "tpl:t1", Note: "debian-13-standard 13.1-2 · 124\u00a0MiB"},
			{Mark: "📦", Label: "Debian 12", Value: "tpl:t2", Note: "debian-12-standard 12.12-1 · 121\u00a0MiB"},
			{Mark: "📦", Label: "Ubuntu 24.04 LTS", Value: "tpl:t3", Note: "ubuntu-24.04-standard 24.04-2 · 135\u00a0MiB"},
			{Mark: "📦", Label: "Alpine 3.22", Value: "tpl:t4", Note: "alpine-3.22-default · 3\u00a0MiB · no systemd"},
			{Mark: "📦", Label: "Fedora 42", Value: "tpl:t5", Note: "fedora-42-default · 71\u00a0MiB"},
		}}},
		chat.Controls{ID: "next", Buttons: []chat.Button{{ID: "w:5t2n:next", Label: "Next", Style: chat.Primary}, {ID: "w:5t2n:cancel", Label: "Cancel"}}},
	}},

	"12b-create-settings-form": chat.Form{ID: "w:5t2n:edit", Title: "Create container: name and size", Inputs: []chat.Input{
		{ID: "hostname", Label: "Hostname: small letters, digits, -", MaxLength: 63, Value: "wiki"},
		{ID: "cores", Label: "Cores, 1 to 8", MaxLength: 2, Value: "2"},
		{ID: "memory", Label: "Memory, GiB (0.5 to 64)", MaxLength: 5, Value: "2"},
		{ID: "disk", Label: "Disk, GiB (1 to 212)", MaxLength: 5, Value: "8"},
		{ID: "key", Label: "SSH public key (optional)", MaxLength: 3000, Multiline: true, Optional: true, Placeholder: "ssh-ed25519 …"},
	}},

	"12d-create-review": chat.Panel{ID: "create", Title: "Create container", Tone: chat.Neutral, Blocks: []chat.Block{
		chat.Heading{Text: "Create container"},
		chat.Note{Text: chat.Texts("1 Template › 2 Settings › 3 Services › ", chat.B("4 Review"))},
		chat.Para{Text: chat.Texts(chat.B("wiki"), " on pve1 · next free number: CT 126")},
		chat.Fields{
			{Label: "Template", Value: chat.Texts("Debian 13")},
			{Label: "Size", Value: chat.Texts("2\u00a0cores · 2\u00a0GiB + 512\u00a0MiB swap · 8\u00a0GiB on local-lvm")},
			{Label: "Network", Value: chat.Texts("DHCP on vmbr0")},
			{Label: "Access", Value: chat.Texts("root password generated")},
			{Label: "Services", Value: chat.Texts("PostgreSQL, Wiki.js")},
			{Label: "Options", Value: chat.Texts("unprivileged, nesting, start at boot and when created")},
		},
		chat.Note{Text: chat.Texts("Takes about 2\u00a0min. Progress is posted in this channel.")},
		chat.Controls{ID: "next", Buttons: []chat.Button{
			{ID: "w:5t2n:back", Label: "Back"},
			{ID: "w:5t2n:deploy:c_2d8v", Label: "Deploy", Style: chat.Positive},
			{ID: "w:5t2n:cancel", Label: "Cancel"},
		}},
	}},

	"14a-alert-raised": chat.Message{Public: true, Tone: chat.Bad, Blocks: []chat.Block{
		chat.Heading{Text: "❌ jellyfin is down", Below: chat.Texts("It stopped by itself; nobody asked for it.")},
		chat.Note{Text: chat.Texts("CT 108 · pve3 · down ", chat.At(time.Unix(1795444195, 0), chat.Age), " · MEM\u00a0🟥\u00a099\u00a0% just before")},
		chat.Controls{ID: "act", Buttons: []chat.Button{
			{ID: "ct:t8v4b:start", Label: "Start", Style: chat.Primary},
			{ID: "ct:t8v4b:show", Label: "Manage"},
			{ID: "alert:a_6c1:mute", Label: "Mute 1\u00a0h"},
		}},
	}},

	"16a-denied": chat.Message{Blocks: []chat.Block{
		chat.Para{Text: chat.Texts("🚫 ", chat.B("Not allowed"), "\nThis needs the ", chat.B("operator"), " role; you have ", chat.B("viewer"), ". Nothing was changed.")},
		chat.Note{Text: chat.Texts("An admin can grant it. · id ", chat.C("p4w8c"))},
	}},

	"16e-template-page": chat.Panel{ID: "template", Title: "Template", Tone: chat.Neutral, Lead: &chat.Lead{Mark: "📦", Name: "Debian 13", Word: "ready to use"}, Blocks: []chat.Block{
		chat.Fields{
			{Label: "File", Value: chat.Texts("debian-13-standard 13.1-2 · 124\u00a0MiB")},
			{Label: "Is on", Value: chat.Texts("local of pve1, pve2, pve3")},
			{Label: "Smallest", Value: chat.Texts("1 core, 256\u00a0MiB, 2\u00a0GiB disk")},
			{Label: "Can install", Value: chat.Texts("Docker, nginx, PostgreSQL, Wiki.js")},
			{Label: "Made from it", Value: chat.Texts("11 containers")},
		},
		chat.Controls{ID: "act", Buttons: []chat.Button{
			{ID: "tpl:t1:create", Label: "Create container", Style: chat.Positive},
			{ID: "tpl:t1:remove", Label: "Remove…"},
			{ID: "templates:open", Label: "All templates"},
		}},
	}},
}

func TestScreensAreDrawnAsDesigned(t *testing.T) {
	for name, s := range screens {
		t.Run(name, func(t *testing.T) {
			want := screen(t, name)
			if diff := cmp.Diff(want, onWire(t, s)); diff != "" {
				t.Errorf("(-screen +rendered)\n%s", diff)
			}
		})
	}
}
