package guest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// logsScript is all that runs in a container to read a service's log.
//
//go:embed logs.sh
var logsScript string

const maxLogs = 128 << 10

// plainName is what goes through a login shell as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9@_.:-]{0,200}$`)

// Logs returns the last lines that a service wrote, 50 at most, the newest
// last. What looks like a secret in them reads [redacted]. A service that
// writes nowhere has none.
//
// It returns an *[Error], or the error of a ctx that was cancelled. Kind
// NoLogs: nothing in the container keeps them, or the service's name cannot be
// passed on.
func (c *Client) Logs(ctx context.Context, t Target, s Service) ([]string, error) {
	switch {
	case s.Kind == Process:
		return nil, &Error{Kind: NoLogs, Err: errors.New("it is a process that no service manager knows")}
	case !plainName.MatchString(s.Unit):
		return nil, &Error{Kind: NoLogs, Err: fmt.Errorf("%q cannot be passed to a shell", short(s.Unit, 80))}
	}
	output, err := c.run(ctx, t, command{line: "/bin/sh -s -- " + string(s.Kind) + " " + s.Unit, stdin: logsScript, limit: maxLogs})
	if err != nil {
		return nil, err
	}
	return readLogs(output)
}

func readLogs(output []byte) ([]string, error) {
	var lines []string
	began := false
	for line := range bytes.Lines(output) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		switch {
		case !began:
			began = word == "pvechat-logs" && rest == "1"
		case word == "|" && len(lines) < 50:
			lines = append(lines, Redact(clean(rest, 300)))
		case word == "missing":
			return nil, &Error{Kind: NoLogs, Err: fmt.Errorf("no %s", clean(rest, 40))}
		case word == "end":
			return lines, nil
		default:
			return nil, &Error{Kind: Output, Err: errors.New("no such thing was asked for")}
		}
	}
	return nil, &Error{Kind: Output, Err: errors.New("the reply ends early")}
}

// secrets are shapes of secrets in lines that programs write. The groups are
// what may stay, before and after.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api_?-?key|access_?-?key|private_?-?key|credential|session_?-?id|cookie)s?["']?\s*(?:[:=]|\bis\b|\bto\b)\s*)(?:"[^"]*"?|'[^']*'?|[^\s,;&]+)`),
	regexp.MustCompile(`(?i)(\b(?:authorization|bearer|basic)\b["']?[:=]?\s+(?:bearer\s+|basic\s+|token\s+)?)[^\s,;"']+`),
	regexp.MustCompile(`([a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(@)`),
	regexp.MustCompile(`()-----BEGIN [A-Z ]*PRIVATE KEY-----.*`),
	regexp.MustCompile(`()\b(?:xox[a-z]-|xapp-|gh[pousr]_|sk-|AKIA|eyJ)[A-Za-z0-9_.=/+-]{10,}`),
	regexp.MustCompile(`()\b(?:[0-9a-fA-F]{32,}|[A-Za-z0-9+/_-]{40,}={0,2})(?:\b|$)`),
}

// Redact replaces what looks like a secret in a line of text. It sees shapes
// only: a password in the middle of a sentence stays.
func Redact(line string) string {
	for _, shape := range secrets {
		line = shape.ReplaceAllString(line, "${1}"+redacted+"${2}")
	}
	return line
}
