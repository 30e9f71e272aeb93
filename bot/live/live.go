// Package live keeps what was shown fresh: boards in channels, which survive a
// restart, and what one person has open, which does not.
package live

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// confirmEvery is how often a board that did not change is edited all the same,
// so that an old time on it means that the bot is away.
const confirmEvery = 5 * time.Minute

// editWithin is how long one edit may hold up the others.
const editWithin = 15 * time.Second

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

	// Replicas is for processes that share the platforms; nil: there are none.
	Replicas Replicas

	// Skipped, if set, is told of an edit that was not needed.
	Skipped func(chat.PlatformName)
}

// Replicas tells which process shows what is at a private surface: a press on it
// may reach another one than the press before.
type Replicas interface {
	// Claim makes surfaces this process's.
	Claim(ctx context.Context, surfaces ...string) error
	// Claimed reports whether another process has claimed a surface since.
	Claimed(ctx context.Context, surface string) (bool, error)
}

// Live edits boards and panels. Its methods are safe for concurrent use.
type Live struct {
	cfg       Config
	platforms map[chat.PlatformName]*platform
	serial    atomic.Uint64 // of acts and edits
}

// platform is the edit queue of one platform account.
type platform struct {
	chat.Platform
	wake chan struct{}

	mu     sync.Mutex
	due    due
	panels map[string]*panel

	discards []chat.Ref // boards that should be gone
	claims   []string   // surfaces that others are to leave alone
}

// due is what the next pass looks at.
type due struct{ boards, panels bool }

type panel struct {
	ref    chat.Ref
	render Panel  // nil: it was closed, and what was opened before that comes too late
	serial uint64 // order of opening
	turn   uint64 // order of the last edits: that of opening, until there was one
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
func (l *Live) Tick() { l.want(due{boards: true, panels: true}) }

// TickPanels is Tick without the boards, which another process edits.
func (l *Live) TickPanels() { l.want(due{panels: true}) }

// Touch says that something changed outside of a refresh.
func (l *Live) Touch() { l.want(due{boards: true}) }

func (l *Live) want(d due) {
	for _, p := range l.platforms {
		p.mu.Lock()
		p.due.boards = p.due.boards || d.boards
		p.due.panels = p.due.panels || d.panels
		p.mu.Unlock()
		p.poke()
	}
}

func (p *platform) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // a pass is due already, and it takes the newest state
	}
}

// Opening is the turn of an act in which something is opened. Take it when the act
// is handled: what is shown tells its Ref later, and the person may have gone on
// by then.
type Opening struct {
	live *Live
	turn uint64
}

// Opening takes the next turn.
func (l *Live) Opening() Opening { return Opening{l, l.serial.Add(1)} }

// Show keeps what is shown at a Ref fresh until it is closed, ends, or shows
// something else. It does nothing where a later turn has changed that already.
func (o Opening) Show(ref chat.Ref, render Panel) { o.live.put(&panel{ref, render, o.turn, o.turn}) }

// Close stops keeping a surface fresh.
func (l *Live) Close(ref chat.Ref) { l.put(&panel{ref: ref, serial: l.serial.Add(1)}) }

func (l *Live) put(q *panel) {
	p, ok := l.platforms[q.ref.Platform]
	if !ok || q.ref.Zero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.panels[q.ref.ID]; before != nil && before.serial > q.serial {
		return
	}
	p.panels[q.ref.ID] = q
	if len(p.panels) > mostPanels {
		delete(p.panels, slices.MinFunc(slices.Collect(maps.Values(p.panels)), func(a, b *panel) int {
			if closed := a.render == nil; closed != (b.render == nil) {
				return map[bool]int{true: -1, false: 1}[closed]
			}
			return cmp.Compare(a.serial, b.serial)
		}).ref.ID)
	}
	l.claim(p, q.ref)
}

// claim tells the other processes that this one shows something at ref now, or
// nothing more. It is written in the next pass: nobody waits for it.
func (l *Live) claim(p *platform, ref chat.Ref) {
	if l.cfg.Replicas != nil {
		p.claims = append(p.claims, surface(ref))
		p.poke()
	}
}

func surface(ref chat.Ref) string { return string(ref.Platform) + "/" + ref.ID }

// claimed reports whether another process shows something at ref by now. Without
// an answer it does not.
func (l *Live) claimed(ctx context.Context, ref chat.Ref) bool {
	if l.cfg.Replicas == nil {
		return false
	}
	is, err := l.cfg.Replicas.Claimed(ctx, surface(ref))
	if err != nil && ctx.Err() == nil {
		l.cfg.Log.WarnContext(ctx, "ask who shows a panel", "panel", ref, "err", err)
	}
	return is
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
	l.discard(ctx, p, before.ref())
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
		l.discard(ctx, p, b.ref())
		return true, nil
	}
	return false, nil
}

