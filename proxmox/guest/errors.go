package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// Kind is what went wrong, in words. It is an error itself, so that
// errors.Is(err, guest.Auth) works.
type Kind string

// Kinds of an [Error].
const (
	NoAddress Kind = "no address"        // the target has none
	DNS       Kind = "name not resolved" // only where Config.Dial resolves names
	NoRoute   Kind = "no route"
	Refused   Kind = "connection refused"
	Timeout   Kind = "timeout"           // of a step, or of the ctx
	Broken    Kind = "connection broken" // it ended half-way, or the other side speaks no SSH

	HostKeyUnknown Kind = "host key unknown"  // no known host, or no file of them
	HostKeyChanged Kind = "host key changed"  // another one is known, or this one is revoked
	Auth           Kind = "login refused"     // our key is not accepted, or cannot be used
	Exit           Kind = "command failed"    // it could not be run, or ended with a status
	Output         Kind = "unexpected output" // too much, or not what was asked for
	Scope          Kind = "not in scope"      // the node's forced command does not let us into this container
	NotHere        Kind = "not on this node"  // or not running there

	NoCredentials  Kind = "no credentials"
	BadCredentials Kind = "bad credentials" // files that break the contract

	NoLogs Kind = "no logs"
)

func (k Kind) Error() string { return string(k) }

// nodePrefix begins the kinds of what went wrong on the way to the node, where
// containers are entered through it.
const nodePrefix = "node: "

// AtNode is k of the container's node.
func (k Kind) AtNode() Kind { return nodePrefix + k }

// CutNode is k without its place; node reports whether that is the container's
// node.
func (k Kind) CutNode() (of Kind, node bool) {
	rest, node := strings.CutPrefix(string(k), nodePrefix)
	return Kind(rest), node
}

// Error is why a guest could not be looked into. It holds nothing that a file
// in the container says.
type Error struct {
	Kind Kind
	Addr string // host:port, where it is about one
	Err  error

	// HostKey is the key that the container showed, as a line of an
	// authorized_keys file, where that is what is unknown or has changed.
	HostKey string
}

func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Addr != "" {
		s = e.Addr + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap makes errors.Is find the Kind, wherever it was, and the cause.
func (e *Error) Unwrap() []error {
	kind, _ := e.Kind.CutNode()
	if e.Err == nil {
		return []error{kind}
	}
	return []error{kind, e.Err}
}

// atNode says of what went wrong that it did at the node. Nobody can accept a
// node's host key in the chat, so it is not told.
func atNode(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Kind, e.HostKey = e.Kind.AtNode(), ""
	}
	return err
}

// reached orders kinds by how far a connection got.
func (k Kind) reached() int {
	switch k {
	case DNS, NoRoute:
		return 0
	case Timeout:
		return 1
	case Refused:
		return 2
	case Broken:
		return 3
	default:
		return 4
	}
}

// final reports whether no other address of the same container should be tried.
func (k Kind) final() bool { return k == HostKeyChanged || k == Auth }

// lost classifies why a connection ended, or never began, while doing
// something. A cancelled ctx gives no *Error: whoever cancelled it knows why.
func lost(addr, doing string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	kind := Broken
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		kind = DNS
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		kind = Timeout // context.DeadlineExceeded too
	}
	for _, k := range []struct {
		kind  Kind
		cause error
	}{
		{Refused, syscall.ECONNREFUSED},
		{NoRoute, syscall.EHOSTUNREACH},
		{NoRoute, syscall.ENETUNREACH},
		{NoRoute, syscall.EADDRNOTAVAIL}, // an IPv6 address, and we have none
		{NoRoute, syscall.EAFNOSUPPORT},
	} {
		if errors.Is(err, k.cause) {
			kind = k.kind
		}
	}
	return &Error{Kind: kind, Addr: addr, Err: fmt.Errorf("%s: %w", doing, brief{err})}
}

// cut reports whether err is about the connection, and not about what was said
// over it.
func cut(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled)
}

// brief is an error that may quote the other side: its text is cut short. The
// ssh package has already escaped what it quotes.
type brief struct{ err error }

func (e brief) Unwrap() error { return e.err }
func (e brief) Error() string { return short(e.err.Error(), 200) }

// short is at most limit characters of s.
func short(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}
