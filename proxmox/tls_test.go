package proxmox

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func pinOf(s *httptest.Server) string {
	return fingerprint(sha256.Sum256(s.Certificate().Raw)).String()
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}

// secure serves over real TLS on loopback and keeps the remote address and the
// protocol of each request.
func secure(t *testing.T) (*httptest.Server, func() []*http.Request) {
	var mu sync.Mutex
	var seen []*http.Request
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r)
		mu.Unlock()
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"data":{"version":"9.2.2"}}`)
		} else {
			_, _ = io.WriteString(w, `{"data":"`+string(testUPID)+`"}`)
		}
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func secureClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.TokenID, cfg.TokenSecret = testToken, testSecret
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestWhichServersAreTrusted(t *testing.T) {
	server, _ := secure(t)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := strings.Repeat("00:", 31) + "00"
	byName := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) // not in the certificate
	for _, test := range []struct {
		is   string
		cfg  Config
		says string // "" where it is trusted
	}{
		{"nobody by default, but whom the system trusts", Config{}, "unknown authority"},
		{"whom the CA file signed", Config{CAFile: file("ca.pem", pemOf(server))}, ""},
		{"nobody else", Config{URLs: []string{byName}, CAFile: file("ca2.pem", pemOf(server))}, "not localhost"},
		{"nobody, where the CA file is gone", Config{CAFile: filepath.Join(dir, "gone.pem")}, "gone.pem"},
		{"nobody, where the CA file is no CA file", Config{CAFile: file("empty.pem", []byte("hello"))}, "no certificate in"},
		{"whose certificate is pinned", Config{Fingerprints: []string{pinOf(server)}}, ""},
		{"whose certificate is pinned, whatever its name", Config{URLs: []string{byName}, Fingerprints: []string{pinOf(server)}}, ""},
		{"whose certificate is one of those pinned", Config{Fingerprints: []string{other, strings.ToLower(strings.ReplaceAll(pinOf(server), ":", ""))}}, ""},
		{"nobody else, and says whom it met", Config{Fingerprints: []string{other}}, pinOf(server)},
		{"everybody, if insecure", Config{Insecure: true}, ""},
		{"nobody who speaks no TLS", Config{URLs: []string{strings.Replace(plain(t).URL, "http:", "https:", 1)}, Insecure: true}, "does not look like a TLS handshake"},
	} {
		t.Run(test.is, func(t *testing.T) {
			if test.cfg.URLs == nil {
				test.cfg.URLs = []string{server.URL}
			}
			calls := 0
			test.cfg.Observe = func(Call) { calls++ }
			c := secureClient(t, test.cfg)
			_, err := c.Version(t.Context())
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e, isTransport := errors.AsType[*TransportError](err)
			if !isTransport || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("the error is %v", err)
			}
			if e.Failure() != FailureTLS || e.Sent || !IsUnreachable(err) {
				t.Errorf("failure %s, sent %v, unreachable %v", e.Failure(), e.Sent, IsUnreachable(err))
			}
			if calls != 1 {
				t.Errorf("asked %d times", calls)
			}
			if _, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start}); !NotSent(err) {
				t.Errorf("a change was sent: %v", err)
			}
		})
	}
}

func plain(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}

func TestAPinHoldsWhenASessionIsResumed(t *testing.T) {
	cfg, err := tlsConfig("", []fingerprint{{1}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.VerifyConnection(tls.ConnectionState{DidResume: true}) == nil {
		t.Error("a session without a certificate passes")
	}
	server, _ := secure(t)
	state := tls.ConnectionState{DidResume: true}
	state.PeerCertificates = append(state.PeerCertificates, server.Certificate())
	if cfg.VerifyConnection(state) == nil {
		t.Error("a session with another certificate passes")
	}
}

func TestACAFileThatComesLateIsFound(t *testing.T) {
	server, _ := secure(t)
	path := filepath.Join(t.TempDir(), "ca.pem")
	c := secureClient(t, Config{URLs: []string{server.URL}, CAFile: path})
	if _, err := c.Version(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	if err := os.WriteFile(path, pemOf(server), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestQuestionsShareAConnectionAndEveryChangeHasItsOwn(t *testing.T) {
	server, seen := secure(t)
	c := secureClient(t, Config{URLs: []string{server.URL}, Fingerprints: []string{pinOf(server)}})
	for range 2 {
		if _, err := c.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := c.Power(t.Context(), ct101, PowerAction{Verb: Start}); err != nil {
			t.Fatal(err)
		}
	}
	from := make(map[string]string)
	for _, r := range seen() {
		from[r.RemoteAddr] += r.Method + " "
		if r.Proto != "HTTP/1.1" {
			t.Errorf("spoken: %s", r.Proto)
		}
	}
	count := make(map[string]int)
	for _, methods := range from {
		count[methods]++
	}
	if diff := cmp.Diff(map[string]int{"GET GET ": 1, "POST ": 2}, count); diff != "" {
		t.Error(diff)
	}
}

func TestTransportsKeepProxmoxsLimits(t *testing.T) {
	reads, writes := newTransports(&tls.Config{MinVersion: tls.VersionTLS12})
	if reads.IdleConnTimeout >= 5*time.Second || reads.IdleConnTimeout == 0 {
		t.Errorf("idle connections live %v; pveproxy closes them after 5 s", reads.IdleConnTimeout)
	}
	if requestTimeout <= 30*time.Second {
		t.Errorf("requests may take %v; nodes wait 30 s for each other", requestTimeout)
	}
	if !writes.DisableKeepAlives {
		t.Error("changes share connections")
	}
}

func TestACertificateIsSeenWithoutBeingBelieved(t *testing.T) {
	s, requests := secure(t)
	got, err := SeeCertificate(t.Context(), s.URL)
	if err != nil || got.Fingerprint != pinOf(s) || got.Trusted || !got.Until.Equal(s.Certificate().NotAfter) || !slices.Contains(got.Names, "127.0.0.1") {
		t.Errorf("%+v, %v", got, err)
	}
	if n := len(requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for origin, want := range map[string]Failure{
		strings.Replace(plain.URL, "http:", "https:", 1): FailureTLS,
		strings.Replace(gone.URL, "http:", "https:", 1):  FailureRefused,
	} {
		_, err := SeeCertificate(t.Context(), origin)
		if lost, ok := errors.AsType[*TransportError](err); !ok || lost.Failure() != want {
			t.Errorf("%s: %v, want %s", origin, err, want)
		}
	}
	for _, wrong := range []string{"", "pve1:8006", "http://pve1:8006", "https://"} {
		if _, err := SeeCertificate(t.Context(), wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
