package jobs_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
	"github.com/pvechat/pvechat/storage/storagetest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

func TestEachActionIsOneTaskAndSaysWhatItDid(t *testing.T) {
	for _, test := range []struct {
		action jobs.Action
		vmid   string
		task   string
		params string
		event  string
	}{
		{jobs.Start, "102", "vzstart", "", "complete: Started"},
		{jobs.Shutdown, "101", "vzshutdown", "timeout=30", "complete: Shut down (graceful)"},
		{jobs.Restart, "101", "vzreboot", "timeout=60", "complete: Restarted"},
		{jobs.Stop, "101", "vzstop", "", "complete: Stopped (forced)"},
		{jobs.Delete, "102", "vzdestroy", "purge=1", "complete: Deleted"},
		{jobs.Delete, "101", "vzdestroy", "force=1&purge=1", "complete: Deleted"},
	} {
		t.Run(string(test.action)+" "+test.vmid, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				p := l.process("a")
				c := p.container(test.vmid)
				j := l.outcome(p.ask(test.vmid, test.action).ID)
				if j.State != jobs.Succeeded || j.Error != "" {
					t.Errorf("it is %s: %s", j.State, j.Error)
				}
				tasks := l.tasks("vzstart", "vzshutdown", "vzreboot", "vzstop", "vzdestroy")
				if len(tasks) != 1 || tasks[0].Type != test.task || tasks[0].Params.Encode() != test.params {
					t.Errorf("tasks: %+v", tasks)
				}
				if got := l.texts(c.ID); !strings.Contains(got, test.event) {
					t.Errorf("events:\n%s", got)
				}
				if _, busy := p.Busy(c.ID); busy {
					t.Error("it is still busy")
				}
			})
		})
	}
}

func TestWhereThereIsNothingToDoNothingIsSent(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		l.pve.Update(102, func(c *proxmoxtest.Container) { c.Running = true }) // since the last refresh
		l.pve.Update(101, func(c *proxmoxtest.Container) { c.Running = false })
		for vmid, a := range map[string]jobs.Action{"102": jobs.Start, "101": jobs.Stop} {
			if j := l.outcome(p.ask(vmid, a).ID); j.State != jobs.Moot {
				t.Errorf("%s of %s is %s: %s", a, vmid, j.State, j.Error)
			}
		}
		if tasks := l.pve.Tasks(); len(tasks) != 0 {
			t.Errorf("tasks: %+v", tasks)
		}
		if c := p.container("102"); c.State != inventory.Running {
			t.Errorf("the board still says %s", c.State)
		}
	})
}

func TestAGuestThatDoesNotEndIsNotForced(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		j := l.outcome(p.ask("104", jobs.Shutdown).ID)
		if j.State != jobs.Failed || !strings.Contains(j.Error, "did not stop") || len(j.Tail) == 0 {
			t.Errorf("it is %s: %s %q", j.State, j.Error, j.Tail)
		}
		if c, _ := l.pve.Container(104); !c.Running {
			t.Error("it was forced")
		}
		if len(l.waiting) != 1 || len(l.tasks("vzstop")) != 0 {
			t.Errorf("said to be waiting %d times, %d stops", len(l.waiting), len(l.tasks("vzstop")))
		}
	})
}

func TestNoErrorInBetweenForcesAnything(t *testing.T) {
	for what, fault := range map[string]func(*lab){
		"the network is cut":       func(l *lab) { l.pve.Down(true) },
		"the token is refused":     func(l *lab) { l.pve.Fail("GET", "/nodes/*/tasks/*/status", 401, "No ticket", -1) },
		"a privilege is withdrawn": func(l *lab) { l.pve.Fail("GET", "/nodes/*/tasks/*/status", 403, "Permission check failed", -1) },
		"the node does not answer": func(l *lab) { l.pve.Fail("GET", "/nodes/*/tasks/*/status", 595, "No route to host", -1) },
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				p := l.process("a")
				asked := p.ask("104", jobs.Shutdown)
				time.Sleep(5 * time.Second)
				fault(l)
				time.Sleep(3 * time.Minute)
				if _, busy := p.Busy(asked.Container); !busy {
					t.Error("it was given up")
				}
				l.pve.Recover()
				if j := l.outcome(asked.ID); j.State != jobs.Failed || !strings.Contains(j.Error, "did not stop") {
					t.Errorf("it is %s: %s", j.State, j.Error)
				}
				if c, _ := l.pve.Container(104); !c.Running || len(l.tasks("vzstop")) != 0 {
					t.Error("it was forced")
				}
			})
		})
	}
}

