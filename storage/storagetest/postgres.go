package storagetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL server on a socket in a folder of its own.
type server struct {
	folder string
	leash  io.WriteCloser // the server ends when this closes, and so with this process
	count  atomic.Int64
}

// One server serves all tests of a binary: starting one takes seconds.
var startOnce = sync.OnceValues(startServer)

var errNotInstalled = errors.New("PostgreSQL is not installed")

func freshPostgres(t testing.TB) string {
	t.Helper()
	s, err := startOnce()
	if errors.Is(err, errNotInstalled) {
		missing(t, "postgres", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", s.count.Add(1))
	if err := s.exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.url(name)
}

func (s *server) url(database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{
		"host": {s.folder}, "user": {"postgres"},
	}.Encode()}
	return u.String()
}

func dumpPostgres(t testing.TB, url string) string {
	t.Helper()
	programs, err := findPrograms()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), programs+"/pg_dump", "--inserts", url).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	return string(out)
}

func (s *server) exec(ctx context.Context, q string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, q)
	return errors.Join(err, conn.Close(ctx))
}

// script starts a server, says so, and stops it when its input ends, which
// happens also when the test binary is killed. $1: programs, $2: folder.
const script = `
set -eu
"$1/initdb" -D "$2/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$2/log" 2>&1
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w start >>"$2/log" 2>&1 -o "-c listen_addresses= \
	-c unix_socket_directories='$2' -c max_connections=200 -c fsync=off \
	-c full_page_writes=off -c synchronous_commit=off"
echo ready
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1
rm -rf "$2"
`

func startServer() (_ *server, err error) {
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "pvechat-postgres-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	cmd := exec.Command("/bin/sh", "-c", script, "sh", programs, folder)
	cmd.Dir = folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is for the tests
	if os.Getuid() == 0 {
		// The server refuses to run as root.
		id, err := unprivileged()
		if err != nil {
			return nil, err
		}
		if err := os.Chown(folder, int(id.Uid), int(id.Gid)); err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = id
	}
	leash, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		log, _ := os.ReadFile(filepath.Join(folder, "log"))
		return nil, fmt.Errorf("starting PostgreSQL: %w\n%s", errors.Join(err, cmd.Wait()), log)
	}
	return &server{folder: folder, leash: leash}, nil
}

func unprivileged() (*syscall.Credential, error) {
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// findPrograms returns the folder of the server's programs. Debian keeps them
// out of the path.
func findPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		path, err = filepath.EvalSymlinks(path) // the others may not be linked
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errNotInstalled
	}
	return filepath.Dir(slices.Max(found)), nil
}
