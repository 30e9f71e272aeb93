package storage_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pvechat/pvechat/storage"
	"github.com/pvechat/pvechat/storage/storagetest"
)

var update = flag.Bool("update", false, "write the checked-in descriptions of the tables anew")

// holderEnv names a database that this binary, started again, opens and holds
// until its input ends.
const holderEnv = "PVECHAT_TEST_HOLD"

func TestMain(m *testing.M) {
	if url := os.Getenv(holderEnv); url != "" {
		if err := hold(url); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func hold(url string) error {
	db, err := storage.Open(context.Background(), storage.Config{URL: url, Holder: "the other one"})
	if err != nil {
		return err
	}
	if err := db.Check(context.Background(), true); err != nil {
		return err
	}
	fmt.Println("open")
	_, err = io.Copy(io.Discard, os.Stdin)
	if err != nil {
		return err
	}
	return db.Close()
}

// process is another process that holds a database.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser // it ends when this closes
	out *bufio.Reader
}

// holder starts another process that opens a database and holds it.
func holder(t *testing.T, url string) *process {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holderEnv+"="+url)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // a test may have killed it
	})
	return &process{t, cmd, in, bufio.NewReader(out)}
}

// opened returns once it holds the database.
func (p *process) opened() {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); line != "open\n" {
		p.t.Fatalf("the other process said %q, %v", line, err)
	}
}

// forEachEngine runs a test on a new, migrated database of each engine.
func forEachEngine(t *testing.T, test func(t *testing.T, db *storage.DB)) {
	t.Helper()
	forEachURL(t, func(t *testing.T, e storagetest.Engine) { test(t, e.Open(t)) })
}

// forEachURL runs a test for each engine; it makes its own databases.
func forEachURL(t *testing.T, test func(t *testing.T, e storagetest.Engine)) {
	t.Helper()
	for _, e := range storagetest.Engines(t) {
		t.Run(e.Name, func(t *testing.T) { test(t, e) })
	}
}

// noon is a time with microseconds, in a zone that is not UTC.
var noon = time.Date(2026, 11, 23, 13, 4, 5, 123456000, time.FixedZone("CET", 3600))

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hostile is text that a database could choke on.
const hostile = "a\x00b\xff'; DROP TABLE containers; -- \"?\" \\ %s 🐘"

// tamed is how it comes back.
const tamed = "a\uFFFDb\uFFFD'; DROP TABLE containers; -- \"?\" \\ %s 🐘"
