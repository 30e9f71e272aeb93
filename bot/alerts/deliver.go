package alerts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// digest tells whether an alert would look different.
func (i Incident) digest() string {
	text, err := json.Marshal(i.Alert)
	if err != nil {
		panic(err) // it is plain data
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// deliver posts what was not told, edits what changed, and resolves what is
// over. A channel that takes nothing now is tried again later.
func (a *Alerts) deliver(ctx context.Context) {
	mutes := a.mutes(ctx)
	for _, i := range a.open(ctx) {
		if !a.claimed && !a.mine[i.ID] {
			continue
		}
		muted, is := mutes[i.Key]
		if words := muted.words(); words != i.Alert.Muted {
			i.Alert.Muted = words
			a.save(ctx, &i)
		}
		if !is && a.toPost(i) && a.tells(ctx, &i) {
			a.post(ctx, &i)
		}
		if i.Shown != i.digest() && a.edit(ctx, i) {
			i.Shown = i.digest()
			a.save(ctx, &i)
		}
		if i.Shown == i.digest() && len(i.Posts) >= len(a.channels(i)) {
			delete(a.mine, i.ID)
		}
	}
	ended, err := a.cfg.Store.UntoldEnds(ctx)
	if err != nil {
		a.failed(ctx, "read what is over", err)
	}
	for _, i := range ended {
		if (a.claimed || a.mine[i.ID]) && a.tells(ctx, &i) && !i.ClosedAt.IsZero() && i.ToldAt.IsZero() {
			a.resolve(ctx, i, mutes)
		}
	}
}

// tells reports whether this process is the one to tell of i, and brings i up to
// date: another may have told since it was read.
func (a *Alerts) tells(ctx context.Context, i *Incident) bool {
	if a.cfg.Replicas == nil {
		return true
	}
	ours, err := a.cfg.Replicas.Tells(ctx, i.ID)
	if err == nil && ours {
		*i, ours, err = a.cfg.Store.Incident(ctx, i.ID)
	}
	if err != nil {
		a.failed(ctx, "agree who tells of an incident", err)
	}
	return err == nil && ours
}

// toPost reports whether there is a channel that was not told.
func (a *Alerts) toPost(i Incident) bool {
	channels := a.channels(i)
	return slices.ContainsFunc(a.cfg.Platforms, func(p chat.Platform) bool {
		return channels[p.Name()] != "" && !i.told(p.Name()) && !a.resting(p, channels[p.Name()])
	})
}

// told reports whether an incident was told on a platform, or may have been: a
// process that ended while it told it cannot say, and nothing that the bot may
// ask of a platform says it either. It is told there once at most.
func (i Incident) told(on chat.PlatformName) bool {
	return slices.Contains(i.Telling, on) || slices.ContainsFunc(i.Posts, func(post Post) bool { return post.Platform == on })
}

// channels are where an incident is told.
func (a *Alerts) channels(i Incident) map[chat.PlatformName]string {
	for _, r := range a.cfg.Routes {
		if r.Severity != "" && r.Severity != i.Kind.Severity() {
			continue
		}
		if len(r.Tags) == 0 || slices.ContainsFunc(r.Tags, func(tag string) bool { return slices.Contains(i.Tags, tag) }) {
			return r.Channels
		}
	}
	return a.cfg.Channels
}

// post tells an incident wherever it has not been told yet.
func (a *Alerts) post(ctx context.Context, i *Incident) {
	channels := a.channels(*i)
	for _, p := range a.cfg.Platforms {
		channel := channels[p.Name()]
		if channel == "" || i.told(p.Name()) || a.resting(p, channel) {
			continue
		}
		unknown := i.Telling // of a process that ended
		i.Telling = append(slices.Clip(unknown), p.Name())
		if !a.save(ctx, i) {
			return
		}
		ref, err := a.send(ctx, p, channel, i.Alert.Message())
		a.judge(ctx, p, channel, err)
		i.Telling = unknown
		if err != nil {
			a.save(context.WithoutCancel(ctx), i)
			continue
		}
		i.Posts = append(i.Posts, Post{Platform: p.Name(), Channel: ref.Channel, Message: ref.ID})
		i.Shown = i.digest()
		a.save(context.WithoutCancel(ctx), i)
	}
}

// finish is how long a message that was begun may take when the process ends.
const finish = 5 * time.Second

// send posts a message, also while the process ends: whether one that is cut off
// arrived, nobody could say.
func (a *Alerts) send(ctx context.Context, p chat.Platform, channel string, m chat.Message) (chat.Ref, error) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(finish, cancel) })()
	return p.Post(sending, chat.Target{Channel: channel}, m)
}

