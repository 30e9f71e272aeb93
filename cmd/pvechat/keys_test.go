package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/seal"
)

// A key set lives through a rotation: what the first key sealed opens all the
// time, and a foreign key opens nothing.
func TestKeysAreRotated(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yaml")
	write := func(keyset string) {
		t.Helper()
		text := strings.ReplaceAll(config, "database:", "keyset_file: "+keyset+"\ndatabase:")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("keys.json")
	keys := func(want int, words ...string) string {
		t.Helper()
		code, out, errs := pvechat(t, append([]string{"--config", file, "keys"}, words...)...)
		if code != want {
			t.Fatalf("keys %q: exit %d, want %d\n%s%s", words, code, want, out, errs)
		}
		if strings.Contains(out+errs, "hunter2") {
			t.Fatalf("keys %q shows what is sealed:\n%s%s", words, out, errs)
		}
		return out + errs
	}
	if out := keys(0, "add"); !strings.Contains(out, "first key") {
		t.Errorf("got %q", out)
	}
	if code, out, errs := pvechat(t, "--config", file, "migrate"); code != 0 {
		t.Fatalf("%s%s", out, errs)
	}

	// The bot's use of it: a canary, a value that somebody entered, a line of
	// the audit.
	use := func() {
		t.Helper()
		db, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(dir, "pvechat.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		k, err := seal.OpenFile(filepath.Join(dir, "keys.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Verify(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		db.UseKeys(k)
		if err := db.Record(t.Context(), handlers.Entry{At: time.Now(), Platform: chat.Slack, Action: "test"}); err != nil {
			t.Fatal(err)
		}
		vault := seal.NewVault(k, db)
		sets, err := vault.Kept(t.Context(), "c1")
		if err != nil {
			t.Fatal(err)
		}
		if len(sets) == 0 {
			if err := vault.Keep(t.Context(), "c1", "web", "PASSWORD", chat.NewSecret("hunter2")); err != nil {
				t.Fatal(err)
			}
		} else if sets[0].Service != "web" || sets[0].Values[0].Value.Reveal() != "hunter2" {
			t.Fatalf("%v", sets)
		}
		if none, err := vault.Kept(t.Context(), "c2"); err != nil || len(none) > 0 {
			t.Fatalf("another container has %v, %v", none, err)
		}
		if _, err := seal.NewVault(nil, db).Kept(t.Context(), "c1"); err == nil {
			t.Fatal("without a key set the values are just not there")
		}
	}
	use()
	first := regexp.MustCompile(`key (\d+): sealed 2, seals new`).FindStringSubmatch(keys(0, "check"))
	added := regexp.MustCompile(`added key (\d+)`).FindStringSubmatch(keys(0, "add"))
	if first == nil || added == nil {
		t.Fatalf("first %q, added %q", first, added)
	}
	use()
	keys(1, "retire", first[1])  // it is the primary one
	keys(1, "promote", "123")    // there is none
	keys(0, "promote", added[1]) //
	use()
	if out := keys(1, "retire", first[1]); !strings.Contains(out, "lines of the audit") {
		t.Errorf("got %q", out)
	}
	keys(0, "retire", first[1], "--force")
	use()
	if out := keys(0, "check"); !strings.Contains(out, "key "+added[1]+": sealed 2, seals new values") || strings.Contains(out, first[1]) {
		t.Errorf("got %q", out)
	}

	if err := seal.Generate(filepath.Join(dir, "other.json")); err != nil {
		t.Fatal(err)
	}
	write("other.json")
	if out := keys(1, "check"); !strings.Contains(out, "not everything opens") || !strings.Contains(out, "which is not in the file: sealed 2") {
		t.Errorf("got %q", out)
	}
}
