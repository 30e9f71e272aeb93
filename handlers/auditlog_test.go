package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/handlers"
)

func TestTheAuditSaysWhoDidWhatAndHowItEnded(t *testing.T) {
	w := newWorld(t)
	w.press("ana", w.id(102)+":start")
	w.press("ana", w.id(103)+":start")
	w.settled()
	w.typed("vic", "start", "name", "wiki")

	all := w.typed("ana", "audit")
	for _, want := range []string{"start wiki (CT 102 on home/pve1) · accepted", "start wiki (CT 102 on home/pve1) · succeeded", "start broken (CT 103 on home/pve1) · failed · ", "Vic (slack:vic)", "denied"} {
		says(t, all.Now, want)
	}
	wiki := w.typed("ana", "audit", "of", "wiki")
	says(t, wiki.Now, "Audit of wiki")
	if strings.Contains(text(wiki.Now), "broken") {
		t.Errorf("it is not about wiki alone:\n%s", text(wiki.Now))
	}
	vic := w.typed("ana", "audit", "of", "Vic")
	says(t, vic.Now, "denied")
	if strings.Contains(text(vic.Now), "slack:ana") {
		t.Errorf("it is not about Vic alone:\n%s", text(vic.Now))
	}
	says(t, w.typed("ana", "audit", "of", "1h").Now, "accepted")
	says(t, w.typed("ana", "audit", "of", "wiki", "since", "2099-01-01").Now, "Nothing was written down")
	says(t, w.typed("ana", "audit", "since", "soon").Now, "is no time")
	says(t, w.typed("ben", "audit").Now, "needs the admin role")
}

func TestTheAuditPages(t *testing.T) {
	w := newWorld(t)
	for range 25 {
		if err := w.db.Record(t.Context(), handlers.Entry{At: time.Now(), Platform: chat.Slack, PersonID: "ben", Person: "Ben <!channel>", Action: "stop", Outcome: "denied"}); err != nil {
			t.Fatal(err)
		}
	}
	first := w.typed("ana", "audit", "of", "ben")
	says(t, first.Now, "25 · ")
	second := w.press("ana", control(t, first.Now, "Older"))
	says(t, second.Now, "15 · ")
	if !second.InPlace {
		t.Error("the page is not turned in place")
	}
	third := w.press("ana", control(t, second.Now, "Older"))
	says(t, third.Now, "1 · ")
	if strings.Contains(text(third.Now), "[Older") {
		t.Error("there are no older ones")
	}
	says(t, w.press("ana", control(t, third.Now, "Newest")).Now, "25 · ")
}
