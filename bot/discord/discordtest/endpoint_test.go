package discordtest_test

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

// endpoint is an application behind an address; answer gets what was signed
// rightly.
func endpoint(t *testing.T, s *discordtest.Server, checks bool, answer func(in object) (int, any)) string {
	key, err := hex.DecodeString(s.PublicKey())
	if err != nil || len(key) != ed25519.PublicKeySize {
		t.Fatalf("the key is %q", s.PublicKey())
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		signature, _ := hex.DecodeString(r.Header.Get("X-Signature-Ed25519"))
		if checks && !ed25519.Verify(key, append([]byte(r.Header.Get("X-Signature-Timestamp")), body...), signature) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var in object
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		status, out := answer(in)
		w.WriteHeader(status)
		if out != nil {
			_ = json.NewEncoder(w).Encode(out)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAnEndpointIsTakenOnlyIfItChecksSignaturesAndPongs(t *testing.T) {
	s := newGuild(t, discordtest.Options{})
	pong := func(object) (int, any) { return 200, object{"type": 1} }
	if err := s.SetInteractionsEndpoint(soon(t), endpoint(t, s, false, pong)); err == nil {
		t.Error("one that checks nothing is taken")
	}
	if err := s.SetInteractionsEndpoint(soon(t), endpoint(t, s, true, func(object) (int, any) { return 200, object{"type": 4} })); err == nil {
		t.Error("one that does not pong is taken")
	}
	if err := s.SetInteractionsEndpoint(soon(t), "http://127.0.0.1:1/"); err == nil {
		t.Error("one that is not there is taken")
	}
	if err := s.SetInteractionsEndpoint(soon(t), endpoint(t, s, true, pong)); err != nil {
		t.Error(err)
	}
}

func TestInteractionsGoToTheEndpoint(t *testing.T) {
	s := newGuild(t, discordtest.Options{Deadline: 500 * time.Millisecond})
	b := connect(t, s)
	var answer func(in object) (int, any)
	address := endpoint(t, s, true, func(in object) (int, any) {
		if in["type"] == 1.0 {
			return 200, object{"type": 1}
		}
		return answer(in)
	})
	if err := s.SetInteractionsEndpoint(soon(t), address); err != nil {
		t.Fatal(err)
	}
	typed := func() discordtest.Outcome {
		t.Helper()
		out, err := s.Command(soon(t), ana, ops, "dashboard", nil)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	answer = func(in object) (int, any) { return 200, object{"type": 4, "data": object{"content": "board"}} }
	if out := typed(); out.Type != 4 || out.Message.Content != "board" {
		t.Errorf("by the body: %+v", out)
	}
	answer = func(in object) (int, any) {
		b.responds(4, object{"content": "by hand"})(in)
		return 202, nil
	}
	if out := typed(); out.Type != 4 || out.Message.Content != "by hand" {
		t.Errorf("over REST: %+v", out)
	}
	answer = func(object) (int, any) { return 500, nil }
	if out := typed(); out.Error != discordtest.NoResponse {
		t.Errorf("a failure: %+v", out)
	}
	if len(s.Unexpected()) > 0 {
		t.Errorf("unexpected: %+v", s.Unexpected())
	}
	answer = func(object) (int, any) { return 200, object{"type": 4, "data": object{"content": chars(2001)}} }
	if out := typed(); out.Error != discordtest.NoResponse {
		t.Errorf("what Discord refuses: %+v", out)
	}
	if u := s.Unexpected(); len(u) != 1 || u[0].Method != "ENDPOINT" {
		t.Errorf("unexpected: %+v", u)
	}
	if err := s.SetInteractionsEndpoint(soon(t), ""); err != nil {
		t.Fatal(err)
	}
	b.acts(func(ctx context.Context) (discordtest.Outcome, error) {
		return s.Command(ctx, ana, ops, "dashboard", nil)
	}, b.responds(4, object{"content": "x"}))
}
