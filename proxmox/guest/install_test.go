package guest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
)

// installed is a real sshd whose /run is elsewhere.
func installed(t *testing.T) (*Client, Target, string) {
	t.Helper()
	root := t.TempDir()
	s := sshdtest.Start(t, fmt.Sprintf(`ForceCommand sed 's|/run/pvechat|%s/pvechat|g' | $SSH_ORIGINAL_COMMAND`, root))
	return clientOf(t, s), Target{Node: "pve1", VMID: 101, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, root
}

func TestAScriptPrintsLineByLine(t *testing.T) {
	c, to, root := installed(t)
	var lines []string
	err := c.Run(t.Context(), to, Script{
		Text: "echo one; echo two >&2\nprintf '10%%\\r100%%\\n'\nread x || echo nothing to read\necho PASSWORD=hunter2\nprintf 'no end'", Within: time.Minute,
		Line: func(l string) { lines = append(lines, l) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"one", "two", "100%", "nothing to read", "PASSWORD=[redacted]", "no end"}; !slices.Equal(lines, want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("it leaves %v", left)
	}
}

func TestAScriptEndsAtItsFirstFailure(t *testing.T) {
	c, to, _ := installed(t)
	var lines []string
	err := c.Run(t.Context(), to, Script{Text: "echo before\n(exit 7)\necho after", Within: time.Minute, Line: func(l string) { lines = append(lines, l) }})
	if status, ok := StatusOf(err); !ok || status != 7 || !errors.Is(err, Exit) || !slices.Equal(lines, []string{"before"}) {
		t.Errorf("%v, lines %q", err, lines)
	}
	if err := c.Run(t.Context(), to, Script{Text: "$(reboot-nothing)'; EOF\necho $undefined", Within: time.Minute}); !errors.Is(err, Exit) {
		t.Errorf("an undefined variable passes: %v", err)
	}
}

func TestAScriptThatTakesTooLongIsEndedByTheNext(t *testing.T) {
	c, to, root := installed(t)
	began := make(chan struct{})
	mark := filepath.Join(root, "mark")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- c.Run(ctx, to, Script{Text: "echo began; sleep 600; touch " + mark, Within: time.Hour, Line: func(string) { close(began) }})
	}()
	<-began
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	pid, err := os.ReadFile(filepath.Join(root, "pvechat-install.pid"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), to, Script{Text: "! kill -0 " + strings.TrimSpace(string(pid)) + " 2>/dev/null", Within: time.Minute}); err != nil {
		t.Errorf("the first one still runs: %v", err)
	}
	err = c.Run(t.Context(), to, Script{Text: "sleep 600", Within: 50 * time.Millisecond})
	if !errors.Is(err, Timeout) {
		t.Errorf("without an end: %v", err)
	}
}

func TestAFileIsPutExactly(t *testing.T) {
	c, to, root := installed(t)
	path := filepath.Join(root, "a dir", "it's $(here)`x`.conf")
	for _, content := range []string{"no line end", "", "two\nlines\n", "\x00\xff binary \r\n", strings.Repeat("long ", 50_000)} {
		if err := c.Put(t.Context(), to, File{Path: path, Mode: 0o640, Content: []byte(content)}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("%.20q came out as %.20q, %v", content, got, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	one := filepath.Join(root, "one")
	put := func(f File) {
		t.Helper()
		f.Path, f.Mode = one, 0o644
		if err := c.Put(t.Context(), to, f); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) string {
		b, _ := os.ReadFile(path)
		return string(b)
	}
	put(File{Content: []byte("first"), Keep: true})
	put(File{Content: []byte("second"), Keep: true})
	if read(one) != "first" {
		t.Error("what is to stay was replaced")
	}
	put(File{Content: []byte("first"), Backup: true})
	if read(one+".before-pvechat") != "" {
		t.Error("what did not change was kept twice")
	}
	put(File{Content: []byte("third"), Backup: true})
	if read(one) != "third" || read(one+".before-pvechat") != "first" {
		t.Errorf("%q, before %q", read(one), read(one+".before-pvechat"))
	}
	if err := c.Put(t.Context(), to, File{Path: root, Mode: 0o644}); !errors.Is(err, Exit) {
		t.Errorf("a directory in its place: %v", err)
	}
}
