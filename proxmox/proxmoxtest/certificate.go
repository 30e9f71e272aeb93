package proxmoxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// certificates holds the cluster's own certificate authority and the certificate of the node that answers, made at the first use.
type certificates struct {
	mu     sync.Mutex
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	leaf   tls.Certificate
	serial int64
	until  time.Time // the end of certificates that are issued from now on; zero: the usual
}

// Fingerprint is the SHA-256 of the server's certificate in the form that Proxmox shows: AA:BB:….
func (s *Server) Fingerprint() string {
	leaf, err := s.certs.current()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(leaf.Certificate[0])
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// CAPEM is the certificate authority that signed the server's certificate (the real file: /etc/pve/pve-root-ca.pem).
func (s *Server) CAPEM() []byte {
	if _, err := s.certs.current(); err != nil {
		return nil
	}
	s.certs.mu.Lock()
	defer s.certs.mu.Unlock()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certs.ca.Raw})
}

// RenewCertificate replaces the server's certificate by one of the same authority, as Proxmox does by itself before the old one
// ends. New connections see it.
func (s *Server) RenewCertificate() error {
	if err := s.certs.prepare(); err != nil {
		return err
	}
	s.certs.mu.Lock()
	defer s.certs.mu.Unlock()
	return s.certs.issue()
}

// EndCertificate is RenewCertificate with a certificate that ends then.
func (s *Server) EndCertificate(at time.Time) error {
	if err := s.certs.prepare(); err != nil {
		return err
	}
	s.certs.mu.Lock()
	defer s.certs.mu.Unlock()
	s.certs.until = at
	return s.certs.issue()
}

func (c *certificates) current() (*tls.Certificate, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf := c.leaf
	return &leaf, nil
}

func (c *certificates) prepare() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ca != nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := c.template("Proxmox Virtual Environment")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	c.ca, c.caKey = ca, key
	return c.issue()
}

func (c *certificates) issue() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := c.template("pve")
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if !c.until.IsZero() {
		template.NotAfter = c.until
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost", "pve", "pve1", "pve2", "pve3"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, c.ca, key.Public(), c.caKey)
	if err != nil {
		return err
	}
	c.leaf = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return nil
}

func (c *certificates) template(name string) *x509.Certificate {
	c.serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(c.serial),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"PVE Cluster Manager CA"}},
		// Wide, because the simulated clock, the machine's and that of a synctest bubble (the year 2000) are far apart.
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}
