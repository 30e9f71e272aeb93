// Package slacktest is a Slack workspace for tests and for the demo: the Web
// API, Socket Mode, signed requests, response URLs and the people who type and click, over real
// HTTP and WebSocket. It shares no type with any Slack client, so it cannot
// agree with a client's mistakes, and it refuses what Slack refuses: the limits
// of Block Kit, scopes, membership, triggers that live three seconds, response
// URLs that work five times, acknowledgements that come too late.
//
// A [Server] is the whole workspace. People act through [Server.Command],
// [Server.Click], [Server.Choose], [Server.Submit], [Server.CloseView] and
// [Server.OpenHome]; what they see is in [Server.Messages], [Server.Views] and
// [Server.Home]; what the bot sent, word for word, is in [Server.Requests] and
// [Server.Acks]. Nothing here sleeps for the caller: [Server.Await] waits for a
// condition and looks again after every change.
//
// # Where the facts come from
//
// Limits, errors and shapes are those of Slack's method pages, of its SDKs'
// type comments, and of answers quoted in public issues. These points are only
// third-party knowledge, or not documented at all, and chosen here:
//
//   - A message is too long (msg_blocks_too_long) above 13,200 characters of
//     visible text, a header counting 100 more. [Options.StrictSize] counts the
//     characters of the blocks' JSON instead; the truth is one of the two.
//   - replace_original on a slash command's response URL replaces the last
//     message that this URL made; [Options.NoSlashReplace] makes it a new
//     message, as reported to bolt-js (#2287) and bolt-python (#1268). It is
//     wise to work with both. delete_original is refused there.
//   - Errors of a response URL: 404 with used_url or expired_url, else 200 with
//     ok false.
//   - An envelope that is not acknowledged is sent again once, an event three
//     times, one [Options.Deadline] apart; Slack spreads an event's retries over
//     minutes.
//   - views.open while a modal is open replaces the person's stack. An empty
//     acknowledgement of a submission closes whatever view is on top then, also
//     one that was opened before the acknowledgement.
//   - An input keeps what was typed when a view is updated, as long as its
//     block_id, action_id and type stay; a new initial value is then not shown.
//   - A view may have 250,000 bytes of JSON.
//   - An event that is not acknowledged over HTTP is sent again as over a
//     socket; Slack waits a minute and five between its retries. Any other
//     answer than 200 is an error to a person at once.
//   - Acknowledgements in several WebSocket frames are reassembled here; Slack
//     does not do that.
//
// Blocks and elements that the bot has no use for (dates, people and channel
// pickers, video, files, …) are refused as unsupported types.
package slacktest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// What the workspace and the app are called.
const (
	TeamID    = "T0TEAM001"
	AppID     = "A0APP0001"
	BotID     = "B0BOT0001"
	BotUserID = "U0BOT0001"

	teamDomain = "example"
)

// Options configures a [Server]. The zero value is a good one.
type Options struct {
	// Now is the clock of timestamps, triggers, response URLs and rate limits.
	// Default time.Now. Deadline and PingEvery run on timers of package time.
	Now func() time.Time

	BotToken string   // default "xoxb-test"
	AppToken string   // default "xapp-test"
	Scopes   []string // of the bot token; default: those of the app's manifest
	Command  string   // the slash command; default "/pve"

	// SigningSecret signs requests, see [Server.SetRequestURL]; default
	// "signing-secret".
	SigningSecret string

	PingEvery time.Duration // between WebSocket pings; default 5 s
	Deadline  time.Duration // for an acknowledgement; default 3 s
	Listener  net.Listener  // default: a free port of the loopback address

	// StrictLimits enforces the rate limits of Slack's tiers, and one message a
	// second in a channel. Without it they are a hundred times as wide, which
	// still catches a loop that runs hot.
	StrictLimits bool

	StrictSize     bool // see the package comment
	NoSlashReplace bool // see the package comment
}

// Server is a Slack workspace with one app installed. All methods are safe for
// concurrent use.
type Server struct {
	opts Options
	srv  *http.Server
	base string // http://host:port

	client     *http.Client // of requests to the bot
	requestURL string       // "": everything goes over connections

	done    chan struct{}
	running context.Context // ends with done
	end     context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	started bool
	closed  bool
	changed chan struct{} // closed at the next change
	serial  int
	lastTS  int64 // microseconds

	workspace
	modals
	sockets
	faults
	limits
	triggers     map[string]*trigger
	responseURLs map[string]*responseURL // by path
	requests     []*Request
	unexpected   []string
}

