// Package create makes containers from templates: what a person chose, whether
// it can work, and the steps that lead there, which survive a restart.
package create

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/pvechat/pvechat/bot/catalog"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/templates"
	"github.com/pvechat/pvechat/proxmox"
)

// Spec is what is to be made. Its zero values stand for what is noted.
type Spec struct {
	Template string `json:"template"` // id
	Cluster  string `json:"cluster"`
	Node     string `json:"node"`
	VMID     int    `json:"vmid"`  // 0: the next free one
	Fixed    bool   `json:"fixed"` // the VMID was typed: another one will not do
	Hostname string `json:"hostname"`

	Cores   int    `json:"cores"`
	Memory  int64  `json:"memory"` // MiB
	Swap    int64  `json:"swap"`   // MiB
	Disk    int64  `json:"disk"`   // GiB
	Storage string `json:"storage"`

	Bridge     string `json:"bridge"`
	VLAN       int    `json:"vlan"`
	IP         string `json:"ip"` // "dhcp", or an address with its prefix length
	Gateway    string `json:"gateway"`
	Nameserver string `json:"nameserver"` // "": the node's

	Privileged bool     `json:"privileged"`
	Nesting    bool     `json:"nesting"`
	OnBoot     bool     `json:"onboot"`
	Tags       []string `json:"tags"`
	SSHKeys    []string `json:"ssh_keys"` // of people; pvechat's own is added

	Packages bool  `json:"packages"` // install the template's
	Scripts  []int `json:"scripts"`  // which of the template's, in this order
}

// String is the spec as a job keeps it. It holds no secret.
func (s Spec) String() string {
	b, _ := json.Marshal(s) // plain data
	return string(b)
}

// ParseSpec reads what String wrote.
func ParseSpec(text string) (Spec, error) {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Spec{}, fmt.Errorf("create: a spec that cannot be read: %w", err)
	}
	return s, nil
}

// FromTemplate is what a template proposes, on the first place that fits.
func FromTemplate(t templates.Template, cl inventory.Cluster, o catalog.Offer) Spec {
	s := Spec{
		Template: t.ID, Cluster: cl.Name, Cores: t.Resources.Cores, Memory: t.Resources.Memory, Swap: t.Resources.Swap, Disk: t.Resources.Disk,
		VLAN: t.Network.VLAN, IP: "dhcp", Nameserver: t.Network.Nameserver, Privileged: t.Features.Privileged, Nesting: t.Nesting(),
		OnBoot: t.Features.StartAtBoot, Tags: slices.Clone(t.Tags), Packages: true,
	}
	for i := range t.Scripts {
		s.Scripts = append(s.Scripts, i)
	}
	best := int64(-1)
	for _, n := range cl.Nodes {
		if free := n.MaxMem - n.Mem; n.Online && free > best && len(Storages(cl, n.Name)) > 0 {
			best, s.Node = free, n.Name
		}
	}
	return s.Place(s.Node, cl, o)
}

// Place moves the spec to a node: storage and bridge follow where the node does
// not have them.
func (s Spec) Place(node string, cl inventory.Cluster, o catalog.Offer) Spec {
	s.Node = node
	storages := Storages(cl, node)
	if !slices.ContainsFunc(storages, func(st proxmox.Storage) bool { return st.Name == s.Storage }) {
		s.Storage = ""
		if len(storages) > 0 {
			s.Storage = storages[0].Name
		}
	}
	if bridges := o.Bridges[node]; !slices.Contains(bridges, s.Bridge) && len(bridges) > 0 {
		s.Bridge = bridges[0]
	}
	return s
}

// Storages are those of a node that can hold the disks of containers, the one
// with most room first.
func Storages(cl inventory.Cluster, node string) []proxmox.Storage {
	return cl.StoragesFor(node, "rootdir")
}

var (
	hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	tag      = regexp.MustCompile(`^[a-z0-9_][a-z0-9_+.-]{0,40}$`)
	sshKey   = regexp.MustCompile(`^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]+=*( [^\n\r]*)?$`)
)

// Field names what Check is about; they are the ids of a form's inputs.
type Field string

