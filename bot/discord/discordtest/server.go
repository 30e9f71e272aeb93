// Package discordtest simulates Discord for one guild: the REST API v9 (and v10,
// which is the same here), the gateway, and what people see and press. It serves
// tests and the demo page.
//
// It refuses what Discord refuses, in Discord's words: every limit on messages,
// components, forms and commands, the three seconds an application has for its
// answer, the fifteen minutes that an interaction's token lives. The facts come
// from Discord's developer documentation and its OpenAPI description; where those
// are silent, a comment says so. It knows nothing of any client library: requests
// are read as raw JSON, so that it cannot share a mistake with the code under test.
//
// People act through [Server.Command], [Server.Click], [Server.Choose],
// [Server.Submit] and [Server.Autocomplete]; what they see is in
// [Server.Messages] and [Server.Modal]. Faults are switched on by the methods of
// faults.go. A request for which there is no route is answered with 404 and kept
// in [Server.Unexpected].
//
// Not simulated: voice, reactions, stickers, polls, message events of the
// gateway, sharding, and the components that only newer forms have (types 18 and
// up, which are refused).
package discordtest

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options configures a [Server]. The zero value is a server on a free port of
// the loopback interface with the real limits.
type Options struct {
	// Now is the clock of messages, tokens and rate limits; nil is [time.Now].
	// Deadline and the gateway's heartbeats run on real timers.
	Now func() time.Time

	BotToken      string // without "Bot "; empty is "test-token"
	ApplicationID string // a number; empty is a default, like the next two
	BotUserID     string
	GuildID       string

	// HeartbeatEvery is the interval told to gateway clients; zero is 41.25 s.
	HeartbeatEvery time.Duration

	// Listener is served instead of a new one on 127.0.0.1, for connections in
	// memory. Close closes it.
	Listener net.Listener

	// Deadline is how long an application has for its first response to an
	// interaction; zero is 3 s.
	Deadline time.Duration

	// TokenLife is how long an interaction's token works after that response;
	// zero is 15 min.
	TokenLife time.Duration

	// HTTPClient delivers interactions to an endpoint, see
	// [Server.SetInteractionsEndpoint]; nil is a client of its own.
	HTTPClient *http.Client
}

// Server is a simulated Discord. Its methods are safe for concurrent use.
type Server struct {
	opts       Options
	publicKey  ed25519.PublicKey
	privateKey ed25519.PrivateKey

	http   *http.Server
	routes *http.ServeMux
	host   string
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	busy   sync.WaitGroup

	mu            sync.Mutex
	changes       chan struct{} // closed and replaced at every change
	subscribers   map[chan struct{}]struct{}
	snowflakes    snowflakes
	users         map[string]*user
	channels      map[string]*channel
	commands      []*command
	creates       []time.Time // of commands, for the daily limit
	interactions  map[string]*interaction
	tokens        map[string]*interaction
	last          object // interaction that was delivered
	modals        map[string]*openModal
	requests      []*Request
	unexpected    []*Request
	endpoint      string // of interactions; empty: the gateway
	limits        limits
	faults        faults
	gateway       gateway
	tokenReset    bool
	oldEdits      map[string][]time.Time // by channel
	oldEditsLimit int
}

// New returns a server that does not listen yet. It panics where an id of opts
// is not a number: that is a mistake in the test.
func New(opts Options) *Server {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	fill := func(v *string, def string) {
		if *v == "" {
			*v = def
		}
	}
	fill(&opts.BotToken, "test-token")
	fill(&opts.ApplicationID, "3000000000000000003")
	fill(&opts.BotUserID, "3000000000000000009")
	fill(&opts.GuildID, "4000000000000000004")
	for _, id := range []string{opts.ApplicationID, opts.BotUserID, opts.GuildID} {
		mustBeSnowflake(id)
	}
	if opts.HeartbeatEvery == 0 {
		opts.HeartbeatEvery = 41250 * time.Millisecond
	}
	if opts.Deadline == 0 {
		opts.Deadline = 3 * time.Second
	}
	if opts.TokenLife == 0 {
		opts.TokenLife = 15 * time.Minute
	}
	if opts.HTTPClient == nil {
		opts.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	s := &Server{
		opts:          opts,
		publicKey:     public,
		privateKey:    private,
		changes:       make(chan struct{}),
		subscribers:   make(map[chan struct{}]struct{}),
		users:         make(map[string]*user),
		channels:      make(map[string]*channel),
		interactions:  make(map[string]*interaction),
		tokens:        make(map[string]*interaction),
		modals:        make(map[string]*openModal),
		oldEdits:      make(map[string][]time.Time),
		oldEditsLimit: editsOfOldMessages,
	}
	s.limits.windows = make(map[string]*window)
	s.gateway.init()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.routes = s.newRoutes()
	return s
}

// Start listens and serves. The error is that of listening.
func (s *Server) Start() error {
	ln := s.opts.Listener
	if ln == nil {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("discordtest: listen: %w", err)
		}
	}
	s.host = ln.Addr().String()
	if _, _, err := net.SplitHostPort(s.host); err != nil {
		s.host = "discord.invalid" // in memory: the client's dialer ignores it
	}
	s.http = &http.Server{
		Handler:     http.HandlerFunc(s.serve),
		BaseContext: func(net.Listener) context.Context { return s.ctx },
	}
	s.busy.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.cancel()
		}
	})
	return nil
}

// Close stops the server, cuts every connection, and returns when all that it
// started has ended. People who still wait for an answer get an error.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	for _, it := range s.interactions {
		it.timer.Stop()
	}
	for c := range s.gateway.conns {
		_ = c.ws.Close()
	}
	s.mu.Unlock()
	if s.http != nil {
		_ = s.http.Close()
	}
	s.opts.HTTPClient.CloseIdleConnections()
	s.busy.Wait()
}

// URL is the origin, without a slash at its end. REST lies under /api/v9/ and
// /api/v10/, the gateway is where GET /api/v9/gateway says.
func (s *Server) URL() string { return "http://" + s.host }

func (s *Server) gatewayURL() string { return "ws://" + s.host + "/ws/" }

// PublicKey is the key, in hex, that verifies interactions delivered over HTTP.
func (s *Server) PublicKey() string { return hex.EncodeToString(s.publicKey) }

// Await returns when cond holds, looking again after every change on the server.
// The error names what, and wraps that of ctx. cond may call the server.
func (s *Server) Await(ctx context.Context, what string, cond func() bool) error {
	for {
		s.mu.Lock()
		changes := s.changes
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return fmt.Errorf("discordtest: waiting for %s: %w", what, ctx.Err())
		case <-s.ctx.Done():
			return fmt.Errorf("discordtest: waiting for %s: server closed", what)
		}
	}
}

// Subscribe returns a channel that holds a value whenever something changed since
// it was last read: requests, messages, forms, connections. Changes in a burst
// may come as one. cancel ends the subscription.
func (s *Server) Subscribe() (changes <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	s.subscribers[ch] = struct{}{}
	s.mu.Unlock()
	return ch, func() {
		s.mu.Lock()
		delete(s.subscribers, ch)
		s.mu.Unlock()
	}
}

// changed tells everybody who waits; s.mu is held.
func (s *Server) changed() {
	close(s.changes)
	s.changes = make(chan struct{})
	for ch := range s.subscribers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

func (s *Server) now() time.Time { return s.opts.Now() }
