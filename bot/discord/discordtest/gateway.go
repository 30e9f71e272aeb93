package discordtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// Gateway opcodes.
const (
	opDispatch       = 0
	opHeartbeat      = 1
	opIdentify       = 2
	opResume         = 6
	opReconnect      = 7
	opInvalidSession = 9
	opHello          = 10
	opHeartbeatAck   = 11
)

// Close codes of the gateway.
const (
	closeUnknownOpcode  = 4001
	closeDecodeError    = 4002
	closeNotIdentified  = 4003
	closeBadToken       = 4004
	closeAlreadyKnown   = 4005
	closeTooManySends   = 4008
	closeSessionTimeout = 4009
)

// maxFrame is how many bytes a client may send at once.
const maxFrame = 4096

// A connection may send 120 frames in a minute. With StrictLimits, one session
// may begin in five seconds (max_concurrency is 1); op 9 answers the others.
const (
	sends         = 120
	sendsIn       = time.Minute
	identifyEvery = 5 * time.Second
)

// identifiesADay is how many sessions a bot may begin in 24 hours; above it
// Discord resets its token.
const identifiesADay = 1000

// gateway is the state of the WebSocket side; s.mu guards it.
type gateway struct {
	conns      map[*gatewayConn]struct{}
	sessions   map[string]*session
	identifies []time.Time
}

func (g *gateway) init() {
	g.conns = make(map[*gatewayConn]struct{})
	g.sessions = make(map[string]*session)
}

// session outlives its connection: it can be resumed on another one.
type session struct {
	id   string
	seq  int
	sent []json.RawMessage // events, by sequence number less 1
	conn *gatewayConn
}

type gatewayConn struct {
	ws      *websocket.Conn
	out     chan any // frames, and closeFrame as the last one
	session *session
	version int       // of the API, as asked for
	beat    time.Time // of the last heartbeat
	sends   window
}

type closeFrame struct {
	code   int
	reason string
}

// Identifies counts the sessions that were begun, or tried to, in a day.
func (s *Server) Identifies() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.gateway.identifies)
}

// Connected counts the gateway connections that have a session.
func (s *Server) Connected() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for c := range s.gateway.conns {
		if c.session != nil {
			n++
		}
	}
	return n
}

func (s *Server) getGateway(*call) (reply, error) {
	return okReply(object{"url": s.gatewayURL()}), nil
}

func (s *Server) getGatewayBot(*call) (reply, error) {
	left := max(identifiesADay-len(s.gateway.identifies), 0)
	return okReply(object{
		"url": s.gatewayURL(), "shards": 1,
		"session_start_limit": object{"total": identifiesADay, "remaining": left, "reset_after": 86_400_000, "max_concurrency": 1},
	}), nil
}

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}

func (s *Server) serveGateway(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refused := s.faults.refuseGateway
	s.mu.Unlock()
	if refused {
		http.Error(w, "service unavailable", http.StatusServiceUnavailable)
		return
	}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered already
	}
	c := &gatewayConn{ws: ws, out: make(chan any, 256), beat: time.Now(), version: 9}
	if r.URL.Query().Get("v") == "10" {
		c.version = 10
	}
	s.mu.Lock()
	s.gateway.conns[c] = struct{}{}
	c.push(frame(opHello, object{"heartbeat_interval": s.opts.HeartbeatEvery.Milliseconds(), "_trace": []any{}}))
	s.changed()
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		defer close(done)
		s.write(c)
	}()
	err = s.read(c)
	s.mu.Lock()
	delete(s.gateway.conns, c)
	if c.session != nil && c.session.conn == c {
		c.session.conn = nil
		if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway) {
			delete(s.gateway.sessions, c.session.id) // who leaves in order does not come back
		}
	}
	c.push(closeFrame{})
	s.changed()
	s.mu.Unlock()
	_ = ws.Close()
	<-done
}

func frame(op int, d any) object { return object{"op": op, "d": d, "s": nil, "t": nil} }

// push queues a frame; a client that does not read loses them, and is cut off.
func (c *gatewayConn) push(f any) {
	select {
	case c.out <- f:
	default:
		_ = c.ws.Close()
	}
}

// write sends what is queued.
func (s *Server) write(c *gatewayConn) {
	for f := range c.out {
		s.mu.Lock()
		deaf := s.faults.deaf
		s.mu.Unlock()
		if _, end := f.(closeFrame); deaf && !end {
			continue
		}
		_ = c.ws.SetWriteDeadline(time.Now().Add(5 * time.Second))
		if end, ok := f.(closeFrame); ok {
			if end.code != 0 {
				_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(end.code, end.reason))
			}
			_ = c.ws.Close()
			return
		}
		if raw, ok := f.(json.RawMessage); ok {
			_ = c.ws.WriteMessage(websocket.TextMessage, raw)
			continue
		}
		_ = c.ws.WriteJSON(f)
	}
}

// read takes frames until the connection ends, and says why it did.
func (s *Server) read(c *gatewayConn) error {
	c.ws.SetReadLimit(1 << 20)
	for {
		_ = c.ws.SetReadDeadline(time.Now().Add(2*s.opts.HeartbeatEvery + min(s.opts.HeartbeatEvery, 5*time.Second)))
		_, raw, err := c.ws.ReadMessage()
		if err != nil {
			return err
		}
		var in struct {
			Op int             `json:"op"`
			D  json.RawMessage `json:"d"`
		}
		s.mu.Lock()
		if len(raw) > maxFrame || json.Unmarshal(raw, &in) != nil {
			c.push(closeFrame{closeDecodeError, "Error while decoding payload."})
		} else {
			s.received(c, in.Op, in.D)
		}
		s.changed()
		s.mu.Unlock()
	}
}

