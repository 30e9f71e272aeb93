package discord

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/chattest"
)

// The second test vector of RFC 8032, section 7.1: a message of one byte, which
// may be the timestamp or the body.
func TestASignatureIsEd25519OfTimestampAndBody(t *testing.T) {
	const (
		key       = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
		signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
	)
	e, err := newEndpoint(Config{PublicKey: key})
	if err != nil {
		t.Fatal(err)
	}
	if !e.Valid("", signature, []byte("r")) || !e.Valid("r", signature, nil) {
		t.Error("it is refused")
	}
	for name, no := range map[string]bool{
		"another body": e.Valid("", signature, []byte("s")), "another time": e.Valid("1", signature, []byte("r")),
		"cut short": e.Valid("", signature[:126], []byte("r")), "no digits": e.Valid("", strings.Repeat("x", 128), []byte("r")), "nothing": e.Valid("", "", []byte("r")),
	} {
		if no {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAPublicKeyThatIsNoneIsNamed(t *testing.T) {
	for _, key := range []string{"x", strings.Repeat("a", 62), strings.Repeat("g", 64)} {
		if _, err := New(Config{BotToken: "x", ApplicationID: "1", PublicKey: key}); err == nil || !strings.Contains(err.Error(), "discord.public_key") {
			t.Errorf("%q: %v", key, err)
		}
	}
	if a, err := New(Config{BotToken: "x", ApplicationID: "1"}); err != nil || len(a.Routes()) > 0 {
		t.Errorf("without one there are addresses: %v", err)
	}
}

func TestOverHTTPThereIsNoGatewayAndTheCommandsAreRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, logs: &chattest.Log{}, http: true}
		s.Plays(func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("hello")} })
		s.open(s)
		if len(s.sim.Commands()) == 0 {
			t.Error("no command is registered")
		}
		if h := s.Health(); !h.OK || !strings.Contains(h.Detail, "the last one came") { // the ping
			t.Errorf("health says %+v", h)
		}
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "hello")
		choices, err := s.sim.Autocomplete(s.ctx, anaID, ops, "show", "name", "w")
		if err != nil || len(choices) == 0 {
			t.Errorf("suggested %v, %v", choices, err)
		}
		if s.sim.Identifies() > 0 || slices.ContainsFunc(s.requests(0), func(route string) bool { return strings.Contains(route, "gateway") }) {
			t.Error("it went to the gateway")
		}
	})
}

// An endpoint is asked before the bot runs, while it does, and after.
func TestBadRequestsByTheThousandAskNobody(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	logs := &chattest.Log{}
	now := time.Unix(1_790_000_000, 0)
	a, err := New(Config{
		BotToken: canary, ApplicationID: "1", PublicKey: hex.EncodeToString(public), Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Routes()["POST /discord/interactions"]
	post := func(at time.Time, body string, spoil bool) (int, string) {
		t.Helper()
		req := httptest.NewRequest(http.MethodPost, "/discord/interactions", strings.NewReader(body))
		stamp := strconv.FormatInt(at.Unix(), 10)
		signature := ed25519.Sign(private, []byte(stamp+body))
		if spoil {
			signature[0]++
		}
		req.Header.Set("X-Signature-Timestamp", stamp)
		req.Header.Set("X-Signature-Ed25519", hex.EncodeToString(signature))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		out, _ := io.ReadAll(w.Body)
		return w.Code, string(out)
	}
	for range 250 {
		for name, c := range map[string]struct {
			at     time.Time
			body   string
			spoil  bool
			status int
		}{
			"bad":  {now, `{"type":1}`, true, http.StatusUnauthorized},
			"aged": {now.Add(-301 * time.Second), `{"type":1}`, false, http.StatusUnauthorized},
			"huge": {now, strings.Repeat("x", 2<<20), false, http.StatusRequestEntityTooLarge},
		} {
			if status, _ := post(c.at, c.body, c.spoil); status != c.status {
				t.Fatalf("%s: answered with %d, want %d", name, status, c.status)
			}
		}
	}
	if n := strings.Count(logs.String(), "a request was refused"); n != 1 {
		t.Errorf("%d lines of log", n)
	}
	if status, _ := post(now, "no JSON", false); status != http.StatusBadRequest {
		t.Errorf("no JSON: %d", status)
	}
	if status, body := post(now, `{"type":1}`, false); status != http.StatusOK || body != `{"type":1}` {
		t.Errorf("a ping: %d %q", status, body)
	}
	if status, _ := post(now, `{"type":2}`, false); status != http.StatusServiceUnavailable {
		t.Errorf("a command before the bot runs: %d", status)
	}
}

func TestAnInteractionThatIsReplayedChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, logs: &chattest.Log{}, http: true}
		s.Plays(func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{Now: say("once")} })
		s.open(s)
		s.typed(anaID, ops, "help", nil)
		s.sees(ops, anaID, "once")
		synctest.Wait()
		before := len(s.requests(0))
		for range 1000 {
			s.sim.Redeliver()
			synctest.Wait()
		}
		if more := s.requests(0)[before:]; len(s.Asked()) != 1 || len(more) > 0 {
			t.Errorf("handled %d times, and %d requests to Discord: %.3q", len(s.Asked()), len(more), more)
		}
		s.typed(anaID, ops, "help", nil)
		if len(s.Asked()) != 2 {
			t.Error("the same command, typed again, is taken for it")
		}
	})
}

func TestATokenRefusedOverHTTPEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, logs: &chattest.Log{}, http: true}
		s.Plays(func(context.Context, chat.Invocation) chat.Answer { return chat.Answer{} })
		s.open(s)
		s.fails = true
		s.sim.Fail("GET /users/@me", http.StatusUnauthorized, 0, 1)
		s.suspect <- struct{}{}
		s.await("the end", func() bool { return !s.Health().OK })
		if h := s.Health(); !strings.Contains(h.Detail, "discord.bot_token") {
			t.Errorf("health says %+v", h)
		}
		out, err := s.sim.Command(s.ctx, anaID, ops, "help", nil)
		if err != nil || out.Error == "" {
			t.Errorf("it still answers: %+v, %v", out, err)
		}
	})
}
