package daemon

import (
	"errors"
	"log/slog"

	"github.com/pvechat/pvechat/bot/chat"
)

func newDiscord(DiscordConfig, *slog.Logger) (chat.Platform, error) {
	return nil, errors.New("discord: this version cannot connect to Discord yet; take the section out")
}