// Fields of a spec.
const (
	FieldTemplate, FieldNode, FieldHostname, FieldVMID  Field = "template", "node", "hostname", "vmid"
	FieldCores, FieldMemory, FieldSwap, FieldDisk       Field = "cores", "memory", "swap", "disk"
	FieldStorage, FieldBridge, FieldVLAN                Field = "storage", "bridge", "vlan"
	FieldIP, FieldGateway, FieldNameserver              Field = "ip", "gateway", "nameserver"
	FieldTags, FieldSSHKeys, FieldOptions, FieldScripts Field = "tags", "ssh_keys", "options", "scripts"
)

// Place is what Check holds a spec against.
type Place struct {
	Template templates.Template
	Cluster  inventory.Cluster
	Offer    catalog.Offer
	Fleet    *inventory.Snapshot
	SSH      bool // pvechat can enter containers of this cluster

	// Addrs are the addresses that a container had when it was last entered;
	// nil: they are not known.
	Addrs func(inventory.ID) []netip.Addr
}

// Record is the record of the container that is to be made.
func (s Spec) Record() inventory.Record {
	return inventory.Record{
		Cluster: s.Cluster, Node: s.Node, VMID: s.VMID, Hostname: s.Hostname, Tags: strings.Join(s.Tags, ";"),
		Addresses: inventory.Addresses(proxmox.Network{Bridge: s.Bridge, VLAN: s.VLAN, IP: s.IP}),
	}
}

// Had returns a container that had the spec's fixed address when it was last
// read or entered; nil where none is known to. Both may be on networks of their
// own.
func (s Spec) Had(p Place) *inventory.Container {
	net, err := netip.ParsePrefix(s.IP)
	if err != nil {
		return nil
	}
	for c := range p.Fleet.WorstFirst() {
		if c.Cluster != s.Cluster || c.Template {
			continue
		}
		if c.HasAddress(net.Addr()) || p.Addrs != nil && c.State == inventory.Running && slices.Contains(p.Addrs(c.ID), net.Addr()) {
			return c
		}
	}
	return nil
}

// Check says what is wrong with a spec, a sentence for each field, from what is
// known without asking Proxmox.
func (s Spec) Check(p Place) map[Field]string {
	wrong := map[Field]string{}
	say := func(f Field, format string, args ...any) {
		if wrong[f] == "" {
			wrong[f] = fmt.Sprintf(format, args...)
		}
	}
	s.checkName(p, say)
	s.checkSize(p, say)
	s.checkNetwork(p, say)
	s.checkPrivileges(p, say)
	for _, t := range s.Tags {
		if !tag.MatchString(t) {
			say(FieldTags, "%.40q is no tag: small letters, digits, '_', '+', '.' and '-'.", t)
		}
	}
	for i, k := range s.SSHKeys {
		if !sshKey.MatchString(k) {
			say(FieldSSHKeys, "Line %d is no public key such as ssh-ed25519 AAAA…", i+1)
		}
	}
	for _, i := range s.Scripts {
		if i < 0 || i >= len(p.Template.Scripts) {
			say(FieldScripts, "There is no script %d.", i+1)
		}
	}
	if (s.Packages && !p.Template.Packages.Empty() || len(s.Scripts) > 0 || len(p.Template.Files) > 0) && !p.SSH {
		say(FieldTemplate, "pvechat has no SSH access to cluster %s, which this template needs. An admin can set clusters[].ssh.", s.Cluster)
	}
	return wrong
}

func (s Spec) checkName(p Place, say func(Field, string, ...any)) {
	if !hostname.MatchString(s.Hostname) {
		say(FieldHostname, "A hostname has 1 to 63 small letters, digits and '-', and begins and ends with a letter or digit.")
	}
	for c := range p.Fleet.WorstFirst() {
		if c.Cluster != s.Cluster {
			continue
		}
		if strings.EqualFold(c.Hostname, s.Hostname) && s.Hostname != "" {
			say(FieldHostname, "%s is taken, by CT %d on %s.", s.Hostname, c.VMID, c.Node)
		}
		if s.VMID != 0 && c.VMID == s.VMID {
			say(FieldVMID, "%d is taken, by %s. Leave it empty for the next free number.", s.VMID, c.DisplayName())
		}
	}
	if s.VMID != 0 && (s.VMID < 100 || s.VMID > 999_999_999) {
		say(FieldVMID, "A VMID is 100 or more. Leave it empty for the next free number.")
	}
	online := slices.ContainsFunc(p.Cluster.Nodes, func(n inventory.Node) bool { return n.Name == s.Node && n.Online })
	if !online {
		say(FieldNode, "Node %s is not there, or down. Choose another one.", cmp.Or(s.Node, "–"))
	}
	if p.Offer.At.IsZero() {
		return // not read yet; the first step looks
	}
	if _, here := p.Offer.On(s.Node, p.Template.OS); here {
		return
	}
	switch _, offered := p.Offer.Download(p.Template.OS); {
	case !offered:
		say(FieldTemplate, "There is no OS template %s on node %s, and Proxmox offers none. Run pveam update on a node.", p.Template.OS, s.Node)
	case online && len(p.Cluster.StoragesFor(s.Node, "vztmpl")) == 0:
		say(FieldNode, "No storage of node %s holds OS templates, and %s is not there. Choose another node.", s.Node, p.Template.OS)
	}
}

