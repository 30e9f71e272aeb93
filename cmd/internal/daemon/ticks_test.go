package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

// clockwork is a world in a bubble, whose ticks come every 30 seconds of the
// bubble's clock. It is looked at between two of them.
type clockwork struct {
	*daemontest.World
	t    *testing.T
	tick int
	eyes map[daemontest.Platform]*daemontest.Person // who has nothing open
}

// ticking runs a test with a bot in a bubble, on both platforms and within their
// limits, as strict as they are. prepare makes the cluster and the channels.
func ticking(t *testing.T, prepare func(*clockwork), test func(*clockwork)) {
	t.Helper()
	if testing.Short() {
		t.Skip("the whole bot for an hour of its own clock; without -short it runs")
	}
	daemontest.StrictBubble(t, func(t *testing.T, w *daemontest.World) {
		c := &clockwork{World: w, t: t, eyes: map[daemontest.Platform]*daemontest.Person{}}
		for _, on := range daemontest.Platforms {
			c.eyes[on] = c.Person(on, "Eve", "viewer")
		}
		prepare(c)
		c.Run()
		time.Sleep(time.Until(time.Now().Truncate(30 * time.Second).Add(45 * time.Second)))
		test(c)
		c.Correct()
		for _, r := range c.Slack.Requests() {
			if r.Status == http.StatusTooManyRequests {
				t.Errorf("Slack's limit of %s was hit at %s", r.Method, r.At)
			}
		}
		for _, r := range c.Discord.Requests() {
			if r.Status == http.StatusTooManyRequests {
				t.Errorf("Discord's limit of %s was hit at %s", r.Route, r.Time)
			}
		}
	})
}

// load is what all containers that run are made to show at a tick: no two ticks
// of the last ninety have the same, and none is near the one before.
func load(tick int) int { return 5 + tick*37%90 }

// next lets the loads change and the next tick pass.
func (c *clockwork) next() {
	c.tick++
	for _, ct := range c.PVE.Containers() {
		if ct.Running {
			c.PVE.Update(ct.VMID, func(ct *proxmoxtest.Container) { ct.CPU = float64(load(c.tick)) / 100 })
		}
	}
	time.Sleep(30 * time.Second)
}

// cpu is a load on a list or in a panel.
var cpu = regexp.MustCompile(`CPU (?:\S+ )?(\d+) %`)

// loadIn is the load that something shows, -1 for none.
func loadIn(text string) int {
	if m := cpu.FindStringSubmatch(text); m != nil {
		n := 0
		fmt.Sscan(m[1], &n)
		return n
	}
	return -1
}

// board is what stands in a channel.
func (c *clockwork) board(on daemontest.Platform, channel string) string {
	c.t.Helper()
	s, ok := c.eyes[on].In(channel).Seen("checked every")
	if !ok {
		c.t.Fatalf("tick %d: no board in %s on %s", c.tick, channel, on)
	}
	return s.Text
}

// now is what a person has before them of what they opened once.
func (c *clockwork) now(s daemontest.Surface) daemontest.Surface {
	c.t.Helper()
	again, ok := s.Again()
	if !ok {
		c.t.Fatalf("tick %d: what was open is gone:\n%s", c.tick, s.Text)
	}
	return again
}

// open opens the details of a container for so many people on a platform, each
// on another tab than the one before.
func (c *clockwork) open(on daemontest.Platform, name string, people []*daemontest.Person) []daemontest.Surface {
	c.t.Helper()
	var list []daemontest.Surface
	for i, p := range people {
		p.Command("show " + name)
		s := p.Sees("▸ Overview", "while this is open")
		if i%2 == 1 {
			s.Press("Events")
			p.Sees("▸ Events")
		}
		list = append(list, s)
	}
	return list
}

func (c *clockwork) people(on daemontest.Platform, n int) []*daemontest.Person {
	var list []*daemontest.Person
	for i := range n {
		list = append(list, c.Person(on, fmt.Sprint("Person ", i), "operator"))
	}
	return list
}

