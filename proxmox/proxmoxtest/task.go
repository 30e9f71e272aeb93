package proxmoxtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// lockTimeout is how long a task waits for a container's lock (pve-guest-common, PVE::AbstractConfig::lock_config).
const lockTimeout = 10 * time.Second

// Task is one of the cluster's tasks.
type Task struct {
	UPID  string
	Node  string
	Type  string // vzstart, vzstop, vzshutdown, vzreboot, vzdestroy, vzcreate, vzdump, vzsnapshot, hastart, hastop
	VMID  int
	ID    string // of a task on something else than a guest: the template of a download
	User  string // as in the UPID: user@realm, or user@realm!token
	Start time.Time
	// End and Exit are zero while it runs. Exit is "OK", "WARNINGS: 1", "unexpected status" or the text of the error.
	End  time.Time
	Exit string
	// Params of the request that started it; nil if no request did.
	Params url.Values
	Log    []string
}

// Running tells whether the task has not ended.
func (t Task) Running() bool { return t.Exit == "" }

type task struct {
	Task
	pid, pstart int
	kill        chan struct{}
	killed      bool
	warnings    int
}

// Tasks returns all tasks there ever were, in the order of their start; those of [Server.AddTask] where they were added.
func (s *Server) Tasks() []Task {
	s.lock()
	defer s.mu.Unlock()
	out := make([]Task, len(s.tasks))
	for i, t := range s.tasks {
		out[i] = t.copy()
	}
	return out
}

func (t *task) copy() Task {
	c := t.Task
	c.Log = slices.Clone(t.Log)
	return c
}

// AddTask puts a task of the past into the list, for a history that a test needs, and returns its UPID. Without End it ends when it
// starts; without Exit it is "OK"; without User it is of root@pam.
func (s *Server) AddTask(t Task) string {
	s.lock()
	defer s.mu.Unlock()
	return s.addPast(t)
}

func (s *Server) addPast(past Task) string {
	if past.User == "" {
		past.User = "root@pam"
	}
	if past.Exit == "" {
		past.Exit = "OK"
	}
	if past.Start.IsZero() {
		past.Start = s.now()
	}
	if past.End.IsZero() {
		past.End = past.Start
	}
	t := s.newTask(past)
	t.Log = append(slices.Clone(t.Log), lastLine(past.Exit))
	s.notify()
	return t.UPID
}

// AwaitTask returns the first task, past or future, running or not, for which match is true.
func (s *Server) AwaitTask(ctx context.Context, match func(Task) bool) (Task, error) {
	var found Task
	err := s.await(ctx, func() bool {
		for _, t := range s.tasks {
			if c := t.copy(); match(c) {
				found = c
				return true
			}
		}
		return false
	})
	return found, err
}

// AwaitIdle returns when no task runs and nothing that was asked of the HA manager is outstanding.
func (s *Server) AwaitIdle(ctx context.Context) error {
	return s.await(ctx, func() bool {
		return s.pending == 0 && !slices.ContainsFunc(s.tasks, func(t *task) bool { return t.Running() })
	})
}

// newTask gives a task its UPID and its place in the list. The lock is held.
func (s *Server) newTask(from Task) *task {
	s.nextPID++
	t := &task{Task: from, pid: s.nextPID, kill: make(chan struct{})}
	t.pstart = 0x01234567 + (s.nextPID-0x0A1B2C)*131
	id := t.ID
	if t.VMID != 0 {
		id = itoa(t.VMID)
	}
	t.UPID = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", t.Node, t.pid, t.pstart, t.Start.Unix(), t.Type, id, t.User)
	s.tasks = append(s.tasks, t)
	return t
}

// worker is a task while it runs. Its methods take the lock themselves.
type worker struct {
	s *Server
	t *task
}

// errAborted ends a task that was killed or whose server was closed.
var errAborted = errors.New("aborted")

// fork starts a task, as PVE::RPCEnvironment::fork_worker does: the caller gets the UPID at once. The lock is held.
func (s *Server) fork(node, kind string, vmid int, user string, params url.Values, run func(*worker) error) string {
	return s.run(Task{Node: node, Type: kind, VMID: vmid, User: user, Params: params}, run)
}

// forkOther starts a task that is about no guest.
func (s *Server) forkOther(node, kind, id, user string, params url.Values, run func(*worker) error) string {
	return s.run(Task{Node: node, Type: kind, ID: id, User: user, Params: params}, run)
}

func (s *Server) run(what Task, run func(*worker) error) string {
	what.Start = s.now()
	t := s.newTask(what)
	s.notify()
	if s.closed {
		return t.UPID
	}
	w := &worker{s: s, t: t}
	s.wg.Go(func() {
		if !w.released() {
			w.end(errAborted)
			return
		}
		w.end(run(w))
	})
	return t.UPID
}

