package guest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
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

// AuthorizedKey is the public key that lets c in, as a line of an
// authorized_keys file. It reads the key file.
func (c *Client) AuthorizedKey() (string, error) {
	signer, err := c.signer()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

// Check reads the files that every login needs: our key, and the known hosts.
// It connects to nobody. Its errors are those of a login.
func (c *Client) Check(ctx context.Context) error {
	if _, err := c.signer(); err != nil {
		return err
	}
	_, err := c.knownHosts(ctx, Target{})
	return err
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

// knownHosts are the host keys that we trust for one target.
type knownHosts struct {
	file     string
	find     ssh.HostKeyCallback // nil: no file
	accepted []ssh.PublicKey     // by a person, for this container
}

func (c *Client) knownHosts(ctx context.Context, t Target) (knownHosts, error) {
	k := knownHosts{file: c.cfg.KnownHostsFile}
	if c.cfg.HostKeys != nil && t.ID != "" && !c.cfg.ViaNode {
		lines, err := c.cfg.HostKeys.HostKeys(ctx, t.ID)
		if err != nil {
			return k, &Error{Kind: HostKeyUnknown, Err: fmt.Errorf("reading the accepted ones: %w", err)}
		}
		for _, line := range lines {
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
			if err != nil {
				return k, &Error{Kind: HostKeyUnknown, Err: errors.New("an accepted one cannot be read")}
			}
			k.accepted = append(k.accepted, key)
		}
	}
	if k.file == "" {
		if c.cfg.HostKeys == nil || c.cfg.ViaNode {
			return k, &Error{Kind: HostKeyUnknown, Err: errors.New("no known hosts file is set")}
		}
		return k, nil
	}
	find, err := knownhosts.New(k.file)
	if err != nil {
		return k, &Error{Kind: HostKeyUnknown, Err: err}
	}
	k.find = find
	return k, nil
}

// nowhere stands for the address of the other side, which knownhosts looks at
// only where there is no name.
var nowhere = &net.TCPAddr{IP: net.IPv4zero}

// kinds returns the types of the keys under which addr is known.
func (k knownHosts) kinds(addr string) map[string]bool {
	kinds := make(map[string]bool)
	for _, key := range k.accepted {
		kinds[key.Type()] = true
	}
	if k.find == nil {
		return kinds
	}
	nobody, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		panic(err) // it is of the right size
	}
	if keyErr, ok := errors.AsType[*knownhosts.KeyError](k.find(addr, nowhere, nobody)); ok {
		for _, known := range keyErr.Want {
			kinds[known.Key.Type()] = true
		}
	}
	return kinds
}

// algorithms returns what to ask the host for: the kinds of key by which it is
// known, so that it shows one of these where it has several; then the rest, so
// that a host whose keys are of another kind now is seen to have changed.
func (k knownHosts) algorithms(addr string) []string {
	known := k.kinds(addr)
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

// verify reports whether key is one by which addr, or the container itself, is
// known.
func (k knownHosts) verify(addr string, key ssh.PublicKey) error {
	refused := func(kind Kind, err error) error {
		return &Error{Kind: kind, Addr: addr, Err: err, HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))}
	}
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	var inFile error = &knownhosts.KeyError{}
	if k.find != nil {
		inFile = k.find(addr, nowhere, key)
	}
	file := filepath.Base(k.file)
	keyErr, mismatch := errors.AsType[*knownhosts.KeyError](inFile)
	if inFile != nil && !mismatch {
		return refused(HostKeyChanged, fmt.Errorf("%s: %w", shown, inFile)) // revoked
	}
	same := func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }
	switch {
	case inFile == nil || slices.ContainsFunc(k.accepted, same):
		return nil
	case len(k.accepted) > 0:
		return refused(HostKeyChanged, fmt.Errorf("it is %s, and %s %s was accepted", shown, k.accepted[0].Type(), ssh.FingerprintSHA256(k.accepted[0])))
	case len(keyErr.Want) > 0:
		want := keyErr.Want[0]
		return refused(HostKeyChanged, fmt.Errorf("it is %s, and %s line %d has %s %s: %w",
			shown, file, want.Line, want.Key.Type(), ssh.FingerprintSHA256(want.Key), inFile))
	case k.find == nil:
		return refused(HostKeyUnknown, fmt.Errorf("%s was not accepted yet", shown))
	}
	return refused(HostKeyUnknown, fmt.Errorf("%s is not in %s: %w", shown, file, inFile))
}

// Fingerprint is the SHA-256 fingerprint of a host key in the form of
// [Error].HostKey, as ssh-keygen -lf prints it; empty where it is none.
func Fingerprint(hostKey string) string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(hostKey))
	if err != nil {
		return ""
	}
	return ssh.FingerprintSHA256(key)
}
