package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	shot "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

var screenshots = flag.String("screenshots", "", "directory for pictures of the page, taken on the walk at the size of a desktop and of a phone")

// size is that of a screen, in CSS pixels.
type size struct {
	name          string
	width, height int
}

var desktop, phone = size{"desktop", 1280, 900}, size{"phone", 390, 844}

// sizes are those of the screens to walk on. Pictures are taken of such as are
// high enough to show a whole board.
func sizes() []size {
	if *screenshots == "" {
		return []size{desktop}
	}
	high, narrow := desktop, phone
	high.height, narrow.height = 1330, 1360
	return []size{high, narrow}
}

func TestWalkInABrowser(t *testing.T) {
	for _, s := range sizes() {
		t.Run("slack "+s.name, func(t *testing.T) {
			d := newDemo(t, "slack")
			walkSlack(&walk{demo: d, t: t, hands: newBrowser(t, d, "slack", s)})
		})
		t.Run("discord "+s.name, func(t *testing.T) {
			d := newDemo(t, "discord")
			walkDiscord(&walk{demo: d, t: t, hands: newBrowser(t, d, "discord", s)})
		})
	}
}

// A cluster without containers gets three hundred.
func TestBoardsGrowInABrowser(t *testing.T) {
	for _, s := range sizes() {
		t.Run(s.name, func(t *testing.T) {
			d := newDemoOf(t, 0, "slack", "discord")
			onSlack, onDiscord := newBrowser(t, d, "slack", s), newBrowser(t, d, "discord", s)
			for _, b := range []*browser{onSlack, onDiscord} {
				b.say("dashboard")
				b.sees("No containers yet")
				b.picture("empty")
			}
			for i := range 300 {
				c := proxmoxtest.Ordinary(i)
				d.w.enter(c)
				d.w.pve.AddContainer(c)
			}
			at := d.await("ana", "both boards to be full", func(s state) bool {
				return strings.Contains(plain(s.Slack.Channels[0].Messages[0].Blocks), "*300* total") &&
					strings.Contains(plain(s.Discord.Channels[0].Messages[0].Components), "**300** total")
			})
			board, list := at.Slack.Channels[0].Messages[0], slackControls
			for _, b := range []*browser{onSlack, onDiscord} {
				b.sees("300 total")
				b.sees("checked every")
				if b == onDiscord {
					board.TS, board.Blocks, list = at.Discord.Channels[0].Messages[0].ID, at.Discord.Channels[0].Messages[0].Components, discordControls
				}
				b.picture("300", board.TS)
				more := find(t, list(board.Blocks), "", "See ")
				more.message = board.TS
				b.press(more)
				b.sees("Showing: All")
				b.picture("300-page")
			}
		})
	}
}

// The tour is walked with the Enter key alone: each step does what it says.
func TestTourInABrowser(t *testing.T) {
	d := newDemo(t, "slack")
	b := newBrowser(t, d, "slack", sizes()[0])
	at := func(step int) {
		t.Helper()
		b.do(fmt.Sprint("come to step ", step), chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf("[data-tour-step='%d']", step))))
	}
	// enter presses what has the focus, once that is what it should be.
	enter := func(what string) {
		t.Helper()
		b.poll("have the focus on "+what, chromedp.PollFunction[bool](`what => document.activeElement?.matches(what) ?? false`,
			chromedp.WithPollingArgs("["+what+"]"), every, forLong))
		b.do("press Enter", chromedp.KeyEvent(kb.Enter))
	}
	b.do("go to the tour", chromedp.Focus(chromedp.CSS("[data-tour]")), chromedp.KeyEvent(kb.Enter))
	for i, seen := range []string{"24 total", "Stop photoprism?", "", "Credentials · nextcloud", "was running"} {
		at(i + 1)
		enter("data-tour-do")
		if seen != "" {
			b.sees(seen)
		}
		if i == 1 {
			b.picture("tour")
		}
		enter("data-tour-next")
	}
	at(6)
	d.post("/api/fault", switching{"unreachable", false, ""})
	enter("data-tour-do")
	enter("data-tour-next")
	b.do("end the tour", chromedp.WaitNotPresent(chromedp.CSS("[data-tour-step]")))
	d.await("ana", "the bot to be back, and its board", func(s state) bool {
		return s.Slack.Connected && !strings.Contains(plain(s.Slack.Channels[0].Messages[0].Blocks), "was running")
	})
	if sent := d.sent(); len(sent) > 0 {
		t.Errorf("the tour has sent %q", sent)
	}
}

