package proxmox

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Timeframe is how far back figures are asked for.
type Timeframe string

// The timeframes that pvechat shows; Proxmox has month and year besides.
const (
	Hour Timeframe = "hour"
	Day  Timeframe = "day"
	Week Timeframe = "week"
)

// Sample is what Proxmox recorded of a container at one time. Where nothing was
// recorded, as while it did not run, Measured is false and the figures are 0.
type Sample struct {
	Time     time.Time
	Measured bool
	CPU      float64 // of its own cores, 0 to 1
	Mem      int64   // bytes
	MaxMem   int64
	NetIn    float64 // bytes a second
	NetOut   float64
}

// Samples asks for the recorded figures of a container, oldest first: a point a
// minute for the last hour, more time between them for longer timeframes. It
// needs VM.Audit.
func (c *Client) Samples(ctx context.Context, ref Ref, t Timeframe) ([]Sample, error) {
	switch t {
	case Hour, Day, Week:
	default:
		return nil, fmt.Errorf("%w: no timeframe %.20q", errInvalid, string(t))
	}
	var samples []Sample
	err := c.read(ctx, &request{
		method: http.MethodGet, endpoint: "/nodes/{node}/lxc/{vmid}/rrddata", node: ref.Node, vmid: ref.VMID,
		params: url.Values{"timeframe": {string(t)}, "cf": {"AVERAGE"}},
		data: func(r *reader) {
			for range r.array() {
				samples = append(samples, readSample(r))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(samples, func(a, b Sample) int { return a.Time.Compare(b.Time) })
	return samples, nil
}

func readSample(r *reader) Sample {
	var s Sample
	for name := range r.object() {
		switch string(name) {
		case "time":
			s.Time = r.time()
		case "cpu":
			s.CPU, s.Measured = r.number(), true
		case "mem":
			s.Mem = r.size()
		case "maxmem":
			s.MaxMem = r.size()
		case "netin":
			s.NetIn = r.number()
		case "netout":
			s.NetOut = r.number()
		default:
			r.skip()
		}
	}
	return s
}
