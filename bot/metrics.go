package bot

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pvechat/pvechat/proxmox"
)

// Metrics are what /metrics shows. No label holds a container's name.
type Metrics struct {
	Registry *prometheus.Registry

	clicks  *prometheus.CounterVec
	latency *prometheus.HistogramVec
	ticks   *prometheus.CounterVec
	age     *prometheus.GaugeVec
	calls   *prometheus.CounterVec
}

// NewMetrics registers them in a registry of their own.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		clicks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pvechat_invocations_total", Help: "What people did, by platform and what became of it.",
		}, []string{"platform", "result"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pvechat_answer_seconds", Help: "From an invocation to its answer.", Buckets: prometheus.ExponentialBuckets(0.0005, 4, 8),
		}, []string{"platform"}),
		ticks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pvechat_refreshes_total", Help: "Refreshes of a cluster, by outcome.",
		}, []string{"cluster", "result"}),
		age: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pvechat_last_answer_timestamp_seconds", Help: "When a cluster last answered.",
		}, []string{"cluster"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pvechat_proxmox_requests_total", Help: "Requests to Proxmox, by endpoint and status; 0 is no answer.",
		}, []string{"cluster", "method", "endpoint", "status"}),
	}
	m.Registry.MustRegister(m.clicks, m.latency, m.ticks, m.age, m.calls)
	return m
}

// Call counts a request to Proxmox; it is for proxmox.Config.Observe.
func (m *Metrics) Call(cluster string, c proxmox.Call) {
	m.calls.WithLabelValues(cluster, c.Method, c.Endpoint, strconv.Itoa(c.Status)).Inc()
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
