// Package templates describes what containers are made of: an operating system,
// resources, and what is put and run inside. A template is a YAML file; some
// are shipped, others lie in the operator's templates_dir.
package templates

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/yamlfile"
)

// Template is a kind of container.
type Template struct {
	ID          string   `yaml:"-"` // the file's name without .yaml
	Shipped     bool     `yaml:"-"`
	Name        string   `yaml:"name"`
	Description string   `yaml:"description"`
	OS          string   `yaml:"os"` // how the OS template's file name begins: "debian-13-standard"; the newest is taken
	Resources   Resource `yaml:"resources"`
	Features    Features `yaml:"features"`
	Network     Network  `yaml:"network"`
	Tags        []string `yaml:"tags"`

	Packages Packages  `yaml:"packages"`
	Files    []File    `yaml:"files"`
	Scripts  []Script  `yaml:"scripts"`
	Services []Service `yaml:"services"`

	// Credentials are further files with credentials besides those of
	// docs/credentials.md.
	Credentials []string `yaml:"credentials"`
}

// Resource is what a container gets.
type Resource struct {
	Cores  int   `yaml:"cores"`
	Memory int64 `yaml:"memory"` // MiB
	Swap   int64 `yaml:"swap"`   // MiB
	Disk   int64 `yaml:"disk"`   // GiB
}

// Features are what a container may do.
type Features struct {
	Nesting     *bool `yaml:"nesting"` // nil is true: newer systemd needs it
	Privileged  bool  `yaml:"privileged"`
	StartAtBoot bool  `yaml:"start_at_boot"`
}

// Network is how a container is connected.
type Network struct {
	Bridge     string `yaml:"bridge"` // "" is the node's first
	VLAN       int    `yaml:"vlan"`   // 0: none
	IP         string `yaml:"ip"`     // "dhcp"; an address is a person's to choose
	Nameserver string `yaml:"nameserver"`
}

// Packages are installed by the package managers of the container.
type Packages struct {
	APT []string `yaml:"apt"`
	APK []string `yaml:"apk"`
	DNF []string `yaml:"dnf"`
	PIP []string `yaml:"pip"`
	NPM []string `yaml:"npm"`
}

// Policies say what becomes of a file that is there already.
const (
	Replace = "replace"
	Default = "default" // it stays
	Backup  = "backup"  // it is kept under the name with ".before-pvechat"
)

// File is put into the container.
type File struct {
	Target  string `yaml:"target"`
	Mode    string `yaml:"mode"`   // octal; "" is 0644
	Policy  string `yaml:"policy"` // "" is replace
	Content string `yaml:"content"`
}

// Perm is the file's mode.
func (f File) Perm() int64 {
	mode, _ := strconv.ParseInt(cmp.Or(f.Mode, "0644"), 8, 32) // was checked
	return mode
}

// Script runs in the container, as root, by `sh -eu`.
type Script struct {
	Name    string `yaml:"name"`
	Run     string `yaml:"run"`
	Timeout string `yaml:"timeout"` // "" is 10m
}

// Within is how long the script may take.
func (s Script) Within() time.Duration {
	d, err := time.ParseDuration(s.Timeout)
	if err != nil {
		return 10 * time.Minute
	}
	return d
}

// Service is what should run in the end.
type Service struct {
	Name string `yaml:"name"`
	Unit string `yaml:"unit"`
	Port int    `yaml:"port"` // 0: none
}

// Nesting reports whether the feature nesting is on.
func (t Template) Nesting() bool { return t.Features.Nesting == nil || *t.Features.Nesting }

// Limits of a container, in chat and in templates.
const (
	MinMemory, MaxMemory = 64, 1 << 20 // MiB
	MaxCores             = 128
	MaxDisk              = 16 << 10 // GiB
	mostFile             = 256 << 10
)

// Parse reads a template. What is wrong comes as one *yamlfile.Error that names
// every problem with its line.
func Parse(id, file string, data []byte) (Template, error) {
	var r yamlfile.Reader
	t := Template{ID: id}
	r.Decode(data, &t)
	t.check(&r)
	return t, r.Err("the template "+id, file)
}

