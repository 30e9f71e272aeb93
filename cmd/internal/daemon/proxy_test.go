package daemon_test

import (
	"testing"

	"github.com/pvechat/pvechat/cmd/internal/daemontest"
)

// Whoever stands between the bot and Proxmox may end connections that are idle,
// and be noticed at once, or only by a request that nobody hears.
func TestAProxyThatEndsConnectionsIsNotNoticed(t *testing.T) {
	if testing.Short() {
		t.Skip("it is three starts and stops, one after the other")
	}
	onBoth(t, func(t *testing.T, on daemontest.Platform) {
		w := newWorld(t)
		proxy := w.NewProxy()
		ana := w.Person(on, "Ana", "admin")
		w.Run()
		var want []string
		for i, name := range []string{"web", "wiki", "broken"} {
			outcomes := func(words string) {
				ana.Until(words, func() bool { return ana.Count(words) == i+1 })
				w.Told()
			}
			proxy.Cut()
			ana.Command("start wiki")
			outcomes("Started wiki")
			proxy.Cut()
			ana.Command("stop wiki")
			ana.Sees("Stop wiki?").Press("Stop container")
			outcomes("Stopped wiki")
			proxy.Spring()
			ana.Command("show " + name)
			ana.Sees("Hostname " + name).Dismiss()
			want = append(want, "vzstart", "vzstop")
		}
		w.Told()
		wantTasks(t, w, 102, want...)
		w.Refreshed()
		if n := ana.In(daemontest.Ops).Count("does not answer"); n > 0 {
			t.Errorf("the cluster was called unreachable %d times", n)
		}
		w.Correct()
	})
}
