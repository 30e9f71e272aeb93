package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

func TestNoErrorAndNoPrintShowsThePassword(t *testing.T) {
	const canary = "CANARY-password"
	var log bytes.Buffer
	for _, url := range []string{
		"postgres://bot:" + canary + "@127.0.0.1:1/pvechat?sslmode=disable",
		"postgres://bot:" + canary + "@/pvechat?host=/nowhere&sslmode=disable",
		"postgres://bot:" + canary + "@[::1/pvechat",
		"postgres://bot:" + canary + "@127.0.0.1:port/pvechat",
		"postgres://127.0.0.1:1/pvechat?password=" + canary + "&sslmode=nonsense",
		"mysql://bot:" + canary + "@127.0.0.1/pvechat",
		"bot:" + canary,
		canary,
		"",
	} {
		c := storage.Config{URL: url, Log: slog.New(slog.NewTextHandler(&log, nil))}
		db, err := storage.Open(t.Context(), c)
		if err == nil {
			t.Errorf("%s opens", url)
			must(t, db.Close())
			continue
		}
		c.Log.Info("opening", "config", c, "error", err)
		for _, s := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", c, c, c), log.String()} {
			if strings.Contains(s, canary) {
				t.Errorf("%s: it shows in %s", url, s)
			}
		}
	}
}

func TestPing(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Ping(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := db.Ping(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("after its context has ended: %v", err)
		}
	})
}

func TestASQLiteFileMayHaveAnyName(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"plain.db", "a b?c=d&mode=ro#e%20f.db", "ä'\"\\.db"} {
		path := filepath.Join(folder, name)
		must(t, start(t, "sqlite:"+path, storage.Files, true))
		info, err := os.Stat(path)
		must(t, err)
		if info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, mode %v", name, info.Size(), info.Mode())
		}
	}
	t.Chdir(folder)
	must(t, start(t, "sqlite:plain.db", storage.Files, false))
}

func TestASQLiteFileThatCannotBeOpenedIsNamed(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []storage.Config{
		{URL: "sqlite:" + filepath.Join(folder, "no", "folder.db")},
		{URL: "sqlite:" + filepath.Join(folder, "no.db"), ReadOnly: true},
		{URL: "sqlite:" + folder},
	} {
		_, err := storage.Open(t.Context(), c)
		wantText(t, err, folder)
	}
	if _, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + filepath.Join(folder, "no.db"), ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there, to be read: %v", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "no.db")); err == nil {
		t.Error("reading made a file")
	}
	for _, url := range []string{"sqlite:", "sqlite::memory:"} {
		if _, err := storage.Open(t.Context(), storage.Config{URL: url}); err == nil {
			t.Errorf("%s opens", url)
		}
	}

	path := filepath.Join(folder, "text.db")
	must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
	if _, err := storage.Open(t.Context(), storage.Config{URL: "sqlite:" + path}); err == nil {
		t.Error("a text opens")
	}
	// The lock went with the attempt.
	must(t, os.Remove(path))
	must(t, start(t, "sqlite:"+path, storage.Files, true))
}

func TestSQLiteKnowsAMissingColumnFromAText(t *testing.T) {
	db := storagetest.Open(t)
	var s string
	if err := db.Bun().NewRaw(`SELECT "nosuch" FROM containers`).Scan(t.Context(), &s); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("an unknown column in double quotes: %v", err)
	}
}

func TestTransactionsThatReadBeforeTheyWriteWaitForEachOther(t *testing.T) {
	db := storagetest.Open(t)
	sql(t, db, "INSERT INTO clusters (name, claimed) VALUES ('n', 0)")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				err := db.Bun().RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
					var n int
					if err := tx.NewRaw("SELECT claimed FROM clusters").Scan(ctx, &n); err != nil {
						return err
					}
					_, err := tx.NewRaw("UPDATE clusters SET claimed = ?", n+1).Exec(ctx)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := query[int](t, db, "SELECT claimed FROM clusters"); n != 200 {
		t.Errorf("counted to %d, want 200", n)
	}
}

// heard is a log that says when a line with some text was written.
type heard struct {
	slog.Handler
	text string
	ch   chan string
}

func newHeard(text string) heard {
	return heard{Handler: slog.DiscardHandler, text: text, ch: make(chan string, 16)}
}

