package slacktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	maxConnections = 10
	maxAck         = 20 << 10 // bytes; an acknowledgement of that size is lost
	eventRetries   = 3
	connectionLife = 18060 * time.Second
	debugLife      = 360 * time.Second // with debug_reconnects=true
	queuedFrames   = 1024              // for a client that does not read
)

// What a person sees when the bot does not answer as it should. A slash
// command shows the words themselves.
var (
	ErrTimeout      = errors.New("operation_timeout")
	ErrNotConnected = errors.New("dispatch_failed")
	ErrTrouble      = errors.New("we had some trouble connecting") // on a form whose answer makes no sense
)

// sockets is the state of Socket Mode. Its fields need Server.mu.
type sockets struct {
	tickets   map[string]bool
	conns     []*conn
	envelopes map[string]*envelope
	sent      []*envelope
	acks      []Ack
}

func newSockets() sockets {
	return sockets{tickets: map[string]bool{}, envelopes: map[string]*envelope{}}
}

// conn is one Socket Mode connection.
type conn struct {
	id       int
	ws       *websocket.Conn
	out      chan []byte // nil: close after what was queued before
	gone     chan struct{}
	once     sync.Once
	draining bool // gets no more envelopes
	last     int  // serial of the last envelope it got, to take turns
}

func (c *conn) cut() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.ws.Close()
	})
}

// queue sends a frame; a client that has stopped reading is cut off.
func (c *conn) queue(frame []byte) {
	select {
	case c.out <- frame:
	default:
		c.cut()
	}
}

// envelope is one thing that the bot is told.
type envelope struct {
	id, kind string
	accepts  bool
	payload  json.RawMessage
	attempt  int
	sent     time.Time
	settled  bool // acknowledged, or too late for that
	acked    chan struct{}
	ack      json.RawMessage
	failure  error                         // what came in its place, over HTTP
	reason   string                        // why it is sent again, over HTTP
	onAck    func(payload json.RawMessage) // with Server.mu, before anything else the bot does
}

// Ack is an acknowledgement of the bot.
type Ack struct {
	EnvelopeID string
	Kind       string // of the envelope: slash_commands, interactive, events_api
	Payload    json.RawMessage
	Conn       int // see Connections; 0: it was the answer to a request
	At         time.Time
	Took       time.Duration // since the envelope was last sent
	Late       bool          // after the deadline, or not the first: without effect
	Dropped    bool          // lost on its way: without effect
}

// Acks returns every acknowledgement so far, oldest first.
func (s *Server) Acks() []Ack {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acks)
}

// Connections returns the numbers of the Socket Mode connections that take
// envelopes, oldest first.
func (s *Server) Connections() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []int
	for _, c := range s.conns {
		if !c.draining {
			out = append(out, c.id)
		}
	}
	return out
}

// Disconnect tells connections to go, all of them if none is named. The reason
// "warning" only announces it, about ten seconds ahead; after
// "refresh_requested" or "link_disabled" the connection is closed; the empty
// reason cuts it without a word.
func (s *Server) Disconnect(reason string, conns ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Clone(s.conns) {
		if len(conns) > 0 && !slices.Contains(conns, c.id) {
			continue
		}
		switch reason {
		case "":
			c.draining = true
			c.cut()
		case "warning":
			c.queue(disconnectFrame(reason))
		default:
			c.draining = true
			c.queue(disconnectFrame(reason))
			c.queue(nil)
		}
	}
	s.touch()
}

func disconnectFrame(reason string) []byte {
	return encode(object{"type": "disconnect", "reason": reason, "debug_info": object{"host": "applink-test"}})
}

// Redeliver sends an envelope again, to the connection whose turn it is; the
// empty id is the last envelope.
func (s *Server) Redeliver(envelopeID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.envelopes[envelopeID]
	if envelopeID == "" && len(s.sent) > 0 {
		e = s.sent[len(s.sent)-1]
	}
	if e == nil {
		return fmt.Errorf("slacktest: no envelope %q", envelopeID)
	}
	e.attempt++
	return s.transmit(e)
}

