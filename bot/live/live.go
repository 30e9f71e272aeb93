// Package live keeps what was shown fresh: boards in channels, which survive a
// restart, and what one person has open, which does not.
package live

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// confirmEvery is how often a board that did not change is edited all the same,
// so that an old time on it means that the bot is away.
const confirmEvery = 5 * time.Minute

// mostPanels is how many open panels a platform keeps fresh; the oldest give
// way.
const mostPanels = 100

// View renders a board. changed and confirmed are for its footer.
type View func(filter string, space chat.Space, changed, confirmed time.Time) chat.Message

// Panel renders what one person has open; a nil Surface ends it.
type Panel func(ctx context.Context, now time.Time) chat.Surface

// Config is what New needs.
type Config struct {
	Platforms []chat.Platform
	Store     Store
	View      View
	Now       func() time.Time
	Log       *slog.Logger
}

// Live edits boards and panels. Its methods are safe for concurrent use.
type Live struct {
	cfg       Config
	platforms map[chat.PlatformName]*platform
}

// platform is the edit queue of one platform account.
type platform struct {
	chat.Platform
	wake chan struct{}

	mu      sync.Mutex
	tick    bool // a tick is due: confirm, and refresh panels
	pause   time.Time
	panels  map[string]*panel
	serials uint64
}

type panel struct {
	ref    chat.Ref
	render Panel
	serial uint64 // order of opening
}

// New makes a Live. It does no I/O.
func New(cfg Config) *Live {
	l := &Live{cfg: cfg, platforms: map[chat.PlatformName]*platform{}}
	for _, p := range cfg.Platforms {
		l.platforms[p.Name()] = &platform{Platform: p, wake: make(chan struct{}, 1), panels: map[string]*panel{}}
	}
	return l
}

// Run edits until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range l.platforms {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-p.wake:
					l.pass(ctx, p)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

// Tick says that a refresh has ended: what changed is edited, what is open is
// edited, and what has not been edited for long is confirmed.
func (l *Live) Tick() {
	for _, p := range l.platforms {
		p.mu.Lock()
		p.tick = true
		p.mu.Unlock()
		p.poke()
	}
}

// Touch says that something changed outside of a refresh.
func (l *Live) Touch() {
	for _, p := range l.platforms {
		p.poke()
	}
}

func (p *platform) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // a pass is due already, and it takes the newest state
	}
}

// Open keeps what is shown at a Ref fresh until it is closed, ends, or shows
// something else.
func (l *Live) Open(ref chat.Ref, render Panel) {
	p, ok := l.platforms[ref.Platform]
	if !ok || ref.Zero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serials++
	p.panels[ref.ID] = &panel{ref: ref, render: render, serial: p.serials}
	if len(p.panels) > mostPanels {
		oldest := ref.ID
		for id, q := range p.panels {
			if q.serial < p.panels[oldest].serial {
				oldest = id
			}
		}
		delete(p.panels, oldest)
	}
}

// Close stops keeping a surface fresh.
func (l *Live) Close(ref chat.Ref) {
	if p, ok := l.platforms[ref.Platform]; ok {
		p.mu.Lock()
		delete(p.panels, ref.ID)
		p.mu.Unlock()
	}
}

// Look identifies what a board looks like now. Take it before the board is
// rendered: should something change in between, the board is edited once more.
func (l *Live) Look(name chat.PlatformName, filter string) string {
	p, ok := l.platforms[name]
	if !ok {
		return ""
	}
	return l.look(p, filter)
}

// Post puts a board that was just shown under care, in place of the one that
// its channel had; that one is deleted. look is from Look.
func (l *Live) Post(ctx context.Context, ref chat.Ref, filter, look, by string) error {
	p, ok := l.platforms[ref.Platform]
	if !ok || !ref.Storable() {
		return nil
	}
	now := l.cfg.Now()
	b := Board{Platform: ref.Platform, Channel: ref.Channel, Message: ref.ID, Filter: filter, Digest: look, ChangedAt: now, EditedAt: now, CreatedBy: by}
	before, existed, err := l.cfg.Store.PutBoard(ctx, b)
	p.poke()
	if err != nil || !existed || before.Message == b.Message {
		return err
	}
	old := chat.Ref{Platform: before.Platform, Kind: chat.MessageRef, Channel: before.Channel, ID: before.Message}
	if err := p.Delete(ctx, old); err != nil && !errors.Is(err, chat.ErrGone) {
		l.cfg.Log.WarnContext(ctx, "the board that was replaced could not be deleted", "board", old, "err", err)
	}
	return nil
}

// Remove takes the board of a channel away, with its message, and reports
// whether there was one.
func (l *Live) Remove(ctx context.Context, name chat.PlatformName, channel string) (bool, error) {
	p, ok := l.platforms[name]
	if !ok {
		return false, nil
	}
	boards, err := l.cfg.Store.Boards(ctx)
	if err != nil {
		return false, err
	}
	for _, b := range boards {
		if b.Platform != name || b.Channel != channel {
			continue
		}
		if err := l.cfg.Store.DropBoard(ctx, name, channel, b.Message); err != nil {
			return false, err
		}
		ref := chat.Ref{Platform: name, Kind: chat.MessageRef, Channel: channel, ID: b.Message}
		if err := p.Delete(ctx, ref); err != nil && !errors.Is(err, chat.ErrGone) {
			l.cfg.Log.WarnContext(ctx, "the board that was taken away could not be deleted", "board", ref, "err", err)
		}
		return true, nil
	}
	return false, nil
}