// released waits for the end of a Hold. False: killed or closed.
func (w *worker) released() bool {
	for {
		w.s.mu.Lock()
		held, changed := w.s.held, w.s.changed
		w.s.mu.Unlock()
		if !held {
			return true
		}
		select {
		case <-changed:
		case <-w.t.kill:
			return false
		case <-w.s.done:
			return false
		}
	}
}

func (w *worker) end(err error) {
	s, t := w.s, w.t
	s.lock()
	defer s.mu.Unlock()
	switch {
	case s.closed && errors.Is(err, errAborted):
		return // what was cut off by Close has no end
	case t.killed:
		// No last line was written, and the exit status is read from the last line.
		t.Exit = "unexpected status"
	case err != nil:
		t.Exit = strings.ReplaceAll(err.Error(), "\n", " ")
	case t.warnings > 0:
		t.Exit = "WARNINGS: " + itoa(t.warnings)
	default:
		t.Exit = "OK"
	}
	if !t.killed {
		t.Log = append(t.Log, lastLine(t.Exit))
	}
	t.End = s.now()
	s.notify()
}

func lastLine(exit string) string {
	switch {
	case exit == "OK", strings.HasPrefix(exit, "WARNINGS: "):
		return "TASK " + exit
	}
	return "TASK ERROR: " + exit
}

func (w *worker) log(format string, args ...any) {
	w.s.lock()
	defer w.s.mu.Unlock()
	w.t.Log = append(w.t.Log, fmt.Sprintf(format, args...))
	w.s.notify()
}

func (w *worker) warn(format string, args ...any) {
	w.log("WARN: "+format, args...)
	w.s.mu.Lock()
	w.t.warnings++
	w.s.mu.Unlock()
}

// sleep lasts d, scaled.
func (w *worker) sleep(d time.Duration) error {
	if !w.s.pause(w.s.scaled(d), w.t.kill) {
		return errAborted
	}
	return nil
}

// change runs f with the lock held, and tells everybody.
func (w *worker) change(f func() error) error {
	w.s.lock()
	defer w.s.mu.Unlock()
	err := f()
	w.s.touch()
	return err
}

// locked runs f while the task holds the lock of the container's configuration file.
func (w *worker) locked(vmid int, f func() error) error {
	s := w.s
	s.mu.Lock()
	lock := s.flocks[vmid]
	if lock == nil {
		lock = make(chan struct{}, 1)
		s.flocks[vmid] = lock
	}
	s.mu.Unlock()
	select {
	case lock <- struct{}{}:
	default:
		w.log("trying to acquire lock...")
		t := time.NewTimer(s.scaled(lockTimeout))
		defer t.Stop()
		select {
		case lock <- struct{}{}:
			w.log(" OK")
		case <-t.C:
			return fmt.Errorf("can't lock file '/run/lock/lxc/pve-config-%d.lock' - got timeout", vmid)
		case <-w.t.kill:
			return errAborted
		case <-s.done:
			return errAborted
		}
	}
	defer func() { <-lock }()
	return f()
}

// owns tells whether the caller may see a task without Sys.Audit: a user sees the tasks of its tokens, a token only its own.
func (t *task) owns(who caller) bool {
	user, _, _ := strings.Cut(t.User, "!")
	return who.user == t.User || who.user == user
}

// seesTask fails unless the caller owns the task or has Sys.Audit on the node.
func (s *Server) seesTask(who caller, node, user string) error {
	if (&task{Task: Task{User: user}}).owns(who) {
		return nil
	}
	return s.check(who, "/nodes/"+node, false, "Sys.Audit")
}

// row is what lists say of a task.
func (t *task) row(splitUser bool) map[string]any {
	row := map[string]any{
		"upid": t.UPID, "node": t.Node, "pid": t.pid, "pstart": t.pstart, "starttime": t.Start.Unix(), "type": t.Type, "id": t.ID,
		"user": t.User,
	}
	if t.VMID != 0 {
		row["id"] = itoa(t.VMID)
	}
	if user, name, isToken := strings.Cut(t.User, "!"); isToken && splitUser {
		row["user"], row["tokenid"] = user, name
	}
	if !t.Running() {
		row["endtime"], row["status"] = t.End.Unix(), t.Exit
	}
	return row
}

