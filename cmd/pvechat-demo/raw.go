package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rawRequest is one request of the bot, word for word but for its secrets, and for
// what is one person's alone: anybody at the page may ask for it.
type rawRequest struct {
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Body     any       `json:"body"`
	Status   int       `json:"status"`
	Response any       `json:"response"`
	At       time.Time `json:"at"`
}

// capability is the part of an address that lets whoever knows it answer for
// the bot: an interaction's token, or the end of a response URL.
var capability = regexp.MustCompile(`^(.*/(?:interactions|webhooks)/\d+/|/(?:commands|actions)/\w+/\d+/)[^/?]+`)

// raw tells which requests made a message, newest first.
func (w *world) raw(out http.ResponseWriter, r *http.Request) {
	channel, id := r.FormValue("channel"), r.FormValue("id")
	list := []rawRequest{}
	add := func(method, path string, body any, status int, response []byte, at time.Time) {
		q := rawRequest{method, capability.ReplaceAllString(path, "$1[redacted]"), body, status, parsed(response), at}
		if q.Path != path || strings.Contains(path, "/views.") || strings.HasSuffix(path, "/chat.postEphemeral") {
			q.Body, q.Response = blacked(q.Body), blacked(q.Response)
		}
		list = append(list, q)
	}
	switch platform := r.FormValue("platform"); {
	case platform == "slack" && w.slack != nil:
		for _, q := range w.slack.Requests() {
			if id != "" && (q.Channel == channel && q.TS == id || q.View == id) {
				add(http.MethodPost, q.Path, slackBody(q.Body), q.Status, q.Response, q.At)
			}
		}
	case platform == "discord" && w.discord != nil:
		for _, q := range w.discord.Requests() {
			if id != "" && q.Message == id {
				add(q.Method, q.Path, parsed(q.Body), q.Status, q.Response, q.Time)
			}
		}
	default:
		refuse(out, http.StatusNotFound, "there is no platform "+platform)
		return
	}
	slices.Reverse(list)
	reply(out, http.StatusOK, list)
}

// parsed is a body as JSON if it is, else as text.
func parsed(body []byte) any {
	switch {
	case len(body) == 0:
		return nil
	case json.Valid(body):
		return json.RawMessage(body)
	}
	return string(body)
}

// fenced is a code block of Discord's.
var fenced = regexp.MustCompile("(?s)```\\n.*?\\n```")

// blacked is a payload without what is drawn to be copied exactly: that is how
// credentials are shown, and the lines of a log.
func blacked(v any) any {
	if raw, ok := v.(json.RawMessage); ok {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var decoded any
		if d.Decode(&decoded) != nil {
			return nil
		}
		return blacked(decoded)
	}
	switch v := v.(type) {
	case string:
		return fenced.ReplaceAllString(v, "```\n[redacted]\n```")
	case []any:
		for i := range v {
			v[i] = blacked(v[i])
		}
	case map[string]any:
		for key, inner := range v {
			if key == "elements" && v["type"] == "rich_text_preformatted" {
				v[key] = []any{map[string]any{"type": "text", "text": "[redacted]"}}
				continue
			}
			v[key] = blacked(inner)
		}
	}
	return v
}

// slackBody is a body with the fields of a form as an object, and without the
// token.
func slackBody(body []byte) any {
	if json.Valid(body) {
		return json.RawMessage(body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	fields := map[string]any{}
	for name := range form {
		switch value := form.Get(name); name {
		case "token":
		case "blocks", "view", "attachments":
			fields[name] = parsed([]byte(value))
		default:
			fields[name] = value
		}
	}
	return fields
}
