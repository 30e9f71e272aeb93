package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"
)

// LockedError says that another process holds a SQLite file.
type LockedError struct {
	Path   string
	Holder string // "pid 42 on box, pvechat run"; "" if it did not say
	Waited time.Duration
}

func (e *LockedError) Error() string {
	holder := e.Holder
	if holder == "" {
		holder = "another process"
	}
	return fmt.Sprintf("the database %s is in use by %s (waited %s); end that first, or use PostgreSQL for more than one process",
		e.Path, holder, e.Waited)
}

// fileLock is an exclusive lock on a file, which the system releases when the
// process ends, however it ends.
type fileLock struct{ f *os.File }

// lockPoll is how often a held lock is tried again; flock cannot wait and heed
// a context at once.
const lockPoll = 50 * time.Millisecond

// lockFile locks database+".lock" and writes the holder into it.
func lockFile(ctx context.Context, log *slog.Logger, database, holder string, wait time.Duration) (*fileLock, error) {
	f, err := os.OpenFile(database+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock file of the database: %w", err)
	}
	if err := flock(ctx, log, f, database, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	who := fmt.Sprintf("pid %d on %s", os.Getpid(), host)
	if holder != "" {
		who += ", " + holder
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(who+"\n"), 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the lock file of the database: %w", err), f.Close())
		}
	}
	return &fileLock{f}, nil
}

func flock(ctx context.Context, log *slog.Logger, f *os.File, database string, wait time.Duration) error {
	giveUp := time.NewTimer(wait)
	defer giveUp.Stop()
	again := time.NewTicker(lockPoll)
	defer again.Stop()
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
		if !told {
			log.InfoContext(ctx, "waiting for the database", "path", database, "holder", holderOf(f), "at_most", wait)
		}
		select {
		case <-again.C:
		case <-giveUp.C:
			return &LockedError{Path: database, Holder: holderOf(f), Waited: wait}
		case <-ctx.Done():
			return fmt.Errorf("waiting for the database: %w", ctx.Err())
		}
	}
}

// holderOf reads who holds the lock. Anybody may have written the file.
func holderOf(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 200))
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(line), ""))
}

// release lets go. The file stays: removing it would let two processes lock
// two files of one name.
func (l *fileLock) release() error { return errors.Join(l.f.Truncate(0), l.f.Close()) }
