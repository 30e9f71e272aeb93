package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pvechat/pvechat/bot/access"
	"github.com/pvechat/pvechat/bot/inventory"
	"github.com/pvechat/pvechat/bot/jobs"
	"github.com/pvechat/pvechat/proxmox"
)

// Proxmox is a cluster's API; *proxmox.Client is one.
type Proxmox interface {
	Version(ctx context.Context) (proxmox.Version, error)
	Quorate(ctx context.Context) (bool, error)
	Permissions(ctx context.Context) (proxmox.Permissions, error)
	Resources(ctx context.Context) (proxmox.Resources, error)
	Certificates(ctx context.Context) map[string]time.Time
}

// Cluster is one cluster, and the way into its containers.
type Cluster struct {
	Name     string
	Alone    bool // it is the only one: lines need not name it
	API      Proxmox
	TokenID  string
	Hosts    []string  // host:port of every address with TLS
	Insecure bool      // nothing is verified
	Expires  time.Time // of the token; zero: it does not, or nobody said

	// Last is what a running bot saw of it; nil: the cluster is asked.
	Last func() inventory.Cluster

	// On counts the containers of a node; nil: nobody knows.
	On func(node string) int

	// Allowed says whether the access rules allow something to anybody; nil:
	// everything is.
	Allowed func(access.Permission) bool

	// SSH tries the files with which containers are entered; nil: they are
	// not.
	SSH     func() error
	KeyFile string
}

// Limits of the clocks, and how long before its end a certificate or token is
// told.
const (
	skewSeen = 30 * time.Second
	skewBad  = 5 * time.Minute
	endsSoon = 14 * 24 * time.Hour
)

// called is "Proxmox", or with several clusters "Proxmox home".
func (c Cluster) called() string {
	if c.Alone {
		return "Proxmox"
	}
	return "Proxmox " + c.Name
}

// known is what a running bot remembers of it.
func (c Cluster) known(now time.Time) []Check {
	if c.Last == nil {
		return nil
	}
	last := c.Last()
	head := Check{Name: "cluster/" + c.Name, Title: c.called(), State: Good, Detail: nodes(last.Nodes), Since: last.At}
	switch {
	case last.Stale():
		head = c.unreachable(last.Err)
		head.Since = last.Since
	case last.At.IsZero():
		return nil
	}
	list := append([]Check{head}, c.down(last.Nodes)...)
	return append(append(list, c.clock(last.Skew)...), c.token(now)...)
}

// ask asks it.
func (c Cluster) ask(ctx context.Context, now time.Time) []Check {
	began := time.Now()
	version, err := c.API.Version(ctx)
	if err != nil {
		return append([]Check{c.unreachable(err)}, c.token(now)...)
	}
	took := time.Since(began)
	quorate, quorum := c.API.Quorate(ctx)
	seen, skew, err := c.seen(ctx)
	if err != nil {
		return append([]Check{c.unreachable(err)}, c.token(now)...)
	}
	head := Check{Name: "cluster/" + c.Name, Title: c.called(), State: Good}
	facts := version.Version
	if quorum == nil && quorate {
		facts += " · quorate, " + nodes(seen)
	} else {
		facts += " · " + nodes(seen)
	}
	head.Detail = fmt.Sprintf("%s · %d ms", facts, took.Milliseconds())
	var list []Check
	if quorum == nil && !quorate {
		list = append(list, Check{
			Name: "quorum/" + c.Name, Title: c.called() + " has no quorum", State: Bad, Detail: nodes(seen) + " answer; nothing can be changed",
			Fix: "Bring its other nodes back: more than half of them have to be up. Reading goes on.",
		})
	}
	list = append(list, c.down(seen)...)
	list = append(list, c.clock(skew)...)
	until, certificates := c.certificates(ctx, now)
	list = append(append(list, certificates...), c.token(now)...)
	list = append(list, c.privileges(ctx)...)
	head.Detail = joined(head.Detail, until)
	return append([]Check{head}, list...)
}

