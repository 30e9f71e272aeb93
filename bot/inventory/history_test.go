package inventory_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// deadNode is a cluster of which one node is away.
type deadNode struct{ asked []int }

func (d *deadNode) Tasks(_ context.Context, node string, f proxmox.TaskFilter) ([]proxmox.Task, error) {
	d.asked = append(d.asked, f.VMID)
	if node == "pve2" {
		return nil, &proxmox.APIError{Method: http.MethodGet, Node: node, Status: 595, Reason: "No route to host"}
	}
	return nil, nil
}

// unchanged knows every event already.
type unchanged struct{ inventory.EventStore }

func (unchanged) HasTaskEvents(context.Context, inventory.ID, []string) (map[string]bool, error) {
	return nil, nil
}

func TestANodeThatIsAwayHoldsARefreshUpOnce(t *testing.T) {
	cluster := &deadNode{}
	h := inventory.NewHistory(inventory.HistoryConfig{
		Clusters: map[string]inventory.Tasks{"home": cluster}, Store: unchanged{}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	var changes []inventory.Change
	for vmid, c := range []struct {
		node          string
		before, after inventory.State
	}{
		{"pve2", inventory.Running, inventory.Unknown},
		{"pve2", inventory.Running, inventory.Unknown}, // the node is gone
		{"pve2", inventory.Running, inventory.Stopped},
		{"pve2", inventory.Running, inventory.Stopped},
		{"pve1", inventory.Running, inventory.Stopped},
		{"pve1", inventory.Unknown, inventory.Running},
	} {
		was, is := &inventory.Container{}, &inventory.Container{}
		was.State = c.before
		is.State, is.Cluster, is.Node, is.VMID = c.after, "home", c.node, vmid
		changes = append(changes, inventory.Change{Cluster: "home", Before: was, After: is})
	}
	h.Follow(t.Context(), changes)
	if want := []int{2, 4, 5}; !slices.Equal(cluster.asked, want) {
		t.Errorf("asked for the tasks of %v, want %v", cluster.asked, want)
	}
}
