package proxmox

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testToken  = "pvechat@pve!bot"
	testSecret = "0c5e7a1e-canary-4a2b-9d3c-5ec2e7000000"
	testUPID   = UPID("UPID:pve1:000A1B2C:01234567:6745A1B2:vzstart:101:pvechat@pve!bot:")
	testDate   = "Tue, 24 Nov 2026 12:00:00 GMT"
)

var ct101 = Ref{Node: "pve1", VMID: 101}

// network is a set of hosts in memory, by name and port. What is not in it
// refuses connections. It works inside a synctest bubble.
type network struct {
	hosts map[string]host

	mu    sync.Mutex
	asked []string // "host METHOD path?query form"
	dials map[string]int
}

// host answers with the bytes that go on the wire: net/http's own server
// cannot send a reason phrase. "" hangs up.
type host func(r *http.Request) string

// raw is an answer with a body of known length.
func raw(statusLine, body string, headers ...string) string {
	headers = append(headers, fmt.Sprintf("Content-Length: %d", len(body)))
	return "HTTP/1.1 " + statusLine + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + body
}

func ok(body string) string { return raw("200 OK", body, "Date: "+testDate) }

// always is a host with one answer for everything.
func always(answer string) host { return func(*http.Request) string { return answer } }

// silent is a host that takes requests and never answers.
func silent(r *http.Request) string {
	<-r.Context().Done()
	return ""
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.dials == nil {
		n.dials = make(map[string]int)
	}
	n.dials[addr]++
	name, _, _ := strings.Cut(addr, ":")
	h, ok := n.hosts[name]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	if h == nil { // packets are dropped
		n.mu.Unlock()
		<-ctx.Done()
		n.mu.Lock()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	ours, theirs := net.Pipe()
	go n.serve(name, theirs, h)
	return ours, nil
}

func (n *network) serve(name string, conn net.Conn, answer host) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		form, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(form))
		n.mu.Lock()
		n.asked = append(n.asked, strings.TrimSpace(name+" "+r.Method+" "+r.RequestURI+" "+string(form)))
		n.mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		gone := make(chan struct{})
		go func() { // as net/http's server does: the next byte, or the end, is nobody's business but ours
			defer close(gone)
			if _, err := in.Peek(1); err != nil {
				cancel()
			}
		}()
		out := answer(r.WithContext(ctx))
		if out == "" {
			cancel()
			_ = conn.Close()
			<-gone
			return
		}
		if _, err := io.WriteString(conn, out); err != nil || strings.Contains(out, "Connection: close") {
			cancel()
			_ = conn.Close()
			<-gone
			return
		}
		<-gone
		cancel()
	}
}

func (n *network) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.asked, "\n")
}

// client returns a client of the named hosts of n.
func (n *network) client(t *testing.T, hosts ...string) *Client {
	t.Helper()
	return n.clientWith(t, Config{}, hosts...)
}

func (n *network) clientWith(t *testing.T, cfg Config, hosts ...string) *Client {
	t.Helper()
	cfg.Name, cfg.TokenID, cfg.TokenSecret, cfg.Insecure = "home", testToken, testSecret, true
	for _, name := range hosts {
		cfg.URLs = append(cfg.URLs, "http://"+name+":8006")
	}
	transport := &http.Transport{DialContext: n.dial, DisableCompression: true, IdleConnTimeout: time.Second}
	cfg.Transport = transport
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// one is a client of one host with one answer, and no retries to wait for
// unless the answer is an outage.
func one(t *testing.T, answer string) *Client {
	t.Helper()
	n := &network{hosts: map[string]host{"pve1": always(answer)}}
	return n.client(t, "pve1")
}
