package discordtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	apiV9        = "/api/v9"
	apiV10       = "/api/v10" // the same in all that is served here
	maxBody      = 25 << 20
	keptRequests = 10_000
)

// Request is something that the bot sent: over REST, or over the gateway where
// it was out of order there.
type Request struct {
	Time   time.Time
	Method string // "GATEWAY" for the gateway
	Path   string // with its query; interaction tokens stay in it
	Route  string // "PATCH /channels/{channel}/messages/{message}"; empty where there is none
	Header http.Header
	Body   json.RawMessage // of a multipart body, its payload_json
	Files  []string        // names of uploaded files

	Message string // that it made, read, changed or deleted; empty where there is none

	Status   int // 0 while there is no answer yet
	Response json.RawMessage
}

// Requests lists what the bot sent, oldest first: the last ten thousand. The
// Authorization header is blacked out.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copies(s.requests)
}

// Unexpected lists the requests for which Discord has no route, and gateway
// messages that it does not know. A test should end with none.
func (s *Server) Unexpected() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copies(s.unexpected)
}

func copies(from []*Request) []Request {
	list := make([]Request, len(from))
	for i, r := range from {
		list[i] = *r
	}
	return list
}

// note keeps r; s.mu is held.
func (s *Server) note(r *Request) {
	if len(s.requests) >= keptRequests {
		s.requests = slices.Delete(s.requests, 0, keptRequests/10)
	}
	s.requests = append(s.requests, r)
	s.changed()
}

// call is one REST request.
type call struct {
	*http.Request
	body  any       // decoded
	files []file    // without an id yet
	at    time.Time // when it had arrived, before it was looked at
	about string    // the message that it made, or is about
}

// form is the body as an object.
func (c *call) form(p *problems) form {
	fields, _ := c.body.(object)
	return form{p: p, fields: fields}
}

// reply is a successful answer; no body is 204.
type reply struct {
	status int
	body   any
}

func okReply(body any) reply { return reply{http.StatusOK, body} }

var noContent = reply{status: http.StatusNoContent}

// route is an endpoint of the REST API. do runs with s.mu held and must not wait.
type route struct {
	pattern string
	open    bool // needs no Authorization header: the path has a token, or nothing is secret
	do      func(*call) (reply, error)
}

func (s *Server) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, r := range []route{
		{"GET /gateway", true, s.getGateway},
		{"GET /gateway/bot", false, s.getGatewayBot},
		{"GET /users/@me", false, s.getSelf},
		{"GET /users/{user}", false, s.getUser},
		{"POST /users/@me/channels", false, s.createDM},
		{"GET /applications/@me", false, s.getApplication},
		{"GET /oauth2/applications/@me", false, s.getApplication},
		{"GET /guilds/{guild}", false, s.getGuild},
		{"GET /guilds/{guild}/members/{user}", false, s.getMember},
		{"GET /channels/{channel}", false, s.getChannel},

		{"GET /applications/{app}/commands", false, s.getCommands},
		{"POST /applications/{app}/commands", false, s.postCommand},
		{"PUT /applications/{app}/commands", false, s.putCommands},
		{"GET /applications/{app}/commands/{command}", false, s.getCommand},
		{"DELETE /applications/{app}/commands/{command}", false, s.deleteCommand},
		{"GET /applications/{app}/guilds/{guild}/commands", false, s.getCommands},
		{"POST /applications/{app}/guilds/{guild}/commands", false, s.postCommand},
		{"PUT /applications/{app}/guilds/{guild}/commands", false, s.putCommands},
		{"GET /applications/{app}/guilds/{guild}/commands/{command}", false, s.getCommand},
		{"DELETE /applications/{app}/guilds/{guild}/commands/{command}", false, s.deleteCommand},

		{"POST /channels/{channel}/messages", false, s.postMessage},
		{"GET /channels/{channel}/messages/{message}", false, s.getMessage},
		{"PATCH /channels/{channel}/messages/{message}", false, s.patchMessage},
		{"DELETE /channels/{channel}/messages/{message}", false, s.deleteMessage},

		{"POST /interactions/{interaction}/{token}/callback", true, s.postCallback},
		{"POST /webhooks/{app}/{token}", true, s.postFollowup},
		{"GET /webhooks/{app}/{token}/messages/{message}", true, s.getResponse},
		{"PATCH /webhooks/{app}/{token}/messages/{message}", true, s.patchResponse},
		{"DELETE /webhooks/{app}/{token}/messages/{message}", true, s.deleteResponse},
	} {
		method, path, _ := strings.Cut(r.pattern, " ")
		for _, root := range []string{apiV9, apiV10} {
			mux.HandleFunc(method+" "+root+path, func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, r) })
		}
	}
	mux.HandleFunc("GET /ws/", s.serveGateway)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) { s.handle(w, req, route{open: true}) })
	return mux
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.busy.Add(1)
	defer s.busy.Done()
	s.routes.ServeHTTP(w, r)
}

