// Package slack connects the bot to a Slack workspace: over Socket Mode, which
// needs no address of the bot's own, or over HTTP, where Slack calls
// [Adapter.Routes]. Everything behind the delivery is the same.
//
// It decodes what people do into a [chat.Invocation], shows what the bot
// answers as messages, modals and App Home, and owns everything that is
// Slack's: limits, escapes, triggers, response addresses and rate limits.
//
// # What Slack cannot do
//
//   - A message that one person sees cannot be reached by its id, only through
//     the response address of the act that made it: five times in half an
//     hour. What a press on a shared message showed cannot be replaced at all;
//     an Update of it shows one more message, a Delete is [chat.ErrGone].
//   - An app cannot close a modal but as the answer to a form. Closing a panel,
//     and Delete of one, shows a line in its place.
//   - A modal opens only within three seconds of an act. If that has passed,
//     what it would show comes as a message that only the person sees.
//
// The answer to a click replaces whatever its view shows. A refresh, and what an
// answer finds out later, carry the hash of what they are to replace: Slack refuses
// them where another click or another process has changed the view since.
package slack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
	"github.com/pvechat/pvechat/bot/chat/webhook"
)

const (
	defaultAPIURL      = "https://slack.com/api/"
	defaultConnections = 2
	requestTimeout     = 10 * time.Second
)

// Secret is a token, or an address that works like one. It prints as
// [redacted].
type Secret string

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, redacted) }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Config configures an [Adapter].
type Config struct {
	BotToken Secret // xoxb-…; scopes as in [Manifest]

	// Either is needed: an AppToken (xapp-…, with connections:write) for Socket
	// Mode, or the SigningSecret of the app for HTTP mode.
	AppToken, SigningSecret Secret

	// APIURL is the address of the Web API. Default https://slack.com/api/.
	APIURL string

	// Groups are the ids of the user groups that [chat.Person].Groups may
	// name. Without any, no group is ever asked for.
	Groups []string

	// Connections is the number of Socket Mode connections. Slack renews each
	// of them every few hours; with two or more nothing is missed meanwhile.
	// Default 2; Slack takes 10 of an app. HTTP mode has none.
	Connections int

	HTTPClient *http.Client      // default: one with a timeout of 10 s
	Dialer     *websocket.Dialer // default: websocket.DefaultDialer
	Log        *slog.Logger      // default: none
	Now        func() time.Time  // default time.Now
}

// Adapter is a [chat.Platform] on Slack.
type Adapter struct {
	config  Config
	api     *slackgo.Client
	pace    pace.Pacer
	answers answers
	hashes  hashes
	groups  groups
	stagger time.Duration // between the starts of two connections
	suspect chan struct{} // the bot token was refused

	endpoint *webhook.Endpoint // of HTTP mode, or nil
	inbox    *inbox            // of Run; the endpoint lets nobody near before it is there

	mu     sync.Mutex
	health chat.Health
	open   map[int]bool // connections that Slack has greeted
	team   string       // the workspace that the app is installed in
}

var _ chat.Platform = (*Adapter)(nil)

// New returns an adapter that is not connected yet. It does no I/O.
func New(c Config) (*Adapter, error) {
	if c.BotToken == "" {
		return nil, errors.New("slack: slack.bot_token is missing")
	}
	if (c.AppToken == "") == (c.SigningSecret == "") {
		return nil, errors.New("slack: either slack.app_token or slack.signing_secret is needed")
	}
	if c.APIURL == "" {
		c.APIURL = defaultAPIURL
	}
	if u, err := url.Parse(c.APIURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("slack: slack.api_url is not an http or https address")
	}
	c.APIURL = strings.TrimRight(c.APIURL, "/") + "/"
	if c.SigningSecret != "" {
		c.Connections = 1 // that there is somebody to call
	}
	if c.Connections <= 0 {
		c.Connections = defaultConnections
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: requestTimeout}
	}
	if c.Dialer == nil {
		c.Dialer = websocket.DefaultDialer
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("platform", chat.Slack)
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Adapter{
		config: c,
		api: slackgo.New(string(c.BotToken),
			slackgo.OptionAPIURL(c.APIURL),
			slackgo.OptionAppLevelToken(string(c.AppToken)),
			slackgo.OptionHTTPClient(web{c.HTTPClient}),
			slackgo.OptionLog(silent)),
		answers: answers{now: c.Now},
		groups:  groups{wanted: c.Groups},
		stagger: 15 * time.Second,
		health:  chat.Health{Detail: "not started"},
		suspect: make(chan struct{}, 1),
		open:    map[int]bool{},
	}
	if c.SigningSecret != "" {
		a.endpoint = a.newEndpoint()
	}
	return a, nil
}

