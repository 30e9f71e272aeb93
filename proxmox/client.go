package proxmox

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// The nodes of a cluster wait 30 s for each other before they say 596. With
	// less patience than that, a dead node would look like a dead cluster.
	requestTimeout = 35 * time.Second

	cooldown  = time.Minute            // for how long an address that failed is tried last
	rounds    = 3                      // through all addresses, for a read
	backoff   = 200 * time.Millisecond // before the second round; twice that before the third
	maxCalls  = 4                      // at a time: a node has three workers, each of which does one thing at a time
	maxBody   = 64 << 20
	maxErrors = 1 << 20 // of the body of an error
)

// Config says which cluster to talk to, and as whom.
type Config struct {
	Name         string            // of the cluster, in our own configuration
	URLs         []string          // origins such as https://pve1:8006, the first preferred; every node serves the whole cluster
	TokenID      string            // user@realm!token
	TokenSecret  Secret            //
	CAFile       string            // PEM; trusted instead of the system's authorities. Read at the first call
	Fingerprints []string          // SHA-256 of the server's own certificate, AA:BB:…; instead of CAFile. Several for a renewal, or one for each node
	Insecure     bool              // no verification at all; http:// allowed
	Log          *slog.Logger      // nil: nothing is logged
	Now          func() time.Time  // nil: time.Now
	Transport    http.RoundTripper // nil: our own. In its place for everything, TLS included
	Observe      func(Call)        // nil: nothing. Called once for each HTTP request, from the goroutine of the caller
}

// Call is one HTTP request, for metrics and logs. One method of [Client] makes
// several where it tries again.
type Call struct {
	Method   string
	Endpoint string // the path, with {node}, {vmid} and {upid} for the ids
	URL      string // the origin that was asked
	Attempt  int    // 1 for the first of this method call
	Status   int    // 0 where no answer came
	Err      error  // nil, *APIError, *TransportError or *DecodeError
	Duration time.Duration
	UPID     UPID // the task asked about, or the task that was started; "" for none
}

// Client talks to one cluster. It is safe for concurrent use.
//
// Its methods return *[APIError], *[TransportError] or *[DecodeError], or an
// error of which [NotSent] is true for arguments that no Proxmox would take.
type Client struct {
	name    string
	log     *slog.Logger
	now     func() time.Time
	observe func(Call)

	// Funcs, because fmt prints a secret in an unexported field whatever its type.
	authorization func() string
	redact        func(string) string

	calling chan struct{} // holds an element for each call under way

	connect  func() (*tlsTransports, error)
	mu       sync.Mutex
	made     *tlsTransports
	origins  []string
	failedAt []time.Time // of each origin; zero: it answered last time, or was never asked
}

type tlsTransports struct{ reads, writes http.RoundTripper }

var (
	tokenForm  = regexp.MustCompile(`^[^\s:/!=]+@[A-Za-z][A-Za-z0-9.\-_]+![A-Za-z][A-Za-z0-9.\-_]+$`)
	secretForm = regexp.MustCompile(`^[!-$&-~]+$`)
)

