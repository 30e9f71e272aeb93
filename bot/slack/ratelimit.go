package slack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

// Slack counts calls by method in a minute: 50 where it says tier 3, 100 where
// it says tier 4.
// https://docs.slack.dev/apis/web-api/rate-limits
var (
	tier3 = pace.Limit{Calls: 50, In: time.Minute, Late: late, Kept: 10}
	tier4 = pace.Limit{Calls: 100, In: time.Minute, Late: late, Kept: 20}

	limits = map[string]pace.Limit{
		"chat.update":        tier3,
		"chat.delete":        tier3,
		"conversations.open": tier3,
		"chat.postEphemeral": tier4,
		"views.open":         tier4,
		"views.push":         tier4,
		"views.update":       tier4,
		"views.publish":      tier4,
	}

	// posting is counted in each channel.
	posting = pace.Limit{Calls: 1, In: time.Second, Late: late}
)

const late = 100 * time.Millisecond

// How long a call waits for its turn. What nobody waits for comes again with
// newer facts.
const (
	patienceOfPeople = time.Minute
	patienceOfBoards = 3 * time.Second
)

// paced makes a call when it is its turn, keeps the method's pauses, and has a
// refused token looked at.
func (a *Adapter) paced(ctx context.Context, method, channel string, do func() error) error {
	patience := patienceOfPeople
	if chat.Background(ctx) {
		patience = patienceOfBoards
	}
	err := a.pace.Wait(ctx, method, limits[method], patience)
	if err == nil && method == "chat.postMessage" {
		err = a.pace.Wait(ctx, method+" "+channel, posting, patience)
	}
	if err != nil {
		return fmt.Errorf("slack: %s: %w", method, err)
	}
	err = do()
	if r, ok := errors.AsType[*chat.RateLimitedError](err); ok {
		a.pace.Pause(method, r.RetryAfter)
		return err
	}
	a.pace.Resume(method)
	if tokenLost(err) {
		select {
		case a.suspect <- struct{}{}:
		default: // it is being tried already
		}
	}
	return err
}
