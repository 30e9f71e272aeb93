package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// onEngines runs a test once for each engine, in a world with one container
// that the bot has seen.
func onEngines(t *testing.T, test func(t *testing.T, w *daemontest.World, ana *daemontest.Person)) {
	t.Helper()
	t.Parallel()
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			w := daemontest.New(t, proxmoxtest.Options{})
			w.Database = engine.URL(t)
			w.PVE.AddContainer(proxmoxtest.Container{VMID: 101, Name: "web", Running: true})
			test(t, w, w.Person(daemontest.Slack, "Ana", "admin"))
		})
	}
}

// refused runs the program, which has to end by itself before it has spoken to
// anybody.
func refused(t *testing.T, w *daemontest.World, file string, want ...string) {
	t.Helper()
	before := len(w.PVE.Requests()) + len(w.Slack.Requests()) + len(w.Discord.Requests())
	code, _, stderr := pvechat(t, "run", "-c", file)
	if code != exitFailed {
		t.Errorf("run: exit %d, want %d", code, exitFailed)
	}
	for _, text := range want {
		if !strings.Contains(stderr, text) {
			t.Errorf("run does not name %s:\n%s", text, stderr)
		}
	}
	if n := len(w.PVE.Requests()) + len(w.Slack.Requests()) + len(w.Discord.Requests()); n != before {
		t.Errorf("it made %d requests before it refused", n-before)
	}
}

// saved runs the bot until what it found on Proxmox is in the database, and
// returns the ids of the containers there.
func saved(t *testing.T, w *daemontest.World, person *daemontest.Person) []string {
	t.Helper()
	stop := w.Run()
	person.Until("what was found is saved", func() bool { return len(ids(t, w)) > 0 })
	stop()
	return ids(t, w)
}

func execute(t *testing.T, w *daemontest.World, statement string) {
	t.Helper()
	if _, err := w.DB().ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func ids(t *testing.T, w *daemontest.World) []string {
	t.Helper()
	rows, err := w.DB().QueryContext(t.Context(), `SELECT id FROM containers ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		list = append(list, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// D2
func TestADroppedColumnIsNamedAndMended(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, ana *daemontest.Person) {
		before := saved(t, w, ana)
		execute(t, w, `ALTER TABLE containers DROP COLUMN hostname`)
		refused(t, w, w.Config(), "containers", "hostname", "text", "pvechat migrate --repair")
		if code, _, stderr := pvechat(t, "migrate", "--repair", "-c", w.Config()); code != 0 {
			t.Fatalf("repair: %s", stderr)
		}
		w.Run()
		if after := ids(t, w); !slices.Equal(after, before) {
			t.Errorf("containers %q, were %q", after, before)
		}
		ana.Command("show web") // its name was read again
		ana.Sees("web", "Overview")
		if code, out, _ := pvechat(t, "migrate", "--status", "-c", w.Config()); code != 0 || strings.Contains(out, "different") {
			t.Errorf("status after repair:\n%s", out)
		}
	})
}

// D4
func TestPendingMigrationsAreAppliedOrNamed(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, ana *daemontest.Person) {
		file := w.Config()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		strict := strings.Replace(string(data), "database: {", "database: {auto_migrate: false, ", 1)
		refused(t, w, write(t, strict), "20261123000001", "pvechat migrate")
		w.Run() // applied before it serves
		ana.Command("show web")
		ana.Sees("web", "Overview")
	})
}

// D5
func TestADatabaseOfANewerProgramIsLeftAlone(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, ana *daemontest.Person) {
		before := saved(t, w, ana)
		execute(t, w, `INSERT INTO bun_migrations (id, name, group_id, migrated_at) VALUES (999999, '29990101000001', 999999, CURRENT_TIMESTAMP)`)
		refused(t, w, w.Config(), "newer", "29990101000001")
		if code, out, _ := pvechat(t, "migrate", "-c", w.Config()); code == 0 {
			t.Errorf("migrate took it: %s", out)
		}
		if after := ids(t, w); !slices.Equal(after, before) {
			t.Errorf("containers %q, were %q", after, before)
		}
	})
}

// D7
func TestTwoProcessesStartOnAnEmptyDatabase(t *testing.T) {
	onEngines(t, func(t *testing.T, w *daemontest.World, ana *daemontest.Person) {
		if strings.HasPrefix(w.Database, "sqlite:") {
			w.Run()
			if code, out, stderr := pvechat(t, "migrate", "--status", "-c", w.Config()); code != 0 {
				t.Errorf("what only reads works beside it: exit %d %s %s", code, out, stderr)
			}
			if testing.Short() {
				return // the second process waits for 15 s
			}
			code, _, stderr := pvechat(t, "run", "-c", w.Config())
			if code != exitFailed || !strings.Contains(stderr, "/"+strconv.Itoa(os.Getpid())+"/") {
				t.Errorf("the second: exit %d, want %d and the holder's name:\n%s", code, exitFailed, stderr)
			}
			return
		}
		other := daemontest.New(t, proxmoxtest.Options{})
		other.Database, other.PVE, other.Off = w.Database, w.PVE, daemontest.Discord // two bots of one cluster; of one gateway, one would stand by
		var both sync.WaitGroup
		both.Go(func() { w.Run() })
		both.Go(func() { other.Run() })
		both.Wait()
		ana.Command("show web")
		ana.Sees("web", "Overview")
	})
}
