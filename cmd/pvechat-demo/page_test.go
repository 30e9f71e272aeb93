package main

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	linked  = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	imports = regexp.MustCompile(`(?m)^(?:import|export) .*?from '([^']+)';$`)
	named   = regexp.MustCompile(`(?m)^import \{ (.+) \} from '([^']+)';$`)
	offered = regexp.MustCompile(`(?m)^export (?:async )?(?:function|const|class) (\w+)`)

	// The name of SVG's elements is an address that nothing is loaded from.
	elsewhere = regexp.MustCompile(`["'(=]\s*(?:https?:|wss?:)?//\w[^"')\s]*`)
	svgName   = "'http://www.w3.org/2000/svg"

	// What makes elements out of text, or code out of text.
	unsafe = regexp.MustCompile(`\b(?:innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|setHTMLUnsafe|srcdoc|DOMParser|document\.write|eval\(|new Function)`)
)

// pageFiles are all files of the page, by their path.
func pageFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS("page"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path.Join("page", name))
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A page without a build step has nobody who tells of a wrong import, or of a
// file that nothing needs any more.
func TestPageIsWhole(t *testing.T) {
	files := pageFiles(t)
	needed := []string{"index.html"}
	for i := 0; i < len(needed); i++ {
		name := needed[i]
		refer := imports
		if path.Ext(name) == ".html" {
			refer = linked
		}
		for _, m := range refer.FindAllStringSubmatch(files[name], -1) {
			to := path.Join(path.Dir(name), m[1])
			if _, ok := files[to]; !ok {
				t.Errorf("%s needs %s, which is not there", name, to)
			}
			if !slices.Contains(needed, to) {
				needed = append(needed, to)
			}
		}
		for _, m := range named.FindAllStringSubmatch(files[name], -1) {
			to := path.Join(path.Dir(name), m[2])
			for word := range strings.SplitSeq(m[1], ", ") {
				if !slices.ContainsFunc(offered.FindAllStringSubmatch(files[to], -1), func(o []string) bool { return o[1] == word }) {
					t.Errorf("%s imports %s, which %s does not export", name, word, to)
				}
			}
		}
	}
	for name := range files {
		if !slices.Contains(needed, name) {
			t.Errorf("nothing needs %s", name)
		}
	}
	if len(needed) < 20 {
		t.Errorf("only %d files were found to be needed: %v", len(needed), needed)
	}
}

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	for name, text := range pageFiles(t) {
		if name == "icon.svg" {
			continue // its own namespace
		}
		for _, found := range elsewhere.FindAllString(text, -1) {
			if found != svgName {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
}

// What a container is called, and whatever else stands in a payload, is text.
func TestPageMakesNoElementsOfText(t *testing.T) {
	for name, text := range pageFiles(t) {
		if found := unsafe.FindString(text); found != "" {
			t.Errorf("%s uses %s", name, found)
		}
	}
}
