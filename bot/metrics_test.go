package bot

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v4"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox"
)

// refusing is a platform of which every call ends in the same way.
type refusing struct {
	chat.Platform
	err error
}

func (refusing) Name() chat.PlatformName { return chat.Slack }
func (r refusing) Post(context.Context, chat.Target, chat.Message) (chat.Ref, error) {
	return chat.Ref{}, r.err
}
func (r refusing) Update(context.Context, chat.Ref, chat.Surface) error { return r.err }
func (r refusing) Delete(context.Context, chat.Ref) error               { return r.err }

// everything has measured something of each kind.
func everything(t *testing.T) *Metrics {
	t.Helper()
	m := NewMetrics()
	m.clicks.WithLabelValues("slack", "answered").Inc()
	m.latency.WithLabelValues("slack").Observe(0.1)
	m.Call("home", proxmox.Call{Method: "GET", Endpoint: "/cluster/resources", Status: 200, Duration: time.Second})
	m.Refreshed("home", time.Unix(1, 0), nil)
	m.Refreshed("home", time.Unix(2, 0), errors.New("no answer"))
	m.Skipped(chat.Slack)
	m.JobEnded("start", "succeeded")
	m.Requested("/readyz", 200)
	m.States(map[string]int{"running": 1}, map[string]int{"stopped": 2})
	for _, err := range []error{nil, &chat.RateLimitedError{}, chat.ErrGone, chat.ErrForbidden, errors.New("else")} {
		p := m.Watch(refusing{err: err})
		_, _ = p.Post(t.Context(), chat.Target{}, chat.Message{})
		_ = p.Update(t.Context(), chat.Ref{}, chat.Message{})
		_ = p.Delete(t.Context(), chat.Ref{})
	}
	return m
}

// values are all that was measured, by name and labels.
func values(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = one.GetCounter().GetValue() + one.GetGauge().GetValue()
		}
	}
	return all
}

func TestEditsAreCountedByWhatBecameOfThem(t *testing.T) {
	m := everything(t)
	got := values(t, m)
	for _, what := range []string{"post", "edit", "delete"} {
		for _, result := range []string{"sent", "limited", "gone", "forbidden", "failed"} {
			if key := "pvechat_chat_requests_total{platform=slack,result=" + result + ",what=" + what + "}"; got[key] != 1 {
				t.Errorf("%s is %v", key, got[key])
			}
		}
	}
	if got["pvechat_last_answer_timestamp_seconds{cluster=home}"] != 1 {
		t.Error("a refresh that failed makes the last answer younger")
	}
}

func TestReconnectsAreCountedAlsoBetweenTwoLooks(t *testing.T) {
	m := NewMetrics()
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	for _, h := range []chat.Health{
		{Since: at(1)}, {OK: true, Since: at(2)}, {OK: true, Since: at(2)}, {Since: at(3)}, {OK: true, Since: at(4)}, {OK: true, Since: at(6)}, {OK: true, Standby: true, Since: at(6)},
	} {
		m.Connected(chat.Discord, h)
	}
	if got := values(t, m); got["pvechat_reconnects_total{platform=discord}"] != 2 || got["pvechat_connected{platform=discord}"] != 1 || got["pvechat_standby{platform=discord}"] != 1 {
		t.Errorf("got %v", got)
	}
}

// Every name in the rules and on the dashboard is one that there is, with the
// labels that it has.
func TestDeployNamesOnlyMetricsThatExist(t *testing.T) {
	m := everything(t)
	m.Connected(chat.Slack, chat.Health{OK: true})
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]map[string]bool{}
	for _, f := range families {
		names := map[string]bool{"le": f.GetMetric()[0].GetHistogram() != nil}
		for _, l := range f.GetMetric()[0].GetLabel() {
			names[l.GetName()] = true
		}
		labels[f.GetName()] = names
		if names["le"] {
			labels[f.GetName()+"_bucket"] = names
		}
		for name := range names {
			if slices.Contains([]string{"container", "name", "hostname", "vmid", "person"}, name) {
				t.Errorf("%s has the label %s", f.GetName(), name)
			}
		}
	}
	used := map[string]bool{}
	check := func(where, expr string) {
		names := regexp.MustCompile(`pvechat_[a-z_]+`).FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: no metric in %q", where, expr)
		}
		of := map[string]bool{}
		for _, n := range names {
			if labels[n] == nil {
				t.Errorf("%s: there is no metric %s", where, n)
			}
			maps.Copy(of, labels[n])
			used[strings.TrimSuffix(n, "_bucket")] = true
		}
		for _, m := range regexp.MustCompile(`by \(([a-z, ]+)\)|([a-z]+)=~?"`).FindAllStringSubmatch(expr, -1) {
			for l := range strings.SplitSeq(m[1]+m[2], ",") {
				if l = strings.TrimSpace(l); !of[l] {
					t.Errorf("%s: there is no label %s in %q", where, l, expr)
				}
			}
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "deploy", "prometheus", "pvechat.rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, &rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules.Groups[0].Rules {
		check(r.Alert, r.Expr)
		if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
			t.Errorf("%s says nothing", r.Alert)
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err = os.ReadFile(filepath.Join("..", "deploy", "grafana", "pvechat.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			check(p.Title, target.Expr)
		}
	}
	for _, f := range families {
		if !used[f.GetName()] {
			t.Errorf("%s is on no dashboard and in no rule", f.GetName())
		}
	}
}

// Requests are counted by endpoint, and what strangers ask for makes no label.
func TestRequestsAreCountedByEndpoint(t *testing.T) {
	m := NewMetrics()
	h := Health{Metrics: m, Checks: func(context.Context) []Check { return []Check{{Name: "database", Detail: "down"}} }}.handler()
	for _, r := range []string{"GET /healthz", "GET /readyz", "GET /readyz", "POST /readyz", "GET /canary", "GET /canary/../canary2"} {
		method, path, _ := strings.Cut(r, " ")
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, nil))
	}
	got := values(t, m)
	for series, want := range map[string]float64{"endpoint=/healthz,status=200": 1, "endpoint=/readyz,status=503": 2, "endpoint=other,status=404": 1, "endpoint=other,status=405": 1} {
		if got["pvechat_http_requests_total{"+series+"}"] != want {
			t.Errorf("%s: %v, want %v", series, got["pvechat_http_requests_total{"+series+"}"], want)
		}
	}
	for series := range got {
		if strings.Contains(series, "canary") {
			t.Errorf("a label of a stranger's: %s", series)
		}
	}
}
