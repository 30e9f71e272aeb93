package daemon_test

import (
	"flag"
	"os"
	"testing"
)

// Scenarios mostly wait for the bot, so more of them run at a time than there
// are processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
