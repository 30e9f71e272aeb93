package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/alerts"
	"github.com/pvechat/pvechat/bot/yamlfile"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Secret is a value that is never printed.
type Secret string

const redacted = "[redacted]"

func (Secret) String() string             { return redacted }
func (Secret) GoString() string           { return redacted }
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }
func (Secret) LogValue() slog.Value       { return slog.StringValue(redacted) }

// Config is the configuration file. See config.example.yaml for what each key
// means; every secret KEY can stand in a file named by KEY_file, or in the
// environment, but in one place only.
type Config struct {
	Log        LogConfig       `yaml:"log"`
	Slack      *SlackConfig    `yaml:"slack"`
	Discord    *DiscordConfig  `yaml:"discord"`
	Clusters   []ClusterConfig `yaml:"clusters"`
	Database   DatabaseConfig  `yaml:"database"`
	KeysetFile string          `yaml:"keyset_file"`
	Refresh    RefreshConfig   `yaml:"refresh"`
	Channels   ChannelsConfig  `yaml:"channels"`
	Alerts     AlertsConfig    `yaml:"alerts"`
	Roles      RolesConfig     `yaml:"roles"`
	Access     []AccessConfig  `yaml:"access"`
	Audit      AuditConfig     `yaml:"audit"`
	Templates  string          `yaml:"templates_dir"`

	Credentials []CredentialsConfig `yaml:"credentials"`
	HTTP        HTTPConfig          `yaml:"http"`

	// Exposed is the configuration's own file, where it holds a secret that
	// everybody on the machine can read; else "".
	Exposed string `yaml:"-"`

	// Dial reaches the platforms and the clusters; nil: the network. No file
	// sets it: it is for tests whose network is in memory.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) `yaml:"-"`
}

// LogConfig says how the log on stderr looks.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// SlackConfig switches Slack on.
type SlackConfig struct {
	Mode              string `yaml:"mode"`
	BotToken          Secret `yaml:"bot_token"`
	BotTokenFile      string `yaml:"bot_token_file"`
	AppToken          Secret `yaml:"app_token"`
	AppTokenFile      string `yaml:"app_token_file"`
	SigningSecret     Secret `yaml:"signing_secret"`
	SigningSecretFile string `yaml:"signing_secret_file"`
	APIURL            string `yaml:"api_url"`
}

// DiscordConfig switches Discord on.
type DiscordConfig struct {
	Mode          string   `yaml:"mode"`
	BotToken      Secret   `yaml:"bot_token"`
	BotTokenFile  string   `yaml:"bot_token_file"`
	ApplicationID string   `yaml:"application_id"`
	PublicKey     string   `yaml:"public_key"`
	GuildIDs      []string `yaml:"guild_ids"`
	APIURL        string   `yaml:"api_url"`
}

// ClusterConfig is one Proxmox cluster, or one node on its own.
type ClusterConfig struct {
	Name            string     `yaml:"name"`
	URLs            []string   `yaml:"urls"`
	TokenID         string     `yaml:"token_id"`
	TokenSecret     Secret     `yaml:"token_secret"`
	TokenSecretFile string     `yaml:"token_secret_file"`
	TokenExpires    string     `yaml:"token_expires"`
	CAFile          string     `yaml:"ca_file"`
	Fingerprints    []string   `yaml:"fingerprints"`
	Insecure        bool       `yaml:"insecure"`
	SSH             *SSHConfig `yaml:"ssh"`
}

// SSHConfig is how containers are entered.
type SSHConfig struct {
	Via            string `yaml:"via"`
	User           string `yaml:"user"`
	Port           int    `yaml:"port"`
	KeyFile        string `yaml:"key_file"`
	KnownHostsFile string `yaml:"known_hosts_file"`

	// Nodes are the addresses of nodes by name, for via: node.
	Nodes map[string]string `yaml:"nodes"`

	// Dial reaches a container; nil: the network. No file sets it: it is for
	// programs whose containers are on no network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) `yaml:"-"`
}

// CredentialsConfig is a file with credentials that lies elsewhere in some
// containers than installers write it.
type CredentialsConfig struct {
	Service    string   `yaml:"service"`
	File       string   `yaml:"file"`
	Containers []string `yaml:"containers"` // any of these selectors; none: all containers
}

