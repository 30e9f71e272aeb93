package discordtest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Limits that StrictLimits switches on. Discord documents the global one and
// says of the others that they must be read from the headers; five messages in
// five seconds and channel is what third parties see.
const (
	globalPerSecond  = 50
	strictPerWindow  = 5
	lenientPerWindow = 1000
	windowLength     = 5 * time.Second
)

type limits struct {
	strict  bool
	global  window
	windows map[string]*window // by route and channel or webhook
	refused []time.Time        // requests that were not in order, of late
}

// Ten thousand requests that are answered with 401, 403 or 429 within ten
// minutes shut the address out; a 429 that others have caused does not count.
const (
	refusals   = 10_000
	refusalsIn = 10 * time.Minute
)

// judge counts an answer towards that.
func (l *limits) judge(at time.Time, status int, header http.Header) {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		if header.Get("X-RateLimit-Scope") != "shared" {
			l.refused = append(l.refused, at)
		}
	}
}

// shutOut is the answer of what stands before Discord.
func shutOut(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("Retry-After", fmt.Sprint(int(refusalsIn.Seconds())))
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte("<!doctype html><title>Access denied | discord.com used Cloudflare to restrict access</title>"))
}

func (l *limits) banned(at time.Time) bool {
	for len(l.refused) > 0 && at.Sub(l.refused[0]) >= refusalsIn {
		l.refused = l.refused[1:]
	}
	return len(l.refused) >= refusals
}

type window struct {
	ends time.Time
	used int
}

// StrictLimits makes rate limits as tight as the real ones.
func (s *Server) StrictLimits(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits.strict = on
}

// count takes one request into account and writes the headers that every answer
// has.
func (l *limits) count(c *call, pattern string, header http.Header) error {
	most := lenientPerWindow
	if l.strict {
		most = strictPerWindow
	}
	if strings.HasPrefix(pattern, "POST /interactions") {
		return nil // under none of them
	}
	key := pattern + " " + c.PathValue("channel") + c.PathValue("token")
	w := l.windows[key]
	if w == nil {
		w = &window{}
		l.windows[key] = w
	}
	w.use(c.at, windowLength)
	left := w.ends.Sub(c.at)
	header.Set("X-RateLimit-Limit", fmt.Sprint(most))
	header.Set("X-RateLimit-Remaining", fmt.Sprint(max(most-w.used, 0)))
	header.Set("X-RateLimit-Reset", fmt.Sprintf("%.3f", float64(w.ends.UnixMilli())/1000))
	header.Set("X-RateLimit-Reset-After", fmt.Sprintf("%.3f", left.Seconds()))
	header.Set("X-RateLimit-Bucket", fmt.Sprintf("%x", len(pattern)*7919))
	if w.used > most {
		return rateLimited(left, "user", false, true)
	}
	if l.strict && c.PathValue("token") == "" { // those of an interaction are not among the fifty
		l.global.use(c.at, time.Second)
		if l.global.used > globalPerSecond {
			return rateLimited(l.global.ends.Sub(c.at), "global", true, true)
		}
	}
	return nil
}

func (w *window) use(at time.Time, length time.Duration) {
	if !at.Before(w.ends) {
		w.ends, w.used = at.Add(length), 0
	}
	w.used++
}

// rateLimited is the answer 429; told says whether its body has retry_after.
func rateLimited(after time.Duration, scope string, global, told bool) *apiError {
	body := object{"message": "You are being rate limited.", "global": global}
	h := http.Header{}
	h.Set("X-RateLimit-Scope", scope)
	if global {
		h.Set("X-RateLimit-Global", "true")
	}
	if told {
		body["retry_after"] = after.Seconds()
		h.Set("Retry-After", fmt.Sprint(int(after.Seconds())+1))
	}
	return &apiError{status: http.StatusTooManyRequests, message: "You are being rate limited.", bare: body, header: h}
}
