package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/chat/webhook"
)

var now = time.Unix(1_790_000_000, 0)

// counted is a body that tells how much of it was read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// newEndpoint takes requests whose signature is "signed ", their time and their
// body.
func newEndpoint(log *bytes.Buffer, clock func() time.Time) *webhook.Endpoint {
	return &webhook.Endpoint{
		Timestamp: "X-Time", Signature: "X-Sign", Key: "the.key", Now: clock, Log: slog.New(slog.NewTextHandler(log, nil)),
		Valid: func(timestamp, signature string, body []byte) bool {
			return signature == "signed "+timestamp+" "+string(body)
		},
	}
}

func request(at time.Time, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/here", strings.NewReader(body))
	stamp := strconv.FormatInt(at.Unix(), 10)
	r.Header.Set("X-Time", stamp)
	r.Header.Set("X-Sign", "signed "+stamp+" "+body)
	return r
}

func TestOnlyWhatIsSignedRightlyAndNowIsTaken(t *testing.T) {
	huge := strings.Repeat("x", 1<<20+1)
	for name, c := range map[string]struct {
		at     time.Time
		body   string
		spoil  func(r *http.Request)
		status int
	}{
		"right":               {now, "hello", nil, http.StatusOK},
		"right and empty":     {now, "", nil, http.StatusOK},
		"five minutes old":    {now.Add(-5 * time.Minute), "hello", nil, http.StatusOK},
		"older":               {now.Add(-5*time.Minute - time.Second), "hello", nil, http.StatusUnauthorized},
		"five minutes early":  {now.Add(5 * time.Minute), "hello", nil, http.StatusOK},
		"earlier":             {now.Add(5*time.Minute + time.Second), "hello", nil, http.StatusUnauthorized},
		"the end of time":     {time.Unix(1<<63-1, 0), "hello", nil, http.StatusUnauthorized},
		"its beginning":       {time.Unix(-1<<63, 0), "hello", nil, http.StatusUnauthorized},
		"as large as allowed": {now, huge[1:], nil, http.StatusOK},
		"too large":           {now, huge, nil, http.StatusRequestEntityTooLarge},
		"too large, unsaid":   {now, huge, func(r *http.Request) { r.ContentLength = -1 }, http.StatusRequestEntityTooLarge},
		"another signature":   {now, "hello", func(r *http.Request) { r.Header.Set("X-Sign", "signed") }, http.StatusUnauthorized},
		"no signature":        {now, "hello", func(r *http.Request) { r.Header.Del("X-Sign") }, http.StatusUnauthorized},
		"no time":             {now, "hello", func(r *http.Request) { r.Header.Del("X-Time") }, http.StatusUnauthorized},
		"no time at all":      {now, "hello", func(r *http.Request) { r.Header.Set("X-Time", "noon") }, http.StatusUnauthorized},
		"another body":        {now, "hello", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("hallo")) }, http.StatusUnauthorized},
		"a query":             {now, "hello", func(r *http.Request) { r.URL.RawQuery = "payload=%7B%7D" }, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			h := newEndpoint(&bytes.Buffer{}, func() time.Time { return now }).Handler(func(_ http.ResponseWriter, _ *http.Request, body []byte) { got = string(body) })
			r := request(c.at, c.body)
			if c.spoil != nil {
				c.spoil(r)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("answered with %d, want %d", w.Code, c.status)
			}
			if taken := c.status == http.StatusOK; taken && got != c.body || !taken && got != "" {
				t.Errorf("taken: %.20q", got)
			}
		})
	}
}

