package proxmoxtest_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

const (
	ct101 = "/nodes/pve/lxc/101"
	lock  = "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout"
)

type container = proxmoxtest.Container

func TestWhatIsRefusedBeforeThereIsATask(t *testing.T) {
	tests := []struct {
		name   string
		c      container
		quorum bool
		method string
		path   string
		form   []string
		status int
		reason string
	}{
		{"start of a running one", container{Running: true}, true, "POST", ct101 + "/status/start", nil, 500, "CT 101 already running"},
		{"stop of a stopped one", container{}, true, "POST", ct101 + "/status/stop", nil, 500, "CT 101 not running"},
		{"shutdown of a stopped one", container{}, true, "POST", ct101 + "/status/shutdown", nil, 500, "CT 101 not running"},
		{"reboot of a stopped one says VM", container{}, true, "POST", ct101 + "/status/reboot", nil, 500, "VM 101 not running"},
		{"stop on another node", container{Running: true}, true, "POST", "/nodes/pve2/lxc/101/status/stop", nil, 500, "CT 101 not running"},
		{"deletion on another node", container{}, true, "DELETE", "/nodes/pve2/lxc/101", nil, 500, "Configuration file 'nodes/pve2/lxc/101.conf' does not exist"},
		{"deletion of a running one", container{Running: true}, true, "DELETE", ct101, nil, 500, "unable to destroy CT 101 - container is running"},
		{"deletion of a protected one", container{Protection: true}, true, "DELETE", ct101, []string{"force=1", "purge=1"}, 500, "can't remove CT 101 - protection mode enabled"},
		{"deletion of a locked one", container{Lock: "backup"}, true, "DELETE", ct101, nil, 500, "CT is locked (backup)"},
		{"deletion under HA without purge", container{HA: true}, true, "DELETE", ct101, nil, 500, "unable to remove CT 101 - used in HA resources and purge parameter not set."},
		{"start without quorum", container{}, false, "POST", ct101 + "/status/start", nil, 500, "cluster not ready - no quorum?"},
		{"start with skiplock", container{}, true, "POST", ct101 + "/status/start", []string{"skiplock=1"}, 400, "Parameter verification failed."},
		{"overruling under HA", container{HA: true, Running: true}, true, "POST", ct101 + "/status/stop", []string{"overrule-shutdown=1"}, 400, "Parameter verification failed."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			l.AddNode("pve")
			l.AddNode("pve2")
			l.Quorum(test.quorum)
			test.c.VMID = 101
			l.AddContainer(test.c)
			a := l.refuse(test.status, test.reason, test.method, test.path, test.form...)
			if (a.Status == 400) != (len(a.Errors) > 0) {
				t.Errorf("errors %v", a.Errors)
			}
			if tasks := l.Tasks(); len(tasks) != 0 {
				t.Errorf("there is a task: %+v", tasks)
			}
		})
	}
}

