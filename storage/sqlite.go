package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"github.com/uptrace/bun/schema"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

type sqlite struct{ jobs *preparedInsert }

// sqliteOptions of a connection. Without _txlock=immediate a transaction that
// reads before it writes fails under load, whatever the busy_timeout; without
// _dqs=0 a missing column selects its own name.
const (
	sqliteOptions      = "_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_dqs=0"
	sqliteWriteOptions = "&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
)

func openSQLite(ctx context.Context, path string, c Config) (*sql.DB, schema.Dialect, *fileLock, error) {
	if path == "" || path == ":memory:" {
		return nil, nil, nil, errors.New("the database's URL names no file: sqlite:PATH")
	}
	flag, options := os.O_RDONLY, sqliteOptions+"&mode=ro"
	if !c.ReadOnly {
		// SQLite itself would create a file that others can read.
		flag, options = os.O_RDWR|os.O_CREATE, sqliteOptions+sqliteWriteOptions
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		if c.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			return nil, nil, nil, fmt.Errorf("there is no database yet, pvechat run makes one: %w", err)
		}
		return nil, nil, nil, err
	}
	if err := f.Close(); err != nil {
		return nil, nil, nil, err
	}
	// One database is locked once, by whatever names it is reached.
	if path, err = filepath.Abs(path); err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	var lock *fileLock
	if !c.ReadOnly {
		if lock, err = lockFile(ctx, c.Log, path, c.Holder, c.LockWait); err != nil {
			return nil, nil, nil, err
		}
	}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: options}
	pool, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		if lock != nil {
			err = errors.Join(err, lock.release())
		}
		return nil, nil, nil, err
	}
	conns := 8
	if !c.ReadOnly {
		// Writers on connections of their own poll SQLite's lock, and an unlucky
		// one is passed by many others. On one connection they queue.
		conns = 1
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return pool, sqlitedialect.New(), lock, nil
}

func (sqlite) folder() string  { return "sqlite" }
func (sqlite) product() string { return "SQLite" }

func (sqlite) version(ctx context.Context, db bun.IDB) (v string, err error) {
	err = db.NewRaw("SELECT sqlite_version()").Scan(ctx, &v)
	return v, err
}

func (sqlite) auditGuards(ctx context.Context, db bun.IDB) (names []string, err error) {
	err = db.NewRaw("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").Scan(ctx, &names)
	return names, err
}

// in reckons with this process's clock: no other process writes the file, and
// SQLite's own knows only milliseconds.
func (sqlite) in(d time.Duration) bun.Safe {
	return bun.Safe("'" + time.Now().Add(d).UTC().Format(momentLayout) + "'")
}

func (s sqlite) insertJob(ctx context.Context, tx bun.IDB, row *jobRow, lease time.Duration) (bool, error) {
	now := time.Now()
	if row.CreatedAt.IsZero() {
		row.CreatedAt = moment{now}
	}
	stored := func(t time.Time) moment { return moment{t.UTC().Truncate(time.Microsecond)} }
	row.CreatedAt, row.LeaseUntil = stored(row.CreatedAt.Time), stored(now.Add(lease))
	var n int64
	var err error
	if db, alone := tx.(*bun.DB); alone {
		n, err = changed(s.jobs.exec(ctx, db, row))
	} else {
		n, err = changed(tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Returning("NULL").Exec(ctx))
	}
	return n == 1, err
}

// preparedInsert inserts rows of one model unless they meet one that is there. A
// person waits for such a row, and SQLite takes as long to read a statement as
// to carry it out: this one is read once.
type preparedInsert struct {
	mu     sync.Mutex
	fields []*schema.Field
	stmt   *sql.Stmt
}

func (p *preparedInsert) exec(ctx context.Context, db *bun.DB, row any) (sql.Result, error) {
	v := reflect.ValueOf(row).Elem()
	if err := p.prepare(ctx, db, v.Type()); err != nil {
		return nil, err
	}
	args := make([]any, len(p.fields))
	for i, f := range p.fields {
		args[i] = f.Value(v).Interface()
	}
	return p.stmt.ExecContext(ctx, args...)
}

