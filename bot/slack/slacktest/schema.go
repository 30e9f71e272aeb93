package slacktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"
)

// object is a decoded JSON object.
type object = map[string]any

// decode reads exactly one JSON value and keeps numbers as they were written.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("slacktest: " + err.Error()) // only decoded JSON and literals come here
	}
	return bytes.TrimSpace(b.Bytes())
}

// checker collects what is wrong with a JSON value, in Slack's words where they
// are known.
type checker struct{ problems []string }

func (c *checker) report(at, format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...)+" [json-pointer:"+at+"]")
}

// rule checks the value v that stands at a JSON pointer.
type rule func(c *checker, at string, v any)

// field is a member of an object.
type field struct {
	rule
	required bool
}

func need(r rule) field { return field{r, true} }
func may(r rule) field  { return field{r, false} }

type fields map[string]field

// shape is an object that has exactly these fields, and passes these rules.
type shape struct {
	fields fields
	also   []rule
}

func (sh shape) check(c *checker, at string, o object) {
	for _, name := range sortedKeys(sh.fields) {
		f := sh.fields[name]
		v, there := o[name]
		switch {
		case there:
			f.rule(c, at+"/"+name, v)
		case f.required:
			c.report(at, "missing required field: %s", name)
		}
	}
	for _, name := range sortedKeys(o) {
		if _, known := sh.fields[name]; !known && name != "type" {
			c.report(at, "invalid additional property: %s", name)
		}
	}
	for _, r := range sh.also {
		r(c, at, o)
	}
}

// composed is an object without a type.
func composed(f fields, also ...rule) rule {
	return func(c *checker, at string, v any) {
		o, ok := v.(object)
		if !ok {
			c.report(at, "must provide an object")
			return
		}
		if _, ok := o["type"]; ok {
			c.report(at, "invalid additional property: type")
		}
		shape{f, also}.check(c, at, o)
	}
}

type kinds map[string]shape

// oneOf is an object of one of these types.
func oneOf(k kinds) rule {
	return func(c *checker, at string, v any) {
		o, ok := v.(object)
		if !ok {
			c.report(at, "must provide an object")
			return
		}
		t, ok := o["type"].(string)
		if !ok {
			c.report(at, "missing required field: type")
			return
		}
		sh, ok := k[t]
		if !ok {
			c.report(at+"/type", "unsupported type: %s", t)
			return
		}
		sh.check(c, at, o)
	}
}

// join merges kinds.
func join(all ...kinds) kinds {
	out := kinds{}
	for _, k := range all {
		maps.Copy(out, k)
	}
	return out
}

// text is a string of minLen to maxLen characters.
func text(minLen, maxLen int) rule {
	return func(c *checker, at string, v any) {
		s, ok := v.(string)
		if !ok {
			c.report(at, "must provide a string")
			return
		}
		switch n := utf8.RuneCountInString(s); {
		case n < minLen:
			c.report(at, "must be more than %d characters", minLen-1)
		case n > maxLen:
			c.report(at, "must be less than %d characters", maxLen+1)
		}
	}
}

const unlimited = math.MaxInt32

func flag(c *checker, at string, v any) {
	if _, ok := v.(bool); !ok {
		c.report(at, "must provide a boolean")
	}
}

func anyNumber(c *checker, at string, v any) {
	if _, ok := v.(json.Number); !ok {
		c.report(at, "must provide a number")
	}
}

func integer(minimum, maximum int) rule {
	return func(c *checker, at string, v any) {
		num, _ := v.(json.Number)
		n, err := strconv.Atoi(num.String())
		switch {
		case err != nil:
			c.report(at, "must provide an integer")
		case n < minimum || n > maximum:
			c.report(at, "must be between %d and %d", minimum, maximum)
		}
	}
}

func enum(allowed ...string) rule {
	return func(c *checker, at string, v any) {
		if s, ok := v.(string); !ok || !slices.Contains(allowed, s) {
			c.report(at, "must be one of %v", allowed)
		}
	}
}

func list(minItems, maxItems int, item rule) rule {
	return func(c *checker, at string, v any) {
		items, ok := v.([]any)
		switch {
		case !ok:
			c.report(at, "must provide an array")
			return
		case len(items) < minItems:
			c.report(at, "must provide at least %d items", minItems)
		case len(items) > maxItems:
			c.report(at, "no more than %d items allowed", maxItems)
		}
		for i, v := range items {
			item(c, at+"/"+strconv.Itoa(i), v)
		}
	}
}

// link is an absolute address.
func link(maxLen int) rule {
	return func(c *checker, at string, v any) {
		text(1, maxLen)(c, at, v)
		s, _ := v.(string)
		if u, err := url.Parse(s); s != "" && (err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "") {
			c.report(at, "invalid url")
		}
	}
}

// exactlyOne wants one of two fields.
func exactlyOne(a, b string) rule {
	return func(c *checker, at string, v any) {
		_, hasA := v.(object)[a]
		_, hasB := v.(object)[b]
		if hasA == hasB {
			c.report(at, "must define either `%s` or `%s`", a, b)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
