package graph_test

import (
	"bytes"
	"image/png"
	"math"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/graph"
	"github.com/pvechat/pvechat/proxmox"
)

func past(n int, step time.Duration) []proxmox.Sample {
	list := make([]proxmox.Sample, n)
	for i := range list {
		wave := 1 + math.Sin(float64(i)/7)
		list[i] = proxmox.Sample{
			Time: time.Date(2026, 11, 23, 13, 32, 0, 0, time.UTC).Add(time.Duration(i) * step), Measured: i < n/3 || i > n/2,
			CPU: 0.2 * wave, Mem: int64(wave * (400 << 20)), MaxMem: 1 << 30, NetIn: 40000 * wave, NetOut: 9000 * wave,
		}
	}
	return list
}

func TestAGraphIsAPictureAPhoneCanShow(t *testing.T) {
	for name, samples := range map[string][]proxmox.Sample{
		"an hour": past(60, time.Minute), "a day": past(1440, time.Minute), "one point": past(1, time.Minute), "nothing": nil, "stopped": make([]proxmox.Sample, 60),
	} {
		b, err := graph.Draw(samples, proxmox.Hour, time.UTC)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if size := img.Bounds().Size(); size.X != 900 || size.Y != 780 || len(b) > 1<<20 {
			t.Errorf("%s: %v, %d bytes", name, size, len(b))
		}
	}
}

// A line that is there differs from one that is not.
func TestFiguresCanBeSeen(t *testing.T) {
	some, err := graph.Draw(past(60, time.Minute), proxmox.Hour, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	idle := past(60, time.Minute)
	for i := range idle {
		idle[i].CPU = 0
	}
	none, err := graph.Draw(idle, proxmox.Hour, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(some, none) {
		t.Error("load cannot be told from rest")
	}
}