// silent takes what the SDK would print: it knows no levels, and what matters
// comes back as an error.
var silent = log.New(io.Discard, "", 0)

// Format keeps the tokens out of every verb: fmt does not ask the types of
// unexported fields how they print.
func (a *Adapter) Format(f fmt.State, _ rune) { fmt.Fprint(f, "slack.Adapter") }

// Name returns [chat.Slack].
func (a *Adapter) Name() chat.PlatformName { return chat.Slack }

// space is in the arithmetic of Slack's limits: a row is two blocks.
var space = chat.Space{Board: 12, Panel: 30, Home: 30, Events: 10, ControlsFirst: true}

// Space says how many rows fit.
func (a *Adapter) Space() chat.Space { return space }

// Health says whether a connection is open; over HTTP, whether requests are
// taken.
func (a *Adapter) Health() chat.Health {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.health
	if h.OK && a.endpoint != nil {
		h.Detail = a.endpoint.Detail()
	}
	return h
}

// none is no connection: what is reported of it is why there is none.
const none = -1

// foreign reports whether somebody of that workspace is a guest here: a channel
// can be shared with other organisations (Slack Connect).
func (a *Adapter) foreign(team string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return team != "" && a.team != "" && team != a.team
}

// report notes the state of a connection.
func (a *Adapter) report(connection int, open bool, detail string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if open {
		a.open[connection] = true
	} else {
		delete(a.open, connection)
	}
	ok := len(a.open) > 0
	if ok {
		detail = fmt.Sprintf("%d of %d connections", len(a.open), a.config.Connections)
	}
	if ok != a.health.OK || a.health.Since.IsZero() {
		a.health.Since = a.config.Now()
	}
	a.health.OK, a.health.Detail = ok, detail
}

// Run checks the bot token, connects, and serves until ctx ends and everything
// it has started has ended too. It outlasts network trouble; an error other
// than nil names the setting that is wrong.
func (a *Adapter) Run(ctx context.Context, h chat.Handler) error {
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := a.authenticate(running)
	if err == nil {
		var wg sync.WaitGroup
		a.groups.refresh(running, a)
		wg.Go(func() { a.groups.run(running, a) })
		wg.Go(func() { stop(a.guard(running)) })
		a.inbox = &inbox{a: a, h: h}
		if a.endpoint != nil {
			a.endpoint.Open(running)
			wg.Go(func() { <-running.Done(); a.endpoint.Close() })
			a.report(0, true, "")
		} else {
			a.connect(running, &wg, stop)
		}
		<-running.Done()
		wg.Wait()
		err = context.Cause(running)
	}
	detail := "stopped"
	if ctx.Err() != nil {
		err = nil
	} else {
		detail = err.Error()
	}
	for i := range a.config.Connections {
		a.report(i, false, detail)
	}
	return err
}

// connect keeps the connections of Socket Mode open until ctx ends.
func (a *Adapter) connect(ctx context.Context, wg *sync.WaitGroup, stop context.CancelCauseFunc) {
	s := &socket{inbox: a.inbox, wg: wg, began: map[int]time.Time{}}
	for i := range a.config.Connections {
		wg.Go(func() {
			if err := s.run(ctx, i); err != nil {
				stop(err)
			}
		})
	}
}

// required are the scopes without which nothing can be answered.
var required = []string{"commands", "chat:write"}

