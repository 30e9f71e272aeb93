package inventory

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/proxmox"
)

// None is the value of a measure that there is none of.
const None = -1

// Container is one container as last seen. It is immutable: a refresh that
// sees a change makes another one.
type Container struct {
	Record

	Lock     string // "backup", "snapshot", …; "" when free
	HAState  string // "" when not managed by HA
	Template bool

	Cores          float64
	Mem, MaxMem    int64 // bytes
	Disk, MaxDisk  int64 // bytes
	CPUPct, MemPct int   // whole percent as read; None when not running
	DiskPct        int
	BootedAt       time.Time // zero when not running

	// Shown are the percentages as a list shows them: they follow the ones
	// above, but not every jitter.
	Shown Percentages

	raw      proxmox.Container // what it was made of
	observed time.Time         // when it was last read on its own, see Observe
	miss     int               // complete answers without it, one after the other
}

// Percentages are whole percent, None where there is no value.
type Percentages struct{ CPU, Mem, Disk int }

// DisplayName is the hostname, or "CT 105" where there is none.
func (c *Container) DisplayName() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	return "CT " + strconv.Itoa(c.VMID)
}

// Ref is how Proxmox calls it.
func (c *Container) Ref() proxmox.Ref { return proxmox.Ref{Node: c.Node, VMID: c.VMID} }

// TagList splits the tags.
func (c *Container) TagList() []string {
	return strings.FieldsFunc(c.Tags, func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
}

// stateOf maps a row of Proxmox to a state. A node that is not online makes
// its containers unknown: their rows stay "running" for up to five minutes.
func stateOf(row *proxmox.Container, nodeOnline bool) State {
	switch {
	case row.Lock == "create":
		return Creating
	case !nodeOnline:
		return Unknown
	case row.HAState == "error":
		return Error
	case row.Status == "running":
		return Running
	case row.Status == "stopped":
		return Stopped
	}
	return Unknown
}

// percent is part of whole, rounded; None where there is no whole.
func percent(part, whole float64) int {
	if whole <= 0 || math.IsNaN(part) || math.IsInf(part, 0) {
		return None
	}
	return int(math.Round(min(max(part/whole, 0), 1) * 100))
}

// settle keeps what a list shows while the reading moves by less than a person
// would call a change, unless it crosses a step of colour.
func settle(shown, read, jitter int) int {
	if shown == None || read == None || band(shown) != band(read) {
		return read
	}
	if d := read - shown; d > -jitter && d < jitter {
		return shown
	}
	return read
}

func band(p int) int {
	switch {
	case p < 70:
		return 0
	case p <= 90:
		return 1
	}
	return 2
}

// Movements that a list does not follow, in points.
const (
	cpuJitter  = 3
	memJitter  = 2
	diskJitter = 1
)
