package guest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/pvechat/pvechat/proxmox/guest/sshdtest"
)

// told writes a scan as a table, for tests to compare.
func told(s Scan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v %d\n", s.Init, s.Missing, s.More)
	for _, v := range s.Services {
		fmt.Fprintf(&b, "%s %s %s", v.Key(), v.Name, v.State)
		if v.System {
			b.WriteString(" system")
		}
		for _, p := range v.Ports {
			fmt.Fprintf(&b, " %v", p.AddrPort())
			if p.Web != "" {
				b.WriteString("=" + p.Web)
			}
			if p.Web6 {
				b.WriteString("/6")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// machine is one that scripts run on without SSH.
type machine struct{ sshdtest.Machine }

const units = `cat <<'END'
Type=notify
Id=nginx.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=

Type=simple
Id=smbd.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=

Type=oneshot
Id=e2scrub_reap.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=

Type=simple
Id=worker@$(reboot).service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=disabled
ConditionResult=yes
TriggeredBy=

Type=notify
Id=ssh.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=ssh.socket

Type=simple
Id=condition.service
LoadState=loaded
ActiveState=inactive
SubState=dead
UnitFileState=enabled
ConditionResult=no
TriggeredBy=

Type=simple
Id=gone.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
ConditionResult=no
TriggeredBy=

Type=forking
Id=once.service
LoadState=loaded
ActiveState=active
SubState=exited
UnitFileState=generated
ConditionResult=yes
TriggeredBy=

Type=simple
Id=looping.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=

Type=simple
Id=docker.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled
ConditionResult=yes
TriggeredBy=docker.socket
END
`

func systemdMachine(t *testing.T) machine {
	m := machine{sshdtest.NewMachine(t)}
	m.Folder("/run/systemd/system")
	m.Tool("systemctl", `[ "$1" = show ] || exit 1
`+units)
	m.Tool("docker", `case $1 in
ps) printf 'aaa\nbbb\nccc\n' ;;
inspect) printf 'box docker|aaa|/jellyfin|running|unless-stopped|jellyfin/jellyfin:10|8096 8096 \nbox docker|bbb|/db|exited|always|postgres:16|\nbox docker|ccc|/once|exited|no|alpine|\n' ;;
esac`)
	m.Listening("tcp", "00000000:0050 11", "0100007F:18EB 12", "00000000:1FA0 13", "300AA8C0:0BB8 15", "00000000:1F90 99")
	m.Listening("tcp6", "00000000000000000000000000000000:01BB 14", "00000000000000000000000001000000:0019 16")
	m.Process(50, 1, "nginx", "/system.slice/nginx.service", 11, 14)
	m.Process(51, 50, "nginx", "/system.slice/nginx.service", 11, 14)
	m.Process(60, 1, "redis\x1b[2J\xff-server", "/system.slice/redis.slice/other.scope", 12)
	m.Process(70, 1, "docker-proxy", "/system.slice/docker.service", 13)
	m.Process(80, 1, "node", "/user.slice/user-0.slice/session-1.scope", 15)
	m.Process(90, 1, "master", "/system.slice/postfix.service", 16)
	m.Tool("curl", `for last; do :; done
case $last in
http://127.0.0.1:80/) printf 200 ;;
http://127.0.0.1:443/) printf 400 ;;
https://127.0.0.1:443/) printf 302 ;;
http://\[::1\]:8096/) printf 401 ;;
http://192.168.10.48:3000/) printf 404 ;;
*) printf 000; exit 7 ;;
esac`)
	sshdtest.Put(t, m.Root+"/proc/net/if_inet6", "")
	return m
}

const systemdTold = `systemd [] 0
docker/db db stopped
docker/jellyfin jellyfin running 0.0.0.0:8096=http/6
process/? ? running 0.0.0.0:8080
process/master master running system [::1]:25
process/node node running 192.168.10.48:3000=http
process/redis�[2J�-server redis�[2J�-server running 127.0.0.1:6379
systemd/docker.service docker running
systemd/looping.service looping failed
systemd/nginx.service nginx running 0.0.0.0:80=http [::]:443=https
systemd/smbd.service smbd stopped
systemd/worker@$(reboot).service worker@$(reboot) failed
`

// shells are those of Debian, of Arch and Fedora, and of Alpine, which has
// busybox with everything that the script calls.
func shells(t *testing.T, run func(t *testing.T, shell []string, path string)) {
	for _, name := range []string{"dash", "bash", "busybox"} {
		t.Run(name, func(t *testing.T) {
			program := sshdtest.Need(t, name)
			if name != "busybox" {
				run(t, []string{program}, "/usr/bin:/bin")
				return
			}
			bin := t.TempDir()
			for _, tool := range []string{"ls", "sed", "grep", "cut", "head", "tail", "tr", "timeout", "cat", "sh"} {
				if err := os.Symlink(program, filepath.Join(bin, tool)); err != nil {
					t.Fatal(err)
				}
			}
			run(t, []string{bin + "/sh"}, bin)
		})
	}
}

// at runs a script in a machine, which sees no programs but its own and those
// in path.
func (m machine) at(shell []string, path, script string, arguments ...string) string {
	m.T.Helper()
	script = strings.Replace(script, "\troot=\n", "\troot="+m.Root+"\n", 1)
	script = strings.Replace(script, "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", "", 1)
	cmd := exec.CommandContext(m.T.Context(), shell[0], append(append(shell[1:], "-s", "--"), arguments...)...)
	cmd.Args[0] = "sh"
	cmd.Env = []string{"PATH=" + m.Root + "/bin:" + path}
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.Output()
	if err != nil {
		m.T.Fatal(err)
	}
	return string(out)
}

func (m machine) scan(shell []string, path string, known ...string) Scan {
	m.T.Helper()
	out := m.at(shell, path, scanScript, known...)
	s, err := readScan([]byte(out))
	if err != nil {
		m.T.Fatalf("%v in\n%s", err, out)
	}
	return s
}

func TestTheScanRunsInEveryShell(t *testing.T) {
	shells(t, func(t *testing.T, shell []string, path string) {
		m := systemdMachine(t)
		if diff := cmp.Diff(systemdTold, told(m.scan(shell, path))); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
		known := strings.NewReplacer("8096=http/6", "8096", ":80=http", ":80").Replace(systemdTold)
		if diff := cmp.Diff(known, told(m.scan(shell, path, "80", "8096"))); diff != "" {
			t.Errorf("with known ports: want -, got +\n%s", diff)
		}
	})
}

func TestAScanUnderOpenRC(t *testing.T) {
	shells(t, func(t *testing.T, shell []string, path string) {
		m := machine{sshdtest.NewMachine(t)}
		m.Tool("rc-status", `cat <<'END'
Runlevel: default
 sshd                                                              [  started  ]
 nginx                                                             [  started 00:10:00 (0) ]
 jellyfin                                                          [  started  ]
 smbd                                                              [  stopped  ]
 byhand                                                            [  stopped  ]
 gitea                                                             [  crashed  ]
Runlevel: boot
 hostname                                                          [  started  ]
 bootmisc                                                          [  stopped  ]
Dynamic Runlevel: hotplugged
Dynamic Runlevel: needed/wanted
 fsck                                                              [  started  ]
Dynamic Runlevel: manual
 redis                                                             [  started  ]
END`)
		m.Folder("/run/openrc")
		sshdtest.Put(t, m.Root+"/run/openrc/daemons/jellyfin/001", "exec=/usr/bin/dotnet\npidfile=/run/jellyfin.pid\n")
		sshdtest.Put(t, m.Root+"/run/jellyfin.pid", "70\n")
		m.Folder("/run/openrc/daemons/redis")
		sshdtest.Put(t, m.Root+"/run/supervise-redis.pid", "80\n")
		m.Listening("tcp", "00000000:0050 11", "00000000:1FA0 12", "0100007F:18EB 13", "00000000:0016 14", "00000000:1F90 15")
		m.Process(60, 1, "nginx", "/", 11)
		m.Process(70, 1, "dotnet", "/", 12)
		m.Process(81, 80, "redis-server", "/", 13)
		m.Process(90, 1, "sshd", "/", 14)
		m.Process(91, 1, "byhand", "/", 15)
		got := m.scan(shell, path)
		got.Missing = nil // what speaks HTTP is another test's
		want := `openrc [] 0
openrc/byhand byhand running 0.0.0.0:8080
openrc/gitea gitea failed
openrc/jellyfin jellyfin running 0.0.0.0:8096
openrc/nginx nginx running 0.0.0.0:80
openrc/redis redis running 127.0.0.1:6379
openrc/smbd smbd stopped
openrc/sshd sshd running system 0.0.0.0:22
`
		if diff := cmp.Diff(want, told(got)); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
	})
}

// Of one directory alone ls says no name.
func TestAScanOfOneProcess(t *testing.T) {
	shells(t, func(t *testing.T, shell []string, path string) {
		m := machine{sshdtest.NewMachine(t)}
		m.Listening("tcp", "00000000:1F90 11")
		m.Process(60, 1, "node", "/", 11)
		if got := told(m.scan(shell, path)); !strings.Contains(got, "process/node node running 0.0.0.0:8080\n") {
			t.Errorf("got %q", got)
		}
	})
}

func TestAScanSaysWhatItCouldNotFind(t *testing.T) {
	shells(t, func(t *testing.T, shell []string, path string) {
		m := machine{sshdtest.NewMachine(t)}
		m.Tool("docker", "exit 1")
		if shell[0] == sshdtest.Need(t, "dash") || shell[0] == sshdtest.Need(t, "bash") {
			path = m.Root + "/bin" // nothing else at all
			for _, tool := range []string{"ls", "sed", "grep", "cut", "head", "tr"} {
				if err := os.Symlink(sshdtest.Need(t, tool), m.Root+"/bin/"+tool); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := told(m.scan(shell, path)); got != "[init docker sockets web] 0\n" && got != " [init docker sockets web] 0\n" {
			t.Errorf("got %q", got)
		}
	})
}

// The real /proc of this machine, its real clients, and real servers.
func TestAScanOfThisMachine(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	wide := func(handler http.Handler, network string) (server *httptest.Server, port string) {
		listener, err := net.Listen(network, ":0")
		if err != nil {
			t.Skip(err)
		}
		server = httptest.NewUnstartedServer(handler)
		server.Listener.Close()
		server.Listener = listener
		_, port, _ = net.SplitHostPort(listener.Addr().String())
		return server, port
	}
	http4, port4 := wide(http.NotFoundHandler(), "tcp4")
	http4.Start()
	defer http4.Close()
	tls, portTLS := wide(http.NotFoundHandler(), "tcp")
	tls.StartTLS()
	defer tls.Close()
	silent, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, portSilent, _ := net.SplitHostPort(silent.Addr().String())
	_, portLoopback, _ := net.SplitHostPort(plain.Listener.Addr().String())

	me, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Skip(err)
	}
	tools := func(more ...string) (path string) {
		path = t.TempDir()
		for _, tool := range append(more, "ls", "sed", "grep", "cut", "head", "tr", "timeout", "cat") {
			if err := os.Symlink(sshdtest.Need(t, tool), filepath.Join(path, tool)); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	mute := tools()
	for _, client := range []string{"curl", "wget", "bash"} {
		t.Run(client, func(t *testing.T) {
			bin := tools(client)
			// Other tests of this machine listen too, and are none of ours.
			var others []string
			all := machine{sshdtest.Machine{T: t}}.scan([]string{sshdtest.Need(t, "sh")}, mute)
			for _, s := range all.Services {
				for _, p := range s.Ports {
					if port := strconv.Itoa(int(p.Port)); port != port4 && port != portTLS && port != portSilent {
						others = append(others, port)
					}
				}
			}
			s := machine{sshdtest.Machine{T: t}}.scan([]string{sshdtest.Need(t, "sh")}, bin, others...)
			got := map[string]string{}
			for _, v := range s.Services {
				for _, p := range v.Ports {
					got[strconv.Itoa(int(p.Port))] = fmt.Sprintf("%s %s %v %v", v.Name, p.Web, p.Loopback(), p.Web6)
				}
			}
			name := strings.TrimSpace(string(me))
			for port, want := range map[string]string{
				port4:        name + " http false false",
				portTLS:      name + " https false false",
				portSilent:   name + "  false false",
				portLoopback: name + "  true false",
			} {
				if got[port] != want {
					t.Errorf("port %s: got %q, want %q", port, got[port], want)
				}
			}
		})
	}
}

func TestLogsInEveryShell(t *testing.T) {
	shells(t, func(t *testing.T, shell []string, path string) {
		m := machine{sshdtest.NewMachine(t)}
		m.Tool("journalctl", `echo "$*"; echo 'starting
password=hunter2 ok'; printf 'bell \007 \033[2J\n'`)
		m.Tool("docker", `echo "$*" >&2`)
		sshdtest.Put(t, m.Root+"/var/log/nginx/error.log", strings.Repeat("x\n", 60)+"last\n")
		sshdtest.Put(t, m.Root+"/var/log/messages", "Nov 1 host smbd[12]: hello\nNov 1 host nmbd[12]: no\n")
		for _, tc := range []struct {
			kind, name string
			want       []string
		}{
			{"systemd", "nginx.service", []string{
				"--no-pager --quiet --lines=50 --output=short-iso --unit=nginx.service", "starting", "password=[redacted] ok", "bell � �[2J",
			}},
			{"docker", "db", []string{"logs --tail 50 db"}},
			{"openrc", "smbd", []string{"Nov 1 host smbd[12]: hello"}},
		} {
			got, err := readLogs([]byte(m.at(shell, path, logsScript, tc.kind, tc.name)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s %s: want -, got +\n%s", tc.kind, tc.name, diff)
			}
		}
		got, err := readLogs([]byte(m.at(shell, path, logsScript, "openrc", "nginx")))
		if err != nil || len(got) != 50 || got[49] != "last" {
			t.Errorf("%d lines, %v: %q", len(got), err, got)
		}
		if _, err := readLogs([]byte(m.at(shell, path, logsScript, "podman", "x"))); !errors.Is(err, NoLogs) {
			t.Errorf("got %v, want no logs", err)
		}
	})
}

func TestRedact(t *testing.T) {
	for line, want := range map[string]string{
		"listening on port 8096":                      "listening on port 8096",
		"mounting tank:subvol-101-disk-1 at /srv:rw":  "mounting tank:subvol-101-disk-1 at /srv:rw",
		"PVEAPIToken=u@pve!t=0123-45":                 "PVEAPIToken=[redacted]",
		"see http://host:8080/a@b":                    "see http://host:8080/a@b",
		"PASSWORD=hunter2":                            "PASSWORD=[redacted]",
		"db_password: 's3 cret' ok":                   "db_password: [redacted] ok",
		`{"api_key":"abc","user":"u"}`:                `{"api_key":[redacted],"user":"u"}`,
		"The admin password is hunter2":               "The admin password is [redacted]",
		"Authorization: Bearer abc.def":               "Authorization: Bearer [redacted]",
		"postgres://app:pw@db/x":                      "postgres://app:[redacted]@db/x",
		"session 0123456789abcdef0123456789abcdef up": "session [redacted] up",
		"using xoxb-123456789012-abc":                 "using [redacted]",
		"GET /?token=abc&x=1":                         "GET /?token=[redacted]&x=1",
	} {
		if got := Redact(line); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	f.Fuzz(func(t *testing.T, output []byte) {
		s, err := readScan(output)
		if err != nil {
			if !errors.Is(err, Output) || len(s.Services) > 0 || len(err.Error()) > 200 {
				t.Fatalf("%d services with the error %v", len(s.Services), err)
			}
			return
		}
		if len(s.Services) > maxServices || len(s.Missing) > 10 {
			t.Fatalf("%d services", len(s.Services))
		}
		seen := map[string]bool{}
		for _, v := range s.Services {
			if seen[v.Key()] {
				t.Fatalf("%q stands twice", v.Key())
			}
			seen[v.Key()] = true
			inert(t, v.Unit)
			inert(t, v.Name)
			if v.State == "" || v.Kind == "" || len(v.Ports) > maxPorts+1 {
				t.Fatalf("%+v", v)
			}
			for _, p := range v.Ports {
				if !p.Addr.IsValid() || p.Loopback() && p.Web != "" {
					t.Fatalf("%+v", p)
				}
			}
		}
		for _, what := range s.Missing {
			inert(t, what)
		}
	})
}

func FuzzLogs(f *testing.F) {
	f.Fuzz(func(t *testing.T, output []byte) {
		lines, err := readLogs(output)
		if err != nil && (lines != nil || len(err.Error()) > 200) {
			t.Fatalf("%d lines with the error %v", len(lines), err)
		}
		if len(lines) > 50 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, line := range lines {
			if !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x1b\x00\x07") {
				t.Fatalf("%q", line)
			}
		}
	})
}

func inert(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxName+1 || strings.ContainsAny(s, "\n\r\x1b\x00\x07\u202e") {
		t.Fatalf("%q", s)
	}
}
