// Package catalog knows what each cluster offers to those who create
// containers: OS templates, those that can be downloaded, and bridges. It is
// read in the background, so that nobody waits for Proxmox to open a form.
package catalog

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/proxmox"
)

// Source is a cluster to ask; *proxmox.Client is one.
type Source interface {
	OSTemplates(ctx context.Context, node, storage string) ([]proxmox.Volume, error)
	Appliances(ctx context.Context, node string) ([]proxmox.Appliance, error)
	Bridges(ctx context.Context, node string) ([]string, error)
}

// Config is what New needs.
type Config struct {
	Clusters map[string]Source
	Fleet    func() *inventory.Snapshot
	Now      func() time.Time
	Log      *slog.Logger
}

// Offer is what a cluster offers. It is immutable.
type Offer struct {
	At        time.Time // when it was read; zero: not yet
	Err       error     // why something could not be read, the last time
	Templates []OSTemplate
	Downloads []proxmox.Appliance // that are not there yet, plain systems first
	Bridges   map[string][]string // by node
}

// OSTemplate is a template's file, on one storage or several.
type OSTemplate struct {
	File   string // "debian-13-standard_13.1-2_amd64.tar.zst"
	Size   int64  // bytes
	Copies []Copy
}

// Copy is an OS template on a storage of a node. One on a shared storage is
// there for each node.
type Copy struct{ Node, Volume string }

// On returns the volume of an OS template on a node.
func (t OSTemplate) On(node string) (volume string, ok bool) {
	for _, c := range t.Copies {
		if c.Node == node {
			return c.Volume, true
		}
	}
	return "", false
}

// Find returns the newest OS template whose file name begins with a system's
// name, such as "debian-13-standard".
func (o Offer) Find(system string) (OSTemplate, bool) {
	for _, t := range slices.Backward(o.Templates) {
		if strings.HasPrefix(t.File, system) {
			return t, true
		}
	}
	return OSTemplate{}, false
}

// Download returns the newest file for a system that can be downloaded.
func (o Offer) Download(system string) (string, bool) {
	best := ""
	for _, a := range o.Downloads {
		if strings.HasPrefix(a.Template, system) && a.Template > best {
			best = a.Template
		}
	}
	return best, best != ""
}

// Catalog keeps the offers. Its methods are safe for concurrent use.
type Catalog struct {
	cfg Config

	mu     sync.Mutex
	offers map[string]Offer
}

// New makes a Catalog. It does no I/O.
func New(cfg Config) *Catalog { return &Catalog{cfg: cfg, offers: map[string]Offer{}} }

// Times of the background reading.
const (
	every    = 10 * time.Minute
	first    = time.Second // until the nodes are known
	patience = time.Minute
)

// Run reads all offers now and then, until ctx ends.
func (c *Catalog) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		next := every
		for name := range c.cfg.Clusters {
			c.Refresh(ctx, name)
			if c.Of(name).At.IsZero() {
				next = first
			}
		}
		timer.Reset(next)
	}
}

// Of returns what is known of a cluster's offer. It never waits.
func (c *Catalog) Of(cluster string) Offer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offers[cluster]
}

// Refresh reads one cluster's offer. What cannot be read leaves what was known.
func (c *Catalog) Refresh(ctx context.Context, cluster string) {
	pve, ok := c.cfg.Clusters[cluster]
	cl, known := c.cfg.Fleet().Cluster(cluster)
	if !ok || !known || len(cl.Nodes) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before := c.Of(cluster)
	o := Offer{Bridges: maps.Clone(before.Bridges)}
	if o.Bridges == nil {
		o.Bridges = map[string][]string{}
	}
	failed := func(err error) bool {
		if err != nil {
			o.Err = cmp.Or(o.Err, err)
		}
		return err != nil
	}
	files := map[string]*OSTemplate{}
	var offered []proxmox.Appliance
	for _, n := range cl.Nodes {
		if !n.Online {
			continue
		}
		if bridges, err := pve.Bridges(ctx, n.Name); !failed(err) {
			o.Bridges[n.Name] = bridges
		}
		if list, err := pve.Appliances(ctx, n.Name); !failed(err) && len(list) > len(offered) {
			offered = list
		}
		for _, s := range cl.Storages {
			if s.Node != n.Name || s.Status != "available" || !slices.Contains(strings.Split(s.Content, ","), "vztmpl") {
				continue
			}
			volumes, err := pve.OSTemplates(ctx, n.Name, s.Name)
			if failed(err) {
				continue
			}
			for _, v := range volumes {
				file := v.ID[strings.LastIndexByte(v.ID, '/')+1:]
				if files[file] == nil {
					files[file] = &OSTemplate{File: file, Size: v.Size}
				}
				files[file].Copies = append(files[file].Copies, Copy{n.Name, v.ID})
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	if o.Err != nil {
		c.cfg.Log.WarnContext(ctx, "read what a cluster offers for new containers", "cluster", cluster, "err", o.Err)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		o.Templates = append(o.Templates, *files[file])
	}
	for _, a := range offered {
		if files[a.Template] == nil {
			o.Downloads = append(o.Downloads, a)
		}
	}
	slices.SortStableFunc(o.Downloads, func(a, b proxmox.Appliance) int {
		return cmp.Or(-cmp.Compare(plain(a), plain(b)), strings.Compare(a.Template, b.Template))
	})
	if len(files) == 0 && o.Err != nil {
		o.Templates = before.Templates
	}
	if len(offered) == 0 {
		o.Downloads = before.Downloads
	}
	o.At = c.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offers[cluster] = o
}

// plain is 1 for operating systems without anything on top.
func plain(a proxmox.Appliance) int {
	if a.Section == "system" {
		return 1
	}
	return 0
}
