package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/discord"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/slack"
	"github.com/pvechat/pvechat/cmd/internal/daemon"
	"github.com/pvechat/pvechat/handlers"
	"github.com/pvechat/pvechat/proxmox"
	"github.com/pvechat/pvechat/storage/seal"
)

// InitCmd makes a configuration. At a terminal it asks for what no flag gives,
// and checks each answer; elsewhere flags give all of it. Secrets are read from
// files, from the variables that the configuration takes too, or at the terminal
// without being shown; no flag takes one, because others could see it.
type InitCmd struct {
	Name            string   `help:"Name of the cluster; it never changes." default:"home" placeholder:"NAME"`
	URL             []string `name:"url" help:"Address of a node, and of others for when it is down." placeholder:"https://HOST:8006"`
	Fingerprint     []string `help:"SHA-256 of the certificate of each node that no known authority has signed." placeholder:"AA:BB:…"`
	CAFile          string   `name:"ca-file" help:"Authority that has signed them instead." type:"existingfile" placeholder:"FILE"`
	TokenID         string   `name:"token-id" help:"API token on Proxmox." default:"pvechat@pve!bot" placeholder:"USER@REALM!TOKEN"`
	TokenSecretFile string   `help:"Its secret; or PVECHAT_CLUSTERS_NAME_TOKEN_SECRET." type:"existingfile" placeholder:"FILE"`

	SlackBotTokenFile string `help:"xoxb-…; or PVECHAT_SLACK_BOT_TOKEN." type:"existingfile" placeholder:"FILE"`
	SlackAppTokenFile string `help:"xapp-…; or PVECHAT_SLACK_APP_TOKEN." type:"existingfile" placeholder:"FILE"`
	SlackAdmin        string `help:"Member ID of the first admin." placeholder:"U…"`
	SlackChannel      string `help:"Channel that is told of trouble." placeholder:"C…"`
	SlackAPIURL       string `name:"slack-api-url" default:"https://slack.com/api/" placeholder:"URL" help:"Where Slack's API is."`

	DiscordBotTokenFile string `help:"Or PVECHAT_DISCORD_BOT_TOKEN." type:"existingfile" placeholder:"FILE"`
	DiscordGuild        string `help:"Server that the bot is in." placeholder:"ID"`
	DiscordAdmin        string `help:"User ID of the first admin." placeholder:"ID"`
	DiscordChannel      string `help:"Channel that is told of trouble." placeholder:"ID"`
	DiscordAPIURL       string `name:"discord-api-url" default:"https://discord.com" placeholder:"URL" help:"Where Discord's API is."`

	Database string `help:"Where state is kept; or PVECHAT_DATABASE_URL. Default: a SQLite file beside the configuration, or in /var/lib/pvechat for one below /etc." placeholder:"URL"`
}

// setup is a configuration that is being made.
type setup struct {
	*terminal
	given InitCmd
	env   func(string) (string, bool)
	cfg   daemon.Config
	typed map[string]string // secrets, by the file that is to hold them
	said  map[string]string // by key, the line of the configuration that leads to a secret
}

// Run implements the command.
func (c InitCmd) Run(ctx context.Context, app *App) error {
	s := &setup{terminal: newTerminal(app.stdin, app.stdout), given: c, env: app.env, typed: map[string]string{}, said: map[string]string{}}
	if !daemon.IsClusterName(c.Name) {
		return wrongUse{fmt.Errorf("--name: %q is no name of letters, digits, '.', '-' and '_'", c.Name)}
	}
	file, err := filepath.Abs(app.cli.Config)
	if err != nil {
		return err
	}
	keyset := filepath.Join(filepath.Dir(file), "secrets", "keyset.json")
	for _, there := range []string{file, keyset} {
		if _, err := os.Lstat(there); !errors.Is(err, fs.ErrNotExist) {
			return wrongUse{fmt.Errorf("%s is there already, and is never written over: move it away, or name another place with --config", there)}
		}
	}
	if missing := s.missing(); !s.tty && len(missing) > 0 {
		return wrongUse{fmt.Errorf("there is no terminal to ask at: give %s", strings.Join(missing, ", "))}
	}
	for _, step := range []func(context.Context) error{s.cluster, s.slack, s.discord, s.channels} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%w\nNothing was written", err)
		}
	}
	if err := s.write(file, keyset, app.env); err != nil {
		return fmt.Errorf("%w\nNothing was written", err)
	}
	s.say("\nWritten: %s\n", strings.Join(append(s.files(filepath.Dir(file)), keyset, file), ", "))
	s.say("Start it:  pvechat run --config %s\nThen type /pve dashboard in the chat. If something is wrong:  pvechat doctor --config %s\n", app.cli.Config, app.cli.Config)
	return nil
}

