package storage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/seal"
)

var entry = handlers.Entry{
	At: noon.UTC(), Platform: chat.Slack, PersonID: "U1", Person: "Ana", Action: "delete", Container: "7f3k2",
	Target: "jellyfin (CT 108 on home/pve3)", Outcome: "ok", Detail: "purged", Request: "r1", Job: "j1",
}

func TestTheAuditKeepsEveryEntry(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Record(t.Context(), entry))
		must(t, db.Record(t.Context(), handlers.Entry{
			Seq: 1, At: noon, Platform: hostile, PersonID: hostile, Person: hostile, Action: hostile, Container: hostile,
			Target: hostile, Outcome: hostile, Detail: hostile, Request: hostile, Job: hostile,
		}))
		got, err := db.Audit(t.Context(), 10)
		must(t, err)
		want := []handlers.Entry{{
			At: noon.UTC(), Platform: tamed, PersonID: tamed, Person: tamed, Action: tamed, Container: tamed,
			Target: tamed, Outcome: tamed, Detail: tamed, Request: tamed, Job: tamed,
		}, entry}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(handlers.Entry{}, "Seq")); diff != "" {
			t.Error(diff)
		}
		if got[0].Seq <= got[1].Seq {
			t.Errorf("seq %d is not after %d", got[0].Seq, got[1].Seq)
		}
		if last, err := db.Audit(t.Context(), 1); err != nil || len(last) != 1 || last[0] != got[0] {
			t.Errorf("the last one: %+v, %v", last, err)
		}
	})
}

var question = handlers.Confirmation{Token: "t1", Person: "slack:U1", Container: "7f3k2", Action: "delete"}

func TestAnAnswerCountsOnceAndOnlyForItsQuestion(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		must(t, db.Ask(ctx, question, hour))
		for name, spoil := range map[string]func(*handlers.Confirmation){
			"by somebody else":        func(c *handlers.Confirmation) { c.Person = "slack:U2" },
			"for another container":   func(c *handlers.Confirmation) { c.Container = "8aaaa" },
			"for another action":      func(c *handlers.Confirmation) { c.Action = "stop" },
			"with another token":      func(c *handlers.Confirmation) { c.Token = "t2" },
			"with a hostile token":    func(c *handlers.Confirmation) { c.Token = hostile },
			"with no token":           func(c *handlers.Confirmation) { c.Token = "" },
			"with a token and a NUL":  func(c *handlers.Confirmation) { c.Token += "\x00" },
			"with a pattern of a SQL": func(c *handlers.Confirmation) { c.Token = "t%" },
		} {
			c := question
			spoil(&c)
			if ok, err := db.Redeem(ctx, c); err != nil || ok {
				t.Errorf("%s: %v, %v", name, ok, err)
			}
		}
		for _, want := range []bool{true, false} {
			if ok, err := db.Redeem(ctx, question); err != nil || ok != want {
				t.Errorf("redeemed %v, want %v, %v", ok, want, err)
			}
		}
	})
}

func TestAQuestionIsReadByWhomItWasPutTo(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		several := handlers.Confirmation{Token: "t9", Person: "slack:U1", Action: "bulk:stop", Subject: "a1,b2"}
		must(t, db.Ask(t.Context(), several, hour))
		got, found, err := db.Question(t.Context(), "t9", "slack:U1")
		if got != several || !found || err != nil {
			t.Errorf("%+v, %v, %v", got, found, err)
		}
		if _, found, _ := db.Question(t.Context(), "t9", "slack:U2"); found {
			t.Error("somebody else reads it")
		}
		must(t, db.Ask(t.Context(), question, ended))
		if _, found, _ := db.Question(t.Context(), question.Token, question.Person); found {
			t.Error("it is read after its time")
		}
	})
}

func TestALateAnswerDoesNotCount(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Ask(t.Context(), question, ended))
		if ok, err := db.Redeem(t.Context(), question); err != nil || ok {
			t.Errorf("redeemed: %v, %v", ok, err)
		}
		next := question
		next.Token = "t2"
		must(t, db.Ask(t.Context(), next, hour))
		if n := query[int](t, db, "SELECT count(*) FROM confirmations"); n != 1 {
			t.Errorf("%d questions are kept, the late one should have gone", n)
		}
	})
}

func TestOfManyAnswersOneCounts(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		must(t, db.Ask(t.Context(), question, hour))
		if n := countTrue(t, 32, func() (bool, error) { return db.Redeem(t.Context(), question) }); n != 1 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestADeliveryIsNewOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		if n := countTrue(t, 32, func() (bool, error) { return db.First(ctx, "slack:U1:1") }); n != 1 {
			t.Errorf("%d were the first", n)
		}
		for _, want := range []bool{true, false} {
			if ok, err := db.First(ctx, hostile); err != nil || ok != want {
				t.Errorf("a hostile key: %v, want %v, %v", ok, want, err)
			}
		}

		// An hour later it is forgotten, also where nobody asks again.
		if _, err := db.Bun().NewRaw("UPDATE invocations SET expires_at = ?", db.In(0)).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			if ok, err := db.First(ctx, "slack:U1:1"); err != nil || ok != want {
				t.Errorf("after an hour: %v, want %v, %v", ok, want, err)
			}
		}
		must(t, db.PurgeInvocations(ctx))
		if n := query[int](t, db, "SELECT count(*) FROM invocations"); n != 1 {
			t.Errorf("%d deliveries are remembered", n)
		}
	})
}

