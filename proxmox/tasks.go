package proxmox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Task is one entry of a node's task list.
type Task struct {
	UPID    UPID
	Node    string
	Type    string // vzstart, vzdestroy, hastop, …
	ID      string // the VMID, for tasks on guests
	User    string // user@realm
	TokenID string // the token's own part of its id; "" where a person did it
	Status  string // exit status: OK, "WARNINGS: 1", or an error text; "" while running
	Start   time.Time
	End     time.Time // zero while running
}

// TaskFilter narrows a task list. Zero values do not.
type TaskFilter struct {
	VMID   int
	Since  time.Time // only tasks that began then or later, to the second
	Source string    // archive (finished; what "" means to Proxmox), active, all
	Type   string
	Limit  int // 0: Proxmox's default of 50
	Errors bool
}

func (f TaskFilter) params() (url.Values, error) {
	params := url.Values{}
	if f.VMID != 0 {
		if !validVMID(f.VMID) {
			return nil, fmt.Errorf("%w: %d is not a VMID", errInvalid, f.VMID)
		}
		params.Set("vmid", strconv.Itoa(f.VMID))
	}
	if !f.Since.IsZero() {
		params.Set("since", strconv.FormatInt(f.Since.Unix(), 10))
	}
	switch f.Source {
	case "":
	case "archive", "active", "all":
		params.Set("source", f.Source)
	default:
		return nil, fmt.Errorf("%w: no such source of tasks %.100q", errInvalid, f.Source)
	}
	if f.Type != "" {
		params.Set("typefilter", f.Type)
	}
	if f.Limit < 0 {
		return nil, fmt.Errorf("%w: a limit of %d", errInvalid, f.Limit)
	}
	if f.Limit > 0 {
		params.Set("limit", strconv.Itoa(f.Limit))
	}
	setFlag(params, "errors", f.Errors)
	return params, nil
}

// Tasks asks for tasks of a node, running ones first, then newest first.
// Without Sys.Audit on the node, only the token's own are shown.
func (c *Client) Tasks(ctx context.Context, node string, f TaskFilter) ([]Task, error) {
	params, err := f.params()
	if err != nil {
		return nil, err
	}
	var tasks []Task
	err = c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/tasks", node: node, params: params,
		data: func(r *reader) {
			for range r.array() {
				tasks = append(tasks, readTask(r))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return tasks, nil
}

func readTask(r *reader) Task {
	var t Task
	for name := range r.object() {
		switch string(name) {
		case "upid":
			t.UPID = UPID(r.text())
		case "node":
			t.Node = r.repeated()
		case "type":
			t.Type = r.repeated()
		case "id":
			t.ID = r.repeated()
		case "user":
			t.User = r.repeated()
		case "tokenid":
			t.TokenID = r.repeated()
		case "status":
			t.Status = r.repeated()
		case "starttime":
			t.Start = r.time()
		case "endtime":
			t.End = r.time()
		default:
			r.skip()
		}
	}
	// Some versions leave the token in the user, and the list of active tasks
	// has this word where the exit status will be (PVE/API2/Tasks.pm).
	if user, token, ok := strings.Cut(t.User, "!"); ok {
		t.User, t.TokenID = user, token
	}
	if t.Status == "RUNNING" {
		t.Status = ""
	}
	return t
}

// TaskStatus is how a task is doing.
type TaskStatus struct {
	UPID    UPID
	Running bool
	Exit    string // OK, "WARNINGS: 1", or an error text of one line; "" while running
}

// Proxmox's own measure: status_is_error of pve-common, src/PVE/UPID.pm.
var warnings = regexp.MustCompile(`^WARNINGS: (\d+)$`)

// OK reports whether the task ended well, with or without warnings.
func (s TaskStatus) OK() bool {
	return !s.Running && (s.Exit == "OK" || warnings.MatchString(s.Exit))
}

// Warnings returns the number of warnings of a task that ended well.
func (s TaskStatus) Warnings() int {
	m := warnings.FindStringSubmatch(s.Exit)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TaskStatus asks how a task is doing. It needs Sys.Audit on the node, unless
// our token started it.
func (c *Client) TaskStatus(ctx context.Context, u UPID) (TaskStatus, error) {
	s := TaskStatus{UPID: u}
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/tasks/{upid}/status", node: u.Node(), upid: u,
		data: s.read,
	})
	if err != nil {
		return TaskStatus{}, err
	}
	return s, nil
}

func (s *TaskStatus) read(r *reader) {
	status := ""
	for name := range r.object() {
		switch string(name) {
		case "status":
			status = r.text()
		case "exitstatus":
			s.Exit = r.text()
		default:
			r.skip()
		}
	}
	// Neither word must be guessed: one ends a job, the other keeps it open.
	if s.Running = status == "running"; !s.Running && status != "stopped" {
		r.failAt("/data/status", errNotStatus)
	}
}

var errNotStatus = errors.New("neither running nor stopped")

// TaskLog is a part of the log of a task.
type TaskLog struct {
	Lines []string
	Total int // lines that the whole log has by now
}

// TaskLog asks for at most limit lines of the log of a task, after the first
// start lines; limit 0 is Proxmox's default of 50. It needs Sys.Audit on the
// node, unless our token started the task.
func (c *Client) TaskLog(ctx context.Context, u UPID, start, limit int) (TaskLog, error) {
	if start < 0 || limit < 0 {
		return TaskLog{}, fmt.Errorf("%w: %d lines after line %d", errInvalid, limit, start)
	}
	params := url.Values{}
	if start > 0 {
		params.Set("start", strconv.Itoa(start))
	}
	if limit > 0 {
		params.Set("limit", strconv.Itoa(limit))
	}
	var log TaskLog
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/tasks/{upid}/log", node: u.Node(), upid: u, params: params,
		data: func(r *reader) {
			for range r.array() {
				for name := range r.object() {
					if string(name) == "t" {
						log.Lines = append(log.Lines, r.text())
					} else {
						r.skip()
					}
				}
			}
		},
		other: func(r *reader, name string) {
			if name == "total" {
				log.Total = r.int()
			} else {
				r.skip()
			}
		},
	})
	if err != nil {
		return TaskLog{}, err
	}
	// An empty log is sent as one line, because Proxmox's own page does not
	// like an empty list (dump_logfile of pve-common).
	if log.Total <= 1 && len(log.Lines) == 1 && log.Lines[0] == "no content" {
		return TaskLog{}, nil
	}
	return log, nil
}
