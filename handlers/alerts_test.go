package handlers_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/handlers"
)

// An alert is muted by whoever may act on its container, and by whoever may
// act on every one where it is about none.
func TestWhoMayMuteAnAlert(t *testing.T) {
	w := &world{}
	var a *alerts.Alerts
	w.tune = func(d *handlers.Deps) {
		a = alerts.New(alerts.Config{Store: w.db, Fleet: w.inv.Snapshot, Busy: w.jobs.Busy, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		d.Alerts = a
	}
	newWorldOf(t, w, nil)
	for id, about := range map[string]string{"a_web": w.id(101), "a_wiki": w.id(102), "a_node": ""} {
		c, ok := w.inv.Snapshot().ByID(inventory.ID(strings.TrimPrefix(about, "ct:")))
		i := alerts.Incident{ID: id, Key: "test:" + id, OpenedAt: time.Now(), Details: alerts.Details{Alert: view.Alert{ID: id, Title: "Alert " + id}}}
		if ok {
			i.Alert.Container = c.ID
		}
		if _, err := w.db.OpenIncident(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		who, id string
		may     bool
	}{
		{"ana", "a_web", true},
		{"ana", "a_node", true},
		{"ben", "a_web", true},
		{"ben", "a_wiki", false},
		{"ben", "a_node", false},
		{"vic", "a_web", false},
		{"vic", "a_node", false},
	} {
		got := w.press(c.who, "alert:"+c.id+":mute")
		if may := strings.Contains(text(got.Now), "Muted by"); may != c.may {
			t.Errorf("%s mutes %s: %v, want %v:\n%s", c.who, c.id, may, c.may, text(got.Now))
		}
		if !c.may {
			says(t, got.Now, "Not allowed")
		}
		if _, _, err := a.Unmute(t.Context(), c.id); err != nil {
			t.Fatal(err)
		}
	}
	says(t, w.press("ana", "alert:a_gone:mute").Now, "This alert is over")
	ever := w.do("ana", chat.Invocation{Kind: chat.Pressed, Action: "alert:a_web:mute-ever", Source: chat.Ref{Kind: chat.PrivateRef}})
	says(t, ever.Now, "for ever")
	if !ever.InPlace {
		t.Error("the choice is not answered in its place")
	}
	says(t, w.typed("ana", "alerts").Now, "Alert a_web")
	says(t, w.typed("ben", "alerts").Now, "Not allowed") // it tells of every container
	entries, err := w.db.Audit(t.Context(), 50)
	if err != nil {
		t.Fatal(err)
	}
	muted := 0
	for _, e := range entries {
		if e.Action == "alert" && strings.HasPrefix(e.Outcome, "mute") {
			muted++
		}
	}
	if muted < 4 {
		t.Errorf("%d mutes in the audit: %+v", muted, entries)
	}
}
