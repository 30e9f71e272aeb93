package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/pvechat/pvechat/storage/seal"
)

//go:embed migrations schema
var files embed.FS

// Config says which database to open and how.
type Config struct {
	// URL is "postgres://…" or "sqlite:PATH". A PostgreSQL URL may hold a
	// password, which no error of this package shows.
	URL string

	// Log is told of waiting and of changes to the tables; nil: nobody.
	Log *slog.Logger

	// LockWait is how long Open waits for another process to let go of a
	// SQLite file; 0: 15 s.
	LockWait time.Duration

	// Holder names this process to others that wait for the SQLite file, in
	// addition to its pid and host.
	Holder string

	// ReadOnly is for commands that only look: Open takes no lock, creates
	// nothing, and the tables cannot be changed through this DB.
	ReadOnly bool
}

// Format keeps the password in URL out of every verb.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "storage.Config([redacted])") }

// LogValue keeps the password in URL out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// DB is an open database. It is safe for concurrent use.
type DB struct {
	bun      *bun.DB
	engine   engine
	refusals *refusals
	log      *slog.Logger
	files    fs.FS
	lock     *fileLock // nil on PostgreSQL and when reading only
	readOnly bool
	keys     *seal.Keyset // for the audit; nil: its codes are plain hashes
}

// engine is what differs between the databases.
type engine interface {
	// folder is the name of its migrations and descriptions.
	folder() string
	// product is its name for people, and version that of the server or
	// library.
	product() string
	version(ctx context.Context, db bun.IDB) (string, error)

	// in is an SQL expression for the time d after the database's present.
	in(d time.Duration) bun.Safe
	// shared reports whether several processes may use a database at a time.
	shared() bool
	// skipLocked makes a select lock the rows that nobody else has locked.
	skipLocked(q *bun.SelectQuery) *bun.SelectQuery
	// lockRow makes a select wait for the rows and lock them.
	lockRow(q *bun.SelectQuery) *bun.SelectQuery
	// duplicate reports whether a statement failed because a row like it is
	// there, which a concurrent writer may have put there meanwhile.
	duplicate(err error) bool
	// refuses reports whether a statement failed because nothing can be written:
	// there is no room, the file or the server is read-only, or its disk fails.
	refuses(err error) bool
	// auditGuards are the triggers that the audit has.
	auditGuards(ctx context.Context, db bun.IDB) ([]string, error)
	// claimTick is [inventory.Store]'s ClaimTick.
	claimTick(ctx context.Context, db *bun.DB, cluster string, period time.Duration) (bool, error)

	// insertJob inserts an open job with a lease, created now where that is not
	// set, and fills in both. It reports false where there is a job of its id, or
	// an open one of its container.
	insertJob(ctx context.Context, tx bun.IDB, row *jobRow, lease time.Duration) (bool, error)

	// exclusively runs f while no other process does.
	exclusively(ctx context.Context, db *bun.DB, log *slog.Logger, f func() error) error
	// inspect describes the tables that are there.
	inspect(ctx context.Context, db bun.IDB) (description, error)
	// identity is the type of a key that counts by itself.
	identity(c column) string
	// count lets such a key go on after the rows that are there.
	count(ctx context.Context, db bun.IDB, table, column string) error
	// addColumn returns the statements that add a column, filling existing
	// rows where it must not be NULL.
	addColumn(table string, c column) []string
}

var (
	_ engine = postgres{}
	_ engine = sqlite{}
)

// Open connects to a database. It changes no table: see [DB.Check].
//
// Where another process holds the SQLite file for longer than
// [Config].LockWait, the error is a *[LockedError].
func Open(ctx context.Context, c Config) (*DB, error) { return open(ctx, c, files) }

func open(ctx context.Context, c Config, files fs.FS) (_ *DB, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.LockWait == 0 {
		c.LockWait = 15 * time.Second
	}
	db := &DB{log: c.Log, files: files, readOnly: c.ReadOnly}

	var (
		pool    *sql.DB
		dialect schema.Dialect
	)
	scheme, rest, _ := strings.Cut(c.URL, ":")
	switch scheme {
	case "postgres", "postgresql":
		db.engine = postgres{}
		pool, dialect, err = openPostgres(c.URL)
	case "sqlite":
		db.engine = sqlite{new(preparedInsert)}
		pool, dialect, db.lock, err = openSQLite(ctx, rest, c)
	default:
		return nil, errors.New("storage: the database's URL is neither postgres://… nor sqlite:PATH")
	}
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	// A newer replica may have added columns while this one still serves.
	db.refusals = &refusals{engine: db.engine}
	db.bun = bun.NewDB(pool, dialect, bun.WithDiscardUnknownColumns()).WithQueryHook(db.refusals)
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Ping reports whether the database answers, and takes what is written if it
// last did not.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.bun.NewRaw("SELECT 1").Scan(ctx, &one); err != nil {
		return fmt.Errorf("storage: %s does not answer: %w", db.engine.product(), err)
	}
	return db.writable(ctx)
}

// Close ends all connections and lets go of the SQLite file.
func (db *DB) Close() error {
	err := db.bun.Close()
	if db.lock != nil {
		err = errors.Join(err, db.lock.release())
	}
	if err != nil {
		return fmt.Errorf("storage: closing: %w", err)
	}
	return nil
}

// inChunks writes rows in as few statements as their sizes sensibly allow, all
// or none of them.
func inChunks[T any](ctx context.Context, db *bun.DB, rows []T, write func(context.Context, bun.IDB, []T) error) error {
	const most = 5000 // rows of a container: half a megabyte of SQL
	switch {
	case len(rows) == 0:
		return nil
	case len(rows) <= most:
		return write(ctx, db, rows)
	}
	return db.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		for len(rows) > 0 {
			n := min(len(rows), most)
			if err := write(ctx, tx, rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	})
}

// snapshot is a transaction that sees one moment.
var snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}

// changed reports how many rows a statement changed.
func changed(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// one scans the one row that a select finds, if it finds one.
func one[Row any](ctx context.Context, q *bun.SelectQuery) (row Row, found bool, err error) {
	err = q.Model(&row).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	return row, err == nil, err
}
