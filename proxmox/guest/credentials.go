package guest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Credential is one value of a service.
type Credential struct {
	Key   string
	Value Secret
}

// CredentialSet is what one credentials file says, in the order of the file.
type CredentialSet struct {
	Service  string
	Values   []Credential
	Modified time.Time // of the file, UTC; zero where it makes no sense
}

// credentialsScript is all that runs in a container to read its credentials.
//
//go:embed credentials.sh
var credentialsScript string

// Hex takes three bytes per byte and a line break per 16; the rest is for names.
const maxReply = 4 * maxTotal

// CredentialFile is a file with the credentials of a service that lies elsewhere
// than in the one place for them.
type CredentialFile struct{ Service, Path string }

// plainPath is an absolute path that a shell takes as it is.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*|/\.[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)

// Check reports what is wrong with the file's name or its service's.
func (f CredentialFile) Check() error {
	switch {
	case !serviceName.MatchString(f.Service):
		return fmt.Errorf("%q cannot be the name of a service", f.Service)
	case !plainPath.MatchString(f.Path) || len(f.Path) > 200:
		return fmt.Errorf("%q is no absolute path of letters, digits and . _ -", f.Path)
	}
	return nil
}

// CheckCredential says by "service", "key" and "value" what of a credential
// breaks the contract; an empty value is none and breaks nothing.
func CheckCredential(service, key, value string) map[string]string {
	wrong := map[string]string{}
	if !serviceName.MatchString(service) {
		wrong["service"] = "A service is of small letters, digits and . _ -, and begins with a letter or digit."
	}
	if !keyName.MatchString(key) {
		wrong["key"] = "A name is of letters, digits and . _ -, without blanks."
	}
	if !utf8.ValidString(value) || !exact(value, "\t\n") {
		wrong["value"] = "It has a control character, which cannot be copied."
	}
	return wrong
}

// Credentials reads the credentials of one service, or of all where service is
// empty, sorted by service. The files and their format are described in
// docs/credentials.md; further ones are of the same format.
//
// It returns an *[Error], or the error of a ctx that was cancelled. Kind
// NoCredentials: the container has none, or none for this service. Kind
// BadCredentials: files break the contract; the sets of the other files are
// returned with it.
func (c *Client) Credentials(ctx context.Context, t Target, service string, further ...CredentialFile) ([]CredentialSet, error) {
	line := "/bin/sh -s --"
	if service != "" {
		if !serviceName.MatchString(service) {
			return nil, &Error{Kind: NoCredentials, Err: fmt.Errorf("%s cannot be the name of a service", strconv.Quote(short(service, 80)))}
		}
		line += " " + service
	}
	for _, f := range further {
		if err := f.Check(); err != nil {
			return nil, &Error{Kind: BadCredentials, Err: err}
		}
		line += " " + f.Service + "=" + f.Path
	}
	output, err := c.run(ctx, t, command{line: line, stdin: credentialsScript, limit: maxReply})
	if err != nil {
		return nil, err
	}
	return readReply(output, service)
}

// readReply reads what credentials.sh printed when it was asked for service.
func readReply(output []byte, service string) ([]CredentialSet, error) {
	r := reply{lines: bytes.Split(output, []byte("\n"))}
	if err := r.read(service); err != nil {
		return nil, &Error{Kind: Output, Err: fmt.Errorf("line %d of the reply: %w", r.at, err)}
	}
	slices.SortFunc(r.sets, func(a, b CredentialSet) int { return strings.Compare(a.Service, b.Service) })
	switch {
	case len(r.bad) > 0:
		return r.sets, &Error{Kind: BadCredentials, Err: r.bad}
	case len(r.sets) == 0:
		return nil, &Error{Kind: NoCredentials, Err: errors.New("nothing in " + credentialsDir + service)}
	}
	return r.sets, nil
}

const credentialsDir = "/etc/pvechat/credentials/"

// badFiles are files that were left out, and why.
type badFiles []error

func (b badFiles) Unwrap() []error { return b }

func (b badFiles) Error() string {
	const shown = 5
	var s strings.Builder
	for i, err := range b {
		if i == shown {
			fmt.Fprintf(&s, "; and %d more", len(b)-shown)
			break
		}
		if i > 0 {
			s.WriteString("; ")
		}
		s.WriteString(err.Error())
	}
	return s.String()
}

// reply is the reply of credentials.sh, being read.
type reply struct {
	lines [][]byte
	at    int // the line that was read last, from 1
	total int // bytes of content

	sets []CredentialSet
	bad  badFiles
}