func TestAHundredTicksEatNothing(t *testing.T) {
	const ticks, boards, opened = 100, 4, 6
	rooms := func(i int) string { return fmt.Sprintf("room-%02d", i) }
	crowd := map[daemontest.Platform][]*daemontest.Person{}
	ana, tia := map[daemontest.Platform]*daemontest.Person{}, map[daemontest.Platform]*daemontest.Person{}
	prepare := func(c *clockwork) {
		for i := range 12 {
			c.PVE.AddContainer(proxmoxtest.Container{VMID: 101 + i, Name: fmt.Sprintf("app-%02d", i), Running: true, CPU: 0.5})
		}
		for i := range 40 {
			c.PVE.AddContainer(proxmoxtest.Container{VMID: 201 + i, Name: fmt.Sprintf("old-%02d", i)})
		}
		c.PVE.AddContainer(proxmoxtest.Container{VMID: 300, Name: "slow", StartTakes: 10*time.Minute + time.Second})
		for i := range boards {
			c.AddChannel(rooms(i), true)
		}
		for _, on := range daemontest.Platforms {
			ana[on] = c.Person(on, "Ana", "admin").In(rooms(0))
			tia[on] = c.Person(on, "Tia", "admin")
			crowd[on] = c.people(on, opened)
		}
	}
	ticking(t, prepare, func(c *clockwork) {
		details, lists := map[daemontest.Platform][]daemontest.Surface{}, map[daemontest.Platform]daemontest.Surface{}
		for _, on := range daemontest.Platforms {
			for i := range boards {
				ana[on].In(rooms(i)).Command("dashboard")
				ana[on].In(rooms(i)).Sees("checked every")
			}
			details[on] = c.open(on, "app-00", crowd[on])

			// Ana filters and pages.
			ana[on].Sees("checked every").Press("Stopped")
			ana[on].Sees("Showing: Stopped", "Next").Press("Next")
			lists[on] = ana[on].Sees("Showing: Stopped", "Previous")
		}
		// Somebody has begun to type into a form, which no tick may touch.
		forms := map[daemontest.Platform]daemontest.Surface{}
		for _, on := range daemontest.Platforms {
			tia[on].Command("show app-01")
			tia[on].Sees("▸ Overview", "Delete…").Press("Delete…")
			if on == daemontest.Discord {
				tia[on].Sees("Delete app-01", "Type its name…").Press("Type its name…")
			}
			forms[on] = tia[on].Sees("Delete container")
		}
		slack := c.Slack.Views(tia[daemontest.Slack].ID)
		form := slack[len(slack)-1]
		if err := c.Slack.Type(tia[daemontest.Slack].ID, form.ID, map[string]string{"name": "app-0"}); err != nil {
			t.Fatal(err)
		}
		typed := func() string {
			views := c.Slack.Views(tia[daemontest.Slack].ID)
			var view struct {
				State struct {
					Values map[string]map[string]struct{ Value string }
				}
			}
			if err := json.Unmarshal(views[len(views)-1].Raw, &view); err != nil {
				t.Fatal(err)
			}
			for _, v := range view.State.Values["name"] {
				return v.Value
			}
			return ""
		}

		for range ticks {
			const start = 10 // what takes ten minutes
			if c.tick == start {
				ana[daemontest.Slack].Command("start slow")
				ana[daemontest.Slack].Sees("slow starting…", "asked by you")
			}
			c.next()
			busy, stopped := c.tick > start && c.tick <= start+20, 41
			if c.tick > start+20 {
				stopped--
			}
			page := map[daemontest.Platform]string{daemontest.Slack: fmt.Sprintf("31–%d of %[1]d", stopped), daemontest.Discord: fmt.Sprint("9–16 of ", stopped)}
			for _, on := range daemontest.Platforms {
				for i := range boards {
					text := c.board(on, rooms(i))
					if got := loadIn(text); got != load(c.tick) {
						t.Fatalf("tick %d: the board in %s on %s shows %d %%, want %d %%", c.tick, rooms(i), on, got, load(c.tick))
					}
					if strings.Contains(text, "slow starting…") != busy {
						t.Fatalf("tick %d: the board in %s on %s shows the start: %v, want %v", c.tick, rooms(i), on, !busy, busy)
					}
				}
				for i, s := range details[on] {
					now := c.now(s).Text
					if tab := tabs[i%2]; !strings.Contains(now, "▸ "+tab) {
						t.Fatalf("tick %d on %s: detail %d has lost its tab %s:\n%s", c.tick, on, i, tab, now)
					}
					if got := loadIn(now); i%2 == 0 && got != load(c.tick) {
						t.Fatalf("tick %d on %s: detail %d shows %d %%, want %d %%:\n%s", c.tick, on, i, got, load(c.tick), now)
					}
				}
				if now := c.now(lists[on]).Text; !strings.Contains(now, "Showing: Stopped") || !strings.Contains(now, page[on]) {
					t.Fatalf("tick %d on %s: the filter or the page %s is lost:\n%s", c.tick, on, page[on], now)
				}
				if now := c.now(forms[on]).Text; !strings.Contains(now, "Delete container") {
					t.Fatalf("tick %d on %s: the form is lost:\n%s", c.tick, on, now)
				}
			}
			if got := typed(); got != "app-0" {
				t.Fatalf("tick %d: of what was typed %q is left", c.tick, got)
			}
			if c.tick%20 == 0 { // Discord lets nobody edit a private message for longer than 15 minutes after the last press
				for i, s := range details[daemontest.Discord] {
					c.now(s).Press([]string{"Refresh now", "Events"}[i%2])
				}
				c.now(lists[daemontest.Discord]).Press("Previous")
				ana[daemontest.Discord].Sees("Showing: Stopped", "1–8 of")
				c.now(lists[daemontest.Discord]).Press("Next")
				ana[daemontest.Discord].Sees("Showing: Stopped", page[daemontest.Discord])
			}
		}
	})
}

