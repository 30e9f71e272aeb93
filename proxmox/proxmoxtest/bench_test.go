package proxmoxtest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func BenchmarkResourcesOf10000(b *testing.B) {
	s := proxmoxtest.New(proxmoxtest.Options{Scale: 1, Plain: true})
	defer s.Close()
	crowd(s, 10_000)
	if err := s.Start(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	fetch(b, s.URL())
}

// fetch asks for all resources until the benchmark ends.
func fetch(b *testing.B, origin string) {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	for b.Loop() {
		req, err := http.NewRequest(http.MethodGet, origin+"/api2/json/cluster/resources", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "PVEAPIToken="+bot+"=x")
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil || n < 1<<20 {
			b.Fatalf("%d bytes, %v", n, err)
		}
	}
}
