package storage_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/seal"
	"github.com/pvechat/pvechat/storage/storagetest"
)

func keyset(t *testing.T) *seal.Keyset {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	must(t, seal.Generate(path))
	keys, err := seal.OpenFile(path)
	must(t, err)
	return keys
}

// write appends n lines, one an hour.
func write(t *testing.T, db *storage.DB, n int) {
	t.Helper()
	for i := range n {
		e := entry
		e.At, e.Request = noon.Add(time.Duration(i)*time.Hour), fmt.Sprint("r", i)
		must(t, db.Record(t.Context(), e))
	}
}

func verify(t *testing.T, db *storage.DB, exported map[int64]storage.AuditLine) storage.AuditReport {
	t.Helper()
	rep, err := db.VerifyAudit(t.Context(), exported)
	must(t, err)
	return rep
}

func wantProblems(t *testing.T, rep storage.AuditReport, want ...string) {
	t.Helper()
	if len(rep.Problems) != len(want) {
		t.Errorf("problems %q, want %q", rep.Problems, want)
		return
	}
	for i, w := range want {
		if !strings.Contains(rep.Problems[i], w) {
			t.Errorf("problems %q, want %q", rep.Problems, want)
		}
	}
}

// unguarded does what somebody can who owns the database and takes its guards
// away for a moment.
func unguarded(t *testing.T, db *storage.DB, statements ...string) {
	t.Helper()
	sqlite := map[string]string{}
	if rows, err := db.Bun().QueryContext(t.Context(), "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"); err == nil {
		for rows.Next() {
			var name, sql string
			must(t, rows.Scan(&name, &sql))
			sqlite[name] = sql
		}
		must(t, rows.Err())
		must(t, rows.Close())
		for name := range sqlite {
			sql(t, db, "DROP TRIGGER "+name)
		}
	} else {
		statements = append(append([]string{"ALTER TABLE audit DISABLE TRIGGER USER"}, statements...), "ALTER TABLE audit ENABLE TRIGGER USER")
	}
	for _, s := range statements {
		sql(t, db, s)
	}
	for _, s := range sqlite {
		sql(t, db, s)
	}
}

func TestTheDatabaseRefusesToChangeTheAudit(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		db := e.Open(t)
		write(t, db, 3)
		forbidden := []string{
			"UPDATE audit SET person = 'Eve' WHERE seq = 2", "DELETE FROM audit WHERE seq = 2", "DELETE FROM audit",
		}
		if e.Name == "postgres" {
			forbidden = append(forbidden, "TRUNCATE audit")
		} else {
			forbidden = append(forbidden, "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2")
		}
		for _, s := range forbidden {
			if _, err := db.Bun().ExecContext(t.Context(), s); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", s, err)
			}
		}
		rep := verify(t, db, nil)
		wantProblems(t, rep)
		if rep.Lines != 3 || rep.Hashed != 3 || rep.First != 1 || rep.Last != 3 {
			t.Errorf("%+v", rep)
		}
	})
}

func TestTamperingIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, and ten times slower under the race detector")
	}
	forge := `INSERT INTO audit (seq, at, platform, person_id, person, action, container_id, target, outcome, detail, request, job, mac)
		SELECT 6, at, platform, person_id, person, action, container_id, target, outcome, detail, request, job, mac FROM audit WHERE seq = 5`
	for name, c := range map[string]struct {
		statements []string
		want       []string
	}{
		"nothing":            {nil, nil},
		"a changed person":   {[]string{"UPDATE audit SET person = 'Eve' WHERE seq = 3"}, []string{"line 3 was changed"}},
		"a changed time":     {[]string{"UPDATE audit SET at = (SELECT at FROM audit WHERE seq = 1) WHERE seq = 3"}, []string{"line 3 was changed"}},
		"a moved separator":  {[]string{"UPDATE audit SET person = person || action, action = '' WHERE seq = 3"}, []string{"line 3 was changed"}},
		"a removed code":     {[]string{"UPDATE audit SET mac = '' WHERE seq = 3"}, []string{"line 3 has no code", "line 4 was changed"}},
		"a line gone":        {[]string{"DELETE FROM audit WHERE seq = 3"}, []string{"line 3 is missing"}},
		"two lines gone":     {[]string{"DELETE FROM audit WHERE seq IN (2, 3)"}, []string{"lines 2 to 3 are missing"}},
		"the first gone":     {[]string{"DELETE FROM audit WHERE seq = 1"}, []string{"line 1 is missing"}},
		"the last gone":      {[]string{"DELETE FROM audit WHERE seq = 5"}, []string{"the newest lines are missing: there were 5, the last is 4"}},
		"all gone":           {[]string{"DELETE FROM audit"}, []string{"the newest lines are missing"}},
		"a line put in":      {[]string{forge}, []string{"line 6 was changed, or put in", "lines after 5 were put in"}},
		"renumbered":         {[]string{"DELETE FROM audit WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 4", "UPDATE audit SET seq = 4 WHERE seq = 5", "UPDATE audit_head SET seq = 4"}, []string{"line 3 was changed", "line 4 was changed"}},
		"a head put back":    {[]string{"UPDATE audit_head SET seq = 4"}, []string{"lines after 4 were put in"}},
		"no head":            {[]string{"DELETE FROM audit_head"}, []string{"the end of the audit is not written down", "lines after 0 were put in"}},
		"a pretended prune":  {[]string{"UPDATE audit_head SET pruned = 2, pruned_mac = (SELECT mac FROM audit WHERE seq = 2)", "DELETE FROM audit WHERE seq <= 2"}, []string{"no line says that retention removed them"}},
		"swapped neighbours": {[]string{"UPDATE audit SET seq = 99 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 99"}, []string{"line 2 was changed", "line 3 was changed", "line 4 was changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			forEachEngine(t, func(t *testing.T, db *storage.DB) {
				db.UseKeys(keyset(t))
				write(t, db, 5)
				if c.statements != nil {
					unguarded(t, db, c.statements...)
				}
				wantProblems(t, verify(t, db, nil), c.want...)
			})
		})
	}
}

// Whoever can write the database can make plain codes anew, but not keyed ones.
func TestCodesMadeWithoutTheKeySetAreFound(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		keys := keyset(t)
		write(t, db, 2) // before there was a key set
		db.UseKeys(keys)
		write(t, db, 2)
		rep := verify(t, db, nil)
		wantProblems(t, rep)
		if rep.Hashed != 2 || rep.Keyed != 2 {
			t.Errorf("%+v", rep)
		}
		db.UseKeys(nil)
		wantProblems(t, verify(t, db, nil), "line 3 and later ones need the key set")
		write(t, db, 1)
		db.UseKeys(keys)
		wantProblems(t, verify(t, db, nil), "line 5 was written without the key set")
		db.UseKeys(keyset(t))
		wantProblems(t, verify(t, db, nil), "line 3 was changed", "line 4 was changed", "line 5")
	})
}

func TestRetentionRemovesOldLinesAndSaysSo(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		db.UseKeys(keyset(t))
		write(t, db, 5)
		exported := map[int64]storage.AuditLine{}
		must(t, db.EachAuditLine(t.Context(), time.Time{}, func(l storage.AuditLine) error { exported[l.Seq] = l; return nil }))

		prune := func(before time.Time, want int64) {
			t.Helper()
			if n, err := db.PruneAudit(t.Context(), before, noon.Add(10*time.Hour)); err != nil || n != want {
				t.Fatalf("%d lines removed, want %d: %v", n, want, err)
			}
		}
		prune(noon, 0)
		prune(noon.Add(2*time.Hour), 2)
		prune(noon.Add(2*time.Hour), 0)
		prune(noon.Add(4*time.Hour), 2)
		left, err := db.Audit(t.Context(), 10)
		must(t, err)
		if len(left) != 3 || left[0].Action != "audit:prune" || left[0].Seq != 7 || left[2].Seq != 5 {
			t.Errorf("left are %+v", left)
		}
		rep := verify(t, db, exported)
		wantProblems(t, rep)
		if rep.First != 5 || rep.Last != 7 {
			t.Errorf("%+v", rep)
		}
		write(t, db, 1)
		wantProblems(t, verify(t, db, exported))

		// What retention did not remove may not be removed in its name.
		if _, err := db.Bun().ExecContext(t.Context(), "DELETE FROM audit WHERE seq = 5"); err == nil {
			t.Error("a line was removed")
		}
		unguarded(t, db, "UPDATE audit_head SET pruned = 5, pruned_mac = (SELECT mac FROM audit WHERE seq = 5)", "DELETE FROM audit WHERE seq = 5")
		wantProblems(t, verify(t, db, exported), "no line says that retention removed them")
	})
}

