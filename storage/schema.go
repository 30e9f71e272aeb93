package storage

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/uptrace/bun"
)

// description is what tables look like, in the words of one engine. The
// checked-in ones, one per engine and migration, say what each version of the
// tables is; they are made by migrating an empty database.
type description []table

type table struct {
	Name    string   `json:"name"`
	Columns []column `json:"columns"`
	Key     []string `json:"key"`
	Indexes []index  `json:"indexes,omitempty"`
}

type column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Null     bool   `json:"null,omitempty"`
	Identity bool   `json:"identity,omitempty"` // counts by itself

	filled bool // has a default, of whatever kind
}

func (c column) String() string {
	if c.Null {
		return c.Type + ", nullable"
	}
	return c.Type + ", not null"
}

type index struct {
	Name    string   `json:"name"`
	Unique  bool     `json:"unique,omitempty"`
	Columns []string `json:"columns"`
	Where   string   `json:"where,omitempty"`
}

func (x index) String() string {
	s := strings.Join(x.Columns, ", ")
	if x.Unique {
		s = "unique: " + s
	}
	if x.Where != "" {
		s += " where " + x.Where
	}
	return s
}

func (x index) equal(y index) bool {
	return x.Unique == y.Unique && x.Where == y.Where && slices.Equal(x.Columns, y.Columns)
}

func (d description) table(name string) (table, bool) {
	return find(d, func(t table) bool { return t.Name == name })
}

func (t table) column(name string) (column, bool) {
	return find(t.Columns, func(c column) bool { return c.Name == name })
}

func (t table) index(name string) (index, bool) {
	return find(t.Indexes, func(x index) bool { return x.Name == name })
}

func find[T any](in []T, is func(T) bool) (T, bool) {
	if i := slices.IndexFunc(in, is); i >= 0 {
		return in[i], true
	}
	var zero T
	return zero, false
}

// readDescription reads the checked-in description of a version.
func readDescription(files fs.FS, folder, version string) (description, error) {
	b, err := fs.ReadFile(files, "schema/"+folder+"/"+version+".json")
	if err != nil {
		return nil, err
	}
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("schema %s: %w", version, err)
	}
	return d, nil
}

// inspectedColumn and inspectedIndex are what an engine reports, one row each.
type inspectedColumn struct {
	TableName string
	Name      string
	Type      string
	Nullable  bool
	Identity  bool
	Filled    bool
	Key       int // place in the primary key, from 1; 0: not part of it
}

type inspectedIndex struct {
	TableName string
	Name      string
	IsUnique  bool
	Columns   string // joined by commas
	Predicate string
}

// describe puts what an engine reported in order. It leaves the ledger out.
func describe(columns []inspectedColumn, indexes []inspectedIndex) description {
	var d description
	keys := map[string][]inspectedColumn{}
	for _, c := range columns {
		if len(d) == 0 || d[len(d)-1].Name != c.TableName {
			d = append(d, table{Name: c.TableName})
		}
		t := &d[len(d)-1]
		t.Columns = append(t.Columns, column{Name: c.Name, Type: c.Type, Null: c.Nullable, Identity: c.Identity, filled: c.Filled})
		if c.Key > 0 {
			keys[t.Name] = append(keys[t.Name], c)
		}
	}
	for i := range d {
		t := &d[i]
		slices.SortFunc(keys[t.Name], func(a, b inspectedColumn) int { return cmp.Compare(a.Key, b.Key) })
		for _, c := range keys[t.Name] {
			t.Key = append(t.Key, c.Name)
		}
		for _, x := range indexes {
			if x.TableName == t.Name {
				t.Indexes = append(t.Indexes, index{
					Name: x.Name, Unique: x.IsUnique, Columns: strings.Split(x.Columns, ","), Where: normalWhere(x.Predicate),
				})
			}
		}
	}
	return d
}

// normalWhere takes differences out of a predicate that mean nothing.
func normalWhere(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(strings.NewReplacer(`"`, "", "::text", "").Replace(s)), " "))
}

// Drift is one difference between the tables that this program needs and those
// that are there.
type Drift struct {
	Table  string
	Column string // "" where it is about the table itself or an index
	Index  string
	Want   string // type and nullability of the column, or what the index covers; "" for something that should not be there
	Have   string // "" where it is missing

	Repairable bool // by [DB.Repair], which adds what is missing
}

