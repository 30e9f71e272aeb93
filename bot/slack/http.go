package slack

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/pvechat/pvechat/bot/chat/webhook"
)

// endpoint takes what Slack has signed. See
// https://docs.slack.dev/authentication/verifying-requests-from-slack.
func (a *Adapter) newEndpoint() *webhook.Endpoint {
	return &webhook.Endpoint{
		Timestamp: "X-Slack-Request-Timestamp", Signature: "X-Slack-Signature", Key: "slack.signing_secret", Now: a.config.Now, Log: a.config.Log,
		Valid: func(timestamp, signature string, body []byte) bool {
			mac := hmac.New(sha256.New, []byte(a.config.SigningSecret))
			mac.Write([]byte("v0:" + timestamp + ":"))
			mac.Write(body)
			return hmac.Equal([]byte(signature), []byte("v0="+hex.EncodeToString(mac.Sum(nil))))
		},
	}
}

// Routes are the addresses that Slack calls in HTTP mode, by pattern of
// [http.ServeMux]; none in Socket Mode.
func (a *Adapter) Routes() map[string]http.Handler {
	if a.endpoint == nil {
		return nil
	}
	return map[string]http.Handler{
		"POST /slack/commands":     a.endpoint.Handler(a.receiveCommand),
		"POST /slack/interactions": a.endpoint.Handler(a.receiveInteraction),
		"POST /slack/events":       a.endpoint.Handler(a.receiveEvent),
	}
}

func (a *Adapter) receiveCommand(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		http.Error(w, "no form", http.StatusBadRequest)
		return
	}
	fields := make(map[string]string, len(form))
	for name := range form {
		fields[name] = form.Get(name)
	}
	payload, _ := json.Marshal(fields) // strings always marshal
	a.receive(w, r, "slash_commands", digest("body", string(body)), payload)
}

func (a *Adapter) receiveInteraction(w http.ResponseWriter, r *http.Request, body []byte) {
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("payload") {
		http.Error(w, "no payload", http.StatusBadRequest)
		return
	}
	a.receive(w, r, "interactive", digest("body", string(body)), []byte(form.Get("payload")))
}

func (a *Adapter) receiveEvent(w http.ResponseWriter, r *http.Request, body []byte) {
	var e struct {
		Type      string `json:"type"`
		Challenge string `json:"challenge"`
		ID        string `json:"event_id"`
	}
	if json.Unmarshal(body, &e) != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	if e.Type == "url_verification" {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte(e.Challenge))
		return
	}
	if n := r.Header.Get("X-Slack-Retry-Num"); n != "" {
		a.config.Log.InfoContext(r.Context(), "slack tells of an event again", "retry", line(n), "reason", line(r.Header.Get("X-Slack-Retry-Reason")))
	}
	a.receive(w, r, "events_api", digest("event", or(e.ID, string(body))), body)
}

// errGone means that Slack waits for an acknowledgement no longer.
var errGone = errors.New("the request is over")

// receive starts what a request asks for, and answers with its acknowledgement.
// The work goes on after that.
func (a *Adapter) receive(w http.ResponseWriter, r *http.Request, envelope, id string, payload []byte) {
	acks := make(chan any)
	gone, unanswered := make(chan struct{}), make(chan struct{})
	defer close(gone)
	taken := a.endpoint.Go(func(ctx context.Context) {
		defer close(unanswered)
		a.inbox.take(ctx, id, envelope, payload, func(payload any) error {
			select {
			case acks <- payload:
				return nil
			case <-gone:
				return errGone
			}
		})
	})
	if !taken {
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	late := time.NewTimer(ackTimeout)
	defer late.Stop()
	select {
	case ack := <-acks:
		if ack != nil {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(ack) // where nobody reads it, it comes again
		}
	case <-unanswered:
		http.Error(w, "not answered", http.StatusInternalServerError)
	case <-late.C:
		http.Error(w, "not answered in time", http.StatusGatewayTimeout)
	case <-r.Context().Done():
	}
}
