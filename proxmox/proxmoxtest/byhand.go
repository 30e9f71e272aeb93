package proxmoxtest

import (
	"fmt"
	"time"
)

// How long what is done by hand takes, before scaling.
const (
	createTakes   = 2 * time.Minute
	backupTakes   = 20 * time.Second
	snapshotTakes = 2 * time.Second
)

// Act does something to a container as another user, who may do everything, and returns the UPID of the task, or what Proxmox would
// have refused it with. The verbs: start, stop, shutdown, reboot, destroy (with purge), backup and snapshot (which lock the container
// while they run), and create, which finishes a container that was added with the lock "create".
func (s *Server) Act(user, verb string, vmid int) (string, error) {
	s.lock()
	defer s.mu.Unlock()
	g := s.guests[vmid]
	if g == nil || g.kind != "lxc" {
		return "", die("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", s.local(), vmid)
	}
	r := &request{
		who: caller{user: user, all: true}, node: g.Node,
		params: map[string]value{"node": {text: g.Node}, "vmid": {text: itoa(vmid)}},
	}
	var do func(*request) (any, error)
	switch verb {
	case "start":
		do = s.postStart
	case "stop":
		do = s.postStop
	case "shutdown":
		do = s.postShutdown
	case "reboot":
		do = s.postReboot
	case "destroy":
		r.params["purge"] = value{text: "1"}
		do = s.deleteContainer
	case "create":
		return s.fork(g.Node, "vzcreate", vmid, user, nil, func(w *worker) error {
			return w.whileLocked(vmid, "create", createTakes, fmt.Sprintf("extracting archive to rootfs of CT %d", vmid), nil)
		}), nil
	case "backup":
		return s.fork(g.Node, "vzdump", vmid, user, nil, func(w *worker) error {
			return w.whileLocked(vmid, "backup", backupTakes, fmt.Sprintf("INFO: Starting Backup of VM %d (lxc)", vmid), nil)
		}), nil
	case "snapshot":
		return s.fork(g.Node, "vzsnapshot", vmid, user, nil, func(w *worker) error {
			return w.whileLocked(vmid, "snapshot", snapshotTakes, "", func(g *guest) {
				sn := Snapshot{Name: "byhand" + itoa(len(g.Snapshots)+1), Time: s.now()}
				if n := len(g.Snapshots); n > 0 {
					sn.Parent = g.Snapshots[n-1].Name
				}
				g.Snapshots = append(g.Snapshots, sn)
			})
		}), nil
	default:
		return "", fmt.Errorf("proxmoxtest: unknown verb %q", verb)
	}
	upid, err := do(r)
	if err != nil {
		return "", err
	}
	for _, t := range s.tasks {
		if t.UPID == upid {
			t.Params = nil
		}
	}
	return upid.(string), nil
}

// whileLocked sets a lock in the container's configuration, lasts, does what is to be done, and takes the lock away.
func (w *worker) whileLocked(vmid int, lock string, lasts time.Duration, line string, then func(*guest)) error {
	err := w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err != nil {
			return err
		}
		if g.Lock != lock || lock != "create" {
			if err := g.checkLock(); err != nil {
				return err
			}
		}
		g.Lock = lock
		return nil
	})
	if err != nil {
		return err
	}
	if line != "" {
		w.log("%s", line)
	}
	slept := w.sleep(lasts)
	return w.change(func() error {
		g := w.s.on(w.t.Node, vmid)
		if g == nil {
			return die("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", w.t.Node, vmid)
		}
		if slept == nil {
			g.Lock = ""
			if then != nil {
				then(g)
			}
		}
		return slept
	})
}