// next returns the next line, or nil at the end.
func (r *reply) next() []byte {
	if r.at == len(r.lines) {
		return nil
	}
	r.at++
	return r.lines[r.at-1]
}

// data reads lines of hex up to a dot, which may stand for limit bytes.
func (r *reply) data(limit int) ([]byte, error) {
	var data []byte
	for {
		line := r.next()
		if line == nil {
			return nil, errors.New("it ends early")
		}
		if string(line) == "." {
			return data, nil
		}
		for digits := range bytes.FieldsSeq(line) {
			var err error
			if data, err = hex.AppendDecode(data, digits); err != nil {
				return nil, errors.New("no hex digits")
			}
		}
		if len(data) > limit {
			return nil, errors.New("too much")
		}
	}
}

var stopReasons = map[string]string{
	"od":         "the container has no od",
	"stat":       "the container has no stat that knows -c",
	"unreadable": "the directory cannot be read by this user",
	"irregular":  credentialsDir + " is no directory",
	"many":       fmt.Sprintf("there are more than %d files, the rest is left out", maxFiles),
}

var skipReasons = map[string]string{
	"name":       "cannot be the name of a service",
	"link":       "is a symbolic link",
	"irregular":  "is no regular file",
	"unreadable": "cannot be read by this user",
	"large":      fmt.Sprintf("is larger than %d KiB", maxFile>>10),
	"total":      fmt.Sprintf("is left out: together they are larger than %d KiB", maxTotal>>10),
}

func (r *reply) read(service string) error {
	for {
		line := r.next()
		if line == nil {
			return errors.New("the script did not run (a forced command, or a login shell that runs nothing?)")
		}
		if string(line) == "pvechat-credentials 1" {
			break
		}
	}
	for files := 0; ; {
		line := r.next()
		words := strings.Fields(string(line))
		switch {
		case line == nil:
			return errors.New("it ends early")
		case len(words) == 1 && words[0] == "end":
			return nil
		case len(words) == 2 && words[0] == "stop" && words[1] == "absent":
		case len(words) == 2 && words[0] == "stop" && stopReasons[words[1]] != "":
			r.bad = append(r.bad, errors.New(stopReasons[words[1]]))
		case len(words) == 2 && words[0] == "skip" || len(words) == 5 && words[0] == "file":
			if files++; files > maxFiles+maxFurther {
				return errors.New("too many files")
			}
			one := r.skipped
			if words[0] == "file" {
				one = r.file
			}
			if err := one(words[1:], service); err != nil {
				return err
			}
		default:
			return errors.New("no such thing was asked for")
		}
	}
}

// skipped reads the file that the script left out for reason.
func (r *reply) skipped(words []string, _ string) error {
	name, err := r.data(255)
	if err != nil {
		return err
	}
	if words[0] == "absent" {
		return nil // asked for and not there, or gone meanwhile
	}
	reason := skipReasons[words[0]]
	if reason == "" {
		return errors.New("no such reason")
	}
	r.bad = append(r.bad, fmt.Errorf("%s %s", strconv.Quote(short(string(name), 80)), reason))
	return nil
}

// file reads a file: its name, mode, time and size are in words.
func (r *reply) file(words []string, service string) error {
	name := words[0]
	mode, err1 := strconv.ParseUint(words[1], 8, 32)
	modified, err2 := strconv.ParseInt(words[2], 10, 64)
	size, err3 := strconv.Atoi(words[3])
	if err := errors.Join(err1, err2, err3); err != nil || !serviceName.MatchString(name) {
		return errors.New("an odd file")
	}
	if service != "" && name != service {
		return errors.New("another file than the one asked for")
	}
	content, err := r.data(maxFile + 1)
	if err != nil {
		return err
	}
	if r.total += len(content); r.total > maxTotal {
		return errors.New("too much")
	}
	values, err := parseFile(content)
	switch {
	case mode&0o077 != 0:
		err = fmt.Errorf("mode %04o lets others read it: chmod 600", mode)
	case len(content) != size:
		err = errors.New("it changed while it was read")
	}
	if err != nil {
		r.bad = append(r.bad, fmt.Errorf("%s: %w", name, err))
		return nil
	}
	if slices.ContainsFunc(r.sets, func(s CredentialSet) bool { return s.Service == name }) {
		r.bad = append(r.bad, fmt.Errorf("%s: it has files in two places, the other one is shown", name))
		return nil
	}
	set := CredentialSet{Service: name, Values: values}
	if year10000 := int64(253402300800); 0 <= modified && modified < year10000 {
		set.Modified = time.Unix(modified, 0).UTC()
	}
	r.sets = append(r.sets, set)
	return nil
}
