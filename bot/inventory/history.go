package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// Tasks is a cluster whose task lists can be read; *proxmox.Client is one.
type Tasks interface {
	Tasks(ctx context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error)
}

// HistoryConfig is what NewHistory needs.
type HistoryConfig struct {
	Clusters  map[string]Tasks
	TokenUser map[string]string // cluster -> user@realm!token: its tasks are pvechat's, and told by its jobs
	Store     EventStore
	Now       func() time.Time
	Log       *slog.Logger
}

// History takes over, from the task lists of Proxmox, what was done to
// containers outside of pvechat. Its methods are safe for concurrent use.
type History struct {
	cfg HistoryConfig

	mu   sync.Mutex
	read map[ID]time.Time
}

// NewHistory makes a History. It does no I/O.
func NewHistory(cfg HistoryConfig) *History {
	return &History{cfg: cfg, read: map[ID]time.Time{}}
}

const (
	historyFor   = 20 * time.Second // how long what was read stands
	historyTasks = 100              // of one container, at most
	mostChanged  = 10               // containers whose history one refresh reads; the others' is read when they are opened
)

// Due reports whether a container's tasks have not been read just now.
func (h *History) Due(id ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cfg.Now().Sub(h.read[id]) >= historyFor
}

// Read appends an event for every finished task of the container that has none
// yet. Tasks of an earlier container with the same VMID are left out.
func (h *History) Read(ctx context.Context, c *Container) error {
	pve, ok := h.cfg.Clusters[c.Cluster]
	if !ok {
		return nil
	}
	h.mu.Lock()
	if len(h.read) > 10_000 {
		clear(h.read)
	}
	h.read[c.ID] = h.cfg.Now()
	h.mu.Unlock()
	tasks, err := pve.Tasks(ctx, c.Node, proxmox.TaskFilter{VMID: c.VMID, Source: "all", Limit: historyTasks})
	if err != nil {
		return err
	}
	tasks = ofThisOne(tasks)
	upids := make([]string, len(tasks))
	for i, t := range tasks {
		upids[i] = string(t.UPID)
	}
	known, err := h.cfg.Store.HasTaskEvents(ctx, c.ID, upids)
	if err != nil {
		return err
	}
	var events []Event
	for _, t := range tasks {
		if t.End.IsZero() || known[string(t.UPID)] || who(t) == h.cfg.TokenUser[c.Cluster] {
			continue
		}
		events = append(events, eventOf(c.ID, t))
	}
	if len(events) == 0 {
		return nil
	}
	return h.cfg.Store.AppendEvents(ctx, events...)
}

// Follow reads the history of containers that a refresh saw changing state. Of
// those on a node that is away, it does not wait for that node again and again.
func (h *History) Follow(ctx context.Context, changes []Change) {
	n, away := 0, map[string]bool{}
	for _, ch := range changes {
		if ch.After == nil || ch.Before == nil || ch.Before.State == ch.After.State || ch.After.State == Unknown || n == mostChanged {
			continue
		}
		node := ch.Cluster + "/" + ch.After.Node
		if away[node] {
			continue
		}
		n++
		err := h.Read(ctx, ch.After)
		if errors.Is(err, proxmox.ErrNodeUnreachable) {
			away[node] = true
		}
		if err != nil && ctx.Err() == nil {
			h.cfg.Log.WarnContext(ctx, "read what was done to a container in Proxmox", "container", ch.After.ID, "cluster", ch.Cluster, "vmid", ch.After.VMID, "err", err)
		}
	}
}

// ofThisOne leaves out what is older than the task that made the container, and
// what followed on its removal. The list is newest first.
func ofThisOne(tasks []proxmox.Task) []proxmox.Task {
	for i, t := range tasks {
		done := proxmox.TaskStatus{Exit: t.Status}.OK()
		switch {
		case !done:
		case t.Type == "vzcreate", t.Type == "vzrestore":
			return tasks[:i+1]
		case t.Type == "vzdestroy":
			return tasks[:i]
		}
	}
	return tasks
}

func who(t proxmox.Task) string {
	if t.TokenID != "" {
		return t.User + "!" + t.TokenID
	}
	return t.User
}

// taskWords name what a task did, and what it would have done.
var taskWords = map[string][2]string{
	"vzstart": {"Started", "Start"}, "vzstop": {"Stopped (forced)", "Stop"}, "vzshutdown": {"Shut down (graceful)", "Shut down"},
	"vzreboot": {"Restarted", "Restart"}, "vzcreate": {"Created", "Create"}, "vzrestore": {"Restored from a backup", "Restore"},
	"vzdestroy": {"Deleted", "Delete"}, "vzclone": {"Cloned", "Clone"}, "vzmigrate": {"Moved to another node", "Move to another node"},
	"vzsnapshot": {"Snapshot taken", "Snapshot"}, "vzdelsnapshot": {"Snapshot removed", "Removing a snapshot"}, "vzrollback": {"Rolled back to a snapshot", "Rollback"},
	"vzdump": {"Backed up", "Backup"}, "vztemplate": {"Turned into a template", "Turning into a template"}, "resize": {"Disk resized", "Resizing a disk"},
	"move_volume": {"Volume moved", "Moving a volume"}, "hastart": {"Start asked of HA", "Start by HA"}, "hastop": {"Stop asked of HA", "Stop by HA"},
}

func eventOf(id ID, t proxmox.Task) Event {
	words, ok := taskWords[t.Type]
	if !ok {
		words = [2]string{t.Type + " done", t.Type}
	}
	e := Event{
		Container: id, At: t.End, Type: EventComplete, Text: words[0], Actor: who(t) + ", in Proxmox", UPID: string(t.UPID),
		Meta: map[string]string{"upid": string(t.UPID), "node": t.Node, "task": t.Type, "seconds": strconv.Itoa(int(t.End.Sub(t.Start).Seconds()))},
	}
	status := proxmox.TaskStatus{Exit: t.Status}
	switch n := status.Warnings(); {
	case !status.OK():
		e.Type, e.Text = EventError, words[1]+" failed: "+strings.TrimSpace(t.Status)
	case n == 1:
		e.Text += " (1 warning)"
	case n > 1:
		e.Text += fmt.Sprintf(" (%d warnings)", n)
	}
	return e
}
