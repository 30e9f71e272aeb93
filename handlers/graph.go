package handlers

import (
	"cmp"
	"context"
	"time"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/bot/graph"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/bot/view"
	"github.com/pvechat/pvechat/proxmox"
)

// graphPatience is how long Proxmox may take for the figures of a graph.
const graphPatience = 15 * time.Second

// graph draws what Proxmox recorded of a container, for the person alone.
func (h *Handlers) graph(_ context.Context, r *Request) chat.Answer {
	c := r.Container
	if !r.Space.Pictures {
		return chat.Answer{Now: view.Refused("The graph cannot be shown here.", "This platform shows a file to the whole channel, or to nobody. The last hour stands in the container's overview.")}
	}
	frame := proxmox.Timeframe(cmp.Or(r.Arg, string(proxmox.Hour)))
	_, _, _, _, isDetail := view.ParseDetailState(r.State)
	return chat.Answer{
		Now: view.Graph(c, frame, nil, nil), InPlace: !isDetail,
		Then: func(ctx context.Context) (chat.Surface, error) {
			ctx, cancel := context.WithTimeout(ctx, graphPatience)
			defer cancel()
			samples, err := h.Clusters[c.Cluster].Samples(ctx, c.Ref(), frame)
			if err != nil {
				h.Log.WarnContext(ctx, "read the figures of a graph", "request", r.ID, "container", c.ID, "err", err)
				return view.Trouble{What: "The figures of " + c.DisplayName() + " could not be read", Why: jobs.Reason(err), Do: "Try again in a minute.", Request: r.ID}.Message(), nil
			}
			png, err := graph.Draw(samples, frame, time.UTC)
			if err != nil {
				return nil, err
			}
			return view.Graph(c, frame, samples, png), nil
		},
	}
}
