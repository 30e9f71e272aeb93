package proxmoxtest

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Defaults of how long a container takes, before scaling.
const (
	startTakes = 2 * time.Second
	stopTakes  = 3 * time.Second
	killTakes  = time.Second
	// How long the HA manager needs until it acts on a request: one round of the CRM and one of the LRM.
	haRound = 5 * time.Second
)

// form is a request's parameters as they came, without those of the path.
func (r *request) form() url.Values {
	out := make(url.Values)
	for k, v := range r.params {
		if k != "node" && k != "vmid" {
			out[k] = v.all()
		}
	}
	return out
}

func (r *request) skipLock() error {
	if r.flag("skiplock") && r.who.user != "root@pam" {
		return &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{
			"skiplock": "Only root may use this option.",
		}}
	}
	return nil
}

// running is PVE::LXC::check_running: it knows nothing of configurations, so a container that is not on the node does not run there.
func (s *Server) running(node string, vmid int) bool {
	g := s.on(node, vmid)
	return g != nil && g.Running
}

func (s *Server) underHA(node string, vmid int) bool {
	g := s.on(node, vmid)
	return g != nil && g.HA
}

// postStart answers POST …/status/start (pve-container, PVE/API2/LXC/Status.pm, as all that follow).
func (s *Server) postStart(r *request) (any, error) {
	if err := r.skipLock(); err != nil {
		return nil, err
	}
	vmid := r.vmid()
	if s.running(r.node, vmid) {
		return nil, die("CT %d already running", vmid)
	}
	if err := s.checkQuorum(); err != nil {
		return nil, err
	}
	if s.underHA(r.node, vmid) {
		return s.askHA(r, "start", 0), nil
	}
	return s.fork(r.node, "vzstart", vmid, r.who.user, r.form(), func(w *worker) error {
		return w.start(vmid, r.flag("skiplock"))
	}), nil
}

func (w *worker) start(vmid int, skipLock bool) error {
	return w.locked(vmid, func() error {
		if err := w.startable(vmid, skipLock); err != nil {
			return err
		}
		return w.boot(vmid)
	})
}

func (w *worker) startable(vmid int, skipLock bool) error {
	w.s.lock()
	defer w.s.mu.Unlock()
	g, err := w.s.config(w.t.Node, vmid)
	switch {
	case err != nil:
		return err
	case g.Template:
		return errors.New("you can't start a CT if it's a template")
	case !skipLock && g.Lock != "mounted":
		return g.checkLock()
	}
	return nil
}

func (g *guest) checkLock() error {
	if g.Lock != "" {
		return die("CT is locked (%s)", g.Lock)
	}
	return nil
}

// boot is PVE::LXC::vm_start.
func (w *worker) boot(vmid int) error {
	var c Container
	err := w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err == nil {
			c = cloned(g.Container)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := w.sleep(cmp.Or(c.StartTakes, startTakes)); err != nil {
		return err
	}
	if c.StartFails != "" {
		return errors.New(c.StartFails)
	}
	if c.StartWarns {
		w.warn("Systemd 257 detected. You may need to enable nesting.")
	}
	return w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err != nil {
			return err
		}
		g.Running, g.started = true, w.s.now()
		return nil
	})
}

// postStop answers POST …/status/stop: the plug.
func (s *Server) postStop(r *request) (any, error) {
	if err := r.skipLock(); err != nil {
		return nil, err
	}
	vmid := r.vmid()
	if !s.running(r.node, vmid) {
		return nil, die("CT %d not running", vmid)
	}
	if s.underHA(r.node, vmid) {
		if r.flag("overrule-shutdown") {
			return nil, &apiError{status: 400, message: "Parameter verification failed.\n", errors: map[string]string{
				"overrule-shutdown": "Not applicable for HA resources.",
			}}
		}
		return s.askHA(r, "stop", 0), nil
	}
	return s.fork(r.node, "vzstop", vmid, r.who.user, r.form(), func(w *worker) error {
		if r.flag("overrule-shutdown") {
			if err := w.overrule(r.who, vmid); err != nil {
				return err
			}
		}
		return w.locked(vmid, func() error {
			if err := w.checkLock(vmid, !r.flag("skiplock")); err != nil {
				return err
			}
			return w.kill(vmid)
		})
	}), nil
}

