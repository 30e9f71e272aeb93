package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// sparks is how many glyphs the last hour takes: five minutes each.
const sparks = 12

// lastHour is CPU and memory of the last hour in one dim line; none where
// nothing was recorded.
func lastHour(samples []proxmox.Sample, now time.Time) []chat.Block {
	cpu := spark(samples, now, func(s proxmox.Sample) float64 { return s.CPU })
	if cpu == "" {
		return nil
	}
	mem := spark(samples, now, func(s proxmox.Sample) float64 { return share(s.Mem, s.MaxMem) })
	return []chat.Block{chat.Note{Text: chat.Texts("Last hour: CPU" + nbsp + cpu + " · memory" + nbsp + mem)}}
}

// spark draws a measure between 0 and 1; "·" where nothing was recorded.
func spark(samples []proxmox.Sample, now time.Time, of func(proxmox.Sample) float64) string {
	var sum [sparks]float64
	var n [sparks]int
	found := false
	for _, s := range samples {
		if i := sparks - 1 - int(now.Sub(s.Time)/(time.Hour/sparks)); s.Measured && i >= 0 && i < sparks {
			sum[i] += min(max(of(s), 0), 1)
			n[i]++
			found = true
		}
	}
	if !found {
		return ""
	}
	var b strings.Builder
	for i := range sum {
		if n[i] == 0 {
			b.WriteRune('·')
			continue
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(int(sum[i]/float64(n[i])*8), 7)])
	}
	return b.String()
}

func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// frames are the timeframes of a graph, in the order of their buttons.
var frames = []struct {
	frame proxmox.Timeframe
	label string
	past  string
}{
	{proxmox.Hour, "Hour", "the last hour"},
	{proxmox.Day, "Day", "the last day"},
	{proxmox.Week, "Week", "the last week"},
}

// Graph shows what was recorded of a container; without a picture it is still
// being drawn.
func Graph(c *inventory.Container, t proxmox.Timeframe, samples []proxmox.Sample, png []byte) chat.Message {
	m := chat.Message{Tone: chat.Quiet, Blocks: []chat.Block{}}
	var buttons []chat.Button
	past := ""
	for _, f := range frames {
		buttons = append(buttons, chat.Button{ID: ID(c.ID, "graph:"+string(f.frame)), Label: f.label, Active: f.frame == t})
		if f.frame == t {
			past = f.past
		}
	}
	head := chat.Para{Text: chat.Texts(chat.B(c.DisplayName()), " · "+past)}
	m.Summary = c.DisplayName() + ", " + past
	if png == nil {
		m.Blocks = append(m.Blocks, head, chat.Note{Text: chat.Texts(markBusy + " Drawing…")})
		return m
	}
	m.Summary += ": " + inWords(samples)
	m.Blocks = append(
		m.Blocks, head, chat.Picture{Alt: m.Summary, PNG: png}, chat.Note{Text: chat.Texts(title(inWords(samples)))},
		chat.Controls{ID: "frames", Buttons: buttons},
	)
	return m
}

// inWords says what a graph shows: highest and mean.
func inWords(samples []proxmox.Sample) string {
	var cpu, mem, most, mostMem float64
	n := 0
	for _, s := range samples {
		if !s.Measured {
			continue
		}
		m := share(s.Mem, s.MaxMem)
		cpu, mem, most, mostMem = cpu+s.CPU, mem+m, max(most, s.CPU), max(mostMem, m)
		n++
	}
	if n == 0 {
		return "nothing was recorded"
	}
	of := func(sum, most float64) string {
		return fmt.Sprintf("%s on average, %s at most", percent(int(100*sum/float64(n)+0.5)), percent(int(100*most+0.5)))
	}
	return "CPU " + of(cpu, most) + "; memory " + of(mem, mostMem)
}