// A database that was put back to an older state of its own looks right; an
// export shows it.
func TestAnExportShowsADatabaseThatWasPutBack(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		db.UseKeys(keyset(t))
		write(t, db, 4)
		exported := map[int64]storage.AuditLine{}
		must(t, db.EachAuditLine(t.Context(), time.Time{}, func(l storage.AuditLine) error { exported[l.Seq] = l; return nil }))
		wantProblems(t, verify(t, db, exported))
		unguarded(t, db, "UPDATE audit_head SET seq = 3, mac = (SELECT mac FROM audit WHERE seq = 3)", "DELETE FROM audit WHERE seq = 4")
		wantProblems(t, verify(t, db, nil))
		wantProblems(t, verify(t, db, exported), "line 4 was exported, and is missing")
		write(t, db, 1)
		wantProblems(t, verify(t, db, exported), "line 4 is not the one that was exported")
	})
}

func TestAMissingGuardIsFound(t *testing.T) {
	forEachURL(t, func(t *testing.T, e storagetest.Engine) {
		db := e.Open(t)
		drop := "DROP TRIGGER audit_keeps"
		if e.Name == "postgres" {
			drop += " ON audit"
		}
		sql(t, db, drop)
		wantProblems(t, verify(t, db, nil), "its trigger audit_keeps is missing")
	})
}

func TestLinesAreNumberedWithoutAGapByManyAtOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				e := entry
				e.Job = fmt.Sprint("j", i%4)
				if err := db.RecordOnce(t.Context(), e); err != nil {
					t.Error(err)
				}
				if err := db.Record(t.Context(), e); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		rep := verify(t, db, nil)
		wantProblems(t, rep)
		if rep.Lines < 16 || rep.Lines > 20 || rep.Last != int64(rep.Lines) {
			t.Errorf("%+v", rep)
		}
	})
}

func TestAnOutcomeIsRecordedOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		e := entry
		e.Outcome = "accepted"
		must(t, db.Record(t.Context(), e))
		for _, outcome := range []string{"failed", "failed", "succeeded"} {
			e.Outcome = outcome
			must(t, db.RecordOnce(t.Context(), e))
		}
		got, err := db.Audit(t.Context(), 9)
		must(t, err)
		var outcomes []string
		for _, e := range got {
			outcomes = append(outcomes, e.Outcome)
		}
		if !slices.Equal(outcomes, []string{"succeeded", "failed", "accepted"}) {
			t.Errorf("got %q", outcomes)
		}
	})
}

func TestTheAuditIsReadByPages(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		write(t, db, 4)
		other := entry
		other.PersonID, other.Person, other.Container, other.At = "U2", "Ben", "8aaaa", noon.Add(10*time.Hour)
		must(t, db.Record(t.Context(), other))
		for name, c := range map[string]struct {
			page handlers.AuditPage
			want []int64
		}{
			"newest first":           {handlers.AuditPage{Limit: 2}, []int64{5, 4}},
			"older ones":             {handlers.AuditPage{Limit: 2, Before: 4}, []int64{3, 2}},
			"of a container":         {handlers.AuditPage{Limit: 9, Container: "8aaaa"}, []int64{5}},
			"of a person by id":      {handlers.AuditPage{Limit: 9, Person: "U2"}, []int64{5}},
			"of a person by name":    {handlers.AuditPage{Limit: 9, Person: "ana"}, []int64{4, 3, 2, 1}},
			"since a time":           {handlers.AuditPage{Limit: 9, Since: noon.Add(3 * time.Hour)}, []int64{5, 4}},
			"of nobody":              {handlers.AuditPage{Limit: 9, Person: "'; DROP TABLE audit"}, nil},
			"of a container, by two": {handlers.AuditPage{Limit: 9, Container: "8aaaa", Person: "Ana"}, nil},
		} {
			got, err := db.AuditPage(t.Context(), c.page)
			must(t, err)
			var seqs []int64
			for _, e := range got {
				seqs = append(seqs, e.Seq)
			}
			if !slices.Equal(seqs, c.want) {
				t.Errorf("%s: %v, want %v", name, seqs, c.want)
			}
		}
	})
}