// received does what a client's frame asks for; s.mu is held.
func (s *Server) received(c *gatewayConn, op int, d json.RawMessage) {
	if c.sends.use(s.now(), sendsIn); c.sends.used > sends {
		c.push(closeFrame{closeTooManySends, "You are being rate limited."})
		return
	}
	switch op {
	case opHeartbeat:
		c.beat = time.Now()
		if !s.faults.silentHeartbeats {
			c.push(frame(opHeartbeatAck, nil))
		}
	case opIdentify:
		s.identify(c, d)
	case opResume:
		s.resume(c, d)
	case 3, 4, 8: // presence, voice, members: allowed, and of no interest
	default:
		r := &Request{Time: s.now(), Method: "GATEWAY", Path: fmt.Sprintf("op %d", op), Body: d}
		s.note(r)
		s.unexpected = append(s.unexpected, r)
		c.push(closeFrame{closeUnknownOpcode, "Unknown opcode."})
	}
}

func (s *Server) identify(c *gatewayConn, d json.RawMessage) {
	var in struct {
		Token      string         `json:"token"`
		Intents    *int           `json:"intents"`
		Properties map[string]any `json:"properties"`
	}
	now := s.now()
	recent := len(s.gateway.identifies) > 0 && now.Sub(s.gateway.identifies[len(s.gateway.identifies)-1]) < identifyEvery
	s.gateway.identifies = slices.DeleteFunc(s.gateway.identifies, func(t time.Time) bool { return now.Sub(t) >= 24*time.Hour })
	s.gateway.identifies = append(s.gateway.identifies, now)
	if len(s.gateway.identifies) > identifiesADay {
		s.tokenReset = true
	}
	switch {
	case json.Unmarshal(d, &in) != nil || in.Intents == nil || in.Properties == nil:
		c.push(closeFrame{closeDecodeError, "Error while decoding payload."})
	case c.session != nil:
		c.push(closeFrame{closeAlreadyKnown, "Already authenticated."})
	case s.faults.reconnectInHandshake > 0:
		s.faults.reconnectInHandshake--
		c.push(frame(opReconnect, nil))
	case s.faults.invalidSessions > 0:
		s.faults.invalidSessions--
		c.push(frame(opInvalidSession, s.faults.invalidResumable))
	case s.limits.strict && recent:
		c.push(frame(opInvalidSession, false))
	case s.faults.refuseIdentify != 0:
		c.push(closeFrame{s.faults.refuseIdentify, "Refused."})
	case s.tokenReset || in.Token != "Bot "+s.opts.BotToken && in.Token != s.opts.BotToken:
		c.push(closeFrame{closeBadToken, "Authentication failed."})
	default:
		for id, old := range s.gateway.sessions {
			if old.conn == nil {
				delete(s.gateway.sessions, id) // the bot began anew
			}
		}
		c.session = &session{id: fmt.Sprintf("session-%s", s.newID()), conn: c}
		s.gateway.sessions[c.session.id] = c.session
		s.deliver(c.session, "READY", object{
			"v": c.version, "session_id": c.session.id, "session_type": "normal", "resume_gateway_url": s.gatewayURL(),
			"user":             s.selfObject(),
			"application":      object{"id": s.opts.ApplicationID, "flags": 565248},
			"guilds":           []any{object{"id": s.opts.GuildID, "unavailable": true}},
			"private_channels": []any{}, "presences": []any{}, "relationships": []any{}, "user_settings": object{},
			"guild_join_requests": []any{}, "geo_ordered_rtc_regions": []any{}, "auth": object{},
		})
	}
}

func (s *Server) resume(c *gatewayConn, d json.RawMessage) {
	var in struct {
		Token     string `json:"token"`
		SessionID string `json:"session_id"`
		Seq       int    `json:"seq"`
	}
	if s.faults.stallResume {
		return
	}
	if json.Unmarshal(d, &in) != nil {
		c.push(closeFrame{closeDecodeError, "Error while decoding payload."})
		return
	}
	if s.tokenReset || in.Token != "Bot "+s.opts.BotToken && in.Token != s.opts.BotToken {
		c.push(closeFrame{closeBadToken, "Authentication failed."})
		return
	}
	ses := s.gateway.sessions[in.SessionID]
	if ses == nil || in.Seq > ses.seq {
		c.push(frame(opInvalidSession, false))
		return
	}
	ses.conn, c.session = c, ses
	for _, raw := range ses.sent[in.Seq:] {
		c.push(raw)
	}
	s.deliver(ses, "RESUMED", object{})
}

// deliver sends an event to a session, or keeps it until it resumes; s.mu is
// held.
func (s *Server) deliver(ses *session, event string, d any) {
	ses.seq++
	raw := mustMarshal(object{"op": opDispatch, "t": event, "s": ses.seq, "d": d})
	ses.sent = append(ses.sent, raw)
	if ses.conn != nil {
		ses.conn.push(raw)
	}
}

// dispatch sends an event to every session, also to one that may be resumed: a
// bot without shards has one. s.mu is held.
func (s *Server) dispatch(event string, d any) {
	for _, ses := range s.gateway.sessions {
		s.deliver(ses, event, d)
	}
}