// DatabaseConfig is where state lives.
type DatabaseConfig struct {
	URL         Secret `yaml:"url"`
	URLFile     string `yaml:"url_file"`
	AutoMigrate *bool  `yaml:"auto_migrate"`
}

// RefreshConfig is how often the clusters are asked, and how often pvechat looks
// into the containers.
type RefreshConfig struct {
	Every    string `yaml:"every"`
	Services string `yaml:"services"`
}

// ChannelsConfig names channels with a purpose.
type ChannelsConfig struct {
	Ops OpsConfig `yaml:"ops"`
}

// OpsConfig is where incidents are told.
type OpsConfig struct {
	Slack   string `yaml:"slack"`
	Discord string `yaml:"discord"`
}

// AlertsConfig says from when on a measure is wrong, and where some incidents
// are told in place of the ops channels.
type AlertsConfig struct {
	CPU    int           `yaml:"cpu"` // percent; 0: never
	Memory int           `yaml:"memory"`
	Disk   int           `yaml:"disk"`
	For    string        `yaml:"for"`
	Routes []AlertsRoute `yaml:"routes"`
}

// AlertsRoute is where some incidents are told.
type AlertsRoute struct {
	Tags     []string        `yaml:"tags"`
	Severity alerts.Severity `yaml:"severity"`
	Slack    string          `yaml:"slack"`
	Discord  string          `yaml:"discord"`
}

// RolesConfig are roles of one's own: what each may do, by name.
type RolesConfig map[string][]access.Permission

// AccessConfig is one rule.
type AccessConfig struct {
	Role    string `yaml:"role"`
	Slack   Who    `yaml:"slack"`
	Discord Who    `yaml:"discord"`

	Containers []string `yaml:"containers"`
}

// Who are people on a platform: Slack has groups, Discord has roles.
type Who struct {
	Users  []string `yaml:"users"`
	Groups []string `yaml:"groups"`
	Roles  []string `yaml:"roles"`
}

// AuditConfig is how long the audit is kept.
type AuditConfig struct {
	KeepDays int `yaml:"keep_days"` // 0: for ever
}

// HTTPConfig is where health and metrics are served, and where platforms in mode
// http call.
type HTTPConfig struct {
	Listen string `yaml:"listen"`

	// Listener, if set, is served in place of an address. No file sets it.
	Listener net.Listener `yaml:"-"`
}

// Every is the parsed refresh period; 30 s where none is given.
func (c Config) Every() time.Duration {
	d, err := time.ParseDuration(c.Refresh.Every)
	if err != nil {
		return 30 * time.Second
	}
	return d
}

// Services is the parsed time between two looks into a container; 5 min where
// none is given.
func (c Config) Services() time.Duration {
	d, err := time.ParseDuration(c.Refresh.Services)
	if err != nil {
		return 5 * time.Minute
	}
	return d
}

// CredentialFiles are the files with credentials that a container has elsewhere.
func (c Config) CredentialFiles(t access.Target) []guest.CredentialFile {
	var list []guest.CredentialFile
	for _, f := range c.Credentials {
		var scope []access.Selector
		for _, s := range f.Containers {
			if sel, err := access.ParseSelector(s); err == nil { // it was checked
				scope = append(scope, sel)
			}
		}
		if access.Pick(scope, t) {
			list = append(list, guest.CredentialFile{Service: f.Service, Path: f.File})
		}
	}
	return list
}

// AutoMigrate reports whether migrations are applied before serving.
func (c Config) AutoMigrate() bool { return c.Database.AutoMigrate == nil || *c.Database.AutoMigrate }

// Load reads a configuration file, fills in secrets and defaults, and checks
// it. What is wrong comes as one [yamlfile.Error] that names every problem with its
// line and key, and no secret.
func Load(file string, env func(string) (string, bool)) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, &yamlfile.Error{What: subject, File: file, Problems: []yamlfile.Problem{{Text: "it cannot be read: " + errors.Unwrap(err).Error() + "; name another one with --config FILE"}}}
	}
	return Parse(file, data, env)
}

