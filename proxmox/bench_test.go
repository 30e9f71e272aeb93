package proxmox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// cluster returns the answer of a cluster with n containers on ten nodes: of
// ten containers seven run, two are stopped and one is locked. The rows are as
// PVE 9 sends them.
func cluster(n int) []byte {
	rows := make([]map[string]any, 0, n+20)
	for i := range n {
		vmid := 100 + i
		row := map[string]any{
			"id": "lxc/" + strconv.Itoa(vmid), "vmid": vmid, "node": fmt.Sprintf("pve%d", i%10), "type": "lxc",
			"name": fmt.Sprintf("service-%d", i), "template": 0, "maxcpu": 2, "maxmem": 2147483648, "maxdisk": 8350298112,
			"tags": fmt.Sprintf("prod;team%d", i%20), "pool": fmt.Sprintf("pool%d", i%7),
		}
		if i%10 < 8 {
			row["status"], row["uptime"], row["cpu"] = "running", 273600+i, 0.0123456789+float64(i)/1e6
			row["mem"], row["memhost"], row["disk"] = 734003200+i, 798003200+i, 3221225472+i
			row["netin"], row["netout"], row["diskread"], row["diskwrite"] = 123456789+i, 98765432+i, 1048576+i, 2097152+i
			row["hastate"] = "started"
		} else {
			row["status"], row["uptime"], row["cpu"] = "stopped", 0, 0
			row["mem"], row["memhost"], row["disk"] = 0, 0, 0
			row["netin"], row["netout"], row["diskread"], row["diskwrite"] = 0, 0, 0, 0
		}
		if i%10 == 7 {
			row["lock"] = "backup"
		}
		rows = append(rows, row)
	}
	for i := range 10 {
		node := fmt.Sprintf("pve%d", i)
		rows = append(
			rows,
			map[string]any{
				"id": "node/" + node, "node": node, "type": "node", "status": "online", "level": "", "cgroup-mode": 2,
				"maxcpu": 64, "cpu": 0.11, "maxmem": 335544320000, "mem": 125544320000, "uptime": 864000,
			},
			map[string]any{
				"id": "storage/" + node + "/local-lvm", "storage": "local-lvm", "node": node, "type": "storage", "status": "available",
				"plugintype": "lvmthin", "content": "images,rootdir", "shared": 0, "maxdisk": 377957122048, "disk": 77957122048,
			},
		)
	}
	body, err := json.Marshal(map[string]any{"data": rows})
	if err != nil {
		panic(err)
	}
	return body
}

func serveCluster(b *testing.B, n int) *httptest.Server {
	body := cluster(n)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}))
	b.Cleanup(server.Close)
	return server
}

var sizes = []int{1000, 10000}

// BenchmarkFloor is what BenchmarkResources is measured against: the same
// answer over the same loopback TLS, decoded by encoding/json into a plain
// struct of what a dashboard needs at least.
func BenchmarkFloor(b *testing.B) {
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			server := serveCluster(b, n)
			b.ReportAllocs()
			for b.Loop() {
				resp, err := server.Client().Get(server.URL + "/api2/json/cluster/resources")
				if err != nil {
					b.Fatal(err)
				}
				var v struct {
					Data []struct {
						ID, Node, Name, Status, Type       string
						VMID                               int
						CPU                                float64
						Mem, MaxMem, Disk, MaxDisk, Uptime int64
					}
				}
				if err := json.NewDecoder(resp.Body).Decode(&v); err != nil || len(v.Data) != n+20 {
					b.Fatal(err, len(v.Data))
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

func BenchmarkResources(b *testing.B) {
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			server := serveCluster(b, n)
			c, err := New(Config{
				URLs: []string{server.URL}, TokenID: "pvechat@pve!bot", TokenSecret: "s",
				Fingerprints: []string{pinOf(server)},
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(c.CloseIdleConnections)
			b.ReportAllocs()
			for b.Loop() {
				res, err := c.Resources(b.Context())
				if err != nil || len(res.Containers) != n || len(res.Nodes) != 10 || len(res.Storages) != 10 {
					b.Fatal(err, len(res.Containers))
				}
			}
		})
	}
}

// BenchmarkDecode is BenchmarkResources without the network.
func BenchmarkDecode(b *testing.B) {
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			body := cluster(n)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var res Resources
				if field, err := decode(body, &request{data: res.read}); err != nil || len(res.Containers) != n {
					b.Fatal(field, err)
				}
			}
		})
	}
}
