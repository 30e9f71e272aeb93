package main

import (
	"fmt"

	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// VersionCmd prints the version.
type VersionCmd struct{}

// Run implements the command.
func (VersionCmd) Run(app *App) error {
	_, err := fmt.Fprintln(app.stdout, "pvechat", daemon.Version())
	return err
}
