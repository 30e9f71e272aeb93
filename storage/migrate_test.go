package storage_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/pvechat/pvechat/storage"
)

// copyFiles are the embedded files, to be changed.
func copyFiles(t *testing.T) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{}
	must(t, fs.WalkDir(storage.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(storage.Files, path)
		all[path] = &fstest.MapFile{Data: b}
		return err
	}))
	return all
}
