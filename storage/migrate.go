package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"
)

// ledger is bun's table of applied migrations; failures is ours, of the one
// that failed when it was last tried.
const (
	ledger   = "bun_migrations"
	failures = "bun_migration_failures"
)

type failureRow struct {
	bun.BaseModel `bun:"table:bun_migration_failures,alias:f"`

	Name     text   `bun:"name,pk,type:text"`
	FailedAt moment `bun:"failed_at,type:text,notnull"`
	Error    text   `bun:"error,type:text,notnull"`
}

// Status is how the tables stand to this program. Migrations go by their
// names, "20261123000001_initial", and unknown ones by their numbers.
type Status struct {
	Engine  string // "PostgreSQL" or "SQLite"
	Version string // of the engine

	Applied []string
	Pending []string
	Newer   []string // applied, but unknown to this program

	// Failed says which pending migration failed when it was last tried, when,
	// and why; "" for none.
	Failed string

	// NeedsBaseline: the tables are there, their ledger is not.
	NeedsBaseline bool

	// Drift is how the tables differ from what the applied migrations make.
	Drift []Drift
}

// obstacle returns what keeps migrations from being applied, if anything.
func (s Status) obstacle() error {
	switch {
	case len(s.Newer) > 0:
		return &NewerError{Newer: s.Newer}
	case s.NeedsBaseline:
		return &BaselineError{}
	case len(s.Drift) > 0:
		return &DriftError{Drift: s.Drift}
	}
	return nil
}

// migrations are those of this program, for this engine alone: bun would let
// two files with one number overwrite each other.
func (db *DB) migrations() (*migrate.Migrations, error) {
	folder, err := fs.Sub(db.files, "migrations/"+db.engine.folder())
	if err != nil {
		return nil, err
	}
	m := migrate.NewMigrations()
	if err := m.Discover(folder); err != nil {
		return nil, err
	}
	return m, nil
}

// Status looks at the tables and changes nothing. It works beside a running
// bot.
func (db *DB) Status(ctx context.Context) (Status, error) {
	s, _, err := db.status(ctx)
	return s, err
}

// status also returns the description of the tables that the applied
// migrations make, if there are any.
func (db *DB) status(ctx context.Context) (s Status, want description, err error) {
	if s, want, err = db.look(ctx); err != nil {
		return Status{}, nil, fmt.Errorf("storage: looking at the tables: %w", err)
	}
	return s, want, nil
}

func (db *DB) look(ctx context.Context) (s Status, want description, err error) {
	migrations, err := db.migrations()
	if err != nil {
		return s, nil, err
	}
	known := migrations.Sorted()

	seen, err := db.see(ctx)
	if err != nil {
		return s, nil, err
	}
	s.Engine, s.Version = db.engine.product(), seen.version
	var last string
	for _, m := range known {
		if slices.Contains(seen.applied, m.Name) {
			s.Applied = append(s.Applied, m.String())
			last = m.Name
			continue
		}
		s.Pending = append(s.Pending, m.String())
		for _, f := range seen.failed {
			if string(f.Name) == m.String() {
				s.Failed = fmt.Sprintf("%s failed at %s: %s", f.Name, f.FailedAt.Format(time.RFC3339), f.Error)
			}
		}
	}
	for _, name := range seen.applied {
		if !slices.ContainsFunc(known, func(m migrate.Migration) bool { return m.Name == name }) {
			s.Newer = append(s.Newer, name)
		}
	}
	if len(seen.applied) == 0 {
		ours, err := db.knownTables()
		if err != nil {
			return s, nil, err
		}
		s.NeedsBaseline = slices.ContainsFunc(seen.tables, func(t table) bool { return ours[t.Name] })
	}
	if last == "" || len(s.Newer) > 0 {
		return s, nil, nil
	}
	if want, err = readDescription(db.files, db.engine.folder(), last); err != nil {
		return s, nil, err
	}
	s.Drift = compare(want, seen.tables)
	if len(s.Pending) > 0 {
		return s, want, nil // the models are ahead of the tables
	}
	for _, d := range probe(ctx, db.bun) {
		if !slices.ContainsFunc(s.Drift, func(e Drift) bool { return e.Table == d.Table }) {
			s.Drift = append(s.Drift, d)
		}
	}
	return s, want, ctx.Err() // which would have made probes fail
}

// sight is what the database holds at one moment.
type sight struct {
	version string
	tables  description
	applied []string
	failed  []failureRow
}

