package slacktest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const maxAnswer = 1 << 20 // bytes

// paths are where the app's manifest wants each kind of envelope, below the
// address of the bot.
var paths = map[string]string{
	"slash_commands": "/slack/commands", "interactive": "/slack/interactions", "events_api": "/slack/events",
}

// SetRequestURL makes everything go to an address over HTTP, instead of to
// connections, signed with [Options.SigningSecret]. Slack takes an address only
// if a challenge there comes back; the error says what did. The empty address
// takes it back.
func (s *Server) SetRequestURL(ctx context.Context, address string) error {
	if address != "" {
		challenge := fmt.Sprintf("challenge-%d", s.opts.Now().UnixNano())
		body := encode(object{"token": verificationToken, "type": "url_verification", "challenge": challenge})
		status, answer, err := s.request(ctx, address+paths["events_api"], "application/json", body, nil)
		if err == nil && (status != http.StatusOK || string(answer) != challenge) {
			err = fmt.Errorf("a challenge is answered with %d %.100q", status, answer)
		}
		if err != nil {
			return fmt.Errorf("slacktest: request URL: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requestURL = address
	return nil
}

// Sign returns the headers with which Slack signs a body at a time.
func Sign(secret string, at time.Time, body []byte) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "v0:%s:%s", stamp, body) // a hash takes everything
	return http.Header{
		"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))},
	}
}

// request makes one signed request and returns its answer.
func (s *Server) request(ctx context.Context, address, contentType string, body []byte, more map[string]string) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = Sign(s.opts.SigningSecret, s.opts.Now(), body)
	req.Header.Set("Content-Type", contentType)
	for name, value := range more {
		req.Header.Set(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); len(answer) == 0 {
		answer = nil
	}
	return res.StatusCode, answer, err
}

// deliver sends an envelope to an address. An answer with 200 acknowledges it;
// another one, or none, fails what a person did at once.
func (s *Server) deliver(to string, e *envelope, attempt int, reason string) {
	ctx, cancel := context.WithTimeout(s.running, s.opts.Deadline)
	defer cancel()
	contentType, body := "application/x-www-form-urlencoded", []byte(nil)
	more := map[string]string{}
	switch e.kind {
	case "slash_commands":
		var fields map[string]string
		if err := json.Unmarshal(e.payload, &fields); err != nil {
			panic(err) // our own
		}
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, value)
		}
		body = []byte(form.Encode())
	case "interactive":
		body = []byte(url.Values{"payload": {string(e.payload)}}.Encode())
	default:
		contentType, body = "application/json", e.payload
		if attempt > 0 {
			more["X-Slack-Retry-Num"], more["X-Slack-Retry-Reason"] = strconv.Itoa(attempt), reason
		}
	}
	status, answer, err := s.request(ctx, to+paths[e.kind], contentType, body, more)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.reason = "http_timeout"
	switch {
	case err == nil && status == http.StatusOK:
		s.acknowledged(e, answer, false, 0)
	case ctx.Err() != nil:
	case e.kind == "events_api":
		e.reason = "http_error"
	case !e.settled:
		e.settled, e.failure = true, ErrNotConnected
		close(e.acked)
	}
}
