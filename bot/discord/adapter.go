// Package discord is the chat adapter for Discord: it turns what people do there
// into invocations, and answers into messages of Components V2 and modals.
//
// What people do comes over the gateway or, in HTTP mode, to [Adapter.Routes];
// everything behind that is the same.
//
// It stands on discordgo for the gateway and for REST. What discordgo v0.29 does
// badly is kept away from it: the gateway's messages that make it hang or
// identify in a loop never reach it (relay.go), it never reconnects by itself
// (gateway.go), and it never retries or waits on its own (rest.go).
package discord

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"
	"github.com/gorilla/websocket"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/chat/webhook"
)

// Config is what an [Adapter] needs. It prints without the token.
type Config struct {
	BotToken      string   // discord.bot_token, without "Bot "
	ApplicationID string   // discord.application_id
	GuildIDs      []string // discord.guild_ids; where commands are registered; empty: everywhere

	// PublicKey is the application's, in hexadecimal digits, for HTTP mode; empty:
	// the gateway.
	PublicKey string

	// Lease is for processes that share this bot: the gateway is connected only
	// while it is held. nil: there are none. HTTP mode needs none.
	Lease Lease

	APIURL      string            // origin of the API; empty: https://discord.com
	HTTPTimeout time.Duration     // of one request; zero: 10 s
	Transport   http.RoundTripper // nil: one like [http.DefaultTransport]
	Dialer      *websocket.Dialer // of the gateway; nil: [websocket.DefaultDialer]
	Log         *slog.Logger      // nil: nothing is logged
	Now         func() time.Time  // nil: [time.Now]
}

// Format keeps the token out of every verb.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "discord.Config{application %s}", c.ApplicationID)
}

// LogValue keeps the token out of logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Adapter is Discord as a [chat.Platform].
type Adapter struct {
	cfg    Config
	log    *slog.Logger
	now    func() time.Time
	way    *transport
	client *http.Client
	rest   *discordgo.Session // for requests; never opened
	pace   pace.Pacer
	forms  forms
	copies copies

	suspect chan struct{} // the token was refused

	endpoint *webhook.Endpoint // of HTTP mode, or nil
	running  *running          // of Run; the endpoint lets nobody near before it is there

	mu     sync.Mutex
	health chat.Health
	dms    map[string]string // channels of direct messages, by person
}

var _ chat.Platform = (*Adapter)(nil)

// New makes an Adapter. An error names the key of the configuration that is
// wrong.
func New(cfg Config) (*Adapter, error) {
	if cfg.BotToken == "" {
		return nil, errors.New("discord: discord.bot_token is missing")
	}
	if !snowflake(cfg.ApplicationID) {
		return nil, fmt.Errorf("discord: discord.application_id %q is not a number", cfg.ApplicationID)
	}
	for _, id := range cfg.GuildIDs {
		if !snowflake(id) {
			return nil, fmt.Errorf("discord: discord.guild_ids: %q is not a number", id)
		}
	}
	if cfg.APIURL == "" {
		cfg.APIURL = "https://discord.com"
	}
	origin, err := url.Parse(cfg.APIURL)
	if err != nil || origin.Scheme != "https" && origin.Scheme != "http" || origin.Host == "" || strings.Trim(origin.Path, "/") != "" {
		return nil, fmt.Errorf("discord: discord.api_url %q is no origin such as https://discord.com", cfg.APIURL)
	}
	if cfg.HTTPTimeout <= 0 {
		cfg.HTTPTimeout = 10 * time.Second
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if cfg.Dialer == nil {
		cfg.Dialer = websocket.DefaultDialer
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	way := &transport{origin: origin, next: cfg.Transport}
	a := &Adapter{
		cfg:     cfg,
		log:     cfg.Log,
		now:     cfg.Now,
		way:     way,
		client:  &http.Client{Timeout: cfg.HTTPTimeout, Transport: way},
		suspect: make(chan struct{}, 1),
		dms:     map[string]string{},
		health:  chat.Health{Detail: "not started", Since: cfg.Now()},
	}
	way.pace = &a.pace
	if cfg.PublicKey != "" {
		if a.endpoint, err = newEndpoint(cfg); err != nil {
			return nil, err
		}
	}
	if a.rest, err = a.session(a.client); err != nil {
		return nil, err
	}
	return a, nil
}

// session makes a session of discordgo that does nothing by itself.
func (a *Adapter) session(client *http.Client) (*discordgo.Session, error) {
	s, err := discordgo.New("Bot " + a.cfg.BotToken)
	if err != nil {
		return nil, fmt.Errorf("discord: %w", err)
	}
	s.Client = client
	s.LogLevel = -1 // it would log to the standard logger
	s.StateEnabled = false
	s.SyncEvents = true
	s.ShouldReconnectOnError = false
	s.ShouldReconnectVoiceOnSessionError = false
	s.ShouldRetryOnRateLimit = false
	s.MaxRestRetries = 0
	s.Compress = false
	s.Identify.Compress = false
	s.Identify.Intents = discordgo.IntentsNone // interactions come without any
	return s, nil
}

// Format keeps what a holds out of every verb.
func (a *Adapter) Format(f fmt.State, _ rune) { fmt.Fprint(f, a.cfg) }

// Name implements [chat.Platform].
func (a *Adapter) Name() chat.PlatformName { return chat.Discord }

// Space implements [chat.Platform]: a row is three components of the forty that
// a message holds.
func (a *Adapter) Space() chat.Space {
	return chat.Space{Board: 8, Panel: 8, Jump: maxOptions, Events: 6, Pictures: true}
}

// Health implements [chat.Platform].
func (a *Adapter) Health() chat.Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.health
	if h.OK && h.Detail == "" && a.endpoint != nil {
		h.Detail = a.endpoint.Detail()
	}
	if wait := a.way.refused.wait(time.Now()); h.OK && wait > 0 {
		h.OK, h.Detail = false, fmt.Sprintf("paused for %s: Discord refused %d requests in %s", wait.Round(time.Second), refusals, refusalsIn)
	}
	return h
}

// report sets the health, and keeps since when it is so.
func (a *Adapter) report(ok bool, detail string) { a.note(chat.Health{OK: ok, Detail: detail}) }

// stands notes that another process holds the gateway.
func (a *Adapter) stands(other string) {
	a.note(chat.Health{OK: true, Standby: true, Detail: "stands by, " + other + " holds the gateway"})
}

func (a *Adapter) note(h chat.Health) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h.Since = a.health.Since
	if h.OK != a.health.OK {
		h.Since = a.now()
	}
	a.health = h
}

// snowflake reports whether id is an id of Discord's.
func snowflake(id string) bool {
	return id != "" && len(id) <= 20 && strings.Trim(id, "0123456789") == ""
}
