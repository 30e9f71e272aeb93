package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/pvechat/pvechat/storage"
)

// drift knows how the tables of a running bot differ from what they should be.
type drift struct {
	db   *storage.DB
	log  *slog.Logger
	last atomic.Pointer[string]
}

// how says it in a line; "" where they do not differ.
func (d *drift) how() string {
	if s := d.last.Load(); s != nil {
		return *s
	}
	return ""
}

// look compares them. A database that does not answer says nothing of them.
func (d *drift) look(ctx context.Context) {
	st, err := d.db.Status(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.log.WarnContext(ctx, "compare the tables", "err", err)
		}
		return
	}
	var all []string
	for _, x := range st.Drift {
		all = append(all, x.String())
	}
	how := strings.Join(all, "; ")
	if was := d.how(); how != was {
		d.log.WarnContext(ctx, "the tables differ from what they should be", "drift", how, "before", was)
	}
	d.last.Store(&how)
}