func TestForceStopTakesThePlaceOfAShutdown(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		c := p.container("104")
		first := p.ask("104", jobs.Shutdown)
		time.Sleep(10 * time.Second)
		var busy *jobs.BusyError
		if _, err := p.Submit(t.Context(), jobs.Ask{Container: c, Action: jobs.Stop, Person: ana}); !errors.As(err, &busy) || busy.Job.ID != first.ID {
			t.Fatalf("a plain stop took its place: %v", err)
		}
		second := p.ask("104", jobs.Stop, forced)
		if j := l.outcome(second.ID); j.State != jobs.Succeeded {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if j := l.outcome(first.ID); j.State != jobs.Superseded {
			t.Errorf("the shutdown is %s: %s", j.State, j.Error)
		}
		stops := l.tasks("vzstop")
		if len(stops) != 1 || stops[0].Params.Get("overrule-shutdown") != "1" {
			t.Errorf("stops: %+v", stops)
		}
		got := l.texts(c.ID)
		if !strings.Contains(got, "complete: Stopped (forced)") || !strings.Contains(got, "step: Shut down gave way to a forced stop") || strings.Contains(got, "error") {
			t.Errorf("events:\n%s", got)
		}
	})
}

func TestForceStopUnderHAIsNotOverruled(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.pve.Update(104, func(c *proxmoxtest.Container) { c.HA = true })
		p := l.process("a")
		p.ask("104", jobs.Shutdown)
		time.Sleep(12 * time.Second)
		if j := l.outcome(p.ask("104", jobs.Stop, forced).ID); j.State != jobs.Succeeded {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if c, _ := l.pve.Container(104); c.Running {
			t.Error("it still runs")
		}
		for _, task := range l.tasks("hastop", "vzstop") {
			if task.Params.Has("overrule-shutdown") {
				t.Errorf("Proxmox refuses that: %+v", task)
			}
		}
	})
}

func TestForceStopWaitsForALockThatItMayNotBreak(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.pve.Token(token, "secret", map[string][]string{"/vms": proxmoxtest.Administrator(), "/nodes": {"Sys.Audit"}})
		p := l.process("a")
		if _, err := l.pve.Act("root@pam", "shutdown", 104); err != nil { // somebody else's: it cannot be ended
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if j := l.outcome(p.ask("104", jobs.Stop, forced).ID); j.State != jobs.Succeeded {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		stops := l.tasks("vzstop")
		if len(stops) < 2 || !strings.Contains(stops[0].Exit, "got timeout") {
			t.Errorf("stops: %+v", stops)
		}
	})
}

func TestATaskWhoseAnswerWasLostIsAdopted(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		l.pve.CutAfterBytes("POST", "/nodes/*/lxc/*/status/start", 0, 1)
		if j := l.outcome(p.ask("102", jobs.Start).ID); j.State != jobs.Succeeded || j.UPID == "" {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if n := len(l.tasks("vzstart")); n != 1 {
			t.Errorf("%d starts", n)
		}
	})
}

