package discordtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/bot/discord/discordtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type object = map[string]any

const (
	app   = "3000000000000000003"
	guild = "4000000000000000004"
	ana   = "1000000000000000001"
	ben   = "1000000000000000002"
	ops   = "5000000000000000005"
	away  = "5000000000000000006" // the bot is not in it
	mute  = "5000000000000000007" // the bot may not send there
)

// newGuild is a guild with two people and a few channels.
func newGuild(t *testing.T, opts discordtest.Options) *discordtest.Server {
	t.Helper()
	s := discordtest.New(opts)
	s.AddUser(ana, "Ana", "2000000000000000002")
	s.AddUser(ben, "Ben")
	s.AddChannel(ops, "ops", true)
	s.AddChannel(away, "away", true)
	s.KickBot(away)
	s.AddChannel(mute, "mute", false)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// answer is what the REST API says.
type answer struct {
	status int
	header http.Header
	body   any
}

func (a answer) object() object { o, _ := a.body.(object); return o }
func (a answer) str(key string) string {
	s, _ := a.object()[key].(string)
	return s
}

func (a answer) code() int {
	n, _ := a.object()["code"].(float64)
	return int(n)
}

// rest makes a request as the bot.
func rest(t *testing.T, s *discordtest.Server, method, path string, body any) answer {
	t.Helper()
	return as(t, s, "Bot test-token", method, path, body)
}

func as(t *testing.T, s *discordtest.Server, authorization, method, path string, body any) answer {
	t.Helper()
	var r io.Reader
	if body != nil {
		raw, ok := body.(string)
		if !ok {
			b, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			raw = string(b)
		}
		r = strings.NewReader(raw)
	}
	if !strings.HasPrefix(path, "/api/") {
		path = "/api/v9" + path
	}
	req, err := http.NewRequestWithContext(soon(t), method, s.URL()+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			t.Fatalf("%s %s: %s", method, path, raw)
		}
	}
	return a
}

// wrong reports the codes at a path of an answer 50035: "components.0.label".
func (a answer) wrong(path string) string {
	at := a.object()["errors"]
	for _, key := range strings.Split(path, ".") {
		o, _ := at.(object)
		at = o[key]
	}
	o, _ := at.(object)
	list, _ := o["_errors"].([]any)
	var codes []string
	for _, e := range list {
		one, _ := e.(object)
		if one["message"] == "" || one["message"] == nil {
			codes = append(codes, "without a message")
		}
		codes = append(codes, fmt.Sprint(one["code"]))
	}
	return strings.Join(codes, " ")
}

// bot is a gateway client that speaks raw frames.
type bot struct {
	t       *testing.T
	s       *discordtest.Server
	ws      *websocket.Conn
	session string
	seq     int
}

type frame struct {
	Op int             `json:"op"`
	D  json.RawMessage `json:"d"`
	S  *int            `json:"s"`
	T  string          `json:"t"`
}

