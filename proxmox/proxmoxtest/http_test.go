package proxmoxtest_test

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/proxmox/proxmoxtest"
)

func TestTheZeroServerWorks(t *testing.T) {
	var s proxmoxtest.Server
	s.AddContainer(proxmoxtest.Container{VMID: 101, Name: "gitea"})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	l := &lab{Server: &s, t: t, client: &http.Client{Transport: tr}, auth: "PVEAPIToken=" + bot + "=anything"}
	if task := l.finish("POST", "/nodes/pve/lxc/101/status/start"); task.Exit != "OK" || task.User != bot {
		t.Errorf("task %+v", task)
	}
	if v := l.get("/version").(map[string]any); v["version"] != "9.2.2" || v["release"] != "9.2" {
		t.Errorf("version %v", v)
	}
	if got := s.Unexpected(); len(got) != 0 {
		t.Errorf("unexpected: %v", got)
	}
}

func TestErrorsAreInTheReasonPhraseAndCloseTheConnection(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(proxmoxtest.Container{VMID: 101, Running: true})
	a := l.refuse(500, "CT 101 already running", "POST", "/nodes/pve/lxc/101/status/start")
	if !a.Close || a.Message != "CT 101 already running\n" || a.Data != nil {
		t.Errorf("answer %+v", a)
	}
	if a := l.call("GET", "/version"); a.Close || a.Header.Get("Server") != "pve-api-daemon/3.0" {
		t.Errorf("a good answer keeps the connection: %+v", a)
	}
}

func TestTheBodyHasAMessageFrom84On(t *testing.T) {
	for version, want := range map[string]string{
		"8.2.4": `{"data":null}`,
		"8.4.1": `{"data":null,"message":"CT 101 not running\n"}`,
		"9.2.2": `{"data":null,"message":"CT 101 not running\n"}`,
	} {
		l := start(t, proxmoxtest.Options{Version: version})
		if a := l.refuse(500, "CT 101 not running", "POST", "/nodes/pve/lxc/101/status/stop"); a.Raw != want {
			t.Errorf("%s: %s, want %s", version, a.Raw, want)
		}
	}
}

func TestWhatNoClientShouldSendIsRefusedAndKept(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	request := func(method, target string, body io.Reader, contentType string) *http.Request {
		req, err := http.NewRequest(method, l.URL()+target, body)
		if err != nil {
			t.Fatal(err)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		return req
	}
	const form = "application/x-www-form-urlencoded"
	const ct = "/api2/json/nodes/pve/lxc/101"
	tests := []struct {
		name   string
		req    *http.Request
		status int
		reason string
	}{
		{"an unknown path", request("GET", "/api2/json/x", nil, ""), 501, "Method 'GET /x' not implemented"},
		{"an exec of a container", request("POST", ct+"/exec", nil, ""), 501, "Method 'POST /nodes/pve/lxc/101/exec' not implemented"},
		{"a known path with another method", request("PUT", "/api2/json/version", nil, ""), 501, "Method 'PUT /version' not implemented"},
		{"HEAD", request("HEAD", "/api2/json/version", nil, ""), 501, "method 'HEAD' not available"},
		{"a body on DELETE", request("DELETE", ct, strings.NewReader("purge=1"), form), 501, "Unexpected content for method 'DELETE'"},
		{"a body on GET", request("GET", "/api2/json/version", strings.NewReader("a=1"), form), 501, "Unexpected content for method 'GET'"},
		{"chunks", request("POST", ct+"/status/start", io.MultiReader(strings.NewReader("debug=1")), form), 501, "chunked transfer encoding not supported"},
		{"too much", request("POST", ct+"/status/start", strings.NewReader("a="+strings.Repeat("x", 513<<10)), form), 501, "for data too large"},
		{"a form of another kind", request("POST", ct+"/status/start", strings.NewReader("x"), "text/plain"), 506, "upload 'Content-Type 'text/plain' not implemented"},
		{"another format", request("GET", "/api2/extjs/version", nil, ""), 501, "no formatter for uri /version, extjs"},
		{"no API at all", request("GET", "/pve2/index", nil, ""), 500, "no such file '/pve2/index'"},
		{"an undefined parameter", request("GET", "/api2/json/version?vmstate=1", nil, ""), 400, "Parameter verification failed."},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := l.send(test.req)
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != test.status || a.Reason != test.reason || !a.Close {
				t.Errorf("%d %q, want %d %q", a.Status, a.Reason, test.status, test.reason)
			}
			got := l.Unexpected()
			if len(got) != i+1 || got[i].Status != test.status || got[i].Method != test.req.Method {
				t.Errorf("unexpected: %+v", got)
			}
		})
	}
}