// What a newcomer sees: both clients, beside the cluster.
func TestBothClientsOnOnePage(t *testing.T) {
	d := newDemo(t, "slack", "discord")
	wide := size{"wide", 1600, 1000}
	slack := newBrowser(t, d, "slack", wide)
	discord := *slack
	discord.platform = "discord"
	slack.say("dashboard")
	discord.say("dashboard")
	both := d.await("ana", "both boards", func(s state) bool {
		return len(s.Slack.Channels[0].Messages) == 1 && len(s.Discord.Channels[0].Messages) == 1
	})
	slack.sees("Containers · home")
	discord.sees("Containers · home")
	slack.sees("SVC ●")
	discord.sees("SVC ●")
	discord.platform = "both"
	discord.picture("dashboard", both.Slack.Channels[0].Messages[0].TS, both.Discord.Channels[0].Messages[0].ID)
}

// browser is the page in Chromium, with the hands before it. It holds to the
// page by its data- attributes alone.
type browser struct {
	t        *testing.T
	ctx      context.Context
	platform string
	size     size
	broken   *complaints
}

// complaints are what went wrong inside the page.
type complaints struct {
	mu   sync.Mutex
	list []string
}

// newBrowser opens the page. Without a Chromium the test is skipped, unless
// PVECHAT_REQUIRE has its name.
func newBrowser(t *testing.T, d *demo, platform string, s size) *browser {
	t.Helper()
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(s.width, s.height),
		chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx) })
	b := &browser{t: t, ctx: ctx, platform: platform, size: s, broken: &complaints{}}
	if err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*runtime.EventExceptionThrown); ok {
			b.broken.mu.Lock()
			defer b.broken.mu.Unlock()
			b.broken.list = append(b.broken.list, fmt.Sprint(e.ExceptionDetails.Text, " ", e.ExceptionDetails.Exception))
		}
	}); err != nil {
		t.Fatal(err)
	}
	options := []chromedp.EmulateViewportOption{}
	steps := []chromedp.Action[chromedp.Void]{look(platform)}
	if s.name == phone.name {
		options = append(options, chromedp.EmulateMobile, chromedp.EmulateScale(1.5), chromedp.EmulateTouch)
	}
	steps = append(steps, chromedp.EmulateViewport(int64(s.width), int64(s.height), options...), chromedp.Navigate(d.url))
	if s.name == phone.name {
		steps = append(steps, chromedp.Click(chromedp.CSS(fmt.Sprintf("[data-pane=%s]", platform))))
	}
	b.do("open the page", append(steps, chromedp.WaitVisible(b.css("")))...)
	t.Cleanup(func() {
		b.broken.mu.Lock()
		defer b.broken.mu.Unlock()
		if len(b.broken.list) > 0 {
			t.Errorf("the page broke: %q", b.broken.list)
		}
	})
	return b
}

// look is what most people have chosen: Slack is light, Discord dark.
func look(platform string) chromedp.Action[chromedp.Void] {
	scheme := "light"
	if platform == "discord" {
		scheme = "dark"
	}
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	}
}

func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes its time; without -short it is opened")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "no chromium here"
	if strings.Contains(os.Getenv("PVECHAT_REQUIRE"), "chromium") {
		t.Fatal("PVECHAT_REQUIRE asks for chromium: " + missing)
	}
	t.Skip(missing + " (PVECHAT_REQUIRE=chromium would make this a failure)")
	return ""
}

// css selects inside the client.
func (b *browser) css(format string, args ...any) chromedp.CSS {
	return chromedp.CSS(strings.TrimSpace(fmt.Sprintf("[data-platform=%s] ", b.platform) + fmt.Sprintf(format, args...)))
}

// do does things on the page, one after another, each within the patience of a
// test.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s on the page: %v", what, err)
	}
}

// click presses what is there, in sight and not covered by anything. It happens
// in one go, because the page may be drawn anew at any time.
func (b *browser) click(what string, target chromedp.CSS) {
	b.t.Helper()
	const press = `selector => {
		const e = document.querySelector(selector);
		if (!e || e.disabled || e.closest('[inert]')) return false;
		e.scrollIntoView({ block: 'center', behavior: 'instant' });
		const at = e.getBoundingClientRect();
		if (!e.contains(document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2))) return false;
		e.focus();
		e.click();
		return true;
	}`
	b.poll(what, chromedp.PollFunction[bool](press, chromedp.WithPollingArgs(string(target)), every, forLong))
}

var (
	every   = chromedp.WithPollingInterval(50 * time.Millisecond)
	forLong = chromedp.WithPollingTimeout(patience)
)

