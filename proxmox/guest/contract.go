package guest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The contract, as docs/credentials.md has it. credentials.sh keeps the first
// three too, so that too much is not sent.
const (
	maxFile    = 64 << 10
	maxTotal   = 256 << 10
	maxFiles   = 50
	maxFurther = 20 // elsewhere
	maxValues  = 50 // of one file
)

var (
	serviceName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	keyName     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
)

// parseFile reads a credentials file. Its errors say where, and quote nothing.
func parseFile(content []byte) ([]Credential, error) {
	if !utf8.Valid(content) {
		return nil, errors.New("it is not UTF-8")
	}
	parse := parseLines
	if bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("{")) {
		parse = parseObject
	}
	values, err := parse(content)
	switch {
	case err != nil:
		return nil, err
	case len(values) == 0:
		return nil, errors.New("it has no values")
	case len(values) > maxValues:
		return nil, fmt.Errorf("it has more than %d values", maxValues)
	}
	return values, nil
}

func parseLines(content []byte) ([]Credential, error) {
	var values []Credential
	seen := make(map[string]bool)
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if text := strings.Trim(line, " \t"); text == "" || text[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		switch {
		case !found || !keyName.MatchString(key):
			return nil, fmt.Errorf("line %d is not KEY=VALUE", number)
		case seen[key]:
			return nil, fmt.Errorf("line %d has a key for the second time", number)
		case strings.HasSuffix(value, "\r"):
			return nil, fmt.Errorf("line %d ends with CR LF, not LF", number)
		case !exact(value, "\t"):
			return nil, fmt.Errorf("line %d has a control character", number)
		}
		seen[key] = true
		values = append(values, Credential{key, Secret(value)})
	}
	return values, nil
}

// parseObject keeps the order of the file.
func parseObject(content []byte) ([]Credential, error) {
	var values []Credential
	decoder := jsontext.NewDecoder(bytes.NewReader(content)) // refuses doubles and broken surrogates
	odd := func() error {
		return fmt.Errorf("it is not one JSON object of strings, from byte %d on", decoder.InputOffset())
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, odd()
	}
	for decoder.PeekKind() == '"' {
		key, err := decoder.ReadToken()
		if err != nil {
			return nil, odd()
		}
		name := key.String() // the token is gone after the next one
		value, err := decoder.ReadToken()
		if err != nil || value.Kind() != '"' {
			return nil, odd()
		}
		switch {
		case !keyName.MatchString(name):
			return nil, fmt.Errorf("the key before byte %d cannot be one", decoder.InputOffset())
		case !exact(value.String(), "\t\n"):
			return nil, fmt.Errorf("the value before byte %d has a control character", decoder.InputOffset())
		}
		values = append(values, Credential{name, Secret(value.String())})
	}
	if _, err := decoder.ReadToken(); err != nil {
		return nil, odd()
	}
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, odd()
	}
	return values, nil
}

// exact reports whether value can be shown so that copying it gives it back: it
// has no control character but the allowed ones.
func exact(value, allowed string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune(allowed, r)
	})
}