func TestRequestsAreKept(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.AddContainer(proxmoxtest.Container{VMID: 101, Running: true})
	l.ok("POST", "/nodes/pve/lxc/101/status/shutdown", "timeout=30")
	l.get("/version")
	l.get("/version")
	if n := l.Count("GET", "/version"); n != 2 {
		t.Errorf("%d requests for the version", n)
	}
	if n := l.Count("", "/nodes/*/lxc/*/status/*"); n != 1 {
		t.Errorf("%d requests for a status", n)
	}
	r, err := l.AwaitRequest(l.ctx(), func(r proxmoxtest.Request) bool { return r.Method == http.MethodPost })
	if err != nil || r.Path != "/nodes/pve/lxc/101/status/shutdown" || r.Form.Get("timeout") != "30" || r.Status != 200 ||
		r.Token != bot || !strings.HasPrefix(r.UserAgent, "Go-http-client") {
		t.Errorf("request %+v, %v", r, err)
	}
	if got := l.Requests(); len(got) != 3 || strings.Contains(fmt.Sprint(got), "secret") {
		t.Errorf("requests %+v", got)
	}
	l.idle()
}

func TestA401IsLateAndHasNoBody(t *testing.T) {
	tests := []struct {
		name, version, auth, reason string
	}{
		{"nothing", "9.2.2", "", "No ticket"},
		{"another scheme", "9.2.2", "Bearer x", "No ticket"},
		{"a wrong secret", "9.2.2", "PVEAPIToken=pvechat@pve!bot=wrong", "Authentication failed!"},
		{"a wrong secret before 9.2", "8.2.4", "PVEAPIToken=pvechat@pve!bot=wrong", "invalid token value!"},
		{"an unknown token before 9.2", "8.2.4", "PVEAPIToken=pvechat@pve!other=x", "no such token 'other' for user 'pvechat@pve'"},
		{"an unknown user before 9.2", "8.2.4", "PVEAPIToken=x@pve!bot=x", "no such user ('x@pve')"},
		{"no token id before 9.2", "8.2.4", "PVEAPIToken=nonsense", "no tokenid specified"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, proxmoxtest.Options{Version: test.version}, func(t *testing.T, l *lab) {
				l.Token(bot, "secret", nil)
				l.auth = test.auth
				began := time.Now()
				a := l.refuse(401, test.reason, "GET", "/version")
				if took := time.Since(began); took < 3*time.Second || a.Raw != "" || !a.Close {
					t.Errorf("after %v: %+v", took, a)
				}
			})
		})
	}
}

func TestATokenComesInSeveralForms(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	l.Token(bot, "se%cret", nil)
	for _, auth := range []string{"PVEAPIToken=pvechat@pve!bot=se%25cret", "PVEAPIToken pvechat@pve!bot=se%25cret", "PVEAPIToken=pvechat%40pve%21bot=se%25cret"} {
		l.auth = auth
		l.get("/version")
	}
	req, _ := http.NewRequest(http.MethodGet, l.URL()+"/api2/json/version", nil)
	req.Header.Set("Cookie", "PVEAuthCookie=PVE:x")
	if a, err := l.send(req); err != nil || a.Status != 401 {
		t.Errorf("a cookie is preferred to a token: %+v, %v", a, err)
	}
	l.RemoveToken(bot)
	l.refuse(401, "Authentication failed!", "GET", "/version")
}

