package daemon

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

func TestTablesThatDriftWhileTheBotRunsAreToldAndMended(t *testing.T) {
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			url := engine.URL(t)
			var said bytes.Buffer
			log := slog.New(slog.NewTextHandler(&said, nil))
			db, err := storage.Open(t.Context(), storage.Config{URL: url, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if err := db.Check(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			tables := &drift{db: db, log: log}
			inv := inventory.New(inventory.Config{Store: db})
			d, err := New(Config{}, log)
			if err != nil {
				t.Fatal(err)
			}
			database := func() bot.Check {
				t.Helper()
				for _, c := range d.checks(db, tables, inv, alerts.New(alerts.Config{}), doctor.New(doctor.Config{}))(t.Context()) {
					if c.Name == "database" {
						return c
					}
				}
				t.Fatal("there is no check of the database")
				return bot.Check{}
			}
			tables.look(t.Context())
			if c := database(); !c.OK {
				t.Fatalf("at first it says %+v", c)
			}

			raw := open(t, url)
			if _, err := raw.ExecContext(t.Context(), `ALTER TABLE containers DROP COLUMN hostname`); err != nil {
				t.Fatal(err)
			}
			if c := database(); !c.OK {
				t.Errorf("the tables are compared at every question: %+v", c)
			}
			tables.look(t.Context())
			if c := database(); c.OK || !strings.Contains(c.Detail, "containers") || !strings.Contains(c.Detail, "hostname") {
				t.Errorf("it says %+v", c)
			}
			if !strings.Contains(tables.how(), "hostname") {
				t.Errorf("nothing would be refused: %q", tables.how())
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			tables.look(over)
			if c := database(); c.OK {
				t.Error("a database that does not answer counts as mended")
			}

			if _, err := db.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			tables.look(t.Context())
			if c := database(); !c.OK || tables.how() != "" {
				t.Errorf("mended, it says %+v", c)
			}
			if n := strings.Count(said.String(), "the tables differ"); n != 2 {
				t.Errorf("the log tells it %d times, not when it began and ended:\n%s", n, said.String())
			}
		})
	}
}

// open opens a database beside the bot.
func open(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", path+"?_pragma=busy_timeout(20000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
