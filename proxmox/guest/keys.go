package guest

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// signer returns our key.
func (c *Client) signer() (ssh.Signer, error) {
	if c.cfg.Signer != nil {
		return c.cfg.Signer, nil
	}
	signer, err := readKey(c.cfg.KeyFile)
	if err != nil {
		return nil, &Error{Kind: Auth, Err: fmt.Errorf("our key: %w", err)}
	}
	return signer, nil
}

func readKey(file string) (ssh.Signer, error) {
	if file == "" {
		return nil, errors.New("no key file is set")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, others can read it: chmod 600", file, mode)
	}
	const enough = 64 << 10 // RSA with 16,384 bits takes 13 KiB
	pem, err := io.ReadAll(io.LimitReader(f, enough))
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if _, locked := errors.AsType[*ssh.PassphraseMissingError](err); locked {
		return nil, fmt.Errorf("%s has a passphrase, which nobody could type here", file)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signer, nil
}

// knownHosts are the host keys that we trust.
type knownHosts struct {
	file string
	find ssh.HostKeyCallback
}

func readKnownHosts(file string) (knownHosts, error) {
	if file == "" {
		return knownHosts{}, &Error{Kind: HostKeyUnknown, Err: errors.New("no known hosts file is set")}
	}
	find, err := knownhosts.New(file)
	if err != nil {
		return knownHosts{}, &Error{Kind: HostKeyUnknown, Err: err}
	}
	return knownHosts{file: file, find: find}, nil
}

// known returns the keys under which addr is known.
func (k knownHosts) known(addr netip.AddrPort) []knownhosts.KnownKey {
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		panic(err) // it is of the right size
	}
	keyErr, _ := errors.AsType[*knownhosts.KeyError](k.find(addr.String(), net.TCPAddrFromAddrPort(addr), nobody))
	if keyErr == nil {
		return nil
	}
	return keyErr.Want
}

// algorithms returns what to ask the host for: the kinds of key by which it is
// known, so that it shows one of these where it has several; then the rest, so
// that a host whose keys are of another kind now is seen to have changed.
func (k knownHosts) algorithms(addr netip.AddrPort) []string {
	known := make(map[string]bool)
	for _, key := range k.known(addr) {
		known[key.Key.Type()] = true
	}
	algorithms := slices.DeleteFunc(ssh.SupportedAlgorithms().HostKeys, func(a string) bool {
		return strings.Contains(a, "-cert-")
	})
	rank := func(a string) int {
		if known[strings.Replace(strings.Replace(a, "rsa-sha2-256", "ssh-rsa", 1), "rsa-sha2-512", "ssh-rsa", 1)] {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(algorithms, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return algorithms
}

// verify reports whether key is one by which addr is known.
func (k knownHosts) verify(addr netip.AddrPort, key ssh.PublicKey) error {
	err := k.find(addr.String(), net.TCPAddrFromAddrPort(addr), key)
	if err == nil {
		return nil
	}
	file := filepath.Base(k.file)
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	keyErr, mismatch := errors.AsType[*knownhosts.KeyError](err)
	switch {
	case mismatch && len(keyErr.Want) == 0:
		return &Error{Kind: HostKeyUnknown, Addr: addr.String(), Err: fmt.Errorf("%s is not in %s: %w", shown, file, err)}
	case mismatch:
		want := keyErr.Want[0]
		return &Error{Kind: HostKeyChanged, Addr: addr.String(), Err: fmt.Errorf("it is %s, and %s line %d has %s %s: %w",
			shown, file, want.Line, want.Key.Type(), ssh.FingerprintSHA256(want.Key), err)}
	default: // revoked
		return &Error{Kind: HostKeyChanged, Addr: addr.String(), Err: fmt.Errorf("%s: %w", shown, err)}
	}
}
