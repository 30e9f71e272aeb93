package handlers_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// wire passes requests on until something goes wrong on the way.
type wire struct {
	mu    sync.Mutex
	wrong func(*http.Request) (*http.Response, error)
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	wrong := w.wrong
	w.mu.Unlock()
	if wrong != nil {
		return wrong(req)
	}
	return http.DefaultTransport.RoundTrip(req)
}

func (w *wire) breaks(with func(*http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = with
}

// gone is a network error before anything was sent.
func gone(err error) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
			trace.GetConn(req.URL.Host)
		}
		return nil, err
	}
}

func badHandshake(req *http.Request) (*http.Response, error) {
	err := errors.New("x509: certificate signed by unknown authority")
	trace := httptrace.ContextClientTrace(req.Context())
	trace.GetConn(req.URL.Host)
	trace.TLSHandshakeDone(tls.ConnectionState{}, err)
	return nil, err
}

func nonsense(*http.Request) (*http.Response, error) {
	return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>it works</html>"))}, nil
}

// closed is a container that does not let anybody in.
type closed struct {
	handlers.Guest
	err error
}

func (c closed) Credentials(context.Context, guest.Target, string, ...guest.CredentialFile) ([]guest.CredentialSet, error) {
	return nil, c.err
}

// mute is a database that does not answer.
type mute struct{ handlers.Confirmations }

func (mute) Ask(context.Context, handlers.Confirmation, time.Duration) error {
	return errors.New("dial postgres://pvechat:canary@db: connection refused")
}

var idOf = regexp.MustCompile(`\bid ([a-z0-9]+), for your admin`)