// dial opens a connection and reads the hello.
func dial(t *testing.T, s *discordtest.Server) (*bot, object) {
	t.Helper()
	where := rest(t, s, "GET", "/gateway", nil)
	ws, _, err := websocket.DefaultDialer.DialContext(soon(t), where.str("url")+"?v=9&encoding=json", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	b := &bot{t: t, s: s, ws: ws}
	hello := b.read()
	if hello.Op != 10 {
		t.Fatalf("the first frame is op %d", hello.Op)
	}
	var whole object
	if err := json.Unmarshal(hello.D, &whole); err != nil {
		t.Fatal(err)
	}
	return b, whole
}

func (b *bot) send(op int, d any) {
	b.t.Helper()
	if err := b.ws.WriteJSON(object{"op": op, "d": d}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bot) read() frame {
	b.t.Helper()
	f, err := b.try()
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *bot) try() (frame, error) {
	_ = b.ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, raw, err := b.ws.ReadMessage()
	if err != nil {
		return frame{}, err
	}
	var f frame
	err = json.NewDecoder(bytes.NewReader(raw)).Decode(&f)
	if f.S != nil {
		b.seq = *f.S
	}
	return f, err
}

// closed reads until the connection ends, and returns its code.
func (b *bot) closed() int {
	b.t.Helper()
	for {
		_, err := b.try()
		if end, ok := err.(*websocket.CloseError); ok {
			return end.Code
		}
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bot) identify() {
	b.send(2, object{"token": "Bot test-token", "intents": 0, "properties": object{"os": "linux", "browser": "x", "device": "x"}})
}

// event reads the next event of a kind.
func (b *bot) event(kind string) object {
	b.t.Helper()
	for {
		f := b.read()
		if f.Op != 0 || f.T != kind {
			continue
		}
		var d object
		if err := json.Unmarshal(f.D, &d); err != nil {
			b.t.Fatal(err)
		}
		return d
	}
}

// connect begins a session, with "/pve show NAME" and "/pve dashboard".
func connect(t *testing.T, s *discordtest.Server) *bot {
	t.Helper()
	b, _ := dial(t, s)
	b.identify()
	b.session, _ = b.event("READY")["session_id"].(string)
	a := rest(t, s, "PUT", "/applications/"+app+"/guilds/"+guild+"/commands", []any{object{
		"name": "pve", "description": "containers", "options": []any{
			object{"type": 1, "name": "show", "description": "one", "options": []any{object{"type": 3, "name": "name", "description": "which", "required": true, "autocomplete": true}}},
			object{"type": 1, "name": "dashboard", "description": "all"},
		},
	}})
	if a.status != http.StatusOK {
		t.Fatalf("register: %d %v", a.status, a.body)
	}
	return b
}

// outcome is what a person sees, and the error of the client.
type outcome struct {
	discordtest.Outcome
	err error
}

// acts lets a person do something, hands the interaction to do, and returns
// what comes of it.
func (b *bot) acts(act func(context.Context) (discordtest.Outcome, error), do func(in object)) discordtest.Outcome {
	b.t.Helper()
	done := make(chan outcome, 1)
	ctx := soon(b.t)
	go func() {
		out, err := act(ctx)
		done <- outcome{out, err}
	}()
	do(b.event("INTERACTION_CREATE"))
	out := <-done
	if out.err != nil {
		b.t.Fatal(out.err)
	}
	return out.Outcome
}

func (b *bot) typed(do func(in object)) discordtest.Outcome {
	b.t.Helper()
	return b.acts(func(ctx context.Context) (discordtest.Outcome, error) {
		return b.s.Command(ctx, ana, ops, "dashboard", nil)
	}, do)
}

func (b *bot) clicked(m discordtest.Message, id string, do func(in object)) discordtest.Outcome {
	b.t.Helper()
	return b.acts(func(ctx context.Context) (discordtest.Outcome, error) { return b.s.Click(ctx, ana, m.At(), id) }, do)
}

// respond makes a first response.
func (b *bot) respond(in object, kind int, data any) answer {
	b.t.Helper()
	body := object{"type": kind}
	if data != nil {
		body["data"] = data
	}
	return rest(b.t, b.s, "POST", fmt.Sprintf("/interactions/%s/%s/callback", in["id"], in["token"]), body)
}

// responds makes one that is taken.
func (b *bot) responds(kind int, data any) func(in object) {
	return func(in object) {
		b.t.Helper()
		if a := b.respond(in, kind, data); a.status != http.StatusNoContent {
			b.t.Errorf("response %d: %d %v", kind, a.status, a.body)
		}
	}
}

func webhook(in object, rest string) string {
	return fmt.Sprintf("/webhooks/%s/%s%s", app, in["token"], rest)
}

const v2 = 32768

func text(s string) object { return object{"type": 10, "content": s} }
func row(children ...any) object {
	return object{"type": 1, "components": children}
}

func button(id, label string) object {
	return object{"type": 2, "style": 1, "custom_id": id, "label": label}
}

func input(id string) object {
	return object{"type": 4, "custom_id": id, "style": 1, "label": "Name"}
}

func modal(rows ...any) object {
	return object{"custom_id": "form", "title": "Delete", "components": rows}
}

func with(o object, key string, value any) object {
	c := object{}
	for k, v := range o {
		c[k] = v
	}
	c[key] = value
	return c
}

func times(n int, make func(i int) any) []any {
	list := []any{}
	for i := range n {
		list = append(list, make(i))
	}
	return list
}

func chars(n int) string { return strings.Repeat("x", n) }