// overrule is PVE::GuestHelpers::abort_guest_tasks for vzshutdown.
func (w *worker) overrule(who caller, vmid int) error {
	var aborted string
	var victims []*task
	w.s.lock()
	all := w.s.may(who, "/nodes/"+w.t.Node, "Sys.Modify")
	for _, t := range w.s.tasks {
		if t.Running() && t.Node == w.t.Node && t.Type == "vzshutdown" && t.VMID == vmid && (all || t.owns(who)) && !t.killed {
			victims = append(victims, t)
			if aborted != "" {
				aborted += ", "
			}
			aborted += t.UPID
		}
	}
	w.s.mu.Unlock()
	if len(victims) == 0 {
		return nil
	}
	// It swallows the first signal and is killed 5 s later.
	if err := w.sleep(5 * time.Second); err != nil {
		return err
	}
	w.s.lock()
	for _, t := range victims {
		if t.Running() && !t.killed {
			t.killed = true
			t.Log = append(t.Log, fmt.Sprintf("command 'lxc-stop -n %d --nokill' failed: received interrupt", vmid))
			close(t.kill)
		}
	}
	w.s.mu.Unlock()
	w.log("overruled vzshutdown tasks: %s", aborted)
	return nil
}

func (w *worker) checkLock(vmid int, mountedIsFine bool) error {
	w.s.lock()
	defer w.s.mu.Unlock()
	g, err := w.s.config(w.t.Node, vmid)
	if err != nil {
		return err
	}
	if mountedIsFine && g.Lock == "mounted" {
		return nil
	}
	return g.checkLock()
}

// kill is a hard stop.
func (w *worker) kill(vmid int) error {
	if err := w.sleep(killTakes); err != nil {
		return err
	}
	return w.halt(vmid)
}

func (w *worker) halt(vmid int) error {
	return w.change(func() error {
		if g := w.s.on(w.t.Node, vmid); g != nil {
			g.Running = false
		}
		return nil
	})
}

// postShutdown answers POST …/status/shutdown.
func (s *Server) postShutdown(r *request) (any, error) {
	vmid := r.vmid()
	timeout := time.Duration(r.number("timeout", 60)) * time.Second
	if !s.running(r.node, vmid) {
		return nil, die("CT %d not running", vmid)
	}
	if s.underHA(r.node, vmid) {
		return s.askHA(r, "stop", timeout), nil
	}
	return s.fork(r.node, "vzshutdown", vmid, r.who.user, r.form(), func(w *worker) error {
		return w.locked(vmid, func() error {
			if err := w.checkLock(vmid, false); err != nil {
				return err
			}
			return w.shutdown(vmid, timeout, r.flag("forceStop"))
		})
	}), nil
}

// shutdown is PVE::LXC::vm_stop without kill. A guest that does not end is waited for twice: by lxc-stop, and then, for 5 s more, on
// its command socket.
func (w *worker) shutdown(vmid int, timeout time.Duration, force bool) error {
	w.s.lock()
	g, err := w.s.config(w.t.Node, vmid)
	if err != nil {
		w.s.mu.Unlock()
		return err
	}
	takes, stubborn := cmp.Or(g.StopTakes, stopTakes), g.IgnoresShutdown
	w.s.mu.Unlock()

	second := timeout + 5*time.Second
	inFirst := !stubborn && takes <= timeout
	inSecond := !stubborn && takes <= timeout+second

	first := timeout
	if inFirst {
		first = takes
	}
	stopped, err := w.awaitStopped(vmid, first)
	switch {
	case err != nil || stopped:
		return err
	case inFirst || force:
		return w.halt(vmid)
	}
	w.log("command 'lxc-stop -n %d --nokill --timeout %d' failed: exit code 1", vmid, int(timeout/time.Second))
	if inSecond {
		second = takes - timeout
	}
	stopped, err = w.awaitStopped(vmid, second)
	switch {
	case err != nil || stopped:
		return err
	case inSecond:
		return w.halt(vmid)
	}
	return errors.New("container did not stop")
}

