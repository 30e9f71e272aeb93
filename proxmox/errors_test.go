package proxmox

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// kinds are all that an *APIError can be.
var kinds = map[string]error{
	"not found": ErrNotFound, "unauthorized": ErrUnauthorized, "forbidden": ErrForbidden, "node": ErrNodeUnreachable,
	"locked": ErrLocked, "protected": ErrProtected, "already running": ErrAlreadyRunning, "not running": ErrNotRunning,
}

func TestErrorAnswers(t *testing.T) {
	for _, test := range []struct {
		is     string
		answer string
		kind   string // one of kinds; "" for none
		text   string
	}{
		{
			"400 of PVE 9",
			raw("400 Parameter verification failed.", `{"data":null,"message":"Parameter verification failed.\n","errors":{"hostname":"invalid format\n","cores":"too many"}}`),
			"", "Parameter verification failed. cores: too many hostname: invalid format",
		},
		{
			"400 of PVE 7",
			raw("400 Parameter verification failed.", `{"data":null,"errors":{"vmid":"VM 100 already exists"}}`),
			"", "Parameter verification failed. vmid: VM 100 already exists",
		},
		{
			"a task that is gone", raw("400 Parameter verification failed.", `{"data":null,"errors":{"upid":"no such task - unable to open file"}}`),
			"not found", "Parameter verification failed. upid: no such task - unable to open file",
		},
		{"401 with an empty body", raw("401 Authentication failed!", "", "Connection: close"), "unauthorized", "Authentication failed!"},
		{"401 without a reason", raw("401 ", ""), "unauthorized", "status 401 Unauthorized"},
		{
			"403 of PVE 9", raw("403 Permission check failed (/vms/101, VM.PowerMgmt)", `{"data":null,"message":"Permission check failed (/vms/101, VM.PowerMgmt)\n"}`),
			"forbidden", "Permission check failed (/vms/101, VM.PowerMgmt)",
		},
		{"403 of PVE 7", raw("403 Permission check failed (/vms/101, VM.PowerMgmt)", `{"data":null}`), "forbidden", "Permission check failed (/vms/101, VM.PowerMgmt)"},
		{"404 of a proxy", raw("404 Not Found", "<html>"), "not found", "Not Found"},
		{"a start twice", raw("500 CT 101 already running", `{"data":null}`), "already running", "CT 101 already running"},
		{"a stop twice", raw("500 CT 101 not running", `{"data":null,"message":"CT 101 not running\n"}`), "not running", "CT 101 not running"},
		{"a reboot of a stopped one", raw("500 VM 101 not running", `{"data":null}`), "not running", "VM 101 not running"},
		{
			"a container on another node", raw("500 Configuration file 'nodes/pve1/lxc/101.conf' does not exist", `{"data":null}`),
			"not found", "Configuration file 'nodes/pve1/lxc/101.conf' does not exist",
		},
		{
			"a node that never was", raw("500 hostname lookup 'pve7' failed - failed to get address info for: pve7: Name or service not known", `{"data":null}`),
			"not found", "hostname lookup 'pve7' failed - failed to get address info for: pve7: Name or service not known",
		},
		{"a volume that is missing", raw("500 volume 'local:vztmpl/x' does not exist", `{"data":null}`), "", "volume 'local:vztmpl/x' does not exist"},
		{"a backup under way", raw("500 CT is locked (backup)", `{"data":null}`), "locked", "CT is locked (backup)"},
		{
			"another action under way", raw("500 can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout", `{"data":null}`),
			"locked", "can't lock file '/run/lock/lxc/pve-config-101.lock' - got timeout",
		},
		{"protection", raw("500 can't remove CT 101 - protection mode enabled", `{"data":null}`), "protected", "can't remove CT 101 - protection mode enabled"},
		{"deleting a running one", raw("500 unable to destroy CT 101 - container is running", `{"data":null}`), "", "unable to destroy CT 101 - container is running"},
		{
			"a message of several lines", raw("500 first", `{"data":null,"message":"first\nsecond\n"}`),
			"", "first\nsecond",
		},
		{"a reason that was cut short, and a body that is no JSON", raw("500 first", `{"mess`), "", "first"},
		{"a body of other types", raw("500 first", `{"message":{"a":1},"errors":[1]}`), "", "first"},
		{"501", raw("501 Method 'POST /x' not implemented", ""), "", "Method 'POST /x' not implemented"},
		{"595", raw("595 No route to host", ""), "node", "No route to host"},
		{"596", raw("596 Broken pipe", ""), "node", "Broken pipe"},
		{"599", raw("599 Too many redirections", ""), "node", "Too many redirections"},
		{"600", raw("600 What", ""), "", "What"},
		{"a redirect", raw("301 Moved", "", "Location: https://elsewhere/"), "", "not an answer of the API; redirects are not followed: https://elsewhere/"},
	} {
		t.Run(test.is, func(t *testing.T) {
			_, err := one(t, test.answer).Power(t.Context(), ct101, PowerAction{Verb: Start})
			e, ok := errors.AsType[*APIError](err)
			if !ok {
				t.Fatalf("the error is %v", err)
			}
			if e.Text() != test.text {
				t.Errorf("the text is %q", e.Text())
			}
			if e.Method != http.MethodPost || e.Endpoint != "/nodes/{node}/lxc/{vmid}/status/start" || e.Node != "pve1" {
				t.Errorf("it is about %s %s of %s", e.Method, e.Endpoint, e.Node)
			}
			for name, kind := range kinds {
				if got := errors.Is(err, kind); got != (name == test.kind) {
					t.Errorf("that it is %q is %v", name, got)
				}
			}
			if NotSent(err) || IsUnreachable(err) {
				t.Errorf("not sent: %v, unreachable: %v", NotSent(err), IsUnreachable(err))
			}
			if !strings.Contains(err.Error(), e.Text()) {
				t.Errorf("the error %q hides the text", err)
			}
		})
	}
}

