// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"net"

	"github.com/plumbline-dev/plumbline/test/freeport"
)

// ports are chosen once, so that a part that starts again is found where it
// was.
type ports struct{ nats, webhook int }

func freePorts() (ports, error) {
	var p ports
	var listeners []net.Listener
	for _, port := range []*int{&p.nats, &p.webhook} {
		l, err := freeport.Listen()
		if err != nil {
			return ports{}, err
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