func TestHowATaskEnds(t *testing.T) {
	tests := []struct {
		name   string
		c      container
		method string
		path   string
		form   []string
		exit   string
		runs   bool
	}{
		{"start", container{}, "POST", ct101 + "/status/start", nil, "OK", true},
		{"start with a warning", container{StartWarns: true}, "POST", ct101 + "/status/start", nil, "WARNINGS: 1", true},
		{"start that fails", container{StartFails: "startup for container '101' failed"}, "POST", ct101 + "/status/start", nil, "startup for container '101' failed", false},
		{"start of a locked one", container{Lock: "backup"}, "POST", ct101 + "/status/start", nil, "CT is locked (backup)", false},
		{"start of a mounted one", container{Lock: "mounted"}, "POST", ct101 + "/status/start", nil, "OK", true},
		{"start of a template", container{Template: true}, "POST", ct101 + "/status/start", nil, "you can't start a CT if it's a template", false},
		{"start on another node", container{}, "POST", "/nodes/pve2/lxc/101/status/start", nil, "Configuration file 'nodes/pve2/lxc/101.conf' does not exist", false},
		{"stop", container{Running: true}, "POST", ct101 + "/status/stop", nil, "OK", false},
		{"stop of a mounted one", container{Running: true, Lock: "mounted"}, "POST", ct101 + "/status/stop", nil, "OK", false},
		{"stop of a locked one", container{Running: true, Lock: "snapshot"}, "POST", ct101 + "/status/stop", nil, "CT is locked (snapshot)", true},
		{"shutdown", container{Running: true}, "POST", ct101 + "/status/shutdown", nil, "OK", false},
		{"shutdown of a locked one", container{Running: true, Lock: "backup"}, "POST", ct101 + "/status/shutdown", nil, "CT is locked (backup)", true},
		{"shutdown that nobody listens to", container{Running: true, IgnoresShutdown: true}, "POST", ct101 + "/status/shutdown", nil, "container did not stop", true},
		{"shutdown that is forced", container{Running: true, IgnoresShutdown: true}, "POST", ct101 + "/status/shutdown", []string{"forceStop=1", "timeout=30"}, "OK", false},
		{"reboot", container{Running: true}, "POST", ct101 + "/status/reboot", nil, "OK", true},
		{"reboot kills", container{Running: true, IgnoresShutdown: true}, "POST", ct101 + "/status/reboot", nil, "OK", true},
		{"reboot that does not come back", container{Running: true, StartFails: "no"}, "POST", ct101 + "/status/reboot", nil, "no", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			l.AddNode("pve")
			l.AddNode("pve2")
			test.c.VMID = 101
			l.AddContainer(test.c)
			task := l.finish(test.method, test.path, test.form...)
			if task.Exit != test.exit || l.running(101) != test.runs {
				t.Errorf("exit %q, running %v", task.Exit, l.running(101))
			}
			status := l.get("/nodes/" + task.Node + "/tasks/" + task.UPID + "/status").(map[string]any)
			if status["status"] != "stopped" || status["exitstatus"] != test.exit {
				t.Errorf("status %v", status)
			}
			last := task.Log[len(task.Log)-1]
			if want := "TASK " + map[bool]string{true: "ERROR: "}[!strings.HasPrefix(test.exit, "OK") && !strings.HasPrefix(test.exit, "WARN")] + test.exit; last != want {
				t.Errorf("last line %q, want %q", last, want)
			}
			if len(test.form) > 0 && len(task.Params) != len(test.form) {
				t.Errorf("params %v", task.Params)
			}
		})
	}
}

func TestAStartTakesItsTime(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, StartTakes: 4 * time.Second})
		began := time.Now()
		upid := l.ok("POST", ct101+"/status/start").(string)
		time.Sleep(3 * time.Second)
		status := l.get("/nodes/pve/tasks/" + upid + "/status").(map[string]any)
		if _, over := status["exitstatus"]; over || status["status"] != "running" || l.running(101) {
			t.Errorf("status %v", status)
		}
		log := l.call("GET", "/nodes/pve/tasks/"+upid+"/log")
		if diff := cmp.Diff([]any{map[string]any{"n": 1.0, "t": "no content"}}, log.Data); diff != "" || log.Total != 1 {
			t.Errorf("log of a task that has said nothing: %s", diff)
		}
		task := l.ended(upid)
		if took := time.Since(began); took != 4*time.Second || task.End.Sub(task.Start) != 4*time.Second || !l.running(101) {
			t.Errorf("ended after %v: %+v", took, task)
		}
		if c, _ := l.Container(101); c.Uptime != 0 {
			t.Errorf("uptime %v", c.Uptime)
		}
	})
}

func TestAStuckShutdownFailsAfterTwiceItsTimeout(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Running: true, IgnoresShutdown: true})
		task := l.finish("POST", ct101+"/status/shutdown")
		if took := task.End.Sub(task.Start); task.Exit != "container did not stop" || took != 125*time.Second {
			t.Errorf("%q after %v", task.Exit, took)
		}
		want := []string{"command 'lxc-stop -n 101 --nokill --timeout 60' failed: exit code 1", "TASK ERROR: container did not stop"}
		if diff := cmp.Diff(want, task.Log); diff != "" {
			t.Error(diff)
		}
		if task := l.finish("POST", ct101+"/status/shutdown", "timeout=10", "forceStop=1"); task.End.Sub(task.Start) != 10*time.Second {
			t.Errorf("forced after %v", task.End.Sub(task.Start))
		}
	})
}