func TestPrivilege(t *testing.T) {
	for _, test := range []struct {
		is     string
		err    APIError
		path   string
		priv   string
		absent bool
	}{
		{is: "from a message", err: APIError{Status: 403, Reason: "cut", Message: "Permission check failed (/vms/101, VM.PowerMgmt)"}, path: "/vms/101", priv: "VM.PowerMgmt"},
		{is: "from a reason", err: APIError{Status: 403, Reason: "Permission check failed (/, Sys.Audit)"}, path: "/", priv: "Sys.Audit"},
		{is: "one of two", err: APIError{Status: 403, Reason: "Permission check failed (/storage/x, Datastore.Audit|Datastore.AllocateSpace)"}, path: "/storage/x", priv: "Datastore.Audit|Datastore.AllocateSpace"},
		{is: "not for tokens", err: APIError{Status: 403, Reason: "Permission check failed (URI '/x' not available with API token, need proper ticket.)"}, absent: true},
		{is: "root only", err: APIError{Status: 403, Reason: "Permission check failed (user != root@pam)"}, absent: true},
		{is: "another status", err: APIError{Status: 500, Reason: "Permission check failed (/, Sys.Audit)"}, absent: true},
	} {
		t.Run(test.is, func(t *testing.T) {
			path, priv, ok := test.err.Privilege()
			if path != test.path || priv != test.priv || ok == test.absent {
				t.Errorf("%q %q %v", path, priv, ok)
			}
		})
	}
}

type timeout struct{ error }

func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestFailure(t *testing.T) {
	for want, errs := range map[Failure][]error{
		FailureDNS:     {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "pve1", IsNotFound: true}}, &net.DNSError{IsTimeout: true}},
		FailureRefused: {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}},
		FailureTimeout: {context.DeadlineExceeded, &net.OpError{Op: "dial", Err: timeout{errors.New("slow")}}},
		FailureNetwork: {io.ErrUnexpectedEOF, &net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, syscall.ECONNRESET},
	} {
		for _, err := range errs {
			if got := (&TransportError{Err: err}).Failure(); got != want {
				t.Errorf("%v is %s, not %s", err, got, want)
			}
		}
	}
	if got := (&TransportError{Err: x509.UnknownAuthorityError{}, handshake: true}).Failure(); got != FailureTLS {
		t.Errorf("a handshake that failed is %s", got)
	}
	if got := (&TransportError{Err: context.DeadlineExceeded, handshake: true}).Failure(); got != FailureTimeout {
		t.Errorf("a handshake that took too long is %s", got)
	}
}

