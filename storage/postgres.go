package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/schema"
)

type postgres struct{}

func openPostgres(url string) (*sql.DB, schema.Dialect, error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx masks passwords only where it understands the URL.
		return nil, nil, errors.New("the URL of the database is not one that PostgreSQL understands")
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	// Both are among the parameters that PgBouncer keeps per client.
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "pvechat"
	}
	c.RuntimeParams["timezone"] = "UTC"
	pool := stdlib.OpenDB(*c)
	pool.SetMaxOpenConns(10)
	pool.SetMaxIdleConns(4)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool, pgdialect.New(), nil
}

func (postgres) folder() string  { return "postgres" }
func (postgres) product() string { return "PostgreSQL" }

func (postgres) version(ctx context.Context, db bun.IDB) (v string, err error) {
	err = db.NewRaw("SHOW server_version").Scan(ctx, &v)
	v, _, _ = strings.Cut(v, " ") // without the packager's words
	return v, err
}

func (postgres) auditGuards(ctx context.Context, db bun.IDB) (names []string, err error) {
	err = db.NewRaw("SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND NOT tgisinternal AND tgenabled IN ('O', 'A')").Scan(ctx, &names)
	return names, err
}

func (postgres) in(d time.Duration) bun.Safe {
	return bun.Safe(fmt.Sprintf("now() + interval '%d microseconds'", d.Microseconds()))
}

func (postgres) shared() bool { return true }

func (postgres) skipLocked(q *bun.SelectQuery) *bun.SelectQuery { return q.For("UPDATE SKIP LOCKED") }
func (postgres) lockRow(q *bun.SelectQuery) *bun.SelectQuery    { return q.For("UPDATE") }

func (postgres) duplicate(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505" // unique_violation
}

func (postgres) refuses(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "53100" || // disk_full
		e.Code == "58030" || // io_error
		e.Code == "25006") // read_only_sql_transaction
}

// migrating is the advisory lock under which tables are changed: "pvechat".
const migrating int64 = 0x70766563686174

// exclusively holds an advisory lock on a connection of its own. Locks in
// bun's own table would outlive a process that dies.
func (postgres) exclusively(ctx context.Context, db *bun.DB, log *slog.Logger, f func() error) error {
	conn, err := db.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // back to the pool

	var free bool
	if err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT pg_try_advisory_lock(%d)", migrating)).Scan(&free); err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	if !free {
		log.InfoContext(ctx, "waiting for another process that changes the tables")
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_lock(%d)", migrating)); err != nil {
			return fmt.Errorf("waiting for another process that changes the tables: %w", err)
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, err := conn.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_unlock(%d)", migrating)); err != nil {
			// The lock ends with its connection, so that must not go back to the pool.
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	return f()
}

func (postgres) inspect(ctx context.Context, db bun.IDB) (description, error) {
	var columns []inspectedColumn
	if err := db.NewRaw(`
		SELECT t.relname AS table_name, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
			NOT a.attnotnull AS nullable, a.attidentity <> '' AS identity,
			a.atthasdef OR a.attidentity <> '' AS filled,
			COALESCE(array_position(x.indkey::int2[], a.attnum) + 1, 0) AS key
		FROM pg_class t
		JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_index x ON x.indrelid = t.oid AND x.indisprimary
		WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')
		ORDER BY t.relname, a.attnum`).Scan(ctx, &columns); err != nil {
		return nil, err
	}
	var indexes []inspectedIndex
	if err := db.NewRaw(`
		SELECT t.relname AS table_name, i.relname AS name, x.indisunique AS is_unique,
			COALESCE(pg_get_expr(x.indpred, x.indrelid, true), '') AS predicate,
			(SELECT string_agg(COALESCE(a.attname, '(expression)'), ',' ORDER BY k.n)
				FROM unnest(x.indkey) WITH ORDINALITY AS k(attnum, n)
				LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
				WHERE k.n <= x.indnkeyatts) AS columns
		FROM pg_index x
		JOIN pg_class i ON i.oid = x.indexrelid
		JOIN pg_class t ON t.oid = x.indrelid
		WHERE t.relnamespace = current_schema()::regnamespace AND NOT x.indisprimary AND x.indisvalid
		ORDER BY t.relname, i.relname`).Scan(ctx, &indexes); err != nil {
		return nil, err
	}
	return describe(columns, indexes), nil
}

func (p postgres) insertJob(ctx context.Context, tx bun.IDB, row *jobRow, lease time.Duration) (bool, error) {
	insert := tx.NewInsert().Model(row).
		Value("lease_until", "?", p.in(lease)).
		On("CONFLICT DO NOTHING").
		Returning("created_at, lease_until")
	if row.CreatedAt.IsZero() {
		insert = insert.Value("created_at", "?", p.in(0))
	}
	n, err := changed(insert.Exec(ctx))
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return n == 1, err
}

func (postgres) identity(c column) string { return c.Type + " GENERATED BY DEFAULT AS IDENTITY" }

func (postgres) count(ctx context.Context, db bun.IDB, table, column string) error {
	_, err := db.NewRaw("SELECT setval(pg_get_serial_sequence(?, ?), (SELECT COALESCE(MAX(?), 0) + 1 FROM ?), false)",
		table, column, bun.Ident(column), bun.Ident(table)).Exec(ctx)
	return err
}

func (p postgres) addColumn(table string, c column) []string {
	add := "ALTER TABLE " + quote(table) + " ADD COLUMN " + quote(c.Name) + " "
	if c.Identity {
		return []string{add + p.identity(c) + " PRIMARY KEY"}
	}
	if c.Null {
		return []string{add + c.Type}
	}
	fill := map[string]string{
		"bigint":                   "0",
		"boolean":                  "false",
		"timestamp with time zone": "'0001-01-01 00:00:00+00'", // Go's zero time
	}[c.Type]
	if fill == "" {
		fill = "''" // text and bytea
	}
	return []string{
		add + c.Type + " NOT NULL DEFAULT " + fill,
		"ALTER TABLE " + quote(table) + " ALTER COLUMN " + quote(c.Name) + " DROP DEFAULT",
	}
}