// edit brings the messages of an incident up to date. One that somebody deleted
// stays deleted.
func (a *Alerts) edit(ctx context.Context, i Incident) bool {
	done := true
	a.each(i, func(p chat.Platform, post Post, at chat.Ref) {
		if a.resting(p, post.Channel) {
			done = false
			return
		}
		err := p.Update(ctx, at, i.Alert.Message())
		if errors.Is(err, chat.ErrGone) {
			err = nil
		}
		a.judge(ctx, p, post.Channel, err)
		done = done && err == nil
	})
	return done
}

// resolve says in the messages of an incident that it is over, and in one line
// below each. One that was never told is not told now.
func (a *Alerts) resolve(ctx context.Context, i Incident, mutes map[string]Mute) {
	mute, muted := mutes[i.Key]
	done := true
	var left []Post
	a.each(i, func(p chat.Platform, post Post, at chat.Ref) {
		if a.resting(p, post.Channel) {
			done = false
			left = append(left, post)
			return
		}
		err := p.Update(ctx, at, i.Alert.Message())
		if (err == nil || errors.Is(err, chat.ErrGone)) && !muted {
			_, err = p.Post(ctx, chat.Target{Channel: post.Channel, Thread: at}, i.Alert.Line())
		}
		a.judge(ctx, p, post.Channel, err)
		if err != nil && !errors.Is(err, chat.ErrForbidden) {
			done = false
			left = append(left, post)
		}
	})
	if !done {
		if len(left) < len(i.Posts) {
			i.Posts = left // the others have heard it
			a.save(ctx, &i)
		}
		return
	}
	if mute.Back {
		if err := a.cfg.Store.DropMute(ctx, i.Key); err != nil {
			a.failed(ctx, "end a mute", err)
		}
	}
	if err := a.cfg.Store.EndTold(ctx, i.ID, a.cfg.Now()); err != nil {
		a.failed(ctx, "note what was told", err)
		return
	}
	delete(a.mine, i.ID)
}

// each calls f with the messages of an incident that can be reached.
func (a *Alerts) each(i Incident, f func(chat.Platform, Post, chat.Ref)) {
	for _, post := range i.Posts {
		for _, p := range a.cfg.Platforms {
			if p.Name() == post.Platform {
				f(p, post, chat.Ref{Platform: post.Platform, Kind: chat.MessageRef, Channel: post.Channel, ID: post.Message})
			}
		}
	}
}

func place(p chat.Platform, channel string) string { return string(p.Name()) + "/" + channel }

// resting reports whether a channel is to be left alone for now.
func (a *Alerts) resting(p chat.Platform, channel string) bool {
	return a.cfg.Now().Before(a.again[place(p, channel)])
}

// judge notes how a channel took something.
func (a *Alerts) judge(ctx context.Context, p chat.Platform, channel string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, now := place(p, channel), a.cfg.Now()
	if err == nil {
		if t, was := a.troubles[at]; was {
			a.cfg.Log.InfoContext(ctx, "an ops channel takes alerts again", "platform", p.Name(), "channel", channel, "since", t.Since)
		}
		delete(a.troubles, at)
		delete(a.again, at)
		return
	}
	if ctx.Err() != nil {
		return
	}
	wait := retry
	if limited, ok := errors.AsType[*chat.RateLimitedError](err); ok {
		a.again[at] = now.Add(max(limited.RetryAfter, time.Second))
		return // it will take it
	}
	a.again[at] = now.Add(wait)
	if t, known := a.troubles[at]; known && t.Why == err.Error() {
		return
	}
	since := now
	if t, known := a.troubles[at]; known {
		since = t.Since
	}
	a.troubles[at] = Trouble{Platform: p.Name(), Channel: channel, Why: err.Error(), Since: since}
	a.cfg.Log.ErrorContext(ctx, "an ops channel takes no alerts", "platform", p.Name(), "channel", channel, "again_in", wait, "err", err)
}