// poll waits for something on the page.
func (b *browser) poll(what string, a chromedp.Action[bool]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, a); err != nil {
		b.picture("failed")
		b.t.Fatalf("%s on the page: %v", what, err)
	}
}

func (b *browser) be(who string) {
	b.t.Helper()
	b.click("be "+who, chromedp.CSS(fmt.Sprintf("[data-person=%q]", who)))
	b.do("wait for the page of "+who, chromedp.WaitVisible(chromedp.CSS(fmt.Sprintf("[data-person=%q][aria-pressed=true]", who))),
		chromedp.WaitVisible(b.css("[data-composer]")))
}

// write replaces what stands in an input.
func (b *browser) write(what string, input chromedp.CSS, text string) {
	b.t.Helper()
	b.click(what, input)
	b.do(what, chromedp.KeyEvent("a", chromedp.KeyModifiers(kb.ModifierCtrl)), chromedp.SendKeys(input, text))
}

func (b *browser) say(command string) {
	b.t.Helper()
	b.write("type /pve "+command, b.css("[data-composer]"), "/pve "+command+kb.Enter)
}

func (b *browser) press(c control, yes ...bool) {
	b.t.Helper()
	where := fmt.Sprintf("[data-message=%q]", c.message)
	if c.view != "" {
		where = fmt.Sprintf("[data-modal=%q]", c.view)
	}
	b.click(fmt.Sprintf("press %q", c.words), b.css("%s [data-action=%q]", where, c.action))
	if c.value != "" {
		b.click(fmt.Sprintf("choose %q", c.words), b.css("[data-value=%q]", c.value))
	}
	if len(yes) == 0 {
		return
	}
	b.do("be asked", chromedp.WaitVisible(b.css("[data-confirm]")))
	b.picture("confirm")
	answer := "[data-no]"
	if yes[0] {
		answer = "[data-yes]"
	}
	b.click("answer", b.css("[data-confirm] %s", answer))
	b.do("be asked no more", chromedp.WaitNotPresent(b.css("[data-confirm]")))
}

func (b *browser) fill(_ string, values map[string]string) {
	b.t.Helper()
	for name, text := range values {
		b.write("fill in "+name, b.css("[data-modal] [data-input=%q]", name), text)
	}
	b.click("send the form", b.css("[data-modal] [data-submit]"))
}

func (b *browser) shut(view string) {
	b.t.Helper()
	b.click("close the modal", b.css("[data-modal=%q] [data-cancel]", view))
	b.do("wait for it to close", chromedp.WaitNotPresent(b.css("[data-modal=%q]", view)))
}

// sees waits until the client shows a text, and fails if it shows something
// that it does not know.
func (b *browser) sees(text string) {
	b.t.Helper()
	b.poll(fmt.Sprintf("see %q", text), chromedp.PollFunction[bool](
		`(selector, text) => document.querySelector(selector)?.innerText.replaceAll('\u00a0', ' ').includes(text) ?? false`,
		chromedp.WithPollingArgs(string(b.css("")), text), every, forLong))
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	unknown, err := chromedp.Run(ctx, chromedp.Evaluate[string](`[...document.querySelectorAll('[data-unknown]')].map(e => e.innerText).join('; ')`))
	if err != nil || unknown != "" {
		b.t.Errorf("the page does not know what the bot sent: %s %v", unknown, err)
	}
}

// picture writes one of what the page shows now, if pictures are asked for.
func (b *browser) picture(name string, message ...string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for _, id := range message {
		scroll := fmt.Sprintf(`document.querySelector('[data-message="%s"]').scrollIntoView({ block: 'start', behavior: 'instant' })`, id)
		if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](scroll)); err != nil {
			b.t.Errorf("picture of %s: %v", name, err)
		}
	}
	err := os.MkdirAll(*screenshots, 0o755)
	if err == nil {
		var image []byte
		if image, err = chromedp.Run(ctx, webp); err == nil {
			err = os.WriteFile(filepath.Join(*screenshots, fmt.Sprintf("%s-%s-%s.webp", b.platform, name, b.size.name)), image, 0o644)
		}
	}
	if err != nil {
		b.t.Errorf("picture of %s: %v", name, err)
	}
}

// webp is the smallest of the formats that browsers write and everybody shows.
func webp(ctx context.Context, t *chromedp.Target) ([]byte, error) {
	r, err := cdp.Call(ctx, t, shot.CaptureScreenshot, shot.CaptureScreenshotParams{Format: shot.CaptureScreenshotFormatWebp, Quality: new(int64(60))})
	return r.Data, err
}