func (heard) Enabled(context.Context, slog.Level) bool { return true }

func (h heard) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.text) {
		line := r.Message
		r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
		h.ch <- line
	}
	return nil
}

func TestD7ASecondProcessWaitsForTheFile(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "bot.db")
	first := holder(t, url)
	first.opened()

	// Somebody who reads does not wait.
	reader, err := storage.Open(t.Context(), storage.Config{URL: url, ReadOnly: true})
	must(t, err)
	if s := status(t, reader); len(s.Applied) == 0 || len(s.Pending) != 0 {
		t.Errorf("beside a running bot: %+v", s)
	}
	if _, err := reader.Containers(t.Context(), "home"); err != nil {
		t.Error(err)
	}
	if err := reader.Save(t.Context(), []inventory.Record{jellyfin}); err == nil {
		t.Error("a reader writes")
	}
	must(t, reader.Close())

	// Another bot waits for a while.
	_, err = storage.Open(t.Context(), storage.Config{URL: url, LockWait: time.Millisecond})
	locked := as[*storage.LockedError](t, err)
	who := fmt.Sprintf("pid %d on ", first.cmd.Process.Pid)
	if !strings.HasPrefix(locked.Holder, who) || !strings.HasSuffix(locked.Holder, ", the other one") {
		t.Errorf("holder %q", locked.Holder)
	}
	wantText(t, err, who, "bot.db", "1ms")

	// By another name it is the same file.
	link := filepath.Join(t.TempDir(), "link.db")
	must(t, os.Symlink(strings.TrimPrefix(url, "sqlite:"), link))
	_, err = storage.Open(t.Context(), storage.Config{URL: "sqlite:" + link, LockWait: time.Millisecond})
	as[*storage.LockedError](t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := storage.Open(ctx, storage.Config{URL: url}); !errors.Is(err, context.Canceled) {
		t.Errorf("when its context ends: %v", err)
	}
}

func TestD7WhoeverWaitsGetsTheFileHoweverItsHolderEnds(t *testing.T) {
	for name, end := range map[string]func(*process) error{
		"it ends":      func(p *process) error { return p.in.Close() },
		"it is killed": func(p *process) error { return p.cmd.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			url := "sqlite:" + filepath.Join(t.TempDir(), "bot.db")
			first := holder(t, url)
			first.opened()

			waits := newHeard("waiting for the database")
			opened := make(chan error, 1)
			go func() {
				db, err := storage.Open(t.Context(), storage.Config{URL: url, LockWait: time.Minute, Log: slog.New(waits)})
				if err == nil {
					err = errors.Join(db.Check(t.Context(), true), db.Close())
				}
				opened <- err
			}()
			if line, who := <-waits.ch, fmt.Sprintf("pid %d on ", first.cmd.Process.Pid); !strings.Contains(line, who) {
				t.Errorf("it says %q, want %q in it", line, who)
			}
			must(t, end(first))
			must(t, <-opened)
		})
	}
}

// A full disk is told by every write, leaves nothing half done, and does not
// outlast its end.
func TestAFullDiskIsToldAndReadsGoOn(t *testing.T) {
	db, ctx := storagetest.Open(t), t.Context()
	must(t, db.Save(ctx, []inventory.Record{{ID: "a", Cluster: "home", VMID: 1, Hostname: "web", FirstSeen: noon, SeenAt: noon}}))
	pages := query[int](t, db, "PRAGMA page_count")
	limit := func(pages int) {
		_, err := db.Bun().NewRaw(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Exec(ctx)
		must(t, err)
	}
	limit(pages)
	large := make([]inventory.Record, 500)
	for i := range large {
		large[i] = inventory.Record{ID: inventory.ID(fmt.Sprint("x", i)), Cluster: "home", VMID: 100 + i, Hostname: strings.Repeat("x", 60), FirstSeen: noon, SeenAt: noon}
	}
	if err := db.Save(ctx, large); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("saved: %v", err)
	}
	got, err := db.Containers(ctx, "home")
	if err != nil || len(got) != 1 || got[0].Hostname != "web" {
		t.Errorf("read %d, %v", len(got), err)
	}
	limit(1 << 20)
	must(t, db.Save(ctx, large))
}
