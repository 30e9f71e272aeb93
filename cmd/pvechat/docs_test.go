package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/storage/seal"
)

var (
	// A command stands in a block for a shell, or between backquotes. Before it
	// may be what runs it as somebody else or elsewhere.
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)\n *```")
	inline     = regexp.MustCompile("`(pvechat [a-z][^`]*)`")
	inLine     = regexp.MustCompile(`(?m)^ *(?:(?:sudo|docker) [^#\n]* )?pvechat ([a-z][^#\n]*)`)
)

// documented are the command lines of all pages, without the word pvechat, and
// where each stands.
func documented(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, block := range shellBlock.FindAllStringSubmatch(text, -1) {
			for _, m := range inLine.FindAllStringSubmatch(block[1], -1) {
				found[strings.TrimSpace(m[1])] = page
			}
		}
		for _, m := range inline.FindAllStringSubmatch(shellBlock.ReplaceAllString(text, ""), -1) {
			for _, line := range spelled(strings.TrimPrefix(m[1], "pvechat ")) {
				found[line] = page
			}
		}
	}
	return found
}

// spelled is what "audit export|verify" and "doctor [--json]" stand for.
func spelled(line string) []string {
	if m := regexp.MustCompile(`^(.*) \[([^\]]*)\](.*)$`).FindStringSubmatch(line); m != nil {
		return append(spelled(m[1]+m[3]), spelled(m[1]+" "+m[2]+m[3])...)
	}
	if m := regexp.MustCompile(`^(.*?)(\S+\|\S+)(.*)$`).FindStringSubmatch(line); m != nil {
		var list []string
		for word := range strings.SplitSeq(m[2], "|") {
			list = append(list, spelled(m[1]+word+m[3])...)
		}
		return list
	}
	return []string{line}
}

// desk is a folder with all that the pages suppose to be there.
type desk struct {
	dir     string
	flags   map[string]string // of init
	another string            // a key that seals nothing new
}

func newDesk(t *testing.T, n *newcomer) desk {
	t.Helper()
	flags := n.flags(t)
	if code, out, stderr := initWith(t, flags); code != 0 {
		t.Fatalf("init: %d\n%s%s", code, out, stderr)
	}
	d := desk{dir: filepath.Join(n.dir, "etc"), flags: flags}
	for _, args := range [][]string{{"migrate"}, {"keys", "add"}, {"backup", filepath.Join(d.dir, "pvechat.backup")}} {
		if code, out, stderr := pvechat(t, append([]string{"--config", n.config()}, args...)...); code != 0 {
			t.Fatalf("%q: %d\n%s%s", args, code, out, stderr)
		}
	}
	list, err := seal.Keys(filepath.Join(d.dir, "secrets", "keyset.json"))
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, k := range list {
		if !k.Primary {
			d.another = strconv.FormatUint(uint64(k.ID), 10)
		}
	}
	n.keep(t, filepath.Join(d.dir, "earlier.jsonl"), "")
	return d
}

// Every command on every page does what it is there for.
func TestEveryCommandOfTheDocsRuns(t *testing.T) {
	n := newNewcomer(t)
	at := newDesk(t, n)
	lines := documented(t)
	if len(lines) < 20 {
		t.Fatalf("only %d were found: %q", len(lines), lines)
	}
	for line, page := range lines {
		t.Run(line, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(at.dir)); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"secrets/keyset.json", "config.yaml"} { // CopyFS lets others read
				if err := os.Chmod(filepath.Join(dir, secret), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			in := func(name string) string { return filepath.Join(dir, name) }
			line, to, redirected := strings.Cut(line, ">")
			words := strings.Fields(line)
			for i, w := range words {
				switch {
				case w == "NEW" || w == "OLD":
					words[i] = at.another
				case w == "EXPORT":
					words[i] = in("earlier.jsonl")
				case strings.HasSuffix(w, "config.yaml") || w == "FILE" && words[i-1] == "--config":
					words[i] = in("config.yaml")
				case strings.HasSuffix(w, ".backup") || w == "FILE":
					words[i] = in("a.backup")
				}
			}
			switch words[0] {
			case "init":
				if err := os.Mkdir(in("new"), 0o700); err != nil {
					t.Fatal(err)
				}
				for name, v := range at.flags {
					if name != "config" {
						words = append(words, "--"+name+"="+v)
					}
				}
				words = slices.DeleteFunc(words, func(w string) bool { return w == "--config" || w == in("config.yaml") })
				words = append(words, "--config="+in("new/config.yaml"))
			case "restore": // into an empty database
				for _, err := range []error{os.Rename(in("pvechat.backup"), in("a.backup")), os.Remove(in("pvechat.db"))} {
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--config") }) {
				words = append(words, "--config="+in("config.yaml"))
			}
			if words[0] == "run" {
				serves(t, n, words)
				return
			}
			code, out, stderr := pvechat(t, words...)
			if code != 0 {
				t.Errorf("%s: pvechat %s: exit %d\n%s%s", page, line, code, out, stderr)
			}
			if redirected && out == "" && strings.TrimSpace(to) == "" {
				t.Errorf("%s: nothing for %q", page, to)
			}
		})
	}
}

// serves runs it until it can be typed to.
func serves(t *testing.T, n *newcomer, words []string) {
	t.Helper()
	said := &lines{more: make(chan struct{}, 1)}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	defer stop()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, words, func(string) (string, bool) { return "", false }, strings.NewReader(""), said, said)
	}()
	if err := n.Slack.AwaitConnections(ctx, 1); err != nil {
		t.Errorf("no connection: %v\n%s", err, said)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d\n%s", code, said)
	}
}

// The template and the pieces of configuration on the pages are right.
func TestTheTemplateOfTheDocsIsOne(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "docs/templates.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(raw)
	if m == nil {
		t.Fatal("there is none")
	}
	if _, err := templates.Parse("wiki", "wiki.yaml", m[1]); err != nil {
		t.Error(err)
	}
}

// The role on the page is the one that pvechat prints.
func TestTheRoleOfTheDocsIsTheOneThatIsPrinted(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "docs/security.md"))
	if err != nil || !strings.Contains(string(raw), grant("pvechat@pve!bot")) {
		t.Errorf("docs/security.md has not what pvechat manifest proxmox prints (%v):\n%s", err, grant("pvechat@pve!bot"))
	}
}

// Links between pages lead somewhere.
func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^):#]+)(#[^)]*)?\)`)
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(root, path))
		for _, m := range link.FindAllSubmatch(bytes.TrimSpace(raw), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), string(m[1]))); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