func TestADeliveryThatMadeAJobIsNotNew(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		const delivery = "slack:U1:2"
		ask := start108("c")
		ask.ID = jobs.IDOf(delivery)
		_, err := db.CreateJob(t.Context(), ask, hour, "")
		must(t, err)
		if ok, err := db.First(t.Context(), delivery); err != nil || ok {
			t.Errorf("it is new: %v, %v", ok, err)
		}
		again := func(when string) {
			t.Helper()
			if _, err := db.CreateJob(t.Context(), ask, hour, ""); !errors.Is(err, jobs.ErrRepeated) {
				t.Errorf("%s: %v", when, err)
			}
			if _, err := db.CreateJob(t.Context(), ask, hour, "another"); !errors.Is(err, jobs.ErrRepeated) {
				t.Errorf("%s, instead of another: %v", when, err)
			}
		}
		again("while its job is open")
		must(t, db.FinishJob(t.Context(), ask.ID, 1, jobs.Succeeded, "", 0))
		again("after its job")
		other := create(t, db, "c", hour)
		again("while another job is open")
		if open, err := db.OpenJobs(t.Context()); err != nil || len(open) != 1 || open[0].ID != other.ID {
			t.Errorf("open: %+v, %v", open, err)
		}
	})
}

func TestADeliveryIsRememberedForAnHour(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		if _, err := db.First(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		var soon, late int
		must(t, db.Bun().NewRaw("SELECT count(*) FROM invocations WHERE expires_at > ?", db.In(hour-hour/60)).Scan(t.Context(), &soon))
		must(t, db.Bun().NewRaw("SELECT count(*) FROM invocations WHERE expires_at > ?", db.In(hour+hour/60)).Scan(t.Context(), &late))
		if soon != 1 || late != 0 {
			t.Errorf("remembered for 59 minutes: %d, for 61: %d", soon, late)
		}
	})
}

