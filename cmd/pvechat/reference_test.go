package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/handlers"
)

var update = flag.Bool("update", false, "write docs/reference anew")

const made = "<!-- Made from the code: go test ./cmd/pvechat -run Reference -update -->\n\n"

// The reference is what the code says.
func TestReferenceIsThatOfTheCode(t *testing.T) {
	for name, write := range map[string]func(*testing.T, *bytes.Buffer){
		"commands": commands, "config": configuration, "metrics": metrics, "errors": mistakes,
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			b.WriteString(made)
			write(t, &b)
			file := filepath.Join(root, "docs/reference", name+".md")
			if *update {
				if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if there, err := os.ReadFile(file); err != nil || !bytes.Equal(there, b.Bytes()) {
				t.Errorf("%s is stale (%v): go test ./cmd/pvechat -run Reference -update", file, err)
			}
		})
	}
}

// cell is a text in a table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

func commands(t *testing.T, b *bytes.Buffer) {
	b.WriteString("# Commands\n\n## In the chat\n\nThe same on Slack and Discord. NAME is a hostname, a VMID, `node/name`, `cluster/name` or `cluster/vmid`.\n\n| Command | |\n|---|---|\n")
	for _, c := range handlers.Commands() {
		fmt.Fprintf(b, "| `%s` | %s |\n", cell(view.Usage(c)), cell(c.Summary))
		for _, o := range c.Options {
			if o.Summary != "" {
				fmt.Fprintf(b, "| &nbsp;&nbsp;`%s` | %s |\n", strings.ToUpper(o.Name), cell(o.Summary))
			}
		}
	}
	var cli CLI
	parser, err := kong.New(&cli, kong.Name("pvechat"))
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n## On the command line\n\nExit code 0 is good, 1 is failed (of `doctor`: a line is wrong), 2 is wrong words or a wrong configuration.\n\n| For all | |\n|---|---|\n")
	flags(b, parser.Model.Flags)
	for _, n := range parser.Model.Leaves(true) {
		fmt.Fprintf(b, "\n### pvechat %s\n\n%s\n", n.Path(), n.Help)
		if len(n.Positional)+len(n.Flags) > 0 {
			b.WriteString("\n| | |\n|---|---|\n")
		}
		for _, p := range n.Positional {
			fmt.Fprintf(b, "| `%s` | %s |\n", cell(p.Summary()), cell(p.Help))
		}
		flags(b, n.Flags)
	}
}

func flags(b *bytes.Buffer, list []*kong.Flag) {
	for _, f := range list {
		if f.Name == "help" {
			continue
		}
		value := ""
		if !f.IsBool() {
			value = "=" + cmp.Or(f.PlaceHolder, strings.ToUpper(f.Name))
		}
		help := f.Help
		if f.HasDefault && f.Default != "" {
			help += " Default: `" + f.Default + "`."
		}
		fmt.Fprintf(b, "| `--%s%s` | %s |\n", f.Name, cell(value), cell(help))
	}
}

// configuration shows the example, and every key with its type.
func configuration(t *testing.T, b *bytes.Buffer) {
	example, err := os.ReadFile(filepath.Join(root, "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(b, "# Configuration\n\nA YAML file, `config.yaml` unless `--config` names another. Unknown keys are refused, with their line. "+
		"`access`, `roles` and templates are read again at a SIGHUP; everything else at a start.\n\n```yaml\n%s```\n\n## Every key\n\n| Key | Type | Variable |\n|---|---|---|\n", example)
	for _, k := range keys(reflect.TypeFor[daemon.Config](), "") {
		if k.name == "access[].slack.roles" || k.name == "access[].discord.groups" { // of the other platform
			continue
		}
		variable := ""
		if k.secret {
			variable = "`PVECHAT_" + strings.ToUpper(strings.NewReplacer("clusters[]", "clusters_NAME", ".", "_").Replace(k.name)) + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", k.name, k.kind, variable)
	}
}

type key struct {
	name, kind string
	secret     bool
}

// keys are those of a section, as the decoder knows them.
func keys(t reflect.Type, under string) []key {
	var list []key
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "-" || name == "" {
			continue
		}
		list = append(list, keysOf(f.Type, strings.TrimPrefix(under+"."+name, "."))...)
	}
	return list
}

func keysOf(t reflect.Type, name string) []key {
	switch t.Kind() {
	case reflect.Pointer:
		return keysOf(t.Elem(), name)
	case reflect.Struct:
		return keys(t, name)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return keys(t.Elem(), name+"[]")
		}
		return []key{{name, "list of text", false}}
	case reflect.Map:
		kind := "text by name"
		if t.Elem().Kind() == reflect.Slice {
			kind = "list of text by name"
		}
		return []key{{name, kind, false}}
	case reflect.Bool:
		return []key{{name, "true, false", false}}
	case reflect.Int:
		return []key{{name, "number", false}}
	default:
		return []key{{name, "text", t == reflect.TypeFor[daemon.Secret]()}}
	}
}

var described = regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)", .*variableLabels: \{([^}]*)\}`)

func metrics(t *testing.T, b *bytes.Buffer) {
	b.WriteString("# Metrics\n\n`GET /metrics` where `http.listen` says, for Prometheus. No label holds a container's name, a person's, or anything that a stranger sent. " +
		"Alert rules are in `deploy/prometheus`, a dashboard in `deploy/grafana`.\n\n| Metric | Labels | |\n|---|---|---|\n")
	descs := make(chan *prometheus.Desc)
	go func() { bot.NewMetrics().Registry.Describe(descs); close(descs) }()
	var rows []string
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is not understood", d)
		}
		labels := strings.ReplaceAll(m[3], ",", ", ")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], labels, cell(m[2])))
	}
	slices.Sort(rows)
	b.WriteString(strings.Join(rows, ""))
}

func mistakes(_ *testing.T, b *bytes.Buffer) {
	fmt.Fprintf(b, `# Errors

An error in the chat says what did not happen, why, what is true now, → what to do, and ends in an id such as `+"`k3w7hq`"+`. The id is that of the one
click or command: it finds every line of the log about it, to the task on Proxmox, and its line in `+"`/pve audit`"+`.

`+"```sh\njournalctl -u pvechat | grep k3w7hq\n```"+`

| Exit code | |
|---|---|
| 0 | good; stopped by a signal |
| %d | it did not work; stderr says why, and what to do |
| %d | wrong words, or a wrong configuration; nothing was tried |

What the doctor and `+"`/readyz`"+` call their lines: [the doctor](../doctor.md).

## Reasons, and what to do

Where a reason has these words, the chat says what follows them. The first that fits counts.

| In the reason | What to do |
|---|---|
`, exitFailed, exitUsage)
	for _, a := range view.Advices() {
		fmt.Fprintf(b, "| %s | %s |\n", cell(a.Reason), cell(a.Do))
	}
	b.WriteString("\n## Rights\n\nA denial names the right that is missing. Each role has these:\n\n| Role | Rights |\n|---|---|\n")
	rules, _ := access.NewRules(nil)
	for _, r := range []access.Role{access.Viewer, access.Operator, access.AdminRole} {
		var list []string
		for _, p := range rules.Holds(r) {
			list = append(list, string(p))
		}
		fmt.Fprintf(b, "| %s | %s |\n", r, strings.Join(list, ", "))
	}
}
