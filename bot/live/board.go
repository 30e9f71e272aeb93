package live

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
)

// Board is a message in a channel that is kept fresh.
type Board struct {
	Platform  chat.PlatformName
	Channel   string // one board per channel
	Message   string // the platform's id of the message
	Filter    string // what it was set to show; "all"
	Digest    string // of what it shows, without the age
	ChangedAt time.Time
	EditedAt  time.Time // when it was last edited or confirmed
	CreatedBy string    // chat.Person.Key
}

// ref is where the board can be reached.
func (b Board) ref() chat.Ref {
	return chat.Ref{Platform: b.Platform, Kind: chat.MessageRef, Channel: b.Channel, ID: b.Message}
}

// Store keeps boards.
type Store interface {
	Boards(ctx context.Context) ([]Board, error)
	// PutBoard inserts the board of its channel or replaces it, and returns
	// the one that was there before.
	PutBoard(ctx context.Context, b Board) (before Board, existed bool, err error)
	// TouchBoard notes an edit; false when the channel's board is another
	// message by now.
	TouchBoard(ctx context.Context, b Board) (bool, error)
	// MoveBoard makes b the board of its channel in place of the one with that
	// message; false when it is another by now.
	MoveBoard(ctx context.Context, message string, b Board) (bool, error)
	// DropBoard forgets the board if it is still that message.
	DropBoard(ctx context.Context, platform chat.PlatformName, channel, message string) error
}
