package guesttest

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// exec runs a command as the guest would.
func (s *Server) exec(ctx context.Context, g Guest, command string, stdio Stdio) (status uint32) {
	switch {
	case g.Exec != nil:
		return g.Exec(ctx, command, stdio)
	case g.Root != "":
		return s.shell(ctx, g.Root, command, stdio)
	}
	if command == "true" {
		return 0
	}
	script, err := io.ReadAll(stdio.In)
	if err != nil {
		return 255
	}
	shell, arguments, _ := strings.Cut(command, " --")
	words := strings.Fields(arguments)
	for _, known := range []struct {
		marker string
		answer func(Guest, []string) string
	}{{"pvechat-credentials 1", credentials}, {"pvechat-scan 1", scan}, {"pvechat-logs 1", logs}} {
		if shell == "/bin/sh -s" && strings.Contains(string(script), known.marker) {
			io.WriteString(stdio.Out, known.answer(g, words))
			return 0
		}
	}
	if g.Install != nil && shell == "/bin/sh -s" && strings.HasPrefix(string(script), "# pvechat-install 1") {
		return g.Install(ctx, string(script), stdio.Out)
	}
	s.errorf("guesttest: client runs %q, which only a guest with a Root can do", command)
	fmt.Fprintln(stdio.Err, "sh: not found")
	return 127
}

var plainPath = regexp.MustCompile(`^/[A-Za-z0-9./_,-]*$`)

// shell runs command on this machine. What it reads as a script is changed to
// look below root.
func (s *Server) shell(ctx context.Context, root, command string, stdio Stdio) (status uint32) {
	script, err := io.ReadAll(stdio.In)
	if err != nil || !plainPath.MatchString(root) {
		s.errorf("guesttest: cannot run %q below %q: %v", command, root, err)
		return 255
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdin = strings.NewReader(strings.NewReplacer("/etc/pvechat", root+"/etc/pvechat", "\troot=\n", "\troot="+root+"\n").Replace(string(script)))
	cmd.Stdout, cmd.Stderr = stdio.Out, stdio.Err
	cmd.Env = []string{"PATH=" + root + "/bin:/usr/bin:/bin"}
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.errorf("guesttest: running %q: %v", command, err)
		return 255
	}
	return uint32(cmd.ProcessState.ExitCode())
}

const directory = "/etc/pvechat/credentials"

// credentials is what pvechat's script for credentials prints in a guest; a
// test holds it to the real one.
func credentials(g Guest, arguments []string) string {
	entries := make(map[string]string) // name → path of the file, empty for a directory
	for file := range g.Files {
		below, ok := strings.CutPrefix(path.Clean(file), directory+"/")
		if !ok {
			continue
		}
		if name, _, nested := strings.Cut(below, "/"); nested {
			entries[name] = ""
		} else {
			entries[name] = file
		}
	}
	wanted := ""
	further := map[string]string{} // files elsewhere, by service
	for _, argument := range arguments {
		if name, file, elsewhere := strings.Cut(argument, "="); elsewhere {
			further[name] = file
		} else {
			wanted = argument
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\npvechat-credentials 1\n")
	_, irregular := g.Files[directory]
	names := slices.Sorted(maps.Keys(entries))
	names = slices.DeleteFunc(names, func(name string) bool { return name[0] == '.' })
	switch {
	case irregular:
		fmt.Fprintln(&out, "stop irregular")
		names = nil
	case len(entries) == 0:
		fmt.Fprintln(&out, "stop absent")
	case wanted != "":
		names = []string{wanted}
	}
	if len(names) > 50 {
		fmt.Fprintln(&out, "stop many")
		names = names[:50]
	}
	places := make([]string, len(names))
	for _, name := range slices.Sorted(maps.Keys(further)) {
		if wanted == "" || wanted == name {
			names, places = append(names, name), append(places, further[name])
		}
	}
	total := 0
	for i, name := range names {
		file, exists := entries[name]
		if places[i] != "" {
			file = places[i]
			_, exists = g.Files[file]
		}
		content := g.Files[file]
		skip := func(reason string) {
			fmt.Fprintf(&out, "skip %s\n%s", reason, dump(name[:min(len(name), 255)]))
		}
		switch {
		case !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`).MatchString(name):
			skip("name")
		case !exists:
			skip("absent")
		case file == "":
			skip("irregular")
		case len(content) > 64<<10:
			skip("large")
		case total+len(content) > 256<<10:
			skip("total")
		default:
			total += len(content)
			mode, ok := g.Modes[file]
			if !ok {
				mode = 0o600
			}
			modified := int64(0)
			if !g.Modified.IsZero() {
				modified = g.Modified.Unix()
			}
			fmt.Fprintf(&out, "file %s %o %d %d\n%s", name, mode.Perm(), modified, len(content), dump(content))
		}
	}
	fmt.Fprintln(&out, "end")
	return out.String()
}

// dump prints s as od -An -v -tx1 does, and a dot.
func dump(s string) string {
	var out strings.Builder
	for line := range slices.Chunk([]byte(s), 16) {
		for _, b := range line {
			out.WriteString(" " + hex.EncodeToString([]byte{b}))
		}
		out.WriteByte('\n')
	}
	return out.String() + ".\n"
}
