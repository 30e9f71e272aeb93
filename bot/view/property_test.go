package view_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/discord/discordtest"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/services"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
)

// hostile are texts that Proxmox, or a person, may hand over.
var hostile = []string{
	"", evil, strings.Repeat("<", 63), strings.Repeat("&", 63), strings.Repeat("*_~`|", 12), "a\nb\x00c", "\u202eevil", "日本語のコンテナ",
	"@here <@U1> <https://evil.example|click>", strings.Repeat("x", 255), "\xff\xfe", "`" + strings.Repeat("😀", 60),
}

// judge renders a surface for a platform and lets its simulator examine it.
var judges = map[string]func(chat.Surface) error{
	"slack": func(s chat.Surface) error {
		raw, err := slack.Render(s)
		if err != nil {
			return err
		}
		if bad := slacktest.Check(raw); bad != nil {
			return errors.New(strings.Join(bad, "; "))
		}
		return nil
	},
	"discord": func(s chat.Surface) error {
		raw, err := discord.Render(s)
		if err != nil {
			return err
		}
		return discordtest.Check(raw)
	},
}

// randomFleet is n containers of every kind.
func randomFleet(dice *rand.Rand, n int) []proxmox.Container {
	list := make([]proxmox.Container, n)
	text := func() string { return hostile[dice.IntN(len(hostile))] }
	for i := range list {
		c := &list[i]
		*c = running(100+i, fmt.Sprintf("ct-%d", i), fmt.Sprintf("pve%d", 1+dice.IntN(4)), 100*dice.Float64(), 120*dice.Float64(), 100*dice.Float64())
		switch dice.IntN(12) {
		case 0:
			*c = stopped(c.VMID, c.Name, c.Node)
		case 1:
			c.Status = "unknown"
		case 2:
			c.Lock = "create"
		case 3:
			c.HAState = "error"
		case 4:
			c.CPU, c.MaxMem, c.MaxDisk = -0.00005, 0, 0
		case 5:
			c.Lock = text()
		}
		if dice.IntN(3) == 0 {
			c.Name = text()
		}
		if dice.IntN(5) == 0 {
			c.Tags = strings.TrimSuffix(strings.Repeat("tag-of-some-length;", 40), ";")
		}
		c.Uptime = dice.Int64N(1e7)
	}
	return list
}

// Whatever the fleet, every page of every list is one that the platform takes.
func TestEveryPageOfEveryFleetIsWithinTheLimits(t *testing.T) {
	sizes := []int{0, 1, 2, 7, 8, 9, 12, 13, 25, 26, 30, 31, 60, 300, 10_000}
	dice := rand.New(rand.NewPCG(6, 1))
	for _, n := range sizes {
		for _, down := range []bool{false, true} {
			inv := homelab(t, randomFleet(dice, n), down)
			snap := inv.Snapshot()
			b := view.Board{Fleet: snap, Every: 30 * time.Second, Now: now, Changed: now, Confirmed: now, Creates: true, Busy: map[inventory.ID]jobs.Job{}}
			for _, c := range snap.In(inventory.Running) {
				if dice.IntN(9) == 0 && len(b.Busy) < 50 {
					b.Busy[c.ID] = jobs.Job{Container: c.ID, Action: jobs.Restart, Person: chat.Person{Name: hostile[dice.IntN(len(hostile))]}, CreatedAt: now}
				}
			}
			for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
				fits := func(what string, s chat.Surface) {
					t.Helper()
					if err := judges[platform](s); err != nil {
						t.Errorf("%d containers, down %v, %s, %s: %v", n, down, platform, what, err)
					}
				}
				b := b
				b.Space = space
				for _, filter := range view.Filters() {
					for _, search := range []string{"", "ct-", "tag:tag-of-some-length"} {
						if n > 1000 && dice.IntN(4) > 0 {
							continue
						}
						b.Filter, b.Search, b.Sort = filter, search, []string{"", "name", "vmid", "cpu", "mem"}[dice.IntN(5)]
						fits("board of "+b.String(), b.Message())
						pages := (n + space.Panel - 1) / space.Panel
						for page := range max(pages, 1) {
							if b.Page = page + 1; pages > 6 && dice.IntN(pages) > 3 {
								continue // a few of many
							}
							fits(fmt.Sprintf("page %d of %s", b.Page, b.String()), b.Panel())
						}
						b.Page = 1
						if space.Home > 0 {
							fits("home", b.Home())
						}
					}
				}
			}
		}
	}
}