// pass edits whatever is due on one platform. Where that is more than the
// platform takes, what changed its state goes first, then what has waited
// longest; the rest has its turn in the next pass, with the state that is the
// newest then.
func (l *Live) pass(ctx context.Context, p *platform) {
	p.mu.Lock()
	claims := p.claims
	p.claims = nil
	p.mu.Unlock()
	if len(claims) > 0 {
		slices.Sort(claims)
		if err := l.cfg.Replicas.Claim(ctx, slices.Compact(claims)...); err != nil && ctx.Err() == nil {
			l.cfg.Log.WarnContext(ctx, "claim panels", "err", err)
		}
	}
	if !p.Health().OK {
		return // nobody could press anything there either; a later tick takes the newest state
	}
	p.mu.Lock()
	d := p.due
	p.due = due{}
	var open []*panel
	if d.panels {
		maps.DeleteFunc(p.panels, func(_ string, q *panel) bool { return q.render == nil })
		open = slices.Collect(maps.Values(p.panels))
		slices.SortFunc(open, func(a, b *panel) int { return cmp.Compare(a.turn, b.turn) })
	}
	discards := p.discards
	p.discards = nil
	p.mu.Unlock()
	for _, at := range discards {
		l.discard(ctx, p, at)
	}
	if d.boards {
		l.edit(ctx, p)
	}
	for _, q := range open {
		if ctx.Err() == nil {
			l.panel(ctx, p, q)
		}
	}
}

// edit edits the boards that are due.
func (l *Live) edit(ctx context.Context, p *platform) {
	boards, err := l.cfg.Store.Boards(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.cfg.Log.ErrorContext(ctx, "read the boards", "err", err)
		}
		return
	}
	drawn := map[drawing]drawnAt{}
	for _, e := range l.turns(p, boards) {
		if ctx.Err() != nil {
			return
		}
		as := drawing{e.Filter, e.ChangedAt, e.confirm}
		d, ok := drawn[as]
		if now := l.cfg.Now(); !ok || now.Sub(d.at) > drawnFor {
			d = drawnAt{l.cfg.View(e.Filter, p.Space(), e.ChangedAt, e.confirm), now}
			drawn[as] = d
		}
		l.board(ctx, p, e, d.Message)
	}
}

// drawing is what a board's message depends on; boards that share it are drawn
// once.
type drawing struct {
	filter             string
	changed, confirmed time.Time
}

// drawnFor is how long a drawing stands for the newest state: edits may have to
// wait for the platform's pace.
const drawnFor = time.Second

type drawnAt struct {
	chat.Message
	at time.Time
}

// edit is a board that is due.
type edit struct {
	Board             // as it is going to be stored
	was     Board     // as it is
	news    bool      // it changed the state of something, not only figures
	confirm time.Time // when nothing changed, and it is confirmed; else zero
}

// turns are the boards to edit, in the order of their turns. Each distinct view is
// rendered once.
func (l *Live) turns(p *platform, boards []Board) []edit {
	var list []edit
	seen := map[string]string{} // looks by filter
	now := l.cfg.Now()
	for _, b := range boards {
		if b.Platform != p.Name() {
			continue
		}
		look, ok := seen[b.Filter]
		if !ok {
			look = l.look(p, b.Filter)
			seen[b.Filter] = look
		}
		e := edit{Board: b, was: b}
		e.EditedAt = now
		switch {
		case look != b.Digest:
			e.Digest, e.ChangedAt, e.news = look, now, state(look) != state(b.Digest)
		case now.Sub(b.EditedAt) >= confirmEvery:
			e.confirm = now
		default:
			if l.cfg.Skipped != nil {
				l.cfg.Skipped(p.Name())
			}
			continue
		}
		list = append(list, e)
	}
	slices.SortStableFunc(list, func(a, b edit) int {
		if a.news != b.news {
			if a.news {
				return -1
			}
			return 1
		}
		return a.was.EditedAt.Compare(b.was.EditedAt)
	})
	return list
}