// authenticate tries the bot token until Slack has answered.
func (a *Adapter) authenticate(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		res, err := a.api.AuthTestContext(ctx)
		if err == nil && strings.HasPrefix(res.TeamID, "E") {
			// Who belongs to it and who is a guest could not be told.
			return fmt.Errorf("slack: slack.bot_token is of an app that is installed in a whole organisation (%s): install it in one workspace", line(res.TeamID))
		}
		if err == nil {
			a.mu.Lock()
			a.team = res.TeamID
			a.mu.Unlock()
			return a.checkScopes(res.Header.Get("X-OAuth-Scopes"))
		}
		err = apiError("auth.test", err)
		if why := tokenRefused(err); why != "" {
			return fmt.Errorf("slack: slack.bot_token %s: %w", why, err)
		}
		a.config.Log.WarnContext(ctx, "slack does not answer", "err", err, "again_in", wait)
		a.report(none, false, err.Error())
		if err := pace.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// guard tries the bot token whenever Slack has refused it somewhere. It returns
// an error when Slack refuses it again, nil when ctx ends.
func (a *Adapter) guard(ctx context.Context) error {
	for {
		select {
		case <-a.suspect:
			if err := a.authenticate(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// checkScopes names the scopes that are missing. Slack lists what a token has
// in a header; without it there is nothing to check.
func (a *Adapter) checkScopes(header string) error {
	lacks := a.missing(header)
	if slices.ContainsFunc(lacks, func(s string) bool { return slices.Contains(required, s) }) {
		return fmt.Errorf("slack: slack.bot_token lacks the scope %s: add it to the app and install the app again", strings.Join(lacks, ", "))
	}
	if len(lacks) > 0 {
		a.config.Log.Warn("slack.bot_token lacks a scope", "missing", strings.Join(lacks, ", "))
	}
	return nil
}

// missing are the scopes that a token with that header lacks, the required ones
// first.
func (a *Adapter) missing(header string) []string {
	if header == "" {
		return nil
	}
	have := strings.FieldsFunc(header, func(r rune) bool { return r == ',' || r == ' ' })
	want := append(slices.Clone(required), "im:write")
	if len(a.config.Groups) > 0 {
		want = append(want, "usergroups:read")
	}
	want = append(want, "users:read")
	return slices.DeleteFunc(want, func(s string) bool { return slices.Contains(have, s) })
}

// scopes says what does not work without each.
var scopes = map[string]string{
	"commands": "/pve cannot be typed", "chat:write": "nothing can be posted", "im:write": "no direct messages can be opened",
	"usergroups:read": "roles by user group are given to nobody", "users:read": "ids in the access rules are not checked",
}

// Rights asks whether the bot token is accepted and what scopes it has, where
// there is no connection whether the app token may open one, and whether the bot is in a channel, which Slack says only to an app that may
// read it (channels:read, groups:read).
func (a *Adapter) Rights(ctx context.Context, channel string) (chat.Rights, error) {
	var r chat.Rights
	res, err := a.api.AuthTestContext(ctx)
	if err != nil {
		err = apiError("auth.test", err)
		if tokenRefused(err) != "" {
			r.Refused = "bot_token"
		}
		return r, err
	}
	if a.config.AppToken != "" && !a.Health().OK {
		_, _, err := a.api.StartSocketModeContext(ctx)
		if err = apiError("apps.connections.open", err); err != nil {
			if tokenRefused(err) != "" {
				r.Refused = "app_token"
			}
			return r, err
		}
	}
	header := res.Header.Get("X-OAuth-Scopes")
	r.Missing = a.missing(header)
	r.Complete = header != "" && len(r.Missing) == 0
	for _, s := range r.Missing {
		if r.Without != "" {
			r.Without += "; "
		}
		r.Without += scopes[s]
	}
	if channel == "" {
		return r, nil
	}
	ch, err := a.api.GetConversationInfoContext(ctx, &slackgo.GetConversationInfoInput{ChannelID: channel})
	refused, ok := errors.AsType[*codeError](apiError("conversations.info", err))
	switch {
	case err == nil && ch.IsArchived:
		r.Channel, r.Allow = "it is archived", "Unarchive that channel"
	case err == nil && !ch.IsMember:
		r.Channel, r.Allow = "pvechat is not in it (not_in_channel)", "Type /invite @pvechat in that channel"
	case ok && refused.code == "channel_not_found":
		r.Channel, r.Allow = "there is no such channel, or pvechat is not in it (channel_not_found)", "Look at the channel's id, and type /invite @pvechat in it"
	}
	return r, nil
}