func (s Spec) checkSize(p Place, say func(Field, string, ...any)) {
	if s.Cores < 1 || s.Cores > templates.MaxCores {
		say(FieldCores, "1 to %d cores.", templates.MaxCores)
	}
	if s.Memory < templates.MinMemory || s.Memory > templates.MaxMemory {
		say(FieldMemory, "%d to %d MiB.", templates.MinMemory, templates.MaxMemory)
	}
	if s.Swap < 0 || s.Swap > templates.MaxMemory {
		say(FieldSwap, "0 to %d MiB.", templates.MaxMemory)
	}
	if s.Disk < 1 || s.Disk > templates.MaxDisk {
		say(FieldDisk, "1 to %d GiB.", templates.MaxDisk)
	}
	for _, st := range Storages(p.Cluster, s.Node) {
		if st.Name != s.Storage {
			continue
		}
		if free := st.Size - st.Used; s.Disk<<30 > free {
			say(FieldDisk, "%s has %d GiB left.", st.Name, free>>30)
		}
		return
	}
	say(FieldStorage, "Storage %s is not on node %s, or cannot hold disks of containers.", cmp.Or(s.Storage, "–"), s.Node)
}

func (s Spec) checkNetwork(p Place, say func(Field, string, ...any)) {
	if bridges := p.Offer.Bridges[s.Node]; len(bridges) > 0 && !slices.Contains(bridges, s.Bridge) {
		say(FieldBridge, "Bridge %s is not on node %s, or pvechat may not use it.", cmp.Or(s.Bridge, "–"), s.Node)
	}
	if s.Bridge == "" {
		say(FieldBridge, "A bridge is needed. None is known on node %s.", s.Node)
	}
	if s.VLAN < 0 || s.VLAN > 4094 {
		say(FieldVLAN, "1 to 4094, or empty.")
	}
	if s.Nameserver != "" {
		for _, a := range strings.Fields(s.Nameserver) {
			if _, err := netip.ParseAddr(a); err != nil {
				say(FieldNameserver, "%.40q is no address.", a)
			}
		}
	}
	if s.IP == "dhcp" {
		if s.Gateway != "" {
			say(FieldGateway, "With DHCP the gateway comes from there. Leave it empty.")
		}
		return
	}
	net, err := netip.ParsePrefix(s.IP)
	if err != nil || !net.Addr().Is4() {
		say(FieldIP, "Write dhcp, or an address with its prefix length such as 192.168.10.50/24.")
		return
	}
	for c := range p.Fleet.WorstFirst() {
		if c.Cluster == s.Cluster && c.Node == s.Node && !c.Template && c.HasAddressOn(net.Addr(), s.Bridge, s.VLAN) {
			say(FieldIP, "%s is in use, by %s. If it is not any more, open %s once, so that pvechat sees it.", net.Addr(), c.DisplayName(), c.DisplayName())
		}
	}
	if s.Gateway == "" {
		return
	}
	gw, err := netip.ParseAddr(s.Gateway)
	switch {
	case err != nil:
		say(FieldGateway, "%.40q is no address.", s.Gateway)
	case !net.Masked().Contains(gw):
		say(FieldGateway, "%s is not in the network %s.", gw, net.Masked())
	case gw == net.Addr():
		say(FieldGateway, "It is the container's own address.")
	}
}
