// SPDX-License-Identifier: Apache-2.0

// Package proxy stands between two processes of a test and breaks what goes
// through, on loopback.
//
// A [Link] carries bytes: it passes, refuses, holds, loses or delays them, in
// one direction or in both. A [Bus] is a link that reads the frames of the
// NATS protocol as well: it drops acknowledgements, and delivers messages again
// and out of order. A [Web] is a link to a reverse proxy, with or without TLS:
// it answers in the server's place, cuts an answer in the middle, or lets a
// request through and loses the answer.
//
// What a connection has lost never comes back to it: it stays half-open, also
// when the fault is over, as one does whose other end is gone. What is held
// comes when the fault is over, as it does when packets are sent again.
//
// It doesn't know what the bytes are about, and runs no fault by itself.
package proxy
