package proxmoxtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// history fills a server with finished tasks and one that runs.
func history(l *lab) (running string) {
	l.AddNode("pve1")
	l.AddNode("pve2")
	l.AddContainer(container{VMID: 101, Node: "pve1"})
	for _, t := range []proxmoxtest.Task{
		{Node: "pve1", Type: "vzstart", VMID: 101, User: "root@pam", Start: noon.Add(1 * time.Minute), End: noon.Add(9 * time.Minute)},
		{Node: "pve1", Type: "vzdump", VMID: 101, User: "pvechat@pve", Start: noon.Add(2 * time.Minute), Exit: "WARNINGS: 2"},
		{Node: "pve1", Type: "vzstop", VMID: 102, User: bot, Start: noon.Add(3 * time.Minute), Exit: "CT is locked (backup)"},
		{Node: "pve1", Type: "vzreboot", VMID: 102, User: "pvechat@pve!other", Start: noon.Add(4 * time.Minute), Exit: "unexpected status"},
		{Node: "pve2", Type: "vzdestroy", VMID: 103, Start: noon.Add(5 * time.Minute)},
	} {
		l.AddTask(t)
	}
	l.Hold(true)
	return l.ok("POST", "/nodes/pve1/lxc/101/status/start").(string)
}

func TestTheListOfTasks(t *testing.T) {
	l := start(t, proxmoxtest.Options{Now: func() time.Time { return noon.Add(time.Hour) }})
	history(l)
	tests := []struct {
		name  string
		node  string
		form  []string
		want  string
		total int
	}{
		{"is of what has ended, the latest end first", "pve1", nil, "vzstart vzreboot vzstop vzdump", 4},
		{"is of one node", "pve2", nil, "vzdestroy", 1},
		{"can be all", "pve1", []string{"source=all"}, "vzstart* vzstart vzreboot vzstop vzdump", 5},
		{"can be what runs", "pve1", []string{"source=active"}, "vzstart*", 1},
		{"of a container", "pve1", []string{"vmid=101"}, "vzstart vzdump", 2},
		{"of a type", "pve1", []string{"typefilter=vzdump"}, "vzdump", 1},
		{"of a user", "pve1", []string{"userfilter=ROOT"}, "vzstart", 1},
		{"since a start", "pve1", []string{fmt.Sprint("since=", noon.Add(3*time.Minute).Unix())}, "vzreboot vzstop", 2},
		{"until a start", "pve1", []string{fmt.Sprint("until=", noon.Add(2*time.Minute).Unix())}, "vzstart vzdump", 2},
		{"of errors has also warnings", "pve1", []string{"errors=1"}, "vzreboot vzstop vzdump", 3},
		{"of a status", "pve1", []string{"statusfilter=ok,warning"}, "vzstart vzdump", 2},
		{"a page of it", "pve1", []string{"start=1", "limit=2"}, "vzreboot vzstop", 4},
		{"a page without rows", "pve1", []string{"limit=0"}, "", 4},
		{"of nothing has no total", "pve1", []string{"vmid=999"}, "", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := l.call("GET", "/nodes/"+test.node+"/tasks", test.form...)
			var got []string
			for _, row := range a.Data.([]any) {
				r := row.(map[string]any)
				name := r["type"].(string)
				if r["status"] == "RUNNING" {
					name += "*"
				}
				if _, ended := r["endtime"]; ended == (r["status"] == "RUNNING") {
					t.Errorf("row %v", r)
				}
				got = append(got, name)
			}
			if strings.Join(got, " ") != test.want || a.Total != test.total || strings.Contains(a.Raw, `"total"`) != (test.total > 0) {
				t.Errorf("%q of %d, want %q of %d", got, a.Total, test.want, test.total)
			}
		})
	}
}

func TestATokenIsSplitFromItsUserWhereProxmoxDoesIt(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	upid := history(l)
	active := l.rows("upid", "/nodes/pve1/tasks", "source=active")[upid]
	if active["user"] != bot || active["tokenid"] != nil || active["saved"] != "0" {
		t.Errorf("active: %v", active)
	}
	archived := l.rows("type", "/nodes/pve1/tasks")["vzstop"]
	if archived["user"] != "pvechat@pve" || archived["tokenid"] != "bot" || archived["status"] != "CT is locked (backup)" {
		t.Errorf("archived: %v", archived)
	}
	status := l.get("/nodes/pve1/tasks/" + upid + "/status").(map[string]any)
	keys := slices.Sorted(func(yield func(string) bool) {
		for k := range status {
			if !yield(k) {
				return
			}
		}
	})
	if diff := cmp.Diff(strings.Fields("id node pid pstart starttime status tokenid type upid user"), keys); diff != "" {
		t.Error(diff)
	}
	if want := fmt.Sprintf("UPID:pve1:%08X:%08X:%08X:vzstart:101:%s:", int(status["pid"].(float64)), int(status["pstart"].(float64)),
		int(status["starttime"].(float64)), bot); upid != want || status["id"] != "101" || status["status"] != "running" {
		t.Errorf("%s, want %s; %v", upid, want, status)
	}
	recent := l.rows("upid", "/cluster/tasks")
	if len(recent) != 6 || recent[upid]["pid"] == nil || recent[upid]["pstart"] != nil || recent[upid]["tokenid"] != "bot" {
		t.Errorf("recent: %v", recent)
	}
	for id, row := range recent {
		if id != upid && (row["pid"] != nil || row["endtime"] == nil || row["status"] == nil) {
			t.Errorf("recent: %v", row)
		}
	}
	l.Hold(false)
}