// New returns a client, or says what is wrong with the configuration. It does
// no I/O.
func New(cfg Config) (*Client, error) {
	wrong := func(format string, a ...any) error {
		return fmt.Errorf("proxmox: cluster %q: %w", cfg.Name, fmt.Errorf(format, a...))
	}
	if len(cfg.URLs) == 0 {
		return nil, wrong("no URL")
	}
	origins := make([]string, len(cfg.URLs))
	for i, s := range cfg.URLs {
		origin, err := parseOrigin(s, cfg.Insecure)
		if err != nil {
			return nil, wrong("URL %d: %w", i+1, err)
		}
		origins[i] = origin
	}
	// What was given instead is not shown: it may be the secret, in the wrong place.
	if !tokenForm.MatchString(cfg.TokenID) {
		return nil, wrong("the token id does not have the form user@realm!token")
	}
	secret := cfg.TokenSecret.Reveal()
	if !secretForm.MatchString(secret) {
		return nil, wrong("the token secret is empty, or not one word")
	}
	var pins []fingerprint
	for _, s := range cfg.Fingerprints {
		pin, err := parseFingerprint(s)
		if err != nil {
			return nil, wrong("%w", err)
		}
		pins = append(pins, pin)
	}
	if cfg.CAFile != "" && len(pins) > 0 || cfg.Insecure && (cfg.CAFile != "" || len(pins) > 0) {
		return nil, wrong("a CA file, fingerprints and insecure exclude each other")
	}

	c := &Client{
		name:     cfg.Name,
		log:      cfg.Log,
		now:      cfg.Now,
		observe:  cfg.Observe,
		calling:  make(chan struct{}, maxCalls),
		origins:  origins,
		failedAt: make([]time.Time, len(origins)),
		redact:   func(s string) string { return strings.ReplaceAll(s, secret, redacted) },
		connect: func() (*tlsTransports, error) {
			if cfg.Transport != nil {
				return &tlsTransports{cfg.Transport, cfg.Transport}, nil
			}
			verify, err := tlsConfig(cfg.CAFile, pins, cfg.Insecure)
			if err != nil {
				return nil, err
			}
			reads, writes := newTransports(verify)
			return &tlsTransports{reads, writes}, nil
		},
	}
	// Proxmox takes the value for percent-encoded.
	authorization := "PVEAPIToken=" + strings.ReplaceAll(cfg.TokenID, "%", "%25") + "=" + secret
	c.authorization = func() string { return authorization }
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.observe == nil {
		c.observe = func(Call) {}
	}
	return c, nil
}

// parseOrigin does not show what it refuses: there may be a password in it.
func parseOrigin(s string, insecure bool) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "", u.Path != "" && u.Path != "/":
		return "", errors.New("not an origin such as https://pve1:8006")
	case u.Scheme == "https", u.Scheme == "http" && insecure:
		return u.Scheme + "://" + u.Host, nil
	case u.Scheme == "http":
		return "", errors.New("http:// only with insecure")
	}
	return "", errors.New("not https://")
}

// Name returns the cluster's name in our configuration.
func (c *Client) Name() string { return c.name }

// CloseIdleConnections closes the connections that are kept for a few seconds
// after a call.
func (c *Client) CloseIdleConnections() {
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	if made == nil {
		return
	}
	if t, ok := made.reads.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// transports returns what connects us, made at the first call. A CA file that
// cannot be read is tried again at the next.
func (c *Client) transports() (*tlsTransports, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		made, err := c.connect()
		if err != nil {
			return nil, err
		}
		c.made = made
	}
	return c.made, nil
}

// order returns the addresses in the order in which to try them: as
// configured, but those that failed lately last. So none is ever given up, and
// after a while we are back at the preferred one.
func (c *Client) order() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var ready, failed []int
	for i, at := range c.failedAt {
		if at.IsZero() || now.Sub(at) >= cooldown {
			ready = append(ready, i)
		} else {
			failed = append(failed, i)
		}
	}
	return append(ready, failed...)
}

func (c *Client) mark(origin int, failedAt time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failedAt[origin] = failedAt
}

// request is one thing to ask, of whichever address.
type request struct {
	method   string
	endpoint string // with {node}, {vmid}, {storage}, {volume} and {upid}
	node     string
	vmid     int
	storage  string
	volume   string
	upid     UPID // asked about; after a write, what it started
	params   url.Values

	data     func(*reader)         // reads what is in "data"
	other    func(*reader, string) // reads what is beside it; nil: nothing
	nullable bool                  // "data": null is an answer

	path string    // set by check
	date time.Time // of the answer, by the server's clock; zero: not said
}

var (
	nodeForm    = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	storageForm = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]$`)
	volumeForm  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9._-]*:[^\s:]+$`)
)

// check refuses ids that no Proxmox has, before they become part of a path.
func (r *request) check() error {
	if strings.Contains(r.endpoint, "{node}") && !nodeForm.MatchString(r.node) {
		return fmt.Errorf("%w: %.100q is not the name of a node", errInvalid, r.node)
	}
	if strings.Contains(r.endpoint, "{vmid}") && !validVMID(r.vmid) {
		return fmt.Errorf("%w: %d is not a VMID", errInvalid, r.vmid)
	}
	if strings.Contains(r.endpoint, "{storage}") && !storageForm.MatchString(r.storage) {
		return fmt.Errorf("%w: %.100q is not the name of a storage", errInvalid, r.storage)
	}
	if strings.Contains(r.endpoint, "{volume}") && !volumeForm.MatchString(r.volume) {
		return fmt.Errorf("%w: %.100q is not a volume", errInvalid, r.volume)
	}
	if strings.Contains(r.endpoint, "{upid}") {
		if _, err := ParseUPID(string(r.upid)); err != nil {
			return fmt.Errorf("%w: %w", errInvalid, err)
		}
	}
	r.path = "/api2/json" + strings.NewReplacer(
		"{node}", r.node,
		"{vmid}", strconv.Itoa(r.vmid),
		"{storage}", r.storage,
		"{volume}", url.PathEscape(r.volume),
		"{upid}", url.PathEscape(string(r.upid)),
	).Replace(r.endpoint)
	return nil
}

