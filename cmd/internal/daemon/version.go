package daemon

import (
	"cmp"
	"runtime/debug"
)

// release is set by the linker, see the target dist of the Makefile.
var release string

// Version is that of the release, or the module's, or "devel" for a build of a
// work tree.
func Version() string {
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		module = info.Main.Version
	}
	return cmp.Or(release, module, "devel")
}
