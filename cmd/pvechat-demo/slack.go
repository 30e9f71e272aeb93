package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// slackAct is what a person does in Slack; each route needs some of it.
type slackAct struct {
	Person  string
	Channel string
	Text    string
	At      struct {
		Channel, TS, View string
		Home              bool
	}
	BlockID  string `json:"block_id"`
	ActionID string `json:"action_id"`
	Value    string
	Decline  bool // the question of the control itself
	View     string
	Values   map[string]string
}

// slackRoutes are what people do in Slack.
func (w *world) slackRoutes(mux *http.ServeMux) {
	for name, do := range map[string]func(context.Context, string, slackAct) (slacktest.Outcome, error){
		"command": func(ctx context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return w.slack.Command(ctx, user, a.Channel, a.Text)
		},
		"click": func(ctx context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return w.slack.Click(ctx, user, a.at(), a.ActionID, a.options()...)
		},
		"choose": func(ctx context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return w.slack.Choose(ctx, user, a.at(), a.ActionID, a.Value, a.options()...)
		},
		"type": func(_ context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return slacktest.Outcome{}, w.slack.Type(user, a.View, a.Values)
		},
		"submit": func(ctx context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return w.slack.Submit(ctx, user, a.View, a.Values)
		},
		"close": func(ctx context.Context, user string, a slackAct) (slacktest.Outcome, error) {
			return w.slack.CloseView(ctx, user, a.View)
		},
		"home": func(ctx context.Context, user string, _ slackAct) (slacktest.Outcome, error) {
			return w.slack.OpenHome(ctx, user)
		},
	} {
		mux.HandleFunc("POST /api/slack/"+name, post(func(ctx context.Context, a slackAct) (answer, error) {
			p, err := somebody(a.Person)
			if err != nil {
				return answer{}, err
			}
			out, err := do(ctx, p.slack, a)
			return slackAnswer(name, out, err)
		}))
	}
}

func (a slackAct) at() slacktest.At {
	return slacktest.At{Channel: a.At.Channel, TS: a.At.TS, View: a.At.View, Home: a.At.Home, Block: a.BlockID}
}

func (a slackAct) options() []slacktest.ClickOption {
	if a.Decline {
		return []slacktest.ClickOption{slacktest.WithCancel}
	}
	return nil
}

// slackAnswer is what Slack's client makes of an outcome.
func slackAnswer(act string, out slacktest.Outcome, err error) (answer, error) {
	var incomplete *slacktest.FormError
	switch {
	case errors.As(err, &incomplete):
		return answer{Errors: incomplete.Fields}, nil
	case !errors.Is(err, slacktest.ErrTimeout) && !errors.Is(err, slacktest.ErrNotConnected) && !errors.Is(err, slacktest.ErrTrouble):
		return answer{Errors: out.Errors}, err
	case act == "command":
		return answer{Notice: fmt.Sprintf("/pve failed with the error %q", err)}, nil
	}
	return answer{Notice: "We had some trouble connecting. Try again?"}, nil
}
