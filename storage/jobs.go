package storage

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
)

type jobRow struct {
	bun.BaseModel `bun:"table:jobs,alias:j"`

	ID          text   `bun:"id,pk"`
	ContainerID text   `bun:"container_id,notnull"`
	Cluster     text   `bun:"cluster,notnull"`
	Node        text   `bun:"node,notnull"`
	VMID        int64  `bun:"vmid,notnull"`
	Name        text   `bun:"name,notnull"`
	Action      text   `bun:"action,notnull"`
	Forced      bool   `bun:"forced,notnull"`
	State       text   `bun:"state,notnull"`
	UPID        text   `bun:"upid,notnull"`
	Error       text   `bun:"error,notnull"`
	Warnings    int64  `bun:"warnings,notnull"`
	Platform    text   `bun:"platform,notnull"`
	PersonID    text   `bun:"person_id,notnull"`
	Person      text   `bun:"person,notnull"`
	Channel     text   `bun:"channel,notnull"`
	Request     text   `bun:"request,notnull"`
	CreatedAt   moment `bun:"created_at,notnull"`
	SubmittedAt moment `bun:"submitted_at"`
	FinishedAt  moment `bun:"finished_at"` // NULL while the job is open
	NotifiedAt  moment `bun:"notified_at"`
	Holder      text   `bun:"holder,notnull"`
	Fence       int64  `bun:"fence,notnull"`
	LeaseUntil  moment `bun:"lease_until,notnull"`
	Leftovers   bool   `bun:"leftovers,notnull"`
	Batch       text   `bun:"batch,notnull"`
	BatchSize   int64  `bun:"batch_size,notnull"`
	Spec        text   `bun:"spec,notnull"`
	Progress    text   `bun:"progress,notnull"`
	Cancelled   text   `bun:"cancelled,notnull"`
}

func (r jobRow) job() jobs.Job {
	return jobs.Job{
		ID:          string(r.ID),
		Container:   inventory.ID(r.ContainerID),
		Cluster:     string(r.Cluster),
		Node:        string(r.Node),
		VMID:        int(r.VMID),
		Name:        string(r.Name),
		Action:      jobs.Action(r.Action),
		Forced:      r.Forced,
		Leftovers:   r.Leftovers,
		State:       jobs.State(r.State),
		UPID:        proxmox.UPID(r.UPID),
		Error:       string(r.Error),
		Warnings:    int(r.Warnings),
		Batch:       string(r.Batch),
		BatchSize:   int(r.BatchSize),
		Spec:        string(r.Spec),
		Progress:    string(r.Progress),
		Cancelled:   string(r.Cancelled),
		Person:      chat.Person{Platform: chat.PlatformName(r.Platform), ID: string(r.PersonID), Name: string(r.Person)},
		Channel:     string(r.Channel),
		Request:     string(r.Request),
		CreatedAt:   r.CreatedAt.Time,
		SubmittedAt: r.SubmittedAt.Time,
		FinishedAt:  r.FinishedAt.Time,
		NotifiedAt:  r.NotifiedAt.Time,
		Holder:      string(r.Holder),
		Fence:       r.Fence,
		LeaseUntil:  r.LeaseUntil.Time,
	}
}

// newJobRow is an open job's first row; its lease is the database's business.
func newJobRow(j jobs.Job) jobRow {
	return jobRow{
		ID:          text(j.ID),
		ContainerID: text(j.Container),
		Cluster:     text(j.Cluster),
		Node:        text(j.Node),
		VMID:        int64(j.VMID),
		Name:        text(j.Name),
		Action:      text(j.Action),
		Forced:      j.Forced,
		Leftovers:   j.Leftovers,
		Batch:       text(j.Batch),
		BatchSize:   int64(j.BatchSize),
		Spec:        text(j.Spec),
		Progress:    text(j.Progress),
		State:       text(jobs.Submitting),
		Platform:    text(j.Person.Platform),
		PersonID:    text(j.Person.ID),
		Person:      text(j.Person.Name),
		Channel:     text(j.Channel),
		Request:     text(j.Request),
		CreatedAt:   moment{j.CreatedAt},
		Holder:      text(j.Holder),
		Fence:       1,
	}
}