// validVMID holds to the limits of the schema.
func validVMID(vmid int) bool { return vmid >= 100 && vmid <= 999_999_999 }

// read asks until an address answers: all of them, and where it may help all
// of them again. What Proxmox itself answers, a 595 for another node included,
// is final.
func (c *Client) read(ctx context.Context, r *request) error {
	if err := r.check(); err != nil {
		return err
	}
	leave, err := c.enter(ctx, r)
	if err != nil {
		return err
	}
	defer leave()
	attempt := 0
	untried := c.order()
	var last error
	for round := range rounds {
		if round > 0 && !wait(ctx, backoff<<(round-1)) {
			if errors.Is(ctx.Err(), context.Canceled) {
				return &TransportError{Method: r.method, Endpoint: r.endpoint, URL: c.origins[0], Sent: !NotSent(last), Err: ctx.Err()}
			}
			return last
		}
		var again []int
		for _, origin := range untried {
			attempt++
			err := c.attempt(ctx, r, origin, attempt)
			if !mayHelp(err) || ctx.Err() != nil {
				return err
			}
			if transport, ok := errors.AsType[*TransportError](err); !ok || transport.passing() {
				again = append(again, origin)
			}
			last = err
		}
		if untried = again; len(untried) == 0 {
			break
		}
	}
	return last
}

// enter waits until few enough calls are under way. Nothing was sent where it
// returns an error.
func (c *Client) enter(ctx context.Context, r *request) (leave func(), err error) {
	select {
	case c.calling <- struct{}{}:
		return func() { <-c.calling }, nil
	case <-ctx.Done():
		return nil, &TransportError{Method: r.method, Endpoint: r.endpoint, URL: c.origins[0], Err: ctx.Err()}
	}
}

// mayHelp reports whether another address may answer what this one did not.
func mayHelp(err error) bool {
	if api, ok := errors.AsType[*APIError](err); ok {
		return fromGateway(api.Status)
	}
	_, ok := errors.AsType[*TransportError](err)
	return ok
}

// write asks once. It moves on to the next address only where no connection
// could be made, so that nothing can have been sent.
func (c *Client) write(ctx context.Context, r *request) error {
	if err := r.check(); err != nil {
		return err
	}
	leave, err := c.enter(ctx, r)
	if err != nil {
		return err
	}
	defer leave()
	var last error
	for i, origin := range c.order() {
		err := c.attempt(ctx, r, origin, i+1)
		if err == nil || !NotSent(err) || ctx.Err() != nil {
			return err
		}
		last = err
	}
	return last
}

// wait waits for about d, and reports whether ctx lasted.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt asks one address once, reads the answer, and remembers how it went.
func (c *Client) attempt(ctx context.Context, r *request, origin, n int) error {
	began := c.now()
	status, body, err := c.exchange(ctx, r, c.origins[origin])
	switch {
	case err == nil:
		err = c.decode(r, body)
		c.mark(origin, time.Time{})
	case errors.Is(ctx.Err(), context.Canceled): // says nothing about the address
	case status == 0 || fromGateway(status):
		c.mark(origin, c.now())
	default:
		c.mark(origin, time.Time{})
	}
	took := c.now().Sub(began)
	c.observe(Call{
		Method: r.method, Endpoint: r.endpoint, URL: c.origins[origin], Attempt: n,
		Status: status, Err: err, Duration: took, UPID: r.upid,
	})
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		c.log.WarnContext(ctx, "proxmox did not do it", "cluster", c.name, "method", r.method, "endpoint", r.endpoint, "url", c.origins[origin],
			"node", r.node, "vmid", r.vmid, "upid", string(r.upid), "attempt", n, "status", status, "duration", took, "err", err)
	}
	return err
}

