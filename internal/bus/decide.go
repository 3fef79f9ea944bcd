// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fault"
)

// limit is how many failures of an input's own, and how many deaths beside
// them, are borne before it is quarantined.
const limit = 3

// conflictDelay is when an input is decided anew after another event came
// first.
const conflictDelay = 200 * time.Millisecond

// class is what an error means for the input.
type class string

const (
	classDone     class = "done"
	classRetry    class = "retry"    // the input's own failure
	classLater    class = "later"    // somebody asked to wait
	classTerminal class = "terminal" // the input is at fault
	classOutage   class = "outage"   // a dependency is out
	classConflict class = "conflict" // another event came first
	classShutdown class = "shutdown" // we stop
)

// failure is what is said of an input that failed.
type failure struct {
	reason  events.Reason
	message string // for people
}

// classify says what err means, and what is to be said of it where that is
// terminal. stopping says that the consumer is to end.
func classify(err error, stopping bool) (class, failure) {
	reason, message, terminal := fault.AsTerminal(err)
	_, outage := fault.AsOutage(err)
	_, later := fault.Delay(err)
	cancelled := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case err == nil:
		return classDone, failure{}
	case stopping && (cancelled || !terminal):
		return classShutdown, failure{}
	case terminal:
		return classTerminal, failure{events.Reason(reason), message}
	case outage:
		return classOutage, failure{}
	case errors.Is(err, ErrConflict):
		return classConflict, failure{}
	case later:
		return classLater, failure{}
	default:
		return classRetry, failure{}
	}
}

// ack is what the server is told about an input.
type ack string

const (
	ackDone ack = "ack"  // it is done
	ackTerm ack = "term" // it is taken off: its failure is published
	ackNak  ack = "nak"  // it shall come again
	ackKeep ack = "keep" // nothing yet: it stays in hand
)

// verdict is what is done about an input after its handler returned.
type verdict struct {
	ack ack
	// listed: it comes again after the delay that the consumer's back-off
	// list has for it; else after delay.
	listed bool
	delay  time.Duration
	// quarantine: the failure is published before.
	quarantine bool
	record     record // the count, as it is now
}

// record is what the ledger holds of an input that came more than once, or
// failed.
type record struct {
	ID       string `json:"id"`       // of the event: a log's later life reuses places
	Failures int    `json:"failures"` // of the input's own
	// Open says that the handler was called and has not returned: found
	// so, the process died in it.
	Open bool `json:"open,omitempty"`
	// Alone says that nothing else was worked on meanwhile.
	Alone bool `json:"alone,omitempty"`
	// Deaths counts how often the process died while it worked on this input
	// alone. A panic is an error of the handler and not among them. What is,
	// nothing tells from a process that somebody killed: so a death beside
	// other inputs accuses none of them, and one alone, only with two more.
	Deaths      int  `json:"deaths,omitempty"`
	Quarantined bool `json:"quarantined,omitempty"`
}

// spent says that an input has failed and died as often as is borne.
func (r record) spent() bool { return r.Failures+r.Deaths >= limit }

// admission is what is done about an input before its handler is called.
type admission struct {
	record record
	// call: the handler is called, under record.
	call bool
	// alone: nothing else is worked on meanwhile, since the process died in
	// its handler before.
	alone bool
}

// admit decides over an input that comes again; found is what the ledger
// holds, the zero record where that is nothing.
func admit(id string, found record) admission {
	if found.ID != id {
		return admission{record: record{ID: id, Open: true}, call: true}
	}
	a := admission{record: found, alone: found.Open, call: true}
	if found.Open && found.Alone {
		a.record.Deaths++
	}
	a.record.Open, a.record.Alone = true, a.alone
	if a.record.spent() && !found.Quarantined {
		a.call = false
		a.record.Open, a.record.Alone, a.record.Quarantined = false, false, true
	}
	return a
}

// decide says what becomes of an input whose handler returned: c is the class
// of its error, r the record that it was called under, asked the delay that
// [fault.RetryAfter] names.
func decide(c class, r record, asked time.Duration) verdict {
	r.Open, r.Alone = false, false
	v := verdict{record: r}
	switch c {
	case classDone:
		v.ack = ackDone
	case classTerminal:
		v.ack = ackTerm
	case classOutage, classShutdown:
		// At the end all that is in hand is given back, once nothing is pulled
		// any more: what came back earlier would come to this consumer.
		v.ack = ackKeep
	case classConflict:
		v.ack, v.delay = ackNak, conflictDelay
	case classLater:
		v.ack, v.delay = ackNak, asked
	default:
		v.ack, v.listed = ackNak, true
		v.record.Failures++
		v.quarantine = v.record.spent() && !r.Quarantined
		v.record.Quarantined = r.Quarantined || v.quarantine
	}
	return v
}

// backoff is the list of delays of a consumer, as its configuration has it.
type backoff []time.Duration

// after is the delay after the nth delivery, n from 1.
func (b backoff) after(n int) time.Duration {
	if len(b) == 0 {
		return time.Second
	}
	return b[min(max(n, 1), len(b))-1]
}

// asNak is the delay to send with a Nak of the nth delivery so that the
// message comes again after d. The server counts a delay from the first of
// the list, and waits for what its list has for the delivery beyond that
// (processNak and checkPending in server/consumer.go of nats-server 2.15).
func (b backoff) asNak(n int, d time.Duration) time.Duration {
	return d - b.after(n) + b.after(1)
}
