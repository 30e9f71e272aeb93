// Package seal encrypts the few values that pvechat must be able to read back
// but never keeps in clear, such as a generated password.
//
// A [Keyset] is a Tink keyset in a file outside the database; a copy of the
// database alone opens nothing. What is sealed is bound to its [Cell], so that
// a value moved to another row or column does not open there. To rotate, add a
// key to the file and make it the primary one (Tink's tinkey does both): new
// values are sealed with it, and older ones still open.
package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/pvechat/pvechat/bot/chat"
)

// ErrWrongKey says that the keyset cannot decrypt a value: it was sealed with
// another keyset, or for another cell, or it was changed.
var ErrWrongKey = errors.New("the key cannot decrypt it")

// Cell is where a sealed value belongs.
type Cell struct{ Table, Row, Column string }

// String is table/row/column, escaped so that no two cells share one.
func (c Cell) String() string {
	return url.PathEscape(c.Table) + "/" + url.PathEscape(c.Row) + "/" + url.PathEscape(c.Column)
}

// Keyset seals and opens values. It is safe for concurrent use and prints as
// [redacted].
type Keyset struct{ aead tink.AEAD }

// Generate writes a new keyset with one XAES-256-GCM key to a file that only
// its owner can read. It never overwrites a file: without the old keyset
// nothing that it sealed opens again.
func Generate(path string) error {
	handle, err := keyset.NewHandle(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return fmt.Errorf("seal: making a key: %w", err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return fmt.Errorf("seal: making a key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("seal: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// OpenFile reads a keyset. It refuses a file that others than its owner can
// read or write.
func OpenFile(path string) (*Keyset, error) {
	handle, err := read(path)
	if err != nil {
		return nil, err
	}
	a, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("seal: %s holds no key for authenticated encryption", path)
	}
	return &Keyset{aead: a}, nil
}

func read(path string) (*keyset.Handle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 {
		return nil, &ModeError{Path: path, Mode: mode}
	}
	// The reasons are left out: they quote the file, and the file is the key.
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	if err != nil {
		return nil, fmt.Errorf("seal: %s is not a keyset in Tink's JSON", path)
	}
	return handle, nil
}

// ModeError says that a keyset file is open to others.
type ModeError struct {
	Path string
	Mode fs.FileMode
}

func (e *ModeError) Error() string {
	if !e.Mode.IsRegular() {
		return fmt.Sprintf("seal: %s is not a file", e.Path)
	}
	return fmt.Sprintf("seal: keyset file %s is open to others than its owner (mode %#o); run: chmod 600 %s",
		e.Path, e.Mode.Perm(), e.Path)
}

// Seal encrypts a value for its cell.
func (k *Keyset) Seal(at Cell, value chat.Secret) ([]byte, error) {
	sealed, err := k.aead.Encrypt([]byte(value.Reveal()), []byte(at.String()))
	if err != nil {
		return nil, fmt.Errorf("seal: sealing %s: %w", at, err)
	}
	return sealed, nil
}

// Open decrypts what [Keyset.Seal] returned for the same cell; otherwise the
// error is [ErrWrongKey].
func (k *Keyset) Open(at Cell, sealed []byte) (chat.Secret, error) {
	value, err := k.aead.Decrypt(sealed, []byte(at.String()))
	if err != nil {
		return chat.Secret{}, fmt.Errorf("seal: opening %s: %w", at, ErrWrongKey)
	}
	return chat.NewSecret(string(value)), nil
}

// MAC returns a code over data, which nobody can make without this keyset. It
// differs every time.
func (k *Keyset) MAC(data []byte) ([]byte, error) {
	code, err := k.aead.Encrypt(nil, data)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return code, nil
}

// CheckMAC returns [ErrWrongKey] unless code is what [Keyset.MAC] returned for
// the same data, with this keyset or before it was rotated.
func (k *Keyset) CheckMAC(data, code []byte) error {
	if _, err := k.aead.Decrypt(code, data); err != nil {
		return fmt.Errorf("seal: %w", ErrWrongKey)
	}
	return nil
}

// Format keeps the key out of every verb.
func (*Keyset) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[redacted]") }

// LogValue keeps the key out of logs.
func (*Keyset) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Store keeps sealed values.
type Store interface {
	// AddSealed stores the value of a cell that has none, and reports whether
	// it did.
	AddSealed(ctx context.Context, at Cell, sealed []byte) (bool, error)
	// Sealed returns the value of a cell, and whether it has one.
	Sealed(ctx context.Context, at Cell) ([]byte, bool, error)
}

// Check opens the canary that [Keyset.Verify] has put into the database, and
// writes nothing. It reports whether there is one yet.
func (k *Keyset) Check(ctx context.Context, s Store) (found bool, err error) {
	sealed, found, err := s.Sealed(ctx, canary)
	if err != nil {
		return false, fmt.Errorf("seal: reading the canary: %w", err)
	}
	if !found {
		return false, nil
	}
	value, err := k.Open(canary, sealed)
	if err != nil {
		return true, fmt.Errorf("seal: this keyset is not the one that the database was used with: %w", ErrWrongKey)
	}
	if value.Reveal() != song {
		return true, fmt.Errorf("seal: the canary has changed: %w", ErrWrongKey)
	}
	return true, nil
}

// canary is the cell of a value that everybody knows.
var canary = Cell{Table: "sealed", Row: "canary", Column: "value"}

const song = "pvechat"

// Verify opens the canary, a value that the first process to use a database
// sealed there. [ErrWrongKey] means that this keyset opens nothing in that
// database, which is better found at the start than by somebody who needs a
// password.
func (k *Keyset) Verify(ctx context.Context, s Store) error {
	found, err := k.Check(ctx, s)
	if found || err != nil {
		return err
	}
	sealed, err := k.Seal(canary, chat.NewSecret(song))
	if err != nil {
		return err
	}
	added, err := s.AddSealed(ctx, canary, sealed)
	if err != nil {
		return fmt.Errorf("seal: storing the canary: %w", err)
	}
	if added {
		return nil
	}
	_, err = k.Check(ctx, s) // another process was quicker, perhaps with another key
	return err
}
