package jobs

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/pvechat/pvechat/proxmox"
)

// Reason says in a sentence why Proxmox did not do something: in its own words
// where it has some, else what kept the two apart. Addresses, and what a
// library says of them, are for the log.
func Reason(err error) string {
	if api, ok := errors.AsType[*proxmox.APIError](err); ok {
		return refusal(api)
	}
	if lost, ok := errors.AsType[*proxmox.TransportError](err); ok {
		return separation(lost)
	}
	if odd, ok := errors.AsType[*proxmox.DecodeError](err); ok {
		return fmt.Sprintf("the answer of Proxmox could not be read: %v", odd.Err)
	}
	return err.Error()
}

func refusal(e *proxmox.APIError) string {
	switch {
	case errors.Is(e, proxmox.ErrUnauthorized):
		return "Proxmox does not accept pvechat's token: " + e.Text() + " (401)"
	case errors.Is(e, proxmox.ErrNodeUnreachable) && e.Node != "":
		return fmt.Sprintf("node %s does not answer the rest of its cluster: %s (%d)", e.Node, e.Text(), e.Status)
	case e.Status == 502, e.Status == 503, e.Status == 504:
		return fmt.Sprintf("the proxy before Proxmox got no answer from it (%d)", e.Status)
	case e.Status == 404:
		return "Proxmox knows no such thing: " + e.Text() + " (404)"
	}
	return e.Text()
}

func separation(e *proxmox.TransportError) string {
	at := e.URL
	if u, err := url.Parse(e.URL); err == nil && u.Host != "" {
		at = u.Host
	}
	switch {
	case errors.Is(e.Err, context.Canceled):
		return "pvechat gave up waiting for " + at
	case e.Failure() == proxmox.FailureDNS:
		return "the name in " + at + " has no address: the name server does not know it (DNS)"
	case e.Failure() == proxmox.FailureRefused:
		return at + " refused the connection: nothing listens there"
	case e.Failure() == proxmox.FailureTimeout:
		return at + " did not answer in time (timeout)"
	case e.Failure() == proxmox.FailureTLS:
		return at + " did not show the certificate that was expected (TLS)"
	}
	return "the connection to " + at + " broke off"
}