// missing are the flags without which there is nothing to write.
func (s *setup) missing() []string {
	g := s.given
	var list []string
	need := func(given bool, flag string) {
		if !given {
			list = append(list, flag)
		}
	}
	need(len(g.URL) > 0, "--url")
	need(s.secretGiven(g.TokenSecretFile, s.tokenVariable()), "--token-secret-file")
	need(s.wantsSlack() || s.wantsDiscord(), "--slack-bot-token-file or --discord-bot-token-file")
	if s.wantsSlack() {
		need(s.secretGiven(g.SlackBotTokenFile, "PVECHAT_SLACK_BOT_TOKEN"), "--slack-bot-token-file")
		need(s.secretGiven(g.SlackAppTokenFile, "PVECHAT_SLACK_APP_TOKEN"), "--slack-app-token-file")
		need(g.SlackAdmin != "", "--slack-admin")
	}
	if s.wantsDiscord() {
		need(s.secretGiven(g.DiscordBotTokenFile, "PVECHAT_DISCORD_BOT_TOKEN"), "--discord-bot-token-file")
		need(g.DiscordGuild != "", "--discord-guild")
		need(g.DiscordAdmin != "", "--discord-admin")
	}
	return list
}

func (s *setup) tokenVariable() string { return daemon.TokenVariable(s.given.Name) }

func (s *setup) secretGiven(file, variable string) bool {
	v, _ := s.env(variable)
	return file != "" || v != ""
}

func (s *setup) wantsSlack() bool {
	g := s.given
	return g.SlackAdmin+g.SlackChannel != "" || s.secretGiven(g.SlackBotTokenFile+g.SlackAppTokenFile, "PVECHAT_SLACK_BOT_TOKEN")
}

func (s *setup) wantsDiscord() bool {
	g := s.given
	return g.DiscordAdmin+g.DiscordChannel+g.DiscordGuild != "" || s.secretGiven(g.DiscordBotTokenFile, "PVECHAT_DISCORD_BOT_TOKEN")
}

// until repeats a step at a terminal until it works. What flags give is tried
// once.
func (s *setup) until(ctx context.Context, step func(again bool) error) error {
	for again := false; ; again = true {
		err := step(again)
		if err == nil || !s.tty || errors.Is(err, errEnded) || ctx.Err() != nil {
			return err
		}
		s.say("  ❌ %v\n", err)
	}
}

// value is what a flag gives, or what is typed, or what Enter stands for.
func (s *setup) value(ctx context.Context, question, given, preset string, again bool) (string, error) {
	if given != "" && !again || !s.tty {
		return cmp.Or(given, preset), nil
	}
	if preset != "" {
		question += " [" + preset + "]"
	}
	v, err := s.read(ctx, question+": ", false)
	return cmp.Or(v, preset), err
}

// secret is what a file or a variable holds, or what is typed. key is that of
// the configuration.
func (s *setup) secret(ctx context.Context, question, key, file, variable, keep string, again bool) (daemon.Secret, error) {
	name := key[strings.LastIndexByte(key, '.')+1:]
	fromEnv, _ := s.env(variable)
	switch {
	case again:
	case file != "" && fromEnv != "":
		return "", fmt.Errorf("%s is given twice, by a file and by %s: keep one", key, variable)
	case file != "":
		path, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		s.said[key] = name + "_file: " + quoted(path)
		return daemon.Secret(strings.TrimSpace(string(raw))), nil
	case fromEnv != "":
		s.said[key] = "# " + name + ": in the variable " + variable
		return daemon.Secret(fromEnv), nil
	}
	v, err := s.read(ctx, question+" (not shown): ", true)
	s.typed[keep] = v
	s.said[key] = name + "_file: secrets/" + keep
	return daemon.Secret(v), err
}

