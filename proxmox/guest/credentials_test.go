package guest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

const dir = "/etc/pvechat/credentials/"

var (
	modified = time.Date(2026, 11, 23, 12, 4, 5, 0, time.UTC)
	revealed = cmp.Transformer("Reveal", guest.Secret.Reveal)
)

func set(service string, keysAndValues ...string) guest.CredentialSet {
	s := guest.CredentialSet{Service: service, Modified: modified}
	for kv := range slices.Chunk(keysAndValues, 2) {
		s.Values = append(s.Values, guest.Credential{Key: kv[0], Value: guest.Secret(kv[1])})
	}
	return s
}

func TestCredentials(t *testing.T) {
	many := make(map[string]string)
	var first50 []guest.CredentialSet
	for i := range 60 {
		name := fmt.Sprintf("s%02d", i)
		many[dir+name] = "A=b\n"
		if i < 50 {
			first50 = append(first50, set(name, "A", "b"))
		}
	}
	quarter := "A=" + strings.Repeat("x", 64<<10-2)

	for name, tc := range map[string]struct {
		files   map[string]string
		modes   map[string]fs.FileMode
		service string
		want    []guest.CredentialSet
		kind    guest.Kind
		says    string
	}{
		"all services, sorted": {
			files: map[string]string{dir + "web": "USER=admin\nPASSWORD=a b\n", dir + "db.main": `{"USER": "root"}`, "/etc/passwd": "A=b"},
			want:  []guest.CredentialSet{set("db.main", "USER", "root"), set("web", "USER", "admin", "PASSWORD", "a b")},
		},
		"one service": {
			files:   map[string]string{dir + "web": "USER=admin\n", dir + "db": "USER=root\n"},
			service: "db",
			want:    []guest.CredentialSet{set("db", "USER", "root")},
		},
		"values are exact": {
			files: map[string]string{dir + "web": "A= \"$(reboot)\" `id` 'x' \\n &<>|*_~ \t# no comment \nB=\nC==a=\nD=" + strings.Repeat("é", 200)},
			want:  []guest.CredentialSet{set("web", "A", " \"$(reboot)\" `id` 'x' \\n &<>|*_~ \t# no comment ", "B", "", "C", "=a=", "D", strings.Repeat("é", 200))},
		},
		"a directory is missing": {
			kind: guest.NoCredentials,
			says: "nothing in /etc/pvechat/credentials/",
		},
		"a service is missing": {
			files:   map[string]string{dir + "web": "USER=admin\n"},
			service: "db",
			kind:    guest.NoCredentials,
			says:    "nothing in /etc/pvechat/credentials/db",
		},
		"hidden files are nobody's business": {
			files: map[string]string{dir + ".web.swp": "\x00"},
			kind:  guest.NoCredentials,
		},
		"a file where the directory should be": {
			files: map[string]string{strings.TrimSuffix(dir, "/"): "A=b"},
			kind:  guest.BadCredentials,
			says:  "/etc/pvechat/credentials/ is no directory",
		},
		"a directory where a file should be": {
			files: map[string]string{dir + "web/A": "b", dir + "db": "A=b"},
			want:  []guest.CredentialSet{set("db", "A", "b")},
			kind:  guest.BadCredentials,
			says:  `"web" is no regular file`,
		},
		"a directory for the service that is asked for": {
			files:   map[string]string{dir + "web/A": "b"},
			service: "web",
			kind:    guest.BadCredentials,
			says:    `"web" is no regular file`,
		},
		"hostile names are told and go nowhere": {
			files: map[string]string{
				dir + "$(reboot)":             "A=b",
				dir + "-rf":                   "A=b",
				dir + "a\n\x1b[31mb":          "A=b",
				dir + "Web":                   "A=b",
				dir + strings.Repeat("x", 64): "A=b",
				dir + strings.Repeat("x", 63): "A=b",
			},
			want: []guest.CredentialSet{set(strings.Repeat("x", 63), "A", "b")},
			kind: guest.BadCredentials,
			says: `"$(reboot)" cannot be the name of a service; "-rf" cannot be the name of a service; ` +
				`"Web" cannot be the name of a service; "a\n\x1b[31mb" cannot be the name of a service; "` +
				strings.Repeat("x", 64) + `" cannot be the name of a service`,
		},
		"files that others can read": {
			files: map[string]string{dir + "a": "A=b", dir + "b": "A=b", dir + "c": "A=b"},
			modes: map[string]fs.FileMode{dir + "a": 0o644, dir + "b": 0o610, dir + "c": 0o400},
			want:  []guest.CredentialSet{set("c", "A", "b")},
			kind:  guest.BadCredentials,
			says:  "a: mode 0644 lets others read it: chmod 600; b: mode 0610 lets others read it: chmod 600",
		},
		"a file that is just small enough": {
			files: map[string]string{dir + "web": quarter},
			want:  []guest.CredentialSet{set("web", "A", quarter[2:])},
		},
		"a file that is too large": {
			files: map[string]string{dir + "web": quarter + "x", dir + "db": "A=b"},
			want:  []guest.CredentialSet{set("db", "A", "b")},
			kind:  guest.BadCredentials,
			says:  `"web" is larger than 64 KiB`,
		},
		"a megabyte": {
			files:   map[string]string{dir + "web": strings.Repeat("x", 1<<20)},
			service: "web",
			kind:    guest.BadCredentials,
			says:    `"web" is larger than 64 KiB`,
		},
		"files that are too large together": {
			files: map[string]string{dir + "a": quarter, dir + "b": quarter, dir + "c": quarter, dir + "d": quarter[1:], dir + "e": "A=b", dir + "f": ""},
			want:  []guest.CredentialSet{set("a", "A", quarter[2:]), set("b", "A", quarter[2:]), set("c", "A", quarter[2:])},
			kind:  guest.BadCredentials,
			says:  `d: line 1 is not KEY=VALUE; "e" is left out: together they are larger than 256 KiB; f: it has no values`,
		},
		"too many files": {
			files: many,
			want:  first50,
			kind:  guest.BadCredentials,
			says:  "there are more than 50 files, the rest is left out",
		},
		"too many files, and one is asked for": {
			files:   many,
			service: "s59",
			want:    []guest.CredentialSet{set("s59", "A", "b")},
		},
		"content that is no text": {
			files: map[string]string{
				dir + "binary":   "\x7fELF\x00\x00",
				dir + "latin":    "A=\xe9\n",
				dir + "escapes":  "A=\x1b[2J\n",
				dir + "windows":  "A=b\r\n",
				dir + "nul":      "A=\x00\n",
				dir + "fine":     "A=\U0001f600\n",
				dir + "nothing":  "",
				dir + "comments": "# A=b\n\n",
			},
			want: []guest.CredentialSet{set("fine", "A", "\U0001f600")},
			kind: guest.BadCredentials,
			says: "binary: line 1 is not KEY=VALUE; comments: it has no values; escapes: line 1 has a control character; " +
				"latin: it is not UTF-8; nothing: it has no values; and 2 more",
		},
	} {
		check := func(t *testing.T, g guesttest.Guest) {
			l := newLAN(t)
			l.Put(addr1, g)
			sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), tc.service)
			if diff := cmp.Diff(tc.want, sets, revealed); diff != "" {
				t.Errorf("sets (-want +got):\n%s", diff)
			}
			if tc.kind == "" && err != nil || tc.kind != "" && !errors.Is(err, tc.kind) {
				t.Errorf("got %v, want %q", err, tc.kind)
			}
			if want := string(tc.kind) + ": " + tc.says; err != nil && tc.says != "" && err.Error() != want {
				t.Errorf("it says\n%s\nwant\n%s", err, want)
			}
		}
		t.Run("in the simulator: "+name, func(t *testing.T) {
			check(t, guesttest.Guest{Files: tc.files, Modes: tc.modes, Modified: modified})
		})
		t.Run("by the real script: "+name, func(t *testing.T) {
			check(t, guesttest.Guest{Root: tree(t, tc.files, tc.modes)})
		})
	}
}