func TestWhatIsUnreachableAndWhatWasNotSent(t *testing.T) {
	type verdict struct{ Unreachable, NotSent bool }
	get, post := http.MethodGet, http.MethodPost
	for _, test := range []struct {
		is   string
		err  error
		want verdict
	}{
		{"no error", nil, verdict{}},
		{"another package's error", io.EOF, verdict{}},
		{"a question that found nobody", &TransportError{Method: get, Err: io.EOF}, verdict{true, true}},
		{"a question whose answer was lost", &TransportError{Method: get, Sent: true, Err: io.EOF}, verdict{true, false}},
		{"a change that found nobody", &TransportError{Method: post, Err: io.EOF}, verdict{true, true}},
		{"a change whose answer was lost", &TransportError{Method: post, Sent: true, Err: io.EOF}, verdict{}},
		{"a caller that gave up", &TransportError{Method: get, Err: context.Canceled}, verdict{false, true}},
		{"a caller that could not wait", &TransportError{Method: get, Sent: true, Err: context.DeadlineExceeded}, verdict{true, false}},
		{"a gateway without a cluster", &APIError{Method: get, Status: 503}, verdict{true, false}},
		{"a gateway that may have passed a change on", &APIError{Method: post, Status: 504}, verdict{}},
		{"a node that is down", &APIError{Method: get, Status: 595}, verdict{}},
		{"an answer that is none", &DecodeError{Err: io.EOF}, verdict{}},
		{"wrapped", fmt.Errorf("refresh: %w", &TransportError{Method: get, Err: io.EOF}), verdict{true, true}},
		{"arguments that no Proxmox takes", fmt.Errorf("x: %w", errInvalid), verdict{false, true}},
	} {
		t.Run(test.is, func(t *testing.T) {
			if got := (verdict{IsUnreachable(test.err), NotSent(test.err)}); got != test.want {
				t.Error(cmp.Diff(test.want, got))
			}
		})
	}
}

// The secret of the token is not in any error, log line or observed call, even
// where the server sends it back.
func TestNoErrorTellsTheSecret(t *testing.T) {
	header := "PVEAPIToken=" + testToken + "=" + testSecret
	body := func(s string) string { return strings.ReplaceAll(s, "$", header) }
	for is, h := range map[string]host{
		"reason":            always(raw("500 "+header, "")),
		"message":           always(raw("403 x", body(`{"message":"$"}`))),
		"parameter":         always(raw("400 x", body(`{"errors":{"$":"$"}}`))),
		"gateway":           always(raw("502 "+header, body(`$`))),
		"redirect":          always(raw("302 Found", "", "Location: https://evil/?"+header)),
		"bad status line":   always("HTTP/1.1 " + header + "\r\n\r\n"),
		"no HTTP":           always(header + "\r\n\r\n"),
		"bad header":        always("HTTP/1.1 200 OK\r\n" + header + "\r\n\r\n"),
		"bad length":        always("HTTP/1.1 200 OK\r\nContent-Length: " + header + "\r\n\r\n"),
		"bad encoding":      always("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + header + "\r\n\r\n"),
		"bad chunk":         always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + header + "\r\n\r\n"),
		"bad value":         always(ok(body(`{"data":[{"type":"lxc","vmid":"$"}]}`))),
		"bad member":        always(ok(body(`{"data":[{"$":tru}]}`))),
		"bad nested member": always(ok(body(`{"data":{"$":{"$":"x"}}}`))),
		"bad task":          always(ok(body(`{"data":"$"}`))),
		"bad JSON":          always(ok(body(`$`))),
		"hang up":           always(""),
		"silent":            silent,
		"drops packets":     nil,
	} {
		t.Run(is, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told strings.Builder
				n := &network{hosts: map[string]host{"pve1": h}}
				c := n.clientWith(t, Config{
					Observe: func(call Call) { fmt.Fprintf(&told, "%v %+v %#v\n", call, call, call) },
					Log:     logTo(&told),
				}, "pve1", "nobody")
				ctx, cancel := context.WithTimeout(t.Context(), 2*requestTimeout)
				defer cancel()
				_, err1 := c.Resources(ctx)
				_, err2 := c.Permissions(ctx)
				_, err3 := c.Power(ctx, ct101, PowerAction{Verb: Start})
				_, err4 := c.Destroy(ctx, ct101, DestroyOptions{})
				for _, err := range []error{err1, err2, err3, err4} {
					if err == nil {
						t.Fatal("no error")
					}
					for e := err; e != nil; e = errors.Unwrap(e) {
						fmt.Fprintf(&told, "%v %+v %#v\n", e, e, e)
					}
				}
				if strings.Contains(told.String(), testSecret) {
					t.Errorf("told:\n%s", told.String())
				}
			})
		})
	}
}
