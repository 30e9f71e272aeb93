package main

import (
	"fmt"

	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/handlers"
)

// ManifestCmd prints what a platform has to be told of the bot.
type ManifestCmd struct {
	Platform string `arg:"" enum:"slack" help:"slack."`
}

// Run implements the command.
func (c ManifestCmd) Run(app *App) error {
	cmds := handlers.Commands()
	out, err := slack.Manifest(cmds, "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.stdout, "%s\n", out)
	return err
}
