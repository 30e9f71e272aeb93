package proxmox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseUPID(t *testing.T) {
	type parts struct {
		Node, Type, ID, User string
		VMID                 int
		Started              time.Time
	}
	started := time.Unix(0x6745A1B2, 0)
	for _, test := range []struct {
		is   string
		in   string
		want parts
	}{
		{"a token's task on a container", string(testUPID), parts{"pve1", "vzstart", "101", "pvechat@pve!bot", 101, started}},
		{"a person's task", "UPID:pve-2:000A1B2C:01234567:6745A1B2:vzdestroy:105:root@pam:", parts{"pve-2", "vzdestroy", "105", "root@pam", 105, started}},
		{"a process start of nine digits", "UPID:pve1:000A1B2C:123456789:6745A1B2:vzstop:101:root@pam:", parts{"pve1", "vzstop", "101", "root@pam", 101, started}},
		{"no guest", "UPID:pve1:000A1B2C:01234567:6745A1B2:aptupdate::root@pam:", parts{"pve1", "aptupdate", "", "root@pam", 0, started}},
		{"a template's download", "UPID:pve1:000A1B2C:01234567:6745A1B2:download:debian-13.tar.zst:root@pam:", parts{"pve1", "download", "debian-13.tar.zst", "root@pam", 0, started}},
	} {
		t.Run(test.is, func(t *testing.T) {
			u, err := ParseUPID(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := (parts{u.Node(), u.Type(), u.ID(), u.User(), u.VMID(), u.Started()}); !cmp.Equal(got, test.want) {
				t.Error(cmp.Diff(test.want, got))
			}
		})
	}
}

func TestParseUPIDRefuses(t *testing.T) {
	for is, in := range map[string]string{
		"nothing":                 "",
		"a missing last colon":    "UPID:pve1:000A1B2C:01234567:6745A1B2:vzstart:101:root@pam",
		"something after the end": string(testUPID) + "x",
		"a line end":              string(testUPID) + "\n",
		"a path":                  "UPID:..:000A1B2C:01234567:6745A1B2:vzstart:101:root@pam:",
		"a slash in the node":     "UPID:a/b:000A1B2C:01234567:6745A1B2:vzstart:101:root@pam:",
		"digits that are none":    "UPID:pve1:000A1B2X:01234567:6745A1B2:vzstart:101:root@pam:",
		"no user":                 "UPID:pve1:000A1B2C:01234567:6745A1B2:vzstart:101::",
	} {
		t.Run(is, func(t *testing.T) {
			if u, err := ParseUPID(in); err == nil {
				t.Errorf("%q is taken for %q", in, u)
			}
		})
	}
}

func TestNoTaskHasNoParts(t *testing.T) {
	for _, u := range []UPID{"", "UPID:::::", "UPID:pve1:x:x:zz:vzstart:x:root@pam:"} {
		if u.VMID() != 0 || !u.Started().IsZero() {
			t.Errorf("%q has VMID %d and began %v", u, u.VMID(), u.Started())
		}
	}
	if u := UPID(""); u.Node()+u.Type()+u.ID()+u.User() != "" {
		t.Error("the empty UPID has parts")
	}
}
