// SPDX-License-Identifier: Apache-2.0

// Package bustest gives tests a real bus: a NATS server in the process, on the
// files of deploy/nats, provisioned, where each service connects as its own
// restricted user.
//
// [Redeliver] is the test that every handler has to stand: each input twice,
// inputs shuffled, and the consumer ended between publishing and acknowledging
// leave the same events in the log as each input once.
package bustest
