// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// ports are chosen once, so that a part that starts again is found where it
// was.
type ports struct{ nats, webhook int }

func freePorts() (ports, error) {
	var p ports
	var listeners []net.Listener
	for _, port := range []*int{&p.nats, &p.webhook} {
		l, err := listenLow()
		if err != nil {
			return ports{}, fmt.Errorf("find a free port: %w", err)
		}
		listeners = append(listeners, l) // held until all are found, so that no two are alike
		*port = l.Addr().(*net.TCPAddr).Port
	}
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return p, errors.Join(errs...)
}

// listenLow listens on a free port below those that the kernel gives to
// outgoing connections and to who asks for any: one of them would be somebody
// else's before it is used.
func listenLow() (l net.Listener, err error) {
	for range 100 {
		port := 10_000 + rand.IntN(22_000) //nolint:gosec // any will do
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, err
}