// getTasks answers GET /nodes/{node}/tasks (pve-manager, PVE/API2/Tasks.pm): running ones first, then the latest to end first.
func (s *Server) getTasks(r *request) (any, error) {
	source := "archive"
	if r.has("source") {
		source = r.text("source")
	}
	var listed []*task
	for _, t := range s.tasks {
		if t.Node == r.node && (t.Running() && source != "archive" || !t.Running() && source != "active") {
			listed = append(listed, t)
		}
	}
	slices.Reverse(listed)
	slices.SortStableFunc(listed, func(a, b *task) int {
		if a.Running() || b.Running() {
			return oneIf(b.Running()) - oneIf(a.Running())
		}
		return b.End.Compare(a.End)
	})
	auditor := s.may(r.who, "/nodes/"+r.node, "Sys.Audit")
	statuses := []string{"ok", "warning", "error", "unknown"}
	if r.flag("errors") {
		statuses = statuses[1:]
	} else if r.has("statusfilter") {
		statuses = splitList(strings.ToLower(r.text("statusfilter")))
	}
	skip, limit := r.number("start", 0), r.number("limit", 50)
	count := int64(0)
	rows := []any{}
	for _, t := range listed {
		row := t.row(!t.Running())
		switch {
		case !auditor && !t.owns(r.who):
		case r.text("userfilter") != "" && !containsFold(row["user"].(string), r.text("userfilter")):
		case r.text("typefilter") != "" && t.Type != r.text("typefilter"):
		case r.has("vmid") && t.VMID != r.vmid():
		case r.has("since") && t.Start.Unix() < r.number("since", 0):
		case r.has("until") && t.Start.Unix() > r.number("until", 0):
		case !slices.Contains(statuses, statusType(t.Exit)):
		default:
			count++
			if count > skip && int64(len(rows)) < limit {
				if t.Running() {
					row["status"], row["saved"] = "RUNNING", "0"
				}
				rows = append(rows, row)
			}
		}
	}
	r.total = int(count)
	return rows, nil
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

func statusType(exit string) string {
	switch {
	case exit == "", exit == "unexpected status":
		return "unknown"
	case exit == "OK":
		return "ok"
	case strings.HasPrefix(exit, "WARNINGS: "):
		return "warning"
	}
	return "error"
}

// getClusterTasks answers GET /cluster/tasks: of every node what runs and the 25 that ended last. Without Sys.Audit on / only those of
// the caller; but since the user is compared without its token, a token then sees nothing at all.
func (s *Server) getClusterTasks(r *request) (any, error) {
	all := s.may(r.who, "/", "Sys.Audit")
	rows := []any{}
	for _, n := range s.nodes {
		var finished int
		for _, t := range slices.Backward(s.tasks) {
			if t.Node != n.Name {
				continue
			}
			if !t.Running() {
				if finished++; finished > 25 {
					continue
				}
			}
			row := t.row(true)
			delete(row, "pstart")
			row["saved"] = itoa(oneIf(!t.Running()))
			if !t.Running() {
				delete(row, "pid")
			}
			if all || row["user"] == r.who.user {
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

var upidPattern = regexp.MustCompile(
	`^UPID:([a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?):([0-9A-Fa-f]{8}):([0-9A-Fa-f]{8,9}):([0-9A-Fa-f]{8}):([^:\s/]+):([^:\s/]*):([^:\s/]+):$`)

func upidError(text string) error {
	return &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{"upid": text}}
}

// task finds the task of a UPID on a node; nil if there is none. The error is that of a malformed one, or of a missing privilege.
func (s *Server) task(r *request, mustExist bool) (*task, error) {
	upid := r.text("upid")
	parts := upidPattern.FindStringSubmatch(upid)
	if parts == nil {
		return nil, upidError("unable to parse worker upid")
	}
	var found *task
	for _, t := range s.tasks {
		if t.UPID == upid && t.Node == r.node {
			found = t
		}
	}
	if found == nil && mustExist {
		return nil, upidError("no such task")
	}
	return found, s.seesTask(r.who, r.node, parts[7])
}

// getTaskStatus answers GET …/tasks/{upid}/status.
func (s *Server) getTaskStatus(r *request) (any, error) {
	t, err := s.task(r, true)
	if err != nil {
		return nil, err
	}
	row := t.row(true)
	delete(row, "endtime")
	row["status"] = "running"
	if !t.Running() {
		row["status"], row["exitstatus"] = "stopped", t.Exit
	}
	return row, nil
}

// getTaskLog answers GET …/tasks/{upid}/log.
func (s *Server) getTaskLog(r *request) (any, error) {
	t, err := s.task(r, false)
	if err != nil {
		return nil, err
	}
	line := func(n int, text string) map[string]any { return map[string]any{"n": n, "t": text} }
	if t == nil {
		r.total = 1
		return []any{line(1, "unable to open file - No such file or directory")}, nil
	}
	if r.flag("download") {
		return nil, die("downloads are not simulated")
	}
	start, limit := r.number("start", 0), r.number("limit", 50)
	rows := []any{}
	for i, text := range t.Log {
		if int64(i) >= start && (limit == 0 || int64(len(rows)) < limit) {
			rows = append(rows, line(i+1, text))
		}
	}
	r.total = len(t.Log)
	if r.total == 0 {
		r.total = 1
		rows = append(rows, line(1, "no content"))
	}
	return rows, nil
}
