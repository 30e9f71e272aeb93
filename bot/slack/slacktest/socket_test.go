package slacktest_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"github.com/slack-go/slack/socketmode"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestAnAddressToDialWorksOnce(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	address := socketURL(t, s)
	if !strings.HasPrefix(address, "ws://127.0.0.1:") {
		t.Errorf("address = %q", address)
	}
	dial := func(address string) int {
		t.Helper()
		ws, res, err := websocket.DefaultDialer.DialContext(soon(t), address, nil)
		if err == nil {
			_ = ws.Close()
		}
		if res == nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := dial(address); got != http.StatusSwitchingProtocols {
		t.Errorf("first use: %d", got)
	}
	if got := dial(address); got != http.StatusForbidden {
		t.Errorf("second use: %d", got)
	}
	s.RefuseConnections(1)
	if got := dial(socketURL(t, s)); got != http.StatusServiceUnavailable {
		t.Errorf("refused: %d", got)
	}
	if got := dial(socketURL(t, s)); got != http.StatusSwitchingProtocols {
		t.Errorf("not refused any more: %d", got)
	}
}

func TestHelloCountsConnections(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	connect(t, s)
	ws, res, err := websocket.DefaultDialer.DialContext(soon(t), socketURL(t, s), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer ws.Close()
	hello := (&bot{t, ws}).read()
	want := object{
		"type": "hello", "num_connections": 2.0, "connection_info": object{"app_id": "A0APP0001"},
		"debug_info": object{"host": "applink-test", "build_number": 54.0, "approximate_connection_time": 18060.0},
	}
	if diff := cmp.Diff(want, hello); diff != "" {
		t.Error(diff)
	}
}

func TestTheEleventhConnectionIsShownTheDoor(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	for range 10 {
		connect(t, s)
	}
	ws, res, err := websocket.DefaultDialer.DialContext(soon(t), socketURL(t, s), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	defer ws.Close()
	b := &bot{t, ws}
	if got := b.read(); got["type"] != "disconnect" || got["reason"] != "too_many_websockets" {
		t.Errorf("first frame = %v", got)
	}
	if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("err = %v, want a close", err)
	}
	if got := len(s.Connections()); got != 10 {
		t.Errorf("%d connections", got)
	}
}

func TestEachEnvelopeGoesToOneConnectionInTurn(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	bots := []*bot{connect(t, s), connect(t, s), connect(t, s)}
	seen := map[any]bool{}
	for range 2 {
		for _, b := range bots {
			done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
			e := b.next(nil)
			if r := <-done; r.err != nil {
				t.Fatal(r.err)
			}
			if seen[e["envelope_id"]] {
				t.Errorf("envelope %v came twice", e["envelope_id"])
			}
			seen[e["envelope_id"]] = true
		}
	}
	acks := s.Acks()
	if len(acks) != 6 || acks[0].Conn != s.Connections()[0] || acks[5].Conn != s.Connections()[2] {
		t.Errorf("%+v", acks)
	}
}

func TestWithoutAConnectionACommandFailsAtOnce(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	if _, err := s.Command(soon(t), ana, ops, ""); !errors.Is(err, slacktest.ErrNotConnected) || err.Error() != "dispatch_failed" {
		t.Errorf("err = %v", err)
	}
}

func TestACommandThatIsNotAcknowledgedComesOnceMore(t *testing.T) {
	s := workspace(t, slacktest.Options{Deadline: 20 * time.Millisecond})
	first, second := connect(t, s), connect(t, s)
	_, err := s.Command(soon(t), ana, ops, "")
	if !errors.Is(err, slacktest.ErrTimeout) || err.Error() != "operation_timeout" {
		t.Errorf("err = %v", err)
	}
	e, again := first.read(), second.read()
	if diff := cmp.Diff(e, again); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	second.ack(again, object{"text": "too late"})
	if err := s.Await(soon(t), "the late acknowledgement", func() bool { return len(s.Acks()) == 1 }); err != nil {
		t.Fatal(err)
	}
	if a := s.Acks()[0]; !a.Late || a.Kind != "slash_commands" || a.EnvelopeID != e["envelope_id"] {
		t.Errorf("%+v", a)
	}
	if got := s.Messages(ops, ana); len(got) != 0 {
		t.Errorf("a late answer was shown: %v", texts(got))
	}
}

func TestAnEventIsRetriedThreeTimes(t *testing.T) {
	s := workspace(t, slacktest.Options{Deadline: 20 * time.Millisecond})
	b := connect(t, s)
	if _, err := s.OpenHome(soon(t), ana); !errors.Is(err, slacktest.ErrTimeout) {
		t.Errorf("err = %v", err)
	}
	var id any
	for i := range 4 {
		e := b.read()
		reason := "timeout"
		if i == 0 {
			id, reason = e["envelope_id"], ""
		}
		if e["retry_attempt"] != float64(i) || e["retry_reason"] != reason || e["envelope_id"] != id {
			t.Errorf("attempt %d: %v", i, e)
		}
	}
}

func TestAnEventThatIsAcknowledgedAtLastIsNotRetried(t *testing.T) {
	var attempts []int
	second := func(k *sdk, e socketmode.Event) {
		if e.Type != socketmode.EventTypeEventsAPI {
			return
		}
		attempts = append(attempts, e.Request.RetryAttempt)
		if len(attempts) == 2 {
			_ = k.client.Ack(*e.Request)
		}
	}
	inBubble(t, slacktest.Options{}, second, func(t *testing.T, s *slacktest.Server, _ *sdk) {
		if _, err := s.OpenHome(t.Context(), ana); !errors.Is(err, slacktest.ErrTimeout) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(time.Minute) // of the bubble
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 1}, attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
		if a := s.Acks(); len(a) != 1 || a[0].Late {
			t.Errorf("%+v", a)
		}
	})
}

func TestRedeliver(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	first, second := connect(t, s), connect(t, s)
	if err := s.Redeliver(""); err == nil {
		t.Error("sent an envelope that never was")
	}
	done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "x") })
	e := first.next(nil)
	r := <-done
	if err := s.Redeliver(r.EnvelopeID); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, second.read()); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	second.ack(e, nil)
	if err := s.Await(soon(t), "both acknowledgements", func() bool { return len(s.Acks()) == 2 }); err != nil {
		t.Fatal(err)
	}
	if acks := s.Acks(); acks[0].Late || !acks[1].Late {
		t.Errorf("%+v", acks)
	}
}

