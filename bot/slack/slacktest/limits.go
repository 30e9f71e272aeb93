package slacktest

import "time"

// tier is how many calls of a method Slack lets through in a minute.
type tier int

// Slack's tiers. Posting has its own rule: a message a second in a channel.
const (
	tier1   tier = 1
	tier2   tier = 20
	tier3   tier = 50
	tier4   tier = 100
	posting tier = 0

	generous = 100 // times the tiers, unless Options.StrictLimits
)

// limits holds the times of the last calls by method, and channel where that
// counts. It needs Server.mu.
type limits map[string][]time.Time

// take counts a call, or says how long to wait for it.
func (l limits) take(key string, n int, window time.Duration, now time.Time) time.Duration {
	calls := l[key]
	for len(calls) > 0 && now.Sub(calls[0]) >= window {
		calls = calls[1:]
	}
	if len(calls) >= n {
		l[key] = calls
		return calls[0].Add(window).Sub(now)
	}
	l[key] = append(calls, now)
	return 0
}

// limited says how long the bot has to wait before a call, 0 for not at all.
func (s *Server) limited(name string, t tier, channel string) time.Duration {
	factor := generous
	if s.opts.StrictLimits {
		factor = 1
	}
	if t == posting {
		return s.take(name+" "+channel, factor, time.Second, s.opts.Now())
	}
	return s.take(name, int(t)*factor, time.Minute, s.opts.Now())
}
