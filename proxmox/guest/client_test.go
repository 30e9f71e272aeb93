package guest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/pvechat/pvechat/proxmox/guest"
	"github.com/pvechat/pvechat/proxmox/guest/guesttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	addr1 = netip.MustParseAddr("10.0.0.1")
	addr2 = netip.MustParseAddr("10.0.0.2")
	addr3 = netip.MustParseAddr("fd00::3")
)

func target(addrs ...netip.Addr) guest.Target {
	return guest.Target{Node: "pve1", VMID: 101, Addrs: addrs}
}

// lan is a server with a running guest at addr1, and the settings of a client
// that may log in there.
type lan struct {
	*guesttest.Server
	cfg guest.Config
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{Server: &guesttest.Server{Errorf: t.Errorf}}
	t.Cleanup(func() { l.Close() })
	l.Put(addr1, guesttest.Guest{})
	l.cfg = guest.Config{Signer: guesttest.NewKey(), KnownHostsFile: filepath.Join(t.TempDir(), "known_hosts"), Dial: l.Dial}
	l.know(t)
	return l
}

// know writes down the host keys of the guests that are there now.
func (l *lan) know(t *testing.T) { write(t, l.cfg.KnownHostsFile, l.KnownHosts(22), 0o600) }

func write(t *testing.T, file string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(file, content, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

func TestPingLogsInAndLeavesNothingOpen(t *testing.T) {
	l := newLAN(t)
	if err := guest.New(l.cfg).Ping(t.Context(), target(addr1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.AwaitIdle(ctx); err != nil {
		t.Error(err)
	}
}

func TestPingTellsWhatIsWrong(t *testing.T) {
	type setup struct {
		*lan
		t  *testing.T
		to *guest.Target
	}
	keyFile := func(content []byte, mode os.FileMode) func(setup) {
		return func(s setup) {
			s.cfg.Signer = nil
			s.cfg.KeyFile = filepath.Join(s.t.TempDir(), "id")
			write(s.t, s.cfg.KeyFile, content, mode)
		}
	}
	sealed, err := ssh.MarshalPrivateKeyWithPassphrase(ecKey(t), "", []byte("passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		arrange func(setup)
		kind    guest.Kind
		says    string
		after   time.Duration
	}{
		"no address":              {func(s setup) { s.to.Addrs = nil }, guest.NoAddress, "container 101", 0},
		"an address that is none": {func(s setup) { s.to.Addrs = []netip.Addr{{}} }, guest.NoAddress, "container 101", 0},
		"nobody at the address":   {func(s setup) { s.to.Addrs = []netip.Addr{addr2} }, guest.NoRoute, "10.0.0.2:22", 0},
		"nothing listens":         {func(s setup) { s.Put(addr1, guesttest.Guest{Down: true}) }, guest.Refused, "10.0.0.1:22", 0},
		"a name that does not resolve": {func(s setup) {
			s.cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "pve9", IsNotFound: true}}
			}
		}, guest.DNS, "pve9", 0},
		"packets that vanish": {func(s setup) {
			s.cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, errors.New("i/o timeout")
			}
		}, guest.Timeout, "connecting", 10 * time.Second},
		"a host that says nothing":       {func(s setup) { s.Put(addr1, guesttest.Guest{Silent: true}) }, guest.Timeout, "logging in", 10 * time.Second},
		"a host that hangs up":           {func(s setup) { s.cfg.Dial = speak("") }, guest.Broken, "logging in", 0},
		"a host that speaks no SSH":      {func(s setup) { s.cfg.Dial = speak("HTTP/1.1 400 Bad Request\r\n\r\n") }, guest.Broken, "logging in", 0},
		"a host that nobody wrote down":  {func(s setup) { write(s.t, s.cfg.KnownHostsFile, nil, 0o600) }, guest.HostKeyUnknown, "ssh-ed25519 SHA256:", 0},
		"no file of known hosts":         {func(s setup) { os.Remove(s.cfg.KnownHostsFile) }, guest.HostKeyUnknown, "no such file", 0},
		"no file of known hosts is set":  {func(s setup) { s.cfg.KnownHostsFile = "" }, guest.HostKeyUnknown, "is set", 0},
		"a broken file of known hosts":   {func(s setup) { write(s.t, s.cfg.KnownHostsFile, []byte("#\nx y z\n"), 0o600) }, guest.HostKeyUnknown, ":2:", 0},
		"another host key":               {func(s setup) { s.Put(addr1, guesttest.Guest{HostKeys: []ssh.Signer{guesttest.NewKey()}}) }, guest.HostKeyChanged, "known_hosts line 1 has ssh-ed25519 SHA256:", 0},
		"a host key of another kind now": {func(s setup) { s.Put(addr1, guesttest.Guest{HostKeys: []ssh.Signer{ecSigner(s.t)}}) }, guest.HostKeyChanged, "it is ecdsa-sha2-nistp256", 0},
		"a host key that was revoked": {func(s setup) {
			_, key, _ := strings.Cut(string(s.KnownHosts(22)), " ")
			write(s.t, s.cfg.KnownHostsFile, []byte("@revoked * "+key), 0o600)
		}, guest.HostKeyChanged, "revoked", 0},
		"a key that is not let in": {func(s setup) {
			s.Put(addr1, guesttest.Guest{Keys: []ssh.PublicKey{guesttest.NewKey().PublicKey()}})
		}, guest.Auth, "as root with SHA256:", 0},
		"no key is set":                  {func(s setup) { s.cfg.Signer = nil }, guest.Auth, "no key file is set", 0},
		"a key file that is not there":   {func(s setup) { s.cfg.Signer, s.cfg.KeyFile = nil, "gone" }, guest.Auth, "open gone", 0},
		"a key file that is a directory": {func(s setup) { s.cfg.Signer, s.cfg.KeyFile = nil, s.t.TempDir() }, guest.Auth, "no regular file", 0},
		"a key file for the group too":   {keyFile(pem.EncodeToMemory(sealed), 0o640), guest.Auth, "id has mode 0640", 0},
		"a key file for everybody":       {keyFile(pem.EncodeToMemory(sealed), 0o604), guest.Auth, "id has mode 0604", 0},
		"a key with a passphrase":        {keyFile(pem.EncodeToMemory(sealed), 0o600), guest.Auth, "id has a passphrase", 0},
		"a key file without a key":       {keyFile([]byte("hello"), 0o600), guest.Auth, "id: ssh: no key found", 0},
		"a command that fails":           {func(s setup) { s.Put(addr1, guesttest.Guest{Exec: status(127)}) }, guest.Exit, "status 127", 0},
		"a server that says something hostile": {func(s setup) {
			s.Put(addr1, guesttest.Guest{Prohibit: "\x1b[2J\n<!channel>" + strings.Repeat("x", 1000)})
		}, guest.Exit, `\x1b[2J\n<!channel>xxx`, 0},
		"a command that prints when it should not": {func(s setup) {
			s.Put(addr1, guesttest.Guest{Exec: func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
				io.WriteString(stdio.Out, "hello")
				return 0
			}})
		}, guest.Output, "more than 0 bytes", 0},
		"a command that prints without end": {func(s setup) {
			s.Put(addr1, guesttest.Guest{Exec: func(_ context.Context, _ string, stdio guesttest.Stdio) uint32 {
				for {
					if _, err := io.WriteString(stdio.Out, strings.Repeat("x", 1<<20)); err != nil {
						return 0
					}
				}
			}})
		}, guest.Output, "more than 0 bytes", 0},
		"a command that does not end": {func(s setup) {
			s.Put(addr1, guesttest.Guest{Exec: func(ctx context.Context, _ string, _ guesttest.Stdio) uint32 {
				<-ctx.Done()
				return 0
			}})
		}, guest.Timeout, "running a command", 10 * time.Second},
		"a connection that breaks under the command": {func(s setup) {
			var conn net.Conn
			s.cfg.Dial = func(ctx context.Context, network, addr string) (c net.Conn, err error) {
				conn, err = s.Dial(ctx, network, addr)
				return conn, err
			}
			s.Put(addr1, guesttest.Guest{Exec: func(context.Context, string, guesttest.Stdio) uint32 {
				conn.Close()
				return 0
			}})
		}, guest.Broken, "running a command", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := setup{newLAN(t), t, new(target(addr1))}
				defer s.Close()
				s.Put(addr1, guesttest.Guest{})
				tc.arrange(s)
				start := time.Now()
				err := guest.New(s.cfg).Ping(t.Context(), *s.to)
				if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("got %v, want %q, saying %q", err, tc.kind, tc.says)
				}
				if e, ok := errors.AsType[*guest.Error](err); !ok || e.Kind != tc.kind {
					t.Errorf("got a %T, want an *Error of that kind", err)
				}
				if text := err.Error(); len(text) > 400 || strings.ContainsAny(text, "\x1b\n") {
					t.Errorf("the text is long or not inert: %q", text)
				}
				if took := time.Since(start); took != tc.after {
					t.Errorf("took %v, want %v", took, tc.after)
				}
			})
		})
	}
}

