package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// BenchmarkProcess measures a process of pvechat, as it is released, beside
// simulators of all that it stands on: make measure.
func BenchmarkProcess(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "pvechat")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	st, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1_000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			var first, again, stop time.Duration
			var idle, own, most float64
			for range b.N {
				w := daemontest.New(b, proxmoxtest.Options{})
				w.Refresh = 5 * time.Second
				for i := range n {
					w.PVE.AddContainer(proxmoxtest.Container{VMID: 100 + i, Node: "pve1", Name: fmt.Sprintf("ct-%d", i), Running: i%10 != 0, Tags: "web"})
				}
				ana, dora := w.Person(daemontest.Slack, "Ana", "admin"), w.Person(daemontest.Discord, "Dora", "admin")
				began := time.Now()
				w.Start(binary).Kill() // the first start makes the tables and writes every container
				first += time.Since(began)

				began = time.Now()
				p := w.Start(binary)
				again += time.Since(began)
				for range 3 {
					w.Refreshed()
				}
				ana.Command("dashboard")
				ana.Sees("running")
				idle += memory(b, p.Process.Pid, "VmRSS")
				own += memory(b, p.Process.Pid, "RssAnon") // the rest are pages of the binary

				// Under load: actions under way, questions, and people who go on.
				w.PVE.Hold(true)
				for i := range 10 {
					dora.Command(fmt.Sprintf("start ct-%d", 10*i))
				}
				dora.Until("the tasks", func() bool {
					n := 0
					for i := range 10 {
						n += len(w.Tasks(100 + 10*i))
					}
					return n == 10
				})
				for i := range 10 {
					ana.Command(fmt.Sprintf("restart ct-%d", 1+10*i))
					dora.Command(fmt.Sprintf("show ct-%d", i))
				}
				most += memory(b, p.Process.Pid, "VmHWM")
				began = time.Now()
				if err := p.Process.Signal(syscall.SIGTERM); err != nil {
					b.Fatal(err)
				}
				if code := p.Exit(); code != 0 {
					b.Errorf("exit code %d", code)
				}
				stop += time.Since(began)
				w.PVE.Hold(false)
			}
			each := func(d time.Duration) float64 { return d.Seconds() / float64(b.N) }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(each(first), "s-first-start")
			b.ReportMetric(each(again), "s-start")
			b.ReportMetric(idle/float64(b.N), "MB-idle")
			b.ReportMetric(own/float64(b.N), "MB-own")
			b.ReportMetric(most/float64(b.N), "MB-most")
			b.ReportMetric(each(stop), "s-stop")
			b.ReportMetric(float64(st.Size())/1e6, "MB-binary")
		})
	}
}

// memory is a line of what Linux says of a process, in MB.
func memory(b *testing.B, pid int, line string) float64 {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), line+":")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib * 1024 / 1e6
}
