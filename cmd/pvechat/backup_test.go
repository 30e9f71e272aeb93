package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// The database moves to the other engine beside a running bot, and everything
// goes on there: boards, keys, the audit, own ids.
func TestABackupGoesOnInAnyEngine(t *testing.T) {
	for _, from := range storagetest.Engines(t) {
		for _, to := range storagetest.Engines(t) {
			t.Run(from.Name+" to "+to.Name, func(t *testing.T) {
				w := daemontest.New(t, proxmoxtest.Options{})
				w.Database, w.Keys = from.URL(t), true
				w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Name: "web", Running: true})
				w.PVE.AddContainer(proxmoxtest.Container{VMID: 102, Name: "wiki"})
				ana := w.Person(daemontest.Slack, "Ana", "admin")
				stop := w.Run()
				ana.Command("dashboard")
				board := ana.Sees("wiki stopped")
				ana.Command("start wiki")
				ana.Sees("Started wiki")
				w.Told()

				file := filepath.Join(t.TempDir(), "pvechat.backup")
				if code, out, stderr := pvechat(t, "backup", file, "-c", w.Config()); code != 0 {
					t.Fatalf("exit %d: %s%s", code, out, stderr)
				}
				if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("others can read it: %v, %v", info.Mode(), err)
				}
				stop()
				was := ids(t, w)
				w.Database = to.URL(t)
				code, out, stderr := pvechat(t, "restore", file, "-c", w.Config())
				if code != 0 || !strings.HasPrefix(out, "rows: ") {
					t.Fatalf("exit %d: %s%s", code, out, stderr)
				}
				if now := ids(t, w); strings.Join(now, " ") != strings.Join(was, " ") {
					t.Errorf("containers %q, were %q", now, was)
				}
				for _, args := range [][]string{{"keys", "check"}, {"audit", "verify"}, {"doctor"}} {
					if code, out, stderr := pvechat(t, append(args, "-c", w.Config())...); code != 0 {
						t.Errorf("%v: exit %d\n%s%s", args, code, out, stderr)
					}
				}

				w.Run()
				ana.Command("stop wiki")
				ana.Sees("Stop wiki?", "This question ends").Press("Stop container")
				ana.Sees("Stopped wiki")
				ana.Until("the board that was there before", func() bool {
					now, ok := board.Again()
					return ok && strings.Contains(now.Text, "wiki stopped")
				})
				if code, out, stderr := pvechat(t, "audit", "verify", "-c", w.Config()); code != 0 {
					t.Errorf("verify, later: exit %d\n%s%s", code, out, stderr)
				}

				// A file that is there is not written over.
				if code, _, stderr := pvechat(t, "backup", file, "-c", w.Config()); code != exitFailed || !strings.Contains(stderr, "exists") {
					t.Errorf("it writes over a file: exit %d, %s", code, stderr)
				}
			})
		}
	}
}

func TestARestoreIsWholeOrNotAtAll(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, ana *daemontest.Person) {
		saved(t, w, ana)
		dir := t.TempDir()
		whole := filepath.Join(dir, "whole")
		if code, _, stderr := pvechat(t, "backup", whole, "-c", w.Config()); code != 0 {
			t.Fatal(stderr)
		}
		if code, _, stderr := pvechat(t, "restore", whole, "-c", w.Config()); code != exitFailed || !strings.Contains(stderr, "not empty") {
			t.Errorf("into a database with rows: exit %d, %s", code, stderr)
		}

		raw, err := os.ReadFile(whole)
		if err != nil {
			t.Fatal(err)
		}
		zip, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(zip)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		w.Database = "sqlite:" + filepath.Join(dir, "empty.db")
		for name, c := range map[string]struct{ text, says string }{
			"cut off":         {strings.Join(lines[:len(lines)-2], ""), "cut off"},
			"a row is gone":   {strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""), "lacks rows"},
			"another version": {strings.Replace(string(text), `"version":"2026`, `"version":"2019`, 1), "restore it with the pvechat that made it"},
			"another file":    {`{"hello": 1}` + "\n", "not a backup of pvechat"},
			"another table":   {strings.Replace(string(text), `"table":"containers"`, `"table":"sqlite_master"`, 1), "has not"},
		} {
			var b bytes.Buffer
			out := gzip.NewWriter(&b)
			_, _ = out.Write([]byte(c.text))
			_ = out.Close()
			file := filepath.Join(dir, strconv.Itoa(len(name)))
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if code, _, stderr := pvechat(t, "restore", file, "-c", w.Config()); code != exitFailed || !strings.Contains(stderr, c.says) {
				t.Errorf("%s: exit %d, %s", name, code, stderr)
			}
			if left := ids(t, w); len(left) > 0 {
				t.Errorf("%s: it left %q", name, left)
			}
		}
		if code, _, stderr := pvechat(t, "restore", whole, "-c", w.Config()); code != 0 || len(ids(t, w)) == 0 {
			t.Errorf("the whole one: exit %d, %s", code, stderr)
		}
	})
}