// see reads in one snapshot, so that another process which migrates meanwhile
// is seen either before or after.
func (db *DB) see(ctx context.Context) (s sight, err error) {
	err = db.bun.RunInTx(ctx, snapshot, func(ctx context.Context, tx bun.Tx) error {
		if s.version, err = db.engine.version(ctx, tx); err != nil {
			return err
		}
		if s.tables, err = db.engine.inspect(ctx, tx); err != nil {
			return err
		}
		if _, ok := s.tables.table(ledger); ok {
			if err := tx.NewSelect().Table(ledger).Column("name").Order("name").Scan(ctx, &s.applied); err != nil {
				return err
			}
		}
		if _, ok := s.tables.table(failures); ok {
			return tx.NewSelect().Model(&s.failed).Scan(ctx)
		}
		return nil
	})
	return s, err
}

// knownTables are those of any version that this program knows.
func (db *DB) knownTables() (map[string]bool, error) {
	tables := map[string]bool{}
	versions, err := db.versions()
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		d, err := readDescription(db.files, db.engine.folder(), v)
		if err != nil {
			return nil, err
		}
		for _, t := range d {
			tables[t.Name] = true
		}
	}
	return tables, nil
}

// versions are those that a description is there for, oldest first.
func (db *DB) versions() ([]string, error) {
	migrations, err := db.migrations()
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, m := range migrations.Sorted() {
		_, err := fs.Stat(db.files, "schema/"+db.engine.folder()+"/"+m.Name+".json")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		versions = append(versions, m.Name)
	}
	return versions, nil
}

// Check makes sure that the tables are as this program needs them, before it
// serves: it applies pending migrations if it may, and otherwise returns one
// of *[NewerError], *[BaselineError], *[PendingError], *[MigrationError] and
// *[DriftError], which all say what to do.
func (db *DB) Check(ctx context.Context, autoMigrate bool) error {
	s, err := db.Status(ctx)
	if err != nil {
		return err
	}
	if err := s.obstacle(); err != nil {
		return err
	}
	if len(s.Pending) == 0 {
		return nil
	}
	if !autoMigrate {
		return &PendingError{Pending: s.Pending, Failed: s.Failed}
	}
	if _, err := db.Migrate(ctx); err != nil {
		return err
	}
	if s, err = db.Status(ctx); err != nil {
		return err
	}
	return s.obstacle()
}

// Migrate applies pending migrations, in order, and returns the names of those
// that it applied, also with an error. Errors are those of [DB.Check].
//
// Of several processes one migrates, and the others wait for it.
func (db *DB) Migrate(ctx context.Context) (applied []string, err error) {
	err = db.exclusively(ctx, func() error {
		s, err := db.Status(ctx)
		if err != nil {
			return err
		}
		if err := s.obstacle(); err != nil || len(s.Pending) == 0 {
			return err
		}
		migrator, err := db.migrator(ctx)
		if err != nil {
			return err
		}
		group, err := migrator.Migrate(ctx)
		for _, m := range group.Migrations {
			applied = append(applied, m.String())
		}
		if err == nil {
			db.log.InfoContext(ctx, "migrated the database", "applied", applied)
			return nil
		}
		if len(applied) == 0 {
			return fmt.Errorf("storage: migrating: %w", err)
		}
		failed := applied[len(applied)-1]
		applied = applied[:len(applied)-1]
		if ctx.Err() != nil {
			return fmt.Errorf("storage: migrating: %w", ctx.Err())
		}
		return errors.Join(&MigrationError{Migration: failed, Err: err}, db.rememberFailure(ctx, failed, err))
	})
	return applied, err
}

// exclusively runs f while no other process changes tables.
func (db *DB) exclusively(ctx context.Context, f func() error) error {
	if db.readOnly {
		return errReadOnly
	}
	var inner error
	err := db.engine.exclusively(ctx, db.bun, db.log, func() error { inner = f(); return nil })
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return inner
}