func (p *preparedInsert) prepare(ctx context.Context, db *bun.DB, model reflect.Type) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stmt != nil {
		return nil
	}
	table := db.Table(model)
	var names []string
	for _, f := range table.Fields {
		names = append(names, string(f.SQLName))
	}
	p.fields = table.Fields
	p.stmt, err = db.DB.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT DO NOTHING",
		table.SQLName, strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1)))
	return err
}

func (sqlite) shared() bool { return false }

// A transaction of SQLite holds the whole database.
func (sqlite) skipLocked(q *bun.SelectQuery) *bun.SelectQuery { return q }
func (sqlite) lockRow(q *bun.SelectQuery) *bun.SelectQuery    { return q }

// Writers of SQLite take turns.
func (sqlite) duplicate(error) bool { return false }

func (sqlite) refuses(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff { // above are the extended codes
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY:
		return true
	}
	return false
}

// exclusively needs no more than the file's lock, which Open took.
func (sqlite) exclusively(_ context.Context, _ *bun.DB, _ *slog.Logger, f func() error) error {
	return f()
}

func (sqlite) inspect(ctx context.Context, db bun.IDB) (description, error) {
	var columns []inspectedColumn
	if err := db.NewRaw(`
		SELECT t.name AS table_name, c.name AS name, lower(c.type) AS type,
			c."notnull" = 0 AND c.pk = 0 AS nullable,
			c.pk = 1 AND t.sql LIKE '%AUTOINCREMENT%' AS identity,
			c.dflt_value IS NOT NULL AS filled, c.pk AS key
		FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
		ORDER BY t.name, c.cid`).Scan(ctx, &columns); err != nil {
		return nil, err
	}
	var indexes []inspectedIndex
	if err := db.NewRaw(`
		SELECT t.name AS table_name, l.name AS name, l."unique" AS is_unique, COALESCE(i.sql, '') AS predicate,
			(SELECT group_concat(name) FROM (
				SELECT COALESCE(c.name, '(expression)') AS name FROM pragma_index_info(l.name) AS c ORDER BY c.seqno)) AS columns
		FROM sqlite_master AS t JOIN pragma_index_list(t.name) AS l
		LEFT JOIN sqlite_master AS i ON i.type = 'index' AND i.name = l.name
		WHERE t.type = 'table' AND l.origin <> 'pk'
		ORDER BY t.name, l.name`).Scan(ctx, &indexes); err != nil {
		return nil, err
	}
	for i, x := range indexes {
		_, indexes[i].Predicate = cutWhere(x.Predicate)
	}
	return describe(columns, indexes), nil
}

var whereRE = regexp.MustCompile(`(?is)^(.*?)\sWHERE\s(.*)$`)

// cutWhere cuts the statement that made an index at its WHERE.
func cutWhere(statement string) (before, after string) {
	m := whereRE.FindStringSubmatch(statement)
	if m == nil {
		return statement, ""
	}
	return m[1], m[2]
}

func (sqlite) identity(c column) string { return c.Type + " PRIMARY KEY AUTOINCREMENT" }

// count has nothing to do: AUTOINCREMENT goes on after the greatest key.
func (sqlite) count(context.Context, bun.IDB, string, string) error { return nil }

// addColumn leaves the default in place: SQLite cannot take one away, and
// every insert names all columns.
func (sqlite) addColumn(table string, c column) []string {
	add := "ALTER TABLE " + quote(table) + " ADD COLUMN " + quote(c.Name) + " " + c.Type
	switch {
	case c.Null:
		return []string{add}
	case c.Type == "integer":
		return []string{add + " NOT NULL DEFAULT 0"}
	case c.Type == "blob":
		return []string{add + " NOT NULL DEFAULT x''"}
	}
	return []string{add + " NOT NULL DEFAULT ''"}
}
