package guest

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
)

// clientOf returns a client that s lets in.
func clientOf(t *testing.T, s *sshdtest.Server) *Client {
	t.Helper()
	s.Know(t)
	return New(Config{User: s.User, Port: int(s.Addr.Port()), KeyFile: s.Dir + "/id", KnownHostsFile: s.Dir + "/known_hosts"})
}

func TestRealSSHD(t *testing.T) {
	to := Target{Node: "pve1", VMID: 101, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}

	t.Run("a login", func(t *testing.T) {
		if err := clientOf(t, sshdtest.Start(t)).Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})

	t.Run("credentials", func(t *testing.T) {
		// The forced command moves the script to another root; what it runs
		// is what was asked for, on the way that sshd takes.
		m := sshdtest.NewMachine(t)
		root, s := m.Root, sshdtest.Start(t, m.Options())
		sshdtest.Put(t, root+"/etc/pvechat/credentials/web", "USER=admin\nPASSWORD= `x` \n")
		sshdtest.Put(t, root+"/etc/pvechat/credentials/db", `{"PASSWORD": "a\nb"}`)
		large := "A=" + strings.Repeat("x", 64<<10-2)
		sshdtest.Put(t, root+"/etc/pvechat/credentials/large", large)
		client := clientOf(t, s)

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
		s := sshdtest.Start(t, m.Options())
		client := clientOf(t, s)
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
		m.Tool("systemctl", stopped)
		m.Listening("tcp", "0100007F:18EB 12", "00000000:1FA0 13", "300AA8C0:0BB8 15", "00000000:1770 17")
		m.Process(81, 1, "node", "/user.slice/user-0.slice/session-1.scope", 17)
		m.Listening("tcp6")
		got := scan()
		for _, want := range []string{"systemd/nginx.service nginx stopped\n", "process/node node running 192.168.10.48:3000=http 0.0.0.0:6000\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("it does not say %q:\n%s", want, got)
			}
		}
	})

	t.Run("a key that is not let in", func(t *testing.T) {
		s := sshdtest.Start(t)
		s.Deny(t)
		if _, err := clientOf(t, s).Scan(t.Context(), to, nil); !errors.Is(err, Auth) {
			t.Errorf("got %v, want that the login is refused", err)
		}
	})

	t.Run("a forced command that does something else", func(t *testing.T) {
		s := sshdtest.Start(t, "ForceCommand echo this account is closed")
		if _, err := clientOf(t, s).Credentials(t.Context(), to, ""); !errors.Is(err, Output) {
			t.Errorf("got %v, want unexpected output", err)
		}
	})

	t.Run("a command that fails", func(t *testing.T) {
		s := sshdtest.Start(t, "ForceCommand exit 3")
		if err := clientOf(t, s).Ping(t.Context(), to); !errors.Is(err, Exit) || !strings.Contains(err.Error(), "status 3") {
			t.Errorf("got %v, want status 3", err)
		}
	})

	t.Run("sessions are not allowed", func(t *testing.T) {
		s := sshdtest.Start(t, "MaxSessions 0")
		if err := clientOf(t, s).Ping(t.Context(), to); !errors.Is(err, Exit) {
			t.Errorf("got %v, want that the command could not be run", err)
		}
	})

	t.Run("an unknown host", func(t *testing.T) {
		s := sshdtest.Start(t)
		client := clientOf(t, s)
		sshdtest.Put(t, s.Dir+"/known_hosts", "")
		if err := client.Ping(t.Context(), to); !errors.Is(err, HostKeyUnknown) {
			t.Errorf("got %v, want an unknown host", err)
		}
	})

	t.Run("a changed host key", func(t *testing.T) {
		s := sshdtest.Start(t)
		s.HostKey = sshdtest.Keygen(t, t.TempDir()+"/other", "ed25519")
		if err := clientOf(t, s).Ping(t.Context(), to); !errors.Is(err, HostKeyChanged) {
			t.Errorf("got %v, want a changed host key", err)
		}
	})

	t.Run("known by its second key", func(t *testing.T) {
		second := t.TempDir() + "/second"
		public := sshdtest.Keygen(t, second, "ecdsa")
		s := sshdtest.Start(t, "HostKey "+second)
		s.HostKey = public
		if err := clientOf(t, s).Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})

	t.Run("a key that is not let in", func(t *testing.T) {
		s := sshdtest.Start(t)
		s.Deny(t)
		if err := clientOf(t, s).Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("a user that does not exist", func(t *testing.T) {
		s := sshdtest.Start(t)
		client := clientOf(t, s)
		client.cfg.User = "nobody-of-that-name"
		if err := client.Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("a server that asks for more than a key", func(t *testing.T) {
		s := sshdtest.Start(t, "AuthenticationMethods publickey,publickey")
		if err := clientOf(t, s).Ping(t.Context(), to); !errors.Is(err, Auth) {
			t.Errorf("got %v, want a refused login", err)
		}
	})

	t.Run("an RSA key", func(t *testing.T) {
		s := sshdtest.Start(t)
		sshdtest.Put(t, s.Dir+"/authorized_keys", sshdtest.Keygen(t, s.Dir+"/rsa", "rsa"))
		client := clientOf(t, s)
		client.cfg.KeyFile = s.Dir + "/rsa"
		if err := client.Ping(t.Context(), to); err != nil {
			t.Error(err)
		}
	})
}
