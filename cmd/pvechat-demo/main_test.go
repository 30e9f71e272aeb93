package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// It says where it is and what to do there, and leaves nothing behind.
func TestItRunsWithoutAnything(t *testing.T) {
	for _, args := range [][]string{{}, {"--platform", "slack", "--containers", "300"}, {"--platform", "discord", "--listen", "localhost:0"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			left := t.TempDir()
			t.Setenv("TMPDIR", left)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said, stdout := io.Pipe()
			code := make(chan int, 1)
			go func() {
				code <- run(ctx, args, stdout, t.Output())
				stdout.Close()
			}()
			lines := bufio.NewScanner(said)
			var text strings.Builder
			for lines.Scan() && !strings.Contains(lines.Text(), "Ctrl-C") {
				text.WriteString(lines.Text() + "\n")
			}
			address := regexp.MustCompile(`http://\S+`).FindString(text.String())
			if n := strings.Count(text.String(), "/pve "); address == "" || n != 3 {
				t.Fatalf("no address, or not three things to try:\n%s", &text)
			}
			resp, err := http.Get(address + "/api/hello")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			stream, err := http.Get(address + "/api/stream?person=ana") // somebody still looks
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Body.Close()

			cancel()
			go func() { _, _ = io.Copy(io.Discard, said) }()
			select {
			case c := <-code:
				if c != 0 {
					t.Errorf("exit %d", c)
				}
			case <-time.After(patience):
				t.Fatal("it does not end")
			}
			if files, err := os.ReadDir(left); err != nil || len(files) > 0 {
				t.Errorf("it leaves %v %v", files, err)
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}

func TestWrongWords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--platform", "teams"}, "must be one of"},
		{[]string{"--listen", "0.0.0.0:9090"}, "loopback only"},
		{[]string{"--listen", "example.com:9090"}, "loopback only"},
		{[]string{"--listen", taken.Addr().String()}, "address already in use"},
		{[]string{"--containers=-1"}, "0 to 10000"},
		{[]string{"now"}, "unexpected argument"},
	} {
		var stderr strings.Builder
		if code := run(t.Context(), c.args, io.Discard, &stderr); code != exitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: exit %d, %s", c.args, code, &stderr)
		}
	}
	var stdout strings.Builder
	if code := run(t.Context(), []string{"--help"}, &stdout, io.Discard); code != 0 || !strings.Contains(stdout.String(), "--listen") {
		t.Errorf("--help: exit %d, %s", code, &stdout)
	}
}

// Without a wish for an address, one that is taken is no trouble.
func TestAnyAddressWillDo(t *testing.T) {
	if usual, err := net.Listen("tcp", usualAddress); err == nil {
		defer usual.Close()
	}
	ln, err := listen(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if !onLoopback(ln.Addr().String()) || ln.Addr().String() == usualAddress {
		t.Errorf("it listens at %s", ln.Addr())
	}
}
