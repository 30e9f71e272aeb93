package main

import (
	"strings"
	"testing"
	"time"
)

// Every click is answered, within the platforms' own limits.
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("it is about speed, and two bots in processes of their own")
	}
	var out strings.Builder
	cli := CLI{Platform: "both", Containers: 300, Load: Load{Boards: 6, Clicks: 10, For: 4 * time.Second}}
	if err := runLoad(t.Context(), cli, options{Every: time.Second, Deadline: patience}, &out, t.Output()); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Log(out.String())
	for _, want := range []string{"slack: click → answer, p99", "discord: click → answer, p99"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table says nothing of %s", want)
		}
	}
	said := map[string]string{}
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) > 2 {
			said[strings.Join(words[:len(words)-2], " ")] = words[len(words)-2]
		}
	}
	for what, want := range map[string]string{"clicks answered": "40", "clicks lost": "0", "calls refused for a limit": "0"} {
		if said[what] != want {
			t.Errorf("%s: %q, want %s", what, said[what], want)
		}
	}
}