func TestThousandsOfBadRequestsCostLittleAndAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	at := now
	e := newEndpoint(&log, func() time.Time { return at })
	h := e.Handler(func(http.ResponseWriter, *http.Request, []byte) {})
	if d := e.Detail(); !strings.HasSuffix(d, "none has come yet") {
		t.Errorf("before: %s", d)
	}
	body := &counted{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
	for range 1000 {
		for _, spoil := range []func(r *http.Request){
			func(r *http.Request) { r.Header.Set("X-Sign", "canary") },
			func(r *http.Request) { r.Header.Set("X-Time", "1"); r.Body = io.NopCloser(body) },
			func(r *http.Request) { r.ContentLength = 1 << 40; r.Body = io.NopCloser(body) },
			func(r *http.Request) { r.URL.RawQuery = "payload=x"; r.Body = io.NopCloser(body) },
		} {
			r := request(now, "canary")
			spoil(r)
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if body.n > 0 {
		t.Errorf("%d bytes were read of what could be refused without", body.n)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log:\n%.300s", n, log.String())
	}
	if d := e.Detail(); !strings.Contains(d, "4000 refused") || !strings.Contains(d, "the.key") {
		t.Errorf("health says %s", d)
	}
	at = at.Add(time.Minute)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/here", nil))
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "requests=4000") {
		t.Errorf("a minute later:\n%s", log.String())
	}
	if strings.Contains(log.String(), "canary") {
		t.Error("what was sent is in the log")
	}
	h.ServeHTTP(httptest.NewRecorder(), request(at, "x"))
	if d := e.Detail(); strings.Contains(d, "refused") || !strings.Contains(d, at.UTC().Format(time.RFC3339)) {
		t.Errorf("after a good one health says %s", d)
	}
}

func TestWorkIsStartedWhileOpenAndWaitedForAtTheEnd(t *testing.T) {
	e := newEndpoint(&bytes.Buffer{}, time.Now)
	if e.Go(func(context.Context) { t.Error("it ran before") }) {
		t.Error("it was taken before")
	}
	ctx, cancel := context.WithCancel(t.Context())
	e.Open(ctx)
	ended := false
	if !e.Go(func(ctx context.Context) { <-ctx.Done(); ended = true }) {
		t.Error("it was not taken")
	}
	cancel()
	if e.Go(func(context.Context) { t.Error("it ran after the end") }) {
		t.Error("it was taken after the end")
	}
	e.Close()
	if !ended {
		t.Error("the end did not wait")
	}
}

// Strangers who begin and do not end hold 64 bodies, each for two seconds, and
// what is served afterwards may take longer than that.
func TestBodiesThatDoNotEndAreNotWaitedFor(t *testing.T) {
	var log bytes.Buffer
	served := make(chan struct{})
	ended := make(chan error, 1)
	e := newEndpoint(&log, func() time.Time { return now })
	s := httptest.NewServer(e.Handler(func(_ http.ResponseWriter, r *http.Request, _ []byte) {
		close(served)
		<-r.Context().Done() // a deadline that is left would end it
		ended <- r.Context().Err()
	}))
	defer s.Close()

	// 64 are begun. How many are read is seen from outside by the next one,
	// which is refused.
	stamp := strconv.FormatInt(now.Unix(), 10)
	head := "POST /here HTTP/1.1\r\nHost: x\r\nX-Time: " + stamp + "\r\nX-Sign: canary\r\nContent-Length: 10\r\n\r\nhalf"
	statuses := make(chan int, 200)
	for range 200 {
		go func() {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, head); err != nil {
				t.Error(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			statuses <- res.StatusCode
		}()
	}
	for range 200 {
		if got := <-statuses; got != http.StatusBadRequest && got != http.StatusServiceUnavailable {
			t.Errorf("answered with %d", got)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log:\n%.300s", n, log.String())
	}

	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/here", strings.NewReader("right"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = request(now, "right").Header
	go func() { _, _ = http.DefaultClient.Do(r) }()
	<-served
	select {
	case err := <-ended:
		t.Errorf("it was ended before its end: %v", err)
	case <-time.After(2500 * time.Millisecond):
	}
	leave()
	<-ended
}

// Of bodies that come at once, 64 are read.
func TestTooManyBodiesAtOnceAreRefused(t *testing.T) {
	e := newEndpoint(&bytes.Buffer{}, func() time.Time { return now })
	h := e.Handler(func(http.ResponseWriter, *http.Request, []byte) {})
	begun, goOn := make(chan struct{}), make(chan struct{})
	answers := make(chan int, 64)
	for range 64 {
		go func() {
			r := request(now, "right")
			r.Body = io.NopCloser(io.MultiReader(waiting{begun, goOn}, r.Body))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			answers <- w.Code
		}()
		<-begun
	}
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(now, "right"))
		return w.Code
	}
	if got := ask(); got != http.StatusServiceUnavailable {
		t.Errorf("the 65th: %d", got)
	}
	close(goOn)
	for range 64 {
		if got := <-answers; got != http.StatusOK {
			t.Errorf("one of the 64: %d", got)
		}
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("afterwards: %d", got)
	}
}

// waiting is a body that begins and goes on later.
type waiting struct{ begun, goOn chan struct{} }

func (w waiting) Read([]byte) (int, error) {
	w.begun <- struct{}{}
	<-w.goOn
	return 0, io.EOF
}

func TestABodyIsTakenOnceAsLongAsItsTimeHolds(t *testing.T) {
	at := now
	e := newEndpoint(&bytes.Buffer{}, func() time.Time { return at })
	if !e.First([]byte("a")) || !e.First([]byte("b")) {
		t.Error("they are not taken")
	}
	at = at.Add(10 * time.Minute)
	if e.First([]byte("a")) || e.First([]byte("b")) {
		t.Error("they are taken again, while a time five minutes early may still hold")
	}
	at = at.Add(time.Second)
	if !e.First([]byte("a")) {
		t.Error("it is remembered for ever")
	}
}
