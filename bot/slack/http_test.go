package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// The request and its signature are the example of Slack's documentation.
func TestASignatureIsTheOneThatSlackDocuments(t *testing.T) {
	const (
		secret = "8f742231b10e8888abcd99yyyzzz85a5"
		stamp  = "1531420618"
		body   = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
			"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands" +
			"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
		signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
	)
	a, err := New(Config{BotToken: "x", SigningSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if !a.endpoint.Valid(stamp, signature, []byte(body)) {
		t.Error("it is refused")
	}
	for name, no := range map[string]bool{
		"another time": a.endpoint.Valid("1531420619", signature, []byte(body)), "another body": a.endpoint.Valid(stamp, signature, []byte(body+"&")),
		"no version": a.endpoint.Valid(stamp, signature[3:], []byte(body)), "cut short": a.endpoint.Valid(stamp, signature[:20], []byte(body)),
		"nothing": a.endpoint.Valid(stamp, "", []byte(body)),
	} {
		if no {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestSocketModeHasNoAddresses(t *testing.T) {
	if a, err := New(Config{BotToken: "x", AppToken: "x"}); err != nil || len(a.Routes()) > 0 {
		t.Errorf("got %v, %v", a.Routes(), err)
	}
}

// posts sends a body to one of the adapter's addresses.
func (d *desk) posts(path, secret string, at time.Time, body string) (status int, answer string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.ctx, http.MethodPost, d.web.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header = slacktest.Sign(secret, at, []byte(body))
	res, err := d.web.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

const pressed = `{"type":"block_actions","user":{"id":"U0ANA0001"},"actions":[{"type":"button","action_id":"x","action_ts":"1"}]}`

func TestBadRequestsByTheThousandAskNobody(t *testing.T) {
	d := office(t, setup{http: true})
	now, form := time.Now(), url.Values{"payload": {pressed}}.Encode()
	for range 250 {
		for name, c := range map[string]struct {
			path, secret string
			at           time.Time
			body         string
			status       int
		}{
			"bad":      {"/slack/interactions", "another", now, form, http.StatusUnauthorized},
			"aged":     {"/slack/commands", signingSecret, now.Add(-301 * time.Second), form, http.StatusUnauthorized},
			"early":    {"/slack/events", signingSecret, now.Add(time.Hour), form, http.StatusUnauthorized},
			"by query": {"/slack/interactions?" + form, signingSecret, now, "", http.StatusBadRequest},
			"empty":    {"/slack/interactions", signingSecret, now, "", http.StatusBadRequest},
			"no JSON":  {"/slack/events", signingSecret, now, "canary", http.StatusBadRequest},
		} {
			if status, _ := d.posts(c.path, c.secret, c.at, c.body); status != c.status {
				t.Fatalf("%s: answered with %d, want %d", name, status, c.status)
			}
		}
	}
	huge := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/slack/events", bytes.NewReader(make([]byte, 2<<20)))
	req.Header = slacktest.Sign(signingSecret, now, make([]byte, 2<<20))
	d.a.Routes()["POST /slack/events"].ServeHTTP(huge, req)
	if huge.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a huge one is answered with %d", huge.Code)
	}
	if n := len(d.Asked()); n > 0 {
		t.Errorf("the handler was asked %d times", n)
	}
	if n := strings.Count(d.log.String(), "a request was refused"); n != 1 {
		t.Errorf("%d lines of log", n)
	}
	if h := d.a.Health(); !h.OK || !strings.Contains(h.Detail, "refused since") {
		t.Errorf("health says %+v", h)
	}
	d.Answers(chat.Answer{Now: say("all the same")})
	d.types(ana, ops, "help")
	d.sees(ana, ops, 1)
}

func TestAReplayedRequestIsAnsweredAsTheFirstAndHandledOnce(t *testing.T) {
	d := office(t, setup{http: true})
	d.Answers(chat.Answer{Errors: map[string]string{"name": "That is not its name."}})
	view := `{"type":"view_submission","trigger_id":"1","user":{"id":"U0ANA0001"},"view":{"id":"V1","callback_id":"x","blocks":[{"type":"input","block_id":"name"}]}}`
	for path, body := range map[string]string{
		"/slack/interactions": url.Values{"payload": {view}}.Encode(),
		"/slack/commands":     url.Values{"user_id": {ana}, "trigger_id": {"1"}, "text": {"help"}}.Encode(),
		"/slack/events":       `{"event_id":"Ev1","event":{"type":"app_home_opened","user":"U0ANA0001","tab":"home"}}`,
	} {
		before := len(d.Asked())
		status, first := d.posts(path, signingSecret, time.Now(), body)
		if status != http.StatusOK || (first == "") != (path != "/slack/interactions") {
			t.Errorf("%s: %d %q", path, status, first)
		}
		for range 20 {
			if status, again := d.posts(path, signingSecret, time.Now().Add(time.Minute), body); status != http.StatusOK || again != first {
				t.Errorf("%s: then %d %q", path, status, again)
			}
		}
		d.await("the handler", func() bool { return len(d.Asked()) > before })
		if n := len(d.Asked()); n != before+1 {
			t.Errorf("%s: handled %d times", path, n-before)
		}
	}
}

func TestAnEventThatWasNotAcknowledgedComesAgainAndIsHandledOnce(t *testing.T) {
	d := office(t, setup{http: true, slack: slacktest.Options{Deadline: 200 * time.Millisecond}})
	d.s.DropAcks(2)
	if _, err := d.s.OpenHome(d.ctx, ana); !errors.Is(err, slacktest.ErrTimeout) {
		t.Fatal(err)
	}
	d.await("the third delivery", func() bool { return len(d.s.Acks()) == 3 })
	if n := len(d.Asked()); n != 1 {
		t.Errorf("handled %d times", n)
	}
	if log := d.log.String(); !strings.Contains(log, "retry=2 reason=http_timeout") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
}

func TestAFormThatNobodyAnswersFailsAtOnce(t *testing.T) {
	d := office(t, setup{http: true})
	d.Answers(chat.Answer{Now: form("x")})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	d.Plays(func(context.Context, chat.Invocation) chat.Answer { panic("crash") })
	if out, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wiki"}); !errors.Is(err, slacktest.ErrNotConnected) || len(d.s.Views(ana)) != 1 {
		t.Errorf("%+v, %v, %d windows", out, err, len(d.s.Views(ana)))
	}
}

func TestRequestsAreTakenWhileRunRunsAndItsEndWaitsForThem(t *testing.T) {
	d := workspace(t, setup{http: true})
	d.web = httptest.NewServer(d.a.Routes()["POST /slack/commands"])
	t.Cleanup(d.web.Close)
	typed := url.Values{"user_id": {ana}, "trigger_id": {"1"}, "text": {"help"}}
	if status, _ := d.posts("", signingSecret, time.Now(), typed.Encode()); status != http.StatusServiceUnavailable {
		t.Errorf("before: %d", status)
	}
	ctx, cancel := context.WithCancel(d.ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.a.Run(ctx, d) }()
	d.await("the start", func() bool { return d.a.Health().OK })
	release := make(chan struct{})
	d.Plays(func(context.Context, chat.Invocation) chat.Answer { <-release; return chat.Answer{} })
	if status, body := d.posts("", signingSecret, time.Now(), typed.Encode()); status != http.StatusOK || body != "" {
		t.Errorf("acknowledged with %d %q", status, body)
	}
	d.await("the handler", func() bool { return len(d.Asked()) == 1 })
	cancel()
	d.await("the end to be near", func() bool {
		typed.Set("trigger_id", typed.Get("trigger_id")+"1")
		status, _ := d.posts("", signingSecret, time.Now(), typed.Encode())
		return status == http.StatusServiceUnavailable
	})
	over := len(ended) > 0
	close(release)
	if over {
		t.Error("Run did not wait")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if h := d.a.Health(); h.OK || h.Detail != "stopped" {
		t.Errorf("health says %+v", h)
	}
}

// Slack's own payloads, by both roads, say the same to the handler.
func TestBothRoadsAskTheSame(t *testing.T) {
	var asked []chat.Invocation
	for _, http := range []bool{false, true} {
		d := office(t, setup{http: http})
		d.types(ana, ops, "show  gitea & co")
		d.await("the handler", func() bool { return len(d.Asked()) == 1 })
		inv := d.Last()
		inv.ID, inv.At = "", time.Time{}
		asked = append(asked, inv)
	}
	one, _ := json.Marshal(asked[0])
	two, _ := json.Marshal(asked[1])
	if string(one) != string(two) {
		t.Errorf("by socket %s\nby HTTP   %s", one, two)
	}
}
