// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/plumbline-dev/plumbline/test/issuer"
)

// serveTLS wraps a listener with a certificate for 127.0.0.1 and localhost,
// and returns the PEM of the authority that signed it.
func serveTLS(l net.Listener) (net.Listener, []byte, error) {
	authority, err := issuer.New()
	if err != nil {
		return nil, nil, fmt.Errorf("git server: %w", err)
	}
	certificate, err := authority.Issue(12*time.Hour, "127.0.0.1", "localhost")
	if err != nil {
		return nil, nil, fmt.Errorf("git server: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	return tls.NewListener(l, config), authority.PEM, nil
}
