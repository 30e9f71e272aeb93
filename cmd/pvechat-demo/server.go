package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

//go:embed page
var page embed.FS

// pause is the least time between two states of a stream.
const pause = 100 * time.Millisecond

const maxBody = 1 << 20

// newServer serves the page, and what it asks for: what a person sees (stream),
// what a person does (slack, discord), and what the watcher does to the world.
func newServer(w *world) http.Handler {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // its name is above
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/hello", w.hello)
	mux.HandleFunc("GET /api/stream", w.stream)
	mux.HandleFunc("GET /api/raw", w.raw)
	mux.HandleFunc("GET /api/faults", func(out http.ResponseWriter, _ *http.Request) { reply(out, http.StatusOK, w.listFaults()) })
	mux.HandleFunc("POST /api/fault", post(w.setFault))
	mux.HandleFunc("POST /api/restart", post(func(ctx context.Context, _ struct{}) (answer, error) { return answer{}, w.Restart(ctx) }))
	if w.slack != nil {
		w.slackRoutes(mux)
	}
	if w.discord != nil {
		w.discordRoutes(mux)
	}
	return guarded(mux)
}

// guarded refuses what pages of other sites send here: by their Origin, or
// under a name of theirs that leads to this address.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		if !onLoopback(r.Host) || origin != "" && origin != "http://"+r.Host {
			refuse(w, http.StatusForbidden, "this page is for its own address only")
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// onLoopback reports whether a host, with or without a port, is this machine.
func onLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// answer is what comes back to a person at once.
type answer struct {
	Notice  string            `json:"notice,omitempty"` // what the client itself says
	Errors  map[string]string `json:"errors,omitempty"` // of a form that stays open
	Choices []choice          `json:"choices,omitempty"`
}

type choice struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// post takes a JSON object. An error of do is the caller's: it asked for what
// nobody could do there.
func post[T any](do func(context.Context, T) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			refuse(w, http.StatusUnsupportedMediaType, "send application/json")
			return
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
			refuse(w, http.StatusBadRequest, "the body is not what is expected here: "+err.Error())
			return
		}
		a, err := do(r.Context(), in)
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		reply(w, http.StatusOK, a)
	}
}

func refuse(w http.ResponseWriter, status int, sentence string) {
	reply(w, status, map[string]string{"error": sentence})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(body)) // who has gone needs no answer
}

// encode is JSON as it was sent: & < > stay what they are.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // all that is encoded here is plain data
	}
	return bytes.TrimSpace(b.Bytes())
}

func (w *world) hello(out http.ResponseWriter, _ *http.Request) {
	h := struct {
		Platforms []string `json:"platforms"`
		People    []person `json:"people"`
		Tries     []string `json:"tries"`
	}{People: people}
	if w.slack != nil {
		h.Platforms = append(h.Platforms, "slack")
	}
	if w.discord != nil {
		h.Platforms = append(h.Platforms, "discord")
	}
	for _, t := range tries {
		h.Tries = append(h.Tries, t.Command)
	}
	reply(out, http.StatusOK, h)
}

// stream sends a person's whole state, and again whenever it has changed.
func (w *world) stream(out http.ResponseWriter, r *http.Request) {
	p, err := somebody(r.FormValue("person"))
	if err != nil {
		refuse(out, http.StatusNotFound, err.Error())
		return
	}
	out.Header().Set("Content-Type", "text/event-stream")
	flusher := http.NewResponseController(out)
	var inDiscord <-chan struct{}
	if w.discord != nil {
		changes, cancel := w.discord.Subscribe()
		defer cancel()
		inDiscord = changes
	}
	var last json.RawMessage
	for {
		var inSlack <-chan struct{}
		if w.slack != nil {
			inSlack = w.slack.Changes()
		}
		inProxmox := w.pve.Changes()
		if now := encode(w.state(p)); !bytes.Equal(now, last) {
			if _, err := fmt.Fprintf(out, "data: %s\n\n", now); err != nil {
				return
			}
			if err := flusher.Flush(); err != nil {
				return
			}
			last = now
		}
		select {
		case <-inSlack:
		case <-inDiscord:
		case <-inProxmox:
		case <-r.Context().Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return
		}
	}
}