func TestAGuestThatIsSlowerThanTheTimeoutStillEndsTheTask(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Running: true, StopTakes: 20 * time.Second})
		task := l.finish("POST", ct101+"/status/shutdown", "timeout=15")
		if took := task.End.Sub(task.Start); task.Exit != "OK" || took != 20*time.Second || l.running(101) {
			t.Errorf("%q after %v", task.Exit, took)
		}
	})
}

func TestAGuestThatEndsByItselfEndsTheShutdown(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Running: true, IgnoresShutdown: true})
		upid := l.ok("POST", ct101+"/status/shutdown").(string)
		time.Sleep(7 * time.Second)
		l.Update(101, func(c *container) { c.Running = false })
		if task := l.ended(upid); task.Exit != "OK" || task.End.Sub(task.Start) != 7*time.Second {
			t.Errorf("task %+v", task)
		}
	})
}

func TestASecondActionGivesUpAfter10s(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Running: true, IgnoresShutdown: true})
		l.ok("POST", ct101+"/status/shutdown")
		synctest.Wait()
		task := l.finish("POST", ct101+"/status/stop")
		if took := task.End.Sub(task.Start); task.Exit != lock || took != 10*time.Second || !l.running(101) {
			t.Errorf("%q after %v", task.Exit, took)
		}
		if task.Log[0] != "trying to acquire lock..." {
			t.Errorf("log %q", task.Log)
		}
		l.idle()
	})
}

func TestASecondActionGoesOnWhenTheFirstEndsInTime(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, Running: true, StopTakes: 9 * time.Second})
		l.ok("POST", ct101+"/status/reboot")
		synctest.Wait()
		task := l.finish("POST", ct101+"/status/stop")
		if took := task.End.Sub(task.Start); task.Exit != lock || took != 10*time.Second {
			t.Errorf("during a reboot of 11 s: %q after %v", task.Exit, took)
		}
		l.idle()
		l.ok("POST", ct101+"/status/shutdown")
		synctest.Wait()
		task = l.finish("POST", ct101+"/status/stop")
		if diff := cmp.Diff([]string{"trying to acquire lock...", " OK", "TASK OK"}, task.Log); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStopCanOverruleARunningShutdown(t *testing.T) {
	tests := []struct {
		name    string
		privs   []string
		asker   string // of the shutdown
		overrun bool
	}{
		{"one's own", []string{"VM.PowerMgmt"}, bot, true},
		{"another's, with Sys.Modify", []string{"VM.PowerMgmt", "Sys.Modify"}, "root@pam", true},
		{"another's, without", []string{"VM.PowerMgmt"}, "root@pam", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
				l.Token(bot, "secret", map[string][]string{"/": test.privs})
				l.AddContainer(container{VMID: 101, Running: true, IgnoresShutdown: true})
				var first string
				if test.asker == bot {
					first = l.ok("POST", ct101+"/status/shutdown").(string)
				} else if upid, err := l.Act(test.asker, "shutdown", 101); err != nil {
					t.Fatal(err)
				} else {
					first = upid
				}
				synctest.Wait()
				stop := l.finish("POST", ct101+"/status/stop", "overrule-shutdown=1")
				if (stop.Exit == "OK") != test.overrun || l.running(101) == test.overrun {
					t.Errorf("stop %q, running %v", stop.Exit, l.running(101))
				}
				shutdown := l.ended(first)
				if (shutdown.Exit == "unexpected status") != test.overrun {
					t.Errorf("shutdown %q", shutdown.Exit)
				}
				if test.overrun && stop.Log[0] != "overruled vzshutdown tasks: "+first {
					t.Errorf("log %q", stop.Log)
				}
			})
		})
	}
}

