package alerts

import (
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/view"
)

// hour is how long the first press on Mute lasts.
const hour = time.Hour

// words say how something is muted; "" for the zero Mute.
func (m Mute) words() string {
	switch {
	case m.Key == "":
		return ""
	case m.Back:
		return "Muted by " + m.By + " until it is back"
	case m.Until.IsZero():
		return "Muted by " + m.By + " for ever"
	}
	return "Muted by " + m.By + " until " + m.Until.UTC().Format("15:04 UTC")
}

// mutes are those that are in force, by key.
func (a *Alerts) mutes(ctx context.Context) map[string]Mute {
	list, err := a.cfg.Store.Mutes(ctx)
	if err != nil {
		a.failed(ctx, "read the mutes", err)
	}
	in := map[string]Mute{}
	for _, m := range list {
		if m.Until.IsZero() || a.cfg.Now().Before(m.Until) {
			in[m.Key] = m
			continue
		}
		if err := a.cfg.Store.DropMute(ctx, m.Key); err != nil {
			a.failed(ctx, "end a mute", err)
		}
	}
	return in
}

// About returns the container of an incident ("" where it is about none, or
// several), and whether there is such an incident.
func (a *Alerts) About(ctx context.Context, id string) (container inventory.ID, members []inventory.ID, found bool, err error) {
	i, found, err := a.cfg.Store.Incident(ctx, id)
	for _, m := range i.Members {
		members = append(members, m.ID)
	}
	return i.Alert.Container, members, found, err
}

// How long a mute lasts.
const (
	ForAnHour = "hour"
	UntilBack = "back"
	ForEver   = "ever"
)

// Mute keeps the key of an incident from being told. It returns the alert and
// how it is muted, in words; found is false for an incident that is not known.
func (a *Alerts) Mute(ctx context.Context, id, how, by string) (alert view.Alert, words string, found bool, err error) {
	i, found, err := a.cfg.Store.Incident(ctx, id)
	if err != nil || !found {
		return alert, "", found, err
	}
	m := Mute{Key: i.Key, Incident: i.ID, Title: i.Alert.Title, By: by, At: a.cfg.Now()}
	switch how {
	case UntilBack:
		if m.Back = true; !i.ClosedAt.IsZero() {
			return alert, "", false, nil
		}
	case ForEver:
	default:
		m.Until = m.At.Add(hour)
	}
	if err := a.cfg.Store.SetMute(ctx, m); err != nil {
		return alert, "", true, err
	}
	a.later(func(context.Context) { a.mine[i.ID] = true })
	a.cfg.Log.InfoContext(ctx, "alert muted", "incident", id, "key", i.Key, "how", how, "by", by)
	return i.Alert, m.words(), true, nil
}

// Unmute lets the key of an incident be told again.
func (a *Alerts) Unmute(ctx context.Context, id string) (alert view.Alert, found bool, err error) {
	i, found, err := a.cfg.Store.Incident(ctx, id)
	if err == nil && found {
		err = a.cfg.Store.DropMute(ctx, i.Key)
		a.later(func(context.Context) { a.mine[i.ID] = true })
	}
	return i.Alert, found, err
}

// Now returns what is wrong, and what is muted without being wrong.
func (a *Alerts) Now(ctx context.Context) (open, muted []view.Alert, err error) {
	incidents, err := a.cfg.Store.OpenIncidents(ctx)
	if err != nil {
		return nil, nil, err
	}
	mutes, err := a.cfg.Store.Mutes(ctx)
	if err != nil {
		return nil, nil, err
	}
	is := map[string]bool{}
	for _, i := range incidents {
		is[i.Key] = true
		open = append(open, i.Alert)
	}
	for _, m := range mutes {
		if !is[m.Key] && (m.Until.IsZero() || a.cfg.Now().Before(m.Until)) {
			muted = append(muted, view.Alert{ID: m.Incident, Title: m.Title, Muted: m.words()})
		}
	}
	return open, muted, nil
}
