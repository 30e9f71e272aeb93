package guest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// connection is a login at a guest.
type connection struct {
	*ssh.Client
	addr string
}

// connect logs in at the first address of t that works. If none does, it
// returns the error of the one that got furthest.
func (c *Client) connect(ctx context.Context, t Target) (*connection, error) {
	signer, err := c.signer()
	if err != nil {
		return nil, err
	}
	hosts, err := c.knownHosts(ctx, t)
	if err != nil {
		return nil, err
	}
	furthest := &Error{Kind: NoAddress, Err: fmt.Errorf("container %d has no address to log in at", t.VMID)}
	for _, addr := range c.places(t) {
		conn, err := c.login(ctx, addr, signer, hosts)
		if err == nil {
			return conn, nil
		}
		failed, ok := errors.AsType[*Error](err)
		if !ok || failed.Kind.final() {
			return nil, err
		}
		c.cfg.Log.DebugContext(ctx, "ssh address", "vmid", t.VMID, "err", err)
		if furthest.Addr == "" || failed.Kind.reached() > furthest.Kind.reached() {
			furthest = failed
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, furthest
}

// places are where t can be entered, as host:port.
func (c *Client) places(t Target) []string {
	port := strconv.Itoa(c.cfg.Port)
	if c.cfg.ViaNode {
		return []string{net.JoinHostPort(cmp.Or(c.cfg.NodeAddrs[t.Node], t.Node), port)}
	}
	var list []string
	for _, ip := range t.Addrs {
		if ip.IsValid() {
			list = append(list, net.JoinHostPort(ip.Unmap().String(), port))
		}
	}
	return list
}

// login connects to addr, checks its host key and authenticates.
func (c *Client) login(ctx context.Context, addr string, signer ssh.Signer, hosts knownHosts) (*connection, error) {
	wire, err := c.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	var host atomic.Pointer[error] // the verdict on its key; nil before it showed one
	config := &ssh.ClientConfig{
		User:              c.cfg.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyAlgorithms: hosts.algorithms(addr),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			err := hosts.verify(addr, key)
			host.Store(&err)
			return err
		},
	}
	var client *ssh.Client
	err = c.step(ctx, wire, func() error {
		conn, channels, requests, err := ssh.NewClientConn(wire, addr, config)
		if err == nil {
			client = ssh.NewClient(conn, channels, requests)
		}
		return err
	})
	verdict := host.Load()
	switch {
	case err == nil:
		return &connection{client, addr}, nil
	case verdict != nil && *verdict != nil:
		return nil, *verdict
	case verdict != nil && !cut(err):
		return nil, &Error{Kind: Auth, Addr: addr, Err: fmt.Errorf("as %s with %s: %w",
			c.cfg.User, ssh.FingerprintSHA256(signer.PublicKey()), brief{err})}
	default:
		return nil, lost(addr, "logging in", err)
	}
}

func (c *Client) dial(ctx context.Context, addr string) (net.Conn, error) {
	step, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	wire, err := c.cfg.Dial(step, "tcp", addr)
	if err != nil {
		return nil, lost(addr, "connecting", cmp.Or(step.Err(), err))
	}
	return wire, nil
}

// step runs fn for the time of one step at most: wire is closed when that or
// ctx ends, so nothing that fn does on it can take longer. It then returns
// the error of the ctx, and wire is of no more use.
func (c *Client) step(ctx context.Context, wire io.Closer, fn func() error) error {
	return c.within(ctx, c.cfg.Timeout, wire, fn)
}

func (c *Client) within(ctx context.Context, d time.Duration, wire io.Closer, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { wire.Close() })
	err := fn()
	if !stop() {
		return ctx.Err()
	}
	return err
}
