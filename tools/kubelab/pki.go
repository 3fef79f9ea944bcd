// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// validity is how long every certificate holds: longer than any lab lives.
const validity = 10 * 365 * 24 * time.Hour

// authority is a certificate authority with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// pair is a certificate and its private key, both PEM.
type pair struct {
	cert, key []byte
}

// identities of the cluster's own components and of its administrator. The
// group system:masters is allowed everything, without RBAC, and is exempt from
// priority and fairness: a lab's own parts must not queue behind what it tests.
var (
	adminUser             = user{Name: "kubelab-admin", Groups: []string{"system:masters"}}
	controllerManagerUser = user{Name: "system:kube-controller-manager", Groups: []string{"system:masters"}}
	schedulerUser         = user{Name: "system:kube-scheduler", Groups: []string{"system:masters"}}
	nodesUser             = user{Name: "kubelab-nodes", Groups: []string{"system:masters"}}
)

// user is an identity as client certificates carry it: the common name and the
// organizations of the subject.
type user struct {
	Name   string
	Groups []string
}

// ensurePKI makes what is missing of: the cluster's authority, the API server's
// certificate, the key that signs service account tokens, and etcd's authority
// with one pair for both ends. etcd has an authority of its own because every
// certificate that the cluster's authority mints for a user would open etcd.
func ensurePKI(dir layout) error {
	ca, err := ensureAuthority(dir, "ca", "kubelab")
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kube-apiserver"},
		DNSNames:    []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), serviceIP},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := ca.ensureLeaf(dir, "apiserver", server); err != nil {
		return err
	}
	etcdCA, err := ensureAuthority(dir, "etcd-ca", "kubelab-etcd")
	if err != nil {
		return err
	}
	etcd := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "etcd"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if err := etcdCA.ensureLeaf(dir, "etcd", etcd); err != nil {
		return err
	}
	return ensureTokenKey(dir)
}

// ensureTokenKey makes the key that signs service account tokens.
func ensureTokenKey(dir layout) error {
	if ok, err := exists(dir.pki("sa.pub")); ok || err != nil {
		return err
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode service account key: %w", err)
	}
	if err := writeFile(dir.pki("sa.key"), keyPEM); err != nil {
		return err
	}
	return writeFile(dir.pki("sa.pub"), encodePEM("PUBLIC KEY", public))
}

func ensureAuthority(dir layout, name, commonName string) (authority, error) {
	ok, err := exists(dir.pki(name + ".crt"))
	if err != nil {
		return authority{}, err
	}
	if ok {
		return loadAuthority(dir, name)
	}
	key, keyPEM, err := newKey()
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := sign(template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	// The certificate is written last: its presence says that the pair is whole.
	if err := writeFile(dir.pki(name+".key"), keyPEM); err != nil {
		return authority{}, err
	}
	if err := writeFile(dir.pki(name+".crt"), encodePEM("CERTIFICATE", der)); err != nil {
		return authority{}, err
	}
	return loadAuthority(dir, name)
}

func loadAuthority(dir layout, name string) (authority, error) {
	cert, err := readPEM(dir.pki(name + ".crt"))
	if err != nil {
		return authority{}, err
	}
	key, err := readPEM(dir.pki(name + ".key"))
	if err != nil {
		return authority{}, err
	}
	var a authority
	if a.cert, err = x509.ParseCertificate(cert); err != nil {
		return authority{}, fmt.Errorf("parse %s.crt: %w", name, err)
	}
	if a.key, err = x509.ParseECPrivateKey(key); err != nil {
		return authority{}, fmt.Errorf("parse %s.key: %w", name, err)
	}
	return a, nil
}

// ensureLeaf makes name.crt and name.key from template unless they are there.
func (a authority) ensureLeaf(dir layout, name string, template *x509.Certificate) error {
	if ok, err := exists(dir.pki(name + ".crt")); ok || err != nil {
		return err
	}
	leaf, err := a.issue(template)
	if err != nil {
		return err
	}
	if err := writeFile(dir.pki(name+".key"), leaf.key); err != nil {
		return err
	}
	return writeFile(dir.pki(name+".crt"), leaf.cert)
}

// issueClient mints a client certificate for u.
func (a authority) issueClient(u user) (pair, error) {
	return a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: u.Name, Organization: u.Groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a authority) issue(template *x509.Certificate) (pair, error) {
	key, keyPEM, err := newKey()
	if err != nil {
		return pair{}, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := sign(template, a.cert, key.Public(), a.key)
	if err != nil {
		return pair{}, err
	}
	return pair{cert: encodePEM("CERTIFICATE", der), key: keyPEM}, nil
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("choose serial number: %w", err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // a clock that was set back is no reason to fail
	template.NotAfter = template.NotBefore.Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	return der, nil
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return key, encodePEM("EC PRIVATE KEY", der), nil
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read %s: no PEM block in it", path)
	}
	return block.Bytes, nil
}

// writeFile replaces path as a whole, readable by its owner alone.
func writeFile(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