func (c *Client) decode(r *request, body []byte) error {
	if len(body) > maxBody {
		return &DecodeError{Endpoint: r.endpoint, Err: fmt.Errorf("more than %d MiB", maxBody>>20)}
	}
	field, err := decode(body, r)
	if err != nil {
		return &DecodeError{Endpoint: r.endpoint, Field: c.redact(field), Err: err}
	}
	return nil
}

// exchange sends r to one address and returns the body of a success.
func (c *Client) exchange(ctx context.Context, r *request, origin string) (status int, body []byte, err error) {
	var called bool
	var asked, connected, badHandshake atomic.Bool // told from other goroutines
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	broken := func(err error) error {
		switch {
		case caller.Err() != nil:
			err = caller.Err()
		case ctx.Err() != nil:
			err = fmt.Errorf("no answer within %v: %w", requestTimeout, context.DeadlineExceeded)
		}
		if text := err.Error(); c.redact(text) != text { // net/http quotes what it cannot parse
			err = errors.New(c.redact(text))
		}
		return &TransportError{
			Method: r.method, Endpoint: r.endpoint, URL: origin, Err: err,
			// Of a transport that does not tell, the worst is assumed.
			Sent:      called && (connected.Load() || !asked.Load()),
			handshake: badHandshake.Load(),
		}
	}

	transports, err := c.transports()
	if err != nil {
		badHandshake.Store(true)
		return 0, nil, broken(err)
	}
	if ctx.Err() != nil {
		return 0, nil, broken(ctx.Err())
	}
	transport := transports.reads
	if r.method != http.MethodGet {
		transport = transports.writes
	}
	req, err := c.newRequest(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:          func(string) { asked.Store(true) },
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) { badHandshake.Store(err != nil) },
		GotConn:          func(httptrace.GotConnInfo) { connected.Store(true) },
	}), r, origin)
	if err != nil {
		return 0, nil, broken(err)
	}
	called = true
	// A transport, unlike an http.Client, follows no redirect: the token would
	// go to wherever the answer says.
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, broken(err)
	}
	defer resp.Body.Close()
	r.date, _ = http.ParseTime(resp.Header.Get("Date"))
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, nil, c.apiError(r, resp)
	}
	body, err = readBody(resp)
	if err != nil {
		return 0, nil, broken(err)
	}
	return resp.StatusCode, body, nil
}

// newRequest puts the parameters of a POST into a form and all others into the
// query: Proxmox refuses a GET or DELETE with a body.
func (c *Client) newRequest(ctx context.Context, r *request, origin string) (*http.Request, error) {
	target, form := origin+r.path, ""
	switch {
	case r.method == http.MethodPost:
		form = r.params.Encode()
	case len(r.params) > 0:
		target += "?" + r.params.Encode()
	}
	var body io.Reader
	if form != "" {
		body = strings.NewReader(form)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", c.authorization())
	req.Header.Set("User-Agent", "pvechat")
	if r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, nil
}

// readBody reads one byte more than is allowed, at most.
func readBody(resp *http.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 {
		// The hint is the server's: a large answer still has to come to be kept.
		b.Grow(int(min(n, 8<<20)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	return b.Bytes(), err
}

// apiError reads what there is of an error: the status line, and where it came
// as Proxmox sends it, the body.
func (c *Client) apiError(r *request, resp *http.Response) *APIError {
	_, reason, _ := strings.Cut(resp.Status, " ")
	e := &APIError{
		Method: r.method, Endpoint: r.endpoint, Node: r.node,
		Status: resp.StatusCode, Reason: c.redact(strings.TrimSpace(reason)),
	}
	if resp.StatusCode < http.StatusBadRequest {
		e.Message = "not an answer of the API; redirects are not followed"
		if to := resp.Header.Get("Location"); to != "" {
			e.Message += ": " + c.redact(to)
		}
		return e
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrors))
	rd := newReader(body)
	for name := range rd.object() {
		switch string(name) {
		case "message":
			e.Message = c.redact(strings.TrimSpace(rd.text()))
		case "errors":
			e.Errors = make(map[string]string)
			for name := range rd.object() {
				name := c.redact(string(name))
				e.Errors[name] = c.redact(strings.TrimSpace(rd.text()))
			}
		default:
			rd.skip()
		}
	}
	return e
}
