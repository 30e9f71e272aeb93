// Package catalog knows what each cluster offers to those who create
// containers: OS templates, those that can be downloaded, and bridges. It is
// read in the background, so that nobody waits for Proxmox to open a form.
package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	Permissions(ctx context.Context) (proxmox.Permissions, error)
	Version(ctx context.Context) (proxmox.Version, error)
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
	At        time.Time           // when it was read; zero: not yet
	Err       error               // why something could not be read, the last time
	Templates []OSTemplate        // that are on storages, by system, the newest of each first
	Downloads []proxmox.Appliance // all that Proxmox offers, plain systems first
	Bridges   map[string][]string // by node
	May       proxmox.Permissions // of the token; nil: not known
	Version   proxmox.Version     // of Proxmox; zero: not known
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

// Storage is the name of the storage.
func (c Copy) Storage() string {
	name, _, _ := strings.Cut(c.Volume, ":")
	return name
}

// On returns the volume of an OS template on a node.
func (t OSTemplate) On(node string) (volume string, ok bool) {
	for _, c := range t.Copies {
		if c.Node == node {
			return c.Volume, true
		}
	}
	return "", false
}

// File is the file's name in a volume's id, such as
// "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst".
func File(volume string) string { return volume[strings.LastIndexByte(volume, '/')+1:] }

// Key stands for a file of a cluster, or a storage of a node, in ids of
// controls: these are short and name nothing.
func Key(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "/")))
	return hex.EncodeToString(sum[:6])
}

// Newest returns of a list the newest whose file name begins with a system's
// name, such as "debian-13-standard".
func Newest[T any](list []T, system string, file func(T) string) (newest T, ok bool) {
	for _, one := range list {
		if strings.HasPrefix(file(one), system) && (!ok || Compare(file(one), file(newest)) > 0) {
			newest, ok = one, true
		}
	}
	return newest, ok
}

// Compare orders files by the numbers in their names: 12.7 comes before 12.12.
func Compare(a, b string) int {
	for a != "" && b != "" {
		x, y := run(a), run(b)
		a, b = a[len(x):], b[len(y):]
		order := strings.Compare(x, y)
		if digit(x[0]) && digit(y[0]) {
			m, n := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			order = cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n))
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Compare(len(a), len(b))
}

// run is the digits, or what is none, that s begins with.
func run(s string) string {
	n := 1
	for n < len(s) && digit(s[n]) == digit(s[0]) {
		n++
	}
	return s[:n]
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// Find returns the newest OS template of a system.
func (o Offer) Find(system string) (OSTemplate, bool) {
	return Newest(o.Templates, system, func(t OSTemplate) string { return t.File })
}

// On returns the newest OS template of a system that a node has.
func (o Offer) On(node, system string) (OSTemplate, bool) {
	return Newest(slices.DeleteFunc(slices.Clone(o.Templates), func(t OSTemplate) bool {
		_, there := t.On(node)
		return !there
	}), system, func(t OSTemplate) string { return t.File })
}

// File returns an OS template by its file, and what Proxmox says of it; what is
// neither here nor offered is false.
func (o Offer) File(file string) (t OSTemplate, a proxmox.Appliance, ok bool) {
	t.File = file
	if i := slices.IndexFunc(o.Templates, func(t OSTemplate) bool { return t.File == file }); i >= 0 {
		t, ok = o.Templates[i], true
	}
	if i := slices.IndexFunc(o.Downloads, func(a proxmox.Appliance) bool { return a.Template == file }); i >= 0 {
		a, ok = o.Downloads[i], true
	}
	return t, a, ok
}

// Missing are those that Proxmox offers and no storage has.
func (o Offer) Missing() []proxmox.Appliance {
	return slices.DeleteFunc(slices.Clone(o.Downloads), func(a proxmox.Appliance) bool {
		return slices.ContainsFunc(o.Templates, func(t OSTemplate) bool { return t.File == a.Template })
	})
}

// Download returns the newest file of a system that Proxmox offers.
func (o Offer) Download(system string) (string, bool) {
	a, ok := Newest(o.Downloads, system, func(a proxmox.Appliance) string { return a.Template })
	return a.Template, ok
}

// Catalog keeps the offers. Its methods are safe for concurrent use.
type Catalog struct {
	cfg  Config
	soon chan string // clusters to be read again

	mu     sync.Mutex
	offers map[string]Offer
}

// New makes a Catalog. It does no I/O.
func New(cfg Config) *Catalog {
	return &Catalog{cfg: cfg, soon: make(chan string, 1), offers: map[string]Offer{}}
}

// Soon has Run read a cluster's offer again, where somebody may just have mended
// it. It never waits.
func (c *Catalog) Soon(cluster string) {
	select {
	case c.soon <- cluster:
	default: // it is reading, or about to
	}
}

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
		case name := <-c.soon:
			c.Refresh(ctx, name)
			continue
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
	if may, err := pve.Permissions(ctx); !failed(err) {
		o.May = may
	}
	if version, err := pve.Version(ctx); !failed(err) {
		o.Version = version
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
		for _, s := range cl.StoragesFor(n.Name, "vztmpl") {
			volumes, err := pve.OSTemplates(ctx, n.Name, s.Name)
			if failed(err) {
				continue
			}
			for _, v := range volumes {
				file := File(v.ID)
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
	for _, t := range files {
		o.Templates = append(o.Templates, *t)
	}
	slices.SortFunc(o.Templates, func(a, b OSTemplate) int { return newestFirst(a.File, b.File) })
	o.Downloads = offered
	slices.SortFunc(o.Downloads, func(a, b proxmox.Appliance) int {
		return cmp.Or(cmp.Compare(plain(b), plain(a)), newestFirst(a.Template, b.Template))
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

// newestFirst orders files by their system, the newest release of each first,
// and of each of its kinds the newest file.
func newestFirst(a, b string) int {
	x, y := parse(a), parse(b)
	return cmp.Or(strings.Compare(x.system, y.system), Compare(y.release, x.release), strings.Compare(x.kind, y.kind), Compare(y.version, x.version))
}

// name is the parts of "debian-13-standard_13.1-2_amd64.tar.zst".
type name struct{ system, release, kind, version string }

func parse(file string) (n name) {
	n.system, n.version, _ = strings.Cut(file, "_")
	n.system, n.kind, _ = strings.Cut(n.system, "-")
	if release, kind, _ := strings.Cut(n.kind, "-"); release != "" && digit(release[0]) {
		n.release, n.kind = release, kind
	}
	return n
}

// plain is 1 for operating systems without anything on top.
func plain(a proxmox.Appliance) int {
	if a.Section == "system" {
		return 1
	}
	return 0
}