// tree writes files below a directory, which it returns.
func tree(t *testing.T, files map[string]string, modes map[string]fs.FileMode) string {
	t.Helper()
	root := t.TempDir()
	for file, content := range files {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		mode, ok := modes[file]
		if !ok {
			mode = 0o600
		}
		write(t, path, []byte(content), mode)
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLinksAndDevicesAreNotFollowed(t *testing.T) {
	root := tree(t, map[string]string{"/secret": "A=b", dir + "web": "A=b"}, nil)
	for link, to := range map[string]string{"link": root + "/secret", "dangling": root + "/nowhere", "zero": "/dev/zero", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(root, dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Root: root})
	sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), "")
	if diff := cmp.Diff([]guest.CredentialSet{set("web", "A", "b")}, sets, revealed); diff != "" {
		t.Errorf("sets (-want +got):\n%s", diff)
	}
	want := `bad credentials: "dangling" is a symbolic link; "link" is a symbolic link; "up" is a symbolic link; "zero" is a symbolic link`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAServiceThatCannotBeOneIsNotAskedFor(t *testing.T) {
	l := newLAN(t)
	l.cfg.Dial = nil // nobody is there
	for _, service := range []string{"$(reboot)", "a b", "-s", "../shadow", "a;b", "A", "a\n", strings.Repeat("x", 64), "\x00", "*"} {
		_, err := guest.New(l.cfg).Credentials(t.Context(), guest.Target{}, service)
		if !errors.Is(err, guest.NoCredentials) || !strings.Contains(err.Error(), "cannot be the name of a service") {
			t.Errorf("%q: got %v", service, err)
		}
	}
}

func TestAReplyThatIsNoneIsTold(t *testing.T) {
	const header = "pvechat-credentials 1\n"
	for name, tc := range map[string]struct {
		reply   string
		service string
		says    string // empty: it is fine
	}{
		"noise around it":                {"Welcome!\nLast login: today" + "\n" + header + "file web 600 0 4\n 41 3d 62 0a\n.\nend\nlogout\n", "", ""},
		"nothing":                        {"", "", "did not run"},
		"a forced command":               {"This account is not available.\n", "", "did not run"},
		"another version":                {"pvechat-credentials 2\nend\n", "", "did not run"},
		"the script itself":              {"#\tpvechat-credentials 1\n", "", "did not run"},
		"it ends after the header":       {header, "", "line 2 of the reply: no such thing"},
		"it ends in a file":              {header + "file web 600 0 4\n 41 3d\n", "", "it ends early"},
		"it ends in a line":              {header + "file web 600 0 4\n 41 3", "", "no hex digits"},
		"it ends between files":          {header + "file web 600 0 4\n 41 3d 62 0a\n.", "", "it ends early"},
		"text where hex should be":       {header + "file web 600 0 4\nA=b\n.\nend\n", "", "no hex digits"},
		"half a digit":                   {header + "file web 600 0 4\n 4\n.\nend\n", "", "no hex digits"},
		"more than was announced":        {header + "file web 600 0 4\n" + strings.Repeat("41", 64<<10+2) + "\n.\nend\n", "", "too much"},
		"an odd mode":                    {header + "file web rwx 0 4\n.\nend\n", "", "an odd file"},
		"an odd time":                    {header + "file web 600 now 4\n.\nend\n", "", "an odd file"},
		"an odd size":                    {header + "file web 600 0 four\n.\nend\n", "", "an odd file"},
		"an odd name":                    {header + "file ../web 600 0 4\n.\nend\n", "", "an odd file"},
		"another file than asked for":    {header + "file web 600 0 4\n 41 3d 62 0a\n.\nend\n", "db", "another file"},
		"a reason that the script lacks": {header + "skip because\n 41\n.\nend\n", "", "no such reason"},
		"a long name":                    {header + "skip name\n" + strings.Repeat("41", 256) + "\n.\nend\n", "", "too much"},
		"a record that the script lacks": {header + "link web\nend\n", "", "no such thing"},
		"many files":                     {header + strings.Repeat("skip name\n 41\n.\n", 71) + "end\n", "", "too many files"},
		"without end":                    {"Z" + strings.Repeat("x", 2<<20), "", "more than 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			l.Put(addr1, guesttest.Guest{Exec: says(tc.reply)})
			sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), tc.service)
			switch {
			case tc.says == "" && (err != nil || len(sets) != 1):
				t.Errorf("got %v, %v", sets, err)
			case tc.says != "" && (!errors.Is(err, guest.Output) || !strings.Contains(err.Error(), tc.says) || sets != nil):
				t.Errorf("got %v, %v, want %q", sets, err, tc.says)
			}
		})
	}
}

