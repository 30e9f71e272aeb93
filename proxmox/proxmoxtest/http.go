package proxmoxtest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The limits of pveproxy: pve-http-server, src/PVE/APIServer/AnyEvent.pm, and pve-manager, PVE/Service/pveproxy.pm.
const (
	workerProcesses   = 3
	idleTimeout       = 5 * time.Second
	requestsPerConn   = 100
	largestBody       = 512 << 10
	compressAbove     = 1024
	unauthorizedDelay = 3 * time.Second
	deadNodeDelay     = 3 * time.Second
)

// net/http's server cannot set the reason phrase, in which Proxmox puts its error texts; so this is a small server of our own.

type conn struct {
	net.Conn // what is read and written: TLS or the raw connection
	raw      net.Conn
	r        *bufio.Reader
}

// response is an answer before it is written.
type response struct {
	status      int
	reason      string
	contentType string
	location    string
	body        []byte
	zipped      func() []byte // the body in gzip, where somebody keeps it
	delay       time.Duration // scaled
	cut         int           // bytes after which the connection dies; < 0: none
}

func (s *Server) accept(ln net.Listener) {
	for {
		raw, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !s.pause(time.Millisecond, nil) {
				return
			}
			continue
		}
		s.mu.Lock()
		if s.closed || s.faults.down {
			raw.Close()
		} else {
			s.conns[raw] = struct{}{}
			s.wg.Go(func() { s.serve(raw) })
		}
		s.mu.Unlock()
	}
}

// cutConnections ends all connections without a word. The lock is held.
func (s *Server) cutConnections() {
	for raw := range s.conns {
		raw.Close()
	}
}

func listen(address string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", address)
}

func (s *Server) serve(raw net.Conn) {
	defer func() {
		raw.Close()
		s.mu.Lock()
		delete(s.conns, raw)
		s.mu.Unlock()
	}()
	c := &conn{Conn: raw, raw: raw, r: bufio.NewReader(raw)}
	if !s.opts.Plain && !s.secure(c) {
		return
	}
	for left := requestsPerConn - 1; s.exchange(c, left); left-- {
	}
}

// secure turns the connection into one with TLS. A client that speaks plain HTTP is sent there instead. False: it is over.
func (s *Server) secure(c *conn) bool {
	const handshake = 0x16
	if first, err := c.peek(); err != nil || first != handshake {
		if err == nil {
			if req, err := http.ReadRequest(c.r); err == nil {
				c.finish(s.write(c, "HTTP/1.1", "", redirected(req), true))
			}
		}
		return false
	}
	leaf, err := s.certs.current()
	if err != nil {
		return false
	}
	tc := tls.Server(&peeked{Conn: c.raw, r: c.r}, &tls.Config{Certificates: []tls.Certificate{*leaf}})
	if tc.HandshakeContext(context.Background()) != nil {
		return false
	}
	c.Conn, c.r = tc, bufio.NewReader(tc)
	return true
}

// exchange reads a request and answers it. False: it was the last of this connection.
func (s *Server) exchange(c *conn, left int) bool {
	if _, err := c.peek(); err != nil {
		return false
	}
	req, err := http.ReadRequest(c.r)
	if err != nil {
		res := plain(400, "bad request")
		res.cut = -1
		c.finish(s.write(c, "HTTP/1.0", "", res, true))
		return false
	}
	res := s.answer(req)
	if res == nil || !s.pause(res.delay, nil) || c.raw.SetDeadline(time.Now().Add(time.Minute)) != nil {
		return false
	}
	last := left <= 0 || res.status >= 400 || req.Close
	proto := fmt.Sprintf("HTTP/%d.%d", req.ProtoMajor, req.ProtoMinor)
	err = s.write(c, proto, req.Header.Get("Accept-Encoding"), res, last)
	if err != nil || res.cut >= 0 {
		return false
	}
	if last {
		c.finish(nil)
		return false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return err == nil
}

// peek waits for the first byte of what comes next, and then gives the rest a minute.
func (c *conn) peek() (byte, error) {
	if err := c.raw.SetReadDeadline(time.Now().Add(idleTimeout)); err != nil {
		return 0, err
	}
	first, err := c.r.Peek(1)
	if err != nil {
		return 0, err
	}
	return first[0], c.raw.SetDeadline(time.Now().Add(time.Minute))
}

// finish ends a connection, unless it is broken, so that the client still reads the answer: what it has sent and nobody read would
// turn into a reset.
func (c *conn) finish(broken error) {
	closer, ok := c.Conn.(interface{ CloseWrite() error })
	if broken != nil || !ok || closer.CloseWrite() != nil {
		return
	}
	if c.raw.SetReadDeadline(time.Now().Add(500*time.Millisecond)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(c.r, 2*largestBody))
	}
}

