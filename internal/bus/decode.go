// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
)

// errUnreached says that an event is of a revision that the log had not reached
// when the event was stored: nothing that happened can have led to it, and
// taken for the newest it would shut out every revision until the log got there.
var errUnreached = errors.New("an event of a revision that the log has not reached")

// reached refuses an event of the log's present life, epoch, that is of a
// revision beyond its own place.
func reached(e events.Event, epoch string) error {
	if e.Epoch == epoch && e.Sequence > e.Stored {
		return fmt.Errorf("event %d: %w: %d", e.Stored, errUnreached, e.Sequence)
	}
	return nil
}

// reasonOf is the code under which an error of decode is published.
func reasonOf(err error) events.Reason {
	if errors.Is(err, errUnreached) {
		return events.ReasonIntegrity
	}
	return events.ReasonOf(err)
}

// unusable says that what lies in the log is no event of any version, now and
// for ever. Who consumes it has rejected it.
func unusable(err error) bool {
	for _, known := range []error{events.ErrMalformed, events.ErrWrongSubject, events.ErrTooLarge, errUnreached} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// placeOf is where in the log an answer to a Direct Get lies.
func placeOf(m *nats.Msg) (uint64, error) {
	stored, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the server's answer has no sequence: %w", err)
	}
	return stored, nil
}
