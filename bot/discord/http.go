package discord

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/pvechat/pvechat/bot/chat/webhook"
)

// Discord asks with a ping whether an address is ours.
const (
	ping        = 1
	respondPong = 1
)

// newEndpoint takes what Discord has signed. See
// https://docs.discord.com/developers/interactions/overview.
func newEndpoint(cfg Config) (*webhook.Endpoint, error) {
	key, err := hex.DecodeString(cfg.PublicKey)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("discord: discord.public_key is not %d hexadecimal digits", 2*ed25519.PublicKeySize)
	}
	return &webhook.Endpoint{
		Timestamp: "X-Signature-Timestamp", Signature: "X-Signature-Ed25519", Key: "discord.public_key", Now: cfg.Now, Log: cfg.Log,
		Valid: func(timestamp, signature string, body []byte) bool {
			raw, err := hex.DecodeString(signature)
			return err == nil && ed25519.Verify(key, append([]byte(timestamp), body...), raw)
		},
	}, nil
}

// Routes are the addresses that Discord calls in HTTP mode, by pattern of
// [http.ServeMux]; none where it is reached by the gateway.
func (a *Adapter) Routes() map[string]http.Handler {
	if a.endpoint == nil {
		return nil
	}
	return map[string]http.Handler{"POST /discord/interactions": a.endpoint.Handler(a.receive)}
}

// receive answers a ping, and says of anything else that the first response
// comes over REST, as it does for what the gateway brings.
func (a *Adapter) receive(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct {
		Type int `json:"type"`
	}
	switch err := json.Unmarshal(body, &in); {
	case err != nil:
		http.Error(w, "no JSON", http.StatusBadRequest)
	case in.Type == ping:
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"type":%d}`, respondPong) // where it is lost, Discord asks again
	case !a.endpoint.First(body): // it was answered over REST
		w.WriteHeader(http.StatusAccepted)
	case !a.endpoint.Go(func(context.Context) { a.running.interact(body) }):
		http.Error(w, "not ready", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// attend takes interactions over HTTP until the token is refused or Run ends; it
// says why that was.
func (r *running) attend() error {
	ctx, end := context.WithCancelCause(r.ctx)
	defer end(nil)
	defer r.guard(ctx, end)()
	r.Adapter.running = r
	r.endpoint.Open(ctx)
	defer r.endpoint.Close()
	r.report(true, r.problem)
	<-ctx.Done()
	return context.Cause(ctx)
}
