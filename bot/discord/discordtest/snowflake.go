package discordtest

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

var snowflakePattern = regexp.MustCompile(`^[0-9]{1,20}$`)

func isSnowflake(id string) bool { return snowflakePattern.MatchString(id) }

func mustBeSnowflake(id string) {
	if !isSnowflake(id) {
		panic(fmt.Sprintf("discordtest: %q is not an id: Discord's ids are numbers", id))
	}
}

// snowflakes makes ids as Discord does: milliseconds since 2015 in the upper 42
// bits. They always increase, whatever the clock does.
type snowflakes struct{ last int64 }

var discordEpoch = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)

func (f *snowflakes) next(now time.Time) string {
	f.last = max(f.last+1, now.Sub(discordEpoch).Milliseconds()<<22)
	return strconv.FormatInt(f.last, 10)
}

// newID returns the next id; s.mu is held.
func (s *Server) newID() string { return s.snowflakes.next(s.now()) }

// timestamp writes t as Discord's JSON does.
func timestamp(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000000+00:00")
}
