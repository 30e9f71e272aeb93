// Package guest looks inside containers over SSH.
//
// Proxmox has no way to run a command in a container through its API, so a
// [Client] logs in to the container itself, or to its node, where a forced
// command (deploy/pvechat-guest) lets it into some of the containers. It logs
// in with a key only, and only where the host key is known; it asks for no
// terminal, agent, forwarding or environment. Looking runs nothing but programs
// that are part of this package and only read; [Client.Run] and [Client.Put]
// set up a container that pvechat has just made.
//
// What comes back is written by whoever owns the container. It is bounded and
// checked. Errors and log lines quote none of it but the names of files and
// the refusals of the SSH server, escaped and cut short.
package guest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config says how a [Client] logs in. Its zero values stand for what is noted.
type Config struct {
	User string // "root"
	Port int    // 22

	// ViaNode enters containers through their nodes, which are called as in
	// NodeAddrs, or else by their names.
	ViaNode   bool
	NodeAddrs map[string]string

	// Signer proves who we are. Nil: the private key in KeyFile (PEM, without
	// a passphrase), which is read at every login and refused when group or
	// others can do anything with it.
	Signer  ssh.Signer
	KeyFile string

	// KnownHostsFile holds the host keys, in OpenSSH's format (sshd(8),
	// SSH_KNOWN_HOSTS FILE FORMAT; hashed names too, certificates not). It is
	// read at every login. Empty: it knows no host.
	KnownHostsFile string

	// HostKeys knows containers by what they are rather than by where they
	// are, which outlives their addresses. Nil: only the file counts.
	HostKeys HostKeys

	// Timeout bounds each step: to connect, to log in, to run. 10 s.
	Timeout time.Duration

	// Dial connects. Nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// MaxPerNode bounds the connections to the guests of one node at one time.
	// 4. Further calls wait, as long as their ctx allows.
	MaxPerNode int

	Log *slog.Logger // nowhere
}

// HostKeys are host keys that somebody has accepted for a container.
type HostKeys interface {
	// HostKeys returns them as lines of an authorized_keys file.
	HostKeys(ctx context.Context, container string) ([]string, error)
}

// Client logs in to guests. It is safe for concurrent use, and keeps no
// connection between calls.
type Client struct {
	cfg Config

	mu    sync.Mutex
	slots map[string]chan struct{} // by node
}

// New returns a client. It neither connects nor reads a file.
func New(cfg Config) *Client {
	cfg.User = cmp.Or(cfg.User, "root")
	cfg.Port = cmp.Or(cfg.Port, 22)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.MaxPerNode = cmp.Or(cfg.MaxPerNode, 4)
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{cfg: cfg, slots: make(map[string]chan struct{})}
}

// Target is a container and where it can be reached.
type Target struct {
	ID    string // its name in HostKeys; empty: it is not looked up there
	Node  string
	VMID  int
	Addrs []netip.Addr // tried in this order
}

// Ping reports whether a command can be run in the container: it connects,
// checks the host key, logs in and runs true. Its errors are those of
// [Client.Credentials], as far as they come from the connection.
func (c *Client) Ping(ctx context.Context, t Target) error {
	_, err := c.run(ctx, t, command{line: "true"})
	return err
}

// run runs cmd in the container and returns what it printed.
func (c *Client) run(ctx context.Context, t Target, cmd command) (output []byte, err error) {
	start := time.Now()
	defer func() {
		c.cfg.Log.DebugContext(ctx, "ssh", "node", t.Node, "vmid", t.VMID, "command", cmd.line,
			"bytes", len(output), "duration", time.Since(start), "err", err)
	}()

	free, err := c.slot(ctx, t.Node)
	if err != nil {
		return nil, err
	}
	defer free()

	conn, err := c.connect(ctx, t)
	if err != nil && c.cfg.ViaNode {
		return nil, atNode(err)
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if c.cfg.ViaNode {
		cmd.line = fmt.Sprintf("exec %d %s", t.VMID, cmd.line)
	}
	return c.exec(ctx, conn, cmd)
}

// slot waits until the node may have one connection more.
func (c *Client) slot(ctx context.Context, node string) (free func(), err error) {
	c.mu.Lock()
	slots, ok := c.slots[node]
	if !ok {
		slots = make(chan struct{}, c.cfg.MaxPerNode)
		c.slots[node] = slots
	}
	c.mu.Unlock()

	select {
	case slots <- struct{}{}:
		return func() { <-slots }, nil
	case <-ctx.Done():
		return nil, lost("", "waiting for one of the connections to guests of "+node, ctx.Err())
	}
}
