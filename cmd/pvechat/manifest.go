package main

import (
	"fmt"

	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/handlers"
)

// ManifestCmd prints what a platform has to be told of the bot; for Proxmox,
// the commands that make its user, role and token.
type ManifestCmd struct {
	Platform string `arg:"" enum:"slack,discord,proxmox" help:"slack, discord or proxmox."`
	URL      string `name:"url" placeholder:"https://HOST" help:"For slack.mode http: where Slack reaches pvechat."`
}

// Run implements the command.
func (c ManifestCmd) Run(app *App) error {
	cmds := handlers.Commands()
	var out []byte
	var err error
	switch c.Platform {
	case "slack":
		out, err = slack.Manifest(cmds, c.URL)
	case "discord":
		out, err = discord.Manifest(cmds)
	default:
		out = []byte(grant("pvechat@pve!bot"))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(app.stdout, "%s\n", out)
	return err
}
