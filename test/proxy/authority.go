// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"time"

	"github.com/plumbline-dev/plumbline/test/issuer"
)

// authority is what a proxy that speaks TLS on loopback is trusted by.
type authority struct {
	pem    []byte
	server tls.Certificate
}

func newAuthority() (*authority, error) {
	a, err := issuer.New()
	if err != nil {
		return nil, err
	}
	server, err := a.Issue(24*time.Hour, "127.0.0.1")
	if err != nil {
		return nil, err
	}
	return &authority{a.PEM, server}, nil
}
