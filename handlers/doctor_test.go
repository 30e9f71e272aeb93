package handlers_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/handlers"
)

// examiner counts how often it is asked over the network.
type examiner struct{ ran int }

func (*examiner) Known() doctor.Report {
	return doctor.Report{Checks: []doctor.Check{{Name: "slack", Title: "Slack", State: doctor.Good, Detail: "2 of 2 connections"}}}
}

func (e *examiner) Run(context.Context) doctor.Report {
	e.ran++
	return doctor.Report{Checks: []doctor.Check{{Name: "quorum/home", Title: "Proxmox has no quorum", State: doctor.Bad, Fix: "Bring its other nodes back."}}}
}

// What memory knows is shown before anybody is asked; only the doctor's own
// message gives way to a new one.
func TestTheDoctorAnswersFromMemoryAndThenFillsIn(t *testing.T) {
	for state, inPlace := range map[string]bool{"": false, "b.stopped.worst.1": false, view.DoctorState: true} {
		e := &examiner{}
		h := handlers.New(handlers.Deps{Doctor: e, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		for _, rt := range h.Routes() {
			if rt.Name != "doctor" {
				continue
			}
			a := rt.Handle(t.Context(), &handlers.Request{Invocation: chat.Invocation{Kind: chat.Pressed, Action: "doctor:run", State: state}})
			if m, ok := a.Now.(chat.Message); !ok || m.Public || !strings.Contains(m.Summary, "checking…") || e.ran != 0 || a.InPlace != inPlace {
				t.Errorf("from %q: asked %d times, in place %v, %+v", state, e.ran, a.InPlace, a.Now)
			}
			s, err := a.Then(t.Context())
			if m, ok := s.(chat.Message); err != nil || !ok || m.Public || !strings.Contains(m.Summary, "has no quorum") || e.ran != 1 {
				t.Errorf("then, asked %d times: %+v, %v", e.ran, s, err)
			}
		}
		if e.ran != 1 {
			t.Error("there is no route")
		}
	}
}
