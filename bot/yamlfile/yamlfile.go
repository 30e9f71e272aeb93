// Package yamlfile reads YAML strictly: unknown keys are refused, and every
// problem is told at once, with its line.
package yamlfile

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// Problem is one thing that is wrong. Line is 0 where it has none.
type Problem struct {
	Line int
	Text string
}

// Error lists everything that is wrong with a file.
type Error struct {
	What     string // "the configuration"
	File     string
	Problems []Problem
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has %d problem(s):", e.What, len(e.Problems))
	for _, p := range e.Problems {
		if p.Line > 0 {
			fmt.Fprintf(&b, "\n  %s:%d: %s", e.File, p.Line, p.Text)
		} else {
			fmt.Fprintf(&b, "\n  %s: %s", e.File, p.Text)
		}
	}
	return b.String()
}

// Reader reads one file and collects what is wrong with it.
type Reader struct {
	root     yaml.Node
	broken   bool // it is no YAML: what is missing may well be there
	problems []Problem
}

// Decode fills into from data. Values are not repeated in problems: one may be
// a secret.
func (r *Reader) Decode(data []byte, into any) {
	r.broken = yaml.Load(data, &r.root) != nil && len(strings.TrimSpace(string(data))) > 0
	err := yaml.Load(data, into, yaml.WithKnownFields())
	var many *yaml.LoadErrors
	var one *yaml.LoadError
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Errors {
			r.problems = append(r.problems, Problem{e.Mark.Line, plain(e.Message)})
		}
	case errors.As(err, &one):
		r.problems = append(r.problems, Problem{one.Mark.Line, plain(one.Message)})
	case len(strings.TrimSpace(string(data))) == 0:
		r.problems = append(r.problems, Problem{0, "it is empty"})
	default:
		r.problems = append(r.problems, Problem{0, "it is no YAML"})
	}
}

var (
	// quoted finds values that the decoder repeats.
	quoted = regexp.MustCompile("(?s)`.*`")
	inType = regexp.MustCompile(` in type .*`)
)

func plain(msg string) string {
	msg = inType.ReplaceAllString(msg, "")
	if key, ok := strings.CutPrefix(msg, "field "); ok {
		if key, ok := strings.CutSuffix(key, " not found"); ok {
			return "there is no key " + key + " here"
		}
	}
	return quoted.ReplaceAllString(msg, "[redacted]")
}

// Wrong notes a problem at a path of keys (string) and places in lists (int).
// Where the file is no YAML, that alone is told.
func (r *Reader) Wrong(text string, path ...any) {
	if !r.broken {
		r.problems = append(r.problems, Problem{r.line(path...), text})
	}
}

// line finds the line of a key's path; of the nearest key above where the path
// ends early.
func (r *Reader) line(path ...any) int {
	n := &r.root
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := 0
	for _, step := range path {
		var next *yaml.Node
		switch step := step.(type) {
		case string:
			for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next, line = n.Content[i+1], n.Content[i].Line
				}
			}
		case int:
			if n.Kind == yaml.SequenceNode && step < len(n.Content) {
				next, line = n.Content[step], n.Content[step].Line
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}

// Err is everything that is wrong, by line; nil where nothing is.
func (r *Reader) Err(what, file string) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return &Error{What: what, File: file, Problems: r.problems}
}
