package proxmox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Limits of one connection. pveproxy closes one that was idle for 5 s: below
// that, it is we who close it, and no request is lost on the way. An address
// that drops packets must not hold up the next one for long.
const (
	dialTimeout      = 5 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 4 * time.Second
)

type fingerprint [sha256.Size]byte

// parseFingerprint reads AA:BB:…, as Proxmox shows it; the colons may be missing.
func parseFingerprint(s string) (fingerprint, error) {
	var f fingerprint
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil || len(b) != len(f) {
		return f, fmt.Errorf("%.100q is not a SHA-256 fingerprint (32 pairs AA:BB:…)", s)
	}
	return fingerprint(b), nil
}

func (f fingerprint) String() string {
	pairs := make([]string, len(f))
	for i, b := range f {
		pairs[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(pairs, ":")
}

// PinError says that a server has another certificate than the pinned ones.
type PinError struct {
	Seen string // its SHA-256 fingerprint, AA:BB:…
}

func (e *PinError) Error() string {
	return "the server's certificate is " + e.Seen + ", which is not a pinned one"
}

// tlsConfig returns how servers are to be verified. It reads the CA file.
func tlsConfig(caFile string, pins []fingerprint, insecure bool) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case insecure:
		cfg.InsecureSkipVerify = true // #nosec G402 -- what the person asked for, by that name
	case len(pins) > 0:
		// Right although it looks wrong: a pin replaces the chain of
		// signatures, the names and the dates by one question, whether this is
		// the certificate that a person has seen. That the server holds its
		// key is proved by the handshake all the same. VerifyConnection, unlike
		// VerifyPeerCertificate, is also called when a session is resumed.
		cfg.InsecureSkipVerify = true // #nosec G402 -- see above
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("the server shows no certificate")
			}
			seen := fingerprint(sha256.Sum256(cs.PeerCertificates[0].Raw))
			if !slices.Contains(pins, seen) {
				return &PinError{Seen: seen.String()}
			}
			return nil
		}
	case caFile != "":
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(bytes.TrimSpace(pem)) {
			return nil, fmt.Errorf("CA file: no certificate in %s", caFile)
		}
	}
	return cfg, nil
}

// newTransports returns the transports for reads and for writes.
func newTransports(cfg *tls.Config) (reads, writes *http.Transport) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // all that pveproxy speaks
	reads = &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     cfg,
		TLSHandshakeTimeout: handshakeTimeout,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: maxCalls,
		Protocols:           protocols,
		ReadBufferSize:      64 << 10, // the one answer that matters has megabytes
		// To compress the answer of 10,000 containers takes some 40 ms of a worker
		// that serves nobody else meanwhile, and more of our own time to unpack: a
		// local network is faster.
		DisableCompression: true,
	}
	// A write gets a connection of its own. A kept one may be closed by the
	// server at the moment at which we write, and then nobody can say whether
	// the request was read.
	writes = reads.Clone()
	writes.DisableKeepAlives = true
	return reads, writes
}

// Certificates returns until when the certificates of the addresses are valid,
// by host and port. Addresses that cannot be reached or verified are missing.
func (c *Client) Certificates(ctx context.Context) map[string]time.Time {
	until := map[string]time.Time{}
	made, err := c.transports()
	if err != nil {
		return until
	}
	reads, ok := made.reads.(*http.Transport)
	if !ok {
		return until
	}
	for _, origin := range c.origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "https" {
			continue
		}
		host := u.Host
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), "443")
		}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: reads.TLSClientConfig}
		conn, err := d.DialContext(ctx, "tcp", host)
		if err != nil {
			continue
		}
		if certs := conn.(*tls.Conn).ConnectionState().PeerCertificates; len(certs) > 0 {
			until[u.Host] = certs[0].NotAfter
		}
		_ = conn.Close()
	}
	return until
}

// Certificate is what a node shows to whoever connects.
type Certificate struct {
	Fingerprint string // SHA-256, AA:BB:…, as `pvenode cert info` shows it
	Names       []string
	Until       time.Time
	Trusted     bool // an authority that this machine trusts has signed it for that address
}

// SeeCertificate looks at the certificate of an https origin without believing
// it, and sends nothing there. The error is a *[TransportError].
func SeeCertificate(ctx context.Context, origin string) (Certificate, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return Certificate{}, fmt.Errorf("proxmox: %q is no address such as https://pve1:8006", origin)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "443")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+handshakeTimeout)
	defer cancel()
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, // #nosec G402 -- a person judges what is seen
	}}
	conn, err := d.DialContext(ctx, "tcp", host)
	if err != nil {
		_, dialed := errors.AsType[*net.OpError](err)
		return Certificate{}, &TransportError{Method: http.MethodGet, Endpoint: "/", URL: origin, Err: err, handshake: !dialed}
	}
	defer conn.Close()
	certs := conn.(*tls.Conn).ConnectionState().PeerCertificates // a server shows one, or there is no handshake
	leaf, between := certs[0], x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: u.Hostname(), Intermediates: between})
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return Certificate{fingerprint(sha256.Sum256(leaf.Raw)).String(), names, leaf.NotAfter, err == nil}, nil
}
