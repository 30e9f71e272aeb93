package discordtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object is a decoded JSON object; its numbers are json.Number.
type object = map[string]any

// apiError is an answer of the REST API that is not a success.
type apiError struct {
	status  int
	code    int
	message string
	errors  object      // what is wrong, nested as the body is; with code 50035
	bare    object      // the whole body, where it is not {message, code}
	header  http.Header // more headers
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d %s (code %d)", e.status, e.message, e.code)
}

func (e *apiError) body() object {
	if e.bare != nil {
		return e.bare
	}
	b := object{"message": e.message, "code": e.code}
	if e.errors != nil {
		b["errors"] = e.errors
	}
	return b
}

// The errors that need no detail.
var (
	errNotFound       = &apiError{status: http.StatusNotFound, message: "404: Not Found"}
	errUnauthorized   = &apiError{status: http.StatusUnauthorized, message: "401: Unauthorized"}
	errUnknownChannel = known(10003)
	errUnknownGuild   = known(10004)
	errUnknownMember  = known(10007)
	errUnknownMessage = known(10008)
	errUnknownUser    = known(10013)
	errUnknownWebhook = known(10015)
	errUnknownInter   = known(10062)
	errUnknownCommand = known(10063)
	errNotYourApp     = known(20012)
	errAcknowledged   = known(40060)
	errMissingAccess  = known(50001)
	errEmptyMessage   = known(50006)
	errNoDMs          = known(50007)
	errNoPermission   = known(50013)
	errWebhookToken   = known(50027)
	errNoRecipient    = known(50033)
	errInvalidJSON    = known(50109)
)

// texts are Discord's messages for its error codes.
var texts = map[int]string{
	10003: "Unknown Channel",
	10004: "Unknown Guild",
	10007: "Unknown Member",
	10008: "Unknown Message",
	10013: "Unknown User",
	10015: "Unknown Webhook",
	10062: "Unknown interaction",
	10063: "Unknown application command",
	20012: "You are not authorized to perform this action on this application",
	30032: "Maximum number of application commands reached (100)",
	30034: "Maximum number of daily application command creates has been reached (200)",
	30046: "Maximum number of edits to messages older than 1 hour reached. Try again later",
	40001: "Unauthorized",
	40005: "Request entity too large",
	40060: "Interaction has already been acknowledged.",
	50001: "Missing Access",
	50006: "Cannot send an empty message",
	50007: "Cannot send messages to this user",
	50013: "Missing Permissions",
	50027: "Invalid Webhook Token",
	50033: "Invalid Recipient(s)",
	50035: "Invalid Form Body",
	50109: "The request body contains invalid JSON.",
}

func known(code int) *apiError {
	status := http.StatusBadRequest
	switch {
	case code >= 10000 && code < 11000:
		status = http.StatusNotFound
	case code == 20012, code == 50001, code == 50007, code == 50013:
		status = http.StatusForbidden
	case code == 50027:
		status = http.StatusUnauthorized
	case code == 40005:
		status = http.StatusRequestEntityTooLarge
	case code == 30046:
		status = http.StatusTooManyRequests
	}
	return &apiError{status: status, code: code, message: texts[code]}
}

// problems collects what is wrong with a request's body. The result is the
// nested object of error 50035: the body's own shape, with lists of errors where
// something is wrong.
type problems struct{ tree object }

func (p *problems) add(at path, code, format string, args ...any) {
	if p.tree == nil {
		p.tree = object{}
	}
	node := p.tree
	for _, key := range at {
		next, ok := node[key].(object)
		if !ok {
			next = object{}
			node[key] = next
		}
		node = next
	}
	list, _ := node["_errors"].([]any)
	node["_errors"] = append(list, object{"code": code, "message": fmt.Sprintf(format, args...)})
}

func (p *problems) none() bool { return p.tree == nil }

// err is nil where there was no problem.
func (p *problems) err() error {
	if p.none() {
		return nil
	}
	e := known(50035)
	e.errors = p.tree
	return e
}

// path is where in a body something is.
type path []string

func (p path) key(k string) path { return append(p[:len(p):len(p)], k) }
func (p path) index(i int) path  { return p.key(strconv.Itoa(i)) }

// form reads the fields of one object of a body and notes what is wrong. A field
// that is null counts as absent, everywhere.
type form struct {
	p      *problems
	at     path
	fields object
}

