package proxmox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// What an [*APIError] can match with errors.Is.
var (
	ErrNotFound        = errors.New("proxmox: not found")                    // the container (on that node), the task or the node is not there
	ErrUnauthorized    = errors.New("proxmox: token refused")                // 401
	ErrForbidden       = errors.New("proxmox: privilege missing")            // 403, see [APIError.Privilege]
	ErrNodeUnreachable = errors.New("proxmox: the node does not answer")     // 595 to 599: the node asked could not reach the node meant
	ErrLocked          = errors.New("proxmox: the container is locked")      // by a backup, a snapshot, or another action
	ErrProtected       = errors.New("proxmox: the container is protected")   // against deletion
	ErrAlreadyRunning  = errors.New("proxmox: the container already runs")   // start
	ErrExists          = errors.New("proxmox: the VMID is taken")            // create
	ErrNotRunning      = errors.New("proxmox: the container is not running") // stop, shutdown, reboot
	errInvalid         = errors.New("proxmox: refused before anything was sent")
)

// APIError is an answer of Proxmox, or of a proxy before it, that is not a
// success. It matches the errors of this package with errors.Is.
type APIError struct {
	Method   string
	Endpoint string // the path, with {node}, {vmid} and {upid} for the ids
	Node     string // the node that the path names; "" for none
	Status   int
	Reason   string            // the phrase of the status line: the first line of the error text, and all that versions before 8.4 send
	Message  string            // the message of the body, without its last line end; "" where none was sent
	Errors   map[string]string // 400: what is wrong with each parameter
}

// Text returns the error in Proxmox's own words: Message if there is one, else
// Reason, followed by what is wrong with each parameter.
func (e *APIError) Text() string {
	text := e.Message
	if text == "" {
		text = e.Reason
	}
	if text == "" {
		text = strings.TrimSpace(fmt.Sprintf("status %d %s", e.Status, http.StatusText(e.Status)))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Errors)) {
		text += " " + name + ": " + e.Errors[name]
	}
	return text
}

func (e *APIError) Error() string {
	where := ""
	if e.Node != "" {
		where = " of node " + e.Node
	}
	return fmt.Sprintf("proxmox: %s %s%s: %d %s", e.Method, e.Endpoint, where, e.Status, e.Text())
}

var (
	permission = regexp.MustCompile(`^Permission check failed \((/[^,\s]*), ([A-Za-z.|]+)\)`)
	lockedText = regexp.MustCompile(`\b(?:CT|VM) is locked\b|can't lock file .* got timeout`)
	stateText  = regexp.MustCompile(`^(?:CT|VM) [0-9]+ (already|not) running$`)
	existsText = regexp.MustCompile(`^(?:unable to create CT [0-9]+ - )?(?:CT|VM) [0-9]+ already exists\b`)
	absentText = regexp.MustCompile(`^(?:Configuration file '.*' does not exist$|hostname lookup '.*' failed)`)
)

// Privilege returns the path and the privilege that a 403 asks for. Where any
// of several would do, priv is "A|B".
func (e *APIError) Privilege() (path, priv string, ok bool) {
	m := permission.FindStringSubmatch(e.text())
	if e.Status != http.StatusForbidden || m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// text is the first choice of the two texts, without the parameters.
func (e *APIError) text() string {
	if e.Message != "" {
		return e.Message
	}
	return e.Reason
}

// Is reports whether target is the error of this package that e amounts to.
// The texts are those of pve-container, pve-guest-common and pve-common.
func (e *APIError) Is(target error) bool {
	text := e.text()
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrNodeUnreachable:
		return e.Status >= 595 && e.Status <= 599
	case ErrNotFound:
		return e.Status == http.StatusNotFound ||
			e.Status == http.StatusInternalServerError && absentText.MatchString(text) ||
			e.Status == http.StatusBadRequest && strings.HasPrefix(e.Errors["upid"], "no such task")
	}
	if e.Status != http.StatusInternalServerError {
		return false
	}
	switch target {
	case ErrLocked:
		return lockedText.MatchString(text)
	case ErrExists:
		return existsText.MatchString(text)
	case ErrProtected:
		return strings.Contains(text, "protection mode enabled")
	case ErrAlreadyRunning, ErrNotRunning:
		m := stateText.FindStringSubmatch(text)
		return m != nil && (m[1] == "already") == (target == ErrAlreadyRunning)
	}
	return false
}