func TestDelete(t *testing.T) {
	tests := []struct {
		name string
		c    container
		form []string
		log  []string
	}{
		{"a stopped one", container{}, nil, []string{
			`  Logical volume "local-lvm:vm-101-disk-0" successfully removed.`, "TASK OK",
		}},
		{"a running one by force", container{Running: true}, []string{"force=1"}, []string{
			"forced to stop CT 101 before destroying!", `  Logical volume "local-lvm:vm-101-disk-0" successfully removed.`, "TASK OK",
		}},
		{"one under HA with purge", container{HA: true}, []string{"purge=1", "destroy-unreferenced-disks=1"}, []string{
			`  Logical volume "local-lvm:vm-101-disk-0" successfully removed.`,
			"purging CT 101 from related configurations..", "NOTE: removed CT 101 from HA resource configuration.", "TASK OK",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			l.AddContainer(container{VMID: 102})
			test.c.VMID = 101
			l.AddContainer(test.c)
			const content = "/nodes/pve/storage/local-lvm/content"
			if len(l.get(content).([]any)) != 2 {
				t.Fatal("the disk is not there")
			}
			if diff := cmp.Diff(test.log, l.finish("DELETE", ct101, test.form...).Log); diff != "" {
				t.Error(diff)
			}
			if _, there := l.Container(101); there {
				t.Error("it is still there")
			}
			if rest := l.rows("volid", content); len(rest) != 1 || rest["local-lvm:vm-102-disk-0"] == nil {
				t.Errorf("disks %v", rest)
			}
			if rows := l.rows("id", "/cluster/resources", "type=vm"); len(rows) != 1 {
				t.Errorf("rows %v", rows)
			}
			l.refuse(500, "Configuration file 'nodes/pve/lxc/101.conf' does not exist", "GET", ct101+"/config")
		})
	}
}

func TestDeleteWithoutQuorumFailsInTheTaskAndKeepsTheContainer(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101})
	l.Quorum(false)
	task := l.finish("DELETE", ct101)
	if _, there := l.Container(101); !there || !strings.HasSuffix(task.Exit, "Permission denied") {
		t.Errorf("there %v, %q", there, task.Exit)
	}
}

func TestUnderHAAStartIsARequest(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, HA: true})
		state := func() string {
			ha := l.get(ct101 + "/status/current").(map[string]any)["ha"].(map[string]any)
			if ha["managed"] != 1.0 {
				t.Errorf("ha %v", ha)
			}
			if row := l.rows("id", "/cluster/resources", "type=vm")["lxc/101"]; row["hastate"] != ha["state"] {
				t.Errorf("row %v, ha %v", row, ha)
			}
			return ha["state"].(string)
		}
		if got := state(); got != "stopped" {
			t.Errorf("state %s", got)
		}
		task := l.finish("POST", ct101+"/status/start")
		if task.Type != "hastart" || task.Exit != "OK" || task.End != task.Start || l.running(101) {
			t.Errorf("task %+v, running %v", task, l.running(101))
		}
		time.Sleep(6 * time.Second)
		if got := state(); got != "request_start" || l.running(101) {
			t.Errorf("state %s", got)
		}
		l.idle()
		if got := state(); got != "started" || !l.running(101) {
			t.Errorf("state %s", got)
		}
		tasks := l.Tasks()
		if last := tasks[len(tasks)-1]; len(tasks) != 2 || last.Type != "vzstart" || last.User != "root@pam" ||
			last.Start.Sub(task.Start) != 10*time.Second || last.Log[0] != "task started by HA resource agent" {
			t.Errorf("tasks %+v", tasks)
		}
	})
}

func TestUnderHAAStopIsARequest(t *testing.T) {
	tests := []struct {
		name, verb string
		c          container
		form       []string
		types      []string
		state      string
	}{
		{"hard", "stop", container{}, nil, []string{"hastop", "vzstop"}, "stopped"},
		{"soft", "shutdown", container{}, []string{"timeout=20"}, []string{"hastop", "vzshutdown"}, "stopped"},
		{"soft, to a guest that does not listen", "shutdown", container{IgnoresShutdown: true}, nil, []string{"hastop", "vzshutdown"}, "error"},
		{"a reboot is none", "reboot", container{}, nil, []string{"vzreboot"}, "started"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			test.c.VMID, test.c.HA, test.c.Running = 101, true, true
			l.AddContainer(test.c)
			l.finish("POST", ct101+"/status/"+test.verb, test.form...)
			l.idle()
			var types []string
			for _, task := range l.Tasks() {
				types = append(types, task.Type)
			}
			if diff := cmp.Diff(test.types, types); diff != "" {
				t.Error(diff)
			}
			current := l.get(ct101 + "/status/current").(map[string]any)
			if got := current["ha"].(map[string]any)["state"]; got != test.state {
				t.Errorf("state %v, want %s", got, test.state)
			}
		})
	}
}