// handle answers one request. The order is Discord's where it is known: faults
// stand in front of everything, then the token, the rate limits, the body.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, to route) {
	c, raw, readErr := readCall(r, s.now)
	header := r.Header.Clone()
	if header.Get("Authorization") != "" {
		header.Set("Authorization", "[redacted]")
	}
	log := &Request{Time: c.at, Method: r.Method, Path: r.URL.RequestURI(), Route: to.pattern, Header: header, Body: raw, Files: names(c.files)}

	s.mu.Lock()
	s.note(log)
	if to.do == nil {
		s.unexpected = append(s.unexpected, log)
	}
	stalled := s.faults.stall(r.Method, r.URL.Path)
	s.mu.Unlock()
	if stalled != nil {
		select {
		case <-stalled:
		case <-r.Context().Done():
			return
		}
	}

	s.mu.Lock()
	if s.limits.banned(c.at) {
		log.Status = http.StatusTooManyRequests
		s.changed()
		s.mu.Unlock()
		shutOut(w)
		return
	}
	status, body := s.answer(c, to, readErr, w.Header())
	lost := s.faults.lose(r.Method, r.URL.Path)
	if !lost {
		log.Status, log.Response = status, body
	}
	log.Message = c.about
	s.limits.judge(c.at, status, w.Header())
	s.changed()
	s.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}

	if body != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// answer does what was asked for; s.mu is held. The body is encoded here because
// it shares parts with the state.
func (s *Server) answer(c *call, to route, readErr error, header http.Header) (status int, body json.RawMessage) {
	got, err := s.do(c, to, readErr, header)
	if err != nil {
		var failed *apiError
		if !errors.As(err, &failed) {
			panic(err) // a handler's mistake: all their errors are this one
		}
		maps.Copy(header, failed.header)
		return failed.status, mustMarshal(failed.body())
	}
	if got.status == http.StatusNoContent {
		return got.status, nil
	}
	return got.status, mustMarshal(got.body)
}

func (s *Server) do(c *call, to route, readErr error, header http.Header) (reply, error) {
	if to.do == nil {
		return reply{}, errNotFound
	}
	if err := s.faults.answer(c.Method, c.URL.Path); err != nil {
		return reply{}, err
	}
	if !to.open && (s.tokenReset || c.Header.Get("Authorization") != "Bot "+s.opts.BotToken) {
		return reply{}, errUnauthorized
	}
	if err := s.limits.count(c, to.pattern, header); err != nil {
		return reply{}, err
	}
	if readErr != nil {
		return reply{}, readErr
	}
	return to.do(c)
}

// readCall reads a request's body: JSON, or multipart with payload_json and files.
func readCall(r *http.Request, now func() time.Time) (*call, json.RawMessage, error) {
	c := &call{Request: r}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	c.at = now()
	if err != nil {
		return c, nil, errInvalidJSON
	}
	if len(raw) > maxBody {
		return c, nil, known(40005)
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		if raw, c.files, err = readParts(raw, params["boundary"]); err != nil {
			return c, nil, errInvalidJSON
		}
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return c, nil, nil
	}
	if c.body, err = decode(raw); err != nil {
		return c, mustMarshal(string(raw)), errInvalidJSON
	}
	return c, raw, nil
}

func readParts(raw []byte, boundary string) (payload []byte, files []file, err error) {
	parts := multipart.NewReader(bytes.NewReader(raw), boundary)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return payload, files, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("multipart body: %w", err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, nil, fmt.Errorf("multipart body: %w", err)
		}
		switch {
		case part.FormName() == "payload_json":
			payload = content
		case part.FileName() != "":
			files = append(files, file{name: part.FileName(), content: content})
		}
	}
}

func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return v, nil
}

// mustMarshal encodes what this package built itself.
func mustMarshal(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