func TestAnIdleConnectionIsClosedAfter5s(t *testing.T) {
	bubble(t, proxmoxtest.Options{}, func(t *testing.T, l *lab) {
		c, err := l.client.Transport.(*http.Transport).DialContext(l.ctx(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /api2/json/version HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n", l.auth)
		r := bufio.NewReader(c)
		res, err := http.ReadResponse(r, nil)
		if err != nil || res.StatusCode != http.StatusOK || res.Close {
			t.Fatalf("%+v, %v", res, err)
		}
		io.Copy(io.Discard, res.Body)
		began := time.Now()
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("read: %v, want EOF", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestAConnectionEndsAfter100Requests(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	for i := 1; i <= 100; i++ {
		if a := l.call("GET", "/version"); a.Close != (i == 100) {
			t.Fatalf("request %d: close %v", i, a.Close)
		}
	}
}

func TestABigAnswerIsZippedIfAskedFor(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	for i := range 20 {
		l.AddContainer(proxmoxtest.Container{VMID: 100 + i})
	}
	for _, path := range []string{"/cluster/resources", "/nodes/pve/lxc"} {
		plain := l.call("GET", path)
		req, _ := http.NewRequest(http.MethodGet, l.URL()+"/api2/json"+path, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		a, err := l.send(req)
		if err != nil || a.Header.Get("Content-Encoding") != "gzip" || len(a.Raw) > len(plain.Raw)/2 {
			t.Fatalf("%+v, %v", a.Header, err)
		}
		z, err := gzip.NewReader(strings.NewReader(a.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if whole, err := io.ReadAll(z); err != nil || len(whole) != len(plain.Raw) {
			t.Errorf("%s: %d bytes unzipped, %d plain, %v", path, len(whole), len(plain.Raw), err)
		}
	}
	req, _ := http.NewRequest(http.MethodGet, l.URL()+"/api2/json/version", nil)
	req.Header.Set("Accept-Encoding", "gzip")
	if a, _ := l.send(req); a.Header.Get("Content-Encoding") != "" {
		t.Error("a small answer was zipped")
	}
}

func TestTheCertificateCanBePinnedAndIsRenewed(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	pinned := func(pin string) error {
		tr := &http.Transport{TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true,
			VerifyConnection: func(cs tls.ConnectionState) error {
				if got := fmt.Sprintf("%X", sha256.Sum256(cs.PeerCertificates[0].Raw)); got != strings.ReplaceAll(pin, ":", "") {
					return fmt.Errorf("fingerprint %s", got)
				}
				return nil
			},
		}}
		defer tr.CloseIdleConnections()
		res, err := (&http.Client{Transport: tr}).Get(l.URL() + "/api2/json/version")
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	old := l.Fingerprint()
	if err := pinned(old); err != nil {
		t.Error(err)
	}
	if got := l.rows("node", "/nodes")["pve"]["ssl_fingerprint"]; got != old {
		t.Errorf("the node says %v", got)
	}
	if err := l.RenewCertificate(); err != nil {
		t.Fatal(err)
	}
	if err := pinned(old); err == nil {
		t.Error("the old pin still holds")
	}
	if err := pinned(l.Fingerprint()); err != nil {
		t.Error(err)
	}
	l.client.CloseIdleConnections()
	l.get("/version") // the authority is the same
}

func TestPlainHTTPIsRedirected(t *testing.T) {
	l := start(t, proxmoxtest.Options{})
	for method, status := range map[string]int{"GET": 301, "POST": 308} {
		req, _ := http.NewRequest(method, strings.Replace(l.URL(), "https", "http", 1)+"/api2/json/version?x=1", nil)
		a, err := l.send(req)
		if err != nil || a.Status != status || a.Header.Get("Location") != l.URL()+"/api2/json/version?x=1" {
			t.Errorf("%s: %+v, %v", method, a, err)
		}
	}
}

func TestWithPlainThereIsNoTLS(t *testing.T) {
	l := start(t, proxmoxtest.Options{Plain: true})
	if !strings.HasPrefix(l.URL(), "http://127.0.0.1:") {
		t.Errorf("URL %s", l.URL())
	}
	l.get("/version")
}

func TestNonsenseIsABadRequest(t *testing.T) {
	l := start(t, proxmoxtest.Options{Plain: true})
	c, err := net.Dial("tcp", strings.TrimPrefix(l.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "nonsense\r\n\r\n")
	if all, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(all), "HTTP/1.0 400 bad request\r\n") {
		t.Errorf("%q, %v", all, err)
	}
}
