package storage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/storage"
)

func TestAnEventComesBackAsItWasAppended(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.AppendEvents(t.Context()))
		must(t, db.AppendEvents(t.Context(),
			inventory.Event{
				Seq: 77, Container: "c", At: noon, Type: inventory.EventError, Text: "failed", Actor: "Ana",
				Meta: map[string]string{"node": "pve1", "text": `"<!channel>"`}, UPID: "UPID:pve1:1",
			},
			inventory.Event{Container: "c", At: noon, Type: inventory.EventLog, Text: hostile, Actor: hostile, Meta: map[string]string{hostile: hostile}, UPID: hostile},
			inventory.Event{Container: "other", At: noon, Type: inventory.EventLog},
		))
		got, err := db.Events(t.Context(), inventory.EventPage{Container: "c", Limit: 10})
		must(t, err)
		want := []inventory.Event{
			// JSON writes NUL as an escape, so that it survives there.
			{Container: "c", At: noon.UTC(), Type: inventory.EventLog, Text: tamed, Actor: tamed, UPID: tamed, Meta: got[0].Meta},
			{
				Container: "c", At: noon.UTC(), Type: inventory.EventError, Text: "failed", Actor: "Ana",
				Meta: map[string]string{"node": "pve1", "text": `"<!channel>"`}, UPID: "UPID:pve1:1",
			},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(inventory.Event{}, "Seq")); diff != "" {
			t.Error(diff)
		}
		if len(got[0].Meta) != 1 {
			t.Errorf("metadata %q", got[0].Meta)
		}
		if got[0].Seq <= got[1].Seq {
			t.Errorf("seq %d is not after %d", got[0].Seq, got[1].Seq)
		}
		same, found, err := db.Event(t.Context(), "c", got[1].Seq)
		must(t, err)
		if diff := cmp.Diff(got[1], same); !found || diff != "" {
			t.Errorf("found %v: %s", found, diff)
		}
		if _, found, err := db.Event(t.Context(), "other", got[1].Seq); err != nil || found {
			t.Errorf("as an event of another container: %v, %v", found, err)
		}
	})
}

func TestEventsPageInTheOrderInWhichTheyWereAppended(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		const n = 10_003
		events := make([]inventory.Event, n)
		for i := range events {
			events[i] = inventory.Event{
				Container: "c", At: noon, Text: fmt.Sprint(i), // all in one microsecond
				Type: inventory.EventTypes[i%len(inventory.EventTypes)],
			}
		}
		must(t, db.AppendEvents(t.Context(), events...))
		for _, typ := range append([]inventory.EventType{""}, inventory.EventTypes[:]...) {
			seen, last := 0, n
			page := inventory.EventPage{Container: "c", Type: typ, Limit: 900}
			for {
				got, err := db.Events(t.Context(), page)
				must(t, err)
				if len(got) == 0 {
					break
				}
				for _, e := range got {
					var i int
					if _, err := fmt.Sscan(e.Text, &i); err != nil || i >= last || typ != "" && e.Type != typ {
						t.Fatalf("%s event %q comes after %d", e.Type, e.Text, last)
					}
					last = i
					seen++
				}
				page.Before = got[len(got)-1].Seq
			}
			counts, err := db.EventCounts(t.Context(), "c")
			must(t, err)
			want := n
			if typ != "" {
				want = counts[typ]
			}
			if seen != want || want == 0 {
				t.Errorf("type %q: saw %d events, want %d", typ, seen, want)
			}
		}
		if got, err := db.Events(t.Context(), inventory.EventPage{Container: "c"}); err != nil || len(got) != 0 {
			t.Errorf("a page of no length: %d events, %v", len(got), err)
		}
	})
}

