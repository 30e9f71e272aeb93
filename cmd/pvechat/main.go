// Command pvechat manages Proxmox VE containers from Slack and Discord.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pvechat/pvechat/bot/yamlfile"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
)

// Exit codes.
const (
	exitFailed = 1 // it did not work
	exitUsage  = 2 // wrong words or a wrong configuration
)

// CLI is what can be typed.
type CLI struct {
	Config string `help:"Configuration file." default:"config.yaml" short:"c" placeholder:"FILE"`

	Init     InitCmd     `cmd:"" help:"Make a configuration: ask, check, write."`
	Run      RunCmd      `cmd:"" help:"Serve until stopped."`
	Migrate  MigrateCmd  `cmd:"" help:"Bring the database's tables up to date, or look at them."`
	Doctor   DoctorCmd   `cmd:"" help:"Look at everything that pvechat stands on, and say what to do."`
	Backup   BackupCmd   `cmd:"" help:"Write the database to a file, beside a running bot."`
	Restore  RestoreCmd  `cmd:"" help:"Fill an empty database, SQLite or PostgreSQL, from such a file."`
	Audit    AuditCmd    `cmd:"" help:"Export or verify who did what."`
	Keys     KeysCmd     `cmd:"" help:"Look after the key set with which values are sealed."`
	Manifest ManifestCmd `cmd:"" help:"Print what to register with a chat platform."`
	Version  VersionCmd  `cmd:"" help:"Print the version."`
}

// App is what commands work with.
type App struct {
	cli    *CLI
	env    func(string) (string, bool)
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func (a *App) config() (daemon.Config, error) { return daemon.Load(a.cli.Config, a.env) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process around it.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	var cli CLI
	exited := -1
	parser, err := kong.New(&cli, kong.Name("pvechat"), kong.Description("Proxmox VE containers from Slack and Discord."),
		kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }))
	if err != nil {
		fmt.Fprintln(stderr, "pvechat:", err)
		return exitUsage
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "pvechat: %v\nSee pvechat --help.\n", err)
		return exitUsage
	}
	app := &App{cli: &cli, env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(app)
	var wrong *yamlfile.Error
	var use wrongUse
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong), errors.As(err, &use):
		fmt.Fprintln(stderr, "pvechat:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "pvechat:", daemon.Explain(err))
	return exitFailed
}
