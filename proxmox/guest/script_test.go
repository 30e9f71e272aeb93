package guest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
)

// asRoot returns a directory that stands for /, and the script for it.
func asRoot(t *testing.T) (root, script string) {
	t.Helper()
	root = t.TempDir()
	return root, strings.ReplaceAll(credentialsScript, "/etc/pvechat", root+"/etc/pvechat")
}

// Debian has dash, Arch and Fedora have bash, Alpine has busybox with
// everything that the script calls.
func TestTheScriptRunsInEveryShell(t *testing.T) {
	for _, shell := range []string{"dash", "bash", "busybox"} {
		t.Run(shell, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), sshdtest.Need(t, shell), "-s")
			cmd.Args[0] = "sh"
			if shell == "busybox" {
				bin := t.TempDir()
				for _, tool := range []string{"od", "stat"} {
					if err := os.Symlink(cmd.Path, filepath.Join(bin, tool)); err != nil {
						t.Fatal(err)
					}
				}
				cmd.Env = []string{"PATH=" + bin}
			}
			root, script := asRoot(t)
			long := strings.Repeat("0123456789", 600)
			sshdtest.Put(t, root+"/etc/pvechat/credentials/web", "A=b\nLONG="+long)
			sshdtest.Put(t, root+"/etc/pvechat/credentials/$(reboot)\n", "A=b")
			sshdtest.Put(t, root+"/etc/pvechat/credentials/large", strings.Repeat("x", 64<<10+1))
			cmd.Stdin = strings.NewReader(script)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			sets, err := readReply(out, "")
			want := `bad credentials: "$(reboot)\n" cannot be the name of a service; "large" is larger than 64 KiB`
			if err == nil || err.Error() != want {
				t.Errorf("got %v\nwant %s", err, want)
			}
			if len(sets) != 1 || sets[0].Service != "web" || len(sets[0].Values) != 2 || sets[0].Values[1].Value.Reveal() != long || sets[0].Modified.IsZero() {
				t.Errorf("got %v", sets)
			}
		})
	}
}

func TestTheScriptTellsWhatItLacks(t *testing.T) {
	for _, lacks := range []string{"od", "stat"} {
		t.Run(lacks, func(t *testing.T) {
			bin := t.TempDir()
			for _, tool := range []string{"od", "stat"} {
				if tool == lacks {
					continue
				}
				if err := os.Symlink(sshdtest.Need(t, tool), filepath.Join(bin, tool)); err != nil {
					t.Fatal(err)
				}
			}
			// The script looks in the usual places too: here they are elsewhere.
			_, script := asRoot(t)
			script = strings.ReplaceAll(script, ":/usr/sbin:/usr/bin:/sbin:/bin", "")
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
			cmd.Env = []string{"PATH=" + bin}
			cmd.Stdin = strings.NewReader(script)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readReply(out, ""); err == nil || !strings.Contains(err.Error(), "the container has no "+lacks) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheScriptTellsWhatItMayNotRead(t *testing.T) {
	// A place that somebody else can get to, unlike t.TempDir.
	root, err := os.MkdirTemp("", "pvechat-guest-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	dir := root + "/etc/pvechat/credentials"
	sshdtest.Put(t, dir+"/web", "A=b")
	script := strings.ReplaceAll(credentialsScript, "/etc/pvechat", root+"/etc/pvechat")

	for _, tc := range []struct {
		closed string
		want   string
	}{
		{root + "/etc/pvechat", "the directory cannot be read by this user"},
		{dir, "the directory cannot be read by this user"},
		{dir + "/web", `"web" cannot be read by this user`},
	} {
		t.Run(strings.TrimPrefix(tc.closed, root), func(t *testing.T) {
			for _, path := range []string{root, root + "/etc", root + "/etc/pvechat", dir, dir + "/web"} {
				if err := os.Chmod(path, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(tc.closed, 0); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
			cmd.Dir = "/"
			cmd.Stdin = strings.NewReader(script)
			if os.Geteuid() == 0 { // nothing is closed to root
				const nobody = 65534
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readReply(out, ""); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err := os.Chmod(tc.closed, 0o755); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestHalfAScriptDoesNothing(t *testing.T) {
	root, script := asRoot(t)
	sshdtest.Put(t, root+"/etc/pvechat/credentials/web", "A=b")
	end := strings.LastIndex(script, `main "$@"`)
	for n := 0; n < end; n += 37 {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
		cmd.Stdin = strings.NewReader(script[:n])
		if out, _ := cmd.Output(); len(out) > 0 {
			t.Errorf("the first %d bytes print %q", n, out)
		}
	}
}

// What the script may do is so little that it can be listed.
func TestTheScriptOnlyReads(t *testing.T) {
	writes := []string{">", "rm", "mv", "cp", "tee", "dd", "eval", "exec", "chmod", "touch", "mkdir", "sh -c", "curl", "wget"}
	for _, line := range strings.Split(credentialsScript, "\n") {
		code := strings.NewReplacer(">/dev/null", "", "2>&1", "").Replace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, w := range writes {
			if strings.Contains(code, w) {
				t.Errorf("%q has %q", line, w)
			}
		}
	}

	root, script := asRoot(t)
	sshdtest.Put(t, root+"/etc/pvechat/credentials/web", "A=b")
	before := listing(t, root)
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(script)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, listing(t, root)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func listing(t *testing.T, root string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ls", "-laR", "--time-style=full-iso", root).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}