// pass edits whatever is due on one platform.
func (l *Live) pass(ctx context.Context, p *platform) {
	p.mu.Lock()
	tick, paused := p.tick, l.cfg.Now().Before(p.pause)
	if !paused {
		p.tick = false
	}
	var open []*panel
	if tick {
		for _, q := range p.panels {
			open = append(open, q)
		}
	}
	p.mu.Unlock()
	if paused {
		return // the next tick takes the newest state
	}
	boards, err := l.cfg.Store.Boards(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.cfg.Log.ErrorContext(ctx, "read the boards", "err", err)
		}
		return
	}
	seen := map[string]string{} // digests by filter: each distinct view is rendered once
	for _, b := range boards {
		if b.Platform == p.Name() && ctx.Err() == nil {
			l.board(ctx, p, b, seen)
		}
	}
	slices.SortFunc(open, func(a, b *panel) int { return int(a.serial) - int(b.serial) })
	for _, q := range open {
		if ctx.Err() == nil {
			l.panel(ctx, p, q)
		}
	}
}

func (l *Live) board(ctx context.Context, p *platform, b Board, seen map[string]string) {
	now := l.cfg.Now()
	look, ok := seen[b.Filter]
	if !ok {
		look = l.look(p, b.Filter)
		seen[b.Filter] = look
	}
	var confirmed time.Time
	switch {
	case look != b.Digest:
		b.Digest, b.ChangedAt = look, now
	case now.Sub(b.EditedAt) >= confirmEvery:
		confirmed = now
	default:
		return
	}
	b.EditedAt = now
	ref := chat.Ref{Platform: b.Platform, Kind: chat.MessageRef, Channel: b.Channel, ID: b.Message}
	m := l.cfg.View(b.Filter, p.Space(), b.ChangedAt, confirmed)
	err := p.Update(ctx, ref, m)
	if errors.Is(err, chat.ErrGone) {
		err = l.repost(ctx, p, b, m)
	} else if err == nil {
		_, err = l.cfg.Store.TouchBoard(ctx, b)
	}
	l.judge(ctx, p, ref, err)
}

// repost posts a board anew when its message cannot be edited any more though
// the channel is still there; a message that a person deleted stays deleted.
func (l *Live) repost(ctx context.Context, p *platform, b Board, m chat.Message) error {
	ref := chat.Ref{Platform: b.Platform, Kind: chat.MessageRef, Channel: b.Channel, ID: b.Message}
	if err := p.Delete(ctx, ref); err != nil {
		l.cfg.Log.InfoContext(ctx, "a board is gone; it is not kept any more", "board", ref)
		return l.cfg.Store.DropBoard(ctx, b.Platform, b.Channel, b.Message)
	}
	fresh, err := p.Post(ctx, chat.Target{Channel: b.Channel}, m)
	if err != nil {
		return err
	}
	b.Message = fresh.ID
	_, _, err = l.cfg.Store.PutBoard(ctx, b)
	return err
}

func (l *Live) panel(ctx context.Context, p *platform, q *panel) {
	now := l.cfg.Now()
	end := !q.ref.Until.IsZero() && !now.Before(q.ref.Until)
	var s chat.Surface
	if !end {
		s = q.render(ctx, now)
	}
	if s == nil {
		l.drop(p, q)
		return
	}
	p.mu.Lock()
	current := p.panels[q.ref.ID] == q
	p.mu.Unlock()
	if !current {
		return // it shows something else by now
	}
	err := p.Update(ctx, q.ref, s)
	if errors.Is(err, chat.ErrGone) || errors.Is(err, chat.ErrForbidden) {
		l.drop(p, q)
		return
	}
	l.judge(ctx, p, q.ref, err)
}

func (l *Live) drop(p *platform, q *panel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panels[q.ref.ID] == q {
		delete(p.panels, q.ref.ID)
	}
}

// judge takes a pause where the platform wants one, and logs the rest.
func (l *Live) judge(ctx context.Context, p *platform, ref chat.Ref, err error) {
	var limited *chat.RateLimitedError
	switch {
	case err == nil, ctx.Err() != nil:
	case errors.As(err, &limited):
		p.mu.Lock()
		p.pause = l.cfg.Now().Add(limited.RetryAfter)
		p.tick = true
		p.mu.Unlock()
	case errors.Is(err, chat.ErrForbidden):
		l.cfg.Log.WarnContext(ctx, "a board may not be edited; it is not kept any more", "board", ref)
		if err := l.cfg.Store.DropBoard(ctx, ref.Platform, ref.Channel, ref.ID); err != nil {
			l.cfg.Log.ErrorContext(ctx, "forget a board", "err", err)
		}
	default:
		l.cfg.Log.WarnContext(ctx, "an edit did not work", "surface", ref, "err", err)
	}
}

// digest tells whether two messages look the same.
func digest(m chat.Message) string {
	h := fnv.New128a()
	enc := json.NewEncoder(h)
	for _, b := range m.Blocks {
		_ = enc.Encode([2]any{fmt.Sprintf("%T", b), b}) // cannot fail: blocks are plain data
	}
	_ = enc.Encode(m.Tone)
	return hex.EncodeToString(h.Sum(nil))
}

// look is the digest of a board without the times of its footer.
func (l *Live) look(p *platform, filter string) string {
	return digest(l.cfg.View(filter, p.Space(), time.Time{}, time.Time{}))
}