// peeked reads what was buffered while looking for a handshake.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

func redirected(req *http.Request) *response {
	res := &response{status: 308, reason: "Permanent Redirect", location: "https://" + req.Host + req.URL.RequestURI(), cut: -1}
	if req.Method == http.MethodGet || req.Method == http.MethodHead {
		res.status, res.reason = 301, "Moved Permanently"
	}
	res.body = []byte(res.reason)
	return res
}

func (s *Server) write(c *conn, proto, accepts string, res *response, last bool) error {
	reason, _, _ := strings.Cut(res.reason, "\n")
	var head bytes.Buffer
	date := s.now().UTC().Format(http.TimeFormat)
	fmt.Fprintf(&head, "%s %d %s\r\n", proto, res.status, reason)
	fmt.Fprintf(&head, "Cache-Control: max-age=0\r\nConnection: %s\r\nDate: %s\r\nPragma: no-cache\r\nServer: pve-api-daemon/3.0\r\n",
		map[bool]string{true: "close", false: "Keep-Alive"}[last], date)
	if res.location != "" {
		fmt.Fprintf(&head, "Location: %s\r\n", res.location)
	}
	body := res.body
	if len(body) > compressAbove && strings.Contains(accepts, "gzip") {
		if res.zipped != nil {
			body = res.zipped()
		} else {
			body = zip(body)
		}
		head.WriteString("Content-Encoding: gzip\r\n")
	}
	if len(body) > 0 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body))
	}
	if res.contentType != "" {
		fmt.Fprintf(&head, "Content-Type: %s\r\n", res.contentType)
	}
	fmt.Fprintf(&head, "Expires: %s\r\n\r\n", date)
	if res.cut >= 0 {
		all := append(head.Bytes(), body...)
		_, err := c.Write(all[:min(res.cut, len(all))])
		return err
	}
	if len(body) < 64<<10 {
		head.Write(body)
		body = nil
	}
	if _, err := c.Write(head.Bytes()); err != nil || len(body) == 0 {
		return err
	}
	_, err := c.Write(body)
	return err
}

func zip(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is a good one
	_, _ = w.Write(body)                              // into memory
	_ = w.Close()
	return out.Bytes()
}

// answer carries a request out. Nil: the connection ends without an answer.
func (s *Server) answer(req *http.Request) *response {
	format, path := splitPath(req.URL.Path)
	record := &Request{
		Method: req.Method, Path: path, Form: url.Values{}, Time: s.now(),
		UserAgent: req.UserAgent(),
	}
	s.lock()
	s.arrived(record)
	latency := s.faults.latency
	failing := firstMatch(s.faults.fail, req.Method, path)
	cutting := firstMatch(s.faults.cut, req.Method, path)
	s.mu.Unlock()

	if !s.stall() || !s.hold(req.Method, path, false) {
		return nil
	}
	if latency > 0 {
		select {
		case s.slots <- struct{}{}:
		case <-s.done:
			return nil
		}
		served := s.pause(latency, nil)
		<-s.slots
		if !served {
			return nil
		}
	}
	var res *response
	if failing != nil {
		res = s.failed(failing)
	} else {
		res = s.carryOut(req, format, path, record)
	}
	if !s.hold(req.Method, path, true) {
		return nil
	}
	res.cut = -1
	if cutting != nil {
		res.cut = cutting.bytes
	}
	s.mu.Lock()
	if res.cut < 0 {
		record.Status = res.status
		record.Reason, _, _ = strings.Cut(res.reason, "\n")
	}
	s.notify()
	s.mu.Unlock()
	return res
}

// stall is true at once if nothing is stalled, and false when a stall, or the server, has ended.
func (s *Server) stall() bool {
	for first := true; ; first = false {
		s.mu.Lock()
		stalled, changed := s.faults.stalled, s.changed
		s.mu.Unlock()
		if !stalled {
			return first
		}
		select {
		case <-changed:
		case <-s.done:
			return false
		}
	}
}

func (s *Server) failed(f *failure) *response {
	switch f.status {
	case 429, 502, 503, 504:
		page := fmt.Sprintf("<html><head><title>%d %s</title></head></html>\n", f.status, f.reason)
		return &response{status: f.status, reason: f.reason, contentType: "text/html", body: []byte(page)}
	case 401:
		return &response{status: f.status, reason: f.reason, delay: s.scaled(unauthorizedDelay)}
	}
	if f.status >= 595 {
		return &response{status: f.status, reason: f.reason}
	}
	return s.rejected(&apiError{status: f.status, message: f.reason + "\n"})
}

