package seal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pvechat/pvechat/bot/chat"
	"github.com/pvechat/pvechat/proxmox/guest"
)

// Vault keeps the credentials of containers that people enter, because nothing
// in the container holds them.
type Vault struct {
	keys  *Keyset
	store VaultStore
}

// VaultStore keeps sealed values.
type VaultStore interface {
	PutSealed(ctx context.Context, at Cell, value []byte) error
	DropSealed(ctx context.Context, at Cell) error
	// SealedRow returns the sealed values of a row by column.
	SealedRow(ctx context.Context, table, row string) (map[string][]byte, error)
}

// ErrNoKeyset says that values cannot be kept or opened without a key set.
var ErrNoKeyset = errors.New("there is no key set")

// NewVault returns a vault; without keys it keeps nothing, and says so when
// there is something that it cannot open.
func NewVault(keys *Keyset, store VaultStore) *Vault { return &Vault{keys, store} }

// CanKeep reports whether there is a key set.
func (v *Vault) CanKeep() bool { return v.keys != nil }

func cellOf(container, service, key string) Cell {
	return Cell{Table: "credentials", Row: container, Column: service + "/" + key}
}

// Keep seals a value, in the place of an older one; an empty one removes it.
func (v *Vault) Keep(ctx context.Context, container, service, key string, value chat.Secret) error {
	at := cellOf(container, service, key)
	if value.Reveal() == "" {
		return v.store.DropSealed(ctx, at)
	}
	if v.keys == nil {
		return ErrNoKeyset
	}
	sealed, err := v.keys.Seal(at, value)
	if err != nil {
		return err
	}
	return v.store.PutSealed(ctx, at, sealed)
}

// Kept opens the values of a container, by service and key. The error is that
// of the store, [ErrNoKeyset] or [ErrWrongKey]; the values that open are
// returned with the last.
func (v *Vault) Kept(ctx context.Context, container string) ([]guest.CredentialSet, error) {
	row, err := v.store.SealedRow(ctx, "credentials", container)
	if err != nil || len(row) == 0 {
		return nil, err
	}
	if v.keys == nil {
		return nil, ErrNoKeyset
	}
	sets := map[string][]guest.Credential{}
	for column, sealed := range row {
		service, key, _ := strings.Cut(column, "/")
		value, openErr := v.keys.Open(cellOf(container, service, key), sealed)
		if openErr != nil {
			err = openErr
			continue
		}
		sets[service] = append(sets[service], guest.Credential{Key: key, Value: guest.Secret(value.Reveal())})
	}
	return sorted(sets), err
}

func sorted(sets map[string][]guest.Credential) []guest.CredentialSet {
	var list []guest.CredentialSet
	for _, service := range slices.Sorted(maps.Keys(sets)) {
		values := sets[service]
		slices.SortFunc(values, func(a, b guest.Credential) int { return strings.Compare(a.Key, b.Key) })
		list = append(list, guest.CredentialSet{Service: service, Values: values})
	}
	return list
}
