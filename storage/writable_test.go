package storage_test

import (
	"testing"

	"github.com/pvechat/pvechat/storage/storagetest"
)

func TestADatabaseThatTakesNothingIsNotWell(t *testing.T) {
	for _, engine := range storagetest.Engines(t) {
		t.Run(engine.Name, func(t *testing.T) {
			db := engine.Open(t)
			db.Bun().SetMaxOpenConns(1) // what is set below is its own
			refuse := map[string]string{"sqlite": "PRAGMA query_only = ", "postgres": "SET default_transaction_read_only = "}[engine.Name]
			set := func(value string) {
				t.Helper()
				if _, err := db.Bun().ExecContext(t.Context(), refuse+value); err != nil {
					t.Fatal(err)
				}
			}
			well := func(want bool, when string) {
				t.Helper()
				if err := db.Ping(t.Context()); (err == nil) != want {
					t.Errorf("%s: %v", when, err)
				}
			}
			set("on")
			well(true, "before anything is written")
			if _, err := db.CreateJob(t.Context(), start108("a"), hour, ""); err == nil {
				t.Fatal("it took a job")
			}
			well(false, "after a job was refused")
			well(false, "and still")
			set("off")
			well(true, "once it takes things again")
			if n, err := db.Bun().NewSelect().Table("leases").Count(t.Context()); err != nil || n != 0 {
				t.Errorf("%d leases are left (%v)", n, err)
			}
		})
	}
}
