package slack

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"
)

const (
	groupsEvery   = 5 * time.Minute
	groupsRetry   = 30 * time.Second
	groupsAtStart = 5 * time.Second // how long the first answer may hold up the start
)

// groups remembers who is in the user groups that access rules mention, so
// that no call stands between a click and its answer.
type groups struct {
	wanted []string

	mu sync.Mutex
	of map[string][]string // by person
}

// person returns the groups of a person.
func (g *groups) person(id string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.of[id])
}

// run keeps the memory fresh until ctx ends.
func (g *groups) run(ctx context.Context, a *Adapter) {
	if len(g.wanted) == 0 {
		return
	}
	for wait := groupsEvery; sleep(ctx, wait) == nil; {
		wait = groupsEvery
		if !g.refresh(ctx, a) {
			wait = groupsRetry
		}
	}
}

// refresh asks once. What was known stays if there is no answer.
func (g *groups) refresh(ctx context.Context, a *Adapter) bool {
	if len(g.wanted) == 0 {
		return true
	}
	asking, cancel := context.WithTimeout(ctx, groupsAtStart)
	defer cancel()
	list, err := a.api.GetUserGroupsContext(asking, slackgo.GetUserGroupsOptionIncludeUsers(true))
	if err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.config.Log.WarnContext(ctx, "user groups are not known", "err", apiError("usergroups.list", err))
		}
		return false
	}
	of := map[string][]string{}
	for _, group := range list {
		if slices.Contains(g.wanted, group.ID) {
			for _, u := range group.Users {
				of[u] = append(of[u], group.ID)
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.of = of
	return true
}
