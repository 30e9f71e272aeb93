package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// discordAct is what a person does in Discord; each route needs some of it.
type discordAct struct {
	Person   string
	Channel  string
	Command  string
	Options  map[string]string
	Option   string
	Typed    string
	Message  string
	CustomID string `json:"custom_id"`
	Values   []string
}

// discordForm is a form that a person sends.
type discordForm struct {
	Person string
	Values map[string]string
}

// discordRoutes are what people do in Discord.
func (w *world) discordRoutes(mux *http.ServeMux) {
	for name, do := range map[string]func(context.Context, string, discordAct) (answer, error){
		"command": func(ctx context.Context, user string, a discordAct) (answer, error) {
			return discordAnswer(w.discord.Command(ctx, user, a.Channel, a.Command, a.Options))
		},
		"autocomplete": w.autocomplete,
		"click": func(ctx context.Context, user string, a discordAct) (answer, error) {
			return discordAnswer(w.discord.Click(ctx, user, a.at(), a.CustomID))
		},
		"choose": func(ctx context.Context, user string, a discordAct) (answer, error) {
			return discordAnswer(w.discord.Choose(ctx, user, a.at(), a.CustomID, a.Values...))
		},
		"cancel": func(_ context.Context, user string, _ discordAct) (answer, error) {
			w.discord.DismissModal(user)
			return answer{}, nil
		},
		"dismiss": func(_ context.Context, user string, a discordAct) (answer, error) {
			return answer{}, w.discord.Dismiss(user, a.at())
		},
	} {
		mux.HandleFunc("POST /api/discord/"+name, post(func(ctx context.Context, a discordAct) (answer, error) {
			p, err := somebody(a.Person)
			if err != nil {
				return answer{}, err
			}
			return do(ctx, p.discord, a)
		}))
	}
	mux.HandleFunc("GET /api/discord/file", w.file)
	mux.HandleFunc("POST /api/discord/submit", post(func(ctx context.Context, f discordForm) (answer, error) {
		p, err := somebody(f.Person)
		if err != nil {
			return answer{}, err
		}
		open := w.discord.Modal(p.discord)
		if open == nil {
			return answer{}, errors.New(p.Name + " has no form open")
		}
		return discordAnswer(w.discord.Submit(ctx, p.discord, open.CustomID, f.Values))
	}))
}

// file is a picture of a message that a person sees.
func (w *world) file(out http.ResponseWriter, r *http.Request) {
	p, err := somebody(r.FormValue("person"))
	if err != nil {
		refuse(out, http.StatusNotFound, err.Error())
		return
	}
	content := w.discord.File(p.discord, discordtest.At{Channel: r.FormValue("channel"), Message: r.FormValue("message")}, r.FormValue("name"))
	if http.DetectContentType(content) != "image/png" {
		refuse(out, http.StatusNotFound, "there is no such picture for "+p.Name)
		return
	}
	out.Header().Set("Content-Type", "image/png")
	_, _ = out.Write(content) // who has gone needs no picture
}

func (a discordAct) at() discordtest.At {
	return discordtest.At{Channel: a.Channel, Message: a.Message}
}

// discordAnswer is what Discord's client makes of an outcome.
func discordAnswer(out discordtest.Outcome, err error) (answer, error) {
	return answer{Notice: out.Error}, err
}

func (w *world) autocomplete(ctx context.Context, user string, a discordAct) (answer, error) {
	found, err := w.discord.Autocomplete(ctx, user, a.Channel, a.Command, a.Option, a.Typed)
	got := answer{Choices: []choice{}}
	for _, c := range found {
		got.Choices = append(got.Choices, choice(c))
	}
	return got, err
}