// Parse is Load for what a file holds; relative paths in it are relative to the
// file.
func Parse(file string, data []byte, env func(string) (string, bool)) (Config, error) {
	c := checker{file: file, env: env}
	var cfg Config
	c.Decode(data, &cfg)
	c.secrets(&cfg)
	c.check(&cfg)
	if err := c.Err(subject, file); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// subject is what the problems are of.
const subject = "the configuration"

type checker struct {
	yamlfile.Reader

	file    string
	env     func(string) (string, bool)
	exposed bool // file holds a secret, and everybody can use it
}

// secrets fills every secret from the one place that holds it.
func (c *checker) secrets(cfg *Config) {
	if s := cfg.Slack; s != nil {
		c.secret(&s.BotToken, s.BotTokenFile, "PVECHAT_SLACK_BOT_TOKEN", "slack", "bot_token")
		c.secret(&s.AppToken, s.AppTokenFile, "PVECHAT_SLACK_APP_TOKEN", "slack", "app_token")
		c.secret(&s.SigningSecret, s.SigningSecretFile, "PVECHAT_SLACK_SIGNING_SECRET", "slack", "signing_secret")
	}
	if d := cfg.Discord; d != nil {
		c.secret(&d.BotToken, d.BotTokenFile, "PVECHAT_DISCORD_BOT_TOKEN", "discord", "bot_token")
	}
	for i := range cfg.Clusters {
		cl := &cfg.Clusters[i]
		c.secret(&cl.TokenSecret, cl.TokenSecretFile, TokenVariable(cl.Name), "clusters", i, "token_secret")
	}
	c.secret(&cfg.Database.URL, cfg.Database.URLFile, "PVECHAT_DATABASE_URL", "database", "url")
	if c.exposed {
		cfg.Exposed = c.file
	}
}

func usedByEverybody(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().Perm()&0o007 != 0
}

// TokenVariable is the environment variable that may hold the token secret of a
// cluster.
func TokenVariable(cluster string) string {
	return "PVECHAT_CLUSTERS_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(cluster)) + "_TOKEN_SECRET"
}

func (c *checker) secret(into *Secret, file, variable string, path ...any) {
	key := fmt.Sprint(path[len(path)-1])
	var places []string
	if *into != "" {
		places = append(places, "here")
	}
	fromEnv, set := c.env(variable)
	if set && fromEnv != "" {
		places = append(places, "in "+variable)
	}
	if file != "" {
		places = append(places, "in "+key+"_file")
	}
	if len(places) > 1 {
		c.Wrong(key+" stands in several places ("+strings.Join(places, ", ")+"): keep one", path...)
		return
	}
	switch {
	case file != "":
		filePath := append(slices.Clone(path[:len(path)-1]), any(key+"_file"))
		data, err := os.ReadFile(c.path(file))
		if err != nil {
			c.Wrong(fmt.Sprintf("%s_file: %s cannot be read: %v", key, file, errors.Unwrap(err)), filePath...)
			return
		}
		*into = Secret(strings.TrimSpace(string(data)))
		if usedByEverybody(c.path(file)) {
			c.Wrong(fmt.Sprintf("%s_file: everybody on this machine can use %s; run: chmod o= %s", key, file, c.path(file)), filePath...)
		}
	case *into == "":
		*into = Secret(fromEnv)
	case !strings.HasPrefix(string(*into), "sqlite:"):
		c.exposed = usedByEverybody(c.file)
	}
}

// path makes a path of the file relative to the file.
func (c *checker) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

func (c *checker) check(cfg *Config) {
	c.checkLog(&cfg.Log)
	if cfg.Slack == nil && cfg.Discord == nil {
		c.Wrong("no platform: add a section slack or discord")
	}
	c.checkSlack(cfg.Slack)
	c.checkDiscord(cfg.Discord)
	c.checkCalled(cfg)
	c.checkClusters(cfg)
	c.checkDatabase(cfg)
	c.checkPeriod("every", cfg.Refresh.Every, "30s", time.Second)
	c.checkPeriod("services", cfg.Refresh.Services, "5m", time.Minute)
	if _, err := cfg.Rules(); err != nil {
		var re *ruleError
		if errors.As(err, &re) {
			for _, p := range re.problems {
				c.Wrong(p.text, p.path...)
			}
		}
	}
	c.checkAlerts(cfg.Alerts)
	if cfg.Audit.KeepDays < 0 {
		c.Wrong("audit.keep_days: it must be 0 or more", "audit", "keep_days")
	}
	if cfg.HTTP.Listen != "" {
		if _, _, err := net.SplitHostPort(cfg.HTTP.Listen); err != nil {
			c.Wrong(fmt.Sprintf("http.listen: %q is no host:port", cfg.HTTP.Listen), "http", "listen")
		}
	}
	c.checkCredentials(cfg.Credentials)
	cfg.KeysetFile, cfg.Templates = c.path(cfg.KeysetFile), c.path(cfg.Templates)
}

// checkPeriod checks a key of refresh.
func (c *checker) checkPeriod(key, value, example string, least time.Duration) {
	if value == "" {
		return
	}
	if d, err := time.ParseDuration(value); err != nil {
		c.Wrong(fmt.Sprintf("refresh.%s: %q is no duration; write %s", key, value, example), "refresh", key)
	} else if d < least {
		c.Wrong(fmt.Sprintf("refresh.%s: it must be %s or more", key, strings.TrimSuffix(least.String(), "0s")), "refresh", key)
	}
}

func (c *checker) checkAlerts(a AlertsConfig) {
	for key, percent := range map[string]int{"cpu": a.CPU, "memory": a.Memory, "disk": a.Disk} {
		if percent < 0 || percent > 99 {
			c.Wrong(fmt.Sprintf("alerts.%s: a percentage from 1 to 99, or 0 for none", key), "alerts", key)
		}
	}
	if d, err := time.ParseDuration(a.For); a.For != "" && (err != nil || d < 0) {
		c.Wrong(fmt.Sprintf("alerts.for: %q is no duration; write 10m", a.For), "alerts", "for")
	}
	for i, r := range a.Routes {
		at := fmt.Sprintf("alerts.routes[%d]", i)
		switch {
		case r.Severity != "" && r.Severity != alerts.Warning && r.Severity != alerts.Critical:
			c.Wrong(fmt.Sprintf("%s.severity: %q is none of warning, critical", at, r.Severity), "alerts", "routes", i, "severity")
		case r.Severity == "" && len(r.Tags) == 0:
			c.Wrong(at+": it fits everything; give tags or a severity, or set channels.ops", "alerts", "routes", i)
		}
		if r.Slack == "" && r.Discord == "" {
			c.Wrong(at+": it leads nowhere; give a channel on slack or discord", "alerts", "routes", i)
		}
	}
}

func (c *checker) checkLog(l *LogConfig) {
	l.Level, l.Format = cmp.Or(l.Level, "info"), cmp.Or(l.Format, "json")
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		c.Wrong(fmt.Sprintf("log.level: %q is none of debug, info, warn, error", l.Level), "log", "level")
	}
	if l.Format != "json" && l.Format != "text" {
		c.Wrong(fmt.Sprintf("log.format: %q is none of json, text", l.Format), "log", "format")
	}
}

