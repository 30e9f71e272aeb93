package slacktest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/slack/slacktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

const (
	ana = "U0ANA0001"
	bob = "U0BOB0001"
	ops = "C0OPS0001"
)

// workspace starts a server with two people in a channel with the bot.
func workspace(t *testing.T, opts slacktest.Options) *slacktest.Server {
	t.Helper()
	s := slacktest.New(opts)
	s.AddUser(ana, "ana", "S0ADMINS1")
	s.AddUser(bob, "bob")
	s.AddChannel(ops, "ops", true, ana, bob)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// reply is what the Web API answered.
type reply struct {
	object
	status int
	header http.Header
}

func (r reply) code() string { s, _ := r.object["error"].(string); return s }
func (r reply) ok() bool     { return r.object["ok"] == true }

func (r reply) str(path ...string) string {
	var v any = r.object
	for _, name := range path {
		o, _ := v.(object)
		v = o[name]
	}
	s, _ := v.(string)
	return s
}

func (r reply) problems() []string {
	meta, _ := r.object["response_metadata"].(object)
	list, _ := meta["messages"].([]any)
	var out []string
	for _, m := range list {
		out = append(out, m.(string))
	}
	return out
}

func post(t *testing.T, address string, header http.Header, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	return do(t, req)
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	out := reply{status: res.StatusCode, header: res.Header}
	if err := json.NewDecoder(res.Body).Decode(&out.object); err != nil {
		t.Fatal(err)
	}
	return out
}

// call calls a method with JSON and the bot's token.
func call(t *testing.T, s *slacktest.Server, method string, args object) reply {
	t.Helper()
	return callAs(t, s, "xoxb-test", method, args)
}

func callAs(t *testing.T, s *slacktest.Server, token, method string, args object) reply {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, s.APIURL()+method, http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token},
	}, body)
}

// callForm calls a method as older clients do, with the token in the form.
func callForm(t *testing.T, s *slacktest.Server, method string, args map[string]string) reply {
	t.Helper()
	form := url.Values{"token": {"xoxb-test"}}
	for k, v := range args {
		form.Set(k, v)
	}
	return post(t, s.APIURL()+method, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(form.Encode()))
}

func respond(t *testing.T, address string, args object) reply {
	t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return post(t, address, http.Header{"Content-Type": {"application/json"}}, body)
}

// bot is a Socket Mode client without manners of its own.
type bot struct {
	t  *testing.T
	ws *websocket.Conn
}

// socketURL asks for an address to dial.
func socketURL(t *testing.T, s *slacktest.Server) string {
	t.Helper()
	r := callAs(t, s, "xapp-test", "apps.connections.open", object{})
	if !r.ok() {
		t.Fatalf("apps.connections.open: %v", r.object)
	}
	return r.str("url")
}

// connect opens a connection and reads its hello.
func connect(t *testing.T, s *slacktest.Server) *bot {
	t.Helper()
	b, _ := dial(t, s)
	return b
}

func dial(t *testing.T, s *slacktest.Server) (b *bot, hello object) {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.DialContext(soon(t), socketURL(t, s), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	b = &bot{t, ws}
	if hello = b.read(); hello["type"] != "hello" {
		t.Fatalf("first frame = %v, want hello", hello)
	}
	return b, hello
}

func (b *bot) read() object {
	b.t.Helper()
	_ = b.ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	var o object
	if err := b.ws.ReadJSON(&o); err != nil {
		b.t.Fatal(err)
	}
	return o
}

func (b *bot) ack(envelope object, payload any) {
	b.t.Helper()
	o := object{"envelope_id": envelope["envelope_id"]}
	if payload != nil {
		o["payload"] = payload
	}
	if err := b.ws.WriteJSON(o); err != nil {
		b.t.Fatal(err)
	}
}

// next reads an envelope, lets the bot do something, and acknowledges.
func (b *bot) next(do func(payload object) (ack any)) object {
	b.t.Helper()
	e := b.read()
	p, _ := e["payload"].(object)
	var ack any
	if do != nil {
		ack = do(p)
	}
	b.ack(e, ack)
	return e
}

// result is what a person gets.
type result struct {
	slacktest.Outcome
	err error
}

// act lets a person act while the bot reads.
func act(f func() (slacktest.Outcome, error)) <-chan result {
	done := make(chan result, 1)
	go func() {
		out, err := f()
		done <- result{out, err}
	}()
	return done
}

// Blocks and elements, as small as Slack takes them.

func plain(s string) object  { return object{"type": "plain_text", "text": s} }
func mrkdwn(s string) object { return object{"type": "mrkdwn", "text": s} }

func button(action, text string) object {
	return object{"type": "button", "action_id": action, "text": plain(text)}
}

func actions(elements ...any) object {
	return object{"type": "actions", "elements": append([]any{}, elements...)}
}

func section(s string) object { return object{"type": "section", "text": mrkdwn(s)} }

func option(value string) object { return object{"text": plain(value), "value": value} }

func choices(n int) []any { return many(n, option("x")) }

func input(block string, element object) object {
	return object{"type": "input", "block_id": block, "label": plain("Label"), "element": element}
}

func modal(blocks ...any) object {
	return object{"type": "modal", "title": plain("Title"), "submit": plain("Go"), "notify_on_close": true, "blocks": append([]any{}, blocks...)}
}

func home(blocks ...any) object { return object{"type": "home", "blocks": blocks} }

func many(n int, v any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func chars(n int) string { return strings.Repeat("ä", n) }

func with(o object, name string, v any) object {
	out := object{name: v}
	for k, old := range o {
		if k != name {
			out[k] = old
		}
	}
	return out
}

func without(o object, name string) object {
	out := object{}
	for k, v := range o {
		if k != name {
			out[k] = v
		}
	}
	return out
}
