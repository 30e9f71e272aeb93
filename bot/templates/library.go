package templates

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// Library is the templates that there are, by name. It is immutable.
type Library struct {
	list []Template
	byID map[string]*Template
}

// Load reads the shipped templates and those of dir; "" is none. One of dir
// takes the place of a shipped one with its file name. Files that are wrong are
// left out and told together.
func Load(dir string) (*Library, error) {
	l := &Library{byID: map[string]*Template{}}
	own, _ := fs.Sub(shipped, "shipped") // it is there
	errs := []error{l.add(own, true)}
	if dir != "" {
		errs = append(errs, l.add(os.DirFS(dir), false))
	}
	for _, t := range l.byID {
		l.list = append(l.list, *t)
	}
	slices.SortFunc(l.list, func(a, b Template) int {
		return strings.Compare(strings.ToLower(a.Name)+a.ID, strings.ToLower(b.Name)+b.ID)
	})
	return l, errors.Join(errs...)
}

func (l *Library) add(files fs.FS, shipped bool) error {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return err
	}
	if _, err := fs.Stat(files, "."); err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t, err := Parse(strings.TrimSuffix(path.Base(name), ".yaml"), name, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.Shipped = shipped
		l.byID[t.ID] = &t
	}
	return errors.Join(errs...)
}

// All returns the templates by name.
func (l *Library) All() []Template { return l.list }

// Find returns the template with an id.
func (l *Library) Find(id string) (Template, bool) {
	t, ok := l.byID[id]
	if !ok {
		return Template{}, false
	}
	return *t, true
}
