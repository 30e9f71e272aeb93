package bot_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// fleet is the answer of a cluster with n containers on five nodes, made
// beforehand; jitter is by how many thousandths its measures are off, and the
// first stopped of its containers do not run.
func fleet(n, jitter, stopped int) []byte {
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
		r := row{
			ID: fmt.Sprintf("lxc/%d", 100+i), VMID: 100 + i, Node: fmt.Sprintf("pve%d", i%5+1), Type: "lxc", Status: "running", Name: fmt.Sprintf("ct-%05d", i),
			CPU: 0.0123456789 + float64(jitter)/1000, MaxCPU: 2, Mem: 734003200 + int64(jitter)<<20, MaxMem: 2 << 30, Disk: 3221225472 + int64(jitter)<<12, MaxDisk: 8350298112,
			NetIn: 123456789 + int64(jitter)<<10, NetOut: 98765432 + int64(jitter)<<10, Uptime: 273600 + int64(jitter), Tags: "prod;web",
		}
		if i < stopped {
			r.Status, r.CPU, r.Mem, r.Uptime = "stopped", 0, 0, 0
		}
		body.Data = append(body.Data, r)
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return b
}

// serve answers with one body after the other.
func serve(b testing.TB, bodies ...[]byte) *httptest.Server {
	var n atomic.Uint64
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write(bodies[int(n.Add(1)-1)%len(bodies)])
	}))
	b.Cleanup(srv.Close)
	return srv
}

func cluster(b testing.TB, bodies ...[]byte) *proxmox.Client {
	client, err := proxmox.New(proxmox.Config{Name: "home", URLs: []string{serve(b, bodies...).URL}, TokenID: "bot@pve!bot", TokenSecret: "x", Insecure: true})
	if err != nil {
		b.Fatal(err)
	}
	return client
}

// floor fetches and decodes the one list with the standard library.
func floor(b *testing.B, client *http.Client, url string) {
	resp, err := client.Get(url)
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

func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // a test's own server
}

// BenchmarkFloor is what fetching and decoding the one list costs with the
// standard library. Other benchmarks are read as multiples of it.
func BenchmarkFloor(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			srv, client := serve(b, fleet(n, 0, 0)), plainClient()
			b.ReportAllocs()
			for b.Loop() {
				floor(b, client, srv.URL)
			}
		})
	}
}

// boards is how many channels show the fleet.
const boards = 100

// BenchmarkTick is a whole refresh, watched by 100 boards and one open panel:
// fetch, decode, diff, store, render, edit. Every measure jitters, and nothing
// that a person would see changes; in the last one, 100 containers stop or
// start at each tick. x-floor is the median over that of [BenchmarkFloor], the two
// taken in turns.
func BenchmarkTick(b *testing.B) {
	for _, c := range []struct {
		name       string
		n, changed int
	}{{"1000", 1000, 0}, {"10000", 10000, 0}, {"10000-changed", 10000, 100}} {
		b.Run(c.name, func(b *testing.B) {
			tick, db, screen := watched(b, c.n, c.changed)
			srv, client := serve(b, fleet(c.n, 0, 0)), plainClient()
			floor(b, client, srv.URL)
			var mine, plain []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				plain = append(plain, took(func() { floor(b, client, srv.URL) }))
				b.StartTimer()
				mine = append(mine, took(tick))
			}
			b.ReportMetric(ratio(mine, plain), "x-floor")
			ticks := float64(b.N)
			b.ReportMetric(float64(db.rows.Load())/ticks, "rows/op")
			b.ReportMetric(float64(screen.edits.Load())/ticks, "edits/op")
			if c.changed == 0 && db.rows.Load()+screen.edits.Load() > 0 {
				b.Errorf("nothing changed, and %d rows are written and %d boards edited", db.rows.Load(), screen.edits.Load())
			}
		})
	}
}

// BenchmarkTickGrowth is what ten times the containers cost: the ticks of
// [BenchmarkTick] at 10,000 over those at 1,000, taken in turns, by the median
// of their times and by all that they allocate.
func BenchmarkTickGrowth(b *testing.B) {
	small, _, _ := watched(b, 1_000, 0)
	large, _, _ := watched(b, 10_000, 0)
	var of1000, of10000 []time.Duration
	var bytes1000, bytes10000 uint64
	for b.Loop() {
		bytes1000 += allocated(func() { of1000 = append(of1000, took(small)) })
		bytes10000 += allocated(func() { of10000 = append(of10000, took(large)) })
	}
	b.ReportMetric(ratio(of10000, of1000), "x-time")
	b.ReportMetric(float64(bytes10000)/float64(bytes1000), "x-bytes")
}