// seen returns the nodes and how far the clock is ahead of ours.
func (c Cluster) seen(ctx context.Context) ([]inventory.Node, time.Duration, error) {
	if c.Last != nil {
		if last := c.Last(); !last.Stale() && !last.At.IsZero() {
			return last.Nodes, last.Skew, nil
		}
	}
	res, err := c.API.Resources(ctx)
	if err != nil {
		return nil, 0, err
	}
	var list []inventory.Node
	for _, n := range res.Nodes {
		list = append(list, inventory.Node{Name: n.Name, Online: n.Status == "online"})
	}
	return list, time.Until(res.At), nil
}

func nodes(list []inventory.Node) string {
	online := 0
	for _, n := range list {
		if n.Online {
			online++
		}
	}
	if len(list) == 1 && online == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d of %d nodes", online, len(list))
}

func (c Cluster) down(list []inventory.Node) []Check {
	var found []Check
	for _, n := range list {
		if n.Online {
			continue
		}
		fix := "Look at its power and network. Its containers cannot be reached."
		if c.On != nil {
			switch on := c.On(n.Name); on {
			case 0:
				fix = "Look at its power and network. It has no containers."
			case 1:
				fix = "Look at its power and network. Its container cannot be reached."
			default:
				fix = fmt.Sprintf("Look at its power and network. Its %d containers cannot be reached.", on)
			}
		}
		found = append(found, Check{
			Name: "node/" + c.Name + "/" + n.Name, Title: "Node " + n.Name + " does not answer", State: Bad, Detail: "the rest of its cluster sees it offline", Since: n.Since, Fix: fix,
		})
	}
	return found
}

func (c Cluster) clock(skew time.Duration) []Check {
	by := skew.Abs().Round(time.Second)
	if by <= skewSeen {
		return nil
	}
	found := Check{Name: "clock/" + c.Name, State: Warning, Title: "The clocks of pvechat and " + c.called() + " differ", Detail: "its clock is " + by.String() + " ahead of ours"}
	if skew < 0 {
		found.Detail = "its clock is " + by.String() + " behind ours"
	}
	if by > skewBad {
		found.State = Bad
	}
	found.Fix, found.Command = "Set both by NTP; look at each machine with:", "timedatectl status"
	return []Check{found}
}

func (c Cluster) token(now time.Time) []Check {
	if c.Expires.IsZero() || c.Expires.Sub(now) > endsSoon {
		return nil
	}
	found := Check{
		Name: "token/" + c.Name, Title: "The token of " + c.called() + " expires soon", State: Warning, Detail: c.TokenID + ", " + c.Expires.Format(time.DateOnly),
		Fix: "Let it live longer, and set token_expires to the new day:",
	}
	if !c.Expires.After(now) {
		found.State, found.Title = Bad, "The token of "+c.called()+" has expired"
	}
	user, name, _ := strings.Cut(c.TokenID, "!")
	found.Command = fmt.Sprintf("pveum user token modify %s %s --expire %d", user, name, now.AddDate(1, 0, 0).Unix())
	return []Check{found}
}

// certificates also returns until when the first that ends is valid.
func (c Cluster) certificates(ctx context.Context, now time.Time) (until string, list []Check) {
	if c.Insecure {
		return "", []Check{{
			Name: "certificate/" + c.Name, Title: "The certificate of " + c.called() + " is not checked", State: Warning, Detail: "insecure: true; anybody on the way can read the token",
			Fix: "Name the certificate in fingerprints instead; its node shows it with:", Command: "pvenode cert info",
		}}
	}
	ends := c.API.Certificates(ctx)
	var first time.Time
	for _, host := range slices.Sorted(maps.Keys(ends)) {
		at := ends[host]
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.Sub(now) > endsSoon {
			continue
		}
		found := Check{
			Name: "certificate/" + c.Name + "/" + host, Title: "The certificate of " + host + " expires soon", State: Warning, Detail: "it is valid until " + at.Format(time.DateOnly),
			Fix: "Renew it on that node, and name the new one where fingerprints are pinned:", Command: "pvecm updatecerts --force",
		}
		if !at.After(now) {
			found.State, found.Title, found.Detail = Bad, "The certificate of "+host+" has expired", "it was valid until "+at.Format(time.DateOnly)
		}
		list = append(list, found)
	}
	for _, host := range c.Hosts {
		if _, ok := ends[host]; !ok && ctx.Err() == nil {
			list = append(list, Check{
				Name: "address/" + c.Name + "/" + host, Title: "Address " + host + " cannot be used", State: Warning, Detail: "it does not answer, or its certificate is not one that is trusted",
				Fix: "Look at that node; the other addresses of " + c.Name + " are used meanwhile.",
			})
		}
	}
	if !first.IsZero() {
		until = "certificate until " + first.Format(time.DateOnly)
	}
	return until, list
}

