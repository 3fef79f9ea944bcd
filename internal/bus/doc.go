// SPDX-License-Identifier: Apache-2.0

// Package bus is how a service speaks to the others: it connects, publishes
// and consumes events on NATS JetStream, and keeps the laws of doing so in one
// place.
//
// A [Handler] is given an event and returns what follows from it. The bus
// decodes the input, keeps it alive while it waits and is worked on, calls the
// handler, stamps the drafts with id, source, time, epoch, sequence, trace and
// causation, publishes them and waits until they are stored, and only then
// acknowledges the input. Ids are derived from the cause, so a crash in
// between makes a duplicate, which the log drops; beyond the log's window for
// duplicates handlers are idempotent. What the drafts have become a service may be
// told ([Settled]), to remember it.
//
// What becomes of an input is decided by the handler's error (see the package
// fault):
//
//	nil        the drafts are published, the input is acknowledged
//	terminal   the input is at fault: its failure is published, the input is
//	           taken off
//	outage     a dependency is out: nothing more is pulled, and this one input
//	           is tried with growing delay until the dependency is back;
//	           nothing is counted
//	any other  the input comes again after a delay from the consumer's own
//	           back-off list (or after fault.RetryAfter); it is counted, and
//	           when it has failed too often it is quarantined: said in an event,
//	           tried again ever more rarely, lifted by a newer event on its
//	           subject
//
// Nothing is dropped without an event: an input that can't be decoded, or is
// on the wrong subject, becomes a message.rejected that keeps the original.
//
// A handler may ask how far it can go without the log: [OutlookOf] says whether a
// newer event on its input's subject is known, [TenureOf] for how long what was
// read is still true, [Stored] tells what its outputs became.
//
// The bus creates neither streams nor consumers: internal/provision does.
//
// Each event belongs to a trace: its cause's, or one of its own that its cause
// begins, under an identity derived from the cause. Spans and metrics go to
// the providers of [Config]; without any, the ids are there all the same. See
// the package telemetry, and docs/telemetry.md.
package bus
