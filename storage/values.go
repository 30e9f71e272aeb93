package storage

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

// text is a string in a NOT NULL column. PostgreSQL takes neither NUL bytes
// nor invalid UTF-8, and names from Proxmox and from people may hold both. bun
// mends the latter, but refuses the former.
type text string

// Value is the string as it can be stored.
func (t text) Value() (driver.Value, error) {
	return strings.ReplaceAll(string(t), "\x00", "\uFFFD"), nil
}

// nullText is a string whose absence is NULL in the database and "" in Go.
type nullText string

// Value is the string as it can be stored.
func (t nullText) Value() (driver.Value, error) {
	if t == "" {
		return nil, nil
	}
	return text(t).Value()
}

// momentLayout has one length for every time, so that SQLite, which compares
// text, orders times rightly.
const momentLayout = "2006-01-02T15:04:05.000000Z"

// moment is a time; the zero time is NULL.
type moment struct{ time.Time }

// Value is the time in UTC, in microseconds.
func (m moment) Value() (driver.Value, error) {
	if m.IsZero() {
		return nil, nil
	}
	return m.UTC().Format(momentLayout), nil
}

// Scan takes what PostgreSQL's driver (a time) or SQLite's (text) returns.
func (m *moment) Scan(src any) error {
	switch src := src.(type) {
	case nil:
		m.Time = time.Time{}
	case time.Time:
		m.Time = src.UTC()
	case []byte:
		return m.Scan(string(src))
	case string:
		if src == "" { // what a repaired column is filled with
			m.Time = time.Time{}
			return nil
		}
		t, err := time.Parse(time.RFC3339Nano, src)
		if err != nil {
			return fmt.Errorf("%q is not a time", src)
		}
		m.Time = t.UTC()
	default:
		return fmt.Errorf("a time came as %T", src)
	}
	return nil
}
