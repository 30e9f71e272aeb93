package slack

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/pvechat/pvechat/bot/chat"
)

// A refresh, and what an answer finds out late, replace what they were made for
// and nothing else: not a form that another process has put there since, into which
// somebody types.
func TestALateUpdateEatsNothingThatWasShownSince(t *testing.T) {
	d := office(t, setup{})
	refs, release := make(chan chat.Ref, 1), make(chan struct{})
	d.Answers(chat.Answer{Now: panel("opened"), Shown: func(r chat.Ref) { refs <- r }, Then: func(ctx context.Context) (chat.Surface, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return panel("found out late"), nil
	}})
	d.types(ana, ops, "help")
	at := <-refs
	fresh := chat.IfUntouched(chat.InBackground(d.ctx))
	if err := d.a.Update(fresh, at, panel("fresh")); err != nil {
		t.Fatalf("a refresh of what nobody has touched: %v", err)
	}

	another, err := New(d.a.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := another.Update(d.ctx, at, form("from the other process")); err != nil {
		t.Fatal(err)
	}
	if err := d.s.Type(ana, at.ID, map[string]string{"why": "it is old"}); err != nil {
		t.Fatal(err)
	}
	if err := d.a.Update(fresh, at, panel("fresher")); !errors.Is(err, chat.ErrGone) {
		t.Errorf("a refresh of what was replaced: %v", err)
	}
	close(release)
	d.await("both to be refused", func() bool { return d.conflicts() == 2 })
	v := d.says(ana, "from the other process")
	if !bytes.Contains(v.Raw, []byte("it is old")) {
		t.Errorf("what was typed is gone: %s", v.Raw)
	}

	// Who presses is answered, whatever stands there; and refreshes go on from that.
	if err := d.a.Update(d.ctx, at, panel("answered")); err != nil {
		t.Error(err)
	}
	if err := d.a.Update(fresh, at, panel("fresh again")); err != nil {
		t.Error(err)
	}
	d.says(ana, "fresh again")
}

// conflicts counts the updates that Slack has refused because of their hash.
func (d *desk) conflicts() int {
	n := 0
	for _, r := range d.s.Requests() {
		if r.Method == "views.update" && bytes.Contains(r.Response, []byte(`"hash_conflict"`)) {
			n++
		}
	}
	return n
}

// The window of a form's answer has a hash that Slack does not tell: what follows
// is shown all the same.
func TestWhatFollowsAFormIsShown(t *testing.T) {
	d := office(t, setup{})
	d.Answers(chat.Answer{Now: form("asked")})
	d.types(ana, ops, "help")
	v := d.window(ana, 1)
	at := chat.Ref{Platform: chat.Slack, Kind: chat.PanelRef, ID: v.ID, Channel: ops}
	if err := d.a.Update(d.ctx, at, form("asked again")); err != nil { // a hash that is old soon
		t.Fatal(err)
	}
	d.Answers(chat.Answer{Now: say("deleting…"), InPlace: true, Then: func(context.Context) (chat.Surface, error) { return say("deleted"), nil }})
	if _, err := d.s.Submit(d.ctx, ana, v.ID, map[string]string{"name": "wiki"}); err != nil {
		t.Fatal(err)
	}
	d.says(ana, "deleted")
	if n := d.conflicts(); n > 0 {
		t.Errorf("%d updates were refused", n)
	}
}
