package discord

import (
	"context"
	"net/http"
	"slices"

	"github.com/pvechat/pvechat/bot/chat"
)

// Standing looks up ids that access rules name, in the configured guilds. It
// returns those that stand for nobody who could act there, with the reason;
// without configured guilds there is nowhere to look.
func (a *Adapter) Standing(ctx context.Context, users, roles []string) (map[string]chat.Standing, error) {
	odd := map[string]chat.Standing{}
	if len(a.cfg.GuildIDs) == 0 {
		return odd, nil
	}
	if len(roles) > 0 {
		known, err := a.roles(ctx)
		if err != nil {
			return nil, err
		}
		for _, id := range roles {
			if !slices.Contains(known, id) {
				odd[id] = chat.Unknown
			}
		}
	}
	for _, id := range users {
		if !snowflake(id) {
			odd[id] = chat.Unknown
			continue
		}
		s, err := a.member(ctx, id)
		if err != nil {
			return odd, err
		}
		if s != "" {
			odd[id] = s
		}
	}
	return odd, nil
}

// roles are those of all guilds.
func (a *Adapter) roles(ctx context.Context) ([]string, error) {
	var ids []string
	for _, id := range a.cfg.GuildIDs {
		var guild struct {
			Roles []struct {
				ID string `json:"id"`
			} `json:"roles"`
		}
		if err := a.call(ctx, request{http.MethodGet, "guilds/" + id, "/guilds/{guild}", "guilds/" + id}, nil, &guild); err != nil {
			return nil, err
		}
		for _, r := range guild.Roles {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// member is what is odd about a person; "" for a member of one of the guilds.
func (a *Adapter) member(ctx context.Context, id string) (chat.Standing, error) {
	for _, guild := range a.cfg.GuildIDs {
		var m member
		err := a.call(ctx, request{http.MethodGet, "guilds/" + guild + "/members/" + id, "/guilds/{guild}/members/{user}", "guilds/" + guild + "/members"}, nil, &m)
		switch {
		case err == nil && m.User.Bot:
			return chat.Robot, nil
		case err == nil:
			return "", nil
		case code(err) != codeUnknownMember && code(err) != codeUnknownUser:
			return "", err
		}
	}
	err := a.call(ctx, request{http.MethodGet, "users/" + id, "/users/{user}", "users"}, nil, nil)
	switch {
	case err == nil:
		return chat.Left, nil
	case code(err) == codeUnknownUser:
		return chat.Unknown, nil
	}
	return "", err
}

// Rights asks whether the token is accepted, and whether the bot sees a
// channel. What it may do there Discord says only when it is tried.
func (a *Adapter) Rights(ctx context.Context, channel string) (chat.Rights, error) {
	var r chat.Rights
	if err := a.call(ctx, request{http.MethodGet, "users/@me", "/users/@me", "users/@me"}, nil, nil); err != nil {
		if status(err) == http.StatusUnauthorized {
			r.Refused = "bot_token"
		}
		return r, err
	}
	if channel == "" {
		return r, nil
	}
	err := a.call(ctx, request{http.MethodGet, "channels/" + channel, "/channels/{channel}", "channels/" + channel}, nil, nil)
	switch code(err) {
	case codeUnknownChannel:
		r.Channel = "there is no such channel (10003)"
	case codeMissingAccess:
		r.Channel = "pvechat does not see it (50001)"
	}
	return r, nil
}
