// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Event is an event as it was read from the bus, or as it is about to be
// written to it.
type Event struct {
	ID     string // deterministic: derived from cause, type and key
	Source string // the service and cluster that published it, as a URI
	Type   *Type
	Address
	Time time.Time // when it happened

	Epoch    string // which life of the log
	Sequence uint64 // order of revisions; 0 where no revision is concerned

	// Traceparent is the W3C trace context in which the commit's trace
	// started (CloudEvents distributed tracing extension).
	Traceparent   string
	CorrelationID string // application and commit, or the divergence
	CausationID   string // the id of the event, or the observation, before

	// StageStart and StageEnd enclose the work that led to the event.
	StageStart, StageEnd time.Time

	// Version is that of the program that published it; empty: not said.
	Version string

	Data Payload

	// Stored is the event's own sequence in the log, 0 before it is there.
	// It is not part of the event's encoding.
	Stored uint64
}

// Draft is an event as a handler returns it: what only the handler knows.
// The bus adds id, source, time, epoch, sequence, trace and causation.
type Draft struct {
	Data Payload
	Address
	// Variant tells several drafts of one type and address from one cause
	// apart; it goes into the id alone.
	Variant string
	// Time is when it happened; zero means when the handler was called.
	Time time.Time
	// Correlation replaces the cause's correlation id; empty keeps it.
	Correlation string
	// Revision replaces what is inherited from the cause; the zero value
	// keeps it.
	Revision Order
	// Expect makes the publish a compare-and-set; nil publishes always.
	Expect *Expectation
	// Trace replaces the cause's traceparent; empty keeps it.
	Trace string
	// Begins has the event begin a trace of its own, linked to that of this
	// traceparent; empty: it doesn't.
	Begins string
}

// Order places a revision: the log's life and the sequence in it.
type Order struct {
	Epoch    string
	Sequence uint64
}

// Expectation is the precondition of a compare-and-set publish: the last
// event on Filter is Last (its sequence in the log; 0: there is none).
type Expectation struct {
	Filter string // a subject, wildcards allowed; empty: the event's own
	Last   uint64
}

// Cause is what made a handler run: a message, or an observation (a tip,
// object@resourceVersion, a timer). Outputs take their identity from it.
type Cause struct {
	ID string // the event's id, or the observation's key
	// About tells the observations of one cause apart, where it is of several
	// things. It is not published.
	About       string
	Traceparent string // empty: a new trace starts
	Correlation string
	Order
	// Began is when the work on an observation began that is published without
	// a consumer; zero: when it is published.
	Began time.Time
}

// CauseOf is the cause that e is for what it leads to.
func CauseOf(e Event) Cause {
	return Cause{ID: e.ID, Traceparent: e.Traceparent, Correlation: e.CorrelationID, Order: Order{e.Epoch, e.Sequence}}
}
