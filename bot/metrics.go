package bot

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox"
)

// Metrics are what /metrics shows. No label holds the name of a container or
// of a person.
type Metrics struct {
	Registry *prometheus.Registry

	clicks     *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	ticks      *prometheus.CounterVec
	age        *prometheus.GaugeVec
	calls      *prometheus.CounterVec
	took       *prometheus.HistogramVec
	chats      *prometheus.CounterVec
	skipped    *prometheus.CounterVec
	connected  *prometheus.GaugeVec
	standby    *prometheus.GaugeVec
	reconnects *prometheus.CounterVec
	jobs       *prometheus.CounterVec
	open       *prometheus.GaugeVec
	containers *prometheus.GaugeVec
	requests   *prometheus.CounterVec

	mu   sync.Mutex
	seen map[chat.PlatformName]time.Time // since when it was connected, the last time that it was
}

// NewMetrics registers them in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry(), seen: map[chat.PlatformName]time.Time{}}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pvechat_" + name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pvechat_" + name, Help: help}, labels)
		m.Registry.MustRegister(g)
		return g
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pvechat_" + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9)}, labels)
		m.Registry.MustRegister(h)
		return h
	}
	m.clicks = counter("invocations_total", "What people did, by what became of it: answered, busy, repeat.", "platform", "result")
	m.latency = histogram("answer_seconds", "From an invocation to its answer.", "platform")
	m.ticks = counter("refreshes_total", "Refreshes of a cluster, by outcome.", "cluster", "result")
	m.age = gauge("last_answer_timestamp_seconds", "When a cluster last answered; what is shown of it is as old.", "cluster")
	m.calls = counter("proxmox_requests_total", "Requests to Proxmox, by endpoint and status; 0 is no answer.", "cluster", "method", "endpoint", "status")
	m.took = histogram("proxmox_request_seconds", "How long Proxmox took to answer, or not to.", "cluster")
	m.chats = counter("chat_requests_total", "Messages posted, edited and deleted, by outcome: sent, limited, gone, forbidden, failed.", "platform", "what", "result")
	m.skipped = counter("edits_skipped_total", "Edits of boards that were not made because nothing had changed.", "platform")
	m.connected = gauge("connected", "1 while a platform is connected, by this replica or another one that it stands by for.", "platform")
	m.standby = gauge("standby", "1 while another replica is connected to a platform for this one.", "platform")
	m.reconnects = counter("reconnects_total", "How often a platform came back after it was lost.", "platform")
	m.jobs = counter("jobs_total", "Actions that ended, by how.", "action", "state")
	m.open = gauge("jobs_open", "Actions under way, by state.", "state")
	m.containers = gauge("containers", "Containers, by state.", "state")
	m.requests = counter("http_requests_total", "Requests to pvechat, by endpoint and status; other is no endpoint of it.", "endpoint", "status")
	return m
}

// Call counts a request to Proxmox; it is for proxmox.Config.Observe.
func (m *Metrics) Call(cluster string, c proxmox.Call) {
	m.calls.WithLabelValues(cluster, c.Method, c.Endpoint, strconv.Itoa(c.Status)).Inc()
	m.took.WithLabelValues(cluster).Observe(c.Duration.Seconds())
}

// Requested counts a request to the bot.
func (m *Metrics) Requested(endpoint string, status int) {
	m.requests.WithLabelValues(endpoint, strconv.Itoa(status)).Inc()
}

// Refreshed counts a refresh of a cluster.
func (m *Metrics) Refreshed(cluster string, at time.Time, err error) {
	if err != nil {
		m.ticks.WithLabelValues(cluster, "failed").Inc()
		return
	}
	m.ticks.WithLabelValues(cluster, "ok").Inc()
	m.age.WithLabelValues(cluster).Set(float64(at.Unix()))
}

// Skipped counts an edit that was not needed.
func (m *Metrics) Skipped(p chat.PlatformName) { m.skipped.WithLabelValues(string(p)).Inc() }

// JobEnded counts an action.
func (m *Metrics) JobEnded(action, state string) { m.jobs.WithLabelValues(action, state).Inc() }

// States sets how many jobs and containers there are in each state.
func (m *Metrics) States(jobs, containers map[string]int) {
	for gauge, now := range map[*prometheus.GaugeVec]map[string]int{m.open: jobs, m.containers: containers} {
		for state, n := range now {
			gauge.WithLabelValues(state).Set(float64(n))
		}
	}
}

// Connected looks at how a platform is connected; call it at every tick. What
// went and came in between is counted too.
func (m *Metrics) Connected(p chat.PlatformName, h chat.Health) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for gauge, is := range map[*prometheus.GaugeVec]bool{m.connected: h.OK, m.standby: h.Standby} {
		value := 0.0
		if is {
			value = 1
		}
		gauge.WithLabelValues(string(p)).Set(value)
	}
	again := m.reconnects.WithLabelValues(string(p)) // there from the start, at 0
	if !h.OK {
		return
	}
	if since, known := m.seen[p]; known && !since.Equal(h.Since) {
		again.Inc()
	}
	m.seen[p] = h.Since
}

// Watch counts what is sent to a platform.
func (m *Metrics) Watch(p chat.Platform) chat.Platform { return watched{p, m} }

type watched struct {
	chat.Platform
	m *Metrics
}

func (w watched) Post(ctx context.Context, to chat.Target, msg chat.Message) (chat.Ref, error) {
	ref, err := w.Platform.Post(ctx, to, msg)
	w.count("post", err)
	return ref, err
}

func (w watched) Update(ctx context.Context, at chat.Ref, s chat.Surface) error {
	err := w.Platform.Update(ctx, at, s)
	w.count("edit", err)
	return err
}

func (w watched) Delete(ctx context.Context, at chat.Ref) error {
	err := w.Platform.Delete(ctx, at)
	w.count("delete", err)
	return err
}

func (w watched) count(what string, err error) {
	result := "failed"
	var limited *chat.RateLimitedError
	switch {
	case err == nil:
		result = "sent"
	case errors.As(err, &limited):
		result = "limited"
	case errors.Is(err, chat.ErrGone):
		result = "gone"
	case errors.Is(err, chat.ErrForbidden):
		result = "forbidden"
	}
	w.m.chats.WithLabelValues(string(w.Name()), what, result).Inc()
}
