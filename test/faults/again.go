// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/plumbline-dev/plumbline/test/proxy"
)

// againFaults deliver again what everybody has had, and nothing else.
var againFaults = []Fault{
	{
		Row: "F11", Name: "everything-again", About: "at rest, all that the bus knew of deliveries is lost: the last of every subject is delivered to everybody once more, one to five times and out of order, and nothing may be written", Weight: 3,
		Needs: NeedProxy, Quiet: true, Inject: everythingAgain,
	},
}

// againWithin bounds the wait until all that is delivered again was worked off.
const againWithin = time.Minute

// everythingAgain deletes the consumers' state while their server is down. They
// are provisioned anew, and begin with the last event of each subject.
func everythingAgain(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
	lift := w.deliver(proxy.Delivery{Copies: 4, Spread: time.Duration(20+rng.IntN(1000)) * time.Millisecond})
	if err := errors.Join(w.stopBus(), w.ForgetDeliveries(), w.StartNATS(ctx)); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, againWithin)
	defer cancel()
	if err := w.Drained(waiting); err != nil {
		w.Note(fmt.Sprintf("everything again: %v", err))
		w.Missed("what was delivered again was not worked off")
	}
	return lift, nil
}
