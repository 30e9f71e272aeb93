package bot

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pvechat/pvechat/bot/chat"
)

// Check is one line of /readyz.
type Check struct {
	Name   string    `json:"name"`
	OK     bool      `json:"ok"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
	Minor  bool      `json:"minor,omitempty"` // it is wrong, and people can be answered all the same
}

// Called is a platform that calls the bot, at addresses by pattern of
// [http.ServeMux]. It has none where the bot connects to it.
type Called interface {
	Routes() map[string]http.Handler
}

// Health serves /healthz, /readyz and /metrics, and what platforms call.
type Health struct {
	Listener  net.Listener // nil: off; Run closes it
	Checks    func(ctx context.Context) []Check
	Metrics   *Metrics
	Platforms []chat.Platform // those that are [Called] get their requests
	Log       *slog.Logger
}

// Run serves until ctx ends. It returns an error only when it cannot.
func (h Health) Run(ctx context.Context) error {
	ln := h.Listener
	if ln == nil {
		<-ctx.Done()
		return nil
	}
	h.Log.InfoContext(ctx, "listening", "addr", ln.Addr().String())
	srv := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (h Health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		body := struct {
			Ready  bool    `json:"ready"`
			Checks []Check `json:"checks"`
		}{Ready: true, Checks: h.Checks(r.Context())}
		for _, c := range body.Checks {
			body.Ready = body.Ready && (c.OK || c.Minor)
		}
		w.Header().Set("Content-Type", "application/json")
		if !body.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(body) // a client that went away is not our trouble
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Metrics.Registry, promhttp.HandlerOpts{}))
	for _, p := range h.Platforms {
		if called, ok := p.(Called); ok {
			for pattern, handler := range called.Routes() {
				mux.Handle(pattern, handler)
			}
		}
	}
	return h.count(mux)
}

// count counts requests by the endpoint that took them.
func (h Health) count(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered := &answered{ResponseWriter: w, status: http.StatusOK}
		mux.ServeHTTP(answered, r)
		_, path, known := strings.Cut(r.Pattern, " ")
		if !known {
			path = "other" // no label is made of what strangers ask for
		}
		h.Metrics.Requested(path, answered.status)
	})
}

// answered remembers the status of an answer.
type answered struct {
	http.ResponseWriter
	status int
}

func (a *answered) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
