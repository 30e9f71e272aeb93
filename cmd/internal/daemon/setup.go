package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/doctor"
	"github.com/pvechat/pvechat/bot/view"
)

// Setup looks at what a configuration names while it is being made: it may lack
// everything but a platform or a cluster.
type Setup struct{ d *Daemon }

// NewSetup does no I/O.
func NewSetup(cfg Config, log *slog.Logger) (*Setup, error) {
	d, err := New(cfg, log)
	if err != nil {
		return nil, err
	}
	return &Setup{d}, nil
}

// Examine lets the doctor look at the clusters and the platforms.
func (s *Setup) Examine(ctx context.Context) doctor.Report {
	what := s.d.examined(nil, nil, nil, nil)
	what.Tables, what.Secrets, what.Templates = nil, nil, nil
	return doctor.New(what).Run(ctx)
}

// Known reports as an error that an access rule names somebody who could not
// act.
func (s *Setup) Known(ctx context.Context) error {
	for _, p := range s.d.platforms {
		odd, err := p.(directory).Standing(ctx, usersOn(p.Name(), s.d.rules.Rules()), nil)
		if err != nil {
			return err
		}
		for _, id := range slices.Sorted(maps.Keys(odd)) {
			return fmt.Errorf("%s: %s", id, odd[id])
		}
	}
	return nil
}

// Greet posts to the ops channels that they are ones.
func (s *Setup) Greet(ctx context.Context) error {
	for _, p := range s.d.platforms {
		if to := s.d.ops()[p.Name()]; to != "" {
			if _, err := p.Post(ctx, chat.Target{Channel: to}, view.Greeting()); err != nil {
				return err
			}
		}
	}
	return nil
}