func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ticket := r.URL.Query().Get("ticket")
	valid := s.tickets[ticket]
	delete(s.tickets, ticket)
	refused := s.refusals > 0
	if refused {
		s.refusals--
	}
	s.mu.Unlock()
	switch {
	case refused:
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
		return
	case !valid:
		http.Error(w, "bad ticket", http.StatusForbidden)
		return
	}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &conn{ws: ws, out: make(chan []byte, queuedFrames), gone: make(chan struct{})}
	defer c.cut()
	life := connectionLife
	if r.URL.Query().Get("debug_reconnects") == "true" {
		life = debugLife
	}
	if !s.greet(c, life) {
		return
	}
	s.wg.Go(func() { s.write(c, life) })
	pong := ws.PingHandler()
	ws.SetPingHandler(func(text string) error {
		s.mu.Lock()
		silent := s.silent || s.deaf
		s.mu.Unlock()
		if silent {
			return nil
		}
		return pong(text)
	})
	for {
		kind, frame, err := ws.ReadMessage()
		if err != nil {
			break
		}
		if kind == websocket.TextMessage {
			s.acknowledge(c, frame)
		}
	}
	s.mu.Lock()
	s.conns = slices.DeleteFunc(s.conns, func(x *conn) bool { return x == c })
	s.touch()
	s.mu.Unlock()
}

// greet takes a connection in and says hello, or shows it the door.
func (s *Server) greet(c *conn, life time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	c.id = s.nextID()
	open := 0
	for _, other := range s.conns {
		if !other.draining {
			open++
		}
	}
	if open >= maxConnections {
		c.draining = true
		c.queue(disconnectFrame("too_many_websockets"))
		c.queue(nil)
	} else {
		c.queue(encode(object{
			"type": "hello", "num_connections": open + 1, "connection_info": object{"app_id": AppID},
			"debug_info": object{"host": "applink-test", "build_number": 54, "approximate_connection_time": int(life.Seconds())},
		}))
	}
	s.conns = append(s.conns, c)
	s.touch()
	return true
}

// write is the only writer of a connection.
func (s *Server) write(c *conn, life time.Duration) {
	defer c.cut()
	ping := time.NewTicker(s.opts.PingEvery)
	defer ping.Stop()
	end := time.NewTimer(life)
	defer end.Stop()
	for {
		var err error
		deadline := time.Now().Add(10 * time.Second)
		select {
		case <-c.gone:
			return
		case <-end.C:
			s.Disconnect("refresh_requested", c.id)
		case <-ping.C:
			s.mu.Lock()
			silent := s.silent || s.deaf
			s.mu.Unlock()
			if !silent {
				err = c.ws.WriteControl(websocket.PingMessage, []byte("Ping"), deadline)
			}
		case frame := <-c.out:
			if frame == nil {
				_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), deadline)
				_ = c.ws.SetReadDeadline(deadline) // closing at once could take back what the client has not read yet
				<-c.gone
				return
			}
			s.mu.Lock()
			deaf := s.deaf
			s.mu.Unlock()
			if !deaf {
				_ = c.ws.SetWriteDeadline(deadline)
				err = c.ws.WriteMessage(websocket.TextMessage, frame)
			}
		}
		if err != nil {
			return
		}
	}
}

// dispatch tells the bot something. It needs s.mu.
func (s *Server) dispatch(kind string, accepts bool, payload object, onAck func(json.RawMessage)) (*envelope, error) {
	n := s.nextID()
	e := &envelope{
		id: fmt.Sprintf("0f0f0f0f-0000-4000-8000-%012d", n), kind: kind, accepts: accepts, payload: encode(payload),
		acked: make(chan struct{}), onAck: onAck,
	}
	if err := s.transmit(e); err != nil {
		return nil, err
	}
	s.envelopes[e.id] = e
	s.sent = append(s.sent, e)
	s.touch()
	return e, nil
}