func took(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// ratio is that of the medians.
func ratio(of, over []time.Duration) float64 {
	slices.Sort(of)
	slices.Sort(over)
	return float64(of[len(of)/2]) / float64(over[len(over)/2])
}

// allocated returns how many bytes the process allocates while f runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// watched is a fleet that 100 boards and one open panel show. Its tick reads it
// again, every measure jittering and the given number of containers stopped or
// started, and returns when all that show it are edited.
func watched(b *testing.B, n, changed int) (tick func(), db *counted, looked *screen) {
	db, looked = &counted{DB: storagetest.Open(b)}, &screen{done: make(chan struct{}, 1)}
	inv := inventory.New(inventory.Config{
		Sources: []inventory.Source{cluster(b, fleet(n, 0, 0), fleet(n, 1, changed))}, Store: db, Every: 30 * time.Second,
	})
	keep := live.New(live.Config{
		Platforms: []chat.Platform{looked}, Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		View: func(_ string, space chat.Space, changed, confirmed time.Time) chat.Message {
			return view.Board{Fleet: inv.Snapshot(), Space: space, Every: 30 * time.Second, Now: time.Now(), Changed: changed, Confirmed: confirmed}.Message()
		},
	})
	ctx := b.Context()
	go func() { _ = keep.Run(ctx) }()
	tick = func() {
		rep, err := inv.Refresh(ctx, "home")
		if err != nil || rep.Err != nil {
			b.Fatal(err, rep.Err)
		}
		keep.Tick()
		<-looked.done
	}
	// The panel is edited last at every tick, and tells its end.
	panel := chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "panel"}
	keep.Opening().Show(panel, func(context.Context, time.Time) chat.Surface {
		return view.Board{Fleet: inv.Snapshot(), Space: looked.Space(), Every: 30 * time.Second, Now: time.Now()}.Panel()
	})
	tick()
	for i := range boards {
		at := chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: fmt.Sprint("C", i), ID: "1"}
		if err := keep.Post(ctx, at, view.FilterAll, keep.Look(chat.Slack, view.FilterAll), "slack:U1"); err != nil {
			b.Fatal(err)
		}
	}
	tick()
	tick()
	db.rows.Store(0)
	looked.edits.Store(0)
	return tick, db, looked
}

// counted is a database that counts the rows that a tick writes.
type counted struct {
	*storage.DB
	rows atomic.Int64
}

func (d *counted) Save(ctx context.Context, records []inventory.Record) error {
	d.rows.Add(int64(len(records)))
	return d.DB.Save(ctx, records)
}

func (d *counted) TouchBoard(ctx context.Context, b live.Board) (bool, error) {
	d.rows.Add(1)
	return d.DB.TouchBoard(ctx, b)
}

// screen is a platform that renders what it is given, and sends it nowhere.
type screen struct {
	chat.Platform
	edits atomic.Int64  // of boards
	done  chan struct{} // after a panel was edited
}

func (*screen) Name() chat.PlatformName { return chat.Slack }
func (*screen) Space() chat.Space       { return chat.Space{Board: 12, Panel: 30} }
func (*screen) Health() chat.Health     { return chat.Health{OK: true} }

func (s *screen) Update(_ context.Context, at chat.Ref, m chat.Surface) error {
	_, err := slack.Render(m)
	if at.Kind == chat.PanelRef {
		s.done <- struct{}{}
	} else {
		s.edits.Add(1)
	}
	return err
}

