package proxmox

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func TestNewRefuses(t *testing.T) {
	pin := strings.Repeat("AB:", 31) + "AB"
	for _, test := range []struct {
		is   string
		spot func(*Config)
		says string
	}{
		{"no URL", func(c *Config) { c.URLs = nil }, "no URL"},
		{"http without insecure", func(c *Config) { c.URLs = append(c.URLs, "http://pve2:8006") }, "URL 2: http:// only with insecure"},
		{"another scheme", func(c *Config) { c.URLs[0] = "ftp://pve1" }, "URL 1: not https://"},
		{"no scheme", func(c *Config) { c.URLs[0] = "pve1:8006" }, "URL 1: not an origin"},
		{"a path", func(c *Config) { c.URLs[0] += "/api2/json" }, "URL 1: not an origin"},
		{"a query", func(c *Config) { c.URLs[0] += "?a=b" }, "URL 1: not an origin"},
		{"a password in the URL", func(c *Config) { c.URLs[0] = "https://root:" + testSecret + "@pve1" }, "URL 1: not an origin"},
		{"a broken URL with a password", func(c *Config) { c.URLs[0] = "https://root:" + testSecret + "@pve1:x" }, "URL 1: not an origin"},
		{"a user for a token", func(c *Config) { c.TokenID = "root@pam" }, "user@realm!token"},
		{"the secret beside the token", func(c *Config) { c.TokenID += "=" + testSecret }, "user@realm!token"},
		{"the secret for the token", func(c *Config) { c.TokenID = testSecret }, "user@realm!token"},
		{"no secret", func(c *Config) { c.TokenSecret = "" }, "token secret"},
		{"a secret of two lines", func(c *Config) { c.TokenSecret += "\n" }, "token secret"},
		{"half a fingerprint", func(c *Config) { c.Fingerprints = []string{pin, pin[:30]} }, "not a SHA-256 fingerprint"},
		{"a fingerprint of letters", func(c *Config) { c.Fingerprints = []string{strings.Repeat("ZZ", 32)} }, "not a SHA-256 fingerprint"},
		{"two ways to verify", func(c *Config) { c.CAFile, c.Fingerprints = "ca.pem", []string{pin} }, "exclude each other"},
		{"verified and not", func(c *Config) { c.Insecure, c.Fingerprints = true, []string{pin} }, "exclude each other"},
	} {
		t.Run(test.is, func(t *testing.T) {
			cfg := Config{Name: "home", URLs: []string{"https://pve1:8006"}, TokenID: testToken, TokenSecret: testSecret}
			test.spot(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), `"home"`) {
				t.Errorf("the error is %v", err)
			}
			if err != nil && strings.Contains(err.Error(), testSecret) {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestNewTakes(t *testing.T) {
	for is, cfg := range map[string]Config{
		"a slash at the end":      {URLs: []string{"https://pve1:8006/"}},
		"an IPv6 address":         {URLs: []string{"https://[2001:db8::1]:8006"}},
		"http with insecure":      {URLs: []string{"http://pve1"}, Insecure: true},
		"pins with and without :": {URLs: []string{"https://pve1"}, Fingerprints: []string{strings.Repeat("ab", 32), strings.Repeat("AB:", 31) + "AB"}},
		"a CA file that is gone":  {URLs: []string{"https://pve1"}, CAFile: "/nowhere/ca.pem"},
	} {
		t.Run(is, func(t *testing.T) {
			cfg.TokenID, cfg.TokenSecret = testToken, testSecret
			if _, err := New(cfg); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestARequestIsWhatProxmoxTakes(t *testing.T) {
	var got []string
	h := func(r *http.Request) string {
		form, _ := io.ReadAll(r.Body)
		got = append(got, fmt.Sprintf("%s %s host=%s auth=%s type=%s encoding=%s/%s length=%d body=%s agent=%s",
			r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), r.Header.Get("Content-Type"),
			strings.Join(r.TransferEncoding, ","), r.Header.Get("Accept-Encoding"), r.ContentLength, form, r.UserAgent()))
		return ok(`{"data":"` + string(testUPID) + `"}`)
	}
	n := &network{hosts: map[string]host{"pve1": h}}
	c := n.client(t, "pve1")
	if _, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Power(t.Context(), ct101, PowerAction{Verb: Shutdown, Timeout: 1500 * time.Millisecond, ForceStop: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Destroy(t.Context(), ct101, DestroyOptions{Force: true, Purge: true, DestroyUnreferencedDisks: true}); err != nil {
		t.Fatal(err)
	}
	_, _ = c.TaskLog(t.Context(), testUPID, 5, 10)
	auth := "host=pve1:8006 auth=PVEAPIToken=" + testToken + "=" + testSecret
	form := "type=application/x-www-form-urlencoded encoding=/"
	want := []string{
		"POST /api2/json/nodes/pve1/lxc/101/status/start " + auth + " " + form + " length=0 body= agent=pvechat",
		"POST /api2/json/nodes/pve1/lxc/101/status/shutdown " + auth + " " + form + " length=21 body=forceStop=1&timeout=2 agent=pvechat",
		"DELETE /api2/json/nodes/pve1/lxc/101?destroy-unreferenced-disks=1&force=1&purge=1 " + auth + " type= encoding=/ length=0 body= agent=pvechat",
		"GET /api2/json/nodes/pve1/tasks/UPID:pve1:000A1B2C:01234567:6745A1B2:vzstart:101:pvechat@pve%21bot:/log?limit=10&start=5 " + auth + " type= encoding=/ length=0 body= agent=pvechat",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestArgumentsThatNoProxmoxTakesAreNotSent(t *testing.T) {
	n := &network{hosts: map[string]host{"pve1": always(ok(`{"data":[]}`))}}
	c := n.client(t, "pve1")
	power := func(ref Ref, a PowerAction) func() error {
		return func() error { _, err := c.Power(t.Context(), ref, a); return err }
	}
	tasks := func(node string, f TaskFilter) func() error {
		return func() error { _, err := c.Tasks(t.Context(), node, f); return err }
	}
	for is, call := range map[string]func() error{
		"no node":                        power(Ref{VMID: 101}, PowerAction{Verb: Start}),
		"a node that is a path":          power(Ref{Node: "..", VMID: 101}, PowerAction{Verb: Start}),
		"a node with a slash":            power(Ref{Node: "a/b", VMID: 101}, PowerAction{Verb: Start}),
		"no VMID":                        power(Ref{Node: "pve1"}, PowerAction{Verb: Start}),
		"a VMID too small":               power(Ref{Node: "pve1", VMID: 99}, PowerAction{Verb: Start}),
		"a VMID too large":               power(Ref{Node: "pve1", VMID: 1_000_000_000}, PowerAction{Verb: Start}),
		"no verb":                        power(ct101, PowerAction{}),
		"a verb that is a path":          power(ct101, PowerAction{Verb: "../config"}),
		"a start with a timeout":         power(ct101, PowerAction{Verb: Start, Timeout: time.Second}),
		"a stop with force":              power(ct101, PowerAction{Verb: Stop, ForceStop: true}),
		"a reboot with force":            power(ct101, PowerAction{Verb: Reboot, ForceStop: true}),
		"a shutdown that overrules":      power(ct101, PowerAction{Verb: Shutdown, OverruleShutdown: true}),
		"a timeout below zero":           power(ct101, PowerAction{Verb: Reboot, Timeout: -1}),
		"a destroy of nothing":           func() error { _, err := c.Destroy(t.Context(), Ref{Node: "pve1"}, DestroyOptions{}); return err },
		"a list of no node":              tasks("", TaskFilter{}),
		"a list of a bad VMID":           tasks("pve1", TaskFilter{VMID: 7}),
		"a list of an unknown source":    tasks("pve1", TaskFilter{Source: "everything"}),
		"a list of less than none":       tasks("pve1", TaskFilter{Limit: -1}),
		"the status of no task":          func() error { _, err := c.TaskStatus(t.Context(), ""); return err },
		"the log of a path":              func() error { _, err := c.TaskLog(t.Context(), "UPID:../../x", 0, 0); return err },
		"the log before its first line":  func() error { _, err := c.TaskLog(t.Context(), testUPID, -1, 0); return err },
		"the config of a node of spaces": func() error { _, err := c.ContainerConfig(t.Context(), Ref{" ", 101}); return err },
	} {
		t.Run(is, func(t *testing.T) {
			if err := call(); err == nil || !NotSent(err) || IsUnreachable(err) {
				t.Errorf("the error is %v", err)
			}
		})
	}
	if n.log() != "" {
		t.Errorf("sent: %s", n.log())
	}
}

// attempts says which hosts were asked, with what outcome.
type attempts struct{ list []string }

func (a *attempts) observe(call Call) {
	outcome := "ok"
	if e, ok := errors.AsType[*APIError](call.Err); ok {
		outcome = fmt.Sprint(e.Status)
	} else if e, ok := errors.AsType[*TransportError](call.Err); ok {
		outcome = string(e.Failure())
		if e.Sent {
			outcome += "/sent"
		}
	} else if call.Err != nil {
		outcome = "decode"
	}
	a.list = append(a.list, fmt.Sprintf("%d %s %s", call.Attempt, strings.TrimSuffix(strings.TrimPrefix(call.URL, "http://"), ":8006"), outcome))
}

func TestWhoIsAsked(t *testing.T) {
	good, bad := ok(`{"data":{"version":"9.2.2","release":"9.2"}}`), ok(`{"data":{"version":[]}}`)
	task := ok(`{"data":"` + string(testUPID) + `"}`)
	gateway, nodeDown, denied, broken := raw("502 Bad Gateway", "<html>"), raw("595 No route to host", ""), raw("403 no", ""), raw("500 no quorum?", "")
	half := "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{"
	var gone host // drops packets
	nth := func(answers ...string) host {
		var mu sync.Mutex
		return func(*http.Request) string {
			mu.Lock()
			defer mu.Unlock()
			answer := answers[0]
			if len(answers) > 1 {
				answers = answers[1:]
			}
			return answer
		}
	}
	read := func(c *Client, ctx context.Context) error { _, err := c.Version(ctx); return err }
	start := func(c *Client, ctx context.Context) error {
		_, err := c.Power(ctx, ct101, PowerAction{Verb: Start})
		return err
	}
	destroy := func(c *Client, ctx context.Context) error {
		_, err := c.Destroy(ctx, ct101, DestroyOptions{})
		return err
	}
	for _, test := range []struct {
		is    string
		call  func(*Client, context.Context) error
		hosts map[string]host // of a, b, c; missing: refuses
		want  []string
	}{
		{"a question goes to the first", read, map[string]host{"a": always(good), "b": always(good)}, []string{"1 a ok"}},
		{"a question moves on when refused", read, map[string]host{"b": always(good)}, []string{"1 a refused", "2 b ok"}},
		{"a question moves on when packets are dropped", read, map[string]host{"a": gone, "b": always(good)}, []string{"1 a timeout", "2 b ok"}},
		{"a question moves on when hung up on", read, map[string]host{"a": always(""), "b": always(good)}, []string{"1 a network/sent", "2 b ok"}},
		{"a question moves on after half an answer", read, map[string]host{"a": always(half), "b": always(good)}, []string{"1 a network/sent", "2 b ok"}},
		{"a question moves on when nobody answers", read, map[string]host{"a": silent, "b": always(good)}, []string{"1 a timeout/sent", "2 b ok"}},
		{"a question moves on from a gateway", read, map[string]host{"a": always(gateway), "b": always(good)}, []string{"1 a 502", "2 b ok"}},
		{"a question is asked again, three times in all", read, nil, []string{
			"1 a refused", "2 b refused", "3 c refused", "4 a refused", "5 b refused", "6 c refused", "7 a refused", "8 b refused", "9 c refused",
		}},
		{"a question is answered in the second round", read, map[string]host{"b": nth(gateway, good)}, []string{"1 a refused", "2 b 502", "3 c refused", "4 a refused", "5 b ok"}},
		{"a question does not wait twice for the same silence", read, map[string]host{"a": silent, "b": gone, "c": silent}, []string{
			"1 a timeout/sent", "2 b timeout", "3 c timeout/sent",
		}},
		{"that another node is down is an answer", read, map[string]host{"a": always(nodeDown), "b": always(good)}, []string{"1 a 595"}},
		{"a denial is an answer", read, map[string]host{"a": always(denied), "b": always(good)}, []string{"1 a 403"}},
		{"an error is an answer", read, map[string]host{"a": always(broken), "b": always(good)}, []string{"1 a 500"}},
		{"nonsense is an answer", read, map[string]host{"a": always(bad), "b": always(good)}, []string{"1 a decode"}},

		{"a change goes to the first", start, map[string]host{"a": always(task), "b": always(task)}, []string{"1 a ok"}},
		{"a change moves on where nobody can have got it", start, map[string]host{"b": gone, "c": always(task)}, []string{"1 a refused", "2 b timeout", "3 c ok"}},
		{"a change is offered to each address once", start, nil, []string{"1 a refused", "2 b refused", "3 c refused"}},
		{"a change stays where it was hung up on", start, map[string]host{"a": always(""), "b": always(task)}, []string{"1 a network/sent"}},
		{"a change stays where the answer broke off", start, map[string]host{"a": always(half), "b": always(task)}, []string{"1 a network/sent"}},
		{"a change stays where nobody answers", start, map[string]host{"a": silent, "b": always(task)}, []string{"1 a timeout/sent"}},
		{"a change stays with a gateway", start, map[string]host{"a": always(gateway), "b": always(task)}, []string{"1 a 502"}},
		{"a change stays with a node that is down", start, map[string]host{"a": always(nodeDown), "b": always(task)}, []string{"1 a 595"}},
		{"a change stays where no task comes back", start, map[string]host{"a": always(ok(`{"data":null}`)), "b": always(task)}, []string{"1 a decode"}},
		{"a deletion stays where it was hung up on", destroy, map[string]host{"a": always(""), "b": always(task)}, []string{"1 a network/sent"}},
		{"a deletion moves on where nobody can have got it", destroy, map[string]host{"b": always(task)}, []string{"1 a refused", "2 b ok"}},
	} {
		t.Run(test.is, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen attempts
				n := &network{hosts: test.hosts}
				c := n.clientWith(t, Config{Observe: seen.observe}, "a", "b", "c")
				err := test.call(c, t.Context())
				if diff := cmp.Diff(test.want, seen.list); diff != "" {
					t.Error(diff)
				}
				if last := test.want[len(test.want)-1]; (err == nil) != strings.HasSuffix(last, "ok") {
					t.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestAnAddressThatFailedIsTriedLastForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen attempts
		n := &network{hosts: map[string]host{"b": always(ok(`{"data":{}}`))}}
		c := n.clientWith(t, Config{Observe: seen.observe}, "a", "b")
		ask := func(want ...string) {
			t.Helper()
			seen.list = nil
			if _, err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, seen.list); diff != "" {
				t.Error(diff)
			}
		}
		ask("1 a refused", "2 b ok")
		time.Sleep(cooldown - time.Second)
		ask("1 b ok")
		time.Sleep(time.Second)
		ask("1 a refused", "2 b ok")

		n.mu.Lock()
		n.hosts["a"], n.hosts["b"] = n.hosts["b"], always("")
		n.mu.Unlock()
		c.CloseIdleConnections()
		ask("1 b network/sent", "2 a ok")
		time.Sleep(time.Second)
		ask("1 a ok")
	})
}

func TestACallerWhoGivesUpIsNotHeldAndBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen attempts
		n := &network{hosts: map[string]host{"a": silent, "b": always(ok(`{"data":{}}`))}}
		c := n.clientWith(t, Config{Observe: seen.observe}, "a", "b")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		_, err := c.Version(ctx)
		if !errors.Is(err, context.Canceled) || time.Since(began) != time.Second || IsUnreachable(err) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if _, err := c.Version(t.Context()); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"1 a network/sent", "1 a timeout/sent", "2 b ok"}, seen.list); diff != "" {
			t.Error(diff)
		}
	})
}

func TestACallerWhoGivesUpBetweenTwoAttemptsHearsOfThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		ctx, cancel := context.WithCancel(t.Context())
		c := n.clientWith(t, Config{Observe: func(Call) { time.AfterFunc(time.Nanosecond, cancel) }}, "a")
		if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) || IsUnreachable(err) || !NotSent(err) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestACallerWhoGaveUpBeforeSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{hosts: map[string]host{"a": always(ok(`{"data":{}}`))}}
		c := n.client(t, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := c.Power(ctx, ct101, PowerAction{Verb: Stop})
		if !NotSent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		if n.log() != "" || len(n.dials) > 0 {
			t.Errorf("asked: %s", n.log())
		}
	})
}

// Proxmox's nodes wait 30 s for each other.
func TestASlowAnswerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{hosts: map[string]host{"a": func(*http.Request) string {
			time.Sleep(31 * time.Second)
			return raw("596 Connection timed out", "")
		}}}
		c := n.client(t, "a")
		if _, err := c.ContainerStatus(t.Context(), ct101); !errors.Is(err, ErrNodeUnreachable) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestASilentServerIsGivenUpAfter35Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{hosts: map[string]host{"a": silent}}
		c := n.client(t, "a")
		began := time.Now()
		_, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start})
		if time.Since(began) != 35*time.Second || !errors.Is(err, context.DeadlineExceeded) || NotSent(err) {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestOnlyFourQuestionsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		n := &network{hosts: map[string]host{"a": func(*http.Request) string { <-release; return ok(`{"data":{}}`) }}}
		c := n.client(t, "a")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := c.Version(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if asked := strings.Count(n.log(), "GET"); asked != 4 {
			t.Errorf("%d at a time", asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Version(ctx); !NotSent(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who cannot wait gets %v", err)
		}
		close(release)
		wg.Wait()
		if asked := strings.Count(n.log(), "GET"); asked != 10 {
			t.Errorf("%d in all", asked)
		}
	})
}

func TestACallIsObservedAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var calls []Call
		n := &network{hosts: map[string]host{"b": func(r *http.Request) string {
			time.Sleep(time.Second)
			if r.Method == http.MethodPost {
				return ok(`{"data":"` + string(testUPID) + `"}`)
			}
			return ok(`{"data":{"status":"running"}}`)
		}}}
		c := n.clientWith(t, Config{Log: logTo(&log), Observe: func(c Call) { calls = append(calls, c) }}, "a", "b")
		if u, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start}); err != nil || u != testUPID {
			t.Fatal(u, err)
		}
		if s, err := c.TaskStatus(t.Context(), testUPID); err != nil || !s.Running {
			t.Fatal(s, err)
		}
		refused := calls[0].Err
		want := []Call{
			{Method: "POST", Endpoint: "/nodes/{node}/lxc/{vmid}/status/start", URL: "http://a:8006", Attempt: 1, Err: refused},
			{Method: "POST", Endpoint: "/nodes/{node}/lxc/{vmid}/status/start", URL: "http://b:8006", Attempt: 2, Status: 200, Duration: time.Second, UPID: testUPID},
			{Method: "GET", Endpoint: "/nodes/{node}/tasks/{upid}/status", URL: "http://b:8006", Attempt: 1, Status: 200, Duration: time.Second, UPID: testUPID},
		}
		if diff := cmp.Diff(want, calls, cmpopts.EquateErrors()); diff != "" {
			t.Error(diff)
		}
		want1 := `level=WARN msg="proxmox did not do it" cluster=home method=POST endpoint=/nodes/{node}/lxc/{vmid}/status/start url=http://a:8006 ` +
			`node=pve1 vmid=101 upid="" attempt=1 status=0 duration=0s err="proxmox: POST /nodes/{node}/lxc/{vmid}/status/start at http://a:8006: dial tcp: connection refused"` + "\n"
		if log.String() != want1 {
			t.Errorf("the log is %s", &log)
		}
	})
}

