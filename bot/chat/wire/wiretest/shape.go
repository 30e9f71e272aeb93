package wiretest

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Shape compares what a simulator sent with payloads in the documented shape,
// by names and kinds of fields.
type Shape struct {
	// Exact finds fault with what is not in the payload, too.
	Exact bool

	// Part is the name of the field whose value was sent; "" or a field that a
	// payload lacks: all of it was.
	Part string

	// Free tells what somebody chose, and may differ, by the name of its field.
	Free func(name string, want any) bool
}

// Files compares with each payload in dir the one that was sent under its name,
// but for those that the simulator receives. The test is skipped where the
// folder is not beside the repository.
func (s Shape) Files(t *testing.T, dir string, sent map[string]any, receives ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("no payloads beside the repository")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if slices.Contains(receives, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			if sent[name] == nil {
				t.Fatal("nothing of that shape was sent")
			}
			if part, ok := want[s.Part]; ok {
				s.compare(t, "", part, sent[name])
			} else {
				s.compare(t, "", want, sent[name])
			}
		})
	}
}

func (s Shape) compare(t *testing.T, at string, want, have any) {
	t.Helper()
	if s.Free != nil && s.Free(path.Base(at), want) {
		return
	}
	switch w := want.(type) {
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			s.compareFields(t, at, w, h)
			return
		}
	case []any:
		if h, ok := have.([]any); ok {
			switch {
			case len(w) > 0 && len(h) > 0:
				s.compare(t, at+"/0", w[0], h[0])
			case s.Exact && len(w) != len(h):
				t.Errorf("%s has %d items, want %d", at, len(h), len(w))
			}
			return
		}
	case string:
		if _, ok := have.(string); ok {
			return
		}
	case bool:
		if _, ok := have.(bool); ok {
			return
		}
	case float64:
		if _, ok := have.(float64); ok {
			return
		}
	case nil:
		if have == nil {
			return
		}
	}
	t.Errorf("%s is %T, want %T", at, have, want)
}

func (s Shape) compareFields(t *testing.T, at string, want, have map[string]any) {
	t.Helper()
	for name := range want {
		if h, ok := have[name]; ok {
			s.compare(t, at+"/"+name, want[name], h)
		} else {
			t.Errorf("%s/%s is missing", at, name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok && s.Exact {
			t.Errorf("%s/%s is too much", at, name)
		}
	}
}
