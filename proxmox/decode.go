package proxmox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads one answer from front to back, without an intermediate tree.
//
// It is as lenient as Proxmox is loose: depending on its version, and on
// whether Perl last saw a value as text, the same field comes as 1, "1", true,
// "" or null, or not at all. What is there and can by no means be meant is an
// error. The first error sticks: after it every method returns at once with a
// zero value, so that only the end has to look at it.
type reader struct {
	d      *jsontext.Decoder
	length int // of the answer, in bytes
	shared map[string]string
	field  jsontext.Pointer
	err    error
}

var (
	errNoData    = errors.New("missing")
	errNotNumber = errors.New("not a number")
	errNotBool   = errors.New("neither true nor false")
	errNotText   = errors.New("not a text")
	errNotObject = errors.New("not an object")
	errNotArray  = errors.New("not a list")
	errTrailing  = errors.New("something follows the answer")
)

func newReader(body []byte) *reader {
	return &reader{
		// A byte that is not UTF-8, in one description, must not hide all
		// containers. It becomes U+FFFD.
		d:      jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		length: len(body),
		shared: make(map[string]string),
	}
}

// decode reads an answer as req says, and returns what is wrong with it, and
// where. An answer without data is not an empty list: taken for one, it would
// be the end of all containers.
func decode(body []byte, req *request) (field string, err error) {
	r := newReader(body)
	found := false
	for name := range r.object() {
		switch {
		case string(name) == "data" && (req.nullable || r.d.PeekKind() != 'n'):
			found = true
			req.data(r)
		case req.other != nil:
			req.other(r, string(name))
		default:
			r.skip()
		}
	}
	if !found {
		r.failAt("/data", errNoData)
	}
	if _, err := r.d.ReadToken(); r.err == nil && !errors.Is(err, io.EOF) {
		r.failAt("", errTrailing)
	}
	return string(r.field), r.err
}

// fail keeps the first error. It does not keep the value, which is the
// server's and could be anything.
func (r *reader) fail(err error) {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		r.failAt(syntax.JSONPointer, fmt.Errorf("no JSON at byte %d: %w", syntax.ByteOffset, syntax.Err))
		return
	}
	r.failAt(r.d.StackPointer(), err)
}

func (r *reader) failAt(field jsontext.Pointer, err error) {
	if r.err == nil {
		r.field, r.err = field, err
	}
}

// object reads an object. It yields the name of each member, which is valid
// until the value is read; the loop has to read or skip the value. null has no
// members.
func (r *reader) object() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !r.open('{', errNotObject) {
			return
		}
		for r.err == nil && r.d.PeekKind() == '"' {
			raw, err := r.d.ReadValue()
			if err != nil {
				r.fail(err)
				return
			}
			if !yield(unquote(raw)) {
				return
			}
		}
		r.close()
	}
}

// array reads an array; the loop has to read or skip each element. null has no
// elements.
func (r *reader) array() iter.Seq[int] {
	return func(yield func(int) bool) {
		if !r.open('[', errNotArray) {
			return
		}
		for i := 0; r.err == nil && r.d.PeekKind() != ']' && r.d.PeekKind() != 0; i++ {
			if !yield(i) {
				return
			}
		}
		r.close()
	}
}

func (r *reader) open(kind jsontext.Kind, otherwise error) bool {
	if r.err != nil {
		return false
	}
	token, err := r.d.ReadToken()
	if err != nil {
		r.fail(err)
		return false
	}
	if token.Kind() != kind && token.Kind() != 'n' {
		r.fail(otherwise)
	}
	return r.err == nil && token.Kind() == kind
}

func (r *reader) close() {
	if r.err != nil {
		return
	}
	if _, err := r.d.ReadToken(); err != nil {
		r.fail(err)
	}
}

func (r *reader) skip() {
	if r.err != nil {
		return
	}
	if err := r.d.SkipValue(); err != nil {
		r.fail(err)
	}
}

// scalar returns the kind of the next value and its text: what is inside the
// quotes, or the number. The text is valid until the next read.
func (r *reader) scalar(otherwise error) (jsontext.Kind, []byte) {
	if r.err != nil {
		return 'n', nil
	}
	raw, err := r.d.ReadValue()
	if err != nil {
		r.fail(err)
		return 'n', nil
	}
	switch kind := raw.Kind(); kind {
	case '"':
		return kind, unquote(raw)
	case '0', 't', 'f':
		return kind, raw
	case 'n':
		return kind, nil
	default:
		r.fail(otherwise)
		return 'n', nil
	}
}

// text reads a text. A name of digits alone may come as a number.
func (r *reader) text() string {
	_, s := r.scalar(errNotText)
	return string(s)
}

// repeated reads a text that other rows have too, and keeps it only once.
func (r *reader) repeated() string {
	_, s := r.scalar(errNotText)
	return r.keep(s)
}

func (r *reader) keep(s []byte) string {
	if known, ok := r.shared[string(s)]; ok {
		return known
	}
	known := string(s)
	r.shared[known] = known
	return known
}

// integer reads a whole number. Fractions are cut off.
func (r *reader) integer() int64 {
	kind, s := r.scalar(errNotNumber)
	switch {
	case kind == 't':
		return 1
	case kind == 'f', len(s) == 0:
		return 0
	}
	if n, ok := parseDigits(s); ok {
		return n
	}
	// Not MaxInt64, which is no float64: the next one up would pass.
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || math.IsNaN(f) || f >= 1<<63 || f < -1<<63 {
		r.fail(errNotNumber)
		return 0
	}
	return int64(f)
}

// size reads a number of bytes or seconds. Proxmox has sent negative ones.
func (r *reader) size() int64 { return max(r.integer(), 0) }

// int reads a whole number that fits an int anywhere.
func (r *reader) int() int {
	n := r.integer()
	if n < math.MinInt32 || n > math.MaxInt32 {
		r.fail(errNotNumber)
		return 0
	}
	return int(n)
}

// number reads a number. A negative one, as Proxmox sends for the load of idle
// containers, becomes 0.
func (r *reader) number() float64 {
	kind, s := r.scalar(errNotNumber)
	switch {
	case kind == 't':
		return 1
	case kind == 'f', len(s) == 0:
		return 0
	}
	f, err := strconv.ParseFloat(string(s), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		r.fail(errNotNumber)
		return 0
	}
	return max(f, 0)
}

// time reads a time in seconds since 1970; 0 is none.
func (r *reader) time() time.Time {
	seconds := r.integer()
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// boolean reads a truth value. The words are those of Proxmox's own
// parse_boolean (pve-common, src/PVE/JSONSchema.pm).
func (r *reader) boolean() bool {
	_, s := r.scalar(errNotBool)
	switch string(s) {
	case "", "0", "false", "off", "no":
		return false
	case "1", "true", "on", "yes":
		return true
	}
	r.fail(errNotBool)
	return false
}

// parseDigits reads what nearly all numbers are, and leaves the rest to
// strconv.
func parseDigits(s []byte) (int64, bool) {
	if len(s) > 18 { // 18 digits cannot overflow
		return 0, false
	}
	var n int64
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// unquote returns the text of a JSON string: a part of raw where that can be.
// The decoder has checked its syntax already.
func unquote(raw []byte) []byte {
	inner := raw[1 : len(raw)-1]
	for _, c := range inner {
		if c == '\\' || c >= utf8.RuneSelf {
			text, _ := jsontext.AppendUnquote(nil, raw) // its error is about UTF-8, and it has replaced what is none
			return text
		}
	}
	return inner
}