// unreachable says why nothing could be asked.
func (c Cluster) unreachable(err error) Check {
	found := Check{
		Name: "cluster/" + c.Name, Title: c.called() + " does not answer", State: Bad, Detail: jobs.Reason(err),
		Fix: "Look whether the nodes are up, and at the network between pvechat and them.",
	}
	if errors.Is(err, proxmox.ErrUnauthorized) {
		user, name, _ := strings.Cut(c.TokenID, "!")
		found.Title = c.called() + " refuses the token"
		found.Fix = fmt.Sprintf("Check token_id and token_secret of %s, and that %s still exists and has not expired:", c.Name, name)
		found.Command = "pveum user token list " + user
	}
	if lost, ok := errors.AsType[*proxmox.TransportError](err); ok {
		switch lost.Failure() {
		case proxmox.FailureTLS:
			found.Title = c.called() + " shows another certificate"
			found.Fix = "Compare the certificate on the node with fingerprints or ca_file of " + c.Name + ":"
			found.Command = "pvenode cert info"
			if pin, ok := errors.AsType[*proxmox.PinError](err); ok {
				found.Detail += "; it is " + pin.Seen
				found.Fix = "If the node shows this very fingerprint, add it to fingerprints of " + c.Name + "; if not, somebody is between:"
			}
		case proxmox.FailureDNS:
			found.Fix = "Check the address in urls of " + c.Name + ", and the name server."
		case proxmox.FailureRefused:
			found.Fix = "Start pveproxy on that node, or correct its address in urls:"
			found.Command = "systemctl status pveproxy"
		}
	}
	return found
}

// need is what something takes, and what is missing without it.
type need struct {
	at         string
	privileges []string
	uses       []access.Permission // nobody needs it where nobody has one of these
	state      State
	without    string
}

// needs are those of the role that docs/security.md makes.
var needs = []need{
	{"/vms", []string{"VM.Audit"}, []access.Permission{access.View}, Bad, "no container is seen"},
	{"/vms", []string{"VM.PowerMgmt"}, []access.Permission{access.Operate}, Bad, "start, shut down, restart and stop are refused"},
	{"/vms", []string{"VM.Allocate"}, []access.Permission{access.Delete, access.Create}, Bad, "delete and create are refused"},
	{"/vms", []string{"VM.Config.CPU", "VM.Config.Memory", "VM.Config.Disk", "VM.Config.Network", "VM.Config.Options"}, []access.Permission{access.Create}, Bad, "create is refused"},
	{"/storage", []string{"Datastore.AllocateSpace"}, []access.Permission{access.Create}, Bad, "create is refused"},
	{"/sdn", []string{"SDN.Use"}, []access.Permission{access.Create}, Bad, "create is refused"},
	{"/storage", []string{"Datastore.Audit"}, []access.Permission{access.Create, access.Delete}, Warning, "neither OS templates nor what a deletion leaves behind are found"},
	{"/storage", []string{"Datastore.AllocateTemplate"}, []access.Permission{access.Create}, Warning, "OS templates are not downloaded"},
	{"/", []string{"Sys.Audit"}, []access.Permission{access.View}, Warning, "nodes are seen without their load, and neither their tasks nor the quorum"},
}

// Privileges are those that a token needs, on /, for what somebody is allowed
// to do; allowed as in [Cluster].
func Privileges(allowed func(access.Permission) bool) []string {
	var list []string
	for _, n := range needs {
		if allowed == nil || slices.ContainsFunc(n.uses, allowed) {
			list = append(list, n.privileges...)
		}
	}
	return list
}