// awaitStopped waits for d, scaled, and returns early if the container has ended otherwise.
func (w *worker) awaitStopped(vmid int, d time.Duration) (bool, error) {
	t := time.NewTimer(w.s.scaled(d))
	defer t.Stop()
	for {
		w.s.lock()
		running, changed := w.s.running(w.t.Node, vmid), w.s.changed
		w.s.mu.Unlock()
		if !running {
			return true, nil
		}
		select {
		case <-t.C:
			return false, nil
		case <-changed:
		case <-w.t.kill:
			return false, errAborted
		case <-w.s.done:
			return false, errAborted
		}
	}
}

// postReboot answers POST …/status/reboot. It has no branch for HA, and it says VM.
func (s *Server) postReboot(r *request) (any, error) {
	vmid := r.vmid()
	timeout := time.Duration(r.number("timeout", 60)) * time.Second
	if !s.running(r.node, vmid) {
		return nil, die("VM %d not running", vmid)
	}
	return s.fork(r.node, "vzreboot", vmid, r.who.user, r.form(), func(w *worker) error {
		return w.locked(vmid, func() error {
			if !w.running(vmid) {
				return nil
			}
			if err := w.shutdown(vmid, timeout, true); err != nil {
				return err
			}
			return w.boot(vmid)
		})
	}), nil
}

func (w *worker) running(vmid int) bool {
	w.s.lock()
	defer w.s.mu.Unlock()
	return w.s.running(w.t.Node, vmid)
}

// deleteContainer answers DELETE /nodes/{node}/lxc/{vmid} (PVE/API2/LXC.pm, destroy_vm).
func (s *Server) deleteContainer(r *request) (any, error) {
	vmid, force, purge := r.vmid(), r.flag("force"), r.flag("purge")
	early := func() (*guest, error) {
		g, err := s.config(r.node, vmid)
		if err != nil {
			return nil, err
		}
		if g.Protection {
			return nil, die("can't remove CT %d - protection mode enabled", vmid)
		}
		if err := g.checkLock(); err != nil {
			return nil, err
		}
		if g.HA && !purge {
			return nil, die("unable to remove CT %d - used in HA resources and purge parameter not set.", vmid)
		}
		return g, nil
	}
	running := func() error {
		if !force && s.running(r.node, vmid) {
			return die("unable to destroy CT %d - container is running", vmid)
		}
		return nil
	}
	if _, err := early(); err != nil {
		return nil, err
	}
	if err := running(); err != nil {
		return nil, err
	}
	return s.fork(r.node, "vzdestroy", vmid, r.who.user, r.form(), func(w *worker) error {
		return w.locked(vmid, func() error {
			s.lock()
			_, err := early()
			if err == nil {
				err = running()
			}
			s.mu.Unlock()
			if err != nil {
				return err
			}
			if w.running(vmid) {
				w.log("forced to stop CT %d before destroying!", vmid)
				if err := w.kill(vmid); err != nil {
					return err
				}
			}
			return w.destroy(vmid, purge, r.flag("destroy-unreferenced-disks"))
		})
	}), nil
}

