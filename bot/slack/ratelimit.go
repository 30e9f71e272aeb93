package slack

import (
	"context"
	"sync"
	"time"
)

// Slack counts calls by method in a minute: 50 where it says tier 3, 100 where
// it says tier 4. A burst and what comes in over a minute stay below.
// https://docs.slack.dev/apis/web-api/rate-limits
var paces = map[string]pace{
	"chat.postMessage":   {1, 1100 * time.Millisecond}, // in each channel
	"chat.update":        {15, 2 * time.Second},
	"chat.delete":        {15, 2 * time.Second},
	"conversations.open": {15, 2 * time.Second},
	"chat.postEphemeral": {35, time.Second},
	"views.open":         {35, time.Second},
	"views.push":         {35, time.Second},
	"views.update":       {35, time.Second},
	"views.publish":      {35, time.Second},
}

// pace is a number of calls at once, and one more every so often.
type pace struct {
	burst int
	every time.Duration
}

// limits paces calls by method, and by channel where Slack counts those.
type limits struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

func newLimits() limits { return limits{buckets: map[string]*bucket{}} }

// bucket holds when its next free token was or will be due.
type bucket struct{ next time.Time }

// wait returns when a call may be made, in the order of asking.
func (l *limits) wait(ctx context.Context, method, channel string) error {
	p, ok := paces[method]
	if !ok {
		return nil
	}
	if d := l.take(p, method+" "+channel, time.Now()); d > 0 {
		return sleep(ctx, d)
	}
	return nil
}

// take reserves a call and says how long to wait for it.
func (l *limits) take(p pace, key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, b := range l.buckets {
		if len(l.buckets) > 1000 && now.Sub(b.next) > time.Minute {
			delete(l.buckets, k) // full again
		}
	}
	b := l.buckets[key]
	if b == nil {
		b = &bucket{}
		l.buckets[key] = b
	}
	full := now.Add(-time.Duration(p.burst-1) * p.every)
	if b.next.Before(full) {
		b.next = full
	}
	due := b.next
	b.next = b.next.Add(p.every)
	return due.Sub(now)
}
