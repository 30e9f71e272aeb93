package seal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// Key is a key of a keyset file.
type Key struct {
	ID      uint32
	Primary bool // new values are sealed with it
}

// Keys lists the keys of a file.
func Keys(path string) ([]Key, error) {
	handle, err := read(path)
	if err != nil {
		return nil, err
	}
	var keys []Key
	primary := handle.KeysetInfo().GetPrimaryKeyId()
	for _, k := range handle.KeysetInfo().GetKeyInfo() {
		keys = append(keys, Key{k.GetKeyId(), k.GetKeyId() == primary})
	}
	return keys, nil
}

// AddKey adds a key to a file; nothing is sealed with it before [Promote].
func AddKey(path string) (id uint32, err error) {
	err = change(path, func(m *keyset.Manager) error {
		id, err = m.Add(aead.XAES256GCM192BitNonceKeyTemplate())
		return err
	})
	return id, err
}

// Promote makes a key the one with which new values are sealed. Older ones
// still open.
func Promote(path string, id uint32) error {
	return change(path, func(m *keyset.Manager) error { return m.SetPrimary(id) })
}

// Retire removes a key from a file. What it sealed opens no more: see [Reseal].
func Retire(path string, id uint32) error {
	return change(path, func(m *keyset.Manager) error { return m.Delete(id) })
}

// RotateStore is where all sealed values are.
type RotateStore interface {
	AllSealed(ctx context.Context, each func(at Cell, sealed []byte) error) error
	PutSealed(ctx context.Context, at Cell, value []byte) error
}

// Used counts the values that each key sealed, and opens them all. The error
// names the cells that do not open.
func (k *Keyset) Used(ctx context.Context, s RotateStore) (map[uint32]int, error) {
	used := map[uint32]int{}
	var wrong []error
	err := s.AllSealed(ctx, func(at Cell, sealed []byte) error {
		used[keyID(sealed)]++
		if _, err := k.Open(at, sealed); err != nil {
			wrong = append(wrong, err)
		}
		return nil
	})
	return used, errors.Join(err, errors.Join(wrong...))
}

// Reseal seals with the primary key what another one sealed, and returns how
// many values that were.
func (k *Keyset) Reseal(ctx context.Context, s RotateStore, old uint32) (n int, err error) {
	type value struct {
		at     Cell
		sealed []byte
	}
	var list []value
	err = s.AllSealed(ctx, func(at Cell, sealed []byte) error {
		if keyID(sealed) == old {
			list = append(list, value{at, bytes.Clone(sealed)})
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, v := range list {
		open, err := k.Open(v.at, v.sealed)
		if err != nil {
			return n, err
		}
		sealed, err := k.Seal(v.at, open)
		if err != nil {
			return n, err
		}
		if err := s.PutSealed(ctx, v.at, sealed); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// keyID is the key that sealed a value: Tink puts a 1 and the key's id before
// it. 0 where there is none.
func keyID(sealed []byte) uint32 {
	if len(sealed) < 5 || sealed[0] != 1 {
		return 0
	}
	return binary.BigEndian.Uint32(sealed[1:])
}

// change rewrites a file: whoever reads it sees the old or the new one.
func change(path string, f func(*keyset.Manager) error) error {
	handle, err := read(path)
	if err != nil {
		return err
	}
	m := keyset.NewManagerFromHandle(handle)
	if err := f(m); err != nil {
		return fmt.Errorf("seal: %s: %w", path, err)
	}
	if handle, err = m.Handle(); err != nil {
		return fmt.Errorf("seal: %s: %w", path, err)
	}
	var b bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&b)); err != nil {
		return fmt.Errorf("seal: %s: %w", path, err)
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".keyset-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	_, err = next.Write(b.Bytes())
	if err = errors.Join(err, next.Sync(), next.Close()); err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("seal: %w", errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}