// migrator makes the ledger where there is none and returns bun's migrator.
func (db *DB) migrator(ctx context.Context) (*migrate.Migrator, error) {
	migrations, err := db.migrations()
	if err != nil {
		return nil, fmt.Errorf("storage: reading migrations: %w", err)
	}
	m := migrate.NewMigrator(db.bun, migrations,
		migrate.WithTableName(ledger),
		migrate.WithMarkAppliedOnSuccess(true), // by default a failed one counts as applied
		migrate.WithUpsert(true),               // since markApplied has marked it before
		migrate.AfterMigration(markApplied),
	)
	err = m.Init(ctx)
	if err == nil {
		_, err = db.bun.NewCreateTable().Model((*failureRow)(nil)).IfNotExists().Exec(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("storage: making the ledger of migrations: %w", err)
	}
	return m, nil
}

// markApplied writes the ledger in the transaction of the migration. bun does
// so only after the commit; a process that dies in between would apply the
// migration twice.
func markApplied(ctx context.Context, conn bun.IConn, m *migrate.Migration) error {
	tx, ok := conn.(bun.Tx)
	if !ok {
		return errors.New("it runs in no transaction: name its file .tx.up.sql")
	}
	line := migrate.Migration{Name: m.Name, GroupID: m.GroupID, MigratedAt: time.Now()}
	if _, err := tx.NewInsert().Model(&line).ModelTableExpr(ledger).Exec(ctx); err != nil {
		return fmt.Errorf("marking it as applied: %w", err)
	}
	_, err := tx.NewDelete().Model((*failureRow)(nil)).Where("name = ?", m.String()).Exec(ctx)
	return err
}

func (db *DB) rememberFailure(ctx context.Context, name string, why error) error {
	row := failureRow{Name: text(name), FailedAt: moment{time.Now()}, Error: text(why.Error())}
	_, err := db.bun.NewInsert().Model(&row).
		On("CONFLICT (name) DO UPDATE").
		Set("failed_at = EXCLUDED.failed_at").
		Set("error = EXCLUDED.error").
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: noting the failed migration: %w", err)
	}
	return nil
}

// Baseline writes the ledger for tables that have none, and returns the last
// migration that they now count as having. They must match one known version
// exactly, or the error is a *[BaselineError] and nothing is written.
func (db *DB) Baseline(ctx context.Context) (version string, err error) {
	err = db.exclusively(ctx, func() error {
		s, err := db.Status(ctx)
		switch {
		case err != nil:
			return err
		case len(s.Newer) > 0:
			return &NewerError{Newer: s.Newer}
		case !s.NeedsBaseline && len(s.Applied) > 0:
			return fmt.Errorf("the database has its ledger already, up to %s", s.Applied[len(s.Applied)-1])
		case !s.NeedsBaseline:
			return fmt.Errorf("the database is empty; run: %s", migrateCommand)
		}
		match, err := db.match(ctx)
		if err != nil {
			return err
		}
		migrator, err := db.migrator(ctx)
		if err != nil {
			return err
		}
		all, err := migrator.MigrationsWithStatus(ctx)
		if err != nil {
			return fmt.Errorf("storage: reading the ledger: %w", err)
		}
		var lines []migrate.Migration
		for _, m := range all {
			if m.Name <= match {
				lines = append(lines, migrate.Migration{Name: m.Name, GroupID: 1, MigratedAt: time.Now()})
				version = m.String()
			}
		}
		if _, err := db.bun.NewInsert().Model(&lines).ModelTableExpr(ledger).Exec(ctx); err != nil {
			return fmt.Errorf("storage: writing the ledger: %w", err)
		}
		db.log.InfoContext(ctx, "wrote the ledger of migrations", "version", version)
		return nil
	})
	if err != nil {
		return "", err
	}
	return version, nil
}

// match returns the version that the tables have, the newest that fits.
func (db *DB) match(ctx context.Context) (string, error) {
	have, err := db.engine.inspect(ctx, db.bun)
	if err != nil {
		return "", fmt.Errorf("storage: looking at the tables: %w", err)
	}
	versions, err := db.versions()
	if err != nil {
		return "", fmt.Errorf("storage: reading descriptions: %w", err)
	}
	known, err := db.knownTables()
	if err != nil {
		return "", fmt.Errorf("storage: reading descriptions: %w", err)
	}
	var nearest BaselineError
	for _, v := range slices.Backward(versions) {
		want, err := readDescription(db.files, db.engine.folder(), v)
		if err != nil {
			return "", fmt.Errorf("storage: reading descriptions: %w", err)
		}
		drift := compareExactly(want, have, known)
		if len(drift) == 0 {
			return v, nil
		}
		if nearest.Nearest == "" || len(drift) < len(nearest.Drift) {
			nearest = BaselineError{Nearest: v, Drift: drift}
		}
	}
	return "", &nearest
}
