// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/issuer"
)

// What is issued is good for its hosts and its time, to who trusts its own
// authority.
func TestIssue(t *testing.T) {
	own, other := authority(t), authority(t)
	good := issue(t, own, time.Hour, "127.0.0.1", "localhost")
	for name, c := range map[string]struct {
		certificate *x509.Certificate
		trusted     *issuer.Authority
		host        string
		want        func(error) bool
	}{
		"address":   {good, own, "127.0.0.1", func(err error) bool { return err == nil }},
		"name":      {good, own, "localhost", func(err error) bool { return err == nil }},
		"elsewhere": {good, own, "192.0.2.1", func(err error) bool { return errors.As(err, new(x509.HostnameError)) }},
		"stranger":  {good, other, "127.0.0.1", func(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }},
		"expired": {issue(t, own, -time.Hour, "127.0.0.1"), own, "127.0.0.1", func(err error) bool {
			var invalid x509.CertificateInvalidError
			return errors.As(err, &invalid) && invalid.Reason == x509.Expired
		}},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(c.trusted.PEM)
		if _, err := c.certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: c.host}); !c.want(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func authority(t *testing.T) *issuer.Authority {
	t.Helper()
	a, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *issuer.Authority, life time.Duration, hosts ...string) *x509.Certificate {
	t.Helper()
	c, err := a.Issue(life, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