var _ jobs.Store = (*DB)(nil)

// CreateJob inserts an open job in state submitting and returns it as stored.
// An empty ID and a zero CreatedAt are filled in; UPID, outcome, fence and
// lease of j are ignored.
func (db *DB) CreateJob(ctx context.Context, j jobs.Job, lease time.Duration, supersede string) (jobs.Job, error) {
	if j.ID == "" {
		j.ID = rand.Text()
	}
	for range 10 {
		created, err := db.createJob(ctx, j, lease, supersede)
		var busy *jobs.BusyError
		switch {
		case err == nil:
			return created, nil
		case errors.As(err, &busy):
			return jobs.Job{}, busy
		case errors.Is(err, jobs.ErrNoDraft), errors.Is(err, jobs.ErrRepeated):
			return jobs.Job{}, err
		case !errors.Is(err, errEndedMeanwhile):
			return jobs.Job{}, fmt.Errorf("storage: creating a job: %w", err)
		}
	}
	return jobs.Job{}, fmt.Errorf("storage: creating a job: %w", errEndedMeanwhile)
}

var errEndedMeanwhile = errors.New("the open job of this container ended meanwhile")

func (db *DB) createJob(ctx context.Context, j jobs.Job, lease time.Duration, supersede string) (created jobs.Job, err error) {
	if supersede == "" && j.Draft == "" {
		return db.insertJob(ctx, db.bun, j, lease)
	}
	err = db.bun.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if supersede != "" {
			_, err := tx.NewUpdate().Model((*jobRow)(nil)).
				Set("state = ?", text(jobs.Superseded)).
				Set("fence = fence + 1").
				Set("finished_at = ?", db.engine.in(0)).
				Where("id = ?", text(supersede)).
				Where("container_id = ?", text(j.Container)).
				Where("finished_at IS NULL").
				Exec(ctx)
			if err != nil {
				return err
			}
		}
		created, err = db.insertJob(ctx, tx, j, lease)
		if err == nil && j.Draft != "" {
			err = dropDraft(ctx, tx, j.Draft, j.Person.Key())
		}
		return err // and nothing is superseded
	})
	return created, err
}

// insertJob is one statement where the container is free. A person waits for it
// to see that something is under way.
func (db *DB) insertJob(ctx context.Context, tx bun.IDB, j jobs.Job, lease time.Duration) (jobs.Job, error) {
	row := newJobRow(j)
	inserted, err := db.engine.insertJob(ctx, tx, &row, lease)
	db.refusals.note(err) // a prepared statement has no hook
	if err != nil || inserted {
		return row.job(), err
	}
	in, found, err := one[jobRow](ctx, tx.NewSelect().
		Where("id = ?", text(j.ID)).
		WhereOr("container_id = ? AND finished_at IS NULL", text(j.Container)).
		OrderExpr("id = ? DESC", text(j.ID)).Limit(1))
	switch {
	case err != nil:
		return jobs.Job{}, err
	case !found:
		return jobs.Job{}, errEndedMeanwhile
	case string(in.ID) == j.ID:
		return jobs.Job{}, jobs.ErrRepeated
	}
	return jobs.Job{}, &jobs.BusyError{Job: in.job()}
}

// ClaimJob takes over the oldest open job whose lease has ended.
func (db *DB) ClaimJob(ctx context.Context, holder string, lease time.Duration) (jobs.Job, bool, error) {
	left := db.bun.NewSelect().Model((*jobRow)(nil)).
		Column("id").
		Where("finished_at IS NULL").
		Where("lease_until <= ?", db.engine.in(0)).
		Order("created_at", "id").
		Limit(1)
	var row jobRow
	n, err := changed(db.bun.NewUpdate().Model(&row).
		Set("holder = ?", text(holder)).
		Set("fence = fence + 1").
		Set("lease_until = ?", db.engine.in(lease)).
		Where("id = (?)", db.engine.skipLocked(left)).
		Returning("*").
		Exec(ctx))
	if errors.Is(err, sql.ErrNoRows) || err == nil && n == 0 {
		return jobs.Job{}, false, nil
	}
	if err != nil {
		return jobs.Job{}, false, fmt.Errorf("storage: claiming a job: %w", err)
	}
	return row.job(), true, nil
}