// Grant is what makes a user, a role of these privileges and a token on
// Proxmox: commands to be run on a node as root.
func Grant(tokenID string, privileges []string) string {
	user, token, _ := strings.Cut(tokenID, "!")
	return fmt.Sprintf(`pveum role add pvechat --privs "%s"
pveum user add %s
pveum acl modify / --users %s --roles pvechat
pveum user token add %s %s --privsep 1
pveum acl modify / --tokens '%s' --roles pvechat
`, strings.Join(privileges, " "), user, user, user, token, tokenID)
}

// privileges names what the token lacks.
func (c Cluster) privileges(ctx context.Context) []Check {
	name := "privileges/" + c.Name
	have, err := c.API.Permissions(ctx)
	if err != nil {
		return []Check{{
			Name: name, Title: "What the token of " + c.called() + " may do cannot be read", State: Warning, Detail: jobs.Reason(err), Fix: "Run it again in a minute.",
		}}
	}
	var list []Check
	for _, n := range needs {
		if c.Allowed != nil && !slices.ContainsFunc(n.uses, c.Allowed) {
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(n.privileges), func(p string) bool { return granted(have, n.at, p) })
		if len(lacks) == 0 {
			continue
		}
		found := Check{
			Name: name + "/" + lacks[0], Title: "The token of " + c.called() + " lacks " + strings.Join(lacks, ", "), State: n.state, Detail: "on " + n.at + ": " + n.without,
			Fix: fmt.Sprintf("Grant it to %s, on a node as root:", c.TokenID), Command: "pveum role modify pvechat --append 1 --privs " + strings.Join(lacks, ","),
		}
		if !inherited(have, n.at) {
			user, _, _ := strings.Cut(c.TokenID, "!")
			found.Command += fmt.Sprintf(" && pveum acl modify %s --users %s --roles pvechat && pveum acl modify %s --tokens '%s' --roles pvechat", n.at, user, n.at, c.TokenID)
		}
		list = append(list, found)
	}
	if len(list) == 0 {
		title := "Privileges"
		if !c.Alone {
			title += " on " + c.Name
		}
		return []Check{{Name: name, Title: title, State: Good, Detail: "all that the access rules need"}}
	}
	return list
}

// inherited reports whether what the token may do at a path comes from above:
// then a role that is changed is changed there too. An entry of the path's own
// takes the place of those above it. Proxmox lists the paths of [needs]
// whenever the token may do anything there.
func inherited(have proxmox.Permissions, at string) bool {
	return len(have[at]) > 0 && maps.EqualFunc(have[at], have["/"], func(bool, bool) bool { return true })
}

// granted reports whether the token has a privilege at a path, or at something
// below it: it may be limited to a pool, to some containers or storages.
func granted(have proxmox.Permissions, at, privilege string) bool {
	if have.Has(at, privilege) {
		return true
	}
	for path, privileges := range have {
		below := at != "/" && strings.HasPrefix(path, at+"/") || at == "/vms" && strings.HasPrefix(path, "/pool/")
		if _, ok := privileges[privilege]; ok && below {
			return true
		}
	}
	return false
}

// ssh tries the files of the way into containers.
func (c Cluster) ssh() []Check {
	name, title := "ssh/"+c.Name, "SSH"
	if !c.Alone {
		title += " on " + c.Name
	}
	if c.SSH == nil {
		return []Check{{Name: name, Title: title, State: Good, Detail: "not set up: services and credentials are not read"}}
	}
	err := c.SSH()
	if err == nil {
		return []Check{{Name: name, Title: title, State: Good, Detail: "key " + filepath.Base(c.KeyFile) + " readable by nobody else, known hosts read"}}
	}
	found := Check{Name: name, Title: "No container of " + c.Name + " can be entered", State: Bad, Detail: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Fix = "Put the file there, or correct key_file and known_hosts_file of ssh."
	case strings.Contains(err.Error(), "chmod"):
		found.Fix, found.Command = "Let nobody else read the key:", "chmod 600 "+c.KeyFile
	default:
		found.Fix = "Put a key without a passphrase there, and known hosts in OpenSSH's format, both readable by pvechat."
	}
	return []Check{found}
}
