package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

// Pacing. Discord allows a bot fifty requests in a second over all its routes,
// those of interactions aside. Edits of messages older than an hour are limited
// for each channel, by a number that Discord keeps to itself; others measured
// three in six seconds.
var (
	requests = pace.Limit{Calls: 45, In: time.Second, Kept: 9}
	oldEdits = pace.Limit{Calls: 3, In: 6 * time.Second, Late: 100 * time.Millisecond}
)

const (
	oldEditsAfter = time.Hour

	patience = 3 * time.Second // a longer wait is an error for the caller to plan with
)

// Discord shuts out an address for a while that was refused ten thousand times
// in ten minutes. Half of that leaves room for whoever else is behind it.
const (
	refusals   = 5_000
	refusalsIn = 10 * time.Minute
)

// Error codes of Discord's API.
const (
	codeUnknownChannel     = 10003
	codeUnknownGuild       = 10004
	codeUnknownMember      = 10007
	codeUnknownMessage     = 10008
	codeUnknownUser        = 10013
	codeUnknownWebhook     = 10015
	codeUnknownInteraction = 10062
	codeNotAuthorized      = 20012
	codeOldEdits           = 30046
	codeAcknowledged       = 40060
	codeMissingAccess      = 50001
	codeNoDMs              = 50007
	codeMissingPermission  = 50013
	codeInvalidToken       = 50027
)

// request is one call of the API.
type request struct {
	method string
	path   string // below /api/v9/; it may hold a token, so it is never shown
	route  string // the same without ids and tokens
	bucket string // what the route's rate limit is counted by; empty: the token in the path
}

// apiError is a refusal of Discord's.
type apiError struct {
	request string // method and route
	status  int
	code    int
	message string
	kind    error // what it means to a caller, or nil
}

func (e *apiError) Error() string {
	s := fmt.Sprintf("discord: %s: HTTP %d", e.request, e.status)
	if e.code != 0 {
		s += fmt.Sprintf(", %s (%d)", e.message, e.code)
	}
	return s
}

func (e *apiError) Unwrap() error { return e.kind }

// status is the HTTP status of err; 0 where it is no refusal.
func status(err error) int {
	var e *apiError
	if errors.As(err, &e) {
		return e.status
	}
	return 0
}

// code is the code of Discord's refusal; 0 where err is none.
func code(err error) int {
	var e *apiError
	if errors.As(err, &e) {
		return e.code
	}
	return 0
}

// call makes a request once, and decodes the answer into out where that is not
// nil. Errors are *apiError, a wrapped *[chat.RateLimitedError], ctx's own, or
// those of the network; none holds a token.
func (a *Adapter) call(ctx context.Context, r request, body, out any) error {
	raw, kind, err := payload(body)
	if err != nil {
		return fmt.Errorf("discord: %s: %w", r.route, err)
	}
	name := r.method + " " + r.route
	bucket, err := a.bucket(ctx, r)
	if err != nil {
		return fmt.Errorf("discord: %s: %w", name, err)
	}
	answer, err := a.rest.RequestWithLockedBucket(r.method, discordgo.EndpointAPI+r.path, kind, raw,
		bucket, 0, discordgo.WithContext(context.WithValue(ctx, requestKey{}, r)))
	if err != nil {
		err = scrubbed(name, err)
	}
	if a.mind(r, err); err != nil {
		return err
	}
	if out != nil && len(answer) > 0 {
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("discord: %s: %w", name, err)
		}
	}
	return nil
}

// payload is a request's body, with the files of a message beside it.
func payload(body any) (raw []byte, kind string, err error) {
	if body == nil {
		return nil, "application/json", nil
	}
	doc, err := encode(body)
	if m, ok := body.(message); ok && err == nil && len(m.pictures) > 0 {
		var files []*discordgo.File
		for i, png := range m.pictures {
			files = append(files, &discordgo.File{Name: m.Attachments[i].Name, ContentType: "image/png", Reader: bytes.NewReader(png)})
		}
		kind, raw, err = discordgo.MultipartBodyWithJSON(doc, files)
		return raw, kind, err
	}
	return doc, "application/json", err
}