// A row that was kept is the row that would be drawn, whatever has happened since.
func TestAKeptRowIsTheOneThatWouldBeDrawn(t *testing.T) {
	dice := rand.New(rand.NewPCG(6, 3))
	var rows view.Rows
	reports := map[inventory.ID]*services.Report{}
	b := view.Board{Every: 30 * time.Second, Now: now, Changed: now, Services: func(id inventory.ID) *services.Report { return reports[id] }}
	list := randomFleet(dice, 60)
	src := &source{res: proxmox.Resources{At: now, Containers: list, Nodes: []proxmox.Node{{Name: "pve1", Status: "online"}}}}
	inv := inventory.New(inventory.Config{Sources: []inventory.Source{src}, Store: store{}, Every: b.Every, Now: func() time.Time { return b.Now }})
	refresh := func() {
		if _, err := inv.Refresh(t.Context(), "home"); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	for range 60 {
		b.Fleet = inv.Snapshot()
		of := func() inventory.ID {
			list := b.Fleet.In(inventory.Running)
			return list[dice.IntN(len(list))].ID
		}
		switch dice.IntN(5) {
		case 0:
			b.Busy = map[inventory.ID]jobs.Job{of(): {Action: jobs.Restart, Person: chat.Person{Name: "Ana"}, CreatedAt: b.Now}}
		case 1:
			b.Busy = nil
		case 2:
			reports[of()] = &services.Report{CheckedAt: b.Now, Services: make([]services.Service, 1+dice.IntN(7))}
		case 3:
			b.Now = b.Now.Add(time.Duration(dice.IntN(40)) * time.Minute)
		case 4:
			list[dice.IntN(len(list))].CPU = dice.Float64()
			if src.err = nil; dice.IntN(2) == 0 {
				src.err = errors.New("connection refused")
			}
			refresh()
		}
		for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
			render := map[string]func(chat.Surface) (json.RawMessage, error){"slack": slack.Render, "discord": discord.Render}[platform]
			b.Space, b.Filter = space, view.Filters()[dice.IntN(3)]
			for _, look := range []func(view.Board) chat.Surface{
				func(b view.Board) chat.Surface { return b.Message() },
				func(b view.Board) chat.Surface { return b.Panel() },
			} {
				anew, kept := b, b
				kept.Rows = &rows
				want, err := render(look(anew))
				if err != nil {
					t.Fatal(err)
				}
				got, err := render(look(kept))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("on %s, kept:\n%s\n(%v) drawn anew:\n%s", platform, got, err, want)
				}
			}
		}
	}
}

// A page costs what is on it, not what there is.
func TestPagesFollowEachOtherWithoutLossOrRepeat(t *testing.T) {
	snap := homelab(t, randomFleet(rand.New(rand.NewPCG(6, 2)), 300), false).Snapshot()
	for _, sort := range []string{"", "name", "vmid", "cpu", "mem"} {
		seen := map[string]bool{}
		for page := 1; page <= 10; page++ {
			b := view.Board{Fleet: snap, Space: onS, Every: time.Second, Now: now, Query: view.Query{Sort: sort, Page: page}}
			for _, block := range b.Panel().Blocks {
				if row, ok := block.(chat.Row); ok {
					if seen[row.ID] {
						t.Errorf("by %q: %s is there twice", sort, row.Name)
					}
					seen[row.ID] = true
				}
			}
		}
		if len(seen) != 300 {
			t.Errorf("by %q: %d of 300 containers are on ten pages of 30", sort, len(seen))
		}
	}
}

// Every screen of one container stands any text.
func TestEveryScreenIsWithinTheLimits(t *testing.T) {
	for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
		for name, s := range screens(t, space) {
			if _, isHome := s.(chat.Home); isHome && space.Home == 0 {
				continue
			}
			if err := judges[platform](s); err != nil {
				t.Errorf("%s, %s: %v", platform, name, err)
			}
		}
	}
	dice := rand.New(rand.NewPCG(6, 3))
	snap := homelab(t, randomFleet(dice, 60), false).Snapshot()
	for c := range snap.WorstFirst() {
		cfg := hostileConfig(dice)
		for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
			d := view.Detail{Container: c, Space: space, Every: time.Second, Now: now, Config: &cfg, Tab: view.TabOverview}
			if dice.IntN(3) == 0 {
				d.Busy = &jobs.Job{Action: []jobs.Action{jobs.Stop, jobs.Create}[dice.IntN(2)], Person: chat.Person{Name: hostile[dice.IntN(len(hostile))]}, CreatedAt: now}
			} else {
				d.Unfinished = &jobs.Job{ID: "j8k2j8k2j8", Error: strings.Repeat(hostile[dice.IntN(len(hostile))], 30)}
			}
			e := view.Events{Filter: view.FilterAll, Loaded: true, More: true, Before: 77, Counts: map[inventory.EventType]int{}}
			for i := range space.Events {
				e.Page = append(e.Page, inventory.Event{
					Seq: int64(1e12) + int64(i), At: now.Add(-time.Duration(i) * time.Hour), Type: inventory.EventTypes[i%len(inventory.EventTypes)],
					Text: strings.Repeat(hostile[dice.IntN(len(hostile))], 1+dice.IntN(30)), Actor: hostile[dice.IntN(len(hostile))],
					Meta: map[string]string{hostile[dice.IntN(len(hostile))]: strings.Repeat(hostile[dice.IntN(len(hostile))], 20)},
				})
			}
			list := d
			list.Tab, list.Events = view.TabEvents, e
			for what, s := range map[string]chat.Surface{
				"overview": d.Panel(), "events": list.Panel(), "event": view.EventDetails(c, e.Page[0], ""),
				"stop": view.Confirm(c, jobs.Stop, "c_12345678", now), "delete": view.Deletion{Container: c, Token: "c_12345678", Config: &cfg, Snapshots: 3, Problem: hostile[dice.IntN(len(hostile))]}.Form(),
			} {
				if err := judges[platform](s); err != nil {
					raw, _ := json.Marshal(s)
					t.Errorf("%s, %s of %q: %v\n%.500s", platform, what, c.DisplayName(), err, raw)
				}
			}
		}
	}
}