// orphan is a job whose process has died, as it was left.
func (p *process) orphan(vmid string, a jobs.Action, age time.Duration, submitted bool, upid proxmox.UPID) jobs.Job {
	p.t.Helper()
	c := p.container(vmid)
	j, err := p.db.CreateJob(p.t.Context(), jobs.Job{
		ID: "orphan", Container: c.ID, Cluster: c.Cluster, Node: c.Node, VMID: c.VMID, Name: c.DisplayName(), Action: a,
		Person: ana, Request: "r1", CreatedAt: time.Now().Add(-age), Holder: "dead",
	}, time.Hour, "") // nobody takes it over half-made
	if err == nil && submitted {
		err = p.db.MarkSubmitting(p.t.Context(), j.ID, j.Fence, time.Now(), c.Node)
	}
	if err == nil && upid != "" {
		err = p.db.MarkRunning(p.t.Context(), j.ID, j.Fence, upid)
	}
	if err == nil {
		_, err = p.db.RenewJob(p.t.Context(), j.ID, j.Fence, 0)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return j
}

func TestWhatADeadProcessLeftBehind(t *testing.T) {
	own := func(l *lab) proxmoxtest.Task {
		return proxmoxtest.Task{Node: "pve1", Type: "vzstart", VMID: 102, User: token, Start: time.Now()}
	}
	for _, test := range []struct {
		is        string
		age       time.Duration
		submitted bool
		before    func(*lab)
		state     jobs.State
		says      string
		starts    int
	}{
		{"nothing was sent, a moment ago", time.Second, false, nil, jobs.Succeeded, "", 1},
		{"nothing was sent, long ago", time.Hour, false, nil, jobs.Failed, "not sent, as far as Proxmox shows", 0},
		{"perhaps it was sent, and was not", time.Minute, true, nil, jobs.Failed, "not sent, as far as Proxmox shows", 0},
		{"perhaps it was sent, and was", time.Minute, true, func(l *lab) { l.pve.AddTask(own(l)) }, jobs.Succeeded, "", 1},
		{"somebody else's task is not ours", time.Minute, true, func(l *lab) {
			other := own(l)
			other.User = "root@pam"
			l.pve.AddTask(other)
		}, jobs.Failed, "not sent, as far as Proxmox shows", 1},
		{"two could be it", time.Minute, true, func(l *lab) { l.pve.AddTask(own(l)); l.pve.AddTask(own(l)) }, jobs.Lost, "several", 2},
		{"Proxmox is away for a while", time.Minute, true, func(l *lab) {
			l.pve.AddTask(own(l))
			l.pve.Fail("GET", "/nodes/*/tasks", 595, "No route to host", 8)
		}, jobs.Succeeded, "", 1},
		{"Proxmox is away for ever", time.Minute, true, func(l *lab) { l.pve.Fail("GET", "/nodes/*/tasks", 595, "No route to host", -1) }, jobs.Lost, "does not say", 0},
	} {
		t.Run(test.is, func(t *testing.T) {
			bubble(t, func(t *testing.T, l *lab) {
				p := l.process("a")
				if test.before != nil {
					test.before(l)
				}
				j := l.outcome(p.orphan("102", jobs.Start, test.age, test.submitted, "").ID)
				if j.State != test.state || !strings.Contains(j.Error, test.says) {
					t.Errorf("it is %s: %s", j.State, j.Error)
				}
				if n := len(l.tasks("vzstart")); n != test.starts {
					t.Errorf("%d starts, want %d", n, test.starts)
				}
			})
		})
	}
}

func TestAKilledProcessesTaskIsFollowedByAnother(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.pve.Update(102, func(c *proxmoxtest.Container) { c.StartTakes = 2 * time.Minute })
		a := l.process("a")
		asked := a.ask("102", jobs.Start)
		time.Sleep(10 * time.Second)
		a.kill()
		b := l.process("b")
		time.Sleep(2 * time.Second)
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if j, busy := b.Busy(asked.Container); !busy || j.Person.Name != "Ana" {
			t.Error("the other process does not show that it is busy")
		}
		if j := l.outcome(asked.ID); j.State != jobs.Succeeded {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if n := len(l.tasks("vzstart")); n != 1 {
			t.Errorf("%d starts", n)
		}
		if _, busy := b.Busy(asked.Container); busy {
			t.Error("it is still busy")
		}
	})
}

