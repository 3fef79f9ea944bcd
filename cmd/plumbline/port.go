// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strconv"
)

// port is a TCP port to listen on; -1: any free one. It makes a flag.
type port int

const (
	anyPort     port = -1
	defaultPort port = 4222 // of NATS
)

var errNoPort = errors.New("want a port from 1 to 65535, or -1 for a free one")

// String, Set and Type make port a flag.
func (p *port) String() string { return strconv.Itoa(int(*p)) }

// Type is the name of the value in help.
func (p *port) Type() string { return "port" }

// Set takes what the user wrote.
func (p *port) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n > 1<<16-1 || n < 1 && port(n) != anyPort {
		return errNoPort
	}
	*p = port(n)
	return nil
}