// says is a command that prints reply, and stops when nobody listens any more.
func says(reply string) func(context.Context, string, guesttest.Stdio) uint32 {
	return func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
		_, _ = io.Copy(io.Discard, stdio.In)
		_, _ = io.WriteString(stdio.Out, reply)
		return 0
	}
}

func TestAFileThatChangesWhileItIsReadIsTold(t *testing.T) {
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Exec: says("pvechat-credentials 1\nfile web 600 0 400\n 41 3d 62 0a\n.\nend\n")})
	sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), "")
	if sets != nil || !errors.Is(err, guest.BadCredentials) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("got %v, %v", sets, err)
	}
}

func TestAnOddFileTimeIsNone(t *testing.T) {
	for _, at := range []string{"-1", "253402300800", "9223372036854775807"} {
		l := newLAN(t)
		l.Put(addr1, guesttest.Guest{Exec: says("pvechat-credentials 1\nfile web 600 " + at + " 4\n 41 3d 62 0a\n.\nend\n")})
		sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), "")
		if err != nil || !sets[0].Modified.IsZero() {
			t.Errorf("%s: got %v, %v", at, sets, err)
		}
	}
}

// The installer and the reader agree: what the document tells installers to run
// is run, and read.
func TestWhatTheDocumentSaysWorks(t *testing.T) {
	document, err := os.ReadFile("../../docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(document, -1)
	if len(blocks) == 0 {
		t.Fatal("it has no examples")
	}
	root := t.TempDir()
	for _, block := range blocks {
		script := bytes.ReplaceAll(block[1], []byte("/etc/pvechat"), []byte(root+"/etc/pvechat"))
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-e", "-c", string(script))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, script, out)
		}
	}
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Root: root})
	sets, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), "")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for _, s := range sets {
		if time.Since(s.Modified) > time.Hour {
			t.Errorf("%s is of %v", s.Service, s.Modified)
		}
		for _, v := range s.Values {
			got[s.Service] = append(got[s.Service], v.Key)
		}
	}
	want := map[string][]string{"jellyfin": {"URL", "USER", "PASSWORD"}, "wireguard": {"peer-1.conf"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFurtherFilesLieElsewhere(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{dir + "web": "A=web\n", dir + "db": "A=db\n", "/root/wp.creds": "A=wp\n", "/root/other-db": "A=other\n"}
	for file, content := range files {
		place := root + file
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, place, []byte(content), 0o600)
	}
	further := []guest.CredentialFile{{Service: "wordpress", Path: "/root/wp.creds"}, {Service: "db", Path: "/root/other-db"}, {Service: "none", Path: "/root/none"}}
	for name, g := range map[string]guesttest.Guest{"pretended": {Files: files}, "real": {Root: root}} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			l.Put(addr1, g)
			client := guest.New(l.cfg)
			files := further
			if g.Root != "" {
				files = slices.Clone(further)
				for i := range files {
					files[i].Path = root + files[i].Path
				}
			}
			sets, err := client.Credentials(t.Context(), target(addr1), "", files...)
			if err == nil || err.Error() != "bad credentials: db: it has files in two places, the other one is shown" {
				t.Errorf("got %v", err)
			}
			var got []string
			for _, s := range sets {
				got = append(got, s.Service+"="+s.Values[0].Value.Reveal())
			}
			if want := []string{"db=db", "web=web", "wordpress=wp"}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if sets, err := client.Credentials(t.Context(), target(addr1), "wordpress", files...); err != nil || len(sets) != 1 || sets[0].Values[0].Value.Reveal() != "wp" {
				t.Errorf("of one service: %v, %v", sets, err)
			}
		})
	}
	l := newLAN(t)
	l.Put(addr1, guesttest.Guest{Exec: func(_ context.Context, command string, _ guesttest.Stdio) uint32 {
		t.Errorf("ran %q", command)
		return 1
	}})
	for _, path := range []string{"", "relative", "/a b", "/a;b", "/$(x)", "/../etc/shadow", "/a/../b", "/a/..", "/", "/a//b", "/a\nb", "/`x`", "/a'b"} {
		if _, err := guest.New(l.cfg).Credentials(t.Context(), target(addr1), "", guest.CredentialFile{Service: "x", Path: path}); !errors.Is(err, guest.BadCredentials) {
			t.Errorf("%q: got %v", path, err)
		}
	}
}