// cluster asks for the way to Proxmox.
func (s *setup) cluster(ctx context.Context) error {
	s.say("Proxmox. On a node, as root, make a user and a token for pvechat; the last command but one shows the secret once:\n\n%s\n", indented(grant(s.given.TokenID)))
	s.cfg.Clusters = []daemon.ClusterConfig{{Name: s.given.Name, CAFile: s.given.CAFile, TokenID: s.given.TokenID}}
	cl := &s.cfg.Clusters[0]
	addresses := s.given.URL
	for len(addresses) > 0 || len(cl.URLs) == 0 {
		err := s.until(ctx, func(again bool) error {
			given := ""
			if len(addresses) > 0 {
				given = addresses[0]
			}
			at, err := s.value(ctx, "Address of a node, such as https://pve1:8006", given, "", again)
			if err == nil {
				err = s.trust(ctx, strings.TrimRight(at, "/"))
			}
			return err
		})
		if err != nil {
			return err
		}
		addresses = addresses[min(1, len(addresses)):]
	}
	return s.until(ctx, func(again bool) (err error) {
		if cl.TokenID, err = s.value(ctx, "API token", "", s.given.TokenID, again); err != nil {
			return err
		}
		if user, token, ok := strings.Cut(cl.TokenID, "!"); !ok || token == "" || !strings.Contains(user, "@") {
			return fmt.Errorf("%q is no token: write user@realm!token, such as pvechat@pve!bot", cl.TokenID)
		}
		cl.TokenSecret, err = s.secret(ctx, "Its secret", "clusters.token_secret", s.given.TokenSecretFile, s.tokenVariable(), s.given.Name+"-token", again)
		if err != nil {
			return err
		}
		return s.examine(ctx, "cluster/")
	})
}

// trust takes an address whose certificate is trusted, here or by whoever is
// asked.
func (s *setup) trust(ctx context.Context, at string) error {
	cl := &s.cfg.Clusters[0]
	if u, err := url.Parse(at); err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" {
		return fmt.Errorf("%q is no address such as https://pve1:8006", at)
	}
	if cl.CAFile != "" { // the first request tells
		cl.URLs = append(cl.URLs, at)
		return nil
	}
	seen, err := proxmox.SeeCertificate(ctx, at)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w. Check the address, and that pveproxy runs there", at, errors.Unwrap(err))
	}
	pinned := slices.ContainsFunc(s.given.Fingerprint, func(f string) bool { return strings.EqualFold(f, seen.Fingerprint) })
	switch {
	case pinned:
	case len(s.given.Fingerprint) > 0 && !s.tty:
		return fmt.Errorf("the certificate of %s is %s, which is none of --fingerprint. Compare it on that node: pvenode cert info", at, seen.Fingerprint)
	case seen.Trusted:
		cl.URLs = append(cl.URLs, at)
		return nil
	case !s.tty:
		return fmt.Errorf("no authority that is known here has signed the certificate of %s, which is %s. Compare it on that node (pvenode cert info), then give it as --fingerprint", at, seen.Fingerprint)
	default:
		s.say("  The certificate of %s, for %s, until %s:\n  %s\n", at, strings.Join(seen.Names, ", "), seen.Until.Format(time.DateOnly), seen.Fingerprint)
		s.say("  Compare it on that node:  pvenode cert info\n")
		if yes, err := s.yes(ctx, "  Is it the same?", false); err != nil || !yes {
			return cmp.Or(err, errors.New("this certificate was not accepted"))
		}
	}
	cl.URLs = append(cl.URLs, at)
	cl.Fingerprints = append(cl.Fingerprints, seen.Fingerprint)
	return nil
}