var (
	idForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)
	osForm   = regexp.MustCompile(`^[a-z][a-z0-9.]*(-[a-z0-9.]+)*$`)
	tagForm  = regexp.MustCompile(`^[a-z0-9_][a-z0-9_+.-]{0,40}$`)
	unitForm = regexp.MustCompile(`^[A-Za-z0-9@._:-]{1,80}$`)

	// Names of packages, each with an optional version. What does not look
	// like one never reaches a command.
	packageForm = map[string]*regexp.Regexp{
		"apt": regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,80}(=[A-Za-z0-9.+:~-]{1,80})?$`),
		"apk": regexp.MustCompile(`^[a-z0-9][A-Za-z0-9+._-]{0,80}(=[A-Za-z0-9._-]{1,80})?$`),
		"dnf": regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._-]{0,80}$`),
		"pip": regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,80}(==[A-Za-z0-9.+!-]{1,40})?$`),
		"npm": regexp.MustCompile(`^(@[a-z0-9~][a-z0-9._~-]{0,80}/)?[a-z0-9~][a-z0-9._~-]{0,80}(@[A-Za-z0-9._-]{1,40})?$`),
	}
)

// ByManager lists the packages by the name of their manager, in the order in
// which they are installed.
func (p Packages) ByManager() []struct {
	Manager string
	Names   []string
} {
	return []struct {
		Manager string
		Names   []string
	}{{"apt", p.APT}, {"apk", p.APK}, {"dnf", p.DNF}, {"pip", p.PIP}, {"npm", p.NPM}}
}

// Empty reports whether there is nothing to install.
func (p Packages) Empty() bool {
	for _, m := range p.ByManager() {
		if len(m.Names) > 0 {
			return false
		}
	}
	return true
}

func (t *Template) check(r *yamlfile.Reader) {
	if !idForm.MatchString(t.ID) {
		r.Wrong("the file's name: small letters, digits and '-', at most 31")
	}
	if t.Name == "" || len([]rune(t.Name)) > 40 {
		r.Wrong("name: 1 to 40 characters are needed", "name")
	}
	if len([]rune(t.Description)) > 200 {
		r.Wrong("description: at most 200 characters", "description")
	}
	if !osForm.MatchString(t.OS) {
		r.Wrong("os: write how the OS template's file name begins, such as debian-13-standard", "os")
	}
	t.checkResources(r)
	for i, tag := range t.Tags {
		if !tagForm.MatchString(tag) {
			r.Wrong(fmt.Sprintf("tags[%d]: small letters, digits, '_', '+', '.' and '-'", i), "tags", i)
		}
	}
	for _, p := range t.Packages.ByManager() {
		for i, name := range p.Names {
			if !packageForm[p.Manager].MatchString(name) {
				r.Wrong(fmt.Sprintf("packages.%s[%d]: it is no name of a package", p.Manager, i), "packages", p.Manager, i)
			}
		}
	}
	t.checkFiles(r)
	for i, s := range t.Scripts {
		if s.Name == "" || len([]rune(s.Name)) > 60 || strings.ContainsAny(s.Name, "\n\r") {
			r.Wrong(fmt.Sprintf("scripts[%d].name: one line of 1 to 60 characters is needed", i), "scripts", i, "name")
		}
		if strings.TrimSpace(s.Run) == "" || len(s.Run) > mostFile {
			r.Wrong(fmt.Sprintf("scripts[%d].run: at least one command, at most 256 KiB", i), "scripts", i, "run")
		}
		if d, err := time.ParseDuration(cmp.Or(s.Timeout, "10m")); err != nil || d < time.Second || d > 2*time.Hour {
			r.Wrong(fmt.Sprintf("scripts[%d].timeout: a duration of 1s to 2h, such as 10m", i), "scripts", i, "timeout")
		}
	}
	for i, s := range t.Services {
		if !unitForm.MatchString(s.Unit) {
			r.Wrong(fmt.Sprintf("services[%d].unit: the name of a unit is needed, such as nginx.service", i), "services", i, "unit")
		}
		if s.Port < 0 || s.Port > 65535 {
			r.Wrong(fmt.Sprintf("services[%d].port: it is no port", i), "services", i, "port")
		}
	}
	for i, p := range t.Credentials {
		if !absolute(p) {
			r.Wrong(fmt.Sprintf("credentials[%d]: an absolute path is needed", i), "credentials", i)
		}
	}
}

func (t *Template) checkResources(r *yamlfile.Reader) {
	c := &t.Resources
	c.Cores, c.Memory, c.Disk = cmp.Or(c.Cores, 1), cmp.Or(c.Memory, 512), cmp.Or(c.Disk, 4)
	t.Network.IP = cmp.Or(t.Network.IP, "dhcp")
	if c.Cores < 1 || c.Cores > MaxCores {
		r.Wrong(fmt.Sprintf("resources.cores: 1 to %d", MaxCores), "resources", "cores")
	}
	if c.Memory < MinMemory || c.Memory > MaxMemory {
		r.Wrong(fmt.Sprintf("resources.memory: %d to %d MiB", MinMemory, MaxMemory), "resources", "memory")
	}
	if c.Swap < 0 || c.Swap > MaxMemory {
		r.Wrong(fmt.Sprintf("resources.swap: 0 to %d MiB", MaxMemory), "resources", "swap")
	}
	if c.Disk < 1 || c.Disk > MaxDisk {
		r.Wrong(fmt.Sprintf("resources.disk: 1 to %d GiB", MaxDisk), "resources", "disk")
	}
	if t.Network.VLAN < 0 || t.Network.VLAN > 4094 {
		r.Wrong("network.vlan: 1 to 4094", "network", "vlan")
	}
	if t.Network.IP != "dhcp" {
		r.Wrong("network.ip: write dhcp; whoever creates a container gives an address", "network", "ip")
	}
}

func (t *Template) checkFiles(r *yamlfile.Reader) {
	for i, f := range t.Files {
		at := func(key string) string { return fmt.Sprintf("files[%d].%s", i, key) }
		if !absolute(f.Target) {
			r.Wrong(at("target")+": an absolute path without '..' is needed", "files", i, "target")
		}
		if mode, err := strconv.ParseInt(cmp.Or(f.Mode, "0644"), 8, 32); err != nil || mode < 0 || mode > 0o7777 {
			r.Wrong(at("mode")+`: write it in octal and in quotes, such as "0640"`, "files", i, "mode")
		}
		switch f.Policy {
		case "", Replace, Default, Backup:
		default:
			r.Wrong(at("policy")+": replace, default or backup", "files", i, "policy")
		}
		if len(f.Content) > mostFile {
			r.Wrong(at("content")+": at most 256 KiB", "files", i, "content")
		}
	}
}

// absolute reports whether p is a plain absolute path of a file.
func absolute(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && len(p) < 1024 && !strings.ContainsAny(p, "\x00\n\r")
}
