// SPDX-License-Identifier: Apache-2.0

package bustest_test

import (
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// A server comes back to its address, though somebody had it meanwhile.
func TestUpWaitsForTheAddress(t *testing.T) {
	s := bustest.Start(t)
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	s.Down(t)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { _ = taken.Close() })
	s.Up(t)
	if s.URL() != at.String() {
		t.Errorf("it is at %s now, and was at %s", s.URL(), at)
	}
}