func hostileConfig(dice *rand.Rand) proxmox.ContainerConfig {
	text := func() string { return hostile[dice.IntN(len(hostile))] }
	cfg := proxmox.ContainerConfig{Hostname: text(), OSType: text(), Cores: -1, Memory: 1 << 40, Features: []string{text(), text()}}
	for i := range 30 {
		cfg.Mounts = append(cfg.Mounts, proxmox.Mount{Key: fmt.Sprint("mp", i), Volume: text(), Storage: text(), Path: text(), Size: dice.Int64()})
		cfg.Networks = append(cfg.Networks, proxmox.Network{Name: text(), Bridge: text(), IP: text(), VLAN: i})
	}
	return cfg
}

// What is on a page of ordinary names is shown whole, with every control that
// a list can have and the warnings above it.
func TestAnHonestPageLosesNoRow(t *testing.T) {
	var list []proxmox.Container
	for i := range 100 {
		list = append(list, running(100+i, fmt.Sprintf("container-%d-of-forty-characters-in-all-x", i), "pve1", 95, 95, 95))
	}
	renders := map[string]func(chat.Surface) (json.RawMessage, error){"slack": slack.Render, "discord": discord.Render}
	for platform, space := range map[string]chat.Space{"slack": onS, "discord": onD} {
		for _, down := range []bool{false, true} {
			b := view.Board{Fleet: homelab(t, list, down).Snapshot(), Space: space, Every: time.Second, Now: now, Changed: now, Confirmed: now, Creates: true}
			own := b
			own.Query = view.Query{Filter: "running", Search: "container", Sort: "name", Page: 2}
			shared := b
			shared.Query = view.Query{Filter: "running"}
			for what, s := range map[string]chat.Surface{"board": shared.Message(), "own view": own.Panel(), "home": own.Home()} {
				var blocks []chat.Block
				switch s := s.(type) {
				case chat.Message:
					blocks = s.Blocks
				case chat.Panel:
					blocks = s.Blocks
				case chat.Home:
					if blocks = s.Blocks; space.Home == 0 {
						continue
					}
				}
				raw, err := renders[platform](s)
				if err != nil {
					t.Fatal(err)
				}
				for _, block := range blocks {
					if row, ok := block.(chat.Row); ok && !strings.Contains(string(raw), row.ID[len("row:"):]+":") {
						t.Errorf("%s, down %v, %s: the row of %s is lost", platform, down, what, row.Name)
					}
				}
			}
		}
	}
}

// What a button promises is what it opens: an own view begins with the first
// page, which on Slack is longer than the board.
func TestTheBoardSaysWhatItsOwnViewBeginsWith(t *testing.T) {
	for _, c := range []struct {
		n           int
		slack, disc string // empty: everything is on the board
	}{{8, "", ""}, {12, "", "See 9–12"}, {24, "See 13–24", "See 9–16"}, {30, "See 13–30", "See 9–16"}, {31, "See all 31", "See 9–16"}, {300, "See all 300", "See 9–16"}} {
		snap := homelab(t, randomFleet(rand.New(rand.NewPCG(6, 3)), c.n), false).Snapshot()
		for want, space := range map[*string]chat.Space{&c.slack: onS, &c.disc: onD} {
			got := ""
			for _, block := range (view.Board{Fleet: snap, Space: space, Every: time.Second, Now: now}).Message().Blocks {
				if controls, ok := block.(chat.Controls); ok {
					for _, b := range controls.Buttons {
						if b.ID == "board:more" {
							got = b.Label
						}
					}
				}
			}
			if got != *want {
				t.Errorf("%d containers, %d on a board: %q, want %q", c.n, space.Board, got, *want)
			}
		}
	}
}
