package pace_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

var limit = pace.Limit{Calls: 10, In: time.Minute, Kept: 2}

// most is the largest number of times within any span.
func most(times []time.Time, span time.Duration) int {
	slices.SortFunc(times, time.Time.Compare)
	n := 0
	for i, from := range times {
		j := i
		for j < len(times) && times[j].Sub(from) < span {
			j++
		}
		n = max(n, j-i)
	}
	return n
}

// calls makes n calls at once and returns when they had their turns.
func calls(ctx context.Context, p *pace.Pacer, n int, patience time.Duration) (turns []time.Time, refused []error) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for range n {
		wg.Go(func() {
			err := p.Wait(ctx, "k", limit, patience)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused = append(refused, err)
				return
			}
			turns = append(turns, time.Now())
		})
	}
	wg.Wait()
	return turns, refused
}

// The platform counts calls when they arrive, and the way is not as long for each.
func TestACallThatIsLateDoesNotMeetThoseOfTheNextSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		dice := rand.New(rand.NewPCG(1, 1))
		l := limit
		l.Late = 100 * time.Millisecond
		var arrived []time.Time
		for range 95 {
			if err := p.Wait(t.Context(), "k", l, time.Hour); err != nil {
				t.Fatal(err)
			}
			arrived = append(arrived, time.Now().Add(time.Duration(dice.Int64N(int64(l.Late)))))
		}
		if n := most(arrived, time.Minute); n != 10 {
			t.Errorf("%d calls arrived within a minute", n)
		}
	})
}

func TestNoSpanHoldsMoreThanTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		began := time.Now()
		turns, refused := calls(t.Context(), &p, 95, time.Hour)
		if len(refused) > 0 || len(turns) != 95 {
			t.Fatalf("%d turns, %v", len(turns), refused)
		}
		if n := most(turns, time.Minute); n != 10 {
			t.Errorf("%d calls within a minute", n)
		}
		if took := time.Since(began); took != 9*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func TestWhatNobodyWaitsForLeavesAPartToPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		background := chat.InBackground(t.Context())
		for range 10 {
			// Four in half a minute, eight in a minute: two of ten are left.
			edits, refused := calls(background, &p, 20, time.Second)
			if len(edits) != 4 || len(refused) != 16 {
				t.Errorf("%d edits, %d refused", len(edits), len(refused))
			}
			var limited *chat.RateLimitedError
			if !errors.As(refused[0], &limited) || limited.RetryAfter != 30*time.Second {
				t.Errorf("refused with %v", refused[0])
			}
			time.Sleep(30 * time.Second)
		}
		calls(background, &p, 4, time.Second)
		clicks, refused := calls(t.Context(), &p, 3, time.Second)
		if len(clicks) != 2 || len(refused) != 1 {
			t.Errorf("%d clicks, %d refused", len(clicks), len(refused))
		}
	})
}

func TestAPauseHoldsBackAlsoThoseThatWaitAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { time.Sleep(time.Second); p.Pause("k", 2*time.Minute) })
		turns, _ := calls(t.Context(), &p, 11, time.Hour)
		wg.Wait()
		if last := turns[10].Sub(began); last != 2*time.Minute+time.Second {
			t.Errorf("the eleventh had its turn after %s", last)
		}
		p.Pause("k", time.Minute)
		p.Pause("k", time.Second) // does not end the first
		if _, refused := calls(t.Context(), &p, 1, 30*time.Second); len(refused) != 1 {
			t.Error("a pause is not minded")
		}
		if err := p.Wait(t.Context(), "other", limit, 0); err != nil {
			t.Errorf("another key: %v", err)
		}
	})
}

func TestAfterAPauseOneCallShowsWhetherItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		p.Pause("k", time.Minute)
		began := time.Now()
		turns, refused := calls(t.Context(), &p, 8, 62*time.Second)
		if len(turns) != 3 || len(refused) != 5 || most(turns, time.Second) != 1 || turns[0].Sub(began) != time.Minute {
			t.Errorf("turns %v, %d refused", turns, len(refused))
		}
		p.Resume("k")
		time.Sleep(time.Minute)
		if turns, _ := calls(t.Context(), &p, 8, 0); len(turns) != 8 {
			t.Errorf("%d turns when it is over", len(turns))
		}
	})
}

func TestNobodyWaitsLongerThanTheContextLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace.Pacer
		p.Pause("k", time.Hour)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var limited *chat.RateLimitedError
		if _, refused := calls(ctx, &p, 1, 2*time.Hour); len(refused) != 1 || !errors.As(refused[0], &limited) || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), refused)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, refused := calls(ctx, &p, 1, 2*time.Hour); len(refused) != 1 || !errors.Is(refused[0], context.Canceled) {
			t.Errorf("cancelled: %v", refused)
		}
	})
}