// RenewJob makes the lease end that long after the database's present, and
// tells why the job is to end early; "": it is not.
func (db *DB) RenewJob(ctx context.Context, id string, fence int64, lease time.Duration) (cancelled string, err error) {
	var row jobRow
	err = db.writeJob(ctx, "renewing", id, fence, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Model(&row).Set("lease_until = ?", db.engine.in(lease)).Returning("cancelled")
	})
	return string(row.Cancelled), err
}

// MarkSubmitting notes that a request is about to be sent to a node, and
// forgets the task of an earlier one.
func (db *DB) MarkSubmitting(ctx context.Context, id string, fence int64, at time.Time, node string) error {
	return db.writeJob(ctx, "submitting", id, fence, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("submitted_at = ?", moment{at}).Set("node = ?", text(node)).
			Set("state = ?", text(jobs.Submitting)).Set("upid = ''")
	})
}

// MarkRunning notes the task that Proxmox gave.
func (db *DB) MarkRunning(ctx context.Context, id string, fence int64, upid proxmox.UPID) error {
	return db.writeJob(ctx, "marking", id, fence, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("state = ?", text(jobs.Running)).Set("upid = ?", text(upid))
	})
}

// SaveProgress notes how far a job is, and its container's VMID by now, and
// tells why the job is to end early.
func (db *DB) SaveProgress(ctx context.Context, id string, fence int64, vmid int, progress string) (cancelled string, err error) {
	var row jobRow
	err = db.writeJob(ctx, "noting progress of", id, fence, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Model(&row).Set("vmid = ?", vmid).Set("progress = ?", text(progress)).Returning("cancelled")
	})
	return string(row.Cancelled), err
}

// CancelJob asks an open job to end early, without regard to who holds it.
func (db *DB) CancelJob(ctx context.Context, id, reason string) (bool, error) {
	n, err := changed(db.bun.NewUpdate().Model((*jobRow)(nil)).
		Set("cancelled = CASE WHEN cancelled = '' THEN ? ELSE cancelled END", text(reason)).
		Where("id = ?", text(id)).
		Where("finished_at IS NULL").
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: cancelling job %s: %w", id, err)
	}
	return n == 1, nil
}

// FinishJob closes a job; what is closed stays as it is.
func (db *DB) FinishJob(ctx context.Context, id string, fence int64, state jobs.State, reason string, warnings int) error {
	if state.Open() {
		return fmt.Errorf("storage: finishing job %s: %q is no end", id, state)
	}
	return db.writeJob(ctx, "finishing", id, fence, func(q *bun.UpdateQuery) *bun.UpdateQuery {
		return q.Set("state = ?", text(state)).
			Set("error = ?", text(reason)).
			Set("warnings = ?", warnings).
			Set("finished_at = ?", db.engine.in(0))
	})
}

// writeJob changes an open job that is still held with the fence.
func (db *DB) writeJob(ctx context.Context, doing, id string, fence int64, set func(*bun.UpdateQuery) *bun.UpdateQuery) error {
	n, err := changed(set(db.bun.NewUpdate().Model((*jobRow)(nil))).
		Where("id = ?", text(id)).
		Where("fence = ?", fence).
		Where("finished_at IS NULL").
		Exec(ctx))
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && n == 0:
		return jobs.ErrFenced
	case err != nil:
		return fmt.Errorf("storage: %s job %s: %w", doing, id, err)
	}
	return nil
}

