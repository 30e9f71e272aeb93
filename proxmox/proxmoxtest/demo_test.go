package proxmoxtest_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestTheHomelabIsThatOfTheScreens(t *testing.T) {
	bubble(t, proxmoxtest.Homelab(), func(t *testing.T, l *lab) {
		proxmoxtest.Populate(l.Server, proxmoxtest.HomelabSize)
		rows := l.rows("id", "/cluster/resources", "type=vm")
		count := map[string]int{}
		for _, row := range rows {
			status := row["status"].(string)
			if row["lock"] == "create" {
				status = "creating"
			}
			count[status]++
		}
		if len(rows) != 24 || count["running"] != 17 || count["unknown"] != 1 || count["creating"] != 1 || count["stopped"] != 5 {
			t.Errorf("%d rows: %v", len(rows), count) // the fifth that is stopped is mail
		}
		for id, want := range map[string][3]int{
			"lxc/101": {4, 38, 21}, "lxc/105": {23, 71, 58}, "lxc/106": {78, 83, 69}, "lxc/107": {12, 91, 52}, "lxc/108": {64, 55, 88},
			"lxc/111": {31, 62, 93}, "lxc/113": {15, 57, 70}, "lxc/116": {0, 9, 12},
		} {
			row := rows[id]
			percent := func(part, whole string) int { return int(math.Round(100 * row[part].(float64) / row[whole].(float64))) }
			if got := [3]int{int(math.Round(100 * row["cpu"].(float64))), percent("mem", "maxmem"), percent("disk", "maxdisk")}; got != want {
				t.Errorf("%s: %v, want %v", row["name"], got, want)
			}
		}
		for id, name := range map[string]any{
			"lxc/108": "jellyfin", "lxc/117": "mail", "lxc/118": nil, "lxc/122": "*x*@everyone<!channel>`",
			"lxc/123": "staging-eu-west-customer-portal-with-a-very-long-host-name-0001",
		} {
			if rows[id]["name"] != name {
				t.Errorf("%s is %v", id, rows[id]["name"])
			}
		}
		if rows["lxc/112"]["hastate"] != "started" || rows["lxc/121"]["template"] != 1.0 || rows["lxc/108"]["uptime"] != 720.0 {
			t.Error("the special ones are not special")
		}
		if task := l.finish("POST", "/nodes/pve2/lxc/117/status/start"); task.Exit != "CT is locked (backup)" {
			t.Errorf("mail: %q", task.Exit)
		}
		l.refuse(500, "can't remove CT 116 - protection mode enabled", "DELETE", "/nodes/pve2/lxc/116", "force=1")
		if task := l.finish("POST", "/nodes/pve3/lxc/121/status/start"); task.Exit != "you can't start a CT if it's a template" {
			t.Errorf("dev-sandbox: %q", task.Exit)
		}
		if net := l.rows("name", "/nodes/pve3/lxc/108/interfaces")["eth0"]["inet"]; net != "192.168.10.48/24" {
			t.Errorf("jellyfin: %v", net)
		}
		if templates := l.get("/nodes/pve1/storage/local/content", "content=vztmpl").([]any); len(templates) != 5 {
			t.Errorf("templates: %v", templates)
		}
		l.idle()
		if row := l.row("lxc/125"); row["lock"] != nil {
			t.Errorf("forgejo is still being created: %v", row)
		}
	})
}

func TestWanderChangesThingsByItself(t *testing.T) {
	bubble(t, proxmoxtest.Homelab(), func(t *testing.T, l *lab) {
		proxmoxtest.Populate(l.Server, proxmoxtest.HomelabSize)
		l.idle()
		tasks := len(l.Tasks())
		before, _ := l.Container(106)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			l.Wander(ctx)
		}()
		time.Sleep(time.Hour)
		cancel()
		<-over
		synctest.Wait()
		after, _ := l.Container(106)
		if before.CPU == after.CPU || before.MemUsed == after.MemUsed {
			t.Error("loads do not drift")
		}
		if n := len(l.Tasks()) - tasks; n < 15 || n > 25 {
			t.Errorf("%d visits in an hour", n)
		}
		for _, task := range l.Tasks()[tasks:] {
			switch {
			case task.User != "root@pam", task.Type != "vzstart" && task.Type != "vzshutdown":
				t.Errorf("task %+v", task)
			case task.VMID == 112, task.VMID == 116, task.VMID == 117, task.VMID == 118, task.VMID == 121:
				t.Errorf("it touched CT %d", task.VMID)
			}
		}
		for _, c := range []int{101, 106, 111} {
			if now, _ := l.Container(c); now.CPU < 0 || now.CPU > 1 || now.MemUsed > now.Memory {
				t.Errorf("CT %d: %+v", c, now)
			}
		}
	})
}

func TestWanderEndsWithTheServer(t *testing.T) {
	s := proxmoxtest.New(proxmoxtest.Options{})
	proxmoxtest.Populate(s, proxmoxtest.HomelabSize)
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.Wander(context.Background())
	}()
	s.Close()
	<-over
}