// tabs are those of a detail that show something without SSH.
var tabs = []string{"Overview", "Events"}

// Twenty boards that change are fresh at every tick, and twenty open details
// besides. Of a hundred, those go first whose container has changed its state, and
// none is older than three minutes.
func TestAHundredBoardsTakeTurns(t *testing.T) {
	const few, boards, opened = 20, 100, 20
	room := func(i int) string { return fmt.Sprintf("room-%02d", i) }
	crowd := map[daemontest.Platform][]*daemontest.Person{}
	prepare := func(c *clockwork) {
		for i := range boards {
			c.PVE.AddContainer(proxmoxtest.Container{VMID: 101 + i, Name: fmt.Sprintf("app-%02d", i), Tags: fmt.Sprintf("t%02d;pvechat-ignore", i), Running: true, CPU: 0.5})
			c.AddChannel(room(i), true)
		}
		c.PVE.AddContainer(proxmoxtest.Container{VMID: 300, Name: "watched", Running: true, CPU: 0.5})
		for _, on := range daemontest.Platforms {
			crowd[on] = c.people(on, opened)
		}
	}
	ticking(t, prepare, func(c *clockwork) {
		details := map[daemontest.Platform][]daemontest.Surface{}
		for _, on := range daemontest.Platforms {
			details[on] = c.open(on, "watched", crowd[on])
		}
		shown := 0
		show := func(n int) {
			for ; shown < n; shown++ {
				for _, on := range daemontest.Platforms {
					crowd[on][0].In(room(shown)).Command(fmt.Sprintf("board here tag:t%02d", shown))
					crowd[on][0].In(room(shown)).Sees("checked every")
				}
			}
		}
		of := map[int]int{} // the ticks by what boards show
		pass := func(late int) {
			urgent := c.tick * 7 % shown
			c.PVE.Update(101+urgent, func(ct *proxmoxtest.Container) { ct.Running = !ct.Running })
			began := time.Now()
			c.next()
			of[load(c.tick)] = c.tick
			for _, on := range daemontest.Platforms {
				if first := c.firstEdit(on, began); first != crowd[on][0].In(room(urgent)).Channel() {
					t.Errorf("tick %d on %s: the first edit is of channel %s, want %s", c.tick, on, first, room(urgent))
				}
				for i := range shown { // what does not run shows none
					if got := loadIn(c.board(on, room(i))); got >= 0 && c.tick-of[got] > late {
						t.Errorf("tick %d on %s: %s is of tick %d", c.tick, on, room(i), of[got])
					}
				}
				for i, s := range details[on] {
					if got := loadIn(c.now(s).Text); i%2 == 0 && got != load(c.tick) {
						t.Errorf("tick %d on %s: detail %d shows %d %%, want %d %%", c.tick, on, i, got, load(c.tick))
					}
				}
			}
		}
		show(few)
		time.Sleep(time.Minute) // since the budget was spent on opening it all
		for range 8 {
			pass(0)
		}
		show(boards)
		for range 2 {
			c.next()
			of[load(c.tick)] = c.tick
		}
		for range 14 {
			pass(6) // three minutes
		}
	})
}

// firstEdit is the channel of the first board that was edited since.
func (c *clockwork) firstEdit(on daemontest.Platform, since time.Time) string {
	if on == daemontest.Slack {
		for _, r := range c.Slack.Requests() {
			if r.Method == "chat.update" && r.At.After(since) {
				return r.Channel
			}
		}
	}
	for _, r := range c.Discord.Requests() {
		if r.Route == "PATCH /channels/{channel}/messages/{message}" && r.Time.After(since) {
			return strings.Split(r.Path, "/")[4]
		}
	}
	return ""
}
