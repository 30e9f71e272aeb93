package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

func TestTheLogSaysOnceWhatGoesWrongAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := NewLog(LogConfig{Level: "info", Format: "text"}, &b)
		lines := func() []string { defer b.Reset(); return strings.Split(strings.TrimSpace(b.String()), "\n") }

		asked := chat.WithRequest(t.Context(), slog.String("request", "q7k2mf"))
		refused := errors.New("connection refused")
		for i := range 20 { // nearly ten minutes
			log.WarnContext(t.Context(), "not done", "cluster", "home", "attempt", i, "duration", time.Duration(i), "err", refused)
			time.Sleep(29 * time.Second)
		}
		log.WarnContext(t.Context(), "not done", "cluster", "home", "err", errors.New("timeout"))
		log.With("cluster", "lab").WarnContext(t.Context(), "not done", "err", refused)
		log.WarnContext(asked, "not done", "cluster", "home", "err", refused)
		log.WarnContext(asked, "not done", "cluster", "home", "err", refused)
		for range 2 {
			log.InfoContext(t.Context(), "done")
		}
		got := lines()
		if len(got) != 7 || !strings.Contains(got[0], "attempt=0") || !strings.Contains(got[1], "timeout") || !strings.Contains(got[2], "cluster=lab") ||
			!strings.Contains(got[3], "request=q7k2mf") || !strings.Contains(got[4], "request=q7k2mf") {
			t.Errorf("the log is\n%s", strings.Join(got, "\n"))
		}

		time.Sleep(time.Minute)
		log.WarnContext(t.Context(), "not done", "cluster", "home", "err", refused)
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "repeated=19") {
			t.Errorf("later it says\n%s", strings.Join(got, "\n"))
		}
	})
}

func TestTheLogLeavesOutWhatIsEmpty(t *testing.T) {
	for format, want := range map[string]string{
		"text": `msg=answered request=q7k2mf times=0 platform=slack`,
		"json": `"msg":"answered","request":"q7k2mf","times":0,"platform":"slack"}`,
	} {
		var b bytes.Buffer
		log := NewLog(LogConfig{Level: "info", Format: format}, &b).With("detail", "", "request", "q7k2mf")
		log.Info("answered", "job", "", "times", 0, "platform", chat.Slack, "person", chat.PlatformName(""))
		if got := strings.TrimSpace(b.String()); !strings.HasSuffix(got, want) {
			t.Errorf("%s: the line is %s", format, got)
		}
	}
}