// mind takes from an answer what concerns other calls; what a 429 asks for, the
// transport has noted already.
func (a *Adapter) mind(r request, err error) {
	var limited *chat.RateLimitedError
	switch {
	case errors.As(err, &limited):
		return
	case status(err) == http.StatusUnauthorized && code(err) != codeInvalidToken:
		select {
		case a.suspect <- struct{}{}:
		default: // the token is being tried already
		}
	}
	a.pace.Resume(r.key())
	if r.bucket != "" {
		a.pace.Resume(everything)
	}
}

// everything is the key of the limit over all routes but those of interactions.
const everything = ""

// key is what r's pauses are counted by.
func (r request) key() string {
	if r.bucket == "" {
		return r.method + " " + r.path
	}
	return r.method + " " + r.bucket
}

// bucket locks what counts r's rate limit, when there is room in it. discordgo
// would wait for that without minding ctx, and keeps a bucket for every path it
// ever saw, which for those with a token means for ever more.
func (a *Adapter) bucket(ctx context.Context, r request) (*discordgo.Bucket, error) {
	pauses := a.pace.Pauses(r.key())
	if err := a.pace.Wait(ctx, r.key(), pace.Limit{}, patience); err != nil {
		return nil, err
	}
	if r.bucket == "" {
		b := discordgo.NewRatelimiter().GetBucket("")
		b.Lock()
		return b, nil
	}
	if err := a.pace.Wait(ctx, everything, requests, patience); err != nil {
		return nil, err
	}
	b := a.rest.Ratelimiter.GetBucket(r.key())
	for {
		b.Lock() // for as long as another request of this kind takes
		if a.pace.Pauses(r.key()) != pauses {
			b.Unlock()
			return a.bucket(ctx, r)
		}
		wait := a.rest.Ratelimiter.GetWaitTime(b, 1)
		if wait <= 0 {
			b.Remaining--
			return b, nil
		}
		b.Unlock()
		if wait > patience {
			return nil, &chat.RateLimitedError{RetryAfter: wait}
		}
		if err := pace.Sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// scrubbed is err of discordgo's without what must not be told: its errors hold
// the request with its headers, and addresses with tokens in them.
func scrubbed(name string, err error) error {
	var (
		refused *discordgo.RESTError
		limited *discordgo.RateLimitError
		network *url.Error
	)
	switch {
	case errors.As(err, &refused):
		e := &apiError{request: name, status: refused.Response.StatusCode}
		if m := refused.Message; m != nil {
			e.code, e.message = m.Code, m.Message
		}
		if fields := invalid(refused.ResponseBody); fields != "" {
			e.message += ": " + fields
		}
		e.kind = meaning(e)
		return e
	case errors.As(err, &limited):
		return fmt.Errorf("discord: %s: %w", name, &chat.RateLimitedError{RetryAfter: limited.RetryAfter})
	case errors.As(err, &network):
		return fmt.Errorf("discord: %s: %w", name, network.Err)
	}
	return fmt.Errorf("discord: %s: %w", name, err)
}

func meaning(e *apiError) error {
	switch e.code {
	case codeOldEdits:
		return chat.ErrFrozen
	case codeUnknownChannel, codeUnknownMessage, codeUnknownWebhook, codeUnknownInteraction, codeInvalidToken:
		return chat.ErrGone
	case codeMissingAccess, codeMissingPermission, codeNoDMs:
		return chat.ErrForbidden
	}
	return nil
}

// invalid lists the fields that Discord refused with the codes for why; not
// Discord's words, which can repeat what was sent.
func invalid(body []byte) string {
	var e struct {
		Errors map[string]any `json:"errors"`
	}
	if json.Unmarshal(body, &e) != nil {
		return ""
	}
	var out []string
	var walk func(path string, v map[string]any)
	walk = func(path string, v map[string]any) {
		for key, sub := range v {
			switch sub := sub.(type) {
			case map[string]any:
				walk(strings.TrimPrefix(path+"."+key, "."), sub)
			case []any:
				for _, x := range sub {
					if m, ok := x.(map[string]any); ok {
						out = append(out, fmt.Sprint(path, " ", m["code"]))
					}
				}
			}
		}
	}
	walk("", e.Errors)
	slices.Sort(out)
	return strings.Join(out[:min(len(out), 5)], ", ")
}

// transport sends discordgo's requests to the configured origin, and puts right
// what discordgo reads wrongly in the answers.
type transport struct {
	origin  *url.URL
	next    http.RoundTripper
	pace    *pace.Pacer
	refused refused
}

// requestKey is the key of a context's request.
type requestKey struct{}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host, req.Host = t.origin.Scheme, t.origin.Host, t.origin.Host
	if wait := t.refused.wait(time.Now()); wait > 0 {
		return nil, &chat.RateLimitedError{RetryAfter: wait}
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		if resp.Header.Get("X-RateLimit-Scope") != "shared" { // by others, and not counted against us
			t.refused.note(time.Now())
		}
	}
	tidy(resp.Header)
	switch resp.StatusCode {
	case http.StatusBadGateway: // it has an error of its own for this, with the whole page in it
		resp.StatusCode = http.StatusServiceUnavailable
	case http.StatusTooManyRequests:
		after, global := limited(resp)
		// Before discordgo lets the next request of this kind go.
		r, known := req.Context().Value(requestKey{}).(request)
		switch {
		case after == 0:
		case global:
			t.pace.Pause(everything, after)
		case known:
			t.pace.Pause(r.key(), after)
		}
	}
	return resp, nil
}

// tidy removes what discordgo cannot read of a rate limit: it would take that for
// the failure of a request that was done.
func tidy(h http.Header) {
	remove := func(name string, err error) {
		if err != nil {
			h.Del(name)
		}
	}
	_, err := strconv.ParseInt(h.Get("X-RateLimit-Remaining"), 10, 32)
	remove("X-RateLimit-Remaining", err)
	_, err = strconv.ParseFloat(h.Get("X-RateLimit-Reset-After"), 64)
	remove("X-RateLimit-Reset-After", err)
	_, err = strconv.ParseFloat(h.Get("X-RateLimit-Reset"), 64)
	remove("X-RateLimit-Reset", err)
	_, err = http.ParseTime(h.Get("Date")) // by which the reset is understood
	remove("X-RateLimit-Reset", err)
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// refused counts refusals of late.
type refused struct {
	mu sync.Mutex
	at []time.Time
}

func (r *refused) note(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, now)
}

// wait says how long no request may be made.
func (r *refused) wait(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.at) > 0 && now.Sub(r.at[0]) >= refusalsIn {
		r.at = r.at[1:]
	}
	if len(r.at) < refusals {
		return 0
	}
	return r.at[len(r.at)-refusals].Add(refusalsIn).Sub(now)
}

// limited rewrites a 429 and says how long to wait, and whether with everything.
// discordgo drops its code, takes a missing retry_after for none, and fails on
// one that is not JSON: that is not of Discord but of what stands before it, and
// concerns everything.
func limited(resp *http.Response) (after time.Duration, global bool) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
	var says struct {
		Code       int     `json:"code"`
		RetryAfter float64 `json:"retry_after"`
		Global     bool    `json:"global"`
	}
	err := json.Unmarshal(body, &says)
	if err == nil && says.Code == codeOldEdits {
		resp.StatusCode = http.StatusBadRequest // a refusal for good, not a pause
	} else {
		if says.RetryAfter <= 0 {
			says.RetryAfter, _ = strconv.ParseFloat(resp.Header.Get("Retry-After"), 64)
		}
		if says.RetryAfter <= 0 {
			says.RetryAfter = 1
		}
		after, global = time.Duration(says.RetryAfter*float64(time.Second)), err != nil || says.Global
		body = fmt.Appendf(nil, `{"retry_after":%g}`, says.RetryAfter)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.ContentLength = int64(len(body))
	return after, global
}