// A platform that is given many outcomes at once makes each wait, for longer than
// a lease.
func TestAnOutcomeThatTakesLongToTellIsToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.slow = 3 * time.Minute
		a, b := l.process("a"), l.process("b")
		first, second := a.ask("102", jobs.Start), b.ask("101", jobs.Stop)
		time.Sleep(time.Minute)
		third := a.ask("104", jobs.Stop) // nobody waits for what is being told
		time.Sleep(20 * time.Second)
		if n := len(l.tasks("vzstart", "vzstop")); n != 3 {
			t.Errorf("%d tasks while outcomes are told", n)
		}
		time.Sleep(10 * time.Minute)
		for _, j := range []jobs.Job{first, second, third} {
			l.outcome(j.ID)
		}
	})
}

func TestAContainerThatMovedIsFollowedOnce(t *testing.T) {
	t.Run("before the request", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lab) {
			p := l.process("a")
			l.pve.Update(102, func(c *proxmoxtest.Container) { c.Node = "pve2" })
			if j := l.outcome(p.ask("102", jobs.Start).ID); j.State != jobs.Succeeded || j.Node != "pve2" {
				t.Errorf("it is %s on %s: %s", j.State, j.Node, j.Error)
			}
			if n := len(l.tasks("vzstart")); n != 1 {
				t.Errorf("%d starts", n)
			}
		})
	})
	t.Run("before its task began", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lab) {
			p := l.process("a")
			l.pve.Hold(true)
			asked := p.ask("102", jobs.Start)
			time.Sleep(10 * time.Second)
			l.pve.Update(102, func(c *proxmoxtest.Container) { c.Node = "pve2" })
			l.pve.Hold(false)
			if j := l.outcome(asked.ID); j.State != jobs.Succeeded || j.Node != "pve2" {
				t.Errorf("it is %s on %s: %s", j.State, j.Node, j.Error)
			}
			starts := l.tasks("vzstart")
			if len(starts) != 2 || !strings.Contains(starts[0].Exit, "does not exist") || starts[1].Exit != "OK" {
				t.Errorf("starts: %+v", starts)
			}
		})
	})
	t.Run("to nowhere", func(t *testing.T) {
		bubble(t, func(t *testing.T, l *lab) {
			p := l.process("a")
			l.pve.RemoveContainer(102)
			if j := l.outcome(p.ask("102", jobs.Start).ID); j.State != jobs.Failed || !strings.Contains(j.Error, "does not exist") {
				t.Errorf("it is %s: %s", j.State, j.Error)
			}
		})
	})
}

func TestAnotherContainerWithTheNumberIsNotTouched(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		same, _ := l.pve.Container(101)
		asked := p.container("101")
		time.Sleep(time.Minute)
		l.pve.RemoveContainer(101)
		time.Sleep(time.Minute)
		l.pve.AddTask(proxmoxtest.Task{Node: "pve1", Type: "vzrestore", VMID: 101})
		l.pve.AddContainer(same)
		j, err := p.Submit(t.Context(), jobs.Ask{Container: asked, Action: jobs.Stop, Person: ana})
		if err != nil {
			t.Fatal(err)
		}
		if j := l.outcome(j.ID); j.State != jobs.Failed || !strings.Contains(j.Error, "replaced") {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if n := len(l.tasks("vzstop")); n != 0 {
			t.Errorf("%d stops", n)
		}
	})
}

func TestUnderHAItIsDoneWhenTheStateFollowed(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.pve.Update(102, func(c *proxmoxtest.Container) { c.HA = true })
		p := l.process("a")
		asked := p.ask("102", jobs.Start)
		time.Sleep(4 * time.Second) // HA has accepted
		if task := l.tasks("hastart"); len(task) != 1 || task[0].Exit != "OK" {
			t.Fatalf("tasks: %+v", task)
		}
		if _, busy := p.Busy(asked.Container); !busy {
			t.Error("it is told as started, and is not")
		}
		if j := l.outcome(asked.ID); j.State != jobs.Succeeded {
			t.Errorf("it is %s: %s", j.State, j.Error)
		}
		if c, _ := l.pve.Container(102); !c.Running {
			t.Error("it does not run")
		}
	})
}

