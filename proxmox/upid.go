package proxmox

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// UPID names one task of a cluster for ever:
//
//	UPID:node:pid:pstart:starttime:type:id:user:
//
// with the three numbers in hexadecimal and a colon at the end. The zero value
// "" is no task. The methods of a text that [ParseUPID] would refuse return
// zero values.
type UPID string

// The form is that of pve-common, src/PVE/UPID.pm: the process start grew to
// nine digits on hosts that run for long.
var upidForm = regexp.MustCompile(`^UPID:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?:` +
	`[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s]+:[^:\s]*:[^:\s]+:$`)

// ParseUPID checks that s has the form of a UPID.
func ParseUPID(s string) (UPID, error) {
	if !upidForm.MatchString(s) {
		return "", fmt.Errorf("proxmox: %.100q is not a task id", s)
	}
	return UPID(s), nil
}

func (u UPID) part(n int) string {
	parts := strings.Split(string(u), ":")
	if len(parts) != 9 {
		return ""
	}
	return parts[n]
}

// Node returns the node on which the task runs: the one to ask about it, which
// need not be the one that was asked for it.
func (u UPID) Node() string { return u.part(1) }

// Started returns when the task began, to the second, by the node's clock.
func (u UPID) Started() time.Time {
	seconds, err := strconv.ParseInt(u.part(4), 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// Type returns what the task does, such as "vzstart" or "hastop".
func (u UPID) Type() string { return u.part(5) }

// ID returns what the task works on: for tasks on containers the VMID.
func (u UPID) ID() string { return u.part(6) }

// VMID returns ID as a number, or 0 where the task is not about a guest.
func (u UPID) VMID() int {
	vmid, err := strconv.Atoi(u.part(6))
	if err != nil {
		return 0
	}
	return vmid
}

// User returns who started the task: "user@realm", or "user@realm!token".
func (u UPID) User() string { return u.part(7) }
