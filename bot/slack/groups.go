package slack

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/chat/pace"
)

const (
	groupsEvery   = 5 * time.Minute
	groupsRetry   = 30 * time.Second
	groupsAtStart = 5 * time.Second // how long the first answer may hold up the start
)

// groups remembers who is in the user groups that access rules mention, so
// that no call stands between a click and its answer.
type groups struct {
	mu     sync.Mutex
	wanted []string
	of     map[string][]string // by person
}

// Follow replaces the user groups whose members are known, and asks for them.
func (a *Adapter) Follow(ctx context.Context, ids []string) {
	a.groups.mu.Lock()
	a.groups.wanted = slices.Clone(ids)
	a.groups.mu.Unlock()
	a.groups.refresh(ctx, a)
}

// Standing looks up ids that access rules name. It returns those that stand for
// nobody who could act here, with the reason.
func (a *Adapter) Standing(ctx context.Context, users, groups []string) (map[string]chat.Standing, error) {
	odd := map[string]chat.Standing{}
	if len(groups) > 0 {
		list, err := a.api.GetUserGroupsContext(ctx, slackgo.GetUserGroupsOptionIncludeUsers(true))
		if err != nil {
			return nil, apiError("usergroups.list", err)
		}
		for _, id := range groups {
			i := slices.IndexFunc(list, func(g slackgo.UserGroup) bool { return g.ID == id })
			switch {
			case i < 0:
				odd[id] = chat.Unknown
			case len(list[i].Users) == 0:
				odd[id] = chat.Empty
			}
		}
	}
	for _, id := range users {
		u, err := a.api.GetUserInfoContext(ctx, id)
		err = apiError("users.info", err)
		if e, ok := errors.AsType[*codeError](err); ok && (e.code == "user_not_found" || e.code == "user_not_visible") {
			odd[id] = chat.Unknown
			continue
		}
		switch {
		case err != nil:
			return odd, err
		case u.Deleted:
			odd[id] = chat.Left
		case u.IsBot:
			odd[id] = chat.Robot
		case u.IsStranger || a.foreign(u.TeamID):
			odd[id] = chat.Guest
		}
	}
	return odd, nil
}

// person returns the groups of a person.
func (g *groups) person(id string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.of[id])
}

// run keeps the memory fresh until ctx ends.
func (g *groups) run(ctx context.Context, a *Adapter) {
	for wait := groupsEvery; pace.Sleep(ctx, wait) == nil; {
		wait = groupsEvery
		if !g.refresh(ctx, a) {
			wait = groupsRetry
		}
	}
}

// refresh asks once. What was known stays if there is no answer.
func (g *groups) refresh(ctx context.Context, a *Adapter) bool {
	g.mu.Lock()
	wanted := g.wanted
	g.mu.Unlock()
	if len(wanted) == 0 {
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
		if slices.Contains(wanted, group.ID) {
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
