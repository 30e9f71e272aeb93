package bot_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot"
	"github.com/pvechat/pvechat/bot/chat"
)

// press is something that ana did.
func press(id string) chat.Invocation {
	return chat.Invocation{ID: id, Kind: chat.Pressed, Person: chat.Person{Platform: chat.Slack, ID: "ana"}}
}

func says(a chat.Answer) string {
	m, _ := a.Now.(chat.Message)
	return m.Summary
}

func TestThirtyTwoAreAnsweredAtATimeAndAThousandWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{gate: make(chan struct{})}
		d := bot.NewDispatcher(h, bot.NewMetrics())
		var (
			wg       sync.WaitGroup
			mu       sync.Mutex
			answered = map[string]int{}
		)
		began := time.Now()
		for i := range 32 + 1000 {
			wg.Go(func() {
				a := d.Handle(t.Context(), press(fmt.Sprint(i)))
				mu.Lock()
				defer mu.Unlock()
				answered[says(a)[:6]]++
			})
		}
		synctest.Wait()
		// One more is told at once, and a form keeps what was typed.
		if s := says(d.Handle(t.Context(), press("more"))); !strings.Contains(s, "busy") {
			t.Errorf("the next hears %q", s)
		}
		form := press("form")
		form.Kind = chat.Submitted
		if a := d.Handle(t.Context(), form); a.Now == nil || !strings.Contains(a.Errors[""], "busy") {
			t.Errorf("a form hears %+v", a)
		}
		for _, kind := range []chat.Kind{chat.Opened, chat.Closed} {
			inv := press(kind.String())
			inv.Kind = kind
			if a := d.Handle(t.Context(), inv); a.Now != nil {
				t.Errorf("%s hears %+v", kind, a)
			}
		}
		if c := d.Complete(t.Context(), press("suggest")); len(c) != 1 {
			t.Error("no suggestions while it is busy")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("they heard it after %s", took)
		}
		close(h.gate)
		wg.Wait()
		if answered["answer"] != 1032 {
			t.Errorf("answered: %v", answered)
		}
		// Who was told to come again is not taken for a repetition.
		if s := says(d.Handle(t.Context(), press("more"))); s != "answer to more" {
			t.Errorf("the next time it hears %q", s)
		}
	})
}

func TestNobodyWaitsLongerThanThePlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{gate: make(chan struct{})}
		d := bot.NewDispatcher(h, bot.NewMetrics())
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() { d.Handle(t.Context(), press(fmt.Sprint(i))) })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if s := says(d.Handle(ctx, press("late"))); !strings.Contains(s, "busy") || time.Since(began) != 2500*time.Millisecond {
			t.Errorf("after %s it hears %q", time.Since(began), s)
		}
		// A form does not wait in line: its acknowledgement is its answer.
		form := press("form")
		form.Kind = chat.Submitted
		wg.Go(func() { d.Handle(t.Context(), form) })
		synctest.Wait()
		close(h.gate)
		wg.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.handled) != 33 || h.handled["late"] != 0 || h.handled["form"] != 1 {
			t.Errorf("handled: %d, %v", len(h.handled), h.handled["form"])
		}
	})
}

func TestASecondDeliveryIsAnsweredWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{}
		d := bot.NewDispatcher(h, bot.NewMetrics())
		var wg sync.WaitGroup
		for range 50 { // at once, or later
			wg.Go(func() { d.Handle(t.Context(), press("1")) })
		}
		wg.Wait()
		for i := range 20_000 { // many others meanwhile
			d.Handle(t.Context(), press(fmt.Sprint("x", i)))
		}
		time.Sleep(30 * time.Second)
		if a := d.Handle(t.Context(), press("1")); a.Now != nil {
			t.Errorf("it is answered with %+v", a)
		}
		other := press("1")
		other.Person.ID = "ben"
		for _, inv := range []chat.Invocation{other, press("2"), press(""), press("")} {
			if a := d.Handle(t.Context(), inv); a.Now == nil {
				t.Errorf("%s of %s is taken for a repetition", inv.ID, inv.Person.ID)
			}
		}
		if n := h.handled["1"]; n != 2 { // ana's and ben's
			t.Errorf("handled %d times", n)
		}
	})
}

func TestALateAnswerDoesNotReplaceWhatWasOpenedSince(t *testing.T) {
	d := func(h *handler) *bot.Dispatcher { return bot.NewDispatcher(h, bot.NewMetrics()) }
	tab := func(id, surface string) chat.Invocation {
		inv := press(id)
		inv.Source = chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: surface}
		return inv
	}
	trouble := errors.New("trouble")
	h := &handler{answer: chat.Answer{
		Now: chat.Panel{}, InPlace: true,
		Then: func(context.Context) (chat.Surface, error) { return chat.Panel{Title: "late"}, trouble },
	}}
	dispatcher := d(h)
	first := dispatcher.Handle(t.Context(), tab("1", "v1"))
	elsewhere := dispatcher.Handle(t.Context(), tab("2", "v2"))
	second := dispatcher.Handle(t.Context(), tab("3", "v1"))
	if s, err := first.Then(t.Context()); s != nil || !errors.Is(err, trouble) {
		t.Errorf("the first tab shows %v, %v", s, err)
	}
	for _, a := range []chat.Answer{elsewhere, second} {
		if s, _ := a.Then(t.Context()); s == nil {
			t.Error("an answer in its turn is lost")
		}
	}

	// The id of what a command opens is known when it is shown.
	h.answer.InPlace = false
	opened, untouched := dispatcher.Handle(t.Context(), press("4")), dispatcher.Handle(t.Context(), press("5"))
	opened.Shown(chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "v4"})
	untouched.Shown(chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: "v5"})
	h.answer.InPlace = true
	dispatcher.Handle(t.Context(), tab("6", "v4"))
	if s, _ := opened.Then(t.Context()); s != nil {
		t.Error("what a command shows late replaces the tab that was opened since")
	}
	if s, _ := untouched.Then(t.Context()); s == nil {
		t.Error("what a command finds out is lost")
	}
}
