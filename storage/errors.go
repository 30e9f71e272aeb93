package storage

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The commands that errors of [DB.Check] tell people to run.
const (
	migrateCommand  = "pvechat migrate"
	repairCommand   = "pvechat migrate --repair"
	baselineCommand = "pvechat migrate --baseline"
)

var errReadOnly = errors.New("storage: opened for reading only")

// PendingError says that migrations are to be applied first, and that nobody
// allowed it.
type PendingError struct {
	Pending []string
	Failed  string // as in [Status]
}

func (e *PendingError) Error() string {
	s := fmt.Sprintf("the database lacks %s %s", plural(len(e.Pending), "migration"), strings.Join(e.Pending, ", "))
	if e.Failed != "" {
		s += " (" + e.Failed + ")"
	}
	return s + "; run: " + migrateCommand
}

// NewerError says that a newer program has migrated the database.
type NewerError struct{ Newer []string }

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database is newer than this program, which does not know %s %s; run the newer pvechat (nothing is ever migrated down)",
		plural(len(e.Newer), "migration"), strings.Join(e.Newer, ", "))
}

// BaselineError says that tables are there without a ledger of migrations.
type BaselineError struct {
	Nearest string  // after [DB.Baseline]: the version that they resemble most
	Drift   []Drift // and how they differ from it
}

func (e *BaselineError) Error() string {
	if e.Nearest == "" {
		return "the database has pvechat's tables, but no ledger of migrations; run: " + baselineCommand
	}
	return fmt.Sprintf("the tables match no known version, so the ledger was left alone; nearest is %s, but %s; mend that by hand, then run: %s",
		e.Nearest, sentences(e.Drift), baselineCommand)
}

// MigrationError says that a migration failed. Nothing of it was kept.
type MigrationError struct {
	Migration string
	Err       error
}

func (e *MigrationError) Error() string {
	return fmt.Sprintf("migration %s failed, and nothing of it was kept: %v", e.Migration, e.Err)
}

func (e *MigrationError) Unwrap() error { return e.Err }

// DriftError says that the tables are not as this program needs them.
type DriftError struct{ Drift []Drift }

func (e *DriftError) Error() string {
	advice := "; run: " + repairCommand
	if !slices.ContainsFunc(e.Drift, func(d Drift) bool { return d.Repairable }) {
		advice = "; mend that by hand: " + repairCommand + " only adds what is missing"
	}
	return sentences(e.Drift) + advice
}

func sentences(drift []Drift) string {
	s := make([]string, len(drift))
	for i, d := range drift {
		s[i] = d.String()
	}
	return strings.Join(s, "; ")
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