func (c *checker) checkSlack(s *SlackConfig) {
	if s == nil {
		return
	}
	s.Mode, s.APIURL = cmp.Or(s.Mode, "socket"), cmp.Or(s.APIURL, "https://slack.com/api/")
	c.need(s.BotToken, "slack.bot_token is missing (xoxb-…), or set PVECHAT_SLACK_BOT_TOKEN", "slack", "bot_token")
	c.checkKind(s.BotToken, "xapp-", "slack.bot_token is an app token (xapp-…), which stands in slack.app_token", "slack", "bot_token")
	c.checkKind(s.AppToken, "xoxb-", "slack.app_token is a bot token (xoxb-…), which stands in slack.bot_token", "slack", "app_token")
	switch s.Mode { // what the other mode needs may stay where it is
	case "socket":
		c.need(s.AppToken, "slack.app_token is missing (xapp-…, with connections:write), or set PVECHAT_SLACK_APP_TOKEN", "slack", "app_token")
		s.SigningSecret = ""
	case "http":
		c.need(s.SigningSecret, "slack.signing_secret is missing, which mode http needs, or set PVECHAT_SLACK_SIGNING_SECRET", "slack", "signing_secret")
		s.AppToken = ""
	default:
		c.Wrong(fmt.Sprintf("slack.mode: %q is none of socket, http", s.Mode), "slack", "mode")
	}
	c.checkURL("slack.api_url", s.APIURL, true, "slack", "api_url")
}

