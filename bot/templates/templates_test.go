package templates_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/bot/yamlfile"
)

func TestTheShippedTemplatesAreWhatWeSay(t *testing.T) {
	l, err := templates.Load("")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, tpl := range l.All() {
		ids = append(ids, tpl.ID)
		if !tpl.Shipped || tpl.Description == "" {
			t.Errorf("%s: %+v", tpl.ID, tpl)
		}
		for _, s := range tpl.Scripts {
			if out, err := shell(t, s.Run); err != nil {
				t.Errorf("%s, %s: sh cannot read it: %v\n%s", tpl.ID, s.Name, err, out)
			}
		}
	}
	if want := []string{"alpine", "debian", "docker", "gitea", "grafana", "nginx", "postgresql"}; !slices.Equal(ids, want) {
		t.Errorf("there are %v, want %v", ids, want)
	}
}

// shell lets sh read a script without running it.
func shell(t *testing.T, script string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-n")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(in, script)
		in.Close()
	}()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestEveryProblemComesWithItsLine(t *testing.T) {
	_, err := templates.Parse("x", "x.yaml", []byte(`name: ""
os: "Debian 13"
resources: {cores: 0, memory: 8, disk: 99999}
colour: blue
network: {ip: 192.0.2.5/24, vlan: 5000}
tags: [Web, ok]
packages:
  apt:
    - git
    - "curl; reboot"
  pip: ["$(x)"]
files:
  - {target: etc/x, mode: "rwx", policy: maybe}
  - {target: /etc/../x}
scripts:
  - {name: one, run: "", timeout: never}
services:
  - {unit: "a b", port: 70000}
credentials: [relative]
`))
	var e *yamlfile.Error
	if !errors.As(err, &e) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{
		"x.yaml:1: name:", "x.yaml:2: os:", "x.yaml:3: resources.memory:", "x.yaml:3: resources.disk:", "x.yaml:4: there is no key colour here",
		"x.yaml:5: network.ip:", "x.yaml:5: network.vlan:", "x.yaml:6: tags[0]:", "x.yaml:10: packages.apt[1]:", "x.yaml:11: packages.pip[0]:",
		"x.yaml:13: files[0].target:", "x.yaml:13: files[0].mode:", "x.yaml:13: files[0].policy:", "x.yaml:14: files[1].target:",
		"x.yaml:16: scripts[0].run:", "x.yaml:16: scripts[0].timeout:", "x.yaml:18: services[0].unit:", "x.yaml:18: services[0].port:", "x.yaml:19: credentials[0]:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestAnOperatorsTemplateTakesAShippedOnesPlace(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("debian.yaml", "name: Ours\nos: debian-13-standard\n")
	write("broken.yaml", "nome: x\n")
	write("README.md", "not a template")
	l, err := templates.Load(dir)
	if err == nil || !strings.Contains(err.Error(), "broken.yaml:1: there is no key nome here") {
		t.Errorf("what is broken is not told: %v", err)
	}
	if tpl, ok := l.Find("debian"); !ok || tpl.Name != "Ours" || tpl.Shipped {
		t.Errorf("%+v", tpl)
	}
	if _, ok := l.Find("broken"); ok {
		t.Error("what is broken is there")
	}
	if tpl, _ := l.Find("debian"); tpl.Resources.Cores != 1 || tpl.Resources.Memory != 512 || tpl.Resources.Disk != 4 || !tpl.Nesting() || tpl.Network.IP != "dhcp" {
		t.Errorf("defaults %+v", tpl)
	}
	if _, err := templates.Load(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there passes")
	}
}