// slack asks for the app.
func (s *setup) slack(ctx context.Context) error {
	if !s.wantsSlack() {
		if yes, err := s.yes(ctx, "\nSlack: set it up?", true); err != nil || !yes {
			return err
		}
	}
	manifest, err := slack.Manifest(handlers.Commands(), "")
	if err != nil {
		return err
	}
	s.say("\nSlack. At https://api.slack.com/apps make an app from this manifest, install it, and make an app-level token with connections:write:\n\n%s\n", manifest)
	s.cfg.Slack = &daemon.SlackConfig{APIURL: s.given.SlackAPIURL}
	err = s.until(ctx, func(again bool) (err error) {
		c := s.cfg.Slack
		c.BotToken, err = s.secret(ctx, "Bot token, xoxb-…", "slack.bot_token", s.given.SlackBotTokenFile, "PVECHAT_SLACK_BOT_TOKEN", "slack-bot-token", again)
		if err == nil {
			c.AppToken, err = s.secret(ctx, "App token, xapp-…", "slack.app_token", s.given.SlackAppTokenFile, "PVECHAT_SLACK_APP_TOKEN", "slack-app-token", again)
		}
		if err != nil {
			return err
		}
		return s.examine(ctx, "slack")
	})
	if err != nil {
		return err
	}
	return s.until(ctx, func(again bool) error {
		id, err := s.value(ctx, "Your member ID (your profile, ⋮, Copy member ID)", s.given.SlackAdmin, "", again)
		if err != nil {
			return err
		}
		s.cfg.Access = []daemon.AccessConfig{{Role: "admin", Slack: daemon.Who{Users: []string{id}}}}
		return s.known(ctx, id)
	})
}

// discord asks for the application.
func (s *setup) discord(ctx context.Context) error {
	if !s.wantsDiscord() {
		if yes, err := s.yes(ctx, "\nDiscord: set it up?", true); err != nil || !yes {
			return err
		}
	}
	s.cfg.Discord = &daemon.DiscordConfig{APIURL: s.given.DiscordAPIURL}
	c := s.cfg.Discord
	s.say("\nDiscord. At https://discord.com/developers/applications make an application, and on its page Bot a token.\n")
	err := s.until(ctx, func(again bool) (err error) {
		c.BotToken, err = s.secret(ctx, "Bot token", "discord.bot_token", s.given.DiscordBotTokenFile, "PVECHAT_DISCORD_BOT_TOKEN", "discord-bot-token", again)
		if err != nil {
			return err
		}
		app, refused, err := discord.FindApplication(ctx, discord.Config{BotToken: string(c.BotToken), APIURL: c.APIURL})
		if refused {
			return fmt.Errorf("Discord refuses the token: %w. Reset it on the page Bot, and copy the new one", err)
		}
		c.ApplicationID = app.ID
		return err
	})
	if err != nil {
		return err
	}
	s.say("Add the bot to your server:\n\n  %s\n\n", discord.Invite(c.ApplicationID))
	rules := s.cfg.Access
	return s.until(ctx, func(again bool) error {
		guild, err := s.value(ctx, "ID of the server (developer mode, right click, Copy Server ID)", s.given.DiscordGuild, "", again)
		if err != nil {
			return err
		}
		id, err := s.value(ctx, "Your user ID", s.given.DiscordAdmin, "", again)
		if err != nil {
			return err
		}
		c.GuildIDs = []string{guild}
		s.cfg.Access = append(slices.Clone(rules), daemon.AccessConfig{Role: "admin", Discord: daemon.Who{Users: []string{id}}})
		if err := s.known(ctx, id); err != nil {
			return fmt.Errorf("%w. Check both ids, and that the bot was added to that server", err)
		}
		return nil
	})
}

