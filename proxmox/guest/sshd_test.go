package guest

import (
	"context"
	"errors"
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

	"github.com/google/go-cmp/cmp"
)

// sshd is OpenSSH's server on loopback. Each connection gets a process of its
// own (sshd -i), so there is no port to choose and no start to wait for.
type sshd struct {
	addr    netip.AddrPort
	dir     string
	hostKey string // public, as in known_hosts
	config  string
}

func keygen(t *testing.T, file, kind string) (public string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), need(t, "ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	line, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(line))
}

func startSSHD(t *testing.T, options ...string) *sshd {
	t.Helper()
	program := need(t, "sshd")
	if os.Geteuid() == 0 {
		// Where sshd puts the processes that it trusts least. The service
		// manager makes it, and here there is none.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &sshd{dir: t.TempDir()}
	s.hostKey = keygen(t, s.dir+"/host", "ed25519")
	put(t, s.dir+"/authorized_keys", "restrict "+keygen(t, s.dir+"/id", "ed25519")+"\n")
	s.config = s.dir + "/sshd_config"
	put(t, s.config, strings.Join(append([]string{
		"HostKey " + s.dir + "/host",
		"AuthorizedKeysFile " + s.dir + "/authorized_keys",
		"StrictModes no", // of the directories above, which are the test's
		"UsePAM no",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitRootLogin prohibit-password",
		"LogLevel DEBUG1",
	}, options...), "\n")+"\n")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().(*net.TCPAddr).AddrPort()
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

func (s *sshd) serve(ctx context.Context, t *testing.T, program string, conn *net.TCPConn) {
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

// client returns a client that is let in by s.
func (s *sshd) client(t *testing.T) *Client {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.dir+"/known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.addr.Port(), s.hostKey))
	return New(Config{User: me.Username, Port: int(s.addr.Port()), KeyFile: s.dir + "/id", KnownHostsFile: s.dir + "/known_hosts"})
}

func TestRealSSHD(t *testing.T) {
	to := Target{Node: "pve1", VMID: 101, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}

	t.Run("a login", func(t *testing.T) {
		if err := startSSHD(t).client(t).Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})

	t.Run("credentials", func(t *testing.T) {
		// The forced command moves the script to another root; what it runs
		// is what was asked for, on the way that sshd takes.
		root := t.TempDir()
		s := startSSHD(t, fmt.Sprintf(`ForceCommand sed 's|/etc/pvechat|%s/etc/pvechat|g' | $SSH_ORIGINAL_COMMAND`, root))
		put(t, root+"/etc/pvechat/credentials/web", "USER=admin\nPASSWORD= `x` \n")
		put(t, root+"/etc/pvechat/credentials/db", `{"PASSWORD": "a\nb"}`)
		large := "A=" + strings.Repeat("x", 64<<10-2)
		put(t, root+"/etc/pvechat/credentials/large", large)
		client := s.client(t)

		sets, err := client.Credentials(t.Context(), to, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, set := range sets {
			info, err := os.Stat(filepath.Join(root, "etc/pvechat/credentials", set.Service))
			if err != nil {
				t.Fatal(err)
			}
			if !set.Modified.Equal(info.ModTime().Truncate(time.Second)) {
				t.Errorf("%s is of %v, want %v", set.Service, set.Modified, info.ModTime())
			}
			for _, v := range set.Values {
				got = append(got, set.Service+" "+v.Key+"="+v.Value.Reveal())
			}
		}
		want := []string{"db PASSWORD=a\nb", "large " + large, "web USER=admin", "web PASSWORD= `x` "}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %.200q", got)
		}

		if sets, err := client.Credentials(t.Context(), to, "web"); err != nil || len(sets) != 1 || sets[0].Service != "web" {
			t.Errorf("got %v, %v", sets, err)
		}
		if _, err := client.Credentials(t.Context(), to, "mail"); !errors.Is(err, NoCredentials) {
			t.Errorf("got %v, want no credentials", err)
		}
	})

	t.Run("services", func(t *testing.T) {
		m := systemdMachine(t)
		s := startSSHD(t, fmt.Sprintf(`ForceCommand sed 's|^\troot=$|\troot=%s|' | PATH=%s/bin:/usr/bin:/bin $SSH_ORIGINAL_COMMAND`, m.root, m.root))
		client := s.client(t)
		scan := func() string {
			t.Helper()
			got, err := client.Scan(t.Context(), to, nil)
			if err != nil {
				t.Fatal(err)
			}
			return told(got)
		}
		if diff := cmp.Diff(systemdTold, scan()); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
		// nginx stops, and node has one more port.
		stopped := strings.Replace(units, "ActiveState=active\nSubState=running", "ActiveState=inactive\nSubState=dead", 1)
		m.tool("systemctl", stopped)
		m.listening("tcp", "0100007F:18EB 12", "00000000:1FA0 13", "300AA8C0:0BB8 15", "00000000:1770 17")
		m.process(81, 1, "node", "/user.slice/user-0.slice/session-1.scope", 17)
		m.listening("tcp6")
		got := scan()
		for _, want := range []string{"systemd/nginx.service nginx stopped\n", "process/node node running 192.168.10.48:3000=http 0.0.0.0:6000\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("it does not say %q:\n%s", want, got)
			}
		}
	})

	t.Run("a key that is not let in", func(t *testing.T) {
		s := startSSHD(t)
		put(t, s.dir+"/authorized_keys", "")
		if _, err := s.client(t).Scan(t.Context(), to, nil); !errors.Is(err, Auth) {
			t.Errorf("got %v, want that the login is refused", err)
		}
	})

	t.Run("a forced command that does something else", func(t *testing.T) {
		s := startSSHD(t, "ForceCommand echo this account is closed")
		if _, err := s.client(t).Credentials(t.Context(), to, ""); !errors.Is(err, Output) {
			t.Errorf("got %v, want unexpected output", err)
		}
	})

	t.Run("a command that fails", func(t *testing.T) {
		s := startSSHD(t, "ForceCommand exit 3")
		if err := s.client(t).Ping(t.Context(), to); !errors.Is(err, Exit) || !strings.Contains(err.Error(), "status 3") {
			t.Errorf("got %v, want status 3", err)
		}
	})

	t.Run("sessions are not allowed", func(t *testing.T) {
		s := startSSHD(t, "MaxSessions 0")
		if err := s.client(t).Ping(t.Context(), to); !errors.Is(err, Exit) {
			t.Errorf("got %v, want that the command could not be run", err)
		}
	})

	t.Run("an unknown host", func(t *testing.T) {
		s := startSSHD(t)
		client := s.client(t)
		put(t, s.dir+"/known_hosts", "")
		if err := client.Ping(t.Context(), to); !errors.Is(err, HostKeyUnknown) {
			t.Errorf("got %v, want an unknown host", err)
		}
	})

	t.Run("a changed host key", func(t *testing.T) {
		s := startSSHD(t)
		s.hostKey = keygen(t, t.TempDir()+"/other", "ed25519")
		if err := s.client(t).Ping(t.Context(), to); !errors.Is(err, HostKeyChanged) {
			t.Errorf("got %v, want a changed host key", err)
		}
	})

	t.Run("known by its second key", func(t *testing.T) {
		second := t.TempDir() + "/second"
		public := keygen(t, second, "ecdsa")
		s := startSSHD(t, "HostKey "+second)
		s.hostKey = public
		if err := s.client(t).Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})

	t.Run("a key that is not let in", func(t *testing.T) {
		s := startSSHD(t)
		put(t, s.dir+"/authorized_keys", "")
		if err := s.client(t).Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("a user that does not exist", func(t *testing.T) {
		s := startSSHD(t)
		client := s.client(t)
		client.cfg.User = "nobody-of-that-name"
		if err := client.Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("a server that asks for more than a key", func(t *testing.T) {
		s := startSSHD(t, "AuthenticationMethods publickey,publickey")
		if err := s.client(t).Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("an RSA key", func(t *testing.T) {
		s := startSSHD(t)
		put(t, s.dir+"/authorized_keys", keygen(t, s.dir+"/rsa", "rsa"))
		client := s.client(t)
		client.cfg.KeyFile = s.dir + "/rsa"
		if err := client.Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})
}
