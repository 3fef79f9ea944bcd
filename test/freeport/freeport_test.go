// SPDX-License-Identifier: Apache-2.0

package freeport_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/plumbline-dev/plumbline/test/freeport"
)

// The kernel gives none of them to anybody who doesn't ask for it by number.
func TestPortsAreBelowTheKernelsOwn(t *testing.T) {
	lowest := 32768
	if runtime.GOOS == "linux" {
		text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(string(text), &lowest); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		l, err := freeport.Listen()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if a := l.Addr().(*net.TCPAddr); !a.IP.IsLoopback() || a.Port >= lowest {
			t.Errorf("%s: the kernel's begin at %d", a, lowest)
		}
	}
}

// A port is free for who was told of it.
func TestAddressIsFree(t *testing.T) {
	l, err := net.Listen("tcp", freeport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l, err = net.Listen("tcp", "127.0.0.1:"+freeport.Port(t)); err != nil {
		t.Fatal(err)
	}
	l.Close()
}