// New returns a workspace without people and channels. It does no I/O.
func New(opts Options) *Server {
	setDefault(&opts.BotToken, "xoxb-test")
	setDefault(&opts.AppToken, "xapp-test")
	setDefault(&opts.Command, "/pve")
	setDefault(&opts.SigningSecret, "signing-secret")
	setDefault(&opts.PingEvery, 5*time.Second)
	setDefault(&opts.Deadline, 3*time.Second)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Scopes == nil {
		opts.Scopes = []string{"commands", "chat:write", "im:write", "users:read", "usergroups:read", "channels:read", "groups:read"}
	}
	running, end := context.WithCancel(context.Background())
	return &Server{
		running:      running,
		end:          end,
		opts:         opts,
		client:       &http.Client{Transport: &http.Transport{}},
		done:         make(chan struct{}),
		changed:      make(chan struct{}),
		workspace:    newWorkspace(),
		modals:       newModals(),
		sockets:      newSockets(),
		faults:       newFaults(),
		limits:       limits{},
		triggers:     map[string]*trigger{},
		responseURLs: map[string]*responseURL{},
	}
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Start listens and serves until [Server.Close].
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closed {
		return fmt.Errorf("slacktest: started twice")
	}
	ln := s.opts.Listener
	if ln == nil {
		var err error
		if ln, err = new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"); err != nil {
			return fmt.Errorf("slacktest: %w", err)
		}
	}
	s.started = true
	s.base = "http://" + ln.Addr().String()
	s.srv = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	s.wg.Go(func() { _ = s.srv.Serve(ln) }) // ends with Close
	return nil
}

// Close cuts every connection and returns when everything has ended.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	close(s.done)
	s.end()
	for _, c := range s.conns {
		c.cut()
	}
	srv := s.srv
	s.mu.Unlock()
	if srv != nil {
		_ = srv.Close()
	}
	s.wg.Wait()
	s.client.CloseIdleConnections()
}

// APIURL is the address of the Web API, with the slash at its end. It is valid
// once the server has started.
func (s *Server) APIURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base + "/api/"
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serveAPI)
	mux.HandleFunc("/link/", s.serveSocket)
	mux.HandleFunc("/commands/", s.serveResponseURL)
	mux.HandleFunc("/actions/", s.serveResponseURL)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.surprise("%s %s", r.Method, r.URL.Path)
		s.mu.Unlock()
		http.NotFound(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		s.wg.Add(1)
		s.mu.Unlock()
		defer s.wg.Done()
		mux.ServeHTTP(w, r)
	})
}

// Changes returns a channel that is closed at the next change of anything that
// can be seen here. Take it before looking, then wait for it.
func (s *Server) Changes() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Await waits until cond holds and looks again after every change. cond may
// call the server. The error names what was waited for.
func (s *Server) Await(ctx context.Context, what string, cond func() bool) error {
	for {
		change := s.Changes()
		if cond() {
			return nil
		}
		select {
		case <-change:
		case <-s.done:
			return fmt.Errorf("slacktest: closed while waiting for %s", what)
		case <-ctx.Done():
			return fmt.Errorf("slacktest: waiting for %s: %w", what, ctx.Err())
		}
	}
}

// AwaitConnections waits until at least n Socket Mode connections are open.
func (s *Server) AwaitConnections(ctx context.Context, n int) error {
	return s.Await(ctx, fmt.Sprintf("%d connections", n), func() bool { return len(s.Connections()) >= n })
}

// Unexpected lists what the bot did that no correct bot does, and that Slack
// would have answered with little more than silence: unknown methods and
// addresses, acknowledgements of unknown envelopes or of 20 KB and more,
// submissions answered with a view that Slack does not accept. A test should
// find it empty.
func (s *Server) Unexpected() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.unexpected)
}

// The methods below need s.mu.

func (s *Server) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) surprise(format string, args ...any) {
	s.unexpected = append(s.unexpected, fmt.Sprintf(format, args...))
	s.touch()
}

func (s *Server) nextID() int {
	s.serial++
	return s.serial
}

// stamp returns a timestamp in Slack's form, later than every one before.
func (s *Server) stamp() string {
	s.lastTS = max(s.opts.Now().UnixMicro(), s.lastTS+1)
	return fmt.Sprintf("%d.%06d", s.lastTS/1e6, s.lastTS%1e6)
}
