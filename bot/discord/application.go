package discord

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Permissions that the bot is invited with. See
// https://docs.discord.com/developers/topics/permissions.
const invited = 1<<10 | // view channels
	1<<11 | // send messages
	1<<15 | // attach files: graphs
	1<<16 | // read message history: to edit a board, and to answer a message
	1<<38 // send messages in threads

// Invite is the link with which somebody who manages a server adds the bot of an
// application to it.
func Invite(applicationID string) string {
	q := url.Values{"client_id": {applicationID}, "scope": {"bot applications.commands"}, "permissions": {strconv.Itoa(invited)}}
	return "https://discord.com/oauth2/authorize?" + q.Encode()
}

// Application is what a bot token belongs to.
type Application struct {
	ID        string `json:"id"`
	PublicKey string `json:"verify_key"` // for HTTP mode
}

// FindApplication asks Discord which application the token of cfg belongs to;
// refused reports whether it is not accepted. The other ids of cfg are not
// needed.
func FindApplication(ctx context.Context, cfg Config) (app Application, refused bool, err error) {
	cfg.ApplicationID = "0" // what is not known yet
	a, err := New(cfg)
	if err != nil {
		return Application{}, false, err
	}
	err = a.call(ctx, request{http.MethodGet, "applications/@me", "/applications/@me", "applications"}, nil, &app)
	return app, status(err) == http.StatusUnauthorized, err
}