func countTrue(t *testing.T, calls int, f func() (bool, error)) int64 {
	t.Helper()
	var n atomic.Int64
	var wg sync.WaitGroup
	for range calls {
		wg.Go(func() {
			ok, err := f()
			if err != nil {
				t.Error(err)
			}
			if ok {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

func TestSealedValues(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		at := seal.Cell{Table: "credentials", Row: hostile, Column: "password"}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		if _, found, err := db.Sealed(ctx, at); err != nil || found {
			t.Errorf("before: %v, %v", found, err)
		}
		for i, value := range [][]byte{all, {}, nil, {0}} {
			must(t, db.PutSealed(ctx, at, value))
			got, found, err := db.Sealed(ctx, at)
			if err != nil || !found || string(got) != string(value) {
				t.Errorf("value %d: %q, %v, %v", i, got, found, err)
			}
		}
		if added, err := db.AddSealed(ctx, at, all); err != nil || added {
			t.Errorf("added to a cell that has a value: %v, %v", added, err)
		}
		other := at
		other.Column = "token"
		if _, found, err := db.Sealed(ctx, other); err != nil || found {
			t.Errorf("another column: %v, %v", found, err)
		}
		must(t, db.DropSealed(ctx, other))
		must(t, db.DropSealed(ctx, at))
		if added, err := db.AddSealed(ctx, at, all); err != nil || !added {
			t.Errorf("added to an empty cell: %v, %v", added, err)
		}
	})
}

func TestTheCanaryLivesInTheDatabase(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		var keys [2]*seal.Keyset
		for i := range keys {
			path := fmt.Sprintf("%s/keyset%d.json", t.TempDir(), i)
			must(t, seal.Generate(path))
			k, err := seal.OpenFile(path)
			must(t, err)
			keys[i] = k
		}
		must(t, keys[0].Verify(t.Context(), db))
		must(t, keys[0].Verify(t.Context(), db))
		wantText(t, keys[1].Verify(t.Context(), db), "cannot decrypt")
	})
}

// calls are all methods that talk to the database.
func calls(db *storage.DB) map[string]func(context.Context) error {
	type c = context.Context
	at := seal.Cell{Table: "t", Row: "r", Column: "c"}
	return map[string]func(context.Context) error{
		"Containers":     func(ctx c) error { _, err := db.Containers(ctx, "home"); return err },
		"Save":           func(ctx c) error { return db.Save(ctx, []inventory.Record{jellyfin}) },
		"AppendEvents":   func(ctx c) error { return db.AppendEvents(ctx, inventory.Event{At: noon}) },
		"Events":         func(ctx c) error { _, err := db.Events(ctx, inventory.EventPage{Limit: 1}); return err },
		"Event":          func(ctx c) error { _, _, err := db.Event(ctx, "c", 1); return err },
		"EventCounts":    func(ctx c) error { _, err := db.EventCounts(ctx, "c"); return err },
		"HasTaskEvents":  func(ctx c) error { _, err := db.HasTaskEvents(ctx, "c", []string{"u"}); return err },
		"CreateJob":      func(ctx c) error { _, err := db.CreateJob(ctx, start108("c"), hour, "x"); return err },
		"ClaimJob":       func(ctx c) error { _, _, err := db.ClaimJob(ctx, "b", hour); return err },
		"RenewJob":       func(ctx c) error { _, err := db.RenewJob(ctx, "j", 1, hour); return err },
		"FinishJob":      func(ctx c) error { return db.FinishJob(ctx, "j", 1, "failed", "", 0) },
		"MarkNotified":   func(ctx c) error { return db.MarkNotified(ctx, "j") },
		"Job":            func(ctx c) error { _, _, err := db.Job(ctx, "j"); return err },
		"OpenJobs":       func(ctx c) error { _, err := db.OpenJobs(ctx); return err },
		"Boards":         func(ctx c) error { _, err := db.Boards(ctx); return err },
		"PutBoard":       func(ctx c) error { _, _, err := db.PutBoard(ctx, board); return err },
		"TouchBoard":     func(ctx c) error { _, err := db.TouchBoard(ctx, board); return err },
		"DropBoard":      func(ctx c) error { return db.DropBoard(ctx, "slack", "C1", "1") },
		"OpenIncident":   func(ctx c) error { _, err := db.OpenIncident(ctx, alerts.Incident{OpenedAt: noon}); return err },
		"CloseIncident":  func(ctx c) error { _, _, err := db.CloseIncident(ctx, "k", noon); return err },
		"OpenIncidents":  func(ctx c) error { _, err := db.OpenIncidents(ctx); return err },
		"Record":         func(ctx c) error { return db.Record(ctx, entry) },
		"Audit":          func(ctx c) error { _, err := db.Audit(ctx, 1); return err },
		"RecordOnce":     func(ctx c) error { return db.RecordOnce(ctx, entry) },
		"PruneAudit":     func(ctx c) error { _, err := db.PruneAudit(ctx, noon, noon); return err },
		"VerifyAudit":    func(ctx c) error { _, err := db.VerifyAudit(ctx, nil); return err },
		"Ask":            func(ctx c) error { return db.Ask(ctx, question, hour) },
		"Redeem":         func(ctx c) error { _, err := db.Redeem(ctx, question); return err },
		"First":          func(ctx c) error { _, err := db.First(ctx, "k"); return err },
		"PutSealed":      func(ctx c) error { return db.PutSealed(ctx, at, nil) },
		"AddSealed":      func(ctx c) error { _, err := db.AddSealed(ctx, at, nil); return err },
		"Sealed":         func(ctx c) error { _, _, err := db.Sealed(ctx, at); return err },
		"DropSealed":     func(ctx c) error { return db.DropSealed(ctx, at) },
		"Status":         func(ctx c) error { _, err := db.Status(ctx); return err },
		"Check":          func(ctx c) error { return db.Check(ctx, true) },
		"Migrate":        func(ctx c) error { _, err := db.Migrate(ctx); return err },
		"Repair":         func(ctx c) error { _, err := db.Repair(ctx); return err },
		"SaveProgress":   func(ctx c) error { _, err := db.SaveProgress(ctx, "j", 1, 101, "{}"); return err },
		"CancelJob":      func(ctx c) error { _, err := db.CancelJob(ctx, "j", "by Ana"); return err },
		"SaveDraft":      func(ctx c) error { return db.SaveDraft(ctx, "d", "slack:U1", "{}") },
		"Draft":          func(ctx c) error { _, _, err := db.Draft(ctx, "d", "slack:U1"); return err },
		"DropDraft":      func(ctx c) error { return db.DropDraft(ctx, "d", "slack:U1") },
		"PurgeDrafts":    func(ctx c) error { _, err := db.PurgeDrafts(ctx, hour); return err },
		"SaveIncident":   func(ctx c) error { return db.SaveIncident(ctx, alerts.Incident{ID: "1"}) },
		"ReopenIncident": func(ctx c) error { _, _, err := db.ReopenIncident(ctx, "k", noon); return err },
		"EndTold":        func(ctx c) error { return db.EndTold(ctx, "1", noon) },
		"UntoldEnds":     func(ctx c) error { _, err := db.UntoldEnds(ctx); return err },
		"Incident":       func(ctx c) error { _, _, err := db.Incident(ctx, "1"); return err },
		"SetMute":        func(ctx c) error { return db.SetMute(ctx, alerts.Mute{Key: "k", At: noon}) },
		"DropMute":       func(ctx c) error { return db.DropMute(ctx, "k") },
		"Mutes":          func(ctx c) error { _, err := db.Mutes(ctx); return err },
		"Ping":           db.Ping,
	}
}
