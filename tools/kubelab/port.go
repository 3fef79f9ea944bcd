// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Ports for the API server come from below every system's ephemeral range
// (Linux: 32768 and up), so that no outgoing connection can be sitting on the
// port when a stopped cluster is started again.
const (
	firstPort = 18000
	lastPort  = 32000
	portTries = 200
)

// portWait bounds how long a known port may stay taken, by a process that is
// still ending, before a start gives up.
const portWait = 10 * time.Second

func serverURL(port int) string { return "https://" + address(port) }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// readPort is the port of dir's API server, os.ErrNotExist before its first
// start.
func (l layout) readPort() (int, error) {
	text, err := os.ReadFile(l.port())
	if err != nil {
		return 0, fmt.Errorf("read port: %w", err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read port from %s: %w", l.port(), err)
	}
	return port, nil
}

// listen opens the API server's socket: on the port of the last time, or on a
// free one, which it notes for the next.
func (l layout) listen(ctx context.Context) (net.Listener, error) {
	port, err := l.readPort()
	if errors.Is(err, os.ErrNotExist) {
		return l.listenAnywhere(ctx)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, portWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", address(port))
		if err == nil {
			return listener, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("listen on the cluster's port again (free it, or remove %s): %w", l.port(), err)
		case <-tick.C:
		}
	}
}

func (l layout) listenAnywhere(ctx context.Context) (net.Listener, error) {
	var last error
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp4", address(port))
		if err != nil {
			last = err
			continue
		}
		if err := writeFile(l.port(), []byte(strconv.Itoa(port)+"\n")); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
		return listener, nil
	}
	return nil, fmt.Errorf("find a free port: %w", last)
}
