// Package view turns facts into surfaces. It is pure, and the words live here:
// short sentences, sentence case, the present for a state, "…" for what is
// under way, the past for an outcome.
package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
)

// nbsp holds a number and its unit together.
const nbsp = "\u00a0"

// dash stands where there is no value.
const dash = "–"

// marks are the emoji of the states; the word always stands beside them.
var marks = map[inventory.State]string{
	inventory.Running:  "🟢",
	inventory.Stopped:  "⏹️",
	inventory.Error:    "❌",
	inventory.Unknown:  "❔",
	inventory.Creating: "🛠️",
}

const (
	markBusy = "⏳"
	markDone = "✅"
	markBad  = "❌"
	markWarn = "⚠️"
	markNo   = "🚫"
	markLock = "🔒"
)

// underWay says what a job is doing.
var underWay = map[jobs.Action]string{
	jobs.Start:    "starting…",
	jobs.Shutdown: "shutting down…",
	jobs.Restart:  "restarting…",
	jobs.Stop:     "stopping…",
	jobs.Delete:   "deleting…",
	jobs.Create:   "creating…",
	jobs.Download: "downloading…",
	jobs.Remove:   "removing…",
}

// goingOn is underWay in a sentence: "web is …".
func goingOn(a jobs.Action) string {
	if a == jobs.Create {
		return "being created"
	}
	return strings.TrimSuffix(underWay[a], "…")
}

// was says a last known state.
func was(st inventory.State) string {
	switch st {
	case inventory.Unknown:
		return "unknown"
	case inventory.Error:
		return "was in error"
	}
	return "was " + string(st)
}

// title puts the first letter in upper case.
func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// percent is a whole number with its sign, or a dash.
func percent(p int) string {
	if p < 0 {
		return dash
	}
	return strconv.Itoa(p) + nbsp + "%"
}

var levels = [...]string{"▁", "▂", "▃", "▄", "▅", "▆", "▇"}

// level is the one glyph of a measure on a list: quiet below 70, then a colour.
func level(p int) string {
	switch {
	case p < 0:
		return ""
	case p < 70:
		return levels[p/10]
	case p <= 90:
		return "🟨"
	}
	return "🟥"
}

// measure is one of "CPU ▃ 23 %" and "CPU –".
func measure(label string, p int) string {
	if p < 0 {
		return label + nbsp + dash
	}
	return label + nbsp + level(p) + nbsp + strconv.Itoa(p) + nbsp + "%"
}

// Bytes writes a size in 1024s: one decimal below 10 unless it is whole.
func Bytes(n int64) string {
	if n < 0 {
		n = 0
	}
	v, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for v >= 1023.95 && unit < len(units)-1 {
		v /= 1024
		unit++
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	if v < 9.95 && unit > 0 {
		s = strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return s + nbsp + units[unit]
}

// Duration writes two units at most: "38 s", "1 min 52 s", "3 d 4 h".
func Duration(d time.Duration) string {
	if d < time.Second {
		return "0" + nbsp + "s"
	}
	steps := []struct {
		unit string
		len  time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, st := range steps {
		if d < st.len {
			continue
		}
		out := strconv.FormatInt(int64(d/st.len), 10) + nbsp + st.unit
		if rest := d % st.len; i+1 < len(steps) && rest >= steps[i+1].len && !(st.unit == "min" && d >= 5*time.Minute) {
			out += " " + strconv.FormatInt(int64(rest/steps[i+1].len), 10) + nbsp + steps[i+1].unit
		}
		return out
	}
	return ""
}

// count writes "1 container", "24 containers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// where is number and node: "101 · pve1"; a container without a name has its
// number as its name.
func where(c *inventory.Container) string {
	if c.Hostname == "" {
		return c.Node
	}
	return strconv.Itoa(c.VMID) + " · " + c.Node
}

// Spot is the long form: "CT 108 on pve3".
func Spot(c *inventory.Container) string { return fmt.Sprintf("CT %d on %s", c.VMID, c.Node) }

// facts is the form of panels: "CT 108 · pve3".
func facts(c *inventory.Container) string { return fmt.Sprintf("CT %d · %s", c.VMID, c.Node) }

// full names a container in a list of several clusters or of equal names.
func full(c *inventory.Container) string {
	return fmt.Sprintf("%s · %d · %s/%s", c.DisplayName(), c.VMID, c.Cluster, c.Node)
}

// names joins "a, b and c".
func names(list []string) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// ID makes a control's id for a container's route.
func ID(c inventory.ID, route string) string { return "ct:" + string(c) + ":" + route }
