package storage_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/live"
	"github.com/pvechat/pvechat/storage"
)

var board = live.Board{
	Platform: chat.Slack, Channel: "C1", Message: "1.1", Filter: "all", Digest: "d",
	ChangedAt: noon.UTC(), EditedAt: noon.UTC(), CreatedBy: "slack:U1",
}

func wantBoards(t *testing.T, db *storage.DB, want ...live.Board) {
	t.Helper()
	got, err := db.Boards(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("boards (-want +got):\n%s", diff)
	}
}

func TestAChannelHasOneBoard(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		before, existed, err := db.PutBoard(ctx, board)
		if err != nil || existed || before != (live.Board{}) {
			t.Errorf("the first: %+v, %v, %v", before, existed, err)
		}
		second := board
		second.Message, second.Filter, second.CreatedBy = "2.2", "error", "slack:U2"
		before, existed, err = db.PutBoard(ctx, second)
		if err != nil || !existed || before != board {
			t.Errorf("the second: %+v, %v, %v", before, existed, err)
		}
		elsewhere := board
		elsewhere.Platform = chat.Discord
		if _, existed, err := db.PutBoard(ctx, elsewhere); err != nil || existed {
			t.Errorf("on the other platform: %v, %v", existed, err)
		}
		wantBoards(t, db, elsewhere, second)

		wild := live.Board{Platform: hostile, Channel: hostile, Message: hostile, Filter: hostile, Digest: hostile, ChangedAt: noon, EditedAt: noon, CreatedBy: hostile}
		if _, _, err := db.PutBoard(ctx, wild); err != nil {
			t.Error(err)
		}
		if ok, err := db.TouchBoard(ctx, wild); err != nil || !ok {
			t.Errorf("touching hostile text: %v, %v", ok, err)
		}
		must(t, db.DropBoard(ctx, hostile, hostile, hostile))
		wantBoards(t, db, elsewhere, second)
	})
}

func TestOnlyTheChannelsBoardIsTouchedAndDropped(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		_, _, err := db.PutBoard(ctx, board)
		must(t, err)

		edited := board
		edited.Digest, edited.EditedAt, edited.ChangedAt = "e", noon.Add(time.Minute).UTC(), noon.Add(time.Second).UTC()
		edited.Filter, edited.CreatedBy = "stale", "stale" // who edits does not set these
		if ok, err := db.TouchBoard(ctx, edited); err != nil || !ok {
			t.Errorf("touched: %v, %v", ok, err)
		}
		edited.Filter, edited.CreatedBy = board.Filter, board.CreatedBy
		wantBoards(t, db, edited)

		old := edited
		old.Message, old.Digest = "0.0", "old"
		if ok, err := db.TouchBoard(ctx, old); err != nil || ok {
			t.Errorf("another message was touched: %v, %v", ok, err)
		}
		must(t, db.DropBoard(ctx, chat.Slack, "C1", "0.0"))
		wantBoards(t, db, edited)
		must(t, db.DropBoard(ctx, chat.Slack, "C1", "1.1"))
		wantBoards(t, db, []live.Board{}...)
		if ok, err := db.TouchBoard(ctx, edited); err != nil || ok {
			t.Errorf("a dropped board was touched: %v, %v", ok, err)
		}
	})
}

func TestOfManyNewBoardsEachGetsTheOneBefore(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		const n = 24
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			befores []string
			first   int
		)
		for i := range n {
			wg.Go(func() {
				b := board
				b.Message = fmt.Sprint(i)
				before, existed, err := db.PutBoard(t.Context(), b)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					t.Error(err)
				case existed:
					befores = append(befores, before.Message)
				default:
					first++
				}
			})
		}
		wg.Wait()
		left, err := db.Boards(t.Context())
		if err != nil || len(left) != 1 || first != 1 {
			t.Fatalf("%d boards left, %d were the first, %v", len(left), first, err)
		}
		// Every message is either the board or was handed to somebody to remove.
		befores = append(befores, left[0].Message)
		slices.Sort(befores)
		if befores = slices.Compact(befores); len(befores) != n {
			t.Errorf("%d of %d messages are accounted for", len(befores), n)
		}
	})
}

func TestABoardMovesToANewMessageOnce(t *testing.T) {
	forEachEngine(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		_, _, err := db.PutBoard(ctx, board)
		must(t, err)
		var wg sync.WaitGroup
		moved := make([]bool, 8)
		for i := range moved { // as many processes
			wg.Go(func() {
				b := board
				b.Message, b.Filter = fmt.Sprint("new ", i), "stale"
				ok, err := db.MoveBoard(ctx, board.Message, b)
				if err != nil {
					t.Error(err)
				}
				moved[i] = ok
			})
		}
		wg.Wait()
		first := slices.Index(moved, true)
		if first < 0 || slices.Contains(moved[first+1:], true) {
			t.Fatalf("moved: %v", moved)
		}
		want := board
		want.Message = fmt.Sprint("new ", first)
		wantBoards(t, db, want)
	})
}
