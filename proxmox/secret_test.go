package proxmox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsPrintedAsRedacted(t *testing.T) {
	s := Secret("hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%T %v"} {
		args := []any{s}
		if strings.HasPrefix(verb, "%T") {
			args = append(args, s)
		}
		for _, format := range []string{fmt.Sprintf(verb, args...), fmt.Sprintf("%+v", struct{ S Secret }{s})} {
			if strings.Contains(format, "hunter2") || strings.Contains(format, fmt.Sprintf("%x", "hunter2")) || !strings.Contains(format, redacted) {
				t.Errorf("%s prints %s", verb, format)
			}
		}
	}
	if b, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": struct{ S Secret }{s}}); err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("JSON is %s, %v", b, err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S Secret }{s})
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("the log is %s", &log)
	}
	if s.Reveal() != "hunter2" {
		t.Errorf("Reveal gives %q", s.Reveal())
	}
}

func TestNothingOfAClientPrintsItsSecret(t *testing.T) {
	cfg := Config{URLs: []string{"https://pve1:8006"}, TokenID: testToken, TokenSecret: testSecret}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, printed := range []string{
			fmt.Sprintf(verb, cfg), fmt.Sprintf(verb, &cfg), fmt.Sprintf(verb, c),
			fmt.Sprintf(verb, struct{ c *Client }{c}), fmt.Sprintf(verb, []any{c, cfg}),
		} {
			if strings.Contains(printed, testSecret) || strings.Contains(printed, fmt.Sprintf("%x", testSecret)) {
				t.Errorf("%s prints %s", verb, printed)
			}
		}
	}
}
