package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"
)

// quiet is for checks whose outcome is told in words.
var quiet = slog.New(slog.DiscardHandler)

// wrongUse is an error that exits with exitUsage.
type wrongUse struct{ error }

func (e wrongUse) Unwrap() error { return e.error }

// errEnded means that nobody is at the terminal any more.
var errEnded = errors.New("no answer was given")

// terminal asks a person, where there is one.
type terminal struct {
	tty bool
	fd  int
	in  *bufio.Reader
	out io.Writer
}

func newTerminal(in io.Reader, out io.Writer) *terminal {
	t := &terminal{in: bufio.NewReader(in), out: out}
	if f, ok := in.(*os.File); ok {
		t.fd = int(f.Fd())
		t.tty = term.IsTerminal(t.fd)
	}
	return t
}

func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

// read returns the next line, without the blanks around it. A hidden one is not
// shown while it is typed.
func (t *terminal) read(ctx context.Context, prompt string, hidden bool) (string, error) {
	if !t.tty {
		return "", errEnded
	}
	state, err := term.GetState(t.fd)
	if err != nil {
		return "", err
	}
	t.say("%s", prompt)
	type answer struct {
		line string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		var a answer
		if hidden {
			var raw []byte
			raw, a.err = term.ReadPassword(t.fd)
			a.line = string(raw)
		} else {
			a.line, a.err = t.in.ReadString('\n')
		}
		got <- a
	}()
	select {
	case a := <-got:
		if hidden {
			t.say("\n")
		}
		if a.err != nil {
			return "", errEnded
		}
		return strings.TrimSpace(a.line), nil
	case <-ctx.Done():
		return "", errors.Join(errEnded, term.Restore(t.fd, state))
	}
}

// yes asks a question that Enter answers with preset; without a terminal the
// answer is no.
func (t *terminal) yes(ctx context.Context, question string, preset bool) (bool, error) {
	if !t.tty {
		return false, nil
	}
	hint := " [y/N] "
	if preset {
		hint = " [Y/n] "
	}
	v, err := t.read(ctx, question+hint, false)
	if v == "" {
		return preset, err
	}
	return strings.HasPrefix(strings.ToLower(v), "y"), err
}