func (c *checker) checkDiscord(d *DiscordConfig) {
	if d == nil {
		return
	}
	d.Mode, d.APIURL = cmp.Or(d.Mode, "gateway"), cmp.Or(d.APIURL, "https://discord.com")
	switch d.Mode {
	case "gateway":
		d.PublicKey = ""
	case "http":
		if !publicKey.MatchString(d.PublicKey) {
			c.Wrong("discord.public_key: mode http needs the application's, 64 hexadecimal digits", "discord", "public_key")
		}
	default:
		c.Wrong(fmt.Sprintf("discord.mode: %q is none of gateway, http", d.Mode), "discord", "mode")
	}
	c.need(d.BotToken, "discord.bot_token is missing, or set PVECHAT_DISCORD_BOT_TOKEN", "discord", "bot_token")
	c.checkKind(d.BotToken, "Bot ", "discord.bot_token: write it without the word Bot", "discord", "bot_token")
	c.need(Secret(d.ApplicationID), "discord.application_id is missing", "discord", "application_id")
	if d.ApplicationID != "" && !isNumber(d.ApplicationID) {
		c.Wrong("discord.application_id: it is no number", "discord", "application_id")
	}
	for i, id := range d.GuildIDs {
		if !isNumber(id) {
			c.Wrong(fmt.Sprintf("discord.guild_ids[%d]: %q is no number", i, id), "discord", "guild_ids", i)
		}
	}
	c.checkOrigin("discord.api_url", d.APIURL, true, "discord", "api_url")
}

var publicKey = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// checkCalled checks that there is an address for the platforms that call.
func (c *checker) checkCalled(cfg *Config) {
	if cfg.HTTP.Listen != "" {
		return
	}
	if s := cfg.Slack; s != nil && s.Mode == "http" {
		c.Wrong("slack.mode: http needs http.listen, which is where Slack calls the bot", "slack", "mode")
	}
	if d := cfg.Discord; d != nil && d.Mode == "http" {
		c.Wrong("discord.mode: http needs http.listen, which is where Discord calls the bot", "discord", "mode")
	}
}

// isNumber reports whether s is an id of Discord's.
func isNumber(s string) bool { return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == "" }

// readable checks that a file is there and may be read.
func (c *checker) readable(key, file string, path ...any) {
	if file == "" {
		return
	}
	f, err := os.Open(file)
	if err != nil {
		c.Wrong(fmt.Sprintf("%s: %s cannot be read: %v", key, file, errors.Unwrap(err)), path...)
		return
	}
	_ = f.Close()
}

func (c *checker) need(s Secret, text string, path ...any) {
	if s == "" {
		c.Wrong(text, path...)
	}
}

func (c *checker) checkURL(key, s string, plainToo bool, path ...any) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.Wrong(key+": it is no address such as https://host", path...)
	case u.Scheme == "http" && !plainToo:
		c.Wrong(key+": http:// sends the token in clear; write https://, or set insecure: true", path...)
	}
}

// checkOrigin is checkURL for what has no path of its own.
func (c *checker) checkOrigin(key, s string, plainToo bool, path ...any) {
	if u, err := url.Parse(s); err == nil && u.Host != "" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil) {
		c.Wrong(key+": write https://, the host and its port, and nothing more", path...)
		return
	}
	c.checkURL(key, s, plainToo, path...)
}

