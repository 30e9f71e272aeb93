package discord

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

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

// Rights asks whether the token is accepted, and whether the bot can write to a
// channel.
func (a *Adapter) Rights(ctx context.Context, channel string) (chat.Rights, error) {
	var r chat.Rights
	var self user
	if err := a.call(ctx, request{http.MethodGet, "users/@me", "/users/@me", "users/@me"}, nil, &self); err != nil {
		if status(err) == http.StatusUnauthorized {
			r.Refused = "bot_token"
		}
		return r, err
	}
	if channel == "" {
		return r, nil
	}
	lacks, err := a.lacks(ctx, self.ID, channel)
	switch {
	case code(err) == codeUnknownChannel:
		r.Channel, r.Allow = "there is no such channel (10003)", "Copy the channel's id anew"
	case code(err) == codeMissingAccess:
		r.Channel, r.Allow = "pvechat does not see it (50001)", "Allow pvechat View Channel in that channel's permissions"
	case err != nil:
		return r, err
	case len(lacks) > 0:
		list := strings.Join(lacks, ", ")
		r.Channel, r.Allow = "pvechat lacks "+list+" there (50013)", "Allow pvechat "+list+" in that channel's permissions"
	}
	return r, nil
}

// overwrite is what a channel changes about the permissions of a role or member.
type overwrite struct {
	ID    string `json:"id"`
	Allow bits   `json:"allow"`
	Deny  bits   `json:"deny"`
}

// bits are permissions. On the wire they are a number in a string.
type bits uint64

func (b *bits) UnmarshalJSON(raw []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(raw), `"`), 10, 64)
	*b = bits(n)
	return err
}

// lacks names the permissions that writing to a channel takes and the bot does
// not have. Discord computes them in this order: those of everybody and of the
// bot's roles, then what the channel changes for everybody, for its roles and
// for itself. A thread's are its channel's. See
// https://docs.discord.com/developers/topics/permissions#permission-overwrites.
func (a *Adapter) lacks(ctx context.Context, bot, id string) ([]string, error) {
	get := func(path, route, bucket string, out any) error {
		return a.call(ctx, request{http.MethodGet, path, route, bucket}, nil, out)
	}
	var channel struct {
		Type       int         `json:"type"`
		Guild      string      `json:"guild_id"`
		Parent     string      `json:"parent_id"`
		Overwrites []overwrite `json:"permission_overwrites"`
	}
	if err := get("channels/"+id, "/channels/{channel}", "channels/"+id, &channel); err != nil {
		return nil, err
	}
	if channel.Guild == "" {
		return nil, nil // a direct message
	}
	send, thread := bits(1<<11), 10 <= channel.Type && channel.Type <= 12
	if thread {
		send = 1 << 38
		if err := get("channels/"+channel.Parent, "/channels/{channel}", "channels/"+channel.Parent, &channel); err != nil {
			return nil, err
		}
	}
	var guild struct {
		Owner string `json:"owner_id"`
		Roles []struct {
			ID          string `json:"id"`
			Permissions bits   `json:"permissions"`
		} `json:"roles"`
	}
	if err := get("guilds/"+channel.Guild, "/guilds/{guild}", "guilds/"+channel.Guild, &guild); err != nil {
		return nil, err
	}
	var me member
	if err := get("guilds/"+channel.Guild+"/members/"+bot, "/guilds/{guild}/members/{user}", "guilds/"+channel.Guild+"/members", &me); err != nil {
		return nil, err
	}

	const administrator = 1 << 3
	var has bits
	for _, r := range guild.Roles {
		if r.ID == channel.Guild || slices.Contains(me.Roles, r.ID) {
			has |= r.Permissions
		}
	}
	if has&administrator != 0 || guild.Owner == bot {
		return nil, nil
	}
	change := func(of func(id string) bool) {
		var allow, deny bits
		for _, o := range channel.Overwrites {
			if of(o.ID) {
				allow, deny = allow|o.Allow, deny|o.Deny
			}
		}
		has = has&^deny | allow
	}
	change(func(id string) bool { return id == channel.Guild })
	change(func(id string) bool { return slices.Contains(me.Roles, id) })
	change(func(id string) bool { return id == bot })

	var missing []string
	for _, p := range []struct {
		bit  bits
		name string
	}{
		{1 << 10, "View Channel"}, {send, map[bool]string{false: "Send Messages", true: "Send Messages in Threads"}[thread]}, {1 << 16, "Read Message History"},
	} {
		if has&p.bit == 0 {
			missing = append(missing, p.name)
		}
	}
	return missing, nil
}
