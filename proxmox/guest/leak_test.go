package guest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

const canary = "CANARY-5f0e9a"

// spellings are the ways in which the canary could come out.
func spellings() []string {
	list := fmt.Sprint([]byte(canary))
	return []string{
		canary,
		strings.ToLower(canary),
		hex.EncodeToString([]byte(canary)),
		strings.ToUpper(hex.EncodeToString([]byte(canary))),
		fmt.Sprintf("% x", canary),
		base64.StdEncoding.EncodeToString([]byte(canary))[:12],
		list[1 : len(list)-1], // as bytes
		"0x43, 0x41, 0x4e, 0x41",
	}
}

// printed is v in every way that code might print it by accident.
func printed(v any) string {
	var s strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&s, verb+"\n", v)
	}
	if err, ok := v.(error); ok {
		switch u := err.(type) {
		case interface{ Unwrap() error }:
			s.WriteString(printed(u.Unwrap()))
		case interface{ Unwrap() []error }:
			for _, err := range u.Unwrap() {
				s.WriteString(printed(err))
			}
		}
	}
	text, err := json.Marshal(v)
	fmt.Fprintf(&s, "%s %v\n", text, err)
	slog.New(slog.NewJSONHandler(&s, nil)).Info("", "v", v)
	slog.New(slog.NewTextHandler(&s, nil)).Info("", "v", v)
	return s.String()
}

func TestNoSecretLeaksIntoAnErrorOrLog(t *testing.T) {
	file := func(content string) guesttest.Guest {
		return guesttest.Guest{Files: map[string]string{dir + "web": content}}
	}
	reply := func(s string) guesttest.Guest { return guesttest.Guest{Exec: says(s)} }
	const header = "pvechat-credentials 1\n"
	hexed := hex.EncodeToString([]byte(canary))

	for name, tc := range map[string]struct {
		g     guesttest.Guest
		works bool
	}{
		"a value":                    {file("PASSWORD=" + canary), true},
		"a value in JSON":            {file(`{"PASSWORD": "` + canary + `"}`), true},
		"a value beside a bad file":  {guesttest.Guest{Files: map[string]string{dir + "web": "A=" + canary, dir + "x": canary}}, true},
		"a line without =":           {file(canary), false},
		"a key":                      {file(canary + "="), true},
		"a key with a blank":         {file(canary + " ="), false},
		"a key twice":                {file(canary + "=1\n" + canary + "=2"), false},
		"a control character":        {file("A=" + canary + "\x1b"), false},
		"Windows":                    {file("A=" + canary + "\r\n"), false},
		"no UTF-8":                   {file("A=" + canary + "\xff"), false},
		"JSON that ends early":       {file(`{"A": "` + canary), false},
		"JSON with an odd key":       {file(`{"` + canary + ` ": "x"}`), false},
		"JSON with an odd value":     {file(`{"A": "` + canary + `\u0000"}`), false},
		"JSON with a key twice":      {file(`{"` + canary + `": "x", "` + canary + `": "y"}`), false},
		"JSON with a nested key":     {file(`{"A": {"` + canary + `": 1}}`), false},
		"JSON that goes on":          {file(`{"A": "b"} ` + canary), false},
		"JSON with an odd escape":    {file(`{"A": "` + canary + `\x"}`), false},
		"a large file":               {file(strings.Repeat(canary, 10000)), false},
		"a file for all":             {guesttest.Guest{Files: map[string]string{dir + "web": "A=" + canary}, Modes: map[string]fs.FileMode{dir + "web": 0o644}}, false},
		"a greeting":                 {reply(canary), false},
		"a greeting before the rest": {reply(canary + "\n" + header + canary), false},
		"data that is no hex":        {reply(header + "file web 600 0 1\n" + canary), false},
		"data without an end":        {reply(header + "file web 600 0 1\n" + hexed), false},
		"an odd file":                {reply(header + "file " + canary + " 600 0 1\n" + hexed + "\n.\nend\n"), false},
		"an odd mode":                {reply(header + "file web " + canary + " 0 1\n" + hexed + "\n.\nend\n"), false},
		"an odd time":                {reply(header + "file web 600 " + canary + " 1\n" + hexed + "\n.\nend\n"), false},
		"an odd size":                {reply(header + "file web 600 0 " + canary + "\n" + hexed + "\n.\nend\n"), false},
		"an odd reason":              {reply(header + "skip " + canary + "\n" + hexed + "\n.\nend\n"), false},
		"an odd record":              {reply(header + canary + "\nend\n"), false},
		"too much":                   {reply(header + strings.Repeat(canary, 100000)), false},
		"an error of the shell": {guesttest.Guest{Exec: func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
			fmt.Fprintln(stdio.Err, "sh: "+canary+": not found")
			fmt.Fprintln(stdio.Out, canary)
			return 127
		}}, false},
		"a command that does not read its input": {guesttest.Guest{Exec: func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
			io.WriteString(stdio.Out, canary)
			return 1
		}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			l.Put(addr1, tc.g)
			var log bytes.Buffer
			l.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			client := guest.New(l.cfg)
			sets, err := client.Credentials(t.Context(), target(addr1), "")

			found := false
			out := printed(err) + printed(client) + log.String()
			for i, s := range sets {
				for j, v := range s.Values {
					found = found || v.Value.Reveal() == canary || v.Key == canary
					if v.Key == canary { // a key is a label, and is shown
						sets[i].Values[j].Key = ""
					}
				}
			}
			if found != tc.works {
				t.Fatalf("the canary was revealed: %v, want %v (%v)", found, tc.works, err)
			}
			out += printed(sets)
			for _, s := range sets {
				out += printed(s) + printed(&s) + printed(s.Values) + printed(s.Values[0].Value) + printed(&s.Values[0].Value)
			}
			for _, spelling := range spellings() {
				if strings.Contains(out, spelling) {
					t.Errorf("%q is in\n%.4000s", spelling, out)
				}
			}
			if !strings.Contains(log.String(), "vmid=101") {
				t.Error("nothing was logged, so this tests nothing")
			}
		})
	}
}

func TestNoPrivateKeyLeaks(t *testing.T) {
	key := ecKey(t)
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(block)
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	decimals := fmt.Sprint(secret[:8])
	bad := bytes.Replace(good, []byte("b3BlbnNzaC1rZXk"), []byte("b3BlbnNzaC1rZXj"), 1)
	for name, content := range map[string][]byte{"good": good, "bad": bad, "cut": good[:len(good)/2], "no PEM": block.Bytes} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			var log bytes.Buffer
			l.cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			l.cfg.Signer = nil
			l.cfg.KeyFile = filepath.Join(t.TempDir(), "id")
			write(t, l.cfg.KeyFile, content, 0o600)
			client := guest.New(l.cfg)
			err := client.Ping(t.Context(), target(addr1))
			if (err == nil) != (name == "good") {
				t.Fatal(err)
			}
			out := printed(err) + printed(client) + printed(l.cfg) + log.String()
			l.cfg.Signer = signer(t, key)
			out += printed(l.cfg) + printed(guest.New(l.cfg))
			for _, s := range []string{hex.EncodeToString(secret[:8]), decimals[1 : len(decimals)-1], string(secret[:8]), base64.StdEncoding.EncodeToString(secret)[:12]} {
				if strings.Contains(out, s) {
					t.Errorf("the key is in\n%s", out)
				}
			}
		})
	}
}