func TestTheTimeIsTheServers(t *testing.T) {
	c := one(t, ok(`{"data":[]}`))
	res, err := c.Resources(t.Context())
	if want := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC); err != nil || !res.At.Equal(want) {
		t.Errorf("%v %v", res.At, err)
	}
	ours := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	n := &network{hosts: map[string]host{"a": always(raw("200 OK", `{"data":[]}`))}}
	c = n.clientWith(t, Config{Now: func() time.Time { return ours }}, "a")
	if res, err = c.Resources(t.Context()); err != nil || !res.At.Equal(ours) {
		t.Errorf("%v %v", res.At, err)
	}
}

func TestATransportThatAsksForGzipGetsItUnpacked(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = io.WriteString(w, `{"data":{"version":"9.2.2"}}`)
	_ = w.Close()
	n := &network{hosts: map[string]host{"a": func(r *http.Request) string {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			return ok(`{"data":{"version":"plain"}}`)
		}
		return raw("200 OK", z.String(), "Content-Encoding: gzip")
	}}}
	c := n.client(t, "a")
	if v, err := c.Version(t.Context()); err != nil || v.Version != "plain" {
		t.Errorf("%v %v", v, err)
	}
	transport := &http.Transport{DialContext: n.dial}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := New(Config{URLs: []string{"http://a"}, Insecure: true, TokenID: testToken, TokenSecret: testSecret, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Version(t.Context()); err != nil || v.Version != "9.2.2" {
		t.Errorf("%v %v", v, err)
	}
}

// endless is a body of blanks.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.read += len(p)
	return len(p), nil
}

func (*endless) Close() error { return nil }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnAnswerWithoutEndIsNotReadToTheEnd(t *testing.T) {
	for _, status := range []int{200, 500} {
		body := &endless{}
		c, err := New(Config{
			URLs: []string{"https://a"}, TokenID: testToken, TokenSecret: testSecret,
			Transport: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Status: fmt.Sprint(status, " x"), Body: body, ContentLength: 1 << 40}, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Version(t.Context())
		_, undecodable := errors.AsType[*DecodeError](err)
		if err == nil || undecodable != (status == 200) || body.read > maxBody+(1<<20) {
			t.Errorf("%d: read %d: %v", status, body.read, err)
		}
	}
}

// A transport that does not say what it did may have sent the request.
func TestAStrangeTransportIsNotTrustedToHaveSentNothing(t *testing.T) {
	asked := 0
	c, err := New(Config{
		URLs: []string{"https://a", "https://b"}, TokenID: testToken, TokenSecret: testSecret,
		Transport: roundTripper(func(*http.Request) (*http.Response, error) { asked++; return nil, io.ErrUnexpectedEOF }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start}); err == nil || NotSent(err) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