func (l *Live) board(ctx context.Context, p *platform, e edit, m chat.Message) {
	ref := e.ref()
	updating, cancel := context.WithTimeout(ctx, editWithin)
	defer cancel()
	if !e.news {
		updating = chat.InBackground(updating)
	}
	err := p.Update(updating, ref, m)
	var limited *chat.RateLimitedError
	switch {
	case err == nil:
		_, err = l.cfg.Store.TouchBoard(ctx, e.Board)
	case errors.Is(err, chat.ErrFrozen):
		err = l.renew(ctx, p, e, m)
	case errors.Is(err, chat.ErrGone), errors.Is(err, chat.ErrForbidden):
		l.cfg.Log.InfoContext(ctx, "a board is gone, or out of reach; it is not kept any more", "board", ref, "err", err)
		err = l.cfg.Store.DropBoard(ctx, e.Platform, e.Channel, e.Message)
	}
	if err != nil && ctx.Err() == nil && !errors.As(err, &limited) {
		l.cfg.Log.WarnContext(ctx, "a board was not edited", "board", ref, "err", err)
	}
}

// renew puts a board whose message can be edited no more into the channel anew.
// The old one is deleted last: whatever fails before, there is a board, and the
// next pass tries again.
func (l *Live) renew(ctx context.Context, p *platform, e edit, m chat.Message) error {
	fresh, err := p.Post(ctx, chat.Target{Channel: e.Channel}, m)
	if err != nil {
		return err
	}
	discard := fresh
	e.Message = fresh.ID
	moved, err := l.cfg.Store.MoveBoard(ctx, e.was.Message, e.Board)
	if moved {
		discard = e.was.ref()
	}
	// Without moved another process was first, or the database is away.
	l.discard(ctx, p, discard)
	return err
}

// discard deletes a board that is not kept any more. What cannot be deleted now
// is tried again at the next pass.
func (l *Live) discard(ctx context.Context, p *platform, at chat.Ref) {
	err := p.Delete(ctx, at)
	if err == nil || errors.Is(err, chat.ErrGone) {
		return
	}
	l.cfg.Log.WarnContext(ctx, "a board could not be deleted", "board", at, "err", err)
	if !errors.Is(err, chat.ErrForbidden) {
		p.mu.Lock()
		p.discards = append(p.discards, at)
		p.mu.Unlock()
	}
}

func (l *Live) panel(ctx context.Context, p *platform, q *panel) {
	now := l.cfg.Now()
	end := !q.ref.Until.IsZero() && !now.Before(q.ref.Until)
	var s chat.Surface
	if !end {
		s = q.render(ctx, now)
	}
	if s == nil || l.claimed(ctx, q.ref) {
		l.drop(p, q)
		return
	}
	p.mu.Lock()
	current := p.panels[q.ref.ID] == q
	p.mu.Unlock()
	if !current {
		return // it shows something else by now
	}
	updating, cancel := context.WithTimeout(chat.IfUntouched(chat.InBackground(ctx)), editWithin)
	defer cancel()
	err := p.Update(updating, q.ref, s)
	var limited *chat.RateLimitedError
	switch {
	case errors.As(err, &limited):
		return // the next tick takes the newest state, and this one first
	case errors.Is(err, chat.ErrGone), errors.Is(err, chat.ErrForbidden):
		l.drop(p, q)
	case err != nil && ctx.Err() == nil:
		l.cfg.Log.WarnContext(ctx, "a panel was not edited", "panel", q.ref, "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	q.turn = l.serial.Add(1)
}

func (l *Live) drop(p *platform, q *panel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.panels[q.ref.ID] == q {
		delete(p.panels, q.ref.ID)
	}
}

// digest tells whether two messages look the same, and its state whether they
// show the same things in the same states.
func digest(m chat.Message) string {
	all, states := fnv.New128a(), fnv.New64a()
	whole, part := json.NewEncoder(all), json.NewEncoder(states)
	for _, b := range m.Blocks { // encoding cannot fail: blocks are plain data
		_ = whole.Encode([2]any{fmt.Sprintf("%T", b), b})
		if r, ok := b.(chat.Row); ok {
			_ = part.Encode([3]string{r.Name, r.Mark, r.Word})
		}
	}
	_ = whole.Encode(m.Tone)
	_ = part.Encode(m.Tone)
	return hex.EncodeToString(states.Sum(nil)) + "." + hex.EncodeToString(all.Sum(nil))
}

// state is the part of a digest that figures do not change.
func state(digest string) string {
	part, _, _ := strings.Cut(digest, ".")
	return part
}

// look is the digest of a board without the times of its footer.
func (l *Live) look(p *platform, filter string) string {
	return digest(l.cfg.View(filter, p.Space(), time.Time{}, time.Time{}))
}