// String says what is wrong: "table containers lacks column hostname (text,
// nullable)".
func (d Drift) String() string {
	thing := ""
	switch {
	case d.Column != "":
		thing = "column " + d.Column
	case d.Index != "":
		thing = "index " + d.Index
	case d.Want == "":
		return fmt.Sprintf("table %s %s", d.Table, d.Have)
	case d.Have == "":
		return fmt.Sprintf("table %s is missing", d.Table)
	default:
		return fmt.Sprintf("table %s has the primary key (%s), it should be (%s)", d.Table, d.Have, d.Want)
	}
	switch {
	case d.Have == "":
		return fmt.Sprintf("table %s lacks %s (%s)", d.Table, thing, d.Want)
	case d.Want == "":
		return fmt.Sprintf("table %s has an unknown %s (%s)", d.Table, thing, d.Have)
	}
	return fmt.Sprintf("table %s has %s as (%s), it should be (%s)", d.Table, thing, d.Have, d.Want)
}

// compare returns how the tables that are there differ from those wanted.
// Further columns and indexes are somebody else's and do no harm, unless a row
// cannot be inserted without them.
func compare(want, have description) []Drift {
	var drift []Drift
	for _, w := range want {
		h, ok := have.table(w.Name)
		if !ok {
			drift = append(drift, Drift{Table: w.Name, Want: "table", Repairable: true})
			continue
		}
		for _, c := range w.Columns {
			got, ok := h.column(c.Name)
			d := Drift{Table: w.Name, Column: c.Name, Want: c.String()}
			switch {
			case !ok:
				// A key that is gone cannot be made up for rows that are there.
				d.Repairable = c.Identity || !slices.Contains(w.Key, c.Name)
				drift = append(drift, d)
			case got.Type != c.Type || got.Null != c.Null || got.Identity != c.Identity:
				d.Have = got.String()
				if got.Identity != c.Identity {
					d.Want, d.Have = counting(c), counting(got)
				}
				drift = append(drift, d)
			}
		}
		for _, c := range h.Columns {
			if _, ok := w.column(c.Name); !ok && !c.Null && !c.filled {
				drift = append(drift, Drift{Table: w.Name, Column: c.Name, Have: c.String()})
			}
		}
		if !slices.Equal(h.Key, w.Key) {
			drift = append(drift, Drift{Table: w.Name, Want: strings.Join(w.Key, ", "), Have: cmp.Or(strings.Join(h.Key, ", "), "none")})
		}
		for _, x := range w.Indexes {
			got, ok := h.index(x.Name)
			d := Drift{Table: w.Name, Index: x.Name, Want: x.String()}
			switch {
			case !ok:
				d.Repairable = true
				drift = append(drift, d)
			case !got.equal(x):
				d.Have = got.String()
				drift = append(drift, d)
			}
		}
	}
	return drift
}

func counting(c column) string {
	if c.Identity {
		return c.String() + ", counting by itself"
	}
	return c.String()
}

// compareExactly is compare, and also returns what is there beyond the wanted:
// in a wanted table, or as a table that another version of the program knows.
func compareExactly(want, have description, known map[string]bool) []Drift {
	drift := compare(want, have)
	for _, h := range have {
		w, ok := want.table(h.Name)
		if !ok {
			if known[h.Name] {
				drift = append(drift, Drift{Table: h.Name, Have: "is of another version"})
			}
			continue
		}
		for _, c := range h.Columns {
			if _, ok := w.column(c.Name); !ok && (c.Null || c.filled) {
				drift = append(drift, Drift{Table: h.Name, Column: c.Name, Have: c.String()})
			}
		}
		for _, x := range h.Indexes {
			if _, ok := w.index(x.Name); !ok {
				drift = append(drift, Drift{Table: h.Name, Index: x.Name, Have: x.String()})
			}
		}
	}
	return drift
}

// models are all rows, one for each table.
func models() []any {
	return []any{
		(*clusterRow)(nil),
		(*containerRow)(nil),
		(*eventRow)(nil),
		(*scanRow)(nil),
		(*serviceRow)(nil),
		(*hostKeyRow)(nil),
		(*jobRow)(nil),
		(*boardRow)(nil),
		(*incidentRow)(nil),
		(*muteRow)(nil),
		(*leaseRow)(nil),
		(*auditRow)(nil),
		(*auditHeadRow)(nil),
		(*confirmationRow)(nil),
		(*invocationRow)(nil),
		(*sealedRow)(nil),
		(*draftRow)(nil),
	}
}

// probe selects nothing from every table, with the columns that the program
// uses: it finds what a description cannot, such as a missing privilege.
func probe(ctx context.Context, db *bun.DB) []Drift {
	var drift []Drift
	for _, m := range models() {
		q := db.NewSelect().Model(m).Where("1 = 0")
		if _, err := q.Exec(ctx); err != nil {
			drift = append(drift, Drift{Table: q.GetTableName(), Have: "cannot be read: " + err.Error()})
		}
	}
	return drift
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
