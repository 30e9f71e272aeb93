package handlers

import (
	"context"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/view"
)

// Doctor examines what pvechat stands on; *doctor.Doctor does.
type Doctor interface {
	Known() doctor.Report // from memory
	Run(ctx context.Context) doctor.Report
}

func (h *Handlers) doctorRoutes() []Route {
	return []Route{{
		Name: "doctor", Needs: access.Admin, Everywhere: true, Handle: h.doctor,
		Command: &chat.Command{Name: "doctor", Summary: "what is wrong with the clusters, the chat, the database, and what to do"},
	}}
}

// doctor shows what is known at once, and then what it found. Its own message
// is replaced; it never takes the place of a board.
func (h *Handlers) doctor(_ context.Context, r *Request) chat.Answer {
	show := func(rep doctor.Report, checking bool) chat.Surface {
		return view.Doctor{Report: rep, Checking: checking, Version: h.Version, Now: h.Now()}.Message()
	}
	return chat.Answer{
		Now: show(h.Doctor.Known(), true), InPlace: r.State == view.DoctorState,
		Then: func(ctx context.Context) (chat.Surface, error) {
			rep := h.Doctor.Run(ctx)
			for _, c := range rep.Checks {
				if c.State != doctor.Good {
					h.Log.WarnContext(ctx, "the doctor found something", "request", r.ID, "check", c.Name, "state", c.State, "what", c.Title, "detail", c.Detail, "fix", c.Fix)
				}
			}
			return show(rep, false), nil
		},
	}
}
