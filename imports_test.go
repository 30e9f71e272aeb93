// Package pvechat_test holds what is true of the whole tree.
package pvechat_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/pvechat/pvechat/"

// allowed says what each package tree may import of ours: imports run one way.
var allowed = []struct {
	tree string
	may  []string
}{
	{"bot/chat", nil},
	{"bot/chat/wire", nil},
	{"bot/chat/webhook", nil},
	{"bot/chat/pace", []string{"bot/chat"}},
	{"bot/chat/chattest", []string{"bot/chat"}},
	{"bot/slack/slacktest", nil},
	{"bot/discord/discordtest", nil},
	{"proxmox/proxmoxtest", nil},
	{"bot/slack", []string{"bot/chat", "bot/chat/pace", "bot/chat/webhook", "bot/chat/wire"}},
	{"bot/discord", []string{"bot/chat", "bot/chat/pace", "bot/chat/webhook", "bot/chat/wire"}},
	{"proxmox/guest", []string{"proxmox/guest"}},
	{"proxmox", nil},
	{"bot/access", []string{"bot/chat"}},
	{"bot/inventory", []string{"proxmox"}},
	{"bot/services", []string{"bot/inventory", "proxmox/guest"}},
	{"bot/jobs", []string{"bot/chat", "bot/chat/pace", "bot/inventory", "proxmox", "proxmox/guest"}},
	{"bot/view", []string{"bot/chat", "bot/access", "bot/catalog", "bot/create", "bot/doctor", "bot/inventory", "bot/jobs", "bot/services", "bot/templates", "proxmox", "proxmox/guest"}},
	{"bot/live", []string{"bot/chat"}},
	{"bot/doctor", []string{"bot/access", "bot/chat", "bot/inventory", "bot/jobs", "proxmox"}},
	{"bot/graph", []string{"proxmox"}},
	{"bot/catalog", []string{"bot/inventory", "proxmox"}},
	{"bot/create", []string{"bot/catalog", "bot/chat", "bot/chat/pace", "bot/inventory", "bot/jobs", "bot/templates", "proxmox", "proxmox/guest"}},
	{"bot/yamlfile", nil},
	{"bot/templates", []string{"bot/yamlfile"}},
	{"bot/alerts", []string{"bot/chat", "bot/inventory", "bot/jobs", "bot/services", "bot/view", "proxmox", "proxmox/guest"}},
	{"handlers", []string{"bot/chat", "bot/access", "bot/alerts", "bot/catalog", "bot/create", "bot/doctor", "bot/graph", "bot/inventory", "bot/jobs", "bot/live", "bot/services", "bot/templates", "bot/view", "proxmox", "proxmox/guest"}},
	{"bot", []string{"bot/chat", "bot/view", "proxmox"}},
}

// sdks appear in one package tree each.
var sdks = map[string]string{
	"github.com/slack-go/slack": "bot/slack", "github.com/bwmarrin/discordgo": "bot/discord", "github.com/uptrace/bun": "storage",
}

func TestImportsRunOneWay(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], module)
		for _, imp := range words[1:] {
			for sdk, tree := range sdks {
				if strings.HasPrefix(imp, sdk) && pkg != tree && !strings.HasPrefix(pkg, tree+"/") {
					t.Errorf("%s imports %s, which belongs to %s", pkg, imp, tree)
				}
			}
			if ours, ok := strings.CutPrefix(imp, module); ok && !mayImport(pkg, ours) {
				t.Errorf("%s may not import %s", pkg, ours)
			}
		}
	}
}

func mayImport(pkg, imp string) bool {
	for _, rule := range allowed {
		if pkg != rule.tree {
			continue
		}
		for _, may := range rule.may {
			if imp == may {
				return true
			}
		}
		return false
	}
	return strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "storage") || strings.HasPrefix(pkg, "proxmox/guest")
}
