package proxmox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Numbers come as strings, rows in any order, and what was not recorded is missing.
func TestSamples(t *testing.T) {
	got, err := one(t, ok(`{"data":[
		{"time":1764000120,"maxmem":1073741824,"maxcpu":2},
		{"time":"1764000060","cpu":-0.00005,"mem":"536870912.5","maxmem":1073741824,"netin":12.5,"netout":"3","pressurecpusome":"0.00"}
	]}`)).Samples(t.Context(), ct101, Hour)
	if err != nil {
		t.Fatal(err)
	}
	want := []Sample{
		{Time: time.Unix(1764000060, 0), Measured: true, Mem: 512 << 20, MaxMem: 1 << 30, NetIn: 12.5, NetOut: 3},
		{Time: time.Unix(1764000120, 0), MaxMem: 1 << 30},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := one(t, ok(`{"data":[]}`)).Samples(t.Context(), ct101, "decade"); err == nil {
		t.Error("a decade passes")
	}
}