func (w *worker) destroy(vmid int, purge, leftovers bool) error {
	var disks []string
	var managed bool
	err := w.change(func() error {
		g, err := w.s.config(w.t.Node, vmid)
		if err != nil {
			return err
		}
		if !w.s.quorate() {
			return fmt.Errorf("unable to open file '/etc/pve/nodes/%s/lxc/%d.conf.tmp.%d' - Permission denied", w.t.Node, vmid, w.t.pid)
		}
		managed = g.HA
		disks = append(disks, g.RootFS)
		for _, m := range g.Mounts {
			disks = append(disks, m.Volume)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.sleep(killTakes); err != nil {
		return err
	}
	for _, d := range disks {
		w.log("  Logical volume %q successfully removed.", d)
	}
	if purge {
		w.log("purging CT %d from related configurations..", vmid)
		if managed {
			w.log("NOTE: removed CT %d from HA resource configuration.", vmid)
		}
	}
	return w.change(func() error {
		w.s.removeGuest(vmid)
		if leftovers {
			w.s.removeLeftovers(w.t, vmid)
		}
		return nil
	})
}

// askHA starts the task that only asks the HA manager; what follows from it comes later. The lock is held.
func (s *Server) askHA(r *request, verb string, timeout time.Duration) string {
	vmid := r.vmid()
	return s.fork(r.node, "ha"+verb, vmid, r.who.user, r.form(), func(w *worker) error {
		w.log("Requesting HA %s for CT %d", verb, vmid)
		return w.change(func() error {
			if g := s.guests[vmid]; g != nil && !s.closed {
				g.request++
				s.pending++
				mine := g.request
				s.wg.Go(func() { s.followHA(vmid, mine, verb, timeout) })
			}
			return nil
		})
	})
}

// followHA is what the HA manager does with a request: one round until it has seen it, one until it acts, by a task of root@pam.
func (s *Server) followHA(vmid, mine int, verb string, timeout time.Duration) {
	defer func() {
		s.lock()
		s.pending--
		s.touch()
		s.mu.Unlock()
	}()
	// step changes the container unless it has gone or been asked for something else.
	step := func(f func(*guest)) bool {
		s.lock()
		defer s.mu.Unlock()
		g := s.guests[vmid]
		if g == nil || g.request != mine || s.closed {
			return false
		}
		f(g)
		s.touch()
		return true
	}
	if !s.pause(s.scaled(haRound), nil) || !step(func(g *guest) { g.HAState = "request_" + verb }) || !s.pause(s.scaled(haRound), nil) {
		return
	}
	// The resource manager does one thing at a time to a service.
	var upid, before string
	if !step(func(g *guest) { before = g.agent }) || before != "" && !s.awaitEnd(before) {
		return
	}
	ok := step(func(g *guest) {
		if g.Running == (verb == "start") {
			return
		}
		kind, run := "vzstart", func(w *worker) error { return w.start(vmid, false) }
		if verb == "stop" {
			kind, run = "vzstop", func(w *worker) error { return w.locked(vmid, func() error { return w.kill(vmid) }) }
			if timeout > 0 {
				kind, run = "vzshutdown", func(w *worker) error {
					return w.locked(vmid, func() error { return w.shutdown(vmid, timeout, false) })
				}
			}
		}
		upid = s.fork(g.Node, kind, vmid, "root@pam", nil, func(w *worker) error {
			w.log("task started by HA resource agent")
			return run(w)
		})
		g.agent = upid
	})
	if !ok || !s.awaitEnd(upid) {
		return
	}
	step(func(g *guest) {
		g.HAState = ""
		if g.Running != (verb == "start") {
			g.HAState = "error"
		}
	})
}

// awaitEnd waits until a task has ended. False: the server was closed.
func (s *Server) awaitEnd(upid string) bool {
	for {
		s.lock()
		over := !slices.ContainsFunc(s.tasks, func(t *task) bool { return t.UPID == upid && t.Running() })
		changed := s.changed
		s.mu.Unlock()
		if over {
			return true
		}
		select {
		case <-changed:
		case <-s.done:
			return false
		}
	}
}
