package bot_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// fleet is the answer of a cluster with n containers on five nodes, made
// beforehand.
func fleet(n int) []byte {
	type row struct {
		ID      string  `json:"id"`
		VMID    int     `json:"vmid,omitempty"`
		Node    string  `json:"node"`
		Type    string  `json:"type"`
		Status  string  `json:"status"`
		Name    string  `json:"name,omitempty"`
		CPU     float64 `json:"cpu"`
		MaxCPU  int     `json:"maxcpu"`
		Mem     int64   `json:"mem"`
		MaxMem  int64   `json:"maxmem"`
		Disk    int64   `json:"disk"`
		MaxDisk int64   `json:"maxdisk"`
		NetIn   int64   `json:"netin"`
		NetOut  int64   `json:"netout"`
		Uptime  int64   `json:"uptime"`
		Tags    string  `json:"tags,omitempty"`
	}
	var body struct {
		Data []row `json:"data"`
	}
	for i := range 5 {
		node := fmt.Sprintf("pve%d", i+1)
		body.Data = append(body.Data, row{ID: "node/" + node, Node: node, Type: "node", Status: "online", MaxCPU: 16, MaxMem: 64 << 30, Uptime: 864000})
	}
	for i := range n {
		body.Data = append(body.Data, row{
			ID: fmt.Sprintf("lxc/%d", 100+i), VMID: 100 + i, Node: fmt.Sprintf("pve%d", i%5+1), Type: "lxc", Status: "running", Name: fmt.Sprintf("ct-%05d", i),
			CPU: 0.0123456789, MaxCPU: 2, Mem: 734003200, MaxMem: 2 << 30, Disk: 3221225472, MaxDisk: 8350298112, NetIn: 123456789, NetOut: 98765432, Uptime: 273600, Tags: "prod;web",
		})
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return b
}

func serve(b *testing.B, body []byte) *httptest.Server {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write(body)
	}))
	b.Cleanup(srv.Close)
	return srv
}

// BenchmarkFloor is what fetching and decoding the one list costs with the
// standard library. Other benchmarks are read as multiples of it.
func BenchmarkFloor(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := serve(b, fleet(n))
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a test's own server
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(srv.URL)
				if err != nil {
					b.Fatal(err)
				}
				var into struct {
					Data []struct {
						ID, Node, Name, Status, Type       string
						VMID                               int
						CPU                                float64
						Mem, MaxMem, Disk, MaxDisk, Uptime int64
					}
				}
				if err := json.NewDecoder(resp.Body).Decode(&into); err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

// BenchmarkTick is a whole refresh: fetch, decode, diff, store, render one
// board; nothing visible changed.
func BenchmarkTick(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv := serve(b, fleet(n))
			client, err := proxmox.New(proxmox.Config{Name: "home", URLs: []string{srv.URL}, TokenID: "bot@pve!bot", TokenSecret: "x", Insecure: true})
			if err != nil {
				b.Fatal(err)
			}
			inv := inventory.New(inventory.Config{Sources: []inventory.Source{client}, Store: storagetest.Open(b), Every: 30 * time.Second})
			ctx := context.Background()
			if _, err := inv.Refresh(ctx, "home"); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				rep, err := inv.Refresh(ctx, "home")
				if err != nil || rep.Err != nil {
					b.Fatal(err, rep.Err)
				}
				if len(rep.Changes) > 0 {
					b.Fatal("something changed")
				}
				board := view.Board{Fleet: inv.Snapshot(), Space: chat.Space{Board: 12, Panel: 30}, Every: 30 * time.Second, Now: time.Now()}
				if _, err := slack.Render(board.Message()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// reads answers reads of a fleet: router, views and database.
func reads(b *testing.B, n int) chat.Handler {
	srv := serve(b, fleet(n))
	client, err := proxmox.New(proxmox.Config{Name: "home", URLs: []string{srv.URL}, TokenID: "bot@pve!bot", TokenSecret: "x", Insecure: true})
	if err != nil {
		b.Fatal(err)
	}
	db := storagetest.Open(b)
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{client}, Store: db, Every: 30 * time.Second})
	if _, err := inv.Refresh(context.Background(), "home"); err != nil {
		b.Fatal(err)
	}
	rules, err := access.NewRules([]access.Rule{{Role: access.Viewer, Users: []string{"slack:" + slackUser, "discord:" + discordUser}}})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	h := handlers.New(handlers.Deps{
		Log: log, Policy: rules, Inventory: inv, Jobs: jobs.New(jobs.Config{}), Live: live.New(live.Config{}), Every: 30 * time.Second, Now: time.Now,
	})
	router, err := handlers.NewRouter(log, rules, unwritten{b}, inv, unwritten{b}, time.Now, h.Routes()...)
	if err != nil {
		b.Fatal(err)
	}
	return router
}

// unwritten fails the benchmark where a read writes to the database.
type unwritten struct{ *testing.B }

func (b unwritten) Record(_ context.Context, e handlers.Entry) error {
	b.Errorf("a read was written to the audit: %+v", e)
	return nil
}

func (b unwritten) First(_ context.Context, key string) (bool, error) {
	b.Errorf("a read was noted: %s", key)
	return true, nil
}

// BenchmarkRoute is a read from the invocation to its surface.
func BenchmarkRoute(b *testing.B) {
	h := reads(b, 10000)
	list := chat.Invocation{Kind: chat.Typed, Command: "list", Person: chat.Person{Platform: chat.Slack, ID: slackUser}, Space: chat.Space{Board: 12, Panel: 30}}
	b.ReportAllocs()
	for b.Loop() {
		if a := h.Handle(context.Background(), list); a.Now == nil {
			b.Fatal("no answer")
		}
	}
}
