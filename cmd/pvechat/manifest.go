package main

import (
	"fmt"

	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/handlers"
)

// ManifestCmd prints what a platform has to be told of the bot.
type ManifestCmd struct {
	Platform string `arg:"" enum:"slack,discord" help:"slack or discord."`
	URL      string `name:"url" placeholder:"https://HOST" help:"For slack.mode http: where Slack reaches pvechat."`
}

// Run implements the command.
func (c ManifestCmd) Run(app *App) error {
	cmds := handlers.Commands()
	var out []byte
	var err error
	if c.Platform == "slack" {
		out, err = slack.Manifest(cmds, c.URL)
	} else {
		out, err = discord.Manifest(cmds)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.stdout, "%s\n", out)
	return err
}