// Each cause has a sentence of its own, says what to do, and gives an id by
// which the log tells the rest; the token is in none of it.
func TestEveryCauseHasItsOwnWordsAndItsLogLine(t *testing.T) {
	start := func(vmid int) func(*world) chat.Surface {
		return func(w *world) chat.Surface {
			w.press("ana", w.id(vmid)+":start")
			w.settled()
			w.chat.mu.Lock()
			defer w.chat.mu.Unlock()
			return w.chat.shown[len(w.chat.shown)-1]
		}
	}
	fails := func(method, path string, status int, reason string) func(*world, *wire) {
		return func(w *world, _ *wire) { w.pve.Fail(method, path, status, reason, -1) }
	}
	breaks := func(with func(*http.Request) (*http.Response, error)) func(*world, *wire) {
		return func(_ *world, l *wire) { l.breaks(with) }
	}
	const status, begin = "/nodes/pve1/lxc/102/status/current", "/nodes/pve1/lxc/102/status/start"
	wiki := start(102)
	credentials := func(w *world) chat.Surface { return w.typed("ana", "credentials", "name", "web").Now }
	ssh := func(kind guest.Kind) func(*handlers.Deps) {
		return func(d *handlers.Deps) {
			d.Guests = map[string]handlers.Guest{"home": closed{err: &guest.Error{Kind: kind, Addr: "192.0.2.1:22", Err: errors.New("ssh: canary")}}}
		}
	}
	causes := map[string]struct {
		inject   func(*world, *wire)
		tune     func(*handlers.Deps)
		act      func(*world) chat.Surface
		why, do  string
		endpoint string // of the log line; "" where Proxmox had no part in it
	}{
		"the container's node is down": {inject: fails("GET", status, 595, "Connection refused"), act: wiki, why: "Node pve1 does not answer the rest of its cluster", do: "that node's power", endpoint: "status/current"},
		"another node timed out":       {inject: fails("POST", begin, 596, "Connection timed out"), act: wiki, why: "Connection timed out (596)", do: "that node's power", endpoint: "status/start"},
		"the name has no address":      {inject: breaks(gone(&net.DNSError{Err: "no such host", Name: "pve1", IsNotFound: true})), act: wiki, why: "has no address", do: "name server", endpoint: "status/current"},
		"refused":                      {inject: breaks(gone(syscall.ECONNREFUSED)), act: wiki, why: "nothing listens there", do: "Proxmox is up there", endpoint: "status/current"},
		"timeout":                      {inject: breaks(gone(os.ErrDeadlineExceeded)), act: wiki, why: "did not answer in time", do: "network between", endpoint: "status/current"},
		"TLS":                          {inject: breaks(badHandshake), act: wiki, why: "certificate that was expected", do: "fingerprints or ca_file", endpoint: "status/current"},
		"cut off":                      {inject: breaks(gone(io.ErrUnexpectedEOF)), act: wiki, why: "broke off", do: "Try again; if it stays", endpoint: "status/current"},
		"not JSON":                     {inject: breaks(nonsense), act: wiki, why: "could not be read", do: "It is not repeated", endpoint: "status/current"},
		"401":                          {inject: fails("GET", status, 401, "invalid token value!"), act: wiki, why: "does not accept pvechat's token", do: "token_id and token_secret", endpoint: "status/current"},
		"403":                          {inject: fails("POST", begin, 403, "Permission check failed (/vms/102, VM.PowerMgmt)"), act: wiki, why: "Permission check failed (/vms/102, VM.PowerMgmt)", do: "grant VM.PowerMgmt on /vms/102", endpoint: "status/start"},
		"404":                          {inject: fails("GET", status, 404, "no such resource"), act: wiki, why: "knows no such thing", do: "Refresh", endpoint: "status/current"},
		"500 with a reason":            {inject: fails("POST", begin, 500, "unable to open file '/etc/pve/nodes/pve1/lxc/102.conf.tmp'"), act: wiki, why: "Unable to open file", do: "Try again in a minute", endpoint: "status/start"},
		"a proxy":                      {inject: fails("GET", status, 502, "Bad Gateway"), act: wiki, why: "the proxy before Proxmox", do: "look at the proxy", endpoint: "status/current"},
		"no quorum":                    {inject: fails("POST", begin, 500, "cluster not ready - no quorum?"), act: wiki, why: "no quorum", do: "bring its nodes back", endpoint: "status/start"},
		"the task failed":              {inject: func(*world, *wire) {}, act: start(103), why: "no space left on device", do: "free some space"},
		"locked":                       {inject: fails("POST", begin, 500, "CT is locked (backup)"), act: wiki, why: "CT is locked (backup)", do: "until the backup has ended", endpoint: "status/start"},
		"SSH key refused":              {inject: func(*world, *wire) {}, tune: ssh(guest.Auth), act: credentials, why: "does not accept pvechat's SSH key", do: "authorized_keys"},
		"SSH host key changed":         {inject: func(*world, *wire) {}, tune: ssh(guest.HostKeyChanged), act: credentials, why: "SSH host key has changed", do: "find out why"},
		"SSH host key unknown":         {inject: func(*world, *wire) {}, tune: ssh(guest.HostKeyUnknown), act: credentials, why: "SSH host key is not known", do: "known hosts"},
		"the node's SSH key refused":   {inject: func(*world, *wire) {}, tune: ssh(guest.Auth.AtNode()), act: credentials, why: "Its node does not accept pvechat's SSH key", do: "docs/security.md"},
		"the node's SSH host key":      {inject: func(*world, *wire) {}, tune: ssh(guest.HostKeyChanged.AtNode()), act: credentials, why: "SSH host key of its node has changed", do: "find out why"},
		"SSH refused":                  {inject: func(*world, *wire) {}, tune: ssh(guest.Refused), act: credentials, why: "refuses SSH connections", do: "sshd"},
		"the database": {
			inject: func(*world, *wire) {}, tune: func(d *handlers.Deps) { d.Confirmations = mute{d.Confirmations} },
			act: func(w *world) chat.Surface { return w.typed("ana", "stop", "name", "web").Now }, why: "database did not answer", do: "Lists can still be read",
		},
		"drift": {
			inject: func(*world, *wire) {}, tune: func(d *handlers.Deps) { d.Drift = func() string { return "table containers lacks column hostname" } },
			act: func(w *world) chat.Surface { return w.typed("ana", "delete", "name", "wiki").Now }, why: "lacks column hostname", do: "migrate --repair",
		},
	}
	var mu sync.Mutex
	said := map[string]string{} // why, by what to do: no two causes have both
	for name, c := range causes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, line := &chattest.Log{}, &wire{}
			w := newWorldOf(t, &world{log: slog.New(chat.LogRequests(slog.NewTextHandler(log, nil))), tune: c.tune}, line)
			c.inject(w, line)
			s := c.act(w)
			what := text(s)
			for _, want := range []string{c.why, c.do, "→ "} {
				if !strings.Contains(strings.ToLower(what), strings.ToLower(want)) {
					t.Errorf("it does not say %q:\n%s", want, what)
				}
			}
			mu.Lock()
			if other, twice := said[c.why+c.do]; twice {
				t.Errorf("it has the words of %s", other)
			}
			said[c.why+c.do] = name
			mu.Unlock()
			m := idOf.FindStringSubmatch(what)
			if m == nil {
				t.Fatalf("it gives no id:\n%s", what)
			}
			var lines []string
			for l := range strings.Lines(log.String()) {
				if strings.Contains(l, "request="+m[1]) {
					lines = append(lines, l)
				}
			}
			all := strings.Join(lines, "")
			for _, field := range []string{"container=", "person=", "cluster=home", "vmid="} {
				if !strings.Contains(all, field) {
					t.Errorf("the log of %s has no %s:\n%s", m[1], field, all)
				}
			}
			if c.endpoint != "" {
				found := false
				for _, l := range lines {
					found = found || strings.Contains(l, c.endpoint) && strings.Contains(l, "attempt=") && strings.Contains(l, "duration=") &&
						strings.Contains(l, "node=pve1") && strings.Contains(l, "action=start") && strings.Contains(l, "upid=")
				}
				if !found {
					t.Errorf("no line of %s has the endpoint, attempt, duration, node, action and task:\n%s", m[1], all)
				}
			}
			audit, err := w.db.Audit(t.Context(), 20)
			if err != nil {
				t.Fatal(err)
			}
			if everything := what + fmt.Sprintf("%+v", audit) + w.chat.all(); strings.Contains(everything, "canary") || strings.Contains(everything+log.String(), "bot=secret") {
				t.Error("a secret is told")
			}
		})
	}
}

func TestAChannelThatTakesNothingSaysWhy(t *testing.T) {
	w := newWorld(t)
	a := w.typed("ana", "dashboard")
	says(t, a.Missed(fmt.Errorf("slack: chat.postMessage: %w", &chat.RateLimitedError{RetryAfter: 30 * time.Second})), "too many messages")
	says(t, a.Missed(fmt.Errorf("slack: chat.postMessage: %w", &chat.MissingScopeError{Scope: "chat:write"})), "lacks the scope chat:write")
	says(t, a.Missed(chat.ErrForbidden), "no member of this channel")
}

func TestARequestPrintsNoValueThatSomebodyGave(t *testing.T) {
	r := handlers.Request{Invocation: chat.Invocation{Kind: chat.Submitted, Values: chat.Values{"value": "canary"}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{r, &r} {
			if out := fmt.Sprintf(verb, v); strings.Contains(out, "canary") {
				t.Errorf("%s of %T: %s", verb, v, out)
			}
		}
	}
}