// Failure is what kept a request from being answered.
type Failure string

// Failures.
const (
	FailureDNS     Failure = "dns"     // the name has no address
	FailureRefused Failure = "refused" // nothing listens there
	FailureTimeout Failure = "timeout" // no connection, or no answer, in time
	FailureTLS     Failure = "tls"     // the handshake failed: certificate, fingerprint, CA file, or no TLS there at all
	FailureNetwork Failure = "network" // anything else: no route, reset, cut off
)

// TransportError says that no complete answer came.
type TransportError struct {
	Method   string
	Endpoint string // as in [APIError]
	URL      string // the origin that was asked; where several were, the last
	Sent     bool   // a byte of the request may have reached the server
	Err      error

	handshake bool
}

func (e *TransportError) Error() string {
	return fmt.Sprintf("proxmox: %s %s at %s: %v", e.Method, e.Endpoint, e.URL, e.Err)
}

// Unwrap returns what the network said; context.Canceled where the caller gave
// up.
func (e *TransportError) Unwrap() error { return e.Err }

// Failure says what went wrong, as far as it can be told.
func (e *TransportError) Failure() Failure {
	if _, ok := errors.AsType[*net.DNSError](e.Err); ok {
		return FailureDNS
	}
	if timeout, ok := errors.AsType[net.Error](e.Err); ok && timeout.Timeout() {
		return FailureTimeout
	}
	if errors.Is(e.Err, syscall.ECONNREFUSED) {
		return FailureRefused
	}
	if e.handshake {
		return FailureTLS
	}
	return FailureNetwork
}

// passing reports whether the same address may well answer a moment later.
func (e *TransportError) passing() bool {
	failure := e.Failure()
	return failure != FailureTimeout && failure != FailureTLS
}

// NotSent reports whether it is certain that no request has reached Proxmox,
// so that nothing can have come of it: no connection could be made, or this
// package refused the arguments.
func NotSent(err error) bool {
	if e, ok := errors.AsType[*TransportError](err); ok {
		return !e.Sent
	}
	return errors.Is(err, errInvalid)
}

// IsUnreachable reports whether the whole cluster could not be reached: every
// URL was tried without an answer from Proxmox. It is false where one node is
// down ([ErrNodeUnreachable]), where the caller gave up, and where a change was
// sent and its answer lost (see [NotSent]).
func IsUnreachable(err error) bool {
	if e, ok := errors.AsType[*TransportError](err); ok {
		return (e.Method == http.MethodGet || !e.Sent) && !errors.Is(err, context.Canceled)
	}
	e, ok := errors.AsType[*APIError](err)
	return ok && e.Method == http.MethodGet && fromGateway(e.Status)
}

// fromGateway reports whether a proxy before Proxmox says that it got no
// answer. Proxmox itself sends none of these.
func fromGateway(status int) bool {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// DecodeError says that an answer came and could not be understood. It is a
// defect of one side, not an outage: it is not retried.
type DecodeError struct {
	Endpoint string // as in [APIError]
	Field    string // a JSON pointer, such as "/data/17/cpu"; "" where the answer as a whole is wrong
	Err      error
}

func (e *DecodeError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("proxmox: the answer of %s: %v", e.Endpoint, e.Err)
	}
	return fmt.Sprintf("proxmox: the answer of %s: %s: %v", e.Endpoint, e.Field, e.Err)
}

// Unwrap returns what is wrong with the field.
func (e *DecodeError) Unwrap() error { return e.Err }