// TestARedeliveredClickIsTheSame changes the message in between: what comes
// again is what was sent, not what is there now.
func TestARedeliveredClickIsTheSame(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	ts := call(t, s, "chat.postMessage", object{"channel": ops, "text": "one", "blocks": []any{actions(button("a", "A"))}}).str("ts")
	done := act(func() (slacktest.Outcome, error) {
		return s.Click(soon(t), ana, slacktest.At{Channel: ops, TS: ts}, "a")
	})
	e := b.next(nil)
	<-done
	call(t, s, "chat.update", object{"channel": ops, "ts": ts, "text": "two"})
	if err := s.Redeliver(""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, b.read()); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
}

func TestAcknowledgementsThatAreLost(t *testing.T) {
	t.Run("20 KB", func(t *testing.T) {
		// {"envelope_id":"…36…","payload":{"text":"…"}} and a line break
		const around = len(`{"envelope_id":"","payload":{"text":""}}`) + 36 + 1
		for _, tt := range []struct {
			size     int
			deadline time.Duration
			want     error
		}{{20<<10 - 1, 0, nil}, {20 << 10, 50 * time.Millisecond, slacktest.ErrTimeout}} {
			s := workspace(t, slacktest.Options{Deadline: tt.deadline})
			b := connect(t, s)
			done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
			b.next(func(object) any { return object{"text": strings.Repeat("x", tt.size-around)} })
			if r := <-done; !errors.Is(r.err, tt.want) {
				t.Errorf("%d bytes: err = %v, want %v", tt.size, r.err, tt.want)
			}
			if err := s.Await(soon(t), "the acknowledgement", func() bool { return len(s.Acks()) == 1 }); err != nil {
				t.Fatal(err)
			}
			lost := tt.want != nil
			if s.Acks()[0].Dropped != lost || (len(s.Unexpected()) == 1) != lost {
				t.Errorf("%d bytes: %v, unexpected %q", tt.size, s.Acks()[0].Dropped, s.Unexpected())
			}
		}
	})
	t.Run("on purpose", func(t *testing.T) {
		s := workspace(t, slacktest.Options{Deadline: 50 * time.Millisecond})
		b := connect(t, s)
		s.DropAcks(1)
		done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
		b.next(nil)
		if r := <-done; !errors.Is(r.err, slacktest.ErrTimeout) {
			t.Errorf("err = %v", r.err)
		}
		b.next(nil) // the same once more, too late
		if err := s.Await(soon(t), "both acknowledgements", func() bool { return len(s.Acks()) == 2 }); err != nil {
			t.Fatal(err)
		}
		if a := s.Acks(); !a[0].Dropped || a[0].Late || a[1].Dropped || !a[1].Late {
			t.Errorf("%+v", a)
		}
	})
	t.Run("of nothing that was sent", func(t *testing.T) {
		s := workspace(t, slacktest.Options{})
		b := connect(t, s)
		b.ack(object{"envelope_id": "none"}, nil)
		if err := b.ws.WriteMessage(websocket.TextMessage, []byte("[]")); err != nil {
			t.Fatal(err)
		}
		want := []string{`acknowledgement of unknown envelope "none"`, "acknowledgement that is no JSON object: []"}
		if err := s.Await(soon(t), "two surprises", func() bool { return len(s.Unexpected()) == 2 }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, s.Unexpected()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDisconnect(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	a, b, c := connect(t, s), connect(t, s), connect(t, s)
	ids := s.Connections()

	s.Disconnect("warning", ids[0])
	if got := a.read(); got["type"] != "disconnect" || got["reason"] != "warning" {
		t.Errorf("%v", got)
	}
	if diff := cmp.Diff(ids, s.Connections()); diff != "" {
		t.Errorf("a warning closes nothing:\n%s", diff)
	}
	s.Disconnect("refresh_requested", ids[0])
	if got := a.read(); got["reason"] != "refresh_requested" {
		t.Errorf("%v", got)
	}
	if _, _, err := a.ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("err = %v, want a close", err)
	}
	if diff := cmp.Diff(ids[1:], s.Connections()); diff != "" {
		t.Error(diff)
	}
	s.Disconnect("", ids[1])
	if _, _, err := b.ws.ReadMessage(); err == nil || websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("err = %v, want a cut", err)
	}

	// The one that is left gets everything.
	for range 2 {
		done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
		c.next(nil)
		if r := <-done; r.err != nil {
			t.Error(r.err)
		}
	}
	s.Disconnect("link_disabled")
	if got := c.read(); got["reason"] != "link_disabled" {
		t.Errorf("%v", got)
	}
	if got := s.Connections(); len(got) != 0 {
		t.Errorf("connections %v", got)
	}
}

func TestCloseEndsEverybodysWait(t *testing.T) {
	s := workspace(t, slacktest.Options{})
	b := connect(t, s)
	done := act(func() (slacktest.Outcome, error) { return s.Command(soon(t), ana, ops, "") })
	waiting := make(chan error, 1)
	go func() { waiting <- s.Await(soon(t), "nothing", func() bool { return false }) }()
	b.read()
	s.Close()
	if r := <-done; !errors.Is(r.err, slacktest.ErrNotConnected) {
		t.Errorf("err = %v", r.err)
	}
	if err := <-waiting; err == nil {
		t.Error("still waiting")
	}
	s.Close() // twice is once
	if err := s.Start(); err == nil {
		t.Error("started again")
	}
}