// speak dials a host that says greeting and hangs up.
func speak(greeting string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			go io.Copy(io.Discard, theirs)
			io.WriteString(theirs, greeting)
			theirs.Close()
		}()
		return ours, nil
	}
}

func status(n uint32) func(context.Context, string, guesttest.Stdio) uint32 {
	return func(context.Context, string, guesttest.Stdio) uint32 { return n }
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecSigner(t *testing.T) ssh.Signer { return signer(t, ecKey(t)) }

func signer(t *testing.T, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheEndOfTheContextEndsEveryStep(t *testing.T) {
	steps := map[string]func(*lan){
		"connecting": func(l *lan) {
			l.cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"logging in": func(l *lan) { l.Put(addr1, guesttest.Guest{Silent: true}) },
		"running": func(l *lan) {
			l.Put(addr1, guesttest.Guest{Exec: func(ctx context.Context, _ string, _ guesttest.Stdio) uint32 {
				<-ctx.Done()
				return 0
			}})
		},
	}
	for name, arrange := range steps {
		t.Run(name+" by a deadline is a timeout", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN(t)
				defer l.Close()
				arrange(l)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				start := time.Now()
				err := guest.New(l.cfg).Ping(ctx, target(addr1, addr1))
				if !errors.Is(err, guest.Timeout) || time.Since(start) != 3*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
		t.Run(name+" by a cancel is that cancel", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLAN(t)
				defer l.Close()
				arrange(l)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(3*time.Second, cancel)
				start := time.Now()
				err := guest.New(l.cfg).Ping(ctx, target(addr1, addr1))
				if _, ok := errors.AsType[*guest.Error](err); ok || !errors.Is(err, context.Canceled) || time.Since(start) != 3*time.Second {
					t.Errorf("got %v after %v", err, time.Since(start))
				}
			})
		})
	}
}

func TestAddressesAreTriedInTurn(t *testing.T) {
	down := guesttest.Guest{Down: true}
	for name, tc := range map[string]struct {
		arrange func(t *testing.T, l *lan)
		dialled []string
		kind    guest.Kind // empty: it works
		addr    string
	}{
		"the first that works ends the search": {
			arrange: func(*testing.T, *lan) {},
			dialled: []string{"10.0.0.1:22"},
		},
		"one without a route, one that refuses, one that works": {
			arrange: func(t *testing.T, l *lan) {
				l.Remove(addr1)
				l.Put(addr2, down)
				l.Put(addr3, guesttest.Guest{})
				l.know(t)
			},
			dialled: []string{"10.0.0.1:22", "10.0.0.2:22", "[fd00::3]:22"},
		},
		"an unknown host may have got an old address, go on": {
			arrange: func(t *testing.T, l *lan) {
				l.Put(addr3, guesttest.Guest{})
				l.know(t)
				l.Put(addr2, guesttest.Guest{})
				l.Put(addr1, down)
			},
			dialled: []string{"10.0.0.1:22", "10.0.0.2:22", "[fd00::3]:22"},
		},
		"none works: the one that got furthest is told": {
			arrange: func(_ *testing.T, l *lan) {
				l.Remove(addr1)
				l.Put(addr2, down)
			},
			dialled: []string{"10.0.0.1:22", "10.0.0.2:22", "[fd00::3]:22"},
			kind:    guest.Refused,
			addr:    "10.0.0.2:22",
		},
		"a changed host key stops everything": {
			arrange: func(t *testing.T, l *lan) {
				l.Put(addr2, guesttest.Guest{})
				l.know(t)
				l.Put(addr1, guesttest.Guest{HostKeys: []ssh.Signer{guesttest.NewKey()}})
			},
			dialled: []string{"10.0.0.1:22"},
			kind:    guest.HostKeyChanged,
			addr:    "10.0.0.1:22",
		},
		"a refused key is refused everywhere": {
			arrange: func(_ *testing.T, l *lan) {
				l.Put(addr1, guesttest.Guest{Keys: []ssh.PublicKey{}})
			},
			dialled: []string{"10.0.0.1:22"},
			kind:    guest.Auth,
			addr:    "10.0.0.1:22",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLAN(t)
			tc.arrange(t, l)
			var dialled []string
			l.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled = append(dialled, addr)
				return l.Dial(ctx, network, addr)
			}
			err := guest.New(l.cfg).Ping(t.Context(), target(addr1, addr2, addr3))
			if tc.kind == "" && err != nil || tc.kind != "" && !errors.Is(err, tc.kind) {
				t.Fatalf("got %v, want %q", err, tc.kind)
			}
			if e, ok := errors.AsType[*guest.Error](err); ok && e.Addr != tc.addr {
				t.Errorf("it is about %s, want %s", e.Addr, tc.addr)
			}
			if !slices.Equal(dialled, tc.dialled) {
				t.Errorf("dialled %q, want %q", dialled, tc.dialled)
			}
		})
	}
}