func TestAFailedStartIsToldWithTheEndOfItsLog(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		l.pve.Update(102, func(c *proxmoxtest.Container) { c.StartFails = "mount failed: password=hunter2" })
		p := l.process("a")
		j := l.outcome(p.ask("102", jobs.Start).ID)
		if j.State != jobs.Failed || len(j.Tail) == 0 || strings.Contains(strings.Join(j.Tail, "\n"), "hunter2") {
			t.Errorf("it is %s: %q", j.State, j.Tail)
		}
		if c := p.container("102"); c.State != inventory.Error {
			t.Errorf("the board says %s", c.State)
		}
		_, lines, err := p.Log(t.Context(), j.Container, j.ID)
		if err != nil || !strings.Contains(strings.Join(lines, "\n"), "TASK ERROR: mount failed: password=[redacted]") {
			t.Errorf("the log: %q, %v", lines, err)
		}
		if _, _, err := p.Log(t.Context(), "another", j.ID); !errors.Is(err, jobs.ErrNoLog) {
			t.Errorf("it is shown for another container: %v", err)
		}
	})
}

func TestTwoHundredAtOnceAreNeitherLostNorDoubled(t *testing.T) {
	for _, e := range storagetest.Engines(t) {
		t.Run(e.Name, func(t *testing.T) {
			const n = 200
			var fleet []proxmoxtest.Container
			for i := range n {
				fleet = append(fleet, proxmoxtest.Container{VMID: 1000 + i, Node: "pve" + strconv.Itoa(1+i%2), Name: fmt.Sprintf("ct%d", i)})
			}
			l := newLab(t, proxmoxtest.Options{Scale: 0.001}, e.Open(t), fleet...)
			p := l.process("a")
			for i := range n {
				p.ask(strconv.Itoa(1000+i), jobs.Start)
			}
			deadline := time.After(2 * time.Minute)
			for told := 0; told < n; {
				select {
				case <-deadline:
					t.Fatalf("%d of %d were told", told, n)
				case <-time.After(50 * time.Millisecond):
				}
				l.mu.Lock()
				told = len(l.told)
				l.mu.Unlock()
			}
			p.stop()
			perContainer := map[int]int{}
			for _, task := range l.tasks("vzstart") {
				perContainer[task.VMID]++
			}
			for _, j := range l.told {
				if j.State != jobs.Succeeded || perContainer[j.VMID] != 1 {
					t.Errorf("%s is %s (%s), with %d tasks", j.Name, j.State, j.Error, perContainer[j.VMID])
				}
			}
			if len(l.told) != n || len(perContainer) != n {
				t.Errorf("%d told, %d started", len(l.told), len(perContainer))
			}
			if most := l.wire.most.Load(); most > 4 || most < 2 {
				t.Errorf("%d requests in flight at most, want no more than 4", most)
			}
			if open, err := l.db.OpenJobs(t.Context()); err != nil || len(open) != 0 {
				t.Errorf("open: %v, %v", open, err)
			}
		})
	}
}

func TestOldJobsAreRemovedAndOpenOnesStay(t *testing.T) {
	bubble(t, func(t *testing.T, l *lab) {
		p := l.process("a")
		old := p.ask("102", jobs.Start)
		l.outcome(old.ID)
		p.stop()
		time.Sleep(31 * 24 * time.Hour)
		p = l.process("b")
		fresh := p.ask("101", jobs.Restart)
		l.outcome(fresh.ID)
		if err := p.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, there, _ := l.db.Job(t.Context(), old.ID); there {
			t.Error("the old one is still there")
		}
		if _, there, _ := l.db.Job(t.Context(), fresh.ID); !there {
			t.Error("the fresh one is gone")
		}
	})
}
