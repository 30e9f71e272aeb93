package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// record writes the outcome where boards and the Events tab find it, and reads
// what a failed task said last.
func (r *Runner) record(ctx context.Context, j *Job) {
	if j.Action.OfTemplate() {
		return // no board and no timeline has it
	}
	failedStart := j.State == Failed && !j.SubmittedAt.IsZero() && // what was never asked for says nothing of the container
		(j.Action == Start || j.Action == Restart || j.Action == Create)
	_, err := r.cfg.Inventory.Amend(ctx, j.Container, func(rec *inventory.Record) {
		switch {
		case failedStart:
			rec.Trouble, rec.TroubleAt = fmt.Sprintf("%s failed · %s", j.Action, j.Error), j.FinishedAt
		case j.State == Succeeded || j.State == Warned:
			rec.Trouble, rec.TroubleAt = "", time.Time{}
		}
	})
	r.logFailure(ctx, "store a container's record", err)
	if j.State == Moot {
		return // nothing has happened
	}
	j.Tail = r.tail(ctx, *j)
	var events []inventory.Event
	for _, line := range j.Tail {
		events = append(events, inventory.Event{
			Container: j.Container, At: j.FinishedAt, Type: inventory.EventLog, Text: line, Actor: j.Person.Name, UPID: string(j.UPID),
		})
	}
	r.logFailure(ctx, "append events", r.cfg.Events.AppendEvents(ctx, append(events, outcomeEvent(*j))...))
}

// Lines of a task's log: what an outcome shows, and what is shown on demand.
const (
	tailLines = 5
	logLines  = 100
)

// tail is the end of the log of a task that failed.
func (r *Runner) tail(ctx context.Context, j Job) []string {
	if j.UPID == "" || j.State != Failed {
		return nil
	}
	lines, err := r.readLog(ctx, j, tailLines)
	r.logFailure(ctx, "read a task log", err)
	return lines
}

// readLog reads the last lines of a task's log, without secrets.
func (r *Runner) readLog(ctx context.Context, j Job, most int) ([]string, error) {
	pve, ok := r.cfg.Clusters[j.Cluster]
	if !ok {
		return nil, fmt.Errorf("cluster %s is not configured any more", j.Cluster)
	}
	const whole = 500
	log, err := pve.TaskLog(ctx, j.UPID, 0, whole)
	if err == nil && log.Total > whole {
		log, err = pve.TaskLog(ctx, j.UPID, log.Total-most, most)
	}
	lines := log.Lines[max(0, len(log.Lines)-most):]
	for i, line := range lines {
		lines[i] = guest.Redact(line)
	}
	return lines, err
}

// ErrNoLog says that there is no task whose log could be shown.
var ErrNoLog = errors.New("jobs: there is no task log")

// Log returns a job and the last 100 lines of its task's log, without secrets.
// It returns [ErrNoLog] for a job that is not known (any more), is about
// another container, or never had a task.
func (r *Runner) Log(ctx context.Context, container inventory.ID, id string) (Job, []string, error) {
	j, ok, err := r.cfg.Store.Job(ctx, id)
	if err != nil {
		return Job{}, nil, err
	}
	if !ok || j.Container != container || j.UPID == "" {
		return Job{}, nil, ErrNoLog
	}
	lines, err := r.readLog(ctx, j, logLines)
	return j, lines, err
}

func outcomeEvent(j Job) inventory.Event {
	e := inventory.Event{
		Container: j.Container, At: j.FinishedAt, Actor: j.Person.Name, UPID: string(j.UPID),
		Meta: map[string]string{"job": j.ID, "request": j.Request, "node": j.Node, "person": j.Person.Key(), "action": string(j.Action)},
	}
	if j.UPID != "" {
		e.Meta["upid"] = string(j.UPID)
	}
	e.Type, e.Text = inventory.EventComplete, done[j.Action]
	switch j.State {
	case Superseded:
		e.Type, e.Text = inventory.EventStep, verb[j.Action]+" gave way to a forced stop"
		if j.Action == Create {
			e.Text = "Create " + j.Error
		}
	case Failed:
		e.Type, e.Text = inventory.EventError, verb[j.Action]+" failed: "+j.Error
	case Lost:
		e.Type, e.Text = inventory.EventError, verb[j.Action]+": outcome unknown: "+j.Error
	case Warned:
		e.Text += fmt.Sprintf(", with %d warning(s)", j.Warnings)
	}
	return e
}

// The words of events. Stop pulls the plug, so it is forced whether or not a
// shutdown was tried before; a restart is what Proxmox makes of it.
var (
	verb = map[Action]string{Start: "Start", Shutdown: "Shut down", Restart: "Restart", Stop: "Stop", Delete: "Delete", Create: "Create"}
	done = map[Action]string{Start: "Started", Shutdown: "Shut down (graceful)", Restart: "Restarted", Stop: "Stopped (forced)", Delete: "Deleted", Create: "Created"}
)
