package slacktest_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

// called is a bot that Slack calls: it keeps what it was sent, and answers with
// status, and challenges as it should.
type called struct {
	mu     sync.Mutex
	status int
	paths  []string
	forms  []url.Values
	retry  []string
}

func (c *called) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	want := slacktest.Sign("signing-secret", stamped(r), body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Header.Get("X-Slack-Signature") != want.Get("X-Slack-Signature") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if c.paths == nil {
		c.paths = []string{}
		var asked struct{ Challenge string }
		_ = json.Unmarshal(body, &asked)
		_, _ = w.Write([]byte(asked.Challenge))
		return
	}
	form, _ := url.ParseQuery(string(body))
	c.paths, c.forms, c.retry = append(c.paths, r.URL.Path), append(c.forms, form), append(c.retry, r.Header.Get("X-Slack-Retry-Num"))
	w.WriteHeader(c.status)
}

func stamped(r *http.Request) time.Time {
	at, err := time.ParseDuration(r.Header.Get("X-Slack-Request-Timestamp") + "s")
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, 0).Add(at)
}

func TestEverythingGoesToTheRequestURL(t *testing.T) {
	s := workspace(t, slacktest.Options{Deadline: 100 * time.Millisecond})
	bot := &called{status: http.StatusOK}
	web := httptest.NewServer(bot)
	t.Cleanup(web.Close)
	if err := s.SetRequestURL(soon(t), "http://127.0.0.1:1"); err == nil {
		t.Error("an address without anybody is taken")
	}
	if err := s.SetRequestURL(soon(t), web.URL); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Command(soon(t), ana, ops, "show a&b"); err != nil || len(out.Ack) > 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if bot.paths[0] != "/slack/commands" || bot.forms[0].Get("text") != "show a&b" || bot.forms[0].Get("user_id") != ana {
		t.Errorf("sent %v to %v", bot.forms, bot.paths)
	}
	bot.mu.Lock()
	bot.status = http.StatusInternalServerError
	bot.mu.Unlock()
	if _, err := s.Command(soon(t), ana, ops, "help"); !errors.Is(err, slacktest.ErrNotConnected) {
		t.Errorf("an error of the bot is %v", err)
	}
	if _, err := s.OpenHome(soon(t), ana); !errors.Is(err, slacktest.ErrTimeout) {
		t.Errorf("an event that is not acknowledged: %v", err)
	}
	for {
		bot.mu.Lock()
		n, last := len(bot.retry), bot.retry[len(bot.retry)-1]
		bot.mu.Unlock()
		if n == 6 {
			if last != "3" {
				t.Errorf("the last retry is %q", last)
			}
			return
		}
		select {
		case <-soon(t).Done():
			t.Fatalf("%d requests", n)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
