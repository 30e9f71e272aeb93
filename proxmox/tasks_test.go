package proxmox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTasks(t *testing.T) {
	n := &network{hosts: map[string]host{"pve1": always(ok(`{"total":4,"data":[
		{"upid":"U1","node":"pve1","pid":1,"pstart":2,"starttime":1732616626,"type":"vzshutdown","id":"101","user":"pvechat@pve","tokenid":"bot","status":"RUNNING"},
		{"upid":"U2","node":"pve1","starttime":"1732616000","endtime":"1732616010","type":"vzstart","id":101,"user":"root@pam","status":"OK"},
		{"upid":"U3","node":"pve1","starttime":1732615000,"endtime":1732615010,"type":"vzstop","id":"101","user":"pvechat@pve!bot","status":"CT 101 not running"},
		{"upid":"U4","node":"pve1","starttime":1732614000,"type":"vzdump","id":"","user":"root@pam"}
	]}`))}}
	c := n.client(t, "pve1")
	got, err := c.Tasks(t.Context(), "pve1", TaskFilter{VMID: 101, Since: time.Unix(1732614000, 999), Source: "all", Type: "vzstart", Limit: 5, Errors: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []Task{
		{UPID: "U1", Node: "pve1", Type: "vzshutdown", ID: "101", User: "pvechat@pve", TokenID: "bot", Start: time.Unix(1732616626, 0)},
		{UPID: "U2", Node: "pve1", Type: "vzstart", ID: "101", User: "root@pam", Status: "OK", Start: time.Unix(1732616000, 0), End: time.Unix(1732616010, 0)},
		{UPID: "U3", Node: "pve1", Type: "vzstop", ID: "101", User: "pvechat@pve", TokenID: "bot", Status: "CT 101 not running", Start: time.Unix(1732615000, 0), End: time.Unix(1732615010, 0)},
		{UPID: "U4", Node: "pve1", Type: "vzdump", User: "root@pam", Start: time.Unix(1732614000, 0)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Tasks(t.Context(), "pve1", TaskFilter{}); err != nil {
		t.Error(err)
	}
	asked := "pve1 GET /api2/json/nodes/pve1/tasks?errors=1&limit=5&since=1732614000&source=all&typefilter=vzstart&vmid=101\n" +
		"pve1 GET /api2/json/nodes/pve1/tasks"
	if n.log() != asked {
		t.Errorf("asked: %s", n.log())
	}
}

func TestTaskStatus(t *testing.T) {
	for _, test := range []struct {
		is       string
		data     string
		want     TaskStatus
		ok       bool
		warnings int
	}{
		{"running", `{"status":"running","user":"pvechat@pve","tokenid":"bot"}`, TaskStatus{Running: true}, false, 0},
		{"well", `{"status":"stopped","exitstatus":"OK"}`, TaskStatus{Exit: "OK"}, true, 0},
		{"well, with warnings", `{"exitstatus":"WARNINGS: 12","status":"stopped"}`, TaskStatus{Exit: "WARNINGS: 12"}, true, 12},
		{"failed", `{"status":"stopped","exitstatus":"CT is locked (backup)"}`, TaskStatus{Exit: "CT is locked (backup)"}, false, 0},
		{"failed with a text that begins like warnings", `{"status":"stopped","exitstatus":"WARNINGS: many"}`, TaskStatus{Exit: "WARNINGS: many"}, false, 0},
		{"gone without a word", `{"status":"stopped"}`, TaskStatus{}, false, 0},
	} {
		t.Run(test.is, func(t *testing.T) {
			n := &network{hosts: map[string]host{"pve2": always(ok(`{"data":` + test.data + `}`))}}
			got, err := n.client(t, "pve2").TaskStatus(t.Context(), testUPID)
			if err != nil {
				t.Fatal(err)
			}
			test.want.UPID = testUPID
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if got.OK() != test.ok || got.Warnings() != test.warnings {
				t.Errorf("ok %v, %d warnings", got.OK(), got.Warnings())
			}
			if want := "pve2 GET /api2/json/nodes/pve1/tasks/UPID:pve1:000A1B2C:01234567:6745A1B2:vzstart:101:pvechat@pve%21bot:/status"; n.log() != want {
				t.Errorf("asked: %s", n.log())
			}
		})
	}
	for _, data := range []string{`{}`, `{"status":"paused"}`, `null`} {
		if s, err := one(t, ok(`{"data":`+data+`}`)).TaskStatus(t.Context(), testUPID); err == nil {
			t.Errorf("%s is taken for %+v", data, s)
		}
	}
}

func TestTaskLog(t *testing.T) {
	for _, test := range []struct {
		is   string
		body string
		want TaskLog
	}{
		{"lines", `{"total":7,"data":[{"n":3,"t":"a"},{"t":"","n":4}]}`, TaskLog{Lines: []string{"a", ""}, Total: 7}},
		{"lines before the total", `{"data":[{"n":3,"t":"a"}],"total":"7"}`, TaskLog{Lines: []string{"a"}, Total: 7}},
		{"nothing yet", `{"total":1,"data":[{"n":1,"t":"no content"}]}`, TaskLog{}},
		{"a log that says so itself", `{"total":9,"data":[{"n":8,"t":"no content"}]}`, TaskLog{Lines: []string{"no content"}, Total: 9}},
		{"nothing after its end", `{"total":9,"data":[]}`, TaskLog{Total: 9}},
	} {
		t.Run(test.is, func(t *testing.T) {
			got, err := one(t, ok(test.body)).TaskLog(t.Context(), testUPID, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