// plain is an error that never reached the API: its text is the whole body.
func plain(status int, reason string) *response {
	return &response{status: status, reason: reason, body: []byte(reason)}
}

// splitPath takes the format and the path below it from "/api2/json/nodes/pve1".
func splitPath(path string) (format, rest string) {
	below, ok := strings.CutPrefix(path, "/api2")
	if !ok {
		return "", path
	}
	below = strings.TrimLeft(below, "/")
	format, rest, _ = strings.Cut(below, "/")
	return format, "/" + strings.TrimLeft(rest, "/")
}

// carryOut does what pveproxy does with a request, in its order: protocol, authentication, body, and then the call.
func (s *Server) carryOut(req *http.Request, format, path string, record *Request) *response {
	misused := func(res *response) *response {
		s.mu.Lock()
		r := *record
		r.Status, r.Reason = res.status, res.reason
		s.unexpected = append(s.unexpected, r)
		s.mu.Unlock()
		return res
	}
	switch req.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		res := plain(501, fmt.Sprintf("method '%s' not available", req.Method))
		res.body = nil
		return misused(res)
	}
	if len(req.TransferEncoding) > 0 {
		return misused(plain(501, "chunked transfer encoding not supported"))
	}
	if !strings.HasPrefix(req.URL.Path, "/api2") {
		return misused(plain(500, fmt.Sprintf("no such file '%s'", path)))
	}
	if format == "" {
		return misused(plain(501, "no such uri"))
	}

	s.lock()
	who, err := s.authenticate(req.Header)
	if err == nil {
		record.Token = who.user
	}
	s.mu.Unlock()
	if err != nil {
		return &response{status: 401, reason: err.Error(), delay: s.scaled(unauthorizedDelay)}
	}

	var body []byte
	kind, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(kind)
	if req.ContentLength > 0 {
		if req.Method != http.MethodPost && req.Method != http.MethodPut {
			return misused(plain(501, fmt.Sprintf("Unexpected content for method '%s'", req.Method)))
		}
		if req.ContentLength > largestBody {
			return misused(plain(501, "for data too large"))
		}
		if kind != "" && kind != "application/x-www-form-urlencoded" && kind != "application/json" {
			return misused(plain(506, fmt.Sprintf("upload 'Content-Type '%s' not implemented", kind)))
		}
		if body, err = io.ReadAll(req.Body); err != nil {
			return plain(400, "bad request")
		}
	}
	if format != "json" {
		return misused(plain(501, fmt.Sprintf("no formatter for uri %s, %s", path, format)))
	}
	params, err := decodeParams(kind, body, req.URL.RawQuery)
	if err != nil {
		return plain(500, err.Error())
	}
	s.mu.Lock()
	for k, v := range params {
		record.Form[k] = v.all()
	}
	s.mu.Unlock()

	data, total, err := s.perform(req.Method, path, who, params)
	if err != nil {
		var failure *apiError
		if !errors.As(err, &failure) {
			failure = &apiError{status: 500, message: err.Error()}
		}
		res := s.rejected(failure)
		if failure.misuse {
			return misused(res)
		}
		return res
	}
	res := &response{status: 200, reason: "OK", contentType: jsonType}
	if kept, ok := data.(*listing); ok {
		res.body, res.zipped = kept.body, kept.packed
		return res
	}
	answer := map[string]any{"data": data}
	if total > 0 {
		answer["total"] = total
	}
	res.body = encode(answer)
	return res
}

const jsonType = "application/json;charset=UTF-8"

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // only our own maps of numbers and strings come here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// apiError is what a call dies of.
type apiError struct {
	status  int
	message string // as Proxmox writes it, with the line break at its end
	errors  map[string]string
	misuse  bool // no correct client gets this
	bare    bool // no body: another node's answer that did not come
	delay   time.Duration
}

func (e *apiError) Error() string { return strings.TrimSpace(e.message) }

func die(format string, args ...any) error {
	return &apiError{status: 500, message: fmt.Sprintf(format, args...) + "\n"}
}

func (s *Server) rejected(e *apiError) *response {
	res := &response{status: e.status, reason: strings.TrimSuffix(e.message, "\n"), delay: e.delay}
	if e.bare {
		return res
	}
	body := map[string]any{"data": nil}
	if len(e.errors) > 0 {
		body["errors"] = e.errors
	}
	if s.atLeast(8, 4) {
		body["message"] = e.message
	}
	res.contentType, res.body = jsonType, encode(body)
	return res
}
