package wiretest

import (
	"sync"
	"time"
)

// Clock is a time that stands still until it is moved.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// NewClock returns a clock that stands at 14:32:05 UTC on 23 November 2026.
func NewClock() *Clock { return &Clock{t: time.Date(2026, 11, 23, 14, 32, 5, 0, time.UTC)} }

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
