package bot

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// multiples fires on multiples of a period, so that all replicas mean the same
// moment; cron's own @every counts from each process's start.
type multiples time.Duration

// Next implements cron.Schedule.
func (m multiples) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(m)).Add(time.Duration(m))
}

var _ cron.Schedule = multiples(0)

// Every does something at once, then on multiples of a period.
type Every struct {
	Period time.Duration
	Do     func(ctx context.Context)
}

// Run blocks until ctx ends. A turn that is still under way when the next is
// due is not started twice.
func (e Every) Run(ctx context.Context) error {
	var busy sync.Mutex
	turn := func() {
		if ctx.Err() != nil || !busy.TryLock() {
			return
		}
		defer busy.Unlock()
		e.Do(ctx)
	}
	turn()
	c := cron.New(cron.WithLogger(cron.DiscardLogger))
	c.Schedule(multiples(e.Period), cron.FuncJob(turn))
	c.Start()
	<-ctx.Done()
	<-c.Stop().Done()
	return nil
}

// Refresh asks the clusters and brings what changed to those who look.
type Refresh struct {
	Clusters []string
	Every    time.Duration
	One      func(ctx context.Context, cluster string) // asks one cluster, and tells what it found
	After    func(ctx context.Context)                 // edits; once for all clusters
	Log      *slog.Logger
}

// Run refreshes at once, then on multiples of the period, until ctx ends. A
// tick that is still running when the next is due is not started twice.
func (r Refresh) Run(ctx context.Context) error { return Every{r.Every, r.tick}.Run(ctx) }

// patience is how long one cluster may take; a slow one does not hold up the
// others' edits beyond it.
const patience = 20 * time.Second

func (r Refresh) tick(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var wg sync.WaitGroup
	for _, name := range r.Clusters {
		wg.Go(func() { r.One(ctx, name) })
	}
	wg.Wait()
	r.After(ctx)
}
