// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// messageFaults are messages that nobody can take.
var messageFaults = []Fault{
	{
		Row: "F14", Name: "poison-message", About: "messages on the bus that are no events, or events on the wrong subject: rejected by an event, and others go on", Weight: 2,
		Hold: Span{0, time.Second}, Inject: poison,
	},
}

// poison publishes, in the name of the services that may, what is no event.
func poison(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	bodies := []string{"\x00 no event", "{}", `{"specversion":"1.0","id":"x","source":"y","type":"dev.plumbline.commit.observed.v9","data":{}}`, "[1,2"}
	at := events.Address{Cluster: "local", Application: "poison"}
	var errs []error
	for _, by := range [][2]string{{"watcher", "commit.observed"}, {"renderer", "manifests.rendered"}, {"applier-local", "convergence.applied"}} {
		body := []byte(bodies[rng.IntN(len(bodies))])
		errs = append(errs, w.PublishAs(ctx, by[0], events.TypeNamed(by[1]).Subject(at), body))
	}
	return nil, errors.Join(errs...)
}
