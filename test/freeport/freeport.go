// SPDX-License-Identifier: Apache-2.0

package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Above them are those of the clusters that tests start meanwhile, see
// tools/kubelab.
const (
	first = 10_000
	last  = 17_999
	tries = 100
)

// Listen listens on a free port of 127.0.0.1, which stays free for a while when
// the listener is closed.
func Listen() (net.Listener, error) {
	var err error
	for range tries {
		port := first + rand.IntN(last-first+1) //nolint:gosec // any will do
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("find a free port: %w", err)
}

// Address is the host and port of a free port of 127.0.0.1.
func Address(t testing.TB) string {
	t.Helper()
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Port is the number of a free port of 127.0.0.1.
func Port(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(Address(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