// HoldOutcome takes, or keeps, the telling of a finished job for the lease,
// unless another holder has that or it was told. Whoever finished the job has it
// for as long as the job's lease goes on.
func (db *DB) HoldOutcome(ctx context.Context, id, holder string, lease time.Duration) (bool, error) {
	n, err := changed(db.bun.NewUpdate().Model((*jobRow)(nil)).
		Set("holder = ?", text(holder)).
		Set("lease_until = ?", db.engine.in(lease)).
		Where("id = ?", text(id)).
		Where("finished_at IS NOT NULL").
		Where("notified_at IS NULL").
		Where("holder = ? OR lease_until <= ?", text(holder), db.engine.in(0)).
		Exec(ctx))
	if err != nil {
		return false, fmt.Errorf("storage: holding the outcome of job %s: %w", id, err)
	}
	return n == 1, nil
}

// MarkNotified notes that the outcome was told. It may be repeated.
func (db *DB) MarkNotified(ctx context.Context, id string) error {
	_, err := db.bun.NewUpdate().Model((*jobRow)(nil)).
		Set("notified_at = ?", db.engine.in(0)).
		Where("id = ?", text(id)).
		Where("finished_at IS NOT NULL").
		Where("notified_at IS NULL").
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("storage: marking job %s as told: %w", id, err)
	}
	return nil
}

// Job returns a job, and whether there is one of that ID.
func (db *DB) Job(ctx context.Context, id string) (jobs.Job, bool, error) {
	row, found, err := one[jobRow](ctx, db.bun.NewSelect().Where("id = ?", text(id)))
	if err != nil {
		return jobs.Job{}, false, fmt.Errorf("storage: reading job %s: %w", id, err)
	}
	if !found {
		return jobs.Job{}, false, nil
	}
	return row.job(), true, nil
}

// LastJob returns the last job of an action on a container, and whether there is
// one.
func (db *DB) LastJob(ctx context.Context, container inventory.ID, a jobs.Action) (jobs.Job, bool, error) {
	row, found, err := one[jobRow](ctx, db.bun.NewSelect().
		Where("container_id = ?", text(container)).Where("action = ?", text(a)).Order("created_at DESC", "id DESC").Limit(1))
	if err != nil {
		return jobs.Job{}, false, fmt.Errorf("storage: reading the last %s of container %s: %w", a, container, err)
	}
	if !found {
		return jobs.Job{}, false, nil
	}
	return row.job(), true, nil
}

// OpenJobs returns all jobs under way, oldest first.
func (db *DB) OpenJobs(ctx context.Context) ([]jobs.Job, error) {
	return db.listJobs(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("finished_at IS NULL").Order("created_at", "id")
	})
}

// UnnotifiedJobs returns the finished jobs whose outcome is still to be told,
// in the order in which they finished.
func (db *DB) UnnotifiedJobs(ctx context.Context) ([]jobs.Job, error) {
	return db.listJobs(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("finished_at IS NOT NULL").Where("notified_at IS NULL").Order("finished_at", "id")
	})
}

// BatchJobs returns the jobs of a batch, in the order in which they were asked
// for.
func (db *DB) BatchJobs(ctx context.Context, batch string) ([]jobs.Job, error) {
	return db.listJobs(ctx, func(q *bun.SelectQuery) *bun.SelectQuery {
		return q.Where("batch <> ''").Where("batch = ?", text(batch)).Order("created_at", "id")
	})
}

// PurgeJobs removes jobs whose outcome was told, and that finished longer ago
// than age. It returns how many.
func (db *DB) PurgeJobs(ctx context.Context, age time.Duration) (int, error) {
	n, err := changed(db.bun.NewDelete().Model((*jobRow)(nil)).
		Where("notified_at IS NOT NULL").
		Where("finished_at <= ?", db.engine.in(-age)).
		Exec(ctx))
	if err != nil {
		return 0, fmt.Errorf("storage: removing old jobs: %w", err)
	}
	return int(n), nil
}

func (db *DB) listJobs(ctx context.Context, which func(*bun.SelectQuery) *bun.SelectQuery) ([]jobs.Job, error) {
	var rows []jobRow
	if err := which(db.bun.NewSelect().Model(&rows)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("storage: reading jobs: %w", err)
	}
	list := make([]jobs.Job, len(rows))
	for i, r := range rows {
		list[i] = r.job()
	}
	return list, nil
}