func TestAllEventTypesAreCounted(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.AppendEvents(t.Context(),
			inventory.Event{Container: "c", At: noon, Type: inventory.EventLog},
			inventory.Event{Container: "c", At: noon, Type: inventory.EventLog},
			inventory.Event{Container: "c", At: noon, Type: inventory.EventError},
			inventory.Event{Container: "other", At: noon, Type: inventory.EventStep},
		))
		for id, want := range map[inventory.ID]map[inventory.EventType]int{
			"c":    {inventory.EventLog: 2, inventory.EventStep: 0, inventory.EventComplete: 0, inventory.EventError: 1},
			"none": {inventory.EventLog: 0, inventory.EventStep: 0, inventory.EventComplete: 0, inventory.EventError: 0},
		} {
			got, err := db.EventCounts(t.Context(), id)
			must(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	})
}

func TestTasksThatHaveAnEvent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.AppendEvents(t.Context(),
			inventory.Event{Container: "c", At: noon, Type: inventory.EventStep, UPID: "UPID:1"},
			inventory.Event{Container: "c", At: noon, Type: inventory.EventComplete, UPID: "UPID:1"},
			inventory.Event{Container: "other", At: noon, Type: inventory.EventStep, UPID: "UPID:2"},
		))
		got, err := db.HasTaskEvents(t.Context(), "c", []string{"UPID:1", "UPID:2", hostile})
		must(t, err)
		if diff := cmp.Diff(map[string]bool{"UPID:1": true}, got); diff != "" {
			t.Error(diff)
		}
		if got, err := db.HasTaskEvents(t.Context(), "c", nil); err != nil || got == nil || len(got) != 0 {
			t.Errorf("of no tasks: %v, %v", got, err)
		}
	})
}

func TestBrokenMetadataDoesNotHideTheEvent(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		for _, meta := range []string{"", "{", "[]", "null", `"x"`, "{}", `{"a":1}`} {
			must(t, db.AppendEvents(t.Context(), inventory.Event{Container: "c", At: noon, Text: "kept", Type: inventory.EventLog}))
			if _, err := db.Bun().NewRaw("UPDATE events SET meta = ? WHERE seq = (SELECT max(seq) FROM events)", meta).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := db.Events(t.Context(), inventory.EventPage{Container: "c", Limit: 1})
			if err != nil || len(got) != 1 || got[0].Text != "kept" || got[0].Meta != nil {
				t.Errorf("with metadata %q: %+v, %v", meta, got, err)
			}
		}
	})
}

// What was done in Proxmox is read later than it happened.
func TestEventsAreInTheOrderOfTheirTimes(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		for i, at := range []time.Duration{0, -time.Hour, -time.Hour, -2 * time.Hour, time.Minute} {
			must(t, db.AppendEvents(t.Context(), inventory.Event{Container: "c", At: noon.Add(at), Type: inventory.EventStep, Text: fmt.Sprint(i)}))
		}
		var order string
		page := inventory.EventPage{Container: "c", Limit: 2}
		for {
			list, err := db.Events(t.Context(), page)
			must(t, err)
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				order += e.Text
				page.Before = e.Seq
			}
		}
		if order != "40213" {
			t.Errorf("order %s, want 40213", order)
		}
	})
}

func TestATimeIsCutToMicrosecondsInUTC(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		n := 0
		for at, want := range map[time.Time]string{
			noon:                            "2026-11-23T12:04:05.123456Z",
			noon.Add(999 * time.Nanosecond): "2026-11-23T12:04:05.123456Z",
			noon.Truncate(time.Second):      "2026-11-23T12:04:05Z",
			time.Unix(0, 0):                 "1970-01-01T00:00:00Z",
			time.Date(1969, 7, 20, 20, 17, 40, 1000, time.UTC):       "1969-07-20T20:17:40.000001Z",
			time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC): "9999-12-31T23:59:59.999999Z",
		} {
			n++
			id := inventory.ID(fmt.Sprint("c", n))
			must(t, db.AppendEvents(t.Context(), inventory.Event{Container: id, At: at, Type: inventory.EventLog}))
			got, err := db.Events(t.Context(), inventory.EventPage{Container: id, Limit: 1})
			must(t, err)
			if s := got[0].At.Format(time.RFC3339Nano); s != want {
				t.Errorf("%s came back as %s, want %s", at, s, want)
			}
		}
		if err := db.AppendEvents(t.Context(), inventory.Event{Container: "c"}); err == nil {
			t.Error("an event without a time passes")
		}
	})
}