func (f form) has(key string) bool { return f.fields[key] != nil }

func (f form) bad(key, code, format string, args ...any) {
	f.p.add(f.at.key(key), code, format, args...)
}

func (f form) text(key string) (string, bool) {
	v, ok := f.fields[key]
	if !ok || v == nil {
		return "", false
	}
	s, ok := v.(string)
	if !ok {
		f.bad(key, "STRING_TYPE_CONVERT", "Could not interpret %q as string.", fmt.Sprint(v))
	}
	return s, ok
}

// optional reads a text of at most hi characters (not bytes).
func (f form) optional(key string, hi int) string {
	s, _ := f.text(key)
	if utf8.RuneCountInString(s) > hi {
		f.bad(key, "BASE_TYPE_MAX_LENGTH", "Must be %d or fewer in length.", hi)
	}
	return s
}

// must reads a text of lo to hi characters that has to be there.
func (f form) must(key string, lo, hi int) string {
	if !f.has(key) {
		f.require(key)
		return ""
	}
	s, ok := f.text(key)
	if n := utf8.RuneCountInString(s); ok && (n < lo || n > hi) {
		f.bad(key, "BASE_TYPE_BAD_LENGTH", "Must be between %d and %d in length.", lo, hi)
	}
	return s
}

func (f form) require(key string) {
	f.bad(key, "BASE_TYPE_REQUIRED", "This field is required")
}

// integer reads a whole number of lo to hi; ok is false where there is none.
func (f form) integer(key string, lo, hi int) (n int, ok bool) {
	v, present := f.fields[key]
	if !present || v == nil {
		return 0, false
	}
	num, isNumber := v.(json.Number)
	n64, err := strconv.ParseInt(string(num), 10, 64)
	switch {
	case !isNumber || err != nil:
		f.bad(key, "NUMBER_TYPE_COERCE", "Value %q is not int.", fmt.Sprint(v))
		return 0, false
	case n64 < int64(lo):
		f.bad(key, "NUMBER_TYPE_MIN", "int value should be greater than or equal to %d.", lo)
	case n64 > int64(hi):
		f.bad(key, "NUMBER_TYPE_MAX", "int value should be less than or equal to %d.", hi)
	default:
		return int(n64), true
	}
	return 0, false
}

func (f form) boolean(key string) bool {
	v, present := f.fields[key]
	if !present || v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		f.bad(key, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
	}
	return b
}

// choice reads a number that has to be one of values.
func (f form) choice(key string, values ...int) (int, bool) {
	if !f.has(key) {
		f.require(key)
		return 0, false
	}
	n, ok := f.integer(key, -1<<53, 1<<53)
	if !ok {
		return 0, false
	}
	for _, v := range values {
		if n == v {
			return n, true
		}
	}
	f.bad(key, "BASE_TYPE_CHOICES", "Value must be one of {%s}.", join(values))
	return 0, false
}

// list reads an array of lo to hi values; an absent one is nil and counts as empty.
func (f form) list(key string, lo, hi int) []any {
	v, ok := f.fields[key].([]any)
	if !ok && f.has(key) {
		f.bad(key, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
		return nil
	}
	switch {
	case len(v) < lo && !f.has(key):
		f.require(key)
	case lo > 0 && (len(v) < lo || len(v) > hi):
		f.bad(key, "BASE_TYPE_BAD_LENGTH", "Must be between %d and %d in length.", lo, hi)
	case len(v) > hi:
		f.bad(key, "BASE_TYPE_MAX_LENGTH", "Must be %d or fewer in length.", hi)
	}
	return v
}

// objects reads an array of objects.
func (f form) objects(key string, lo, hi int) []form {
	var forms []form
	for i, v := range f.list(key, lo, hi) {
		at := f.at.key(key).index(i)
		if fields, ok := v.(object); ok {
			forms = append(forms, form{f.p, at, fields})
		} else {
			f.p.add(at, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
		}
	}
	return forms
}

// object reads an object; ok is false where there is none.
func (f form) object(key string) (sub form, ok bool) {
	if !f.has(key) {
		return form{}, false
	}
	fields, ok := f.fields[key].(object)
	if !ok {
		f.bad(key, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
	}
	return form{f.p, f.at.key(key), fields}, ok
}

func join(values []int) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = strconv.Itoa(v)
	}
	return strings.Join(parts, ", ")
}
