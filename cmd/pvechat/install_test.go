package main

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// root is the repository's.
const root = "../.."

// output runs a program in the repository's root and returns what it says.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// The Debian package installs into a root of its own, and what its service runs
// becomes ready there.
func TestThePackageInstallsAndItsServiceRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the package")
	}
	for _, tool := range []string{"dpkg", "systemd-sysusers", "systemd-tmpfiles", "systemd-analyze"} {
		if _, err := exec.LookPath(tool); err != nil || os.Getuid() != 0 {
			if strings.Contains(os.Getenv("PVECHAT_REQUIRE"), "systemd") {
				t.Fatalf("PVECHAT_REQUIRE asks for systemd: %v, user %d", err, os.Getuid())
			}
			t.Skip("it takes Debian, systemd and root (PVECHAT_REQUIRE=systemd would make this a failure)")
		}
	}
	dist, scratch := t.TempDir(), t.TempDir()
	binary := filepath.Join(dist, "pvechat_linux_"+runtime.GOARCH)
	output(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", binary, "./cmd/pvechat")
	output(t, nil, "make", "-s", "deb", "ARCH="+runtime.GOARCH, "DIST="+dist)
	found, err := filepath.Glob(filepath.Join(dist, "*.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("packages: %q, %v", found, err)
	}
	dpkg := func(args ...string) {
		t.Helper()
		// The scripts run here, with DPKG_ROOT, as in no scratch root there is a shell.
		output(t, nil, "dpkg", append([]string{"--root=" + scratch, "--force-script-chrootless", "--force-depends"}, args...)...)
	}
	in := func(path string) string { return filepath.Join(scratch, path) }
	for _, folder := range []string{"/etc", "/var/lib/dpkg/updates"} {
		if err := os.MkdirAll(in(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"/var/lib/dpkg/status", "/var/lib/dpkg/available"} {
		if err := os.WriteFile(in(file), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg("--install", found[0])

	users, err := os.ReadFile(in("/etc/passwd"))
	user := regexp.MustCompile(`(?m)^pvechat:[^:]*:(\d+):`).FindSubmatch(users)
	if err != nil || user == nil {
		t.Fatalf("there is no user pvechat: %v\n%s", err, users)
	}
	for _, folder := range []string{"/etc/pvechat", "/var/lib/pvechat"} {
		if got := strings.TrimSpace(output(t, nil, "stat", "-c", "%u %a", in(folder))); got != string(user[1])+" 700" {
			t.Errorf("%s: %s, want user %s and 700", folder, got, user[1])
		}
	}

	unit := in("/usr/lib/systemd/system/pvechat.service")
	said := output(t, nil, "systemd-analyze", "security", "--offline=true", "--threshold=15", unit) // 1.5 of 10; fails above
	if !strings.Contains(said, "Overall exposure level") {
		t.Errorf("systemd-analyze says:\n%s", said)
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(text)
	if start == nil {
		t.Fatalf("the unit starts nothing:\n%s", text)
	}
	command := strings.Fields(string(start[1]))
	for i, word := range command {
		if strings.HasPrefix(word, "/") {
			command[i] = in(word)
		}
	}
	if out, err := exec.CommandContext(t.Context(), command[0], "version").Output(); err != nil || !strings.HasPrefix(string(out), "pvechat ") {
		t.Errorf("version: %q, %v", out, err)
	}
	if f, err := elf.Open(command[0]); err != nil {
		t.Error(err)
	} else if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 || f.Section(".interp") != nil {
		t.Errorf("it is not static: %q, %v", libs, err)
	}

	w := daemontest.New(t, proxmoxtest.Options{})
	w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Node: "pve1", Name: "web", Running: true})
	ana := w.Person(daemontest.Slack, "Ana", "admin")
	if err := os.Rename(w.Config(), in("/etc/pvechat/config.yaml")); err != nil {
		t.Fatal(err)
	}
	p := w.StartCommand(command[0], command[1:]...)
	ana.Command("dashboard")
	ana.Sees("web running")
	p.Kill()

	dpkg("--remove", "pvechat")
	if _, err := os.Stat(command[0]); !os.IsNotExist(err) {
		t.Errorf("the program is still there: %v", err)
	}
	if _, err := os.Stat(in("/etc/pvechat/config.yaml")); err != nil {
		t.Errorf("the configuration is gone: %v", err)
	}
	w.Correct()
}

// No Docker engine is needed to see that what the files name exists, and that
// pvechat reads the configuration that goes with them.
func TestTheFilesForDockerNameWhatThereIs(t *testing.T) {
	dir := filepath.Join(root, "deploy/docker")
	var compose struct {
		Services map[string]struct {
			Build struct {
				Context, Dockerfile string
			}
			DependsOn map[string]any `yaml:"depends_on"`
			Volumes   []string
			Secrets   []string
		}
		Volumes map[string]any
		Secrets map[string]struct{ File string }
	}
	raw, err := os.ReadFile(filepath.Join(dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &compose); err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{}
	for name, s := range compose.Services {
		for _, secret := range s.Secrets {
			if compose.Secrets[secret].File == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
			given["/run/secrets/"+secret] = name == "pvechat" || given["/run/secrets/"+secret]
		}
		for other := range s.DependsOn {
			if _, ok := compose.Services[other]; !ok {
				t.Errorf("%s: there is no service %s", name, other)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, ok := compose.Volumes[from]; !ok && !strings.HasPrefix(from, "./") {
				t.Errorf("%s: there is no volume %s", name, from)
			}
		}
	}
	build := compose.Services["pvechat"].Build
	dockerfile, err := os.ReadFile(filepath.Join(dir, build.Context, build.Dockerfile))
	if err != nil {
		t.Fatal(err)
	}
	stages := 0
	for line := range strings.Lines(string(dockerfile)) {
		switch words := strings.Fields(line); {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "FROM":
			stages++
		case words[0] == "COPY" && !strings.HasPrefix(words[1], "--from"):
			for _, from := range words[1 : len(words)-1] {
				if _, err := os.Stat(filepath.Join(dir, build.Context, from)); err != nil {
					t.Error(err)
				}
			}
		case words[0] == "USER":
			if id, _ := strconv.Atoi(strings.Split(words[1], ":")[0]); id == 0 {
				t.Errorf("it runs as root: %s", line)
			}
		}
	}
	if stages != 2 || !bytes.Contains(dockerfile, []byte("\nUSER ")) {
		t.Errorf("%d stages, or no user", stages)
	}

	// The configuration, with the secrets where there are some.
	raw, err = os.ReadFile(filepath.Join(dir, "config.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := t.TempDir()
	text := regexp.MustCompile(`/run/secrets/[\w.-]+`).ReplaceAllStringFunc(string(raw), func(path string) string {
		if !given[path] {
			t.Errorf("compose.yaml gives pvechat no %s", path)
		}
		file, content := filepath.Join(secrets, filepath.Base(path)), "canary"
		if strings.Contains(path, "url") {
			content = "postgres://pvechat@database/pvechat"
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	})
	if _, err := daemon.Parse("config.yaml", []byte(text), func(string) (string, bool) { return "", false }); err != nil {
		t.Error(err)
	}
}
