package proxmoxtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bot = "pvechat@pve!bot"

// lab is a running server with a client of plain net/http.
type lab struct {
	*proxmoxtest.Server
	t      *testing.T
	client *http.Client
	auth   string
}

// start serves over a real socket and TLS.
func start(t *testing.T, opts proxmoxtest.Options) *lab {
	t.Helper()
	s := proxmoxtest.New(opts)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CAPEM())
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableCompression: true}
	l := &lab{Server: s, t: t, client: &http.Client{Transport: tr, CheckRedirect: stay}, auth: "PVEAPIToken=" + bot + "=secret"}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		s.Close()
	})
	return l
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// bubble runs a test against a server in real time, but in a synctest bubble, where time is free.
func bubble(t *testing.T, opts proxmoxtest.Options, test func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
		opts.Listener, opts.Plain = ln, true
		if opts.Scale == 0 {
			opts.Scale = 1
		}
		s := proxmoxtest.New(opts)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		tr := &http.Transport{DialContext: ln.dial, DisableCompression: true}
		defer s.Close()
		defer tr.CloseIdleConnections()
		test(t, &lab{Server: s, t: t, client: &http.Client{Transport: tr}, auth: "PVEAPIToken=" + bot + "=secret"})
	})
}

// pipes is a listener in memory.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
		return client, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pve.test" }

// answer is what came back.
type answer struct {
	Status  int
	Reason  string
	Raw     string
	Header  http.Header
	Close   bool
	Data    any               `json:"data"`
	Message string            `json:"message"`
	Errors  map[string]string `json:"errors"`
	Total   int               `json:"total"`
}

// try makes a request; form goes into the body of POST and PUT, and into the query otherwise.
func (l *lab) try(method, path string, form ...string) (answer, error) {
	l.t.Helper()
	values := make(url.Values)
	for _, kv := range form {
		k, v, _ := strings.Cut(kv, "=")
		values.Add(k, v)
	}
	var body io.Reader
	target := l.URL() + "/api2/json" + path
	if len(values) > 0 {
		if method == http.MethodPost || method == http.MethodPut {
			body = strings.NewReader(values.Encode())
		} else {
			target += "?" + values.Encode()
		}
	}
	req, err := http.NewRequest(method, target, body)
	if err != nil {
		l.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return l.send(req)
}

func (l *lab) send(req *http.Request) (answer, error) {
	l.t.Helper()
	if l.auth != "" {
		req.Header.Set("Authorization", l.auth)
	}
	res, err := l.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	a := answer{Status: res.StatusCode, Raw: string(raw), Header: res.Header, Close: res.Close}
	_, a.Reason, _ = strings.Cut(res.Status, " ")
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") && res.Header.Get("Content-Encoding") == "" && err == nil {
		if err := json.Unmarshal(raw, &a); err != nil {
			l.t.Fatalf("%s %s: %v in %q", req.Method, req.URL, err, raw)
		}
	}
	return a, err
}

func (l *lab) call(method, path string, form ...string) answer {
	l.t.Helper()
	a, err := l.try(method, path, form...)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// get insists on a 200.
func (l *lab) get(path string, form ...string) any {
	l.t.Helper()
	return l.ok(http.MethodGet, path, form...)
}

func (l *lab) ok(method, path string, form ...string) any {
	l.t.Helper()
	a := l.call(method, path, form...)
	if a.Status != 200 {
		l.t.Fatalf("%s %s: %d %s %s", method, path, a.Status, a.Reason, a.Raw)
	}
	return a.Data
}

// rows are those of a list, by the value of key.
func (l *lab) rows(key, path string, form ...string) map[string]map[string]any {
	l.t.Helper()
	out := make(map[string]map[string]any)
	for _, row := range l.get(path, form...).([]any) {
		r := row.(map[string]any)
		name, _ := r[key].(string)
		out[name] = r
	}
	return out
}

// refuse insists on an error with this status and this reason phrase.
func (l *lab) refuse(status int, reason, method, path string, form ...string) answer {
	l.t.Helper()
	a := l.call(method, path, form...)
	if a.Status != status || a.Reason != reason {
		l.t.Errorf("%s %s %v: %d %q, want %d %q", method, path, form, a.Status, a.Reason, status, reason)
	}
	return a
}

// finish starts a task and returns it when it has ended.
func (l *lab) finish(method, path string, form ...string) proxmoxtest.Task {
	l.t.Helper()
	return l.ended(l.ok(method, path, form...).(string))
}

func (l *lab) ended(upid string) proxmoxtest.Task {
	l.t.Helper()
	task, err := l.AwaitTask(l.ctx(), func(t proxmoxtest.Task) bool { return t.UPID == upid && !t.Running() })
	if err != nil {
		l.t.Fatalf("waiting for %s: %v", upid, err)
	}
	return task
}

func (l *lab) idle() {
	l.t.Helper()
	if err := l.AwaitIdle(l.ctx()); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	l.t.Cleanup(cancel)
	return ctx
}

func (l *lab) running(vmid int) bool {
	c, _ := l.Container(vmid)
	return c.Running
}