func TestOnlyTheLastRequestToHAIsFollowed(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, HA: true, Running: true})
		l.finish("POST", ct101+"/status/stop")
		l.finish("POST", ct101+"/status/shutdown")
		l.idle()
		tasks := l.Tasks()
		if n := len(tasks); n != 3 || tasks[2].Type != "vzshutdown" || l.running(101) {
			t.Errorf("tasks %+v", tasks)
		}
	})
}

func TestByHand(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101})
	act := func(verb string) proxmoxtest.Task {
		t.Helper()
		upid, err := l.Act("root@pam", verb, 101)
		if err != nil {
			t.Fatal(err)
		}
		task := l.ended(upid)
		if task.User != "root@pam" || task.Exit != "OK" || task.Params != nil {
			t.Errorf("%s: %+v", verb, task)
		}
		return task
	}
	for _, verb := range []string{"start", "reboot", "backup", "snapshot", "snapshot", "shutdown", "start", "stop"} {
		act(verb)
	}
	if _, err := l.Act("root@pam", "stop", 101); err == nil || err.Error() != "CT 101 not running" {
		t.Errorf("error %v", err)
	}
	if _, err := l.Act("root@pam", "dance", 101); err == nil {
		t.Error("an unknown verb was carried out")
	}
	if c, _ := l.Container(101); len(c.Snapshots) != 2 || c.Snapshots[1].Parent != c.Snapshots[0].Name {
		t.Errorf("snapshots %+v", c.Snapshots)
	}
	act("destroy")
	if _, err := l.Act("root@pam", "start", 101); err == nil {
		t.Error("a destroyed container was started")
	}
	l.AddContainer(container{VMID: 101})
	l.RemoveContainer(101)
	tasks := l.Tasks()
	if last := tasks[len(tasks)-1]; last.Type != "vzdestroy" || last.User != "root@pam" || last.Exit != "OK" || last.VMID != 101 {
		t.Errorf("task %+v", last)
	}
}

func TestABackupLocksItsContainer(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101})
		upid, err := l.Act("root@pam", "backup", 101)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if row := l.rows("id", "/cluster/resources")["lxc/101"]; row["lock"] != "backup" {
			t.Errorf("row %v", row)
		}
		if task := l.finish("POST", ct101+"/status/start"); task.Exit != "CT is locked (backup)" {
			t.Errorf("start: %q", task.Exit)
		}
		l.ended(upid)
		if task := l.finish("POST", ct101+"/status/start"); task.Exit != "OK" {
			t.Errorf("start: %q", task.Exit)
		}
	})
}

func TestAHeldTaskHasNotBegun(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(container{VMID: 101})
	l.Hold(true)
	upid := l.ok("POST", ct101+"/status/start").(string)
	if task := l.Tasks()[0]; !task.Running() || task.UPID != upid || len(task.Log) != 0 || l.running(101) {
		t.Errorf("task %+v", task)
	}
	l.Hold(false)
	if l.ended(upid).Exit != "OK" || !l.running(101) {
		t.Error("it was not carried out")
	}
}

func TestATaskThatRunsWhenTheServerClosesHasNoEnd(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		l.AddContainer(container{VMID: 101, HA: true})
		l.AddContainer(container{VMID: 102, Running: true, IgnoresShutdown: true})
		l.AddContainer(container{VMID: 103})
		l.ok("POST", ct101+"/status/start")
		l.ok("POST", "/nodes/pve/lxc/102/status/shutdown")
		l.ok("POST", "/nodes/pve/lxc/103/status/start")
		synctest.Wait()
		l.Close()
		running := slices.DeleteFunc(l.Tasks(), func(t proxmoxtest.Task) bool { return !t.Running() })
		if len(running) != 2 {
			t.Errorf("tasks %+v", running)
		}
	})
}