// transmit sends an envelope to the request URL, if there is one, or to the
// connection that has waited longest.
func (s *Server) transmit(e *envelope) error {
	if to := s.requestURL; to != "" {
		e.sent = s.opts.Now()
		attempt, reason := e.attempt, e.reason
		s.wg.Go(func() { s.deliver(to, e, attempt, reason) })
		return nil
	}
	var next *conn
	for _, c := range s.conns {
		if !c.draining && (next == nil || c.last < next.last) {
			next = c
		}
	}
	if next == nil {
		return ErrNotConnected
	}
	next.last = s.nextID()
	e.sent = s.opts.Now()
	frame := object{"envelope_id": e.id, "type": e.kind, "accepts_response_payload": e.accepts, "payload": e.payload}
	if e.kind == "events_api" {
		frame["retry_attempt"], frame["retry_reason"] = e.attempt, ""
		if e.attempt > 0 {
			frame["retry_reason"] = "timeout"
		}
	}
	next.queue(encode(frame))
	return nil
}

// settle waits for the acknowledgement of an envelope. Without one in time the
// person sees an error, and the bot is told once more, of an event thrice; over
// HTTP of nothing but events.
func (s *Server) settle(ctx context.Context, e *envelope) error {
	if err := s.awaitAck(ctx, e); !errors.Is(err, ErrTimeout) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.settled:
		return nil // at the last moment
	case s.closed:
		return ErrNotConnected
	}
	if e.kind != "events_api" {
		e.settled = true
		if s.requestURL == "" {
			e.attempt++
			_ = s.transmit(e)
		}
		return ErrTimeout
	}
	s.wg.Go(func() {
		for range eventRetries {
			s.mu.Lock()
			e.attempt++
			_ = s.transmit(e) // without a connection this attempt is lost
			s.mu.Unlock()
			if err := s.awaitAck(context.Background(), e); !errors.Is(err, ErrTimeout) {
				return
			}
		}
	})
	return ErrTimeout
}

func (s *Server) awaitAck(ctx context.Context, e *envelope) error {
	deadline := time.NewTimer(s.opts.Deadline)
	defer deadline.Stop()
	select {
	case <-e.acked:
		return e.failure
	case <-deadline.C:
		return ErrTimeout
	case <-ctx.Done():
		return ctx.Err()
	case <-s.done:
		return ErrNotConnected
	}
}

// acknowledge takes in what the bot sent over a connection.
func (s *Server) acknowledge(c *conn, frame []byte) {
	var in struct {
		EnvelopeID string          `json:"envelope_id"`
		Payload    json.RawMessage `json:"payload"`
	}
	err := json.Unmarshal(frame, &in)

	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.envelopes[in.EnvelopeID]
	switch {
	case err != nil:
		s.surprise("acknowledgement that is no JSON object: %.100s", frame)
		return
	case e == nil:
		s.surprise("acknowledgement of unknown envelope %q", in.EnvelopeID)
		return
	}
	s.acknowledged(e, in.Payload, len(frame) >= maxAck, c.id)
}

// acknowledged takes in an acknowledgement, from a connection or, with none,
// from the answer to a request. It needs s.mu.
func (s *Server) acknowledged(e *envelope, payload json.RawMessage, lost bool, conn int) {
	now := s.opts.Now()
	a := Ack{EnvelopeID: e.id, Kind: e.kind, Payload: payload, Conn: conn, At: now, Took: now.Sub(e.sent)}
	switch {
	case lost:
		a.Dropped = true
		s.surprise("acknowledgement of %d bytes or more is lost", maxAck)
	case s.dropAcks > 0:
		s.dropAcks--
		a.Dropped = true
	case e.settled:
		a.Late = true
	default:
		e.settled, e.ack = true, payload
		if e.onAck != nil {
			e.onAck(payload)
		}
		close(e.acked)
	}
	s.acks = append(s.acks, a)
	s.touch()
}
