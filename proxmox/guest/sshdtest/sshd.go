// Package sshdtest is OpenSSH's own server on loopback, for tests of what a
// stand-in could only claim: alone, as a container's, or on a Proxmox node whose
// key is held by deploy/pvechat-guest. What is in a container is a [Machine].
package sshdtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Need finds a program. A machine without it skips the test, unless the
// variable PVECHAT_REQUIRE has its name.
func Need(t testing.TB, program string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program, "/sbin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	message := program + " is not installed on this machine"
	if strings.Contains(os.Getenv("PVECHAT_REQUIRE"), program) {
		t.Fatal(message)
	}
	t.Skip(message)
	return ""
}

// Put writes a file of mode 0600, and the folders that it lies in.
func Put(t testing.TB, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func putProgram(t testing.TB, file, content string) {
	t.Helper()
	Put(t, file, content)
	if err := os.Chmod(file, 0o755); err != nil {
		t.Fatal(err)
	}
}

// Keygen makes a key pair, FILE and FILE.pub, and returns the public key.
func Keygen(t testing.TB, file, kind string) (public string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), Need(t, "ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	line, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line))
}

// Server lets the key Dir/id in as User, who runs the test. Each connection
// gets a process of its own (sshd -i), so there is no port to choose and no
// start to wait for, and a changed file counts from the next connection on.
type Server struct {
	Addr    netip.AddrPort
	Dir     string
	User    string
	HostKey string // public, as in known_hosts

	config string
}

// Start starts a server that ends with the test. Options are further lines of
// sshd_config.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	program := Need(t, "sshd")
	if os.Geteuid() == 0 {
		// Where sshd puts the processes that it trusts least. The service
		// manager makes it, and here there is none.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: t.TempDir(), User: me.Username}
	s.config = s.Dir + "/sshd_config"
	s.HostKey = Keygen(t, s.Dir+"/host", "ed25519")
	Keygen(t, s.Dir+"/id", "ed25519")
	s.Allow(t, "restrict")
	Put(t, s.config, strings.Join(append([]string{
		"HostKey " + s.Dir + "/host",
		"AuthorizedKeysFile " + s.Dir + "/authorized_keys",
		"StrictModes no", // of the directories above, which are the test's
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password",
		"LogLevel VERBOSE",
	}, options...), "\n")+"\n")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = listener.Addr().(*net.TCPAddr).AddrPort()
	s.Know(t)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(ctx, t, program, conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		cancel()
		running.Wait()
	})
	return s
}

func (s *Server) serve(ctx context.Context, t testing.TB, program string, conn *net.TCPConn) {
	socket, err := conn.File()
	conn.Close()
	if err != nil {
		t.Error(err)
		return
	}
	defer socket.Close()
	var log strings.Builder
	cmd := exec.CommandContext(ctx, program, "-i", "-e", "-f", s.config)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = socket, socket, &log
	cmd.WaitDelay = 5 * time.Second
	_ = cmd.Run() // 255 for a client that it did not let in
	t.Logf("sshd:\n%s", &log)
}

// Allow lets the key in with these options of authorized_keys, and nobody else.
func (s *Server) Allow(t testing.TB, options string) {
	t.Helper()
	public, err := os.ReadFile(s.Dir + "/id.pub")
	if err != nil {
		t.Fatal(err)
	}
	Put(t, s.Dir+"/authorized_keys", options+" "+string(public))
}

// Deny lets nobody in.
func (s *Server) Deny(t testing.TB) {
	t.Helper()
	Put(t, s.Dir+"/authorized_keys", "")
}

// Know writes the host key into Dir/known_hosts.
func (s *Server) Know(t testing.TB) {
	t.Helper()
	Put(t, s.Dir+"/known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.Addr.Port(), s.HostKey))
}

// ChangeHostKey gives the server a new host key, which Dir/known_hosts does not
// have.
func (s *Server) ChangeHostKey(t testing.TB) {
	t.Helper()
	next := s.Dir + "/next"
	s.HostKey = Keygen(t, next, "ed25519")
	if err := os.Rename(next, s.Dir+"/host"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next+".pub", s.Dir+"/host.pub"); err != nil {
		t.Fatal(err)
	}
}
