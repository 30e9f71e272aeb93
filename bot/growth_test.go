package bot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/storage/storagetest"
)

// snapshotOf is a fleet of that size, as it was read.
func snapshotOf(tb testing.TB, n int) *inventory.Snapshot {
	tb.Helper()
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{cluster(tb, fleet(n, 0, 0))}, Store: storagetest.Open(tb), Every: 30 * time.Second})
	if rep, err := inv.Refresh(tb.Context(), "home"); err != nil || rep.Err != nil {
		tb.Fatal(err, rep.Err)
	}
	return inv.Snapshot()
}

// faces are what each platform shows of a fleet, up to what goes over the wire.
func faces(f *inventory.Snapshot) map[string]func() (json.RawMessage, error) {
	on := func(space chat.Space) view.Board {
		return view.Board{Fleet: f, Space: space, Every: 30 * time.Second, Now: time.Now(), Creates: true}
	}
	onSlack, onDiscord := on(chat.Space{Board: 12, Panel: 30, Home: 30, Events: 10, ControlsFirst: true}), on(chat.Space{Board: 8, Panel: 8, Jump: 25, Events: 6})
	return map[string]func() (json.RawMessage, error){
		"slack board":   func() (json.RawMessage, error) { return slack.Render(onSlack.Message()) },
		"slack view":    func() (json.RawMessage, error) { return slack.Render(onSlack.Panel()) },
		"slack home":    func() (json.RawMessage, error) { return slack.Render(onSlack.Home()) },
		"discord board": func() (json.RawMessage, error) { return discord.Render(onDiscord.Message()) },
		"discord view":  func() (json.RawMessage, error) { return discord.Render(onDiscord.Panel()) },
	}
}

// The cost of a board follows its page. Time is measured by [BenchmarkGrowth].
func TestABoardOfTenThousandCostsLittleMoreThanOneOfSixty(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand containers; without -short they are drawn")
	}
	const most = 5
	small, large := faces(snapshotOf(t, 60)), faces(snapshotOf(t, 10_000))
	for name, render := range large {
		cost := func(render func() (json.RawMessage, error)) (allocs, size float64) {
			return testing.AllocsPerRun(3, func() {
				wire, err := render()
				if err != nil {
					t.Fatal(err)
				}
				size = float64(len(wire))
			}), size
		}
		allocs, size := cost(render)
		allocs60, size60 := cost(small[name])
		if allocs > most*allocs60 || size > most*size60 {
			t.Errorf("%s: %.0f allocations and %.0f bytes, of sixty %.0f and %.0f", name, allocs, size, allocs60, size60)
		}
	}
}

// BenchmarkGrowth draws what is shown of 10,000 containers and of 60, in turns.
// x-60 is the median of the one over that of the other.
func BenchmarkGrowth(b *testing.B) {
	small, large := faces(snapshotOf(b, 60)), faces(snapshotOf(b, 10_000))
	for name, render := range large {
		b.Run(name, func(b *testing.B) {
			var of60, of10000 []time.Duration
			draw := func(render func() (json.RawMessage, error)) func() {
				return func() {
					if _, err := render(); err != nil {
						b.Fatal(err)
					}
				}
			}
			for b.Loop() {
				of60 = append(of60, took(draw(small[name])))
				of10000 = append(of10000, took(draw(render)))
			}
			b.ReportMetric(ratio(of10000, of60), "x-60")
		})
	}
}

// A hundred boards, each on one of five nodes: nothing is written or edited where
// nothing changed, and where one container changed, only its row and the boards
// that show it.
func TestOnlyBoardsThatShowAChangeAreEdited(t *testing.T) {
	still := fleet(300, 0, 0)
	edited := func(body []byte, name, from, to string) []byte {
		was := fmt.Sprintf(`"name":%q,"cpu":0.0123456789`, name)
		if from == "running" { // the status stands before the name
			was = `"status":"running",` + was
		}
		out := bytes.Replace(body, []byte(was), []byte(strings.Replace(was, from, to, 1)), 1)
		if bytes.Equal(out, body) {
			t.Fatalf("no %s in the answer", was)
		}
		return out
	}
	stopped := edited(still, "ct-00000", "running", "stopped")   // the first of pve1
	unseen := edited(stopped, "ct-00295", "0.0123456789", "0.6") // the last of pve1, on no board
	jittering := bytes.ReplaceAll(unseen, []byte("0.0123456789"), []byte("0.0133"))
	for _, c := range []struct {
		what        string
		body        []byte
		rows, edits int
	}{
		{"nothing changed", still, 0, 0},
		{"the first of a node stopped", stopped, 1 + 20, 20},
		{"the load of one that is on no board rose", unseen, 0, 0},
		{"what nobody sees jitters", jittering, 0, 0},
	} {
		db, screen := &counted{DB: storagetest.Open(t)}, &screen{done: make(chan struct{}, 1)}
		inv := inventory.New(inventory.Config{Sources: []inventory.Source{cluster(t, still, before(c.body, stopped, still), c.body)}, Store: db, Every: 30 * time.Second})
		board := func(space chat.Space, query string) view.Board {
			q, err := view.ParseQuery(query)
			if err != nil {
				t.Error(err)
			}
			return view.Board{Fleet: inv.Snapshot(), Space: space, Every: 30 * time.Second, Now: time.Now(), Query: q}
		}
		keep := live.New(live.Config{
			Platforms: []chat.Platform{screen}, Store: db, Now: time.Now, Log: slog.New(slog.DiscardHandler),
			View: func(query string, space chat.Space, changed, confirmed time.Time) chat.Message {
				b := board(space, query)
				b.Changed, b.Confirmed = changed, confirmed
				return b.Message()
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- keep.Run(ctx) }()
		tick := func() {
			if rep, err := inv.Refresh(ctx, "home"); err != nil || rep.Err != nil {
				t.Fatal(err, rep.Err)
			}
			keep.Tick()
			<-screen.done
		}
		// The panel is edited last at every tick, and tells its end.
		keep.Opening().Show(chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "panel"}, func(context.Context, time.Time) chat.Surface {
			return board(screen.Space(), view.FilterAll).Panel()
		})
		tick()
		for i := range boards {
			query := fmt.Sprintf("node:pve%d", 1+i%5)
			at := chat.Ref{Platform: chat.Slack, Kind: chat.MessageRef, Channel: fmt.Sprint("C", i), ID: "1"}
			if err := keep.Post(ctx, at, query, keep.Look(chat.Slack, query), "slack:U1"); err != nil {
				t.Fatal(err)
			}
		}
		tick()
		db.rows.Store(0)
		screen.edits.Store(0)
		tick()
		if rows, edits := db.rows.Load(), screen.edits.Load(); int(rows) != c.rows || int(edits) != c.edits {
			t.Errorf("%s: %d rows written and %d boards edited, want %d and %d", c.what, rows, edits, c.rows, c.edits)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// before is what the cluster said before body: still, or what body goes on from.
func before(body, stopped, still []byte) []byte {
	if bytes.Equal(body, stopped) || bytes.Equal(body, still) {
		return still
	}
	return stopped
}