// checkKind says where a token begins as one of another kind does.
func (c *checker) checkKind(s Secret, other, text string, path ...any) {
	if strings.HasPrefix(string(s), other) {
		c.Wrong(text, path...)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fingerprint is 32 pairs of hexadecimal digits, with colons or without.
var fingerprint = regexp.MustCompile(`^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$`)

// IsClusterName reports whether a cluster can have that name.
func IsClusterName(s string) bool { return clusterName.MatchString(s) }

var clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)

func (c *checker) checkClusters(cfg *Config) {
	if len(cfg.Clusters) == 0 {
		c.Wrong("no cluster: add one under clusters", "clusters")
	}
	names := map[string]bool{}
	for i := range cfg.Clusters {
		cl := &cfg.Clusters[i]
		at := func(key string) string { return fmt.Sprintf("clusters[%d].%s", i, key) }
		switch {
		case !IsClusterName(cl.Name):
			c.Wrong(at("name")+": a name of letters, digits, '.', '-' and '_' is needed; it never changes", "clusters", i, "name")
		case names[cl.Name]:
			c.Wrong(at("name")+": there are two clusters "+cl.Name, "clusters", i, "name")
		}
		names[cl.Name] = true
		if len(cl.URLs) == 0 {
			c.Wrong(at("urls")+": an address such as https://pve1:8006 is needed", "clusters", i, "urls")
		}
		for j, u := range cl.URLs {
			c.checkOrigin(fmt.Sprintf("%s[%d]", at("urls"), j), u, cl.Insecure, "clusters", i, "urls", j)
		}
		if user, token, ok := strings.Cut(cl.TokenID, "!"); !ok || token == "" || !strings.Contains(user, "@") {
			c.Wrong(at("token_id")+": write user@realm!token", "clusters", i, "token_id")
		}
		c.need(cl.TokenSecret, at("token_secret")+" is missing, or set PVECHAT_CLUSTERS_NAME_TOKEN_SECRET", "clusters", i, "token_secret")
		for j, pin := range cl.Fingerprints {
			if !fingerprint.MatchString(pin) {
				c.Wrong(fmt.Sprintf("%s[%d]: it is no SHA-256 fingerprint (32 pairs AA:BB:…)", at("fingerprints"), j), "clusters", i, "fingerprints", j)
			}
		}
		if ways := btoi(cl.CAFile != "") + btoi(len(cl.Fingerprints) > 0) + btoi(cl.Insecure); ways > 1 {
			c.Wrong(fmt.Sprintf("clusters[%d]: ca_file, fingerprints and insecure exclude each other; keep one", i), "clusters", i)
		}
		if cl.TokenExpires != "" {
			if _, err := time.Parse(time.DateOnly, cl.TokenExpires); err != nil {
				c.Wrong(fmt.Sprintf("%s: %q is no day such as 2027-01-31", at("token_expires"), cl.TokenExpires), "clusters", i, "token_expires")
			}
		}
		cl.CAFile = c.path(cl.CAFile)
		c.readable(at("ca_file"), cl.CAFile, "clusters", i, "ca_file")
		if s := cl.SSH; s != nil {
			s.Via, s.User, s.Port = cmp.Or(s.Via, "container"), cmp.Or(s.User, "root"), cmp.Or(s.Port, 22)
			if s.Via != "container" && s.Via != "node" {
				c.Wrong(fmt.Sprintf("%s: %q is none of container, node", at("ssh.via"), s.Via), "clusters", i, "ssh", "via")
			}
			if s.Port < 1 || s.Port > 65535 {
				c.Wrong(at("ssh.port")+": it is no port", "clusters", i, "ssh", "port")
			}
			if s.KeyFile == "" {
				c.Wrong(at("ssh.key_file")+" is missing", "clusters", i, "ssh", "key_file")
			}
			if s.KnownHostsFile == "" && s.Via == "node" {
				c.Wrong(at("ssh.known_hosts_file")+" is missing: it has to hold the nodes' host keys", "clusters", i, "ssh", "known_hosts_file")
			}
			s.KeyFile, s.KnownHostsFile = c.path(s.KeyFile), c.path(s.KnownHostsFile)
			c.readable(at("ssh.key_file"), s.KeyFile, "clusters", i, "ssh", "key_file")
		}
	}
}

func (c *checker) checkCredentials(list []CredentialsConfig) {
	if len(list) > 20 {
		c.Wrong("credentials: there are more than 20", "credentials")
	}
	for i, f := range list {
		if err := (guest.CredentialFile{Service: f.Service, Path: f.File}).Check(); err != nil {
			c.Wrong(fmt.Sprintf("credentials[%d]: %v", i, err), "credentials", i)
		}
		for j, s := range f.Containers {
			if _, err := access.ParseSelector(s); err != nil {
				c.Wrong(fmt.Sprintf("credentials[%d].containers[%d]: %v", i, j, err), "credentials", i, "containers", j)
			}
		}
	}
}

func (c *checker) checkDatabase(cfg *Config) {
	raw := string(cfg.Database.URL)
	switch {
	case raw == "":
		c.Wrong("database.url is missing: write sqlite:pvechat.db or postgres://…, or set PVECHAT_DATABASE_URL", "database", "url")
	case strings.HasPrefix(raw, "sqlite:"):
		cfg.Database.URL = Secret("sqlite:" + c.path(strings.TrimPrefix(raw, "sqlite:")))
	case !strings.HasPrefix(raw, "postgres://") && !strings.HasPrefix(raw, "postgresql://"):
		c.Wrong("database.url: it begins with neither sqlite: nor postgres://", "database", "url")
	}
}