// BenchmarkRender draws the board of 10,000 containers, from the snapshot to
// what goes over the wire.
func BenchmarkRender(b *testing.B) {
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{cluster(b, fleet(10000, 0, 0))}, Store: storagetest.Open(b), Every: 30 * time.Second})
	if _, err := inv.Refresh(b.Context(), "home"); err != nil {
		b.Fatal(err)
	}
	for name, p := range map[string]struct {
		space  chat.Space
		render func(chat.Surface) (json.RawMessage, error)
	}{
		"slack":   {chat.Space{Board: 12, Panel: 30, Home: 30, Events: 10, ControlsFirst: true}, slack.Render},
		"discord": {chat.Space{Board: 8, Panel: 8, Jump: 25, Events: 6}, discord.Render},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := view.Board{Fleet: inv.Snapshot(), Space: p.space, Every: 30 * time.Second, Now: time.Now()}.Message()
				if _, err := p.render(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAccess decides about 10,000 containers for a person with three of
// fifty rules, by name and by group.
func BenchmarkAccess(b *testing.B) {
	var rules []access.Rule
	for i := range 50 {
		rules = append(rules, access.Rule{
			Role: access.Operator, Users: []string{fmt.Sprint("slack:U", i)}, Groups: []string{fmt.Sprint("slack:S", i/2)},
			Scope: []access.Selector{{Kind: "tag", Value: fmt.Sprint("t", i)}, {Kind: "node", Value: fmt.Sprint("pve", i)}},
		})
	}
	policy, err := access.NewRules(rules)
	if err != nil {
		b.Fatal(err)
	}
	targets := make([]access.Target, 10000)
	for i := range targets {
		targets[i] = access.Target{Cluster: "home", Node: fmt.Sprintf("pve%d", i%50), VMID: 100 + i, Tags: []string{"prod", fmt.Sprintf("t%d", i%100)}}
	}
	who := chat.Person{Platform: chat.Slack, ID: "U7", Groups: []string{"S0", "S1"}}
	b.ReportAllocs()
	for b.Loop() {
		may := 0
		for _, t := range targets {
			if policy.May(who, access.Operate, t) {
				may++
			}
		}
		if may == 0 || may == len(targets) {
			b.Fatalf("%d may be operated", may)
		}
	}
}

// reads answers reads of a fleet: router, views and database.
func reads(b *testing.B, n int) chat.Handler {
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{cluster(b, fleet(n, 0, 0))}, Store: storagetest.Open(b), Every: 30 * time.Second})
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

// starts answers starts of a fleet, each of another container, whatever name is
// typed.
func starts(b *testing.B, n int) chat.Handler {
	body := bytes.ReplaceAll(fleet(n, 0, 0), []byte(`"status":"running"`), []byte(`"status":"stopped"`))
	db := storagetest.Open(b)
	log := slog.New(slog.DiscardHandler)
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{cluster(b, body)}, Store: db, Every: 30 * time.Second})
	if _, err := inv.Refresh(context.Background(), "home"); err != nil {
		b.Fatal(err)
	}
	rules, err := access.NewRules([]access.Rule{{Role: access.Operator, Users: []string{"slack:" + slackUser, "discord:" + discordUser}}})
	if err != nil {
		b.Fatal(err)
	}
	var h *handlers.Handlers
	runner := jobs.New(jobs.Config{
		Clusters: map[string]jobs.Proxmox{"home": slow{}}, Store: db, Events: db, Inventory: inv, Holder: "bench", Now: time.Now, Log: log,
		Accepted: func(ctx context.Context, j jobs.Job) error { return h.Accepted(ctx, j) },
	})
	h = handlers.New(handlers.Deps{
		Log: log, Policy: rules, Inventory: inv, Jobs: runner, Live: live.New(live.Config{}), Events: db, Confirmations: db, Audit: db,
		Every: 30 * time.Second, Now: time.Now,
	})
	router, err := handlers.NewRouter(log, rules, db, inv, db, time.Now, h.Routes()...)
	if err != nil {
		b.Fatal(err)
	}
	stopped := inv.Snapshot().In(inventory.Stopped)
	if len(stopped) == 0 {
		b.Fatal("nothing to start")
	}
	e := &eachOther{Handler: router, containers: stopped}
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = runner.Run(ctx) })
		return func() { cancel(); running.Wait() }
	}
	stop := run()
	b.Cleanup(func() { stop() })
	e.settle = func() {
		stop()
		open, err := db.OpenJobs(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, j := range open {
			if err := errors.Join(db.FinishJob(b.Context(), j.ID, j.Fence, jobs.Failed, "", 0), db.MarkNotified(b.Context(), j.ID)); err != nil {
				b.Fatal(err)
			}
		}
		if err := runner.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
		stop = run()
	}
	return e
}

// slow is a cluster that takes longer to answer than a chat platform.
type slow struct{ jobs.Proxmox }

func (slow) ContainerStatus(ctx context.Context, _ proxmox.Ref) (proxmox.ContainerStatus, error) {
	<-ctx.Done()
	return proxmox.ContainerStatus{}, ctx.Err()
}

// eachOther makes of every command a new one, for another container.
type eachOther struct {
	chat.Handler
	settle     func() // ends what was started
	containers []*inventory.Container
	n          atomic.Int64
}

func (e *eachOther) Handle(ctx context.Context, inv chat.Invocation) chat.Answer {
	n := int(e.n.Add(1))
	c := e.containers[n%len(e.containers)]
	inv.ID = strconv.Itoa(n) // a new workspace counts from one again
	inv.Options = map[string]string{"name": strconv.Itoa(c.VMID)}
	return e.Handler.Handle(ctx, inv)
}
