package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/pvechat/pvechat/bot/chat"
)

const maxUsageHint = 1000

// Manifest returns the app manifest, in YAML, of an app that takes cmds. With
// an httpURL, an https origin, Slack calls the bot there instead of being
// called. See https://docs.slack.dev/reference/app-manifest.
func Manifest(cmds []chat.Command, httpURL string) ([]byte, error) {
	endpoint := func(string) string { return "" }
	if httpURL != "" {
		u, err := url.Parse(httpURL)
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("slack: the address for Slack's requests must begin with https://")
		}
		base := strings.TrimRight(httpURL, "/")
		endpoint = func(path string) string { return base + "/slack/" + path }
	}
	var b strings.Builder
	add := func(indent int, key, value string) {
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", indent), key, value)
	}
	address := func(indent int, key, path string) {
		if to := endpoint(path); to != "" {
			add(indent, key, quote(to))
		}
	}
	b.WriteString("_metadata:\n  major_version: 2\n  minor_version: 1\n")
	b.WriteString("display_information:\n  name: pvechat\n  description: Proxmox containers from chat\n")
	b.WriteString("features:\n")
	b.WriteString("  bot_user:\n    display_name: pvechat\n    always_online: true\n")
	b.WriteString("  app_home:\n    home_tab_enabled: true\n    messages_tab_enabled: true\n    messages_tab_read_only_enabled: true\n")
	b.WriteString("  slash_commands:\n    - command: /pve\n      description: Proxmox containers\n")
	add(3, "usage_hint", quote(usage(cmds)))
	b.WriteString("      should_escape: true\n")
	address(3, "url", "commands")
	b.WriteString("oauth_config:\n  scopes:\n    bot:\n")
	for _, s := range []string{"commands", "chat:write", "im:write", "usergroups:read", "users:read"} {
		b.WriteString("      - " + s + "\n")
	}
	b.WriteString("settings:\n  event_subscriptions:\n")
	address(2, "request_url", "events")
	b.WriteString("    bot_events:\n      - app_home_opened\n")
	b.WriteString("  interactivity:\n    is_enabled: true\n")
	address(2, "request_url", "interactions")
	add(1, "socket_mode_enabled", fmt.Sprint(httpURL == ""))
	b.WriteString("  org_deploy_enabled: false\n  token_rotation_enabled: false\n")
	return []byte(b.String()), nil
}

// usage is what Slack shows while somebody types.
func usage(cmds []chat.Command) string {
	words := make([]string, len(cmds))
	for i, c := range cmds {
		words[i] = c.Name
		for _, o := range c.Options {
			name := strings.ToUpper(o.Name)
			if !o.Required {
				name = "[" + o.Name + "]"
			}
			words[i] += " " + name
		}
	}
	return fill(strings.Join(words, " | "), maxUsageHint)
}

// quote is a YAML string: JSON's quoting is part of YAML.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}