func TestAHostWithSeveralKeysShowsTheOneThatIsKnown(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := []ssh.Signer{guesttest.NewKey(), ecSigner(t), signer(t, rsaKey)}
	for _, known := range keys {
		t.Run(known.PublicKey().Type(), func(t *testing.T) {
			l := newLAN(t)
			l.Put(addr1, guesttest.Guest{HostKeys: keys})
			name := knownhosts.HashHostname("10.0.0.1")
			write(t, l.cfg.KnownHostsFile, []byte(name+" "+string(ssh.MarshalAuthorizedKey(known.PublicKey()))), 0o600)
			if err := guest.New(l.cfg).Ping(t.Context(), target(addr1)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAKeyFileIsReadAtEveryLogin(t *testing.T) {
	l := newLAN(t)
	first, second := ecKey(t), ecKey(t)
	l.cfg.Signer = nil
	l.cfg.KeyFile = filepath.Join(t.TempDir(), "id")
	client := guest.New(l.cfg) // before there is a file
	for _, key := range []*ecdsa.PrivateKey{first, second} {
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		write(t, l.cfg.KeyFile, pem.EncodeToMemory(block), 0o600)
		l.Put(addr1, guesttest.Guest{Keys: []ssh.PublicKey{signer(t, key).PublicKey()}})
		if err := client.Ping(t.Context(), target(addr1)); err != nil {
			t.Error(err)
		}
	}
}

func TestANodeHasFourConnectionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLAN(t)
		defer l.Close()
		var busy atomic.Int32
		l.Put(addr1, guesttest.Guest{Exec: func(context.Context, string, guesttest.Stdio) uint32 {
			if busy.Add(1) > 5 {
				t.Error("more than four for a node")
			}
			time.Sleep(time.Second)
			busy.Add(-1)
			return 0
		}})
		client := guest.New(l.cfg)
		errs := make(chan error)
		start := time.Now()
		for range 10 {
			go func() { errs <- client.Ping(t.Context(), target(addr1)) }()
		}
		synctest.Wait()
		if busy.Load() != 4 {
			t.Errorf("%d commands run, want 4", busy.Load())
		}

		impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := client.Ping(impatient, target(addr1)); !errors.Is(err, guest.Timeout) || !strings.Contains(err.Error(), "pve1") {
			t.Errorf("got %v, want a timeout while waiting", err)
		}
		elsewhere := guest.Target{Node: "pve2", VMID: 102, Addrs: []netip.Addr{addr1}}
		go func() { errs <- client.Ping(t.Context(), elsewhere) }()
		synctest.Wait()
		if busy.Load() != 5 {
			t.Errorf("%d commands run, want 5: another node has connections of its own", busy.Load())
		}

		for range 11 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("ten commands of 1s took %v, want 3s", took)
		}
	})
}

func TestOverRealSockets(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newLAN(t)
	loopback := netip.MustParseAddr("127.0.0.1")
	l.Put(loopback, guesttest.Guest{Files: map[string]string{dir + "web": "USER=admin\n"}})
	served := make(chan error, 1)
	go func() { served <- l.Serve(listener) }()

	l.cfg.Dial = nil
	l.cfg.Port = listener.Addr().(*net.TCPAddr).Port
	write(t, l.cfg.KnownHostsFile, l.KnownHosts(uint16(l.cfg.Port)), 0o600)
	client := guest.New(l.cfg)
	to := target(netip.MustParseAddr("::ffff:127.0.0.1")) // an IPv4 address, however it is written
	if sets, err := client.Credentials(t.Context(), to, "web"); err != nil || len(sets) != 1 {
		t.Errorf("got %v, %v", sets, err)
	}

	listener.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := client.Ping(t.Context(), to); !errors.Is(err, guest.Refused) {
		t.Errorf("got %v, want refused", err)
	}
}

func ExampleError() {
	err := fmt.Errorf("credentials of web: %w", &guest.Error{Kind: guest.Refused, Addr: "10.0.0.1:22"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, guest.Refused))
	// Output:
	// credentials of web: 10.0.0.1:22: connection refused
	// true
}