func TestWhoSeesWhichTasks(t *testing.T) {
	tests := []struct {
		name            string
		privs           map[string][]string
		node, ofCluster string
	}{
		{"a token sees its own, and none of the cluster's", nil, "vzstop", ""},
		{"with Sys.Audit on the node all of it", map[string][]string{"/nodes/pve1": {"Sys.Audit"}}, "vzdump vzreboot vzstart vzstop", ""},
		{"with Sys.Audit on / all", map[string][]string{"/": {"Sys.Audit"}}, "vzdump vzreboot vzstart vzstop", "vzdestroy vzdump vzreboot vzstart vzstop"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, proxmoxtest.Options{})
			history(l)
			l.Hold(false)
			l.idle()
			l.Token(bot, "secret", test.privs)
			types := func(path string) string {
				var out []string
				for name := range l.rows("type", path) {
					out = append(out, name)
				}
				slices.Sort(out)
				return strings.Join(out, " ")
			}
			// the task that history started is also the token's own
			if got := types("/nodes/pve1/tasks"); got != test.node && got != strings.Replace(test.node, "vzstop", "vzstart vzstop", 1) {
				t.Errorf("of the node: %s", got)
			}
			if got := types("/cluster/tasks"); got != test.ofCluster {
				t.Errorf("of the cluster: %s", got)
			}
			other := l.Tasks()[0].UPID // of root@pam
			_, audits := test.privs["/"]
			_, auditsNode := test.privs["/nodes/pve1"]
			for _, what := range []string{"status", "log"} {
				a := l.call("GET", "/nodes/pve1/tasks/"+other+"/"+what)
				if a.Status == 403 && a.Reason != "Permission check failed (/nodes/pve1, Sys.Audit)" || (a.Status == 200) != (audits || auditsNode) {
					t.Errorf("%s of another's: %d %s", what, a.Status, a.Reason)
				}
				l.get("/nodes/pve1/tasks/" + l.Tasks()[2].UPID + "/" + what)
			}
		})
	}
}

func TestATaskThatIsNotThere(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	history(l)
	defer l.Hold(false)
	const missing = "UPID:pve1:00000001:00000002:6745A1B2:vzstart:101:" + bot + ":"
	tests := []struct{ name, path, complaint string }{
		{"malformed", "/nodes/pve1/tasks/UPID:pve1/status", "unable to parse worker upid"},
		{"without its last colon", "/nodes/pve1/tasks/" + strings.TrimSuffix(missing, ":") + "/status", "unable to parse worker upid"},
		{"unknown", "/nodes/pve1/tasks/" + missing + "/status", "no such task"},
		{"asked of another node", "/nodes/pve1/tasks/" + l.Tasks()[4].UPID + "/status", "no such task"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := l.refuse(400, "Parameter verification failed.", "GET", test.path)
			if diff := cmp.Diff(map[string]string{"upid": test.complaint}, a.Errors); diff != "" {
				t.Error(diff)
			}
		})
	}
	log := l.call("GET", "/nodes/pve1/tasks/"+missing+"/log")
	if diff := cmp.Diff([]any{map[string]any{"n": 1.0, "t": "unable to open file - No such file or directory"}}, log.Data); diff != "" {
		t.Error(diff)
	}
}

func TestALogHasPages(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddNode("pve1")
	var lines []string
	for i := range 120 {
		lines = append(lines, fmt.Sprint("line ", i+1))
	}
	upid := l.AddTask(proxmoxtest.Task{Node: "pve1", Type: "vzcreate", VMID: 105, Log: lines})
	tests := []struct {
		form        []string
		first, last string
		n           int
	}{
		{nil, "line 1", "line 50", 50},
		{[]string{"start=100"}, "line 101", "TASK OK", 21},
		{[]string{"start=10", "limit=5"}, "line 11", "line 15", 5},
		{[]string{"limit=0"}, "line 1", "TASK OK", 121},
	}
	for _, test := range tests {
		a := l.call("GET", "/nodes/pve1/tasks/"+upid+"/log", test.form...)
		rows := a.Data.([]any)
		first, last := rows[0].(map[string]any), rows[len(rows)-1].(map[string]any)
		if len(rows) != test.n || a.Total != 121 || first["t"] != test.first || last["t"] != test.last || last["n"] != first["n"].(float64)+float64(test.n-1) {
			t.Errorf("%v: %d rows of %d, %v to %v", test.form, len(rows), a.Total, first, last)
		}
	}
}
