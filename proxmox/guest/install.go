package guest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Script is what is run in a container that is being set up.
type Script struct {
	Text   string            // for /bin/sh -eu, as root
	Within time.Duration     // how long it may take
	Line   func(line string) // is given each line that it prints, without what looks like a secret; nil: nobody is
}

// ExitError says that a script ended with a status.
type ExitError struct{ Status int }

func (e *ExitError) Error() string { return fmt.Sprintf("it ended with status %d", e.Status) }

// most of what a script may print, and of a line of it.
const (
	maxPrinted = 16 << 20
	maxLine    = 500
)

// Run runs a script in the container. One that an earlier call left behind,
// because its connection broke, is ended first: two never run at once.
//
// It returns an *[Error] (Kind Exit, wrapping an *[ExitError], where the script
// ended with a status), or the error of a ctx that was cancelled.
func (c *Client) Run(ctx context.Context, t Target, s Script) error {
	end := "pvechat_" + rand.Text()
	lines := &lineWriter{line: s.Line}
	err := c.install(ctx, t, s.Within, lines, strings.Join([]string{
		"# pvechat-install 1 run",
		"set -u",
		"umask 077",
		"run=/run/pvechat-install.pid",
		`old=$(cat "$run" 2>/dev/null) && case $old in *[!0-9]* | '') ;; *)`,
		`	kill -TERM "-$old" 2>/dev/null && sleep 2; kill -KILL "-$old" 2>/dev/null ;; esac`,
		`file=$(mktemp) || exit 70`,
		`cat >"$file" <<'` + end + `'`,
		s.Text,
		end,
		"umask 022",
		// A session of its own has one process group, which can be ended whole.
		`if command -v setsid >/dev/null 2>&1; then session=setsid; else session=; fi`,
		`$session /bin/sh -c 'echo $$ >/run/pvechat-install.pid; exec /bin/sh -eu "$1"' sh "$file" </dev/null 2>&1`,
		`status=$?`,
		`rm -f "$file" "$run"`,
		`exit $status`,
		"",
	}, "\n"))
	lines.flush()
	return err
}

// File is put into a container.
type File struct {
	Path    string // absolute
	Mode    int64
	Content []byte
	Keep    bool // one that is there stays
	Backup  bool // one that is there and differs is kept as Path.before-pvechat
}

// Put writes a file, in one step: nobody sees half of it. A directory in its
// place is an error. Errors are those of [Client.Run].
func (c *Client) Put(ctx context.Context, t Target, f File) error {
	end := "pvechat_" + rand.Text()
	return c.install(ctx, t, c.cfg.Timeout, io.Discard, strings.Join([]string{
		"# pvechat-install 1 put",
		"set -eu",
		"umask 077",
		"path=" + quote(f.Path),
		fmt.Sprintf("mode=%04o keep=%t backup=%t", f.Mode&0o7777, f.Keep, f.Backup),
		`[ ! -d "$path" ] || exit 21`,
		`if [ -e "$path" ] && [ "$keep" = true ]; then exit 0; fi`,
		`umask 022; mkdir -p "${path%/*}/"; umask 077`,
		`base64 -d >"$path.pvechat" <<'` + end + `'`,
		base64.StdEncoding.EncodeToString(f.Content),
		end,
		`if [ "$backup" = true ] && [ -e "$path" ] && ! cmp -s "$path" "$path.pvechat"; then cp -p "$path" "$path.before-pvechat"; fi`,
		`chmod "$mode" "$path.pvechat"`,
		`mv "$path.pvechat" "$path"`,
		"",
	}, "\n"))
}

// quote makes one word of s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// install runs a script that arrives on the shell's standard input.
func (c *Client) install(ctx context.Context, t Target, within time.Duration, out io.Writer, script string) error {
	_, err := c.run(ctx, t, command{line: "/bin/sh -s", stdin: script, limit: maxPrinted, within: within, out: out})
	return err
}

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	line func(string)
	part []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for w.line != nil {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if len(w.part) < maxLine {
				w.part = append(w.part, p...)
			}
			break
		}
		w.part = append(w.part, p[:i]...)
		w.flush()
		p = p[i+1:]
	}
	return n, nil
}

func (w *lineWriter) flush() {
	if w.line != nil && len(w.part) > 0 {
		text := string(w.part)
		if i := strings.LastIndexByte(strings.TrimSuffix(text, "\r"), '\r'); i >= 0 {
			text = text[i+1:] // what a progress bar showed last
		}
		if text = Redact(clean(strings.TrimRight(text, "\r"), maxLine)); strings.TrimSpace(text) != "" {
			w.line(text)
		}
	}
	w.part = w.part[:0]
}

// StatusOf is the status with which a script ended, where that is what err says.
func StatusOf(err error) (int, bool) {
	e, ok := errors.AsType[*ExitError](err)
	if !ok {
		return 0, false
	}
	return e.Status, true
}