// channels asks where trouble is told, and tells that it will be.
func (s *setup) channels(ctx context.Context) error {
	if s.cfg.Slack == nil && s.cfg.Discord == nil {
		return errors.New("neither Slack nor Discord is set up: pvechat needs one of them")
	}
	for _, p := range []struct {
		on    chat.PlatformName
		is    bool
		given string
		how   string
		ops   *string
	}{
		{chat.Slack, s.cfg.Slack != nil, s.given.SlackChannel, "/invite @pvechat", &s.cfg.Channels.Ops.Slack},
		{chat.Discord, s.cfg.Discord != nil, s.given.DiscordChannel, "let it see the channel and write there", &s.cfg.Channels.Ops.Discord},
	} {
		if !p.is {
			continue
		}
		err := s.until(ctx, func(again bool) (err error) {
			*p.ops, err = s.value(ctx, "ID of the channel on "+title(p.on)+" that is told of trouble (Enter: none)", p.given, "", again)
			if err != nil || *p.ops == "" {
				return err
			}
			only := s.cfg
			only.Channels.Ops = daemon.OpsConfig{}
			if p.on == chat.Slack {
				only.Channels.Ops.Slack = *p.ops
			} else {
				only.Channels.Ops.Discord = *p.ops
			}
			check, err := daemon.NewSetup(only, quiet)
			if err == nil {
				err = check.Greet(ctx)
			}
			if err != nil {
				return fmt.Errorf("pvechat cannot write to the channel %s: %w. Invite it there (%s), or give another one", *p.ops, err, p.how)
			}
			s.say("  ✅ told in %s\n", *p.ops)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func title(p chat.PlatformName) string { return strings.ToUpper(string(p[:1])) + string(p[1:]) }

// examine shows what the doctor says of things whose names begin with prefix,
// and returns the first of them as an error where it is bad.
func (s *setup) examine(ctx context.Context, prefix string) error {
	check, err := daemon.NewSetup(s.cfg, quiet)
	if err != nil {
		return err
	}
	topic, _, _ := strings.Cut(prefix, "/")
	about := map[string]bool{topic: true, "quorum": topic == "cluster", "clock": topic == "cluster", "privileges": topic == "cluster", "node": topic == "cluster"}
	report := check.Examine(ctx)
	for _, c := range report.Checks {
		if strings.HasPrefix(c.Name, prefix) && c.State == doctor.Bad {
			return fmt.Errorf("%s: %s. %s", c.Title, oneLine(c.Detail), remedy(c))
		}
	}
	for _, c := range report.Checks {
		if kind, _, _ := strings.Cut(c.Name, "/"); about[kind] {
			printCheck(s.out, c)
		}
	}
	return nil
}

func (s *setup) known(ctx context.Context, id string) error {
	if id == "" {
		return errors.New("without an admin nobody may do anything")
	}
	check, err := daemon.NewSetup(s.cfg, quiet)
	if err != nil {
		return err
	}
	return check.Known(ctx)
}

// grant is what gives pvechat its rights on Proxmox.
func grant(tokenID string) string { return doctor.Grant(tokenID, doctor.Privileges(nil)) }

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"
}

//go:embed init.yaml.tmpl
var initTemplate string

// quoted is a YAML string: JSON's quoting is part of YAML.
func quoted(v any) string {
	b, _ := json.Marshal(v) // strings always marshal
	return string(b)
}

// files are those that typed secrets go to.
func (s *setup) files(dir string) []string {
	var list []string
	for name := range s.typed {
		list = append(list, filepath.Join(dir, "secrets", name))
	}
	slices.Sort(list)
	return list
}

// write makes all files, or none.
func (s *setup) write(file, keyset string, env func(string) (string, bool)) (err error) {
	dir := filepath.Dir(file)
	database := cmp.Or(s.given.Database, "sqlite:pvechat.db")
	if s.given.Database == "" && strings.HasPrefix(file, "/etc/") {
		database = "sqlite:/var/lib/pvechat/pvechat.db"
	}
	line := "url: " + quoted(database)
	if v, _ := env("PVECHAT_DATABASE_URL"); v != "" && s.given.Database == "" {
		line = "# url: in the variable PVECHAT_DATABASE_URL"
	}
	var text bytes.Buffer
	err = template.Must(template.New("config").Funcs(template.FuncMap{"quoted": quoted}).Parse(initTemplate)).Execute(&text, map[string]any{
		"Config": s.cfg, "Secret": s.said, "Database": line,
	})
	if err != nil {
		return err
	}
	var made []string
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(made) {
				err = errors.Join(err, os.Remove(f))
			}
		}
	}()
	put := func(name string, content []byte) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		made = append(made, name)
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	}
	secrets := filepath.Join(dir, "secrets")
	switch err := os.Mkdir(secrets, 0o700); {
	case err == nil:
		made = append(made, secrets)
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	for _, name := range s.files(dir) {
		if err := put(name, []byte(s.typed[filepath.Base(name)]+"\n")); err != nil {
			return err
		}
	}
	if err := seal.Generate(keyset); err != nil {
		return err
	}
	made = append(made, keyset)
	if err := put(file, text.Bytes()); err != nil {
		return err
	}
	_, err = daemon.Load(file, env) // what was made has to be what is read
	return err
}
